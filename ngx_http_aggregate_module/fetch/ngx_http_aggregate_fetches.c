
/*
 * The fetches of one user: the handlers of its request, the queue, the timer,
 * and the end.
 *
 * Everything that changes outside of filters is done in
 * ngx_http_aggregate_fetches_run(), which is called by the request's own
 * handlers: filters and the ends of subrequests only record what they saw, and
 * post the request.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_owner.h"


/*
 * the memory that a proxied subrequest takes from the request's pool, including
 * its value; the most subrequests that it is allocated for at once; the memory
 * for the answer
 */

#define NGX_HTTP_AGGREGATE_ROOM_SIZE    12288
#define NGX_HTTP_AGGREGATE_ROOMS        32
#define NGX_HTTP_AGGREGATE_ANSWER_SIZE  16384


static ngx_http_aggregate_fetch_root_t *ngx_http_aggregate_create_root(
    ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_attach(ngx_http_aggregate_fetches_t *fs);
static ngx_uint_t ngx_http_aggregate_is_stream(ngx_http_request_t *r);
static void ngx_http_aggregate_fetches_write_handler(ngx_http_request_t *r);
static void ngx_http_aggregate_fetches_resume_handler(ngx_event_t *ev);
static void ngx_http_aggregate_end_delay(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_fetches_run_delayed(
    ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_fetches_timer_handler(ngx_event_t *ev);
static void ngx_http_aggregate_expire_clocks(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_fail_all(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_clock_t *clock, ngx_http_aggregate_reason_e reason);
static void ngx_http_aggregate_call_handlers(
    ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_send_queue(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_make_room(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_set_timer(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_cancel_tries(ngx_http_aggregate_fetches_t *fs,
    ngx_uint_t all);
static ngx_uint_t ngx_http_aggregate_detaches(ngx_http_aggregate_try_t *t);
static void ngx_http_aggregate_detach(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_fetches_read_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_client_aborted(ngx_http_request_t *r);
static void ngx_http_aggregate_fetches_cleanup(void *data);
static void ngx_http_aggregate_end_tries(ngx_http_aggregate_fetches_t *fs);


#if (NGX_HTTP_AGGREGATE_SSI_MAIN)
extern ngx_module_t  ngx_http_ssi_filter_module;
#endif


ngx_http_aggregate_reporter_t  *ngx_http_aggregate_reporter;

ngx_uint_t  (*ngx_http_aggregate_debugged)(ngx_http_request_t *r);
ngx_uint_t  (*ngx_http_aggregate_exposed)(ngx_http_request_t *r);
ngx_uint_t  (*ngx_http_aggregate_log_level)(ngx_http_request_t *r);


ngx_http_aggregate_fetches_t *
ngx_http_aggregate_fetches_create(ngx_http_request_t *r,
    ngx_http_aggregate_limits_t *limits, ngx_str_t *kind,
    ngx_http_aggregate_fetches_pt handler, void *data)
{
    ngx_connection_t                      *c;
    ngx_http_cleanup_t                    *cln;
    ngx_http_aggregate_fetches_t          *fs;
    ngx_http_aggregate_fetch_main_conf_t  *fmcf;

    c = r->connection;

    fs = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_fetches_t));
    if (fs == NULL) {
        return NULL;
    }

    fs->request = r;
    fs->limits = limits;
    fs->kind = kind;
    fs->handler = handler;
    fs->data = data;
    fs->queue_last = &fs->queue;
    fs->due_last = &fs->due;
    fs->tries_last = &fs->tries;
    fs->pending_last = &fs->pending;

    ngx_http_aggregate_values_init(fs);

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    fs->parent = ngx_http_aggregate_find_try(r);

    fs->root = fs->parent ? fs->parent->fetches->root
                          : ngx_http_aggregate_create_root(fs);
    if (fs->root == NULL) {
        return NULL;
    }

    ngx_http_aggregate_attach(fs);

    cln->handler = ngx_http_aggregate_fetches_cleanup;
    cln->data = fs;

    fs->timer.handler = ngx_http_aggregate_fetches_timer_handler;
    fs->timer.data = fs;
    fs->timer.log = c->log;

    fs->resume.handler = ngx_http_aggregate_fetches_resume_handler;
    fs->resume.data = fs;
    fs->resume.log = c->log;

    fs->start = ngx_current_msec;
    fs->deadline = fs->start + limits->timeout;

    ngx_http_set_ctx(r, fs, ngx_http_aggregate_fetch_filter_module);

    r->write_event_handler = ngx_http_aggregate_fetches_write_handler;

    if (fs->parent == NULL) {

        /* nginx calls the handler of the active request */

        r->read_event_handler = ngx_http_aggregate_fetches_read_handler;

        /*
         * if the client has already closed the connection, there will be no
         * event
         */

        if (c->read->ready && !ngx_http_aggregate_is_stream(r)) {
            ngx_post_event(c->read, &ngx_posted_events);
        }

#if (NGX_HTTP_AGGREGATE_LAZY_STREAMS)

        if (r->stream) {
            ngx_post_event(c->read, &ngx_posted_events);
        }

#endif
    }

    fmcf = ngx_http_get_module_main_conf(r,
                                      ngx_http_aggregate_fetch_filter_module);

    fs->observers = fmcf->observers;

    ngx_http_aggregate_notify(fs, open, fs);

    return fs;
}


static ngx_http_aggregate_fetch_root_t *
ngx_http_aggregate_create_root(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_aggregate_fetch_root_t  *root;

    root = ngx_pcalloc(fs->request->pool,
                       sizeof(ngx_http_aggregate_fetch_root_t));
    if (root == NULL) {
        return NULL;
    }

    root->first = fs;
    root->concurrency = fs->limits->concurrency;
    root->max_subrequests = fs->limits->max_subrequests;

    return root;
}


/*
 * A user in a subrequest of another one shares its limits.  While it waits for
 * its own subrequests, that one does not count as running, as the two could
 * otherwise wait for each other.
 */

static void
ngx_http_aggregate_attach(ngx_http_aggregate_fetches_t *fs)
{
    if (fs->parent == NULL) {
        return;
    }

    if (fs->parent->inner == NULL) {
        fs->root->running--;
    }

    fs->next_inner = fs->parent->inner;
    fs->parent->inner = fs;
}


/* whether the connection carries several requests at once */

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


void
ngx_http_aggregate_fetches_post(ngx_http_aggregate_fetches_t *fs)
{
    if (fs->posted || (fs->closed && !fs->client_gone)) {
        return;
    }

    if (ngx_http_post_request(fs->request, &fs->posted_request) == NGX_OK) {
        fs->posted = 1;
    }
}


static void
ngx_http_aggregate_fetches_write_handler(ngx_http_request_t *r)
{
    ngx_connection_t              *c;
    ngx_http_aggregate_fetches_t  *fs;

    c = r->connection;
    fs = ngx_http_get_module_ctx(r, ngx_http_aggregate_fetch_filter_module);

    if (c->write->timedout) {
        c->write->timedout = 0;
    }

    if (fs == NULL || (fs->closed && !fs->client_gone)) {
        return;
    }

    if (fs->client_gone) {
        fs->posted = 0;

        if (fs->cancels) {
            ngx_http_aggregate_cancel_tries(fs, 0);
        }

        if (fs->root->tries == 0) {
            ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        }

        return;
    }

#if (NGX_HTTP_V3)

    if (c->quic && c->write->error) {

        /* with STOP_SENDING */

        fs->posted = 0;
        ngx_http_aggregate_fetches_read_handler(r);
        return;
    }

#endif

    if (c->error && fs->parent == NULL) {

        /* a stream with queued frames is told of its end by a write event */

        ngx_post_event(c->read, &ngx_posted_events);
    }

    ngx_http_aggregate_fetches_take_delay(fs);

    if (!fs->posted && !fs->delays) {
        ngx_http_aggregate_fetches_run_delayed(fs);
    }

    fs->posted = 0;

    if (fs->parent) {
        ngx_http_aggregate_fetches_run(fs);
        return;
    }

    ngx_post_event(&fs->resume, &ngx_posted_events);
}


/*
 * Called by the timer, or when all events of this turn of the event loop have
 * been handled: what has come for other requests is read first.  So answers are
 * composed and sent one after another, parts that come together are handled at
 * once, and a process that waits for several answers is woken once.
 */

static void
ngx_http_aggregate_fetches_resume_handler(ngx_event_t *ev)
{
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_aggregate_fetches_t  *fs;

    fs = ev->data;
    r = fs->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "aggregate resume: \"%V\"", &r->uri);

    ngx_http_aggregate_fetches_run(fs);

    ngx_http_run_posted_requests(c);
}


/*
 * limit_req delays a subrequest by the timer of the client's connection, which
 * resumes the request that the connection belongs to, and which nginx deletes
 * when it reads another response.  So the timer here resumes it.
 */

void
ngx_http_aggregate_fetches_take_delay(ngx_http_aggregate_fetches_t *fs)
{
    ngx_event_t  *wev;

    wev = fs->request->connection->write;

    if (!wev->delayed || !wev->timer_set) {
        return;
    }

    fs = fs->root->first;

    if (fs->closed || fs->delays) {
        return;
    }

    fs->delays = 1;
    fs->delay = wev->timer.key;

    ngx_http_aggregate_set_timer(fs);
}


static void
ngx_http_aggregate_end_delay(ngx_http_aggregate_fetches_t *fs)
{
    ngx_event_t  *wev;

    fs->delays = 0;

    wev = fs->request->connection->write;
    wev->delayed = 0;

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    if (fs->request != fs->request->main) {

        /* the delay may have been that of the main request's "limit_rate" */

        ngx_post_event(wev, &ngx_posted_events);
    }
}


/* those that no event will resume */

static void
ngx_http_aggregate_fetches_run_delayed(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_request_t            *sr;
    ngx_http_upstream_t           *u;
    ngx_http_aggregate_try_t      *t;
    ngx_http_aggregate_fetches_t  *inner;

    for (t = fs->tries; t; t = t->next) {
        sr = t->request;

        if (t->inner) {

            for (inner = t->inner; inner; inner = inner->next_inner) {
                ngx_http_aggregate_fetches_run_delayed(inner);
            }

            continue;
        }

        u = sr->upstream;

        if ((u == NULL || u->cleanup == NULL) && !sr->aio) {
            (void) ngx_http_post_request(sr, NULL);
        }
    }
}


static void
ngx_http_aggregate_fetches_timer_handler(ngx_event_t *ev)
{
    ngx_http_aggregate_fetches_t  *fs;

    fs = ev->data;

    ngx_http_set_log_request(fs->request->connection->log, fs->request);

    if ((ngx_msec_int_t) (fs->deadline - ngx_current_msec) <= 0) {
        fs->expired = 1;
        ngx_http_aggregate_fail_all(fs, NULL, NGX_HTTP_AGGREGATE_TIMEOUT);

    } else {

        if (fs->delays && (ngx_msec_int_t) (fs->delay - ngx_current_msec) <= 0)
        {
            ngx_http_aggregate_end_delay(fs);
            ngx_http_aggregate_fetches_run_delayed(fs);
        }

        ngx_http_aggregate_expire_clocks(fs);
        ngx_http_aggregate_hedge_send(fs);
    }

    ngx_http_aggregate_fetches_resume_handler(ev);
}


static void
ngx_http_aggregate_expire_clocks(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_aggregate_clock_t  *clock;

    for (clock = fs->clocks; clock; clock = clock->next) {

        if (clock->pending
            && (ngx_msec_int_t) (clock->deadline - ngx_current_msec) <= 0)
        {
            ngx_http_aggregate_fail_all(fs, clock, NGX_HTTP_AGGREGATE_TIMEOUT);
        }
    }
}


/* fails the fetches of one clock, or all of them */

static void
ngx_http_aggregate_fail_all(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_clock_t *clock, ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_fetch_t  *fetch, *next;

    for (fetch = fs->pending; fetch; fetch = next) {
        next = fetch->next_pending;

        if (clock == NULL || fetch->clock == clock) {
            ngx_http_aggregate_fetch_fail(fetch, reason);
        }
    }
}


void
ngx_http_aggregate_fetches_run(ngx_http_aggregate_fetches_t *fs)
{
    if (fs->closed) {
        return;
    }

    do {

        /* filters may set results, but must not cancel */

        if (fs->cancels) {
            ngx_http_aggregate_cancel_tries(fs, 0);
        }

        ngx_http_aggregate_call_handlers(fs);

        if (fs->handler(fs) == NGX_DONE) {
            return;
        }

        ngx_http_aggregate_send_queue(fs);

    } while (fs->due || fs->cancels);

    ngx_http_aggregate_set_timer(fs);
}


static void
ngx_http_aggregate_call_handlers(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_aggregate_fetch_t  *fetch;

    while (fs->due) {
        fetch = fs->due;

        fs->due = fetch->next_due;

        if (fs->due == NULL) {
            fs->due_last = &fs->due;
        }

        fetch->handler(fetch);
    }
}


static void
ngx_http_aggregate_send_queue(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_aggregate_fetch_t       *fetch;
    ngx_http_aggregate_fetch_root_t  *root;

    root = fs->root;

    if (fs->queue) {
        ngx_http_aggregate_make_room(fs);
    }

    while (fs->queue) {
        fetch = fs->queue;

        if (fetch->waiting
            && (root->running >= root->concurrency
                || (ngx_int_t) fs->places >= fs->limits->concurrency))
        {
            if (!fs->waits) {
                fs->waits = 1;
                fs->next_waiting = root->waiting;
                root->waiting = fs;
            }

            return;
        }

        fs->queue = fetch->next;

        if (fs->queue == NULL) {
            fs->queue_last = &fs->queue;
        }

        if (fetch->waiting && ngx_http_aggregate_try_send(fetch) != NGX_OK) {
            ngx_http_aggregate_fetch_result(fetch, NULL,
                                            NGX_HTTP_AGGREGATE_INTERNAL);
        }
    }
}


void
ngx_http_aggregate_fetches_room(ngx_http_request_t *r, ngx_uint_t n)
{
    n = ngx_min(n, NGX_HTTP_AGGREGATE_ROOMS);

    ngx_http_aggregate_memory_room(r->pool, n * NGX_HTTP_AGGREGATE_ROOM_SIZE,
                                   n * NGX_HTTP_AGGREGATE_ROOM_SIZE
                                   + NGX_HTTP_AGGREGATE_ANSWER_SIZE);
}


/* allocates memory for the queued subrequests in one block */

static void
ngx_http_aggregate_make_room(ngx_http_aggregate_fetches_t *fs)
{
    ngx_uint_t                   n;
    ngx_http_aggregate_fetch_t  *fetch;

    n = 0;

    for (fetch = fs->queue;
         fetch && n < NGX_HTTP_AGGREGATE_ROOMS;
         fetch = fetch->next)
    {
        n++;
    }

    ngx_http_aggregate_memory_room(fs->request->pool,
                                   NGX_HTTP_AGGREGATE_ROOM_SIZE,
                                   n * NGX_HTTP_AGGREGATE_ROOM_SIZE
                                   + NGX_HTTP_AGGREGATE_ANSWER_SIZE);
}


/* no fetch waits for the subrequest any more, so the next one may be sent */

void
ngx_http_aggregate_free_place(ngx_http_aggregate_try_t *t)
{
    ngx_http_aggregate_fetches_t  *fs, *waiting;

    if (!t->place) {
        return;
    }

    t->place = 0;
    fs = t->fetches;

    fs->places--;
    fs->root->running--;

    waiting = fs->root->waiting;

    if (waiting) {
        fs->root->waiting = waiting->next_waiting;
        waiting->waits = 0;
        ngx_http_aggregate_fetches_post(waiting);
    }

    ngx_http_aggregate_fetches_post(fs);
}


/* one timer is used for all deadlines, set to the earliest */

static void
ngx_http_aggregate_set_timer(ngx_http_aggregate_fetches_t *fs)
{
    ngx_msec_t                    next;
    ngx_msec_int_t                wait;
    ngx_http_aggregate_clock_t  **p, *clock;

    next = fs->deadline;

    for (p = &fs->clocks; *p; /* void */ ) {
        clock = *p;

        if (clock->pending == 0) {
            clock->linked = 0;
            *p = clock->next;
            continue;
        }

        if ((ngx_msec_int_t) (clock->deadline - next) < 0) {
            next = clock->deadline;
        }

        p = &clock->next;
    }

    if (fs->hedges) {
        next = ngx_http_aggregate_hedge_next(fs, next);
    }

    if (fs->delays && (ngx_msec_int_t) (fs->delay - next) < 0) {
        next = fs->delay;
    }

    if (fs->timer.timer_set) {

        if ((ngx_msec_int_t) (fs->timer.timer.key - next) <= 0) {

            /* the timer may also expire too early */

            return;
        }

        ngx_del_timer(&fs->timer);
    }

    wait = next - ngx_current_msec;

    ngx_add_timer(&fs->timer, wait > 0 ? wait : 1);
}


/*
 * Subrequests that cannot be cancelled at once end later by themselves, and so
 * do those whose response is stored in a cache after the client has left.
 */

static void
ngx_http_aggregate_cancel_tries(ngx_http_aggregate_fetches_t *fs,
    ngx_uint_t all)
{
    ngx_uint_t                 gone;
    ngx_http_aggregate_try_t  *t, *next;

    fs->cancels = 0;

    gone = fs->root->first->client_gone;

    for (t = fs->tries; t; t = next) {
        next = t->next;

        if (!all && !t->has_result) {
            continue;
        }

        if (gone && !t->broken && ngx_http_aggregate_detaches(t)) {
            continue;
        }

        ngx_http_aggregate_try_cancel(t);
    }
}


static ngx_uint_t
ngx_http_aggregate_detaches(ngx_http_aggregate_try_t *t)
{
    if (!t->detached
        && ngx_http_aggregate_owner_gone
        && ngx_http_aggregate_owner_gone(t->request))
    {
        t->detached = 1;
        t->has_result = 1;
    }

    return t->detached;
}


void
ngx_http_aggregate_fetches_close(ngx_http_aggregate_fetches_t *fs)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    if (fs->closed) {
        return;
    }

    r = fs->request;
    c = r->connection;

    ngx_http_aggregate_detach(fs);

    ngx_http_aggregate_fail_all(fs, NULL, NGX_HTTP_AGGREGATE_CANCELLED);
    ngx_http_aggregate_cancel_tries(fs, 1);

    /* the next handler of the request may not set these */

    r->write_event_handler = ngx_http_request_empty_handler;

    if (r == r->main) {
        r->read_event_handler = ngx_http_block_reading;

#if (NGX_HTTP_AGGREGATE_SSI_MAIN)

        /*
         * the context of a part; the answer does not use SSI, or has its own
         * context
         */

        ngx_http_set_ctx(r, NULL, ngx_http_ssi_filter_module);

#endif

    } else {
        r->read_event_handler = ngx_http_request_empty_handler;
    }

    /* limit_req may have delayed a part, but must not delay the answer */

    if (fs->delays || (r == r->main && c->write->delayed)) {
        ngx_http_aggregate_end_delay(fs);
    }
}


void
ngx_http_aggregate_fetches_outcome(ngx_http_aggregate_fetches_t *fs,
    const char *outcome)
{
    if (!fs->ended) {
        fs->ended = 1;
        fs->outcome = outcome;

        ngx_http_aggregate_notify(fs, close, fs);
    }
}


void
ngx_http_aggregate_fetches_failed(ngx_http_aggregate_fetches_t *fs,
    ngx_str_t *name, ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_observer_t  *o;

    for (o = fs->observers; o; o = o->next) {
        if (o->failed) {
            o->failed(fs, name, reason);
        }
    }
}


static void
ngx_http_aggregate_detach(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_aggregate_fetches_t  **p;

    fs->closed = 1;

    if (fs->timer.timer_set) {
        ngx_del_timer(&fs->timer);
    }

    if (fs->parent) {

        for (p = &fs->parent->inner; *p; p = &(*p)->next_inner) {
            if (*p == fs) {
                *p = fs->next_inner;
                break;
            }
        }

        if (fs->parent->inner == NULL) {
            fs->root->running++;
        }
    }

    if (!fs->waits) {
        return;
    }

    for (p = &fs->root->waiting; *p; p = &(*p)->next_waiting) {
        if (*p == fs) {
            *p = fs->next_waiting;
            break;
        }
    }

    fs->waits = 0;
}


/* no one waits for the answer any more */

void
ngx_http_aggregate_fetches_abort(ngx_http_aggregate_fetches_t *fs)
{
    if (fs->closed) {
        return;
    }

    fs->cancelled = 1;

    ngx_http_aggregate_detach(fs);

    ngx_http_aggregate_fail_all(fs, NULL, NGX_HTTP_AGGREGATE_CANCELLED);
    ngx_http_aggregate_call_handlers(fs);

    (void) fs->handler(fs);

    ngx_http_aggregate_cancel_tries(fs, 1);

    ngx_http_aggregate_fetches_outcome(fs, "cancelled");
}


void
ngx_http_aggregate_fetches_degraded(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_reason_e reason)
{
    if (fs->parent && fs->parent->request == fs->request) {
        fs->parent->degraded = reason;
    }
}


static void
ngx_http_aggregate_fetches_read_handler(ngx_http_request_t *r)
{
    ngx_connection_t              *c;
    ngx_http_aggregate_fetches_t  *fs;

    c = r->connection;
    fs = ngx_http_get_module_ctx(r, ngx_http_aggregate_fetch_filter_module);

    if (fs && fs->client_gone) {
        c->error = 0;
        return;
    }

    if (fs == NULL || fs->closed || !ngx_http_aggregate_client_aborted(r)) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, c->log, 0,
                  "client prematurely closed connection");

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        c->ssl->no_send_shutdown = 1;
    }
#endif

    fs->client_gone = 1;

    ngx_http_aggregate_fetches_abort(fs);

    if (fs->root->tries == 0) {
        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    /* after an error, nginx would end the request with its first subrequest */

    c->error = 0;

    /* an exiting worker does not wait for them */

    c->idle = 1;
}


/*
 * nginx's own check would end the main request at once, which is not safe
 * before 1.25.4 while a thread still works for a part (trac #2555)
 */

static ngx_uint_t
ngx_http_aggregate_client_aborted(ngx_http_request_t *r)
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
        return rev->error || c->write->error;
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
ngx_http_aggregate_fetches_cleanup(void *data)
{
    ngx_http_aggregate_fetches_t *fs = data;

    if (fs->timer.timer_set) {
        ngx_del_timer(&fs->timer);
    }

    if (fs->resume.posted) {
        ngx_delete_posted_event(&fs->resume);
    }

    fs->closed = 1;

    ngx_http_aggregate_read_ended(fs, NULL);
    ngx_http_aggregate_end_tries(fs);

    if (fs->request->connection->error) {
        fs->cancelled = 1;
    }

    ngx_http_aggregate_fetches_outcome(fs, "failed");

    ngx_http_aggregate_memory_freed();
}


/* their request is terminated, as for an error of another subrequest */

static void
ngx_http_aggregate_end_tries(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_aggregate_try_t  *t;

    for (t = fs->tries; t; t = t->next) {

        if (!t->has_result) {
            t->has_result = 1;
            t->reason = NGX_HTTP_AGGREGATE_CANCELLED;

            ngx_http_aggregate_notify(fs, end, t);
        }
    }
}
