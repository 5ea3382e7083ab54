
/*
 * "aggregate_buffer": a large answer moves from memory to a temporary file if
 * its client does not read it.
 *
 * The caller composes the answer in memory, calls
 * ngx_http_aggregate_buffer_set(), and then sends header and body as usual,
 * with a single call of ngx_http_output_filter() for the whole body.  Once the
 * rest is in the file, release(data) is called, which frees what the buffers of
 * the answer pointed to.
 */

#ifndef _NGX_HTTP_AGGREGATE_BUFFER_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_BUFFER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


typedef void (*ngx_http_aggregate_buffer_pt)(void *data);


/* called during configuration, if there are such answers */

void ngx_http_aggregate_buffer_use(ngx_conf_t *cf);

/* whether an answer of this length may be written to a file */

ngx_uint_t ngx_http_aggregate_buffer_applies(ngx_http_request_t *r,
    off_t length);

/* without effect if it may not, or if there is no memory */

void ngx_http_aggregate_buffer_set(ngx_http_request_t *r, off_t length,
    ngx_http_aggregate_buffer_pt release, void *data);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_BUFFER_H_INCLUDED_ */
