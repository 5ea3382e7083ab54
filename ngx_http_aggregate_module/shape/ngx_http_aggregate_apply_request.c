
/*
 * The request side of "aggregate_apply".  The backend is asked for a shapeable
 * response before it is known whether the response will be shaped: a variable
 * may depend on the response, and is therefore read when that is there.
 */

#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_shape.h"
#include "agg_header_names.h"


static ngx_int_t ngx_http_aggregate_apply_handler(ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_apply_request(
    ngx_http_request_t *r, ngx_http_aggregate_apply_loc_conf_t *lcf);
static ngx_int_t ngx_http_aggregate_apply_strip(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_apply_drops(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_apply_hide(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
static void ngx_http_aggregate_apply_move(ngx_table_elt_t **to,
    ngx_table_elt_t **from);
static ngx_http_aggregate_apply_ctx_t *ngx_http_aggregate_apply_find_ctx(
    ngx_http_request_t *r);
static void ngx_http_aggregate_apply_cleanup(void *data);
static ngx_int_t ngx_http_aggregate_apply_early_filter(ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_apply_left(
    ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_apply_early(
    ngx_http_request_t *r, ngx_http_aggregate_apply_loc_conf_t *lcf);
static void ngx_http_aggregate_apply_no_body(ngx_http_request_t *r);
static void ngx_http_aggregate_apply_restore_header(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/*
 * The backend is asked for a whole body that is not compressed, and whether
 * the client has it already is decided when its shape is known.
 */

static ngx_int_t
ngx_http_aggregate_apply_handler(ngx_http_request_t *r)
{
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_apply_module);

    if (lcf->apply->off
        && !ngx_http_aggregate_ctx_has(r,
                                      &ngx_http_aggregate_apply_filter_module))
    {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_apply_request(r, lcf);
}


static ngx_int_t
ngx_http_aggregate_apply_request(ngx_http_request_t *r,
    ngx_http_aggregate_apply_loc_conf_t *lcf)
{
    ngx_http_aggregate_apply_ctx_t  *ctx;

    if (lcf->apply->off) {

        /* a redirect may have led out of where it was on */

        ctx = ngx_http_aggregate_apply_find_ctx(r);

        if (ctx) {
            ngx_http_aggregate_apply_restore(r, ctx);
        }

        return NGX_DECLINED;
    }

    if (r != r->main && r->header_only) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_aggregate_apply_get(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->elts && ctx->elts == r->headers_in.headers.part.elts) {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_apply_strip(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_apply_strip(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_list_t  list;

    rc = ngx_http_aggregate_headers_filter(r, &r->headers_in.headers, &list,
                                           ngx_http_aggregate_apply_drops);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->headers = r->headers_in.headers;
    ctx->elts = list.part.elts;

    ngx_http_aggregate_headers_set(&r->headers_in.headers, &list);

    ngx_http_aggregate_apply_hide(r, ctx);

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_http_aggregate_apply_drops(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    unsigned  flags;

    flags = agg_header_flags(h->key.data, h->key.len);

    if (!(flags & AGG_HEADER_NO_SHAPE)) {
        return 0;
    }

    return !(flags & AGG_HEADER_CONDITION)
           || (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD));
}


/* the same for nginx's own filters */

static void
ngx_http_aggregate_apply_hide(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_http_headers_in_t  *in;

    in = &r->headers_in;

    ngx_http_aggregate_apply_move(&ctx->accept_encoding, &in->accept_encoding);
    ngx_http_aggregate_apply_move(&ctx->range, &in->range);
    ngx_http_aggregate_apply_move(&ctx->if_range, &in->if_range);

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        ngx_http_aggregate_apply_move(&ctx->if_none_match,
                                      &in->if_none_match);
        ngx_http_aggregate_apply_move(&ctx->if_modified_since,
                                      &in->if_modified_since);
    }
}


static void
ngx_http_aggregate_apply_move(ngx_table_elt_t **to, ngx_table_elt_t **from)
{
    if (*from) {
        *to = *from;
        *from = NULL;
    }
}


/* restores the request as it came, if nobody has changed it since */

void
ngx_http_aggregate_apply_restore(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_http_headers_in_t  *in;

    in = &r->headers_in;

    if (ctx->elts && in->headers.part.elts == ctx->elts) {
        in->headers = ctx->headers;
    }

    ctx->elts = NULL;

    ngx_http_aggregate_apply_move(&in->accept_encoding, &ctx->accept_encoding);
    ngx_http_aggregate_apply_move(&in->range, &ctx->range);
    ngx_http_aggregate_apply_move(&in->if_range, &ctx->if_range);
    ngx_http_aggregate_apply_move(&in->if_none_match, &ctx->if_none_match);
    ngx_http_aggregate_apply_move(&in->if_modified_since,
                                  &ctx->if_modified_since);

    r->gzip_tested = 0;
}


/* the context of the request, made where there is none; NULL: an error */

ngx_http_aggregate_apply_ctx_t *
ngx_http_aggregate_apply_get(ngx_http_request_t *r)
{
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_aggregate_apply_find_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_apply_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ctx->request = r;

        if (ngx_http_aggregate_ctx_keep(r, ctx,
                                      &ngx_http_aggregate_apply_filter_module,
                                      ngx_http_aggregate_apply_cleanup)
            != NGX_OK)
        {
            return NULL;
        }
    }

    ngx_http_set_ctx(r, ctx, ngx_http_aggregate_apply_filter_module);

    return ctx;
}


static ngx_http_aggregate_apply_ctx_t *
ngx_http_aggregate_apply_find_ctx(ngx_http_request_t *r)
{
    return ngx_http_aggregate_ctx_find(r,
                                      &ngx_http_aggregate_apply_filter_module,
                                      ngx_http_aggregate_apply_cleanup);
}


static void
ngx_http_aggregate_apply_cleanup(void *data)
{
    ngx_http_aggregate_memory_freed();
}


/*
 * This filter runs before all of nginx's and after the cache.  nginx's filters
 * handle conditions and ranges of responses that are not shaped, but must not
 * see those of responses that are.
 */

static ngx_int_t
ngx_http_aggregate_apply_early_filter(ngx_http_request_t *r)
{
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_apply_module);

    if (lcf->apply->off || (r != r->main && r->header_only)) {
        return ngx_http_aggregate_ctx_has(r,
                                       &ngx_http_aggregate_apply_filter_module)
               ? ngx_http_aggregate_apply_left(r)
               : ngx_http_next_header_filter(r);
    }

    return ngx_http_aggregate_apply_early(r, lcf);
}


/* a redirect may have led out of where it was on */

static ngx_int_t
ngx_http_aggregate_apply_left(ngx_http_request_t *r)
{
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_aggregate_apply_find_ctx(r);

    if (ctx) {
        r->buffered &= ~NGX_HTTP_AGGREGATE_APPLY_BUFFERED;

        ngx_http_aggregate_apply_restore(r, ctx);
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_aggregate_apply_early(ngx_http_request_t *r,
    ngx_http_aggregate_apply_loc_conf_t *lcf)
{
    ngx_int_t                        rc;
    ngx_http_aggregate_apply_ctx_t  *ctx;

    ctx = ngx_http_aggregate_apply_get(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    r->buffered &= ~NGX_HTTP_AGGREGATE_APPLY_BUFFERED;

    ctx->chosen = 0;
    ctx->seen = 0;
    ctx->bypassed = 0;
    ctx->broken = 0;

    ngx_http_aggregate_apply_no_body(r);

    if (r->headers_out.status >= NGX_HTTP_OK
        && r->headers_out.status < NGX_HTTP_SPECIAL_RESPONSE)
    {
        if (ngx_http_aggregate_apply_choose(r, ctx, lcf->apply) != NGX_OK) {
            return NGX_ERROR;
        }

        if (!ctx->off && ngx_http_aggregate_apply_is_shapeable(r, ctx)) {
            ngx_http_aggregate_apply_hide(r, ctx);

            rc = ngx_http_next_header_filter(r);

            if (r != r->main && !ctx->seen && rc == NGX_OK) {
                ngx_http_aggregate_apply_bypass(r, ctx);
            }

            return rc;
        }
    }

    if (ctx->elts) {
        ngx_http_aggregate_apply_restore_header(r, ctx);
    }

    ngx_http_aggregate_apply_restore(r, ctx);

    return ngx_http_next_header_filter(r);
}


/* gunzip would look for the body of a response that has none, and fail */

static void
ngx_http_aggregate_apply_no_body(ngx_http_request_t *r)
{
    if (r->headers_out.content_encoding
        && (r->headers_out.status == NGX_HTTP_NO_CONTENT
            || r->headers_out.status == NGX_HTTP_NOT_MODIFIED))
    {
        r->headers_out.content_encoding->hash = 0;
        r->headers_out.content_encoding = NULL;
    }
}


/* evaluates the headers that were withheld from the backend */

static void
ngx_http_aggregate_apply_restore_header(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    if (r->headers_out.status != NGX_HTTP_OK) {
        return;
    }

    h = r->headers_out.accept_ranges;

    if (ctx->range && h && h->hash && h->value.len == 5
        && ngx_strncasecmp(h->value.data, (u_char *) "bytes", 5) == 0)
    {
        ngx_http_clear_accept_ranges(r);

        r->allow_ranges = 1;
        r->single_range = 1;
    }

    if (r->headers_in.if_match == NULL
        && r->headers_in.if_unmodified_since == NULL)
    {
        r->disable_not_modified = 0;
    }
}


/* which shape the response gets, by its own headers too */

ngx_int_t
ngx_http_aggregate_apply_choose(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_http_aggregate_apply_t *apply)
{
    ngx_str_t                              name;
    ngx_http_aggregate_apply_main_conf_t  *mcf;

    ctx->chosen = 1;
    ctx->off = 0;
    ctx->named = apply->named;

    if (apply->value == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, apply->value, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (name.len == 0 && apply->empty_off) {
        ctx->off = 1;
        return NGX_OK;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_apply_module);

    ctx->named = ngx_http_aggregate_apply_find(mcf, &name);

    return NGX_OK;
}


/*
 * Whether the response is one of those that are shaped, or refused.  Nobody
 * asked for a 206, and its type is not always that of what it is a part of.
 */

ngx_uint_t
ngx_http_aggregate_apply_is_shapeable(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    if (r->headers_out.status < NGX_HTTP_OK
        || r->headers_out.status >= NGX_HTTP_SPECIAL_RESPONSE
        || r->headers_out.status == NGX_HTTP_NO_CONTENT)
    {
        return 0;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_apply_module);

    if (ngx_http_aggregate_apply_type(r, lcf->apply)) {
        return 1;
    }

    if (ctx->off) {
        return 0;
    }

    return (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
            && ngx_http_aggregate_apply_partial(r))
           || (lcf->apply->strict && r->headers_out.content_length_n != 0);
}


/* whether it is a range of bytes; one of another unit is a whole document */

ngx_uint_t
ngx_http_aggregate_apply_partial(ngx_http_request_t *r)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_out.content_range;

    if (h == NULL || h->hash == 0) {
        return r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT;
    }

    p = h->value.data;
    last = p + h->value.len;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    /* a unit is letters and an end: what is no unit is taken for bytes */

    if (p == last || *p < 'A' || (*p > 'Z' && *p < 'a') || *p > 'z') {
        return 1;
    }

    return last - p >= 5 && ngx_strncasecmp(p, (u_char *) "bytes", 5) == 0
           && (last - p == 5 || p[5] == ' ' || p[5] == '\t' || p[5] == '='
               || p[5] == '/');
}


ngx_int_t
ngx_http_aggregate_apply_request_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_aggregate_apply_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_apply_early_filter;

    ngx_http_aggregate_apply_guard_init();

    return NGX_OK;
}
