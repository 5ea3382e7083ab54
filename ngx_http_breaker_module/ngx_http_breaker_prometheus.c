
#include "ngx_http_breaker.h"


/* a sample of each breaker: its label, and the offset of its value */

typedef struct {
    const char  *value;
    size_t       offset;                  /* in brk_totals_t */
} ngx_http_breaker_metric_t;


static void ngx_http_breaker_series(gw_prometheus_t *p,
    ngx_http_breaker_report_t *report, const char *label,
    const ngx_http_breaker_metric_t *metrics);
static void ngx_http_breaker_zones(gw_prometheus_t *p,
    ngx_http_breaker_report_t *report, uint64_t (*value)(brk_table_t *t));
static void ngx_http_breaker_sample(gw_prometheus_t *p,
    ngx_http_breaker_row_t *row);
static uint64_t ngx_http_breaker_slots(brk_table_t *t);
static uint64_t ngx_http_breaker_used(brk_table_t *t);
static uint64_t ngx_http_breaker_evicted(brk_table_t *t);
static uint64_t ngx_http_breaker_refused(brk_table_t *t);


static const ngx_http_breaker_metric_t  ngx_http_breaker_calls[] = {
    { "success", offsetof(brk_totals_t, success) },
    { "failure", offsetof(brk_totals_t, failure) },
    { "slow", offsetof(brk_totals_t, slow) },
    { "neutral", offsetof(brk_totals_t, neutral) },
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
    { "closed", ngx_http_breaker_entered(BRK_CLOSED) },
    { "open", ngx_http_breaker_entered(BRK_OPEN) },
    { "half_open", ngx_http_breaker_entered(BRK_HALF_OPEN) },
    { "forced_open", ngx_http_breaker_entered(BRK_FORCED_OPEN) },
    { "forced_closed", ngx_http_breaker_entered(BRK_FORCED_CLOSED) },
    { NULL, 0 }
};


void
ngx_http_breaker_prometheus(ngx_http_breaker_text_t *text,
    ngx_http_breaker_report_t *report)
{
    ngx_uint_t               i;
    gw_prometheus_t          p;
    ngx_http_breaker_row_t  *rows;

    gw_prometheus_init(&p, &text->out, 0);

    p.max = BRK_KEY_MAX * GW_SHOW;

    gw_prometheus_family(&p, "breaker_state", GW_GAUGE,
                         "State: 0 closed, 1 open, 2 half_open, "
                         "3 forced_open, 4 forced_closed.");

    rows = report->rows.elts;

    for (i = 0; i < report->rows.nelts; i++) {
        ngx_http_breaker_sample(&p, &rows[i]);
        gw_prometheus_uint(&p, rows[i].state);
    }

    gw_prometheus_family(&p, "breaker_calls", GW_COUNTER,
                         "Calls that have ended, by outcome.");
    ngx_http_breaker_series(&p, report, "outcome", ngx_http_breaker_calls);

    gw_prometheus_family(&p, "breaker_rejected", GW_COUNTER,
                         "Calls that were rejected.");
    ngx_http_breaker_series(&p, report, NULL, ngx_http_breaker_rejected);

    gw_prometheus_family(&p, "breaker_dry_rejected", GW_COUNTER,
                         "Calls that dry_run let through.");
    ngx_http_breaker_series(&p, report, NULL, ngx_http_breaker_dry);

    gw_prometheus_family(&p, "breaker_transitions", GW_COUNTER,
                         "Changes of the state, by the new state.");
    ngx_http_breaker_series(&p, report, "to", ngx_http_breaker_transitions);

    gw_prometheus_family(&p, "breaker_zone_slots", GW_GAUGE,
                         "Breakers for which the zone has room.");
    ngx_http_breaker_zones(&p, report, ngx_http_breaker_slots);

    gw_prometheus_family(&p, "breaker_zone_used", GW_GAUGE,
                         "Breakers in the zone.");
    ngx_http_breaker_zones(&p, report, ngx_http_breaker_used);

    gw_prometheus_family(&p, "breaker_zone_evicted", GW_COUNTER,
                         "Closed breakers that made room.");
    ngx_http_breaker_zones(&p, report, ngx_http_breaker_evicted);

    gw_prometheus_family(&p, "breaker_zone_refused", GW_COUNTER,
                         "Calls not guarded, the zone was full.");
    ngx_http_breaker_zones(&p, report, ngx_http_breaker_refused);

    gw_prometheus_end(&p);
}


static void
ngx_http_breaker_series(gw_prometheus_t *p, ngx_http_breaker_report_t *report,
    const char *label, const ngx_http_breaker_metric_t *metrics)
{
    u_char                           *totals;
    ngx_uint_t                        i;
    ngx_http_breaker_row_t           *rows;
    const ngx_http_breaker_metric_t  *m;

    rows = report->rows.elts;

    for (i = 0; i < report->rows.nelts; i++) {
        totals = (u_char *) &rows[i].totals;

        for (m = metrics; m->value; m++) {
            ngx_http_breaker_sample(p, &rows[i]);

            if (label) {
                gw_prometheus_label(p, label, (u_char *) m->value,
                                    ngx_strlen(m->value));
            }

            gw_prometheus_uint(p, *(uint64_t *) (totals + m->offset));
        }
    }
}


static void
ngx_http_breaker_sample(gw_prometheus_t *p, ngx_http_breaker_row_t *row)
{
    gw_prometheus_sample(p, NULL);
    gw_prometheus_label(p, "zone", row->zone->name.data, row->zone->name.len);
    gw_prometheus_label(p, "key", row->shown.data, row->shown.len);
}


static void
ngx_http_breaker_zones(gw_prometheus_t *p, ngx_http_breaker_report_t *report,
    uint64_t (*value)(brk_table_t *t))
{
    ngx_uint_t                 i;
    ngx_http_breaker_zone_t  **zones;

    zones = report->zones.elts;

    for (i = 0; i < report->zones.nelts; i++) {
        gw_prometheus_sample(p, NULL);
        gw_prometheus_label(p, "zone", zones[i]->name.data,
                            zones[i]->name.len);
        gw_prometheus_uint(p, value(zones[i]->table));
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
