# GraphQL beside its reference: the audits of graphql-http, and random
# operations that graphql-js executes over the same backend.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Harness;
use Harness::GraphQL;

my $t = Harness->new(modules => ['ngx_http_aggregate_module']);

$ENV{NODE_PATH} or BAIL_OUT('NODE_PATH is not set: ./build.sh test does that');

my $audits = 61;
my $operations = 400;
my @seeds = (1, 2, 3);

$t->write_file('s.graphql', <<'EOS');
scalar Json
enum Status { PAID @json(value: "paid") SHIPPED REFUSED @json(value: 9) }
interface Product @discriminate(by: "kind", map: [
    {value: "book", type: "Book"}, {value: "film", type: "Film"}]) {
  id: ID!
  name: String
  maker: User
}
type Book implements Product {
  id: ID!
  name: String
  pages: Int
  extra: Json
  maker: User @rest(get: "/b/users/${parent.maker_id}", nullOn: ["404"])
}
type Film implements Product {
  id: ID!
  name: String
  minutes: Float
  maker: User @rest(get: "/b/users/${parent.maker_id}", nullOn: ["404"])
}
union Hit @discriminate(by: "kind", map: [
    {value: "book", type: "Book"}, {value: "film", type: "Film"},
    {value: "user", type: "User"}]) = Book | Film | User
type User {
  id: ID!
  name: String @json(path: "full_name")
  city: String @json(path: "address.city")
  active: Boolean
  deep: Int! @json(path: "more.deep.x")
  boss: User @rest(get: "/b/users/${parent.boss_id}")
  orders(first: Int = 3): [Order!]
    @rest(get: "/b/orders?user=${parent.id}&limit=${args.first}",
          select: "items")
  must(first: Int = 2): [Order!]!
    @rest(get: "/b/orders?user=${parent.id}&limit=${args.first}&must=1",
          select: "items", default: "[]")
}
type Line { n: Int! matrix: [[Int!]!] }
type Order {
  id: ID!
  status: Status
  total: Float
  lines: [Line]
  product: Product @rest(get: "/b/products?ids=${keys}",
                         batch: {key: "product_id", by: "id", size: 3})
  reviews: [Review!]! @rest(get: "/b/reviews?product=${keys*}",
                            batch: {key: "product_id", by: "x"})
}
type Review { stars: Int! }
type Query {
  user(id: ID!): User @rest(get: "/b/users/${args.id}", nullOn: ["404"])
  me: User! @rest(get: "/b/users/3")
  search(q: String, kind: [String!], n: Int): [Hit!]
    @rest(get: "/b/search?q=${args.q}&kind=${args.kind*}&n=${args.n}")
  product(id: ID!): Product @rest(get: "/b/product/${args.id}")
  products(ids: [ID!]): [Product]
    @rest(get: "/b/search?list=${args.ids}", default: "[]")
}
EOS

$t->port('0');
$t->port('b');
$t->{ports}{dead} = $t->dead_port;

$t->plan($audits + 3 * @seeds);
$t->run(graphql_configuration($t, schema => 's.graphql',
                              block => 'max_subrequests 10000; timeout 20s;'));

my $js = "$FindBin::Bin/node";
my $url = 'http://127.0.0.1:' . $t->port('0') . '/graphql';

my @audits = grep { /^\w+ \w{4} / } `node $js/graphql_audit.mjs $url 2>&1`;

for my $i (0 .. $audits - 1) {
    my $audit = $audits[$i] // 'missing';
    chomp $audit;
    like($audit, qr/^ok /, "audit: $audit");
}

for my $seed (@seeds) {
    my $arguments = join ' ', $t->testdir . '/s.graphql', $t->port('0'),
        $t->port('b'), $seed, $operations;
    my $output = `node $js/graphql_operations.mjs $arguments 2>&1`;

    my ($valid, $wrong, $errors) =
        $output =~ /^valid (\d+) wrong (\d+) with_errors (\d+)$/m;

    cmp_ok($valid // 0, '>', $operations / 4,
           "seed $seed: operations that are valid") or diag($output);
    cmp_ok($errors // 0, '>', $operations / 20, "seed $seed: some have errors");
    is($wrong, 0, "seed $seed: the same answers") or diag($output);
}
