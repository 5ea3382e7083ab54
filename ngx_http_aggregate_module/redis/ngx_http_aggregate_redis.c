
/*
 * The client: one connection for each worker, on which commands are sent one
 * after the other without waiting, and answered in their order.
 *
 * A command that is not answered in time is given up, and its reply passed
 * over when it comes; a connection that says nothing at all is closed.  After
 * some failures in a row no worker asks any more, until a PING of one of them,
 * in the background, has been answered in time.
 */


#include "ngx_http_aggregate_redis.h"


static ngx_int_t ngx_http_aggregate_redis_take(
    ngx_http_aggregate_redis_conn_t *conn, const u_char *p,
    const u_char *last);
static void ngx_http_aggregate_redis_value(
    ngx_http_aggregate_redis_conn_t *conn);
static ngx_int_t ngx_http_aggregate_redis_reply(
    ngx_http_aggregate_redis_conn_t *conn);
static ngx_int_t ngx_http_aggregate_redis_redirect(
    ngx_http_aggregate_redis_conn_t *conn, ngx_http_aggregate_redis_op_t *op);
static ngx_int_t ngx_http_aggregate_redis_hop(
    ngx_http_aggregate_redis_node_t *node, ngx_http_aggregate_redis_op_t *op,
    ngx_uint_t ask);
static ngx_msec_t ngx_http_aggregate_redis_give_up(
    ngx_http_aggregate_redis_conn_t *conn);


ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_redis_send(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *key, ngx_uint_t argc, ngx_str_t *argv,
    ngx_http_aggregate_redis_pt handler, void *data, ngx_pool_t *pool,
    size_t limit)
{
    char                             *command;
    size_t                            len, lens[16];
    ngx_int_t                         rc;
    ngx_uint_t                        i;
    const u_char                     *args[16];
    ngx_http_aggregate_redis_op_t    *op;
    ngx_http_aggregate_redis_node_t  *node;
    ngx_http_aggregate_redis_conn_t  *conn;

    node = ngx_http_aggregate_redis_route(redis, key);

    if (argc > 16 || node == NULL) {
        return NULL;
    }

    if (!ngx_http_aggregate_redis_may_ask(node)) {
        return NULL;
    }

    conn = node->conn ? node->conn : ngx_http_aggregate_redis_open(node);

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

    op = ngx_http_aggregate_redis_push(conn, &argv[0], 0);

    rc = (op == NULL) ? NGX_ERROR
                      : ngx_http_aggregate_redis_append(conn, command, len);

    if (rc != NGX_OK) {
        agg_redis_free(command);

        if (op) {
            ngx_http_aggregate_redis_unqueue(op);
            ngx_free(op);
        }

        return NULL;
    }

    if (redis->cluster && len <= NGX_HTTP_AGGREGATE_REDIS_HOP_SIZE) {
        op->command = command;
        op->length = len;

    } else {
        agg_redis_free(command);
    }

    op->handler = handler;
    op->data = data;
    op->pool = pool;
    op->limit = limit;

    (void) ngx_atomic_fetch_add(&redis->sh->commands, 1);

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


/* a connection begins with a PING; one that is there gets another one */

void
ngx_http_aggregate_redis_ping(ngx_http_aggregate_redis_node_t *node,
    ngx_uint_t hurried)
{
    ngx_queue_t                      *q;
    ngx_http_aggregate_redis_op_t    *op;
    ngx_http_aggregate_redis_conn_t  *conn;

    static ngx_str_t  name = ngx_string("PING");

    if (node->conn) {
        conn = node->conn;
        op = ngx_http_aggregate_redis_push(conn, &name, 1);

        if (op == NULL) {
            return;
        }

        if (ngx_http_aggregate_redis_append(conn, "*1\r\n$4\r\nPING\r\n", 14)
            != NGX_OK)
        {
            ngx_http_aggregate_redis_unqueue(op);
            ngx_free(op);
            return;
        }

    } else {
        conn = ngx_http_aggregate_redis_open(node);

        if (conn == NULL || ngx_queue_empty(&conn->ops)) {
            return;
        }

        q = ngx_queue_last(&conn->ops);
        op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);
    }

    if (hurried) {
        op->hurried = 1;
        conn->hurried = 1;
    }
}


