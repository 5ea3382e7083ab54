
/*
 * Series of metrics: lookups, limits, values of any bytes, processes, and many
 * writers at once.
 *
 * sources: metrics/agg_metrics.c metrics/agg_metrics_write.c
 * libs: -lpthread
 */

#include <pthread.h>
#include <string.h>

#include "agg_test.h"
#include "agg_metrics_write.h"


#define THREADS  4
#define ROUNDS   20000


static uint64_t  bounds[] = { 1000, 10000, 100000 };
static uint64_t  secret[] = { 1, 2 };
static int32_t   dead;

static __thread agg_metrics_known_t  known;


static int
alive(int32_t pid)
{
    return pid != dead;
}


static agg_metrics_t *
make(uint32_t series)
{
    void    *p;
    size_t   size;

    size = agg_metrics_size(series, 3, 4);
    p = malloc(size);
    memset(p, 0, size);
    memset(&known, 0, sizeof(known));

    return agg_metrics_init(p, series, bounds, 3, 4, secret);
}


static uint32_t
intern(agg_metrics_t *m, const char *text, int configured)
{
    return agg_metrics_intern(m, (const uint8_t *) text, strlen(text),
                              configured);
}


static uint64_t
total(agg_metrics_t *m, agg_metrics_family_e family)
{
    uint32_t  i, n;
    uint64_t  sum;

    sum = 0;

    for (i = 0; i < m->slots; i++) {

        if (m->tables[family].keys[i] == 0) {
            continue;
        }

        if (family >= AGG_METRICS_HISTOGRAMS) {
            sum += m->tables[family].data[i];
            continue;
        }

        for (n = 0; n <= m->nbuckets; n++) {
            sum += m->tables[family].data[i * agg_metrics_width(m) + 1 + n];
        }
    }

    return sum;
}


static void
test_text(void)
{
    size_t   len;
    uint8_t  dst[AGG_METRICS_TEXT], *p;
    unsigned i;

    static const struct {
        const char  *text;
        const char  *wanted;
    } cases[] = {
        { "", "" },
        { "plain", "plain" },
        { "a\"b\\c", "a\"b\\c" },
        { "a\nb", "a\\x0Ab" },
        { "\xc3\xa9", "\xc3\xa9" },
        { "\xc3", "\\xC3" },
        { "\xff\xfe", "\\xFF\\xFE" },
        { "\xc2\x85", "\\xC2\\x85" },
        { "\xc2\xa0", "\xc2\xa0" },
        { "\x7f", "\\x7F" },
        { "\xed\xa0\x80", "\\xED\\xA0\\x80" },
        { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        len = strlen(cases[i].text);
        p = exact(cases[i].text, len);
        len = agg_metrics_text(dst, p, len);
        free(p);

        check(len == strlen(cases[i].wanted)
              && memcmp(dst, cases[i].wanted, len) == 0,
              "case %u: %.*s", i, (int) len, (char *) dst);
    }

    p = malloc(1000);
    memset(p, 0xff, 1000);
    check(agg_metrics_text(dst, p, 1000) == 128, "cut between escapes");
    memset(p, 'a', 126);
    check(agg_metrics_text(dst, p, 1000) == 126, "an escape is whole or not");
    free(p);
}


static void
test_values(void)
{
    char            text[32];
    uint32_t        a, b, i, n;
    agg_metrics_t  *m;

    m = make(50);

    check(intern(m, "", 1) == AGG_METRICS_NONE, "empty");
    check(intern(m, "_other", 0) == AGG_METRICS_OTHER, "_other");
    check(intern(m, "_cache", 0) == AGG_METRICS_CACHE, "_cache");

    a = intern(m, "a", 0);
    b = intern(m, "b", 1);
    check(a > 4 && b > 4 && a != b, "two numbers");
    check(intern(m, "a", 0) == a && intern(m, "b", 0) == b, "the same again");

    /* a process died between the two halves */

    m->value[a - 1].len = 0;
    check(intern(m, "a", 0) == a && m->value[a - 1].len == 1, "mended");

    for (i = 0, n = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "flood%u", i);
        n += (intern(m, text, 0) == AGG_METRICS_OTHER);
    }

    check(n > 800, "a flood ends in _other: %u", n);

    for (i = 0; i < 10; i++) {
        snprintf(text, sizeof(text), "configured%u", i);
        check(intern(m, text, 1) != AGG_METRICS_OTHER, "room is kept");
    }

    free(m);
}


