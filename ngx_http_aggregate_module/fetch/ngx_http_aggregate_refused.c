
/*
 * Under load many parts ask a server that is down, and each connection that is
 * refused costs more than a response.  nginx leaves out such a server if there
 * are others.  The only server of an upstream is asked by parts once in a
 * millisecond, as long as it refuses; an idle connection to it is used anyway.
 */

#include "ngx_http_aggregate_fetch_core.h"


struct ngx_http_aggregate_single_s {
    ngx_http_upstream_srv_conf_t    *upstream;
    ngx_addr_t                      *address;
    ngx_http_upstream_init_peer_pt   init;
    ngx_event_get_peer_pt            get;
    ngx_msec_t                       refused;
};


static ngx_uint_t ngx_http_aggregate_is_single(
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_http_aggregate_single_t *ngx_http_aggregate_single_find(
    ngx_http_aggregate_fetch_main_conf_t *fmcf,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_aggregate_refused_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_aggregate_refused_get_peer(
    ngx_peer_connection_t *pc, void *data);


/* the last time that any server refused, and whose peer is asked for */

static ngx_msec_t                    ngx_http_aggregate_refused_last;
static ngx_http_aggregate_single_t  *ngx_http_aggregate_refused_asked;


/* all upstreams have been initialized */

ngx_int_t
ngx_http_aggregate_refused_init(ngx_conf_t *cf,
    ngx_http_aggregate_fetch_main_conf_t *fmcf)
{
    ngx_uint_t                       i, n, k;
    ngx_http_upstream_server_t      *server;
    ngx_http_aggregate_single_t     *single;
    ngx_http_upstream_srv_conf_t   **uscfp;
    ngx_http_upstream_main_conf_t   *umcf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (n = 4; n < 2 * umcf->upstreams.nelts; n *= 2) { /* void */ }

    fmcf->singles = ngx_pcalloc(cf->pool,
                                n * sizeof(ngx_http_aggregate_single_t));
    if (fmcf->singles == NULL) {
        return NGX_ERROR;
    }

    fmcf->singles_mask = n - 1;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (!ngx_http_aggregate_is_single(uscfp[i])) {
            continue;
        }

        k = (uintptr_t) uscfp[i] / sizeof(ngx_http_upstream_srv_conf_t);

        do {
            single = &fmcf->singles[k++ & fmcf->singles_mask];
        } while (single->upstream);

        server = uscfp[i]->servers->elts;

        single->upstream = uscfp[i];
        single->address = server->addrs;
        single->init = uscfp[i]->peer.init;
        single->refused = (ngx_msec_t) -1;

        uscfp[i]->peer.init = ngx_http_aggregate_refused_init_peer;
    }

    ngx_http_aggregate_refused_last = (ngx_msec_t) -1;

    return NGX_OK;
}


/* a connection to a socket in the file system fails if its queue is full */

static ngx_uint_t
ngx_http_aggregate_is_single(ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_http_upstream_server_t  *server;

    if (uscf->servers == NULL || uscf->servers->nelts != 1
        || uscf->peer.init == NULL)
    {
        return 0;
    }

    server = uscf->servers->elts;

    return server->naddrs == 1
           && server->addrs[0].sockaddr->sa_family != AF_UNIX;
}


static ngx_http_aggregate_single_t *
ngx_http_aggregate_single_find(ngx_http_aggregate_fetch_main_conf_t *fmcf,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_uint_t                    k;
    ngx_http_aggregate_single_t  *single;

    if (fmcf->singles == NULL) {
        return NULL;
    }

    k = (uintptr_t) uscf / sizeof(ngx_http_upstream_srv_conf_t);

    do {
        single = &fmcf->singles[k++ & fmcf->singles_mask];

        if (single->upstream == uscf) {
            return single;
        }

    } while (single->upstream);

    return NULL;
}


static ngx_int_t
ngx_http_aggregate_refused_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_int_t                     rc;
    ngx_http_upstream_t          *u;
    ngx_http_aggregate_single_t  *single;

    single = ngx_http_aggregate_single_find(
                 ngx_http_get_module_main_conf(r,
                                      ngx_http_aggregate_fetch_filter_module),
                 us);

    if (single == NULL) {
        return NGX_ERROR;
    }

    rc = single->init(r, us);

    if (rc != NGX_OK
        || ngx_http_aggregate_refused_last != ngx_current_msec
        || single->refused != ngx_current_msec
        || ngx_http_aggregate_get_try(r) == NULL)
    {
        return rc;
    }

    u = r->upstream;

    single->get = u->peer.get;
    u->peer.get = ngx_http_aggregate_refused_get_peer;

    ngx_http_aggregate_refused_asked = single;

    return NGX_OK;
}


/* called at once behind the function above */

static ngx_int_t
ngx_http_aggregate_refused_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_int_t                     rc;
    ngx_http_aggregate_single_t  *single;

    single = ngx_http_aggregate_refused_asked;

    pc->get = single->get;

    rc = pc->get(pc, data);

    if (rc != NGX_OK
        || pc->socklen != single->address->socklen
        || ngx_memcmp(pc->sockaddr, single->address->sockaddr, pc->socklen)
           != 0)
    {
        /* an idle connection, or a server that a script has chosen */

        return rc;
    }

    pc->free(pc, data, 0);

    pc->sockaddr = NULL;
    pc->name = &single->upstream->host;

    return NGX_BUSY;
}


/*
 * The try has failed before there was a response.  A handshake that fails has
 * no time of its connection either, but its server did not refuse.
 */

void
ngx_http_aggregate_refused(ngx_http_aggregate_try_t *t)
{
    ngx_str_t                    *name;
    ngx_http_upstream_t          *u;
    ngx_http_aggregate_single_t  *single;

    u = t->request->upstream;

    if (t->status != NGX_HTTP_BAD_GATEWAY
        || u == NULL || u->upstream == NULL || u->ssl
        || u->state == NULL || u->state->peer == NULL
        || u->state->connect_time != (ngx_msec_t) -1)
    {
        return;
    }

    single = ngx_http_aggregate_single_find(
                 ngx_http_get_module_main_conf(t->request,
                                      ngx_http_aggregate_fetch_filter_module),
                 u->upstream);

    if (single == NULL) {
        return;
    }

    /* a script may have chosen another server, or none was asked */

    name = u->state->peer;

    if (name->len != single->address->name.len
        || ngx_memcmp(name->data, single->address->name.data, name->len) != 0)
    {
        return;
    }

    single->refused = ngx_current_msec;
    ngx_http_aggregate_refused_last = ngx_current_msec;
}
