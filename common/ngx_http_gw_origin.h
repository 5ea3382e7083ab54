
/* the origin of a request; see gw_origin.h */


#ifndef _NGX_HTTP_GW_ORIGIN_H_INCLUDED_
#define _NGX_HTTP_GW_ORIGIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


/* whether a page of another site made a browser send the request */

ngx_uint_t ngx_http_gw_is_foreign(ngx_http_request_t *r);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_GW_ORIGIN_H_INCLUDED_ */
