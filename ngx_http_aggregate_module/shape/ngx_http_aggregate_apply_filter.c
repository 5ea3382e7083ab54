
/*
 * Shapes responses.  It stands behind what may change a body, SSI, sub_filter
 * and gunzip among them, and before gzip.  The body is shaped as it arrives;
 * the header and what is left of the body are held until its last byte, so
 * that a body that cannot be shaped is an error and never gets out.
 */

#include "ngx_http_aggregate_shape.h"


static ngx_int_t ngx_http_aggregate_apply_header_filter(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_apply_unshaped(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_apply_shaped(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_loc_conf_t *lcf);
static const char *ngx_http_aggregate_apply_refuses(ngx_http_request_t *r,
    ngx_http_aggregate_apply_loc_conf_t *lcf);
static ngx_int_t ngx_http_aggregate_apply_start(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_loc_conf_t *lcf);
static ngx_int_t ngx_http_aggregate_apply_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static agg_rc_e ngx_http_aggregate_apply_take(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_chain_t *in, ngx_uint_t *last);
static ngx_int_t ngx_http_aggregate_apply_finish(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_apply_truncated(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_apply_bad(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, agg_rc_e rc);
static ngx_int_t ngx_http_aggregate_apply_fail(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_int_t status, const char *text);
static void ngx_http_aggregate_apply_skip(ngx_chain_t *in);
static ngx_uint_t ngx_http_aggregate_apply_held(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_apply_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_aggregate_apply_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_apply_filter_init,  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_apply_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_apply_filter_module_ctx, /* module context */
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
ngx_http_aggregate_apply_header_filter(ngx_http_request_t *r)
{
    ngx_http_aggregate_apply_ctx_t       *ctx;
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_apply_module);

    if (lcf->apply->off) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_aggregate_apply_get(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_apply_restore(r, ctx);

    if (r->headers_out.status < NGX_HTTP_OK
        || r->headers_out.status >= NGX_HTTP_SPECIAL_RESPONSE
        || r->headers_out.status == NGX_HTTP_NO_CONTENT)
    {
        return ngx_http_aggregate_apply_unshaped(r, ctx);
    }

    if (ngx_http_aggregate_apply_choose(r, ctx, lcf->apply) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * Nobody asked for a 206, and its type is not always that of what it is
     * a part of
     */

    if (!ngx_http_aggregate_apply_json(r)
        && (ctx->off || r->headers_out.status != NGX_HTTP_PARTIAL_CONTENT))
    {
        return ngx_http_aggregate_apply_unshaped(r, ctx);
    }

    if (ngx_http_aggregate_apply_vary(r, lcf->apply) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->off) {
        return ngx_http_aggregate_apply_unshaped(r, ctx);
    }

    if (ctx->named == NULL) {
        return ngx_http_aggregate_apply_fail(r, ctx,
                                             NGX_HTTP_INTERNAL_SERVER_ERROR,
                                             "no shape has the name");
    }

    return ngx_http_aggregate_apply_shaped(r, ctx, lcf);
}


/* for what the shape is not meant the conditions count as for any content */

static ngx_int_t
ngx_http_aggregate_apply_unshaped(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    if (ngx_http_aggregate_apply_unchanged(r, ctx, 0)) {
        ngx_http_aggregate_apply_not_modified(r);
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_aggregate_apply_shaped(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_loc_conf_t *lcf)
{
    const char                            *text;
    ngx_http_aggregate_apply_main_conf_t  *mcf;

    text = ngx_http_aggregate_apply_refuses(r, lcf);

    if (text) {
        return ngx_http_aggregate_apply_fail(r, ctx, NGX_HTTP_BAD_GATEWAY,
                                             text);
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_apply_module);

    if ((mcf->ssi && ngx_http_get_module_ctx(r, (*mcf->ssi)))
        || (mcf->addition && ngx_http_get_module_ctx(r, (*mcf->addition))))
    {
        /* what they add comes from other requests and would pass by */

        return ngx_http_aggregate_apply_fail(r, ctx,
                                             NGX_HTTP_INTERNAL_SERVER_ERROR,
                                             "it has parts of SSI or of the "
                                             "addition filter");
    }

    if (ngx_http_aggregate_shape_args(r, ctx->named->shape, &ctx->args)
        != NGX_OK
        || ngx_http_aggregate_apply_etag(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_aggregate_apply_clear(r);

    if (ngx_http_aggregate_apply_unchanged(r, ctx, 1)) {
        ngx_http_aggregate_apply_not_modified(r);
        return ngx_http_next_header_filter(r);
    }

    if (r->header_only || r->method == NGX_HTTP_HEAD) {
        return ngx_http_next_header_filter(r);
    }

    return ngx_http_aggregate_apply_start(r, ctx, lcf);
}


/* NULL, or why the response cannot be shaped */

static const char *
ngx_http_aggregate_apply_refuses(ngx_http_request_t *r,
    ngx_http_aggregate_apply_loc_conf_t *lcf)
{
    ngx_table_elt_t  *h;

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        || (r->headers_out.content_range && r->headers_out.content_range->hash))
    {
        return "it is a part of one (206)";
    }

    h = r->headers_out.content_encoding;

    if (h && h->hash && h->value.len
        && !(h->value.len == 8
             && ngx_strncasecmp(h->value.data, (u_char *) "identity", 8) == 0))
    {
        return "it has a content encoding";
    }

    if (r->headers_out.content_length_n > (off_t) lcf->buffer) {
        return "it is over \"aggregate_shape_buffer\"";
    }

    return NULL;
}


static ngx_int_t
ngx_http_aggregate_apply_start(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_loc_conf_t *lcf)
{
    agg_mem_t    *mem;
    agg_shape_t  *shape;

    shape = ctx->named->shape->shape;

    mem = ngx_http_aggregate_mem(r->pool);
    ctx->run = ngx_palloc(r->pool, agg_shape_run_size(shape));

    if (mem == NULL || ctx->run == NULL) {
        return NGX_ERROR;
    }

    agg_buf_init(&ctx->out, mem, lcf->buffer);
    agg_shape_run_init(ctx->run, shape, &ctx->out, &ctx->args);

    ctx->holding = 1;

    r->filter_need_in_memory = 1;

    if (r != r->main && r->upstream && !r->upstream->cacheable
        && !r->upstream->store)
    {
        /* else the body of a part comes at its end only, by way of a file */

        r->upstream->buffering = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_apply_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    agg_rc_e                         rc;
    ngx_uint_t                       last;
    ngx_chain_t                     *cl;
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_apply_filter_module);

    if (ctx == NULL || (!ctx->holding && !ctx->failed)) {

        if (r != r->main && ngx_http_aggregate_apply_held(r)) {

            /* its place is in a response that is not there yet */

            ngx_http_aggregate_apply_skip(in);
            return NGX_OK;
        }

        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->failed) {
        ngx_http_aggregate_apply_skip(in);
        return NGX_OK;
    }

    rc = ngx_http_aggregate_apply_take(r, ctx, in, &last);

    if (rc != AGG_OK) {
        return ngx_http_aggregate_apply_bad(r, ctx, rc);
    }

    if (last) {
        return ngx_http_aggregate_apply_finish(r, ctx);
    }

    for (cl = in; cl; cl = cl->next) {

        /* what nginx sends when an upstream ended before its time */

        if (cl->buf->flush && r->upstream && r->upstream->cleanup == NULL) {
            return ngx_http_aggregate_apply_truncated(r, ctx);
        }
    }

    return NGX_OK;
}


static agg_rc_e
ngx_http_aggregate_apply_take(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_chain_t *in, ngx_uint_t *last)
{
    size_t        size;
    agg_rc_e      rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    *last = 0;
    rc = AGG_OK;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        size = ngx_buf_in_memory(b) ? (size_t) (b->last - b->pos) : 0;

        if (size == 0 && b->in_file && b->file_last > b->file_pos) {

            /* it was asked for in memory */

            return AGG_NOMEM;
        }

        if (size && rc == AGG_OK) {
            ctx->received += size;

            rc = (ctx->received > (off_t) ctx->out.max)
                 ? AGG_TOO_LARGE
                 : agg_shape_run_push(ctx->run, b->pos, size);
        }

        b->pos = b->last;
        b->file_pos = b->file_last;

        if (b->last_buf || (r != r->main && b->last_in_chain)) {
            *last = 1;
        }
    }

    return rc;
}


static ngx_int_t
ngx_http_aggregate_apply_finish(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    agg_rc_e      rc;
    agg_str_t     null;
    ngx_int_t     status;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    rc = agg_shape_run_finish(ctx->run);

    if (rc == AGG_NOT_FOUND) {
        null.data = (u_char *) "null";
        null.len = 4;

        rc = agg_shape_run_missing(ctx->run, &null);
    }

    if (rc != AGG_OK) {
        return ngx_http_aggregate_apply_bad(r, ctx, rc);
    }

    if (r->postponed) {
        return ngx_http_aggregate_apply_fail(r, ctx,
                                             NGX_HTTP_INTERNAL_SERVER_ERROR,
                                             "other requests add to it");
    }

    ctx->holding = 0;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->memory = 1;
    b->pos = ctx->out.start;
    b->last = ctx->out.pos;
    b->start = b->pos;
    b->end = b->last;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    r->headers_out.content_length_n = b->last - b->pos;

    status = ngx_http_next_header_filter(r);

    if (status == NGX_ERROR || status > NGX_OK || r->header_only) {
        return status;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


/* an aggregate sees itself that the last byte of one of its parts is missing */

static ngx_int_t
ngx_http_aggregate_apply_truncated(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (r == r->main) {
        return ngx_http_aggregate_apply_fail(r, ctx, NGX_HTTP_BAD_GATEWAY,
                                             "it is not whole");
    }

    ctx->holding = 0;
    ctx->failed = 1;

    rc = ngx_http_next_header_filter(r);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_apply_bad(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, agg_rc_e rc)
{
    switch (rc) {

    case AGG_NOMEM:
        return ngx_http_aggregate_apply_fail(r, ctx,
                                             NGX_HTTP_INTERNAL_SERVER_ERROR,
                                             "there is no memory for it");

    case AGG_TOO_LARGE:
        return ngx_http_aggregate_apply_fail(r, ctx, NGX_HTTP_BAD_GATEWAY,
                                             "it is over "
                                             "\"aggregate_shape_buffer\"");

    default:
        return ngx_http_aggregate_apply_fail(r, ctx, NGX_HTTP_BAD_GATEWAY,
                                             "it is no valid JSON");
    }
}


/*
 * A main request is answered as nginx does it from a filter, "error_page"
 * included.  For a subrequest that would be the end of the main request, so it
 * becomes an empty response with the status.
 */

static ngx_int_t
ngx_http_aggregate_apply_fail(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_int_t status, const char *text)
{
    ngx_int_t                             rc;
    ngx_buf_t                            *b;
    ngx_uint_t                            changes;
    ngx_chain_t                           out;
    ngx_http_core_loc_conf_t             *clcf;
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_apply_module);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "response in location \"%V\" cannot be given shape \"%V\": "
                  "%s", &clcf->name,
                  ctx->named ? &ctx->named->name : &lcf->apply->text, text);

    ctx->holding = 0;
    ctx->failed = 1;

    if (r == r->main) {
        changes = r->uri_changes;

        rc = ngx_http_filter_finalize_request(r, NULL, status);

        if (r->uri_changes == changes) {

            /* nothing of the body follows the error page */

            ngx_http_set_ctx(r, ctx, ngx_http_aggregate_apply_filter_module);
        }

        return rc;
    }

    ngx_http_clean_header(r);

    r->headers_out.status = status;
    r->headers_out.content_length_n = 0;

    rc = ngx_http_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last_in_chain = 1;
    b->sync = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_next_body_filter(r, &out);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_aggregate_apply_skip(ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }
}


/* whether it is a part of a response that is held; aggregates take theirs */

static ngx_uint_t
ngx_http_aggregate_apply_held(ngx_http_request_t *r)
{
    ngx_http_request_t              *pr;
    ngx_http_aggregate_apply_ctx_t  *ctx;

    if (r->background || r->post_subrequest) {
        return 0;
    }

    for (pr = r->parent; pr; pr = pr->parent) {
        ctx = ngx_http_get_module_ctx(pr,
                                      ngx_http_aggregate_apply_filter_module);

        if (ctx && ctx->holding) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_aggregate_apply_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_apply_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_apply_body_filter;

    return NGX_OK;
}
