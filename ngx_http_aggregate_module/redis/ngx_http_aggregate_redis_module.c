
/*
 * The block that names a Redis.
 */


#include "ngx_http_aggregate_redis.h"
#include "ngx_http_gw_written.h"
#include "gw_text.h"


typedef struct {
    ngx_array_t                         redis;    /* elements are pointers */
} ngx_http_aggregate_redis_main_conf_t;


static void *ngx_http_aggregate_redis_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_redis_init_main_conf(ngx_conf_t *cf,
    void *conf);
static ngx_int_t ngx_http_aggregate_redis_init_process(ngx_cycle_t *cycle);
static void ngx_http_aggregate_redis_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_aggregate_redis_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static char *ngx_http_aggregate_redis_block(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

static ngx_command_t  ngx_http_aggregate_redis_commands[] = {

    { ngx_string("aggregate_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_aggregate_redis_block,
      0,
      0,
      ngx_http_aggregate_redis_statements },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_redis_module_ctx = {
    NULL,                                      /* preconfiguration */
    NULL,                                      /* postconfiguration */

    ngx_http_aggregate_redis_create_main_conf, /* create main conf */
    ngx_http_aggregate_redis_init_main_conf,   /* init main conf */

    NULL,                                      /* create server conf */
    NULL,                                      /* merge server conf */

    NULL,                                      /* create location conf */
    NULL                                       /* merge location conf */
};


ngx_module_t  ngx_http_aggregate_redis_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_redis_module_ctx,      /* module context */
    ngx_http_aggregate_redis_commands,         /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    NULL,                                      /* init module */
    ngx_http_aggregate_redis_init_process,     /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    ngx_http_aggregate_redis_exit_process,     /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_aggregate_redis_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_redis_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_redis_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&rmcf->redis, cf->pool, 2,
                       sizeof(ngx_http_aggregate_redis_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}


static char *
ngx_http_aggregate_redis_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_aggregate_redis_main_conf_t *rmcf = conf;

    ngx_uint_t                    i, k;
    gw_nearest_t                  nearest;
    ngx_http_aggregate_redis_t  **redis;

    redis = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {

        if (!redis[i]->defined) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "redis \"%V\" is not defined with "
                          "\"aggregate_redis\" in %s:%ui", &redis[i]->name,
                          redis[i]->file, redis[i]->line);

            gw_nearest_init(&nearest, redis[i]->name.data,
                            redis[i]->name.len);

            for (k = 0; k < rmcf->redis.nelts; k++) {
                if (redis[k]->defined) {
                    gw_nearest_try(&nearest, redis[k]->name.data,
                                   redis[k]->name.len, &redis[k]->name);
                }
            }

            ngx_http_gw_did_you_mean(cf, nearest.item, &redis[i]->name,
                                     redis[i]->file, redis[i]->line);

            return NGX_CONF_ERROR;
        }

        if (ngx_http_aggregate_redis_resolve(cf, redis[i]) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_redis_t            **redis;
    ngx_http_aggregate_redis_main_conf_t   *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_aggregate_redis_module);

    if (rmcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    redis = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {
        if (ngx_http_aggregate_redis_start(redis[i], cycle,
                                           ngx_http_aggregate_redis_recover)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_redis_t            **redis;
    ngx_http_aggregate_redis_main_conf_t   *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_aggregate_redis_module);
    if (rmcf == NULL) {
        return;
    }

    redis = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {
        ngx_http_aggregate_redis_stop(redis[i]);
    }
}


ngx_http_aggregate_redis_t *
ngx_http_aggregate_redis_add(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_redis_t             *redis, **list, **redisp;
    ngx_http_aggregate_redis_main_conf_t   *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_aggregate_redis_module);
    list = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {

        if (list[i]->name.len == name->len
            && ngx_memcmp(list[i]->name.data, name->data, name->len) == 0)
        {
            return list[i];
        }
    }

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_redis_t));
    redisp = ngx_array_push(&rmcf->redis);

    if (redis == NULL || redisp == NULL) {
        return NULL;
    }

    if (ngx_array_init(&redis->servers, cf->pool, 1,
                       sizeof(ngx_http_aggregate_redis_node_t *))
        != NGX_OK
        || ngx_array_init(&redis->sentinels, cf->pool, 3,
                          sizeof(ngx_http_aggregate_redis_node_t *))
           != NGX_OK)
    {
        return NULL;
    }

    redis->name = *name;
    redis->file = cf->conf_file->file.name.data;
    redis->line = cf->conf_file->line;
    redis->connect_timeout = NGX_CONF_UNSET_MSEC;
    redis->timeout = NGX_CONF_UNSET_MSEC;
    redis->database = NGX_CONF_UNSET;
    redis->clustered = NGX_CONF_UNSET;
    redis->tls = NGX_CONF_UNSET;
    redis->tls_verify = NGX_CONF_UNSET;

    ngx_queue_init(&redis->streams);

    *redisp = redis;

    return redis;
}


static char *
ngx_http_aggregate_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                        *rv;
    ngx_str_t                   *value, name;
    ngx_http_aggregate_redis_t  *redis;

    value = cf->args->elts;

    redis = ngx_http_aggregate_redis_add(cf, &value[1]);
    if (redis == NULL) {
        return NGX_CONF_ERROR;
    }

    if (redis->defined) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate redis \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    redis->defined = 1;

    name.len = sizeof("aggregate_redis:") - 1 + redis->name.len;
    name.data = ngx_pnalloc(cf->pool, name.len);

    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_sprintf(name.data, "aggregate_redis:%V", &redis->name);

    redis->shm_zone = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize,
                                            &ngx_http_aggregate_redis_module);
    if (redis->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    redis->shm_zone->init = ngx_http_aggregate_redis_init_zone;
    redis->shm_zone->data = redis;

    rv = ngx_http_aggregate_parse_block(cf, cmd, redis);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_aggregate_redis_check(cf, redis);
}


static ngx_int_t
ngx_http_aggregate_redis_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_slab_pool_t             *shpool;
    ngx_http_aggregate_redis_t  *redis, *oredis;

    redis = shm_zone->data;
    oredis = data;

    if (oredis) {
        redis->sh = oredis->sh;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (shm_zone->shm.exists) {
        redis->sh = shpool->data;
        return NGX_OK;
    }

    redis->sh = ngx_slab_calloc(shpool,
                                sizeof(ngx_http_aggregate_redis_sh_t));
    if (redis->sh == NULL) {
        return NGX_ERROR;
    }

    shpool->data = redis->sh;

    return NGX_OK;
}
