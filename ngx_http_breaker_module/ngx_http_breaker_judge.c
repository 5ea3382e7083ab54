
#include "ngx_http_breaker.h"
#include "ngx_http_gw_upstream.h"


static ngx_uint_t ngx_http_breaker_error_page(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx);
static ngx_uint_t ngx_http_breaker_grpc_code(ngx_http_upstream_t *u);
static ngx_table_elt_t *ngx_http_breaker_grpc_status(ngx_list_t *list);


void
ngx_http_breaker_observe_response(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_uint_t redirected)
{
    ngx_uint_t            status;
    ngx_http_upstream_t  *u;

    if (ctx->decided) {
        return;
    }

    if (!ctx->started) {
        ngx_http_breaker_judge_neutral(ctx);
        return;
    }

    u = r->upstream;

    if (ctx->upstream) {

        /* a connection that was upgraded may last for days */

        if (u == ctx->upstream && u->upgrade) {
            ngx_http_breaker_judge_upstream(r, ctx, u, NGX_OK);
        }

        return;
    }

    if (r->cached) {
        ngx_http_breaker_judge_neutral(ctx);
        return;
    }

    if (u && u != ctx->before && u->cleanup) {
        ngx_http_breaker_hook_upstream(r, ctx, u);
        return;
    }

    status = redirected ? ngx_http_breaker_error_page(r, ctx)
                        : r->headers_out.status;

    if (u == NULL || u == ctx->before) {
        ngx_http_breaker_judge_status(ctx, status);
        return;
    }

    /* the upstream has already been finalized */

    if (u->state && u->state->status) {
        status = NGX_OK;
    }

    ngx_http_breaker_judge_upstream(r, ctx, u, (ngx_int_t) status);
}


/*
 * A handler without an upstream ended with an error which error_page changed:
 * the status that it stands for, 0 if there was no error.
 */

static ngx_uint_t
ngx_http_breaker_error_page(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx)
{
    ngx_uint_t            i;
    ngx_http_err_page_t  *page;

    if (r->err_status >= NGX_HTTP_BAD_REQUEST) {
        return r->err_status;
    }

    if (!r->error_page || ctx->clcf->error_pages == NULL) {
        return 0;
    }

    page = ctx->clcf->error_pages->elts;

    for (i = 0; i < ctx->clcf->error_pages->nelts; i++) {
        if (page[i].overwrite == (ngx_int_t) r->err_status
            && brk_rules_match(&ctx->policy->rules,
                               (unsigned) page[i].status))
        {
            return (ngx_uint_t) page[i].status;
        }
    }

    return 0;
}


/* without an upstream only the status and the time are known; status 0: none */

void
ngx_http_breaker_judge_status(ngx_http_breaker_ctx_t *ctx, ngx_uint_t status)
{
    brk_call_t  call;

    call.end = status ? BRK_END_DONE : BRK_END_LOCAL;
    call.status = (unsigned) status;
    call.header = 1;
    call.grpc = 0;
    call.time = (brk_msec_t) ngx_max((ngx_msec_int_t)
                                     (ngx_current_msec - ctx->start), 0);

    ctx->outcome = brk_outcome(&ctx->policy->rules, &call);
    ctx->decided = 1;
}


void
ngx_http_breaker_judge_upstream(ngx_http_request_t *r,
    ngx_http_breaker_ctx_t *ctx, ngx_http_upstream_t *u, ngx_int_t rc)
{
    brk_call_t                  call;
    ngx_http_upstream_state_t  *state;

    if (ngx_http_breaker_is_success(r, ctx, u, rc)) {
        ngx_memzero(&ctx->outcome, sizeof(brk_outcome_t));
        ctx->decided = 1;
        return;
    }

    state = u->state;

    call.status = 0;
    call.header = 0;
    call.grpc = 0;
    call.end = BRK_END_DONE;

    if (state) {
        call.status = (unsigned) state->status;
        call.header = (state->peer != NULL
                       && state->header_time != (ngx_msec_t) -1);
    }

    switch (rc) {

    case NGX_ERROR:
        call.end = ngx_http_gw_upstream_is_broken(r, u, rc) ? BRK_END_BROKEN
                                                            : BRK_END_CLIENT;
        break;

    case NGX_HTTP_REQUEST_TIME_OUT:
    case NGX_HTTP_CLIENT_CLOSED_REQUEST:
        call.end = BRK_END_CLIENT;
        break;

    case NGX_DONE:
        call.end = (r->connection->error && call.status == 0)
                   ? BRK_END_CLIENT : BRK_END_CANCEL;
        break;

    case NGX_HTTP_BAD_GATEWAY:
    case NGX_HTTP_GATEWAY_TIME_OUT:

        if (ngx_http_gw_upstream_is_broken(r, u, rc)) {
            call.end = BRK_END_BROKEN;

        } else if (call.status == 0) {
            call.status = (unsigned) rc;
        }

        break;

    default:

        if (call.status == 0
            || (rc == NGX_HTTP_INTERNAL_SERVER_ERROR
                && call.status != NGX_HTTP_INTERNAL_SERVER_ERROR))
        {
            call.end = BRK_END_LOCAL;
        }
    }

    call.time = ngx_http_breaker_time(r, ctx, call.header);

    if (call.end == BRK_END_DONE && call.header
        && ngx_http_breaker_is_grpc(u))
    {
        call.grpc = (unsigned) ngx_http_breaker_grpc_code(u);
    }

    ctx->grpc = (call.grpc != 0);

    ctx->outcome = brk_outcome(&ctx->policy->rules, &call);
    ctx->decided = 1;

    ngx_log_debug6(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "breaker call: rc:%i end:%d status:%ui header:%d "
                   "time:%uL neutral:%d", rc, call.end,
                   (ngx_uint_t) call.status, call.header, call.time,
                   ctx->outcome.neutral);
}


/* the code of a gRPC response, in its header or trailer; 0: none, or OK */

static ngx_uint_t
ngx_http_breaker_grpc_code(ngx_http_upstream_t *u)
{
    ngx_table_elt_t  *h;

    h = ngx_http_breaker_grpc_status(&u->headers_in.trailers);

    if (h == NULL) {
        h = ngx_http_breaker_grpc_status(&u->headers_in.headers);
    }

    return h ? brk_grpc_code(h->value.data, h->value.len) : 0;
}


static ngx_table_elt_t *
ngx_http_breaker_grpc_status(ngx_list_t *list)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &list->part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("grpc-status") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "grpc-status",
                               sizeof("grpc-status") - 1)
               == 0)
        {
            return &h[i];
        }
    }

    return NULL;
}


ngx_msec_t
ngx_http_breaker_time(ngx_http_request_t *r, ngx_http_breaker_ctx_t *ctx,
    ngx_uint_t header)
{
    ngx_uint_t                  i, n;
    ngx_msec_t                  time, ms;
    ngx_http_upstream_state_t  *state;

    if (r->upstream_states == NULL) {
        return 0;
    }

    time = 0;
    n = r->upstream_states->nelts;
    state = r->upstream_states->elts;

    for (i = ctx->states; i < n; i++) {

        if (state[i].peer == NULL) {
            continue;
        }

        ms = state[i].response_time;

        if (i == n - 1 && header) {
            ms = state[i].header_time;
        }

        if ((ngx_msec_int_t) ms > 0) {
            time += ms;
        }
    }

    return time;
}


void
ngx_http_breaker_judge_neutral(ngx_http_breaker_ctx_t *ctx)
{
    ngx_memzero(&ctx->outcome, sizeof(brk_outcome_t));

    ctx->outcome.neutral = 1;
    ctx->decided = 1;
}
