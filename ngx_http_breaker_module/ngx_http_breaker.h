

#ifndef _NGX_HTTP_BREAKER_H_INCLUDED_
#define _NGX_HTTP_BREAKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "brk_outcome.h"
#include "brk_table.h"
#include "gw_prometheus.h"
#include "ngx_http_breaker_compat.h"
#include "ngx_http_gw_origin.h"


#pragma GCC visibility push(hidden)


typedef struct {
    ngx_str_t                    name;
    ngx_shm_zone_t              *shm_zone;
    ngx_slab_pool_t             *shpool;
    brk_table_t                 *table;
    uint64_t                     repaired;    /* repairs logged so far */
    time_t                       full;        /* when that was logged */
} ngx_http_breaker_zone_t;


typedef struct {
    ngx_str_t                    name;
    brk_policy_t                 policy;
    brk_rules_t                  rules;

    /* calls of this worker that have no response header yet */

    ngx_queue_t                  link;        /* to policies that have some */
    ngx_queue_t                  calls;       /* by their start */
    ngx_queue_t                  late;        /* older than "slow_call" */
    unsigned                     watched:1;
} ngx_http_breaker_policy_t;


/* a place in the configuration, for errors that show up later */

typedef struct {
    u_char                      *file;
    ngx_uint_t                   line;
} ngx_http_breaker_place_t;


/* a key that was looked up recently, with its hash and its place */

#define NGX_HTTP_BREAKER_KNOWN  8

typedef struct {
    brk_key_t                    key;
    brk_permit_t                 hint;        /* where it was found */
    u_char                       text[BRK_KEY_MAX];
} ngx_http_breaker_known_t;


/* a "breaker" directive */

typedef struct {
    ngx_http_complex_value_t     key;
    ngx_int_t                    index;       /* if that is one variable */
    ngx_http_breaker_zone_t     *zone;
    ngx_http_breaker_policy_t   *policy;
    ngx_str_t                    zone_name;
    ngx_str_t                    policy_name;
    ngx_http_breaker_place_t     place;
    ngx_http_breaker_known_t    *known;       /* one, if it is a literal */
    unsigned                     hashed:1;    /* a literal, and known */
    unsigned                     dry_run:1;
} ngx_http_breaker_guard_t;


typedef struct {
    ngx_uint_t                   code;
    ngx_str_t                    type;
    ngx_http_complex_value_t    *body;
    ngx_array_t                 *pieces;      /* the pieces of a JSON body */
    ngx_str_t                    name;        /* a named location's name */
    ngx_http_breaker_place_t     place;
} ngx_http_breaker_fallback_t;


/* a piece of a JSON body: as it is, or a value that goes into a string */

typedef struct {
    ngx_http_complex_value_t     value;
    unsigned                     variable:1;
} ngx_http_breaker_piece_t;


/* a named location that a server must have */

typedef struct {
    ngx_http_core_srv_conf_t    *cscf;
    ngx_http_breaker_fallback_t *fallback;
} ngx_http_breaker_named_t;


typedef struct {
    ngx_array_t                  zones;       /* ngx_http_breaker_zone_t * */
    ngx_array_t                  policies;    /* ngx_http_breaker_policy_t * */
    ngx_array_t                  guards;      /* ngx_http_breaker_guard_t * */
    ngx_array_t                  named;       /* ngx_http_breaker_named_t */
} ngx_http_breaker_main_conf_t;


typedef struct {
    ngx_http_breaker_guard_t    *guard;
    ngx_http_breaker_fallback_t *fallback;
    ngx_uint_t                   log_level;
    ngx_uint_t                   status;      /* unsigned  status:1; */
} ngx_http_breaker_loc_conf_t;


typedef enum {
    NGX_HTTP_BREAKER_NONE = 0,
    NGX_HTTP_BREAKER_PASS,
    NGX_HTTP_BREAKER_PROBE,
    NGX_HTTP_BREAKER_REJECT,
    NGX_HTTP_BREAKER_DRY_REJECT
} ngx_http_breaker_result_e;


