
/* see ngx_http_aggregate_detached.h */

#include "ngx_http_aggregate_detached.h"
#include "ngx_http_aggregate_held.h"
#include "agg_header_names.h"


static ngx_connection_t *ngx_http_aggregate_detached_connect(
    ngx_http_request_t *r, const char *action);
static void ngx_http_aggregate_detached_closed(void *data);
#if (nginx_version < 1022000)
static ssize_t ngx_http_aggregate_detached_recv(ngx_connection_t *c,
    u_char *buf, size_t size);
#endif
static ngx_int_t ngx_http_aggregate_detached_set_up(ngx_connection_t *c,
    ngx_http_request_t *r, const char *action);
static ngx_http_request_t *ngx_http_aggregate_detached_request(
    ngx_connection_t *c, ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_detached_headers(ngx_http_request_t *fr,
    ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_detached_header(ngx_http_request_t *fr,
    ngx_table_elt_t *header);
static ngx_int_t ngx_http_aggregate_detached_variables(
    ngx_http_request_t *fr, ngx_http_request_t *r);
static void ngx_http_aggregate_detached_first(ngx_event_t *ev);
static void ngx_http_aggregate_detached_event(ngx_event_t *ev);
static void ngx_http_aggregate_detached_exit(ngx_connection_t *c);
static ngx_chain_t *ngx_http_aggregate_detached_send(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);


/* the number of detached requests of this worker */

static ngx_uint_t  ngx_http_aggregate_detached_count;

static ngx_http_aggregate_detached_pt  ngx_http_aggregate_detached_observer;


ngx_http_request_t *
ngx_http_aggregate_detached_create(ngx_http_request_t *r, const char *action)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *fr;

    c = ngx_http_aggregate_detached_connect(r, action);
    if (c == NULL) {
        return NULL;
    }

    fr = ngx_http_aggregate_detached_request(c, r);

    if (fr == NULL) {
        ngx_http_close_connection(c);
        return NULL;
    }

    if (ngx_http_aggregate_detached_headers(fr, r) != NGX_OK
        || ngx_http_aggregate_detached_variables(fr, r) != NGX_OK)
    {
        ngx_http_aggregate_detached_close(fr);
        return NULL;
    }

    if (ngx_http_aggregate_detached_observer) {
        ngx_http_aggregate_detached_observer(fr, r);
    }

    return fr;
}


void
ngx_http_aggregate_detached_observe(ngx_http_aggregate_detached_pt handler)
{
    ngx_http_aggregate_detached_observer = handler;
}


void
ngx_http_aggregate_detached_close(ngx_http_request_t *fr)
{
    ngx_connection_t  *c;

    c = fr->connection;

    ngx_http_free_request(fr, 0);
    ngx_http_close_connection(c);
}


void
ngx_http_aggregate_detached_start(ngx_http_request_t *fr)
{
    ngx_post_event(fr->connection->write, &ngx_posted_events);
}


ngx_uint_t
ngx_http_aggregate_detached_running(void)
{
    return ngx_http_aggregate_detached_count;
}


static ngx_connection_t *
ngx_http_aggregate_detached_connect(ngx_http_request_t *r,
    const char *action)
{
    int                  fds[2], *peer;
    ngx_pool_t          *pool;
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_socket_errno,
                      "socketpair() failed");
        return NULL;
    }

    if (ngx_nonblocking(fds[0]) == -1
        || fcntl(fds[0], F_SETFD, FD_CLOEXEC) == -1
        || fcntl(fds[1], F_SETFD, FD_CLOEXEC) == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_socket_errno,
                      "fcntl() of a socket pair failed");
        goto failed;
    }

    c = ngx_get_connection(fds[0], r->connection->log);
    if (c == NULL) {
        goto failed;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        ngx_free_connection(c);
        goto failed;
    }

    c->pool = pool;

    cln = ngx_pool_cleanup_add(pool, sizeof(int));

    if (cln == NULL) {
        ngx_destroy_pool(pool);
        ngx_free_connection(c);
        goto failed;
    }

    /*
     * an unread byte keeps the socket readable, so that a lingering close ends
     * when it first checks the time
     */

    if (write(fds[1], "\n", 1) != 1) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_socket_errno,
                      "write() to a socket pair failed");
        ngx_destroy_pool(pool);
        ngx_free_connection(c);
        goto failed;
    }

    cln->handler = ngx_http_aggregate_detached_closed;
    peer = cln->data;
    *peer = fds[1];

    ngx_http_aggregate_detached_count++;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    if (ngx_http_aggregate_detached_set_up(c, r, action) != NGX_OK) {
        ngx_http_close_connection(c);
        return NULL;
    }

    return c;

failed:

    (void) ngx_close_socket(fds[0]);
    (void) ngx_close_socket(fds[1]);

    return NULL;
}


#if (nginx_version < 1022000)

/*
 * Older versions reset the time of a lingering close when it begins.  Only such
 * a close reads from this connection, and it ends when there is no data.
 */

static ssize_t
ngx_http_aggregate_detached_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    return 0;
}

