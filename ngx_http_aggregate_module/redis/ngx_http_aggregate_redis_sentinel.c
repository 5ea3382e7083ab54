
/*
 * Sentinels: one of them is asked who the master is, and tells when it is
 * another one.  When it is lost, the next one is asked.
 */


#include "ngx_http_aggregate_redis.h"


/* for an answer; and how often one that has nothing to tell is greeted */
#define NGX_HTTP_AGGREGATE_REDIS_SENTINEL_WAIT   1000
#define NGX_HTTP_AGGREGATE_REDIS_SENTINEL_PING   2000
#define NGX_HTTP_AGGREGATE_REDIS_SENTINEL_AGAIN  100
#define NGX_HTTP_AGGREGATE_REDIS_SENTINEL_MAX    2000


typedef enum {
    ngx_http_aggregate_redis_sentinel_ask = 0,
    ngx_http_aggregate_redis_sentinel_subscribe,
    ngx_http_aggregate_redis_sentinel_listen
} ngx_http_aggregate_redis_sentinel_e;


struct ngx_http_aggregate_redis_sentinel_s {
    ngx_http_aggregate_redis_t       *redis;
    ngx_http_aggregate_redis_talk_t   talk;
    ngx_event_t                       timer;
    ngx_msec_t                        delay;
    ngx_uint_t                        next;
    ngx_uint_t                        step;
    unsigned                          pinged:1;
};


static void ngx_http_aggregate_redis_sentinel_timer(ngx_event_t *ev);
static void ngx_http_aggregate_redis_sentinel_again(
    ngx_http_aggregate_redis_sentinel_t *sentinel);
static ngx_int_t ngx_http_aggregate_redis_sentinel_ready(
    ngx_http_aggregate_redis_talk_t *talk);
static ngx_int_t ngx_http_aggregate_redis_sentinel_reply(
    ngx_http_aggregate_redis_talk_t *talk, void *reply);
static ngx_int_t ngx_http_aggregate_redis_sentinel_master(
    ngx_http_aggregate_redis_t *redis, const agg_redis_address_t *address);
static ngx_int_t ngx_http_aggregate_redis_sentinel_silent(
    ngx_http_aggregate_redis_talk_t *talk);
static void ngx_http_aggregate_redis_sentinel_closed(
    ngx_http_aggregate_redis_talk_t *talk, const char *why);


ngx_int_t
ngx_http_aggregate_redis_sentinel_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle)
{
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = ngx_pcalloc(cycle->pool,
                           sizeof(ngx_http_aggregate_redis_sentinel_t));
    if (sentinel == NULL) {
        return NGX_ERROR;
    }

    sentinel->redis = redis;
    sentinel->next = (ngx_uint_t) ngx_random() % redis->sentinels.nelts;

    sentinel->timer.handler = ngx_http_aggregate_redis_sentinel_timer;
    sentinel->timer.data = sentinel;
    sentinel->timer.log = cycle->log;
    sentinel->timer.cancelable = 1;

    sentinel->talk.redis = redis;
    sentinel->talk.user = &redis->sentinel_user;
    sentinel->talk.password = &redis->sentinel_password;
    sentinel->talk.data = sentinel;
    sentinel->talk.ready = ngx_http_aggregate_redis_sentinel_ready;
    sentinel->talk.reply = ngx_http_aggregate_redis_sentinel_reply;
    sentinel->talk.silent = ngx_http_aggregate_redis_sentinel_silent;
    sentinel->talk.closed = ngx_http_aggregate_redis_sentinel_closed;

    redis->sentinel = sentinel;

    ngx_add_timer(&sentinel->timer, 1);

    return NGX_OK;
}


void
ngx_http_aggregate_redis_sentinel_end(ngx_http_aggregate_redis_t *redis)
{
    ngx_http_aggregate_redis_talk_close(&redis->sentinel->talk,
                                        "the worker ends");

    if (redis->sentinel->timer.timer_set) {
        ngx_del_timer(&redis->sentinel->timer);
    }
}


void
ngx_http_aggregate_redis_sentinel_doubt(ngx_http_aggregate_redis_t *redis)
{
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = redis->sentinel;

    if (sentinel && sentinel->talk.open
        && sentinel->step == ngx_http_aggregate_redis_sentinel_listen)
    {
        /* left soon, and never from here; then the next one is asked */

        sentinel->pinged = 1;

        ngx_add_timer(&sentinel->talk.timer, 1);
    }
}


