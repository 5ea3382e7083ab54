
/* counts requests and their requests to backends */


#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_gw_upstream.h"


#define NGX_HTTP_AGGREGATE_METRICS_WARN       60


static uint32_t ngx_http_aggregate_metrics_route(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf);
static void ngx_http_aggregate_metrics_service_find(
    ngx_http_aggregate_watch_t *w,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf);
static uint32_t ngx_http_aggregate_metrics_error(
    ngx_http_aggregate_watch_t *w);
static uint32_t ngx_http_aggregate_metrics_log_cache(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone, uint32_t route);
static uint32_t ngx_http_aggregate_metrics_backend(ngx_http_request_t *r,
    ngx_http_aggregate_watch_t *w, uint32_t result);
static void ngx_http_aggregate_metrics_full(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone);


/* the first location in which access is checked sets the route */

ngx_int_t
ngx_http_aggregate_metrics_preaccess(ngx_http_request_t *r)
{
    ngx_http_aggregate_watch_t             *w;
    ngx_http_aggregate_metrics_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_metrics_module);

    if (r != r->main || (mlcf->zone == NULL && !mlcf->off)) {
        return NGX_DECLINED;
    }

    w = ngx_http_aggregate_watch_get(r);

    if (w == NULL) {
        w = ngx_http_aggregate_watch_create(r);
    }

    if (w == NULL || w->zone || w->off) {
        return NGX_DECLINED;
    }

    if (mlcf->off) {

        /* an internal redirect leads to no other location that counts it */

        w->off = 1;
        return NGX_DECLINED;
    }

    w->zone = mlcf->zone;
    w->route = mlcf->route->lengths == NULL
               ? mlcf->number : ngx_http_aggregate_metrics_route(r, mlcf);

    w->in_flight = ngx_http_aggregate_metrics_cell(w->zone,
                                    AGG_METRICS_REQUESTS_IN_FLIGHT, w->route);
    if (w->in_flight) {
        (*w->in_flight)++;
    }

    return NGX_DECLINED;
}


/* a subrequest is counted in the zone and route of its client request */

void
ngx_http_aggregate_metrics_set(ngx_http_request_t *r,
    ngx_http_aggregate_watch_t *w)
{
    ngx_http_aggregate_watch_t             *main;
    ngx_http_aggregate_metrics_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_metrics_module);

    if (mlcf->zone == NULL || w->zone || w->off) {
        return;
    }

    main = ngx_http_aggregate_watch_get(r->main);

    if (main && main->zone) {
        w->zone = main->zone;
        w->route = main->route;
        return;
    }

    w->zone = mlcf->zone;
    w->route = ngx_http_aggregate_metrics_route(r, mlcf);
}


static uint32_t
ngx_http_aggregate_metrics_route(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf)
{
    ngx_str_t  value;

    if (mlcf->route->lengths == NULL) {
        return mlcf->number;
    }

    if (ngx_http_complex_value(r, mlcf->route, &value) != NGX_OK) {
        return AGG_METRICS_OTHER;
    }

    return agg_metrics_intern(mlcf->zone->metrics, value.data, value.len, 0);
}


/* a request that ended before that phase has the route of its last location */

ngx_int_t
ngx_http_aggregate_metrics_log(ngx_http_request_t *r)
{
    uint32_t                                 route, status, result;
    ngx_msec_int_t                           ms;
    ngx_http_aggregate_watch_t              *w;
    ngx_http_aggregate_metrics_zone_t       *zone;
    ngx_http_aggregate_metrics_loc_conf_t   *mlcf;

    if (r != r->main) {
        return NGX_OK;
    }

    w = ngx_http_aggregate_watch_get(r);

    if (w && w->off) {
        return NGX_OK;
    }

    if (w && w->zone) {
        zone = w->zone;
        route = w->route;

    } else {
        mlcf = ngx_http_get_module_loc_conf(r,
                                         ngx_http_aggregate_metrics_module);

        zone = mlcf->zone;

        if (zone == NULL) {
            return NGX_OK;
        }

        route = ngx_http_aggregate_metrics_route(r, mlcf);
    }

    status = (uint32_t) ngx_http_aggregate_watch_status(r);

    if (status > 999) {
        status = AGG_METRICS_ANY;
    }

    ms = (ngx_msec_int_t) ((ngx_cached_time->sec - r->start_sec) * 1000)
         + (ngx_msec_int_t) ngx_cached_time->msec
         - (ngx_msec_int_t) r->start_msec;

    result = zone->cached
             ? ngx_http_aggregate_metrics_log_cache(r, zone, route) : 0;

    ngx_http_aggregate_metrics_count(r, zone, AGG_METRICS_REQUESTS, route,
                                     status, 0, 1);

    ngx_http_aggregate_metrics_observe(r, zone, AGG_METRICS_REQUEST_DURATION,
                            route,
                            ngx_http_aggregate_metrics_backend(r, w, result),
                            (uint64_t) ngx_max(ms, 0) * 1000);

    if (w && w->in_flight) {
        (*w->in_flight)--;
        w->in_flight = NULL;
    }

    return NGX_OK;
}


