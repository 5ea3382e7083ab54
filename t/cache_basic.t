#!/usr/bin/perl

# A response is kept and served again: freshness, headers, HEAD, conditional
# requests, ranges, variables.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Harness;

my $t = Harness->new(plan => 63);

my $n = 0;

my $b = $t->backend('api',
    '/a' => { headers => [ 'Cache-Control' => 'max-age=60', ETag => '"v1"',
                           'Last-Modified' =>
                               'Mon, 28 Sep 1970 06:00:00 GMT',
                           'X-Custom' => 'one', 'X-Custom' => 'two' ],
              type => 'application/json; charset=utf-8',
              body => '0123456789' },
    '/count/' => sub {
        my ($q) = @_;
        return { body => 'n' . ++$n, headers =>
                 [ 'Cache-Control' => 'max-age=60' ] };
    },
    '/none' => { body => 'none' },
    '/short' => { body => 'short',
                  headers => [ 'Cache-Control' => 'max-age=1' ] },
    '/aged' => { body => 'aged', headers =>
                 [ 'Cache-Control' => 'max-age=60', Age => 20 ] },
    '/old' => { body => 'old', headers =>
                [ 'Cache-Control' => 'max-age=60', Age => 70 ] },
    '/ttl/a' => { body => 'ttl' },
    '/ttl/no/a' => { body => 'ttl' },
    '/404' => { status => 404, body => 'no' },
    '/301' => { status => 301, headers =>
                [ Location => 'http://x.example/', 'Cache-Control' =>
                  'max-age=60' ] },
    '/204' => { status => 204, headers =>
                [ 'Cache-Control' => 'max-age=60' ] },
    '/empty' => { body => '', headers =>
                [ 'Cache-Control' => 'max-age=60' ] },
    '/chunked' => { chunked => [ 'abc', 'def' ], headers =>
                    [ 'Cache-Control' => 'max-age=60' ] },
    '/big' => { body => '0123456789', repeat => 20000, headers =>
                [ 'Cache-Control' => 'max-age=60' ] },
    '/large' => { body => '0123456789', repeat => 200000, headers =>
                  [ 'Cache-Control' => 'max-age=60' ] },
    '/cut' => { body => 'x' x 1000, cut => 100, headers =>
                [ 'Cache-Control' => 'max-age=60' ] },
    '/cutchunked' => { raw => "HTTP/1.1 200 OK\r\nCache-Control: max-age=60"
        . "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", },
);

$t->run(<<'EOF');

%%GLOBALS%%

events {
}

http {
    %%HTTP%%

    log_format  cache  '$uri $aggregate_cache_status $aggregate_cache_tier'
                       ' $aggregate_cache_key';
    access_log  %%TESTDIR%%/cache.log cache;

    aggregate_cache_zone  api 4m;

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  localhost;

        proxy_http_version  1.1;
        proxy_set_header    Connection "";

        location / {
            aggregate_cache        api;
            aggregate_cache_ttl    /ttl 60s;
            aggregate_cache_ttl    /ttl/no 0;
            aggregate_cache_valid  404 60s;
            proxy_pass             http://127.0.0.1:%%PORT_api%%;
        }

        location = /state {
            aggregate_cache_status;
        }
    }
}

EOF

# a miss, then a hit

my $r = http_get('/a');
is($r->status, 200, 'miss');
is($r->header('X-Cache'), 'MISS', 'X-Cache of a miss');
like($r->header('Cache-Status'),
     qr/^aggregate; fwd=uri-miss; fwd-status=200; stored$/, 'Cache-Status');
is($r->header('Age'), undef, 'no Age on a miss');

$r = http_get('/a');
is($r->status, 200, 'hit');
is($r->body, '0123456789', 'hit, body');
is($r->header('X-Cache'), 'HIT', 'X-Cache of a hit');
like($r->header('Cache-Status'), qr/^aggregate; hit; ttl=\d+; detail=L1$/,
     'Cache-Status of a hit');
like($r->header('Age'), qr/^\d$/, 'Age of a hit');
is($r->header('Content-Type'), 'application/json; charset=utf-8', 'type');
is($r->header('Content-Length'), 10, 'length');
is($r->header('ETag'), '"v1"', 'ETag');
is($r->header('Cache-Control'), 'max-age=60', 'Cache-Control');
is(join(' ', $r->headers('X-Custom')), 'one two', 'repeated headers');
is(scalar(my @d = $r->headers('Date')), 1, 'one Date');
is($r->header('Last-Modified'), 'Mon, 28 Sep 1970 06:00:00 GMT',
   'Last-Modified');
is(scalar(my @l = $r->headers('Last-Modified')), 1, 'once');
is($b->count('/a'), 1, 'the backend was asked once');

# HEAD, conditions, ranges from the entry

$r = http_request('HEAD', '/a');
is($r->status . $r->body . $r->header('Content-Length'), '20010', 'HEAD');
is($r->header('X-Cache'), 'HIT', 'HEAD is a hit');

$r = http_get('/a', headers => [ 'If-None-Match' => '"v1"' ]);
is($r->status, 304, 'If-None-Match');
is($r->header('X-Cache'), 'HIT', 'by the cache');

