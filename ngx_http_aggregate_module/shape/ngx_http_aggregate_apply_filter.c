
/*
 * Shapes responses.  The filter runs after those that may change a body, SSI,
 * sub_filter and gunzip among them, and before gzip.  The body is shaped as it
 * arrives; the header and the shaped body are held until its last byte, so a
 * body that cannot be shaped is an error and never gets out.
 *
 * An error is only marked.  The rest of the body is discarded, so the caches
 * and breakers before this filter see the end of a response like any other.
 * The call with the last byte returns the status, which nginx then takes for
 * the outcome of the request, "error_page" included.
 */

#include "ngx_http_aggregate_shape.h"
#include "ngx_http_aggregate_unbuffered.h"


static ngx_int_t ngx_http_aggregate_apply_header_filter(
    ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_apply_header(
    ngx_http_request_t *r, ngx_http_aggregate_apply_loc_conf_t *lcf);
static ngx_uint_t ngx_http_aggregate_apply_slice(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_apply_shaped(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_loc_conf_t *lcf);
static ngx_http_aggregate_apply_error_e ngx_http_aggregate_apply_refuses(
    ngx_http_request_t *r, ngx_http_aggregate_apply_loc_conf_t *lcf);
static ngx_int_t ngx_http_aggregate_apply_start(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_loc_conf_t *lcf);
static ngx_uint_t ngx_http_aggregate_apply_detached(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_apply_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_apply_body(
    ngx_http_request_t *r, ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_apply_take_slice(ngx_http_request_t *r,
    ngx_chain_t *in);
static agg_rc_e ngx_http_aggregate_apply_take(
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_apply_children(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_apply_finish(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_apply_output(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_apply_bad(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, agg_rc_e rc);
static ngx_int_t ngx_http_aggregate_apply_cut(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_apply_fail_part(ngx_http_request_t *r,
    ngx_int_t status);
static ngx_int_t ngx_http_aggregate_apply_answer(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static void ngx_http_aggregate_apply_cancel(ngx_http_request_t *r);
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


/* by ngx_http_aggregate_apply_error_e */

static const struct {
    ngx_int_t    status;
    const char  *text;
} ngx_http_aggregate_apply_errors[] = {
    { NGX_OK, "" },
    { NGX_HTTP_INTERNAL_SERVER_ERROR, "no shape has the name" },
    { NGX_HTTP_BAD_GATEWAY, "it is a range of a response (206)" },
    { NGX_HTTP_BAD_GATEWAY, "its type is not JSON (\"strict\")" },
    { NGX_HTTP_BAD_GATEWAY, "it has a content encoding" },
    { NGX_HTTP_BAD_GATEWAY, "it exceeds \"aggregate_shape_buffer\"" },
    { NGX_HTTP_BAD_GATEWAY, "it is not valid JSON" },
    { NGX_HTTP_BAD_GATEWAY, "it is incomplete" },
    { NGX_HTTP_INTERNAL_SERVER_ERROR, "it contains other responses" },
    { NGX_HTTP_INTERNAL_SERVER_ERROR, "no memory" },
    { NGX_HTTP_BAD_GATEWAY, "another filter failed" },
    { NGX_HTTP_BAD_GATEWAY, "another filter took its end" },
    { NGX_HTTP_BAD_GATEWAY, "another module takes the response of the "
                            "subrequest before the shape can" }
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_aggregate_apply_header_filter(ngx_http_request_t *r)
{
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_apply_module);

    if (lcf->apply->off || (r != r->main && r->header_only)) {
        return ngx_http_next_header_filter(r);
    }

    return ngx_http_aggregate_apply_header(r, lcf);
}


static ngx_int_t
ngx_http_aggregate_apply_header(ngx_http_request_t *r,
    ngx_http_aggregate_apply_loc_conf_t *lcf)
{
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_aggregate_apply_get(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->seen = 1;
    ctx->failed = 0;
    ctx->error = NGX_HTTP_AGGREGATE_APPLY_SHAPED;
    ctx->holding = 0;

    if (ngx_http_aggregate_apply_slice(r, ctx)) {
        r->header_sent = 1;
        return NGX_OK;
    }

    ngx_http_aggregate_apply_restore(r, ctx);

    if (!ctx->chosen
        && ngx_http_aggregate_apply_choose(r, ctx, lcf->apply) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->chosen = 0;

    if (!ngx_http_aggregate_apply_is_shapeable(r, ctx)) {
        return ngx_http_next_header_filter(r);
    }

    if (ngx_http_aggregate_apply_vary(r, lcf->apply) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->off) {
        return ngx_http_next_header_filter(r);
    }

    return ngx_http_aggregate_apply_shaped(r, ctx, lcf);
}


/* the next slice of a held response becomes a part of that response */

static ngx_uint_t
ngx_http_aggregate_apply_slice(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_http_aggregate_apply_ctx_t  *main;

    if (r == r->main || !r->subrequest_ranges) {
        return 0;
    }

    main = ngx_http_get_module_ctx(r->main,
                                   ngx_http_aggregate_apply_filter_module);

    if (main == NULL || (!main->holding && !main->failed)) {
        return 0;
    }

    ctx->slice = 1;

    r->filter_need_in_memory = 1;

    return 1;
}


static ngx_int_t
ngx_http_aggregate_apply_shaped(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_loc_conf_t *lcf)
{
    ngx_http_aggregate_apply_error_e  error;

    /* a proxied error page may need the client's body, and nginx closes it */

    r->preserve_body = 1;

    if (ctx->named == NULL) {
        return ngx_http_aggregate_apply_fail(r, ctx,
                                             NGX_HTTP_AGGREGATE_APPLY_NAME);
    }

    error = ngx_http_aggregate_apply_refuses(r, lcf);

    if (error != NGX_HTTP_AGGREGATE_APPLY_SHAPED) {
        return ngx_http_aggregate_apply_fail(r, ctx, error);
    }

    if (ngx_http_aggregate_shape_args(r, ctx->named->shape, &ctx->args)
        != NGX_OK
        || ngx_http_aggregate_apply_etag(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_aggregate_apply_clear(r);

    if (ngx_http_aggregate_apply_unchanged(r)) {
        ngx_http_aggregate_apply_not_modified(r);
        return ngx_http_next_header_filter(r);
    }

    if (r->header_only || r->method == NGX_HTTP_HEAD) {
        return ngx_http_next_header_filter(r);
    }

    return ngx_http_aggregate_apply_start(r, ctx, lcf);
}


/* by its header alone */

static ngx_http_aggregate_apply_error_e
ngx_http_aggregate_apply_refuses(ngx_http_request_t *r,
    ngx_http_aggregate_apply_loc_conf_t *lcf)
{
    ngx_table_elt_t  *h;

    if (ngx_http_aggregate_apply_partial(r)) {
        return NGX_HTTP_AGGREGATE_APPLY_RANGE;
    }

    if (!ngx_http_aggregate_apply_type(r, lcf->apply)) {
        return NGX_HTTP_AGGREGATE_APPLY_TYPE;
    }

    h = r->headers_out.content_encoding;

    if (h && h->hash && h->value.len
        && !(h->value.len == 8
             && ngx_strncasecmp(h->value.data, (u_char *) "identity", 8) == 0))
    {
        return NGX_HTTP_AGGREGATE_APPLY_ENCODING;
    }

    if (r->headers_out.content_length_n > (off_t) lcf->buffer) {
        return NGX_HTTP_AGGREGATE_APPLY_SIZE;
    }

    return NGX_HTTP_AGGREGATE_APPLY_SHAPED;
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
    ctx->received = 0;
    ctx->ended = 0;
    ctx->added = 0;

    r->filter_need_in_memory = 1;

    if (r->upstream) {

        /* otherwise the body of a part comes at its end only, through a file */

        ngx_http_aggregate_unbuffered(r);
    }

    if (r == r->main) {
        return NGX_OK;
    }

    if (ngx_http_aggregate_apply_detached(r)) {

        /* its own subrequests, as of SSI, would never have their turn */

        r->subrequest_in_memory = 1;
    }

    return NGX_OK;
}


/* whether nginx gives it no place in the client's stream */

static ngx_uint_t
ngx_http_aggregate_apply_detached(ngx_http_request_t *r)
{
    ngx_http_postponed_request_t  *pr;

    for (pr = r->parent->postponed; pr; pr = pr->next) {
        if (pr->request == r) {
            return 0;
        }
    }

    return r != r->connection->data;
}


static ngx_int_t
ngx_http_aggregate_apply_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_apply_filter_module);

    if (ctx == NULL && (r == r->main || r->subrequest_in_memory)) {
        return ngx_http_next_body_filter(r, in);
    }

    return ngx_http_aggregate_apply_body(r, ctx, in);
}


static ngx_int_t
ngx_http_aggregate_apply_body(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_chain_t *in)
{
    agg_rc_e    rc;
    ngx_uint_t  last;

    if (ctx && ctx->slice) {
        return ngx_http_aggregate_apply_take_slice(r, in);
    }

    if (ctx == NULL || (!ctx->holding && !ctx->failed)) {
        return ngx_http_aggregate_apply_output(r, in);
    }

    last = ngx_http_aggregate_held_ends(r, in);

    if (ctx->holding) {
        rc = ngx_http_aggregate_apply_take(ctx, in);

        if (rc != AGG_OK
            && ngx_http_aggregate_apply_bad(r, ctx, rc) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ctx->holding
            && (ngx_http_aggregate_held_truncated(r, in)
                || (last && ngx_http_aggregate_held_unended(r)))
            && ngx_http_aggregate_apply_cut(r, ctx) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ctx->received += ngx_http_aggregate_held_discard(in);

    if (ctx->failed) {
        ngx_http_aggregate_apply_stop(r, ctx);

        last |= ngx_http_aggregate_held_truncated(r, in);
    }

    if (last) {
        ctx->ended = 1;
    }

    return ngx_http_aggregate_apply_end(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_apply_take_slice(ngx_http_request_t *r, ngx_chain_t *in)
{
    agg_rc_e                         rc;
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main,
                                  ngx_http_aggregate_apply_filter_module);

    if (ctx && ctx->holding) {
        rc = ngx_http_aggregate_apply_take(ctx, in);

        if (rc != AGG_OK
            && ngx_http_aggregate_apply_bad(r->main, ctx, rc) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    (void) ngx_http_aggregate_held_discard(in);

    return NGX_OK;
}


static agg_rc_e
ngx_http_aggregate_apply_take(ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_chain_t *in)
{
    off_t         taken;
    size_t        size;
    agg_rc_e      rc;
    ngx_buf_t    *b;

    taken = ctx->received;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        if (ngx_http_aggregate_held_is_empty(b)) {
            continue;
        }

        if (!ngx_buf_in_memory(b)) {

            /* the body was requested in memory */

            return AGG_NOMEM;
        }

        size = b->last - b->pos;
        taken += size;

        if (taken > (off_t) ctx->out.max) {
            return AGG_TOO_LARGE;
        }

        rc = agg_shape_run_push(ctx->run, b->pos, size);

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


/*
 * Subrequests of one whose body is held, as of SSI, have their turns when the
 * postpone filter gives them one.  NGX_AGAIN: not all have had theirs.
 */

static ngx_int_t
ngx_http_aggregate_apply_children(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_connection_t  *c;

    c = r->connection;

    if (r == c->data) {
        ctx->child = 0;

        if (r->postponed) {
            if (ngx_http_next_body_filter(r, NULL) == NGX_ERROR) {
                return NGX_ERROR;
            }

            ctx->child = (r != c->data);
        }
    }

    if (r->postponed || ctx->child) {
        r->buffered |= NGX_HTTP_AGGREGATE_APPLY_BUFFERED;
        return NGX_AGAIN;
    }

    r->buffered &= ~NGX_HTTP_AGGREGATE_APPLY_BUFFERED;

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_apply_end(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_aggregate_apply_children(r, ctx);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN || !ctx->ended) {
        return NGX_OK;
    }

    if (ctx->holding) {
        rc = ngx_http_aggregate_apply_finish(r, ctx);

        if (!ctx->failed) {
            return rc;
        }
    }

    return (r == r->main) ? ngx_http_aggregate_apply_answer(r, ctx) : NGX_OK;
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

    rc = ctx->added ? AGG_INVALID : agg_shape_run_finish(ctx->run);

    if (rc == AGG_NOT_FOUND) {
        null.data = (u_char *) "null";
        null.len = 4;

        rc = agg_shape_run_missing(ctx->run, &null);
    }

    if (rc != AGG_OK) {
        return ngx_http_aggregate_apply_bad(r, ctx, rc);
    }

    ctx->holding = 0;

    b = ngx_http_aggregate_held_buf(r, ctx->out.start, ctx->out.pos);
    if (b == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.content_length_n = b->last - b->pos;

    status = ngx_http_next_header_filter(r);

    if (status == NGX_ERROR || status > NGX_OK || r->header_only) {
        return status;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_aggregate_apply_output(r, &out);
}


/*
 * The output of a subrequest of a response that is held has no place yet, and
 * would get out without a shape.
 */

static ngx_int_t
ngx_http_aggregate_apply_output(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_request_t              *pr;
    ngx_http_aggregate_apply_ctx_t  *ctx;

    if (r->subrequest_in_memory) {
        return ngx_http_next_body_filter(r, in);
    }

    for (pr = r->parent; pr; pr = pr->parent) {
        ctx = ngx_http_get_module_ctx(pr,
                                      ngx_http_aggregate_apply_filter_module);

        if (ctx == NULL || (!ctx->holding && !ctx->failed)) {
            continue;
        }

        if (ngx_http_aggregate_held_discard(in)) {
            ctx->added = 1;
        }

        /* its own subrequests still get their turns */

        return (r->postponed && r == r->connection->data)
               ? ngx_http_next_body_filter(r, NULL) : NGX_OK;
    }

    return ngx_http_next_body_filter(r, in);
}


static ngx_int_t
ngx_http_aggregate_apply_bad(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, agg_rc_e rc)
{
    ngx_http_aggregate_apply_error_e  error;

    switch (rc) {

    case AGG_NOMEM:
        error = NGX_HTTP_AGGREGATE_APPLY_MEMORY;
        break;

    case AGG_TOO_LARGE:
        error = NGX_HTTP_AGGREGATE_APPLY_SIZE;
        break;

    default:
        error = (ctx->added || r->postponed) ? NGX_HTTP_AGGREGATE_APPLY_OTHERS
                                             : NGX_HTTP_AGGREGATE_APPLY_JSON;
    }

    return ngx_http_aggregate_apply_fail(r, ctx, error);
}


/*
 * An aggregate itself notices that the last byte of one of its parts is missing
 */

static ngx_int_t
ngx_http_aggregate_apply_cut(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (r == r->main) {
        return ngx_http_aggregate_apply_fail(r, ctx,
                                             NGX_HTTP_AGGREGATE_APPLY_CUT);
    }

    ctx->holding = 0;
    ctx->failed = NGX_HTTP_BAD_GATEWAY;

    rc = ngx_http_next_header_filter(r);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* the status that it becomes */

ngx_int_t
ngx_http_aggregate_apply_note(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_error_e error)
{
    ngx_http_core_loc_conf_t             *clcf;
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_apply_module);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "response in location \"%V\" cannot be shaped by \"%V\": "
                  "%s", &clcf->name,
                  ctx->named ? &ctx->named->name : &lcf->apply->text,
                  ngx_http_aggregate_apply_errors[error].text);

    ctx->error = error;
    ctx->status = r->headers_out.status;

    return ngx_http_aggregate_apply_errors[error].status;
}


ngx_http_aggregate_apply_error_e
ngx_http_aggregate_apply_error(ngx_http_request_t *r, ngx_uint_t *status)
{
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_apply_filter_module);

    if (ctx == NULL) {
        return NGX_HTTP_AGGREGATE_APPLY_SHAPED;
    }

    *status = ctx->status;

    return ctx->error;
}


ngx_int_t
ngx_http_aggregate_apply_fail(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_error_e error)
{
    ngx_int_t                             status;
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_apply_module);

    status = ngx_http_aggregate_apply_note(r, ctx, error);

    if (!ctx->holding) {

        /* the response fails by its header, before any body */

        ctx->received = 0;
        ctx->ended = 0;
    }

    ctx->holding = 0;
    ctx->failed = status;
    ctx->answered = 0;
    ctx->out.max = lcf->buffer;

    if (r != r->main) {
        return ngx_http_aggregate_apply_fail_part(r, status);
    }

    return r->header_only ? ngx_http_aggregate_apply_answer(r, ctx) : NGX_OK;
}


/*
 * The status of a subrequest would be the end of the main request, so that it
 * becomes an empty response with that status
 */

static ngx_int_t
ngx_http_aggregate_apply_fail_part(ngx_http_request_t *r, ngx_int_t status)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    ngx_http_clean_header(r);

    r->headers_out.status = status;
    r->headers_out.content_length_n = 0;

    rc = ngx_http_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    b = ngx_http_aggregate_held_buf(r, NULL, NULL);
    if (b == NULL) {
        return NGX_ERROR;
    }

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_aggregate_apply_output(r, &out);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/*
 * Nothing is left of the response, as where nginx's own filters refuse one.
 * Who sends the last byte may not look at what it comes to; then nginx asks
 * again.
 */

static ngx_int_t
ngx_http_aggregate_apply_answer(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_http_clean_header(r);

    ngx_memzero(r->ctx, sizeof(void *) * ngx_http_max_module);

    /* until the header of the error comes, the rest of the body may */

    ngx_http_set_ctx(r, ctx, ngx_http_aggregate_apply_filter_module);

    if (ctx->answered) {
        r->buffered &= ~NGX_HTTP_AGGREGATE_APPLY_BUFFERED;
        return ctx->failed;
    }

    ctx->answered = 1;

    r->buffered |= NGX_HTTP_AGGREGATE_APPLY_BUFFERED;

    if (ngx_http_post_request(r, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    return ctx->failed;
}


/* the rest of a body is discarded, up to the limit of what is read */

void
ngx_http_aggregate_apply_stop(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (ctx->received <= (off_t) ctx->out.max || ctx->cancelled
        || u == NULL || u->cleanup == NULL || r->post_subrequest)
    {
        return;
    }

    if (ngx_http_post_request(r, NULL) != NGX_OK) {
        return;
    }

    ctx->cancelled = 1;

    r->write_event_handler = ngx_http_aggregate_apply_cancel;
}


static void
ngx_http_aggregate_apply_cancel(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_http_upstream_t             *u;
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_apply_filter_module);

    u = r->upstream;

    if (r->aio || ctx == NULL || u == NULL || u->cleanup == NULL) {

        /* a thread that is at work calls this when it is done */

        return;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    r->main->count++;

    (*u->cleanup)(r);

    ctx->ended = 1;

    rc = ngx_http_aggregate_apply_end(r, ctx);

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_aggregate_apply_filter_init(ngx_conf_t *cf)
{
    ngx_http_aggregate_apply_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_apply_module);

    if (mcf->applied.nelts == 0) {
        return NGX_OK;
    }

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_apply_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_apply_body_filter;

    return NGX_OK;
}
