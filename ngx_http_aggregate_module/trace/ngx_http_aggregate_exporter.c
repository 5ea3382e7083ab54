
/*
 * The exporter of a worker has a bounded queue of encoded spans, one connection
 * to the collector, and one request at a time.  Client requests never wait
 * for it.
 */


#include "ngx_http_aggregate_exporter.h"
#include "ngx_http_aggregate_peer.h"


#define NGX_HTTP_AGGREGATE_EXPORTER_BACKOFF      1000
#define NGX_HTTP_AGGREGATE_EXPORTER_BACKOFF_MAX  30000
#define NGX_HTTP_AGGREGATE_EXPORTER_RETRY_MAX    (5 * 60 * 1000)
#define NGX_HTTP_AGGREGATE_EXPORTER_LOG          60
#define NGX_HTTP_AGGREGATE_EXPORTER_TEXT         256
#define NGX_HTTP_AGGREGATE_EXPORTER_EXIT         1000


static void ngx_http_aggregate_exporter_gauge(
    ngx_http_aggregate_exporter_t *e);
static void ngx_http_aggregate_exporter_schedule(
    ngx_http_aggregate_exporter_t *e, ngx_msec_t delay);
static void ngx_http_aggregate_exporter_timer(ngx_event_t *ev);
static void ngx_http_aggregate_exporter_send(
    ngx_http_aggregate_exporter_t *e);
static void ngx_http_aggregate_exporter_resolve(
    ngx_http_aggregate_exporter_t *e);
static void ngx_http_aggregate_exporter_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_aggregate_exporter_open(ngx_http_aggregate_exporter_t *e,
    ngx_addr_t *addr);
static ngx_int_t ngx_http_aggregate_exporter_connect(
    ngx_http_aggregate_exporter_t *e, ngx_addr_t *addr);
static void ngx_http_aggregate_exporter_connected(ngx_event_t *ev);
static ngx_int_t ngx_http_aggregate_exporter_test(ngx_connection_t *c);
#if (NGX_SSL)
static void ngx_http_aggregate_exporter_handshake(
    ngx_http_aggregate_exporter_t *e, ngx_connection_t *c);
static void ngx_http_aggregate_exporter_handshaked(ngx_connection_t *c);
#endif
static void ngx_http_aggregate_exporter_write(ngx_event_t *ev);
static void ngx_http_aggregate_exporter_read(ngx_event_t *ev);
static void ngx_http_aggregate_exporter_close(
    ngx_http_aggregate_exporter_t *e);
static void ngx_http_aggregate_exporter_lost(
    ngx_http_aggregate_exporter_t *e, const char *why);
static void ngx_http_aggregate_exporter_retry(
    ngx_http_aggregate_exporter_t *e, const char *why, ngx_msec_t delay);
static void ngx_http_aggregate_exporter_finish(
    ngx_http_aggregate_exporter_t *e);
static void ngx_http_aggregate_exporter_done(
    ngx_http_aggregate_exporter_t *e, ngx_uint_t good, const char *why,
    ngx_str_t *text);
static ngx_msec_t ngx_http_aggregate_exporter_retry_after(
    ngx_http_aggregate_exporter_t *e);
static void ngx_http_aggregate_exporter_log(ngx_http_aggregate_exporter_t *e,
    ngx_uint_t bad, const char *why, ngx_str_t *text);


static ngx_http_aggregate_exporter_t  ngx_http_aggregate_exporter;


ngx_int_t
ngx_http_aggregate_exporter_init(ngx_cycle_t *cycle,
    ngx_http_aggregate_exporter_conf_t *conf)
{
    ngx_http_aggregate_exporter_t  *e;

    e = &ngx_http_aggregate_exporter;

    ngx_memzero(e, sizeof(ngx_http_aggregate_exporter_t));

    e->conf = conf;
    e->cycle = cycle;
    e->log = *cycle->log;
    e->last = &e->first;

    e->timer.handler = ngx_http_aggregate_exporter_timer;
    e->timer.log = cycle->log;
    e->timer.data = e;
    e->timer.cancelable = 1;

    e->address = (ngx_uint_t) ngx_random();

    return NGX_OK;
}


