
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


/* for a worker that has something to keep memory for */

void ngx_http_aggregate_memory_init(void);


/*
 * A request that held much has ended.  Cheap: it notes the time, and starts a
 * timer when none runs.
 */

void ngx_http_aggregate_memory_freed(void);


/* the same, when the pool is destroyed; without memory for it, never */

void ngx_http_aggregate_memory_watch(ngx_pool_t *pool);


/*
 * A block of that size for the pool, if its last block has less than "least"
 * left: the pool by itself would take many small blocks one after the other.
 * This is an optimization, and nothing depends on its success.
 */

void ngx_http_aggregate_memory_room(ngx_pool_t *pool, size_t least,
    size_t size);


/* memory of the last block of the pool, of any size; NULL: it has too little */

void *ngx_http_aggregate_memory_take(ngx_pool_t *pool, size_t size);


/* the same, or an allocation of its own; NULL: an error */

void *ngx_http_aggregate_memory_alloc(ngx_pool_t *pool, size_t size);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_MEMORY_H_INCLUDED_ */
