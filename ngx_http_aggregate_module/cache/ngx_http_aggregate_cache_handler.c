
/*
 * The phase handler and the state machine of a request.
 *
 *     LOOKUP --- hit ---------------------------------------> served
 *        |  ^
 *        |  '-- the lock is released
 *        v  |
 *       LOCK --- hit-for-miss ------------------------------> FETCH
 *        |
 *        v
 *     L2_GET --- no Redis ----------------------------------> FETCH
 *        |
 *        v
 *     L2_REPLY -- hit --------------------------------------> served
 *        |  ^  \-- a time-out -------------------------------> FETCH
 *        |  '-- another node has stored it
 *        v  |
 *     FLEET_LOCK <-> FLEET_REPLY -- acquired, or no Redis --> FETCH
 *
 * The state is changed in this file only.  A request that waits, for a lock
 * or for Redis, returns NGX_AGAIN and runs this phase again when it resumes.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_memory.h"


static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_cache_request(
    ngx_http_request_t *r, ngx_http_aggregate_cache_conf_t *conf);
static ngx_int_t ngx_http_aggregate_cache_redirected(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_is_upgrade(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_cache_start(ngx_http_request_t *r,
    ngx_http_aggregate_cache_conf_t *conf);
static ngx_int_t ngx_http_aggregate_cache_run(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_run_l2(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_found(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_fetch(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_cleanup(
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_cancel(
    ngx_http_aggregate_cache_ctx_t *ctx);


ngx_int_t
ngx_http_aggregate_cache_handler(ngx_http_request_t *r)
{
    ngx_http_aggregate_cache_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_cache_module);

    if (conf->zone == NULL && !ngx_http_aggregate_cache_has_ctx(r)) {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_cache_request(r, conf);
}


static ngx_int_t
ngx_http_aggregate_cache_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_conf_t *conf)
{
    ngx_int_t                        rc;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_cache_module);

    if (ctx) {
        return ngx_http_aggregate_cache_run(r, ctx);
    }

    ctx = ngx_http_aggregate_cache_get_ctx(r);

    if (ctx) {
        rc = ngx_http_aggregate_cache_redirected(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (conf->zone == NULL) {
        return NGX_DECLINED;
    }

    /*
     * An error page keeps the status of its error, so it is not the response
     * to its URI.  A subrequest for a header only is one that decides on
     * access, and is made anew for each request.
     */

    if (r->err_status || r->post_action
        || (r != r->main && r->header_only))
    {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_cache_start(r, conf);
}


/*
 * An internal redirect, perhaps that of "error_page", has led to this phase
 * again.  NGX_OK: the context is over, and another location's may begin.
 */

static ngx_int_t
ngx_http_aggregate_cache_redirected(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    /* a post_action redirects a request that is suspended */

    ngx_http_aggregate_cache_cancel(ctx);
    ngx_http_aggregate_cache_owner_restore(r, ctx);

    if (ctx->fill.active && ngx_http_aggregate_cache_may_serve_stale(ctx)
        && (ngx_http_aggregate_cache_upstream_failed(r, ctx, r->err_status)
            || ngx_http_aggregate_breaker_rejected(r)))
    {
        ngx_http_set_ctx(r, ctx, ngx_http_aggregate_cache_module);

        ctx->status = NGX_HTTP_AGGREGATE_CACHE_STALE;
        ctx->reason = AGG_CACHE_NO_ERROR;
        ngx_http_aggregate_cache_lock_release(ctx,
                                  NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR);
        ngx_http_aggregate_cache_restore_request(r, ctx);
        ngx_http_aggregate_cache_restore_location(r, ctx);

        ctx->backend_status = r->err_status;
        ctx->serve.instead = 1;

        return ngx_http_aggregate_cache_serve(r, ctx);
    }

    if (ctx->refresh) {

        /* the key does not name the response of another location */

        ctx->fill.redirected = 1;
        ngx_http_aggregate_cache_lock_release(ctx,
                                  NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR);

        ngx_http_set_ctx(r, ctx, ngx_http_aggregate_cache_module);
        return NGX_DECLINED;
    }

    /* the request goes to another location, under another key */

    if (ctx->invalidate
        && ngx_http_aggregate_cache_upstream_succeeded(r, ctx))
    {
        ngx_http_aggregate_cache_invalidate(ctx);
    }

    ngx_http_aggregate_cache_lock_release(ctx,
                      ctx->fill.active
                      ? ngx_http_aggregate_cache_hit_for_miss(r, ctx,
                                                              r->err_status)
                      : 0);
    ngx_http_aggregate_cache_restore_request(r, ctx);

    ctx->fill.active = 0;
    ctx->request = NULL;

    if (ctx->client.aborted && r == r->main && !r->post_action) {

        /* nobody waits for the response of the other location */

        r->connection->error = 1;

        return NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }

    return NGX_OK;
}


