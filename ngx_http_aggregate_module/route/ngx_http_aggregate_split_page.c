
/* splits as JSON, for Prometheus, and as an HTML page */

#include "ngx_http_aggregate_split.h"


/* a copy, so that no lock is held during the output */

typedef struct {
    agg_split_version_t               version;
    agg_split_sum_t                   sum;
    uint32_t                          percent;     /* the default's, too */
} ngx_http_aggregate_split_view_t;


static void ngx_http_aggregate_split_view(
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version,
    ngx_http_aggregate_split_view_t *view);
static uint64_t ngx_http_aggregate_split_time(uint64_t msec);
static void ngx_http_aggregate_split_json_version(gw_out_t *out,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version);
static void ngx_http_aggregate_split_window(gw_out_t *out,
    ngx_http_aggregate_split_view_t *view);
static void ngx_http_aggregate_split_samples(gw_prometheus_t *p,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version,
    ngx_uint_t family);
static void ngx_http_aggregate_split_labels(gw_prometheus_t *p,
    const char *suffix, ngx_http_aggregate_split_conf_t *split,
    ngx_uint_t version);
static void ngx_http_aggregate_split_histogram(gw_prometheus_t *p,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version,
    agg_split_version_t *v);
static void ngx_http_aggregate_split_html_version(gw_out_t *out,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version);


static const char  ngx_http_aggregate_split_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta http-equiv=\"refresh\" content=\"5\">\n"
    "<title>Splits</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --line: #d9dce1; --dim: #667080;\n"
    "  --good: #1a7f4b; --bad: #c62828; --wait: #b26a00; }\n"
    "@media (prefers-color-scheme: dark) { :root { --line: #3a3f47;\n"
    "  --dim: #9aa4b2; --good: #4cc38a; --bad: #ff6b6b; --wait: #ffb84d; } }\n"
    "body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto;\n"
    "  max-width: 76rem; padding: 0 1rem; }\n"
    "h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; }\n"
    "div { overflow-x: auto; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th { color: var(--dim); font-size: .8rem; text-align: left; }\n"
    "th, td { border-bottom: 1px solid var(--line); padding: .4rem .6rem;\n"
    "  vertical-align: top; }\n"
    ".n { text-align: right; font-variant-numeric: tabular-nums; }\n"
    "small { color: var(--dim); display: block; }\n"
    ".aborted { color: var(--bad); } .promoted { color: var(--good); }\n"
    ".waiting, .paused { color: var(--wait); }\n"
    "form { display: inline; } .a { white-space: nowrap; }\n"
    "@media (max-width: 40rem) { body { margin: 1rem auto;\n"
    "  padding: 0 .6rem; } th { display: none; }\n"
    "tr { border-bottom: 1px solid var(--line); display: block;\n"
    "  padding: .4rem 0; }\n"
    "td { border: 0; display: inline-block; padding: 0 1rem .2rem 0; }\n"
    "td:first-child, td.a { display: block; font-weight: 600; }\n"
    "small { display: inline; }\n"
    ".n::before { color: var(--dim); content: attr(data-n) ' '; } }\n"
    "button { font: inherit; font-size: .8rem; }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<h1>Splits</h1>\n";


static void
ngx_http_aggregate_split_view(ngx_http_aggregate_split_conf_t *split,
    ngx_uint_t version, ngx_http_aggregate_split_view_t *view)
{
    ngx_uint_t    i;
    agg_split_t  *s;

    s = ngx_http_aggregate_split_state(split);

    if (split->zone) {
        ngx_shmtx_lock(&split->zone->shpool->mutex);
    }

    view->version = s->versions[version];
    view->percent = view->version.percent;

    if (version == 0) {
        view->percent = AGG_SPLIT_FULL;

        for (i = 1; i < split->nversions; i++) {
            view->percent -= ngx_min(s->versions[i].percent, view->percent);
        }
    }

    if (split->zone) {
        ngx_shmtx_unlock(&split->zone->shpool->mutex);
    }

    agg_split_window_sum(&view->version.window, split->rule.window,
                         ngx_current_msec, &view->sum);
}


