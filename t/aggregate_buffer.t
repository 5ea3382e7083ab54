# "aggregate_buffer": a large answer whose client does not take it goes to a
# temporary file, and every client gets every byte of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use IO::Uncompress::Gunzip ();

use Harness;
use Harness::H2;

my $t = Harness->new(plan => 99);
my $warn = qr/an answer is buffered to a temporary file/;

# no two pieces of it are alike, and gzip makes little of it
srand 7;
my $body = '[' . join(',', map { int rand 1e9 } 1 .. 300_000) . ']';
my $want = qq({"a":$body});
my $half = '[' . join(',', map { int rand 1e9 } 1 .. 40_000) . ']';

my $b = $t->backend('b', '/big' => $body, '/half' => $half, '/one' => '1',
    '/just' => '"' . 'x' x 66_000 . '"',
    '/list' => qq({"all":$body}), '/stale' => { body => $body,
        headers => ['Cache-Control' => 'max-age=0, stale-if-error=600'] },
    '/tagged' => { body => $body,
        headers => [ETag => '"e"', 'X-Own' => 'kept'] });

system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost'
       . " -keyout $t->{dir}/key.pem -out $t->{dir}/cert.pem 2>/dev/null") == 0
    or die "openssl failed\n";

$t->write_file('s.graphql', 'type Query { all: [Int] @rest(get: "/b/list", '
                            . 'select: "all") }');
$t->write_file('www/page', '<!--#include virtual="/agg" -->');

