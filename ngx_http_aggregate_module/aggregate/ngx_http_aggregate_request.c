
/*
 * The request to a backend: URI, header fields and body.
 */

#include "ngx_http_aggregate_module.h"


static ngx_http_aggregate_reason_e ngx_http_aggregate_make_uri(
    ngx_http_aggregate_part_t *part, ngx_http_aggregate_fetch_t *fetch,
    agg_str_t *item);
static ngx_http_aggregate_reason_e ngx_http_aggregate_make_headers(
    ngx_http_aggregate_part_t *part, ngx_http_aggregate_fetch_t *fetch,
    agg_str_t *item);
static ngx_uint_t ngx_http_aggregate_parts_fit(agg_template_t *t,
    agg_str_t *values, agg_str_t *path, agg_str_t *args);
static agg_piece_t *ngx_http_aggregate_bad_piece(ngx_pool_t *pool,
    agg_template_t *t, agg_str_t *values);
static void ngx_http_aggregate_blame(ngx_http_aggregate_part_t *part,
    ngx_uint_t client);
static ngx_http_aggregate_reason_e ngx_http_aggregate_make_body(
    ngx_http_aggregate_part_t *part, ngx_http_aggregate_fetch_t *fetch,
    agg_str_t *item);
static ngx_int_t ngx_http_aggregate_variable(ngx_http_aggregate_ctx_t *ctx,
    agg_piece_t *piece, agg_str_t *value);
static ngx_int_t ngx_http_aggregate_part_value(
    ngx_http_aggregate_part_t *part, agg_str_t *item, agg_piece_t *piece,
    agg_str_t *value);
static ngx_http_aggregate_reason_e ngx_http_aggregate_plain_value(
    ngx_http_aggregate_part_t *part, agg_str_t *item, agg_piece_t *piece,
    agg_str_t *value);


