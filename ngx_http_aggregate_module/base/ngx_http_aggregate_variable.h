
/* variables of other modules */


#ifndef _NGX_HTTP_AGGREGATE_VARIABLE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_VARIABLE_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/*
 * Whether a module or the configuration defines the variable, whose name is
 * in lower case.  All that will be is known at postconfiguration only.
 */
ngx_uint_t ngx_http_aggregate_variable_known(ngx_conf_t *cf, ngx_str_t *name);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_VARIABLE_H_INCLUDED_ */
