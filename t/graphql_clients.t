# GraphQL and clients that go away, reloads, HTTP/1.0, pipelining, a cache, a
# breaker, access rules, an aggregate around it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time sleep);

use Harness;
use Harness::GraphQL;

my $t = Harness->new(plan => 22);

$t->backend('b',
    '/a' => { body => '{"id":1}', headers => [ 'Cache-Control' =>
                                               'max-age=60' ] },
    '/slow' => { body => '{"id":1}', delay => slow(3) },
    '/down' => { status => 500 },
    '/auth' => sub { return $_[0]{head} =~ /X-Token: good/i
        ? { status => 204, headers => [ 'X-User' => 'ada' ] }
        : { status => 401 } },
    '/who' => sub { return $_[0]{head} =~ /X-User: (\w+)/ ? qq{"$1"} : '"-"' },
);

$t->write_file('s.graphql', <<'EOS');
type A { id: ID  slow: A @rest(get: "/b/slow") }
type Query {
  a: A @rest(get: "/b/a")
  slow: A @rest(get: "/b/slow")
  guarded: A @rest(get: "/guarded/x", default: "null")
  who: String @rest(get: "/b/who", headers: [{name: "X-User", value: "$user"}])
}
EOS

my $files = '%%TESTDIR%%/s.graphql';

graphql_serve($t, schema => 's.graphql', block => 'timeout 30s;',
    http => 'aggregate_cache_zone c 1m; breaker_zone z 1m;
             breaker_policy default { failure_threshold 2; }',
    server => qq{
    location = /cached { aggregate_cache c; aggregate_cache_ttl / 60s;
                         aggregate_graphql $files { } }
    location = /closed { auth_request /_auth;
                         auth_request_set \$user \$upstream_http_x_user;
                         aggregate_graphql $files { } }
    location = /_auth { internal; proxy_pass http://127.0.0.1:%%PORT_b%%/auth;
                        proxy_pass_request_body off;
                        proxy_set_header Content-Length ""; }
    location /guarded/ { internal; breaker g zone=z;
                         proxy_pass http://127.0.0.1:%%PORT_b%%/down; }
    location = /inner { internal; aggregate_graphql $files { } }
    location = /outer { aggregate {
        backend g '/inner?query={a{id}}' { target data.a; } } }
    });

# a client that goes away takes its requests along
my $b = $t->{backends}{b};
my $c = $t->connect;
my $body = '{"query":"{ slow { id } a { slow { id } } }"}';

$c->send("POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
         . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
ok(wait_for(sub { $b->count('/slow') == 1 }, 5), 'a slow request');
$c->close;
ok(wait_for(sub { my %s = %{ $b->stats }; $s{aborted} >= 1 }, 5),
   'it ends with its client');

# a reload in the middle
$c = $t->connect;
$c->send("POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
         . "Content-Type: application/json\r\nContent-Length: "
         . length($body) . "\r\n\r\n$body");
ok(wait_for(sub { $b->count('/slow') >= 2 }, 5), 'another one');
$t->reload;
my $r = $c->response;
is($r->body, '{"data":{"slow":{"id":"1"},"a":{"slow":{"id":"1"}}}}',
   'is answered after a reload');

# one connection, many requests
$c = $t->connect;
for my $n (1 .. 3) {
    $c->request('POST', '/graphql', body => '{"query":"{ a { id } }"}',
                headers => [ 'Content-Type' => 'application/json' ]);
    $r = $c->response;
    is($r->body, '{"data":{"a":{"id":"1"}}}', "keep-alive, $n");
}

$r = http_request('POST', '/graphql',
    chunked => [ '{"query":', '"{ a { id } }"}' ],
    headers => [ 'Content-Type' => 'application/json' ]);
is($r->body, '{"data":{"a":{"id":"1"}}}', 'a chunked request');

$r = http_request('POST', '/graphql', version => '1.0',
    body => '{"query":"{ a { id } }"}',
    headers => [ 'Content-Type' => 'application/json' ]);
is($r->body, '{"data":{"a":{"id":"1"}}}', 'HTTP/1.0');

# in a temporary file
$r = graphql($t, '{ a { id } } #' . 'x' x 200000);
is($r->body, '{"data":{"a":{"id":"1"}}}', 'a body in a file');

# a cache
my $uri = '/cached?query={a{id}}';
is(http_get($uri)->header('X-Cache'), 'MISS', 'a miss');
$r = http_get($uri);
is($r->header('X-Cache') . ' ' . $r->body, 'HIT {"data":{"a":{"id":"1"}}}',
   'a hit');
http_get('/cached?query={guarded{id}}');
is(http_get('/cached?query={guarded{id}}')->header('X-Cache'), 'MISS',
   'what is partial is not stored');
is(graphql($t, '{ a { id } }', uri => '/cached')->header('X-Cache') // '-',
   'BYPASS', 'nor is a POST');

# access
is(graphql($t, '{ who }', uri => '/closed')->status, 401, 'no access');
$r = graphql($t, '{ who }', uri => '/closed', headers => [ 'X-Token',
                                                           'good' ]);
is($r->body, '{"data":{"who":"ada"}}', 'the identity of auth_request');
$r = graphql($t, '{ who }', headers => [ 'X-User', 'evil' ]);
is($r->body, '{"data":{"who":"-"}}', 'a client has no say in it');

# a breaker
graphql($t, '{ guarded { id } }') for 1 .. 2;
$r = graphql($t, '{ guarded { id } }');
is($r->body, '{"data":{"guarded":null}}', 'a default for an open breaker');
is($r->header('X-Aggregate'), 'partial; failed="Query.guarded"', 'is partial');

# in an aggregate
$r = http_get('/outer');
is($r->body, '{"g":{"id":"1"}}', 'a part of an aggregate');

# many at once, and then the worker stops as it should
my @c = map { my $c = $t->connect; $c->send(
    "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    . 'Content-Length: ' . length($body) . "\r\n\r\n$body"); $c } 1 .. 50;
ok(wait_for(sub { my %s = %{ $b->stats }; $s{active} >= 50 }, 5), '50 at once');
$_->close for @c;
ok(wait_for(sub { my %s = %{ $b->stats }; $s{active} == 0 }, 10),
   'all are gone');
