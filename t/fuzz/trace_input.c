
/*
 * What clients send as contexts, and what a collector answers.
 *
 * sources: trace/agg_trace.c trace/agg_otlp.c trace/agg_http_reply.c
 */

#include <stdlib.h>
#include <string.h>

#include "agg_http_reply.h"
#include "agg_otlp.h"
#include "agg_trace.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
context(const uint8_t *data, size_t size)
{
    uint8_t              text[AGG_TRACE_PARENT_LEN], *state;
    size_t               used;
    unsigned             members;
    agg_trace_context_t  one, two;

    memset(&one, 0, sizeof(one));

    if (agg_trace_parse(&one, data, size) == 0) {
        agg_trace_write(text, &one);

        memset(&two, 0, sizeof(two));

        if (agg_trace_parse(&two, text, sizeof(text)) != 0
            || memcmp(one.trace_id, two.trace_id, 16) != 0
            || memcmp(one.span_id, two.span_id, 8) != 0
            || one.flags != two.flags)
        {
            abort();
        }
    }

    if (agg_trace_parse_b3(&one, data, size) == 0) {
        agg_trace_write_b3(text, &one);

        if (agg_trace_parse_b3(&two, text, AGG_TRACE_B3_LEN) != 0) {
            abort();
        }
    }

    (void) agg_trace_parse_ratio(data, size);

    state = malloc(size + 1);

    if (state == NULL) {
        abort();
    }

    used = 0;
    members = 0;

    if (agg_trace_state(state, &used, &members, data, size) == 0
        && (used > size + 1 || members > AGG_TRACE_STATE_MAX))
    {
        abort();
    }

    free(state);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             i, len;
    const uint8_t     *message;
    agg_http_reply_t   reply, slow;
    agg_http_reply_e   rc, rc2;

    context(data, size);

    (void) agg_otlp_rejected(0, data, size, &message, &len);

    if (message < data || message + len > data + size) {
        abort();
    }

    (void) agg_otlp_rejected(1, data, size, &message, &len);

    /* the same in one piece and byte by byte */

    agg_http_reply_init(&reply);
    rc = agg_http_reply_push(&reply, data, size);

    agg_http_reply_init(&slow);
    rc2 = AGG_HTTP_REPLY_MORE;

    for (i = 0; i < size && rc2 == AGG_HTTP_REPLY_MORE; i++) {
        rc2 = agg_http_reply_push(&slow, data + i, 1);
    }

    if (rc != rc2 || reply.status != slow.status
        || reply.total != slow.total || reply.nkept != slow.nkept)
    {
        abort();
    }

    return 0;
}
