
/* at the end of a client request, its spans are encoded and queued */


#include "ngx_http_aggregate_trace_attr.h"
#include "ngx_http_aggregate_breaker.h"
#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_header_list.h"


/* the maximum size of the trace of one client request */
#define NGX_HTTP_AGGREGATE_TRACE_SIZE    (1024 * 1024)


static ngx_uint_t ngx_http_aggregate_trace_exports(
    ngx_http_aggregate_trace_ctx_t *ctx);
static void ngx_http_aggregate_trace_server(
    ngx_http_aggregate_trace_ctx_t *ctx, gw_out_block_t *out, int json);
static void ngx_http_aggregate_trace_addresses(ngx_http_request_t *r,
    ngx_http_aggregate_trace_set_t *set);
static void ngx_http_aggregate_trace_remote(ngx_http_request_t *r,
    ngx_http_aggregate_trace_set_t *set);
static void ngx_http_aggregate_trace_span(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_span_t *span, gw_out_block_t *out, int json);
static u_char *ngx_http_aggregate_trace_join(u_char *p, u_char *last,
    ngx_str_t *s, ngx_uint_t space);
static ngx_uint_t ngx_http_aggregate_trace_is_uncalled(
    ngx_http_aggregate_span_t *span);
static void ngx_http_aggregate_trace_uncalled(
    ngx_http_aggregate_span_t *span, ngx_http_aggregate_trace_set_t *set,
    agg_otlp_span_t *o);
static void ngx_http_aggregate_trace_cancelled(
    ngx_http_aggregate_trace_set_t *set);
static void ngx_http_aggregate_trace_client(
    ngx_http_aggregate_trace_ctx_t *ctx, ngx_http_aggregate_span_t *span,
    ngx_http_aggregate_trace_set_t *set, agg_otlp_span_t *o);
static void ngx_http_aggregate_trace_tries(
    ngx_http_aggregate_trace_ctx_t *ctx, ngx_http_aggregate_span_t *span,
    ngx_http_aggregate_trace_set_t *set);


/* reused for each request, as they are encoded one at a time */

static gw_out_block_t                  ngx_http_aggregate_trace_out;
static ngx_http_aggregate_trace_set_t  ngx_http_aggregate_trace_attrs;
static ngx_http_aggregate_trace_set_t  ngx_http_aggregate_trace_try;


/* the method of a span's name if it is not a known one */

static ngx_str_t  ngx_http_aggregate_trace_other = ngx_string("HTTP");


ngx_int_t
ngx_http_aggregate_trace_log(ngx_http_request_t *r)
{
    ngx_http_aggregate_trace_ctx_t       *ctx;
    ngx_http_aggregate_trace_loc_conf_t  *tlcf;

    if (r != r->main) {
        return NGX_OK;
    }

    ctx = ngx_http_aggregate_trace_get(r);

    if (ctx == NULL) {
        tlcf = ngx_http_get_module_loc_conf(r,
                                            ngx_http_aggregate_trace_module);

        ctx = tlcf->on ? ngx_http_aggregate_trace_create(r, tlcf) : NULL;
    }

    if (ctx && ctx->recording && ngx_http_aggregate_trace_exports(ctx)) {
        ngx_http_aggregate_trace_export(ctx);
    }

    return NGX_OK;
}


void
ngx_http_aggregate_trace_export(ngx_http_aggregate_trace_ctx_t *ctx)
{
    int                                    json;
    size_t                                 used;
    ngx_uint_t                             n;
    gw_out_block_t                        *out;
    ngx_http_aggregate_span_t             *span;
    ngx_http_aggregate_trace_main_conf_t  *tmcf;

    tmcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_aggregate_trace_module);
    json = (int) tmcf->exporter->json;

    ngx_http_aggregate_trace_attrs.configured = tmcf->attrs;

    out = &ngx_http_aggregate_trace_out;

    if (out->grow == NULL) {
        gw_out_block_init(out, NGX_HTTP_AGGREGATE_TRACE_SIZE,
                          ngx_http_aggregate_exporter_grow, NULL);
    }

    out->out.last = out->start;
    out->out.failed = 0;

    if (ctx->refresh) {
        ngx_http_aggregate_trace_refresh_span(ctx, out, json);

    } else {
        ngx_http_aggregate_trace_server(ctx, out, json);
    }

    n = 1;

    for (span = ctx->spans; span; span = span->next) {

        if (n == (ngx_uint_t) tmcf->exporter->batch) {

            /* the others go into another request to the collector */

            ngx_http_aggregate_exporter_push(tmcf->exporter, out->start,
                                             gw_out_block_used(out), n);
            out->out.last = out->start;
            n = 0;
        }

        used = gw_out_block_used(out);

        if (json && n) {
            gw_out_put(&out->out, ",", 1);
        }

        ngx_http_aggregate_trace_span(ctx, span, out, json);

        if (out->out.failed) {
            out->out.last = out->start + used;
            break;
        }

        n++;
    }

    if (n) {
        ngx_http_aggregate_exporter_push(tmcf->exporter, out->start,
                                         gw_out_block_used(out), n);
    }
}


