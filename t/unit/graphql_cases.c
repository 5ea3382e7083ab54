
/*
 * What a schema may not be, and where; values as backends get them;
 * documents that are meant to be expensive; memory that ends anywhere.
 * sources: graphql/agg_gql.c graphql/agg_gql_lex.c graphql/agg_gql_parse.c
 * sources: graphql/agg_gql_parse_sdl.c graphql/agg_gql_names.c
 * sources: graphql/agg_gql_schema.c graphql/agg_gql_prelude.c
 * sources: graphql/agg_gql_build.c graphql/agg_gql_fields.c
 * sources: graphql/agg_gql_applied.c graphql/agg_gql_types.c
 * sources: graphql/agg_gql_rest.c graphql/agg_gql_check.c
 * sources: graphql/agg_gql_literal.c graphql/agg_gql_execute.c
 * sources: graphql/agg_gql_coerce.c graphql/agg_gql_validate.c
 * sources: graphql/agg_gql_fragments.c graphql/agg_gql_variables.c
 * sources: graphql/agg_gql_merge.c graphql/agg_gql_conflict.c
 * sources: graphql/agg_gql_introspect.c json/agg_path.c json/agg_scan.c
 * sources: json/agg_json.c json/agg_write.c
 */


#define _GNU_SOURCE

#include <time.h>

#include "graphql_common.h"


/* milliseconds, with sanitizers and on a machine that has other work */

#define SLOW  1000


static const agg_gql_limits_t  limits = { 5000, 20, 50, 20, 5000 };


static long
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* the errors as "line:column message", one a line */

static const char *
text(const agg_gql_errors_t *errors)
{
    size_t                  n;
    unsigned                i;
    static char             buf[65536];
    const agg_gql_error_t  *e;

    n = 0;
    buf[0] = '\0';

    for (i = 0; i < errors->n; i++) {
        e = &errors->list[i];

        n += (size_t) snprintf(buf + n, sizeof(buf) - n, "%s%u:%u %.*s",
                               i ? "\n" : "",
                               e->nplaces ? e->places[0].line : 0,
                               e->nplaces ? e->places[0].column : 0,
                               (int) e->message.len, e->message.data);

        check(n < sizeof(buf), "%s", buf);
    }

    return buf;
}


static void
refuse(const char *sdl, const char *expected)
{
    char             *whole;
    agg_rc_e          rc;
    agg_gql_schema_t  schema;
    agg_gql_errors_t  errors;
    agg_gql_source_t  source;

    /* most have a root, in a line of its own */

    if (asprintf(&whole, "%s%s", sdl[0] == '!' ? ""
                 : "type Query { a: Int @rest(get: \"/a\") }\n",
                 sdl + (sdl[0] == '!')) < 0)
    {
        abort();
    }

    source.name = str("file");
    source.text.len = strlen(whole);
    source.text.data = exact(whole, source.text.len);

    agg_gql_errors_init(&errors, &mem);

    rc = agg_gql_schema_build(&schema, &mem, &source, 1, &errors);

    check(strcmp(text(&errors), expected) == 0, "%s:\n%s\nnot:\n%s", sdl,
          text(&errors), expected);
    check((rc == AGG_OK) == (expected[0] == '\0'), "%s: %d", sdl, rc);

    free(source.text.data);
    free(whole);
    mem_free_all();
}


static void
syntax(void)
{
    refuse("type A {}", "2:9 Syntax Error: Expected Name, found \"}\".");
    refuse("type", "2:5 Syntax Error: Expected Name, found <EOF>.");
    refuse("\"x\" extend type Query { b: Int }",
           "2:1 Syntax Error: Unexpected description, only GraphQL "
           "definitions support descriptions.");
    refuse("!{ a }", "1:1 A schema has no operations and no fragments.");
    refuse("!\xff", "1:1 Syntax Error: The source is not valid UTF-8.");
    refuse("!type \xc3\xa9 { a: Int }",
           "1:6 Syntax Error: Unexpected character: U+00E9.");
    refuse("!#\xf0\x9f\x98\x80\r\n\xef\xbb\xbf type !",
           "2:8 Syntax Error: Expected Name, found \"!\".");
    refuse("enum E { true }", "2:10 Syntax Error: Name \"true\" is reserved "
           "and cannot be used for an enum value.");
    refuse("type A { a: [[[[[[[[[[[[[[[[Int]]]]]]]]]]]]]]]] }",
           "2:28 Syntax Error: Too many lists in one another.");
}


