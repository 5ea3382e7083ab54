
/*
 * Purges, for those who run the gateway.
 */


#include "ngx_http_aggregate_cache.h"
#include "gw_origin.h"


#define NGX_HTTP_AGGREGATE_CACHE_URI_MAX  8192


typedef struct ngx_http_aggregate_cache_told_s
    ngx_http_aggregate_cache_told_t;


typedef struct {
    ngx_http_aggregate_cache_told_t  *told;
    ngx_http_aggregate_redis_op_t    *op;
} ngx_http_aggregate_cache_tell_t;


/* purges of one request that are on their way to Redis */

struct ngx_http_aggregate_cache_told_s {
    ngx_http_request_t               *request;
    ngx_http_aggregate_cache_tell_t   tells[5];
    ngx_uint_t                        n;
    ngx_uint_t                        soft;
    ngx_uint_t                        pending;
    ngx_uint_t                        failed;
};


static ngx_int_t ngx_http_aggregate_cache_purge_tell(ngx_http_request_t *r,
    ngx_http_aggregate_redis_t *redis, uint64_t *hashes, ngx_uint_t n,
    ngx_uint_t soft);
static void ngx_http_aggregate_cache_purge_told(
    ngx_http_aggregate_redis_op_t *op);
static void ngx_http_aggregate_cache_purge_gone(void *data);
static ngx_int_t ngx_http_aggregate_cache_purge_answer(ngx_http_request_t *r,
    ngx_uint_t n, ngx_uint_t soft, ngx_uint_t failed);
static ngx_int_t ngx_http_aggregate_cache_purge_all(ngx_http_request_t *r,
    uint64_t *hashes, ngx_uint_t *n);
static ngx_int_t ngx_http_aggregate_cache_purge_arg(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_cache_purge_uri(ngx_http_request_t *r,
    ngx_str_t *value, uint64_t *hash);
static ngx_int_t ngx_http_aggregate_cache_purge_key(ngx_str_t *value,
    uint64_t *hash);
static ngx_int_t ngx_http_aggregate_cache_purge_prefix(ngx_str_t *value,
    uint64_t *hash);
static ngx_uint_t ngx_http_aggregate_cache_foreign(ngx_http_request_t *r);


void
ngx_http_aggregate_cache_purge(ngx_http_aggregate_cache_zone_t *zone,
    uint64_t hash, ngx_uint_t soft)
{
    ngx_http_aggregate_cache_enter(zone);

    agg_cache_purges_apply(zone->sh->purges, hash, (int) soft, NULL);

    ngx_http_aggregate_cache_leave(zone);

    (void) ngx_atomic_fetch_add(&zone->sh->purged, 1);
}


ngx_int_t
ngx_http_aggregate_cache_purge_handler(ngx_http_request_t *r)
{
    uint64_t                          hashes[5];
    ngx_int_t                         rc;
    ngx_str_t                         name, value;
    ngx_uint_t                        i, n, soft;
    ngx_table_elt_t                  *h;
    ngx_http_aggregate_cache_conf_t  *conf;

    if (!(r->method & (NGX_HTTP_POST|NGX_HTTP_DELETE))) {

        ngx_str_set(&name, "Allow");
        ngx_str_set(&value, "POST, DELETE");

        h = ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                            &value);

        return h ? NGX_HTTP_NOT_ALLOWED : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_aggregate_cache_foreign(r)) {
        return NGX_HTTP_FORBIDDEN;
    }

    rc = ngx_http_aggregate_cache_purge_all(r, hashes, &n);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&name, "soft");

    soft = ngx_http_aggregate_cache_purge_arg(r, &name, &value) == NGX_OK
           && value.len == 1 && value.data[0] == '1';

    conf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_cache_module);

    for (i = 0; i < n; i++) {
        ngx_http_aggregate_cache_purge(conf->purge, hashes[i], soft);
    }

    if (conf->purge_redis) {
        return ngx_http_aggregate_cache_purge_tell(r, conf->purge_redis,
                                                   hashes, n, soft);
    }

    return ngx_http_aggregate_cache_purge_answer(r, n, soft, 0);
}


/* done here; the answer waits until Redis has it, or has not */

