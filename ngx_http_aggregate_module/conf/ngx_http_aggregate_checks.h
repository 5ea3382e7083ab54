
/* configuration errors that nginx finds late, or reports without a place */


#ifndef _NGX_HTTP_AGGREGATE_CHECKS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_CHECKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


/*
 * The index of a variable in our configuration.  If it is still unknown when
 * the whole configuration was read, an error with file and line is logged.
 */
ngx_int_t ngx_http_aggregate_variable_used(ngx_conf_t *cf, ngx_str_t *name);

/* the same for all variables in a text that nginx compiles to a script */
ngx_int_t ngx_http_aggregate_variables_used(ngx_conf_t *cf, ngx_str_t *text);


extern ngx_module_t  ngx_http_aggregate_checks_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_CHECKS_H_INCLUDED_ */
