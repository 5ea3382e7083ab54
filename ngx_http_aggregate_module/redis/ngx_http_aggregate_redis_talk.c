
/*
 * A conversation with a server, of few words and of replies of any form: the
 * stream of purges, the map of a cluster, a sentinel.
 */


#include "ngx_http_aggregate_redis.h"


static void ngx_http_aggregate_redis_talk_ready(
    ngx_http_aggregate_redis_link_t *link);
static void ngx_http_aggregate_redis_talk_failed(
    ngx_http_aggregate_redis_link_t *link, const char *why);
static void ngx_http_aggregate_redis_talk_write(ngx_event_t *wev);
static void ngx_http_aggregate_redis_talk_read(ngx_event_t *rev);
static ngx_int_t ngx_http_aggregate_redis_talk_take(
    ngx_http_aggregate_redis_talk_t *talk);
static ngx_int_t ngx_http_aggregate_redis_talk_reply(
    ngx_http_aggregate_redis_talk_t *talk, void *reply);
static void ngx_http_aggregate_redis_talk_timer(ngx_event_t *ev);
static void ngx_http_aggregate_redis_talk_end(
    ngx_http_aggregate_redis_talk_t *talk);


/* a server that is greeted has so long to answer */
#define NGX_HTTP_AGGREGATE_REDIS_TALK_WAIT  1000


/* NGX_ERROR: it failed at once, and closed() is not called */

ngx_int_t
ngx_http_aggregate_redis_talk_open(ngx_http_aggregate_redis_talk_t *talk,
    ngx_http_aggregate_redis_node_t *node)
{
    talk->timer.handler = ngx_http_aggregate_redis_talk_timer;
    talk->timer.data = talk;
    talk->timer.log = ngx_cycle->log;
    talk->timer.cancelable = 1;

    talk->link.data = talk;
    talk->link.ready = ngx_http_aggregate_redis_talk_ready;
    talk->link.failed = ngx_http_aggregate_redis_talk_failed;

    talk->greeted = 0;
    talk->out_sent = 0;
    talk->out = ngx_http_aggregate_redis_greeting(talk->redis, talk->user,
                                                  talk->password,
                                                  talk->select,
                                                  &talk->out_len,
                                                  &talk->greetings);
    talk->reader = agg_redis_reader_create();
    talk->open = 1;

    if (talk->out == NULL || talk->reader == NULL
        || ngx_http_aggregate_redis_link_open(&talk->link, node) != NGX_OK)
    {
        ngx_http_aggregate_redis_talk_end(talk);
        return NGX_ERROR;
    }

    ngx_add_timer(&talk->timer, talk->redis->connect_timeout
                                + NGX_HTTP_AGGREGATE_REDIS_TALK_WAIT);

    return NGX_OK;
}


/* one question at a time */

ngx_int_t
ngx_http_aggregate_redis_talk_ask(ngx_http_aggregate_redis_talk_t *talk,
    ngx_uint_t argc, ngx_str_t *argv, ngx_msec_t timeout)
{
    char          *command;
    size_t         len, lens[16];
    ngx_uint_t     i;
    const u_char  *args[16];

    for (i = 0; i < argc; i++) {
        args[i] = argv[i].data;
        lens[i] = argv[i].len;
    }

    command = agg_redis_command(argc, args, lens, &len);
    if (command == NULL) {
        return NGX_ERROR;
    }

    ngx_free(talk->out);

    talk->out = ngx_alloc(len, ngx_cycle->log);
    talk->out_len = len;
    talk->out_sent = 0;

    if (talk->out) {
        ngx_memcpy(talk->out, command, len);
    }

    agg_redis_free(command);

    if (talk->out == NULL) {
        return NGX_ERROR;
    }

    ngx_add_timer(&talk->timer, timeout);
    ngx_post_event(talk->link.connection->write, &ngx_posted_events);

    return NGX_OK;
}


void
ngx_http_aggregate_redis_talk_close(ngx_http_aggregate_redis_talk_t *talk,
    const char *why)
{
    if (!talk->open) {
        return;
    }

    ngx_http_aggregate_redis_talk_end(talk);

    talk->closed(talk, why);
}


