
/*
 * The lock: one request fetches the response for a key, and the others wait.
 *
 * The lock of a node is in the shared memory of the zone.  A request that
 * waits for it stands in a queue of its worker, and is resumed when the owner
 * notifies the worker, when the owner's process has died, or when the time is
 * over; in the latter case it takes the lock over.
 *
 * The owner then acquires the lock of the fleet, a key in Redis.  The
 * owners of other nodes try again in short intervals until there is an entry,
 * or no lock.  The key expires much earlier than a fetch may end, and its owner
 * extends it: a node that dies delays the others for the rest of that time
 * only.  When the response turns out not to be storable, the value of the key
 * becomes a hit-for-miss mark, and all others go to the backend at once.
 *
 * One script gets the entry or acquires the lock, so that nobody acquires it
 * without having seen the entry that the last owner stored.  An entry that
 * the request has seen already, and that is of no use, does not count.
 */


#include "ngx_http_aggregate_cache.h"
#include <openssl/rand.h>


/* milliseconds until the lock expires, and between two extensions */
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_LEASE    1000
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_RENEWAL  300

/* milliseconds between two attempts to acquire it */
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_POLL_MIN  20
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_POLL_MAX  150

/* replies of the script; a larger one is the TTL of a hit-for-miss mark */
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_ACQUIRED      0
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_HELD     1


