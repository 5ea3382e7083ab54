
/* the context of a client request: extracted from it, and sent to backends */


#include "ngx_http_aggregate_trace.h"
#include "ngx_http_aggregate_ctx.h"
#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_header_list.h"

#include <openssl/rand.h>


typedef struct {
    ngx_table_elt_t                    *parent;
    ngx_uint_t                          parents;
    ngx_table_elt_t                    *state;
    ngx_uint_t                          states;
    size_t                              state_len;
    ngx_table_elt_t                    *b3;
    ngx_table_elt_t                    *b3_id;
    ngx_table_elt_t                    *b3_span;
    ngx_table_elt_t                    *b3_sampled;
    ngx_table_elt_t                    *b3_flags;
} ngx_http_aggregate_trace_found_t;


/* headers that are sent to backends, in the order of a list */

typedef enum {
    NGX_HTTP_AGGREGATE_TRACE_LINE_PARENT = 0,
    NGX_HTTP_AGGREGATE_TRACE_LINE_STATE,
    NGX_HTTP_AGGREGATE_TRACE_LINE_B3,
    NGX_HTTP_AGGREGATE_TRACE_LINE_B3_ID,
    NGX_HTTP_AGGREGATE_TRACE_LINE_B3_SPAN,
    NGX_HTTP_AGGREGATE_TRACE_LINE_B3_SAMPLED,
    NGX_HTTP_AGGREGATE_TRACE_LINE_B3_FLAGS
} ngx_http_aggregate_trace_line_e;

typedef struct {
    ngx_str_t                           name;
    u_char                             *lowcase;
    ngx_uint_t                          hash;
} ngx_http_aggregate_trace_line_t;


static void ngx_http_aggregate_trace_cleanup(void *data);
static void ngx_http_aggregate_trace_find(ngx_http_request_t *r,
    ngx_http_aggregate_trace_found_t *found);
static ngx_int_t ngx_http_aggregate_trace_parent(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf,
    ngx_http_aggregate_trace_found_t *found, agg_trace_context_t *parent,
    ngx_uint_t *w3c);
static int ngx_http_aggregate_trace_w3c(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf,
    ngx_http_aggregate_trace_found_t *found, agg_trace_context_t *parent);
static ngx_int_t ngx_http_aggregate_trace_state(ngx_http_request_t *r,
    ngx_http_aggregate_trace_found_t *found, ngx_str_t *state);
static ngx_uint_t ngx_http_aggregate_trace_decide(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf,
    ngx_http_aggregate_trace_ctx_t *ctx, agg_trace_context_t *parent);
static ngx_http_aggregate_trace_ctx_t *ngx_http_aggregate_trace_of_main(
    ngx_http_request_t *r);
