
/* attributes that several kinds of spans have */


#include "ngx_http_aggregate_trace_attr.h"
#include "ngx_http_aggregate_breaker.h"
#include "ngx_http_aggregate_split.h"


typedef struct {
    agg_otlp_key_t                      key;
    const char                         *value;
    agg_otlp_constant_t                 constant;
} ngx_http_aggregate_trace_constant_t;


static void ngx_http_aggregate_trace_splits(ngx_http_request_t *r,
    ngx_http_aggregate_trace_set_t *set);
static agg_otlp_attr_t *ngx_http_aggregate_trace_named(
    ngx_http_aggregate_trace_set_t *set, ngx_str_t *name);


/* in the order of ngx_http_aggregate_trace_constants */

ngx_str_t  ngx_http_aggregate_trace_known_methods[] = {
    ngx_string("GET"),
    ngx_string("POST"),
    ngx_string("HEAD"),
    ngx_string("PUT"),
    ngx_string("PATCH"),
    ngx_string("DELETE"),
    ngx_string("OPTIONS"),
    ngx_string("TRACE"),
    ngx_string("CONNECT"),
    ngx_null_string
};


#define ngx_http_aggregate_trace_encoded(name, value)                         \
    { AGG_OTLP_KEY(name), value, { 0, { 0 } } }

static ngx_http_aggregate_trace_constant_t
    ngx_http_aggregate_trace_constants[] =
{
    ngx_http_aggregate_trace_encoded("http.request.method", "GET"),
    ngx_http_aggregate_trace_encoded("http.request.method", "POST"),
    ngx_http_aggregate_trace_encoded("url.scheme", "http"),
    ngx_http_aggregate_trace_encoded("url.scheme", "https"),
    ngx_http_aggregate_trace_encoded("network.protocol.version", "1.0"),
    ngx_http_aggregate_trace_encoded("network.protocol.version", "1.1"),
    ngx_http_aggregate_trace_encoded("network.protocol.version", "2"),
    ngx_http_aggregate_trace_encoded("network.protocol.version", "3")
};


void
ngx_http_aggregate_trace_encode_constants(void)
{
    ngx_uint_t                            i;
    ngx_http_aggregate_trace_constant_t  *c;

    c = ngx_http_aggregate_trace_constants;

    for (i = 0; i <= NGX_HTTP_AGGREGATE_TRACE_30; i++) {
        (void) agg_otlp_constant(&c[i].constant, &c[i].key, c[i].value);
    }
}


/* the method at the start of a request line, or else that of the request */

ngx_str_t
ngx_http_aggregate_trace_token(ngx_http_request_t *r, u_char *p, size_t len)
{
    size_t     i;
    ngx_str_t  method;

    for (i = 0; i < len; i++) {
        if ((p[i] < 'A' || p[i] > 'Z') && p[i] != '_' && p[i] != '-') {
            break;
        }
    }

    if (i == 0 || i == len || p[i] != ' ') {
        return r->method_name;
    }

    method.data = p;
    method.len = i;

    return method;
}


ngx_str_t *
ngx_http_aggregate_trace_find_known(ngx_str_t *method)
{
    ngx_str_t  *known;

    for (known = ngx_http_aggregate_trace_known_methods; known->len; known++) {
        if (known->len == method->len
            && ngx_strncmp(known->data, method->data, known->len) == 0)
        {
            return known;
        }
    }

    return NULL;
}


void
ngx_http_aggregate_trace_methods(ngx_http_aggregate_trace_set_t *set,
    ngx_str_t *method, ngx_str_t *known)
{
    static ngx_str_t  other = ngx_string("_OTHER");

    if (known == &ngx_http_aggregate_trace_known_methods[0]) {
        ngx_http_aggregate_trace_constant(set, NGX_HTTP_AGGREGATE_TRACE_GET);
        return;
    }

    if (known == &ngx_http_aggregate_trace_known_methods[1]) {
        ngx_http_aggregate_trace_constant(set, NGX_HTTP_AGGREGATE_TRACE_POST);
        return;
    }

    ngx_http_aggregate_trace_string(set, "http.request.method",
                                    known ? known : &other);

    if (known == NULL && method->len) {
        ngx_http_aggregate_trace_string(set, "http.request.method_original",
                                        method);
    }
}


/* the results of the cache and of the breaker for the request */

void
ngx_http_aggregate_trace_met(ngx_http_request_t *r,
    ngx_http_aggregate_trace_set_t *set)
{
    uint32_t                                 result, tier;
    ngx_str_t                                value;
    ngx_http_variable_value_t               *v;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    static const char  *results[] = {
        "", "hit", "miss", "stale", "bypass", "revalidated"
    };

    result = ngx_http_aggregate_metrics_cache(r, &tier);

    if (result) {
        ngx_http_aggregate_trace_text(set, "gateway.cache.result",
                                      results[result]);
    }

    if (tier) {
        ngx_http_aggregate_trace_text(set, "gateway.cache.tier",
                                      tier == 1 ? "L1" : "L2");
    }

    v = ngx_http_aggregate_breaker_result(r);

    if (v && !v->not_found && v->len > 1
        && !(v->len == 4 && ngx_strncmp(v->data, "pass", 4) == 0))
    {
        value.data = v->data;
        value.len = v->len;
        ngx_http_aggregate_trace_string(set, "gateway.breaker.result",
                                        &value);
    }

    mmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_metrics_module);

    if (mmcf->breaker_state != NGX_ERROR
        && ngx_http_aggregate_metrics_variable(r, mmcf->breaker_state, &value)
        && value.len > 1)
    {
        ngx_http_aggregate_trace_string(set, "gateway.breaker.state", &value);
    }

    ngx_http_aggregate_trace_splits(r, set);
}


