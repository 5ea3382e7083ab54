
/*
 * The state of a circuit breaker for a request.  The breaker is a module of
 * its own, which may be absent, and is known here by its variables only.
 */


#ifndef _NGX_HTTP_AGGREGATE_BREAKER_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_BREAKER_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/* $breaker_result: "pass", "probe", "reject" and so on; NULL: no breaker */
ngx_http_variable_value_t *ngx_http_aggregate_breaker_result(
    ngx_http_request_t *r);

/* whether the breaker was closed for the request, or there is none */
ngx_uint_t ngx_http_aggregate_breaker_closed(ngx_http_request_t *r);

/* whether the breaker was open, and no backend was called */
ngx_uint_t ngx_http_aggregate_breaker_rejected(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_aggregate_breaker_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_BREAKER_H_INCLUDED_ */
