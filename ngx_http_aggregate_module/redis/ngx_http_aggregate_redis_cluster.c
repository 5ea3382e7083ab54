
/*
 * The topology of a Redis Cluster: the map of slots is read from any node, at
 * the start, when a node replies "MOVED", and when a node fails.
 */


#include "ngx_http_aggregate_redis.h"


/* milliseconds for a reply, and between two requests for the map */
#define NGX_HTTP_AGGREGATE_REDIS_CLUSTER_WAIT   1000

#define NGX_HTTP_AGGREGATE_REDIS_CLUSTER_RETRY  200


typedef struct {
    ngx_http_aggregate_redis_connection_t  connection;
    ngx_uint_t                             next;     /* node to be asked */
    ngx_http_aggregate_redis_node_t       *slots[AGG_REDIS_SLOTS];
    unsigned                               replied:1;
} ngx_http_aggregate_redis_cluster_t;


static ngx_int_t ngx_http_aggregate_redis_cluster_start(
    ngx_http_aggregate_redis_t *redis, ngx_cycle_t *cycle);
static void ngx_http_aggregate_redis_cluster_stop(
    ngx_http_aggregate_redis_t *redis);
static ngx_http_aggregate_redis_node_t *ngx_http_aggregate_redis_cluster_route(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *key);
static ngx_uint_t ngx_http_aggregate_redis_cluster_uses(
    ngx_http_aggregate_redis_t *redis, ngx_http_aggregate_redis_node_t *node);
static void ngx_http_aggregate_redis_cluster_refresh(
    ngx_http_aggregate_redis_t *redis);
static void ngx_http_aggregate_redis_cluster_moved(
    ngx_http_aggregate_redis_t *redis, ngx_uint_t slot,
    ngx_http_aggregate_redis_node_t *node);
