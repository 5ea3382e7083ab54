
#ifndef _NGX_HTTP_AGGREGATE_TRACE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_TRACE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_aggregate_fetch.h"
#include "agg_otlp.h"
#include "agg_trace.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_TRACE_IGNORE      1
#define NGX_HTTP_AGGREGATE_TRACE_EXTRACT     2
#define NGX_HTTP_AGGREGATE_TRACE_INJECT      3
#define NGX_HTTP_AGGREGATE_TRACE_PROPAGATE   4

#define NGX_HTTP_AGGREGATE_TRACE_W3C         0x01
#define NGX_HTTP_AGGREGATE_TRACE_B3          0x02
#define NGX_HTTP_AGGREGATE_TRACE_B3MULTI     0x04

/* the kinds of spans that can have configured attributes */
#define NGX_HTTP_AGGREGATE_TRACE_ON_SERVER     0
#define NGX_HTTP_AGGREGATE_TRACE_ON_AGGREGATE  1
#define NGX_HTTP_AGGREGATE_TRACE_ON_CLIENT     2


typedef struct {
    ngx_str_t                           name;
    ngx_http_complex_value_t            value;
    ngx_uint_t                          span;
} ngx_http_aggregate_trace_attr_t;


typedef struct {
    ngx_str_t                           name;
    ngx_str_t                           value;
} ngx_http_aggregate_trace_header_t;


typedef struct {
    ngx_str_t                           endpoint;
    ngx_str_t                           host;     /* with its port */
    ngx_str_t                           uri;
    ngx_addr_t                         *addrs;
    ngx_uint_t                          naddrs;   /* 0: to be resolved */
    ngx_str_t                           name;     /* without its port */
    in_port_t                           port;
    u_char                             *file;
    ngx_uint_t                          line;
    ngx_resolver_t                     *resolver;
    ngx_msec_t                          resolver_timeout;

    ngx_str_t                           service;
    ngx_array_t                         resource;
                                          /* ngx_http_aggregate_trace_attr_t */
    ngx_array_t                         headers;
                                        /* ngx_http_aggregate_trace_header_t */
    ngx_msec_t                          interval;
    ngx_msec_t                          timeout;
    ngx_int_t                           batch;
    ngx_int_t                           spans;
    size_t                              queue;
    ngx_flag_t                          gzip;
    ngx_uint_t                          json;

    agg_otlp_attr_t                    *attrs;    /* the resource's */
    ngx_uint_t                          nattrs;
    ngx_str_t                           head;     /* a request's head, so far */

#if (NGX_SSL)
    ngx_ssl_t                          *ssl;
    ngx_str_t                           tls_ca;
    ngx_str_t                           tls_host; /* without its port */
    ngx_str_t                           tls_name;
    ngx_flag_t                          tls_verify;
    ngx_str_t                           tls_certificate;
    ngx_str_t                           tls_certificate_key;
    ngx_uint_t                          tls;      /* unsigned  tls:1; */
#endif
} ngx_http_aggregate_exporter_conf_t;


typedef struct {
    ngx_http_aggregate_exporter_conf_t *exporter;
    ngx_int_t                           peer_addr;    /* variables */
    ngx_int_t                           peer_port;
    ngx_uint_t                          used;     /* unsigned  used:1; */
    ngx_uint_t                          attrs;    /* unsigned  attrs:1; */
} ngx_http_aggregate_trace_main_conf_t;


typedef struct {
    ngx_int_t                           ratio;    /* -1: of a variable */
    ngx_http_complex_value_t           *value;
    ngx_uint_t                          ignore_parent;
    u_char                             *file;
    ngx_uint_t                          line;

    ngx_flag_t                          keep_error;
    ngx_msec_t                          keep_slow;
    ngx_uint_t                          context;
    ngx_uint_t                          propagators;
    u_char                              order[3]; /* one bit each, 0: none */
    ngx_http_complex_value_t           *parent;
    ngx_http_complex_value_t           *name;
    ngx_array_t                        *attrs;
                                          /* ngx_http_aggregate_trace_attr_t */
    ngx_array_t                        *redact;   /* ngx_str_t */

    unsigned                            set:1;
    unsigned                            on:1;
} ngx_http_aggregate_trace_loc_conf_t;


typedef struct ngx_http_aggregate_span_s  ngx_http_aggregate_span_t;
typedef struct ngx_http_aggregate_trace_ctx_s
    ngx_http_aggregate_trace_ctx_t;


typedef enum {
    NGX_HTTP_AGGREGATE_SPAN_CLIENT = 0,
    NGX_HTTP_AGGREGATE_SPAN_AGGREGATE,
    NGX_HTTP_AGGREGATE_SPAN_PART
} ngx_http_aggregate_span_e;


/* times are microseconds of ngx_http_aggregate_watch_clock() */

struct ngx_http_aggregate_span_s {
    ngx_http_aggregate_span_t          *next;
    ngx_http_aggregate_span_e           type;
    u_char                              id[8];
    u_char                             *parent;
    uint64_t                            start;
    uint64_t                            end;
    ngx_http_request_t                 *request;
    ngx_str_t                           method;   /* as it was sent */

    /* for the span of an upstream */
    ngx_str_t                           scheme;
    ngx_str_t                           host;
    in_port_t                           port;
    ngx_str_t                           uri;
    ngx_str_t                          *peer;
    ngx_uint_t                          first;    /* the first of the states */
    ngx_uint_t                          last;
    ngx_uint_t                          status;
    ngx_int_t                           rc;

