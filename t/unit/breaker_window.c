
/*
 * The sliding window against a list of timestamps.
 *
 * sources: brk_window.c
 */

#include "brk_window.h"
#include "breaker_check.h"


#define EVENTS  4096


typedef struct {
    brk_msec_t  time;
    unsigned    failure;
    unsigned    slow;
} event_t;


/* a list of all calls since the window began at "anchor" */

typedef struct {
    brk_msec_t  anchor;
    brk_msec_t  newest;
    brk_msec_t  width;
    unsigned    n;
    event_t     events[EVENTS];
} list_t;


static uint64_t
slice_of(list_t *l, brk_msec_t time)
{
    return (time - l->anchor) / l->width;
}


static void
list_add(list_t *l, unsigned failure, unsigned slow, brk_msec_t now)
{
    event_t  *e;

    if (slice_of(l, now) - slice_of(l, l->newest) >= BRK_SLICES) {
        l->anchor = now;
        l->n = 0;
    }

    l->newest = now;
    e = &l->events[l->n++];
    e->time = now;
    e->failure = failure;
    e->slow = slow;
}


static void
list_sum(list_t *l, brk_msec_t now, brk_sum_t *sum)
{
    unsigned  i;
    event_t  *e;

    memset(sum, 0, sizeof(brk_sum_t));

    for (i = 0; i < l->n; i++) {
        e = &l->events[i];

        if (slice_of(l, now) - slice_of(l, e->time) < BRK_SLICES) {
            sum->calls++;
            sum->failures += e->failure;
            sum->slow += e->slow;
        }
    }
}


/* the count of an ideal window that slides by the millisecond */

static uint64_t
calls_since(list_t *l, brk_msec_t now, brk_msec_t time)
{
    unsigned  i;
    uint64_t  n;

    for (i = 0, n = 0; i < l->n; i++) {
        n += (now - l->events[i].time < time);
    }

    return n;
}


static void
test_model(uint64_t seed, brk_msec_t base)
{
    unsigned         i, steps, failure, slow;
    brk_msec_t       now, length;
    brk_sum_t        sum, expected;
    brk_window_t     w;
    static list_t    l;

    static const brk_msec_t  lengths[] = { 10, 100, 1000, 10000, 60000 };

    length = lengths[below(&seed, 5)];
    now = base;

    memset(&w, 0, sizeof(brk_window_t));
    brk_window_fit(&w, length, now);

    l.n = 0;
    l.anchor = l.newest = now;
    l.width = length / BRK_SLICES;

    steps = 2000;

    for (i = 0; i < steps; i++) {

        switch (below(&seed, 8)) {

        case 0:
            now += below(&seed, (uint32_t) length / 5 + 2);
            break;

        case 1:
            now += below(&seed, (uint32_t) length / 50 + 2);
            break;

        case 2:
            if (below(&seed, 50) == 0) {
                now += below(&seed, (uint32_t) length * 3);
            }
            break;

        default:
            failure = below(&seed, 2);
            slow = below(&seed, 3) == 0;
            brk_window_add(&w, failure, slow, now);
            list_add(&l, failure, slow, now);
        }

        brk_window_sum(&w, now, &sum);
        list_sum(&l, now, &expected);

        check(memcmp(&sum, &expected, sizeof(brk_sum_t)) == 0,
              "step %u: %lu/%lu/%lu, not %lu/%lu/%lu", i,
              (long) sum.calls, (long) sum.failures, (long) sum.slow,
              (long) expected.calls, (long) expected.failures,
              (long) expected.slow);

        check(sum.failures <= sum.calls && sum.slow <= sum.calls, "parts");

        check(sum.calls >= calls_since(&l, now, length - l.width),
              "the last nine tenths are in it");
        check(sum.calls <= calls_since(&l, now, length), "and no older ones");
    }
}


static void
test_clock(void)
{
    brk_sum_t     sum;
    brk_msec_t    now;
    brk_window_t  w;

    memset(&w, 0, sizeof(brk_window_t));

    brk_window_sum(&w, 5, &sum);
    check(sum.calls == 0, "an unused window is empty");

    now = 100000;
    brk_window_fit(&w, 1000, now);
    brk_window_add(&w, 1, 0, now);

    /* another worker's clock is behind, by up to the window */

    brk_window_add(&w, 1, 0, now - 900);
    brk_window_sum(&w, now - 900, &sum);
    check(sum.calls == 2 && sum.failures == 2, "a clock behind");
    brk_window_sum(&w, now, &sum);
    check(sum.calls == 2, "seen by the one ahead");

    /* a jump back of more than the window */

    brk_window_sum(&w, now - 1001, &sum);
    check(sum.calls == 0, "a jump back empties it");
    brk_window_add(&w, 0, 1, now - 5000);
    brk_window_sum(&w, now - 5000, &sum);
    check(sum.calls == 1 && sum.slow == 1, "and it goes on");

    /* the extremes */

    brk_window_add(&w, 1, 1, UINT64_MAX);
    brk_window_add(&w, 1, 1, 0);
    brk_window_sum(&w, 0, &sum);
    check(sum.calls == 2, "over the wrap: %lu", (long) sum.calls);
    brk_window_add(&w, 1, 1, (uint64_t) 1 << 63);
    brk_window_sum(&w, (uint64_t) 1 << 63, &sum);
    check(sum.calls == 1, "half way round");
}


static void
test_fit(void)
{
    uint64_t      seed;
    unsigned      i;
    brk_sum_t     sum;
    brk_msec_t    now, length;
    brk_window_t  w;

    now = 1000;
    memset(&w, 0, sizeof(brk_window_t));
    brk_window_fit(&w, 10000, now);

    for (i = 0; i < 10; i++) {
        brk_window_add(&w, 1, 0, now + i * 1000);
    }

    now += 9000;

    brk_window_fit(&w, 20000, now);
    brk_window_sum(&w, now, &sum);
    check(sum.calls == 10 && sum.failures == 10, "a longer one keeps all");

    brk_window_fit(&w, 2000, now);
    brk_window_sum(&w, now, &sum);
    check(sum.calls > 0 && sum.calls < 10, "a shorter one keeps the last");

    brk_window_sum(&w, now + 2000, &sum);
    check(sum.calls == 0, "and for its own time only");

    /* two workers with two lengths: no call lives longer than the longest */

    seed = 7;
    memset(&w, 0, sizeof(brk_window_t));
    brk_window_fit(&w, 10000, now);
    brk_window_add(&w, 1, 0, now);

    for (i = 0; i <= 10000; i += 100) {
        length = below(&seed, 2) ? 10000 : 3000;
        brk_window_fit(&w, length, now + i);
    }

    brk_window_sum(&w, now + 10000, &sum);
    check(sum.calls == 0, "no call is kept alive");

    /* a killed writer */

    memset(&w, 0xff, sizeof(brk_window_t));
    w.slices[3].calls = 1;
    brk_window_repair(&w);
    check(w.head < BRK_SLICES && w.slices[3].failures == 1
          && w.slices[3].slow == 1, "repaired");
}


int
main(void)
{
    uint64_t  seed;

    for (seed = 1; seed <= 60; seed++) {
        test_model(seed * 0x9e3779b97f4a7c15ull, 1000000);
    }

    test_model(1, 0xffffffffull - 5000);
    test_model(2, UINT64_MAX - 5000);
    test_model(3, ((uint64_t) 1 << 63) - 5000);

    test_clock();
    test_fit();

    printf("ok breaker_window: %lu checks\n", checks);

    return 0;
}
