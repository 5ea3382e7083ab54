
/*
 * The request's side: what it says about caching, and what of it the backend
 * gets when the response is to be stored.
 */


#include "ngx_http_aggregate_cache.h"


typedef struct {
    ngx_str_t                        name;
    ngx_uint_t                       prefix;
} ngx_http_aggregate_cache_dropped_t;


static void ngx_http_aggregate_cache_cleanup(void *data);
static ngx_int_t ngx_http_aggregate_cache_conditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);


/* what the origin does not get, as the key does not have it */

static ngx_http_aggregate_cache_dropped_t
    ngx_http_aggregate_cache_dropped[] =
{
    { ngx_string("range"), 0 },
    { ngx_string("if-"), 1 },
    { ngx_string("accept-encoding"), 0 },
    { ngx_string("forwarded"), 0 },
    { ngx_string("x-forwarded-host"), 0 },
    { ngx_string("x-forwarded-server"), 0 },
    { ngx_string("x-forwarded-uri"), 0 },
    { ngx_string("x-host"), 0 },
    { ngx_string("x-http-host-override"), 0 },
    { ngx_string("x-original-host"), 0 },
    { ngx_string("x-original-uri"), 0 },
    { ngx_string("x-original-url"), 0 },
    { ngx_string("x-rewrite-url"), 0 },
    { ngx_string("x-http-method-override"), 0 },
    { ngx_string("x-http-method"), 0 },
    { ngx_string("x-method-override"), 0 },
    { ngx_null_string, 0 }
};


/*
 * The request's own context, also after an internal redirect, which clears
 * the contexts of the modules
 */

ngx_http_aggregate_cache_ctx_t *
ngx_http_aggregate_cache_get(ngx_http_request_t *r)
{
    ngx_http_cleanup_t              *cln;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_cache_module);

    if (ctx) {
        return ctx;
    }

    if (!r->internal && r == r->main) {
        return NULL;
    }

    for (cln = r->main->cleanup; cln; cln = cln->next) {

        if (cln->handler != ngx_http_aggregate_cache_cleanup) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            return ctx;
        }
    }

    return NULL;
}


ngx_http_aggregate_cache_ctx_t *
ngx_http_aggregate_cache_create(ngx_http_request_t *r,
    ngx_http_aggregate_cache_conf_t *conf)
{
    ngx_http_cleanup_t              *cln;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_cache_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_aggregate_cache_cleanup;
    cln->data = ctx;

    ctx->request = r;
    ctx->conf = conf;
    ctx->zone = conf->zone;
    ctx->status = NGX_HTTP_AGGREGATE_CACHE_MISS;
    ctx->upstream = r->upstream;

    ngx_http_set_ctx(r, ctx, ngx_http_aggregate_cache_module);

    return ctx;
}


static void
ngx_http_aggregate_cache_cleanup(void *data)
{
    ngx_http_aggregate_cache_ctx_t *ctx = data;

    ngx_http_aggregate_cache_unwait(ctx);

    if (ctx->op) {
        ngx_http_aggregate_redis_forget(ctx->op);
        ctx->op = NULL;
    }

    /* the client went away, or the response broke off: others may try */

    ngx_http_aggregate_cache_land(ctx, 0);
}


/* the request's Authorization, Cookie and Cache-Control */

void
ngx_http_aggregate_cache_read_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t            i, ignored;
    ngx_str_t            *key;
    ngx_list_part_t      *part;
    ngx_table_elt_t      *header;
    agg_cache_control_t   cc;

    agg_cache_control_init(&cc);

    ignored = ctx->conf->ignore_headers;

    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        key = &header[i].key;

        if (key->len == 13
            && ngx_strncasecmp(key->data, (u_char *) "authorization", 13)
               == 0)
        {
            if (!(ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_AUTHORIZATION)) {
                ctx->credentials = 1;
            }

        } else if (key->len == 6
                   && ngx_strncasecmp(key->data, (u_char *) "cookie", 6)
                      == 0)
        {
            if (!(ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_COOKIE)) {
                ctx->credentials = 1;
            }

        } else if (key->len == 13
                   && ngx_strncasecmp(key->data, (u_char *) "cache-control",
                                      13)
                      == 0)
        {
            agg_cache_control_parse(&cc, header[i].value.data,
                                    header[i].value.len);

        } else if (ngx_http_aggregate_cache_keys(key)) {
            ctx->told = 1;
        }
    }

    ctx->request_no_store = (cc.flags & AGG_CACHE_CC_NO_STORE) != 0;
    ctx->only_if_cached = (cc.flags & AGG_CACHE_CC_ONLY_IF_CACHED) != 0;
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
    ngx_uint_t        i;
    ngx_list_t        list;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header, *h;

    if (ngx_list_init(&list, r->pool, 20, sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (ngx_http_aggregate_cache_drops(header[i].key.data,
                                           header[i].key.len)) {
            continue;
        }

        h = ngx_list_push(&list);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = header[i];
    }

    ctx->headers = r->headers_in.headers;
    r->headers_in.headers = list;

    /* a list that has one part only knows it by its address */

    if (list.last == &list.part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    ctx->if_modified_since = r->headers_in.if_modified_since;
    ctx->if_unmodified_since = r->headers_in.if_unmodified_since;
    ctx->if_match = r->headers_in.if_match;
    ctx->if_none_match = r->headers_in.if_none_match;

    r->headers_in.if_modified_since = NULL;
    r->headers_in.if_unmodified_since = NULL;
    r->headers_in.if_match = NULL;
    r->headers_in.if_none_match = NULL;

    ctx->hidden = 1;

    return (ctx->found && r->method == NGX_HTTP_GET)
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


ngx_uint_t
ngx_http_aggregate_cache_drops(const u_char *data, size_t len)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    for (i = 0; ngx_http_aggregate_cache_dropped[i].name.len; i++) {

        name = &ngx_http_aggregate_cache_dropped[i].name;

        if (len < name->len
            || ngx_strncasecmp((u_char *) data, name->data, name->len) != 0)
        {
            continue;
        }

        if (len == name->len || ngx_http_aggregate_cache_dropped[i].prefix) {
            return 1;
        }
    }

    return 0;
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

        h = ngx_http_aggregate_cache_header(&r->headers_in.headers, &name,
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
