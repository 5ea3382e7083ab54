
/*
 * The second tier: entries in Redis.  An error or a time-out of Redis is a
 * miss and never fails a request.
 *
 * The clocks of the nodes may differ by any amount.  The start of an entry's
 * age is therefore a time of the Redis that holds the purge stream, which all
 * nodes compare their clock with, and not a time of its writer.
 */


#include "ngx_http_aggregate_cache.h"


/* an entry's time may be ahead of the clock by this, in milliseconds */
#define NGX_HTTP_AGGREGATE_CACHE_L2_AHEAD  2000

/* the size of an entry in Redis, at most */
#define NGX_HTTP_AGGREGATE_CACHE_L2_MAX  (1024 * 1024)


/* the names by which a response varies stay as long as all its variants */

static ngx_str_t  ngx_http_aggregate_cache_l2_vary_script = ngx_string(
    "redis.call('set', KEYS[1], ARGV[1], 'PX', "
    "math.max(redis.call('pttl', KEYS[1]), tonumber(ARGV[2])))");


static ngx_int_t ngx_http_aggregate_cache_l2_key(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_pool_t *pool, const u_char *digest,
    ngx_str_t *key);
static void ngx_http_aggregate_cache_l2_timeout(ngx_event_t *ev);
static void ngx_http_aggregate_cache_l2_handler(
    ngx_http_aggregate_redis_op_t *op);
