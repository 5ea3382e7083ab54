
/*
 * The module of the response cache: its configuration and its variables.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_inherit.h"
#include "ngx_http_aggregate_owner.h"
#include "ngx_http_aggregate_setters.h"
#include "ngx_http_gw_written.h"
#include "gw_text.h"
#include "ngx_http_gw_variable.h"


static ngx_int_t ngx_http_aggregate_cache_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_cache_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_cache_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_aggregate_cache_init_process(ngx_cycle_t *cycle);
static void ngx_http_aggregate_cache_exit_process(ngx_cycle_t *cycle);
static void *ngx_http_aggregate_cache_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_cache_init_main_conf(ngx_conf_t *cf,
    void *conf);
static void *ngx_http_aggregate_cache_create_loc_conf(ngx_conf_t *cf);
static void ngx_http_aggregate_cache_inherit(ngx_conf_t *cf,
    ngx_http_aggregate_cache_conf_t *prev,
    ngx_http_aggregate_cache_conf_t *conf);
static char *ngx_http_aggregate_cache_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static int ngx_libc_cdecl ngx_http_aggregate_cache_compare_ttl(const void *one,
    const void *two);
static ngx_int_t ngx_http_aggregate_cache_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_aggregate_cache_tier_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_aggregate_cache_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_aggregate_cache_key_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_aggregate_bounds_t  ngx_http_aggregate_cache_lock_bounds =
    { 0, NGX_MAX_INT_T_VALUE, "must be a time from 0" };


static ngx_command_t  ngx_http_aggregate_cache_commands[] = {

    { ngx_string("aggregate_cache_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE23,
      ngx_http_aggregate_cache_zone,
      0,
      0,
      NULL },

    { ngx_string("aggregate_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_cache,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_cache_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_cache_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, key),
      NULL },

    { ngx_string("aggregate_cache_identity"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_cache_identity,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, identity),
      NULL },

    { ngx_string("aggregate_cache_tags"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, tags),
      NULL },

    { ngx_string("aggregate_cache_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_cache_ttl,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_cache_valid"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_cache_valid,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, valid),
      NULL },

    { ngx_string("aggregate_cache_stale"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF
                        |NGX_CONF_TAKE12|NGX_CONF_TAKE4,
      ngx_http_aggregate_cache_stale,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_cache_bypass"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_set_predicate_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, bypass),
      NULL },

    { ngx_string("aggregate_cache_no_store"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_set_predicate_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, no_store),
      NULL },

    { ngx_string("aggregate_cache_ignore_headers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_cache_ignore_headers,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, ignore_headers),
      NULL },

    { ngx_string("aggregate_cache_lock"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, lock),
      NULL },

    { ngx_string("aggregate_cache_lock_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_cache_conf_t, lock_timeout),
      &ngx_http_aggregate_cache_lock_bounds },

    { ngx_string("aggregate_cache_purge"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_cache_purge_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_cache_purge_lost"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_cache_purge_lost,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_cache_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_aggregate_cache_status_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_cache_module_ctx = {
    ngx_http_aggregate_cache_add_variables,    /* preconfiguration */
    ngx_http_aggregate_cache_init,             /* postconfiguration */

    ngx_http_aggregate_cache_create_main_conf, /* create main conf */
    ngx_http_aggregate_cache_init_main_conf,   /* init main conf */

    ngx_http_aggregate_cache_create_srv_conf,  /* create server conf */
    NULL,                                      /* merge server conf */

    ngx_http_aggregate_cache_create_loc_conf,  /* create location conf */
    ngx_http_aggregate_cache_merge_loc_conf    /* merge location conf */
};


