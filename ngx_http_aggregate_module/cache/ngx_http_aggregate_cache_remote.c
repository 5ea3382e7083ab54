
/*
 * The second tier: entries in Redis.  Nothing here fails a request: what does
 * not answer in time is a miss.
 *
 * The clocks of the nodes may differ by any amount.  An entry says when it
 * began to age by the clock of the Redis that holds the stream of purges,
 * which all nodes compare theirs with, and not by that of its writer.
 */


#include "ngx_http_aggregate_cache.h"


/* milliseconds by which an entry may seem to come from the future */
#define NGX_HTTP_AGGREGATE_CACHE_REMOTE_AHEAD  2000

/* values that are worth a place in Redis */
#define NGX_HTTP_AGGREGATE_CACHE_REMOTE_MAX  (1024 * 1024)


static ngx_int_t ngx_http_aggregate_cache_remote_key(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_pool_t *pool,
    const u_char *digest, ngx_str_t *key);
static void ngx_http_aggregate_cache_remote_handler(
    ngx_http_aggregate_redis_op_t *op);
static ngx_int_t ngx_http_aggregate_cache_remote_read(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_remote_adopt(
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_remote_check(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_remote_promote(
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest,
    uint64_t checked);
static int64_t ngx_http_aggregate_cache_remote_retention(
    ngx_http_aggregate_cache_ctx_t *ctx);


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

        /* a node of another version may have written it */

        if (ctx->data.len > 4
            && ngx_memcmp(ctx->data.data, "AGC", 3) == 0
            && ctx->data.data[3] != AGG_CACHE_ENTRY_VERSION)
        {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "entry of another version in redis \"%V\"",
                          &ctx->conf->redis->name);

        } else {
            ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                          "broken entry in redis \"%V\"",
                          &ctx->conf->redis->name);
        }

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


/*
 * Puts the beginning of its age into this node's time.  0: the entry comes
 * from a clock that tells nothing about this one.
 */

static ngx_uint_t
ngx_http_aggregate_cache_remote_adopt(ngx_http_aggregate_cache_ctx_t *ctx)
{
    int64_t                 now, age;
    ngx_uint_t              timed;
    agg_cache_freshness_t  *fresh;

    fresh = &ctx->entry.freshness;

    now = (int64_t) (ctx->zone->sh->link_clock
                     + (ngx_atomic_uint_t) ngx_current_msec);
    age = now - ctx->entry.written;
    timed = (ctx->entry.written != 0
             && age >= -NGX_HTTP_AGGREGATE_CACHE_REMOTE_AHEAD);

    /* no younger than with its writer, whose steady clock is rounded up */

    age = ngx_max(age, 0) + 3 * 1000 / AGG_CACHE_ENTRY_STEADY;

    fresh->origin = ngx_max(ngx_time() - age / 1000, 0);

    ctx->entry.since = ngx_http_aggregate_cache_since(age);

    agg_cache_entry_adopt(ctx->data.data, fresh->origin, ctx->entry.since);

    return timed;
}


/* converts this node's time to that of Redis, in milliseconds; 0: unknown */

int64_t
ngx_http_aggregate_cache_remote_time(ngx_http_aggregate_cache_ctx_t *ctx,
    time_t time)
{
    int64_t  now;

    if (ctx->conf->redis == NULL || ctx->zone->sh->link_clock == 0) {
        return 0;
    }

    now = (int64_t) (ctx->zone->sh->link_clock
                     + (ngx_atomic_uint_t) ngx_current_msec);

    now -= ngx_http_aggregate_cache_local_time() - (int64_t) time * 1000;

    return ngx_max(now, 0);
}


/* the clock that is never set, and what was age milliseconds ago by it */

uint32_t
ngx_http_aggregate_cache_steady(void)
{
    return (uint32_t) ((uint64_t) ngx_current_msec * AGG_CACHE_ENTRY_STEADY
                       / 1000);
}


uint32_t
ngx_http_aggregate_cache_since(int64_t age)
{
    return ngx_http_aggregate_cache_steady()
           - (uint32_t) ((age * AGG_CACHE_ENTRY_STEADY + 999) / 1000);
}


/* milliseconds */

int64_t
ngx_http_aggregate_cache_local_time(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + (int64_t) tp->msec;
}


static ngx_int_t
ngx_http_aggregate_cache_remote_check(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t                  n;
    int64_t                 age;
    ngx_uint_t              timed;
    uint64_t                seq, hashes[NGX_HTTP_AGGREGATE_CACHE_HASHES];
    agg_cache_purged_e      purged;
    agg_cache_freshness_t  *fresh;

    fresh = &ctx->entry.freshness;

    /* an older one that was at hand is this one's place now */

    ctx->found = 0;

    if (ctx->credentials && !(fresh->flags & AGG_CACHE_SHARED)) {
        return NGX_DECLINED;
    }

    timed = ngx_http_aggregate_cache_remote_adopt(ctx);
    n = ngx_http_aggregate_cache_hashes(ctx, hashes);

    if (n == 0) {
        return NGX_DECLINED;
    }

    ngx_http_aggregate_cache_enter(ctx->zone);

    seq = ctx->zone->sh->purges->seq;
    purged = agg_cache_purges_check_place(ctx->zone->sh->purges, hashes, n,
                                          &ctx->entry.born);

    ngx_http_aggregate_cache_leave(ctx->zone);

    if (purged == AGG_CACHE_PURGED_HARD) {
        return NGX_DECLINED;
    }

    ctx->found = 1;

    age = agg_cache_age(fresh, ngx_time());

    if (purged == AGG_CACHE_PURGED_NOT && timed && age < fresh->fresh) {

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
