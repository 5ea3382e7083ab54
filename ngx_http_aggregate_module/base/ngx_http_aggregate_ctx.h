
/*
 * Contexts of requests that survive an internal redirect.
 *
 * A redirect ("error_page", "try_files", X-Accel-Redirect, a named location)
 * and an error that a filter reports wipe the contexts of all modules.  Ours
 * is found again by a cleanup of the pool, which is also there when the access
 * log is written.  A context that is kept this way begins with its request:
 *
 *     typedef struct {
 *         ngx_http_request_t  *request;
 *         ...
 *     } ngx_http_aggregate_NAME_ctx_t;
 *
 * The handler of the cleanup tells one kind of context from another, and may
 * do what is to be done when the request is over.  At that time r->pool is
 * NULL already: nothing is allocated there, nor are other requests finalized.
 */


#ifndef _NGX_HTTP_AGGREGATE_CTX_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_CTX_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/* makes ctx, whose request is set, the context of the request, and keeps it */
ngx_int_t ngx_http_aggregate_ctx_keep(ngx_http_request_t *r, void *ctx,
    ngx_module_t *module, ngx_pool_cleanup_pt handler);

/*
 * The context of the request, or the one that it had before a redirect, which
 * does not become that of the module again by itself.  NULL: there was none.
 */
static ngx_inline void *ngx_http_aggregate_ctx_find(ngx_http_request_t *r,
    ngx_module_t *module, ngx_pool_cleanup_pt handler);

/* the same for a request that may have been redirected */
void *ngx_http_aggregate_ctx_kept(ngx_http_request_t *r,
    ngx_pool_cleanup_pt handler);

/* 0: the request has none, and has not been redirected either */
static ngx_inline ngx_uint_t ngx_http_aggregate_ctx_has(ngx_http_request_t *r,
    ngx_module_t *module);


static ngx_inline void *
ngx_http_aggregate_ctx_find(ngx_http_request_t *r, ngx_module_t *module,
    ngx_pool_cleanup_pt handler)
{
    void  *ctx;

    ctx = r->ctx[module->ctx_index];

    if (ctx || !ngx_http_aggregate_ctx_has(r, module)) {
        return ctx;
    }

    return ngx_http_aggregate_ctx_kept(r, handler);
}


static ngx_inline ngx_uint_t
ngx_http_aggregate_ctx_has(ngx_http_request_t *r, ngx_module_t *module)
{
    /* each redirect counts as a change of the URI */

    return r->ctx[module->ctx_index]
           || r->uri_changes != NGX_HTTP_MAX_URI_CHANGES + 1
           || r->filter_finalize;
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_CTX_H_INCLUDED_ */
