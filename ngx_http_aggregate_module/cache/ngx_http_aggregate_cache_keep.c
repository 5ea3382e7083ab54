
/*
 * The form in which a response is stored, and where.
 */


#include "ngx_http_aggregate_cache.h"


/* a time in a header */

#define NGX_HTTP_AGGREGATE_TIME  sizeof("Mon, 28 Sep 1970 06:00:00 GMT")


static size_t ngx_http_aggregate_cache_write_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old, u_char *p);
static size_t ngx_http_aggregate_cache_write_line(u_char **p,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_http_aggregate_cache_keeps(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *name);
static ngx_int_t ngx_http_aggregate_cache_store_vary(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_store_entry(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry,
    const u_char *digest, ngx_chain_t *body);


/* the header in its stored form; with old, where there is nothing newer */

ngx_int_t
ngx_http_aggregate_cache_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old)
{
    ctx->lines.len = ngx_http_aggregate_cache_write_lines(r, ctx, old, NULL);

    if (ctx->lines.len > AGG_CACHE_ENTRY_LINES_MAX) {
        return NGX_DECLINED;
    }

    ctx->lines.data = ngx_pnalloc(r->pool, ctx->lines.len + 1);
    if (ctx->lines.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_http_aggregate_cache_write_lines(r, ctx, old,
                                                ctx->lines.data);

    return NGX_OK;
}


/* the length, and with p the lines as well */

static size_t
ngx_http_aggregate_cache_write_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old, u_char *p)
{
    size_t                              len;
    u_char                            **pp;
    u_char                              time[NGX_HTTP_AGGREGATE_TIME];
    ngx_str_t                           name, value;
    const u_char                       *line;
    ngx_table_elt_t                    *h;
    agg_cache_str_t                     old_name, old_value;
    ngx_http_aggregate_header_iter_t    it;

    len = 0;
    pp = (p == NULL) ? NULL : &p;

    ngx_http_aggregate_header_iter(&it, &r->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash == 0 || h->key.len == 0
            || !ngx_http_aggregate_cache_keeps(r, ctx, &h->key))
        {
            continue;
        }

        len += ngx_http_aggregate_cache_write_line(pp, &h->key, &h->value);
    }

    if (old == NULL && r->headers_out.server
        && r->headers_out.server->hash == 0)
    {
        /* the origin has sent none, and nginx is not to add its own */

        ngx_str_set(&name, "Server");
        ngx_str_null(&value);

        len += ngx_http_aggregate_cache_write_line(pp, &name, &value);
    }

    ngx_str_set(&name, "Date");
    value.data = time;
    value.len = ngx_http_time(time, ctx->date) - time;

    len += ngx_http_aggregate_cache_write_line(pp, &name, &value);

    if (old) {
        line = old->lines.data;

        while (agg_cache_entry_line(old, &line, &old_name, &old_value) == 1) {

            name.data = (u_char *) old_name.data;
            name.len = old_name.len;

            if (ngx_http_aggregate_cache_keeps(r, ctx, &name)
                && ngx_http_aggregate_header_find(&r->headers_out.headers,
                                                  &name))
            {
                continue;
            }

            if (name.len == 4
                && ngx_strncasecmp(name.data, (u_char *) "date", 4) == 0)
            {
                continue;
            }

            value.data = (u_char *) old_value.data;
            value.len = old_value.len;

            len += ngx_http_aggregate_cache_write_line(pp, &name, &value);
        }

        return len;
    }

    if (r->headers_out.content_type.len) {
        ngx_str_set(&name, "Content-Type");
        value = r->headers_out.content_type;

        len += ngx_http_aggregate_cache_write_line(pp, &name, &value);
    }

    if (r->headers_out.last_modified == NULL
        && r->headers_out.last_modified_time != -1)
    {
        ngx_str_set(&name, "Last-Modified");
        value.data = time;
        value.len = ngx_http_time(time, r->headers_out.last_modified_time)
                    - time;

        len += ngx_http_aggregate_cache_write_line(pp, &name, &value);
    }

    return len;
}


static size_t
ngx_http_aggregate_cache_write_line(u_char **p, ngx_str_t *name,
    ngx_str_t *value)
{
    if (p) {
        *p = agg_cache_field_write(*p, name->data, name->len);
        *p = agg_cache_field_write(*p, value->data, value->len);
    }

    return agg_cache_field_length(name->len)
           + agg_cache_field_length(value->len);
}


