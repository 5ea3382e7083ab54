
/*
 * The client: one connection for each worker, on which commands are sent one
 * after the other without waiting, and answered in their order.
 *
 * A command that is not answered in time is given up, and its reply passed
 * over when it comes; a connection that says nothing at all is closed.  After
 * some failures in a row no worker asks any more, but one in a while, who
 * finds out whether Redis is back.
 */


#include "ngx_http_aggregate_redis.h"


struct ngx_http_aggregate_redis_conn_s {
    ngx_http_aggregate_redis_t     *redis;
    ngx_peer_connection_t           peer;
    agg_redis_parser_t              parser;
    ngx_queue_t                     ops;         /* in the order of replies */
    ngx_uint_t                      nops;
    u_char                         *out;         /* what is to be sent */
    size_t                          out_len;
    size_t                          out_sent;
    size_t                          out_size;
    ngx_event_t                     timer;
    ngx_msec_t                      heard;
    ngx_msec_t                      connect_by;
    unsigned                        connected:1;
    unsigned                        setup:1;     /* greeted, and accepted */
};


static ngx_http_aggregate_redis_conn_t *ngx_http_aggregate_redis_open(
    ngx_http_aggregate_redis_t *redis);
static void ngx_http_aggregate_redis_close(
    ngx_http_aggregate_redis_conn_t *conn, const char *why);
static ngx_int_t ngx_http_aggregate_redis_greet(
    ngx_http_aggregate_redis_conn_t *conn);
static ngx_http_aggregate_redis_op_t *ngx_http_aggregate_redis_push(
    ngx_http_aggregate_redis_conn_t *conn, ngx_uint_t setup);
static ngx_int_t ngx_http_aggregate_redis_append(
    ngx_http_aggregate_redis_conn_t *conn, const char *command, size_t len);
static void ngx_http_aggregate_redis_write(ngx_event_t *wev);
static void ngx_http_aggregate_redis_flush(
    ngx_http_aggregate_redis_conn_t *conn);
static void ngx_http_aggregate_redis_read(ngx_event_t *rev);
static ngx_int_t ngx_http_aggregate_redis_take(
    ngx_http_aggregate_redis_conn_t *conn, const u_char *p,
    const u_char *last);
static void ngx_http_aggregate_redis_value(
    ngx_http_aggregate_redis_conn_t *conn);
static ngx_int_t ngx_http_aggregate_redis_reply(
    ngx_http_aggregate_redis_conn_t *conn);
static void ngx_http_aggregate_redis_done(ngx_http_aggregate_redis_op_t *op,
    ngx_int_t rc);
static void ngx_http_aggregate_redis_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_aggregate_redis_may_ask(
    ngx_http_aggregate_redis_t *redis);
static void ngx_http_aggregate_redis_ping(
    ngx_http_aggregate_redis_conn_t *conn);


ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_redis_send(ngx_http_aggregate_redis_t *redis,
    ngx_uint_t argc, ngx_str_t *argv, ngx_http_aggregate_redis_pt handler,
    void *data, ngx_pool_t *pool, size_t limit)
{
    char                             *command;
    size_t                            len, lens[16];
    ngx_int_t                         rc;
    ngx_uint_t                        i;
    const u_char                     *args[16];
    ngx_http_aggregate_redis_op_t    *op;
    ngx_http_aggregate_redis_conn_t  *conn;

    if (argc > 16 || !ngx_http_aggregate_redis_may_ask(redis)) {
        return NULL;
    }

    conn = redis->conn ? redis->conn : ngx_http_aggregate_redis_open(redis);

    if (conn == NULL || conn->nops >= NGX_HTTP_AGGREGATE_REDIS_FLIGHT) {
        return NULL;
    }

    for (i = 0; i < argc; i++) {
        args[i] = argv[i].data;
        lens[i] = argv[i].len;
    }

    command = agg_redis_command(argc, args, lens, &len);
    if (command == NULL) {
        return NULL;
    }

    op = ngx_http_aggregate_redis_push(conn, 0);

    rc = (op == NULL) ? NGX_ERROR
                      : ngx_http_aggregate_redis_append(conn, command, len);

    agg_redis_free(command);

    if (rc != NGX_OK) {

        if (op) {
            ngx_queue_remove(&op->queue);
            conn->nops--;
            ngx_free(op);
        }

        return NULL;
    }

    op->handler = handler;
    op->data = data;
    op->pool = pool;
    op->limit = limit;

    (void) ngx_atomic_fetch_add(&redis->sh->commands, 1);

    /* sent after this event, together with what else comes up in it */

    if (conn->connected) {
        ngx_post_event(conn->peer.connection->write, &ngx_posted_events);
    }

    return op;
}


