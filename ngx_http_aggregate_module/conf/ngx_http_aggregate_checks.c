
/* see ngx_http_aggregate_checks.h */

#include "ngx_http_aggregate_checks.h"
#include "ngx_http_gw_variable.h"
#include "ngx_http_gw_written.h"
#include "gw_text.h"


typedef struct {
    ngx_str_t    name;
    ngx_str_t    file;
    ngx_uint_t   line;
} ngx_http_aggregate_used_t;


typedef struct {
    ngx_array_t  used;             /* ngx_http_aggregate_used_t */
} ngx_http_aggregate_checks_conf_t;


static void *ngx_http_aggregate_checks_create_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_checks_variables(ngx_conf_t *cf);
static void ngx_http_aggregate_unknown_directive(void *data);


static ngx_http_module_t  ngx_http_aggregate_checks_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_checks_variables,   /* postconfiguration */

    ngx_http_aggregate_checks_create_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_checks_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_checks_module_ctx, /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/*
 * nginx logs only "unknown directive" outside of our blocks, and then destroys
 * its temporary pool, so a cleanup of that can add a hint
 */

static void *
ngx_http_aggregate_checks_create_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t                *cln;
    ngx_http_aggregate_checks_conf_t  *conf;

    conf = ngx_palloc(cf->pool, sizeof(ngx_http_aggregate_checks_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&conf->used, cf->pool, 8,
                       sizeof(ngx_http_aggregate_used_t))
        != NGX_OK)
    {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->temp_pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_aggregate_unknown_directive;
    cln->data = cf;

    return conf;
}


static void
ngx_http_aggregate_unknown_directive(void *data)
{
    ngx_conf_t *cf = data;

    ngx_str_t            *name;
    ngx_uint_t            i;
    gw_nearest_t          nearest;
    ngx_module_t        **modules;
    ngx_command_t        *cmd;
    const ngx_command_t  *near;

    if (cf->args->nelts == 0) {
        return;
    }

    name = cf->args->elts;
    modules = cf->cycle->modules;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; modules[i]; i++) {

        for (cmd = modules[i]->commands; cmd && cmd->name.len; cmd++) {

            if (cmd->name.len == name->len
                && ngx_strncmp(cmd->name.data, name->data, name->len) == 0)
            {
                return;
            }

            if (modules[i]->type != NGX_HTTP_MODULE
                || ngx_strncmp(cmd->name.data, "aggregate", 9) != 0
                || name->data[0] != 'a')
            {
                continue;
            }

            gw_nearest_try(&nearest, cmd->name.data, cmd->name.len, cmd);
        }
    }

    near = nearest.item;

    if (near) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "did you mean \"%V\" instead of \"%V\"?",
                      &near->name, name);
    }
}


/*
 * nginx reports an unknown variable without file and line, and only after the
 * whole configuration was read, so variables of ours are checked here
 */

ngx_int_t
ngx_http_aggregate_variable_used(ngx_conf_t *cf, ngx_str_t *name)
{
    size_t                             i;
    ngx_http_aggregate_used_t         *used;
    ngx_http_aggregate_checks_conf_t  *conf;

    for (i = 0; i < name->len; i++) {

        /* nginx takes "$arg_a$arg_b" for one argument of that name */

        if (name->data[i] == '$' || name->data[i] == '{') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid variable \"$%V\", must be one "
                               "variable and nothing else", name);
            return NGX_ERROR;
        }
    }

    conf = ngx_http_conf_get_module_main_conf(cf,
                                            ngx_http_aggregate_checks_module);

    used = ngx_array_push(&conf->used);
    if (used == NULL) {
        return NGX_ERROR;
    }

    used->name.len = name->len;
    used->name.data = ngx_pnalloc(cf->pool, name->len);
    if (used->name.data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(used->name.data, name->data, name->len);

    used->file = cf->conf_file->file.name;
    used->line = cf->conf_file->line;

    return ngx_http_get_variable_index(cf, name);
}


ngx_int_t
ngx_http_aggregate_variables_used(ngx_conf_t *cf, ngx_str_t *text)
{
    ngx_str_t  rest, name;

    rest = *text;

    while (ngx_http_gw_variable_next(&rest, &name)) {

        if (ngx_http_aggregate_variable_used(cf, &name) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_checks_variables(ngx_conf_t *cf)
{
    ngx_uint_t                         i;
    ngx_http_aggregate_used_t         *used;
    ngx_http_aggregate_checks_conf_t  *conf;

    conf = ngx_http_conf_get_module_main_conf(cf,
                                            ngx_http_aggregate_checks_module);
    used = conf->used.elts;

    for (i = 0; i < conf->used.nelts; i++) {

        if (!ngx_http_gw_variable_known(cf, &used[i].name)) {
            ngx_http_gw_variable_unknown(cf, &used[i].name, &used[i].file,
                                         used[i].line);
            return NGX_ERROR;
        }
    }

    return ngx_http_gw_check_variables(cf);
}
