# The other direction: a REST client, and a GraphQL backend in a part.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;

use Harness;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);
my $json = JSON::PP->new->utf8->canonical;

$ENV{NODE_PATH} or BAIL_OUT('NODE_PATH is not set: ./build.sh test does that');

my @ids = ('1', 'a b', '"', '\\', '"}', '"){secret}#', "\n", '$id', '${id}',
           '{', '"},"query":"{secret}","x":{"y":"', "\x{e9}", "\x{1f600}",
           '%', '..%2f', '\\u0022', 'null', '[1]', "\t\r\n", "'", '<>&');

$t->plan(@ids + 9);
$t->backend('tags', '/tags' => '{"list":["a","\\"}"],"n":7}');
$t->port('0');

my $port = $t->port('node');
my $pid = open my $node, '-|', 'node', "$FindBin::Bin/node/graphql_backend.mjs",
    $port or die "node: $!\n";

like(scalar <$node>, qr/^ready/, 'the backend runs');

my $query = 'query($id: ID!, $tags: [String!], $n: Int) '
    . '{ user(id: $id, tags: $tags, n: $n) { id name tags n } }';
my $body = qq('{"query":"$query",
    "variables":{"id":\$arg_id,"tags":\${tags.list},"n":\${tags.n}}}');

$t->write_file('s.graphql', 'type Query { user(id: ID!): U
    @rest(get: "/n/u?id=${args.id}") } type U { id: ID }');

$t->run(<<"EOC");
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    map \$arg_id \$id { default \$arg_id; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location = /user {
            aggregate {
                backend tags /t/tags { hidden; }
                backend user /g/graphql {
                    method POST;
                    body   $body;
                    target data.user;
                    fail_on errors;
                }
            }
        }
        location = /secret {
            aggregate {
                backend user /g/graphql {
                    method POST;
                    body   '{"query":"{ secret }"}';
                    target data;
                    fail_on errors;
                }
            }
        }
        location = /own {
            aggregate {
                backend user /graphql {
                    method POST;
                    body   '{"query":"query(\$id:ID!){user(id:\$id){id}}",
                             "variables":{"id":\$arg_id}}';
                    target data.user;
                    fail_on errors;
                }
            }
        }
        location = /graphql {
            internal;
            aggregate_graphql %%TESTDIR%%/s.graphql { }
        }
        location = /n/u { internal; return 200 '{"id":"\$arg_id"}'; }
        location /g/ { internal; proxy_pass http://127.0.0.1:$port/; }
        location /t/ { internal;
                       proxy_pass http://127.0.0.1:%%PORT_tags%%/; }
    }
}
EOC

# $arg_id as it stands in a body: what the client sent, percent-encoded
for my $id (@ids) {
    my $bytes = $id;
    utf8::encode($bytes);
    my $encoded = join '', map { sprintf '%%%02X', ord } split //, $bytes;
    my $r = http_get("/user?id=$encoded");
    my $user = eval { $json->decode($r->body)->{user} };

    ok($user && $user->{name} eq 'Ada' && $user->{n} == 7
       && $user->{tags}[1] eq '"}'
       && ($user->{id} eq $encoded || $user->{id} eq $id),
       "id $encoded") or diag($r->status, ' ', $r->body);
}

# bytes that are not encoded
my $r = http_get('/user?id="){secret}');
is(eval { $json->decode($r->body)->{user}{id} }, '"){secret}',
   'an id with a quote');
$r = http_get('/user?id="}}');
is(eval { $json->decode($r->body)->{user}{id} }, '"}}', 'one with braces');

$r = http_get('/user?id=nobody');
is($r->body, '{"user":null}', 'null');

$r = http_get('/secret');
is($r->status, 502, 'errors of the backend');
like($r->body, qr/"user":"content"/, 'their reason');
unlike($r->body, qr/told/, 'nothing of them is told');

$r = http_get('/own?id=5');
is($r->body, '{"user":{"id":"5"}}', 'our own endpoint as the backend');
$r = http_get('/own?id="}');
is($r->status . ' ' . $r->body, '200 {"user":{"id":"%22%7D"}}',
   'and an id that is none of a URI');

kill 'TERM', $pid;
close $node;
