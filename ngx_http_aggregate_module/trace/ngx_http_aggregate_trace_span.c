
/* spans are created while a client request calls its backends */


#include "ngx_http_aggregate_trace.h"
#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_module.h"
#include "ngx_http_gw_upstream.h"


static ngx_http_aggregate_span_t *ngx_http_aggregate_span_create(
    ngx_http_aggregate_trace_ctx_t *ctx, ngx_http_aggregate_span_e type,
    ngx_http_request_t *r);
static void ngx_http_aggregate_trace_open(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_trace_try_begin(ngx_http_aggregate_try_t *t);
static ngx_int_t ngx_http_aggregate_trace_item(ngx_http_aggregate_try_t *t);
static ngx_int_t ngx_http_aggregate_trace_try_headers(
    ngx_http_aggregate_try_t *t);
static void ngx_http_aggregate_trace_try_end(ngx_http_aggregate_try_t *t);
static void ngx_http_aggregate_trace_result(
    ngx_http_aggregate_fetch_t *fetch);
static void ngx_http_aggregate_trace_close(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_trace_failed(ngx_http_aggregate_fetches_t *fs,
    ngx_str_t *name, ngx_http_aggregate_reason_e reason);


static ngx_http_aggregate_observer_t  ngx_http_aggregate_trace_observer = {
    ngx_http_aggregate_trace_open,
    ngx_http_aggregate_trace_try_begin,
    ngx_http_aggregate_trace_try_headers,
    ngx_http_aggregate_trace_try_end,
    ngx_http_aggregate_trace_result,
    ngx_http_aggregate_trace_close,
    ngx_http_aggregate_trace_failed,
    0,
    NULL
};


#define ngx_http_aggregate_trace_observed(fs)                                 \
    (fs)->observed[ngx_http_aggregate_trace_observer.number]


ngx_int_t
ngx_http_aggregate_trace_observe(ngx_conf_t *cf)
{
    return ngx_http_aggregate_observe(cf, &ngx_http_aggregate_trace_observer);
}


static ngx_uint_t
ngx_http_aggregate_trace_is_aggregate(ngx_http_aggregate_fetches_t *fs)
{
    return fs->kind && fs->kind->len == 9
           && ngx_strncmp(fs->kind->data, "aggregate", 9) == 0;
}


/* NULL: there is no memory, or the client request has too many spans */

static ngx_http_aggregate_span_t *
ngx_http_aggregate_span_create(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_span_e type, ngx_http_request_t *r)
{
    ngx_http_aggregate_span_t             *span;
    ngx_http_aggregate_trace_main_conf_t  *tmcf;

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_trace_module);

    /* one more is the span of the request itself */

    if (ctx->nspans + 1 >= tmcf->exporter->spans) {
        ctx->dropped++;
        return NULL;
    }

    span = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_span_t));
    if (span == NULL) {
        return NULL;
    }

    span->type = type;
    span->request = r;
    span->method = r->method_name;
    span->item = -1;
    span->start = ngx_http_aggregate_watch_clock();

    ctx->nspans++;
    *ctx->last = span;
    ctx->last = &span->next;

    return span;
}


/* the id of the nearest span above the request */

u_char *
ngx_http_aggregate_trace_above(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx)
{
    ngx_http_aggregate_try_t   *t;
    ngx_http_aggregate_span_t  *span;

    for ( /* void */ ; r != r->main; r = r->parent) {

        t = ngx_http_aggregate_get_try(r);

        if (t) {
            span = ngx_http_aggregate_trace_observed(t);

            if (span) {
                return span->id;
            }
        }
    }

    return ctx->context.span_id;
}


/* a part has the span of its aggregate, whatever its own location says */

ngx_uint_t
ngx_http_aggregate_trace_wanted(ngx_http_request_t *r)
{
    ngx_http_aggregate_try_t             *t;
    ngx_http_aggregate_trace_ctx_t       *ctx;
    ngx_http_aggregate_trace_loc_conf_t  *tlcf;

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_trace_module);

    if (!tlcf->on) {
        t = (r != r->main) ? ngx_http_aggregate_get_try(r) : NULL;

        return t && ngx_http_aggregate_trace_observed(t);
    }

    ctx = ngx_http_aggregate_trace_get(r->main);

    return ctx && ctx->recording;
}


/* the request to the upstream begins; a part already has a span */