static void
types(void)
{
    refuse("type A { b: Int }", "");
    refuse("directive @skip(if: Boolean!) on FIELD scalar Int "
           "directive @rest(get: String) on FIELD_DEFINITION", "");
    refuse("!", "1:1 Syntax Error: Unexpected <EOF>.");
    refuse("!type A { a: Int }", "1:1 Query root type must be provided.");
    refuse("type A", "2:1 Type A must define one or more fields.");
    refuse("type Query { b: Int }",
           "2:6 There can be only one type named \"Query\".");
    refuse("type A { a: Int a: Int }",
           "2:17 Field \"A.a\" can only be defined once.");
    refuse("type A { a: Strin }",
           "2:13 Unknown type \"Strin\". Did you mean \"String\"?");
    refuse("type A { a: __Header }", "2:13 Unknown type \"__Header\".");
    refuse("type A { a: In } input In { a: A }",
           "2:10 The type of A.a must be Output Type but got: In.\n"
           "2:29 The type of In.a must be Input Type but got: A.");
    refuse("type A implements I { a: Int } "
           "interface I { a: String b: Int }",
           "2:1 Interface field I.b expected but A does not provide it.\n"
           "2:23 Interface field I.a expects type String but A.a is type Int.");
    refuse("interface I { a(x: Int): Int } "
           "type T implements I { a(x: String, y: Int!): Int }",
           "2:56 Interface field argument I.a(x:) expects type Int but "
           "T.a(x:) is type String.\n"
           "2:67 Object field T.a includes required argument y that is missing "
           "from the Interface field I.a.");
    refuse("interface A implements B { a: Int } "
           "interface B implements A { a: Int }",
           "2:1 Type A cannot implement B because it would create a circular "
           "reference.\n2:37 Type B cannot implement A because it would create "
           "a circular reference.");
    refuse("interface A { a: Int } interface B implements A { a: Int } "
           "type C implements B { a: Int }",
           "2:60 Type C must implement A because it is implemented by B.");
    refuse("union U = Query | Query",
           "2:19 Union type U can only include type Query once.");
    refuse("union U = Int", "2:11 Union type U can only include Object types, "
           "it cannot include Int.");
    refuse("union U", "2:1 Union type U must define one or more member types.");
    refuse("enum E { A A }",
           "2:12 Enum value \"E.A\" can only be defined once.");
    refuse("input I { a: J! } input J { b: K! } input K { c: I! }",
           "2:11 Cannot reference Input Object \"I\" within itself through a "
           "series of non-null fields: \"a.b.c\".");
    refuse("input I @oneOf { a: Int! b: Int = 5 }",
           "2:18 OneOf input field I.a must be nullable.\n"
           "2:26 OneOf input field I.b cannot have a default value.");
    refuse("type A { a(x: Int! @deprecated): Int }",
           "2:12 Required argument A.a(x:) cannot be deprecated.");
    refuse("type A { a(x: Int = \"s\"): Int }",
           "2:21 Int cannot represent non-integer value: \"s\"");
    refuse("input A { b: B = {} } input B { a: A = {} }",
           "2:11 The default of \"b\" needs itself.\n"
           "2:33 The default of \"a\" needs itself.");
    refuse("type __A { a: Int }", "2:1 Name \"__A\" must not begin with "
           "\"__\", which is reserved by GraphQL introspection.");
    refuse("directive @x on FIELD directive @x on FIELD",
           "2:34 There can be only one directive named \"@x\".");
    refuse("type A { a: Int @deprecated @deprecated }",
           "2:17 The directive \"@deprecated\" can only be used once at this "
           "location.");
    refuse("extend type Quer { b: Int }", "2:13 Cannot extend type \"Quer\" "
           "because it is not defined. Did you mean \"Query\"?");
    refuse("extend enum Query { A }",
           "2:1 Cannot extend non-enum type \"Query\".");
    refuse("!schema { query: Q query: Q } "
           "type Q { a: Int @rest(get: \"/\") }",
           "1:19 There can be only one query type in schema.");
    refuse("type Subscription { a: Int }",
           "2:1 Subscriptions are not supported.");
}


