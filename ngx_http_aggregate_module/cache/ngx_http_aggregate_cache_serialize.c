
/*
 * A response is serialized into an entry, and stored in shared memory and in
 * Redis.
 */


#include "ngx_http_aggregate_cache.h"


/* the length of a time in a header */

#define NGX_HTTP_AGGREGATE_TIME  sizeof("Mon, 28 Sep 1970 06:00:00 GMT")


static size_t ngx_http_aggregate_cache_write_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old, u_char *p);
static void ngx_http_aggregate_cache_response_iter(
    ngx_http_aggregate_header_iter_t *it, ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_is_updated(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *name);
static size_t ngx_http_aggregate_cache_write_header(u_char **p, ngx_str_t *name,
    ngx_str_t *value);
static ngx_uint_t ngx_http_aggregate_cache_is_stored_header(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_str_t *name);
static ngx_int_t ngx_http_aggregate_cache_store_vary(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_store_entry(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry,
    const u_char *digest, ngx_chain_t *body);


/* serializes the header; with old, it updates that of the old entry */

ngx_int_t
ngx_http_aggregate_cache_serialize_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old)
{
    ctx->store.headers.len = ngx_http_aggregate_cache_write_headers(r, ctx, old,
                                                                    NULL);

    if (ctx->store.headers.len > AGG_CACHE_ENTRY_LINES_MAX) {
        return NGX_DECLINED;
    }

    ctx->store.headers.data = ngx_pnalloc(r->pool, ctx->store.headers.len + 1);
    if (ctx->store.headers.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_http_aggregate_cache_write_headers(r, ctx, old,
                                                  ctx->store.headers.data);

    return NGX_OK;
}


/* returns the length; p may be NULL */

static size_t
ngx_http_aggregate_cache_write_headers(ngx_http_request_t *r,
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

    ngx_http_aggregate_cache_response_iter(&it, r, ctx);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash == 0 || h->key.len == 0
            || !ngx_http_aggregate_cache_is_stored_header(r, ctx, &h->key))
        {
            continue;
        }

        len += ngx_http_aggregate_cache_write_header(pp, &h->key, &h->value);
    }

    if (old == NULL && r->headers_out.server
        && r->headers_out.server->hash == 0)
    {
        /* the backend has sent none, and nginx must not add its own */

        ngx_str_set(&name, "Server");
        ngx_str_null(&value);

        len += ngx_http_aggregate_cache_write_header(pp, &name, &value);
    }

    if (r->headers_out.override_charset) {
        ngx_str_set(&name, "X-Accel-Charset");

        len += ngx_http_aggregate_cache_write_header(pp, &name,
                                            r->headers_out.override_charset);
    }

    ngx_str_set(&name, "Date");
    value.data = time;
    value.len = ngx_http_time(time, ctx->store.date) - time;

    len += ngx_http_aggregate_cache_write_header(pp, &name, &value);

    if (old) {
        line = old->lines.data;

        while (agg_cache_entry_line(old, &line, &old_name, &old_value) == 1) {

            name.data = (u_char *) old_name.data;
            name.len = old_name.len;

            if (ngx_http_aggregate_cache_is_stored_header(r, ctx, &name)
                && ngx_http_aggregate_cache_is_updated(r, ctx, &name))
            {
                continue;
            }

            if (name.len == 4
                && ngx_strncasecmp(name.data, (u_char *) "date", 4) == 0)
            {
                continue;
            }

            if (r->headers_out.override_charset && name.len == 15
                && ngx_strncasecmp(name.data, (u_char *) "x-accel-charset", 15)
                   == 0)
            {
                continue;
            }

            value.data = (u_char *) old_value.data;
            value.len = old_value.len;

            len += ngx_http_aggregate_cache_write_header(pp, &name, &value);
        }

        return len;
    }

    if (r->headers_out.content_type.len) {
        ngx_str_set(&name, "Content-Type");
        value = r->headers_out.content_type;

        len += ngx_http_aggregate_cache_write_header(pp, &name, &value);
    }

    if (r->headers_out.last_modified == NULL
        && r->headers_out.last_modified_time != -1)
    {
        ngx_str_set(&name, "Last-Modified");
        value.data = time;
        value.len = ngx_http_time(time, r->headers_out.last_modified_time)
                    - time;

        len += ngx_http_aggregate_cache_write_header(pp, &name, &value);
    }

    return len;
}


/* the headers of the response, without those that were there before it */

static void
ngx_http_aggregate_cache_response_iter(ngx_http_aggregate_header_iter_t *it,
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t  i;

    ngx_http_aggregate_header_iter(it, &r->headers_out.headers);

    for (i = 0; i < ctx->others; i++) {
        (void) ngx_http_aggregate_header_next(it);
    }
}