static uint32_t
ngx_http_aggregate_metrics_log_cache(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone, uint32_t route)
{
    uint32_t  result, tier;

    result = ngx_http_aggregate_metrics_cache(r, &tier);

    if (result) {
        ngx_http_aggregate_metrics_count(r, zone, AGG_METRICS_CACHE_REQUESTS,
                                         route, result, tier, 1);
    }

    return result;
}


static uint32_t
ngx_http_aggregate_metrics_backend(ngx_http_request_t *r,
    ngx_http_aggregate_watch_t *w, uint32_t result)
{
    if (ngx_http_aggregate_metrics_is_cached(r, result)) {
        return AGG_METRICS_CACHE;
    }

    return w ? w->backend : AGG_METRICS_NONE;
}


/* whether our cache, by its result, or nginx's one has responded */

ngx_uint_t
ngx_http_aggregate_metrics_is_cached(ngx_http_request_t *r, uint32_t result)
{
    if (result == AGG_METRICS_HIT || result == AGG_METRICS_STALE) {
        return 1;
    }

#if (NGX_HTTP_CACHE)

    return r->upstream
           && (r->upstream->cache_status == NGX_HTTP_CACHE_HIT
               || r->upstream->cache_status == NGX_HTTP_CACHE_STALE
               || r->upstream->cache_status == NGX_HTTP_CACHE_UPDATING);

#else

    return 0;

#endif
}


/* the request is no longer in flight, whatever its outcome */

void
ngx_http_aggregate_metrics_leave(ngx_http_aggregate_watch_t *w)
{
    if (w->in_flight) {
        (*w->in_flight)--;
        w->in_flight = NULL;
    }

    if (w->service_in_flight) {
        (*w->service_in_flight)--;
        w->service_in_flight = NULL;
    }
}


void
ngx_http_aggregate_metrics_begin(ngx_http_aggregate_watch_t *w)
{
    ngx_http_aggregate_metrics_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(w->request,
                                        ngx_http_aggregate_metrics_module);

    if (w->uscf == NULL) {
        w->service = AGG_METRICS_OTHER;

    } else if (w->uscf == mlcf->upstream && w->zone == mlcf->zone) {
        w->service = mlcf->service;

    } else {
        ngx_http_aggregate_metrics_service_find(w, mlcf);
    }

    if (!w->aggregate) {
        w->backend = w->service;
    }

    w->service_in_flight = ngx_http_aggregate_metrics_cell(w->zone,
                                  AGG_METRICS_BACKEND_IN_FLIGHT, w->service);
    if (w->service_in_flight) {
        (*w->service_in_flight)++;
    }
}


static void
ngx_http_aggregate_metrics_service_find(ngx_http_aggregate_watch_t *w,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf)
{
    ngx_uint_t                       i;
    ngx_http_upstream_srv_conf_t   **uscfp;
    ngx_http_upstream_main_conf_t   *umcf;

    w->service = AGG_METRICS_OTHER;

    umcf = w->zone->upstreams;
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {
        if (uscfp[i] == w->uscf) {
            w->service = w->zone->services[i];
            break;
        }
    }

    if (w->zone == mlcf->zone) {
        mlcf->upstream = w->uscf;
        mlcf->service = w->service;
    }
}


void
ngx_http_aggregate_metrics_end(ngx_http_aggregate_watch_t *w)
{
    uint32_t             error;
    ngx_uint_t           retries;
    ngx_http_request_t  *r;

    r = w->request;

    if (w->service_in_flight) {
        (*w->service_in_flight)--;
        w->service_in_flight = NULL;
    }

    retries = ngx_http_aggregate_watch_retries(r, w->states);

    if (retries) {
        ngx_http_aggregate_metrics_count(r, w->zone,
                                         AGG_METRICS_BACKEND_RETRIES,
                                         w->service, 0, 0, retries);
    }

    /*
     * the client has closed the connection, or another module ended the request
     */

    if (w->rc != NGX_OK
        && (w->rc == NGX_DONE
            || w->rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
            || (w->rc == NGX_ERROR
                && !ngx_http_gw_upstream_is_broken(r, w->upstream, w->rc))))
    {
        ngx_http_aggregate_metrics_count(r, w->zone,
                                         AGG_METRICS_BACKEND_CANCELLED,
                                         w->service, 0, 0, 1);
        return;
    }

    ngx_http_aggregate_metrics_observe(r, w->zone,
                                       AGG_METRICS_BACKEND_DURATION,
                                       w->route, w->service,
                                       w->end - w->start);

    error = ngx_http_aggregate_metrics_error(w);

    if (error) {
        ngx_http_aggregate_metrics_count(r, w->zone,
                                         AGG_METRICS_BACKEND_ERRORS,
                                         w->service, error, 0, 1);
    }
}