static void
ours(void)
{
    refuse("!type Query { a: Int }",
           "1:14 Field \"Query.a\" of a root type needs @rest.");
    refuse("!type Query { a: A } type A { b: Int }", "");
    refuse("type A { a: Int @rest }", "2:17 @rest needs one of get, post, put, "
           "patch and delete.");
    refuse("type A { a: Int @rest(get: \"/a\", put: \"/b\") }",
           "2:17 @rest takes only one of get, post, put, patch and delete.");
    refuse("type A { a: Int @rest(get: \"a\") }",
           "2:28 The URI \"a\" is not a path.");
    refuse("type A { a: Int @rst(get: \"a\") }",
           "2:17 Unknown directive \"@rst\". Did you mean \"rest\"?");
    refuse("type A { a: Int @rest(get: \"/a\", timeot: \"5s\") }",
           "2:34 Unknown argument \"timeot\" on directive \"@rest\". Did you "
           "mean \"timeout\" or \"limit\"?");
    refuse("type A { a: Int @rest(get: \"/a\", body: \"x\") }",
           "2:40 \"body\" does not go with \"get\".");
    refuse("type A { a: Int @rest(get: \"/a\", limit: \"$n\") }",
           "2:41 \"limit\" is a number or \"$variable MAX\", not \"$n\".");
    refuse("type A { a: Int @rest(get: \"/a\", limit: \"$n x\") }",
           "2:41 \"limit\" is a number from 1 to 1000000000, not \"x\".");
    refuse("type A { a: [Int] @rest(get: \"/a\", limit: 0) }",
           "2:43 \"limit\" is a number from 1 to 1000000000, not \"0\".");
    refuse("type A { a: Int @rest(get: \"/a\", limit: \"$n 5\") }", "");
    refuse("type A { a: Int @rest(get: \"/a\", timeout: \"5x\") }",
           "2:43 \"5x\" is not a time.");
    refuse("type A { a: Int @rest(get: \"/a\", timeout: \"1m 500ms\") }", "");
    refuse("type A { a: Int @rest(get: \"/a\", nullOn: [\"404\", \"4x4\"]) }",
           "2:50 \"4x4\" is not a status.");
    refuse("type A { a: Int @rest(get: \"/a\", accept: \"200 3xx\") }", "");
    refuse("type A { a: Int @rest(get: \"/a\", default: \"{\") }",
           "2:43 \"default\" is not JSON at byte 1.");
    refuse("type A { a: Int @rest(get: \"/a\", select: \"a[\") }",
           "2:42 Bad path \"a[\": expected a number.");
    refuse("type A { a: Int @rest(get: \"/a\", encoding: \"xml\") }",
           "2:44 \"encoding\" is JSON or STRING, not \"xml\".");
    refuse("type A { a: Int @rest(get: \"/a\", encoding: XML) }",
           "2:44 \"encoding\" is JSON or STRING, not \"XML\".");
    refuse("type A { a: Int @rest(get: \"/a\", encoding: true) }",
           "2:44 \"encoding\" takes a string or a number.");
    refuse("type A { a: Int @rest(get: \"/a\", encoding: STRING) "
           "b: Int @rest(get: \"/a\", encoding: \"string\") "
           "c: Int @rest(get: \"/a\", encoding: JSON) }", "");
    refuse("type A { a: Int @rest(get: \"/a\", select: STRING) }",
           "2:42 String cannot represent a non string value: STRING");
    refuse("type A { a: Int @rest(get: \"/a\") @json(path: \"a\") }",
           "2:17 @rest and @json do not go together.");
    refuse("extend type Query { b: Int @rest(get: \"/\", "
           "batch: {key: \"a\", by: \"b\"}) }",
           "2:28 Field \"Query.b\" of a root type has no parents for "
           "\"batch\".");
    refuse("enum E { A @json(value: \"x\") B @json(value: \"x\") C }",
           "2:30 Enum \"E\" has two values that are \"x\".");
    refuse("enum E { A @json(value: \"B\") B @json(value: 1) }", "");
    refuse("enum E { A @json(value: 1) B @json(value: 1.0) "
           "C @json(value: 1e0) D @json(value: \"1\") }",
           "2:28 Enum \"E\" has two values that are 1.0.\n"
           "2:48 Enum \"E\" has two values that are 1e0.");
    refuse("enum E { A @json(value: 0) B @json(value: -0) }",
           "2:28 Enum \"E\" has two values that are -0.");
    refuse("enum E { A @json(value: 0.1) B @json(value: 0.2) "
           "C @json(value: true) D @json(value: false) E @json(value: 1e300) "
           "}", "");
    refuse("!type A { a: Int @rest(get: \"/a\") } "
           "schema { query: A mutation: A }",
           "1:1 All root types must be different, \"A\" type is used as query "
           "and mutation root types.");
    refuse("directive @a(x: Int @a) on ARGUMENT_DEFINITION",
           "2:1 Directive \"@a\" must not refer to itself.");
    refuse("directive @a(x: Int @b) on ARGUMENT_DEFINITION "
           "directive @b(y: Int @a) on ARGUMENT_DEFINITION",
           "2:1 Directive \"@a\" must not refer to itself.\n"
           "2:48 Directive \"@b\" must not refer to itself.");
    refuse("directive @a(x: I) on INPUT_FIELD_DEFINITION "
           "input I { y: [E!] @a z: I }  enum E { F }",
           "2:1 Directive \"@a\" must not refer to itself.");
    refuse("directive @a(x: [E!]) on ENUM_VALUE enum E { F @a }",
           "2:1 Directive \"@a\" must not refer to itself.");
    refuse("directive @a(x: S) on SCALAR scalar S @a",
           "2:1 Directive \"@a\" must not refer to itself.");
    refuse("directive @a(x: Int @b) on ARGUMENT_DEFINITION | FIELD_DEFINITION "
           "directive @b(y: I) on ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION "
           "input I { y: Int @c } directive @c on INPUT_FIELD_DEFINITION "
           "type T { f(x: Int @a): Int @a }", "");
    refuse("scalar Int type T { a(b: Int): Int }", "");
    refuse("input I { a: Int @json(path: \"a.b\") }",
           "2:30 The path of an input field is one name.");
    refuse("interface I { a: I }", "2:15 Field \"I.a\" returns \"I\", which "
           "has no @discriminate.");
    refuse("interface I @discriminate(by: \"k\", map: [{value: \"a\", "
           "type: \"B\"}]) { a: Int } type Bb implements I { a: Int }",
           "2:61 \"B\" is not a possible type of \"I\". Did you mean \"Bb\"?");
    refuse("interface I { a: Int @allow(if: \"$u\") } "
           "type A implements I { a: Int }",
           "2:22 Directive \"@allow\" may not be used on a field of an "
           "interface, but on those of the types that implement it.");
    refuse("interface I { a: Int @json(path: \"b\") "
           "b: Int @rest(get: \"/b\") } "
           "extend interface I { c: Int @rest(post: \"/c\") @allow(if: \"$u\") "
           "}",
           "2:22 Directive \"@json\" may not be used on a field of an "
           "interface, but on those of the types that implement it.\n"
           "2:46 Directive \"@rest\" may not be used on a field of an "
           "interface, but on those of the types that implement it.\n"
           "2:93 Directive \"@rest\" may not be used on a field of an "
           "interface, but on those of the types that implement it.\n"
           "2:111 Directive \"@allow\" may not be used on a field of an "
           "interface, but on those of the types that implement it.");
    refuse("directive @x on FIELD_DEFINITION | ARGUMENT_DEFINITION "
           "interface I { a(b: Int @x): Int @x @deprecated }", "");
    refuse("type A { a: Int @allow(if: \"user\") }",
           "2:28 \"user\" is not a variable.");
}


