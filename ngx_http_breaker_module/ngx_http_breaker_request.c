
#include "ngx_http_breaker.h"


static ngx_http_breaker_rare ngx_int_t ngx_http_breaker_guard(
    ngx_http_request_t *r, ngx_http_breaker_guard_t *guard);
static ngx_uint_t ngx_http_breaker_same(ngx_http_breaker_subject_t *subject,
    ngx_http_breaker_zone_t *zone, brk_key_t *key);
static ngx_uint_t ngx_http_breaker_was_refused(ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_zone_t *zone, brk_key_t *key);
static ngx_uint_t ngx_http_breaker_parent_holds_permit(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, brk_key_t *key);
static ngx_http_breaker_rare ngx_int_t ngx_http_breaker_decide(
    ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_guard_t *guard, brk_key_t *key, brk_permit_t *hint);
static ngx_http_breaker_rare brk_verdict_e ngx_http_breaker_verdict(
    ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_guard_t *guard, brk_key_t *key);
static ngx_inline void ngx_http_breaker_set_subject(
    ngx_http_breaker_ctx_t *ctx, ngx_http_breaker_guard_t *guard,
    brk_key_t *key);
static ngx_inline void ngx_http_breaker_install_handler(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static ngx_int_t ngx_http_breaker_reject(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static ngx_int_t ngx_http_breaker_refuse(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static ngx_uint_t ngx_http_breaker_was_in(ngx_http_breaker_ctx_t *ctx,
    ngx_str_t *location);
static ngx_int_t ngx_http_breaker_retry_after(ngx_http_request_t *r,
    brk_msec_t wait);
static ngx_int_t ngx_http_breaker_content_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_breaker_clone_handler(ngx_http_request_t *r);
static ngx_inline void ngx_http_breaker_hook(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_http_upstream_t *u);
static ngx_http_breaker_rare void ngx_http_breaker_hook_probe(
    ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx,
    ngx_http_upstream_t *u);
static ngx_int_t ngx_http_breaker_create_request(ngx_http_request_t *r);
static void ngx_http_breaker_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_http_breaker_rare void ngx_http_breaker_finalize(
    ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_breaker_probe_header(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static void ngx_http_breaker_end(ngx_http_breaker_ctx_t *ctx, ngx_log_t *log);
static ngx_http_breaker_ctx_t *ngx_http_breaker_create_ctx(
    ngx_http_request_t *r);
static ngx_inline void ngx_http_breaker_init_ctx(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static ngx_http_breaker_ctx_t *ngx_http_breaker_find_ctx(
    ngx_http_request_t *r);
static ngx_http_breaker_ctx_t *ngx_http_breaker_lookup_ctx(
    ngx_http_request_t *r);
static ngx_http_breaker_rare void ngx_http_breaker_index_ctx(
    ngx_http_breaker_ctx_t *ctx);
static void ngx_http_breaker_cleanup(void *data);


/* the request has a handler, and none of ours */

#define ngx_http_breaker_is_guarded(r)                                        \
    ((r)->content_handler                                                     \
     && (r)->content_handler != ngx_http_breaker_status_handler               \
     && (r)->content_handler != ngx_http_breaker_content_handler)


static ngx_http_breaker_ctx_t  *ngx_http_breaker_free;

/* contexts of subrequests, by the address of the request */

static ngx_rbtree_t             ngx_http_breaker_tree;
static ngx_rbtree_node_t        ngx_http_breaker_sentinel;


/* few instructions if the breaker is closed: guarded requests pass here */

ngx_int_t
ngx_http_breaker_handler(ngx_http_request_t *r)
{
    ngx_http_breaker_ctx_t       *ctx;
    ngx_http_breaker_guard_t     *guard;
    ngx_http_breaker_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_breaker_module);
    guard = blcf->guard;

    if (ngx_http_breaker_has_ctx(r)) {
        return ngx_http_breaker_guard(r, guard);
    }

    if (guard == NULL || !ngx_http_breaker_is_guarded(r)) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_breaker_free;

    if (!guard->hashed || r != r->main || ctx == NULL) {
        return ngx_http_breaker_guard(r, guard);
    }

    ngx_http_breaker_free = ctx->next;

    ngx_http_breaker_init_ctx(r, ctx);

    if (!brk_table_try_hint(guard->zone->table, &guard->known->hint,
                            &ctx->permit))
    {
        return ngx_http_breaker_decide(r, ctx, guard, &guard->known->key,
                                       &guard->known->hint);
    }

    ctx->log_level = blcf->log_level;
    ctx->result = NGX_HTTP_BREAKER_PASS;
    ctx->state = BRK_CLOSED;
    ctx->held = 1;

    ngx_http_breaker_set_subject(ctx, guard, &guard->known->key);
    ngx_http_breaker_install_handler(r, ctx);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_breaker_guard(ngx_http_request_t *r, ngx_http_breaker_guard_t *guard)
{
    brk_key_t                room, *key;
    brk_permit_t            *hint;
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_breaker_get_ctx(r);
    key = NULL;
    hint = NULL;

    if (guard && ngx_http_breaker_is_guarded(r)) {
        key = ngx_http_breaker_get_key(r, guard, &room, &hint);
    }

    if (ctx && ctx->held) {

        if (r->content_handler == ngx_http_breaker_content_handler) {
            return NGX_DECLINED;
        }

        /* an internal redirect: the permit for the same key stays */

        if (key && ngx_http_breaker_same(&ctx->subject, guard->zone, key)) {
            ngx_http_breaker_unwatch(ctx);
            ngx_http_breaker_install_handler(r, ctx);
            return NGX_DECLINED;
        }

        ngx_http_breaker_observe_response(r, ctx, 1);
        ngx_http_breaker_end(ctx, r->connection->log);
    }

    if (key == NULL) {
        return NGX_DECLINED;
    }

    /* the fallback of a rejected request is not guarded by the same key */

    if (ctx && ngx_http_breaker_was_refused(ctx, guard->zone, key)) {
        return NGX_DECLINED;
    }

    if (r != r->main
        && ngx_http_breaker_parent_holds_permit(r, guard->zone, key))
    {
        return NGX_DECLINED;
    }

    if (ctx == NULL) {
        ctx = ngx_http_breaker_create_ctx(r);

        if (ctx == NULL) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "no memory for a breaker, request is not guarded");
            return NGX_DECLINED;
        }
    }

    return ngx_http_breaker_decide(r, ctx, guard, key, hint);
}


static ngx_uint_t
ngx_http_breaker_same(ngx_http_breaker_subject_t *subject,
    ngx_http_breaker_zone_t *zone, brk_key_t *key)
{
    return subject->zone == zone
           && subject->key.len == key->len
           && ngx_memcmp(subject->key.data, key->data, key->len) == 0;
}


static ngx_uint_t
ngx_http_breaker_was_refused(ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_zone_t *zone, brk_key_t *key)
{
    ngx_http_breaker_refused_t  *refused;

    if (!ctx->rejected) {
        return 0;
    }

    for (refused = &ctx->refused; refused; refused = refused->next) {
        if (ngx_http_breaker_same(&refused->subject, zone, key)) {
            return 1;
        }
    }

    return 0;
}


/* a parent request holds a permit for the same key */

static ngx_uint_t
ngx_http_breaker_parent_holds_permit(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, brk_key_t *key)
{
    ngx_http_request_t      *pr;
    ngx_http_breaker_ctx_t  *ctx;

    for (pr = r->parent; pr; pr = pr->parent) {
        ctx = ngx_http_breaker_get_ctx(pr);

        if (ctx == NULL) {
            continue;
        }

        if ((ctx->held && ngx_http_breaker_same(&ctx->subject, zone, key))
            || ngx_http_breaker_was_refused(ctx, zone, key))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_breaker_decide(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_guard_t *guard, brk_key_t *key, brk_permit_t *hint)
{
    brk_permit_t                 *permit;
    brk_verdict_e                 verdict;
    ngx_http_breaker_result_e     result;
    ngx_http_breaker_loc_conf_t  *blcf;

    permit = &ctx->permit;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_breaker_module);
    ctx->log_level = blcf->log_level;

    verdict = BRK_PASS;

    if (!brk_table_try_lockless(guard->zone->table, key, hint, permit)) {
        verdict = ngx_http_breaker_verdict(r, ctx, guard, key);
    }

    switch (verdict) {

    case BRK_PASS:
        result = NGX_HTTP_BREAKER_PASS;
        break;

    case BRK_PROBE:
        result = NGX_HTTP_BREAKER_PROBE;
        break;

    case BRK_REJECT:
        result = guard->dry_run ? NGX_HTTP_BREAKER_DRY_REJECT
                                : NGX_HTTP_BREAKER_REJECT;
        break;

    default: /* BRK_FULL */
        return NGX_DECLINED;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "breaker verdict: %d, state: %uD, slot: %uD",
                   verdict, permit->state, permit->index);

    hint->born = permit->born;
    hint->index = permit->index;

    ngx_http_breaker_set_subject(ctx, guard, key);

    /* a request that was rejected once stays so in its variables */

    if (!ctx->rejected) {
        ctx->result = result;
        ctx->state = permit->state;
    }

    if (result == NGX_HTTP_BREAKER_REJECT) {
        return ngx_http_breaker_reject(r, ctx);
    }

    ctx->probe = (result == NGX_HTTP_BREAKER_PROBE);
    ctx->held = 1;
    ctx->settled = 0;

    ngx_http_breaker_install_handler(r, ctx);

    return NGX_DECLINED;
}


/* the breaker is not closed, or not known */

static brk_verdict_e
ngx_http_breaker_verdict(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_guard_t *guard, brk_key_t *key)
{
    if (brk_table_refuse(guard->zone->table, &ctx->permit,
                         &guard->policy->policy, ngx_current_msec,
                         guard->dry_run))
    {
        return BRK_REJECT;
    }

    return ngx_http_breaker_acquire(ctx, guard, key, r->connection->log);
}


static ngx_inline void
ngx_http_breaker_set_subject(ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_guard_t *guard, brk_key_t *key)
{
    ctx->policy = guard->policy;
    ctx->subject.zone = guard->zone;
    ctx->subject.key.data = (u_char *) key->data;
    ctx->subject.key.len = key->len;
}


static ngx_inline void
ngx_http_breaker_install_handler(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx)
{
    ctx->handler = r->content_handler;
    ctx->clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    ctx->before = r->upstream;
    ctx->upstream = NULL;
    ctx->states = r->upstream_states ? r->upstream_states->nelts : 0;
    ctx->start = ngx_current_msec;
    ctx->started = 0;
    ctx->decided = 0;
    ctx->round++;

    r->content_handler = ngx_http_breaker_content_handler;

    if (ctx->policy->rules.slow_call) {
        ngx_http_breaker_watch(ctx);
    }
}


static ngx_int_t
ngx_http_breaker_reject(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_breaker_fallback_t  *fallback;
    ngx_http_breaker_loc_conf_t  *blcf;

    static ngx_str_t  name = ngx_string("X-Breaker");
    static ngx_str_t  value = ngx_string("open");

    if ((!ctx->rejected
         && ngx_http_breaker_add_header(r, &name, &value) != NGX_OK)
        || ngx_http_breaker_refuse(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_breaker_module);
    fallback = blcf->fallback;

    if (fallback && fallback->name.len) {

        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

        if (!ngx_http_breaker_was_in(ctx, &fallback->name)
            && ngx_http_breaker_has_named(cscf, &fallback->name))
        {
            (void) ngx_http_named_location(r, &fallback->name);
            ngx_http_finalize_request(r, NGX_DONE);

            return NGX_DONE;
        }

        fallback = NULL;
    }

    if (fallback == NULL) {
        if (ngx_http_breaker_retry_after(r, ctx->permit.wait) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (fallback->body == NULL) {
        return (ngx_int_t) fallback->code;
    }

    rc = ngx_http_breaker_fallback_send(r, fallback);

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_breaker_refuse(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx)
{
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_breaker_refused_t  *refused;

    refused = &ctx->refused;

    if (ctx->rejected) {
        refused = ngx_palloc(r->pool, sizeof(ngx_http_breaker_refused_t));
        if (refused == NULL) {
            return NGX_ERROR;
        }

        refused->next = ctx->refused.next;
        ctx->refused.next = refused;

    } else {
        ctx->rejected = 1;
        refused->next = NULL;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    refused->subject = ctx->subject;
    refused->location = &clcf->name;

    return NGX_OK;
}


/* another rejection in the same location would never end */

static ngx_uint_t
ngx_http_breaker_was_in(ngx_http_breaker_ctx_t *ctx, ngx_str_t *location)
{
    ngx_http_breaker_refused_t  *refused;

    for (refused = &ctx->refused; refused; refused = refused->next) {
        if (refused->location->len == location->len
            && ngx_strncmp(refused->location->data, location->data,
                           location->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_breaker_retry_after(ngx_http_request_t *r, brk_msec_t wait)
{
    ngx_str_t  value;

    static ngx_str_t  name = ngx_string("Retry-After");

    wait = (wait + 999) / 1000;

    value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%uL", ngx_max(wait, 1)) - value.data;

    return ngx_http_breaker_add_header(r, &name, &value);
}


ngx_int_t
ngx_http_breaker_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key = *name;
    h->value = *value;
    ngx_http_breaker_header_end(h);

    return NGX_OK;
}


static ngx_int_t
ngx_http_breaker_content_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_uint_t               round;
    ngx_http_upstream_t     *u;
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_breaker_module);

    if (ctx == NULL || ctx->handler == NULL) {
        return ngx_http_breaker_clone_handler(r);
    }

    ctx->started = 1;
    round = ctx->round;

    rc = ctx->handler(r);

    /* an internal redirect may have been handled meanwhile */

    if (!ctx->held || ctx->decided || ctx->round != round) {
        return rc;
    }

    u = r->upstream;

    if (u && u != ctx->before) {

        if (u->cleanup == NULL && u->state) {

            /* the upstream has ended before it could be hooked */

            ngx_http_breaker_judge_upstream(r, ctx, u, NGX_OK);

        } else {
            ngx_http_breaker_hook(r, ctx, u);
        }

        return rc;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_breaker_judge_neutral(ctx);
        ngx_http_breaker_end(ctx, r->connection->log);

    } else if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ngx_http_breaker_judge_status(ctx, (ngx_uint_t) rc);
    }

    return rc;
}


/*
 * Handles a copy of a request that was let through, as made by "slice" and
 * "proxy_cache_background_update".  An "if" block has no handler of its own:
 * the copied request remembers the handler of the location around it.
 */

static ngx_int_t
ngx_http_breaker_clone_handler(ngx_http_request_t *r)
{
    ngx_http_request_t        *pr;
    ngx_http_breaker_ctx_t    *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->handler) {
        return clcf->handler(r);
    }

    for (pr = r->parent; pr; pr = pr->parent) {
        ctx = ngx_http_breaker_find_ctx(pr);

        if (ctx && ctx->handler) {
            return ctx->handler(r);
        }
    }

    ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                  "breaker has no handler for a copy of a request");

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


void
ngx_http_breaker_hook_upstream(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_http_upstream_t *u)
{
    ngx_http_breaker_hook(r, ctx, u);
}


static ngx_inline void
ngx_http_breaker_hook(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx,
    ngx_http_upstream_t *u)
{
    if (ctx->upstream == u || u->finalize_request == NULL) {
        return;
    }

    ctx->upstream = u;

    ctx->finalize_request = u->finalize_request;
    u->finalize_request = ngx_http_breaker_finalize_request;

    if (ctx->probe) {
        ngx_http_breaker_hook_probe(r, ctx, u);
    }
}


static void
ngx_http_breaker_hook_probe(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_http_upstream_t *u)
{
    if (u->state || u->cleanup || u->create_request == NULL) {
        return;
    }

    ctx->create_request = u->create_request;
    u->create_request = ngx_http_breaker_create_request;

    ngx_http_breaker_await(ctx->subject.zone, &ctx->permit,
                           r->connection->log);
}


static ngx_int_t
ngx_http_breaker_create_request(ngx_http_request_t *r)
{
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_breaker_find_ctx(r);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->held) {
        ngx_http_breaker_resume(ctx->subject.zone, ctx->policy, &ctx->permit,
                                r->connection->log);
    }

    return ctx->create_request(r);
}


static void
ngx_http_breaker_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_upstream_t     *u;
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_breaker_module);
    u = r->upstream;

    if (ctx && ctx->held && !ctx->decided && !ctx->probe
        && ctx->upstream == u
        && !ctx->permit.token.counted
        && ngx_http_breaker_is_success(r, ctx, u, rc)
        && brk_table_pass(ctx->subject.zone->table, &ctx->permit,
                          &ctx->policy->policy, ngx_current_msec))
    {
        ngx_http_breaker_unwatch(ctx);

        ctx->decided = 1;
        ctx->held = 0;

        ctx->finalize_request(r, rc);
        return;
    }

    ngx_http_breaker_finalize(r, ctx, rc);
}


static void
ngx_http_breaker_finalize(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx,
    ngx_int_t rc)
{
    if (ctx == NULL) {
        ctx = ngx_http_breaker_find_ctx(r);
    }

    if (ctx == NULL) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "no breaker context of a request that ends");
        return;
    }

    if (ctx->held && !ctx->decided && ctx->upstream == r->upstream) {

        ngx_http_breaker_judge_upstream(r, ctx, r->upstream, rc);

        /*
         * an error page or X-Accel-Redirect may go on under the same permit,
         * which is settled by the header filter or in the next location
         */

        if (r->header_sent
            || (rc != NGX_DECLINED
                && (rc < NGX_HTTP_SPECIAL_RESPONSE
                    || rc == NGX_HTTP_REQUEST_TIME_OUT
                    || rc == NGX_HTTP_CLIENT_CLOSED_REQUEST)))
        {
            ngx_http_breaker_end(ctx, r->connection->log);
        }
    }

    ctx->finalize_request(r, rc);
}


/* the response header is sent: decide whatever can be decided now */

void
ngx_http_breaker_observe(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx)
{
    ngx_uint_t  redirected;

    redirected = (ctx == NULL);

    if (redirected) {
        ctx = ngx_http_breaker_get_ctx(r);
    }

    if (ctx == NULL || !ctx->held) {
        return;
    }

    if (ctx->upstream && !ctx->decided && !ctx->upstream->upgrade) {
        ngx_http_breaker_probe_header(r, ctx);
        return;
    }

    /* a redirect to a "return" comes here without another decision */

    ngx_http_breaker_observe_response(r, ctx, redirected);

    if (ctx->decided) {
        ngx_http_breaker_end(ctx, r->connection->log);

    } else if (ctx->upstream) {
        ngx_http_breaker_probe_header(r, ctx);
    }
}


/* a probe is decided by the response header: its body may last for days */

static void
ngx_http_breaker_probe_header(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx)
{
    brk_permit_t          permit;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (!ctx->probe || ctx->settled || u != ctx->upstream
        || u->state == NULL || u->state->status == 0)
    {
        return;
    }

    ngx_http_breaker_judge_upstream(r, ctx, u, NGX_OK);

    ctx->decided = 0;

    if (ctx->outcome.neutral) {
        return;
    }

    ngx_http_breaker_unwatch(ctx);

    ctx->settled = 1;

    permit = ctx->permit;

    ctx->outcome.early = 1;

    ngx_http_breaker_settle(ctx, r->connection->log);

    /* the copy of the permit counts the response at its end */

    if (!ctx->outcome.failure) {
        ctx->permit = permit;
    }
}


static void
ngx_http_breaker_end(ngx_http_breaker_ctx_t *ctx, ngx_log_t *log)
{
    if (!ctx->decided) {
        ngx_http_breaker_judge_neutral(ctx);
    }

    ngx_http_breaker_unwatch(ctx);

    ctx->held = 0;

    if (ctx->settled) {

        if (ctx->permit.born) {
            ctx->outcome.neutral = 0;
            ngx_http_breaker_late(ctx, ctx->grpc, log);
        }

        return;
    }

    if (ctx->permit.token.counted) {

        /* the call has already been counted as slow */

        ctx->outcome.neutral = 0;
        ctx->outcome.slow = 1;
    }

    ngx_http_breaker_settle(ctx, log);
}


/*
 * Contexts, with their cleanups, come from a free list and not from the
 * request's pool, where one could cause the allocation of another block.
 */

static ngx_http_breaker_ctx_t *
ngx_http_breaker_create_ctx(ngx_http_request_t *r)
{
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_breaker_free;

    if (ctx) {
        ngx_http_breaker_free = ctx->next;

    } else {
        ctx = ngx_alloc(sizeof(ngx_http_breaker_ctx_t), r->connection->log);
        if (ctx == NULL) {
            return NULL;
        }
    }

    ngx_http_breaker_init_ctx(r, ctx);

    if (r != r->main) {
        ngx_http_breaker_index_ctx(ctx);
    }

    return ctx;
}


static ngx_inline void
ngx_http_breaker_init_ctx(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx)
{
    ctx->request = r;
    ctx->handler = NULL;
    ctx->round = 0;
    ctx->result = NGX_HTTP_BREAKER_NONE;

    ctx->held = 0;
    ctx->probe = 0;
    ctx->settled = 0;
    ctx->queued = 0;
    ctx->grpc = 0;
    ctx->rejected = 0;
    ctx->indexed = 0;

    ctx->cleanup.handler = ngx_http_breaker_cleanup;
    ctx->cleanup.data = ctx;
    ctx->cleanup.next = r->pool->cleanup;
    r->pool->cleanup = &ctx->cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_breaker_module);
}


static void
ngx_http_breaker_index_ctx(ngx_http_breaker_ctx_t *ctx)
{
    if (ngx_http_breaker_tree.root == NULL) {
        ngx_rbtree_init(&ngx_http_breaker_tree, &ngx_http_breaker_sentinel,
                        ngx_rbtree_insert_value);
    }

    ctx->node.key = (ngx_rbtree_key_t) (uintptr_t) ctx->request;
    ctx->indexed = 1;

    ngx_rbtree_insert(&ngx_http_breaker_tree, &ctx->node);
}


ngx_http_breaker_ctx_t *
ngx_http_breaker_get_ctx(ngx_http_request_t *r)
{
    return ngx_http_breaker_has_ctx(r) ? ngx_http_breaker_find_ctx(r) : NULL;
}


static ngx_http_breaker_ctx_t *
ngx_http_breaker_find_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_breaker_module);

    if (ctx) {
        return ctx;
    }

    if (r != r->main) {
        return ngx_http_breaker_lookup_ctx(r);
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != ngx_http_breaker_cleanup) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            ngx_http_set_ctx(r, ctx, ngx_http_breaker_module);
            return ctx;
        }
    }

    return NULL;
}


