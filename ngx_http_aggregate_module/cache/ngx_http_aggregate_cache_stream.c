
/*
 * The stream by which purges reach every node.  A purge is an event in Redis;
 * one worker of each node follows the stream and puts the events into the
 * zone as marks.
 *
 * An entry in Redis carries the epoch of the stream and its place in it.  The
 * marks of a node tell whether it has been purged as long as both belong to
 * the stream that the node follows, from its first event on.
 */


#include "ngx_http_aggregate_cache.h"


/*
 * The arguments: soft; an epoch, should the stream have none; the run of the
 * server as far as this node knows it; hashes of 16 digits each.
 */

static ngx_str_t  ngx_http_aggregate_cache_stream_script = ngx_string(
    "local s, e, r, id = KEYS[1], '', ARGV[3], nil "
    "local l = redis.call('xrevrange', s, '+', '-', 'COUNT', 1)[1] "
    "if l then "
    "for i = 1, #l[2], 2 do "
    "if l[2][i] == 'epoch' then e = l[2][i + 1] end "
    "if l[2][i] == 'run' then r = l[2][i + 1] end "
    "end end "
    "if e == '' then e = ARGV[2] "
    "redis.call('xadd', s, '*', 'hash', '0000000000000001', 'soft', '1', "
    "'epoch', e, 'run', r) end "
    "for h in string.gmatch(ARGV[4], string.rep('%x', 16)) do "
    "id = redis.call('xadd', s, 'MAXLEN', '~', '100000', '*', 'hash', h, "
    "'soft', ARGV[1], 'epoch', e, 'run', r) end "
    "return id");


static void ngx_http_aggregate_cache_stream_known(
    ngx_http_aggregate_redis_follow_t *follow);
static void ngx_http_aggregate_cache_stream_joined(
    ngx_http_aggregate_redis_follow_t *follow);
static void ngx_http_aggregate_cache_stream_entry(
    ngx_http_aggregate_redis_follow_t *follow,
    const agg_redis_entry_t *entry);
static void ngx_http_aggregate_cache_stream_epoch(
    ngx_http_aggregate_cache_zone_t *zone, uint64_t epoch,
    const agg_cache_id_t *id);
static void ngx_http_aggregate_cache_stream_alive(
    ngx_http_aggregate_redis_follow_t *follow);
static void ngx_http_aggregate_cache_stream_clocked(
    ngx_http_aggregate_redis_follow_t *follow);
static void ngx_http_aggregate_cache_stream_lost(
    ngx_http_aggregate_redis_follow_t *follow);


