
/*
 * A table of fixed size of the purges, with the time of each.
 */

#ifndef _AGG_CACHE_PURGE_H_INCLUDED_
#define _AGG_CACHE_PURGE_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>

#include "agg_cache_entry.h"
#include "agg_cache_key.h"


#pragma GCC visibility push(hidden)


/* the kind of name that a hash of the table stands for */

#define AGG_CACHE_PURGE_URI        'u'
#define AGG_CACHE_PURGE_KEY        'k'
#define AGG_CACHE_PURGE_TAG        't'
#define AGG_CACHE_PURGE_PREFIX     'p'

/* a prefix deeper than this cannot be purged */
#define AGG_CACHE_PURGE_DEPTH      32

/* tags of one response beyond these are refused, the response is not kept */
#define AGG_CACHE_PURGE_TAGS       128


typedef enum {
    AGG_CACHE_PURGED_NOT = 0,
    AGG_CACHE_PURGED_SOFT,
    AGG_CACHE_PURGED_HARD
} agg_cache_purged_e;


/* a purge in the order of this node, and in the order of the stream */

typedef struct {
    uint64_t              seq;
    agg_cache_id_t        id;
} agg_cache_mark_t;


typedef struct {
    uint64_t              hash;     /* 0: free */
    agg_cache_mark_t      mark;
    uint32_t              next;     /* in the chain of its bucket */
    uint32_t              placed;   /* seq, cut off, when the hand was here */
} agg_cache_purge_slot_t;


typedef struct {
    uint64_t              seq;       /* the last purge applied */
    agg_cache_place_t     last;      /* the last event of the stream */
    agg_cache_mark_t      hard;      /* all that is older is gone */
    agg_cache_mark_t      soft;      /* all that is older is stale */

    uint32_t              nelts;     /* marks that there is room for */
    uint32_t              mask;      /* buckets less one */
    uint32_t              hand;      /* the slot that is used next */
    uint32_t              count;     /* marks */
    uint64_t              evictions; /* marks that gave way to later ones */
} agg_cache_purges_t;


/* the number of marks that size bytes have room for, and the bytes they take */
size_t agg_cache_purges_fit(size_t size);
size_t agg_cache_purges_size(size_t n);

/* n is of agg_cache_purges_fit(), 1 at least */
void agg_cache_purges_init(agg_cache_purges_t *purges, size_t n);

/*
 * Applies one purge of n names.  The hashes are of agg_cache_hash(), 0 purges
 * all.  id is the event's place in the stream, or NULL: it came from this
 * node and reached no stream.  An event at or before purges->last is applied
 * already.
 */
void agg_cache_purges_apply(agg_cache_purges_t *purges,
    const uint64_t *hashes, size_t n, int soft, const agg_cache_id_t *id);

/*
 * Events between purges->last and last are lost, or the stream is another
 * one: all that is stored turns stale, and the stream goes on after last.
 */
void agg_cache_purges_lost(agg_cache_purges_t *purges,
    const agg_cache_place_t *last);

/*
 * Has something with any of these n hashes been purged since it was born?
 * The first is by this node's order, for what it stored itself; the second
 * by the stream's, for what another node stored.
 */
agg_cache_purged_e agg_cache_purges_check(const agg_cache_purges_t *purges,
    const uint64_t *hashes, size_t n, uint64_t born);
agg_cache_purged_e agg_cache_purges_check_place(
    const agg_cache_purges_t *purges, const uint64_t *hashes, size_t n,
    const agg_cache_place_t *born);

/*
 * The hashes of a response: its tags, and each prefix of its path that ends
 * at a "/".  At most n are written; returns how many there are, which is
 * more than n when there were too many tags.
 */
size_t agg_cache_purge_hashes(uint64_t *hashes, size_t n,
    const agg_cache_str_t *path, const agg_cache_str_t *tags);

/*
 * Writes the tags, and those of the second list that the first one lacks, to
 * dst, which has room for both lists and one byte.  Returns the length.
 */
size_t agg_cache_purge_add_tags(u_char *dst, const agg_cache_str_t *tags,
    const agg_cache_str_t *more);


#pragma GCC visibility pop


#endif /* _AGG_CACHE_PURGE_H_INCLUDED_ */
