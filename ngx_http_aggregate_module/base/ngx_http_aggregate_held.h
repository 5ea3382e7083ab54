
/*
 * A held response is one that a filter does not pass on as it comes.  The shape
 * holds header and body until the last byte, and gRPC the header until the call
 * has its status.  The cache, the engine and its guard discard a body that has
 * been replaced or collected.
 *
 * Such a filter discards the buffers of each chain, looks in it for the end of
 * the response, and may then send one buffer in place of all of them.
 */


#ifndef _NGX_HTTP_AGGREGATE_HELD_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_HELD_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/* marks the buffers of the chain as consumed; returns how much they were */

static ngx_inline off_t
ngx_http_aggregate_held_discard(ngx_chain_t *in)
{
    off_t       size;
    ngx_buf_t  *b;

    size = 0;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        size += ngx_buf_size(b);

        b->pos = b->last;
        b->file_pos = b->file_last;
    }

    return size;
}


/* whether the buffer has no bytes; lua may mark its end by nothing else */

static ngx_inline ngx_uint_t
ngx_http_aggregate_held_is_empty(ngx_buf_t *b)
{
    return ngx_buf_special(b) || ngx_buf_size(b) == 0;
}


/* whether the buffer is the last one of the response */

static ngx_inline ngx_uint_t
ngx_http_aggregate_held_is_last(ngx_http_request_t *r, ngx_buf_t *b)
{
    return b->last_buf || (r != r->main && b->last_in_chain);
}


/* whether the chain has the end of the response */

static ngx_inline ngx_uint_t
ngx_http_aggregate_held_ends(ngx_http_request_t *r, ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {

        if (ngx_http_aggregate_held_is_last(r, in->buf)) {
            return 1;
        }
    }

    return 0;
}


/*
 * Whether the chain says that the rest of the response will not come: nginx
 * sends a flush when an upstream has ended prematurely.
 */
ngx_uint_t ngx_http_aggregate_held_truncated(ngx_http_request_t *r,
    ngx_chain_t *in);

/*
 * Whether a FastCGI server has closed the connection before the end of its
 * response, which nginx takes for the end
 */

ngx_uint_t ngx_http_aggregate_held_unended(ngx_http_request_t *r);

/*
 * The whole body of the response in one buffer, which may be empty and marks
 * the end.  The bytes are not copied.  NULL: there is no memory.
 */
ngx_buf_t *ngx_http_aggregate_held_buf(ngx_http_request_t *r, u_char *pos,
    u_char *last);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_HELD_H_INCLUDED_ */
