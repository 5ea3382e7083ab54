
/* A part of the answer: its start, its request, and its end. */

#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_module.h"


static ngx_uint_t ngx_http_aggregate_is_off(ngx_http_request_t *r,
    ngx_int_t index);
static void ngx_http_aggregate_part_skip(ngx_http_aggregate_part_t *part);
static void ngx_http_aggregate_part_end(ngx_http_aggregate_part_t *part);
static void ngx_http_aggregate_part_fetch(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_fetch_t *fetch);
static void ngx_http_aggregate_single_start(ngx_http_aggregate_part_t *part);
static void ngx_http_aggregate_each_start(ngx_http_aggregate_part_t *part);
static ngx_int_t ngx_http_aggregate_each_elements(
    ngx_http_aggregate_part_t *part, agg_str_t *array);
static ngx_int_t ngx_http_aggregate_each_fetch(
    ngx_http_aggregate_part_t *part, ngx_http_aggregate_join_t *join,
    agg_str_t *item);
static void ngx_http_aggregate_fetch_done(ngx_http_aggregate_fetch_t *fetch);
static void ngx_http_aggregate_single_end(ngx_http_aggregate_part_t *part);
static void ngx_http_aggregate_each_end(ngx_http_aggregate_part_t *part);
static ngx_int_t ngx_http_aggregate_each_array(
    ngx_http_aggregate_part_t *part, ngx_uint_t source, agg_str_t *array);
static void ngx_http_aggregate_cancel_fetches(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason);


void
ngx_http_aggregate_part_start(ngx_http_aggregate_part_t *part)
{
    ngx_uint_t                     i, *need;
    ngx_http_aggregate_ctx_t      *ctx;
    ngx_http_aggregate_backend_t  *conf;

    ctx = part->ctx;
    conf = part->conf;

    if (conf->if_index != NGX_CONF_UNSET
        && ngx_http_aggregate_is_off(ctx->request, conf->if_index))
    {
        ngx_http_aggregate_part_skip(part);
        return;
    }

    need = conf->needs.elts;

    for (i = 0; i < conf->needs.nelts; i++) {
        if (ctx->parts[need[i]].skipped) {
            ngx_http_aggregate_part_skip(part);
            return;
        }
    }

    for (i = 0; i < conf->needs.nelts; i++) {
        if (ctx->parts[need[i]].source.data == NULL) {
            ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_DEPENDENCY,
                                         0);
            return;
        }
    }

    part->state = NGX_HTTP_AGGREGATE_RUNNING;
    part->clock.timeout = conf->timeout;

    if (conf->each.data) {
        ngx_http_aggregate_each_start(part);
        return;
    }

    ngx_http_aggregate_single_start(part);
}


static ngx_uint_t
ngx_http_aggregate_is_off(ngx_http_request_t *r, ngx_int_t index)
{
    ngx_http_variable_value_t  *v;

    v = ngx_http_get_flushed_variable(r, index);

    return v == NULL || v->not_found || v->len == 0
           || (v->len == 1 && v->data[0] == '0');
}


static void
ngx_http_aggregate_part_skip(ngx_http_aggregate_part_t *part)
{
    part->skipped = 1;

    ngx_http_aggregate_part_end(part);
}


/* sets what all elements of "each" have in common */

static void
ngx_http_aggregate_part_fetch(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_backend_t  *conf;

    conf = part->conf;

    fetch->name = &conf->name;
    fetch->data = part;
    fetch->handler = ngx_http_aggregate_fetch_done;
    fetch->clock = &part->clock;

    fetch->method = conf->method;
    fetch->method_name = conf->method_name;
    fetch->headers_in = &part->ctx->headers_in[conf->forward_group];
    fetch->body_request = (conf->body == NGX_HTTP_AGGREGATE_REQUEST_BODY);

    fetch->encoded_slash = conf->encoded_slash;
    fetch->accept = conf->accept;
    fetch->fail_on = conf->fail_on;
    fetch->retry = conf->retry;
    fetch->hedge = conf->hedge;
    fetch->missing = conf->default_value;

    if (conf->string) {
        fetch->sink = NGX_HTTP_AGGREGATE_SINK_STRING;
        return;
    }

    fetch->shape = conf->shape;
    fetch->patterns = conf->patterns;
    fetch->stage = !conf->referenced ? NGX_HTTP_AGGREGATE_SHAPE_WHOLE
                   : conf->host ? NGX_HTTP_AGGREGATE_SHAPE_HEAD
                                : NGX_HTTP_AGGREGATE_SHAPE_SPLIT;
}


