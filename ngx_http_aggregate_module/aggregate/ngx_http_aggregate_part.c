
/*
 * A part of the answer: when it starts, what it is asked for, how it ends.
 */

#include "ngx_http_aggregate_module.h"


static ngx_uint_t ngx_http_aggregate_is_off(ngx_http_request_t *r,
    ngx_int_t index);
static void ngx_http_aggregate_part_skip(ngx_http_aggregate_part_t *part);
static void ngx_http_aggregate_part_end(ngx_http_aggregate_part_t *part);
static ngx_http_aggregate_reason_e ngx_http_aggregate_take_budget(
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t n);
static void ngx_http_aggregate_each_start(ngx_http_aggregate_part_t *part);
static ngx_int_t ngx_http_aggregate_each_elements(
    ngx_http_aggregate_part_t *part, agg_str_t *array);
static ngx_http_aggregate_call_t *ngx_http_aggregate_each_call(
    ngx_http_aggregate_part_t *part, ngx_http_aggregate_call_t **table,
    ngx_uint_t mask, agg_str_t *item);
static ngx_uint_t ngx_http_aggregate_call_hash(
    ngx_http_aggregate_call_t *call, ngx_uint_t nheaders);
static ngx_uint_t ngx_http_aggregate_call_equal(ngx_http_aggregate_call_t *a,
    ngx_http_aggregate_call_t *b, ngx_uint_t nheaders);
static void ngx_http_aggregate_single_end(ngx_http_aggregate_part_t *part);
static void ngx_http_aggregate_each_end(ngx_http_aggregate_part_t *part);
static ngx_int_t ngx_http_aggregate_each_array(
    ngx_http_aggregate_part_t *part, ngx_uint_t source, agg_str_t *array);
static uint64_t ngx_http_aggregate_usec(ngx_http_aggregate_ctx_t *ctx);


void
ngx_http_aggregate_part_start(ngx_http_aggregate_part_t *part)
{
    ngx_uint_t                      i, *need;
    ngx_http_aggregate_ctx_t       *ctx;
    ngx_http_aggregate_reason_e     reason;
    ngx_http_aggregate_backend_t   *conf;

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

    if (conf->each.data) {
        ngx_http_aggregate_each_start(part);
        return;
    }

    part->calls = &part->call;
    part->ncalls = 1;
    part->pending = 1;
    part->call.part = part;
    part->call.tries = conf->retry;

    reason = ngx_http_aggregate_make_request(&part->call);

    if (reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        reason = ngx_http_aggregate_take_budget(ctx, 1);
    }

    if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        ngx_http_aggregate_call_done(&part->call, reason);
        return;
    }

    ngx_http_aggregate_enqueue(&part->call);
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


/* counts subrequests against "max_subrequests" */

static ngx_http_aggregate_reason_e
ngx_http_aggregate_take_budget(ngx_http_aggregate_ctx_t *ctx, ngx_uint_t n)
{
    ngx_http_aggregate_root_t  *root;

    root = ctx->root;

    if ((ngx_int_t) n > root->max_subrequests - root->spent) {
        return NGX_HTTP_AGGREGATE_TOO_LARGE;
    }

    root->spent += n;

    return NGX_HTTP_AGGREGATE_NO_REASON;
}


/* with its first subrequest; until then it waits for a free place */

void
ngx_http_aggregate_part_started(ngx_http_aggregate_part_t *part)
{
    if (part->started) {
        return;
    }

    part->started = 1;
    part->start = ngx_current_msec;
    part->start_usec = ngx_http_aggregate_usec(part->ctx);

    if (part->conf->timeout) {
        part->deadline = part->start + part->conf->timeout;

        if (part->deadline == 0) {
            part->deadline = 1;
        }
    }
}


void
ngx_http_aggregate_enqueue(ngx_http_aggregate_call_t *call)
{
    ngx_http_aggregate_ctx_t  *ctx;

    ctx = call->part->ctx;

    call->next = NULL;

    *ctx->queue_last = call;
    ctx->queue_last = &call->next;
}


static void
ngx_http_aggregate_each_start(ngx_http_aggregate_part_t *part)
{
    agg_str_t                      array;
    ngx_uint_t                     i;
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

    part->pending = 1;

    switch (ngx_http_aggregate_each_elements(part, &array)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_TOO_LARGE, 0);
        return;

    default:
        ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_INTERNAL, 0);
        return;
    }

    for (i = 0; i < part->ncalls; i++) {

        if (!part->calls[i].done) {
            part->pending++;
            ngx_http_aggregate_enqueue(&part->calls[i]);
        }
    }

    if (--part->pending == 0) {
        ngx_http_aggregate_each_end(part);
    }
}


/* equal requests are one call */

