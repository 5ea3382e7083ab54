
/*
 * Takes the responses of subrequests.  It stands where it sees what SSI,
 * sub_filter and gunzip made of a response, just before nginx would put it
 * into the client's stream, and shapes it as it arrives.
 */

#include "ngx_http_aggregate_module.h"


/* of a large body so much is read at once */

#define NGX_HTTP_AGGREGATE_READ_SIZE  32768


static ngx_int_t ngx_http_aggregate_header_filter(ngx_http_request_t *r);
static void ngx_http_aggregate_widen(ngx_http_request_t *r);
static ngx_http_aggregate_reason_e ngx_http_aggregate_expect_body(
    ngx_http_aggregate_sub_t *sub);
static ngx_uint_t ngx_http_aggregate_accepts(
    ngx_http_aggregate_backend_t *conf, ngx_uint_t status);
static ngx_int_t ngx_http_aggregate_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_http_aggregate_reason_e ngx_http_aggregate_take(
    ngx_http_aggregate_sub_t *sub, u_char *p, size_t len);
static ngx_int_t ngx_http_aggregate_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_aggregate_capture_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_filter_init,        /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_capture_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_capture_filter_module_ctx, /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_aggregate_header_filter(ngx_http_request_t *r)
{
    ngx_http_aggregate_sub_t     *sub;
    ngx_http_aggregate_reason_e   reason;

    sub = ngx_http_aggregate_get_sub(r);

    if (sub == NULL) {
        return ngx_http_next_header_filter(r);
    }

    sub->header = 1;
    sub->call->status = r->headers_out.status;

    if (r->headers_out.status == 0) {

        /* what nginx takes for HTTP/0.9 */

        sub->no_status = 1;
        sub->call->status = NGX_HTTP_BAD_GATEWAY;
    }

    r->header_sent = 1;
    r->filter_need_in_memory = 1;

    /* from here on its own subrequests, as of SSI, would hang */

    r->subrequest_in_memory = 1;

    if (r->method == NGX_HTTP_HEAD) {
        r->header_only = 1;
    }

    if (r->upstream) {

        if (!r->upstream->cacheable && !r->upstream->store) {

            /* else the body comes at its end only, or never */

            r->upstream->buffering = 0;

            ngx_http_aggregate_widen(r);
        }

        sub->cached = r->cached;
    }

    if (r->header_only
        || r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        sub->no_body = 1;
    }

    if (sub->settled
        || !ngx_http_aggregate_accepts(sub->call->part->conf,
                                       r->headers_out.status)
        || ngx_http_aggregate_own_error(sub))
    {
        return NGX_OK;
    }

    sub->accepted = 1;

    reason = ngx_http_aggregate_expect_body(sub);

    if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        ngx_http_aggregate_settle(sub, reason);
    }

    return NGX_OK;
}


/*
 * Without buffering nginx reads a body into the buffer of the header, whose
 * size is "proxy_buffer_size".  What came with the header moves along.
 */

