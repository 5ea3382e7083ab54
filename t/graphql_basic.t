# GraphQL over REST: fields, nested fetches, batches, errors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

$t->backend('b',
    '/users/42' => '{"id":42,"full_name":"Ada","address":{"city":"Turin"},'
        . '"account":12345678901234567890,"email":"a@b.c","big":1.0}',
    '/users/7' => { status => 404, body => '{"message":"no such user"}' },
    '/users/500' => { status => 500, body => '{"secret":1}' },
    '/users/401' => { status => 401, body => '{}' },
    '/users/403' => { status => 403, body => '{}' },
    '/users/bad' => '{"id":',
    '/orders' => '{"items":[{"id":1,"status":"paid","total":1.50,'
        . '"product_id":"p1"},{"id":"2","status":9,"total":2e0,'
        . '"product_id":7},{"id":3,"status":"odd","product_id":null},'
        . '{"id":4,"product_id":"p1"}]}',
    '/products' => '[{"id":"p1","kind":"book","name":"One","pages":10},'
        . '{"id":7,"kind":"film","name":"Seven","minutes":90},'
        . '{"id":"other","kind":"book"}]',
    '/reviews' => '{"p1":[{"stars":5},{"stars":4,"text":"good"}],"7":[]}',
    '/search' => '{"hits":[{"type":"Book","id":"p1"},{"type":"User","id":9},'
        . '{"type":"Odd"}]}',
    '/text' => 'plain "text"',
    '/created' => '{"id":5,"status":"paid","echo":true}',
);

$t->write_file('shop.graphql', <<'EOS');
scalar Long @specifiedBy(url: "https://example.org/long")
enum Status { PAID @json(value: "paid") REFUSED @json(value: 9) }
interface Product
  @discriminate(by: "kind", map: [{value: "book", type: "Book"},
                                  {value: "film", type: "Film"}])
  { id: ID! name: String }
type Book implements Product { id: ID! name: String pages: Int }
type Film implements Product { id: ID! name: String minutes: Int }
union Hit @discriminate(by: "type") = Book | Film | User
type User {
  id: ID!
  name: String @json(path: "full_name")
  city: String @json(path: "address.city")
  account: Long
  big: Float
  missing: String
  missingToo: String!
  email: String @allow(if: "$arg_staff")
  orders(first: Int = 5): [Order!]!
    @rest(get: "/b/orders?user=${parent.id}&limit=${args.first}",
          select: "items")
}
type Order {
  id: ID!
  status: Status
  total: Float
  product: Product @rest(get: "/b/products?ids=${keys}",
                         batch: {key: "product_id", by: "id"})
  reviews: [Review!]! @rest(get: "/b/reviews?product=${keys*}",
                            batch: {key: "product_id", by: "product"})
  invoice: String @rest(get: "/b/invoices/${User.id}/${parent.id}",
                        select: "url", nullOn: ["404"])
}
type Review { stars: Int! text: String }
type Query {
  user(id: ID!): User @rest(get: "/b/users/${args.id}", nullOn: ["404"])
  must(id: ID!): User! @rest(get: "/b/users/${args.id}")
  town(id: ID!): String @rest(get: "/b/users/${args.id}",
                              select: "address.city")
  search(q: String!, kind: [String!]): [Hit]
    @rest(get: "/b/search?q=${args.q}&kind=${args.kind*}", select: "hits")
  text: String @rest(get: "/b/text", encoding: STRING)
  texts: String @rest(get: "/b/text", encoding: "string")
  fallback: Int @rest(get: "/b/users/500", default: "7")
  told: User @rest(get: "/b/users/7", error: {message: "message"})
}
input OrderIn {
  product: ID! @json(path: "product_id")
  count: Int! = 1
  status: Status
}
type Mutation {
  order(in: OrderIn!): Order
    @rest(post: "/b/created", body: "${args.in}",
          headers: [{name: "X-User", value: "$arg_user"}])
}
EOS

