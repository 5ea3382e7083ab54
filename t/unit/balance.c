
/*
 * The table of the balancer, and what its figures do to the choice of servers.
 *
 * sources: route/agg_balance.c
 * libs: -lm
 */

#include "agg_balance.h"
#include "breaker_check.h"


#define SERVERS  5


typedef struct {
    double    time;                 /* until it answers */
    int       fails;
    unsigned  picked;
    unsigned  cell;
} server_t;


typedef struct {
    uint64_t  when;
    unsigned  server;
    int       probe;
} call_t;


static agg_balance_t               *b;
static const agg_balance_params_t   params = { 10000, 1000 };


static void
setup(unsigned n)
{
    size_t  size;

    free(b);

    size = agg_balance_size(n);
    b = malloc(size);

    check(agg_balance_init(b, size) == 0, "init");
    check(b->ncells == n, "%u", b->ncells);
    check(agg_balance_check(b, size) == 0, "check");
    check(agg_balance_check(b, size + 1) != 0, "another size");
}


static uint32_t
cell(const char *name, uint64_t now)
{
    return agg_balance_cell(b, (const uint8_t *) name, strlen(name), now);
}


static void
sample(uint32_t i, agg_balance_end_e end, uint64_t time, uint64_t now)
{
    int  probe;

    probe = agg_balance_start(&b->cells[i], 0, params.decay, now);
    agg_balance_end(b, &b->cells[i], 0, probe, end, time, &params, now - time,
                    now);
}


static void
test_cells(void)
{
    char      name[200];
    unsigned  i;

    setup(4);

    check(agg_balance_init(b, 100) == -1, "too small");
    check(cell("a", 1) == 0 && cell("b", 2) == 1 && cell("a", 3) == 0, "two");
    check(cell("c", 4) == 2 && cell("d", 5) == 3, "four");
    check(cell("e", 6) == 1, "the one not wanted for longest goes");

    for (i = 0; i < 4; i++) {
        agg_balance_start(&b->cells[i], 0, params.decay, 7);
    }

    check(cell("f", 8) == AGG_BALANCE_NONE, "all have something in flight");

    memset(name, 'x', sizeof(name));
    name[199] = '\0';
    setup(2);
    check(cell(name, 1) == 0 && cell(name, 1) == 0, "a long name");
    check(b->cells[0].len == AGG_BALANCE_NAME, "is cut");
}


static void
test_latency(void)
{
    uint32_t  a, c, d;
    double    before;
    uint64_t  now;

    setup(8);
    now = 1000;
    a = cell("a", now);
    c = cell("c", now);
    d = cell("d", now);

    check(agg_balance_cost(b, &b->cells[a], now) == 1, "nothing is known");

    sample(a, AGG_BALANCE_OK, 100, now);
    check(b->cells[a].latency == 100, "the first");
    sample(a, AGG_BALANCE_OK, 200, now += 10);
    check(b->cells[a].latency == 200, "up at once");
    sample(a, AGG_BALANCE_OK, 100, now += 10000);
    check(b->cells[a].latency > 100 && b->cells[a].latency < 140, "down");
    check(b->cells[a].latency > 136, "by the time constant");
    sample(c, AGG_BALANCE_OK, 0, now);
    check(b->cells[c].latency == 1, "no less than 1 ms");

    now += AGG_BALANCE_FRESH;
    before = agg_balance_average(b, NULL, now);
    check(before > 60 && before < 80, "%f", before);
    check(agg_balance_cost(b, &b->cells[d], now) == before, "a new one");
    check(agg_balance_average(b, &b->cells[a], now) == 1, "of the others");

    before = b->cells[a].latency;
    sample(a, AGG_BALANCE_REFUSED, 1, now);
    check(b->cells[a].latency == before, "a fast 4xx");
    sample(a, AGG_BALANCE_REFUSED, 500, now);
    check(b->cells[a].latency == 500, "a slow one");
    sample(a, AGG_BALANCE_CANCELLED, 100, now);
    check(b->cells[a].latency == 500, "cancelled early");
    sample(a, AGG_BALANCE_CANCELLED, 900, now);
    check(b->cells[a].latency == 900, "cancelled late");

    now += AGG_BALANCE_FRESH;
    sample(c, AGG_BALANCE_FAILED, 1, now);
    check(b->cells[c].latency >= 5000, "ten times the others");
    check(b->cells[c].failing && b->cells[c].failures == 1, "failing");
    sample(d, AGG_BALANCE_FAILED, 20000, now);
    check(b->cells[d].latency == 20000, "its own time");

    agg_balance_block(&b->cells[c], 5000, now, now);
    check(!agg_balance_free(&b->cells[c], now + 4999), "blocked");
    check(agg_balance_free(&b->cells[c], now + 5000), "and no longer");
    agg_balance_block(&b->cells[c], 3600000, now, now);
    check(!agg_balance_free(&b->cells[c], now + 29999), "an hour");
    check(agg_balance_free(&b->cells[c], now + 30000), "is half a minute");
    check(agg_balance_free(&b->cells[c], now - 100000), "a clock that jumps");

    /* only requests that began later know that the server is back */

    now += 60000;
    agg_balance_block(&b->cells[c], 5000, now, now);
    sample(c, AGG_BALANCE_OK, 500, now + 400);
    check(!agg_balance_free(&b->cells[c], now + 400), "an older response");
    agg_balance_block(&b->cells[c], 1000, now - 1, now + 500);
    check(!agg_balance_free(&b->cells[c], now + 4999), "an older, shorter one");
    agg_balance_block(&b->cells[c], 9000, now - 1, now + 600);
    check(!agg_balance_free(&b->cells[c], now + 9599), "an older, longer one");
    agg_balance_block(&b->cells[c], 1000, now + 700, now + 800);
    check(!agg_balance_free(&b->cells[c], now + 1799)
          && agg_balance_free(&b->cells[c], now + 1800), "a later one");
    sample(c, AGG_BALANCE_OK, 10, now + 1000);
    check(agg_balance_free(&b->cells[c], now + 1000), "a later response");
}


