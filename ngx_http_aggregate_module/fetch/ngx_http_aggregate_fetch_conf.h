
/*
 * The statements that the blocks "aggregate" and "aggregate_graphql" share:
 * setters for "forward" and "methods", and the bounds of the limits.  A setter
 * names the value that it refuses, and what is allowed; nginx adds file and
 * line.
 */


#ifndef _NGX_HTTP_AGGREGATE_FETCH_CONF_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_FETCH_CONF_H_INCLUDED_


#include "ngx_http_aggregate_fetch.h"
#include "ngx_http_aggregate_setters.h"


#pragma GCC visibility push(hidden)


/* in cmd->post of "methods" */

typedef struct {
    ngx_uint_t   mask;           /* the methods that may be named */
    const char  *text;           /* such as "must be GET or HEAD" */
} ngx_http_aggregate_methods_bounds_t;


/* in cmd->post of the fields of ngx_http_aggregate_limits_t */

extern ngx_http_aggregate_bounds_t  ngx_http_aggregate_limit_time;
extern ngx_http_aggregate_bounds_t  ngx_http_aggregate_limit_concurrency;
extern ngx_http_aggregate_bounds_t  ngx_http_aggregate_limit_subrequests;
extern ngx_http_aggregate_bounds_t  ngx_http_aggregate_limit_size;

/* ngx_http_aggregate_forward_t *, which is NULL before: all|none|NAME... */

char *ngx_http_aggregate_set_forward(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_aggregate_methods_t, whose mask is zero before */

char *ngx_http_aggregate_set_methods(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* a method of "methods" by its name, which is case-sensitive, or NULL */

ngx_conf_bitmask_t *ngx_http_aggregate_find_method(ngx_str_t *name);

/* whether the name is a token of RFC 9110, as names of header fields are */

ngx_uint_t ngx_http_aggregate_is_header_name(ngx_str_t *name);

/* a copy in lower case, from cf->pool: NGX_OK or NGX_ERROR */

ngx_int_t ngx_http_aggregate_lowcase(ngx_conf_t *cf, ngx_str_t *dst,
    ngx_str_t *src);

/* the same as a new element of an array of ngx_str_t */

ngx_int_t ngx_http_aggregate_add_lowcase(ngx_conf_t *cf, ngx_array_t *names,
    ngx_str_t *name);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_FETCH_CONF_H_INCLUDED_ */