void
ngx_http_aggregate_redis_forget(ngx_http_aggregate_redis_op_t *op)
{
    op->handler = NULL;
    op->data = NULL;
    op->pool = NULL;

    if (op->reading) {

        /* the memory goes, the rest of the value goes nowhere */

        op->reading = 0;
        op->value.data = NULL;
        op->conn->parser.dst = NULL;
    }
}


ngx_uint_t
ngx_http_aggregate_redis_up(ngx_http_aggregate_redis_t *redis)
{
    return redis->sh->down == 0;
}


static ngx_uint_t
ngx_http_aggregate_redis_may_ask(ngx_http_aggregate_redis_t *redis)
{
    ngx_atomic_uint_t               at, now;
    ngx_http_aggregate_redis_sh_t  *sh;

    sh = redis->sh;

    if (sh->down == 0) {
        return 1;
    }

    at = sh->probe_at;
    now = (ngx_atomic_uint_t) ngx_current_msec;

    if ((ngx_atomic_int_t) (at - now) > 0) {
        return 0;
    }

    /* one of all workers finds out, by the PING that begins a connection */

    if (ngx_atomic_cmp_set(&sh->probe_at, at, now + sh->backoff)) {

        sh->backoff = ngx_min(sh->backoff * 2,
                              NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MAX);

        if (redis->conn == NULL) {
            (void) ngx_http_aggregate_redis_open(redis);

        } else {
            ngx_http_aggregate_redis_ping(redis->conn);
        }
    }

    return 0;
}


static void
ngx_http_aggregate_redis_ping(ngx_http_aggregate_redis_conn_t *conn)
{
    if (ngx_http_aggregate_redis_push(conn, 1) == NULL) {
        return;
    }

    if (ngx_http_aggregate_redis_append(conn, "*1\r\n$4\r\nPING\r\n", 14)
        != NGX_OK)
    {
        ngx_http_aggregate_redis_close(conn, "no memory");
        return;
    }

    if (conn->connected) {
        ngx_post_event(conn->peer.connection->write, &ngx_posted_events);
    }
}


void
ngx_http_aggregate_redis_failed(ngx_http_aggregate_redis_t *redis,
    const char *what)
{
    ngx_http_aggregate_redis_sh_t  *sh;

    sh = redis->sh;

    if (ngx_atomic_fetch_add(&sh->fails, 1) + 1
        < NGX_HTTP_AGGREGATE_REDIS_FAILS)
    {
        return;
    }

    if (ngx_atomic_cmp_set(&sh->down, 0, 1)) {

        sh->backoff = NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MIN;
        sh->probe_at = ngx_current_msec + sh->backoff
                       + ngx_random() % NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MIN;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis \"%V\" is not asked for a while: %s",
                      &redis->name, what);
    }
}


void
ngx_http_aggregate_redis_worked(ngx_http_aggregate_redis_t *redis)
{
    if (redis->sh->fails) {
        redis->sh->fails = 0;
    }

    if (redis->sh->down && ngx_atomic_cmp_set(&redis->sh->down, 1, 0)) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis \"%V\" is back", &redis->name);
    }
}


ngx_int_t
ngx_http_aggregate_redis_peer(ngx_peer_connection_t *pc,
    ngx_http_aggregate_redis_t *redis, ngx_log_t *log)
{
    ngx_addr_t  *addr;

    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    addr = &redis->addrs[ngx_random() % redis->naddrs];

    pc->sockaddr = addr->sockaddr;
    pc->socklen = addr->socklen;
    pc->name = &addr->name;
    pc->get = ngx_event_get_peer;
    pc->log = log;
    pc->log_error = NGX_ERROR_INFO;

    return ngx_event_connect_peer(pc);
}


