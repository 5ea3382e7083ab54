
/*
 * The choice of a server, and the feedback when a try ends.  The list of
 * servers, their weights, limits and failures are those of nginx's round robin,
 * and no lock is held except for nginx's own.
 */

#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_route.h"


/* the number of random draws before all servers are scanned */

#define NGX_HTTP_AGGREGATE_BALANCE_DRAWS  4

/* the interval, in milliseconds, of the checks for dead workers */

#define NGX_HTTP_AGGREGATE_BALANCE_REAP   1000


typedef struct {
    ngx_uint_t                          ordinal;
    double                              cost;
    unsigned                            found:1;
    unsigned                            unknown:1;  /* such servers too */
} ngx_http_aggregate_balance_choice_t;


static ngx_int_t ngx_http_aggregate_balance_get(ngx_peer_connection_t *pc,
    void *data);
static ngx_int_t ngx_http_aggregate_balance_pick(
    ngx_http_aggregate_balance_data_t *bp, ngx_peer_connection_t *pc,
    ngx_http_aggregate_balance_list_t *list);
static ngx_uint_t ngx_http_aggregate_balance_hinted(
    ngx_http_aggregate_balance_data_t *bp, ngx_peer_connection_t *pc,
    ngx_uint_t *ordinal);
static ngx_uint_t ngx_http_aggregate_balance_choose(
    ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t *ordinal);
static void ngx_http_aggregate_balance_draw(
    ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t *ordinals,
    ngx_uint_t n, ngx_http_aggregate_balance_choice_t *choice);
static void ngx_http_aggregate_balance_scan(
    ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t *ordinals,
    ngx_uint_t n, ngx_http_aggregate_balance_choice_t *choice);
static ngx_uint_t ngx_http_aggregate_balance_due(
    ngx_http_aggregate_balance_data_t *bp, agg_balance_cell_t *cell,
    ngx_http_aggregate_balance_choice_t *choice);
static ngx_uint_t ngx_http_aggregate_balance_usable(
    ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t ordinal);
static void ngx_http_aggregate_balance_compare(
    ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t ordinal,
    ngx_http_aggregate_balance_choice_t *choice);
static void ngx_http_aggregate_balance_begin(
    ngx_http_aggregate_balance_data_t *bp, uint32_t cell);
