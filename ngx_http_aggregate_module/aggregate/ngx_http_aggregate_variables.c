
/* variables, for logs: lists are in declared order, comma-separated */

#include "ngx_http_aggregate_module.h"
#include "ngx_http_gw_variable.h"


typedef u_char *(*ngx_http_aggregate_item_pt)(u_char *p,
    ngx_http_aggregate_part_t *part);


static ngx_int_t ngx_http_aggregate_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_aggregate_list_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static u_char *ngx_http_aggregate_name_item(u_char *p,
    ngx_http_aggregate_part_t *part);
static u_char *ngx_http_aggregate_status_item(u_char *p,
    ngx_http_aggregate_part_t *part);
static u_char *ngx_http_aggregate_time_item(u_char *p,
    ngx_http_aggregate_part_t *part);
static u_char *ngx_http_aggregate_reason_item(u_char *p,
    ngx_http_aggregate_part_t *part);
static ngx_int_t ngx_http_aggregate_report_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v);
static ngx_int_t ngx_http_aggregate_report_list(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_http_aggregate_item_pt item);
static ngx_int_t ngx_http_aggregate_tags_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_aggregate_responses(ngx_http_aggregate_ctx_t *ctx,
    ngx_array_t *responses);
static ngx_int_t ngx_http_aggregate_add_tags(ngx_array_t *tags,
    ngx_http_request_t *sr);
static ngx_int_t ngx_http_aggregate_add_tag(ngx_array_t *tags, u_char *start,
    size_t len);


/* enough for a status, a time and every reason */

#define NGX_HTTP_AGGREGATE_ITEM_LEN  32

/* the most tags that are collected */

#define NGX_HTTP_AGGREGATE_MAX_TAGS  256