/* a WebSocket is not a response that another client could get */

static ngx_uint_t
ngx_http_aggregate_cache_is_upgrade(ngx_http_request_t *r)
{
    ngx_str_t  *value;

    if (r != r->main || r->headers_in.upgrade == NULL) {
        return 0;
    }

    value = &r->headers_in.upgrade->value;

    return value->len == 9
           && ngx_strncasecmp(value->data, (u_char *) "websocket", 9) == 0;
}


static ngx_int_t
ngx_http_aggregate_cache_start(ngx_http_request_t *r,
    ngx_http_aggregate_cache_conf_t *conf)
{
    ngx_int_t                        rc;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    if ((r->method & (NGX_HTTP_OPTIONS|NGX_HTTP_TRACE))
        || ngx_http_aggregate_cache_is_upgrade(r))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_http_aggregate_cache_create_ctx(r, conf,
                                              ngx_http_aggregate_cache_cleanup);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_cache_parse_request(r, ctx);

    rc = ngx_http_aggregate_cache_make_key(r, ctx);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    ctx->invalidate = !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD));

    /* a body may select the response, and is not in the key */

    if (rc == NGX_DECLINED) {
        ctx->reason = AGG_CACHE_NO_KEY;

    } else if (ctx->invalidate) {
        ctx->reason = AGG_CACHE_NO_METHOD;

    } else if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        ctx->reason = AGG_CACHE_NO_BODY;
    }

    if (ctx->reason != AGG_CACHE_STORE) {
        ctx->state = NGX_HTTP_AGGREGATE_CACHE_DONE;
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_BYPASS;
        return NGX_DECLINED;
    }

    rc = ngx_http_test_predicates(r, conf->bypass);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {

        /* not served from the cache, but the response may be stored */

        ngx_http_aggregate_cache_set_lock_digest(ctx, ctx->key.digest);

        ctx->reason = AGG_CACHE_NO_BYPASS;
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_BYPASS;
        ctx->state = NGX_HTTP_AGGREGATE_CACHE_FETCH;
    }

    return ngx_http_aggregate_cache_run(r, ctx);
}


/* the state machine: each function returns what decides on the next state */

static ngx_int_t
ngx_http_aggregate_cache_run(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    for ( ;; ) {

        switch (ctx->state) {

        case NGX_HTTP_AGGREGATE_CACHE_LOOKUP:

            if (ctx->refresh) {

                /* the refresh has the entry, and the lock of this node */

                ctx->state = NGX_HTTP_AGGREGATE_CACHE_FLEET_LOCK;
                break;
            }

            rc = ngx_http_aggregate_cache_lookup(r, ctx);

            if (rc == NGX_OK) {
                return ngx_http_aggregate_cache_found(r, ctx);
            }

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            ctx->state = NGX_HTTP_AGGREGATE_CACHE_LOCK;
            break;

        case NGX_HTTP_AGGREGATE_CACHE_LOCK:

            rc = ngx_http_aggregate_cache_lock(r, ctx);

            if (rc == NGX_AGAIN || rc == NGX_ERROR) {
                ctx->state = NGX_HTTP_AGGREGATE_CACHE_LOOKUP;
                return rc;
            }

            ctx->hit_for_miss = (rc == NGX_DECLINED);
            ctx->state = ctx->hit_for_miss ? NGX_HTTP_AGGREGATE_CACHE_FETCH
                                           : NGX_HTTP_AGGREGATE_CACHE_L2_GET;
            break;

        case NGX_HTTP_AGGREGATE_CACHE_FETCH:

            ctx->state = NGX_HTTP_AGGREGATE_CACHE_DONE;
            return ngx_http_aggregate_cache_fetch(r, ctx);

        case NGX_HTTP_AGGREGATE_CACHE_DONE:

            if (!ctx->refetch.restarted) {
                return NGX_DECLINED;
            }

            ctx->refetch.restarted = 0;
            ctx->state = NGX_HTTP_AGGREGATE_CACHE_FETCH;
            break;

        default: /* Redis */

            rc = ngx_http_aggregate_cache_run_l2(r, ctx);

            if (rc != NGX_DECLINED) {
                return rc;
            }

            break;
        }
    }
}


/* the states that need Redis; NGX_DECLINED: the next state is to be run */

