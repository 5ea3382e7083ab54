
/*
 * The status page: what the gateway is doing now, as JSON and HTML.  Rates and
 * percentiles cover the last minute.  A worker that may have to show the page
 * keeps copies of the counters, one for every ten seconds.
 */


#include "ngx_http_aggregate_metrics.h"


#define NGX_HTTP_AGGREGATE_STATUS_COPIES  7
#define NGX_HTTP_AGGREGATE_STATUS_PERIOD  10000


/* a copy of the counters of a zone */

typedef struct {
    ngx_msec_t                          time;
    uint64_t                           *data[AGG_METRICS_COUNTERS];
} ngx_http_aggregate_status_copy_t;


typedef struct {
    gw_out_t                           *out;
    agg_metrics_t                      *metrics;
    ngx_http_aggregate_status_copy_t   *before;   /* NULL: none yet */
    ngx_msec_t                          period;
    ngx_uint_t                          html;
} ngx_http_aggregate_status_t;


/* the row of a route or of a backend */

typedef struct {
    uint64_t                            buckets[AGG_METRICS_BUCKETS + 1];
    uint64_t                            count;    /* in the last minute */
    uint64_t                            total;
    uint64_t                            errors;
    int64_t                             in_flight;
    agg_metrics_family_e                family;   /* the errors' */
} ngx_http_aggregate_status_row_t;


static void ngx_http_aggregate_status_timer(ngx_event_t *ev);
static void ngx_http_aggregate_status_json(ngx_http_request_t *r,
    gw_out_t *out, ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n);
static void ngx_http_aggregate_status_html(ngx_http_request_t *r,
    gw_out_t *out, ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n);
static void ngx_http_aggregate_status_zones(ngx_http_request_t *r,
    gw_out_t *out, ngx_uint_t html);
static ngx_uint_t ngx_http_aggregate_status_rows(
    ngx_http_aggregate_status_t *status, ngx_uint_t routes);
static void ngx_http_aggregate_status_collect(
    ngx_http_aggregate_status_t *status, uint32_t value, ngx_uint_t routes,
    ngx_http_aggregate_status_row_t *row);
static void ngx_http_aggregate_status_row(ngx_http_aggregate_status_t *status,
    uint32_t value, ngx_http_aggregate_status_row_t *row);
static void ngx_http_aggregate_status_reasons(
    ngx_http_aggregate_status_t *status, uint32_t value,
    ngx_http_aggregate_status_row_t *row);
static void ngx_http_aggregate_status_quantile(
    ngx_http_aggregate_status_t *status,
    ngx_http_aggregate_status_row_t *row, ngx_uint_t percent);
static void ngx_http_aggregate_status_exporter(agg_metrics_t *m,
    gw_out_t *out, ngx_uint_t html);


static ngx_event_t                       ngx_http_aggregate_status_event;
static ngx_http_aggregate_status_copy_t  ngx_http_aggregate_status_copies
                                          [NGX_HTTP_AGGREGATE_STATUS_COPIES];
static ngx_uint_t                        ngx_http_aggregate_status_next;


static const char  ngx_http_aggregate_status_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Gateway</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --line: #d9dce1; --dim: #667080; }\n"
    "@media (prefers-color-scheme: dark) { :root { --line: #3a3f47;\n"
    "  --dim: #9aa4b2; } }\n"
    "body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto;\n"
    "  max-width: 76rem; padding: 0 1rem; }\n"
    "h1 { font-size: 1.4rem; margin: 0 0 .4rem; }\n"
    "h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }\n"
    "p { color: var(--dim); margin: 0 0 .8rem; }\n"
    "div { overflow-x: auto; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th { color: var(--dim); font-size: .8rem; font-weight: 600; }\n"
    "th, td { border-bottom: 1px solid var(--line); padding: .4rem .6rem;\n"
    "  text-align: right; font-variant-numeric: tabular-nums; }\n"
    "th:first-child, td:first-child { text-align: left;\n"
    "  overflow-wrap: anywhere; min-width: 9rem; }\n"
    "small { color: var(--dim); display: block; }\n"
    ".c thead { display: none; }\n"
    ".c tr { border-bottom: 1px solid var(--line); display: block;\n"
    "  padding: .4rem 0; }\n"
    ".c td { border: 0; display: inline-block; padding: 0 1rem .1rem 0;\n"
    "  text-align: left; }\n"
    ".c td:first-child { display: block; font-weight: 600; }\n"
    ".c td + td::before { color: var(--dim); content: attr(data-n) ' '; }\n"
    "@media (max-width: 40rem) {\n"
    "body { margin: 1rem auto; padding: 0 .6rem; }\n"
    "thead { display: none; }\n"
    "tr { border-bottom: 1px solid var(--line); display: block;\n"
    "  padding: .4rem 0; }\n"
    "td { border: 0; display: inline-block; padding: 0 1rem .1rem 0;\n"
    "  text-align: left; }\n"
    "td:first-child { display: block; font-weight: 600; padding: 0; }\n"
    "td + td::before { color: var(--dim); content: attr(data-n) ' '; }\n"
    "small { display: inline; }\n"
    "small::before { content: ' ('; } small::after { content: ')'; }\n"
    "}\n"
    "</style>\n"
    "</head>\n"
    "<body>\n";