/* the versions that were chosen by splits for the request */

static void
ngx_http_aggregate_trace_splits(ngx_http_request_t *r,
    ngx_http_aggregate_trace_set_t *set)
{
    ngx_int_t         rc;
    ngx_str_t         name, version;
    ngx_uint_t        i;
    agg_otlp_attr_t  *a;

    for (i = 0; /* void */ ; i++) {

        rc = ngx_http_aggregate_split_chosen(r, i, &name, &version);

        if (rc == NGX_DONE) {
            return;
        }

        if (rc != NGX_OK) {
            continue;
        }

        a = ngx_http_aggregate_trace_add(set, NULL);

        if (a) {
            a->key = name.data;
            a->key_len = name.len;
            a->type = AGG_OTLP_STRING;
            a->data = version.data;
            a->len = version.len;
        }
    }
}


void
ngx_http_aggregate_trace_configured(ngx_http_request_t *r,
    ngx_http_aggregate_trace_ctx_t *ctx, ngx_http_aggregate_trace_set_t *set,
    ngx_uint_t where)
{
    ngx_str_t                             value;
    ngx_uint_t                            i;
    agg_otlp_attr_t                      *a;
    ngx_http_aggregate_trace_attr_t      *attr;
    ngx_http_aggregate_trace_loc_conf_t  *tlcf;

    tlcf = (r == ctx->request)
           ? ctx->conf
           : ngx_http_get_module_loc_conf(r, ngx_http_aggregate_trace_module);

    if (tlcf->attrs == NULL) {
        return;
    }

    attr = tlcf->attrs->elts;

    for (i = 0; i < tlcf->attrs->nelts; i++) {

        if (attr[i].span != where
            || ngx_http_complex_value(r, &attr[i].value, &value) != NGX_OK
            || value.len == 0)
        {
            continue;
        }

        a = ngx_http_aggregate_trace_named(set, &attr[i].name);

        if (a) {
            a->type = AGG_OTLP_STRING;
            a->data = value.data;
            a->len = value.len;
        }
    }
}


/* a span has each name once, so a configured attribute replaces one of ours */

static agg_otlp_attr_t *
ngx_http_aggregate_trace_named(ngx_http_aggregate_trace_set_t *set,
    ngx_str_t *name)
{
    size_t            len;
    unsigned          i;
    const void       *key;
    agg_otlp_attr_t  *a;

    for (i = 0; i < set->n; i++) {
        a = &set->attrs[i];
        key = a->known ? (const uint8_t *) a->known->text : a->key;
        len = a->known ? a->known->len : a->key_len;

        if (len == name->len && ngx_memcmp(key, name->data, len) == 0) {
            return a;
        }
    }

    a = ngx_http_aggregate_trace_add(set, NULL);

    if (a) {
        a->key = name->data;
        a->key_len = name->len;
    }

    return a;
}


/*
 * "ADDRESS:PORT", "[ADDRESS]:PORT" or "unix:PATH"; or the name of an upstream
 * without a live server, which is no peer
 */

void
ngx_http_aggregate_trace_peer(ngx_http_aggregate_trace_set_t *set,
    ngx_str_t *peer)
{
    u_char     *p, *last;
    ngx_int_t   port, n;
    ngx_str_t   address;

    if (peer == NULL || peer->len == 0) {
        return;
    }

    address = *peer;
    port = 0;

    if (address.len < 5 || address.data[4] != ':'
        || ngx_strncmp(address.data, "unix:", 5) != 0)
    {
        last = address.data + address.len;
        n = 1;

        for (p = last - 1; p > address.data && last - p <= 6; p--) {

            if (*p == ':') {
                address.len = p - address.data;
                break;
            }

            port += (*p - '0') * n;
            n *= 10;
        }

        if (address.len == peer->len) {
            return;
        }

        if (address.len > 2 && address.data[0] == '[') {
            address.data++;
            address.len -= 2;
        }

    } else {
        address.data += 5;
        address.len -= 5;
    }

    ngx_http_aggregate_trace_string(set, "network.peer.address", &address);

    if (port > 0) {
        ngx_http_aggregate_trace_number(set, "network.peer.port", port);
    }
}


void
ngx_http_aggregate_trace_constant(ngx_http_aggregate_trace_set_t *set,
    ngx_uint_t which)
{
    agg_otlp_attr_t                      *a;
    ngx_http_aggregate_trace_constant_t  *c;

    c = &ngx_http_aggregate_trace_constants[which];

    a = ngx_http_aggregate_trace_add(set, &c->key);

    if (a) {
        a->type = AGG_OTLP_CONSTANT;
        a->data = c->constant.text;
        a->len = c->constant.len;
    }
}
