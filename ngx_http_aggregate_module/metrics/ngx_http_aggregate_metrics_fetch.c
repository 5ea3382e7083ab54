
/*
 * Parts of an aggregate: each is counted by its name and with all of its tries,
 * whether its location proxies, sends a file, or is an aggregate itself.
 */


#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_aggregate_breaker.h"
#include "ngx_http_aggregate_fetch.h"


/* recently used services, by the address of their name */

#define NGX_HTTP_AGGREGATE_METRICS_KNOWN  64


typedef struct {
    ngx_str_t                          *name;
    ngx_http_aggregate_metrics_zone_t  *zone;
    uint32_t                            number;
} ngx_http_aggregate_metrics_known_t;


static void ngx_http_aggregate_metrics_open(ngx_http_aggregate_fetches_t *fs);
static uint32_t ngx_http_aggregate_metrics_part(
    ngx_http_aggregate_metrics_zone_t *zone, ngx_str_t *name);
static void ngx_http_aggregate_metrics_try_begin(
    ngx_http_aggregate_try_t *t);
static void ngx_http_aggregate_metrics_try_end(ngx_http_aggregate_try_t *t);
static void ngx_http_aggregate_metrics_result(
    ngx_http_aggregate_fetch_t *fetch);
static ngx_uint_t ngx_http_aggregate_metrics_has_called(
    ngx_http_aggregate_try_t *t);
