
/*
 * A worker's connection to a server: made when there is something to say,
 * greeted first, and what is to be sent is collected and sent at once.
 */


#include "ngx_http_aggregate_redis.h"


static ngx_int_t ngx_http_aggregate_redis_greet(
    ngx_http_aggregate_redis_conn_t *conn);
static void ngx_http_aggregate_redis_ready(
    ngx_http_aggregate_redis_link_t *link);
static void ngx_http_aggregate_redis_unready(
    ngx_http_aggregate_redis_link_t *link, const char *why);
static void ngx_http_aggregate_redis_write(ngx_event_t *wev);
static void ngx_http_aggregate_redis_flush(
    ngx_http_aggregate_redis_conn_t *conn);


ngx_http_aggregate_redis_conn_t *
ngx_http_aggregate_redis_open(ngx_http_aggregate_redis_node_t *node)
{
    ngx_http_aggregate_redis_t       *redis;
    ngx_http_aggregate_redis_conn_t  *conn;

    if (ngx_exiting || ngx_terminate) {
        return NULL;
    }

    redis = node->redis;

    conn = ngx_calloc(sizeof(ngx_http_aggregate_redis_conn_t),
                      ngx_cycle->log);
    if (conn == NULL) {
        return NULL;
    }

    if (agg_redis_parser_create(&conn->parser) != 0) {
        ngx_free(conn);
        return NULL;
    }

    conn->redis = redis;
    conn->node = node;
    conn->connect_by = ngx_current_msec + redis->connect_timeout;
    conn->heard = ngx_current_msec;

    ngx_queue_init(&conn->ops);

    conn->timer.handler = ngx_http_aggregate_redis_timer;
    conn->timer.data = conn;
    conn->timer.log = ngx_cycle->log;
    conn->timer.cancelable = 1;

    conn->link.data = conn;
    conn->link.ready = ngx_http_aggregate_redis_ready;
    conn->link.failed = ngx_http_aggregate_redis_unready;

    node->conn = conn;

    if (ngx_http_aggregate_redis_link_open(&conn->link, node) != NGX_OK) {
        ngx_http_aggregate_redis_close(conn, "connect() failed");
        return NULL;
    }

    if (ngx_http_aggregate_redis_greet(conn) != NGX_OK) {
        ngx_http_aggregate_redis_close(conn, "no memory");
        return NULL;
    }

    return conn;
}


static void
ngx_http_aggregate_redis_unready(ngx_http_aggregate_redis_link_t *link,
    const char *why)
{
    ngx_http_aggregate_redis_close(link->data, why);
}


/* the time that connecting took is not the greeting's */

static void
ngx_http_aggregate_redis_ready(ngx_http_aggregate_redis_link_t *link)
{
    ngx_queue_t                      *q;
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_op_t    *op;
    ngx_http_aggregate_redis_conn_t  *conn;

    conn = link->data;
    c = link->connection;

    c->data = conn;
    c->read->handler = ngx_http_aggregate_redis_read;
    c->write->handler = ngx_http_aggregate_redis_write;

    conn->heard = ngx_current_msec;

    for (q = ngx_queue_head(&conn->ops);
         q != ngx_queue_sentinel(&conn->ops);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

        if (op->setup) {
            op->deadline = ngx_current_msec + conn->redis->timeout;
        }
    }

    ngx_http_aggregate_redis_flush(conn);
}


