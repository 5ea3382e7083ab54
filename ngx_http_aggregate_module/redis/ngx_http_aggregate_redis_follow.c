
/*
 * Follows a stream: a connection of its own, on which XREAD waits for the
 * next entries.  Its empty answers show that Redis lives.  After a break it
 * goes on where it was; what it was to resume from and is no longer there is
 * told to the owner.
 */


#include "ngx_http_aggregate_redis.h"


static void ngx_http_aggregate_redis_follow_timer(ngx_event_t *ev);
static void ngx_http_aggregate_redis_follow_again(
    ngx_http_aggregate_redis_follow_t *follow);
static ngx_int_t ngx_http_aggregate_redis_follow_ready(
    ngx_http_aggregate_redis_talk_t *talk);
static void ngx_http_aggregate_redis_follow_closed(
    ngx_http_aggregate_redis_talk_t *talk, const char *why);
static ngx_int_t ngx_http_aggregate_redis_follow_reply(
    ngx_http_aggregate_redis_talk_t *talk, void *reply);
static ngx_int_t ngx_http_aggregate_redis_follow_error(
    ngx_http_aggregate_redis_follow_t *follow, const char *text, size_t len);
static ngx_int_t ngx_http_aggregate_redis_follow_range(
    ngx_http_aggregate_redis_follow_t *follow, ngx_uint_t last);
static ngx_int_t ngx_http_aggregate_redis_follow_linked(
    ngx_http_aggregate_redis_follow_t *follow);
static ngx_int_t ngx_http_aggregate_redis_follow_raise(
    ngx_http_aggregate_redis_follow_t *follow);
static ngx_int_t ngx_http_aggregate_redis_follow_next(
    ngx_http_aggregate_redis_follow_t *follow);
static int ngx_http_aggregate_redis_follow_bound(void *data,
    const agg_redis_entry_t *entry);
static int ngx_http_aggregate_redis_follow_entry(void *data,
    const agg_redis_entry_t *entry);


/* for an answer, beyond the time that it may be waited with */
#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT   2000

#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_AGAIN  100
#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_MAX    1600


typedef enum {
    ngx_http_aggregate_redis_follow_role = 0,
    ngx_http_aggregate_redis_follow_first,
    ngx_http_aggregate_redis_follow_last,
    ngx_http_aggregate_redis_follow_raised,
    ngx_http_aggregate_redis_follow_read
} ngx_http_aggregate_redis_follow_e;


void
ngx_http_aggregate_redis_follow(ngx_http_aggregate_redis_follow_t *follow)
{
    follow->timer.handler = ngx_http_aggregate_redis_follow_timer;
    follow->timer.data = follow;
    follow->timer.log = ngx_cycle->log;
    follow->timer.cancelable = 1;

    follow->talk.redis = follow->redis;
    follow->talk.user = &follow->redis->user;
    follow->talk.password = &follow->redis->password;
    follow->talk.select = 1;
    follow->talk.data = follow;
    follow->talk.ready = ngx_http_aggregate_redis_follow_ready;
    follow->talk.reply = ngx_http_aggregate_redis_follow_reply;
    follow->talk.closed = ngx_http_aggregate_redis_follow_closed;

    ngx_queue_insert_tail(&follow->redis->follows, &follow->queue);

    ngx_add_timer(&follow->timer, 1);
}


void
ngx_http_aggregate_redis_unfollow(ngx_http_aggregate_redis_follow_t *follow)
{
    ngx_queue_remove(&follow->queue);

    ngx_http_aggregate_redis_talk_close(&follow->talk, "the worker ends");

    if (follow->timer.timer_set) {
        ngx_del_timer(&follow->timer);
    }
}


static void
ngx_http_aggregate_redis_follow_timer(ngx_event_t *ev)
{
    ngx_http_aggregate_redis_node_t    *node;
    ngx_http_aggregate_redis_follow_t  *follow;

    follow = ev->data;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    node = ngx_http_aggregate_redis_route(follow->redis, &follow->key);

    if (node == NULL) {
        ngx_http_aggregate_redis_follow_again(follow);
        return;
    }

    follow->node = node;

    if (ngx_http_aggregate_redis_talk_open(&follow->talk, node) != NGX_OK) {
        ngx_http_aggregate_redis_failed(node, "connect() failed");
        ngx_http_aggregate_redis_follow_again(follow);
    }
}


