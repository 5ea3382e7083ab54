
/*
 * A try: a subrequest that runs in the background, whose response the filter
 * takes, and which can be cancelled at any time but from a filter.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_owner.h"


#define NGX_HTTP_AGGREGATE_DUE  5    /* milliseconds */


static ngx_int_t ngx_http_aggregate_try_prepare(ngx_http_aggregate_try_t *t);
static ngx_int_t ngx_http_aggregate_try_set_body(ngx_http_aggregate_try_t *t);
static ngx_int_t ngx_http_aggregate_phase_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_encode_uri(ngx_http_request_t *r);
static void ngx_http_aggregate_try_run(ngx_http_request_t *sr);
static ngx_int_t ngx_http_aggregate_try_content(ngx_http_request_t *r);
static void ngx_http_aggregate_try_upstream(ngx_http_aggregate_try_t *t);
static ngx_int_t ngx_http_aggregate_process_header(ngx_http_request_t *sr);
static ngx_int_t ngx_http_aggregate_reinit_request(ngx_http_request_t *sr);
static ngx_int_t ngx_http_aggregate_next_header(ngx_http_aggregate_try_t *t);
static ngx_int_t ngx_http_aggregate_try_finished(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);
static void ngx_http_aggregate_finished_again(ngx_http_aggregate_try_t *t);
static void ngx_http_aggregate_free_main(ngx_http_request_t *r);
static void ngx_http_aggregate_try_finalized(ngx_http_aggregate_try_t *t);
static ngx_http_aggregate_reason_e ngx_http_aggregate_try_reason(
    ngx_http_aggregate_try_t *t, ngx_int_t rc);
static ngx_uint_t ngx_http_aggregate_is_direct(ngx_http_request_t *sr);
static ngx_uint_t ngx_http_aggregate_is_whole(ngx_http_aggregate_try_t *t,
    ngx_int_t rc);
static void ngx_http_aggregate_try_cancelled(ngx_http_request_t *sr);
static ngx_uint_t ngx_http_aggregate_try_deadline(ngx_http_request_t *r,
    ngx_msec_t *deadline);
static ngx_msec_t ngx_http_aggregate_fetch_deadline(
    ngx_http_aggregate_fetch_t *fetch);
static ngx_uint_t ngx_http_aggregate_try_is_due(ngx_http_aggregate_try_t *t);


/* contexts of modules are lost at an internal redirect, this is not */

ngx_http_aggregate_try_t *
ngx_http_aggregate_get_try(ngx_http_request_t *r)
{
    if (r != r->main && r->post_subrequest
        && r->post_subrequest->handler == ngx_http_aggregate_try_finished)
    {
        return r->post_subrequest->data;
    }

    return NULL;
}


/* the try that the request belongs to, if only by its parents */

void
ngx_http_aggregate_try_init(void)
{
    ngx_http_aggregate_owner_handler = ngx_http_aggregate_try_finished;
    ngx_http_aggregate_owner_deadline = ngx_http_aggregate_try_deadline;
}


/* the deadline of the last one that waits for the try, and of all parts */

static ngx_uint_t
ngx_http_aggregate_try_deadline(ngx_http_request_t *r, ngx_msec_t *deadline)
{
    ngx_msec_t                   other;
    ngx_http_aggregate_try_t    *t;
    ngx_http_aggregate_fetch_t  *f;

    t = ngx_http_aggregate_find_try(r);

    if (t == NULL) {
        return 0;
    }

    *deadline = ngx_http_aggregate_fetch_deadline(t->fetch);

    for (f = t->fetch->followers; f; f = f->next) {

        if (f->has_result) {
            continue;
        }

        other = ngx_http_aggregate_fetch_deadline(f);

        if ((ngx_msec_int_t) (other - *deadline) > 0) {
            *deadline = other;
        }
    }

    return 1;
}


static ngx_msec_t
ngx_http_aggregate_fetch_deadline(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_msec_t                   all;
    ngx_http_aggregate_clock_t  *clock;

    clock = fetch->clock;
    all = fetch->fetches->deadline;

    return (clock->timeout && (ngx_msec_int_t) (clock->deadline - all) < 0)
           ? clock->deadline : all;
}


