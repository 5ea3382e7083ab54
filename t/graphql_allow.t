# GraphQL over REST: @allow on fields and types, wherever they are reached.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

$t->backend('b',
    '/a' => '{"id":1,"s":{"id":2},"l":[{"id":3},null],"ref":7}',
    '/s' => '{"id":4}',
    '/l' => '[{"id":5}]',
    '/keys' => '{"7":{"id":6},"8":[{"id":7}]}',
    '/any' => '[{"t":"S","id":8},{"t":"O","id":9}]',
    '/odd' => '{"t":"S","id":10}',
    '/m' => '{"id":11}',
);

$t->write_file('s.graphql', <<'EOS');
type S implements I @allow(if: "$arg_staff") {
  id: ID!
  more: S @rest(get: "/b/more/${parent.id}")
}
type O implements I { id: ID! }
interface I @discriminate(by: "t") { id: ID! }
union U @discriminate(by: "t") = S | O
type Name @allow(if: "$arg_staff") { x: O @rest(get: "/b/x") }
type Open { x: O @rest(get: "/b/s")  s: S @rest(get: "/b/open") }
type A {
  id: ID!
  s: S
  l: [S]
  one: S @rest(get: "/b/s?${parent.id}")
  all: [S] @rest(get: "/b/l?${parent.id}")
  key: S @rest(get: "/b/keys?one=${keys}", batch: {key: "ref", by: "x"})
  keys: [S!] @rest(get: "/b/keys?all=${keys}", batch: {key: "ref", by: "x"})
  any: [U] @rest(get: "/b/any?${parent.id}")
}
type Query {
  a: A @rest(get: "/b/a")
  name: Name
  open: Open
  any: [I] @rest(get: "/b/any")
  u: U @rest(get: "/b/odd")
}
type Mutation @allow(if: "$arg_staff") {
  m: O @rest(post: "/b/m")
  leaf: ID @rest(post: "/b/m", select: "id")
  must: O! @rest(post: "/b/m")
  space: Open
}
EOS

$t->write_file('q.graphql', <<'EOS');
type Query @allow(if: "$arg_staff") {
  a: [O] @rest(get: "/b/l")
  leaf: ID @rest(get: "/b/s", select: "id")
  open: Open
}
type O { id: ID! }
type Open { x: O @rest(get: "/b/s") }
EOS

my @cases = (
    [ 'a mutation', 'mutation { m { id } a: m { id } leaf }',
      'FORBIDDEN a FORBIDDEN leaf FORBIDDEN m '
      . '{"m":null,"a":null,"leaf":null}', uris => [] ],
    [ 'a mutation, not null', 'mutation { must { id } }',
      'FORBIDDEN must null', uris => [] ],
    [ 'a namespace of a mutation', 'mutation { space { x { id } } }',
      'FORBIDDEN space {"space":null}', uris => [] ],
    [ 'the name of the type', 'mutation { __typename }',
      '{"data":{"__typename":"Mutation"}}' ],
    [ 'a mutation that is allowed', 'mutation { m { id } leaf }',
      '{"data":{"m":{"id":"11"},"leaf":"11"}}', args => 'staff=1' ],
    [ 'zero', 'mutation { m { id } }', 'FORBIDDEN m {"m":null}',
      args => 'staff=0', uris => [] ],
    [ 'a namespace', '{ name { x { id } } }', 'FORBIDDEN name {"name":null}',
      uris => [] ],
    [ 'in a namespace', '{ open { s { id } x { id } } }',
      'FORBIDDEN open.s {"open":{"s":null,"x":{"id":"4"}}}',
      uris => [ '/s' ] ],
    [ 'members', '{ a { s { id } l { id } } }',
      'FORBIDDEN a.l FORBIDDEN a.s {"a":{"s":null,"l":null}}' ],
    [ 'a member and a list that are fetched',
      '{ a { one { id more { id } } all { id } } }',
      'FORBIDDEN a.all FORBIDDEN a.one {"a":{"one":null,"all":null}}',
      uris => [ '/a' ] ],
    [ 'batches', '{ a { key { id } keys { id } } }',
      'FORBIDDEN a.key FORBIDDEN a.keys {"a":{"key":null,"keys":null}}',
      uris => [ '/a' ] ],
    [ 'an object of an interface',
      '{ any { id ... on S { more { id } } } }',
      'FORBIDDEN any.0 {"any":[null,{"id":"9"}]}', uris => [ '/any' ] ],
    [ 'members of a union', '{ a { any { __typename ... on S { id } } }
        u { ... on S { id more { id } } } }',
      'FORBIDDEN a.any.0 FORBIDDEN u '
      . '{"a":{"any":[null,{"__typename":"O"}]},"u":null}',
      uris => [ '/a', '/any?1', '/odd' ] ],
    [ 'all of it that is allowed', '{ a { s { id } l { id } one { id }
        all { id } key { id } any { ... on S { id } } } u { __typename } }',
      '{"data":{"a":{"s":{"id":"2"},"l":[{"id":"3"},null],'
      . '"one":{"id":"4"},"all":[{"id":"5"}],"key":{"id":"6"},'
      . '"any":[{"id":"8"},{}]},"u":{"__typename":"S"}}}',
      args => 'staff=1' ],
);

my $query = '{ a { id } leaf open { x { id } } __typename }';
my @query = (
    [ 'queries', $query, 'FORBIDDEN a FORBIDDEN leaf FORBIDDEN open '
      . '{"a":null,"leaf":null,"open":null,"__typename":"Query"}',
      uri => '/query', uris => [] ],
    [ 'queries that are allowed', $query,
      '{"data":{"a":[{"id":"5"}],"leaf":"4","open":{"x":{"id":"4"}},'
      . '"__typename":"Query"}}', uri => '/query', args => 'staff=1' ],
);

$t->plan(graphql_checks(@cases, @query));

graphql_serve($t, schema => 's.graphql', server =>
    'location = /query { aggregate_graphql %%TESTDIR%%/q.graphql { } }');
graphql_check($t, @cases, @query);
