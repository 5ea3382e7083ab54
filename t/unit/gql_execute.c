
/*
 * The executor: leaf values, batches, the order of calls, null that goes up,
 * limits, memory that runs out at every place.
 *
 * sources: http_rules/agg_template.c
 * sources: json/agg_json.c json/agg_path.c json/agg_scan.c
 * sources: json/agg_write.c graphql/agg_gql.c graphql/agg_gql_applied.c
 * sources: graphql/agg_gql_arena.c
 * sources: graphql/agg_gql_batch.c graphql/agg_gql_bind.c
 * sources: graphql/agg_gql_bind_field.c graphql/agg_gql_build.c
 * sources: graphql/agg_gql_call.c graphql/agg_gql_check.c
 * sources: graphql/agg_gql_coerce.c graphql/agg_gql_conflict.c
 * sources: graphql/agg_gql_error.c graphql/agg_gql_exec.c
 * sources: graphql/agg_gql_execute.c graphql/agg_gql_fields.c
 * sources: graphql/agg_gql_fragments.c graphql/agg_gql_http.c
 * sources: graphql/agg_gql_introspect.c graphql/agg_gql_leaf.c
 * sources: graphql/agg_gql_lex.c graphql/agg_gql_literal.c
 * sources: graphql/agg_gql_merge.c graphql/agg_gql_names.c
 * sources: graphql/agg_gql_parse.c graphql/agg_gql_parse_sdl.c
 * sources: graphql/agg_gql_plan.c graphql/agg_gql_prelude.c
 * sources: graphql/agg_gql_read.c graphql/agg_gql_stream.c
 * sources: graphql/agg_gql_rest.c graphql/agg_gql_schema.c
 * sources: graphql/agg_gql_template.c graphql/agg_gql_types.c
 * sources: graphql/agg_gql_validate.c graphql/agg_gql_variables.c
 * sources: graphql/agg_gql_write.c
 */

#include "agg_test.h"
#include "gql_run.h"
#include "gql_schema.h"


typedef struct {
    const char  *type;
    const char  *value;
    const char  *expected;      /* NULL: it is none of the type's */
} leaf_t;


static const leaf_t  leaves[] = {
    { "Int", "5", "5" },
    { "Int", "-0", "0" },
    { "Int", "1.0", "1" },
    { "Int", "1e2", "100" },
    { "Int", "2147483647", "2147483647" },
    { "Int", "2147483648", NULL },
    { "Int", "-2147483648", "-2147483648" },
    { "Int", "1.5", NULL },
    { "Int", "1e400", NULL },
    { "Int", "true", "1" },
    { "Int", "false", "0" },
    { "Int", "\"7\"", "7" },
    { "Int", "\" 7 \"", "7" },
    { "Int", "\" \"", "0" },
    { "Int", "\"\"", NULL },
    { "Int", "\"0x10\"", "16" },
    { "Int", "\"1e3\"", "1000" },
    { "Int", "\"7a\"", NULL },
    { "Int", "\"Infinity\"", NULL },
    { "Int", "[1]", NULL },
    { "Int", "{}", NULL },
    { "Float", "1.0", "1.0" },
    { "Float", "1e400", "1e400" },
    { "Float", "12345678901234567890.10", "12345678901234567890.10" },
    { "Float", "true", "1" },
    { "Float", "\"1.50\"", "1.50" },
    { "Float", "\"+5\"", "5" },
    { "Float", "\".5\"", "0.5" },
    { "Float", "\"5.\"", "5" },
    { "Float", "\"0b101\"", "5" },
    { "Float", "\"x\"", NULL },
    { "Float", "\"\"", NULL },
    { "Float", "{}", NULL },
    { "String", "\"a\\u0062\"", "\"a\\u0062\"" },
    { "String", "1.0", "\"1.0\"" },
    { "String", "true", "\"true\"" },
    { "String", "[]", NULL },
    { "String", "{}", NULL },
    { "Boolean", "true", "true" },
    { "Boolean", "1", "true" },
    { "Boolean", "0.0", "false" },
    { "Boolean", "1e400", NULL },
    { "Boolean", "\"true\"", NULL },
    { "ID", "\"x\"", "\"x\"" },
    { "ID", "12345678901234567890", "\"12345678901234567890\"" },
    { "ID", "-1", "\"-1\"" },
    { "ID", "1.5", NULL },
    { "ID", "true", NULL },
    { "E", "\"a\"", "\"A\"" },
    { "E", "\"\\u0061\"", "\"A\"" },
    { "E", "\"A\"", NULL },
    { "E", "\"B\"", "\"B\"" },
    { "E", "3", "\"C\"" },
    { "E", "3.0", "\"C\"" },
    { "E", "4", NULL },
    { "E", "[]", NULL },
    { "Any", "[1, {\"a\": 1.0}]", "[1, {\"a\": 1.0}]" }
};


