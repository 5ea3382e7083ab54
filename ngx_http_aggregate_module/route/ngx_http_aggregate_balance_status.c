
/* the servers of all balanced upstreams, as JSON and for Prometheus */

#include "ngx_http_aggregate_route.h"


/* a copy, so that no lock is held during the output */

typedef struct {
    ngx_str_t                           upstream;
    ngx_str_t                           server;
    double                              latency;
    ngx_uint_t                          in_flight;
    ngx_uint_t                          weight;
    uint64_t                            picks;
    uint64_t                            failures;
    const char                         *state;
    unsigned                            again:1;    /* the same address */
} ngx_http_aggregate_balance_row_t;


static ngx_int_t ngx_http_aggregate_balance_collect(ngx_http_request_t *r,
    ngx_array_t *rows);
static ngx_int_t ngx_http_aggregate_balance_rows(ngx_http_request_t *r,
    ngx_http_aggregate_balance_srv_conf_t *bcf,
    ngx_http_upstream_rr_peers_t *peers, ngx_array_t *rows);
static void ngx_http_aggregate_balance_row(
    ngx_http_aggregate_balance_srv_conf_t *bcf,
    ngx_http_aggregate_balance_server_t *server, ngx_uint_t backup,
    u_char *name, ngx_http_aggregate_balance_row_t *row);
static const char *ngx_http_aggregate_balance_state(
    ngx_http_upstream_rr_peer_t *peer, agg_balance_cell_t *cell,
    ngx_uint_t backup);
static void ngx_http_aggregate_balance_json(gw_out_t *out, ngx_array_t *rows);
static void ngx_http_aggregate_balance_prometheus(gw_out_t *out,
    ngx_array_t *rows);


ngx_int_t
ngx_http_aggregate_balance_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_str_t                       value;
    ngx_uint_t                      prometheus;
    const char                     *type;
    ngx_http_aggregate_route_out_t  out;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    prometheus = (ngx_http_arg(r, (u_char *) "format", 6, &value) == NGX_OK
                  && value.len == 10
                  && ngx_strncmp(value.data, "prometheus", 10) == 0);

    ngx_http_aggregate_route_out(&out, r->pool);

    if (ngx_http_aggregate_balance_write(r, &out.out, prometheus) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    type = prometheus ? GW_PROMETHEUS_TEXT : "application/json";

    return ngx_http_aggregate_route_send(r, &out, NGX_HTTP_OK, type);
}


