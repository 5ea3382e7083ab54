
/*
 * The request: what it says about caching, and what of its header the backend
 * gets when the response is to be stored.
 */


#include "ngx_http_aggregate_cache.h"


static ngx_uint_t ngx_http_aggregate_cache_is_stripped_header(
    ngx_http_request_t *r, ngx_table_elt_t *h);
static ngx_int_t ngx_http_aggregate_cache_add_conditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_finalized(void *data);


/* reads Authorization, Cookie and Cache-Control */

void
ngx_http_aggregate_cache_parse_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t                         ignored;
    ngx_table_elt_t                   *h;
    agg_cache_control_t                cc;
    ngx_http_aggregate_header_iter_t   it;

    agg_cache_control_init(&cc);

    ignored = ctx->conf->ignore_headers;

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_header_is(h, "Authorization")) {

            if (!(ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_AUTHORIZATION)) {
                ctx->credentials = 1;
            }

        } else if (ngx_http_aggregate_header_is(h, "Cookie")) {

            if (!(ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_COOKIE)) {
                ctx->credentials = 1;
            }

        } else if (ngx_http_aggregate_header_is(h, "Cache-Control")) {
            agg_cache_control_parse(&cc, h->value.data, h->value.len);

        } else if ((agg_header_flags(h->key.data, h->key.len)
                    & AGG_HEADER_KEYED)) {
            ctx->forwarded = 1;
        }
    }

    ctx->no_store = (cc.flags & AGG_CACHE_CC_NO_STORE) != 0;
    ctx->only_if_cached = (cc.flags & AGG_CACHE_CC_ONLY_IF_CACHED) != 0;
}


/*
 * The list of headers, which upstream modules send, is replaced by one without
 * those that the backend must not get.  The pointers to headers, which nginx's
 * filters use, stay, so that ranges and gzip work for this client.  The
 * pointers to conditions are cleared, as the whole response is needed.
 */

ngx_int_t
ngx_http_aggregate_cache_prepare_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_list_t           list;
    ngx_http_cleanup_t  *cln;

    if (!ctx->refetch.unconditional) {

        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_aggregate_cache_finalized;
        cln->data = ctx;
    }

    if (ngx_http_aggregate_headers_filter(r, &r->headers_in.headers, &list,
                                  ngx_http_aggregate_cache_is_stripped_header)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    ctx->fill.headers = r->headers_in.headers;

    ngx_http_aggregate_headers_set(&r->headers_in.headers, &list);

    ctx->fill.if_modified_since = r->headers_in.if_modified_since;
    ctx->fill.if_unmodified_since = r->headers_in.if_unmodified_since;
    ctx->fill.if_match = r->headers_in.if_match;
    ctx->fill.if_none_match = r->headers_in.if_none_match;

    r->headers_in.if_modified_since = NULL;
    r->headers_in.if_unmodified_since = NULL;
    r->headers_in.if_match = NULL;
    r->headers_in.if_none_match = NULL;

    ctx->fill.stripped = 1;

    if (!ctx->lookup.found) {
        return NGX_OK;
    }

    ngx_http_aggregate_cache_owner_defer(r, ctx);

    if (r->method != NGX_HTTP_GET || ctx->refetch.unconditional) {
        return NGX_OK;
    }

    return ngx_http_aggregate_cache_add_conditions(r, ctx);
}


/*
 * The original headers: a response from the cache is subject to the
 * conditions of the client, and another location may need all of them.
 */

void
ngx_http_aggregate_cache_restore_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->fill.stripped) {
        return;
    }

    ctx->fill.stripped = 0;

    r->headers_in.headers = ctx->fill.headers;

    r->headers_in.if_modified_since = ctx->fill.if_modified_since;
    r->headers_in.if_unmodified_since = ctx->fill.if_unmodified_since;
    r->headers_in.if_match = ctx->fill.if_match;
    r->headers_in.if_none_match = ctx->fill.if_none_match;
}


/*
 * An internal redirect has led to another location, but the filters of the one
 * whose response has been stored apply to the entry.
 */

void
ngx_http_aggregate_cache_restore_location(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    r->uri = ctx->fill.uri;
    r->args = ctx->fill.args;
    r->loc_conf = ctx->fill.loc_conf;

    ngx_http_set_exten(r);
    ngx_http_update_location_config(r);
}


static ngx_uint_t
ngx_http_aggregate_cache_is_stripped_header(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
    return agg_header_flags(h->key.data, h->key.len) & AGG_HEADER_NO_FILL;
}


/* makes the request conditional, with the validators of the stored entry */

static ngx_int_t
ngx_http_aggregate_cache_add_conditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    const u_char     *p;
    ngx_str_t         name, text;
    ngx_table_elt_t  *h;
    agg_cache_str_t   line, value;

    if (ctx->lookup.entry.status != NGX_HTTP_OK) {
        return NGX_OK;
    }

    p = ctx->lookup.entry.lines.data;

    while (agg_cache_entry_line(&ctx->lookup.entry, &p, &line, &value) == 1) {

        if (line.len == 4
            && ngx_strncasecmp((u_char *) line.data, (u_char *) "etag", 4)
               == 0)
        {
            ngx_str_set(&name, "If-None-Match");

        } else if (line.len == 13
                   && ngx_strncasecmp((u_char *) line.data,
                                      (u_char *) "last-modified", 13)
                      == 0)
        {
            ngx_str_set(&name, "If-Modified-Since");

        } else {
            continue;
        }

        text.data = (u_char *) value.data;
        text.len = value.len;

        h = ngx_http_aggregate_header_push(&r->headers_in.headers, &name,
                                            &text);
        if (h == NULL) {
            return NGX_ERROR;
        }

        h->lowcase_key = ngx_pnalloc(r->pool, name.len);
        if (h->lowcase_key == NULL) {
            return NGX_ERROR;
        }

        h->hash = ngx_hash_strlow(h->lowcase_key, name.data, name.len);

        ctx->fill.conditional = 1;
    }

    return NGX_OK;
}


/*
 * The request is finalized: a response that is incomplete is not stored.  If
 * the client has left, this says nothing about the next response.
 */

static void
ngx_http_aggregate_cache_finalized(void *data)
{
    ngx_http_aggregate_cache_ctx_t *ctx = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    ctx->finalized = 1;

    if (ctx->fill.active || ctx->store.capturing) {
        ctx->fill.active = 0;
        ctx->store.capturing = 0;
        ctx->reason = AGG_CACHE_NO_INCOMPLETE;

        r = ctx->request;

        if (r == NULL) {
            return;
        }

        c = r->connection;

        if (ctx->lock.owner && !ctx->client.aborted
            && !c->error && !c->timedout
            && r->main->headers_out.status != NGX_HTTP_CLIENT_CLOSED_REQUEST)
        {
            ngx_http_aggregate_cache_lock_release(ctx,
                                  NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR);
        }
    }
}
