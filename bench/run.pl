#!/usr/bin/perl

# bench/run.pl [-p "PEER..."] [-s "SCENARIO..."] [-r ROUNDS] [-t SECONDS]
#              [-o FILE] [-H]
# bench/run.pl -c    only checks every peer's answers
# bench/run.pl -l    peers and their scenarios
#
# Interleaved: every round takes each scenario in turn, and in it each peer
# once, with a fresh gateway; even rounds take the peers the other way round.
# -H: another sample at about half the rate.  One line a sample, with tabs.

use strict;
use warnings;

use FindBin;
use Getopt::Std;

use lib "$FindBin::Bin/lib";
use Bench;

my @columns = qw(when peer scenario round kind conns requests seconds rps
    cpu_us busy load p50 p99 max errors peak_kb foreign);

my %o = (r => 3, t => 1, o => '-', p => join(' ', peers()),
         s => join(' ', @scenarios));
getopts('p:s:r:t:o:Hcl', \%o) or exit 2;

$| = 1;

my @peers = map { peer($_) } split ' ', $o{p};
my @wanted = split ' ', $o{s};

if ($o{l}) {
    print "$_->{name}: ", join(' ', sort keys %{ $_->{scenarios} }), "\n"
        for @peers;
    exit;
}

for my $peer (@peers) {
    print STDERR "without $peer->{name}: $peer->{missing}\n"
        if $peer->{missing};
}

@peers = grep { !$_->{missing} } @peers;

my $out;
my $failed = 0;

backends();

if (!$o{c}) {
    if ($o{o} eq '-') {
        $out = \*STDOUT;

    } else {
        open $out, '>', $o{o} or die "$o{o}: $!\n";
        $out->autoflush(1);
    }

    print $out join("\t", @columns), "\n";
}

my $rounds = $o{c} ? 1 : $o{r};

for my $round (1 .. $rounds) {
    for my $name (@wanted) {
        my @those = grep { has($_, $name) } @peers;
        @those = reverse @those if $round % 2 == 0;
        one($_, $name, $round) for @those;
    }
}

exit($failed ? 1 : 0);


sub one {
    my ($peer, $name, $round) = @_;

    my $scenario = scenario($name, $peer);
    my $pid = gateway($peer, $scenario) || gateway($peer, $scenario);

    if (!$pid || !check($scenario)) {
        print STDERR $pid ? 'wrong answer' : 'no gateway',
            ": $peer->{name} $name\n";
        $failed++;

    } elsif ($o{c}) {
        print "ok $peer->{name} $name\n";

    } else {
        measure($peer, $scenario, $round, $pid);
    }

    stop($pid);
    return;
}


sub measure {
    my ($peer, $scenario, $round, $pid) = @_;

    my $kind = $scenario->{kind};
    my $seconds = $scenario->{seconds} || $o{t};
    my $conns = $scenario->{conns}
        || ($kind eq 'slow' ? $env{SLOW_CONNS} : $env{CONNS});

    Bench::load($scenario, $peer->{warm}, $conns);

    my $got = sample($pid, $scenario, $seconds, $conns);
    emit($got, $peer, $scenario, $round, $kind);

    return if !$o{H} || $kind ne 'sat';

    my $half = $got->{rps} / 2;
    $conns = int($half * 0.01);
    $conns = $conns < 16 ? 16 : $conns > 150 ? 150 : $conns;
    $got = sample($pid, $scenario, $seconds, $conns, $conns * 1000 / $half);
    emit($got, $peer, $scenario, $round, 'half');
    return;
}


sub emit {
    my ($got, $peer, $scenario, $round, $kind) = @_;

    my %row = (%$got, when => time, peer => $peer->{name}, round => $round,
               scenario => $scenario->{name}, kind => $kind);
    print $out join("\t", map { $row{$_} } @columns), "\n";
    printf "%d  %-8s %-11s %8.1f us  %6d/s  p99 %8.2f ms\n", $round,
        $row{scenario}, $row{peer}, $row{cpu_us}, $row{rps},
        $row{p99} / 1000 if $o{o} ne '-';
    return;
}
