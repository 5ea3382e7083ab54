
/* declarations shared by the glue of GraphQL */


#ifndef _NGX_HTTP_AGGREGATE_GRAPHQL_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_GRAPHQL_H_INCLUDED_


#include "ngx_http_aggregate_failure_log.h"
#include "ngx_http_aggregate_fetch.h"
#include "agg_gql_exec.h"
#include "agg_gql_http.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_GRAPHQL_HASH  32     /* SHA-256 */


/* "on", "off", or by a variable */

typedef struct {
    ngx_uint_t                           on;    /* unsigned  on:1; */
    ngx_int_t                            index; /* NGX_CONF_UNSET: none */
    ngx_uint_t                           set;
} ngx_http_aggregate_graphql_switch_t;


/* "documents": trusted documents with their ids */

typedef struct {
    ngx_str_t                            id;
    ngx_str_t                            text;
    uint32_t                             hash;
} ngx_http_aggregate_graphql_document_t;


/* an "aggregate_graphql" block */

typedef struct {
    ngx_http_aggregate_limits_t          limits;
    ngx_http_aggregate_forward_t        *forward;
    ngx_http_aggregate_methods_t         methods;
    ngx_int_t                            max_tokens;
    ngx_int_t                            max_depth;
    ngx_int_t                            max_aliases;
    ngx_int_t                            max_root_fields;
    ngx_int_t                            max_selections;
    ngx_int_t                            batching;
    size_t                               plan_cache;
    ngx_http_aggregate_graphql_switch_t  introspection;
    ngx_http_aggregate_graphql_switch_t  mask_errors;
    ngx_http_aggregate_graphql_switch_t  ide;
    ngx_uint_t                           draft;
    ngx_shm_zone_t                      *persisted;
    ngx_str_t                            documents_file;
    ngx_http_aggregate_graphql_document_t
                                        *documents;
    ngx_uint_t                           ndocuments;
    uint32_t                            *document_slots;
    uint32_t                             document_mask;
    ngx_uint_t                           documents_only;

    ngx_array_t                          sources;   /* agg_gql_source_t */
    agg_gql_schema_t                     schema;
    u_char                              *reaches;

    ngx_queue_t                          plans;     /* the last used first */
    ngx_rbtree_t                         plan_tree;
    ngx_rbtree_node_t                    plan_sentinel;
    uint64_t                             plan_key[2];
    size_t                               plan_size;
} ngx_http_aggregate_graphql_conf_t;


typedef struct {
    ngx_http_aggregate_graphql_conf_t   *conf;
} ngx_http_aggregate_graphql_loc_conf_t;


/* binding->data of a field: its data for the subrequest engine */

typedef struct {
    ngx_str_t                            name;      /* the coordinate */
    ngx_http_aggregate_header_name_t    *headers;
    ngx_array_t                         *accept;
    ngx_array_t                         *pass_headers;
    ngx_http_aggregate_shape_t          *shape;     /* select and limit, NULL:
                                                       none, or by variable */
    agg_patterns_t                      *patterns;  /* if it is not used */
    ngx_uint_t                           method;
    ngx_str_t                            method_name;
    ngx_http_aggregate_held_t           *held;      /* by reason; NULL: the
                                                       worker had no failure */
} ngx_http_aggregate_graphql_field_t;


/* a call's fetch; what concerns the response is that of its leader */

typedef struct {
    ngx_http_aggregate_fetch_t           fetch;
    ngx_http_aggregate_clock_t           clock;
    ngx_array_t                         *pass_headers;  /* of all fields that
                                                           use the response */

    unsigned                             united:1;  /* of several fields */
    unsigned                             merged:1;
} ngx_http_aggregate_graphql_fetch_t;


/* the plans of an operation, one for each set of conditions */

#define NGX_HTTP_AGGREGATE_GRAPHQL_VARIANTS  8

typedef struct ngx_http_aggregate_graphql_variant_s
    ngx_http_aggregate_graphql_variant_t;