static ngx_uint_t
ngx_http_aggregate_cache_keeps(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *name)
{
    u_char                            *p, *last;
    size_t                             len;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    if (agg_header_flags(name->data, name->len) & AGG_HEADER_NO_STORE) {
        return 0;
    }

    /* nor what the origin's Connection names */

    ngx_http_aggregate_header_iter(&it,
                          ngx_http_aggregate_cache_origin_headers(r, ctx));

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (!ngx_http_aggregate_header_is(h, "Connection")) {
            continue;
        }

        p = h->value.data;
        last = p + h->value.len;

        while (p < last) {

            for (len = 0; p + len < last; len++) {
                if (!agg_is_token(p[len])) {
                    break;
                }
            }

            if (len == name->len && ngx_strncasecmp(p, name->data, len) == 0) {
                return 0;
            }

            p += len + 1;
        }
    }

    return 1;
}


/* the response is whole: keeps it, and lets the next ones in */

void
ngx_http_aggregate_cache_store(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t          rc;
    agg_cache_entry_t  entry;

    rc = NGX_OK;

    if (ctx->nvary) {
        rc = ngx_http_aggregate_cache_store_vary(r, ctx);

    } else {
        ctx->full = ctx->key;
        ngx_memcpy(ctx->variant, ctx->digest, AGG_CACHE_DIGEST);
    }

    if (rc == NGX_OK) {

        ngx_memzero(&entry, sizeof(agg_cache_entry_t));

        entry.kind = AGG_CACHE_ENTRY_RESPONSE;
        entry.status = (unsigned) ctx->store_status;
        entry.lines.data = ctx->lines.data;
        entry.lines.len = ctx->lines.len;
        entry.body.len = ctx->size;

        rc = ngx_http_aggregate_cache_store_entry(r, ctx, &entry,
                                                  ctx->variant, ctx->body);
    }

    ctx->stored = (rc == NGX_OK);
    ctx->verdict = ctx->stored ? AGG_CACHE_STORE : AGG_CACHE_NO_ROOM;

    ngx_http_aggregate_cache_land(ctx, (rc == NGX_OK
                                       && ctx->freshness.fresh
                                          > agg_cache_age(&ctx->freshness,
                                                          ngx_time()))
                                      ? 0
                                      : NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR);
}


/* under the resource's own key: by what its response is chosen */

static ngx_int_t
ngx_http_aggregate_cache_store_vary(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    int                 i;
    size_t              len;
    u_char             *p;
    agg_cache_entry_t   entry;

    if (ngx_http_aggregate_cache_make_variant(r, ctx, ctx->vary, ctx->nvary)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; i < ctx->nvary; i++) {
        len += agg_cache_field_length(ctx->vary[i].len)
               + agg_cache_field_length(0);
    }

    ngx_memzero(&entry, sizeof(agg_cache_entry_t));

    entry.kind = AGG_CACHE_ENTRY_VARY;
    entry.lines.len = len;
    entry.lines.data = ngx_pnalloc(r->pool, len);

    if (entry.lines.data == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) entry.lines.data;

    for (i = 0; i < ctx->nvary; i++) {
        p = agg_cache_field_write(p, ctx->vary[i].data, ctx->vary[i].len);
        p = agg_cache_field_write(p, NULL, 0);
    }

    return ngx_http_aggregate_cache_store_entry(r, ctx, &entry, ctx->digest,
                                                NULL);
}


static ngx_int_t
ngx_http_aggregate_cache_store_entry(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry,
    const u_char *digest, ngx_chain_t *body)
{
    size_t     len, size;
    u_char    *last;
    int64_t    age;
    ngx_str_t  head;

    entry->freshness = ctx->freshness;
    entry->born = ctx->born_place;
    entry->seq = ctx->born;
    age = ngx_http_aggregate_cache_local_time()
          - (int64_t) ctx->freshness.origin * 1000;

    entry->since = ngx_http_aggregate_cache_since(ngx_max(age, 0));
    entry->written = ngx_http_aggregate_cache_remote_time(ctx,
                                                       ctx->freshness.origin);
    entry->tags.data = ctx->tags.data;
    entry->tags.len = ctx->tags.len;

    if (entry->kind == AGG_CACHE_ENTRY_VARY) {
        entry->key.data = ctx->key.data;
        entry->key.len = ctx->key.len;

    } else {
        entry->key.data = ctx->full.data;
        entry->key.len = ctx->full.len;

        if (ngx_http_aggregate_cache_entry_names(r, ctx, entry) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    len = agg_cache_entry_length(entry);
    size = entry->body.len;

    if (len == 0) {
        return NGX_DECLINED;
    }

    head.len = len - size;
    head.data = ngx_pnalloc(r->pool, head.len);

    if (head.data == NULL) {
        return NGX_ERROR;
    }

    last = agg_cache_entry_write(head.data, entry);

    if ((size_t) (last - head.data) != head.len) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_cache_remote_set(r, ctx, digest, &head, body, size);

    return ngx_http_aggregate_cache_put(ctx->zone, digest, &head, body, size,
                                        ctx->born);
}
