
#include "ngx_http_aggregate_grpc.h"
#include "ngx_http_gw_variable.h"


static ngx_int_t ngx_http_aggregate_grpc_status_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_aggregate_grpc_method_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_aggregate_grpc_vars[] = {

    { ngx_string("aggregate_grpc_status"), NULL,
      ngx_http_aggregate_grpc_status_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_grpc_method"), NULL,
      ngx_http_aggregate_grpc_method_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_aggregate_grpc_add_variables(ngx_conf_t *cf)
{
    return ngx_http_gw_add_variables(cf, ngx_http_aggregate_grpc_vars);
}


static ngx_int_t
ngx_http_aggregate_grpc_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                         *p;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_http_aggregate_grpc_find_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ctx->code < 0 || ctx->refused
             ? ngx_sprintf(p, "-") - p
             : ngx_sprintf(p, "%l", ctx->code) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_method_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_http_aggregate_grpc_find_ctx(r);

    if (ctx == NULL || ctx->binding == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ctx->binding->name.data;
    v->len = ctx->binding->name.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
