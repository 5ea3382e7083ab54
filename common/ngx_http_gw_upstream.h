
/* how a request to an upstream has ended */


#ifndef _NGX_HTTP_GW_UPSTREAM_H_INCLUDED_
#define _NGX_HTTP_GW_UPSTREAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


/*
 * Whether the upstream broke its response after the header: the body stopped
 * before its end, came too late, or had an invalid chunk or frame.  rc is the
 * one with which nginx finalizes the upstream.
 */

static ngx_inline ngx_uint_t
ngx_http_gw_upstream_is_broken(ngx_http_request_t *r, ngx_http_upstream_t *u,
    ngx_int_t rc)
{
    if (rc == NGX_OK
        || u->state == NULL
        || u->state->peer == NULL
        || u->state->header_time == (ngx_msec_t) -1)
    {
        return 0;
    }

    if (rc == NGX_HTTP_BAD_GATEWAY || rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        return u->state->status != (ngx_uint_t) rc;
    }

    /* the client's connection is the reason of other errors */

    return rc == NGX_ERROR
           && !r->connection->error
           && !r->connection->timedout
           && !(u->buffering && u->pipe && u->pipe->downstream_error);
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_GW_UPSTREAM_H_INCLUDED_ */
