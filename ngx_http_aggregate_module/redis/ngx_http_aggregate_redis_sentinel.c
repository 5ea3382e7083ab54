
/*
 * The topology of a master that sentinels know.  One sentinel is asked for
 * the address of the master, and publishes when that changes.  When the
 * connection to it is closed, the next one is asked.
 */


#include "ngx_http_aggregate_redis.h"


/* milliseconds for a reply, and between two PINGs */
#define NGX_HTTP_AGGREGATE_REDIS_SENTINEL_WAIT       1000
#define NGX_HTTP_AGGREGATE_REDIS_SENTINEL_PING       2000

#define NGX_HTTP_AGGREGATE_REDIS_SENTINEL_RETRY      100
#define NGX_HTTP_AGGREGATE_REDIS_SENTINEL_RETRY_MAX  2000


typedef enum {
    ngx_http_aggregate_redis_sentinel_get_master = 0,
    ngx_http_aggregate_redis_sentinel_subscribe,
    ngx_http_aggregate_redis_sentinel_listen
} ngx_http_aggregate_redis_sentinel_e;


typedef struct {
    ngx_http_aggregate_redis_connection_t  connection;
    ngx_uint_t                             next;
    ngx_uint_t                             step;
    unsigned                               pinged:1;
} ngx_http_aggregate_redis_sentinel_t;


static ngx_int_t ngx_http_aggregate_redis_sentinel_start(
    ngx_http_aggregate_redis_t *redis, ngx_cycle_t *cycle);
static void ngx_http_aggregate_redis_sentinel_stop(
    ngx_http_aggregate_redis_t *redis);
static ngx_http_aggregate_redis_node_t *
    ngx_http_aggregate_redis_sentinel_route(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *key);
static ngx_uint_t ngx_http_aggregate_redis_sentinel_uses(
    ngx_http_aggregate_redis_t *redis, ngx_http_aggregate_redis_node_t *node);
static void ngx_http_aggregate_redis_sentinel_refresh(
    ngx_http_aggregate_redis_t *redis);
