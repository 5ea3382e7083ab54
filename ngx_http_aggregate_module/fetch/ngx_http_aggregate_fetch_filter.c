
/*
 * Takes the responses of subrequests.  It stands where it sees what SSI,
 * sub_filter and gunzip made of a response, just before nginx would put it
 * into the client's stream, and shapes it as it arrives.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_shape.h"


static ngx_int_t ngx_http_aggregate_header_filter(ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_take_header(
    ngx_http_request_t *r);
static ngx_http_aggregate_reason_e ngx_http_aggregate_unshaped(
    ngx_http_aggregate_try_t *t);
static ngx_uint_t ngx_http_aggregate_accepts(
    ngx_http_aggregate_fetch_t *fetch, ngx_uint_t status);
static ngx_int_t ngx_http_aggregate_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_take_body(
    ngx_http_request_t *r, ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_filter_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_fetch_init_module(ngx_cycle_t *cycle);
static void *ngx_http_aggregate_fetch_create_main_conf(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_aggregate_fetch_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_filter_init,        /* postconfiguration */

    ngx_http_aggregate_fetch_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_fetch_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_fetch_filter_module_ctx, /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_aggregate_fetch_init_module,  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_str_t  ngx_http_aggregate_reasons[] = {
    ngx_string("-"),
    ngx_string("timeout"),
    ngx_string("connect"),
    ngx_string("status"),
    ngx_string("invalid_json"),
    ngx_string("encoding"),
    ngx_string("too_large"),
    ngx_string("truncated"),
    ngx_string("bad_uri"),
    ngx_string("dependency"),
    ngx_string("conflict"),
    ngx_string("content"),
    ngx_string("breaker_open"),
    ngx_string("cancelled"),
    ngx_string("internal")
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_aggregate_header_filter(ngx_http_request_t *r)
{
    if (r == r->main) {
        return ngx_http_next_header_filter(r);
    }

    return ngx_http_aggregate_take_header(r);
}


static ngx_int_t
ngx_http_aggregate_take_header(ngx_http_request_t *r)
{
    ngx_http_aggregate_try_t     *t;
    ngx_http_aggregate_reason_e   reason;

    t = ngx_http_aggregate_find_try(r);

    if (t == NULL) {
        return ngx_http_next_header_filter(r);
    }

    if (r != t->request) {

        /* a subrequest of a part's: nothing of it is for the client */

        r->header_sent = 1;
        return NGX_OK;
    }

    ngx_http_aggregate_give_back(r);

    t->header = 1;
    t->status = r->headers_out.status;

    if (r->headers_out.status == 0) {

        /* nginx has taken the response for HTTP/0.9 */

        t->no_status = 1;
        t->status = NGX_HTTP_BAD_GATEWAY;
    }

    r->header_sent = 1;
    r->filter_need_in_memory = 1;

    /* from here on its own subrequests, as of SSI, would hang */

    r->subrequest_in_memory = 1;

    if (r->method == NGX_HTTP_HEAD) {
        r->header_only = 1;
    }

    if (r->upstream) {
        t->cached = r->cached;
    }

    if (r->header_only
        || r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        t->no_body = 1;
    }

    if (t->has_result) {
        return NGX_OK;
    }

    reason = ngx_http_aggregate_unshaped(t);

    if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        ngx_http_aggregate_try_result(t, reason);
        return NGX_OK;
    }

    if (!ngx_http_aggregate_accepts(t->fetch, r->headers_out.status)
        || (ngx_http_aggregate_is_local_error(t)
            && !ngx_http_aggregate_is_error_page(t)))
    {
        reason = ngx_http_aggregate_status_reason(t);

        if (t->fetch->error_body && !t->no_body
            && reason == NGX_HTTP_AGGREGATE_STATUS)
        {
            t->error_body = 1;

            if (ngx_http_aggregate_sink_start(t)
                == NGX_HTTP_AGGREGATE_NO_REASON)
            {
                return NGX_OK;
            }
        }

        /* its body, which may be without an end, does not matter */

        ngx_http_aggregate_try_result(t, reason);
        return NGX_OK;
    }

    t->accepted = 1;

    reason = ngx_http_aggregate_sink_start(t);

    if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        ngx_http_aggregate_try_result(t, reason);
    }

    return NGX_OK;
}


/*
 * The "aggregate_apply" of the part's location has put an error in the place of
 * the backend's response, which has a status of its own
 */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_unshaped(ngx_http_aggregate_try_t *t)
{
    ngx_uint_t                        status;
    ngx_http_aggregate_apply_error_e  error;

    error = ngx_http_aggregate_apply_error(t->request, &status);

    if (error == NGX_HTTP_AGGREGATE_APPLY_SHAPED) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    t->status = status;

    switch (error) {

    case NGX_HTTP_AGGREGATE_APPLY_TYPE:
    case NGX_HTTP_AGGREGATE_APPLY_JSON:
        return NGX_HTTP_AGGREGATE_INVALID_JSON;

    case NGX_HTTP_AGGREGATE_APPLY_RANGE:
        return (status == NGX_HTTP_PARTIAL_CONTENT)
               ? NGX_HTTP_AGGREGATE_STATUS : NGX_HTTP_AGGREGATE_TRUNCATED;

    case NGX_HTTP_AGGREGATE_APPLY_ENCODING:
        return NGX_HTTP_AGGREGATE_ENCODING;

    case NGX_HTTP_AGGREGATE_APPLY_SIZE:
        return NGX_HTTP_AGGREGATE_TOO_LARGE;

    case NGX_HTTP_AGGREGATE_APPLY_CUT:
    case NGX_HTTP_AGGREGATE_APPLY_END:
        return NGX_HTTP_AGGREGATE_TRUNCATED;

    case NGX_HTTP_AGGREGATE_APPLY_FILTER:
        return ngx_http_aggregate_was_encoded(t->request)
               ? NGX_HTTP_AGGREGATE_ENCODING : NGX_HTTP_AGGREGATE_INTERNAL;

    default:
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }
}


