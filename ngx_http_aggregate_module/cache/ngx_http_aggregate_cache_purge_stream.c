
/*
 * The purge stream brings purges to all nodes.  A purge is an event of a
 * stream in Redis.  One worker of each node reads the stream and marks the
 * hashes of the events in shared memory.
 *
 * An entry in Redis has the epoch of the stream, and the place in it at
 * which it was fetched.  The marks of a node are sufficient to check the entry
 * as long as the node has read the stream of that epoch since that place.
 */


#include "ngx_http_aggregate_cache.h"


/*
 * ARGV: soft; an epoch, in case the stream has none; the run ID of the server
 * as this node knows it; hashes of 16 digits each.
 */

static ngx_str_t  ngx_http_aggregate_cache_purge_stream_script = ngx_string(
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


static void ngx_http_aggregate_cache_purge_stream_known(
    ngx_http_aggregate_redis_stream_t *stream);
static void ngx_http_aggregate_cache_purge_stream_joined(
    ngx_http_aggregate_redis_stream_t *stream);
static void ngx_http_aggregate_cache_purge_stream_event(
    ngx_http_aggregate_redis_stream_t *stream, const agg_redis_entry_t *entry);
static void ngx_http_aggregate_cache_purge_stream_epoch(
    ngx_http_aggregate_cache_zone_t *zone, uint64_t epoch,
    const agg_cache_id_t *id);
static void ngx_http_aggregate_cache_purge_stream_alive(
    ngx_http_aggregate_redis_stream_t *stream);
static void ngx_http_aggregate_cache_purge_stream_clocked(
    ngx_http_aggregate_redis_stream_t *stream);
static void ngx_http_aggregate_cache_purge_stream_lost(
    ngx_http_aggregate_redis_stream_t *stream);


/*
 * Adds a purge of up to PURGE_BATCH hashes to the stream.  The handler is
 * called with the outcome, and may be NULL.  Returns NULL if Redis is
 * unavailable.
 */

ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_cache_purge_stream_add(ngx_http_aggregate_redis_t *redis,
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
    argv[1] = ngx_http_aggregate_cache_purge_stream_script;
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


/* called in one worker of each node */

ngx_int_t
ngx_http_aggregate_cache_purge_stream_start(
    ngx_http_aggregate_cache_zone_t *zone, ngx_cycle_t *cycle)
{
    ngx_http_aggregate_redis_stream_t  *stream;

    stream = ngx_pcalloc(cycle->pool,
                         sizeof(ngx_http_aggregate_redis_stream_t));
    if (stream == NULL) {
        return NGX_ERROR;
    }

    stream->key.data = ngx_pnalloc(cycle->pool, zone->redis->prefix.len + 7);
    if (stream->key.data == NULL) {
        return NGX_ERROR;
    }

    stream->key.len = ngx_sprintf(stream->key.data, "%V{purge}",
                                  &zone->redis->prefix)
                      - stream->key.data;
    stream->redis = zone->redis;
    stream->wait = zone->heartbeat;
    stream->data = zone;
    stream->known = ngx_http_aggregate_cache_purge_stream_known;
    stream->joined = ngx_http_aggregate_cache_purge_stream_joined;
    stream->event = ngx_http_aggregate_cache_purge_stream_event;
    stream->alive = ngx_http_aggregate_cache_purge_stream_alive;
    stream->clocked = ngx_http_aggregate_cache_purge_stream_clocked;
    stream->lost = ngx_http_aggregate_cache_purge_stream_lost;

    zone->stream = stream;

    ngx_http_aggregate_redis_stream_start(stream);

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_purge_stream_known(
    ngx_http_aggregate_redis_stream_t *stream)
{
    agg_cache_place_t                 last;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = stream->data;

    ngx_http_aggregate_cache_zone_lock(zone);

    last = zone->sh->purges->last;

    ngx_http_aggregate_cache_zone_unlock(zone);

    stream->epoch = last.epoch;
    stream->last_ms = last.id.ms;
    stream->last_seq = last.id.seq;
}


/*
 * A stream with another epoch is read from its first event on, and so is a
 * stream that has been trimmed beyond the last event known here.
 */

static void
ngx_http_aggregate_cache_purge_stream_joined(
    ngx_http_aggregate_redis_stream_t *stream)
{
    agg_cache_place_t                 before;
    agg_cache_purges_t               *purges;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = stream->data;
    purges = zone->sh->purges;

    before.epoch = stream->epoch;
    before.id.ms = stream->first_ms;
    before.id.seq = stream->first_seq;

    if (before.id.seq) {
        before.id.seq--;

    } else if (before.id.ms) {
        before.id.ms--;
        before.id.seq = UINT64_MAX;
    }

    ngx_http_aggregate_cache_zone_lock(zone);

    if (purges->last.epoch != before.epoch
        || agg_cache_id_compare(&purges->last.id, &before.id) < 0)
    {
        agg_cache_purges_lost(purges, &before);
    }

    stream->last_ms = purges->last.id.ms;
    stream->last_seq = purges->last.id.seq;

    ngx_http_aggregate_cache_zone_unlock(zone);

    zone->sh->stream_seen = ngx_current_msec;
    zone->sh->stream_ready = (stream->last_ms == stream->bound_ms
                              && stream->last_seq == stream->bound_seq);
}


static void
ngx_http_aggregate_cache_purge_stream_event(
    ngx_http_aggregate_redis_stream_t *stream, const agg_redis_entry_t *entry)
{
    size_t                            len, soft_len;
    uint64_t                          hash, epoch;
    const char                       *text, *soft;
    agg_cache_id_t                    id;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = stream->data;

    id.ms = stream->last_ms;
    id.seq = stream->last_seq;

    text = agg_redis_field(entry, "epoch", &len);
    epoch = agg_redis_hex(text, text ? len : 0);

    ngx_http_aggregate_cache_purge_stream_epoch(zone, epoch, &id);

    text = agg_redis_field(entry, "hash", &len);
    soft = agg_redis_field(entry, "soft", &soft_len);

    /* an event without a valid hash purges everything, to be safe */

    hash = agg_redis_hex(text, text ? len : 0);

    ngx_http_aggregate_cache_purge_mark(zone, &hash, 1,
                                        soft != NULL && soft_len == 1
                                        && soft[0] == '1',
                                        &id);
}


/* a new epoch starts with this event, unless the event is read again */

static void
ngx_http_aggregate_cache_purge_stream_epoch(
    ngx_http_aggregate_cache_zone_t *zone, uint64_t epoch,
    const agg_cache_id_t *id)
{
    agg_cache_place_t                   before;
    agg_cache_purges_t                 *purges;
    ngx_http_aggregate_redis_stream_t  *stream;

    stream = zone->stream;
    purges = zone->sh->purges;

    if (epoch == 0 || epoch == purges->last.epoch
        || id->ms < stream->bound_ms
        || (id->ms == stream->bound_ms && id->seq <= stream->bound_seq))
    {
        return;
    }

    ngx_http_aggregate_cache_zone_lock(zone);

    before = purges->last;
    before.epoch = epoch;

    agg_cache_purges_lost(purges, &before);

    ngx_http_aggregate_cache_zone_unlock(zone);
}


static void
ngx_http_aggregate_cache_purge_stream_alive(
    ngx_http_aggregate_redis_stream_t *stream)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = stream->data;

    zone->sh->stream_seen = ngx_current_msec;

    if (stream->last_ms > stream->bound_ms
        || (stream->last_ms == stream->bound_ms
            && stream->last_seq >= stream->bound_seq))
    {
        zone->sh->stream_ready = 1;
    }
}


static void
ngx_http_aggregate_cache_purge_stream_clocked(
    ngx_http_aggregate_redis_stream_t *stream)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = stream->data;

    zone->sh->stream_clock = (ngx_atomic_uint_t) (stream->clock
                                                  - ngx_current_msec);
}


/* Redis is not used until the stream has been read again */

static void
ngx_http_aggregate_cache_purge_stream_lost(
    ngx_http_aggregate_redis_stream_t *stream)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = stream->data;

    zone->sh->stream_ready = 0;
}