struct ngx_http_aggregate_graphql_variant_s {
    uint64_t                             mask;
    agg_gql_plan_t                       plan;
    ngx_http_aggregate_graphql_variant_t  *next;
};


typedef struct {
    ngx_rbtree_node_t                    node;
    ngx_queue_t                          queue;
    ngx_http_aggregate_graphql_conf_t   *conf;
    ngx_pool_t                          *pool;
    agg_mem_t                            mem;
    size_t                               size;      /* the memory used in all */
    size_t                               counted;   /* in conf->plan_size */
    ngx_uint_t                           refs;      /* requests that use it */

    agg_gql_source_t                     source;
    agg_str_t                            name;      /* the operation asked for,
                                                       may be empty */
    agg_gql_doc_t                        doc;
    uint32_t                             operation;
    uint32_t                             conditions[AGG_GQL_MAX_CONDITIONS];
    ngx_uint_t                           nconditions;
    ngx_http_aggregate_graphql_variant_t  *variants;
    ngx_uint_t                           nvariants;

    unsigned                             introspection:1;
    unsigned                             cached:1;
} ngx_http_aggregate_graphql_plan_t;


typedef struct ngx_http_aggregate_graphql_ctx_s
    ngx_http_aggregate_graphql_ctx_t;


/* an operation; the request of a batch has several */

typedef struct {
    ngx_http_aggregate_graphql_ctx_t    *ctx;
    agg_gql_request_t                    request;
    agg_str_t                            text;      /* the document; data NULL:
                                                       there is none */
    agg_gql_outcome_e                    outcome;
    ngx_http_aggregate_graphql_plan_t   *plan;
    agg_gql_exec_t                       exec;
    ngx_http_aggregate_join_t           *join;
    uint32_t                             join_root; /* a mutation's root */
    agg_buf_t                            errors;    /* the request's errors */
    ngx_uint_t                           nerrors;
    ngx_str_t                            name;
    u_char                               hash[NGX_HTTP_AGGREGATE_GRAPHQL_HASH];

    unsigned                             hashed:1;
    unsigned                             known:1;   /* name and mutation are */
    unsigned                             persist:1; /* if it is valid */
    unsigned                             hit:1;
    unsigned                             mutation:1;
    unsigned                             running:1;
} ngx_http_aggregate_graphql_op_t;


struct ngx_http_aggregate_graphql_ctx_s {
    ngx_http_request_t                  *request;
    ngx_http_aggregate_graphql_conf_t   *conf;
    agg_mem_t                           *mem;
    agg_gql_media_e                      media;
    ngx_http_aggregate_graphql_op_t     *ops;
    ngx_uint_t                           nops;
    ngx_http_aggregate_fetches_t        *fetches;
    ngx_http_headers_in_t                headers_in;
    ngx_uint_t                           nerrors;
    const char                          *outcome;

    agg_gql_limits_t                     spent;     /* by a batch */

    unsigned                             batch:1;
    unsigned                             get:1;
    unsigned                             introspection:1;
    unsigned                             mask_errors:1;
    unsigned                             partial:1;
    unsigned                             late:1;
    unsigned                             debug:1;
    unsigned                             finished:1;
};


/* ngx_http_aggregate_graphql_module.c */

ngx_uint_t ngx_http_aggregate_graphql_is_on(ngx_http_request_t *r,
    ngx_http_aggregate_graphql_switch_t *s);

/* ngx_http_aggregate_graphql_conf.c */

char *ngx_http_aggregate_graphql_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_aggregate_graphql_schema.c */

char *ngx_http_aggregate_graphql_schema(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf, ngx_array_t *files);
char *ngx_http_aggregate_graphql_documents(ngx_conf_t *cf,
    ngx_http_aggregate_graphql_conf_t *gcf);

/* ngx_http_aggregate_graphql_handler.c */

