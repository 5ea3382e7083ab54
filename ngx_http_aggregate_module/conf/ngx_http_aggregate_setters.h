
/*
 * Setters for the statements of our blocks.  Each sets the field at
 * cmd->offset of the block's structure, which must have the NGX_CONF_UNSET
 * value of its type before; a second use is refused as a duplicate.  The error
 * about an invalid value names the value and what is allowed; nginx adds file
 * and line.
 */


#ifndef _NGX_HTTP_AGGREGATE_SETTERS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_SETTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#pragma GCC visibility push(hidden)


/* in cmd->post, for a time, number or size; the text continues after "," */

typedef struct {
    off_t        least;
    off_t        most;
    const char  *text;           /* such as "must be a time from 1ms to 1h" */
} ngx_http_aggregate_bounds_t;


/* in cmd->post, for a choice of words */

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

/* ngx_str_t, whose data is NULL before; cmd->post limits its length */

char *ngx_http_aggregate_set_text(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * ngx_str_t, whose data is NULL before: the text itself, env:NAME for an
 * environment variable, or file:PATH for the contents of a file of up to 4095
 * bytes.
 */

char *ngx_http_aggregate_set_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* the same for one argument of a statement */

char *ngx_http_aggregate_read_secret(ngx_conf_t *cf, ngx_str_t *word,
    ngx_str_t *secret);

/* logs that a value of the current statement is invalid: NGX_CONF_ERROR */

char *ngx_http_aggregate_invalid(ngx_conf_t *cf, ngx_str_t *value,
    const char *text);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_SETTERS_H_INCLUDED_ */
