
/*
 * Series of metrics in memory that processes share.
 *
 * A label set is a key of three numbers: routes, backends and services are
 * values that were interned once, statuses and outcomes are small numbers of
 * their own.  Each family is a table of such keys with open addressing.  A
 * key is put into a table by one compare-and-swap and never leaves it, so that
 * a lookup needs no lock; counting is one atomic addition, or three for a
 * histogram.  A process that dies at any point leaves all of it valid.
 *
 * An interned value is found by its 64-bit SipHash under a secret key: the
 * swap of the hash claims a place, its text follows, and whoever finds a place
 * without a text writes the same text again.
 *
 * Values that were configured are marked.  What is left of a table after the
 * places reserved for them is all that other values get: a flood of those ends
 * in the series "_other", which has its place from the start.
 *
 * Gauges are cells of a process: those of one that died count no more.
 *
 * Durations are in microseconds.  Cost: a lookup is a multiplication and, with
 * a table that is not nearly full, one or two comparisons.
 */


#ifndef AGG_METRICS_H_INCLUDED
#define AGG_METRICS_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#pragma GCC visibility push(hidden)


#define AGG_METRICS_TEXT     128    /* bytes of a label's value */
#define AGG_METRICS_BUCKETS  64
#define AGG_METRICS_SERIES   100000

/* the fixed numbers of values that exist from the start */
#define AGG_METRICS_OTHER      1
#define AGG_METRICS_NONE       2
#define AGG_METRICS_AGGREGATE  3
#define AGG_METRICS_CACHE      4

/* statuses that are not codes: AGG_METRICS_WORD + the number of a word */
#define AGG_METRICS_ANY      0
#define AGG_METRICS_WORD     1000


typedef enum {
    AGG_METRICS_REQUEST_DURATION = 0,    /* route, backend */
    AGG_METRICS_BACKEND_DURATION,        /* route, backend */
    AGG_METRICS_REQUESTS,                /* route, status */
    AGG_METRICS_BACKEND_ERRORS,          /* service, status */
    AGG_METRICS_BACKEND_RETRIES,         /* service */
    AGG_METRICS_BACKEND_CANCELLED,       /* service */
    AGG_METRICS_AGGREGATES,              /* route, outcome */
    AGG_METRICS_CACHE_REQUESTS,          /* route, result, tier */
    AGG_METRICS_REQUESTS_IN_FLIGHT,      /* route */
    AGG_METRICS_BACKEND_IN_FLIGHT,       /* service */
    AGG_METRICS_FAMILIES
} agg_metrics_family_e;

#define AGG_METRICS_HISTOGRAMS  AGG_METRICS_REQUESTS
#define AGG_METRICS_COUNTERS    AGG_METRICS_REQUESTS_IN_FLIGHT


typedef struct {
    uint64_t            hash;
    uint32_t            len;           /* 0: the text is not there yet */
    uint32_t            configured;
    uint8_t             text[AGG_METRICS_TEXT];
} agg_metrics_value_t;


/*
 * The last sampled observation of a bucket.  If it was written by two processes
 * at a time, it does not match "check".
 */

typedef struct {
    uint64_t            where;         /* series, bucket; 0: none */
    uint64_t            duration;
    uint64_t            time;          /* milliseconds since the epoch */
    uint64_t            trace_id[2];
    uint64_t            span_id;
    uint64_t            check;
} agg_metrics_exemplar_t;


typedef struct {
    uint32_t            used;
    uint32_t            dynamic;       /* slots of values not configured */
    uint64_t            overflow;
    uint64_t           *keys;
    uint64_t           *data;          /* a counter, or sum and buckets */
} agg_metrics_table_t;


/*
 * Recently used series, in the memory of the process: zeroed at first, and
 * always used with the same agg_metrics_t.
 */

#define AGG_METRICS_KNOWN  32