static void
ngx_http_aggregate_exporter_gauge(ngx_http_aggregate_exporter_t *e)
{
    ngx_uint_t                                i;
    ngx_http_aggregate_metrics_zone_t       **zones;
    ngx_http_aggregate_metrics_main_conf_t   *mmcf;

    mmcf = ngx_http_cycle_get_module_main_conf(e->cycle,
                                         ngx_http_aggregate_metrics_module);
    zones = mmcf->zones.elts;

    for (i = 0; i < mmcf->zones.nelts; i++) {
        if (zones[i]->process) {
            zones[i]->process->queue = (uint32_t) e->bytes;
        }
    }
}


void
ngx_http_aggregate_exporter_push(ngx_http_aggregate_exporter_conf_t *conf,
    u_char *data, size_t len, ngx_uint_t spans)
{
    ngx_http_aggregate_exporter_t       *e;
    ngx_http_aggregate_exporter_item_t  *item;

    e = &ngx_http_aggregate_exporter;

    if (e->conf == NULL) {
        return;
    }

    item = NULL;

    if (len <= conf->queue && e->bytes <= conf->queue - len) {
        item = ngx_http_aggregate_exporter_alloc(e, len);
    }

    if (item == NULL) {
        e->dropped += spans;
        ngx_http_aggregate_exporter_total(e, AGG_METRICS_SPANS_DROPPED, spans);
        return;
    }

    item->next = NULL;
    item->spans = spans;
    item->len = len;
    ngx_memcpy(item->data, data, len);

    *e->last = item;
    e->last = &item->next;

    e->bytes += len;
    e->spans += spans;

    ngx_http_aggregate_exporter_gauge(e);

    if (e->busy || e->waits) {
        return;
    }

    /* in a separate event, as the client's request is still being finalized */

    if (e->spans >= (ngx_uint_t) conf->batch || e->bytes >= conf->queue / 2) {
        ngx_http_aggregate_exporter_schedule(e, 1);

    } else if (!e->timer.timer_set) {
        ngx_http_aggregate_exporter_schedule(e, conf->interval);
    }
}


static void
ngx_http_aggregate_exporter_schedule(ngx_http_aggregate_exporter_t *e,
    ngx_msec_t delay)
{
    if (e->timer.timer_set) {

        if ((ngx_msec_int_t) (e->timer.timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) delay)
        {
            return;
        }

        ngx_del_timer(&e->timer);
    }

    ngx_add_timer(&e->timer, delay);
}


static void
ngx_http_aggregate_exporter_timer(ngx_event_t *ev)
{
    ngx_http_aggregate_exporter_t  *e;

    e = ev->data;

    e->waits = 0;

    if (!e->busy) {
        ngx_http_aggregate_exporter_send(e);
    }
}


static void
ngx_http_aggregate_exporter_send(ngx_http_aggregate_exporter_t *e)
{
    ngx_int_t  rc;

    do {
        rc = ngx_http_aggregate_exporter_make(e);
    } while (rc == NGX_ERROR);

    ngx_http_aggregate_exporter_gauge(e);

    if (rc == NGX_DECLINED) {
        return;
    }

    e->busy = 1;
    e->sent = e->start;
    e->answered = 0;
    agg_http_reply_init(&e->reply);

    if (e->connection) {
        e->kept = 1;
        e->connection->idle = 0;
        ngx_add_timer(e->connection->read, e->conf->timeout);
        ngx_http_aggregate_exporter_write(e->connection->write);
        return;
    }

    e->kept = 0;

    if (e->conf->resolver) {
        ngx_http_aggregate_exporter_resolve(e);
        return;
    }

    ngx_http_aggregate_exporter_open(e,
                        &e->conf->addrs[e->address++ % e->conf->naddrs]);
}


static void
ngx_http_aggregate_exporter_resolve(ngx_http_aggregate_exporter_t *e)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(e->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_http_aggregate_exporter_retry(e, "cannot resolve", 0);
        return;
    }

    ctx->name = e->conf->name;
    ctx->handler = ngx_http_aggregate_exporter_resolved;
    ctx->data = e;
    ctx->timeout = ngx_min(e->conf->resolver_timeout, e->conf->timeout);
    ctx->cancelable = 1;

    e->resolve = ctx;

    /* the handler may be called before this returns */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        e->resolve = NULL;
        ngx_http_aggregate_exporter_retry(e, "cannot resolve", 0);
    }
}


