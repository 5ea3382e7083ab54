
/*
 * The budget of hedged requests: the number of calls in the last ten seconds,
 * and how many of them were hedges.
 */


#ifndef AGG_HEDGE_H_INCLUDED
#define AGG_HEDGE_H_INCLUDED


#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_HEDGE_SECONDS  10


typedef struct {
    uint64_t   second;             /* the newest slot's */
    uint32_t   calls[AGG_HEDGE_SECONDS];
    uint32_t   hedges[AGG_HEDGE_SECONDS];
} agg_hedge_t;


/* counts a first call; the time is in milliseconds of a monotonic clock */

void agg_hedge_call(agg_hedge_t *h, uint64_t now);

/*
 * Whether another hedge is within "percent" of the calls of the last ten
 * seconds; if so, it is counted.
 */

int agg_hedge_take(agg_hedge_t *h, uint64_t now, unsigned percent);


#pragma GCC visibility pop


#endif /* AGG_HEDGE_H_INCLUDED */
