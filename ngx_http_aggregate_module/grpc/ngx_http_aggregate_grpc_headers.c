
/* converts the client's headers to metadata, and deadlines to grpc-timeout */

#include "ngx_http_aggregate_grpc.h"
#include "ngx_http_aggregate_owner.h"
#include "agg_header_names.h"


/* if Connection lists more names than this, all headers are dropped */

#define NGX_HTTP_AGGREGATE_GRPC_LISTED  32

/* header names of clients are available in lower case */

#define ngx_http_aggregate_grpc_begins(h, prefix)                             \
    ((h)->key.len >= sizeof(prefix) - 1                                       \
     && ((h)->lowcase_key                                                     \
         ? ngx_memcmp((h)->lowcase_key, prefix, sizeof(prefix) - 1)           \
         : ngx_strncasecmp((h)->key.data, (u_char *) prefix,                  \
                           sizeof(prefix) - 1)) == 0)

#define ngx_http_aggregate_grpc_header_is(h, name)                            \
    ((h)->key.len == sizeof(name) - 1                                         \
     && ngx_http_aggregate_grpc_begins(h, name))


static ngx_uint_t ngx_http_aggregate_grpc_listed(ngx_http_request_t *r,
    ngx_str_t *names);
static ngx_uint_t ngx_http_aggregate_grpc_list(ngx_str_t *value,
    ngx_str_t *names, ngx_uint_t n);
static ngx_uint_t ngx_http_aggregate_grpc_drops(ngx_table_elt_t *h,
    ngx_str_t *listed, ngx_uint_t n);
static ngx_int_t ngx_http_aggregate_grpc_push(ngx_list_t *list,
    ngx_uint_t hash, ngx_str_t *name, ngx_str_t *value);


