
/*
 * Error answers: "application/problem+json", RFC 9457.
 */

#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_send.h"

#include <cjson/cJSON.h>


static ngx_uint_t ngx_http_aggregate_has_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_http_aggregate_problem_body(ngx_http_request_t *r,
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t status, ngx_str_t *body);
static cJSON *ngx_http_aggregate_problem_document(
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t status);
static const char *ngx_http_aggregate_title(ngx_uint_t status);
static ngx_int_t ngx_http_aggregate_problem_headers(ngx_http_request_t *r,
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t status);


static const struct {
    ngx_uint_t   status;
    const char  *title;
} ngx_http_aggregate_titles[] = {
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" },
    { 422, "Unprocessable Content" },
    { 423, "Locked" },
    { 424, "Failed Dependency" },
    { 426, "Upgrade Required" },
    { 428, "Precondition Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 0, "Error" }
};


/*
 * The headers of an error answer, which remain if "error_page" leads to another
 * location.  They are known by the addresses of their names.
 */

static ngx_str_t  ngx_http_aggregate_problem_names[] = {
    ngx_string("Allow"),
    ngx_string("Cache-Control"),
    ngx_string("Retry-After"),
    ngx_string("Server-Timing"),
    ngx_string("WWW-Authenticate"),
    ngx_null_string
};


/* ctx is NULL if no part was started */

ngx_int_t
ngx_http_aggregate_problem(ngx_http_request_t *r,
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t status)
{
    ngx_buf_t  *b;
    ngx_str_t   body;

    static ngx_str_t  type = ngx_string("application/problem+json");

    if (ctx) {
        ctx->status = status;
    }

    if (ngx_http_aggregate_problem_headers(r, ctx, status) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_aggregate_has_error_page(r, status)) {

        if (ctx && ngx_http_aggregate_keep_ctx(ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return status;
    }

    if (ngx_http_aggregate_problem_body(r, ctx, status, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = body.data;
    b->last = body.data + body.len;
    b->memory = 1;

    return ngx_http_aggregate_send_buf(r, status, &type, b);
}


/* an error page of the configuration takes precedence over ours */

static ngx_uint_t
ngx_http_aggregate_has_error_page(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->error_pages == NULL || r->error_page) {
        return 0;
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (page[i].status == (ngx_int_t) status) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_aggregate_problem_body(ngx_http_request_t *r,
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t status, ngx_str_t *body)
{
    char   *text;
    cJSON  *root;

    root = ngx_http_aggregate_problem_document(ctx, status);
    if (root == NULL) {
        return NGX_ERROR;
    }

    text = cJSON_PrintUnformatted(root);

    cJSON_Delete(root);

    if (text == NULL) {
        return NGX_ERROR;
    }

    body->len = ngx_strlen(text);
    body->data = ngx_pnalloc(r->pool, body->len);

    if (body->data) {
        ngx_memcpy(body->data, text, body->len);
    }

    cJSON_free(text);

    return body->data ? NGX_OK : NGX_ERROR;
}


static cJSON *
ngx_http_aggregate_problem_document(ngx_http_aggregate_ctx_t *ctx,
    ngx_uint_t status)
{
    char                        name[256];
    cJSON                      *root, *backends;
    ngx_str_t                  *s;
    ngx_uint_t                  i;
    ngx_http_aggregate_part_t  *part;

    root = cJSON_CreateObject();

    if (root == NULL
        || cJSON_AddNumberToObject(root, "status", (double) status) == NULL
        || cJSON_AddStringToObject(root, "title",
                                   ngx_http_aggregate_title(status))
           == NULL)
    {
        goto failed;
    }

    if (ctx && !ctx->conf->expose) {
        return root;
    }

    backends = cJSON_AddObjectToObject(root, "backends");
    if (backends == NULL) {
        goto failed;
    }

    for (i = 0; ctx && i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->reason == NGX_HTTP_AGGREGATE_NO_REASON) {
            continue;
        }

        s = &part->conf->name;

        ngx_cpystrn((u_char *) name, s->data,
                    ngx_min(s->len + 1, sizeof(name)));

        if (cJSON_AddStringToObject(backends, name,
                      (char *) ngx_http_aggregate_reasons[part->reason].data)
            == NULL)
        {
            goto failed;
        }
    }

    return root;

failed:

    cJSON_Delete(root);

    return NULL;
}


static const char *
ngx_http_aggregate_title(ngx_uint_t status)
{
    ngx_uint_t  i;

    for (i = 0; ngx_http_aggregate_titles[i].status; i++) {
        if (ngx_http_aggregate_titles[i].status == status) {
            break;
        }
    }

    return ngx_http_aggregate_titles[i].title;
}


static ngx_int_t
ngx_http_aggregate_problem_headers(ngx_http_request_t *r,
    ngx_http_aggregate_ctx_t *ctx, ngx_uint_t status)
{
    ngx_str_t                   value = ngx_string("no-store");
    ngx_http_aggregate_part_t  *part;

    if (ngx_http_aggregate_problem_header(r, "Cache-Control", &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx == NULL) {
        return NGX_OK;
    }

    part = ctx->culprit;

    if (part && part->response
        && part->reason != NGX_HTTP_AGGREGATE_BAD_URI)
    {
        if (status < 500
            && ngx_http_aggregate_pass(ctx->request, part->response,
                                       "WWW-Authenticate")
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if ((status < 500 || status == NGX_HTTP_SERVICE_UNAVAILABLE)
            && ngx_http_aggregate_pass(ctx->request, part->response,
                                       "Retry-After")
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_aggregate_server_timing(ctx);
}


/* adds a header, one of those that ngx_http_aggregate_problem_clear() knows */

ngx_int_t
ngx_http_aggregate_problem_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_str_t  *known;

    for (known = ngx_http_aggregate_problem_names; known->len; known++) {

        if (ngx_strcmp(known->data, name) == 0) {
            return ngx_http_aggregate_header_push(&r->headers_out.headers,
                                                  known, value)
                   ? NGX_OK : NGX_ERROR;
        }
    }

    return NGX_ERROR;
}


/* the answer of an aggregate that has led here is not sent */

void
ngx_http_aggregate_problem_clear(ngx_http_request_t *r)
{
    ngx_str_t                         *known;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_header_iter(&it, &r->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        for (known = ngx_http_aggregate_problem_names; known->len; known++) {
            if (h->key.data == known->data) {
                h->hash = 0;
            }
        }
    }
}