static const char  ngx_http_aggregate_status_columns[] =
    "</th><th>per second</th><th>p50</th><th>p95</th><th>p99</th>"
    "<th>in flight</th><th>errors</th><th>in all</th></tr></thead>\n<tbody>\n";


char *
ngx_http_aggregate_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_metrics_loc_conf_t *mlcf = conf;

    ngx_str_t                               *value;
    ngx_uint_t                               i;
    ngx_http_core_loc_conf_t                *clcf;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    if (mlcf->includes.elts) {
        return "is duplicate, or stands beside \"aggregate_metrics_status\"";
    }

    if (ngx_array_init(&mlcf->includes, cf->pool, 1, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_aggregate_metrics_add_include(cf, cmd, &mlcf->includes,
                                                   &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf,
                                         ngx_http_aggregate_metrics_module);
    mmcf->copies = 1;
    mlcf->page = mlcf->includes.elts;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aggregate_status_page_handler;

    ngx_http_aggregate_metrics_loaded = ngx_time();

    return NGX_CONF_OK;
}


/* percentiles are shown for the first zone */

void
ngx_http_aggregate_status_init_process(
    ngx_http_aggregate_metrics_main_conf_t *mmcf, ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    if (!mmcf->copies || mmcf->zones.nelts == 0) {
        return;
    }

    ev = &ngx_http_aggregate_status_event;

    ev->handler = ngx_http_aggregate_status_timer;
    ev->data = ((ngx_http_aggregate_metrics_zone_t **) mmcf->zones.elts)[0];
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_AGGREGATE_STATUS_PERIOD);
}


static void
ngx_http_aggregate_status_timer(ngx_event_t *ev)
{
    size_t                              size;
    ngx_uint_t                          i;
    agg_metrics_t                      *m;
    ngx_http_aggregate_status_copy_t   *copy;
    ngx_http_aggregate_metrics_zone_t  *zone;

    zone = ev->data;
    m = zone->metrics;
    copy = &ngx_http_aggregate_status_copies[ngx_http_aggregate_status_next];

    for (i = 0; i < AGG_METRICS_COUNTERS; i++) {

        size = m->slots * sizeof(uint64_t)
               * (i < AGG_METRICS_HISTOGRAMS ? agg_metrics_width(m) : 1);

        if (copy->data[i] == NULL) {
            copy->data[i] = ngx_alloc(size, ev->log);

            if (copy->data[i] == NULL) {
                return;
            }
        }

        ngx_memcpy(copy->data[i], m->tables[i].data, size);
    }

    copy->time = ngx_current_msec ? ngx_current_msec : 1;

    ngx_http_aggregate_status_next = (ngx_http_aggregate_status_next + 1)
                                     % NGX_HTTP_AGGREGATE_STATUS_COPIES;

    ngx_add_timer(ev, NGX_HTTP_AGGREGATE_STATUS_PERIOD);
}


ngx_int_t
ngx_http_aggregate_status_page_handler(ngx_http_request_t *r)
{
    return ngx_http_aggregate_metrics_serve(r);
}


ngx_int_t
ngx_http_aggregate_status_respond(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n)
{
    gw_out_t                            out;
    ngx_int_t                           rc;
    ngx_str_t                           value;
    ngx_http_aggregate_metrics_page_t   page;

    rc = ngx_http_arg(r, (u_char *) "format", 6, &value);

    if (rc == NGX_OK && value.len == 10
        && ngx_strncmp(value.data, "prometheus", 10) == 0)
    {
        return ngx_http_aggregate_metrics_respond(r, texts, n);
    }

    ngx_http_aggregate_metrics_page(r, &page, &out);

    if (rc == NGX_OK && value.len == 4
        && ngx_strncmp(value.data, "html", 4) == 0)
    {
        ngx_http_aggregate_status_html(r, &out, texts, n);
        ngx_str_set(&value, "text/html; charset=utf-8");

    } else {
        ngx_http_aggregate_status_json(r, &out, texts, n);
        ngx_str_set(&value, "application/json");
    }

    return ngx_http_aggregate_metrics_send(&page, &out, &value);
}


