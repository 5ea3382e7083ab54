#!/usr/bin/perl

# bench/report.pl [-s FILE.svg] FILE.tsv...
#
# Medians by scenario and peer as Markdown, the ratios that are aimed at, and
# a bar chart.  A ratio is the median of the ratios within a round.  Samples
# in which other processes took over FOREIGN_DROP (40) per cent of the machine
# are left out where others remain.

use strict;
use warnings;

use FindBin;
use Getopt::Std;

use lib "$FindBin::Bin/lib";
use Bench::Aims qw(@aims @late median);
use Bench::Chart qw(bars);

my $drop = $ENV{FOREIGN_DROP} || 40;

my %o;
getopts('s:', \%o) or exit 2;

my (%sample, @order, %seen, %rounds);
my ($left_out, $taken) = (0, 0);

read_samples($_) for @ARGV;
table($_) for @order;
aims();
late();
print "\n$taken samples, $left_out more left out: others took over"
    . " $drop % of the machine.\n";
chart($o{s}) if $o{s};


sub read_samples {
    my ($path) = @_;

    open my $in, '<', $path or die "$path: $!\n";
    chomp(my @names = split /\t/, scalar <$in>);

    my @rows;

    while (<$in>) {
        chomp;
        my %row;
        @row{@names} = split /\t/;
        $row{round} .= "/$path";
        push @rows, \%row if $row{kind} ne 'half';
    }

    my %quiet;
    $quiet{ $_->{scenario} }{ $_->{peer} } ||= $_->{foreign} <= $drop
        for @rows;

    for my $row (@rows) {
        my ($scenario, $peer, $round) = @$row{qw(scenario peer round)};

        if ($row->{foreign} > $drop && $quiet{$scenario}{$peer}) {
            $left_out++;
            next;
        }

        $taken++;
        push @order, $scenario if !$seen{$scenario}++;
        $rounds{$round} = 1;
        $sample{$scenario}{$peer}{$round} = $row;
    }

    return;
}


sub values_of {
    my ($scenario, $peer, $name) = @_;
    return map { $_->{$name} } values %{ $sample{$scenario}{$peer} };
}


sub typical { return median(values_of(@_)) }


sub row {
    my ($scenario, $peer, $round) = @_;

    my $peers = $sample{$scenario} or return;
    my $rounds = $peers->{$peer} or return;
    return $rounds->{$round} || ();
}


# ratios of CPU time within a round: of one to a sum of others
sub ratios {
    my ($scenario, $peer, $base, @others) = @_;

    my @found;

    for my $round (sort keys %rounds) {
        my $mine = row($scenario, $peer, $round) or next;
        my @those = map { row($_, $base, $round) } @others;
        next if @those < @others;

        my $sum = 0;
        $sum += $_->{cpu_us} for @those;
        push @found, $mine->{cpu_us} / $sum if $sum;
    }

    return @found;
}


sub cpu {
    my @v = sort { $a <=> $b } values_of(@_, 'cpu_us');
    my $format = $v[-1] < 100 ? '%.1f (%.1f to %.1f)' : '%.0f (%.0f to %.0f)';
    return sprintf $format, median(@v), $v[0], $v[-1];
}


sub table {
    my ($scenario) = @_;

    my $peers = $sample{$scenario};
    my @peers = sort { typical($scenario, $a, 'cpu_us')
                       <=> typical($scenario, $b, 'cpu_us') } keys %$peers;

    print "\n**$scenario**\n\n",
        "| peer | CPU us a request | to ours | requests/s | gateway busy"
        . " | p50, p99 ms | peak MiB | runs |\n|---|---|---|---|---|---|---|"
        . "---|\n";

    for my $peer (@peers) {
        my @ratios = ratios($scenario, $peer, 'ours', $scenario);
        my $errors = 0;
        $errors += $_ for values_of($scenario, $peer, 'errors');

        printf "| %s | %s | %s | %.0f | %.0f %% | %.1f, %.1f | %.0f | %d%s |\n",
            $peer eq 'ours' ? '**ours**' : $peer, cpu($scenario, $peer),
            @ratios ? sprintf('%.2f', median(@ratios)) : '',
            (map { typical($scenario, $peer, $_) } qw(rps busy)),
            (map { typical($scenario, $peer, $_) / 1000 } qw(p50 p99)),
            typical($scenario, $peer, 'peak_kb') / 1024,
            scalar keys %{ $peers->{$peer} },
            $errors ? ", $errors errors" : '';
    }

    return;
}


sub aims {
    print "\n**Ratios of CPU time a request, and what they were to be**\n\n",
        "| ours | of | aim | median | by round | |\n"
        . "|---|---|---|---|---|---|\n";

    for my $aim (@aims) {
        my ($scenario, $most, $base, @others) = @$aim;
        my @ratios = ratios($scenario, 'ours', $base, @others) or next;

        printf "| %s | %s of %s | %.2f | %s |\n", $scenario,
            join(' + ', @others), $base, $most, against($most, '%.2f', @ratios);
    }

    return;
}


sub against {
    my ($most, $format, @v) = @_;

    my $median = sprintf $format, median(@v);
    return "$median | " . join(' ', map { sprintf $format, $_ } @v) . ' | '
        . ($median <= $most ? 'met' : '**missed**');
}


# p99 in ms; where there is more than one other peer, of the later one
sub late {
    print "\n**p99**\n\n| ours | at most | median | by round | |\n"
        . "|---|---|---|---|---|\n";

    for my $late (@late) {
        my ($scenario, $most, @others) = @$late;
        my @found;

        for my $round (sort keys %rounds) {
            my $ours = row($scenario, 'ours', $round) or next;
            my @p99 = sort { $b <=> $a }
                map { $_->{p99} } map { row($scenario, $_, $round) } @others;

            push @found, $ours->{p99} / ($p99[0] || 1000)
                if !@others || @p99;
        }

        printf "| %s | %s | %s |\n", $scenario, @others
            ? sprintf('%.2f of %s', $most, join ' or ', @others) : "$most ms",
            against($most, @others ? '%.2f' : '%.1f', @found) if @found;
    }

    return;
}


sub chart {
    my ($path) = @_;

    my @panels;

    for my $scenario (@order) {
        my @peers = keys %{ $sample{$scenario} };
        next if @peers < 2;

        push @panels, [ $scenario, sort { $a->[1] <=> $b->[1] } map {
            [ $_, typical($scenario, $_, 'cpu_us'), $_ eq 'ours' ]
        } @peers ];
    }

    bars($path, 'CPU microseconds of the gateway for a request', @panels);
    return;
}
