
/*
 * A text that is included in a page of metrics, and an Accept header: what is
 * written of a text that was taken is taken again, and is the same.
 *
 * sources: metrics/agg_metrics_include.c metrics/agg_metrics_accept.c
 */

#include <stdlib.h>
#include <string.h>

#include "agg_metrics_accept.h"
#include "agg_metrics_include.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void *
grow(void *ctx, void *old, size_t used, size_t size)
{
    uint8_t  *p;

    (void) ctx;

    p = malloc(size);

    if (p && used) {
        memcpy(p, old, used);
    }

    free(old);
    return p;
}


static int
include(gw_out_block_t *block, int open, const uint8_t *data, size_t size)
{
    int                  rc;
    agg_metrics_seen_t  *seen;

    seen = malloc(sizeof(agg_metrics_seen_t));

    if (seen == NULL) {
        abort();
    }

    seen->n = 0;
    gw_out_block_init(block, 1 << 24, grow, NULL);

    rc = agg_metrics_include(&block->out, open, seen, data, size);

    if (rc != 0 && (gw_out_block_used(block) || seen->n)) {
        abort();
    }

    free(seen);
    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gw_out_block_t  one, two, open;

    (void) agg_metrics_openmetrics(data, size);

    if (include(&open, 1, data, size) != include(&one, 0, data, size)) {
        abort();
    }

    if (include(&two, 0, one.start, gw_out_block_used(&one)) == 0) {

        if (gw_out_block_used(&one) != gw_out_block_used(&two)
            || (gw_out_block_used(&one)
                && memcmp(one.start, two.start, gw_out_block_used(&one))
                   != 0))
        {
            abort();
        }

    } else {
        abort();
    }

    free(one.start);
    free(two.start);
    free(open.start);

    return 0;
}
