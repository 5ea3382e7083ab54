
/*
 * The owner of a subrequest, which waits for it.  Handlers of other modules
 * take its first end for the last one.  The handler of the subrequest engine,
 * which is set after the configuration is read, continues to wait while
 * something is buffered, so that such a subrequest can run again.
 */


#ifndef _NGX_HTTP_AGGREGATE_OWNER_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_OWNER_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


extern ngx_http_post_subrequest_pt  ngx_http_aggregate_owner_handler;

/*
 * The time at which the owner of a request, or of one of its parents, gives up,
 * like ngx_current_msec. 0: there is no owner, or no deadline.
 */
extern ngx_uint_t  (*ngx_http_aggregate_owner_deadline)(
    ngx_http_request_t *r, ngx_msec_t *deadline);


/*
 * Set by the cache; called when the client has left and nobody waits for the
 * subrequest.  Returns not 0 if the response is to be stored, so that the
 * subrequest continues without its owner.  NULL: there is no cache.
 */

extern ngx_uint_t  (*ngx_http_aggregate_owner_gone)(ngx_http_request_t *sr);


/* whether r->buffered may postpone the end of the request */

static ngx_inline ngx_uint_t
ngx_http_aggregate_owner_waits(ngx_http_request_t *r)
{
    return r == r->main || r->post_subrequest == NULL
           || r->post_subrequest->handler == ngx_http_aggregate_owner_handler;
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_OWNER_H_INCLUDED_ */
