
/*
 * Serving an entry: its header, its body, and the headers Age, Cache-Status
 * and X-Cache.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_buffer.h"
#include "ngx_http_aggregate_held.h"
#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_send.h"
#include "gw_number.h"


typedef void (*ngx_http_aggregate_cache_served_header_pt)(ngx_http_request_t *r,
    ngx_table_elt_t *h);


typedef struct {
    ngx_str_t                                  name;
    ngx_http_aggregate_cache_served_header_pt  handler;
} ngx_http_aggregate_cache_served_header_t;


static ngx_int_t ngx_http_aggregate_cache_buffer_entry(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_release_body(void *data);
static ngx_int_t ngx_http_aggregate_cache_set_stored_headers(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_set_header(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_uint_t ngx_http_aggregate_cache_is_named(ngx_str_t *name,
    ngx_str_t *common);
static void ngx_http_aggregate_cache_set_content_type(ngx_http_request_t *r,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_set_date(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_cache_set_etag(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_cache_set_last_modified(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_cache_set_expires(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_cache_set_server(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_cache_set_cache_control(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_cache_set_accel_charset(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void ngx_http_aggregate_cache_clear_status_headers(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static u_char *ngx_http_aggregate_cache_write_forward_reason(
    ngx_http_aggregate_cache_ctx_t *ctx, u_char *p);


/*
 * Location is not in this table, because nginx would make it absolute, and
 * the stored one is sent as the backend wrote it.
 */

static ngx_http_aggregate_cache_served_header_t
    ngx_http_aggregate_cache_served_headers[] =
{
    { ngx_string("Date"), ngx_http_aggregate_cache_set_date },
    { ngx_string("ETag"), ngx_http_aggregate_cache_set_etag },
    { ngx_string("Last-Modified"),
      ngx_http_aggregate_cache_set_last_modified },
    { ngx_string("Expires"), ngx_http_aggregate_cache_set_expires },
    { ngx_string("Server"), ngx_http_aggregate_cache_set_server },
    { ngx_string("Cache-Control"),
      ngx_http_aggregate_cache_set_cache_control },
    { ngx_string("X-Accel-Charset"),
      ngx_http_aggregate_cache_set_accel_charset },
    { ngx_null_string, NULL }
};


ngx_str_t  ngx_http_aggregate_cache_status_names[] = {
    ngx_string("HIT"),
    ngx_string("MISS"),
    ngx_string("STALE"),
    ngx_string("BYPASS"),
    ngx_string("REVALIDATED")
};


/* sends the entry and finalizes the request */

ngx_int_t
ngx_http_aggregate_cache_serve(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    ctx->serve.hit = 1;
    ctx->fill.active = 0;
    ctx->store.capturing = 0;

    r->headers_out.status = 0;
    r->err_status = 0;

    if (r == r->main) {
        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            ngx_http_finalize_request(r, rc);
            return NGX_DONE;
        }
    }

    if (ngx_http_aggregate_cache_set_headers(r, ctx) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_DONE;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_finalize_request(r, rc);
        return NGX_DONE;
    }

    b = ngx_http_aggregate_cache_body(r, ctx);
    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return NGX_DONE;
    }

    out.buf = b;
    out.next = NULL;

    ngx_http_finalize_request(r, ngx_http_output_filter(r, &out));

    return NGX_DONE;
}


ngx_buf_t *
ngx_http_aggregate_cache_body(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    u_char  *p;

    p = (u_char *) ctx->lookup.entry.body.data;

    return ngx_http_aggregate_held_buf(r, p,
                                       p + ctx->lookup.entry.body.len);
}


/* replaces the header by that of the entry */