static agg_rc_e
run(const agg_gql_schema_t *schema, agg_gql_doc_t *doc, const char *query,
    const agg_gql_limits_t *l, agg_gql_errors_t *errors)
{
    agg_rc_e                 rc;
    static agg_gql_source_t  source;

    source.name = str("query");
    source.text = str_of(query);

    agg_gql_errors_init(errors, &mem);

    rc = agg_gql_parse(doc, &mem, &source, l->max_tokens, errors);

    return (rc == AGG_OK) ? agg_gql_validate(schema, doc, l, 1, errors) : rc;
}


/* the first argument of the first field that has the name */

static void
value(const agg_gql_schema_t *schema, const char *query, const char *vars,
    const char *expected)
{
    agg_rc_e                rc;
    uint32_t                id;
    agg_buf_t               b;
    agg_str_t               json, values[10];
    agg_gql_doc_t           doc;
    agg_gql_errors_t        errors;
    agg_gql_selection_t    *sel;
    const agg_gql_input_t  *in;

    rc = run(schema, &doc, query, &limits, &errors);
    check(rc == AGG_OK, "%s: %s", query, text(&errors));

    json = str_of(vars);
    rc = agg_gql_coerce_variables(schema, &doc, 0, &json, values, &mem, 10000,
                                  &errors);

    if (rc != AGG_OK) {
        check(strcmp(text(&errors), expected) == 0, "%s %s: %s\nnot: %s",
              query, vars, text(&errors), expected);
        return;
    }

    for (id = 0; doc.selections[id].field->nargs == 0; id++) {
        /* void */
    }

    sel = &doc.selections[id];
    in = (sel->arg != AGG_GQL_NONE) ? doc.args[sel->arg].input
                                    : &sel->field->args[0];

    agg_buf_init(&b, &mem, 10000);
    rc = agg_gql_argument(&doc, 0, values, sel->arg, in, &b);

    if (rc == AGG_NOT_FOUND) {
        check(strcmp(expected, "none") == 0, "%s: none", query);
        return;
    }

    check(rc == AGG_OK, "%s: %d", query, rc);
    check(agg_buf_used(&b) == strlen(expected)
          && memcmp(b.start, expected, strlen(expected)) == 0,
          "%s: %.*s, not %s", query, (int) agg_buf_used(&b), b.start,
          expected);
}


