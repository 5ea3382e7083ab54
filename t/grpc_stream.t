# Streams of gRPC: arrays, lines and events, by what the client accepts; errors
# before and amid them; clients that are slow, and clients that leave.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Harness;
use Harness::Grpc qw(descriptor);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

$t->plan(71);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
    log_format  call  '$uri $status $upstream_status $aggregate_grpc_status';
    access_log  %%TESTDIR%%/call.log call;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /v1/ {
            aggregate_grpc  t.v1.Items;
            grpc_pass       grpc://grpc;
        }
        location /ping/ {
            aggregate_grpc         t.v1.Items strip=/ping;
            aggregate_grpc_stream  ping=100ms;
            grpc_pass              grpc://grpc;
        }
        location /small/ {
            aggregate_grpc               t.v1.Items strip=/small;
            aggregate_grpc_max_response  1k;
            grpc_pass                    grpc://grpc;
        }
        location /exact/ {
            aggregate_grpc               t.v1.Items strip=/exact;
            aggregate_grpc_max_response  997;
            grpc_pass                    grpc://grpc;
        }
        location /over/ {
            aggregate_grpc               t.v1.Items strip=/over;
            aggregate_grpc_max_response  996;
            grpc_pass                    grpc://grpc;
        }
        location /late/ {
            aggregate_grpc          t.v1.Items strip=/late;
            aggregate_grpc_timeout  700ms;
            grpc_pass               grpc://grpc;
        }
        location /silent/ {
            aggregate_grpc     t.v1.Items strip=/silent;
            grpc_read_timeout  700ms;
            grpc_pass          grpc://grpc;
        }
        location = /sse {
            aggregate_grpc         t.v1.Items/Watch get;
            aggregate_grpc_stream  sse;
            grpc_pass              grpc://grpc;
        }
        location = /ndjson {
            aggregate_grpc         t.v1.Items/Watch get;
            aggregate_grpc_stream  ndjson;
            grpc_pass              grpc://grpc;
        }
        location = /array {
            aggregate_grpc         t.v1.Items/Watch get;
            aggregate_grpc_stream  array;
            grpc_pass              grpc://grpc;
        }
        location = /status {
            aggregate_grpc         t.v1.Items/Watch get;
            aggregate_grpc_stream  sse;
            aggregate_grpc_errors  status;
            grpc_pass              grpc://grpc;
        }
        location = /stub { stub_status; }
    }
}
EOC

my $sse = [ Accept => 'text/event-stream' ];
my $ndjson = [ Accept => 'application/x-ndjson' ];

sub events {
    my ($r) = @_;
    return split /\n\n/, $r->body;
}

# forms

my $r = http_get('/v1/watch?n=3');
is($r->header('Content-Type'), 'application/json', 'an array');
is(join(',', map { $_->{id} } @{ $r->json }), '1,2,3', 'of messages');
ok($r->header('Content-Length'), 'with its length');

is(http_get('/v1/watch')->body, '[]', 'an empty array');

$r = http_get('/v1/watch?n=3', headers => $sse);
is($r->header('Content-Type'), 'text/event-stream', 'events');
is($r->header('Cache-Control'), 'no-store', 'not to be stored');
my @events = events($r);
is(@events, 4, 'three and the end');
like($events[0], qr/^data: \{"id":"1",.*\}$/, 'an event');
is($events[3], "event: end\ndata: {}", 'the end');
ok(!$r->error, 'a clean end');
unlike($r->head, qr/^(?:grpc-|trailer)/mi, 'no metadata of the call');

$r = http_get('/v1/watch', headers => $sse);
is($r->body, "event: end\ndata: {}\n\n", 'no event but the end');

$r = http_get('/v1/watch?n=3', headers => $ndjson);
is($r->header('Content-Type'), 'application/x-ndjson', 'lines');
my @lines = split /\n/, $r->body;
is(@lines, 3, 'three');
like($lines[2], qr/^\{"id":"3",.*\}$/, 'a line');

is(http_get('/v1/watch', headers => $ndjson)->body, '', 'no line');

is(http_get('/v1/watch', headers => [ Accept => $_->[0] ])
       ->header('Content-Type'), $_->[1], "Accept: $_->[0]")
    for [ 'application/jsonl' => 'application/x-ndjson' ],
        [ '*/*' => 'application/json' ],
        [ 'application/json, text/event-stream;q=0.5' => 'application/json' ],
        [ 'application/json;q=0.4, text/event-stream;q=0.5'
          => 'text/event-stream' ],
        [ 'TEXT/Event-Stream; charset=utf-8' => 'text/event-stream' ],
        [ 'text/event-stream;q=0' => 'application/json' ],
        [ 'text/html' => 'application/json' ];

is(http_get('/sse', headers => $ndjson)->header('Content-Type'),
   'text/event-stream', 'sse, whatever is accepted');
is(http_get('/ndjson', headers => $sse)->header('Content-Type'),
   'application/x-ndjson', 'ndjson');
is(http_get('/array', headers => $sse)->header('Content-Type'),
   'application/json', 'array');

# each message at once

