
#include "ngx_http_breaker.h"

#include <ngx_sha1.h>


/* a key that is too long: its beginning, "#" and the digest of the whole */

#define NGX_HTTP_BREAKER_DIGEST  20
#define NGX_HTTP_BREAKER_PREFIX                                               \
    (BRK_KEY_MAX - 1 - 2 * NGX_HTTP_BREAKER_DIGEST)


static ngx_http_breaker_rare ngx_int_t ngx_http_breaker_guard(
    ngx_http_request_t *r, ngx_http_breaker_guard_t *guard);
static brk_key_t *ngx_http_breaker_get_key(ngx_http_request_t *r,
    ngx_http_breaker_guard_t *guard, brk_key_t *room, brk_permit_t **hint);
static ngx_http_breaker_known_t *ngx_http_breaker_known(
    ngx_http_breaker_guard_t *guard, ngx_str_t *text);
static ngx_uint_t ngx_http_breaker_same(ngx_http_breaker_subject_t *subject,
    ngx_http_breaker_zone_t *zone, brk_key_t *key);
static ngx_uint_t ngx_http_breaker_parent_holds_permit(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, brk_key_t *key);
static ngx_int_t ngx_http_breaker_decide(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_http_breaker_guard_t *guard,
    brk_key_t *key, brk_permit_t *hint);