static void
values(void)
{
    agg_gql_schema_t  s;
    agg_gql_errors_t  errors;
    agg_gql_source_t  source;

    static const char  sdl[] =
        "scalar Any enum E { A @json(value: \"a\") B @json(value: 1.50) C } "
        "input I { x: ID! @json(path: \"x-id\") n: Int! = 1 e: E f: [Float] "
        "i: I any: Any } "
        "input O @oneOf { a: Int b: Int } "
        "type Query { "
        "a(i: I, o: [O!], e: [E!], any: Any, id: ID, s: String, "
        "d: I = {x: 5, e: B}, "
        "l: [I!]): Int @rest(get: \"/\") }";

    source.name = str("schema");
    source.text = str_of(sdl);

    agg_gql_errors_init(&errors, &mem);
    check(agg_gql_schema_build(&s, &mem, &source, 1, &errors) == AGG_OK, "%s",
          text(&errors));

    value(&s, "{ a }", "{}", "none");
    value(&s, "{ a(i: null) }", "{}", "null");
    value(&s, "{ a(d: {x: 1}) }", "{}", "{\"x-id\":\"1\",\"n\":1}");
    value(&s, "query ($v: I) { a(d: $v) }", "{}",
          "{\"x-id\":\"5\",\"n\":1,\"e\":1.50}");
    value(&s, "{ a(i: {f: 1.50, e: A, x: \"q\\u00e9\"}) }", "{}",
          "{\"x-id\":\"q\xc3\xa9\",\"n\":1,\"e\":\"a\",\"f\":[1.50]}");
    value(&s, "query ($v: ID!, $e: E) { a(i: {e: $e, x: $v, f: []}) }",
          "{\"v\":12345678901234567890}",
          "{\"x-id\":\"12345678901234567890\",\"n\":1,\"f\":[]}");
    value(&s, "query ($v: I) { a(i: $v) }",
          "{\"v\":{\"f\":[1e2,null],\"\\u0078\":\"\\u0041\",\"e\":\"B\","
          "\"any\":{\"a\": [1.0 ,\"\\/\"]}}}",
          "{\"x-id\":\"\\u0041\",\"n\":1,\"e\":1.50,\"f\":[1e2,null],"
          "\"any\":{\"a\": [1.0 ,\"\\/\"]}}");
    value(&s, "{ a(e: C) }", "{}", "[\"C\"]");
    value(&s, "query ($v: [E!]) { a(e: $v) }", "{\"v\":\"A\"}", "[\"a\"]");
    value(&s, "query ($v: E!) { a(e: [A, $v]) }", "{\"v\":\"B\"}",
          "[\"a\",1.50]");
    value(&s, "{ a(any: {b: [1.00, 1e400, X, \"\\/\\u00e9\", null], a: {}}) }",
          "{}",
          "{\"b\":[1.00,1e400,\"X\",\"\\/\\u00e9\",null],\"a\":{}}");
    value(&s, "{ a(any: \"\\u{1F600}\t\") }", "{}", "\"\xf0\x9f\x98\x80\\t\"");
    value(&s, "{ a(s: \"\"\"\n  a\n   \\\"\"\"b\n\"\"\") }", "{}",
          "\"a\\n \\\"\\\"\\\"b\"");
    value(&s, "query ($v: ID) { a(id: $v) }", "{\"v\":1.0}", "\"1\"");
    value(&s, "query ($v: ID) { a(id: $v) }", "{\"v\":1.5}",
          "1:8 Variable \"$v\" got invalid value 1.5; ID cannot represent "
          "value: 1.5");
    value(&s, "query ($v: [I!]!) { a(l: $v) }",
          "{\"v\":[{\"x\":1,\"e\":\"D\"}]}",
          "1:8 Variable \"$v\" got invalid value \"D\" at \"v[0].e\"; Value "
          "\"D\" does not exist in \"E\" enum. Did you mean the enum value "
          "\"A\", \"B\", or \"C\"?");
    value(&s, "query ($v: [O!]) { a(o: $v) }", "{\"v\":[{\"b\":null}]}",
          "1:8 Variable \"$v\" got invalid value null at \"v[0].b\"; Field "
          "\"b\" must be non-null.");
    value(&s, "query ($v: O!) { a(o: [$v]) }", "{\"v\":{\"b\":5}}",
          "[{\"b\":5}]");

    mem_free_all();
}