#endif


static void
ngx_http_aggregate_detached_closed(void *data)
{
    int *peer = data;

    ngx_http_aggregate_detached_count--;

    (void) ngx_close_socket(*peer);
}


static ngx_int_t
ngx_http_aggregate_detached_set_up(ngx_connection_t *c,
    ngx_http_request_t *r, const char *action)
{
    ngx_log_t              *log;
    ngx_connection_t       *client;
    ngx_http_log_ctx_t     *log_ctx;
    ngx_http_connection_t  *hc;

    client = r->connection;

    if (ngx_connection_local_sockaddr(client, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    log = ngx_palloc(c->pool, sizeof(ngx_log_t));
    log_ctx = ngx_pcalloc(c->pool, sizeof(ngx_http_log_ctx_t));
    hc = ngx_pcalloc(c->pool, sizeof(ngx_http_connection_t));

    c->buffer = ngx_create_temp_buf(c->pool, 1);
    c->sockaddr = ngx_pnalloc(c->pool, client->socklen);
    c->local_sockaddr = ngx_pnalloc(c->pool, client->local_socklen);

    if (log == NULL || log_ctx == NULL || hc == NULL || c->buffer == NULL
        || c->sockaddr == NULL || c->local_sockaddr == NULL
        || ngx_http_aggregate_detached_copy(c->pool, &c->addr_text,
                                                 &client->addr_text)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(c->sockaddr, client->sockaddr, client->socklen);
    c->socklen = client->socklen;

    ngx_memcpy(c->local_sockaddr, client->local_sockaddr,
               client->local_socklen);
    c->local_socklen = client->local_socklen;

    c->listening = client->listening;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->type = SOCK_STREAM;
    c->log_error = NGX_ERROR_INFO;

    ngx_http_aggregate_connection_begins(c);

    *log = *client->log;
    log->connection = c->number;
    log->action = (char *) action;
    log->data = log_ctx;

    log_ctx->connection = c;

    c->log = log;
    c->pool->log = log;
    c->read->log = log;
    c->write->log = log;

#if (nginx_version < 1022000)
    c->recv = ngx_http_aggregate_detached_recv;
#else
    c->recv = ngx_recv;
#endif
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_http_aggregate_detached_send;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    /* idle connections are notified when the worker exits */

    c->idle = 1;

    c->read->handler = ngx_http_aggregate_detached_event;
    c->write->handler = ngx_http_aggregate_detached_first;
    c->write->ready = 1;

    /* a subrequest's connection has none */

    hc->addr_conf = r->main->http_connection->addr_conf;
    hc->conf_ctx = r->main->http_connection->conf_ctx;

    c->data = hc;

    return NGX_OK;
}


/* copies the client's request, as far as handlers can see */

static ngx_http_request_t *
ngx_http_aggregate_detached_request(ngx_connection_t *c,
    ngx_http_request_t *r)
{
    ngx_http_request_t  *fr;

    fr = ngx_http_create_request(c);
    if (fr == NULL) {
        return NULL;
    }

    c->data = fr;

    /* not in the access log, as no client has requested it */

    fr->logged = 1;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    fr->stat_reading = 0;
    (void) ngx_atomic_fetch_add(ngx_stat_writing, 1);
    fr->stat_writing = 1;
#endif

    fr->main_conf = r->main_conf;
    fr->srv_conf = r->srv_conf;
    fr->loc_conf = r->loc_conf;

    fr->method = NGX_HTTP_GET;
    ngx_str_set(&fr->method_name, "GET");

    fr->http_version = r->http_version;
    fr->http_major = r->http_major;
    fr->http_minor = r->http_minor;

    fr->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
    fr->internal = r->internal;
    fr->valid_location = 1;
    fr->valid_unparsed_uri = (r == r->main) ? r->valid_unparsed_uri : 0;

    if (ngx_http_aggregate_detached_copy(fr->pool, &fr->uri, &r->uri)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &fr->args,
                                                 &r->args)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool,
                                                 &fr->unparsed_uri,
                                                 &r->unparsed_uri)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &fr->request_line,
                                                 &r->request_line)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool,
                                                 &fr->http_protocol,
                                                 &r->http_protocol)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool,
                                                 &fr->headers_in.server,
                                                 &r->headers_in.server)
           != NGX_OK)
    {
        ngx_http_free_request(fr, 0);
        return NULL;
    }

    ngx_http_set_exten(fr);
    ngx_http_update_location_config(fr);

    /*
     * an "if" block has no handler of its own, but inherits that of its
     * location
     */

    fr->content_handler = r->content_handler;

    fr->keepalive = 0;

    /* there is no client, so the time for lingering is over */

    fr->lingering_time = 1;

    return fr;
}


