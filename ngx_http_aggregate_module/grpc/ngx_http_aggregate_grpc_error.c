
/* the body of an error: application/problem+json, or google.rpc.Status */

#include "ngx_http_aggregate_grpc.h"


#define NGX_HTTP_AGGREGATE_GRPC_MAX_ERROR  (1024 * 1024)


static agg_rc_e ngx_http_aggregate_grpc_write_problem(
    ngx_http_aggregate_grpc_ctx_t *ctx, long code);
static agg_rc_e ngx_http_aggregate_grpc_write_status(
    ngx_http_aggregate_grpc_ctx_t *ctx, long code);
static agg_rc_e ngx_http_aggregate_grpc_write_details(
    ngx_http_aggregate_grpc_ctx_t *ctx);
static agg_rc_e ngx_http_aggregate_grpc_write_number(agg_buf_t *out, long n);


#define ngx_http_aggregate_grpc_text(out, text)                               \
    agg_buf_append(out, text, ngx_strlen(text))


ngx_int_t
ngx_http_aggregate_grpc_error_body(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    long      code;
    agg_rc_e  rc;

    agg_buf_init(&ctx->error, &ctx->mem, NGX_HTTP_AGGREGATE_GRPC_MAX_ERROR);

    code = ctx->code > 0 ? ctx->code
                         : (long) agg_grpc_code_of_http(
                                                (unsigned) ctx->status);

    rc = ctx->conf->status_errors
         ? ngx_http_aggregate_grpc_write_status(ctx, code)
         : ngx_http_aggregate_grpc_write_problem(ctx, code);

    return rc == AGG_OK ? NGX_OK : NGX_ERROR;
}


static agg_rc_e
ngx_http_aggregate_grpc_write_problem(ngx_http_aggregate_grpc_ctx_t *ctx,
    long code)
{
    agg_rc_e    rc;
    agg_buf_t  *out;

    out = &ctx->error;

    rc = ngx_http_aggregate_grpc_text(out, "{\"status\":");

    if (rc == AGG_OK) {
        rc = ngx_http_aggregate_grpc_write_number(out, (long) ctx->status);
    }

    if (rc == AGG_OK) {
        rc = ngx_http_aggregate_grpc_text(out, ",\"title\":\"");
    }

    if (rc == AGG_OK) {
        rc = ngx_http_aggregate_grpc_text(out, agg_grpc_code_title(code));
    }

    if (rc == AGG_OK) {
        rc = ngx_http_aggregate_grpc_text(out, "\",\"code\":\"");
    }

    if (rc == AGG_OK) {
        rc = ngx_http_aggregate_grpc_text(out, agg_grpc_code_name(code));
    }

    if (rc == AGG_OK) {
        rc = ngx_http_aggregate_grpc_text(out, "\",\"detail\":");
    }

    if (rc == AGG_OK) {
        rc = agg_json_escape(out, ctx->detail.data, ctx->detail.len);
    }

    return rc == AGG_OK ? ngx_http_aggregate_grpc_write_details(ctx) : rc;
}


static agg_rc_e
ngx_http_aggregate_grpc_write_status(ngx_http_aggregate_grpc_ctx_t *ctx,
    long code)
{
    agg_rc_e    rc;
    agg_buf_t  *out;

    out = &ctx->error;

    rc = ngx_http_aggregate_grpc_text(out, "{\"code\":");

    if (rc == AGG_OK) {
        rc = ngx_http_aggregate_grpc_write_number(out, code);
    }

    if (rc == AGG_OK) {
        rc = ngx_http_aggregate_grpc_text(out, ",\"message\":");
    }

    if (rc == AGG_OK) {
        rc = agg_json_escape(out, ctx->detail.data, ctx->detail.len);
    }

    return rc == AGG_OK ? ngx_http_aggregate_grpc_write_details(ctx) : rc;
}


/* details that are too large are omitted */

static agg_rc_e
ngx_http_aggregate_grpc_write_details(ngx_http_aggregate_grpc_ctx_t *ctx)
{
    agg_rc_e            rc;
    agg_buf_t          *out;
    agg_grpc_details_t  details;

    out = &ctx->error;

    rc = ngx_http_aggregate_grpc_text(out, ",\"details\":");

    if (rc != AGG_OK) {
        return rc;
    }

    if (ctx->details.len == 0) {
        return ngx_http_aggregate_grpc_text(out, "[]}");
    }

    rc = agg_grpc_details(ctx->mcf->pool, ctx->details.data, ctx->details.len,
                          &ctx->conf->json, out, &details);

    if (rc == AGG_TOO_LARGE) {
        return ngx_http_aggregate_grpc_text(out, "[]}");
    }

    if (rc != AGG_OK) {
        return rc;
    }

    ctx->retry_after = details.retry_after;

    return ngx_http_aggregate_grpc_text(out, "}");
}


static agg_rc_e
ngx_http_aggregate_grpc_write_number(agg_buf_t *out, long n)
{
    u_char  text[NGX_INT64_LEN], *p;

    p = ngx_sprintf(text, "%l", n);

    return agg_buf_append(out, text, p - text);
}
