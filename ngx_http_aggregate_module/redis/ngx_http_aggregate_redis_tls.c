
/*
 * The name of a server for TLS: sent to the server, and compared with that in
 * its certificate.
 */


#include "ngx_http_aggregate_redis.h"


#if (NGX_SSL)

static ngx_str_t *ngx_http_aggregate_redis_tls_name(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_int_t ngx_http_aggregate_redis_is_address(ngx_str_t *name,
    u_char *text);


ngx_int_t
ngx_http_aggregate_redis_tls_set_name(
    ngx_http_aggregate_redis_connection_t *conn)
{
    u_char      text[AGG_REDIS_HOST_MAX + 1];
    ngx_str_t  *name;

    name = ngx_http_aggregate_redis_tls_name(conn);

    /* RFC 6066, 3: an address is not sent as a name */

    if (name->len == 0
        || ngx_http_aggregate_redis_is_address(name, text) == NGX_OK)
    {
        return NGX_OK;
    }

    return SSL_set_tlsext_host_name(conn->connection->ssl->connection,
                                    (char *) text)
           ? NGX_OK : NGX_ERROR;
}


static ngx_str_t *
ngx_http_aggregate_redis_tls_name(ngx_http_aggregate_redis_connection_t *conn)
{
    return conn->redis->tls_name.len ? &conn->redis->tls_name
                                     : &conn->node->host;
}


const char *
ngx_http_aggregate_redis_tls_verify(
    ngx_http_aggregate_redis_connection_t *conn)
{
    long               rc;
    X509              *cert;
    u_char             text[AGG_REDIS_HOST_MAX + 1];
    ngx_str_t         *name;
    ngx_int_t          match;
    ngx_connection_t  *c;

    c = conn->connection;

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        return X509_verify_cert_error_string(rc);
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return "no certificate";
    }

    name = ngx_http_aggregate_redis_tls_name(conn);

    if (ngx_http_aggregate_redis_is_address(name, text) == NGX_OK) {
        match = (X509_check_ip_asc(cert, (char *) text, 0) == 1);

    } else {
        match = name->len && (ngx_ssl_check_host(c, name) == NGX_OK);
    }

    X509_free(cert);

    return match ? NULL : "the name does not match";
}


/* NGX_OK: an address; text is the name with a null at its end */

static ngx_int_t
ngx_http_aggregate_redis_is_address(ngx_str_t *name, u_char *text)
{
#if (NGX_HAVE_INET6)
    struct in6_addr  inaddr6;
#endif

    (void) ngx_cpystrn(text, name->data, ngx_min(name->len,
                                                 AGG_REDIS_HOST_MAX) + 1);

    if (ngx_inet_addr(name->data, name->len) != INADDR_NONE) {
        return NGX_OK;
    }

#if (NGX_HAVE_INET6)

    if (ngx_inet6_addr(name->data, name->len, inaddr6.s6_addr) == NGX_OK) {
        return NGX_OK;
    }

#endif

    return NGX_DECLINED;
}

#endif
