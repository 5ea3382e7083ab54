#!/usr/bin/perl

# Clients that leave: the fetch for which others wait, or may, goes on without
# its client, and a request that is taken from under its wait is left alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::H2;

my $t = Harness->new(plan => 56);

my @fresh = (headers => [ 'Cache-Control' => 'max-age=60' ]);

my $b = $t->backend('api',
    '/a/'       => { body => 'a', delay => 0.4, @fresh },
    '/b/'       => { body => 'a' x 900_000, delay => 0.2, @fresh },
    '/drip/'    => { body => 'a' x 900_000, drip => 0.01,
                     drip_bytes => 30_000, @fresh },
    '/hang/'    => { action => 'hang' },
    '/none/'    => { body => 'a' x 200_000, delay => 0.3, drip => 0.05,
                     drip_bytes => 1000 },
    '/part/'    => { body => '{"x":1}', delay => 0.4, @fresh },
    '/later/'   => { body => '{"y":1}', delay => 0.8, @fresh },
    '/post/'    => { body => 'x', delay => 1.5 },
    '/long/'    => { body => 'a', delay => 1, @fresh },
    '/fail/'    => { status => 503, delay => 0.4 },
);

$t->run(<<'EOF');

%%GLOBALS%%

worker_processes  1;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 8m;
    log_format  status  '$uri $status $aggregate_cache_reason';

    server {
        listen       127.0.0.1:%%PORT_0%%;
        listen       127.0.0.1:%%PORT_h2%% http2;
        server_name  localhost;

        access_log   %%TESTDIR%%/status.log status;

        aggregate_cache_lock_timeout  60s;

        proxy_buffers          4 8k;
        proxy_max_temp_file_size 0;

        location / {
            aggregate_cache  api;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /drip/ {
            aggregate_cache  api;
            proxy_buffering  off;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /post/ {
            aggregate_cache  api;
            post_action      @after;
            proxy_pass  http://127.0.0.1:%%PORT_api%%/long/;
        }

        location /posted/ {
            aggregate_cache  api;
            post_action      /after;
            proxy_pass  http://127.0.0.1:%%PORT_api%%/long/;
        }

        location @after {
            aggregate_cache  api;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /after {
            return  204;
        }

        location /fail/ {
            aggregate_cache         api;
            proxy_intercept_errors  on;
            error_page              503 = @instead;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /required/ {
            aggregate_cache  api;
            error_page       503 /a/instead;

            aggregate {
                backend a /failing/x { required; }
            }
        }

        location /failing/ {
            proxy_pass  http://127.0.0.1:%%PORT_api%%/fail/;
        }

        location @instead {
            aggregate_cache  api;
            rewrite     ^ /a/instead break;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /agg/ {
            aggregate_cache      api;
            aggregate_cache_ttl  /agg 60s;

            aggregate {
                backend a /part/a { }
                backend b /part/b { }
            }
        }

        location /two/ {
            aggregate_cache      api;
            aggregate_cache_ttl  /two 60s;

            aggregate {
                backend a /part$uri { }
                backend b /later$uri { }
            }
        }

        location /later/ {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /part/ {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /stub {
            aggregate_cache  off;
            stub_status;
        }
    }
}

EOF

sub leave {
    my ($uri, $how, $after) = @_;

    my $c = $t->connect;
    $c->request(GET => $uri);
    sleep($after || 0.1);
    $c->$how;
    return;
}

# twenty that give up, one after the other, and one that does not

my @c = map { my $c = $t->connect; $c->request(GET => '/a/1'); $c } 1 .. 20;

ok(wait_for(sub { $b->count('/a/1') }, 5), 'asked');
sleep(0.1);
$_->close for @c;
@c = ();

my $r = http_get('/a/1');
is($r->status . $r->body . $r->header('X-Cache'), '200aHIT', 'one waits');
is($b->count('/a/1'), 1, 'one call');

for my $how ('close', 'reset', 'shutdown') {
    leave("/a/$how", $how);
    ok(wait_for(sub { my $log = ($b->log("/a/$how"))[0];
                      $log && $log->{done} }, 5), "$how, the fetch goes on");
    $r = http_get("/a/$how");
    is($r->body . $r->header('X-Cache'), 'aHIT', "$how, stored");
    is($b->count("/a/$how"), 1, "$how, one call");
}

# HTTP/2: one stream, the connection

my $h = Harness::H2->new(port => $t->port('h2'));
my $id = $h->request(GET => '/a/stream');
ok(wait_for(sub { $b->count('/a/stream') }, 5), 'a stream');
$h->rst($id);
$id = $h->request(GET => '/a/stream');
is($h->wait($id, 5)->{body}, 'a', 'its response is stored');

$h->request(GET => '/a/connection');
ok(wait_for(sub { $b->count('/a/connection') }, 5), 'a connection');
$h->close;

$h = Harness::H2->new(port => $t->port('h2'));
$id = $h->request(GET => '/a/connection');
is($h->wait($id, 5)->{body}, 'a', 'its response is stored');
is($b->count('/a/stream') + $b->count('/a/connection'), 2, 'two calls');
$h->close;

# in the middle of a body that nobody reads

for my $uri ('/b/1', '/drip/1') {
    my $c = $t->connect;
    $c->request(GET => $uri);
    ok($c->readable(5), "$uri, has begun");
    sleep(0.2);
    $c->reset;
    is(length http_get($uri)->body, 900_000, "$uri, the whole");
    is($b->count($uri), 1, "$uri, one call");
}

# an aggregate

leave('/agg/a', 'close');
$r = http_get('/agg/a');
is_deeply($r->json, { a => { x => 1 }, b => { x => 1 } }, 'an aggregate');
is($r->header('X-Cache') . $b->count('/part/a'), 'HIT1', 'one call');

# over HTTP/2, after the first of its parts has come

for my $how ('stream', 'connection', 'both') {
    $h = Harness::H2->new(port => $t->port('h2'));
    $id = $h->request(GET => "/two/$how");
    ok(wait_for(sub { $b->count("/later/two/$how") }, 5), "$how, asked");

    $h->rst($id) if $how ne 'connection';
    sleep(0.1) if $how eq 'both';
    $h->close if $how ne 'stream';

    ok(wait_for(sub { my $log = ($b->log("/later/two/$how"))[0];
                      $log && $log->{done} && !$log->{aborted} }, 5),
       "$how, its last part is fetched");

    $h = Harness::H2->new(port => $t->port('h2'));
    $r = $h->wait($h->request(GET => "/two/$how"), 5);
    is($r->{body} . $b->count("/later/two/$how"),
       '{"a":{"x":1},"b":{"y":1}}1', "$how, the aggregate is stored");
    $h->close;
}

# an error page that needs a backend is for nobody

for my $uri ('/fail/1', '/required/1') {
    my $asked = $uri =~ /required/ ? '/fail/x' : $uri;

    for my $how ('http', 'http2') {
        $b->clear;

        if ($how eq 'http') {
            leave($uri, 'close');

        } else {
            $h = Harness::H2->new(port => $t->port('h2'));
            $h->request(GET => $uri);
            ok(wait_for(sub { $b->count($asked) }, 5), "$uri, asked");
            $h->close;
        }

        ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 5),
           "$uri, $how, no connection is left");
        is($b->count('/a/instead'), 0, "$uri, $how, no other page");
    }
}

# what is not to be stored ends with its client

leave('/none/1', 'close');
ok(wait_for(sub { my $log = ($b->log('/none/1'))[0];
                  $log && $log->{aborted} }, 5), 'not storable: it ends');

# a post_action takes over while the request waits for another's fetch

for my $where ('post', 'posted') {
    my $first = $t->connect;
    $first->request(GET => "/$where/1");
    ok(wait_for(sub { $b->count('/long/1') }, 5), "$where, a fetch");

    leave("/$where/1", 'close');

    is($first->response->body, "a", "$where, its response");
    $b->clear;
}

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 5),
   'no connection is left');

# nor does a worker wait for such a fetch when it is to exit

leave('/hang/1', 'close');
ok(wait_for(sub { $b->count('/hang/1') }, 5), 'a backend that hangs');
ok(!($b->log('/hang/1'))[0]{aborted}, 'the fetch goes on');

my ($worker) = $t->workers;
my $start = time;
$t->allow_worker_exit;
$t->signal('QUIT');
ok(wait_for(sub { !kill 0, $worker }, 10), 'it exits');
cmp_ok(time - $start, '<', Harness::slow(3), 'at once');

my $log = $t->read_file('status.log');

like($log, qr{^/a/close 499 -$}m, 'in the log: the client was gone');
like($log, qr{^/none/1 499 no-freshness$}m, 'in the log: not stored');
