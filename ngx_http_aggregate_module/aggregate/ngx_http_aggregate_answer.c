
/* The answer: its status, its headers, and its sending. */

#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_buffer.h"
#include "ngx_http_aggregate_send.h"


static ngx_uint_t ngx_http_aggregate_verdict(ngx_http_aggregate_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_required_status(
    ngx_http_aggregate_part_t *part);
static ngx_int_t ngx_http_aggregate_send_answer(
    ngx_http_aggregate_ctx_t *ctx, ngx_chain_t *out, off_t length);


ngx_int_t
ngx_http_aggregate_answer(ngx_http_aggregate_ctx_t *ctx)
{
    off_t                length;
    ngx_int_t            rc;
    ngx_chain_t         *out;
    agg_merge_t         *merge;
    ngx_http_request_t  *r;

    r = ctx->request;
    merge = NULL;

    if (!ctx->failed
        && (ngx_http_aggregate_shape_parts(ctx) != NGX_OK
            || ngx_http_aggregate_resolve_conflicts(ctx, &merge) != NGX_OK))
    {
        ctx->failed = 1;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->status = ngx_http_aggregate_verdict(ctx);

    if (ctx->status != NGX_HTTP_OK) {
        ctx->failed = 1;
        return ngx_http_aggregate_problem(r, ctx, ctx->status);
    }

    rc = ngx_http_aggregate_compose(ctx, merge, &out, &length);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "aggregate answer of %O bytes is larger than "
                      "\"max_response_size\" of %uz bytes",
                      length, ctx->block->limits.max_response_size);

        ctx->failed = 1;
        return ngx_http_aggregate_problem(r, ctx, NGX_HTTP_BAD_GATEWAY);
    }

    if (rc != NGX_OK) {
        ctx->failed = 1;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_aggregate_answer_headers(ctx) == NGX_OK) {
        rc = ngx_http_aggregate_send_answer(ctx, out, length);

    } else {
        ctx->failed = 1;
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_aggregate_composed(out);

    return rc;
}


static ngx_uint_t
ngx_http_aggregate_verdict(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t                  i, useful, skipped, late;
    ngx_http_aggregate_part_t  *part;

    if (ctx->failed) {
        return ngx_http_aggregate_required_status(ctx->culprit);
    }

    useful = 0;
    skipped = 0;
    late = 0;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->skipped) {
            skipped++;
            continue;
        }

        if (!part->failed || part->defaulted) {
            useful++;
        }

        if ((part->failed || part->degraded) && !ctx->partial) {
            ctx->partial = 1;

            /* reported to the enclosing aggregate, if there is one */

            ngx_http_aggregate_fetches_degraded(ctx->fetches, part->reason);
        }

        if (part->failed && part->reason == NGX_HTTP_AGGREGATE_TIMEOUT) {
            late = 1;
        }
    }

    if (useful || skipped == ctx->nparts) {
        return NGX_HTTP_OK;
    }

    return late ? NGX_HTTP_GATEWAY_TIME_OUT : NGX_HTTP_BAD_GATEWAY;
}


/* statuses about a connection, and nginx's own ones, are not passed on */

static ngx_uint_t
ngx_http_aggregate_required_status(ngx_http_aggregate_part_t *part)
{
    switch (part->reason) {

    case NGX_HTTP_AGGREGATE_TIMEOUT:
        return NGX_HTTP_GATEWAY_TIME_OUT;

    case NGX_HTTP_AGGREGATE_BREAKER_OPEN:
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    case NGX_HTTP_AGGREGATE_BAD_URI:
        return part->client_fault ? NGX_HTTP_BAD_REQUEST
                                  : NGX_HTTP_BAD_GATEWAY;

    case NGX_HTTP_AGGREGATE_STATUS:
        break;

    default:
        return NGX_HTTP_BAD_GATEWAY;
    }

    switch (part->status) {

    case 407:
    case 408:
    case 421:
    case 425:
    case 444:
        return NGX_HTTP_BAD_GATEWAY;

    case 503:
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    default:

        if (part->status >= 400 && part->status < 494) {
            return part->status;
        }

        return NGX_HTTP_BAD_GATEWAY;
    }
}


static ngx_int_t
ngx_http_aggregate_send_answer(ngx_http_aggregate_ctx_t *ctx,
    ngx_chain_t *out, off_t length)
{
    ngx_http_request_t  *r;

    static ngx_str_t  type = ngx_string("application/json");

    r = ctx->request;

    if (!(r->method & NGX_HTTP_AGGREGATE_SAFE)) {

        /* the backends evaluate the conditions of a write */

        r->disable_not_modified = 1;
    }

    ngx_http_aggregate_buffer_set(r, length,
                                  ngx_http_aggregate_fetches_release,
                                  ctx->fetches);

    return ngx_http_aggregate_send(r, NGX_HTTP_OK, &type, out, length);
}
