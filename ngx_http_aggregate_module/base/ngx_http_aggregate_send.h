
/* Responses of content handlers that are in memory as a whole. */


#ifndef _NGX_HTTP_AGGREGATE_SEND_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SEND_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/*
 * Sends the header, then the body of "length" bytes, whose last buffer gets the
 * end marks.  The type may have parameters.  The result is for
 * ngx_http_finalize_request().
 */
ngx_int_t ngx_http_aggregate_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_chain_t *out, off_t length);

/* the same for a body in one buffer */
ngx_int_t ngx_http_aggregate_send_buf(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_buf_t *b);

/* sets the type of the response, which may have parameters */
void ngx_http_aggregate_set_type(ngx_http_request_t *r, ngx_str_t *type);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SEND_H_INCLUDED_ */
