
/* the setters of the statements of our blocks */

#ifndef _NGX_HTTP_AGGREGATE_CONF_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_CONF_H_INCLUDED_


#include "ngx_http_aggregate_block_parser.h"
#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_setters.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_CONF          NGX_HTTP_AGGREGATE_BLOCK_CONF
#define NGX_HTTP_AGGREGATE_BACKEND_CONF  NGX_HTTP_AGGREGATE_BLOCK_CONF


/* handlers for statements of both blocks */

char *ngx_http_aggregate_set_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* handlers for statements of a "backend" block */

char *ngx_http_aggregate_set_flag(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_default(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_accept(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_fail_on(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_encoding(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_method(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_timeout(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_hedge(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_retry(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_body(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_pass_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_if(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_each(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

ngx_int_t ngx_http_aggregate_set_template(ngx_conf_t *cf, agg_template_t *t,
    agg_template_e kind, ngx_str_t *text);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_CONF_H_INCLUDED_ */