static void
test_series(void)
{
    int             full;
    char            text[32];
    uint32_t        a, i, route;
    agg_metrics_t  *m;

    m = make(50);
    agg_metrics_reserve(m, 2, 1);
    a = intern(m, "/a", 1);

    check(agg_metrics_count(m, &known, AGG_METRICS_REQUESTS, a, 200, 0, 3)
          == 0,
          "counted");
    check(total(m, AGG_METRICS_REQUESTS) == 3, "three");

    full = 0;

    for (i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "/x%u", i);
        route = intern(m, text, 0);
        full += agg_metrics_count(m, &known, AGG_METRICS_REQUESTS, route,
                                  200, 0, 1);
    }

    check(total(m, AGG_METRICS_REQUESTS) == 503, "none is lost");
    check(m->tables[AGG_METRICS_REQUESTS].used <= 50, "the limit");
    check(full > 0 || m->values_dynamic < 500, "it was full");

    for (i = 0; i < 8; i++) {
        check(agg_metrics_count(m, &known, AGG_METRICS_REQUESTS, a, 300 + i,
                                0, 1)
              == 0, "a configured route has its place");
    }

    /* until it has all of them, and then it is _other too */

    for (i = 0; i < 100; i++) {
        full = agg_metrics_count(m, &known, AGG_METRICS_REQUESTS, a, 400 + i,
                                 0, 1);
    }

    check(full && m->tables[AGG_METRICS_REQUESTS].overflow > 0, "full");
    check(total(m, AGG_METRICS_REQUESTS) == 503 + 108, "and none is lost");

    free(m);
}


static void
test_histogram(void)
{
    int32_t                 slot;
    uint32_t                a;
    uint64_t               *data, id[2] = { 7, 8 };
    agg_metrics_t          *m;
    agg_metrics_exemplar_t  e;

    m = make(50);
    a = intern(m, "/a", 1);

    (void) agg_metrics_observe(m, &known, 0, a, 2, 1000, NULL, 0, 0);
    (void) agg_metrics_observe(m, &known, 0, a, 2, 1001, id, 9, 10);
    (void) agg_metrics_observe(m, &known, 0, a, 2, 100000, NULL, 0, 0);
    (void) agg_metrics_observe(m, &known, 0, a, 2, 100001, NULL, 0, 0);

    slot = agg_metrics_add(m, 0, a, 2, 0);
    data = m->tables[0].data + slot * agg_metrics_width(m);

    check(data[0] == 202002, "sum");
    check(data[1] == 1 && data[2] == 1 && data[3] == 1 && data[4] == 1,
          "a bound is in its bucket");

    check(agg_metrics_exemplar(m, 0, slot, 1, &e) && e.duration == 1001
          && e.trace_id[1] == 8 && e.span_id == 9 && e.time == 10,
          "exemplar");
    check(!agg_metrics_exemplar(m, 0, slot, 0, &e), "no other");
    check(!agg_metrics_exemplar(m, 1, slot, 1, &e), "nor another family's");

    free(m);
}


