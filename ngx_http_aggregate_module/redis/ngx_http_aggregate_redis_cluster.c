
/*
 * A Redis Cluster: which node has which slots, asked of any node that
 * answers, at the start, when a node says "MOVED", and when one fails.
 */


#include "ngx_http_aggregate_redis.h"


/* between two questions, and between two tries of one */
#define NGX_HTTP_AGGREGATE_REDIS_CLUSTER_WAIT   1000
#define NGX_HTTP_AGGREGATE_REDIS_CLUSTER_AGAIN  200


struct ngx_http_aggregate_redis_cluster_s {
    ngx_http_aggregate_redis_t       *redis;
    ngx_http_aggregate_redis_talk_t   talk;
    ngx_event_t                       timer;
    ngx_msec_t                        delay;
    ngx_uint_t                        next;     /* the node to be asked */
    ngx_http_aggregate_redis_node_t  *asked;
    ngx_http_aggregate_redis_node_t  *slots[AGG_REDIS_SLOTS];
    unsigned                          answered:1;
};


static void ngx_http_aggregate_redis_cluster_timer(ngx_event_t *ev);
static void ngx_http_aggregate_redis_cluster_again(
    ngx_http_aggregate_redis_cluster_t *cluster);
static ngx_int_t ngx_http_aggregate_redis_cluster_ready(
    ngx_http_aggregate_redis_talk_t *talk);
static ngx_int_t ngx_http_aggregate_redis_cluster_reply(
    ngx_http_aggregate_redis_talk_t *talk, void *reply);
static void ngx_http_aggregate_redis_cluster_range(void *data,
    unsigned first, unsigned last, const agg_redis_address_t *address);
static void ngx_http_aggregate_redis_cluster_closed(
    ngx_http_aggregate_redis_talk_t *talk, const char *why);


ngx_int_t
ngx_http_aggregate_redis_cluster_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle)
{
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = ngx_pcalloc(cycle->pool,
                          sizeof(ngx_http_aggregate_redis_cluster_t));
    if (cluster == NULL) {
        return NGX_ERROR;
    }

    cluster->redis = redis;
    cluster->next = (ngx_uint_t) ngx_random() % redis->servers.nelts;

    cluster->timer.handler = ngx_http_aggregate_redis_cluster_timer;
    cluster->timer.data = cluster;
    cluster->timer.log = cycle->log;
    cluster->timer.cancelable = 1;

    cluster->talk.redis = redis;
    cluster->talk.user = &redis->user;
    cluster->talk.password = &redis->password;
    cluster->talk.data = cluster;
    cluster->talk.ready = ngx_http_aggregate_redis_cluster_ready;
    cluster->talk.reply = ngx_http_aggregate_redis_cluster_reply;
    cluster->talk.closed = ngx_http_aggregate_redis_cluster_closed;

    redis->cluster = cluster;

    ngx_add_timer(&cluster->timer, 1);

    return NGX_OK;
}


void
ngx_http_aggregate_redis_cluster_end(ngx_http_aggregate_redis_t *redis)
{
    ngx_http_aggregate_redis_talk_close(&redis->cluster->talk,
                                        "the worker ends");

    if (redis->cluster->timer.timer_set) {
        ngx_del_timer(&redis->cluster->timer);
    }
}


ngx_http_aggregate_redis_node_t *
ngx_http_aggregate_redis_cluster_route(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *key)
{
    ngx_http_aggregate_redis_node_t  *node;

    node = redis->cluster->slots[agg_redis_slot(key->data, key->len)];

    if (node == NULL) {
        ngx_http_aggregate_redis_cluster_doubt(redis);
    }

    return node;
}


void
ngx_http_aggregate_redis_cluster_moved(ngx_http_aggregate_redis_t *redis,
    ngx_uint_t slot, ngx_http_aggregate_redis_node_t *node)
{
    redis->cluster->slots[slot] = node;

    /* and seldom alone */

    ngx_http_aggregate_redis_cluster_doubt(redis);
}


