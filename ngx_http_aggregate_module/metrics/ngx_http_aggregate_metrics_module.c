
/*
 * Metrics of the gateway's requests and of their requests to backends, by
 * route, in shared memory, for Prometheus.
 */


#include "ngx_http_aggregate_inherit.h"
#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_aggregate_module.h"
#include "ngx_http_gw_variable.h"


static char *ngx_http_aggregate_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_aggregate_metrics_set_route(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf, ngx_str_t *text);
static void *ngx_http_aggregate_metrics_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_aggregate_metrics_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_metrics_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_aggregate_metrics_default_route(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_loc_conf_t *conf);
static ngx_int_t ngx_http_aggregate_metrics_parts(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_loc_conf_t *conf);
static ngx_int_t ngx_http_aggregate_metrics_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_metrics_init_variables(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_main_conf_t *mmcf);


static ngx_command_t  ngx_http_aggregate_metrics_commands[] = {

    { ngx_string("aggregate_metrics_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2|NGX_CONF_TAKE3|NGX_CONF_TAKE4,
      ngx_http_aggregate_metrics_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_metrics"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_metrics_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_http_aggregate_metrics_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_http_aggregate_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_metrics_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_metrics_init,       /* postconfiguration */

    ngx_http_aggregate_metrics_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_metrics_create_loc_conf,
                                           /* create location configuration */
    ngx_http_aggregate_metrics_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_metrics_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_metrics_module_ctx,
                                           /* module context */
    ngx_http_aggregate_metrics_commands,   /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_aggregate_metrics_init_process,
                                           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_aggregate_metrics_exit_process,
                                           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_aggregate_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_metrics_loc_conf_t *mlcf = conf;

    ngx_str_t  *value, text;

    if (mlcf->name.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    mlcf->name = value[1];
    mlcf->file = cf->conf_file->file.name.data;
    mlcf->line = cf->conf_file->line;

    if (value[1].len == 0) {
        return "has an empty name";
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "route=", 6) != 0
        || (value[1].len == 3 && ngx_strncmp(value[1].data, "off", 3) == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"%V\", the only one "
                           "is \"route=\", after the name of a zone",
                           &value[2], &cmd->name);
        return NGX_CONF_ERROR;
    }

    text.data = value[2].data + 6;
    text.len = value[2].len - 6;

    return ngx_http_aggregate_metrics_set_route(cf, mlcf, &text);
}


static char *
ngx_http_aggregate_metrics_set_route(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf, ngx_str_t *text)
{
    ngx_http_compile_complex_value_t  ccv;

    mlcf->parameter = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (mlcf->parameter == NULL) {
        return NGX_CONF_ERROR;
    }

    if (text->len == 0) {
        return NGX_CONF_OK;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = text;
    ccv.complex_value = mlcf->parameter;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_aggregate_metrics_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    mmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_aggregate_metrics_main_conf_t));
    if (mmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mmcf->zones, cf->pool, 1, sizeof(void *)) != NGX_OK) {
        return NULL;
    }

    mmcf->cache_status = NGX_ERROR;
    mmcf->cache_tier = NGX_ERROR;
    mmcf->breaker_state = NGX_ERROR;

    return mmcf;
}


static void *
ngx_http_aggregate_metrics_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_metrics_loc_conf_t  *mlcf;

    mlcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_aggregate_metrics_loc_conf_t));
    if (mlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mlcf->zone = NULL;
     *     mlcf->name = { 0, NULL };
     *     mlcf->route = NULL;
     *     mlcf->status = NULL;
     *     mlcf->off = 0;
     */

    mlcf->number = AGG_METRICS_NONE;

    return mlcf;
}