static void
ngx_http_aggregate_status_json(ngx_http_request_t *r, gw_out_t *out,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n)
{
    ngx_uint_t  i;

    gw_out_text(out, "{\"version\":\"" NGX_HTTP_AGGREGATE_VERSION
                     "\",\"nginx\":\"" NGINX_VERSION "\",\"host\":\"");
    gw_out_json(out, ngx_cycle->hostname.data, ngx_cycle->hostname.len);
    gw_out_text(out, "\",\"time\":\"");
    gw_out_put(out, ngx_cached_http_log_iso8601.data,
               ngx_cached_http_log_iso8601.len);
    gw_out_text(out, "\",\"uptime\":");
    gw_out_uint(out, (uint64_t) (ngx_time()
                                 - ngx_http_aggregate_metrics_loaded));

    ngx_http_aggregate_status_zones(r, out, 0);

    ngx_http_aggregate_status_parts(r, out, 0);

    gw_out_text(out, ",\"includes\":{");

    for (i = 0; i < n; i++) {
        gw_out_text(out, i ? ",\"" : "\"");
        gw_out_json(out, texts[i].uri->data, texts[i].uri->len);
        gw_out_text(out, "\":");

        if (texts[i].len
            && agg_json_validate(texts[i].data, texts[i].len, NULL) == AGG_OK)
        {
            gw_out_put(out, texts[i].data, texts[i].len);

        } else {
            gw_out_text(out, "null");
        }
    }

    gw_out_text(out, "}}\n");
}


static void
ngx_http_aggregate_status_html(ngx_http_request_t *r, gw_out_t *out,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n)
{
    ngx_uint_t  i;

    gw_out_text(out, ngx_http_aggregate_status_head);
    gw_out_text(out, "<h1>Gateway on ");
    gw_out_html(out, ngx_cycle->hostname.data, ngx_cycle->hostname.len);
    gw_out_text(out, "</h1>\n<p>version " NGX_HTTP_AGGREGATE_VERSION
                     ", nginx " NGINX_VERSION ", ");
    gw_out_put(out, ngx_cached_http_log_iso8601.data,
               ngx_cached_http_log_iso8601.len);
    gw_out_text(out, ", configuration read ");
    gw_out_uint(out, (uint64_t) (ngx_time()
                                 - ngx_http_aggregate_metrics_loaded));
    gw_out_text(out, " s ago");

    for (i = 0; i < n; i++) {
        gw_out_text(out, ", <a href=\"");
        gw_out_html(out, texts[i].uri->data, texts[i].uri->len);
        gw_out_text(out, "\">");
        gw_out_html(out, texts[i].uri->data, texts[i].uri->len);
        gw_out_text(out, texts[i].data ? "</a>" : "</a> (no answer)");
    }

    gw_out_text(out, "</p>\n");

    ngx_http_aggregate_status_zones(r, out, 1);

    ngx_http_aggregate_status_parts(r, out, 1);

    gw_out_text(out, "</body>\n</html>\n");
}


static void
ngx_http_aggregate_status_zones(ngx_http_request_t *r, gw_out_t *out,
    ngx_uint_t html)
{
    ngx_http_aggregate_status_t               status;
    ngx_http_aggregate_status_copy_t         *copy;
    ngx_http_aggregate_metrics_zone_t       **zones;
    ngx_http_aggregate_metrics_main_conf_t   *mmcf;

    mmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_metrics_module);

    if (mmcf->zones.nelts == 0) {
        return;
    }

    zones = mmcf->zones.elts;

    status.out = out;
    status.metrics = zones[0]->metrics;
    status.html = html;
    status.before = NULL;
    status.period = 0;

    /* the next one to be overwritten is the oldest, once all are in use */

    copy = &ngx_http_aggregate_status_copies[ngx_http_aggregate_status_next];

    if (copy->time == 0) {
        copy = &ngx_http_aggregate_status_copies[0];
    }

    if (copy->time) {
        status.before = copy;
        status.period = ngx_current_msec - copy->time;
    }

    gw_out_text(out, html ? "<h2>Routes</h2>\n<div><table>\n<thead><tr><th>"
                            "Route" : ",\"routes\":{");

    if (html) {
        gw_out_text(out, ngx_http_aggregate_status_columns);
    }

    (void) ngx_http_aggregate_status_rows(&status, 1);

    gw_out_text(out, html ? "</tbody>\n</table></div>\n<h2>Backends</h2>\n"
                            "<div><table>\n<thead><tr><th>Backend"
                          : "},\"backends\":{");

    if (html) {
        gw_out_text(out, ngx_http_aggregate_status_columns);
    }

    (void) ngx_http_aggregate_status_rows(&status, 0);

    gw_out_text(out, html ? "</tbody>\n</table></div>\n" : "}");

    ngx_http_aggregate_status_exporter(status.metrics, out, html);
}


