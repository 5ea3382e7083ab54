# Streams of gRPC both ways over a WebSocket.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor frame settings headers message);

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

$t->plan(50);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

$t->backend('rst', '*' => { raw => settings() . headers()
    . message("\x0a\x011") . frame(3, 0, pack('N', 2)), after => 'hang' });

$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
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
        location /late/ {
            aggregate_grpc          t.v1.Items strip=/late;
            aggregate_grpc_timeout  500ms;
            grpc_pass               grpc://grpc;
        }
        location = /rst {
            aggregate_grpc  t.v1.Items/Chat;
            grpc_pass       grpc://127.0.0.1:%%PORT_rst%%;
        }
        location = /dead {
            aggregate_grpc  t.v1.Items/Chat;
            grpc_pass       grpc://127.0.0.1:1;
        }
        location /denied/ {
            deny            all;
            aggregate_grpc  t.v1.Items strip=/denied;
            grpc_pass       grpc://grpc;
        }
        location = /stub { stub_status; }
    }
}
EOC

# a client

sub dial {
    my ($uri, @headers) = @_;
    my $c = $t->connect;

    $c->send("GET $uri HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
             . "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             . join('', map { "$_\r\n" } @headers) . "\r\n");

    my $ws = { c => $c, in => '' };
    wait_for(sub { $ws->{in} =~ /\r\n\r\n/ || fill($ws) < 0 }, slow(5));
    $ws->{in} =~ s/^(.*?\r\n\r\n)//s and $ws->{head} = $1;
    return $ws;
}

sub fill {
    my ($ws) = @_;
    my $n = $ws->{c}->socket->sysread($ws->{in}, 65536, length $ws->{in});
    return defined $n ? $n || -1 : $!{EAGAIN} ? 0 : -1;
}

sub send_frame {
    my ($ws, $op, $data, $fin) = @_;
    my $mask = "\x01\x82\x03\x84";
    my $n = length $data;
    my $len = $n < 126 ? pack('C', 0x80 | $n)
        : $n < 65536 ? pack('Cn', 0x80 | 126, $n)
        : pack('CQ>', 0x80 | 127, $n);
    my $masked = $data ^ substr($mask x ($n / 4 + 1), 0, $n);

    $ws->{c}->send(pack('C', ($fin // 0x80) | $op) . $len . $mask . $masked);
    return;
}

sub text { return send_frame($_[0], 1, $_[1]) }

# [ opcode, data ]; undef: the connection has ended
sub next_frame {
    my ($ws) = @_;
    my $frame;

    wait_for(sub {
        my ($op, $n) = unpack 'CC', $ws->{in};
        if (defined $n) {
            my $head = $n == 126 ? 4 : $n == 127 ? 10 : 2;
            if (length $ws->{in} >= $head) {
                $n = $n == 126 ? unpack('x2n', $ws->{in})
                    : $n == 127 ? unpack('x2Q>', $ws->{in}) : $n;
                if (length $ws->{in} >= $head + $n) {
                    $frame = [ $op & 15, substr $ws->{in}, $head, $n ];
                    substr $ws->{in}, 0, $head + $n, '';
                    return 1;
                }
            }
        }
        return fill($ws) < 0;
    }, slow(5));

    return $frame;
}

sub close_of {
    my ($ws) = @_;

    while (my $f = next_frame($ws)) {
        return unpack('n', $f->[1]) . substr($f->[1], 2) if $f->[0] == 8;
    }

    return 'none';
}

# the handshake

my $ws = dial('/v1/chat');
like($ws->{head}, qr{^HTTP/1\.1 101 }, 'the handshake');
like($ws->{head}, qr{^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=}mi,
     'its hash');
like($ws->{head}, qr/^Upgrade: websocket/mi, 'Upgrade');
like($ws->{head}, qr/^Connection: upgrade/mi, 'Connection');

# messages both ways

for my $i (1 .. 3) {
    text($ws, qq({"id":"$i","name":"x"}));
    is(next_frame($ws)->[1], qq({"id":"$i","name":"got x"}), "message $i");
}

send_frame($ws, 1, '{"id":', 0);
send_frame($ws, 9, 'ping');
is_deeply(next_frame($ws), [ 10, 'ping' ], 'a ping amid a message');
send_frame($ws, 0, '"9"}');
is(next_frame($ws)->[1], '{"id":"9","name":"got "}', 'in two frames');

my $long = 'y' x 70000;
text($ws, qq({"id":"$long"}));
is(length next_frame($ws)->[1], 70000 + length '{"id":"","name":"got "}',
   'a long one');

text($ws, '');
is(close_of($ws), '1000', 'the end of the client\'s side ends the call');
ok(!next_frame($ws), 'and the connection');

$ws = dial('/v1/chat');
text($ws, '{"id":"bye"}');
is(close_of($ws), '1000', 'the server ends the call');

$ws = dial('/v1/chat');
text($ws, '{"id":"fail"}');
is(close_of($ws), '4009as told', 'a status and its message');

# a stream of the server alone, filled by the query

$ws = dial('/v1/watch?n=3');
is(join(',', map { JSON::PP::decode_json(next_frame($ws)->[1])->{id} } 1 .. 3),
   '1,2,3', 'a stream');
is(close_of($ws), '1000', 'which ends');

$ws = dial('/v1/watch?n=x');
like($ws->{head}, qr{^HTTP/1\.1 400 }, 'a bad query');

# a stream of the client alone

$ws = dial('/v1/sum');
text($ws, qq({"n":$_})) for 1 .. 4;
text($ws, '');
is(next_frame($ws)->[1], '{"total":"10","count":4}', 'a sum');
is(close_of($ws), '1000', 'and the end');

# errors of the client

for my $case ([ 1, '{"id":1}', qr/^1007id: / ], [ 1, 'x', qr/^1007/ ],
              [ 1, "\"\xff\"", qr/^1007/ ], [ 2, 'x', qr/^1003/ ],
              [ 3, 'x', qr/^1002/ ], [ 0, 'x', qr/^1002/ ],
              [ 1, 'x' x 110000, qr/^1009/ ])
{
    $ws = dial('/v1/chat');
    send_frame($ws, $case->[0], $case->[1]);
    like(close_of($ws), $case->[2], "opcode $case->[0]: "
         . substr $case->[1], 0, 10);
    is($g->line(slow(5)), 'cancelled', 'and the call is cancelled');
}

$ws = dial('/v1/chat');
text($ws, '{"id":"1"}');
next_frame($ws);
send_frame($ws, 8, pack('n', 1000));
is(close_of($ws), '1000', 'a close is answered');
is($g->line(slow(5)), 'cancelled', 'and cancels the call');

$ws = dial('/v1/chat');
text($ws, '{"id":"1"}');
next_frame($ws);
$ws->{c}->reset;
is($g->line(slow(5)), 'cancelled', 'so does a client that is gone');

# broken backends

is(close_of(dial('/rst')), '1011', 'a reset');
is(close_of(dial('/dead')), '1011', 'no backend');
like(close_of(dial('/late/v1/watch?n=2&every_ms=5000')), qr/^4004/,
     'a deadline');
is($g->line(slow(5)), 'cancelled', 'which cancels the call');

# refusals

like(dial('/v1/items/1')->{head}, qr{^HTTP/1\.1 404 }, 'no stream');
like(dial('/v1/chat', 'Origin: http://evil')->{head}, qr{^HTTP/1\.1 403 },
     'another origin');
like(dial('/v1/chat', 'Origin: http://localhost')->{head},
     qr{^HTTP/1\.1 101 }, 'the same');
like(dial('/v1/chat', 'Origin: https://app.example.com')->{head},
     qr{^HTTP/1\.1 101 }, 'one of the list');
like(dial('/denied/v1/chat')->{head}, qr{^HTTP/1\.1 403 }, 'access rules');
unlike(dial('/off/v1/watch')->{head}, qr{^HTTP/1\.1 101 }, 'switched off');

# pings

$ws = dial('/ping/v1/chat');
my $f = next_frame($ws);
is($f->[0], 9, 'a ping');
send_frame($ws, 10, $f->[1]);
is(next_frame($ws)->[0], 9, 'and another after the pong');
is(close_of($ws), '1011', 'no pong: the connection ends');

is(http_get('/v1/items/1')->status, 200, 'other requests are as before');
