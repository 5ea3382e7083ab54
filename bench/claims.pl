#!/usr/bin/perl

# bench/claims.pl [-t SECONDS] [-r RATE] [-p SECONDS] [-o NAME] [TRAFFIC] [DAY]
#
# The figures that are quoted for gateways, as scenarios that can be run:
#
# TRAFFIC: five services whose answers take 15 ms at the median, with a long
# tail; clients ask for 10,000 URIs of three kinds by Zipf's law, RATE (600) a
# second for SECONDS (20) after a quarter of that to warm up: pages that need
# three services, products, and stock levels.  First through plain nginx, which
# clients ask for each service; then with one capability after the other; two
# gateways, which take turns, and a Redis; at last three times as many requests
# after a minute, which is the longest TTL.
#
# DAY: phases of SECONDS (6) each in which one service of five is down, slow,
# flapping, resets connections or sends rubbish, Redis hangs, a worker is
# killed: the share of requests that got a 2xx within a second, through plain
# nginx and through the gateway.
#
# NAME.md, NAME.tsv and NAME.svg are what was measured (build/bench/claims).

use strict;
use warnings;

use FindBin;
use File::Path qw(mkpath rmtree);
use Getopt::Std;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time sleep);

use lib "$FindBin::Bin/lib";
use Bench;
use Bench::Chart qw(bars);

my %o = (t => 20, r => 600, p => 6, o => "$Bench::work/claims");
getopts('t:r:p:o:', \%o) or exit 2;

my %wanted = map { $_ => 1 } @ARGV ? @ARGV : qw(TRAFFIC DAY);

my @services = qw(users orders offers catalog stock);
my %port;
@port{@services} = map { Bench::render($_) } 22161 .. 22165;

my @gateways = map { Bench::render($_) } 22150, 22151;
my $redis_port = Bench::render(22200);
my $deadline = 1000;
my (%service, $redis, @rows, @panels, @table);

$| = 1;
srand 20261129;

Bench::prepare();
Bench::program("$Bench::bench/traffic.c", "$Bench::work/traffic");
Bench::program("$Bench::bench/backend/service.c", "$Bench::work/service");

start_service($_) for @services;

$redis = start($env{LOAD_CPU}, 'claims-redis', 'redis-server', '--port',
    $redis_port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
    '--dir', $Bench::run);
Bench::wait_port($redis_port, $redis) or die "no redis\n";

traffic() if $wanted{TRAFFIC};
day() if $wanted{DAY};
report();


# processes


sub start_service {
    my ($name) = @_;

    $service{$name} = start($env{LOAD_CPU}, "service-$name",
        "$Bench::work/service", $name, $port{$name});
    Bench::wait_port($port{$name}, $service{$name}) or die "no $name\n";
    return;
}


sub kill_service {
    my ($name) = @_;

    kill 'KILL', $service{$name};
    waitpid $service{$name}, 0;
    return;
}


sub ask {
    my ($port, $uri) = @_;

    my $s = Bench::is_open($port) or die "nothing listens on $port\n";
    print $s "GET $uri HTTP/1.1\r\nHost: a\r\n\r\n";
    my ($status, $body) = Bench::receive($s);
    return $body;
}


sub calls {
    my $sum = 0;
    $sum += ask($port{$_}, '/calls') for @services;
    return $sum;
}


