# WebSockets of gRPC that are open while other things happen: a side that is
# slow, limits, reloads, the end of a worker.

use strict;
use warnings;

use Errno ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor settings headers);
use Harness::WebSocket;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);

$t->plan(26);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

# takes what the window of HTTP/2 lets through, and never opens it further
$t->backend('deaf', '*' => { raw => settings() . headers(),
                             after => 'hang' });

$t->run(<<'EOC');
%%GLOBALS%%
worker_processes         1;
worker_shutdown_timeout  2s;
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    limit_conn_zone            $server_port zone=open:256k;
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        aggregate_grpc_websocket  on max_frame=1m;
        location /v1/ {
            aggregate_grpc  t.v1.Items;
            grpc_pass       grpc://grpc;
        }
        location /limited/ {
            limit_conn      open 1;
            aggregate_grpc  t.v1.Items strip=/limited;
            grpc_pass       grpc://grpc;
        }
        location = /deaf {
            aggregate_grpc  t.v1.Items/Chat;
            grpc_pass       grpc://127.0.0.1:%%PORT_deaf%%;
        }
        location = /stub { stub_status; }
    }
}
EOC

sub dial { return Harness::WebSocket->new($t, @_) }

sub said {
    my ($ws, $id) = @_;
    $ws->text(qq({"id":"$id","name":"x"}));
    my $f = $ws->next || [ 0, '' ];
    return $f->[1];
}

sub got { return qq({"id":"$_[0]","name":"got x"}) }

# limit_conn counts what is open

my $first = dial('/limited/v1/chat');
like($first->head, qr{^HTTP/1\.1 101 }, 'the first one');
is(said($first, 1), got(1), 'which is used');
like(dial('/limited/v1/chat')->head, qr{^HTTP/1\.1 503 }, 'no second one');

$first->frame(8, pack 'n', 1000);
is($first->close_code, '1000', 'the first one is closed');
is($g->line(slow(5)), 'cancelled', 'and its call');

my $again;
ok(wait_for(sub {
    $again = dial('/limited/v1/chat');
    return $again->head =~ m{^HTTP/1\.1 101 };
}, slow(5)), 'then there is room');
said($again, 2);
$again->client->reset;
is($g->line(slow(5)), 'cancelled', 'until the client leaves');

# a client that does not read holds the backend

my $before = $t->rss;
my $ws = dial('/v1/watch?n=3000&size=60000');
like($ws->head, qr{^HTTP/1\.1 101 }, 'a stream of 240 megabytes');
select undef, undef, undef, 1;
cmp_ok($t->rss - $before, '<', 30 * 1024, 'memory stays');

my $whole = 1;

for my $i (1 .. 50) {
    my $f = $ws->next;
    $whole &&= $f && $f->[1] =~ /^\{"id":"$i","name":"n$i",.*"YWFh/
        && length $f->[1] > 80000;
}

ok($whole, 'messages come in order and whole');
$ws->client->reset;
is($g->line(slow(5)), 'cancelled', 'a client that leaves cancels the call');

# a backend that does not read holds the client

$before = $t->rss;
$ws = dial('/deaf');
like($ws->head, qr{^HTTP/1\.1 101 }, 'a backend that does not read');

my $message = Harness::WebSocket::bytes(1, '{"id":"' . 'z' x 60000 . '"}');
my ($sent, $at, $stuck) = (0, 0, 0);

wait_for(sub {
    my $n = $ws->socket->syswrite($message, length($message) - $at, $at);

    if (defined $n) {
        $at = ($at + $n) % length $message;
        $sent += $n;
        $stuck = 0;
        return $sent > 100e6;
    }

    return !$!{EAGAIN} || ++$stuck > 100;
}, slow(20));

cmp_ok($sent, '<', 30e6, 'the client is held');
cmp_ok($sent, '>', 60000, 'after it has sent something');
cmp_ok($t->rss - $before, '<', 30 * 1024, 'not in memory');
$ws->client->reset;
ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, slow(5)),
   'it is gone when it leaves');

# a reload leaves open what is open, as long as worker_shutdown_timeout says

$ws = dial('/v1/chat');
is(said($ws, 2), got(2), 'open before a reload');

my ($old) = $t->workers;
ok($t->reload, 'reloaded');
is(said($ws, 3), got(3), 'the old worker serves it on');
is(said($ws, 4), got(4), 'and on');

my $new = dial('/v1/chat');
is(said($new, 5), got(5), 'a new one is the new worker\'s');

ok(wait_for(sub { !$ws->next }, slow(10)), 'it ends with its worker');
is($g->line(slow(5)), 'cancelled', 'and its call is cancelled');
ok(wait_for(sub { !kill 0, $old }, slow(10)), 'the old worker is gone');
is(said($new, 6), got(6), 'the new one lives');

$new->text('');
is($new->close_code, '1000', 'and ends well');
