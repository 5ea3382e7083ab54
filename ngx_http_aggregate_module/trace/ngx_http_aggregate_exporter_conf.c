
/* the block "aggregate_trace_exporter" */


#include "ngx_http_aggregate_trace.h"
#include "ngx_http_gw_written.h"
#include "gw_text.h"


static char *ngx_http_aggregate_exporter_statement(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static char *ngx_http_aggregate_exporter_endpoint(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf, ngx_str_t *value);
static char *ngx_http_aggregate_exporter_header(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf, ngx_str_t *value);
static char *ngx_http_aggregate_exporter_file(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *text);
static char *ngx_http_aggregate_exporter_value(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf, ngx_uint_t which,
    ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_exporter_resource(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf);
static ngx_int_t ngx_http_aggregate_exporter_head(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf);
#if (NGX_SSL)
static ngx_int_t ngx_http_aggregate_exporter_tls(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf);
#endif


enum {
    NGX_HTTP_AGGREGATE_EXPORTER_ENDPOINT = 0,
    NGX_HTTP_AGGREGATE_EXPORTER_PROTOCOL,
    NGX_HTTP_AGGREGATE_EXPORTER_SERVICE,
    NGX_HTTP_AGGREGATE_EXPORTER_RESOURCE,
    NGX_HTTP_AGGREGATE_EXPORTER_HEADER,
    NGX_HTTP_AGGREGATE_EXPORTER_INTERVAL,
    NGX_HTTP_AGGREGATE_EXPORTER_BATCH,
    NGX_HTTP_AGGREGATE_EXPORTER_QUEUE,
    NGX_HTTP_AGGREGATE_EXPORTER_TIMEOUT,
    NGX_HTTP_AGGREGATE_EXPORTER_GZIP,
    NGX_HTTP_AGGREGATE_EXPORTER_SPANS,
    NGX_HTTP_AGGREGATE_EXPORTER_TLS_CA,
    NGX_HTTP_AGGREGATE_EXPORTER_TLS_NAME,
    NGX_HTTP_AGGREGATE_EXPORTER_TLS_VERIFY,
    NGX_HTTP_AGGREGATE_EXPORTER_TLS_CERTIFICATE,
    NGX_HTTP_AGGREGATE_EXPORTER_TLS_KEY
};


static const char  *const ngx_http_aggregate_exporter_names[] = {
    "endpoint", "protocol", "service", "resource", "header", "interval",
    "batch", "queue", "timeout", "gzip", "spans", "tls_ca", "tls_name",
    "tls_verify", "tls_certificate", "tls_certificate_key", NULL
};


char *
ngx_http_aggregate_exporter_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_trace_main_conf_t *tmcf = conf;

    char                                *rv;
    ngx_conf_t                           save;
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
    ecf->json = NGX_CONF_UNSET;

    tmcf->exporter = ecf;

    save = *cf;
    cf->handler = ngx_http_aggregate_exporter_statement;
    cf->handler_conf = (char *) ecf;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ecf->endpoint.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "no \"endpoint\" in \"%V\"",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_msec_value(ecf->interval, 5000);
    ngx_conf_init_msec_value(ecf->timeout, 10000);
    ngx_conf_init_value(ecf->batch, 512);
    ngx_conf_init_value(ecf->spans, 256);
    ngx_conf_init_size_value(ecf->queue, 4 * 1024 * 1024);
    ngx_conf_init_value(ecf->gzip, 0);
    ngx_conf_init_value(ecf->json, 0);

    if (ecf->service.len == 0) {
        ngx_str_set(&ecf->service, "unknown_service:nginx");
    }

#if (NGX_SSL)

    if (ecf->tls && ngx_http_aggregate_exporter_tls(cf, ecf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

#endif

    if (ngx_http_aggregate_exporter_resource(cf, ecf) != NGX_OK
        || ngx_http_aggregate_exporter_head(cf, ecf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_exporter_statement(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    ngx_http_aggregate_exporter_conf_t *ecf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, n;
    const char  *near;

    value = cf->args->elts;

    for (i = 0; ngx_http_aggregate_exporter_names[i]; i++) {
        if (ngx_strcmp(value[0].data, ngx_http_aggregate_exporter_names[i])
            == 0)
        {
            break;
        }
    }

    if (ngx_http_aggregate_exporter_names[i] == NULL) {

        near = gw_nearest(ngx_http_aggregate_exporter_names, value[0].data,
                          value[0].len);

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown statement \"%V\" in "
                           "\"aggregate_trace_exporter\"%s%s%s", &value[0],
                           near ? ", did you mean \"" : "", near ? near : "",
                           near ? "\"?" : "");
        return NGX_CONF_ERROR;
    }

    n = (i == NGX_HTTP_AGGREGATE_EXPORTER_RESOURCE
         || i == NGX_HTTP_AGGREGATE_EXPORTER_HEADER) ? 3 : 2;

    if (cf->args->nelts != n) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\"",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (i == NGX_HTTP_AGGREGATE_EXPORTER_ENDPOINT) {
        return ngx_http_aggregate_exporter_endpoint(cf, ecf, &value[1]);
    }

    if (i == NGX_HTTP_AGGREGATE_EXPORTER_HEADER) {
        return ngx_http_aggregate_exporter_header(cf, ecf, value);
    }

    return ngx_http_aggregate_exporter_value(cf, ecf, i, value);
}


#define ngx_http_aggregate_exporter_set(field, unset, parsed, bad)            \
    if ((field) != (unset)) {                                                 \
        return "is duplicate";                                                \
    }                                                                         \
                                                                              \
    n = (parsed);                                                             \
                                                                              \
    if (bad) {                                                                \
        goto invalid;                                                         \
    }                                                                         \
                                                                              \
    (field) = n;                                                              \
    break


static char *
ngx_http_aggregate_exporter_value(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf, ngx_uint_t which,
    ngx_str_t *value)
{
    ngx_int_t                         n;
    ngx_http_aggregate_trace_attr_t  *attr;

    switch (which) {

    case NGX_HTTP_AGGREGATE_EXPORTER_PROTOCOL:
        ngx_http_aggregate_exporter_set(ecf->json, NGX_CONF_UNSET,
                             ngx_strcmp(value[1].data, "json") == 0,
                             !n && ngx_strcmp(value[1].data, "protobuf") != 0);

    case NGX_HTTP_AGGREGATE_EXPORTER_SERVICE:
        ecf->service = value[1];
        break;

    case NGX_HTTP_AGGREGATE_EXPORTER_RESOURCE:

        attr = ngx_array_push(&ecf->resource);
        if (attr == NULL) {
            return NGX_CONF_ERROR;
        }

        attr->name = value[1];
        attr->value.value = value[2];
        break;

    case NGX_HTTP_AGGREGATE_EXPORTER_INTERVAL:
        ngx_http_gw_warn_time(cf, &value[1]);
        ngx_http_aggregate_exporter_set(ecf->interval, NGX_CONF_UNSET_MSEC,
                                        ngx_parse_time(&value[1], 0), n < 1);

    case NGX_HTTP_AGGREGATE_EXPORTER_TIMEOUT:
        ngx_http_gw_warn_time(cf, &value[1]);
        ngx_http_aggregate_exporter_set(ecf->timeout, NGX_CONF_UNSET_MSEC,
                                        ngx_parse_time(&value[1], 0), n < 1);

    case NGX_HTTP_AGGREGATE_EXPORTER_BATCH:
        ngx_http_aggregate_exporter_set(ecf->batch, NGX_CONF_UNSET,
                                  ngx_atoi(value[1].data, value[1].len),
                                  n < 1 || n > 65536);

    case NGX_HTTP_AGGREGATE_EXPORTER_SPANS:
        ngx_http_aggregate_exporter_set(ecf->spans, NGX_CONF_UNSET,
                                  ngx_atoi(value[1].data, value[1].len),
                                  n < 1 || n > 65536);

    case NGX_HTTP_AGGREGATE_EXPORTER_QUEUE:
        ngx_http_aggregate_exporter_set(ecf->queue, NGX_CONF_UNSET_SIZE,
                                        ngx_parse_size(&value[1]),
                                        n < 16384 || n > 1024 * 1024 * 1024);

    case NGX_HTTP_AGGREGATE_EXPORTER_GZIP:
        ngx_http_aggregate_exporter_set(ecf->gzip, NGX_CONF_UNSET,
                             ngx_strcmp(value[1].data, "on") == 0,
                             !n && ngx_strcmp(value[1].data, "off") != 0);

#if (NGX_SSL)

    case NGX_HTTP_AGGREGATE_EXPORTER_TLS_CA:
        ecf->tls_ca = value[1];
        break;

    case NGX_HTTP_AGGREGATE_EXPORTER_TLS_NAME:
        ecf->tls_name = value[1];
        break;

    case NGX_HTTP_AGGREGATE_EXPORTER_TLS_VERIFY:

        if (ngx_strcmp(value[1].data, "off") == 0) {
            ecf->tls_verify = 1;

        } else if (ngx_strcmp(value[1].data, "on") != 0) {
            goto invalid;
        }

        break;

    case NGX_HTTP_AGGREGATE_EXPORTER_TLS_CERTIFICATE:
        ecf->tls_certificate = value[1];
        break;

    case NGX_HTTP_AGGREGATE_EXPORTER_TLS_KEY:
        ecf->tls_certificate_key = value[1];
        break;

#endif

    default:
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" needs an nginx with TLS", &value[0]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" of \"%V\"", &value[1],
                       &value[0]);
    return NGX_CONF_ERROR;
}


/* http://HOST[:PORT]/PATH, https://..., unix:PATH:/PATH */

static char *
ngx_http_aggregate_exporter_endpoint(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf, ngx_str_t *value)
{
    ngx_url_t    u;
    ngx_uint_t   skip;

    if (ecf->endpoint.len) {
        return "is duplicate";
    }

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

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in endpoint \"%V\"",
                           u.err ? u.err : "invalid address", value);
        return NGX_CONF_ERROR;
    }

    if (u.uri.len == 0 || u.uri.data[0] != '/' || u.naddrs == 0) {
        goto invalid;
    }

    ecf->endpoint = *value;
    ecf->uri = u.uri;
    ecf->addrs = u.addrs;
    ecf->naddrs = u.naddrs;

    if (skip == 0) {
        ngx_str_set(&ecf->host, "localhost");

    } else {
        ecf->host.data = u.url.data;
        ecf->host.len = u.uri.data - u.url.data;

#if (NGX_SSL)
        if (ecf->tls_name.len == 0) {
            ecf->tls_name = u.host;
        }
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


static char *
ngx_http_aggregate_exporter_header(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf, ngx_str_t *value)
{
    char                               *env;
    size_t                              i;
    ngx_str_t                           text, name;
    ngx_http_aggregate_trace_header_t  *h;

    text = value[2];

    if (ngx_strncmp(text.data, "env:", 4) == 0) {
        env = getenv((char *) text.data + 4);

        if (env == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no environment variable \"%s\" for header "
                               "\"%V\"", text.data + 4, &value[1]);
            return NGX_CONF_ERROR;
        }

        text.len = ngx_strlen(env);
        text.data = ngx_pnalloc(cf->pool, text.len + 1);

        if (text.data == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memcpy(text.data, env, text.len);

    } else if (ngx_strncmp(text.data, "file:", 5) == 0) {

        name.data = text.data + 5;
        name.len = text.len - 5;

        if (ngx_http_aggregate_exporter_file(cf, &name, &text)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    while (text.len && (text.data[text.len - 1] == '\n'
                        || text.data[text.len - 1] == '\r'))
    {
        text.len--;
    }

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f) {
            break;
        }
    }

    if (i < text.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "control character in the value of header \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < value[1].len; i++) {
        if (value[1].data[i] <= ' ' || value[1].data[i] >= 0x7f
            || value[1].data[i] == ':')
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


static char *
ngx_http_aggregate_exporter_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text)
{
    ssize_t   n;
    ngx_fd_t  fd;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    text->data = ngx_pnalloc(cf->pool, 4096);
    if (text->data == NULL) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, text->data, 4096);

    (void) ngx_close_file(fd);

    if (n < 1 || n == 4096) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must have from 1 to 4095 bytes", name);
        return NGX_CONF_ERROR;
    }

    text->len = n;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_exporter_resource(ngx_conf_t *cf,
    ngx_http_aggregate_exporter_conf_t *ecf)
{
    ngx_uint_t                        i;
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

    for (i = 0; i < ecf->resource.nelts; i++) {
        a[i + 2].key = attr[i].name.data;
        a[i + 2].key_len = attr[i].name.len;
        a[i + 2].data = attr[i].value.value.data;
        a[i + 2].len = attr[i].value.value.len;
    }

    return NGX_OK;
}


/* all of a request's header but the length */

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

    ecf->tls_verify = !ecf->tls_verify;

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