static void
ngx_http_aggregate_exporter_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_resolver_addr_t            *addr;
    ngx_http_aggregate_exporter_t  *e;

    e = ctx->data;
    e->resolve = NULL;

    if (ctx->state || ctx->naddrs == 0) {
        ngx_resolve_name_done(ctx);
        ngx_http_aggregate_exporter_retry(e, "host not found", 0);
        return;
    }

    addr = &ctx->addrs[e->address++ % ctx->naddrs];

    ngx_memcpy(&e->sockaddr, addr->sockaddr, addr->socklen);
    ngx_inet_set_port(&e->sockaddr.sockaddr, e->conf->port);

    e->resolved.sockaddr = &e->sockaddr.sockaddr;
    e->resolved.socklen = addr->socklen;
    e->resolved.name.data = e->text;
    e->resolved.name.len = ngx_sock_ntop(&e->sockaddr.sockaddr, addr->socklen,
                                         e->text, NGX_SOCKADDR_STRLEN, 1);

    ngx_resolve_name_done(ctx);

    ngx_http_aggregate_exporter_open(e, &e->resolved);
}


static void
ngx_http_aggregate_exporter_open(ngx_http_aggregate_exporter_t *e,
    ngx_addr_t *addr)
{
    if (ngx_http_aggregate_exporter_connect(e, addr) != NGX_OK) {
        ngx_http_aggregate_exporter_retry(e, "cannot connect", 0);
    }
}


static ngx_int_t
ngx_http_aggregate_exporter_connect(ngx_http_aggregate_exporter_t *e,
    ngx_addr_t *addr)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    ngx_memzero(&e->peer, sizeof(ngx_peer_connection_t));

    e->peer.sockaddr = addr->sockaddr;
    e->peer.socklen = addr->socklen;
    e->peer.name = &addr->name;
    e->peer.get = ngx_event_get_peer;
    e->peer.log = &e->log;
    e->peer.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&e->peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {

        if (e->peer.connection) {
            ngx_close_connection(e->peer.connection);
        }

        return NGX_ERROR;
    }

    c = e->peer.connection;

    c->data = e;
    c->log = &e->log;
    c->read->log = &e->log;
    c->write->log = &e->log;
    c->pool = ngx_create_pool(512, &e->log);

    if (c->pool == NULL) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    e->connection = c;

    c->read->handler = ngx_http_aggregate_exporter_connected;
    c->write->handler = ngx_http_aggregate_exporter_connected;

    /* an exiting worker waits only in ngx_http_aggregate_exporter_exit() */

    c->read->cancelable = 1;

    ngx_add_timer(c->read, e->conf->timeout);

    if (rc == NGX_OK) {
        ngx_http_aggregate_exporter_connected(c->write);
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_exporter_connected(ngx_event_t *ev)
{
    ngx_connection_t               *c;
    ngx_http_aggregate_exporter_t  *e;

    c = ev->data;
    e = c->data;

    if (ev->timedout || c->read->timedout) {
        ngx_http_aggregate_exporter_lost(e, "connect timed out");
        return;
    }

    if (!ev->write) {

        /* the write event handles the outcome of the connect */

        if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
            ngx_http_aggregate_exporter_lost(e, "event failed");
        }

        return;
    }

    if (ngx_http_aggregate_exporter_test(c) != NGX_OK) {
        ngx_http_aggregate_exporter_lost(e, "connect failed");
        return;
    }

#if (NGX_SSL)

    if (e->conf->ssl) {
        ngx_http_aggregate_exporter_handshake(e, c);
        return;
    }

#endif

    c->read->handler = ngx_http_aggregate_exporter_read;
    c->write->handler = ngx_http_aggregate_exporter_write;

    ngx_http_aggregate_exporter_write(c->write);
}


static ngx_int_t
ngx_http_aggregate_exporter_test(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

#if (NGX_HAVE_KQUEUE)

    if (ngx_event_flags & NGX_USE_KQUEUE_EVENT) {
        return c->write->pending_eof || c->read->pending_eof ? NGX_ERROR
                                                             : NGX_OK;
    }

#endif

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err ? NGX_ERROR : NGX_OK;
}


