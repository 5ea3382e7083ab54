
/*
 * One fetch for a key in the whole fleet.  The one request of a node that
 * fetches takes a lock in Redis first; the others of the fleet come again in
 * short intervals until there is an entry, or no lock.
 *
 * The lock is a lease, much shorter than a fetch may take, which its holder
 * renews: a node that dies holds up the others for the rest of it only.  When
 * the response turns out not to be storable, the lock becomes a mark that
 * says so, and all others go to the backend at once.
 *
 * Look and lock are one script, so that a lock is never given to one who has
 * not seen the entry that its last holder stored.  What has been looked at
 * already and is of no use does not count as an entry.
 */


#include "ngx_http_aggregate_cache.h"
#include <openssl/rand.h>


/* milliseconds: of the lease, and between two renewals */
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_LEASE    1000
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_RENEWAL  300

/* between two looks of one who waits */
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_POLL_MIN  20
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_POLL_MAX  150

/* the answers of the script, more than these: milliseconds of a mark */
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_MINE      0
#define NGX_HTTP_AGGREGATE_CACHE_FLEET_TAKEN     1


static ngx_http_aggregate_redis_op_t *ngx_http_aggregate_cache_fleet_eval(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *script, ngx_uint_t wait,
    ngx_msec_t time);
static ngx_int_t ngx_http_aggregate_cache_fleet_token(
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_fleet_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_fleet_look_again(ngx_event_t *ev);
static void ngx_http_aggregate_cache_fleet_renew(ngx_event_t *ev);


static ngx_str_t  ngx_http_aggregate_cache_fleet_take = ngx_string(
    "local v = redis.call('get', KEYS[1]) "
    "if v and string.sub(v, 17, 112) ~= ARGV[3] then return v end "
    "if redis.call('set', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then "
    "return 0 end "
    "if redis.call('get', KEYS[2]) ~= '-' then return 1 end "
    "return math.max(redis.call('pttl', KEYS[2]), 2)");

static ngx_str_t  ngx_http_aggregate_cache_fleet_extend = ngx_string(
    "if redis.call('get', KEYS[2]) == ARGV[1] then "
    "redis.call('pexpire', KEYS[2], ARGV[2]) end");

static ngx_str_t  ngx_http_aggregate_cache_fleet_end = ngx_string(
    "if redis.call('get', KEYS[2]) ~= ARGV[1] then return end "
    "if ARGV[2] == '0' then redis.call('del', KEYS[2]) "
    "else redis.call('set', KEYS[2], '-', 'PX', ARGV[2]) end");


/* NGX_AGAIN: asked for the lock; NGX_DECLINED: the fetch needs none */

ngx_int_t
ngx_http_aggregate_cache_fleet_claim(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->leader || ctx->conf->redis == NULL
        || !ctx->zone->sh->link_ready)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_fleet_token(ctx) != NGX_OK) {
        return NGX_DECLINED;
    }

    ctx->op = ngx_http_aggregate_cache_fleet_eval(ctx,
                                         &ngx_http_aggregate_cache_fleet_take,
                                         1,
                                         NGX_HTTP_AGGREGATE_CACHE_FLEET_LEASE);
    if (ctx->op == NULL) {
        return NGX_DECLINED;
    }

    /* the lock may be ours until an answer, possibly late, says otherwise */

    ctx->fleet = 1;

    return ngx_http_aggregate_cache_park(r);
}


static ngx_int_t
ngx_http_aggregate_cache_fleet_token(ngx_http_aggregate_cache_ctx_t *ctx)
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

    if (ctx->fleet_count == 0) {
        ctx->fleet_node = node;
        ctx->fleet_count = ++count;
    }

    return NGX_OK;
}


static ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_cache_fleet_eval(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_str_t *script, ngx_uint_t wait, ngx_msec_t time)
{
    u_char     *p, key[NGX_HTTP_AGGREGATE_CACHE_REMOTE_KEY + 2],
                token[2 * NGX_INT64_LEN], ms[NGX_INT64_LEN];
    ngx_str_t   argv[8];

    /* both keys are of one slot in a cluster, and differ in their end */

    p = ngx_http_aggregate_cache_remote_write_key(ctx, key, ctx->variant);

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
    argv[5].len = ngx_sprintf(token, "%016xL%016xL", ctx->fleet_node,
                              ctx->fleet_count)
                  - token;
    argv[6].data = ms;
    argv[6].len = ngx_sprintf(ms, "%M", time) - ms;
    argv[7].data = ctx->seen;
    argv[7].len = ctx->nseen;

    return ngx_http_aggregate_cache_remote_send(ctx, &argv[3], 8, argv, wait);
}


/*
 * NGX_OK: there is an entry to be looked at; NGX_AGAIN: another one fetches,
 * and this one comes again; NGX_DECLINED: to the origin
 */

ngx_int_t
ngx_http_aggregate_cache_fleet_claimed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->remote_rc != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ctx->reply.data) {
        ctx->fleet = 0;
        return NGX_OK;
    }

    if (ctx->reply_integer == NGX_HTTP_AGGREGATE_CACHE_FLEET_MINE) {

        ctx->timer.handler = ngx_http_aggregate_cache_fleet_renew;
        ctx->timer.data = ctx;
        ctx->timer.log = r->connection->log;

        ngx_add_timer(&ctx->timer, NGX_HTTP_AGGREGATE_CACHE_FLEET_RENEWAL);

        return NGX_DECLINED;
    }

    ctx->fleet = 0;

    if (ctx->reply_integer == NGX_HTTP_AGGREGATE_CACHE_FLEET_TAKEN) {
        return ngx_http_aggregate_cache_fleet_wait(r, ctx);
    }

    if (ctx->reply_integer > NGX_HTTP_AGGREGATE_CACHE_FLEET_TAKEN) {

        /* not kept on another node: nobody waits for it here either */

        ngx_http_aggregate_cache_land(ctx,
                                      ngx_min((ngx_msec_t) ctx->reply_integer,
                                              NGX_HTTP_AGGREGATE_CACHE_PASS));
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_aggregate_cache_fleet_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_msec_t      delay;
    ngx_msec_int_t  left;

    left = ngx_http_aggregate_cache_patience(ctx);

    if (left <= 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_park(r) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ctx->pause = ngx_max(ctx->pause * 2,
                         NGX_HTTP_AGGREGATE_CACHE_FLEET_POLL_MIN);
    ctx->pause = ngx_min(ctx->pause,
                         NGX_HTTP_AGGREGATE_CACHE_FLEET_POLL_MAX);

    delay = ctx->pause - (ngx_msec_t) ngx_random() % (ctx->pause / 4);

    ctx->timer.handler = ngx_http_aggregate_cache_fleet_look_again;
    ctx->timer.data = ctx;
    ctx->timer.log = r->connection->log;

    ngx_add_timer(&ctx->timer, ngx_min((ngx_msec_t) left, delay));

    return NGX_AGAIN;
}


static void
ngx_http_aggregate_cache_fleet_look_again(ngx_event_t *ev)
{
    ngx_http_aggregate_cache_resume(ev->data);
}


static void
ngx_http_aggregate_cache_fleet_renew(ngx_event_t *ev)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ev->data;

    (void) ngx_http_aggregate_cache_fleet_eval(ctx,
                                       &ngx_http_aggregate_cache_fleet_extend,
                                       0,
                                       NGX_HTTP_AGGREGATE_CACHE_FLEET_LEASE);

    ngx_add_timer(ev, NGX_HTTP_AGGREGATE_CACHE_FLEET_RENEWAL);
}


/* after what was stored has been sent; with pass, nothing was to be stored */

void
ngx_http_aggregate_cache_fleet_release(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_msec_t pass)
{
    ctx->fleet = 0;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    (void) ngx_http_aggregate_cache_fleet_eval(ctx,
                                          &ngx_http_aggregate_cache_fleet_end,
                                          0, pass);
}