static void
ngx_http_aggregate_widen(ngx_http_request_t *r)
{
    off_t       length;
    u_char     *p;
    size_t      n, size;
    ngx_buf_t  *b;

    b = &r->upstream->buffer;
    length = r->headers_out.content_length_n;
    size = b->end - b->start;

    /* none: no header was read, and an error page is sent */

    if (size == 0
        || size >= NGX_HTTP_AGGREGATE_READ_SIZE
        || length < (off_t) (2 * size))
    {
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


static ngx_http_aggregate_reason_e
ngx_http_aggregate_expect_body(ngx_http_aggregate_sub_t *sub)
{
    off_t                          length;
    size_t                         size;
    ngx_http_request_t            *sr;
    ngx_table_elt_t               *encoding;
    agg_shape_t                   *shape;
    agg_shape_args_t              *args;
    ngx_http_aggregate_ctx_t      *ctx;
    ngx_http_aggregate_backend_t  *conf;

    sr = sub->request;
    ctx = sub->call->part->ctx;
    conf = sub->call->part->conf;

    encoding = sr->headers_out.content_encoding;

    if (encoding && encoding->hash && encoding->value.len
        && !(encoding->value.len == 8
             && ngx_strncasecmp(encoding->value.data, (u_char *) "identity", 8)
                == 0)
        && !sub->no_body)
    {
        return NGX_HTTP_AGGREGATE_ENCODING;
    }

    length = sr->headers_out.content_length_n;

    if (length > (off_t) ctx->block->max_body_size && !sub->no_body) {
        return NGX_HTTP_AGGREGATE_TOO_LARGE;
    }

    agg_buf_init(&sub->out, ctx->mem, ctx->block->max_body_size);

    args = NULL;
    shape = NULL;

    if (conf->shape) {
        shape = conf->referenced ? agg_shape_head(conf->shape->shape)
                                 : conf->shape->shape;

        sub->out.max = ctx->block->max_response_size;

        args = ngx_palloc(sr->pool, sizeof(agg_shape_args_t));

        if (args == NULL
            || ngx_http_aggregate_shape_args(ctx->request, conf->shape, args)
               != NGX_OK)
        {
            return NGX_HTTP_AGGREGATE_INTERNAL;
        }
    }

    if ((shape == NULL || agg_shape_is_identity(shape)) && length > 0
        && agg_buf_reserve(&sub->out, length) != AGG_OK)
    {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    if (conf->string) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    size = agg_shape_run_size(shape);

    sub->run = ngx_palloc(sr->pool, size);
    if (sub->run == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    agg_shape_run_init(sub->run, shape, &sub->out, args);

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


static ngx_uint_t
ngx_http_aggregate_accepts(ngx_http_aggregate_backend_t *conf,
    ngx_uint_t status)
{
    ngx_uint_t                   i;
    ngx_http_aggregate_range_t  *range;

    if (conf->accept == NULL) {
        return status >= 200 && status < 300;
    }

    range = conf->accept->elts;

    for (i = 0; i < conf->accept->nelts; i++) {
        if (status >= range[i].least && status <= range[i].most) {
            return 1;
        }
    }

    return 0;
}


/*
 * An error here would end the client's request, so that whatever is wrong
 * with a body is only noted; the rest of it is let go.
 */

static ngx_int_t
ngx_http_aggregate_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t                    *b;
    ngx_http_aggregate_sub_t     *sub;
    ngx_http_aggregate_reason_e   reason;

    sub = ngx_http_aggregate_get_sub(r);

    if (sub == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        if (b->last_buf || b->last_in_chain) {
            sub->last = 1;
        }

        if (ngx_buf_special(b)) {
            continue;
        }

        if (!sub->settled && sub->header) {

            if (ngx_buf_in_memory(b)) {
                reason = ngx_http_aggregate_take(sub, b->pos,
                                                 b->last - b->pos);

            } else {
                ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                              "aggregate backend \"%V\" sent a file buffer",
                              &sub->call->part->conf->name);

                reason = NGX_HTTP_AGGREGATE_INTERNAL;
            }

            if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
                ngx_http_aggregate_settle(sub, reason);
            }
        }

        b->pos = b->last;
        b->file_pos = b->file_last;
    }

    return NGX_OK;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_take(ngx_http_aggregate_sub_t *sub, u_char *p, size_t len)
{
    agg_rc_e  rc;

    sub->received += len;

    if (sub->received > (off_t) sub->call->part->ctx->block->max_body_size) {

        return sub->accepted ? NGX_HTTP_AGGREGATE_TOO_LARGE
                             : ngx_http_aggregate_status_reason(sub);
    }

    if (!sub->accepted || len == 0) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    if (sub->call->part->conf->string) {
        rc = agg_buf_append(&sub->out, p, len);

    } else {
        rc = agg_shape_run_push(sub->run, p, len);
    }

    return ngx_http_aggregate_reason(rc);
}


static ngx_int_t
ngx_http_aggregate_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_body_filter;

    return NGX_OK;
}
