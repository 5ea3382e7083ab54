#!/usr/bin/perl

# What is counted of an aggregate and of its parts, of a cache, and the texts
# of other locations that are included.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;

my $t = Harness->new(plan => 64);

my $once = 0;

my $b = $t->backend('b',
    '/ok'    => '{"id":[1,2,2]}',
    '/500'   => { status => 500, body => '{}' },
    '/404'   => { status => 404, body => '{}' },
    '/bad'   => '{',
    '/hang'  => { action => 'hang' },
    '/retry' => sub { $once++ % 2 ? '{}' : { status => 503 } },
    '/item'  => '{}',
    '/page'  => "# HELP other_total Other.\n# TYPE other_total counter\n"
                . "other_total 7\n",
    '/twice' => "other_total 1\n",
    '/html'  => '<html></html>',
    '/big'   => { body => "a 1\n" x 300000, type => 'text/plain' },
    '/late'  => { body => "late 1\n", delay => slow(4) },
);

my $dead = $t->dead_port;

$t->run(<<'EOC' =~ s/DEAD/$dead/gr);

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 512k;
    aggregate_cache_zone    cache 1m;
    breaker_zone            main 1m;
    breaker_policy          p { failure_threshold 1; recovery_timeout 60s; }

    upstream b {
        server 127.0.0.1:%%PORT_b%%;
    }

    upstream tries {
        server 127.0.0.1:%%PORT_b%%;
        server 127.0.0.1:DEAD backup;
    }

    server {
        listen             127.0.0.1:%%PORT_0%%;
        server_name        localhost;
        aggregate_metrics  gw;

        location /b/     { proxy_pass http://b/; }
        location /cached { rewrite ^ /ok break; proxy_pass http://b;
                           aggregate_cache cache;
                           aggregate_cache_valid 1m; }
        location /open   { rewrite ^ /500 break; proxy_pass http://b;
                           breaker x zone=main policy=p; }
        location /dead   { proxy_pass http://127.0.0.1:DEAD; }
        location /static { return 200 '{}'; }

        location = /complete {
            aggregate { backend one /b/ok { } backend two /static { } }
        }

        location = /partial {
            aggregate {
                backend one /b/ok { }
                backend s404 /b/404 { }
                backend s500 /b/500 { }
                backend bad /b/bad { }
                backend dead /dead { }
                backend slow /b/hang { timeout 100ms; }
                backend uri /b/$arg_none/x { }
                backend dep /b/${s404.x} { }
            }
        }

        location = /failed {
            aggregate {
                backend must /b/500 { required; }
                backend cut /b/hang { }
            }
        }

        location = /again {
            aggregate { backend again /b/retry { retry 1; } }
        }

        location = /each {
            aggregate {
                backend list /b/ok { }
                backend each1 /b/item?id=${item.} { each list.id; as items; }
            }
        }

        location = /cache {
            aggregate { backend c /cached { } backend d /b/ok { } }
        }

        location = /breaker {
            aggregate { backend x /open { } backend y /b/ok { } }
        }

        location = /nested {
            aggregate { backend inner /complete { } }
        }

        location = /breakers { breaker_status; }
        location = /cachestatus { aggregate_cache_status; }

        location = /metrics {
            aggregate_metrics off;
            aggregate_metrics_status gw
                include=/breakers?format=prometheus
                include=/b/page include=/b/html include=/b/twice
                include=/b/404 include=/b/big include=/static
                include=/b/item;
        }

        location = /late {
            aggregate_metrics_status include=/b/late include=/b/page;
        }

        location = /plain {
            aggregate_metrics off;
            aggregate_metrics_status;
        }
    }
}

EOC

sub get { return http_get(@_)->status }

sub scrape { return metrics(http_get('/plain')->body) }

is(get('/complete'), 200, 'complete');
is(get('/partial'), 200, 'partial');
is(get('/failed'), 502, 'failed');
is(get('/again'), 200, 'again');
is(get('/each'), 200, 'each');
is(get('/cache'), 200, 'cache') for 1 .. 2;
is(get('/cached'), 200, 'cached') for 1 .. 2;
is(get('/breaker'), 200, 'breaker') for 1 .. 2;
is(get('/nested'), 200, 'nested');

# the last one is counted after its answer was read

my $outcome = 'gateway_aggregates_total';
my $m;

wait_for(sub {
    $m = scrape();
    return ($m->value($outcome, route => '/nested', outcome => 'complete')
            || 0) >= 2;
});

is($m->errors, '', 'well formed');

my $backend = 'gateway_backend_duration_seconds_count';
my $errors = 'gateway_backend_errors_total';
my $cache = 'gateway_cache_requests_total';

for my $case (
    [ $outcome, 1, route => '/complete', outcome => 'complete' ],
    [ $outcome, 1, route => '/partial', outcome => 'partial' ],
    [ $outcome, 1, route => '/failed', outcome => 'failed' ],
    [ $outcome, 2, route => '/nested', outcome => 'complete' ],
    [ 'gateway_request_duration_seconds_count', 1, route => '/partial',
      backend => '_aggregate' ],
    [ 'gateway_request_duration_seconds_count', 1, route => '/cached',
      backend => '_cache' ],

    [ $backend, 1, route => '/complete', backend => 'one' ],
    [ $backend, 1, route => '/complete', backend => 'two' ],
    [ $backend, undef, route => '/complete', backend => 'b' ],
    [ $backend, 1, route => '/partial', backend => 's404' ],
    [ $backend, 1, route => '/partial', backend => 'dead' ],
    [ $backend, 1, route => '/partial', backend => 'slow' ],
    [ $backend, undef, route => '/partial', backend => 'uri' ],
    [ $backend, undef, route => '/partial', backend => 'dep' ],
    [ $backend, undef, route => '/failed', backend => 'cut' ],
    [ $backend, 1, route => '/again', backend => 'again' ],
    [ $backend, 2, route => '/each', backend => 'each1' ],
    [ $backend, 1, route => '/cache', backend => 'c' ],
    [ $backend, 1, route => '/breaker', backend => 'x' ],
    [ $backend, 1, route => '/nested', backend => 'inner' ],
    [ $backend, 1, route => '/nested', backend => 'one' ],

    [ $errors, 1, service => 's404', status => '404' ],
    [ $errors, 1, service => 's500', status => '500' ],
    [ $errors, 1, service => 'bad', status => 'invalid_json' ],
    [ $errors, 1, service => 'dead', status => 'connect' ],
    [ $errors, 1, service => 'slow', status => 'timeout' ],
    [ $errors, 1, service => 'uri', status => 'bad_uri' ],
    [ $errors, 1, service => 'dep', status => 'dependency' ],
    [ $errors, undef, service => 'cut' ],
    [ $errors, undef, service => 'again' ],
    [ $errors, 1, service => 'x', status => '500' ],
    [ $errors, 1, service => 'x', status => 'breaker_open' ],
    [ 'gateway_backend_retries_total', 1, service => 'again' ],
    [ 'gateway_backend_cancelled_total', 1, service => 'cut' ],

    [ $cache, 1, route => '/cache', result => 'miss' ],
    [ $cache, 1, route => '/cache', result => 'hit', tier => 'L1' ],
    [ $cache, 1, route => '/cached', result => 'hit', tier => 'L1' ],
) {
    my ($name, $wanted, %labels) = @$case;
    is($m->value($name, %labels), $wanted,
       "$name @{[ map { qq($_=$labels{$_}) } sort keys %labels ]}");
}

ok(wait_for(sub { !scrape()->sum('gateway_backend_in_flight') }),
   'none is in flight');

# included

for my $accept ('text/plain', 'application/openmetrics-text') {
    my $r = http_get('/metrics', headers => [ Accept => $accept ]);
    my $m = metrics($r->body);

    is($m->errors, '', "$accept: well formed");
    is($m->value('breaker_state', zone => 'main', key => 'x'), 1,
       "$accept: the breaker's");
    is($m->value('other_total'), 7, "$accept: another page");
    is($m->value('aggregate_cache_hits_total', tier => 'L1'), 2,
       "$accept: the cache's");
    is(join(' ', map { "$_->{uri}:$_->{''}" }
                 $m->series('gateway_include_up')),
       '/breakers?format=prometheus:1 /b/page:1 /b/html:0 /b/twice:0'
       . ' /b/404:0 /b/big:0 /static:0 /b/item:0', "$accept: which of them");
    is(promtool($r->body), '', 'promtool') if $accept eq 'text/plain';
}

my $r = http_get('/late', timeout => slow(10));
$m = metrics($r->body);
is($m->value('other_total'), 7, 'one is late: the other is there');
is($m->value('gateway_include_up', uri => '/b/late'), 0, 'and it is not up');
