
/*
 * The state machine of one breaker as a function of its state, an event and
 * the time.  It lives in shared memory and holds no pointer.
 *
 *     closed ----- a threshold is reached ------> open
 *     open ------- recovery timeout is over ----> half_open
 *     half_open -- "probes" successes ----------> closed
 *     half_open -- a probe failed or is late ---> open, for twice as long
 *     any -------- by hand ---------------------> forced_open, forced_closed,
 *                                                 closed (reset)
 *
 * Each transition starts a new generation.  A token remembers the generation
 * in which its call was let through; the result of an earlier generation is
 * counted in the totals and decides nothing.
 *
 * In half-open a call holds a lease.  A lease that is not settled in time is
 * a failed probe, so a worker that died cannot keep the breaker half-open; a
 * lease that still waits for its client (brk_await) is just given back.
 *
 * A call may be counted as slow before it has ended (brk_overdue); its end is
 * then an amendment and not a second call.  A probe is settled when its
 * response header is there.  In the totals it is counted at its end, by
 * brk_late(), which also records a failure behind the header.
 *
 * The caller holds a lock around each function.  Every function takes constant
 * time and calls nothing.  Fields are written in an order that leaves a usable
 * breaker at any point; brk_repair() makes up for what a killed writer left.
 *
 * The model: Nygard, "Release It!"; the window and the rates are those of
 * resilience4j and Polly; the generations those of gobreaker.
 */


#ifndef _BRK_STATE_H_INCLUDED_
#define _BRK_STATE_H_INCLUDED_


#include "brk_window.h"


#pragma GCC visibility push(hidden)


#define BRK_LEASES     16                 /* largest probe_concurrency */
#define BRK_RATE_FULL  10000              /* a rate of 100% */


typedef enum {
    BRK_CLOSED = 0,
    BRK_OPEN,
    BRK_HALF_OPEN,
    BRK_FORCED_OPEN,
    BRK_FORCED_CLOSED,
    BRK_STATES
} brk_state_e;


typedef enum {
    BRK_PASS = 0,
    BRK_PROBE,
    BRK_REJECT,
    BRK_FULL                              /* see brk_table.h */
} brk_verdict_e;


/* why the last transition happened */

typedef enum {
    BRK_WHY_NEW = 0,
    BRK_WHY_FAILURES,
    BRK_WHY_FAILURE_RATE,
    BRK_WHY_SLOW_RATE,
    BRK_WHY_ELAPSED,
    BRK_WHY_RECOVERED,
    BRK_WHY_PROBE_FAILED,
    BRK_WHY_PROBE_SLOW,
    BRK_WHY_PROBE_LATE,
    BRK_WHY_HAND,
    BRK_WHYS
} brk_why_e;


/* the outcome of a call */

typedef struct {
    unsigned        neutral:1;            /* says nothing about the backend */
    unsigned        failure:1;
    unsigned        slow:1;
    unsigned        early:1;              /* of the header: brk_late() follows,
                                             unless it is a failure */
} brk_outcome_t;


typedef struct {
    uint32_t        failure_threshold;    /* in a row, 0: off */
    uint32_t        failure_rate;         /* a part of BRK_RATE_FULL, 0: off */
    uint32_t        slow_rate;            /* a part of BRK_RATE_FULL, 0: off */
    uint32_t        minimum_calls;
    uint32_t        probes;               /* at least 1 */
    uint32_t        probe_concurrency;    /* 1 to BRK_LEASES */
    uint32_t        jitter;               /* a part of BRK_RATE_FULL */
    brk_msec_t      window;
    brk_msec_t      recovery_timeout;
    brk_msec_t      max_recovery_timeout;
    brk_msec_t      probe_timeout;
} brk_policy_t;


typedef struct {
    brk_msec_t      until;
    uint32_t        serial;               /* 0: free */
    uint32_t        waiting;              /* the client is not ready yet */
} brk_lease_t;


typedef struct {
    uint64_t        success;
    uint64_t        failure;              /* slow ones too */
    uint64_t        slow;                 /* slow calls that did not fail */
    uint64_t        neutral;
    uint64_t        rejected;
    uint64_t        dry_rejected;
    uint64_t        entered[BRK_STATES];  /* transitions to each state */
} brk_totals_t;


