#!/usr/bin/perl

# bench/route.pl [-s SECONDS] [-c CONNS]
#
# BALANCE: five servers, one of them ten times slower, or failing in no time:
# what part of the requests each method sends it, how many fail, and how late
# the answers are; all methods in one run.
#
# CANARY: 5 % of the keys have a version that fails every second time: what
# share it has, how long until it is at 0 %, and how many requests have failed.

use strict;
use warnings;

use FindBin;
use Getopt::Std;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use lib "$FindBin::Bin/lib";
use Bench;

my %o = (s => 4, c => 32);
getopts('s:c:', \%o) or exit 2;

$| = 1;

my @methods = (
    [ 'round robin', '' ],
    [ 'least_conn', 'least_conn;' ],
    [ 'random two', 'random two least_conn;' ],
    [ 'least_time', 'least_time header;' ],
    [ 'peak_ewma', 'aggregate_balance peak_ewma;' ],
);

my $scenario = { name => 'BALANCE', uri => '/x', needs => '', workers => 1,
                 lua => 'load.lua', expect => 'recommendations' };

Bench::prepare();
my $backend = start($env{LOAD_CPU}, 'backend', "$Bench::work/canned",
    "$Bench::work/fixtures", map { Bench::render($_) } '22103+2', '22140+2',
    '22141+2', '22142+2', '22143+2', '22144+20');
Bench::wait_port($Bench::port + 144, $backend) or die "no backend\n";

print join("\t", 'scenario', 'method', 'its share %', 'failed %', 'p50 ms',
           'p99 ms', 'requests/s'), "\n";

balance('one slow', 22144);
balance('one fails', 22150);
canary();


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
    my ($what, $bad) = @_;

    for (@methods) {
        my ($name, $method) = @$_;

        my $servers = join ' ', map { "server 127.0.0.1:$_ max_fails=0;" }
            22140 .. 22143, $bad;
        my $peer = configuration("upstream five { zone five 256k; $method"
            . " $servers include upstream.conf; }",
            'location = /x { access_log up.log up;'
            . ' proxy_pass http://five/recommendations/42; }');

        my $pid = gateway($peer, $scenario);

        if (!$pid) {
            print join("\t", $what, $name, 'not in this nginx'), "\n";
            next;
        }

        my $load = Bench::load($scenario, $o{s}, $o{c});
        stop($pid);

        my ($all, $its, $failed) = (0, 0, 0);
        my $port = Bench::render($bad);

        for (split /\n/, read_file("$Bench::run/gateway/up.log")) {
            my ($addr, $status) = split;
            $all++;
            $its++ if $addr =~ /:$port$/;
            $failed++ if $status != 200;
        }

        printf "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\n", $what, $name,
            100 * $its / ($all || 1), 100 * $failed / ($all || 1),
            $load->{p50} / 1000, $load->{p99} / 1000,
            $load->{requests} / ($load->{us} / 1e6);
    }

    return;
}


sub canary {
    my $peer = configuration(<<'EOH', <<'EOS');
aggregate_split_zone z 256k;
    aggregate_split $to key=$arg_key zone=z {
        5% canary;
        abort errors=5% min=20 window=1m;
        * stable;
    }
    upstream stable { server 127.0.0.1:22140; include upstream.conf; }
    upstream canary { server 127.0.0.1:22140; server 127.0.0.1:22150; }
EOH
location = /x {
            access_log up.log up;
            proxy_pass http://$to/recommendations/42;
        }
        location = /split { aggregate_split_status; }
EOS

    my $pid = gateway($peer, $scenario) or die "no gateway\n";
    my $start = time;
    my ($n, $failed, $state) = (0, 0, '');

    # 100 requests a second, each of another key
    while (time - $start < 60) {
        my @got = Bench::hit({ uri => "/x?key=k$n" }, 1);
        $n++;
        $failed++ if !@got || $got[0] != 200;

        if ($n % 50 == 0) {
            my (undef, $body) = Bench::hit({ uri => '/split' }, 1);
            ($state) = $body =~ /"name":"canary".*?"state":"(\w+)"/s;
            last if $state eq 'aborted';
        }

        sleep 0.01;
    }

    printf "canary\t5 %% that fail half of the time\t%s after %.1f s, %d"
        . " requests, of which %d failed\n", $state, time - $start, $n,
        $failed;
    stop($pid);
    return;
}
