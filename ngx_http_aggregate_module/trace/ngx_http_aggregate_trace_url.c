
/* URLs of spans, without the values of arguments that are secret */


#include "ngx_http_aggregate_compat.h"
#include "ngx_http_aggregate_trace_attr.h"


static ngx_uint_t ngx_http_aggregate_trace_is_named(ngx_str_t *name,
    u_char *p, u_char *last);
static ngx_str_t ngx_http_aggregate_trace_grpc_uri(ngx_http_request_t *r);
#if (NGX_HTTP_AGGREGATE_PROXY_V2)
static void ngx_http_aggregate_trace_frames(ngx_http_request_t *r, u_char *p,
    u_char *last, ngx_http_aggregate_span_t *span);
static void ngx_http_aggregate_trace_fields(ngx_http_request_t *r, u_char *p,
    u_char *last, ngx_http_aggregate_span_t *span);
static u_char *ngx_http_aggregate_trace_field(ngx_http_request_t *r,
    u_char *p, u_char *last, ngx_str_t *value);
#endif


/* replaces the values of secret arguments, whose names match in any case */

ngx_str_t
ngx_http_aggregate_trace_query(ngx_http_request_t *r,
    ngx_http_aggregate_trace_loc_conf_t *tlcf, ngx_str_t *args)
{
    u_char      *p, *last, *end, *equal, *q;
    ngx_str_t    result, *name;
    ngx_uint_t   i, hidden;

    name = tlcf->redact->elts;
    last = args->data + args->len;
    result = *args;

    q = ngx_pnalloc(r->pool, args->len * 9 + 8);

    if (q == NULL) {
        result.len = 0;
        return result;
    }

    result.data = q;

    for (p = args->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        end = end ? end : last;
        equal = ngx_strlchr(p, end, '=');
        hidden = 0;

        for (i = 0; equal && i < tlcf->redact->nelts && !hidden; i++) {
            hidden = (name[i].len == 1 && name[i].data[0] == '*')
                     || ngx_http_aggregate_trace_is_named(&name[i], p, equal);
        }

        if (hidden) {
            q = ngx_cpymem(q, p, equal + 1 - p);
            q = ngx_cpymem(q, "REDACTED", 8);

        } else {
            q = ngx_cpymem(q, p, end - p);
        }

        if (end < last) {
            *q++ = '&';
        }
    }

    result.len = q - result.data;

    return result;
}


/* the name of an argument may be escaped, as the backend decodes it */

static ngx_uint_t
ngx_http_aggregate_trace_is_named(ngx_str_t *name, u_char *p, u_char *last)
{
    u_char      ch;
    size_t      i;
    ngx_int_t   n;

    for (i = 0; p < last; i++) {

        ch = *p++;

        if (ch == '%' && last - p >= 2) {
            n = ngx_hextoi(p, 2);

            if (n != NGX_ERROR) {
                ch = (u_char) n;
                p += 2;
            }
        }

        if (i == name->len || ngx_tolower(ch) != ngx_tolower(name->data[i])) {
            return 0;
        }
    }

    return i == name->len;
}


ngx_str_t
ngx_http_aggregate_trace_url(ngx_http_aggregate_trace_ctx_t *ctx,
    ngx_http_aggregate_span_t *span)
{
    u_char     *p, *q;
    ngx_str_t   url, args, path;

    path = span->uri;
    ngx_str_null(&args);

    p = path.len ? memchr(path.data, '?', path.len) : NULL;

    if (p) {
        args.data = p + 1;
        args.len = path.data + path.len - args.data;
        path.len = args.data - path.data;

        if (args.len) {
            args = ngx_http_aggregate_trace_query(span->request, ctx->conf,
                                                  &args);
        }
    }

    url.len = span->scheme.len + span->host.len + path.len + args.len + 16;
    url.data = ngx_pnalloc(span->request->pool, url.len);

    if (url.data == NULL) {
        url.len = 0;
        return url;
    }

    q = ngx_cpymem(url.data, span->scheme.data, span->scheme.len);

    if (span->host.len && span->host.data[0] == '/') {
        q = ngx_sprintf(q, "unix:%V:", &span->host);

    } else {
        q = ngx_cpymem(q, span->host.data, span->host.len);
    }

    if (span->port) {
        q = ngx_sprintf(q, ":%ui", (ngx_uint_t) span->port);
    }

    q = ngx_cpymem(q, path.data, path.len);

    if (args.len) {
        q = ngx_cpymem(q, args.data, args.len);
    }

    url.len = q - url.data;

    return url;
}


/*
 * The method and the URI of the request to the upstream.  "proxy_method" and
 * "proxy_cache_convert_head" change the method.
 */

void
ngx_http_aggregate_trace_sent(ngx_http_request_t *r, ngx_http_upstream_t *u,
    ngx_http_aggregate_span_t *span)
{
    ngx_buf_t  *b;
    ngx_str_t   method;

    span->method = r->method_name;
    span->uri = u->uri;

    /* "http://", "https://", "grpc://" or "grpcs://" */

    if (u->schema.len == 0 || u->schema.data[0] != 'h') {

        if (u->schema.len && u->schema.data[0] == 'g') {
            span->uri = ngx_http_aggregate_trace_grpc_uri(r);
        }

        return;
    }

    b = u->request_bufs ? u->request_bufs->buf : NULL;

    if (b == NULL || b->start == NULL) {
        return;
    }

    method = ngx_http_aggregate_trace_method(r, b->start, b->last - b->start);

    /* HTTP/2 begins with "PRI" */

    if (method.data != b->start || method.len != 3
        || ngx_strncmp(method.data, "PRI", 3) != 0)
    {
        span->method = method;
        return;
    }

#if (NGX_HTTP_AGGREGATE_PROXY_V2)
    ngx_http_aggregate_trace_frames(r, b->start, b->last, span);
#endif
}