/* converts a time of the monotonic clock to Unix time */

static uint64_t
ngx_http_aggregate_split_time(uint64_t msec)
{
    return (uint64_t) ((int64_t) ngx_time()
                       + (int64_t) (msec - ngx_current_msec) / 1000);
}


void
ngx_http_aggregate_split_json(gw_out_t *out, ngx_array_t *splits)
{
    ngx_uint_t                         i, k;
    ngx_http_aggregate_split_view_t    view;
    ngx_http_aggregate_split_conf_t   *split, **splitp;

    splitp = splits->elts;

    gw_out_text(out, "{\"splits\":[");

    for (i = 0; i < splits->nelts; i++) {
        split = splitp[i];

        gw_out_text(out, i ? ",\n{\"name\":\"" : "\n{\"name\":\"");
        gw_out_json(out, split->name.data, split->name.len);
        gw_out_text(out, "\",\"zone\":");

        if (split->zone) {
            gw_out_text(out, "\"");
            gw_out_json(out, split->zone->name.data, split->zone->name.len);
            gw_out_text(out, "\"");

        } else {
            gw_out_text(out, "null");
        }

        ngx_http_aggregate_split_view(split, 0, &view);

        gw_out_text(out, ",\"default\":\"");
        gw_out_json(out, split->names[0].data, split->names[0].len);
        gw_out_text(out, "\",\"percent\":");
        gw_out_decimal(out, view.percent, 2, 0);
        ngx_http_aggregate_split_window(out, &view);
        gw_out_text(out, ",\"versions\":[");

        for (k = 1; k < split->nversions; k++) {
            gw_out_text(out, k > 1 ? ",\n " : "\n ");
            ngx_http_aggregate_split_json_version(out, split, k);
        }

        gw_out_text(out, "]}");
    }

    gw_out_text(out, "\n]}\n");
}


static void
ngx_http_aggregate_split_json_version(gw_out_t *out,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version)
{
    agg_split_version_t              *v;
    ngx_http_aggregate_split_view_t   view;

    ngx_http_aggregate_split_view(split, version, &view);
    v = &view.version;

    gw_out_text(out, "{\"name\":\"");
    gw_out_json(out, split->names[version].data, split->names[version].len);
    gw_out_text(out, "\",\"percent\":");
    gw_out_decimal(out, view.percent, 2, 0);
    gw_out_text(out, ",\"state\":\"");
    gw_out_text(out, agg_split_state_name(v->state));
    gw_out_text(out, "\",\"step\":");

    if (split->plans[version].nsteps) {
        gw_out_uint(out, v->step + 1);

    } else {
        gw_out_text(out, "null");
    }

    gw_out_text(out, ",\"since\":");

    if (split->zone) {
        gw_out_uint(out, ngx_http_aggregate_split_time(v->since));

    } else {
        gw_out_text(out, "null");
    }

    gw_out_text(out, ",\"next\":");

    if (v->state == AGG_SPLIT_RAMPING) {
        gw_out_uint(out, ngx_http_aggregate_split_time(v->since
                                            + split->plans[version].every));

    } else {
        gw_out_text(out, "null");
    }

    gw_out_text(out, ",\"reason\":\"");
    gw_out_text(out, agg_split_why_text(v->why));
    gw_out_text(out, "\"");
    ngx_http_aggregate_split_window(out, &view);
    gw_out_text(out, "}");
}


static void
ngx_http_aggregate_split_window(gw_out_t *out,
    ngx_http_aggregate_split_view_t *view)
{
    gw_out_text(out, ",\"window\":{\"calls\":");
    gw_out_uint(out, view->sum.calls);
    gw_out_text(out, ",\"errors\":");
    gw_out_uint(out, view->sum.errors);
    gw_out_text(out, ",\"p95\":");
    gw_out_decimal(out, (uint64_t) (agg_split_percentile(&view->sum, 0.95)
                                    * 1000), 6, 0);
    gw_out_text(out, "}");
}


