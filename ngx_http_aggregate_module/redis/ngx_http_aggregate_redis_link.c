
/*
 * Makes a connection: the name is resolved by nginx's resolver unless its
 * addresses are known, then comes TLS, and nothing is sent before the other
 * side's certificate has been verified.
 */


#include "ngx_http_aggregate_redis.h"


static void ngx_http_aggregate_redis_link_fail(
    ngx_http_aggregate_redis_link_t *link, const char *why);
static ngx_int_t ngx_http_aggregate_redis_link_resolve(
    ngx_http_aggregate_redis_link_t *link);
static void ngx_http_aggregate_redis_link_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_aggregate_redis_link_connect(
    ngx_http_aggregate_redis_link_t *link);
static void ngx_http_aggregate_redis_link_handler(ngx_event_t *ev);
static void ngx_http_aggregate_redis_link_complete(
    ngx_http_aggregate_redis_link_t *link);

#if (NGX_SSL)

static void ngx_http_aggregate_redis_link_tls(
    ngx_http_aggregate_redis_link_t *link);
static void ngx_http_aggregate_redis_link_handshake(ngx_connection_t *c);
static ngx_int_t ngx_http_aggregate_redis_link_sni(ngx_connection_t *c,
    ngx_str_t *name);
static const char *ngx_http_aggregate_redis_link_verify(
    ngx_http_aggregate_redis_link_t *link, ngx_connection_t *c);
static ngx_int_t ngx_http_aggregate_redis_link_ip(ngx_str_t *name,
    u_char *text);

#endif


/* NGX_ERROR: it failed at once */

ngx_int_t
ngx_http_aggregate_redis_link_open(ngx_http_aggregate_redis_link_t *link,
    ngx_http_aggregate_redis_node_t *node)
{
    ngx_addr_t  *addr;

    link->node = node;
    node->links++;

    link->connection = NULL;
    link->resolve = NULL;
    link->broken = NULL;
    link->complete = 0;
    link->opening = 1;

    if (node->naddrs) {

        addr = &node->addrs[(ngx_uint_t) ngx_random() % node->naddrs];

        ngx_memcpy(&link->sockaddr, addr->sockaddr, addr->socklen);
        link->address = addr->name;

        ngx_http_aggregate_redis_link_connect(link);

    } else if (ngx_http_aggregate_redis_link_resolve(link) != NGX_OK) {
        link->broken = "its name cannot be resolved";
    }

    link->opening = 0;

    if (link->broken) {
        ngx_http_aggregate_redis_link_close(link);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_aggregate_redis_link_close(ngx_http_aggregate_redis_link_t *link)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    if (link->resolve) {
        ngx_resolve_name_done(link->resolve);
        link->resolve = NULL;
    }

    if (link->node) {
        link->node->links--;
        link->node = NULL;
    }

    c = link->connection;

    if (c == NULL) {
        return;
    }

    link->connection = NULL;

#if (NGX_SSL)

    if (c->ssl) {

        /* nothing is waited for, and nothing is left behind */

        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;

        (void) ngx_ssl_shutdown(c);
    }

#endif

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}


static void
ngx_http_aggregate_redis_link_fail(ngx_http_aggregate_redis_link_t *link,
    const char *why)
{
    if (link->opening) {
        link->broken = why;
        return;
    }

    link->failed(link, why);
}


static ngx_int_t
ngx_http_aggregate_redis_link_resolve(ngx_http_aggregate_redis_link_t *link)
{
    ngx_resolver_ctx_t               *ctx;
    ngx_http_aggregate_redis_node_t  *node;

    node = link->node;

    if (node->redis->resolver == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "no resolver defined to resolve \"%V\" of redis \"%V\"",
                      &node->host, &node->redis->name);
        return NGX_ERROR;
    }

    ctx = ngx_resolve_start(node->redis->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = node->host;
    ctx->handler = ngx_http_aggregate_redis_link_resolved;
    ctx->data = link;
    ctx->timeout = node->redis->resolver_timeout;

    link->resolve = ctx;

    /* the handler may have been called when this returns */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        link->resolve = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_link_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                        i;
    ngx_http_aggregate_redis_link_t  *link;

    link = ctx->data;
    link->resolve = NULL;

    if (ctx->state || ctx->naddrs == 0) {

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "\"%V\" of redis \"%V\" could not be resolved (%i: %s)",
                      &ctx->name, &link->node->redis->name, ctx->state,
                      ngx_resolver_strerror(ctx->state));

        ngx_resolve_name_done(ctx);

        ngx_http_aggregate_redis_link_fail(link,
                                           "its name cannot be resolved");
        return;
    }

    i = (ngx_uint_t) ngx_random() % ctx->naddrs;

    ngx_memcpy(&link->sockaddr, ctx->addrs[i].sockaddr,
               ctx->addrs[i].socklen);
    ngx_inet_set_port(&link->sockaddr.sockaddr, link->node->port);

    link->address.data = link->text;
    link->address.len = ngx_sock_ntop(&link->sockaddr.sockaddr,
                                      ctx->addrs[i].socklen, link->text,
                                      NGX_SOCKADDR_STRLEN, 1);

    ngx_resolve_name_done(ctx);

    ngx_http_aggregate_redis_link_connect(link);
}


