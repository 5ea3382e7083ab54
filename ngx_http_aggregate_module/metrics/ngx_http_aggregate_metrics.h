
#ifndef _NGX_HTTP_AGGREGATE_METRICS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_aggregate_fetch.h"
#include "agg_metrics_write.h"
#include "gw_version.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_VERSION  GW_VERSION


typedef struct {
    agg_metrics_t                      *metrics;
    agg_metrics_process_t              *process;
    agg_metrics_known_t                *known;
    ngx_shm_zone_t                     *shm_zone;
    ngx_str_t                           name;
    u_char                             *file;
    ngx_uint_t                          line;

    ngx_uint_t                          series;   /* 0: what the size holds */
    ngx_uint_t                          nbuckets;
    uint64_t                            bounds[AGG_METRICS_BUCKETS];

    ngx_array_t                         locations;
                                  /* ngx_http_aggregate_metrics_loc_conf_t * */
    ngx_array_t                         parts;    /* ngx_str_t * */
    ngx_http_upstream_main_conf_t      *upstreams;
    uint32_t                           *services; /* by upstream */
    ngx_cycle_t                        *cycle;

    ngx_uint_t                          traced; /* unsigned  traced:1; */
    ngx_uint_t                          cached; /* unsigned  cached:1; */
} ngx_http_aggregate_metrics_zone_t;


typedef struct ngx_http_aggregate_watch_s  ngx_http_aggregate_watch_t;


/* the tracer, which is notified of the same events as the metrics */

typedef struct {
    /* whether the requests to backends of r have to be watched */
    ngx_uint_t  (*wanted)(ngx_http_request_t *r);

    /* r is a copy of a request, with the headers of that */
    ngx_int_t   (*copy)(ngx_http_request_t *r);

    /* the request to the upstream has begun, and has ended */
    void        (*begin)(ngx_http_aggregate_watch_t *w);
    void        (*end)(ngx_http_aggregate_watch_t *w);

    /*
     * The ids of a sampled request, for an exemplar: 1, or 0.  The span
     * is that of the request to the backend, or of the request itself.
     */
    ngx_uint_t  (*ids)(ngx_http_request_t *r, ngx_uint_t backend,
        uint64_t trace_id[2], uint64_t *span_id);
} ngx_http_aggregate_watcher_t;


typedef struct {
    ngx_array_t                         zones;
                                     /* ngx_http_aggregate_metrics_zone_t * */
    ngx_http_aggregate_watcher_t       *tracer;
    ngx_int_t                           cache_status;   /* variables */
    ngx_int_t                           cache_tier;
    ngx_int_t                           breaker_state;
    ngx_uint_t                          copies;   /* unsigned  copies:1; */
} ngx_http_aggregate_metrics_main_conf_t;


typedef struct {
    ngx_http_aggregate_metrics_zone_t  *zone;
    ngx_str_t                           name;     /* the zone's name */
    u_char                             *file;
    ngx_uint_t                          line;
    ngx_http_complex_value_t           *parameter;
                                             /* "route=", NULL: not set */
    ngx_http_complex_value_t           *route;
    uint32_t                            number;   /* the route's, if static */

    ngx_http_upstream_srv_conf_t       *upstream; /* the last one, and its */
    uint32_t                            service;  /* number */

    /* the parameters of aggregate_metrics_status */
    ngx_http_aggregate_metrics_zone_t  *status;
    ngx_str_t                           status_name;
    u_char                             *status_file;
    ngx_uint_t                          status_line;
    ngx_array_t                         includes; /* ngx_str_t */
    void                               *page;     /* for aggregate_status */

    ngx_uint_t                          off;      /* unsigned  off:1; */
} ngx_http_aggregate_metrics_loc_conf_t;


/* a request or a subrequest, with its request to an upstream */

struct ngx_http_aggregate_watch_s {
    ngx_http_request_t                 *request;
    ngx_http_aggregate_metrics_zone_t  *zone;     /* NULL: not counted */
    uint32_t                            route;
    uint32_t                            backend;
    int32_t                            *in_flight;

    ngx_http_handler_pt                 handler;
    ngx_http_upstream_t                *before;
    ngx_http_upstream_t                *upstream;
    ngx_int_t                         (*create_request)(
                                                      ngx_http_request_t *r);
    void                              (*finalize_request)(
                                        ngx_http_request_t *r, ngx_int_t rc);

