
/*
 * Observes requests to upstreams, of main requests and of subrequests, which
 * nginx does not log.  The content handler of a request is called through ours,
 * and the upstream that it creates is hooked, so that the start and the end of
 * the request are known to the microsecond.
 */


#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_aggregate_fetch_core.h"

#include <time.h>


static ngx_uint_t ngx_http_aggregate_watch_wanted(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf);
static ngx_int_t ngx_http_aggregate_watch_content(ngx_http_request_t *r);
#if (NGX_HTTP_CACHE)
static void ngx_http_aggregate_watch_update(ngx_http_request_t *r);
#endif
static ngx_http_aggregate_watch_t *ngx_http_aggregate_watch_copy(
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_watch_finished(
    ngx_http_aggregate_watch_t *w, ngx_http_upstream_t *u);
static void ngx_http_aggregate_watch_hook(ngx_http_aggregate_watch_t *w,
    ngx_http_upstream_t *u);
static ngx_int_t ngx_http_aggregate_watch_create_request(
    ngx_http_request_t *r);
static void ngx_http_aggregate_watch_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_aggregate_watch_begin(ngx_http_aggregate_watch_t *w,
    ngx_http_upstream_t *u);
static void ngx_http_aggregate_watch_end(ngx_http_aggregate_watch_t *w,
    ngx_int_t rc);
static ngx_http_upstream_srv_conf_t *ngx_http_aggregate_watch_upstream(
    ngx_http_request_t *r, ngx_http_upstream_t *u);
static void ngx_http_aggregate_watch_cleanup(void *data);


ngx_http_aggregate_watch_t *
ngx_http_aggregate_watch_create(ngx_http_request_t *r)
{
    ngx_http_aggregate_watch_t  *w;

    w = ngx_palloc(r->pool, sizeof(ngx_http_aggregate_watch_t));
    if (w == NULL) {
        return NULL;
    }

    /* the other fields are set when a request to an upstream begins */

    w->request = r;
    w->zone = NULL;
    w->route = AGG_METRICS_NONE;
    w->backend = AGG_METRICS_NONE;
    w->in_flight = NULL;
    w->handler = NULL;
    w->before = NULL;
    w->upstream = NULL;
    w->round = 0;
    w->states = 0;
    w->uscf = NULL;
    w->service_in_flight = NULL;
    w->trace = NULL;
    w->part = NULL;
    w->calling = 0;
    w->running = 0;
    w->aggregate = 0;
    w->off = 0;
    w->untraced = 0;

    /* like ngx_pool_cleanup_add(), with one allocation for both */

    w->cleanup.handler = ngx_http_aggregate_watch_cleanup;
    w->cleanup.data = w;
    w->cleanup.next = r->pool->cleanup;

    r->pool->cleanup = &w->cleanup;

    ngx_http_set_ctx(r, w, ngx_http_aggregate_metrics_module);

    return w;
}


/*
 * The context is also found after r->ctx was wiped, by an internal redirect or
 * by an error in a filter.  The pool is shared by the main request and all of
 * its subrequests.
 */

ngx_http_aggregate_watch_t *
ngx_http_aggregate_watch_find(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_aggregate_watch_t  *w;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != ngx_http_aggregate_watch_cleanup) {
            continue;
        }

        w = cln->data;

        if (w->request == r) {
            ngx_http_set_ctx(r, w, ngx_http_aggregate_metrics_module);
            return w;
        }
    }

    return NULL;
}


static void
ngx_http_aggregate_watch_cleanup(void *data)
{
    ngx_http_aggregate_watch_t *w = data;

    ngx_http_aggregate_metrics_leave(w);
}


/* runs as the last handler of its phase, just before the content handler */