/* 0: there is no error */

static uint32_t
ngx_http_aggregate_metrics_error(ngx_http_aggregate_watch_t *w)
{
    ngx_http_upstream_state_t  *state;

    state = w->upstream->state;

    if (w->rc == NGX_OK && (state == NULL || state->status < 500)) {
        return 0;
    }

    if (state == NULL || state->header_time == (ngx_msec_t) -1) {

        /* without a header, the response is missing or invalid */

        if (w->rc == NGX_HTTP_GATEWAY_TIME_OUT) {
            return AGG_METRICS_WORD + NGX_HTTP_AGGREGATE_TIMEOUT;
        }

        return w->rc >= NGX_HTTP_INTERNAL_SERVER_ERROR
               ? AGG_METRICS_WORD + NGX_HTTP_AGGREGATE_CONNECT : 0;
    }

    if (state->status >= 500 && state->status <= 999) {
        return state->status;
    }

    if (w->rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        return AGG_METRICS_WORD + NGX_HTTP_AGGREGATE_TIMEOUT;
    }

    return (w->rc >= NGX_HTTP_INTERNAL_SERVER_ERROR || w->rc == NGX_ERROR)
           ? AGG_METRICS_WORD + NGX_HTTP_AGGREGATE_TRUNCATED : 0;
}


/* 0: no cache was involved */

uint32_t
ngx_http_aggregate_metrics_cache(ngx_http_request_t *r, uint32_t *tier)
{
    uint32_t                                 result;
    ngx_str_t                                value;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_metrics_module);

    *tier = 0;

    if (mmcf->cache_status == NGX_ERROR
        || ngx_http_aggregate_metrics_variable(r, mmcf->cache_status, &value)
           == NULL)
    {
        return 0;
    }

    result = agg_metrics_result(value.data, value.len);

    if (ngx_http_aggregate_metrics_variable(r, mmcf->cache_tier, &value)
        && value.len == 2 && value.data[0] == 'L')
    {
        *tier = value.data[1] - '0';
    }

    return result;
}


/* NULL: the variable has no value */

ngx_str_t *
ngx_http_aggregate_metrics_variable(ngx_http_request_t *r, ngx_int_t index,
    ngx_str_t *value)
{
    ngx_http_variable_value_t  *v;

    v = ngx_http_get_flushed_variable(r, (ngx_uint_t) index);

    if (v == NULL || v->not_found || v->len == 0) {
        return NULL;
    }

    value->data = v->data;
    value->len = v->len;

    return value;
}


void
ngx_http_aggregate_metrics_count_any(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone, agg_metrics_family_e family,
    uint32_t a, uint32_t b, uint32_t c, uint64_t n)
{
    if (agg_metrics_count(zone->metrics, zone->known, family, a, b, c, n)) {
        ngx_http_aggregate_metrics_full(r, zone);
    }
}


void
ngx_http_aggregate_metrics_observe_any(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone, agg_metrics_family_e family,
    uint32_t a, uint32_t b, uint64_t duration)
{
    uint64_t                                 trace_id[2], span_id, *id;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_metrics_module);

    id = NULL;
    span_id = 0;

    if (mmcf->tracer
        && mmcf->tracer->ids(r, family == AGG_METRICS_BACKEND_DURATION,
                             trace_id, &span_id))
    {
        id = trace_id;
    }

    if (agg_metrics_observe(zone->metrics, zone->known, family, a, b, duration,
                            id, span_id, id ? (uint64_t) ngx_cached_time->sec
                                          * 1000 + ngx_cached_time->msec : 0))
    {
        ngx_http_aggregate_metrics_full(r, zone);
    }
}


static void
ngx_http_aggregate_metrics_full(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone)
{
    uint32_t  last, now;

    now = (uint32_t) ngx_time();
    last = agg_metrics_read(&zone->metrics->warned);

    if (last != 0 && now - last < NGX_HTTP_AGGREGATE_METRICS_WARN) {
        return;
    }

    if (!__sync_bool_compare_and_swap(&zone->metrics->warned, last, now)) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "aggregate_metrics_zone \"%V\" is full, "
                  "new series are counted as \"_other\"", &zone->name);
}
