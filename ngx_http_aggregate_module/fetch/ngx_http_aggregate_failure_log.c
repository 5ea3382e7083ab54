
/*
 * Lines of the error log about failures: what they say of a fetch, and their
 * number.  There is one line a second for each name and reason.  The next
 * line, or a separate one a second later, has the number of suppressed lines.
 */

#include "ngx_http_aggregate_failure_log.h"
#include "gw_text.h"


#define NGX_HTTP_AGGREGATE_LOG_TYPE  64


static void ngx_http_aggregate_log_hold(ngx_http_request_t *r,
    ngx_http_aggregate_held_t *held, ngx_uint_t level);
static ngx_uint_t ngx_http_aggregate_log_release(
    ngx_http_aggregate_held_t *held);
static void ngx_http_aggregate_log_timer(ngx_event_t *ev);
static u_char *ngx_http_aggregate_log_response(u_char *p, u_char *last,
    ngx_http_request_t *r, ngx_http_aggregate_reason_e reason,
    ngx_uint_t status);
static u_char *ngx_http_aggregate_log_json(u_char *p, u_char *last,
    agg_shape_run_t *run);


/* counts of suppressed lines in this worker that are not reported yet */

static ngx_queue_t  ngx_http_aggregate_held;
static ngx_event_t  ngx_http_aggregate_held_timer;


ngx_uint_t
ngx_http_aggregate_log_suppress(ngx_http_request_t *r,
    ngx_http_aggregate_held_t *held, ngx_uint_t level, ngx_uint_t *lines)
{
    if (held->second == ngx_time()) {
        ngx_http_aggregate_log_hold(r, held, level);
        return 1;
    }

    *lines = ngx_http_aggregate_log_release(held);

    held->second = ngx_time();

    return 0;
}


void
ngx_http_aggregate_log_line(ngx_log_t *log, ngx_uint_t level, u_char *text,
    u_char *p, ngx_uint_t lines)
{
    ngx_str_t  line;

    if (lines) {
        p = ngx_slprintf(p, text + NGX_HTTP_AGGREGATE_LOG_SIZE,
                         ", and %ui more since the last line", lines);
    }

    line.data = text;
    line.len = p - text;

    ngx_log_error(level, log, 0, "%V", &line);
}


static void
ngx_http_aggregate_log_hold(ngx_http_request_t *r,
    ngx_http_aggregate_held_t *held, ngx_uint_t level)
{
    ngx_event_t               *ev;
    ngx_http_core_loc_conf_t  *clcf;

    if (held->lines++) {
        return;
    }

    ev = &ngx_http_aggregate_held_timer;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_http_aggregate_held);

        ev->handler = ngx_http_aggregate_log_timer;
        ev->data = ev;
        ev->cancelable = 1;
    }

    ev->log = ngx_cycle->log;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    held->log = clcf->error_log;
    held->level = level;

    ngx_queue_insert_tail(&ngx_http_aggregate_held, &held->queue);

    if (!ev->timer_set) {
        ngx_add_timer(ev, 1000);
    }
}


/* returns the number of suppressed lines, which is reported now */

static ngx_uint_t
ngx_http_aggregate_log_release(ngx_http_aggregate_held_t *held)
{
    ngx_uint_t  lines;

    lines = held->lines;

    if (lines) {
        ngx_queue_remove(&held->queue);
        held->lines = 0;
    }

    return lines;
}


static void
ngx_http_aggregate_log_timer(ngx_event_t *ev)
{
    ngx_http_aggregate_log_held(0);

    if (!ngx_queue_empty(&ngx_http_aggregate_held)) {
        ngx_add_timer(ev, 1000);
    }
}


void
ngx_http_aggregate_log_held(ngx_uint_t all)
{
    ngx_uint_t                  lines;
    ngx_queue_t                *q, *next;
    ngx_http_aggregate_held_t  *held;

    if (ngx_http_aggregate_held_timer.handler == NULL) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_aggregate_held);
         q != ngx_queue_sentinel(&ngx_http_aggregate_held);
         q = next)
    {
        next = ngx_queue_next(q);
        held = ngx_queue_data(q, ngx_http_aggregate_held_t, queue);

        if (!all && held->second == ngx_time()) {
            continue;
        }

        lines = ngx_http_aggregate_log_release(held);

        ngx_log_error(held->level, held->log, 0,
                      "%s \"%V\" failed: %V, %ui more since the last line",
                      held->kind, held->name,
                      &ngx_http_aggregate_reasons[held->reason], lines);
    }
}


