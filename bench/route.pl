#!/usr/bin/perl

# bench/route.pl [-s SECONDS] [-c CONNS] [-n REQUESTS] [BALANCE] [CANARY]
#
# BALANCE: five servers behind one upstream that answer after 10 ms; one of them
# takes 100 ms, or fails in no time, or one does this and one that: what part of
# the requests each method sends them, how many fail, and how late the answers
# are; all methods in one run, which is measured after a second of warming up.
#
# CANARY: 5 % of the keys have a version that fails every second time, chosen by
# aggregate_split and by split_clients: what share it has, when it is at 0 %,
# and how many of as many requests have failed.
#
# Ends with 1 where peak_ewma or aggregate_split miss their aims.  What others
# do on the machine makes a server look slow; as root all of it runs ahead of
# them, by chrt.

use strict;
use warnings;

use FindBin;
use Getopt::Std;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use lib "$FindBin::Bin/lib";
use Bench;

my %o = (s => 6, c => 8, n => 1500);
getopts('s:c:n:', \%o) or exit 2;

$| = 1;

my %wanted = map { $_ => 1 } @ARGV ? @ARGV : qw(BALANCE CANARY);

my @methods = (
    [ 'round robin', '' ],
    [ 'least_conn', 'least_conn;' ],
    [ 'random two', 'random two least_conn;' ],
    [ 'least_time', 'least_time header;' ],
    [ 'peak_ewma', 'aggregate_balance peak_ewma;' ],
);

my $scenario = { name => 'BALANCE', uri => '/x', needs => '', workers => 1,
                 lua => 'load.lua', expect => 'recommendations' };
my $missed = 0;

ahead();
Bench::prepare();

my $backend = start($env{LOAD_CPU}, 'backend', "$Bench::work/canned",
    "$Bench::work/fixtures", map { Bench::render($_) } '22103+2', '22140+10',
    '22141+10', '22142+10', '22143+10', '22144+100');
Bench::wait_port($Bench::port + 144, $backend) or die "no backend\n";

if ($wanted{BALANCE}) {
    print join("\t", 'BALANCE', 'method', 'slow %', 'failing %', 'failed %',
               'p50 ms', 'p99 ms', 'requests/s'), "\n";

    balance('one slow', 22144, 22143);
    balance('one fails', 22143, 22150);
    balance('both', 22144, 22150);
}

if ($wanted{CANARY}) {
    print join("\t", 'CANARY', 'its share %', 'at 0 % after', 'requests',
               'failed'), "\n";
    canary('split_clients');
    canary('aggregate_split');
}

exit($missed ? 1 : 0);


# by a real-time class, where that is allowed
sub ahead {
    return if $> != 0 || $ENV{BENCH_AHEAD};

    $ENV{BENCH_AHEAD} = 1;
    exec 'chrt', '-f', '10', $^X, $0, (map { "-$_$o{$_}" } keys %o), @ARGV
        if system('chrt -f 10 true 2>/dev/null') == 0;
    return;
}


sub aim {
    my ($holds, $text) = @_;

    print '# ', $holds ? 'holds: ' : 'MISSED: ', $text, "\n";
    $missed++ if !$holds;
    return;
}


sub configuration {
    my ($http, $server) = @_;

    my $dir = "$Bench::work/route";
    system 'mkdir', '-p', $dir;

    write_file("$dir/nginx.conf", <<"EOC");
load_module modules/ngx_http_aggregate_module.so;
include main.conf;

http {
    include http.conf;
    log_format up '\$upstream_addr \$status';
    $http

    server {
        listen 127.0.0.1:22000 backlog=4096;
        $server
    }

    server {
        listen 127.0.0.1:22150;
        location / { return 500; }
    }
}
EOC

    return { dir => $dir };
}


