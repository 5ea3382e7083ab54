
/*
 * The key of a request: what selects a response, and by what names it can be
 * purged.
 *
 * One URI may lead to several responses, by ways that the URI does not show:
 * named locations, "if" blocks, servers of one name that differ in nothing
 * but the address they listen on, and URIs that were rewritten into one.  A
 * response that came one way must not go out on another, past the access
 * rules of the first, so the way is part of the key.  So is what a client
 * says of its own scheme and host, which backends build links from.
 */


#include "ngx_http_aggregate_cache.h"

#include <openssl/evp.h>


/* keys whose digests a worker remembers, and how long they may be */
#define NGX_HTTP_AGGREGATE_CACHE_KNOWN      2048
#define NGX_HTTP_AGGREGATE_CACHE_KNOWN_KEY  216


typedef struct {
    ngx_uint_t                       twin;
} ngx_http_aggregate_cache_srv_conf_t;


typedef struct {
    size_t                           len;
    u_char                           digest[AGG_CACHE_DIGEST];
    u_char                           key[NGX_HTTP_AGGREGATE_CACHE_KNOWN_KEY];
} ngx_http_aggregate_cache_known_t;


static ngx_uint_t ngx_http_aggregate_cache_twins(
    ngx_http_core_srv_conf_t *one, ngx_http_core_srv_conf_t *two);
static ngx_int_t ngx_http_aggregate_cache_key_digest(ngx_str_t *key,
    u_char *digest);
static ngx_int_t ngx_http_aggregate_cache_default_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity);
static ngx_int_t ngx_http_aggregate_cache_custom_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity);
static ngx_int_t ngx_http_aggregate_cache_path(ngx_http_request_t *r,
    agg_cache_str_t *path, agg_cache_str_t *args);
static ngx_int_t ngx_http_aggregate_cache_told(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *told);
static ngx_int_t ngx_http_aggregate_cache_names(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_vary_value(ngx_http_request_t *r,
    const agg_cache_str_t *name, u_char *hash);


void *
ngx_http_aggregate_cache_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_cache_srv_conf_t));
}


/*
 * Servers that share a name are numbered, in the order of the configuration:
 * a request tells them apart by the address only, which is another one on
 * every node of a fleet
 */

void
ngx_http_aggregate_cache_number_servers(ngx_conf_t *cf)
{
    ngx_uint_t                            i, n;
    ngx_http_core_srv_conf_t            **servers;
    ngx_http_core_main_conf_t            *cmcf;
    ngx_http_aggregate_cache_srv_conf_t  *conf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    servers = cmcf->servers.elts;

    for (i = 1; i < cmcf->servers.nelts; i++) {

        conf = servers[i]->ctx->srv_conf
                                [ngx_http_aggregate_cache_module.ctx_index];

        for (n = 0; n < i; n++) {
            conf->twin += ngx_http_aggregate_cache_twins(servers[i],
                                                         servers[n]);
        }
    }
}


