
/* declarations shared by the glue of gRPC and JSON over grpc_pass */


#ifndef _NGX_HTTP_AGGREGATE_GRPC_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_GRPC_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"
#include "ngx_http_aggregate_ctx.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_held.h"
#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_send.h"
#include "agg_grpc_call.h"
#include "agg_grpc_rule.h"
#include "agg_pb_bind.h"
#include "agg_pb_from_json.h"
#include "agg_pb_merge.h"
#include "agg_pb_status.h"
#include "agg_pb_to_json.h"
#include "agg_pb_wire.h"
#include "agg_websocket.h"


#pragma GCC visibility push(hidden)


/* flags of "aggregate_grpc_print" */

#define NGX_HTTP_AGGREGATE_GRPC_PRINT_OFF       0x01
#define NGX_HTTP_AGGREGATE_GRPC_PRINT_ALWAYS    0x02
#define NGX_HTTP_AGGREGATE_GRPC_PRINT_INTS      0x04
#define NGX_HTTP_AGGREGATE_GRPC_PRINT_PROTO     0x08


/* estimates of the memory for JSON exceed its length by less than this */

#define NGX_HTTP_AGGREGATE_GRPC_SPARE           128


/* "aggregate_grpc_stream": chosen by Accept, or one of agg_grpc_form_e */

#define NGX_HTTP_AGGREGATE_GRPC_AUTO            ((ngx_uint_t) -2)


typedef struct {
    ngx_str_t                     name;
    ngx_str_t                     bytes;
    u_char                       *file;
    ngx_uint_t                    line;
} ngx_http_aggregate_grpc_file_t;


typedef struct {
    ngx_array_t                   files;
    ngx_array_t                   calls;        /* of aggregate_grpc */
    agg_pb_pool_t                *pool;
    ngx_module_t                 *module;       /* that of grpc_pass */
    ngx_http_handler_pt           handler;      /* that of grpc_pass */
    ngx_array_t                   variables;    /* ngx_uint_t, read early */
    ngx_uint_t                    trailers;     /* index of the variable that
                                                   grpc_pass has for TE, + 1 */
} ngx_http_aggregate_grpc_main_conf_t;


/*
 * a method, and how a request is converted to its message: the data of a rule
 */

typedef struct {
    const agg_pb_method_t        *method;
    ngx_str_t                     uri;          /* "/pkg.Service/Method",
                                                   escaped */
    ngx_str_t                     name;         /* without the first slash */
    const agg_pb_field_t         *body;         /* NULL: the message */
    const agg_pb_field_t         *response;     /* NULL: the message */
    agg_pb_path_t                *paths;        /* of the rule's variables */

    unsigned                      has_body:1;
    unsigned                      raw_body:1;   /* HttpBody */
    unsigned                      raw_response:1;
} ngx_http_aggregate_grpc_binding_t;


/* an "aggregate_grpc" directive */

typedef struct {
    ngx_array_t                   services;     /* ngx_str_t, as written */
    ngx_str_t                     strip;
    u_char                       *file;
    ngx_uint_t                    line;
    agg_grpc_rules_t              rules;
    ngx_http_aggregate_grpc_binding_t  *post;   /* SERVICE/METHOD */
    ngx_http_aggregate_grpc_binding_t  *get;

    unsigned                      automatic:1;
    unsigned                      by_get:1;
    unsigned                      off:1;
} ngx_http_aggregate_grpc_call_t;


typedef struct {
    ngx_http_aggregate_grpc_call_t  *call;
    ngx_uint_t                    print;
    ngx_array_t                  *ignored;      /* names of parameters */
    ngx_uint_t                    ignore;
    ngx_uint_t                    stream;
    ngx_msec_t                    ping;
    ngx_uint_t                    status_errors;
    ngx_msec_t                    timeout;
    size_t                        max_message;
    size_t                        max_response;
    ngx_flag_t                    websocket;
    ngx_msec_t                    ws_ping;
    size_t                        max_frame;
    ngx_array_t                  *origins;
    u_char                       *ws_file;      /* of the directive */
    ngx_uint_t                    ws_line;

    agg_pb_print_t                json;         /* from print */
} ngx_http_aggregate_grpc_loc_conf_t;


