
#include <stddef.h>
#include <string.h>

#include "brk_state.h"


/* a process may be killed between any two stores, so their order matters */

#define brk_order()  __atomic_signal_fence(__ATOMIC_SEQ_CST)


static void brk_move(brk_breaker_t *b, brk_clock_t *m, brk_state_e to,
    brk_why_e why);
static void brk_open(brk_breaker_t *b, brk_clock_t *m, brk_why_e why);
static brk_msec_t brk_open_for(const brk_breaker_t *b, const brk_clock_t *m);
static void brk_expire(brk_breaker_t *b, brk_clock_t *m);
static brk_verdict_e brk_probe(brk_breaker_t *b, brk_clock_t *m,
    brk_token_t *token);
static brk_lease_t *brk_lease(brk_breaker_t *b, const brk_token_t *token);
static void brk_count(brk_breaker_t *b, brk_outcome_t outcome);
static void brk_record(brk_breaker_t *b, brk_clock_t *m,
    brk_outcome_t outcome, const brk_token_t *token);
static void brk_trip(brk_breaker_t *b, brk_clock_t *m);
static brk_why_e brk_tripped(const brk_breaker_t *b, const brk_clock_t *m);


static const char  *brk_states[] = {
    "closed",
    "open",
    "half_open",
    "forced_open",
    "forced_closed"
};


static const char  *brk_whys[] = {
    "new",
    "consecutive failures",
    "failure rate",
    "slow call rate",
    "recovery timeout is over",
    "probes succeeded",
    "probe failed",
    "probe was slow",
    "probe timed out",
    "by hand"
};


void
brk_init(brk_breaker_t *b, uint64_t gen, brk_msec_t now)
{
    memset(b, 0, sizeof(brk_breaker_t));

    b->gen = gen;
    b->since = now;
}


brk_verdict_e
brk_acquire(brk_breaker_t *b, brk_clock_t *m, unsigned dry,
    brk_token_t *token, brk_msec_t *wait)
{
    brk_msec_t     left, longest;
    brk_verdict_e  verdict;

    m->event.from = m->event.to = b->state;

    token->gen = b->gen;
    token->lease = 0;
    token->serial = 0;
    token->counted = 0;

    if (b->state == BRK_HALF_OPEN) {
        brk_expire(b, m);
    }

    verdict = BRK_REJECT;
    *wait = 0;

    switch (b->state) {

    case BRK_OPEN:

        left = b->open_until - m->now;

        if ((int64_t) left > 0) {

            /* the policy has shorter times now, or the clock has jumped back */

            longest = brk_longest(m->policy);

            if (left > longest) {
                left = longest;
                b->open_until = m->now + left;
            }

            *wait = left;
            break;
        }

        brk_move(b, m, BRK_HALF_OPEN, BRK_WHY_ELAPSED);

        /* fall through */

    case BRK_HALF_OPEN:
        verdict = brk_probe(b, m, token);
        break;

    case BRK_FORCED_OPEN:
        *wait = m->policy->recovery_timeout;
        break;

    default: /* BRK_CLOSED, BRK_FORCED_CLOSED */
        verdict = BRK_PASS;
    }

    if (verdict == BRK_REJECT) {
        token->gen = 0;

        if (dry) {
            b->totals.dry_rejected++;

        } else {
            b->totals.rejected++;
        }
    }

    return verdict;
}


void
brk_settle(brk_breaker_t *b, brk_clock_t *m, brk_token_t *token,
    brk_outcome_t outcome)
{
    brk_lease_t  *lease;
    brk_token_t   t;

    m->event.from = m->event.to = b->state;

    t = *token;
    token->gen = 0;
    token->lease = 0;

    if (!outcome.early || outcome.failure) {
        brk_count(b, outcome);
    }

    if (b->state == BRK_HALF_OPEN) {
        brk_expire(b, m);
    }

    if (t.gen != b->gen) {
        return;
    }

    if (t.lease == 0) {
        if (!outcome.neutral
            && (b->state == BRK_CLOSED || b->state == BRK_FORCED_CLOSED))
        {
            brk_record(b, m, outcome, &t);
        }

        return;
    }

    lease = brk_lease(b, &t);

    if (lease == NULL) {
        return;
    }

    if (outcome.neutral) {
        lease->serial = 0;
        return;
    }

    if (outcome.failure) {
        brk_open(b, m, BRK_WHY_PROBE_FAILED);
        return;
    }

    if (outcome.slow && m->policy->slow_rate) {
        brk_open(b, m, BRK_WHY_PROBE_SLOW);
        return;
    }

    b->succeeded++;
    brk_order();
    lease->serial = 0;

    if (b->succeeded >= m->policy->probes) {
        brk_move(b, m, BRK_CLOSED, BRK_WHY_RECOVERED);
    }
}


