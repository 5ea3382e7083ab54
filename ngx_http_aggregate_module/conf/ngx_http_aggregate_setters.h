
/*
 * Setters for the statements of our blocks.  Each fills the field at
 * cmd->offset of the block's structure, which holds the NGX_CONF_UNSET of its
 * type before that; a second time is refused as a duplicate.  A value that is
 * refused is named with what is allowed; nginx adds file and line.
 */


#ifndef _NGX_HTTP_AGGREGATE_SETTERS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SETTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


/* in cmd->post, for a time, a number or a size; the text goes on after "," */

typedef struct {
    off_t        least;
    off_t        most;
    const char  *text;           /* such as "must be a time from 1ms to 1h" */
} ngx_http_aggregate_bounds_t;


/* in cmd->post, for one of some words */

typedef struct {
    ngx_conf_enum_t  *values;
    const char       *text;
} ngx_http_aggregate_enum_t;


/* ngx_msec_t, ngx_int_t, size_t */

char *ngx_http_aggregate_set_msec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_num(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_set_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_uint_t */

char *ngx_http_aggregate_set_enum(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_flag_t: "on" or "off" */

char *ngx_http_aggregate_set_on_off(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_str_t, whose data is NULL: of so many bytes as cmd->post says */

char *ngx_http_aggregate_set_text(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * ngx_str_t, whose data is NULL: the text itself, env:NAME for what is in the
 * environment, or file:PATH for the first 4095 bytes of a file.
 */

char *ngx_http_aggregate_set_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* the same for one word of a statement */

char *ngx_http_aggregate_read_secret(ngx_conf_t *cf, ngx_str_t *word,
    ngx_str_t *secret);

/* logs that a value of the current statement is refused: NGX_CONF_ERROR */

char *ngx_http_aggregate_invalid(ngx_conf_t *cf, ngx_str_t *value,
    const char *text);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SETTERS_H_INCLUDED_ */
