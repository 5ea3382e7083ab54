
/* declarations shared by the files of the exporter */

#ifndef _NGX_HTTP_AGGREGATE_EXPORTER_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_EXPORTER_H_INCLUDED_


#include "ngx_http_aggregate_trace.h"
#include "agg_http_reply.h"


#pragma GCC visibility push(hidden)


typedef struct ngx_http_aggregate_exporter_item_s
    ngx_http_aggregate_exporter_item_t;

/* items are allocated from chunks in turn, and freed in the same order */

#define NGX_HTTP_AGGREGATE_EXPORTER_CHUNK  (64 * 1024)

typedef struct {
    u_char                              *last;
    u_char                              *end;
    ngx_uint_t                           items;    /* not given back */
} ngx_http_aggregate_exporter_chunk_t;


struct ngx_http_aggregate_exporter_item_s {
    ngx_http_aggregate_exporter_item_t  *next;
    ngx_http_aggregate_exporter_chunk_t *chunk;
    ngx_uint_t                           spans;
    size_t                               len;
    u_char                               data[1];
};


typedef struct {
    ngx_http_aggregate_exporter_conf_t  *conf;
    ngx_cycle_t                         *cycle;
    ngx_log_t                            log;

    ngx_http_aggregate_exporter_item_t  *first;
    ngx_http_aggregate_exporter_item_t **last;
    ngx_http_aggregate_exporter_chunk_t *chunk;
    size_t                               bytes;    /* with the batch's */
    ngx_uint_t                           spans;    /* without */

    ngx_event_t                          timer;
    ngx_peer_connection_t                peer;
    ngx_connection_t                    *connection;
    ngx_uint_t                           address;
    ngx_resolver_ctx_t                  *resolve;
    ngx_sockaddr_t                       sockaddr; /* as resolved */
    ngx_addr_t                           resolved;
    u_char                               text[NGX_SOCKADDR_STRLEN];

    /* the batch: a complete request */
    u_char                              *request;
    size_t                               start;
    size_t                               size;     /* both, where it ends */
    size_t                               sent;     /* from request on */
    size_t                               batch_bytes;
    ngx_uint_t                           batch_spans;
    agg_http_reply_t                     reply;

    ngx_msec_t                           backoff;
    ngx_uint_t                           dropped;  /* since the last line */
    time_t                               logged;

    unsigned                             busy:1;   /* a request is under way */
    unsigned                             kept:1;   /* over a kept connection */
    unsigned                             answered:1;
    unsigned                             waits:1;  /* to try again */
    unsigned                             bad:1;
} ngx_http_aggregate_exporter_t;


/*
 * Makes a request of the spans that have been queued longest.  NGX_DECLINED:
 * the queue is empty; NGX_ERROR: these spans are lost.
 */
ngx_int_t ngx_http_aggregate_exporter_make(ngx_http_aggregate_exporter_t *e);

/* memory for "len" bytes of spans; NULL: there is none */
ngx_http_aggregate_exporter_item_t *ngx_http_aggregate_exporter_alloc(
    ngx_http_aggregate_exporter_t *e, size_t len);

/* adds to the totals in all zones of metrics */
void ngx_http_aggregate_exporter_total(ngx_http_aggregate_exporter_t *e,
    agg_metrics_total_e which, uint64_t n);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_EXPORTER_H_INCLUDED_ */
