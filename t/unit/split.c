
/*
 * Splits: shares, ramps, and the rules of "abort" against what they promise,
 * by simulation.
 *
 * sources: route/agg_split.c
 * libs: -lm
 */

#include <math.h>

#include "agg_split.h"
#include "breaker_check.h"


#define SIZE  (sizeof(agg_split_t) + 8 * sizeof(agg_split_version_t))


static agg_split_t       *s;
static agg_split_plan_t   plans[8];
static agg_split_rule_t   rule;


static unsigned
bucket_of(const char *salt, const char *key)
{
    return agg_split_bucket(agg_split_salt((const uint8_t *) salt,
                                           strlen(salt)),
                            (const uint8_t *) key, strlen(key));
}


static void
setup(unsigned n, uint32_t a, uint32_t b, uint32_t c)
{
    memset(s, 0, SIZE);
    memset(plans, 0, sizeof(plans));

    plans[1].percent = a;
    plans[2].percent = b;
    plans[3].percent = c;

    rule.on = 1;
    rule.errors = 0.05;
    rule.latency = 0;
    rule.min = 20;
    rule.window = 60000;

    agg_split_init(s, n, 1, plans, 1000);
}


static double
uniform(uint64_t *seed)
{
    return ((double) random32(seed) + 0.5) / 4294967296.0;
}


/* the exact keys that must move, and no others */

static void
test_monotone(void)
{
    char      key[20];
    unsigned  i, k, bucket, before, after, moved, must;

    static const uint32_t  shares[] = {
        0, 1, 100, 500, 1250, 2500, 5000, 7500, 9999, 10000
    };

    for (k = 0; k + 1 < sizeof(shares) / sizeof(shares[0]); k++) {

        moved = 0;
        must = 0;

        for (i = 0; i < 100000; i++) {
            snprintf(key, sizeof(key), "user-%u", i);
            bucket = bucket_of("pool", key);

            setup(2, shares[k], 0, 0);
            s->nversions = 2;
            before = agg_split_pick(s, bucket);
            s->versions[1].percent = shares[k + 1];
            after = agg_split_pick(s, bucket);

            moved += (before != after);
            must += (bucket >= shares[k] && bucket < shares[k + 1]);

            check(!(before == 1 && after == 0), "nobody loses it");
        }

        check(moved == must, "%u of %u", moved, must);
    }

    /* all versions have their share, whatever their number */

    setup(5, 1000, 2000, 3000);
    s->versions[4].percent = 500;

    {
        unsigned  n[5] = { 0 };

        for (i = 0; i < AGG_SPLIT_FULL; i++) {
            n[agg_split_pick(s, i)]++;
        }

        check(n[0] == 3500 && n[1] == 1000 && n[2] == 2000 && n[3] == 3000
              && n[4] == 500, "exact");
    }

    check(agg_split_pick(s, 0) == 1 && agg_split_pick(s, 9999) == 2
          && agg_split_pick(s, 1000) == 3 && agg_split_pick(s, 7999) == 4,
          "from both ends");

    /* another version keeps its keys when the first grows */

    setup(3, 1000, 1000, 0);

    for (i = 0; i < AGG_SPLIT_FULL; i++) {
        before = agg_split_pick(s, i);
        s->versions[1].percent = 9000;
        after = agg_split_pick(s, i);
        s->versions[1].percent = 1000;
        check(before != 2 || after == 2, "%u", i);
    }
}


/* two salts, a hundred cells, chi-squared with 81 degrees of freedom */

static void
test_independent(void)
{
    char      key[20];
    double    chi, d;
    unsigned  i, k, n[10][10];

    memset(n, 0, sizeof(n));

    for (i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "%u", i * 7919);
        n[bucket_of("a", key) / 1000][bucket_of("b", key) / 1000]++;
    }

    chi = 0;

    for (i = 0; i < 10; i++) {
        for (k = 0; k < 10; k++) {
            d = (double) n[i][k] - 1000;
            chi += d * d / 1000;
        }
    }

    check(chi < 160, "%f", chi);

    /* the same on every node, for ever */

    check(bucket_of("pool", "alice") == 5646, "%u",
          bucket_of("pool", "alice"));
}


static void
calls(unsigned version, unsigned n, unsigned errors, uint64_t time,
    uint64_t now)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        agg_split_count(s, version, AGG_SPLIT_SHARE, i < errors, time, &rule,
                        now);
    }
}


