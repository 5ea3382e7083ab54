
/*
 * The memory of values.  Small values are allocated from the request's pool,
 * where subrequests have left room.  Large ones, and all beyond a limit, come
 * from a separate pool, which may be destroyed before the request ends: a slow
 * client that reads its answer from a file holds no bodies.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_memory.h"


/* the maximum size of a small value, and of all of them in a request */

#define NGX_HTTP_AGGREGATE_SMALL_SIZE   8192
#define NGX_HTTP_AGGREGATE_SMALL_TOTAL  65536

#define NGX_HTTP_AGGREGATE_POOL_SIZE    16384


static void *ngx_http_aggregate_values_alloc(void *ctx, size_t size);
static void *ngx_http_aggregate_values_grow(void *ctx, void *p, size_t used,
    size_t size);
static ngx_int_t ngx_http_aggregate_values_pool(
    ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_values_cleanup(void *data);


void
ngx_http_aggregate_values_init(ngx_http_aggregate_fetches_t *fs)
{
    fs->values.alloc = ngx_http_aggregate_values_alloc;
    fs->values.grow = ngx_http_aggregate_values_grow;
    fs->values.ctx = fs;

    fs->mem = &fs->values;
}


static void *
ngx_http_aggregate_values_alloc(void *ctx, size_t size)
{
    return ngx_http_aggregate_values_grow(ctx, NULL, 0, size);
}


static void *
ngx_http_aggregate_values_grow(void *ctx, void *p, size_t used, size_t size)
{
    ngx_http_aggregate_fetches_t *fs = ctx;

    void  *block;

    if (size
        && size <= NGX_HTTP_AGGREGATE_SMALL_SIZE
        && size <= NGX_HTTP_AGGREGATE_SMALL_TOTAL - fs->small)
    {
        block = ngx_http_aggregate_memory_alloc(fs->request->pool, size);

        if (block) {
            fs->small += size;

            if (p) {
                ngx_memcpy(block, p, used);
            }
        }

        return block;
    }

    if (fs->pool == NULL) {

        if (size == 0 || ngx_http_aggregate_values_pool(fs) != NGX_OK) {
            return NULL;
        }
    }

    return fs->large->grow(fs->large->ctx, p, used, size);
}


static ngx_int_t
ngx_http_aggregate_values_pool(ngx_http_aggregate_fetches_t *fs)
{
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(fs->request->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    pool = ngx_create_pool(NGX_HTTP_AGGREGATE_POOL_SIZE,
                           fs->request->connection->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    fs->large = ngx_http_aggregate_mem(pool);
    if (fs->large == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    fs->pool = pool;

    cln->handler = ngx_http_aggregate_values_cleanup;
    cln->data = fs;

    return NGX_OK;
}


void
ngx_http_aggregate_fetches_release(void *data)
{
    ngx_http_aggregate_fetches_t *fs = data;

    /* a subrequest that could not be cancelled yet may still use the pool */

    if (fs->tries == NULL) {
        ngx_http_aggregate_values_cleanup(fs);
        ngx_http_aggregate_memory_freed();
    }
}


static void
ngx_http_aggregate_values_cleanup(void *data)
{
    ngx_http_aggregate_fetches_t *fs = data;

    if (fs->pool) {
        ngx_destroy_pool(fs->pool);
        fs->pool = NULL;
    }
}
