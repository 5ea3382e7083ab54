
/* a schema with all that the executor knows */


#ifndef GQL_SCHEMA_H_INCLUDED
#define GQL_SCHEMA_H_INCLUDED


static const char  gql_schema[] =
    "scalar Any "
    "enum E { A @json(value: \"a\") B C @json(value: 3) } "
    "interface N @discriminate(by: \"t\") { id: ID! n: N "
    "  any: Any } "
    "type X implements N { id: ID! n: N @rest(get: \"/n/${parent.id}\") "
    "  any: Any i: Int f: Float s: String b: Boolean e: E must: Int! "
    "  list: [[Int!]] xs: [X!]! up: String @json(path: \"a.b\") } "
    "type Y implements N { id: ID! n: N any: Any "
    "  x: X @rest(get: \"/x?k=${keys}\", batch: {key: \"k\", by: \"id\", "
    "    size: 2}) "
    "  ys: [Y!]! @rest(get: \"/ys?k=${keys*}&u=${Y.id}\", "
    "    batch: {key: \"k\", by: \"id\"}) } "
    "type Z { id: ID! i: Int f: Float s: String b: Boolean e: E any: Any "
    "  l: [Int!] m: [ID] must: Int! z: Z zs: [Z] zn: [Z!]! } "
    "type Space { x: X @rest(get: \"/sx\") z: Z @rest(get: \"/sz\") } "
    "union U @discriminate(by: \"t\") = X | Y "
    "type Query { n(id: ID, l: [Int]): N @rest(get: \"/q?i=${args.id}"
    "&l=${args.l*}\") "
    "  us: [U!] @rest(get: \"/us\", select: \"v\") "
    "  z: Z @rest(get: \"/z\") space: Space "
    "  y: Y! @rest(get: \"/y\", nullOn: [\"404\"]) "
    "  d: X @rest(get: \"/d\", default: \"{\\\"id\\\":1}\") } "
    "input I { a: Int = 7 b: [E] @json(path: \"bb\") } "
    "type Mutation { m(i: I!): X @rest(post: \"/m\", body: \"${args.i}\") }";

static const char *const  gql_operations[] = {
    "{ n { __typename id any n { id n { id } } ... on X { i f s b e must "
    "  list xs { id must } up } } }",
    "{ us { ... on X { id s n { id } } ... on Y { id x { id i } ys { id "
    "  x { s } } } } }",
    "{ y { id ys { id ys { id ys { id } } x { id list } } } d { id must } }",
    "{ a: y { x { xs { xs { must } } } } b: y { x { xs { must } } } us { "
    "  __typename } }",
    "mutation { a: m(i: {b: [A, null, C]}) { id n { id } } "
    "  b: m(i: {a: 1}) { id } }",
    "{ z { id i alias: f s b e any l m must z { must id } zs { s id } "
    "  zn { must } } }",
    "{ space { z { id } x { id n { id } } } b: space { x { id } } }"
};

#define GQL_OPERATIONS  (sizeof(gql_operations) / sizeof(gql_operations[0]))


#endif /* GQL_SCHEMA_H_INCLUDED */
