# Clients of all protocols: HTTP/1.0, 1.1, pipelining, HTTP/2, TLS, gzip.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use IO::Uncompress::Gunzip ();
use Time::HiRes qw(time);

use Harness;
use Harness::Aggregate;
use Harness::H2;

my $t = Harness->new(modules => ['ngx_http_aggregate_module'], plan => 60);

my $long = '"' . 'x' x 200_000 . '"';

my $b = $t->backend('b',
    '/1' => '1', '/long' => $long, '/500' => { status => 500 },
    '/404' => { status => 404 },
    '/0.1' => { body => '2', delay => slow(0.1) },
    '/slow' => { delay => 20 },
    '/echo' => sub { { body => $_[0]{body} } },
    '/head' => sub {
        my %h = map { lc $_->[0] => $_->[1] } @{ $_[0]{headers} };
        return { body => '"' . ($h{'x-a'} || '-') . '"' };
    },
    '/id' => sub { { body => ($_[0]{args} || 0) =~ /(\d+)/ ? $1 : 0,
                     delay => (($1 || 0) % 3) * 0.02 } },
    '/cookie' => sub {
        my %h = map { lc $_->[0] => $_->[1] } @{ $_[0]{headers} };
        return { body => '"' . ($h{cookie} || '-') . '"' };
    },
);

system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost'
       . " -keyout $t->{dir}/key.pem -out $t->{dir}/cert.pem 2>/dev/null") == 0
    or die "openssl failed\n";

serve($t,
    listen => 'listen 127.0.0.1:%%PORT_0%%;
               listen 127.0.0.1:%%PORT_h2%% http2;
               listen 127.0.0.1:%%PORT_tls%% ssl http2;
               ssl_certificate %%TESTDIR%%/cert.pem;
               ssl_certificate_key %%TESTDIR%%/key.pem;',
    server => q{
        location /two { aggregate { backend a /b/1 { } backend b /b/0.1 { } } }
        location /long { aggregate { backend a /b/long { }
                                     backend b /b/1 { } } }
        location /partial { aggregate { timeout 100ms; backend a /b/slow { }
                                        backend b /b/1 { } } }
        location /late { aggregate { timeout 20s; backend a /b/slow { } } }
        location /problem { aggregate { backend a /b/404 { required; } } }
        location /post { aggregate { methods POST; backend a /b/echo {
                                     method POST; body request; } } }
        location /head { aggregate { backend a /b/head { } } }
        location /cookie { aggregate { backend a /b/cookie { } } }
        location /id { aggregate { backend a /b/id?$args { }
                                   backend b /b/id?$args { } } }
        location /gzip { gzip on; gzip_types *; gzip_min_length 1;
                         gzip_comp_level 1;
                         aggregate { backend a /b/long { } } }
        location /limited { limit_rate 4m; aggregate { backend a /b/long { } } }
        location /etag { etag on; aggregate { backend a /b/1 { } } }
        location /ssi { ssi on; ssi_types *;
                        aggregate { backend a /b/1 { } } }
        location /sub { sub_filter complete x; sub_filter_types *;
                        sub_filter '"a":1' '"a":2';
                        aggregate { backend a /b/1 { } } }
        location /nokeep { keepalive_timeout 0;
                           aggregate { backend a /b/1 { } } }
        location /ok { return 200 ok; }
    });

my $two = '200 complete {"a":1,"b":2}';
my $longs = "200 complete {\"a\":$long,\"b\":1}";

# HTTP/1.0

my $c = $t->connect;
$c->send("GET /two HTTP/1.0\r\n\r\n");
my $r = $c->response;
is(outcome($r), $two, 'HTTP/1.0');
ok($c->eof, 'HTTP/1.0: closed');
is($r->header('Transfer-Encoding'), undef, 'HTTP/1.0: not chunked');