static ngx_uint_t
ngx_http_aggregate_status_rows(ngx_http_aggregate_status_t *status,
    ngx_uint_t routes)
{
    uint32_t                          value;
    ngx_uint_t                        n;
    agg_metrics_t                    *m;
    ngx_http_aggregate_status_row_t   row;

    m = status->metrics;
    n = 0;

    for (value = 1; value <= m->values; value++) {

        if (m->value[value - 1].len == 0) {
            continue;
        }

        ngx_http_aggregate_status_collect(status, value, routes, &row);

        if (row.total == 0 && row.in_flight == 0) {
            continue;
        }

        if (n++ && !status->html) {
            gw_out_text(status->out, ",");
        }

        ngx_http_aggregate_status_row(status, value, &row);
    }

    return n;
}


static void
ngx_http_aggregate_status_collect(ngx_http_aggregate_status_t *status,
    uint32_t value, ngx_uint_t routes, ngx_http_aggregate_status_row_t *row)
{
    size_t                at;
    uint32_t              slot, i, f;
    uint64_t              key, n;
    agg_metrics_t        *m;
    agg_metrics_family_e  gauge;

    m = status->metrics;
    ngx_memzero(row, sizeof(ngx_http_aggregate_status_row_t));

    f = routes ? AGG_METRICS_REQUEST_DURATION : AGG_METRICS_BACKEND_DURATION;
    gauge = routes ? AGG_METRICS_REQUESTS_IN_FLIGHT
                   : AGG_METRICS_BACKEND_IN_FLIGHT;
    row->family = routes ? AGG_METRICS_REQUESTS : AGG_METRICS_BACKEND_ERRORS;

    for (slot = 0; slot < m->slots; slot++) {

        key = m->tables[f].keys[slot];

        if (key
            && (routes ? agg_metrics_a(key) : agg_metrics_b(key)) == value)
        {
            at = (size_t) slot * agg_metrics_width(m) + 1;

            for (i = 0; i <= m->nbuckets; i++) {
                n = m->tables[f].data[at + i];
                row->total += n;

                if (status->before) {
                    n -= ngx_min(n, status->before->data[f][at + i]);
                }

                row->buckets[i] += n;
                row->count += n;
            }
        }

        key = m->tables[gauge].keys[slot];

        if (key && agg_metrics_a(key) == value) {
            row->in_flight += agg_metrics_gauge(m, gauge, slot,
                                           ngx_http_aggregate_metrics_alive);
        }

        key = m->tables[row->family].keys[slot];

        if (key && agg_metrics_a(key) == value
            && (!routes || agg_metrics_b(key) / 100 == 5))
        {
            row->errors += m->tables[row->family].data[slot];
        }
    }
}