static void ngx_http_aggregate_balance_free(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static ngx_uint_t ngx_http_aggregate_balance_status(ngx_http_upstream_t *u);
static agg_balance_end_e ngx_http_aggregate_balance_result(
    ngx_http_aggregate_balance_data_t *bp, ngx_peer_connection_t *pc,
    ngx_uint_t state, ngx_msec_t *time);
static void ngx_http_aggregate_balance_retry_after(
    ngx_http_aggregate_balance_data_t *bp, agg_balance_cell_t *cell);
static ngx_int_t ngx_http_aggregate_balance_index(
    ngx_http_aggregate_balance_srv_conf_t *bcf,
    ngx_http_aggregate_balance_list_t *list,
    ngx_http_upstream_rr_peers_t *peers);
static ngx_uint_t ngx_http_aggregate_balance_is_local(
    ngx_http_aggregate_balance_srv_conf_t *bcf, struct sockaddr *sockaddr);
static uint64_t ngx_http_aggregate_balance_random(void);


ngx_int_t
ngx_http_aggregate_balance_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_aggregate_balance_data_t      *bp;
    ngx_http_aggregate_balance_srv_conf_t  *bcf;

    bcf = ngx_http_conf_upstream_srv_conf(us,
                                          ngx_http_aggregate_balance_module);

    bp = ngx_palloc(r->pool, sizeof(ngx_http_aggregate_balance_data_t));
    if (bp == NULL) {
        return NGX_ERROR;
    }

    bp->conf = bcf;
    bp->request = r;
    bp->cell = AGG_BALANCE_NONE;
    bp->probe = 0;

    r->upstream->peer.data = &bp->rrp;

    if (ngx_http_upstream_init_round_robin_peer(r, us) != NGX_OK) {
        return NGX_ERROR;
    }

    r->upstream->peer.get = ngx_http_aggregate_balance_get;
    r->upstream->peer.free = ngx_http_aggregate_balance_free;

    if (bcf->worker == AGG_BALANCE_NONE) {
        bcf->worker = agg_balance_worker(bcf->table, (uint32_t) ngx_pid);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_balance_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_aggregate_balance_data_t *bp = data;

    ngx_int_t                           rc;
    ngx_uint_t                          i, n;
    ngx_http_upstream_rr_peers_t       *peers;
    ngx_http_aggregate_balance_list_t  *list;

    bp->start = ngx_current_msec;
    bp->cell = AGG_BALANCE_NONE;
    bp->probe = 0;

    if (bp->start - bp->conf->reaped >= NGX_HTTP_AGGREGATE_BALANCE_REAP) {
        ngx_http_aggregate_balance_reap(bp->conf);
    }

    for ( ;; ) {

        peers = bp->rrp.peers;

        ngx_http_upstream_rr_peers_wlock(peers);

        list = ngx_http_aggregate_balance_list(bp->conf, peers);

        if (list == NULL) {
            ngx_http_upstream_rr_peers_unlock(peers);
            return NGX_ERROR;
        }

        if (peers->single || peers->number < 2) {
            ngx_http_upstream_rr_peers_unlock(peers);

            rc = ngx_http_upstream_get_round_robin_peer(pc, &bp->rrp);

            if (rc == NGX_OK && bp->rrp.peers == peers && list->nservers == 1)
            {
                ngx_http_aggregate_balance_begin(bp, list->servers[0].cell);
            }

            return rc;
        }

        rc = ngx_http_aggregate_balance_pick(bp, pc, list);

        ngx_http_upstream_rr_peers_unlock(peers);

        if (rc == NGX_OK) {
            return NGX_OK;
        }

        if (rc == NGX_DECLINED) {

            /* "resolve" has changed the list during this request */

            return ngx_http_upstream_get_round_robin_peer(pc, &bp->rrp);
        }

        if (peers->next == NULL) {
            break;
        }

        bp->rrp.peers = peers->next;

        n = (bp->rrp.peers->number + (8 * sizeof(uintptr_t) - 1))
            / (8 * sizeof(uintptr_t));

        for (i = 0; i < n; i++) {
            bp->rrp.tried[i] = 0;
        }
    }

    pc->name = peers->name;

    return NGX_BUSY;
}


/* called under the lock of the list; NGX_BUSY: no server is available */

static ngx_int_t
ngx_http_aggregate_balance_pick(ngx_http_aggregate_balance_data_t *bp,
    ngx_peer_connection_t *pc, ngx_http_aggregate_balance_list_t *list)
{
    time_t                        now;
    uintptr_t                     m;
    ngx_uint_t                    n, ordinal;
    ngx_http_upstream_rr_peer_t  *peer;

#if (NGX_HTTP_AGGREGATE_BALANCE_RESOLVE)
    if (list->peers->ngx_http_aggregate_balance_config
        && bp->rrp.ngx_http_aggregate_balance_config
           != *list->peers->ngx_http_aggregate_balance_config)
    {
        return NGX_DECLINED;
    }
#endif

    if (!ngx_http_aggregate_balance_hinted(bp, pc, &ordinal)
        && !ngx_http_aggregate_balance_choose(bp, list, &ordinal))
    {
        return NGX_BUSY;
    }

    now = ngx_time();
    peer = list->servers[ordinal].peer;

    if (now - peer->checked > peer->fail_timeout) {
        peer->checked = now;
    }

    pc->cached = 0;
    pc->connection = NULL;
    pc->sockaddr = peer->sockaddr;
    pc->socklen = peer->socklen;
    pc->name = &peer->name;

#if (NGX_HTTP_UPSTREAM_SID && angie_version)
    pc->sid = peer->sid;
#elif (NGX_HTTP_UPSTREAM_SID)
    pc->sid = &peer->sid;
#endif

    peer->conns++;

#if (NGX_HTTP_AGGREGATE_BALANCE_RESOLVE)
    ngx_http_upstream_rr_peer_ref(list->peers, peer);
#endif

    bp->rrp.current = peer;

    n = ordinal / (8 * sizeof(uintptr_t));
    m = (uintptr_t) 1 << ordinal % (8 * sizeof(uintptr_t));

    bp->rrp.tried[n] |= m;

    ngx_http_aggregate_balance_begin(bp, list->servers[ordinal].cell);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "aggregate balance: %V, probe: %d", pc->name, bp->probe);

    return NGX_OK;
}


