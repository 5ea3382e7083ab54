
/*
 * Whose the status of a try is: the backend's, or nginx's own for want of a
 * response, or the one of a page that "error_page" has led to.
 */

#include "ngx_http_aggregate_fetch_core.h"


/*
 * An error that nginx made, since no valid response header came.  A page that
 * "error_page" has for it changes nothing, unless it has a status of its own.
 */

ngx_uint_t
ngx_http_aggregate_is_local_error(ngx_http_aggregate_try_t *t)
{
    ngx_http_upstream_t  *u;

    u = t->request->upstream;

    if (u == NULL || t->cached) {
        return 0;
    }

    if (!t->no_status
        && (ngx_http_aggregate_has_header(u) || t->status != t->error))
    {
        return 0;
    }

    return t->status == NGX_HTTP_INTERNAL_SERVER_ERROR
           || t->status == NGX_HTTP_BAD_GATEWAY
           || t->status == NGX_HTTP_SERVICE_UNAVAILABLE
           || t->status == NGX_HTTP_GATEWAY_TIME_OUT;
}


/* a valid response header has come, though maybe no further than to a filter */

ngx_uint_t
ngx_http_aggregate_has_header(ngx_http_upstream_t *u)
{
    /* without a peer, the state only separates those of two upstreams */

    return u->state && u->state->peer
           && u->state->header_time != (ngx_msec_t) -1;
}


/* the response is what "error_page" has led to, not nginx's own page */

ngx_uint_t
ngx_http_aggregate_is_error_page(ngx_http_aggregate_try_t *t)
{
    return t->error && t->request->uri_changes != t->uri_changes;
}


/* the status that came from the backend, 0 if none did */

ngx_uint_t
ngx_http_aggregate_sent_status(ngx_http_aggregate_try_t *t)
{
    if (t->no_status
        || (t->status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE
            && t->reason == NGX_HTTP_AGGREGATE_TOO_LARGE)
        || t->reason == NGX_HTTP_AGGREGATE_BREAKER_OPEN
        || t->reason == NGX_HTTP_AGGREGATE_CONNECT
        || t->degraded == NGX_HTTP_AGGREGATE_BREAKER_OPEN
        || ngx_http_aggregate_is_local_error(t))
    {
        return 0;
    }

    return t->status;
}


/* by the backend, whatever a filter has made of it */

ngx_uint_t
ngx_http_aggregate_was_encoded(ngx_http_request_t *sr)
{
    ngx_str_t  name = ngx_string("Content-Encoding");

    return sr->upstream
           && ngx_http_aggregate_header_find(&sr->upstream->headers_in.headers,
                                             &name)
              != NULL;
}
