#!/usr/bin/perl

# bench/hedge.pl [-t SECONDS] [-c CLIENTS]
#
# The tail: AGG3 with backends of which 2 % of the answers take 500 ms instead
# of 10, without "hedge" and with it: the latencies that clients see, and how
# many calls the backends have had for each request.
#
# The clients are processes of this script, since wrk adds latencies that it
# supposes: for an answer of 500 ms as many as there would have been requests
# in that time.

use strict;
use warnings;

use FindBin;
use Getopt::Std;
use IO::Socket::INET;
use POSIX qw(_exit);
use Time::HiRes qw(time);

use lib "$FindBin::Bin/lib";
use Bench;

my %o = (t => 10, c => 8);
getopts('t:c:', \%o) or exit 2;

my $peer = peer('ours');

$| = 1;

backends();
print join("\t", qw(scenario requests p50 p99 p99.9 calls)), "\n";

for my $name (qw(TAIL HEDGE)) {
    my $scenario = scenario($name, $peer);
    my $pid = gateway($peer, $scenario) or die "no gateway\n";

    check($scenario) or die "wrong answer: $name\n";

    clients($scenario, 1);

    my $before = calls();
    my @times = sort { $a <=> $b } clients($scenario, $o{t});

    printf "%s\t%d\t%.1f\t%.1f\t%.1f\t%.3f\n", $name, scalar @times,
        map({ 1000 * $times[int($_ * $#times)] } 0.5, 0.99, 0.999),
        (calls() - $before) / @times;
    stop($pid);
}


# the latencies of some clients, each of which asks again once it is answered
sub clients {
    my ($scenario, $seconds) = @_;
    my (@pipes, @times);

    for (1 .. $o{c}) {
        my $pid = open(my $pipe, '-|') // die "fork: $!\n";

        if (!$pid) {
            print map { "$_\n" } client($scenario, $seconds);
            close STDOUT;
            _exit(0);
        }

        push @pipes, $pipe;
    }

    for my $pipe (@pipes) {
        chomp(my @got = <$pipe>);
        push @times, @got;
        close $pipe;
    }

    return @times;
}


sub client {
    my ($scenario, $seconds) = @_;

    my $s = IO::Socket::INET->new(Bench::render('127.0.0.1:22000'))
        or die "no gateway\n";
    my $end = time + $seconds;
    my @times;

    while ((my $start = time) < $end) {
        print $s "GET $scenario->{uri} HTTP/1.1\r\nHost: a\r\n\r\n";
        my $got = '';

        until ($got =~ /\r\nContent-Length: (\d+)\r\n.*?\r\n\r\n/s
               && length($got) - $+[0] >= $1) {
            sysread($s, $got, 65536, length $got) or die "no answer\n";
        }

        push @times, time - $start;
    }

    return @times;
}


# requests that the backend has had
sub calls {
    my $s = IO::Socket::INET->new(Bench::render('127.0.0.1:22114'))
        or die "no backend\n";
    print $s "GET /calls HTTP/1.1\r\nConnection: close\r\n\r\n";
    local $/;
    return (split ' ', <$s>)[-1];
}