/* a document of parts: start, n times middle with its number, end */

static char *
repeated(const char *start, const char *middle, unsigned n, const char *end)
{
    char      *p, *text;
    size_t     size;
    unsigned   i;

    size = strlen(start) + n * (strlen(middle) + 30) + strlen(end) + 1;

    text = malloc(size);
    if (text == NULL) {
        abort();
    }

    p = text + sprintf(text, "%s", start);

    for (i = 0; i < n; i++) {
        p += sprintf(p, middle, i, i + 1, i + 1);
    }

    strcpy(p, end);

    return text;
}


static void
bomb(const agg_gql_schema_t *schema, const char *start, const char *middle,
    unsigned n, const char *end, const char *limit)
{
    long              t;
    char             *query;
    agg_rc_e          rc;
    agg_gql_doc_t     doc;
    agg_gql_errors_t  errors;

    query = repeated(start, middle, n, end);

    t = now();
    rc = run(schema, &doc, query, &limits, &errors);
    t = now() - t;

    check(t < SLOW, "%.60s: %ld ms", query, t);

    if (limit == NULL) {
        check(rc == AGG_OK || errors.list[0].code != AGG_GQL_LIMIT_EXCEEDED,
              "%.60s: %s", query, text(&errors));

    } else {
        check(rc == AGG_INVALID && errors.n == 1
              && errors.list[0].code == AGG_GQL_LIMIT_EXCEEDED
              && strcmp(errors.list[0].limit, limit) == 0,
              "%.60s: %d %s", query, rc, text(&errors));
    }

    free(query);
}