is(http_get('/a', headers => [ 'If-None-Match' => '"v2"' ])->status, 200,
   'another ETag');
is(http_get('/a', headers => [ 'If-Modified-Since' =>
   'Mon, 28 Sep 1970 06:00:00 GMT' ])->status, 304, 'If-Modified-Since');
is(http_get('/a', headers => [ 'If-Match' => '"v2"' ])->status, 412,
   'If-Match');

$r = http_get('/a', headers => [ Range => 'bytes=2-4' ]);
is($r->status . $r->body, '206234', 'range');
is($r->header('Content-Range'), 'bytes 2-4/10', 'Content-Range');
like(http_get('/a', headers => [ Range => 'bytes=0-1,3-4' ])->body,
     qr/01.*34/s, 'two ranges');
is(http_get('/a', headers => [ Range => 'bytes=20-' ])->status, 416,
   'range not satisfiable');
is($b->count('/a'), 1, 'all by the cache');

# the same on a miss: the whole is asked for and kept

$r = http_get('/count/r', headers => [ Range => 'bytes=1-' ]);
is($r->status . $r->body, '2061', 'range on a miss');
unlike(($b->log('/count/r'))[0]{head}, qr/Range/i, 'not at the backend');
is(http_get('/count/r')->body, 'n1', 'the whole is kept');

$r = http_get('/count/c', headers => [ 'If-None-Match' => '*' ]);
is($r->status . $r->body, '304', 'a condition on a miss');
is(http_get('/count/c')->body, 'n2', 'kept');

# arguments

is(http_get('/count/q?b=2&a=1')->body, http_get('/count/q?a=1&b=2')->body,
   'arguments in any order');
isnt(http_get('/count/q?a=1')->body, http_get('/count/q?a=2')->body,
     'arguments');
isnt(http_get('/count/q?a=1&a=2')->body, http_get('/count/q?a=2&a=1')->body,
     'equal names keep their order');
isnt(http_get('/count/q')->body, http_get('/count/q?')->body,
     'an empty query is another');
isnt(http_get('/count/x%2Fy')->body, http_get('/count/x/y')->body,
     'an encoded slash');

# freshness

my $start = time();
http_get($_) for qw(/none /aged /old /ttl/a /ttl/no/a /404 /301 /204 /empty
                    /chunked /big /large);

is(http_get('/none')->header('X-Cache'), 'MISS', 'nothing stated');
my $age = http_get('/aged')->header('Age');
ok($age >= 20 && $age <= 21 + time() - $start, 'Age is counted') or diag($age);
is(http_get('/old')->header('X-Cache'), 'MISS', 'too old when it came');
is(http_get('/ttl/a')->header('X-Cache'), 'HIT', 'ttl by prefix');
is(http_get('/ttl/no/a')->header('X-Cache'), 'MISS', 'the longest prefix');
is(http_get('/404')->header('X-Cache'), 'HIT', 'valid by status');

$r = http_get('/301');
is($r->status . $r->header('Location') . $r->header('X-Cache'),
   '301http://x.example/HIT', 'redirect');

$r = http_get('/204');
is($r->status . $r->header('X-Cache'), '204HIT', 'no content');

$r = http_get('/empty');
is($r->status . $r->body . $r->header('X-Cache'), '200HIT', 'empty body');

$r = http_get('/chunked');
is($r->body . $r->header('X-Cache'), 'abcdefHIT', 'chunked');

$r = http_get('/big');
is($r->header('X-Cache'), 'HIT', 'a large one');
ok($r->body eq '0123456789' x 20000, 'and its body');

$r = http_get('/large');
is($r->header('X-Cache'), 'MISS', 'too large');
is(length $r->body, 2000000, 'but delivered');

ok(wait_for(sub {
       http_get('/short');
       return http_get('/short')->header('X-Cache') eq 'HIT';
   }, 4), 'fresh for a second');
ok(wait_for(sub { http_get('/short')->header('X-Cache') eq 'MISS' }, 4),
   'and no longer');

# what is cut short is not kept

http_get('/cut');
is(http_get('/cut')->error, 'truncated', 'cut short');
http_get('/cutchunked', timeout => 2) for 1 .. 2;
is($b->count('/cut'), 2, 'not kept');

# HTTP/1.0, keep-alive, pipelining

like(http("GET /a HTTP/1.0\r\n\r\n")->body, qr/^0123456789$/, 'HTTP/1.0');

my $c = $t->connect;
$c->request(GET => '/a') for 1 .. 3;
is(join(' ', map { $c->response->body } 1 .. 3),
   join(' ', ('0123456789') x 3), 'pipelined');

# variables, state

my $state = http_get('/state')->json->{zones}{api};
cmp_ok($state->{hits}{L1}, '>', 10, 'hits are counted');

my $log = $t->read_file('cache.log');
like($log, qr{^/a MISS - [0-9a-f]{64}$}m, 'variables of a miss');
like($log, qr{^/a HIT L1 [0-9a-f]{64}$}m, 'variables of a hit');