/*
 * Tells all nodes of a purge of PURGE_BATCH names at most.  The handler gets
 * the outcome; without one nobody waits for it.  NULL: it cannot be told at
 * this moment.
 */

ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_cache_remote_purge(ngx_http_aggregate_redis_t *redis,
    const uint64_t *hashes, ngx_uint_t n, ngx_uint_t soft,
    ngx_http_aggregate_redis_pt handler, void *data, ngx_pool_t *pool)
{
    u_char      *p, epoch[NGX_INT64_LEN], run[NGX_INT64_LEN],
                 key[NGX_HTTP_AGGREGATE_REDIS_PREFIX_MAX + 8],
                 text[16 * NGX_HTTP_AGGREGATE_CACHE_PURGE_BATCH];
    ngx_str_t    argv[8];
    ngx_uint_t   i;

    p = text;

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, "%016xL", hashes[i]);
    }

    ngx_str_set(&argv[0], "EVAL");
    argv[1] = ngx_http_aggregate_cache_stream_script;
    ngx_str_set(&argv[2], "1");
    argv[3].data = key;
    argv[3].len = ngx_sprintf(key, "%V{purge}", &redis->prefix) - key;
    argv[4].data = (u_char *) (soft ? "1" : "0");
    argv[4].len = 1;
    argv[5].data = epoch;
    argv[5].len = ngx_sprintf(epoch, "%016xL",
                              ngx_http_aggregate_redis_epoch())
                  - epoch;
    argv[6].data = run;
    argv[6].len = ngx_sprintf(run, "%016xL", (uint64_t) redis->sh->run) - run;
    argv[7].data = text;
    argv[7].len = p - text;

    return ngx_http_aggregate_redis_send(redis, &argv[3], 8, argv, handler,
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
    follow->known = ngx_http_aggregate_cache_stream_known;
    follow->joined = ngx_http_aggregate_cache_stream_joined;
    follow->entry = ngx_http_aggregate_cache_stream_entry;
    follow->alive = ngx_http_aggregate_cache_stream_alive;
    follow->clocked = ngx_http_aggregate_cache_stream_clocked;
    follow->lost = ngx_http_aggregate_cache_stream_lost;

    zone->link = follow;

    ngx_http_aggregate_redis_follow(follow);

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_stream_known(
    ngx_http_aggregate_redis_follow_t *follow)
{
    agg_cache_place_t                 last;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;

    ngx_http_aggregate_cache_enter(zone);

    last = zone->sh->purges->last;

    ngx_http_aggregate_cache_leave(zone);

    follow->epoch = last.epoch;
    follow->last_ms = last.id.ms;
    follow->last_seq = last.id.seq;
}


/*
 * Another stream is read from its first event on; so is one that has lost,
 * at its beginning, events that this node does not know.
 */

static void
ngx_http_aggregate_cache_stream_joined(
    ngx_http_aggregate_redis_follow_t *follow)
{
    agg_cache_place_t                 before;
    agg_cache_purges_t               *purges;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;
    purges = zone->sh->purges;

    before.epoch = follow->epoch;
    before.id.ms = follow->first_ms;
    before.id.seq = follow->first_seq;

    if (before.id.seq) {
        before.id.seq--;

    } else if (before.id.ms) {
        before.id.ms--;
        before.id.seq = UINT64_MAX;
    }

    ngx_http_aggregate_cache_enter(zone);

    if (purges->last.epoch != before.epoch
        || agg_cache_id_compare(&purges->last.id, &before.id) < 0)
    {
        agg_cache_purges_lost(purges, &before);
    }

    follow->last_ms = purges->last.id.ms;
    follow->last_seq = purges->last.id.seq;

    ngx_http_aggregate_cache_leave(zone);

    zone->sh->link_seen = ngx_current_msec;
    zone->sh->link_ready = (follow->last_ms == follow->bound_ms
                            && follow->last_seq == follow->bound_seq);
}


static void
ngx_http_aggregate_cache_stream_entry(
    ngx_http_aggregate_redis_follow_t *follow,
    const agg_redis_entry_t *entry)
{
    size_t                            len, soft_len;
    uint64_t                          hash, epoch;
    const char                       *text, *soft;
    agg_cache_id_t                    id;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;

    id.ms = follow->last_ms;
    id.seq = follow->last_seq;

    text = agg_redis_field(entry, "epoch", &len);
    epoch = agg_redis_hex(text, text ? len : 0);

    ngx_http_aggregate_cache_stream_epoch(zone, epoch, &id);

    text = agg_redis_field(entry, "hash", &len);
    soft = agg_redis_field(entry, "soft", &soft_len);

    /* an entry that says nothing we know purges all: it said something */

    hash = agg_redis_hex(text, text ? len : 0);

    ngx_http_aggregate_cache_mark(zone, &hash, 1,
                                  soft != NULL && soft_len == 1
                                  && soft[0] == '1',
                                  &id);
}


/* the epoch begins with this event; those read again are of older ones */

static void
ngx_http_aggregate_cache_stream_epoch(ngx_http_aggregate_cache_zone_t *zone,
    uint64_t epoch, const agg_cache_id_t *id)
{
    agg_cache_place_t                   before;
    agg_cache_purges_t                 *purges;
    ngx_http_aggregate_redis_follow_t  *follow;

    follow = zone->link;
    purges = zone->sh->purges;

    if (epoch == 0 || epoch == purges->last.epoch
        || id->ms < follow->bound_ms
        || (id->ms == follow->bound_ms && id->seq <= follow->bound_seq))
    {
        return;
    }

    ngx_http_aggregate_cache_enter(zone);

    before = purges->last;
    before.epoch = epoch;

    agg_cache_purges_lost(purges, &before);

    ngx_http_aggregate_cache_leave(zone);
}


static void
ngx_http_aggregate_cache_stream_alive(
    ngx_http_aggregate_redis_follow_t *follow)
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


static void
ngx_http_aggregate_cache_stream_clocked(
    ngx_http_aggregate_redis_follow_t *follow)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;

    zone->sh->link_clock = (ngx_atomic_uint_t) (follow->clock
                                                - ngx_current_msec);
}


/* purges may come that are not heard of: what is in Redis is not used */

static void
ngx_http_aggregate_cache_stream_lost(
    ngx_http_aggregate_redis_follow_t *follow)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = follow->data;

    zone->sh->link_ready = 0;
}
