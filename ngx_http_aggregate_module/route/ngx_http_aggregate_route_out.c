
/* the output of a status page, as a chain of buffers */

#include "ngx_http_aggregate_route.h"


#define NGX_HTTP_AGGREGATE_ROUTE_CHUNK  8192


static int ngx_http_aggregate_route_more(gw_out_t *out, size_t n);


void
ngx_http_aggregate_route_out(ngx_http_aggregate_route_out_t *out,
    ngx_pool_t *pool)
{
    ngx_memzero(out, sizeof(ngx_http_aggregate_route_out_t));

    out->pool = pool;
    out->out.more = ngx_http_aggregate_route_more;
    out->out.ctx = out;
}


static int
ngx_http_aggregate_route_more(gw_out_t *out, size_t n)
{
    ngx_http_aggregate_route_out_t *ro = out->ctx;

    ngx_chain_t  *cl;

    if (ro->last) {
        ro->last->buf->last = out->last;
    }

    cl = ngx_alloc_chain_link(ro->pool);
    if (cl == NULL) {
        return -1;
    }

    cl->buf = ngx_create_temp_buf(ro->pool,
                                  ngx_max(n, NGX_HTTP_AGGREGATE_ROUTE_CHUNK));
    if (cl->buf == NULL) {
        return -1;
    }

    cl->next = NULL;

    if (ro->last) {
        ro->last->next = cl;

    } else {
        ro->first = cl;
    }

    ro->last = cl;

    out->last = cl->buf->last;
    out->end = cl->buf->end;

    return 0;
}


ngx_int_t
ngx_http_aggregate_route_send(ngx_http_request_t *r,
    ngx_http_aggregate_route_out_t *out, ngx_uint_t status, const char *type)
{
    off_t         size;
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    if (out->out.failed || out->last == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    out->last->buf->last = out->out.last;
    out->last->buf->last_buf = (r == r->main);
    out->last->buf->last_in_chain = 1;

    size = 0;

    for (cl = out->first; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = size;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out->first);
}
