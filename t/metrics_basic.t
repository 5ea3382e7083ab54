#!/usr/bin/perl

# What is counted of a request and of its backend: routes, statuses,
# backends, errors, retries, both formats.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;

my $t = Harness->new(plan => 74,
                     modules => ['ngx_http_aggregate_module']);

my $b = $t->backend('b',
    '/ok'    => '{}',
    '/500'   => { status => 500, body => 'x' },
    '/404'   => { status => 404, body => 'x' },
    '/reset' => { action => 'reset' },
    '/hang'  => { action => 'hang' },
    '/cut'   => { body => 'x' x 1000, length => 2000, after => 'close' },
    '/badchunk' => { raw => "HTTP/1.1 200 OK\r\n"
                     . "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz" },
    '/slow'  => { delay => 1 },
    '/auth'  => '',
    '/deny'  => { status => 403 },
    '/mirror' => '',
);

my $dead = $t->dead_port;

$t->run(<<'EOC' =~ s/DEAD/$dead/r);

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 256k buckets=0.05,0.8,60;

    upstream users {
        server 127.0.0.1:%%PORT_b%%;
    }

    upstream chunks {
        server 127.0.0.1:%%PORT_b%%;
    }

    upstream twice {
        server 127.0.0.1:DEAD max_fails=0;
        server 127.0.0.1:%%PORT_b%%;
    }

    proxy_read_timeout  1500ms;
    proxy_next_upstream error timeout;

    server {
        listen             127.0.0.1:%%PORT_0%%;
        server_name        localhost;
        aggregate_metrics  gw;

        location /users/ {
            proxy_pass http://users/;
        }

        location /chunks/ {
            proxy_http_version 1.1;
            proxy_pass http://chunks/;
        }

        location /unbuffered/ {
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_pass http://chunks/;
        }

        location ~ ^/re/(?<what>\w+)$ {
            proxy_pass http://users/$what;
        }

        location = /exact {
            proxy_pass http://127.0.0.1:%%PORT_b%%/ok;
        }

        location ^~ /twice/ {
            proxy_pass http://twice/;
        }

        location /route/ {
            aggregate_metrics  gw 'route=/api/user/{id}';
            proxy_pass         http://users/;
        }

        location /var/ {
            aggregate_metrics  gw route=$arg_route;
            proxy_pass         http://$arg_to/ok;
        }

        location /off/ {
            aggregate_metrics  off;
            proxy_pass         http://users/;
        }

        location /page/ {
            error_page 404 500 = @page;
            proxy_intercept_errors on;
            proxy_pass http://users/;
        }

        location @page {
            rewrite ^ /ok break;
            proxy_pass http://twice;
        }

        location /return {
            return 418;
        }

        location /file/ {
            root %%TESTDIR%%;
        }

        location /auth/ {
            auth_request  /_auth;
            mirror        /_mirror;
            proxy_pass    http://users/ok;
        }

        location = /_auth {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_b%%/auth;
        }

        location = /_mirror {
            internal;
            proxy_pass http://twice/mirror;
        }

        location /if/ {
            if ($arg_x) {
                proxy_pass http://users;
            }
            rewrite ^ /ok break;
            proxy_pass http://users;
        }

        location @named {
            proxy_pass http://users;
        }

        location /try/ {
            try_files /nothing @tried;
        }

        location @tried {
            rewrite ^ /ok break;
            proxy_pass http://users;
        }

        location = /metrics {
            aggregate_metrics_status;
            aggregate_metrics off;
        }
    }

    server {
        listen             127.0.0.1:%%PORT_bare%%;
        aggregate_metrics  gw;
    }
}

EOC

$t->write_file('file/a', 'x');

sub scrape {
    my (%o) = @_;
    return metrics(http_get('/metrics', %o)->body);
}

my @tests;

sub get { return http_get(@_)->status }

get('/users/ok') for 1 .. 3;
get('/users/500');
get('/users/404');
get('/users/reset');
get('/users/hang');
get('/users/cut');
get('/users/slow');
get('/chunks/badchunk');
get('/unbuffered/badchunk');
get('/re/ok');
get('/exact');
get('/twice/ok');
get('/route/ok');
get('/var/?route=one&to=users');
get('/var/?route=&to=users');
get("/var/?route=two&to=127.0.0.1:" . $b->port);
get('/off/ok');
get('/page/500');
get('/return');
get('/file/a');
get('/auth/');
get('/if/?x=1');
get('/try/x');
get('/x', port => $t->port('bare'));
http("GET / HTTP/1.1\r\n\r\n");
http_request('HEAD', '/users/ok');

