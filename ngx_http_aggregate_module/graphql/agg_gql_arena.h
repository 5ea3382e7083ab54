
/*
 * Memory that can be taken back to a mark.
 *
 * Given:    an allocator, whose blocks are never freed.
 * Promises: what was allocated after a mark is used again after
 *           agg_gql_arena_back(); the rest stays where it is.
 * Cost:     an allocation is an addition; blocks are of 4 KB, or, for larger
 *           allocations, of a power of two.
 */


#ifndef AGG_GQL_ARENA_H_INCLUDED
#define AGG_GQL_ARENA_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


typedef struct agg_gql_block_s  agg_gql_block_t;

struct agg_gql_block_s {
    agg_gql_block_t     *next;
    u_char              *end;
};


typedef struct {
    agg_mem_t            mem;           /* allocates from the arena */
    agg_mem_t           *from;
    agg_gql_block_t     *blocks;
    agg_gql_block_t     *block;         /* the one in use; NULL: none yet */
    u_char              *pos;
    u_char              *last;          /* the latest allocation */
} agg_gql_arena_t;


typedef struct {
    agg_gql_block_t     *block;
    u_char              *pos;
} agg_gql_mark_t;


/* the arena must not move afterwards */

void agg_gql_arena_init(agg_gql_arena_t *arena, agg_mem_t *from);

void agg_gql_arena_mark(const agg_gql_arena_t *arena, agg_gql_mark_t *mark);
void agg_gql_arena_back(agg_gql_arena_t *arena, const agg_gql_mark_t *mark);


#pragma GCC visibility pop


#endif /* AGG_GQL_ARENA_H_INCLUDED */
