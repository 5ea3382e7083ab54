
/*
 * A detached request has no client that waits for it.  It has its own
 * connection, whose other end is not read; a background subrequest would delay
 * the next request on the client's connection until the backend responds.
 *
 * The connection is one half of a socket pair, so that everything that nginx
 * does with a client's socket works.  The request starts at the point that its
 * model has reached: the client has passed the access rules, and their results
 * are in the variables, which are copied.
 */


#ifndef _NGX_HTTP_AGGREGATE_DETACHED_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_DETACHED_H_INCLUDED_


#include "ngx_http_aggregate_header_list.h"


#pragma GCC visibility push(hidden)


/*
 * Creates a GET request like r, as far as handlers can see, without the
 * headers of a connection, conditions, ranges and codings.  "action" is for log
 * lines, such as "refreshing a cached response".  Everything is copied, so r
 * may end.  The caller sets write_event_handler and the phase to start with.
 * NULL: it could not be created.
 */
ngx_http_request_t *ngx_http_aggregate_detached_create(ngx_http_request_t *r,
    const char *action);

/*
 * During configuration: sets a function that is called for each detached
 * request, with the request that it was created for; NULL: there is none.
 */
typedef void (*ngx_http_aggregate_detached_pt)(ngx_http_request_t *fr,
    ngx_http_request_t *r);
void ngx_http_aggregate_detached_observe(
    ngx_http_aggregate_detached_pt handler);

/* runs its write_event_handler after the current event */
void ngx_http_aggregate_detached_start(ngx_http_request_t *fr);

/* closes a request that has not started */
void ngx_http_aggregate_detached_close(ngx_http_request_t *fr);

/* the number of detached requests in this worker */
ngx_uint_t ngx_http_aggregate_detached_running(void);

/* a copy of a string, with a terminating zero, from the pool */
ngx_int_t ngx_http_aggregate_detached_copy(ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t *src);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_DETACHED_H_INCLUDED_ */