/* the server that "sticky" has chosen, if it is available */

static ngx_uint_t
ngx_http_aggregate_balance_hinted(ngx_http_aggregate_balance_data_t *bp,
    ngx_peer_connection_t *pc, ngx_uint_t *ordinal)
{
#if (NGX_HTTP_UPSTREAM_SID && !angie_version)

    return pc->hint != NULL
           && ngx_http_upstream_get_rr_peer_by_sid(&bp->rrp, pc->hint, ordinal,
                                                   0)
              != NULL;

#else

    (void) bp;
    (void) pc;
    (void) ordinal;

    return 0;

#endif
}


static ngx_uint_t
ngx_http_aggregate_balance_choose(ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t *ordinal)
{
    agg_balance_cell_t                   *cells;
    ngx_http_aggregate_balance_choice_t   local, remote;

    ngx_memzero(&local, sizeof(ngx_http_aggregate_balance_choice_t));
    ngx_memzero(&remote, sizeof(ngx_http_aggregate_balance_choice_t));

    ngx_http_aggregate_balance_draw(bp, list, list->local, list->nlocal,
                                    &local);

    if (list->nremote) {

        /*
         * by the average of the others, a remote server without any response
         * would never be the faster one
         */

        cells = bp->conf->table->cells;

        remote.unknown = local.found
                   && cells[list->servers[local.ordinal].cell].sampled != 0;

        ngx_http_aggregate_balance_draw(bp, list, list->remote, list->nremote,
                                        &remote);
    }

    if (remote.found
        && (!local.found
            || remote.cost * (double) bp->conf->factor < local.cost * 100))
    {
        local = remote;
    }

    if (!local.found) {

        /*
         * there is nothing else left than servers that are blocked or being
         * probed
         */

        ngx_http_aggregate_balance_scan(bp, list, NULL, list->nservers,
                                        &local);
    }

    *ordinal = local.found ? local.ordinal : 0;

    return local.found;
}


/*
 * Draws two servers at random, and chooses the one with the lower cost.  If
 * one of the two is failing, a third is drawn, so that a slow server does not
 * win only because the other one fails.
 */

static void
ngx_http_aggregate_balance_draw(ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t *ordinals,
    ngx_uint_t n, ngx_http_aggregate_balance_choice_t *choice)
{
    uint32_t             half, failing;
    uint64_t             random;
    ngx_uint_t           i, k, drawn, first, second, offset;
    agg_balance_cell_t  *cell;

    drawn = 0;
    first = 0;
    second = 0;
    offset = 0;
    failing = 0;
    random = 0;

    for (k = 0; n > 1 && k < NGX_HTTP_AGGREGATE_BALANCE_DRAWS; k++) {

        /* one random number is used for two draws */

        random = (k & 1) ? random >> 32 : ngx_http_aggregate_balance_random();
        half = (uint32_t) random;

        if (drawn == 0) {
            i = half % n;

        } else {
            offset = 1 + half % (n - drawn);
            offset += (drawn == 2 && offset >= second);
            i = (first + offset) % n;
        }

        if (!ngx_http_aggregate_balance_usable(bp, list, ordinals[i])) {
            continue;
        }

        cell = &bp->conf->table->cells[list->servers[ordinals[i]].cell];

        if (!agg_balance_free(cell, ngx_current_msec)) {
            continue;
        }

        if (ngx_http_aggregate_balance_due(bp, cell, choice)) {
            choice->found = 1;
            choice->ordinal = ordinals[i];
            choice->cost = 0;
            return;
        }

        ngx_http_aggregate_balance_compare(bp, list, ordinals[i], choice);

        if (drawn == 0) {
            first = i;
            failing = cell->failing;

        } else if (drawn == 2 || n == 2 || failing == cell->failing) {
            return;

        } else {
            second = offset;
        }

        drawn++;
    }

    if (drawn == 2) {
        return;
    }

    choice->found = 0;

    ngx_http_aggregate_balance_scan(bp, list, ordinals, n, choice);
}


