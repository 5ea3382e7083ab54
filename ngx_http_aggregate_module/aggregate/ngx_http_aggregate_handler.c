
/*
 * The life of an aggregate: its content handler, and what its events do.
 *
 * All that changes the state of an aggregate outside of filters happens in
 * ngx_http_aggregate_advance(), which runs from the request's own handlers:
 * the filters and the ends of subrequests only note what they saw, and wake.
 */

#include "ngx_http_aggregate_module.h"


static void ngx_http_aggregate_start(ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_is_stream(ngx_http_request_t *r);
static ngx_http_aggregate_ctx_t *ngx_http_aggregate_create_ctx(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_find_root(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_write_handler(ngx_http_request_t *r);
static void ngx_http_aggregate_run_delayed(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_timer_handler(ngx_event_t *ev);
static void ngx_http_aggregate_advance(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_start_parts(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_send_queue(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_set_timer(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_finish(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_cancel_all(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_leave(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_read_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_client_gone(ngx_http_request_t *r);
static void ngx_http_aggregate_cleanup(void *data);


ngx_int_t
ngx_http_aggregate_handler(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_aggregate_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_module);

    if (!(r->method & alcf->block->methods)) {

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_aggregate_header_add(&r->headers_out.headers, "Allow",
                                          &alcf->block->allow)
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_aggregate_problem(r, NULL, NGX_HTTP_NOT_ALLOWED);
    }

    /* not discarded: that would leave timers with a request in parts */

    rc = ngx_http_read_client_request_body(r, ngx_http_aggregate_start);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_aggregate_start(ngx_http_request_t *r)
{
    ngx_connection_t          *c;
    ngx_http_cleanup_t        *cln;
    ngx_http_aggregate_ctx_t  *ctx;

    c = r->connection;

    ctx = ngx_http_aggregate_create_ctx(r);
    if (ctx == NULL) {
        goto failed;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        goto failed;
    }

    cln->handler = ngx_http_aggregate_cleanup;
    cln->data = ctx;

    ctx->timer.handler = ngx_http_aggregate_timer_handler;
    ctx->timer.data = ctx;
    ctx->timer.log = c->log;

    ctx->deadline = ngx_current_msec + ctx->block->timeout;

    r->write_event_handler = ngx_http_aggregate_write_handler;

    if (r == r->main) {
        r->read_event_handler = ngx_http_aggregate_read_handler;

        /* a client that is gone already gives no new event */

        if (c->read->ready && !ngx_http_aggregate_is_stream(r)) {
            ngx_post_event(c->read, &ngx_posted_events);
        }
    }

    if (ngx_http_aggregate_request_headers(ctx) != NGX_OK) {
        ngx_http_aggregate_leave(ctx);
        goto failed;
    }

    ngx_http_aggregate_advance(ctx);

    return;

failed:

    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
}


/* of a connection that carries several requests at once */

static ngx_uint_t
ngx_http_aggregate_is_stream(ngx_http_request_t *r)
{
#if (NGX_HTTP_V2)

    if (r->stream) {
        return 1;
    }

#endif

#if (NGX_HTTP_V3)

    if (r->connection->quic) {
        return 1;
    }

#endif

    return 0;
}


static ngx_http_aggregate_ctx_t *
ngx_http_aggregate_create_ctx(ngx_http_request_t *r)
{
    ngx_uint_t                      i;
    ngx_http_variable_value_t      *v;
    ngx_http_aggregate_ctx_t       *ctx;
    ngx_http_aggregate_part_t      *part;
    ngx_http_aggregate_backend_t  **backends;
    ngx_http_aggregate_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_module);

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->block = alcf->block;
    ctx->nparts = alcf->block->backends.nelts;
    ctx->waiting = ctx->nparts;
    ctx->queue_last = &ctx->queue;

    ctx->parts = ngx_pcalloc(r->pool,
                             ctx->nparts * sizeof(ngx_http_aggregate_part_t));
    ctx->mem = ngx_http_aggregate_mem(r->pool);

    if (ctx->parts == NULL || ctx->mem == NULL) {
        return NULL;
    }

    backends = alcf->block->backends.elts;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        part->ctx = ctx;
        part->conf = backends[i];
    }

    if (alcf->debug_index != NGX_CONF_UNSET) {
        v = ngx_http_get_flushed_variable(r, alcf->debug_index);

        ctx->debug = (v != NULL && !v->not_found && v->len != 0
                      && !(v->len == 1 && v->data[0] == '0'));
    }

    if (ngx_http_aggregate_find_root(ctx) != NGX_OK) {
        return NULL;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_aggregate_module);

    return ctx;
}


/*
 * An aggregate in a part of another one shares its limits.  While it waits
 * for parts of its own it does not count as running, else both could wait
 * for each other.
 */

static ngx_int_t
ngx_http_aggregate_find_root(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_http_request_t         *r;
    ngx_http_aggregate_sub_t   *sub;
    ngx_http_aggregate_root_t  *root;

    for (r = ctx->request; r != r->main; r = r->parent) {

        sub = ngx_http_aggregate_get_sub(r);

        if (sub) {
            ctx->root = sub->call->part->ctx->root;
            ctx->nested = 1;
            ctx->root->running--;

            return NGX_OK;
        }
    }

    root = ngx_pcalloc(ctx->request->pool, sizeof(ngx_http_aggregate_root_t));
    if (root == NULL) {
        return NGX_ERROR;
    }

    root->concurrency = ctx->block->concurrency;
    root->max_subrequests = ctx->block->max_subrequests;

    ctx->root = root;

    return NGX_OK;
}


void
ngx_http_aggregate_wake(ngx_http_aggregate_ctx_t *ctx)
{
    if (ctx->woken || (ctx->answered && !ctx->gone)) {
        return;
    }

    if (ngx_http_post_request(ctx->request, NULL) == NGX_OK) {
        ctx->woken = 1;
    }
}


static void
ngx_http_aggregate_write_handler(ngx_http_request_t *r)
{
    ngx_connection_t          *c;
    ngx_http_aggregate_ctx_t  *ctx;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_module);

    if (c->write->timedout) {
        c->write->timedout = 0;
    }

    if (ctx->gone) {
        ctx->woken = 0;

        if (ctx->running == 0) {
            ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        }

        return;
    }

    if (ctx->answered) {
        return;
    }

    if (!ctx->woken) {
        ngx_http_aggregate_run_delayed(ctx);
    }

    ctx->woken = 0;

    ngx_http_aggregate_advance(ctx);
}


/*
 * limit_req delays a subrequest by the timer of the client's connection,
 * which wakes the main request only
 */

static void
ngx_http_aggregate_run_delayed(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_http_request_t        *sr;
    ngx_http_aggregate_ctx_t  *inner;
    ngx_http_aggregate_sub_t  *sub;

    for (sub = ctx->subs; sub; sub = sub->next) {
        sr = sub->request;

        inner = ngx_http_get_module_ctx(sr, ngx_http_aggregate_module);

        if (inner) {
            ngx_http_aggregate_run_delayed(inner);
            continue;
        }

        if (sr->upstream == NULL && !sr->aio) {
            (void) ngx_http_post_request(sr, NULL);
        }
    }
}


static void
ngx_http_aggregate_timer_handler(ngx_event_t *ev)
{
    ngx_uint_t                  i;
    ngx_msec_t                  now;
    ngx_connection_t           *c;
    ngx_http_request_t         *r;
    ngx_http_aggregate_ctx_t   *ctx;
    ngx_http_aggregate_part_t  *part;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "aggregate timer: \"%V\"", &r->uri);

    now = ngx_current_msec;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->state == NGX_HTTP_AGGREGATE_DONE) {
            continue;
        }

        if ((ngx_msec_int_t) (ctx->deadline - now) <= 0
            || (part->deadline
                && (ngx_msec_int_t) (part->deadline - now) <= 0))
        {
            ngx_http_aggregate_part_expire(part, NGX_HTTP_AGGREGATE_TIMEOUT);
        }
    }

    ngx_http_aggregate_advance(ctx);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_aggregate_advance(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t                 done;
    ngx_http_aggregate_sub_t  *sub, *next;

    /* the filters settle, but it is not for them to cancel */

    for (sub = ctx->subs; sub; sub = next) {
        next = sub->next;

        if (sub->settled) {
            ngx_http_aggregate_cancel(sub);
        }
    }

    do {
        done = ctx->done;

        ngx_http_aggregate_start_parts(ctx);

        if (ctx->failed) {
            break;
        }

        ngx_http_aggregate_send_queue(ctx);

    } while (ctx->done != done && !ctx->failed);

    if (ctx->failed || ctx->done == ctx->nparts) {
        ngx_http_aggregate_finish(ctx);
        return;
    }

    ngx_http_aggregate_set_timer(ctx);
}


static void
ngx_http_aggregate_start_parts(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t                     i, k, *need;
    ngx_http_aggregate_part_t     *part;
    ngx_http_aggregate_backend_t  *conf;

    if (ctx->waiting == 0) {
        return;
    }

    ctx->waiting = 0;

    for (i = 0; i < ctx->nparts && !ctx->failed; i++) {
        part = &ctx->parts[i];
        conf = part->conf;

        if (part->state != NGX_HTTP_AGGREGATE_WAITING) {
            continue;
        }

        need = conf->needs.elts;

        for (k = 0; k < conf->needs.nelts; k++) {
            if (ctx->parts[need[k]].state != NGX_HTTP_AGGREGATE_DONE) {
                break;
            }
        }

        if (k == conf->needs.nelts) {
            ngx_http_aggregate_part_start(part);

        } else {
            ctx->waiting++;
        }
    }
}


static void
ngx_http_aggregate_send_queue(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_http_aggregate_call_t  *call;
    ngx_http_aggregate_root_t  *root;

    root = ctx->root;

    while (ctx->queue && !ctx->failed) {
        call = ctx->queue;

        if (!call->done
            && (root->running >= root->concurrency
                || (ngx_int_t) ctx->running >= ctx->block->concurrency))
        {
            if (!ctx->waits) {
                ctx->waits = 1;
                ctx->next_waiting = root->waiting;
                root->waiting = ctx;
            }

            return;
        }

        ctx->queue = call->next;

        if (ctx->queue == NULL) {
            ctx->queue_last = &ctx->queue;
        }

        if (call->done) {
            continue;
        }

        if (ngx_http_aggregate_send(call) != NGX_OK) {
            ngx_http_aggregate_call_done(call, NGX_HTTP_AGGREGATE_INTERNAL);
        }
    }
}


/* one timer for all deadlines: it stands at the earliest one */

static void
ngx_http_aggregate_set_timer(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t                  i;
    ngx_msec_t                  next;
    ngx_msec_int_t              wait;
    ngx_http_aggregate_part_t  *part;

    next = ctx->deadline;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->state == NGX_HTTP_AGGREGATE_RUNNING && part->deadline
            && (ngx_msec_int_t) (part->deadline - next) < 0)
        {
            next = part->deadline;
        }
    }

    if (ctx->timer.timer_set) {

        if ((ngx_msec_int_t) (ctx->timer.timer.key - next) <= 0) {

            /* it finds nothing to do when it comes too early */

            return;
        }

        ngx_del_timer(&ctx->timer);
    }

    wait = next - ngx_current_msec;

    ngx_add_timer(&ctx->timer, wait > 0 ? wait : 1);
}


static void
ngx_http_aggregate_finish(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    for (i = 0; i < ctx->nparts; i++) {
        if (ctx->parts[i].state != NGX_HTTP_AGGREGATE_DONE) {
            ngx_http_aggregate_part_expire(&ctx->parts[i],
                                           NGX_HTTP_AGGREGATE_CANCELLED);
        }
    }

    ngx_http_aggregate_leave(ctx);
    ngx_http_aggregate_cancel_all(ctx);

    if (r == r->main && c->write->delayed) {

        /* limit_req holds a part, and must not hold the answer */

        c->write->delayed = 0;

        if (c->write->timer_set) {
            ngx_del_timer(c->write);
        }
    }

    rc = ngx_http_aggregate_answer(ctx);

    ngx_http_finalize_request(r, rc);
}


/* subrequests that can not be cancelled at once end later, by themselves */

static void
ngx_http_aggregate_cancel_all(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_http_aggregate_sub_t  *sub, *next;

    for (sub = ctx->subs; sub; sub = next) {
        next = sub->next;
        ngx_http_aggregate_cancel(sub);
    }
}


static void
ngx_http_aggregate_leave(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_http_aggregate_ctx_t  **p;

    if (ctx->answered) {
        return;
    }

    ctx->answered = 1;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->nested) {
        ctx->root->running++;
    }

    if (!ctx->waits) {
        return;
    }

    for (p = &ctx->root->waiting; *p; p = &(*p)->next_waiting) {
        if (*p == ctx) {
            *p = ctx->next_waiting;
            break;
        }
    }

    ctx->waits = 0;
}


/* an aggregate in a part that was cancelled */

void
ngx_http_aggregate_abort(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t  i;

    if (ctx->answered) {
        return;
    }

    ngx_http_aggregate_leave(ctx);

    for (i = 0; i < ctx->nparts; i++) {
        if (ctx->parts[i].state != NGX_HTTP_AGGREGATE_DONE) {
            ngx_http_aggregate_part_expire(&ctx->parts[i],
                                           NGX_HTTP_AGGREGATE_CANCELLED);
        }
    }

    ngx_http_aggregate_cancel_all(ctx);
}


static void
ngx_http_aggregate_read_handler(ngx_http_request_t *r)
{
    ngx_uint_t                 i;
    ngx_http_aggregate_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_module);

    if (ctx->answered || !ngx_http_aggregate_client_gone(r)) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "client prematurely closed connection");

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        r->connection->ssl->no_send_shutdown = 1;
    }
#endif

    ngx_http_aggregate_leave(ctx);

    ctx->gone = 1;

    for (i = 0; i < ctx->nparts; i++) {
        if (ctx->parts[i].state != NGX_HTTP_AGGREGATE_DONE) {
            ngx_http_aggregate_part_expire(&ctx->parts[i],
                                           NGX_HTTP_AGGREGATE_CANCELLED);
        }
    }

    ctx->failed = 1;

    ngx_http_aggregate_cancel_all(ctx);

    if (ctx->running == 0) {
        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
    }
}


