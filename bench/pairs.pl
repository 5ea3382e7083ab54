#!/usr/bin/perl

# bench/pairs.pl [-r ROUNDS] [-t SECONDS] [-s "SCENARIO..."] [-o FILE.tsv] [-e]
#                [-p PEER]
#
# The ratios of CPU time a request that are aimed at, on a machine whose speed
# changes: all gateways run, one has load, and they take turns of SECONDS (0.3).
# A ratio is the median of those of ROUNDS (25) rounds.  In -o each turn is a
# line.
#
# Each is loaded as much as it can take; with -e all have as many requests a
# second: half of what the slowest of them can take.  With -p the ratios are of
# PEER, in each scenario that it has, and there are no aims.

use strict;
use warnings;

use FindBin;
use Getopt::Std;
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";
use Bench;
use Bench::Aims qw(@aims median quartiles);

my %o = (r => 25, t => 0.3, s => '', o => '', p => '');
getopts('r:t:s:o:ep:', \%o) or exit 2;

my %wanted = map { $_ => 1 } split ' ', $o{s};
my @all = $o{p} ? map { [ $_, 0, $o{p}, $_ ] }
                      grep { has(peer($o{p}), $_) } @Bench::scenarios
                : @aims;
my @those = grep { !%wanted || $wanted{ $_->[0] } } @all;
my $first = $Bench::port;
my (%gateway, $out);

$| = 1;
backends();

if ($o{o}) {
    open $out, '>', $o{o} or die "$o{o}: $!\n";
    print $out join("\t", qw(when aim round peer scenario cpu_us foreign)),
        "\n";
}

print "| ours | of | aim | median | quartiles | |\n|---|---|---|---|---|---|\n";
measured($_) for @those;
print "\n$o{r} rounds of $o{t} s", $o{e} ? ', at equal rates' : '', "\n";


# the gateway of a peer, which goes on to the end
sub side_by_side {
    my ($name) = @_;

    if (!$gateway{$name}) {
        my $peer = peer($name);
        return if $peer->{missing};

        local $Bench::port = $first + 60 + keys %gateway;
        my $pid = gateway($peer, scenario('AGG3', $peer), name => $name)
            or return;

        $gateway{$name} = { pid => $pid, peer => $peer,
                            port => $Bench::port };
    }

    return $gateway{$name};
}


# microseconds of CPU a request, in a turn of SECONDS, at a rate if one is given
sub turn {
    my ($name, $scenario, $seconds, $rate) = @_;

    my $gateway = $gateway{$name};
    local $Bench::port = $gateway->{port};

    my $conns = $scenario->{conns}
        || $env{$scenario->{kind} eq 'slow' ? 'SLOW_CONNS' : 'CONNS'};

    return Bench::sample_once($gateway->{pid}, $scenario, $seconds, $conns,
        $conns * 1000 / $rate) if $rate;

    return Bench::sample_once($gateway->{pid}, $scenario, $seconds, $conns);
}


sub measured {
    my ($aim) = @_;

    my ($ours, $most, $name, @of) = @$aim;
    my $label = @of > 1 || $of[0] ne $ours ? join(' + ', @of) . " of $name"
                                           : "$ours of $name";

    my @turns = ([ 'ours', $ours ], map { [ $name, $_ ] } @of);
    my $rate;

    for my $turn (@turns) {
        my $gateway = side_by_side($turn->[0]);

        if (!$gateway || !has($gateway->{peer}, $turn->[1])) {
            print "| $ours | $label | $most | | | not here |\n";
            return;
        }

        my $scenario = scenario($turn->[1], $gateway->{peer});
        local $Bench::port = $gateway->{port};
        Bench::start_redis() if ($scenario->{needs} || '') eq 'redis';
        check($scenario) or die "wrong answer: @$turn\n";
        push @$turn, $scenario;
        my $half = turn($turn->[0], $scenario, 1)->{rps} / 2;
        $rate = $half if $o{e} && (!$rate || $half < $rate);
    }

    my @ratios;

    for my $round (1 .. $o{r}) {
        my ($mine, $theirs) = (0, 0);

        for my $turn ($round % 2 ? @turns : reverse @turns) {
            my $got = turn($turn->[0], $turn->[2], $o{t}, $rate);

            print $out join("\t", time, "$ours/$label", $round,
                $turn->[0], $turn->[1], $got->{cpu_us}, $got->{foreign}), "\n"
                if $out;

            $mine = $got->{cpu_us} if $turn == $turns[0];
            $theirs += $got->{cpu_us} if $turn != $turns[0];
        }

        push @ratios, $mine / $theirs if $theirs;
    }

    my $median = median(@ratios);
    printf "| %s | %s | %s | %.2f | %.2f to %.2f | %s |\n", $ours, $label,
        $most ? sprintf('%.2f', $most) : '', $median, quartiles(@ratios),
        !$most ? '' : $median <= $most + 0.005 ? 'met' : '**missed**';
    return;
}