uint64_t
ngx_http_aggregate_trace_nsec(ngx_http_aggregate_trace_ctx_t *ctx,
    uint64_t clock)
{
    uint64_t  wall;

    wall = ctx->wall + (clock - ctx->clock);

    return ngx_max(wall, ctx->start) * 1000;
}


static ngx_uint_t
ngx_http_aggregate_trace_exports(ngx_http_aggregate_trace_ctx_t *ctx)
{
    uint64_t                              now;
    ngx_http_aggregate_trace_loc_conf_t  *tlcf;

    if (ctx->sampled) {
        return 1;
    }

    tlcf = ctx->conf;

    if (tlcf->keep_error
        && (ctx->partial
            || ngx_http_aggregate_watch_status(ctx->request) >= 500))
    {
        return 1;
    }

    now = ngx_http_aggregate_trace_nsec(ctx, ngx_http_aggregate_watch_clock());

    return tlcf->keep_slow
           && now / 1000 - ctx->start >= (uint64_t) tlcf->keep_slow * 1000;
}


static void
ngx_http_aggregate_trace_server_name(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_str_t *known, ngx_str_t *route, ngx_str_t *name)
{
    u_char              *p;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->conf->name
        && ngx_http_complex_value(r, ctx->conf->name, name) == NGX_OK
        && name->len)
    {
        return;
    }

    known = known ? known : &ngx_http_aggregate_trace_other;

    name->len = known->len + (route->len ? route->len + 1 : 0);
    name->data = ngx_pnalloc(r->pool, name->len);

    if (name->data == NULL) {
        *name = *known;
        return;
    }

    p = ngx_cpymem(name->data, known->data, known->len);

    if (route->len) {
        *p++ = ' ';
        ngx_memcpy(p, route->data, route->len);
    }
}


static void
ngx_http_aggregate_trace_route(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_trace_set_t *set, ngx_str_t *route, ngx_str_t *backend)
{
    uint32_t                     result, tier;
    agg_metrics_value_t         *v;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_aggregate_watch_t  *w;

    clcf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_core_module);

    *route = ctx->placed ? ctx->route : clcf->name;

    w = ngx_http_aggregate_watch_get(ctx->request);
    result = ngx_http_aggregate_metrics_cache(ctx->request, &tier);

    if (ngx_http_aggregate_metrics_is_cached(ctx->request, result)) {
        ngx_str_set(backend, "_cache");

    } else if (w && w->aggregate) {
        ngx_str_set(backend, "_aggregate");

    } else if (w && w->uscf) {
        *backend = w->uscf->port == 0
                   ? w->uscf->host
                   : ngx_http_aggregate_metrics_service(w->uscf, set->backend,
                                                        AGG_METRICS_TEXT);

    } else if (w && w->backend == AGG_METRICS_OTHER) {
        ngx_str_set(backend, "_other");

    } else {
        ngx_str_set(backend, "_none");
    }

    if (w && w->zone && w->route > AGG_METRICS_CACHE) {
        v = &w->zone->metrics->value[w->route - 1];
        route->data = v->text;
        route->len = v->len;
    }
}


static ngx_uint_t
ngx_http_aggregate_trace_scheme(ngx_http_request_t *r)
{
#if (NGX_HTTP_SSL)

    if (r->connection->ssl) {
        return NGX_HTTP_AGGREGATE_TRACE_HTTPS;
    }

#endif

    (void) r;

    return NGX_HTTP_AGGREGATE_TRACE_HTTP;
}


