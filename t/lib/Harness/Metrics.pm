package Harness::Metrics;

# Reads a page of metrics: text 0.0.4, or OpenMetrics.
#
#     my $m = metrics(http_get('/metrics')->body);
#
#     $m->value('gateway_requests_total', route => '/a', status => 200)
#                                      undef: there is no such series
#     $m->sum('gateway_requests_total', route => '/a')
#                                      of all series that have these labels
#     $m->series('gateway_requests_total')
#                                      hashes of labels; "" is the value
#     $m->errors                       what a strict reader complains about
#
# promtool($text): what "promtool check metrics" says to it, '' if nothing;
# undef without a promtool.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(metrics promtool);


sub metrics {
    my ($text) = @_;

    my $self = bless { series => {}, errors => [], text => $text },
        __PACKAGE__;
    $self->read_text;
    return $self;
}


sub read_text {
    my ($self) = @_;

    my ($family, $type, %seen, %done) = ('', '');
    my $open = $self->{text} =~ /^# EOF\n\z/m;

    $self->complain('no line feed at the end') if $self->{text} !~ /\n\z/;

    for my $line (split /\n/, $self->{text}) {

        if ($line =~ /^# (HELP|TYPE) (\S+) (.+)$/) {
            my ($what, $name, $rest) = ($1, $2, $3);

            $self->complain("two $what of $name") if $done{"$what $name"}++;

            if ($name ne $family) {
                $self->complain("$name in two places") if $seen{$name}++;
                ($family, $type) = ($name, '');
            }

            $type = $rest if $what eq 'TYPE';
            $self->{type}{$name} = $rest if $what eq 'TYPE';
            next;
        }

        next if $line eq '# EOF';

        if ($line !~ /^([a-zA-Z_:][\w:]*)(?:\{(.*?)\})?\ (\S+)
                      (?:\ \#\ \{(.*)\}\ (\S+)\ (\S+))?$/x)
        {
            $self->complain("no sample: $line");
            next;
        }

        my ($name, $labels, $value, @exemplar)
            = ($1, defined $2 ? $2 : '', $3, $4, $5, $6);

        my $of = $name;
        $of =~ s/_(?:bucket|sum|count)$// if $type eq 'histogram';
        $of =~ s/_total$// if $open && $type eq 'counter';

        $self->complain("$name is no sample of $family") if $of ne $family;

        my %labels;

        while ($labels =~ /\G([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/g)
        {
            $self->complain("two labels $1: $line") if exists $labels{$1};
            $labels{$1} = $2;
        }

        my $key = join ',', map { "$_=$labels{$_}" } sort keys %labels;
        $self->complain("twice: $name $key") if $self->{at}{"$name $key"}++;

        $labels{''} = $value;
        $labels{exemplar} = $exemplar[0] if defined $exemplar[0];
        push @{ $self->{series}{$name} }, \%labels;
    }

    return;
}


sub complain {
    my ($self, $what) = @_;
    push @{ $self->{errors} }, $what;
    return;
}


sub errors { return join "\n", @{ $_[0]{errors} } }
sub series { return @{ $_[0]{series}{ $_[1] } || [] } }
sub names  { return sort keys %{ $_[0]{series} } }


sub find {
    my ($self, $name, %labels) = @_;

    return grep {
        my $s = $_;
        !grep { !defined $s->{$_} || $s->{$_} ne $labels{$_} } keys %labels;
    } $self->series($name);
}


sub value {
    my ($self, $name, %labels) = @_;
    my ($s) = $self->find($name, %labels);
    return $s ? $s->{''} : undef;
}


sub sum {
    my ($self, $name, %labels) = @_;
    my $sum = 0;
    $sum += $_->{''} for $self->find($name, %labels);
    return $sum;
}


sub promtool {
    my ($text) = @_;

    my ($promtool) = grep { defined && -x } $ENV{PROMTOOL},
        map { "$_/promtool" } split /:/, $ENV{PATH};
    return if !$promtool;

    my $file = "/tmp/promtool.$$";
    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out $text;
    close $out;

    my $said = `$promtool check metrics <$file 2>&1`;
    unlink $file;
    return $said;
}


1;