#if (NGX_SSL)

static void
ngx_http_aggregate_exporter_handshake(ngx_http_aggregate_exporter_t *e,
    ngx_connection_t *c)
{
    u_char     *name;
    ngx_int_t   rc;
    ngx_str_t  *host;

    if (ngx_ssl_create_connection(e->conf->ssl, c,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_http_aggregate_exporter_lost(e, "TLS failed");
        return;
    }

    host = &e->conf->tls_name;

    /* SNI is for names only, not for addresses */

    if (host->len && ngx_inet_addr(host->data, host->len) == INADDR_NONE) {

        name = ngx_pnalloc(c->pool, host->len + 1);
        if (name == NULL) {
            ngx_http_aggregate_exporter_lost(e, "TLS failed");
            return;
        }

        (void) ngx_cpystrn(name, host->data, host->len + 1);

        (void) SSL_set_tlsext_host_name(c->ssl->connection, (char *) name);
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_http_aggregate_exporter_handshaked;
        return;
    }

    ngx_http_aggregate_exporter_handshaked(c);
}


static void
ngx_http_aggregate_exporter_handshaked(ngx_connection_t *c)
{
    ngx_http_aggregate_exporter_t  *e;

    e = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_aggregate_exporter_lost(e, c->read->timedout
                                            ? "TLS handshake timed out"
                                            : "TLS handshake failed");
        return;
    }

    if (e->conf->tls_verify
        && (SSL_get_verify_result(c->ssl->connection) != X509_V_OK
            || ngx_ssl_check_host(c, &e->conf->tls_name) != NGX_OK))
    {
        ngx_http_aggregate_exporter_lost(e, "certificate is not trusted");
        return;
    }

    c->read->handler = ngx_http_aggregate_exporter_read;
    c->write->handler = ngx_http_aggregate_exporter_write;

    ngx_http_aggregate_exporter_write(c->write);
}

#endif


static void
ngx_http_aggregate_exporter_write(ngx_event_t *ev)
{
    ssize_t                         n;
    ngx_connection_t               *c;
    ngx_http_aggregate_exporter_t  *e;

    c = ev->data;
    e = c->data;

    while (e->busy && e->sent < e->size) {

        n = c->send(c, e->request + e->sent, e->size - e->sent);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n < 1) {

            /* the collector may have responded early, for example with 413 */

            if (e->sent > e->start) {
                e->sent = e->size;
                break;
            }

            ngx_http_aggregate_exporter_lost(e, "connection lost");
            return;
        }

        e->sent += n;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_http_aggregate_exporter_lost(e, "event failed");
        return;
    }

    if (c->read->ready) {
        ngx_http_aggregate_exporter_read(c->read);
    }
}


static void
ngx_http_aggregate_exporter_read(ngx_event_t *ev)
{
    u_char                          buf[4096];
    ssize_t                         n;
    ngx_connection_t               *c;
    agg_http_reply_e                rc;
    ngx_http_aggregate_exporter_t  *e;

    c = ev->data;
    e = c->data;

    if (ev->timedout) {
        ngx_http_aggregate_exporter_lost(e, "timed out");
        return;
    }

    for ( ;; ) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                ngx_http_aggregate_exporter_lost(e, "event failed");
            }

            return;
        }

        if (!e->busy) {

            /* an idle connection was closed, or has received unexpected data */

            ngx_http_aggregate_exporter_close(e);
            return;
        }

        if (n < 1) {
            rc = (n == 0) ? agg_http_reply_eof(&e->reply)
                          : AGG_HTTP_REPLY_INVALID;

            if (rc != AGG_HTTP_REPLY_DONE) {
                ngx_http_aggregate_exporter_lost(e, "connection lost");
                return;
            }

        } else {
            e->answered = 1;
            rc = agg_http_reply_push(&e->reply, buf, n);
        }

        if (rc == AGG_HTTP_REPLY_MORE) {
            continue;
        }

        if (rc == AGG_HTTP_REPLY_INVALID) {
            ngx_http_aggregate_exporter_retry(e, "invalid response", 0);
            return;
        }

        if (rc == AGG_HTTP_REPLY_TOO_LARGE) {
            ngx_http_aggregate_exporter_close(e);
            ngx_http_aggregate_exporter_done(e, 0, "too large a response",
                                             NULL);
            return;
        }

        ngx_http_aggregate_exporter_finish(e);
        return;
    }
}


