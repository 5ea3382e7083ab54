
/*
 * The key of a request, and the hashes by which its response can be purged.
 *
 * One URI may select several responses in ways that it does not show: by named
 * locations, by "if" blocks, by servers with one name and different addresses,
 * and by rewrites of several URIs to one.  A response that was stored by
 * way of one location must not be served in another, which may have other
 * access rules, so the location is a part of the key.  The scheme and host that
 * the client claims are, too, as backends build links from them.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_depends.h"
#include "gw_number.h"

#include <openssl/evp.h>


/* keys in the digest cache of a worker, and their length at most */
#define NGX_HTTP_AGGREGATE_CACHE_KNOWN      2048
#define NGX_HTTP_AGGREGATE_CACHE_KNOWN_KEY  216


typedef struct {
    ngx_str_t                        server;
} ngx_http_aggregate_cache_srv_conf_t;


typedef struct {
    size_t                           len;
    u_char                           digest[AGG_CACHE_DIGEST];
    uint64_t                         purge_hash;
    u_char                           key[NGX_HTTP_AGGREGATE_CACHE_KNOWN_KEY];
} ngx_http_aggregate_cache_known_t;


static ngx_str_t *ngx_http_aggregate_cache_first_name(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf);
static ngx_uint_t ngx_http_aggregate_cache_same(ngx_str_t *one,
    ngx_str_t *two);
static ngx_int_t ngx_http_aggregate_cache_digest(ngx_str_t *data,
    u_char *digest);
static ngx_int_t ngx_http_aggregate_cache_key_digest(ngx_str_t *key,
    u_char *digest, uint64_t *purge_hash);
static ngx_int_t ngx_http_aggregate_cache_default_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity);
static ngx_int_t ngx_http_aggregate_cache_custom_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity);
static ngx_int_t ngx_http_aggregate_cache_path(ngx_http_request_t *r,
    agg_cache_str_t *path, agg_cache_str_t *args);
static ngx_int_t ngx_http_aggregate_cache_add_forwarded(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *forwarded);
static size_t ngx_http_aggregate_cache_write_forwarded(ngx_http_request_t *r,
    u_char *p);
static ngx_int_t ngx_http_aggregate_cache_set_uri_hashes(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_vary_value(ngx_http_request_t *r,
    const agg_cache_str_t *name, u_char *hash);


void *
ngx_http_aggregate_cache_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_cache_srv_conf_t));
}


/*
 * A server is known by its first name, as the client may have asked for another
 * one, and by how many servers before it in the configuration have that, too.
 * Requests distinguish these by the address, but that is another one on each
 * node, as the name of the host is.
 */

ngx_int_t
ngx_http_aggregate_cache_name_servers(ngx_conf_t *cf)
{
    ngx_str_t                            *name;
    ngx_uint_t                            i, n, ordinal;
    ngx_http_core_srv_conf_t            **servers;
    ngx_http_core_main_conf_t            *cmcf;
    ngx_http_aggregate_cache_srv_conf_t  *conf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    servers = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        name = ngx_http_aggregate_cache_first_name(cf, servers[i]);
        ordinal = 0;

        for (n = 0; n < i; n++) {
            ordinal += ngx_http_aggregate_cache_same(name,
                       ngx_http_aggregate_cache_first_name(cf, servers[n]));
        }

        conf = servers[i]->ctx->srv_conf
                                [ngx_http_aggregate_cache_module.ctx_index];

        conf->server.data = ngx_pnalloc(cf->pool, NGX_INT_T_LEN + 1
                                                  + name->len);
        if (conf->server.data == NULL) {
            return NGX_ERROR;
        }

        conf->server.len = ngx_sprintf(conf->server.data, "%ui:%V", ordinal,
                                       name)
                           - conf->server.data;
    }

    return NGX_OK;
}


static ngx_str_t *
ngx_http_aggregate_cache_first_name(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf)
{
    ngx_uint_t               i;
    ngx_http_server_name_t  *names;

    static ngx_str_t  none = ngx_null_string;

    names = cscf->server_names.elts;

    for (i = 0; i < cscf->server_names.nelts; i++) {

        if (!ngx_http_aggregate_cache_same(&names[i].name,
                                           &cf->cycle->hostname))
        {
            return &names[i].name;
        }
    }

    return &none;
}


