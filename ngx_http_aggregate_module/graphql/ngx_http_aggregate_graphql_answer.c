
/* The answer to a request: status, header and body. */

#include "ngx_http_aggregate_graphql.h"
#include "ngx_http_aggregate_buffer.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_send.h"


static ngx_int_t ngx_http_aggregate_graphql_compose(
    ngx_http_aggregate_graphql_ctx_t *ctx, ngx_chain_t ***last,
    ngx_http_aggregate_graphql_op_t *op, off_t *length);
static ngx_int_t ngx_http_aggregate_graphql_add(ngx_http_request_t *r,
    ngx_chain_t ***last, u_char *p, size_t len, off_t *length);
static void ngx_http_aggregate_graphql_release(void *data);
static ngx_int_t ngx_http_aggregate_graphql_send(ngx_http_request_t *r,
    agg_gql_media_e media, ngx_uint_t status, ngx_chain_t *out,
    off_t length);


#define ngx_http_aggregate_graphql_text(r, last, s, length)                   \
    ngx_http_aggregate_graphql_add(r, last, (u_char *) s, sizeof(s) - 1,      \
                                   length)


ngx_int_t
ngx_http_aggregate_graphql_answer(ngx_http_aggregate_graphql_ctx_t *ctx)
{
    off_t                             length;
    ngx_int_t                         rc;
    ngx_uint_t                        i, status;
    ngx_chain_t                      *out, **last;
    ngx_http_request_t               *r;
    ngx_http_aggregate_graphql_op_t  *op;

    r = ctx->request;

    out = NULL;
    last = &out;
    length = 0;
    rc = NGX_OK;

    for (i = 0; i < ctx->nops; i++) {
        ctx->nerrors += ctx->ops[i].nerrors;
    }

    if (ctx->batch) {
        rc = ngx_http_aggregate_graphql_text(r, &last, "[", &length);
    }

    for (i = 0; rc == NGX_OK && i < ctx->nops; i++) {
        op = &ctx->ops[i];

        if (i) {
            rc = ngx_http_aggregate_graphql_text(r, &last, ",", &length);
        }

        if (rc == NGX_OK) {
            rc = ngx_http_aggregate_graphql_compose(ctx, &last, op, &length);
        }
    }

    if (ctx->batch && rc == NGX_OK) {
        rc = ngx_http_aggregate_graphql_text(r, &last, "]", &length);
    }

    if (rc != NGX_OK
        || ngx_http_aggregate_graphql_headers(ctx) != NGX_OK)
    {
        if (ctx->fetches) {
            ngx_http_aggregate_fetches_close(ctx->fetches);
        }

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->fetches) {
        ngx_http_aggregate_fetches_close(ctx->fetches);
        ngx_http_aggregate_fetches_outcome(ctx->fetches, ctx->outcome);
    }

    status = ctx->batch ? NGX_HTTP_OK
                        : agg_gql_status(ctx->ops->outcome, ctx->media,
                                         (int) ctx->conf->draft);

    ngx_http_aggregate_buffer_set(r, length,
                                  ngx_http_aggregate_graphql_release, ctx);

    return ngx_http_aggregate_graphql_send(r, ctx->media, status, out,
                                           length);
}


static void
ngx_http_aggregate_graphql_release(void *data)
{
    ngx_http_aggregate_graphql_ctx_t *ctx = data;

    ngx_uint_t  i;

    for (i = 0; i < ctx->nops; i++) {
        (void) ngx_pfree(ctx->request->pool, ctx->ops[i].exec.out.start);
    }

    if (ctx->fetches) {
        ngx_http_aggregate_fetches_release(ctx->fetches);
    }
}


static ngx_int_t
ngx_http_aggregate_graphql_compose(ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_chain_t ***last, ngx_http_aggregate_graphql_op_t *op, off_t *length)
{
    agg_buf_t           *errors, *data;
    ngx_http_request_t  *r;

    r = ctx->request;

    data = (op->outcome <= AGG_GQL_DATA_ERRORS) ? &op->exec.out : NULL;
    errors = data ? &op->exec.errors : &op->errors;

    if (op->nerrors) {

        if (ngx_http_aggregate_graphql_text(r, last, "{\"errors\":[", length)
            != NGX_OK
            || ngx_http_aggregate_graphql_add(r, last, errors->start,
                                              agg_buf_used(errors), length)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (data == NULL) {
            return ngx_http_aggregate_graphql_text(r, last, "]}", length);
        }

        if (ngx_http_aggregate_graphql_text(r, last, "],\"data\":", length)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (ngx_http_aggregate_graphql_text(r, last, "{\"data\":", length)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (data == NULL) {
        return NGX_ERROR;
    }

    /* the buffer usually has room for the end */

    if (agg_buf_append(data, "}", 1) == AGG_OK) {
        return ngx_http_aggregate_graphql_add(r, last, data->start,
                                              agg_buf_used(data), length);
    }

    if (ngx_http_aggregate_graphql_add(r, last, data->start,
                                       agg_buf_used(data), length)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_graphql_text(r, last, "}", length);
}


static ngx_int_t
ngx_http_aggregate_graphql_add(ngx_http_request_t *r, ngx_chain_t ***last,
    u_char *p, size_t len, off_t *length)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (len == 0) {
        return NGX_OK;
    }

    cl = ngx_alloc_chain_link(r->pool);
    b = ngx_calloc_buf(r->pool);

    if (cl == NULL || b == NULL) {
        return NGX_ERROR;
    }

    b->pos = p;
    b->last = p + len;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    **last = cl;
    *last = &cl->next;

    *length += len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_send(ngx_http_request_t *r, agg_gql_media_e media,
    ngx_uint_t status, ngx_chain_t *out, off_t length)
{
    static ngx_str_t  json = ngx_string("application/json; charset=utf-8");
    static ngx_str_t  response_json =
             ngx_string("application/graphql-response+json; charset=utf-8");

    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_aggregate_send(r, status,
                                   media == AGG_GQL_RESPONSE_JSON
                                   ? &response_json : &json,
                                   out, length);
}


/* an error before there is an operation or a context */

ngx_int_t
ngx_http_aggregate_graphql_error(ngx_http_request_t *r,
    agg_gql_outcome_e outcome, const char *message)
{
    int               html;
    size_t            len;
    u_char           *p, *last;
    off_t             length;
    ngx_str_t         no_store, accept;
    ngx_chain_t      *out, **end;
    agg_gql_media_e   media;

    if (ngx_http_aggregate_graphql_negotiate(r, &media, &html) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = sizeof("{\"errors\":[{\"message\":\"\",\"extensions\":{\"code\":"
                 "\"\"}}]}")
          + ngx_strlen(message) + ngx_strlen(agg_gql_outcome_code(outcome));

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ngx_sprintf(p, "{\"errors\":[{\"message\":\"%s\",\"extensions\":"
                       "{\"code\":\"%s\"}}]}", message,
                       agg_gql_outcome_code(outcome));

    out = NULL;
    end = &out;
    length = 0;

    ngx_str_set(&no_store, "no-store");
    ngx_str_set(&accept, "Accept");

    if (ngx_http_aggregate_graphql_add(r, &end, p, last - p, &length)
        != NGX_OK
        || ngx_http_aggregate_header_add(&r->headers_out.headers,
                                         "Cache-Control", &no_store)
           == NULL
        || ngx_http_aggregate_header_add(&r->headers_out.headers, "Vary",
                                         &accept)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_aggregate_graphql_send(r, media,
                                           agg_gql_status(outcome, media, 0),
                                           out, length);
}
