
/* the setters of the statements of our blocks */

#ifndef _NGX_HTTP_AGGREGATE_CONF_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_CONF_H_INCLUDED_


#include "ngx_http_aggregate_module.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_MODULE        0x52474741   /* "AGGR" */

/* of the bits that NGX_ANY_CONF has, so that "include" works in our blocks */

#define NGX_HTTP_AGGREGATE_CONF          0x02000000
#define NGX_HTTP_AGGREGATE_BACKEND_CONF  0x04000000


/* what a statement's setter gets is the structure of its block */

typedef struct {
    ngx_http_conf_ctx_t              http;
    void                           **conf;
} ngx_http_aggregate_conf_ctx_t;


#define NGX_HTTP_AGGREGATE_CONF_OFFSET                                        \
    offsetof(ngx_http_aggregate_conf_ctx_t, conf)


typedef struct {
    off_t                            least;
    off_t                            most;
    const char                      *text;
} ngx_http_aggregate_bounds_t;


/* at cmd->offset of the block's structure, cmd->post has the bounds */

char *ngx_http_aggregate_set_msec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_num(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_enum(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_forward(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* of an "aggregate" block */

char *ngx_http_aggregate_set_methods(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* of a "backend" block */

char *ngx_http_aggregate_set_flag(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_default(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_accept(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_encoding(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_method(ngx_conf_t *cf, ngx_command_t *cmd,
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
