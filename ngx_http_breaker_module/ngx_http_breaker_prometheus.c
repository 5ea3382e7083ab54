
#include "ngx_http_breaker.h"


typedef struct {
    const char  *label;
    size_t       offset;                  /* in brk_totals_t */
} ngx_http_breaker_metric_t;


static void ngx_http_breaker_head(ngx_http_breaker_text_t *text,
    const char *name, const char *type, const char *help);
static void ngx_http_breaker_series(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report, const char *name,
    const ngx_http_breaker_metric_t *metrics);
static void ngx_http_breaker_labels(ngx_http_breaker_text_t *text,
    ngx_str_t *zone, ngx_str_t *key);
static void ngx_http_breaker_zones(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report, const char *name, const char *type,
    const char *help, uint64_t (*value)(brk_table_t *t));
static uint64_t ngx_http_breaker_slots(brk_table_t *t);
static uint64_t ngx_http_breaker_used(brk_table_t *t);
static uint64_t ngx_http_breaker_evicted(brk_table_t *t);
static uint64_t ngx_http_breaker_refused(brk_table_t *t);


static const ngx_http_breaker_metric_t  ngx_http_breaker_calls[] = {
    { ",outcome=\"success\"", offsetof(brk_totals_t, success) },
    { ",outcome=\"failure\"", offsetof(brk_totals_t, failure) },
    { ",outcome=\"slow\"", offsetof(brk_totals_t, slow) },
    { ",outcome=\"neutral\"", offsetof(brk_totals_t, neutral) },
    { NULL, 0 }
};


static const ngx_http_breaker_metric_t  ngx_http_breaker_rejected[] = {
    { "", offsetof(brk_totals_t, rejected) },
    { NULL, 0 }
};


static const ngx_http_breaker_metric_t  ngx_http_breaker_dry[] = {
    { "", offsetof(brk_totals_t, dry_rejected) },
    { NULL, 0 }
};


#define ngx_http_breaker_entered(state)                                       \
    offsetof(brk_totals_t, entered) + (state) * sizeof(uint64_t)


static const ngx_http_breaker_metric_t  ngx_http_breaker_transitions[] = {
    { ",to=\"closed\"", ngx_http_breaker_entered(BRK_CLOSED) },
    { ",to=\"open\"", ngx_http_breaker_entered(BRK_OPEN) },
    { ",to=\"half_open\"", ngx_http_breaker_entered(BRK_HALF_OPEN) },
    { ",to=\"forced_open\"", ngx_http_breaker_entered(BRK_FORCED_OPEN) },
    { ",to=\"forced_closed\"", ngx_http_breaker_entered(BRK_FORCED_CLOSED) },
    { NULL, 0 }
};


/* the text format 0.0.4: all samples of one name together */

void
ngx_http_breaker_prometheus(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report)
{
    ngx_uint_t               i;
    ngx_http_breaker_row_t  *rows;

    rows = report->rows.elts;

    ngx_http_breaker_head(text, "breaker_state", "gauge",
                          "State: 0 closed, 1 open, 2 half_open, "
                          "3 forced_open, 4 forced_closed.");

    for (i = 0; i < report->rows.nelts; i++) {
        ngx_http_breaker_write(text, "breaker_state{");
        ngx_http_breaker_labels(text, &rows[i].zone->name, &rows[i].shown);
        ngx_http_breaker_write(text, "} %uD\n", rows[i].state);
    }

    ngx_http_breaker_head(text, "breaker_calls_total", "counter",
                          "Calls that have ended, by outcome.");
    ngx_http_breaker_series(text, report, "breaker_calls_total",
                            ngx_http_breaker_calls);

    ngx_http_breaker_head(text, "breaker_rejected_total", "counter",
                          "Calls that were rejected.");
    ngx_http_breaker_series(text, report, "breaker_rejected_total",
                            ngx_http_breaker_rejected);

    ngx_http_breaker_head(text, "breaker_dry_rejected_total", "counter",
                          "Calls that dry_run let through.");
    ngx_http_breaker_series(text, report, "breaker_dry_rejected_total",
                            ngx_http_breaker_dry);

    ngx_http_breaker_head(text, "breaker_transitions_total", "counter",
                          "Changes of the state, by the new state.");
    ngx_http_breaker_series(text, report, "breaker_transitions_total",
                            ngx_http_breaker_transitions);

    ngx_http_breaker_zones(text, report, "breaker_zone_slots", "gauge",
                           "Breakers for which the zone has room.",
                           ngx_http_breaker_slots);
    ngx_http_breaker_zones(text, report, "breaker_zone_used", "gauge",
                           "Breakers in the zone.", ngx_http_breaker_used);
    ngx_http_breaker_zones(text, report, "breaker_zone_evicted_total",
                           "counter", "Closed breakers that made room.",
                           ngx_http_breaker_evicted);
    ngx_http_breaker_zones(text, report, "breaker_zone_refused_total",
                           "counter", "Calls not guarded, the zone was full.",
                           ngx_http_breaker_refused);
}


