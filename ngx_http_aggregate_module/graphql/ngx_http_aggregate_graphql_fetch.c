
/*
 * The link between the executor and the subrequest engine: variables, fetches
 * and their results.
 */

#include "ngx_http_aggregate_graphql.h"


static void ngx_http_aggregate_graphql_fetched(
    ngx_http_aggregate_fetch_t *fetch);
static void ngx_http_aggregate_graphql_log(
    ngx_http_aggregate_graphql_ctx_t *ctx, ngx_http_aggregate_fetch_t *fetch);
static ngx_uint_t ngx_http_aggregate_graphql_selected(
    ngx_http_aggregate_fetch_t *fetch);
static ngx_int_t ngx_http_aggregate_graphql_pass_headers(
    ngx_http_aggregate_fetch_t *fetch, ngx_array_t *names);
static ngx_uint_t ngx_http_aggregate_graphql_has_name(ngx_array_t *names,
    ngx_str_t *wanted);
static ngx_int_t ngx_http_aggregate_graphql_fetch_headers(
    ngx_http_aggregate_graphql_op_t *op, agg_gql_call_t *call,
    ngx_http_aggregate_fetch_t *fetch);
static ngx_http_aggregate_join_t *ngx_http_aggregate_graphql_join(
    ngx_http_aggregate_graphql_op_t *op);
static ngx_int_t ngx_http_aggregate_graphql_open(
    ngx_http_aggregate_graphql_ctx_t *ctx);


static ngx_http_aggregate_header_name_t  ngx_http_aggregate_graphql_type = {
    ngx_string("Content-Type"),
    ngx_string("content-type")
};


agg_rc_e
ngx_http_aggregate_graphql_variable(void *ctx, int index, agg_str_t *value)
{
    ngx_http_aggregate_graphql_op_t *op = ctx;

    ngx_http_variable_value_t  *v;

    value->data = (u_char *) "";
    value->len = 0;

    v = ngx_http_get_flushed_variable(op->ctx->request, index);

    if (v == NULL) {
        return AGG_NOMEM;
    }

    if (!v->not_found) {
        value->data = v->data;
        value->len = v->len;
    }

    return AGG_OK;
}


agg_rc_e
ngx_http_aggregate_graphql_fetch(void *ctx, agg_gql_call_t *call)
{
    ngx_http_aggregate_graphql_op_t *op = ctx;

    agg_mem_t                           *mem;
    const agg_gql_binding_t             *binding;
    ngx_http_aggregate_fetch_t          *fetch;
    ngx_http_aggregate_graphql_fetch_t  *own;
    ngx_http_aggregate_graphql_field_t  *field;

    if (op->ctx->fetches == NULL
        && ngx_http_aggregate_graphql_open(op->ctx) != NGX_OK)
    {
        return AGG_NOMEM;
    }

    mem = &op->exec.arena.mem;
    binding = call->binding;
    field = binding->data;

    /* from the call's memory, as many calls may be over max_subrequests */

    own = mem->alloc(mem->ctx, sizeof(ngx_http_aggregate_graphql_fetch_t));
    if (own == NULL) {
        return AGG_NOMEM;
    }

    ngx_memzero(own, sizeof(ngx_http_aggregate_graphql_fetch_t));

    fetch = &own->fetch;

    own->clock.timeout = binding->timeout;

    call->data = fetch;

    fetch->name = &field->name;
    fetch->data = call;
    fetch->handler = ngx_http_aggregate_graphql_fetched;
    fetch->clock = &own->clock;
    fetch->method = field->method;
    fetch->method_name = field->method_name;
    fetch->uri.data = call->path.data;
    fetch->uri.len = call->path.len;
    fetch->args.data = call->args.data;
    fetch->args.len = call->args.len;
    fetch->headers_in = &op->ctx->headers_in;
    fetch->accept = field->accept;
    fetch->retry = binding->retry;
    fetch->sink = binding->string ? NGX_HTTP_AGGREGATE_SINK_STRING
                                  : NGX_HTTP_AGGREGATE_SINK_JSON;
    fetch->patterns = field->patterns;
    fetch->error_body = (binding->error_message || binding->error_code);

    if (field->shape && call->state->node->alone) {
        fetch->shape = field->shape;
        fetch->missing.data = binding->rest->default_json.text.data;
        fetch->missing.len = binding->rest->default_json.text.len;
    }

    if (binding->has_body) {
        fetch->body_set = 1;
        fetch->body.data = call->body.data;
        fetch->body.len = call->body.len;
    }

    if (ngx_http_aggregate_graphql_fetch_headers(op, call, fetch) != NGX_OK) {
        return AGG_NOMEM;
    }

    /* each root field of a mutation is sent, even if it repeats another one */

    if (!op->mutation
        || call->sites->object != &op->exec.object)
    {
        fetch->join = ngx_http_aggregate_graphql_join(op);

        if (fetch->join == NULL) {
            return AGG_NOMEM;
        }
    }

    switch (ngx_http_aggregate_fetch_start(op->ctx->fetches, fetch)) {

    case NGX_OK:
        return AGG_OK;

    case NGX_DECLINED:
        return AGG_TOO_LARGE;

    default:
        return AGG_NOMEM;
    }
}


