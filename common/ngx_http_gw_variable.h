
/* variables that are used in the configuration */


#ifndef _NGX_HTTP_GW_VARIABLE_H_INCLUDED_
#define _NGX_HTTP_GW_VARIABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


/* adds a list of variables, which ends with an empty name */

ngx_int_t ngx_http_gw_add_variables(ngx_conf_t *cf, ngx_http_variable_t *vars);

/*
 * Whether a module or the configuration defines the variable, whose name is in
 * lower case.  Not all variables are known before postconfiguration.
 */

ngx_uint_t ngx_http_gw_variable_known(ngx_conf_t *cf, ngx_str_t *name);

/*
 * Finds the first variable in a text that nginx compiles to a script, and moves
 * the start of the text after it.  Returns 0 if there is none.  Captures, such
 * as $1, are skipped.
 */

ngx_uint_t ngx_http_gw_variable_next(ngx_str_t *text, ngx_str_t *name);

/* logs an error about an unknown variable, with the nearest known name */

void ngx_http_gw_variable_unknown(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *file, ngx_uint_t line);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_GW_VARIABLE_H_INCLUDED_ */
