
/* the common part of the unit tests of the aggregate room */

#ifndef _AGGREGATE_CHECK_H_INCLUDED_
#define _AGGREGATE_CHECK_H_INCLUDED_


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_json.h"


static unsigned  checks;
static unsigned  failures;

/* allocations that are left before all fail, -1: no end */
static long      allocations = -1;


static void
check(int ok, const char *what, const char *detail)
{
    checks++;

    if (!ok) {
        failures++;
        printf("failed: %s: %s\n", what, detail);
    }
}


static void *blocks[4096];
static unsigned  nblocks;


static void *
test_alloc(void *ctx, size_t size)
{
    (void) ctx;

    if (allocations == 0 || nblocks == 4096) {
        return NULL;
    }

    if (allocations > 0) {
        allocations--;
    }

    blocks[nblocks] = malloc(size ? size : 1);

    return blocks[nblocks++];
}


static void *
test_grow(void *ctx, void *p, size_t used, size_t size)
{
    void  *new;

    new = test_alloc(ctx, size);

    if (new != NULL && used != 0) {
        memcpy(new, p, used);
    }

    return new;
}


static void
test_free(void)
{
    while (nblocks != 0) {
        free(blocks[--nblocks]);
    }
}


static agg_mem_t  mem = { test_alloc, test_grow, NULL };


static int
done(const char *name)
{
    test_free();

    if (failures != 0) {
        printf("not ok %s: %u of %u failed\n", name, failures, checks);
        return 1;
    }

    printf("ok %s: %u checks\n", name, checks);

    return 0;
}


#endif /* _AGGREGATE_CHECK_H_INCLUDED_ */