static ngx_int_t
ngx_http_aggregate_each_elements(ngx_http_aggregate_part_t *part,
    agg_str_t *array)
{
    ngx_int_t                     most;
    ngx_uint_t                    n, size;
    agg_iter_t                    it;
    ngx_pool_t                   *pool;
    ngx_http_aggregate_ctx_t     *ctx;
    ngx_http_aggregate_call_t   **table, *call;

    ctx = part->ctx;
    pool = ctx->request->pool;

    most = ctx->root->max_subrequests - ctx->root->spent;

    agg_iter_init(&it, array);

    for (n = 0; agg_iter_next(&it); n++) {
        if ((ngx_int_t) n >= most) {
            return NGX_DECLINED;
        }
    }

    if (n == 0) {
        return NGX_OK;
    }

    for (size = 4; size < 2 * n; size *= 2) { /* void */ }

    table = ngx_pcalloc(pool, size * sizeof(ngx_http_aggregate_call_t *));
    part->elements = ngx_pcalloc(pool,
                                 n * sizeof(ngx_http_aggregate_call_t *));
    part->calls = ngx_pcalloc(pool, n * sizeof(ngx_http_aggregate_call_t));

    if (table == NULL || part->elements == NULL || part->calls == NULL) {
        return NGX_ERROR;
    }

    agg_iter_init(&it, array);

    while (agg_iter_next(&it)) {

        if (part->conf->into.data && agg_json_kind(&it.value) != AGG_OBJECT) {
            part->nelements++;
            continue;
        }

        call = ngx_http_aggregate_each_call(part, table, size - 1, &it.value);
        if (call == NULL) {
            return NGX_ERROR;
        }

        part->elements[part->nelements++] = call;
    }

    return NGX_OK;
}


static ngx_http_aggregate_call_t *
ngx_http_aggregate_each_call(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_call_t **table, ngx_uint_t mask, agg_str_t *item)
{
    ngx_uint_t                      i, nheaders;
    ngx_http_aggregate_call_t      *call;
    ngx_http_aggregate_reason_e     reason;
    ngx_http_aggregate_backend_t   *conf;

    conf = part->conf;
    nheaders = conf->headers ? conf->headers->nelts : 0;

    call = &part->calls[part->ncalls];

    call->part = part;
    call->tries = conf->retry;
    call->item.data = item->data;
    call->item.len = item->len;

    reason = ngx_http_aggregate_make_request(call);

    if (reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        part->ncalls++;
        call->reason = reason;
        call->done = 1;
        return call;
    }

    for (i = ngx_http_aggregate_call_hash(call, nheaders) & mask;
         table[i];
         i = (i + 1) & mask)
    {
        if (ngx_http_aggregate_call_equal(table[i], call, nheaders)) {
            return table[i];
        }
    }

    if (ngx_http_aggregate_take_budget(part->ctx, 1)
        != NGX_HTTP_AGGREGATE_NO_REASON)
    {
        return NULL;
    }

    table[i] = call;
    part->ncalls++;

    return call;
}


static ngx_uint_t
ngx_http_aggregate_call_hash(ngx_http_aggregate_call_t *call,
    ngx_uint_t nheaders)
{
    uint32_t    hash;
    ngx_uint_t  i;

    ngx_crc32_init(hash);
    ngx_crc32_update(&hash, call->uri.data, call->uri.len);
    ngx_crc32_update(&hash, call->args.data, call->args.len);
    ngx_crc32_update(&hash, call->body.data, call->body.len);

    for (i = 0; i < nheaders; i++) {
        ngx_crc32_update(&hash, call->headers[i].data, call->headers[i].len);
    }

    ngx_crc32_final(hash);

    return hash;
}


static ngx_uint_t
ngx_http_aggregate_call_equal(ngx_http_aggregate_call_t *a,
    ngx_http_aggregate_call_t *b, ngx_uint_t nheaders)
{
    ngx_uint_t  i;

#define ngx_http_aggregate_same(x, y)                                         \
    ((x).len == (y).len                                                       \
     && ngx_memcmp((x).data, (y).data, (x).len) == 0)

    if (!ngx_http_aggregate_same(a->uri, b->uri)
        || !ngx_http_aggregate_same(a->args, b->args)
        || !ngx_http_aggregate_same(a->body, b->body))
    {
        return 0;
    }

    for (i = 0; i < nheaders; i++) {
        if (!ngx_http_aggregate_same(a->headers[i], b->headers[i])) {
            return 0;
        }
    }

    return 1;
}


/* the reason is NGX_HTTP_AGGREGATE_NO_REASON of a call with a value */

void
ngx_http_aggregate_call_done(ngx_http_aggregate_call_t *call,
    ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_part_t  *part;

    if (call->done) {
        return;
    }

    part = call->part;

    call->done = 1;
    call->reason = reason;

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
    ngx_http_aggregate_call_t  *call;

    call = &part->call;

    if (call->reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        ngx_http_aggregate_part_fail(part, call->reason, call->status);
        return;
    }

    part->status = call->status;

    if (part->conf->merge
        && agg_json_kind(&call->value) != AGG_OBJECT
        && agg_json_kind(&call->value) != AGG_NULL)
    {
        ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_CONFLICT,
                                     call->status);
        return;
    }

    if (call->degraded) {
        part->degraded = 1;
        part->reason = call->degraded;
    }

    part->value = call->value;
    part->source = call->source;

    ngx_http_aggregate_part_end(part);
}


