
/* Background refreshes: a detached request fetches the response. */


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
        || agg_cache_hit_for_miss_test(ctx->zone->sh->locks, ctx->lock.digest,
                                       (int64_t) ngx_current_msec))
    {
        return;
    }

    if (ngx_http_aggregate_cache_lock_acquire(ctx) != NGX_OK
        || !ctx->lock.owner)
    {
        return;
    }

    fr = ngx_http_aggregate_detached_create(r, "refreshing a cached response");

    if (fr == NULL) {
        ngx_http_aggregate_cache_lock_release(ctx, 0);
        return;
    }

    if (ngx_http_aggregate_cache_refresh_ctx(fr, ctx) != NGX_OK) {
        ngx_http_aggregate_detached_close(fr);
        ngx_http_aggregate_cache_lock_release(ctx, 0);
        return;
    }

    fr->phase_handler = ngx_http_aggregate_cache_phase;
    fr->write_event_handler = ngx_http_core_run_phases;

    /* the refresh owns the lock from here on */

    ctx->lock.owner = 0;

    (void) ngx_atomic_fetch_add(&ctx->zone->sh->refreshes, 1);

    /* the refresh runs after the client has got its response */

    ngx_http_aggregate_detached_start(fr);
}


static ngx_int_t
ngx_http_aggregate_cache_refresh_ctx(ngx_http_request_t *fr,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t                        path, copy, asked, asked_copy;
    ngx_http_aggregate_cache_ctx_t  *fctx;

    path.data = (u_char *) ctx->key.path.data;
    path.len = ctx->key.path.len;

    asked.data = (u_char *) ctx->key.original_path.data;
    asked.len = ctx->key.original_path.len;

    fctx = ngx_http_aggregate_cache_create_ctx(fr, ctx->conf, ctx->cleanup);

    if (fctx == NULL
        || ngx_http_aggregate_detached_copy(fr->pool, &fctx->key.resource,
                                                 &ctx->key.resource)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &fctx->key.variant,
                                                 &ctx->key.variant)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &fctx->lookup.data,
                                                 &ctx->lookup.data)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &copy, &path)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &asked_copy,
                                                 &asked)
           != NGX_OK
        || agg_cache_entry_read(&fctx->lookup.entry, fctx->lookup.data.data,
                                fctx->lookup.data.len, 0)
           != 0)
    {
        return NGX_ERROR;
    }

    fctx->key.path.data = copy.data;
    fctx->key.path.len = copy.len;

    fctx->key.original_path.data = asked_copy.data;
    fctx->key.original_path.len = asked_copy.len;

    ngx_memcpy(fctx->key.digest, ctx->key.digest, AGG_CACHE_DIGEST);
    ngx_memcpy(fctx->key.variant_digest, ctx->key.variant_digest,
               AGG_CACHE_DIGEST);
    ngx_memcpy(fctx->lock.digest, ctx->lock.digest, AGG_CACHE_DIGEST);

    ngx_memcpy(fctx->key.purge_hash, ctx->key.purge_hash,
               sizeof(ctx->key.purge_hash));

    fctx->lookup.ref = ctx->lookup.ref;
    fctx->credentials = ctx->credentials;
    fctx->identified = ctx->identified;
    fctx->lock.slot = ctx->lock.slot;
    fctx->lock.token = ctx->lock.token;
    fctx->lock.owner = 1;
    fctx->lookup.found = 1;
    fctx->refresh = 1;

    ngx_http_aggregate_cache_l2_set_seen(fctx);

    return NGX_OK;
}
