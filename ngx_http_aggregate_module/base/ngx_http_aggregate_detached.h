
/*
 * A detached request is one that no client waits for.  It has a connection of
 * its own whose other end nobody reads: a background subrequest would keep the
 * client's connection from its next request until the backend answers.
 *
 * The connection is a real one, one half of a socket pair, so that all that
 * nginx does with a client's socket works on it.  The request starts where
 * the model stands: the client has passed the access rules already, and what
 * they set is in the variables, which are copied.
 */


#ifndef _NGX_HTTP_AGGREGATE_DETACHED_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_DETACHED_H_INCLUDED_


#include "ngx_http_aggregate_header_list.h"


#pragma GCC visibility push(hidden)


/*
 * A GET as r is, as far as a handler sees it, without the headers that belong
 * to a connection, and without conditions, ranges and codings; action is for
 * the log, such as "refreshing a cached response".  All is copied: r may end.
 * The caller sets its write_event_handler, and where it enters the phases.
 * NULL: it could not be made.
 */
ngx_http_request_t *ngx_http_aggregate_detached_create(ngx_http_request_t *r,
    const char *action);

/*
 * At configuration time: who is told of each that is made, and of the
 * request that it is made for; NULL: nobody.
 */
typedef void (*ngx_http_aggregate_detached_pt)(ngx_http_request_t *fr,
    ngx_http_request_t *r);
void ngx_http_aggregate_detached_observe(
    ngx_http_aggregate_detached_pt handler);

/* runs its write_event_handler once the current event is done with */
void ngx_http_aggregate_detached_start(ngx_http_request_t *fr);

/* one that has not started */
void ngx_http_aggregate_detached_close(ngx_http_request_t *fr);

/* how many this worker has */
ngx_uint_t ngx_http_aggregate_detached_running(void);

/* a string with a zero behind it, in the memory of pool */
ngx_int_t ngx_http_aggregate_detached_copy(ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t *src);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_DETACHED_H_INCLUDED_ */