static void
ngx_http_aggregate_trace_server(ngx_http_aggregate_trace_ctx_t *ctx,
    gw_out_block_t *out, int json)
{
    u_char                          *p;
    ngx_str_t                        method, route, name, backend, path, args;
    ngx_str_t                       *known;
    ngx_uint_t                       status;
    agg_otlp_span_t                  o;
    ngx_http_request_t              *r;
    ngx_http_aggregate_trace_set_t  *set;

    r = ctx->request;
    set = &ngx_http_aggregate_trace_attrs;
    set->n = 0;
    status = ngx_http_aggregate_watch_status(r);

    ngx_http_aggregate_trace_route(ctx, set, &route, &backend);
    method = ngx_http_aggregate_trace_method(r, r->request_line.data,
                                             r->request_line.len);
    known = ngx_http_aggregate_trace_known(&method);
    ngx_http_aggregate_trace_server_name(ctx, known, &route, &name);
    ngx_http_aggregate_trace_methods(set, &method, known);

    path = r->unparsed_uri;
    ngx_str_null(&args);

    p = ngx_strlchr(path.data, path.data + path.len, '?');

    if (p) {
        args.data = p + 1;
        args.len = path.data + path.len - args.data;
        path.len = p - path.data;
    }

    ngx_http_aggregate_trace_string(set, "url.path", &path);

    if (args.len) {
        args = ngx_http_aggregate_trace_query(r, ctx->conf, &args);
        ngx_http_aggregate_trace_string(set, "url.query", &args);
    }

    ngx_http_aggregate_trace_constant(set, ngx_http_aggregate_trace_scheme(r));

    if (route.len) {
        ngx_http_aggregate_trace_string(set, "http.route", &route);
    }

    if (status) {
        ngx_http_aggregate_trace_number(set, "http.response.status_code",
                                        status);
    }

    ngx_http_aggregate_trace_addresses(r, set);

    if (r->headers_in.user_agent) {
        ngx_http_aggregate_trace_string(set, "user_agent.original",
                                        &r->headers_in.user_agent->value);
    }

    ngx_http_aggregate_trace_string(set, "gateway.backend", &backend);
    ngx_http_aggregate_trace_met(r, set);

    if (ctx->dropped) {
        ngx_http_aggregate_trace_number(set, "gateway.spans_dropped",
                                        ctx->dropped);
    }

    o.error = (status >= 500);

    if (o.error) {
        ngx_sprintf(set->code, "%03ui%Z", status % 1000);
        ngx_http_aggregate_trace_text(set, "error.type",
                                      (const char *) set->code);
    }

    if (set->configured) {
        ngx_http_aggregate_trace_configured(r, ctx, set,
                                         NGX_HTTP_AGGREGATE_TRACE_ON_SERVER);
    }

    o.trace_id = ctx->context.trace_id;
    o.span_id = ctx->context.span_id;
    o.parent_id = ctx->has_parent ? ctx->parent : NULL;
    o.remote = 1;
    o.state = ctx->state.data;
    o.state_len = ctx->state.len;
    o.flags = ctx->context.flags;
    o.name = name.data;
    o.name_len = name.len;
    o.kind = AGG_OTLP_SERVER;
    o.start = ctx->start * 1000;
    o.end = ngx_http_aggregate_trace_nsec(ctx,
                                          ngx_http_aggregate_watch_clock());
    o.attrs = set->attrs;
    o.nattrs = set->n;
    o.nevents = 0;
    o.link = ctx->has_link ? &ctx->link : NULL;

    agg_otlp_span(out, json, &o);
}