static void
test_processes(void)
{
    int32_t                *cell;
    uint32_t                a, slot;
    agg_metrics_t          *m;
    agg_metrics_process_t  *one, *two, *p;

    m = make(50);
    dead = 0;
    a = intern(m, "/a", 1);

    one = agg_metrics_enter(m, 10, alive);
    two = agg_metrics_enter(m, 11, alive);
    check(one && two && one != two, "two processes");

    cell = agg_metrics_cell(m, &known, one, AGG_METRICS_REQUESTS_IN_FLIGHT, a);
    *cell += 2;
    *agg_metrics_cell(m, &known, two, AGG_METRICS_REQUESTS_IN_FLIGHT, a)
        += 1;
    *agg_metrics_cell(m, &known, two, AGG_METRICS_BACKEND_IN_FLIGHT, a) += 5;

    slot = (uint32_t) agg_metrics_add(m, AGG_METRICS_REQUESTS_IN_FLIGHT, a,
                                      0, 0);
    check(agg_metrics_gauge(m, AGG_METRICS_REQUESTS_IN_FLIGHT, slot, alive)
          == 3, "both");

    dead = 10;
    check(agg_metrics_gauge(m, AGG_METRICS_REQUESTS_IN_FLIGHT, slot, alive)
          == 1, "without the dead");

    agg_metrics_leave(m, two);
    check(agg_metrics_gauge(m, AGG_METRICS_REQUESTS_IN_FLIGHT, slot, alive)
          == 0, "nor those that left");

    dead = 0;
    check(agg_metrics_enter(m, 12, alive) == two, "a free place");
    check(agg_metrics_enter(m, 13, alive) != NULL, "and another");
    check(agg_metrics_enter(m, 14, alive) != NULL, "and the last");
    check(agg_metrics_enter(m, 15, alive) == NULL, "no place");
    check(agg_metrics_cell(m, &known, NULL, AGG_METRICS_REQUESTS_IN_FLIGHT, a)
          == NULL, "and no cell");

    dead = 10;
    p = agg_metrics_enter(m, 15, alive);
    check(p == one && *cell == 0, "that of a dead one, emptied");

    free(m);
}


static void *
worker(void *arg)
{
    char            text[32];
    uint32_t        i, route;
    agg_metrics_t  *m = arg;

    for (i = 0; i < ROUNDS; i++) {
        snprintf(text, sizeof(text), "/r%u", i % 300);
        route = intern(m, text, i % 2);

        (void) agg_metrics_count(m, &known, AGG_METRICS_REQUESTS, route,
                                 200 + i % 7, 0, 1);
        (void) agg_metrics_observe(m, &known, AGG_METRICS_REQUEST_DURATION,
                                   route, AGG_METRICS_NONE, i, NULL, 0, 0);
    }

    return NULL;
}


static void
test_threads(void)
{
    uint32_t        i, j;
    pthread_t       threads[THREADS];
    agg_metrics_t  *m;

    m = make(100);

    for (i = 0; i < THREADS; i++) {
        check(pthread_create(&threads[i], NULL, worker, m) == 0, "thread");
    }

    for (i = 0; i < THREADS; i++) {
        (void) pthread_join(threads[i], NULL);
    }

    check(total(m, AGG_METRICS_REQUESTS) == THREADS * ROUNDS, "none is lost");
    check(total(m, AGG_METRICS_REQUEST_DURATION) == THREADS * ROUNDS,
          "nor here");
    check(m->tables[AGG_METRICS_REQUESTS].used <= 100, "the limit");

    for (i = 0; i < m->slots; i++) {
        for (j = 0; j < i; j++) {
            check(m->tables[AGG_METRICS_REQUESTS].keys[i] == 0
                  || m->tables[AGG_METRICS_REQUESTS].keys[i]
                     != m->tables[AGG_METRICS_REQUESTS].keys[j],
                  "a key stands once");
        }
    }

    free(m);
}


static void
test_fit(void)
{
    uint32_t  n;

    n = agg_metrics_fit(100000, 14, 16);
    check(n > 0 && agg_metrics_size(n, 14, 16) <= 100000
          && agg_metrics_size(n + 1, 14, 16) > 100000, "fits: %u", n);
    check(agg_metrics_fit(1000, 14, 16) == 0, "nothing fits");
}


int
main(void)
{
    check(agg_metrics_result((const uint8_t *) "HIT", 3) == AGG_METRICS_HIT,
          "a name in any case");
    check(agg_metrics_result((const uint8_t *) "hi", 2) == 0, "a part of it");

    test_text();
    test_values();
    test_series();
    test_histogram();
    test_processes();
    test_threads();
    test_fit();

    finish("metrics_series");
    return 0;
}