typedef enum {
    NGX_HTTP_AGGREGATE_GRPC_UNARY = 0,
    NGX_HTTP_AGGREGATE_GRPC_ARRAY,
    NGX_HTTP_AGGREGATE_GRPC_NDJSON,
    NGX_HTTP_AGGREGATE_GRPC_SSE,
    NGX_HTTP_AGGREGATE_GRPC_RAW,                /* a stream of HttpBody */
    NGX_HTTP_AGGREGATE_GRPC_WEBSOCKET
} ngx_http_aggregate_grpc_form_e;


typedef struct ngx_http_aggregate_grpc_block_s
    ngx_http_aggregate_grpc_block_t;


typedef struct {
    ngx_http_request_t           *request;
    ngx_http_aggregate_grpc_main_conf_t  *mcf;
    ngx_http_aggregate_grpc_loc_conf_t  *conf;
    ngx_http_aggregate_grpc_binding_t   *binding;
    agg_grpc_match_t             *match;
    ngx_http_aggregate_grpc_form_e  form;

    agg_mem_t                     mem;
    ngx_http_aggregate_grpc_block_t  *blocks;

    agg_buf_t                     wire;         /* the request's frames */
    ngx_buf_t                     request_buf;
    ngx_chain_t                   request_chain;

    ngx_http_upstream_t          *upstream;
    ngx_int_t                   (*create_request)(ngx_http_request_t *r);
    ngx_int_t                   (*process_header)(ngx_http_request_t *r);
    ngx_int_t                   (*input_filter_init)(void *data);
    ngx_int_t                   (*input_filter)(void *data, ssize_t bytes);
    void                         *input_filter_ctx;
    ngx_output_chain_filter_pt    output_filter;
    void                        (*finalize_request)(ngx_http_request_t *r,
                                                    ngx_int_t rc);

    agg_grpc_reader_t             reader;
    agg_buf_t                     json;         /* of unary calls, arrays */
    ngx_str_t                     type;         /* of a HttpBody */
    ngx_uint_t                    messages;

    long                          code;         /* -1: none */
    ngx_uint_t                    status;
    ngx_str_t                     detail;
    ngx_str_t                     details;      /* the header's value */
    agg_buf_t                     error;        /* the body of an error */
    int64_t                       retry_after;

    ngx_msec_t                    deadline;
    ngx_msec_t                    last_sent;
    ngx_event_t                   timer;
    ngx_event_t                   ping;

    agg_ws_t                      ws_reader;
    ngx_chain_t                  *ws_in;        /* read, not parsed */
    ngx_chain_t                  *ws_bufs;      /* messages to the backend */
    ngx_http_event_handler_pt     ws_read_handler;
    ngx_buf_t                     ws_control_buf;
    u_char                        ws_control[AGG_WS_HEAD + AGG_WS_CONTROL];

    unsigned                      has_deadline:1;
    unsigned                      part_deadline:1;  /* its owner's timer */
    unsigned                      keepalive:1;
    unsigned                      refused:1;    /* by us, without a call */
    unsigned                      header_in:1;  /* that of the upstream */
    unsigned                      in_body:1;
    unsigned                      not_grpc:1;
    unsigned                      local:1;      /* nginx's own error */
    unsigned                      trailers_only:1;
    unsigned                      vary:1;       /* the form, by Accept */
    unsigned                      no_store:1;
    unsigned                      held:1;       /* the header */
    unsigned                      header_only:1;  /* the request's, if held */
    unsigned                      released:1;
    unsigned                      ended:1;      /* the response is known */
    unsigned                      failed:1;
    unsigned                      skip_flush:1;
    unsigned                      cut:1;        /* instead of the last byte */
    unsigned                      replaced:1;   /* a page of nginx's */
    unsigned                      replacement_sent:1;
    unsigned                      ws:1;
    unsigned                      ws_half_closed:1;
    unsigned                      ws_closed:1;
    unsigned                      ws_alive:1;
} ngx_http_aggregate_grpc_ctx_t;


/* ngx_http_aggregate_grpc_module.c */

extern uint64_t  ngx_http_aggregate_grpc_key[2];

/* ngx_http_aggregate_grpc_conf.c */

