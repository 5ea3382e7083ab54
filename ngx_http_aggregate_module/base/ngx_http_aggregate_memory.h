
/*
 * How glibc keeps the memory of requests.
 *
 * A request's memory is freed at its end, in pieces of up to max_body_size, and
 * the next request needs as much again.  By default glibc returns it to the
 * system each time, which costs a page fault for each 4k: up to a quarter of a
 * worker's time.  So a worker keeps some memory, and the excess that a burst
 * leaves behind is returned seconds later.
 */


#ifndef _NGX_HTTP_AGGREGATE_MEMORY_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_MEMORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#pragma GCC visibility push(hidden)


/* for workers that handle such requests */

void ngx_http_aggregate_memory_init(void);


/*
 * A large request has ended.  Cheap: it notes the time, and starts a timer if
 * none is running.
 */

void ngx_http_aggregate_memory_freed(void);


/* the same when the pool is destroyed; it has no effect without memory */

void ngx_http_aggregate_memory_watch(ngx_pool_t *pool);


/*
 * Adds a block of "size" to the pool if its last block has less than "least"
 * left, as the pool would otherwise allocate many small blocks.  It is an
 * optimization that may fail.
 */

void ngx_http_aggregate_memory_room(ngx_pool_t *pool, size_t least,
    size_t size);


/* allocates from the last block of the pool; NULL: it has too little room */

void *ngx_http_aggregate_memory_take(ngx_pool_t *pool, size_t size);


/* the same, or a separate allocation; NULL: there is no memory */

void *ngx_http_aggregate_memory_alloc(ngx_pool_t *pool, size_t size);


/*
 * ngx_memzero() for some hundreds of bytes: where their number is a constant,
 * gcc clears eight of them at a time
 */

void ngx_http_aggregate_memory_clear(void *p, size_t size);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_MEMORY_H_INCLUDED_ */
