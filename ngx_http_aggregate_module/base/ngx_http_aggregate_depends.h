
/*
 * Variables that decide where a response comes from, such as those of splits:
 * whoever stores the response for others has to have them in its key.
 *
 * A request that has read one is marked for good, and so are the requests above
 * it, whose responses are made of its own.  An internal redirect takes nothing
 * back, since "set" may have carried the value along, and into subrequests too:
 * they depend on what the requests above them have read themselves.
 */


#ifndef _NGX_HTTP_AGGREGATE_DEPENDS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_DEPENDS_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/* a number for the variable, whose name is without "$"; NGX_ERROR: no memory */
ngx_int_t ngx_http_aggregate_depends_add(ngx_conf_t *cf, ngx_str_t *name);

/*
 * The request has read the variable of this number: its response depends on
 * it, and so do those of the requests above it.
 */
ngx_int_t ngx_http_aggregate_depend(ngx_http_request_t *r, ngx_uint_t n);

/*
 * The first variable that the response depends on and that neither of the
 * texts names; either may be NULL.  NULL: there is none.
 */
ngx_str_t *ngx_http_aggregate_depends(ngx_http_request_t *r, ngx_str_t *one,
    ngx_str_t *two);


extern ngx_module_t  ngx_http_aggregate_depends_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_DEPENDS_H_INCLUDED_ */