static void
ngx_http_breaker_head(ngx_http_breaker_text_t *text, const char *name,
    const char *type, const char *help)
{
    ngx_http_breaker_write(text, "# HELP %s %s\n# TYPE %s %s\n", name, help,
                           name, type);
}


static void
ngx_http_breaker_series(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report, const char *name,
    const ngx_http_breaker_metric_t *metrics)
{
    u_char                           *totals;
    ngx_uint_t                        i;
    ngx_http_breaker_row_t           *rows;
    const ngx_http_breaker_metric_t  *m;

    rows = report->rows.elts;

    for (i = 0; i < report->rows.nelts; i++) {
        totals = (u_char *) &rows[i].totals;

        for (m = metrics; m->label; m++) {
            ngx_http_breaker_write(text, "%s{", name);
            ngx_http_breaker_labels(text, &rows[i].zone->name,
                                    &rows[i].shown);
            ngx_http_breaker_write(text, "%s} %uL\n", m->label,
                                   *(uint64_t *) (totals + m->offset));
        }
    }
}


static void
ngx_http_breaker_labels(ngx_http_breaker_text_t *text, ngx_str_t *zone,
    ngx_str_t *key)
{
    u_char  label[BRK_KEY_MAX * BRK_SHOW * BRK_LABEL], *last;

    last = brk_text_label(label, zone->data, ngx_min(zone->len,
                                                     BRK_KEY_MAX));
    ngx_http_breaker_write(text, "zone=\"%*s\"", (size_t) (last - label),
                           label);

    if (key) {
        last = brk_text_label(label, key->data, key->len);
        ngx_http_breaker_write(text, ",key=\"%*s\"", (size_t) (last - label),
                               label);
    }
}


static void
ngx_http_breaker_zones(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report, const char *name, const char *type,
    const char *help, uint64_t (*value)(brk_table_t *t))
{
    ngx_uint_t                 i;
    ngx_http_breaker_zone_t  **zones;

    zones = report->zones.elts;

    ngx_http_breaker_head(text, name, type, help);

    for (i = 0; i < report->zones.nelts; i++) {
        ngx_http_breaker_write(text, "%s{", name);
        ngx_http_breaker_labels(text, &zones[i]->name, NULL);
        ngx_http_breaker_write(text, "} %uL\n", value(zones[i]->table));
    }
}


static uint64_t
ngx_http_breaker_slots(brk_table_t *t)
{
    return t->slots;
}


static uint64_t
ngx_http_breaker_used(brk_table_t *t)
{
    return t->used;
}


static uint64_t
ngx_http_breaker_evicted(brk_table_t *t)
{
    return t->evicted;
}


static uint64_t
ngx_http_breaker_refused(brk_table_t *t)
{
    return t->refused;
}
