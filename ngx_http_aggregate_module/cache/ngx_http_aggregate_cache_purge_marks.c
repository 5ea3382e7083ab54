
/*
 * Purge marks: the hashes by which a response can be purged, and the check
 * whether one of them is marked.
 *
 * A key may leave out a part of the URI, such as the arguments, so that one
 * entry is the response to several URIs, not all of which are known.  The
 * entry has the hashes of the URI for which it was fetched, and the request
 * has those of its own URI; both are checked.
 */


#include "ngx_http_aggregate_cache.h"


/* seconds between two warnings about evicted marks */
#define NGX_HTTP_AGGREGATE_CACHE_PURGE_WARN  60


static ngx_uint_t ngx_http_aggregate_cache_is_fetched_uri(
    ngx_http_aggregate_cache_ctx_t *ctx);
static size_t ngx_http_aggregate_cache_prefix_hashes(
    ngx_http_aggregate_cache_ctx_t *ctx, uint64_t *hashes, size_t n);
static void ngx_http_aggregate_cache_purge_evicted(
    ngx_http_aggregate_cache_zone_t *zone);


/*
 * For the URIs for which the entry was fetched, it has been checked against
 * all purges up to "checked".  For other URIs, all purges since it was created
 * have to be checked.
 */

agg_cache_purged_e
ngx_http_aggregate_cache_purge_check(ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t               n;
    uint64_t             born, hashes[NGX_HTTP_AGGREGATE_CACHE_PURGE_HASHES];
    ngx_uint_t           same;
    agg_cache_purged_e   purged;
    agg_cache_purges_t  *purges;

    purges = ctx->zone->sh->purges;
    same = ngx_http_aggregate_cache_is_fetched_uri(ctx);
    born = same ? ctx->lookup.ref.checked : ctx->lookup.entry.seq;

    if (born != AGG_CACHE_ENTRY_FOREIGN
        && born >= __atomic_load_n(&purges->seq, __ATOMIC_SEQ_CST))
    {
        return AGG_CACHE_PURGED_NOT;
    }

    n = ngx_http_aggregate_cache_purge_hashes(ctx, hashes);

    if (n == 0) {
        return AGG_CACHE_PURGED_HARD;
    }

    ngx_http_aggregate_cache_zone_lock(ctx->zone);

    purged = (born == AGG_CACHE_ENTRY_FOREIGN)
             ? agg_cache_purges_check_place(purges, hashes, n,
                                            &ctx->lookup.entry.born)
             : agg_cache_purges_check(purges, hashes, n, born);

    if (purged == AGG_CACHE_PURGED_NOT && same) {
        agg_cache_store_checked(ctx->zone->sh->store, &ctx->lookup.ref,
                                purges->seq);
    }

    ngx_http_aggregate_cache_zone_unlock(ctx->zone);

    return purged;
}


static ngx_uint_t
ngx_http_aggregate_cache_is_fetched_uri(ngx_http_aggregate_cache_ctx_t *ctx)
{
    agg_cache_entry_t  *entry;

    entry = &ctx->lookup.entry;

    return agg_cache_entry_name(entry, 0) == ctx->key.purge_hash[0]
           && agg_cache_entry_name(entry, 1) == ctx->key.purge_hash[2];
}


/* 0: there are too many hashes */

size_t
ngx_http_aggregate_cache_purge_hashes(ngx_http_aggregate_cache_ctx_t *ctx,
    uint64_t *hashes)
{
    size_t           i, n;
    uint64_t         hash;
    agg_cache_str_t  path;

    ngx_memcpy(hashes, ctx->key.purge_hash, sizeof(ctx->key.purge_hash));

    n = 3;
    n += ngx_http_aggregate_cache_prefix_hashes(ctx, hashes + n,
                                                2 * AGG_CACHE_PURGE_DEPTH);

    if (!ngx_http_aggregate_cache_is_fetched_uri(ctx)) {

        for (i = 0; i < AGG_CACHE_ENTRY_NAMES_MAX; i++) {

            hash = agg_cache_entry_name(&ctx->lookup.entry, i);

            if (hash == 0) {
                break;
            }

            hashes[n++] = hash;
        }
    }

    path.data = NULL;
    path.len = 0;

    n += agg_cache_purge_hashes(hashes + n,
                                NGX_HTTP_AGGREGATE_CACHE_PURGE_HASHES - n,
                                &path, &ctx->lookup.entry.tags);

    return n > NGX_HTTP_AGGREGATE_CACHE_PURGE_HASHES ? 0 : n;
}


/* the prefixes of the URI and, if a rewrite has changed it, of the original */

static size_t
ngx_http_aggregate_cache_prefix_hashes(ngx_http_aggregate_cache_ctx_t *ctx,
    uint64_t *hashes, size_t n)
{
    size_t           count;
    agg_cache_str_t  tags;

    tags.data = NULL;
    tags.len = 0;
    count = 0;

    if (ctx->key.original_path.len) {
        count = agg_cache_purge_hashes(hashes, n, &ctx->key.original_path,
                                       &tags);
    }

    return count + agg_cache_purge_hashes(hashes + count, n - count,
                                          &ctx->key.path, &tags);
}


/* the hashes that are stored with the entry, see agg_cache_entry_name() */

ngx_int_t
ngx_http_aggregate_cache_set_purge_hashes(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry)
{
    size_t    i, n;
    u_char   *p;
    uint64_t  hashes[2 * AGG_CACHE_PURGE_DEPTH];

    n = ngx_http_aggregate_cache_prefix_hashes(ctx, hashes,
                                               2 * AGG_CACHE_PURGE_DEPTH);

    p = ngx_pnalloc(r->pool, (2 + n) * sizeof(uint64_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    entry->names.data = p;
    entry->names.len = (2 + n) * sizeof(uint64_t);

    p = agg_cache_entry_put_name(p, ctx->key.purge_hash[0]);
    p = agg_cache_entry_put_name(p, ctx->key.purge_hash[2]);

    for (i = 0; i < n; i++) {
        p = agg_cache_entry_put_name(p, hashes[i]);
    }

    return NGX_OK;
}


void
ngx_http_aggregate_cache_purge_mark(ngx_http_aggregate_cache_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, ngx_uint_t soft,
    const agg_cache_id_t *id)
{
    uint64_t             evictions;
    agg_cache_purges_t  *purges;

    purges = zone->sh->purges;

    ngx_http_aggregate_cache_zone_lock(zone);

    evictions = purges->evictions;

    agg_cache_purges_apply(purges, hashes, n, (int) soft, id);

    evictions = purges->evictions - evictions;

    ngx_http_aggregate_cache_zone_unlock(zone);

    if (evictions) {
        ngx_http_aggregate_cache_purge_evicted(zone);
    }
}


static void
ngx_http_aggregate_cache_purge_evicted(ngx_http_aggregate_cache_zone_t *zone)
{
    ngx_atomic_uint_t  now, warned;

    now = (ngx_atomic_uint_t) (ngx_current_msec / 1000) + 1;
    warned = zone->sh->purge_warned;

    if ((warned && now - warned < NGX_HTTP_AGGREGATE_CACHE_PURGE_WARN)
        || !ngx_atomic_cmp_set(&zone->sh->purge_warned, warned, now))
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "zone \"%V\" has room for %uD purge marks: the oldest are "
                  "evicted, and older responses turn stale", &zone->name,
                  zone->sh->purges->nelts);
}