static void
test_probe(void)
{
    int       probe;
    uint32_t  a, c;
    uint64_t  now;

    setup(8);
    now = 1000;
    a = cell("a", now);
    c = cell("c", now);

    sample(a, AGG_BALANCE_OK, 10, now);
    sample(c, AGG_BALANCE_FAILED, 10, now);
    check(!agg_balance_stale(&b->cells[c], params.decay, now + 9999), "early");

    now += 10000;
    sample(a, AGG_BALANCE_OK, 10, now);

    check(agg_balance_stale(&b->cells[c], params.decay, now), "stale");
    probe = agg_balance_start(&b->cells[c], 0, params.decay, now);
    check(probe && !agg_balance_free(&b->cells[c], now), "alone");
    check(!agg_balance_start(&b->cells[c], 1, params.decay, now), "only one");
    agg_balance_end(b, &b->cells[c], 1, 0, AGG_BALANCE_CANCELLED, 0, &params,
                    now, now);
    agg_balance_end(b, &b->cells[c], 0, probe, AGG_BALANCE_OK, 30, &params,
                    now, now);
    check(b->cells[c].latency == 10 && !b->cells[c].failing,
          "at the others' average");
    check(agg_balance_free(&b->cells[c], now), "free again");

    /* a 4xx of a probe is no sample, but the server is back */

    sample(c, AGG_BALANCE_FAILED, 10, now);
    sample(c, AGG_BALANCE_REFUSED, 1, now + 1000);
    now += 10000;
    sample(a, AGG_BALANCE_OK, 10, now);
    check(b->cells[c].latency > 10 && b->cells[c].failing,
          "a fast 4xx without a probe");
    probe = agg_balance_start(&b->cells[c], 0, params.decay, now);
    agg_balance_end(b, &b->cells[c], 0, probe, AGG_BALANCE_REFUSED, 1,
                    &params, now, now);
    check(probe && b->cells[c].latency == 10 && !b->cells[c].failing,
          "of a probe");
    check(!agg_balance_stale(&b->cells[c], params.decay, now), "not stale");

    /* the worker that holds the probe dies */

    now += 10000;
    check(agg_balance_worker(b, 77) == 0, "a place");
    check(agg_balance_worker(b, 78) == 1, "another");
    check(agg_balance_worker(b, 77) == 0, "the same");
    check(agg_balance_start(&b->cells[c], 1, params.decay, now), "a probe");
    agg_balance_start(&b->cells[a], 1, params.decay, now);
    agg_balance_start(&b->cells[a], 0, params.decay, now);
    agg_balance_reap(b, 1);
    check(agg_balance_free(&b->cells[c], now), "free");
    check(b->cells[a].in_flight == 1 && b->cells[c].in_flight == 0, "back");
    check(agg_balance_worker(b, 79) == 1, "its place is free");
    agg_balance_end(b, &b->cells[c], 1, 1, AGG_BALANCE_OK, 3, &params, now,
                    now);
    check(b->cells[c].in_flight == 0, "one that was not dead");
}


