
/* the body of a response is shaped as it arrives */

#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_memory.h"
#include "agg_content.h"


static ngx_http_aggregate_reason_e ngx_http_aggregate_sink_shape(
    ngx_http_aggregate_try_t *t, off_t length);
static ngx_uint_t ngx_http_aggregate_sink_skip_bom(
    ngx_http_aggregate_try_t *t, u_char **p, size_t *len);
static ngx_http_aggregate_reason_e ngx_http_aggregate_sink_string(
    ngx_http_aggregate_try_t *t);
static agg_shape_t *ngx_http_aggregate_sink_first(
    ngx_http_aggregate_fetch_t *fetch);
static ngx_uint_t ngx_http_aggregate_sink_fails(ngx_http_aggregate_try_t *t);
static ngx_http_aggregate_reason_e ngx_http_aggregate_sink_end(
    ngx_http_aggregate_try_t *t, agg_shape_run_t *run);
static ngx_http_aggregate_reason_e ngx_http_aggregate_sink_run(
    ngx_http_aggregate_try_t *t, agg_shape_t *shape);
static ngx_http_aggregate_reason_e ngx_http_aggregate_sink_reason(
    agg_rc_e rc);


ngx_http_aggregate_reason_e
ngx_http_aggregate_sink_start(ngx_http_aggregate_try_t *t)
{
    off_t                          length;
    ngx_table_elt_t               *encoding;
    ngx_http_request_t            *sr;
    ngx_http_aggregate_limits_t   *limits;

    sr = t->request;
    limits = t->fetches->limits;

    encoding = sr->headers_out.content_encoding;

    if (encoding && encoding->hash && encoding->value.len
        && !(encoding->value.len == 8
             && ngx_strncasecmp(encoding->value.data, (u_char *) "identity", 8)
                == 0)
        && !t->no_body)
    {
        return NGX_HTTP_AGGREGATE_ENCODING;
    }

    /* in a response to HEAD, the length is that of a body that is not sent */

    length = t->no_body ? 0 : sr->headers_out.content_length_n;

    if (length > (off_t) limits->max_body_size) {
        return NGX_HTTP_AGGREGATE_TOO_LARGE;
    }

    agg_buf_init(&t->out, t->fetches->mem, limits->max_body_size);

    if (t->fetch->sink == NGX_HTTP_AGGREGATE_SINK_JSON) {
        return ngx_http_aggregate_sink_shape(t, length);
    }

    if (length > 0 && agg_buf_reserve(&t->out, length) != AGG_OK) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_sink_shape(ngx_http_aggregate_try_t *t, off_t length)
{
    agg_shape_t       *shape;
    agg_shape_args_t  *args;

    args = NULL;
    shape = NULL;

    if (t->fetch->shape && t->fetch->fail_on == NULL && !t->error_body) {
        shape = ngx_http_aggregate_sink_first(t->fetch);

        t->out.max = t->fetches->limits->max_response_size;

        args = ngx_palloc(t->request->pool, sizeof(agg_shape_args_t));

        if (args == NULL
            || ngx_http_aggregate_shape_args(t->fetches->request,
                                             t->fetch->shape, args)
               != NGX_OK)
        {
            return NGX_HTTP_AGGREGATE_INTERNAL;
        }
    }

    if ((shape == NULL || agg_shape_is_identity(shape)) && length > 0
        && agg_buf_reserve(&t->out, length) != AGG_OK)
    {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    t->run = ngx_http_aggregate_memory_alloc(t->request->pool,
                                             agg_shape_run_size(shape));
    if (t->run == NULL) {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    agg_shape_run_init(t->run, shape, &t->out, args);

    if (shape == NULL && t->fetch->patterns && !t->error_body) {
        agg_shape_run_expect(t->run, t->fetch->patterns);
    }

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* the shape that is run first, on the body of the response */

static agg_shape_t *
ngx_http_aggregate_sink_first(ngx_http_aggregate_fetch_t *fetch)
{
    return fetch->stage == NGX_HTTP_AGGREGATE_SHAPE_WHOLE
           ? fetch->shape->shape : agg_shape_head(fetch->shape->shape);
}


ngx_http_aggregate_reason_e
ngx_http_aggregate_sink_push(ngx_http_aggregate_try_t *t, u_char *p,
    size_t len)
{
    agg_rc_e  rc;

    t->received += len;

    if (t->received > (off_t) t->fetches->limits->max_body_size) {

        return t->accepted ? NGX_HTTP_AGGREGATE_TOO_LARGE
                           : ngx_http_aggregate_status_reason(t);
    }

    if ((!t->accepted && !t->error_body) || len == 0) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    if (t->run) {

        if (t->bom != 3 && ngx_http_aggregate_sink_skip_bom(t, &p, &len)) {
            return NGX_HTTP_AGGREGATE_INVALID_JSON;
        }

        rc = agg_shape_run_push(t->run, p, len);

    } else {
        rc = agg_buf_append(&t->out, p, len);
    }

    if (rc != AGG_OK && t->error_body) {
        return ngx_http_aggregate_status_reason(t);
    }

    return ngx_http_aggregate_sink_reason(rc);
}


/* RFC 8259, 8.1; returns 1 if the mark is incomplete */

static ngx_uint_t
ngx_http_aggregate_sink_skip_bom(ngx_http_aggregate_try_t *t, u_char **p,
    size_t *len)
{
    static const u_char  bom[] = { 0xef, 0xbb, 0xbf };

    while (t->bom < 3 && *len) {

        if (**p != bom[t->bom]) {

            if (t->bom != 0) {
                return 1;
            }

            t->bom = 3;
            break;
        }

        t->bom++;
        (*p)++;
        (*len)--;
    }

    return 0;
}


ngx_http_aggregate_reason_e
ngx_http_aggregate_sink_finish(ngx_http_aggregate_try_t *t)
{
    agg_rc_e                      rc;
    agg_str_t                     null;
    ngx_http_aggregate_fetch_t   *fetch;
    ngx_http_aggregate_reason_e   reason;

    fetch = t->fetch;

    if (t->received == 0 && fetch->sink != NGX_HTTP_AGGREGATE_SINK_RAW) {

        /* the status is 204, or the body is empty */

        null.data = (u_char *) "null";
        null.len = 4;

        if (fetch->shape == NULL) {
            t->value = null;
            t->source = null;

            return NGX_HTTP_AGGREGATE_NO_REASON;
        }

        rc = agg_shape_run_push(t->run, null.data, null.len);

        if (rc != AGG_OK) {
            return ngx_http_aggregate_sink_reason(rc);
        }
    }

    if (fetch->sink == NGX_HTTP_AGGREGATE_SINK_STRING) {
        return ngx_http_aggregate_sink_string(t);
    }

    if (t->run) {
        reason = ngx_http_aggregate_sink_end(t, t->run);

        if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
            return reason;
        }
    }

    t->value.data = t->out.start;
    t->value.len = agg_buf_used(&t->out);

    if (fetch->fail_on) {

        if (ngx_http_aggregate_sink_fails(t)) {
            return NGX_HTTP_AGGREGATE_CONTENT;
        }

        if (fetch->shape) {
            reason = ngx_http_aggregate_sink_run(t,
                                      ngx_http_aggregate_sink_first(fetch));

            if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
                return reason;
            }
        }
    }

    t->source = t->value;

    if (fetch->shape && fetch->stage == NGX_HTTP_AGGREGATE_SHAPE_SPLIT) {

        /* other parts read the source, so the rest is done on a copy */

        return ngx_http_aggregate_sink_run(t,
                                        agg_shape_tail(fetch->shape->shape));
    }

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* the body of a response that is not accepted, if it is wanted */

void
ngx_http_aggregate_sink_error(ngx_http_aggregate_try_t *t)
{
    if (agg_shape_run_finish(t->run) == AGG_OK) {
        t->source.data = t->out.start;
        t->source.len = agg_buf_used(&t->out);
    }
}


static ngx_uint_t
ngx_http_aggregate_sink_fails(ngx_http_aggregate_try_t *t)
{
    ngx_uint_t    i;
    agg_path_t  **path;

    path = t->fetch->fail_on->elts;

    for (i = 0; i < t->fetch->fail_on->nelts; i++) {
        if (agg_content_fails(path[i], &t->value)) {
            return 1;
        }
    }

    return 0;
}


/* the document is complete: sets the value of a missing target */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_sink_end(ngx_http_aggregate_try_t *t,
    agg_shape_run_t *run)
{
    agg_rc_e   rc;
    agg_str_t  missing;

    rc = agg_shape_run_finish(run);

    if (rc == AGG_NOT_FOUND) {
        missing.data = (u_char *) "null";
        missing.len = 4;

        if (t->fetch->missing.data) {
            missing.data = t->fetch->missing.data;
            missing.len = t->fetch->missing.len;
        }

        rc = agg_shape_run_missing(run, &missing);
    }

    return ngx_http_aggregate_sink_reason(rc);
}


/* replaces the value by the output of a shape */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_sink_run(ngx_http_aggregate_try_t *t, agg_shape_t *shape)
{
    agg_rc_e                       rc;
    agg_buf_t                      out;
    agg_shape_run_t               *run;
    agg_shape_args_t               args;
    ngx_http_aggregate_reason_e    reason;
    ngx_http_aggregate_fetches_t  *fs;

    fs = t->fetches;

    if (agg_shape_is_identity(shape)) {
        return NGX_HTTP_AGGREGATE_NO_REASON;
    }

    run = ngx_palloc(fs->request->pool, agg_shape_run_size(shape));

    if (run == NULL
        || ngx_http_aggregate_shape_args(fs->request, t->fetch->shape, &args)
           != NGX_OK)
    {
        return NGX_HTTP_AGGREGATE_INTERNAL;
    }

    agg_buf_init(&out, fs->mem, fs->limits->max_response_size);
    agg_shape_run_init(run, shape, &out, &args);

    rc = agg_shape_run_push(run, t->value.data, t->value.len);

    if (rc != AGG_OK) {
        return ngx_http_aggregate_sink_reason(rc);
    }

    reason = ngx_http_aggregate_sink_end(t, run);

    if (reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        t->value.data = out.start;
        t->value.len = agg_buf_used(&out);
    }

    return reason;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_sink_string(ngx_http_aggregate_try_t *t)
{
    size_t     len;
    agg_rc_e   rc;
    agg_buf_t  out;

    len = agg_buf_used(&t->out);

    if (!agg_utf8_valid(t->out.start, len)) {
        return NGX_HTTP_AGGREGATE_INVALID_JSON;
    }

    agg_buf_init(&out, t->fetches->mem,
                 t->fetches->limits->max_response_size);

    rc = agg_json_escape(&out, t->out.start, len);
    if (rc != AGG_OK) {
        return ngx_http_aggregate_sink_reason(rc);
    }

    t->value.data = out.start;
    t->value.len = agg_buf_used(&out);
    t->source = t->value;

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


static ngx_http_aggregate_reason_e
ngx_http_aggregate_sink_reason(agg_rc_e rc)
{
    switch (rc) {

    case AGG_OK:
        return NGX_HTTP_AGGREGATE_NO_REASON;

    case AGG_TOO_LARGE:
        return NGX_HTTP_AGGREGATE_TOO_LARGE;

    case AGG_NOMEM:
        return NGX_HTTP_AGGREGATE_INTERNAL;

    default:
        return NGX_HTTP_AGGREGATE_INVALID_JSON;
    }
}
