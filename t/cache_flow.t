#!/usr/bin/perl

# One fetch for many, stale answers, refreshes in the background, 304.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use Harness;

my $t = Harness->new(plan => 88);

my %n;

my $b = $t->backend('api',
    '/slow/'     => sub {
        my ($q) = @_;
        return { delay => 0.3, body => 'slow' . ++$n{$q->{uri}},
                 headers => [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/nostore/'  => { delay => 0.3, body => 'x', headers =>
                      [ 'Cache-Control' => 'no-store' ] },
    '/cookie/'   => sub {
        my ($q) = @_;
        return { delay => 0.3, body => 'c' . ++$n{$q->{uri}},
                 headers => [ 'Cache-Control' => 'max-age=60',
                              'Set-Cookie' => "n=$n{$q->{uri}}" ] };
    },
    '/fail/'     => { delay => 0.3, status => 500, body => 'failed' },
    '/reset/'    => { steps => [ [ wait => 0.3 ], [ 'reset' ] ] },
    '/swr/'      => sub {
        my ($q) = @_;
        my $i = ++$n{$q->{uri}};
        return { delay => $i > 1 ? 1 : 0, body => "v$i",
                 headers => [ 'Cache-Control' =>
                     'max-age=1, stale-while-revalidate=30' ] };
    },
    '/hit/'      => { body => '1', headers =>
                      [ 'Cache-Control' => 'max-age=60' ] },
    '/lead/'     => sub {
        my ($q) = @_;
        my ($how) = $q->{uri} =~ m{/lead/(\w+)};
        return { body => 'good', headers => [ 'Cache-Control' =>
                 'max-age=1, stale-while-revalidate=60' ] }
            if ++$n{$q->{uri}} == 1;
        return { status => 503, body => 'bad' } if $how eq 'error';
        return { body => 'bad', headers =>
                 [ 'X-Accel-Redirect' => '/elsewhere' ] };
    },
    '/elsewhere' => { body => 'elsewhere', headers =>
                      [ 'Cache-Control' => 'max-age=60' ] },
    '/sie/'      => sub {
        my ($q) = @_;
        my $i = ++$n{$q->{uri}};
        my ($how) = $q->{uri} =~ m{/sie/(\w+)};
        my @h = (headers => [ 'Cache-Control' =>
                              'max-age=1, stale-if-error=30' ]);
        return { body => 'good', headers => [ ETag => '"s"', @{ $h[1] } ] }
            if $i == 1;
        return { status => $1, body => 'bad', @h } if $how =~ /^(\d+)/;
        return { action => $how };
    },
    '/must'      => [ { body => 'good', headers =>
        [ 'Cache-Control' =>
          'max-age=1, must-revalidate, stale-if-error=30' ] },
        { status => 500, body => 'bad' } ],
    '/size/'     => sub {
        my ($q) = @_;
        return { body => 'part;', repeat => 20000,
                 body_delay => $q->{uri} =~ /slow/ ? 0.4 : 0,
                 headers => [ ETag => '"z"',
                 'Last-Modified' => 'Wed, 01 Jan 2020 00:00:00 GMT',
                 'Cache-Control' => 'max-age=60' ] };
    },
    '/tag/'      => sub {
        my ($q) = @_;
        my ($inm) = map { $_->[1] } grep { lc $_->[0] eq 'if-none-match' }
            @{ $q->{headers} };
        return { status => 304, headers => [ ETag => '"t"', 'Cache-Control'
                 => 'max-age=60', 'X-New' => 'yes' ] } if $inm;
        return { body => 'tagged', headers => [ ETag => '"t"',
                 'Cache-Control' => 'max-age=1', 'X-Old' => 'yes' ] };
    },
);

$t->write_file('50x.html', 'an error page');
$t->write_file('first.html', 'first');
$t->write_file('ssi.html', '<!--#include virtual="/first.html" -->'
               . '<!--#include virtual="/hits" -->');

$t->run(<<'EOF' =~ s/READ_TIMEOUT/int(slow(500)) . 'ms'/er);

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    aggregate_cache_zone  api 4m;

    map $uri $captured {
        default                      "";
        "~^/(s)(w)(r)(/)([a-z]+)$"  $5;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        aggregate_cache     api;
        proxy_read_timeout  READ_TIMEOUT;

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /slow/impatient {
            aggregate_cache_lock_timeout  50ms;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /slow/unlocked {
            aggregate_cache_lock  off;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /swr/ {
            proxy_read_timeout  5s;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /swrrewrite {
            proxy_read_timeout  5s;
            rewrite     ^/swr(rewrite)$ /swr/$1 break;

            proxy_set_header  X-Captured $captured;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /hits {
            aggregate_cache  off;

            aggregate {
                backend a /hit/a { }
                backend b /hit/${a.} { }
            }
        }

        location = /ssi.html {
            aggregate_cache  off;
            ssi   on;
            root  %%TESTDIR%%;
        }

        location = /first.html {
            aggregate_cache  off;
            root  %%TESTDIR%%;
        }

        location /lead/ {
            proxy_intercept_errors  on;
            error_page  503 = @elsewhere;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location @elsewhere {
            rewrite     ^ /elsewhere break;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /swrpart {
            aggregate_cache  off;

            aggregate {
                backend a /swr/part { encoding string; }
            }
        }

        location /sie/500page {
            proxy_intercept_errors  on;
            error_page  500 /50x.html;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /sie/502named {
            proxy_intercept_errors  on;
            error_page  502 = @other;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location /sie/503return {
            proxy_intercept_errors  on;
            error_page  503 /returned;
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /50x.html {
            root  %%TESTDIR%%;
        }

        location = /returned {
            return 200 "returned";
        }

        location @other {
            return 200 "other";
        }

        location = /agg {
            aggregate_cache_ttl  /agg 60s;

            aggregate {
                backend a /slow/agg { encoding string; }
                backend b /slow/agg { encoding string; }
            }
        }

        location = /state {
            aggregate_cache_status;
        }

        location = /stub {
            aggregate_cache off;
            stub_status;
        }
    }
}

EOF

sub burst {
    my ($uri, $n, @headers) = @_;

    my @c = map { $t->connect } 1 .. $n;
    my $start = time();

    $_->request(GET => $uri, close => 1, headers => [ @headers ]) for @c;
    my @r = map { $_->response } @c;

    return (time() - $start, @r);
}

# many clients on a cold key

my ($time, @r) = burst('/slow/a', 60);

is($b->count('/slow/a'), 1, 'one fetch for 60 clients');
is(scalar(grep { $_->body eq 'slow1' } @r), 60, 'all have it');
is(scalar(grep { $_->header('X-Cache') eq 'MISS' } @r), 1, 'one miss');
cmp_ok($time, '<', slow(0.6), 'they wait no longer than the fetch takes');

# nobody waits in a row for what cannot be kept

($time, @r) = burst('/nostore/a', 30);
is(scalar(grep { $_->body eq 'x' } @r), 30, 'not cacheable');
is($b->count('/nostore/a'), 30, 'each for itself');
cmp_ok($time, '<', slow(1.2), 'two rounds and no more');

($time, @r) = burst('/nostore/a', 30);
cmp_ok($time, '<', slow(0.8), 'known by now: one round');

($time, @r) = burst('/cookie/a', 20);
my %cookies = map { $_->header('Set-Cookie') => 1 } @r;
is(scalar(keys %cookies), 20, 'each its own cookie');
is(scalar(grep { 'c' . substr($_->header('Set-Cookie'), 2) ne $_->body } @r),
   0, 'and its own body');

($time, @r) = burst('/fail/a', 20);
is(scalar(grep { $_->status == 500 } @r), 20, 'errors go to all');
cmp_ok($time, '<', slow(1.2), 'not one after the other');

($time, @r) = burst('/reset/a', 20);
is(scalar(grep { $_->status == 502 } @r), 20, 'so do resets');
cmp_ok($time, '<', slow(1.2), 'not one after the other');

# a leader that goes away

my $c = $t->connect;
$c->request(GET => '/slow/left');
ok(wait_for(sub { $b->count('/slow/left') == 1 }), 'a client has asked');
my $second = $t->connect;
$second->request(GET => '/slow/left', close => 1);
sleep(0.05);
$c->reset;
is($second->response->body, 'slow1', 'its fetch goes on');

# a waiter that goes away

$c = $t->connect;
$c->request(GET => '/slow/waiter', close => 1);
ok(wait_for(sub { $b->count('/slow/waiter') == 1 }), 'fetching');
$second = $t->connect;
$second->request(GET => '/slow/waiter');
sleep(0.05);
$second->reset;
is($c->response->body, 'slow1', 'a waiter has left');

($time, @r) = burst('/slow/impatient', 5);
is($b->count('/slow/impatient'), 5, 'lock_timeout');

($time, @r) = burst('/slow/unlocked', 5);
is($b->count('/slow/unlocked'), 5, 'lock off');

# credentials do not wait for those who have none, nor get theirs

my @c = map { $t->connect } 1 .. 2;
$c[0]->request(GET => '/slow/cred', close => 1);
$c[1]->request(GET => '/slow/cred', close => 1,
               headers => [ Cookie => 'a=b' ]);
isnt($c[0]->response->body, $c[1]->response->body, 'credentials apart');

# stale while revalidating

is(http_get('/swr/a')->body, 'v1', 'fresh');
sleep(1.1);

$c = $t->connect;
my $start = time();
$c->request(GET => '/swr/a');
my $r = $c->response;
is($r->body . $r->header('X-Cache'), 'v1STALE', 'stale');
cmp_ok(time() - $start, '<', slow(0.3), 'at once');

$c->request(GET => '/state');
is($c->response->status, 200, 'the next request');
cmp_ok(time() - $start, '<', slow(0.5), 'does not wait for the refresh');

$c->request(GET => '/swr/a');
is($c->response->header('X-Cache'), 'STALE', 'stale until it is there');
ok(wait_for(sub { http_get('/swr/a')->body eq 'v2' }, 5), 'refreshed');
is($b->count('/swr/a'), 2, 'by one request');

sleep(1.1);
($time, @r) = burst('/swr/a', 30);
is(scalar(grep { $_->body eq 'v2' } @r), 30, 'a burst on a stale one');
ok(wait_for(sub { http_get('/swr/a')->body eq 'v3' }, 5), 'refreshed again');
is($b->count('/swr/a'), 3, 'once for all');

my ($q) = ($b->log('/swr/a'))[1];
unlike($q->{head}, qr/^(?:if-|range|accept-encoding)/im, 'a plain request');
like($q->{head}, qr/^host: /im, 'with a host');

# the same of a part, and of a rewritten request

is(http_get('/swrpart')->body, '{"a":"v1"}', 'a part: fresh');
is(http_get('/swrrewrite')->body, 'v1', 'rewritten: fresh');
sleep(1.1);
is(http_get('/swrrewrite')->body, 'v1', 'rewritten: stale');
ok(wait_for(sub { http_get('/swrrewrite')->body eq 'v2' }, 5),
   'rewritten: refreshed');
is($b->count('/swr/rewrite'), 2, 'rewritten: by one request');
like(($b->log('/swr/rewrite'))[1]{head}, qr/^x-captured: rewrite\r?$/im,
     'rewritten: a regex with more captures');
is(http_get('/swrpart')->body, '{"a":"v1"}', 'a part: stale');
ok(wait_for(sub { http_get('/swrpart')->body eq '{"a":"v2"}' }, 5),
   'a part: refreshed');
is($b->count('/swr/part'), 2, 'a part: by one request');

# parts that end before they are asked to go on, as SSI wakes the aggregate

is(http_get('/ssi.html')->body, 'first{"a":1,"b":1}', "SSI: $_")
    for qw(misses hits);
is($b->count('/hit/1'), 1, 'SSI: asked once');

# a refresh that is led elsewhere brings nothing for this place

for my $how (qw(error accel)) {
    my $uri = "/lead/$how";

    http_get($uri);
    wait_for(sub { http_get($uri)->header('X-Cache') eq 'STALE' }, 3);
    wait_for(sub { $b->count($uri) == 2
                   && $t->stub_status('/stub')->{writing} == 1 }, slow(5));
    my $r = http_get($uri);
    is($r->body . $r->header('X-Cache'), 'goodSTALE', "led away by $how");
}

# stale on error

for my $how (qw(500 502 503 504 close reset hang 500page 502named 503return))
{
    my $uri = "/sie/$how";

    http_get($uri);
    wait_for(sub { http_get($uri)->header('X-Cache') ne 'HIT' }, 3);
    my $r = http_get($uri);
    is($r->body . $r->header('X-Cache'), 'goodSTALE', "stale on $how");
}

# the same for one that has it, and for a HEAD

is(http_get('/sie/500', headers => [ 'If-None-Match' => '"s"' ])->status, 304,
   'stale on error, and not modified');
$r = http_request('HEAD', '/sie/500');
is($r->status . $r->header('X-Cache') . $r->header('Content-Length'),
   '200STALE4', 'stale on error: HEAD');
is(http_request('HEAD', '/sie/502named')->header('X-Cache'), 'STALE',
   'HEAD, with an error page');

$r = http_get('/sie/404');
sleep(1.1);
$r = http_get('/sie/404');
is($r->status, 404, 'a 404 is an answer');

http_get('/must');
sleep(1.1);
is(http_get('/must')->status, 500, 'must-revalidate');

# revalidation

http_get('/tag/a');
sleep(1.1);
$r = http_get('/tag/a');
is($r->status . $r->body . $r->header('X-Cache'), '200taggedREVALIDATED',
   'revalidated');
is($r->header('X-New') . $r->header('X-Old'), 'yesyes', 'headers are merged');
$r = http_get('/tag/a');
is($r->body . $r->header('X-Cache'), 'taggedHIT', 'fresh again');
is($b->count('/tag/a'), 2, 'one 304');
is(http_get('/tag/a', headers => [ 'If-None-Match' => '"t"' ])->status, 304,
   'still conditional');

http_get('/tag/b');
sleep(1.1);
$r = http_get('/tag/b', headers => [ 'If-None-Match' => '"t"' ]);
is($r->status . $r->header('X-Cache'), '304REVALIDATED',
   'revalidated, and not modified');
sleep(0.1);
is(http_get('/tag/b')->body, 'tagged', 'kept');

# a miss of a client that has it already: all of it is kept

for my $how ([ 'If-None-Match' => '"z"' ],
             [ 'If-Modified-Since' => 'Wed, 01 Jan 2020 00:00:00 GMT' ])
{
    my $uri = "/size/$how->[0]";

    $c = $t->connect;
    $c->request(GET => $uri, headers => $how);
    $r = $c->response;
    is($r->status . $r->header('X-Cache'), '304MISS', "$how->[0] on a miss");
    $c->request(GET => $uri, close => 1);
    $r = $c->response;
    is($r->header('X-Cache'), 'HIT', 'the next one on the connection');
    ok($r->body eq 'part;' x 20000, 'has the whole');
}

# it need not wait for what the others want

$c = $t->connect;
$c->request(GET => '/size/slow', headers => [ 'If-None-Match' => '"z"' ]);
is($c->response->status, 304, 'not modified, while the body comes');
$c->close;
$r = http_get('/size/slow');
is($r->header('X-Cache') . length($r->body), 'HIT100000',
   'the client has gone, and it is kept');
is($b->count('/size/slow'), 1, 'by one fetch');

is(http_get('/size/a', headers => [ 'If-None-Match' => '"y"' ])->status, 200,
   'another one on a miss');
is(http_get('/size/b', headers => [ 'If-Match' => '"y"' ])->status, 412,
   'If-Match on a miss');

# parts of an aggregate, and the aggregate itself

is_deeply(http_get('/agg')->json, { a => 'slow1', b => 'slow1' }, 'parts');
is($b->count('/slow/agg'), 1, 'one fetch for equal parts');
is(http_get('/agg')->header('X-Cache'), 'HIT', 'the aggregate is kept');

# unsafe methods

http_get('/slow/post');
is(http_get('/slow/post')->header('X-Cache'), 'HIT', 'kept');
http_request('POST', '/slow/post', body => 'x');
is(http_get('/slow/post')->header('X-Cache'), 'MISS', 'invalidated by POST');

is(http_get('/none', headers =>
   [ 'Cache-Control' => 'only-if-cached' ])->status, 504, 'only-if-cached');

undef $c;
undef $second;
@c = ();

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, 5),
   'no connection is left');
