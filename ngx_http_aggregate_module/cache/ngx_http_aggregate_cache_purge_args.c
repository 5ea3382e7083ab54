
/*
 * The arguments of a purge.  A request with an invalid argument purges
 * nothing.
 *
 * A URI is purged in all its spellings.  It may be escaped once more in the
 * argument or not, and the server that handles it may merge slashes or not, so
 * each of these interpretations is marked.  They are the same for nearly all
 * URIs.
 */


#include "ngx_http_aggregate_cache.h"


#define NGX_HTTP_AGGREGATE_CACHE_URI_MAX    8192

/* interpretations of one URI */
#define NGX_HTTP_AGGREGATE_CACHE_READINGS   6


typedef ngx_int_t (*ngx_http_aggregate_cache_purge_arg_pt)(
    ngx_http_request_t *r, ngx_http_aggregate_cache_purge_t *purge,
    ngx_str_t *raw, ngx_str_t *value);


typedef struct {
    ngx_str_t                               name;
    ngx_http_aggregate_cache_purge_arg_pt   handler;
    size_t                                  offset;  /* the counter's offset */
} ngx_http_aggregate_cache_purge_arg_t;


static ngx_int_t ngx_http_aggregate_cache_purge_arg(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, u_char *start, u_char *end);
static ngx_int_t ngx_http_aggregate_cache_purge_add(
    ngx_http_aggregate_cache_purge_t *purge, uint64_t hash);
