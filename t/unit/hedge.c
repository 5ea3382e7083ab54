
/*
 * The budget of hedged requests against a slow reference, by random walks.
 *
 * sources: fetch/agg_hedge.c
 */

#include "agg_hedge.h"
#include "breaker_check.h"


#define EVENTS  4000


static struct {
    uint64_t  time;
    int       hedge;
} events[EVENTS];

static unsigned  nevents;


/* those of the current second and of the nine before it */

static unsigned
within(uint64_t now, int hedge)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < nevents; i++) {
        n += events[i].hedge == hedge
             && events[i].time / 1000 + AGG_HEDGE_SECONDS > now / 1000;
    }

    return n;
}


static void
walk(uint64_t seed, unsigned percent)
{
    int          got, wanted;
    uint64_t     now;
    agg_hedge_t  h;

    memset(&h, 0, sizeof(agg_hedge_t));
    nevents = 0;
    now = random32(&seed) % 2 ? 0 : (uint64_t) random32(&seed) << 8;

    while (nevents < EVENTS) {

        switch (random32(&seed) % 16) {
        case 0:
            now += random32(&seed) % 3000;
            break;
        case 1:
            now += (random32(&seed) % 64 == 0) ? 60000 : 0;
            break;
        default:
            now += random32(&seed) % 20;
        }

        if (random32(&seed) % 4) {
            agg_hedge_call(&h, now);
            events[nevents].time = now;
            events[nevents++].hedge = 0;
            continue;
        }

        wanted = (within(now, 1) + 1) * 100 <= within(now, 0) * percent;
        got = agg_hedge_take(&h, now, percent);

        check(got == wanted, "%u%%, event %u: %d", percent, nevents, got);

        if (got) {
            events[nevents].time = now;
            events[nevents++].hedge = 1;
        }
    }
}


static void
edges(void)
{
    unsigned     i;
    agg_hedge_t  h;

    memset(&h, 0, sizeof(agg_hedge_t));

    check(!agg_hedge_take(&h, 5000, 100), "no call");

    for (i = 0; i < 9; i++) {
        agg_hedge_call(&h, 5999);
    }

    check(!agg_hedge_take(&h, 5999, 10), "nine calls");

    agg_hedge_call(&h, 6000);

    check(agg_hedge_take(&h, 6000, 10), "ten calls");
    check(!agg_hedge_take(&h, 6000, 10), "once");
    check(agg_hedge_take(&h, 14999, 20), "the ninth second after");
    check(!agg_hedge_take(&h, 15000, 20), "the tenth");

    /* a time before the newest one */

    agg_hedge_call(&h, 3000);
    agg_hedge_call(&h, 3000);
    check(agg_hedge_take(&h, 3000, 100), "an earlier time");
}


int
main(void)
{
    uint64_t  seed;

    edges();

    for (seed = 1; seed <= 20; seed++) {
        walk(seed * 0x9e3779b97f4a7c15, (unsigned) (seed * 5));
    }

    printf("%lu checks\n", checks);

    return 0;
}
