
/* declarations shared by the files of the subrequest engine */

#ifndef _NGX_HTTP_AGGREGATE_FETCH_CORE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_FETCH_CORE_H_INCLUDED_


#include "ngx_http_aggregate_breaker.h"
#include "ngx_http_aggregate_compat.h"
#include "ngx_http_aggregate_fetch.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_held.h"


#pragma GCC visibility push(hidden)


typedef struct ngx_http_aggregate_single_s  ngx_http_aggregate_single_t;


typedef struct {
    ngx_http_aggregate_observer_t   *observers;
    ngx_uint_t                       nobservers;
    ngx_http_aggregate_single_t     *singles;   /* upstreams of one server, */
    ngx_uint_t                       singles_mask;  /* by their addresses */
    ngx_uint_t                       used;      /* unsigned  used:1; */
} ngx_http_aggregate_fetch_main_conf_t;


#define NGX_HTTP_AGGREGATE_OBSERVERS  2

#define ngx_http_aggregate_notify(fs, what, arg)                              \
    do {                                                                      \
        ngx_http_aggregate_observer_t  *o_;                                   \
                                                                              \
        for (o_ = (fs)->observers; o_; o_ = o_->next) {                       \
            if (o_->what) {                                                   \
                o_->what(arg);                                                \
            }                                                                 \
        }                                                                     \
    } while (0)


/* ngx_http_aggregate_fetches.c */

ngx_uint_t ngx_http_aggregate_fetch_is_used(ngx_conf_t *cf);
void ngx_http_aggregate_fetches_abort(ngx_http_aggregate_fetches_t *fs);
void ngx_http_aggregate_fetches_take_delay(ngx_http_aggregate_fetches_t *fs);
void ngx_http_aggregate_free_place(ngx_http_aggregate_try_t *t);

/* ngx_http_aggregate_fetch.c */

void ngx_http_aggregate_fetch_sent(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_try_t *t);
void ngx_http_aggregate_try_result(ngx_http_aggregate_try_t *t,
    ngx_http_aggregate_reason_e reason);
void ngx_http_aggregate_fetch_result(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_try_t *t, ngx_http_aggregate_reason_e reason);
void ngx_http_aggregate_try_drop(ngx_http_aggregate_try_t *t,
    ngx_http_aggregate_reason_e reason);
void ngx_http_aggregate_fetch_fail(ngx_http_aggregate_fetch_t *fetch,
    ngx_http_aggregate_reason_e reason);

/* ngx_http_aggregate_hedge.c */

void ngx_http_aggregate_hedge_sent(ngx_http_aggregate_fetch_t *fetch);
void ngx_http_aggregate_hedge_send(ngx_http_aggregate_fetches_t *fs);
ngx_msec_t ngx_http_aggregate_hedge_next(ngx_http_aggregate_fetches_t *fs,
    ngx_msec_t next);
ngx_uint_t ngx_http_aggregate_hedge_result(ngx_http_aggregate_try_t *t,
    ngx_http_aggregate_reason_e reason);

/* ngx_http_aggregate_try.c */

ngx_int_t ngx_http_aggregate_try_send(ngx_http_aggregate_fetch_t *fetch);
void ngx_http_aggregate_try_cancel(ngx_http_aggregate_try_t *t);
ngx_http_aggregate_try_t *ngx_http_aggregate_get_try(ngx_http_request_t *r);
void ngx_http_aggregate_try_init(void);
ngx_http_aggregate_try_t *ngx_http_aggregate_find_try(ngx_http_request_t *r);
void ngx_http_aggregate_give_back(ngx_http_request_t *sr);
ngx_uint_t ngx_http_aggregate_was_encoded(ngx_http_request_t *sr);
ngx_uint_t ngx_http_aggregate_is_local_error(ngx_http_aggregate_try_t *t);
ngx_uint_t ngx_http_aggregate_has_header(ngx_http_upstream_t *u);
ngx_uint_t ngx_http_aggregate_is_error_page(ngx_http_aggregate_try_t *t);
ngx_uint_t ngx_http_aggregate_sent_status(ngx_http_aggregate_try_t *t);
ngx_http_aggregate_reason_e ngx_http_aggregate_status_reason(
    ngx_http_aggregate_try_t *t);

/* ngx_http_aggregate_read_buffer.c */

void ngx_http_aggregate_read_buffer(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u);
void ngx_http_aggregate_read_expect(ngx_http_request_t *sr,
    ngx_http_upstream_t *u);
ngx_int_t ngx_http_aggregate_read_limit(ngx_http_upstream_t *u, ngx_int_t rc);
void ngx_http_aggregate_read_ended(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_try_t *t);

/* ngx_http_aggregate_refused.c */

ngx_int_t ngx_http_aggregate_refused_init(ngx_conf_t *cf,
    ngx_http_aggregate_fetch_main_conf_t *fmcf);
void ngx_http_aggregate_refused(ngx_http_aggregate_try_t *t);

/* ngx_http_aggregate_response_header.c */

ngx_int_t ngx_http_aggregate_parse_header(ngx_http_request_t *r);
void ngx_http_aggregate_header_init(void);
ngx_uint_t ngx_http_aggregate_header_first(void);

/* ngx_http_aggregate_sink.c */

ngx_http_aggregate_reason_e ngx_http_aggregate_sink_start(
    ngx_http_aggregate_try_t *t);
ngx_http_aggregate_reason_e ngx_http_aggregate_sink_push(
    ngx_http_aggregate_try_t *t, u_char *p, size_t len);
ngx_http_aggregate_reason_e ngx_http_aggregate_sink_finish(
    ngx_http_aggregate_try_t *t);
void ngx_http_aggregate_sink_error(ngx_http_aggregate_try_t *t);

/* ngx_http_aggregate_values.c */

void ngx_http_aggregate_values_init(ngx_http_aggregate_fetches_t *fs);

/* ngx_http_aggregate_fetch_headers.c */

ngx_int_t ngx_http_aggregate_set_headers(ngx_http_request_t *sr,
    ngx_http_aggregate_fetch_t *fetch);
ngx_int_t ngx_http_aggregate_phase_init(ngx_conf_t *cf);

/* ngx_http_aggregate_try_child.c */

ngx_int_t ngx_http_aggregate_child_init(ngx_conf_t *cf);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_FETCH_CORE_H_INCLUDED_ */
