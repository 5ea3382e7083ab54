
/*
 * The end of a subrequest, as its owner is told.
 *
 * Modules that create subrequests take the first end of one for the last, and
 * the code of a failure for its response.  So our handler replaces theirs while
 * the backend is called and an entry is available.  Theirs is restored when the
 * response header has arrived, or before the response is fetched again.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_owner.h"


static ngx_int_t ngx_http_aggregate_cache_owner_handler(ngx_http_request_t *r,
    void *data, ngx_int_t rc);
static ngx_uint_t ngx_http_aggregate_cache_is_replaced(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_int_t rc);


/* the entry may be served instead of the response to a subrequest */

void
ngx_http_aggregate_cache_owner_defer(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ngx_http_aggregate_owner_waits(r)) {
        return;
    }

    ctx->refetch.owner = r->post_subrequest;

    ctx->refetch.post_subrequest.handler =
                                        ngx_http_aggregate_cache_owner_handler;
    ctx->refetch.post_subrequest.data = ctx;

    r->post_subrequest = &ctx->refetch.post_subrequest;
}


void
ngx_http_aggregate_cache_owner_restore(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->refetch.owner) {
        r->post_subrequest = ctx->refetch.owner;
        ctx->refetch.owner = NULL;
    }
}


static ngx_int_t
ngx_http_aggregate_cache_owner_handler(ngx_http_request_t *r, void *data,
    ngx_int_t rc)
{
    ngx_http_aggregate_cache_ctx_t *ctx = data;

    if (ctx->refetch.pending
        || ngx_http_aggregate_cache_is_replaced(r, ctx, rc))
    {
        return rc;
    }

    ngx_http_aggregate_cache_owner_restore(r, ctx);

    return r->post_subrequest->handler(r, r->post_subrequest->data, rc);
}


/*
 * whether the stored entry takes the place of the response that nginx
 * makes of a code, whose header passes the filter after this
 */

static ngx_uint_t
ngx_http_aggregate_cache_is_replaced(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_int_t rc)
{
    if (!ctx->fill.active || r->header_sent) {
        return 0;
    }

    if (rc == NGX_HTTP_NOT_MODIFIED) {
        return ctx->fill.conditional;
    }

    if (rc < NGX_HTTP_BAD_REQUEST
        || rc == NGX_HTTP_REQUEST_TIME_OUT
        || rc == NGX_HTTP_CLOSE
        || rc == NGX_HTTP_CLIENT_CLOSED_REQUEST)
    {
        return 0;
    }

    return ngx_http_aggregate_cache_may_serve_stale(ctx)
           && (ngx_http_aggregate_cache_upstream_failed(r, ctx, rc)
               || ngx_http_aggregate_breaker_rejected(r));
}
