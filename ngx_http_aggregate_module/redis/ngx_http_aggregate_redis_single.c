
/*
 * The topology of one server: all keys are on it.
 */


#include "ngx_http_aggregate_redis.h"


static ngx_int_t ngx_http_aggregate_redis_single_start(
    ngx_http_aggregate_redis_t *redis, ngx_cycle_t *cycle);
static void ngx_http_aggregate_redis_single_stop(
    ngx_http_aggregate_redis_t *redis);
static ngx_http_aggregate_redis_node_t *ngx_http_aggregate_redis_single_route(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *key);
static ngx_uint_t ngx_http_aggregate_redis_single_uses(
    ngx_http_aggregate_redis_t *redis, ngx_http_aggregate_redis_node_t *node);


const ngx_http_aggregate_redis_topology_t  ngx_http_aggregate_redis_single = {
    ngx_http_aggregate_redis_single_start,
    ngx_http_aggregate_redis_single_stop,
    ngx_http_aggregate_redis_single_route,
    ngx_http_aggregate_redis_single_uses,
    NULL,                                  /* failed */
    NULL,                                  /* refresh */
    NULL                                   /* moved */
};


static ngx_int_t
ngx_http_aggregate_redis_single_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle)
{
    redis->node = redis->nodes[0];

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_single_stop(ngx_http_aggregate_redis_t *redis)
{
    /* void */
}


static ngx_http_aggregate_redis_node_t *
ngx_http_aggregate_redis_single_route(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *key)
{
    return redis->node;
}


static ngx_uint_t
ngx_http_aggregate_redis_single_uses(ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_redis_node_t *node)
{
    return node == redis->node;
}