/* called for the first fetch */

static ngx_int_t
ngx_http_aggregate_graphql_open(ngx_http_aggregate_graphql_ctx_t *ctx)
{
    ngx_http_aggregate_fetches_t  *fs;

    static ngx_str_t  kind = ngx_string("graphql");

    fs = ngx_http_aggregate_fetches_create(ctx->request, &ctx->conf->limits,
                                           &kind,
                                           ngx_http_aggregate_graphql_progress,
                                           ctx);
    if (fs == NULL) {
        return NGX_ERROR;
    }

    fs->usec |= ctx->debug;

    ctx->fetches = fs;

    return ngx_http_aggregate_fetches_headers_in(fs, ctx->conf->forward, 0,
                                                 &ctx->headers_in);
}


/* equal calls share a fetch, but not across the fields of a mutation */

static ngx_http_aggregate_join_t *
ngx_http_aggregate_graphql_join(ngx_http_aggregate_graphql_op_t *op)
{
    if (op->join == NULL
        || (op->mutation && op->join_root != op->exec.root))
    {
        op->join = ngx_http_aggregate_join_create(op->ctx->request->pool, 8);
        op->join_root = op->exec.root;
    }

    return op->join;
}


static ngx_int_t
ngx_http_aggregate_graphql_fetch_headers(ngx_http_aggregate_graphql_op_t *op,
    agg_gql_call_t *call, ngx_http_aggregate_fetch_t *fetch)
{
    agg_mem_t                           *mem;
    ngx_uint_t                           i, n, typed;
    ngx_http_aggregate_field_t          *f;
    ngx_http_aggregate_graphql_field_t  *field;

    field = call->binding->data;
    n = call->binding->nheaders;

    if (n == 0 && !fetch->body_set) {
        return NGX_OK;
    }

    mem = &op->exec.arena.mem;

    f = mem->alloc(mem->ctx, (n + 1) * sizeof(ngx_http_aggregate_field_t));
    if (f == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(f, (n + 1) * sizeof(ngx_http_aggregate_field_t));

    typed = 0;

    for (i = 0; i < n; i++) {
        f[i].name = &field->headers[i];
        f[i].value.data = call->headers[i].data;
        f[i].value.len = call->headers[i].len;

        if (field->headers[i].lowcase_name.len == 12
            && ngx_strncmp(field->headers[i].lowcase_name.data,
                           "content-type", 12)
               == 0)
        {
            typed = 1;
        }
    }

    if (fetch->body_set && !typed) {
        f[n].name = &ngx_http_aggregate_graphql_type;
        ngx_str_set(&f[n].value, "application/json");
        n++;
    }

    fetch->headers = f;
    fetch->nheaders = n;

    return NGX_OK;
}


static void
ngx_http_aggregate_graphql_fetched(ngx_http_aggregate_fetch_t *fetch)
{
    agg_rc_e                             rc;
    agg_gql_call_t                      *call;
    ngx_http_aggregate_graphql_op_t     *op;
    ngx_http_aggregate_graphql_ctx_t    *ctx;
    ngx_http_aggregate_graphql_field_t  *field;

    call = fetch->data;
    ctx = fetch->fetches->data;

    /* finds the operation of the batch that owns the call */

    for (op = ctx->ops; op < ctx->ops + ctx->nops; op++) {
        if (op->running && call->owner == &op->exec) {
            break;
        }
    }

    if (op == ctx->ops + ctx->nops) {
        return;
    }

    call->status = (unsigned) fetch->status;

    if (fetch->reason == NGX_HTTP_AGGREGATE_NO_REASON) {
        call->value = fetch->value;
        call->selected = ngx_http_aggregate_graphql_selected(fetch);

    } else {
        call->error = AGG_GQL_CALL_OTHER;
        call->reason = (char *) ngx_http_aggregate_reasons[fetch->reason].data;
        call->source = fetch->source;
    }

    if (fetch->fetches->expired || fetch->fetches->cancelled) {
        op->exec.expired = 1;
    }

    rc = agg_gql_exec_result(&op->exec, call);

    if (rc != AGG_OK) {
        op->exec.rc = rc;
        return;
    }

    if (fetch->reason == NGX_HTTP_AGGREGATE_NO_REASON || call->null) {

        field = call->binding->data;

        if (field->pass_headers
            && ngx_http_aggregate_graphql_pass_headers(fetch,
                                                       field->pass_headers)
               != NGX_OK)
        {
            op->exec.rc = AGG_NOMEM;
        }

        return;
    }

    if (fetch->reason != NGX_HTTP_AGGREGATE_CANCELLED) {
        ngx_http_aggregate_graphql_log(ctx, fetch);
    }
}


/* never logs a body, an argument or a value, as they may be secret */

static void
ngx_http_aggregate_graphql_log(ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_http_aggregate_fetch_t *fetch)
{
    u_char                              *p, *last;
    u_char                               text[NGX_HTTP_AGGREGATE_LOG_SIZE];
    ngx_log_t                           *log;
    ngx_uint_t                           level, lines;
    agg_gql_call_t                      *call;
    ngx_http_aggregate_held_t           *held;
    ngx_http_aggregate_graphql_field_t  *field;

    log = ctx->request->connection->log;
    level = ngx_http_aggregate_log_level
            ? ngx_http_aggregate_log_level(ctx->request) : NGX_LOG_ERR;

    if (log->log_level < level) {
        return;
    }

    call = fetch->data;
    field = call->binding->data;

    if (field->held == NULL) {

        /* in the configuration's memory, as it is this worker's own */

        field->held = ngx_pcalloc(ctx->conf->sources.pool,
                                  (NGX_HTTP_AGGREGATE_INTERNAL + 1)
                                  * sizeof(ngx_http_aggregate_held_t));
        if (field->held == NULL) {
            return;
        }
    }

    held = &field->held[fetch->reason];

    held->kind = "graphql field";
    held->name = fetch->name;
    held->reason = fetch->reason;

    if (ngx_http_aggregate_log_suppress(ctx->request, held, level, &lines)) {
        return;
    }

    last = text + NGX_HTTP_AGGREGATE_LOG_SIZE;

    p = ngx_slprintf(text, last, "graphql field \"%V\" failed: %V, status ",
                     fetch->name, &ngx_http_aggregate_reasons[fetch->reason]);

    p = fetch->status ? ngx_slprintf(p, last, "%ui", fetch->status)
                      : ngx_slprintf(p, last, "-");

    p = ngx_slprintf(p, last, ", after %Mms",
                     fetch->start ? fetch->end - fetch->start : 0);

    p = ngx_http_aggregate_log_fetch(p, last, fetch, fetch->reason,
                                     fetch->status);

    ngx_http_aggregate_log_line(log, level, text, p, lines);
}


/* an empty body, which is null, does not go through the shape */

static ngx_uint_t
ngx_http_aggregate_graphql_selected(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_try_t  *t;

    if (fetch->shape == NULL) {
        return 0;
    }

    t = fetch->leader ? fetch->leader->current : fetch->current;

    return t && t->received != 0;
}


/* adds names to those of other fields that use the same response */

static ngx_int_t
ngx_http_aggregate_graphql_pass_headers(ngx_http_aggregate_fetch_t *fetch,
    ngx_array_t *names)
{
    ngx_str_t                           *name, *added;
    ngx_uint_t                           i;
    ngx_array_t                         *all;
    ngx_http_aggregate_graphql_fetch_t  *leader;

    leader = (ngx_http_aggregate_graphql_fetch_t *) fetch->leader;

    if (leader->pass_headers == NULL) {
        leader->pass_headers = names;
    }

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {

        if (leader->pass_headers == names
            || ngx_http_aggregate_graphql_has_name(leader->pass_headers,
                                                   &name[i]))
        {
            continue;
        }

        /* an array of a field is not changed */

        if (!leader->united) {
            all = ngx_array_create(fetch->fetches->request->pool,
                                   leader->pass_headers->nelts + names->nelts,
                                   sizeof(ngx_str_t));
            if (all == NULL) {
                return NGX_ERROR;
            }

            added = ngx_array_push_n(all, leader->pass_headers->nelts);

            ngx_memcpy(added, leader->pass_headers->elts,
                       leader->pass_headers->nelts * sizeof(ngx_str_t));

            leader->pass_headers = all;
            leader->united = 1;
        }

        added = ngx_array_push(leader->pass_headers);
        if (added == NULL) {
            return NGX_ERROR;
        }

        *added = name[i];
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_graphql_has_name(ngx_array_t *names, ngx_str_t *wanted)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {

        if (name[i].len == wanted->len
            && ngx_strncasecmp(name[i].data, wanted->data, wanted->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