/* bodies by the beginning of their URI, one after the other */

typedef struct {
    const char  *path;
    const char  *body;          /* NULL: a failure; "404": that status */
} body_t;


typedef struct {
    unsigned     operation;
    body_t       bodies[8];
    const char  *data;
    const char  *errors;        /* the codes, in order */
    unsigned     calls;
} case_t;


static const case_t  cases[] = {
    { 0, { { "/q", "{\"t\":\"X\",\"id\":1,\"i\":2,\"must\":3,"
                   "\"xs\":[{\"id\":4,\"must\":5}],\"a\":{\"b\":\"c\"},"
                   "\"list\":[[1,2],null]}" },
           { "/n/1", "{\"t\":\"Y\",\"id\":9}" } },
      "{\"n\":{\"__typename\":\"X\",\"id\":\"1\",\"any\":null,\"n\":{"
      "\"id\":\"9\",\"n\":null},\"i\":2,\"f\":null,\"s\":null,\"b\":null,"
      "\"e\":null,\"must\":3,\"list\":[[1,2],null],\"xs\":[{\"id\":\"4\","
      "\"must\":5}],\"up\":\"c\"}}", "", 2 },
    { 0, { { "/q", "{\"t\":\"X\",\"id\":1,\"must\":null}" } },
      "{\"n\":null}", "FETCH_FAILED NULL_VALUE ", 2 },
    { 0, { { "/q", "{\"t\":\"Q\"}" } }, "{\"n\":null}", "UNKNOWN_TYPE ", 1 },
    { 0, { { "/q", "[]" } }, "{\"n\":null}", "INVALID_VALUE ", 1 },
    { 1, { { "/us", "{\"v\":[{\"t\":\"Y\",\"id\":1,\"k\":1},{\"t\":\"Y\","
                    "\"id\":2,\"k\":\"2\"},{\"t\":\"Y\",\"id\":3,\"k\":1},"
                    "{\"t\":\"Y\",\"id\":4,\"k\":5},{\"t\":\"Y\",\"id\":6}]}" },
           { "/x", "[{\"id\":1,\"i\":10},{\"id\":2,\"i\":20},"
                   "{\"id\":\"5\",\"i\":50},{\"id\":7}]" },
           { "/ys", "{}" } },
      "{\"us\":[{\"id\":\"1\",\"x\":{\"id\":\"1\",\"i\":10},\"ys\":[]},"
      "{\"id\":\"2\",\"x\":{\"id\":\"2\",\"i\":20},\"ys\":[]},"
      "{\"id\":\"3\",\"x\":{\"id\":\"1\",\"i\":10},\"ys\":[]},"
      "{\"id\":\"4\",\"x\":{\"id\":\"5\",\"i\":50},\"ys\":[]},"
      "{\"id\":\"6\",\"x\":null,\"ys\":[]}]}", "", 7 },
    { 2, { { "/y", "404" }, { "/d", NULL } }, "null", "NULL_VALUE ", 2 },
    { 2, { { "/y", "{\"id\":1}" }, { "/d", NULL } },
      "{\"y\":{\"id\":\"1\",\"ys\":[]},\"d\":null}", "NULL_VALUE ", 2 },
    { 4, { { "/m", "{\"id\":1}" }, { "/n", "{\"t\":\"X\",\"id\":2}" } },
      "{\"a\":{\"id\":\"1\",\"n\":{\"id\":\"2\"}},\"b\":{\"id\":\"1\"}}",
      "", 3 },
    { 5, { { "/z",
             "{\"id\":1,\"i\":2,\"f\":3.5,\"s\":\"x\",\"b\":true,\"e\":\"a\","
             "\"any\":{\"q\":[1, 2]},\"l\":[1,2],\"m\":[1,\"b\",null],\"must"
             "\":7,\"z\":{\"must\":1,\"id\":\"z\"},\"zs\":[{\"s\":\"s\",\"id"
             "\":2},null],\"zn\":[{\"must\":1},{\"must\":2}]}" } },
      "{\"z\":{\"id\":\"1\",\"i\":2,\"alias\":3.5,\"s\":\"x\",\"b\":true,\"e"
      "\":\"A\",\"any\":{\"q\":[1, 2]},\"l\":[1,2],\"m\":[\"1\",\"b\",null],"
      "\"must\":7,\"z\":{\"must\":1,\"id\":\"z\"},\"zs\":[{\"s\":\"s\",\"id\""
      ":\"2\"},null],\"zn\":[{\"must\":1},{\"must\":2}]}}",
      "", 1 },
    { 5, { { "/z",
             " { \"id\" : 1 , \"x\" : { \"y\" : [ 1 ] } , \"i\" : 2 , \"f\":n"
             "ull , \"s\":\"x\",\"b\":false,\"e\":3,\"any\":[],\"l\":[ 1 , 2 "
             "],\"m\":[],\"must\":-7,\"w\":1,\"z\":null,\"zs\":[ ],\"zn\":[ {"
             " \"must\":1 , \"q\":2 } ] , \"v\":0 } " } },
      "{\"z\":{\"id\":\"1\",\"i\":2,\"alias\":null,\"s\":\"x\",\"b\":false,\""
      "e\":\"C\",\"any\":[],\"l\":[1,2],\"m\":[],\"must\":-7,\"z\":null,\"zs"
      "\":[],\"zn\":[{\"must\":1}]}}",
      "", 1 },
    { 5, { { "/z",
             "{\"i\":2,\"id\":\"1\",\"f\":3,\"s\":\"x\",\"b\":true,\"e\":\"B"
             "\",\"any\":null,\"l\":null,\"m\":null,\"must\":7,\"z\":{\"id\":"
             "\"z\",\"must\":1},\"zs\":[{\"id\":2,\"s\":\"s\"}],\"zn\":[{\"mu"
             "st\":1},{\"must\":null}]}" } },
      "{\"z\":null}",
      "NULL_VALUE ", 1 },
    { 5, { { "/z",
             "{\"id\":1,\"i\":2,\"f\":3.5,\"s\":\"x\",\"b\":true,\"e\":\"a\","
             "\"any\":1,\"l\":[1],\"m\":[2],\"must\":7,\"z\":{\"must\":1,\"id"
             "\":\"z\",\"must\":2},\"zs\":[],\"zn\":[{\"must\":1,\"must\":3}]"
             ",\"id\":5}" } },
      "{\"z\":{\"id\":\"5\",\"i\":2,\"alias\":3.5,\"s\":\"x\",\"b\":true,\"e"
      "\":\"A\",\"any\":1,\"l\":[1],\"m\":[\"2\"],\"must\":7,\"z\":{\"must\":"
      "2,\"id\":\"z\"},\"zs\":[],\"zn\":[{\"must\":3}]}}",
      "", 1 },
    { 5, { { "/z",
             "{\"id\":1,\"i\":2147483648,\"f\":1,\"s\":\"x\",\"b\":true,"
             "\"e\":\"a\",\"any\":1,\"l\":[],\"m\":[],\"must\":7,"
             "\"z\":null,\"zs\":[],\"zn\":[]}" } },
      "{\"z\":{\"id\":\"1\",\"i\":null,\"alias\":1,\"s\":\"x\","
      "\"b\":true,\"e\":\"A\",\"any\":1,\"l\":[],\"m\":[],\"must\":7,"
      "\"z\":null,\"zs\":[],\"zn\":[]}}", "INVALID_VALUE ", 1 },
    { 6, { { "/sx", "{\"id\":1}" }, { "/sz", "{\"id\":2}" },
           { "/n", "{\"t\":\"X\",\"id\":3}" } },
      "{\"space\":{\"z\":{\"id\":\"2\"},\"x\":{\"id\":\"1\","
      "\"n\":{\"id\":\"3\"}}},\"b\":{\"x\":{\"id\":\"1\"}}}", "", 3 }
};