static void
ngx_http_aggregate_trace_addresses(ngx_http_request_t *r,
    ngx_http_aggregate_trace_set_t *set)
{
    in_port_t          port;
    ngx_uint_t         version;
    ngx_connection_t  *c;

    c = r->connection;

    if (r->headers_in.server.len) {
        ngx_http_aggregate_trace_address(set, &r->headers_in.server);
    }

    if (c->local_sockaddr) {
        port = ngx_inet_get_port(c->local_sockaddr);

        if (port) {
            ngx_http_aggregate_trace_number(set, "server.port", port);
        }
    }

    ngx_http_aggregate_trace_string(set, "client.address", &c->addr_text);
    ngx_http_aggregate_trace_remote(r, set);

    switch (r->http_version) {

    case NGX_HTTP_VERSION_10:
        version = NGX_HTTP_AGGREGATE_TRACE_10;
        break;

    case NGX_HTTP_VERSION_11:
        version = NGX_HTTP_AGGREGATE_TRACE_11;
        break;

    case NGX_HTTP_VERSION_20:
        version = NGX_HTTP_AGGREGATE_TRACE_20;
        break;

    case 3000:
        version = NGX_HTTP_AGGREGATE_TRACE_30;
        break;

    default:
        return;
    }

    ngx_http_aggregate_trace_constant(set, version);
}


/* the peer of the connection, which is a proxy if the realip module is used */

static void
ngx_http_aggregate_trace_remote(ngx_http_request_t *r,
    ngx_http_aggregate_trace_set_t *set)
{
    ngx_int_t                              port;
    ngx_str_t                              address, value;
    ngx_connection_t                      *c;
    ngx_http_variable_t                   *var;
    ngx_http_variable_value_t              v;
    ngx_http_core_main_conf_t             *cmcf;
    ngx_http_aggregate_trace_main_conf_t  *tmcf;

    c = r->connection;
    address = c->addr_text;
    port = ngx_inet_get_port(c->sockaddr);

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_trace_module);

    /*
     * the address that was accepted is in the first block of the connection's
     * pool, and the one of the realip module is in the pool of a request
     */

    if (((u_char *) c->sockaddr < (u_char *) c->pool
         || (u_char *) c->sockaddr >= c->pool->d.end)
        && tmcf->peer_addr != NGX_ERROR)
    {
        cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

        var = cmcf->variables.elts;
        var += tmcf->peer_addr;

        if (var->get_handler(r, &v, var->data) == NGX_OK
            && !v.not_found && v.data != c->addr_text.data)
        {
            address.data = v.data;
            address.len = v.len;

            port = ngx_http_aggregate_metrics_variable(r, tmcf->peer_port,
                                                       &value)
                   ? ngx_atoi(value.data, value.len) : 0;
        }
    }

    ngx_http_aggregate_trace_string(set, "network.peer.address", &address);

    if (port > 0) {
        ngx_http_aggregate_trace_number(set, "network.peer.port", port);
    }
}


static void
ngx_http_aggregate_trace_span(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_span_t *span, gw_out_block_t *out, int json)
{
    size_t                           size;
    u_char                           name[300], *p;
    ngx_str_t                       *known;
    agg_otlp_span_t                  o;
    ngx_http_aggregate_trace_set_t  *set;

    set = &ngx_http_aggregate_trace_attrs;
    set->n = 0;
    set->nevents = 0;
    size = sizeof(name);
    o.error = 0;

    if (!span->ended) {
        span->end = ngx_http_aggregate_watch_clock();
    }

    switch (span->type) {

    case NGX_HTTP_AGGREGATE_SPAN_AGGREGATE:
        p = ngx_cpymem(name, "gateway.aggregate", 17);
        o.kind = AGG_OTLP_INTERNAL;
        o.error = (span->outcome && span->outcome[0] == 'f');

        if (span->cancelled) {
            ngx_http_aggregate_trace_cancelled(set);

        } else {
            ngx_http_aggregate_trace_text(set, "gateway.outcome",
                                          span->outcome ? span->outcome
                                                        : "failed");
        }

        ngx_http_aggregate_trace_number(set, "gateway.parts", span->parts);
        ngx_http_aggregate_trace_number(set, "gateway.parts_failed",
                                        span->failed);
        ngx_http_aggregate_trace_configured(span->request, ctx, set,
                                     NGX_HTTP_AGGREGATE_TRACE_ON_AGGREGATE);
        break;

    case NGX_HTTP_AGGREGATE_SPAN_PART:
        p = ngx_snprintf(name, size, "gateway.part %V", span->part);
        o.kind = AGG_OTLP_INTERNAL;
        o.error = 1;

        ngx_http_aggregate_trace_string(set, "gateway.part", span->part);
        ngx_http_aggregate_trace_string(set, "error.type",
                                &ngx_http_aggregate_reasons[span->reason]);
        break;

    default: /* NGX_HTTP_AGGREGATE_SPAN_CLIENT */

        if (ngx_http_aggregate_trace_is_uncalled(span)) {
            p = ngx_snprintf(name, size, "gateway.part %V", span->part);
            ngx_http_aggregate_trace_uncalled(span, set, &o);
            break;
        }

        known = ngx_http_aggregate_trace_known(&span->method);

        p = ngx_http_aggregate_trace_join(name, name + size, known
                                  ? known : &ngx_http_aggregate_trace_other,
                                  1);
        p = ngx_http_aggregate_trace_join(p, name + size, span->part
                                          ? span->part : &span->host, 0);
        o.kind = AGG_OTLP_CLIENT;

        ngx_http_aggregate_trace_methods(set, &span->method, known);
        ngx_http_aggregate_trace_client(ctx, span, set, &o);

        if (set->configured) {
            ngx_http_aggregate_trace_configured(span->request, ctx, set,
                                         NGX_HTTP_AGGREGATE_TRACE_ON_CLIENT);
        }

        break;
    }

    o.trace_id = ctx->context.trace_id;
    o.span_id = span->id;
    o.parent_id = span->parent;
    o.remote = 0;
    o.state = ctx->state.data;
    o.state_len = ctx->state.len;
    o.flags = ctx->context.flags;
    o.name = name;
    o.name_len = p - name;
    o.start = ngx_http_aggregate_trace_nsec(ctx, span->start);
    o.end = ngx_http_aggregate_trace_nsec(ctx, ngx_max(span->end,
                                                       span->start));
    o.attrs = set->attrs;
    o.nattrs = set->n;
    o.events = set->events;
    o.nevents = set->nevents;
    o.link = NULL;

    agg_otlp_span(out, json, &o);
}


