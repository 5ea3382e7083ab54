
/*
 * The headers of an answer that is composed of several responses:
 * Cache-Control, Vary, Set-Cookie and those that are passed.
 */

#ifndef _NGX_HTTP_AGGREGATE_MERGE_HEADERS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_MERGE_HEADERS_H_INCLUDED_


#include "ngx_http_aggregate_fetch.h"
#include "agg_freshness.h"


#pragma GCC visibility push(hidden)


/* zeroed before the first response, except for the request */

typedef struct {
    ngx_http_request_t              *request;
    agg_freshness_t                  freshness;
    ngx_array_t                      vary;          /* ngx_str_t */
    ngx_uint_t                       responses;     /* how many were used */
    ngx_uint_t                       cookies;
    ngx_uint_t                       any;           /* "Vary: *" */
} ngx_http_aggregate_merge_headers_t;


/* adds a response; pass: names of headers, in any case, or NULL */

ngx_int_t ngx_http_aggregate_merge_response(
    ngx_http_aggregate_merge_headers_t *headers,
    ngx_http_aggregate_fetch_t *fetch, ngx_array_t *pass);

/* adds the names in a Vary header */

ngx_int_t ngx_http_aggregate_merge_vary(
    ngx_http_aggregate_merge_headers_t *headers, ngx_str_t *value);

/* sets Vary and Cache-Control of the answer */

ngx_int_t ngx_http_aggregate_merge_send(
    ngx_http_aggregate_merge_headers_t *headers, ngx_uint_t no_store);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_MERGE_HEADERS_H_INCLUDED_ */
