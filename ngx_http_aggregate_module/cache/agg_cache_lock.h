
/*
 * Which responses are being fetched, and which are not worth waiting for.
 */

#ifndef _AGG_CACHE_LOCK_H_INCLUDED_
#define _AGG_CACHE_LOCK_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


#define AGG_CACHE_LOCK_WAYS     8


typedef struct {
    uint64_t               token;    /* changes with each fetch; 0: free */
    uint64_t               last;     /* the last token of this slot */
    uint64_t               waiters;  /* a bit for each process that waits */
    uint64_t               digest[4];
    int32_t                pid;
    int32_t                pad;
} agg_cache_lock_slot_t;


typedef struct {
    uint64_t               hash;
    int64_t                until;    /* milliseconds */
} agg_cache_hit_for_miss_t;


typedef struct {
    uint64_t               sets;
    uint64_t               marks;   /* a power of two */
} agg_cache_locks_t;


typedef enum {
    AGG_CACHE_LOCK_ACQUIRED = 0,
    AGG_CACHE_LOCK_WAIT,
    AGG_CACHE_LOCK_NONE            /* no slot: fetch without one */
} agg_cache_lock_e;


/* bytes for about n fetches at a time */
size_t agg_cache_locks_size(size_t n);
void agg_cache_locks_init(agg_cache_locks_t *locks, size_t n);

/*
 * Acquires the lock of digest for process pid.  If another process holds the
 * lock, slot and token name it, and the bit of this process, waiter, is set
 * there.  All functions but _held() are called with the zone's mutex locked.
 */
agg_cache_lock_e agg_cache_lock_acquire(agg_cache_locks_t *locks,
    const u_char *digest, int32_t pid, uint64_t waiter,
    int (*alive)(int32_t pid), uint32_t *slot, uint64_t *token);

/*
 * The fetch of slot and token takes too long: process pid takes the lock over,
 * under a new token, unless another process was faster.  Returns 0, or -1.
 */
int agg_cache_lock_take_over(agg_cache_locks_t *locks, uint32_t slot,
    uint64_t *token, int32_t pid);

/* releases a lock; returns the bits of the processes to be notified */
uint64_t agg_cache_lock_release(agg_cache_locks_t *locks, uint32_t slot,
    uint64_t token);

/* whether the fetch is still under way, and its process alive */
int agg_cache_lock_held(const agg_cache_locks_t *locks, uint32_t slot,
    uint64_t token, int (*alive)(int32_t pid));

/* a hit-for-miss mark: until then requests for digest do not wait */
void agg_cache_hit_for_miss_set(agg_cache_locks_t *locks, const u_char *digest,
    int64_t now, int64_t until);
void agg_cache_hit_for_miss_clear(agg_cache_locks_t *locks,
    const u_char *digest);
int agg_cache_hit_for_miss_test(const agg_cache_locks_t *locks,
    const u_char *digest, int64_t now);


#pragma GCC visibility pop


#endif /* _AGG_CACHE_LOCK_H_INCLUDED_ */