void
ngx_http_aggregate_trace_begin(ngx_http_aggregate_watch_t *w)
{
    u_char                               *id;
    ngx_http_request_t                   *r;
    ngx_http_aggregate_span_t            *span;
    ngx_http_aggregate_trace_ctx_t       *ctx;

    r = w->request;

    w->trace = NULL;

    if (!ngx_http_aggregate_trace_wanted(r)) {
        return;
    }

    if (w->part) {
        w->trace = ngx_http_aggregate_trace_observed(w->part);
        return;
    }

    ctx = ngx_http_aggregate_trace_get(r->main);

    span = ngx_http_aggregate_span_create(ctx, NGX_HTTP_AGGREGATE_SPAN_CLIENT,
                                          r);
    if (span == NULL) {
        return;
    }

    span->start = w->start;
    w->trace = span;

    if (r == r->main) {
        span->parent = ctx->context.span_id;

        /* a request that has already ended was sent to nobody */

        if (w->upstream->cleanup == NULL && w->upstream->request_bufs) {
            agg_trace_make_span(&ngx_http_aggregate_trace_random, span->id);
            return;
        }

        ctx->client_used = 1;
        ngx_memcpy(span->id, ctx->client, 8);
        return;
    }

    id = ngx_http_get_module_ctx(r, ngx_http_aggregate_trace_module);

    if (id) {
        ngx_memcpy(span->id, id, 8);

    } else {
        agg_trace_make_span(&ngx_http_aggregate_trace_random, span->id);
    }

    span->parent = ngx_http_aggregate_trace_above(r->parent, ctx);
}


void
ngx_http_aggregate_trace_end(ngx_http_aggregate_watch_t *w)
{
    ngx_http_upstream_t        *u;
    ngx_http_aggregate_span_t  *span;

    span = w->trace;

    if (span == NULL) {
        return;
    }

    w->trace = NULL;

    u = w->upstream;

    span->upstream = 1;
    span->scheme = u->schema;
    span->rc = w->rc;
    span->first = w->states;
    span->last = w->request->upstream_states
                 ? w->request->upstream_states->nelts : w->states;

    ngx_http_aggregate_trace_sent(w->request, u, span);

    if (u->resolved) {
        span->host = u->resolved->host;
        span->port = u->resolved->no_port ? 0 : u->resolved->port;

    } else if (w->uscf) {
        span->host = w->uscf->host;
        span->port = w->uscf->no_port ? 0 : w->uscf->port;
    }

    if (u->state) {
        span->peer = u->state->peer;

        if (u->state->header_time != (ngx_msec_t) -1) {
            span->status = u->state->status;
        }
    }

    if (w->part) {

        /* the span ends when the part ends */

        return;
    }

    span->end = w->end;
    span->ended = 1;
    span->cancelled = (w->rc == NGX_DONE
                       || w->rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
                       || (w->rc == NGX_ERROR
                           && !ngx_http_gw_upstream_is_broken(w->request, u,
                                                              w->rc)));
}


ngx_uint_t
ngx_http_aggregate_trace_ids(ngx_http_request_t *r, ngx_uint_t backend,
    uint64_t trace_id[2], uint64_t *span_id)
{
    u_char                          *id;
    ngx_http_aggregate_try_t        *t;
    ngx_http_aggregate_span_t       *span;
    ngx_http_aggregate_trace_ctx_t  *ctx;

    ctx = ngx_http_aggregate_trace_get(r->main);

    if (ctx == NULL || !ctx->sampled) {
        return 0;
    }

    id = ctx->context.span_id;

    if (backend) {
        id = ctx->client;
        t = ngx_http_aggregate_get_try(r);
        span = t ? ngx_http_aggregate_trace_observed(t) : NULL;

        if (span) {
            id = span->id;

        } else if (r != r->main) {
            id = ngx_http_get_module_ctx(r, ngx_http_aggregate_trace_module);
            id = id ? id : ctx->context.span_id;
        }
    }

    ngx_memcpy(trace_id, ctx->context.trace_id, 16);
    ngx_memcpy(span_id, id, 8);

    return 1;
}


static void
ngx_http_aggregate_trace_open(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_aggregate_span_t            *span;
    ngx_http_aggregate_trace_ctx_t       *ctx;
    ngx_http_aggregate_trace_loc_conf_t  *tlcf;

    tlcf = ngx_http_get_module_loc_conf(fs->request,
                                        ngx_http_aggregate_trace_module);
    ctx = ngx_http_aggregate_trace_get(fs->request->main);

    if (ctx == NULL || !tlcf->on || !ctx->recording
        || fs->kind == &ngx_http_aggregate_metrics_kind)
    {
        return;
    }

    span = ngx_http_aggregate_span_create(ctx,
                                          NGX_HTTP_AGGREGATE_SPAN_AGGREGATE,
                                          fs->request);
    if (span == NULL) {
        return;
    }

    agg_trace_make_span(&ngx_http_aggregate_trace_random, span->id);
    span->parent = ngx_http_aggregate_trace_above(fs->request, ctx);

    ngx_http_aggregate_trace_observed(fs) = span;
}


static void
ngx_http_aggregate_trace_try_begin(ngx_http_aggregate_try_t *t)
{
    ngx_http_aggregate_span_t       *span, *aggregate;
    ngx_http_aggregate_trace_ctx_t  *ctx;

    aggregate = ngx_http_aggregate_trace_observed(t->fetches);

    if (aggregate == NULL) {
        return;
    }

    ctx = ngx_http_aggregate_trace_get(t->request->main);

    span = ngx_http_aggregate_span_create(ctx, NGX_HTTP_AGGREGATE_SPAN_CLIENT,
                                          t->request);
    if (span == NULL) {
        return;
    }

    agg_trace_make_span(&ngx_http_aggregate_trace_random, span->id);
    span->parent = aggregate->id;
    span->method = t->fetch->method_name;
    span->part = t->fetch->name;
    span->number = t->number;
    span->item = ngx_http_aggregate_trace_item(t);

    ngx_http_aggregate_trace_observed(t) = span;
}


