
/*
 * The series of agg_metrics.h in the formats of Prometheus and OpenMetrics.  A
 * family without series has no lines.  Events that are counted meanwhile may be
 * included or not, but the count of a histogram is always that of its last
 * bucket.
 */


#ifndef AGG_METRICS_WRITE_H_INCLUDED
#define AGG_METRICS_WRITE_H_INCLUDED


#include "agg_metrics.h"
#include "gw_prometheus.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_METRICS_COMPLETE = 1,
    AGG_METRICS_PARTIAL,
    AGG_METRICS_FAILED
} agg_metrics_outcome_e;


typedef enum {
    AGG_METRICS_HIT = 1,
    AGG_METRICS_MISS,
    AGG_METRICS_STALE,
    AGG_METRICS_BYPASS,
    AGG_METRICS_REVALIDATED
} agg_metrics_result_e;


typedef struct {
    const char *const  *words;         /* names of statuses without code */
    uint32_t            nwords;
    int               (*alive)(int32_t pid);
} agg_metrics_names_t;


/* the number of a name in one of the lists above; 0: it is in none */
uint32_t agg_metrics_result(const uint8_t *name, size_t len);

/* writes all series; whether out had room is to be tested there */
void agg_metrics_write(agg_metrics_t *m, gw_prometheus_t *p,
    const agg_metrics_names_t *names);

/* the totals of the exporter and of the zone itself */
void agg_metrics_write_totals(agg_metrics_t *m, gw_prometheus_t *p,
    const agg_metrics_names_t *names);
void agg_metrics_write_zone(agg_metrics_t *m, gw_prometheus_t *p,
    const uint8_t *name, size_t len);


#pragma GCC visibility pop


#endif /* AGG_METRICS_WRITE_H_INCLUDED */
