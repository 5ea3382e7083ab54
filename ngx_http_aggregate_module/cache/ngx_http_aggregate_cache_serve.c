
/*
 * Answers from the cache: header, body, and what tells where it came from.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_buffer.h"
#include "ngx_http_aggregate_memory.h"


typedef void (*ngx_http_aggregate_cache_set_pt)(ngx_http_request_t *r,
    ngx_table_elt_t *h);


typedef struct {
    ngx_str_t                        name;
    ngx_http_aggregate_cache_set_pt  handler;
} ngx_http_aggregate_cache_set_t;


static ngx_int_t ngx_http_aggregate_cache_buffer(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_release(void *data);
static ngx_int_t ngx_http_aggregate_cache_set_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
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
static u_char *ngx_http_aggregate_cache_tell_fwd(
    ngx_http_aggregate_cache_ctx_t *ctx, u_char *p);


/*
 * Location is not in this table, because nginx would make it absolute, and
 * the stored one is sent as the backend wrote it.
 */

static ngx_http_aggregate_cache_set_t  ngx_http_aggregate_cache_sets[] = {
    { ngx_string("Date"), ngx_http_aggregate_cache_set_date },
    { ngx_string("ETag"), ngx_http_aggregate_cache_set_etag },
    { ngx_string("Last-Modified"),
      ngx_http_aggregate_cache_set_last_modified },
    { ngx_string("Expires"), ngx_http_aggregate_cache_set_expires },
    { ngx_string("Server"), ngx_http_aggregate_cache_set_server },
    { ngx_string("Cache-Control"),
      ngx_http_aggregate_cache_set_cache_control },
    { ngx_null_string, NULL }
};


static ngx_str_t  ngx_http_aggregate_cache_tells[] = {
    ngx_string("HIT"),
    ngx_string("MISS"),
    ngx_string("STALE"),
    ngx_string("BYPASS"),
    ngx_string("REVALIDATED")
};


/* ends the request with the entry at hand */

ngx_int_t
ngx_http_aggregate_cache_serve(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    ctx->state = ngx_http_aggregate_cache_done;
    ctx->serve = 1;
    ctx->fill = 0;
    ctx->capture = 0;

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
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NULL;
    }

    if (ctx->entry.body.len) {
        b->pos = (u_char *) ctx->entry.body.data;
        b->last = b->pos + ctx->entry.body.len;
        b->memory = 1;

    } else {
        b->sync = (r != r->main);
    }

    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    return b;
}


/* the header is the entry's, whatever was there before */

