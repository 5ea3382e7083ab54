
#ifndef _NGX_HTTP_AGGREGATE_MODULE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_MODULE_H_INCLUDED_


#include "ngx_http_aggregate_breaker.h"
#include "ngx_http_aggregate_ctx.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_shape_conf.h"
#include "agg_freshness.h"
#include "agg_graph.h"
#include "agg_merge.h"
#include "agg_template.h"


#pragma GCC visibility push(hidden)


/* what a backend or an aggregate is asked for, as nginx stores methods */
#define NGX_HTTP_AGGREGATE_SAFE     (NGX_HTTP_GET|NGX_HTTP_HEAD)

/* the part that "${item.path}" names, and none */
#define NGX_HTTP_AGGREGATE_ITEM     -2
#define NGX_HTTP_AGGREGATE_NO_PART  -1


/* why a part failed: the contract's closed list, in the order of its names */

typedef enum {
    NGX_HTTP_AGGREGATE_NO_REASON = 0,
    NGX_HTTP_AGGREGATE_TIMEOUT,
    NGX_HTTP_AGGREGATE_CONNECT,
    NGX_HTTP_AGGREGATE_STATUS,
    NGX_HTTP_AGGREGATE_INVALID_JSON,
    NGX_HTTP_AGGREGATE_ENCODING,
    NGX_HTTP_AGGREGATE_TOO_LARGE,
    NGX_HTTP_AGGREGATE_TRUNCATED,
    NGX_HTTP_AGGREGATE_BAD_URI,
    NGX_HTTP_AGGREGATE_DEPENDENCY,
    NGX_HTTP_AGGREGATE_CONFLICT,
    NGX_HTTP_AGGREGATE_BREAKER_OPEN,
    NGX_HTTP_AGGREGATE_CANCELLED,
    NGX_HTTP_AGGREGATE_INTERNAL
} ngx_http_aggregate_reason_e;


/* statuses that a backend's "accept" names */

typedef struct {
    ngx_uint_t                       least;
    ngx_uint_t                       most;
} ngx_http_aggregate_range_t;


/* a line of the configuration */

typedef struct {
    ngx_str_t                        file;
    ngx_uint_t                       line;
} ngx_http_aggregate_where_t;


typedef struct {
    ngx_uint_t                       all;       /* unsigned  all:1; */
    ngx_array_t                      names;     /* ngx_str_t, lower case */
} ngx_http_aggregate_forward_t;


typedef struct {
    ngx_str_t                        name;
    ngx_str_t                        lowcase_name;
    ngx_uint_t                       hash;
    agg_template_t                   value;
    ngx_http_aggregate_where_t       where;
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
    ngx_uint_t                       method;
    ngx_str_t                        method_name;
    ngx_int_t                        retry;
    ngx_array_t                     *accept;
                                           /* ngx_http_aggregate_range_t */
    ngx_http_aggregate_forward_t    *forward;
    ngx_uint_t                       forward_group;
    ngx_array_t                     *pass_headers;  /* ngx_str_t, lower case */
    ngx_int_t                        if_index;

    ngx_str_t                        each;
    ngx_str_t                        each_name;
    ngx_http_aggregate_where_t       each_where;
    ngx_int_t                        each_part;
    agg_path_t                      *each_path;
    ngx_str_t                        into;
    ngx_str_t                        into_key;      /* escaped */
    unsigned                         into_slot;     /* of the host's shape */

    ngx_http_aggregate_shape_t      *shape;
    ngx_http_aggregate_shape_t      *default_shape; /* "into" of a default */

    ngx_uint_t                       intos;         /* parts put into it */

    ngx_array_t                      needs;         /* ngx_uint_t */

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
    ngx_msec_t                       timeout;
    ngx_int_t                        concurrency;
    ngx_int_t                        max_subrequests;
    size_t                           max_body_size;
    size_t                           max_response_size;
    ngx_uint_t                       on_conflict;
    ngx_str_t                        errors;
    ngx_str_t                        errors_key;    /* "\"name\":" */
    ngx_uint_t                       methods;
    ngx_str_t                        allow;
    ngx_http_aggregate_forward_t    *forward;

    ngx_array_t                      backends;
                                         /* ngx_http_aggregate_backend_t * */
    ngx_uint_t                       forward_groups;

    unsigned                         merge:1;
    unsigned                         request_body:1;
};


typedef struct {
    ngx_array_t                      variables;
                                       /* ngx_http_aggregate_variable_t */
    uint64_t                         key[2];
    ngx_uint_t                       used;   /* unsigned  used:1; */
} ngx_http_aggregate_main_conf_t;


typedef struct {
    ngx_http_aggregate_block_t      *block;
    ngx_int_t                        debug_index;
} ngx_http_aggregate_loc_conf_t;


