
#include <string.h>

#include "brk_outcome.h"


static const char  *brk_grpc_names[BRK_GRPC_CODES] = {
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated"
};


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

        /* whoever cancels a call at its own deadline sets this status */

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
                          || (call->end == BRK_END_BROKEN && rules->error)
                          || (call->end == BRK_END_DONE
                              && call->grpc && call->grpc < BRK_GRPC_CODES
                              && ((rules->grpc >> call->grpc) & 1));

    } else if (call->end != BRK_END_CLIENT) {
        outcome.failure = (call->status == 504) ? rules->timeout
                                                : rules->error;
    }

    if (call->end == BRK_END_CLIENT && !outcome.failure && !outcome.slow) {
        outcome.neutral = 1;
    }

    return outcome;
}


unsigned
brk_grpc_code(const uint8_t *text, size_t len)
{
    size_t    i;
    unsigned  code;

    code = 0;

    for (i = 0; i < len; i++) {

        if (text[i] < '0' || text[i] > '9') {
            return BRK_GRPC_UNKNOWN;
        }

        code = code * 10 + (text[i] - '0');

        if (code >= BRK_GRPC_CODES) {
            return BRK_GRPC_UNKNOWN;
        }
    }

    return len ? code : BRK_GRPC_UNKNOWN;
}


unsigned
brk_grpc_named(const uint8_t *name, size_t len)
{
    unsigned  i;

    for (i = 1; i < BRK_GRPC_CODES; i++) {
        if (strlen(brk_grpc_names[i]) == len
            && memcmp(brk_grpc_names[i], name, len) == 0)
        {
            return i;
        }
    }

    return 0;
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
