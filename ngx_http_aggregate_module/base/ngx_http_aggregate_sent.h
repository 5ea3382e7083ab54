
/* The headers that a backend has got in place of those of the client. */

#ifndef _NGX_HTTP_AGGREGATE_SENT_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SENT_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/*
 * Has the configuration set the header, so that its backend has got other
 * values than those in the list of a client? No, if they are all the constant,
 * which may be NULL, or if the key of the cache contains what they are made
 * of.  before: the upstream of the request before the backend was asked.
 */
ngx_uint_t ngx_http_aggregate_sets_header(ngx_http_request_t *r,
    ngx_http_upstream_t *before, ngx_list_t *client, ngx_str_t *constant,
    ngx_str_t *name);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SENT_H_INCLUDED_ */
