
/* texts of other locations that are included in the page */


#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_aggregate_fetch.h"


typedef struct {
    ngx_http_request_t                 *request;
    ngx_http_aggregate_fetches_t       *fetches;
    ngx_http_aggregate_clock_t          clock;
    ngx_http_headers_in_t               headers_in;
    ngx_http_aggregate_fetch_t         *fetch;
    ngx_http_aggregate_metrics_text_t  *texts;
    ngx_uint_t                          n;
    ngx_uint_t                          done;
} ngx_http_aggregate_metrics_include_t;


static void ngx_http_aggregate_metrics_include_start(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_metrics_include_send(
    ngx_http_aggregate_metrics_include_t *ctx, ngx_array_t *includes);
static void ngx_http_aggregate_metrics_included(
    ngx_http_aggregate_fetch_t *fetch);
static ngx_int_t ngx_http_aggregate_metrics_include_done(
    ngx_http_aggregate_fetches_t *fs);
static ngx_int_t ngx_http_aggregate_metrics_respond_with(
    ngx_http_request_t *r, ngx_http_aggregate_metrics_text_t *texts,
    ngx_uint_t n);


ngx_str_t  ngx_http_aggregate_metrics_kind = ngx_string("metrics");


static ngx_str_t  ngx_http_aggregate_metrics_get = ngx_string("GET");


static ngx_http_aggregate_limits_t  ngx_http_aggregate_metrics_limits = {
    1000, 8, 8, 1024 * 1024, 1024 * 1024
};


/* none of the scraper's headers are forwarded to these locations */

static ngx_http_aggregate_forward_t  ngx_http_aggregate_metrics_forward;


/* the handler of both pages */

ngx_int_t
ngx_http_aggregate_metrics_serve(ngx_http_request_t *r)
{
    ngx_int_t                               rc;
    ngx_http_aggregate_metrics_loc_conf_t  *mlcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_metrics_module);

    if (mlcf->includes.nelts == 0) {

        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_aggregate_metrics_respond_with(r, NULL, 0);
    }

    rc = ngx_http_read_client_request_body(r,
                                    ngx_http_aggregate_metrics_include_start);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_aggregate_metrics_include_start(ngx_http_request_t *r)
{
    ngx_http_aggregate_metrics_include_t   *ctx;
    ngx_http_aggregate_metrics_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_metrics_module);

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_metrics_include_t));

    if (ctx) {
        ctx->request = r;
        ctx->fetches = ngx_http_aggregate_fetches_create(r,
                                   &ngx_http_aggregate_metrics_limits,
                                   &ngx_http_aggregate_metrics_kind,
                                   ngx_http_aggregate_metrics_include_done,
                                   ctx);
    }

    if (ctx == NULL || ctx->fetches == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_aggregate_metrics_include_send(ctx, &mlcf->includes)
        != NGX_OK)
    {
        ngx_http_aggregate_fetches_close(ctx->fetches);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_aggregate_fetches_run(ctx->fetches);
}


static ngx_int_t
ngx_http_aggregate_metrics_include_send(
    ngx_http_aggregate_metrics_include_t *ctx, ngx_array_t *includes)
{
    u_char                      *p;
    ngx_str_t                   *uri;
    ngx_uint_t                   i;
    ngx_http_request_t          *r;
    ngx_http_aggregate_fetch_t  *fetch;

    r = ctx->request;
    uri = includes->elts;

    ctx->n = includes->nelts;
    ctx->texts = ngx_pcalloc(r->pool, ctx->n
                             * sizeof(ngx_http_aggregate_metrics_text_t));
    ctx->fetch = ngx_pcalloc(r->pool,
                             ctx->n * sizeof(ngx_http_aggregate_fetch_t));

    if (ctx->texts == NULL || ctx->fetch == NULL
        || ngx_http_aggregate_fetches_headers_in(ctx->fetches,
                                         &ngx_http_aggregate_metrics_forward,
                                         0, &ctx->headers_in)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->n; i++) {
        ctx->texts[i].uri = &uri[i];

        fetch = &ctx->fetch[i];

        fetch->name = &uri[i];
        fetch->data = ctx;
        fetch->handler = ngx_http_aggregate_metrics_included;
        fetch->clock = &ctx->clock;
        fetch->method = NGX_HTTP_GET;
        fetch->method_name = ngx_http_aggregate_metrics_get;
        fetch->headers_in = &ctx->headers_in;
        fetch->sink = NGX_HTTP_AGGREGATE_SINK_RAW;
        fetch->uri = uri[i];

        p = ngx_strlchr(uri[i].data, uri[i].data + uri[i].len, '?');

        if (p) {
            fetch->uri.len = p - uri[i].data;
            fetch->args.data = p + 1;
            fetch->args.len = uri[i].len - fetch->uri.len - 1;
        }

        if (ngx_http_aggregate_fetch_start(ctx->fetches, fetch) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_metrics_included(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_aggregate_metrics_text_t     *text;
    ngx_http_aggregate_metrics_include_t  *ctx;

    ctx = fetch->data;
    text = &ctx->texts[fetch - ctx->fetch];

    ctx->done++;

    if (fetch->reason != NGX_HTTP_AGGREGATE_NO_REASON) {

        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "\"%V\" is left out of the metrics: %V, status %ui",
                      text->uri, &ngx_http_aggregate_reasons[fetch->reason],
                      fetch->status);
        return;
    }

    text->data = fetch->value.len ? fetch->value.data : (u_char *) "";
    text->len = fetch->value.len;
}


static ngx_int_t
ngx_http_aggregate_metrics_include_done(ngx_http_aggregate_fetches_t *fs)
{
    ngx_int_t                              rc;
    ngx_http_request_t                    *r;
    ngx_http_aggregate_metrics_include_t  *ctx;

    ctx = fs->data;
    r = fs->request;

    if (fs->cancelled) {
        return NGX_DONE;
    }

    if (ctx->done < ctx->n) {
        return NGX_OK;
    }

    ngx_http_aggregate_fetches_close(fs);

    rc = ngx_http_aggregate_metrics_respond_with(r, ctx->texts, ctx->n);

    ngx_http_aggregate_fetches_outcome(fs, "complete");

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_aggregate_metrics_respond_with(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n)
{
    ngx_http_aggregate_metrics_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_metrics_module);

    if (mlcf->status) {
        return ngx_http_aggregate_metrics_respond(r, texts, n);
    }

    return ngx_http_aggregate_status_respond(r, texts, n);
}
