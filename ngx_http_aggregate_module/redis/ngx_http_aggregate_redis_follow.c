
/*
 * Follows a stream: a connection of its own, on which XREAD waits for the
 * next entries.  Its empty answers show that Redis lives.  After a break it
 * goes on where it was; what it was to resume from and is no longer there is
 * told to the owner.
 */


#include "ngx_http_aggregate_redis.h"


static void ngx_http_aggregate_redis_follow_open(
    ngx_http_aggregate_redis_follow_t *follow);
static void ngx_http_aggregate_redis_follow_close(
    ngx_http_aggregate_redis_follow_t *follow, const char *why);
static ngx_int_t ngx_http_aggregate_redis_follow_ask(
    ngx_http_aggregate_redis_follow_t *follow, ngx_uint_t argc,
    ngx_str_t *argv);
static void ngx_http_aggregate_redis_follow_write(ngx_event_t *wev);
static void ngx_http_aggregate_redis_follow_read(ngx_event_t *rev);
static ngx_int_t ngx_http_aggregate_redis_follow_reply(
    ngx_http_aggregate_redis_follow_t *follow, void *reply);
static ngx_int_t ngx_http_aggregate_redis_follow_raise(
    ngx_http_aggregate_redis_follow_t *follow);
static ngx_int_t ngx_http_aggregate_redis_follow_next(
    ngx_http_aggregate_redis_follow_t *follow);
static int ngx_http_aggregate_redis_follow_bound(void *data,
    const agg_redis_entry_t *entry);
static int ngx_http_aggregate_redis_follow_entry(void *data,
    const agg_redis_entry_t *entry);
static void ngx_http_aggregate_redis_follow_timer(ngx_event_t *ev);


#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT   7000
#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_AGAIN  100
#define NGX_HTTP_AGGREGATE_REDIS_FOLLOW_MAX    1600


void
ngx_http_aggregate_redis_follow(ngx_http_aggregate_redis_follow_t *follow)
{
    follow->timer.handler = ngx_http_aggregate_redis_follow_timer;
    follow->timer.data = follow;
    follow->timer.log = ngx_cycle->log;
    follow->timer.cancelable = 1;

    ngx_add_timer(&follow->timer, 1);
}


static void
ngx_http_aggregate_redis_follow_timer(ngx_event_t *ev)
{
    ngx_http_aggregate_redis_follow_t  *follow;

    follow = ev->data;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    if (follow->peer.connection) {
        ngx_http_aggregate_redis_follow_close(follow, "it is silent");
        return;
    }

    ngx_http_aggregate_redis_follow_open(follow);
}


static void
ngx_http_aggregate_redis_follow_open(
    ngx_http_aggregate_redis_follow_t *follow)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    follow->reader = agg_redis_reader_create();

    rc = ngx_http_aggregate_redis_peer(&follow->peer, follow->redis,
                                       ngx_cycle->log);

    if (follow->reader == NULL || rc == NGX_ERROR || rc == NGX_BUSY
        || rc == NGX_DECLINED)
    {
        ngx_http_aggregate_redis_follow_close(follow, "connect() failed");
        return;
    }

    c = follow->peer.connection;

    c->data = follow;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_aggregate_redis_follow_read;
    c->write->handler = ngx_http_aggregate_redis_follow_write;
    c->idle = 1;

    follow->out = ngx_http_aggregate_redis_greeting(follow->redis,
                                                    &follow->out_len,
                                                    &follow->greetings);
    follow->out_sent = 0;
    follow->step = 0;

    if (follow->out == NULL) {
        ngx_http_aggregate_redis_follow_close(follow, "no memory");
        return;
    }

    ngx_add_timer(&follow->timer, follow->redis->connect_timeout + 1000);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


static void
ngx_http_aggregate_redis_follow_close(
    ngx_http_aggregate_redis_follow_t *follow, const char *why)
{
    if (follow->peer.connection) {
        ngx_close_connection(follow->peer.connection);
        follow->peer.connection = NULL;
    }

    if (follow->timer.timer_set) {
        ngx_del_timer(&follow->timer);
    }

    agg_redis_reader_destroy(follow->reader);
    follow->reader = NULL;

    ngx_free(follow->out);
    follow->out = NULL;

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "link to redis \"%V\" closed: %s", &follow->redis->name,
                  why);

    if (!ngx_exiting && !ngx_terminate) {
        follow->delay = ngx_min(ngx_max(follow->delay * 2,
                                    NGX_HTTP_AGGREGATE_REDIS_FOLLOW_AGAIN),
                                NGX_HTTP_AGGREGATE_REDIS_FOLLOW_MAX);

        ngx_add_timer(&follow->timer, follow->delay + ngx_random() % 100);
    }
}


void
ngx_http_aggregate_redis_unfollow(ngx_http_aggregate_redis_follow_t *follow)
{
    ngx_http_aggregate_redis_follow_close(follow, "the worker ends");

    if (follow->timer.timer_set) {
        ngx_del_timer(&follow->timer);
    }
}


