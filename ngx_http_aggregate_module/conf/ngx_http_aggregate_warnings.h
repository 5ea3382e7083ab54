
/*
 * Warnings about configurations that are valid but probably wrong, after the
 * whole configuration was read.
 */


#ifndef _NGX_HTTP_AGGREGATE_WARNINGS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_WARNINGS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_gw_written.h"


#pragma GCC visibility push(hidden)


/* a URI that a location requests by subrequests */

typedef struct {
    const char   *kind;          /* "backend", "field" */
    ngx_str_t     name;
    ngx_str_t     path;          /* decoded, up to the first variable */
    ngx_str_t     file;
    ngx_uint_t    line;          /* 0: the one that ends the text */
    ngx_str_t     text;
    unsigned      whole:1;       /* there is no variable in the path */
    unsigned      conditional:1; /* is not always asked for */
} ngx_http_aggregate_asked_t;


/* to be called while the directive is parsed; the record is copied */

ngx_int_t ngx_http_aggregate_warn_asked(ngx_conf_t *cf,
    ngx_http_aggregate_asked_t *asked);

/* whether the text has variables, all of which a client can choose */

ngx_uint_t ngx_http_aggregate_is_client_word(ngx_str_t *text);


extern ngx_module_t  ngx_http_aggregate_warnings_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_WARNINGS_H_INCLUDED_ */
