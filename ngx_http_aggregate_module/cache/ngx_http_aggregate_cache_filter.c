
/*
 * The filters, which run before all others: a response is checked and stored,
 * or replaced by the stored entry if that is revalidated or if the backend has
 * failed.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_held.h"


static ngx_int_t ngx_http_aggregate_cache_header_filter(ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_cache_take_header(
    ngx_http_request_t *r);
static void ngx_http_aggregate_cache_header_seen(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_unfilled_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_aborted_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_fill_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_not_modified(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_add_cookies(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_list_t *headers);
static void ngx_http_aggregate_cache_preconditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_allow_ranges(ngx_http_request_t *r);
static void ngx_http_aggregate_cache_precedence(ngx_http_request_t *r);
static void ngx_http_aggregate_cache_hit_for_miss_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_replace(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_cache_take_body(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_cache_send_replaced(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_int_t
ngx_http_aggregate_cache_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_cache_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_cache_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_header_filter(ngx_http_request_t *r)
{
    if (r != r->main || ngx_http_aggregate_cache_has_ctx(r)) {
        return ngx_http_aggregate_cache_take_header(r);
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_aggregate_cache_take_header(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    if (r != r->main) {
        ngx_http_aggregate_cache_fill_subrequest(r);
    }

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx == NULL) {
        return ngx_http_next_header_filter(r);
    }

    if (ngx_http_get_module_ctx(r, ngx_http_aggregate_cache_module) == NULL) {

        /* an internal redirect has led to another location */

        ctx->fill.redirected = 1;

        ngx_http_set_ctx(r, ctx, ngx_http_aggregate_cache_module);
    }

    ngx_http_aggregate_cache_header_seen(r, ctx);

    if (ctx->fill.active) {
        rc = ngx_http_aggregate_cache_fill_header(r, ctx);

        if (rc != NGX_OK || ctx->refetch.pending) {
            return rc;
        }

        ngx_http_aggregate_cache_owner_restore(r, ctx);
        ngx_http_aggregate_cache_preconditions(r, ctx);

    } else {
        ngx_http_aggregate_cache_unfilled_header(r, ctx);
    }

    if (ctx->refresh) {

        /* there is no client */

        r->header_sent = 1;

        return NGX_OK;
    }

    if (ctx->client.aborted) {
        return ngx_http_aggregate_cache_aborted_header(r, ctx);
    }

    if (ngx_http_aggregate_cache_add_status_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_next_header_filter(r);

    if (ctx->store.capturing && r->postponed
        && ngx_http_aggregate_cache_fill_note_subrequests(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rc == NGX_OK && ctx->store.capturing && r->header_only
        && r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        /* the client has got its 304, but the cache still needs the body */

        r->header_only = 0;
        r->read_event_handler = ngx_http_block_reading;
        ctx->serve.client_304 = 1;
    }

    return rc;
}


static void
ngx_http_aggregate_cache_header_seen(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->serve.header_seen) {

        /*
         * a second header replaces the first one, and neither response is
         * stored
         */

        if (ctx->store.capturing) {
            ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_INCOMPLETE,
                                  NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR);
        }

        ctx->serve.replace = 0;
    }

    ctx->serve.header_seen = 1;

    if (ctx->invalidate
        && r->headers_out.status >= NGX_HTTP_OK
        && r->headers_out.status < NGX_HTTP_BAD_REQUEST)
    {
        ngx_http_aggregate_cache_invalidate(ctx);
    }
}


/* the header of a response that this request will not store */

static void
ngx_http_aggregate_cache_unfilled_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->pass) {
        ngx_http_aggregate_cache_hit_for_miss_header(r, ctx);

    } else if (ctx->serve.hit) {
        ngx_http_aggregate_cache_precedence(r);

    } else if (r->method == NGX_HTTP_HEAD
               && r->headers_out.status == NGX_HTTP_OK
               && !ngx_http_aggregate_breaker_rejected(r))
    {
        ngx_http_aggregate_cache_precedence(r);
        r->disable_not_modified = 0;
    }
}


/* without a client, a response that is not stored is of no use */

static ngx_int_t
ngx_http_aggregate_cache_aborted_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (r == r->main) {
        r->header_sent = 1;
        r->err_status = NGX_HTTP_CLIENT_CLOSED_REQUEST;

        return ctx->store.capturing ? NGX_OK : NGX_ERROR;
    }

    /* the next filters prepare the reading of the body of a part */

    return ctx->store.capturing ? ngx_http_next_header_filter(r) : NGX_ERROR;
}


/* the header of a response that may be stored */