static void check_leaves(gql_run_t *run);
static void check_cases(gql_run_t *run);
static void check_memory(void);
static void check_order(gql_run_t *run);
static const char *case_body(gql_run_t *run, agg_gql_call_t *call,
    unsigned *status);
static void codes(const agg_buf_t *errors, char *out);
static agg_rc_e prepare(gql_run_t *run, unsigned operation);


int
main(void)
{
    static gql_run_t         run;
    static agg_gql_source_t  source;

    run.mem = &mem;
    run.body = case_body;
    run.max = 1 << 20;

    source.text = str_of(gql_schema);

    check(gql_run_schema(&run, &source) == AGG_OK, "schema: %.*s",
          (int) run.errors.list[0].message.len,
          run.errors.list[0].message.data);

    check_leaves(&run);
    check_cases(&run);
    check_order(&run);
    check_memory();

    finish("gql_execute");

    return 0;
}


static void
check_leaves(gql_run_t *run)
{
    size_t           i;
    agg_rc_e         rc;
    agg_buf_t        b;
    agg_str_t        name, value;
    agg_gql_type_t  *type;

    for (i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        name = str_of(leaves[i].type);
        type = agg_gql_type_by_name(&run->schema, &name);
        check(type != NULL, "%s", leaves[i].type);

        value.len = strlen(leaves[i].value);
        value.data = exact(leaves[i].value, value.len);

        agg_buf_init(&b, &mem, 1000);
        rc = agg_gql_leaf(&b, type, &value);

        if (leaves[i].expected == NULL) {
            check(rc == AGG_INVALID, "%s %s", leaves[i].type,
                  leaves[i].value);
            check(agg_buf_used(&b) == 0, "%s", leaves[i].value);

        } else {
            check(rc == AGG_OK
                  && agg_buf_used(&b) == strlen(leaves[i].expected)
                  && memcmp(b.start, leaves[i].expected, agg_buf_used(&b))
                     == 0,
                  "%s %s: %.*s", leaves[i].type, leaves[i].value,
                  (int) agg_buf_used(&b), b.start);
        }

        free(value.data);
    }
}