static void
test_ramp(void)
{
    unsigned           n;
    uint64_t           now;
    agg_split_event_t  e[8];

    setup(2, 100, 0, 0);
    plans[1].nsteps = 3;
    plans[1].steps[0] = 100;
    plans[1].steps[1] = 2500;
    plans[1].steps[2] = 10000;
    plans[1].every = 10000;
    agg_split_init(s, 2, 1, plans, 1000);

    check(s->versions[1].state == AGG_SPLIT_RAMPING, "ramping");

    now = 11000;
    n = agg_split_look(s, plans, &rule, now, e);
    check(n == 0 && s->versions[1].state == AGG_SPLIT_WAITING, "no traffic");
    check(s->versions[1].percent == 100, "no step");
    check(agg_split_look(s, plans, &rule, now + 999, e) == 0, "too early");

    calls(1, 20, 0, 5, now);
    n = agg_split_look(s, plans, &rule, now += 1000, e);
    check(n == 1 && e[0].to == 2500 && e[0].state == AGG_SPLIT_RAMPING, "step");

    check(agg_split_pause(s, 1, now) == 0, "paused");
    calls(1, 20, 0, 5, now);
    n = agg_split_look(s, plans, &rule, now += 60000, e);
    check(n == 0 && s->versions[1].state == AGG_SPLIT_PAUSED, "no step");
    check(agg_split_pause(s, 1, now) == -1, "once");
    check(agg_split_resume(s, 1, &plans[1], now) == 0, "resumed");
    check(s->versions[1].percent == 2500, "where it was");

    calls(1, 20, 0, 5, now);
    n = agg_split_look(s, plans, &rule, now += 10000, e);
    check(n == 1 && e[0].state == AGG_SPLIT_PROMOTED && e[0].to == 10000,
          "promoted");
    check(agg_split_whole(s) == 1, "whole");

    /* the default has no calls: its last window that had them, or none */

    calls(1, 60, 60, 5, now);
    n = agg_split_look(s, plans, &rule, now += 1000, e);
    check(n == 1 && e[0].state == AGG_SPLIT_ABORTED && e[0].to == 0
          && e[0].from == 10000 && e[0].why == AGG_SPLIT_WHY_ERRORS, "aborted");
    check(agg_split_look(s, plans, &rule, now += 100000, e) == 0, "for good");

    check(agg_split_resume(s, 1, &plans[1], now) == 0, "resumed");
    check(s->versions[1].percent == 10000, "its last step");
    check(agg_split_look(s, plans, &rule, now += 1000, e) == 0, "empty window");

    check(agg_split_set(s, 1, 1250, now) == 0, "by hand");
    check(s->versions[1].state == AGG_SPLIT_MANUAL, "manual");
    check(agg_split_look(s, plans, &rule, now += 100000, e) == 0, "no ramp");
    check(agg_split_reset(s, 1, &plans[1], now) == 0, "reset");
    check(s->versions[1].percent == 100 && s->versions[1].step == 0, "anew");

    /* without "abort" time alone counts */

    rule.on = 0;
    n = agg_split_look(s, plans, &rule, now += 10000, e);
    check(n == 1 && e[0].to == 2500, "a step");

    /* shares of others leave no room */

    setup(3, 100, 5000, 0);
    check(agg_split_set(s, 1, 5001, now) == -1, "over 100 %%");
    check(agg_split_set(s, 1, 5000, now) == 0, "just 100 %%");
}


static void
test_forced(void)
{
    unsigned           i;
    agg_split_event_t  e[8];

    setup(2, 500, 0, 0);

    for (i = 0; i < 100; i++) {
        agg_split_count(s, 1, AGG_SPLIT_HEADER, 1, 5, &rule, 2000);
        agg_split_count(s, 1, AGG_SPLIT_COOKIE, 1, 5, &rule, 2000);
    }

    check(agg_split_look(s, plans, &rule, 3000, e) == 0, "no sample");
    check(s->versions[1].requests[AGG_SPLIT_HEADER] == 100
          && s->versions[1].errors == 200, "counted");
}


/* a second of the service: calls by share, errors by rate */

static unsigned
second(uint64_t *seed, double rate, double share, const double *errors,
    const double *times, uint64_t now, agg_split_event_t *e)
{
    double    n, time;
    unsigned  version;

    for (n = rate; n > 0; n--) {

        if (n < 1 && uniform(seed) > n) {
            break;
        }

        version = (uniform(seed) < share);

        /* log-normal by two uniform ones: a long tail */

        time = times[version] * exp(0.5 * sqrt(-2 * log(uniform(seed)))
                                    * cos(6.2831853 * uniform(seed)));

        agg_split_count(s, version, AGG_SPLIT_SHARE,
                        uniform(seed) < errors[version], (uint64_t) time,
                        &rule, now);
    }

    return agg_split_look(s, plans, &rule, now, e);
}


/* hours without a false abort, for an equal version */