static ngx_int_t
ngx_http_aggregate_cache_fill_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_uint_t  status, rejected;

    ctx->fill.active = 0;

    status = r->headers_out.status;

    ctx->backend_status = status;

    if (status == NGX_HTTP_NOT_MODIFIED && ctx->fill.conditional
        && !ctx->fill.redirected)
    {
        return ngx_http_aggregate_cache_not_modified(r, ctx);
    }

    rejected = ngx_http_aggregate_breaker_rejected(r);

    if (rejected || ngx_http_aggregate_cache_upstream_failed(r, ctx, status)) {

        ngx_http_aggregate_cache_lock_release(ctx,
                                  NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR);

        if (ngx_http_aggregate_cache_may_serve_stale(ctx)) {

            ctx->reason = rejected ? AGG_CACHE_NO_REJECTED
                                    : AGG_CACHE_NO_ERROR;

            if (ctx->refresh) {
                return NGX_OK;
            }

            ctx->status = NGX_HTTP_AGGREGATE_CACHE_STALE;
            return ngx_http_aggregate_cache_replace(r, ctx);
        }
    }

    if (ctx->fill.redirected || rejected) {
        ngx_http_aggregate_cache_fill_refuse(ctx,
                    rejected ? AGG_CACHE_NO_REJECTED : AGG_CACHE_NO_REDIRECTED,
                    ngx_http_aggregate_cache_hit_for_miss(r, ctx, status));
        return NGX_OK;
    }

    if (r->method != NGX_HTTP_GET) {
        ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_METHOD, 0);
        return NGX_OK;
    }

    if (ngx_http_aggregate_cache_upstream_is_local_error(r, ctx)) {
        ctx->reason = AGG_CACHE_NO_ERROR;
        ngx_http_aggregate_cache_fill_refused(r, ctx);
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_check_storable(r, ctx);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        return ngx_http_aggregate_cache_fill_start(r, ctx);
    }

    ngx_http_aggregate_cache_fill_refused(r, ctx);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_not_modified(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_list_t  headers;

    if (!ngx_http_aggregate_cache_is_validated(r, ctx)) {
        ngx_http_aggregate_cache_refetch(r, ctx);
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_revalidate(r, ctx);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_http_aggregate_cache_fill_refused(r, ctx);
    }

    ctx->status = NGX_HTTP_AGGREGATE_CACHE_REVALIDATED;

    headers = r->headers_out.headers;

    rc = ngx_http_aggregate_cache_replace(r, ctx);

    if (rc != NGX_OK || ctx->refresh) {
        return rc;
    }

    return ngx_http_aggregate_cache_add_cookies(r, ctx, &headers);
}


/* cookies are not stored, so this client is the only one to get them */

static ngx_int_t
ngx_http_aggregate_cache_add_cookies(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_list_t *headers)
{
    ngx_uint_t                         i;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_header_iter(&it, headers);

    /* those that were set before the response are there already */

    for (i = 0; i < ctx->others; i++) {
        (void) ngx_http_aggregate_header_next(&it);
    }

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash && ngx_http_aggregate_header_is(h, "Set-Cookie")
            && ngx_http_aggregate_header_push(&r->headers_out.headers,
                                              &h->key, &h->value)
               == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * The conditions and the range of the client were not sent to the backend, so
 * nginx's filters apply them to this response, even if it is not stored.
 */

static void
ngx_http_aggregate_cache_preconditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->refresh) {
        return;
    }

    /* the list of headers is still needed for the key of a variant */

    if (ctx->fill.stripped) {
        r->headers_in.if_modified_since = ctx->fill.if_modified_since;
        r->headers_in.if_unmodified_since = ctx->fill.if_unmodified_since;
        r->headers_in.if_match = ctx->fill.if_match;
        r->headers_in.if_none_match = ctx->fill.if_none_match;
    }

    ngx_http_aggregate_cache_precedence(r);

    /* the filter of "slice" makes a 200 of a 206 */

    if (ctx->fill.redirected || ngx_http_aggregate_breaker_rejected(r)
        || (r->headers_out.status != NGX_HTTP_OK
            && r->headers_out.status != NGX_HTTP_PARTIAL_CONTENT))
    {
        return;
    }

    r->disable_not_modified = 0;

    if (r->headers_out.status == NGX_HTTP_OK && !ctx->serve.replace) {
        ngx_http_aggregate_cache_allow_ranges(r);
    }
}


