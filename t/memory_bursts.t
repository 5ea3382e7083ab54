# The memory of a burst is given back, whatever answered it: GraphQL, calls of
# gRPC with large messages, streams of events, and WebSockets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor);
use Harness::WebSocket;

my $t = Harness->new(modules => [ 'ngx_http_aggregate_module' ]);
my $clients = 80;

$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

$t->backend('b', '/big' => { body => '"' . 'x' x (950 * 1024) . '"' });
$t->write_file('s.graphql',
               'type Query { a: String @rest(get: "/b/big") }');

my %kinds = (
    graphql   => '/graphql?query={a}',
    array     => '/v1/watch?n=1&size=700000',
    events    => '/events/v1/watch?n=3&size=300000',
    lines     => '/lines/v1/watch?n=3&size=300000',
);

$t->plan(2 * keys(%kinds) + 2);

$t->run(<<'EOC');
%%GLOBALS%%
worker_rlimit_nofile 4096;
events { worker_connections 2048; }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    server {
        listen 127.0.0.1:%%PORT_0%% sndbuf=8k;
        location /graphql { aggregate_graphql s.graphql { timeout 60s; } }
        location /b/ { proxy_pass http://127.0.0.1:%%PORT_b%%/; }
        location /v1/ {
            aggregate_grpc            t.v1.Items;
            aggregate_grpc_websocket  on max_frame=1m;
            grpc_pass                 grpc://127.0.0.1:%%PORT_grpc%%;
        }
        location /events/ {
            aggregate_grpc         t.v1.Items strip=/events;
            aggregate_grpc_stream  sse;
            grpc_pass              grpc://127.0.0.1:%%PORT_grpc%%;
        }
        location /lines/ {
            aggregate_grpc         t.v1.Items strip=/lines;
            aggregate_grpc_stream  ndjson;
            grpc_pass              grpc://127.0.0.1:%%PORT_grpc%%;
        }
    }
}
EOC

for my $uri (values %kinds) {
    my $r = http_get($uri =~ s/\d{5,}/9/r);
    $r->status == 200 or die "$uri: " . $r->status . "\n";
}

my $start = $t->rss;

# the allocator of the sanitizers keeps what was freed, on purpose
my $bound = $t->{binary} =~ m{/(?:asan|nginx-asan)/} ? 2 ** 40
                                                     : $start + 24 * 1024;

for my $kind (sort keys %kinds) {
    my @open = map { my $c = $t->connect; $c->request(GET => $kinds{$kind});
                     $c } 1 .. $clients;

    # each has its answer, and takes nothing of it
    my $grown = wait_for(sub { $t->rss > $start + $clients * 600 }, slow(30));
    ok($grown, "$kind: a burst makes the worker grow")
        or diag("$start KB at the start, " . $t->rss . ' now');

    $_->close for @open;
    given($kind);
}

my $text = '{"blob":"' . ('YWFh' x 200_000) . '"}';
my @open = map { Harness::WebSocket->new($t, '/v1/chat') } 1 .. $clients;

$_->text($text) for @open;
ok(wait_for(sub { $t->rss > $start + $clients * 600 }, slow(30)),
   'WebSockets: a burst makes the worker grow')
    or diag("$start KB at the start, " . $t->rss . ' now');

$_->client->close for @open;
given('WebSockets');


sub given {
    my ($kind) = @_;

    ok(wait_for(sub { $t->rss < $bound }, slow(10)),
       "$kind: the memory is given back")
        or diag("$start KB at the start, " . $t->rss . ' now');
    return;
}
