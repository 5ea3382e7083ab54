
/*
 * A connection to a server: its name is resolved by nginx's resolver unless
 * its addresses are known, then come TLS and the handshake, which are the
 * commands AUTH, SELECT and PING.  Nothing is sent before the certificate of
 * the server has been verified.
 *
 * The owner gets what follows, as it is received or as whole replies.  What
 * is to be sent is collected, and sent after the current event.
 */


#include "ngx_http_aggregate_redis.h"
#include "ngx_http_aggregate_peer.h"


static ngx_int_t ngx_http_aggregate_redis_start_handshake(
    ngx_http_aggregate_redis_connection_t *conn);
static ngx_int_t ngx_http_aggregate_redis_resolve_name(
    ngx_http_aggregate_redis_connection_t *conn);
static void ngx_http_aggregate_redis_resolve_handler(ngx_resolver_ctx_t *ctx);
static void ngx_http_aggregate_redis_connect(
    ngx_http_aggregate_redis_connection_t *conn);
static socklen_t ngx_http_aggregate_redis_socklen(struct sockaddr *sockaddr);
static void ngx_http_aggregate_redis_connect_handler(ngx_event_t *ev);
static ngx_uint_t ngx_http_aggregate_redis_level(
    ngx_http_aggregate_redis_connection_t *conn);
static void ngx_http_aggregate_redis_connect_failed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why);
#if (NGX_SSL)
static void ngx_http_aggregate_redis_tls_start(
    ngx_http_aggregate_redis_connection_t *conn);
static void ngx_http_aggregate_redis_tls_handler(ngx_connection_t *c);
#endif
static void ngx_http_aggregate_redis_connected(
    ngx_http_aggregate_redis_connection_t *conn);
static void ngx_http_aggregate_redis_write_handler(ngx_event_t *wev);
static void ngx_http_aggregate_redis_flush(
    ngx_http_aggregate_redis_connection_t *conn);
static void ngx_http_aggregate_redis_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_http_aggregate_redis_received(
    ngx_http_aggregate_redis_connection_t *conn, const u_char *p,
    const u_char *last);
static ngx_int_t ngx_http_aggregate_redis_handshake(
    ngx_http_aggregate_redis_connection_t *conn, const u_char **p,
    const u_char *last);
static void ngx_http_aggregate_redis_handshake_name(
    ngx_http_aggregate_redis_connection_t *conn, ngx_uint_t i,
    ngx_str_t *name);
static ngx_int_t ngx_http_aggregate_redis_replies(
    ngx_http_aggregate_redis_connection_t *conn);
static void ngx_http_aggregate_redis_timer_handler(ngx_event_t *ev);
static void ngx_http_aggregate_redis_reconnect_handler(ngx_event_t *ev);
static void ngx_http_aggregate_redis_finish(
    ngx_http_aggregate_redis_connection_t *conn);


ngx_int_t
ngx_http_aggregate_redis_connection_open(
    ngx_http_aggregate_redis_connection_t *conn,
    ngx_http_aggregate_redis_node_t *node, ngx_msec_t timeout)
{
    ngx_addr_t  *addr;

    node->connections++;

    conn->node = node;
    conn->failed = NULL;
    conn->closing = NULL;
    conn->connect_by = ngx_current_msec + node->redis->connect_timeout;
    conn->heard = ngx_current_msec;
    conn->connected = 0;
    conn->open = 1;

    conn->timer.handler = ngx_http_aggregate_redis_timer_handler;
    conn->timer.data = conn;
    conn->timer.log = ngx_cycle->log;
    conn->timer.cancelable = 1;

    if (conn->handlers->reply) {
        conn->reader = agg_redis_reader_create();
    }

    if (agg_redis_parser_create(&conn->parser) != 0
        || (conn->handlers->reply && conn->reader == NULL)
        || ngx_http_aggregate_redis_start_handshake(conn) != NGX_OK)
    {
        ngx_http_aggregate_redis_finish(conn);
        return NGX_ERROR;
    }

    conn->opening = 1;

    if (node->naddrs) {

        addr = &node->addrs[(ngx_uint_t) ngx_random() % node->naddrs];

        ngx_memcpy(&conn->sockaddr, addr->sockaddr, addr->socklen);
        conn->address = addr->name;

        ngx_http_aggregate_redis_connect(conn);

    } else if (ngx_http_aggregate_redis_resolve_name(conn) != NGX_OK) {
        conn->failed = "could not be resolved";
    }

    conn->opening = 0;

    if (conn->failed) {
        ngx_http_aggregate_redis_finish(conn);
        return NGX_ERROR;
    }

    ngx_add_timer(&conn->timer, timeout);

    return NGX_OK;
}