static void ngx_http_aggregate_redis_cluster_connect(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_int_t ngx_http_aggregate_redis_cluster_ready(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_int_t ngx_http_aggregate_redis_cluster_reply(
    ngx_http_aggregate_redis_connection_t *conn, void *reply);
static void ngx_http_aggregate_redis_cluster_range(void *data,
    unsigned first, unsigned last, const agg_redis_address_t *address);
static void ngx_http_aggregate_redis_cluster_closed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why);


static const ngx_http_aggregate_redis_handlers_t
    ngx_http_aggregate_redis_cluster_handlers =
{
    ngx_http_aggregate_redis_cluster_connect,  /* connect */
    ngx_http_aggregate_redis_cluster_ready,    /* ready */
    NULL,                                      /* read */
    ngx_http_aggregate_redis_cluster_reply,    /* reply */
    NULL,                                      /* timeout */
    ngx_http_aggregate_redis_cluster_closed,   /* closed */
    ngx_http_aggregate_redis_refused,          /* refused */
    NGX_HTTP_AGGREGATE_REDIS_CLUSTER_RETRY,
    NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MAX
};


const ngx_http_aggregate_redis_topology_t  ngx_http_aggregate_redis_cluster = {
    ngx_http_aggregate_redis_cluster_start,
    ngx_http_aggregate_redis_cluster_stop,
    ngx_http_aggregate_redis_cluster_route,
    ngx_http_aggregate_redis_cluster_uses,
    ngx_http_aggregate_redis_cluster_refresh,  /* failed */
    ngx_http_aggregate_redis_cluster_refresh,
    ngx_http_aggregate_redis_cluster_moved
};


static ngx_int_t
ngx_http_aggregate_redis_cluster_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle)
{
    ngx_http_aggregate_redis_cluster_t     *cluster;
    ngx_http_aggregate_redis_connection_t  *conn;

    cluster = ngx_pcalloc(cycle->pool,
                          sizeof(ngx_http_aggregate_redis_cluster_t));
    if (cluster == NULL) {
        return NGX_ERROR;
    }

    cluster->next = (ngx_uint_t) ngx_random() % redis->servers.nelts;

    conn = &cluster->connection;

    conn->handlers = &ngx_http_aggregate_redis_cluster_handlers;
    conn->redis = redis;
    conn->user = &redis->user;
    conn->password = &redis->password;
    conn->data = cluster;

    redis->state = cluster;

    ngx_http_aggregate_redis_connection_connect_in(conn, 1);

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_cluster_stop(ngx_http_aggregate_redis_t *redis)
{
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = redis->state;

    if (cluster) {
        ngx_http_aggregate_redis_connection_end(&cluster->connection);
    }
}


static ngx_http_aggregate_redis_node_t *
ngx_http_aggregate_redis_cluster_route(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *key)
{
    ngx_http_aggregate_redis_node_t     *node;
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = redis->state;

    node = cluster->slots[agg_redis_slot(key->data, key->len)];

    if (node == NULL) {
        ngx_http_aggregate_redis_cluster_refresh(redis);
    }

    return node;
}


static ngx_uint_t
ngx_http_aggregate_redis_cluster_uses(ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_redis_node_t *node)
{
    ngx_uint_t                           i;
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = redis->state;

    for (i = 0; i < AGG_REDIS_SLOTS; i++) {
        if (cluster->slots[i] == node) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_aggregate_redis_cluster_moved(ngx_http_aggregate_redis_t *redis,
    ngx_uint_t slot, ngx_http_aggregate_redis_node_t *node)
{
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = redis->state;

    cluster->slots[slot] = node;

    /* other slots may have moved, too */

    ngx_http_aggregate_redis_cluster_refresh(redis);
}


/* the map may be outdated, and is read again soon */

static void
ngx_http_aggregate_redis_cluster_refresh(ngx_http_aggregate_redis_t *redis)
{
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = redis->state;

    if (cluster) {
        ngx_http_aggregate_redis_connection_connect_in(&cluster->connection,
                                 NGX_HTTP_AGGREGATE_REDIS_CLUSTER_WAIT / 2
                                 + (ngx_uint_t) ngx_random()
                                   % NGX_HTTP_AGGREGATE_REDIS_CLUSTER_WAIT);
    }
}


static void
ngx_http_aggregate_redis_cluster_connect(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_http_aggregate_redis_t          *redis;
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = conn->data;
    redis = conn->redis;

    cluster->replied = 0;

    if (ngx_http_aggregate_redis_connection_open(conn,
                                 redis->nodes[cluster->next++ % redis->nnodes],
                                 redis->connect_timeout
                                 + NGX_HTTP_AGGREGATE_REDIS_IDLE)
        != NGX_OK)
    {
        ngx_http_aggregate_redis_connection_retry(conn);
    }
}


static ngx_int_t
ngx_http_aggregate_redis_cluster_ready(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "CLUSTER");
    ngx_str_set(&argv[1], "SLOTS");

    return ngx_http_aggregate_redis_connection_ask(conn, 2, argv,
                                      NGX_HTTP_AGGREGATE_REDIS_CLUSTER_WAIT);
}


static ngx_int_t
ngx_http_aggregate_redis_cluster_reply(
    ngx_http_aggregate_redis_connection_t *conn, void *reply)
{
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = conn->data;

    /* a node without slots does not belong to the cluster */

    if (agg_redis_slots(reply, ngx_http_aggregate_redis_cluster_range,
                        cluster)
        <= 0)
    {
        return NGX_ERROR;
    }

    cluster->replied = 1;
    conn->delay = 0;

    return NGX_DONE;
}


static void
ngx_http_aggregate_redis_cluster_range(void *data, unsigned first,
    unsigned last, const agg_redis_address_t *address)
{
    ngx_http_aggregate_redis_cluster_t *cluster = data;

    unsigned                          slot;
    ngx_http_aggregate_redis_node_t  *node;

    /* the node that replies may not know its own address */

    node = address->length
           ? ngx_http_aggregate_redis_get_node(cluster->connection.redis,
                                               address)
           : cluster->connection.node;

    if (node == NULL) {
        return;
    }

    for (slot = first; slot <= last; slot++) {
        cluster->slots[slot] = node;
    }
}


static void
ngx_http_aggregate_redis_cluster_closed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why)
{
    ngx_uint_t                           known;
    ngx_http_aggregate_redis_t          *redis;
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = conn->data;
    redis = conn->redis;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "connection for slots of redis \"%V\" closed: %s",
                  &redis->name, why);

    if (!cluster->replied) {
        ngx_http_aggregate_redis_connection_retry(conn);

    } else if (ngx_http_aggregate_redis_down(redis, &known)) {

        /* until another node has the slots of the one that is down */

        ngx_http_aggregate_redis_cluster_refresh(redis);
    }
}
