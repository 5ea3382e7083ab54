
/*
 * Errors of filters.  nginx takes an error in the body of a subrequest for an
 * error of the client's connection, and closes that without an answer.  This
 * filter runs before those of nginx, and turns their error into the failure of
 * the part whose body they were given.
 *
 * A filter may replace a response by an error page, as "image_filter" does if
 * there is no picture.  The handler of a page of "error_page" would run here,
 * within the one whose response it replaces, so nginx's own page is taken.
 *
 * The end of a body.  Where "proxy_pass" does not buffer, nginx sends a mark of
 * the end through all filters once more, after the last bytes.  Here these have
 * the mark, as the last bytes of a file do.
 */

#include "ngx_http_aggregate_fetch_core.h"


/* a connection buffers these, whatever the filters of a part do */

#define NGX_HTTP_AGGREGATE_SENDS                                              \
    (NGX_HTTP_WRITE_BUFFERED | NGX_SSL_BUFFERED | NGX_HTTP_V2_BUFFERED)


static ngx_int_t ngx_http_aggregate_guard_header_filter(ngx_http_request_t *r);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_guard_header(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_guard_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_guard_body(
    ngx_http_request_t *r, ngx_chain_t *in);
static ngx_uint_t ngx_http_aggregate_guard_ends(ngx_http_aggregate_try_t *t,
    ngx_http_request_t *r, ngx_chain_t *in);
static void ngx_http_aggregate_guard_failed(ngx_http_aggregate_try_t *t,
    ngx_http_request_t *r, ngx_uint_t last);
static ngx_int_t ngx_http_aggregate_guard_init(ngx_conf_t *cf);


#if (NGX_HTTP_AGGREGATE_SSI_MAIN)
extern ngx_module_t  ngx_http_ssi_filter_module;
#endif


static ngx_http_module_t  ngx_http_aggregate_guard_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_guard_init,         /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_guard_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_guard_filter_module_ctx, /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_aggregate_guard_header_filter(ngx_http_request_t *r)
{
    if (r == r->main) {
        return ngx_http_next_header_filter(r);
    }

    return ngx_http_aggregate_guard_header(r);
}


static ngx_int_t
ngx_http_aggregate_guard_header(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_uint_t                 error_page;
    ngx_http_aggregate_try_t  *t;

    t = ngx_http_aggregate_find_try(r);

    if (t == NULL) {
        return ngx_http_next_header_filter(r);
    }

    error_page = r->error_page;
    r->error_page = 1;

    rc = ngx_http_next_header_filter(r);

    r->error_page = error_page;

    if (r == t->request && rc == NGX_OK) {
        t->passed = 1;
    }

    return rc;
}


static ngx_int_t
ngx_http_aggregate_guard_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    if (r == r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    return ngx_http_aggregate_guard_body(r, in);
}


static ngx_int_t
ngx_http_aggregate_guard_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                  rc;
    ngx_uint_t                 last, ends, error_page, waits;
    ngx_chain_t               *cl;
    ngx_connection_t          *c;
    ngx_http_aggregate_try_t  *t;

    t = ngx_http_aggregate_find_try(r);

    if (t == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    ends = ngx_http_aggregate_guard_ends(t, r, in);
    last = 0;

    for (cl = in; cl; cl = cl->next) {
        t->given |= (ngx_buf_size(cl->buf) != 0);
        last |= ngx_http_aggregate_held_is_last(r, cl->buf);
    }

    if (last && r == t->request) {
        t->given_last = 1;
    }

    if (!t->broken) {

#if (NGX_HTTP_AGGREGATE_SSI_MAIN)

        /* SSI keeps its variables with the main request, and looks there */

        if (t->fetches->root->first->request == r->main
            && ngx_http_get_module_ctx(r->main, ngx_http_ssi_filter_module)
               == NULL)
        {
            r->main->ctx[ngx_http_ssi_filter_module.ctx_index] =
                        ngx_http_get_module_ctx(r, ngx_http_ssi_filter_module);
        }

#endif

        error_page = r->error_page;
        r->error_page = 1;

        /* a filter may wait for an end that it does not see in a subrequest */

        c = r->connection;
        waits = ~c->buffered & ~NGX_HTTP_AGGREGATE_SENDS;

        rc = ngx_http_next_body_filter(r, in);

        r->error_page = error_page;
        c->buffered &= ~waits;

        if (rc != NGX_ERROR) {

            if (ends && rc == NGX_OK && t->last && !r->buffered) {

                /* nginx has nothing to send after this */

                r->upstream->pipe->downstream_error = 1;
            }

            return rc;
        }

        ngx_http_aggregate_guard_failed(t, r, last);
    }

    (void) ngx_http_aggregate_held_discard(in);

    return NGX_OK;
}


/* marks the last bytes of a response that is read by "proxy_pass" */

static ngx_uint_t
ngx_http_aggregate_guard_ends(ngx_http_aggregate_try_t *t,
    ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_upstream_t  *u;

    u = t->upstream;

    if (u == NULL || u != r->upstream || u->length != 0 || u->buffering
        || in == NULL || in != u->out_bufs
        || u->pipe == NULL || u->conf->pass_trailers)
    {
        return 0;
    }

    while (in->next) {
        in = in->next;
    }

    in->buf->last_in_chain = 1;

    return 1;
}


static void
ngx_http_aggregate_guard_failed(ngx_http_aggregate_try_t *t,
    ngx_http_request_t *r, ngx_uint_t last)
{
    ngx_http_request_t  *sr;

    sr = t->request;

    t->broken = 1;
    sr->buffered = 0;
    r->buffered = 0;

    /* nginx would close the client's connection */

    r->filter_finalize = 0;

    if (t->detached) {

        /* its response turns out not to be stored */

        t->fetches->cancels = 1;
        ngx_http_aggregate_fetches_post(t->fetches->root->first);
    }

    if (t->has_result) {
        return;
    }

    if (last && !t->given) {

        /* such as "gunzip" fails of nothing at all */

        t->last = 1;
        return;
    }

    ngx_log_error(NGX_LOG_INFO, sr->connection->log, 0,
                  "a filter has failed in the response to aggregate "
                  "backend \"%V\"", t->fetch->name);

    ngx_http_aggregate_try_result(t, ngx_http_aggregate_was_encoded(sr)
                                     ? NGX_HTTP_AGGREGATE_ENCODING
                                     : NGX_HTTP_AGGREGATE_INTERNAL);
}


static ngx_int_t
ngx_http_aggregate_guard_init(ngx_conf_t *cf)
{
    if (!ngx_http_aggregate_fetch_is_used(cf)) {
        return NGX_OK;
    }

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_guard_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_guard_body_filter;

    return NGX_OK;
}
