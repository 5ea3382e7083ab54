
/* errors of the configuration that nginx finds late, or tells little of */


#ifndef _NGX_HTTP_AGGREGATE_CHECKS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_CHECKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


/*
 * The index of a variable that our configuration names.  When all of it was
 * read the variable has to be known, else the error has file and line.
 */
ngx_int_t ngx_http_aggregate_variable_used(ngx_conf_t *cf, ngx_str_t *name);

/* the same for all the variables in a text that nginx's script compiles */
ngx_int_t ngx_http_aggregate_variables_used(ngx_conf_t *cf, ngx_str_t *text);


extern ngx_module_t  ngx_http_aggregate_checks_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_CHECKS_H_INCLUDED_ */