# a gateway with a configuration of its own
sub nginx {
    my ($i, $workers, $http, $server) = @_;

    my $dir = "$Bench::run/claims-$i";
    my $upstreams = join "\n", map {
        "upstream $_ { server 127.0.0.1:$port{$_} max_fails=0;"
            . ' keepalive 64; }'
    } @services;

    rmtree($dir);
    mkpath("$dir/tmp");
    Bench::modules_dir($dir);

    write_file("$dir/nginx.conf", <<"EOC");
load_module  modules/ngx_http_aggregate_module.so;
load_module  modules/ngx_http_breaker_module.so;

user                  root;
worker_processes      $workers;
worker_rlimit_nofile  20000;
error_log             error.log crit;
pid                   nginx.pid;

events {
    worker_connections  16384;
}

http {
    access_log              off;
    default_type            application/json;
    keepalive_timeout       300s;
    keepalive_requests      1000000;

    client_body_temp_path   tmp/body;
    proxy_temp_path         tmp/proxy;
    fastcgi_temp_path       tmp/fastcgi;
    uwsgi_temp_path         tmp/uwsgi;
    scgi_temp_path          tmp/scgi;

    proxy_http_version      1.1;
    proxy_set_header        Connection "";
    proxy_connect_timeout   250ms;
    proxy_read_timeout      500ms;

    $upstreams
    $http

    server {
        listen  127.0.0.1:$gateways[$i] backlog=4096;
        $server
    }
}
EOC

    my $pid = start($env{GW_CPU}, "claims-$i", $env{NGINX}, '-p', $dir, '-c',
        'nginx.conf', '-e', "$dir/error.log", '-g', 'daemon off;');
    Bench::wait_port($gateways[$i], $pid) or die "no gateway\n";
    return $pid;
}


# clients


