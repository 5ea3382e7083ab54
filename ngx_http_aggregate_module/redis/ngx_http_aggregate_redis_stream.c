
/*
 * A reader of a stream: on a connection of its own, XREAD waits for the next
 * events.  Empty replies show that the server works.  After a reconnect the
 * stream is read from the last known event; the owner learns if the stream
 * does not have that any more.
 *
 * Each event of the stream has the epoch of the stream and the run ID of the
 * server, so that they are lost together with the events.  A script joins the
 * stream: from its last event it decides whether the epoch is still valid.
 */


#include "ngx_http_aggregate_redis.h"

#include <openssl/rand.h>


static void ngx_http_aggregate_redis_stream_connect(
    ngx_http_aggregate_redis_connection_t *conn);
static void ngx_http_aggregate_redis_stream_closed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why);
static ngx_int_t ngx_http_aggregate_redis_stream_ready(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_int_t ngx_http_aggregate_redis_stream_reply(
    ngx_http_aggregate_redis_connection_t *conn, void *reply);
static ngx_int_t ngx_http_aggregate_redis_stream_error(
    ngx_http_aggregate_redis_stream_t *stream, const char *text, size_t len);
static void ngx_http_aggregate_redis_stream_log_type(
    ngx_http_aggregate_redis_stream_t *stream);
static ngx_int_t ngx_http_aggregate_redis_stream_role(
    ngx_http_aggregate_redis_stream_t *stream, void *reply);
static ngx_int_t ngx_http_aggregate_redis_stream_get_info(
    ngx_http_aggregate_redis_stream_t *stream);
static ngx_int_t ngx_http_aggregate_redis_stream_join(
    ngx_http_aggregate_redis_stream_t *stream, const char *info, size_t len);
static ngx_int_t ngx_http_aggregate_redis_stream_joined(
    ngx_http_aggregate_redis_stream_t *stream, void *reply);
static ngx_int_t ngx_http_aggregate_redis_stream_set_clock(
    ngx_http_aggregate_redis_stream_t *stream, void *seconds,
    void *microseconds);
static ngx_int_t ngx_http_aggregate_redis_stream_read(
    ngx_http_aggregate_redis_stream_t *stream);
static int ngx_http_aggregate_redis_stream_event(void *data,
    const agg_redis_entry_t *entry);


/* milliseconds for a reply, in addition to the time that XREAD blocks */
#define NGX_HTTP_AGGREGATE_REDIS_STREAM_WAIT       2000

#define NGX_HTTP_AGGREGATE_REDIS_STREAM_RETRY      100
#define NGX_HTTP_AGGREGATE_REDIS_STREAM_RETRY_MAX  1600

/* milliseconds between two TIME commands */
#define NGX_HTTP_AGGREGATE_REDIS_STREAM_CLOCK      10000


typedef enum {
    ngx_http_aggregate_redis_stream_ask_role = 0,
    ngx_http_aggregate_redis_stream_ask_info,
    ngx_http_aggregate_redis_stream_ask_join,
    ngx_http_aggregate_redis_stream_ask_time,
    ngx_http_aggregate_redis_stream_ask_events
} ngx_http_aggregate_redis_stream_e;


/*
 * ARGV: the run ID of the server; the known epoch; the last known event, as
 * two numbers, and an ID after it; an epoch for a stream that needs a new one.
 */

static ngx_str_t  ngx_http_aggregate_redis_stream_script = ngx_string(
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


static const ngx_http_aggregate_redis_handlers_t
    ngx_http_aggregate_redis_stream_handlers =
{
    ngx_http_aggregate_redis_stream_connect,  /* connect */
    ngx_http_aggregate_redis_stream_ready,    /* ready */
    NULL,                                     /* read */
    ngx_http_aggregate_redis_stream_reply,    /* reply */
    NULL,                                     /* timeout */
    ngx_http_aggregate_redis_stream_closed,   /* closed */
    ngx_http_aggregate_redis_refused,         /* refused */
    NGX_HTTP_AGGREGATE_REDIS_STREAM_RETRY,
    NGX_HTTP_AGGREGATE_REDIS_STREAM_RETRY_MAX
};


void
ngx_http_aggregate_redis_stream_start(
    ngx_http_aggregate_redis_stream_t *stream)
{
    ngx_http_aggregate_redis_t             *redis;
    ngx_http_aggregate_redis_connection_t  *conn;

    redis = stream->redis;
    conn = &stream->connection;

    conn->handlers = &ngx_http_aggregate_redis_stream_handlers;
    conn->redis = redis;
    conn->user = &redis->user;
    conn->password = &redis->password;
    conn->database = redis->database;
    conn->data = stream;

    ngx_queue_insert_tail(&redis->streams, &stream->queue);

    ngx_http_aggregate_redis_connection_connect_in(conn, 1);
}


void
ngx_http_aggregate_redis_stream_stop(ngx_http_aggregate_redis_stream_t *stream)
{
    ngx_queue_remove(&stream->queue);

    ngx_http_aggregate_redis_connection_end(&stream->connection);
}


static void
ngx_http_aggregate_redis_stream_connect(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_http_aggregate_redis_t         *redis;
    ngx_http_aggregate_redis_node_t    *node;
    ngx_http_aggregate_redis_stream_t  *stream;

    stream = conn->data;
    redis = conn->redis;

    node = redis->topology->route(redis, &stream->key);

    if (node == NULL) {
        ngx_http_aggregate_redis_connection_retry(conn);
        return;
    }

    if (ngx_http_aggregate_redis_connection_open(conn, node,
                                                 redis->connect_timeout
                                             + NGX_HTTP_AGGREGATE_REDIS_IDLE)
        != NGX_OK)
    {
        ngx_http_aggregate_redis_mark_failed(node, "connect() failed");
        ngx_http_aggregate_redis_connection_retry(conn);
    }
}


static void
ngx_http_aggregate_redis_stream_closed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why)
{
    ngx_http_aggregate_redis_t         *redis;
    ngx_http_aggregate_redis_stream_t  *stream;

    stream = conn->data;
    redis = conn->redis;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    stream->lost(stream);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "connection for purges of redis \"%V\" closed: %s",
                  &redis->name, why);

    if (conn->handshake) {
        ngx_http_aggregate_redis_mark_failed(conn->node, why);

    } else if (redis->topology->failed) {
        redis->topology->failed(redis);
    }

    ngx_http_aggregate_redis_connection_retry(conn);
}


