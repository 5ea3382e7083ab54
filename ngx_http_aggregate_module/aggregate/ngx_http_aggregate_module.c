
#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_inherit.h"
#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_setters.h"
#include "gw_version.h"


static ngx_uint_t ngx_http_aggregate_is_exposed(ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_level(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_aggregate_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_aggregate_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_aggregate_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_aggregate_init_process(ngx_cycle_t *cycle);
static void ngx_http_aggregate_exit_process(ngx_cycle_t *cycle);
static void ngx_http_aggregate_keep(void *data);
static void ngx_http_aggregate_random(u_char *p, size_t n);
static char *ngx_http_aggregate_debug(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_conf_enum_t  ngx_http_aggregate_log_levels[] = {
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_null_string, 0 }
};


static ngx_http_aggregate_enum_t  ngx_http_aggregate_log_level_words = {
    ngx_http_aggregate_log_levels,
    "must be \"error\", \"warn\", \"notice\", or \"info\""
};


static ngx_command_t  ngx_http_aggregate_commands[] = {

    { ngx_string("aggregate"),
      NGX_HTTP_LOC_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      ngx_http_aggregate_block,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_aggregate_block_statements },

    { ngx_string("aggregate_debug"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_debug,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_log_level"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_loc_conf_t, log_level),
      &ngx_http_aggregate_log_level_words },

    { ngx_string("aggregate_expose"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_loc_conf_t, expose),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_module_ctx = {
    ngx_http_aggregate_preconfiguration,   /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_aggregate_create_main_conf,   /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_create_loc_conf,    /* create location configuration */
    ngx_http_aggregate_merge_loc_conf      /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_module_ctx,        /* module context */
    ngx_http_aggregate_commands,           /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_aggregate_init_module,        /* init module */
    ngx_http_aggregate_init_process,       /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_aggregate_exit_process,       /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};



ngx_http_aggregate_ctx_t *
ngx_http_aggregate_get_ctx(ngx_http_request_t *r)
{
    return ngx_http_aggregate_ctx_find(r, &ngx_http_aggregate_module,
                                       ngx_http_aggregate_keep);
}


ngx_int_t
ngx_http_aggregate_keep_ctx(ngx_http_aggregate_ctx_t *ctx)
{
    return ngx_http_aggregate_ctx_keep(ctx->request, ctx,
                                       &ngx_http_aggregate_module,
                                       ngx_http_aggregate_keep);
}


static void
ngx_http_aggregate_keep(void *data)
{
    /* a mark by which the context is found */
}


/* "aggregate_debug" */

ngx_uint_t
ngx_http_aggregate_is_debugged(ngx_http_request_t *r)
{
    ngx_http_variable_value_t      *v;
    ngx_http_aggregate_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_module);

    if (alcf->debug_index == NGX_CONF_UNSET) {
        return 0;
    }

    v = ngx_http_get_flushed_variable(r, alcf->debug_index);

    return v != NULL && !v->not_found && v->len != 0
           && !(v->len == 1 && v->data[0] == '0');
}


static ngx_uint_t
ngx_http_aggregate_is_exposed(ngx_http_request_t *r)
{
    ngx_http_aggregate_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_module);

    return alcf->expose;
}


static ngx_uint_t
ngx_http_aggregate_level(ngx_http_request_t *r)
{
    ngx_http_aggregate_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_module);

    return alcf->log_level;
}


static ngx_int_t
ngx_http_aggregate_preconfiguration(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_aggregate_log_forget;

    ngx_http_aggregate_debugged = ngx_http_aggregate_is_debugged;
    ngx_http_aggregate_exposed = ngx_http_aggregate_is_exposed;
    ngx_http_aggregate_log_level = ngx_http_aggregate_level;

    return ngx_http_aggregate_add_variables(cf);
}


static ngx_int_t
ngx_http_aggregate_init_module(ngx_cycle_t *cycle)
{
    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "ngx_http_aggregate_module/" GW_VERSION);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_init_process(ngx_cycle_t *cycle)
{
    ngx_http_aggregate_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_aggregate_module);

    if (amcf && amcf->used) {
        ngx_http_aggregate_memory_init();
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_aggregate_log_held(1);
}


static void *
ngx_http_aggregate_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_main_conf_t  *amcf;

    amcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_main_conf_t));
    if (amcf == NULL) {
        return NULL;
    }

    /*
     * backends choose the names in their responses, and must not know the key
     */

    ngx_http_aggregate_random((u_char *) amcf->key, sizeof(amcf->key));

    return amcf;
}


static void
ngx_http_aggregate_random(u_char *p, size_t n)
{
    size_t    i;
    ssize_t   size;
    ngx_fd_t  fd;

    for (i = 0; i < n; i++) {
        p[i] = (u_char) ngx_random();
    }

    fd = ngx_open_file("/dev/urandom", NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return;
    }

    for (i = 0; i < n; i += size) {
        size = ngx_read_fd(fd, p + i, n - i);

        if (size <= 0) {
            break;
        }
    }

    (void) ngx_close_file(fd);
}


static void *
ngx_http_aggregate_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_loc_conf_t  *alcf;

    alcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_loc_conf_t));
    if (alcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     alcf->block = NULL;
     */

    alcf->debug_index = NGX_CONF_UNSET;
    alcf->log_level = NGX_CONF_UNSET_UINT;
    alcf->expose = NGX_CONF_UNSET;

    return alcf;
}


static char *
ngx_http_aggregate_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_aggregate_loc_conf_t *prev = parent;
    ngx_http_aggregate_loc_conf_t *conf = child;

    ngx_conf_merge_value(conf->debug_index, prev->debug_index,
                         NGX_CONF_UNSET);
    ngx_conf_merge_uint_value(conf->log_level, prev->log_level, NGX_LOG_ERR);
    ngx_conf_merge_value(conf->expose, prev->expose, 1);

    if (ngx_http_aggregate_inherits_handler(cf, ngx_http_aggregate_handler,
                                            conf->block, prev->block))
    {
        conf->block = prev->block;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_debug(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_loc_conf_t *alcf = conf;

    ngx_str_t  *value, name;

    if (alcf->debug_index != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"aggregate_debug\", "
                           "must be a variable", &value[1]);
        return NGX_CONF_ERROR;
    }

    name.data = value[1].data + 1;
    name.len = value[1].len - 1;

    alcf->debug_index = ngx_http_aggregate_variable_used(cf, &name);
    if (alcf->debug_index == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