static void ngx_http_aggregate_redis_sentinel_connect(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_int_t ngx_http_aggregate_redis_sentinel_ready(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_int_t ngx_http_aggregate_redis_sentinel_reply(
    ngx_http_aggregate_redis_connection_t *conn, void *reply);
static ngx_int_t ngx_http_aggregate_redis_sentinel_master(
    ngx_http_aggregate_redis_t *redis, const agg_redis_address_t *address);
static void ngx_http_aggregate_redis_sentinel_switch(
    ngx_http_aggregate_redis_t *redis, ngx_http_aggregate_redis_node_t *node);
static ngx_int_t ngx_http_aggregate_redis_sentinel_timeout(
    ngx_http_aggregate_redis_connection_t *conn);
static void ngx_http_aggregate_redis_sentinel_closed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why);


static const ngx_http_aggregate_redis_handlers_t
    ngx_http_aggregate_redis_sentinel_handlers =
{
    ngx_http_aggregate_redis_sentinel_connect, /* connect */
    ngx_http_aggregate_redis_sentinel_ready,   /* ready */
    NULL,                                      /* read */
    ngx_http_aggregate_redis_sentinel_reply,   /* reply */
    ngx_http_aggregate_redis_sentinel_timeout, /* timeout */
    ngx_http_aggregate_redis_sentinel_closed,  /* closed */
    ngx_http_aggregate_redis_refused,          /* refused */
    NGX_HTTP_AGGREGATE_REDIS_SENTINEL_RETRY,
    NGX_HTTP_AGGREGATE_REDIS_SENTINEL_RETRY_MAX
};


const ngx_http_aggregate_redis_topology_t
    ngx_http_aggregate_redis_sentinel =
{
    ngx_http_aggregate_redis_sentinel_start,
    ngx_http_aggregate_redis_sentinel_stop,
    ngx_http_aggregate_redis_sentinel_route,
    ngx_http_aggregate_redis_sentinel_uses,
    NULL,                                  /* failed */
    ngx_http_aggregate_redis_sentinel_refresh,
    NULL                                   /* moved */
};


static ngx_int_t
ngx_http_aggregate_redis_sentinel_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle)
{
    ngx_http_aggregate_redis_sentinel_t    *sentinel;
    ngx_http_aggregate_redis_connection_t  *conn;

    sentinel = ngx_pcalloc(cycle->pool,
                           sizeof(ngx_http_aggregate_redis_sentinel_t));
    if (sentinel == NULL) {
        return NGX_ERROR;
    }

    sentinel->next = (ngx_uint_t) ngx_random() % redis->sentinels.nelts;

    conn = &sentinel->connection;

    conn->handlers = &ngx_http_aggregate_redis_sentinel_handlers;
    conn->redis = redis;
    conn->user = &redis->sentinel_user;
    conn->password = &redis->sentinel_password;
    conn->data = sentinel;

    redis->state = sentinel;

    ngx_http_aggregate_redis_connection_connect_in(conn, 1);

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_sentinel_stop(ngx_http_aggregate_redis_t *redis)
{
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = redis->state;

    if (sentinel) {
        ngx_http_aggregate_redis_connection_end(&sentinel->connection);
    }
}


static ngx_http_aggregate_redis_node_t *
ngx_http_aggregate_redis_sentinel_route(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *key)
{
    return redis->node;
}


static ngx_uint_t
ngx_http_aggregate_redis_sentinel_uses(ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_redis_node_t *node)
{
    return node == redis->node;
}


/* the next sentinel is asked for the master */

static void
ngx_http_aggregate_redis_sentinel_refresh(ngx_http_aggregate_redis_t *redis)
{
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = redis->state;

    if (sentinel->connection.open
        && sentinel->step == ngx_http_aggregate_redis_sentinel_listen)
    {
        ngx_http_aggregate_redis_connection_close_later(&sentinel->connection,
                                               "the master does not fit");
    }
}


static void
ngx_http_aggregate_redis_sentinel_connect(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_http_aggregate_redis_t            *redis;
    ngx_http_aggregate_redis_node_t      **nodes;
    ngx_http_aggregate_redis_sentinel_t   *sentinel;

    sentinel = conn->data;
    redis = conn->redis;

    nodes = redis->sentinels.elts;

    if (ngx_http_aggregate_redis_connection_open(conn,
                          nodes[sentinel->next++ % redis->sentinels.nelts],
                          redis->connect_timeout
                          + NGX_HTTP_AGGREGATE_REDIS_IDLE)
        != NGX_OK)
    {
        ngx_http_aggregate_redis_connection_retry(conn);
    }
}


static ngx_int_t
ngx_http_aggregate_redis_sentinel_ready(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_str_t                             argv[3];
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = conn->data;

    ngx_str_set(&argv[0], "SENTINEL");
    ngx_str_set(&argv[1], "get-master-addr-by-name");
    argv[2] = conn->redis->master;

    sentinel->pinged = 0;
    sentinel->step = ngx_http_aggregate_redis_sentinel_get_master;

    return ngx_http_aggregate_redis_connection_ask(conn, 3, argv,
                                     NGX_HTTP_AGGREGATE_REDIS_SENTINEL_WAIT);
}


static ngx_int_t
ngx_http_aggregate_redis_sentinel_reply(
    ngx_http_aggregate_redis_connection_t *conn, void *reply)
{
    ngx_str_t                             argv[2];
    agg_redis_address_t                   address;
    ngx_http_aggregate_redis_t           *redis;
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = conn->data;
    redis = conn->redis;

    switch (sentinel->step) {

    case ngx_http_aggregate_redis_sentinel_get_master:

        if (agg_redis_master(reply, &address) != 0) {

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "sentinel of redis \"%V\" knows no master \"%V\"",
                          &redis->name, &redis->master);
            return NGX_ERROR;
        }

        if (ngx_http_aggregate_redis_sentinel_master(redis, &address)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_str_set(&argv[0], "SUBSCRIBE");
        ngx_str_set(&argv[1], "+switch-master");

        sentinel->step = ngx_http_aggregate_redis_sentinel_subscribe;

        return ngx_http_aggregate_redis_connection_ask(conn, 2, argv,
                                     NGX_HTTP_AGGREGATE_REDIS_SENTINEL_WAIT);

    case ngx_http_aggregate_redis_sentinel_subscribe:

        if (agg_redis_elements(reply) != 3) {
            return NGX_ERROR;
        }

        sentinel->step = ngx_http_aggregate_redis_sentinel_listen;
        conn->delay = 0;

        break;

    default: /* ngx_http_aggregate_redis_sentinel_listen */

        if (agg_redis_switched(reply, (char *) redis->master.data,
                               redis->master.len, &address))
        {
            if (ngx_http_aggregate_redis_sentinel_master(redis, &address)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    /* the reply to a PING, or a message */

    sentinel->pinged = 0;

    if (conn->closing == NULL) {
        ngx_http_aggregate_redis_connection_set_timeout(conn,
                                     NGX_HTTP_AGGREGATE_REDIS_SENTINEL_PING);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_sentinel_master(ngx_http_aggregate_redis_t *redis,
    const agg_redis_address_t *address)
{
    ngx_http_aggregate_redis_node_t  *node;

    node = ngx_http_aggregate_redis_get_node(redis, address);

    if (node == NULL) {
        return NGX_ERROR;
    }

    if (node != redis->node) {
        ngx_http_aggregate_redis_sentinel_switch(redis, node);
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_sentinel_switch(ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_redis_node_t *node)
{
    ngx_queue_t                        *q;
    ngx_http_aggregate_redis_node_t    *old;
    ngx_http_aggregate_redis_stream_t  *stream;

    old = redis->node;
    redis->node = node;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "master of redis \"%V\" is %V now", &redis->name,
                  &node->name);

    /* the node may be down for reasons that do not exist any more */

    node->health->fails = 0;
    (void) ngx_atomic_cmp_set(&node->health->down, 1, 0);

    if (old == NULL) {
        return;
    }

    if (old->pipeline) {
        ngx_http_aggregate_redis_connection_close(&old->pipeline->connection,
                                                  "the master has changed");
    }

    for (q = ngx_queue_head(&redis->streams);
         q != ngx_queue_sentinel(&redis->streams);
         q = ngx_queue_next(q))
    {
        stream = ngx_queue_data(q, ngx_http_aggregate_redis_stream_t, queue);

        ngx_http_aggregate_redis_connection_close(&stream->connection,
                                                  "the master has changed");
    }
}


static ngx_int_t
ngx_http_aggregate_redis_sentinel_timeout(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_str_t                             argv[1];
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = conn->data;

    if (conn->handshake
        || sentinel->step != ngx_http_aggregate_redis_sentinel_listen
        || sentinel->pinged)
    {
        return NGX_ERROR;
    }

    sentinel->pinged = 1;

    ngx_str_set(&argv[0], "PING");

    return ngx_http_aggregate_redis_connection_ask(conn, 1, argv,
                                     NGX_HTTP_AGGREGATE_REDIS_SENTINEL_WAIT);
}


static void
ngx_http_aggregate_redis_sentinel_closed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why)
{
    if (ngx_exiting || ngx_terminate) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "connection to sentinel of redis \"%V\" closed: %s",
                  &conn->redis->name, why);

    ngx_http_aggregate_redis_connection_retry(conn);
}
