#!/usr/bin/perl

# nginx terminates a request at once if a part of its page cannot be sent, and
# its subrequests do not end.  The parts of an aggregate among them are counted
# no longer, and its outcome nowhere.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Metrics;

my $t = Harness->new(plan => 9);

$t->backend('b', '/slow' => { body => '{}', delay => slow(20) },
            '*' => '{}');

$t->write_file('www/big.txt', 'x' x 8_000_000);
$t->write_file('www/page.html', '<!--#include virtual="/big.txt" -->'
               . '<!--#include virtual="/slow" -->');

$t->run(<<'EOC');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_metrics_zone  gw 512k;
    aggregate_metrics       gw;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;
        root         %%TESTDIR%%/www;

        location = /page.html {
            ssi  on;
        }

        location = /slow {
            aggregate {
                timeout  1m;
                backend  a /_/slow { }
                backend  b /_/slow { hedge 50ms max=100%; timeout 1m; }
            }
        }

        location = /fast {
            aggregate {
                backend  a /_/fast { }
            }
        }

        location /_/ {
            proxy_pass  http://127.0.0.1:%%PORT_b%%/;
        }

        location = /metrics {
            aggregate_metrics_status;
        }
    }
}

EOC

sub in_flight {
    return metrics(http_get('/metrics')->body)
        ->sum('gateway_backend_in_flight') || 0;
}

sub outcomes {
    return metrics(http_get('/metrics')->body)
        ->sum('gateway_aggregates_total') || 0;
}

for my $round (1 .. 3) {
    my $c = $t->connect;

    $c->send("GET /page.html HTTP/1.1\r\nHost: localhost\r\n\r\n");

    ok(wait_for(sub { in_flight() >= 2 }, slow(5)), "$round: both are called");

    # the rest of the large file cannot be sent

    $c->close;

    ok(wait_for(sub { in_flight() == 0 }, slow(5)), "$round: neither is");
}

is(outcomes(), 0, 'no outcome');
is(http_get('/fast')->status, 200, 'one with an answer');
ok(wait_for(sub { outcomes() == 1 }, slow(5)), 'has an outcome');
