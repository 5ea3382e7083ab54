
/*
 * A set of map keys, which finds duplicates.  Keys are bytes at positions of a
 * buffer, which may move.  The hash is keyed, as the sender of a message
 * chooses the keys.
 */


#ifndef AGG_PB_KEYS_H_INCLUDED
#define AGG_PB_KEYS_H_INCLUDED


#include "agg_pb.h"


#pragma GCC visibility push(hidden)


#define AGG_PB_KEYS_INLINE  32


typedef struct {
    uint32_t            hash;
    uint32_t            scope;      /* + 1, or 0: free */
    uint32_t            start;
    uint32_t            len;
    uint32_t            value;      /* the caller's */
} agg_pb_key_t;


typedef struct {
    const uint64_t     *key;
    agg_mem_t          *mem;
    agg_pb_key_t       *slots;
    uint32_t            n;
    uint32_t            mask;
    agg_pb_key_t        first[AGG_PB_KEYS_INLINE];
} agg_pb_keys_t;


/* allocates nothing */

void agg_pb_keys_init(agg_pb_keys_t *keys, agg_mem_t *mem,
    const uint64_t *key);
void agg_pb_keys_free(agg_pb_keys_t *keys);

/* removes all keys */

void agg_pb_keys_clear(agg_pb_keys_t *keys);


/*
 * Adds a key, len bytes at base + start, to a scope, in which keys are unique;
 * if base is NULL, the two numbers are the key.  *old is the equal key that was
 * already there, and stays, or NULL.  AGG_OK, or AGG_NOMEM.
 */

agg_rc_e agg_pb_keys_add(agg_pb_keys_t *keys, uint32_t scope,
    const u_char *base, uint32_t start, uint32_t len, uint32_t value,
    agg_pb_key_t **old);


#pragma GCC visibility pop


#endif /* AGG_PB_KEYS_H_INCLUDED */
