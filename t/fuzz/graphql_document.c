
/*
 * Documents against a schema: a byte of flags, a document, and after a NUL the
 * variables.  They are parsed, validated and, where valid, coerced, asked for
 * all arguments and introspected.  With an odd flag memory ends somewhere.
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


#define FUZZ_MAX  (1 << 20)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static agg_gql_schema_t  schema;
static mem_block_t       kept;

static const agg_gql_limits_t  limits = { 2000, 20, 50, 20, 3000 };


/* the memory of the schema is set aside, not to be freed with the rest */

static void
prepare(void)
{
    if (schema.ntypes != 0) {
        return;
    }

    zoo_build(&schema);

    kept = mem_blocks;
    kept.next->prev = &kept;
    kept.prev->next = &kept;
    mem_blocks.next = &mem_blocks;
    mem_blocks.prev = &mem_blocks;
}


static void
json(const agg_buf_t *b, const char *what)
{
    if (agg_json_validate(b->start, agg_buf_used(b), NULL) != AGG_OK) {
        printf("%s: no JSON: %.*s\n", what, (int) agg_buf_used(b), b->start);
        fflush(stdout);
        abort();
    }
}


static void
execute(const agg_gql_doc_t *doc, uint32_t operation, const agg_str_t *vars)
{
    agg_rc_e              rc;
    unsigned              i;
    uint32_t              id;
    agg_buf_t             b;
    agg_str_t            *values;
    agg_gql_errors_t      errors;
    agg_gql_selection_t  *sel;

    agg_gql_errors_init(&errors, &mem);

    values = malloc((doc->operations[operation].nvariables + 1)
                    * sizeof(agg_str_t));

    if (values == NULL) {
        abort();
    }

    rc = agg_gql_coerce_variables(&schema, doc, operation, vars, values, &mem,
                                  FUZZ_MAX, &errors);

    if (rc == AGG_INVALID && errors.n == 0) {
        abort();
    }

    for (i = 0; rc == AGG_OK && i < doc->operations[operation].nvariables; i++)
    {
        if (values[i].data != NULL
            && agg_json_validate(values[i].data, values[i].len, NULL)
               != AGG_OK)
        {
            abort();
        }
    }

    for (id = 0; rc == AGG_OK && id < doc->nselections; id++) {
        sel = &doc->selections[id];

        (void) agg_gql_included(doc, operation, values, sel->applied);

        if (sel->kind != AGG_GQL_FIELD) {
            continue;
        }

        for (i = 0; i < sel->field->nargs; i++) {
            agg_buf_init(&b, &mem, FUZZ_MAX);

            if (agg_gql_argument(doc, operation, values, sel->arg,
                                 &sel->field->args[i], &b) == AGG_OK)
            {
                json(&b, "argument");
            }
        }

        if (sel->field == schema.schema_field
            || sel->field == schema.type_field)
        {
            agg_buf_init(&b, &mem, FUZZ_MAX);

            if (agg_gql_introspect(&schema, doc, operation, values, &id, 1,
                                   &mem, &b) == AGG_OK)
            {
                json(&b, "introspection");
            }
        }
    }

    free(values);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t            flags;
    agg_rc_e           rc;
    uint32_t           i;
    agg_str_t          vars;
    agg_gql_doc_t      doc;
    const uint8_t     *end;
    agg_gql_errors_t   errors;
    agg_gql_source_t   source;

    prepare();

    if (size == 0 || size > 20000) {
        return 0;
    }

    flags = data[0];
    end = memchr(data + 1, 0, size - 1);

    vars.len = 0;

    if (end == NULL) {
        end = data + size;

    } else {
        vars.len = (size_t) (data + size - end) - 1;
    }

    source.name = str("fuzz");
    source.text.len = (size_t) (end - data) - 1;
    source.text.data = exact(data + 1, source.text.len);
    vars.data = exact(end + (vars.len != 0), vars.len);

    if (agg_json_validate(vars.data, vars.len, NULL) != AGG_OK
        || agg_json_kind(&vars) != AGG_OBJECT)
    {
        vars.len = 0;
    }

    mem_left = (flags & 1) ? flags >> 1 : -1;

    agg_gql_errors_init(&errors, &mem);

    rc = agg_gql_parse(&doc, &mem, &source, limits.max_tokens, &errors);

    if (rc == AGG_OK) {
        rc = agg_gql_validate(&schema, &doc, &limits, !(flags & 2), &errors);
    }

    if (rc == AGG_INVALID && errors.n == 0) {
        abort();
    }

    if (rc == AGG_OK && errors.n != 0) {
        abort();
    }

    for (i = 0; rc == AGG_OK && i < doc.noperations; i++) {
        execute(&doc, i, &vars);
    }

    mem_left = -1;
    mem_free_all();
    free(source.text.data);
    free(vars.data);

    return 0;
}
