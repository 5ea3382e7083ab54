
/* see agg_metrics_write.h */

#include <string.h>

#include "agg_metrics_write.h"


typedef struct {
    const char         *name;
    const char         *first;         /* the label's name */
    const char         *second;
    const char         *help;
} agg_metrics_family_t;


static void agg_metrics_write_labels(agg_metrics_t *m, gw_prometheus_t *p,
    agg_metrics_family_e family, uint64_t key,
    const agg_metrics_names_t *names);
static void agg_metrics_write_value(agg_metrics_t *m, gw_prometheus_t *p,
    const char *label, uint32_t value);
static void agg_metrics_write_status(gw_prometheus_t *p, uint32_t status,
    const agg_metrics_names_t *names);
static void agg_metrics_write_word(gw_prometheus_t *p, const char *label,
    const char *const *words, uint32_t n);
static void agg_metrics_write_histogram(agg_metrics_t *m, gw_prometheus_t *p,
    agg_metrics_family_e family, uint32_t slot,
    const agg_metrics_names_t *names);
static void agg_metrics_write_exemplar(agg_metrics_t *m, gw_prometheus_t *p,
    agg_metrics_family_e family, uint32_t slot, uint32_t bucket);
static uint32_t agg_metrics_word(const char *const *words,
    const uint8_t *name, size_t len);


static const agg_metrics_family_t  agg_metrics_families[] = {

    { "gateway_request_duration_seconds", "route", "backend",
      "Time from the first byte of a client's request to its end." },

    { "gateway_backend_duration_seconds", "route", "backend",
      "Time of a part or of a proxied request, with all its tries." },

    { "gateway_requests", "route", "status",
      "Client requests that have ended, by the status sent." },

    { "gateway_backend_errors", "service", "status",
      "Backend requests that failed, by status or reason." },

    { "gateway_backend_retries", "service", NULL,
      "Tries after the first." },

    { "gateway_backend_cancelled", "service", NULL,
      "Backend requests that were cancelled." },

    { "gateway_aggregates", "route", "outcome",
      "Aggregates that were answered, by outcome." },

    { "gateway_cache_requests", "route", "result",
      "Requests and parts that asked a cache, by result and tier." },

    { "gateway_requests_in_flight", "route", NULL,
      "Client requests that are being served." },

    { "gateway_backend_in_flight", "service", NULL,
      "Backend requests that have not ended." }
};


static const char  *const agg_metrics_outcomes[] = {
    "_other", "complete", "partial", "failed", NULL
};


static const char  *const agg_metrics_results[] = {
    "_other", "hit", "miss", "stale", "bypass", "revalidated", NULL
};


void
agg_metrics_write(agg_metrics_t *m, gw_prometheus_t *p,
    const agg_metrics_names_t *names)
{
    uint32_t                     slot, f;
    uint64_t                     key;
    gw_prometheus_e              type;
    const agg_metrics_family_t  *family;

    for (f = 0; f < AGG_METRICS_FAMILIES; f++) {

        family = &agg_metrics_families[f];
        type = f < AGG_METRICS_HISTOGRAMS ? GW_HISTOGRAM
               : f < AGG_METRICS_COUNTERS ? GW_COUNTER : GW_GAUGE;

        gw_prometheus_family(p, family->name, type, family->help);

        for (slot = 0; slot < m->slots; slot++) {

            key = __atomic_load_n(&m->tables[f].keys[slot], __ATOMIC_ACQUIRE);

            if (key == 0) {
                continue;
            }

            if (f < AGG_METRICS_HISTOGRAMS) {
                agg_metrics_write_histogram(m, p, f, slot, names);
                continue;
            }

            gw_prometheus_sample(p, NULL);
            agg_metrics_write_labels(m, p, f, key, names);

            gw_prometheus_uint(p, f < AGG_METRICS_COUNTERS
                               ? agg_metrics_read(&m->tables[f].data[slot])
                               : (uint64_t) agg_metrics_gauge(m, f, slot,
                                                              names->alive));
        }
    }
}