typedef struct {
    uint64_t            key;
    uint64_t           *data;          /* none of gauges */
    uint32_t            slot;
} agg_metrics_place_t;

typedef struct {
    agg_metrics_place_t place[AGG_METRICS_FAMILIES][AGG_METRICS_KNOWN];
} agg_metrics_known_t;


/* a process */

typedef struct {
    int32_t             pid;
    uint32_t            queue;         /* bytes, the exporter's */
    int32_t            *cells;         /* both families of gauges */
} agg_metrics_process_t;


typedef enum {
    AGG_METRICS_SPANS_EXPORTED = 0,
    AGG_METRICS_SPANS_DROPPED,
    AGG_METRICS_SPANS_FAILED,
    AGG_METRICS_SPANS_REJECTED,
    AGG_METRICS_EXPORTS_OK,
    AGG_METRICS_EXPORTS_RETRY,
    AGG_METRICS_EXPORTS_FAILED,
    AGG_METRICS_TOTALS
} agg_metrics_total_e;


typedef struct {
    uint32_t            series;
    uint32_t            reserved;      /* series that only configured get */
    uint32_t            slots;         /* slots of a table, and values */
    uint32_t            values;
    uint32_t            values_used;
    uint32_t            values_dynamic;
    uint32_t            values_reserved;
    uint32_t            nbuckets;
    uint32_t            nprocesses;
    uint32_t            warned;        /* seconds, of the last log line */
    uint64_t            key[2];
    uint64_t            totals[AGG_METRICS_TOTALS];
    uint64_t            bounds[AGG_METRICS_BUCKETS];
    agg_metrics_table_t tables[AGG_METRICS_FAMILIES];
    agg_metrics_value_t *value;
    agg_metrics_exemplar_t *exemplars;
    agg_metrics_process_t *processes;
} agg_metrics_t;


/* the memory that this many series take */
size_t agg_metrics_size(uint32_t series, uint32_t nbuckets,
    uint32_t nprocesses);

/* the most series that fit into "size"; 0: none */
uint32_t agg_metrics_fit(size_t size, uint32_t nbuckets,
    uint32_t nprocesses);

/*
 * Makes empty tables in zeroed memory of agg_metrics_size() bytes, aligned to
 * 8.  The bounds are microseconds in ascending order; the key is secret.
 */
agg_metrics_t *agg_metrics_init(void *memory, uint32_t series,
    const uint64_t *bounds, uint32_t nbuckets, uint32_t nprocesses,
    const uint64_t key[2]);

/*
 * Reserves series and values for the configured routes.  The caller makes
 * sure that there is room for them.
 */
void agg_metrics_reserve(agg_metrics_t *m, uint32_t routes,
    uint32_t services);

/*
 * Makes a label's value of any bytes: valid UTF-8, with \xHH for what cannot be
 * displayed, cut at AGG_METRICS_TEXT bytes.  Returns the length.
 */
size_t agg_metrics_text(uint8_t *dst, const uint8_t *src, size_t len);

/*
 * the number of a text; AGG_METRICS_NONE: it is empty; AGG_METRICS_OTHER: there
 * is no room
 */
uint32_t agg_metrics_intern(agg_metrics_t *m, const uint8_t *data, size_t len,
    int configured);

/*
 * Each of these adds to the series of a label set, or to "_other" if there is
 * no room, and returns 1 in that case.
 */
int agg_metrics_count(agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_family_e family, uint32_t a, uint32_t b, uint32_t c,
    uint64_t n);
int agg_metrics_observe(agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_family_e family, uint32_t a, uint32_t b, uint64_t duration,
    const uint64_t *trace_id, uint64_t span_id, uint64_t time);

/* finds a series, or creates one with the value 0; -1: there is no room */
int32_t agg_metrics_add(agg_metrics_t *m, agg_metrics_family_e family,
    uint32_t a, uint32_t b, uint32_t c);

