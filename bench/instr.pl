#!/usr/bin/perl

# bench/instr.pl [-p "PEER..."] [-s "SCENARIO..."] [-n N] [-c CONNS] [-k]
#                [-a LINES]
#
# Figures that noise does not touch, for the peers that are nginx:
#
#     kinstr   thousands of user-space instructions a request, by callgrind,
#              from the difference of a run of N and one of 3 N requests
#     calls    system calls a request, by strace
#
# One connection, one request at a time; with -c a load of CONNS connections
# instead, for ten and for thirty seconds.  -k keeps what callgrind
# wrote of the longer run as build/bench/callgrind.PEER.SCENARIO.  -a adds lines
# to the http context, such as "request_pool_size 32k;", with which no figure
# depends on whether the last bytes of a request need another block of its pool.
#
# bench/instr.pl -g [-u] [-q]
#
# The guard: our instructions against bench/guard.txt, with a tolerance of 3
# per cent; -u writes the file anew.  -q is for every change: two scenarios,
# fewer requests, and 10 per cent.  "/32k" is with that request_pool_size.

use strict;
use warnings;

use FindBin;
use Getopt::Std;
use Time::HiRes qw(sleep);

use lib "$FindBin::Bin/lib";
use Bench;

my $tolerance = 3;
my %o = (n => 300, c => 0, p => 'ours', s => 'AGG3 AGG3P AGG10');
getopts('p:s:n:c:a:kguq', \%o) or exit 2;

if ($o{q}) {
    $tolerance = 10;
    $o{n} = 50;
}

$| = 1;

backends();
exit guard() if $o{g};

print join("\t", qw(peer scenario kinstr calls), 'which calls'), "\n";

for my $name (split ' ', $o{s}) {
    for my $peer (map { peer($_) } split ' ', $o{p}) {
        next if !has($peer, $name) || !-f "$peer->{dir}/nginx.conf";

        my $scenario = scenario($name, $peer);
        printf "%s\t%s\t%.2f\t%s\n", $peer->{name}, $name,
            instructions($peer, $scenario), calls($peer, $scenario);
    }
}


# some requests; returns their number
sub requests {
    my ($scenario, $times) = @_;

    if ($o{c}) {
        return Bench::load($scenario, 10 * $times, $o{c})->{requests};
    }

    hit($scenario, $times * $o{n});
    return $times * $o{n};
}


# instructions of a gateway that served some requests, and how many
sub collected {
    my ($peer, $scenario, $times) = @_;

    my $file = "$Bench::work/callgrind.$peer->{name}.$scenario->{name}";
    my $pid = gateway($peer, $scenario, http => $o{a}, wrap => [ 'valgrind',
        '--tool=callgrind', "--callgrind-out-file=$file",
        '--smc-check=all-non-file' ]) or die "no gateway\n";

    check($scenario) or die "wrong answer: $scenario->{name}\n";
    hit($scenario, 1000) if $scenario->{lua} eq 'l2.lua';

    my $n = requests($scenario, $times);
    stop($pid);
    unlink $file if !$o{k};

    my ($count) = Bench::read_file("$Bench::run/gateway.log")
        =~ /Collected : (\d+)/ or die "callgrind counted nothing\n";
    return ($count, $n);
}


sub instructions {
    my ($peer, $scenario) = @_;

    my ($less, $few) = collected($peer, $scenario, 1);
    my ($more, $many) = collected($peer, $scenario, 3);

    return ($more - $less) / ($many - $few) / 1000;
}


sub calls {
    my ($peer, $scenario) = @_;

    my $pid = gateway($peer, $scenario, http => $o{a})
        or die "no gateway\n";
    check($scenario) or die "wrong answer: $scenario->{name}\n";
    requests($scenario, 1);
    hit($scenario, 1000) if $scenario->{lua} eq 'l2.lua';

    my $file = "$Bench::run/strace";
    my $tracer = start($env{LOAD_CPU}, 'strace', 'strace', '-f', '-c', '-o',
        $file, map { ('-p', $_) } tree($pid));
    sleep 1;
    my $n = requests($scenario, 1);
    kill 'INT', $tracer;
    waitpid $tracer, 0;
    stop($pid);

    my (%calls, $all);

    for (split /\n/, Bench::read_file($file)) {
        my @field = split;
        next if @field < 5 || $field[3] !~ /^\d+$/;
        $all = $field[3], last if $field[-1] eq 'total';
        $calls{ $field[-1] } = $field[3];
    }

    return sprintf("%.1f\t%s", $all / $n, join ', ',
        map { sprintf '%s %.1f', $_, $calls{$_} / $n }
        grep { $calls{$_} / $n >= 0.05 }
        sort { $calls{$b} <=> $calls{$a} } keys %calls);
}


sub guard {
    my $file = "$FindBin::Bin/guard.txt";
    my $peer = peer('ours');
    my ($failed, @lines) = (0);

    my %wanted = map { (split)[0, 1] }
        grep { /^\w/ } split /\n/, Bench::read_file($file);

    my @names = $o{q} ? qw(AGG3 SHAPE)
        : qw(AGG3 AGG3P AGG10 FANOUT SHAPE L1 L1/32k BREAKER BREAKER/32k GUARD
             GUARD/32k GQL3 GRPC1 GRPCS);

    for my $name (@names) {
        my ($scenario, $pool) = split m{/}, $name;
        local $o{a} = $pool && "request_pool_size $pool;";

        my $got = instructions($peer, scenario($scenario, $peer));
        my $before = $wanted{$name} || $got;
        my $more = 100 * ($got / $before - 1);
        my $is = $more > $tolerance ? 'NOT OK'
            : $more < -$tolerance ? 'better, -u keeps it:' : 'ok';

        printf "%s %-11s %7.1f k instructions, before %7.1f, %+.1f %%\n",
            $is, $name, $got, $before, $more;
        $failed++ if $more > $tolerance;
        push @lines, sprintf "%-11s %.1f\n", $name, $got;
    }

    printf "guard: %d passed, %d failed\n", @names - $failed, $failed;

    Bench::write_file($file, "# thousands of instructions a request; see"
        . " \"./build.sh bench-guard\"\n\n" . join('', @lines))
        if $o{u} && !$o{q};

    return $failed && !$o{u} ? 1 : 0;
}