/*
 * Scans all servers, starting from a random one, and chooses the one with the
 * lowest cost.  Without "ordinals", blocked servers and those being probed are
 * included.
 */

static void
ngx_http_aggregate_balance_scan(ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t *ordinals,
    ngx_uint_t n, ngx_http_aggregate_balance_choice_t *choice)
{
    ngx_uint_t           i, k, ordinal;
    agg_balance_cell_t  *cell;

    if (n == 0) {
        return;
    }

    i = ngx_http_aggregate_balance_random() % n;

    for (k = 0; k < n; k++, i = (i + 1) % n) {

        ordinal = ordinals ? ordinals[i] : i;

        if (!ngx_http_aggregate_balance_usable(bp, list, ordinal)) {
            continue;
        }

        cell = &bp->conf->table->cells[list->servers[ordinal].cell];

        if (ordinals && !agg_balance_free(cell, ngx_current_msec)) {
            continue;
        }

        /* a single remote server is not drawn */

        if (choice->unknown && ngx_http_aggregate_balance_due(bp, cell, choice))
        {
            choice->found = 1;
            choice->ordinal = ordinal;
            choice->cost = 0;
            return;
        }

        ngx_http_aggregate_balance_compare(bp, list, ordinal, choice);
    }
}


/* a server without recent responses gets one request */

static ngx_uint_t
ngx_http_aggregate_balance_due(ngx_http_aggregate_balance_data_t *bp,
    agg_balance_cell_t *cell, ngx_http_aggregate_balance_choice_t *choice)
{
    return agg_balance_stale(cell, bp->conf->params.decay, ngx_current_msec)
           || (choice->unknown && agg_balance_unknown(cell));
}


static ngx_uint_t
ngx_http_aggregate_balance_usable(ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t ordinal)
{
    ngx_http_upstream_rr_peer_t  *peer;

    if (bp->rrp.tried[ordinal / (8 * sizeof(uintptr_t))]
        & ((uintptr_t) 1 << ordinal % (8 * sizeof(uintptr_t))))
    {
        return 0;
    }

    peer = list->servers[ordinal].peer;

    if (peer->down
        || (peer->max_conns && peer->conns >= peer->max_conns))
    {
        return 0;
    }

    return peer->max_fails == 0
           || peer->fails < peer->max_fails
           || ngx_time() - peer->checked > peer->fail_timeout;
}


static void
ngx_http_aggregate_balance_compare(ngx_http_aggregate_balance_data_t *bp,
    ngx_http_aggregate_balance_list_t *list, ngx_uint_t ordinal,
    ngx_http_aggregate_balance_choice_t *choice)
{
    double                                cost;
    ngx_http_aggregate_balance_server_t  *server;

    server = &list->servers[ordinal];

    cost = agg_balance_cost(bp->conf->table,
                            &bp->conf->table->cells[server->cell],
                            ngx_current_msec)
           / (double) server->peer->weight;

    if (!choice->found || cost < choice->cost) {
        choice->found = 1;
        choice->ordinal = ordinal;
        choice->cost = cost;
    }
}


static void
ngx_http_aggregate_balance_begin(ngx_http_aggregate_balance_data_t *bp,
    uint32_t cell)
{
    bp->cell = cell;

    bp->probe = agg_balance_start(&bp->conf->table->cells[cell],
                                  bp->conf->worker, bp->conf->params.decay,
                                  ngx_current_msec);
}


static void
ngx_http_aggregate_balance_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_aggregate_balance_data_t *bp = data;

    ngx_msec_t           time;
    agg_balance_end_e    end;
    agg_balance_cell_t  *cell;

    if (bp->cell != AGG_BALANCE_NONE) {

        cell = &bp->conf->table->cells[bp->cell];
        bp->cell = AGG_BALANCE_NONE;

        end = ngx_http_aggregate_balance_result(bp, pc, state, &time);

        agg_balance_end(bp->conf->table, cell, bp->conf->worker, bp->probe,
                        end, time, &bp->conf->params, bp->start,
                        ngx_current_msec);

        ngx_http_aggregate_balance_retry_after(bp, cell);
    }

    ngx_http_upstream_free_round_robin_peer(pc, &bp->rrp, state);
}