ngx_int_t
ngx_http_aggregate_grpc_headers(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_list_t *list)
{
    ngx_str_t                          value, listed[
                                           NGX_HTTP_AGGREGATE_GRPC_LISTED + 1];
    ngx_uint_t                         n;
    ngx_msec_int_t                     left;
    ngx_table_elt_t                   *h, *copy;
    ngx_http_request_t                *r;
    ngx_http_aggregate_header_iter_t   it;

    static ngx_str_t  type_name = ngx_string("content-type");
    static ngx_str_t  type_value = ngx_string("application/grpc");
    static ngx_str_t  timeout_name = ngx_string("grpc-timeout");
    static ngx_uint_t  type_hash;

    r = ctx->request;

    if (ngx_list_init(list, r->pool, 16, sizeof(ngx_table_elt_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    n = ngx_http_aggregate_grpc_listed(r, listed);

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_grpc_drops(h, listed, n)) {
            continue;
        }

        copy = ngx_list_push(list);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        *copy = *h;
    }

    if (type_hash == 0) {
        type_hash = ngx_hash_key(type_name.data, type_name.len);
    }

    if (ngx_http_aggregate_grpc_push(list, type_hash, &type_name, &type_value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ctx->has_deadline) {
        return NGX_OK;
    }

    left = (ngx_msec_int_t) (ctx->deadline - ngx_current_msec);

    value.data = ngx_pnalloc(r->pool, 9);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = agg_grpc_timeout_write(value.data,
                                       left > 0 ? (uint64_t) left : 1)
                - value.data;

    return ngx_http_aggregate_grpc_push(list,
                                        ngx_hash_key(timeout_name.data,
                                                     timeout_name.len),
                                        &timeout_name, &value);
}


/* whether Connection lists this lower case name */

ngx_uint_t
ngx_http_aggregate_grpc_lists(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_str_t   listed[NGX_HTTP_AGGREGATE_GRPC_LISTED + 1];
    ngx_uint_t  i, n;

    n = ngx_http_aggregate_grpc_listed(r, listed);

    for (i = 0; i < n; i++) {
        if (listed[i].len == len
            && ngx_strncasecmp(listed[i].data, (u_char *) name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* parses the names that Connection lists */

static ngx_uint_t
ngx_http_aggregate_grpc_listed(ngx_http_request_t *r, ngx_str_t *names)
{
    ngx_uint_t                         n;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    n = 0;

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {
        if (ngx_http_aggregate_grpc_header_is(h, "connection")) {
            n = ngx_http_aggregate_grpc_list(&h->value, names, n);
        }
    }

    return n;
}


static ngx_uint_t
ngx_http_aggregate_grpc_list(ngx_str_t *value, ngx_str_t *names, ngx_uint_t n)
{
    u_char  *p, *end, *start;

    p = value->data;
    end = p + value->len;

    while (p < end && n <= NGX_HTTP_AGGREGATE_GRPC_LISTED) {

        while (p < end && !agg_is_token(*p)) {
            p++;
        }

        start = p;

        while (p < end && agg_is_token(*p)) {
            p++;
        }

        if (p != start) {
            names[n].data = start;
            names[n++].len = p - start;
        }
    }

    return n;
}


static ngx_uint_t
ngx_http_aggregate_grpc_drops(ngx_table_elt_t *h, ngx_str_t *listed,
    ngx_uint_t n)
{
    ngx_uint_t   i, drops;
    ngx_str_t   *key;

    key = &h->key;

    /* the first letter rules out most names */

    switch (key->len ? key->data[0] | 0x20 : 0) {

    case 'a':
        drops = ngx_http_aggregate_grpc_begins(h, "accept");
        break;

    case 'c':
        drops = ngx_http_aggregate_grpc_begins(h, "content-");
        break;

    case 'e':
        drops = ngx_http_aggregate_grpc_header_is(h, "expect");
        break;

    case 'g':
        drops = ngx_http_aggregate_grpc_begins(h, "grpc-");
        break;

    case 'h':
        drops = ngx_http_aggregate_grpc_header_is(h, "host");
        break;

    case 'r':
        drops = ngx_http_aggregate_grpc_header_is(h, "range");
        break;

    case 't':
        drops = ngx_http_aggregate_grpc_header_is(h, "te");
        break;

    default:
        drops = 0;
    }

    if (drops || n > NGX_HTTP_AGGREGATE_GRPC_LISTED
        || (agg_header_flags(key->data, key->len) & AGG_HEADER_HOP))
    {
        return 1;
    }

    for (i = 0; i < n; i++) {
        if (ngx_http_aggregate_header_named(h, &listed[i])) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_aggregate_grpc_push(ngx_list_t *list, ngx_uint_t hash,
    ngx_str_t *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(list);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = hash;
    h->key = *name;
    h->value = *value;
    h->lowcase_key = name->data;
    ngx_http_aggregate_header_end(h);

    return NGX_OK;
}


/* the shortest of the directive's, the client's and the part's deadlines */

ngx_int_t
ngx_http_aggregate_grpc_deadline(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    int64_t              n;
    ngx_str_t           *value;
    ngx_msec_t           deadline, part;
    ngx_http_request_t  *r;

    r = ctx->request;
    deadline = 0;

    if (ctx->conf->timeout) {
        ctx->has_deadline = 1;
        deadline = ngx_current_msec + ctx->conf->timeout;
    }

    value = ngx_http_aggregate_grpc_find_header(&r->headers_in.headers,
                                                "grpc-timeout", 12);

    if (value) {
        n = agg_grpc_timeout_read(value->data, value->len);

        if (n < 0) {
            return ngx_http_aggregate_grpc_refuse_text(ctx,
                                               NGX_HTTP_BAD_REQUEST,
                                               AGG_GRPC_INVALID_ARGUMENT,
                                               "invalid Grpc-Timeout");
        }

        /* the longest time for a timer of nginx */

        if (n < NGX_MAX_INT32_VALUE
            && (!ctx->has_deadline
                || (ngx_msec_int_t) (ngx_current_msec + n - deadline) < 0))
        {
            ctx->has_deadline = 1;
            deadline = ngx_current_msec + (ngx_msec_t) n;
        }
    }

    if (r != r->main && ngx_http_aggregate_owner_deadline
        && ngx_http_aggregate_owner_deadline(r, &part)
        && (!ctx->has_deadline || (ngx_msec_int_t) (part - deadline) <= 0))
    {
        ctx->has_deadline = 1;
        ctx->part_deadline = 1;
        deadline = part;
    }

    ctx->deadline = deadline;

    return NGX_OK;
}


/* the value of the first header with this lower case name; NULL: none */

ngx_str_t *
ngx_http_aggregate_grpc_find_header(ngx_list_t *list, const char *name,
    size_t len)
{
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    /* without a response, the upstream's lists are not initialized */

    if (list->part.elts == NULL) {
        return NULL;
    }

    ngx_http_aggregate_header_iter(&it, list);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        /* header names in HTTP/2 are in lower case */

        if (h->key.len == len
            && (h->key.data[0] | 0x20) == (u_char) name[0]
            && (ngx_memcmp(h->key.data, name, len) == 0
                || ngx_strncasecmp(h->key.data, (u_char *) name, len) == 0))
        {
            return &h->value;
        }
    }

    return NULL;
}