static void
ngx_http_aggregate_single_start(ngx_http_aggregate_part_t *part)
{
    ngx_http_aggregate_fetch_t    *fetch;
    ngx_http_aggregate_reason_e    reason;
    ngx_http_aggregate_fetches_t  *fs;

    fs = part->ctx->fetches;
    fetch = &part->fetch;

    part->fetches = fetch;
    part->nfetches = 1;
    part->pending = 1;

    ngx_http_aggregate_part_fetch(part, fetch);

    reason = ngx_http_aggregate_make_request(part, fetch, NULL);

    if (reason == NGX_HTTP_AGGREGATE_NO_REASON) {

        switch (ngx_http_aggregate_fetch_start(fs, fetch)) {

        case NGX_OK:
            return;

        case NGX_DECLINED:
            reason = NGX_HTTP_AGGREGATE_TOO_LARGE;
            break;

        default:
            reason = NGX_HTTP_AGGREGATE_INTERNAL;
        }
    }

    ngx_http_aggregate_fetch_cancel(fs, fetch, reason);
    ngx_http_aggregate_fetch_done(fetch);
}


static void
ngx_http_aggregate_each_start(ngx_http_aggregate_part_t *part)
{
    agg_str_t                      array;
    ngx_http_aggregate_part_t     *host;
    ngx_http_aggregate_backend_t  *conf;

    conf = part->conf;
    host = &part->ctx->parts[conf->each_part];

    if (agg_path_get(conf->each_path, &host->source, &array) != AGG_OK
        || agg_json_kind(&array) != AGG_ARRAY)
    {
        ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_DEPENDENCY, 0);
        return;
    }

    part->array_at = array.data - host->source.data + 1;

    switch (ngx_http_aggregate_each_elements(part, &array)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_TOO_LARGE, 0);
        return;

    default:
        ngx_http_aggregate_cancel_fetches(part, NGX_HTTP_AGGREGATE_INTERNAL);
        ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_INTERNAL, 0);
        return;
    }

    if (part->pending == 0) {
        ngx_http_aggregate_each_end(part);
    }
}