static void ngx_http_aggregate_metrics_close(
    ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_metrics_failed(
    ngx_http_aggregate_fetches_t *fs, ngx_str_t *name,
    ngx_http_aggregate_reason_e reason);


static ngx_http_aggregate_observer_t  ngx_http_aggregate_metrics_observer = {
    ngx_http_aggregate_metrics_open,
    ngx_http_aggregate_metrics_try_begin,
    NULL,
    ngx_http_aggregate_metrics_try_end,
    ngx_http_aggregate_metrics_result,
    ngx_http_aggregate_metrics_close,
    ngx_http_aggregate_metrics_failed,
    0,
    NULL
};


static ngx_http_aggregate_metrics_known_t
    ngx_http_aggregate_metrics_known[NGX_HTTP_AGGREGATE_METRICS_KNOWN];


ngx_int_t
ngx_http_aggregate_metrics_observe_fetches(ngx_conf_t *cf)
{
    return ngx_http_aggregate_observe(cf,
                                      &ngx_http_aggregate_metrics_observer);
}


#define ngx_http_aggregate_metrics_observed(fs)                               \
    (fs)->observed[ngx_http_aggregate_metrics_observer.number]


static void
ngx_http_aggregate_metrics_open(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_request_t          *r;
    ngx_http_aggregate_watch_t  *w;

    r = fs->request;

    if (fs->kind == &ngx_http_aggregate_metrics_kind) {
        return;
    }

    w = ngx_http_aggregate_watch_get(r);

    if (w == NULL) {
        w = ngx_http_aggregate_watch_create(r);

        if (w == NULL) {
            return;
        }
    }

    ngx_http_aggregate_metrics_set(r, w);

    if (w->zone == NULL) {
        return;
    }

    w->aggregate = 1;
    w->backend = AGG_METRICS_AGGREGATE;

    fs->usec = 1;

    ngx_http_aggregate_metrics_observed(fs) = w;
}


static uint32_t
ngx_http_aggregate_metrics_part(ngx_http_aggregate_metrics_zone_t *zone,
    ngx_str_t *name)
{
    ngx_uint_t                           i;
    agg_metrics_value_t                 *v;
    ngx_http_aggregate_metrics_known_t  *known;

    i = ((uintptr_t) name >> 3) % NGX_HTTP_AGGREGATE_METRICS_KNOWN;
    known = &ngx_http_aggregate_metrics_known[i];

    if (known->name == name && known->zone == zone) {

        /* the name's memory may have been reused for another name */

        v = &zone->metrics->value[known->number - 1];

        if (v->len == name->len
            && ngx_memcmp(v->text, name->data, name->len) == 0)
        {
            return known->number;
        }
    }

    known->name = name;
    known->zone = zone;
    known->number = agg_metrics_intern(zone->metrics, name->data, name->len,
                                       0);

    return known->number;
}


/* looked up once for everything that is counted for a fetch */

static uint32_t
ngx_http_aggregate_metrics_service_of(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_metrics_zone_t *zone)
{
    uint32_t  number;

    number = (uint32_t) (uintptr_t) ngx_http_aggregate_metrics_observed(fetch);

    if (number == 0) {
        number = ngx_http_aggregate_metrics_part(zone, fetch->name);
        ngx_http_aggregate_metrics_observed(fetch)
                                             = (void *) (uintptr_t) number;
    }

    return number;
}


static void
ngx_http_aggregate_metrics_try_begin(ngx_http_aggregate_try_t *t)
{
    int32_t                            *cell;
    uint32_t                            service;
    ngx_http_aggregate_watch_t         *w;
    ngx_http_aggregate_metrics_zone_t  *zone;

    w = ngx_http_aggregate_metrics_observed(t->fetches);

    if (w == NULL) {
        return;
    }

    zone = w->zone;
    service = ngx_http_aggregate_metrics_service_of(t->fetch, zone);

    if (t->number > 1) {
        ngx_http_aggregate_metrics_count(t->request, zone,
                                         AGG_METRICS_BACKEND_RETRIES, service,
                                         0, 0, 1);
    }

    cell = ngx_http_aggregate_metrics_cell(zone,
                                     AGG_METRICS_BACKEND_IN_FLIGHT, service);
    if (cell) {
        (*cell)++;
        ngx_http_aggregate_metrics_observed(t) = cell;
    }
}


static void
ngx_http_aggregate_metrics_try_end(ngx_http_aggregate_try_t *t)
{
    int32_t                     *cell;
    uint32_t                     result, tier;
    ngx_uint_t                   retries;
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_aggregate_metrics_observed(t->fetches);

    if (w == NULL) {
        return;
    }

    cell = ngx_http_aggregate_metrics_observed(t);

    if (cell) {
        (*cell)--;
        ngx_http_aggregate_metrics_observed(t) = NULL;
    }

    retries = ngx_http_aggregate_watch_retries(t->request, 0);

    if (retries) {
        ngx_http_aggregate_metrics_count(t->request, w->zone,
                                AGG_METRICS_BACKEND_RETRIES,
                                ngx_http_aggregate_metrics_service_of(t->fetch,
                                                                   w->zone),
                                0, 0, retries);
    }

    if (!t->header || !w->zone->cached) {
        return;
    }

    result = ngx_http_aggregate_metrics_cache(t->request, &tier);

    if (result == 0) {
        return;
    }

    ngx_http_aggregate_metrics_count(t->request, w->zone,
                                     AGG_METRICS_CACHE_REQUESTS, w->route,
                                     result, tier, 1);

    if (result == AGG_METRICS_HIT || result == AGG_METRICS_STALE) {

        /* the mark means that no backend was called */

        ngx_http_aggregate_metrics_observed(t) = t;
    }
}


static void
ngx_http_aggregate_metrics_result(ngx_http_aggregate_fetch_t *fetch)
{
    uint32_t                            service, error;
    ngx_http_request_t                 *r;
    ngx_http_aggregate_try_t           *t;
    ngx_http_aggregate_watch_t         *w;
    ngx_http_aggregate_metrics_zone_t  *zone;

    w = ngx_http_aggregate_metrics_observed(fetch->fetches);
    t = fetch->current;

    if (w == NULL || fetch->joined) {
        return;
    }

    r = fetch->fetches->request;
    zone = w->zone;
    service = ngx_http_aggregate_metrics_service_of(fetch, zone);

    if (fetch->reason == NGX_HTTP_AGGREGATE_CANCELLED) {

        if (t) {
            ngx_http_aggregate_metrics_count(r, zone,
                                             AGG_METRICS_BACKEND_CANCELLED,
                                             service, 0, 0, 1);
        }

        return;
    }

    if (t && ngx_http_aggregate_metrics_has_called(t)) {
        ngx_http_aggregate_metrics_observe(t->request, zone,
                                   AGG_METRICS_BACKEND_DURATION, w->route,
                                   service,
                                   fetch->end_usec > fetch->start_usec
                                   ? fetch->end_usec - fetch->start_usec : 0);
    }

    if (fetch->reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        return;
    }

    error = AGG_METRICS_WORD + fetch->reason;

    if (fetch->reason == NGX_HTTP_AGGREGATE_STATUS
        && fetch->status >= 100 && fetch->status <= 999)
    {
        error = fetch->status;
    }

    ngx_http_aggregate_metrics_count(r, zone, AGG_METRICS_BACKEND_ERRORS,
                                     service, error, 0, 1);
}


/* a cache, or a breaker that is open, responds in place of the backend */

static ngx_uint_t
ngx_http_aggregate_metrics_has_called(ngx_http_aggregate_try_t *t)
{
    if (t->cached || ngx_http_aggregate_metrics_observed(t) == t) {
        return 0;
    }

    return t->number > 1 || t->request->upstream_states
           || !ngx_http_aggregate_breaker_rejected(t->request);
}


static void
ngx_http_aggregate_metrics_close(ngx_http_aggregate_fetches_t *fs)
{
    uint32_t                     outcome;
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_aggregate_metrics_observed(fs);

    if (w == NULL || fs->cancelled) {
        return;
    }

    switch (fs->outcome ? fs->outcome[0] : 'f') {

    case 'c':
        outcome = AGG_METRICS_COMPLETE;
        break;

    case 'p':
        outcome = AGG_METRICS_PARTIAL;
        break;

    default: /* "failed" */
        outcome = AGG_METRICS_FAILED;
        break;
    }

    ngx_http_aggregate_metrics_count(fs->request, w->zone,
                                     AGG_METRICS_AGGREGATES, w->route,
                                     outcome, 0, 1);
}


/* a part without a fetch, or whose fetch has succeeded */

static void
ngx_http_aggregate_metrics_failed(ngx_http_aggregate_fetches_t *fs,
    ngx_str_t *name, ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_aggregate_metrics_observed(fs);

    if (w) {
        ngx_http_aggregate_metrics_count(fs->request, w->zone,
                                AGG_METRICS_BACKEND_ERRORS,
                                ngx_http_aggregate_metrics_part(w->zone,
                                                                name),
                                AGG_METRICS_WORD + reason, 0, 1);
    }
}