static void
ngx_http_aggregate_exporter_close(ngx_http_aggregate_exporter_t *e)
{
    ngx_connection_t  *c;

    c = e->connection;

    if (c == NULL) {
        return;
    }

    e->connection = NULL;
    ngx_http_aggregate_close_connection(c);
}


/* a kept connection may have been closed while the request was sent */

static void
ngx_http_aggregate_exporter_lost(ngx_http_aggregate_exporter_t *e,
    const char *why)
{
    if (e->kept && !e->answered && e->busy
        && !e->connection->read->timedout)
    {
        ngx_http_aggregate_exporter_close(e);
        e->busy = 0;
        ngx_http_aggregate_exporter_send(e);
        return;
    }

    ngx_http_aggregate_exporter_retry(e, why, 0);
}


static void
ngx_http_aggregate_exporter_retry(ngx_http_aggregate_exporter_t *e,
    const char *why, ngx_msec_t delay)
{
    ngx_http_aggregate_exporter_close(e);

    e->busy = 0;
    e->waits = 1;

    ngx_http_aggregate_exporter_total(e, AGG_METRICS_EXPORTS_RETRY, 1);

    if (e->backoff == 0) {
        e->backoff = NGX_HTTP_AGGREGATE_EXPORTER_BACKOFF;

    } else {
        e->backoff = ngx_min(2 * e->backoff,
                             NGX_HTTP_AGGREGATE_EXPORTER_BACKOFF_MAX);
    }

    if (delay == 0) {
        delay = e->backoff * 4 / 5 + (ngx_msec_t) ngx_random()
                                     % (e->backoff * 2 / 5);
    }

    if (e->timer.timer_set) {
        ngx_del_timer(&e->timer);
    }

    ngx_add_timer(&e->timer, delay);

    ngx_http_aggregate_exporter_log(e, 1, why, NULL);
}


static void
ngx_http_aggregate_exporter_finish(ngx_http_aggregate_exporter_t *e)
{
    uint64_t         rejected;
    ngx_str_t        text;
    ngx_uint_t       status;
    const uint8_t   *message;

    status = e->reply.status;
    text.data = e->reply.kept;
    text.len = e->reply.nkept;

    if (e->reply.close || e->sent < e->size) {
        ngx_http_aggregate_exporter_close(e);

    } else if (e->connection->read->timer_set) {
        ngx_del_timer(e->connection->read);
    }

    if (e->connection) {
        e->connection->idle = 1;
    }

    if (status == 429 || status == 502 || status == 503 || status == 504) {
        ngx_http_aggregate_exporter_retry(e, "refused for now",
                                ngx_http_aggregate_exporter_retry_after(e));
        return;
    }

    if (status != 200) {
        ngx_http_aggregate_exporter_done(e, 0, "refused", &text);
        return;
    }

    rejected = agg_otlp_rejected((int) e->conf->json, e->reply.kept,
                                 e->reply.nkept, &message, &text.len);
    text.data = (u_char *) message;

    if (rejected == 0) {
        ngx_http_aggregate_exporter_done(e, 1, NULL, NULL);
        return;
    }

    rejected = ngx_min(rejected, e->batch_spans);
    e->batch_spans -= (ngx_uint_t) rejected;

    ngx_http_aggregate_exporter_total(e, AGG_METRICS_SPANS_REJECTED, rejected);
    ngx_http_aggregate_exporter_done(e, 1, "rejected in part", &text);
}


/* the batch was sent or dropped */

static void
ngx_http_aggregate_exporter_done(ngx_http_aggregate_exporter_t *e,
    ngx_uint_t good, const char *why, ngx_str_t *text)
{
    ngx_http_aggregate_exporter_total(e, good ? AGG_METRICS_SPANS_EXPORTED
                                              : AGG_METRICS_SPANS_FAILED,
                                      e->batch_spans);
    ngx_http_aggregate_exporter_total(e, good ? AGG_METRICS_EXPORTS_OK
                                              : AGG_METRICS_EXPORTS_FAILED,
                                      1);

    ngx_http_aggregate_exporter_log(e, why != NULL, why, text);

    ngx_free(e->request);

    e->request = NULL;
    e->bytes -= e->batch_bytes;
    e->batch_spans = 0;
    e->busy = 0;
    e->backoff = 0;

    ngx_http_aggregate_exporter_gauge(e);

    /* spans that were queued meanwhile are sent at once */

    if (e->first) {
        ngx_http_aggregate_exporter_schedule(e, 1);
    }
}