/* the commands are sent first, and those of the owner do not wait for them */

static ngx_int_t
ngx_http_aggregate_redis_start_handshake(
    ngx_http_aggregate_redis_connection_t *conn)
{
    char         *command;
    size_t        len, lens[3];
    u_char        number[NGX_INT_T_LEN];
    ngx_int_t     rc;
    ngx_str_t     name;
    ngx_uint_t    i, argc;
    const u_char  *args[3];

    conn->nhandshake = 1 + (conn->password->len != 0) + (conn->database != 0);
    conn->handshake = conn->nhandshake;

    for (i = 0; i < conn->nhandshake; i++) {

        ngx_http_aggregate_redis_handshake_name(conn, i, &name);

        argc = 0;
        args[argc] = name.data;
        lens[argc++] = name.len;

        if (name.data[0] == 'A') {

            if (conn->user->len) {
                args[argc] = conn->user->data;
                lens[argc++] = conn->user->len;
            }

            args[argc] = conn->password->data;
            lens[argc++] = conn->password->len;

        } else if (name.data[0] == 'S') {
            args[argc] = number;
            lens[argc++] = ngx_sprintf(number, "%i", conn->database) - number;
        }

        command = agg_redis_command(argc, args, lens, &len);
        if (command == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_http_aggregate_redis_connection_send(conn, command, len);

        agg_redis_free(command);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_handshake_name(
    ngx_http_aggregate_redis_connection_t *conn, ngx_uint_t i,
    ngx_str_t *name)
{
    if (conn->password->len && i-- == 0) {
        ngx_str_set(name, "AUTH");

    } else if (conn->database && i-- == 0) {
        ngx_str_set(name, "SELECT");

    } else {
        ngx_str_set(name, "PING");
    }
}


static ngx_int_t
ngx_http_aggregate_redis_resolve_name(
    ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_resolver_ctx_t               *ctx;
    ngx_http_aggregate_redis_node_t  *node;

    node = conn->node;

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
    ctx->handler = ngx_http_aggregate_redis_resolve_handler;
    ctx->data = conn;
    ctx->timeout = node->redis->resolver_timeout;

    conn->resolve = ctx;

    /* the handler may be called before this returns */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        conn->resolve = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_redis_resolve_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_redis_connection_t  *conn;

    conn = ctx->data;
    conn->resolve = NULL;

    if (ctx->state || ctx->naddrs == 0) {

        ngx_log_error(ngx_http_aggregate_redis_level(conn), ngx_cycle->log, 0,
                      "\"%V\" of redis \"%V\" could not be resolved (%i: %s)",
                      &ctx->name, &conn->redis->name, ctx->state,
                      ngx_resolver_strerror(ctx->state));

        ngx_resolve_name_done(ctx);

        ngx_http_aggregate_redis_connect_failed(conn, "could not be resolved");
        return;
    }

    i = (ngx_uint_t) ngx_random() % ctx->naddrs;

    ngx_memcpy(&conn->sockaddr, ctx->addrs[i].sockaddr,
               ctx->addrs[i].socklen);
    ngx_inet_set_port(&conn->sockaddr.sockaddr, conn->node->port);

    conn->address.data = conn->text;
    conn->address.len = ngx_sock_ntop(&conn->sockaddr.sockaddr,
                                      ctx->addrs[i].socklen, conn->text,
                                      NGX_SOCKADDR_STRLEN, 1);

    ngx_resolve_name_done(ctx);

    ngx_http_aggregate_redis_connect(conn);
}


static void
ngx_http_aggregate_redis_connect(ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t   peer;

    ngx_memzero(&peer, sizeof(ngx_peer_connection_t));

    peer.sockaddr = &conn->sockaddr.sockaddr;
    peer.socklen = ngx_http_aggregate_redis_socklen(peer.sockaddr);
    peer.name = &conn->address;
    peer.get = ngx_event_get_peer;
    peer.log = ngx_cycle->log;
    peer.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&peer);

    c = peer.connection;
    conn->connection = c;

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        ngx_http_aggregate_redis_connect_failed(conn, "connect() failed");
        return;
    }

    c->data = conn;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_aggregate_redis_connect_handler;
    c->write->handler = ngx_http_aggregate_redis_connect_handler;

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


static socklen_t
ngx_http_aggregate_redis_socklen(struct sockaddr *sockaddr)
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
ngx_http_aggregate_redis_connect_handler(ngx_event_t *ev)
{
    int                                     err;
    socklen_t                               len;
    ngx_connection_t                       *c;
    ngx_http_aggregate_redis_connection_t  *conn;

    c = ev->data;
    conn = c->data;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_log_error(ngx_http_aggregate_redis_level(conn), ngx_cycle->log, err,
                      "connect() to redis \"%V\" (%V) failed",
                      &conn->redis->name, &conn->address);
        ngx_http_aggregate_redis_connect_failed(conn, "connect() failed");
        return;
    }

#if (NGX_SSL)

    if (conn->redis->ssl) {
        ngx_http_aggregate_redis_tls_start(conn);
        return;
    }

#endif

    ngx_http_aggregate_redis_connected(conn);
}


/* an outage has its line already, however often a connection is tried */

static ngx_uint_t
ngx_http_aggregate_redis_level(ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_http_aggregate_redis_node_t  *node;

    node = conn->node;

    /* sentinels have no health */

    return node && node->health && node->health->down ? NGX_LOG_INFO
                                                      : NGX_LOG_ERR;
}


static void
ngx_http_aggregate_redis_connect_failed(
    ngx_http_aggregate_redis_connection_t *conn, const char *why)
{
    if (conn->opening) {
        conn->failed = why;
        return;
    }

    ngx_http_aggregate_redis_connection_close(conn, why);
}


#if (NGX_SSL)

static void
ngx_http_aggregate_redis_tls_start(ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_connection_t  *c;

    c = conn->connection;

    c->pool = ngx_create_pool(1024, ngx_cycle->log);

    if (c->pool == NULL
        || ngx_ssl_create_connection(conn->redis->ssl, c,
                                     NGX_SSL_BUFFER|NGX_SSL_CLIENT)
           != NGX_OK)
    {
        ngx_http_aggregate_redis_connect_failed(conn, "no memory");
        return;
    }

    /* unsent data may be moved in memory before it is sent again */

    SSL_set_mode(c->ssl->connection, SSL_MODE_ENABLE_PARTIAL_WRITE
                                     |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    if (ngx_http_aggregate_redis_tls_set_name(conn) != NGX_OK) {
        ngx_http_aggregate_redis_connect_failed(conn, "no memory");
        return;
    }

    if (ngx_ssl_handshake(c) == NGX_AGAIN) {
        c->ssl->handler = ngx_http_aggregate_redis_tls_handler;
        return;
    }

    ngx_http_aggregate_redis_tls_handler(c);
}


static void
ngx_http_aggregate_redis_tls_handler(ngx_connection_t *c)
{
    const char                             *why;
    ngx_http_aggregate_redis_connection_t  *conn;

    conn = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_aggregate_redis_connect_failed(conn, "TLS handshake failed");
        return;
    }

    if (conn->redis->tls_verify) {

        why = ngx_http_aggregate_redis_tls_verify(conn);

        if (why) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "certificate of redis \"%V\" (%V) is invalid: %s",
                          &conn->redis->name, &conn->address, why);
            ngx_http_aggregate_redis_connect_failed(conn,
                                                    "invalid certificate");
            return;
        }
    }

    ngx_http_aggregate_redis_connected(conn);
}

