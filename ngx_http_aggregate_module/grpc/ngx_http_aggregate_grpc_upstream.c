
/*
 * Hooks on the callbacks of grpc_pass's upstream.
 *
 * create_request gets the call's method, URI and headers in place of the
 * client's. process_header maps the status, so that nginx's retries, error
 * pages and variables use it. input_filter removes nginx's buffers from the
 * output and adds JSON instead.  The end of a response may be seen in any of
 * these filters: if a control frame has to be sent, in the output filter.
 */

#include "ngx_http_aggregate_grpc.h"
#include "agg_pb_number.h"


/* parts of a request that are replaced while the call is created */

typedef struct {
    ngx_str_t                   uri;
    ngx_str_t                   unparsed_uri;
    ngx_str_t                   args;
    ngx_str_t                   method_name;
    ngx_uint_t                  method;
    ngx_list_t                  headers;
    ngx_table_elt_t            *te;
    ngx_table_elt_t            *content_length;
    off_t                       content_length_n;
    unsigned                    valid_unparsed_uri:1;

    /* those of the call */
    ngx_table_elt_t             length;
    u_char                      digits[NGX_OFF_T_LEN];
} ngx_http_aggregate_grpc_lent_t;


static ngx_int_t ngx_http_aggregate_grpc_create_request(
    ngx_http_request_t *r);
static void ngx_http_aggregate_grpc_variables(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_uint_t keep);
static void ngx_http_aggregate_grpc_lend(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_http_aggregate_grpc_lent_t *lent, ngx_list_t *headers);
static void ngx_http_aggregate_grpc_give_back(ngx_http_request_t *r,
    ngx_http_aggregate_grpc_lent_t *lent);
static void ngx_http_aggregate_grpc_trailers(
    ngx_http_aggregate_grpc_ctx_t *ctx, unsigned valid);
