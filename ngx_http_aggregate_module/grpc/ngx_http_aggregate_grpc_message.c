
/*
 * converts the JSON, the path and the query of the request to framed messages
 */

#include "ngx_http_aggregate_grpc.h"
#include "agg_pb_required.h"


/* for bodies up to this size, memory for the message is reserved at once */

#define NGX_HTTP_AGGREGATE_GRPC_MODEST  16384


static ngx_int_t ngx_http_aggregate_grpc_read_body(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *body);
static ngx_int_t ngx_http_aggregate_grpc_copy_body(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_chain_t *cl, size_t size,
    agg_str_t *body);
static ngx_int_t ngx_http_aggregate_grpc_array(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *body);
static ngx_int_t ngx_http_aggregate_grpc_lines(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *body);
static ngx_int_t ngx_http_aggregate_grpc_no_message(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_grpc_is_lines(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_required(
    ngx_http_aggregate_grpc_ctx_t *ctx, u_char *data, size_t len);
static void ngx_http_aggregate_grpc_read_options(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_pb_read_t *options);
static ngx_uint_t ngx_http_aggregate_grpc_in_pieces(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_join(
    ngx_http_aggregate_grpc_ctx_t *ctx, size_t start);
static ngx_int_t ngx_http_aggregate_grpc_raw(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *body);
static ngx_int_t ngx_http_aggregate_grpc_bind_request(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_pb_read_t *options);
static ngx_int_t ngx_http_aggregate_grpc_bind_query(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_pb_bind_t *bind);
static ngx_uint_t ngx_http_aggregate_grpc_is_ignored(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *name);
static ngx_int_t ngx_http_aggregate_grpc_bind_paths(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_pb_bind_t *bind);
static ngx_int_t ngx_http_aggregate_grpc_invalid(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_rc_e rc, agg_pb_error_t *err);
static ngx_int_t ngx_http_aggregate_grpc_put(
    ngx_http_aggregate_grpc_ctx_t *ctx, const void *data, size_t len);


ngx_int_t
ngx_http_aggregate_grpc_message(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_int_t  rc;
    agg_str_t  body;

    agg_buf_init(&ctx->wire, &ctx->mem, AGG_PB_MAX_INPUT);

    body.len = 0;
    body.data = NULL;

    if (ctx->binding->has_body) {
        rc = ngx_http_aggregate_grpc_read_body(ctx, &body);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!ctx->binding->method->client_streaming || !ctx->binding->has_body
        || ctx->binding->raw_body)
    {
        rc = ngx_http_aggregate_grpc_one(ctx, &body, 1);

    } else if (ngx_http_aggregate_grpc_is_lines(ctx)) {
        rc = ngx_http_aggregate_grpc_lines(ctx, &body);

    } else {
        rc = ngx_http_aggregate_grpc_array(ctx, &body);
    }

    if (rc == NGX_OK && agg_buf_used(&ctx->wire) == 0) {
        rc = ngx_http_aggregate_grpc_no_message(ctx);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_aggregate_grpc_set_request(ctx);

    return NGX_OK;
}


void
ngx_http_aggregate_grpc_set_request(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_buf_t  *b;

    b = &ctx->request_buf;

    b->start = ctx->wire.start;
    b->pos = ctx->wire.start;
    b->last = ctx->wire.pos;
    b->end = ctx->wire.pos;
    b->memory = 1;

    ctx->request_chain.buf = b;
    ctx->request_chain.next = NULL;
}


/* in one piece */

static ngx_int_t
ngx_http_aggregate_grpc_read_body(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *body)
{
    off_t                size;
    ngx_buf_t           *b;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;
    b = cl->buf;

    if (cl->next == NULL && !b->in_file) {
        body->data = b->pos;
        body->len = b->last - b->pos;

        return NGX_OK;
    }

    size = 0;

    for ( /* void */ ; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > (off_t) AGG_PB_MAX_INPUT) {
        return ngx_http_aggregate_grpc_refuse_text(ctx,
                                       NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       AGG_GRPC_RESOURCE_EXHAUSTED,
                                       "the body is too large");
    }

    return ngx_http_aggregate_grpc_copy_body(ctx, r->request_body->bufs,
                                             (size_t) size, body);
}


static ngx_int_t
ngx_http_aggregate_grpc_copy_body(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_chain_t *cl, size_t size, agg_str_t *body)
{
    size_t      n;
    u_char     *p;
    ssize_t     read;
    ngx_buf_t  *b;

    p = ctx->mem.alloc(ctx->mem.ctx, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->data = p;
    body->len = size;

    for ( /* void */ ; cl; cl = cl->next) {
        b = cl->buf;

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        n = (size_t) (b->file_last - b->file_pos);
        read = ngx_read_file(b->file, p, n, b->file_pos);

        if (read == NGX_ERROR || (size_t) read != n) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p += n;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_grpc_is_lines(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    h = ctx->request->headers_in.content_type;

    return h && ((h->value.len >= 20
                  && ngx_strncasecmp(h->value.data,
                                     (u_char *) "application/x-ndjson", 20)
                     == 0)
                 || (h->value.len >= 17
                     && ngx_strncasecmp(h->value.data,
                                        (u_char *) "application/jsonl", 17)
                        == 0));
}


/* each element of an array becomes a message of a stream */

static ngx_int_t
ngx_http_aggregate_grpc_array(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *body)
{
    ngx_int_t    rc;
    agg_str_t    json;
    ngx_uint_t   bind;
    agg_iter_t   it;

    json = *body;
    agg_json_trim(&json);

    bind = 1;

    if (json.len != 0) {

        if (agg_json_validate(json.data, json.len, NULL) != AGG_OK) {
            return ngx_http_aggregate_grpc_refuse_text(ctx,
                                               NGX_HTTP_BAD_REQUEST,
                                               AGG_GRPC_INVALID_ARGUMENT,
                                               "the body is not valid JSON");
        }

        if (agg_json_kind(&json) != AGG_ARRAY) {
            return ngx_http_aggregate_grpc_refuse_text(ctx,
                                               NGX_HTTP_BAD_REQUEST,
                                               AGG_GRPC_INVALID_ARGUMENT,
                                               "the body of a stream must be "
                                               "an array");
        }

        agg_iter_init(&it, &json);

        while (agg_iter_next(&it)) {
            rc = ngx_http_aggregate_grpc_one(ctx, &it.value, bind);
            if (rc != NGX_OK) {
                return rc;
            }

            bind = 0;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_lines(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *body)
{
    u_char      *p, *end, *eol;
    ngx_int_t    rc;
    agg_str_t    line;
    ngx_uint_t   bind;

    bind = 1;
    p = body->data;
    end = p + body->len;

    while (p < end) {

        eol = ngx_strlchr(p, end, '\n');
        if (eol == NULL) {
            eol = end;
        }

        line.data = p;
        line.len = eol - p;
        agg_json_trim(&line);

        if (line.len != 0) {
            rc = ngx_http_aggregate_grpc_one(ctx, &line, bind);
            if (rc != NGX_OK) {
                return rc;
            }

            bind = 0;
        }

        p = eol + 1;
    }

    return NGX_OK;
}


/* a stream without messages: the path and the query are checked anyway */

static ngx_int_t
ngx_http_aggregate_grpc_no_message(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_int_t      rc;
    agg_pb_read_t  options;

    ngx_http_aggregate_grpc_read_options(ctx, &options);

    rc = ngx_http_aggregate_grpc_bind_request(ctx, &options);

    ctx->wire.pos = ctx->wire.start;

    return rc;
}


/* one frame: first the body, then the fields bound by query and path */

ngx_int_t
ngx_http_aggregate_grpc_one(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *json, ngx_uint_t bind)
{
    size_t                              start, len;
    agg_rc_e                            rc;
    ngx_int_t                           error;
    agg_str_t                           value;
    agg_pb_read_t                       options;
    agg_pb_error_t                      err;
    ngx_http_aggregate_grpc_binding_t  *binding;

    binding = ctx->binding;

    ngx_http_aggregate_grpc_read_options(ctx, &options);

    start = agg_buf_used(&ctx->wire);

    if (start == 0 && json->len < NGX_HTTP_AGGREGATE_GRPC_MODEST) {
        (void) agg_buf_reserve(&ctx->wire, AGG_GRPC_FRAME_HEAD
                                           + agg_pb_read_room(json->len));
    }

    error = ngx_http_aggregate_grpc_put(ctx, "\0\0\0\0\0",
                                        AGG_GRPC_FRAME_HEAD);
    if (error != NGX_OK) {
        return error;
    }

    if (binding->raw_body) {
        error = ngx_http_aggregate_grpc_raw(ctx, json);
        if (error != NGX_OK) {
            return error;
        }

    } else if (binding->has_body) {

        value = *json;
        agg_json_trim(&value);

        if (value.len != 0 || ctx->ws) {
            err.len = 0;

            rc = agg_pb_from_json(ctx->mcf->pool, binding->method->input,
                                  binding->body, &value, &options, &ctx->wire,
                                  &err);
            if (rc != AGG_OK) {
                return ngx_http_aggregate_grpc_invalid(ctx, rc, &err);
            }
        }
    }

    if (bind) {
        error = ngx_http_aggregate_grpc_bind_request(ctx, &options);
        if (error != NGX_OK) {
            return error;
        }
    }

    if (bind && ngx_http_aggregate_grpc_in_pieces(ctx)) {
        error = ngx_http_aggregate_grpc_join(ctx, start
                                                  + AGG_GRPC_FRAME_HEAD);
        if (error != NGX_OK) {
            return error;
        }
    }

    len = agg_buf_used(&ctx->wire) - start - AGG_GRPC_FRAME_HEAD;

    if (binding->method->input->requires) {
        error = ngx_http_aggregate_grpc_required(ctx,
                               ctx->wire.start + start + AGG_GRPC_FRAME_HEAD,
                               len);
        if (error != NGX_OK) {
            return error;
        }
    }

    agg_grpc_frame_head(ctx->wire.start + start, len);

    return NGX_OK;
}


/* a message without a field that proto2 requires: no backend reads it */

static ngx_int_t
ngx_http_aggregate_grpc_required(ngx_http_aggregate_grpc_ctx_t *ctx,
    u_char *data, size_t len)
{
    agg_str_t              wire;
    agg_pb_error_t         err;
    const agg_pb_field_t  *missing;

    wire.data = data;
    wire.len = len;

    missing = agg_pb_missing(ctx->binding->method->input, &wire);

    if (missing == NULL) {
        return NGX_OK;
    }

    err.len = 0;
    agg_pb_error(&err, "%V: missing in %V", &missing->json_name,
                 &missing->parent->name);

    return ngx_http_aggregate_grpc_invalid(ctx, AGG_INVALID, &err);
}


static void
ngx_http_aggregate_grpc_read_options(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_pb_read_t *options)
{
    ngx_memzero(options, sizeof(agg_pb_read_t));

    options->ignore_unknown = ctx->conf->ignore ? 1 : 0;
    options->key[0] = ngx_http_aggregate_grpc_key[0];
    options->key[1] = ngx_http_aggregate_grpc_key[1];
}


/*
 * whether fields of a submessage are bound, each of which is encoded separately
 */

static ngx_uint_t
ngx_http_aggregate_grpc_in_pieces(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    u_char     *p, *end;
    unsigned    i;
    ngx_str_t  *args;

    for (i = 0; ctx->match && i < ctx->match->rule->nvariables; i++) {
        if (ctx->binding->paths[i].n > 1) {
            return 1;
        }
    }

    args = &ctx->request->args;
    end = args->data + args->len;

    /* a dot, or "%2E" */

    for (p = args->data; p < end; p++) {
        if (*p == '.' || *p == '%') {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_aggregate_grpc_join(ngx_http_aggregate_grpc_ctx_t *ctx,
    size_t start)
{
    agg_rc_e   rc;
    agg_buf_t  out;
    agg_str_t  wire;

    wire.data = ctx->wire.start + start;
    wire.len = agg_buf_used(&ctx->wire) - start;

    agg_buf_init(&out, &ctx->mem, AGG_PB_MAX_INPUT);

    rc = agg_pb_merge(ctx->binding->method->input, &wire, &out);

    if (rc == AGG_OK) {
        ctx->wire.pos = ctx->wire.start + start;

        rc = agg_buf_append(&ctx->wire, out.start, agg_buf_used(&out));
    }

    (void) ctx->mem.grow(ctx->mem.ctx, out.start, 0, 0);

    if (rc == AGG_OK) {
        return NGX_OK;
    }

    return rc == AGG_INVALID ? NGX_HTTP_INTERNAL_SERVER_ERROR
                             : ngx_http_aggregate_grpc_invalid(ctx, rc, NULL);
}


/* google.api.HttpBody: field 1 is the type, field 2 the data */

static ngx_int_t
ngx_http_aggregate_grpc_raw(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *body)
{
    u_char            head[2 * AGG_PB_VARINT_MAX + 2], *p;
    size_t            len;
    ngx_int_t         rc;
    ngx_str_t         type;
    ngx_table_elt_t  *h;

    h = ctx->request->headers_in.content_type;

    ngx_str_null(&type);

    if (h) {
        type = h->value;
    }

    if (ctx->binding->body) {
        len = body->len + 1 + agg_pb_varint_size(body->len);

        if (type.len != 0) {
            len += type.len + 1 + agg_pb_varint_size(type.len);
        }

        p = ngx_cpymem(head, ctx->binding->body->tag,
                       ctx->binding->body->tag_len);
        p = agg_pb_put_varint(p, len);

        rc = ngx_http_aggregate_grpc_put(ctx, head, p - head);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (type.len != 0) {
        p = agg_pb_put_varint(head, agg_pb_tag(1, AGG_PB_LEN));
        p = agg_pb_put_varint(p, type.len);

        rc = ngx_http_aggregate_grpc_put(ctx, head, p - head);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_aggregate_grpc_put(ctx, type.data, type.len);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    p = agg_pb_put_varint(head, agg_pb_tag(2, AGG_PB_LEN));
    p = agg_pb_put_varint(p, body->len);

    rc = ngx_http_aggregate_grpc_put(ctx, head, p - head);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_aggregate_grpc_put(ctx, body->data, body->len);
}


static ngx_int_t
ngx_http_aggregate_grpc_bind_request(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_pb_read_t *options)
{
    unsigned                            i;
    agg_rc_e                            rc;
    ngx_int_t                           error;
    agg_pb_bind_t                       bind;
    ngx_http_aggregate_grpc_binding_t  *binding;

    binding = ctx->binding;

    if (ctx->request->args.len == 0
        && (ctx->match == NULL || ctx->match->rule->nvariables == 0))
    {
        return NGX_OK;
    }

    agg_pb_bind_init(&bind, binding->method->input, options, &ctx->wire);

    if (binding->has_body) {
        rc = agg_pb_bind_body(&bind, binding->body);
        if (rc != AGG_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    for (i = 0; ctx->match && i < ctx->match->rule->nvariables; i++) {
        rc = agg_pb_bind_reserve(&bind, &binding->paths[i]);
        if (rc != AGG_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->request->args.len != 0) {
        error = ngx_http_aggregate_grpc_bind_query(ctx, &bind);
        if (error != NGX_OK) {
            return error;
        }
    }

    return ctx->match ? ngx_http_aggregate_grpc_bind_paths(ctx, &bind)
                      : NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_bind_query(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_pb_bind_t *bind)
{
    u_char          *p, *end, *amp, *equal, *dst;
    ssize_t          n, v;
    agg_rc_e         rc;
    agg_str_t        name, value;
    agg_pb_error_t   err;

    p = ctx->request->args.data;
    end = p + ctx->request->args.len;

    dst = ngx_pnalloc(ctx->request->pool, ctx->request->args.len);
    if (dst == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for ( /* void */ ; p < end; p = amp + 1) {

        amp = ngx_strlchr(p, end, '&');
        if (amp == NULL) {
            amp = end;
        }

        if (amp == p) {
            continue;
        }

        equal = ngx_strlchr(p, amp, '=');

        name.data = p;
        name.len = (equal ? equal : amp) - p;
        value.data = equal ? equal + 1 : amp;
        value.len = amp - value.data;

        n = agg_grpc_decode(dst, &name, 1);
        name.data = dst;
        name.len = (size_t) n;

        v = n < 0 ? -1 : agg_grpc_decode(dst + n, &value, 1);
        value.data = dst + n;
        value.len = (size_t) v;

        if (n < 0 || v < 0) {
            return ngx_http_aggregate_grpc_refuse_text(ctx,
                                         NGX_HTTP_BAD_REQUEST,
                                         AGG_GRPC_INVALID_ARGUMENT,
                                         "invalid percent-encoding in the "
                                         "query");
        }

        err.len = 0;

        rc = agg_pb_bind_query(bind, &name, &value, &err);

        if (rc == AGG_NOT_FOUND) {

            if (ngx_http_aggregate_grpc_is_ignored(ctx, &name)) {
                continue;
            }

            rc = AGG_INVALID;
        }

        if (rc == AGG_INVALID
            && ngx_http_aggregate_grpc_is_ignored(ctx, &name)
            && bind->all)
        {
            continue;
        }

        if (rc != AGG_OK) {
            return ngx_http_aggregate_grpc_invalid(ctx, rc, &err);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_grpc_is_ignored(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *name)
{
    ngx_str_t   *ignored;
    ngx_uint_t   i;

    if (ctx->conf->ignore) {
        return 1;
    }

    if (ctx->conf->ignored == NULL) {
        return 0;
    }

    ignored = ctx->conf->ignored->elts;

    for (i = 0; i < ctx->conf->ignored->nelts; i++) {
        if (ignored[i].len == name->len
            && ngx_strncmp(ignored[i].data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_aggregate_grpc_bind_paths(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_pb_bind_t *bind)
{
    u_char          *dst;
    unsigned         i;
    agg_rc_e         rc;
    agg_str_t        value;
    agg_pb_error_t   err;

    if (ctx->match->rule->nvariables == 0) {
        return NGX_OK;
    }

    dst = ngx_pnalloc(ctx->request->pool, ctx->match->path.len);
    if (dst == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < ctx->match->rule->nvariables; i++) {

        if (agg_grpc_match_value(ctx->match, i, dst, &value) != AGG_OK) {
            return ngx_http_aggregate_grpc_refuse_text(ctx,
                                         NGX_HTTP_BAD_REQUEST,
                                         AGG_GRPC_INVALID_ARGUMENT,
                                         "invalid percent-encoding in the "
                                         "path");
        }

        err.len = 0;

        rc = agg_pb_bind_path(bind, &ctx->binding->paths[i], &value, &err);

        if (rc != AGG_OK) {
            return ngx_http_aggregate_grpc_invalid(ctx, rc, &err);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_invalid(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_rc_e rc, agg_pb_error_t *err)
{
    if (rc == AGG_TOO_LARGE) {
        return ngx_http_aggregate_grpc_refuse_text(ctx,
                                       NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       AGG_GRPC_RESOURCE_EXHAUSTED,
                                       "the message is too large");
    }

    if (rc == AGG_NOMEM || err == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_aggregate_grpc_refuse(ctx, NGX_HTTP_BAD_REQUEST,
                                          AGG_GRPC_INVALID_ARGUMENT,
                                          err->text, err->len);
}


static ngx_int_t
ngx_http_aggregate_grpc_put(ngx_http_aggregate_grpc_ctx_t *ctx,
    const void *data, size_t len)
{
    agg_rc_e  rc;

    rc = agg_buf_append(&ctx->wire, data, len);

    return rc == AGG_OK ? NGX_OK
                        : ngx_http_aggregate_grpc_invalid(ctx, rc, NULL);
}
