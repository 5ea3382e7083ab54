# Streams of gRPC both ways over a WebSocket.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor frame field settings headers message
                     trailers);
use Harness::WebSocket;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

$t->plan(110);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

$t->backend('rst', '*' => { raw => settings() . headers()
    . message("\x0a\x011") . frame(3, 0, pack('N', 2)), after => 'hang' });

$t->backend('redirect', '*' => { raw => settings()
    . headers('x-accel-redirect', '/page') . message("\x0a\x011")
    . trailers('grpc-status', 0), after => 'hang' });
$t->backend('only', '*' => { raw => settings() . frame(1, 5, "\x88"
    . field('content-type', 'application/grpc') . field('grpc-status', 14)),
    after => 'hang' });

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
        aggregate_grpc_websocket  on max_frame=100k origin=app.example.com;
        location /v1/ {
            aggregate_grpc  t.v1.Items;
            grpc_pass       grpc://grpc;
        }
        location /off/ {
            aggregate_grpc            t.v1.Items strip=/off;
            aggregate_grpc_websocket  off;
            grpc_pass                 grpc://grpc;
        }
        location /ping/ {
            aggregate_grpc            t.v1.Items strip=/ping;
            aggregate_grpc_websocket  on ping=200ms;
            grpc_pass                 grpc://grpc;
        }
        location /held/ {
            aggregate_grpc            t.v1.Items strip=/held;
            aggregate_grpc_websocket  on ping=1s;
            grpc_pass                 grpc://grpc;
        }
        location /mirror/ {
            mirror          /page;
            aggregate_grpc  t.v1.Items strip=/mirror;
            grpc_pass       grpc://grpc;
        }
        location /filters/ {
            sub_filter_types  *;
            sub_filter        got 'has got';
            ssi               on;
            ssi_types         *;
            aggregate_grpc    t.v1.Items strip=/filters;
            grpc_pass         grpc://grpc;
        }
        location /rate/ {
            limit_rate      1k;
            aggregate_grpc  t.v1.Items strip=/rate;
            grpc_pass       grpc://grpc;
        }
        location /late/ {
            aggregate_grpc          t.v1.Items strip=/late;
            aggregate_grpc_timeout  500ms;
            grpc_pass               grpc://grpc;
        }
        location = /rst {
            aggregate_grpc  t.v1.Items/Chat;
            grpc_pass       grpc://127.0.0.1:%%PORT_rst%%;
        }
        location = /redirect {
            aggregate_grpc  t.v1.Items/Chat;
            grpc_pass       grpc://127.0.0.1:%%PORT_redirect%%;
        }
        location = /only {
            aggregate_grpc         t.v1.Items/Chat;
            error_page             503 /page;
            grpc_intercept_errors  on;
            grpc_pass              grpc://127.0.0.1:%%PORT_only%%;
        }
        location = /dead {
            error_page      502 /page;
            aggregate_grpc  t.v1.Items/Chat;
            grpc_pass       grpc://127.0.0.1:1;
        }
        location /denied/ {
            deny            all;
            aggregate_grpc  t.v1.Items strip=/denied;
            grpc_pass       grpc://grpc;
        }
        location = /page { return 200 page; }
        location = /stub { stub_status; }
    }
}
EOC

sub dial { return Harness::WebSocket->new($t, @_) }

# the handshake

my $ws = dial('/v1/chat');
like($ws->head, qr{^HTTP/1\.1 101 }, 'the handshake');
like($ws->head, qr{^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=}mi,
     'its hash');
like($ws->head, qr/^Upgrade: websocket/mi, 'Upgrade');
like($ws->head, qr/^Connection: upgrade/mi, 'Connection');

# messages both ways

for my $i (1 .. 3) {
    $ws->text(qq({"id":"$i","name":"x"}));
    is($ws->next->[1], qq({"id":"$i","name":"got x"}), "message $i");
}

$ws->frame(1, '{"id":', 0);
$ws->frame(9, 'ping');
is_deeply($ws->next, [ 10, 'ping' ], 'a ping amid a message');
$ws->frame(0, '"9"}');
is($ws->next->[1], '{"id":"9","name":"got "}', 'in two frames');

my $long = 'y' x 70000;
$ws->text(qq({"id":"$long"}));
is(length $ws->next->[1], 70000 + length '{"id":"","name":"got "}',
   'a long one');

$ws->text('');
is($ws->close_code, '1000', 'the end of the client\'s side ends the call');
ok(!$ws->next, 'and the connection');

$ws = dial('/v1/chat');
$ws->text('{"id":"bye"}');
is($ws->close_code, '1000', 'the server ends the call');

$ws = dial('/v1/chat');
$ws->text('{"id":"fail"}');
is($ws->close_code, '4009as told', 'a status and its message');

