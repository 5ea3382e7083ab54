
/* for the tests of the room graphql: a schema with some of everything */


#ifndef GRAPHQL_COMMON_H_INCLUDED
#define GRAPHQL_COMMON_H_INCLUDED


#include "agg_test.h"
#include "agg_gql_schema.h"


static const char  zoo[] maybe_unused =
    "\"\"\"The zoo\"\"\"\n"
    "schema @tag(name: \"s\") { query: Root mutation: Change }\n"
    "directive @tag(name: String!, n: [Int!] = [1, 2]) repeatable on "
    "SCHEMA | OBJECT | FIELD_DEFINITION | FIELD | QUERY | FRAGMENT_SPREAD "
    "| INLINE_FRAGMENT | FRAGMENT_DEFINITION | VARIABLE_DEFINITION\n"
    "directive @once(in: Point) on FIELD | QUERY | MUTATION\n"
    "scalar JSON\n"
    "scalar Date @specifiedBy(url: \"https://example.org/date\")\n"
    "enum Color { RED GREEN @deprecated(reason: \"no\") BLUE @deprecated }\n"
    "interface Node @discriminate(by: \"kind\") { id: ID! }\n"
    "interface Animal implements Node @discriminate(by: \"kind\") { id: "
    "ID! name(short: Boolean = false): String friends(first: Int = 10, "
    "color: Color = RED): [Animal!] }\n"
    "interface Pet implements Animal & Node @discriminate(by: \"kind\") { "
    "id: ID! name(short: Boolean = false): String friends(first: Int = 10, "
    "color: Color = RED): [Animal!] owner: Person }\n"
    "type Dog implements Pet & Animal & Node { id: ID! name(short: Boolean "
    "= false): String friends(first: Int = 10, color: Color = RED): "
    "[Animal!] owner: Person barks: Boolean! volume: Int color: Color box: "
    "[Int!]! matrix: [[Float]] }\n"
    "type Cat implements Pet & Animal & Node { id: ID! name(short: Boolean "
    "= false): String friends(first: Int = 10, color: Color = RED): "
    "[Animal!] owner: Person meows: Boolean volume: Float! color: Color! "
    "box: [Int] matrix: [[Float!]] }\n"
    "type Person implements Node { id: ID! pets(kind: [Color!] = [RED], "
    "at: Point): [Pet!]! best: CatOrDog home(near: Point = {x: 1, y: "
    "2.50}): Place age: Int }\n"
    "union CatOrDog @discriminate(by: \"kind\") = Cat | Dog\n"
    "union Any @discriminate(by: \"kind\") = Cat | Dog | Person | Place\n"
    "type Place implements Node { id: ID! where: Coord things: [Any] when: "
    "Date data: JSON }\n"
    "type Coord { x: Float! y: Float! }\n"
    "input Point { x: Float! y: Float! = 0 label: String color: Color = "
    "GREEN next: Point tags: [String!] }\n"
    "input One @oneOf { a: Int b: String c: Point d: [One!] }\n"
    "type Root @tag(name: \"a\") @tag(name: \"b\") {\n"
    "  node(id: ID!): Node @rest(get: \"/n\")\n"
    "  dog(filter: JSON, at: Point): Dog @rest(get: \"/d\") @tag(name: "
    "\"x\", n: 5)\n"
    "  cat: Cat @rest(get: \"/d\")\n"
    "  pet(one: One, ones: [One!]): Pet @rest(get: \"/d\")\n"
    "  any(points: [[Point!]!], dates: [Date] = [\"x\"]): [Any!] "
    "@rest(get: \"/d\")\n"
    "  person(id: ID = 5, color: Color! = BLUE, old: Int @deprecated): "
    "Person @rest(get: \"/d\")\n"
    "  old: String @deprecated(reason: \"gone\") @rest(get: \"/o\")\n"
    "  space: Space\n"
    "}\n"
    "type Space { inner: Space leaf: Int @rest(get: \"/x\") }\n"
    "type Change { add(at: Point!, one: One!): Person @rest(post: \"/p\", "
    "body: \"${args.at}\") }\n";


static agg_gql_source_t  zoo_source;


/* lives until mem_free_all() */

static inline void
zoo_build(agg_gql_schema_t *schema)
{
    agg_gql_errors_t  errors;

    zoo_source.name = str("zoo");
    zoo_source.text = str_of(zoo);

    agg_gql_errors_init(&errors, &mem);

    if (agg_gql_schema_build(schema, &mem, &zoo_source, 1, &errors) != AGG_OK)
    {
        printf("zoo: %.*s\n", (int) errors.list[0].message.len,
               errors.list[0].message.data);
        abort();
    }
}


#endif /* GRAPHQL_COMMON_H_INCLUDED */