/* two choices, as the glue makes them, and calls that overlap */

static void
simulate(server_t *servers, unsigned calls, double gap, uint64_t seed,
    uint64_t *clock)
{
    unsigned   i, k, n, live, pick;
    double     cost[2], next;
    uint64_t   now;
    server_t  *s;

    static call_t  flight[10000];

    live = 0;
    next = (double) *clock;

    for (n = 0; n < calls; n++) {

        next += gap;
        now = (uint64_t) next;

        for (k = 0; k < live; /* void */ ) {

            if (flight[k].when > now) {
                k++;
                continue;
            }

            s = &servers[flight[k].server];
            agg_balance_end(b, &b->cells[s->cell], 0, flight[k].probe,
                            s->fails ? AGG_BALANCE_FAILED : AGG_BALANCE_OK,
                            (uint64_t) s->time, &params,
                            now - (uint64_t) s->time, now);
            flight[k] = flight[--live];
        }

        i = below(&seed, SERVERS);
        k = (i + 1 + below(&seed, SERVERS - 1)) % SERVERS;

        cost[0] = agg_balance_cost(b, &b->cells[servers[i].cell], now);
        cost[1] = agg_balance_cost(b, &b->cells[servers[k].cell], now);

        pick = (cost[0] <= cost[1]) ? i : k;

        if (agg_balance_stale(&b->cells[servers[i].cell], params.decay, now)) {
            pick = i;

        } else if (agg_balance_stale(&b->cells[servers[k].cell], params.decay,
                                     now))
        {
            pick = k;
        }

        if (!agg_balance_free(&b->cells[servers[pick].cell], now)) {
            pick = (pick == i) ? k : i;
        }

        s = &servers[pick];
        s->picked++;

        flight[live].server = pick;
        flight[live].when = now + (uint64_t) s->time;
        flight[live].probe = agg_balance_start(&b->cells[s->cell], 0,
                                               params.decay, now);
        live++;
        check(live < 10000, "too many");
    }

    now = (uint64_t) next + 100000;

    for (k = 0; k < live; k++) {
        s = &servers[flight[k].server];
        agg_balance_end(b, &b->cells[s->cell], 0, flight[k].probe,
                        AGG_BALANCE_CANCELLED, 0, &params, now,
                        (uint64_t) next);
    }

    *clock = (uint64_t) next;
}


static void
test_shares(void)
{
    char      name[2];
    unsigned  i;
    uint64_t  now;
    server_t  servers[SERVERS];

    setup(8);
    memset(servers, 0, sizeof(servers));
    now = 1000;

    for (i = 0; i < SERVERS; i++) {
        name[0] = (char) ('a' + i);
        name[1] = '\0';
        servers[i].cell = cell(name, now);
        servers[i].time = 20;
    }

    simulate(servers, 10000, 2, 1, &now);

    for (i = 0; i < SERVERS; i++) {
        check(servers[i].picked > 1500 && servers[i].picked < 2500,
              "equal: %u", servers[i].picked);
        servers[i].picked = 0;
    }

    servers[2].time = 200;
    simulate(servers, 20000, 2, 2, &now);
    check(servers[2].picked <= 1000, "slow: %u", servers[2].picked);

    servers[2].time = 20;
    servers[3].time = 1;
    servers[3].fails = 1;
    servers[3].picked = 0;
    simulate(servers, 20000, 2, 3, &now);
    check(servers[3].picked <= 800, "fails fast: %u", servers[3].picked);

    servers[3].time = 20;
    servers[3].fails = 0;
    simulate(servers, (unsigned) params.decay * 2 / 2, 2, 4, &now);
    servers[3].picked = 0;
    simulate(servers, 5000, 2, 5, &now);
    check(servers[3].picked >= 500, "recovered: %u", servers[3].picked);

    for (i = 0; i < SERVERS; i++) {
        check(b->cells[servers[i].cell].in_flight == 0, "in flight");
    }
}


int
main(void)
{
    test_cells();
    test_latency();
    test_probe();
    test_shares();

    free(b);

    printf("ok balance: %lu checks\n", checks);

    return 0;
}
