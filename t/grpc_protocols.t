# gRPC for clients of all protocols, with bodies of all kinds, and to backends
# over TLS.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;

use Harness;
use Harness::H2;
use Harness::Grpc qw(descriptor);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);
my $json = JSON::PP->new->canonical;

$t->plan(35);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $d = $t->testdir;
system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
       . " -keyout $d/key.pem -out $d/cert.pem >/dev/null 2>&1") == 0
    or die "openssl failed\n";

my $g = Harness::Grpc->new($t, 'grpc');
my $tls = Harness::Grpc->new($t, 'tls', "$d/key.pem", "$d/cert.pem");

$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_h2%% http2;
        client_body_buffer_size 2k;
        client_max_body_size 4m;
        gzip on;
        gzip_types application/json;
        gzip_min_length 1;

        location /v1/ {
            aggregate_grpc  t.v1.Items;
            grpc_pass       grpc://grpc;
        }
        location /tls/ {
            aggregate_grpc  t.v1.Items strip=/tls;
            grpc_pass       grpcs://127.0.0.1:%%PORT_tls%%;
        }
        location /var/ {
            set $where grpc://127.0.0.1:%%PORT_grpc%%;
            aggregate_grpc  t.v1.Items strip=/var;
            grpc_pass       $where;
        }
        location = /stub { stub_status; }
    }
}
EOC

$t->allow_log(qr/the "listen ... http2" directive is deprecated/);

my $h2 = 'http://127.0.0.1:' . $t->port('h2');

sub curl {
    my ($uri, @options) = @_;

    my $pid = open my $out, '-|', 'curl', '-s', '-i', '-m', slow(20),
        '--http2-prior-knowledge', @options, "$h2$uri" or die "curl: $!\n";
    local $/;
    my $text = <$out>;
    close $out;
    my ($head, $body) = split m{\r?\n\r?\n}, $text, 2;
    return ($head, $body, $? >> 8);
}

# HTTP/1.0, pipelining

is(http_request(GET => '/v1/items/1', version => '1.0')->json->{id}, '1',
   'HTTP/1.0');

my $c = $t->connect;
$c->request(GET => "/v1/items/$_") for 1 .. 20;
is(join(',', map { $c->response->json->{id} } 1 .. 20), join(',', 1 .. 20),
   'pipelined');

# bodies: chunked, in a file, of several buffers

my $item = { id => '1', name => 'x' x 10, tags => [ ('y' x 50) x 2000 ] };
my $body = $json->encode($item);

for my $how ([ body => $body ], [ chunked => [ $body =~ /(.{1,5000})/g ] ],
             [ chunked => [ $body ] ])
{
    my $r = http_request(PATCH => '/v1/items/1', @$how);
    is($r->status, 200, "$how->[0]: status");
    is(scalar @{ $r->json->{tags} || [] }, 2000, "$how->[0]: body");
}

my $large = { name => 'z' x (3 << 20) };
is(length http_request(PATCH => '/v1/items/1', body => $json->encode($large))
       ->json->{name}, 3 << 20, 'a large message both ways');

# a client that sends slowly

$c = $t->connect;
$c->send("PATCH /v1/items/1 HTTP/1.1\r\nHost: localhost\r\n"
         . "Content-Length: 13\r\n\r\n{\"nam");
select undef, undef, undef, 0.1;
$c->send("e\":\"s\"}");
$c->send(' ') ;
is($c->response(method => 'PATCH')->json->{name}, 's', 'a slow body');

# gzip

my $r = http_get('/v1/itemlist?n=50',
                 headers => [ 'Accept-Encoding' => 'gzip' ]);
is($r->header('Content-Encoding'), 'gzip', 'JSON is compressed');

# HTTP/2

my ($head, $text, $status) = curl('/v1/items/7');
like($head, qr{^HTTP/2 200}, 'HTTP/2');
is($json->decode($text)->{id}, '7', 'its body');
unlike($head, qr/grpc-|trailer/i, 'and no trailer');

$t->write_file('body.json', $body);
($head, $text) = curl('/v1/items/1', '-X', 'PATCH', '-d', "\@$d/body.json",
                      '-H', 'Content-Type: application/json');
is(scalar @{ $json->decode($text)->{tags} }, 2000, 'a body of HTTP/2');

($head, $text) = curl('/v1/items/none');
like($head, qr{^HTTP/2 404}, 'an error');
like($head, qr{application/problem\+json}, 'of ours');
unlike($head . $text, qr/grpc-status/i, 'and no trailer');

($head, $text) = curl('/v1/items/7', '-I');
like($head, qr{^HTTP/2 200}, 'HEAD');

($head, $text, $status) = curl('/v1/watch?n=3', '-H',
                               'Accept: text/event-stream');
like($text, qr/"id":"3".*event: end/s, 'a stream');
is($status, 0, 'which ends well');

# curl drops what it has not given out when a stream is reset

my $h = Harness::H2->new(port => $t->port('h2'));
my $stream = $h->wait($h->request(GET => '/v1/watch?n=3&fail_after=3&code=5',
    headers => [ accept => 'application/x-ndjson' ]), 10);
like($stream->{body}, qr/\n\{"error":\{"status":404/, 'an error amid lines');
ok($stream->{reset}, 'resets the stream');

for my $uri ('/v1/items/7', '/v1/watch?n=2') {
    $stream = $h->wait($h->request(GET => $uri, headers =>
        [ accept => 'text/event-stream' ]), 10);
    is($stream->{ended} . $stream->{heads}, '11', "$uri: no trailers");
}

$h->close;

# TLS, and an address from a variable

is(http_get('/tls/v1/items/1')->json->{id}, '1', 'over TLS');
like(http_get('/tls/v1/watch?n=3', headers => [ Accept =>
        'text/event-stream' ])->body, qr/event: end/, 'a stream over TLS');
is(http_get('/var/v1/items/1')->json->{id}, '1', 'by a variable');

# many at once over kept connections

my @clients = map { $t->connect } 1 .. 30;
for my $round (1 .. 5) {
    $_->request(GET => "/v1/items/$round") for @clients;
    is(scalar(grep { $_->response->json->{id} eq $round } @clients), 30,
       "thirty at once, $round");
}

$_->close for @clients, $c;

# a client that leaves before the answer

$c = $t->connect;
$c->request(GET => '/v1/echo/x?wait_ms=5000');
select undef, undef, undef, 0.3;
$c->reset;
is($g->line(slow(5)), 'cancelled', 'a client that leaves cancels the call');

ok(wait_for(sub { $t->stub_status('/stub')->{active} <= 2 }, slow(5)),
   'no connection is left');
