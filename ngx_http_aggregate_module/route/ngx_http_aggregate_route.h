
/* declarations of the balancer, for "aggregate_balance" */

#ifndef _NGX_HTTP_AGGREGATE_ROUTE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_ROUTE_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"
#include "ngx_http_aggregate_memory.h"
#include "agg_balance.h"
#include "gw_out.h"
#include "gw_prometheus.h"


/* 1.27.3: names of servers are resolved at run time; peers are refcounted */

#if (NGX_HTTP_UPSTREAM_ZONE && nginx_version >= 1027003)
#define NGX_HTTP_AGGREGATE_BALANCE_RESOLVE  1
#else
#define NGX_HTTP_AGGREGATE_BALANCE_RESOLVE  0
#endif


/* changes whenever the servers do; Angie has another name for it */

#if (angie_version)
#define ngx_http_aggregate_balance_config  generation
#else
#define ngx_http_aggregate_balance_config  config
#endif


#pragma GCC visibility push(hidden)


/* which ends are failures */

typedef struct {
    ngx_flag_t                          error;
    ngx_flag_t                          timeout;
    uint32_t                            statuses[200 / 32 + 1];
                                                        /* 400 to 599 */
} ngx_http_aggregate_balance_rules_t;


/* a server of a list, with the data of this worker */

typedef struct {
    ngx_http_upstream_rr_peer_t        *peer;
    uint32_t                            cell;
    unsigned                            local:1;
} ngx_http_aggregate_balance_server_t;


/* the servers of a list, grouped for "aggregate_balance_local" */

typedef struct {
    ngx_http_upstream_rr_peers_t       *peers;
    ngx_uint_t                          config;         /* from "resolve" */
    ngx_uint_t                          nservers;
    ngx_uint_t                          nlocal;
    ngx_uint_t                          nremote;
    ngx_http_aggregate_balance_server_t *servers;       /* by ordinal */
    ngx_uint_t                         *local;          /* ordinals */
    ngx_uint_t                         *remote;
} ngx_http_aggregate_balance_list_t;


/* the configuration and state of a balanced upstream */

typedef struct {
    ngx_http_upstream_srv_conf_t       *uscf;
    agg_balance_params_t                params;
    ngx_http_aggregate_balance_rules_t  rules;

    ngx_array_t                        *local;          /* ngx_cidr_t */
    ngx_uint_t                          factor;         /* in hundredths */

    ngx_shm_zone_t                     *shm_zone;
    ngx_slab_pool_t                    *shpool;         /* NULL: no zone */
    agg_balance_t                      *table;
    uint32_t                            worker;         /* our place in it */
    ngx_msec_t                          reaped;         /* the dead, when */

    ngx_http_aggregate_balance_list_t   lists[2];       /* and backup */

    unsigned                            on:1;
    unsigned                            used:1;         /* as the method */
} ngx_http_aggregate_balance_srv_conf_t;


typedef struct {
    ngx_array_t                         upstreams;
                                 /* ngx_http_aggregate_balance_srv_conf_t * */
} ngx_http_aggregate_balance_main_conf_t;


typedef struct {
    ngx_uint_t                          status;
} ngx_http_aggregate_balance_loc_conf_t;


/* the data of a request; nginx's functions use its first member */

typedef struct {
    ngx_http_upstream_rr_peer_data_t        rrp;
    ngx_http_aggregate_balance_srv_conf_t  *conf;
    ngx_http_request_t                     *request;
    ngx_msec_t                              start;
    uint32_t                                cell;
    unsigned                                probe:1;
} ngx_http_aggregate_balance_data_t;


/* ngx_http_aggregate_balance_peer.c */

ngx_int_t ngx_http_aggregate_balance_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
ngx_http_aggregate_balance_list_t *ngx_http_aggregate_balance_list(
    ngx_http_aggregate_balance_srv_conf_t *bcf,
    ngx_http_upstream_rr_peers_t *peers);
void ngx_http_aggregate_balance_reap(
    ngx_http_aggregate_balance_srv_conf_t *bcf);

/* ngx_http_aggregate_balance_status.c */

ngx_int_t ngx_http_aggregate_balance_status_handler(ngx_http_request_t *r);

/* writes JSON, or the metric families for Prometheus */
ngx_int_t ngx_http_aggregate_balance_write(ngx_http_request_t *r,
    gw_out_t *out, ngx_uint_t prometheus);

/* ngx_http_aggregate_route_out.c */

typedef struct {
    gw_out_t                            out;
    ngx_pool_t                         *pool;
    ngx_chain_t                        *first;
    ngx_chain_t                        *last;
    off_t                               size;
} ngx_http_aggregate_route_out_t;


void ngx_http_aggregate_route_out(ngx_http_aggregate_route_out_t *out,
    ngx_pool_t *pool);
ngx_int_t ngx_http_aggregate_route_send(ngx_http_request_t *r,
    ngx_http_aggregate_route_out_t *out, ngx_uint_t status, const char *type);


extern ngx_module_t  ngx_http_aggregate_balance_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_ROUTE_H_INCLUDED_ */
