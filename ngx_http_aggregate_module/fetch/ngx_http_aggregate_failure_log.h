
/* lines of the error log about parts and fields that failed */


#ifndef _NGX_HTTP_AGGREGATE_FAILURE_LOG_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_FAILURE_LOG_H_INCLUDED_


#include "ngx_http_aggregate_fetch.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_LOG_SIZE  1024


/*
 * Suppressed lines of one name and reason, in this worker.  The user has zeroed
 * it, and sets the first three before each line.
 */

typedef struct {
    const char                      *kind;          /* "graphql field" */
    ngx_str_t                       *name;
    ngx_uint_t                       reason;

    time_t                           second;        /* the last line's */
    ngx_uint_t                       lines;
    ngx_uint_t                       level;
    ngx_log_t                       *log;
    ngx_queue_t                      queue;         /* while lines > 0 */
} ngx_http_aggregate_held_t;


/*
 * Whether the line is suppressed, and counted; otherwise "lines" tells how many
 * were suppressed since the last line.
 */

ngx_uint_t ngx_http_aggregate_log_suppress(ngx_http_request_t *r,
    ngx_http_aggregate_held_t *held, ngx_uint_t level, ngx_uint_t *lines);


/* adds the subrequest, the upstream, and where the JSON is invalid */

u_char *ngx_http_aggregate_log_fetch(u_char *p, u_char *last,
    ngx_http_aggregate_fetch_t *fetch, ngx_http_aggregate_reason_e reason,
    ngx_uint_t status);


/* logs what is in text, up to p, and the number of suppressed lines */

void ngx_http_aggregate_log_line(ngx_log_t *log, ngx_uint_t level,
    u_char *text, u_char *p, ngx_uint_t lines);


/* logs the numbers of suppressed lines; all: including those of this second */

void ngx_http_aggregate_log_held(ngx_uint_t all);


/*
 * Forgets the suppressed lines, which belong to a configuration that is being
 * freed: without a master process, the worker outlives it.
 */

void ngx_http_aggregate_log_forget(void *data);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_FAILURE_LOG_H_INCLUDED_ */