static ngx_int_t ngx_http_aggregate_cache_lock_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_lock_take_over(
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_lock_is_released(
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_wake(void);
static void ngx_http_aggregate_cache_lock_wait_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_aggregate_cache_fleet_lock_token(
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_http_aggregate_redis_op_t *
    ngx_http_aggregate_cache_fleet_lock_eval(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *script, ngx_uint_t wait,
    ngx_msec_t time);
static ngx_int_t ngx_http_aggregate_cache_fleet_lock_wait(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_fleet_lock_retry(ngx_event_t *ev);
static void ngx_http_aggregate_cache_fleet_lock_renew(ngx_event_t *ev);
static void ngx_http_aggregate_cache_fleet_lock_release(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_msec_t hit_for_miss);


static ngx_queue_t  ngx_http_aggregate_cache_waiting;


static ngx_str_t  ngx_http_aggregate_cache_fleet_lock_script = ngx_string(
    "local v = redis.call('get', KEYS[1]) "
    "if v and string.sub(v, 17, 112) ~= ARGV[3] then return v end "
    "if redis.call('set', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then "
    "return 0 end "
    "if redis.call('get', KEYS[2]) ~= '-' then return 1 end "
    "return math.max(redis.call('pttl', KEYS[2]), 2)");

static ngx_str_t  ngx_http_aggregate_cache_fleet_renew_script = ngx_string(
    "if redis.call('get', KEYS[2]) == ARGV[1] then "
    "redis.call('pexpire', KEYS[2], ARGV[2]) end");

static ngx_str_t  ngx_http_aggregate_cache_fleet_release_script = ngx_string(
    "if redis.call('get', KEYS[2]) ~= ARGV[1] then return end "
    "if ARGV[2] == '0' then redis.call('del', KEYS[2]) "
    "else redis.call('set', KEYS[2], '-', 'PX', ARGV[2]) end");


ngx_int_t
ngx_http_aggregate_cache_lock_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_aggregate_cache_waiting);

    return ngx_http_aggregate_cache_notify_init_process(cycle,
                                              ngx_http_aggregate_cache_wake);
}


/*
 * NGX_OK: the lock is acquired, or not needed; NGX_AGAIN: the request waits,
 * and is looked up again then; NGX_DECLINED: hit-for-miss
 */

ngx_int_t
ngx_http_aggregate_cache_lock(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (agg_cache_hit_for_miss_test(ctx->zone->sh->locks, ctx->lock.digest,
                                    (int64_t) ngx_current_msec))
    {
        return NGX_DECLINED;
    }

    /* a request whose response is not stored does not use the lock */

    if (!ctx->conf->lock || ctx->no_store || ctx->only_if_cached
        || r->method != NGX_HTTP_GET)
    {
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_lock_acquire(ctx);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_lock_wait(r, ctx);

    if (rc == NGX_DECLINED) {
        ngx_http_aggregate_cache_lock_take_over(ctx);
        return NGX_OK;
    }

    return rc;
}


/* NGX_OK: acquired, or there is no slot for it; NGX_AGAIN: it is held */

ngx_int_t
ngx_http_aggregate_cache_lock_acquire(ngx_http_aggregate_cache_ctx_t *ctx)
{
    uint64_t                          bit;
    agg_cache_lock_e                  rc;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = ctx->zone;

    bit = (ngx_process == NGX_PROCESS_SINGLE) ? 1
          : (uint64_t) 1 << (ngx_worker % NGX_HTTP_AGGREGATE_CACHE_WORKERS);

    ngx_http_aggregate_cache_zone_lock(zone);

    rc = agg_cache_lock_acquire(zone->sh->locks, ctx->lock.digest,
                                (int32_t) ngx_pid, bit,
                                ngx_http_aggregate_cache_is_alive,
                                &ctx->lock.slot, &ctx->lock.token);

    ngx_http_aggregate_cache_zone_unlock(zone);

    if (rc == AGG_CACHE_LOCK_WAIT) {
        return NGX_AGAIN;
    }

    ctx->lock.owner = (rc == AGG_CACHE_LOCK_ACQUIRED);

    return NGX_OK;
}


/* the time to wait is over, and other requests wait for this one now */

static void
ngx_http_aggregate_cache_lock_take_over(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = ctx->zone;

    ngx_http_aggregate_cache_zone_lock(zone);

    ctx->lock.owner = (agg_cache_lock_take_over(zone->sh->locks,
                                                ctx->lock.slot,
                                                &ctx->lock.token,
                                                (int32_t) ngx_pid)
                       == 0);

    ngx_http_aggregate_cache_zone_unlock(zone);
}


/*
 * The fetch is over.  With hit_for_miss, the requests that wait for it, and
 * those of the next so many milliseconds, do not wait for each other.
 */

void
ngx_http_aggregate_cache_lock_release(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_msec_t hit_for_miss)
{
    uint64_t                          workers;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = ctx->zone;

    if (ctx->fleet.held) {
        ngx_http_aggregate_cache_fleet_lock_release(ctx, hit_for_miss);
    }

    if (!ctx->lock.owner && hit_for_miss == 0) {
        return;
    }

    workers = 0;

    ngx_http_aggregate_cache_zone_lock(zone);

    if (hit_for_miss) {
        agg_cache_hit_for_miss_set(zone->sh->locks, ctx->lock.digest,
                                   (int64_t) ngx_current_msec,
                                   (int64_t) (ngx_current_msec
                                              + hit_for_miss));
    }

    if (ctx->lock.owner) {
        workers = agg_cache_lock_release(zone->sh->locks, ctx->lock.slot,
                                         ctx->lock.token);
    }

    ngx_http_aggregate_cache_zone_unlock(zone);

    ctx->lock.owner = 0;

    if (workers) {

        if (!ngx_queue_empty(&ngx_http_aggregate_cache_waiting)) {
            ngx_http_aggregate_cache_notify_self();
        }

        ngx_http_aggregate_cache_notify(workers);
    }
}


/*
 * The response has been stored: requests wait for the next fetch of it again,
 * and it is refreshed in the background again.
 */

void
ngx_http_aggregate_cache_hit_for_miss_clear(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = ctx->zone;

    ngx_http_aggregate_cache_zone_lock(zone);

    agg_cache_hit_for_miss_clear(zone->sh->locks, ctx->lock.digest);

    ngx_http_aggregate_cache_zone_unlock(zone);
}


static ngx_uint_t
ngx_http_aggregate_cache_lock_is_released(ngx_http_aggregate_cache_ctx_t *ctx)
{
    return !agg_cache_lock_held(ctx->zone->sh->locks, ctx->lock.slot,
                                ctx->lock.token, NULL);
}


static ngx_int_t
ngx_http_aggregate_cache_lock_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_msec_int_t  left;

    left = ngx_http_aggregate_cache_wait_left(ctx);

    if (left <= 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_suspend(r) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ctx->wait.timer.handler = ngx_http_aggregate_cache_lock_wait_handler;
    ctx->wait.timer.data = ctx;
    ctx->wait.timer.log = r->connection->log;

    ngx_add_timer(&ctx->wait.timer,
                  ngx_min(left, NGX_HTTP_AGGREGATE_CACHE_POLL));

    ngx_queue_insert_tail(&ngx_http_aggregate_cache_waiting, &ctx->wait.queue);

    ctx->wait.queued = 1;

    /* the lock may have been released between the check and this line */

    if (ngx_http_aggregate_cache_lock_is_released(ctx)) {
        ngx_http_aggregate_cache_notify_self();
    }

    return NGX_AGAIN;
}


/* a lock has been released, in this worker or in another one */

static void
ngx_http_aggregate_cache_wake(void)
{
    ngx_queue_t                     *q, *next, woken;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ngx_queue_init(&woken);

    for (q = ngx_queue_head(&ngx_http_aggregate_cache_waiting);
         q != ngx_queue_sentinel(&ngx_http_aggregate_cache_waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        ctx = ngx_queue_data(q, ngx_http_aggregate_cache_ctx_t, wait.queue);

        if (ngx_http_aggregate_cache_lock_is_released(ctx)) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&woken, q);
        }
    }

    /* a request that is resumed may end others of this queue */

    while (!ngx_queue_empty(&woken)) {
        q = ngx_queue_head(&woken);
        ctx = ngx_queue_data(q, ngx_http_aggregate_cache_ctx_t, wait.queue);

        ngx_http_aggregate_cache_resume(ctx);
    }
}


static void
ngx_http_aggregate_cache_lock_wait_handler(ngx_event_t *ev)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ev->data;

    if ((ngx_msec_int_t) (ctx->wait.deadline - ngx_current_msec) > 0
        && agg_cache_lock_held(ctx->zone->sh->locks, ctx->lock.slot,
                               ctx->lock.token,
                               ngx_http_aggregate_cache_is_alive))
    {
        ngx_add_timer(ev, NGX_HTTP_AGGREGATE_CACHE_POLL);
        return;
    }

    ngx_http_aggregate_cache_resume(ctx);
}


/* NGX_AGAIN: the reply is awaited; NGX_DECLINED: fetched without this lock */

ngx_int_t
ngx_http_aggregate_cache_fleet_lock(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->lock.owner || ctx->conf->redis == NULL
        || !ctx->zone->sh->stream_ready
        || !ngx_http_aggregate_cache_l2_may_wait(ctx))
    {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_fleet_lock_token(ctx) != NGX_OK) {
        return NGX_DECLINED;
    }

    ctx->l2.op = ngx_http_aggregate_cache_fleet_lock_eval(ctx,
                                   &ngx_http_aggregate_cache_fleet_lock_script,
                                   1, NGX_HTTP_AGGREGATE_CACHE_FLEET_LEASE);
    if (ctx->l2.op == NULL) {
        return NGX_DECLINED;
    }

    /* this request may be the owner until a reply, even a late one */

    ctx->fleet.held = 1;

    return ngx_http_aggregate_cache_l2_wait(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_cache_fleet_lock_token(ngx_http_aggregate_cache_ctx_t *ctx)
{
    static uint64_t    count;
    static uint64_t    node;
    static ngx_pid_t   pid;

    if (pid != ngx_pid) {

        if (RAND_bytes((u_char *) &node, sizeof(node)) != 1) {
            return NGX_ERROR;
        }

        pid = ngx_pid;
    }

    if (ctx->fleet.count == 0) {
        ctx->fleet.node = node;
        ctx->fleet.count = ++count;
    }

    return NGX_OK;
}


static ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_cache_fleet_lock_eval(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_str_t *script, ngx_uint_t wait, ngx_msec_t time)
{
    u_char     *p, key[NGX_HTTP_AGGREGATE_CACHE_L2_KEY + 2],
                token[2 * NGX_INT64_LEN], ms[NGX_INT64_LEN];
    ngx_str_t   argv[8];

    /* both keys have one hash tag, and differ in what follows it */

    p = ngx_http_aggregate_cache_l2_write_key(ctx, key,
                                              ctx->key.variant_digest);

    ngx_str_set(&argv[0], "EVAL");
    argv[1] = *script;
    ngx_str_set(&argv[2], "2");
    argv[3].data = key;
    argv[3].len = p - key;
    argv[4].data = key;
    argv[4].len = argv[3].len + 2;

    *p++ = ':';
    *p = ctx->credentials ? 'c' : 'l';

    argv[5].data = token;
    argv[5].len = ngx_sprintf(token, "%016xL%016xL", ctx->fleet.node,
                              ctx->fleet.count)
                  - token;
    argv[6].data = ms;
    argv[6].len = ngx_sprintf(ms, "%M", time) - ms;
    argv[7].data = ctx->fleet.seen;
    argv[7].len = ctx->fleet.seen_len;

    return ngx_http_aggregate_cache_l2_send(ctx, &argv[3], 8, argv, wait);
}


/*
 * NGX_OK: the reply is an entry; NGX_AGAIN: another node is the owner, and
 * the request tries again; NGX_DECLINED: fetched
 */

ngx_int_t
ngx_http_aggregate_cache_fleet_reply(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->l2.rc != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ctx->l2.reply.data) {
        ctx->fleet.held = 0;
        return NGX_OK;
    }

    if (ctx->l2.integer == NGX_HTTP_AGGREGATE_CACHE_FLEET_ACQUIRED) {

        ctx->wait.timer.handler = ngx_http_aggregate_cache_fleet_lock_renew;
        ctx->wait.timer.data = ctx;
        ctx->wait.timer.log = r->connection->log;

        ngx_add_timer(&ctx->wait.timer,
                      NGX_HTTP_AGGREGATE_CACHE_FLEET_RENEWAL);

        return NGX_DECLINED;
    }

    ctx->fleet.held = 0;

    if (ctx->l2.integer == NGX_HTTP_AGGREGATE_CACHE_FLEET_HELD) {
        return ngx_http_aggregate_cache_fleet_lock_wait(r, ctx);
    }

    if (ctx->l2.integer > NGX_HTTP_AGGREGATE_CACHE_FLEET_HELD) {

        /* another node did not store it: nobody waits for it here either */

        ngx_http_aggregate_cache_lock_release(ctx,
                                      ngx_min((ngx_msec_t) ctx->l2.integer,
                                      NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS));
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_aggregate_cache_fleet_lock_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_msec_t      delay;
    ngx_msec_int_t  left;

    left = ngx_http_aggregate_cache_wait_left(ctx);

    if (left <= 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_suspend(r) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ctx->fleet.pause = ngx_max(ctx->fleet.pause * 2,
                               NGX_HTTP_AGGREGATE_CACHE_FLEET_POLL_MIN);
    ctx->fleet.pause = ngx_min(ctx->fleet.pause,
                               NGX_HTTP_AGGREGATE_CACHE_FLEET_POLL_MAX);

    delay = ctx->fleet.pause
            - (ngx_msec_t) ngx_random() % (ctx->fleet.pause / 4);

    ctx->wait.timer.handler = ngx_http_aggregate_cache_fleet_lock_retry;
    ctx->wait.timer.data = ctx;
    ctx->wait.timer.log = r->connection->log;

    ngx_add_timer(&ctx->wait.timer, ngx_min((ngx_msec_t) left, delay));

    return NGX_AGAIN;
}


static void
ngx_http_aggregate_cache_fleet_lock_retry(ngx_event_t *ev)
{
    ngx_http_aggregate_cache_resume(ev->data);
}


static void
ngx_http_aggregate_cache_fleet_lock_renew(ngx_event_t *ev)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ev->data;

    (void) ngx_http_aggregate_cache_fleet_lock_eval(ctx,
                                  &ngx_http_aggregate_cache_fleet_renew_script,
                                  0, NGX_HTTP_AGGREGATE_CACHE_FLEET_LEASE);

    ngx_add_timer(ev, NGX_HTTP_AGGREGATE_CACHE_FLEET_RENEWAL);
}


/* called after the SET of what was stored; with hit_for_miss, nothing was */

static void
ngx_http_aggregate_cache_fleet_lock_release(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_msec_t hit_for_miss)
{
    ctx->fleet.held = 0;

    if (ctx->wait.timer.timer_set) {
        ngx_del_timer(&ctx->wait.timer);
    }

    (void) ngx_http_aggregate_cache_fleet_lock_eval(ctx,
                                &ngx_http_aggregate_cache_fleet_release_script,
                                0, hit_for_miss);
}
