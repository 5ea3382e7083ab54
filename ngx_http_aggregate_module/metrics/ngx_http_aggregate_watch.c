
/*
 * Requests to upstreams, seen from outside: a request's content handler is
 * called through ours, and the upstream that it makes is hooked, so that its
 * begin and its end are known to the microsecond, in main requests and in
 * subrequests, which nginx does not log.
 */


#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_aggregate_fetch_core.h"

#include <time.h>


static ngx_int_t ngx_http_aggregate_watch_content(ngx_http_request_t *r);
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
    ngx_pool_cleanup_t          *cln;
    ngx_http_aggregate_watch_t  *w;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_aggregate_watch_t));
    if (cln == NULL) {
        return NULL;
    }

    w = cln->data;
    ngx_memzero(w, sizeof(ngx_http_aggregate_watch_t));

    w->request = r;
    w->route = AGG_METRICS_NONE;
    w->backend = AGG_METRICS_NONE;
    w->main = (r == r->main);

    cln->handler = ngx_http_aggregate_watch_cleanup;

    ngx_http_set_ctx(r, w, ngx_http_aggregate_metrics_module);

    return w;
}


/*
 * An internal redirect wipes r->ctx, and so does a filter's error.  The pool
 * is that of the main request and of all its subrequests.
 */

ngx_http_aggregate_watch_t *
ngx_http_aggregate_watch_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_get_module_ctx(r, ngx_http_aggregate_metrics_module);

    if (w
        || (r->uri_changes == NGX_HTTP_MAX_URI_CHANGES + 1
            && !r->filter_finalize))
    {
        return w;
    }

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


/* runs after every other handler of its phase: the content comes next */

ngx_int_t
ngx_http_aggregate_watch_handler(ngx_http_request_t *r)
{
    ngx_http_aggregate_watch_t              *w;
    ngx_http_aggregate_metrics_loc_conf_t   *mlcf;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    if (r->content_handler == NULL) {
        return NGX_DECLINED;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_metrics_module);

    if (mlcf->zone == NULL) {
        mmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_metrics_module);

        if (mmcf->tracer == NULL || !mmcf->tracer->wanted(r)) {
            return NGX_DECLINED;
        }
    }

    w = ngx_http_aggregate_watch_get(r);

    if (w == NULL) {
        w = ngx_http_aggregate_watch_create(r);
    }

    if (w == NULL || r->content_handler == ngx_http_aggregate_watch_content) {
        return NGX_DECLINED;
    }

    if (!w->main) {
        w->part = ngx_http_aggregate_get_try(r);
        ngx_http_aggregate_metrics_set(r, w);
    }

    w->handler = r->content_handler;
    w->before = r->upstream;
    w->states = r->upstream_states ? r->upstream_states->nelts : 0;
    w->round++;

    r->content_handler = ngx_http_aggregate_watch_content;

    return NGX_DECLINED;
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

        /* a copy of a request, as caches make them */

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        return clcf->handler ? clcf->handler(r) : NGX_DECLINED;
    }

    round = w->round;
    w->start = ngx_http_aggregate_watch_clock();

    rc = w->handler(r);

    /* an internal redirect may have been here meanwhile */

    if (w->round != round) {
        return rc;
    }

    u = r->upstream;

    if (u == NULL || u == w->before || u == w->upstream
        || u->finalize_request == NULL)
    {
        return rc;
    }

    if (u->state && u->cleanup == NULL) {

        /* the upstream has ended, or a cache has answered in its place */

        if (u->state->peer) {
            ngx_http_aggregate_watch_begin(w, u);
            ngx_http_aggregate_watch_end(w, u->state->status);
        }

        return rc;
    }

    ngx_http_aggregate_watch_hook(w, u);

    return rc;
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

    /* the body is still being read, or a lock of a cache is awaited */

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
                      "metrics have lost a request");
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
    w->uscf = ngx_http_aggregate_watch_upstream(w->request, u);
    w->running = 1;
    w->asked = 1;

    if (w->zone) {
        ngx_http_aggregate_metrics_begin(w);
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

    if (w->zone) {
        ngx_http_aggregate_metrics_end(w);
    }

    mmcf = ngx_http_get_module_main_conf(w->request,
                                         ngx_http_aggregate_metrics_module);

    if (mmcf->tracer) {
        mmcf->tracer->end(w);
    }
}


/* as nginx chooses it; NULL: the value of a variable that is no upstream */

static ngx_http_upstream_srv_conf_t *
ngx_http_aggregate_watch_upstream(ngx_http_request_t *r,
    ngx_http_upstream_t *u)
{
    ngx_uint_t                       i;
    ngx_http_upstream_srv_conf_t   **uscfp, *uscf;
    ngx_http_upstream_main_conf_t   *umcf;

    if (u->resolved == NULL) {
        return u->conf->upstream;
    }

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


/* nginx puts an empty one between those of an upstream and of the next */

ngx_uint_t
ngx_http_aggregate_watch_tries(ngx_http_aggregate_watch_t *w)
{
    ngx_uint_t                  i, n;
    ngx_http_upstream_state_t  *state;

    if (w->request->upstream_states == NULL) {
        return 0;
    }

    state = w->request->upstream_states->elts;
    n = 0;

    for (i = w->states; i < w->request->upstream_states->nelts; i++) {
        if (state[i].peer) {
            n++;
        }
    }

    return n;
}


ngx_http_upstream_state_t *
ngx_http_aggregate_watch_state(ngx_http_aggregate_watch_t *w)
{
    return w->upstream ? w->upstream->state : NULL;
}


uint64_t
ngx_http_aggregate_watch_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}
