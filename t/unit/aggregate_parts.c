
/*
 * Cycles of dependencies, Cache-Control of an answer, members that meet.
 *
 * sources: aggregate/agg_graph.c
 * sources: aggregate/agg_merge.c json/agg_json.c json/agg_path.c
 * sources: json/agg_scan.c json/agg_write.c
 */

#include "agg_freshness.h"
#include "agg_graph.h"
#include "agg_merge.h"
#include "aggregate_check.h"


static agg_str_t
str(const char *s)
{
    agg_str_t  v;

    v.data = (unsigned char *) s;
    v.len = strlen(s);

    return v;
}


/* random graphs: a cycle that is found is one, and none is missed */

static void
check_graph(void)
{
    char           detail[32];
    size_t         n, i, k, m, length, work[20], reach;
    unsigned       round, seed;
    unsigned char  needs[100], all[100];

    seed = 1;

    for (round = 0; round < 2000; round++) {
        snprintf(detail, sizeof(detail), "round %u", round);

        seed = seed * 1103515245 + 12345;
        n = 1 + (seed >> 16) % 8;

        for (i = 0; i < n * n; i++) {
            seed = seed * 1103515245 + 12345;
            needs[i] = (seed >> 16) % 6 == 0;
        }

        memcpy(all, needs, n * n);

        for (m = 0; m < n; m++) {
            for (i = 0; i < n; i++) {
                for (k = 0; k < n; k++) {
                    all[i * n + k] |= all[i * n + m] & all[m * n + k];
                }
            }
        }

        for (reach = 0, i = 0; i < n; i++) {
            reach |= all[i * n + i];
        }

        length = agg_graph_cycle(needs, n, work);

        check((length != 0) == (reach != 0), "cycle", detail);

        for (i = 0; i < length; i++) {
            check(needs[work[i] * n + work[(i + 1) % length]], "edge", detail);
        }
    }
}


typedef struct {
    const char  *first;
    long         first_age;
    const char  *second;        /* NULL: one response only */
    const char  *result;
} freshness_t;


static const freshness_t  freshness[] = {
    { "max-age=60", 0, NULL, "max-age=60" },
    { "max-age=60", 10, NULL, "max-age=50" },
    { "max-age=60", 100, NULL, "max-age=0" },
    { "max-age=60", 0, "max-age=30", "max-age=30" },
    { "max-age=60", 0, "", "" },
    { "", 0, NULL, "" },
    { "max-age=60, private", 0, "max-age=90", "max-age=60, private" },
    { "no-store", 0, "max-age=90", "no-store" },
    { "no-cache", 0, "max-age=90, must-revalidate",
      "no-cache, must-revalidate" },
    { "MAX-AGE=5,Private", 0, NULL, "max-age=5, private" },
    { "max-age=\"7\"", 0, NULL, "max-age=7" },
    { "max-age=x", 0, NULL, "max-age=0" },
    { "max-age", 0, NULL, "max-age=0" },
    { "max-age=-1", 0, NULL, "max-age=0" },
    { "max-age=99999999999999999999", 0, NULL, "max-age=2147483647" },
    { "private=\"a, max-age=5\", max-age=9", 0, NULL, "max-age=9, private" },
    { "s-maxage=10, max-age=60", 0, NULL, "max-age=60, s-maxage=10" },
    { "s-maxage=10, max-age=60", 0, "max-age=5", "max-age=5" },
    { "s-maxage=10, max-age=60", 0, "max-age=20", "max-age=20, s-maxage=10" },
    { "max-age=10, max-age=5", 0, NULL, "max-age=5" },
    { ",, ,max-age=1,,", 0, NULL, "max-age=1" },
    { "a=\"b\\\"c, private\", public", 0, NULL, "" },
    { "\"", 0, NULL, "max-age=0" },
    { NULL, 0, NULL, NULL }
};