ngx_int_t
ngx_http_aggregate_cache_set_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ngx_http_aggregate_cache_clear_headers(r, ctx) != NGX_OK
        || ngx_http_aggregate_cache_buffer_entry(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_out.status = ctx->lookup.entry.status;
    r->headers_out.content_length_n = ctx->lookup.entry.body.len;
    r->headers_out.content_offset = 0;

    if (ngx_http_aggregate_cache_set_stored_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->lookup.entry.status == NGX_HTTP_OK) {
        r->allow_ranges = 1;
    }

    return NGX_OK;
}


/*
 * Clears the header of a response, but for the headers that other modules had
 * set before it: these are the client's own.
 */

ngx_int_t
ngx_http_aggregate_cache_clear_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t                         i;
    ngx_list_t                         list;
    ngx_table_elt_t                   *h, *copy;
    ngx_http_aggregate_header_iter_t   it;

    list = r->headers_out.headers;

    ngx_http_clean_header(r);

    if (list.part.nelts == 0) {
        return NGX_OK;
    }

    if (ngx_list_init(&r->headers_out.headers, r->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_aggregate_header_iter(&it, &list);

    for (i = 0; i < ctx->others; i++) {
        h = ngx_http_aggregate_header_next(&it);

        if (h == NULL) {
            break;
        }

        copy = ngx_http_aggregate_header_copy(&r->headers_out.headers, h);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        if (copy->hash) {
            ngx_http_aggregate_cache_set_header(r, copy);
        }
    }

    return NGX_OK;
}


/*
 * The memory of the entry may be freed before the request ends, when its body
 * is in a file, so the part before the body is copied.
 */

static ngx_int_t
ngx_http_aggregate_cache_buffer_entry(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t              len;
    u_char             *p, *data;
    ngx_uint_t          i;
    agg_cache_str_t    *parts[4];
    agg_cache_entry_t  *entry;

    entry = &ctx->lookup.entry;

    if (!ngx_http_aggregate_buffer_applies(r, entry->body.len)) {
        return NGX_OK;
    }

    data = ctx->lookup.data.data;

    if (entry->body.data < data
        || entry->body.data > data + ctx->lookup.data.len)
    {
        return NGX_OK;
    }

    len = entry->body.data - data;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, data, len);

    parts[0] = &entry->key;
    parts[1] = &entry->tags;
    parts[2] = &entry->lines;
    parts[3] = &entry->names;

    for (i = 0; i < 4; i++) {

        if (parts[i]->data >= data && parts[i]->data < data + len) {
            parts[i]->data = p + (parts[i]->data - data);
        }
    }

    ngx_http_aggregate_buffer_set(r, entry->body.len,
                                  ngx_http_aggregate_cache_release_body, ctx);

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_release_body(void *data)
{
    ngx_http_aggregate_cache_ctx_t *ctx = data;

    if (ngx_pfree(ctx->request->pool, ctx->lookup.data.data) == NGX_OK) {
        ngx_http_aggregate_memory_freed();
    }

    ngx_str_null(&ctx->lookup.data);
    ctx->lookup.entry.body.data = NULL;
    ctx->lookup.entry.body.len = 0;
}


static ngx_int_t
ngx_http_aggregate_cache_set_stored_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t         name, value;
    const u_char     *p;
    agg_cache_str_t   n, v;
    ngx_table_elt_t  *h;

    static ngx_str_t  content_type = ngx_string("Content-Type");

    p = ctx->lookup.entry.lines.data;

    while (agg_cache_entry_line(&ctx->lookup.entry, &p, &n, &v) == 1) {

        name.data = (u_char *) n.data;
        name.len = n.len;
        value.data = (u_char *) v.data;
        value.len = v.len;

        if (ngx_http_aggregate_cache_is_named(&name, &content_type)) {
            ngx_http_aggregate_cache_set_content_type(r, &value);
            continue;
        }

        h = ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                            &value);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_http_aggregate_cache_set_header(r, h);
    }

    return NGX_OK;
}


/* nginx's filters look for some headers in places of their own */

