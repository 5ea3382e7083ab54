
/*
 * The response to a conditional request: a 304 revalidates the stored entry.
 *
 * A 304 that names another representation cannot update the stored one (RFC
 * 9111, 4.3.4), and the client needs the new one.  So the 304 is dropped, and
 * when its handler is done, the request is fetched again, without conditions.
 * Until then it is kept as a request with buffered output is.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_header_list.h"


/* as NGX_HTTP_IMAGE_BUFFERED, whose filter does not see this response */
#define NGX_HTTP_AGGREGATE_CACHE_REFETCHED  0x08


static ngx_uint_t ngx_http_aggregate_cache_is_same_etag(const ngx_str_t *one,
    const ngx_str_t *two);
static void ngx_http_aggregate_cache_refetch_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_aggregate_cache_refetch_reset(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);


/* does the 304 validate the stored entry */

ngx_uint_t
ngx_http_aggregate_cache_is_validated(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t                          etag, modified, value;
    ngx_uint_t                         equal;
    const u_char                      *p;
    ngx_table_elt_t                   *h;
    agg_cache_str_t                    name, text;
    ngx_http_aggregate_header_iter_t   it;

    ngx_str_null(&etag);
    ngx_str_null(&modified);

    p = ctx->lookup.entry.lines.data;

    while (agg_cache_entry_line(&ctx->lookup.entry, &p, &name, &text) == 1) {

        value.data = (u_char *) text.data;
        value.len = text.len;

        if (name.len == 4
            && ngx_strncasecmp((u_char *) name.data, (u_char *) "etag", 4)
               == 0)
        {
            etag = value;

        } else if (name.len == 13
                   && ngx_strncasecmp((u_char *) name.data,
                                      (u_char *) "last-modified", 13)
                      == 0)
        {
            modified = value;
        }
    }

    equal = 1;

    ngx_http_aggregate_header_iter(&it,
                            ngx_http_aggregate_cache_upstream_headers(r, ctx));

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_header_is(h, "ETag")) {

            /* the stronger validator decides */

            return ngx_http_aggregate_cache_is_same_etag(&h->value, &etag);
        }

        if (ngx_http_aggregate_header_is(h, "Last-Modified")
            && modified.len
            && (h->value.len != modified.len
                || ngx_strncmp(h->value.data, modified.data, modified.len)
                   != 0))
        {
            equal = 0;
        }
    }

    return equal;
}


/* the weak comparison of RFC 9110, 8.8.3.2 */

static ngx_uint_t
ngx_http_aggregate_cache_is_same_etag(const ngx_str_t *one,
    const ngx_str_t *two)
{
    ngx_str_t  a, b;

    a = *one;
    b = *two;

    if (a.len > 2 && a.data[0] == 'W' && a.data[1] == '/') {
        a.data += 2;
        a.len -= 2;
    }

    if (b.len > 2 && b.data[0] == 'W' && b.data[1] == '/') {
        b.data += 2;
        b.len -= 2;
    }

    if (a.len != b.len) {
        return 0;
    }

    return a.len == 0 || ngx_strncmp(a.data, b.data, a.len) == 0;
}


/*
 * The freshness of the entry becomes that of the 304, or of the stored header
 * where the 304 has none.  NGX_OK: the entry is stored again; NGX_DECLINED: it
 * may not be stored any more.
 */

ngx_int_t
ngx_http_aggregate_cache_revalidate(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t           rc;
    ngx_buf_t          *b;
    ngx_chain_t        *cl;
    agg_cache_entry_t  *entry;

    entry = &ctx->lookup.entry;

    rc = ngx_http_aggregate_cache_check_revalidated(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_aggregate_cache_serialize_headers(r, ctx, entry);

    if (rc != NGX_OK) {
        ctx->reason = AGG_CACHE_NO_HEADER;
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->pos = (u_char *) entry->body.data;
    b->last = b->pos + entry->body.len;

    cl->buf = b;
    cl->next = NULL;

    ctx->store.body = cl;
    ctx->store.size = entry->body.len;

    ngx_http_aggregate_cache_store(r, ctx);

    /* the response is served as it is stored now */

    entry->lines.data = ctx->store.headers.data;
    entry->lines.len = ctx->store.headers.len;
    entry->freshness = ctx->store.freshness;

    return NGX_OK;
}


/* the header is dropped, and the request will be fetched again */

void
ngx_http_aggregate_cache_refetch(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "304 does not validate the stored response to \"%V\", "
                  "which is fetched again", &r->uri);

    ctx->refetch.pending = 1;
    ctx->refetch.background = r->background;
    ctx->refetch.timer_set = r->connection->write->timer_set;

    r->background = 0;
    r->header_sent = 1;
    r->header_only = 1;
    r->buffered |= NGX_HTTP_AGGREGATE_CACHE_REFETCHED;

    ctx->refetch.event.handler = ngx_http_aggregate_cache_refetch_handler;
    ctx->refetch.event.data = ctx;
    ctx->refetch.event.log = r->connection->log;

    ngx_post_event((&ctx->refetch.event), &ngx_posted_events);
}


static void
ngx_http_aggregate_cache_refetch_handler(ngx_event_t *ev)
{
    ngx_event_t                     *wev;
    ngx_connection_t                *c;
    ngx_http_request_t              *r;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;
    wev = c->write;

    if (ctx->finalized) {

        /* the request is terminated already */

        return;
    }

    ngx_http_set_log_request(c->log, r);

    /* the timer of a request that waits for its client */

    if (wev->timer_set && !wev->delayed && !ctx->refetch.timer_set) {
        ngx_del_timer(wev);
    }

    if (ngx_http_aggregate_cache_refetch_reset(r, ctx) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    r->phase_handler = ngx_http_aggregate_cache_phase;

    ngx_http_core_run_phases(r);

    ngx_http_run_posted_requests(c);
}


/* the request becomes what it was before it was fetched */

static ngx_int_t
ngx_http_aggregate_cache_refetch_reset(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ctx->refetch.pending = 0;
    ctx->refetch.unconditional = 1;
    ctx->refetch.restarted = 1;
    ctx->fill.conditional = 0;
    ctx->serve.header_seen = 0;

    r->buffered &= ~NGX_HTTP_AGGREGATE_CACHE_REFETCHED;
    r->background = ctx->refetch.background;
    r->header_sent = 0;
    r->header_only = 0;
    r->err_status = 0;

    ngx_http_aggregate_cache_owner_restore(r, ctx);
    ngx_http_aggregate_cache_restore_request(r, ctx);

    if (ngx_http_aggregate_cache_clear_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->upstream == ctx->fill.upstream) {

        /*
         * a handler without an upstream begins anew only after what an
         * internal redirect does
         */

        ngx_memzero(r->ctx, sizeof(void *) * ngx_http_max_module);
        ngx_http_set_ctx(r, ctx, ngx_http_aggregate_cache_module);

        return NGX_OK;
    }

    return r->upstream->cleanup ? NGX_ERROR : NGX_OK;
}


void
ngx_http_aggregate_cache_refetch_cancel(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_delete_posted_event((&ctx->refetch.event));
}
