
/*
 * One fetch for a key: who fetches, who waits, and waking those who wait in
 * other workers, by an eventfd for each worker.  The descriptors are made by
 * the master, once, so that workers of different generations wake each other
 * as well.
 */


#include "ngx_http_aggregate_cache.h"

#if (NGX_LINUX)
#include <sys/eventfd.h>
#endif


static void ngx_http_aggregate_cache_parked(ngx_http_request_t *r);
static void ngx_http_aggregate_cache_wait_handler(ngx_event_t *ev);
static void ngx_http_aggregate_cache_wake_handler(ngx_event_t *ev);
static void ngx_http_aggregate_cache_notify(uint64_t workers);
static ngx_uint_t ngx_http_aggregate_cache_released(
    ngx_http_aggregate_cache_ctx_t *ctx);


static int                ngx_http_aggregate_cache_fds
                                         [NGX_HTTP_AGGREGATE_CACHE_WORKERS];
static ngx_uint_t         ngx_http_aggregate_cache_nfds;
static ngx_queue_t        ngx_http_aggregate_cache_waiting;
static ngx_event_t        ngx_http_aggregate_cache_event;
static ngx_connection_t  *ngx_http_aggregate_cache_connection;


ngx_int_t
ngx_http_aggregate_cache_wake_init_module(ngx_cycle_t *cycle)
{
#if (NGX_LINUX)

    int               fd;
    ngx_uint_t        n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = ngx_min((ngx_uint_t) ngx_max(ccf->worker_processes, 1),
                NGX_HTTP_AGGREGATE_CACHE_WORKERS);

    while (ngx_http_aggregate_cache_nfds < n) {

        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_CRIT, cycle->log, ngx_errno,
                          "eventfd() failed");
            break;
        }

        ngx_http_aggregate_cache_fds[ngx_http_aggregate_cache_nfds++] = fd;
    }

#endif

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_cache_wake_init_process(ngx_cycle_t *cycle)
{
    int                fd;
    ngx_uint_t         i;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    ngx_queue_init(&ngx_http_aggregate_cache_waiting);

    ngx_http_aggregate_cache_event.handler =
                                        ngx_http_aggregate_cache_wake_handler;
    ngx_http_aggregate_cache_event.log = cycle->log;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    i = (ngx_process == NGX_PROCESS_SINGLE) ? 0 : ngx_worker;

    if (i >= ngx_http_aggregate_cache_nfds) {
        return NGX_OK;
    }

    /* a duplicate: the connection's end closes it, others still use ours */

    fd = dup(ngx_http_aggregate_cache_fds[i]);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno, "dup() failed");
        return NGX_OK;
    }

    c = ngx_get_connection(fd, cycle->log);
    if (c == NULL) {
        (void) close(fd);
        return NGX_OK;
    }

    rev = c->read;
    rev->log = cycle->log;
    rev->handler = ngx_http_aggregate_cache_wake_handler;

    /* no leaked socket for the worker's last check */
    rev->channel = 1;
    c->write->channel = 1;

    if (ngx_add_event(rev, NGX_READ_EVENT,
                      (ngx_event_flags & NGX_USE_CLEAR_EVENT)
                      ? NGX_CLEAR_EVENT : 0)
        != NGX_OK)
    {
        ngx_close_connection(c);
        return NGX_OK;
    }

    ngx_http_aggregate_cache_connection = c;

    return NGX_OK;
}


void
ngx_http_aggregate_cache_wake_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_aggregate_cache_connection) {
        ngx_close_connection(ngx_http_aggregate_cache_connection);
        ngx_http_aggregate_cache_connection = NULL;
    }
}


/*
 * NGX_OK: the fetch is ours, or nobody's and needs no waiting;
 * NGX_AGAIN: another one has it
 */

ngx_int_t
ngx_http_aggregate_cache_take(ngx_http_aggregate_cache_ctx_t *ctx)
{
    uint64_t                          bit;
    agg_cache_flight_e                rc;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = ctx->zone;

    bit = (ngx_process == NGX_PROCESS_SINGLE) ? 1
          : (uint64_t) 1 << (ngx_worker % NGX_HTTP_AGGREGATE_CACHE_WORKERS);

    ngx_http_aggregate_cache_enter(zone);

    rc = agg_cache_flight_take(zone->sh->flights, ctx->lock,
                               (int32_t) ngx_pid, bit,
                               ngx_http_aggregate_cache_alive, &ctx->slot,
                               &ctx->token);

    ngx_http_aggregate_cache_leave(zone);

    if (rc == AGG_CACHE_FLIGHT_WAIT) {
        return NGX_AGAIN;
    }

    ctx->leader = (rc == AGG_CACHE_FLIGHT_MINE);

    return NGX_OK;
}


/* waited long enough: the next ones wait for this one */

void
ngx_http_aggregate_cache_take_over(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = ctx->zone;

    ngx_http_aggregate_cache_enter(zone);

    ctx->leader = (agg_cache_flight_take_over(zone->sh->flights, ctx->slot,
                                              &ctx->token, (int32_t) ngx_pid)
                   == 0);

    ngx_http_aggregate_cache_leave(zone);
}


/* the fetch is over; with pass, its waiters need not wait for each other */