/* a breaker: its zone and its key */

typedef struct {
    ngx_http_breaker_zone_t     *zone;
    ngx_str_t                    key;
} ngx_http_breaker_subject_t;


/* a breaker that rejected a request, and in which location */

typedef struct ngx_http_breaker_refused_s  ngx_http_breaker_refused_t;

struct ngx_http_breaker_refused_s {
    ngx_http_breaker_subject_t   subject;
    ngx_str_t                   *location;
    ngx_http_breaker_refused_t  *next;
};


/*
 * One for each request that met a breaker; it survives internal redirects,
 * which wipe r->ctx, as the data of its own cleanup of the pool.
 */

typedef struct ngx_http_breaker_ctx_s  ngx_http_breaker_ctx_t;

struct ngx_http_breaker_ctx_s {
    ngx_http_request_t          *request;
    ngx_pool_cleanup_t           cleanup;
    ngx_http_breaker_ctx_t      *next;        /* free ones */
    ngx_rbtree_node_t            node;        /* of a subrequest */

    ngx_http_breaker_subject_t   subject;
    ngx_http_breaker_policy_t   *policy;
    brk_permit_t                 permit;
    brk_outcome_t                outcome;

    ngx_http_handler_pt          handler;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_upstream_t         *before;      /* r->upstream at the start */
    ngx_http_upstream_t         *upstream;    /* the one that ends the call */
    ngx_int_t                  (*create_request)(ngx_http_request_t *r);
    void                       (*finalize_request)(ngx_http_request_t *r,
                                                   ngx_int_t rc);
    ngx_uint_t                   states;      /* r->upstream_states so far */
    ngx_uint_t                   round;
    ngx_msec_t                   start;
    ngx_queue_t                  queue;       /* the policy's queue */
    ngx_uint_t                   log_level;

    ngx_http_breaker_refused_t   refused;     /* the first rejection */

    /* for the variables: the last one that was met, or that rejected it */

    ngx_http_breaker_result_e    result;
    ngx_uint_t                   state;

    unsigned                     held:1;      /* a permit, not settled yet */
    unsigned                     probe:1;
    unsigned                     decided:1;   /* the outcome is known */
    unsigned                     started:1;   /* the content handler ran */
    unsigned                     settled:1;   /* a probe, at its header */
    unsigned                     queued:1;
    unsigned                     grpc:1;      /* failed by a code of gRPC */
    unsigned                     rejected:1;
    unsigned                     indexed:1;   /* the node is in the tree */
};


/* conf */

