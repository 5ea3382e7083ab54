
/*
 * A 304 that names another representation than the stored one cannot update
 * the latter (RFC 9111, 4.3.4), and the client needs the new one.  So the 304
 * is dropped, and when its handler is done, the request runs again from the
 * lookup on, without conditions.
 *
 * The request outlives its handler as one with buffered output does.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_owner.h"
#include "ngx_http_aggregate_header_list.h"


/* as NGX_HTTP_IMAGE_BUFFERED, whose filter does not see this response */
#define NGX_HTTP_AGGREGATE_CACHE_BUFFERED  0x08


static ngx_uint_t ngx_http_aggregate_cache_weakly_equal(
    const ngx_str_t *one, const ngx_str_t *two);
static void ngx_http_aggregate_cache_refetch_handler(ngx_event_t *ev);


/* does the 304 validate the entry at hand */

ngx_uint_t
ngx_http_aggregate_cache_validates(ngx_http_request_t *r,
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

    p = ctx->entry.lines.data;

    while (agg_cache_entry_line(&ctx->entry, &p, &name, &text) == 1) {

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
                              ngx_http_aggregate_cache_origin_headers(r, ctx));

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_header_is(h, "ETag")) {

            /* the stronger validator decides */

            return ngx_http_aggregate_cache_weakly_equal(&h->value, &etag);
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


/* two strong ones, or at least one weak one, of the same text */

static ngx_uint_t
ngx_http_aggregate_cache_weakly_equal(const ngx_str_t *one,
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
 * NGX_OK: the header is dropped, and the request will run again; NGX_DECLINED:
 * the owner of this subrequest may not wait for it
 */

ngx_int_t
ngx_http_aggregate_cache_refetch(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ngx_http_aggregate_owner_waits(r)) {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "304 does not validate the stored response to \"%V\", "
                  "which is fetched again", &r->uri);

    ctx->refetch = 1;

    r->header_sent = 1;
    r->header_only = 1;
    r->buffered |= NGX_HTTP_AGGREGATE_CACHE_BUFFERED;

    ctx->restart.handler = ngx_http_aggregate_cache_refetch_handler;
    ctx->restart.data = ctx;
    ctx->restart.log = r->connection->log;

    ngx_post_event((&ctx->restart), &ngx_posted_events);

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_refetch_handler(ngx_event_t *ev)
{
    ngx_connection_t                *c;
    ngx_http_request_t              *r;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    if (ctx->ended) {

        /* the request is terminated already */

        return;
    }

    ngx_http_set_log_request(c->log, r);

    ctx->refetch = 0;

    r->buffered &= ~NGX_HTTP_AGGREGATE_CACHE_BUFFERED;

    if (r == r->main && c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    r->header_sent = 0;
    r->header_only = 0;

    ngx_http_aggregate_cache_restore(r, ctx);

    ngx_http_clean_header(r);

    if ((r->upstream && r->upstream != ctx->upstream && r->upstream->cleanup)
        || ngx_list_init(&r->headers_out.headers, r->pool, 20,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    ctx->unconditional = 1;
    ctx->conditional = 0;
    ctx->headed = 0;
    ctx->state = ngx_http_aggregate_cache_origin;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    r->phase_handler = ngx_http_aggregate_cache_phase;

    ngx_http_core_run_phases(r);

    ngx_http_run_posted_requests(c);
}


void
ngx_http_aggregate_cache_refetch_cancel(ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->restart.posted) {
        ngx_delete_posted_event((&ctx->restart));
    }
}