ngx_int_t
ngx_http_aggregate_balance_write(ngx_http_request_t *r, gw_out_t *out,
    ngx_uint_t prometheus)
{
    ngx_array_t  rows;

    if (ngx_array_init(&rows, r->pool, 16,
                       sizeof(ngx_http_aggregate_balance_row_t))
        != NGX_OK
        || ngx_http_aggregate_balance_collect(r, &rows) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (prometheus) {
        ngx_http_aggregate_balance_prometheus(out, &rows);

    } else {
        ngx_http_aggregate_balance_json(out, &rows);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_balance_collect(ngx_http_request_t *r, ngx_array_t *rows)
{
    ngx_uint_t                               i;
    ngx_http_upstream_rr_peers_t            *peers;
    ngx_http_aggregate_balance_srv_conf_t  **bcfp;
    ngx_http_aggregate_balance_main_conf_t  *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_balance_module);

    bcfp = bmcf->upstreams.elts;

    for (i = 0; i < bmcf->upstreams.nelts; i++) {

        for (peers = bcfp[i]->uscf->peer.data; peers; peers = peers->next) {

            if (ngx_http_aggregate_balance_rows(r, bcfp[i], peers, rows)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_balance_rows(ngx_http_request_t *r,
    ngx_http_aggregate_balance_srv_conf_t *bcf,
    ngx_http_upstream_rr_peers_t *peers, ngx_array_t *rows)
{
    u_char                             *names;
    ngx_uint_t                          i, k, n;
    ngx_http_aggregate_balance_row_t   *row;
    ngx_http_aggregate_balance_list_t  *list;

    n = peers->number;

    if (n == 0) {
        return NGX_OK;
    }

    row = ngx_array_push_n(rows, n);
    names = ngx_pnalloc(r->pool, n * NGX_SOCKADDR_STRLEN);

    if (row == NULL || names == NULL) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_balance_reap(bcf);

    ngx_http_upstream_rr_peers_wlock(peers);

    list = ngx_http_aggregate_balance_list(bcf, peers);

    if (list == NULL) {
        ngx_http_upstream_rr_peers_unlock(peers);
        return NGX_ERROR;
    }

    for (i = 0; i < n && i < list->nservers; i++) {
        ngx_http_aggregate_balance_row(bcf, &list->servers[i],
                                       peers != bcf->uscf->peer.data,
                                       names + i * NGX_SOCKADDR_STRLEN,
                                       &row[i]);

        row[i].again = 0;

        for (k = 0; k < i; k++) {
            row[i].again |= (list->servers[k].cell == list->servers[i].cell);
        }
    }

    ngx_http_upstream_rr_peers_unlock(peers);

    rows->nelts -= n - i;

    return NGX_OK;
}


static void
ngx_http_aggregate_balance_row(ngx_http_aggregate_balance_srv_conf_t *bcf,
    ngx_http_aggregate_balance_server_t *server, ngx_uint_t backup,
    u_char *name, ngx_http_aggregate_balance_row_t *row)
{
    agg_balance_cell_t  *cell;

    cell = &bcf->table->cells[server->cell];

    row->upstream = bcf->uscf->host;

    row->server.data = name;
    row->server.len = ngx_min(server->peer->name.len, NGX_SOCKADDR_STRLEN);
    ngx_memcpy(name, server->peer->name.data, row->server.len);

    row->latency = cell->latency;
    row->in_flight = cell->in_flight;
    row->weight = (ngx_uint_t) server->peer->weight;
    row->picks = cell->picks;
    row->failures = cell->failures;
    row->state = ngx_http_aggregate_balance_state(server->peer, cell, backup);
}


static const char *
ngx_http_aggregate_balance_state(ngx_http_upstream_rr_peer_t *peer,
    agg_balance_cell_t *cell, ngx_uint_t backup)
{
    if (peer->down) {
        return "down";
    }

    if (peer->max_fails && peer->fails >= peer->max_fails
        && ngx_time() - peer->checked <= peer->fail_timeout)
    {
        return "unavailable";
    }

    if (cell->probe) {
        return "probe";
    }

    if (!agg_balance_free(cell, ngx_current_msec)) {
        return "retry_after";
    }

    if (peer->max_conns && peer->conns >= peer->max_conns) {
        return "busy";
    }

    if (cell->failing) {
        return "failing";
    }

    return backup ? "backup" : "up";
}


static void
ngx_http_aggregate_balance_json(gw_out_t *out, ngx_array_t *rows)
{
    ngx_uint_t                         i;
    ngx_http_aggregate_balance_row_t  *row;

    row = rows->elts;

    gw_out_text(out, "{\"upstreams\":[");

    for (i = 0; i < rows->nelts; i++) {

        if (i == 0 || row[i].upstream.data != row[i - 1].upstream.data) {
            gw_out_text(out, i ? "]},{\"name\":\"" : "{\"name\":\"");
            gw_out_json(out, row[i].upstream.data, row[i].upstream.len);
            gw_out_text(out, "\",\"servers\":[");

        } else {
            gw_out_text(out, ",");
        }

        gw_out_text(out, "\n{\"server\":\"");
        gw_out_json(out, row[i].server.data, row[i].server.len);
        gw_out_text(out, "\",\"latency\":");
        gw_out_decimal(out, (uint64_t) (row[i].latency * 1000), 6, 3);
        gw_out_text(out, ",\"in_flight\":");
        gw_out_uint(out, row[i].in_flight);
        gw_out_text(out, ",\"picks\":");
        gw_out_uint(out, row[i].picks);
        gw_out_text(out, ",\"failures\":");
        gw_out_uint(out, row[i].failures);
        gw_out_text(out, ",\"weight\":");
        gw_out_uint(out, row[i].weight);
        gw_out_text(out, ",\"state\":\"");
        gw_out_text(out, row[i].state);
        gw_out_text(out, "\"}");
    }

    gw_out_text(out, rows->nelts ? "]}]}\n" : "]}\n");
}


static void
ngx_http_aggregate_balance_prometheus(gw_out_t *out, ngx_array_t *rows)
{
    ngx_uint_t                         i, k;
    gw_prometheus_t                    p;
    ngx_http_aggregate_balance_row_t  *row;

    static const struct {
        const char                    *name;
        gw_prometheus_e                type;
        const char                    *help;
    } families[] = {
        { "gateway_balance_latency_seconds", GW_GAUGE,
          "Peak EWMA of the time to the response header." },
        { "gateway_balance_in_flight", GW_GAUGE, "Requests in flight." },
        { "gateway_balance_picks", GW_COUNTER, "Requests sent to it." },
        { "gateway_balance_failures", GW_COUNTER, "Requests that failed." }
    };

    row = rows->elts;

    gw_prometheus_init(&p, out, 0);

    for (k = 0; k < 4; k++) {

        gw_prometheus_family(&p, families[k].name, families[k].type,
                             families[k].help);

        for (i = 0; i < rows->nelts; i++) {

            if (row[i].again) {
                continue;
            }

            gw_prometheus_sample(&p, NULL);
            gw_prometheus_label(&p, "upstream", row[i].upstream.data,
                                row[i].upstream.len);
            gw_prometheus_label(&p, "server", row[i].server.data,
                                row[i].server.len);

            switch (k) {

            case 0:
                gw_prometheus_decimal(&p, (uint64_t) (row[i].latency * 1000),
                                      6);
                break;

            case 1:
                gw_prometheus_uint(&p, row[i].in_flight);
                break;

            case 2:
                gw_prometheus_uint(&p, row[i].picks);
                break;

            default:
                gw_prometheus_uint(&p, row[i].failures);
            }
        }
    }

    gw_prometheus_end(&p);
}