char *ngx_http_breaker_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_breaker(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_breaker_fallback(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_breaker_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

ngx_int_t ngx_http_breaker_warnings(ngx_conf_t *cf);
ngx_int_t ngx_http_breaker_resolve(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf);
ngx_int_t ngx_http_breaker_add_named(ngx_conf_t *cf,
    ngx_http_breaker_fallback_t *fallback);
ngx_int_t ngx_http_breaker_check_named(ngx_conf_t *cf,
    ngx_http_breaker_main_conf_t *bmcf);
/* the policy of a key, NULL: it depends on the location */
ngx_http_breaker_policy_t *ngx_http_breaker_policy_of(
    ngx_http_breaker_main_conf_t *bmcf, ngx_http_breaker_zone_t *zone,
    ngx_str_t *key);
ngx_uint_t ngx_http_breaker_has_named(ngx_http_core_srv_conf_t *cscf,
    ngx_str_t *name);

void ngx_http_breaker_policy_init(ngx_http_breaker_policy_t *policy);


ngx_int_t ngx_http_breaker_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);


/* zone: each takes the lock, if it has to, does its work, logs a transition */

ngx_int_t ngx_http_breaker_zone_init(ngx_shm_zone_t *shm_zone, void *data);

brk_verdict_e ngx_http_breaker_acquire(ngx_http_breaker_ctx_t *ctx,
    ngx_http_breaker_guard_t *guard, brk_key_t *key, ngx_log_t *log);
void ngx_http_breaker_settle(ngx_http_breaker_ctx_t *ctx, ngx_log_t *log);
void ngx_http_breaker_overdue(ngx_http_breaker_ctx_t *ctx, ngx_log_t *log);
void ngx_http_breaker_late(ngx_http_breaker_ctx_t *ctx, ngx_uint_t probe,
    ngx_log_t *log);
void ngx_http_breaker_await(ngx_http_breaker_zone_t *zone,
    brk_permit_t *permit, ngx_log_t *log);
void ngx_http_breaker_resume(ngx_http_breaker_zone_t *zone,
    ngx_http_breaker_policy_t *policy, brk_permit_t *permit, ngx_log_t *log);

/* NGX_DECLINED: there is no such key */
ngx_int_t ngx_http_breaker_force(ngx_http_breaker_zone_t *zone, brk_key_t *key,
    brk_state_e state, brk_event_t *event, ngx_log_t *log);

/* copies; NGX_DECLINED: no such key, or the slot is free */
ngx_int_t ngx_http_breaker_peek(ngx_http_breaker_zone_t *zone, brk_key_t *key,
    brk_slot_t *slot, ngx_log_t *log);
ngx_int_t ngx_http_breaker_peek_at(ngx_http_breaker_zone_t *zone,
    ngx_uint_t index, brk_slot_t *slot, ngx_log_t *log);


/* request */

ngx_int_t ngx_http_breaker_handler(ngx_http_request_t *r);
void ngx_http_breaker_observe(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
ngx_http_breaker_ctx_t *ngx_http_breaker_get_ctx(ngx_http_request_t *r);

/* an internal redirect wipes r->ctx, and so does a filter's error */
#define ngx_http_breaker_has_ctx(r)                                           \
    (ngx_http_get_module_ctx(r, ngx_http_breaker_module)                      \
     || (r)->uri_changes != NGX_HTTP_MAX_URI_CHANGES + 1                      \
     || (r)->filter_finalize)

/* observes the end of the upstream, and the response header of a probe */
void ngx_http_breaker_hook_upstream(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_http_upstream_t *u);

/* key */

/* in "room", or where it is known; NULL: it is empty, or cannot be made */
brk_key_t *ngx_http_breaker_get_key(ngx_http_request_t *r,
    ngx_http_breaker_guard_t *guard, brk_key_t *room, brk_permit_t **hint);

/* the key as it is stored: one that is too long is cut and gets a digest */
ngx_int_t ngx_http_breaker_make_key(ngx_pool_t *pool,
    ngx_http_breaker_zone_t *zone, ngx_str_t *text, brk_key_t *key);


/* judge: each sets the outcome */

/* from outside: a header goes out, or the request has been redirected */
void ngx_http_breaker_observe_response(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_uint_t redirected);
void ngx_http_breaker_judge_status(ngx_http_breaker_ctx_t *ctx,
    ngx_uint_t status);
void ngx_http_breaker_judge_upstream(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_http_upstream_t *u, ngx_int_t rc);

#define ngx_http_breaker_is_grpc(u)                                           \
    ((u)->schema.len > 4 && ngx_memcmp((u)->schema.data, "grpc", 4) == 0)

/* the common case: one try, a good status, in time */

#define ngx_http_breaker_is_success(r, ctx, u, rc)                            \
    ((rc) == NGX_OK && (u)->state && (u)->state->peer                         \
     && (u)->state->status >= NGX_HTTP_OK                                     \
     && (u)->state->status < NGX_HTTP_BAD_REQUEST                             \
     && (r)->upstream_states->nelts == (ctx)->states + 1                      \
     && !ngx_http_breaker_is_grpc(u)                                          \
     && ((ctx)->policy->rules.slow_call == 0                                  \
         || (u)->state->header_time <= (ctx)->policy->rules.slow_call))

void ngx_http_breaker_judge_neutral(ngx_http_breaker_ctx_t *ctx);


/* the time of all tries since the permit; with "header", to the last header */
ngx_msec_t ngx_http_breaker_time(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_uint_t header);


/* watch: calls that have no response header after "slow_call" */

void ngx_http_breaker_watch_init(ngx_http_breaker_policy_t *policy);
void ngx_http_breaker_watch_start(ngx_http_breaker_policy_t *policy);

#define ngx_http_breaker_watch(ctx)                                           \
                                                                              \
    ngx_queue_insert_tail(&(ctx)->policy->calls, &(ctx)->queue);              \
    (ctx)->queued = 1;                                                        \
                                                                              \
    if (!(ctx)->policy->watched) {                                            \
        ngx_http_breaker_watch_start((ctx)->policy);                          \
    }

#define ngx_http_breaker_unwatch(ctx)                                         \
                                                                              \
    if ((ctx)->queued) {                                                      \
        ngx_queue_remove(&(ctx)->queue);                                      \
        (ctx)->queued = 0;                                                    \
    }


/* fallback */

ngx_int_t ngx_http_breaker_fallback_json(ngx_conf_t *cf,
    ngx_http_breaker_fallback_t *fallback, ngx_str_t *body);
ngx_int_t ngx_http_breaker_fallback_send(ngx_http_request_t *r,
    ngx_http_breaker_fallback_t *fallback);


/* status */

ngx_int_t ngx_http_breaker_status_handler(ngx_http_request_t *r);


/* report */

/* a report on a breaker: a copy, so that no lock is held while it is used */

typedef struct {
    ngx_http_breaker_zone_t     *zone;
    ngx_str_t                    key;
    ngx_str_t                    shown;       /* printable */
    brk_sum_t                    sum;
    brk_totals_t                 totals;
    uint32_t                     state;
    uint32_t                     why;
    uint32_t                     consecutive;
    uint32_t                     succeeded;
    uint32_t                     live;
    int64_t                      age;         /* ms in this state */
    int64_t                      left;        /* ms until half-open */
} ngx_http_breaker_row_t;


typedef struct {
    ngx_array_t                  zones;       /* ngx_http_breaker_zone_t * */
    ngx_array_t                  rows;        /* ngx_http_breaker_row_t */
    ngx_uint_t                   omitted;     /* too many */
    ngx_http_breaker_main_conf_t *conf;
    ngx_str_t                    filter;      /* the page's: a part of a key */
    ngx_str_t                    state;       /* the page's: only this state */
} ngx_http_breaker_report_t;


/* a text that grows; a failed allocation is reported at its end */

typedef struct {
    gw_out_t                     out;
    ngx_pool_t                  *pool;
    ngx_chain_t                 *first;
    ngx_chain_t                 *last;
    off_t                        size;        /* the size when it is whole */
} ngx_http_breaker_text_t;


/* collects the breakers of one zone or of all, of one key or of all */
ngx_int_t ngx_http_breaker_collect(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, ngx_str_t *key,
    ngx_http_breaker_report_t *report);

void ngx_http_breaker_text_init(ngx_http_breaker_text_t *text,
    ngx_pool_t *pool);
void ngx_http_breaker_write(ngx_http_breaker_text_t *text, const char *fmt,
    ...);
ngx_int_t ngx_http_breaker_text_end(ngx_http_breaker_text_t *text);

void ngx_http_breaker_json(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report);
void ngx_http_breaker_json_change(ngx_http_breaker_text_t *text,
    ngx_http_breaker_zone_t *zone, ngx_str_t *key, ngx_str_t *action,
    brk_event_t *event);
void ngx_http_breaker_json_error(ngx_http_breaker_text_t *text,
    const char *message);
void ngx_http_breaker_prometheus(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report);
void ngx_http_breaker_html(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report);


extern ngx_module_t  ngx_http_breaker_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_BREAKER_H_INCLUDED_ */
