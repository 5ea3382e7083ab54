
#include <math.h>
#include <string.h>

#include "agg_balance.h"


static uint64_t agg_balance_others(agg_balance_t *b,
    const agg_balance_cell_t *cell, uint64_t now, double *average);
static void agg_balance_sample(agg_balance_cell_t *cell, double time,
    uint64_t decay, uint64_t now);
static void agg_balance_recover(agg_balance_t *b, agg_balance_cell_t *cell,
    uint64_t now);
static void agg_balance_release(agg_balance_cell_t *cell, uint32_t worker,
    uint32_t n);


#define agg_balance_store(x, v)  __atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define agg_balance_add(x, n)    __atomic_fetch_add(&(x), n, __ATOMIC_RELAXED)


size_t
agg_balance_size(unsigned ncells)
{
    return offsetof(agg_balance_t, cells)
           + ncells * sizeof(agg_balance_cell_t);
}


int
agg_balance_init(agg_balance_t *b, size_t size)
{
    if (size < sizeof(agg_balance_t)) {
        return -1;
    }

    memset(b, 0, size);

    b->magic = AGG_BALANCE_MAGIC;
    b->size = size;
    b->ncells = (uint32_t) ((size - offsetof(agg_balance_t, cells))
                            / sizeof(agg_balance_cell_t));

    return 0;
}


int
agg_balance_check(const agg_balance_t *b, size_t size)
{
    return (b->magic == AGG_BALANCE_MAGIC && b->size == size
            && agg_balance_size(b->ncells) <= size) ? 0 : -1;
}


uint32_t
agg_balance_cell(agg_balance_t *b, const uint8_t *name, size_t len,
    uint64_t now)
{
    uint32_t             i, place, oldest;
    uint64_t             age, most;
    agg_balance_cell_t  *cell;

    if (len > AGG_BALANCE_NAME) {
        name += len - AGG_BALANCE_NAME;
        len = AGG_BALANCE_NAME;
    }

    place = AGG_BALANCE_NONE;
    oldest = AGG_BALANCE_NONE;
    most = 0;

    for (i = 0; i < b->ncells; i++) {
        cell = &b->cells[i];

        if (!cell->used) {
            if (place == AGG_BALANCE_NONE) {
                place = i;
            }

            continue;
        }

        if (cell->len == len && memcmp(cell->name, name, len) == 0) {
            cell->touched = now;
            return i;
        }

        age = agg_balance_since(cell->touched, now);

        if (cell->in_flight == 0
            && (oldest == AGG_BALANCE_NONE || age > most))
        {
            oldest = i;
            most = age;
        }
    }

    if (place == AGG_BALANCE_NONE) {
        place = oldest;
    }

    if (place == AGG_BALANCE_NONE) {
        return AGG_BALANCE_NONE;
    }

    cell = &b->cells[place];

    memset(cell, 0, sizeof(agg_balance_cell_t));
    memcpy(cell->name, name, len);

    cell->len = (uint32_t) len;
    cell->touched = now;
    cell->used = 1;

    return place;
}


