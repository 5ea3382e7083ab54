
/*
 * Messages are converted to JSON: a single value, an array, lines, or events.
 * Buffers are tagged like nginx's own for the upstream: with a slow client they
 * stay busy, and meanwhile nothing is read from the backend.
 */

#include "ngx_http_aggregate_grpc.h"


static ngx_int_t ngx_http_aggregate_grpc_json(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *wire, agg_buf_t *out);
static ngx_int_t ngx_http_aggregate_grpc_stream(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *wire);
static ngx_int_t ngx_http_aggregate_grpc_stream_header(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_http_body(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *wire, agg_buf_t *out);
static ngx_int_t ngx_http_aggregate_grpc_http_body_field(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_str_t *wire, uint32_t number,
    agg_str_t *value);
static ngx_int_t ngx_http_aggregate_grpc_checked(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_rc_e rc, agg_pb_fault_e fault);
static ngx_int_t ngx_http_aggregate_grpc_finish_whole(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_finish_stream(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_finish_websocket(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_send_body(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_buf_t *out);
static ngx_int_t ngx_http_aggregate_grpc_event(
    ngx_http_aggregate_grpc_ctx_t *ctx, const char *before, agg_buf_t *body,
    const char *after);
static ngx_chain_t *ngx_http_aggregate_grpc_get_buf(
    ngx_http_aggregate_grpc_ctx_t *ctx, agg_buf_t *out);
static void ngx_http_aggregate_grpc_put_buf(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_chain_t *cl, agg_buf_t *out);
static void ngx_http_aggregate_grpc_ping(ngx_event_t *ev);


#define ngx_http_aggregate_grpc_literal(out, text)                            \
    agg_buf_append(out, text, sizeof(text) - 1)


static ngx_str_t  ngx_http_aggregate_grpc_json_type =
    ngx_string("application/json");


/* converts a message; an error in it is the backend's, and not returned */

ngx_int_t
ngx_http_aggregate_grpc_take(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *wire)
{
    agg_rc_e  rc;

    ctx->messages++;

    switch (ctx->form) {

    case NGX_HTTP_AGGREGATE_GRPC_UNARY:

        if (ctx->messages > 1) {
            ngx_http_aggregate_grpc_broken(ctx, "more than one message");
            return NGX_OK;
        }

        return ngx_http_aggregate_grpc_json(ctx, wire, &ctx->json);

    case NGX_HTTP_AGGREGATE_GRPC_ARRAY:

        rc = agg_buf_append(&ctx->json, ctx->messages == 1 ? "[" : ",", 1);

        if (rc != AGG_OK) {
            return ngx_http_aggregate_grpc_checked(ctx, rc, AGG_PB_GOOD);
        }

        return ngx_http_aggregate_grpc_json(ctx, wire, &ctx->json);

    default:
        return ngx_http_aggregate_grpc_stream(ctx, wire);
    }
}


static ngx_int_t
ngx_http_aggregate_grpc_json(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *wire, agg_buf_t *out)
{
    size_t          used;
    agg_rc_e        rc;
    agg_pb_fault_e  fault;

    /* an event is held on its own, an array as a whole */

    used = (out == &ctx->json) ? 0 : agg_buf_used(out);
    fault = AGG_PB_GOOD;

    if (ctx->binding->raw_response) {
        rc = AGG_OK;

        if (ngx_http_aggregate_grpc_http_body(ctx, wire, out) != NGX_OK) {
            return NGX_ERROR;
        }

    } else {
        rc = agg_pb_to_json(ctx->mcf->pool, ctx->binding->method->output,
                            ctx->binding->response, wire, &ctx->conf->json,
                            out, &fault);
    }

    if (rc == AGG_OK && agg_buf_used(out) - used > ctx->conf->max_response) {
        rc = AGG_TOO_LARGE;
    }

    return ngx_http_aggregate_grpc_checked(ctx, rc, fault);
}


static ngx_int_t
ngx_http_aggregate_grpc_stream(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *wire)
{
    agg_rc_e      rc;
    agg_buf_t     out;
    ngx_chain_t  *cl;

    cl = ngx_http_aggregate_grpc_get_buf(ctx, &out);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    rc = AGG_OK;

    if (ctx->form == NGX_HTTP_AGGREGATE_GRPC_SSE) {
        rc = ngx_http_aggregate_grpc_literal(&out, "data: ");

    } else if (ctx->ws) {
        rc = agg_buf_append(&out, "0123456789", AGG_WS_HEAD);
    }

    if (rc == AGG_OK
        && ngx_http_aggregate_grpc_json(ctx, wire, &out) != NGX_OK)
    {
        rc = AGG_NOMEM;
    }

    if (rc == AGG_OK && ctx->form == NGX_HTTP_AGGREGATE_GRPC_SSE) {
        rc = ngx_http_aggregate_grpc_literal(&out, "\n\n");

    } else if (rc == AGG_OK && ctx->form == NGX_HTTP_AGGREGATE_GRPC_NDJSON) {
        rc = ngx_http_aggregate_grpc_literal(&out, "\n");
    }

    if (rc == AGG_OK && !ctx->failed && !ctx->released
        && ngx_http_aggregate_grpc_stream_header(ctx) != NGX_OK)
    {
        rc = AGG_NOMEM;
    }

    if (rc != AGG_OK || ctx->failed || ctx->ended) {
        out.pos = out.start;
    }

    ngx_http_aggregate_grpc_put_buf(ctx, cl, &out);

    if (ctx->ws && out.pos != out.start) {
        ngx_http_aggregate_grpc_ws_frame(cl->buf);
    }

    return ngx_http_aggregate_grpc_checked(ctx, rc, AGG_PB_GOOD);
}


static ngx_int_t
ngx_http_aggregate_grpc_stream_header(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_str_t            *type;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    static ngx_str_t  sse = ngx_string("text/event-stream");
    static ngx_str_t  ndjson = ngx_string("application/x-ndjson");

    r = ctx->request;
    u = r->upstream;

    switch (ctx->form) {

    case NGX_HTTP_AGGREGATE_GRPC_SSE:
        type = &sse;
        break;

    case NGX_HTTP_AGGREGATE_GRPC_NDJSON:
        type = &ndjson;
        break;

    default:
        type = &ctx->type;
    }

    if (ngx_http_aggregate_grpc_send_header(ctx, NGX_HTTP_OK, type, -1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->header_only) {

        /* the body is complete */

        ctx->ended = 1;
        u->length = 0;
        u->keepalive = 0;

        return NGX_OK;
    }

    if (ctx->form == NGX_HTTP_AGGREGATE_GRPC_SSE && ctx->conf->ping
        && !ctx->ended)
    {
        ctx->ping.handler = ngx_http_aggregate_grpc_ping;
        ctx->ping.data = ctx;
        ctx->ping.log = r->connection->log;

        ngx_add_timer(&ctx->ping, ctx->conf->ping);
    }

    return NGX_OK;
}


/* the data of a google.api.HttpBody is sent unchanged */

static ngx_int_t
ngx_http_aggregate_grpc_http_body(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *wire, agg_buf_t *out)
{
    u_char    *type;
    agg_rc_e   rc;
    agg_str_t  body, value;

    body = *wire;

    if (ctx->binding->response) {
        if (ngx_http_aggregate_grpc_http_body_field(ctx, wire,
                                             ctx->binding->response->number,
                                             &body)
            != NGX_OK)
        {
            return NGX_OK;
        }
    }

    if (ctx->messages == 1) {

        if (ngx_http_aggregate_grpc_http_body_field(ctx, &body, 1, &value)
            != NGX_OK)
        {
            return NGX_OK;
        }

        type = ngx_pnalloc(ctx->request->pool, value.len);
        if (type == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(type, value.data, value.len);

        ctx->type.data = type;
        ctx->type.len = value.len;
    }

    if (ngx_http_aggregate_grpc_http_body_field(ctx, &body, 2, &value)
        != NGX_OK)
    {
        return NGX_OK;
    }

    rc = agg_buf_append(out, value.data, value.len);

    return ngx_http_aggregate_grpc_checked(ctx, rc, AGG_PB_GOOD);
}


/* the last value of a length-delimited field; empty if there is none */

static ngx_int_t
ngx_http_aggregate_grpc_http_body_field(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_str_t *wire, uint32_t number, agg_str_t *value)
{
    uint32_t       tag;
    const u_char  *p, *end;

    p = wire->data;
    end = p + wire->len;

    value->len = 0;
    value->data = wire->data;

    while (p != end) {

        p = agg_pb_read_tag(p, end, &tag);

        if (p && tag == agg_pb_tag(number, AGG_PB_LEN)) {
            p = agg_pb_read_len(p, end, value);

        } else if (p) {
            p = agg_pb_skip(p, end, tag, NULL);
        }

        if (p == NULL) {
            ngx_http_aggregate_grpc_broken(ctx, "an invalid HttpBody");
            return NGX_DECLINED;
        }
    }

    if (number == 1) {

        /* the type must be valid as a header value */

        for (p = value->data; p < value->data + value->len; p++) {
            if (*p < 0x20 || *p >= 0x7f) {
                ngx_http_aggregate_grpc_broken(ctx, "an invalid HttpBody");
                return NGX_DECLINED;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_checked(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_rc_e rc, agg_pb_fault_e fault)
{
    switch (rc) {

    case AGG_OK:
        return NGX_OK;

    case AGG_INVALID:
        ngx_http_aggregate_grpc_broken(ctx, agg_pb_fault_text(fault));
        return NGX_OK;

    case AGG_TOO_LARGE:
        ngx_http_aggregate_grpc_broken(ctx, "a response over "
                                       "\"aggregate_grpc_max_response\"");
        return NGX_OK;

    default: /* AGG_NOMEM */
        return NGX_ERROR;
    }
}


/* the end of the response, whether it is complete or has failed */

ngx_int_t
ngx_http_aggregate_grpc_finish(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_str_t   *type;
    ngx_uint_t   status;

    static ngx_str_t  problem = ngx_string("application/problem+json");

    if (ctx->released) {
        return ctx->request->header_only
               ? NGX_OK : ngx_http_aggregate_grpc_finish_stream(ctx);
    }

    if (ctx->failed) {

        status = ctx->status;
        type = ctx->conf->status_errors ? &ngx_http_aggregate_grpc_json_type
                                        : &problem;

        if (ngx_http_aggregate_grpc_error_body(ctx) != NGX_OK
            || ngx_http_aggregate_grpc_send_header(ctx, status, type,
                                                agg_buf_used(&ctx->error))
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_aggregate_grpc_send_body(ctx, &ctx->error);
    }

    if (ctx->form == NGX_HTTP_AGGREGATE_GRPC_UNARY
        || ctx->form == NGX_HTTP_AGGREGATE_GRPC_ARRAY)
    {
        return ngx_http_aggregate_grpc_finish_whole(ctx);
    }

    /* the stream has no messages */

    if (ngx_http_aggregate_grpc_stream_header(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ctx->request->header_only
           ? NGX_OK : ngx_http_aggregate_grpc_finish_stream(ctx);
}


static ngx_int_t
ngx_http_aggregate_grpc_finish_whole(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    agg_rc_e    rc;
    ngx_str_t  *type;

    type = &ngx_http_aggregate_grpc_json_type;
    rc = AGG_OK;

    if (ctx->form == NGX_HTTP_AGGREGATE_GRPC_ARRAY) {

        rc = ctx->messages == 0
             ? ngx_http_aggregate_grpc_literal(&ctx->json, "[]")
             : ngx_http_aggregate_grpc_literal(&ctx->json, "]");

        if (rc == AGG_OK
            && agg_buf_used(&ctx->json) > ctx->conf->max_response)
        {
            rc = AGG_TOO_LARGE;
        }

    } else if (ctx->binding->raw_response) {
        type = &ctx->type;
    }

    if (rc == AGG_TOO_LARGE) {
        (void) ngx_http_aggregate_grpc_checked(ctx, rc, AGG_PB_GOOD);
        ctx->request->upstream->state->status = ctx->status;

        return ngx_http_aggregate_grpc_finish(ctx);
    }

    if (rc != AGG_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_aggregate_grpc_send_header(ctx, NGX_HTTP_OK, type,
                                            agg_buf_used(&ctx->json))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_grpc_send_body(ctx, &ctx->json);
}


static ngx_int_t
ngx_http_aggregate_grpc_finish_stream(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    if (ctx->failed && !ctx->ws
        && ngx_http_aggregate_grpc_error_body(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    switch (ctx->form) {

    case NGX_HTTP_AGGREGATE_GRPC_SSE:

        if (ctx->failed) {
            return ngx_http_aggregate_grpc_event(ctx, "event: error\ndata: ",
                                                 &ctx->error, "\n\n");
        }

        return ngx_http_aggregate_grpc_event(ctx, "event: end\ndata: {}\n\n",
                                             NULL, "");

    case NGX_HTTP_AGGREGATE_GRPC_NDJSON:

        if (ctx->failed) {
            ctx->cut = 1;
            return ngx_http_aggregate_grpc_event(ctx, "{\"error\":",
                                                 &ctx->error, "}\n");
        }

        return NGX_OK;

    case NGX_HTTP_AGGREGATE_GRPC_WEBSOCKET:
        return ngx_http_aggregate_grpc_finish_websocket(ctx);

    default: /* NGX_HTTP_AGGREGATE_GRPC_RAW */
        ctx->cut = ctx->failed;
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_aggregate_grpc_finish_websocket(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    u_char        frame[AGG_WS_HEAD + AGG_WS_CONTROL];
    size_t        len;
    agg_buf_t     out;
    ngx_chain_t  *cl;

    if (ctx->ws_closed) {
        return NGX_OK;
    }

    len = ngx_http_aggregate_grpc_ws_close(ctx, frame);

    cl = ngx_http_aggregate_grpc_get_buf(ctx, &out);

    if (cl == NULL || agg_buf_append(&out, frame, len) != AGG_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_grpc_put_buf(ctx, cl, &out);

    return NGX_OK;
}


/* nginx ends the upstream with an error after the header was sent */

ngx_int_t
ngx_http_aggregate_grpc_late(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_uint_t status)
{
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_chain_t          *cl, out;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    ctx->ended = 1;
    ctx->failed = 1;
    ctx->status = status;
    ctx->code = agg_grpc_code_of_http((unsigned) status);

    if (ctx->request->header_only
        || ngx_http_aggregate_grpc_finish_stream(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    cl = u->out_bufs;
    u->out_bufs = NULL;

    if (cl) {
        rc = ngx_http_output_filter(ctx->request, cl);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    if (ctx->form != NGX_HTTP_AGGREGATE_GRPC_SSE) {
        return NGX_OK;
    }

    /* an event stream ends normally, with an event about the error */

    b = ngx_calloc_buf(ctx->request->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last_buf = 1;
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(ctx->request, &out);
}


static ngx_int_t
ngx_http_aggregate_grpc_send_body(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_buf_t *out)
{
    ngx_buf_t             *b;
    ngx_chain_t           *cl, **ll;
    ngx_http_upstream_t   *u;

    u = ctx->request->upstream;

    if (ctx->request->header_only || out->pos == out->start) {
        return NGX_OK;
    }

    cl = ngx_alloc_chain_link(ctx->request->pool);
    b = ngx_calloc_buf(ctx->request->pool);

    if (cl == NULL || b == NULL) {
        return NGX_ERROR;
    }

    b->start = out->start;
    b->pos = out->start;
    b->last = out->pos;
    b->end = out->end;
    b->memory = 1;
    b->flush = 1;
    b->tag = u->output.tag;

    cl->buf = b;
    cl->next = NULL;

    for (ll = &u->out_bufs; *ll; ll = &(*ll)->next) { /* void */ }

    *ll = cl;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_event(ngx_http_aggregate_grpc_ctx_t *ctx,
    const char *before, agg_buf_t *body, const char *after)
{
    agg_buf_t     out;
    ngx_chain_t  *cl;

    cl = ngx_http_aggregate_grpc_get_buf(ctx, &out);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    out.max = NGX_MAX_SIZE_T_VALUE;

    if (agg_buf_append(&out, before, ngx_strlen(before)) != AGG_OK
        || (body && agg_buf_append(&out, body->start, agg_buf_used(body))
                    != AGG_OK)
        || agg_buf_append(&out, after, ngx_strlen(after)) != AGG_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_aggregate_grpc_put_buf(ctx, cl, &out);

    return NGX_OK;
}


/* a buffer that was sent, with its memory, or a new one */

static ngx_chain_t *
ngx_http_aggregate_grpc_get_buf(ngx_http_aggregate_grpc_ctx_t *ctx,
    agg_buf_t *out)
{
    ngx_buf_t             *b;
    ngx_chain_t           *cl, **ll;
    ngx_http_upstream_t   *u;

    u = ctx->request->upstream;

    ll = &u->free_bufs;

    for (cl = *ll; cl && cl->buf->start == NULL; cl = *ll) {
        ll = &cl->next;
    }

    if (cl) {
        *ll = cl->next;

    } else {
        cl = ngx_chain_get_free_buf(ctx->request->pool, &u->free_bufs);
        if (cl == NULL) {
            return NULL;
        }
    }

    b = cl->buf;

    agg_buf_init(out, &ctx->mem,
                 ctx->conf->max_response + NGX_HTTP_AGGREGATE_GRPC_SPARE);

    out->start = b->start;
    out->pos = b->start;
    out->end = b->start ? b->end : NULL;

    ngx_memzero(b, sizeof(ngx_buf_t));

    cl->next = NULL;

    return cl;
}


/* adds a buffer to the output; an empty one is freed */

static void
ngx_http_aggregate_grpc_put_buf(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_chain_t *cl, agg_buf_t *out)
{
    ngx_buf_t             *b;
    ngx_chain_t          **ll;
    ngx_http_upstream_t   *u;

    u = ctx->request->upstream;
    b = cl->buf;

    b->start = out->start;
    b->pos = out->start;
    b->last = out->pos;
    b->end = out->end;
    b->tag = u->output.tag;

    if (out->pos == out->start) {
        cl->next = u->free_bufs;
        u->free_bufs = cl;
        return;
    }

    b->memory = 1;
    b->flush = 1;

    for (ll = &u->out_bufs; *ll; ll = &(*ll)->next) { /* void */ }

    *ll = cl;

    ctx->last_sent = ngx_current_msec;
}


/* sends a comment, so that intermediaries keep the connection open */

static void
ngx_http_aggregate_grpc_ping(ngx_event_t *ev)
{
    ngx_msec_t                      idle;
    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_upstream_t            *u;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    u = r->upstream;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (u == NULL || u != ctx->upstream || u->cleanup == NULL || ctx->ended) {
        return;
    }

    idle = ngx_current_msec - ctx->last_sent;

    if (idle < ctx->conf->ping) {
        ngx_add_timer(ev, ctx->conf->ping - idle);
        return;
    }

    ngx_add_timer(ev, ctx->conf->ping);

    if (u->busy_bufs || u->out_bufs) {
        return;
    }

    if (ngx_http_aggregate_grpc_event(ctx, ":\n\n", NULL, "") != NGX_OK) {
        return;
    }

    r->write_event_handler(r);

    ngx_http_run_posted_requests(c);
}