my $c = $t->connect;
$c->request(GET => '/v1/watch?n=3&every_ms=100', headers => $sse);

my $bytes = '';
ok(wait_for(sub {
    $c->socket->sysread($bytes, 65536, length $bytes); $bytes =~ /"id":"1"/
}, slow(5)), 'the first event comes');
unlike($bytes, qr/"id":"3"/, 'before the last one');
ok(wait_for(sub {
    $c->socket->sysread($bytes, 65536, length $bytes); $bytes =~ /event: end/
}, slow(5)), 'which comes, too');

# protocols

$r = http_request(GET => '/v1/watch?n=2', headers => $sse, version => '1.0');
is(scalar(events($r)), 3, 'HTTP/1.0');

for my $headers ([], $sse, $ndjson) {
    $r = http_request(HEAD => '/v1/watch?n=2', headers => $headers);
    is($r->status . length $r->body, '2000', "HEAD with @$headers");
}

# errors

$r = http_get('/v1/watch?n=2&fail_after=2&code=5', headers => $sse);
is($r->status, 200, 'the status is that of the first message');
@events = events($r);
is(@events, 3, 'two and an error');
like($events[2], qr/^event: error\ndata: \{"status":404,.*\}$/, 'its body');
ok(!$r->error, 'then a clean end');

$r = http_get('/status?n=1&fail_after=1&code=5');
like($r->body, qr/event: error\ndata: \{"code":5,/, 'as google.rpc.Status');

$r = http_get('/v1/watch?n=2&fail_after=2&code=5', headers => $ndjson);
is($r->error, 'truncated', 'lines are cut after an error');
like($r->body, qr/\n\{"error":\{"status":404,.*\}\}\n$/, 'whose line came');

$r = http_get('/v1/watch?n=2&fail_after=2&code=5');
is($r->status, 404, 'an array fails as a whole');
is($r->json->{code}, 'NOT_FOUND', 'with its own body');

my $logged = qr{^/v1/watch 200 404 5$}m;
like($t->read_when('call.log', $logged), $logged,
     'the log has the mapped status');

# limits

is(http_get('/small/v1/watch?n=5')->status, 200, 'a small array');
is(length http_get('/v1/watch?n=6')->body, 997, 'an array of that length');
is(http_get('/exact/v1/watch?n=6')->status, 200, 'an array of the limit');
is(http_get('/over/v1/watch?n=6')->status, 502, 'a byte more');

is(http_get('/small/v1/watch?n=20')->status, 502, 'an array over the limit');
is(scalar(events(http_get('/small/v1/watch?n=20', headers => $sse))), 21,
   'events are not held');
like(http_get('/small/v1/watch?n=1&size=2000', headers => $sse)->status,
     qr/502/, 'but one of them may be too large');

# deadlines and silence

for my $where (qw(late silent)) {
    $r = http_get("/$where/v1/watch?n=2&every_ms=5000", headers => $sse);
    is($r->status, 200, "$where: begins");
    like($r->body, qr/"id":"1".*event: error\ndata: \{"status":504/s,
         "$where: ends with an error");
    is($g->line(slow(5)), 'cancelled', "$where: the call is cancelled");

    $r = http_get("/$where/v1/watch?n=2&first_ms=5000", headers => $sse);
    is($r->status, 504, "$where: before the first message");
    is($r->json->{status}, 504, "$where: a body of ours");
    is($g->line(slow(5)), 'cancelled', "$where: and is cancelled");
}

# pings

$r = http_get('/ping/v1/watch?n=2&every_ms=450', headers => $sse);
my $pings = () = $r->body =~ /^:$/mg;
cmp_ok($pings, '>=', 4, 'pings between events');
is(scalar(grep { /^data: / } events($r)), 2, 'which are all there');

# a client that leaves

$c = $t->connect;
$c->request(GET => '/v1/watch?n=100&every_ms=50', headers => $sse);
wait_for(sub { $c->socket->sysread($bytes, 65536) }, slow(5));
$c->close;
is($g->line(slow(5)), 'cancelled', 'a client that leaves cancels the call');

# a client that is slow holds the backend, not memory

my $before = $t->rss;
$c = $t->connect;
$c->socket->setsockopt(Socket::SOL_SOCKET, Socket::SO_RCVBUF, 4096);
$c->request(GET => '/v1/watch?n=100&size=100&first_ms=1', headers => $sse);
$c->close;

$c = $t->connect;
$c->request(GET => '/v1/watch?n=2000&size=60000', headers => $sse);
wait_for(sub { $c->socket->sysread($bytes, 1) }, slow(5));
select undef, undef, undef, 1;
cmp_ok($t->rss - $before, '<', 30 * 1024, 'memory stays');
$c->close;

# raw bodies

$r = http_get('/v1/download?n=3');
is($r->body, "line 0\nline 1\nline 2\n", 'HttpBody in pieces');
is($r->header('Content-Type'), 'text/plain', 'of its type');
is(http_get('/v1/download?n=3&code=13')->error, 'truncated',
   'cut after an error');
is(http_get('/v1/download?code=5')->status, 404, 'unless nothing was sent');

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, slow(5)),
   'no connection is left');