static ngx_http_variable_t  ngx_http_aggregate_vars[] = {

    { ngx_string("aggregate_status"), NULL,
      ngx_http_aggregate_status_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_backends"), NULL,
      ngx_http_aggregate_list_variable,
      (uintptr_t) ngx_http_aggregate_name_item,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_backend_status"), NULL,
      ngx_http_aggregate_list_variable,
      (uintptr_t) ngx_http_aggregate_status_item,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_backend_time"), NULL,
      ngx_http_aggregate_list_variable,
      (uintptr_t) ngx_http_aggregate_time_item,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_backend_reason"), NULL,
      ngx_http_aggregate_list_variable,
      (uintptr_t) ngx_http_aggregate_reason_item,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_tags"), NULL,
      ngx_http_aggregate_tags_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_aggregate_add_variables(ngx_conf_t *cf)
{
    return ngx_http_gw_add_variables(cf, ngx_http_aggregate_vars);
}


static ngx_int_t
ngx_http_aggregate_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char                *status;
    ngx_http_aggregate_ctx_t  *ctx;

    ctx = ngx_http_aggregate_get_ctx(r);

    if (ctx == NULL) {
        return ngx_http_aggregate_report_status(r, v);
    }

    status = ctx->failed ? "failed" : ctx->partial ? "partial" : "complete";

    v->data = (u_char *) status;
    v->len = ngx_strlen(status);
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_list_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    size_t                       len;
    u_char                      *p;
    ngx_uint_t                   i;
    ngx_http_aggregate_ctx_t    *ctx;
    ngx_http_aggregate_item_pt   item;

    ctx = ngx_http_aggregate_get_ctx(r);
    item = (ngx_http_aggregate_item_pt) data;

    if (ctx == NULL) {
        return ngx_http_aggregate_report_list(r, v, item);
    }

    for (i = 0, len = 0; i < ctx->nparts; i++) {
        len += ctx->parts[i].conf->name.len + NGX_HTTP_AGGREGATE_ITEM_LEN;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;

    for (i = 0; i < ctx->nparts; i++) {

        if (i) {
            *p++ = ',';
        }

        p = item(p, &ctx->parts[i]);
    }

    v->len = p - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* the status of a request that another content handler has answered */

static ngx_int_t
ngx_http_aggregate_report_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v)
{
    const char                 *status;
    ngx_uint_t                  n;
    ngx_http_aggregate_item_t  *items;

    if (ngx_http_aggregate_reporter == NULL
        || ngx_http_aggregate_reporter->items(r, &items, &n, &status)
           != NGX_OK)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = (u_char *) status;
    v->len = ngx_strlen(status);
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_report_list(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_http_aggregate_item_pt item)
{
    size_t                      len;
    u_char                     *p;
    ngx_uint_t                  i, n;
    const char                 *status;
    ngx_http_aggregate_item_t  *items;

    if (ngx_http_aggregate_reporter == NULL
        || ngx_http_aggregate_reporter->items(r, &items, &n, &status)
           != NGX_OK)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    for (i = 0, len = 1; i < n; i++) {
        len += items[i].name.len + NGX_HTTP_AGGREGATE_ITEM_LEN;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;

    for (i = 0; i < n; i++) {

        if (i) {
            *p++ = ',';
        }

        if (item == ngx_http_aggregate_name_item) {
            p = ngx_cpymem(p, items[i].name.data, items[i].name.len);

        } else if (item == ngx_http_aggregate_reason_item) {
            p = ngx_sprintf(p, "%s", items[i].reason);

        } else if (!items[i].ran
                   || (item == ngx_http_aggregate_status_item
                       && items[i].status == 0))
        {
            *p++ = '-';

        } else if (item == ngx_http_aggregate_status_item) {
            p = ngx_sprintf(p, "%ui", items[i].status);

        } else {
            p = ngx_sprintf(p, "%T.%03M", (time_t) items[i].time / 1000,
                            items[i].time % 1000);
        }
    }

    v->len = p - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static u_char *
ngx_http_aggregate_name_item(u_char *p, ngx_http_aggregate_part_t *part)
{
    return ngx_cpymem(p, part->conf->name.data, part->conf->name.len);
}


static u_char *
ngx_http_aggregate_status_item(u_char *p, ngx_http_aggregate_part_t *part)
{
    if (!part->clock.started || part->status == 0) {
        *p++ = '-';
        return p;
    }

    return ngx_sprintf(p, "%ui", part->status);
}


static u_char *
ngx_http_aggregate_time_item(u_char *p, ngx_http_aggregate_part_t *part)
{
    ngx_msec_int_t  ms;

    if (!part->clock.started || part->state != NGX_HTTP_AGGREGATE_DONE) {
        *p++ = '-';
        return p;
    }

    ms = part->end - part->clock.start;
    ms = ngx_max(ms, 0);

    return ngx_sprintf(p, "%T.%03M", (time_t) ms / 1000, ms % 1000);
}


static u_char *
ngx_http_aggregate_reason_item(u_char *p, ngx_http_aggregate_part_t *part)
{
    ngx_str_t  *reason;

    reason = &ngx_http_aggregate_reasons[part->reason];

    return ngx_cpymem(p, reason->data, reason->len);
}


static ngx_int_t
ngx_http_aggregate_tags_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    size_t                      len;
    u_char                     *p;
    ngx_str_t                  *tag;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_array_t                 tags, responses;
    ngx_http_aggregate_ctx_t   *ctx;
    ngx_http_request_t         **response, **last;

    if (ngx_array_init(&tags, r->pool, 8, sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&responses, r->pool, 8,
                          sizeof(ngx_http_request_t *))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx = ngx_http_aggregate_get_ctx(r);

    rc = ctx ? ngx_http_aggregate_responses(ctx, &responses)
         : ngx_http_aggregate_reporter
           ? ngx_http_aggregate_reporter->responses(r, &responses)
           : NGX_DECLINED;

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    response = responses.elts;
    last = response + responses.nelts;

    for ( /* void */ ; response < last; response++) {
        if (ngx_http_aggregate_add_tags(&tags, *response) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    tag = tags.elts;

    for (i = 0, len = 0; i < tags.nelts; i++) {
        len += tag[i].len + 1;
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;

    for (i = 0; i < tags.nelts; i++) {
        p = ngx_sprintf(p, "%s%V", i ? " " : "", &tag[i]);
    }

    v->len = p - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_responses(ngx_http_aggregate_ctx_t *ctx,
    ngx_array_t *responses)
{
    ngx_uint_t                   i, k;
    ngx_http_request_t         **response;
    ngx_http_aggregate_part_t   *part;
    ngx_http_aggregate_fetch_t  *fetch;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->failed || part->skipped) {
            continue;
        }

        for (k = 0; k < part->nfetches; k++) {
            fetch = &part->fetches[k];

            if (fetch->response == NULL || fetch->joined) {
                continue;
            }

            response = ngx_array_push(responses);
            if (response == NULL) {
                return NGX_ERROR;
            }

            *response = fetch->response;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_add_tags(ngx_array_t *tags, ngx_http_request_t *sr)
{
    u_char                            *p, *last, *start;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_header_iter(&it, &sr->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash == 0
            || !ngx_http_aggregate_header_is(h, "Surrogate-Key"))
        {
            continue;
        }

        p = h->value.data;
        last = p + h->value.len;

        while (p < last) {

            if (*p == ' ' || *p == '\t') {
                p++;
                continue;
            }

            start = p;

            while (p < last && *p != ' ' && *p != '\t') {
                p++;
            }

            if (ngx_http_aggregate_add_tag(tags, start, p - start)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_add_tag(ngx_array_t *tags, u_char *start, size_t len)
{
    ngx_str_t   *tag;
    ngx_uint_t   i;

    tag = tags->elts;

    for (i = 0; i < tags->nelts; i++) {

        if (tag[i].len == len && ngx_strncmp(tag[i].data, start, len) == 0) {
            return NGX_OK;
        }
    }

    if (tags->nelts == NGX_HTTP_AGGREGATE_MAX_TAGS) {
        return NGX_OK;
    }

    tag = ngx_array_push(tags);
    if (tag == NULL) {
        return NGX_ERROR;
    }

    tag->data = start;
    tag->len = len;

    return NGX_OK;
}
