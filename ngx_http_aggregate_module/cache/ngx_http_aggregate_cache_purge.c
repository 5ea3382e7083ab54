
/*
 * Purges: the handler of "aggregate_cache_purge", and invalidation by unsafe
 * methods.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_gw_origin.h"


typedef struct ngx_http_aggregate_cache_sent_s
    ngx_http_aggregate_cache_sent_t;


typedef struct {
    ngx_http_aggregate_cache_sent_t   *sent;
    ngx_http_aggregate_redis_op_t     *op;
} ngx_http_aggregate_cache_sent_op_t;


/* a purge that is sent to Redis in one or more commands */

struct ngx_http_aggregate_cache_sent_s {
    ngx_http_request_t                  *request;
    ngx_http_aggregate_cache_purge_t    *purge;
    ngx_http_aggregate_cache_sent_op_t  *ops;
    ngx_uint_t                           nops;
    ngx_uint_t                           pending;
    ngx_uint_t                           failed;
};


static ngx_int_t ngx_http_aggregate_cache_purge_send(ngx_http_request_t *r,
    ngx_http_aggregate_redis_t *redis, ngx_http_aggregate_cache_purge_t *purge);
static void ngx_http_aggregate_cache_purge_reply(
    ngx_http_aggregate_redis_op_t *op);
static void ngx_http_aggregate_cache_purge_cleanup(void *data);
static ngx_int_t ngx_http_aggregate_cache_purge_answer(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_uint_t failed);
static void ngx_http_aggregate_cache_purge_apply(
    ngx_http_aggregate_cache_zone_t *zone, const uint64_t *hashes, ngx_uint_t n,
    ngx_uint_t soft);


ngx_int_t
ngx_http_aggregate_cache_purge_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_str_t                          name, value;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_cache_conf_t   *conf;
    ngx_http_aggregate_cache_purge_t  *purge;

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

    if (ngx_http_gw_is_foreign(r)) {
        return NGX_HTTP_FORBIDDEN;
    }

    purge = ngx_palloc(r->pool, sizeof(ngx_http_aggregate_cache_purge_t));
    if (purge == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_aggregate_cache_purge_parse(r, purge);

    if (rc == NGX_DECLINED) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_cache_module);

    ngx_http_aggregate_cache_purge_apply(conf->purge, purge->hashes.elts,
                                         purge->hashes.nelts, purge->soft);

    if (conf->purge_redis) {
        return ngx_http_aggregate_cache_purge_send(r, conf->purge_redis,
                                                   purge);
    }

    return ngx_http_aggregate_cache_purge_answer(r, purge, 0);
}


/* this node is purged already, and the response waits for Redis */

static ngx_int_t
ngx_http_aggregate_cache_purge_send(ngx_http_request_t *r,
    ngx_http_aggregate_redis_t *redis, ngx_http_aggregate_cache_purge_t *purge)
{
    uint64_t                         *hashes;
    ngx_uint_t                        i, n, left;
    ngx_http_cleanup_t               *cln;
    ngx_http_aggregate_cache_sent_t  *sent;

    hashes = purge->hashes.elts;
    left = purge->hashes.nelts;
    n = NGX_HTTP_AGGREGATE_CACHE_PURGE_BATCH;

    sent = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_cache_sent_t));
    if (sent == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sent->request = r;
    sent->purge = purge;
    sent->nops = (left + n - 1) / n;
    sent->ops = ngx_pcalloc(r->pool, sent->nops
                                * sizeof(ngx_http_aggregate_cache_sent_op_t));

    cln = ngx_http_cleanup_add(r, 0);

    if (sent->ops == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_aggregate_cache_purge_cleanup;
    cln->data = sent;

    for (i = 0; i < sent->nops; i++) {

        n = ngx_min(left, NGX_HTTP_AGGREGATE_CACHE_PURGE_BATCH);

        sent->ops[i].sent = sent;
        sent->ops[i].op = ngx_http_aggregate_cache_purge_stream_add(redis,
                                          hashes, n, purge->soft,
                                          ngx_http_aggregate_cache_purge_reply,
                                          &sent->ops[i], r->pool);

        if (sent->ops[i].op) {
            sent->pending++;

        } else {
            sent->failed++;
        }

        hashes += n;
        left -= n;
    }

    if (sent->pending == 0) {
        return ngx_http_aggregate_cache_purge_answer(r, purge, sent->failed);
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_aggregate_cache_purge_reply(ngx_http_aggregate_redis_op_t *op)
{
    ngx_connection_t                    *c;
    ngx_http_request_t                  *r;
    ngx_http_aggregate_cache_sent_t     *sent;
    ngx_http_aggregate_cache_sent_op_t  *one;

    one = op->data;
    sent = one->sent;

    one->op = NULL;

    if (op->rc != NGX_OK) {
        sent->failed++;
    }

    if (--sent->pending) {
        return;
    }

    r = sent->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r,
                       ngx_http_aggregate_cache_purge_answer(r, sent->purge,
                                                             sent->failed));

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_aggregate_cache_purge_cleanup(void *data)
{
    ngx_http_aggregate_cache_sent_t *sent = data;

    ngx_uint_t  i;

    for (i = 0; i < sent->nops; i++) {

        if (sent->ops[i].op) {
            ngx_http_aggregate_redis_forget(sent->ops[i].op);
            sent->ops[i].op = NULL;
        }
    }
}


static ngx_int_t
ngx_http_aggregate_cache_purge_answer(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_uint_t failed)
{
    ngx_buf_t  *b;
    ngx_str_t   type;

    b = ngx_create_temp_buf(r->pool, 160 + 5 * NGX_INT_T_LEN);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_sprintf(b->last, "{\"purged\":{\"uris\":%ui,\"keys\":%ui,"
                          "\"tags\":%ui,\"prefixes\":%ui,\"all\":%ui},"
                          "\"soft\":%s%s}\n",
                          purge->uris, purge->keys, purge->tags,
                          purge->prefixes, purge->all,
                          purge->soft ? "true" : "false",
                          failed ? ",\"redis\":\"not reached\"" : "");

    ngx_str_set(&type, "application/json");

    return ngx_http_aggregate_cache_send_text(r,
                           failed ? NGX_HTTP_SERVICE_UNAVAILABLE : NGX_HTTP_OK,
                           &type, b);
}


/* marks the hashes of a purge in shared memory */

static void
ngx_http_aggregate_cache_purge_apply(ngx_http_aggregate_cache_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, ngx_uint_t soft)
{
    ngx_http_aggregate_cache_purge_mark(zone, hashes, n, soft, NULL);

    (void) ngx_atomic_fetch_add(&zone->sh->purged, n);
}


/*
 * An unsafe method has succeeded: RFC 9111, 4.4.  With "aggregate_cache_key",
 * all URIs with the same key are invalidated.
 */

void
ngx_http_aggregate_cache_invalidate(ngx_http_aggregate_cache_ctx_t *ctx)
{
    uint64_t    hashes[2];
    ngx_uint_t  n;

    ctx->invalidate = 0;

    n = 0;
    hashes[n++] = ctx->key.purge_hash[2];

    if (ctx->conf->key && ctx->key.purge_hash[1]) {
        hashes[n++] = ctx->key.purge_hash[1];
    }

    ngx_http_aggregate_cache_purge_apply(ctx->zone, hashes, n, 0);

    if (ctx->conf->redis) {
        (void) ngx_http_aggregate_cache_purge_stream_add(ctx->conf->redis,
                                                         hashes, n, 0, NULL,
                                                         NULL, NULL);
    }
}