static ngx_http_aggregate_redis_conn_t *
ngx_http_aggregate_redis_open(ngx_http_aggregate_redis_t *redis)
{
    ngx_int_t                         rc;
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_conn_t  *conn;

    if (ngx_exiting || ngx_terminate) {
        return NULL;
    }

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
    conn->connect_by = ngx_current_msec + redis->connect_timeout;
    conn->heard = ngx_current_msec;

    ngx_queue_init(&conn->ops);

    conn->timer.handler = ngx_http_aggregate_redis_timer;
    conn->timer.data = conn;
    conn->timer.log = ngx_cycle->log;
    conn->timer.cancelable = 1;

    redis->conn = conn;

    rc = ngx_http_aggregate_redis_peer(&conn->peer, redis, ngx_cycle->log);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        ngx_http_aggregate_redis_close(conn, "connect() failed");
        return NULL;
    }

    c = conn->peer.connection;

    c->data = conn;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_aggregate_redis_read;
    c->write->handler = ngx_http_aggregate_redis_write;

    /* an old worker does not wait for it */
    c->idle = 1;

    conn->connected = (rc == NGX_OK);

    if (ngx_http_aggregate_redis_greet(conn) != NGX_OK) {
        ngx_http_aggregate_redis_close(conn, "no memory");
        return NULL;
    }

    if (conn->connected) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return conn;
}


/* AUTH, SELECT, and a PING, which tells that all is well */

char *
ngx_http_aggregate_redis_greeting(ngx_http_aggregate_redis_t *redis,
    size_t *len, ngx_uint_t *n)
{
    char        *all, *command;
    size_t       size, lens[3];
    u_char       number[NGX_INT_T_LEN];
    ngx_uint_t   i, argc;
    const u_char  *args[3];

    all = NULL;
    *len = 0;
    *n = 0;

    for (i = 0; i < 3; i++) {

        argc = 0;

        if (i == 0 && redis->password.len) {
            args[argc] = (u_char *) "AUTH";
            lens[argc++] = 4;

            if (redis->user.len) {
                args[argc] = redis->user.data;
                lens[argc++] = redis->user.len;
            }

            args[argc] = redis->password.data;
            lens[argc++] = redis->password.len;

        } else if (i == 1 && redis->database) {
            args[argc] = (u_char *) "SELECT";
            lens[argc++] = 6;
            args[argc] = number;
            lens[argc++] = ngx_sprintf(number, "%i", redis->database)
                           - number;

        } else if (i == 2) {
            args[argc] = (u_char *) "PING";
            lens[argc++] = 4;
        }

        if (argc == 0) {
            continue;
        }

        command = agg_redis_command(argc, args, lens, &size);

        if (command == NULL) {
            ngx_free(all);
            return NULL;
        }

        args[0] = (u_char *) all;
        all = ngx_alloc(*len + size, ngx_cycle->log);

        if (all != NULL) {

            if (*len) {
                ngx_memcpy(all, args[0], *len);
            }

            ngx_memcpy(all + *len, command, size);
        }

        ngx_free((void *) args[0]);
        agg_redis_free(command);

        if (all == NULL) {
            return NULL;
        }

        *len += size;
        (*n)++;
    }

    return all;
}


static ngx_int_t
ngx_http_aggregate_redis_greet(ngx_http_aggregate_redis_conn_t *conn)
{
    char        *commands;
    size_t       len;
    ngx_int_t    rc;
    ngx_uint_t   n;

    commands = ngx_http_aggregate_redis_greeting(conn->redis, &len, &n);

    if (commands == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_aggregate_redis_append(conn, commands, len);

    ngx_free(commands);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    while (n--) {
        if (ngx_http_aggregate_redis_push(conn, 1) == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_redis_push(ngx_http_aggregate_redis_conn_t *conn,
    ngx_uint_t setup)
{
    ngx_http_aggregate_redis_op_t  *op;

    op = ngx_calloc(sizeof(ngx_http_aggregate_redis_op_t), ngx_cycle->log);
    if (op == NULL) {
        return NULL;
    }

    op->conn = conn;
    op->setup = setup;
    op->deadline = ngx_current_msec + conn->redis->timeout;

    if (conn->nops == 0) {
        conn->heard = ngx_current_msec;
    }

    ngx_queue_insert_tail(&conn->ops, &op->queue);
    conn->nops++;

    if (!conn->timer.timer_set) {
        ngx_add_timer(&conn->timer, ngx_min(conn->redis->timeout,
                                            conn->redis->connect_timeout));
    }

    return op;
}


/* NGX_DECLINED: too much is waiting already */

static ngx_int_t
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

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_write(ngx_event_t *wev)
{
    int                               err;
    socklen_t                         len;
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_close(conn, "the worker ends");
        return;
    }

    if (!conn->connected) {

        err = 0;
        len = sizeof(int);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len)
            == -1)
        {
            err = ngx_socket_errno;
        }

        if (err) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                          "connect() to redis \"%V\" (%V) failed",
                          &conn->redis->name, conn->peer.name);
            ngx_http_aggregate_redis_close(conn, "connect() failed");
            return;
        }

        conn->connected = 1;
        conn->heard = ngx_current_msec;
    }

    ngx_http_aggregate_redis_flush(conn);
}