static void
agg_metrics_write_labels(agg_metrics_t *m, gw_prometheus_t *p,
    agg_metrics_family_e family, uint64_t key,
    const agg_metrics_names_t *names)
{
    uint32_t                     tier;
    const agg_metrics_family_t  *f;

    static const char  *const tiers[] = { "L1", "L2" };

    f = &agg_metrics_families[family];

    agg_metrics_write_value(m, p, f->first, agg_metrics_a(key));

    switch (family) {

    case AGG_METRICS_REQUEST_DURATION:
    case AGG_METRICS_BACKEND_DURATION:
        agg_metrics_write_value(m, p, f->second, agg_metrics_b(key));
        break;

    case AGG_METRICS_REQUESTS:
    case AGG_METRICS_BACKEND_ERRORS:
        agg_metrics_write_status(p, agg_metrics_b(key), names);
        break;

    case AGG_METRICS_AGGREGATES:
        agg_metrics_write_word(p, f->second, agg_metrics_outcomes,
                               agg_metrics_b(key));
        break;

    case AGG_METRICS_CACHE_REQUESTS:
        agg_metrics_write_word(p, f->second, agg_metrics_results,
                               agg_metrics_b(key));

        tier = agg_metrics_c(key);

        if (tier == 1 || tier == 2) {
            gw_prometheus_label(p, "tier", (const uint8_t *) tiers[tier - 1],
                                2);
        }

        break;

    default:
        break;
    }
}


static void
agg_metrics_write_value(agg_metrics_t *m, gw_prometheus_t *p,
    const char *label, uint32_t value)
{
    uint32_t              len;
    agg_metrics_value_t  *v;

    v = &m->value[(value - 1) % m->values];
    len = __atomic_load_n(&v->len, __ATOMIC_ACQUIRE);

    gw_prometheus_label(p, label, v->text, len % (AGG_METRICS_TEXT + 1));
}


static void
agg_metrics_write_status(gw_prometheus_t *p, uint32_t status,
    const agg_metrics_names_t *names)
{
    uint8_t   text[3];
    uint32_t  word;

    if (status != AGG_METRICS_ANY && status < AGG_METRICS_WORD) {
        text[0] = (uint8_t) ('0' + status / 100);
        text[1] = (uint8_t) ('0' + status / 10 % 10);
        text[2] = (uint8_t) ('0' + status % 10);

        gw_prometheus_label(p, "status", text, 3);
        return;
    }

    word = status - AGG_METRICS_WORD;

    if (status == AGG_METRICS_ANY || word >= names->nwords) {
        gw_prometheus_label(p, "status", (const uint8_t *) "_other", 6);
        return;
    }

    agg_metrics_write_word(p, "status", names->words, word);
}


static void
agg_metrics_write_word(gw_prometheus_t *p, const char *label,
    const char *const *words, uint32_t n)
{
    gw_prometheus_label(p, label, (const uint8_t *) words[n],
                        strlen(words[n]));
}


static void
agg_metrics_write_histogram(agg_metrics_t *m, gw_prometheus_t *p,
    agg_metrics_family_e family, uint32_t slot,
    const agg_metrics_names_t *names)
{
    uint32_t   i;
    uint64_t   count, key, *data;

    key = m->tables[family].keys[slot];
    data = m->tables[family].data + (size_t) slot * agg_metrics_width(m);
    count = 0;

    for (i = 0; i <= m->nbuckets; i++) {

        count += agg_metrics_read(&data[1 + i]);

        gw_prometheus_sample(p, "bucket");
        agg_metrics_write_labels(m, p, family, key, names);

        if (i < m->nbuckets) {
            gw_prometheus_le(p, m->bounds[i], 6);

        } else {
            gw_prometheus_le_inf(p);
        }

        gw_prometheus_uint(p, count);

        agg_metrics_write_exemplar(m, p, family, slot, i);
    }

    gw_prometheus_sample(p, "sum");
    agg_metrics_write_labels(m, p, family, key, names);
    gw_prometheus_decimal(p, agg_metrics_read(&data[0]), 6);

    gw_prometheus_sample(p, "count");
    agg_metrics_write_labels(m, p, family, key, names);
    gw_prometheus_uint(p, count);
}