static ngx_int_t
ngx_http_aggregate_redis_follow_ask(
    ngx_http_aggregate_redis_follow_t *follow, ngx_uint_t argc,
    ngx_str_t *argv)
{
    char          *command;
    size_t         len, lens[8];
    ngx_uint_t     i;
    const u_char  *args[8];

    for (i = 0; i < argc; i++) {
        args[i] = argv[i].data;
        lens[i] = argv[i].len;
    }

    command = agg_redis_command(argc, args, lens, &len);
    if (command == NULL) {
        return NGX_ERROR;
    }

    ngx_free(follow->out);

    follow->out = ngx_alloc(len, ngx_cycle->log);
    follow->out_len = len;
    follow->out_sent = 0;

    if (follow->out) {
        ngx_memcpy(follow->out, command, len);
    }

    agg_redis_free(command);

    if (follow->out == NULL) {
        return NGX_ERROR;
    }

    ngx_post_event(follow->peer.connection->write, &ngx_posted_events);

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_follow_write(ngx_event_t *wev)
{
    ssize_t                             n;
    ngx_connection_t                   *c;
    ngx_http_aggregate_redis_follow_t  *follow;

    c = wev->data;
    follow = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_follow_close(follow, "the worker ends");
        return;
    }

    while (follow->out && follow->out_sent < follow->out_len) {

        n = c->send(c, (u_char *) follow->out + follow->out_sent,
                    follow->out_len - follow->out_sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_http_aggregate_redis_follow_close(follow, "send() failed");
            return;
        }

        follow->out_sent += n;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_http_aggregate_redis_follow_close(follow, "an event failed");
    }
}


static void
ngx_http_aggregate_redis_follow_read(ngx_event_t *rev)
{
    int                                 rc;
    void                               *reply;
    u_char                              buf[16384];
    ssize_t                             n;
    ngx_int_t                           result;
    ngx_connection_t                   *c;
    ngx_http_aggregate_redis_follow_t  *follow;

    c = rev->data;
    follow = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_follow_close(follow, "the worker ends");
        return;
    }

    for ( ;; ) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0
            || agg_redis_reader_feed(follow->reader, buf, n) != 0)
        {
            ngx_http_aggregate_redis_follow_close(follow, "it broke off");
            return;
        }

        for ( ;; ) {

            rc = agg_redis_reader_next(follow->reader, &reply);

            if (rc == 0) {
                break;
            }

            result = NGX_ERROR;

            if (rc == 1) {
                result = ngx_http_aggregate_redis_follow_reply(follow, reply);
                agg_redis_reply_free(reply);
            }

            if (result != NGX_OK) {
                ngx_http_aggregate_redis_follow_close(follow,
                                                      "a reply was refused");
                return;
            }
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_aggregate_redis_follow_close(follow, "an event failed");
    }
}


/*
 * The steps: the greeting, the first and the last entry of the stream, and
 * then what comes after the last one known, again and again
 */

static ngx_int_t
ngx_http_aggregate_redis_follow_reply(
    ngx_http_aggregate_redis_follow_t *follow, void *reply)
{
    int          type;
    size_t       len;
    int64_t      integer;
    ngx_str_t    argv[6];
    const char  *text;

    type = agg_redis_reply_type(reply, &text, &len, &integer);

    /* another node may have raised the stream already */

    if (type == AGG_REDIS_ERROR && follow->step != 3) {
        return NGX_ERROR;
    }

    if (follow->greetings) {

        if (--follow->greetings) {
            return NGX_OK;
        }

        ngx_str_set(&argv[0], "XRANGE");
        argv[1] = follow->key;
        ngx_str_set(&argv[2], "-");
        ngx_str_set(&argv[3], "+");
        ngx_str_set(&argv[4], "COUNT");
        ngx_str_set(&argv[5], "1");

        follow->step = 1;

        return ngx_http_aggregate_redis_follow_ask(follow, 6, argv);
    }

    switch (follow->step) {

    case 1:
        follow->bound_ms = 0;
        follow->bound_seq = 0;

        if (agg_redis_entries(reply, 0, ngx_http_aggregate_redis_follow_bound,
                              follow)
            < 0)
        {
            return NGX_ERROR;
        }

        follow->first_ms = follow->bound_ms;
        follow->first_seq = follow->bound_seq;

        ngx_str_set(&argv[0], "XREVRANGE");
        argv[1] = follow->key;
        ngx_str_set(&argv[2], "+");
        ngx_str_set(&argv[3], "-");
        ngx_str_set(&argv[4], "COUNT");
        ngx_str_set(&argv[5], "1");

        follow->step = 2;

        return ngx_http_aggregate_redis_follow_ask(follow, 6, argv);

    case 2:
        follow->bound_ms = 0;
        follow->bound_seq = 0;

        if (agg_redis_entries(reply, 0, ngx_http_aggregate_redis_follow_bound,
                              follow)
            < 0)
        {
            return NGX_ERROR;
        }

        follow->raise_ms = 0;
        follow->raise_seq = 0;

        follow->linked(follow);
        follow->delay = 0;

        if (follow->raise_ms || follow->raise_seq) {
            follow->step = 3;
            return ngx_http_aggregate_redis_follow_raise(follow);
        }

        follow->step = 4;

        return ngx_http_aggregate_redis_follow_next(follow);

    case 3:
        follow->step = 4;

        return ngx_http_aggregate_redis_follow_next(follow);

    default:

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


static ngx_int_t
ngx_http_aggregate_redis_follow_next(
    ngx_http_aggregate_redis_follow_t *follow)
{
    u_char     id[2 * NGX_INT64_LEN + 1];
    ngx_str_t  argv[8];

    ngx_str_set(&argv[0], "XREAD");
    ngx_str_set(&argv[1], "COUNT");
    ngx_str_set(&argv[2], "500");
    ngx_str_set(&argv[3], "BLOCK");
    ngx_str_set(&argv[4], "5000");
    ngx_str_set(&argv[5], "STREAMS");
    argv[6] = follow->key;
    argv[7].data = id;
    argv[7].len = ngx_sprintf(id, "%uL-%uL", follow->last_ms,
                              follow->last_seq)
                  - id;

    ngx_add_timer(&follow->timer, NGX_HTTP_AGGREGATE_REDIS_FOLLOW_WAIT);

    return ngx_http_aggregate_redis_follow_ask(follow, 8, argv);
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

    return ngx_http_aggregate_redis_follow_ask(follow, 7, argv);
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