static ngx_uint_t
ngx_http_aggregate_accepts(ngx_http_aggregate_fetch_t *fetch,
    ngx_uint_t status)
{
    ngx_uint_t                   i;
    ngx_http_aggregate_range_t  *range;

    if (fetch->accept == NULL) {
        return status >= 200 && status < 300
               && status != NGX_HTTP_PARTIAL_CONTENT;
    }

    range = fetch->accept->elts;

    for (i = 0; i < fetch->accept->nelts; i++) {
        if (status >= range[i].least && status <= range[i].most
            && (status != NGX_HTTP_PARTIAL_CONTENT
                || range[i].least == range[i].most))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * An error here would end the client's request, so that whatever is wrong
 * with a body is only noted; the rest of it is let go.
 */

static ngx_int_t
ngx_http_aggregate_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    if (r == r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    return ngx_http_aggregate_take_body(r, in);
}


static ngx_int_t
ngx_http_aggregate_take_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t                    *b;
    ngx_chain_t                  *cl;
    ngx_http_aggregate_try_t     *t;
    ngx_http_aggregate_reason_e   reason;

    t = ngx_http_aggregate_find_try(r);

    if (t == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    if (r != t->request) {

        if (r->subrequest_in_memory) {

            /* nginx keeps the body for the module that waits for it */

            return ngx_http_next_body_filter(r, in);
        }

        (void) ngx_http_aggregate_held_discard(in);
        return NGX_OK;
    }

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_http_aggregate_held_is_last(r, b)) {
            t->last = 1;
        }

        if (ngx_http_aggregate_held_is_empty(b)) {
            continue;
        }

        if (!t->has_result && t->header) {

            if (ngx_buf_in_memory(b)) {
                reason = ngx_http_aggregate_sink_push(t, b->pos,
                                                      b->last - b->pos);

            } else {
                ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                              "aggregate backend \"%V\" sent a file buffer",
                              t->fetch->name);

                reason = NGX_HTTP_AGGREGATE_INTERNAL;
            }

            if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
                ngx_http_aggregate_try_result(t, t->error_body
                                               ? NGX_HTTP_AGGREGATE_STATUS
                                               : reason);
            }
        }
    }

    (void) ngx_http_aggregate_held_discard(in);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_filter_init(ngx_conf_t *cf)
{
    ngx_http_aggregate_fetch_main_conf_t  *fmcf;

    if (!ngx_http_aggregate_fetch_is_used(cf)) {
        return NGX_OK;
    }

    fmcf = ngx_http_conf_get_module_main_conf(cf,
                                      ngx_http_aggregate_fetch_filter_module);

    if (ngx_http_aggregate_refused_init(cf, fmcf) != NGX_OK
        || ngx_http_aggregate_phase_init(cf) != NGX_OK
        || ngx_http_aggregate_child_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_aggregate_try_init();

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_fetch_init_module(ngx_cycle_t *cycle)
{
    ngx_http_aggregate_fetch_main_conf_t  *fmcf;

    fmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                      ngx_http_aggregate_fetch_filter_module);

    if (fmcf && fmcf->used) {
        ngx_http_aggregate_header_init();
    }

    return NGX_OK;
}


static void *
ngx_http_aggregate_fetch_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_fetch_main_conf_t));
}


ngx_int_t
ngx_http_aggregate_observe(ngx_conf_t *cf,
    ngx_http_aggregate_observer_t *observer)
{
    ngx_http_aggregate_fetch_main_conf_t  *fmcf;

    fmcf = ngx_http_conf_get_module_main_conf(cf,
                                      ngx_http_aggregate_fetch_filter_module);

    if (fmcf->nobservers == NGX_HTTP_AGGREGATE_OBSERVERS) {
        return NGX_ERROR;
    }

    observer->number = fmcf->nobservers++;
    observer->next = fmcf->observers;

    fmcf->observers = observer;

    return NGX_OK;
}


void
ngx_http_aggregate_fetch_use(ngx_conf_t *cf)
{
    ngx_http_aggregate_fetch_main_conf_t  *fmcf;

    fmcf = ngx_http_conf_get_module_main_conf(cf,
                                      ngx_http_aggregate_fetch_filter_module);
    fmcf->used = 1;
}


ngx_uint_t
ngx_http_aggregate_fetch_is_used(ngx_conf_t *cf)
{
    ngx_http_aggregate_fetch_main_conf_t  *fmcf;

    fmcf = ngx_http_conf_get_module_main_conf(cf,
                                      ngx_http_aggregate_fetch_filter_module);
    return fmcf->used;
}
