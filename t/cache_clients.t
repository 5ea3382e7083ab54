#!/usr/bin/perl

# What is kept goes to clients of all protocols: HTTP/1.0, HTTP/2, TLS, with
# gzip, ranges and conditions; and one entry serves them all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use IO::Uncompress::Gunzip ();
use Time::HiRes qw(sleep);

use Harness;
use Harness::H2;

my $t = Harness->new(plan => 44);

my $text = join ' ', 1 .. 20000;
my @fresh = (headers => [ 'Cache-Control' => 'max-age=60',
                          ETag => '"e"' ]);

my $b = $t->backend('api',
    '/small'  => { body => '0123456789', @fresh },
    '/large'  => { body => $text, @fresh },
    '/cold/'  => { body => '0123456789', @fresh },
    '/zip/'   => { body => $text, gzip => 1, @fresh },
    '/cut/'   => { body => 'x' x 100_000, cut => 50_000, after => 'reset',
                   @fresh },
    '/chop/'  => { raw => "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
                   . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" },
    '/slow/'  => { body => 'slow', delay => 0.3, @fresh },
);

system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost'
       . ' -keyout ' . $t->testdir . '/key.pem -out ' . $t->testdir
       . '/cert.pem 2>/dev/null') == 0
    or die "openssl failed\n";

$t->run(<<'EOF');

%%GLOBALS%%

worker_processes  2;

events {
}

http {
    %%HTTP%%

    log_format  cache  '$server_protocol $uri $aggregate_cache_status';
    access_log  %%TESTDIR%%/cache.log cache;

    aggregate_cache_zone  api 4m;

    # one entry for all of them
    aggregate_cache_key   $uri;

    gzip            on;
    gzip_types      *;
    gzip_min_length 100;
    gzip_comp_level 1;
    gzip_vary       on;

    server {
        listen               127.0.0.1:%%PORT_0%%;
        listen               127.0.0.1:%%PORT_h2%% http2;
        listen               127.0.0.1:%%PORT_tls%% ssl http2;
        ssl_certificate      %%TESTDIR%%/cert.pem;
        ssl_certificate_key  %%TESTDIR%%/key.pem;
        server_name          localhost;

        aggregate_cache      api;
        proxy_http_version   1.1;
        proxy_set_header     Connection "";

        location / {
            proxy_pass  http://127.0.0.1:%%PORT_api%%;
        }

        location = /stub {
            aggregate_cache  off;
            stub_status;
        }
    }
}

EOF

# filled by one, served to all

is(http_get('/small')->header('X-Cache'), 'MISS', 'a fill');
is(http_get('/large')->header('X-Cache'), 'MISS', 'a large one');

my $c = $t->connect;
$c->send("GET /small HTTP/1.0\r\n\r\n");
my $r = $c->response;
is($r->status . $r->body . $r->header('X-Cache'), '2000123456789HIT',
   'HTTP/1.0');
ok($c->eof, 'HTTP/1.0: closed');