static void ngx_http_breaker_install_handler(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static ngx_int_t ngx_http_breaker_reject(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static ngx_int_t ngx_http_breaker_retry_after(ngx_http_request_t *r,
    brk_msec_t wait);
static ngx_int_t ngx_http_breaker_content_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_breaker_clone_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_breaker_create_request(ngx_http_request_t *r);
static void ngx_http_breaker_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_breaker_probe_header(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static void ngx_http_breaker_end(ngx_http_breaker_ctx_t *ctx, ngx_log_t *log);
static ngx_http_breaker_ctx_t *ngx_http_breaker_create_ctx(
    ngx_http_request_t *r);
static ngx_http_breaker_ctx_t *ngx_http_breaker_find_ctx(
    ngx_http_request_t *r);
static ngx_http_breaker_ctx_t *ngx_http_breaker_lookup_ctx(
    ngx_http_request_t *r);
static void ngx_http_breaker_cleanup(void *data);


static ngx_http_breaker_ctx_t  *ngx_http_breaker_free;

/* contexts of subrequests, by the address of the request */

static ngx_rbtree_t             ngx_http_breaker_tree;
static ngx_rbtree_node_t        ngx_http_breaker_sentinel;


ngx_int_t
ngx_http_breaker_handler(ngx_http_request_t *r)
{
    ngx_http_breaker_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_breaker_module);

    if (blcf->guard == NULL && !ngx_http_breaker_has_ctx(r)) {
        return NGX_DECLINED;
    }

    return ngx_http_breaker_guard(r, blcf->guard);
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

    if (guard
        && r->content_handler
        && r->content_handler != ngx_http_breaker_status_handler
        && r->content_handler != ngx_http_breaker_content_handler)
    {
        key = ngx_http_breaker_get_key(r, guard, &room, &hint);
    }

    if (ctx && ctx->held) {

        if (r->content_handler == ngx_http_breaker_content_handler) {
            return NGX_DECLINED;
        }

        /* an internal redirect: the permit for the same key stays */

        if (key && ngx_http_breaker_same(&ctx->subject, guard->zone, key)) {
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

    if (ctx && ctx->rejected
        && ngx_http_breaker_same(&ctx->refused, guard->zone, key))
    {
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


/* NULL: the key is empty, or could not be made */

static brk_key_t *
ngx_http_breaker_get_key(ngx_http_request_t *r,
    ngx_http_breaker_guard_t *guard, brk_key_t *room, brk_permit_t **hint)
{
    ngx_str_t                   text;
    ngx_http_breaker_known_t   *known;
    ngx_http_variable_value_t  *v;

    if (guard->hashed) {
        *hint = &guard->known->hint;
        return &guard->known->key;
    }

    if (guard->index != NGX_ERROR) {
        v = ngx_http_get_flushed_variable(r, (ngx_uint_t) guard->index);

        if (v == NULL) {
            goto failed;
        }

        text.len = v->not_found ? 0 : v->len;
        text.data = v->data;

    } else if (ngx_http_complex_value(r, &guard->key, &text) != NGX_OK) {
        goto failed;
    }

    if (text.len == 0) {
        return NULL;
    }

    known = ngx_http_breaker_known(guard, &text);
    *hint = &known->hint;

    if (known->key.len == text.len
        && ngx_memcmp(known->text, text.data, text.len) == 0)
    {
        *room = known->key;
        room->data = text.data;

        return room;
    }

    if (ngx_http_breaker_make_key(r->pool, guard->zone, &text, room)
        != NGX_OK)
    {
        goto failed;
    }

    known->key = *room;
    known->hint.born = 0;

    if (room->digest) {

        /* not kept: no text has this length */

        known->key.len = 0;

    } else {
        ngx_memcpy(known->text, text.data, text.len);
        guard->hashed = (guard->key.lengths == NULL);
    }

    return room;

failed:

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "cannot make a breaker's key, request is not guarded");

    return NULL;
}


/* the entry of this text among those that were looked up recently */

static ngx_http_breaker_known_t *
ngx_http_breaker_known(ngx_http_breaker_guard_t *guard, ngx_str_t *text)
{
    ngx_uint_t  i;

    if (guard->key.lengths == NULL) {
        return guard->known;
    }

    i = text->len + text->data[0] + text->data[text->len / 2]
        + text->data[text->len - 1];

    return &guard->known[i % NGX_HTTP_BREAKER_KNOWN];
}


ngx_int_t
ngx_http_breaker_make_key(ngx_pool_t *pool, ngx_http_breaker_zone_t *zone,
    ngx_str_t *text, brk_key_t *key)
{
    u_char      *p, digest[NGX_HTTP_BREAKER_DIGEST];
    ngx_sha1_t   sha1;

    key->digest = 0;
    key->data = text->data;
    key->len = (uint8_t) text->len;

    if (text->len > BRK_KEY_MAX) {

        p = ngx_pnalloc(pool, BRK_KEY_MAX);
        if (p == NULL) {
            return NGX_ERROR;
        }

        key->digest = 1;
        key->data = p;
        key->len = BRK_KEY_MAX;

        ngx_sha1_init(&sha1);
        ngx_sha1_update(&sha1, text->data, text->len);
        ngx_sha1_final(digest, &sha1);

        p = ngx_cpymem(p, text->data, NGX_HTTP_BREAKER_PREFIX);
        *p++ = '#';
        (void) ngx_hex_dump(p, digest, NGX_HTTP_BREAKER_DIGEST);
    }

    key->hash = brk_table_hash(zone->table, key->data, key->len);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_breaker_same(ngx_http_breaker_subject_t *subject,
    ngx_http_breaker_zone_t *zone, brk_key_t *key)
{
    return subject->zone == zone
           && subject->key.len == key->len
           && ngx_memcmp(subject->key.data, key->data, key->len) == 0;
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
            || (ctx->rejected
                && ngx_http_breaker_same(&ctx->refused, zone, key)))
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

    if (brk_table_try_lockless(guard->zone->table, key, hint, permit)) {
        verdict = BRK_PASS;

    } else if (brk_table_refuse(guard->zone->table, permit,
                                &guard->policy->policy, ngx_current_msec,
                                guard->dry_run))
    {
        verdict = BRK_REJECT;

    } else {
        verdict = ngx_http_breaker_acquire(guard->zone, guard->policy, key,
                                           guard->dry_run, permit,
                                           ctx->log_level,
                                           r->connection->log);
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

    ctx->policy = guard->policy;
    ctx->subject.zone = guard->zone;
    ctx->subject.key.data = (u_char *) key->data;
    ctx->subject.key.len = key->len;

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


static void
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

    if (ctx->policy->rules.slow_call) {
        ngx_http_breaker_watch(ctx);
    }

    r->content_handler = ngx_http_breaker_content_handler;
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

    if (!ctx->rejected
        && ngx_http_breaker_add_header(r, &name, &value) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ctx->rejected) {
        ctx->rejected = 1;
        ctx->refused = ctx->subject;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_breaker_module);
    fallback = blcf->fallback;

    if (fallback && fallback->name.len) {

        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

        if (!ctx->in_fallback
            && ngx_http_breaker_has_named(cscf, &fallback->name))
        {
            ctx->in_fallback = 1;

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
            ngx_http_breaker_hook_upstream(r, ctx, u);
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
    if (ctx->upstream == u || u->finalize_request == NULL) {
        return;
    }

    ctx->upstream = u;

    ctx->finalize_request = u->finalize_request;
    u->finalize_request = ngx_http_breaker_finalize_request;

    if (!ctx->probe || u->state || u->cleanup
        || u->create_request == NULL)
    {
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
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_breaker_find_ctx(r);

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
ngx_http_breaker_observe(ngx_http_request_t *r)
{
    ngx_uint_t               redirected;
    ngx_http_breaker_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_breaker_module);
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

    ngx_http_breaker_settle(ctx, r->connection->log);

    /* if the response fails later, the copy of the permit tells so */

    if (!ctx->outcome.failure && !ctx->outcome.slow) {
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

        if (ctx->outcome.failure && ctx->permit.born) {
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
 * Contexts come from a free list and not from the request's pool, where one
 * could cause the allocation of another block.
 */

static ngx_http_breaker_ctx_t *
ngx_http_breaker_create_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_breaker_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_http_breaker_free;

    if (ctx) {
        ngx_http_breaker_free = ctx->next;

    } else {
        ctx = ngx_alloc(sizeof(ngx_http_breaker_ctx_t), r->connection->log);
        if (ctx == NULL) {
            return NULL;
        }
    }

    ctx->request = r;
    ctx->handler = NULL;
    ctx->round = 0;
    ctx->result = NGX_HTTP_BREAKER_NONE;

    ctx->held = 0;
    ctx->queued = 0;
    ctx->settled = 0;
    ctx->grpc = 0;
    ctx->rejected = 0;
    ctx->in_fallback = 0;
    ctx->indexed = 0;

    if (r != r->main) {

        if (ngx_http_breaker_tree.root == NULL) {
            ngx_rbtree_init(&ngx_http_breaker_tree,
                            &ngx_http_breaker_sentinel,
                            ngx_rbtree_insert_value);
        }

        ctx->node.key = (ngx_rbtree_key_t) (uintptr_t) r;
        ctx->indexed = 1;

        ngx_rbtree_insert(&ngx_http_breaker_tree, &ctx->node);
    }

    cln->handler = ngx_http_breaker_cleanup;
    cln->data = ctx;
    ngx_http_set_ctx(r, ctx, ngx_http_breaker_module);

    return ctx;
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
