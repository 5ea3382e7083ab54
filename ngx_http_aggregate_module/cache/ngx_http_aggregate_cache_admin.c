
/*
 * Purges, for those who run the gateway.
 */


#include "ngx_http_aggregate_cache.h"
#include "gw_origin.h"


typedef struct ngx_http_aggregate_cache_sent_s
    ngx_http_aggregate_cache_sent_t;


typedef struct {
    ngx_http_aggregate_cache_sent_t   *sent;
    ngx_http_aggregate_redis_op_t     *op;
} ngx_http_aggregate_cache_sent_op_t;


/* a purge that is on its way to Redis, in one command or several */

struct ngx_http_aggregate_cache_sent_s {
    ngx_http_request_t                  *request;
    ngx_http_aggregate_cache_purge_t    *purge;
    ngx_http_aggregate_cache_sent_op_t  *ops;
    ngx_uint_t                           nops;
    ngx_uint_t                           pending;
    ngx_uint_t                           failed;
};


static ngx_int_t ngx_http_aggregate_cache_purge_send(ngx_http_request_t *r,
    ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_cache_purge_t *purge);
static void ngx_http_aggregate_cache_purge_done(
    ngx_http_aggregate_redis_op_t *op);
static void ngx_http_aggregate_cache_purge_cleanup(void *data);
static ngx_int_t ngx_http_aggregate_cache_purge_answer(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge, ngx_uint_t failed);
static ngx_uint_t ngx_http_aggregate_cache_foreign(ngx_http_request_t *r);


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

    if (ngx_http_aggregate_cache_foreign(r)) {
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

    ngx_http_aggregate_cache_purge(conf->purge, purge->hashes.elts,
                                   purge->hashes.nelts, purge->soft);

    if (conf->purge_redis) {
        return ngx_http_aggregate_cache_purge_send(r, conf->purge_redis,
                                                   purge);
    }

    return ngx_http_aggregate_cache_purge_answer(r, purge, 0);
}


/* this node has done it; the answer waits for Redis */

static ngx_int_t
ngx_http_aggregate_cache_purge_send(ngx_http_request_t *r,
    ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_cache_purge_t *purge)
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
        sent->ops[i].op = ngx_http_aggregate_cache_remote_purge(redis, hashes,
                                         n, purge->soft,
                                         ngx_http_aggregate_cache_purge_done,
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
ngx_http_aggregate_cache_purge_done(ngx_http_aggregate_redis_op_t *op)
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

    return ngx_http_aggregate_cache_answer(r, failed
                                              ? NGX_HTTP_SERVICE_UNAVAILABLE
                                              : NGX_HTTP_OK, &type, b);
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
