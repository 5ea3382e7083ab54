
/*
 * The context of a request, which survives an internal redirect, and the
 * waiting of the request: for a lock, or for Redis.
 */


#include "ngx_http_aggregate_cache.h"


static ngx_uint_t ngx_http_aggregate_cache_count_headers(
    ngx_http_request_t *r);
static void ngx_http_aggregate_cache_suspended(ngx_http_request_t *r);


ngx_http_aggregate_cache_ctx_t *
ngx_http_aggregate_cache_create_ctx(ngx_http_request_t *r,
    ngx_http_aggregate_cache_conf_t *conf,
    ngx_http_aggregate_cache_cleanup_pt cleanup)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_cache_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->conf = conf;
    ctx->zone = conf->zone;
    ctx->cleanup = cleanup;
    ctx->status = NGX_HTTP_AGGREGATE_CACHE_MISS;
    ctx->fill.upstream = r->upstream;
    ctx->others = ngx_http_aggregate_cache_count_headers(r);

    if (ngx_http_aggregate_ctx_keep(r, ctx, &ngx_http_aggregate_cache_module,
                                    ngx_http_aggregate_cache_ctx_cleanup)
        != NGX_OK)
    {
        return NULL;
    }

    return ctx;
}


static ngx_uint_t
ngx_http_aggregate_cache_count_headers(ngx_http_request_t *r)
{
    ngx_uint_t        n;
    ngx_list_part_t  *part;

    n = 0;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        n += part->nelts;
    }

    return n;
}


void
ngx_http_aggregate_cache_ctx_cleanup(void *data)
{
    ngx_http_aggregate_cache_ctx_t *ctx = data;

    ctx->cleanup(ctx);
}


/* the time for which the request may still wait, in milliseconds */

ngx_msec_int_t
ngx_http_aggregate_cache_wait_left(ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->wait.started) {
        ctx->wait.started = 1;
        ctx->wait.deadline = ngx_current_msec + ctx->conf->lock_timeout;

        (void) ngx_atomic_fetch_add(&ctx->zone->sh->waits, 1);
    }

    return (ngx_msec_int_t) (ctx->wait.deadline - ngx_current_msec);
}


/* nothing is done for the request until it is resumed */

ngx_int_t
ngx_http_aggregate_cache_suspend(ngx_http_request_t *r)
{
    ngx_uint_t  client;

    if (r == r->main) {

        /* a client that closes the connection ends the request */

        r->read_event_handler = ngx_http_test_reading;

#if (NGX_HTTP_V2)
        client = (r->stream == NULL);
#else
        client = 1;
#endif

        if (client && ngx_handle_read_event(r->connection->read, 0) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    r->write_event_handler = ngx_http_aggregate_cache_suspended;

    return NGX_AGAIN;
}


/* the handler marks the request as suspended by the cache */

static void
ngx_http_aggregate_cache_suspended(ngx_http_request_t *r)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "aggregate cache suspended request");
}


void
ngx_http_aggregate_cache_resume(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    ngx_http_aggregate_cache_wait_cancel(ctx);

    r = ctx->request;
    c = r->connection;

    if (r->write_event_handler != ngx_http_aggregate_cache_suspended) {

        /* the subrequest has been cancelled in the meantime */

        return;
    }

    ngx_http_set_log_request(c->log, r);

    if (r == r->main) {
        r->read_event_handler = ngx_http_block_reading;
    }

    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);

    ngx_http_run_posted_requests(c);
}


void
ngx_http_aggregate_cache_wait_cancel(ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->wait.timer.timer_set) {
        ngx_del_timer(&ctx->wait.timer);
    }

    if (ctx->wait.queued) {
        ctx->wait.queued = 0;
        ngx_queue_remove(&ctx->wait.queue);
    }
}