static ngx_int_t
ngx_http_aggregate_cache_run_l2(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    switch (ctx->state) {

    case NGX_HTTP_AGGREGATE_CACHE_L2_GET:

        rc = ngx_http_aggregate_cache_l2_get(r, ctx);

        ctx->state = (rc == NGX_AGAIN) ? NGX_HTTP_AGGREGATE_CACHE_L2_REPLY
                                       : NGX_HTTP_AGGREGATE_CACHE_FETCH;
        return rc;

    case NGX_HTTP_AGGREGATE_CACHE_L2_REPLY:

        rc = ngx_http_aggregate_cache_l2_reply(r, ctx);

        if (rc == NGX_OK) {
            ngx_http_aggregate_cache_lock_release(ctx, 0);
            return ngx_http_aggregate_cache_found(r, ctx);
        }

        if (rc == NGX_DECLINED) {

            /* a request waits for one time-out of Redis at most */

            ctx->state = (ctx->l2.rc == NGX_ERROR)
                         ? NGX_HTTP_AGGREGATE_CACHE_FETCH
                         : NGX_HTTP_AGGREGATE_CACHE_FLEET_LOCK;
        }

        return rc;

    case NGX_HTTP_AGGREGATE_CACHE_FLEET_LOCK:

        rc = ngx_http_aggregate_cache_fleet_lock(r, ctx);

        ctx->state = (rc == NGX_AGAIN) ? NGX_HTTP_AGGREGATE_CACHE_FLEET_REPLY
                                       : NGX_HTTP_AGGREGATE_CACHE_FETCH;
        return rc;

    default: /* NGX_HTTP_AGGREGATE_CACHE_FLEET_REPLY */

        rc = ngx_http_aggregate_cache_fleet_reply(r, ctx);

        if (rc == NGX_AGAIN || rc == NGX_ERROR) {
            ctx->state = NGX_HTTP_AGGREGATE_CACHE_FLEET_LOCK;
            return rc;
        }

        ctx->state = (rc == NGX_OK) ? NGX_HTTP_AGGREGATE_CACHE_L2_REPLY
                                    : NGX_HTTP_AGGREGATE_CACHE_FETCH;
        return NGX_DECLINED;
    }
}


/* the entry is served, and refreshed if it is stale */

static ngx_int_t
ngx_http_aggregate_cache_found(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ctx->state = NGX_HTTP_AGGREGATE_CACHE_DONE;

    if (ctx->refresh) {

        /* another node has refreshed the entry in the meantime */

        return NGX_HTTP_CLOSE;
    }

    if (ctx->status == NGX_HTTP_AGGREGATE_CACHE_STALE
        && !ctx->only_if_cached && !ctx->no_store)
    {
        ngx_http_aggregate_cache_refresh(r, ctx);
    }

    return ngx_http_aggregate_cache_serve(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_cache_fetch(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->only_if_cached) {
        return NGX_HTTP_GATEWAY_TIME_OUT;
    }

    if (ctx->hit_for_miss && r->headers_in.range && !ctx->lookup.found) {

        /* a large response is not read whole for the sake of a range */

        ctx->pass = 1;
        ctx->reason = AGG_CACHE_NO_HIT_FOR_MISS;

        return NGX_DECLINED;
    }

    if (r->method != NGX_HTTP_GET) {

        ctx->reason = AGG_CACHE_NO_METHOD;

        /* a HEAD stores nothing, but a stale entry may replace an error */

        if (!ngx_http_aggregate_cache_may_serve_stale(ctx)) {
            return NGX_DECLINED;
        }
    }

    ngx_http_aggregate_cache_zone_lock(ctx->zone);

    ctx->fill.purge_seq = ctx->zone->sh->purges->seq;
    ctx->fill.purge_place = ctx->zone->sh->purges->last;

    ngx_http_aggregate_cache_zone_unlock(ctx->zone);

    ctx->fill.active = 1;
    ctx->hit_for_miss = 0;
    ctx->fill.started = ngx_current_msec;
    ctx->fill.upstream = r->upstream;
    ctx->fill.loc_conf = r->loc_conf;
    ctx->fill.uri = r->uri;
    ctx->fill.args = r->args;

    if (ngx_http_aggregate_cache_prepare_request(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_cache_watch_client(r, ctx);

    return NGX_DECLINED;
}


/* the request is freed */

static void
ngx_http_aggregate_cache_cleanup(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_cancel(ctx);

    if (ctx->client.aborted) {
        ngx_http_aggregate_cache_client_done(ctx);
    }

    /* the response was not completed: another request may fetch it */

    ngx_http_aggregate_cache_lock_release(ctx, 0);

    ngx_http_aggregate_memory_freed();
}


/* neither a timer nor Redis resumes the request after this */

static void
ngx_http_aggregate_cache_cancel(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_wait_cancel(ctx);

    if (ctx->refetch.event.posted) {
        ngx_http_aggregate_cache_refetch_cancel(ctx);
    }

    if (ctx->l2.op) {
        ngx_http_aggregate_redis_forget(ctx->l2.op);
        ctx->l2.op = NULL;
    }
}
