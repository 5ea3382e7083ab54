
/* Sends responses of content handlers that are in memory. */

#include "ngx_http_aggregate_send.h"


ngx_int_t
ngx_http_aggregate_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_chain_t *out, off_t length)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    r->headers_out.status = status;
    r->headers_out.content_length_n = length;

    ngx_http_aggregate_set_type(r, type);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    for (cl = out; cl->next; cl = cl->next) { /* void */ }

    cl->buf->last_buf = (r == r->main);
    cl->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, out);
}


ngx_int_t
ngx_http_aggregate_send_buf(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_buf_t *b)
{
    ngx_chain_t  out;

    out.buf = b;
    out.next = NULL;

    return ngx_http_aggregate_send(r, status, type, &out, b->last - b->pos);
}


/* "gzip_types" and others are compared with a type without parameters */

void
ngx_http_aggregate_set_type(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char  *p, *last;

    r->headers_out.content_type = *type;
    r->headers_out.content_type_lowcase = NULL;

    last = type->data + type->len;
    p = ngx_strlchr(type->data, last, ';');

    r->headers_out.content_type_len = (p ? p : last) - type->data;
}
