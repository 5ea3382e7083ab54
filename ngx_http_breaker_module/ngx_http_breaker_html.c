
#include "ngx_http_breaker.h"


static void ngx_http_breaker_html_summary(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report);
static void ngx_http_breaker_html_filter(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report);
static ngx_uint_t ngx_http_breaker_html_wanted(
    ngx_http_breaker_report_t *report, ngx_http_breaker_row_t *row);
static ngx_uint_t ngx_http_breaker_html_is(ngx_str_t *text, const char *name);
static int ngx_libc_cdecl ngx_http_breaker_html_cmp(const void *one,
    const void *two);
static void ngx_http_breaker_html_policy(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report, ngx_http_breaker_row_t *row);
static void ngx_http_breaker_html_row(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report, ngx_http_breaker_row_t *row);
static void ngx_http_breaker_html_percent(ngx_http_breaker_text_t *text,
    uint32_t rate);
static void ngx_http_breaker_html_rate(ngx_http_breaker_text_t *text,
    const char *head, uint64_t part, uint64_t of);
static void ngx_http_breaker_html_text(ngx_http_breaker_text_t *text,
    ngx_str_t *value);
static void ngx_http_breaker_html_actions(ngx_http_breaker_text_t *text,
    ngx_http_breaker_row_t *row);
static void ngx_http_breaker_html_time(ngx_http_breaker_text_t *text,
    int64_t ms);


static const char  ngx_http_breaker_html_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta http-equiv=\"refresh\" content=\"5\">\n"
    "<title>Circuit breakers</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --line: #d9dce1; --dim: #667080;\n"
    "  --closed: #1a7f4b; --open: #c62828; --half: #b26a00;\n"
    "  --hand: #6a3fb5; }\n"
    "@media (prefers-color-scheme: dark) { :root { --line: #3a3f47;\n"
    "  --dim: #9aa4b2; --closed: #4cc38a; --open: #ff6b6b; --half: #ffb84d;\n"
    "  --hand: #b794f6; } }\n"
    "body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto;\n"
    "  max-width: 76rem; padding: 0 1rem; }\n"
    "h1 { font-size: 1.4rem; margin: 0 0 .8rem; }\n"
    "ul { display: flex; flex-wrap: wrap; gap: .6rem; list-style: none;\n"
    "  margin: 0 0 1.4rem; padding: 0; }\n"
    "li { border: 1px solid var(--line); border-radius: .5rem;\n"
    "  padding: .4rem .9rem; }\n"
    "li b { font-size: 1.25rem; margin-right: .35rem; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th { color: var(--dim); font-size: .8rem; font-weight: 600;\n"
    "  text-align: left; }\n"
    "th, td { border-bottom: 1px solid var(--line); padding: .5rem .6rem;\n"
    "  vertical-align: top; }\n"
    ".n { text-align: right; font-variant-numeric: tabular-nums; }\n"
    ".k { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }\n"
    "small { color: var(--dim); display: block; }\n"
    ".s { font-weight: 600; white-space: nowrap; }\n"
    ".s::before { content: \"\\25CF\"; margin-right: .4rem; }\n"
    ".closed { color: var(--closed); } .open { color: var(--open); }\n"
    ".half_open { color: var(--half); }\n"
    ".forced_open, .forced_closed { color: var(--hand); }\n"
    "meter { display: block; height: .5rem; margin-left: auto;\n"
    "  width: 4.5rem; }\n"
    "form { display: inline; } td.a { white-space: nowrap; }\n"
    "p.f { margin: 0 0 1rem; } div { overflow-x: auto; }\n"
    "input, select { font: inherit; font-size: .9rem; max-width: 60%; }\n"
    "@media (max-width: 40rem) { body { margin: 1rem auto; }\n"
    "  thead { display: none; } tr { display: block;\n"
    "  border-bottom: 2px solid var(--line); padding: .4rem 0; }\n"
    "  td { border: 0; display: block; padding: .1rem 0; }\n"
    "  td.n { text-align: left; } td.n::before { color: var(--dim);\n"
    "  content: attr(data-h) \" \"; } meter { display: none; }\n"
    "  td.a { white-space: normal; } }\n"
    "button { font: inherit; font-size: .8rem; padding: .1rem .5rem; }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<h1>Circuit breakers</h1>\n"
    "<p class=\"f\"><small>";


