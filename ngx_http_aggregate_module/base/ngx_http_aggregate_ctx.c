
#include "ngx_http_aggregate_ctx.h"


ngx_int_t
ngx_http_aggregate_ctx_keep(ngx_http_request_t *r, void *ctx,
    ngx_module_t *module, ngx_pool_cleanup_pt handler)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = handler;
    cln->data = ctx;

    r->ctx[module->ctx_index] = ctx;

    return NGX_OK;
}


void *
ngx_http_aggregate_ctx_find(ngx_http_request_t *r, ngx_module_t *module,
    ngx_pool_cleanup_pt handler)
{
    void                *ctx;
    ngx_pool_cleanup_t  *cln;
    ngx_http_request_t  **owner;

    ctx = r->ctx[module->ctx_index];

    /* each redirect counts as a change of the URI */

    if (ctx || (r->uri_changes == NGX_HTTP_MAX_URI_CHANGES + 1
                && !r->filter_finalize))
    {
        return ctx;
    }

    /* the pool is that of the main request and all of its subrequests */

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != handler) {
            continue;
        }

        owner = cln->data;

        if (*owner == r) {
            return owner;
        }
    }

    return NULL;
}
