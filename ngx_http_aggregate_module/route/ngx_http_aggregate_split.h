
/* declarations of the splits, for "aggregate_split" */

#ifndef _NGX_HTTP_AGGREGATE_SPLIT_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SPLIT_H_INCLUDED_


#include "ngx_http_aggregate_route.h"
#include "agg_split.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_SPLIT_MAX   64   /* splits of a zone */

#define NGX_HTTP_AGGREGATE_SPLIT_CONF  NGX_HTTP_AGGREGATE_BLOCK_CONF


/* the states in a zone; NULL: a free place */

typedef struct {
    agg_split_t                          *states[NGX_HTTP_AGGREGATE_SPLIT_MAX];
} ngx_http_aggregate_split_places_t;


typedef struct {
    ngx_str_t                             name;
    ngx_str_t                             file;        /* the "state=" file */
    ngx_shm_zone_t                       *shm_zone;
    ngx_slab_pool_t                      *shpool;
    ngx_http_aggregate_split_places_t    *places;
    ngx_array_t                           splits;
                                       /* ngx_http_aggregate_split_conf_t * */
} ngx_http_aggregate_split_zone_t;


/* "header" and "cookie" */

typedef struct {
    ngx_int_t                             index;       /* NGX_ERROR: none */
    ngx_int_t                             condition;
} ngx_http_aggregate_split_force_t;


typedef struct {
    ngx_str_t                             name;        /* the variable's name */
    ngx_str_t                             salt;
    ngx_str_t                             attribute;   /* of spans */
    uint64_t                              salt_hash;
    ngx_str_t                             zone_name;
    ngx_http_complex_value_t              key;
    ngx_uint_t                            ordinal;
    ngx_int_t                             depends;     /* its number there */

    ngx_uint_t                            nversions;
    ngx_str_t                             names[AGG_SPLIT_VERSIONS];
    agg_split_plan_t                      plans[AGG_SPLIT_VERSIONS];
    agg_split_rule_t                      rule;
    uint64_t                              text;        /* its digest */

    ngx_http_aggregate_split_force_t      header;
    ngx_http_aggregate_split_force_t      cookie;

    ngx_http_aggregate_split_zone_t      *zone;        /* NULL: none */
    agg_split_t                          *state;       /* in the zone */
    ngx_uint_t                            capacity;    /* its versions */
    agg_split_t                          *initial;     /* as configured */

    u_char                               *file;
    ngx_uint_t                            line;
} ngx_http_aggregate_split_conf_t;


typedef struct {
    ngx_array_t                           zones;
                                       /* ngx_http_aggregate_split_zone_t * */
    ngx_array_t                           splits;
                                       /* ngx_http_aggregate_split_conf_t * */
} ngx_http_aggregate_split_main_conf_t;


typedef struct {
    ngx_uint_t                            status;
} ngx_http_aggregate_split_loc_conf_t;


/*
 * the current state: in the zone, unless another configuration has replaced it
 */

#define ngx_http_aggregate_split_state(split)                                 \
    (((split)->state && (split)->state->text == (split)->text)                \
     ? (split)->state : (split)->initial)


/* ngx_http_aggregate_split_variable.c */

ngx_int_t ngx_http_aggregate_split_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
void ngx_http_aggregate_split_init_filter(void);

/*
 * The version of split number n for r: for a client request, the one that was
 * chosen; for a subrequest, the one that it has read itself.  *name is
 * "gateway.split.NAME".  NGX_DECLINED: there is no version; NGX_DONE: there is
 * no such split.
 */
ngx_int_t ngx_http_aggregate_split_chosen(ngx_http_request_t *r,
    ngx_uint_t n, ngx_str_t *name, ngx_str_t *version);

/* ngx_http_aggregate_split_zone.c */

ngx_int_t ngx_http_aggregate_split_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
ngx_int_t ngx_http_aggregate_split_init_process(ngx_cycle_t *cycle);

/* ngx_http_aggregate_split_file.c; NGX_ERROR: the file was not written */

void ngx_http_aggregate_split_load(ngx_http_aggregate_split_zone_t *zone,
    ngx_log_t *log);
ngx_int_t ngx_http_aggregate_split_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_http_aggregate_split_save(ngx_http_aggregate_split_zone_t *zone,
    ngx_log_t *log);

/* ngx_http_aggregate_split_status.c */

ngx_int_t ngx_http_aggregate_split_status_handler(ngx_http_request_t *r);

/* ngx_http_aggregate_split_page.c */

void ngx_http_aggregate_split_json(gw_out_t *out, ngx_array_t *splits);
void ngx_http_aggregate_split_prometheus(gw_out_t *out, ngx_array_t *splits);
void ngx_http_aggregate_split_html(gw_out_t *out, ngx_array_t *splits);


extern ngx_module_t  ngx_http_aggregate_split_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SPLIT_H_INCLUDED_ */
