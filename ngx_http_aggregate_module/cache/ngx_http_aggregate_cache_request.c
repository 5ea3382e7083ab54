
/*
 * The request's side: what it says about caching, and what of it the backend
 * gets when the response is to be stored.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_memory.h"


static void ngx_http_aggregate_cache_cleanup(void *data);
static void ngx_http_aggregate_cache_ended(void *data);
static ngx_uint_t ngx_http_aggregate_cache_drops_header(
    ngx_http_request_t *r, ngx_table_elt_t *h);
static ngx_int_t ngx_http_aggregate_cache_conditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);


ngx_http_aggregate_cache_ctx_t *
ngx_http_aggregate_cache_get(ngx_http_request_t *r)
{
    return ngx_http_aggregate_ctx_find(r, &ngx_http_aggregate_cache_module,
                                       ngx_http_aggregate_cache_cleanup);
}


ngx_http_aggregate_cache_ctx_t *
ngx_http_aggregate_cache_create(ngx_http_request_t *r,
    ngx_http_aggregate_cache_conf_t *conf)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_cache_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->conf = conf;
    ctx->zone = conf->zone;
    ctx->status = NGX_HTTP_AGGREGATE_CACHE_MISS;
    ctx->upstream = r->upstream;

    if (ngx_http_aggregate_ctx_keep(r, ctx, &ngx_http_aggregate_cache_module,
                                    ngx_http_aggregate_cache_cleanup)
        != NGX_OK)
    {
        return NULL;
    }

    return ctx;
}


static void
ngx_http_aggregate_cache_cleanup(void *data)
{
    ngx_http_aggregate_cache_ctx_t *ctx = data;

    ngx_http_aggregate_cache_stop_waiting(ctx);

    ngx_http_aggregate_cache_abort_done(ctx);

    /* the client went away, or the response broke off: others may try */

    ngx_http_aggregate_cache_land(ctx, 0);

    ngx_http_aggregate_memory_freed();
}


/* nothing resumes the request any more: neither a timer, nor Redis */

void
ngx_http_aggregate_cache_stop_waiting(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_unwait(ctx);
    ngx_http_aggregate_cache_refetch_cancel(ctx);

    if (ctx->op) {
        ngx_http_aggregate_redis_forget(ctx->op);
        ctx->op = NULL;
    }
}


/* the request's Authorization, Cookie and Cache-Control */

void
ngx_http_aggregate_cache_read_request(ngx_http_request_t *r,
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
            ctx->told = 1;
        }
    }

    ctx->request_no_store = (cc.flags & AGG_CACHE_CC_NO_STORE) != 0;
    ctx->only_if_cached = (cc.flags & AGG_CACHE_CC_ONLY_IF_CACHED) != 0;
}


/* a response that is not stored by now never will be; logging comes next */

static void
ngx_http_aggregate_cache_ended(void *data)
{
    ngx_http_aggregate_cache_ctx_t *ctx = data;

    ctx->ended = 1;

    if (ctx->fill || ctx->capture) {
        ctx->fill = 0;
        ctx->capture = 0;
        ctx->verdict = AGG_CACHE_NO_INCOMPLETE;
    }
}


/*
 * Prepares a fill: the list of headers that upstream modules send is made
 * anew without what may not reach the origin.  The pointers that nginx's own
 * filters use stay, so ranges and gzip to this client work; its conditions
 * are hidden, as the whole response is needed.
 */

ngx_int_t
ngx_http_aggregate_cache_prepare(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_list_t           list;
    ngx_http_cleanup_t  *cln;

    if (!ctx->unconditional) {

        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_aggregate_cache_ended;
        cln->data = ctx;
    }

    if (ngx_http_aggregate_headers_filter(r, &r->headers_in.headers, &list,
                                          ngx_http_aggregate_cache_drops_header)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    ctx->headers = r->headers_in.headers;

    ngx_http_aggregate_headers_set(&r->headers_in.headers, &list);

    ctx->if_modified_since = r->headers_in.if_modified_since;
    ctx->if_unmodified_since = r->headers_in.if_unmodified_since;
    ctx->if_match = r->headers_in.if_match;
    ctx->if_none_match = r->headers_in.if_none_match;

    r->headers_in.if_modified_since = NULL;
    r->headers_in.if_unmodified_since = NULL;
    r->headers_in.if_match = NULL;
    r->headers_in.if_none_match = NULL;

    ctx->hidden = 1;

    return (ctx->found && r->method == NGX_HTTP_GET && !ctx->unconditional)
           ? ngx_http_aggregate_cache_conditions(r, ctx) : NGX_OK;
}


/*
 * The request as it came: its conditions count for a response from the cache,
 * and all of it does in a location where nothing is cached
 */

void
ngx_http_aggregate_cache_restore(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->hidden) {
        return;
    }

    ctx->hidden = 0;

    r->headers_in.headers = ctx->headers;

    r->headers_in.if_modified_since = ctx->if_modified_since;
    r->headers_in.if_unmodified_since = ctx->if_unmodified_since;
    r->headers_in.if_match = ctx->if_match;
    r->headers_in.if_none_match = ctx->if_none_match;
}


static ngx_uint_t
ngx_http_aggregate_cache_drops_header(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
    return agg_header_flags(h->key.data, h->key.len) & AGG_HEADER_NO_FILL;
}


/* asks with the validators of the entry at hand */

static ngx_int_t
ngx_http_aggregate_cache_conditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    const u_char     *p;
    ngx_str_t         name, text;
    ngx_table_elt_t  *h;
    agg_cache_str_t   line, value;

    if (ctx->entry.status != NGX_HTTP_OK) {
        return NGX_OK;
    }

    p = ctx->entry.lines.data;

    while (agg_cache_entry_line(&ctx->entry, &p, &line, &value) == 1) {

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

        ctx->conditional = 1;
    }

    return NGX_OK;
}