ngx_uint_t
ngx_http_aggregate_redis_cluster_uses(ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_redis_node_t *node)
{
    ngx_uint_t  i;

    for (i = 0; i < AGG_REDIS_SLOTS; i++) {
        if (redis->cluster->slots[i] == node) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_aggregate_redis_cluster_doubt(ngx_http_aggregate_redis_t *redis)
{
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = redis->cluster;

    if (cluster == NULL || cluster->talk.open || cluster->timer.timer_set
        || ngx_exiting || ngx_terminate)
    {
        return;
    }

    ngx_add_timer(&cluster->timer, NGX_HTTP_AGGREGATE_REDIS_CLUSTER_WAIT / 2
                                   + (ngx_uint_t) ngx_random()
                                   % NGX_HTTP_AGGREGATE_REDIS_CLUSTER_WAIT);
}


static void
ngx_http_aggregate_redis_cluster_timer(ngx_event_t *ev)
{
    ngx_http_aggregate_redis_t          *redis;
    ngx_http_aggregate_redis_node_t     *node;
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = ev->data;
    redis = cluster->redis;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    node = redis->nodes[cluster->next++ % redis->nnodes];

    cluster->asked = node;
    cluster->answered = 0;

    if (ngx_http_aggregate_redis_talk_open(&cluster->talk, node) != NGX_OK) {
        ngx_http_aggregate_redis_cluster_again(cluster);
    }
}


static void
ngx_http_aggregate_redis_cluster_again(
    ngx_http_aggregate_redis_cluster_t *cluster)
{
    cluster->delay = ngx_min(ngx_max(cluster->delay * 2,
                                     NGX_HTTP_AGGREGATE_REDIS_CLUSTER_AGAIN),
                             NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MAX);

    ngx_add_timer(&cluster->timer, cluster->delay + ngx_random() % 100);
}


static ngx_int_t
ngx_http_aggregate_redis_cluster_ready(ngx_http_aggregate_redis_talk_t *talk)
{
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "CLUSTER");
    ngx_str_set(&argv[1], "SLOTS");

    return ngx_http_aggregate_redis_talk_ask(talk, 2, argv,
                                      NGX_HTTP_AGGREGATE_REDIS_CLUSTER_WAIT);
}


static ngx_int_t
ngx_http_aggregate_redis_cluster_reply(ngx_http_aggregate_redis_talk_t *talk,
    void *reply)
{
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = talk->data;

    /* a node that knows of none is none to believe */

    if (agg_redis_slots(reply, ngx_http_aggregate_redis_cluster_range,
                        cluster)
        <= 0)
    {
        return NGX_ERROR;
    }

    cluster->answered = 1;
    cluster->delay = 0;

    return NGX_DONE;
}


static void
ngx_http_aggregate_redis_cluster_range(void *data, unsigned first,
    unsigned last, const agg_redis_address_t *address)
{
    ngx_http_aggregate_redis_cluster_t *cluster = data;

    unsigned                          slot;
    ngx_http_aggregate_redis_node_t  *node;

    /* without an address it speaks of itself */

    node = address->length
           ? ngx_http_aggregate_redis_node(cluster->redis, address)
           : cluster->asked;

    if (node == NULL) {
        return;
    }

    for (slot = first; slot <= last; slot++) {
        cluster->slots[slot] = node;
    }
}


static void
ngx_http_aggregate_redis_cluster_closed(ngx_http_aggregate_redis_talk_t *talk,
    const char *why)
{
    ngx_uint_t                           known;
    ngx_http_aggregate_redis_cluster_t  *cluster;

    cluster = talk->data;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "redis \"%V\" was asked for its slots: %s",
                  &cluster->redis->name, why);

    if (!cluster->answered) {
        ngx_http_aggregate_redis_cluster_again(cluster);

    } else if (ngx_http_aggregate_redis_down(cluster->redis, &known)) {

        /* until another one has its slots */

        ngx_http_aggregate_redis_cluster_doubt(cluster->redis);
    }
}
