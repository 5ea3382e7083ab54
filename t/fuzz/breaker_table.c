
/*
 * Any sequence of calls, results, times and policies, on a table with room
 * for a few keys: the state machine's invariants hold after each.
 *
 * sources: brk_table.c brk_state.c brk_window.c
 */

#include <stdlib.h>
#include <string.h>

#include "brk_table.h"


#define HELD  8
#define SIZE  (sizeof(brk_table_t) + 4 * (sizeof(brk_slot_t) + 16))

#define hold(x)  if (!(x)) { abort(); }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


typedef struct {
    const uint8_t  *p;
    const uint8_t  *end;
} input_t;


static uint32_t
next(input_t *in)
{
    return (in->p < in->end) ? *in->p++ : 0;
}


static void
read_policy(input_t *in, brk_policy_t *p)
{
    p->failure_threshold = next(in) % 8;
    p->failure_rate = next(in) * 40 % (BRK_RATE_FULL + 1);
    p->slow_rate = next(in) * 40 % (BRK_RATE_FULL + 1);
    p->minimum_calls = 1 + next(in) % 16;
    p->probes = 1 + next(in) % 8;
    p->probe_concurrency = 1 + next(in) % BRK_LEASES;
    p->jitter = next(in) * 40 % (BRK_RATE_FULL + 1);
    p->window = 10 + next(in) * 100;
    p->recovery_timeout = 1 + next(in) * 10;
    p->max_recovery_timeout = p->recovery_timeout + next(in) * 100;
    p->probe_timeout = 1 + next(in) * 10;
}


static void
verify(brk_table_t *t, brk_msec_t now)
{
    uint32_t     i;
    brk_sum_t    sum;
    brk_slot_t  *slot;

    hold(brk_table_verify(t) == 0);

    for (i = 0; i < t->slots; i++) {
        slot = brk_table_at(t, i);

        if (slot == NULL) {
            continue;
        }

        hold(brk_live(&slot->breaker) <= BRK_LEASES);

        brk_window_sum(&slot->breaker.window, now, &sum);
        hold(sum.failures <= sum.calls && sum.slow <= sum.calls);
    }
}


/* with and without the lock */

static brk_verdict_e
acquire(brk_table_t *t, const brk_key_t *key, brk_clock_t *m, unsigned op,
    brk_permit_t *permit)
{
    static brk_permit_t  none;

    if ((op & 16) && brk_table_try_lockless(t, key, &none, permit)) {
        return BRK_PASS;
    }

    if ((op & 16) && brk_table_refuse(t, permit, m->policy, m->now, op & 8)) {
        return BRK_REJECT;
    }

    return brk_table_acquire(t, key, m, op & 8, permit);
}


static void
settle(brk_table_t *t, brk_permit_t *permit, brk_clock_t *m, unsigned op)
{
    brk_outcome_t  outcome;

    memset(&outcome, 0, sizeof(brk_outcome_t));
    outcome.neutral = (op >> 4) & 1;
    outcome.failure = !outcome.neutral && ((op >> 5) & 1);
    outcome.slow = !outcome.neutral && ((op >> 6) & 1);

    if (outcome.neutral || outcome.failure || outcome.slow
        || !brk_table_pass(t, permit, m->policy, m->now))
    {
        brk_table_settle(t, permit, m, outcome);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t         text, op;
    input_t         in;
    unsigned        n, k;
    brk_key_t       key;
    brk_msec_t      now;
    brk_slot_t     *slot;
    brk_table_t    *t;
    brk_clock_t    m;
    brk_permit_t    held[HELD];
    brk_policy_t    policy;
    brk_verdict_e   verdict;

    static uint64_t        memory[SIZE / 8 + 1];
    static const uint64_t  seed[2] = { 1, 2 };

    in.p = data;
    in.end = data + size;

    t = (brk_table_t *) memory;
    hold(brk_table_init(t, SIZE, seed) == 0);

    read_policy(&in, &policy);
    m.policy = &policy;
    now = 1000000;
    n = 0;

    while (in.p < in.end) {

        op = (uint8_t) next(&in);
        m.now = now;
        m.random = next(&in) << 24;

        brk_table_enter(t);

        switch (op % 8) {

        case 0: case 1: case 2:
            text = 'a' + next(&in) % 8;
            key.data = &text;
            key.len = 1;
            key.digest = 0;
            key.hash = brk_table_hash(t, key.data, 1);

            verdict = acquire(t, &key, &m, op, &held[n]);

            if (verdict == BRK_FULL) {
                hold(brk_table_find(t, &key) == NULL);
                break;
            }

            slot = brk_table_find(t, &key);
            hold(slot && slot->born == held[n].born);
            hold(brk_live(&slot->breaker) <= BRK_LEASES);
            hold(verdict != BRK_PROBE
                 || brk_live(&slot->breaker) <= policy.probe_concurrency);

            if (n < HELD - 1) {
                n++;
            }

            break;

        case 3: case 4:

            if (n == 0) {
                break;
            }

            k = next(&in) % n;
            settle(t, &held[k], &m, op);
            hold(held[k].born == 0 || brk_table_slot(t, held[k].index,
                                                     held[k].born) == NULL);
            held[k] = held[--n];
            break;

        case 5:
            now += next(&in) * next(&in);
            break;

        case 6:
            now -= next(&in) * 8;
            break;

        case 7:

            if (op & 8) {
                read_policy(&in, &policy);
                break;
            }

            slot = brk_table_at(t, next(&in) % t->slots);

            if (slot) {
                brk_force(&slot->breaker, &m,
                          (op & 16) ? BRK_CLOSED : BRK_FORCED_OPEN);
                brk_table_place(t, slot, 0);
            }
        }

        brk_table_leave(t);
        verify(t, now);
    }

    return 0;
}