void
ngx_http_aggregate_cache_land(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_msec_t pass)
{
    uint64_t                          workers;
    ngx_http_aggregate_cache_zone_t  *zone;

    zone = ctx->zone;

    if (ctx->fleet) {
        ngx_http_aggregate_cache_fleet_release(ctx, pass);
    }

    if (!ctx->leader && pass == 0) {
        return;
    }

    workers = 0;

    ngx_http_aggregate_cache_enter(zone);

    if (pass) {
        agg_cache_pass_set(zone->sh->flights, ctx->lock,
                           (int64_t) ngx_current_msec,
                           (int64_t) (ngx_current_msec + pass));
    }

    if (ctx->leader) {
        workers = agg_cache_flight_end(zone->sh->flights, ctx->slot,
                                       ctx->token);
    }

    ngx_http_aggregate_cache_leave(zone);

    ctx->leader = 0;

    if (workers) {
        ngx_http_aggregate_cache_notify(workers);
    }
}


static void
ngx_http_aggregate_cache_notify(uint64_t workers)
{
    uint64_t    one;
    ngx_uint_t  i;

    one = 1;

    if (!ngx_queue_empty(&ngx_http_aggregate_cache_waiting)) {
        ngx_post_event((&ngx_http_aggregate_cache_event), &ngx_posted_events);
    }

    for (i = 0; i < ngx_http_aggregate_cache_nfds; i++) {

        if (!(workers & ((uint64_t) 1 << i))) {
            continue;
        }

        if (write(ngx_http_aggregate_cache_fds[i], &one, sizeof(one)) == -1
            && ngx_errno != NGX_EAGAIN)
        {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                          "write() to an eventfd failed");
        }
    }
}


static void
ngx_http_aggregate_cache_wake_handler(ngx_event_t *ev)
{
    uint64_t                         value;
    ngx_queue_t                     *q, *next, woken;
    ngx_http_aggregate_cache_ctx_t  *ctx;

    if (ev != &ngx_http_aggregate_cache_event) {

        /* two generations of a worker share it, the value tells nothing */

        (void) !read(ngx_http_aggregate_cache_connection->fd, &value,
                     sizeof(value));
    }

    ngx_queue_init(&woken);

    for (q = ngx_queue_head(&ngx_http_aggregate_cache_waiting);
         q != ngx_queue_sentinel(&ngx_http_aggregate_cache_waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        ctx = ngx_queue_data(q, ngx_http_aggregate_cache_ctx_t, queue);

        if (ngx_http_aggregate_cache_released(ctx)) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&woken, q);
        }
    }

    /* a request that runs may end others that stand here */

    while (!ngx_queue_empty(&woken)) {
        q = ngx_queue_head(&woken);
        ctx = ngx_queue_data(q, ngx_http_aggregate_cache_ctx_t, queue);

        ngx_http_aggregate_cache_resume(ctx);
    }
}


static ngx_uint_t
ngx_http_aggregate_cache_released(ngx_http_aggregate_cache_ctx_t *ctx)
{
    return !agg_cache_flight_held(ctx->zone->sh->flights, ctx->slot,
                                  ctx->token, NULL);
}


ngx_int_t
ngx_http_aggregate_cache_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_msec_int_t  left;

    left = ngx_http_aggregate_cache_patience(ctx);

    if (left <= 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_park(r) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ctx->timer.handler = ngx_http_aggregate_cache_wait_handler;
    ctx->timer.data = ctx;
    ctx->timer.log = r->connection->log;

    ngx_add_timer(&ctx->timer,
                  ngx_min(left, NGX_HTTP_AGGREGATE_CACHE_POLL));

    ngx_queue_insert_tail(&ngx_http_aggregate_cache_waiting, &ctx->queue);

    ctx->waiting = 1;

    /* the lock may have been released between the check and this line */

    if (ngx_http_aggregate_cache_released(ctx)) {
        ngx_post_event((&ngx_http_aggregate_cache_event), &ngx_posted_events);
    }

    return NGX_AGAIN;
}


/* the time for which the request may still wait for others */

ngx_msec_int_t
ngx_http_aggregate_cache_patience(ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (!ctx->waited) {
        ctx->waited = 1;
        ctx->deadline = ngx_current_msec + ctx->conf->lock_timeout;

        (void) ngx_atomic_fetch_add(&ctx->zone->sh->waits, 1);
    }

    return (ngx_msec_int_t) (ctx->deadline - ngx_current_msec);
}


/* the request stands still until it is resumed */

ngx_int_t
ngx_http_aggregate_cache_park(ngx_http_request_t *r)
{
    ngx_uint_t  client;

    if (r == r->main) {

        /* a client that goes away is noticed */

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

    r->write_event_handler = ngx_http_aggregate_cache_parked;

    return NGX_AGAIN;
}


/* the address tells that the request waits here and nowhere else */

static void
ngx_http_aggregate_cache_parked(ngx_http_request_t *r)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "aggregate cache: waiting");
}


static void
ngx_http_aggregate_cache_wait_handler(ngx_event_t *ev)
{
    ngx_http_aggregate_cache_ctx_t  *ctx;

    ctx = ev->data;

    if ((ngx_msec_int_t) (ctx->deadline - ngx_current_msec) > 0
        && agg_cache_flight_held(ctx->zone->sh->flights, ctx->slot,
                                 ctx->token, ngx_http_aggregate_cache_alive))
    {
        ngx_add_timer(ev, NGX_HTTP_AGGREGATE_CACHE_POLL);
        return;
    }

    ngx_http_aggregate_cache_resume(ctx);
}


void
ngx_http_aggregate_cache_unwait(ngx_http_aggregate_cache_ctx_t *ctx)
{
    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->waiting) {
        ctx->waiting = 0;
        ngx_queue_remove(&ctx->queue);
    }
}


void
ngx_http_aggregate_cache_resume(ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    ngx_http_aggregate_cache_unwait(ctx);

    r = ctx->request;
    c = r->connection;

    if (r->write_event_handler != ngx_http_aggregate_cache_parked) {

        /* whoever waited for this part of an answer has given it up */

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