void
ngx_http_aggregate_log_forget(void *data)
{
    ngx_queue_t                *q;
    ngx_http_aggregate_held_t  *held;

    if (ngx_http_aggregate_held_timer.handler == NULL) {
        return;
    }

    while (!ngx_queue_empty(&ngx_http_aggregate_held)) {
        q = ngx_queue_head(&ngx_http_aggregate_held);
        held = ngx_queue_data(q, ngx_http_aggregate_held_t, queue);

        (void) ngx_http_aggregate_log_release(held);
    }
}


u_char *
ngx_http_aggregate_log_fetch(u_char *p, u_char *last,
    ngx_http_aggregate_fetch_t *fetch, ngx_http_aggregate_reason_e reason,
    ngx_uint_t status)
{
    ngx_http_aggregate_try_t  *t;

    if (fetch->uri.len) {
        p = ngx_slprintf(p, last, ", subrequest \"%V\"", &fetch->uri);
    }

    if (fetch->tries > 1) {
        p = ngx_slprintf(p, last, ", %ui tries", fetch->tries);
    }

    t = fetch->leader ? fetch->leader->current : NULL;

    if (fetch->response) {
        p = ngx_http_aggregate_log_response(p, last, fetch->response, reason,
                                            status);
    }

    if (reason == NGX_HTTP_AGGREGATE_INVALID_JSON && t && t->run) {
        p = ngx_http_aggregate_log_json(p, last, t->run);
    }

    return p;
}


static u_char *
ngx_http_aggregate_log_response(u_char *p, u_char *last,
    ngx_http_request_t *r, ngx_http_aggregate_reason_e reason,
    ngx_uint_t status)
{
    size_t                len;
    u_char                type[GW_SHOW * NGX_HTTP_AGGREGATE_LOG_TYPE];
    const char           *waited;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u && u->state && u->state->peer) {
        p = ngx_slprintf(p, last, ", upstream \"%V\"", u->state->peer);
    }

    /* without a status from the backend, it is nginx's own error page */

    if (status && r->headers_out.content_type.len) {
        len = ngx_min(r->headers_out.content_type.len,
                      NGX_HTTP_AGGREGATE_LOG_TYPE);
        len = gw_show(type, r->headers_out.content_type.data, len) - type;

        p = ngx_slprintf(p, last, ", type \"%*s\"", len, type);
    }

    if (reason == NGX_HTTP_AGGREGATE_TIMEOUT && u && u->state) {

        if (u->state->connect_time == (ngx_msec_t) -1) {
            waited = "connection";

        } else if (u->state->header_time == (ngx_msec_t) -1) {
            waited = "response header";

        } else {
            waited = "body";
        }

        p = ngx_slprintf(p, last, ", while it waited for the %s", waited);
    }

    return p;
}


/* the class of the byte where the scan stopped, never the byte itself */

static u_char *
ngx_http_aggregate_log_json(u_char *p, u_char *last, agg_shape_run_t *run)
{
    u_char       ch;
    const char  *what;

    ch = run->stop;

    if (!run->stopped) {
        what = "the end of the body";

    } else if (ch >= 0x80) {
        what = "a byte beyond ASCII";

    } else if (ch < 0x20 || ch == 0x7f) {
        what = "a control character";

    } else if (ch >= '0' && ch <= '9') {
        what = "a digit";

    } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') {
        what = "a letter";

    } else if (ngx_strchr("{}[]", ch)) {
        what = "a bracket";

    } else if (ch == '"') {
        what = "a quotation mark";

    } else if (ch == '<') {
        what = "\"<\", as HTML begins,";

    } else {
        what = "a punctuation mark";
    }

    return ngx_slprintf(p, last, ", found %s at byte %uz where %s", what,
                        run->offset, agg_shape_run_expected(run));
}