static const char  ngx_http_breaker_html_table[] =
    "<div><table>\n"
    "<thead><tr><th>State</th><th>Key</th>"
    "<th class=\"n\">Calls in window</th><th class=\"n\">Failed</th>"
    "<th class=\"n\">Slow</th><th class=\"n\">Rejected</th>"
    "<th class=\"n\">Calls in all</th><th class=\"n\">Trips</th>"
    "<th>By hand</th></tr></thead>\n"
    "<tbody>\n";


void
ngx_http_breaker_html(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report)
{
    ngx_str_t                host;
    ngx_uint_t               i;
    ngx_http_breaker_row_t  *rows;

    host = ngx_cycle->hostname;

    ngx_http_breaker_write(text, "%s", ngx_http_breaker_html_head);
    ngx_http_breaker_html_text(text, &host);
    ngx_http_breaker_write(text, ", " NGINX_VER ", %V</small></p>\n",
                           &ngx_cached_http_time);

    ngx_http_breaker_html_summary(text, report);
    ngx_http_breaker_html_filter(text, report);

    rows = report->rows.elts;

    /* the order does not depend on the states, so that rows do not move */

    ngx_qsort(rows, report->rows.nelts, sizeof(ngx_http_breaker_row_t),
              ngx_http_breaker_html_cmp);

    if (report->rows.nelts) {
        ngx_http_breaker_write(text, "%s", ngx_http_breaker_html_table);

        for (i = 0; i < report->rows.nelts; i++) {
            if (ngx_http_breaker_html_wanted(report, &rows[i])) {
                ngx_http_breaker_html_row(text, report, &rows[i]);
            }
        }

        ngx_http_breaker_write(text, "</tbody>\n</table></div>\n");

    } else {
        ngx_http_breaker_write(text, "<p>No call has been guarded yet.</p>\n");
    }

    if (report->omitted) {
        ngx_http_breaker_write(text, "<p>%ui more are not shown.</p>\n",
                               report->omitted);
    }

    ngx_http_breaker_write(text, "</body>\n</html>\n");
}


static void
ngx_http_breaker_html_summary(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report)
{
    ngx_uint_t                 i, n[BRK_STATES];
    ngx_http_breaker_row_t    *rows;
    ngx_http_breaker_zone_t  **zones;

    static const char  *words[BRK_STATES] = {
        "closed", "open", "half-open", "forced open", "forced closed"
    };

    static const ngx_uint_t  order[BRK_STATES] = {
        BRK_OPEN, BRK_HALF_OPEN, BRK_FORCED_OPEN, BRK_FORCED_CLOSED,
        BRK_CLOSED
    };

    ngx_memzero(n, sizeof(n));

    rows = report->rows.elts;

    for (i = 0; i < report->rows.nelts; i++) {
        n[rows[i].state]++;
    }

    ngx_http_breaker_write(text, "<ul>\n");

    for (i = 0; i < BRK_STATES; i++) {

        if (n[order[i]] == 0
            && order[i] != BRK_OPEN && order[i] != BRK_CLOSED)
        {
            continue;
        }

        ngx_http_breaker_write(text,
                               "<li class=\"%s\"><b>%ui</b>%s</li>\n",
                               n[order[i]] ? brk_state_name(order[i]) : "",
                               n[order[i]], words[order[i]]);
    }

    zones = report->zones.elts;

    for (i = 0; i < report->zones.nelts; i++) {
        ngx_http_breaker_write(text, "<li>zone ");
        ngx_http_breaker_html_text(text, &zones[i]->name);
        ngx_http_breaker_write(text, "<small>%uD of %uD places, "
                               "%uL evicted, %uL refused</small></li>\n",
                               zones[i]->table->used, zones[i]->table->slots,
                               zones[i]->table->evicted,
                               zones[i]->table->refused);
    }

    ngx_http_breaker_write(text, "</ul>\n");
}


static void
ngx_http_breaker_html_filter(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report)
{
    ngx_uint_t   i;
    const char  *name;

    ngx_http_breaker_write(text, "<form method=\"get\"><p class=\"f\">"
                           "<input type=\"hidden\" name=\"format\" "
                           "value=\"html\">"
                           "<input name=\"filter\" placeholder=\"key\" "
                           "aria-label=\"part of a key\" value=\"");
    ngx_http_breaker_html_text(text, &report->filter);
    ngx_http_breaker_write(text, "\"> <select name=\"state\" "
                           "aria-label=\"state\">"
                           "<option value=\"\">any state</option>");

    for (i = 0; i < BRK_STATES; i++) {
        name = brk_state_name(i);

        ngx_http_breaker_write(text, "<option value=\"%s\"%s>%s</option>",
                               name,
                               ngx_http_breaker_html_is(&report->state, name)
                               ? " selected" : "", name);
    }

    ngx_http_breaker_write(text, "</select> <button>filter</button></p>"
                           "</form>\n");
}


