
/*
 * The fill: the body of a response is copied on its way to the client, and
 * stored when it is complete.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_held.h"


static size_t ngx_http_aggregate_cache_fill_max(
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_fill_copy(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_buf_t *b);
static ssize_t ngx_http_aggregate_cache_fill_read_file(ngx_file_t *file,
    u_char *p, size_t size, off_t offset);
static ngx_buf_t *ngx_http_aggregate_cache_fill_buf(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, size_t size);
static ngx_http_postponed_request_t *
    ngx_http_aggregate_cache_fill_new_subrequest(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_fill_cancel(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_msec_t hit_for_miss);
static void ngx_http_aggregate_cache_fill_delete(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);


ngx_int_t
ngx_http_aggregate_cache_fill_start(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->store.expected = r->headers_out.content_length_n;
    ctx->store.last = &ctx->store.body;

    if (ctx->store.expected > (off_t) ctx->zone->max_object) {
        ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_LARGE,
                                        NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS);
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_serialize_headers(r, ctx, NULL);

    if (rc != NGX_OK) {
        ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_HEADER,
                                        NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS);
        return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    ctx->store.max = ngx_http_aggregate_cache_fill_max(ctx);

    if (ctx->store.expected > (off_t) ctx->store.max) {
        ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_ROOM,
                                        NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS);
        return NGX_OK;
    }

    ctx->store.capturing = 1;

    if (r->headers_out.status == NGX_HTTP_NO_CONTENT) {
        ngx_http_aggregate_cache_store(r, ctx);
    }

    return NGX_OK;
}


/* a body of max_object bytes may be too large for the zone with its header */

static size_t
ngx_http_aggregate_cache_fill_max(ngx_http_aggregate_cache_ctx_t *ctx)
{
    uint64_t  head, max;

    head = AGG_CACHE_ENTRY_HEADER + ctx->key.resource.len
           + ctx->store.tags.len + ctx->store.headers.len
           + AGG_CACHE_ENTRY_NAMES_MAX * sizeof(uint64_t);

    max = agg_cache_store_max(ctx->zone->sh->store);
    max = (max > head) ? max - head : 0;

    return (size_t) ngx_min(max, ctx->zone->max_object);
}


/* copies a part of the body, and stores the response after the last one */

void
ngx_http_aggregate_cache_fill_body(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_chain_t *in)
{
    off_t         size;
    ngx_buf_t    *b;
    ngx_uint_t    last;
    ngx_chain_t  *cl;

    last = 0;

    if (r->postponed && ngx_http_aggregate_cache_fill_new_subrequest(r, ctx)) {
        ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_SUBREQUESTS,
                                        NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS);
        return;
    }

    for (cl = in; cl; cl = cl->next) {

        b = cl->buf;

        if (!ngx_buf_special(b)) {

            size = ngx_buf_size(b);

            if (size < 0
                || size > (off_t) (ctx->store.max - ctx->store.size))
            {
                ngx_http_aggregate_cache_fill_refuse(ctx,
                                        ctx->store.max < ctx->zone->max_object
                                        ? AGG_CACHE_NO_ROOM
                                        : AGG_CACHE_NO_LARGE,
                                        NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS);
                return;
            }

            if (ngx_http_aggregate_cache_fill_copy(r, ctx, b) != NGX_OK) {
                ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_ROOM,
                                  NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR);
                return;
            }
        }

        if (ngx_http_aggregate_held_is_last(r, b)) {
            last = 1;
        }
    }

    if (!last) {
        return;
    }

    if (ngx_http_aggregate_held_unended(r)
        || (ctx->store.expected != -1
            && ctx->store.expected != (off_t) ctx->store.size))
    {

        /* not ended, or shorter or longer than its Content-Length */

        ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_INCOMPLETE,
                                  NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR);
        return;
    }

    ngx_http_aggregate_cache_store(r, ctx);

    /* a slow client must not keep the copy in memory */

    for (cl = ctx->store.body; cl; cl = cl->next) {
        (void) ngx_pfree(r->pool, cl->buf->start);
    }

    ctx->store.capturing = 0;
    ctx->store.body = NULL;
}


static ngx_int_t
ngx_http_aggregate_cache_fill_copy(ngx_http_request_t *r,
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

        room = ngx_http_aggregate_cache_fill_buf(r, ctx, size);
        if (room == NULL) {
            return NGX_ERROR;
        }

        n = ngx_min(size, (size_t) (room->end - room->last));

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(room->last, p, n);
            p += n;

        } else {
            got = ngx_http_aggregate_cache_fill_read_file(b->file, room->last,
                                                          n, offset);

            if (got != (ssize_t) n) {
                return NGX_ERROR;
            }

            offset += n;
        }

        room->last += n;
        ctx->store.size += n;
        size -= n;
    }

    return NGX_OK;
}


/* the buffer is not aligned for direct I/O */