    ngx_uint_t                          round;
    ngx_uint_t                          states;   /* earlier upstreams' */
    ngx_http_upstream_srv_conf_t       *uscf;     /* NULL: none is known */
    uint32_t                            service;
    int32_t                            *service_in_flight;
    uint64_t                            start;    /* microseconds */
    uint64_t                            end;
    ngx_int_t                           rc;

    void                               *trace;    /* the tracer's */
    ngx_http_aggregate_try_t           *part;     /* NULL: it is none */

    ngx_pool_cleanup_t                  cleanup;

    ngx_uint_t                          calling;  /* unsigned  calling:1; */
    ngx_uint_t                          running;  /* unsigned  running:1; */
    ngx_uint_t                          aggregate;
                                                /* unsigned  aggregate:1; */

    /* the client request is not counted, or not traced */
    unsigned                            off:1;
    unsigned                            untraced:1;
};


/* watch */

ngx_http_aggregate_watch_t *ngx_http_aggregate_watch_find(
    ngx_http_request_t *r);
ngx_http_aggregate_watch_t *ngx_http_aggregate_watch_create(
    ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_watch_handler(ngx_http_request_t *r);
ngx_uint_t ngx_http_aggregate_watch_count(ngx_array_t *states,
    ngx_uint_t from);
uint64_t ngx_http_aggregate_watch_clock(void);

/* request */

ngx_int_t ngx_http_aggregate_metrics_preaccess(ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_metrics_log(ngx_http_request_t *r);
void ngx_http_aggregate_metrics_begin(ngx_http_aggregate_watch_t *w);
void ngx_http_aggregate_metrics_end(ngx_http_aggregate_watch_t *w);
void ngx_http_aggregate_metrics_set(ngx_http_request_t *r,
    ngx_http_aggregate_watch_t *w);
void ngx_http_aggregate_metrics_leave(ngx_http_aggregate_watch_t *w);
void ngx_http_aggregate_metrics_count_any(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone, agg_metrics_family_e family,
    uint32_t a, uint32_t b, uint32_t c, uint64_t n);
void ngx_http_aggregate_metrics_observe_any(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone, agg_metrics_family_e family,
    uint32_t a, uint32_t b, uint64_t duration);
uint32_t ngx_http_aggregate_metrics_cache(ngx_http_request_t *r,
    uint32_t *tier);
ngx_uint_t ngx_http_aggregate_metrics_is_cached(ngx_http_request_t *r,
    uint32_t result);
ngx_str_t *ngx_http_aggregate_metrics_variable(ngx_http_request_t *r,
    ngx_int_t index, ngx_str_t *value);

/* zone */

char *ngx_http_aggregate_metrics_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_aggregate_metrics_did_you_mean(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_main_conf_t *mmcf, ngx_str_t *name,
    u_char *file, ngx_uint_t line);
ngx_http_aggregate_metrics_zone_t *ngx_http_aggregate_metrics_find_zone(
    ngx_http_aggregate_metrics_main_conf_t *mmcf, ngx_str_t *name);
ngx_str_t ngx_http_aggregate_metrics_service(
    ngx_http_upstream_srv_conf_t *uscf, u_char *buf, size_t size);
ngx_int_t ngx_http_aggregate_metrics_init_process(ngx_cycle_t *cycle);
void ngx_http_aggregate_metrics_exit_process(ngx_cycle_t *cycle);
int ngx_http_aggregate_metrics_alive(int32_t pid);

/* status */

/* a text that is included in a page; NULL: it could not be fetched */

typedef struct {
    ngx_str_t                          *uri;
    u_char                             *data;
    size_t                              len;
} ngx_http_aggregate_metrics_text_t;


/* a page that is being written */

typedef struct {
    ngx_http_request_t                 *request;
    ngx_chain_t                        *out;
    ngx_chain_t                       **last;
    ngx_buf_t                          *buf;
} ngx_http_aggregate_metrics_page_t;


void ngx_http_aggregate_metrics_page(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_page_t *page, gw_out_t *out);
ngx_int_t ngx_http_aggregate_metrics_send(
    ngx_http_aggregate_metrics_page_t *page, gw_out_t *out, ngx_str_t *type);
char *ngx_http_aggregate_metrics_add_include(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_array_t *includes, ngx_str_t *value);
char *ngx_http_aggregate_metrics_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_metrics_merge_status(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf);
ngx_int_t ngx_http_aggregate_metrics_respond(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n);

/* the operator's page */

char *ngx_http_aggregate_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_aggregate_status_page_handler(ngx_http_request_t *r);
void ngx_http_aggregate_status_init_process(
    ngx_http_aggregate_metrics_main_conf_t *mmcf, ngx_cycle_t *cycle);
ngx_int_t ngx_http_aggregate_status_respond(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n);

/* the text of the pages of other modules */

typedef enum {
    NGX_HTTP_AGGREGATE_STATUS_SPLITS = 0,
    NGX_HTTP_AGGREGATE_STATUS_BALANCERS
} ngx_http_aggregate_status_part_e;

void ngx_http_aggregate_status_text(ngx_http_request_t *r,
    ngx_http_aggregate_status_part_e part, ngx_uint_t prometheus,
    ngx_str_t *text);
void ngx_http_aggregate_status_parts(ngx_http_request_t *r, gw_out_t *out,
    ngx_uint_t html);

/* include */

ngx_int_t ngx_http_aggregate_metrics_serve(ngx_http_request_t *r);

/* fetch */

ngx_int_t ngx_http_aggregate_metrics_observe_fetches(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_aggregate_metrics_module;
extern ngx_str_t     ngx_http_aggregate_metrics_kind;
extern time_t        ngx_http_aggregate_metrics_loaded;
ngx_int_t ngx_http_aggregate_metrics_status_handler(ngx_http_request_t *r);


static ngx_inline ngx_http_aggregate_watch_t *
ngx_http_aggregate_watch_get(ngx_http_request_t *r)
{
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_get_module_ctx(r, ngx_http_aggregate_metrics_module);

    if (w == NULL
        && (r->uri_changes != NGX_HTTP_MAX_URI_CHANGES + 1
            || r->filter_finalize))
    {
        return ngx_http_aggregate_watch_find(r);
    }

    return w;
}


/*
 * The status that the client got.  For a request of "error_page" with "=200",
 * whose response may be a 304 or a 206, r->err_status is 200.
 */

static ngx_inline ngx_uint_t
ngx_http_aggregate_watch_status(ngx_http_request_t *r)
{
    if (r->err_status && (!r->header_sent || r->headers_out.status == 0)) {
        return r->err_status;
    }

    return r->headers_out.status;
}


/* the number of tries after the first one, for an upstream that was called */

static ngx_inline ngx_uint_t
ngx_http_aggregate_watch_retries(ngx_http_request_t *r, ngx_uint_t from)
{
    return r->upstream_states == NULL || r->upstream_states->nelts <= from + 1
           ? 0 : ngx_http_aggregate_watch_count(r->upstream_states, from);
}


/* counts a known service at once */

static ngx_inline void
ngx_http_aggregate_metrics_count(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone, agg_metrics_family_e family,
    uint32_t a, uint32_t b, uint32_t c, uint64_t n)
{
    if (!agg_metrics_count_known(zone->known, family, a, b, c, n)) {
        ngx_http_aggregate_metrics_count_any(r, zone, family, a, b, c, n);
    }
}


static ngx_inline int32_t *
ngx_http_aggregate_metrics_cell(ngx_http_aggregate_metrics_zone_t *zone,
    agg_metrics_family_e family, uint32_t a)
{
    int32_t  *cell;

    cell = agg_metrics_cell_known(zone->known, zone->process, family, a);

    return cell ? cell : agg_metrics_cell(zone->metrics, zone->known,
                                          zone->process, family, a);
}


/* an observation of a traced request may become an exemplar */

static ngx_inline void
ngx_http_aggregate_metrics_observe(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_zone_t *zone, agg_metrics_family_e family,
    uint32_t a, uint32_t b, uint64_t duration)
{
    if (zone->traced
        || !agg_metrics_observe_known(zone->metrics, zone->known, family, a,
                                      b, duration))
    {
        ngx_http_aggregate_metrics_observe_any(r, zone, family, a, b,
                                               duration);
    }
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_METRICS_H_INCLUDED_ */
