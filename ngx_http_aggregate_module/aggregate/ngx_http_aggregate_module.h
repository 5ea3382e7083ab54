
#ifndef _NGX_HTTP_AGGREGATE_MODULE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_MODULE_H_INCLUDED_


#include "ngx_http_aggregate_ctx.h"
#include "ngx_http_aggregate_failure_log.h"
#include "ngx_http_aggregate_fetch.h"
#include "ngx_http_aggregate_header_list.h"
#include "agg_freshness.h"
#include "agg_graph.h"
#include "agg_merge.h"
#include "agg_template.h"


#pragma GCC visibility push(hidden)


/* the safe methods, as nginx stores methods */
#define NGX_HTTP_AGGREGATE_SAFE     (NGX_HTTP_GET|NGX_HTTP_HEAD)

/* the part that "${item.path}" names, and none */
#define NGX_HTTP_AGGREGATE_ITEM     -2
#define NGX_HTTP_AGGREGATE_NO_PART  -1


/* a line of the configuration */

typedef struct {
    ngx_str_t                        file;
    ngx_uint_t                       line;
} ngx_http_aggregate_where_t;


typedef struct {
    ngx_http_aggregate_header_name_t   name;
    agg_template_t                     value;
    ngx_http_aggregate_where_t         where;
} ngx_http_aggregate_header_t;


typedef enum {
    NGX_HTTP_AGGREGATE_NO_BODY = 0,
    NGX_HTTP_AGGREGATE_REQUEST_BODY,
    NGX_HTTP_AGGREGATE_TEMPLATE_BODY
} ngx_http_aggregate_body_e;


typedef struct ngx_http_aggregate_backend_s  ngx_http_aggregate_backend_t;
typedef struct ngx_http_aggregate_block_s    ngx_http_aggregate_block_t;


/* a "backend" block */

struct ngx_http_aggregate_backend_s {
    ngx_http_aggregate_block_t      *block;
    ngx_str_t                        name;
    ngx_uint_t                       number;        /* as declared, from 0 */
    ngx_http_aggregate_where_t       where;

    agg_template_t                   uri;
    ngx_array_t                     *headers;
                                           /* ngx_http_aggregate_header_t */
    ngx_http_aggregate_body_e        body;
    agg_template_t                   body_template;
    ngx_http_aggregate_where_t       body_where;

    ngx_str_t                        as;
    ngx_str_t                        key;           /* "\"name\":" */
    ngx_str_t                        default_value;
    ngx_msec_t                       timeout;
    ngx_http_aggregate_where_t       timeout_where;
    ngx_uint_t                       method;
    ngx_str_t                        method_name;
    ngx_int_t                        retry;
    ngx_http_aggregate_where_t       retry_where;
    ngx_http_aggregate_hedge_t      *hedge;
    ngx_http_aggregate_where_t       hedge_where;
    ngx_array_t                     *accept;
                                           /* ngx_http_aggregate_range_t */
    ngx_http_aggregate_forward_t    *forward;
    ngx_uint_t                       forward_group;
    ngx_array_t                     *fail_on;       /* agg_path_t * */
    ngx_flag_t                       encoded_slash;
    ngx_array_t                     *pass_headers;  /* ngx_str_t, lower case */
    ngx_int_t                        if_index;

    ngx_str_t                        each;
    ngx_str_t                        each_name;
    ngx_http_aggregate_where_t       each_where;
    ngx_int_t                        each_part;
    agg_path_t                      *each_path;
    ngx_str_t                        into;
    unsigned                         into_slot;     /* in the host's shape */

    ngx_http_aggregate_shape_t      *shape;
    ngx_http_aggregate_shape_t      *default_shape; /* "into" of a default */
    agg_patterns_t                  *patterns;      /* without a shape */

    ngx_uint_t                       intos;         /* parts put into it */

    ngx_array_t                      needs;         /* ngx_uint_t */

    ngx_http_aggregate_held_t        held[NGX_HTTP_AGGREGATE_INTERNAL + 1];
                                                    /* by reason */

    unsigned                         merge:1;
    unsigned                         hidden:1;
    unsigned                         required:1;
    unsigned                         string:1;
    unsigned                         encoding_set:1;
    unsigned                         referenced:1;  /* by another part */
    unsigned                         host:1;        /* others go into it */
};


/* an "aggregate" block */

struct ngx_http_aggregate_block_s {
    ngx_http_aggregate_limits_t      limits;
    ngx_uint_t                       on_conflict;
    ngx_str_t                        errors;
    ngx_str_t                        errors_key;    /* "\"name\":" */
    ngx_http_aggregate_methods_t     methods;
    ngx_http_aggregate_forward_t    *forward;

    ngx_array_t                      backends;
                                         /* ngx_http_aggregate_backend_t * */
    ngx_uint_t                       independent;   /* need no other part */
    ngx_uint_t                       forward_groups;

    unsigned                         merge:1;
    unsigned                         request_body:1;
};


typedef struct {
                                       /* ngx_http_aggregate_variable_t */
    uint64_t                         key[2];
    ngx_uint_t                       used;   /* unsigned  used:1; */
} ngx_http_aggregate_main_conf_t;


typedef struct {
    ngx_http_aggregate_block_t      *block;
    ngx_int_t                        debug_index;
    ngx_uint_t                       log_level;
    ngx_flag_t                       expose;
} ngx_http_aggregate_loc_conf_t;


/* the kinds of headers that are forwarded along with the client's body */

