
/*
 * Variables that select the source of a response, such as those of splits: if
 * the response is stored for other clients, its key must contain them.
 *
 * A request that has read such a variable stays marked, and so do its parent
 * requests, whose responses contain its own.  An internal redirect does not
 * remove the mark, since "set" may have copied the value, also into
 * subrequests: they depend on the variables that their parents have read.
 */


#ifndef _NGX_HTTP_AGGREGATE_DEPENDS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_DEPENDS_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/* a number for the variable; the name has no "$"; NGX_ERROR: no memory */
ngx_int_t ngx_http_aggregate_depends_add(ngx_conf_t *cf, ngx_str_t *name);

/*
 * Marks the request, whose response depends on the variable of this number, and
 * its parent requests.
 */
ngx_int_t ngx_http_aggregate_depend(ngx_http_request_t *r, ngx_uint_t n);

/*
 * Notes that the response, and those of the parent requests, vary by a header
 * which the client has not sent.  The name must stay.
 */
ngx_int_t ngx_http_aggregate_depend_header(ngx_http_request_t *r,
    ngx_str_t *name);

/* 1, and the name: there is such a header */
ngx_uint_t ngx_http_aggregate_depends_header(ngx_http_request_t *r,
    ngx_str_t *name);

/* the same for the identity of a user, for whom a part was fetched */
ngx_int_t ngx_http_aggregate_depend_identity(ngx_http_request_t *r);
ngx_uint_t ngx_http_aggregate_depends_identity(ngx_http_request_t *r);

/*
 * The first variable that the response depends on and that neither of the texts
 * contains, either of which may be NULL.  NULL: there is none.
 */
ngx_str_t *ngx_http_aggregate_depends(ngx_http_request_t *r, ngx_str_t *one,
    ngx_str_t *two);


extern ngx_module_t  ngx_http_aggregate_depends_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_DEPENDS_H_INCLUDED_ */