static ngx_int_t ngx_http_aggregate_cache_l2_read(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_l2_check(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_l2_adopt(
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_l2_promote(
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest,
    uint64_t checked);
static int64_t ngx_http_aggregate_cache_l2_retention(
    ngx_http_aggregate_cache_ctx_t *ctx);


/* NGX_AGAIN: the reply is awaited; NGX_DECLINED: there is no Redis now */

ngx_int_t
ngx_http_aggregate_cache_l2_get(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t  argv[2];

    if (ctx->conf->redis == NULL) {
        return NGX_DECLINED;
    }

    ngx_str_set(&argv[0], "GET");

    if (ngx_http_aggregate_cache_l2_key(ctx, r->pool, ctx->key.variant_digest,
                                        &argv[1])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* an entry may have been purged before this node has read the stream */

    if (!ctx->zone->sh->stream_ready
        || !ngx_http_aggregate_cache_l2_may_wait(ctx))
    {
        return NGX_DECLINED;
    }

    ctx->l2.op = ngx_http_aggregate_cache_l2_send(ctx, &argv[1], 2, argv, 1);

    if (ctx->l2.op == NULL) {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_cache_l2_wait(r, ctx);
}


/* all replies that a request waits for share one time-out of Redis */

ngx_uint_t
ngx_http_aggregate_cache_l2_may_wait(ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->l2.started) {
        ctx->l2.started = 1;
        ctx->l2.left = ctx->conf->redis->timeout;
    }

    if (ctx->l2.left) {
        return 1;
    }

    ctx->l2.rc = NGX_ERROR;

    return 0;
}


ngx_int_t
ngx_http_aggregate_cache_l2_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ctx->l2.sent = ngx_current_msec;

    if (ctx->l2.left < ctx->conf->redis->timeout) {

        /* sooner than the time-out of the command itself */

        ctx->wait.timer.handler = ngx_http_aggregate_cache_l2_timeout;
        ctx->wait.timer.data = ctx;
        ctx->wait.timer.log = r->connection->log;

        ngx_add_timer(&ctx->wait.timer, ctx->l2.left);
    }

    return ngx_http_aggregate_cache_suspend(r);
}


static void
ngx_http_aggregate_cache_l2_timeout(ngx_event_t *ev)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ev->data;

    ngx_http_aggregate_redis_forget(ctx->l2.op);

    ctx->l2.op = NULL;
    ctx->l2.rc = NGX_ERROR;
    ctx->l2.left = 0;

    (void) ngx_atomic_fetch_add(&ctx->conf->redis->sh->timeouts, 1);

    ngx_http_aggregate_cache_resume(ctx);
}


static ngx_int_t
ngx_http_aggregate_cache_l2_key(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_pool_t *pool, const u_char *digest, ngx_str_t *key)
{
    key->data = ngx_pnalloc(pool, NGX_HTTP_AGGREGATE_CACHE_L2_KEY);
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    key->len = ngx_http_aggregate_cache_l2_write_key(ctx, key->data,
                                                     digest)
               - key->data;

    return NGX_OK;
}


u_char *
ngx_http_aggregate_cache_l2_write_key(ngx_http_aggregate_cache_ctx_t *ctx,
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


/* with wait, the reply resumes the request; NULL: Redis is unavailable */

ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_cache_l2_send(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_str_t *key, ngx_uint_t argc, ngx_str_t *argv, ngx_uint_t wait)
{
    if (!wait) {
        return ngx_http_aggregate_redis_send(ctx->conf->redis, key, argc,
                                             argv, NULL, NULL, NULL, 0);
    }

    return ngx_http_aggregate_redis_send(ctx->conf->redis, key, argc, argv,
                    ngx_http_aggregate_cache_l2_handler, ctx,
                    ctx->request->pool,
                    NGX_HTTP_AGGREGATE_CACHE_L2_MAX + AGG_CACHE_ENTRY_KEY_MAX);
}


static void
ngx_http_aggregate_cache_l2_handler(ngx_http_aggregate_redis_op_t *op)
{
    ngx_msec_t                       elapsed;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = op->data;

    if (ctx->fleet.pause == 0) {

        /* later replies are a part of the wait for the lock */

        elapsed = ngx_current_msec - ctx->l2.sent;
        ctx->l2.left -= ngx_min(elapsed, ctx->l2.left);
    }

    ctx->l2.op = NULL;
    ctx->l2.rc = op->rc;
    ctx->l2.reply = op->value;
    ctx->l2.integer = op->integer;

    ngx_http_aggregate_cache_resume(ctx);
}


/*
 * NGX_OK: an entry to be served; NGX_AGAIN: the reply for the variant is
 * awaited; NGX_DECLINED: none, or a stale one.
 */

ngx_int_t
ngx_http_aggregate_cache_l2_reply(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ctx->l2.rc != NGX_OK || ctx->l2.reply.data == NULL) {
        return NGX_DECLINED;
    }

    ctx->lookup.data = ctx->l2.reply;

    ngx_http_aggregate_cache_l2_set_seen(ctx);

    rc = ngx_http_aggregate_cache_l2_read(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_aggregate_cache_l2_check(r, ctx);
}


/* marks the entry as seen, so that the script of the lock skips it */

void
ngx_http_aggregate_cache_l2_set_seen(ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t  skip;

    skip = AGG_CACHE_ENTRY_HEADER - NGX_HTTP_AGGREGATE_CACHE_SEEN;

    ctx->fleet.seen_len = 0;

    if (ctx->lookup.data.len > skip) {
        ctx->fleet.seen_len = ngx_min(ctx->lookup.data.len - skip,
                                      NGX_HTTP_AGGREGATE_CACHE_SEEN);

        ngx_memcpy(ctx->fleet.seen, ctx->lookup.data.data + skip,
                   ctx->fleet.seen_len);
    }
}


static ngx_int_t
ngx_http_aggregate_cache_l2_read(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t           rc;
    agg_cache_entry_t   entry, old;

    if (agg_cache_entry_read(&entry, ctx->lookup.data.data,
                             ctx->lookup.data.len, 1)
        != 0)
    {

        /* another version of this module may have written it */

        if (ctx->lookup.data.len > 4
            && ngx_memcmp(ctx->lookup.data.data, "AGC", 3) == 0
            && ctx->lookup.data.data[3] != AGG_CACHE_ENTRY_VERSION)
        {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "entry in redis \"%V\" has another version",
                          &ctx->conf->redis->name);

        } else {
            ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                          "broken entry in redis \"%V\"",
                          &ctx->conf->redis->name);
        }

        return NGX_DECLINED;
    }

    if (entry.key.len != ctx->key.variant.len
        || ngx_memcmp(entry.key.data, ctx->key.variant.data,
                      ctx->key.variant.len)
           != 0)
    {
        return NGX_DECLINED;
    }

    if (entry.kind == AGG_CACHE_ENTRY_RESPONSE) {
        ctx->lookup.entry = entry;
        return NGX_OK;
    }

    /* the response varies by headers: the variant is read next */

    if (ctx->key.variant.data != ctx->key.resource.data) {
        return NGX_DECLINED;
    }

    old = ctx->lookup.entry;
    ctx->lookup.entry = entry;

    rc = ngx_http_aggregate_cache_select_variant(r, ctx);

    ngx_http_aggregate_cache_l2_promote(ctx, ctx->key.digest, 0);

    ctx->lookup.entry = old;

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->lookup.vary_miss = 1;

    return ngx_http_aggregate_cache_l2_get(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_cache_l2_check(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t                  n;
    int64_t                 age;
    uint64_t                seq, hashes[NGX_HTTP_AGGREGATE_CACHE_PURGE_HASHES];
    ngx_uint_t              timed;
    agg_cache_purged_e      purged;
    agg_cache_freshness_t  *fresh;

    fresh = &ctx->lookup.entry.freshness;

    /* this entry replaces a stale one from shared memory */

    ctx->lookup.found = 0;

    if (ctx->credentials && !(fresh->flags & AGG_CACHE_SHARED)) {
        return NGX_DECLINED;
    }

    timed = ngx_http_aggregate_cache_l2_adopt(ctx);
    n = ngx_http_aggregate_cache_purge_hashes(ctx, hashes);

    if (n == 0) {
        return NGX_DECLINED;
    }

    ngx_http_aggregate_cache_zone_lock(ctx->zone);

    seq = ctx->zone->sh->purges->seq;
    purged = agg_cache_purges_check_place(ctx->zone->sh->purges, hashes, n,
                                          &ctx->lookup.entry.born);

    ngx_http_aggregate_cache_zone_unlock(ctx->zone);

    if (purged == AGG_CACHE_PURGED_HARD) {
        return NGX_DECLINED;
    }

    ctx->lookup.found = 1;

    age = agg_cache_age(fresh, ngx_time());

    if (purged == AGG_CACHE_PURGED_NOT && timed && age < fresh->fresh) {

        ngx_http_aggregate_cache_l2_promote(ctx, ctx->key.variant_digest, seq);

        ctx->l2.hit = 1;
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_HIT;

        return NGX_OK;
    }

    if (fresh->updating && age < fresh->fresh + fresh->updating
        && !ctx->refresh)
    {
        ctx->l2.hit = 1;
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_STALE;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/*
 * Converts the start of the entry's age to the clock of this node.  0: the
 * entry's time is unknown, or is ahead of the clock.
 */

static ngx_uint_t
ngx_http_aggregate_cache_l2_adopt(ngx_http_aggregate_cache_ctx_t *ctx)
{
    int64_t                 now, age;
    ngx_uint_t              timed;
    agg_cache_freshness_t  *fresh;

    fresh = &ctx->lookup.entry.freshness;

    now = (int64_t) (ctx->zone->sh->stream_clock
                     + (ngx_atomic_uint_t) ngx_current_msec);
    age = now - ctx->lookup.entry.written;
    timed = (ctx->lookup.entry.written != 0
             && age >= -NGX_HTTP_AGGREGATE_CACHE_L2_AHEAD);

    /* no younger than for its writer, whose monotonic clock is rounded up */

    age = ngx_max(age, 0) + 3 * 1000 / AGG_CACHE_ENTRY_STEADY;

    fresh->origin = ngx_max(ngx_time() - age / 1000, 0);

    ctx->lookup.entry.since = ngx_http_aggregate_cache_steady_since(age);

    agg_cache_entry_adopt(ctx->lookup.data.data, fresh->origin,
                          ctx->lookup.entry.since);

    return timed;
}


/* copies the entry into shared memory */

static void
ngx_http_aggregate_cache_l2_promote(ngx_http_aggregate_cache_ctx_t *ctx,
    const u_char *digest, uint64_t checked)
{
    if (ctx->lookup.data.len
        > ctx->zone->max_object + AGG_CACHE_ENTRY_KEY_MAX)
    {
        return;
    }

    (void) ngx_http_aggregate_cache_zone_write(ctx->zone, digest,
                                               &ctx->lookup.data, NULL, 0,
                                               checked);
}


/* stores an entry, without waiting for the reply */

void
ngx_http_aggregate_cache_l2_set(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest, ngx_uint_t kind,
    ngx_str_t *head, ngx_chain_t *body, size_t size)
{
    u_char       *p, px[NGX_INT64_LEN];
    int64_t       retention;
    ngx_str_t     key, value, ttl, argv[6];
    ngx_uint_t    argc;
    ngx_chain_t  *cl;

    if (ctx->conf->redis == NULL || !ctx->zone->sh->stream_ready
        || head->len + size > NGX_HTTP_AGGREGATE_CACHE_L2_MAX)
    {
        return;
    }

    retention = ngx_http_aggregate_cache_l2_retention(ctx);

    if (retention <= 0
        || ngx_http_aggregate_cache_l2_key(ctx, r->pool, digest, &key)
           != NGX_OK)
    {
        return;
    }

    value.len = head->len + size;
    value.data = ngx_alloc(value.len, r->connection->log);

    if (value.data == NULL) {
        return;
    }

    p = ngx_cpymem(value.data, head->data, head->len);

    for (cl = body; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    agg_cache_entry_seal(value.data, value.len);

    ttl.data = px;
    ttl.len = ngx_sprintf(px, "%L", retention) - px;

    if (kind == AGG_CACHE_ENTRY_RESPONSE) {
        ngx_str_set(&argv[0], "SET");
        argv[1] = key;
        argv[2] = value;
        ngx_str_set(&argv[3], "PX");
        argv[4] = ttl;
        argc = 5;

    } else {
        ngx_str_set(&argv[0], "EVAL");
        argv[1] = ngx_http_aggregate_cache_l2_vary_script;
        ngx_str_set(&argv[2], "1");
        argv[3] = key;
        argv[4] = value;
        argv[5] = ttl;
        argc = 6;
    }

    (void) ngx_http_aggregate_redis_send(ctx->conf->redis, &key, argc, argv,
                                         NULL, NULL, NULL, 0);

    ngx_free(value.data);
}


/* deletes an entry that has been superseded, without waiting for the reply */

void
ngx_http_aggregate_cache_l2_delete(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t  argv[2];

    if (ctx->conf->redis == NULL || !ctx->zone->sh->stream_ready) {
        return;
    }

    ngx_str_set(&argv[0], "UNLINK");

    if (ngx_http_aggregate_cache_l2_key(ctx, r->pool, ctx->key.variant_digest,
                                        &argv[1])
        != NGX_OK)
    {
        return;
    }

    (void) ngx_http_aggregate_redis_send(ctx->conf->redis, &argv[1], 2, argv,
                                         NULL, NULL, NULL, 0);
}


/* the TTL in milliseconds, with jitter against simultaneous expiry */

static int64_t
ngx_http_aggregate_cache_l2_retention(ngx_http_aggregate_cache_ctx_t *ctx)
{
    int64_t                 seconds, jitter;
    agg_cache_freshness_t  *fresh;

    fresh = &ctx->store.freshness;

    seconds = fresh->fresh - agg_cache_age(fresh, ngx_time())
              + ngx_max(fresh->updating, fresh->error);

    if (seconds <= 0) {
        return 0;
    }

    jitter = seconds * 50;

    return seconds * 1000 - jitter
           + (int64_t) ((uint64_t) ngx_random() % (uint64_t) (2 * jitter));
}


/* converts a time to the clock of Redis, in milliseconds; 0: unknown */

int64_t
ngx_http_aggregate_cache_l2_time(ngx_http_aggregate_cache_ctx_t *ctx,
    time_t time)
{
    int64_t  now;

    if (ctx->conf->redis == NULL || ctx->zone->sh->stream_clock == 0) {
        return 0;
    }

    now = (int64_t) (ctx->zone->sh->stream_clock
                     + (ngx_atomic_uint_t) ngx_current_msec);

    now -= ngx_http_aggregate_cache_local_time() - (int64_t) time * 1000;

    return ngx_max(now, 1);
}


const char *
ngx_http_aggregate_cache_l2_state(ngx_http_aggregate_cache_zone_t *zone)
{
    ngx_uint_t  down, known;

    if (zone->redis == NULL) {
        return "none";
    }

    down = ngx_http_aggregate_redis_down(zone->redis, &known);

    if (down && down == known) {
        return "down";
    }

    if (known == 0 || !zone->sh->stream_ready) {
        return "connecting";
    }

    return down ? "partial" : "up";
}
