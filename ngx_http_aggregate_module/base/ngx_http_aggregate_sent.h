
/* The headers that a backend has got in place of those of the client. */

#ifndef _NGX_HTTP_AGGREGATE_SENT_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SENT_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/*
 * Returns 1 if the backend of r has got other values of the header than those
 * in the client's list, as the configuration has set them.  Returns 0 if all
 * are equal to the constant, which may be NULL, and for headers whose values
 * are in the key of the cache.  If r->upstream is still "before", no backend
 * has been asked since.
 */
ngx_uint_t ngx_http_aggregate_sets_header(ngx_http_request_t *r,
    ngx_http_upstream_t *before, ngx_list_t *client, ngx_str_t *constant,
    ngx_str_t *name);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SENT_H_INCLUDED_ */
