#!/usr/bin/perl

# Background updates of "proxy_cache" have a span and are counted, and a hit
# has no backend.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;
use Harness::Otlp;
use Time::HiRes qw(sleep);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });
my $b = $t->backend('b', '*' => { body => 'x', headers =>
    [ 'Cache-Control' => 'max-age=1, stale-while-revalidate=60' ] });

$t->plan(9);

$t->run(<<'EOC');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 256k;
    aggregate_metrics       gw;
    proxy_cache_path        %%TESTDIR%%/cache keys_zone=nginx:1m;

    aggregate_trace_exporter {
        endpoint  http://127.0.0.1:%%PORT_c%%/v1/traces;
        interval  50ms;
    }

    upstream b {
        server 127.0.0.1:%%PORT_b%%;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        aggregate_trace  on;

        location /cached {
            proxy_cache                    nginx;
            proxy_cache_use_stale          updating;
            proxy_cache_background_update  on;
            proxy_pass                     http://b;
            add_header                     X-Status $upstream_cache_status;
        }

        location = /metrics {
            aggregate_trace off;
            aggregate_metrics_status;
        }
    }
}

EOC

sub counted {
    return metrics(http_get('/metrics')->body)
        ->value('gateway_backend_duration_seconds_count', backend => 'b');
}

is(http_get('/cached')->header('X-Status'), 'MISS', 'a miss');
is(http_get('/cached')->header('X-Status'), 'HIT', 'a hit');
ok(wait_for(sub { scalar(() = spans($c)) >= 3 }, slow(5)), 'three spans');
my ($hit) = grep { ($_->{attrs}{'gateway.backend'} || '') eq '_cache' }
    spans($c);
ok($hit, 'a hit has no backend');
is(counted(), 1, 'one request to the backend');

sleep 2.1;
is(http_get('/cached')->header('X-Status'), 'STALE', 'stale');
ok(wait_for(sub { (counted() || 0) == 2 }, slow(5)),
   'the update is counted');

my $sent;
wait_for(sub {
    my ($q) = ($b->log)[-1];
    ($sent) = ($q->{head} || '') =~ /traceparent: 00-\w+-(\w+)-0[13]/i;
    $sent && grep { $_->{span_id} eq $sent } spans($c);
}, slow(5));
my ($span) = grep { $_->{span_id} eq ($sent || '') } spans($c);
ok($span, 'the update has the span that it has sent');
is($span->{kind}, 'CLIENT', 'a request to a backend');