/*
 * The commands are ROLE, as the server may be a replica now, INFO for the run
 * ID, the script that joins the stream, and then XREAD again and again.
 */

static ngx_int_t
ngx_http_aggregate_redis_stream_ready(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_str_t                           argv[1];
    ngx_http_aggregate_redis_stream_t  *stream;

    stream = conn->data;

    if (ngx_current_msec - conn->connected_at > stream->redis->timeout) {
        ngx_http_aggregate_redis_replied_late(stream->connection.node, 0);

    } else {
        ngx_http_aggregate_redis_mark_up(stream->connection.node);
    }

    stream->misplaced = stream->redis->sh->misplaced;
    stream->step = ngx_http_aggregate_redis_stream_ask_role;

    ngx_str_set(&argv[0], "ROLE");

    return ngx_http_aggregate_redis_connection_ask(conn, 1, argv,
                                      NGX_HTTP_AGGREGATE_REDIS_STREAM_WAIT);
}


static ngx_int_t
ngx_http_aggregate_redis_stream_reply(
    ngx_http_aggregate_redis_connection_t *conn, void *reply)
{
    int                                 type;
    size_t                              len;
    int64_t                             integer;
    const char                         *text;
    ngx_http_aggregate_redis_stream_t  *stream;

    stream = conn->data;

    type = agg_redis_reply_type(reply, &text, &len, &integer);

    if (type == AGG_REDIS_ERROR
        && ngx_http_aggregate_redis_stream_error(stream, text, len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    switch (stream->step) {

    case ngx_http_aggregate_redis_stream_ask_role:

        if (type != AGG_REDIS_ERROR
            && ngx_http_aggregate_redis_stream_role(stream, reply) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_aggregate_redis_stream_get_info(stream);

    case ngx_http_aggregate_redis_stream_ask_info:

        return ngx_http_aggregate_redis_stream_join(stream,
                               type == AGG_REDIS_BULK ? text : NULL, len);

    case ngx_http_aggregate_redis_stream_ask_join:

        return ngx_http_aggregate_redis_stream_joined(stream, reply);

    case ngx_http_aggregate_redis_stream_ask_time:

        if (agg_redis_elements(reply) == 2
            && ngx_http_aggregate_redis_stream_set_clock(stream,
                                                agg_redis_element(reply, 0),
                                                agg_redis_element(reply, 1))
               == NGX_OK)
        {
            stream->clocked(stream);
        }

        return ngx_http_aggregate_redis_stream_read(stream);

    default: /* ngx_http_aggregate_redis_stream_ask_events */

        if (agg_redis_entries(reply, 1, ngx_http_aggregate_redis_stream_event,
                              stream)
            < 0)
        {
            return NGX_ERROR;
        }

        stream->alive(stream);

        /* another worker may have noticed that this is not the right server */

        return (stream->misplaced == stream->redis->sh->misplaced)
               ? ngx_http_aggregate_redis_stream_read(stream) : NGX_ERROR;
    }
}


/*
 * NGX_OK: the command is not essential.  In a cluster the stream may have
 * moved to another node.
 */

static ngx_int_t
ngx_http_aggregate_redis_stream_error(
    ngx_http_aggregate_redis_stream_t *stream, const char *text, size_t len)
{
    unsigned                          slot;
    ngx_str_t                         error, command;
    agg_redis_address_t               address;
    ngx_http_aggregate_redis_t       *redis;
    ngx_http_aggregate_redis_node_t  *node;

    static const char  *commands[] = {
        "ROLE", "INFO", "EVAL", "TIME", "XREAD"
    };

    redis = stream->redis;

    if (redis->topology->moved == NULL
        || len < 6 || ngx_memcmp(text, "MOVED ", 6) != 0)
    {

        command.data = (u_char *) commands[stream->step];
        command.len = ngx_strlen(command.data);

        error.data = (u_char *) text;
        error.len = len;

        ngx_http_aggregate_redis_refused(stream->connection.node, &command,
                                         &error);

        /* Redis 6 quotes the error of a command in that of the script */

        if (ngx_strnstr(error.data, "WRONGTYPE", error.len)) {
            ngx_http_aggregate_redis_stream_log_type(stream);
        }

        return (stream->step == ngx_http_aggregate_redis_stream_ask_join
                || stream->step == ngx_http_aggregate_redis_stream_ask_events)
               ? NGX_ERROR : NGX_OK;
    }

    if (agg_redis_moved(text + 6, len - 6, &slot, &address) == 0
        && address.length)
    {
        node = ngx_http_aggregate_redis_get_node(redis, &address);

        if (node) {
            redis->topology->moved(redis, slot, node);
        }
    }

    return NGX_ERROR;
}


static void
ngx_http_aggregate_redis_stream_log_type(
    ngx_http_aggregate_redis_stream_t *stream)
{
    ngx_http_aggregate_redis_node_t  *node;

    if (stream->refused_at
        && ngx_current_msec - stream->refused_at
           < NGX_HTTP_AGGREGATE_REDIS_REFUSED)
    {
        return;
    }

    stream->refused_at = ngx_current_msec ? ngx_current_msec : 1;

    node = stream->connection.node;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "key \"%V\" of redis \"%V\" (%V) is not a stream: purges "
                  "reach no other node, and no response is read from redis, "
                  "until the key is deleted", &stream->key,
                  &stream->redis->name, &node->name);
}


/* a replica would refuse purges and entries */

static ngx_int_t
ngx_http_aggregate_redis_stream_role(
    ngx_http_aggregate_redis_stream_t *stream, void *reply)
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

    ngx_http_aggregate_redis_misplaced(stream->connection.node,
                                       "the server is a replica");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_redis_stream_get_info(
    ngx_http_aggregate_redis_stream_t *stream)
{
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "INFO");
    ngx_str_set(&argv[1], "server");

    stream->step = ngx_http_aggregate_redis_stream_ask_info;

    return ngx_http_aggregate_redis_connection_ask(&stream->connection, 2, argv,
                                      NGX_HTTP_AGGREGATE_REDIS_STREAM_WAIT);
}


/* without a run ID, the server is assumed to have never been restarted */

static ngx_int_t
ngx_http_aggregate_redis_stream_join(
    ngx_http_aggregate_redis_stream_t *stream, const char *info, size_t len)
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

    stream->redis->sh->run = (ngx_atomic_uint_t) id;

    stream->known(stream);

    ngx_str_set(&argv[0], "EVAL");
    argv[1] = ngx_http_aggregate_redis_stream_script;
    ngx_str_set(&argv[2], "1");
    argv[3] = stream->key;
    argv[4].data = run;
    argv[4].len = ngx_sprintf(run, "%016xL", id) - run;
    argv[5].data = known;
    argv[5].len = ngx_sprintf(known, "%016xL", stream->epoch) - known;
    argv[6].data = ms;
    argv[6].len = ngx_sprintf(ms, "%uL", stream->last_ms) - ms;
    argv[7].data = seq;
    argv[7].len = ngx_sprintf(seq, "%uL", stream->last_seq) - seq;
    argv[8].data = next;
    argv[8].len = ngx_sprintf(next, "%uL-0", stream->last_ms + 1) - next;
    argv[9].data = fresh;
    argv[9].len = ngx_sprintf(fresh, "%016xL",
                              ngx_http_aggregate_redis_epoch())
                  - fresh;

    stream->step = ngx_http_aggregate_redis_stream_ask_join;

    return ngx_http_aggregate_redis_connection_ask(&stream->connection, 10,
                                     argv,
                                     NGX_HTTP_AGGREGATE_REDIS_STREAM_WAIT);
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
ngx_http_aggregate_redis_stream_joined(
    ngx_http_aggregate_redis_stream_t *stream, void *reply)
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

    stream->epoch = agg_redis_hex(text[0], len[0]);

    if (stream->epoch == 0
        || agg_redis_id(text[1], len[1], &stream->first_ms,
                        &stream->first_seq)
           != 0
        || agg_redis_id(text[2], len[2], &stream->bound_ms,
                        &stream->bound_seq)
           != 0
        || ngx_http_aggregate_redis_stream_set_clock(stream,
                                                 agg_redis_element(reply, 3),
                                                 agg_redis_element(reply, 4))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    stream->clocked(stream);
    stream->joined(stream);
    stream->connection.delay = 0;

    return ngx_http_aggregate_redis_stream_read(stream);
}


static ngx_int_t
ngx_http_aggregate_redis_stream_set_clock(
    ngx_http_aggregate_redis_stream_t *stream, void *seconds,
    void *microseconds)
{
    size_t       len, usec_len;
    time_t       sec;
    int64_t      integer;
    ngx_int_t    usec;
    const char  *text, *usec_text;

    stream->clock_at = ngx_current_msec
                       + NGX_HTTP_AGGREGATE_REDIS_STREAM_CLOCK;

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

    stream->clock = (uint64_t) sec * 1000 + (uint64_t) usec / 1000;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_stream_read(
    ngx_http_aggregate_redis_stream_t *stream)
{
    u_char     id[2 * NGX_INT64_LEN + 1], wait[NGX_INT64_LEN];
    ngx_str_t  argv[8];

    if ((ngx_msec_int_t) (stream->clock_at - ngx_current_msec) <= 0) {

        ngx_str_set(&argv[0], "TIME");

        stream->step = ngx_http_aggregate_redis_stream_ask_time;
        stream->clock_at = ngx_current_msec
                           + NGX_HTTP_AGGREGATE_REDIS_STREAM_CLOCK;

        return ngx_http_aggregate_redis_connection_ask(&stream->connection, 1,
                                       argv,
                                       NGX_HTTP_AGGREGATE_REDIS_STREAM_WAIT);
    }

    ngx_str_set(&argv[0], "XREAD");
    ngx_str_set(&argv[1], "COUNT");
    ngx_str_set(&argv[2], "500");
    ngx_str_set(&argv[3], "BLOCK");
    argv[4].data = wait;
    argv[4].len = ngx_sprintf(wait, "%M", stream->wait) - wait;
    ngx_str_set(&argv[5], "STREAMS");
    argv[6] = stream->key;
    argv[7].data = id;
    argv[7].len = ngx_sprintf(id, "%uL-%uL", stream->last_ms,
                              stream->last_seq)
                  - id;

    stream->step = ngx_http_aggregate_redis_stream_ask_events;

    return ngx_http_aggregate_redis_connection_ask(&stream->connection, 8, argv,
                        stream->wait + NGX_HTTP_AGGREGATE_REDIS_STREAM_WAIT);
}


static int
ngx_http_aggregate_redis_stream_event(void *data,
    const agg_redis_entry_t *entry)
{
    ngx_http_aggregate_redis_stream_t *stream = data;

    uint64_t  ms, seq;

    if (agg_redis_id(entry->id, entry->id_length, &ms, &seq) != 0
        || ms < stream->last_ms
        || (ms == stream->last_ms && seq <= stream->last_seq))
    {
        return -1;
    }

    stream->last_ms = ms;
    stream->last_seq = seq;

    stream->event(stream, entry);

    return 0;
}