my @cases = (
    [ 'a field', '{ user(id: 42) { name } }',
      '{"data":{"user":{"name":"Ada"}}}' ],
    [ 'in the order of the query', '{ user(id: "42") { city id name } }',
      '{"data":{"user":{"city":"Turin","id":"42","name":"Ada"}}}' ],
    [ 'digits', '{ user(id: 42) { account big } }',
      '{"data":{"user":{"account":12345678901234567890,"big":1.0}}}' ],
    [ 'aliases', '{ a: user(id: 42) { n: name } b: user(id: 42) { id } }',
      '{"data":{"a":{"n":"Ada"},"b":{"id":"42"}}}',
      count => { '/users/42' => 1 } ],
    [ 'two fields that take different things of one response',
      '{ town(id: 42) user(id: 42) { name } }',
      '{"data":{"town":"Turin","user":{"name":"Ada"}}}',
      count => { '/users/42' => 1 } ],
    [ 'one of them alone', '{ town(id: 42) }', '{"data":{"town":"Turin"}}' ],
    [ 'fragments', 'query Q { user(id: 42) { ...F ... on User { id } } }
        fragment F on User { name __typename }',
      '{"data":{"user":{"name":"Ada","__typename":"User","id":"42"}}}' ],
    [ 'nullOn', '{ user(id: 7) { name } }', '{"data":{"user":null}}' ],
    [ 'a missing member', '{ user(id: 42) { missing } }',
      '{"data":{"user":{"missing":null}}}' ],
    [ 'null goes up', '{ user(id: 42) { id missingToo } }',
      'NULL_VALUE user.missingToo {"user":null}' ],
    [ 'an error', '{ user(id: 500) { name } a: __typename }',
      'FETCH_FAILED user {"user":null,"a":"Query"}' ],
    [ 'up to data', '{ must(id: 500) { name } }', 'FETCH_FAILED must null' ],
    [ 'a 401', '{ user(id: 401) { name } }',
      'UNAUTHENTICATED user {"user":null}' ],
    [ 'a 403', '{ user(id: 403) { name } }', 'FORBIDDEN user {"user":null}' ],
    [ 'no JSON', '{ user(id: "bad") { name } }',
      'FETCH_FAILED user {"user":null}' ],
    [ 'a path in an argument', '{ user(id: "../x") { name } }',
      'FETCH_FAILED user {"user":null}', count => { '/x' => 0 } ],
    [ 'forbidden', '{ user(id: 42) { email id } }',
      'FORBIDDEN user.email {"user":{"email":null,"id":"42"}}' ],
    [ 'allowed', '{ user(id: 42) { email } }',
      '{"data":{"user":{"email":"a@b.c"}}}', args => 'staff=1' ],
    [ 'a body as a string', '{ text texts }',
      '{"data":{"text":"plain \"text\"","texts":"plain \"text\""}}',
      count => { '/text' => 1 } ],
    [ 'a default', '{ fallback }', '{"data":{"fallback":7}}',
      partial => 'Query.fallback' ],
    [ 'an error that is told', '{ told { name } }',
      qr/"message":"no such user"/ ],
    [ 'nested', '{ user(id: 42) { orders(first: 2) { id total status } } }',
      'INVALID_VALUE user.orders.2.status '
      . '{"user":{"orders":[{"id":"1","total":1.50,"status":"PAID"},'
      . '{"id":"2","total":2e0,"status":"REFUSED"},'
      . '{"id":"3","total":null,"status":null},'
      . '{"id":"4","total":null,"status":null}]}}',
      uris => [ '/orders?user=42&limit=2', '/users/42' ] ],
    [ 'a batch', '{ user(id: 42) { orders { product { name __typename
        ... on Book { pages } ... on Film { minutes } } } } }',
      '{"data":{"user":{"orders":['
      . '{"product":{"name":"One","__typename":"Book","pages":10}},'
      . '{"product":{"name":"Seven","__typename":"Film","minutes":90}},'
      . '{"product":null},'
      . '{"product":{"name":"One","__typename":"Book","pages":10}}]}}}',
      uris => [ '/orders?user=42&limit=5', '/products?ids=p1,7',
                '/users/42' ] ],
    [ 'a batch of lists', '{ user(id: 42) { orders { reviews { stars text }
        } } }',
      '{"data":{"user":{"orders":['
      . '{"reviews":[{"stars":5,"text":null},{"stars":4,"text":"good"}]},'
      . '{"reviews":[]},{"reviews":[]},'
      . '{"reviews":[{"stars":5,"text":null},{"stars":4,"text":"good"}]}'
      . ']}}}',
      uris => [ '/orders?user=42&limit=5', '/reviews?product=p1&product=7',
                '/users/42' ] ],
    [ 'an enclosing type', '{ user(id: 42) { orders { invoice } } }',
      '{"data":{"user":{"orders":[{"invoice":null},{"invoice":null},'
      . '{"invoice":null},{"invoice":null}]}}}',
      count => { map { ("/invoices/42/$_" => 1) } 1 .. 4 } ],
    [ 'unions', '{ search(q: "a&b", kind: ["x", "y z"]) { __typename
        ... on Book { id } ... on User { id } } }',
      'UNKNOWN_TYPE search.2 {"search":[{"__typename":"Book","id":"p1"},'
      . '{"__typename":"User","id":"9"},null]}',
      uris => [ '/search?q=a%26b&kind=x&kind=y%20z' ] ],
    [ 'null arguments are left out', '{ search(q: "", kind: null) {
        __typename } }', qr/"data"/, uris => [ '/search?q=' ] ],
    [ 'variables', 'query($id: ID!, $n: Int = 3) { user(id: $id) {
        orders(first: $n) { id } } }',
      qr/^\{"data":\{"user":\{"orders":\[\{"id":"1"/,
      variables => '{"id":42}',
      uris => [ '/orders?user=42&limit=3', '/users/42' ] ],
    [ 'skip and include', 'query($s: Boolean!) { user(id: 42) {
        id @skip(if: $s) name @include(if: $s) } }',
      '{"data":{"user":{"name":"Ada"}}}', variables => '{"s":true}' ],
    [ 'skip and include, the other way', 'query($s: Boolean!) {
        user(id: 42) { id @skip(if: $s) name @include(if: $s) } }',
      '{"data":{"user":{"id":"42"}}}', variables => '{"s":false}' ],
    [ 'nothing that is skipped is fetched', 'query($s: Boolean!) {
        user(id: 42) @skip(if: $s) { id } __typename }',
      '{"data":{"__typename":"Query"}}', variables => '{"s":true}',
      count => { '/users/42' => 0 } ],
    [ 'a mutation', 'mutation { order(in: {status: PAID, product: "p\"1"}) {
        id status } }', '{"data":{"order":{"id":"5","status":"PAID"}}}',
      args => 'user=ada',
      bodies => { '/created' =>
                  [ '{"product_id":"p\"1","count":1,"status":"paid"}' ] } ],
    [ 'a mutation is sent as often as it stands there',
      'mutation { a: order(in: {product: 1}) { id }
                  b: order(in: {product: 1}) { id } }',
      '{"data":{"a":{"id":"5"},"b":{"id":"5"}}}',
      count => { '/created' => 2 } ],
    [ 'syntax', '{ user(', qr/"code":"GRAPHQL_PARSE_FAILED"/ ],
    [ 'validation', '{ userr { id } }',
      qr/"code":"GRAPHQL_VALIDATION_FAILED"/ ],
    [ 'a variable that is missing', 'query($id: ID!) { user(id: $id) { id } }',
      qr/"code":"BAD_USER_INPUT"/ ],
);

$t->plan(1 + graphql_checks(@cases));

graphql_serve($t, schema => 'shop.graphql');
graphql_check($t, @cases);

my $r = graphql($t, '{ user(id: 42) { name } }');

is($r->header('X-Aggregate'), 'complete', 'X-Aggregate');