static void
agg_metrics_write_exemplar(agg_metrics_t *m, gw_prometheus_t *p,
    agg_metrics_family_e family, uint32_t slot, uint32_t bucket)
{
    uint8_t                 labels[96], *q, bytes[24];
    unsigned                i;
    agg_metrics_exemplar_t  e;

    static const char  hex[] = "0123456789abcdef";

    if (!p->openmetrics
        || !agg_metrics_exemplar(m, family, slot, bucket, &e))
    {
        return;
    }

    memcpy(bytes, e.trace_id, 16);
    memcpy(bytes + 16, &e.span_id, 8);

    memcpy(labels, "trace_id=\"", 10);
    q = labels + 10;

    for (i = 0; i < 24; i++) {

        if (i == 16) {
            memcpy(q, "\",span_id=\"", 11);
            q += 11;
        }

        *q++ = (uint8_t) hex[bytes[i] >> 4];
        *q++ = (uint8_t) hex[bytes[i] & 0xf];
    }

    *q++ = '"';

    gw_prometheus_exemplar(p, labels, (size_t) (q - labels), e.duration, 6,
                           e.time);
}


void
agg_metrics_write_totals(agg_metrics_t *m, gw_prometheus_t *p,
    const agg_metrics_names_t *names)
{
    uint32_t  i;
    uint64_t  bytes;

    static const char  *const results[] = {
        "exported", "dropped", "failed", "rejected", "ok", "retry", "failed"
    };

    static const char  spans[] = "gateway_trace_spans";
    static const char  exports[] = "gateway_trace_exports";

    for (i = 0; i < AGG_METRICS_TOTALS; i++) {

        if (i < AGG_METRICS_EXPORTS_OK) {
            gw_prometheus_family(p, spans, GW_COUNTER,
                                 "Spans, by what became of them.");

        } else {
            gw_prometheus_family(p, exports, GW_COUNTER,
                                 "Requests to the collector, by result.");
        }

        gw_prometheus_sample(p, NULL);
        agg_metrics_write_word(p, "result", results, i);
        gw_prometheus_uint(p, agg_metrics_read(&m->totals[i]));
    }

    bytes = 0;

    for (i = 0; i < m->nprocesses; i++) {
        if (m->processes[i].pid && names->alive(m->processes[i].pid)) {
            bytes += agg_metrics_read(&m->processes[i].queue);
        }
    }

    gw_prometheus_family(p, "gateway_trace_queue_bytes", GW_GAUGE,
                         "Encoded spans that wait for the collector.");
    gw_prometheus_sample(p, NULL);
    gw_prometheus_uint(p, bytes);
}


void
agg_metrics_write_zone(agg_metrics_t *m, gw_prometheus_t *p,
    const uint8_t *name, size_t len)
{
    uint32_t  i, used;
    uint64_t  overflow;

    used = 0;
    overflow = 0;

    for (i = 0; i < AGG_METRICS_FAMILIES; i++) {
        overflow += agg_metrics_read(&m->tables[i].overflow);

        if (used < agg_metrics_read(&m->tables[i].used)) {
            used = agg_metrics_read(&m->tables[i].used);
        }
    }

    gw_prometheus_family(p, "gateway_metrics_series", GW_GAUGE,
                         "Label sets of the largest family.");
    gw_prometheus_sample(p, NULL);
    gw_prometheus_label(p, "zone", name, len);
    gw_prometheus_uint(p, used);

    gw_prometheus_family(p, "gateway_metrics_series_limit", GW_GAUGE,
                         "Label sets of one family for which there is room.");
    gw_prometheus_sample(p, NULL);
    gw_prometheus_label(p, "zone", name, len);
    gw_prometheus_uint(p, m->series);

    gw_prometheus_family(p, "gateway_metrics_overflow", GW_COUNTER,
                         "Observations that were counted as \"_other\".");
    gw_prometheus_sample(p, NULL);
    gw_prometheus_label(p, "zone", name, len);
    gw_prometheus_uint(p, overflow);
}


uint32_t
agg_metrics_result(const uint8_t *name, size_t len)
{
    return agg_metrics_word(agg_metrics_results, name, len);
}


/* ignores the case of letters */

static uint32_t
agg_metrics_word(const char *const *words, const uint8_t *name, size_t len)
{
    size_t    i;
    uint32_t  n;

    for (n = 1; words[n]; n++) {

        for (i = 0; i < len && words[n][i] != '\0'; i++) {
            if ((name[i] | 0x20) != words[n][i]) {
                break;
            }
        }

        if (i == len && words[n][i] == '\0') {
            return n;
        }
    }

    return 0;
}