static void
ngx_http_aggregate_cache_allow_ranges(ngx_http_request_t *r)
{
    ngx_uint_t  allowed;

    allowed = r->allow_ranges;

    ngx_http_clear_accept_ranges(r);

    r->allow_ranges = 1;

    if (!allowed) {

        /* the range filter needs a single buffer for several ranges */

        r->single_range = 1;
    }
}


/* RFC 9110, 13.2.2: conditions with an ETag take precedence */

static void
ngx_http_aggregate_cache_precedence(ngx_http_request_t *r)
{
    if (r->headers_in.if_none_match) {
        r->headers_in.if_modified_since = NULL;
    }

    if (r->headers_in.if_match) {
        r->headers_in.if_unmodified_since = NULL;
    }
}


/*
 * The backend has got the range of the client, as the last response was not
 * stored.  If it has sent the whole response, nginx's filters apply the range.
 * If the response is too large, the hit-for-miss mark is renewed.
 */

static void
ngx_http_aggregate_cache_hit_for_miss_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    off_t             size;
    u_char           *p, *last;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    ctx->pass = 0;
    ctx->backend_status = r->headers_out.status;

    if (r->headers_out.status == NGX_HTTP_OK
        && !ngx_http_aggregate_breaker_rejected(r))
    {
        ngx_http_aggregate_cache_precedence(r);
        r->disable_not_modified = 0;
        ngx_http_aggregate_cache_allow_ranges(r);
    }

    size = r->headers_out.content_length_n;

    part = &ngx_http_aggregate_cache_upstream_headers(r, ctx)->part;

    for ( /* void */ ; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (header[i].key.len != 13
                || ngx_strncasecmp(header[i].key.data,
                                   (u_char *) "content-range", 13)
                   != 0)
            {
                continue;
            }

            last = header[i].value.data + header[i].value.len;
            p = ngx_strlchr(header[i].value.data, last, '/');

            if (p) {
                size = ngx_max(size, ngx_atoof(p + 1, last - p - 1));
            }
        }
    }

    if (size > (off_t) ctx->zone->max_object) {
        ngx_http_aggregate_cache_lock_release(ctx,
                                        NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS);
    }
}


/* the stored entry replaces the response of the handler */

static ngx_int_t
ngx_http_aggregate_cache_replace(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ctx->serve.replace = 1;

    if (ctx->refresh) {
        return NGX_OK;
    }

    /* the access log shows the status that the client gets */

    r->err_status = 0;
    r->disable_not_modified = 0;

    ngx_http_aggregate_cache_restore_request(r, ctx);

    if (ctx->fill.redirected) {

        /* the status was another location's */

        ctx->backend_status = 0;

        ngx_http_aggregate_cache_restore_location(r, ctx);
    }

    return ngx_http_aggregate_cache_set_headers(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_cache_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_cache_module);

    if (ctx == NULL || in == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    return ngx_http_aggregate_cache_take_body(r, ctx, in);
}


static ngx_int_t
ngx_http_aggregate_cache_take_body(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_int_t  rc;

    if (ctx->refetch.pending) {
        (void) ngx_http_aggregate_held_discard(in);
        return NGX_OK;
    }

    if (ctx->serve.sending) {

        /* a filter behind this one sends the end by itself */

        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->store.capturing) {
        ngx_http_aggregate_cache_fill_body(r, ctx, in);
    }

    if (ctx->refresh || ctx->serve.replace || ctx->serve.client_304
        || ctx->client.aborted)
    {
        (void) ngx_http_aggregate_held_discard(in);

        if (ctx->client.aborted) {
            return (ctx->store.capturing || ctx->store.stored) ? NGX_OK
                                                               : NGX_ERROR;
        }

        return ctx->serve.replace && !ctx->refresh
               ? ngx_http_aggregate_cache_send_replaced(r, ctx) : NGX_OK;
    }

    rc = ngx_http_next_body_filter(r, in);

    if (ctx->store.capturing && r->postponed
        && ngx_http_aggregate_cache_fill_note_subrequests(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return rc;
}


static ngx_int_t
ngx_http_aggregate_cache_send_replaced(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t    rc;
    ngx_chain_t  out, *in;

    if (r->header_only) {
        return NGX_OK;
    }

    in = NULL;

    if (!ctx->serve.body_sent) {
        ctx->serve.body_sent = 1;

        out.buf = ngx_http_aggregate_cache_body(r, ctx);
        out.next = NULL;

        if (out.buf == NULL) {
            return NGX_ERROR;
        }

        in = &out;
    }

    ctx->serve.sending = 1;

    rc = ngx_http_next_body_filter(r, in);

    ctx->serve.sending = 0;

    return rc;
}
