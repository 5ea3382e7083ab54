
/*
 * A ring of ten slots, one for each second: slots that are older than the
 * window at a given time are cleared, ten at most.  The slots are zero at
 * first.  There are no allocations and no clock; a time before the newest slot
 * counts in that slot.
 *
 * Source: Dean and Barroso, "The Tail at Scale", 2013 (hedged requests).
 */

#include <string.h>

#include "agg_hedge.h"


static unsigned agg_hedge_slot(agg_hedge_t *h, uint64_t now);


void
agg_hedge_call(agg_hedge_t *h, uint64_t now)
{
    h->calls[agg_hedge_slot(h, now)]++;
}


int
agg_hedge_take(agg_hedge_t *h, uint64_t now, unsigned percent)
{
    uint64_t  calls, hedges;
    unsigned  i, slot;

    slot = agg_hedge_slot(h, now);

    calls = 0;
    hedges = 1;

    for (i = 0; i < AGG_HEDGE_SECONDS; i++) {
        calls += h->calls[i];
        hedges += h->hedges[i];
    }

    if (hedges * 100 > calls * percent) {
        return 0;
    }

    h->hedges[slot]++;

    return 1;
}


static unsigned
agg_hedge_slot(agg_hedge_t *h, uint64_t now)
{
    uint64_t  second;
    unsigned  slot;

    second = now / 1000;

    if (second >= h->second + AGG_HEDGE_SECONDS) {
        memset(h, 0, sizeof(agg_hedge_t));
        h->second = second;
    }

    while (h->second < second) {
        h->second++;

        slot = (unsigned) (h->second % AGG_HEDGE_SECONDS);

        h->calls[slot] = 0;
        h->hedges[slot] = 0;
    }

    return (unsigned) (h->second % AGG_HEDGE_SECONDS);
}