static void
ngx_http_aggregate_redis_talk_end(ngx_http_aggregate_redis_talk_t *talk)
{
    talk->open = 0;

    ngx_http_aggregate_redis_link_close(&talk->link);

    if (talk->timer.timer_set) {
        ngx_del_timer(&talk->timer);
    }

    agg_redis_reader_destroy(talk->reader);
    talk->reader = NULL;

    ngx_free(talk->out);
    talk->out = NULL;
}


static void
ngx_http_aggregate_redis_talk_failed(ngx_http_aggregate_redis_link_t *link,
    const char *why)
{
    ngx_http_aggregate_redis_talk_close(link->data, why);
}


static void
ngx_http_aggregate_redis_talk_ready(ngx_http_aggregate_redis_link_t *link)
{
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_talk_t  *talk;

    c = link->connection;

    c->data = link->data;
    c->read->handler = ngx_http_aggregate_redis_talk_read;
    c->write->handler = ngx_http_aggregate_redis_talk_write;

    talk = link->data;
    talk->greeted_at = ngx_current_msec;

    ngx_http_aggregate_redis_talk_write(c->write);
}


static void
ngx_http_aggregate_redis_talk_write(ngx_event_t *wev)
{
    ssize_t                           n;
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_talk_t  *talk;

    c = wev->data;
    talk = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_talk_close(talk, "the worker ends");
        return;
    }

    while (talk->out && talk->out_sent < talk->out_len) {

        n = c->send(c, talk->out + talk->out_sent,
                    talk->out_len - talk->out_sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_http_aggregate_redis_talk_close(talk, "send() failed");
            return;
        }

        talk->out_sent += n;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_http_aggregate_redis_talk_close(talk, "an event failed");
    }
}


static void
ngx_http_aggregate_redis_talk_read(ngx_event_t *rev)
{
    u_char                            buf[16384];
    ssize_t                           n;
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_talk_t  *talk;

    c = rev->data;
    talk = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_talk_close(talk, "the worker ends");
        return;
    }

    for ( ;; ) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0
            || agg_redis_reader_feed(talk->reader, buf, n) != 0)
        {
            ngx_http_aggregate_redis_talk_close(talk, "it broke off");
            return;
        }

        if (ngx_http_aggregate_redis_talk_take(talk) != NGX_OK) {
            return;
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_aggregate_redis_talk_close(talk, "an event failed");
    }
}


/* all replies that are complete; else NGX_OK: it is closed */

static ngx_int_t
ngx_http_aggregate_redis_talk_take(ngx_http_aggregate_redis_talk_t *talk)
{
    int         rc;
    void       *reply;
    ngx_int_t   result;

    for ( ;; ) {

        rc = agg_redis_reader_next(talk->reader, &reply);

        if (rc == 0) {
            return NGX_OK;
        }

        result = NGX_ERROR;

        if (rc == 1) {
            result = ngx_http_aggregate_redis_talk_reply(talk, reply);
            agg_redis_reply_free(reply);
        }

        if (result != NGX_OK) {
            ngx_http_aggregate_redis_talk_close(talk,
                                   result == NGX_DONE ? "done"
                                                      : "a reply was refused");
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_http_aggregate_redis_talk_reply(ngx_http_aggregate_redis_talk_t *talk,
    void *reply)
{
    size_t       len;
    int64_t      integer;
    ngx_str_t    name, error;
    const char  *text;

    if (talk->greetings == 0) {
        return talk->reply(talk, reply);
    }

    if (agg_redis_reply_type(reply, &text, &len, &integer)
        == AGG_REDIS_ERROR)
    {
        ngx_http_aggregate_redis_greeting_name(talk->redis, talk->password,
                                               talk->select,
                                               talk->greeted, &name);
        error.data = (u_char *) text;
        error.len = len;

        ngx_http_aggregate_redis_refused(talk->link.node, &name, &error);

        return NGX_ERROR;
    }

    talk->greeted++;

    return --talk->greetings ? NGX_OK : talk->ready(talk);
}


static void
ngx_http_aggregate_redis_talk_timer(ngx_event_t *ev)
{
    ngx_http_aggregate_redis_talk_t  *talk;

    talk = ev->data;

    if (talk->greetings == 0 && talk->silent && talk->silent(talk) == NGX_OK)
    {
        return;
    }

    ngx_http_aggregate_redis_talk_close(talk, "connection idle");
}