my $conf = <<'EOC';
%%GLOBALS%%
worker_rlimit_nofile 2048;
events { worker_connections 512; }
http {
    %%HTTP%%
    aggregate_cache_zone z 32m max_object=8m;
    log_format own "$sent_http_x_own $aggregate_backends";
    aggregate_shape first { limit a 250000; }
    server {
        listen 127.0.0.1:%%PORT_0%% sndbuf=64k;
        listen 127.0.0.1:%%PORT_h2%% http2 sndbuf=64k;
        listen 127.0.0.1:%%PORT_tls%% ssl http2 sndbuf=64k;
        ssl_certificate %%TESTDIR%%/cert.pem;
        ssl_certificate_key %%TESTDIR%%/key.pem;

        access_log %%TESTDIR%%/own.log own;
        location /agg { aggregate { %%BIG%% backend a /b/big { } } }
        location /held { aggregate_buffer 16m;
                         aggregate { %%BIG%% backend a /b/big { } } }
        location /half { aggregate { %%BIG%% backend a /b/half { } } }
        location /low { aggregate_buffer 0;
                        aggregate { %%BIG%% backend a /b/half { } } }
        location /many { aggregate { %%BIG%% backend a /b/half { }
                                     backend b /b/one { }
                                     backend c /b/half { }
                                     backend d /b/half { } } }
        location /gzip { gzip on; gzip_types *; gzip_comp_level 1;
                         aggregate { %%BIG%% backend a /b/big { } } }
        location /rate { limit_rate 3m;
                         aggregate { %%BIG%% backend a /b/big { } } }
        location /sub { sub_filter_types *; sub_filter_once off;
                        sub_filter '12,' '1234,';
                        aggregate { %%BIG%% backend a /b/big { } } }
        location /copied { sendfile off; output_buffers 1 4k;
                           aggregate { %%BIG%% backend a /b/big { } } }
        location /threads { aio threads;
                            aggregate { %%BIG%% backend a /b/big { } } }
        location /outer { aggregate { %%BIG%% backend o /agg { } } }
        location /page { ssi on; root %%TESTDIR%%/www; default_type text/html; }
        location /around { addition_types *; add_after_body /b/one;
                           aggregate { %%BIG%% backend a /b/big { } } }
        location /taken { aggregate_buffer 0;
                          addition_types *; add_after_body /b/one;
                          aggregate { %%BIG%% backend a /b/just { } } }
        location /stored { aggregate_cache z; aggregate_cache_ttl / 1h;
                           aggregate { %%BIG%% backend a /b/big { } } }
        location /hit { aggregate_cache z; aggregate_cache_ttl / 1h;
                        proxy_pass http://127.0.0.1:%%PORT_b%%/tagged; }
        location /stale { aggregate_cache z;
                          proxy_pass http://127.0.0.1:%%PORT_b%%/stale; }
        location /apply { aggregate_apply first;
                          aggregate { %%BIG%% backend a /b/big { } } }
        location /gql { aggregate_graphql %%TESTDIR%%/s.graphql { %%BIG%% } }
        location /path { aggregate_temp_path %%TESTDIR%%/own 1;
                         aggregate { %%BIG%% backend a /b/big { } } }
        location /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
    }
}
EOC

$conf =~ s/%%BIG%%/max_body_size 8m; max_response_size 8m;/g;
$t->run($conf);

# a client that reads nothing until the file is written
sub late {
    my ($uri, $n, %o) = @_;

    $t->mark_log;
    my $c = $t->connect;
    $c->request(GET => $uri, headers => $o{headers} || []);

    if ($n) {
        ok($t->wait_log($warn, slow(10)), "$uri: a file");

    } else {
        $c->readable(slow(5));
    }

    my $r = $c->response;
    is(scalar(() = $t->grep_log($warn)), $n, "$uri: number of files");
    return ($r, $c);
}


sub same {
    my ($got, $want, $name) = @_;
    ok($got eq $want, "$name: every byte")
        or diag(length($got) . ' bytes in place of ' . length $want);
    return;
}


my ($r, $c) = late('/agg', 1);
same($r->body, $want, '/agg');
is($r->header('Content-Length'), length $want, 'the length is known');

$c->request(GET => '/half');
same($c->response->body, qq({"a":$half}), 'the connection goes on');

$c->request(GET => '/agg') for 1 .. 2;
same($c->response->body, $want, 'pipelined') for 1 .. 2;
$c->close;

($r) = late('/held', 0);
same($r->body, $want, 'aggregate_buffer 16m');

($r) = late('/half', 0);
same($r->body, qq({"a":$half}), 'less than aggregate_buffer');

($r) = late('/low', 1);
same($r->body, qq({"a":$half}), 'aggregate_buffer 0');

($r) = late('/many', 1);
same($r->body, qq({"a":$half,"b":1,"c":$half,"d":$half}), 'several parts');

for my $uri ('/rate', '/copied', '/threads') {
    ($r) = late($uri, 1);
    same($r->body, $want, $uri);
}

($r) = late('/gzip', 1, headers => [ 'Accept-Encoding' => 'gzip' ]);
is($r->header('Content-Encoding'), 'gzip', 'gzip');

my $packed = $r->body;
IO::Uncompress::Gunzip::gunzip(\$packed => \my $plain);
same($plain, $want, '/gzip');

($r) = late('/sub', 1);
(my $changed = $want) =~ s/12,/1234,/g;
same($r->body, $changed, '/sub');

($r) = late('/around', 1);
same($r->body, $want . '1', 'add_after_body');
$r = http_get('/around');
is($r->error, undef, 'add_after_body, a fast client: an end');
same($r->body, $want . '1', 'add_after_body, a fast client');

# the socket takes all of it at once
$r = http_get('/taken');
is($r->error, undef, 'taken at once: an end');
same($r->body, '{"a":"' . 'x' x 66_000 . '"}1', 'taken at once');

$t->mark_log;
$r = http_request('HEAD', '/agg');
is($r->header('Content-Length'), length $want, 'HEAD');
is(scalar(() = $t->grep_log($warn)), 0, 'HEAD: no file');

$t->mark_log;
$c = $t->connect;
$c->send("GET /agg HTTP/1.0\r\n\r\n");
ok($t->wait_log($warn, slow(10)), 'HTTP/1.0: a file');
same($c->response->body, $want, 'HTTP/1.0');

# a part is read by the aggregate around it, which is slow by itself

($r) = late('/outer', 1);
same($r->body, qq({"o":$want}), 'an aggregate in an aggregate');

($r) = late('/page', 0);
same($r->body, $want, 'an SSI include');

# the cache

for my $status ('MISS', 'HIT') {
    ($r) = late('/stored', 1);
    is($r->header('X-Cache'), $status, $status);
    same($r->body, $want, $status);
}

same(http_get('/hit')->body, $body, 'the cache');

($r) = late('/hit', 1);
is($r->header('X-Cache'), 'HIT', 'a hit');
is($r->header('X-Own'), 'kept', 'a stored field');
same($r->body, $body, 'a hit');

($r) = late('/hit', 1, headers => [ Range => 'bytes=100000-2000000' ]);
is($r->status, 206, 'a range');
same($r->body, substr($body, 100_000, 1_900_001), 'a range');

($r) = late('/hit', 1,
            headers => [ Range => 'bytes=0-999999,1500000-1999999' ]);
is($r->status, 206, 'two ranges');
my ($first, $second) = $r->body =~ /\r\n\r\n(.*?)\r\n--.*?\r\n\r\n(.*)\r\n--/s;
same($first, substr($body, 0, 1_000_000), 'the first range');
same($second, substr($body, 1_500_000, 500_000), 'the second range');

same(http_get('/stale')->body, $body, 'a response that is stale at once');
$b->set('/stale' => { status => 500 });
($r) = late('/stale', 1);
is($r->header('X-Cache'), 'STALE', 'in place of an error');
same($r->body, $body, 'in place of an error');

# filters of ours, and GraphQL

($r) = late('/apply', 0);
is($r->status, 200, 'a shape');
my @numbers = split /,/, $want;
same($r->body, join(',', @numbers[0 .. 249_999]) . ']}', 'a shape');

($r) = late('/gql?query=%7Ball%7D', 1);
same($r->body, qq({"data":{"all":$body}}), 'GraphQL');

# HTTP/2, TLS

my $h = Harness::H2->new(port => $t->port('h2'));
$t->mark_log;
my @ids = map { $h->request(GET => '/agg') } 1 .. 3;
ok(wait_for(sub { (() = $t->grep_log($warn)) == 3 }, slow(10)),
   'HTTP/2: a file for each stream');
same($h->wait($_, slow(10))->{body}, $want, "stream $_") for @ids;
$h->close;

for my $version ('--http1.1', '--http2') {
    $t->mark_log;
    open my $curl, '-|', 'curl', '-skN', $version,
        'https://127.0.0.1:' . $t->port('tls') . '/agg'
        or die "curl: $!\n";
    ok($t->wait_log($warn, slow(10)), "TLS, $version: a file");
    same(do { local $/; <$curl> }, $want, "TLS, $version");
    close $curl or diag('curl failed');
    is(scalar(() = $t->grep_log($warn)), 1, "TLS, $version: one file");
}

# the file, and its end

my $fds;

# connections of before may be about to be closed
wait_for(sub {
    $fds = $t->fds;
    select undef, undef, undef, 0.2;
    return $fds == $t->fds;
}, slow(5));

$t->mark_log;
$c = $t->connect;
$c->request(GET => '/path');
ok($t->wait_log(qr/$warn \S+\/own\//, slow(10)), 'aggregate_temp_path');
ok(wait_for(sub { $t->fds > $fds + 1 }, slow(5)), 'a file is open');
is_deeply([ grep { -f } glob "$t->{dir}/own/*/*" ], [], 'without a name');
$c->reset;
ok(wait_for(sub { $t->fds <= $fds }, slow(5)), 'it is closed');

# without its directory the answer is sent from memory

rename "$t->{dir}/own", "$t->{dir}/gone" or die "rename failed: $!\n";
open my $f, '>', "$t->{dir}/own" or die "no file: $!\n";
close $f;

$t->allow_log(qr/open\(\) ".*\/own\/.*" failed/);
$t->mark_log;
$c = $t->connect;
$c->request(GET => '/path');
ok($t->wait_log(qr/an answer stays in memory/, slow(10)), 'no file');
same($c->response->body, $want, 'without a file');
