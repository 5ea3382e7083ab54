
/*
 * A request becomes a call.  Our handler calls that of grpc_pass, which creates
 * an upstream; it is not started until its callbacks are hooked.
 */

#include "ngx_http_aggregate_grpc.h"


static void ngx_http_aggregate_grpc_cleanup(void *data);
static ngx_int_t ngx_http_aggregate_grpc_choose_stream(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_choose(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *as);
static ngx_int_t ngx_http_aggregate_grpc_choose_single(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *method);
static ngx_int_t ngx_http_aggregate_grpc_path(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *path,
    ngx_uint_t *decoded);
static ngx_int_t ngx_http_aggregate_grpc_not_allowed(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *allowed, ngx_uint_t n);
static void ngx_http_aggregate_grpc_choose_form(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_check_type(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static void ngx_http_aggregate_grpc_body(ngx_http_request_t *r);
static void ngx_http_aggregate_grpc_start(ngx_http_aggregate_grpc_ctx_t *ctx);


ngx_int_t
ngx_http_aggregate_grpc_handler(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_http_aggregate_grpc_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /*
     * nginx adds the call's trailers to this list; lua's subrequests have none
     */

    if (r->headers_out.trailers.part.elts == NULL
        && ngx_list_init(&r->headers_out.trailers, r->pool, 4,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_aggregate_grpc_ws_wanted(ctx)) {

        rc = ngx_http_aggregate_grpc_choose_stream(ctx);

        if (rc == NGX_OK) {
            rc = ngx_http_aggregate_grpc_deadline(ctx);
        }

        return rc == NGX_OK ? ngx_http_aggregate_grpc_ws_start(ctx) : rc;
    }

    rc = ngx_http_aggregate_grpc_choose(ctx, NULL);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_aggregate_grpc_choose_form(ctx);

    rc = ngx_http_aggregate_grpc_check_type(ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_aggregate_grpc_deadline(ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_aggregate_grpc_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


ngx_http_aggregate_grpc_ctx_t *
ngx_http_aggregate_grpc_create_ctx(ngx_http_request_t *r)
{
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_grpc_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->mcf = ngx_http_get_module_main_conf(r,
                                             ngx_http_aggregate_grpc_module);
    ctx->conf = ngx_http_get_module_loc_conf(r,
                                             ngx_http_aggregate_grpc_module);
    ctx->code = -1;
    ctx->retry_after = -1;
    ctx->keepalive = r->keepalive;

    ngx_http_aggregate_grpc_mem_init(ctx);

    return ngx_http_aggregate_ctx_keep(r, ctx, &ngx_http_aggregate_grpc_module,
                                       ngx_http_aggregate_grpc_cleanup)
           == NGX_OK ? ctx : NULL;
}


static void
ngx_http_aggregate_grpc_cleanup(void *data)
{
    ngx_http_aggregate_grpc_ctx_t *ctx = data;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->ping.timer_set) {
        ngx_del_timer(&ctx->ping);
    }

    ngx_http_aggregate_grpc_mem_free(ctx);
    ngx_http_aggregate_memory_freed();
}


ngx_http_aggregate_grpc_ctx_t *
ngx_http_aggregate_grpc_find_ctx(ngx_http_request_t *r)
{
    return ngx_http_aggregate_ctx_find(r, &ngx_http_aggregate_grpc_module,
                                       ngx_http_aggregate_grpc_cleanup);
}


/*
 * An error without a call.  Its status is returned as for a special response,
 * so that error_page applies; otherwise it gets a body of ours.
 */

ngx_int_t
ngx_http_aggregate_grpc_refuse(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_uint_t status, agg_grpc_code_e code, const u_char *text, size_t len)
{
    u_char  *detail;

    detail = ngx_pnalloc(ctx->request->pool, len);
    if (detail == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(detail, text, len);

    ctx->detail.data = detail;
    ctx->detail.len = len;
    ctx->status = status;
    ctx->code = code;
    ctx->refused = 1;

    return (ngx_int_t) status;
}


/* a method that streams, with any verb: GET is tried first */

static ngx_int_t
ngx_http_aggregate_grpc_choose_stream(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    unsigned                i;
    ngx_int_t               rc;
    agg_grpc_rules_t       *rules;
    const agg_pb_method_t  *method;

    static agg_str_t  get = { 3, (u_char *) "GET" };

    if (ctx->conf->call->post) {
        ctx->binding = ctx->conf->call->post;
        return NGX_OK;
    }

    rules = &ctx->conf->call->rules;

    for (i = 0; i <= rules->nkinds; i++) {

        rc = ngx_http_aggregate_grpc_choose(ctx, i == 0 ? &get
                                                        : &rules->kinds[i - 1]);
        if (rc == NGX_HTTP_NOT_FOUND) {
            continue;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        method = ctx->binding->method;

        if (method->client_streaming || method->server_streaming) {
            ctx->refused = 0;
            ctx->code = -1;
            ngx_str_null(&ctx->detail);

            return NGX_OK;
        }
    }

    return ngx_http_aggregate_grpc_refuse_text(ctx, NGX_HTTP_NOT_FOUND,
                                               AGG_GRPC_NOT_FOUND,
                                               "no stream has this path");
}


/* finds the method by the rules, or by its own path */

static ngx_int_t
ngx_http_aggregate_grpc_choose(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *as)
{
    agg_rc_e                         rc;
    ngx_int_t                        error;
    agg_str_t                        path, method;
    ngx_uint_t                       decoded;
    ngx_http_request_t              *r;
    ngx_http_aggregate_grpc_call_t  *call;

    r = ctx->request;
    call = ctx->conf->call;

    method.len = r->method_name.len;
    method.data = r->method_name.data;

    if (call->post) {
        return ngx_http_aggregate_grpc_choose_single(ctx, &method);
    }

    if (as) {
        method = *as;
    }

    error = ngx_http_aggregate_grpc_path(ctx, &path, &decoded);
    if (error != NGX_OK) {
        return error;
    }

    ctx->match = ngx_palloc(r->pool, sizeof(agg_grpc_match_t));
    if (ctx->match == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = agg_grpc_match(&call->rules, ctx->match, &method, &path,
                        (int) decoded);

    if (rc == AGG_OK) {
        ctx->binding = ctx->match->rule->data;
        return NGX_OK;
    }

    if (ctx->match->nallowed && as == NULL) {
        return ngx_http_aggregate_grpc_not_allowed(ctx, ctx->match->allowed,
                                                   ctx->match->nallowed);
    }

    return ngx_http_aggregate_grpc_refuse_text(ctx, NGX_HTTP_NOT_FOUND,
                                               AGG_GRPC_NOT_FOUND,
                                               "no method has this path");
}


static ngx_int_t
ngx_http_aggregate_grpc_choose_single(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *method)
{
    ngx_uint_t                       n;
    ngx_http_aggregate_grpc_call_t  *call;

    static agg_str_t  allowed[] = {
        { 4, (u_char *) "POST" },
        { 3, (u_char *) "GET" },
        { 4, (u_char *) "HEAD" }
    };

    call = ctx->conf->call;

    if (ctx->request->method == NGX_HTTP_POST) {
        ctx->binding = call->post;
        return NGX_OK;
    }

    if (call->get
        && (ctx->request->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)))
    {
        ctx->binding = call->get;
        return NGX_OK;
    }

    n = call->get ? 3 : 1;

    return ngx_http_aggregate_grpc_not_allowed(ctx, allowed, n);
}


/*
 * The path is used as the client sent it, so that an encoded slash is not a
 * separator. nginx has chosen the location by the decoded path without "." and
 * ".."; a path that contains these could match a rule of another location, and
 * is refused.
 */

static ngx_int_t
ngx_http_aggregate_grpc_path(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *path, ngx_uint_t *decoded)
{
    u_char              *p, *end;
    ssize_t              n;
    agg_str_t            plain;
    ngx_str_t           *strip;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r == r->main && r->valid_unparsed_uri) {

        p = r->unparsed_uri.data;
        end = p + r->unparsed_uri.len;

        path->data = p;

        if (r->unparsed_uri.len == r->uri.len && !r->quoted_uri
            && !r->complex_uri)
        {
            p = end;
        }

        while (p < end && *p != '?' && *p != '#') {
            p++;
        }

        path->len = p - path->data;
        *decoded = 0;

        if (r->quoted_uri || r->complex_uri) {

            plain.data = ngx_pnalloc(r->pool, path->len);
            if (plain.data == NULL) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            n = agg_grpc_decode(plain.data, path, 1);
            plain.len = (size_t) n;

            if (n < 0 || agg_grpc_has_dots(&plain)) {
                return ngx_http_aggregate_grpc_refuse_text(ctx,
                                                  NGX_HTTP_BAD_REQUEST,
                                                  AGG_GRPC_INVALID_ARGUMENT,
                                                  "invalid path");
            }
        }

    } else {
        path->len = r->uri.len;
        path->data = r->uri.data;

        /* a "/" in a value in a part's URI is encoded */

        *decoded = r == r->main || r->internal;
    }

    strip = &ctx->conf->call->strip;

    if (strip->len == 0) {
        return NGX_OK;
    }

    if (path->len <= strip->len
        || ngx_strncmp(path->data, strip->data, strip->len) != 0
        || path->data[strip->len] != '/')
    {
        return ngx_http_aggregate_grpc_refuse_text(ctx, NGX_HTTP_NOT_FOUND,
                                                   AGG_GRPC_NOT_FOUND,
                                                   "no method has this path");
    }

    path->data += strip->len;
    path->len -= strip->len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_not_allowed(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *allowed, ngx_uint_t n)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   value;
    ngx_uint_t  i;

    len = 0;

    for (i = 0; i < n; i++) {
        len += allowed[i].len + 2;
    }

    value.data = ngx_pnalloc(ctx->request->pool, len);
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = value.data;

    for (i = 0; i < n; i++) {

        if (i != 0) {
            *p++ = ',';
            *p++ = ' ';
        }

        p = ngx_cpymem(p, allowed[i].data, allowed[i].len);
    }

    value.len = p - value.data;

    if (ngx_http_aggregate_header_add(&ctx->request->headers_out.headers,
                                      "Allow", &value)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_aggregate_grpc_refuse_text(ctx, NGX_HTTP_NOT_ALLOWED,
                                       AGG_GRPC_UNIMPLEMENTED,
                                       "no method has this path and verb");
}


static void
ngx_http_aggregate_grpc_choose_form(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    unsigned                          n;
    agg_str_t                         values[8];
    ngx_table_elt_t                  *h;
    agg_grpc_form_e                   form;
    ngx_http_request_t               *r;
    ngx_http_aggregate_header_iter_t  it;

    r = ctx->request;

    if (!ctx->binding->method->server_streaming) {
        ctx->form = NGX_HTTP_AGGREGATE_GRPC_UNARY;
        return;
    }

    if (ctx->binding->raw_response) {
        ctx->form = NGX_HTTP_AGGREGATE_GRPC_RAW;
        return;
    }

    form = (agg_grpc_form_e) ctx->conf->stream;

    if (ctx->conf->stream == NGX_HTTP_AGGREGATE_GRPC_AUTO) {

        ctx->vary = 1;

        n = 0;
        ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

        while (n < 8 && (h = ngx_http_aggregate_header_next(&it)) != NULL) {
            if (ngx_http_aggregate_header_is(h, "Accept")) {
                values[n].len = h->value.len;
                values[n++].data = h->value.data;
            }
        }

        form = agg_grpc_accept(values, n);
    }

    if (r != r->main && form != AGG_GRPC_ARRAY) {

        /* a cached response would have the wrong form for other clients */

        ctx->no_store = 1;
        form = AGG_GRPC_ARRAY;
    }

    ctx->form = form == AGG_GRPC_SSE ? NGX_HTTP_AGGREGATE_GRPC_SSE
                : form == AGG_GRPC_NDJSON ? NGX_HTTP_AGGREGATE_GRPC_NDJSON
                : NGX_HTTP_AGGREGATE_GRPC_ARRAY;
}


#define ngx_http_aggregate_grpc_type_is(type, name)                           \
    ((type)->len == sizeof(name) - 1                                          \
     && (ngx_memcmp((type)->data, name, sizeof(name) - 1) == 0               \
         || ngx_strncasecmp((type)->data, (u_char *) name, sizeof(name) - 1)  \
            == 0))


/* JSON, or no type; for a stream also JSON lines */

static ngx_int_t
ngx_http_aggregate_grpc_check_type(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_str_t            type;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (!ctx->binding->has_body || ctx->binding->raw_body
        || r->headers_in.content_type == NULL
        || (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked))
    {
        return NGX_OK;
    }

    type = r->headers_in.content_type->value;

    if (type.len == 0) {
        return NGX_OK;
    }

    for (type.len = 0;
         type.len < r->headers_in.content_type->value.len
         && type.data[type.len] != ';' && type.data[type.len] != ' ';
         type.len++)
    {
        /* void */
    }

    if (ngx_http_aggregate_grpc_type_is(&type, "application/json")
        || (type.len > 5
            && ngx_strncasecmp(type.data + type.len - 5, (u_char *) "+json", 5)
               == 0))
    {
        return NGX_OK;
    }

    if (ctx->binding->method->client_streaming
        && (ngx_http_aggregate_grpc_type_is(&type, "application/x-ndjson")
            || ngx_http_aggregate_grpc_type_is(&type, "application/jsonl")))
    {
        return NGX_OK;
    }

    return ngx_http_aggregate_grpc_refuse_text(ctx,
                                       NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                       AGG_GRPC_INVALID_ARGUMENT,
                                       "the body must be application/json");
}


static void
ngx_http_aggregate_grpc_body(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_grpc_module);

    rc = ngx_http_aggregate_grpc_message(ctx);

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    ngx_http_aggregate_grpc_start(ctx);
}


/*
 * Once the body is read, the handler would start the upstream at once. nginx's
 * r->aio prevents that, as a request that waits for a thread or a file does not
 * start an upstream.
 */

static void
ngx_http_aggregate_grpc_start(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->request_body == NULL) {
        r->request_body = ngx_pcalloc(r->pool,
                                      sizeof(ngx_http_request_body_t));
        if (r->request_body == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    r->aio = 1;
    rc = ctx->mcf->handler(r);
    r->aio = 0;

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    ngx_http_aggregate_grpc_hook(ctx);
    ngx_http_upstream_init(r);

    /* the body was read twice, and each reading holds a reference */

    ngx_http_finalize_request(r, NGX_DONE);
}
