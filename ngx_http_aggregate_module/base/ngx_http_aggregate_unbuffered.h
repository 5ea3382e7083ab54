
/*
 * A response that a filter takes piece by piece is read as with
 * "proxy_buffering off", but in larger pieces than of "proxy_buffer_size".
 */


#ifndef _NGX_HTTP_AGGREGATE_UNBUFFERED_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_UNBUFFERED_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/*
 * For a header filter of a request that has an upstream.  A response that
 * nginx caches or stores is left as it is, and so is that of a main request
 * whose rate is limited.
 */

void ngx_http_aggregate_unbuffered(ngx_http_request_t *r);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_UNBUFFERED_H_INCLUDED_ */
