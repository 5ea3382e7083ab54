
/*
 * Follows a stream: a connection of its own, on which XREAD waits for the
 * next entries.  Empty answers show that Redis lives.  After a break it
 * resumes where it was; the owner is told when what it resumes from is no
 * longer there.
 *
 * Each entry of the stream carries the stream's epoch and the run of the
 * server, so they are lost together with it.  One script joins: it looks at
 * the last entry and decides whether the stream goes on or is another one.
 */


#include "ngx_http_aggregate_redis.h"

#include <openssl/rand.h>


static void ngx_http_aggregate_redis_follow_timer(ngx_event_t *ev);
static void ngx_http_aggregate_redis_follow_again(
    ngx_http_aggregate_redis_follow_t *follow);
static void ngx_http_aggregate_redis_follow_closed(
    ngx_http_aggregate_redis_talk_t *talk, const char *why);
static ngx_int_t ngx_http_aggregate_redis_follow_ready(
    ngx_http_aggregate_redis_talk_t *talk);
static ngx_int_t ngx_http_aggregate_redis_follow_reply(
    ngx_http_aggregate_redis_talk_t *talk, void *reply);
static ngx_int_t ngx_http_aggregate_redis_follow_error(
    ngx_http_aggregate_redis_follow_t *follow, const char *text, size_t len);
static ngx_int_t ngx_http_aggregate_redis_follow_role(
    ngx_http_aggregate_redis_follow_t *follow, void *reply);
static ngx_int_t ngx_http_aggregate_redis_follow_info(
    ngx_http_aggregate_redis_follow_t *follow);
static ngx_int_t ngx_http_aggregate_redis_follow_join(
    ngx_http_aggregate_redis_follow_t *follow, const char *info, size_t len);
static ngx_int_t ngx_http_aggregate_redis_follow_joined(
    ngx_http_aggregate_redis_follow_t *follow, void *reply);
static ngx_int_t ngx_http_aggregate_redis_follow_clock(
    ngx_http_aggregate_redis_follow_t *follow, void *seconds,
    void *microseconds);
static ngx_int_t ngx_http_aggregate_redis_follow_next(
    ngx_http_aggregate_redis_follow_t *follow);
static int ngx_http_aggregate_redis_follow_entry(void *data,
    const agg_redis_entry_t *entry);


/* for an answer, beyond the time that it may be waited with */
#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT   2000

#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_AGAIN  100
#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_MAX    1600

/* between two looks at the server's clock */
#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_CLOCK  10000


typedef enum {
    ngx_http_aggregate_redis_follow_ask_role = 0,
    ngx_http_aggregate_redis_follow_ask_info,
    ngx_http_aggregate_redis_follow_ask_join,
    ngx_http_aggregate_redis_follow_ask_time,
    ngx_http_aggregate_redis_follow_read
} ngx_http_aggregate_redis_follow_e;


/*
 * The arguments: the run of the server; the epoch known; the place known, as
 * two numbers, and the next one; an epoch for a stream that is another one.
 */

static ngx_str_t  ngx_http_aggregate_redis_follow_script = ngx_string(
    "local s, e, r, m, n = KEYS[1], '', '', 0, 0 "
    "local l = redis.call('xrevrange', s, '+', '-', 'COUNT', 1)[1] "
    "if l then "
    "for i = 1, #l[2], 2 do "
    "if l[2][i] == 'epoch' then e = l[2][i + 1] end "
    "if l[2][i] == 'run' then r = l[2][i + 1] end "
    "end "
    "m, n = string.match(l[1], '(%d+)-(%d+)') "
    "m, n = tonumber(m), tonumber(n) "
    "end "
    "local t, km, kn = redis.call('time'), tonumber(ARGV[3]), "
    "tonumber(ARGV[4]) "
    "local behind = km > m or (km == m and kn > n) "
    "if e == '' or behind or (r ~= ARGV[1] and e ~= ARGV[2]) then "
    "e = ARGV[6] r = '' end "
    "if r ~= ARGV[1] then "
    "local id = '*' "
    "if behind and km >= t[1] * 1000 + math.floor(t[2] / 1000) then "
    "id = ARGV[5] end "
    "redis.call('xadd', s, id, 'hash', '0000000000000001', 'soft', '1', "
    "'epoch', e, 'run', ARGV[1]) "
    "end "
    "return { e, redis.call('xrange', s, '-', '+', 'COUNT', 1)[1][1], "
    "redis.call('xrevrange', s, '+', '-', 'COUNT', 1)[1][1], t[1], t[2] }");


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
 * The steps: the role of the server, about which sentinels and names may be
 * wrong, its run, the stream, and then what comes after the last entry known,
 * again and again
 */

