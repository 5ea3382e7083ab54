
/*
 * Calls that hang count as slow when "slow_call" is over, and not when they
 * end.  A worker has a queue of its calls for each policy, in the order of
 * their start, and looks at its head ten times a second: a call costs two
 * changes of a list, and no timer.  Calls whose clock started late, because the
 * client was slow to send its body, wait in a second queue.
 */

#include "ngx_http_breaker.h"


#define NGX_HTTP_BREAKER_TICK  100


static void ngx_http_breaker_watch_handler(ngx_event_t *ev);
static void ngx_http_breaker_watch_policy(ngx_http_breaker_policy_t *policy);
static ngx_uint_t ngx_http_breaker_watch_call(ngx_http_breaker_ctx_t *ctx);


static ngx_queue_t       ngx_http_breaker_watched;
static ngx_event_t       ngx_http_breaker_watch_event;
static ngx_connection_t  ngx_http_breaker_watch_connection;


void
ngx_http_breaker_watch_init(ngx_http_breaker_policy_t *policy)
{
    ngx_queue_init(&policy->calls);
    ngx_queue_init(&policy->late);
}


void
ngx_http_breaker_watch_start(ngx_http_breaker_policy_t *policy)
{
    ngx_event_t  *ev;

    ev = &ngx_http_breaker_watch_event;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_http_breaker_watched);

        ngx_http_breaker_watch_connection.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_breaker_watch_handler;
        ev->data = &ngx_http_breaker_watch_connection;
        ev->cancelable = 1;
    }

    policy->watched = 1;
    ngx_queue_insert_tail(&ngx_http_breaker_watched, &policy->link);

    if (!ev->timer_set) {
        ev->log = ngx_cycle->log;
        ngx_add_timer(ev, NGX_HTTP_BREAKER_TICK);
    }
}


static void
ngx_http_breaker_watch_handler(ngx_event_t *ev)
{
    ngx_queue_t                *q, *next;
    ngx_http_breaker_policy_t  *policy;

    for (q = ngx_queue_head(&ngx_http_breaker_watched);
         q != ngx_queue_sentinel(&ngx_http_breaker_watched);
         q = next)
    {
        next = ngx_queue_next(q);
        policy = ngx_queue_data(q, ngx_http_breaker_policy_t, link);

        ngx_http_breaker_watch_policy(policy);

        if (ngx_queue_empty(&policy->calls) && ngx_queue_empty(&policy->late))
        {
            policy->watched = 0;
            ngx_queue_remove(q);
        }
    }

    if (!ngx_queue_empty(&ngx_http_breaker_watched)) {
        ev->log = ngx_cycle->log;
        ngx_add_timer(ev, NGX_HTTP_BREAKER_TICK);
    }
}


static void
ngx_http_breaker_watch_policy(ngx_http_breaker_policy_t *policy)
{
    ngx_queue_t             *q, *next;
    ngx_http_breaker_ctx_t  *ctx;

    for (q = ngx_queue_head(&policy->late);
         q != ngx_queue_sentinel(&policy->late);
         q = next)
    {
        next = ngx_queue_next(q);
        ctx = ngx_queue_data(q, ngx_http_breaker_ctx_t, queue);

        if (ngx_http_breaker_watch_call(ctx)) {
            ngx_http_breaker_unwatch(ctx);
        }
    }

    while (!ngx_queue_empty(&policy->calls)) {

        q = ngx_queue_head(&policy->calls);
        ctx = ngx_queue_data(q, ngx_http_breaker_ctx_t, queue);

        if (ngx_current_msec - ctx->start <= policy->rules.slow_call) {
            break;
        }

        ngx_http_breaker_unwatch(ctx);

        if (!ngx_http_breaker_watch_call(ctx)) {
            ngx_queue_insert_tail(&policy->late, &ctx->queue);
            ctx->queued = 1;
        }
    }
}


/* returns 1 if the call need not be watched any more */

static ngx_uint_t
ngx_http_breaker_watch_call(ngx_http_breaker_ctx_t *ctx)
{
    ngx_msec_t                  time;
    ngx_http_request_t         *r;
    ngx_http_upstream_t        *u;
    ngx_http_upstream_state_t  *state;

    r = ctx->request;
    u = r->upstream;

    if (r->reading_body || (r->request_body && r->request_body->rest > 0)) {
        return 0;
    }

    if (u && u != ctx->before) {
        state = u->state;

        if (state && state->peer && state->header_time != (ngx_msec_t) -1) {
            return 1;
        }

        time = ngx_http_breaker_time(r, ctx, 0);

        if (state && state->peer && state->response_time == (ngx_msec_t) -1) {
            time += ngx_current_msec - u->start_time;
        }

    } else {
        time = ngx_current_msec - ctx->start;
    }

    if (time <= ctx->policy->rules.slow_call) {
        return 0;
    }

    ngx_http_breaker_overdue(ctx, r->connection->log);

    return 1;
}
