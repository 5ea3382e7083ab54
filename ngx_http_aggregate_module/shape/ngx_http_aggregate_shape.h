
/* named shapes, and the locations that they are applied to */

#ifndef _NGX_HTTP_AGGREGATE_SHAPE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SHAPE_H_INCLUDED_


#include "ngx_http_aggregate_ctx.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_held.h"
#include "ngx_http_aggregate_shape_conf.h"


#pragma GCC visibility push(hidden)


/* "aggregate_apply" */

typedef struct {
    ngx_str_t                        text;      /* NAME or $var */
    ngx_http_complex_value_t        *value;     /* NULL: a name */
    ngx_http_aggregate_named_t      *named;
    ngx_array_t                     *vary;      /* ngx_str_t */
    ngx_array_t                     *types;     /* ngx_str_t, besides JSON's */
    ngx_str_t                        file;
    ngx_uint_t                       line;

    unsigned                         off:1;
    unsigned                         empty_off:1;
    unsigned                         strict:1;
} ngx_http_aggregate_apply_t;


typedef struct {
    ngx_array_t                      shapes;
                                        /* ngx_http_aggregate_named_t * */
    ngx_array_t                      applied;
                                        /* ngx_http_aggregate_apply_t * */
} ngx_http_aggregate_apply_main_conf_t;


typedef struct {
    ngx_http_aggregate_apply_t      *apply;
    size_t                           buffer;
} ngx_http_aggregate_apply_loc_conf_t;


/* no filter of nginx that runs before ours uses this bit for JSON */

#define NGX_HTTP_AGGREGATE_APPLY_BUFFERED    0x08


/* why a response cannot be shaped */

typedef enum {
    NGX_HTTP_AGGREGATE_APPLY_SHAPED = 0,
    NGX_HTTP_AGGREGATE_APPLY_NAME,              /* no shape has it */
    NGX_HTTP_AGGREGATE_APPLY_RANGE,
    NGX_HTTP_AGGREGATE_APPLY_TYPE,
    NGX_HTTP_AGGREGATE_APPLY_ENCODING,
    NGX_HTTP_AGGREGATE_APPLY_SIZE,
    NGX_HTTP_AGGREGATE_APPLY_JSON,
    NGX_HTTP_AGGREGATE_APPLY_CUT,
    NGX_HTTP_AGGREGATE_APPLY_OTHERS,            /* it contains them */
    NGX_HTTP_AGGREGATE_APPLY_MEMORY,
    NGX_HTTP_AGGREGATE_APPLY_FILTER,            /* another one failed */
    NGX_HTTP_AGGREGATE_APPLY_END,               /* another one took it */
    NGX_HTTP_AGGREGATE_APPLY_BYPASS             /* another one took all */
} ngx_http_aggregate_apply_error_e;


/* the context of a request and its response; it survives redirects */

typedef struct {
    ngx_http_request_t              *request;

    ngx_list_t                       headers;   /* as the client sent them */
    void                            *elts;      /* the elements sent */
    ngx_table_elt_t                 *accept_encoding;
    ngx_table_elt_t                 *range;
    ngx_table_elt_t                 *if_range;
    ngx_table_elt_t                 *if_none_match;
    ngx_table_elt_t                 *if_modified_since;

    ngx_http_aggregate_named_t      *named;     /* NULL: none has that name */
    agg_shape_args_t                 args;
    agg_shape_run_t                 *run;
    agg_buf_t                        out;
    off_t                            received;
    ngx_int_t                        failed;    /* the status instead */
    ngx_http_aggregate_apply_error_e error;
    ngx_uint_t                       status;    /* of what failed */

    unsigned                         chosen:1;
    unsigned                         off:1;     /* an empty value */
    unsigned                         seen:1;    /* by the filter that shapes */
    unsigned                         bypassed:1; /* and never will be */
    unsigned                         broken:1;  /* by a filter before it */
    unsigned                         holding:1;
    unsigned                         slice:1;   /* a part of its parent's */
    unsigned                         ended:1;
    unsigned                         added:1;   /* by its own subrequests */
    unsigned                         child:1;   /* one of them is at work */
    unsigned                         cancelled:1;
    unsigned                         answered:1;
} ngx_http_aggregate_apply_ctx_t;


/* ngx_http_aggregate_apply_module.c */

ngx_http_aggregate_named_t *ngx_http_aggregate_apply_find(
    ngx_http_aggregate_apply_main_conf_t *mcf, ngx_str_t *name);

/* ngx_http_aggregate_apply_request.c */

ngx_int_t ngx_http_aggregate_apply_request_init(ngx_conf_t *cf);
ngx_http_aggregate_apply_ctx_t *ngx_http_aggregate_apply_get(
    ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_apply_choose(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_http_aggregate_apply_t *apply);
ngx_uint_t ngx_http_aggregate_apply_is_shapeable(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
ngx_uint_t ngx_http_aggregate_apply_partial(ngx_http_request_t *r);
void ngx_http_aggregate_apply_restore(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);

/* ngx_http_aggregate_apply_headers.c */

ngx_uint_t ngx_http_aggregate_apply_type(ngx_http_request_t *r,
    ngx_http_aggregate_apply_t *apply);
ngx_int_t ngx_http_aggregate_apply_vary(ngx_http_request_t *r,
    ngx_http_aggregate_apply_t *apply);
ngx_int_t ngx_http_aggregate_apply_etag(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
void ngx_http_aggregate_apply_clear(ngx_http_request_t *r);
ngx_uint_t ngx_http_aggregate_apply_unchanged(ngx_http_request_t *r);
void ngx_http_aggregate_apply_not_modified(ngx_http_request_t *r);


/* ngx_http_aggregate_apply_filter.c */

ngx_int_t ngx_http_aggregate_apply_end(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_apply_fail(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_error_e error);
ngx_int_t ngx_http_aggregate_apply_note(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx,
    ngx_http_aggregate_apply_error_e error);

/* why a subrequest's response was not shaped, and the status that it had */

ngx_http_aggregate_apply_error_e ngx_http_aggregate_apply_error(
    ngx_http_request_t *r, ngx_uint_t *status);
void ngx_http_aggregate_apply_stop(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);

/* ngx_http_aggregate_apply_guard.c */

void ngx_http_aggregate_apply_bypass(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
void ngx_http_aggregate_apply_guard_init(void);


extern ngx_module_t  ngx_http_aggregate_apply_module;
extern ngx_module_t  ngx_http_aggregate_apply_filter_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SHAPE_H_INCLUDED_ */