# a request is counted when it has ended, which is after its answer was read

wait_for(sub { http_get('/metrics')->body
    =~ /^gateway_request_duration_seconds_count\{[^}]*route="\/users\/"[^}]*
        backend="users"[^}]*\}\ 10$/mx });

my $r = http_get('/metrics');
is($r->header('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8',
   'type');
my $text = $r->body;
my $m = metrics($text);

is($m->errors, '', 'a strict reader takes it');
is(promtool($text), '', 'promtool takes it');

my $requests = 'gateway_requests_total';
my $count = 'gateway_request_duration_seconds_count';
my $backend = 'gateway_backend_duration_seconds_count';
my $errors = 'gateway_backend_errors_total';
my $port = $b->port;

for my $case (
    [ $requests, 6, route => '/users/', status => 200 ],
    [ $requests, 1, route => '/users/', status => 500 ],
    [ $requests, 1, route => '/users/', status => 404 ],
    [ $requests, 1, route => '/users/', status => 502 ],
    [ $requests, 1, route => '/users/', status => 504 ],
    [ $requests, 1, route => '^/re/(?<what>\\\\w+)$', status => 200 ],
    [ $requests, 1, route => '/exact', status => 200 ],
    [ $requests, 1, route => '/twice/', status => 200 ],
    [ $requests, 1, route => '/api/user/{id}', status => 200 ],
    [ $requests, 1, route => 'one', status => 200 ],
    [ $requests, 1, route => '_none', status => 200 ],
    [ $requests, undef, route => '/off/' ],
    [ $requests, 1, route => '/page/', status => 200 ],
    [ $requests, undef, route => '@page' ],
    [ $requests, 1, route => '/return', status => 418 ],
    [ $requests, 1, route => '/file/', status => 200 ],
    [ $requests, 1, route => '/auth/', status => 200 ],
    [ $requests, undef, route => '/_auth' ],
    [ $requests, 1, route => '/if/', status => 200 ],
    [ $requests, 1, route => '/try/', status => 200 ],
    [ $requests, 1, route => '_none', status => 400 ],
    [ $requests, 1, route => '_none', status => 404 ],
    [ $requests, undef, route => '/metrics' ],

    [ $count, 10, route => '/users/', backend => 'users' ],
    [ $count, 1, route => '/exact', backend => "127.0.0.1:$port" ],
    [ $count, 1, route => '/page/', backend => 'twice' ],
    [ $count, 1, route => '/return', backend => '_none' ],
    [ $count, 1, route => '/file/', backend => '_none' ],
    [ $count, 1, route => 'two', backend => "127.0.0.1:$port" ],

    [ $backend, 10, route => '/users/', backend => 'users' ],
    [ $backend, 1, route => '/auth/', backend => 'users' ],
    [ $backend, 1, route => '/auth/', backend => "127.0.0.1:$port" ],
    [ $backend, 1, route => '/auth/', backend => 'twice' ],
    [ $backend, 1, route => '/page/', backend => 'users' ],
    [ $backend, 1, route => '/page/', backend => 'twice' ],

    [ $errors, 2, service => 'users', status => 500 ],
    [ $errors, undef, service => 'users', status => 404 ],
    [ $errors, 1, service => 'users', status => 'connect' ],
    [ $errors, 1, service => 'users', status => 'timeout' ],
    [ $errors, 1, service => 'users', status => 'truncated' ],
    [ $errors, 2, service => 'chunks', status => 'truncated' ],
    [ $backend, 1, route => '/chunks/', backend => 'chunks' ],
    [ 'gateway_backend_cancelled_total', undef, service => 'chunks' ],
    [ 'gateway_requests_in_flight', 0, route => '/users/' ],
    [ 'gateway_backend_in_flight', 0, service => 'users' ],
    [ 'gateway_metrics_overflow_total', 0, zone => 'gw' ],
    [ 'gateway_build_info', 1, version => '0.1.0', nginx => $t->version ],
) {
    my ($name, $wanted, %labels) = @$case;
    is($m->value($name, %labels), $wanted,
       "$name @{[ map { qq($_=$labels{$_}) } sort keys %labels ]}");
}

# tries alternate between the two servers of the upstream

cmp_ok($m->value('gateway_backend_retries_total', service => 'twice'), '>=', 1,
       'retries');

# buckets: as configured, cumulative

my @buckets = $m->find('gateway_request_duration_seconds_bucket',
                       route => '/users/', backend => 'users');
is(join(' ', map { $_->{le} } @buckets), '0.05 0.8 60 +Inf', 'buckets');
my ($last, $falls) = (0, 0);
for (@buckets) { $falls++ if $_->{''} < $last; $last = $_->{''} }
is($falls, 0, 'cumulative');
is($buckets[3]{''}, 10, '+Inf is the count');
is($buckets[2]{''} - $buckets[1]{''}, 2, 'the slow ones are in their bucket');
cmp_ok($m->value('gateway_request_duration_seconds_sum', route => '/users/',
                 backend => 'users'), '>=', 2, 'sum');
cmp_ok($m->value('gateway_backend_duration_seconds_sum', route => '/users/',
                 backend => 'users'), '>=', 2, 'sum of the backend');

# the formats, by Accept

my $prometheus = 'application/openmetrics-text;version=1.0.0;q=0.5,'
    . 'application/openmetrics-text;version=0.0.1;q=0.4,'
    . 'text/plain;version=0.0.4;q=0.3,*/*;q=0.2';

for my $case (
    [ $prometheus, 1 ], [ 'text/plain', 0 ], [ '*/*', 0 ],
    [ 'application/openmetrics-text', 1 ],
    [ 'application/openmetrics-text;q=0', 0 ],
    [ 'application/openmetrics-text;q=0.2, text/plain;q=0.3', 0 ],
    [ 'application/openmetrics-text;version=2.0.0', 0 ],
    [ 'text/html', 0 ],
) {
    my ($accept, $open) = @$case;
    my $r = http_get('/metrics', headers => [ Accept => $accept ]);
    like($r->header('Content-Type'), $open
         ? qr{^application/openmetrics-text; version=1\.0\.0; charset=utf-8$}
         : qr{^text/plain; version=0\.0\.4; charset=utf-8$}, "Accept: $accept");

    next if $accept ne $prometheus;
    my $o = metrics($r->body);
    is($o->errors, '', 'OpenMetrics: a strict reader takes it');
    is($o->{type}{gateway_requests}, 'counter', 'OpenMetrics: the family');
    like($r->body, qr/^# EOF\n\z/m, 'OpenMetrics: the end');
}

is(http_request('POST', '/metrics')->status, 405, 'POST is refused');
my $head = http_request('HEAD', '/metrics');
is($head->status . '/' . length $head->body, '200/0', 'HEAD');

# in flight

my $c = $t->connect;
$c->send("GET /users/slow HTTP/1.1\r\nHost: x\r\n\r\n");
ok(wait_for(sub {
    my $m = scrape();
    return $m->value('gateway_requests_in_flight', route => '/users/')
           && $m->value('gateway_backend_in_flight', service => 'users');
}), 'in flight');
$c->response;
ok(wait_for(sub {
    my $m = scrape();
    return !$m->sum('gateway_requests_in_flight')
           && !$m->sum('gateway_backend_in_flight');
}), 'no more');

# a client that goes

$c = $t->connect;
$c->send("GET /users/hang HTTP/1.1\r\nHost: x\r\n\r\n");
wait_for(sub { scrape()->sum('gateway_backend_in_flight') });
$c->close;
ok(wait_for(sub {
    my $m = scrape();
    return ($m->value('gateway_backend_cancelled_total',
                      service => 'users') || 0) == 1
           && $m->value($requests, route => '/users/', status => 499)
           && !$m->sum('gateway_backend_in_flight')
           && !$m->sum('gateway_requests_in_flight');
}), 'a client that goes: cancelled, 499');
is(scrape()->value($backend, route => '/users/', backend => 'users'), 11,
   'a cancelled request has no duration');