static void
check_cases(gql_run_t *run)
{
    char           found[400];
    size_t         i;
    agg_rc_e       rc;
    const case_t  *c;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        c = &cases[i];
        run->data = (void *) c;

        for (run->reverse = 0; run->reverse < 2; run->reverse++) {

            rc = prepare(run, c->operation);
            check(rc == AGG_OK, "case %zu: %d", i, rc);

            rc = gql_run(run);
            check(rc == AGG_OK, "case %zu: %d", i, rc);

            check(agg_buf_used(&run->e.out) == strlen(c->data)
                  && memcmp(run->e.out.start, c->data, strlen(c->data)) == 0,
                  "case %zu: %.*s", i, (int) agg_buf_used(&run->e.out),
                  run->e.out.start);

            codes(&run->e.errors, found);
            check(strcmp(found, c->errors) == 0, "case %zu: %s", i, found);
            check(run->sent == c->calls, "case %zu: %u calls", i, run->sent);
        }
    }
}


/* over the limit at any size: no more is written */

static void
check_order(gql_run_t *run)
{
    agg_rc_e  rc;

    run->data = (void *) &cases[4];
    run->reverse = 0;

    for (run->max = 0; run->max < 400; run->max++) {
        check(prepare(run, 1) == AGG_OK, "limit");
        rc = gql_run(run);
        check(rc == AGG_TOO_LARGE
              || (rc == AGG_OK && agg_buf_used(&run->e.out) <= run->max),
              "limit %zu: %d", run->max, rc);
    }

    check(rc == AGG_OK, "limit %zu", run->max);
    run->max = 1 << 20;
}


/* every allocation fails once */

static void
check_memory(void)
{
    long              n;
    size_t            i;
    agg_rc_e          rc;
    agg_gql_source_t  source;
    static gql_run_t  run;

    memset(&source, 0, sizeof(agg_gql_source_t));
    source.text = str_of(gql_schema);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&run, 0, sizeof(gql_run_t));
        run.mem = &mem;
        run.body = case_body;
        run.max = 1 << 20;
        run.data = (void *) &cases[i];

        mem_left = -1;
        check(gql_run_schema(&run, &source) == AGG_OK, "schema");

        for (n = 0; ; n++) {
            mem_left = n;
            rc = prepare(&run, cases[i].operation);

            if (rc == AGG_OK) {
                rc = gql_run(&run);
            }

            if (rc == AGG_OK) {
                break;
            }

            check(rc == AGG_NOMEM, "case %zu, allocation %ld: %d", i, n, rc);
        }
    }

    mem_left = -1;
}


static agg_rc_e
prepare(gql_run_t *run, unsigned operation)
{
    static agg_gql_source_t  source;

    source.text = str_of(gql_operations[operation]);

    return gql_run_prepare(run, &source, NULL);
}


static const char *
case_body(gql_run_t *run, agg_gql_call_t *call, unsigned *status)
{
    size_t         i, len;
    const body_t  *b;

    b = ((const case_t *) run->data)->bodies;

    for (i = 0; i < 8 && b[i].path != NULL; i++) {
        len = strlen(b[i].path);

        if (call->path.len < len
            || memcmp(call->path.data, b[i].path, len) != 0
            || (call->path.len > len && call->path.data[len] != '/'))
        {
            continue;
        }

        if (b[i].body != NULL && strcmp(b[i].body, "404") == 0) {
            *status = 404;
            return NULL;
        }

        return b[i].body;
    }

    return NULL;
}


static void
codes(const agg_buf_t *errors, char *out)
{
    size_t       i;
    const char  *p, *end;

    *out = '\0';

    if (errors->start == NULL) {
        return;
    }

    p = (const char *) errors->start;

    for (i = 0; i + 8 < agg_buf_used(errors); i++) {

        if (memcmp(p + i, "\"code\":\"", 8) != 0) {
            continue;
        }

        end = memchr(p + i + 8, '"', agg_buf_used(errors) - i - 8);
        strncat(out, p + i + 8, (size_t) (end - p - (long) i - 8));
        strcat(out, " ");
    }
}
