
/*
 * The headers of the answer, and what they report about the fields that were
 * fetched, by their coordinates, each once, in the order of the operation.
 */

#include "ngx_http_aggregate_graphql.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_merge_headers.h"


static ngx_int_t ngx_http_aggregate_graphql_merge(
    ngx_http_aggregate_merge_headers_t *headers, agg_gql_state_t *state);
static ngx_int_t ngx_http_aggregate_graphql_state_header(
    ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_graphql_field_state_t *states, ngx_uint_t n);
static ngx_int_t ngx_http_aggregate_graphql_failed_fields(
    ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_graphql_field_state_t *states, ngx_uint_t n,
    ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_graphql_server_timing(
    ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_graphql_field_state_t *states, ngx_uint_t n);
static void ngx_http_aggregate_graphql_add_call(
    ngx_http_aggregate_graphql_field_state_t *state, agg_gql_call_t *call);


ngx_int_t
ngx_http_aggregate_graphql_headers(ngx_http_aggregate_graphql_ctx_t *ctx)
{
    ngx_str_t                                  accept, allow;
    ngx_uint_t                                 i, k, n, executed, no_store;
    agg_gql_exec_t                            *e;
    ngx_http_aggregate_merge_headers_t         headers;
    ngx_http_aggregate_graphql_field_state_t  *states;

    ngx_memzero(&headers, sizeof(ngx_http_aggregate_merge_headers_t));

    headers.request = ctx->request;

    executed = 0;
    no_store = (ctx->nerrors != 0);

    for (i = 0; i < ctx->nops; i++) {
        executed |= (ctx->ops[i].outcome <= AGG_GQL_DATA_ERRORS);
        no_store |= ctx->ops[i].mutation;
    }

    if (ngx_http_aggregate_graphql_states(ctx, &states, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&accept, "Accept");

    if (ngx_http_aggregate_merge_vary(&headers, &accept) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->nops; i++) {
        e = &ctx->ops[i].exec;

        for (k = 0; k < e->nstates; k++) {
            if (e->states[k]
                && ngx_http_aggregate_graphql_merge(&headers, e->states[k])
                   != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    for (i = 0; i < n; i++) {

        if (states[i].reason != NGX_HTTP_AGGREGATE_NO_REASON
            || states[i].too_many)
        {
            ctx->partial = 1;
        }
    }

    ctx->outcome = !executed ? "failed" : ctx->partial ? "partial" : "complete";

    if (executed
        && (ngx_http_aggregate_graphql_state_header(ctx, states, n) != NGX_OK
            || ngx_http_aggregate_graphql_server_timing(ctx, states, n)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (ctx->ops && ctx->ops->outcome == AGG_GQL_BAD_METHOD && !ctx->batch) {

        ngx_str_set(&allow, "POST");

        if (ngx_http_aggregate_header_add(
                           &ctx->request->headers_out.headers, "Allow", &allow)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_aggregate_merge_send(&headers, no_store || ctx->partial);
}


/* merges the headers of the responses that are used in the answer, once */

static ngx_int_t
ngx_http_aggregate_graphql_merge(ngx_http_aggregate_merge_headers_t *headers,
    agg_gql_state_t *state)
{
    agg_gql_call_t                      *call;
    ngx_http_aggregate_fetch_t          *fetch;
    ngx_http_aggregate_graphql_fetch_t  *leader;

    for (call = state->calls; call; call = call->next) {

        fetch = call->data;

        if (fetch == NULL || fetch->response == NULL
            || (fetch->reason != NGX_HTTP_AGGREGATE_NO_REASON && !call->null))
        {
            continue;
        }

        leader = (ngx_http_aggregate_graphql_fetch_t *) fetch->leader;

        if (leader->merged) {
            continue;
        }

        leader->merged = 1;

        if (ngx_http_aggregate_merge_response(headers, fetch,
                                              leader->pass_headers)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_state_header(ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_graphql_field_state_t *states, ngx_uint_t n)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    ngx_str_set(&value, "complete");

    if (ctx->partial) {

        if (ctx->fetches) {
            for (i = 0; i < n; i++) {
                if (states[i].reason != NGX_HTTP_AGGREGATE_NO_REASON) {
                    ngx_http_aggregate_fetches_degraded(ctx->fetches,
                                                        states[i].reason);
                    break;
                }
            }
        }

        if (ngx_http_aggregate_exposed
            && !ngx_http_aggregate_exposed(ctx->request))
        {
            ngx_str_set(&value, "partial");

        } else if (ngx_http_aggregate_graphql_failed_fields(ctx, states, n,
                                                            &value)
                   != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_aggregate_header_add(&ctx->request->headers_out.headers,
                                         "X-Aggregate", &value)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_graphql_failed_fields(ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_graphql_field_state_t *states, ngx_uint_t n,
    ngx_str_t *value)
{
    size_t      len;
    u_char     *p;
    ngx_uint_t  i, k;

    len = sizeof("partial; failed=\"\"");

    for (i = 0; i < n; i++) {
        len += states[i].name.len + 2;
    }

    p = ngx_pnalloc(ctx->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    p = ngx_sprintf(p, "partial; failed=\"");

    for (i = 0, k = 0; i < n; i++) {

        if (states[i].reason != NGX_HTTP_AGGREGATE_NO_REASON
            || states[i].too_many)
        {
            p = ngx_sprintf(p, "%s%V", k++ ? ", " : "", &states[i].name);
        }
    }

    *p++ = '"';
    value->len = p - value->data;

    return NGX_OK;
}


/* W3C Server Timing, only with "aggregate_debug" */

static ngx_int_t
ngx_http_aggregate_graphql_server_timing(ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_graphql_field_state_t *states, ngx_uint_t n)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   value;
    ngx_uint_t  i;

    if (!ctx->debug || n == 0) {
        return NGX_OK;
    }

    for (i = 0, len = 0; i < n; i++) {
        len += states[i].name.len
               + sizeof(", ;dur=.0;desc=\"invalid_json\"") + NGX_INT64_LEN;
    }

    p = ngx_pnalloc(ctx->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    for (i = 0; i < n; i++) {

        p = ngx_sprintf(p, "%s%V;dur=%uL.%uL", i ? ", " : "", &states[i].name,
                        states[i].usec / 1000, states[i].usec % 1000 / 100);

        if (states[i].too_many) {
            p = ngx_sprintf(p, ";desc=\"too_many\"");

        } else if (states[i].reason != NGX_HTTP_AGGREGATE_NO_REASON) {
            p = ngx_sprintf(p, ";desc=\"%V\"",
                            &ngx_http_aggregate_reasons[states[i].reason]);
        }
    }

    value.len = p - value.data;

    return ngx_http_aggregate_header_add(&ctx->request->headers_out.headers,
                                         "Server-Timing", &value)
           ? NGX_OK : NGX_ERROR;
}


/* for headers and variables: an entry for each coordinate with calls */

ngx_int_t
ngx_http_aggregate_graphql_states(ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_graphql_field_state_t **states, ngx_uint_t *n)
{
    size_t                                     max;
    ngx_uint_t                                 i, k;
    agg_gql_exec_t                            *e;
    agg_gql_call_t                            *call;
    agg_gql_node_t                            *node;
    agg_gql_state_t                           *state;
    ngx_http_aggregate_graphql_field_state_t  *s;

    *states = NULL;
    *n = 0;

    for (i = 0, max = 0; i < ctx->nops; i++) {
        max += ctx->ops[i].exec.nstates;
    }

    if (max == 0) {
        return NGX_OK;
    }

    s = ngx_pcalloc(ctx->request->pool, max
                    * sizeof(ngx_http_aggregate_graphql_field_state_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

    *states = s;

    for (i = 0; i < ctx->nops; i++) {
        e = &ctx->ops[i].exec;

        if (e->nstates == 0) {
            continue;
        }

        for (node = agg_gql_plan_next(e->plan, NULL);
             node;
             node = agg_gql_plan_next(e->plan, node))
        {
            if (node->fetch >= e->nstates) {
                continue;
            }

            state = e->states[node->fetch];

            if (state == NULL || state->calls == NULL) {
                continue;
            }

            /*
             * a linear search, as operations have few fields of one coordinate
             */

            for (k = 0; k < *n; k++) {
                if (s[k].field == node->field) {
                    break;
                }
            }

            if (k == *n) {
                (*n)++;
                s[k].field = node->field;
                s[k].name.data = node->binding->coordinate.data;
                s[k].name.len = node->binding->coordinate.len;
            }

            for (call = state->calls; call; call = call->next) {
                ngx_http_aggregate_graphql_add_call(&s[k], call);
            }
        }
    }

    return NGX_OK;
}


/* the first failure, and the time from the first start to the last end */

static void
ngx_http_aggregate_graphql_add_call(
    ngx_http_aggregate_graphql_field_state_t *state, agg_gql_call_t *call)
{
    uint64_t                      usec;
    ngx_http_aggregate_fetch_t   *fetch;
    ngx_http_aggregate_reason_e   reason;

    fetch = call->data;
    reason = NGX_HTTP_AGGREGATE_NO_REASON;

    if (call->failed) {

        switch (call->error) {

        case AGG_GQL_CALL_TOO_MANY:
            state->too_many = 1;
            break;

        case AGG_GQL_CALL_BAD_URI:
            reason = NGX_HTTP_AGGREGATE_BAD_URI;
            break;

        case AGG_GQL_CALL_DEPENDENCY:
            reason = NGX_HTTP_AGGREGATE_DEPENDENCY;
            break;

        case AGG_GQL_CALL_TOO_LARGE:
            reason = NGX_HTTP_AGGREGATE_TOO_LARGE;
            break;

        default:
            reason = fetch ? fetch->reason : NGX_HTTP_AGGREGATE_TIMEOUT;
        }

    } else if (fetch) {
        reason = fetch->degraded;
    }

    if (state->reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        state->reason = reason;
    }

    if (fetch == NULL || call->error == AGG_GQL_CALL_TOO_MANY) {
        return;
    }

    if (state->status == 0 || (call->failed && !state->failed)) {
        state->status = fetch->status;
    }

    state->failed |= call->failed;

    if (fetch->tries == 0) {
        return;
    }

    if (!state->ran || (ngx_msec_int_t) (fetch->start - state->start) < 0) {
        state->start = fetch->start;
    }

    if (!state->ran || (ngx_msec_int_t) (fetch->end - state->end) > 0) {
        state->end = fetch->end;
    }

    usec = fetch->end_usec - fetch->start_usec;
    state->usec = ngx_max(state->usec, usec);
    state->ran = 1;
}
