
/*
 * Purge marks: what a response can be purged by, and whether it has been.
 *
 * A key may leave out what the URI has, the arguments or the host's port, so
 * one entry answers several URIs and cannot know them all.  It knows those by
 * which it was fetched, and a request brings those by which it asks: a mark
 * on either counts.
 */


#include "ngx_http_aggregate_cache.h"


/* seconds between two warnings that marks give way */
#define NGX_HTTP_AGGREGATE_CACHE_MARKS_WARN  60


static ngx_uint_t ngx_http_aggregate_cache_asked_as_fetched(
    ngx_http_aggregate_cache_ctx_t *ctx);
static size_t ngx_http_aggregate_cache_prefixes(
    ngx_http_aggregate_cache_ctx_t *ctx, uint64_t *hashes, size_t n);
static void ngx_http_aggregate_cache_marks_evicted(
    ngx_http_aggregate_cache_zone_t *zone);


/*
 * For the URIs an entry was fetched by, no purge up to "checked" concerns it.
 * For other URIs all purges since the entry was created have to be checked.
 */

agg_cache_purged_e
ngx_http_aggregate_cache_purged(ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t               n;
    uint64_t             born, hashes[NGX_HTTP_AGGREGATE_CACHE_HASHES];
    ngx_uint_t           same;
    agg_cache_purged_e   purged;
    agg_cache_purges_t  *purges;

    purges = ctx->zone->sh->purges;
    same = ngx_http_aggregate_cache_asked_as_fetched(ctx);
    born = same ? ctx->ref.checked : ctx->entry.seq;

    if (born != AGG_CACHE_ENTRY_FOREIGN
        && born >= __atomic_load_n(&purges->seq, __ATOMIC_SEQ_CST))
    {
        return AGG_CACHE_PURGED_NOT;
    }

    n = ngx_http_aggregate_cache_hashes(ctx, hashes);

    if (n == 0) {
        return AGG_CACHE_PURGED_HARD;
    }

    ngx_http_aggregate_cache_enter(ctx->zone);

    purged = (born == AGG_CACHE_ENTRY_FOREIGN)
             ? agg_cache_purges_check_place(purges, hashes, n,
                                            &ctx->entry.born)
             : agg_cache_purges_check(purges, hashes, n, born);

    if (purged == AGG_CACHE_PURGED_NOT && same) {
        agg_cache_store_checked(ctx->zone->sh->store, &ctx->ref, purges->seq);
    }

    ngx_http_aggregate_cache_leave(ctx->zone);

    return purged;
}


static ngx_uint_t
ngx_http_aggregate_cache_asked_as_fetched(ngx_http_aggregate_cache_ctx_t *ctx)
{
    return agg_cache_entry_name(&ctx->entry, 0) == ctx->names[0]
           && agg_cache_entry_name(&ctx->entry, 1) == ctx->names[2];
}


/* 0: more than can be looked for */

size_t
ngx_http_aggregate_cache_hashes(ngx_http_aggregate_cache_ctx_t *ctx,
    uint64_t *hashes)
{
    size_t           i, n;
    uint64_t         hash;
    agg_cache_str_t  path;

    ngx_memcpy(hashes, ctx->names, sizeof(ctx->names));

    n = 3;
    n += ngx_http_aggregate_cache_prefixes(ctx, hashes + n,
                                           2 * AGG_CACHE_PURGE_DEPTH);

    if (!ngx_http_aggregate_cache_asked_as_fetched(ctx)) {

        for (i = 0; i < AGG_CACHE_ENTRY_NAMES_MAX; i++) {

            hash = agg_cache_entry_name(&ctx->entry, i);

            if (hash == 0) {
                break;
            }

            hashes[n++] = hash;
        }
    }

    path.data = NULL;
    path.len = 0;

    n += agg_cache_purge_hashes(hashes + n,
                                NGX_HTTP_AGGREGATE_CACHE_HASHES - n,
                                &path, &ctx->entry.tags);

    return n > NGX_HTTP_AGGREGATE_CACHE_HASHES ? 0 : n;
}


