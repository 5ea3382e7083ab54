
/* Memory that can be taken back to a mark. */


#include "agg_gql_arena.h"


#define AGG_GQL_BLOCK      4096

#define agg_gql_aligned(n)  (((n) + 15) & ~(size_t) 15)


static void *agg_gql_arena_alloc(void *ctx, size_t size);
static void *agg_gql_arena_grow(void *ctx, void *p, size_t used, size_t size);
static int agg_gql_arena_next(agg_gql_arena_t *arena, size_t size);


void
agg_gql_arena_init(agg_gql_arena_t *arena, agg_mem_t *from)
{
    memset(arena, 0, sizeof(agg_gql_arena_t));

    arena->mem.alloc = agg_gql_arena_alloc;
    arena->mem.grow = agg_gql_arena_grow;
    arena->mem.ctx = arena;
    arena->from = from;
}


void
agg_gql_arena_mark(const agg_gql_arena_t *arena, agg_gql_mark_t *mark)
{
    mark->block = arena->block;
    mark->pos = arena->pos;
}


void
agg_gql_arena_back(agg_gql_arena_t *arena, const agg_gql_mark_t *mark)
{
    arena->block = mark->block;
    arena->pos = mark->pos;
    arena->last = NULL;
}


static void *
agg_gql_arena_alloc(void *ctx, size_t size)
{
    agg_gql_arena_t *arena = ctx;

    if (size > (size_t) -1 / 4) {
        return NULL;
    }

    size = agg_gql_aligned(size);

    if ((arena->block == NULL
         || (size_t) (arena->block->end - arena->pos) < size)
        && !agg_gql_arena_next(arena, size))
    {
        return NULL;
    }

    arena->last = arena->pos;
    arena->pos += size;

    return arena->last;
}


/* the latest allocation grows in its place */

static void *
agg_gql_arena_grow(void *ctx, void *p, size_t used, size_t size)
{
    agg_gql_arena_t *arena = ctx;

    void  *grown;

    if (size == 0) {
        return NULL;
    }

    if (p != NULL && p == arena->last
        && (size_t) (arena->block->end - arena->last) >= agg_gql_aligned(size))
    {
        arena->pos = arena->last + agg_gql_aligned(size);
        return p;
    }

    grown = agg_gql_arena_alloc(arena, size);

    return (grown != NULL && p != NULL) ? memcpy(grown, p, used) : grown;
}


/* goes on to the next block with enough room, or adds one here */

static int
agg_gql_arena_next(agg_gql_arena_t *arena, size_t size)
{
    size_t            n, room;
    u_char           *p;
    agg_gql_block_t  *block, **next;

    next = (arena->block != NULL) ? &arena->block->next : &arena->blocks;
    block = *next;

    n = agg_gql_aligned(sizeof(agg_gql_block_t));

    if (block == NULL
        || (size_t) (block->end - (u_char *) block) - n < size)
    {
        for (room = AGG_GQL_BLOCK; room < n + size; room *= 2) { /* void */ }

        p = arena->from->alloc(arena->from->ctx, room);
        if (p == NULL) {
            return 0;
        }

        block = (agg_gql_block_t *) p;

        block->next = *next;
        block->end = p + room;

        *next = block;
    }

    arena->block = block;
    arena->pos = (u_char *) block + n;

    return 1;
}