void
brk_overdue(brk_breaker_t *b, brk_clock_t *m, brk_token_t *token)
{
    m->event.from = m->event.to = b->state;

    if (b->state == BRK_HALF_OPEN) {
        brk_expire(b, m);
    }

    if (token->gen != b->gen || token->counted) {
        return;
    }

    if (token->lease) {
        if (m->policy->slow_rate && brk_lease(b, token)) {
            brk_open(b, m, BRK_WHY_PROBE_SLOW);
        }

        return;
    }

    if (b->state != BRK_CLOSED && b->state != BRK_FORCED_CLOSED) {
        return;
    }

    brk_window_fit(&b->window, m->policy->window, m->now);
    brk_window_add(&b->window, 0, 1, m->now);

    token->slice = b->window.start;
    token->counted = 1;

    brk_trip(b, m);
}


void
brk_late(brk_breaker_t *b, brk_clock_t *m, uint64_t gen,
    brk_outcome_t outcome, unsigned probe)
{
    brk_token_t  token;

    m->event.from = m->event.to = b->state;

    brk_count(b, outcome);

    if (!outcome.failure) {
        return;
    }

    if (b->state == BRK_HALF_OPEN) {
        if (probe && b->gen == gen) {
            brk_open(b, m, BRK_WHY_PROBE_FAILED);
        }

        return;
    }

    if (b->state == BRK_CLOSED || b->state == BRK_FORCED_CLOSED) {
        token.counted = 0;
        outcome.slow = 0;

        brk_record(b, m, outcome, &token);
    }
}


void
brk_await(brk_breaker_t *b, const brk_token_t *token)
{
    brk_lease_t  *lease;

    lease = brk_lease(b, token);

    if (lease) {
        lease->waiting = 1;
    }
}


void
brk_resume(brk_breaker_t *b, brk_clock_t *m, const brk_token_t *token)
{
    brk_lease_t  *lease;

    lease = brk_lease(b, token);

    if (lease) {
        lease->until = m->now + m->policy->probe_timeout;
        brk_order();
        lease->waiting = 0;
    }
}


void
brk_force(brk_breaker_t *b, brk_clock_t *m, brk_state_e state)
{
    m->event.from = m->event.to = b->state;

    if (state == BRK_CLOSED || b->state != (uint32_t) state) {
        brk_move(b, m, state, BRK_WHY_HAND);
    }
}


unsigned
brk_live(const brk_breaker_t *b)
{
    unsigned  i, n;

    if (b->state != BRK_HALF_OPEN) {
        return 0;
    }

    n = 0;

    for (i = 0; i < BRK_LEASES; i++) {
        if (b->leases[i].serial) {
            n++;
        }
    }

    return n;
}


void
brk_repair(brk_breaker_t *b)
{
    if (b->state >= BRK_STATES) {
        b->state = BRK_CLOSED;
    }

    if (b->why >= BRK_WHYS) {
        b->why = BRK_WHY_NEW;
    }

    if (b->gen == 0) {
        b->gen = 1;
    }

    brk_window_repair(&b->window);
}


const char *
brk_state_name(unsigned state)
{
    return brk_states[state < BRK_STATES ? state : BRK_CLOSED];
}


const char *
brk_why_text(unsigned why)
{
    return brk_whys[why < BRK_WHYS ? why : BRK_WHY_NEW];
}


/*
 * The generation changes first: from then on the results of earlier calls are
 * ignored, even if the writer is killed before it is done.  The state changes
 * last.
 */

static void
brk_move(brk_breaker_t *b, brk_clock_t *m, brk_state_e to, brk_why_e why)
{
    brk_event_t  *e;

    e = &m->event;

    e->from = b->state;
    e->to = to;
    e->why = why;
    e->consecutive = b->consecutive;
    e->open_for = 0;
    brk_window_sum(&b->window, m->now, &e->sum);

    b->gen++;
    brk_order();

    memset(b->leases, 0, sizeof(b->leases));

    b->succeeded = 0;
    b->consecutive = 0;
    b->why = why;
    b->since = m->now;

    if (to == BRK_CLOSED || to == BRK_FORCED_CLOSED) {
        b->level = 0;
        brk_window_clear(&b->window, m->now);
    }

    if (to == BRK_OPEN) {
        e->open_for = brk_open_for(b, m);
        b->open_until = m->now + e->open_for;
    }

    if (e->from != e->to) {
        b->totals.entered[to]++;
    }

    brk_order();
    b->state = to;
}


static void
brk_open(brk_breaker_t *b, brk_clock_t *m, brk_why_e why)
{
    if (b->state == BRK_CLOSED) {
        b->level = 1;

    } else if (b->level < UINT32_MAX) {
        b->level++;
    }

    brk_move(b, m, BRK_OPEN, why);
}


static brk_msec_t
brk_open_for(const brk_breaker_t *b, const brk_clock_t *m)
{
    uint32_t             i;
    brk_msec_t           time;
    const brk_policy_t  *p;

    p = m->policy;
    time = p->recovery_timeout;

    for (i = 1; i < b->level && time < p->max_recovery_timeout; i++) {
        time *= 2;
    }

    if (time > p->max_recovery_timeout) {
        time = p->max_recovery_timeout;
    }

    return time
           + (time * p->jitter / BRK_RATE_FULL) * (m->random >> 16) / 0xffff;
}


