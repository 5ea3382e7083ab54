
/*
 * Entries in one area of memory that several processes share.
 */

#ifndef _AGG_CACHE_STORE_H_INCLUDED_
#define _AGG_CACHE_STORE_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_CACHE_CHUNK       2048
#define AGG_CACHE_DIGEST      32


/* agg_cache_node_t, segment */

#define AGG_CACHE_FREE        0
#define AGG_CACHE_WRITING     1
#define AGG_CACHE_PROBATION   2
#define AGG_CACHE_PROTECTED   3
#define AGG_CACHE_SEGMENTS    4


typedef struct {
    uint64_t             generation;   /* changes when the content does */
    uint64_t             checked;      /* no purge up to this concerns it */
    int64_t              touched;      /* seconds */
    uint64_t             length;       /* bytes */
    uint32_t             first;        /* chunk */
    uint32_t             last;
    uint32_t             chunks;
    uint32_t             hash_next;
    uint32_t             prev;         /* in the segment's list */
    uint32_t             next;
    uint32_t             segment;
    int32_t              writer;       /* process id, while writing */
    u_char               digest[AGG_CACHE_DIGEST];
} agg_cache_node_t;


typedef struct {
    uint32_t             head;
    uint32_t             tail;
    uint32_t             nodes;
    uint32_t             chunks;
} agg_cache_segment_t;


typedef struct {
    agg_cache_segment_t  segments[AGG_CACHE_SEGMENTS];

    agg_cache_node_t    *nodes;
    uint32_t            *buckets;
    uint32_t            *links;        /* the next chunk of each */
    u_char              *data;

    uint32_t             nelts;        /* nodes, and chunks as well */
    uint32_t             mask;         /* buckets less one */
    uint32_t             free;         /* first free chunk */
    uint32_t             nfree;
    uint32_t             busy;         /* someone is inside */

    uint64_t             evictions;
    uint64_t             resets;
    uint64_t             bytes;
} agg_cache_store_t;


/* an entry as it was found; good until its generation changes */

typedef struct {
    uint64_t             generation;
    uint64_t             checked;
    uint64_t             length;
    uint32_t             node;
    uint32_t             first;
} agg_cache_ref_t;


/*
 * Lays out a store in size bytes at area, aligned as for a pointer.
 * Returns NULL when they do not suffice for a few chunks.
 */
agg_cache_store_t *agg_cache_store_create(void *area, size_t size);

/*
 * All functions but agg_cache_store_read() and _fill() are called with the
 * lock of the area held, between enter and leave.  enter returns 1 when the
 * process before died inside: the store has been emptied.  alive tells if
 * there is a process of that id.
 */
static inline int agg_cache_store_enter(agg_cache_store_t *store,
    int32_t pid, int (*alive)(int32_t pid));
static inline void agg_cache_store_leave(agg_cache_store_t *store);

/* 0 and the entry, or -1; an entry that is asked for again is kept longer */
int agg_cache_store_find(agg_cache_store_t *store, const u_char *digest,
    int64_t now, agg_cache_ref_t *ref);

/*
 * Copies len bytes from offset, without the lock.  Returns 0, or -1: the
 * entry has been replaced or dropped meanwhile, what was copied is void.
 */
int agg_cache_store_read(const agg_cache_store_t *store,
    const agg_cache_ref_t *ref, size_t offset, u_char *dst, size_t len);

/* the length of the largest entry */
uint64_t agg_cache_store_max(const agg_cache_store_t *store);

/*
 * Makes room for an entry of len bytes, evicting others, and takes back the
 * room of writers that died.  Returns 0, or -1: it is too large, or others
 * are writing too much at this moment.
 */
int agg_cache_store_reserve(agg_cache_store_t *store, const u_char *digest,
    uint64_t len, int32_t pid, int (*alive)(int32_t pid),
    agg_cache_ref_t *ref);

/* writes to what was reserved, without the lock */
void agg_cache_store_fill(agg_cache_store_t *store,
    const agg_cache_ref_t *ref, size_t offset, const u_char *src,
    size_t len);

/* makes it visible in place of an entry of that digest, or gives it back */
void agg_cache_store_publish(agg_cache_store_t *store,
    const agg_cache_ref_t *ref, uint64_t checked, int64_t now);

/* no purge up to seq concerns the entry */
void agg_cache_store_checked(agg_cache_store_t *store,
    const agg_cache_ref_t *ref, uint64_t seq);

/* drops the entry, if it is still the one found */
void agg_cache_store_delete(agg_cache_store_t *store,
    const agg_cache_ref_t *ref);

/* the number of visible entries */
uint32_t agg_cache_store_count(const agg_cache_store_t *store);

/* drops all but what live processes other than pid are writing */
void agg_cache_store_reset(agg_cache_store_t *store, int32_t pid,
    int (*alive)(int32_t pid));


/*
 * The mutex orders what processes see of each other.  A process that is killed
 * has done things in the order in which the compiler has put them.
 */

#define agg_cache_store_order()  __atomic_signal_fence(__ATOMIC_SEQ_CST)


static inline int
agg_cache_store_enter(agg_cache_store_t *store, int32_t pid,
    int (*alive)(int32_t pid))
{
    int  died;

    died = (__atomic_load_n(&store->busy, __ATOMIC_RELAXED) != 0);

    __atomic_store_n(&store->busy, 1, __ATOMIC_RELAXED);
    agg_cache_store_order();

    if (died) {
        agg_cache_store_reset(store, pid, alive);
    }

    return died;
}


static inline void
agg_cache_store_leave(agg_cache_store_t *store)
{
    agg_cache_store_order();
    __atomic_store_n(&store->busy, 0, __ATOMIC_RELAXED);
}


#pragma GCC visibility pop


#endif /* _AGG_CACHE_STORE_H_INCLUDED_ */
