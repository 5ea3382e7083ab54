
/*
 * The way of a request: looked up after access and before anything that
 * would ask a backend, answered at once or sent on to be filled.
 */


#include "ngx_http_aggregate_cache.h"


static ngx_uint_t ngx_http_aggregate_cache_upgrades(ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_cache_succeeded(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_start(ngx_http_request_t *r,
    ngx_http_aggregate_cache_conf_t *conf);
static ngx_int_t ngx_http_aggregate_cache_run(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_look_remote(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_look(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_delete(
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_look_up(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_set_lock(
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest);
static ngx_int_t ngx_http_aggregate_cache_read(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest,
    ngx_str_t *key);
static ngx_int_t ngx_http_aggregate_cache_fly(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_fill(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_is_error(ngx_uint_t status);


ngx_int_t
ngx_http_aggregate_cache_handler(ngx_http_request_t *r)
{
    ngx_http_aggregate_cache_ctx_t   *ctx;
    ngx_http_aggregate_cache_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_cache_module);

    if (ctx) {
        return ngx_http_aggregate_cache_run(r, ctx);
    }

    /* here again after an internal redirect, perhaps away from an error */

    ctx = ngx_http_aggregate_cache_get(r);

    if (ctx) {

        /* a post_action takes a request from under its wait */

        ngx_http_aggregate_cache_stop_waiting(ctx);

        if (ctx->fill && ngx_http_aggregate_cache_usable(ctx)
            && (ngx_http_aggregate_cache_failed(r, ctx, r->err_status)
                || ngx_http_aggregate_breaker_rejected(r)))
        {

            ngx_http_set_ctx(r, ctx, ngx_http_aggregate_cache_module);

            ctx->status = NGX_HTTP_AGGREGATE_CACHE_STALE;
            ctx->verdict = AGG_CACHE_NO_ERROR;
            ngx_http_aggregate_cache_land(ctx,
                                        NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR);
            ngx_http_aggregate_cache_restore(r, ctx);

            return ngx_http_aggregate_cache_serve(r, ctx);
        }

        if (ctx->refresh) {

            /* the key does not name the response of another location */

            ctx->moved = 1;
            ngx_http_aggregate_cache_land(ctx,
                                        NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR);

            ngx_http_set_ctx(r, ctx, ngx_http_aggregate_cache_module);
            return NGX_DECLINED;
        }

        /* the request goes to another location, under another key */

        if (ctx->invalidate && ngx_http_aggregate_cache_succeeded(r, ctx)) {
            ngx_http_aggregate_cache_invalidate(ctx);
        }

        ngx_http_aggregate_cache_land(ctx, 0);
        ngx_http_aggregate_cache_restore(r, ctx);

        ctx->fill = 0;
        ctx->request = NULL;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_cache_module);

    if (conf->zone == NULL) {
        return NGX_DECLINED;
    }

    /*
     * An error page keeps the status of its error, so it is not what its URI
     * stands for.  Of a subrequest for a header only, the answer decides on
     * access: it is asked for anew with every request.
     */

    if (r->err_status || r->post_action
        || (r != r->main && r->header_only))
    {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_cache_start(r, conf);
}


/* a WebSocket is no response that another client could have */

static ngx_uint_t
ngx_http_aggregate_cache_upgrades(ngx_http_request_t *r)
{
    ngx_str_t  *value;

    if (r != r->main || r->headers_in.upgrade == NULL) {
        return 0;
    }

    value = &r->headers_in.upgrade->value;

    return value->len == 9
           && ngx_strncasecmp(value->data, (u_char *) "websocket", 9) == 0;
}


/* whether the backend had succeeded before the request was redirected */

static ngx_uint_t
ngx_http_aggregate_cache_succeeded(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    return u != NULL && u != ctx->upstream && u->state != NULL
           && u->state->status >= NGX_HTTP_OK
           && u->state->status < NGX_HTTP_BAD_REQUEST;
}


static ngx_int_t
ngx_http_aggregate_cache_start(ngx_http_request_t *r,
    ngx_http_aggregate_cache_conf_t *conf)
{
    ngx_int_t                        rc;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    if ((r->method & (NGX_HTTP_OPTIONS|NGX_HTTP_TRACE))
        || ngx_http_aggregate_cache_upgrades(r))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_http_aggregate_cache_create(r, conf);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_cache_read_request(r, ctx);

    rc = ngx_http_aggregate_cache_make_key(r, ctx);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    ctx->invalidate = !(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD));

    /* a body may select the response, and is not in the key */

    if (rc == NGX_DECLINED) {
        ctx->verdict = AGG_CACHE_NO_KEY;

    } else if (ctx->invalidate) {
        ctx->verdict = AGG_CACHE_NO_METHOD;

    } else if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        ctx->verdict = AGG_CACHE_NO_BODY;
    }

    if (ctx->verdict != AGG_CACHE_STORE) {
        ctx->state = ngx_http_aggregate_cache_done;
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_BYPASS;
        return NGX_DECLINED;
    }

    rc = ngx_http_test_predicates(r, conf->bypass);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {

        /* not answered from the cache, but the response is for it */

        ngx_http_aggregate_cache_set_lock(ctx, ctx->digest);

        ctx->verdict = AGG_CACHE_NO_BYPASS;
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_BYPASS;
        ctx->state = ngx_http_aggregate_cache_origin;
    }

    return ngx_http_aggregate_cache_run(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_cache_run(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    for ( ;; ) {

        switch (ctx->state) {

        case ngx_http_aggregate_cache_lookup:

            rc = ngx_http_aggregate_cache_look(r, ctx);

            if (rc == NGX_OK) {
                return ngx_http_aggregate_cache_serve(r, ctx);
            }

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            ctx->state = ngx_http_aggregate_cache_flight;
            break;

        case ngx_http_aggregate_cache_flight:

            rc = ngx_http_aggregate_cache_fly(r, ctx);

            if (rc == NGX_ERROR || rc == NGX_AGAIN) {
                return rc;
            }

            break;

        case ngx_http_aggregate_cache_ask:
        case ngx_http_aggregate_cache_asked:
        case ngx_http_aggregate_cache_claim:
        case ngx_http_aggregate_cache_claimed:

            rc = ngx_http_aggregate_cache_look_remote(r, ctx);

            if (rc == NGX_OK) {

                /* a refresh ends here: another node has done it */

                return ctx->refresh ? NGX_HTTP_CLOSE
                                    : ngx_http_aggregate_cache_serve(r, ctx);
            }

            if (rc != NGX_DECLINED) {
                return rc;
            }

            break;

        case ngx_http_aggregate_cache_origin:

            ctx->state = ngx_http_aggregate_cache_done;

            if (ctx->only_if_cached) {
                return NGX_HTTP_GATEWAY_TIME_OUT;
            }

            if (ctx->hit_for_miss && r->headers_in.range && !ctx->found) {

                /* a large response is not read whole for the sake of a range */

                ctx->pass = 1;
                ctx->verdict = AGG_CACHE_NO_PASS;

                return NGX_DECLINED;
            }

            if (r->method != NGX_HTTP_GET) {
                ctx->verdict = AGG_CACHE_NO_METHOD;
            }

            /* a HEAD fills nothing, but there may be a stale entry for it */

            return (r->method == NGX_HTTP_GET
                    || ngx_http_aggregate_cache_usable(ctx))
                   ? ngx_http_aggregate_cache_fill(r, ctx) : NGX_DECLINED;

        default: /* ngx_http_aggregate_cache_done */
            return NGX_DECLINED;
        }
    }
}


/* NGX_OK: there is an answer; NGX_DECLINED: on with the next state */

static ngx_int_t
ngx_http_aggregate_cache_look_remote(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    switch (ctx->state) {

    case ngx_http_aggregate_cache_ask:

        rc = ngx_http_aggregate_cache_remote_get(r, ctx);

        ctx->state = (rc == NGX_AGAIN) ? ngx_http_aggregate_cache_asked
                                       : ngx_http_aggregate_cache_origin;
        return rc;

    case ngx_http_aggregate_cache_asked:

        rc = ngx_http_aggregate_cache_remote_take(r, ctx);

        if (rc == NGX_DECLINED) {

            /* one time-out at most for a request */

            ctx->state = (ctx->remote_rc == NGX_ERROR)
                         ? ngx_http_aggregate_cache_origin
                         : ngx_http_aggregate_cache_claim;
        }

        return rc;

    case ngx_http_aggregate_cache_claim:

        rc = ngx_http_aggregate_cache_fleet_claim(r, ctx);

        ctx->state = (rc == NGX_AGAIN) ? ngx_http_aggregate_cache_claimed
                                       : ngx_http_aggregate_cache_origin;
        return rc;

    default: /* ngx_http_aggregate_cache_claimed */

        rc = ngx_http_aggregate_cache_fleet_claimed(r, ctx);

        if (rc == NGX_OK) {
            ctx->state = ngx_http_aggregate_cache_asked;
            return NGX_DECLINED;
        }

        ctx->state = (rc == NGX_AGAIN) ? ngx_http_aggregate_cache_claim
                                       : ngx_http_aggregate_cache_origin;
        return rc;
    }
}


/* NGX_OK: there is an answer */

static ngx_int_t
ngx_http_aggregate_cache_look(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    int64_t                 age;
    ngx_int_t               rc;
    agg_cache_purged_e      purged;
    agg_cache_freshness_t  *fresh;

    ctx->found = 0;

    rc = ngx_http_aggregate_cache_look_up(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    fresh = &ctx->entry.freshness;

    if (ctx->credentials && !(fresh->flags & AGG_CACHE_SHARED)) {
        ctx->verdict = AGG_CACHE_NO_CREDENTIALS;
        return NGX_DECLINED;
    }

    purged = ngx_http_aggregate_cache_purged(ctx);

    if (purged == AGG_CACHE_PURGED_HARD) {
        ngx_http_aggregate_cache_delete(ctx);
        return NGX_DECLINED;
    }

    ctx->found = 1;

    if (ctx->conf->lost_stale && ctx->conf->redis
        && (ngx_msec_int_t) (ngx_current_msec - ctx->zone->sh->link_seen)
           > (ngx_msec_int_t) ctx->conf->lost_after)
    {
        /* purges may be missed */

        purged = AGG_CACHE_PURGED_SOFT;
    }

    age = agg_cache_age(fresh, ngx_time());

    ctx->verdict = AGG_CACHE_STORE;

    if (age < fresh->fresh && purged == AGG_CACHE_PURGED_NOT) {
        ctx->status = NGX_HTTP_AGGREGATE_CACHE_HIT;
        return NGX_OK;
    }

    if (fresh->updating && age < fresh->fresh + fresh->updating) {

        ctx->status = NGX_HTTP_AGGREGATE_CACHE_STALE;

        if (!ctx->only_if_cached && !ctx->request_no_store) {
            ngx_http_aggregate_cache_refresh(r, ctx);
        }

        return NGX_OK;
    }

    return NGX_DECLINED;
}


static void
ngx_http_aggregate_cache_delete(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_enter(ctx->zone);
    agg_cache_store_delete(ctx->zone->sh->store, &ctx->ref);
    ngx_http_aggregate_cache_leave(ctx->zone);
}


/* the origin's answer is not for the cache: what was there is over */

void
ngx_http_aggregate_cache_drop(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->found) {
        return;
    }

    ngx_http_aggregate_cache_delete(ctx);
    ngx_http_aggregate_cache_remote_drop(r, ctx);
}


/* finds the variant's entry */

static ngx_int_t
ngx_http_aggregate_cache_look_up(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    ngx_http_aggregate_cache_set_lock(ctx, ctx->digest);

    ctx->vary_miss = 0;

    rc = ngx_http_aggregate_cache_read(r, ctx, ctx->digest, &ctx->key);

    if (rc == NGX_OK && ctx->entry.kind == AGG_CACHE_ENTRY_VARY) {

        rc = ngx_http_aggregate_cache_vary(r, ctx);

        if (rc == NGX_OK) {
            ngx_http_aggregate_cache_set_lock(ctx, ctx->variant);

            rc = ngx_http_aggregate_cache_read(r, ctx, ctx->variant,
                                               &ctx->full);

            if (rc == NGX_OK
                && ctx->entry.kind != AGG_CACHE_ENTRY_RESPONSE)
            {
                rc = NGX_DECLINED;
            }

            ctx->vary_miss = (rc == NGX_DECLINED);
        }
    }

    return rc;
}


/*
 * Those whose response may not be shared do not wait for, nor hold up, those
 * whose response may
 */

static void
ngx_http_aggregate_cache_set_lock(ngx_http_aggregate_cache_ctx_t *ctx,
    const u_char *digest)
{
    ngx_memcpy(ctx->lock, digest, AGG_CACHE_DIGEST);

    ctx->lock[AGG_CACHE_DIGEST - 1] ^= (u_char) ctx->credentials;
    ctx->lock[8] ^= (u_char) ctx->credentials;
}


static ngx_int_t
ngx_http_aggregate_cache_read(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest, ngx_str_t *key)
{
    ngx_int_t  rc;

    rc = ngx_http_aggregate_cache_find(ctx->zone, digest, r->pool, &ctx->ref,
                                       &ctx->data);
    if (rc != NGX_OK) {
        return rc;
    }

    if (agg_cache_entry_read(&ctx->entry, ctx->data.data, ctx->data.len, 0)
        != 0)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "broken entry in zone \"%V\"", &ctx->zone->name);
        return NGX_DECLINED;
    }

    agg_cache_entry_steady(&ctx->entry, ngx_time(),
                           ngx_http_aggregate_cache_steady());

    /* the digest stands for the key, but does not take its place */

    if (ctx->entry.key.len != key->len
        || ngx_memcmp(ctx->entry.key.data, key->data, key->len) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_cache_vary(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_uint_t        n;
    const u_char     *p;
    agg_cache_str_t   names[AGG_CACHE_VARY_MAX], value;

    n = 0;
    p = ctx->entry.lines.data;

    while (n < AGG_CACHE_VARY_MAX
           && agg_cache_entry_line(&ctx->entry, &p, &names[n], &value) == 1)
    {
        n++;
    }

    if (n == 0) {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_cache_make_variant(r, ctx, names, n);
}


/* takes the fetch, or waits for it; NGX_OK: on with the next state */

static ngx_int_t
ngx_http_aggregate_cache_fly(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (agg_cache_pass_test(ctx->zone->sh->flights, ctx->lock,
                            (int64_t) ngx_current_msec))
    {
        /* not kept the last time: nobody waits, and Redis has not got it */

        ctx->hit_for_miss = 1;
        ctx->state = ngx_http_aggregate_cache_origin;
        return NGX_OK;
    }

    ctx->state = ngx_http_aggregate_cache_ask;

    /* a request whose response is not stored does not use the lock */

    if (!ctx->conf->lock || ctx->request_no_store || ctx->only_if_cached
        || r->method != NGX_HTTP_GET)
    {
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_take(ctx);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    rc = ngx_http_aggregate_cache_wait(r, ctx);

    if (rc == NGX_DECLINED) {
        ngx_http_aggregate_cache_take_over(ctx);
        return NGX_OK;
    }

    /* when it is over, the answer is looked for again */

    ctx->state = ngx_http_aggregate_cache_lookup;

    return rc;
}


static ngx_int_t
ngx_http_aggregate_cache_fill(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_enter(ctx->zone);

    ctx->born = ctx->zone->sh->purges->seq;
    ctx->born_place = ctx->zone->sh->purges->last;

    ngx_http_aggregate_cache_leave(ctx->zone);

    ctx->fill = 1;
    ctx->hit_for_miss = 0;
    ctx->requested = ngx_time();
    ctx->upstream = r->upstream;

    if (ngx_http_aggregate_cache_prepare(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_cache_watch_client(r, ctx);

    return NGX_DECLINED;
}


/* may the stale entry stand in for an error, or stay in place of one */

ngx_uint_t
ngx_http_aggregate_cache_usable(ngx_http_aggregate_cache_ctx_t *ctx)
{
    int64_t                 age;
    agg_cache_freshness_t  *fresh;

    if (!ctx->found) {
        return 0;
    }

    fresh = &ctx->entry.freshness;
    age = agg_cache_age(fresh, ngx_time());

    return fresh->error && age < fresh->fresh + fresh->error;
}


/*
 * Did the backend fail?  After a redirect away from the error the response
 * tells nothing of it, but the upstream's state and the breaker do.
 */

ngx_uint_t
ngx_http_aggregate_cache_failed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_uint_t status)
{
    ngx_http_upstream_t  *u;

    if (ngx_http_aggregate_cache_is_error(status)) {
        return 1;
    }

    u = r->upstream;

    return u != NULL && u != ctx->upstream && u->state != NULL
           && (u->state->status >= NGX_HTTP_INTERNAL_SERVER_ERROR
               || ngx_http_aggregate_cache_is_error(u->state->status));
}


/* a backend that is down, or that has no time now */

static ngx_uint_t
ngx_http_aggregate_cache_is_error(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_REQUEST_TIME_OUT:
    case NGX_HTTP_TOO_MANY_REQUESTS:
    case NGX_HTTP_INTERNAL_SERVER_ERROR:
    case NGX_HTTP_BAD_GATEWAY:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return 1;

    default:
        return 0;
    }
}
