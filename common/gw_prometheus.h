
/*
 * Series in Prometheus' text format 0.0.4 and in OpenMetrics 1.0, written by
 * family as both want it: the head of a family once, then all its samples.
 *
 *     gw_prometheus_init(&p, out, openmetrics);
 *
 *     gw_prometheus_family(&p, "gateway_requests", GW_COUNTER, "Requests.");
 *     gw_prometheus_sample(&p, NULL);
 *     gw_prometheus_label(&p, "route", route.data, route.len);
 *     gw_prometheus_uint(&p, n);
 *
 *     gw_prometheus_end(&p);
 *
 * A counter's name is given without its "_total", which the writer adds where
 * the format has it.  Values are integers or decimal fractions of them: no
 * double is printed, and none is rounded.
 */


#ifndef _GW_PROMETHEUS_H_INCLUDED_
#define _GW_PROMETHEUS_H_INCLUDED_


#include "gw_out.h"


#pragma GCC visibility push(hidden)


#define GW_PROMETHEUS_TEXT                                                    \
    "text/plain; version=0.0.4; charset=utf-8"
#define GW_PROMETHEUS_OPENMETRICS                                             \
    "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* the maximum length of a label's value, unless p->max is changed */

#define GW_PROMETHEUS_VALUE  128


typedef enum {
    GW_COUNTER = 0,
    GW_GAUGE,
    GW_HISTOGRAM
} gw_prometheus_e;


typedef struct {
    gw_out_t         *out;
    const char       *family;
    gw_prometheus_e   type;
    size_t            max;         /* bytes of a label's value */
    unsigned          openmetrics:1;
    unsigned          labels:1;    /* the sample has one */
    unsigned          value:1;     /* the line of a sample is to be ended */
} gw_prometheus_t;


/* writes to out, whose "failed" tells of errors */
void gw_prometheus_init(gw_prometheus_t *p, gw_out_t *out, int openmetrics);

/*
 * Starts a family; both strings must live until the next one.  The same name,
 * by its pointer, continues the family.
 */
void gw_prometheus_family(gw_prometheus_t *p, const char *name,
    gw_prometheus_e type, const char *help);

/*
 * starts a sample; suffix: NULL, or "bucket", "sum" or "count" of a histogram
 */
void gw_prometheus_sample(gw_prometheus_t *p, const char *suffix);

/* a label of the sample; the value may be any bytes */
void gw_prometheus_label(gw_prometheus_t *p, const char *name,
    const uint8_t *value, size_t len);

/* the bound of a bucket, n / 10^digits, and that of the last bucket */
void gw_prometheus_le(gw_prometheus_t *p, uint64_t n, unsigned digits);
void gw_prometheus_le_inf(gw_prometheus_t *p);

/* the value of a sample, after its labels: n, or n / 10^digits */
void gw_prometheus_uint(gw_prometheus_t *p, uint64_t n);
void gw_prometheus_decimal(gw_prometheus_t *p, uint64_t n, unsigned digits);

/*
 * An exemplar after the value of a bucket or a counter.  The labels are written
 * as above, with up to 128 characters of names and values; the value is n /
 * 10^digits, and ms is the time in milliseconds since the epoch.  The text
 * format has no exemplars.
 */
void gw_prometheus_exemplar(gw_prometheus_t *p, const uint8_t *labels,
    size_t len, uint64_t n, unsigned digits, uint64_t ms);

/* ends the last line, and in OpenMetrics the page */
void gw_prometheus_end(gw_prometheus_t *p);


#pragma GCC visibility pop


#endif /* _GW_PROMETHEUS_H_INCLUDED_ */
