
/* The headers of an answer that are derived from the responses in it. */

#include "ngx_http_aggregate_merge_headers.h"
#include "ngx_http_aggregate_depends.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_sent.h"


static ngx_int_t ngx_http_aggregate_merge_header(
    ngx_http_aggregate_merge_headers_t *headers, ngx_array_t *pass,
    ngx_table_elt_t *h, agg_freshness_t *f, time_t *expires,
    ngx_table_elt_t **dated);
static ngx_uint_t ngx_http_aggregate_named(ngx_array_t *names,
    ngx_table_elt_t *h);
static ngx_int_t ngx_http_aggregate_merge_set_headers(
    ngx_http_aggregate_merge_headers_t *headers,
    ngx_http_aggregate_fetch_t *fetch, ngx_str_t *vary);
static ngx_int_t ngx_http_aggregate_pass_to_client(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_int_t ngx_http_aggregate_send_vary(
    ngx_http_aggregate_merge_headers_t *headers);
static ngx_int_t ngx_http_aggregate_send_cache_control(
    ngx_http_aggregate_merge_headers_t *headers, ngx_uint_t no_store);
static ngx_int_t ngx_http_aggregate_known_cache_control(ngx_http_request_t *r,
    ngx_table_elt_t *h);


#define ngx_http_aggregate_is(h, s)                                           \
    ((h)->key.len == sizeof(s) - 1                                            \
     && ngx_strncasecmp((h)->key.data, (u_char *) s, sizeof(s) - 1) == 0)


ngx_int_t
ngx_http_aggregate_merge_response(ngx_http_aggregate_merge_headers_t *headers,
    ngx_http_aggregate_fetch_t *fetch, ngx_array_t *pass)
{
    time_t                             expires, date;
    agg_freshness_t                    f;
    ngx_table_elt_t                   *h, *dated;
    ngx_http_request_t                *sr;
    ngx_http_aggregate_header_iter_t   it;

    sr = fetch->response;

    agg_freshness_init(&f);

    expires = NGX_ERROR - 1;

    /* proxy_pass removes it from the list */

    dated = sr->upstream ? sr->upstream->headers_in.date : NULL;

    ngx_http_aggregate_header_iter(&it, &sr->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash == 0) {
            continue;
        }

        if (ngx_http_aggregate_merge_header(headers, pass, h, &f, &expires,
                                            &dated)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_aggregate_is(h, "Vary")
            && ngx_http_aggregate_merge_set_headers(headers, fetch, &h->value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (expires != NGX_ERROR - 1) {

        date = dated ? ngx_parse_http_time(dated->value.data,
                                           dated->value.len)
                     : NGX_ERROR;
        date = (date == NGX_ERROR) ? ngx_time() : date;

        /* an invalid value, such as "0", is in the past */

        f.expires = (expires != NGX_ERROR && expires > date)
                    ? (long) ngx_min(expires - date, 2147483647) : 0;
    }

    agg_freshness_merge(&headers->freshness, &f, headers->responses == 0);

    headers->responses++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_merge_header(ngx_http_aggregate_merge_headers_t *headers,
    ngx_array_t *pass, ngx_table_elt_t *h, agg_freshness_t *f,
    time_t *expires, ngx_table_elt_t **dated)
{
    ngx_http_request_t  *r;

    r = headers->request;

    switch (h->key.len) {

    case 3:

        if (ngx_http_aggregate_is(h, "Age")) {
            f->age = agg_cache_age_parse(h->value.data, h->value.len);
            f->age = ngx_max(f->age, 0);
        }

        break;

    case 4:

        if (ngx_http_aggregate_is(h, "Vary")) {
            return ngx_http_aggregate_merge_vary(headers, &h->value);
        }

        if (ngx_http_aggregate_is(h, "Date")) {
            *dated = h;
        }

        break;

    case 7:

        if (ngx_http_aggregate_is(h, "Expires")) {
            *expires = ngx_parse_http_time(h->value.data, h->value.len);
        }

        break;

    case 10:

        if (ngx_http_aggregate_is(h, "Set-Cookie")) {
            headers->cookies = 1;

            return ngx_http_aggregate_header_add(&r->headers_out.headers,
                                                 "Set-Cookie", &h->value)
                   ? NGX_OK : NGX_ERROR;
        }

        break;

    case 13:

        if (ngx_http_aggregate_is(h, "Cache-Control")) {
            agg_cache_control_parse(&f->control, h->value.data,
                                    h->value.len);
        }

        break;
    }

    if (pass && ngx_http_aggregate_named(pass, h)) {
        return ngx_http_aggregate_pass_to_client(r, h);
    }

    return NGX_OK;
}


/* gzip makes an ETag weak, if it knows it, but that of a part has no 304 */

static ngx_int_t
ngx_http_aggregate_pass_to_client(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    h = ngx_http_aggregate_header_copy(&r->headers_out.headers, h);
    if (h == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_aggregate_is(h, "ETag")) {
        r->headers_out.etag = h;
        r->disable_not_modified = 1;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_named(ngx_array_t *names, ngx_table_elt_t *h)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {

        if (name[i].len == h->key.len
            && ngx_strncasecmp(name[i].data, h->key.data, h->key.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_aggregate_merge_vary(ngx_http_aggregate_merge_headers_t *headers,
    ngx_str_t *value)
{
    u_char      *p, *last, *start;
    ngx_str_t   *name;
    ngx_uint_t   i;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        if (*p == ',' || *p == ' ' || *p == '\t') {
            p++;
            continue;
        }

        start = p;

        while (p < last && *p != ',' && *p != ' ' && *p != '\t') {
            p++;
        }

        if (p - start == 1 && *start == '*') {
            headers->any = 1;
            continue;
        }

        name = headers->vary.elts;

        for (i = 0; i < headers->vary.nelts; i++) {

            if (name[i].len == (size_t) (p - start)
                && ngx_strncasecmp(name[i].data, start, p - start) == 0)
            {
                break;
            }
        }

        if (i < headers->vary.nelts || headers->vary.nelts == 64) {

            /* more than 64 names count as "*" */

            headers->any |= (i == 64);
            continue;
        }

        if (headers->vary.elts == NULL
            && ngx_array_init(&headers->vary, headers->request->pool, 4,
                              sizeof(ngx_str_t))
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        name = ngx_array_push(&headers->vary);
        if (name == NULL) {
            return NGX_ERROR;
        }

        name->data = start;
        name->len = p - start;
    }

    return NGX_OK;
}


/*
 * The client's headers do not tell by what the answer varies, if a part varies
 * by a header that the configuration sets.
 */

static ngx_int_t
ngx_http_aggregate_merge_set_headers(
    ngx_http_aggregate_merge_headers_t *headers,
    ngx_http_aggregate_fetch_t *fetch, ngx_str_t *vary)
{
    u_char                      *p, *last;
    ngx_str_t                    name, *constant;
    ngx_uint_t                   i;
    ngx_http_aggregate_field_t  *field;

    p = vary->data;
    last = p + vary->len;

    for ( ;; ) {

        while (p < last && (*p == ',' || *p == ' ' || *p == '\t')) {
            p++;
        }

        if (p == last) {
            return NGX_OK;
        }

        name.data = p;

        while (p < last && *p != ',' && *p != ' ' && *p != '\t') {
            p++;
        }

        name.len = p - name.data;

        constant = NULL;
        field = fetch->headers;

        for (i = 0; i < fetch->nheaders; i++) {

            if (field[i].constant
                && field[i].name->name.len == name.len
                && ngx_strncasecmp(field[i].name->name.data, name.data,
                                   name.len)
                   == 0)
            {
                constant = &field[i].value;
            }
        }

        if (ngx_http_aggregate_sets_header(fetch->response, NULL,
                                           &headers->request->headers_in
                                            .headers,
                                           constant, &name)
            && ngx_http_aggregate_depend_header(headers->request, &name)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }
}


ngx_int_t
ngx_http_aggregate_merge_send(ngx_http_aggregate_merge_headers_t *headers,
    ngx_uint_t no_store)
{
    if (ngx_http_aggregate_send_cache_control(headers, no_store) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_send_vary(headers);
}


static ngx_int_t
ngx_http_aggregate_send_vary(ngx_http_aggregate_merge_headers_t *headers)
{
    size_t               len;
    u_char              *p;
    ngx_str_t           *name, value;
    ngx_uint_t           i;
    ngx_http_request_t  *r;

    r = headers->request;

    if (headers->any) {
        ngx_str_set(&value, "*");

        return ngx_http_aggregate_header_add(&r->headers_out.headers, "Vary",
                                             &value)
               ? NGX_OK : NGX_ERROR;
    }

    name = headers->vary.elts;

    for (i = 0, len = 0; i < headers->vary.nelts; i++) {
        len += name[i].len + 2;
    }

    if (len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    for (i = 0; i < headers->vary.nelts; i++) {
        p = ngx_sprintf(p, "%s%V", i ? ", " : "", &name[i]);
    }

    value.len = p - value.data;

    return ngx_http_aggregate_header_add(&r->headers_out.headers, "Vary",
                                         &value)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_send_cache_control(
    ngx_http_aggregate_merge_headers_t *headers, ngx_uint_t no_store)
{
    u_char              *p;
    ngx_str_t            value;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = headers->request;

    if (headers->cookies) {
        headers->freshness.control.flags |= AGG_CACHE_CC_PRIVATE;
    }

    if (no_store) {
        ngx_str_set(&value, "no-store");

    } else if (headers->responses == 0) {
        return NGX_OK;

    } else {
        p = ngx_pnalloc(r->pool, AGG_FRESHNESS_SIZE);
        if (p == NULL) {
            return NGX_ERROR;
        }

        value.data = p;
        value.len = agg_freshness_write(&headers->freshness, p);

        if (value.len == 0) {
            return NGX_OK;
        }
    }

    h = ngx_http_aggregate_header_add(&r->headers_out.headers,
                                      "Cache-Control", &value);
    if (h == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_known_cache_control(r, h);
}


/* sets nginx's pointer, which "expires" and other directives use */

static ngx_int_t
ngx_http_aggregate_known_cache_control(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
#if (NGX_HTTP_AGGREGATE_LINKED_HEADERS)

    h->next = r->headers_out.cache_control;
    r->headers_out.cache_control = h;

#else

    ngx_table_elt_t  **p;

    if (r->headers_out.cache_control.elts == NULL
        && ngx_array_init(&r->headers_out.cache_control, r->pool, 1,
                          sizeof(ngx_table_elt_t *))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_array_push(&r->headers_out.cache_control);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *p = h;

#endif

    return NGX_OK;
}
