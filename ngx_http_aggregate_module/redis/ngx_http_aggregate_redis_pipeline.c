
/*
 * Commands: a worker has one connection to each server, on which commands are
 * sent without waiting for the replies, which come in the same order.
 *
 * A command without a reply in time has failed, and its reply is discarded
 * when it comes; an idle connection with pending replies is closed.  After
 * some failures in a row the server is down, and no worker sends commands
 * to it until one of them has got the reply to a PING in time.
 */


#include "ngx_http_aggregate_redis.h"


static ngx_http_aggregate_redis_pipeline_t *ngx_http_aggregate_redis_pipeline(
    ngx_http_aggregate_redis_node_t *node);
static ngx_http_aggregate_redis_pipeline_t *
    ngx_http_aggregate_redis_pipeline_open(
    ngx_http_aggregate_redis_node_t *node);
static ngx_int_t ngx_http_aggregate_redis_pipeline_ready(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_int_t ngx_http_aggregate_redis_pipeline_read(
    ngx_http_aggregate_redis_connection_t *conn, const u_char *p,
    const u_char *last);
static void ngx_http_aggregate_redis_pipeline_value(
    ngx_http_aggregate_redis_pipeline_t *pipeline);
static ngx_int_t ngx_http_aggregate_redis_pipeline_reply(
    ngx_http_aggregate_redis_pipeline_t *pipeline);
static ngx_int_t ngx_http_aggregate_redis_redirect(
    ngx_http_aggregate_redis_pipeline_t *pipeline,
    ngx_http_aggregate_redis_op_t *op);
static ngx_int_t ngx_http_aggregate_redis_redirect_send(
    ngx_http_aggregate_redis_node_t *node, ngx_http_aggregate_redis_op_t *op,
    ngx_uint_t ask);
static ngx_int_t ngx_http_aggregate_redis_pipeline_timeout(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_msec_t ngx_http_aggregate_redis_pipeline_expire(
    ngx_http_aggregate_redis_pipeline_t *pipeline);
static ngx_uint_t ngx_http_aggregate_redis_is_idle(
    ngx_http_aggregate_redis_pipeline_t *pipeline);
static void ngx_http_aggregate_redis_pipeline_closed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why);
static void ngx_http_aggregate_redis_ping(
    ngx_http_aggregate_redis_node_t *node, ngx_uint_t hurried);
static ngx_http_aggregate_redis_op_t *ngx_http_aggregate_redis_push(
    ngx_http_aggregate_redis_pipeline_t *pipeline, ngx_str_t *command,
    const char *data, size_t len);
static void ngx_http_aggregate_redis_enqueue(
    ngx_http_aggregate_redis_pipeline_t *pipeline,
    ngx_http_aggregate_redis_op_t *op);
static void ngx_http_aggregate_redis_done(ngx_http_aggregate_redis_op_t *op,
    ngx_int_t rc);


static const ngx_http_aggregate_redis_handlers_t
    ngx_http_aggregate_redis_pipeline_handlers =
{
    NULL,                                      /* connect */
    ngx_http_aggregate_redis_pipeline_ready,   /* ready */
    ngx_http_aggregate_redis_pipeline_read,    /* read */
    NULL,                                      /* reply */
    ngx_http_aggregate_redis_pipeline_timeout, /* timeout */
    ngx_http_aggregate_redis_pipeline_closed,  /* closed */
    ngx_http_aggregate_redis_refused,          /* refused */
    0,
    0
};


ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_redis_send(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *key, ngx_uint_t argc, ngx_str_t *argv,
    ngx_http_aggregate_redis_pt handler, void *data, ngx_pool_t *pool,
    size_t limit)
{
    char                                 *command;
    size_t                                len, lens[16];
    ngx_uint_t                            i;
    const u_char                         *args[16];
    ngx_http_aggregate_redis_op_t        *op;
    ngx_http_aggregate_redis_node_t      *node;
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    node = redis->topology->route(redis, key);

    if (argc > 16 || node == NULL) {
        return NULL;
    }

    pipeline = ngx_http_aggregate_redis_pipeline(node);
    if (pipeline == NULL) {
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

    op = ngx_http_aggregate_redis_push(pipeline, &argv[0], command, len);

    if (op && redis->topology->moved
        && len <= NGX_HTTP_AGGREGATE_REDIS_REDIRECT_SIZE)
    {
        op->command = command;
        op->length = len;

    } else {
        agg_redis_free(command);
    }

    if (op == NULL) {
        return NULL;
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

        /* the memory is freed, so the rest of the value is discarded */

        op->reading = 0;
        op->value.data = NULL;
        op->pipeline->connection.parser.dst = NULL;
    }
}


/* NULL: the server is down, or too many commands are pending */

static ngx_http_aggregate_redis_pipeline_t *
ngx_http_aggregate_redis_pipeline(ngx_http_aggregate_redis_node_t *node)
{
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    if (!ngx_http_aggregate_redis_is_available(node)) {
        return NULL;
    }

    pipeline = node->pipeline ? node->pipeline
                              : ngx_http_aggregate_redis_pipeline_open(node);

    if (pipeline == NULL
        || pipeline->nops >= NGX_HTTP_AGGREGATE_REDIS_PENDING)
    {
        return NULL;
    }

    return pipeline;
}


static ngx_http_aggregate_redis_pipeline_t *
ngx_http_aggregate_redis_pipeline_open(ngx_http_aggregate_redis_node_t *node)
{
    ngx_http_aggregate_redis_t             *redis;
    ngx_http_aggregate_redis_pipeline_t    *pipeline;
    ngx_http_aggregate_redis_connection_t  *conn;

    if (ngx_exiting || ngx_terminate) {
        return NULL;
    }

    redis = node->redis;

    pipeline = ngx_calloc(sizeof(ngx_http_aggregate_redis_pipeline_t),
                          ngx_cycle->log);
    if (pipeline == NULL) {
        return NULL;
    }

    ngx_queue_init(&pipeline->ops);

    conn = &pipeline->connection;

    conn->handlers = &ngx_http_aggregate_redis_pipeline_handlers;
    conn->redis = redis;
    conn->user = &redis->user;
    conn->password = &redis->password;
    conn->database = redis->database;
    conn->data = pipeline;

    node->pipeline = pipeline;

    if (ngx_http_aggregate_redis_connection_open(conn, node,
                                                 ngx_min(redis->timeout,
                                                      redis->connect_timeout))
        != NGX_OK)
    {
        ngx_http_aggregate_redis_pipeline_closed(conn, "connect() failed");
        return NULL;
    }

    /* requests wait for it, while an exiting worker waits for its timers */

    conn->timer.cancelable = 0;

    return pipeline;
}


static ngx_int_t
ngx_http_aggregate_redis_pipeline_ready(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_uint_t                            hurried;
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    pipeline = conn->data;

    hurried = pipeline->hurried_handshake;

    if (hurried) {
        pipeline->hurried_handshake = 0;
        pipeline->hurried = 0;
    }

    /* the time to connect does not count */

    if (ngx_current_msec - conn->connected_at > conn->redis->timeout) {
        ngx_http_aggregate_redis_replied_late(conn->node, hurried);

    } else if (pipeline->nops == 0) {
        ngx_http_aggregate_redis_mark_up(conn->node);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_pipeline_read(
    ngx_http_aggregate_redis_connection_t *conn, const u_char *p,
    const u_char *last)
{
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    pipeline = conn->data;

    for ( ;; ) {

        switch (agg_redis_parse(&conn->parser, &p, last)) {

        case AGG_REDIS_AGAIN:
            return NGX_OK;

        case AGG_REDIS_VALUE:

            if (pipeline->nops == 0) {
                conn->closing = "unexpected reply";
                return NGX_ERROR;
            }

            ngx_http_aggregate_redis_pipeline_value(pipeline);
            break;

        case AGG_REDIS_REPLY:

            if (pipeline->nops == 0) {
                conn->closing = "unexpected reply";
                return NGX_ERROR;
            }

            if (ngx_http_aggregate_redis_pipeline_reply(pipeline) != NGX_OK) {
                return NGX_ERROR;
            }

            break;

        default: /* AGG_REDIS_BROKEN */
            conn->closing = "invalid RESP";
            return NGX_ERROR;
        }
    }
}


/* allocates memory for a value, whose length is known */

static void
ngx_http_aggregate_redis_pipeline_value(
    ngx_http_aggregate_redis_pipeline_t *pipeline)
{
    ngx_queue_t                    *q;
    agg_redis_parser_t             *parser;
    ngx_http_aggregate_redis_op_t  *op;

    parser = &pipeline->connection.parser;

    q = ngx_queue_head(&pipeline->ops);
    op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

    if (op->handler == NULL || op->pool == NULL || parser->length > op->limit)
    {
        return;
    }

    op->value.len = parser->length;
    op->value.data = ngx_pnalloc(op->pool, op->value.len + 1);
    op->reading = (op->value.data != NULL);

    parser->dst = op->value.data;
}


static ngx_int_t
ngx_http_aggregate_redis_pipeline_reply(
    ngx_http_aggregate_redis_pipeline_t *pipeline)
{
    ngx_int_t                               rc;
    ngx_str_t                               error;
    ngx_uint_t                              late;
    ngx_msec_t                              deadline;
    ngx_queue_t                            *q;
    agg_redis_parser_t                     *parser;
    ngx_http_aggregate_redis_op_t          *op;
    ngx_http_aggregate_redis_connection_t  *conn;

    conn = &pipeline->connection;
    parser = &conn->parser;

    q = ngx_queue_head(&pipeline->ops);
    op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

    ngx_queue_remove(q);
    pipeline->nops--;

    if (parser->type == AGG_REDIS_ERROR) {

        if (op->command && !op->late
            && ngx_http_aggregate_redis_redirect(pipeline, op) == NGX_OK)
        {
            return NGX_OK;
        }

        error.data = parser->line;
        error.len = parser->length;

        ngx_http_aggregate_redis_refused(conn->node, &op->name, &error);

        if (op->probe) {
            ngx_free(op);
            conn->closing = "PING refused";
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

    deadline = op->deadline;

    if (op->probe || op->asking) {

        /* the time to connect does not count */

        deadline = ngx_max(deadline, conn->connected_at + conn->redis->timeout);
    }

    late = op->late || (ngx_msec_int_t) (ngx_current_msec - deadline) > 0;

    if (op->hurried) {
        pipeline->hurried = 0;
    }

    if (parser->type == AGG_REDIS_ERROR) {
        /* void */

    } else if (late) {
        ngx_http_aggregate_redis_replied_late(conn->node, op->hurried);

    } else if (!(op->probe || op->asking) || pipeline->nops == 0) {
        ngx_http_aggregate_redis_mark_up(conn->node);
    }

    ngx_http_aggregate_redis_done(op, rc);

    return NGX_OK;
}


/* NGX_OK: the command is sent to another node of the cluster */

static ngx_int_t
ngx_http_aggregate_redis_redirect(
    ngx_http_aggregate_redis_pipeline_t *pipeline,
    ngx_http_aggregate_redis_op_t *op)
{
    char                             *text;
    size_t                            len;
    unsigned                          slot;
    ngx_uint_t                        ask;
    agg_redis_address_t               address;
    ngx_http_aggregate_redis_t       *redis;
    ngx_http_aggregate_redis_node_t  *node;

    redis = pipeline->connection.redis;
    node = pipeline->connection.node;

    text = (char *) pipeline->connection.parser.line;
    len = pipeline->connection.parser.length;

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
        address.host = (char *) node->host.data;
        address.length = node->host.len;
    }

    node = ngx_http_aggregate_redis_get_node(redis, &address);

    if (node == NULL) {
        return NGX_DECLINED;
    }

    if (!ask) {
        redis->topology->moved(redis, slot, node);
    }

    if (op->redirects++ == NGX_HTTP_AGGREGATE_REDIS_REDIRECTS) {
        return NGX_DECLINED;
    }

    (void) ngx_atomic_fetch_add(&redis->sh->redirects, 1);

    return ngx_http_aggregate_redis_redirect_send(node, op, ask);
}


static ngx_int_t
ngx_http_aggregate_redis_redirect_send(ngx_http_aggregate_redis_node_t *node,
    ngx_http_aggregate_redis_op_t *op, ngx_uint_t ask)
{
    ngx_http_aggregate_redis_op_t        *asking;
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    static ngx_str_t  name = ngx_string("ASKING");

    pipeline = ngx_http_aggregate_redis_pipeline(node);
    if (pipeline == NULL) {
        return NGX_DECLINED;
    }

    if (ask) {
        asking = ngx_http_aggregate_redis_push(pipeline, &name,
                                               "*1\r\n$6\r\nASKING\r\n", 16);
        if (asking == NULL) {
            return NGX_DECLINED;
        }

        asking->asking = 1;
    }

    if (ngx_http_aggregate_redis_connection_send(&pipeline->connection,
                                                 op->command, op->length)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_aggregate_redis_enqueue(pipeline, op);

    return NGX_OK;
}


/* NULL: no memory, or too much is unsent */

static ngx_http_aggregate_redis_op_t *
ngx_http_aggregate_redis_push(ngx_http_aggregate_redis_pipeline_t *pipeline,
    ngx_str_t *command, const char *data, size_t len)
{
    ngx_http_aggregate_redis_op_t  *op;

    op = ngx_calloc(sizeof(ngx_http_aggregate_redis_op_t), ngx_cycle->log);
    if (op == NULL) {
        return NULL;
    }

    if (ngx_http_aggregate_redis_connection_send(&pipeline->connection, data,
                                                 len)
        != NGX_OK)
    {
        ngx_free(op);
        return NULL;
    }

    op->name = *command;
    op->deadline = ngx_current_msec + pipeline->connection.redis->timeout;

    ngx_http_aggregate_redis_enqueue(pipeline, op);

    return op;
}


static void
ngx_http_aggregate_redis_enqueue(ngx_http_aggregate_redis_pipeline_t *pipeline,
    ngx_http_aggregate_redis_op_t *op)
{
    ngx_http_aggregate_redis_connection_t  *conn;

    conn = &pipeline->connection;

    op->pipeline = pipeline;

    if (pipeline->nops == 0 && conn->handshake == 0) {
        conn->heard = ngx_current_msec;
    }

    ngx_queue_insert_tail(&pipeline->ops, &op->queue);
    pipeline->nops++;

    if (!conn->timer.timer_set) {
        ngx_http_aggregate_redis_connection_set_timeout(conn,
                                              ngx_min(conn->redis->timeout,
                                              conn->redis->connect_timeout));
    }
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

    if (op->command) {
        agg_redis_free(op->command);
    }

    ngx_free(op);
}


static ngx_int_t
ngx_http_aggregate_redis_pipeline_timeout(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_msec_t                            next;
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    pipeline = conn->data;

    if (pipeline->nops == 0 && conn->handshake == 0) {
        return NGX_OK;
    }

    /* while the server is down, the next PING replaces the connection */

    if (ngx_http_aggregate_redis_is_idle(pipeline)
        && conn->node->health->down == 0)
    {
        conn->closing = "idle for 1s";
        return NGX_ERROR;
    }

    next = ngx_http_aggregate_redis_pipeline_expire(pipeline);

    if (!conn->connected) {
        next = ngx_min(next, conn->connect_by - ngx_current_msec);
    }

    ngx_http_aggregate_redis_connection_set_timeout(conn, ngx_max(next, 1));

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_redis_is_idle(ngx_http_aggregate_redis_pipeline_t *pipeline)
{
    ngx_http_aggregate_redis_connection_t  *conn;

    conn = &pipeline->connection;

    return (pipeline->nops || conn->handshake) && conn->connected
           && ngx_current_msec - conn->heard >= NGX_HTTP_AGGREGATE_REDIS_IDLE;
}


/* returns the time until the next command is late */

static ngx_msec_t
ngx_http_aggregate_redis_pipeline_expire(
    ngx_http_aggregate_redis_pipeline_t *pipeline)
{
    ngx_msec_t                              next;
    ngx_queue_t                            *q;
    ngx_msec_int_t                          left;
    ngx_http_aggregate_redis_pt             handler;
    ngx_http_aggregate_redis_op_t          *op;
    ngx_http_aggregate_redis_connection_t  *conn;

    conn = &pipeline->connection;
    next = conn->redis->timeout;

    for (q = ngx_queue_head(&pipeline->ops);
         q != ngx_queue_sentinel(&pipeline->ops);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

        if (op->probe || op->asking) {
            continue;
        }

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

        ngx_http_aggregate_redis_mark_failed(conn->node, "reply timed out");

        if (op->reading) {
            conn->parser.dst = NULL;
            op->reading = 0;
        }

        op->handler = NULL;
        op->rc = NGX_ERROR;

        /* the command stays in the queue for its late reply */

        handler(op);
    }

    return next;
}


static void
ngx_http_aggregate_redis_pipeline_closed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why)
{
    ngx_queue_t                          *q, *next;
    ngx_http_aggregate_redis_op_t        *op;
    ngx_http_aggregate_redis_node_t      *node;
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    pipeline = conn->data;
    node = conn->node;

    /* handlers may send commands, on another connection */

    node->pipeline = NULL;

    if (!ngx_exiting && !ngx_terminate
        && (pipeline->nops || conn->handshake || !conn->connected))
    {
        ngx_http_aggregate_redis_mark_failed(node, why);
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "connection to redis \"%V\" (%V) closed: %s",
                  &conn->redis->name, &node->name, why);

    /* nothing is added to it any more, nor is a single one removed */

    for (q = ngx_queue_head(&pipeline->ops);
         q != ngx_queue_sentinel(&pipeline->ops);
         q = next)
    {
        next = ngx_queue_next(q);
        op = ngx_queue_data(q, ngx_http_aggregate_redis_op_t, queue);

        ngx_http_aggregate_redis_done(op, NGX_ERROR);
    }

    ngx_free(pipeline);
}


void
ngx_http_aggregate_redis_recover(ngx_event_t *ev)
{
    ngx_atomic_uint_t                     at, now;
    ngx_http_aggregate_redis_t           *redis;
    ngx_http_aggregate_redis_node_t      *node;
    ngx_http_aggregate_redis_health_t    *health;
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    node = ev->data;
    redis = node->redis;
    health = node->health;

    /* a server that is not used any more may stay down */

    if (health->down == 0 || !redis->topology->uses(redis, node)) {
        return;
    }

    at = health->probe_at;
    now = (ngx_atomic_uint_t) ngx_current_msec;

    /* one of all workers sends the PING */

    if ((ngx_atomic_int_t) (at - now) <= 0
        && ngx_atomic_cmp_set(&health->probe_at, at, now + health->backoff))
    {
        health->backoff = ngx_min(health->backoff * 2,
                                  NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MAX);

        /*
         * A PING is always pending: its reply, even if it is late, shows at
         * once that the server works again.
         */

        pipeline = node->pipeline;

        if (pipeline && ngx_http_aggregate_redis_is_idle(pipeline)) {
            ngx_http_aggregate_redis_connection_close(&pipeline->connection,
                                                      "idle for 1s");
        }

        ngx_http_aggregate_redis_ping(node, 0);
    }

    ngx_http_aggregate_redis_watch(node);
}


/* the handshake ends with a PING, so a new connection needs no other one */

static void
ngx_http_aggregate_redis_ping(ngx_http_aggregate_redis_node_t *node,
    ngx_uint_t hurried)
{
    ngx_http_aggregate_redis_op_t        *op;
    ngx_http_aggregate_redis_pipeline_t  *pipeline;

    static ngx_str_t  name = ngx_string("PING");

    pipeline = node->pipeline;

    if (pipeline) {
        op = ngx_http_aggregate_redis_push(pipeline, &name,
                                           "*1\r\n$4\r\nPING\r\n", 14);
        if (op == NULL) {
            return;
        }

        op->probe = 1;
        op->hurried = (hurried != 0);

    } else {
        pipeline = ngx_http_aggregate_redis_pipeline_open(node);

        if (pipeline == NULL) {
            return;
        }

        pipeline->hurried_handshake = (hurried != 0);
    }

    if (hurried) {
        pipeline->hurried = 1;
    }
}


void
ngx_http_aggregate_redis_replied_late(ngx_http_aggregate_redis_node_t *node,
    ngx_uint_t hurried)
{
    if (node->health->down && !hurried
        && (node->pipeline == NULL || !node->pipeline->hurried))
    {
        ngx_http_aggregate_redis_ping(node, 1);
    }
}
