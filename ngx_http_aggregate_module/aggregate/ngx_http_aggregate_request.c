
/*
 * What a backend is asked: URI, header fields and body.
 */

#include "ngx_http_aggregate_module.h"


/* a client that names more in Connection has all of its header taken off */

#define NGX_HTTP_AGGREGATE_MAX_OPTIONS  32


static ngx_http_aggregate_reason_e ngx_http_aggregate_make_uri(
    ngx_http_aggregate_call_t *call);
static ngx_http_aggregate_reason_e ngx_http_aggregate_make_headers(
    ngx_http_aggregate_call_t *call);
static ngx_http_aggregate_reason_e ngx_http_aggregate_make_body(
    ngx_http_aggregate_call_t *call);
static ngx_int_t ngx_http_aggregate_variable(ngx_http_request_t *r,
    agg_piece_t *piece, agg_str_t *value);
static ngx_int_t ngx_http_aggregate_part_value(
    ngx_http_aggregate_call_t *call, agg_piece_t *piece, agg_str_t *value);
static ngx_http_aggregate_reason_e ngx_http_aggregate_plain_value(
    ngx_http_aggregate_call_t *call, agg_piece_t *piece, agg_str_t *value);
static ngx_int_t ngx_http_aggregate_filter_headers(
    ngx_http_aggregate_ctx_t *ctx, ngx_http_aggregate_backend_t *conf,
    ngx_http_headers_in_t *headers_in);
static ngx_int_t ngx_http_aggregate_connection_options(
    ngx_http_request_t *r, ngx_array_t *options);
static ngx_uint_t ngx_http_aggregate_passes(
    ngx_http_aggregate_backend_t *conf, ngx_array_t *options,
    ngx_table_elt_t *h);