ngx_int_t
ngx_http_aggregate_watch_handler(ngx_http_request_t *r)
{
    ngx_http_aggregate_watch_t             *w;
    ngx_http_aggregate_metrics_loc_conf_t  *mlcf;

    if (r->content_handler == NULL
        || r->content_handler == ngx_http_aggregate_watch_content)
    {
        return NGX_DECLINED;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_metrics_module);

    if ((mlcf->zone == NULL || r != r->main)
        && !ngx_http_aggregate_watch_wanted(r, mlcf))
    {
        return NGX_DECLINED;
    }

    w = ngx_http_aggregate_watch_get(r);

    if (w == NULL) {
        w = ngx_http_aggregate_watch_create(r);

        if (w == NULL) {
            return NGX_DECLINED;
        }
    }

    if (r != r->main) {
        w->part = ngx_http_aggregate_get_try(r);

        if (w->part == NULL) {
            ngx_http_aggregate_metrics_set(r, w);
        }
    }

    if (w->calling && r->upstream != w->before) {

        /* "error_page" in the handler of the location before */

        (void) ngx_http_aggregate_watch_finished(w, r->upstream);
    }

    w->handler = r->content_handler;
    w->before = r->upstream;
    w->states = r->upstream_states ? r->upstream_states->nelts : 0;
    w->round++;

    r->content_handler = ngx_http_aggregate_watch_content;

    return NGX_DECLINED;
}


/* a part is counted by the observer of its fetch */

static ngx_uint_t
ngx_http_aggregate_watch_wanted(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf)
{
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    if (mlcf->zone && ngx_http_aggregate_get_try(r) == NULL) {
        return 1;
    }

    mmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_metrics_module);

    return mmcf->tracer && mmcf->tracer->wanted(r);
}


static ngx_int_t
ngx_http_aggregate_watch_content(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_uint_t                   round;
    ngx_http_upstream_t         *u;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_get_module_ctx(r, ngx_http_aggregate_metrics_module);

    if (w == NULL || w->handler == NULL) {

        /* a copy of a request, as created by the cache */

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (clcf->handler == NULL) {
            return NGX_DECLINED;
        }

        w = (r != r->main) ? ngx_http_aggregate_watch_copy(r) : NULL;

        if (w == NULL) {
            return clcf->handler(r);
        }

        w->handler = clcf->handler;
    }

    round = w->round;
    w->start = ngx_http_aggregate_watch_clock();
    w->calling = 1;

    rc = w->handler(r);

    /* an internal redirect may have been handled meanwhile */

    if (w->round != round) {
        return rc;
    }

    w->calling = 0;

    u = r->upstream;

#if (NGX_HTTP_CACHE)

    if (u && r->cache && r->cache->background) {
        ngx_http_aggregate_watch_update(r);
    }

#endif

    if (u == NULL || u == w->before || u == w->upstream
        || u->finalize_request == NULL)
    {
        return rc;
    }

    if (!ngx_http_aggregate_watch_finished(w, u)) {
        ngx_http_aggregate_watch_hook(w, u);
    }

    return rc;
}


/*
 * Whether the upstream has ended within its handler: no server was available,
 * its name could not be resolved, or nginx's cache has responded.  Only the
 * cache does not create a request to the server.
 */

static ngx_uint_t
ngx_http_aggregate_watch_finished(ngx_http_aggregate_watch_t *w,
    ngx_http_upstream_t *u)
{
    ngx_int_t                   rc;
    ngx_http_upstream_state_t  *state;

    state = u->state;

    if (u->cleanup || (state == NULL && u->request_bufs == NULL)) {
        return 0;
    }

    if (u->request_bufs || state->peer) {
        rc = (state && state->peer && state->status)
             ? (ngx_int_t) state->status : NGX_HTTP_BAD_GATEWAY;

        ngx_http_aggregate_watch_begin(w, u);
        ngx_http_aggregate_watch_end(w, rc);
    }

    return 1;
}


#if (NGX_HTTP_CACHE)

/*
 * The background update of a stale response, which nginx has just posted: it
 * starts in the content phase, with the handler of the location.
 */

static void
ngx_http_aggregate_watch_update(ngx_http_request_t *r)
{
    ngx_http_request_t         *sr;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_posted_request_t  *pr;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    for (pr = r->main->posted_requests; pr; pr = pr->next) {
        sr = pr->request;

        if (sr->parent == r && sr->background && clcf->handler
            && sr->content_handler == clcf->handler)
        {
            sr->content_handler = ngx_http_aggregate_watch_content;
        }
    }
}

#endif


/* a copy has passed no phase; NULL: it is not watched */

static ngx_http_aggregate_watch_t *
ngx_http_aggregate_watch_copy(ngx_http_request_t *r)
{
    ngx_http_aggregate_watch_t              *w;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_metrics_module);

    if (mmcf->tracer) {
        (void) mmcf->tracer->copy(r);
    }

    w = ngx_http_aggregate_watch_create(r);

    if (w) {
        ngx_http_aggregate_metrics_set(r, w);
    }

    return w;
}


