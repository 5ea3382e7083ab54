
/*
 * "aggregate_buffer": a large answer whose client does not take it is moved
 * from memory to a temporary file.
 *
 * Who has composed such an answer, of one request, in memory, calls
 * ngx_http_aggregate_buffer_set() and then sends header and body as usual, the
 * whole body with one call of ngx_http_output_filter().  Once the file has
 * all that is left, release(data) is called: it frees what the buffers of the
 * answer pointed to.
 */

#ifndef _NGX_HTTP_AGGREGATE_BUFFER_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_BUFFER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


typedef void (*ngx_http_aggregate_buffer_pt)(void *data);


/* while the configuration is read: there are such answers */

void ngx_http_aggregate_buffer_use(ngx_conf_t *cf);

/* whether an answer of so many bytes may go to a file */

ngx_uint_t ngx_http_aggregate_buffer_applies(ngx_http_request_t *r,
    off_t length);

/* does nothing for an answer that may not; without memory, neither */

void ngx_http_aggregate_buffer_set(ngx_http_request_t *r, off_t length,
    ngx_http_aggregate_buffer_pt release, void *data);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_BUFFER_H_INCLUDED_ */