void
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
                ngx_http_aggregate_redis_close(conn, "unexpected reply");
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
            ngx_http_aggregate_redis_close(conn, "invalid RESP");
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
    ngx_str_t                       error;
    ngx_uint_t                      late;
    ngx_queue_t                    *q;
    agg_redis_parser_t             *parser;
    ngx_http_aggregate_redis_op_t  *op;

    parser = &conn->parser;

    if (conn->nops == 0) {
        ngx_http_aggregate_redis_close(conn, "unexpected reply");
        return NGX_ERROR;
    }

    q = ngx_queue_head(&conn->ops);
    op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

    ngx_http_aggregate_redis_unqueue(op);

    if (parser->type == AGG_REDIS_ERROR) {

        if (op->command && !op->late
            && ngx_http_aggregate_redis_redirect(conn, op) == NGX_OK)
        {
            return NGX_OK;
        }

        error.data = parser->line;
        error.len = parser->length;

        ngx_http_aggregate_redis_refused(conn->node, &op->name, &error);

        if (op->setup && !op->asking) {
            ngx_free(op);
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

    op->reading = 0;

    late = op->late
           || (ngx_msec_int_t) (ngx_current_msec - op->deadline) > 0;

    if (op->hurried) {
        conn->hurried = 0;
    }

    if (parser->type == AGG_REDIS_ERROR) {
        /* void */

    } else if (late) {
        ngx_http_aggregate_redis_replied_late(conn->node, op->hurried);

    } else if (!op->setup || conn->nops == 0) {

        /* greeted at last, or simply alive */

        ngx_http_aggregate_redis_worked(conn->node);
    }

    ngx_http_aggregate_redis_done(op, rc);

    return NGX_OK;
}


/* NGX_OK: another node of the cluster is asked */

static ngx_int_t
ngx_http_aggregate_redis_redirect(ngx_http_aggregate_redis_conn_t *conn,
    ngx_http_aggregate_redis_op_t *op)
{
    char                             *text;
    size_t                            len;
    unsigned                          slot;
    ngx_uint_t                        ask;
    agg_redis_address_t               address;
    ngx_http_aggregate_redis_node_t  *node;

    text = (char *) conn->parser.line;
    len = conn->parser.length;

    if (len > 6 && ngx_memcmp(text, "MOVED ", 6) == 0) {
        ask = 0;
        text += 6;
        len -= 6;

    } else if (len > 4 && ngx_memcmp(text, "ASK ", 4) == 0) {
        ask = 1;
        text += 4;
        len -= 4;

    } else {
        return NGX_DECLINED;
    }

    if (agg_redis_moved(text, len, &slot, &address) != 0) {
        return NGX_DECLINED;
    }

    if (address.length == 0) {
        address.host = (char *) conn->node->host.data;
        address.length = conn->node->host.len;
    }

    node = ngx_http_aggregate_redis_node(conn->redis, &address);

    if (node == NULL) {
        return NGX_DECLINED;
    }

    if (!ask) {
        ngx_http_aggregate_redis_cluster_moved(conn->redis, slot, node);
    }

    if (op->hops++ == NGX_HTTP_AGGREGATE_REDIS_HOPS) {
        return NGX_DECLINED;
    }

    (void) ngx_atomic_fetch_add(&conn->redis->sh->redirects, 1);

    return ngx_http_aggregate_redis_hop(node, op, ask);
}


static ngx_int_t
ngx_http_aggregate_redis_hop(ngx_http_aggregate_redis_node_t *node,
    ngx_http_aggregate_redis_op_t *op, ngx_uint_t ask)
{
    ngx_http_aggregate_redis_op_t    *asking;
    ngx_http_aggregate_redis_conn_t  *conn;

    static ngx_str_t  name = ngx_string("ASKING");

    if (!ngx_http_aggregate_redis_may_ask(node)) {
        return NGX_DECLINED;
    }

    conn = node->conn ? node->conn : ngx_http_aggregate_redis_open(node);

    if (conn == NULL || conn->nops >= NGX_HTTP_AGGREGATE_REDIS_FLIGHT) {
        return NGX_DECLINED;
    }

    if (ask) {
        asking = ngx_http_aggregate_redis_push(conn, &name, 1);

        if (asking == NULL) {
            return NGX_DECLINED;
        }

        asking->asking = 1;

        if (ngx_http_aggregate_redis_append(conn,
                                            "*1\r\n$6\r\nASKING\r\n", 16)
            != NGX_OK)
        {
            ngx_http_aggregate_redis_unqueue(asking);
            ngx_free(asking);
            return NGX_DECLINED;
        }
    }

    if (ngx_http_aggregate_redis_append(conn, op->command, op->length)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_aggregate_redis_queue(conn, op);

    return NGX_OK;
}


void
ngx_http_aggregate_redis_done(ngx_http_aggregate_redis_op_t *op, ngx_int_t rc)
{
    ngx_http_aggregate_redis_pt  handler;

    handler = op->handler;

    if (handler) {
        op->rc = rc;
        op->handler = NULL;

        handler(op);
    }

    if (op->command) {
        agg_redis_free(op->command);
    }

    ngx_free(op);
}


/* gives up commands that are late, and a connection that is idle */

void
ngx_http_aggregate_redis_timer(ngx_event_t *ev)
{
    ngx_msec_t                        next;
    ngx_http_aggregate_redis_conn_t  *conn;

    conn = ev->data;

    if (!conn->link.complete
        && (ngx_msec_int_t) (conn->connect_by - ngx_current_msec) <= 0)
    {
        ngx_http_aggregate_redis_close(conn, "connecting timed out");
        return;
    }

    if (conn->closing) {
        ngx_http_aggregate_redis_close(conn, conn->closing);
        return;
    }

    if (conn->nops == 0) {
        return;
    }

    /* while the server is down, the next PING replaces the connection */

    if (ngx_http_aggregate_redis_idle(conn) && conn->node->health->down == 0) {
        ngx_http_aggregate_redis_close(conn, "connection idle for 1s");
        return;
    }

    next = ngx_http_aggregate_redis_give_up(conn);

    if (!conn->link.complete) {
        next = ngx_min(next, conn->connect_by - ngx_current_msec);
    }

    ngx_add_timer(&conn->timer, ngx_max(next, 1));
}


ngx_uint_t
ngx_http_aggregate_redis_idle(ngx_http_aggregate_redis_conn_t *conn)
{
    return conn->nops && conn->link.complete
           && ngx_current_msec - conn->heard >= NGX_HTTP_AGGREGATE_REDIS_IDLE;
}


/* the time until the next one is late */

static ngx_msec_t
ngx_http_aggregate_redis_give_up(ngx_http_aggregate_redis_conn_t *conn)
{
    ngx_msec_t                      next;
    ngx_queue_t                    *q;
    ngx_msec_int_t                  left;
    ngx_http_aggregate_redis_pt     handler;
    ngx_http_aggregate_redis_op_t  *op;

    next = conn->redis->timeout;

    for (q = ngx_queue_head(&conn->ops);
         q != ngx_queue_sentinel(&conn->ops);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);
        left = (ngx_msec_int_t) (op->deadline - ngx_current_msec);

        if (left > 0) {
            next = ngx_min(next, (ngx_msec_t) left);
            continue;
        }

        op->late = 1;

        handler = op->handler;

        if (handler == NULL) {
            continue;
        }

        (void) ngx_atomic_fetch_add(&conn->redis->sh->timeouts, 1);

        ngx_http_aggregate_redis_failed(conn->node, "it is slow");

        if (op->reading) {
            conn->parser.dst = NULL;
            op->reading = 0;
        }

        op->handler = NULL;
        op->rc = NGX_ERROR;

        /* the place stays, for the reply that may still come */

        handler(op);
    }

    return next;
}
