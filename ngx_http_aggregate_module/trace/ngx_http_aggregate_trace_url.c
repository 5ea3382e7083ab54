
/* URLs of spans, without the values of arguments that are secret */


#include "ngx_http_aggregate_trace_attr.h"


static ngx_uint_t ngx_http_aggregate_trace_is_named(ngx_str_t *name,
    u_char *p, u_char *last);
static ngx_str_t ngx_http_aggregate_trace_grpc_uri(ngx_http_request_t *r);


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
    }
}


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