static void
ngx_http_aggregate_redis_flush(ngx_http_aggregate_redis_conn_t *conn)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = conn->peer.connection;

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

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_aggregate_redis_close(conn, "an event failed");
    }
}


static void
ngx_http_aggregate_redis_read(ngx_event_t *rev)
{
    u_char                           *p, buf[16384];
    size_t                            room;
    ssize_t                           n;
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_conn_t  *conn;

    c = rev->data;
    conn = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_close(conn, "the worker ends");
        return;
    }

    for ( ;; ) {

        room = agg_redis_room(&conn->parser, &p);

        n = (room > sizeof(buf)) ? c->recv(c, p, room)
                                 : c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_aggregate_redis_close(conn, "the connection was closed");
            return;
        }

        conn->heard = ngx_current_msec;

        if (room > sizeof(buf)) {

            /* a large value goes where it is wanted, without a copy */

            agg_redis_filled(&conn->parser, n);
            continue;
        }

        if (ngx_http_aggregate_redis_take(conn, buf, buf + n) != NGX_OK) {
            return;
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_aggregate_redis_close(conn, "an event failed");
    }
}


/* NGX_ERROR: the connection is closed */

static ngx_int_t
ngx_http_aggregate_redis_take(ngx_http_aggregate_redis_conn_t *conn,
    const u_char *p, const u_char *last)
{
    for ( ;; ) {

        switch (agg_redis_parse(&conn->parser, &p, last)) {

        case AGG_REDIS_AGAIN:
            return NGX_OK;

        case AGG_REDIS_VALUE:

            if (conn->nops == 0) {
                ngx_http_aggregate_redis_close(conn, "a reply to nothing");
                return NGX_ERROR;
            }

            ngx_http_aggregate_redis_value(conn);
            break;

        case AGG_REDIS_REPLY:

            if (ngx_http_aggregate_redis_reply(conn) != NGX_OK) {
                return NGX_ERROR;
            }

            break;

        default: /* AGG_REDIS_BROKEN */
            ngx_http_aggregate_redis_close(conn, "no reply of Redis");
            return NGX_ERROR;
        }
    }
}


/* the length is known: room for it, where it is wanted */

static void
ngx_http_aggregate_redis_value(ngx_http_aggregate_redis_conn_t *conn)
{
    ngx_queue_t                    *q;
    ngx_http_aggregate_redis_op_t  *op;

    q = ngx_queue_head(&conn->ops);
    op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

    if (op->handler == NULL || op->pool == NULL
        || conn->parser.length > op->limit)
    {
        return;
    }

    op->value.len = conn->parser.length;
    op->value.data = ngx_pnalloc(op->pool, op->value.len + 1);
    op->reading = (op->value.data != NULL);

    conn->parser.dst = op->value.data;
}


