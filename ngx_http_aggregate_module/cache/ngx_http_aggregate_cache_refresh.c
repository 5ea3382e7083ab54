
/* refreshes in the background, by requests that no client waits for */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_detached.h"


static ngx_int_t ngx_http_aggregate_cache_refresh_ctx(ngx_http_request_t *fr,
    ngx_http_aggregate_cache_ctx_t *ctx);


void
ngx_http_aggregate_cache_refresh(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_request_t  *fr;

    if (ngx_exiting
        || ngx_http_aggregate_detached_running()
           >= NGX_HTTP_AGGREGATE_CACHE_REFRESHES
        || agg_cache_pass_test(ctx->zone->sh->flights, ctx->lock,
                               (int64_t) ngx_current_msec))
    {
        return;
    }

    if (ngx_http_aggregate_cache_take(ctx) != NGX_OK || !ctx->leader) {
        return;
    }

    fr = ngx_http_aggregate_detached_create(r, "refreshing a cached response");

    if (fr == NULL) {
        ngx_http_aggregate_cache_land(ctx, 0);
        return;
    }

    if (ngx_http_aggregate_cache_refresh_ctx(fr, ctx) != NGX_OK) {
        ngx_http_aggregate_detached_close(fr);
        ngx_http_aggregate_cache_land(ctx, 0);
        return;
    }

    fr->phase_handler = ngx_http_aggregate_cache_phase;
    fr->write_event_handler = ngx_http_core_run_phases;

    /* the fetch is the refresh's now */

    ctx->leader = 0;

    (void) ngx_atomic_fetch_add(&ctx->zone->sh->refreshes, 1);

    /* after the client has got its answer */

    ngx_http_aggregate_detached_start(fr);
}


static ngx_int_t
ngx_http_aggregate_cache_refresh_ctx(ngx_http_request_t *fr,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t                        path, copy, asked, asked_copy;
    ngx_http_aggregate_cache_ctx_t  *fctx;

    path.data = (u_char *) ctx->path.data;
    path.len = ctx->path.len;

    asked.data = (u_char *) ctx->asked_path.data;
    asked.len = ctx->asked_path.len;

    fctx = ngx_http_aggregate_cache_create(fr, ctx->conf);

    if (fctx == NULL
        || ngx_http_aggregate_detached_copy(fr->pool, &fctx->key,
                                                 &ctx->key)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &fctx->full,
                                                 &ctx->full)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &fctx->data,
                                                 &ctx->data)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &copy, &path)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &asked_copy,
                                                 &asked)
           != NGX_OK
        || agg_cache_entry_read(&fctx->entry, fctx->data.data,
                                fctx->data.len, 0)
           != 0)
    {
        return NGX_ERROR;
    }

    fctx->path.data = copy.data;
    fctx->path.len = copy.len;

    fctx->asked_path.data = asked_copy.data;
    fctx->asked_path.len = asked_copy.len;

    ngx_memcpy(fctx->digest, ctx->digest, AGG_CACHE_DIGEST);
    ngx_memcpy(fctx->variant, ctx->variant, AGG_CACHE_DIGEST);
    ngx_memcpy(fctx->lock, ctx->lock, AGG_CACHE_DIGEST);

    ngx_memcpy(fctx->names, ctx->names, sizeof(ctx->names));

    fctx->ref = ctx->ref;
    fctx->credentials = ctx->credentials;
    fctx->slot = ctx->slot;
    fctx->token = ctx->token;
    fctx->leader = 1;
    fctx->found = 1;
    fctx->refresh = 1;
    fctx->state = ngx_http_aggregate_cache_claim;

    ngx_http_aggregate_cache_remote_seen(fctx);

    return NGX_OK;
}
