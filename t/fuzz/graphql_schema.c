
/*
 * Schemas: a byte, which when odd says where memory ends, then SDL.  What is
 * a schema is introspected whole.
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


#include "../unit/graphql_common.h"


#define FUZZ_MAX  (1 << 22)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char  query[] =
    "{ __schema { description types { ...T } directives { name args { ...I } } "
    "} } fragment T on __Type { kind name description specifiedByURL isOneOf "
    "fields(includeDeprecated: true) { name args { ...I } type { ...R } } "
    "interfaces { name } possibleTypes { name } inputFields { ...I } "
    "enumValues { name deprecationReason } } fragment I on __InputValue { name "
    "defaultValue type { ...R } } fragment R on __Type { kind name ofType { "
    "kind name ofType { name } } }";


static void
introspect(const agg_gql_schema_t *schema)
{
    uint32_t          id;
    agg_buf_t         b;
    agg_gql_doc_t     doc;
    agg_gql_errors_t  errors;
    agg_gql_source_t  source;

    source.name = str("query");
    source.text = str_of(query);

    agg_gql_errors_init(&errors, &mem);
    agg_buf_init(&b, &mem, FUZZ_MAX);

    if (agg_gql_parse(&doc, &mem, &source, 0, &errors) != AGG_OK
        || agg_gql_validate(schema, &doc, NULL, 1, &errors) != AGG_OK)
    {
        return;
    }

    id = 0;

    if (agg_gql_introspect(schema, &doc, 0, NULL, &id, 1, &mem, &b) == AGG_OK
        && agg_json_validate(b.start, agg_buf_used(&b), NULL) != AGG_OK)
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    agg_rc_e           rc;
    agg_gql_errors_t   errors;
    agg_gql_source_t   source;
    agg_gql_schema_t   schema;

    if (size == 0 || size > 20000) {
        return 0;
    }

    source.name = str("fuzz");
    source.text.len = size - 1;
    source.text.data = exact(data + 1, size - 1);

    /* the built-in schema takes some hundred */

    mem_left = (data[0] & 1) ? data[0] * 8 : -1;

    agg_gql_errors_init(&errors, &mem);

    rc = agg_gql_schema_build(&schema, &mem, &source, 1, &errors);

    if ((rc == AGG_INVALID) != (errors.n != 0) && rc != AGG_NOMEM) {
        abort();
    }

    if (rc == AGG_OK) {
        introspect(&schema);
    }

    mem_left = -1;
    mem_free_all();
    free(source.text.data);

    return 0;
}
