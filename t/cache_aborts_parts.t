#!/usr/bin/perl

# Clients that leave an aggregate which is not cached itself: what its parts
# fetch for the cache is fetched to the end, and everything else is cancelled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::H2;

my $t = Harness->new(plan => 51);

my @fresh = (headers => [ 'Cache-Control' => 'max-age=60' ]);
my $large = '"' . 'a' x 900_000 . '"';

my $b = $t->backend('api',
    '/a/'     => { body => '"a"', delay => slow(0.3), @fresh },
    '/late/'  => { body => '"l"', delay => slow(0.6), @fresh },
    '/fast/'  => { body => '"f"', @fresh },
    '/b/'     => { body => $large, delay => slow(0.3), @fresh },
    '/drip/'  => { body => $large, drip => 0.01, drip_bytes => 30_000,
                   @fresh },
    '/slow/'  => { delay => 20 },
    '/none/'  => { body => '"' . 'a' x 200_000 . '"', delay => slow(0.3),
                   drip => 0.05, drip_bytes => 1000 },
    '/over/'  => { body => $large, drip => 0.05, drip_bytes => 5000,
                   chunked => 1, @fresh },
    '/error/' => { status => 503, body => 'no', delay => slow(0.3) },
    '/hang/'  => { action => 'hang' },
);

$t->run(<<'EOF');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 8m max_object=1m;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        listen       127.0.0.1:%%PORT_h2%% http2;
        server_name  localhost;

        proxy_buffers            4 8k;
        proxy_max_temp_file_size 0;

        location /cached/ {
            aggregate_cache  api;
            proxy_pass  http://127.0.0.1:%%PORT_api%%/;
        }

        location /cached/over/ {
            aggregate_cache  small;
            proxy_pass  http://127.0.0.1:%%PORT_api%%/over/;
        }

        location /plain/ {
            proxy_pass  http://127.0.0.1:%%PORT_api%%/;
        }

        location ~ ^/one/(?<what>\w+)/(?<key>\w+)$ {
            aggregate {
                timeout 30s;
                backend x /cached/$what/$key { }
            }
        }

        location ~ ^/two/(?<what>\w+)/(?<key>\w+)$ {
            aggregate {
                timeout 30s;
                backend f /cached/fast/1 { }
                backend x /cached/$what/$key { }
                backend y /cached/late/$key { }
                backend s /plain/slow/$what/$key { }
            }
        }

        location ~ ^/within/(?<what>\w+)/(?<key>\w+)$ {
            aggregate {
                timeout 30s;
                backend x /one/$what/$key { }
            }
        }

        location ~ ^/held/(?<what>\w+)/(?<key>\w+)$ {
            aggregate_cache      api;
            aggregate_cache_ttl  /held 60s;

            aggregate {
                timeout 30s;
                backend x /plain/$what/$key { }
                backend y /plain/fast/$what/$key { }
            }
        }

        location ~ ^/around/(?<what>\w+)/(?<key>\w+)$ {
            aggregate {
                timeout 30s;
                backend x /held/$what/$key { }
            }
        }

        location = /auth {
            auth_request  /one/late/auth;
            proxy_pass    http://127.0.0.1:%%PORT_api%%/fast/;
        }

        location = /auth2 {
            auth_request  /two/a/auth;
            proxy_pass    http://127.0.0.1:%%PORT_api%%/fast/;
        }

        location = /stub {
            stub_status;
        }
    }

    aggregate_cache_zone  small 8m max_object=64k;
}

EOF

sub leave {
    my ($uri, $asked, $how, $after) = @_;

    my $c = $t->connect;
    $c->request(GET => $uri);
    wait_for(sub { $b->count($asked) }, 5) or diag("$asked: not asked for");
    sleep($after) if $after;
    $c->$how;
    return;
}

sub done {
    my ($uri) = @_;

    return wait_for(sub { my $log = ($b->log($uri))[0];
                          $log && $log->{done} && !$log->{aborted} }, 10);
}

sub aborted {
    my ($uri) = @_;

    return wait_for(sub { my $log = ($b->log($uri))[0];
                          $log && $log->{aborted} }, 5);
}

# twenty that give up, and one that comes next

my @c = map { my $c = $t->connect; $c->request(GET => '/one/a/1'); $c } 1 .. 20;

ok(wait_for(sub { $b->count('/a/1') }, 5), 'asked');
sleep(slow(0.1));
$_->close for @c;
@c = ();

ok(done('/a/1'), 'twenty that give up, the fetch goes on');
is(http_get('/one/a/1')->body, '{"x":"a"}', 'the next one has it');
is($b->count('/a/1'), 1, 'one call');

