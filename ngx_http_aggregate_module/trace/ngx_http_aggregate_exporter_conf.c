
/* the block "aggregate_trace_exporter" */


#include "ngx_http_aggregate_trace.h"
#include "ngx_http_aggregate_compat.h"
#include "ngx_http_aggregate_setters.h"


static char *ngx_http_aggregate_exporter_endpoint(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_exporter_resource(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_exporter_header(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_exporter_check(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf);
static ngx_int_t ngx_http_aggregate_exporter_is_uri(ngx_str_t *uri);
static ngx_int_t ngx_http_aggregate_exporter_attributes(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf);
static ngx_int_t ngx_http_aggregate_exporter_head(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf);
#if (NGX_SSL)
static ngx_int_t ngx_http_aggregate_exporter_tls(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf);
#endif


#define NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF  NGX_HTTP_AGGREGATE_BLOCK_CONF


static ngx_conf_enum_t  ngx_http_aggregate_exporter_protocols[] = {
    { ngx_string("protobuf"), 0 },
    { ngx_string("json"), 1 },
    { ngx_null_string, 0 }
};


static ngx_http_aggregate_enum_t  ngx_http_aggregate_exporter_protocol = {
    ngx_http_aggregate_exporter_protocols, "must be \"protobuf\" or \"json\""
};


static ngx_http_aggregate_bounds_t  ngx_http_aggregate_exporter_text_bounds =
    { 1, 1024, "must be of 1 to 1024 bytes" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_exporter_file_bounds =
    { 1, NGX_MAX_PATH, "must name a file" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_exporter_time_bounds =
    { 1, 3600000, "must be a time from 1ms to 1h" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_exporter_spans_bounds =
    { 1, 65536, "must be a number from 1 to 65536" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_exporter_queue_bounds =
    { 16384, 1024 * 1024 * 1024, "must be a size from 16k to 1g" };


/* headers that the exporter sends itself, or that frame its requests */

static ngx_str_t  ngx_http_aggregate_exporter_headers[] = {
    ngx_string("Host"),
    ngx_string("User-Agent"),
    ngx_string("Content-Type"),
    ngx_string("Content-Encoding"),
    ngx_string("Content-Length"),
    ngx_string("Transfer-Encoding"),
    ngx_string("Connection"),
    ngx_string("Keep-Alive"),
    ngx_string("Proxy-Connection"),
    ngx_string("Upgrade"),
    ngx_string("Expect"),
    ngx_string("TE"),
    ngx_string("Trailer"),
    ngx_null_string
};


ngx_command_t  ngx_http_aggregate_exporter_statements[] = {

    { ngx_string("endpoint"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_exporter_endpoint,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("protocol"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_enum,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, json),
      &ngx_http_aggregate_exporter_protocol },

    { ngx_string("service"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, service),
      &ngx_http_aggregate_exporter_text_bounds },

    { ngx_string("resource"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_exporter_resource,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("header"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_exporter_header,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("interval"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_msec,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, interval),
      &ngx_http_aggregate_exporter_time_bounds },

    { ngx_string("batch"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, batch),
      &ngx_http_aggregate_exporter_spans_bounds },

    { ngx_string("queue"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_size,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, queue),
      &ngx_http_aggregate_exporter_queue_bounds },

    { ngx_string("timeout"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_msec,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, timeout),
      &ngx_http_aggregate_exporter_time_bounds },

    { ngx_string("gzip"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_on_off,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, gzip),
      NULL },

    { ngx_string("spans"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, spans),
      &ngx_http_aggregate_exporter_spans_bounds },

#if (NGX_SSL)

    { ngx_string("tls_ca"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, tls_ca),
      &ngx_http_aggregate_exporter_file_bounds },

    { ngx_string("tls_name"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, tls_name),
      &ngx_http_aggregate_exporter_text_bounds },

    { ngx_string("tls_verify"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_on_off,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, tls_verify),
      NULL },

    { ngx_string("tls_certificate"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, tls_certificate),
      &ngx_http_aggregate_exporter_file_bounds },

    { ngx_string("tls_certificate_key"),
      NGX_HTTP_AGGREGATE_TRACE_EXPORTER_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_exporter_conf_t, tls_certificate_key),
      &ngx_http_aggregate_exporter_file_bounds },

#endif

      ngx_null_command
};


char *
ngx_http_aggregate_exporter_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_trace_main_conf_t *tmcf = conf;

    char                                *rv;
    ngx_http_aggregate_exporter_conf_t  *ecf;

    if (tmcf->exporter) {
        return "is duplicate";
    }

    ecf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_exporter_conf_t));
    if (ecf == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_array_init(&ecf->resource, cf->pool, 4,
                       sizeof(ngx_http_aggregate_trace_attr_t))
           != NGX_OK
        || ngx_array_init(&ecf->headers, cf->pool, 4,
                          sizeof(ngx_http_aggregate_trace_header_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ecf->interval = NGX_CONF_UNSET_MSEC;
    ecf->timeout = NGX_CONF_UNSET_MSEC;
    ecf->batch = NGX_CONF_UNSET;
    ecf->spans = NGX_CONF_UNSET;
    ecf->queue = NGX_CONF_UNSET_SIZE;
    ecf->gzip = NGX_CONF_UNSET;
    ecf->json = NGX_CONF_UNSET_UINT;

#if (NGX_SSL)
    ecf->tls_verify = NGX_CONF_UNSET;
#endif

    tmcf->exporter = ecf;

    rv = ngx_http_aggregate_parse_block(cf, cmd, ecf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_aggregate_exporter_check(cf, ecf);
}


/* checks the statements against each other, and sets the defaults */

static char *
ngx_http_aggregate_exporter_check(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf)
{
    if (ecf->endpoint.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"endpoint\" in \"aggregate_trace_exporter\"");
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_msec_value(ecf->interval, 5000);
    ngx_conf_init_msec_value(ecf->timeout, 10000);
    ngx_conf_init_value(ecf->batch, 512);
    ngx_conf_init_value(ecf->spans, 256);
    ngx_conf_init_size_value(ecf->queue, 4 * 1024 * 1024);
    ngx_conf_init_value(ecf->gzip, 0);
    ngx_conf_init_uint_value(ecf->json, 0);

    if (ecf->service.data == NULL) {
        ngx_str_set(&ecf->service, "unknown_service:nginx");
    }

#if (NGX_SSL)

    ngx_conf_init_value(ecf->tls_verify, 1);

    if ((ecf->tls_certificate.data == NULL)
        != (ecf->tls_certificate_key.data == NULL))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"tls_certificate\" and \"tls_certificate_key\" "
                           "need each other in \"aggregate_trace_exporter\"");
        return NGX_CONF_ERROR;
    }

    if (ecf->tls && ngx_http_aggregate_exporter_tls(cf, ecf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

#endif

    if (ngx_http_aggregate_exporter_attributes(cf, ecf) != NGX_OK
        || ngx_http_aggregate_exporter_head(cf, ecf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* http://HOST[:PORT]/PATH, https://..., unix:PATH:/PATH */

static char *
ngx_http_aggregate_exporter_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_exporter_conf_t *ecf = conf;

    ngx_str_t   *value;
    ngx_url_t    u;
    ngx_uint_t   skip;

    if (ecf->endpoint.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    value++;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = *value;
    u.uri_part = 1;
    u.default_port = 80;
    skip = 0;

    if (ngx_strncasecmp(value->data, (u_char *) "http://", 7) == 0) {
        skip = 7;

    } else if (ngx_strncasecmp(value->data, (u_char *) "https://", 8) == 0) {

#if (NGX_SSL)
        skip = 8;
        ecf->tls = 1;
        u.default_port = 443;
#else
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"https\" needs an nginx with TLS");
        return NGX_CONF_ERROR;
#endif

    } else if (ngx_strncasecmp(value->data, (u_char *) "unix:", 5) != 0) {
        goto invalid;
    }

    u.url.data += skip;
    u.url.len -= skip;

    /* a name waits until it is known whether there is a resolver */

    u.no_resolve = (skip != 0);

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in endpoint \"%V\"",
                           u.err ? u.err : "invalid address", value);
        return NGX_CONF_ERROR;
    }

    if (u.uri.len == 0 || u.uri.data[0] != '/'
        || ngx_http_aggregate_exporter_is_uri(&u.uri) != NGX_OK)
    {
        goto invalid;
    }

    ecf->endpoint = *value;
    ecf->uri = u.uri;
    ecf->addrs = u.addrs;
    ecf->naddrs = u.naddrs;
    ecf->name = u.host;
    ecf->port = u.port;
    ecf->file = cf->conf_file->file.name.data;
    ecf->line = cf->conf_file->line;

    if (skip == 0) {
        ngx_str_set(&ecf->host, "localhost");

    } else {
        ecf->host.data = u.url.data;
        ecf->host.len = u.uri.data - u.url.data;

#if (NGX_SSL)
        ecf->tls_host = u.host;
#endif
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid endpoint \"%V\", it must be as in "
                       "\"http://host:4318/v1/traces\" or "
                       "\"unix:/path:/v1/traces\"", value);
    return NGX_CONF_ERROR;
}


/*
 * The address of the collector: a name is resolved by the "resolver" of the
 * "http" block when the worker connects, or without one here, for good, as is
 * "localhost", which name servers need not know.
 */

ngx_int_t
ngx_http_aggregate_exporter_conf_resolve(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf)
{
    ngx_url_t                  u;
    ngx_http_core_loc_conf_t  *clcf;

    if (ecf->naddrs) {
        return NGX_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* without a "resolver" there is one that knows no server */

    if (clcf->resolver
        && ngx_http_aggregate_resolver_has_servers(clcf->resolver)
        && ngx_inet_addr(ecf->name.data, ecf->name.len) == INADDR_NONE
        && (ecf->name.len != 9
            || ngx_strncasecmp(ecf->name.data, (u_char *) "localhost", 9)
               != 0))
    {
        ecf->resolver = clcf->resolver;
        ecf->resolver_timeout = clcf->resolver_timeout;

        ngx_conf_init_msec_value(ecf->resolver_timeout, 30000);

        return NGX_OK;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = ecf->host;
    u.default_port = ecf->port;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s in endpoint \"%V\" in %s:%ui",
                      u.err ? u.err : "host not found", &ecf->endpoint,
                      ecf->file, ecf->line);
        return NGX_ERROR;
    }

    ecf->addrs = u.addrs;
    ecf->naddrs = u.naddrs;

    return NGX_OK;
}


/* whether all bytes may be in the path and the arguments of a URI */

static ngx_int_t
ngx_http_aggregate_exporter_is_uri(ngx_str_t *uri)
{
    size_t  i;

    for (i = 0; i < uri->len; i++) {
        if (uri->data[i] <= ' ' || uri->data[i] >= 0x7f
            || ngx_strchr("\"#<>\\^`{|}", uri->data[i]))
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static char *
ngx_http_aggregate_exporter_resource(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_exporter_conf_t *ecf = conf;

    ngx_str_t                        *value;
    ngx_uint_t                        i;
    ngx_http_aggregate_trace_attr_t  *attr;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid key \"\" in \"resource\"");
        return NGX_CONF_ERROR;
    }

    if (value[1].len == sizeof("service.name") - 1
        && ngx_strncmp(value[1].data, "service.name",
                       sizeof("service.name") - 1)
           == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid key \"%V\" in \"resource\", it is set by "
                           "\"service\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    attr = ecf->resource.elts;

    for (i = 0; i < ecf->resource.nelts; i++) {
        if (attr[i].name.len == value[1].len
            && ngx_strncmp(attr[i].name.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate key \"%V\" in \"resource\"",
                               &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    attr = ngx_array_push(&ecf->resource);
    if (attr == NULL) {
        return NGX_CONF_ERROR;
    }

    attr->name = value[1];
    attr->value.value = value[2];

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_exporter_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_exporter_conf_t *ecf = conf;

    char                               *rv;
    size_t                              i;
    ngx_str_t                          *value, text, *name;
    ngx_http_aggregate_trace_header_t  *h;

    value = cf->args->elts;

    for (name = ngx_http_aggregate_exporter_headers; name->len; name++) {
        if (name->len == value[1].len
            && ngx_strncasecmp(name->data, value[1].data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid header \"%V\", it is set by the "
                               "exporter or frames the request", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    rv = ngx_http_aggregate_read_secret(cf, &value[2], &text);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "control character in the value of header "
                               "\"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    for (i = 0; i < value[1].len; i++) {
        if (value[1].data[i] <= ' ' || value[1].data[i] >= 0x7f
            || ngx_strchr("\"(),/:;<=>?@[\\]{}", value[1].data[i]))
        {
            break;
        }
    }

    if (value[1].len == 0 || i < value[1].len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name of a header \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    h = ngx_array_push(&ecf->headers);
    if (h == NULL) {
        return NGX_CONF_ERROR;
    }

    h->name = value[1];
    h->value = text;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_exporter_attributes(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf)
{
    ngx_uint_t                        i, n;
    agg_otlp_attr_t                  *a;
    ngx_http_aggregate_trace_attr_t  *attr;

    ecf->nattrs = ecf->resource.nelts + 2;
    ecf->attrs = ngx_pcalloc(cf->pool, ecf->nattrs * sizeof(agg_otlp_attr_t));
    if (ecf->attrs == NULL) {
        return NGX_ERROR;
    }

    a = ecf->attrs;

    a[0].key = (const uint8_t *) "service.name";
    a[0].key_len = 12;
    a[0].data = ecf->service.data;
    a[0].len = ecf->service.len;

    a[1].key = (const uint8_t *) "host.name";
    a[1].key_len = 9;
    a[1].data = cf->cycle->hostname.data;
    a[1].len = cf->cycle->hostname.len;

    attr = ecf->resource.elts;

    n = 2;

    for (i = 0; i < ecf->resource.nelts; i++) {

        if (attr[i].name.len == a[1].key_len
            && ngx_strncmp(attr[i].name.data, a[1].key, a[1].key_len) == 0)
        {
            a[1].data = attr[i].value.value.data;
            a[1].len = attr[i].value.value.len;
            continue;
        }

        a[n].key = attr[i].name.data;
        a[n].key_len = attr[i].name.len;
        a[n].data = attr[i].value.value.data;
        a[n].len = attr[i].value.value.len;
        n++;
    }

    ecf->nattrs = n;

    return NGX_OK;
}


/* the header of all requests, except for the length */

static ngx_int_t
ngx_http_aggregate_exporter_head(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf)
{
    size_t                              len;
    u_char                             *p;
    ngx_uint_t                          i;
    ngx_http_aggregate_trace_header_t  *h;

    h = ecf->headers.elts;
    len = ecf->uri.len + ecf->host.len + 256;

    for (i = 0; i < ecf->headers.nelts; i++) {
        len += h[i].name.len + h[i].value.len + 4;
    }

    ecf->head.data = ngx_pnalloc(cf->pool, len);
    if (ecf->head.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(ecf->head.data,
                    "POST %V HTTP/1.1" CRLF "Host: %V" CRLF
                    "User-Agent: nginx-gateway/" NGX_HTTP_AGGREGATE_VERSION
                    CRLF "Content-Type: %s" CRLF "%s",
                    &ecf->uri, &ecf->host,
                    ecf->json ? "application/json" : "application/x-protobuf",
                    ecf->gzip ? "Content-Encoding: gzip" CRLF : "");

    for (i = 0; i < ecf->headers.nelts; i++) {
        p = ngx_sprintf(p, "%V: %V" CRLF, &h[i].name, &h[i].value);
    }

    ecf->head.len = p - ecf->head.data;

    return NGX_OK;
}


#if (NGX_SSL)

static ngx_int_t
ngx_http_aggregate_exporter_tls(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf)
{
    ngx_pool_cleanup_t  *cln;

    if (ecf->tls_name.data == NULL) {
        ecf->tls_name = ecf->tls_host;
    }

    ecf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ecf->ssl == NULL) {
        return NGX_ERROR;
    }

    ecf->ssl->log = cf->log;

    if (ngx_ssl_create(ecf->ssl, NGX_SSL_TLSv1_2
#ifdef NGX_SSL_TLSv1_3
                                 |NGX_SSL_TLSv1_3
#endif
                       , NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ecf->ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ecf->ssl;

    if (ecf->tls_certificate.len
        && ngx_ssl_certificate(cf, ecf->ssl, &ecf->tls_certificate,
                               &ecf->tls_certificate_key, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ecf->tls_verify) {
        return NGX_OK;
    }

    if (ecf->tls_ca.len) {
        return ngx_ssl_trusted_certificate(cf, ecf->ssl, &ecf->tls_ca, 3);
    }

    return SSL_CTX_set_default_verify_paths(ecf->ssl->ctx) == 1 ? NGX_OK
                                                                : NGX_ERROR;
}

#endif