static ssize_t
ngx_http_aggregate_cache_fill_read_file(ngx_file_t *file, u_char *p,
    size_t size, off_t offset)
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
ngx_http_aggregate_cache_fill_buf(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ctx->store.tail && ctx->store.tail->last < ctx->store.tail->end) {
        return ctx->store.tail;
    }

    if (ctx->store.body == NULL && ctx->store.expected > 0) {
        size = (size_t) ctx->store.expected;

    } else {
        size = ngx_max(size, 8192);
        size = ngx_max(size, ngx_min(ctx->store.size, 65536));
    }

    b = ngx_create_temp_buf(r->pool, size);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    cl->buf = b;
    cl->next = NULL;

    *ctx->store.last = cl;
    ctx->store.last = &cl->next;
    ctx->store.tail = b;

    return b;
}


/* the subrequest starts to send its response as a part of its parent's */

void
ngx_http_aggregate_cache_fill_subrequest(ngx_http_request_t *sr)
{
    ngx_uint_t                        i;
    ngx_http_request_t              **inserted;
    ngx_http_postponed_request_t     *pr;
    ngx_http_aggregate_cache_ctx_t   *ctx;

    ctx = ngx_http_get_module_ctx(sr->parent, ngx_http_aggregate_cache_module);

    if (ctx == NULL || !ctx->store.capturing) {
        return;
    }

    if (ctx->store.inserted) {
        inserted = ctx->store.inserted->elts;

        for (i = 0; i < ctx->store.inserted->nelts; i++) {
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

            /* a background subrequest sends nothing to the client */

            return;
        }
    }

    ngx_http_aggregate_cache_fill_refuse(ctx, AGG_CACHE_NO_SUBREQUESTS,
                                         NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS);
}


/*
 * A handler may send a part of its response by subrequests, whose output this
 * filter does not see as a part of the response, so it cannot be stored.
 * Filters such as SSI add subrequests to a response, too, and will do so again
 * when it is served from the cache, so theirs are allowed.  A subrequest is a
 * filter's if it was created while the response passed the filters.
 */

ngx_int_t
ngx_http_aggregate_cache_fill_note_subrequests(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_request_t            **sr;
    ngx_http_postponed_request_t   *pr;

    for (pr = ngx_http_aggregate_cache_fill_new_subrequest(r, ctx);
         pr;
         pr = pr->next)
    {
        if (pr->request == NULL) {
            continue;
        }

        if (ctx->store.inserted == NULL) {
            ctx->store.inserted = ngx_array_create(r->pool, 8,
                                                 sizeof(ngx_http_request_t *));
            if (ctx->store.inserted == NULL) {
                return NGX_ERROR;
            }
        }

        sr = ngx_array_push(ctx->store.inserted);
        if (sr == NULL) {
            return NGX_ERROR;
        }

        *sr = pr->request;
    }

    return NGX_OK;
}


/* the first subrequest that was created after the last known one */

static ngx_http_postponed_request_t *
ngx_http_aggregate_cache_fill_new_subrequest(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_request_t            **inserted, *last;
    ngx_http_postponed_request_t   *pr, *first;

    last = NULL;

    if (ctx->store.inserted) {
        inserted = ctx->store.inserted->elts;
        last = inserted[ctx->store.inserted->nelts - 1];
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


void
ngx_http_aggregate_cache_fill_refused(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t  error;

    (void) ngx_atomic_fetch_add(&ctx->zone->sh->refused, 1);

    error = ngx_http_aggregate_cache_upstream_failed(r, ctx,
                                                     ctx->backend_status);

    if (!error && !ctx->no_store && !ctx->credentials
        && ctx->reason != AGG_CACHE_NO_CONFIGURATION)
    {
        ngx_http_aggregate_cache_fill_delete(r, ctx);
    }

    ngx_http_aggregate_cache_fill_cancel(ctx,
                       ngx_http_aggregate_cache_hit_for_miss(r, ctx,
                                                       ctx->backend_status));
}


/*
 * A response that is not stored is a sign for the next ones only if the reason
 * is the response and not the request.  Returns the time in milliseconds.
 */

ngx_msec_t
ngx_http_aggregate_cache_hit_for_miss(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_uint_t status)
{
    if (r->method != NGX_HTTP_GET || ctx->no_store) {
        return 0;
    }

    return (ngx_http_aggregate_breaker_rejected(r)
            || ngx_http_aggregate_cache_upstream_failed(r, ctx, status))
           ? NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR
           : NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS;
}


void
ngx_http_aggregate_cache_fill_refuse(ngx_http_aggregate_cache_ctx_t *ctx,
    agg_cache_reason_e reason, ngx_msec_t hit_for_miss)
{
    ctx->reason = reason;

    ngx_http_aggregate_cache_fill_cancel(ctx, hit_for_miss);
}


static void
ngx_http_aggregate_cache_fill_cancel(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_msec_t hit_for_miss)
{
    ctx->store.capturing = 0;
    ctx->store.body = NULL;

    ngx_http_aggregate_cache_lock_release(ctx, hit_for_miss);
}


/* the response may not be stored, and the stored one is outdated */

static void
ngx_http_aggregate_cache_fill_delete(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->lookup.found) {
        return;
    }

    ngx_http_aggregate_cache_lookup_delete(ctx);
    ngx_http_aggregate_cache_l2_delete(r, ctx);
}