static void
bombs(void)
{
    agg_gql_schema_t  s;

    zoo_build(&s);

    bomb(&s, "{space", "{inner", 100000, "", "max_tokens");
    bomb(&s, "{space", "{inner{leaf}inner", 21,
         "{leaf}}}}}}}}}}}}}}}}}}}}}}}", "max_depth");
    bomb(&s, "{", "a%u:old ", 51, "}", "max_aliases");
    bomb(&s, "{", "a%u:old ", 50, "}", "max_root_fields");
    bomb(&s, "{", "old ", 4900, "}", "max_root_fields");
    bomb(&s, "{space{", "leaf ", 4900, "}}", NULL);
    bomb(&s, "{...f0}", "fragment f%u on Root{...f%u ...f%u}", 400,
         "fragment f400 on Root{old}", "max_root_fields");
    bomb(&s, "{space{...f0}}",
         "fragment f%u on Space{inner{...f%u}a:inner{...f%u}}", 13,
         "fragment f13 on Space{leaf}", "max_selections");
    bomb(&s, "{space{...f0}}", "fragment f%u on Space{...f%u ...f%u}", 400,
         "fragment f400 on Space{leaf}", "max_selections");
    bomb(&s, "{...f0}", "fragment f%u on Root{...f%u ...f0 ...f%u}", 400,
         "fragment f400 on Root{...f0}", NULL);
    bomb(&s, "{old", " @skip(if:true)", 700, "}", NULL);
    bomb(&s, "{old", " @x%u", 2000, "}", NULL);
    bomb(&s, "{dog(filter:", "[", 100000, "", "max_tokens");
    bomb(&s, "{dog(filter:[", "[[]]", 1100, "]){id}}", NULL);
    bomb(&s, "{dog(", "filter:1 ", 1600, "){id}}", NULL);
    bomb(&s, "{dog(filter:{", "a:1 ", 1600, "}){id}}", NULL);
    bomb(&s, "{any(dates:[", "1 ", 4900, "]){__typename}}", NULL);
    bomb(&s, "query(", "$v%u:Int ", 1200, "){old}", NULL);
    bomb(&s, "{dog(filter:[", "$v%u ", 2400, "]){id}}", NULL);
    bomb(&s, "", "{old}", 1600, "", NULL);
    bomb(&s, "{space{", "a:leaf a:__typename ", 25, "}}", NULL);
    bomb(&s, "{space{", "...on Perso%u{a}", 800, "}}", NULL);
    bomb(&s, "{any{", "...on Cat{a:__typename}...on Dog{b%u:id}", 24, "}}",
         NULL);

    mem_free_all();
}


/* a schema of 5000 types, their fields, arguments and values */

