
/*
 * Subrequests: they run in the background, the capture filter takes what they
 * answer, and they can be cancelled at any time but from a filter.
 */

#include "ngx_http_aggregate_module.h"

#if (NGX_HTTP_SSI)
#include <ngx_http_ssi_filter_module.h>
#endif


static ngx_int_t ngx_http_aggregate_prepare(ngx_http_request_t *sr,
    ngx_http_aggregate_call_t *call);
static ngx_int_t ngx_http_aggregate_set_body(ngx_http_request_t *sr,
    ngx_http_aggregate_call_t *call);
static ngx_int_t ngx_http_aggregate_finished(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);
static void ngx_http_aggregate_end(ngx_http_aggregate_sub_t *sub);
static ngx_http_aggregate_reason_e ngx_http_aggregate_result(
    ngx_http_aggregate_sub_t *sub, ngx_int_t rc);
static ngx_uint_t ngx_http_aggregate_is_whole(ngx_http_aggregate_sub_t *sub,
    ngx_int_t rc);
static ngx_http_aggregate_reason_e ngx_http_aggregate_take_value(
    ngx_http_aggregate_sub_t *sub);
static ngx_http_aggregate_reason_e ngx_http_aggregate_take_string(
    ngx_http_aggregate_sub_t *sub);
static ngx_http_aggregate_reason_e ngx_http_aggregate_take_shaped(
    ngx_http_aggregate_call_t *call);
static ngx_uint_t ngx_http_aggregate_retries(ngx_http_aggregate_sub_t *sub,
    ngx_http_aggregate_reason_e reason);
static ngx_http_aggregate_reason_e ngx_http_aggregate_degraded(
    ngx_http_request_t *sr);
static void ngx_http_aggregate_cancelled(ngx_http_request_t *sr);


/* contexts of modules are lost at an internal redirect, this is not */

ngx_http_aggregate_sub_t *
ngx_http_aggregate_get_sub(ngx_http_request_t *r)
{
    if (r != r->main && r->post_subrequest
        && r->post_subrequest->handler == ngx_http_aggregate_finished)
    {
        return r->post_subrequest->data;
    }

    return NULL;
}


