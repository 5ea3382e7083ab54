
/*
 * Prometheus text 0.0.4 from another source becomes a part of our page: it is
 * validated completely, and written again in the format of the page.
 *
 * A text is refused if it is invalid, has a family twice, has the samples of a
 * family in two places, has a family that the page already has or may have
 * itself, or if there is no room for all of its families.  Time is linear in
 * len, with one comparison for each pair of families.
 *
 * A histogram x has the samples x_sum, x_count and x_bucket, and a summary the
 * first two of them; so another family cannot have one of these names.
 *
 * In OpenMetrics the family of the counter a_total is "a".  If there is another
 * family of that name, a_total is written as one of an unknown type, and a text
 * with "a" is refused after one with the counter.
 */


#ifndef AGG_METRICS_INCLUDE_H_INCLUDED
#define AGG_METRICS_INCLUDE_H_INCLUDED


#include "gw_out.h"


#pragma GCC visibility push(hidden)


#define AGG_METRICS_SEEN  1024


/* the families of a page; they point into texts that live as long */

typedef struct {
    size_t          n;
    struct {
        const uint8_t  *name;
        size_t          len;
        unsigned        counter:1;     /* whose name ends with "_total" */
        unsigned        suffixes:2;    /* the first ones, of its samples */
    } family[AGG_METRICS_SEEN];
} agg_metrics_seen_t;


/*
 * 0: the text was written; -1: nothing was.  Whether out has failed has to be
 * tested separately.  With out as NULL the text is validated, and its families
 * are added to "seen".
 */
int agg_metrics_include(gw_out_t *out, int openmetrics,
    agg_metrics_seen_t *seen, const uint8_t *text, size_t len);


#pragma GCC visibility pop


#endif /* AGG_METRICS_INCLUDE_H_INCLUDED */
