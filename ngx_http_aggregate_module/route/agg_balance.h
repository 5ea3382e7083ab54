
/*
 * The state of the servers of an upstream: a peak EWMA of the latency, the
 * requests in flight, and the time of the last response.  It is a table of
 * cells in one piece of memory, which processes may share and map anywhere; a
 * cell never moves.  The cost of a server is its latency times the requests in
 * flight plus one; of two servers, the one with the lower cost by weight is
 * chosen.
 *
 * The model: the peak EWMA of Finagle and Envoy (the latency rises at once, and
 * decays with a time constant) and Mitzenmacher's two choices.  In addition, a
 * failure counts as a long time, so that a server that fails fast attracts
 * nothing; and a server without a response for "decay" gets a single request,
 * and starts afresh if that succeeds.
 *
 * Cells are read and written without a lock: a torn or lost update of a latency
 * is one sample of many.  Requests in flight are counted for each process,
 * so that those of a dead process can be taken back.
 *
 * Times are milliseconds of a monotonic clock.  All functions take constant
 * time, except for agg_balance_cell() and agg_balance_average(), which are
 * linear in the number of cells in use.
 */


#ifndef AGG_BALANCE_H_INCLUDED
#define AGG_BALANCE_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_BALANCE_MAGIC     0x6177626cu
#define AGG_BALANCE_NAME      112
#define AGG_BALANCE_WORKERS   64          /* processes at a time */
#define AGG_BALANCE_NONE      0xffffffffu

#define AGG_BALANCE_MIN       1.0         /* no latency is below, in ms */
#define AGG_BALANCE_FRESH     100         /* ms that an average is used */
#define AGG_BALANCE_BLOCK     30000       /* longest "Retry-After" in ms */


typedef enum {
    AGG_BALANCE_OK = 0,
    AGG_BALANCE_FAILED,
    AGG_BALANCE_REFUSED,                  /* a 4xx, which may be fast */
    AGG_BALANCE_CANCELLED                 /* by the client or a deadline */
} agg_balance_end_e;


typedef struct {
    uint64_t    decay;                    /* ms, above 0 */
    uint64_t    penalty;                  /* ms */
} agg_balance_params_t;


typedef struct {
    uint32_t    used;                     /* 0: free */
    uint32_t    len;
    uint8_t     name[AGG_BALANCE_NAME];

    double      latency;                  /* ms, 0: no sample yet */
    uint64_t    sampled;                  /* when */
    uint64_t    blocked;                  /* until then, 0: not */
    uint64_t    refused;                  /* when it was blocked */
    uint64_t    touched;                  /* was wanted */

    uint32_t    failing;                  /* the last sample was a failure */
    uint32_t    probe;                    /* worker + 1 that asks it alone */
    uint32_t    in_flight;
    uint32_t    pad;

    uint64_t    picks;
    uint64_t    failures;

    uint32_t    held[AGG_BALANCE_WORKERS];
} agg_balance_cell_t;


typedef struct {
    uint32_t            magic;
    uint32_t            ncells;
    uint64_t            size;

    /* the sum over the cells that have a sample and are not failing */

    double              sum;
    uint64_t            count;
    uint64_t            averaged;

    uint32_t            workers[AGG_BALANCE_WORKERS];    /* pid, 0: free */

    agg_balance_cell_t  cells[1];
} agg_balance_t;


/* the size of a table with "ncells" cells, in bytes */
size_t agg_balance_size(unsigned ncells);

/* -1: the memory is too small for one cell */
int agg_balance_init(agg_balance_t *b, size_t size);
int agg_balance_check(const agg_balance_t *b, size_t size);

/*
 * Finds or creates the cell of a server; the caller holds a lock.  If the table
 * is full, it reuses the least recently used cell without requests in flight.
 * AGG_BALANCE_NONE: there is no such cell.
 */
uint32_t agg_balance_cell(agg_balance_t *b, const uint8_t *name, size_t len,
    uint64_t now);

/* the entry of a process; AGG_BALANCE_NONE: all are in use */
uint32_t agg_balance_worker(agg_balance_t *b, uint32_t pid);

/* takes back the requests in flight of a worker, and frees its entry */
void agg_balance_reap(agg_balance_t *b, uint32_t worker);

/*
 * A request begins.  Returns 1 if it probes a server without recent responses.
 * The same worker has to end it, once.
 */
int agg_balance_start(agg_balance_cell_t *cell, uint32_t worker,
    uint64_t decay, uint64_t now);

/*
 * A request that began at "start" ends.  The time is that until the response
 * header, or until the end if there was none.
 */
void agg_balance_end(agg_balance_t *b, agg_balance_cell_t *cell,
    uint32_t worker, int probe, agg_balance_end_e end, uint64_t time,
    const agg_balance_params_t *params, uint64_t start, uint64_t now);

/*
 * No requests for this time in ms, up to AGG_BALANCE_BLOCK.  A request that
 * began before the server was blocked does not end that, nor shorten it.
 */
void agg_balance_block(agg_balance_cell_t *cell, uint64_t time,
    uint64_t start, uint64_t now);

/*
 * the average latency of all servers except "cell", which may be NULL;
 * AGG_BALANCE_MIN: there are no servers
 */
double agg_balance_average(agg_balance_t *b, const agg_balance_cell_t *cell,
    uint64_t now);



#define agg_balance_load(x)      __atomic_load_n(&(x), __ATOMIC_RELAXED)


/* 0 for a time in the future, as the clock of another process may be ahead */

static inline uint64_t
agg_balance_since(uint64_t then, uint64_t now)
{
    return ((int64_t) (now - then) < 0) ? 0 : now - then;
}


/* the cost of one more request, without the weight */

static inline double
agg_balance_cost(agg_balance_t *b, const agg_balance_cell_t *cell,
    uint64_t now)
{
    double  latency;

    latency = cell->latency;

    if (latency < AGG_BALANCE_MIN) {
        latency = agg_balance_average(b, NULL, now);
    }

    return latency * ((double) agg_balance_load(cell->in_flight) + 1);
}


/* the rest of the time for which it is blocked */

static inline uint64_t
agg_balance_blocked(const agg_balance_cell_t *cell, uint64_t now)
{
    uint64_t  left;

    if (cell->blocked == 0) {
        return 0;
    }

    left = cell->blocked - now;

    return ((int64_t) left <= 0 || left > AGG_BALANCE_BLOCK) ? 0 : left;
}


/* whether it may be called: it is not blocked, and no probe is under way */

static inline int
agg_balance_free(const agg_balance_cell_t *cell, uint64_t now)
{
    return !agg_balance_load(cell->probe) && !agg_balance_blocked(cell, now);
}


/* whether it has no responses for "decay", and no requests in flight */

static inline int
agg_balance_stale(const agg_balance_cell_t *cell, uint64_t decay,
    uint64_t now)
{
    return cell->sampled != 0
           && agg_balance_since(cell->sampled, now) >= decay
           && agg_balance_load(cell->in_flight) == 0;
}


/* whether there was no response yet, and none is waited for */

static inline int
agg_balance_unknown(const agg_balance_cell_t *cell)
{
    return cell->sampled == 0 && agg_balance_load(cell->in_flight) == 0;
}


#pragma GCC visibility pop


#endif /* AGG_BALANCE_H_INCLUDED */