ngx_int_t
ngx_http_aggregate_send(ngx_http_aggregate_call_t *call)
{
    ngx_http_request_t        *r;
    ngx_http_aggregate_ctx_t  *ctx;
    ngx_http_aggregate_sub_t  *sub;

    ctx = call->part->ctx;
    r = ctx->request;

    sub = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_sub_t));
    if (sub == NULL) {
        return NGX_ERROR;
    }

    sub->call = call;
    sub->post.handler = ngx_http_aggregate_finished;
    sub->post.data = sub;

    if (ngx_http_subrequest(r, &call->uri, &call->args, &sub->request,
                            &sub->post, NGX_HTTP_SUBREQUEST_BACKGROUND)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    call->sub = sub;
    call->status = 0;

    ngx_http_aggregate_part_started(call->part);

    sub->next = ctx->subs;
    sub->link = &ctx->subs;

    if (ctx->subs) {
        ctx->subs->link = &sub->next;
    }

    ctx->subs = sub;

    ctx->running++;
    ctx->root->running++;

    /*
     * In the background a subrequest is not in the parent's list, and its
     * output waits for nobody.  The mark itself is needed at its end only,
     * and until then it would keep proxy_cache from serving stale answers.
     */

    sub->request->background = 0;

    if (ngx_http_aggregate_prepare(sub->request, call) != NGX_OK) {
        sub->settled = 1;
        ngx_http_aggregate_cancel(sub);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_prepare(ngx_http_request_t *sr,
    ngx_http_aggregate_call_t *call)
{
    size_t                         size;
    ngx_http_request_t            *r;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_aggregate_backend_t  *conf;

    r = call->part->ctx->request;
    conf = call->part->conf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    size = cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);

    sr->variables = ngx_palloc(r->pool, size);
    if (sr->variables == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(sr->variables, r->variables, size);

    sr->header_in = r->header_in;
    sr->filter_need_in_memory = 1;
    sr->method = conf->method;
    sr->method_name = conf->method_name;

    if (ngx_http_aggregate_set_headers(sr, call) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_set_body(sr, call);
}


static ngx_int_t
ngx_http_aggregate_set_body(ngx_http_request_t *sr,
    ngx_http_aggregate_call_t *call)
{
    ngx_buf_t                *b;
    ngx_http_request_body_t  *rb;

    switch (call->part->conf->body) {

    case NGX_HTTP_AGGREGATE_REQUEST_BODY:
        return NGX_OK;

    case NGX_HTTP_AGGREGATE_TEMPLATE_BODY:
        break;

    default: /* NGX_HTTP_AGGREGATE_NO_BODY */
        sr->request_body = NULL;
        return NGX_OK;
    }

    rb = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
    b = ngx_calloc_buf(sr->pool);

    if (rb == NULL || b == NULL) {
        return NGX_ERROR;
    }

    b->pos = call->body.data;
    b->last = call->body.data + call->body.len;
    b->start = b->pos;
    b->end = b->last;
    b->memory = 1;
    b->last_buf = 1;

    rb->bufs = ngx_alloc_chain_link(sr->pool);
    if (rb->bufs == NULL) {
        return NGX_ERROR;
    }

    rb->bufs->buf = b;
    rb->bufs->next = NULL;
    rb->buf = b;

    sr->request_body = rb;

    return NGX_OK;
}


/*
 * nginx calls it each time that the subrequest is finalized: with a status
 * that is still to become a response, with a response that is not sent yet,
 * and at last for good.
 */

static ngx_int_t
ngx_http_aggregate_finished(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_aggregate_sub_t *sub = data;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, sr->connection->log, 0,
                   "aggregate subrequest finished: \"%V\" rc:%i s:%d e:%d",
                   &sr->uri, rc, (int) sub->settled, (int) sub->ended);

    if (sr->connection->error) {
        return rc;
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE
        || rc == NGX_HTTP_CREATED
        || rc == NGX_HTTP_NO_CONTENT)
    {
        if (rc != NGX_HTTP_CLOSE
            && rc != NGX_HTTP_REQUEST_TIME_OUT
            && rc != NGX_HTTP_CLIENT_CLOSED_REQUEST
            && !sub->settled
            && !sr->header_sent)
        {
            return rc;
        }

        if (!sub->header) {
            sub->call->status = rc;
        }

        rc = NGX_ERROR;
    }

    if ((rc == NGX_OK || rc == NGX_AGAIN) && (sr->buffered || sr->postponed)) {
        return rc;
    }

    if (sub->ended) {

        /* a request that is not active changes no count */

        sr->background = 0;

        return NGX_OK;
    }

    /* it may be posted, and would run once more */

    sr->write_event_handler = ngx_http_request_empty_handler;

    sr->background = 1;
    sr->buffered = 0;

    ngx_http_aggregate_end(sub);

    if (!sub->settled) {
        ngx_http_aggregate_settle(sub, ngx_http_aggregate_result(sub, rc));
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_end(ngx_http_aggregate_sub_t *sub)
{
    ngx_http_aggregate_ctx_t  *ctx, *waiting;

    ctx = sub->call->part->ctx;

    sub->ended = 1;

    *sub->link = sub->next;

    if (sub->next) {
        sub->next->link = sub->link;
    }

    ctx->running--;
    ctx->root->running--;

    waiting = ctx->root->waiting;

    if (waiting) {
        ctx->root->waiting = waiting->next_waiting;
        waiting->waits = 0;
        ngx_http_aggregate_wake(waiting);
    }

    ngx_http_aggregate_wake(ctx);
}


/* the result of a try is known, which may run on for a while all the same */

void
ngx_http_aggregate_settle(ngx_http_aggregate_sub_t *sub,
    ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_call_t  *call;

    call = sub->call;

    sub->settled = 1;

    ngx_http_aggregate_wake(call->part->ctx);

    if (call->done) {
        return;
    }

    if (ngx_http_aggregate_retries(sub, reason)) {

        ngx_log_error(NGX_LOG_WARN, sub->request->connection->log, 0,
                      "aggregate backend \"%V\" failed: %V, status %ui, "
                      "it is asked again", &call->part->conf->name,
                      &ngx_http_aggregate_reasons[reason], call->status);

        call->sub = NULL;

        ngx_http_aggregate_enqueue(call);

        return;
    }

    ngx_http_aggregate_call_done(call, reason);
}


static ngx_uint_t
ngx_http_aggregate_retries(ngx_http_aggregate_sub_t *sub,
    ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_ctx_t   *ctx;
    ngx_http_aggregate_call_t  *call;

    call = sub->call;
    ctx = call->part->ctx;

    if (call->tries == 0 || ctx->answered
        || ctx->root->spent >= ctx->root->max_subrequests)
    {
        return 0;
    }

    switch (reason) {

    case NGX_HTTP_AGGREGATE_CONNECT:
        break;

    case NGX_HTTP_AGGREGATE_STATUS:
    case NGX_HTTP_AGGREGATE_TIMEOUT:

        if (call->status == NGX_HTTP_BAD_GATEWAY
            || call->status == NGX_HTTP_SERVICE_UNAVAILABLE
            || call->status == NGX_HTTP_GATEWAY_TIME_OUT)
        {
            break;
        }

        return 0;

    default:
        return 0;
    }

    call->tries--;
    ctx->root->spent++;

    return 1;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_result(ngx_http_aggregate_sub_t *sub, ngx_int_t rc)
{
    ngx_http_request_t         *sr;
    ngx_http_aggregate_call_t  *call;

    sr = sub->request;
    call = sub->call;

    if (!sub->header) {

        /* such as of "return 444" */

        return sr->upstream ? NGX_HTTP_AGGREGATE_CONNECT
               : call->status ? NGX_HTTP_AGGREGATE_STATUS
                              : NGX_HTTP_AGGREGATE_INTERNAL;
    }

    if (!sub->accepted) {
        return ngx_http_aggregate_status_reason(sub);
    }

    call->degraded = ngx_http_aggregate_degraded(sr);

    if (!ngx_http_aggregate_is_whole(sub, rc)) {
        return NGX_HTTP_AGGREGATE_TRUNCATED;
    }

    return ngx_http_aggregate_take_value(sub);
}


/*
 * A body that was cut off ends with success as well, but without the mark of
 * the last buffer.  SSI takes that mark off what it passes in a subrequest,
 * and without buffering nginx takes a FastCGI answer for whole that has no
 * end record.
 */

static ngx_uint_t
ngx_http_aggregate_is_whole(ngx_http_aggregate_sub_t *sub, ngx_int_t rc)
{
    ngx_http_request_t   *sr;
    ngx_http_upstream_t  *u;

    sr = sub->request;
    u = sr->upstream;

    if (sub->no_body || sr->headers_out.content_length_n == 0) {
        return 1;
    }

    if (u && !sub->cached && !u->buffering && u->length != 0
        && u->conf->module.len == 7
        && ngx_strncmp(u->conf->module.data, "fastcgi", 7) == 0)
    {
        return 0;
    }

    if (sub->last) {
        return 1;
    }

#if (NGX_HTTP_SSI)

    if (rc == NGX_OK
        && ngx_http_get_module_ctx(sr, ngx_http_ssi_filter_module))
    {
        /* a length that is not known is as good as none */

        return u == NULL || sub->cached
               || (u->buffering ? u->pipe->length : u->length) == 0;
    }

#endif

    return 0;
}


ngx_http_aggregate_reason_e
ngx_http_aggregate_status_reason(ngx_http_aggregate_sub_t *sub)
{
    if (ngx_http_aggregate_breaker_rejected(sub->request)) {
        return NGX_HTTP_AGGREGATE_BREAKER_OPEN;
    }

    if (!ngx_http_aggregate_own_error(sub)) {
        return NGX_HTTP_AGGREGATE_STATUS;
    }

    return sub->call->status == NGX_HTTP_GATEWAY_TIME_OUT
           ? NGX_HTTP_AGGREGATE_TIMEOUT : NGX_HTTP_AGGREGATE_CONNECT;
}


/*
 * An error that nginx made, since no valid response header came; a page that
 * "error_page" has for it is as good as a backend's answer
 */

ngx_uint_t
ngx_http_aggregate_own_error(ngx_http_aggregate_sub_t *sub)
{
    ngx_http_upstream_t  *u;

    u = sub->request->upstream;

    if (u == NULL || sub->cached || sub->request->error_page
        || (u->state && u->state->header_time != (ngx_msec_t) -1
            && !sub->no_status))
    {
        return 0;
    }

    return sub->call->status == NGX_HTTP_INTERNAL_SERVER_ERROR
           || sub->call->status == NGX_HTTP_BAD_GATEWAY
           || sub->call->status == NGX_HTTP_SERVICE_UNAVAILABLE
           || sub->call->status == NGX_HTTP_GATEWAY_TIME_OUT;
}


/* an answer that is used, and yet is not all that it could be */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_degraded(ngx_http_request_t *sr)
{
    ngx_uint_t                 i;
    ngx_http_aggregate_ctx_t  *inner;

    inner = ngx_http_get_module_ctx(sr, ngx_http_aggregate_module);

    for (i = 0; inner && inner->partial && i < inner->nparts; i++) {
        if (inner->parts[i].failed || inner->parts[i].degraded) {
            return inner->parts[i].reason;
        }
    }

    return ngx_http_aggregate_breaker_rejected(sr)
           ? NGX_HTTP_AGGREGATE_BREAKER_OPEN : NGX_HTTP_AGGREGATE_NO_REASON;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_take_value(ngx_http_aggregate_sub_t *sub)
{
    agg_rc_e                       rc;
    agg_str_t                      missing;
    ngx_http_aggregate_call_t     *call;
    ngx_http_aggregate_backend_t  *conf;

    call = sub->call;
    conf = call->part->conf;

    if (sub->received == 0) {

        /* 204, or a body that is empty */

        call->value.data = (u_char *) "null";
        call->value.len = 4;
        call->source = call->value;

        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    if (conf->string) {
        return ngx_http_aggregate_take_string(sub);
    }

    rc = agg_shape_run_finish(sub->run);

    if (rc == AGG_NOT_FOUND) {

        missing.data = conf->default_value.data;
        missing.len = conf->default_value.len;

        if (missing.data == NULL) {
            missing.data = (u_char *) "null";
            missing.len = 4;
        }

        rc = agg_shape_run_missing(sub->run, &missing);
    }

    if (rc != AGG_OK) {
        return ngx_http_aggregate_reason(rc);
    }

    call->value.data = sub->out.start;
    call->value.len = agg_buf_used(&sub->out);
    call->source = call->value;

    if (conf->shape && conf->referenced && !conf->host) {
        return ngx_http_aggregate_take_shaped(call);
    }

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* others read what "target" and "limit" left, the rest is done to a copy */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_take_shaped(ngx_http_aggregate_call_t *call)
{
    agg_rc_e                   rc;
    agg_buf_t                  out;
    agg_shape_t               *tail;
    agg_shape_run_t           *run;
    agg_shape_args_t           args;
    ngx_http_aggregate_ctx_t  *ctx;

    ctx = call->part->ctx;
    tail = agg_shape_tail(call->part->conf->shape->shape);

    if (agg_shape_is_identity(tail)) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    run = ngx_palloc(ctx->request->pool, agg_shape_run_size(tail));

    if (run == NULL
        || ngx_http_aggregate_shape_args(ctx->request,
                                         call->part->conf->shape, &args)
           != NGX_OK)
    {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    agg_buf_init(&out, ctx->mem, ctx->block->max_response_size);
    agg_shape_run_init(run, tail, &out, &args);

    rc = agg_shape_run_push(run, call->source.data, call->source.len);

    if (rc == AGG_OK) {
        rc = agg_shape_run_finish(run);
    }

    if (rc != AGG_OK) {
        return ngx_http_aggregate_reason(rc);
    }

    call->value.data = out.start;
    call->value.len = agg_buf_used(&out);

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_take_string(ngx_http_aggregate_sub_t *sub)
{
    size_t                      len;
    agg_rc_e                    rc;
    agg_buf_t                   out;
    ngx_http_aggregate_ctx_t   *ctx;
    ngx_http_aggregate_call_t  *call;

    call = sub->call;
    ctx = call->part->ctx;
    len = agg_buf_used(&sub->out);

    if (!agg_utf8_valid(sub->out.start, len)) {
        return NGX_HTTP_AGGREGATE_INVALID_JSON;
    }

    agg_buf_init(&out, ctx->mem, ctx->block->max_response_size);

    rc = agg_json_escape(&out, sub->out.start, len);
    if (rc != AGG_OK) {
        return ngx_http_aggregate_reason(rc);
    }

    call->value.data = out.start;
    call->value.len = agg_buf_used(&out);
    call->source = call->value;

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


ngx_http_aggregate_reason_e
ngx_http_aggregate_reason(agg_rc_e rc)
{
    switch (rc) {

    case AGG_OK:
        return NGX_HTTP_AGGREGATE_NO_REASON;

    case AGG_TOO_LARGE:
        return NGX_HTTP_AGGREGATE_TOO_LARGE;

    case AGG_NOMEM:
        return NGX_HTTP_AGGREGATE_INTERNAL;

    default:
        return NGX_HTTP_AGGREGATE_INVALID_JSON;
    }
}


/*
 * Never to be called from a filter: the subrequest is still in use there.
 * What a thread or the lock of a cache still refers to ends when that lets
 * it go.
 */

void
ngx_http_aggregate_cancel(ngx_http_aggregate_sub_t *sub)
{
    ngx_http_cleanup_pt        cleanup;
    ngx_http_request_t        *sr;
    ngx_http_upstream_t       *u;
    ngx_http_aggregate_ctx_t  *inner;

    if (sub->ended) {
        return;
    }

    sr = sub->request;
    u = sr->upstream;

    sub->settled = 1;

    inner = ngx_http_get_module_ctx(sr, ngx_http_aggregate_module);

    if (inner) {
        ngx_http_aggregate_abort(inner);
    }

    if (sr->aio
#if (NGX_HTTP_CACHE)
        || (sr->cache && sr->cache->waiting)
#endif
       )
    {
        sr->write_event_handler = ngx_http_aggregate_cancelled;
        return;
    }

    if (u && u->cleanup && *u->cleanup) {

        if (u->state && sub->call->reason == NGX_HTTP_AGGREGATE_TIMEOUT) {

            /* for those who look at why an upstream ended */

            u->state->status = NGX_HTTP_GATEWAY_TIME_OUT;
        }

        sr->read_event_handler = ngx_http_request_empty_handler;
        sr->write_event_handler = ngx_http_request_empty_handler;

        ngx_http_aggregate_end(sub);

        cleanup = *u->cleanup;
        cleanup(sr);

        return;
    }

    if (sub->cancelled) {
        return;
    }

    sub->cancelled = 1;

    /* it has not started, or it waits for something else */

    sr->write_event_handler = ngx_http_aggregate_cancelled;

    (void) ngx_http_post_request(sr, NULL);
}


static void
ngx_http_aggregate_cancelled(ngx_http_request_t *sr)
{
    ngx_http_aggregate_sub_t  *sub;

    sr->write_event_handler = ngx_http_request_empty_handler;

    sub = sr->post_subrequest->data;

    if (sub->ended) {
        return;
    }

    if (sr->upstream && sr->upstream->cleanup && *sr->upstream->cleanup) {
        ngx_http_aggregate_cancel(sub);
        return;
    }

    ngx_http_finalize_request(sr, NGX_ERROR);
}