/* the index of the element in a fan-out; -1: there is none */

static ngx_int_t
ngx_http_aggregate_trace_item(ngx_http_aggregate_try_t *t)
{
    ngx_http_aggregate_part_t  *part;

    if (!ngx_http_aggregate_trace_is_aggregate(t->fetches)) {
        return -1;
    }

    part = t->fetch->data;

    return part->conf->each.data ? t->fetch - part->fetches : -1;
}


/* a part that is not recorded sends a flag and an id too */

static ngx_int_t
ngx_http_aggregate_trace_try_headers(ngx_http_aggregate_try_t *t)
{
    u_char                           id[8];
    ngx_http_aggregate_span_t       *span;
    ngx_http_aggregate_trace_ctx_t  *ctx;

    ctx = ngx_http_aggregate_trace_get(t->request->main);

    if (ctx == NULL || !ctx->injects) {
        return NGX_OK;
    }

    span = ngx_http_aggregate_trace_observed(t);

    if (span) {
        ngx_memcpy(id, span->id, 8);

    } else {
        agg_trace_make_span(&ngx_http_aggregate_trace_random, id);
    }

    return ngx_http_aggregate_trace_set_headers(t->request, ctx, id);
}


static void
ngx_http_aggregate_trace_try_end(ngx_http_aggregate_try_t *t)
{
    ngx_uint_t                  status;
    ngx_http_aggregate_span_t  *span;

    span = ngx_http_aggregate_trace_observed(t);

    if (span == NULL) {
        return;
    }

    span->end = ngx_http_aggregate_watch_clock();
    span->ended = 1;
    span->reason = t->reason;
    span->accepted = t->accepted;
    span->cancelled = (t->reason == NGX_HTTP_AGGREGATE_CANCELLED);

    status = ngx_http_aggregate_sent_status(t);

    if (status) {
        span->status = status;
    }
}


/* the parts of an aggregate are counted at its end, GraphQL's fields here */

static void
ngx_http_aggregate_trace_result(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_span_t  *span;

    span = ngx_http_aggregate_trace_observed(fetch->fetches);

    if (span && !ngx_http_aggregate_trace_is_aggregate(fetch->fetches)) {
        span->parts++;
        span->failed += (fetch->reason != NGX_HTTP_AGGREGATE_NO_REASON);
    }

    /* no backend has been called */

    if (fetch->current == NULL && !fetch->joined
        && fetch->reason != NGX_HTTP_AGGREGATE_NO_REASON
        && fetch->reason != NGX_HTTP_AGGREGATE_CANCELLED)
    {
        ngx_http_aggregate_trace_failed(fetch->fetches, fetch->name,
                                        fetch->reason);
    }
}


static void
ngx_http_aggregate_trace_failed(ngx_http_aggregate_fetches_t *fs,
    ngx_str_t *name, ngx_http_aggregate_reason_e reason)
{
    ngx_http_aggregate_span_t       *span, *aggregate;
    ngx_http_aggregate_trace_ctx_t  *ctx;

    aggregate = ngx_http_aggregate_trace_observed(fs);

    if (aggregate == NULL || aggregate->ended) {
        return;
    }

    ctx = ngx_http_aggregate_trace_get(fs->request->main);

    span = ngx_http_aggregate_span_create(ctx, NGX_HTTP_AGGREGATE_SPAN_PART,
                                          fs->request);
    if (span == NULL) {
        return;
    }

    agg_trace_make_span(&ngx_http_aggregate_trace_random, span->id);
    span->parent = aggregate->id;
    span->part = name;
    span->reason = reason;
    span->end = span->start;
    span->ended = 1;
}


static void
ngx_http_aggregate_trace_close(ngx_http_aggregate_fetches_t *fs)
{
    ngx_uint_t                       i;
    ngx_http_aggregate_ctx_t        *actx;
    ngx_http_aggregate_span_t       *span;
    ngx_http_aggregate_trace_ctx_t  *ctx;

    span = ngx_http_aggregate_trace_observed(fs);

    if (span == NULL) {
        return;
    }

    span->end = ngx_http_aggregate_watch_clock();
    span->ended = 1;
    span->outcome = fs->outcome ? fs->outcome : "failed";
    span->cancelled = fs->cancelled;

    ctx = ngx_http_aggregate_trace_get(fs->request->main);

    if (span->outcome[0] != 'c') {
        ctx->partial = 1;
    }

    if (!ngx_http_aggregate_trace_is_aggregate(fs)) {
        return;
    }

    actx = fs->data;
    span->parts = actx->nparts;

    for (i = 0; i < actx->nparts; i++) {
        span->failed += actx->parts[i].failed;
    }
}
