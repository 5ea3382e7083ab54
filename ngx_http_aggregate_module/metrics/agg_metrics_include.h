
/*
 * Prometheus text 0.0.4 of somebody else, as a part of a page of ours: it is
 * checked to the last byte, and written again in the format of the page.
 *
 * A text is refused if it is no exposition; if it has a family twice, or the
 * samples of a family in two places, or a family that is in the page already;
 * if there is no room for all of its families; or if a family may be one of
 * the page's own.  Time is linear in len, with one comparison for each pair of
 * families.
 */


#ifndef AGG_METRICS_INCLUDE_H_INCLUDED
#define AGG_METRICS_INCLUDE_H_INCLUDED


#include "gw_out.h"


#pragma GCC visibility push(hidden)


#define AGG_METRICS_SEEN  1024


/* families of a page; they point into texts that live as long as it */

typedef struct {
    size_t          n;
    struct {
        const uint8_t  *name;
        size_t          len;
    } family[AGG_METRICS_SEEN];
} agg_metrics_seen_t;


/*
 * 0: all of it was written; -1: nothing was.  Whether out had room is to be
 * tested there.  Without an out it is only looked at, and its families count
 * as seen.
 */
int agg_metrics_include(gw_out_t *out, int openmetrics,
    agg_metrics_seen_t *seen, const uint8_t *text, size_t len);


#pragma GCC visibility pop


#endif /* AGG_METRICS_INCLUDE_H_INCLUDED */