static void ngx_http_aggregate_trace_leave_out(ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_trace_is_ours(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_int_t ngx_http_aggregate_trace_push_all(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx, u_char *span_id);
static ngx_int_t ngx_http_aggregate_trace_push(ngx_http_request_t *r,
    ngx_http_aggregate_trace_line_e header, ngx_str_t *value);


static ngx_http_aggregate_trace_line_t
    ngx_http_aggregate_trace_lines[] =
{
    { ngx_string("traceparent"), (u_char *) "traceparent", 0 },
    { ngx_string("tracestate"), (u_char *) "tracestate", 0 },
    { ngx_string("b3"), (u_char *) "b3", 0 },
    { ngx_string("X-B3-TraceId"), (u_char *) "x-b3-traceid", 0 },
    { ngx_string("X-B3-SpanId"), (u_char *) "x-b3-spanid", 0 },
    { ngx_string("X-B3-Sampled"), (u_char *) "x-b3-sampled", 0 },
    { ngx_string("X-B3-Flags"), (u_char *) "x-b3-flags", 0 },
    { ngx_null_string, NULL, 0 }
};


agg_trace_random_t  ngx_http_aggregate_trace_random;


void
ngx_http_aggregate_trace_init_worker(ngx_log_t *log)
{
    size_t                              i;
    u_char                              seed[32];
    ngx_http_aggregate_trace_line_t  *h;

    for (h = ngx_http_aggregate_trace_lines; h->name.len; h++) {
        h->hash = ngx_hash_key(h->lowcase, h->name.len);
    }

    if (RAND_bytes(seed, sizeof(seed)) != 1) {
        ngx_log_error(NGX_LOG_ALERT, log, 0, "RAND_bytes() failed");

        for (i = 0; i < sizeof(seed); i++) {
            seed[i] = (u_char) ngx_random();
        }
    }

    agg_trace_random_init(&ngx_http_aggregate_trace_random, seed);

    ngx_http_aggregate_trace_encode_constants();
}


/* a mark by which the context is found */

static void
ngx_http_aggregate_trace_cleanup(void *data)
{
    (void) data;
}


ngx_http_aggregate_trace_ctx_t *
ngx_http_aggregate_trace_lookup(ngx_http_request_t *r)
{
    return ngx_http_aggregate_ctx_find(r, &ngx_http_aggregate_trace_module,
                                       ngx_http_aggregate_trace_cleanup);
}


/* the part that client requests and refreshes have in common */

void
ngx_http_aggregate_trace_start(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_trace_loc_conf_t *tlcf)
{
    ctx->request = r;
    ctx->conf = tlcf;
    ctx->last = &ctx->spans;

    /* as ngx_http_aggregate_ctx_keep() does it for a main request */

    ctx->cleanup.handler = ngx_http_aggregate_trace_cleanup;
    ctx->cleanup.data = ctx;
    ctx->cleanup.next = r->pool->cleanup;

    r->pool->cleanup = &ctx->cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_aggregate_trace_module);

    agg_trace_make_ids(&ngx_http_aggregate_trace_random,
                       ctx->context.trace_id, ctx->context.span_id,
                       ctx->client);

    ctx->context.flags = AGG_TRACE_RANDOM;

    ctx->injects = (tlcf->context == NGX_HTTP_AGGREGATE_TRACE_INJECT
                    || tlcf->context == NGX_HTTP_AGGREGATE_TRACE_PROPAGATE);
}


/* reads the clocks for a request whose spans may be exported */

void
ngx_http_aggregate_trace_record(ngx_http_aggregate_trace_ctx_t *ctx)
{
    struct timespec      ts;
    ngx_http_request_t  *r;

    r = ctx->request;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    ctx->clock = ngx_http_aggregate_watch_clock();
    ctx->wall = (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
    ctx->start = (uint64_t) r->start_sec * 1000000
                 + (uint64_t) r->start_msec * 1000;
    ctx->start = ngx_min(ctx->start, ctx->wall);

    ctx->recording = 1;
}


/* NULL: there is no memory, or the request is not traced */

ngx_http_aggregate_trace_ctx_t *
ngx_http_aggregate_trace_create(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf)
{
    ngx_int_t                          rc;
    ngx_uint_t                         w3c;
    agg_trace_context_t                parent;
    ngx_http_aggregate_watch_t        *w;
    ngx_http_aggregate_trace_ctx_t    *ctx;
    ngx_http_aggregate_trace_found_t   found;

    w = ngx_http_aggregate_watch_get(r);

    if (w && w->untraced) {
        return NULL;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_trace_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ngx_http_aggregate_trace_start(r, ctx, tlcf);

    parent.decided = 0;
    parent.debug = 0;
    w3c = 0;

    if (tlcf->context != NGX_HTTP_AGGREGATE_TRACE_IGNORE) {
        ngx_http_aggregate_trace_find(r, &found);

        ctx->foreign = (found.parent || found.state || found.b3
                        || found.b3_id || found.b3_span || found.b3_sampled
                        || found.b3_flags);

        rc = ngx_http_aggregate_trace_parent(r, tlcf, &found, &parent, &w3c);

        if (tlcf->context == NGX_HTTP_AGGREGATE_TRACE_INJECT) {
            parent.decided = 0;
        }

        if (rc == NGX_OK) {

            if (tlcf->context == NGX_HTTP_AGGREGATE_TRACE_INJECT) {
                ctx->has_link = 1;
                ngx_memcpy(ctx->link.trace_id, parent.trace_id, 16);
                ngx_memcpy(ctx->link.span_id, parent.span_id, 8);
                ctx->link.flags = parent.flags;

            } else {
                ctx->has_parent = 1;
                ngx_memcpy(ctx->context.trace_id, parent.trace_id, 16);
                ngx_memcpy(ctx->parent, parent.span_id, 8);
                ctx->context.flags = parent.flags & AGG_TRACE_RANDOM;
            }
        }

        if (ctx->has_parent && w3c
            && ngx_http_aggregate_trace_state(r, &found, &ctx->state)
               != NGX_OK)
        {
            ngx_str_null(&ctx->state);
        }
    }

    ctx->sampled = ngx_http_aggregate_trace_decide(r, tlcf, ctx, &parent);

    if (ctx->sampled) {
        ctx->context.flags |= AGG_TRACE_SAMPLED;
    }

    if (ctx->sampled || tlcf->keep_error || tlcf->keep_slow) {
        ngx_http_aggregate_trace_record(ctx);
    }

    return ctx;
}


static void
ngx_http_aggregate_trace_find(ngx_http_request_t *r,
    ngx_http_aggregate_trace_found_t *found)
{
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_memzero(found, sizeof(ngx_http_aggregate_trace_found_t));

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if ((h->key.data[0] | 0x20) == 't') {

            if (ngx_http_aggregate_header_is(h, "traceparent")) {
                found->parents++;
                found->parent = h;

            } else if (ngx_http_aggregate_header_is(h, "tracestate")) {
                found->states++;
                found->state = h;
                found->state_len += h->value.len + 1;
            }

            continue;
        }

        if ((h->key.data[0] | 0x20) == 'b'
            && ngx_http_aggregate_header_is(h, "b3"))
        {
            found->b3 = h;
            continue;
        }

        if ((h->key.data[0] | 0x20) != 'x' || h->key.len < 10) {
            continue;
        }

        if (ngx_http_aggregate_header_is(h, "X-B3-TraceId")) {
            found->b3_id = h;

        } else if (ngx_http_aggregate_header_is(h, "X-B3-SpanId")) {
            found->b3_span = h;

        } else if (ngx_http_aggregate_header_is(h, "X-B3-Sampled")) {
            found->b3_sampled = h;

        } else if (ngx_http_aggregate_header_is(h, "X-B3-Flags")) {
            found->b3_flags = h;
        }
    }
}


#define ngx_http_aggregate_trace_value(h)                                     \
    (h) ? (h)->value.data : NULL, (h) ? (h)->value.len : 0


/* NGX_DONE: there is only a decision whether to sample */

static ngx_int_t
ngx_http_aggregate_trace_parent(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf,
    ngx_http_aggregate_trace_found_t *found, agg_trace_context_t *parent,
    ngx_uint_t *w3c)
{
    int         rc;
    ngx_uint_t  i;

    *w3c = 0;

    for (i = 0; i < sizeof(tlcf->order) && tlcf->order[i]; i++) {

        switch (tlcf->order[i]) {

        case NGX_HTTP_AGGREGATE_TRACE_W3C:
            rc = ngx_http_aggregate_trace_w3c(r, tlcf, found, parent);
            *w3c = (rc == 0);
            break;

        case NGX_HTTP_AGGREGATE_TRACE_B3:
            rc = found->b3 ? agg_trace_parse_b3(parent, found->b3->value.data,
                                                found->b3->value.len)
                           : -1;
            break;

        default: /* NGX_HTTP_AGGREGATE_TRACE_B3MULTI */

            rc = agg_trace_parse_b3multi(parent,
                            ngx_http_aggregate_trace_value(found->b3_id),
                            ngx_http_aggregate_trace_value(found->b3_span),
                            ngx_http_aggregate_trace_value(found->b3_sampled),
                            ngx_http_aggregate_trace_value(found->b3_flags));
        }

        if (rc != -1) {
            return rc == 0 ? NGX_OK : NGX_DONE;
        }
    }

    return NGX_DECLINED;
}


static int
ngx_http_aggregate_trace_w3c(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf,
    ngx_http_aggregate_trace_found_t *found, agg_trace_context_t *parent)
{
    ngx_str_t  value;

    if (tlcf->parent) {

        if (ngx_http_complex_value(r, tlcf->parent, &value) != NGX_OK) {
            return -1;
        }

        return agg_trace_parse(parent, value.data, value.len);
    }

    return found->parents == 1 ? agg_trace_parse(parent,
                                                 found->parent->value.data,
                                                 found->parent->value.len)
                               : -1;
}


/* joins all headers; NGX_DECLINED: one of them is malformed */

static ngx_int_t
ngx_http_aggregate_trace_state(ngx_http_request_t *r,
    ngx_http_aggregate_trace_found_t *found, ngx_str_t *state)
{
    size_t                             used;
    unsigned                           members;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    if (found->states == 0) {
        return NGX_OK;
    }

    state->data = ngx_pnalloc(r->pool, found->state_len);
    if (state->data == NULL) {
        return NGX_ERROR;
    }

    used = 0;
    members = 0;

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_header_is(h, "tracestate")
            && agg_trace_state(state->data, &used, &members, h->value.data,
                               h->value.len)
               != 0)
        {
            return NGX_DECLINED;
        }
    }

    state->len = used;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_trace_decide(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf,
    ngx_http_aggregate_trace_ctx_t *ctx, agg_trace_context_t *parent)
{
    int32_t    ratio;
    ngx_str_t  value;

    if (parent->decided && !tlcf->ignore_parent) {
        ctx->context.debug = parent->debug;
        return parent->flags & AGG_TRACE_SAMPLED;
    }

    ratio = tlcf->ratio;

    if (tlcf->value) {

        if (ngx_http_complex_value(r, tlcf->value, &value) != NGX_OK) {
            return 0;
        }

        ratio = agg_trace_parse_ratio(value.data, value.len);

        if (ratio == -1) {
            ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                          "invalid value \"%V\" of \"aggregate_trace\", "
                          "the request is not sampled", &value);
            return 0;
        }
    }

    return agg_trace_ratio(ctx->context.trace_id, (uint32_t) ratio);
}


