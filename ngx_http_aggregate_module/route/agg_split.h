
/*
 * A split decides which version of a service a key gets, how the shares change,
 * and whether a version is worse than the default.
 *
 * The state of a split lies in one piece of memory, which processes may share.
 * Version 0 is the default, which gets the rest.  Shares are in hundredths of a
 * per cent, as are the buckets of keys: the first version has the buckets from
 * 0 up, the second from 9999 down, the third follows the first, and so on.
 * With one or two versions, a change of the shares moves only the keys that
 * have to move.
 *
 * A version is worse by errors if the difference of the two rates, less a
 * margin of three standard errors, is above the limit.  This is Newcombe's
 * interval (1998) from Wilson's limits (1927), which holds for few calls and
 * small rates, where the normal approximation fails.  It is worse by latency if
 * more than 5 % of its calls, by Wilson's lower limit, took longer than K times
 * the 95th percentile of the default plus 5 ms.  Latencies are counted in a
 * histogram whose bounds grow by a fifth.
 *
 * The caller holds a lock around functions that take a state, except for
 * agg_split_pick().  Times are milliseconds of a monotonic clock.  All
 * functions take constant time.
 */


#ifndef AGG_SPLIT_H_INCLUDED
#define AGG_SPLIT_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_SPLIT_MAGIC      0x61677370u
#define AGG_SPLIT_FULL       10000        /* 100 % */
#define AGG_SPLIT_VERSIONS   16
#define AGG_SPLIT_STEPS      32
#define AGG_SPLIT_SLICES     10
#define AGG_SPLIT_HISTOGRAM  64
#define AGG_SPLIT_TICK       1000         /* ms between two looks */
#define AGG_SPLIT_BOUNDS     14           /* bounds of durations, see below */


typedef enum {
    AGG_SPLIT_FIXED = 0,
    AGG_SPLIT_RAMPING,
    AGG_SPLIT_WAITING,                    /* for calls, or for room */
    AGG_SPLIT_PAUSED,
    AGG_SPLIT_MANUAL,
    AGG_SPLIT_ABORTED,
    AGG_SPLIT_PROMOTED,                   /* at the last step of its ramp */
    AGG_SPLIT_STATES
} agg_split_state_e;


typedef enum {
    AGG_SPLIT_WHY_CONFIG = 0,
    AGG_SPLIT_WHY_STEP,
    AGG_SPLIT_WHY_CALLS,                  /* too few */
    AGG_SPLIT_WHY_ROOM,                   /* too little beside the others */
    AGG_SPLIT_WHY_ERRORS,
    AGG_SPLIT_WHY_LATENCY,
    AGG_SPLIT_WHY_HAND,
    AGG_SPLIT_WHYS
} agg_split_why_e;


/* how the version of a request was chosen */

typedef enum {
    AGG_SPLIT_SHARE = 0,
    AGG_SPLIT_HEADER,
    AGG_SPLIT_COOKIE,
    AGG_SPLIT_UNKEYED,
    AGG_SPLIT_REASONS
} agg_split_reason_e;


/* the configuration of a version */

typedef struct {
    uint32_t             percent;         /* the first step of a ramp */
    uint32_t             nsteps;          /* 0: no ramp */
    uint32_t             steps[AGG_SPLIT_STEPS];
    uint64_t             every;           /* ms of a step */
} agg_split_plan_t;


/* the "abort" statement */

typedef struct {
    unsigned             on;
    double               errors;          /* a rate, up to 1 */
    double               latency;         /* times, 0: off */
    uint32_t             min;             /* calls, at least 1 */
    uint64_t             window;          /* ms */
} agg_split_rule_t;


typedef struct {
    uint32_t             calls;
    uint32_t             errors;
    uint32_t             times[AGG_SPLIT_HISTOGRAM];
} agg_split_slice_t;


typedef struct {
    uint64_t             start;           /* the newest slice's, 0: empty */
    uint32_t             head;
    uint32_t             pad;
    agg_split_slice_t    slices[AGG_SPLIT_SLICES];
} agg_split_window_t;


typedef struct {
    uint64_t             calls;
    uint64_t             errors;
    uint64_t             times[AGG_SPLIT_HISTOGRAM];
} agg_split_sum_t;