static socklen_t
ngx_http_aggregate_redis_link_socklen(struct sockaddr *sockaddr)
{
    switch (sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        return sizeof(struct sockaddr_in6);
#endif

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return sizeof(struct sockaddr_un);
#endif

    default: /* AF_INET */
        return sizeof(struct sockaddr_in);
    }
}


static void
ngx_http_aggregate_redis_link_connect(ngx_http_aggregate_redis_link_t *link)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t   peer;

    ngx_memzero(&peer, sizeof(ngx_peer_connection_t));

    peer.sockaddr = &link->sockaddr.sockaddr;
    peer.socklen = ngx_http_aggregate_redis_link_socklen(peer.sockaddr);
    peer.name = &link->address;
    peer.get = ngx_event_get_peer;
    peer.log = ngx_cycle->log;
    peer.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&peer);

    c = peer.connection;
    link->connection = c;

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        ngx_http_aggregate_redis_link_fail(link, "connect() failed");
        return;
    }

    c->data = link;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_aggregate_redis_link_handler;
    c->write->handler = ngx_http_aggregate_redis_link_handler;

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


static void
ngx_http_aggregate_redis_link_handler(ngx_event_t *ev)
{
    int                               err;
    socklen_t                         len;
    ngx_connection_t                 *c;
    ngx_http_aggregate_redis_link_t  *link;

    c = ev->data;
    link = c->data;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "connect() to redis \"%V\" (%V) failed",
                      &link->node->redis->name, &link->address);
        link->failed(link, "connect() failed");
        return;
    }

#if (NGX_SSL)

    if (link->node->redis->ssl) {
        ngx_http_aggregate_redis_link_tls(link);
        return;
    }

#endif

    ngx_http_aggregate_redis_link_complete(link);
}


static void
ngx_http_aggregate_redis_link_complete(ngx_http_aggregate_redis_link_t *link)
{
    link->complete = 1;

    /* an old worker does not wait for it */
    link->connection->idle = 1;

    link->ready(link);
}


#if (NGX_SSL)

static void
ngx_http_aggregate_redis_link_tls(ngx_http_aggregate_redis_link_t *link)
{
    ngx_str_t                   *name;
    ngx_connection_t            *c;
    ngx_http_aggregate_redis_t  *redis;

    c = link->connection;
    redis = link->node->redis;

    c->pool = ngx_create_pool(1024, ngx_cycle->log);

    if (c->pool == NULL
        || ngx_ssl_create_connection(redis->ssl, c,
                                     NGX_SSL_BUFFER|NGX_SSL_CLIENT)
           != NGX_OK)
    {
        link->failed(link, "no memory");
        return;
    }

    /* unsent data may be moved in memory before it is sent again */

    SSL_set_mode(c->ssl->connection, SSL_MODE_ENABLE_PARTIAL_WRITE
                                     |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    name = redis->tls_name.len ? &redis->tls_name : &link->node->host;

    if (ngx_http_aggregate_redis_link_sni(c, name) != NGX_OK) {
        link->failed(link, "no memory");
        return;
    }

    if (ngx_ssl_handshake(c) == NGX_AGAIN) {
        c->ssl->handler = ngx_http_aggregate_redis_link_handshake;
        return;
    }

    ngx_http_aggregate_redis_link_handshake(c);
}


/* an address is no name to ask for */

static ngx_int_t
ngx_http_aggregate_redis_link_sni(ngx_connection_t *c, ngx_str_t *name)
{
    u_char  text[AGG_REDIS_HOST_MAX + 1];

    if (name->len == 0
        || ngx_http_aggregate_redis_link_ip(name, text) == NGX_OK)
    {
        return NGX_OK;
    }

    return SSL_set_tlsext_host_name(c->ssl->connection, (char *) text)
           ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_aggregate_redis_link_handshake(ngx_connection_t *c)
{
    const char                       *why;
    ngx_http_aggregate_redis_link_t  *link;

    link = c->data;

    if (!c->ssl->handshaked) {
        link->failed(link, "the TLS handshake failed");
        return;
    }

    if (link->node->redis->tls_verify) {

        why = ngx_http_aggregate_redis_link_verify(link, c);

        if (why) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "certificate of redis \"%V\" (%V) is refused: %s",
                          &link->node->redis->name, &link->address, why);
            link->failed(link, "its certificate is refused");
            return;
        }
    }

    ngx_http_aggregate_redis_link_complete(link);
}


/* NULL: it is who it should be */

static const char *
ngx_http_aggregate_redis_link_verify(ngx_http_aggregate_redis_link_t *link,
    ngx_connection_t *c)
{
    long                         rc;
    X509                        *cert;
    u_char                       text[AGG_REDIS_HOST_MAX + 1];
    ngx_str_t                   *name;
    ngx_int_t                    match;
    ngx_http_aggregate_redis_t  *redis;

    redis = link->node->redis;

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        return X509_verify_cert_error_string(rc);
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return "there is none";
    }

    name = redis->tls_name.len ? &redis->tls_name : &link->node->host;

    if (ngx_http_aggregate_redis_link_ip(name, text) == NGX_OK) {
        match = (X509_check_ip_asc(cert, (char *) text, 0) == 1);

    } else {
        match = name->len && (ngx_ssl_check_host(c, name) == NGX_OK);
    }

    X509_free(cert);

    return match ? NULL : "it is of another name";
}


/* NGX_OK: an address and no name; text is the name, terminated */

static ngx_int_t
ngx_http_aggregate_redis_link_ip(ngx_str_t *name, u_char *text)
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