/* a page of "return" may have subrequests, such as those of SSI */

static ngx_http_aggregate_trace_ctx_t *
ngx_http_aggregate_trace_of_main(ngx_http_request_t *r)
{
    ngx_http_aggregate_trace_ctx_t       *ctx;
    ngx_http_aggregate_trace_loc_conf_t  *tlcf;

    ctx = ngx_http_aggregate_trace_get(r);

    if (ctx) {
        return ctx;
    }

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_trace_module);

    return tlcf->on ? ngx_http_aggregate_trace_create(r, tlcf) : NULL;
}


/* "off" holds for the whole request, wherever an internal redirect leads to */

static void
ngx_http_aggregate_trace_leave_out(ngx_http_request_t *r)
{
    ngx_http_aggregate_watch_t  *w;

    w = ngx_http_aggregate_watch_get(r);

    if (w == NULL) {
        w = ngx_http_aggregate_watch_create(r);
    }

    if (w) {
        w->untraced = 1;
    }
}


/*
 * The configuration of the first location in which access is checked applies to
 * the whole request.  After an internal redirect, another location calls
 * another upstream, which has a span of its own.
 */

ngx_int_t
ngx_http_aggregate_trace_preaccess(ngx_http_request_t *r)
{
    u_char                                 *id;
    ngx_http_core_loc_conf_t               *clcf;
    ngx_http_aggregate_trace_ctx_t         *ctx;
    ngx_http_aggregate_trace_loc_conf_t    *tlcf;

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_trace_module);

    if (r != r->main) {

        ctx = tlcf->on ? ngx_http_aggregate_trace_of_main(r->main) : NULL;

        if (ctx == NULL || ngx_http_aggregate_get_try(r) || !ctx->injects) {
            return NGX_DECLINED;
        }

        /* the id that the subrequest sends becomes the id of its span */

        id = ngx_pnalloc(r->pool, 8);
        if (id == NULL) {
            return NGX_DECLINED;
        }

        agg_trace_make_span(&ngx_http_aggregate_trace_random, id);
        ngx_http_set_ctx(r, id, ngx_http_aggregate_trace_module);

        (void) ngx_http_aggregate_trace_set_headers(r, ctx, id);

        return NGX_DECLINED;
    }

    ctx = ngx_http_aggregate_trace_get(r);

    if (ctx == NULL) {

        if (tlcf->set && !tlcf->on) {
            ngx_http_aggregate_trace_leave_out(r);
        }

        ctx = tlcf->on ? ngx_http_aggregate_trace_create(r, tlcf) : NULL;

        if (ctx == NULL) {
            return NGX_DECLINED;
        }
    }

    if (!ctx->placed) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        ctx->placed = 1;
        ctx->route = clcf->name;
    }

    if (ctx->client_used) {
        ctx->client_used = 0;
        agg_trace_make_span(&ngx_http_aggregate_trace_random, ctx->client);
    }

    if (ctx->injects) {
        (void) ngx_http_aggregate_trace_set_headers(r, ctx, ctx->client);
    }

    return NGX_DECLINED;
}


