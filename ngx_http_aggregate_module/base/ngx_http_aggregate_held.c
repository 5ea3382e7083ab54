
/*
 * The ends of held responses, and what is sent in their place.
 */

#include "ngx_http_aggregate_held.h"


ngx_uint_t
ngx_http_aggregate_held_truncated(ngx_http_request_t *r, ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {

        if (in->buf->flush && r->upstream && r->upstream->cleanup == NULL) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_aggregate_held_unended(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL || r->cached || u->conf == NULL
        || u->conf->module.len != 7
        || ngx_strncmp(u->conf->module.data, "fastcgi", 7) != 0)
    {
        return 0;
    }

    if (u->buffering) {
        return u->pipe && u->pipe->upstream_eof && !u->pipe->upstream_done;
    }

    /* before a body is read it is 0, too */

    return u->length != 0;
}


ngx_buf_t *
ngx_http_aggregate_held_buf(ngx_http_request_t *r, u_char *pos, u_char *last)
{
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NULL;
    }

    if (pos != last) {
        b->start = pos;
        b->pos = pos;
        b->last = last;
        b->end = last;
        b->memory = 1;

    } else {

        /* a subrequest's buffer without bytes has to be a special one */

        b->sync = (r != r->main);
    }

    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    return b;
}