static ngx_int_t
ngx_http_aggregate_detached_headers(ngx_http_request_t *fr,
    ngx_http_request_t *r)
{
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    if (ngx_list_init(&fr->headers_in.headers, fr->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_detached_header(fr, h) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_detached_header(ngx_http_request_t *fr,
    ngx_table_elt_t *header)
{
    ngx_table_elt_t             *h;
    ngx_http_header_t           *hh;
    ngx_http_core_main_conf_t   *cmcf;

    if (agg_header_flags(header->key.data, header->key.len)
        & AGG_HEADER_NO_COPY)
    {
        return NGX_OK;
    }

    h = ngx_list_push(&fr->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    if (ngx_http_aggregate_detached_copy(fr->pool, &h->key,
                                              &header->key)
           != NGX_OK
        || ngx_http_aggregate_detached_copy(fr->pool, &h->value,
                                                 &header->value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    h->lowcase_key = ngx_pnalloc(fr->pool, h->key.len + 1);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    if (h->key.len == 4 && ngx_strncmp(h->lowcase_key, "host", 4) == 0) {

        /* the server has already been chosen */

        fr->headers_in.host = h;

        return NGX_OK;
    }

    cmcf = ngx_http_get_module_main_conf(fr, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    if (hh == NULL) {
        return NGX_OK;
    }

    if (!(h->key.len == 6 && ngx_strncmp(h->lowcase_key, "cookie", 6) == 0)
        && !(h->key.len == 15
             && ngx_strncmp(h->lowcase_key, "x-forwarded-for", 15) == 0)
        && *(void **) ((char *) &fr->headers_in + hh->offset) != NULL)
    {
        /* nginx would reject a request with two such headers */

        return NGX_OK;
    }

    return hh->handler(fr, h, hh->offset);
}


static ngx_int_t
ngx_http_aggregate_detached_variables(ngx_http_request_t *fr,
    ngx_http_request_t *r)
{
    size_t                      len;
    ngx_str_t                   text, *name;
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_variable_value_t  *vv;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        name = &v[i].name;

        /* these variables depend on the connection of the client */

        if ((name->len == 6 && ngx_strncmp(name->data, "scheme", 6) == 0)
            || (name->len == 5 && ngx_strncmp(name->data, "https", 5) == 0)
            || (name->len > 4 && ngx_strncmp(name->data, "ssl_", 4) == 0)
            || (name->len > 15
                && ngx_strncmp(name->data, "proxy_protocol_", 15) == 0))
        {
            (void) ngx_http_get_indexed_variable(r, i);
        }

        if (!r->variables[i].valid && !r->variables[i].not_found) {
            continue;
        }

        vv = &fr->variables[i];
        *vv = r->variables[i];

        text.data = r->variables[i].data;
        text.len = vv->len;

        if (text.len
            && ngx_http_aggregate_detached_copy(fr->pool, &text, &text)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        vv->data = text.data;
    }

#if (NGX_PCRE)

    /* after a regex without captures, ncaptures is set without an array */

    if (r->ncaptures && r->captures) {

        /* the next regex reuses the array, so it has room for any regex */

        len = ngx_max(cmcf->ncaptures, r->ncaptures) * sizeof(int);

        fr->captures = ngx_pcalloc(fr->pool, len);
        if (fr->captures == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(fr->captures, r->captures, r->ncaptures * sizeof(int));
        fr->ncaptures = r->ncaptures;

        /*
         * the length of the subject is unknown: use the highest end of a
         * capture
         */

        len = 0;

        for (i = 1; i < r->ncaptures; i += 2) {
            len = ngx_max(len, (size_t) ngx_max(r->captures[i], 0));
        }

        fr->captures_data = ngx_pnalloc(fr->pool, len + 1);
        if (fr->captures_data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(fr->captures_data, r->captures_data, len);
    }

#endif

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_detached_copy(ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t *src)
{
    u_char  *p;

    p = ngx_pnalloc(pool, src->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, src->data, src->len);
    p[src->len] = '\0';

    dst->data = p;
    dst->len = src->len;

    return NGX_OK;
}


static void
ngx_http_aggregate_detached_first(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *fr;

    c = ev->data;
    fr = c->data;

    c->write->handler = ngx_http_aggregate_detached_event;

    ngx_http_set_log_request(c->log, fr);

    fr->write_event_handler(fr);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_aggregate_detached_event(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *fr;

    c = ev->data;
    fr = c->data;

    ngx_http_set_log_request(c->log, fr);

    if (c->close) {
        ngx_http_aggregate_detached_exit(c);
    }

    if (ev->write) {
        fr->write_event_handler(fr);

    } else {
        fr->read_event_handler(fr);
    }

    ngx_http_run_posted_requests(c);
}


/*
 * The worker exits: on the connection, this looks like a client that has
 * closed it.
 */

static void
ngx_http_aggregate_detached_exit(ngx_connection_t *c)
{
    u_char  buf[1];

    (void) !recv(c->fd, buf, 1, 0);
    (void) shutdown(c->fd, SHUT_RD);

    c->read->ready = 1;
    c->read->pending_eof = 1;
}


/* output is discarded */

static ngx_chain_t *
ngx_http_aggregate_detached_send(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    c->sent += ngx_http_aggregate_held_discard(in);

    return NULL;
}
