
/*
 * Memory of a call.  A stream may last for days, so its messages are not
 * allocated from the pool, which keeps small blocks until the end.
 */

#include "ngx_http_aggregate_grpc.h"


struct ngx_http_aggregate_grpc_block_s {
    ngx_http_aggregate_grpc_block_t  *next;
    ngx_http_aggregate_grpc_block_t **prev;
};


static void *ngx_http_aggregate_grpc_alloc(void *data, size_t size);
static void *ngx_http_aggregate_grpc_grow(void *data, void *p, size_t used,
    size_t size);
static void *ngx_http_aggregate_grpc_pool_alloc(void *data, size_t size);
static void *ngx_http_aggregate_grpc_pool_grow(void *data, void *p,
    size_t used, size_t size);


void
ngx_http_aggregate_grpc_mem_init(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ctx->mem.alloc = ngx_http_aggregate_grpc_alloc;
    ctx->mem.grow = ngx_http_aggregate_grpc_grow;
    ctx->mem.ctx = ctx;
}


void
ngx_http_aggregate_grpc_mem_free(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_http_aggregate_grpc_block_t  *block;

    while (ctx->blocks) {
        block = ctx->blocks;
        ctx->blocks = block->next;
        ngx_free(block);
    }
}


static void *
ngx_http_aggregate_grpc_alloc(void *data, size_t size)
{
    return ngx_http_aggregate_grpc_grow(data, NULL, 0, size ? size : 1);
}


static void *
ngx_http_aggregate_grpc_grow(void *data, void *p, size_t used, size_t size)
{
    ngx_http_aggregate_grpc_ctx_t *ctx = data;

    ngx_http_aggregate_grpc_block_t  *block, *old;

    old = p ? (ngx_http_aggregate_grpc_block_t *) p - 1 : NULL;

    if (size == 0) {

        if (old) {
            *old->prev = old->next;

            if (old->next) {
                old->next->prev = old->prev;
            }

            ngx_free(old);
        }

        return NULL;
    }

    if (size > NGX_MAX_SIZE_T_VALUE - sizeof(ngx_http_aggregate_grpc_block_t))
    {
        return NULL;
    }

    size += sizeof(ngx_http_aggregate_grpc_block_t);
    block = old ? realloc(old, size) : malloc(size);

    if (block == NULL) {
        ngx_log_error(NGX_LOG_EMERG, ctx->request->connection->log, ngx_errno,
                      "%s(%uz) failed", old ? "realloc" : "malloc", size);
        return NULL;
    }

    if (old == NULL) {
        block->next = ctx->blocks;
        block->prev = &ctx->blocks;
        ctx->blocks = block;

    } else {
        *block->prev = block;
    }

    if (block->next) {
        block->next->prev = &block->next;
    }

    return block + 1;
}


/* an allocator for use during configuration */

agg_mem_t *
ngx_http_aggregate_grpc_pool_mem(ngx_pool_t *pool)
{
    agg_mem_t  *mem;

    mem = ngx_palloc(pool, sizeof(agg_mem_t));
    if (mem == NULL) {
        return NULL;
    }

    mem->alloc = ngx_http_aggregate_grpc_pool_alloc;
    mem->grow = ngx_http_aggregate_grpc_pool_grow;
    mem->ctx = pool;

    return mem;
}


static void *
ngx_http_aggregate_grpc_pool_alloc(void *data, size_t size)
{
    return ngx_palloc(data, size);
}


static void *
ngx_http_aggregate_grpc_pool_grow(void *data, void *p, size_t used,
    size_t size)
{
    void  *block;

    block = NULL;

    if (size != 0) {
        block = ngx_palloc(data, size);
        if (block == NULL) {
            return NULL;
        }

        if (used != 0) {
            ngx_memcpy(block, p, used);
        }
    }

    if (p) {
        (void) ngx_pfree(data, p);
    }

    return block;
}