static void
ngx_http_aggregate_redis_sentinel_timer(ngx_event_t *ev)
{
    ngx_http_aggregate_redis_node_t      **nodes;
    ngx_http_aggregate_redis_sentinel_t   *sentinel;

    sentinel = ev->data;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    nodes = sentinel->redis->sentinels.elts;

    if (ngx_http_aggregate_redis_talk_open(&sentinel->talk,
                    nodes[sentinel->next++
                          % sentinel->redis->sentinels.nelts])
        != NGX_OK)
    {
        ngx_http_aggregate_redis_sentinel_again(sentinel);
    }
}


static void
ngx_http_aggregate_redis_sentinel_again(
    ngx_http_aggregate_redis_sentinel_t *sentinel)
{
    sentinel->delay = ngx_min(ngx_max(sentinel->delay * 2,
                                  NGX_HTTP_AGGREGATE_REDIS_SENTINEL_AGAIN),
                              NGX_HTTP_AGGREGATE_REDIS_SENTINEL_MAX);

    ngx_add_timer(&sentinel->timer, sentinel->delay + ngx_random() % 100);
}


static ngx_int_t
ngx_http_aggregate_redis_sentinel_ready(ngx_http_aggregate_redis_talk_t *talk)
{
    ngx_str_t                             argv[3];
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = talk->data;

    ngx_str_set(&argv[0], "SENTINEL");
    ngx_str_set(&argv[1], "get-master-addr-by-name");
    argv[2] = sentinel->redis->master;

    sentinel->pinged = 0;
    sentinel->step = ngx_http_aggregate_redis_sentinel_ask;

    return ngx_http_aggregate_redis_talk_ask(talk, 3, argv,
                                     NGX_HTTP_AGGREGATE_REDIS_SENTINEL_WAIT);
}


static ngx_int_t
ngx_http_aggregate_redis_sentinel_reply(ngx_http_aggregate_redis_talk_t *talk,
    void *reply)
{
    ngx_str_t                             argv[2];
    agg_redis_address_t                   address;
    ngx_http_aggregate_redis_t           *redis;
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = talk->data;
    redis = sentinel->redis;

    switch (sentinel->step) {

    case ngx_http_aggregate_redis_sentinel_ask:

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

        return ngx_http_aggregate_redis_talk_ask(talk, 2, argv,
                                     NGX_HTTP_AGGREGATE_REDIS_SENTINEL_WAIT);

    case ngx_http_aggregate_redis_sentinel_subscribe:

        if (agg_redis_elements(reply) != 3) {
            return NGX_ERROR;
        }

        sentinel->step = ngx_http_aggregate_redis_sentinel_listen;
        sentinel->delay = 0;

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

    /* an answer to a PING, or a message: it lives */

    sentinel->pinged = 0;

    ngx_add_timer(&talk->timer, NGX_HTTP_AGGREGATE_REDIS_SENTINEL_PING);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_sentinel_master(ngx_http_aggregate_redis_t *redis,
    const agg_redis_address_t *address)
{
    ngx_http_aggregate_redis_node_t  *node;

    node = ngx_http_aggregate_redis_node(redis, address);

    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_redis_switch(redis, node);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_sentinel_silent(
    ngx_http_aggregate_redis_talk_t *talk)
{
    ngx_str_t                             argv[1];
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = talk->data;

    if (sentinel->step != ngx_http_aggregate_redis_sentinel_listen
        || sentinel->pinged)
    {
        return NGX_ERROR;
    }

    sentinel->pinged = 1;

    ngx_str_set(&argv[0], "PING");

    return ngx_http_aggregate_redis_talk_ask(talk, 1, argv,
                                     NGX_HTTP_AGGREGATE_REDIS_SENTINEL_WAIT);
}


static void
ngx_http_aggregate_redis_sentinel_closed(
    ngx_http_aggregate_redis_talk_t *talk, const char *why)
{
    ngx_http_aggregate_redis_sentinel_t  *sentinel;

    sentinel = talk->data;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "sentinel of redis \"%V\" was left: %s",
                  &sentinel->redis->name, why);

    ngx_http_aggregate_redis_sentinel_again(sentinel);
}