/* copies what fits, and adds a space */

static u_char *
ngx_http_aggregate_trace_join(u_char *p, u_char *last, ngx_str_t *s,
    ngx_uint_t space)
{
    p = ngx_cpymem(p, s->data, ngx_min(s->len, (size_t) (last - p)));

    if (space && p < last) {
        *p++ = ' ';
    }

    return p;
}


/* a part for which a cache, or a breaker that is open, has responded */

static ngx_uint_t
ngx_http_aggregate_trace_is_uncalled(ngx_http_aggregate_span_t *span)
{
    uint32_t  result, tier;

    if (span->part == NULL || span->upstream) {
        return 0;
    }

    if (ngx_http_aggregate_breaker_rejected(span->request)) {
        return 1;
    }

    result = ngx_http_aggregate_metrics_cache(span->request, &tier);

    return ngx_http_aggregate_metrics_is_cached(span->request, result);
}


static void
ngx_http_aggregate_trace_uncalled(ngx_http_aggregate_span_t *span,
    ngx_http_aggregate_trace_set_t *set, agg_otlp_span_t *o)
{
    o->kind = AGG_OTLP_INTERNAL;

    ngx_http_aggregate_trace_string(set, "gateway.part", span->part);

    if (span->item >= 0) {
        ngx_http_aggregate_trace_number(set, "gateway.part.item", span->item);
    }

    ngx_http_aggregate_trace_met(span->request, set);

    if (span->cancelled) {
        ngx_http_aggregate_trace_cancelled(set);
        return;
    }

    if (span->reason != NGX_HTTP_AGGREGATE_NO_REASON) {
        o->error = 1;
        ngx_http_aggregate_trace_string(set, "error.type",
                                &ngx_http_aggregate_reasons[span->reason]);
    }
}


static void
ngx_http_aggregate_trace_cancelled(ngx_http_aggregate_trace_set_t *set)
{
    ngx_http_aggregate_trace_number(set, "gateway.cancelled", 1);
    set->attrs[set->n - 1].type = AGG_OTLP_BOOL;
}