char *ngx_http_aggregate_grpc_descriptor(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_grpc_load(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf);
char *ngx_http_aggregate_grpc_pass_handler(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf);

/* ngx_http_aggregate_grpc_rules.c */

char *ngx_http_aggregate_grpc_compile(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf,
    ngx_http_aggregate_grpc_call_t *call);

/* ngx_http_aggregate_grpc_memory.c */

void ngx_http_aggregate_grpc_mem_init(ngx_http_aggregate_grpc_ctx_t *ctx);
void ngx_http_aggregate_grpc_mem_free(ngx_http_aggregate_grpc_ctx_t *ctx);
agg_mem_t *ngx_http_aggregate_grpc_pool_mem(ngx_pool_t *pool);

/* ngx_http_aggregate_grpc_handler.c */

ngx_int_t ngx_http_aggregate_grpc_handler(ngx_http_request_t *r);
ngx_http_aggregate_grpc_ctx_t *ngx_http_aggregate_grpc_create_ctx(
    ngx_http_request_t *r);
ngx_http_aggregate_grpc_ctx_t *ngx_http_aggregate_grpc_find_ctx(
    ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_grpc_refuse(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_uint_t status, agg_grpc_code_e code, const u_char *text, size_t len);

#define ngx_http_aggregate_grpc_refuse_text(ctx, status, code, text)          \
    ngx_http_aggregate_grpc_refuse(ctx, status, code, (u_char *) text,        \
                                   sizeof(text) - 1)

/* ngx_http_aggregate_grpc_message.c */

ngx_int_t ngx_http_aggregate_grpc_message(
    ngx_http_aggregate_grpc_ctx_t *ctx);

/* makes the messages of ctx->wire the body of the request to the backend */

void ngx_http_aggregate_grpc_set_request(
    ngx_http_aggregate_grpc_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_grpc_one(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *json, ngx_uint_t bind);

/* ngx_http_aggregate_grpc_websocket.c */

ngx_uint_t ngx_http_aggregate_grpc_ws_wanted(
    ngx_http_aggregate_grpc_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_grpc_ws_start(
    ngx_http_aggregate_grpc_ctx_t *ctx);
void ngx_http_aggregate_grpc_ws_frame(ngx_buf_t *b);
size_t ngx_http_aggregate_grpc_ws_close(ngx_http_aggregate_grpc_ctx_t *ctx,
    u_char *frame);
void ngx_http_aggregate_grpc_ws_watch(ngx_http_aggregate_grpc_ctx_t *ctx);
void ngx_http_aggregate_grpc_ws_late(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_uint_t status);
void ngx_http_aggregate_grpc_ws_init(void);

/* ngx_http_aggregate_grpc_headers.c */

ngx_int_t ngx_http_aggregate_grpc_headers(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_list_t *list);
ngx_uint_t ngx_http_aggregate_grpc_lists(ngx_http_request_t *r,
    const char *name, size_t len);
ngx_int_t ngx_http_aggregate_grpc_deadline(
    ngx_http_aggregate_grpc_ctx_t *ctx);
ngx_str_t *ngx_http_aggregate_grpc_find_header(ngx_list_t *list,
    const char *name, size_t len);

/* ngx_http_aggregate_grpc_upstream.c */

void ngx_http_aggregate_grpc_hook(ngx_http_aggregate_grpc_ctx_t *ctx);
void ngx_http_aggregate_grpc_broken(ngx_http_aggregate_grpc_ctx_t *ctx,
    const char *reason);

/* ngx_http_aggregate_grpc_response.c */

ngx_int_t ngx_http_aggregate_grpc_take(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *wire);
ngx_int_t ngx_http_aggregate_grpc_finish(ngx_http_aggregate_grpc_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_grpc_late(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_uint_t status);

/* ngx_http_aggregate_grpc_error.c */

ngx_int_t ngx_http_aggregate_grpc_error_body(
    ngx_http_aggregate_grpc_ctx_t *ctx);

/* ngx_http_aggregate_grpc_filter.c */

ngx_int_t ngx_http_aggregate_grpc_filter_init(ngx_conf_t *cf);
ngx_int_t ngx_http_aggregate_grpc_send_header(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_uint_t status, ngx_str_t *type,
    off_t length);

/* ngx_http_aggregate_grpc_variables.c */

ngx_int_t ngx_http_aggregate_grpc_add_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_aggregate_grpc_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_GRPC_H_INCLUDED_ */