/* those of the URI and, if that was another one, of the URI asked for */

static size_t
ngx_http_aggregate_cache_prefixes(ngx_http_aggregate_cache_ctx_t *ctx,
    uint64_t *hashes, size_t n)
{
    size_t           count;
    agg_cache_str_t  tags;

    tags.data = NULL;
    tags.len = 0;
    count = 0;

    if (ctx->asked_path.len) {
        count = agg_cache_purge_hashes(hashes, n, &ctx->asked_path, &tags);
    }

    return count + agg_cache_purge_hashes(hashes + count, n - count,
                                          &ctx->path, &tags);
}


/* the names by which purges find the entry: see agg_cache_entry_name() */

ngx_int_t
ngx_http_aggregate_cache_entry_names(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry)
{
    size_t    i, n;
    u_char   *p;
    uint64_t  hashes[2 * AGG_CACHE_PURGE_DEPTH];

    n = ngx_http_aggregate_cache_prefixes(ctx, hashes,
                                          2 * AGG_CACHE_PURGE_DEPTH);

    p = ngx_pnalloc(r->pool, (2 + n) * sizeof(uint64_t));
    if (p == NULL) {
        return NGX_ERROR;
    }

    entry->names.data = p;
    entry->names.len = (2 + n) * sizeof(uint64_t);

    p = agg_cache_entry_put_name(p, ctx->names[0]);
    p = agg_cache_entry_put_name(p, ctx->names[2]);

    for (i = 0; i < n; i++) {
        p = agg_cache_entry_put_name(p, hashes[i]);
    }

    return NGX_OK;
}


/* a purge that was asked of this node */

void
ngx_http_aggregate_cache_purge(ngx_http_aggregate_cache_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, ngx_uint_t soft)
{
    ngx_http_aggregate_cache_mark(zone, hashes, n, soft, NULL);

    (void) ngx_atomic_fetch_add(&zone->sh->purged, n);
}


void
ngx_http_aggregate_cache_mark(ngx_http_aggregate_cache_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, ngx_uint_t soft,
    const agg_cache_id_t *id)
{
    uint64_t             evictions;
    agg_cache_purges_t  *purges;

    purges = zone->sh->purges;

    ngx_http_aggregate_cache_enter(zone);

    evictions = purges->evictions;

    agg_cache_purges_apply(purges, hashes, n, (int) soft, id);

    evictions = purges->evictions - evictions;

    ngx_http_aggregate_cache_leave(zone);

    if (evictions) {
        ngx_http_aggregate_cache_marks_evicted(zone);
    }
}


static void
ngx_http_aggregate_cache_marks_evicted(ngx_http_aggregate_cache_zone_t *zone)
{
    ngx_atomic_uint_t  now, warned;

    now = (ngx_atomic_uint_t) (ngx_current_msec / 1000) + 1;
    warned = zone->sh->marks_warned;

    if ((warned && now - warned < NGX_HTTP_AGGREGATE_CACHE_MARKS_WARN)
        || !ngx_atomic_cmp_set(&zone->sh->marks_warned, warned, now))
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "zone \"%V\" has room for %uD purge marks, the oldest give "
                  "way: older responses turn stale", &zone->name,
                  zone->sh->purges->nelts);
}


/*
 * After a successful unsafe method.  A key of the configuration says which
 * URIs are one resource, and all of them have changed then.
 */

void
ngx_http_aggregate_cache_invalidate(ngx_http_aggregate_cache_ctx_t *ctx)
{
    uint64_t    hashes[2];
    ngx_uint_t  n;

    ctx->invalidate = 0;

    n = 0;
    hashes[n++] = ctx->names[2];

    if (ctx->conf->key && ctx->names[1]) {
        hashes[n++] = ctx->names[1];
    }

    ngx_http_aggregate_cache_purge(ctx->zone, hashes, n, 0);

    if (ctx->conf->redis) {
        (void) ngx_http_aggregate_cache_remote_purge(ctx->conf->redis, hashes,
                                                     n, 0, NULL, NULL, NULL);
    }
}
