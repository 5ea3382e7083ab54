
/*
 * Runs before all filters of nginx, and observes what they do to a response
 * before the filter that shapes it.
 *
 * Some modules take over the header of a subrequest, as lua's
 * ngx.location.capture does.  Their filters run before ours and would get the
 * unshaped body, so such a subrequest fails.  A filter that fails, such as
 * gunzip on a body that is not gzip, would close the client's connection
 * without an answer: instead, the response becomes an error like any other that
 * cannot be shaped, since nothing of it has been sent.
 */

#include "ngx_http_aggregate_shape.h"


/* bits in r->buffered of nginx's filters that run before ours */

#define NGX_HTTP_AGGREGATE_APPLY_BEFORE                                       \
    (NGX_HTTP_SSI_BUFFERED|NGX_HTTP_SUB_BUFFERED|NGX_HTTP_COPY_BUFFERED)


static ngx_int_t ngx_http_aggregate_apply_guard_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_apply_guard_body(
    ngx_http_request_t *r, ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_apply_guard_empty(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_apply_guard_drain(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_chain_t *in);


static ngx_http_output_body_filter_pt  ngx_http_next_body_filter;


void
ngx_http_aggregate_apply_bypass(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_int_t  status;

    status = ngx_http_aggregate_apply_note(r, ctx,
                                           NGX_HTTP_AGGREGATE_APPLY_BYPASS);
    ctx->bypassed = 1;

    ngx_http_clean_header(r);

    r->headers_out.status = status;
    r->headers_out.content_length_n = 0;
}


static ngx_int_t
ngx_http_aggregate_apply_guard_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_apply_filter_module);

    if (ctx == NULL || (!ctx->holding && !ctx->bypassed && !ctx->broken)) {
        return ngx_http_next_body_filter(r, in);
    }

    return ngx_http_aggregate_apply_guard_body(r, ctx, in);
}


static ngx_int_t
ngx_http_aggregate_apply_guard_body(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_int_t                         rc;
    ngx_uint_t                        last;
    ngx_http_aggregate_apply_error_e  error;

    if (ctx->bypassed) {
        return ngx_http_aggregate_apply_guard_empty(r, in);
    }

    if (ctx->broken) {
        return ngx_http_aggregate_apply_guard_drain(r, ctx, in);
    }

    last = ngx_http_aggregate_held_ends(r, in);

    rc = ngx_http_next_body_filter(r, in);

    if (!ctx->holding) {
        return rc;
    }

    if (rc == NGX_ERROR) {
        error = NGX_HTTP_AGGREGATE_APPLY_FILTER;

    } else if (last && !ctx->ended && !r->aio && r->postponed == NULL
               && !(r->buffered & NGX_HTTP_AGGREGATE_APPLY_BEFORE))
    {
        error = NGX_HTTP_AGGREGATE_APPLY_END;

    } else {
        return rc;
    }

    ctx->broken = 1;

    if (ngx_http_aggregate_apply_fail(r, ctx, error) == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* the buffers that these filters hold are not sent */

    r->buffered &= ~NGX_HTTP_AGGREGATE_APPLY_BEFORE;

    ctx->ended = last;

    return ngx_http_aggregate_apply_guard_drain(r, ctx, in);
}


static ngx_int_t
ngx_http_aggregate_apply_guard_empty(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_uint_t    last;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    last = ngx_http_aggregate_held_ends(r, in);

    (void) ngx_http_aggregate_held_discard(in);

    if (!last) {
        return NGX_OK;
    }

    b = ngx_http_aggregate_held_buf(r, NULL, NULL);
    if (b == NULL) {
        return NGX_ERROR;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


static ngx_int_t
ngx_http_aggregate_apply_guard_drain(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_uint_t  last;

    last = ngx_http_aggregate_held_ends(r, in)
           | ngx_http_aggregate_held_truncated(r, in);

    ctx->received += ngx_http_aggregate_held_discard(in);

    ngx_http_aggregate_apply_stop(r, ctx);

    if (last) {
        ctx->ended = 1;
    }

    return ngx_http_aggregate_apply_end(r, ctx);
}


void
ngx_http_aggregate_apply_guard_init(void)
{
    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_apply_guard_filter;
}
