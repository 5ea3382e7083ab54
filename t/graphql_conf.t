# GraphQL: what nginx -t finds in a schema and in the block, and where.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

my $base = 'type User { id: ID! }
type Query { user(id: ID!): User @rest(get: "/u/${args.id}") }
';

# [ name, schema, patterns of which the message has all ]
my @schemas = (
    [ 'an argument', 'type Query { a(id: ID): Int
  @rest(get: "/a/${args.x}") }', qr/no argument "x"/, qr/s\.graphql:2:27/ ],
    [ 'the nearest argument', 'type Query { a(first: Int): Int
  @rest(get: "/a/${args.frist}") }', qr/did you mean "first"/ ],
    [ 'the nearest type', $base . 'extend type User {
  a: Int @rest(get: "/a/${Usr.id}") }', qr/did you mean "User"/ ],
    [ 'a member of an argument', 'input I { b: Int }
type Query { a(i: I): Int @rest(get: "/a/${args.i.c}") }',
      qr/no member "c"/, qr/s\.graphql:2:/ ],
    [ 'a type', 'type Query { a: Int @rest(get: "/a/${Nobody.x}") }',
      qr/unknown type "Nobody"/, qr/s\.graphql:1:/ ],
    [ 'a type that never encloses', $base . 'extend type User {
  a: Int @rest(get: "/a/${Other.id}") }
type Other { id: ID }', qr/type "Other" never encloses/, qr/s\.graphql:4:/ ],
    [ 'a parent of a root field',
      'type Query { a: Int @rest(get: "/a/${parent.id}") }', qr/no parent/ ],
    [ 'a batch on a root field', 'type Query { a: [Int] @rest(get:
  "/a?k=${keys}", batch: {key: "a", by: "b"}) }',
      qr/root type has no parents/ ],
    [ 'a batch without keys', $base . 'extend type User { a: Int
  @rest(get: "/a", batch: {key: "a", by: "b"}) }',
      qr/"batch" without "\$\{keys\}"/, qr/s\.graphql:4:/ ],
    [ 'keys without a batch', $base . 'extend type User { a: Int
  @rest(get: "/a?k=${keys}") }', qr/"\$\{keys\}" without "batch"/ ],
    [ 'a URI', 'type Query { a: Int @rest(get: "http://x/a") }',
      qr/"http:\/\/x\/a" is not a path/, qr/s\.graphql:1:3\d/ ],
    [ 'dot segments', 'type Query { a: Int @rest(get: "/a/../b") }',
      qr/"\.\."/ ],
    [ 'a variable', 'type Query { a: Int @rest(get: "/a/$nothing") }',
      qr/unknown variable "\$nothing"/, qr/s\.graphql:1:/ ],
    [ '@allow', $base . 'extend type User { a: Int @allow(if: "x") }',
      qr/"x" is not a variable/ ],
    [ '@allow of an interface', $base . 'interface I {
  a: Int @allow(if: "$arg_x") }', qr/"\@allow".*field of an interface/,
      qr/s\.graphql:4:10/ ],
    [ 'a body with get',
      'type Query { a: Int @rest(get: "/a", body: "{}") }', qr/body/ ],
    [ 'a body that is no JSON',
      'type Query { a: Int @rest(post: "/a", body: "{x}") }',
      qr/invalid JSON/ ],
    [ 'two methods', 'type Query { a: Int @rest(get: "/a", post: "/a") }',
      qr/only one of get/ ],
    [ 'no method', 'type Query { a: Int @rest(select: "a") }',
      qr/needs one of get/ ],
    [ '@json with @rest',
      'type Query { a: Int @rest(get: "/a") @json(path: "b") }', qr/\@json/ ],
    [ 'a root leaf', 'type Query { a: Int }', qr/Query\.a|\ba\b/ ],
    [ 'no @discriminate', $base . 'union U = User
extend type Query { u: U @rest(get: "/u") }', qr/discriminate/i ],
    [ 'a map to no possible type', $base . 'type X { a: Int }
union U @discriminate(by: "t", map: [{value: "x", type: "X"}]) = User
extend type Query { u: U @rest(get: "/u") }', qr/"X"/, qr/s\.graphql:4:/ ],
    [ 'Subscription', $base . 'type Subscription { a: Int }',
      qr/[Ss]ubscription/ ],
    [ 'a time', 'type Query { a: Int @rest(get: "/a", timeout: "soon") }',
      qr/"soon" is not a time/ ],
    [ 'a status', 'type Query { a: Int @rest(get: "/a", nullOn: ["x"]) }',
      qr/"x"/ ],
    [ 'a header', 'type Query { a: Int @rest(get: "/a",
  headers: [{name: "Host", value: "x"}]) }', qr/"Host"/ ],
    [ 'a header of all', 'type Query { a: Int @rest(get: "/a",
  passHeaders: ["*"]) }', qr/"\*" is not the name of a header/,
      qr/s\.graphql:2:18/ ],
    [ 'a mask of headers', 'type Query { a: Int @rest(get: "/a",
  passHeaders: ["X-A", "X-*"]) }', qr/no wildcards/, qr/s\.graphql:2:25/ ],
    [ 'a header that never passes', 'type Query { a: Int @rest(get: "/a",
  passHeaders: ["Content-Encoding"]) }', qr/"Content-Encoding" can not/ ],
    [ 'one root type for both', 'schema { query: A mutation: A }
type A { a: Int @rest(get: "/a") }', qr/root types must be different/,
      qr/s\.graphql:2:1/ ],
    [ 'two equal values', 'type Query { a: E @rest(get: "/a") }
enum E { A @json(value: 1) B @json(value: 1.0) }',
      qr/has two values that are 1\.0/, qr/s\.graphql:2:28/ ],
    [ 'a default', 'type Query { a: Int @rest(get: "/a", default: "{") }',
      qr/JSON/i ],
    [ 'a path', 'type Query { a: Int @rest(get: "/a", select: "a..b") }',
      qr/path/ ],
    [ 'an unknown directive', 'type Query { a: Int @rst(get: "/a") }',
      qr/"\@rst"/, qr/rest/ ],
    [ 'an unknown type', $base . 'extend type User { a: Usr }', qr/"Usr"/,
      qr/User/, qr/s\.graphql:3:/ ],
    [ 'syntax', 'type Query { a: Int', qr/s\.graphql:1:/ ],
    [ 'an interface that is not implemented', 'interface I { a: Int }
type User implements I { id: ID }
type Query { u: User @rest(get: "/u") }', qr/I\.a/, qr/s\.graphql:/ ],
    [ 'no Query', 'type User { id: ID }', qr/[Qq]uery/ ],
);

