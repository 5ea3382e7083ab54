#!/usr/bin/perl

# What is counted and exported is the status that the client got, though a
# filter has changed it, and "off" holds for the whole request, wherever nginx
# redirects it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;
use Harness::Otlp;

my $t = Harness->new(plan => 25);

my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });
my $b = $t->backend('b', '*' => '"b"', '/gone' => { status => 410 },
    '/moved' => { headers => [ 'X-Accel-Redirect' => '/on/moved' ] });

$t->write_file('www/sorry.html', 'we are sorry');

$t->run(<<'EOC');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 512k;
    aggregate_metrics       gw;

    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:%%PORT_c%%/v1/traces;
        interval  50ms;
    }

    upstream b {
        server 127.0.0.1:%%PORT_b%%;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        server_name      localhost;
        root             %%TESTDIR%%/www;
        aggregate_trace  on;

        location /files/ { error_page 404 =200 /sorry.html; }

        location /gone {
            proxy_intercept_errors  on;
            error_page              410 =200 /sorry.html;
            proxy_pass              http://b;
        }

        location /off/ {
            aggregate_metrics  off;
            aggregate_trace    off;
            error_page         404 /on/error;

            location = /off/named { error_page 404 = @on; }
            location = /off/tries { try_files /none /on/tries; }
            location = /off/part { error_page 404 = @aggregate; }

            location = /off/moved { proxy_pass http://b/moved; }
        }

        location /untraced/ {
            aggregate_trace  off;
            error_page       404 /on/untraced;
        }

        location /uncounted/ {
            aggregate_metrics  off;
            error_page         404 /on/uncounted;
        }

        location /on/ { proxy_pass http://b; }
        location @on { proxy_pass http://b; }
        location @aggregate { aggregate { backend b /on/part { } } }

        location = /metrics {
            aggregate_metrics  off;
            aggregate_trace    off;
            aggregate_metrics_status;
        }
    }
}

EOC

sub page { return metrics(http_get('/metrics')->body) }

sub counted {
    my ($route, $status) = @_;
    return page()->value('gateway_requests_total', route => $route,
                         status => $status) || 0;
}

my $modified = http_get('/sorry.html')->header('Last-Modified');

is(http_get('/files/a', headers => [ 'If-Modified-Since' => $modified ])
   ->status, 304, 'a condition of an error page');
ok(wait_for(sub { counted('/files/', 304) == 1 }, slow(5)), 'counted as 304');
is(counted('/files/', 200), 0, 'and not as 200');

is(http_get('/gone', headers => [ Range => 'bytes=0-2' ])->body, 'we ',
   'a range of one');
ok(wait_for(sub { counted('/gone', 206) == 1 }, slow(5)), 'counted as 206');

is(http_get('/files/b')->status, 200, 'without either');
ok(wait_for(sub { counted('/files/', 200) == 1 }, slow(5)), 'counted as 200');

ok(wait_for(sub { @{[ grep { $_->{kind} eq 'SERVER' } spans($c) ]} == 4 },
            slow(5)), 'four requests');

my %status = map { ($_->{attrs}{'url.path'}
                    => $_->{attrs}{'http.response.status_code'}) }
    grep { $_->{kind} eq 'SERVER' } spans($c);

is_deeply([ @status{qw(/files/a /gone /files/b)} ], [ 304, 206, 200 ],
          'the status of a span');

# off, and redirected to a location where it is on

$c->clear;
$b->clear;

is(http_get('/off/a')->status, 404, 'off, and an error page');
is(http_get('/off/named')->status, 200, 'a named one');
is(http_get('/off/tries')->status, 200, 'try_files');
is(http_get('/off/moved')->status, 200, 'X-Accel-Redirect');
is(http_get('/off/part')->body, '{"b":"b"}', 'an aggregate');
is($b->count, 6, 'the backend was asked');
is(scalar(grep { $b->header($_, 'traceparent') } $b->log), 0,
   'no header was sent');

is(http_get('/untraced/a')->status, 404, 'not traced');
is(http_get('/uncounted/a')->status, 404, 'not counted');

ok(wait_for(sub { counted('/untraced/', 404) == 1 }, slow(5)),
   'counted, if it is not traced');
ok(wait_for(sub { grep { $_->{kind} eq 'SERVER' } spans($c) }, slow(5)),
   'traced, if it is not counted');
is_deeply([ map { $_->{attrs}{'url.path'} || () } spans($c) ],
          [ '/uncounted/a' ], 'no other one is traced');

my $m = page();
is_deeply([ sort map { $_->{route} } grep { $_->{''} > 0 }
            $m->series('gateway_requests_total') ],
          [qw(/files/ /files/ /gone /untraced/ _none)],
          'no other one is counted');
is($m->sum('gateway_backend_duration_seconds_count', backend => 'b'), 2,
   'nor its requests to backends');
is($m->sum('gateway_aggregates_total'), 0, 'nor its aggregate');
is($m->sum('gateway_requests_in_flight'), 0, 'nothing is in flight');