$ws = dial('/v1/chat');
$ws->text('{"id":"silent"}');
is($ws->close_code, '4009', 'a status without a message');

# frames in the packet of the handshake

sub with {
    my ($uri, @frames) = @_;

    return dial($uri, \join '', map { Harness::WebSocket::bytes(@$_) } @frames);
}

$ws = with('/v1/chat', [ 1, '{"id":"1"}' ], [ 1, '' ]);
is($ws->next->[1], '{"id":"1","name":"got "}', 'a message at once');
is($ws->close_code, '1000', 'and the end');
is(with('/v1/chat', [ 2, 'x' ])->close_code, '1003', 'a binary one');
is(with('/v1/chat', [ 1, '{"id":1}' ])->close_code, '1007id: not a string',
   'a bad one');
is(with('/v1/chat', [ 8, pack 'n', 1000 ])->close_code, '1000', 'a close');

$ws = with('/ping/v1/chat', [ 9, 'first' ]);
is_deeply($ws->next, [ 10, 'first' ], 'a ping');
is($ws->next->[0], 9, 'and pings of nginx follow');

# a request whose body another module has read

$ws = dial('/mirror/v1/chat');
$ws->text('{"id":"1"}');
is($ws->next->[1], '{"id":"1","name":"got "}', 'with a mirror');

# filters for text

$ws = dial('/filters/v1/chat');
unlike($ws->head, qr/^Content-Length/mi, 'with filters');
$ws->text('{"id":"<!--#echo var=\'uri\' -->"}');
is($ws->next->[1], '{"id":"<!--#echo var=\'uri\' -->","name":"got "}',
   'no filter changes a frame');
$ws->text('');
is($ws->close_code, '1000', 'nor its length');

# a method whose verb is its own

$ws = dial('/v1/talk/x');
like($ws->head, qr{^HTTP/1\.1 101 }, 'a custom verb');
$ws->text('{"id":"1"}');
is($ws->next->[1], '{"id":"1","name":"got "}', 'and its messages');
$ws->text('');
is($ws->close_code, '1000', 'which end');

# a stream of the server alone, filled by the query

$ws = dial('/v1/watch?n=3');
is(join(',', map { JSON::PP::decode_json($ws->next->[1])->{id} } 1 .. 3),
   '1,2,3', 'a stream');
is($ws->close_code, '1000', 'which ends');

$ws = dial('/rate/v1/watch?n=2');
like(($ws->next || [])->[1], qr/"id":"1"/, 'limit_rate does not hold it');
is($ws->close_code, '1000', 'to the end');

$ws = dial('/v1/watch?n=x');
like($ws->head, qr{^HTTP/1\.1 400 }, 'a bad query');

# a stream of the client alone

$ws = dial('/v1/sum');
$ws->text(qq({"n":$_})) for 1 .. 4;
$ws->text('');
is($ws->next->[1], '{"total":"10","count":4}', 'a sum');
is($ws->close_code, '1000', 'and the end');

# errors of the client

for my $case ([ 1, '{"id":1}', qr/^1007id: / ], [ 1, 'x', qr/^1007/ ],
              [ 1, '  ', qr/^1007/ ], [ 8, "\x03\xed", qr/^1002$/ ],
              [ 8, "\x03", qr/^1002$/ ],
              [ 1, "\"\xff\"", qr/^1007/ ], [ 2, 'x', qr/^1003/ ],
              [ 3, 'x', qr/^1002/ ], [ 0, 'x', qr/^1002/ ],
              [ 1, 'x' x 110000, qr/^1009/ ])
{
    $ws = dial('/v1/chat');
    $ws->frame($case->[0], $case->[1]);
    like($ws->close_code, $case->[2], "opcode $case->[0]: "
         . substr $case->[1], 0, 10);
    is($g->line(slow(5)), 'cancelled', 'and the call is cancelled');
}

$ws = dial('/v1/chat');
ok($ws->client->send(Harness::WebSocket::bytes(1, 'x' x 20000000)),
   'a client that is still sending is not reset');
like($ws->close_code, qr/^1009/, 'and gets the code');
is($g->line(slow(5)), 'cancelled', 'and the call is cancelled');

$ws = dial('/v1/chat');
$ws->text('{"id":"1"}');
$ws->next;
$ws->frame(8, pack('n', 1000));
is($ws->close_code, '1000', 'a close is answered');
is($g->line(slow(5)), 'cancelled', 'and cancels the call');

$ws = dial('/v1/chat');
$ws->text('{"id":"1"}');
$ws->next;
$ws->client->reset;
is($g->line(slow(5)), 'cancelled', 'so does a client that is gone');

# broken backends

is(dial('/rst')->close_code, '1011', 'a reset');
is(dial('/dead')->close_code, '1011', 'no backend, and no page of it');

