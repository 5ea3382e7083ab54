
/*
 * A client may close its connection while its response is fetched.  Other
 * requests wait for the response, or will ask for it next, so the fetch
 * continues: the response is stored, and its output is discarded.  The fetch
 * ends early if the response turns out not to be storable.
 *
 * nginx's content handlers detect such a client in the read event handler of
 * the request, so this handler replaces it, and calls the original one where
 * the fetch shall end.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_held.h"


static ngx_int_t ngx_http_aggregate_cache_content_handler(
    ngx_http_request_t *r);
static void ngx_http_aggregate_cache_read_event(ngx_http_request_t *r);
static void ngx_http_aggregate_cache_exit_event(ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_cache_client_aborted(
    ngx_http_request_t *r);
static void ngx_http_aggregate_cache_abort(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_continues_fetch(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_discard_output(ngx_http_request_t *r);


static ngx_uint_t  ngx_http_aggregate_cache_aborted;


/* called before the content handler of a fill */

void
ngx_http_aggregate_cache_watch_client(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (r != r->main || r->content_handler == NULL || ctx->refresh
        || !ctx->lock.owner
        || r->content_handler == ngx_http_aggregate_cache_content_handler)
    {
        return;
    }

    ctx->client.content_handler = r->content_handler;
    r->content_handler = ngx_http_aggregate_cache_content_handler;
}


static ngx_int_t
ngx_http_aggregate_cache_content_handler(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx == NULL || ctx->client.content_handler == NULL) {

        /* a clone of the request, as the slice module creates it */

        ctx = r->parent ? ngx_http_aggregate_cache_get_ctx(r->parent) : NULL;

        if (ctx && ctx->client.content_handler) {
            return ctx->client.content_handler(r);
        }

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        return clcf->handler ? clcf->handler(r) : NGX_HTTP_NOT_FOUND;
    }

    if (r->content_handler == ngx_http_aggregate_cache_content_handler) {
        r->content_handler = ctx->client.content_handler;
    }

    rc = ctx->client.content_handler(r);

    if (rc == NGX_DONE && (ctx->fill.active || ctx->store.capturing)
        && r->read_event_handler != ngx_http_block_reading
        && r->read_event_handler != ngx_http_aggregate_cache_read_event)
    {
        ctx->client.read_event_handler = r->read_event_handler;
        r->read_event_handler = ngx_http_aggregate_cache_read_event;
    }

    return rc;
}


static void
ngx_http_aggregate_cache_read_event(ngx_http_request_t *r)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    if (!ngx_http_aggregate_cache_client_aborted(r)) {
        return;
    }

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx == NULL) {
        return;
    }

    if (!ngx_http_aggregate_cache_continues_fetch(r, ctx)) {
        r->read_event_handler = ctx->client.read_event_handler;
        r->read_event_handler(r);
        return;
    }

    ngx_http_aggregate_cache_abort(r, ctx);

    r->keepalive = 0;
    r->read_event_handler = ngx_http_aggregate_cache_exit_event;

    /* after an error, nginx would end the request with its first subrequest */

    r->connection->error = 0;

    /* an exiting worker does not wait for such a fetch */

    r->connection->idle = 1;

    ngx_http_aggregate_cache_discard_output(r);
}


/* the client of an aggregate is gone: 1 if this part of it is still fetched */

ngx_uint_t
ngx_http_aggregate_cache_part_aborted(ngx_http_request_t *sr)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_aggregate_cache_get_ctx(sr);

    if (ctx == NULL || !ngx_http_aggregate_cache_continues_fetch(sr, ctx)) {
        return 0;
    }

    ngx_http_aggregate_cache_abort(sr, ctx);

    return 1;
}


static void
ngx_http_aggregate_cache_abort(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "client closed connection, the response to \"%V\" is still "
                  "fetched for the cache", &r->uri);

    ngx_http_aggregate_cache_aborted++;

    ctx->client.aborted = 1;

    u = r->upstream;

    if (u != NULL && u != ctx->fill.upstream && u->cleanup != NULL
        && !r->header_sent)
    {
        /* before the header is sent, this handler only checks the client */

        r->write_event_handler = ngx_http_request_empty_handler;
    }
}


static void
ngx_http_aggregate_cache_exit_event(ngx_http_request_t *r)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx == NULL || !r->connection->close) {
        r->connection->error = 0;
        return;
    }

    r->read_event_handler = ctx->client.read_event_handler;
    r->read_event_handler(r);
}


static ngx_uint_t
ngx_http_aggregate_cache_client_aborted(ngx_http_request_t *r)
{
    int                n;
    char               buf[1];
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = r->connection;
    rev = c->read;

    if (c->error) {
        return 1;
    }

#if (NGX_HTTP_V2)

    if (r->stream) {
        return 0;
    }

#endif

#if (NGX_HTTP_V3)

    if (c->quic) {
        return rev->error;
    }

#endif

#if (NGX_HAVE_EPOLLRDHUP)

    if ((ngx_event_flags & NGX_USE_EPOLL_EVENT) && ngx_use_epoll_rdhup
        && !rev->pending_eof)
    {
        return 0;
    }

#endif

    n = recv(c->fd, buf, 1, MSG_PEEK);

    if (n == 0) {
        rev->eof = 1;
        return 1;
    }

    if (n == -1 && ngx_socket_errno != NGX_EAGAIN) {
        rev->eof = 1;
        return 1;
    }

    /* the client has sent its next request */

    if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && rev->active) {
        (void) ngx_del_event(rev, NGX_READ_EVENT, 0);
    }

    return 0;
}


/* may the response still be stored, and is another fetch allowed */

static ngx_uint_t
ngx_http_aggregate_cache_continues_fetch(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ngx_exiting
        || (!(ctx->fill.active && ctx->lock.owner) && !ctx->store.capturing))
    {
        return 0;
    }

    /* a filter holds buffers that it could not free any more */

    if (r->buffered || r->postponed) {
        return 0;
    }

    return ngx_http_aggregate_cache_aborted
           < NGX_HTTP_AGGREGATE_CACHE_REFRESHES;
}


/* the content handler never waits for the client from here on */

static void
ngx_http_aggregate_cache_discard_output(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    (void) ngx_http_aggregate_held_discard(r->out);

    r->out = NULL;
    c->buffered = 0;

    if (!r->header_sent) {
        return;
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->write->ready = 1;
    c->write->delayed = 0;

    ngx_post_event(c->write, &ngx_posted_events);
}


/* the request is freed */

void
ngx_http_aggregate_cache_client_done(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ctx->client.aborted = 0;
    ngx_http_aggregate_cache_aborted--;
}