#endif


static void
ngx_http_aggregate_redis_connected(ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_connection_t  *c;

    c = conn->connection;

    c->read->handler = ngx_http_aggregate_redis_read_handler;
    c->write->handler = ngx_http_aggregate_redis_write_handler;

    /* an exiting worker does not wait for it */
    c->idle = 1;

    conn->connected = 1;
    conn->connected_at = ngx_current_msec;
    conn->heard = ngx_current_msec;

    ngx_http_aggregate_redis_flush(conn);
}


ngx_int_t
ngx_http_aggregate_redis_connection_send(
    ngx_http_aggregate_redis_connection_t *conn, const char *data, size_t len)
{
    size_t   size;
    u_char  *out;

    if (conn->out_len - conn->out_sent + len > NGX_HTTP_AGGREGATE_REDIS_QUEUE)
    {
        return NGX_DECLINED;
    }

    if (conn->out_sent) {
        ngx_memmove(conn->out, conn->out + conn->out_sent,
                    conn->out_len - conn->out_sent);

        conn->out_len -= conn->out_sent;
        conn->out_sent = 0;
    }

    if (conn->out_size - conn->out_len < len) {

        size = ngx_max(conn->out_size * 2, conn->out_len + len);
        size = ngx_max(size, 4096);

        out = ngx_alloc(size, ngx_cycle->log);
        if (out == NULL) {
            return NGX_ERROR;
        }

        if (conn->out_len) {
            ngx_memcpy(out, conn->out, conn->out_len);
        }

        ngx_free(conn->out);

        conn->out = out;
        conn->out_size = size;
    }

    ngx_memcpy(conn->out + conn->out_len, data, len);
    conn->out_len += len;

    if (conn->connected) {
        ngx_post_event(conn->connection->write, &ngx_posted_events);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_redis_connection_ask(
    ngx_http_aggregate_redis_connection_t *conn, ngx_uint_t argc,
    ngx_str_t *argv, ngx_msec_t timeout)
{
    char          *command;
    size_t         len, lens[16];
    ngx_int_t      rc;
    ngx_uint_t     i;
    const u_char  *args[16];

    for (i = 0; i < argc; i++) {
        args[i] = argv[i].data;
        lens[i] = argv[i].len;
    }

    command = agg_redis_command(argc, args, lens, &len);
    if (command == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_aggregate_redis_connection_send(conn, command, len);

    agg_redis_free(command);

    ngx_http_aggregate_redis_connection_set_timeout(conn, timeout);

    return rc;
}


static void
ngx_http_aggregate_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t                       *c;
    ngx_http_aggregate_redis_connection_t  *conn;

    c = wev->data;
    conn = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_connection_close(conn, "worker is exiting");
        return;
    }

    ngx_http_aggregate_redis_flush(conn);
}


static void
ngx_http_aggregate_redis_flush(ngx_http_aggregate_redis_connection_t *conn)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = conn->connection;

    while (conn->out_sent < conn->out_len) {

        n = c->send(c, conn->out + conn->out_sent,
                    conn->out_len - conn->out_sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_http_aggregate_redis_connection_close(conn, "send() failed");
            return;
        }

        conn->out_sent += n;
    }

    if (conn->out_sent == conn->out_len) {

        conn->out_sent = 0;
        conn->out_len = 0;

        if (conn->out_size > 65536) {
            ngx_free(conn->out);
            conn->out = NULL;
            conn->out_size = 0;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_http_aggregate_redis_connection_close(conn, "event failed");
    }
}


static void
ngx_http_aggregate_redis_read_handler(ngx_event_t *rev)
{
    u_char                                 *p, buf[16384];
    size_t                                  room;
    ssize_t                                 n;
    ngx_int_t                               rc;
    ngx_connection_t                       *c;
    ngx_http_aggregate_redis_connection_t  *conn;

    c = rev->data;
    conn = c->data;

    if (c->close) {
        ngx_http_aggregate_redis_connection_close(conn, "worker is exiting");
        return;
    }

    for ( ;; ) {

        room = agg_redis_room(&conn->parser, &p);

        n = (room > sizeof(buf)) ? c->recv(c, p, room)
                                 : c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_aggregate_redis_connection_close(conn,
                                                      "closed by the server");
            return;
        }

        conn->heard = ngx_current_msec;

        if (room > sizeof(buf)) {

            /* a large value is read without a copy */

            agg_redis_filled(&conn->parser, n);
            continue;
        }

        rc = ngx_http_aggregate_redis_received(conn, buf, buf + n);

        if (rc != NGX_OK) {
            ngx_http_aggregate_redis_connection_close(conn,
                             conn->closing ? conn->closing
                                           : rc == NGX_DONE ? "done"
                                                            : "invalid reply");
            return;
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_aggregate_redis_connection_close(conn, "event failed");
    }
}


static ngx_int_t
ngx_http_aggregate_redis_received(ngx_http_aggregate_redis_connection_t *conn,
    const u_char *p, const u_char *last)
{
    ngx_int_t  rc;

    if (conn->handshake) {

        rc = ngx_http_aggregate_redis_handshake(conn, &p, last);

        if (rc != NGX_OK || p == last) {
            return rc;
        }
    }

    if (conn->handlers->read) {
        return conn->handlers->read(conn, p, last);
    }

    if (agg_redis_reader_feed(conn->reader, p, last - p) != 0) {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_redis_replies(conn);
}


static ngx_int_t
ngx_http_aggregate_redis_handshake(ngx_http_aggregate_redis_connection_t *conn,
    const u_char **p, const u_char *last)
{
    ngx_str_t           name, error;
    agg_redis_event_e   event;

    while (conn->handshake) {

        event = agg_redis_parse(&conn->parser, p, last);

        if (event == AGG_REDIS_AGAIN) {
            return NGX_OK;
        }

        if (event != AGG_REDIS_REPLY) {
            conn->closing = "invalid reply in the handshake";
            return NGX_ERROR;
        }

        if (conn->parser.type == AGG_REDIS_ERROR) {

            ngx_http_aggregate_redis_handshake_name(conn,
                                         conn->nhandshake - conn->handshake,
                                         &name);
            error.data = conn->parser.line;
            error.len = conn->parser.length;

            conn->closing = "handshake refused";
            conn->handlers->refused(conn->node, &name, &error);

            return NGX_ERROR;
        }

        conn->handshake--;
    }

    return conn->handlers->ready ? conn->handlers->ready(conn) : NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_replies(ngx_http_aggregate_redis_connection_t *conn)
{
    int         n;
    void       *reply;
    ngx_int_t   rc;

    for ( ;; ) {

        n = agg_redis_reader_next(conn->reader, &reply);

        if (n == 0) {
            return NGX_OK;
        }

        if (n != 1) {
            return NGX_ERROR;
        }

        rc = conn->handlers->reply(conn, reply);

        agg_redis_reply_free(reply);

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


void
ngx_http_aggregate_redis_connection_set_timeout(
    ngx_http_aggregate_redis_connection_t *conn, ngx_msec_t timeout)
{
    ngx_add_timer(&conn->timer, timeout);
}


static void
ngx_http_aggregate_redis_timer_handler(ngx_event_t *ev)
{
    ngx_http_aggregate_redis_connection_t  *conn;

    conn = ev->data;

    if (!conn->connected
        && (ngx_msec_int_t) (conn->connect_by - ngx_current_msec) <= 0)
    {
        ngx_http_aggregate_redis_connection_close(conn,
                                                  "connect() timed out");
        return;
    }

    if (conn->closing) {
        ngx_http_aggregate_redis_connection_close(conn, conn->closing);
        return;
    }

    if (conn->handlers->timeout && conn->handlers->timeout(conn) == NGX_OK) {
        return;
    }

    ngx_http_aggregate_redis_connection_close(conn,
                                              conn->closing ? conn->closing
                                                            : "timed out");
}


void
ngx_http_aggregate_redis_connection_close_later(
    ngx_http_aggregate_redis_connection_t *conn, const char *why)
{
    if (!conn->open) {
        return;
    }

    conn->closing = why;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    ngx_add_timer(&conn->timer, 1);
}


void
ngx_http_aggregate_redis_connection_retry(
    ngx_http_aggregate_redis_connection_t *conn)
{
    conn->delay = ngx_min(ngx_max(conn->delay * 2,
                                  conn->handlers->reconnect_min),
                          conn->handlers->reconnect_max);

    ngx_http_aggregate_redis_connection_connect_in(conn,
                                           conn->delay + ngx_random() % 100);
}


void
ngx_http_aggregate_redis_connection_connect_in(
    ngx_http_aggregate_redis_connection_t *conn, ngx_msec_t delay)
{
    if (conn->open || conn->reconnect.timer_set || ngx_exiting
        || ngx_terminate)
    {
        return;
    }

    conn->reconnect.handler = ngx_http_aggregate_redis_reconnect_handler;
    conn->reconnect.data = conn;
    conn->reconnect.log = ngx_cycle->log;
    conn->reconnect.cancelable = 1;

    ngx_add_timer(&conn->reconnect, delay);
}


static void
ngx_http_aggregate_redis_reconnect_handler(ngx_event_t *ev)
{
    ngx_http_aggregate_redis_connection_t  *conn;

    conn = ev->data;

    if (!ngx_exiting && !ngx_terminate) {
        conn->handlers->connect(conn);
    }
}


void
ngx_http_aggregate_redis_connection_close(
    ngx_http_aggregate_redis_connection_t *conn, const char *why)
{
    if (!conn->open) {
        return;
    }

    ngx_http_aggregate_redis_finish(conn);

    conn->handlers->closed(conn, why);
}


void
ngx_http_aggregate_redis_connection_end(
    ngx_http_aggregate_redis_connection_t *conn)
{
    if (conn->reconnect.timer_set) {
        ngx_del_timer(&conn->reconnect);
    }

    if (conn->open) {
        ngx_http_aggregate_redis_finish(conn);
    }
}


/* frees all but what closed() may ask for */

static void
ngx_http_aggregate_redis_finish(ngx_http_aggregate_redis_connection_t *conn)
{
    ngx_connection_t  *c;

    conn->open = 0;
    conn->node->connections--;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (conn->resolve) {
        ngx_resolve_name_done(conn->resolve);
        conn->resolve = NULL;
    }

    c = conn->connection;

    if (c) {
        conn->connection = NULL;
        ngx_http_aggregate_close_connection(c);
    }

    agg_redis_parser_destroy(&conn->parser);
    agg_redis_reader_destroy(conn->reader);
    conn->reader = NULL;

    ngx_free(conn->out);
    conn->out = NULL;
    conn->out_len = 0;
    conn->out_sent = 0;
    conn->out_size = 0;
}