$c = $t->connect;
$c->send("GET /large HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
$r = $c->response;
ok($r->body eq $text, 'HTTP/1.0: large');
is($r->header('Connection') . $r->header('Content-Length'),
   'keep-alive' . length $text, 'HTTP/1.0: kept alive');
$c->send("GET /small HTTP/1.0\r\n\r\n");
is($c->response->body, '0123456789', 'HTTP/1.0: the next one');

$c = $t->connect;
$c->send("GET /small\r\n");
like($c->rest, qr/0123456789$/, 'HTTP/0.9');

my $h = Harness::H2->new(port => $t->port('h2'));
my @streams = map { $h->request(GET => $_) } '/small', '/large', '/small';
my @s = map { $h->wait($_, slow(10)) } @streams;
is(join(' ', map { $_->{status} } @s), '200 200 200', 'HTTP/2');
is($s[0]{body} . $s[2]{body}, '0123456789' x 2, 'HTTP/2: bodies');
ok($s[1]{body} eq $text, 'HTTP/2: large');

my $s = $h->wait($h->request(HEAD => '/small'), slow(10));
is($s->{status} . ($s->{body} || ''), '200', 'HTTP/2: HEAD');
$s = $h->wait($h->request(GET => '/small', headers =>
                          [ 'if-none-match', '"e"' ]), slow(10));
is($s->{status} . ($s->{body} || ''), '304', 'HTTP/2: If-None-Match');
$s = $h->wait($h->request(GET => '/small', headers =>
                          [ range => 'bytes=2-3' ]), slow(10));
is($s->{status} . $s->{body}, '20623', 'HTTP/2: a range');
is($b->count, 2, 'all by the cache');

# one stream waits for another one's fetch, and may go away

@streams = map { $h->request(GET => '/slow/h2') } 1 .. 5;
$h->rst($streams[3]);
@s = map { $h->wait($streams[$_], slow(10)) } 0 .. 2, 4;
is(join(' ', map { $_->{body} } @s), 'slow slow slow slow',
   'HTTP/2: one fetch for five streams');
is($b->count('/slow/h2'), 1, 'indeed one');
@streams = map { $h->request(GET => '/slow/left') } 1 .. 3;
wait_for(sub { $b->count('/slow/left') == 1 });
$h->rst($streams[0]);
is($h->wait($streams[2], slow(10))->{body}, 'slow',
   'HTTP/2: the one that fetches goes away');
$h->close;

# TLS, by curl

sub curl {
    my (@arguments) = @_;
    my $url = 'https://127.0.0.1:' . $t->port('tls') . pop @arguments;

    open my $pipe, '-|', 'curl', '-sk', '-m', slow(10), '-w',
        ' %{http_code} %{http_version}', @arguments, $url or die "curl: $!\n";
    my $output = do { local $/; <$pipe> };
    close $pipe;

    return $output;
}

is(curl('--http1.1', '/small'), '0123456789 200 1.1', 'TLS');
is(curl('--http2', '/small'), '0123456789 200 2', 'TLS: HTTP/2');
is(curl('--http2', '/large'), "$text 200 2", 'TLS: large');
is(curl('--http2', '-H', 'Range: bytes=1-2', '/small'), '12 206 2',
   'TLS: a range');
is(curl('--http1.1', '/cold/tls'), '0123456789 200 1.1', 'TLS: a fill');
is(http_get('/cold/tls')->header('X-Cache'), 'HIT', 'for all');

# gzip: made for the client, never kept

my @gzip = (headers => [ 'Accept-Encoding' => 'gzip' ]);

for my $uri ('/large', '/cold/gzip') {

    for my $how ('the first', 'the next') {
        $r = http_get($uri, @gzip);
        is($r->header('Content-Encoding') || '', $uri eq '/large' ? 'gzip'
           : '', "gzip: $uri, $how");
    }
}

$r = http_get('/large', @gzip);
my $plain;
IO::Uncompress::Gunzip::gunzip(\$r->body, \$plain);
ok($plain eq $text, 'gzip of an entry');
is($r->header('X-Cache') . $r->header('ETag'), 'HITW/"e"', 'a weak ETag');
is(http_get('/large')->header('Content-Encoding'), undef,
   'and plain for others');
like($b->log('/large') ? ($b->log('/large'))[0]{head} : '',
     qr/\A(?!.*accept-encoding)/is, 'the backend is asked for the plain one');
is(http_get('/large', headers => [ 'Accept-Encoding' => 'gzip',
   'If-None-Match' => 'W/"e"' ])->status, 304, 'a condition with it');

http_get('/zip/a', @gzip);
is(http_get('/zip/a')->header('X-Cache'), 'MISS',
   'what a backend compresses unasked is not kept');

# on a miss: HEAD, conditions, ranges

$r = http_request('HEAD', '/cold/head');
is($r->status . $r->header('X-Cache'), '200MISS', 'HEAD of a cold key');
is(http_get('/cold/head')->header('X-Cache'), 'MISS', 'keeps nothing');
is(http_request('HEAD', '/cold/head')->header('X-Cache'), 'HIT',
   'HEAD from the entry of a GET');

$r = http_get('/cold/416', headers => [ Range => 'bytes=20-' ]);
is($r->status . $r->header('Content-Range'), '416bytes */10',
   '416 on a miss');
is(http_get('/cold/416')->body . http_get('/cold/416')->header('X-Cache'),
   '0123456789HIT', 'the whole is kept');

$r = http_get('/cold/if', headers => [ Range => 'bytes=1-1',
                                       'If-Range' => '"e"' ]);
is($r->status . $r->body, '2061', 'If-Range on a miss');
is(http_get('/cold/if', headers => [ Range => 'bytes=1-1',
   'If-Range' => '"x"' ])->status, 200, 'If-Range from the entry');

# what is cut short is not kept, on whatever way it went out

for my $uri ('/cut/a', '/chop/a') {
    http_get($uri, @$_) for [], [ @gzip ],
        [ headers => [ Range => 'bytes=0-1' ] ];
    my $h = Harness::H2->new(port => $t->port('h2'));
    $h->wait($h->request(GET => $uri), slow(10));
    $h->close;
    is($b->count($uri), 4, "$uri is never kept");
}

undef $c;
ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, slow(5)),
   'no connection is left');