ngx_int_t
ngx_http_aggregate_cache_set_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_clean_header(r);

    if (ngx_http_aggregate_cache_buffer(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_list_init(&r->headers_out.headers, r->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_out.status = ctx->entry.status;
    r->headers_out.content_length_n = ctx->entry.body.len;
    r->headers_out.content_offset = 0;

    if (ngx_http_aggregate_cache_set_lines(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->entry.status == NGX_HTTP_OK) {
        r->allow_ranges = 1;
    }

    return NGX_OK;
}


/*
 * The body of an entry may be given back before the request ends; what is
 * before the body stays, in memory of its own.
 */

static ngx_int_t
ngx_http_aggregate_cache_buffer(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    size_t            len;
    u_char           *p, *data;
    ngx_uint_t        i;
    agg_cache_str_t  *parts[4];

    if (!ngx_http_aggregate_buffer_applies(r, ctx->entry.body.len)) {
        return NGX_OK;
    }

    data = ctx->data.data;

    if (ctx->entry.body.data < data
        || ctx->entry.body.data > data + ctx->data.len)
    {
        return NGX_OK;
    }

    len = ctx->entry.body.data - data;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, data, len);

    parts[0] = &ctx->entry.key;
    parts[1] = &ctx->entry.tags;
    parts[2] = &ctx->entry.lines;
    parts[3] = &ctx->entry.names;

    for (i = 0; i < 4; i++) {

        if (parts[i]->data >= data && parts[i]->data < data + len) {
            parts[i]->data = p + (parts[i]->data - data);
        }
    }

    ngx_http_aggregate_buffer_set(r, ctx->entry.body.len,
                                  ngx_http_aggregate_cache_release, ctx);

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_release(void *data)
{
    ngx_http_aggregate_cache_ctx_t *ctx = data;

    if (ngx_pfree(ctx->request->pool, ctx->data.data) == NGX_OK) {
        ngx_http_aggregate_memory_freed();
    }

    ngx_str_null(&ctx->data);
    ctx->entry.body.data = NULL;
    ctx->entry.body.len = 0;
}


static ngx_int_t
ngx_http_aggregate_cache_set_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t                        name, value;
    ngx_uint_t                       i;
    const u_char                    *p;
    agg_cache_str_t                  n, v;
    ngx_table_elt_t                 *h;
    ngx_http_aggregate_cache_set_t  *sets;

    sets = ngx_http_aggregate_cache_sets;
    p = ctx->entry.lines.data;

    while (agg_cache_entry_line(&ctx->entry, &p, &n, &v) == 1) {

        name.data = (u_char *) n.data;
        name.len = n.len;
        value.data = (u_char *) v.data;
        value.len = v.len;

        if (name.len == 12
            && ngx_strncasecmp(name.data, (u_char *) "content-type", 12)
               == 0)
        {
            ngx_http_aggregate_cache_set_content_type(r, &value);
            continue;
        }

        h = ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                            &value);
        if (h == NULL) {
            return NGX_ERROR;
        }

        for (i = 0; sets[i].name.len; i++) {

            if (name.len == sets[i].name.len
                && ngx_strncasecmp(name.data, sets[i].name.data, name.len)
                   == 0)
            {
                sets[i].handler(r, h);
                break;
            }
        }
    }

    return NGX_OK;
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
    r->headers_out.last_modified = h;
    r->headers_out.last_modified_time = ngx_parse_http_time(h->value.data,
                                                            h->value.len);
}


static void
ngx_http_aggregate_cache_set_expires(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
    r->headers_out.expires = h;
}


static void
ngx_http_aggregate_cache_set_server(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
    r->headers_out.server = h;

    if (h->value.len == 0) {

        /* there was none, and nginx is not to add its own */

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


/* X-Cache, Cache-Status, Age */

ngx_int_t
ngx_http_aggregate_cache_tell(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    u_char     *p;
    int64_t     age;
    ngx_str_t   name, value;

    ngx_str_set(&name, "X-Cache");

    /* another cache's word is not ours */

    ngx_http_aggregate_header_clear(&r->headers_out.headers, &name);

    if (!ctx->counted) {
        ctx->counted = 1;

        (void) ngx_atomic_fetch_add(ctx->remote
                                    ? &ctx->zone->sh->remote_hits
                                    : &ctx->zone->sh->answers[ctx->status],
                                    1);
    }

    if (ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                               &ngx_http_aggregate_cache_tells[ctx->status])
        == NULL)
    {
        return NGX_ERROR;
    }

    value.data = ngx_pnalloc(r->pool, 256);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(value.data, "aggregate", 9);

    if (ctx->serve || ctx->swap) {

        age = agg_cache_age(&ctx->entry.freshness, ngx_time());

        if (ctx->serve) {
            p = ngx_sprintf(p, "; hit; ttl=%L; detail=%s",
                            ctx->entry.freshness.fresh - age,
                            ctx->remote ? "L2" : "L1");

        } else {
            p = ngx_http_aggregate_cache_tell_fwd(ctx, p);
        }

        value.len = p - value.data;

        ngx_str_set(&name, "Cache-Status");

        if (ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                            &value)
            == NULL)
        {
            return NGX_ERROR;
        }

        value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%L", age) - value.data;

        ngx_str_set(&name, "Age");

    } else {
        p = ngx_http_aggregate_cache_tell_fwd(ctx, p);
        value.len = p - value.data;

        ngx_str_set(&name, "Cache-Status");
    }

    return (ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                            &value)
            == NULL)
           ? NGX_ERROR : NGX_OK;
}


static u_char *
ngx_http_aggregate_cache_tell_fwd(ngx_http_aggregate_cache_ctx_t *ctx,
    u_char *p)
{
    const char  *fwd;

    if (ctx->status == NGX_HTTP_AGGREGATE_CACHE_BYPASS) {
        fwd = "bypass";

    } else if (ctx->found) {
        fwd = "stale";

    } else {
        fwd = ctx->vary_miss ? "vary-miss" : "uri-miss";
    }

    p = ngx_sprintf(p, "; fwd=%s", fwd);

    if (ctx->backend_status) {
        p = ngx_sprintf(p, "; fwd-status=%ui", ctx->backend_status);
    }

    if (ctx->capture) {
        p = ngx_cpymem(p, "; stored", 8);

    } else if (ctx->verdict != AGG_CACHE_STORE) {
        p = ngx_sprintf(p, "; detail=%s", agg_cache_verdict_name(ctx->verdict));
    }

    return p;
}