/*
 * 0: the try has no response header; u->headers_in may still be that of the
 * previous one
 */

static ngx_uint_t
ngx_http_aggregate_balance_status(ngx_http_upstream_t *u)
{
    return (u->state && u->state->header_time != (ngx_msec_t) -1)
           ? u->headers_in.status_n : 0;
}


static agg_balance_end_e
ngx_http_aggregate_balance_result(ngx_http_aggregate_balance_data_t *bp,
    ngx_peer_connection_t *pc, ngx_uint_t state, ngx_msec_t *time)
{
    ngx_uint_t                           status, timeout;
    ngx_http_upstream_t                 *u;
    ngx_http_aggregate_balance_rules_t  *rules;

    u = bp->request->upstream;
    rules = &bp->conf->rules;

    *time = ngx_current_msec - bp->start;
    status = ngx_http_aggregate_balance_status(u);

    if (status >= NGX_HTTP_OK) {
        *time = ngx_min(*time, u->state->header_time);

        if (status >= 400 && status <= 599
            && ((rules->statuses[(status - 400) / 32] >> (status - 400) % 32)
                & 1))
        {
            return AGG_BALANCE_FAILED;
        }

        return (status >= 400 && status < 500) ? AGG_BALANCE_REFUSED
                                               : AGG_BALANCE_OK;
    }

    if (!(state & NGX_PEER_FAILED)) {
        return AGG_BALANCE_CANCELLED;
    }

    timeout = (pc->connection
               && (pc->connection->read->timedout
                   || pc->connection->write->timedout));

    if (pc->cached && !timeout && u->state && u->state->bytes_received == 0) {

        /* the server has closed a kept connection meanwhile */

        return AGG_BALANCE_CANCELLED;
    }

    return (timeout ? rules->timeout : rules->error) ? AGG_BALANCE_FAILED
                                                     : AGG_BALANCE_CANCELLED;
}


/* 429 and 503 may have "Retry-After" */

static void
ngx_http_aggregate_balance_retry_after(ngx_http_aggregate_balance_data_t *bp,
    agg_balance_cell_t *cell)
{
    time_t                             until;
    ngx_int_t                          n;
    ngx_uint_t                         status;
    ngx_table_elt_t                   *h;
    ngx_http_upstream_t               *u;
    ngx_http_aggregate_header_iter_t   it;

    u = bp->request->upstream;
    status = ngx_http_aggregate_balance_status(u);

    if (status != 429 && status != 503) {
        return;
    }

    ngx_http_aggregate_header_iter(&it, &u->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->key.len != 11
            || ngx_strncasecmp(h->key.data, (u_char *) "Retry-After", 11) != 0)
        {
            continue;
        }

        n = ngx_atoi(h->value.data, h->value.len);

        if (n == NGX_ERROR) {
            until = ngx_parse_http_time(h->value.data, h->value.len);
            n = (until == NGX_ERROR) ? 0 : (ngx_int_t) (until - ngx_time());
        }

        if (n > 0) {
            n = ngx_min(n, AGG_BALANCE_BLOCK / 1000);
            agg_balance_block(cell, (uint64_t) n * 1000, bp->start,
                              ngx_current_msec);
        }

        return;
    }
}


/*
 * Returns the servers of a list with their cells, and builds them again after
 * "resolve" has changed the list.  Called under the lock of the list; NULL:
 * there is no memory.
 */

ngx_http_aggregate_balance_list_t *
ngx_http_aggregate_balance_list(ngx_http_aggregate_balance_srv_conf_t *bcf,
    ngx_http_upstream_rr_peers_t *peers)
{
    ngx_uint_t                          config;
    ngx_http_aggregate_balance_list_t  *list;

    list = &bcf->lists[peers != bcf->uscf->peer.data];

    config = 0;

#if (NGX_HTTP_AGGREGATE_BALANCE_RESOLVE)
    if (peers->ngx_http_aggregate_balance_config) {
        config = *peers->ngx_http_aggregate_balance_config;
    }
#endif

    if (list->peers == peers && list->config == config && list->servers) {
        return list;
    }

    list->config = config;

    return ngx_http_aggregate_balance_index(bcf, list, peers) == NGX_OK
           ? list : NULL;
}


