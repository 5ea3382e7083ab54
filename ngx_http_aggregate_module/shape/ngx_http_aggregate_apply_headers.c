
/* the headers of responses that are shaped, or could have been */

#include "ngx_http_aggregate_shape.h"


static ngx_uint_t ngx_http_aggregate_apply_has_vary(ngx_http_request_t *r,
    ngx_str_t *name);
static ngx_uint_t ngx_http_aggregate_apply_lists(ngx_str_t *list,
    ngx_str_t *name);
static ngx_table_elt_t *ngx_http_aggregate_apply_only_etag(
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_aggregate_apply_match(ngx_str_t *list,
    ngx_str_t *etag);


/* application/json, any type that ends with +json, and those of "types=" */

ngx_uint_t
ngx_http_aggregate_apply_type(ngx_http_request_t *r,
    ngx_http_aggregate_apply_t *apply)
{
    size_t       len;
    u_char      *p;
    ngx_str_t   *type;
    ngx_uint_t   i;

    p = r->headers_out.content_type.data;

    for (len = 0; len < r->headers_out.content_type.len; len++) {
        if (p[len] == ';' || p[len] == ' ' || p[len] == '\t') {
            break;
        }
    }

    if (len == 16 && ngx_strncasecmp(p, (u_char *) "application/json", 16)
                     == 0)
    {
        return 1;
    }

    if (len > 5 && ngx_strncasecmp(p + len - 5, (u_char *) "+json", 5) == 0) {
        return 1;
    }

    if (apply->types == NULL) {
        return 0;
    }

    type = apply->types->elts;

    for (i = 0; i < apply->types->nelts; i++) {
        if (type[i].len == len && ngx_strncasecmp(type[i].data, p, len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* adds a line with those names that no other line has */

ngx_int_t
ngx_http_aggregate_apply_vary(ngx_http_request_t *r,
    ngx_http_aggregate_apply_t *apply)
{
    u_char      *p;
    size_t       len;
    ngx_str_t   *names, value;
    ngx_uint_t   i;

    if (apply->vary == NULL) {
        return NGX_OK;
    }

    names = apply->vary->elts;
    len = 0;

    for (i = 0; i < apply->vary->nelts; i++) {
        len += names[i].len + 2;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; i < apply->vary->nelts; i++) {

        if (ngx_http_aggregate_apply_has_vary(r, &names[i])) {
            continue;
        }

        if (len) {
            p[len++] = ',';
            p[len++] = ' ';
        }

        ngx_memcpy(p + len, names[i].data, names[i].len);
        len += names[i].len;
    }

    if (len == 0) {
        return NGX_OK;
    }

    value.data = p;
    value.len = len;

    return ngx_http_aggregate_header_add(&r->headers_out.headers, "Vary",
                                         &value)
           ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_aggregate_apply_has_vary(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_header_iter(&it, &r->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash && ngx_http_aggregate_header_is(h, "Vary")
            && ngx_http_aggregate_apply_lists(&h->value, name))
        {
            return 1;
        }
    }

    return 0;
}


/* whether a comma-separated list has the name, or "*" */

static ngx_uint_t
ngx_http_aggregate_apply_lists(ngx_str_t *list, ngx_str_t *name)
{
    size_t   len;
    u_char  *p, *end, *start;

    p = list->data;
    end = p + list->len;

    while (p < end) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        start = p;

        while (p < end && *p != ' ' && *p != '\t' && *p != ',') {
            p++;
        }

        len = p - start;

        if ((len == 1 && *start == '*')
            || (len == name->len
                && ngx_strncasecmp(start, name->data, len) == 0))
        {
            return 1;
        }
    }

    return 0;
}


/* a weak tag, different for each shape and for the values of its variables */

ngx_int_t
ngx_http_aggregate_apply_etag(ngx_http_request_t *r,
    ngx_http_aggregate_apply_ctx_t *ctx)
{
    u_char      *p, digest[16];
    ngx_md5_t    md5;
    ngx_str_t    tag, *etag;
    ngx_uint_t   i;

    r->headers_out.etag = ngx_http_aggregate_apply_only_etag(r);

    if (r->headers_out.etag == NULL) {
        return NGX_OK;
    }

    etag = &r->headers_out.etag->value;
    tag = *etag;

    if (tag.len > 2 && tag.data[0] == 'W' && tag.data[1] == '/') {
        tag.data += 2;
        tag.len -= 2;
    }

    if (tag.len < 2 || tag.data[0] != '"' || tag.data[tag.len - 1] != '"') {
        ngx_http_clear_etag(r);
        return NGX_OK;
    }

    md5 = ctx->named->md5;

    for (i = 0; i < ctx->named->shape->limits.nelts; i++) {
        ngx_md5_update(&md5, &ctx->args.limits[i], sizeof(size_t));
    }

    for (i = 0; i < ctx->named->shape->values.nelts; i++) {
        ngx_md5_update(&md5, &ctx->args.values[i].len, sizeof(size_t));
        ngx_md5_update(&md5, ctx->args.values[i].data,
                       ctx->args.values[i].len);
    }

    ngx_md5_final(digest, &md5);

    p = ngx_pnalloc(r->pool, tag.len + sizeof("W/-0123456789abcdef") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    etag->data = p;

    p = ngx_cpymem(p, "W/", 2);
    p = ngx_cpymem(p, tag.data, tag.len - 1);
    *p++ = '-';
    p = ngx_hex_dump(p, digest, 8);
    *p++ = '"';

    etag->len = p - etag->data;

    return NGX_OK;
}


/*
 * The one that nginx knows, or else the last line.  Any other would be that of
 * the whole body, and is removed.
 */

static ngx_table_elt_t *
ngx_http_aggregate_apply_only_etag(ngx_http_request_t *r)
{
    ngx_table_elt_t                   *h, *etag;
    ngx_http_aggregate_header_iter_t   it;

    etag = NULL;

    ngx_http_aggregate_header_iter(&it, &r->headers_out.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash == 0 || !ngx_http_aggregate_header_is(h, "ETag")) {
            continue;
        }

        if (etag && etag == r->headers_out.etag) {
            h->hash = 0;
            continue;
        }

        if (etag) {
            etag->hash = 0;
        }

        etag = h;
    }

    return etag;
}


/* removes the headers that describe only the whole body */

void
ngx_http_aggregate_apply_clear(ngx_http_request_t *r)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("Content-MD5"),
        ngx_string("Digest"),
        ngx_string("Content-Digest"),
        ngx_string("Repr-Digest")
    };

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    for (i = 0; i < 4; i++) {
        ngx_http_aggregate_header_clear(&r->headers_out.headers, &names[i]);
    }
}


/*
 * Whether the client already has the response.  A shaped response is compared
 * by its tag only, as its time does not depend on the shape.
 */

ngx_uint_t
ngx_http_aggregate_apply_unchanged(ngx_http_request_t *r)
{
    return r == r->main
           && r->headers_out.status == NGX_HTTP_OK
           && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
           && r->headers_in.if_none_match != NULL
           && r->headers_out.etag != NULL
           && ngx_http_aggregate_apply_match(
                                        &r->headers_in.if_none_match->value,
                                        &r->headers_out.etag->value);
}


/* compares weakly: W/ is ignored on both sides */

static ngx_uint_t
ngx_http_aggregate_apply_match(ngx_str_t *list, ngx_str_t *etag)
{
    u_char     *p, *end, *start;
    ngx_str_t   tag;

    if (list->len == 1 && list->data[0] == '*') {
        return 1;
    }

    tag = *etag;

    if (tag.len > 2 && tag.data[0] == 'W' && tag.data[1] == '/') {
        tag.data += 2;
        tag.len -= 2;
    }

    p = list->data;
    end = p + list->len;

    while (p < end) {

        if (*p != '"') {
            p++;
            continue;
        }

        start = p++;

        while (p < end && *p != '"') {
            p++;
        }

        if (p == end) {
            break;
        }

        p++;

        if ((size_t) (p - start) == tag.len
            && ngx_strncmp(start, tag.data, tag.len) == 0
            && (p == end || *p == ',' || *p == ' ' || *p == '\t'))
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_aggregate_apply_not_modified(ngx_http_request_t *r)
{
    r->headers_out.status = NGX_HTTP_NOT_MODIFIED;
    r->headers_out.status_line.len = 0;
    r->headers_out.content_type.len = 0;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    if (r->headers_out.content_encoding) {
        r->headers_out.content_encoding->hash = 0;
        r->headers_out.content_encoding = NULL;
    }
}
