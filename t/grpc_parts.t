# gRPC calls as parts of aggregates: each, merge, dependencies, bodies, behind
# breakers, cached, shaped, retried, traced; and as fields of GraphQL.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::Grpc qw(descriptor settings headers message trailers);

my $t = Harness->new;

$t->plan(50);
$t->port('0');
descriptor($t, 'items.pb', 'items.proto');

my $g = Harness::Grpc->new($t, 'grpc');

$t->backend('users', '/u/1' => '{"id":1,"item":"7","ids":["a","b","c"]}');
$t->backend('bad', '*' => { raw => settings() . headers() . message("\x0a\5x")
                                . trailers('grpc-status', 0),
                            after => 'hang' });
$t->write_file('s.graphql', <<'EOS');
type Query {
  item(id: ID!): Item @rest(get: "/_g/v1/items/${args.id}")
  items(n: Int!): [Item] @rest(get: "/_g/v1/items?n=${args.n}")
}
type Item { id: ID! name: String priceCents: String tags: [String] }
EOS

$t->run(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    aggregate_grpc_descriptor  items.pb;
    aggregate_cache_zone  c 1m;
    breaker_zone          b 256k;
    breaker_policy p { failure_threshold 2; recovery_timeout 1h; }
    aggregate_shape lean { allow id name; }
    upstream grpc { server 127.0.0.1:%%PORT_grpc%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%%;

        location /u/ { proxy_pass http://127.0.0.1:%%PORT_users%%; }
        location ^~ /_g/ {
            internal;
            aggregate_grpc  t.v1.Items strip=/_g;
            grpc_pass       grpc://grpc;
        }
        location = /_echo {
            internal;
            aggregate_grpc  t.v1.Items/Echo;
            grpc_pass       grpc://grpc;
        }
        location = /_bad {
            internal;
            aggregate_grpc  t.v1.Items/Get get;
            grpc_pass       grpc://127.0.0.1:%%PORT_bad%%;
        }
        location ^~ /_broken/ {
            internal;
            breaker         k zone=b policy=p;
            aggregate_grpc  t.v1.Items strip=/_broken;
            grpc_pass       grpc://grpc;
        }
        location ^~ /_cached/ {
            internal;
            aggregate_cache      c;
            aggregate_cache_ttl  / 1h;
            aggregate_grpc       t.v1.Items strip=/_cached;
            grpc_pass            grpc://grpc;
        }

        location = /two {
            aggregate {
                backend a /_g/v1/items/1 { }
                backend b /_g/v1/items/2 { target name; }
            }
        }
        location = /depends {
            aggregate {
                backend user /u/1 { hidden; }
                backend it /_g/v1/items/${user.item} { target id; }
                backend next /_g/v1/items/${it.} { target name; }
            }
        }
        location = /slash {
            aggregate { backend it /_g/v1/items/$arg_id { target id; } }
        }
        location = /body {
            aggregate {
                methods GET POST;
                backend user /u/1 { hidden; }
                backend e /_echo {
                    method POST; body '{"text":${user.item}}'; target text;
                }
            }
        }
        location = /each {
            aggregate {
                backend user /u/1 { hidden; }
                backend items /_g/v1/items/${item.} {
                    each user.ids; target name;
                }
            }
        }
        location = /merge {
            aggregate {
                backend it /_g/v1/items/1 { merge; }
                backend more /u/1 { }
            }
        }
        location = /stream {
            aggregate { backend list /_g/v1/watch?n=3 { } }
        }
        location = /errors {
            aggregate {
                errors errors;
                backend user /u/1 { hidden; }
                backend none /_g/v1/items/none { }
                backend bad /_bad { }
                backend five /_g/v1/fail?code=14 { }
                backend gone /_g/v1/fail?code=1 { }
                backend path /_g/v1/nothing { }
                backend args /_g/v1/items?n=x { }
            }
        }
        location = /required {
            aggregate {
                backend a /_g/v1/items/1 { }
                backend b /_g/v1/fail?code=1 { required; }
            }
        }
        location = /deadline {
            aggregate {
                backend user /u/1 { hidden; }
                backend e /_g/v1/echo/x?wait_ms=0 { timeout 3s; }
            }
        }
        location = /slow {
            aggregate {
                errors errors;
                backend user /u/1 { }
                backend e /_g/v1/echo/x?wait_ms=9000 { timeout 300ms; }
            }
        }
        location = /broken {
            aggregate {
                errors errors;
                backend user /u/1 { }
                backend f /_broken/v1/fail?code=14&message_first=false { }
            }
        }
        location = /cached {
            aggregate { backend e /_cached/v1/echo/x { } }
        }
        location = /cached_stream {
            aggregate { backend list /cache/v1/watch?n=2 { } }
        }
        location = /fixed_stream {
            aggregate { backend list /events/v1/watch?n=2 { } }
        }
        location = /shaped {
            aggregate { backend it /_g/v1/items/1 { allow id tags; } }
        }
        location /apply/ {
            aggregate_apply  lean;
            aggregate_grpc   t.v1.Items strip=/apply;
            grpc_pass        grpc://grpc;
        }
        location /cache/ {
            aggregate_cache      c;
            aggregate_cache_ttl  / 1h;
            aggregate_grpc       t.v1.Items strip=/cache;
            grpc_pass            grpc://grpc;
        }
        location /events/ {
            aggregate_cache        c;
            aggregate_cache_ttl    / 1h;
            aggregate_grpc         t.v1.Items strip=/events;
            aggregate_grpc_stream  sse;
            grpc_pass              grpc://grpc;
        }
        location /breaker/ {
            breaker         main zone=b policy=p;
            aggregate_grpc  t.v1.Items strip=/breaker;
            grpc_pass       grpc://grpc;
        }
        location = /graphql { aggregate_graphql s.graphql { } }
        location = /breakers { breaker_status; }
        location = /stub { stub_status; }
    }
}
EOC

sub body { return http_get($_[0])->body }

is(http_get('/two')->json->{a}{id}, '1', 'a part');
is(http_get('/two')->json->{b}, 'n2', 'and another');
is(body('/depends'), '{"it":"7","next":"n7"}', 'dependencies');
is(body('/slash?id=a'), '{"it":"a"}', 'a value in a path');
is(body('/body'), '{"e":"7"}', 'a value in a body');
is(body('/each'), '{"items":["na","nb","nc"]}', 'each');
is(http_get('/merge')->json->{name}, 'n1', 'merge');
is(http_get('/merge')->json->{more}{id}, 1, 'beside another part');
is(join(',', map { $_->{id} } @{ http_get('/stream')->json->{list} }), '1,2,3',
   'a stream is an array');

# reasons

my %errors = map { $_->{backend} => $_ }
    @{ http_get('/errors')->json->{errors} || [] };

is($errors{none}{status}, 404, 'a mapped status');
is($errors{bad}{status}, 502, 'a broken backend');
is($errors{five}{status}, 503, 'UNAVAILABLE');
is($errors{gone}{status}, 499, 'CANCELLED');
is($errors{path}{status}, 404, 'no such path');
is($errors{args}{status}, 400, 'a bad parameter');
is($errors{none}{reason}, $errors{five}{reason}, 'by the status');
is(http_get('/required')->status, 502, 'a 499 of a required part is a 502');

# deadlines

my $left = http_get('/deadline')->json->{e}{deadlineMs};
cmp_ok($left, '>', 1000, 'what is left of the part is told');
cmp_ok($left, '<=', 3000, 'and not more');

my $r = http_get('/slow');
is($r->status, 200, 'a part in time');
is($r->json->{errors}[0]{reason}, 'timeout', 'and one that is not');
is($g->line(slow(5)), 'cancelled', 'whose call is cancelled');

# breakers

body('/broken') for 1 .. 2;
is(http_get('/broken')->json->{errors}[0]{reason}, 'breaker_open',
   'the breaker of a part opens by what a trailer says');

http_get('/breaker/v1/items/none') for 1 .. 4;
is(http_get('/breaker/v1/items/1')->status, 200, 'NOT_FOUND opens none');
is(http_get('/breaker/v1/fail?code=14&header_first=true')->status, 503,
   'UNAVAILABLE') for 1 .. 2;
is(http_get('/breaker/v1/items/1')->status, 503, 'does');

# cache

my $first = body('/cached');
is(body('/cached'), $first, 'a part is cached');

is(http_get('/cache/v1/items/5')->header('X-Cache'), 'MISS', 'a miss');
$r = http_get('/cache/v1/items/5');
is($r->header('X-Cache'), 'HIT', 'a hit');
is($r->json->{id}, '5', 'of the JSON');
is($r->header('Content-Type'), 'application/json', 'with its type');

# streams have several forms, and only an array is stored

my $sse = [ Accept => 'text/event-stream' ];

for my $i (1 .. 2) {
    $r = http_get('/cache/v1/watch?n=1', headers => $sse);
    is($r->header('X-Cache') . $r->header('Content-Type'),
       'MISStext/event-stream', "events, $i");
}

is($r->header('Vary'), 'Accept', 'by Accept');

for my $was (qw(MISS HIT)) {
    $r = http_get('/cache/v1/watch?n=1');
    is($r->header('X-Cache') . $r->header('Content-Type'),
       "${was}application/json", "an array, $was");
}

is($r->header('Vary'), 'Accept', 'by Accept, too');
is(http_get('/cache/v1/watch?n=1', headers => $sse)->header('Content-Type'),
   'text/event-stream', 'and events again');

for my $case ([ '/cached_stream', '/cache' ], [ '/fixed_stream', '/events' ]) {
    my ($part, $where) = @$case;

    is(http_get($part, headers => $sse)->json->{list}[1]{id}, '2',
       "$part: an array for a part");
    is(http_get("$where/v1/watch?n=2", headers => $sse)
           ->header('Content-Type'), 'text/event-stream', "$where: not kept");
}

is(http_get('/cache/v1/items/6')->header('Vary'), undef, 'of streams alone');

# shapes

is(body('/shaped'), '{"it":{"id":"1","tags":["a","b"]}}', 'a part is shaped');
is(body('/apply/v1/items/3'), '{"id":"3","name":"n3"}', 'so is a response');

# GraphQL

$r = http_request(POST => '/graphql',
    headers => [ 'Content-Type' => 'application/json' ],
    body => '{"query":"{ item(id: \"4\") { id priceCents }'
            . ' items(n: 2) { id } }"}');
is($r->body, '{"data":{"item":{"id":"4","priceCents":"9007199254740993"},'
             . '"items":[{"id":"0"},{"id":"1"}]}}', 'GraphQL');

$r = http_request(POST => '/graphql',
    headers => [ 'Content-Type' => 'application/json' ],
    body => '{"query":"{ item(id: \"none\") { id } }"}');
is($r->json->{data}{item}, undef, 'a failed field');
ok($r->json->{errors}, 'and its error');

ok(wait_for(sub { $t->stub_status('/stub')->{active} == 1 }, slow(5)),
   'no connection is left');