static void
ngx_http_aggregate_trace_client(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_span_t *span, ngx_http_aggregate_trace_set_t *set,
    agg_otlp_span_t *o)
{
    ngx_str_t   url;
    ngx_uint_t  status, port;

    status = span->status;

    if (span->upstream) {
        url = ngx_http_aggregate_trace_url(ctx, span);
        ngx_http_aggregate_trace_string(set, "url.full", &url);
        ngx_http_aggregate_trace_address(set, &span->host);

        port = span->port ? span->port
               : span->scheme.len > 5 && span->scheme.data[4] == 's' ? 443
                                                                     : 80;

        /* a socket of the UNIX domain has no port */

        if (span->host.len == 0 || span->host.data[0] != '/') {
            ngx_http_aggregate_trace_number(set, "server.port", port);
        }

        ngx_http_aggregate_trace_peer(set, span->peer);
        ngx_http_aggregate_trace_string(set, "peer.service",
                                        span->part ? span->part
                                                   : &span->host);

        if (span->last > span->first + 1) {
            ngx_http_aggregate_trace_tries(ctx, span, set);
        }
    }

    if (status) {
        ngx_http_aggregate_trace_number(set, "http.response.status_code",
                                        status);
    }

    if (span->part) {
        ngx_http_aggregate_trace_string(set, "gateway.part", span->part);

        if (span->item >= 0) {
            ngx_http_aggregate_trace_number(set, "gateway.part.item",
                                            span->item);
        }

        if (span->number > 1) {
            ngx_http_aggregate_trace_number(set, "http.request.resend_count",
                                            span->number - 1);
        }

        ngx_http_aggregate_trace_met(span->request, set);

    } else if (span->request != ctx->request) {
        ngx_http_aggregate_trace_met(span->request, set);
    }

    if (span->cancelled) {
        ngx_http_aggregate_trace_cancelled(set);
        return;
    }

    if (span->part && span->reason != NGX_HTTP_AGGREGATE_NO_REASON
        && (span->reason != NGX_HTTP_AGGREGATE_STATUS || status == 0))
    {
        o->error = 1;
        ngx_http_aggregate_trace_string(set, "error.type",
                                &ngx_http_aggregate_reasons[span->reason]);
        return;
    }

    if (span->part ? span->reason != NGX_HTTP_AGGREGATE_NO_REASON
                   : status >= 400)
    {
        o->error = 1;
        ngx_sprintf(set->code, "%03ui%Z", status % 1000);
        ngx_http_aggregate_trace_text(set, "error.type",
                                      (const char *) set->code);
        return;
    }

    if (!span->part && (span->rc >= 500 || span->rc == NGX_ERROR)) {
        o->error = 1;
        ngx_http_aggregate_trace_text(set, "error.type",
                                      span->rc == NGX_HTTP_GATEWAY_TIME_OUT
                                      ? "timeout"
                                      : status ? "truncated" : "connect");
    }
}


/* all tries except for the last one, as events */

static void
ngx_http_aggregate_trace_tries(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_span_t *span, ngx_http_aggregate_trace_set_t *set)
{
    uint64_t                         end;
    ngx_uint_t                       i;
    agg_otlp_event_t                *event;
    ngx_http_upstream_state_t       *state;
    ngx_http_aggregate_trace_set_t  *try;

    if (span->request->upstream_states == NULL) {
        return;
    }

    try = &ngx_http_aggregate_trace_try;
    state = span->request->upstream_states->elts;
    end = span->start;

    for (i = span->first; i + 1 < span->last; i++) {

        if (state[i].peer == NULL
            || set->nevents == NGX_HTTP_AGGREGATE_TRACE_EVENTS)
        {
            continue;
        }

        end += (uint64_t) state[i].response_time * 1000;

        try->n = 0;
        ngx_http_aggregate_trace_peer(try, state[i].peer);

        if (try->n < 3 && state[i].header_time != (ngx_msec_t) -1) {
            ngx_http_aggregate_trace_number(try, "http.response.status_code",
                                            (int64_t) state[i].status);

        } else if (try->n < 3) {
            ngx_http_aggregate_trace_text(try, "error.type",
                                          state[i].status
                                          == NGX_HTTP_GATEWAY_TIME_OUT
                                          ? "timeout" : "connect");
        }

        event = &set->events[set->nevents];
        ngx_memcpy(set->event_attrs[set->nevents], try->attrs,
                   try->n * sizeof(agg_otlp_attr_t));

        event->name = "gateway.upstream.try";
        event->time = ngx_http_aggregate_trace_nsec(ctx, ngx_min(end,
                                                                span->end));
        event->attrs = set->event_attrs[set->nevents];
        event->nattrs = try->n;

        set->nevents++;
    }
}