static ngx_uint_t
ngx_http_breaker_html_wanted(ngx_http_breaker_report_t *report,
    ngx_http_breaker_row_t *row)
{
    size_t  i;

    if (report->state.len
        && !ngx_http_breaker_html_is(&report->state,
                                     brk_state_name(row->state)))
    {
        return 0;
    }

    for (i = 0; i + report->filter.len <= row->shown.len; i++) {
        if (ngx_strncasecmp(row->shown.data + i, report->filter.data,
                            report->filter.len)
            == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_breaker_html_is(ngx_str_t *text, const char *name)
{
    return text->len == ngx_strlen(name)
           && ngx_strncmp(text->data, name, text->len) == 0;
}


static int ngx_libc_cdecl
ngx_http_breaker_html_cmp(const void *one, const void *two)
{
    int                            rc;
    const ngx_http_breaker_row_t  *a, *b;

    a = one;
    b = two;

    rc = (int) ngx_memn2cmp(a->key.data, b->key.data, a->key.len, b->key.len);

    return rc ? rc : (int) ngx_memn2cmp(a->zone->name.data,
                                        b->zone->name.data,
                                        a->zone->name.len,
                                        b->zone->name.len);
}


/* the thresholds, unless they depend on the location */

static void
ngx_http_breaker_html_policy(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report, ngx_http_breaker_row_t *row)
{
    ngx_uint_t                  n;
    brk_policy_t               *p;
    ngx_http_breaker_policy_t  *policy;

    policy = ngx_http_breaker_policy_of(report->conf, row->zone, &row->key);

    if (policy == NULL) {
        return;
    }

    p = &policy->policy;
    n = 0;

    ngx_http_breaker_write(text, "<small>opens at ");

    if (p->failure_threshold) {
        n++;
        ngx_http_breaker_write(text, "%uD failures in a row",
                               p->failure_threshold);
    }

    if (p->failure_rate) {
        ngx_http_breaker_write(text, n++ ? ", " : "");
        ngx_http_breaker_html_percent(text, p->failure_rate);
        ngx_http_breaker_write(text, "&#8201;%% failed");
    }

    if (p->slow_rate) {
        ngx_http_breaker_write(text, n++ ? ", " : "");
        ngx_http_breaker_html_percent(text, p->slow_rate);
        ngx_http_breaker_write(text, "&#8201;%% above %uL&nbsp;ms",
                               policy->rules.slow_call);
    }

    ngx_http_breaker_write(text, n ? " of %uD calls" : "nothing of %uD calls",
                           p->minimum_calls);
    ngx_http_breaker_write(text, " in ");
    ngx_http_breaker_html_time(text, (int64_t) p->window);
    ngx_http_breaker_write(text, "; for ");
    ngx_http_breaker_html_time(text, (int64_t) p->recovery_timeout);
    ngx_http_breaker_write(text, "</small>");
}


/* a part of BRK_RATE_FULL, as it is written in the configuration */

static void
ngx_http_breaker_html_percent(ngx_http_breaker_text_t *text, uint32_t rate)
{
    uint32_t  part;

    part = rate % 100;

    ngx_http_breaker_write(text, "%uD", rate / 100);

    if (part % 10) {
        ngx_http_breaker_write(text, ".%02uD", part);

    } else if (part) {
        ngx_http_breaker_write(text, ".%uD", part / 10);
    }
}


static void
ngx_http_breaker_html_row(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report, ngx_http_breaker_row_t *row)
{
    brk_totals_t  *totals;

    static const char  *words[BRK_STATES] = {
        "closed", "open", "half-open", "forced open", "forced closed"
    };

    totals = &row->totals;

    ngx_http_breaker_write(text, "<tr><td><span class=\"s %s\">%s</span>"
                           "<small>for ", brk_state_name(row->state),
                           words[row->state]);
    ngx_http_breaker_html_time(text, row->age);

    if (row->why != BRK_WHY_NEW) {
        ngx_http_breaker_write(text, ": %s", brk_why_text(row->why));
    }

    if (row->state == BRK_OPEN) {
        if (row->left) {
            ngx_http_breaker_write(text, "; probes in ");
            ngx_http_breaker_html_time(text, row->left);

        } else {
            ngx_http_breaker_write(text, "; the next call is a probe");
        }

    } else if (row->state == BRK_HALF_OPEN) {
        ngx_http_breaker_write(text, "; %uD probes under way, "
                               "%uD succeeded", row->live, row->succeeded);
    }

    ngx_http_breaker_write(text, "</small></td><td class=\"k\">");
    ngx_http_breaker_html_text(text, &row->shown);
    ngx_http_breaker_write(text, "<small>");
    ngx_http_breaker_html_text(text, &row->zone->name);
    ngx_http_breaker_write(text, "</small>");
    ngx_http_breaker_html_policy(text, report, row);
    ngx_http_breaker_write(text, "</td><td class=\"n\" data-h=\"Calls in "
                           "window\">%uL</td>", row->sum.calls);

    ngx_http_breaker_html_rate(text, "Failed", row->sum.failures,
                               row->sum.calls);
    ngx_http_breaker_html_rate(text, "Slow", row->sum.slow, row->sum.calls);

    ngx_http_breaker_write(text, "<td class=\"n\" data-h=\"Rejected\">%uL",
                           totals->rejected);

    if (totals->dry_rejected) {
        ngx_http_breaker_write(text, "<small>%uL in dry run</small>",
                               totals->dry_rejected);
    }

    ngx_http_breaker_write(text, "</td><td class=\"n\" data-h=\"Calls in "
                           "all\">%uL<small>%uL failed</small></td>"
                           "<td class=\"n\" data-h=\"Trips\">%uL</td>",
                           totals->success + totals->failure + totals->slow
                           + totals->neutral, totals->failure,
                           totals->entered[BRK_OPEN]);

    ngx_http_breaker_html_actions(text, row);

    ngx_http_breaker_write(text, "</tr>\n");
}


static void
ngx_http_breaker_html_rate(ngx_http_breaker_text_t *text, const char *head,
    uint64_t part, uint64_t of)
{
    uint64_t  percent;

    if (of == 0) {
        ngx_http_breaker_write(text, "<td class=\"n\" data-h=\"%s\">&#8211;"
                               "</td>", head);
        return;
    }

    percent = part * 100 / of;

    ngx_http_breaker_write(text, "<td class=\"n\" data-h=\"%s\">%uL&#8201;%%"
                           "<meter max=\"100\" high=\"50\" optimum=\"0\""
                           " low=\"10\" value=\"%uL\"></meter></td>",
                           head, percent, percent);
}


/* forms that are sent by POST, without a script */

static void
ngx_http_breaker_html_actions(ngx_http_breaker_text_t *text,
    ngx_http_breaker_row_t *row)
{
    u_char       zone[BRK_KEY_MAX * GW_QUERY], *zone_end;
    u_char       key[BRK_KEY_MAX * GW_QUERY], *key_end;
    ngx_uint_t   i;

    static const char  *actions[] = { "open", "close", "reset" };

    static const char  *words[] = {
        "force open", "force closed", "back to normal"
    };

    zone_end = gw_escape_query(zone, row->zone->name.data,
                               ngx_min(row->zone->name.len, BRK_KEY_MAX));
    key_end = gw_escape_query(key, row->key.data, row->key.len);

    ngx_http_breaker_write(text, "<td class=\"a\">");

    for (i = 0; i < 3; i++) {
        ngx_http_breaker_write(text, "<form method=\"post\" action=\"?zone=%*s"
                               "&amp;key=%*s&amp;action=%s&amp;format=html\">"
                               "<button>%s</button></form> ",
                               (size_t) (zone_end - zone), zone,
                               (size_t) (key_end - key), key,
                               actions[i], words[i]);
    }

    ngx_http_breaker_write(text, "</td>");
}


static void
ngx_http_breaker_html_text(ngx_http_breaker_text_t *text, ngx_str_t *value)
{
    gw_out_html(&text->out, value->data, value->len);
}


static void
ngx_http_breaker_html_time(ngx_http_breaker_text_t *text, int64_t ms)
{
    int64_t  s;

    s = (ms + 999) / 1000;

    if (s < 120) {
        ngx_http_breaker_write(text, "%L&nbsp;s", s);

    } else if (s < 7200) {
        ngx_http_breaker_write(text, "%L&nbsp;min", s / 60);

    } else {
        ngx_http_breaker_write(text, "%L&nbsp;h", s / 3600);
    }
}