static void
ngx_http_aggregate_cache_set_header(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    ngx_http_aggregate_cache_served_header_t  *set;

    for (set = ngx_http_aggregate_cache_served_headers; set->name.len; set++) {

        if (ngx_http_aggregate_cache_is_named(&h->key, &set->name)) {
            set->handler(r, h);
            return;
        }
    }
}


/* most backends use the common spelling, which is faster to compare */

static ngx_uint_t
ngx_http_aggregate_cache_is_named(ngx_str_t *name, ngx_str_t *common)
{
    return name->len == common->len
           && (ngx_memcmp(name->data, common->data, name->len) == 0
               || ngx_strncasecmp(name->data, common->data, name->len) == 0);
}


/* the type is split from its charset, as the upstream module does */

static void
ngx_http_aggregate_cache_set_content_type(ngx_http_request_t *r,
    ngx_str_t *value)
{
    u_char  *p, *last, *start;

    r->headers_out.content_type = *value;
    r->headers_out.content_type_len = value->len;
    r->headers_out.content_type_lowcase = NULL;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        if (*p++ != ';') {
            continue;
        }

        start = p - 1;

        while (p < last && *p == ' ') {
            p++;
        }

        if (last - p < 8
            || ngx_strncasecmp(p, (u_char *) "charset=", 8) != 0)
        {
            continue;
        }

        p += 8;

        r->headers_out.content_type_len = start - value->data;

        if (p < last && *p == '"') {
            p++;
        }

        if (last > p && last[-1] == '"') {
            last--;
        }

        r->headers_out.charset.data = p;
        r->headers_out.charset.len = last - p;

        return;
    }
}


static void
ngx_http_aggregate_cache_set_date(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    r->headers_out.date = h;
}


static void
ngx_http_aggregate_cache_set_etag(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    r->headers_out.etag = h;
}


static void
ngx_http_aggregate_cache_set_last_modified(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
    time_t  time;

    /* the last one that was parsed */

    static time_t  known_time;
    static u_char  known[sizeof("Sun, 06 Nov 1994 08:49:37 GMT") - 1];

    r->headers_out.last_modified = h;

    if (h->value.len == sizeof(known)
        && ngx_memcmp(h->value.data, known, sizeof(known)) == 0)
    {
        r->headers_out.last_modified_time = known_time;
        return;
    }

    time = ngx_parse_http_time(h->value.data, h->value.len);

    r->headers_out.last_modified_time = time;

    if (h->value.len == sizeof(known)) {
        ngx_memcpy(known, h->value.data, sizeof(known));
        known_time = time;
    }
}


static void
ngx_http_aggregate_cache_set_expires(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    r->headers_out.expires = h;
}


static void
ngx_http_aggregate_cache_set_server(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    r->headers_out.server = h;

    if (h->value.len == 0) {

        /* the backend has sent none, and nginx must not add its own */

        h->hash = 0;
    }
}


static void
ngx_http_aggregate_cache_set_cache_control(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
#if (NGX_HTTP_AGGREGATE_LINKED_HEADERS)

    ngx_table_elt_t  **ph;

    for (ph = &r->headers_out.cache_control; *ph; ph = &(*ph)->next) {
        /* void */
    }

    *ph = h;

#else

    ngx_table_elt_t  **ph;

    if (r->headers_out.cache_control.elts == NULL
        && ngx_array_init(&r->headers_out.cache_control, r->pool, 1,
                          sizeof(ngx_table_elt_t *))
           != NGX_OK)
    {
        return;
    }

    ph = ngx_array_push(&r->headers_out.cache_control);

    if (ph) {
        *ph = h;
    }

#endif
}


/* the header is for the charset filter of nginx, and not for the client */

static void
ngx_http_aggregate_cache_set_accel_charset(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
    r->headers_out.override_charset = &h->value;
    h->hash = 0;
}


/* adds X-Cache, Cache-Status and Age */

