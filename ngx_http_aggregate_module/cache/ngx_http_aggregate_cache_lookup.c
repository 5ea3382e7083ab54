
/*
 * The lookup of an entry in shared memory: that of the resource, and where it
 * says that the response varies, that of the variant.
 */


#include "ngx_http_aggregate_cache.h"


static ngx_int_t ngx_http_aggregate_cache_lookup_variant(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_entry_load(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest, ngx_str_t *key);


/* NGX_OK: there is an entry to be served; NGX_DECLINED: none, or stale */

ngx_int_t
ngx_http_aggregate_cache_lookup(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    int64_t                 age;
    ngx_int_t               rc;
    agg_cache_purged_e      purged;
    agg_cache_freshness_t  *fresh;

    ctx->lookup.found = 0;

    rc = ngx_http_aggregate_cache_lookup_variant(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    fresh = &ctx->lookup.entry.freshness;

    if (ctx->credentials && !(fresh->flags & AGG_CACHE_SHARED)) {
        ctx->reason = AGG_CACHE_NO_CREDENTIALS;
        return NGX_DECLINED;
    }

    purged = ngx_http_aggregate_cache_purge_check(ctx);

    if (purged == AGG_CACHE_PURGED_HARD) {
        ngx_http_aggregate_cache_lookup_delete(ctx);
        return NGX_DECLINED;
    }

    ctx->lookup.found = 1;

    if (ctx->conf->purge_lost_stale && ctx->conf->redis
        && (ngx_msec_int_t) (ngx_current_msec - ctx->zone->sh->stream_seen)
           > (ngx_msec_int_t) ctx->conf->purge_lost_after)
    {
        /* the node may have missed purges */

        purged = AGG_CACHE_PURGED_SOFT;
    }

    age = agg_cache_age(fresh, ngx_time());

    ctx->reason = AGG_CACHE_STORE;

    if (age < fresh->fresh && purged == AGG_CACHE_PURGED_NOT) {
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_HIT;
        return NGX_OK;
    }

    if (fresh->updating && age < fresh->fresh + fresh->updating) {
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_STALE;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* reads the entry of the resource, or that of the variant */

static ngx_int_t
ngx_http_aggregate_cache_lookup_variant(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    ngx_http_aggregate_cache_set_lock_digest(ctx, ctx->key.digest);

    ctx->lookup.vary_miss = 0;

    rc = ngx_http_aggregate_cache_entry_load(r, ctx, ctx->key.digest,
                                             &ctx->key.resource);

    if (rc == NGX_OK && ctx->lookup.entry.kind == AGG_CACHE_ENTRY_VARY) {

        rc = ngx_http_aggregate_cache_select_variant(r, ctx);

        if (rc == NGX_OK) {
            ngx_http_aggregate_cache_set_lock_digest(ctx,
                                                     ctx->key.variant_digest);

            rc = ngx_http_aggregate_cache_entry_load(r, ctx,
                                                     ctx->key.variant_digest,
                                                     &ctx->key.variant);

            if (rc == NGX_OK
                && ctx->lookup.entry.kind != AGG_CACHE_ENTRY_RESPONSE)
            {
                rc = NGX_DECLINED;
            }

            ctx->lookup.vary_miss = (rc == NGX_DECLINED);
        }
    }

    return rc;
}


static ngx_int_t
ngx_http_aggregate_cache_entry_load(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest, ngx_str_t *key)
{
    ngx_int_t  rc;

    rc = ngx_http_aggregate_cache_zone_read(ctx->zone, digest, r->pool,
                                            &ctx->lookup.ref,
                                            &ctx->lookup.data);
    if (rc != NGX_OK) {
        return rc;
    }

    if (agg_cache_entry_read(&ctx->lookup.entry, ctx->lookup.data.data,
                             ctx->lookup.data.len, 0)
        != 0)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "broken entry in zone \"%V\"", &ctx->zone->name);
        return NGX_DECLINED;
    }

    agg_cache_entry_steady(&ctx->lookup.entry, ngx_time(),
                           ngx_http_aggregate_cache_steady_time());

    /* two keys may have one digest */

    if (ctx->lookup.entry.key.len != key->len
        || ngx_memcmp(ctx->lookup.entry.key.data, key->data, key->len) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_cache_select_variant(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t        n;
    const u_char     *p;
    agg_cache_str_t   names[AGG_CACHE_VARY_MAX], value;

    n = 0;
    p = ctx->lookup.entry.lines.data;

    while (n < AGG_CACHE_VARY_MAX
           && agg_cache_entry_line(&ctx->lookup.entry, &p, &names[n], &value)
              == 1)
    {
        n++;
    }

    if (n == 0) {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_cache_make_variant_key(r, ctx, names, n);
}


void
ngx_http_aggregate_cache_lookup_delete(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_zone_lock(ctx->zone);
    agg_cache_store_delete(ctx->zone->sh->store, &ctx->lookup.ref);
    ngx_http_aggregate_cache_zone_unlock(ctx->zone);
}


/* may the stale entry be served instead of an error */

ngx_uint_t
ngx_http_aggregate_cache_may_serve_stale(ngx_http_aggregate_cache_ctx_t *ctx)
{
    int64_t                 age;
    agg_cache_freshness_t  *fresh;

    if (!ctx->lookup.found) {
        return 0;
    }

    fresh = &ctx->lookup.entry.freshness;
    age = agg_cache_age(fresh, ngx_time());

    return fresh->error && age < fresh->fresh + fresh->error;
}