# numbers from 1 to N, the Kth with a probability that is inverse to K
sub zipf {
    my ($n) = @_;
    my (@sum, $sum);

    for (1 .. $n) {
        $sum += 1 / $_;
        push @sum, $sum;
    }

    return sub {
        my $x = rand $sum;
        my ($low, $high) = (0, $#sum);

        while ($low < $high) {
            my $middle = int(($low + $high) / 2);
            if ($sum[$middle] < $x) { $low = $middle + 1 }
            else { $high = $middle }
        }

        return $low + 1;
    };
}


# plan(RATE, SECONDS, SCREEN): a line for each screen of a Poisson process;
# SCREEN gives what the Nth asks for
sub plan {
    my ($rate, $seconds, $screen) = @_;
    my ($at, $n) = (0, 0);
    my @plan;

    while (($at -= log(1 - rand) / $rate) < $seconds) {
        push @plan, join ' ', int(1e6 * $at), $screen->($n++);
    }

    return \@plan;
}


# the clients, in the background; returns a function that waits for them, and
# gives what they saw: time, latency in ms, status, services
sub clients {
    my ($plan) = @_;

    write_file("$Bench::run/plan", join "\n", @$plan, '');

    my $pid = start($env{LOAD_CPU}, 'traffic', 'sh', '-c',
        "exec $Bench::work/traffic $deadline <$Bench::run/plan");

    return sub {
        waitpid $pid, 0;
        die "the clients have failed\n" if $?;

        return map {
            my ($at, $took, @seen) = split;
            [ $at / 1e6, $took / 1000, @seen ]
        } split /\n/, read_file("$Bench::run/traffic.log");
    };
}


sub quantile {
    my ($part, @sorted) = @_;
    return $sorted[int($part * $#sorted)];
}


# TRAFFIC


# a URI of each kind by its rank
sub screen_of {
    my ($rank) = @_;

    my $kind = $rank % 10;
    return "/pages/$rank" if $kind < 3;
    return $kind < 8 ? "/catalog/$rank" : "/stock/$rank";
}


sub parts_of {
    my ($uri) = @_;

    my ($rank) = $uri =~ m{^/pages/(\d+)} or return $uri;
    return map { "/$_/$rank" } qw(users orders offers);
}


sub locations {
    my ($names, @lines) = @_;
    return join "\n", map {
        join "\n", "location /$_/ {", @lines, "proxy_pass http://$_; }"
    } @$names;
}


sub pages {
    my (@lines) = @_;

    my $lines = join "\n", @lines;

    return <<"EOC";
location ~ ^/pages/(?<n>[0-9]+)\$ {
    $lines
    aggregate {
        backend users  /users/\$n  { }
        backend orders /orders/\$n { }
        backend offers /offers/\$n { }
    }
}
EOC
}


sub traffic {
    my $draw = zipf(10000);
    my ($base, @uris, %plans);

    my $planned = sub {
        my ($rate, $seconds) = @_;

        return $plans{"$rate $seconds"} ||= plan($rate, $seconds, sub {
            $uris[ $_[0] ] ||= screen_of($draw->()) });
    };
    my $cache = 'aggregate_cache_zone api 64m;'
        . "aggregate_redis fleet { server 127.0.0.1:$redis_port; }"
        . 'aggregate_cache_ttl /pages/ 10s;'
        . 'aggregate_cache_ttl /catalog/ 60s;'
        . 'aggregate_cache_ttl /stock/ 2s;';
    my $all = sub { pages(@_) . locations([qw(catalog stock)], @_)
                    . locations([qw(users orders offers)]) };

    my @steps = (
        [ 'plain nginx', '', locations(\@services), 1 ],
        [ 'aggregation', '', pages() . locations(\@services) ],
        [ 'a cache, no lock', $cache,
          $all->('aggregate_cache api;', 'aggregate_cache_lock off;') ],
        [ 'single flight', $cache, $all->('aggregate_cache api;') ],
        [ 'Redis', $cache, $all->('aggregate_cache api redis=fleet;') ],
        [ 'Redis, warm, ' . 3 * $o{r} . ' a second', $cache,
          $all->('aggregate_cache api redis=fleet;'), 0, 60, 3 * $o{r} ],
    );

    for (@steps) {
        my ($name, $http, $server, $parts, $warm, $rate) = @$_;

        $warm ||= $o{t} / 4;
        $rate ||= $o{r};

        my $state = 'log_format state $aggregate_cache_status;';
        my @pid = map {
            nginx($_, 1, "$state $http", "access_log state.log state; $server")
        } 0, 1;

        my $n = 0;
        my @plan = map {
            my ($at, $uri) = split;
            my $to = $gateways[$n++ % 2];
            join ' ', $at, map { "$to $_" } $parts ? parts_of($uri) : $uri
        } @{ $planned->($rate, $warm + $o{t}) };

        my $done = clients(\@plan);
        sleep $warm;

        my ($calls, $cpu) = (calls(), Bench::cpu_time(@pid));
        my @skip = map { -s "$Bench::run/claims-$_/state.log" || 0 } 0, 1;
        my @seen = grep { $_->[0] >= $warm } $done->();

        $calls = (calls() - $calls) / @seen;
        $cpu = 1e6 * (Bench::cpu_time(@pid) - $cpu) / @seen;

        my $hits = hits(@skip);
        my @took = sort { $a <=> $b } map { $_->[1] } @seen;
        my $failed = grep { int($_->[2] / 100) != 2 } @seen;
        my $hot = $name eq 'single flight' && hot();

        stop($_) for @pid;
        $base = $calls if !$base;

        push @rows, [ 'TRAFFIC', $name, scalar @seen, $failed, $calls,
                      1 - $calls / $base, $hits, $cpu,
                      map { quantile($_, @took) } 0.5, 0.95, 0.99 ];
        print join("\t", map { /\.\d{3}/ ? sprintf '%.3f', $_ : $_ }
                   @{ $rows[-1] }), "\n";

        if ($hot) {
            push @rows, [ 'HOT', 'a page from the cache', @$hot ];
            print join("\t", @{ $rows[-1] }), "\n";
        }
    }

    return;
}


# the share of lookups that the caches answered, in what the logs have since
sub hits {
    my (@skip) = @_;
    my ($hits, $all) = (0, 0);

    for my $i (0, 1) {
        my $log = substr read_file("$Bench::run/claims-$i/state.log"),
                         $skip[$i];

        $all++ while $log =~ /^[A-Z]/mg;
        $hits++ while $log =~ /^(?:HIT|STALE|UPDATING|REVALIDATED)/mg;
    }

    return $all ? $hits / $all : 0;
}


# requests a second of one worker for what its cache holds
sub hot {
    ask($gateways[0], '/pages/1');

    my $pid = start($env{LOAD_CPU}, 'hot', 'wrk', '-t1', '-c64', '-d4s',
        "http://127.0.0.1:$gateways[0]/pages/1");
    waitpid $pid, 0;

    my ($rate) = read_file("$Bench::run/hot.log") =~ m{Requests/sec:\s+(\S+)};
    return [ $rate ];
}


# DAY


sub day_gateway {
    my @parts = map { "backend $_ /$_/\$n { default null; }" } @services;
    my $parts = join "\n", @parts;

    my $http = <<"EOC";
aggregate_cache_zone  api 64m;
aggregate_redis       fleet { server 127.0.0.1:$redis_port; }
breaker_zone          backends 1m;
breaker_policy        quick { slow_call 300ms; recovery_timeout 1s; }

aggregate_cache_ttl    / 1s;
aggregate_cache_stale  updating 10s error 1h;
EOC

    my $locations = join "\n", map { <<"EOC" } @services;
location /$_/ {
    aggregate_cache  api redis=fleet;
    breaker          $_ zone=backends policy=quick;
    breaker_fallback 200 application/json '{"items":[]}';
    proxy_pass       http://$_;
}
EOC

    return nginx(0, 2, $http, <<"EOC");
location ~ ^/screens/(?<n>[0-9]+)\$ {
    aggregate {
        timeout  500ms;
        $parts
    }
}

$locations
EOC
}


# the phases: a name, how the trouble begins, how it ends
sub troubles {
    my ($gateway) = @_;

    my $mode = sub {
        my ($mode) = @_;
        return [ $mode, sub { ask($port{orders}, "/mode/$mode") },
                 sub { ask($port{orders}, '/mode/well') } ];
    };

    return (
        [ 'nothing wrong', sub { }, sub { } ],
        [ 'down', sub { kill_service('orders') },
          sub { start_service('orders') } ],
        $mode->('slow'),
        [ 'flapping', \&flap, sub { } ],
        $mode->('reset'),
        $mode->('rubbish'),
        [ 'Redis hangs', sub { kill 'STOP', $redis },
          sub { kill 'CONT', $redis } ],
        [ 'a worker is killed', sub { kill_worker($gateway) }, sub { } ],
        [ 'nothing wrong again', sub { }, sub { } ],
    );
}


# half a second down, half a second up, within the phase
sub flap {
    my $end = time + $o{p} - 1;

    while (time < $end) {
        kill_service('orders');
        sleep 0.5;
        start_service('orders');
        sleep 0.5;
    }

    return;
}


sub kill_worker {
    my ($gateway) = @_;

    my (undef, $worker) = tree($gateway);
    kill 'KILL', $worker;
    return;
}


sub day {
    my $draw = zipf(2000);
    my @name = map { $_->[0] } troubles(0);

    # screens of five services, and as many single requests

    my $times = plan($o{r} / 4, $o{p} * @name, sub {
        my $n = $draw->();
        return $_[0] % 2 ? "/screens/$n" : "/$services[$n % 5]/$n";
    });

    for my $ours (0, 1) {
        my $gateway = $ours ? day_gateway()
            : nginx(0, 2, '', locations(\@services));

        my @plan = map {
            my ($at, $uri) = split;
            my @uris = (!$ours && $uri =~ m{^/screens/(\d+)})
                ? map { "/$_/$1" } @services : $uri;
            join ' ', $at, map { "$gateways[0] $_" } @uris
        } @$times;

        my $started = time;
        my $done = clients(\@plan);
        my $i = 0;

        for (troubles($gateway)) {
            my (undef, $begin, $end) = @$_;

            $begin->();

            my $left = $started + ++$i * $o{p} - time;
            sleep $left if $left > 0;
            $end->();
        }

        my @seen = $done->();
        stop($gateway);

        for my $phase (0 .. $#name) {
            phase($ours, $name[$phase], $times, \@seen, $phase);
        }
    }

    return;
}


# counts the requests that were made in a phase
sub phase {
    my ($ours, $name, $times, $seen, $phase) = @_;
    my ($all, $good, $whole) = (0, 0, 0);

    for my $i (0 .. $#$seen) {
        my ($at, undef, $status, $services) = @{ $seen->[$i] };
        next if int($at / $o{p}) != $phase;

        my $needs = $times->[$i] =~ /screens/ ? @services : 1;

        $all++;
        $good++ if int($status / 100) == 2;
        $whole++ if int($status / 100) == 2 && $services == $needs;
    }

    push @rows, [ $ours ? 'DAY' : 'DAY plain', $name, $all, $good, $whole ];
    print join("\t", @{ $rows[-1] }), "\n";
    return;
}


# the tables: measured figures beside the quoted ones


sub percent {
    my ($part, $of) = @_;
    return $of ? sprintf('%.2f %%', 100 * $part / $of) : '-';
}


sub report {
    traffic_report() if $wanted{TRAFFIC};
    day_report() if $wanted{DAY};

    write_file("$o{o}.md", join "\n", @table, '');
    write_file("$o{o}.tsv", join '', map { join("\t", @$_) . "\n" } @rows);
    bars("$o{o}.svg", 'The figures that are quoted, measured', @panels);

    print "\n", join("\n", @table), "\n\n$o{o}.md, $o{o}.tsv, $o{o}.svg\n";
    return;
}


sub row { return '| ' . join(' | ', @_) . ' |' }


sub traffic_report {
    my @steps = grep { $_->[0] eq 'TRAFFIC' } @rows;
    my ($hot) = map { $_->[2] } grep { $_->[0] eq 'HOT' } @rows;
    my $last = $steps[-1];

    push @table, row(qw(figure quoted measured)), '|---|---|---|',
        row('requests a second of one core, a page from the cache', '50,000',
            sprintf '%.0f', $hot),
        row('requests a second for each core, all of the traffic', '',
            sprintf '%.0f', 1e6 / $last->[7]),
        row('hit rate', '75 to 85 %', percent($last->[6], 1)),
        row('hit rate, from an empty cache', '', percent($steps[-2][6], 1)),
        row('fewer calls of backends', '60 %', percent($last->[5], 1)),
        map { row("p$_->[0]", "$_->[1] ms", sprintf '%.1f ms', $last->[$_->[2]])
        } [ 50, 35, 8 ], [ 95, 120, 9 ], [ 99, 250, 10 ];

    push @table, '', row('with', 'calls a request', 'fewer', 'hits',
                         'CPU us a request', qw(p50 p95 p99)),
        '|---|---:|---:|---:|---:|---:|---:|---:|';

    for (@steps) {
        push @table, row($_->[1], sprintf('%.2f', $_->[4]),
            percent($_->[5], 1), percent($_->[6], 1),
            map { sprintf '%.1f', $_ } @$_[7 .. 10]);
    }

    for ([ 4, 'calls of backends a request' ], [ 9, 'p95, ms' ]) {
        my ($column, $title) = @$_;
        push @panels, [ $title, map {
            [ $_->[1], $_->[$column], $_ == $last ] } @steps ];
    }

    push @table, '';
    return;
}


sub day_report {
    my %of;
    my @names;

    for (grep { $_->[0] =~ /^DAY/ } @rows) {
        push @names, $_->[1] if $_->[0] eq 'DAY';
        $of{ $_->[0] }{ $_->[1] } = [ @$_[2 .. 4] ];
    }

    for my $kind (keys %of) {
        my @sum = (0, 0, 0);

        for my $phase (values %{ $of{$kind} }) {
            $sum[$_] += $phase->[$_] for 0 .. 2;
        }

        $of{$kind}{'the day'} = \@sum;
    }

    push @table, row('one service of five', '2xx in time', 'of nginx',
                     'nothing missing', 'of nginx'),
        '|---|---:|---:|---:|---:|';

    for my $name (@names, 'the day') {
        my ($ours, $plain) = map { $of{$_}{$name} } 'DAY', 'DAY plain';

        push @table, row($name, percent(@$ours[1, 0]),
            percent(@$plain[1, 0]), percent(@$ours[2, 0]),
            percent(@$plain[2, 0]));
        push @panels, [ "$name: % without a 2xx in time",
            map { [ $_->[0], 100 - 100 * $_->[1][1] / $_->[1][0], $_->[2] ] }
            [ 'nginx', $plain, 0 ], [ 'ours', $ours, 1 ] ];
    }

    return;
}