# [ name, statements, pattern ]
my @blocks = (
    [ 'an unknown statement', 'timout 1s;', qr/did you mean "timeout"/ ],
    [ 'a zone', 'persisted nowhere;', qr/nowhere/ ],
    [ 'a switch', 'introspection maybe;', qr/"on", "off" or a variable/ ],
    [ 'a number', 'max_depth 0;', qr/from 1 to 200/ ],
    [ 'twice', 'timeout 1s; timeout 2s;', qr/duplicate/ ],
    [ 'a method', 'methods PUT;', qr/must be GET, HEAD or POST/ ],
    [ 'a method twice', 'methods GET GET;', qr/is named twice/ ],
    [ 'a star', 'forward *;', qr/did you mean "all"/ ],
    [ 'no header', 'forward "a b";', qr/must be the name of a header/ ],
    [ 'all and others', 'forward all Accept;', qr/"all", "none" or/ ],
    [ 'a status', 'status strict;', qr/"compatible" or "draft"/ ],
    [ 'a variable', 'ide $nobody;', qr/nobody/ ],
    [ 'documents that are not there', 'documents none.json;', qr/none\.json/ ],
    [ 'documents that are no JSON', 'documents %%TESTDIR%%/bad.json;',
      qr/JSON/ ],
    [ 'documents that are not valid', 'documents %%TESTDIR%%/wrong.json;',
      qr/document "x".*usr.* at 1:3/ ],
);

$t->plan(@schemas + @blocks + 6);
$t->port('0');
$t->{ports}{b} = $t->{ports}{dead} = $t->dead_port;
$t->write_file('bad.json', '[');
$t->write_file('wrong.json', '{"x":"{ usr { id } }"}');

sub try {
    my ($schema, $block) = @_;

    $t->write_file('s.graphql', $schema);
    return $t->test_config(graphql_configuration($t, schema => 's.graphql',
                                                 block => $block));
}

for my $case (@schemas) {
    my ($name, $schema, @patterns) = @$case;
    my ($ok, $output) = try($schema, '');
    my @missing = grep { $output !~ $_ } @patterns;

    ok(!$ok && !@missing, $name) or diag("@missing\n$output");
}

for my $case (@blocks) {
    my ($name, $block, $pattern) = @$case;
    my ($ok, $output) = try($base, $block);

    ok(!$ok && $output =~ $pattern, $name) or diag($output);
}

my ($ok, $output) = try($base, '');
ok($ok, 'what is right') or diag($output);

$t->write_file('ext/a.graphql', 'extend type User { a: Int }');
$t->write_file('ext/b.graphql', 'extend type User { b: Int }');
($ok, $output) = $t->test_config(graphql_configuration($t,
    schema => 's.graphql ext/*.graphql'));
ok($ok, 'a mask') or diag($output);
($ok, $output) = $t->test_config(graphql_configuration($t,
    schema => 'none.graphql'));
like($output, qr/none\.graphql/, 'a file that is not there');
($ok, $output) = $t->test_config(graphql_configuration($t,
    schema => 'none*.graphql'));
like($output, qr/no file matches "[^"]*none\*\.graphql" .*\.conf:\d+$/m,
     'a mask that matches nothing');

# a large schema
my $large = join "\n", map { "type T$_ { id: ID! next: T" . ($_ % 5000 + 1)
    . ' @rest(get: "/t/${parent.id}/${T1.id}") name: String'
    . ' list(first: Int = 5): [T1!] @rest(get: "/l?n=${args.first}") }' }
    1 .. 5000;
my $start = used();
($ok, $output) = try("$large\ntype Query { t: T1 \@rest(get: \"/t\") }", '');
my $spent = used() - $start;
ok($ok, '5000 types') or diag($output);
cmp_ok($spent, '<', slow(2), "5000 types: $spent s");


# seconds of the processor that nginx took
sub used {
    my (undef, undef, $user, $system) = times;
    return $user + $system;
}