typedef struct ngx_http_aggregate_ctx_s   ngx_http_aggregate_ctx_t;
typedef struct ngx_http_aggregate_part_s  ngx_http_aggregate_part_t;
typedef struct ngx_http_aggregate_call_s  ngx_http_aggregate_call_t;
typedef struct ngx_http_aggregate_sub_s   ngx_http_aggregate_sub_t;


/* a subrequest: one try of a call */

struct ngx_http_aggregate_sub_s {
    ngx_http_request_t              *request;
    ngx_http_aggregate_call_t       *call;
    ngx_http_aggregate_sub_t        *next;          /* of those that run */
    ngx_http_aggregate_sub_t       **link;
    ngx_http_post_subrequest_t       post;

    agg_shape_run_t                 *run;
    agg_buf_t                        out;
    off_t                            received;

    ngx_http_aggregate_reason_e      reason;

    unsigned                         header:1;      /* its header was seen */
    unsigned                         accepted:1;
    unsigned                         last:1;        /* its body is whole */
    unsigned                         no_body:1;
    unsigned                         no_status:1;
    unsigned                         cached:1;      /* from proxy_cache */
    unsigned                         cancelled:1;
    unsigned                         settled:1;     /* its result is known */
    unsigned                         ended:1;       /* it runs no more */
};


/* what one request to a backend takes and gives, over all its tries */

struct ngx_http_aggregate_call_s {
    ngx_http_aggregate_part_t       *part;
    ngx_http_aggregate_sub_t        *sub;

    ngx_str_t                        uri;
    ngx_str_t                        args;
    ngx_str_t                       *headers;       /* values */
    ngx_str_t                        body;
    ngx_str_t                        item;

    ngx_http_aggregate_call_t       *next;          /* of those to be sent */

    ngx_int_t                        tries;         /* that are left */
    ngx_uint_t                       status;
    ngx_http_aggregate_reason_e      reason;
    ngx_http_aggregate_reason_e      degraded;      /* of one that is used */
    agg_str_t                        value;         /* shaped */
    agg_str_t                        source;        /* what others read */

    unsigned                         done:1;
};


typedef enum {
    NGX_HTTP_AGGREGATE_WAITING = 0,
    NGX_HTTP_AGGREGATE_RUNNING,
    NGX_HTTP_AGGREGATE_DONE
} ngx_http_aggregate_state_e;


struct ngx_http_aggregate_part_s {
    ngx_http_aggregate_ctx_t        *ctx;
    ngx_http_aggregate_backend_t    *conf;
    ngx_http_aggregate_state_e       state;

    ngx_http_aggregate_call_t        call;          /* without "each" */
    ngx_http_aggregate_call_t       *calls;
    ngx_uint_t                       ncalls;
    ngx_uint_t                       pending;
    ngx_http_aggregate_call_t      **elements;      /* NULL: not asked for */
    ngx_uint_t                       nelements;

    ngx_msec_t                       start;
    ngx_msec_t                       end;
    ngx_msec_t                       deadline;
    uint64_t                         start_usec;
    uint64_t                         end_usec;

    ngx_http_aggregate_reason_e      reason;
    ngx_uint_t                       status;
    agg_str_t                        value;         /* of the answer */
    agg_str_t                        source;        /* what others read */
    agg_str_t                        error_value;   /* "default" of a failure */

    unsigned                         started:1;
    unsigned                         failed:1;
    unsigned                         skipped:1;
    unsigned                         degraded:1;    /* partly failed */
    unsigned                         defaulted:1;   /* value is "default" */
};


/* what all aggregates of one client request share */

typedef struct {
    ngx_http_aggregate_ctx_t        *waiting;       /* for a free place */
    ngx_int_t                        running;
    ngx_int_t                        concurrency;
    ngx_int_t                        spent;
    ngx_int_t                        max_subrequests;
} ngx_http_aggregate_root_t;


struct ngx_http_aggregate_ctx_s {
    ngx_http_request_t              *request;
    ngx_http_aggregate_block_t      *block;
    ngx_http_aggregate_root_t       *root;
    ngx_http_aggregate_ctx_t        *next_waiting;

    ngx_http_aggregate_part_t       *parts;
    ngx_uint_t                       nparts;
    ngx_uint_t                       waiting;       /* parts, for others */
    ngx_uint_t                       done;          /* parts */
    ngx_uint_t                       running;       /* subrequests */

    ngx_http_aggregate_call_t       *queue;         /* to be sent */
    ngx_http_aggregate_call_t      **queue_last;
    ngx_http_aggregate_sub_t        *subs;          /* that have not ended */

    ngx_http_headers_in_t           *headers_in;    /* by forward group */