$c = $t->connect;
$c->send("GET /long HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
$r = $c->response;
is(outcome($r), $longs, 'HTTP/1.0 keep-alive');
is($r->header('Connection'), 'keep-alive', 'HTTP/1.0 keep-alive: kept');
$c->send("GET /two HTTP/1.0\r\n\r\n");
is(outcome($c->response), $two, 'HTTP/1.0 keep-alive: the next');

$c = $t->connect;
$c->send("GET /problem HTTP/1.0\r\n\r\n");
is(outcome($c->response), '404 {"a":"status"}', 'HTTP/1.0: a problem');
$c = $t->connect;
$c->send("GET /ok\r\n");
like($c->rest, qr/ok$/, 'HTTP/0.9');
$c = $t->connect;
$c->send("GET /two\r\n");
like(squeeze($c->rest), qr/^\{"a":1,"b":2\}$/, 'HTTP/0.9: the body alone');

# HTTP/1.1

$c = $t->connect;
for my $uri ('/two', '/long', '/partial', '/problem', '/two') {
    $c->request(GET => $uri);
    $r = $c->response;
    like($r->status, qr/^(?:200|404)$/, "kept alive: $uri");
}
$c->request(GET => '/two', close => 1);
is(outcome($c->response), $two, 'Connection: close');
ok($c->eof, 'closed');

$c = $t->connect;
$c->request(GET => '/nokeep');
is(outcome($c->response), '200 complete {"a":1}', 'keepalive_timeout 0');
ok($c->eof, 'closed');

$c = $t->connect;
$c->send("GET http://localhost/two HTTP/1.1\r\nHost: localhost\r\n\r\n");
is(outcome($c->response), $two, 'an absolute URI');

$c = $t->connect;
$c->send("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
         . "Expect: 100-continue\r\n\r\n");
ok($c->readable(slow(5)), '100 Continue comes');
$c->send('123');
is(outcome($c->response(method => 'POST')), '200 complete {"a":123}',
   'Expect: 100-continue');

# ranges and conditions do not touch an answer put together here

$r = http_get('/two', headers => [ Range => 'bytes=0-3' ]);
is(outcome($r), $two, 'Range');
$r = http_get('/two', headers => [ 'If-None-Match' => '*' ]);
like(outcome($r), qr/^304 |^\Q$two\E$/, 'If-None-Match: *');
$r = http_get('/two', headers => [
    'If-Modified-Since' => 'Thu, 01 Jan 2037 00:00:00 GMT' ]);
is(outcome($r), $two, 'If-Modified-Since');
$r = http_get('/two', headers => [ 'If-Match' => '"x"' ]);
like(outcome($r), qr/^200 complete|^412 /, 'If-Match');

# pipelining

$c = $t->connect;
$c->request(GET => "/id?$_") for 1 .. 40;
is(join(' ', map { my $r = $c->response; $r->body =~ /"a":\s*(\d+)/ ? $1 : 'x' }
        1 .. 40), join(' ', 1 .. 40), 'forty pipelined, in order');

$c = $t->connect;
my $start = time();
$c->request(GET => $_) for '/two', '/partial', '/problem', '/two', '/ok';
is(join(' ', map { $c->response->status } 1 .. 5), '200 200 404 200 200',
   'different ones pipelined');
cmp_ok(time() - $start, '<', slow(1), 'without a delay');

$c = $t->connect;
$c->request(POST => '/post', body => '1');
$c->request(POST => '/post', body => $long);
$c->request(GET => '/two');
$c->request(POST => '/post', chunked => [ '[', '2', ']' ]);
is(join(' ', map { my $r = $c->response; length($r->body) } 1 .. 4),
   '7 200008 13 9', 'bodies pipelined');

$c = $t->connect;
$c->request(HEAD => '/long');
$c->request(GET => '/two');
is(join(' ', map { my $r = $c->response; $r->status . length($r->body) }
        1 .. 2), '2000 20013', 'HEAD and GET pipelined');

# a slow reader gets all of it
$c = $t->connect;
$c->request(GET => '/limited');
is(length $c->response->body, 200_008, 'a limited rate');

# the location's own filters

$r = http_get('/gzip', headers => [ 'Accept-Encoding' => 'gzip' ]);
is($r->header('Content-Encoding'), 'gzip', 'gzip');
is($r->header('Content-Length'), undef, 'gzip: no length of the plain body');
my $plain;
IO::Uncompress::Gunzip::gunzip(\$r->body => \$plain);
is(squeeze($plain || ''), "{\"a\":$long}", 'gzip: the body');
$r = http_get('/gzip');
is(outcome($r), "200 complete {\"a\":$long}", 'gzip not accepted');
is(squeeze(http_get('/sub')->body), '{"a":2}', 'sub_filter on the answer');
is(squeeze(http_get('/ssi')->body), '{"a":1}', 'SSI on the answer');
$r = http_get('/etag');
like($r->status . ($r->header('ETag') || ''), qr/^200/, 'etag on');

# HTTP/2

my $h = Harness::H2->new(port => $t->port('h2'));
my $s = $h->wait($h->request(GET => '/two'), slow(5));
is("$s->{status} " . squeeze($s->{body}), '200 {"a":1,"b":2}', 'HTTP/2');

$s = $h->wait($h->request(GET => '/long'), slow(5));
is(length $s->{body}, 200_014, 'HTTP/2: a large one') or diag($s->{status});
$s = $h->wait($h->request(GET => '/partial'), slow(5));
is("$s->{status} " . squeeze($s->{body}), '200 {"b":1}', 'HTTP/2: partial');
cmp_ok($s->{time}, '<', slow(0.6), 'HTTP/2: in time');
$s = $h->wait($h->request(GET => '/problem'), slow(5));
is("$s->{status} $s->{body}" =~ s/"title":"[^"]*",//r =~ s/"type":"[^"]*",//r,
   '404 {"status":404,"backends":{"a":"status"}}', 'HTTP/2: a problem');
$s = $h->wait($h->request(HEAD => '/two'), slow(5));
is("$s->{status}$s->{body}", '200', 'HTTP/2: HEAD');

$s = $h->wait($h->request(POST => '/post', body => '[1]'), slow(5));
is(squeeze($s->{body}), '{"a":[1]}', 'HTTP/2: a body');
$s = $h->wait($h->request(POST => '/post', body => substr($long, 0, 60_000)
                          . '"'), slow(5));
is(length $s->{body}, 60_007, 'HTTP/2: a larger body');
$s = $h->wait($h->request(GET => '/head', headers => [ 'x-a' => 'value' ]),
              slow(5));
is(squeeze($s->{body}), '{"a":"value"}', 'HTTP/2: a header');
$s = $h->wait($h->request(GET => '/cookie', headers => [
    cookie => 'a=1', cookie => 'b=2' ]), slow(5));
like(squeeze($s->{body}), qr/^\{"a":"a=1; b=2"\}$/, 'HTTP/2: cookie crumbs');
$s = $h->wait($h->request(DELETE => '/two'), slow(5));
is($s->{status}, 405, 'HTTP/2: 405');

my @ids = map { $h->request(GET => "/id?$_") } 1 .. 60;
is(join(' ', map { $h->wait($_, slow(10))->{body} =~ /"a":\s*(\d+)/ ? $1 : 'x' }
        @ids), join(' ', 1 .. 60), 'HTTP/2: sixty streams');

$start = time();
my $slow = $h->request(GET => '/late');
$s = $h->wait($h->request(GET => '/two'), slow(5));
is($s->{status}, 200, 'HTTP/2: a slow stream holds up no other');
cmp_ok(time() - $start, '<', slow(0.8), 'HTTP/2: at all');
$h->rst($slow);
$s = $h->wait($h->request(GET => '/two'), slow(5));
is($s->{status}, 200, 'HTTP/2: after a reset');
ok(wait_for(sub { $b->stats->{active} == 0 }, slow(2)), 'HTTP/2: cancelled');
ok(!$h->{goaway}, 'HTTP/2: one connection for all');
$h->close;

# TLS, by curl

sub curl {
    my (@arguments) = @_;
    my $port = $t->port('tls');
    my $url = pop @arguments;
    open my $pipe, '-|', 'curl', '-sk', '-m', slow(10), '-w',
        ' %{http_code} %{http_version}', @arguments,
        "https://127.0.0.1:$port$url" or die "curl: $!\n";
    my $output = do { local $/; <$pipe> };
    close $pipe;
    return squeeze($output);
}

is(curl('--http1.1', '/two'), '{"a":1,"b":2}2001.1', 'TLS');
is(curl('--http2', '/two'), '{"a":1,"b":2}2002', 'TLS: HTTP/2');
is(length curl('--http2', '/long'), 200_014 + 4, 'TLS: HTTP/2, a large one');
is(curl('--http2', '-d', '[2]', '/post'), '{"a":[2]}2002',
   'TLS: HTTP/2, a body');
is(curl('--http2', '/partial'), '{"b":1}2002', 'TLS: HTTP/2, partial');
