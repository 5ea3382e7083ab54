#!/usr/bin/perl

# The shared memory of metrics: a flood of routes, names of any bytes, reload,
# workers that are killed, what nginx -t refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;

my $t = Harness->new(plan => 41, modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b', '/ok' => '{}', '/hang' => { action => 'hang' });

my $conf = <<'EOC';

%%GLOBALS%%

worker_processes  2;
worker_shutdown_timeout  3s;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw SIZE;

    upstream b {
        server 127.0.0.1:%%PORT_b%%;
    }

    server {
        listen             127.0.0.1:%%PORT_0%%;
        server_name        localhost;
        aggregate_metrics  gw;

        location /flood/ {
            rewrite            '(?s)^/flood/(?<route>.*)$' /ok break;
            aggregate_metrics  gw route=$route;
            proxy_pass         http://b;
        }

        location /b/ {
            proxy_pass http://b/;
        }

        location /late {
            rewrite ^ /ok break;
            proxy_pass http://b;
        }

        MORE

        location = /metrics {
            aggregate_metrics_status;
            aggregate_metrics off;
        }
    }
}

EOC

sub conf {
    my ($size, $more) = @_;
    return $conf =~ s/SIZE/$size/r =~ s/MORE/$more || ''/er;
}

sub scrape { return metrics(http_get('/metrics')->body) }

sub uri {
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
    return "/flood/$text";
}

my $requests = 'gateway_requests_total';

# a request is counted after its answer was read
sub scrape_all {
    my ($n) = @_;
    my $m;

    wait_for(sub { $m = scrape(); ($m->sum($requests) || 0) >= $n });
    return $m;
}

$t->run(conf('256k'));

# bytes of any kind: no two of them make one series twice

my %text = (
    'plain'            => 'plain',
    'quote"'           => 'quote\\"',
    'slash\\'          => 'slash\\\\',
    "line\n"           => 'line\\\\x0A',
    "caf\xc3\xa9"      => "caf\xc3\xa9",
    "bad\xff"          => 'bad\\\\xFF',
    'bad\\xFF'         => 'bad\\\\xFF',
    "c1\xc2\x85"       => 'c1\\\\xC2\\\\x85',
    "\x7f"             => '\\\\x7F',
    'l' x 300          => 'l' x 128,
    "\xc3\xa9" x 100   => "\xc3\xa9" x 64,
    'x' . "\xc3\xa9" x 100 => 'x' . "\xc3\xa9" x 63,
);

http_get(uri($_)) for keys %text;
my $m = scrape_all(scalar keys %text);

is($m->errors, '', 'names of any bytes: well formed');
is(promtool(http_get('/metrics')->body), '', 'names of any bytes: promtool');

my %wanted;
$wanted{ $text{$_} }++ for keys %text;
is($m->value($requests, route => $_), $wanted{$_},
   'route ' . substr $_, 0, 20) for sort keys %wanted;

$t->restart(conf('64k'));

# a flood: the limit holds, what is configured has its place

my $c = $t->connect;

for my $i (1 .. 400) {
    $c->send("GET /flood/r$i HTTP/1.1\r\nHost: x\r\n\r\n");
    $c->response;
}

http_get('/late');
http_get('/nowhere');
$m = scrape_all(402);

is($m->errors, '', 'flood: well formed');
my $limit = $m->value('gateway_metrics_series_limit');
cmp_ok($m->value('gateway_metrics_series'), '<=', $limit, 'flood: the limit');
cmp_ok($m->value('gateway_metrics_overflow_total'), '>=', 300, 'overflow');
cmp_ok($m->sum($requests, route => '_other'), '>=', 300, '_other');
is($m->sum($requests), 402, 'flood: every request is counted');
is($m->sum('gateway_request_duration_seconds_count'), 402, 'in both');
is($m->value($requests, route => '/late', status => 200), 1,
   'a configured route has its place');
is($m->value($requests, route => '/late', status => 404), undef, 'no other');
is(scalar($t->grep_log(qr/"gw" is full, new series are counted as/)), 1,
   'one line in the log');

# reload: counts survive, also of requests that are under way

my $hang = $t->connect;
$hang->send("GET /b/hang HTTP/1.1\r\nHost: x\r\n\r\n");
ok(wait_for(sub { scrape()->value('gateway_requests_in_flight',
                                  route => '/b/') }), 'in flight');

ok($t->reload(conf('64k', 'location /new { return 204; }')), 'reload');
http_get('/new');

# one worker may count a request after it was answered, when another is asked
ok(wait_for(sub { ($m = scrape())->value($requests, route => '/new',
                                         status => 204) }), 'a new route');
is($m->value($requests, route => '/late', status => 200), 1, 'counts survive');
is($m->value('gateway_requests_in_flight', route => '/b/'), 1,
   'in flight in the old worker');
$hang->close;
ok(wait_for(sub { scrape()->value($requests, route => '/b/',
                                  status => 499) }),
   'and counted in the end');
ok(wait_for(sub { !scrape()->sum('gateway_requests_in_flight') }),
   'and in flight no more');

# a changed layout starts anew

ok($t->reload(conf('64k series=40')), 'another number of series');
is(scrape()->sum($requests), 0, 'starts fresh');
http_get('/late');
ok($t->reload(conf('128k series=40')), 'another size');
is(scrape()->sum($requests), 0, 'starts fresh');
http_get('/late');
ok($t->reload(conf('128k series=40 buckets=1,2')), 'other buckets');
is(scrape()->sum($requests), 0, 'starts fresh');
http_get('/late');
ok(!$t->reload(conf('64k series=100000')), 'a configuration that is refused');
is(scrape()->value($requests, route => '/late', status => 200), 1,
   'nothing is lost by it');
$t->allow_log(qr/too small for 100000 series/);


# a worker that is killed

$t->allow_worker_exit;
$hang = $t->connect;
$hang->send("GET /b/hang HTTP/1.1\r\nHost: x\r\n\r\n");
ok(wait_for(sub { scrape()->sum('gateway_requests_in_flight') }), 'in flight');
my $before = scrape()->sum($requests);
$t->mark_log;
kill 'KILL', $_ for $t->workers;
ok($t->wait_log(qr/start worker process/), 'killed');
ok(wait_for(sub { !scrape()->sum('gateway_requests_in_flight') }, slow(2)),
   'in flight of killed workers: gone within two seconds');
is(scrape()->sum($requests), $before, 'counts stay');