static void
ngx_http_aggregate_redis_follow_again(
    ngx_http_aggregate_redis_follow_t *follow)
{
    if (ngx_exiting || ngx_terminate) {
        return;
    }

    follow->delay = ngx_min(ngx_max(follow->delay * 2,
                                    NGX_HTTP_AGGREGATE_REDIS_FOLLOW_AGAIN),
                            NGX_HTTP_AGGREGATE_REDIS_FOLLOW_MAX);

    ngx_add_timer(&follow->timer, follow->delay + ngx_random() % 100);
}


static void
ngx_http_aggregate_redis_follow_closed(ngx_http_aggregate_redis_talk_t *talk,
    const char *why)
{
    ngx_http_aggregate_redis_t         *redis;
    ngx_http_aggregate_redis_follow_t  *follow;

    follow = talk->data;
    redis = follow->redis;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    follow->lost(follow);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "link to redis \"%V\" closed: %s", &redis->name, why);

    if (talk->greetings) {
        ngx_http_aggregate_redis_failed(follow->node, why);

    } else if (redis->clustered) {
        ngx_http_aggregate_redis_cluster_doubt(redis);
    }

    ngx_http_aggregate_redis_follow_again(follow);
}


/*
 * The steps: the role of the server, where sentinels may be wrong about it,
 * the first and the last entry of the stream, and then what comes after the
 * last one known, again and again
 */

static ngx_int_t
ngx_http_aggregate_redis_follow_ready(ngx_http_aggregate_redis_talk_t *talk)
{
    ngx_str_t                           argv[2];
    ngx_http_aggregate_redis_follow_t  *follow;

    follow = talk->data;

    ngx_http_aggregate_redis_worked(follow->node);

    if (follow->redis->sentinels.nelts) {

        follow->step = ngx_http_aggregate_redis_follow_role;

        ngx_str_set(&argv[0], "ROLE");

        return ngx_http_aggregate_redis_talk_ask(talk, 1, argv,
                                      NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);
    }

    return ngx_http_aggregate_redis_follow_range(follow, 0);
}


static ngx_int_t
ngx_http_aggregate_redis_follow_reply(ngx_http_aggregate_redis_talk_t *talk,
    void *reply)
{
    int                                 type;
    size_t                              len;
    int64_t                             integer;
    const char                         *text;
    ngx_http_aggregate_redis_follow_t  *follow;

    follow = talk->data;

    type = agg_redis_reply_type(reply, &text, &len, &integer);

    /* another node may have raised the stream already */

    if (type == AGG_REDIS_ERROR
        && follow->step != ngx_http_aggregate_redis_follow_raised)
    {
        return ngx_http_aggregate_redis_follow_error(follow, text, len);
    }

    switch (follow->step) {

    case ngx_http_aggregate_redis_follow_role:

        if (agg_redis_elements(reply) == 0
            || agg_redis_reply_type(agg_redis_element(reply, 0), &text, &len,
                                    &integer)
               != AGG_REDIS_BULK
            || len != 6 || ngx_memcmp(text, "master", 6) != 0)
        {
            ngx_http_aggregate_redis_sentinel_doubt(follow->redis);
            return NGX_ERROR;
        }

        return ngx_http_aggregate_redis_follow_range(follow, 0);

    case ngx_http_aggregate_redis_follow_first:
    case ngx_http_aggregate_redis_follow_last:

        follow->bound_ms = 0;
        follow->bound_seq = 0;

        if (agg_redis_entries(reply, 0, ngx_http_aggregate_redis_follow_bound,
                              follow)
            < 0)
        {
            return NGX_ERROR;
        }

        if (follow->step == ngx_http_aggregate_redis_follow_last) {
            return ngx_http_aggregate_redis_follow_linked(follow);
        }

        follow->first_ms = follow->bound_ms;
        follow->first_seq = follow->bound_seq;

        return ngx_http_aggregate_redis_follow_range(follow, 1);

    case ngx_http_aggregate_redis_follow_raised:

        return ngx_http_aggregate_redis_follow_next(follow);

    default: /* ngx_http_aggregate_redis_follow_read */

        if (agg_redis_entries(reply, 1, ngx_http_aggregate_redis_follow_entry,
                              follow)
            < 0)
        {
            return NGX_ERROR;
        }

        follow->alive(follow);

        return ngx_http_aggregate_redis_follow_next(follow);
    }
}


/* in a cluster, the stream may be elsewhere now */

static ngx_int_t
ngx_http_aggregate_redis_follow_error(
    ngx_http_aggregate_redis_follow_t *follow, const char *text, size_t len)
{
    unsigned                          slot;
    agg_redis_address_t               address;
    ngx_http_aggregate_redis_t       *redis;
    ngx_http_aggregate_redis_node_t  *node;

    redis = follow->redis;

    if (!redis->clustered || len < 6 || ngx_memcmp(text, "MOVED ", 6) != 0
        || agg_redis_moved(text + 6, len - 6, &slot, &address) != 0)
    {
        return NGX_ERROR;
    }

    node = address.length ? ngx_http_aggregate_redis_node(redis, &address)
                          : NULL;

    if (node) {
        ngx_http_aggregate_redis_cluster_moved(redis, slot, node);
    }

    return NGX_ERROR;
}


