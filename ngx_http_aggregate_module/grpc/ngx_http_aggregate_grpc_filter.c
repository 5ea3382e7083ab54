
/*
 * The header of a response is held until the status of the call is known, which
 * may be at the end.  Special responses of nginx get a body of ours.
 */

#include "ngx_http_aggregate_grpc.h"
#include "agg_header_names.h"


static ngx_int_t ngx_http_aggregate_grpc_header_filter(
    ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_grpc_page(
    ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_grpc_header(
    ngx_http_request_t *r, ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_replace(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_grpc_body(
    ngx_http_request_t *r, ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_grpc_replace_body(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_grpc_last(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_grpc_add(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_str_t *name, ngx_str_t *value);
static void ngx_http_aggregate_grpc_clear(ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_grpc_keeps(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_table_elt_t *h);
static ngx_int_t ngx_http_aggregate_grpc_add_retry_after(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static void ngx_http_aggregate_grpc_set_type(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_str_t *type);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_aggregate_grpc_header_filter(ngx_http_request_t *r)
{
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_grpc_module);

    if (ctx) {
        return ngx_http_aggregate_grpc_header(r, ctx);
    }

    if (r->err_status >= NGX_HTTP_BAD_REQUEST && !r->filter_finalize) {
        return ngx_http_aggregate_grpc_page(r);
    }

    return ngx_http_next_header_filter(r);
}


/*
 * the page of an error without a call, such as that of a limit, an access rule
 * or a breaker
 */

static ngx_int_t
ngx_http_aggregate_grpc_page(ngx_http_request_t *r)
{
    ngx_http_aggregate_grpc_ctx_t       *ctx;
    ngx_http_aggregate_grpc_loc_conf_t  *conf;

    static ngx_str_t  html = ngx_string("text/html");

    conf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_grpc_module);

    /* nginx's own pages have this type without a charset */

    if (conf->call == NULL || conf->call->off
        || r->headers_out.content_type.len != html.len
        || ngx_strncmp(r->headers_out.content_type.data, html.data, html.len)
           != 0)
    {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_aggregate_grpc_create_ctx(r);

    return ctx ? ngx_http_aggregate_grpc_replace(ctx) : NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_grpc_header(ngx_http_request_t *r,
    ngx_http_aggregate_grpc_ctx_t *ctx)
{
    if (ctx->ws) {

        /* the header of the handshake has already been sent, and is logged */

        r->err_status = 0;
        r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;

        r->header_sent = 1;
        r->header_only = !ctx->header_in;

        return NGX_OK;
    }

    if (ctx->released) {
        return ngx_http_next_header_filter(r);
    }

    if (ctx->header_in) {

        /*
         * A subrequest for a header only, such as that of auth_request, would
         * end now, before the status of the call is known.
         */

        ctx->header_only = r->header_only;
        r->header_only = 0;

        ctx->held = 1;

        return NGX_OK;
    }

    if (r->headers_out.status >= NGX_HTTP_BAD_REQUEST) {
        return ngx_http_aggregate_grpc_replace(ctx);
    }

    return ngx_http_next_header_filter(r);
}


/* replaces the error page of nginx */

static ngx_int_t
ngx_http_aggregate_grpc_replace(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    static ngx_str_t  json = ngx_string("application/json");
    static ngx_str_t  problem = ngx_string("application/problem+json");

    r = ctx->request;

    ctx->released = 1;
    ctx->replaced = 1;

    if (!ctx->refused) {
        ctx->code = -1;
        ctx->status = r->headers_out.status;

    } else if (ctx->keepalive) {

        /*
         * nginx closes the connection after 400 and others, which are client
         * errors
         */

        r->keepalive = 1;
    }

    if (ngx_http_aggregate_grpc_error_body(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_grpc_set_type(ctx, ctx->conf->status_errors ? &json
                                                                   : &problem);
    ngx_http_clear_content_length(r);
    r->headers_out.content_length_n = agg_buf_used(&ctx->error);

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_aggregate_grpc_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_grpc_module);

    if (ctx == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    return ngx_http_aggregate_grpc_body(r, ctx, in);
}


static ngx_int_t
ngx_http_aggregate_grpc_body(ngx_http_request_t *r,
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    if (ctx->replaced) {
        return ngx_http_aggregate_grpc_replace_body(ctx, in);
    }

    if (ctx->held || ctx->skip_flush) {

        /* before the header there are only flushes */

        for (cl = in; cl; cl = cl->next) {
            if (!ngx_buf_special(cl->buf)
                || ngx_http_aggregate_held_is_last(r, cl->buf))
            {
                break;
            }
        }

        ctx->skip_flush = 0;

        if (cl == NULL) {
            return NGX_OK;
        }

        if (ctx->held) {
            return NGX_ERROR;
        }
    }

    return ngx_http_aggregate_held_ends(r, in)
           ? ngx_http_aggregate_grpc_last(ctx, in)
           : ngx_http_next_body_filter(r, in);
}


static ngx_int_t
ngx_http_aggregate_grpc_replace_body(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_chain_t *in)
{
    ngx_uint_t           last;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->replacement_sent) {
        return ngx_http_next_body_filter(r, NULL);
    }

    last = ngx_http_aggregate_held_ends(r, in);

    (void) ngx_http_aggregate_held_discard(in);

    if (!last) {
        return NGX_OK;
    }

    out.buf = ngx_http_aggregate_held_buf(r, ctx->error.start,
                                          r->header_only ? ctx->error.start
                                                         : ctx->error.pos);
    out.next = NULL;

    if (out.buf == NULL) {
        return NGX_ERROR;
    }

    ctx->replacement_sent = 1;

    return ngx_http_next_body_filter(r, &out);
}


/*
 * Trailers belong to the call, and are not sent to the client.  If a stream has
 * failed, its last buffer is not sent either, so that no client takes the
 * stream for complete.
 */

static ngx_int_t
ngx_http_aggregate_grpc_last(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_chain_t *in)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = ctx->request;

    r->headers_out.trailers.part.nelts = 0;
    r->headers_out.trailers.part.next = NULL;
    r->headers_out.trailers.last = &r->headers_out.trailers.part;

    if (!ctx->cut) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        if (ngx_http_aggregate_held_is_last(r, cl->buf)) {
            cl->buf->last_buf = 0;
            cl->buf->last_in_chain = 0;
            cl->buf->flush = 1;
        }
    }

    r->keepalive = 0;

    rc = ngx_http_next_body_filter(r, in);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the stream of \"%V\" is cut after its error",
                  &ctx->binding->name);

    return rc == NGX_OK ? NGX_ERROR : rc;
}


/* sends the header that was held; a length of -1 means a stream */

ngx_int_t
ngx_http_aggregate_grpc_send_header(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_uint_t status, ngx_str_t *type, off_t length)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    static ngx_str_t  vary = ngx_string("Vary");
    static ngx_str_t  accept = ngx_string("Accept");
    static ngx_str_t  no_store = ngx_string("no-store");
    static ngx_str_t  cache_control = ngx_string("Cache-Control");

    r = ctx->request;

    if (ctx->held) {
        r->header_only = ctx->header_only;
        ctx->held = 0;
    }

    ctx->released = 1;

    if (ctx->local) {

        /* as in a special response: no header of the backend, never stored */

        ngx_http_clean_header(r);
        r->err_status = status;

    } else {
        ngx_http_aggregate_grpc_clear(ctx);
    }

    ngx_http_aggregate_grpc_set_type(ctx, type);

    r->headers_out.status = status;
    r->headers_out.status_line.len = 0;
    r->headers_out.content_length_n = length;

    if (length == -1 || ctx->no_store) {
        ngx_http_aggregate_header_clear(&r->headers_out.headers,
                                        &cache_control);

        if (ngx_http_aggregate_grpc_add(ctx, &cache_control, &no_store)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ctx->vary && status == NGX_HTTP_OK
        && ngx_http_aggregate_grpc_add(ctx, &vary, &accept) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->failed && ctx->retry_after >= 0
        && ngx_http_aggregate_grpc_add_retry_after(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_next_header_filter(r);

    return (rc == NGX_ERROR || rc > NGX_OK) ? NGX_ERROR : NGX_OK;
}


/* adds a header for clients, and for our cache, which reads the upstream's */

static ngx_int_t
ngx_http_aggregate_grpc_add(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_str_t *name, ngx_str_t *value)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ngx_http_aggregate_header_push(&r->headers_out.headers, name, value)
        == NULL
        || ngx_http_aggregate_header_push(&r->upstream->headers_in.headers,
                                          name, value)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* removes headers that describe the call or its bytes, not the response */

static void
ngx_http_aggregate_grpc_clear(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_table_elt_t                   *h;
    ngx_http_request_t                *r;
    ngx_http_aggregate_header_iter_t   it;

    r = ctx->request;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    r->headers_out.content_encoding = NULL;
    r->headers_out.content_range = NULL;

    ngx_http_aggregate_header_iter(&it, &r->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {
        if (!ngx_http_aggregate_grpc_keeps(ctx, h)) {
            h->hash = 0;
        }
    }
}


static ngx_uint_t
ngx_http_aggregate_grpc_keeps(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_table_elt_t *h)
{
    /* headers that are not metadata, or are trailers */

    if (ctx->not_grpc || ctx->trailers_only) {
        return ngx_http_aggregate_header_is(h, "Retry-After")
               || ngx_http_aggregate_header_is(h, "WWW-Authenticate");
    }

    if (h->key.len > 5
        && ngx_strncasecmp(h->key.data, (u_char *) "grpc-", 5) == 0)
    {
        return 0;
    }

    return !ngx_http_aggregate_header_is(h, "Content-Encoding")
           && !ngx_http_aggregate_header_is(h, "Content-Range")
           && !(agg_header_flags(h->key.data, h->key.len) & AGG_HEADER_HOP);
}


static ngx_int_t
ngx_http_aggregate_grpc_add_retry_after(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    u_char              *p;
    ngx_str_t            value;
    ngx_http_request_t  *r;

    static ngx_str_t  name = ngx_string("Retry-After");

    r = ctx->request;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "%L", ctx->retry_after) - p;

    ngx_http_aggregate_header_clear(&r->headers_out.headers, &name);

    return ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                          &value)
           ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_aggregate_grpc_set_type(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_str_t *type)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (type == &ctx->type) {
        ngx_http_aggregate_set_type(r, type);

    } else {

        /* types of our own have no parameters */

        r->headers_out.content_type = *type;
        r->headers_out.content_type_len = type->len;
        r->headers_out.content_type_lowcase = NULL;
    }

    ngx_str_null(&r->headers_out.charset);
}


ngx_int_t
ngx_http_aggregate_grpc_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_grpc_header_filter;

    ngx_http_aggregate_grpc_ws_init();

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_grpc_body_filter;

    return NGX_OK;
}