static ngx_int_t ngx_http_aggregate_grpc_process_header(
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_grpc_is_grpc(ngx_http_upstream_t *u);
static ngx_int_t ngx_http_aggregate_grpc_input_filter_init(void *data);
static ngx_int_t ngx_http_aggregate_grpc_input_filter(void *data,
    ssize_t bytes);
static ngx_int_t ngx_http_aggregate_grpc_read(
    ngx_http_aggregate_grpc_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_grpc_output_filter(void *data,
    ngx_chain_t *in);
static ngx_uint_t ngx_http_aggregate_grpc_is_over(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_grpc_end(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static void ngx_http_aggregate_grpc_result(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static void ngx_http_aggregate_grpc_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_aggregate_grpc_expired(ngx_event_t *ev);


void
ngx_http_aggregate_grpc_hook(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = r->upstream;

    ctx->upstream = u;

    ctx->create_request = u->create_request;
    u->create_request = ngx_http_aggregate_grpc_create_request;

    ctx->process_header = u->process_header;
    u->process_header = ngx_http_aggregate_grpc_process_header;

    ctx->input_filter_init = u->input_filter_init;
    u->input_filter_init = ngx_http_aggregate_grpc_input_filter_init;

    ctx->input_filter = u->input_filter;
    u->input_filter = ngx_http_aggregate_grpc_input_filter;

    ctx->input_filter_ctx = u->input_filter_ctx;
    u->input_filter_ctx = ctx;

    ctx->finalize_request = u->finalize_request;
    u->finalize_request = ngx_http_aggregate_grpc_finalize_request;

    agg_grpc_reader_init(&ctx->reader, &ctx->mem, ctx->conf->max_message);
    agg_buf_init(&ctx->json, &ctx->mem,
                 ctx->conf->max_response + NGX_HTTP_AGGREGATE_GRPC_SPARE);

    if (ctx->has_deadline && !ctx->part_deadline) {
        ctx->timer.handler = ngx_http_aggregate_grpc_expired;
        ctx->timer.data = ctx;
        ctx->timer.log = r->connection->log;

        ngx_add_timer(&ctx->timer,
                      ngx_max((ngx_msec_int_t)
                              (ctx->deadline - ngx_current_msec), 1));
    }
}


static ngx_int_t
ngx_http_aggregate_grpc_create_request(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_uint_t                      *index;
    ngx_list_t                       headers;
    ngx_http_variable_value_t        saved, *v;
    ngx_http_aggregate_grpc_ctx_t   *ctx;
    ngx_http_aggregate_grpc_lent_t   lent;

    ctx = r->upstream->input_filter_ctx;

    if (ngx_http_aggregate_grpc_headers(ctx, &headers) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_grpc_variables(ctx, 1);

    index = ctx->mcf->variables.elts;
    v = &r->variables[index[0]];
    saved = *v;
    v->valid = 0;
    v->not_found = 0;

    ngx_http_aggregate_grpc_lend(ctx, &lent, &headers);
    ngx_http_aggregate_grpc_trailers(ctx, 1);

    /* a stream without messages ends with its headers */

    r->upstream->request_bufs = agg_buf_used(&ctx->wire) != 0
                                ? &ctx->request_chain : NULL;

    rc = ctx->create_request(r);

    ngx_http_aggregate_grpc_trailers(ctx, 0);
    ngx_http_aggregate_grpc_give_back(r, &lent);
    r->variables[index[0]] = saved;

    ngx_http_aggregate_grpc_variables(ctx, 0);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->ws && ctx->request_chain.buf) {
        r->upstream->request_bufs->next = &ctx->request_chain;
    }

    ctx->output_filter = r->upstream->output.output_filter;
    r->upstream->output.output_filter = ngx_http_aggregate_grpc_output_filter;

    return NGX_OK;
}


/*
 * The configuration may read what the call changes, in grpc_set_header or in a
 * map: these variables keep the client's values.  Only the first of them,
 * $content_length, gets the value of the call.
 */

static void
ngx_http_aggregate_grpc_variables(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_uint_t keep)
{
    ngx_uint_t                  i, *index;
    ngx_http_request_t         *r;
    ngx_http_variable_t        *variables;
    ngx_http_variable_value_t  *v;
    ngx_http_core_main_conf_t  *cmcf;

    r = ctx->request;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    variables = cmcf->variables.elts;
    index = ctx->mcf->variables.elts;

    for (i = 1; i < ctx->mcf->variables.nelts; i++) {

        v = &r->variables[index[i]];

        if (keep) {
            (void) ngx_http_get_flushed_variable(r, index[i]);
            v->no_cacheable = 0;

        } else if (variables[index[i]].flags & NGX_HTTP_VAR_NOCACHEABLE) {
            v->valid = 0;
            v->not_found = 0;
        }
    }
}


static void
ngx_http_aggregate_grpc_lend(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_http_aggregate_grpc_lent_t *lent, ngx_list_t *headers)
{
    ngx_buf_t           *b;
    ngx_http_request_t  *r;

    static ngx_str_t        post = ngx_string("POST");
    static ngx_table_elt_t  te = {
        .hash = 1,
        .key = ngx_string("te"),
        .value = ngx_string("trailers"),
        .lowcase_key = (u_char *) "te"
    };

    r = ctx->request;
    b = &ctx->request_buf;

    lent->uri = r->uri;
    lent->unparsed_uri = r->unparsed_uri;
    lent->args = r->args;
    lent->method = r->method;
    lent->method_name = r->method_name;
    lent->valid_unparsed_uri = r->valid_unparsed_uri;
    lent->headers = r->headers_in.headers;
    lent->te = r->headers_in.te;
    lent->content_length = r->headers_in.content_length;
    lent->content_length_n = r->headers_in.content_length_n;

    r->uri = ctx->binding->uri;
    r->unparsed_uri = ctx->binding->uri;
    r->args.len = 0;
    r->method = NGX_HTTP_POST;
    r->method_name = post;
    r->valid_unparsed_uri = 1;
    ngx_http_aggregate_headers_set(&r->headers_in.headers, headers);
    r->headers_in.te = &te;
    r->headers_in.content_length = NULL;
    r->headers_in.content_length_n = ctx->ws ? -1 : ngx_buf_size(b);

    if (!ctx->ws) {

        /* $content_length */

        lent->length.value.data = lent->digits;
        lent->length.value.len = gw_write_uint(lent->digits,
                                                   (uint64_t) ngx_buf_size(b))
                                 - lent->digits;

        r->headers_in.content_length = &lent->length;
    }
}


static void
ngx_http_aggregate_grpc_give_back(ngx_http_request_t *r,
    ngx_http_aggregate_grpc_lent_t *lent)
{
    r->uri = lent->uri;
    r->unparsed_uri = lent->unparsed_uri;
    r->args = lent->args;
    r->method = lent->method;
    r->method_name = lent->method_name;
    r->valid_unparsed_uri = lent->valid_unparsed_uri;
    r->headers_in.headers = lent->headers;
    r->headers_in.te = lent->te;
    r->headers_in.content_length = lent->content_length;
    r->headers_in.content_length_n = lent->content_length_n;
}


/*
 * grpc_pass would find the same in "TE: trailers", and compares it without
 * regard to case for that.
 */

static void
ngx_http_aggregate_grpc_trailers(ngx_http_aggregate_grpc_ctx_t *ctx,
    unsigned valid)
{
    ngx_http_variable_value_t  *v;

    if (ctx->mcf->trailers == 0) {
        return;
    }

    v = &ctx->request->variables[ctx->mcf->trailers - 1];

    v->len = sizeof("trailers") - 1;
    v->data = (u_char *) "trailers";
    v->valid = valid;
    v->no_cacheable = 0;
    v->not_found = 0;
}


/*
 * Called for each attempt.  The status must be mapped before nginx decides
 * whether to try the next server.
 */

static ngx_int_t
ngx_http_aggregate_grpc_process_header(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_str_t                      *value;
    ngx_http_upstream_t            *u;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = r->upstream->input_filter_ctx;

    rc = ctx->process_header(r);

    if (rc != NGX_OK) {
        return rc;
    }

    u = r->upstream;

    ctx->header_in = 1;
    ctx->not_grpc = 0;
    ctx->local = 0;
    ctx->trailers_only = 0;
    ctx->code = -1;
    ctx->status = NGX_HTTP_OK;

    if (!ngx_http_aggregate_grpc_is_grpc(u)) {
        ctx->not_grpc = 1;
        ctx->local = u->headers_in.status_n < NGX_HTTP_BAD_REQUEST;
        ctx->status = ctx->local ? NGX_HTTP_BAD_GATEWAY
                                 : u->headers_in.status_n;

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "upstream sent status %ui that is not gRPC for \"%V\"",
                      u->headers_in.status_n, &ctx->binding->name);

    } else {
        value = ngx_http_aggregate_grpc_find_header(&u->headers_in.headers,
                                                    "grpc-status", 11);

        if (value) {
            ctx->trailers_only = 1;
            ctx->code = agg_grpc_code(value->data, value->len);

            if (ctx->code < 0) {
                ctx->code = AGG_GRPC_UNKNOWN;
            }

            if (ctx->code != AGG_GRPC_OK) {
                ctx->status = agg_grpc_http_status(ctx->code);
            }
        }
    }

    if (ctx->status != NGX_HTTP_OK) {

        /*
         * control frames to be sent, such as the acknowledgement of SETTINGS,
         * must not go to the next server
         */

        (void) ctx->output_filter(r, NULL);
    }

    if (ctx->ws) {

        /* the client already has a header, so no other response may follow */

        u->headers_in.x_accel_redirect = NULL;
    }

    u->headers_in.status_n = ctx->status;
    u->headers_in.status_line.len = 0;
    u->headers_in.connection_close = 0;
    u->state->status = ctx->status;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_grpc_is_grpc(ngx_http_upstream_t *u)
{
    ngx_str_t  *type;

    if (u->headers_in.status_n != NGX_HTTP_OK) {
        return 0;
    }

    type = ngx_http_aggregate_grpc_find_header(&u->headers_in.headers,
                                               "content-type", 12);

    return type
           && type->len >= 16
           && (ngx_memcmp(type->data, "application/grpc", 16) == 0
               || ngx_strncasecmp(type->data, (u_char *) "application/grpc",
                                  16)
                  == 0)
           && (type->len == 16 || type->data[16] == '+'
               || type->data[16] == ';' || type->data[16] == ' ');
}


/*
 * nginx's module expects no body for HEAD, but a call has one.  A response that
 * ended with its header is finished here, as nginx only sends u->out_bufs
 * after that.
 */

static ngx_int_t
ngx_http_aggregate_grpc_input_filter_init(void *data)
{
    ngx_http_aggregate_grpc_ctx_t *ctx = data;

    ngx_int_t             rc;
    ngx_uint_t            method;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = r->upstream;

    ctx->in_body = 1;

    method = r->method;
    r->method = NGX_HTTP_POST;

    rc = ctx->input_filter_init(ctx->input_filter_ctx);

    r->method = method;

    if (u->length != 0 && ctx->code == AGG_GRPC_OK) {

        /* the response has a body, so its header is not the end of the call */

        ctx->trailers_only = 0;
        ctx->code = -1;
    }

    if (rc == NGX_ERROR) {
        ngx_http_aggregate_grpc_broken(ctx, "an incomplete response");

    } else if (ctx->not_grpc || ctx->code > 0) {

        /* neither a body nor another status may replace this one */

        if (u->length != 0) {
            u->length = 0;
            u->keepalive = 0;
        }
    }

    if (u->length != 0) {
        return NGX_OK;
    }

    ctx->skip_flush = 1;

    return ngx_http_aggregate_grpc_end(ctx);
}


static ngx_int_t
ngx_http_aggregate_grpc_input_filter(void *data, ssize_t bytes)
{
    ngx_http_aggregate_grpc_ctx_t *ctx = data;

    ngx_int_t             rc;
    ngx_chain_t          *in, **tail;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    if (ctx->ended) {
        u->length = 0;
        return NGX_OK;
    }

    for (tail = &u->out_bufs; *tail; tail = &(*tail)->next) { /* void */ }

    rc = ctx->input_filter(ctx->input_filter_ctx, bytes);

    in = *tail;
    *tail = NULL;

    if (in && ngx_http_aggregate_grpc_read(ctx, in) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rc == NGX_ERROR && !ctx->failed) {

        /*
         * nginx would take this error of the backend for an error of the client
         */

        ngx_http_aggregate_grpc_broken(ctx, "an invalid response");
    }

    if (u->length == 0 || ctx->failed) {
        return ngx_http_aggregate_grpc_end(ctx);
    }

    return rc;
}


/* reads messages from nginx's buffers, and frees these */

static ngx_int_t
ngx_http_aggregate_grpc_read(ngx_http_aggregate_grpc_ctx_t *ctx,
    ngx_chain_t *in)
{
    u_char               *p;
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_chain_t          *cl;
    agg_grpc_frame_e      frame;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;
    rc = NGX_OK;

    while (in) {
        cl = in;
        in = in->next;

        b = cl->buf;
        p = b->pos;

        while (rc == NGX_OK && !ctx->failed) {

            frame = agg_grpc_reader_next(&ctx->reader, &p, b->last);

            if (frame == AGG_GRPC_FRAME_MORE) {
                break;
            }

            switch (frame) {

            case AGG_GRPC_FRAME_MESSAGE:
                rc = ngx_http_aggregate_grpc_take(ctx, &ctx->reader.message);
                break;

            case AGG_GRPC_FRAME_COMPRESSED:
                ngx_http_aggregate_grpc_broken(ctx, "a compressed message");
                break;

            case AGG_GRPC_FRAME_TOO_LARGE:
                ngx_http_aggregate_grpc_broken(ctx, "a message over "
                                               "\"aggregate_grpc_max_message"
                                               "\"");
                break;

            default: /* AGG_GRPC_FRAME_NOMEM */
                rc = NGX_ERROR;
            }
        }

        b->pos = b->last;

        cl->next = u->free_bufs;
        u->free_bufs = cl;
    }

    return rc;
}


static ngx_int_t
ngx_http_aggregate_grpc_output_filter(void *data, ngx_chain_t *in)
{
    ngx_http_request_t  *r = data;

    ngx_int_t                       rc;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = r->upstream->input_filter_ctx;

    if (ngx_http_aggregate_grpc_is_over(ctx)) {
        return NGX_ERROR;
    }

    rc = ctx->output_filter(data, in);

    if (ctx->ws) {
        ngx_http_aggregate_grpc_ws_watch(ctx);
    }

    if (ctx->in_body && !ctx->ended && r->upstream->length == 0
        && ngx_http_aggregate_grpc_end(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return rc;
}


/*
 * A filter may replace the response with an error page, as "xslt_stylesheet"
 * does, or redirect the request.  Both wipe the contexts of modules, but the
 * callbacks are still called: they find their context by the upstream.
 */

static ngx_uint_t
ngx_http_aggregate_grpc_is_over(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    return ngx_http_get_module_ctx(ctx->request,
                                   ngx_http_aggregate_grpc_module)
           != ctx;
}


void
ngx_http_aggregate_grpc_broken(ngx_http_aggregate_grpc_ctx_t *ctx,
    const char *reason)
{
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                  "upstream sent %s for \"%V\"", reason, &ctx->binding->name);

    ctx->failed = 1;
    ctx->local = 1;
    ctx->code = -1;
    ctx->status = NGX_HTTP_BAD_GATEWAY;

    ngx_str_null(&ctx->detail);
    ngx_str_null(&ctx->details);

    u->length = 0;
    u->keepalive = 0;
}


static ngx_int_t
ngx_http_aggregate_grpc_end(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    if (ctx->ended) {
        return NGX_OK;
    }

    ctx->ended = 1;

    if (!ctx->failed) {
        ngx_http_aggregate_grpc_result(ctx);
    }

    if (ctx->ping.timer_set) {
        ngx_del_timer(&ctx->ping);
    }

    if (ctx->failed) {
        ctx->request->upstream->state->status = ctx->status;
    }

    return ngx_http_aggregate_grpc_finish(ctx);
}


/* sets the status of a complete response */

static void
ngx_http_aggregate_grpc_result(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    ngx_str_t            *value;
    ngx_list_t           *list;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    if (ctx->not_grpc) {
        ctx->failed = 1;
        return;
    }

    list = &u->headers_in.headers;

    if (!ctx->trailers_only) {
        list = &u->headers_in.trailers;
        value = ngx_http_aggregate_grpc_find_header(list, "grpc-status", 11);

        if (value == NULL) {
            ngx_http_aggregate_grpc_broken(ctx, "no grpc-status");
            return;
        }

        ctx->code = agg_grpc_code(value->data, value->len);

        if (ctx->code < 0) {
            ctx->code = AGG_GRPC_UNKNOWN;
        }
    }

    if (ctx->code == AGG_GRPC_OK) {

        if (agg_grpc_reader_in_message(&ctx->reader)) {
            ngx_http_aggregate_grpc_broken(ctx, "a cut message");

        } else if (ctx->messages == 0
                   && ctx->form == NGX_HTTP_AGGREGATE_GRPC_UNARY)
        {
            ngx_http_aggregate_grpc_broken(ctx, "no message");
        }

        return;
    }

    ctx->failed = 1;
    ctx->status = agg_grpc_http_status(ctx->code);

    value = ngx_http_aggregate_grpc_find_header(list, "grpc-message", 12);

    if (value && value->len) {
        ctx->detail.data = ngx_pnalloc(ctx->request->pool, value->len);

        if (ctx->detail.data) {
            ctx->detail.len = agg_grpc_message(ctx->detail.data, value->data,
                                               value->len);
        }
    }

    value = ngx_http_aggregate_grpc_find_header(list,
                                                "grpc-status-details-bin", 23);

    if (value) {
        ctx->details = *value;
    }
}


/*
 * For nginx, a header that is held has already been sent.  If the call fails
 * now, its special response is made anyway, and error_page applies.
 */

static void
ngx_http_aggregate_grpc_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_upstream_t            *u;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = r->upstream->input_filter_ctx;
    u = r->upstream;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (ctx->ping.timer_set) {
        ngx_del_timer(&ctx->ping);
    }

    ctx->finalize_request(r, rc);
    ctx->header_in = 0;

    if (ngx_http_aggregate_grpc_is_over(ctx)) {
        return;
    }

    if (ctx->held) {
        r->header_only = ctx->header_only;
    }

    if (rc < NGX_HTTP_SPECIAL_RESPONSE
        || rc == NGX_HTTP_CLIENT_CLOSED_REQUEST || ctx->ended)
    {
        return;
    }

    if (ctx->held) {
        ctx->held = 0;
        ctx->code = -1;

        if (u->state && u->state->status == NGX_HTTP_OK) {
            u->state->status = (ngx_uint_t) rc;
        }

        u->header_sent = 0;
        ngx_http_clean_header(r);

        return;
    }

    if (ctx->ws) {
        ngx_http_aggregate_grpc_ws_late(ctx, (ngx_uint_t) rc);
        return;
    }

    if (ctx->released && !ctx->replaced) {

        if (u->state) {
            u->state->status = (ngx_uint_t) rc;
        }

        (void) ngx_http_aggregate_grpc_late(ctx, (ngx_uint_t) rc);
    }
}


/*
 * The deadline has passed.  If the response is a stream, it ends with the
 * error; otherwise the connection to the backend is timed out, and nginx does
 * the rest.  Without a connection, while a name is being resolved, the call
 * ends here.
 */

static void
ngx_http_aggregate_grpc_expired(ngx_event_t *ev)
{
    ngx_connection_t               *c, *peer;
    ngx_http_request_t             *r;
    ngx_http_upstream_t            *u;
    ngx_http_aggregate_grpc_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    u = r->upstream;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (u == NULL || u != ctx->upstream || u->cleanup == NULL) {
        return;
    }

    peer = u->peer.connection;

    ngx_log_error(NGX_LOG_ERR, c->log, NGX_ETIMEDOUT,
                  "the deadline of \"%V\" has passed", &ctx->binding->name);

    if (peer == NULL) {

        if (ctx->ws) {
            ngx_http_aggregate_grpc_ws_late(ctx, NGX_HTTP_GATEWAY_TIME_OUT);
        }

        r->main->count++;
        (*u->cleanup)(r);

        ngx_http_finalize_request(r, NGX_HTTP_GATEWAY_TIME_OUT);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (ctx->released && ctx->in_body && !ctx->ended) {
        ctx->failed = 1;
        ctx->code = AGG_GRPC_DEADLINE_EXCEEDED;
        ctx->status = NGX_HTTP_GATEWAY_TIME_OUT;

        u->length = 0;
        u->keepalive = 0;

        if (ngx_http_aggregate_grpc_end(ctx) != NGX_OK) {
            peer->read->timedout = 1;
        }

    } else {
        u->peer.tries = 0;
        peer->read->timedout = 1;
    }

    ngx_post_event(peer->read, &ngx_posted_events);
}