    /* for the span of a part */
    ngx_str_t                          *part;
    ngx_int_t                           item;     /* -1: no fan-out */
    ngx_uint_t                          number;
    ngx_http_aggregate_reason_e         reason;

    /* for the span of an aggregate */
    const char                         *outcome;
    ngx_uint_t                          parts;
    ngx_uint_t                          failed;

    unsigned                            ended:1;
    unsigned                            upstream:1;
    unsigned                            accepted:1;
    unsigned                            cancelled:1;
};


/* the trace of a client request */

struct ngx_http_aggregate_trace_ctx_s {
    ngx_http_request_t                 *request;
    ngx_pool_cleanup_t                  cleanup;
    agg_trace_context_t                 context;  /* the SERVER span's */
    u_char                              parent[8];
    u_char                              client[8];    /* its own upstream's */
    ngx_str_t                           state;
    agg_otlp_link_t                     link;
    ngx_str_t                           route;

    uint64_t                            wall;     /* microseconds */
    uint64_t                            clock;
    uint64_t                            start;    /* wall */

    ngx_http_aggregate_span_t          *spans;
    ngx_http_aggregate_span_t         **last;
    ngx_int_t                           nspans;
    ngx_int_t                           dropped;

    ngx_http_aggregate_trace_loc_conf_t *conf;

    unsigned                            has_parent:1;
    unsigned                            has_link:1;
    unsigned                            sampled:1;
    unsigned                            recording:1;
    unsigned                            refresh:1;   /* of a cache */
    unsigned                            injects:1;
    unsigned                            foreign:1;   /* has our headers */
    unsigned                            placed:1; /* its location is known */
    unsigned                            client_used:1;
    unsigned                            partial:1;
};


/* trace */

ngx_http_aggregate_trace_ctx_t *ngx_http_aggregate_trace_lookup(
    ngx_http_request_t *r);
void ngx_http_aggregate_trace_start(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_trace_loc_conf_t *tlcf);
void ngx_http_aggregate_trace_record(ngx_http_aggregate_trace_ctx_t *ctx);
ngx_http_aggregate_trace_ctx_t *ngx_http_aggregate_trace_create(
    ngx_http_request_t *r, ngx_http_aggregate_trace_loc_conf_t *tlcf);
ngx_int_t ngx_http_aggregate_trace_preaccess(ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_trace_set_headers(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx, u_char *span_id);
void ngx_http_aggregate_trace_init_worker(ngx_log_t *log);
extern agg_trace_random_t  ngx_http_aggregate_trace_random;

/* span */

ngx_uint_t ngx_http_aggregate_trace_wanted(ngx_http_request_t *r);
void ngx_http_aggregate_trace_begin(ngx_http_aggregate_watch_t *w);
void ngx_http_aggregate_trace_end(ngx_http_aggregate_watch_t *w);
ngx_uint_t ngx_http_aggregate_trace_ids(ngx_http_request_t *r,
    ngx_uint_t backend, uint64_t trace_id[2], uint64_t *span_id);
ngx_int_t ngx_http_aggregate_trace_observe(ngx_conf_t *cf);
u_char *ngx_http_aggregate_trace_above(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx);

/* log */

void ngx_http_aggregate_trace_encode_constants(void);
ngx_int_t ngx_http_aggregate_trace_log(ngx_http_request_t *r);
void ngx_http_aggregate_trace_export(ngx_http_aggregate_trace_ctx_t *ctx);
uint64_t ngx_http_aggregate_trace_nsec(ngx_http_aggregate_trace_ctx_t *ctx,
    uint64_t clock);

/* url */

ngx_str_t ngx_http_aggregate_trace_query(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf, ngx_str_t *args);
ngx_str_t ngx_http_aggregate_trace_url(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_span_t *span);
void ngx_http_aggregate_trace_sent(ngx_http_request_t *r,
    ngx_http_upstream_t *u, ngx_http_aggregate_span_t *span);

/* refresh */

void ngx_http_aggregate_trace_refresh(ngx_http_request_t *fr,
    ngx_http_request_t *r);
void ngx_http_aggregate_trace_refresh_span(
    ngx_http_aggregate_trace_ctx_t *ctx, gw_out_block_t *out, int json);

/* exporter */

extern ngx_command_t  ngx_http_aggregate_exporter_statements[];

char *ngx_http_aggregate_exporter_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_aggregate_exporter_conf_resolve(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf);
void ngx_http_aggregate_exporter_push(ngx_http_aggregate_exporter_conf_t *conf,
    u_char *data, size_t len, ngx_uint_t spans);
ngx_int_t ngx_http_aggregate_exporter_init(ngx_cycle_t *cycle,
    ngx_http_aggregate_exporter_conf_t *conf);
void ngx_http_aggregate_exporter_exit(ngx_cycle_t *cycle);

/* the "grow" of a gw_out_block_t, by malloc(); the caller frees the block */
void *ngx_http_aggregate_exporter_grow(void *ctx, void *old, size_t used,
    size_t size);


extern ngx_module_t  ngx_http_aggregate_trace_module;


/* the context of a client request */

static ngx_inline ngx_http_aggregate_trace_ctx_t *
ngx_http_aggregate_trace_get(ngx_http_request_t *r)
{
    ngx_http_aggregate_trace_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_trace_module);

    return ctx ? ctx : ngx_http_aggregate_trace_lookup(r);
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_TRACE_H_INCLUDED_ */