static ngx_uint_t ngx_http_aggregate_hop_by_hop(ngx_array_t *options,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_forget_header(ngx_http_request_t *r,
    ngx_http_headers_in_t *headers_in, ngx_uint_t hash, ngx_str_t *lowcase);
static ngx_int_t ngx_http_aggregate_set_header_fields(ngx_http_request_t *sr,
    ngx_http_aggregate_call_t *call);
static ngx_int_t ngx_http_aggregate_push_header(ngx_http_request_t *sr,
    ngx_http_aggregate_header_t *header, ngx_str_t *value);


static ngx_http_aggregate_header_t  ngx_http_aggregate_json_type = {
    ngx_string("Content-Type"),
    ngx_string("content-type"),
    0,
    { AGG_TEMPLATE_HEADER, NULL, 0, 0, 0 },
    { ngx_null_string, 0 }
};


ngx_http_aggregate_reason_e
ngx_http_aggregate_make_request(ngx_http_aggregate_call_t *call)
{
    ngx_http_aggregate_reason_e  reason;

    reason = ngx_http_aggregate_make_uri(call);

    if (reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        reason = ngx_http_aggregate_make_headers(call);
    }

    if (reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        reason = ngx_http_aggregate_make_body(call);
    }

    return reason;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_make_uri(ngx_http_aggregate_call_t *call)
{
    size_t                        i, size;
    agg_str_t                    *values, path, args;
    ngx_pool_t                   *pool;
    agg_piece_t                  *piece;
    agg_template_t               *t;
    ngx_http_request_t           *r;
    ngx_http_aggregate_reason_e   reason;

    r = call->part->ctx->request;
    pool = r->pool;
    t = &call->part->conf->uri;

    if (!t->dynamic) {

        for (i = 0; i < t->npieces; i++) {
            piece = &t->pieces[i];

            if (piece->args) {
                call->args.data = piece->text.data;
                call->args.len = piece->text.len;

            } else {
                call->uri.data = piece->text.data;
                call->uri.len = piece->text.len;
            }
        }

        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    values = ngx_palloc(pool, t->npieces * sizeof(agg_str_t));
    if (values == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    for (i = 0; i < t->npieces; i++) {
        reason = ngx_http_aggregate_plain_value(call, &t->pieces[i],
                                                &values[i]);
        if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
            return reason;
        }
    }

    size = agg_uri_size(t, values);

    path.data = ngx_pnalloc(pool, 2 * size);
    if (path.data == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    args.data = path.data + size;

    if (agg_uri_render(t, values, &path, &args) != AGG_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "a value can not stand in the URI of aggregate "
                      "backend \"%V\"", &call->part->conf->name);
        return NGX_HTTP_AGGREGATE_BAD_URI;
    }

    call->uri.data = path.data;
    call->uri.len = path.len;
    call->args.data = args.data;
    call->args.len = args.len;

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_make_headers(ngx_http_aggregate_call_t *call)
{
    size_t                         k, len;
    u_char                        *p;
    agg_str_t                     *values, value;
    ngx_uint_t                     i;
    ngx_pool_t                    *pool;
    agg_template_t                *t;
    ngx_http_aggregate_reason_e    reason;
    ngx_http_aggregate_header_t   *header;
    ngx_http_aggregate_backend_t  *conf;

    conf = call->part->conf;

    if (conf->headers == NULL) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    pool = call->part->ctx->request->pool;
    header = conf->headers->elts;

    call->headers = ngx_pcalloc(pool,
                                conf->headers->nelts * sizeof(ngx_str_t));
    if (call->headers == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    for (i = 0; i < conf->headers->nelts; i++) {
        t = &header[i].value;

        if (t->npieces == 0) {
            continue;
        }

        values = ngx_palloc(pool, t->npieces * sizeof(agg_str_t));
        if (values == NULL) {
            return NGX_HTTP_AGGREGATE_INTERNAL;
        }

        for (k = 0, len = 0; k < t->npieces; k++) {
            reason = ngx_http_aggregate_plain_value(call, &t->pieces[k],
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

        call->headers[i].data = p;
        call->headers[i].len = len;

        for (k = 0; k < t->npieces; k++) {
            p = ngx_cpymem(p, values[k].data, values[k].len);
        }

        *p = '\0';

        value.data = call->headers[i].data;
        value.len = len;

        if (!agg_header_value_valid(&value)) {
            ngx_log_error(NGX_LOG_INFO,
                          call->part->ctx->request->connection->log, 0,
                          "a value can not stand in header \"%V\" of "
                          "aggregate backend \"%V\"",
                          &header[i].name, &conf->name);
            return NGX_HTTP_AGGREGATE_BAD_URI;
        }
    }

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* in a body a value goes byte for byte, and a variable is a string */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_make_body(ngx_http_aggregate_call_t *call)
{
    size_t                     i;
    agg_rc_e                   rc;
    agg_buf_t                  b;
    agg_str_t                  value;
    agg_piece_t               *piece;
    agg_template_t            *t;
    ngx_http_aggregate_ctx_t  *ctx;

    if (call->part->conf->body != NGX_HTTP_AGGREGATE_TEMPLATE_BODY) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    ctx = call->part->ctx;
    t = &call->part->conf->body_template;

    agg_buf_init(&b, ctx->mem, ctx->block->max_body_size);

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];

        switch (piece->kind) {

        case AGG_PIECE_TEXT:
            rc = agg_buf_append(&b, piece->text.data, piece->text.len);
            break;

        case AGG_PIECE_VARIABLE:

            if (ngx_http_aggregate_variable(ctx->request, piece, &value)
                != NGX_OK)
            {
                return NGX_HTTP_AGGREGATE_INTERNAL;
            }

            rc = agg_json_escape(&b, value.data, value.len);
            break;

        default: /* AGG_PIECE_PART */

            if (ngx_http_aggregate_part_value(call, piece, &value) != NGX_OK) {
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

    call->body.data = b.start;
    call->body.len = agg_buf_used(&b);

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


static ngx_int_t
ngx_http_aggregate_variable(ngx_http_request_t *r, agg_piece_t *piece,
    agg_str_t *value)
{
    ngx_http_variable_value_t  *v;

    value->data = (u_char *) "";
    value->len = 0;

    if (piece->index < 0) {

#if (NGX_PCRE)
        ngx_uint_t  n;

        n = 2 * (ngx_uint_t) (-1 - piece->index);

        if (n < r->ncaptures && r->captures[n] >= 0) {
            value->data = r->captures_data + r->captures[n];
            value->len = r->captures[n + 1] - r->captures[n];
        }
#endif

        return NGX_OK;
    }

    v = ngx_http_get_flushed_variable(r, piece->index);
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
ngx_http_aggregate_part_value(ngx_http_aggregate_call_t *call,
    agg_piece_t *piece, agg_str_t *value)
{
    agg_str_t  item, *document;

    if (piece->index == NGX_HTTP_AGGREGATE_ITEM) {
        item.data = call->item.data;
        item.len = call->item.len;
        document = &item;

    } else {
        document = &call->part->ctx->parts[piece->index].source;
    }

    if (document->data == NULL
        || agg_path_get(piece->path, document, value) != AGG_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* what may stand in a URI and in a header */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_plain_value(ngx_http_aggregate_call_t *call,
    agg_piece_t *piece, agg_str_t *value)
{
    u_char              *p;
    ssize_t              n;
    agg_str_t            raw;
    ngx_http_request_t  *r;

    r = call->part->ctx->request;

    switch (piece->kind) {

    case AGG_PIECE_TEXT:
        *value = piece->text;
        return NGX_HTTP_AGGREGATE_NO_REASON;

    case AGG_PIECE_VARIABLE:

        if (ngx_http_aggregate_variable(r, piece, value) != NGX_OK) {
            return NGX_HTTP_AGGREGATE_INTERNAL;
        }

        return NGX_HTTP_AGGREGATE_NO_REASON;

    default: /* AGG_PIECE_PART */
        break;
    }

    if (ngx_http_aggregate_part_value(call, piece, value) != NGX_OK) {
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
        return NGX_HTTP_AGGREGATE_BAD_URI;
    }

    value->data = p;
    value->len = n;

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* the client's header fields, once for all backends that get the same ones */

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

        if (ngx_http_aggregate_filter_headers(ctx, backends[i],
                                              &ctx->headers_in[group])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        group++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_filter_headers(ngx_http_aggregate_ctx_t *ctx,
    ngx_http_aggregate_backend_t *conf, ngx_http_headers_in_t *headers_in)
{
    ngx_str_t                          lowcase;
    ngx_uint_t                         n;
    ngx_array_t                        options;
    ngx_list_part_t                   *part;
    ngx_table_elt_t                   *h, *elts;
    ngx_http_request_t                *r;
    ngx_http_aggregate_header_iter_t   it;

    r = ctx->request;

    *headers_in = r->headers_in;

    if (ngx_http_aggregate_connection_options(r, &options) != NGX_OK) {
        return NGX_ERROR;
    }

    for (n = 0, part = &r->headers_in.headers.part; part; part = part->next) {
        n += part->nelts;
    }

    elts = ngx_palloc(r->pool, (n + 1) * sizeof(ngx_table_elt_t));
    if (elts == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash == 0 || h->lowcase_key == NULL) {
            continue;
        }

        if (ngx_http_aggregate_passes(conf, &options, h)) {
            elts[n++] = *h;
            continue;
        }

        lowcase.data = h->lowcase_key;
        lowcase.len = h->key.len;

        ngx_http_aggregate_forget_header(r, headers_in, h->hash, &lowcase);
    }

    headers_in->headers.part.elts = elts;
    headers_in->headers.part.nelts = n;
    headers_in->headers.part.next = NULL;

    headers_in->connection_type = 0;
    headers_in->keep_alive_n = -1;
    headers_in->chunked = 0;

    if (conf->body != NGX_HTTP_AGGREGATE_REQUEST_BODY) {
        headers_in->content_length = NULL;
        headers_in->content_length_n = -1;
    }

    if (headers_in->authorization == NULL) {
        ngx_str_null(&headers_in->user);
        ngx_str_null(&headers_in->passwd);
    }

    return NGX_OK;
}


/* the names in all Connection fields; nginx keeps one of them only */

static ngx_int_t
ngx_http_aggregate_connection_options(ngx_http_request_t *r,
    ngx_array_t *options)
{
    u_char                            *p, *last, *start;
    ngx_str_t                         *option;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    if (ngx_array_init(options, r->pool, 4, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (!ngx_http_aggregate_header_is(h, "Connection")) {
            continue;
        }

        p = h->value.data;
        last = p + h->value.len;

        while (p < last) {

            if (*p == ',' || *p == ' ' || *p == '\t') {
                p++;
                continue;
            }

            start = p;

            while (p < last && *p != ',' && *p != ' ' && *p != '\t') {
                p++;
            }

            option = ngx_array_push(options);
            if (option == NULL) {
                return NGX_ERROR;
            }

            option->data = start;
            option->len = p - start;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_passes(ngx_http_aggregate_backend_t *conf,
    ngx_array_t *options, ngx_table_elt_t *h)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    if (h->key.len == 4 && ngx_strncmp(h->lowcase_key, "host", 4) == 0) {
        return 1;
    }

    if (ngx_http_aggregate_hop_by_hop(options, h)) {
        return 0;
    }

    if (h->key.len > 8 && ngx_strncmp(h->lowcase_key, "content-", 8) == 0) {
        return conf->body == NGX_HTTP_AGGREGATE_REQUEST_BODY;
    }

    if (conf->forward->all) {
        return 1;
    }

    name = conf->forward->names.elts;

    for (i = 0; i < conf->forward->names.nelts; i++) {

        if (name[i].len == h->key.len
            && ngx_strncmp(name[i].data, h->lowcase_key, h->key.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* RFC 9110, 7.6.1, and what would make a backend answer with less */

static ngx_uint_t
ngx_http_aggregate_hop_by_hop(ngx_array_t *options, ngx_table_elt_t *h)
{
    ngx_str_t   *option;
    ngx_uint_t   i;

    static const ngx_str_t  names[] = {
        ngx_string("te"),
        ngx_string("range"),
        ngx_string("expect"),
        ngx_string("trailer"),
        ngx_string("upgrade"),
        ngx_string("connection"),
        ngx_string("keep-alive"),
        ngx_string("http2-settings"),
        ngx_string("accept-encoding"),
        ngx_string("proxy-connection"),
        ngx_string("transfer-encoding"),
        ngx_string("proxy-authorization"),
        ngx_null_string
    };

    for (i = 0; names[i].len; i++) {

        if (names[i].len == h->key.len
            && ngx_strncmp(names[i].data, h->lowcase_key, h->key.len) == 0)
        {
            return 1;
        }
    }

    if (h->key.len > 3 && ngx_strncmp(h->lowcase_key, "if-", 3) == 0) {
        return 1;
    }

    if (options->nelts > NGX_HTTP_AGGREGATE_MAX_OPTIONS) {
        return 1;
    }

    option = options->elts;

    for (i = 0; i < options->nelts; i++) {

        if (option[i].len == h->key.len
            && ngx_strncasecmp(option[i].data, h->lowcase_key, h->key.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* a header that nginx keeps a pointer to */

static void
ngx_http_aggregate_forget_header(ngx_http_request_t *r,
    ngx_http_headers_in_t *headers_in, ngx_uint_t hash, ngx_str_t *lowcase)
{
    char                       *field;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, hash, lowcase->data,
                       lowcase->len);

    if (hh == NULL || hh->handler == NULL) {
        return;
    }

    field = (char *) headers_in + hh->offset;

#if !(NGX_HTTP_AGGREGATE_LINKED_HEADERS)

    if (hh->offset == offsetof(ngx_http_headers_in_t, cookies)
#if (NGX_HTTP_X_FORWARDED_FOR)
        || hh->offset == offsetof(ngx_http_headers_in_t, x_forwarded_for)
#endif
       )
    {
        ngx_memzero(field, sizeof(ngx_array_t));
        return;
    }

#endif

    *(ngx_table_elt_t **) field = NULL;
}


/* sr is a subrequest just made, a copy of its parent */

ngx_int_t
ngx_http_aggregate_set_headers(ngx_http_request_t *sr,
    ngx_http_aggregate_call_t *call)
{
    ngx_list_t                    *list;
    ngx_uint_t                     n;
    ngx_table_elt_t               *elts;
    ngx_http_aggregate_ctx_t      *ctx;
    ngx_http_aggregate_backend_t  *conf;

    ctx = call->part->ctx;
    conf = call->part->conf;

    sr->headers_in = ctx->headers_in[conf->forward_group];

    /* a copy, since modules may change and add header fields */

    list = &sr->headers_in.headers;
    n = list->part.nelts + 2 + (conf->headers ? conf->headers->nelts : 0);

    elts = ngx_palloc(sr->pool, n * sizeof(ngx_table_elt_t));
    if (elts == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(elts, list->part.elts,
               list->part.nelts * sizeof(ngx_table_elt_t));

    list->part.elts = elts;
    list->last = &list->part;
    list->nalloc = n;

    if (conf->body == NGX_HTTP_AGGREGATE_NO_BODY
        && (conf->method
            & (NGX_HTTP_POST|NGX_HTTP_PUT|NGX_HTTP_PATCH)))
    {
        sr->headers_in.content_length_n = 0;
    }

    if (conf->body == NGX_HTTP_AGGREGATE_TEMPLATE_BODY) {
        sr->headers_in.content_length_n = call->body.len;
    }

    return ngx_http_aggregate_set_header_fields(sr, call);
}


static ngx_int_t
ngx_http_aggregate_set_header_fields(ngx_http_request_t *sr,
    ngx_http_aggregate_call_t *call)
{
    ngx_str_t                      type = ngx_string("application/json");
    ngx_uint_t                     i, typed;
    ngx_http_aggregate_header_t   *header;
    ngx_http_aggregate_backend_t  *conf;

    conf = call->part->conf;
    typed = 0;

    if (conf->headers) {
        header = conf->headers->elts;

        for (i = 0; i < conf->headers->nelts; i++) {

            if (header[i].lowcase_name.len == 12
                && ngx_strncmp(header[i].lowcase_name.data, "content-type", 12)
                   == 0)
            {
                typed = 1;
            }

            if (ngx_http_aggregate_push_header(sr, &header[i],
                                               &call->headers[i])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    if (conf->body == NGX_HTTP_AGGREGATE_TEMPLATE_BODY && !typed) {
        return ngx_http_aggregate_push_header(sr,
                                              &ngx_http_aggregate_json_type,
                                              &type);
    }

    return NGX_OK;
}


/* takes the place of header fields of that name; an empty one takes them off */

static ngx_int_t
ngx_http_aggregate_push_header(ngx_http_request_t *sr,
    ngx_http_aggregate_header_t *header, ngx_str_t *value)
{
    ngx_uint_t                  i, n, hash;
    ngx_table_elt_t            *h, *elts;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    elts = sr->headers_in.headers.part.elts;
    hash = ngx_hash_key(header->lowcase_name.data, header->lowcase_name.len);

    for (i = 0, n = 0; i < sr->headers_in.headers.part.nelts; i++) {

        if (elts[i].key.len == header->lowcase_name.len
            && ngx_strncmp(elts[i].lowcase_key, header->lowcase_name.data,
                           elts[i].key.len)
               == 0)
        {
            continue;
        }

        elts[n++] = elts[i];
    }

    sr->headers_in.headers.part.nelts = n;

    ngx_http_aggregate_forget_header(sr, &sr->headers_in, hash,
                                     &header->lowcase_name);

    if (value->len == 0) {
        return NGX_OK;
    }

    h = ngx_list_push(&sr->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = hash;
    h->key = header->name;
    h->value = *value;
    h->lowcase_key = header->lowcase_name.data;
    ngx_http_aggregate_header_end(h);

    cmcf = ngx_http_get_module_main_conf(sr, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, hash,
                       header->lowcase_name.data, header->lowcase_name.len);

    if (hh && hh->handler) {
        return hh->handler(sr, h, hh->offset);
    }

    return NGX_OK;
}