void
ngx_http_aggregate_split_prometheus(gw_out_t *out, ngx_array_t *splits)
{
    ngx_uint_t                         i, k, n;
    gw_prometheus_t                    p;
    ngx_http_aggregate_split_conf_t  **splitp;

    static const struct {
        const char                    *name;
        gw_prometheus_e                type;
        const char                    *help;
    } families[] = {
        { "gateway_split_ratio", GW_GAUGE, "Share of a version, of 1." },
        { "gateway_split_requests", GW_COUNTER,
          "Requests to upstreams by version." },
        { "gateway_split_errors", GW_COUNTER, "Those that failed." },
        { "gateway_split_duration_seconds", GW_HISTOGRAM,
          "Time to the response header." },
        { "gateway_split_state", GW_GAUGE, "1 for the present state." },
        { "gateway_split_aborts", GW_COUNTER, "Aborts of a version." }
    };

    splitp = splits->elts;

    gw_prometheus_init(&p, out, 0);

    for (n = 0; n < 6; n++) {

        gw_prometheus_family(&p, families[n].name, families[n].type,
                             families[n].help);

        for (i = 0; i < splits->nelts; i++) {
            for (k = 0; k < splitp[i]->nversions; k++) {
                ngx_http_aggregate_split_samples(&p, splitp[i], k, n);
            }
        }
    }

    gw_prometheus_end(&p);
}


static void
ngx_http_aggregate_split_samples(gw_prometheus_t *p,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version,
    ngx_uint_t family)
{
    ngx_uint_t                        i;
    const char                       *text;
    agg_split_version_t              *v;
    ngx_http_aggregate_split_view_t   view;

    ngx_http_aggregate_split_view(split, version, &view);
    v = &view.version;

    switch (family) {

    case 0:
        ngx_http_aggregate_split_labels(p, NULL, split, version);
        gw_prometheus_decimal(p, view.percent, 4);
        break;

    case 1:

        for (i = 0; i < AGG_SPLIT_REASONS; i++) {
            text = agg_split_reason_name((unsigned) i);

            ngx_http_aggregate_split_labels(p, NULL, split, version);
            gw_prometheus_label(p, "reason", (u_char *) text,
                                ngx_strlen(text));
            gw_prometheus_uint(p, v->requests[i]);
        }

        break;

    case 2:
        ngx_http_aggregate_split_labels(p, NULL, split, version);
        gw_prometheus_uint(p, v->errors);
        break;

    case 3:
        ngx_http_aggregate_split_histogram(p, split, version, v);
        break;

    case 4:

        for (i = 0; version && i < AGG_SPLIT_STATES; i++) {
            text = agg_split_state_name((unsigned) i);

            ngx_http_aggregate_split_labels(p, NULL, split, version);
            gw_prometheus_label(p, "state", (u_char *) text,
                                ngx_strlen(text));
            gw_prometheus_uint(p, v->state == i);
        }

        break;

    default:

        if (version) {
            ngx_http_aggregate_split_labels(p, NULL, split, version);
            gw_prometheus_uint(p, v->aborts);
        }
    }
}


static void
ngx_http_aggregate_split_labels(gw_prometheus_t *p, const char *suffix,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version)
{
    gw_prometheus_sample(p, suffix);
    gw_prometheus_label(p, "split", split->name.data, split->name.len);
    gw_prometheus_label(p, "version", split->names[version].data,
                        split->names[version].len);
}