static ngx_int_t
ngx_http_aggregate_balance_index(ngx_http_aggregate_balance_srv_conf_t *bcf,
    ngx_http_aggregate_balance_list_t *list,
    ngx_http_upstream_rr_peers_t *peers)
{
    void                                 *memory;
    ngx_uint_t                            i, n;
    ngx_http_upstream_rr_peer_t          *peer;
    ngx_http_aggregate_balance_server_t  *server;

    n = 0;

    for (peer = peers->peer; peer; peer = peer->next) {
        n++;
    }

    memory = ngx_alloc(ngx_max(n, 1)
                       * (sizeof(ngx_http_aggregate_balance_server_t)
                          + 2 * sizeof(ngx_uint_t)), ngx_cycle->log);
    if (memory == NULL) {
        return NGX_ERROR;
    }

    if (list->servers) {
        ngx_free(list->servers);
    }

    list->peers = peers;
    list->servers = memory;
    list->local = (ngx_uint_t *) (list->servers + n);
    list->remote = list->local + n;
    list->nservers = n;
    list->nlocal = 0;
    list->nremote = 0;

    if (bcf->shpool) {
        ngx_shmtx_lock(&bcf->shpool->mutex);
    }

    for (peer = peers->peer, i = 0; peer; peer = peer->next, i++) {
        server = &list->servers[i];

        server->peer = peer;
        server->cell = agg_balance_cell(bcf->table, peer->name.data,
                                        peer->name.len, ngx_current_msec);

        if (server->cell == AGG_BALANCE_NONE) {

            /* there are more servers than cells: the last ones share a cell */

            server->cell = bcf->table->ncells - 1;
        }

        server->local = ngx_http_aggregate_balance_is_local(bcf,
                                                            peer->sockaddr);

        if (server->local) {
            list->local[list->nlocal++] = i;

        } else {
            list->remote[list->nremote++] = i;
        }
    }

    if (bcf->shpool) {
        ngx_shmtx_unlock(&bcf->shpool->mutex);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_balance_is_local(ngx_http_aggregate_balance_srv_conf_t *bcf,
    struct sockaddr *sockaddr)
{
    return bcf->local == NULL
           || ngx_cidr_match(sockaddr, bcf->local) == NGX_OK;
}


/* xorshift: random() would cost more than the rest of the choice */

static uint64_t
ngx_http_aggregate_balance_random(void)
{
    static uint64_t   state;
    static ngx_pid_t  pid;

    if (pid != ngx_pid) {
        pid = ngx_pid;
        state = ((uint64_t) ngx_random() << 32 | (uint64_t) ngx_random())
                ^ (uint64_t) ngx_pid << 16;
        state |= 1;
    }

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;

    return state;
}


/*
 * Takes back the requests in flight of workers that have died.  There is no
 * timer for this: it is checked when a server is chosen or displayed.
 */

void
ngx_http_aggregate_balance_reap(ngx_http_aggregate_balance_srv_conf_t *bcf)
{
    uint32_t    pid;
    ngx_uint_t  i;

    bcf->reaped = ngx_current_msec;

    if (bcf->shpool == NULL) {
        return;
    }

    for (i = 0; i < AGG_BALANCE_WORKERS; i++) {
        pid = bcf->table->workers[i];

        if (pid == 0 || pid == (uint32_t) ngx_pid
            || kill((ngx_pid_t) pid, 0) != -1 || ngx_errno != NGX_ESRCH)
        {
            continue;
        }

        ngx_shmtx_lock(&bcf->shpool->mutex);

        if (bcf->table->workers[i] == pid) {
            agg_balance_reap(bcf->table, (uint32_t) i);
        }

        ngx_shmtx_unlock(&bcf->shpool->mutex);
    }
}