static ngx_uint_t
ngx_http_aggregate_cache_same(ngx_str_t *one, ngx_str_t *two)
{
    return one->len == two->len
           && ngx_memcmp(one->data, two->data, one->len) == 0;
}


/* sets the part of the key that stands for the location */

ngx_int_t
ngx_http_aggregate_cache_set_location_path(ngx_conf_t *cf,
    ngx_http_aggregate_cache_conf_t *prev,
    ngx_http_aggregate_cache_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->named) {
        conf->location = clcf->name;
        return NGX_OK;
    }

    conf->location = prev->location;

    if (!clcf->noname) {
        return NGX_OK;
    }

    /* an "if" or a "limit_except", by its number in the location */

    conf->location.data = ngx_pnalloc(cf->pool,
                                      prev->location.len + 1 + NGX_INT_T_LEN);
    if (conf->location.data == NULL) {
        return NGX_ERROR;
    }

    conf->location.len = ngx_sprintf(conf->location.data, "%V#%ui",
                                     &prev->location, ++prev->if_blocks)
                         - conf->location.data;

    return NGX_OK;
}


/* NGX_DECLINED: the request cannot be cached */

ngx_int_t
ngx_http_aggregate_cache_make_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t                         rc;
    ngx_str_t                         identity;
    ngx_http_aggregate_cache_conf_t  *conf;

    conf = ctx->conf;

    if (ngx_http_aggregate_cache_set_uri_hashes(r, ctx) != NGX_OK) {
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
        ctx->identified = 1;

        if (ngx_http_aggregate_depend_identity(r->parent) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (conf->key) {

        if (conf->key_unsafe && r != r->main) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "\"aggregate_cache_key\" has $request_uri or "
                          "$request, which are not those of the subrequest "
                          "\"%V\": not cached", &r->uri);
            return NGX_DECLINED;
        }

        rc = ngx_http_aggregate_cache_custom_key(r, ctx, &identity);

    } else {
        rc = ngx_http_aggregate_cache_default_key(r, ctx, &identity);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->key.resource.len > AGG_CACHE_ENTRY_KEY_MAX / 2) {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_key_digest(&ctx->key.resource,
                                            ctx->key.digest,
                                            &ctx->key.purge_hash[1])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->key.variant = ctx->key.resource;
    ngx_memcpy(ctx->key.variant_digest, ctx->key.digest, AGG_CACHE_DIGEST);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_digest(ngx_str_t *data, u_char *digest)
{
    unsigned int  len;

    static EVP_MD_CTX    *md_ctx;
    static const EVP_MD  *md;

    /* looking up the algorithm costs more than the digest itself */

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


/* SHA-256 takes a third of the time of a hit, so digests are cached */

static ngx_int_t
ngx_http_aggregate_cache_key_digest(ngx_str_t *key, u_char *digest,
    uint64_t *purge_hash)
{
    ngx_http_aggregate_cache_known_t  *known;

    static ngx_http_aggregate_cache_known_t  *keys;

    if (keys == NULL) {

        /* allocated once, in workers that use a cache */

        keys = ngx_calloc(NGX_HTTP_AGGREGATE_CACHE_KNOWN
                          * sizeof(ngx_http_aggregate_cache_known_t),
                          ngx_cycle->log);
    }

    if (keys == NULL || key->len > NGX_HTTP_AGGREGATE_CACHE_KNOWN_KEY) {

        if (ngx_http_aggregate_cache_digest(key, digest) != NGX_OK) {
            return NGX_ERROR;
        }

        *purge_hash = agg_cache_hash(AGG_CACHE_PURGE_KEY, digest,
                                     AGG_CACHE_DIGEST);
        return NGX_OK;
    }

    known = &keys[agg_cache_sum(key->data, key->len)
                  % NGX_HTTP_AGGREGATE_CACHE_KNOWN];

    if (known->len == key->len
        && ngx_memcmp(known->key, key->data, key->len) == 0)
    {
        ngx_memcpy(digest, known->digest, AGG_CACHE_DIGEST);
        *purge_hash = known->purge_hash;
        return NGX_OK;
    }

    if (ngx_http_aggregate_cache_digest(key, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    *purge_hash = agg_cache_hash(AGG_CACHE_PURGE_KEY, digest,
                                 AGG_CACHE_DIGEST);

    known->len = key->len;
    ngx_memcpy(known->key, key->data, key->len);
    ngx_memcpy(known->digest, digest, AGG_CACHE_DIGEST);
    known->purge_hash = *purge_hash;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_default_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *identity)
{
    size_t                                n, port_len;
    u_char                               *p, port[GW_NUMBER];
    ngx_str_t                             scheme, forwarded, *host, *location,
                                         *server;
    agg_cache_str_t                       path, args, *list;
    ngx_connection_t                     *c;
    ngx_http_aggregate_cache_srv_conf_t  *ascf;

    c = r->connection;

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    port_len = gw_write_uint(port, ngx_inet_get_port(c->local_sockaddr))
               - port;

    ascf = ngx_http_get_module_srv_conf(r, ngx_http_aggregate_cache_module);

    ngx_str_set(&scheme, "http");

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        ngx_str_set(&scheme, "https");
    }

#endif

    host = &r->headers_in.server;
    server = &ascf->server;
    location = &ctx->conf->location;

    if (ngx_http_aggregate_cache_path(r, &path, &args) != NGX_OK
        || ngx_http_aggregate_cache_add_forwarded(r, ctx, &forwarded) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = agg_cache_args_count(&args);

    list = ngx_palloc(r->pool, (n + 1) * sizeof(agg_cache_str_t));
    p = ngx_pnalloc(r->pool, 11 * sizeof(uint32_t) + 1 + scheme.len + host->len
                             + port_len + path.len + args.len + server->len
                             + location->len + ctx->key.original_uri.len
                             + forwarded.len + identity->len);

    if (list == NULL || p == NULL) {
        return NGX_ERROR;
    }

    agg_cache_args_sort(&args, list, n);

    ctx->key.resource.data = p;

    p = agg_cache_field_write(p, (u_char *) "1", 1);
    p = agg_cache_field_write(p, scheme.data, scheme.len);
    p = agg_cache_field_write(p, host->data, host->len);
    p = agg_cache_field_write(p, port, port_len);
    p = agg_cache_field_write(p, path.data, path.len);
    p = agg_cache_args_write(p, list, n, args.len);
    p = agg_cache_field_write(p, server->data, server->len);
    p = agg_cache_field_write(p, location->data, location->len);
    p = agg_cache_field_write(p, ctx->key.original_uri.data,
                              ctx->key.original_uri.len);
    p = agg_cache_field_write(p, forwarded.data, forwarded.len);
    p = agg_cache_field_write(p, identity->data, identity->len);

    ctx->key.resource.len = p - ctx->key.resource.data;

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

    ctx->key.resource.data = p;

    p = agg_cache_field_write(p, (u_char *) "2", 1);
    p = agg_cache_field_write(p, value.data, value.len);
    p = agg_cache_field_write(p, identity->data, identity->len);

    ctx->key.resource.len = p - ctx->key.resource.data;

    return NGX_OK;
}


/* the path as the backend gets it: unparsed, or rewritten */

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

            /* "/a?" and "/a" are different resources */

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
 * The headers in which the client claims a scheme, and its Host unless it is
 * the plain name.  The backend gets them, and may build links from them.
 */

static ngx_int_t
ngx_http_aggregate_cache_add_forwarded(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *forwarded)
{
    size_t            len;
    u_char           *p;
    ngx_str_t        *server;
    ngx_table_elt_t  *host;

    ngx_str_null(forwarded);

    host = r->headers_in.host;
    server = &r->headers_in.server;

    if (host && host->value.len == server->len
        && ngx_memcmp(host->value.data, server->data, server->len) == 0)
    {
        host = NULL;
    }

    if (host == NULL && ctx->forwarded == 0) {
        return NGX_OK;
    }

    len = host ? agg_cache_field_length(host->value.len) : 0;

    if (ctx->forwarded) {
        len += ngx_http_aggregate_cache_write_forwarded(r, NULL);
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    forwarded->data = p;
    forwarded->len = len;

    if (host) {
        p = agg_cache_field_write(p, host->value.data, host->value.len);
    }

    if (ctx->forwarded) {
        (void) ngx_http_aggregate_cache_write_forwarded(r, p);
    }

    return NGX_OK;
}


/* returns the length; p may be NULL */

static size_t
ngx_http_aggregate_cache_write_forwarded(ngx_http_request_t *r, u_char *p)
{
    size_t                             len;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    len = 0;

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (!(agg_header_flags(h->key.data, h->key.len) & AGG_HEADER_KEYED)) {
            continue;
        }

        len += agg_cache_field_length(h->key.len)
               + agg_cache_field_length(h->value.len);

        if (p) {
            p = agg_cache_field_write(p, h->key.data, h->key.len);
            p = agg_cache_field_write(p, h->value.data, h->value.len);
        }
    }

    return len;
}


/*
 * The hashes for purges: of the URI, and of the client's URI if a rewrite has
 * changed it.
 */

static ngx_int_t
ngx_http_aggregate_cache_set_uri_hashes(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    u_char                    *p;
    ssize_t                    len;
    agg_cache_str_t            path, args;
    ngx_http_core_srv_conf_t  *cscf;

    ctx->key.path.data = ngx_pnalloc(r->pool, r->uri.len);
    if (ctx->key.path.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy((u_char *) ctx->key.path.data, r->uri.data, r->uri.len);
    ctx->key.path.len = r->uri.len;

    args.data = r->args.data;
    args.len = r->args.len;

    if (ngx_http_aggregate_cache_uri_hash(r->pool, &ctx->key.path, &args,
                                          &ctx->key.purge_hash[0])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->key.purge_hash[2] = ctx->key.purge_hash[0];

    if (r != r->main || r->valid_unparsed_uri) {
        return NGX_OK;
    }

    ctx->key.original_uri.data = r->unparsed_uri.data;
    ctx->key.original_uri.len = r->unparsed_uri.len;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    agg_cache_uri_split(r->unparsed_uri.data, r->unparsed_uri.len, &path,
                        &args);

    p = ngx_pnalloc(r->pool, path.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = agg_cache_uri_path(p, path.data, path.len, cscf->merge_slashes);

    if (len < 0) {

        /* the request target is in absolute form, or has no path */

        p[0] = '/';
        len = 1;
    }

    ctx->key.original_path.data = p;
    ctx->key.original_path.len = len;

    return ngx_http_aggregate_cache_uri_hash(r->pool, &ctx->key.original_path,
                                             &args, &ctx->key.purge_hash[2]);
}


/* the order and the escapes of arguments make no difference */

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
ngx_http_aggregate_cache_make_variant_key(ngx_http_request_t *r,
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

    ctx->key.variant.len = ctx->key.resource.len
                           + agg_cache_variant_length(values, n);
    ctx->key.variant.data = ngx_pnalloc(r->pool, ctx->key.variant.len);

    if (ctx->key.variant.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(ctx->key.variant.data, ctx->key.resource.data,
                   ctx->key.resource.len);

    (void) agg_cache_variant_write(p, values, n);

    return ngx_http_aggregate_cache_digest(&ctx->key.variant,
                                           ctx->key.variant_digest);
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

    /* the response cannot vary by a header that the backend does not get */

    if (agg_header_flags(name->data, name->len) & AGG_HEADER_NO_FILL) {
        return NGX_DECLINED;
    }

    key.data = (u_char *) name->data;
    key.len = name->len;

    /* several headers of one name are joined by commas */

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


/*
 * Requests with credentials have a lock of their own: their response may not
 * be shared, so other requests do not wait for it.
 */

void
ngx_http_aggregate_cache_set_lock_digest(ngx_http_aggregate_cache_ctx_t *ctx,
    const u_char *digest)
{
    ngx_memcpy(ctx->lock.digest, digest, AGG_CACHE_DIGEST);

    ctx->lock.digest[AGG_CACHE_DIGEST - 1] ^= (u_char) ctx->credentials;
    ctx->lock.digest[8] ^= (u_char) ctx->credentials;
}
