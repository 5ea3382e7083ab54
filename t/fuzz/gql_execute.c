
/*
 * Operations over any bodies: the answer is valid JSON, its errors too, every
 * call that was started ends, and the writer's short way writes what the
 * general one does.
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

#include <stdlib.h>

#include "../unit/gql_run.h"
#include "../unit/gql_schema.h"


#define hold(x)  if (!(x)) { abort(); }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* the memory of one input; the schema is made once, and stays */

static void          *blocks[1 << 16];
static unsigned       nblocks;
static unsigned       kept;


static void *
fuzz_alloc(void *ctx, size_t size)
{
    (void) ctx;

    if (nblocks == sizeof(blocks) / sizeof(blocks[0])) {
        return NULL;
    }

    blocks[nblocks] = malloc(size ? size : 1);

    return blocks[nblocks++];
}


static void *
fuzz_grow(void *ctx, void *p, size_t used, size_t size)
{
    void  *block;

    if (size == 0) {
        return NULL;
    }

    block = fuzz_alloc(ctx, size);

    if (block != NULL && used != 0) {
        memcpy(block, p, used);
    }

    return block;
}


typedef struct {
    const uint8_t  *p;
    const uint8_t  *end;
} fuzz_input_t;


/* bodies end with a line; what is no JSON is a failure */

static const char *
fuzz_body(gql_run_t *run, agg_gql_call_t *call, unsigned *status)
{
    char           *body;
    size_t          len;
    fuzz_input_t   *in;
    const uint8_t  *p;

    (void) call;

    in = run->data;

    for (p = in->p; p < in->end && *p != '\n'; p++) { /* void */ }

    len = (size_t) (p - in->p);
    body = fuzz_alloc(NULL, len + 1);

    if (body != NULL) {
        memcpy(body, in->p, len);
        body[len] = '\0';
    }

    in->p = (p < in->end) ? p + 1 : p;

    if (body == NULL || memchr(body, '\0', len) != NULL
        || agg_json_validate((u_char *) body, len, NULL) != AGG_OK)
    {
        *status = (len & 1) ? 404 : 200;
        return NULL;
    }

    return body;
}


/* the same again, with nothing of it streamed */

static void
fuzz_general(gql_run_t *run, const uint8_t *bodies)
{
    agg_buf_t        out, errors;
    agg_gql_set_t   *set;
    agg_gql_node_t  *node;

    out = run->e.out;
    errors = run->e.errors;

    run->plan.root->failed = UINT32_MAX / 2;

    for (node = agg_gql_plan_next(&run->plan, NULL);
         node != NULL;
         node = agg_gql_plan_next(&run->plan, node))
    {
        for (set = node->sets; set != NULL; set = set->next) {
            set->failed = UINT32_MAX / 2;
        }
    }

    ((fuzz_input_t *) run->data)->p = bodies;

    hold(gql_run(run) == AGG_OK);

    hold(agg_buf_used(&out) == agg_buf_used(&run->e.out));
    hold(memcmp(out.start, run->e.out.start, agg_buf_used(&out)) == 0);
    hold(agg_buf_used(&errors) == agg_buf_used(&run->e.errors));
    hold(agg_buf_used(&errors) == 0
         || memcmp(errors.start, run->e.errors.start, agg_buf_used(&errors))
            == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    agg_rc_e                 rc;
    agg_buf_t                list;
    fuzz_input_t             in;

    static gql_run_t         run;
    static agg_mem_t         mem = { fuzz_alloc, fuzz_grow, NULL };
    static agg_gql_source_t  source, text;

    if (run.mem == NULL) {
        run.mem = &mem;
        run.body = fuzz_body;
        run.max = 1 << 16;

        source.text.data = (u_char *) gql_schema;
        source.text.len = sizeof(gql_schema) - 1;

        hold(gql_run_schema(&run, &source) == AGG_OK);
        kept = nblocks;
    }

    if (size == 0) {
        return 0;
    }

    text.text.data = (u_char *) gql_operations[data[0] % GQL_OPERATIONS];
    text.text.len = strlen((char *) text.text.data);

    in.p = data + 1;
    in.end = data + size;

    run.data = &in;
    run.reverse = (data[0] & 0x80) != 0;

    hold(gql_run_prepare(&run, &text, NULL) == AGG_OK);

    rc = gql_run(&run);

    if (rc == AGG_OK) {
        hold(agg_gql_exec_done(&run.e));
        hold(agg_json_validate(run.e.out.start, agg_buf_used(&run.e.out),
                               NULL) == AGG_OK);

        agg_buf_init(&list, &mem, (size_t) -1 / 4);
        hold(agg_buf_append(&list, "[", 1) == AGG_OK);
        hold(agg_buf_append(&list, run.e.errors.start,
                            agg_buf_used(&run.e.errors)) == AGG_OK);
        hold(agg_buf_append(&list, "]", 1) == AGG_OK);
        hold(agg_json_validate(list.start, agg_buf_used(&list), NULL)
             == AGG_OK);

        fuzz_general(&run, data + 1);
    }

    while (nblocks > kept) {
        free(blocks[--nblocks]);
    }

    return 0;
}