static void
check_freshness(void)
{
    size_t              n;
    unsigned char       text[AGG_FRESHNESS_SIZE];
    agg_freshness_t     all, f;
    const freshness_t  *t;

    for (t = freshness; t->first != NULL; t++) {

        agg_freshness_init(&f);
        agg_cache_control_parse(&f.control, (const u_char *) t->first,
                                strlen(t->first));
        f.age = t->first_age;
        agg_freshness_merge(&all, &f, 1);

        if (t->second != NULL) {
            agg_freshness_init(&f);
            agg_cache_control_parse(&f.control, (const u_char *) t->second,
                                    strlen(t->second));
            agg_freshness_merge(&all, &f, 0);
        }

        n = agg_freshness_write(&all, text);

        check(n == strlen(t->result) && memcmp(text, t->result, n) == 0,
              t->first, (char *) text);
    }

    agg_freshness_init(&f);
    f.expires = 20;
    f.age = 5;
    agg_freshness_merge(&all, &f, 1);
    n = agg_freshness_write(&all, text);
    check(n == 10 && memcmp(text, "max-age=15", 10) == 0, "Expires",
          (char *) text);
}


static const uint64_t  key[2] = { 0x0706050403020100ULL,
                                  0x0f0e0d0c0b0a0908ULL };


static void
check_policies(void)
{
    agg_str_t    a, b, name;
    agg_merge_t  m;

    a = str("{\"x\":1,\"y\":2,\"x\":3}");
    b = str("{\"\\u0078\":4,\"z\":5}");
    name = str("x");

    agg_merge_init(&m, AGG_MERGE_LAST, key, &mem);
    check(agg_merge_add(&m, 0, NULL, &a) == AGG_OK, "add", "last");
    check(agg_merge_add(&m, 1, NULL, &b) == AGG_OK, "add", "last");
    check(!agg_merge_owns(&m, 0, &name), "last", "0");
    check(agg_merge_owns(&m, 1, &name), "last", "1");

    agg_merge_init(&m, AGG_MERGE_FIRST, key, &mem);
    agg_merge_add(&m, 0, NULL, &a);
    agg_merge_add(&m, 1, NULL, &b);
    agg_merge_add(&m, 2, &name, NULL);
    check(agg_merge_owns(&m, 0, &name), "first", "0");
    check(!agg_merge_owns(&m, 1, &name), "first", "1");
    check(!agg_merge_owns(&m, 2, &name), "first", "2");

    agg_merge_init(&m, AGG_MERGE_ERROR, key, &mem);
    check(agg_merge_add(&m, 0, NULL, &a) == AGG_OK, "error", "0");
    check(agg_merge_add(&m, 1, NULL, &b) == AGG_INVALID, "error", "1");
    check(agg_merge_add(&m, 2, &name, NULL) == AGG_INVALID, "error", "2");

    name = str("z");
    check(!agg_merge_owns(&m, 1, &name), "error", "nothing added");
    check(agg_merge_add(&m, 2, &name, NULL) == AGG_OK, "error", "z");

    test_free();
}


/* many names, in many tables, and every allocation failing once */

static void
check_many_names(void)
{
    int           n;
    char         *p, *text;
    long          i;
    agg_rc_e      rc;
    agg_str_t     object, name;
    agg_merge_t   m;

    text = malloc(20 * 1000 + 3);
    p = text;
    *p++ = '{';

    for (i = 0; i < 1000; i++) {
        n = sprintf(p, "%s\"name\\u0030%ld\":1", i ? "," : "", i);
        p += n;
    }

    *p++ = '}';

    object.data = (unsigned char *) text;
    object.len = (size_t) (p - text);

    agg_merge_init(&m, AGG_MERGE_LAST, key, &mem);
    check(agg_merge_add(&m, 0, NULL, &object) == AGG_OK, "many", "added");

    name = str("name0999");
    check(agg_merge_owns(&m, 0, &name), "many", "last");

    name = str("name00");
    check(agg_merge_owns(&m, 0, &name), "many", "first");

    name = str("name01000");
    check(!agg_merge_owns(&m, 0, &name), "many", "none");

    test_free();

    for (i = 0; i < 100; i++) {
        allocations = i;
        rc = agg_merge_init(&m, AGG_MERGE_LAST, key, &mem);

        if (rc == AGG_OK) {
            rc = agg_merge_add(&m, 0, NULL, &object);
        }

        allocations = -1;
        test_free();

        if (rc == AGG_OK) {
            break;
        }

        check(rc == AGG_NOMEM, "many", "no memory");
    }

    check(i > 1 && i < 100, "many", "allocations");

    free(text);
}


int
main(void)
{
    check_graph();
    check_freshness();
    check_policies();
    check_many_names();

    return done("aggregate_parts");
}