static void
test_equal(void)
{
    double             errors[2], times[2];
    unsigned           i, k, n, aborts;
    uint64_t           seed, now;
    agg_split_event_t  e[8];

    static const double  rates[] = { 0, 0.01, 0.05, 0.2 };
    static const double  loads[] = { 5, 50 };

    seed = 20240229;
    aborts = 0;
    times[0] = times[1] = 50;

    /* 200 hours in all */

    for (i = 0; i < 4; i++) {
        for (k = 0; k < 2; k++) {

            setup(2, 1000, 0, 0);
            rule.latency = 1.5;
            errors[0] = errors[1] = rates[i];
            now = 1000;

            for (n = 0; n < 25 * 3600; n++) {
                now += 1000;

                if (second(&seed, loads[k], 0.1, errors, times, now, e)) {
                    aborts++;
                    (void) agg_split_resume(s, 1, &plans[1], now);
                }
            }
        }
    }

    check(aborts <= 1, "%u false aborts in 200 hours", aborts);
}


/* seconds until a bad one is found, the worst of several runs */

static unsigned
found(double rate, double share, double bad, double time, double latency)
{
    double             errors[2], times[2];
    unsigned           i, n, worst;
    uint64_t           seed, now;
    agg_split_event_t  e[8];

    worst = 0;

    for (i = 0; i < 20; i++) {

        seed = 77 + i;
        setup(2, (uint32_t) (share * AGG_SPLIT_FULL), 0, 0);
        rule.latency = latency;
        errors[0] = 0;
        errors[1] = bad;
        times[0] = 50;
        times[1] = time;
        now = 1000;

        /* the default is there already, the version is new */

        for (n = 0; n < 120; n++) {
            second(&seed, rate, 0, errors, times, now += 1000, e);
        }

        for (n = 1; n < 600; n++) {
            if (second(&seed, rate, share, errors, times, now += 1000, e)) {
                break;
            }
        }

        worst = (n > worst) ? n : worst;
    }

    return worst;
}


static void
test_bad(void)
{
    unsigned  n;

    /* so many calls a second of the version itself */

    n = found(10, 0.5, 0.5, 50, 0);
    check(n <= 10, "50 %% errors at 5 calls a second: %u s", n);

    n = found(100, 0.5, 0.1, 50, 0);
    check(n <= 30, "10 %% errors at 50 calls a second: %u s", n);

    n = found(100, 0.5, 0, 150, 1.5);
    check(n <= 10, "three times slower at 50 calls a second: %u s", n);

    n = found(100, 0.5, 0, 50, 1.5);
    check(n == 600, "not slower: %u s", n);
}


static void
test_window(void)
{
    unsigned         i;
    agg_split_sum_t  sum;

    setup(2, 500, 0, 0);

    calls(0, 100, 3, 10, 2000);
    calls(0, 100, 3, 20, 32000);
    agg_split_window_sum(&s->versions[0].window, rule.window, 32000, &sum);
    check(sum.calls == 200 && sum.errors == 6, "all");
    agg_split_window_sum(&s->versions[0].window, rule.window, 63000, &sum);
    check(sum.calls == 100, "half");
    agg_split_window_sum(&s->versions[0].window, rule.window, 200000, &sum);
    check(sum.calls == 0, "none");
    agg_split_window_sum(&s->versions[0].window, rule.window, 31000, &sum);
    check(sum.calls == 200, "a clock behind");

    setup(2, 500, 0, 0);

    for (i = 1; i <= 1000; i++) {
        calls(0, 1, 0, i, 2000);
    }

    agg_split_window_sum(&s->versions[0].window, rule.window, 2000, &sum);
    check(fabs(agg_split_percentile(&sum, 0.5) - 500) < 20, "median %f",
          agg_split_percentile(&sum, 0.5));
    check(fabs(agg_split_percentile(&sum, 0.95) - 950) < 40, "p95 %f",
          agg_split_percentile(&sum, 0.95));

    calls(0, 5, 0, UINT64_MAX, 2000);
    calls(0, 5, 0, 0, 2000);

    check(fabs(agg_split_wilson(0, 20, 0)) < 1e-9, "0 of 20, lower");
    check(fabs(agg_split_wilson(0, 20, 1) - 0.310) < 0.001, "0 of 20, upper");
    check(fabs(agg_split_wilson(10, 20, 0) - 0.221) < 0.01, "10 of 20, lower");
}


int
main(void)
{
    s = malloc(SIZE);

    test_monotone();
    test_independent();
    test_window();
    test_ramp();
    test_forced();
    test_bad();
    test_equal();

    free(s);

    printf("ok split: %lu checks\n", checks);

    return 0;
}