ngx_http_aggregate_graphql_ctx_t *ngx_http_aggregate_graphql_get_ctx(
    ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_graphql_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_graphql_negotiate(ngx_http_request_t *r,
    agg_gql_media_e *media, int *html);
ngx_int_t ngx_http_aggregate_graphql_progress(
    ngx_http_aggregate_fetches_t *fs);

/* ngx_http_aggregate_graphql_operation.c */

void ngx_http_aggregate_graphql_prepare(ngx_http_aggregate_graphql_op_t *op);
void ngx_http_aggregate_graphql_refuse(ngx_http_aggregate_graphql_op_t *op,
    agg_gql_outcome_e outcome, const char *message);
void ngx_http_aggregate_graphql_start(ngx_http_aggregate_graphql_op_t *op);
void ngx_http_aggregate_graphql_advance(ngx_http_aggregate_graphql_op_t *op);

/* ngx_http_aggregate_graphql_plan.c */

ngx_http_aggregate_graphql_plan_t *ngx_http_aggregate_graphql_plan_find(
    ngx_http_aggregate_graphql_op_t *op);
ngx_http_aggregate_graphql_plan_t *ngx_http_aggregate_graphql_plan_create(
    ngx_http_aggregate_graphql_op_t *op);
void ngx_http_aggregate_graphql_plan_keep(
    ngx_http_aggregate_graphql_plan_t *plan);
void ngx_http_aggregate_graphql_plan_release(
    ngx_http_aggregate_graphql_plan_t *plan);
void ngx_http_aggregate_graphql_plans_init(
    ngx_http_aggregate_graphql_conf_t *gcf);
void ngx_http_aggregate_graphql_plans_free(void *data);

/* ngx_http_aggregate_graphql_persisted.c; more: NULL, or what follows text */

ngx_int_t ngx_http_aggregate_graphql_sha256(u_char *hash, agg_str_t *text,
    agg_str_t *more);

char *ngx_http_aggregate_graphql_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_aggregate_graphql_persisted_get(ngx_shm_zone_t *zone,
    u_char *hash, ngx_pool_t *pool, agg_str_t *text);
void ngx_http_aggregate_graphql_persisted_put(ngx_shm_zone_t *zone,
    u_char *hash, agg_str_t *text);
ngx_http_aggregate_graphql_document_t *ngx_http_aggregate_graphql_document(
    ngx_http_aggregate_graphql_conf_t *gcf, agg_str_t *id);

/* ngx_http_aggregate_graphql_fetch.c */

agg_rc_e ngx_http_aggregate_graphql_variable(void *ctx, int index,
    agg_str_t *value);
agg_rc_e ngx_http_aggregate_graphql_fetch(void *ctx, agg_gql_call_t *call);

/* ngx_http_aggregate_graphql_answer.c */

ngx_int_t ngx_http_aggregate_graphql_answer(
    ngx_http_aggregate_graphql_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_graphql_error(ngx_http_request_t *r,
    agg_gql_outcome_e outcome, const char *message);

/* ngx_http_aggregate_graphql_headers.c */

typedef struct {
    const agg_gql_field_t               *field;
    ngx_str_t                            name;
    ngx_http_aggregate_reason_e          reason;
    ngx_uint_t                           status;
    ngx_msec_t                           start;
    ngx_msec_t                           end;
    uint64_t                             usec;

    unsigned                             ran:1;
    unsigned                             failed:1;
    unsigned                             too_many:1;
} ngx_http_aggregate_graphql_field_state_t;

ngx_int_t ngx_http_aggregate_graphql_headers(
    ngx_http_aggregate_graphql_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_graphql_states(
    ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_graphql_field_state_t **states, ngx_uint_t *n);

/* ngx_http_aggregate_graphql_variables.c */

ngx_int_t ngx_http_aggregate_graphql_add_variables(ngx_conf_t *cf);

/* ngx_http_aggregate_graphql_ide.c */

ngx_int_t ngx_http_aggregate_graphql_ide(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_aggregate_graphql_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_GRAPHQL_H_INCLUDED_ */