static ngx_uint_t
ngx_http_aggregate_cache_is_updated(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *name)
{
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_cache_response_iter(&it, r, ctx);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash != 0 && ngx_http_aggregate_header_named(h, name)) {
            return 1;
        }
    }

    return 0;
}


static size_t
ngx_http_aggregate_cache_write_header(u_char **p, ngx_str_t *name,
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
ngx_http_aggregate_cache_is_stored_header(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *name)
{
    u_char                            *p, *last;
    size_t                             len;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    if (agg_header_flags(name->data, name->len) & AGG_HEADER_NO_STORE) {
        return 0;
    }

    /* nor those that the Connection header of the backend names */

    ngx_http_aggregate_header_iter(&it,
                            ngx_http_aggregate_cache_upstream_headers(r, ctx));

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


/* stores the complete response, and releases the lock */

void
ngx_http_aggregate_cache_store(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t               rc;
    agg_cache_entry_t       entry;
    agg_cache_freshness_t  *fresh;

    rc = NGX_OK;

    if (ctx->store.nvary) {
        rc = ngx_http_aggregate_cache_store_vary(r, ctx);

    } else {
        ctx->key.variant = ctx->key.resource;
        ngx_memcpy(ctx->key.variant_digest, ctx->key.digest, AGG_CACHE_DIGEST);
    }

    if (rc == NGX_OK) {

        ngx_memzero(&entry, sizeof(agg_cache_entry_t));

        entry.kind = AGG_CACHE_ENTRY_RESPONSE;
        entry.status = (unsigned) ctx->store.status;
        entry.lines.data = ctx->store.headers.data;
        entry.lines.len = ctx->store.headers.len;
        entry.body.len = ctx->store.size;

        rc = ngx_http_aggregate_cache_store_entry(r, ctx, &entry,
                                                  ctx->key.variant_digest,
                                                  ctx->store.body);
    }

    ctx->store.stored = (rc == NGX_OK);
    ctx->reason = ctx->store.stored ? AGG_CACHE_STORE : AGG_CACHE_NO_ROOM;

    fresh = &ctx->store.freshness;

    if (rc == NGX_OK && fresh->fresh > agg_cache_age(fresh, ngx_time())) {
        ngx_http_aggregate_cache_hit_for_miss_clear(ctx);
        ngx_http_aggregate_cache_lock_release(ctx, 0);

    } else {
        ngx_http_aggregate_cache_lock_release(ctx,
                                  NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR);
    }
}


/* the entry of the resource, with the names by which the response varies */

static ngx_int_t
ngx_http_aggregate_cache_store_vary(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    int                 i;
    size_t              len;
    u_char             *p;
    agg_cache_entry_t   entry;

    if (ngx_http_aggregate_cache_make_variant_key(r, ctx, ctx->store.vary,
                                                  ctx->store.nvary)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; i < ctx->store.nvary; i++) {
        len += agg_cache_field_length(ctx->store.vary[i].len)
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

    for (i = 0; i < ctx->store.nvary; i++) {
        p = agg_cache_field_write(p, ctx->store.vary[i].data,
                                  ctx->store.vary[i].len);
        p = agg_cache_field_write(p, NULL, 0);
    }

    return ngx_http_aggregate_cache_store_entry(r, ctx, &entry, ctx->key.digest,
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

    entry->freshness = ctx->store.freshness;
    entry->born = ctx->fill.purge_place;
    entry->seq = ctx->fill.purge_seq;
    age = ngx_http_aggregate_cache_local_time()
          - (int64_t) ctx->store.freshness.origin * 1000;

    entry->since = ngx_http_aggregate_cache_steady_since(ngx_max(age, 0));
    entry->written = ngx_http_aggregate_cache_l2_time(ctx,
                                                  ctx->store.freshness.origin);
    entry->tags.data = ctx->store.tags.data;
    entry->tags.len = ctx->store.tags.len;

    if (entry->kind == AGG_CACHE_ENTRY_VARY) {
        entry->key.data = ctx->key.resource.data;
        entry->key.len = ctx->key.resource.len;

    } else {
        entry->key.data = ctx->key.variant.data;
        entry->key.len = ctx->key.variant.len;

        if (ngx_http_aggregate_cache_set_purge_hashes(r, ctx, entry)
            != NGX_OK)
        {
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

    ngx_http_aggregate_cache_l2_set(r, ctx, digest, entry->kind, &head, body,
                                    size);

    return ngx_http_aggregate_cache_zone_write(ctx->zone, digest, &head, body,
                                               size, ctx->fill.purge_seq);
}