/* the first entry of the stream, or the last one */

static ngx_int_t
ngx_http_aggregate_redis_follow_range(
    ngx_http_aggregate_redis_follow_t *follow, ngx_uint_t last)
{
    ngx_str_t  argv[6];

    if (last) {
        ngx_str_set(&argv[0], "XREVRANGE");
        ngx_str_set(&argv[2], "+");
        ngx_str_set(&argv[3], "-");

        follow->step = ngx_http_aggregate_redis_follow_last;

    } else {
        ngx_str_set(&argv[0], "XRANGE");
        ngx_str_set(&argv[2], "-");
        ngx_str_set(&argv[3], "+");

        follow->step = ngx_http_aggregate_redis_follow_first;
    }

    argv[1] = follow->key;
    ngx_str_set(&argv[4], "COUNT");
    ngx_str_set(&argv[5], "1");

    return ngx_http_aggregate_redis_talk_ask(&follow->talk, 6, argv,
                                       NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);
}


static ngx_int_t
ngx_http_aggregate_redis_follow_linked(
    ngx_http_aggregate_redis_follow_t *follow)
{
    follow->raise_ms = 0;
    follow->raise_seq = 0;

    follow->linked(follow);
    follow->delay = 0;

    if (follow->raise_ms || follow->raise_seq) {
        return ngx_http_aggregate_redis_follow_raise(follow);
    }

    return ngx_http_aggregate_redis_follow_next(follow);
}


static ngx_int_t
ngx_http_aggregate_redis_follow_raise(
    ngx_http_aggregate_redis_follow_t *follow)
{
    u_char     id[2 * NGX_INT64_LEN + 1];
    ngx_str_t  argv[7];

    ngx_str_set(&argv[0], "XADD");
    argv[1] = follow->key;
    argv[2].data = id;
    argv[2].len = ngx_sprintf(id, "%uL-%uL", follow->raise_ms,
                              follow->raise_seq)
                  - id;
    ngx_str_set(&argv[3], "hash");
    ngx_str_set(&argv[4], "0000000000000001");
    ngx_str_set(&argv[5], "soft");
    ngx_str_set(&argv[6], "1");

    follow->step = ngx_http_aggregate_redis_follow_raised;

    return ngx_http_aggregate_redis_talk_ask(&follow->talk, 7, argv,
                                       NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);
}


static ngx_int_t
ngx_http_aggregate_redis_follow_next(
    ngx_http_aggregate_redis_follow_t *follow)
{
    u_char     id[2 * NGX_INT64_LEN + 1], wait[NGX_INT64_LEN];
    ngx_str_t  argv[8];

    ngx_str_set(&argv[0], "XREAD");
    ngx_str_set(&argv[1], "COUNT");
    ngx_str_set(&argv[2], "500");
    ngx_str_set(&argv[3], "BLOCK");
    argv[4].data = wait;
    argv[4].len = ngx_sprintf(wait, "%M", follow->wait) - wait;
    ngx_str_set(&argv[5], "STREAMS");
    argv[6] = follow->key;
    argv[7].data = id;
    argv[7].len = ngx_sprintf(id, "%uL-%uL", follow->last_ms,
                              follow->last_seq)
                  - id;

    follow->step = ngx_http_aggregate_redis_follow_read;

    return ngx_http_aggregate_redis_talk_ask(&follow->talk, 8, argv,
                        follow->wait + NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);
}


static int
ngx_http_aggregate_redis_follow_bound(void *data,
    const agg_redis_entry_t *entry)
{
    ngx_http_aggregate_redis_follow_t *follow = data;

    return agg_redis_id(entry->id, entry->id_length, &follow->bound_ms,
                        &follow->bound_seq);
}


static int
ngx_http_aggregate_redis_follow_entry(void *data,
    const agg_redis_entry_t *entry)
{
    ngx_http_aggregate_redis_follow_t *follow = data;

    uint64_t  ms, seq;

    if (agg_redis_id(entry->id, entry->id_length, &ms, &seq) != 0
        || ms < follow->last_ms
        || (ms == follow->last_ms && seq <= follow->last_seq))
    {
        return -1;
    }

    follow->last_ms = ms;
    follow->last_seq = seq;

    follow->entry(follow, entry);

    return 0;
}
