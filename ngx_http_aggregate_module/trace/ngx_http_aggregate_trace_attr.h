
/* the attributes of a span while they are collected */


#ifndef _NGX_HTTP_AGGREGATE_TRACE_ATTR_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_TRACE_ATTR_H_INCLUDED_


#include "ngx_http_aggregate_trace.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_TRACE_ATTRS   80
#define NGX_HTTP_AGGREGATE_TRACE_EVENTS  128


typedef struct {
    agg_otlp_attr_t                     attrs[NGX_HTTP_AGGREGATE_TRACE_ATTRS];
    unsigned                            n;
    agg_otlp_attr_t                     event_attrs
                                         [NGX_HTTP_AGGREGATE_TRACE_EVENTS][3];
    agg_otlp_event_t                    events
                                            [NGX_HTTP_AGGREGATE_TRACE_EVENTS];
    unsigned                            nevents;
    u_char                              code[8];
    u_char                              backend[AGG_METRICS_TEXT];
    ngx_uint_t                          configured;
                                              /* unsigned  configured:1; */
} ngx_http_aggregate_trace_set_t;


/* attributes that are encoded once, when a worker starts */

typedef enum {
    NGX_HTTP_AGGREGATE_TRACE_GET = 0,
    NGX_HTTP_AGGREGATE_TRACE_POST,
    NGX_HTTP_AGGREGATE_TRACE_HTTP,
    NGX_HTTP_AGGREGATE_TRACE_HTTPS,
    NGX_HTTP_AGGREGATE_TRACE_10,
    NGX_HTTP_AGGREGATE_TRACE_11,
    NGX_HTTP_AGGREGATE_TRACE_20,
    NGX_HTTP_AGGREGATE_TRACE_30
} ngx_http_aggregate_trace_constant_e;


extern ngx_str_t  ngx_http_aggregate_trace_known_methods[];


ngx_str_t ngx_http_aggregate_trace_token(ngx_http_request_t *r, u_char *p,
    size_t len);
ngx_str_t *ngx_http_aggregate_trace_find_known(ngx_str_t *method);
void ngx_http_aggregate_trace_methods(ngx_http_aggregate_trace_set_t *set,
    ngx_str_t *method, ngx_str_t *known);
void ngx_http_aggregate_trace_met(ngx_http_request_t *r,
    ngx_http_aggregate_trace_set_t *set);
void ngx_http_aggregate_trace_configured(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx, ngx_http_aggregate_trace_set_t *set,
    ngx_uint_t where);
void ngx_http_aggregate_trace_peer(ngx_http_aggregate_trace_set_t *set,
    ngx_str_t *peer);
void ngx_http_aggregate_trace_constant(ngx_http_aggregate_trace_set_t *set,
    ngx_uint_t which);


/* adds an attribute with a literal name to the set */

#define ngx_http_aggregate_trace_attr(set, name, add, value)                  \
    do {                                                                      \
        static const agg_otlp_key_t  key_ = AGG_OTLP_KEY(name);               \
                                                                              \
        add(set, &key_, value);                                               \
    } while (0)

#define ngx_http_aggregate_trace_string(set, name, value)                     \
    ngx_http_aggregate_trace_attr(set, name,                                  \
                                  ngx_http_aggregate_trace_add_string, value)

#define ngx_http_aggregate_trace_text(set, name, value)                       \
    ngx_http_aggregate_trace_attr(set, name,                                  \
                                  ngx_http_aggregate_trace_add_text, value)

#define ngx_http_aggregate_trace_number(set, name, n)                         \
    ngx_http_aggregate_trace_attr(set, name,                                  \
                                  ngx_http_aggregate_trace_add_number, n)


static ngx_inline agg_otlp_attr_t *
ngx_http_aggregate_trace_add(ngx_http_aggregate_trace_set_t *set,
    const agg_otlp_key_t *key)
{
    agg_otlp_attr_t  *a;

    if (set->n == NGX_HTTP_AGGREGATE_TRACE_ATTRS) {
        return NULL;
    }

    a = &set->attrs[set->n++];

    a->known = key;

    return a;
}


static ngx_inline void
ngx_http_aggregate_trace_add_string(ngx_http_aggregate_trace_set_t *set,
    const agg_otlp_key_t *key, ngx_str_t *value)
{
    agg_otlp_attr_t  *a;

    a = ngx_http_aggregate_trace_add(set, key);

    if (a) {
        a->type = AGG_OTLP_STRING;
        a->data = value->data;
        a->len = value->len;
    }
}


static ngx_inline void
ngx_http_aggregate_trace_add_text(ngx_http_aggregate_trace_set_t *set,
    const agg_otlp_key_t *key, const char *value)
{
    agg_otlp_attr_t  *a;

    a = ngx_http_aggregate_trace_add(set, key);

    if (a) {
        a->type = AGG_OTLP_STRING;
        a->data = (const uint8_t *) value;
        a->len = ngx_strlen(value);
    }
}


static ngx_inline void
ngx_http_aggregate_trace_add_number(ngx_http_aggregate_trace_set_t *set,
    const agg_otlp_key_t *key, int64_t n)
{
    agg_otlp_attr_t  *a;

    a = ngx_http_aggregate_trace_add(set, key);

    if (a) {
        a->type = AGG_OTLP_INT;
        a->number = n;
    }
}


/*
 * The method at the start of what was sent.  That of the request may be another
 * one: "error_page" and "X-Accel-Redirect" change it, and "proxy_method" does
 * not.
 */

static ngx_inline ngx_str_t
ngx_http_aggregate_trace_method(ngx_http_request_t *r, u_char *p, size_t len)
{
    ngx_str_t  *name;

    name = &r->method_name;

    /* usually the name is a part of the request line */

    if (name->len < len && p[name->len] == ' '
        && (name->data == p || ngx_memcmp(name->data, p, name->len) == 0))
    {
        return *name;
    }

    return ngx_http_aggregate_trace_token(r, p, len);
}


/* NULL: the method is not one of OpenTelemetry's conventions */

static ngx_inline ngx_str_t *
ngx_http_aggregate_trace_known(ngx_str_t *method)
{
    if (method->len == 3 && method->data[0] == 'G' && method->data[1] == 'E'
        && method->data[2] == 'T')
    {
        return &ngx_http_aggregate_trace_known_methods[0];
    }

    return ngx_http_aggregate_trace_find_known(method);
}


/* the address of a server without the brackets that a URL has for IPv6 */

static ngx_inline void
ngx_http_aggregate_trace_address(ngx_http_aggregate_trace_set_t *set,
    ngx_str_t *host)
{
    ngx_str_t  address;

    address = *host;

    if (address.len > 2 && address.data[0] == '[') {
        address.data++;
        address.len -= 2;
    }

    ngx_http_aggregate_trace_string(set, "server.address", &address);
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_TRACE_ATTR_H_INCLUDED_ */
