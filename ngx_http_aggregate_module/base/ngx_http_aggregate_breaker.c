
#include "ngx_http_aggregate_breaker.h"
#include "ngx_http_gw_variable.h"


typedef struct {
    ngx_int_t  result;              /* indices of the variables, or unset */
    ngx_int_t  state;
} ngx_http_aggregate_breaker_conf_t;


static ngx_http_variable_value_t *ngx_http_aggregate_breaker_variable(
    ngx_http_request_t *r, ngx_int_t index);
static void *ngx_http_aggregate_breaker_create_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_breaker_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_breaker_index(ngx_conf_t *cf,
    ngx_str_t *name, ngx_int_t *index);


static ngx_http_module_t  ngx_http_aggregate_breaker_module_ctx = {
    NULL,                                   /* preconfiguration */
    ngx_http_aggregate_breaker_init,        /* postconfiguration */

    ngx_http_aggregate_breaker_create_conf, /* create main configuration */
    NULL,                                   /* init main configuration */

    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */

    NULL,                                   /* create location configuration */
    NULL                                    /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_breaker_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_breaker_module_ctx, /* module context */
    NULL,                                   /* module directives */
    NGX_HTTP_MODULE,                        /* module type */
    NULL,                                   /* init master */
    NULL,                                   /* init module */
    NULL,                                   /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    NULL,                                   /* exit process */
    NULL,                                   /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_http_variable_value_t *
ngx_http_aggregate_breaker_result(ngx_http_request_t *r)
{
    ngx_http_aggregate_breaker_conf_t  *conf;

    conf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_breaker_module);

    return ngx_http_aggregate_breaker_variable(r, conf->result);
}


static ngx_http_variable_value_t *
ngx_http_aggregate_breaker_variable(ngx_http_request_t *r, ngx_int_t index)
{
    ngx_http_variable_value_t  *vv;

    if (index == NGX_CONF_UNSET) {
        return NULL;
    }

    vv = ngx_http_get_flushed_variable(r, index);

    return (vv == NULL || vv->not_found) ? NULL : vv;
}


ngx_uint_t
ngx_http_aggregate_breaker_closed(ngx_http_request_t *r)
{
    ngx_http_variable_value_t          *vv;
    ngx_http_aggregate_breaker_conf_t  *conf;

    conf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_breaker_module);

    vv = ngx_http_aggregate_breaker_variable(r, conf->state);

    return vv == NULL
           || (vv->len == 1 && vv->data[0] == '-')
           || (vv->len == 6 && ngx_strncmp(vv->data, "closed", 6) == 0);
}


ngx_uint_t
ngx_http_aggregate_breaker_rejected(ngx_http_request_t *r)
{
    ngx_http_variable_value_t  *vv;

    vv = ngx_http_aggregate_breaker_result(r);

    return vv && vv->len == 6 && ngx_strncmp(vv->data, "reject", 6) == 0;
}


static void *
ngx_http_aggregate_breaker_create_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_breaker_conf_t  *conf;

    conf = ngx_palloc(cf->pool, sizeof(ngx_http_aggregate_breaker_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->result = NGX_CONF_UNSET;
    conf->state = NGX_CONF_UNSET;

    return conf;
}


static ngx_int_t
ngx_http_aggregate_breaker_init(ngx_conf_t *cf)
{
    ngx_http_aggregate_breaker_conf_t  *conf;

    static ngx_str_t  result = ngx_string("breaker_result");
    static ngx_str_t  state = ngx_string("breaker_state");

    conf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_aggregate_breaker_module);

    if (ngx_http_aggregate_breaker_index(cf, &result, &conf->result)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_breaker_index(cf, &state, &conf->state);
}


static ngx_int_t
ngx_http_aggregate_breaker_index(ngx_conf_t *cf, ngx_str_t *name,
    ngx_int_t *index)
{
    if (!ngx_http_gw_variable_known(cf, name)) {
        return NGX_OK;
    }

    *index = ngx_http_get_variable_index(cf, name);

    return (*index == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}
