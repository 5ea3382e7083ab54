
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_aggregate_memory.h"

#if (NGX_LINUX)
#include <malloc.h>
#endif


/* the free memory that a worker keeps, and the size of separate mappings */

#define NGX_HTTP_AGGREGATE_TRIM_SIZE  (16 * 1024 * 1024)
#define NGX_HTTP_AGGREGATE_PAD_SIZE   (256 * 1024)
#define NGX_HTTP_AGGREGATE_MAP_SIZE   (2 * 1024 * 1024)

/* memory is returned after this much quiet, or at the latest after this time */

#define NGX_HTTP_AGGREGATE_TRIM_QUIET  1000
#define NGX_HTTP_AGGREGATE_TRIM_LATE   5000


static void ngx_http_aggregate_memory_cleanup(void *data);


#ifdef M_TRIM_THRESHOLD

static void ngx_http_aggregate_memory_trim(ngx_event_t *ev);
static size_t ngx_http_aggregate_memory_free_size(void);


static ngx_event_t       ngx_http_aggregate_memory_timer;
static ngx_connection_t  ngx_http_aggregate_memory_connection;
static ngx_msec_t        ngx_http_aggregate_memory_first;
static ngx_msec_t        ngx_http_aggregate_memory_last;


void
ngx_http_aggregate_memory_init(void)
{
    (void) mallopt(M_TRIM_THRESHOLD, NGX_HTTP_AGGREGATE_TRIM_SIZE);
    (void) mallopt(M_TOP_PAD, NGX_HTTP_AGGREGATE_PAD_SIZE);
    (void) mallopt(M_MMAP_THRESHOLD, NGX_HTTP_AGGREGATE_MAP_SIZE);
}


void
ngx_http_aggregate_memory_freed(void)
{
    ngx_event_t  *ev;

    ngx_http_aggregate_memory_last = ngx_current_msec;

    ev = &ngx_http_aggregate_memory_timer;

    if (ev->timer_set || ngx_exiting) {
        return;
    }

    ngx_http_aggregate_memory_connection.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_aggregate_memory_trim;
    ev->data = &ngx_http_aggregate_memory_connection;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_http_aggregate_memory_first = ngx_current_msec;
    ngx_add_timer(ev, NGX_HTTP_AGGREGATE_TRIM_QUIET);
}


static void
ngx_http_aggregate_memory_trim(ngx_event_t *ev)
{
    ngx_msec_t  quiet;

    quiet = ngx_current_msec - ngx_http_aggregate_memory_last;

    if (quiet < NGX_HTTP_AGGREGATE_TRIM_QUIET
        && ngx_current_msec - ngx_http_aggregate_memory_first
           < NGX_HTTP_AGGREGATE_TRIM_LATE)
    {
        ngx_add_timer(ev, NGX_HTTP_AGGREGATE_TRIM_QUIET - quiet);
        return;
    }

    if (ngx_http_aggregate_memory_free_size() > NGX_HTTP_AGGREGATE_TRIM_SIZE) {
        (void) malloc_trim(NGX_HTTP_AGGREGATE_TRIM_SIZE);
    }
}


static size_t
ngx_http_aggregate_memory_free_size(void)
{
#if (__GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 33))

    return mallinfo2().fordblks;

#elif (__GLIBC__)

    return (unsigned) mallinfo().fordblks;

#else

    return 0;

#endif
}

#else

void
ngx_http_aggregate_memory_init(void)
{
}


void
ngx_http_aggregate_memory_freed(void)
{
}

#endif


void
ngx_http_aggregate_memory_watch(ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);

    if (cln) {
        cln->handler = ngx_http_aggregate_memory_cleanup;
    }
}


static void
ngx_http_aggregate_memory_cleanup(void *data)
{
    (void) data;

    ngx_http_aggregate_memory_freed();
}


/*
 * A pool itself makes all its blocks as large as the first one, but they may
 * have any size.
 */

void
ngx_http_aggregate_memory_room(ngx_pool_t *pool, size_t least, size_t size)
{
    u_char      *p;
    ngx_pool_t  *block, *last;

    last = pool->current;

    while (last->d.next) {
        last = last->d.next;
    }

    if ((size_t) (last->d.end - last->d.last) >= least) {
        return;
    }

    p = ngx_memalign(NGX_POOL_ALIGNMENT, size, pool->log);
    if (p == NULL) {
        return;
    }

    block = (ngx_pool_t *) (void *) p;

    block->d.last = ngx_align_ptr(p + sizeof(ngx_pool_data_t), NGX_ALIGNMENT);
    block->d.end = p + size;
    block->d.next = NULL;
    block->d.failed = 0;

    last->d.next = block;
    pool->current = block;
}


/* a pool allocates anything larger than a page separately */

void *
ngx_http_aggregate_memory_alloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_http_aggregate_memory_take(pool, size);

    return p ? p : ngx_palloc(pool, size);
}


void
ngx_http_aggregate_memory_clear(void *p, size_t size)
{
    ngx_memzero(p, size);
}


void *
ngx_http_aggregate_memory_take(ngx_pool_t *pool, size_t size)
{
#if (NGX_DEBUG_PALLOC)

    /* with ASan, separate allocations make overruns visible */

    return ngx_palloc(pool, size);

#else

    u_char      *p;
    ngx_pool_t  *block;

    block = pool->current;
    p = ngx_align_ptr(block->d.last, NGX_ALIGNMENT);

    if (p <= block->d.end && (size_t) (block->d.end - p) >= size) {
        block->d.last = p + size;
        return p;
    }

    return NULL;

#endif
}
