
#include "ngx_http_breaker.h"
#include "ngx_http_gw_written.h"
#include "gw_version.h"
#include "ngx_http_gw_variable.h"


static ngx_int_t ngx_http_breaker_result_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_breaker_state_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_breaker_key_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_breaker_set_text(ngx_http_variable_value_t *v,
    const char *text);
static char *ngx_http_breaker_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_breaker_header_filter(ngx_http_request_t *r);
static ngx_http_breaker_rare ngx_int_t ngx_http_breaker_header(
    ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx);
static ngx_int_t ngx_http_breaker_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_breaker_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_breaker_init_module(ngx_cycle_t *cycle);
static void *ngx_http_breaker_create_main_conf(ngx_conf_t *cf);
static void ngx_http_breaker_unknown_directive(void *data);
static char *ngx_http_breaker_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_breaker_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_breaker_log_level(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_breaker_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


static ngx_conf_enum_t  ngx_http_breaker_log_levels[] = {
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_breaker_commands[] = {

    { ngx_string("breaker_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_breaker_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("breaker_policy"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_breaker_policy,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("breaker"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF
                        |NGX_CONF_TAKE1234,
      ngx_http_breaker,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("breaker_fallback"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF
                        |NGX_CONF_TAKE13,
      ngx_http_breaker_fallback,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("breaker_log_level"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_breaker_log_level,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("breaker_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_breaker_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_breaker_module_ctx = {
    ngx_http_breaker_add_variables,        /* preconfiguration */
    ngx_http_breaker_init,                 /* postconfiguration */

    ngx_http_breaker_create_main_conf,     /* create main configuration */
    ngx_http_breaker_init_main_conf,       /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_breaker_create_loc_conf,      /* create location configuration */
    ngx_http_breaker_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_breaker_module = {
    NGX_MODULE_V1,
    &ngx_http_breaker_module_ctx,          /* module context */
    ngx_http_breaker_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_breaker_init_module,          /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_breaker_vars[] = {

    { ngx_string("breaker_state"), NULL, ngx_http_breaker_state_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("breaker_key"), NULL, ngx_http_breaker_key_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("breaker_result"), NULL, ngx_http_breaker_result_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static const char  *ngx_http_breaker_results[] = {
    "-",
    "pass",
    "probe",
    "reject",
    "dry_reject"
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


static ngx_int_t
ngx_http_breaker_result_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_breaker_get_ctx(r);

    ngx_http_breaker_set_text(v, ngx_http_breaker_results[ctx ? ctx->result
                                                              : 0]);

    return NGX_OK;
}


static ngx_int_t
ngx_http_breaker_state_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_breaker_get_ctx(r);

    if (ctx == NULL || ctx->result == NGX_HTTP_BREAKER_NONE) {
        ngx_http_breaker_set_text(v, "-");
        return NGX_OK;
    }

    ngx_http_breaker_set_text(v, brk_state_name(ctx->state));

    return NGX_OK;
}


/* the key, without bytes that would do harm in a header or in a log */

static ngx_int_t
ngx_http_breaker_key_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                  *p;
    ngx_str_t               *key;
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_breaker_get_ctx(r);

    if (ctx == NULL || ctx->result == NGX_HTTP_BREAKER_NONE) {
        ngx_http_breaker_set_text(v, "-");
        return NGX_OK;
    }

    key = ctx->rejected ? &ctx->refused.subject.key : &ctx->subject.key;

    p = ngx_pnalloc(r->pool, key->len * GW_SHOW);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = gw_show(p, key->data, key->len) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static void
ngx_http_breaker_set_text(ngx_http_variable_value_t *v, const char *text)
{
    v->data = (u_char *) text;
    v->len = ngx_strlen(text);
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


static char *
ngx_http_breaker_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_breaker_loc_conf_t *blcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (blcf->status) {
        return "is duplicate";
    }

    blcf->status = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_breaker_status_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_breaker_header_filter(ngx_http_request_t *r)
{
    ngx_http_breaker_ctx_t  *ctx;

    if (!ngx_http_breaker_has_ctx(r)) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_breaker_module);

    /* the response of an upstream, whose end will decide, or of a rejection */

    if (ctx
        && (!ctx->held
            || (ctx->upstream && !ctx->decided && !ctx->probe
                && !ctx->upstream->upgrade)))
    {
        return ngx_http_next_header_filter(r);
    }

    return ngx_http_breaker_header(r, ctx);
}


static ngx_int_t
ngx_http_breaker_header(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx)
{
    ngx_http_breaker_observe(r, ctx);

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_breaker_add_variables(ngx_conf_t *cf)
{
    if (ngx_http_gw_record(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_gw_add_variables(cf, ngx_http_breaker_vars);
}


static ngx_int_t
ngx_http_breaker_init(ngx_conf_t *cf)
{
    ngx_array_t                   *handlers;
    ngx_http_handler_pt           *h;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_breaker_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_breaker_module);

    if (ngx_http_gw_check_variables(cf) != NGX_OK
        || ngx_http_breaker_check_named(cf, bmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_breaker_warnings(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (bmcf->guards.nelts == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /*
     * The handler is the last one of its phase, in whatever order the modules
     * are loaded: a cache answers first, and try_files has chosen its file.
     * The handlers run from the end of the array to its beginning.
     */

    handlers = &cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers;

    h = ngx_array_push(handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;
    ngx_memmove(h + 1, h, (handlers->nelts - 1) * sizeof(ngx_http_handler_pt));
    *h = ngx_http_breaker_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_breaker_header_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_breaker_init_module(ngx_cycle_t *cycle)
{
    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "ngx_http_breaker_module/" GW_VERSION);

    return NGX_OK;
}


static char *
ngx_http_breaker_log_level(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_breaker_loc_conf_t *blcf = conf;

    ngx_str_t        *value;
    ngx_conf_enum_t  *e;

    if (blcf->log_level != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (e = ngx_http_breaker_log_levels; e->name.len; e++) {

        if (e->name.len == value[1].len
            && ngx_strncmp(e->name.data, value[1].data, e->name.len) == 0)
        {
            blcf->log_level = e->value;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\", must be \"error\", "
                       "\"warn\", \"notice\", or \"info\"",
                       &value[1], &cmd->name);

    return NGX_CONF_ERROR;
}


static void *
ngx_http_breaker_create_main_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_breaker_main_conf_t  *bmcf;

    bmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_breaker_main_conf_t));
    if (bmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&bmcf->zones, cf->pool, 4,
                       sizeof(ngx_http_breaker_zone_t *))
        != NGX_OK
        || ngx_array_init(&bmcf->policies, cf->pool, 4,
                          sizeof(ngx_http_breaker_policy_t *))
           != NGX_OK
        || ngx_array_init(&bmcf->guards, cf->pool, 4,
                          sizeof(ngx_http_breaker_guard_t *))
           != NGX_OK
        || ngx_array_init(&bmcf->named, cf->pool, 4,
                          sizeof(ngx_http_breaker_named_t))
           != NGX_OK)
    {
        return NULL;
    }

    /* the cleanup handler suggests the directive that a misspelt one means */

    cln = ngx_pool_cleanup_add(cf->temp_pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_breaker_unknown_directive;
    cln->data = cf;

    return bmcf;
}


/* nginx itself logs only "unknown directive" */

static void
ngx_http_breaker_unknown_directive(void *data)
{
    ngx_conf_t *cf = data;

    ngx_str_t      *name;
    ngx_uint_t      i, n;
    const char     *names[sizeof(ngx_http_breaker_commands)
                          / sizeof(ngx_command_t)], *nearest;
    ngx_module_t  **modules;
    ngx_command_t  *cmd;

    name = cf->args->elts;

    if (cf->args->nelts == 0 || name->data[0] != 'b') {
        return;
    }

    modules = cf->cycle->modules;

    for (i = 0; modules[i]; i++) {

        for (cmd = modules[i]->commands; cmd && cmd->name.len; cmd++) {

            if (cmd->name.len == name->len
                && ngx_strncmp(cmd->name.data, name->data, name->len) == 0)
            {
                return;
            }
        }
    }

    for (n = 0; ngx_http_breaker_commands[n].name.len; n++) {
        names[n] = (char *) ngx_http_breaker_commands[n].name.data;
    }

    names[n] = NULL;

    nearest = gw_nearest(names, name->data, name->len);

    if (nearest) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "did you mean \"%s\" instead of \"%V\"?",
                      nearest, name);
    }
}


static char *
ngx_http_breaker_init_main_conf(ngx_conf_t *cf, void *conf)
{
    if (ngx_http_breaker_resolve(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_breaker_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_breaker_loc_conf_t  *blcf;

    blcf = ngx_palloc(cf->pool, sizeof(ngx_http_breaker_loc_conf_t));
    if (blcf == NULL) {
        return NULL;
    }

    blcf->guard = NGX_CONF_UNSET_PTR;
    blcf->fallback = NGX_CONF_UNSET_PTR;
    blcf->log_level = NGX_CONF_UNSET_UINT;
    blcf->status = 0;

    return blcf;
}


static char *
ngx_http_breaker_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_breaker_loc_conf_t *prev = parent;
    ngx_http_breaker_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    if (conf->fallback != NGX_CONF_UNSET_PTR && conf->fallback->name.len
        && ngx_http_breaker_add_named(cf, conf->fallback) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_ptr_value(conf->guard, prev->guard, NULL);
    ngx_conf_merge_ptr_value(conf->fallback, prev->fallback, NULL);
    ngx_conf_merge_uint_value(conf->log_level, prev->log_level, NGX_LOG_ERR);

    /* "limit_except" does not inherit the handler of its location */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (prev->status && clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_http_breaker_status_handler;
    }

    return NGX_CONF_OK;
}