ngx_module_t  ngx_http_aggregate_cache_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_cache_module_ctx,      /* module context */
    ngx_http_aggregate_cache_commands,         /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    ngx_http_aggregate_cache_init_module,      /* init module */
    ngx_http_aggregate_cache_init_process,     /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    ngx_http_aggregate_cache_exit_process,     /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_aggregate_cache_vars[] = {

    { ngx_string("aggregate_cache_status"), NULL,
      ngx_http_aggregate_cache_status_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_cache_tier"), NULL,
      ngx_http_aggregate_cache_tier_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_cache_reason"), NULL,
      ngx_http_aggregate_cache_reason_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_cache_key"), NULL,
      ngx_http_aggregate_cache_key_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_uint_t  ngx_http_aggregate_cache_phase;


static ngx_int_t
ngx_http_aggregate_cache_add_variables(ngx_conf_t *cf)
{
    return ngx_http_gw_add_variables(cf, ngx_http_aggregate_cache_vars);
}


static ngx_int_t
ngx_http_aggregate_cache_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt                   *h;
    ngx_http_core_main_conf_t             *cmcf;
    ngx_http_aggregate_cache_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_cache_module);

    if (mcf->zones.nelts == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_aggregate_cache_handler;

    ngx_http_aggregate_owner_gone = ngx_http_aggregate_cache_part_aborted;

    if (ngx_http_aggregate_cache_name_servers(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_cache_filter_init(cf);
}


/*
 * The handlers of a phase run in the reverse order of loading.  This handler
 * has to run before all others of its phase, a breaker's for instance, so it
 * is moved there when the phase engine has been initialized.
 */

static ngx_int_t
ngx_http_aggregate_cache_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_phase_handler_t   *ph, ours;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    if (cmcf == NULL) {
        return NGX_OK;
    }

    ph = cmcf->phase_engine.handlers;

    for (i = 0; ph[i].checker; i++) {

        if (ph[i].handler != ngx_http_aggregate_cache_handler) {
            continue;
        }

        ours = ph[i];

        while (i > 0 && ph[i - 1].checker == ours.checker
               && ph[i - 1].next == ours.next)
        {
            ph[i] = ph[i - 1];
            i--;
        }

        ph[i] = ours;
        ngx_http_aggregate_cache_phase = i;

        break;
    }

    return ngx_http_aggregate_cache_notify_init_module(cycle);
}


static ngx_int_t
ngx_http_aggregate_cache_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_cache_zone_t       **zones;
    ngx_http_aggregate_cache_main_conf_t   *cmcf;

    if (ngx_http_aggregate_cache_lock_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_aggregate_cache_module);

    if (cmcf == NULL
        || !(ngx_process == NGX_PROCESS_SINGLE
             || (ngx_process == NGX_PROCESS_WORKER && ngx_worker == 0)))
    {
        return NGX_OK;
    }

    zones = cmcf->zones.elts;

    for (i = 0; i < cmcf->zones.nelts; i++) {

        if (zones[i]->redis
            && ngx_http_aggregate_cache_purge_stream_start(zones[i], cycle)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_cache_zone_t       **zones;
    ngx_http_aggregate_cache_main_conf_t   *cmcf;

    ngx_http_aggregate_cache_notify_exit_process(cycle);

    cmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_aggregate_cache_module);
    if (cmcf == NULL) {
        return;
    }

    zones = cmcf->zones.elts;

    for (i = 0; i < cmcf->zones.nelts; i++) {

        if (zones[i]->stream) {
            ngx_http_aggregate_redis_stream_stop(zones[i]->stream);
        }
    }
}


static void *
ngx_http_aggregate_cache_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_cache_main_conf_t  *cmcf;

    cmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_cache_main_conf_t));
    if (cmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&cmcf->zones, cf->pool, 4,
                       sizeof(ngx_http_aggregate_cache_zone_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return cmcf;
}


static char *
ngx_http_aggregate_cache_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_aggregate_cache_main_conf_t *cmcf = conf;

    ngx_uint_t                         i, k;
    gw_nearest_t                       nearest;
    ngx_http_aggregate_cache_zone_t  **zones;

    zones = cmcf->zones.elts;

    for (i = 0; i < cmcf->zones.nelts; i++) {

        if (zones[i]->shm_zone == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "zone \"%V\" is not declared with "
                          "\"aggregate_cache_zone\" in %s:%ui",
                          &zones[i]->name, zones[i]->file, zones[i]->line);

            gw_nearest_init(&nearest, zones[i]->name.data,
                            zones[i]->name.len);

            for (k = 0; k < cmcf->zones.nelts; k++) {
                if (zones[k]->shm_zone) {
                    gw_nearest_try(&nearest, zones[k]->name.data,
                                   zones[k]->name.len, &zones[k]->name);
                }
            }

            ngx_http_gw_did_you_mean(cf, nearest.item, &zones[i]->name,
                                     zones[i]->file, zones[i]->line);

            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_aggregate_cache_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_cache_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_cache_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->ignore_headers = 0;
     *     conf->key = NULL;
     *     conf->key_unsafe = 0;
     *     conf->identity = NULL;
     *     conf->tags = NULL;
     *     conf->redis = NULL;
     *     conf->purge = NULL;
     *     conf->purge_redis = NULL;
     *     conf->status = 0;
     */

    conf->zone = NGX_CONF_UNSET_PTR;
    conf->purge_lost_stale = NGX_CONF_UNSET_UINT;
    conf->purge_lost_after = NGX_CONF_UNSET_MSEC;
    conf->ttl = NGX_CONF_UNSET_PTR;
    conf->valid = NGX_CONF_UNSET_PTR;
    conf->bypass = NGX_CONF_UNSET_PTR;
    conf->no_store = NGX_CONF_UNSET_PTR;
    conf->lock = NGX_CONF_UNSET;
    conf->lock_timeout = NGX_CONF_UNSET_MSEC;
    conf->stale_updating = NGX_CONF_UNSET;
    conf->stale_error = NGX_CONF_UNSET;

    return conf;
}


/* handlers are not inherited by "if" and "limit_except" blocks */

static void
ngx_http_aggregate_cache_inherit(ngx_conf_t *cf,
    ngx_http_aggregate_cache_conf_t *prev,
    ngx_http_aggregate_cache_conf_t *conf)
{
    if (ngx_http_aggregate_inherits_handler(cf,
                                       ngx_http_aggregate_cache_purge_handler,
                                       conf->purge, prev->purge))
    {
        conf->purge = prev->purge;
        conf->purge_redis = prev->purge_redis;
    }

    if (ngx_http_aggregate_inherits_handler(cf,
                                       ngx_http_aggregate_cache_status_handler,
                                       conf->status ? conf : NULL,
                                       prev->status ? prev : NULL))
    {
        conf->status = 1;
    }
}


static char *
ngx_http_aggregate_cache_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_cache_conf_t *prev = parent;
    ngx_http_aggregate_cache_conf_t *conf = child;

    if (conf->zone == NGX_CONF_UNSET_PTR) {
        conf->redis = prev->redis;
    }

    ngx_conf_merge_ptr_value(conf->zone, prev->zone, NULL);

    if (conf->key == NULL) {
        conf->key = prev->key;
        conf->key_unsafe = prev->key_unsafe;
    }

    if (conf->identity == NULL) {
        conf->identity = prev->identity;
    }

    if (conf->tags == NULL) {
        conf->tags = prev->tags;
    }

    if (conf->ttl != NGX_CONF_UNSET_PTR) {
        ngx_qsort(conf->ttl->elts, conf->ttl->nelts,
                  sizeof(ngx_http_aggregate_cache_ttl_t),
                  ngx_http_aggregate_cache_compare_ttl);
    }

    ngx_conf_merge_ptr_value(conf->ttl, prev->ttl, NULL);
    ngx_conf_merge_ptr_value(conf->valid, prev->valid, NULL);
    ngx_conf_merge_ptr_value(conf->bypass, prev->bypass, NULL);
    ngx_conf_merge_ptr_value(conf->no_store, prev->no_store, NULL);

    ngx_conf_merge_bitmask_value(conf->ignore_headers, prev->ignore_headers,
                                 NGX_CONF_BITMASK_SET);

    ngx_conf_merge_value(conf->lock, prev->lock, 1);
    ngx_conf_merge_msec_value(conf->lock_timeout, prev->lock_timeout, 5000);
    ngx_conf_merge_sec_value(conf->stale_updating, prev->stale_updating, 0);
    ngx_conf_merge_sec_value(conf->stale_error, prev->stale_error, 0);
    ngx_conf_merge_uint_value(conf->purge_lost_stale, prev->purge_lost_stale,
                              0);
    ngx_conf_merge_msec_value(conf->purge_lost_after, prev->purge_lost_after,
                              10000);

    ngx_http_aggregate_cache_inherit(cf, prev, conf);

    if (ngx_http_aggregate_cache_set_location_path(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->zone && conf->redis && conf->purge_lost_stale) {
        conf->zone->heartbeat = ngx_min(conf->zone->heartbeat,
                                        conf->purge_lost_after / 2);
    }

    return NGX_CONF_OK;
}


static int ngx_libc_cdecl
ngx_http_aggregate_cache_compare_ttl(const void *one, const void *two)
{
    const ngx_http_aggregate_cache_ttl_t *first = one;
    const ngx_http_aggregate_cache_ttl_t *second = two;

    if (first->prefix.len == second->prefix.len) {
        return 0;
    }

    return first->prefix.len > second->prefix.len ? -1 : 1;
}


static ngx_int_t
ngx_http_aggregate_cache_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_http_aggregate_cache_status_names[ctx->status].data;
    v->len = ngx_http_aggregate_cache_status_names[ctx->status].len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_tier_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->serve.hit) {
        v->data = (u_char *) (ctx->l2.hit ? "L2" : "L1");
        v->len = 2;

    } else {
        v->data = (u_char *) "-";
        v->len = 1;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = (u_char *) agg_cache_reason_name(ctx->reason);
    v->len = ngx_strlen(v->data);
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_key_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                          *p;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx == NULL || ctx->key.resource.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, (size_t) 2 * AGG_CACHE_DIGEST);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_hex_dump(p, ctx->key.digest, AGG_CACHE_DIGEST) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
