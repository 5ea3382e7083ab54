
/* for the tests of the rooms json and shape: checks, memory that can fail */


#ifndef AGG_TEST_H_INCLUDED
#define AGG_TEST_H_INCLUDED


#include <stdio.h>
#include <stdlib.h>

#include "agg_json.h"


/* not every test needs all of it */
#define maybe_unused  __attribute__((unused))

static unsigned long  checks maybe_unused;

/* allocations still granted, negative: all of them */
static long           mem_left = -1;


#define check(cond, ...)                                                     \
    do {                                                                     \
        checks++;                                                            \
                                                                             \
        if (!(cond)) {                                                       \
            printf("%s:%d: failed: %s: ", __FILE__, __LINE__, #cond);        \
            printf(__VA_ARGS__);                                             \
            printf("\n");                                                    \
            fflush(stdout);                                                  \
            exit(1);                                                         \
        }                                                                    \
    } while (0)

#define finish(name)                                                         \
    printf("ok %s: %lu checks\n", name, checks)

#define str(text)  (agg_str_t) { sizeof(text) - 1, (u_char *) text }


static inline agg_str_t
str_of(const char *text)
{
    return (agg_str_t) { strlen(text), (u_char *) text };
}


/* bytes of their exact size on the heap: whoever reads beyond is seen */

static inline u_char *
exact(const void *data, size_t len)
{
    u_char  *p;

    p = malloc(len);

    if (p == NULL && len != 0) {
        abort();
    }

    if (len != 0) {
        memcpy(p, data, len);
    }

    return p;
}


/* all that is allocated is listed, and freed together as a pool is */

typedef struct mem_block_s  mem_block_t;

struct mem_block_s {
    mem_block_t  *prev;
    mem_block_t  *next;
};

static mem_block_t    mem_blocks = { &mem_blocks, &mem_blocks };


static inline void *
mem_alloc(void *ctx, size_t size)
{
    mem_block_t  *b;

    (void) ctx;

    if (mem_left == 0) {
        return NULL;
    }

    if (mem_left > 0) {
        mem_left--;
    }

    b = malloc(sizeof(mem_block_t) + size);
    if (b == NULL) {
        abort();
    }

    b->prev = mem_blocks.prev;
    b->next = &mem_blocks;
    b->prev->next = b;
    b->next->prev = b;

    return b + 1;
}


static inline void
mem_free(void *p)
{
    mem_block_t  *b;

    b = (mem_block_t *) p - 1;
    b->prev->next = b->next;
    b->next->prev = b->prev;
    free(b);
}


static inline void *
mem_grow(void *ctx, void *p, size_t used, size_t size)
{
    void  *new;

    if (size == 0) {
        if (p != NULL) {
            mem_free(p);
        }

        return NULL;
    }

    new = mem_alloc(ctx, size);

    if (new != NULL && p != NULL) {
        memcpy(new, p, used);
        mem_free(p);
    }

    return new;
}


static inline void
mem_free_all(void)
{
    while (mem_blocks.next != &mem_blocks) {
        mem_free(mem_blocks.next + 1);
    }
}


static agg_mem_t      mem maybe_unused = { mem_alloc, mem_grow, NULL };


#endif /* AGG_TEST_H_INCLUDED */
