
/*
 * Parses, validates and introspects for the tests in Perl.  Lines of standard
 * input, some followed by so many bytes:
 *   source NAME BYTES          one more source of the next schema
 *   build                      builds the schema
 *   limits T D A R S           for the documents that follow
 *   doc BYTES INTROSPECTION    parses and validates a document
 *   vars BYTES                 coerces variables of its first operation
 *   args                       the arguments of all its fields
 *   introspect                 the root fields of its first operation
 * Each but the first and the third gives a line of JSON.
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

#include "graphql_common.h"


static agg_gql_source_t  sources[64];
static unsigned          nsources;
static agg_gql_schema_t  schema;
static agg_gql_doc_t     doc;
static agg_gql_source_t  request;
static agg_gql_limits_t  limits;
static agg_gql_errors_t  errors;
static agg_str_t         values[1000];


static agg_str_t
take(size_t len)
{
    agg_str_t  s;

    s.len = len;
    s.data = mem_alloc(NULL, len + 1);

    if (fread(s.data, 1, len, stdin) != len || getchar() != '\n') {
        exit(1);
    }

    /* whoever reads behind the end is seen */

    memmove(s.data + 1, s.data, len);
    s.data++;

    return s;
}


static void
put(const agg_str_t *s)
{
    agg_buf_t  b;

    agg_buf_init(&b, &mem, 64 << 20);

    if (agg_json_escape(&b, s->data, s->len) != AGG_OK) {
        exit(1);
    }

    printf("%.*s", (int) agg_buf_used(&b), b.start);
    mem_free(b.start);
}


static void
tell(void)
{
    unsigned          i, k;
    agg_gql_error_t  *e;

    printf("{\"errors\":[");

    for (i = 0; i < errors.n; i++) {
        e = &errors.list[i];

        printf("%s{\"message\":", i ? "," : "");
        put(&e->message);
        printf(",\"locations\":[");

        for (k = 0; k < e->nplaces; k++) {
            printf("%s{\"line\":%u,\"column\":%u}", k ? "," : "",
                   e->places[k].line, e->places[k].column);
        }

        printf("],\"code\":\"%s\"", agg_gql_code_name(e->code));

        if (e->limit != NULL) {
            printf(",\"limit\":\"%s\"", e->limit);
        }

        if (e->source != NULL) {
            printf(",\"source\":");
            put(&e->source->name);
        }

        printf("}");
    }

    printf("]}\n");
}


static void
introspect(void)
{
    int                   n;
    uint32_t              id;
    agg_rc_e              rc;
    agg_buf_t             b;
    agg_gql_selection_t  *sel;

    printf("{\"data\":{");
    n = 0;

    for (id = doc.operations[0].first; id != AGG_GQL_NONE; id = sel->next) {
        sel = &doc.selections[id];

        if (sel->kind != AGG_GQL_FIELD
            || (sel->field != schema.schema_field
                && sel->field != schema.type_field))
        {
            continue;
        }

        agg_buf_init(&b, &mem, 64 << 20);
        rc = agg_gql_introspect(&schema, &doc, 0, values, &id, 1, &mem, &b);

        printf("%s", n++ ? "," : "");
        put(&sel->alias);
        printf(":%.*s", rc == AGG_OK ? (int) agg_buf_used(&b) : 0, b.start);
    }

    printf("}}\n");
}


static void
args(void)
{
    int                     n;
    uint32_t                id;
    agg_rc_e                rc;
    agg_buf_t               b;
    unsigned                k;
    agg_gql_selection_t    *sel;
    const agg_gql_input_t  *in;

    printf("{\"args\":[");
    n = 0;

    for (id = 0; id < doc.nselections; id++) {
        sel = &doc.selections[id];

        for (k = 0; sel->kind == AGG_GQL_FIELD && k < sel->field->nargs; k++) {
            in = &sel->field->args[k];

            agg_buf_init(&b, &mem, 64 << 20);
            rc = agg_gql_argument(&doc, 0, values, sel->arg, in, &b);

            printf("%s[", n++ ? "," : "");
            put(&sel->alias);
            printf(",");
            put(&in->name);
            printf(",%d", agg_gql_argument_constant(&doc, sel->arg, in));

            if (rc == AGG_OK) {
                printf(",%.*s]", (int) agg_buf_used(&b), b.start);

            } else {
                printf("%s]", rc == AGG_NOT_FOUND ? "" : ",\"!invalid\"");
            }
        }
    }

    printf("]}\n");
}


int
main(void)
{
    char      *line, name[200];
    size_t     size, n, k;
    agg_rc_e   rc;
    agg_str_t  json;

    line = NULL;
    size = 0;

    while (getline(&line, &size, stdin) > 0) {

        if (sscanf(line, "source %199s %zu", name, &n) == 2) {
            json.len = strlen(name);
            json.data = mem_alloc(NULL, json.len);
            memcpy(json.data, name, json.len);

            sources[nsources].name = json;
            sources[nsources++].text = take(n);
            continue;
        }

        if (sscanf(line, "limits %u %u %u %u %u", &limits.max_tokens,
                   &limits.max_depth, &limits.max_aliases,
                   &limits.max_root_fields, &limits.max_selections) == 5)
        {
            continue;
        }

        agg_gql_errors_init(&errors, &mem);

        if (strcmp(line, "build\n") == 0) {
            (void) agg_gql_schema_build(&schema, &mem, sources, nsources,
                                        &errors);
            nsources = 0;
            tell();

        } else if (sscanf(line, "doc %zu %zu", &n, &k) == 2) {
            request.name = str("GraphQL request");
            request.text = take(n);

            rc = agg_gql_parse(&doc, &mem, &request, limits.max_tokens,
                               &errors);

            if (rc == AGG_OK) {
                (void) agg_gql_validate(&schema, &doc, &limits, k, &errors);
            }

            memset(values, 0, sizeof(values));
            tell();

        } else if (sscanf(line, "vars %zu", &n) == 1) {
            json = take(n);

            rc = agg_gql_coerce_variables(&schema, &doc, 0, &json, values,
                                          &mem, 16 << 20, &errors);

            if (rc != AGG_OK) {
                tell();
                goto next;
            }

            printf("{\"values\":[");

            for (n = 0; n < doc.operations[0].nvariables; n++) {
                printf("%s%.*s", n ? "," : "",
                       values[n].data ? (int) values[n].len : 2,
                       values[n].data ? (char *) values[n].data : "[]");
            }

            printf("]}\n");

        } else if (strcmp(line, "args\n") == 0) {
            args();

        } else if (strcmp(line, "introspect\n") == 0) {
            introspect();

        } else {
            return 1;
        }

    next:

        fflush(stdout);
    }

    free(line);

    return 0;
}