static char *
ngx_http_aggregate_metrics_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_metrics_loc_conf_t *prev = parent;
    ngx_http_aggregate_metrics_loc_conf_t *conf = child;

    ngx_http_aggregate_metrics_loc_conf_t   **mlcf;
    ngx_http_aggregate_metrics_main_conf_t   *mmcf;

    if (conf->status_name.data
        && ngx_http_aggregate_metrics_merge_status(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_aggregate_inherits_handler(cf,
                                    ngx_http_aggregate_metrics_status_handler,
                                    conf->status, prev->status))
    {
        conf->status = prev->status;
        conf->includes = prev->includes;
    }

    if (ngx_http_aggregate_inherits_handler(cf,
                                       ngx_http_aggregate_status_page_handler,
                                       conf->page, prev->page))
    {
        conf->page = prev->page;
        conf->includes = prev->includes;
    }

    if (conf->name.data == NULL) {
        conf->name = prev->name;
        conf->file = prev->file;
        conf->line = prev->line;
        conf->parameter = prev->parameter;
    }

    if (conf->name.data == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->name.len == 3 && ngx_strncmp(conf->name.data, "off", 3) == 0) {
        conf->off = 1;
        return NGX_CONF_OK;
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf,
                                         ngx_http_aggregate_metrics_module);

    conf->zone = ngx_http_aggregate_metrics_find_zone(mmcf, &conf->name);

    if (conf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown zone \"%V\" of \"aggregate_metrics\" in %s:%ui",
                      &conf->name, conf->file, conf->line);
        ngx_http_aggregate_metrics_did_you_mean(cf, mmcf, &conf->name,
                                                conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    mlcf = ngx_array_push(&conf->zone->locations);
    if (mlcf == NULL) {
        return NGX_CONF_ERROR;
    }

    *mlcf = conf;

    if (ngx_http_aggregate_metrics_default_route(cf, conf) != NGX_OK
        || ngx_http_aggregate_metrics_parts(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* the location as it is written; a server has no route of its own */

static ngx_int_t
ngx_http_aggregate_metrics_default_route(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_complex_value_t  *route;

    if (conf->parameter) {
        conf->route = conf->parameter;
        return NGX_OK;
    }

    route = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (route == NULL) {
        return NGX_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    route->value = clcf->name;
    conf->route = route;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_metrics_parts(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_loc_conf_t *conf)
{
    ngx_str_t                      **name;
    ngx_uint_t                       i;
    ngx_http_aggregate_backend_t   **backends;
    ngx_http_aggregate_loc_conf_t   *alcf;

    alcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_aggregate_module);

    if (alcf->block == NULL) {
        return NGX_OK;
    }

    backends = alcf->block->backends.elts;

    for (i = 0; i < alcf->block->backends.nelts; i++) {

        name = ngx_array_push(&conf->zone->parts);
        if (name == NULL) {
            return NGX_ERROR;
        }

        *name = &backends[i]->name;
    }

    return NGX_OK;
}


/*
 * The handler that runs before the content is put in front of all others of its
 * phase, which run from the last to the first.
 */

static ngx_int_t
ngx_http_aggregate_metrics_init(ngx_conf_t *cf)
{
    ngx_uint_t                                i;
    ngx_array_t                              *handlers;
    ngx_http_handler_pt                      *h;
    ngx_http_core_main_conf_t                *cmcf;
    ngx_http_aggregate_metrics_zone_t       **zones;
    ngx_http_aggregate_metrics_main_conf_t   *mmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    mmcf = ngx_http_conf_get_module_main_conf(cf,
                                         ngx_http_aggregate_metrics_module);

    if (mmcf->zones.nelts == 0 && mmcf->tracer == NULL) {
        return NGX_OK;
    }

    handlers = &cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;
    ngx_memmove(&h[1], &h[0],
                (handlers->nelts - 1) * sizeof(ngx_http_handler_pt));
    h[0] = ngx_http_aggregate_watch_handler;

    if (ngx_http_aggregate_metrics_init_variables(cf, mmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (mmcf->zones.nelts == 0) {
        return NGX_OK;
    }

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_aggregate_metrics_preaccess;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_aggregate_metrics_log;

    if (ngx_http_aggregate_metrics_observe_fetches(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    zones = mmcf->zones.elts;

    for (i = 0; i < mmcf->zones.nelts; i++) {
        zones[i]->traced = (mmcf->tracer != NULL);
        zones[i]->cached = (mmcf->cache_status != NGX_ERROR);
        zones[i]->upstreams = ngx_http_conf_get_module_main_conf(cf,
                                                   ngx_http_upstream_module);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_metrics_init_variables(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_main_conf_t *mmcf)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *shm_zone;
    ngx_list_part_t  *part;

    static ngx_str_t  breaker = ngx_string("breaker_state");
    static ngx_str_t  status = ngx_string("aggregate_cache_status");
    static ngx_str_t  tier = ngx_string("aggregate_cache_tier");

    extern ngx_module_t  ngx_http_aggregate_cache_module;

    if (ngx_http_gw_variable_known(cf, &breaker)) {
        mmcf->breaker_state = ngx_http_get_variable_index(cf, &breaker);

        if (mmcf->breaker_state == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    part = &cf->cycle->shared_memory.part;
    shm_zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            shm_zone = part->elts;
            i = 0;
        }

        /* without a zone, no cache is in use */

        if (shm_zone[i].tag != &ngx_http_aggregate_cache_module) {
            continue;
        }

        mmcf->cache_status = ngx_http_get_variable_index(cf, &status);
        mmcf->cache_tier = ngx_http_get_variable_index(cf, &tier);

        if (mmcf->cache_status == NGX_ERROR || mmcf->cache_tier == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        break;
    }

    return NGX_OK;
}