static ngx_int_t
ngx_http_aggregate_redis_greet(ngx_http_aggregate_redis_conn_t *conn)
{
    size_t       len;
    u_char      *commands;
    ngx_int_t    rc;
    ngx_str_t    name;
    ngx_uint_t   i, n;

    commands = ngx_http_aggregate_redis_greeting(conn->redis,
                                                 &conn->redis->user,
                                                 &conn->redis->password, 1,
                                                 &len, &n);
    if (commands == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_aggregate_redis_append(conn, (char *) commands, len);

    ngx_free(commands);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        ngx_http_aggregate_redis_greeting_name(conn->redis,
                                               &conn->redis->password, 1, i,
                                               &name);

        if (ngx_http_aggregate_redis_push(conn, &name, 1) == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_redis_push(ngx_http_aggregate_redis_conn_t *conn,
    ngx_str_t *command, ngx_uint_t setup)
{
    ngx_http_aggregate_redis_op_t  *op;

    op = ngx_calloc(sizeof(ngx_http_aggregate_redis_op_t), ngx_cycle->log);
    if (op == NULL) {
        return NULL;
    }

    op->name = *command;
    op->setup = setup;
    op->deadline = ngx_current_msec + conn->redis->timeout;

    ngx_http_aggregate_redis_queue(conn, op);

    return op;
}


void
ngx_http_aggregate_redis_queue(ngx_http_aggregate_redis_conn_t *conn,
    ngx_http_aggregate_redis_op_t *op)
{
    op->conn = conn;

    if (conn->nops == 0) {
        conn->heard = ngx_current_msec;
    }

    ngx_queue_insert_tail(&conn->ops, &op->queue);
    conn->nops++;

    if (!conn->timer.timer_set) {
        ngx_add_timer(&conn->timer, ngx_min(conn->redis->timeout,
                                            conn->redis->connect_timeout));
    }
}


void
ngx_http_aggregate_redis_unqueue(ngx_http_aggregate_redis_op_t *op)
{
    ngx_queue_remove(&op->queue);
    op->conn->nops--;
}


ngx_int_t
ngx_http_aggregate_redis_append(ngx_http_aggregate_redis_conn_t *conn,
    const char *command, size_t len)
{
    size_t   size;
    u_char  *out;

    if (conn->out_len - conn->out_sent + len > NGX_HTTP_AGGREGATE_REDIS_QUEUE)
    {
        return NGX_DECLINED;
    }

    if (conn->out_sent) {
        ngx_memmove(conn->out, conn->out + conn->out_sent,
                    conn->out_len - conn->out_sent);

        conn->out_len -= conn->out_sent;
        conn->out_sent = 0;
    }

    if (conn->out_size - conn->out_len < len) {

        size = ngx_max(conn->out_size * 2, conn->out_len + len);
        size = ngx_max(size, 4096);

        out = ngx_alloc(size, ngx_cycle->log);
        if (out == NULL) {
            return NGX_ERROR;
        }

        if (conn->out_len) {
            ngx_memcpy(out, conn->out, conn->out_len);
        }

        ngx_free(conn->out);

        conn->out = out;
        conn->out_size = size;
    }

    ngx_memcpy(conn->out + conn->out_len, command, len);
    conn->out_len += len;

    /* sent after this event, together with what else comes up in it */

    if (conn->link.complete) {
        ngx_post_event(conn->link.connection->write, &ngx_posted_events);
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_write(ngx_event_t *wev)
{
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_close(conn, "the worker ends");
        return;
    }

    ngx_http_aggregate_redis_flush(conn);
}


static void
ngx_http_aggregate_redis_flush(ngx_http_aggregate_redis_conn_t *conn)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = conn->link.connection;

    while (conn->out_sent < conn->out_len) {

        n = c->send(c, conn->out + conn->out_sent,
                    conn->out_len - conn->out_sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_http_aggregate_redis_close(conn, "send() failed");
            return;
        }

        conn->out_sent += n;
    }

    if (conn->out_sent == conn->out_len) {

        conn->out_sent = 0;
        conn->out_len = 0;

        if (conn->out_size > 65536) {
            ngx_free(conn->out);
            conn->out = NULL;
            conn->out_size = 0;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_http_aggregate_redis_close(conn, "an event failed");
    }
}


void
ngx_http_aggregate_redis_leave(ngx_http_aggregate_redis_node_t *node,
    const char *why)
{
    if (node->conn) {
        ngx_http_aggregate_redis_close(node->conn, why);
    }
}


void
ngx_http_aggregate_redis_close(ngx_http_aggregate_redis_conn_t *conn,
    const char *why)
{
    ngx_queue_t                      *q;
    ngx_http_aggregate_redis_op_t    *op;
    ngx_http_aggregate_redis_node_t  *node;

    node = conn->node;

    /* commands that handlers send from here on use another connection */

    node->conn = NULL;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (!ngx_exiting && !ngx_terminate
        && (conn->nops || !conn->link.complete))
    {
        ngx_http_aggregate_redis_failed(node, why);
    }

    ngx_http_aggregate_redis_link_close(&conn->link);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "connection to redis \"%V\" (%V) closed: %s",
                  &conn->redis->name, &node->name, why);

    while (!ngx_queue_empty(&conn->ops)) {

        q = ngx_queue_head(&conn->ops);
        op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

        ngx_queue_remove(q);

        ngx_http_aggregate_redis_done(op, NGX_ERROR);
    }

    agg_redis_parser_destroy(&conn->parser);

    ngx_free(conn->out);
    ngx_free(conn);
}