static ngx_uint_t
ngx_http_aggregate_cache_twins(ngx_http_core_srv_conf_t *one,
    ngx_http_core_srv_conf_t *two)
{
    ngx_uint_t               i, n;
    ngx_http_server_name_t  *ours, *theirs;

    ours = one->server_names.elts;
    theirs = two->server_names.elts;

    for (i = 0; i < one->server_names.nelts; i++) {

        for (n = 0; n < two->server_names.nelts; n++) {

            if (ours[i].name.len == theirs[n].name.len
                && ngx_memcmp(ours[i].name.data, theirs[n].name.data,
                              ours[i].name.len)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/* sets the part of a location's identity that is not in the URI, on merge */

ngx_int_t
ngx_http_aggregate_cache_set_route(ngx_conf_t *cf,
    ngx_http_aggregate_cache_conf_t *prev,
    ngx_http_aggregate_cache_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->named) {
        conf->route = clcf->name;
        return NGX_OK;
    }

    conf->route = prev->route;

    if (!clcf->noname) {
        return NGX_OK;
    }

    /* an "if" or a "limit_except", by its number in the location */

    conf->route.data = ngx_pnalloc(cf->pool, prev->route.len + 1
                                             + NGX_INT_T_LEN);
    if (conf->route.data == NULL) {
        return NGX_ERROR;
    }

    conf->route.len = ngx_sprintf(conf->route.data, "%V#%ui", &prev->route,
                                  ++prev->inner)
                      - conf->route.data;

    return NGX_OK;
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

    if (ngx_http_aggregate_cache_names(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

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

    if (ngx_http_aggregate_cache_key_digest(&ctx->key, ctx->digest) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->full = ctx->key;
    ngx_memcpy(ctx->variant, ctx->digest, AGG_CACHE_DIGEST);

    ctx->names[1] = agg_cache_hash(AGG_CACHE_PURGE_KEY, ctx->digest,
                                   AGG_CACHE_DIGEST);

    return NGX_OK;
}


/* the SHA-256 is a third of a hit: those of the keys in use are kept */

static ngx_int_t
ngx_http_aggregate_cache_key_digest(ngx_str_t *key, u_char *digest)
{
    ngx_http_aggregate_cache_known_t  *known;

    static ngx_http_aggregate_cache_known_t  *keys;

    if (keys == NULL) {

        /* for the life of the worker, and only where there is a cache */

        keys = ngx_calloc(NGX_HTTP_AGGREGATE_CACHE_KNOWN
                          * sizeof(ngx_http_aggregate_cache_known_t),
                          ngx_cycle->log);
    }

    if (keys == NULL || key->len > NGX_HTTP_AGGREGATE_CACHE_KNOWN_KEY) {
        return ngx_http_aggregate_cache_digest(key, digest);
    }

    known = &keys[agg_cache_sum(key->data, key->len)
                  % NGX_HTTP_AGGREGATE_CACHE_KNOWN];

    if (known->len == key->len
        && ngx_memcmp(known->key, key->data, key->len) == 0)
    {
        ngx_memcpy(digest, known->digest, AGG_CACHE_DIGEST);
        return NGX_OK;
    }

    if (ngx_http_aggregate_cache_digest(key, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    known->len = key->len;
    ngx_memcpy(known->key, key->data, key->len);
    ngx_memcpy(known->digest, digest, AGG_CACHE_DIGEST);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_default_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity)
{
    size_t                                n, port_len, twin_len;
    u_char                               *p, port[NGX_INT_T_LEN],
                                          twin[NGX_INT_T_LEN];
    ngx_str_t                             scheme, told, *host, *route;
    ngx_connection_t                     *c;
    agg_cache_str_t                       path, args, *list;
    ngx_http_aggregate_cache_srv_conf_t  *ascf;

    c = r->connection;

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    port_len = ngx_sprintf(port, "%ui",
                           (ngx_uint_t) ngx_inet_get_port(c->local_sockaddr))
               - port;

    ascf = ngx_http_get_module_srv_conf(r, ngx_http_aggregate_cache_module);
    twin_len = ascf->twin ? ngx_sprintf(twin, "%ui", ascf->twin) - twin : 0;

    ngx_str_set(&scheme, "http");

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        ngx_str_set(&scheme, "https");
    }

#endif

    host = &r->headers_in.server;
    route = &ctx->conf->route;

    if (ngx_http_aggregate_cache_path(r, &path, &args) != NGX_OK
        || ngx_http_aggregate_cache_told(r, ctx, &told) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = agg_cache_args_count(&args);

    list = ngx_palloc(r->pool, (n + 1) * sizeof(agg_cache_str_t));
    p = ngx_pnalloc(r->pool, 11 * sizeof(uint32_t) + 1 + scheme.len + host->len
                             + port_len + path.len + args.len + twin_len
                             + route->len + ctx->asked.len + told.len
                             + identity->len);

    if (list == NULL || p == NULL) {
        return NGX_ERROR;
    }

    agg_cache_args_sort(&args, list, n);

    ctx->key.data = p;

    p = agg_cache_field_write(p, (u_char *) "1", 1);
    p = agg_cache_field_write(p, scheme.data, scheme.len);
    p = agg_cache_field_write(p, host->data, host->len);
    p = agg_cache_field_write(p, port, port_len);
    p = agg_cache_field_write(p, path.data, path.len);
    p = agg_cache_args_write(p, list, n, args.len);
    p = agg_cache_field_write(p, twin, twin_len);
    p = agg_cache_field_write(p, route->data, route->len);
    p = agg_cache_field_write(p, ctx->asked.data, ctx->asked.len);
    p = agg_cache_field_write(p, told.data, told.len);
    p = agg_cache_field_write(p, identity->data, identity->len);

    ctx->key.len = p - ctx->key.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_custom_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity)
{
    u_char     *p;
    ngx_str_t   value;

    if (ngx_http_complex_value(r, ctx->conf->key, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0) {
        return NGX_DECLINED;
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


/*
 * The client's headers about its scheme, and its Host if this is not the plain
 * name: they reach the backend, and may come back in links.
 */

static ngx_int_t
ngx_http_aggregate_cache_told(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *told)
{
    size_t                             len;
    u_char                            *p;
    ngx_str_t                         *server;
    ngx_uint_t                         pass;
    ngx_table_elt_t                   *h, *host;
    ngx_http_aggregate_header_iter_t   it;

    ngx_str_null(told);

    host = r->headers_in.host;
    server = &r->headers_in.server;

    if (host && host->value.len == server->len
        && ngx_memcmp(host->value.data, server->data, server->len) == 0)
    {
        host = NULL;
    }

    if (host == NULL && ctx->told == 0) {
        return NGX_OK;
    }

    p = NULL;

    for (pass = 0; pass < 2; pass++) {

        len = host ? agg_cache_field_length(host->value.len) : 0;

        if (pass && host) {
            p = agg_cache_field_write(p, host->value.data, host->value.len);
        }

        ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

        while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

            if (!(agg_header_flags(h->key.data, h->key.len)
                  & AGG_HEADER_KEYED))
            {
                continue;
            }

            if (pass) {
                p = agg_cache_field_write(p, h->key.data, h->key.len);
                p = agg_cache_field_write(p, h->value.data, h->value.len);
                continue;
            }

            len += agg_cache_field_length(h->key.len)
                   + agg_cache_field_length(h->value.len);
        }

        if (pass == 0) {
            p = ngx_pnalloc(r->pool, len + 1);
            if (p == NULL) {
                return NGX_ERROR;
            }

            told->data = p;
            told->len = len;
        }
    }

    return NGX_OK;
}


/*
 * The names by which it can be purged: the location's URI, and the URI that
 * the client asked for, if that was another one
 */

static ngx_int_t
ngx_http_aggregate_cache_names(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    u_char                    *p;
    ssize_t                    len;
    agg_cache_str_t            path, args;
    ngx_http_core_srv_conf_t  *cscf;

    ctx->path.data = ngx_pnalloc(r->pool, r->uri.len);
    if (ctx->path.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy((u_char *) ctx->path.data, r->uri.data, r->uri.len);
    ctx->path.len = r->uri.len;

    args.data = r->args.data;
    args.len = r->args.len;

    if (ngx_http_aggregate_cache_uri_hash(r->pool, &ctx->path, &args,
                                          &ctx->names[0])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->names[2] = ctx->names[0];

    if (r != r->main || r->valid_unparsed_uri) {
        return NGX_OK;
    }

    ctx->asked.data = r->unparsed_uri.data;
    ctx->asked.len = r->unparsed_uri.len;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    agg_cache_uri_split(r->unparsed_uri.data, r->unparsed_uri.len, &path,
                        &args);

    p = ngx_pnalloc(r->pool, path.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = agg_cache_uri_path(p, path.data, path.len, cscf->merge_slashes);

    if (len < 0) {

        /* the target is in absolute form, or has no path at all */

        p[0] = '/';
        len = 1;
    }

    ctx->asked_path.data = p;
    ctx->asked_path.len = len;

    return ngx_http_aggregate_cache_uri_hash(r->pool, &ctx->asked_path, &args,
                                             &ctx->names[2]);
}


/* the spelling of the arguments does not count, nor does their order */

ngx_int_t
ngx_http_aggregate_cache_uri_hash(ngx_pool_t *pool, agg_cache_str_t *path,
    agg_cache_str_t *args, uint64_t *hash)
{
    size_t            n;
    u_char           *p, *buf;
    agg_cache_str_t  *list, plain;

    plain = *args;

    if (args->len && ngx_strlchr((u_char *) args->data,
                                 (u_char *) args->data + args->len, '%'))
    {
        p = ngx_pnalloc(pool, args->len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        plain.data = p;
        plain.len = agg_cache_uri_unescape(p, args->data, args->len);
    }

    n = agg_cache_args_count(&plain);

    list = ngx_palloc(pool, (n + 1) * sizeof(agg_cache_str_t));
    buf = ngx_pnalloc(pool, 2 * sizeof(uint32_t) + path->len + plain.len);

    if (list == NULL || buf == NULL) {
        return NGX_ERROR;
    }

    agg_cache_args_sort(&plain, list, n);

    p = agg_cache_field_write(buf, path->data, path->len);
    p = agg_cache_args_write(p, list, n, plain.len);

    *hash = agg_cache_hash(AGG_CACHE_PURGE_URI, buf, p - buf);

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
    size_t                             len;
    u_char                            *p;
    ngx_str_t                          text, key;
    ngx_uint_t                         pass, found;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    /* the response cannot depend on a header that the origin does not get */

    if (agg_header_flags(name->data, name->len) & AGG_HEADER_NO_FILL) {
        return NGX_DECLINED;
    }

    key.data = (u_char *) name->data;
    key.len = name->len;

    /* the lines of one name count as one, joined by commas */

    text.data = NULL;
    text.len = 0;
    p = NULL;
    found = 0;

    for (pass = 0; pass < 2; pass++) {

        len = 0;

        ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

        while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

            if (!ngx_http_aggregate_header_named(h, &key)) {
                continue;
            }

            found = 1;

            if (pass == 0) {
                len += h->value.len + 1;
                continue;
            }

            p = ngx_cpymem(p, h->value.data, h->value.len);
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
