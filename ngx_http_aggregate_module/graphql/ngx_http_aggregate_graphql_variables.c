
/* variables, for logs and for templates */

#include "ngx_http_aggregate_graphql.h"
#include "ngx_http_gw_variable.h"


static ngx_int_t ngx_http_aggregate_graphql_items(ngx_http_request_t *r,
    ngx_http_aggregate_item_t **items, ngx_uint_t *n, const char **status);
static ngx_int_t ngx_http_aggregate_graphql_responses(ngx_http_request_t *r,
    ngx_array_t *responses);
static ngx_int_t ngx_http_aggregate_graphql_variable_get(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_aggregate_graphql_variable_hash(
    ngx_http_request_t *r, ngx_http_aggregate_graphql_op_t *op,
    ngx_str_t *value);


enum {
    NGX_HTTP_AGGREGATE_GRAPHQL_OPERATION = 0,
    NGX_HTTP_AGGREGATE_GRAPHQL_TYPE,
    NGX_HTTP_AGGREGATE_GRAPHQL_DIGEST,
    NGX_HTTP_AGGREGATE_GRAPHQL_ERRORS,
    NGX_HTTP_AGGREGATE_GRAPHQL_PLAN
};


static ngx_http_aggregate_reporter_t  ngx_http_aggregate_graphql_reporter = {
    ngx_http_aggregate_graphql_items,
    ngx_http_aggregate_graphql_responses
};


static ngx_http_variable_t  ngx_http_aggregate_graphql_vars[] = {

    { ngx_string("graphql_operation"), NULL,
      ngx_http_aggregate_graphql_variable_get,
      NGX_HTTP_AGGREGATE_GRAPHQL_OPERATION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graphql_type"), NULL,
      ngx_http_aggregate_graphql_variable_get,
      NGX_HTTP_AGGREGATE_GRAPHQL_TYPE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graphql_hash"), NULL,
      ngx_http_aggregate_graphql_variable_get,
      NGX_HTTP_AGGREGATE_GRAPHQL_DIGEST, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graphql_errors"), NULL,
      ngx_http_aggregate_graphql_variable_get,
      NGX_HTTP_AGGREGATE_GRAPHQL_ERRORS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graphql_plan"), NULL,
      ngx_http_aggregate_graphql_variable_get,
      NGX_HTTP_AGGREGATE_GRAPHQL_PLAN, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_aggregate_graphql_add_variables(ngx_conf_t *cf)
{
    if (ngx_http_gw_add_variables(cf, ngx_http_aggregate_graphql_vars)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_aggregate_reporter = &ngx_http_aggregate_graphql_reporter;

    return NGX_OK;
}


/* $aggregate_* variables, by coordinates */

static ngx_int_t
ngx_http_aggregate_graphql_items(ngx_http_request_t *r,
    ngx_http_aggregate_item_t **items, ngx_uint_t *n, const char **status)
{
    ngx_uint_t                                 i;
    ngx_http_aggregate_item_t                 *item;
    ngx_http_aggregate_graphql_ctx_t          *ctx;
    ngx_http_aggregate_graphql_field_state_t  *states, *s;

    ctx = ngx_http_aggregate_graphql_get_ctx(r);

    if (ctx == NULL) {
        return NGX_DECLINED;
    }

    *status = ctx->outcome ? ctx->outcome : "failed";

    if (ngx_http_aggregate_graphql_states(ctx, &states, n) != NGX_OK) {
        return NGX_ERROR;
    }

    item = ngx_pcalloc(r->pool, (*n + 1) * sizeof(ngx_http_aggregate_item_t));
    if (item == NULL) {
        return NGX_ERROR;
    }

    *items = item;

    for (i = 0; i < *n; i++) {
        s = &states[i];

        item[i].name = s->name;
        item[i].status = s->status;
        item[i].time = s->end - s->start;
        item[i].ran = s->ran;
        item[i].reason = s->too_many ? "too_many"
                 : (char *) ngx_http_aggregate_reasons[s->reason].data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_responses(ngx_http_request_t *r,
    ngx_array_t *responses)
{
    ngx_uint_t                          i, k;
    agg_gql_exec_t                     *e;
    agg_gql_call_t                     *call;
    ngx_http_request_t                **response;
    ngx_http_aggregate_fetch_t         *fetch;
    ngx_http_aggregate_graphql_ctx_t   *ctx;

    ctx = ngx_http_aggregate_graphql_get_ctx(r);

    if (ctx == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0; i < ctx->nops; i++) {
        e = &ctx->ops[i].exec;

        for (k = 0; k < e->nstates; k++) {

            for (call = e->states[k] ? e->states[k]->calls : NULL;
                 call;
                 call = call->next)
            {
                fetch = call->data;

                if (call->failed || fetch == NULL || fetch->response == NULL
                    || fetch->joined)
                {
                    continue;
                }

                response = ngx_array_push(responses);
                if (response == NULL) {
                    return NGX_ERROR;
                }

                *response = fetch->response;
            }
        }
    }

    return NGX_OK;
}


/* the first operation of a batch is used; a subrequest uses its parent's */

static ngx_int_t
ngx_http_aggregate_graphql_variable_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                            *p;
    ngx_str_t                          value;
    ngx_http_request_t                *pr;
    ngx_http_aggregate_graphql_op_t   *op;
    ngx_http_aggregate_graphql_ctx_t  *ctx;

    ctx = NULL;

    for (pr = r; pr; pr = pr->parent) {
        ctx = ngx_http_aggregate_graphql_get_ctx(pr);

        if (ctx) {
            break;
        }
    }

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    op = ctx->ops;

    ngx_str_set(&value, "-");

    if (data == NGX_HTTP_AGGREGATE_GRAPHQL_ERRORS) {

        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        value.data = p;
        value.len = ngx_sprintf(p, "%ui", ctx->nerrors) - p;

    } else if (op == NULL) {

        /* only the refusal is known */

    } else if (data == NGX_HTTP_AGGREGATE_GRAPHQL_OPERATION) {

        if (op->known && op->name.len) {
            value = op->name;
        }

    } else if (data == NGX_HTTP_AGGREGATE_GRAPHQL_TYPE) {

        if (op->known && op->mutation) {
            ngx_str_set(&value, "mutation");

        } else if (op->known) {
            ngx_str_set(&value, "query");
        }

    } else if (data == NGX_HTTP_AGGREGATE_GRAPHQL_PLAN) {

        if (op->hit) {
            ngx_str_set(&value, "hit");

        } else if (op->known) {
            ngx_str_set(&value, "miss");
        }

    } else if (ngx_http_aggregate_graphql_variable_hash(r, op, &value)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    v->data = value.data;
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_variable_hash(ngx_http_request_t *r,
    ngx_http_aggregate_graphql_op_t *op, ngx_str_t *value)
{
    u_char  *p;

    if (op->text.data == NULL) {
        return NGX_OK;
    }

    if (!op->hashed) {

        if (ngx_http_aggregate_graphql_sha256(op->hash, &op->text, NULL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        op->hashed = 1;
    }

    p = ngx_pnalloc(r->pool, 2 * NGX_HTTP_AGGREGATE_GRAPHQL_HASH);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = ngx_hex_dump(p, op->hash, NGX_HTTP_AGGREGATE_GRAPHQL_HASH)
                 - p;

    return NGX_OK;
}