/*
 * In half-open: the probe of an expired lease has failed, unless it still waits
 * for its client, when the lease is just given back.
 */

static void
brk_expire(brk_breaker_t *b, brk_clock_t *m)
{
    unsigned      i;
    brk_msec_t    left;
    brk_lease_t  *lease;

    for (i = 0; i < BRK_LEASES; i++) {
        lease = &b->leases[i];

        if (lease->serial == 0) {
            continue;
        }

        left = lease->until - m->now;

        if ((int64_t) left > 0) {

            /* the clock jumped back, or the policy has changed */

            if (left > m->policy->probe_timeout) {
                lease->until = m->now + m->policy->probe_timeout;
            }

            continue;
        }

        if (lease->waiting) {
            lease->serial = 0;
            continue;
        }

        brk_open(b, m, BRK_WHY_PROBE_LATE);
        return;
    }
}


static brk_verdict_e
brk_probe(brk_breaker_t *b, brk_clock_t *m, brk_token_t *token)
{
    unsigned      i, live;
    brk_lease_t  *lease;

    if (b->succeeded >= m->policy->probes) {

        /* a reload has lowered the number of probes */

        brk_move(b, m, BRK_CLOSED, BRK_WHY_RECOVERED);
        token->gen = b->gen;

        return BRK_PASS;
    }

    live = brk_live(b);

    if (live >= m->policy->probe_concurrency
        || live + b->succeeded >= m->policy->probes)
    {
        return BRK_REJECT;
    }

    for (i = 0; i < BRK_LEASES; i++) {
        lease = &b->leases[i];

        if (lease->serial) {
            continue;
        }

        if (++b->serial == 0) {
            b->serial = 1;
        }

        lease->until = m->now + m->policy->probe_timeout;
        lease->waiting = 0;
        brk_order();
        lease->serial = b->serial;

        token->gen = b->gen;
        token->lease = i + 1;
        token->serial = b->serial;

        return BRK_PROBE;
    }

    return BRK_REJECT;
}


/* NULL: the lease has ended or belongs to another probe */

static brk_lease_t *
brk_lease(brk_breaker_t *b, const brk_token_t *token)
{
    brk_lease_t  *lease;

    if (token->lease == 0 || token->lease > BRK_LEASES
        || token->gen != b->gen)
    {
        return NULL;
    }

    lease = &b->leases[token->lease - 1];

    return (lease->serial == token->serial) ? lease : NULL;
}


/* brk_pass() counts successes at the same time, without the lock */

static void
brk_count(brk_breaker_t *b, brk_outcome_t outcome)
{
    if (outcome.neutral) {
        b->totals.neutral++;

    } else if (outcome.failure) {
        b->totals.failure++;

    } else if (outcome.slow) {
        b->totals.slow++;

    } else {
        __atomic_fetch_add(&b->totals.success, 1, __ATOMIC_RELAXED);
    }
}


static void
brk_record(brk_breaker_t *b, brk_clock_t *m, brk_outcome_t outcome,
    const brk_token_t *token)
{
    if (b->window.width != m->policy->window / BRK_SLICES) {
        brk_window_fit(&b->window, m->policy->window, m->now);
    }

    if (!token->counted) {
        brk_window_add(&b->window, outcome.failure, outcome.slow, m->now);

    } else if (outcome.failure
               && !brk_window_amend(&b->window, token->slice, m->now))
    {
        /* the call, counted as slow, has left the window: count its failure */

        brk_window_add(&b->window, 1, 0, m->now);
    }

    if (!outcome.failure) {
        b->consecutive = 0;

    } else if (b->consecutive < UINT32_MAX) {
        b->consecutive++;
    }

    brk_trip(b, m);
}


static void
brk_trip(brk_breaker_t *b, brk_clock_t *m)
{
    brk_why_e  why;

    if (b->state != BRK_CLOSED) {
        return;
    }

    why = brk_tripped(b, m);

    if (why != BRK_WHY_NEW) {
        brk_open(b, m, why);
    }
}


/* the call has just been added, so the window is up to date */

static brk_why_e
brk_tripped(const brk_breaker_t *b, const brk_clock_t *m)
{
    const brk_slice_t   *all;
    const brk_policy_t  *p;

    p = m->policy;
    all = &b->window.all;

    if (p->failure_threshold && b->consecutive >= p->failure_threshold) {
        return BRK_WHY_FAILURES;
    }

    if ((all->failures | all->slow) == 0 || all->calls < p->minimum_calls) {
        return BRK_WHY_NEW;
    }

    if (p->failure_rate
        && (uint64_t) all->failures * BRK_RATE_FULL
           >= (uint64_t) all->calls * p->failure_rate)
    {
        return BRK_WHY_FAILURE_RATE;
    }

    if (p->slow_rate
        && (uint64_t) all->slow * BRK_RATE_FULL
           >= (uint64_t) all->calls * p->slow_rate)
    {
        return BRK_WHY_SLOW_RATE;
    }

    return BRK_WHY_NEW;
}