$ws = dial('/redirect');
is_deeply($ws->next, [ 1, '{"id":"1"}' ], 'no redirect within a WebSocket');
is($ws->close_code, '1000', 'but its end');
$ws = dial('/only');
is_deeply($ws->next, [ 8, pack 'n', 4014 ], 'no page of a status');
ok(!$ws->next, 'but its end, too');

like(dial('/late/v1/watch?n=2&every_ms=5000')->close_code, qr/^4004/,
     'a deadline');
is($g->line(slow(5)), 'cancelled', 'which cancels the call');

# refusals

like(dial('/v1/items/1')->head, qr{^HTTP/1\.1 404 }, 'no stream');
like(dial('/v1/chat', 'Origin: http://evil')->head, qr{^HTTP/1\.1 403 },
     'another origin');
like(dial('/v1/chat', 'Origin: http://localhost')->head,
     qr{^HTTP/1\.1 101 }, 'the same');
like(dial('/v1/chat', 'Origin: https://app.example.com')->head,
     qr{^HTTP/1\.1 101 }, 'one of the list');
like(dial('/denied/v1/chat')->head, qr{^HTTP/1\.1 403 }, 'access rules');
unlike(dial('/off/v1/watch')->head, qr{^HTTP/1\.1 101 }, 'switched off');
like(dial('/v1/chat/%2e%2e/x')->head, qr{^HTTP/1\.1 400 }, 'an invalid path');

# handshakes with one header that is another, or none

sub shake {
    my ($name, $value) = @_;

    my %headers = (Host => 'localhost', Upgrade => 'websocket',
                   Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
                   'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
                   $name => $value);
    my $c = $t->connect;
    my $in = '';

    $c->send("GET /v1/chat HTTP/1.1\r\n"
             . join('', map { "$_: $headers{$_}\r\n" }
                    grep { defined $headers{$_} } sort keys %headers)
             . "\r\n");
    wait_for(sub { $c->socket->sysread($in, 4096, length $in);
                   $in =~ /\r\n\r\n/ }, slow(5));

    return $in;
}

for my $version (8, 12, 130, '13, 8', 'x', '', undef) {
    like(shake('Sec-WebSocket-Version' => $version),
         qr{^HTTP/1\.1\ 400\ .*^Sec-WebSocket-Version:\ 13\r$}msx,
         'version ' . ($version // 'none'));
}

for my $key ('dGhlIHNhbXBsZSBub25jZQ=', 'dGhlIHNhbXBsZSBub25jZQ==x',
             'dGhlIHNhbXBsZSBub25jZQ=x', 'dGhlIHNhbXBsZSBub25jZQAA',
             'dGhlIHNhbXBsZSBub25jZQA=', 'dGhlIHNhbXBsZS*ub25jZQ==',
             'dGhlIHNhbXBsZSBub25j====', '', undef)
{
    like(shake('Sec-WebSocket-Key' => $key), qr{^HTTP/1\.1 400 },
         'key ' . ($key // 'none'));
}

for my $connection ('keep-alive', 'Upgraded', 'close, x', '', undef) {
    like(shake(Connection => $connection), qr{^HTTP/1\.1 400 },
         'Connection ' . ($connection // 'none'));
}

for my $connection ('upgrade', 'keep-alive, UPGRADE', 'x ,Upgrade') {
    like(shake(Connection => $connection), qr{^HTTP/1\.1 101 },
         "Connection $connection");
}

# pings

$ws = dial('/ping/v1/chat');
my $f = $ws->next;
is($f->[0], 9, 'a ping');
$ws->frame(10, $f->[1]);
is($ws->next->[0], 9, 'and another after the pong');
is($ws->close_code, '1011', 'no pong: the connection ends');

# a client that reads nothing: a ping waits, and the close frame behind it

$ws = dial('/held/v1/watch?n=300&size=60000');

my ($unread, $same) = (0, 0);

wait_for(sub {
    my $n = pack 'i', 0;

    select undef, undef, undef, 0.05;
    $ws->frame(10, '');
    ioctl $ws->socket, 0x541b, $n or die "FIONREAD: $!\n";

    $same = $unread eq $n ? $same + 1 : 0;
    $unread = $n;

    return $same > 30;
}, slow(20));

$ws->frame(2, 'x');
is($ws->close_code, '1003', 'a ping does not take the place of the code');

is(http_get('/v1/items/1')->status, 200, 'other requests are as before');

my $log = $t->read_file('call.log');

like($log, qr{^/v1/chat 101 200 0$}m, 'the log has what the client got');
like($log, qr{^/v1/chat 101 400 9$}m, 'whatever the call ended with');
like($log, qr{^/dead 101 502 -$}m, 'also without one');
like($log, qr{^/v1/items/1 404 - -$}m, 'and a handshake that was refused');