static ngx_int_t
ngx_http_aggregate_redis_reply(ngx_http_aggregate_redis_conn_t *conn)
{
    ngx_int_t                       rc;
    ngx_queue_t                    *q;
    agg_redis_parser_t             *parser;
    ngx_http_aggregate_redis_op_t  *op;

    parser = &conn->parser;

    if (conn->nops == 0) {
        ngx_http_aggregate_redis_close(conn, "a reply to nothing");
        return NGX_ERROR;
    }

    q = ngx_queue_head(&conn->ops);
    op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

    if (parser->type == AGG_REDIS_ERROR) {

        (void) ngx_atomic_fetch_add(&conn->redis->sh->errors, 1);

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "redis \"%V\" answered an error", &conn->redis->name);

        if (op->setup) {
            ngx_http_aggregate_redis_close(conn, "access was refused");
            return NGX_ERROR;
        }

        rc = NGX_ERROR;

    } else if (parser->type == AGG_REDIS_NIL) {
        rc = NGX_DECLINED;

    } else if (parser->type == AGG_REDIS_BULK) {
        rc = op->reading ? NGX_OK : NGX_ERROR;

    } else {
        op->integer = parser->integer;
        rc = NGX_OK;
    }

    ngx_queue_remove(&op->queue);
    conn->nops--;

    op->reading = 0;

    if (rc != NGX_ERROR) {

        /* greeted at last, or simply alive */

        if (!op->setup || conn->nops == 0) {
            ngx_http_aggregate_redis_worked(conn->redis);
        }
    }

    ngx_http_aggregate_redis_done(op, rc);

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_done(ngx_http_aggregate_redis_op_t *op, ngx_int_t rc)
{
    ngx_http_aggregate_redis_pt  handler;

    handler = op->handler;

    if (handler) {
        op->rc = rc;
        op->handler = NULL;

        handler(op);
    }

    ngx_free(op);
}


/* gives up what is late, and a connection that is silent */

static void
ngx_http_aggregate_redis_timer(ngx_event_t *ev)
{
    ngx_msec_t                        next;
    ngx_queue_t                      *q;
    ngx_msec_int_t                    left;
    ngx_http_aggregate_redis_op_t    *op;
    ngx_http_aggregate_redis_pt       handler;
    ngx_http_aggregate_redis_conn_t  *conn;

    conn = ev->data;

    if (!conn->connected
        && (ngx_msec_int_t) (conn->connect_by - ngx_current_msec) <= 0)
    {
        ngx_http_aggregate_redis_close(conn, "connecting timed out");
        return;
    }

    if (conn->nops == 0) {
        return;
    }

    if (conn->connected
        && ngx_current_msec - conn->heard >= NGX_HTTP_AGGREGATE_REDIS_SILENCE)
    {
        ngx_http_aggregate_redis_close(conn, "it is silent");
        return;
    }

    next = conn->redis->timeout;

    if (!conn->connected) {
        next = ngx_min(next, conn->connect_by - ngx_current_msec);
    }

    for (q = ngx_queue_head(&conn->ops);
         q != ngx_queue_sentinel(&conn->ops);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);
        left = (ngx_msec_int_t) (op->deadline - ngx_current_msec);

        if (left > 0) {
            next = ngx_min(next, (ngx_msec_t) left);
            break;
        }

        handler = op->handler;

        if (handler == NULL) {
            continue;
        }

        (void) ngx_atomic_fetch_add(&conn->redis->sh->timeouts, 1);

        ngx_http_aggregate_redis_failed(conn->redis, "it is slow");

        if (op->reading) {
            conn->parser.dst = NULL;
            op->reading = 0;
        }

        op->handler = NULL;
        op->rc = NGX_ERROR;

        /* the place stays, for the reply that may still come */

        handler(op);
    }

    ngx_add_timer(&conn->timer, ngx_max(next, 1));
}


void
ngx_http_aggregate_redis_end(ngx_http_aggregate_redis_t *redis)
{
    if (redis->conn) {
        ngx_http_aggregate_redis_close(redis->conn, "the worker ends");
    }
}


static void
ngx_http_aggregate_redis_close(ngx_http_aggregate_redis_conn_t *conn,
    const char *why)
{
    ngx_queue_t                    *q;
    ngx_http_aggregate_redis_t     *redis;
    ngx_http_aggregate_redis_op_t  *op;

    redis = conn->redis;

    /* what handlers send now goes to another connection */

    redis->conn = NULL;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (conn->peer.connection) {
        ngx_close_connection(conn->peer.connection);
        conn->peer.connection = NULL;
    }

    if (!ngx_exiting && !ngx_terminate && (conn->nops || !conn->connected)) {
        ngx_http_aggregate_redis_failed(redis, why);
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "connection to redis \"%V\" closed: %s", &redis->name, why);

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
