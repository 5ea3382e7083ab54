
/*
 * Executes an operation over bodies that a table gives: for the tests of the
 * executor and its fuzzer.
 */


#ifndef GQL_RUN_H_INCLUDED
#define GQL_RUN_H_INCLUDED


#include "agg_gql_exec.h"


#define GQL_RUN_CALLS  256


typedef struct gql_run_s  gql_run_t;

/* the body of a call; NULL: it fails.  *status is 200 */

typedef const char *(*gql_run_pt)(gql_run_t *run, agg_gql_call_t *call,
    unsigned *status);


struct gql_run_s {
    agg_mem_t          *mem;
    gql_run_pt          body;
    void               *data;
    unsigned            reverse;        /* the last call ends first */
    agg_gql_schema_t    schema;
    u_char             *reaches;
    agg_gql_errors_t    errors;
    agg_gql_doc_t       doc;
    uint32_t            operation;
    agg_str_t          *values;
    agg_gql_plan_t      plan;
    agg_gql_exec_t      e;
    agg_gql_call_t     *calls[GQL_RUN_CALLS];
    unsigned            ncalls;
    unsigned            sent;
    size_t              max;
};


static int
gql_run_index(void *ctx, const agg_str_t *name)
{
    (void) ctx;
    (void) name;

    return 0;
}


static agg_rc_e
gql_run_variable(void *ctx, int index, agg_str_t *value)
{
    (void) ctx;
    (void) index;

    value->data = (u_char *) "v";
    value->len = 1;

    return AGG_OK;
}


static agg_rc_e
gql_run_start(void *ctx, agg_gql_call_t *call)
{
    gql_run_t *run = ctx;

    run->sent++;

    if (run->ncalls == GQL_RUN_CALLS) {
        return AGG_TOO_LARGE;
    }

    run->calls[run->ncalls++] = call;

    return AGG_OK;
}


static agg_rc_e
gql_run_schema(gql_run_t *run, const agg_gql_source_t *source)
{
    agg_rc_e  rc;

    agg_gql_errors_init(&run->errors, run->mem);

    rc = agg_gql_schema_build(&run->schema, run->mem, source, 1,
                              &run->errors);

    return (rc == AGG_OK)
           ? agg_gql_bind(&run->schema, run->mem, gql_run_index, NULL,
                          &run->reaches, &run->errors)
           : rc;
}


static agg_rc_e
gql_run_prepare(gql_run_t *run, const agg_gql_source_t *source,
    const char *json)
{
    agg_rc_e                 rc;
    agg_str_t                variables;
    static agg_gql_limits_t  limits = { 5000, 20, 50, 20, 5000 };

    agg_gql_errors_init(&run->errors, run->mem);

    rc = agg_gql_parse(&run->doc, run->mem, source, 5000, &run->errors);

    if (rc == AGG_OK) {
        rc = agg_gql_validate(&run->schema, &run->doc, &limits, 1,
                              &run->errors);
    }

    if (rc == AGG_OK) {
        rc = agg_gql_operation(&run->doc, NULL, &run->operation,
                               &run->errors);
    }

    if (rc != AGG_OK) {
        return rc;
    }

    run->values = run->mem->alloc(run->mem->ctx,
                                  (run->doc.nvariables + 1)
                                  * sizeof(agg_str_t));
    if (run->values == NULL) {
        return AGG_NOMEM;
    }

    variables.data = (u_char *) json;
    variables.len = (json != NULL) ? strlen(json) : 0;

    rc = agg_gql_coerce_variables(&run->schema, &run->doc, run->operation,
                                  (json != NULL) ? &variables : NULL,
                                  run->values, run->mem, 1 << 20,
                                  &run->errors);

    return (rc == AGG_OK)
           ? agg_gql_plan(&run->plan, run->mem, &run->schema, run->reaches,
                          &run->doc, run->operation, run->values)
           : rc;
}


static agg_rc_e
gql_run_results(gql_run_t *run)
{
    unsigned         status;
    agg_rc_e         rc;
    const char      *body;
    agg_gql_call_t  *call;

    while (run->ncalls != 0) {

        if (run->reverse) {
            call = run->calls[--run->ncalls];

        } else {
            call = run->calls[0];
            memmove(&run->calls[0], &run->calls[1],
                    --run->ncalls * sizeof(agg_gql_call_t *));
        }

        status = 200;
        body = run->body(run, call, &status);
        call->status = status;

        if (body == NULL) {
            call->error = AGG_GQL_CALL_OTHER;
            call->reason = (status != 200) ? "status" : "timeout";

        } else {
            call->value.data = (u_char *) body;
            call->value.len = strlen(body);
        }

        rc = agg_gql_exec_result(&run->e, call);

        if (rc == AGG_OK) {
            rc = agg_gql_exec_run(&run->e);
        }

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
gql_run(gql_run_t *run)
{
    agg_rc_e  rc;

    memset(&run->e, 0, sizeof(agg_gql_exec_t));

    run->ncalls = 0;
    run->sent = 0;

    run->e.plan = &run->plan;
    run->e.variables = run->values;
    run->e.mem = run->mem;
    run->e.env.ctx = run;
    run->e.env.variable = gql_run_variable;
    run->e.env.start = gql_run_start;
    run->e.max_request = 1 << 20;
    run->e.max = run->max;

    rc = agg_gql_exec_start(&run->e);

    if (rc == AGG_OK) {
        rc = gql_run_results(run);
    }

    return (rc == AGG_OK) ? agg_gql_exec_write(&run->e) : rc;
}


#endif /* GQL_RUN_H_INCLUDED */