typedef struct {
    uint32_t             percent;
    uint32_t             state;
    uint32_t             why;
    uint32_t             step;            /* the ramp's step, from 0 */
    uint32_t             step_calls;      /* judged ones in this step */
    uint32_t             last_percent;    /* before it was aborted */
    uint32_t             last_state;
    uint32_t             pad;
    uint64_t             since;           /* when this state or step began */

    /* totals */

    uint64_t             requests[AGG_SPLIT_REASONS];
    uint64_t             errors;
    uint64_t             aborts;
    uint64_t             durations[AGG_SPLIT_BOUNDS + 1];
    uint64_t             duration_sum;    /* ms */

    agg_split_window_t   window;
} agg_split_version_t;


/* the figures of the default when it last had enough calls */

typedef struct {
    uint64_t             calls;           /* 0: never */
    uint64_t             errors;
    double               p95;             /* ms */
} agg_split_base_t;


typedef struct {
    uint32_t             magic;
    uint32_t             nversions;
    uint64_t             text;            /* digest of its configuration */
    uint64_t             changes;         /* changes to be kept in the file */
    uint64_t             looked;
    agg_split_base_t     base;
    agg_split_version_t  versions[1];
} agg_split_t;


/* a change that has to be logged */

typedef struct {
    unsigned             version;
    uint32_t             from;
    uint32_t             to;
    uint32_t             state;
    uint32_t             why;
    agg_split_base_t     base;
    uint64_t             calls;
    uint64_t             errors;
    double               p95;
} agg_split_event_t;


/* bytes of a state, which is aligned to 8, and zeroed before the first init */
size_t agg_split_size(unsigned nversions);

/* sets the configured state; the first of the plans is not used */
void agg_split_init(agg_split_t *s, unsigned nversions, uint64_t text,
    const agg_split_plan_t *plans, uint64_t now);

/* the version of a bucket, by the current shares */
unsigned agg_split_pick(const agg_split_t *s, unsigned bucket);

/* the bucket of a key, 0 to 9999, never changes; a salt is hashed once */
uint64_t agg_split_salt(const uint8_t *salt, size_t len);
unsigned agg_split_bucket(uint64_t salt, const uint8_t *key, size_t len);

/* the version with 100 %, or the default if there is none */
unsigned agg_split_whole(const agg_split_t *s);

/* counts a call that has ended */
void agg_split_count(agg_split_t *s, unsigned version,
    agg_split_reason_e reason, unsigned error, uint64_t time,
    const agg_split_rule_t *rule, uint64_t now);

/*
 * Evaluates all versions, at most once a second: aborts those that are worse,
 * and takes the next steps of ramps.  Returns the number of events; the array
 * has room for nversions.
 */
unsigned agg_split_look(agg_split_t *s, const agg_split_plan_t *plans,
    const agg_split_rule_t *rule, uint64_t now, agg_split_event_t *events);

/* a change by hand; -1: the sum is over 100 %, or the state forbids it */
int agg_split_set(agg_split_t *s, unsigned version, uint32_t percent,
    uint64_t now);
int agg_split_abort(agg_split_t *s, unsigned version, uint64_t now);
int agg_split_pause(agg_split_t *s, unsigned version, uint64_t now);
int agg_split_resume(agg_split_t *s, unsigned version,
    const agg_split_plan_t *plan, uint64_t now);
int agg_split_reset(agg_split_t *s, unsigned version,
    const agg_split_plan_t *plan, uint64_t now);

/* sums up the calls in the window */
void agg_split_window_sum(const agg_split_window_t *w, uint64_t length,
    uint64_t now, agg_split_sum_t *sum);

/* in milliseconds; 0: there are no calls */
double agg_split_percentile(const agg_split_sum_t *sum, double part);


/* Wilson's lower or upper limit of n of m, at three standard errors */
double agg_split_wilson(double n, double m, int upper);

/* static texts for pages, logs and labels */
const char *agg_split_state_name(unsigned state);
const char *agg_split_why_text(unsigned why);
const char *agg_split_reason_name(unsigned reason);

/* upper bounds of the durations in ms */
extern const uint32_t  agg_split_bounds[AGG_SPLIT_BOUNDS];


#pragma GCC visibility pop


#endif /* AGG_SPLIT_H_INCLUDED */