/* a number of seconds, or a date; 0: neither */

static ngx_msec_t
ngx_http_aggregate_exporter_retry_after(ngx_http_aggregate_exporter_t *e)
{
    time_t     t;
    ngx_int_t  n;

    if (e->reply.nretry_after == 0) {
        return 0;
    }

    n = ngx_atoi(e->reply.retry_after, e->reply.nretry_after);

    if (n == NGX_ERROR) {
        t = ngx_parse_http_time(e->reply.retry_after, e->reply.nretry_after);

        if (t == NGX_ERROR) {
            return 0;
        }

        n = ngx_max(t - ngx_time(), 1);
    }

    n = ngx_min(ngx_max(n, 1), NGX_HTTP_AGGREGATE_EXPORTER_RETRY_MAX / 1000);

    return (ngx_msec_t) n * 1000;
}


/* logs a change between working and failing, at most once a minute */

static void
ngx_http_aggregate_exporter_log(ngx_http_aggregate_exporter_t *e,
    ngx_uint_t bad, const char *why, ngx_str_t *text)
{
    u_char  shown[NGX_HTTP_AGGREGATE_EXPORTER_TEXT], *p;
    size_t  i;

    if (bad == e->bad) {
        return;
    }

    if (e->logged
        && ngx_time() - e->logged < NGX_HTTP_AGGREGATE_EXPORTER_LOG)
    {
        return;
    }

    e->bad = bad;
    e->logged = ngx_time();
    p = shown;

    for (i = 0; text && i < text->len && p < shown + sizeof(shown); i++) {
        if (text->data[i] >= 0x20 && text->data[i] < 0x7f) {
            *p++ = text->data[i];
        }
    }

    if (bad) {
        ngx_log_error(NGX_LOG_WARN, &e->log, 0,
                      "trace collector \"%V\": %s, status %ui, \"%*s\", "
                      "%ui spans are queued, %ui dropped", &e->conf->endpoint,
                      why, e->reply.status, (size_t) (p - shown), shown,
                      e->spans + e->batch_spans, e->dropped);

    } else {
        ngx_log_error(NGX_LOG_WARN, &e->log, 0,
                      "trace collector \"%V\" accepts spans again, "
                      "%ui are queued, %ui were dropped", &e->conf->endpoint,
                      e->spans, e->dropped);
    }

    e->dropped = 0;
}


/*
 * An exiting worker has no client requests any more, so for a second it handles
 * only the events of the exporter.
 */

void
ngx_http_aggregate_exporter_exit(ngx_cycle_t *cycle)
{
    ngx_msec_t                      start;
    ngx_http_aggregate_exporter_t  *e;

    e = &ngx_http_aggregate_exporter;

    if (e->conf == NULL) {
        return;
    }

    start = ngx_current_msec;

    while (!ngx_terminate && (e->first || e->request)) {

        if (ngx_current_msec - start >= NGX_HTTP_AGGREGATE_EXPORTER_EXIT) {
            break;
        }

        if (!e->busy && (!e->waits || !e->timer.timer_set)) {
            ngx_http_aggregate_exporter_send(e);
        }

        if (!e->timer.timer_set) {
            ngx_add_timer(&e->timer, 100);
        }

        ngx_process_events_and_timers(cycle);
    }

    if (e->timer.timer_set) {
        ngx_del_timer(&e->timer);
    }

    if (e->spans + e->batch_spans) {
        ngx_http_aggregate_exporter_total(e, AGG_METRICS_SPANS_FAILED,
                                          e->spans + e->batch_spans);
    }

    if (e->resolve) {
        ngx_resolve_name_done(e->resolve);
        e->resolve = NULL;
    }

    ngx_http_aggregate_exporter_close(e);
    e->conf = NULL;
}
