
/*
 * The request's side: its key, what it says about caching, and what of it
 * the backend gets when the response is to be stored.
 */


#include "ngx_http_aggregate_cache.h"

#include <openssl/evp.h>


typedef struct {
    ngx_str_t                        name;
    ngx_uint_t                       prefix;
} ngx_http_aggregate_cache_dropped_t;


static void ngx_http_aggregate_cache_cleanup(void *data);
static ngx_int_t ngx_http_aggregate_cache_default_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity);
static ngx_int_t ngx_http_aggregate_cache_custom_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity);
static ngx_int_t ngx_http_aggregate_cache_path(ngx_http_request_t *r,
    agg_cache_str_t *path, agg_cache_str_t *args);
static ngx_int_t ngx_http_aggregate_cache_names(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_str_t *args);
static ngx_int_t ngx_http_aggregate_cache_vary_value(ngx_http_request_t *r,
    const agg_cache_str_t *name, u_char *hash);
static ngx_uint_t ngx_http_aggregate_cache_drops(const u_char *data,
    size_t len);
static ngx_int_t ngx_http_aggregate_cache_conditions(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);


/* what the origin does not get, as the key does not have it */

static ngx_http_aggregate_cache_dropped_t
    ngx_http_aggregate_cache_dropped[] =
{
    { ngx_string("range"), 0 },
    { ngx_string("if-"), 1 },
    { ngx_string("accept-encoding"), 0 },
    { ngx_string("x-forwarded-host"), 0 },
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


ngx_int_t
ngx_http_aggregate_cache_digest(ngx_str_t *data, u_char *digest)
{
    unsigned int  len;

    static EVP_MD_CTX    *md_ctx;
    static const EVP_MD  *md;

    /* made once: to look the algorithm up costs more than the hash */

    if (md_ctx == NULL) {

#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
#else
        md = EVP_sha256();
#endif

        md_ctx = EVP_MD_CTX_new();
    }

    if (md == NULL || md_ctx == NULL
        || EVP_DigestInit_ex(md_ctx, md, NULL) != 1
        || EVP_DigestUpdate(md_ctx, data->data, data->len) != 1
        || EVP_DigestFinal_ex(md_ctx, digest, &len) != 1
        || len != AGG_CACHE_DIGEST)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_DECLINED: this request is not to be cached */

ngx_int_t
ngx_http_aggregate_cache_make_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t                         rc;
    ngx_str_t                         identity;
    ngx_http_aggregate_cache_conf_t  *conf;

    conf = ctx->conf;

    ngx_str_null(&identity);

    if (conf->identity
        && ngx_http_complex_value(r, conf->identity, &identity) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (identity.len) {
        ctx->credentials = 0;
    }

    if (conf->key) {

        if (conf->key_unsafe && r != r->main) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "\"aggregate_cache_key\" has $request_uri, which "
                          "is not the URI of the subrequest \"%V\": "
                          "not cached", &r->uri);
            return NGX_DECLINED;
        }

        rc = ngx_http_aggregate_cache_custom_key(r, ctx, &identity);

    } else {
        rc = ngx_http_aggregate_cache_default_key(r, ctx, &identity);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->key.len > AGG_CACHE_ENTRY_KEY_MAX / 2) {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_digest(&ctx->key, ctx->digest) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->full = ctx->key;
    ngx_memcpy(ctx->variant, ctx->digest, AGG_CACHE_DIGEST);

    /* the names a purge may use */

    ctx->path.data = ngx_pnalloc(r->pool, r->uri.len);
    if (ctx->path.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy((u_char *) ctx->path.data, r->uri.data, r->uri.len);
    ctx->path.len = r->uri.len;

    ctx->names[1] = agg_cache_hash(AGG_CACHE_PURGE_KEY, ctx->digest,
                                   AGG_CACHE_DIGEST);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_default_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity)
{
    size_t                n, len;
    u_char               *p, port[NGX_INT_T_LEN];
    ngx_str_t             scheme, *host;
    ngx_connection_t     *c;
    agg_cache_str_t       path, args, *list;

    c = r->connection;

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    len = ngx_sprintf(port, "%ui",
                      (ngx_uint_t) ngx_inet_get_port(c->local_sockaddr))
          - port;

    ngx_str_set(&scheme, "http");

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        ngx_str_set(&scheme, "https");
    }

#endif

    host = &r->headers_in.server;

    if (ngx_http_aggregate_cache_path(r, &path, &args) != NGX_OK
        || ngx_http_aggregate_cache_names(r, ctx, &args) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = agg_cache_args_count(&args);

    list = ngx_palloc(r->pool, (n + 1) * sizeof(agg_cache_str_t));
    if (list == NULL) {
        return NGX_ERROR;
    }

    agg_cache_args_sort(&args, list, n);

    p = ngx_pnalloc(r->pool, 7 * sizeof(uint32_t) + 1 + scheme.len + host->len
                             + len + path.len + args.len + identity->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->key.data = p;

    p = agg_cache_field_write(p, (u_char *) "1", 1);
    p = agg_cache_field_write(p, scheme.data, scheme.len);
    p = agg_cache_field_write(p, host->data, host->len);
    p = agg_cache_field_write(p, port, len);
    p = agg_cache_field_write(p, path.data, path.len);
    p = agg_cache_args_write(p, list, n, args.len);
    p = agg_cache_field_write(p, identity->data, identity->len);

    ctx->key.len = p - ctx->key.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_custom_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity)
{
    u_char           *p;
    ngx_str_t         value;
    agg_cache_str_t   args;

    if (ngx_http_complex_value(r, ctx->conf->key, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0) {
        return NGX_DECLINED;
    }

    args.data = r->args.data;
    args.len = r->args.len;

    if (ngx_http_aggregate_cache_names(r, ctx, &args) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, 3 * sizeof(uint32_t) + 1 + value.len
                             + identity->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->key.data = p;

    p = agg_cache_field_write(p, (u_char *) "2", 1);
    p = agg_cache_field_write(p, value.data, value.len);
    p = agg_cache_field_write(p, identity->data, identity->len);

    ctx->key.len = p - ctx->key.data;

    return NGX_OK;
}


/* as the backend sees it: raw, or what the location's URI has become */

static ngx_int_t
ngx_http_aggregate_cache_path(ngx_http_request_t *r, agg_cache_str_t *path,
    agg_cache_str_t *args)
{
    u_char     *p, *last;
    uintptr_t   escape;

    if (r == r->main && r->valid_unparsed_uri) {

        p = r->unparsed_uri.data;
        last = p + r->unparsed_uri.len;

        path->data = p;
        args->data = ngx_strlchr(p, last, '?');

        if (args->data) {
            path->len = args->data - p;
            args->data++;
            args->len = last - args->data;

            /* "/a?" is another resource than "/a" */

            if (args->len == 0) {
                path->len++;
            }

        } else {
            path->len = r->unparsed_uri.len;
            args->len = 0;
        }

        return NGX_OK;
    }

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len,
                                NGX_ESCAPE_URI);

    path->data = r->uri.data;
    path->len = r->uri.len + escape;

    args->data = r->args.data;
    args->len = r->args.len;

    if (escape == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, path->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    path->data = p;

    (void) ngx_escape_uri(p, r->uri.data, r->uri.len, NGX_ESCAPE_URI);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_names(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_str_t *args)
{
    size_t            n;
    u_char           *p, *buf;
    agg_cache_str_t  *list;

    n = agg_cache_args_count(args);

    list = ngx_palloc(r->pool, (n + 1) * sizeof(agg_cache_str_t));
    buf = ngx_pnalloc(r->pool, 2 * sizeof(uint32_t) + r->uri.len + args->len);

    if (list == NULL || buf == NULL) {
        return NGX_ERROR;
    }

    agg_cache_args_sort(args, list, n);

    p = agg_cache_field_write(buf, r->uri.data, r->uri.len);
    p = agg_cache_args_write(p, list, n, args->len);

    ctx->names[0] = agg_cache_hash(AGG_CACHE_PURGE_URI, buf, p - buf);

    return NGX_OK;
}


/* the key of the variant that this request selects */

ngx_int_t
ngx_http_aggregate_cache_make_variant(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const agg_cache_str_t *names,
    ngx_uint_t n)
{
    u_char                  *p, *hashes;
    ngx_int_t                rc;
    ngx_uint_t               i;
    agg_cache_vary_value_t   values[AGG_CACHE_VARY_MAX];

    hashes = ngx_pnalloc(r->pool, n * 32);
    if (hashes == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        values[i].name = names[i];
        values[i].hash = hashes + i * 32;

        rc = ngx_http_aggregate_cache_vary_value(r, &names[i],
                                                 hashes + i * 32);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            values[i].hash = NULL;
        }
    }

    ctx->full.len = ctx->key.len + agg_cache_variant_length(values, n);
    ctx->full.data = ngx_pnalloc(r->pool, ctx->full.len);

    if (ctx->full.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(ctx->full.data, ctx->key.data, ctx->key.len);

    (void) agg_cache_variant_write(p, values, n);

    return ngx_http_aggregate_cache_digest(&ctx->full, ctx->variant);
}


static ngx_int_t
ngx_http_aggregate_cache_vary_value(ngx_http_request_t *r,
    const agg_cache_str_t *name, u_char *hash)
{
    size_t            len;
    u_char           *p;
    ngx_str_t         text;
    ngx_uint_t        i, pass, found;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    /* what the origin does not get cannot have been chosen by */

    if (ngx_http_aggregate_cache_drops(name->data, name->len)) {
        return NGX_DECLINED;
    }

    /* the lines of one name count as one, joined by commas */

    text.data = NULL;
    text.len = 0;
    p = NULL;
    found = 0;

    for (pass = 0; pass < 2; pass++) {

        part = &r->headers_in.headers.part;
        header = part->elts;
        len = 0;

        for (i = 0; /* void */ ; i++) {

            if (i >= part->nelts) {
                if (part->next == NULL) {
                    break;
                }

                part = part->next;
                header = part->elts;
                i = 0;
            }

            if (header[i].key.len != name->len
                || ngx_strncasecmp(header[i].key.data, (u_char *) name->data,
                                   name->len)
                   != 0)
            {
                continue;
            }

            found = 1;

            if (pass == 0) {
                len += header[i].value.len + 1;
                continue;
            }

            p = ngx_cpymem(p, header[i].value.data, header[i].value.len);
            *p++ = ',';
        }

        if (!found) {
            return NGX_DECLINED;
        }

        if (pass == 0) {
            text.len = len;
            text.data = ngx_pnalloc(r->pool, len);

            if (text.data == NULL) {
                return NGX_ERROR;
            }

            p = text.data;
        }
    }

    return ngx_http_aggregate_cache_digest(&text, hash);
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

    return ctx->found ? ngx_http_aggregate_cache_conditions(r, ctx) : NGX_OK;
}


/* the client's conditions count again, for a response from the cache */

void
ngx_http_aggregate_cache_restore(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->hidden) {
        return;
    }

    ctx->hidden = 0;

    r->headers_in.if_modified_since = ctx->if_modified_since;
    r->headers_in.if_unmodified_since = ctx->if_unmodified_since;
    r->headers_in.if_match = ctx->if_match;
    r->headers_in.if_none_match = ctx->if_none_match;
}


static ngx_uint_t
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