/*
 * a subrequest may share the headers of its client request, so it gets a
 * list of its own
 */

ngx_int_t
ngx_http_aggregate_trace_set_headers(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx, u_char *span_id)
{
    ngx_int_t         rc;
    ngx_list_t        list;
    ngx_table_elt_t  *h, *copy;

    ngx_http_aggregate_header_iter_t  it;

    /* an HTTP/0.9 request has no list of headers */

    if (r->headers_in.headers.part.elts == NULL
        && ngx_list_init(&r->headers_in.headers, r->pool, 8,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r == r->main && !ctx->foreign) {
        rc = NGX_DECLINED;

    } else {
        rc = ngx_http_aggregate_headers_filter(r, &r->headers_in.headers,
                                           &list,
                                           ngx_http_aggregate_trace_is_ours);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    ctx->foreign = 1;

    if (rc == NGX_OK) {
        ngx_http_aggregate_headers_set(&r->headers_in.headers, &list);

    } else if (r != r->main) {

        if (ngx_list_init(&list, r->pool, 16, sizeof(ngx_table_elt_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

        while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {
            copy = ngx_list_push(&list);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = *h;
        }

        ngx_http_aggregate_headers_set(&r->headers_in.headers, &list);
    }

    return ngx_http_aggregate_trace_push_all(r, ctx, span_id);
}


static ngx_int_t
ngx_http_aggregate_trace_push_all(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx, u_char *span_id)
{
    u_char               *p;
    ngx_str_t             value;
    ngx_uint_t            propagators;
    agg_trace_context_t   context;

    propagators = ctx->conf->propagators;

    context = ctx->context;
    ngx_memcpy(context.span_id, span_id, 8);

    p = ngx_pnalloc(r->pool, AGG_TRACE_PARENT_LEN + AGG_TRACE_B3_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (propagators & NGX_HTTP_AGGREGATE_TRACE_W3C) {
        agg_trace_write(p, &context);

        value.data = p;
        value.len = AGG_TRACE_PARENT_LEN;

        if (ngx_http_aggregate_trace_push(r,
                                 NGX_HTTP_AGGREGATE_TRACE_LINE_PARENT, &value)
            != NGX_OK
            || (ctx->state.len
                && ngx_http_aggregate_trace_push(r,
                               NGX_HTTP_AGGREGATE_TRACE_LINE_STATE, &ctx->state)
                   != NGX_OK))
        {
            return NGX_ERROR;
        }
    }

    if (!(propagators & (NGX_HTTP_AGGREGATE_TRACE_B3
                         |NGX_HTTP_AGGREGATE_TRACE_B3MULTI)))
    {
        return NGX_OK;
    }

    p += AGG_TRACE_PARENT_LEN;
    agg_trace_write_b3(p, &context);

    value.data = p;
    value.len = AGG_TRACE_B3_LEN;

    if ((propagators & NGX_HTTP_AGGREGATE_TRACE_B3)
        && ngx_http_aggregate_trace_push(r, NGX_HTTP_AGGREGATE_TRACE_LINE_B3,
                                         &value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!(propagators & NGX_HTTP_AGGREGATE_TRACE_B3MULTI)) {
        return NGX_OK;
    }

    value.len = 32;

    if (ngx_http_aggregate_trace_push(r, NGX_HTTP_AGGREGATE_TRACE_LINE_B3_ID,
                                      &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    value.data = p + 33;
    value.len = 16;

    if (ngx_http_aggregate_trace_push(r, NGX_HTTP_AGGREGATE_TRACE_LINE_B3_SPAN,
                                      &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (context.debug) {
        ngx_str_set(&value, "1");

        return ngx_http_aggregate_trace_push(r,
                                       NGX_HTTP_AGGREGATE_TRACE_LINE_B3_FLAGS,
                                       &value);
    }

    value.data = p + 50;
    value.len = 1;

    return ngx_http_aggregate_trace_push(r,
                                     NGX_HTTP_AGGREGATE_TRACE_LINE_B3_SAMPLED,
                                     &value);
}


static ngx_uint_t
ngx_http_aggregate_trace_is_ours(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    (void) r;

    switch (h->key.data[0] | 0x20) {

    case 't':
        return ngx_http_aggregate_header_is(h, "traceparent")
               || ngx_http_aggregate_header_is(h, "tracestate");

    case 'b':
        return ngx_http_aggregate_header_is(h, "b3");

    case 'x':
        return h->key.len > 5
               && ngx_strncasecmp(h->key.data, (u_char *) "X-B3-", 5) == 0;

    default:
        return 0;
    }
}


static ngx_int_t
ngx_http_aggregate_trace_push(ngx_http_request_t *r,
    ngx_http_aggregate_trace_line_e header, ngx_str_t *value)
{
    ngx_table_elt_t                    *h;
    ngx_http_aggregate_trace_line_t  *name;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    name = &ngx_http_aggregate_trace_lines[header];

    h->hash = name->hash;
    h->key = name->name;
    h->lowcase_key = name->lowcase;
    h->value = *value;
    ngx_http_aggregate_header_end(h);

    return NGX_OK;
}
