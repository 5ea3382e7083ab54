
/*
 * Header fields of the answer, made from those of the parts.
 */

#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_merge_headers.h"


static ngx_int_t ngx_http_aggregate_state_header(
    ngx_http_aggregate_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_failed_parts(ngx_http_aggregate_ctx_t *ctx,
    ngx_str_t *value);


ngx_int_t
ngx_http_aggregate_answer_headers(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t                           i, k;
    ngx_http_aggregate_part_t           *part;
    ngx_http_aggregate_fetch_t          *fetch;
    ngx_http_aggregate_merge_headers_t   headers;

    ngx_memzero(&headers, sizeof(ngx_http_aggregate_merge_headers_t));

    headers.request = ctx->request;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->failed || part->skipped) {
            continue;
        }

        for (k = 0; k < part->nfetches; k++) {
            fetch = &part->fetches[k];

            if (fetch->response == NULL || fetch->joined
                || fetch->reason != NGX_HTTP_AGGREGATE_NO_REASON)
            {
                continue;
            }

            if (ngx_http_aggregate_merge_response(&headers, fetch,
                                                  part->conf->pass_headers)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    if (ngx_http_aggregate_state_header(ctx) != NGX_OK
        || ngx_http_aggregate_merge_send(&headers, ctx->partial) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_server_timing(ctx);
}


static ngx_int_t
ngx_http_aggregate_state_header(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_str_t  value;

    ngx_str_set(&value, "complete");

    if (ctx->partial && !ctx->conf->expose) {
        ngx_str_set(&value, "partial");

    } else if (ctx->partial
               && ngx_http_aggregate_failed_parts(ctx, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_header_add(&ctx->request->headers_out.headers,
                                         "X-Aggregate", &value)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_failed_parts(ngx_http_aggregate_ctx_t *ctx,
    ngx_str_t *value)
{
    size_t                      len;
    u_char                     *p;
    ngx_uint_t                  i, n;
    ngx_http_aggregate_part_t  *part;

    len = sizeof("partial; failed=\"\"");

    for (i = 0; i < ctx->nparts; i++) {
        len += ctx->parts[i].conf->name.len + 2;
    }

    p = ngx_pnalloc(ctx->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    p = ngx_cpymem(p, "partial; failed=\"", sizeof("partial; failed=\"") - 1);

    for (i = 0, n = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->failed || part->degraded) {
            p = ngx_sprintf(p, "%s%V", n++ ? ", " : "", &part->conf->name);
        }
    }

    *p++ = '"';

    value->len = p - value->data;

    return NGX_OK;
}


/* with "aggregate_debug" only, W3C Server Timing */

ngx_int_t
ngx_http_aggregate_server_timing(ngx_http_aggregate_ctx_t *ctx)
{
    size_t                      len;
    u_char                     *p;
    uint64_t                    usec;
    ngx_str_t                   value;
    ngx_uint_t                  i, n;
    ngx_http_aggregate_part_t  *part;

    if (!ctx->debug) {
        return NGX_OK;
    }

    for (i = 0, len = 0; i < ctx->nparts; i++) {
        len += ctx->parts[i].conf->name.len
               + sizeof(", ;dur=.0;desc=\"invalid_json\"") + NGX_INT64_LEN;
    }

    p = ngx_pnalloc(ctx->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    for (i = 0, n = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->skipped) {
            continue;
        }

        usec = part->clock.started
               ? part->end_usec - part->clock.start_usec : 0;

        p = ngx_sprintf(p, "%s%V;dur=%uL.%uL", n++ ? ", " : "",
                        &part->conf->name, usec / 1000, usec % 1000 / 100);

        if (part->failed || part->degraded) {
            p = ngx_sprintf(p, ";desc=\"%V\"",
                            &ngx_http_aggregate_reasons[part->reason]);
        }
    }

    value.len = p - value.data;

    if (value.len == 0) {
        return NGX_OK;
    }

    return ngx_http_aggregate_problem_header(ctx->request, "Server-Timing",
                                             &value);
}


/* passes the header fields of one name with an error answer */

ngx_int_t
ngx_http_aggregate_pass(ngx_http_request_t *r, ngx_http_request_t *sr,
    const char *name)
{
    ngx_str_t                          key;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    ngx_http_aggregate_header_iter(&it, &sr->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash != 0 && ngx_http_aggregate_header_named(h, &key)
            && ngx_http_aggregate_problem_header(r, name, &h->value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