static ngx_int_t
ngx_http_aggregate_cache_purge_tell(ngx_http_request_t *r,
    ngx_http_aggregate_redis_t *redis, uint64_t *hashes, ngx_uint_t n,
    ngx_uint_t soft)
{
    ngx_uint_t                        i;
    ngx_http_cleanup_t               *cln;
    ngx_http_aggregate_cache_told_t  *told;

    told = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_cache_told_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (told == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_aggregate_cache_purge_gone;
    cln->data = told;

    told->request = r;
    told->n = n;
    told->soft = soft;

    for (i = 0; i < n; i++) {

        told->tells[i].told = told;
        told->tells[i].op = ngx_http_aggregate_cache_remote_purge(redis,
                                         hashes[i], soft,
                                         ngx_http_aggregate_cache_purge_told,
                                         &told->tells[i], r->pool);

        if (told->tells[i].op) {
            told->pending++;

        } else {
            told->failed++;
        }
    }

    if (told->pending == 0) {
        return ngx_http_aggregate_cache_purge_answer(r, n, soft,
                                                     told->failed);
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_aggregate_cache_purge_told(ngx_http_aggregate_redis_op_t *op)
{
    ngx_connection_t                 *c;
    ngx_http_request_t               *r;
    ngx_http_aggregate_cache_tell_t  *tell;
    ngx_http_aggregate_cache_told_t  *told;

    tell = op->data;
    told = tell->told;

    tell->op = NULL;

    if (op->rc != NGX_OK) {
        told->failed++;
    }

    if (--told->pending) {
        return;
    }

    r = told->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r,
                    ngx_http_aggregate_cache_purge_answer(r, told->n,
                                                          told->soft,
                                                          told->failed));

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_aggregate_cache_purge_gone(void *data)
{
    ngx_http_aggregate_cache_told_t *told = data;

    ngx_uint_t  i;

    for (i = 0; i < told->n; i++) {

        if (told->tells[i].op) {
            ngx_http_aggregate_redis_forget(told->tells[i].op);
            told->tells[i].op = NULL;
        }
    }
}


static ngx_int_t
ngx_http_aggregate_cache_purge_answer(ngx_http_request_t *r, ngx_uint_t n,
    ngx_uint_t soft, ngx_uint_t failed)
{
    ngx_buf_t  *b;
    ngx_str_t   type;

    b = ngx_create_temp_buf(r->pool, 128);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_sprintf(b->last, "{\"purged\":%ui,\"soft\":%s%s}\n", n,
                          soft ? "true" : "false",
                          failed ? ",\"redis\":\"not reached\"" : "");

    ngx_str_set(&type, "application/json");

    return ngx_http_aggregate_cache_answer(r, failed
                                              ? NGX_HTTP_SERVICE_UNAVAILABLE
                                              : NGX_HTTP_OK, &type, b);
}


/* what is asked for, all of it or nothing */

static ngx_int_t
ngx_http_aggregate_cache_purge_all(ngx_http_request_t *r, uint64_t *hashes,
    ngx_uint_t *n)
{
    ngx_int_t   rc;
    ngx_str_t   name, value;
    ngx_uint_t  i;

    static const char  *names[] = { "uri", "key", "tag", "prefix", "all" };

    *n = 0;

    for (i = 0; i < 5; i++) {

        name.data = (u_char *) names[i];
        name.len = ngx_strlen(names[i]);

        rc = ngx_http_aggregate_cache_purge_arg(r, &name, &value);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        switch (i) {

        case 0:
            rc = ngx_http_aggregate_cache_purge_uri(r, &value, &hashes[*n]);
            break;

        case 1:
            rc = ngx_http_aggregate_cache_purge_key(&value, &hashes[*n]);
            break;

        case 2:
            rc = value.len ? NGX_OK : NGX_DECLINED;
            hashes[*n] = agg_cache_hash(AGG_CACHE_PURGE_TAG, value.data,
                                        value.len);
            break;

        case 3:
            rc = ngx_http_aggregate_cache_purge_prefix(&value, &hashes[*n]);
            break;

        default:
            rc = (value.len == 1 && value.data[0] == '1') ? NGX_OK
                                                          : NGX_DECLINED;
            hashes[*n] = 0;
            break;
        }

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_BAD_REQUEST;
        }

        (*n)++;
    }

    return *n ? NGX_OK : NGX_HTTP_BAD_REQUEST;
}


/* the argument, decoded once */

static ngx_int_t
ngx_http_aggregate_cache_purge_arg(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char     *dst, *src;
    ngx_str_t   arg;

    if (ngx_http_arg(r, name->data, name->len, &arg) != NGX_OK) {
        return NGX_DECLINED;
    }

    value->data = ngx_pnalloc(r->pool, arg.len + 1);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    dst = value->data;
    src = arg.data;

    ngx_unescape_uri(&dst, &src, arg.len, 0);

    value->len = dst - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_uri(ngx_http_request_t *r, ngx_str_t *value,
    uint64_t *hash)
{
    size_t            n;
    u_char           *p, *last, *buf, *dst, *src;
    ngx_str_t         path;
    agg_cache_str_t   args, *list;

    p = value->data;
    last = p + value->len;

    /* of an absolute URI the path counts, for all hosts */

    if (value->len > 8
        && (ngx_strncasecmp(p, (u_char *) "http://", 7) == 0
            || ngx_strncasecmp(p, (u_char *) "https://", 8) == 0))
    {
        p = ngx_strlchr(p + 8, last, '/');

        if (p == NULL) {
            return NGX_DECLINED;
        }
    }

    if (p == last || *p != '/' || last - p > NGX_HTTP_AGGREGATE_CACHE_URI_MAX)
    {
        return NGX_DECLINED;
    }

    src = p;
    path.len = last - p;

    args.data = ngx_strlchr(p, last, '?');
    args.len = 0;

    if (args.data) {
        path.len = args.data - p;
        args.data++;
        args.len = last - args.data;
    }

    n = agg_cache_args_count(&args);

    path.data = ngx_pnalloc(r->pool, path.len);
    list = ngx_palloc(r->pool, (n + 1) * sizeof(agg_cache_str_t));
    buf = ngx_pnalloc(r->pool, 2 * sizeof(uint32_t) + value->len);

    if (path.data == NULL || list == NULL || buf == NULL) {
        return NGX_ERROR;
    }

    dst = path.data;

    ngx_unescape_uri(&dst, &src, path.len, 0);

    path.len = dst - path.data;

    agg_cache_args_sort(&args, list, n);

    p = agg_cache_field_write(buf, path.data, path.len);
    p = agg_cache_args_write(p, list, n, args.len);

    *hash = agg_cache_hash(AGG_CACHE_PURGE_URI, buf, p - buf);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_key(ngx_str_t *value, uint64_t *hash)
{
    u_char      digest[AGG_CACHE_DIGEST];
    ngx_int_t   byte;
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

    *hash = agg_cache_hash(AGG_CACHE_PURGE_KEY, digest, AGG_CACHE_DIGEST);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_purge_prefix(ngx_str_t *value, uint64_t *hash)
{
    size_t      i;
    ngx_uint_t  depth;

    if (value->len == 0 || value->data[0] != '/'
        || value->data[value->len - 1] != '/')
    {
        return NGX_DECLINED;
    }

    depth = 0;

    for (i = 0; i < value->len; i++) {
        depth += (value->data[i] == '/');
    }

    if (depth > AGG_CACHE_PURGE_DEPTH) {
        return NGX_DECLINED;
    }

    *hash = agg_cache_hash(AGG_CACHE_PURGE_PREFIX, value->data, value->len);

    return NGX_OK;
}


/* a browser that was sent here by a page of another site */

static ngx_uint_t
ngx_http_aggregate_cache_foreign(ngx_http_request_t *r)
{
    ngx_str_t                          host;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_str_null(&host);

    if (r->headers_in.host) {
        host = r->headers_in.host->value;
    }

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (gw_origin_foreign(h->key.data, h->key.len, h->value.data,
                              h->value.len, host.data, host.len))
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_aggregate_cache_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_buf_t *b)
{
    ngx_int_t     rc;
    ngx_str_t     name, value;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_str_set(&name, "Cache-Control");
    ngx_str_set(&value, "no-store");

    if (ngx_http_aggregate_header_push(&r->headers_out.headers, &name,
                                        &value)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
