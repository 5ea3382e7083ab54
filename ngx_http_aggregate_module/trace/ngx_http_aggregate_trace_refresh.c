
/*
 * Background refreshes of a cache.  No client waits for one, so it has a
 * trace of its own, with a link to the request that has triggered it.
 */


#include "ngx_http_aggregate_trace.h"


static void ngx_http_aggregate_trace_refreshed(void *data);


/* a request that was created on behalf of r, and may outlive it */

void
ngx_http_aggregate_trace_refresh(ngx_http_request_t *fr,
    ngx_http_request_t *r)
{
    ngx_http_cleanup_t              *cln;
    ngx_http_aggregate_trace_ctx_t  *ctx, *cause;

    cause = ngx_http_aggregate_trace_get(r->main);

    if (cause == NULL) {
        return;
    }

    ctx = ngx_pcalloc(fr->pool, sizeof(ngx_http_aggregate_trace_ctx_t));
    cln = ngx_http_cleanup_add(fr, 0);

    if (ctx == NULL || cln == NULL) {
        return;
    }

    ngx_http_aggregate_trace_start(fr, ctx, cause->conf);

    ctx->refresh = 1;
    ctx->foreign = 1;
    ctx->has_link = 1;

    ngx_memcpy(ctx->link.trace_id, cause->context.trace_id, 16);
    ngx_memcpy(ctx->link.span_id, cause->context.span_id, 8);
    ctx->link.flags = cause->context.flags;

    if (cause->sampled) {
        ctx->sampled = 1;
        ctx->context.flags |= AGG_TRACE_SAMPLED;

        ngx_http_aggregate_trace_record(ctx);
        ctx->start = ctx->wall;
    }

    cln->handler = ngx_http_aggregate_trace_refreshed;
    cln->data = ctx;

    if (ctx->injects) {
        (void) ngx_http_aggregate_trace_set_headers(fr, ctx, ctx->client);
    }
}


static void
ngx_http_aggregate_trace_refreshed(void *data)
{
    ngx_http_aggregate_trace_ctx_t *ctx = data;

    /* a refresh without a request to a backend is not exported */

    if (ctx->recording && ctx->spans) {
        ngx_http_aggregate_trace_export(ctx);
    }
}


void
ngx_http_aggregate_trace_refresh_span(ngx_http_aggregate_trace_ctx_t *ctx,
    gw_out_block_t *out, int json)
{
    agg_otlp_attr_t            attr;
    agg_otlp_span_t            o;
    ngx_http_core_loc_conf_t  *clcf;

    static const char            name[] = "gateway.cache.refresh";
    static const agg_otlp_key_t  route = AGG_OTLP_KEY("http.route");

    clcf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_core_module);

    ngx_memzero(&o, sizeof(agg_otlp_span_t));

    attr.known = &route;
    attr.type = AGG_OTLP_STRING;
    attr.data = clcf->name.data;
    attr.len = clcf->name.len;

    o.trace_id = ctx->context.trace_id;
    o.span_id = ctx->context.span_id;
    o.flags = ctx->context.flags;
    o.name = (const uint8_t *) name;
    o.name_len = sizeof(name) - 1;
    o.kind = AGG_OTLP_INTERNAL;
    o.start = ctx->start * 1000;
    o.end = ngx_http_aggregate_trace_nsec(ctx,
                                          ngx_http_aggregate_watch_clock());
    o.attrs = &attr;
    o.nattrs = 1;
    o.link = &ctx->link;

    agg_otlp_span(out, json, &o);
}