static void
ngx_http_aggregate_status_row(ngx_http_aggregate_status_t *status,
    uint32_t value, ngx_http_aggregate_status_row_t *row)
{
    gw_out_t             *out;
    ngx_uint_t            html;
    agg_metrics_value_t  *v;

    out = status->out;
    html = status->html;
    v = &status->metrics->value[value - 1];

    if (html) {
        gw_out_text(out, "<tr><td>");
        gw_out_html(out, v->text, v->len);
        gw_out_text(out, "</td><td data-n=\"per second\">");

    } else {
        gw_out_text(out, "\"");
        gw_out_json(out, v->text, v->len);
        gw_out_text(out, "\":{\"rate\":");
    }

    gw_out_decimal(out, status->period ? row->count * 100000 / status->period
                                       : 0, 2, 0);

    gw_out_text(out, html ? "</td><td data-n=\"p50\">"
                          : ",\"p50\":");
    ngx_http_aggregate_status_quantile(status, row, 50);
    gw_out_text(out, html ? "</td><td data-n=\"p95\">"
                          : ",\"p95\":");
    ngx_http_aggregate_status_quantile(status, row, 95);
    gw_out_text(out, html ? "</td><td data-n=\"p99\">"
                          : ",\"p99\":");
    ngx_http_aggregate_status_quantile(status, row, 99);
    gw_out_text(out, html ? "</td><td data-n=\"in flight\">"
                          : ",\"in_flight\":");
    gw_out_uint(out, (uint64_t) row->in_flight);
    gw_out_text(out, html ? "</td><td data-n=\"errors\">"
                          : ",\"errors\":");
    gw_out_uint(out, row->errors);
    ngx_http_aggregate_status_reasons(status, value, row);
    gw_out_text(out, html ? "</td><td data-n=\"in all\">"
                          : ",\"total\":");
    gw_out_uint(out, row->total);
    gw_out_text(out, html ? "</td></tr>\n" : "}");
}


/* the errors of a route by status, those of a backend by status or reason */

static void
ngx_http_aggregate_status_reasons(ngx_http_aggregate_status_t *status,
    uint32_t value, ngx_http_aggregate_status_row_t *row)
{
    uint32_t              slot, code;
    uint64_t              key;
    gw_out_t             *out;
    ngx_uint_t            n;
    agg_metrics_table_t  *table;

    out = status->out;
    table = &status->metrics->tables[row->family];
    n = 0;

    gw_out_text(out, status->html ? "" : ",\"reasons\":{");

    for (slot = 0; row->errors && slot < status->metrics->slots; slot++) {

        key = table->keys[slot];
        code = agg_metrics_b(key);

        if (key == 0 || agg_metrics_a(key) != value
            || (row->family == AGG_METRICS_REQUESTS && code / 100 != 5))
        {
            continue;
        }

        if (status->html) {
            gw_out_text(out, n++ ? ", " : "<small>");

        } else {
            gw_out_text(out, n++ ? ",\"" : "\"");
        }

        if (code > AGG_METRICS_WORD) {
            gw_out_put(out,
                    ngx_http_aggregate_reasons[code - AGG_METRICS_WORD].data,
                    ngx_http_aggregate_reasons[code - AGG_METRICS_WORD].len);

        } else if (code == AGG_METRICS_ANY || code == AGG_METRICS_WORD) {
            gw_out_text(out, "_other");

        } else {
            gw_out_uint(out, code);
        }

        gw_out_text(out, status->html ? "&nbsp;" : "\":");
        gw_out_uint(out, table->data[slot]);
    }

    if (status->html) {
        gw_out_text(out, n ? "</small>" : "");

    } else {
        gw_out_text(out, "}");
    }
}


/* the upper bound of the bucket; the last bucket has none */

static void
ngx_http_aggregate_status_quantile(ngx_http_aggregate_status_t *status,
    ngx_http_aggregate_status_row_t *row, ngx_uint_t percent)
{
    uint32_t        i;
    uint64_t        rank, n;
    agg_metrics_t  *m;

    m = status->metrics;
    rank = (row->count * percent + 99) / 100;
    n = 0;

    for (i = 0; row->count && i < m->nbuckets; i++) {
        n += row->buckets[i];

        if (n >= rank) {
            gw_out_decimal(status->out, m->bounds[i], 6, 0);
            return;
        }
    }

    gw_out_text(status->out, status->html ? "-" : "null");
}


static void
ngx_http_aggregate_status_exporter(agg_metrics_t *m, gw_out_t *out,
    ngx_uint_t html)
{
    ngx_uint_t  i;

    static const char  *names[] = {
        "exported", "dropped", "failed", "rejected", "requests_ok",
        "requests_retry", "requests_failed"
    };

    gw_out_text(out, html ? "<h2>Exporter of traces</h2>\n<p>"
                          : ",\"exporter\":{");

    for (i = 0; i < AGG_METRICS_TOTALS; i++) {

        if (html) {
            gw_out_text(out, i ? ", " : "");
            gw_out_text(out, names[i]);
            gw_out_text(out, " ");

        } else {
            gw_out_text(out, i ? ",\"" : "\"");
            gw_out_text(out, names[i]);
            gw_out_text(out, "\":");
        }

        gw_out_uint(out, agg_metrics_read(&m->totals[i]));
    }

    gw_out_text(out, html ? "</p>\n" : "}");
}