static void
ngx_http_aggregate_watch_hook(ngx_http_aggregate_watch_t *w,
    ngx_http_upstream_t *u)
{
    w->finalize_request = u->finalize_request;
    u->finalize_request = ngx_http_aggregate_watch_finalize_request;

    if (u->state || u->request_bufs || u->create_request == NULL) {
        ngx_http_aggregate_watch_begin(w, u);
        return;
    }

    /* the body is still being read, or a cache lock is awaited */

    w->upstream = u;
    w->create_request = u->create_request;
    u->create_request = ngx_http_aggregate_watch_create_request;
}


static ngx_int_t
ngx_http_aggregate_watch_create_request(ngx_http_request_t *r)
{
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_aggregate_watch_get(r);

    if (w == NULL) {
        return NGX_ERROR;
    }

    if (!w->running) {
        w->start = ngx_http_aggregate_watch_clock();
        ngx_http_aggregate_watch_begin(w, r->upstream);
    }

    return w->create_request(r);
}


static void
ngx_http_aggregate_watch_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc)
{
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_aggregate_watch_get(r);

    if (w == NULL) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "no metrics context of a request that ends");
        return;
    }

    if (w->running && w->upstream == r->upstream) {
        ngx_http_aggregate_watch_end(w, rc);
    }

    w->finalize_request(r, rc);
}


static void
ngx_http_aggregate_watch_begin(ngx_http_aggregate_watch_t *w,
    ngx_http_upstream_t *u)
{
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    w->upstream = u;
    w->uscf = u->resolved ? ngx_http_aggregate_watch_upstream(w->request, u)
                          : u->conf->upstream;
    w->running = 1;

    if (w->zone && w->part == NULL) {
        ngx_http_aggregate_metrics_begin(w);

    } else if (w->uscf == NULL && !w->aggregate) {
        w->backend = AGG_METRICS_OTHER;
    }

    mmcf = ngx_http_get_module_main_conf(w->request,
                                         ngx_http_aggregate_metrics_module);

    if (mmcf->tracer) {
        mmcf->tracer->begin(w);
    }
}


static void
ngx_http_aggregate_watch_end(ngx_http_aggregate_watch_t *w, ngx_int_t rc)
{
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    w->running = 0;
    w->rc = rc;
    w->end = ngx_http_aggregate_watch_clock();

    if (w->zone && w->part == NULL) {
        ngx_http_aggregate_metrics_end(w);
    }

    if (w->trace) {
        mmcf = ngx_http_get_module_main_conf(w->request,
                                         ngx_http_aggregate_metrics_module);
        mmcf->tracer->end(w);
    }
}


/* the upstream by its name, as nginx finds it; NULL: there is none */

static ngx_http_upstream_srv_conf_t *
ngx_http_aggregate_watch_upstream(ngx_http_request_t *r,
    ngx_http_upstream_t *u)
{
    ngx_uint_t                       i;
    ngx_http_upstream_srv_conf_t   **uscfp, *uscf;
    ngx_http_upstream_main_conf_t   *umcf;

    if (u->upstream) {
        return u->upstream;
    }

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {
        uscf = uscfp[i];

        if (uscf->host.len == u->resolved->host.len
            && ((uscf->port == 0 && u->resolved->no_port)
                || uscf->port == u->resolved->port)
            && ngx_strncasecmp(uscf->host.data, u->resolved->host.data,
                               uscf->host.len) == 0)
        {
            return uscf;
        }
    }

    return NULL;
}


/*
 * The number of tries of an upstream, without the first one. nginx puts an
 * empty state between the states of two upstreams of one request.
 */

ngx_uint_t
ngx_http_aggregate_watch_count(ngx_array_t *states, ngx_uint_t from)
{
    ngx_uint_t                  i, n, tries;
    ngx_http_upstream_state_t  *state;

    state = states->elts;
    n = 0;
    tries = 0;

    for (i = from; i < states->nelts; i++) {

        if (state[i].peer == NULL) {
            tries = 0;
            continue;
        }

        n += (tries++ != 0);
    }

    return n;
}


uint64_t
ngx_http_aggregate_watch_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}
