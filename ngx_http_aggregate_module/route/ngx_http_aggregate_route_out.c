
/* the output of a status page, as a chain of buffers */

#include "ngx_http_aggregate_route.h"
#include "ngx_http_aggregate_send.h"


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
    ngx_str_t     value;
    ngx_chain_t  *cl;

    if (out->out.failed || out->last == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    out->last->buf->last = out->out.last;

    size = 0;

    for (cl = out->first; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    ngx_http_aggregate_memory_watch(r->pool);

    value.data = (u_char *) type;
    value.len = ngx_strlen(type);

    return ngx_http_aggregate_send(r, status, &value, out->first, size);
}
