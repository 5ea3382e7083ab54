package Bench::Chart;

# bar charts and line plots as SVG, readable on light and dark pages

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(bars lines);

my $style = 'text{font:12px sans-serif;fill:#333}'
    . '.h{font-weight:bold}.b{fill:#9aa5b1}.o{fill:#0b7a43}'
    . '.g{stroke:#ccc;stroke-width:1}.l{fill:none;stroke:#0b7a43;'
    . 'stroke-width:2}';


sub escape {
    my ($text) = @_;
    $text =~ s/&/&amp;/g;
    $text =~ s/</&lt;/g;
    return $text;
}


sub text {
    my ($x, $y, $text, $more) = @_;
    return sprintf qq{<text x="%.1f" y="%.1f"%s>%s</text>\n}, $x, $y,
        $more ? " $more" : '', escape($text);
}


sub picture {
    my ($path, $width, $height, @parts) = @_;

    open my $out, '>', $path or die "$path: $!\n";
    print $out qq{<svg xmlns="http://www.w3.org/2000/svg" width="$width" }
        . qq{height="$height" viewBox="0 0 $width $height">\n}
        . qq{<style>$style</style>\n}
        . qq{<rect width="100%" height="100%" fill="#fff"/>\n},
        @parts, "</svg>\n";
    close $out or die "$path: $!\n";
    return;
}


sub number {
    my ($n) = @_;
    return $n < 10 ? sprintf('%.1f', $n) : sprintf('%.0f', $n);
}


# bars(FILE, TITLE, [PANEL, [LABEL, VALUE, IS-OURS]...]...): each panel has a
# scale of its own, and the ratio to ours beside each bar; two columns
sub bars {
    my ($path, $title, @panels) = @_;

    my ($column, $label, $bar, $row) = (430, 85, 200, 17);
    my @y = (40, 40);
    my @parts = text(10, 22, $title, 'class="h"');

    for my $panel (@panels) {
        my ($name, @bars) = @$panel;
        my $side = $y[0] <= $y[1] ? 0 : 1;
        my $x = 10 + $side * $column;
        my ($ours) = map { $_->[1] } grep { $_->[2] } @bars;
        my $most = 0;

        for (@bars) {
            $most = $_->[1] if $_->[1] > $most;
        }

        push @parts, text($x, $y[$side] + 12, $name, 'class="h"');
        $y[$side] += $row + 2;

        for (@bars) {
            my ($peer, $value, $is_ours) = @$_;
            my $width = $bar * $value / ($most || 1);
            my $times = $ours && !$is_ours
                ? sprintf(' (%.2f x)', $value / $ours) : '';

            push @parts, text($x + $label - 6, $y[$side] + 11, $peer,
                              'text-anchor="end"'),
                sprintf(qq{<rect class="%s" x="%d" y="%.1f" width="%.1f" }
                        . qq{height="13"/>\n}, $is_ours ? 'o' : 'b',
                        $x + $label, $y[$side], $width || 1),
                text($x + $label + $width + 5, $y[$side] + 11,
                     number($value) . $times);
            $y[$side] += $row;
        }

        $y[$side] += 14;
    }

    my $height = $y[0] > $y[1] ? $y[0] : $y[1];
    picture($path, 2 * $column + 20, $height, @parts);
    return;
}


# lines(FILE, TITLE, X-LABEL, Y-LABEL, LOGARITHMIC-X, [X, Y]...)
sub lines {
    my ($path, $title, $x_label, $y_label, $log, @points) = @_;

    my ($width, $height, $left, $top, $right, $bottom)
        = (420, 260, 60, 40, 20, 45);
    my ($w, $h) = ($width - $left - $right, $height - $top - $bottom);
    my $place = sub { $log ? log $_[0] : $_[0] };
    my ($from, $to) = map { $place->($_->[0]) } @points[0, -1];
    my $most = 0;

    for (@points) {
        $most = $_->[1] if $_->[1] > $most;
    }

    my $step = 10 ** int(log($most) / log(10));
    $step /= 2 while $most / $step < 3;
    $step *= 2 while $most / $step > 6;
    my $end = $step * (int($most / $step) + 1);

    my $x_of = sub {
        return $left + $w * ($place->($_[0]) - $from) / ($to - $from || 1);
    };
    my $y_of = sub { return $top + $h - $h * $_[0] / $end };

    my @parts = (text(10, 20, $title, 'class="h"'),
        text($left, $top - 8, $y_label),
        text($left + $w / 2, $height - 8, $x_label, 'text-anchor="middle"'));

    for (my $y = 0; $y <= $end + $step / 2; $y += $step) {
        push @parts, sprintf(qq{<line class="g" x1="%d" x2="%d" y1="%.1f" }
            . qq{y2="%.1f"/>\n}, $left, $left + $w, ($y_of->($y)) x 2),
            text($left - 6, $y_of->($y) + 4, $y, 'text-anchor="end"');
    }

    for (@points) {
        push @parts, text($x_of->($_->[0]), $top + $h + 16,
            $_->[2] || $_->[0], 'text-anchor="middle"');
        push @parts, sprintf qq{<circle class="o" cx="%.1f" cy="%.1f" }
            . qq{r="3"/>\n}, $x_of->($_->[0]), $y_of->($_->[1]);
    }

    push @parts, sprintf qq{<polyline class="l" points="%s"/>\n}, join ' ',
        map { sprintf '%.1f,%.1f', $x_of->($_->[0]), $y_of->($_->[1]) }
        @points;

    picture($path, $width, $height, @parts);
    return;
}


1;