/*
 * The cell of a gauge of a process; NULL: there is no room, or no process.
 */
int32_t *agg_metrics_cell(agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_process_t *process, agg_metrics_family_e family, uint32_t a);

/* a free entry, or that of a process that has died; NULL: there is none */
agg_metrics_process_t *agg_metrics_enter(agg_metrics_t *m, int32_t pid,
    int (*alive)(int32_t pid));
void agg_metrics_leave(agg_metrics_t *m, agg_metrics_process_t *process);


/* reading */

#define agg_metrics_a(key)  ((uint32_t) ((key) >> 42))
#define agg_metrics_b(key)  ((uint32_t) ((key) >> 21) & 0x1fffff)
#define agg_metrics_c(key)  ((uint32_t) (key) & 0x1fffff)

#define agg_metrics_key(a, b, c)                                             \
    ((uint64_t) (a) << 42 | (uint64_t) (b) << 21 | (c))

#define agg_metrics_read(p)  __atomic_load_n(p, __ATOMIC_RELAXED)
#define agg_metrics_inc(p, n)                                                \
    ((void) __atomic_fetch_add(p, n, __ATOMIC_RELAXED))

/* the sum over all living processes, at least 0 */
int64_t agg_metrics_gauge(agg_metrics_t *m, agg_metrics_family_e family,
    uint32_t slot, int (*alive)(int32_t pid));

/* copies the exemplar of a bucket; 0: there is none */
int agg_metrics_exemplar(agg_metrics_t *m, agg_metrics_family_e family,
    uint32_t slot, uint32_t bucket, agg_metrics_exemplar_t *copy);

/* the words of a histogram's series: its sum, then its buckets */
#define agg_metrics_width(m)  ((m)->nbuckets + 2)


/*
 * The same as the functions of these names, for recently used label sets, in a
 * few instructions. 0, or NULL: it is not one, and nothing was counted.
 */

static inline agg_metrics_place_t *
agg_metrics_known(agg_metrics_known_t *known, agg_metrics_family_e family,
    uint32_t a, uint32_t b, uint32_t c)
{
    agg_metrics_place_t  *place;

    place = &known->place[family][(a ^ b) % AGG_METRICS_KNOWN];

    return place->key == agg_metrics_key(a, b, c) ? place : NULL;
}


static inline int
agg_metrics_count_known(agg_metrics_known_t *known,
    agg_metrics_family_e family, uint32_t a, uint32_t b, uint32_t c,
    uint64_t n)
{
    agg_metrics_place_t  *place;

    place = agg_metrics_known(known, family, a, b, c);

    if (place == NULL) {
        return 0;
    }

    agg_metrics_inc(place->data, n);

    return 1;
}


static inline int
agg_metrics_observe_known(const agg_metrics_t *m, agg_metrics_known_t *known,
    agg_metrics_family_e family, uint32_t a, uint32_t b, uint64_t duration)
{
    uint32_t              bucket;
    agg_metrics_place_t  *place;

    place = agg_metrics_known(known, family, a, b, 0);

    if (place == NULL) {
        return 0;
    }

    bucket = 0;

    while (bucket < m->nbuckets && duration > m->bounds[bucket]) {
        bucket++;
    }

    agg_metrics_inc(&place->data[0], duration);
    agg_metrics_inc(&place->data[1 + bucket], 1);

    return 1;
}


static inline int32_t *
agg_metrics_cell_known(agg_metrics_known_t *known,
    const agg_metrics_process_t *process, agg_metrics_family_e family,
    uint32_t a)
{
    agg_metrics_place_t  *place;

    place = agg_metrics_known(known, family, a, 0, 0);

    if (place == NULL || process == NULL) {
        return NULL;
    }

    return &process->cells[2 * place->slot + (family - AGG_METRICS_COUNTERS)];
}


#pragma GCC visibility pop


#endif /* AGG_METRICS_H_INCLUDED */
