
/*
 * Who waits for a subrequest.  The handlers of other modules take its first end
 * for the last one.  That of the subrequest engine, which stands here once the
 * configuration is read, goes on waiting while something is buffered, so that
 * such a subrequest may be run again.
 */


#ifndef _NGX_HTTP_AGGREGATE_OWNER_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_OWNER_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


extern ngx_http_post_subrequest_pt  ngx_http_aggregate_owner_handler;

/*
 * The time, in the terms of ngx_current_msec, when the owner of a request,
 * or of one above it, gives it up.  0: there is none, or it has no deadline.
 */
extern ngx_uint_t  (*ngx_http_aggregate_owner_deadline)(
    ngx_http_request_t *r, ngx_msec_t *deadline);


/*
 * The cache's: the client has gone, and nobody waits for the subrequest.  Not
 * zero: its response is to be stored, so it goes on without its owner.  NULL:
 * there is no cache.
 */

extern ngx_uint_t  (*ngx_http_aggregate_owner_gone)(ngx_http_request_t *sr);


/* whether the end of a request may be put off by r->buffered */

static ngx_inline ngx_uint_t
ngx_http_aggregate_owner_waits(ngx_http_request_t *r)
{
    return r == r->main || r->post_subrequest == NULL
           || r->post_subrequest->handler == ngx_http_aggregate_owner_handler;
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_OWNER_H_INCLUDED_ */