ngx_int_t
ngx_http_aggregate_cache_add_status_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    u_char     *p;
    int64_t     age;
    ngx_str_t   name, value;

    ngx_str_set(&name, "X-Cache");

    /* the header of another cache is removed */

    ngx_http_aggregate_header_clear(&r->headers_out.headers, &name);

    if (!ctx->serve.accounted) {
        ctx->serve.accounted = 1;

        (void) ngx_atomic_fetch_add(ctx->l2.hit
                                    ? &ctx->zone->sh->l2_hits
                                    : &ctx->zone->sh->answers[ctx->status],
                                    1);
    }

    if (ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                         &ngx_http_aggregate_cache_status_names[ctx->status])
        == NULL)
    {
        return NGX_ERROR;
    }

    if (ctx->serve.cache_status) {
        ngx_http_aggregate_cache_clear_status_headers(r, ctx);
    }

    value.data = ngx_pnalloc(r->pool, 256);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    ctx->serve.cache_status = value.data;

    p = ngx_cpymem(value.data, "aggregate", 9);

    if (ctx->serve.hit || ctx->serve.replace) {

        age = agg_cache_age(&ctx->lookup.entry.freshness, ngx_time());

        if (ctx->serve.hit && !ctx->serve.instead) {
            p = ngx_cpymem(p, "; hit; ttl=", 11);
            p = gw_write_int(p, ctx->lookup.entry.freshness.fresh - age);
            p = ngx_cpymem(p, ctx->l2.hit ? "; detail=L2" : "; detail=L1", 11);

        } else {
            p = ngx_http_aggregate_cache_write_forward_reason(ctx, p);
        }

        value.len = p - value.data;

        ngx_str_set(&name, "Cache-Status");

        if (ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                            &value)
            == NULL)
        {
            return NGX_ERROR;
        }

        value.data = ngx_pnalloc(r->pool, GW_NUMBER);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = gw_write_int(value.data, age) - value.data;

        ctx->serve.age = value.data;

        ngx_str_set(&name, "Age");

    } else {
        p = ngx_http_aggregate_cache_write_forward_reason(ctx, p);
        value.len = p - value.data;

        ngx_str_set(&name, "Cache-Status");
    }

    return (ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                            &value)
            == NULL)
           ? NGX_ERROR : NGX_OK;
}


/* a 416 of nginx keeps the header of the response that it replaces */

static void
ngx_http_aggregate_cache_clear_status_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_header_iter(&it, &r->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->value.data == ctx->serve.cache_status
            || (ctx->serve.age && h->value.data == ctx->serve.age))
        {
            h->hash = 0;
        }
    }
}


static u_char *
ngx_http_aggregate_cache_write_forward_reason(
    ngx_http_aggregate_cache_ctx_t *ctx, u_char *p)
{
    const char  *fwd;

    if (ctx->status == NGX_HTTP_AGGREGATE_CACHE_BYPASS) {
        fwd = "bypass";

    } else if (ctx->lookup.found) {
        fwd = "stale";

    } else {
        fwd = ctx->lookup.vary_miss ? "vary-miss" : "uri-miss";
    }

    p = ngx_sprintf(p, "; fwd=%s", fwd);

    if (ctx->backend_status) {
        p = ngx_sprintf(p, "; fwd-status=%ui", ctx->backend_status);
    }

    if (ctx->store.capturing) {
        p = ngx_cpymem(p, "; stored", 8);

    } else if (ctx->reason != AGG_CACHE_STORE) {
        p = ngx_sprintf(p, "; detail=%s", agg_cache_reason_name(ctx->reason));
    }

    return p;
}


ngx_int_t
ngx_http_aggregate_cache_send_text(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_buf_t *b)
{
    ngx_str_t  value;

    ngx_str_set(&value, "no-store");

    if (ngx_http_aggregate_header_add(&r->headers_out.headers,
                                      "Cache-Control", &value)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_aggregate_send_buf(r, status, type, b);
}