typedef struct {
    uint64_t        gen;                  /* never 0, never repeats */
    uint32_t        state;                /* brk_state_e */
    uint32_t        why;                  /* brk_why_e */
    brk_msec_t      since;
    brk_msec_t      open_until;
    uint32_t        level;                /* failed recoveries + 1 */
    uint32_t        consecutive;          /* failures in a row */
    uint32_t        succeeded;            /* probes, in half-open */
    uint32_t        serial;               /* the last lease's serial */
    brk_window_t    window;
    brk_lease_t     leases[BRK_LEASES];
    brk_totals_t    totals;
} brk_breaker_t;


typedef struct {
    uint64_t        gen;                  /* 0: decides nothing */
    uint32_t        lease;                /* index + 1, 0: no probe */
    uint32_t        serial;
    brk_msec_t      slice;                /* in which it was counted as slow */
    uint32_t        counted;
} brk_token_t;


/* a transition, to be logged after the lock is released; none: from == to */

typedef struct {
    uint32_t        from;
    uint32_t        to;
    uint32_t        why;
    uint32_t        consecutive;
    brk_sum_t       sum;                  /* the window before it */
    brk_msec_t      open_for;
} brk_event_t;


/* given to every function: the policy and the time; returns the transition */

typedef struct {
    const brk_policy_t  *policy;
    brk_msec_t           now;
    uint32_t             random;          /* any 32 bits, for the jitter */
    brk_event_t          event;
} brk_clock_t;


/* no breaker of this policy is open for longer */
static inline brk_msec_t
brk_longest(const brk_policy_t *policy)
{
    return policy->max_recovery_timeout
           + policy->max_recovery_timeout * policy->jitter / BRK_RATE_FULL;
}

/* a closed breaker; "gen" is above that of any earlier one in this slot */
void brk_init(brk_breaker_t *b, uint64_t gen, brk_msec_t now);

/*
 * Lets a call through or not.  With "dry" a rejected call is counted apart and
 * may go on; its token is to be settled like any other.  On BRK_REJECT "wait"
 * is the time in milliseconds after which to try again.
 */
brk_verdict_e brk_acquire(brk_breaker_t *b, brk_clock_t *m, unsigned dry,
    brk_token_t *token, brk_msec_t *wait);

/* ends a call, once: the token is void afterwards */
void brk_settle(brk_breaker_t *b, brk_clock_t *m, brk_token_t *token,
    brk_outcome_t outcome);

/*
 * The call has no response header yet and counts as slow from now on.  It is
 * to be settled all the same, as a slow or failed one.
 */
void brk_overdue(brk_breaker_t *b, brk_clock_t *m, brk_token_t *token);

/*
 * Ends the response of a probe of generation "gen" that was settled early.  A
 * failure counts in the window; with "probe" it also fails as a probe, if the
 * breaker is half-open still.
 */
void brk_late(brk_breaker_t *b, brk_clock_t *m, uint64_t gen,
    brk_outcome_t outcome, unsigned probe);

/*
 * Ends a successful call of a healthy breaker: closed, without any failure or
 * slow call in its window.  Needs no lock; 0: brk_settle() has to do it.
 */
static inline int
brk_pass(brk_breaker_t *b, const brk_policy_t *policy, brk_msec_t now,
    const brk_token_t *token)
{
    if (token->gen != __atomic_load_n(&b->gen, __ATOMIC_ACQUIRE)
        || b->state != BRK_CLOSED
        || b->consecutive
        || !brk_window_pass(&b->window, policy->window, now))
    {
        return 0;
    }

    __atomic_fetch_add(&b->totals.success, 1, __ATOMIC_RELAXED);

    return 1;
}

/*
 * The probe does not ask the backend yet, because the client still owes its
 * body: should the lease end in this time, it is no failure.  brk_resume()
 * starts it anew.
 */
void brk_await(brk_breaker_t *b, const brk_token_t *token);
void brk_resume(brk_breaker_t *b, brk_clock_t *m, const brk_token_t *token);

/* a transition by hand: BRK_FORCED_OPEN, BRK_FORCED_CLOSED or BRK_CLOSED */
void brk_force(brk_breaker_t *b, brk_clock_t *m, brk_state_e state);

/* the number of probes under way */
unsigned brk_live(const brk_breaker_t *b);

/* turns any bytes into a usable breaker, after a writer was killed */
void brk_repair(brk_breaker_t *b);

/* static texts for pages, logs and labels */
const char *brk_state_name(unsigned state);
const char *brk_why_text(unsigned why);


#pragma GCC visibility pop


#endif /* _BRK_STATE_H_INCLUDED_ */