ngx_http_aggregate_try_t *
ngx_http_aggregate_find_try(ngx_http_request_t *r)
{
    ngx_http_aggregate_try_t  *t;

    for ( /* void */ ; r != r->main; r = r->parent) {
        t = ngx_http_aggregate_get_try(r);

        if (t) {
            return t;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_aggregate_try_send(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_int_t                      rc;
    ngx_uint_t                     in_memory;
    ngx_http_request_t            *r;
    ngx_http_aggregate_try_t      *t;
    ngx_http_aggregate_fetches_t  *fs;

    fs = fetch->fetches;
    r = fs->request;

    t = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_try_t));
    if (t == NULL) {
        return NGX_ERROR;
    }

    t->fetch = fetch;
    t->fetches = fs;
    t->post.handler = ngx_http_aggregate_try_finished;
    t->post.data = t;

    /* njs keeps the response in memory, which nginx allows no parts */

    in_memory = r->subrequest_in_memory;
    r->subrequest_in_memory = 0;

    rc = ngx_http_subrequest(r, &fetch->uri, &fetch->args, &t->request,
                             &t->post, NGX_HTTP_SUBREQUEST_BACKGROUND);

    r->subrequest_in_memory = in_memory;

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_fetch_sent(fetch, t);

    t->link = fs->tries_last;
    *fs->tries_last = t;
    fs->tries_last = &t->next;

    t->place = 1;

    fs->places++;
    fs->root->running++;
    fs->root->tries++;

    /*
     * In the background a subrequest is not in the parent's list, and its
     * output waits for nobody.  The mark itself is needed at its end only,
     * and until then it would keep proxy_cache from serving stale answers.
     */

    t->request->background = 0;

    ngx_http_aggregate_notify(fs, begin, t);

    if (ngx_http_aggregate_try_prepare(t) != NGX_OK) {
        t->has_result = 1;
        t->reason = NGX_HTTP_AGGREGATE_INTERNAL;
        fs->cancels = 1;

        ngx_http_aggregate_notify(fs, end, t);

        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_try_prepare(ngx_http_aggregate_try_t *t)
{
    size_t                          size;
    ngx_http_request_t             *r, *sr;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_aggregate_observer_t  *o;

    sr = t->request;
    r = t->fetches->request;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    size = cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);

    sr->variables = ngx_palloc(r->pool, size);
    if (sr->variables == NULL) {

        /* until it ends it must have some */

        sr->variables = r->variables;
        return NGX_ERROR;
    }

    ngx_memcpy(sr->variables, r->variables, size);

    sr->header_in = r->header_in;
    sr->filter_need_in_memory = 1;
    sr->write_event_handler = ngx_http_aggregate_try_run;
    sr->method = t->fetch->method;
    sr->method_name = t->fetch->method_name;

    if (ngx_http_aggregate_set_headers(sr, t->fetch) != NGX_OK
        || ngx_http_aggregate_try_set_body(t) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (o = t->fetches->observers; o; o = o->next) {
        if (o->headers && o->headers(t) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_try_set_body(ngx_http_aggregate_try_t *t)
{
    ngx_buf_t                   *b;
    ngx_http_request_t          *sr;
    ngx_http_request_body_t     *rb;
    ngx_http_aggregate_fetch_t  *fetch;

    sr = t->request;
    fetch = t->fetch;

    t->content_length_n = -1;

    if (fetch->body_request || fetch->body_set) {

        /* the location's "client_max_body_size" is for clients */

        t->content_length_n = sr->headers_in.content_length_n;
        sr->headers_in.content_length_n = -1;
    }

    if (fetch->body_request) {
        return NGX_OK;
    }

    if (!fetch->body_set) {

        /* a body that was read, as every subrequest has it */

        sr->request_body = &t->empty_body;
        return NGX_OK;
    }

    rb = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
    b = ngx_calloc_buf(sr->pool);

    if (rb == NULL || b == NULL) {
        return NGX_ERROR;
    }

    b->pos = fetch->body.data;
    b->last = fetch->body.data + fetch->body.len;
    b->start = b->pos;
    b->end = b->last;
    b->memory = 1;
    b->last_buf = 1;

    rb->bufs = ngx_alloc_chain_link(sr->pool);
    if (rb->bufs == NULL) {
        return NGX_ERROR;
    }

    rb->bufs->buf = b;
    rb->bufs->next = NULL;
    rb->buf = b;

    sr->request_body = rb;

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_phase_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_aggregate_phase_handler;

    return NGX_OK;
}


/* the location is known, and has been asked for "client_max_body_size" */

static ngx_int_t
ngx_http_aggregate_phase_handler(ngx_http_request_t *r)
{
    ngx_http_aggregate_try_t  *t;

    t = ngx_http_aggregate_get_try(r);

    if (t == NULL) {
        return NGX_DECLINED;
    }

    if (t->content_length_n != -1) {
        r->headers_in.content_length_n = t->content_length_n;
        t->content_length_n = -1;
    }

    if (r->content_handler
        && r->content_handler != ngx_http_aggregate_try_content)
    {
        t->content_handler = r->content_handler;
        r->content_handler = ngx_http_aggregate_try_content;
    }

    if (t->fetch->encoded_slash) {
        return ngx_http_aggregate_encode_uri(r);
    }

    return NGX_DECLINED;
}


/*
 * nginx keeps URIs decoded, and has no way to say that a "/" is to be encoded:
 * where there is one the whole URI is encoded here, but the location's part of
 * it, and sent as it stands.
 */

static ngx_int_t
ngx_http_aggregate_encode_uri(ngx_http_request_t *r)
{
    u_char                    *p, *src, *last;
    ngx_str_t                  uri;
    ngx_uint_t                 escapes;
    ngx_http_core_loc_conf_t  *clcf;

    src = r->uri.data;
    last = src + r->uri.len;

    if (!r->internal || ngx_strlchr(src, last, '\x01') == NULL) {
        return NGX_DECLINED;
    }

    escapes = ngx_escape_uri(NULL, src, r->uri.len, NGX_ESCAPE_URI);

    uri.data = ngx_pnalloc(r->pool, r->uri.len + 2 * escapes);
    if (uri.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = uri.data;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->name.len <= r->uri.len
        && ngx_strncmp(clcf->name.data, src, clcf->name.len) == 0
        && ngx_escape_uri(NULL, src, clcf->name.len, NGX_ESCAPE_URI) != 0)
    {
        /* "proxy_pass" would take off too little */

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for ( /* void */ ; src < last; src++) {

        if (*src == '\x01') {
            p = ngx_cpymem(p, "%2F", 3);

        } else {
            p = (u_char *) ngx_escape_uri(p, src, 1, NGX_ESCAPE_URI);
        }
    }

    uri.len = p - uri.data;

    r->uri = uri;
    r->internal = 0;
    r->quoted_uri = 0;

#if (nginx_version < 1021001)
    r->space_in_uri = 0;
#endif

    return NGX_DECLINED;
}


static void
ngx_http_aggregate_try_run(ngx_http_request_t *sr)
{
    ngx_http_aggregate_try_t  *t;

    t = sr->post_subrequest->data;

    ngx_http_handler(sr);

    ngx_http_aggregate_fetches_take_delay(t->fetches);
}


/*
 * Whoever talks to a backend is set up now: the location's handler, or that of
 * another one that an error or a response has led to
 */

static ngx_int_t
ngx_http_aggregate_try_content(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_aggregate_try_t  *t;

    t = ngx_http_aggregate_get_try(r);

    if (t == NULL) {

        /* a copy of a request, as created by the cache */

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        return clcf->handler ? clcf->handler(r) : NGX_DECLINED;
    }

    rc = t->content_handler(r);

    ngx_http_aggregate_try_upstream(t);

    return rc;
}


static void
ngx_http_aggregate_try_upstream(ngx_http_aggregate_try_t *t)
{
    ngx_http_upstream_t  *u;

    u = t->request->upstream;

    if (t->finalized || u == NULL || u == t->upstream
        || u->process_header == NULL
        || u->conf == NULL || u->conf->module.len != 5
        || ngx_strncmp(u->conf->module.data, "proxy", 5) != 0)
    {
        return;
    }

    t->upstream = u;
    t->process_header = u->process_header;
    u->process_header = ngx_http_aggregate_process_header;

    t->reinit_request = u->reinit_request;
    u->reinit_request = ngx_http_aggregate_reinit_request;

    ngx_http_aggregate_read_buffer(t, u);
}


/*
 * RFC 9110, 15.2: any number of 1xx responses may come before the one that
 * counts, and nginx takes the first for it
 */

static ngx_int_t
ngx_http_aggregate_process_header(ngx_http_request_t *sr)
{
    ngx_int_t                  rc;
    ngx_uint_t                 status;
    ngx_http_upstream_t       *u;
    ngx_http_aggregate_try_t  *t;

    t = ngx_http_aggregate_get_try(sr);
    u = sr->upstream;

    if (t == NULL) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        u->process_header = t->process_header;

        rc = ngx_http_aggregate_parse_header(sr);

        status = u->headers_in.status_n;

        if (rc == NGX_OK
            && status >= 100 && status < 200
            && status != NGX_HTTP_SWITCHING_PROTOCOLS)
        {
            if (ngx_http_aggregate_next_header(t) != NGX_OK) {
                return NGX_ERROR;
            }

            t->process_header = u->process_header;
            continue;
        }

        t->process_header = u->process_header;
        u->process_header = ngx_http_aggregate_process_header;

        if (rc == NGX_OK) {
            ngx_http_aggregate_read_expect(sr, u);
        }

        return rc;
    }
}


/* the next server is asked, and "proxy_pass" sets its own handler once more */

static ngx_int_t
ngx_http_aggregate_reinit_request(ngx_http_request_t *sr)
{
    ngx_int_t                  rc;
    ngx_http_upstream_t       *u;
    ngx_http_aggregate_try_t  *t;

    t = ngx_http_aggregate_get_try(sr);
    u = sr->upstream;

    if (t == NULL) {
        return NGX_ERROR;
    }

    rc = t->reinit_request(sr);

    t->process_header = u->process_header;
    u->process_header = ngx_http_aggregate_process_header;

    return rc;
}


static ngx_int_t
ngx_http_aggregate_next_header(ngx_http_aggregate_try_t *t)
{
    ngx_http_request_t   *sr;
    ngx_http_upstream_t  *u;

    sr = t->request;
    u = sr->upstream;

    if (t->reinit_request(sr) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&u->headers_in, sizeof(ngx_http_upstream_headers_in_t));

    u->headers_in.content_length_n = -1;
    u->headers_in.last_modified_time = -1;

    if (ngx_list_init(&u->headers_in.headers, sr->pool, 8,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_list_init(&u->headers_in.trailers, sr->pool, 2,
                         sizeof(ngx_table_elt_t));
}


/*
 * nginx calls this function each time the subrequest is finalized: with a
 * status that is yet to become a response, with a response that is not sent
 * yet, and at last for good.
 */

static ngx_int_t
ngx_http_aggregate_try_finished(ngx_http_request_t *sr, void *data,
    ngx_int_t rc)
{
    ngx_http_aggregate_try_t *t = data;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, sr->connection->log, 0,
                   "aggregate subrequest finished: \"%V\" rc:%i r:%d f:%d",
                   &sr->uri, rc, (int) t->has_result, (int) t->finalized);

    if (sr->connection->error) {
        return rc;
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE
        || rc == NGX_HTTP_CREATED
        || rc == NGX_HTTP_NO_CONTENT)
    {
        if (rc != NGX_HTTP_CLOSE
            && rc != NGX_HTTP_REQUEST_TIME_OUT
            && rc != NGX_HTTP_CLIENT_CLOSED_REQUEST
            && !t->has_result
            && !sr->header_sent)
        {
            if (sr->upstream && sr->upstream != t->failed) {
                t->failed = sr->upstream;
                t->error = rc;
                t->uri_changes = sr->uri_changes;
            }

            /* "error_page" may lead to a location that delays it */

            ngx_http_aggregate_fetches_post(t->fetches);

            return rc;
        }

        if (!t->header) {
            t->status = rc;
        }

        rc = NGX_ERROR;
    }

    if ((rc == NGX_OK || rc == NGX_AGAIN) && (sr->buffered || sr->postponed)) {
        return rc;
    }

    ngx_http_aggregate_give_back(sr);

    if (t->finalized) {
        ngx_http_aggregate_finished_again(t);
        return NGX_OK;
    }

    /* the subrequest may be posted, and would run once more */

    sr->write_event_handler = ngx_http_request_empty_handler;

    sr->background = 1;
    sr->buffered = 0;

    ngx_http_aggregate_try_finalized(t);

    if (!t->has_result) {
        ngx_http_aggregate_try_result(t, ngx_http_aggregate_try_reason(t, rc));
    }

    return NGX_OK;
}


/*
 * Modules that make subrequests of their own, such as lua and echo, make them
 * the active request of the connection at their end, and so at last ours, for
 * which the client's response would wait for ever
 */

void
ngx_http_aggregate_give_back(ngx_http_request_t *sr)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = sr->connection;

    for (r = c->data; r != sr; r = r->parent) {
        if (r == r->main) {
            return;
        }
    }

    r = sr->main;

    while (r->postponed && r->postponed->request) {
        r = r->postponed->request;
    }

    c->data = r;

    (void) ngx_http_post_request(r, NULL);
}


/*
 * A module has finished a subrequest that was cancelled, such as lua when its
 * capture has come.  A request that is not active changes no count; if the
 * last count was the capture's, nobody is left to free the main request.
 */

static void
ngx_http_aggregate_finished_again(ngx_http_aggregate_try_t *t)
{
    ngx_http_request_t  *r;

    t->request->background = 0;

    r = t->request->main;

    if (r->count == 0) {
        r->count = 1;
        r->write_event_handler = ngx_http_aggregate_free_main;

        /* this can not fail, and nobody else would free the request */

        (void) ngx_http_post_request(r, &t->fetches->root->end);
    }
}


static void
ngx_http_aggregate_free_main(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, NGX_DONE);
}


static void
ngx_http_aggregate_try_finalized(ngx_http_aggregate_try_t *t)
{
    ngx_http_aggregate_fetch_root_t  *root;

    root = t->fetches->root;

    t->finalized = 1;

    ngx_http_aggregate_read_ended(t->fetches, t);

    *t->link = t->next;

    if (t->next) {
        t->next->link = t->link;

    } else {
        t->fetches->tries_last = t->link;
    }

    root->tries--;

    ngx_http_aggregate_free_place(t);
    ngx_http_aggregate_fetches_post(t->fetches);

    if (root->first->client_gone) {
        ngx_http_aggregate_fetches_post(root->first);
    }
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_try_reason(ngx_http_aggregate_try_t *t, ngx_int_t rc)
{
    ngx_http_upstream_t  *u;

    if (!t->header) {
        u = t->request->upstream;

        if (u && !ngx_http_aggregate_has_header(u)) {
            return NGX_HTTP_AGGREGATE_CONNECT;
        }

        if (t->status) {

            /* such as of "return 444" */

            return NGX_HTTP_AGGREGATE_STATUS;
        }

        if (!t->passed || t->given_last) {
            return NGX_HTTP_AGGREGATE_INTERNAL;
        }

        /* a header filter still waits for the rest of the body */

        if (u) {
            t->status = u->headers_in.status_n;
        }

        return NGX_HTTP_AGGREGATE_TRUNCATED;
    }

    if (t->error_body) {

        if (t->run && ngx_http_aggregate_is_whole(t, rc)) {
            ngx_http_aggregate_sink_error(t);
        }

        return NGX_HTTP_AGGREGATE_STATUS;
    }

    if (!t->accepted) {
        return ngx_http_aggregate_status_reason(t);
    }

    if (t->degraded == NGX_HTTP_AGGREGATE_NO_REASON
        && !ngx_http_aggregate_is_direct(t->request)
        && ngx_http_aggregate_breaker_rejected(t->request))
    {
        t->degraded = NGX_HTTP_AGGREGATE_BREAKER_OPEN;
    }

    if (!ngx_http_aggregate_is_whole(t, rc)) {
        return NGX_HTTP_AGGREGATE_TRUNCATED;
    }

    return ngx_http_aggregate_sink_finish(t);
}


/*
 * The location that the subrequest was made for has passed it to a backend: no
 * breaker has rejected it, and it was not redirected to a fallback
 */

static ngx_uint_t
ngx_http_aggregate_is_direct(ngx_http_request_t *sr)
{
    return sr->upstream && sr->uri_changes == NGX_HTTP_MAX_URI_CHANGES + 1;
}


/*
 * A body that was cut off ends with success as well, but without the mark of
 * the last buffer.  Some filters, such as SSI and XSLT, take that mark off what
 * they pass in a subrequest, so it also counts that they were given all of it.
 * Without buffering nginx takes a FastCGI answer for whole that has no end
 * record.
 */

static ngx_uint_t
ngx_http_aggregate_is_whole(ngx_http_aggregate_try_t *t, ngx_int_t rc)
{
    ngx_http_request_t  *sr;

    sr = t->request;

    if (t->no_body || sr->headers_out.content_length_n == 0) {
        return 1;
    }

    if (ngx_http_aggregate_held_unended(sr)) {
        return 0;
    }

    return t->last || (t->given_last && rc == NGX_OK);
}


ngx_http_aggregate_reason_e
ngx_http_aggregate_status_reason(ngx_http_aggregate_try_t *t)
{
    if (ngx_http_aggregate_breaker_rejected(t->request)) {
        return NGX_HTTP_AGGREGATE_BREAKER_OPEN;
    }

    if (t->status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE
        && t->request->upstream == NULL)
    {
        return NGX_HTTP_AGGREGATE_TOO_LARGE;
    }

    if (t->status == NGX_HTTP_GATEWAY_TIME_OUT
        && ngx_http_aggregate_try_is_due(t))
    {
        return NGX_HTTP_AGGREGATE_TIMEOUT;
    }

    if (!ngx_http_aggregate_is_local_error(t)) {
        return NGX_HTTP_AGGREGATE_STATUS;
    }

    return t->status == NGX_HTTP_GATEWAY_TIME_OUT
           ? NGX_HTTP_AGGREGATE_TIMEOUT : NGX_HTTP_AGGREGATE_CONNECT;
}


/*
 * A backend that was told the deadline, as one of gRPC is, may see it pass a
 * moment before the timer here does
 */

static ngx_uint_t
ngx_http_aggregate_try_is_due(ngx_http_aggregate_try_t *t)
{
    ngx_msec_t  deadline;

    return ngx_http_aggregate_try_deadline(t->request, &deadline)
           && (ngx_msec_int_t) (deadline - ngx_current_msec)
              <= NGX_HTTP_AGGREGATE_DUE;
}


/*
 * This must not be called from a filter, where the subrequest is still in use.
 * A subrequest that a thread or the lock of a cache refers to ends when it is
 * released.
 */

void
ngx_http_aggregate_try_cancel(ngx_http_aggregate_try_t *t)
{
    ngx_http_cleanup_pt   cleanup;
    ngx_http_request_t   *r, *sr;
    ngx_http_upstream_t  *u;

    if (t->finalized) {
        return;
    }

    sr = t->request;
    u = sr->upstream;

    t->has_result = 1;

    ngx_http_aggregate_give_back(sr);

    while (t->inner) {
        r = t->inner->request;

        ngx_http_aggregate_fetches_abort(t->inner);

        if (r != sr) {

            /* a subrequest of lua's or njs's, which nobody else would end */

            r->write_event_handler = ngx_http_request_empty_handler;
            ngx_http_finalize_request(r, NGX_DONE);
        }
    }

    if (sr->aio
#if (NGX_HTTP_CACHE)
        || (sr->cache && sr->cache->waiting)
#endif
       )
    {
        sr->write_event_handler = ngx_http_aggregate_try_cancelled;
        return;
    }

    if (u && u->cleanup && *u->cleanup) {

        if (u->state && t->reason == NGX_HTTP_AGGREGATE_TIMEOUT) {

            /* for those who look at why an upstream ended */

            u->state->status = NGX_HTTP_GATEWAY_TIME_OUT;
        }

        sr->read_event_handler = ngx_http_request_empty_handler;
        sr->write_event_handler = ngx_http_request_empty_handler;

        ngx_http_aggregate_try_finalized(t);

        cleanup = *u->cleanup;
        cleanup(sr);

        return;
    }

    if (t->cancelled) {
        return;
    }

    t->cancelled = 1;

    /* the subrequest has not started, or it waits for something else */

    sr->write_event_handler = ngx_http_aggregate_try_cancelled;

    (void) ngx_http_post_request(sr, &t->posted);
}


static void
ngx_http_aggregate_try_cancelled(ngx_http_request_t *sr)
{
    ngx_http_aggregate_try_t  *t;

    sr->write_event_handler = ngx_http_request_empty_handler;

    t = sr->post_subrequest->data;

    if (t->finalized) {
        return;
    }

    if (sr->upstream && sr->upstream->cleanup && *sr->upstream->cleanup) {
        ngx_http_aggregate_try_cancel(t);
        return;
    }

    ngx_http_finalize_request(sr, NGX_ERROR);
}