static void
large(void)
{
    long              t;
    char             *sdl;
    agg_rc_e          rc;
    agg_gql_schema_t  s;
    agg_gql_errors_t  errors;
    agg_gql_source_t  source;

    sdl = repeated("type Query { a: T0 @rest(get: \"/a\") } type T1250 { a: "
                   "Int } ",
                   "type T%u implements I%1$u { id: ID! next(first: Int = 5, "
                   "in: N%1$u = {}): T%2$u e: E%1$u } "
                   "interface I%1$u { id: ID! } "
                   "enum E%1$u { A B C @json(value: \"c\") } "
                   "input N%1$u { a: Int = 1 b: [String] }", 1250, "");

    source.name = str("large");
    source.text = str_of(sdl);

    agg_gql_errors_init(&errors, &mem);

    t = now();
    rc = agg_gql_schema_build(&s, &mem, &source, 1, &errors);
    t = now() - t;

    check(rc == AGG_OK, "%s", text(&errors));
    check(s.ntypes > 5000, "%u", s.ntypes);
    check(t < SLOW, "%ld ms", t);

    free(sdl);
    mem_free_all();
}


/* whatever allocation fails, that is all that is said */

static void
memory(void)
{
    long              n, allowed;
    agg_rc_e          rc;
    uint32_t          id;
    agg_buf_t         b;
    agg_str_t         json, vars[10];
    agg_gql_doc_t     doc;
    agg_gql_schema_t  s;
    agg_gql_errors_t  errors;
    agg_gql_source_t  source;

    static const char  query[] =
        "query ($v: Point!, $o: [One!]) { dog(at: $v, filter: {a: [1, $o]}) { "
        "n: name(short: true) ... on Pet { n: name(short: true) } ...F } "
        "__schema { types { ...T } directives { name locations } } } "
        "fragment F on Dog { matrix } "
        "fragment T on __Type { name fields { name args { defaultValue } } }";
    static const char  bad[] =
        "query ($v: Nope) { dg dog { a: id a: name nme ...G } ...H } "
        "fragment G on Dog { ...G } { pet(one: {a: \"x\", c: RED}) }";

    source.name = str("zoo");
    source.text = str_of(zoo);

    for (n = 0; /* void */ ; n++) {
        agg_gql_errors_init(&errors, &mem);

        mem_left = n;
        rc = agg_gql_schema_build(&s, &mem, &source, 1, &errors);
        mem_left = -1;

        if (rc == AGG_OK) {
            break;
        }

        check(rc == AGG_NOMEM, "%ld: %d", n, rc);
        mem_free_all();
    }

    allowed = n;
    check(allowed > 100, "%ld", allowed);

    json = str("{\"v\":{\"x\":1,\"tags\":[\"a\"]},\"o\":[{\"a\":1}]}");

    for (n = 0; /* void */ ; n++) {
        mem_left = n;
        rc = run(&s, &doc, query, &limits, &errors);

        if (rc == AGG_OK) {
            rc = agg_gql_coerce_variables(&s, &doc, 0, &json, vars, &mem,
                                          10000, &errors);
        }

        if (rc == AGG_OK) {
            id = 5;
            agg_buf_init(&b, &mem, 1 << 20);

            while (doc.selections[id].field != s.schema_field) {
                id++;
            }

            rc = agg_gql_introspect(&s, &doc, 0, vars, &id, 1, &mem, &b);
        }

        mem_left = -1;

        if (rc == AGG_OK) {
            break;
        }

        check(rc == AGG_NOMEM, "%ld: %d %s", n, rc, text(&errors));
    }

    for (n = 0; /* void */ ; n++) {
        mem_left = n;
        rc = run(&s, &doc, bad, &limits, &errors);
        mem_left = -1;

        if (rc == AGG_INVALID) {
            break;
        }

        check(rc == AGG_NOMEM, "%ld: %d %s", n, rc, text(&errors));
    }

    check(errors.n > 5, "%s", text(&errors));

    mem_free_all();
}


int
main(void)
{
    syntax();
    types();
    ours();
    values();
    bombs();
    large();
    memory();

    finish("graphql_cases");

    return 0;
}