ngx_http_aggregate_reason_e
ngx_http_aggregate_make_request(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_fetch_t *fetch, agg_str_t *item)
{
    ngx_http_aggregate_reason_e  reason;

    reason = ngx_http_aggregate_make_uri(part, fetch, item);

    if (reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        reason = ngx_http_aggregate_make_headers(part, fetch, item);
    }

    if (reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        reason = ngx_http_aggregate_make_body(part, fetch, item);
    }

    return reason;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_make_uri(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_fetch_t *fetch, agg_str_t *item)
{
    size_t                        i, size;
    agg_str_t                    *values, path, args;
    ngx_pool_t                   *pool;
    agg_piece_t                  *piece;
    agg_template_t               *t;
    ngx_http_request_t           *r;
    ngx_http_aggregate_reason_e   reason;

    r = part->ctx->request;
    pool = r->pool;
    t = &part->conf->uri;

    if (!t->dynamic) {

        for (i = 0; i < t->npieces; i++) {
            piece = &t->pieces[i];

            if (piece->args) {
                fetch->args.data = piece->text.data;
                fetch->args.len = piece->text.len;

            } else {
                fetch->uri.data = piece->text.data;
                fetch->uri.len = piece->text.len;
            }
        }

        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    values = ngx_palloc(pool, t->npieces * sizeof(agg_str_t));
    if (values == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    for (i = 0; i < t->npieces; i++) {
        reason = ngx_http_aggregate_plain_value(part, item, &t->pieces[i],
                                                &values[i]);
        if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
            return reason;
        }
    }

    /* a byte more for each, see ngx_http_aggregate_parts_fit() */

    size = agg_uri_size(t, values) + t->npieces;

    path.data = ngx_pnalloc(pool, 2 * size);
    if (path.data == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    args.data = path.data + size;

    if (agg_uri_render(t, values, &path, &args) != AGG_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "a value is not allowed in the URI of aggregate "
                      "backend \"%V\"", &part->conf->name);

        if (part->lacks == NULL) {
            part->lacks = ngx_http_aggregate_bad_piece(pool, t, values);
        }

        ngx_http_aggregate_blame(part,
                 ngx_http_aggregate_parts_fit(t, values, &path, &args));

        return NGX_HTTP_AGGREGATE_BAD_URI;
    }

    fetch->uri.data = path.data;
    fetch->uri.len = path.len;
    fetch->args.data = args.data;
    fetch->args.len = args.len;

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* the first value that is not allowed in its place, regardless of the others */

static agg_piece_t *
ngx_http_aggregate_bad_piece(ngx_pool_t *pool, agg_template_t *t,
    agg_str_t *values)
{
    size_t      i, k, size;
    agg_str_t  *one, path, args;

    one = ngx_palloc(pool, t->npieces * sizeof(agg_str_t));
    if (one == NULL) {
        return NULL;
    }

    for (i = 0; i < t->npieces; i++) {

        if (t->pieces[i].kind == AGG_PIECE_TEXT) {
            continue;
        }

        for (k = 0; k < t->npieces; k++) {
            one[k] = values[k];

            if (k != i && t->pieces[k].kind != AGG_PIECE_TEXT) {
                one[k].data = (u_char *) "v";
                one[k].len = 1;
            }
        }

        size = agg_uri_size(t, one);

        path.data = ngx_pnalloc(pool, 2 * size);
        if (path.data == NULL) {
            return NULL;
        }

        args.data = path.data + size;

        if (agg_uri_render(t, one, &path, &args) != AGG_OK) {
            return &t->pieces[i];
        }
    }

    return NULL;
}


/* whether the values of other parts are allowed, regardless of variables */

static ngx_uint_t
ngx_http_aggregate_parts_fit(agg_template_t *t, agg_str_t *values,
    agg_str_t *path, agg_str_t *args)
{
    size_t  i;

    for (i = 0; i < t->npieces; i++) {
        if (t->pieces[i].kind == AGG_PIECE_VARIABLE) {
            values[i].data = (u_char *) "v";
            values[i].len = 1;
        }
    }

    return agg_uri_render(t, values, path, args) == AGG_OK;
}


/* an "each" is the client's fault only if all of its elements are */

static void
ngx_http_aggregate_blame(ngx_http_aggregate_part_t *part, ngx_uint_t client)
{
    if (client && !part->backend_fault) {
        part->client_fault = 1;
        return;
    }

    part->client_fault = 0;
    part->backend_fault = 1;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_make_headers(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_fetch_t *fetch, agg_str_t *item)
{
    size_t                         k, len;
    u_char                        *p;
    agg_str_t                     *values, value;
    ngx_uint_t                     i, own;
    ngx_pool_t                    *pool;
    agg_template_t                *t;
    ngx_http_aggregate_reason_e    reason;
    ngx_http_aggregate_header_t   *header;
    ngx_http_aggregate_backend_t  *conf;

    conf = part->conf;

    if (conf->headers == NULL) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    pool = part->ctx->request->pool;
    header = conf->headers->elts;

    fetch->nheaders = conf->headers->nelts;
    fetch->headers = ngx_pcalloc(pool,
                                 fetch->nheaders
                                 * sizeof(ngx_http_aggregate_field_t));
    if (fetch->headers == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    for (i = 0; i < conf->headers->nelts; i++) {
        t = &header[i].value;

        fetch->headers[i].name = &header[i].name;
        fetch->headers[i].constant = !t->dynamic;

        if (t->npieces == 0) {
            continue;
        }

        values = ngx_palloc(pool, t->npieces * sizeof(agg_str_t));
        if (values == NULL) {
            return NGX_HTTP_AGGREGATE_INTERNAL;
        }

        for (k = 0, len = 0; k < t->npieces; k++) {
            reason = ngx_http_aggregate_plain_value(part, item,
                                                    &t->pieces[k],
                                                    &values[k]);
            if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
                return reason;
            }

            len += values[k].len;
        }

        p = ngx_pnalloc(pool, len + 1);
        if (p == NULL) {
            return NGX_HTTP_AGGREGATE_INTERNAL;
        }

        fetch->headers[i].value.data = p;
        fetch->headers[i].value.len = len;

        for (k = 0; k < t->npieces; k++) {
            p = ngx_cpymem(p, values[k].data, values[k].len);
        }

        *p = '\0';

        value.data = fetch->headers[i].value.data;
        value.len = len;

        if (!agg_header_value_valid(&value)) {
            ngx_log_error(NGX_LOG_INFO,
                          part->ctx->request->connection->log, 0,
                          "a value is not allowed in header \"%V\" of "
                          "aggregate backend \"%V\"",
                          &header[i].name.name, &conf->name);

            for (k = 0, own = 1; k < t->npieces; k++) {

                if (agg_header_value_valid(&values[k])) {
                    continue;
                }

                if (t->pieces[k].kind == AGG_PIECE_PART) {
                    own = 0;
                }

                if (part->lacks == NULL) {
                    part->lacks = &t->pieces[k];
                }
            }

            ngx_http_aggregate_blame(part, own);

            return NGX_HTTP_AGGREGATE_BAD_URI;
        }
    }

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* in a body, values are copied byte for byte, and variables become strings */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_make_body(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_fetch_t *fetch, agg_str_t *item)
{
    size_t                     i;
    agg_rc_e                   rc;
    agg_buf_t                  b;
    agg_str_t                  value;
    agg_piece_t               *piece;
    agg_template_t            *t;
    ngx_http_aggregate_ctx_t  *ctx;

    fetch->body_request = part->conf->body == NGX_HTTP_AGGREGATE_REQUEST_BODY;

    if (part->conf->body != NGX_HTTP_AGGREGATE_TEMPLATE_BODY) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    ctx = part->ctx;
    t = &part->conf->body_template;

    agg_buf_init(&b, ctx->fetches->mem, ctx->block->limits.max_body_size);

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];

        switch (piece->kind) {

        case AGG_PIECE_TEXT:
            rc = agg_buf_append(&b, piece->text.data, piece->text.len);
            break;

        case AGG_PIECE_VARIABLE:

            if (ngx_http_aggregate_variable(ctx, piece, &value)
                != NGX_OK)
            {
                return NGX_HTTP_AGGREGATE_INTERNAL;
            }

            rc = agg_json_escape(&b, value.data, value.len);
            break;

        default: /* AGG_PIECE_PART */

            if (ngx_http_aggregate_part_value(part, item, piece, &value)
                != NGX_OK)
            {
                value.data = (u_char *) "null";
                value.len = 4;
            }

            rc = agg_buf_append(&b, value.data, value.len);
        }

        if (rc != AGG_OK) {
            return rc == AGG_TOO_LARGE ? NGX_HTTP_AGGREGATE_TOO_LARGE
                                       : NGX_HTTP_AGGREGATE_INTERNAL;
        }
    }

    fetch->body_set = 1;
    fetch->body.data = b.start;
    fetch->body.len = agg_buf_used(&b);

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


static ngx_int_t
ngx_http_aggregate_variable(ngx_http_aggregate_ctx_t *ctx, agg_piece_t *piece,
    agg_str_t *value)
{
    ngx_http_variable_value_t  *v;

    value->data = (u_char *) "";
    value->len = 0;

    if (piece->index < 0) {

#if (NGX_PCRE)
        ngx_uint_t  n;

        n = 2 * (ngx_uint_t) (-1 - piece->index);

        if (n < ctx->ncaptures && ctx->captures[n] >= 0) {
            value->data = ctx->captures_data + ctx->captures[n];
            value->len = ctx->captures[n + 1] - ctx->captures[n];
        }
#endif

        return NGX_OK;
    }

    v = ngx_http_get_flushed_variable(ctx->request, piece->index);
    if (v == NULL) {
        return NGX_ERROR;
    }

    if (!v->not_found) {
        value->data = v->data;
        value->len = v->len;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_part_value(ngx_http_aggregate_part_t *part,
    agg_str_t *item, agg_piece_t *piece, agg_str_t *value)
{
    agg_str_t  *document;

    if (piece->index == NGX_HTTP_AGGREGATE_ITEM) {
        document = item;

    } else {
        document = &part->ctx->parts[piece->index].source;
    }

    if (document->data == NULL
        || agg_path_get(piece->path, document, value) != AGG_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* gets the value of a piece as plain text, for a URI or a header */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_plain_value(ngx_http_aggregate_part_t *part,
    agg_str_t *item, agg_piece_t *piece, agg_str_t *value)
{
    u_char              *p;
    ssize_t              n;
    agg_str_t            raw;
    ngx_http_request_t  *r;

    r = part->ctx->request;

    switch (piece->kind) {

    case AGG_PIECE_TEXT:
        *value = piece->text;
        return NGX_HTTP_AGGREGATE_NO_REASON;

    case AGG_PIECE_VARIABLE:

        if (ngx_http_aggregate_variable(part->ctx, piece, value) != NGX_OK) {
            return NGX_HTTP_AGGREGATE_INTERNAL;
        }

        return NGX_HTTP_AGGREGATE_NO_REASON;

    default: /* AGG_PIECE_PART */
        break;
    }

    if (ngx_http_aggregate_part_value(part, item, piece, value) != NGX_OK) {
        part->lacks = piece;
        return NGX_HTTP_AGGREGATE_DEPENDENCY;
    }

    switch (agg_json_kind(value)) {

    case AGG_NUMBER:
    case AGG_TRUE:
    case AGG_FALSE:
        return NGX_HTTP_AGGREGATE_NO_REASON;

    case AGG_STRING:
        break;

    default:
        part->lacks = piece;
        return NGX_HTTP_AGGREGATE_DEPENDENCY;
    }

    raw.data = value->data + 1;
    raw.len = value->len - 2;

    if (ngx_strlchr(raw.data, raw.data + raw.len, '\\') == NULL) {
        *value = raw;
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    p = ngx_pnalloc(r->pool, raw.len);
    if (p == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    n = agg_json_unescape(p, &raw);

    if (n < 0) {
        ngx_http_aggregate_blame(part, 0);
        return NGX_HTTP_AGGREGATE_BAD_URI;
    }

    value->data = p;
    value->len = n;

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* makes the client's headers, once for all backends that receive the same */

ngx_int_t
ngx_http_aggregate_request_headers(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t                      i, group;
    ngx_http_aggregate_backend_t  **backends;

    ctx->headers_in = ngx_palloc(ctx->request->pool,
                                 ctx->block->forward_groups
                                 * sizeof(ngx_http_headers_in_t));
    if (ctx->headers_in == NULL) {
        return NGX_ERROR;
    }

    backends = ctx->block->backends.elts;

    for (i = 0, group = 0; group < ctx->block->forward_groups; i++) {

        if (backends[i]->forward_group != group) {
            continue;
        }

        if (ngx_http_aggregate_fetches_headers_in(ctx->fetches,
                 backends[i]->forward,
                 ngx_http_aggregate_with(backends[i]),
                 &ctx->headers_in[group])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        group++;
    }

    return NGX_OK;
}