static void
ngx_http_aggregate_split_histogram(gw_prometheus_t *p,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version,
    agg_split_version_t *v)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i <= AGG_SPLIT_BOUNDS; i++) {
        n += v->durations[i];

        ngx_http_aggregate_split_labels(p, "bucket", split, version);

        if (i < AGG_SPLIT_BOUNDS) {
            gw_prometheus_le(p, agg_split_bounds[i], 3);

        } else {
            gw_prometheus_le_inf(p);
        }

        gw_prometheus_uint(p, n);
    }

    ngx_http_aggregate_split_labels(p, "sum", split, version);
    gw_prometheus_decimal(p, v->duration_sum, 3);
    ngx_http_aggregate_split_labels(p, "count", split, version);
    gw_prometheus_uint(p, n);
}


void
ngx_http_aggregate_split_html(gw_out_t *out, ngx_array_t *splits)
{
    ngx_uint_t                         i, k;
    ngx_http_aggregate_split_conf_t  **splitp;

    splitp = splits->elts;

    gw_out_text(out, ngx_http_aggregate_split_head);

    for (i = 0; i < splits->nelts; i++) {

        gw_out_text(out, "<h2>$");
        gw_out_html(out, splitp[i]->name.data, splitp[i]->name.len);
        gw_out_text(out, "</h2>\n<div><table>\n<tr><th>Version</th>"
                         "<th class=\"n\">Share</th><th>State</th>"
                         "<th class=\"n\">Calls in window</th>"
                         "<th class=\"n\">Errors</th>"
                         "<th class=\"n\">p95</th><th>By hand</th></tr>\n");

        for (k = 0; k < splitp[i]->nversions; k++) {
            ngx_http_aggregate_split_html_version(out, splitp[i], k);
        }

        gw_out_text(out, "</table></div>\n");
    }

    gw_out_text(out, "</body>\n</html>\n");
}


static void
ngx_http_aggregate_split_html_version(gw_out_t *out,
    ngx_http_aggregate_split_conf_t *split, ngx_uint_t version)
{
    ngx_uint_t                        i;
    agg_split_version_t              *v;
    ngx_http_aggregate_split_view_t   view;

    static const char  *actions[] = { "abort", "pause", "resume", "reset" };

    ngx_http_aggregate_split_view(split, version, &view);
    v = &view.version;

    gw_out_text(out, "<tr><td>");
    gw_out_html(out, split->names[version].data, split->names[version].len);
    gw_out_text(out, "</td><td class=\"n\" data-n=\"share\">");
    gw_out_decimal(out, view.percent, 2, 0);
    gw_out_text(out, "&#8201;%</td><td class=\"");
    gw_out_text(out, version ? agg_split_state_name(v->state) : "");
    gw_out_text(out, "\">");
    gw_out_text(out, version ? agg_split_state_name(v->state) : "default");

    if (version) {
        gw_out_text(out, " <small>");
        gw_out_text(out, agg_split_why_text(v->why));
        gw_out_text(out, "</small>");
    }

    gw_out_text(out, "</td><td class=\"n\" data-n=\"calls\">");
    gw_out_uint(out, view.sum.calls);
    gw_out_text(out, "</td><td class=\"n\" data-n=\"errors\">");
    gw_out_uint(out, view.sum.errors);
    gw_out_text(out, "</td><td class=\"n\" data-n=\"p95\">");
    gw_out_uint(out, (uint64_t) agg_split_percentile(&view.sum, 0.95));
    gw_out_text(out, "&nbsp;ms</td><td class=\"a\">");

    for (i = 0; version && split->zone && i < 4; i++) {
        gw_out_text(out, "<form method=\"post\" action=\"?split=");
        gw_out_html(out, split->name.data, split->name.len);
        gw_out_text(out, "&amp;version=");
        gw_out_html(out, split->names[version].data,
                    split->names[version].len);
        gw_out_text(out, "&amp;action=");
        gw_out_text(out, actions[i]);
        gw_out_text(out, "\"><button>");
        gw_out_text(out, actions[i]);
        gw_out_text(out, "</button></form> ");
    }

    gw_out_text(out, "</td></tr>\n");
}