static ngx_int_t ngx_http_aggregate_cache_purge_uri(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_cache_purge_prefix(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_cache_purge_path(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *uri, ngx_uint_t prefix);
static ngx_int_t ngx_http_aggregate_cache_purge_unescape(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, agg_cache_str_t *path,
    agg_cache_str_t *args, ngx_uint_t prefix);
static ngx_int_t ngx_http_aggregate_cache_purge_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_cache_purge_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_cache_purge_all(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_cache_purge_soft(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value);


static const ngx_http_aggregate_cache_purge_arg_t
    ngx_http_aggregate_cache_purge_args[] =
{
    { ngx_string("uri"), ngx_http_aggregate_cache_purge_uri,
      offsetof(ngx_http_aggregate_cache_purge_t, uris) },
    { ngx_string("key"), ngx_http_aggregate_cache_purge_key,
      offsetof(ngx_http_aggregate_cache_purge_t, keys) },
    { ngx_string("tag"), ngx_http_aggregate_cache_purge_tags,
      offsetof(ngx_http_aggregate_cache_purge_t, tags) },
    { ngx_string("prefix"), ngx_http_aggregate_cache_purge_prefix,
      offsetof(ngx_http_aggregate_cache_purge_t, prefixes) },
    { ngx_string("all"), ngx_http_aggregate_cache_purge_all,
      offsetof(ngx_http_aggregate_cache_purge_t, all) },
    { ngx_string("soft"), ngx_http_aggregate_cache_purge_soft, 0 },
    { ngx_null_string, NULL, 0 }
};


/* NGX_DECLINED: an invalid argument, or none */

ngx_int_t
ngx_http_aggregate_cache_purge_parse(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge)
{
    u_char     *p, *end, *last;
    ngx_int_t   rc;

    ngx_memzero(purge, sizeof(ngx_http_aggregate_cache_purge_t));

    if (ngx_array_init(&purge->hashes, r->pool, 8, sizeof(uint64_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = r->args.data;
    last = p + r->args.len;

    while (p < last) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end != p) {
            rc = ngx_http_aggregate_cache_purge_arg(r, purge, p, end);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        p = end + 1;
    }

    return purge->hashes.nelts ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_arg(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, u_char *start, u_char *end)
{
    u_char                                      *p;
    ngx_int_t                                    n;
    ngx_str_t                                    name, raw, value;
    const ngx_http_aggregate_cache_purge_arg_t  *arg;

    p = ngx_strlchr(start, end, '=');

    if (p == NULL) {
        return NGX_DECLINED;
    }

    name.data = start;
    name.len = p - start;

    raw.data = p + 1;
    raw.len = end - raw.data;

    value.data = ngx_pnalloc(r->pool, raw.len + 1);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = agg_cache_uri_unescape(value.data, raw.data, raw.len);

    for (arg = ngx_http_aggregate_cache_purge_args; arg->handler; arg++) {

        if (arg->name.len != name.len
            || ngx_strncasecmp(arg->name.data, name.data, name.len) != 0)
        {
            continue;
        }

        /* the number of hashes, or an error */

        n = arg->handler(r, purge, &raw, &value);

        if (n < 0) {
            return n;
        }

        if (arg->offset) {
            *(ngx_uint_t *) ((u_char *) purge + arg->offset) += n;
        }

        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_add(ngx_http_aggregate_cache_purge_t *purge,
    uint64_t hash)
{
    uint64_t    *hashes;
    ngx_uint_t   i, from;

    hashes = purge->hashes.elts;

    /* adds the hashes of all interpretations of a URI */

    from = purge->hashes.nelts > 2 * NGX_HTTP_AGGREGATE_CACHE_READINGS
           ? purge->hashes.nelts - 2 * NGX_HTTP_AGGREGATE_CACHE_READINGS : 0;

    for (i = from; i < purge->hashes.nelts; i++) {
        if (hashes[i] == hash) {
            return NGX_OK;
        }
    }

    if (purge->hashes.nelts == NGX_HTTP_AGGREGATE_CACHE_PURGE_MAX) {
        return NGX_DECLINED;
    }

    hashes = ngx_array_push(&purge->hashes);
    if (hashes == NULL) {
        return NGX_ERROR;
    }

    *hashes = hash;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_uri(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value)
{
    ngx_int_t  plain, escaped;

    plain = ngx_http_aggregate_cache_purge_path(r, purge, raw, 0);

    if (plain == NGX_ERROR) {
        return NGX_ERROR;
    }

    escaped = ngx_http_aggregate_cache_purge_path(r, purge, value, 0);

    if (escaped == NGX_ERROR) {
        return NGX_ERROR;
    }

    return (plain == NGX_OK || escaped == NGX_OK) ? 1 : NGX_DECLINED;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_prefix(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value)
{
    ngx_int_t  plain, escaped;

    plain = ngx_http_aggregate_cache_purge_path(r, purge, raw, 1);

    if (plain == NGX_ERROR) {
        return NGX_ERROR;
    }

    escaped = ngx_http_aggregate_cache_purge_path(r, purge, value, 1);

    if (escaped == NGX_ERROR) {
        return NGX_ERROR;
    }

    return (plain == NGX_OK || escaped == NGX_OK) ? 1 : NGX_DECLINED;
}


/* the interpretations of one text; NGX_DECLINED: it has none */

static ngx_int_t
ngx_http_aggregate_cache_purge_path(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *uri, ngx_uint_t prefix)
{
    u_char           *p, *last;
    ssize_t           len;
    ngx_int_t         rc, result;
    ngx_uint_t        i;
    agg_cache_str_t   raw, path, args;

    p = uri->data;
    last = p + uri->len;

    /* the path of an absolute URI is purged for all hosts */

    if (uri->len > 8
        && (ngx_strncasecmp(p, (u_char *) "http://", 7) == 0
            || ngx_strncasecmp(p, (u_char *) "https://", 8) == 0))
    {
        p = ngx_strlchr(p + 8, last, '/');
    }

    if (p == NULL || p == last || *p != '/'
        || last - p > NGX_HTTP_AGGREGATE_CACHE_URI_MAX)
    {
        return NGX_DECLINED;
    }

    agg_cache_uri_split(p, last - p, &raw, &args);

    result = NGX_DECLINED;

    for (i = 0; i < 3; i++) {

        if (i == 2 && result != NGX_OK) {
            break;
        }

        p = ngx_pnalloc(r->pool, raw.len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        /* the third one is the result of a rewrite */

        len = (i < 2) ? agg_cache_uri_path(p, raw.data, raw.len, (int) i)
                      : (ssize_t) agg_cache_uri_unescape(p, raw.data,
                                                         raw.len);
        if (len <= 0) {
            continue;
        }

        path.data = p;
        path.len = len;

        rc = ngx_http_aggregate_cache_purge_unescape(r, purge, &path, &args,
                                                     prefix);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            result = NGX_OK;
        }
    }

    return result;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_unescape(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, agg_cache_str_t *path,
    agg_cache_str_t *args, ngx_uint_t prefix)
{
    size_t      i;
    uint64_t    hash;
    ngx_uint_t  depth;

    if (!prefix) {

        if (ngx_http_aggregate_cache_uri_hash(r->pool, path, args, &hash)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_aggregate_cache_purge_add(purge, hash);
    }

    if (path->data[path->len - 1] != '/' || args->len) {
        return NGX_DECLINED;
    }

    depth = 0;

    for (i = 0; i < path->len; i++) {
        depth += (path->data[i] == '/');
    }

    if (depth > AGG_CACHE_PURGE_DEPTH) {
        return NGX_DECLINED;
    }

    hash = agg_cache_hash(AGG_CACHE_PURGE_PREFIX, path->data, path->len);

    return ngx_http_aggregate_cache_purge_add(purge, hash);
}


static ngx_int_t
ngx_http_aggregate_cache_purge_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value)
{
    u_char      digest[AGG_CACHE_DIGEST];
    uint64_t    hash;
    ngx_int_t   rc, byte;
    ngx_uint_t  i;

    if (value->len != (size_t) 2 * AGG_CACHE_DIGEST) {
        return NGX_DECLINED;
    }

    for (i = 0; i < AGG_CACHE_DIGEST; i++) {

        byte = ngx_hextoi(value->data + 2 * i, 2);

        if (byte == NGX_ERROR) {
            return NGX_DECLINED;
        }

        digest[i] = (u_char) byte;
    }

    hash = agg_cache_hash(AGG_CACHE_PURGE_KEY, digest, AGG_CACHE_DIGEST);

    rc = ngx_http_aggregate_cache_purge_add(purge, hash);

    return (rc == NGX_OK) ? 1 : rc;
}


/* separated by blanks, as in "aggregate_cache_tags" */

static ngx_int_t
ngx_http_aggregate_cache_purge_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value)
{
    size_t            len;
    u_char           *p, *last;
    uint64_t          hash;
    ngx_int_t         rc, n;
    agg_cache_str_t   path, tag;

    path.data = NULL;
    path.len = 0;

    n = 0;
    p = value->data;
    last = p + value->len;

    while (p < last) {

        for (len = 0; p + len < last; len++) {
            if (p[len] == ' ' || p[len] == '\t') {
                break;
            }
        }

        if (len) {
            tag.data = p;
            tag.len = len;

            (void) agg_cache_purge_hashes(&hash, 1, &path, &tag);

            rc = ngx_http_aggregate_cache_purge_add(purge, hash);

            if (rc != NGX_OK) {
                return rc;
            }

            n++;
        }

        p += len + 1;
    }

    return n ? n : NGX_DECLINED;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_all(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value)
{
    ngx_int_t  rc;

    if (value->len != 1 || value->data[0] != '1') {
        return NGX_DECLINED;
    }

    rc = ngx_http_aggregate_cache_purge_add(purge, 0);

    if (rc != NGX_OK) {
        return rc;
    }

    return purge->all ? 0 : 1;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_soft(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_str_t *raw, ngx_str_t *value)
{
    if (value->len != 1 || (value->data[0] != '0' && value->data[0] != '1')) {
        return NGX_DECLINED;
    }

    purge->soft = (value->data[0] == '1');

    return 0;
}