#define ngx_http_aggregate_with(backend)                                      \
    ((backend)->body != NGX_HTTP_AGGREGATE_REQUEST_BODY ? 0u                  \
     : ((backend)->method & NGX_HTTP_AGGREGATE_SAFE)                          \
       ? NGX_HTTP_AGGREGATE_WITH_BODY                                         \
       : NGX_HTTP_AGGREGATE_WITH_BODY | NGX_HTTP_AGGREGATE_WITH_CONDITIONS)


typedef struct ngx_http_aggregate_ctx_s   ngx_http_aggregate_ctx_t;
typedef struct ngx_http_aggregate_part_s  ngx_http_aggregate_part_t;


typedef enum {
    NGX_HTTP_AGGREGATE_WAITING = 0,
    NGX_HTTP_AGGREGATE_RUNNING,
    NGX_HTTP_AGGREGATE_DONE
} ngx_http_aggregate_state_e;


struct ngx_http_aggregate_part_s {
    ngx_http_aggregate_ctx_t        *ctx;
    ngx_http_aggregate_backend_t    *conf;
    ngx_http_aggregate_state_e       state;

    ngx_http_aggregate_clock_t       clock;
    ngx_http_aggregate_fetch_t       fetch;         /* without "each" */
    ngx_http_aggregate_fetch_t      *fetches;
    ngx_uint_t                       nfetches;
    ngx_uint_t                       pending;
    ngx_http_aggregate_fetch_t     **elements;      /* NULL: not asked for */
    ngx_uint_t                       nelements;
    size_t                           array_at;      /* in its host's source */

    ngx_msec_t                       end;
    uint64_t                         end_usec;

    ngx_http_aggregate_reason_e      reason;
    ngx_uint_t                       status;        /* 0: none was sent */
    ngx_http_request_t              *response;      /* or its failure */
    ngx_http_aggregate_fetch_t      *failure;       /* the first that failed */
    agg_piece_t                     *lacks;         /* without a value, or
                                                       with a bad one */
    agg_str_t                        value;         /* the answer's member */
    agg_str_t                        source;        /* the JSON others read */

    unsigned                         failed:1;
    unsigned                         client_fault:1;    /* all bad values are
                                                           of variables */
    unsigned                         backend_fault:1;   /* not all */
    unsigned                         skipped:1;
    unsigned                         degraded:1;    /* partly failed */
    unsigned                         defaulted:1;   /* value is "default" */
};


struct ngx_http_aggregate_ctx_s {
    ngx_http_request_t              *request;
    ngx_http_aggregate_block_t      *block;
    ngx_http_aggregate_loc_conf_t   *conf;
    ngx_http_aggregate_fetches_t    *fetches;

    ngx_http_aggregate_part_t       *parts;
    ngx_uint_t                       nparts;
    ngx_uint_t                       waiting;       /* parts, for others */
    ngx_uint_t                       done;          /* parts */

    ngx_http_headers_in_t           *headers_in;    /* by forward group */

#if (NGX_PCRE)
    ngx_uint_t                       ncaptures;     /* the location's */
    int                             *captures;
    u_char                          *captures_data;
#endif

    ngx_uint_t                       status;        /* the answer's status */
    ngx_http_aggregate_part_t       *culprit;

    unsigned                         partial:1;
    unsigned                         failed:1;
    unsigned                         debug:1;
};


/* ngx_http_aggregate_module.c */

ngx_uint_t ngx_http_aggregate_is_debugged(ngx_http_request_t *r);
ngx_http_aggregate_ctx_t *ngx_http_aggregate_get_ctx(ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_keep_ctx(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_conf.c */

char *ngx_http_aggregate_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_aggregate_check.c */

char *ngx_http_aggregate_check(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block);

/* ngx_http_aggregate_handler.c */

ngx_int_t ngx_http_aggregate_handler(ngx_http_request_t *r);

/* ngx_http_aggregate_part.c */

void ngx_http_aggregate_part_start(ngx_http_aggregate_part_t *part);
void ngx_http_aggregate_part_expire(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason);
void ngx_http_aggregate_part_fail(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason, ngx_uint_t status);

/* ngx_http_aggregate_log.c */

void ngx_http_aggregate_log_failure(ngx_http_aggregate_part_t *part,
    ngx_uint_t elements);

/* ngx_http_aggregate_request.c */

ngx_http_aggregate_reason_e ngx_http_aggregate_make_request(
    ngx_http_aggregate_part_t *part, ngx_http_aggregate_fetch_t *fetch,
    agg_str_t *item);
ngx_int_t ngx_http_aggregate_request_headers(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_answer.c */

ngx_int_t ngx_http_aggregate_answer(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_compose.c */

ngx_int_t ngx_http_aggregate_resolve_conflicts(ngx_http_aggregate_ctx_t *ctx,
    agg_merge_t **merge);
ngx_int_t ngx_http_aggregate_compose(ngx_http_aggregate_ctx_t *ctx,
    agg_merge_t *merge, ngx_chain_t **out, off_t *length);
void ngx_http_aggregate_composed(ngx_chain_t *out);
ngx_int_t ngx_http_aggregate_shape_parts(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_headers.c */

ngx_int_t ngx_http_aggregate_answer_headers(ngx_http_aggregate_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_pass(ngx_http_request_t *r,
    ngx_http_request_t *sr, const char *name);
ngx_int_t ngx_http_aggregate_server_timing(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_problem.c */

ngx_int_t ngx_http_aggregate_problem(ngx_http_request_t *r,
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t status);
ngx_int_t ngx_http_aggregate_problem_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
void ngx_http_aggregate_problem_clear(ngx_http_request_t *r);

/* ngx_http_aggregate_variables.c */

ngx_int_t ngx_http_aggregate_add_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_aggregate_module;
extern ngx_command_t  ngx_http_aggregate_block_statements[];


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_MODULE_H_INCLUDED_ */
