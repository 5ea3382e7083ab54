
#include <string.h>

#include "brk_outcome.h"


brk_outcome_t
brk_outcome(const brk_rules_t *rules, const brk_call_t *call)
{
    brk_outcome_t  outcome;

    memset(&outcome, 0, sizeof(brk_outcome_t));

    outcome.slow = (rules->slow_call && call->time > rules->slow_call);

    if (call->end == BRK_END_LOCAL) {
        outcome.slow = 0;
        outcome.neutral = 1;
        return outcome;
    }

    if (call->end == BRK_END_CANCEL) {

        /* who cancels a call for its own deadline leaves a 504 there */

        if (call->status == 504) {
            outcome.failure = rules->timeout;
            return outcome;
        }

        if (!call->header || !brk_rules_match(rules, call->status)) {
            outcome.slow = 0;
            outcome.neutral = 1;
            return outcome;
        }
    }

    if (call->header) {
        outcome.failure = brk_rules_match(rules, call->status)
                          || (call->end == BRK_END_BROKEN && rules->error);

    } else if (call->end != BRK_END_CLIENT) {
        outcome.failure = (call->status == 504) ? rules->timeout
                                                : rules->error;
    }

    if (call->end == BRK_END_CLIENT && !outcome.failure && !outcome.slow) {
        outcome.neutral = 1;
    }

    return outcome;
}


void
brk_rules_add(brk_rules_t *rules, unsigned status)
{
    status -= BRK_STATUS_MIN;
    rules->statuses[status / 32] |= (uint32_t) 1 << (status % 32);
}


unsigned
brk_rules_match(const brk_rules_t *rules, unsigned status)
{
    if (status < BRK_STATUS_MIN || status > BRK_STATUS_MAX) {
        return 0;
    }

    status -= BRK_STATUS_MIN;

    return (rules->statuses[status / 32] >> (status % 32)) & 1;
}
