
/*
 * Memory of the worker, for requests that use it for a moment in turn, which
 * keeps it in the processor's cache.  A request that needs it afterwards has it
 * to its end, and the next one gets another.
 */


#ifndef _NGX_HTTP_AGGREGATE_SCRATCH_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SCRATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#pragma GCC visibility push(hidden)


typedef struct ngx_http_aggregate_scratch_block_s
    ngx_http_aggregate_scratch_block_t;

typedef struct {
    ngx_http_aggregate_scratch_block_t  *block;     /* NULL: none yet */
    ngx_http_aggregate_scratch_block_t  *spare;
    ngx_uint_t                           spares;
    ngx_pool_cleanup_t                  *cleanup;   /* NULL: not in use */
} ngx_http_aggregate_scratch_t;


/*
 * get returns at least size bytes, or NULL: in use, far too large, or no
 * memory; pool is the request's.  It is to be followed by release, which needs
 * no request, or by keep, as long as the pool exists.
 */

u_char *ngx_http_aggregate_scratch_get(ngx_http_aggregate_scratch_t *s,
    size_t size, ngx_pool_t *pool);
void ngx_http_aggregate_scratch_release(ngx_http_aggregate_scratch_t *s);
void ngx_http_aggregate_scratch_keep(ngx_http_aggregate_scratch_t *s);

/* whether these are its bytes */

ngx_uint_t ngx_http_aggregate_scratch_is(ngx_http_aggregate_scratch_t *s,
    u_char *p);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SCRATCH_H_INCLUDED_ */
