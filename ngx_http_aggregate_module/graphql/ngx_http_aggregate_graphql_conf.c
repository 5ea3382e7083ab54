
/*
 * The block of "aggregate_graphql".
 */

#include "ngx_http_aggregate_graphql.h"
#include "ngx_http_aggregate_block_parser.h"
#include "ngx_http_aggregate_checks.h"
#include "ngx_http_aggregate_fetch_conf.h"
#include "ngx_http_aggregate_setters.h"
#include "ngx_http_aggregate_buffer.h"
#include "ngx_http_gw_written.h"
#include "gw_text.h"


static char *ngx_http_aggregate_graphql_set_switch(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_graphql_set_persisted(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static void ngx_http_aggregate_graphql_nearest_zone(ngx_conf_t *cf,
    ngx_str_t *name);
static char *ngx_http_aggregate_graphql_set_documents(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_http_aggregate_graphql_conf_t *ngx_http_aggregate_graphql_create(
    ngx_conf_t *cf);
static char *ngx_http_aggregate_graphql_init(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf);


#define NGX_HTTP_AGGREGATE_GRAPHQL_CONF  NGX_HTTP_AGGREGATE_BLOCK_CONF


static ngx_http_aggregate_bounds_t  ngx_http_aggregate_graphql_cache_size =
    { 0, 1024 * 1024 * 1024, "must be a size up to 1g" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_graphql_limit =
    { 1, 1000000, "must be a number from 1 to 1000000" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_graphql_depth =
    { 1, 200, "must be a number from 1 to 200" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_graphql_batch =
    { 0, 100, "must be a number up to 100" };


static ngx_conf_enum_t  ngx_http_aggregate_graphql_statuses[] = {
    { ngx_string("compatible"), 0 },
    { ngx_string("draft"), 1 },
    { ngx_null_string, 0 }
};


static ngx_http_aggregate_enum_t  ngx_http_aggregate_graphql_status = {
    ngx_http_aggregate_graphql_statuses,
    "must be \"compatible\" or \"draft\""
};


static ngx_http_aggregate_methods_bounds_t
                                       ngx_http_aggregate_graphql_methods = {
    NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST,
    "must be GET, HEAD or POST"
};


static ngx_command_t  ngx_http_aggregate_graphql_statements[] = {

    { ngx_string("timeout"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_msec,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, limits.timeout),
      &ngx_http_aggregate_limit_time },

    { ngx_string("concurrency"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, limits.concurrency),
      &ngx_http_aggregate_limit_concurrency },

    { ngx_string("max_subrequests"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, limits.max_subrequests),
      &ngx_http_aggregate_limit_subrequests },

    { ngx_string("max_body_size"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_size,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, limits.max_body_size),
      &ngx_http_aggregate_limit_size },

    { ngx_string("max_response_size"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_size,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, limits.max_response_size),
      &ngx_http_aggregate_limit_size },

    { ngx_string("forward"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_set_forward,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, forward),
      NULL },

    { ngx_string("methods"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_set_methods,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, methods),
      &ngx_http_aggregate_graphql_methods },

    { ngx_string("max_tokens"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, max_tokens),
      &ngx_http_aggregate_graphql_limit },

    { ngx_string("max_depth"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, max_depth),
      &ngx_http_aggregate_graphql_depth },

    { ngx_string("max_aliases"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, max_aliases),
      &ngx_http_aggregate_graphql_limit },

    { ngx_string("max_root_fields"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, max_root_fields),
      &ngx_http_aggregate_graphql_limit },

    { ngx_string("max_selections"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, max_selections),
      &ngx_http_aggregate_graphql_limit },

    { ngx_string("introspection"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_graphql_set_switch,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, introspection),
      NULL },

    { ngx_string("status"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_enum,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, draft),
      &ngx_http_aggregate_graphql_status },

    { ngx_string("mask_errors"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_graphql_set_switch,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, mask_errors),
      NULL },

    { ngx_string("persisted"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_graphql_set_persisted,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("documents"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_graphql_set_documents,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("batching"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, batching),
      &ngx_http_aggregate_graphql_batch },

    { ngx_string("plan_cache"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_size,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, plan_cache),
      &ngx_http_aggregate_graphql_cache_size },

    { ngx_string("ide"),
      NGX_HTTP_AGGREGATE_GRAPHQL_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_graphql_set_switch,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_graphql_conf_t, ide),
      NULL },

      ngx_null_command
};


char *
ngx_http_aggregate_graphql_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_graphql_loc_conf_t *glcf = conf;

    char                               *rv;
    ngx_str_t                          *value, *file;
    ngx_uint_t                          i;
    ngx_array_t                         files;
    ngx_command_t                       block;
    ngx_http_core_loc_conf_t           *clcf;
    ngx_http_aggregate_graphql_conf_t  *gcf;

    if (glcf->conf) {
        return "is duplicate";
    }

    ngx_http_aggregate_fetch_use(cf);
    ngx_http_aggregate_buffer_use(cf);

    gcf = ngx_http_aggregate_graphql_create(cf);
    if (gcf == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the arguments of the directive are overwritten while its block is read */

    if (ngx_array_init(&files, cf->pool, cf->args->nelts, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        file = ngx_array_push(&files);
        *file = value[i];
    }

    block = *cmd;
    block.post = ngx_http_aggregate_graphql_statements;

    rv = ngx_http_aggregate_parse_block(cf, &block, gcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_aggregate_graphql_init(cf, gcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_aggregate_graphql_schema(cf, gcf, &files);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_aggregate_graphql_documents(cf, gcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    glcf->conf = gcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aggregate_graphql_handler;

    return NGX_CONF_OK;
}


static ngx_http_aggregate_graphql_conf_t *
ngx_http_aggregate_graphql_create(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t                 *cln;
    ngx_http_aggregate_graphql_conf_t  *gcf;

    gcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_graphql_conf_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (gcf == NULL || cln == NULL) {
        return NULL;
    }

    ngx_http_aggregate_graphql_plans_init(gcf);

    cln->handler = ngx_http_aggregate_graphql_plans_free;
    cln->data = gcf;

    gcf->limits.timeout = NGX_CONF_UNSET_MSEC;
    gcf->limits.concurrency = NGX_CONF_UNSET;
    gcf->limits.max_subrequests = NGX_CONF_UNSET;
    gcf->limits.max_body_size = NGX_CONF_UNSET_SIZE;
    gcf->limits.max_response_size = NGX_CONF_UNSET_SIZE;
    gcf->max_tokens = NGX_CONF_UNSET;
    gcf->max_depth = NGX_CONF_UNSET;
    gcf->max_aliases = NGX_CONF_UNSET;
    gcf->max_root_fields = NGX_CONF_UNSET;
    gcf->max_selections = NGX_CONF_UNSET;
    gcf->batching = NGX_CONF_UNSET;
    gcf->plan_cache = NGX_CONF_UNSET_SIZE;
    gcf->draft = NGX_CONF_UNSET_UINT;

    gcf->introspection.on = 1;
    gcf->introspection.index = NGX_CONF_UNSET;
    gcf->mask_errors.index = NGX_CONF_UNSET;
    gcf->ide.index = NGX_CONF_UNSET;

    return gcf;
}


static char *
ngx_http_aggregate_graphql_init(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf)
{
    ngx_conf_init_msec_value(gcf->limits.timeout, 2000);
    ngx_conf_init_value(gcf->limits.concurrency, 16);
    ngx_conf_init_value(gcf->limits.max_subrequests, 100);
    ngx_conf_init_size_value(gcf->limits.max_body_size, 1024 * 1024);
    ngx_conf_init_size_value(gcf->limits.max_response_size, 8 * 1024 * 1024);
    ngx_conf_init_value(gcf->max_tokens, 5000);
    ngx_conf_init_value(gcf->max_depth, 20);
    ngx_conf_init_value(gcf->max_aliases, 50);
    ngx_conf_init_value(gcf->max_root_fields, 20);
    ngx_conf_init_value(gcf->max_selections, 5000);
    ngx_conf_init_value(gcf->batching, 0);
    ngx_conf_init_size_value(gcf->plan_cache, 4 * 1024 * 1024);
    ngx_conf_init_uint_value(gcf->draft, 0);

    if (gcf->methods.mask == 0) {
        gcf->methods.mask = NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST;
        ngx_str_set(&gcf->methods.allow, "GET, HEAD, POST");
    }

    if (gcf->forward == NULL) {
        gcf->forward = ngx_pcalloc(cf->pool,
                                   sizeof(ngx_http_aggregate_forward_t));
        if (gcf->forward == NULL) {
            return NGX_CONF_ERROR;
        }

        gcf->forward->all = 1;
    }

    return NGX_CONF_OK;
}


/* on | off | $variable */

static char *
ngx_http_aggregate_graphql_set_switch(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                            *value, name;
    ngx_http_aggregate_graphql_switch_t  *s;

    s = (ngx_http_aggregate_graphql_switch_t *) ((char *) conf + cmd->offset);

    if (s->set) {
        return "is duplicate";
    }

    s->set = 1;

    value = cf->args->elts;

    if (value[1].len > 1 && value[1].data[0] == '$') {
        name.data = value[1].data + 1;
        name.len = value[1].len - 1;

        s->index = ngx_http_aggregate_variable_used(cf, &name);

        return (s->index == NGX_ERROR) ? NGX_CONF_ERROR : NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") == 0) {
        s->on = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        s->on = 0;
        return NGX_CONF_OK;
    }

    return ngx_http_aggregate_invalid(cf, &value[1],
                                      "must be \"on\", \"off\" or a variable");
}


static char *
ngx_http_aggregate_graphql_set_persisted(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_graphql_conf_t *gcf = conf;

    ngx_str_t  *value;

    if (gcf->persisted) {
        return "is duplicate";
    }

    value = cf->args->elts;

    gcf->persisted = ngx_shared_memory_add(cf, &value[1], 0,
                                         &ngx_http_aggregate_graphql_module);
    if (gcf->persisted == NULL) {
        return NGX_CONF_ERROR;
    }

    if (gcf->persisted->data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown zone \"%V\" in \"persisted\", it must be "
                           "defined by \"aggregate_graphql_zone\" before",
                           &value[1]);
        ngx_http_aggregate_graphql_nearest_zone(cf, &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_aggregate_graphql_nearest_zone(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t        i;
    gw_nearest_t      nearest;
    ngx_shm_zone_t   *zone;
    ngx_list_part_t  *part;

    gw_nearest_init(&nearest, name->data, name->len);

    part = &cf->cycle->shared_memory.part;
    zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                break;
            }

            part = part->next;
            zone = part->elts;
            i = 0;
        }

        if (zone[i].tag == &ngx_http_aggregate_graphql_module
            && zone[i].data)
        {
            gw_nearest_try(&nearest, zone[i].shm.name.data,
                           zone[i].shm.name.len, &zone[i].shm.name);
        }
    }

    ngx_http_gw_did_you_mean(cf, nearest.item, name,
                             cf->conf_file->file.name.data,
                             cf->conf_file->line);
}


static char *
ngx_http_aggregate_graphql_set_documents(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_graphql_conf_t *gcf = conf;

    ngx_str_t  *value;

    if (gcf->documents_file.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    gcf->documents_file = value[1];

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "only") != 0) {
            return ngx_http_aggregate_invalid(cf, &value[2],
                                              "must be \"only\"");
        }

        gcf->documents_only = 1;
    }

    return NGX_CONF_OK;
}