#if (NGX_HTTP_AGGREGATE_PROXY_V2)

/* the first HEADERS frame after the preface of a connection */

static void
ngx_http_aggregate_trace_frames(ngx_http_request_t *r, u_char *p,
    u_char *last, ngx_http_aggregate_span_t *span)
{
    size_t  len;

    static const char  preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    len = sizeof(preface) - 1;

    if ((size_t) (last - p) < len || ngx_memcmp(p, preface, len) != 0) {
        return;
    }

    p += len;

    while (last - p > NGX_HTTP_V2_FRAME_HEADER_SIZE) {

        len = (size_t) p[0] << 16 | (size_t) p[1] << 8 | p[2];
        len = ngx_min(len, (size_t) (last - p)
                           - NGX_HTTP_V2_FRAME_HEADER_SIZE);

        if (p[3] == NGX_HTTP_V2_HEADERS_FRAME) {
            p += NGX_HTTP_V2_FRAME_HEADER_SIZE;
            ngx_http_aggregate_trace_fields(r, p, p + len, span);

            return;
        }

        p += NGX_HTTP_V2_FRAME_HEADER_SIZE + len;
    }
}


/* nginx writes ":method", ":scheme" and ":path" first, in this order */

static void
ngx_http_aggregate_trace_fields(ngx_http_request_t *r, u_char *p,
    u_char *last, ngx_http_aggregate_span_t *span)
{
    u_char     field;
    ngx_str_t  value;

    while (p < last) {

        field = *p++;

        switch (field) {

        case ngx_http_v2_indexed(NGX_HTTP_V2_METHOD_GET_INDEX):
            ngx_str_set(&span->method, "GET");
            continue;

        case ngx_http_v2_indexed(NGX_HTTP_V2_METHOD_POST_INDEX):
            ngx_str_set(&span->method, "POST");
            continue;

        case ngx_http_v2_indexed(NGX_HTTP_V2_SCHEME_HTTP_INDEX):
        case ngx_http_v2_indexed(NGX_HTTP_V2_SCHEME_HTTPS_INDEX):
            continue;

        case ngx_http_v2_indexed(NGX_HTTP_V2_PATH_ROOT_INDEX):
            ngx_str_set(&span->uri, "/");
            return;

        case ngx_http_v2_inc_indexed(NGX_HTTP_V2_METHOD_INDEX):
        case ngx_http_v2_inc_indexed(NGX_HTTP_V2_PATH_INDEX):
            p = ngx_http_aggregate_trace_field(r, p, last, &value);
            break;

        default:
            return;
        }

        if (p == NULL) {
            return;
        }

        if (field == ngx_http_v2_inc_indexed(NGX_HTTP_V2_PATH_INDEX)) {
            span->uri = value;
            return;
        }

        span->method = value;
    }
}


/* the value of a field; NULL: it is not complete, or there is no memory */

static u_char *
ngx_http_aggregate_trace_field(ngx_http_request_t *r, u_char *p,
    u_char *last, ngx_str_t *value)
{
    u_char      state, *dst;
    size_t      len;
    ngx_uint_t  huffman, shift;

    if (p == last) {
        return NULL;
    }

    huffman = *p >> 7;
    len = *p++ & 0x7f;

    if (len == 0x7f) {

        for (shift = 0; p < last && shift < 28; shift += 7) {
            len += (size_t) (*p & 0x7f) << shift;

            if ((*p++ & 0x80) == 0) {
                break;
            }
        }
    }

    if (len > (size_t) (last - p)) {
        return NULL;
    }

    value->data = p;
    value->len = len;

    if (huffman) {

        /* the shortest code has five bits */

        value->data = ngx_pnalloc(r->pool, len * 8 / 5 + 1);
        if (value->data == NULL) {
            return NULL;
        }

        state = 0;
        dst = value->data;

        if (ngx_http_huff_decode(&state, p, len, &dst, 1, r->connection->log)
            != NGX_OK)
        {
            return NULL;
        }

        value->len = dst - value->data;
    }

    return p + len;
}

#endif


/* the ":path" that "grpc_pass" sends; empty: there is no memory */

static ngx_str_t
ngx_http_aggregate_trace_grpc_uri(ngx_http_request_t *r)
{
    u_char     *p;
    size_t      escape;
    ngx_str_t   uri;

    if (r->valid_unparsed_uri) {
        return r->unparsed_uri;
    }

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len,
                                NGX_ESCAPE_URI);

    uri.len = r->uri.len + escape + 1 + r->args.len;
    uri.data = ngx_pnalloc(r->pool, uri.len);

    if (uri.data == NULL) {
        uri.len = 0;
        return uri;
    }

    if (escape) {
        p = (u_char *) ngx_escape_uri(uri.data, r->uri.data, r->uri.len,
                                      NGX_ESCAPE_URI);

    } else {
        p = ngx_cpymem(uri.data, r->uri.data, r->uri.len);
    }

    if (r->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    uri.len = p - uri.data;

    return uri;
}
