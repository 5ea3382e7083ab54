
/*
 * Bidirectional gRPC streams over a WebSocket.  The handshake is completed
 * before the backend responds.  The client's frames are the body of a request
 * without an end: a request body filter converts them to messages.
 */

#include "ngx_http_aggregate_grpc.h"
#include "gw_origin.h"

#include <ngx_sha1.h>


#define NGX_HTTP_AGGREGATE_GRPC_WS_BUSY  65536  /* bytes on their way */


static ngx_int_t ngx_http_aggregate_grpc_ws_check(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_str_t *key);
static ngx_uint_t ngx_http_aggregate_grpc_ws_is_key(ngx_str_t *key);
static ngx_uint_t ngx_http_aggregate_grpc_ws_foreign(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_str_t *origin);
static ngx_int_t ngx_http_aggregate_grpc_ws_message(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_ws_accept(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_str_t *key);
static ngx_int_t ngx_http_aggregate_grpc_ws_body_filter(
    ngx_http_request_t *r, ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_grpc_ws_read(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_buf_t *b, ngx_chain_t ***ll);
static ngx_int_t ngx_http_aggregate_grpc_ws_text(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_chain_t ***ll);
static ngx_int_t ngx_http_aggregate_grpc_ws_refuse(
    ngx_http_aggregate_grpc_ctx_t *ctx, u_char *data, size_t len);
static ngx_uint_t ngx_http_aggregate_grpc_ws_blocked(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_buf_t *ngx_http_aggregate_grpc_ws_buf(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_ws_control(
    ngx_http_aggregate_grpc_ctx_t *ctx, unsigned opcode, u_char *data,
    size_t len);
static size_t ngx_http_aggregate_grpc_ws_reason(
    ngx_http_aggregate_grpc_ctx_t *ctx, u_char *data);
static void ngx_http_aggregate_grpc_ws_read_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_grpc_ws_gone(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static void ngx_http_aggregate_grpc_ws_ping(ngx_event_t *ev);


static ngx_http_request_body_filter_pt  ngx_http_next_request_body_filter;


ngx_uint_t
ngx_http_aggregate_grpc_ws_wanted(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_str_t           *upgrade;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (!ctx->conf->websocket || r != r->main || r->method != NGX_HTTP_GET
        || r->http_version != NGX_HTTP_VERSION_11)
    {
        return 0;
    }

    upgrade = ngx_http_aggregate_grpc_find_header(&r->headers_in.headers,
                                                  "upgrade", 7);

    return upgrade && upgrade->len == 9
           && ngx_strncasecmp(upgrade->data, (u_char *) "websocket", 9) == 0;
}


/* NGX_DONE, or the status if the handshake is refused */

ngx_int_t
ngx_http_aggregate_grpc_ws_start(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_int_t                           rc;
    ngx_str_t                           key;
    ngx_http_request_t                 *r;
    ngx_http_aggregate_grpc_binding_t  *binding;

    r = ctx->request;

    ngx_str_null(&key);

    rc = ngx_http_aggregate_grpc_ws_check(ctx, &key);
    if (rc != NGX_OK) {
        return rc;
    }

    /* whole messages in both directions */

    binding = ngx_palloc(r->pool, sizeof(ngx_http_aggregate_grpc_binding_t));
    if (binding == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *binding = *ctx->binding;

    binding->body = NULL;
    binding->response = NULL;
    binding->has_body = binding->method->client_streaming;
    binding->raw_body = 0;
    binding->raw_response = 0;

    ctx->binding = binding;
    ctx->form = NGX_HTTP_AGGREGATE_GRPC_WEBSOCKET;

    rc = ngx_http_aggregate_grpc_ws_message(ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_aggregate_grpc_ws_accept(ctx, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    agg_ws_init(&ctx->ws_reader, &ctx->mem, ctx->conf->max_frame);

    ctx->ws = 1;

    r->keepalive = 0;
    r->headers_in.content_length_n = NGX_MAX_OFF_T_VALUE;

    /* no error page may follow the handshake */

    r->error_page = 1;

    /* frames are a new body, even if "mirror" has read the empty one */

    r->request_body = NULL;

    r->aio = 1;
    rc = ctx->mcf->handler(r);
    r->aio = 0;

    if (rc != NGX_DONE) {
        return ctx->ws_closed ? rc : NGX_ERROR;
    }

    ngx_http_aggregate_grpc_hook(ctx);

    if (ctx->conf->ws_ping) {
        ctx->ping.handler = ngx_http_aggregate_grpc_ws_ping;
        ctx->ping.data = ctx;
        ctx->ping.log = r->connection->log;
        ctx->ws_alive = 1;

        ngx_add_timer(&ctx->ping, ctx->conf->ws_ping);
    }

    ngx_http_upstream_init(r);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_aggregate_grpc_ws_check(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_str_t *key)
{
    ngx_str_t               *value, *version, *origin, supported;
    ngx_http_request_t      *r;
    const agg_pb_method_t   *method;

    r = ctx->request;
    method = ctx->binding->method;

    if (!method->client_streaming && !method->server_streaming) {
        return ngx_http_aggregate_grpc_refuse_text(ctx, NGX_HTTP_BAD_REQUEST,
                                           AGG_GRPC_INVALID_ARGUMENT,
                                           "the method has no stream");
    }

    value = ngx_http_aggregate_grpc_find_header(&r->headers_in.headers,
                                                "sec-websocket-key", 17);
    version = ngx_http_aggregate_grpc_find_header(&r->headers_in.headers,
                                                  "sec-websocket-version",
                                                  21);

    if (version == NULL || version->len != 2
        || ngx_strncmp(version->data, "13", 2) != 0)
    {
        ngx_str_set(&supported, "13");

        if (ngx_http_aggregate_header_add(&r->headers_out.headers,
                                          "Sec-WebSocket-Version", &supported)
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_aggregate_grpc_refuse_text(ctx, NGX_HTTP_BAD_REQUEST,
                                           AGG_GRPC_INVALID_ARGUMENT,
                                           "unsupported WebSocket version");
    }

    if (value == NULL || !ngx_http_aggregate_grpc_ws_is_key(value)
        || !ngx_http_aggregate_grpc_lists(r, "upgrade", 7)
        || r->headers_in.content_length_n > 0 || r->headers_in.chunked)
    {
        return ngx_http_aggregate_grpc_refuse_text(ctx, NGX_HTTP_BAD_REQUEST,
                                           AGG_GRPC_INVALID_ARGUMENT,
                                           "invalid WebSocket handshake");
    }

    origin = ngx_http_aggregate_grpc_find_header(&r->headers_in.headers,
                                                 "origin", 6);

    if (origin && ngx_http_aggregate_grpc_ws_foreign(ctx, origin)) {
        return ngx_http_aggregate_grpc_refuse_text(ctx, NGX_HTTP_FORBIDDEN,
                                           AGG_GRPC_PERMISSION_DENIED,
                                           "the Origin is not allowed");
    }

    *key = *value;

    return NGX_OK;
}


/* 16 bytes in base64 */

static ngx_uint_t
ngx_http_aggregate_grpc_ws_is_key(ngx_str_t *key)
{
    u_char     bytes[ngx_base64_decoded_length(24)];
    ngx_str_t  decoded;

    decoded.data = bytes;

    return key->len == 24
           && ngx_strncmp(&key->data[22], "==", 2) == 0
           && ngx_decode_base64(&decoded, key) == NGX_OK
           && decoded.len == 16;
}


/* whether the origin differs from the host, and from those of the directive */

static ngx_uint_t
ngx_http_aggregate_grpc_ws_foreign(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_str_t *origin)
{
    ngx_str_t           *host, *hosts;
    ngx_uint_t           i;
    ngx_http_request_t  *r;

    r = ctx->request;

    host = r->headers_in.host ? &r->headers_in.host->value : NULL;

    if (host && !gw_origin_foreign((u_char *) "origin", 6, origin->data,
                                   origin->len, host->data, host->len))
    {
        return 0;
    }

    if (ctx->conf->origins == NULL) {
        return 1;
    }

    hosts = ctx->conf->origins->elts;

    for (i = 0; i < ctx->conf->origins->nelts; i++) {
        if (!gw_origin_foreign((u_char *) "origin", 6, origin->data,
                               origin->len, hosts[i].data, hosts[i].len))
        {
            return 0;
        }
    }

    return 1;
}


/* the message from path and query, if the method does not stream its input */

static ngx_int_t
ngx_http_aggregate_grpc_ws_message(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_int_t  rc;
    agg_str_t  none;

    agg_buf_init(&ctx->wire, &ctx->mem, AGG_PB_MAX_INPUT);

    if (ctx->binding->method->client_streaming) {
        return NGX_OK;
    }

    none.len = 0;
    none.data = NULL;

    rc = ngx_http_aggregate_grpc_one(ctx, &none, 1);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_aggregate_grpc_set_request(ctx);

    ctx->request_buf.flush = 1;
    ctx->request_buf.last_buf = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_ws_accept(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_str_t *key)
{
    u_char               digest[20];
    ngx_int_t            rc;
    ngx_str_t            hash, value;
    ngx_sha1_t           sha1;
    ngx_http_request_t  *r;

    static u_char           guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static ngx_table_elt_t  not_sent;

    r = ctx->request;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, guid, sizeof(guid) - 1);
    ngx_sha1_final(digest, &sha1);

    hash.len = sizeof(digest);
    hash.data = digest;

    value.data = ngx_pnalloc(r->pool, ngx_base64_encoded_length(hash.len));
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(&value, &hash);

    if (ngx_http_aggregate_header_add(&r->headers_out.headers,
                                      "Sec-WebSocket-Accept", &value)
        == NULL)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&value, "websocket");

    if (ngx_http_aggregate_header_add(&r->headers_out.headers, "Upgrade",
                                      &value)
        == NULL)
    {
        return NGX_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;

    /*
     * "sub_filter" and "ssi" pass by a response with an empty body; they would
     * break frames
     */

    r->headers_out.content_length_n = 0;
    r->headers_out.content_length = &not_sent;

    /* as for unbuffered responses in nginx; a rate would delay the end */

    r->limit_rate = 0;
    r->limit_rate_set = 1;

    ctx->released = 1;

    rc = ngx_http_send_header(r);

    r->headers_out.content_length_n = -1;
    r->headers_out.content_length = NULL;

    if (rc == NGX_ERROR || rc > NGX_OK
        || ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    /* the header of the upstream is still expected, and then discarded */

    r->header_sent = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_ws_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in)
{
    ngx_int_t                       rc;
    ngx_chain_t                    *cl, *out, **ll;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_grpc_module);

    if (ctx == NULL || !ctx->ws) {
        return ngx_http_next_request_body_filter(r, in);
    }

    if (in && ngx_chain_add_copy(r->pool, &ctx->ws_in, in) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    out = NULL;
    ll = &out;

    while (ctx->ws_in) {

        if (ngx_http_aggregate_grpc_ws_blocked(ctx)) {
            break;
        }

        rc = ngx_http_aggregate_grpc_ws_read(ctx, ctx->ws_in->buf, &ll);

        if (rc == NGX_AGAIN) {
            break;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        cl = ctx->ws_in;
        ctx->ws_in = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    rc = ngx_http_next_request_body_filter(r, out);

    /* the next filter copies the links */

    while (out) {
        cl = out;
        out = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return rc;
}


/* NGX_AGAIN: enough data is in flight; otherwise the request ends */

static ngx_int_t
ngx_http_aggregate_grpc_ws_read(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_buf_t *b, ngx_chain_t ***ll)
{
    u_char      code[2];
    agg_ws_e    event;
    ngx_int_t   rc;

    for ( ;; ) {

        event = agg_ws_next(&ctx->ws_reader, &b->pos, b->last);

        switch (event) {

        case AGG_WS_MORE:
            return NGX_OK;

        case AGG_WS_TEXT:
            rc = ngx_http_aggregate_grpc_ws_text(ctx, ll);
            if (rc != NGX_OK) {
                return rc;
            }

            if (ngx_http_aggregate_grpc_ws_blocked(ctx)) {
                return b->pos == b->last ? NGX_OK : NGX_AGAIN;
            }

            break;

        case AGG_WS_PING:
            (void) ngx_http_aggregate_grpc_ws_control(ctx, AGG_WS_OP_PONG,
                                                 ctx->ws_reader.control,
                                                 ctx->ws_reader.ncontrol);
            break;

        case AGG_WS_PONG:
            ctx->ws_alive = 1;
            break;

        case AGG_WS_CLOSE:
            (void) ngx_http_aggregate_grpc_ws_control(ctx, AGG_WS_OP_CLOSE,
                                                 ctx->ws_reader.control,
                                                 ctx->ws_reader.ncontrol >= 2
                                                 ? 2 : 0);
            return NGX_HTTP_CLIENT_CLOSED_REQUEST;

        case AGG_WS_ERROR:
            code[0] = (u_char) (ctx->ws_reader.code >> 8);
            code[1] = (u_char) ctx->ws_reader.code;

            return ngx_http_aggregate_grpc_ws_refuse(ctx, code, 2);

        default: /* AGG_WS_NOMEM */
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }
}


/* handles a message, or the end of the client's messages */

static ngx_int_t
ngx_http_aggregate_grpc_ws_text(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_chain_t ***ll)
{
    u_char               text[AGG_WS_CONTROL];
    size_t               len;
    ngx_int_t            rc;
    ngx_buf_t           *b;
    agg_str_t            json;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->ws_half_closed || !ctx->binding->method->client_streaming) {
        return NGX_OK;
    }

    json.data = ctx->ws_reader.buf.start;
    json.len = agg_buf_used(&ctx->ws_reader.buf);

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (json.len == 0) {
        ctx->ws_half_closed = 1;

        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        b->last_buf = 1;

    } else {
        b = ngx_http_aggregate_grpc_ws_buf(ctx);
        if (b == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        agg_buf_init(&ctx->wire, &ctx->mem, AGG_PB_MAX_INPUT);

        ctx->wire.start = b->start;
        ctx->wire.pos = b->start;
        ctx->wire.end = b->end;

        rc = ngx_http_aggregate_grpc_one(ctx, &json, 0);

        b->start = ctx->wire.start;
        b->pos = ctx->wire.start;
        b->last = rc == NGX_OK ? ctx->wire.pos : b->pos;
        b->end = ctx->wire.end;

        if (rc != NGX_OK) {
            text[0] = 1007 >> 8;
            text[1] = (u_char) 1007;

            len = ngx_http_aggregate_grpc_ws_reason(ctx, text + 2) + 2;

            return ngx_http_aggregate_grpc_ws_refuse(ctx, text, len);
        }

        b->memory = 1;
    }

    b->flush = 1;

    cl->buf = b;
    cl->next = NULL;

    **ll = cl;
    *ll = &cl->next;

    return NGX_OK;
}


/*
 * Ends the call for an error of the client, which may still be sending.  The
 * connection is closed after that was read, or the client would lose the close
 * frame: with 499 as the result, nginx would close it at once.
 */

static ngx_int_t
ngx_http_aggregate_grpc_ws_refuse(ngx_http_aggregate_grpc_ctx_t *ctx,
    u_char *data, size_t len)
{
    (void) ngx_http_aggregate_grpc_ws_control(ctx, AGG_WS_OP_CLOSE, data, len);

    ctx->request->lingering_close = 1;

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_uint_t
ngx_http_aggregate_grpc_ws_blocked(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    size_t        busy;
    ngx_chain_t  *cl;

    busy = 0;

    for (cl = ctx->ws_bufs; cl; cl = cl->next) {
        busy += cl->buf->last - cl->buf->pos;
    }

    return busy > NGX_HTTP_AGGREGATE_GRPC_WS_BUSY;
}


/* reuses a buffer that was sent, or allocates one */

static ngx_buf_t *
ngx_http_aggregate_grpc_ws_buf(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_chain_t  *cl;

    for (cl = ctx->ws_bufs; cl; cl = cl->next) {
        if (cl->buf->pos == cl->buf->last) {
            return cl->buf;
        }
    }

    cl = ngx_alloc_chain_link(ctx->request->pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf = ngx_calloc_buf(ctx->request->pool);
    if (cl->buf == NULL) {
        return NULL;
    }

    cl->next = ctx->ws_bufs;
    ctx->ws_bufs = cl;

    return cl->buf;
}


/* sends a control frame; a ping or pong is dropped while another is sent */

static ngx_int_t
ngx_http_aggregate_grpc_ws_control(ngx_http_aggregate_grpc_ctx_t *ctx,
    unsigned opcode, u_char *data, size_t len)
{
    u_char              *p;
    unsigned             aio;
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->ws_closed) {
        return NGX_OK;
    }

    if (opcode == AGG_WS_OP_CLOSE) {
        ctx->ws_closed = 1;

        b = ngx_create_temp_buf(r->pool, AGG_WS_HEAD + AGG_WS_CONTROL);
        if (b == NULL) {
            return NGX_ERROR;
        }

        p = b->start + AGG_WS_HEAD;

    } else {
        b = &ctx->ws_control_buf;

        if (b->pos != b->last) {
            return NGX_OK;
        }

        ngx_memzero(b, sizeof(ngx_buf_t));

        p = ctx->ws_control + AGG_WS_HEAD;
    }

    if (len) {
        ngx_memcpy(p, data, len);
    }

    b->pos = agg_ws_head(p, opcode, len);
    b->last = p + len;
    b->start = b->pos;
    b->end = b->last;
    b->memory = 1;
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    /*
     * r->aio, which holds the upstream back while frames that came with the
     * handshake are read, would hold the output as well
     */

    aio = r->aio;
    r->aio = 0;

    rc = ngx_http_output_filter(r, &out);

    r->aio = aio;

    return rc;
}


/* the reason of a close frame, truncated to fit after the code */

static size_t
ngx_http_aggregate_grpc_ws_reason(ngx_http_aggregate_grpc_ctx_t *ctx,
    u_char *data)
{
    size_t  len;

    len = ngx_min(ctx->detail.len, AGG_WS_CONTROL - 2);

    while (len != 0 && !agg_utf8_valid(ctx->detail.data, len)) {
        len--;
    }

    ngx_memcpy(data, ctx->detail.data, len);

    return len;
}


/* a message to the client; there is room for the head in front of it */

void
ngx_http_aggregate_grpc_ws_frame(ngx_buf_t *b)
{
    b->pos = agg_ws_head(b->start + AGG_WS_HEAD, AGG_WS_OP_TEXT,
                         (b->last - b->start) - AGG_WS_HEAD);
}


/* the close frame of a call */

size_t
ngx_http_aggregate_grpc_ws_close(ngx_http_aggregate_grpc_ctx_t *ctx,
    u_char *frame)
{
    u_char    data[AGG_WS_CONTROL], *p;
    size_t    len;
    unsigned  code;

    code = !ctx->failed ? 1000 : ctx->code > 0 ? 4000 + (unsigned) ctx->code
                                               : 1011;

    if (code > 4999) {
        code = 4000 + AGG_GRPC_UNKNOWN;
    }

    data[0] = (u_char) (code >> 8);
    data[1] = (u_char) code;
    len = 2;

    if (ctx->failed) {
        len += ngx_http_aggregate_grpc_ws_reason(ctx, data + 2);
    }

    p = frame + AGG_WS_HEAD;
    ngx_memcpy(p, data, len);
    p = agg_ws_head(p, AGG_WS_OP_CLOSE, len);

    len += frame + AGG_WS_HEAD - p;
    ngx_memmove(frame, p, len);

    ctx->ws_closed = 1;

    return len;
}


/* nginx ends the upstream with an error */

void
ngx_http_aggregate_grpc_ws_late(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_uint_t status)
{
    u_char  data[2];
    size_t  code;

    ctx->ended = 1;

    code = ctx->code > AGG_GRPC_OK && ctx->code < 1000
           ? 4000 + (size_t) ctx->code
           : status == NGX_HTTP_GATEWAY_TIME_OUT
             ? 4000 + AGG_GRPC_DEADLINE_EXCEEDED : 1011;

    data[0] = (u_char) (code >> 8);
    data[1] = (u_char) code;

    (void) ngx_http_aggregate_grpc_ws_control(ctx, AGG_WS_OP_CLOSE, data, 2);
}


/* handles events of the client's connection */

void
ngx_http_aggregate_grpc_ws_watch(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (r->read_event_handler != ngx_http_aggregate_grpc_ws_read_handler) {
        ctx->ws_read_handler = r->read_event_handler;
        r->read_event_handler = ngx_http_aggregate_grpc_ws_read_handler;
    }
}


/*
 * While the backend does not read, nothing is read from the client either, and
 * nginx would not notice that the client has closed the connection.
 */

static void
ngx_http_aggregate_grpc_ws_read_handler(ngx_http_request_t *r)
{
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_grpc_module);

    if (ctx == NULL) {
        return;
    }

    if (ctx->ws_in && ngx_http_aggregate_grpc_ws_gone(ctx)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client closed the WebSocket of \"%V\" while it waited",
                      &ctx->binding->name);

        /*
         * one reference is released with the upstream, the other one closes the
         * connection
         */

        r->main->count++;
        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    ctx->ws_read_handler(r);
}


static ngx_uint_t
ngx_http_aggregate_grpc_ws_gone(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    u_char             byte;
    ssize_t            n;
    ngx_err_t          err;
    ngx_connection_t  *c;

    c = ctx->request->connection;

    if (c->error || c->read->error || c->read->pending_eof) {
        return 1;
    }

    n = recv(c->fd, (char *) &byte, 1, MSG_PEEK);
    err = ngx_socket_errno;

    return n == 0 || (n == -1 && err != NGX_EAGAIN && err != NGX_EINTR);
}


static void
ngx_http_aggregate_grpc_ws_ping(ngx_event_t *ev)
{
    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ctx->ended || r->upstream == NULL || r->upstream->cleanup == NULL) {
        return;
    }

    if (!ctx->ws_alive && ctx->ws_in == NULL) {

        /* there was no pong for that long, but one may be waiting to be read */

        c->read->timedout = 1;
        ngx_post_event(c->read, &ngx_posted_events);
        return;
    }

    ctx->ws_alive = 0;

    (void) ngx_http_aggregate_grpc_ws_control(ctx, AGG_WS_OP_PING, NULL, 0);

    ngx_add_timer(ev, ctx->conf->ws_ping);
}


void
ngx_http_aggregate_grpc_ws_init(void)
{
    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_aggregate_grpc_ws_body_filter;
}