static ngx_int_t
ngx_http_aggregate_redis_follow_ready(ngx_http_aggregate_redis_talk_t *talk)
{
    ngx_str_t                           argv[1];
    ngx_http_aggregate_redis_follow_t  *follow;

    follow = talk->data;

    if (ngx_current_msec - talk->greeted_at > follow->redis->timeout) {
        ngx_http_aggregate_redis_replied_late(follow->node, 0);

    } else {
        ngx_http_aggregate_redis_worked(follow->node);
    }

    follow->misplaced = follow->redis->sh->misplaced;
    follow->step = ngx_http_aggregate_redis_follow_ask_role;

    ngx_str_set(&argv[0], "ROLE");

    return ngx_http_aggregate_redis_talk_ask(talk, 1, argv,
                                      NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);
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

    if (type == AGG_REDIS_ERROR
        && ngx_http_aggregate_redis_follow_error(follow, text, len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    switch (follow->step) {

    case ngx_http_aggregate_redis_follow_ask_role:

        if (type != AGG_REDIS_ERROR
            && ngx_http_aggregate_redis_follow_role(follow, reply) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_aggregate_redis_follow_info(follow);

    case ngx_http_aggregate_redis_follow_ask_info:

        return ngx_http_aggregate_redis_follow_join(follow,
                               type == AGG_REDIS_BULK ? text : NULL, len);

    case ngx_http_aggregate_redis_follow_ask_join:

        return ngx_http_aggregate_redis_follow_joined(follow, reply);

    case ngx_http_aggregate_redis_follow_ask_time:

        if (agg_redis_elements(reply) == 2
            && ngx_http_aggregate_redis_follow_clock(follow,
                                                agg_redis_element(reply, 0),
                                                agg_redis_element(reply, 1))
               == NGX_OK)
        {
            follow->clocked(follow);
        }

        return ngx_http_aggregate_redis_follow_next(follow);

    default: /* ngx_http_aggregate_redis_follow_read */

        if (agg_redis_entries(reply, 1, ngx_http_aggregate_redis_follow_entry,
                              follow)
            < 0)
        {
            return NGX_ERROR;
        }

        follow->alive(follow);

        /* another worker may have found that this is not the server */

        return (follow->misplaced == follow->redis->sh->misplaced)
               ? ngx_http_aggregate_redis_follow_next(follow) : NGX_ERROR;
    }
}


/*
 * NGX_OK: the stream can be followed all the same.  In a cluster it may be
 * on another node now.
 */

static ngx_int_t
ngx_http_aggregate_redis_follow_error(
    ngx_http_aggregate_redis_follow_t *follow, const char *text, size_t len)
{
    unsigned                          slot;
    ngx_str_t                         error, command;
    agg_redis_address_t               address;
    ngx_http_aggregate_redis_t       *redis;
    ngx_http_aggregate_redis_node_t  *node;

    static const char  *commands[] = {
        "ROLE", "INFO", "EVAL", "TIME", "XREAD"
    };

    redis = follow->redis;

    if (!redis->clustered || len < 6 || ngx_memcmp(text, "MOVED ", 6) != 0) {

        command.data = (u_char *) commands[follow->step];
        command.len = ngx_strlen(command.data);

        error.data = (u_char *) text;
        error.len = len;

        ngx_http_aggregate_redis_refused(follow->node, &command, &error);

        return (follow->step == ngx_http_aggregate_redis_follow_ask_join
                || follow->step == ngx_http_aggregate_redis_follow_read)
               ? NGX_ERROR : NGX_OK;
    }

    if (agg_redis_moved(text + 6, len - 6, &slot, &address) == 0
        && address.length)
    {
        node = ngx_http_aggregate_redis_node(redis, &address);

        if (node) {
            ngx_http_aggregate_redis_cluster_moved(redis, slot, node);
        }
    }

    return NGX_ERROR;
}


/* purges and entries go to a master only */

static ngx_int_t
ngx_http_aggregate_redis_follow_role(
    ngx_http_aggregate_redis_follow_t *follow, void *reply)
{
    size_t       len;
    int64_t      integer;
    const char  *text;

    if (agg_redis_elements(reply) != 0
        && agg_redis_reply_type(agg_redis_element(reply, 0), &text, &len,
                                &integer)
           == AGG_REDIS_BULK
        && len == 6 && ngx_memcmp(text, "master", 6) == 0)
    {
        return NGX_OK;
    }

    ngx_http_aggregate_redis_misplaced(follow->node, "it is a replica");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_redis_follow_info(
    ngx_http_aggregate_redis_follow_t *follow)
{
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "INFO");
    ngx_str_set(&argv[1], "server");

    follow->step = ngx_http_aggregate_redis_follow_ask_info;

    return ngx_http_aggregate_redis_talk_ask(&follow->talk, 2, argv,
                                      NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);
}


/* a server that does not tell its run is taken for one that never ends */

static ngx_int_t
ngx_http_aggregate_redis_follow_join(
    ngx_http_aggregate_redis_follow_t *follow, const char *info, size_t len)
{
    size_t       n;
    u_char       run[NGX_INT64_LEN], known[NGX_INT64_LEN],
                 fresh[NGX_INT64_LEN], ms[NGX_INT64_LEN], seq[NGX_INT64_LEN],
                 next[NGX_INT64_LEN + 2];
    uint64_t     id;
    ngx_str_t    argv[10];
    const char  *text;

    text = info ? agg_redis_info(info, len, "run_id", &n) : NULL;
    id = text ? agg_redis_hex(text, n) : 0;

    follow->redis->sh->run = (ngx_atomic_uint_t) id;

    follow->known(follow);

    ngx_str_set(&argv[0], "EVAL");
    argv[1] = ngx_http_aggregate_redis_follow_script;
    ngx_str_set(&argv[2], "1");
    argv[3] = follow->key;
    argv[4].data = run;
    argv[4].len = ngx_sprintf(run, "%016xL", id) - run;
    argv[5].data = known;
    argv[5].len = ngx_sprintf(known, "%016xL", follow->epoch) - known;
    argv[6].data = ms;
    argv[6].len = ngx_sprintf(ms, "%uL", follow->last_ms) - ms;
    argv[7].data = seq;
    argv[7].len = ngx_sprintf(seq, "%uL", follow->last_seq) - seq;
    argv[8].data = next;
    argv[8].len = ngx_sprintf(next, "%uL-0", follow->last_ms + 1) - next;
    argv[9].data = fresh;
    argv[9].len = ngx_sprintf(fresh, "%016xL",
                              ngx_http_aggregate_redis_epoch())
                  - fresh;

    follow->step = ngx_http_aggregate_redis_follow_ask_join;

    return ngx_http_aggregate_redis_talk_ask(&follow->talk, 10, argv,
                                      NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);
}


uint64_t
ngx_http_aggregate_redis_epoch(void)
{
    uint64_t  epoch;

    if (RAND_bytes((u_char *) &epoch, sizeof(uint64_t)) != 1) {
        epoch = ((uint64_t) ngx_random() << 32) ^ (uint64_t) ngx_random()
                ^ ((uint64_t) ngx_pid << 16);
    }

    return epoch ? epoch : 1;
}


static ngx_int_t
ngx_http_aggregate_redis_follow_joined(
    ngx_http_aggregate_redis_follow_t *follow, void *reply)
{
    size_t       i, len[3];
    int64_t      integer;
    const char  *text[3];

    if (agg_redis_elements(reply) != 5) {
        return NGX_ERROR;
    }

    for (i = 0; i < 3; i++) {
        if (agg_redis_reply_type(agg_redis_element(reply, i), &text[i],
                                 &len[i], &integer)
            != AGG_REDIS_BULK)
        {
            return NGX_ERROR;
        }
    }

    follow->epoch = agg_redis_hex(text[0], len[0]);

    if (follow->epoch == 0
        || agg_redis_id(text[1], len[1], &follow->first_ms,
                        &follow->first_seq)
           != 0
        || agg_redis_id(text[2], len[2], &follow->bound_ms,
                        &follow->bound_seq)
           != 0
        || ngx_http_aggregate_redis_follow_clock(follow,
                                                 agg_redis_element(reply, 3),
                                                 agg_redis_element(reply, 4))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    follow->clocked(follow);
    follow->joined(follow);
    follow->delay = 0;

    return ngx_http_aggregate_redis_follow_next(follow);
}


static ngx_int_t
ngx_http_aggregate_redis_follow_clock(
    ngx_http_aggregate_redis_follow_t *follow, void *seconds,
    void *microseconds)
{
    size_t       len, usec_len;
    time_t       sec;
    int64_t      integer;
    ngx_int_t    usec;
    const char  *text, *usec_text;

    follow->clock_at = ngx_current_msec
                       + NGX_HTTP_AGGREGATE_REDIS_FOLLOW_CLOCK;

    if (agg_redis_reply_type(seconds, &text, &len, &integer) != AGG_REDIS_BULK
        || agg_redis_reply_type(microseconds, &usec_text, &usec_len, &integer)
           != AGG_REDIS_BULK)
    {
        return NGX_ERROR;
    }

    sec = ngx_atotm((u_char *) text, len);
    usec = ngx_atoi((u_char *) usec_text, usec_len);

    if (sec == NGX_ERROR || usec == NGX_ERROR || sec > INT64_MAX / 4000) {
        return NGX_ERROR;
    }

    follow->clock = (uint64_t) sec * 1000 + (uint64_t) usec / 1000;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_follow_next(
    ngx_http_aggregate_redis_follow_t *follow)
{
    u_char     id[2 * NGX_INT64_LEN + 1], wait[NGX_INT64_LEN];
    ngx_str_t  argv[8];

    if ((ngx_msec_int_t) (follow->clock_at - ngx_current_msec) <= 0) {

        ngx_str_set(&argv[0], "TIME");

        follow->step = ngx_http_aggregate_redis_follow_ask_time;
        follow->clock_at = ngx_current_msec
                           + NGX_HTTP_AGGREGATE_REDIS_FOLLOW_CLOCK;

        return ngx_http_aggregate_redis_talk_ask(&follow->talk, 1, argv,
                                       NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);
    }

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