static ngx_int_t
ngx_http_aggregate_each_elements(ngx_http_aggregate_part_t *part,
    agg_str_t *array)
{
    ngx_int_t                   most;
    agg_str_t                  *value;
    agg_iter_t                  it;
    ngx_uint_t                  i, n;
    ngx_pool_t                 *pool;
    ngx_array_t                 values;
    ngx_http_aggregate_join_t  *join;

    pool = part->ctx->request->pool;
    most = ngx_http_aggregate_fetches_left(part->ctx->fetches);

    if (ngx_array_init(&values, pool, 32, sizeof(agg_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    agg_iter_init(&it, array);

    for (n = 0; agg_iter_next(&it); n++) {

        if ((ngx_int_t) n >= most) {
            return NGX_DECLINED;
        }

        value = ngx_array_push(&values);
        if (value == NULL) {
            return NGX_ERROR;
        }

        *value = it.value;
    }

    if (n == 0) {
        return NGX_OK;
    }

    /* equal requests are sent once */

    join = ngx_http_aggregate_join_create(pool, n);

    part->elements = ngx_pcalloc(pool,
                                 n * sizeof(ngx_http_aggregate_fetch_t *));
    part->fetches = ngx_http_aggregate_memory_alloc(pool,
                                      n * sizeof(ngx_http_aggregate_fetch_t));

    if (join == NULL || part->elements == NULL || part->fetches == NULL) {
        return NGX_ERROR;
    }

    value = values.elts;

    for (i = 0; i < n; i++) {

        if (part->conf->into.data && agg_json_kind(&value[i]) != AGG_OBJECT) {
            part->nelements++;
            continue;
        }

        part->elements[part->nelements++] = &part->fetches[part->nfetches];

        if (ngx_http_aggregate_each_fetch(part, join, &value[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_each_fetch(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_join_t *join, agg_str_t *item)
{
    ngx_http_aggregate_fetch_t    *fetch;
    ngx_http_aggregate_reason_e    reason;
    ngx_http_aggregate_fetches_t  *fs;

    fs = part->ctx->fetches;
    fetch = &part->fetches[part->nfetches++];

    ngx_http_aggregate_memory_clear(fetch, sizeof(ngx_http_aggregate_fetch_t));

    ngx_http_aggregate_part_fetch(part, fetch);

    fetch->join = join;

    reason = ngx_http_aggregate_make_request(part, fetch, item);

    if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        ngx_http_aggregate_fetch_cancel(fs, fetch, reason);
        return NGX_OK;
    }

    if (ngx_http_aggregate_fetch_start(fs, fetch) != NGX_OK) {
        return NGX_ERROR;
    }

    part->pending++;

    return NGX_OK;
}


static void
ngx_http_aggregate_fetch_done(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_part_t  *part;

    part = fetch->data;

    if (--part->pending) {
        return;
    }

    if (part->conf->each.data) {
        ngx_http_aggregate_each_end(part);

    } else {
        ngx_http_aggregate_single_end(part);
    }
}


static void
ngx_http_aggregate_single_end(ngx_http_aggregate_part_t *part)
{
    ngx_http_aggregate_fetch_t  *fetch;

    fetch = &part->fetch;

    part->response = fetch->response;

    if (fetch->reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        part->failure = fetch;

        ngx_http_aggregate_part_fail(part, fetch->reason, fetch->status);
        return;
    }

    part->status = fetch->status;

    if (part->conf->merge
        && agg_json_kind(&fetch->value) != AGG_OBJECT
        && agg_json_kind(&fetch->value) != AGG_NULL)
    {
        ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_CONFLICT,
                                     fetch->status);
        return;
    }

    if (fetch->degraded) {
        part->degraded = 1;
        part->reason = fetch->degraded;
    }

    part->value = fetch->value;
    part->source = fetch->source;

    ngx_http_aggregate_part_end(part);
}


/*
 * A failed element is "default" or null.  It fails the part only if the part is
 * required and has no other results.
 */

static void
ngx_http_aggregate_each_end(ngx_http_aggregate_part_t *part)
{
    ngx_uint_t                     i, good;
    ngx_http_aggregate_fetch_t    *fetch;
    ngx_http_aggregate_backend_t  *conf;

    conf = part->conf;
    good = 0;

    for (i = 0; i < part->nelements; i++) {
        fetch = part->elements[i];

        if (fetch == NULL) {

            if (!part->degraded) {
                part->degraded = 1;
                part->reason = NGX_HTTP_AGGREGATE_DEPENDENCY;
                part->status = 0;
            }

            continue;
        }

        if (fetch->reason == NGX_HTTP_AGGREGATE_NO_REASON) {
            good++;

            if (fetch->degraded && !part->degraded) {
                part->degraded = 1;
                part->reason = fetch->degraded;
                part->status = fetch->status;
            }

            if (part->status == 0 && !part->degraded) {
                part->status = fetch->status;
            }

            continue;
        }

        if (!part->degraded) {
            part->degraded = 1;
            part->reason = fetch->reason;
            part->status = fetch->status;
            part->response = fetch->response;
            part->failure = fetch;
        }

        if (conf->default_value.data) {
            fetch->value.data = conf->default_value.data;
            fetch->value.len = conf->default_value.len;

        } else {
            fetch->value.data = (u_char *) "null";
            fetch->value.len = 4;
        }

        fetch->source = fetch->value;
    }

    if (conf->required && part->degraded && good == 0) {
        ngx_http_aggregate_part_fail(part, part->reason, part->status);
        return;
    }

    if (good < part->nelements
        && part->reason != NGX_HTTP_AGGREGATE_CANCELLED)
    {
        ngx_http_aggregate_log_failure(part, part->nelements - good);
    }

    if (conf->into.data == NULL
        && ngx_http_aggregate_each_array(part, 0, &part->value) != NGX_OK)
    {
        ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_TOO_LARGE, 0);
        return;
    }

    if (conf->referenced) {

        if (ngx_http_aggregate_each_array(part, 1, &part->source) != NGX_OK) {
            ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_TOO_LARGE,
                                         0);
            return;
        }

    } else {
        part->source = part->value;
    }

    ngx_http_aggregate_part_end(part);
}


static ngx_int_t
ngx_http_aggregate_each_array(ngx_http_aggregate_part_t *part,
    ngx_uint_t source, agg_str_t *array)
{
    size_t                      size;
    u_char                     *p;
    agg_str_t                  *value;
    ngx_uint_t                  i;
    ngx_http_aggregate_fetch_t  *fetch;

    size = 2;

    for (i = 0; i < part->nelements; i++) {
        fetch = part->elements[i];
        size += 5;

        if (fetch) {
            size += source ? fetch->source.len : fetch->value.len;
        }

        if (size > part->ctx->block->limits.max_response_size) {
            return NGX_DECLINED;
        }
    }

    p = ngx_pnalloc(part->ctx->request->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    array->data = p;

    *p++ = '[';

    for (i = 0; i < part->nelements; i++) {
        fetch = part->elements[i];

        if (i) {
            *p++ = ',';
        }

        if (fetch == NULL) {
            p = ngx_cpymem(p, "null", 4);
            continue;
        }

        value = source ? &fetch->source : &fetch->value;
        p = ngx_cpymem(p, value->data, value->len);
    }

    *p++ = ']';

    array->len = p - array->data;

    return NGX_OK;
}


/* the part is late, or not needed any more */

void
ngx_http_aggregate_part_expire(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason)
{
    if (part->state != NGX_HTTP_AGGREGATE_RUNNING) {
        ngx_http_aggregate_part_fail(part, reason, 0);
        return;
    }

    part->pending = 1;

    ngx_http_aggregate_cancel_fetches(part, reason);
    ngx_http_aggregate_fetch_done(part->fetches);
}


static void
ngx_http_aggregate_cancel_fetches(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason)
{
    ngx_uint_t  i;

    for (i = 0; i < part->nfetches; i++) {
        ngx_http_aggregate_fetch_cancel(part->ctx->fetches, &part->fetches[i],
                                        reason);
    }
}


void
ngx_http_aggregate_part_fail(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason, ngx_uint_t status)
{
    ngx_http_aggregate_ctx_t      *ctx;
    ngx_http_aggregate_backend_t  *conf;

    ctx = part->ctx;
    conf = part->conf;

    if (reason == NGX_HTTP_AGGREGATE_CANCELLED && !part->clock.started) {

        /* a part that never started was not cancelled */

        reason = NGX_HTTP_AGGREGATE_NO_REASON;
    }

    part->failed = 1;
    part->degraded = 0;
    part->reason = reason;
    part->status = status;

    part->value.data = NULL;
    part->value.len = 0;

    if (conf->default_value.data) {
        part->defaulted = 1;
        part->value.data = conf->default_value.data;
        part->value.len = conf->default_value.len;
    }

    part->source = part->value;

    if (conf->required && !ctx->failed) {
        ctx->failed = 1;
        ctx->culprit = part;
    }

    if (reason != NGX_HTTP_AGGREGATE_CANCELLED
        && reason != NGX_HTTP_AGGREGATE_NO_REASON)
    {
        ngx_http_aggregate_log_failure(part, 0);

        if (part->nfetches == 0
            || part->fetches[0].reason == NGX_HTTP_AGGREGATE_NO_REASON)
        {
            ngx_http_aggregate_fetches_failed(ctx->fetches, &conf->name,
                                              reason);
        }
    }

    ngx_http_aggregate_part_end(part);
}


static void
ngx_http_aggregate_part_end(ngx_http_aggregate_part_t *part)
{
    part->state = NGX_HTTP_AGGREGATE_DONE;
    part->end = ngx_current_msec;
    part->end_usec = ngx_http_aggregate_usec(part->ctx->fetches);
    part->ctx->done++;
}