uint32_t
agg_balance_worker(agg_balance_t *b, uint32_t pid)
{
    uint32_t  i, none;

    for (i = 0; i < AGG_BALANCE_WORKERS; i++) {
        if (agg_balance_load(b->workers[i]) == pid) {
            return i;
        }
    }

    for (i = 0; i < AGG_BALANCE_WORKERS; i++) {
        none = 0;

        if (__atomic_compare_exchange_n(&b->workers[i], &none, pid, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        {
            return i;
        }
    }

    return AGG_BALANCE_NONE;
}


void
agg_balance_reap(agg_balance_t *b, uint32_t worker)
{
    uint32_t             i, n, probe;
    agg_balance_cell_t  *cell;

    for (i = 0; i < b->ncells; i++) {
        cell = &b->cells[i];

        if (!cell->used) {
            continue;
        }

        n = __atomic_exchange_n(&cell->held[worker], 0, __ATOMIC_ACQ_REL);

        if (n) {
            __atomic_fetch_sub(&cell->in_flight, n, __ATOMIC_RELAXED);
        }

        probe = worker + 1;
        (void) __atomic_compare_exchange_n(&cell->probe, &probe, 0, 0,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED);
    }

    agg_balance_store(b->workers[worker], 0);
}


int
agg_balance_start(agg_balance_cell_t *cell, uint32_t worker, uint64_t decay,
    uint64_t now)
{
    int       probe;
    uint32_t  none;

    probe = 0;

    if (worker < AGG_BALANCE_WORKERS
        && agg_balance_stale(cell, decay, now))
    {
        none = 0;
        probe = __atomic_compare_exchange_n(&cell->probe, &none, worker + 1,
                                            0, __ATOMIC_ACQ_REL,
                                            __ATOMIC_RELAXED);
    }

    agg_balance_add(cell->picks, 1);

    /* a request that could not be taken back is not counted */

    if (worker < AGG_BALANCE_WORKERS) {
        agg_balance_add(cell->held[worker], 1);
        agg_balance_add(cell->in_flight, 1);
    }

    return probe;
}


void
agg_balance_end(agg_balance_t *b, agg_balance_cell_t *cell, uint32_t worker,
    int probe, agg_balance_end_e end, uint64_t time,
    const agg_balance_params_t *params, uint64_t start, uint64_t now)
{
    double  sample, average;

    agg_balance_release(cell, worker, 1);

    sample = (time < (uint64_t) AGG_BALANCE_MIN) ? AGG_BALANCE_MIN
                                                 : (double) time;

    switch (end) {

    case AGG_BALANCE_FAILED:

        agg_balance_add(cell->failures, 1);

        average = agg_balance_average(b, cell, now) * 10;

        if (sample < (double) params->penalty) {
            sample = (double) params->penalty;
        }

        if (sample < average) {
            sample = average;
        }

        agg_balance_sample(cell, sample, params->decay, now);
        cell->failing = 1;

        break;

    case AGG_BALANCE_REFUSED:

        if (sample < agg_balance_average(b, NULL, now)) {

            if (probe || cell->sampled == 0) {
                cell->sampled = now;
            }

            /* nothing is known of the speed, but the server responds again */

            if (probe) {
                agg_balance_recover(b, cell, now);
            }

            break;
        }

        /* fall through */

    case AGG_BALANCE_OK:

        agg_balance_sample(cell, sample, params->decay, now);

        if (probe) {
            agg_balance_recover(b, cell, now);
        }

        cell->failing = 0;

        if (cell->blocked && (int64_t) (start - cell->refused) > 0) {
            cell->blocked = 0;
        }

        break;

    default: /* AGG_BALANCE_CANCELLED */

        if (sample > cell->latency) {
            agg_balance_sample(cell, sample, params->decay, now);
        }
    }

    if (probe) {
        agg_balance_store(cell->probe, 0);
    }
}


void
agg_balance_block(agg_balance_cell_t *cell, uint64_t time, uint64_t start,
    uint64_t now)
{
    if (time > AGG_BALANCE_BLOCK) {
        time = AGG_BALANCE_BLOCK;
    }

    if (time == 0
        || ((int64_t) (start - cell->refused) <= 0
            && time < agg_balance_blocked(cell, now)))
    {
        return;
    }

    cell->blocked = now + time;
    cell->refused = now;
}


double
agg_balance_average(agg_balance_t *b, const agg_balance_cell_t *cell,
    uint64_t now)
{
    double  average;

    (void) agg_balance_others(b, cell, now, &average);

    return average;
}


/* the number of servers in the average */

static uint64_t
agg_balance_others(agg_balance_t *b, const agg_balance_cell_t *cell,
    uint64_t now, double *average)
{
    double                     sum;
    uint32_t                   i;
    uint64_t                   count;
    const agg_balance_cell_t  *c;

    if (b->averaged == 0
        || agg_balance_since(b->averaged, now) >= AGG_BALANCE_FRESH)
    {
        sum = 0;
        count = 0;

        for (i = 0; i < b->ncells; i++) {
            c = &b->cells[i];

            if (c->used && c->latency >= AGG_BALANCE_MIN && !c->failing) {
                sum += c->latency;
                count++;
            }
        }

        b->sum = sum;
        b->count = count;
        b->averaged = now ? now : 1;
    }

    sum = b->sum;
    count = b->count;

    if (cell && count && !cell->failing && cell->latency >= AGG_BALANCE_MIN) {
        sum -= cell->latency;
        count--;
    }

    *average = AGG_BALANCE_MIN;

    if (count && sum > AGG_BALANCE_MIN * (double) count) {
        *average = sum / (double) count;
    }

    return count;
}


static void
agg_balance_sample(agg_balance_cell_t *cell, double time, uint64_t decay,
    uint64_t now)
{
    double  latency, x, weight;

    latency = cell->latency;

    if (time < latency) {
        x = (double) agg_balance_since(cell->sampled, now) / (double) decay;

        /*
         * x is nearly always small, when four terms of the series are within
         * 1e-6
         */

        weight = (x < 0.0625) ? 1 - x * (1 - x * (0.5 - x * (1.0 / 6)))
                              : exp(-x);

        time += (latency - time) * weight;
    }

    cell->latency = time;
    cell->sampled = now ? now : 1;
}


/* a probe has succeeded: the latency is at most the average of the others */

static void
agg_balance_recover(agg_balance_t *b, agg_balance_cell_t *cell, uint64_t now)
{
    double  average;

    if (agg_balance_others(b, cell, now, &average) && cell->latency > average)
    {
        cell->latency = average;
    }

    cell->failing = 0;
}


static void
agg_balance_release(agg_balance_cell_t *cell, uint32_t worker, uint32_t n)
{
    if (worker >= AGG_BALANCE_WORKERS) {
        return;
    }

    if (agg_balance_load(cell->held[worker]) < n) {

        /* another process has already taken back the requests of the worker */

        return;
    }

    __atomic_fetch_sub(&cell->held[worker], n, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&cell->in_flight, n, __ATOMIC_RELAXED);
}