for my $how ('close', 'reset', 'shutdown') {
    leave("/one/a/$how", "/a/$how", $how);
    ok(done("/a/$how"), "$how, the fetch goes on");
    is(http_get("/cached/a/$how")->header('X-Cache'), 'HIT', "$how, stored");
    is($b->count("/a/$how"), 1, "$how, one call");
}

# several parts: one is there, two go on, one is not for the cache

leave('/two/a/first', '/slow/a/first', 'reset');
ok(aborted('/slow/a/first'), 'a part that is not cached is cancelled');
ok(done('/a/first') && done('/late/first'), 'those that are go on');
is(http_get("/cached/$_")->header('X-Cache'), 'HIT', "$_, stored")
    for 'a/first', 'late/first', 'fast/1';

# aggregates within aggregates

leave('/within/a/in', '/a/in', 'close');
ok(done('/a/in'), 'a part of a part');
is(http_get('/cached/a/in')->header('X-Cache'), 'HIT', 'is stored');

leave('/around/a/held', '/a/held', 'close');
ok(done('/a/held'), 'a cached aggregate as a part');
is(http_get('/held/a/held')->body, '{"x":"a","y":"f"}', 'its answer');
is($b->count('/a/held') . $b->count('/fast/a/held'), '11', 'is stored');

# aggregates that are subrequests of others

leave('/auth', '/late/auth', 'close');
ok(done('/late/auth'), 'an aggregate of auth_request');
is(http_get('/cached/late/auth')->header('X-Cache'), 'HIT',
   'its part is stored');

for my $how ('rst', 'close') {
    my $h = Harness::H2->new(port => $t->port('h2'));
    my $id = $h->request(GET => '/auth2');
    ok(wait_for(sub { $b->count('/slow/a/auth') }, 5), "$how, asked");
    $h->$how($how eq 'rst' ? $id : ());
    ok(aborted('/slow/a/auth'), "$how, what is not cached is cancelled");
    $h->close;
    $b->clear;
}

# HTTP/2: a stream, and a connection

my $h = Harness::H2->new(port => $t->port('h2'));
my $id = $h->request(GET => '/two/a/stream');
ok(wait_for(sub { $b->count('/slow/a/stream') }, 5), 'a stream');
$h->rst($id);
ok(aborted('/slow/a/stream'), 'what is not cached is cancelled');
ok(done('/a/stream') && done('/late/stream'), 'what is goes on');
$id = $h->request(GET => '/one/a/stream');
is($h->wait($id, 5)->{body}, '{"x":"a"}', 'the connection is of use');
$id = $h->request(GET => '/one/late/stream');
is($h->wait($id, 5)->{body}, '{"x":"l"}', 'both are stored');
is($b->count("/$_/stream"), 1, "$_, one call") for 'a', 'late';

$h->request(GET => '/two/a/connection');
ok(wait_for(sub { $b->count('/slow/a/connection') }, 5), 'a connection');
$h->close;
ok(done('/a/connection'), 'the fetch goes on');

$h = Harness::H2->new(port => $t->port('h2'));
$id = $h->request(GET => '/one/a/connection');
is($h->wait($id, 5)->{body}, '{"x":"a"}', 'its response');
is($b->count('/a/connection'), 1, 'is stored');
$h->close;

# large bodies, before and after they have begun

for my $what ('b', 'drip') {
    leave("/one/$what/1", "/$what/1", 'reset', $what eq 'drip' ? 0.1 : 0);
    ok(done("/$what/1"), "a large body, $what, is read");
    my $r = http_get("/cached/$what/1");
    is($r->header('X-Cache') . length $r->body, 'HIT900002', 'and stored');
}

# what turns out not to be for the cache ends

leave('/one/none/1', '/none/1', 'close');
ok(aborted('/none/1'), 'not storable: it ends');

leave('/one/over/1', '/over/1', 'close');
ok(aborted('/over/1'), 'too large: it ends');

leave('/within/none/2', '/none/2', 'close');
ok(aborted('/none/2'), 'not storable, in a part of a part: it ends');

leave('/one/error/1', '/error/1', 'close');
ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 5),
   'no connection is left');

# a worker that is to exit does not wait

leave('/one/hang/1', '/hang/1', 'close');
ok(!($b->log('/hang/1'))[0]{aborted}, 'a backend that hangs');

my ($worker) = $t->workers;
my $start = time;
$t->allow_worker_exit;
$t->signal('QUIT');
ok(wait_for(sub { !kill 0, $worker }, 10), 'the worker exits');
cmp_ok(time - $start, '<', slow(3), 'at once');
