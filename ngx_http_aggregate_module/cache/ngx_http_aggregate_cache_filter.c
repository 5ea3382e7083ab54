
/*
 * On the way out, before any other filter: what comes is judged, kept, or
 * replaced by an entry that is better than an error.
 */


#include "ngx_http_aggregate_cache.h"


static ngx_int_t ngx_http_aggregate_cache_header_filter(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_cache_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_cache_aborted_header(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_filled(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_not_modified(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_is_local_error(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_preconditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_precedence(ngx_http_request_t *r);
static void ngx_http_aggregate_cache_passed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_refused(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_capture(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_replace(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_send_swapped(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_inserted(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_http_postponed_request_t *
    ngx_http_aggregate_cache_new_subrequest(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_subrequest(ngx_http_request_t *sr);
static void ngx_http_aggregate_cache_keep(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_cache_copy(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_buf_t *b);
static ssize_t ngx_http_aggregate_cache_read_file(ngx_file_t *file, u_char *p,
    size_t size, off_t offset);
static ngx_buf_t *ngx_http_aggregate_cache_room(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, size_t size);
static void ngx_http_aggregate_cache_refuse(
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_verdict_e verdict,
    ngx_msec_t pass);
static void ngx_http_aggregate_cache_give_up(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_msec_t pass);


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
    ngx_int_t                        rc;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    if (r != r->main) {
        ngx_http_aggregate_cache_subrequest(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_cache_module);

    if (ctx == NULL) {
        ctx = ngx_http_aggregate_cache_get(r);

        if (ctx == NULL) {
            return ngx_http_next_header_filter(r);
        }

        /* a redirect has led away from what the key names */

        ctx->moved = 1;

        ngx_http_set_ctx(r, ctx, ngx_http_aggregate_cache_module);
    }

    if (ctx->headed) {

        /* another header in place of the first: neither its body is kept */

        if (ctx->capture) {
            ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_INCOMPLETE, 0);
        }

        ctx->swap = 0;
    }

    ctx->headed = 1;

    if (ctx->invalidate
        && r->headers_out.status >= NGX_HTTP_OK
        && r->headers_out.status < NGX_HTTP_BAD_REQUEST)
    {
        ngx_http_aggregate_cache_invalidate(ctx);
    }

    if (ctx->fill) {
        rc = ngx_http_aggregate_cache_filled(r, ctx);

        if (rc != NGX_OK || ctx->refetch) {
            return rc;
        }

        ngx_http_aggregate_cache_preconditions(r, ctx);

    } else if (ctx->pass) {
        ngx_http_aggregate_cache_passed(r, ctx);

    } else if (ctx->serve) {
        ngx_http_aggregate_cache_precedence(r);
    }

    if (ctx->refresh) {

        /* nobody waits for it */

        r->header_sent = 1;

        return NGX_OK;
    }

    if (ctx->aborted) {
        return ngx_http_aggregate_cache_aborted_header(r, ctx);
    }

    if (ngx_http_aggregate_cache_tell(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_next_header_filter(r);

    if (ctx->capture && r->postponed
        && ngx_http_aggregate_cache_inserted(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rc == NGX_OK && ctx->capture && r->header_only
        && r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        /*
         * the client has all it needs, and may go; the cache still wants the
         * body
         */

        r->header_only = 0;
        r->read_event_handler = ngx_http_block_reading;
        ctx->unmodified = 1;
    }

    return rc;
}


/* the client is gone: only what is to be stored is of any use */

static ngx_int_t
ngx_http_aggregate_cache_aborted_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (r == r->main) {
        r->header_sent = 1;
        r->err_status = NGX_HTTP_CLIENT_CLOSED_REQUEST;

        return ctx->capture ? NGX_OK : NGX_ERROR;
    }

    /* the filters below set up the way in which the body of a part is read */

    return ctx->capture ? ngx_http_next_header_filter(r) : NGX_ERROR;
}


/* the response to a fill: stored, passed on, or replaced */

static ngx_int_t
ngx_http_aggregate_cache_filled(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_uint_t  status, rejected;

    ctx->fill = 0;

    status = r->headers_out.status;

    ctx->backend_status = status;

    if (status == NGX_HTTP_NOT_MODIFIED && ctx->conditional && !ctx->moved) {
        return ngx_http_aggregate_cache_not_modified(r, ctx);
    }

    rejected = ngx_http_aggregate_breaker_rejected(r);

    if (rejected || ngx_http_aggregate_cache_failed(r, ctx, status)) {

        ngx_http_aggregate_cache_land(ctx,
                                      NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR);

        if (ngx_http_aggregate_cache_usable(ctx)) {

            ctx->verdict = rejected ? AGG_CACHE_NO_REJECTED
                                    : AGG_CACHE_NO_ERROR;

            if (ctx->refresh) {
                return NGX_OK;
            }

            ctx->status = NGX_HTTP_AGGREGATE_CACHE_STALE;
            return ngx_http_aggregate_cache_replace(r, ctx);
        }
    }

    if (ctx->moved || rejected) {
        ngx_http_aggregate_cache_refuse(ctx,
                                        rejected ? AGG_CACHE_NO_REJECTED
                                                 : AGG_CACHE_NO_REDIRECTED,
                                        0);
        return NGX_OK;
    }

    if (r->method != NGX_HTTP_GET) {
        ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_METHOD, 0);
        return NGX_OK;
    }

    if (ngx_http_aggregate_cache_is_local_error(r, ctx)) {
        ctx->verdict = AGG_CACHE_NO_ERROR;
        ngx_http_aggregate_cache_refused(r, ctx);
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_judge(r, ctx);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        return ngx_http_aggregate_cache_capture(r, ctx);
    }

    ngx_http_aggregate_cache_refused(r, ctx);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_not_modified(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ngx_http_aggregate_cache_validates(r, ctx)) {

        rc = ngx_http_aggregate_cache_revalidate(r, ctx);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

    } else {

        if (ngx_http_aggregate_cache_refetch(r, ctx) == NGX_OK) {
            return NGX_OK;
        }

        ctx->verdict = AGG_CACHE_NO_VALIDATION;
        rc = NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        ngx_http_aggregate_cache_refused(r, ctx);
    }

    ctx->status = NGX_HTTP_AGGREGATE_CACHE_REVALIDATED;

    return ngx_http_aggregate_cache_replace(r, ctx);
}


/*
 * A response that nginx has made in place of one that did not come, or not
 * with a whole header: what had been read of that header counts for nothing.
 * An upstream that sends its response has not been finalized yet.
 */

static ngx_uint_t
ngx_http_aggregate_cache_is_local_error(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    if (r->err_status >= NGX_HTTP_SPECIAL_RESPONSE) {
        return 1;
    }

#if (NGX_HTTP_CACHE)

    if (r->cached) {
        return 0;
    }

#endif

    u = r->upstream;

    return u != NULL && u != ctx->upstream && u->cleanup == NULL;
}


/*
 * The client's conditions and its range are applied to this response here,
 * whether it is stored or not, since the origin has got neither of them.
 */

static void
ngx_http_aggregate_cache_preconditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t  allowed;

    if (ctx->refresh) {
        return;
    }

    /* the list of headers is still of use where a variant is to be stored */

    if (ctx->hidden) {
        r->headers_in.if_modified_since = ctx->if_modified_since;
        r->headers_in.if_unmodified_since = ctx->if_unmodified_since;
        r->headers_in.if_match = ctx->if_match;
        r->headers_in.if_none_match = ctx->if_none_match;
    }

    ngx_http_aggregate_cache_precedence(r);

    if (ctx->moved || r->headers_out.status != NGX_HTTP_OK) {
        return;
    }

    r->disable_not_modified = 0;

    if (ctx->swap) {
        return;
    }

    allowed = r->allow_ranges;

    ngx_http_clear_accept_ranges(r);

    r->allow_ranges = 1;

    if (!allowed) {

        /* several ranges are for handlers that send one buffer */

        r->single_range = 1;
    }
}


/* RFC 9110, 13.2.2: a condition by the ETag replaces the one by the time */

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
 * The request went to the backend with its range, as the last response was
 * too large: so are the next ones, if this one is
 */

static void
ngx_http_aggregate_cache_passed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    off_t             size;
    u_char           *p, *last;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    ctx->pass = 0;
    ctx->backend_status = r->headers_out.status;

    size = r->headers_out.content_length_n;

    part = &ngx_http_aggregate_cache_origin_headers(r, ctx)->part;

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
        ngx_http_aggregate_cache_land(ctx, NGX_HTTP_AGGREGATE_CACHE_PASS);
    }
}


/*
 * A response that is not stored predicts the next ones only if the reason
 * lies with the origin and not with this request.
 */

static void
ngx_http_aggregate_cache_refused(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t  error;

    (void) ngx_atomic_fetch_add(&ctx->zone->sh->refused, 1);

    error = ngx_http_aggregate_cache_failed(r, ctx, ctx->backend_status);

    if (!error && !ctx->request_no_store && !ctx->credentials
        && ctx->verdict != AGG_CACHE_NO_CONFIGURATION)
    {
        ngx_http_aggregate_cache_drop(r, ctx);
    }

    ngx_http_aggregate_cache_give_up(ctx, ctx->request_no_store ? 0
                                  : error
                                    ? NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR
                                    : NGX_HTTP_AGGREGATE_CACHE_PASS);
}


static ngx_int_t
ngx_http_aggregate_cache_capture(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->expected = r->headers_out.content_length_n;
    ctx->last = &ctx->body;

    if (ctx->expected > (off_t) ctx->zone->max_object) {
        ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_LARGE,
                                        NGX_HTTP_AGGREGATE_CACHE_PASS);
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_lines(r, ctx, NULL);

    if (rc != NGX_OK) {
        ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_HEADER,
                                        NGX_HTTP_AGGREGATE_CACHE_PASS);
        return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    ctx->capture = 1;

    if (r->headers_out.status == NGX_HTTP_NO_CONTENT) {
        ngx_http_aggregate_cache_store(r, ctx);
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_refuse(ngx_http_aggregate_cache_ctx_t *ctx,
    agg_cache_verdict_e verdict, ngx_msec_t pass)
{
    ctx->verdict = verdict;

    ngx_http_aggregate_cache_give_up(ctx, pass);
}


static void
ngx_http_aggregate_cache_give_up(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_msec_t pass)
{
    ctx->capture = 0;
    ctx->body = NULL;

    ngx_http_aggregate_cache_land(ctx, pass);
}


/* the entry at hand goes out instead of what the handler sends */

static ngx_int_t
ngx_http_aggregate_cache_replace(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ctx->swap = 1;

    if (ctx->refresh) {
        return NGX_OK;
    }

    /* for the access log, too, the answer is what the client gets */

    r->err_status = 0;
    r->disable_not_modified = 0;

    ngx_http_aggregate_cache_restore(r, ctx);

    return ngx_http_aggregate_cache_set_headers(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_cache_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                        rc;
    ngx_chain_t                     *cl;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_cache_module);

    if (ctx == NULL || in == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->refetch) {

        for (cl = in; cl; cl = cl->next) {
            cl->buf->pos = cl->buf->last;
            cl->buf->file_pos = cl->buf->file_last;
        }

        return NGX_OK;
    }

    if (ctx->capture) {
        ngx_http_aggregate_cache_keep(r, ctx, in);
    }

    if (ctx->refresh || ctx->swap || ctx->unmodified || ctx->aborted) {

        for (cl = in; cl; cl = cl->next) {
            cl->buf->pos = cl->buf->last;
            cl->buf->file_pos = cl->buf->file_last;
        }

        if (ctx->aborted) {
            return (ctx->capture || ctx->stored) ? NGX_OK : NGX_ERROR;
        }

        return ctx->swap && !ctx->refresh
               ? ngx_http_aggregate_cache_send_swapped(r, ctx) : NGX_OK;
    }

    rc = ngx_http_next_body_filter(r, in);

    if (ctx->capture && r->postponed
        && ngx_http_aggregate_cache_inserted(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return rc;
}


/*
 * A handler may send a part of its response by subrequests.  These have their
 * own way through the filters, so the whole is never seen here.  Filters add
 * subrequests to a response, too, as SSI does; they will do so again to what
 * comes from the cache, so theirs do not matter.  They are told by the time
 * at which they are made: while the response passes the filters.
 */

static ngx_int_t
ngx_http_aggregate_cache_inserted(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_request_t            **sr;
    ngx_http_postponed_request_t   *pr;

    for (pr = ngx_http_aggregate_cache_new_subrequest(r, ctx);
         pr;
         pr = pr->next)
    {
        if (pr->request == NULL) {
            continue;
        }

        if (ctx->inserted == NULL) {
            ctx->inserted = ngx_array_create(r->pool, 8,
                                             sizeof(ngx_http_request_t *));
            if (ctx->inserted == NULL) {
                return NGX_ERROR;
            }
        }

        sr = ngx_array_push(ctx->inserted);
        if (sr == NULL) {
            return NGX_ERROR;
        }

        *sr = pr->request;
    }

    return NGX_OK;
}


/* the first one that was made after the last one that is known */

static ngx_http_postponed_request_t *
ngx_http_aggregate_cache_new_subrequest(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_request_t            **inserted, *last;
    ngx_http_postponed_request_t   *pr, *first;

    last = NULL;

    if (ctx->inserted) {
        inserted = ctx->inserted->elts;
        last = inserted[ctx->inserted->nelts - 1];
    }

    first = NULL;

    for (pr = r->postponed; pr; pr = pr->next) {

        if (pr->request == NULL) {
            continue;
        }

        if (pr->request == last) {
            first = NULL;

        } else if (first == NULL) {
            first = pr;
        }
    }

    return first;
}


/* the subrequest is about to send its response into that of its parent */

static void
ngx_http_aggregate_cache_subrequest(ngx_http_request_t *sr)
{
    ngx_uint_t                        i;
    ngx_http_request_t              **inserted;
    ngx_http_postponed_request_t     *pr;
    ngx_http_aggregate_cache_ctx_t   *ctx;

    ctx = ngx_http_get_module_ctx(sr->parent, ngx_http_aggregate_cache_module);

    if (ctx == NULL || !ctx->capture) {
        return;
    }

    if (ctx->inserted) {
        inserted = ctx->inserted->elts;

        for (i = 0; i < ctx->inserted->nelts; i++) {
            if (inserted[i] == sr) {
                return;
            }
        }
    }

    if (sr->connection->data != sr) {

        for (pr = sr->parent->postponed; pr; pr = pr->next) {
            if (pr->request == sr) {
                break;
            }
        }

        if (pr == NULL) {

            /* a background subrequest's response goes elsewhere */

            return;
        }
    }

    ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_SUBREQUESTS,
                                    NGX_HTTP_AGGREGATE_CACHE_PASS);
}


static ngx_int_t
ngx_http_aggregate_cache_send_swapped(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_chain_t  out;

    if (r->header_only) {
        return NGX_OK;
    }

    if (ctx->swap_sent) {
        return ngx_http_next_body_filter(r, NULL);
    }

    ctx->swap_sent = 1;

    out.buf = ngx_http_aggregate_cache_body(r, ctx);
    out.next = NULL;

    if (out.buf == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_next_body_filter(r, &out);
}


/* copies what passes; at its end, stores the whole */

static void
ngx_http_aggregate_cache_keep(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_chain_t *in)
{
    off_t         size;
    ngx_buf_t    *b;
    ngx_uint_t    last;
    ngx_chain_t  *cl;

    last = 0;

    if (r->postponed && ngx_http_aggregate_cache_new_subrequest(r, ctx)) {
        ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_SUBREQUESTS,
                                        NGX_HTTP_AGGREGATE_CACHE_PASS);
        return;
    }

    for (cl = in; cl; cl = cl->next) {

        b = cl->buf;

        if (!ngx_buf_special(b)) {

            size = ngx_buf_size(b);

            if (size < 0
                || size > (off_t) (ctx->zone->max_object - ctx->size))
            {
                ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_LARGE,
                                              NGX_HTTP_AGGREGATE_CACHE_PASS);
                return;
            }

            if (ngx_http_aggregate_cache_copy(r, ctx, b) != NGX_OK) {
                ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_ROOM,
                                        NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR);
                return;
            }
        }

        if (b->last_buf || (r != r->main && b->last_in_chain)) {
            last = 1;
        }
    }

    if (!last) {
        return;
    }

    if (ctx->expected != -1 && ctx->expected != (off_t) ctx->size) {

        /* cut short, or longer than it said */

        ngx_http_aggregate_cache_refuse(ctx, AGG_CACHE_NO_INCOMPLETE,
                                        NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR);
        return;
    }

    ngx_http_aggregate_cache_store(r, ctx);

    /* a slow client need not hold the copy, too */

    for (cl = ctx->body; cl; cl = cl->next) {
        (void) ngx_pfree(r->pool, cl->buf->start);
    }

    ctx->capture = 0;
    ctx->body = NULL;
}


static ngx_int_t
ngx_http_aggregate_cache_copy(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_buf_t *b)
{
    off_t       offset;
    size_t      size, n;
    u_char     *p;
    ssize_t     got;
    ngx_buf_t  *room;

    size = (size_t) ngx_buf_size(b);
    offset = b->file_pos;
    p = b->pos;

    while (size) {

        room = ngx_http_aggregate_cache_room(r, ctx, size);
        if (room == NULL) {
            return NGX_ERROR;
        }

        n = ngx_min(size, (size_t) (room->end - room->last));

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(room->last, p, n);
            p += n;

        } else {
            got = ngx_http_aggregate_cache_read_file(b->file, room->last, n,
                                                     offset);

            if (got != (ssize_t) n) {
                return NGX_ERROR;
            }

            offset += n;
        }

        room->last += n;
        ctx->size += n;
        size -= n;
    }

    return NGX_OK;
}


/* our memory is not aligned as direct reads need it */

static ssize_t
ngx_http_aggregate_cache_read_file(ngx_file_t *file, u_char *p, size_t size,
    off_t offset)
{
    ssize_t  n;

    if (!file->directio) {
        return ngx_read_file(file, p, size, offset);
    }

    if (ngx_directio_off(file->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, file->log, ngx_errno,
                      ngx_directio_off_n " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    n = ngx_read_file(file, p, size, offset);

    if (ngx_directio_on(file->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, file->log, ngx_errno,
                      ngx_directio_on_n " \"%V\" failed", &file->name);
    }

    return n;
}


static ngx_buf_t *
ngx_http_aggregate_cache_room(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ctx->tail && ctx->tail->last < ctx->tail->end) {
        return ctx->tail;
    }

    if (ctx->body == NULL && ctx->expected > 0) {
        size = (size_t) ctx->expected;

    } else {
        size = ngx_max(size, 8192);
        size = ngx_max(size, ngx_min(ctx->size, 65536));
    }

    b = ngx_create_temp_buf(r->pool, size);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    cl->buf = b;
    cl->next = NULL;

    *ctx->last = cl;
    ctx->last = &cl->next;
    ctx->tail = b;

    return b;
}