/*
 * A failed element is "default" or null, and does not fail the part, but a
 * required part that has nothing else
 */

static void
ngx_http_aggregate_each_end(ngx_http_aggregate_part_t *part)
{
    ngx_uint_t                     i, good;
    ngx_http_aggregate_call_t     *call;
    ngx_http_aggregate_backend_t  *conf;

    conf = part->conf;
    good = 0;

    for (i = 0; i < part->nelements; i++) {
        call = part->elements[i];

        if (call == NULL) {

            if (!part->degraded) {
                part->reason = NGX_HTTP_AGGREGATE_DEPENDENCY;
            }

            part->degraded = 1;
            continue;
        }

        if (call->reason == NGX_HTTP_AGGREGATE_NO_REASON) {
            good++;

            if (part->status == 0) {
                part->status = call->status;
            }

            if (call->degraded && !part->degraded) {
                part->degraded = 1;
                part->reason = call->degraded;
            }

            continue;
        }

        if (!part->degraded) {
            part->degraded = 1;
            part->reason = call->reason;
            part->status = call->status;
        }

        if (conf->default_value.data) {
            call->value.data = conf->default_value.data;
            call->value.len = conf->default_value.len;

        } else {
            call->value.data = (u_char *) "null";
            call->value.len = 4;
        }

        call->source = call->value;
    }

    if (conf->required && part->degraded && good == 0) {
        ngx_http_aggregate_part_fail(part, part->reason, part->status);
        return;
    }

    if (good < part->nelements
        && part->reason != NGX_HTTP_AGGREGATE_CANCELLED)
    {
        ngx_log_error(NGX_LOG_WARN, part->ctx->request->connection->log, 0,
                      "aggregate backend \"%V\" failed for %ui of %ui "
                      "elements, the first: %V, status %ui", &conf->name,
                      part->nelements - good, part->nelements,
                      &ngx_http_aggregate_reasons[part->reason],
                      part->status);
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
    ngx_http_aggregate_call_t  *call;

    size = 2;

    for (i = 0; i < part->nelements; i++) {
        call = part->elements[i];
        size += 5 + (call ? (source ? call->source.len : call->value.len) : 0);

        if (size > part->ctx->block->max_response_size) {
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
        call = part->elements[i];

        if (i) {
            *p++ = ',';
        }

        if (call == NULL) {
            p = ngx_cpymem(p, "null", 4);
            continue;
        }

        value = source ? &call->source : &call->value;
        p = ngx_cpymem(p, value->data, value->len);
    }

    *p++ = ']';

    array->len = p - array->data;

    return NGX_OK;
}


/* what did not come in time, or is not needed any more */

void
ngx_http_aggregate_part_expire(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason)
{
    ngx_uint_t                  i, n;
    ngx_http_aggregate_call_t  *call;

    if (part->state != NGX_HTTP_AGGREGATE_RUNNING) {
        ngx_http_aggregate_part_fail(part, reason, 0);
        return;
    }

    n = part->ncalls;

    for (i = 0; i < n; i++) {
        call = &part->calls[i];

        if (call->done) {
            continue;
        }

        if (call->sub) {
            call->sub->settled = 1;
        }

        ngx_http_aggregate_call_done(call, reason);
    }
}


void
ngx_http_aggregate_part_fail(ngx_http_aggregate_part_t *part,
    ngx_http_aggregate_reason_e reason, ngx_uint_t status)
{
    ngx_uint_t                     level;
    ngx_http_aggregate_ctx_t      *ctx;
    ngx_http_aggregate_backend_t  *conf;

    ctx = part->ctx;
    conf = part->conf;
    level = reason == NGX_HTTP_AGGREGATE_BAD_URI ? NGX_LOG_INFO
            : conf->required ? NGX_LOG_ERR : NGX_LOG_WARN;

    if (reason == NGX_HTTP_AGGREGATE_TIMEOUT && part->started) {
        status = NGX_HTTP_GATEWAY_TIME_OUT;
    }

    if (reason == NGX_HTTP_AGGREGATE_CANCELLED && !part->started) {

        /* it never was */

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

    ngx_http_aggregate_part_end(part);

    if (reason != NGX_HTTP_AGGREGATE_CANCELLED
        && reason != NGX_HTTP_AGGREGATE_NO_REASON)
    {
        ngx_log_error(level, ctx->request->connection->log, 0,
                      "aggregate backend \"%V\" failed: %V, status %ui, "
                      "after %Mms", &conf->name,
                      &ngx_http_aggregate_reasons[reason], status,
                      part->started ? part->end - part->start : 0);
    }
}


static void
ngx_http_aggregate_part_end(ngx_http_aggregate_part_t *part)
{
    part->state = NGX_HTTP_AGGREGATE_DONE;
    part->end = ngx_current_msec;
    part->end_usec = ngx_http_aggregate_usec(part->ctx);
    part->ctx->done++;
}


/* for "aggregate_debug" only, that has fractions of a millisecond */

static uint64_t
ngx_http_aggregate_usec(ngx_http_aggregate_ctx_t *ctx)
{
    struct timespec  ts;

    if (!ctx->debug) {
        return 0;
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