/*
 * The main request and all its subrequests share one list of cleanups, and
 * there may be thousands of them, so a tree is used.
 */

static ngx_http_breaker_ctx_t *
ngx_http_breaker_lookup_ctx(ngx_http_request_t *r)
{
    ngx_rbtree_key_t         key;
    ngx_rbtree_node_t       *node;
    ngx_http_breaker_ctx_t  *ctx;

    key = (ngx_rbtree_key_t) (uintptr_t) r;
    node = ngx_http_breaker_tree.root;

    while (node != NULL && node != &ngx_http_breaker_sentinel) {

        if (node->key == key) {
            ctx = (ngx_http_breaker_ctx_t *)
                      ((u_char *) node
                       - offsetof(ngx_http_breaker_ctx_t, node));

            ngx_http_set_ctx(r, ctx, ngx_http_breaker_module);

            return ctx;
        }

        node = (node->key < key) ? node->right : node->left;
    }

    return NULL;
}


static void
ngx_http_breaker_cleanup(void *data)
{
    ngx_http_breaker_ctx_t *ctx = data;

    if (ctx->indexed) {
        ngx_rbtree_delete(&ngx_http_breaker_tree, &ctx->node);
    }

    if (ctx->held) {
        ngx_http_breaker_end(ctx, ngx_cycle->log);
    }

    ctx->request = NULL;
    ctx->next = ngx_http_breaker_free;
    ngx_http_breaker_free = ctx;
}
