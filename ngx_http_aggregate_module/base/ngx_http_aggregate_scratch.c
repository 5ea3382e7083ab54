
/* see ngx_http_aggregate_scratch.h */

#include "ngx_http_aggregate_scratch.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size)
#define ASAN_UNPOISON_MEMORY_REGION(p, size)
#endif


/* how many are put by for the next ones */

#define NGX_HTTP_AGGREGATE_SCRATCH_SPARES  16

/* whoever asks for less than a fourth of a block gets none: it may be kept */

#define NGX_HTTP_AGGREGATE_SCRATCH_PART    4


/* its memory is behind it */

struct ngx_http_aggregate_scratch_block_s {
    ngx_http_aggregate_scratch_block_t  *next;
    ngx_http_aggregate_scratch_t        *scratch;
    size_t                               size;
    size_t                               unused;    /* keeps the alignment */
};


static ngx_http_aggregate_scratch_block_t *ngx_http_aggregate_scratch_block(
    ngx_http_aggregate_scratch_t *s, size_t size, ngx_log_t *log);
static void ngx_http_aggregate_scratch_free(void *data);


u_char *
ngx_http_aggregate_scratch_get(ngx_http_aggregate_scratch_t *s, size_t size,
    ngx_pool_t *pool)
{
    ngx_http_aggregate_scratch_block_t  *block;

    if (s->cleanup) {
        return NULL;
    }

    block = ngx_http_aggregate_scratch_block(s, size, pool->log);

    if (block == NULL || block->size / NGX_HTTP_AGGREGATE_SCRATCH_PART > size) {
        return NULL;
    }

    s->cleanup = ngx_pool_cleanup_add(pool, 0);
    if (s->cleanup == NULL) {
        return NULL;
    }

    ASAN_UNPOISON_MEMORY_REGION(block + 1, size);

    return (u_char *) (block + 1);
}


static ngx_http_aggregate_scratch_block_t *
ngx_http_aggregate_scratch_block(ngx_http_aggregate_scratch_t *s, size_t size,
    ngx_log_t *log)
{
    ngx_http_aggregate_scratch_block_t  *block;

    block = s->block;

    if (block == NULL && s->spare) {
        block = s->spare;
        s->spare = block->next;
        s->spares--;
    }

    if (block && block->size < size) {
        ngx_free(block);
        block = NULL;
    }

    if (block == NULL) {
        block = ngx_alloc(sizeof(ngx_http_aggregate_scratch_block_t) + size,
                          log);
        if (block) {
            block->scratch = s;
            block->size = size;
        }
    }

    s->block = block;

    return block;
}


void
ngx_http_aggregate_scratch_release(ngx_http_aggregate_scratch_t *s)
{
    s->cleanup = NULL;

    ASAN_POISON_MEMORY_REGION(s->block + 1, s->block->size);
}


void
ngx_http_aggregate_scratch_keep(ngx_http_aggregate_scratch_t *s)
{
    s->cleanup->handler = ngx_http_aggregate_scratch_free;
    s->cleanup->data = s->block;

    s->cleanup = NULL;
    s->block = NULL;
}


ngx_uint_t
ngx_http_aggregate_scratch_is(ngx_http_aggregate_scratch_t *s, u_char *p)
{
    return s->cleanup && p == (u_char *) (s->block + 1);
}


static void
ngx_http_aggregate_scratch_free(void *data)
{
    ngx_http_aggregate_scratch_block_t *block = data;

    ngx_http_aggregate_scratch_t  *s;

    s = block->scratch;

    if (s->spares == NGX_HTTP_AGGREGATE_SCRATCH_SPARES) {
        ngx_free(block);
        return;
    }

    block->next = s->spare;
    s->spare = block;
    s->spares++;

    ASAN_POISON_MEMORY_REGION(block + 1, block->size);
}
