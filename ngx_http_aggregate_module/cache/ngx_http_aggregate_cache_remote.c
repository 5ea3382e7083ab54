
/*
 * The second tier: entries in Redis, and the stream by which purges reach
 * every node.  Nothing here fails a request: what does not answer in time is
 * a miss.
 */


#include "ngx_http_aggregate_cache.h"


/* values that are worth a place in Redis */
#define NGX_HTTP_AGGREGATE_CACHE_REMOTE_MAX  (1024 * 1024)


static ngx_int_t ngx_http_aggregate_cache_remote_key(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_pool_t *pool,
    const u_char *digest, ngx_str_t *key);
static void ngx_http_aggregate_cache_remote_handler(
    ngx_http_aggregate_redis_op_t *op);
static ngx_int_t ngx_http_aggregate_cache_remote_read(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_remote_check(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_remote_promote(
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest,
    uint64_t checked);
static int64_t ngx_http_aggregate_cache_remote_retention(
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_link_linked(
    ngx_http_aggregate_redis_follow_t *follow);
static void ngx_http_aggregate_cache_link_entry(
    ngx_http_aggregate_redis_follow_t *follow,
    const agg_redis_entry_t *entry);
static void ngx_http_aggregate_cache_link_alive(
    ngx_http_aggregate_redis_follow_t *follow);
static void ngx_http_aggregate_cache_link_lost(
    ngx_http_aggregate_redis_follow_t *follow);


/* NGX_AGAIN: asked; NGX_DECLINED: not */

ngx_int_t
ngx_http_aggregate_cache_remote_get(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t  argv[2];

    if (ctx->conf->redis == NULL) {
        return NGX_DECLINED;
    }

    ngx_str_set(&argv[0], "GET");

    if (ngx_http_aggregate_cache_remote_key(ctx, r->pool, ctx->variant,
                                            &argv[1])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* without the purges that have been, an entry tells nothing */

    if (!ctx->zone->sh->link_ready) {
        return NGX_DECLINED;
    }

    ctx->op = ngx_http_aggregate_cache_remote_send(ctx, &argv[1], 2, argv, 1);

    if (ctx->op == NULL) {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_cache_park(r);
}


static ngx_int_t
ngx_http_aggregate_cache_remote_key(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_pool_t *pool, const u_char *digest, ngx_str_t *key)
{
    key->data = ngx_pnalloc(pool, NGX_HTTP_AGGREGATE_CACHE_REMOTE_KEY);
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    key->len = ngx_http_aggregate_cache_remote_write_key(ctx, key->data,
                                                         digest)
               - key->data;

    return NGX_OK;
}


u_char *
ngx_http_aggregate_cache_remote_write_key(ngx_http_aggregate_cache_ctx_t *ctx,
    u_char *p, const u_char *digest)
{
    ngx_str_t  *prefix;

    prefix = &ctx->conf->redis->prefix;

    p = ngx_cpymem(p, prefix->data, prefix->len);
    *p++ = '{';
    p = ngx_hex_dump(p, (u_char *) digest, AGG_CACHE_DIGEST);
    *p++ = '}';

    return p;
}


/* NULL: not now; with wait the request is resumed with the reply */

ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_cache_remote_send(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_str_t *key, ngx_uint_t argc, ngx_str_t *argv, ngx_uint_t wait)
{
    if (!wait) {
        return ngx_http_aggregate_redis_send(ctx->conf->redis, key, argc,
                                             argv, NULL, NULL, NULL, 0);
    }

    return ngx_http_aggregate_redis_send(ctx->conf->redis, key, argc, argv,
                                     ngx_http_aggregate_cache_remote_handler,
                                     ctx, ctx->request->pool,
                                     NGX_HTTP_AGGREGATE_CACHE_REMOTE_MAX
                                     + AGG_CACHE_ENTRY_KEY_MAX);
}


static void
ngx_http_aggregate_cache_remote_handler(ngx_http_aggregate_redis_op_t *op)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = op->data;

    ctx->op = NULL;
    ctx->remote_rc = op->rc;
    ctx->reply = op->value;
    ctx->reply_integer = op->integer;

    ngx_http_aggregate_cache_resume(ctx);
}


/*
 * Looks at what came.  NGX_OK: an answer; NGX_AGAIN: asked for the variant;
 * NGX_DECLINED: to the origin, perhaps with a stale entry at hand.
 */

ngx_int_t
ngx_http_aggregate_cache_remote_take(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ctx->remote_rc != NGX_OK || ctx->reply.data == NULL) {
        return NGX_DECLINED;
    }

    ctx->data = ctx->reply;

    ngx_http_aggregate_cache_remote_seen(ctx);

    rc = ngx_http_aggregate_cache_remote_read(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_aggregate_cache_remote_check(r, ctx);
}


/* if it is of no use, it is not to come again */

void
ngx_http_aggregate_cache_remote_seen(ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t  skip;

    skip = AGG_CACHE_ENTRY_HEADER - NGX_HTTP_AGGREGATE_CACHE_SEEN;

    ctx->nseen = 0;

    if (ctx->data.len > skip) {
        ctx->nseen = ngx_min(ctx->data.len - skip,
                             NGX_HTTP_AGGREGATE_CACHE_SEEN);

        ngx_memcpy(ctx->seen, ctx->data.data + skip, ctx->nseen);
    }
}


static ngx_int_t
ngx_http_aggregate_cache_remote_read(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t           rc;
    agg_cache_entry_t   entry, old;

    if (agg_cache_entry_read(&entry, ctx->data.data, ctx->data.len, 1) != 0) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "broken entry in redis \"%V\"",
                      &ctx->conf->redis->name);
        return NGX_DECLINED;
    }

    if (entry.key.len != ctx->full.len
        || ngx_memcmp(entry.key.data, ctx->full.data, ctx->full.len) != 0)
    {
        return NGX_DECLINED;
    }

    if (entry.kind == AGG_CACHE_ENTRY_RESPONSE) {
        ctx->entry = entry;
        return NGX_OK;
    }

    /* chosen by fields of the request: once more, for the variant */

    if (ctx->full.data != ctx->key.data) {
        return NGX_DECLINED;
    }

    old = ctx->entry;
    ctx->entry = entry;

    rc = ngx_http_aggregate_cache_vary(r, ctx);

    ngx_http_aggregate_cache_remote_promote(ctx, ctx->digest, 0);

    ctx->entry = old;

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->vary_miss = 1;

    return ngx_http_aggregate_cache_remote_get(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_cache_remote_check(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t                  n;
    int64_t                 age;
    uint64_t                seq, hashes[NGX_HTTP_AGGREGATE_CACHE_HASHES];
    agg_cache_purged_e      purged;
    agg_cache_freshness_t  *fresh;

    fresh = &ctx->entry.freshness;

    /* an older one that was at hand is this one's place now */

    ctx->found = 0;

    if (ctx->credentials && !(fresh->flags & AGG_CACHE_SHARED)) {
        return NGX_DECLINED;
    }

    n = ngx_http_aggregate_cache_hashes(ctx, hashes);

    if (n == 0) {
        return NGX_DECLINED;
    }

    ngx_http_aggregate_cache_enter(ctx->zone);

    seq = ctx->zone->sh->purges->seq;
    purged = agg_cache_purges_check_id(ctx->zone->sh->purges, hashes, n,
                                       &ctx->entry.born);

    ngx_http_aggregate_cache_leave(ctx->zone);

    if (purged == AGG_CACHE_PURGED_HARD) {
        return NGX_DECLINED;
    }

    ctx->found = 1;

    age = agg_cache_age(fresh, ngx_time());

    if (purged == AGG_CACHE_PURGED_NOT && age < fresh->fresh) {

        ngx_http_aggregate_cache_remote_promote(ctx, ctx->variant, seq);
        ngx_http_aggregate_cache_land(ctx, 0);

        ctx->remote = 1;
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_HIT;

        return NGX_OK;
    }

    if (fresh->updating && age < fresh->fresh + fresh->updating
        && !ctx->refresh)
    {
        ngx_http_aggregate_cache_land(ctx, 0);

        if (!ctx->only_if_cached && !ctx->request_no_store) {
            ngx_http_aggregate_cache_refresh(r, ctx);
        }

        ctx->remote = 1;
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_STALE;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* into shared memory, for the next ones */

static void
ngx_http_aggregate_cache_remote_promote(ngx_http_aggregate_cache_ctx_t *ctx,
    const u_char *digest, uint64_t checked)
{
    if (ctx->data.len > ctx->zone->max_object + AGG_CACHE_ENTRY_KEY_MAX) {
        return;
    }

    (void) ngx_http_aggregate_cache_put(ctx->zone, digest, &ctx->data, NULL,
                                        0, checked);
}


/* sends an entry; nobody waits for the answer */

void
ngx_http_aggregate_cache_remote_set(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest,
    ngx_str_t *head, ngx_chain_t *body, size_t size)
{
    u_char       *p, px[NGX_INT64_LEN];
    int64_t       retention;
    ngx_str_t     argv[5];
    ngx_chain_t  *cl;

    if (ctx->conf->redis == NULL || !ctx->zone->sh->link_ready
        || head->len + size > NGX_HTTP_AGGREGATE_CACHE_REMOTE_MAX)
    {
        return;
    }

    retention = ngx_http_aggregate_cache_remote_retention(ctx);

    if (retention <= 0
        || ngx_http_aggregate_cache_remote_key(ctx, r->pool, digest, &argv[1])
           != NGX_OK)
    {
        return;
    }

    argv[2].len = head->len + size;
    argv[2].data = ngx_alloc(argv[2].len, r->connection->log);

    if (argv[2].data == NULL) {
        return;
    }

    p = ngx_cpymem(argv[2].data, head->data, head->len);

    for (cl = body; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    agg_cache_entry_seal(argv[2].data, argv[2].len);

    ngx_str_set(&argv[0], "SET");
    ngx_str_set(&argv[3], "PX");
    argv[4].data = px;
    argv[4].len = ngx_sprintf(px, "%L", retention) - px;

    (void) ngx_http_aggregate_redis_send(ctx->conf->redis, &argv[1], 5, argv,
                                         NULL, NULL, NULL, 0);

    ngx_free(argv[2].data);
}


/* takes an entry back that the origin does not stand for any more */

void
ngx_http_aggregate_cache_remote_drop(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t  argv[2];

    if (ctx->conf->redis == NULL || !ctx->zone->sh->link_ready) {
        return;
    }

    ngx_str_set(&argv[0], "UNLINK");

    if (ngx_http_aggregate_cache_remote_key(ctx, r->pool, ctx->variant,
                                            &argv[1])
        != NGX_OK)
    {
        return;
    }

    (void) ngx_http_aggregate_redis_send(ctx->conf->redis, &argv[1], 2, argv,
                                         NULL, NULL, NULL, 0);
}


/* milliseconds, of varying length, so that not all end at once */

static int64_t
ngx_http_aggregate_cache_remote_retention(ngx_http_aggregate_cache_ctx_t *ctx)
{
    int64_t                 seconds, jitter;
    agg_cache_freshness_t  *fresh;

    fresh = &ctx->freshness;

    seconds = fresh->fresh - agg_cache_age(fresh, ngx_time())
              + ngx_max(fresh->updating, fresh->error);

    if (seconds <= 0) {
        return 0;
    }

    jitter = seconds * 50;

    return seconds * 1000 - jitter
           + (int64_t) ((uint64_t) ngx_random() % (uint64_t) (2 * jitter));
}


/*
 * Tells all nodes of a purge.  The handler gets the outcome; without one
 * nobody waits for it.  NULL: it cannot be told at this moment.
 */

ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_cache_remote_purge(ngx_http_aggregate_redis_t *redis,
    uint64_t hash, ngx_uint_t soft, ngx_http_aggregate_redis_pt handler,
    void *data, ngx_pool_t *pool)
{
    u_char     key[160], hex[NGX_INT64_LEN];
    ngx_str_t  argv[10];

    ngx_str_set(&argv[0], "XADD");
    argv[1].data = key;
    argv[1].len = ngx_sprintf(key, "%V{purge}", &redis->prefix) - key;
    ngx_str_set(&argv[2], "MAXLEN");
    ngx_str_set(&argv[3], "~");
    ngx_str_set(&argv[4], "10000");
    ngx_str_set(&argv[5], "*");
    ngx_str_set(&argv[6], "hash");
    argv[7].data = hex;
    argv[7].len = ngx_sprintf(hex, "%016xL", hash) - hex;
    ngx_str_set(&argv[8], "soft");
    argv[9].data = (u_char *) (soft ? "1" : "0");
    argv[9].len = 1;

    return ngx_http_aggregate_redis_send(redis, &argv[1], 10, argv, handler,
                                         data, pool, 256);
}


/* one worker of the node follows the stream, and puts it into the zone */

ngx_int_t
ngx_http_aggregate_cache_link(ngx_http_aggregate_cache_zone_t *zone,
    ngx_cycle_t *cycle)
{
    ngx_http_aggregate_redis_follow_t  *follow;

    follow = ngx_pcalloc(cycle->pool,
                         sizeof(ngx_http_aggregate_redis_follow_t));
    if (follow == NULL) {
        return NGX_ERROR;
    }

    follow->key.data = ngx_pnalloc(cycle->pool, zone->redis->prefix.len + 7);
    if (follow->key.data == NULL) {
        return NGX_ERROR;
    }

    follow->key.len = ngx_sprintf(follow->key.data, "%V{purge}",
                                  &zone->redis->prefix)
                      - follow->key.data;
    follow->redis = zone->redis;
    follow->wait = zone->heartbeat;
    follow->data = zone;
    follow->linked = ngx_http_aggregate_cache_link_linked;
    follow->entry = ngx_http_aggregate_cache_link_entry;
    follow->alive = ngx_http_aggregate_cache_link_alive;
    follow->lost = ngx_http_aggregate_cache_link_lost;

    zone->link = follow;

    ngx_http_aggregate_redis_follow(follow);

    return NGX_OK;
}


/*
 * What the stream holds tells whether something was missed: it may have been
 * cut at its beginning, or be another one that is behind, after a failover.
 */

static void
ngx_http_aggregate_cache_link_linked(
    ngx_http_aggregate_redis_follow_t *follow)
{
    agg_cache_id_t                    first, last, before;
    agg_cache_purges_t               *purges;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;
    purges = zone->sh->purges;

    first.ms = follow->first_ms;
    first.seq = follow->first_seq;
    last.ms = follow->bound_ms;
    last.seq = follow->bound_seq;

    before = first;

    if (before.seq) {
        before.seq--;

    } else if (before.ms) {
        before.ms--;
        before.seq = UINT64_MAX;
    }

    ngx_http_aggregate_cache_enter(zone);

    if (agg_cache_id_compare(&last, &purges->last) < 0) {

        /* behind what is known: raised to it, and all of it once more */

        follow->raise_ms = purges->last.ms;
        follow->raise_seq = purges->last.seq;
        follow->bound_ms = follow->raise_ms;
        follow->bound_seq = follow->raise_seq;

        before.ms = 0;
        before.seq = 0;

        agg_cache_purges_lost(purges, &before);

    } else if (agg_cache_id_compare(&purges->last, &before) < 0) {
        agg_cache_purges_lost(purges, &before);
    }

    follow->last_ms = purges->last.ms;
    follow->last_seq = purges->last.seq;

    ngx_http_aggregate_cache_leave(zone);

    zone->sh->link_seen = ngx_current_msec;
    zone->sh->link_ready = (follow->last_ms == follow->bound_ms
                            && follow->last_seq == follow->bound_seq);
}


static void
ngx_http_aggregate_cache_link_entry(ngx_http_aggregate_redis_follow_t *follow,
    const agg_redis_entry_t *entry)
{
    u_char                            c;
    size_t                            i, len, soft_len;
    uint64_t                          hash;
    const char                       *text, *soft;
    agg_cache_id_t                    id;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;

    id.ms = follow->last_ms;
    id.seq = follow->last_seq;

    text = agg_redis_field(entry, "hash", &len);
    soft = agg_redis_field(entry, "soft", &soft_len);

    hash = 0;

    for (i = 0; text != NULL && i < len; i++) {

        c = (u_char) text[i];
        hash <<= 4;

        if (c >= '0' && c <= '9') {
            hash |= (uint64_t) (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            hash |= (uint64_t) (c - 'a' + 10);
        }
    }

    /* an entry that says nothing we know purges all: it said something */

    ngx_http_aggregate_cache_enter(zone);

    agg_cache_purges_apply(zone->sh->purges, hash,
                           soft != NULL && soft_len == 1 && soft[0] == '1',
                           &id);

    ngx_http_aggregate_cache_leave(zone);
}


static void
ngx_http_aggregate_cache_link_alive(ngx_http_aggregate_redis_follow_t *follow)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;

    zone->sh->link_seen = ngx_current_msec;

    if (follow->last_ms > follow->bound_ms
        || (follow->last_ms == follow->bound_ms
            && follow->last_seq >= follow->bound_seq))
    {
        zone->sh->link_ready = 1;
    }
}


/* purges may come that are not heard of: what is in Redis is not used */

static void
ngx_http_aggregate_cache_link_lost(ngx_http_aggregate_redis_follow_t *follow)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;

    zone->sh->link_ready = 0;
}


const char *
ngx_http_aggregate_cache_remote_state(ngx_http_aggregate_cache_zone_t *zone)
{
    ngx_uint_t  down, known;

    if (zone->redis == NULL) {
        return "none";
    }

    down = ngx_http_aggregate_redis_down(zone->redis, &known);

    if (down && down == known) {
        return "down";
    }

    if (known == 0 || !zone->sh->link_ready) {
        return "connecting";
    }

    return down ? "partial" : "up";
}