/*
 * nginx's own test would end the main request at once, which is not safe
 * before 1.25.4 while a thread still works for a part (trac #2555)
 */

static ngx_uint_t
ngx_http_aggregate_client_gone(ngx_http_request_t *r)
{
    int                n;
    char               buf[1];
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = r->connection;
    rev = c->read;

    if (rev->timedout) {
        rev->timedout = 0;
    }

    if (c->error) {
        return 1;
    }

    if (ngx_http_aggregate_is_stream(r)) {
        return rev->error;
    }

#if (NGX_HAVE_KQUEUE)

    if (ngx_event_flags & NGX_USE_KQUEUE_EVENT) {

        if (!rev->pending_eof) {
            return 0;
        }

        rev->eof = 1;

        return 1;
    }

#endif

#if (NGX_HAVE_EPOLLRDHUP)

    if ((ngx_event_flags & NGX_USE_EPOLL_EVENT) && ngx_use_epoll_rdhup) {

        if (!rev->pending_eof) {
            return 0;
        }

        rev->eof = 1;

        return 1;
    }

#endif

    n = recv(c->fd, buf, 1, MSG_PEEK);

    if (n == 0 || (n == -1 && ngx_socket_errno != NGX_EAGAIN)) {
        rev->eof = 1;
        return 1;
    }

    /* aio does not call this handler */

    if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && rev->active) {
        (void) ngx_del_event(rev, NGX_READ_EVENT, 0);
    }

    return 0;
}


static void
ngx_http_aggregate_cleanup(void *data)
{
    ngx_http_aggregate_ctx_t *ctx = data;

    ctx->answered = 1;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }
}