sub balance {
    my ($what, @special) = @_;
    my ($slow, $failing) = map { Bench::render($_) } @special;
    my %result;

    for (@methods) {
        my ($name, $method) = @$_;

        my $servers = join ' ', map { "server 127.0.0.1:$_ max_fails=0;" }
            22140 .. 22142, @special;
        my $peer = configuration("upstream five { zone five 256k; $method"
            . " $servers include upstream.conf; }",
            'location = /x { access_log up.log up;'
            . ' proxy_pass http://five/recommendations/42; }');

        my $pid = gateway($peer, $scenario);

        if (!$pid) {
            print join("\t", $what, $name, 'not in this nginx'), "\n";
            next;
        }

        Bench::load($scenario, 1, $o{c});

        my $log = "$Bench::run/gateway/up.log";
        my $warm = -s $log;
        my $load = Bench::load($scenario, $o{s}, $o{c});
        stop($pid);

        my %n = (all => 0, $slow => 0, $failing => 0, failed => 0);

        for (split /\n/, substr read_file($log), $warm) {
            my ($addr, $status) = split;

            # the load has ended, and has closed its connections
            next if $status == 499;

            $n{all}++;
            $n{ $addr =~ s/.*://r }++;
            $n{failed}++ if $status != 200;
        }

        my %got = (
            slow    => $slow == Bench::render(22143) ? 0 : $n{$slow},
            failing => $failing == Bench::render(22143) ? 0 : $n{$failing},
            failed  => $n{failed},
        );

        $_ = 100 * $_ / ($n{all} || 1) for values %got;
        $got{$_} = $load->{$_} / 1000 for qw(p50 p99);
        $result{$name} = \%got;

        printf "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\n", $what, $name,
            @got{qw(slow failing failed p50 p99)},
            $load->{requests} / ($load->{us} / 1e6);
    }

    my ($ours, $round, $least)
        = @result{'peak_ewma', 'round robin', 'least_conn'};

    aim($ours->{failed} <= 4, 'at most 4 % fail') if $what ne 'one slow';

    if ($what ne 'one fails') {
        aim($ours->{slow} <= 5, 'the slow one gets at most 5 %');
        aim($ours->{p99} <= $round->{p99} / 2,
            'p99 at most half of that of round robin');
        aim($ours->{p99} <= $least->{p99}, 'p99 at most that of least_conn');
    }

    return;
}


# 100 requests a second, each of another key
sub canary {
    my ($method) = @_;

    my $split = $method eq 'split_clients'
        ? 'split_clients $arg_key $to { 5% canary; * stable; }'
        : <<'EOH';
aggregate_split_zone z 256k;
    aggregate_split $to key=$arg_key zone=z {
        5% canary;
        abort errors=5% min=20 window=1m;
        * stable;
    }
EOH

    my $peer = configuration("$split\n" . <<'EOH', <<'EOS'
    log_format to $to;
    upstream stable { server 127.0.0.1:22140; include upstream.conf; }
    upstream canary {
        server 127.0.0.1:22140 max_fails=0;
        server 127.0.0.1:22150 max_fails=0;
    }
EOH
location = /x {
            access_log up.log to;
            proxy_pass http://$to/recommendations/42;
        }
EOS
        . ($method eq 'split_clients' ? ''
           : 'location = /split { aggregate_split_status; }'));

    my $pid = gateway($peer, $scenario) or die "no gateway\n";
    my $start = time;
    my ($failed, $after, $before) = (0, undef, 0);

    for my $n (1 .. $o{n}) {
        my @got = Bench::hit({ uri => "/x?key=k$n" }, 1);
        $failed++ if !@got || $got[0] != 200;

        if (!defined $after) {
            $before++;

            if ($method ne 'split_clients' && $n % 10 == 0) {
                my (undef, $body) = Bench::hit({ uri => '/split' }, 1);
                $after = time - $start
                    if $body =~ /"name":"canary".*?"state":"aborted"/s;
            }
        }

        my $due = $start + $n / 100 - time;
        sleep $due if $due > 0;
    }

    stop($pid);

    my @to = split /\n/, read_file("$Bench::run/gateway/up.log");
    my $its = grep { $_ eq 'canary' } @to[0 .. $before - 1];

    printf "%s\t%.1f\t%s\t%d\t%d\n", $method, 100 * $its / $before,
        defined $after ? sprintf('%.1f s', $after) : 'never', $o{n}, $failed;

    aim(defined $after, 'the canary is stopped')
        if $method ne 'split_clients';
    return;
}
