
/* shapes with names, and the locations that they are applied to */

#ifndef _NGX_HTTP_AGGREGATE_SHAPE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SHAPE_H_INCLUDED_


#include "ngx_http_aggregate_shape_conf.h"


#pragma GCC visibility push(hidden)


/* "aggregate_apply" */

typedef struct {
    ngx_str_t                        text;      /* NAME or $var */
    ngx_http_complex_value_t        *value;     /* NULL: a name */
    ngx_http_aggregate_named_t      *named;
    ngx_array_t                     *vary;      /* ngx_str_t */
    ngx_str_t                        file;
    ngx_uint_t                       line;

    unsigned                         off:1;
    unsigned                         empty_off:1;
} ngx_http_aggregate_apply_t;


typedef struct {
    ngx_array_t                      shapes;
                                        /* ngx_http_aggregate_named_t * */
    ngx_array_t                      applied;
                                        /* ngx_http_aggregate_apply_t * */
    ngx_module_t                    *ssi;       /* NULL: nginx has it not */
    ngx_module_t                    *addition;
} ngx_http_aggregate_apply_main_conf_t;


typedef struct {
    ngx_http_aggregate_apply_t      *apply;
    size_t                           buffer;
} ngx_http_aggregate_apply_loc_conf_t;


/* what a request is given for its response */

typedef struct {
    ngx_http_aggregate_named_t      *named;     /* NULL: none has that name */

    ngx_list_t                       headers;   /* as the client sent them */
    void                            *elts;      /* of those that are sent */
    ngx_table_elt_t                 *accept_encoding;
    ngx_table_elt_t                 *range;
    ngx_table_elt_t                 *if_range;
    ngx_table_elt_t                 *if_none_match;
    ngx_table_elt_t                 *if_modified_since;

    agg_shape_args_t                 args;
    agg_shape_run_t                 *run;
    agg_buf_t                        out;
    off_t                            received;

    unsigned                         off:1;     /* an empty value */
    unsigned                         stripped:1;
    unsigned                         holding:1;
    unsigned                         failed:1;
} ngx_http_aggregate_apply_ctx_t;


/* ngx_http_aggregate_apply_module.c */

ngx_http_aggregate_apply_ctx_t *ngx_http_aggregate_apply_get(
    ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_apply_choose(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_http_aggregate_apply_t *apply);
void ngx_http_aggregate_apply_restore(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);

/* ngx_http_aggregate_apply_headers.c */

ngx_uint_t ngx_http_aggregate_apply_json(ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_apply_vary(ngx_http_request_t *r,
    ngx_http_aggregate_apply_t *apply);
ngx_int_t ngx_http_aggregate_apply_etag(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx);
void ngx_http_aggregate_apply_clear(ngx_http_request_t *r);
ngx_uint_t ngx_http_aggregate_apply_unchanged(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx, ngx_uint_t shaped);
void ngx_http_aggregate_apply_not_modified(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_aggregate_apply_module;
extern ngx_module_t  ngx_http_aggregate_apply_filter_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SHAPE_H_INCLUDED_ */
