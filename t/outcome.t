#!/usr/bin/perl

# What metrics and traces tell of the ways in which aggregates and GraphQL
# operations end: one that nobody waits for any more is none of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);

use Harness;
use Harness::Metrics;
use Harness::Otlp;

# URI, status, outcome, parts, failed parts

my @cases = (
    [ '/agg',                        200, 'complete', 2, 0 ],
    [ '/agg/partial',                200, 'partial', 2, 1 ],
    [ '/agg/failed',                 502, 'failed', 2, 2 ],
    [ '/gql?query={a{v}b{v}}',       200, 'complete', 2, 0 ],
    [ '/gql?query={a{v}x:a{v}}',     200, 'complete', 1, 0 ],
    [ '/gql?query={a{v}bad{v}}',     200, 'partial', 2, 1 ],
    [ '/gql?query={a{v}badreq{v}}',  200, 'partial', 2, 1 ],
);

my @slow = ('/agg/slow', '/gql?query={a{v}slow{v}}');

my $t = Harness->new(plan => 3 * @cases + 2 * @slow + 8);

my $c = $t->backend('c', '/v1/traces' => { body => '', type => undef });

$t->backend('b',
    '/'     => '{"v":1}',
    '/bad'  => { status => 500, body => '{}' },
    '/slow' => { body => '{"v":1}', delay => slow(1) },
);

$t->write_file('s.graphql', <<'EOF');
type Query {
    a: A       @rest(get: "/b/a")
    b: A       @rest(get: "/b/b")
    bad: A     @rest(get: "/b/bad")
    badreq: A! @rest(get: "/b/bad")
    slow: A    @rest(get: "/b/slow")
}

type A { v: Int }
EOF

$t->run(<<'EOF');

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
        service   gateway;
        interval  50ms;
    }

    server {
        listen           127.0.0.1:%%PORT_0%%;
        server_name      localhost;
        aggregate_trace  on;

        location /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }

        location = /agg {
            aggregate { backend a /b/a { } backend b /b/b { } }
        }

        location = /agg/partial {
            aggregate { backend a /b/a { } backend b /b/bad { } }
        }

        location = /agg/failed {
            aggregate {
                backend a /b/slow { }
                backend b /b/bad { required; }
            }
        }

        location = /agg/slow {
            aggregate { backend a /b/a { } backend b /b/slow { } }
        }

        location = /gql {
            aggregate_graphql %%TESTDIR%%/s.graphql { }
        }

        location = /metrics {
            aggregate_metrics  off;
            aggregate_trace    off;
            aggregate_metrics_status;
        }
    }
}

EOF

my $seen = 0;

# the span of the next aggregate
sub aggregate {
    my @spans;

    wait_for(sub {
        my @log = $c->log;

        @spans = grep { $_->{name} eq 'gateway.aggregate' }
            map { @{ otlp($_)->{spans} } } @log;

        return @spans > $seen;
    }, slow(5));

    return $spans[$seen++] || {};
}

my %count;

for my $case (@cases) {
    my ($uri, $status, $outcome, $parts, $failed) = @$case;
    my $r = http_get($uri);
    my $span = aggregate();

    is($r->status, $status, "$uri, $status");
    is_deeply($span->{attrs}, { 'gateway.outcome' => $outcome,
        'gateway.parts' => $parts, 'gateway.parts_failed' => $failed },
        "$uri, its span");
    is($span->{status} || 0, $outcome eq 'failed' ? 2 : 0,
        "$uri, whether that is an error");

    $count{ $uri =~ /gql/ ? '/gql' : $uri }{$outcome}++;
}

# a client that leaves

for my $uri (@slow) {
    my $client = $t->connect;

    $client->request(GET => $uri);
    sleep slow(0.3);
    $client->close;

    my $span = aggregate();

    is($span->{attrs}{'gateway.cancelled'}, 1, "$uri, cancelled");
    is($span->{status} || 0, 0, "$uri, no error");
}

my $m = metrics(http_get('/metrics')->body);
my $total = 'gateway_aggregates_total';

is($m->errors, '', 'well formed');

for my $route ('/agg', '/agg/partial', '/agg/failed', '/gql') {
    is($m->sum($total, route => $route),
       eval { my $n = 0; $n += $_ for values %{ $count{$route} }; $n },
       "$route, counted");
}

is($m->value($total, route => '/gql', outcome => 'partial'), 2,
    'partial answers of GraphQL');
is($m->value($total, route => '/gql', outcome => 'failed'), undef,
    'and none has failed');
is($m->sum($total, route => '/agg/slow') || 0, 0,
    'one that was cancelled is not counted');
