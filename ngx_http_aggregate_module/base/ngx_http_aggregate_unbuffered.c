
/* see ngx_http_aggregate_unbuffered.h */

#include "ngx_http_aggregate_unbuffered.h"


/* a large body is read in pieces of this size */

#define NGX_HTTP_AGGREGATE_READ_SIZE  32768


static void ngx_http_aggregate_grow_buffer(ngx_http_request_t *r,
    ngx_http_upstream_t *u);


void
ngx_http_aggregate_unbuffered(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    /*
     * Without the cleanup it has ended, and an error page is sent.  That the
     * header was sent is set here if a filter has held it, and nginx reads on.
     */

    if (u->cacheable || u->store || u->cleanup == NULL || u->header_sent
        || (r == r->main && u->conf->limit_rate))
    {
        return;
    }

    u->buffering = 0;

    ngx_http_aggregate_grow_buffer(r, u);
}


/*
 * nginx reads the body into the buffer of the header.  What came with the
 * header moves along.
 */

static void
ngx_http_aggregate_grow_buffer(ngx_http_request_t *r, ngx_http_upstream_t *u)
{
    off_t       length;
    u_char     *p;
    size_t      n, size;
    ngx_buf_t  *b;

    b = &u->buffer;
    size = b->end - b->start;

    if (size == 0 || size >= NGX_HTTP_AGGREGATE_READ_SIZE) {
        return;
    }

    length = u->headers_in.content_length_n;

    if (length == -1 && b->last == b->end) {

        /* there is more than this */

        length = NGX_HTTP_AGGREGATE_READ_SIZE;
    }

    if (length < (off_t) (2 * size)) {
        return;
    }

    size = ngx_min(length, NGX_HTTP_AGGREGATE_READ_SIZE);

    p = ngx_palloc(r->pool, size);
    if (p == NULL) {
        return;
    }

    n = b->last - b->pos;
    ngx_memcpy(p, b->pos, n);

    b->start = p;
    b->pos = p;
    b->last = p + n;
    b->end = p + size;
}
