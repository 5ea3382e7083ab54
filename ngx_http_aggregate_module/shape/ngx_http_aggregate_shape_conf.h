
/* shapes in the configuration, and their arguments in a request */

#ifndef _NGX_HTTP_AGGREGATE_SHAPE_CONF_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SHAPE_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_md5.h>

#include "agg_json.h"
#include "agg_path.h"
#include "agg_shape.h"
#include "ngx_http_aggregate_block_parser.h"
#include "ngx_http_aggregate_checks.h"
#include "ngx_http_aggregate_setters.h"


#pragma GCC visibility push(hidden)


typedef struct {
    agg_shape_t                     *shape;
    ngx_uint_t                       target;    /* unsigned  target:1; */
    ngx_array_t                      limits;
                                        /* ngx_http_aggregate_shape_arg_t */
    ngx_array_t                      values;
                                        /* ngx_http_aggregate_shape_arg_t */
} ngx_http_aggregate_shape_t;


/* "aggregate_shape" */

typedef struct {
    ngx_str_t                        name;
    ngx_str_t                        file;
    ngx_uint_t                       line;
    ngx_md5_t                        md5;       /* a digest of the shape */
    ngx_http_aggregate_shape_t      *shape;
} ngx_http_aggregate_named_t;


#define NGX_HTTP_AGGREGATE_SHAPE_CONF    NGX_HTTP_AGGREGATE_BLOCK_CONF


/* allocates from a pool, without leaving large blocks behind on growth */

agg_mem_t *ngx_http_aggregate_mem(ngx_pool_t *pool);
agg_patterns_t *ngx_http_aggregate_patterns_create(ngx_conf_t *cf);


ngx_http_aggregate_shape_t *ngx_http_aggregate_shape_create(ngx_conf_t *cf);


/*
 * The setter of "target", "limit", "allow", "deny", "rename", "move" and "set":
 * the shape is at cmd->offset of conf, NULL before its first statement.
 */

char *ngx_http_aggregate_shape_statement(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* the same for a statement of "aggregate_shape", whose block is conf */

char *ngx_http_aggregate_named_statement(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* to be called after the last statement; split: also makes head and tail */

ngx_int_t ngx_http_aggregate_shape_complete(ngx_conf_t *cf,
    ngx_http_aggregate_shape_t *sh, ngx_uint_t split);


/* the values of the shape's variables in r; args->into is not changed */

ngx_int_t ngx_http_aggregate_shape_args(ngx_http_request_t *r,
    ngx_http_aggregate_shape_t *sh, agg_shape_args_t *args);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SHAPE_CONF_H_INCLUDED_ */