    ngx_event_t                      timer;
    ngx_msec_t                       deadline;
    agg_mem_t                       *mem;

    ngx_uint_t                       status;        /* of the answer */
    ngx_http_aggregate_part_t       *culprit;

    unsigned                         woken:1;
    unsigned                         waits:1;       /* is in root->waiting */
    unsigned                         nested:1;
    unsigned                         debug:1;
    unsigned                         answered:1;
    unsigned                         gone:1;        /* the client is */
    unsigned                         partial:1;
    unsigned                         failed:1;
};


/* ngx_http_aggregate_module.c */

ngx_http_aggregate_ctx_t *ngx_http_aggregate_get_ctx(ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_keep_ctx(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_conf.c */

char *ngx_http_aggregate_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_aggregate_init_variables(ngx_conf_t *cf,
    ngx_http_aggregate_main_conf_t *amcf);
ngx_int_t ngx_http_aggregate_check_variables(ngx_conf_t *cf);

/* ngx_http_aggregate_check.c */

char *ngx_http_aggregate_check(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block);

/* ngx_http_aggregate_handler.c */

ngx_int_t ngx_http_aggregate_handler(ngx_http_request_t *r);
void ngx_http_aggregate_wake(ngx_http_aggregate_ctx_t *ctx);
void ngx_http_aggregate_abort(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_part.c */

void ngx_http_aggregate_part_start(ngx_http_aggregate_part_t *part);
void ngx_http_aggregate_part_started(ngx_http_aggregate_part_t *part);
void ngx_http_aggregate_part_expire(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason);
void ngx_http_aggregate_part_fail(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason, ngx_uint_t status);
void ngx_http_aggregate_call_done(ngx_http_aggregate_call_t *call,
    ngx_http_aggregate_reason_e reason);
void ngx_http_aggregate_enqueue(ngx_http_aggregate_call_t *call);

/* ngx_http_aggregate_request.c */

ngx_http_aggregate_reason_e ngx_http_aggregate_make_request(
    ngx_http_aggregate_call_t *call);
ngx_int_t ngx_http_aggregate_request_headers(ngx_http_aggregate_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_set_headers(ngx_http_request_t *sr,
    ngx_http_aggregate_call_t *call);

/* ngx_http_aggregate_subrequest.c */

ngx_int_t ngx_http_aggregate_send(ngx_http_aggregate_call_t *call);
void ngx_http_aggregate_settle(ngx_http_aggregate_sub_t *sub,
    ngx_http_aggregate_reason_e reason);
void ngx_http_aggregate_cancel(ngx_http_aggregate_sub_t *sub);
ngx_http_aggregate_sub_t *ngx_http_aggregate_get_sub(ngx_http_request_t *r);
ngx_uint_t ngx_http_aggregate_own_error(ngx_http_aggregate_sub_t *sub);
ngx_http_aggregate_reason_e ngx_http_aggregate_status_reason(
    ngx_http_aggregate_sub_t *sub);
ngx_http_aggregate_reason_e ngx_http_aggregate_reason(agg_rc_e rc);

/* ngx_http_aggregate_answer.c */

ngx_int_t ngx_http_aggregate_answer(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_compose.c */

ngx_int_t ngx_http_aggregate_resolve_conflicts(ngx_http_aggregate_ctx_t *ctx,
    agg_merge_t **merge);
ngx_int_t ngx_http_aggregate_compose(ngx_http_aggregate_ctx_t *ctx,
    agg_merge_t *merge, ngx_chain_t **out, off_t *length);
ngx_int_t ngx_http_aggregate_shape_parts(ngx_http_aggregate_ctx_t *ctx);

/* ngx_http_aggregate_headers.c */

ngx_int_t ngx_http_aggregate_answer_headers(ngx_http_aggregate_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_pass(ngx_http_request_t *r,
    ngx_http_request_t *sr, const char *name);
ngx_int_t ngx_http_aggregate_known_cache_control(ngx_http_request_t *r,
    ngx_table_elt_t *h);
ngx_int_t ngx_http_aggregate_server_timing(ngx_http_aggregate_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_failed_parts(ngx_http_aggregate_ctx_t *ctx,
    ngx_str_t *value);

/* ngx_http_aggregate_problem.c */

ngx_int_t ngx_http_aggregate_problem(ngx_http_request_t *r,
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t status);

/* ngx_http_aggregate_variables.c */

ngx_int_t ngx_http_aggregate_add_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_aggregate_module;
extern ngx_module_t  ngx_http_aggregate_block_module;
extern ngx_module_t  ngx_http_aggregate_capture_filter_module;

extern ngx_str_t     ngx_http_aggregate_reasons[];


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_MODULE_H_INCLUDED_ */
