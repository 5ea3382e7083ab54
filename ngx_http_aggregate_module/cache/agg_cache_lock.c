
/*
 * One slot for each fetch under way, in sets of AGG_CACHE_LOCK_WAYS.  Where
 * a set is full, a fetch goes without a slot: others may then fetch the same,
 * which is no error.  A slot whose process died is taken over.
 *
 * A waiter remembers slot and token.  Tokens are never used twice in a slot,
 * so "the slot still has my token" is a plain read that needs no lock, and
 * a waiter cannot take a later fetch for the one it waits for.
 *
 * A hit-for-miss mark says that the response for a key was not stored,
 * so that requests for it do not wait for each other.  The table of marks has
 * one place for each hash: a newer mark replaces an older one, a lost mark
 * costs one wait, and a hash that two keys share costs a fetch.
 */


#include <string.h>

#include "agg_cache_lock.h"


#define AGG_CACHE_MARKS_FACTOR  4


static agg_cache_lock_slot_t *agg_cache_lock_slot(
    const agg_cache_locks_t *locks, uint32_t slot);
static agg_cache_hit_for_miss_t *agg_cache_hit_for_miss(
    const agg_cache_locks_t *locks, const u_char *digest, uint64_t *hash);


size_t
agg_cache_locks_size(size_t n)
{
    size_t  sets, marks;

    sets = (n + AGG_CACHE_LOCK_WAYS - 1) / AGG_CACHE_LOCK_WAYS;

    for (marks = 1; marks < n * AGG_CACHE_MARKS_FACTOR; marks *= 2) {
        /* void */
    }

    return sizeof(agg_cache_locks_t)
           + sets * AGG_CACHE_LOCK_WAYS * sizeof(agg_cache_lock_slot_t)
           + marks * sizeof(agg_cache_hit_for_miss_t);
}


void
agg_cache_locks_init(agg_cache_locks_t *locks, size_t n)
{
    memset(locks, 0, agg_cache_locks_size(n));

    locks->sets = (n + AGG_CACHE_LOCK_WAYS - 1) / AGG_CACHE_LOCK_WAYS;
    locks->marks = 1;

    while (locks->marks < n * AGG_CACHE_MARKS_FACTOR) {
        locks->marks *= 2;
    }
}


agg_cache_lock_e
agg_cache_lock_acquire(agg_cache_locks_t *locks, const u_char *digest,
    int32_t pid, uint64_t waiter, int (*alive)(int32_t pid), uint32_t *slot,
    uint64_t *token)
{
    uint32_t                i, base, free;
    uint64_t                words[4];
    agg_cache_lock_slot_t  *lock;

    memcpy(words, digest, sizeof(words));

    base = (uint32_t) (words[1] % locks->sets) * AGG_CACHE_LOCK_WAYS;
    free = UINT32_MAX;

    for (i = base; i < base + AGG_CACHE_LOCK_WAYS; i++) {

        lock = agg_cache_lock_slot(locks, i);

        if (lock->token == 0) {
            free = i;
            continue;
        }

        if (memcmp(lock->digest, words, sizeof(words)) != 0) {
            continue;
        }

        if (lock->pid != pid && !alive(lock->pid)) {
            free = i;
            break;
        }

        lock->waiters |= waiter;

        *slot = i;
        *token = lock->token;

        return AGG_CACHE_LOCK_WAIT;
    }

    for (i = base; i < base + AGG_CACHE_LOCK_WAYS && free == UINT32_MAX;
         i++)
    {
        if (!alive(agg_cache_lock_slot(locks, i)->pid)) {
            free = i;
        }
    }

    if (free == UINT32_MAX) {
        return AGG_CACHE_LOCK_NONE;
    }

    lock = agg_cache_lock_slot(locks, free);

    __atomic_store_n(&lock->token, 0, __ATOMIC_SEQ_CST);

    memcpy(lock->digest, words, sizeof(words));

    lock->pid = pid;
    lock->waiters = 0;
    lock->last++;

    __atomic_store_n(&lock->token, lock->last, __ATOMIC_SEQ_CST);

    *slot = free;
    *token = lock->last;

    return AGG_CACHE_LOCK_ACQUIRED;
}


/*
 * No slot is held for longer than its waiters wait, even if its process died
 * and an unrelated process has got the same id
 */

int
agg_cache_lock_take_over(agg_cache_locks_t *locks, uint32_t slot,
    uint64_t *token, int32_t pid)
{
    agg_cache_lock_slot_t  *lock;

    lock = agg_cache_lock_slot(locks, slot);

    if (lock->token != *token) {
        return -1;
    }

    lock->pid = pid;
    lock->last++;

    __atomic_store_n(&lock->token, lock->last, __ATOMIC_SEQ_CST);

    *token = lock->last;

    return 0;
}


uint64_t
agg_cache_lock_release(agg_cache_locks_t *locks, uint32_t slot, uint64_t token)
{
    uint64_t                waiters;
    agg_cache_lock_slot_t  *lock;

    lock = agg_cache_lock_slot(locks, slot);

    if (lock->token != token) {
        return 0;
    }

    waiters = lock->waiters;
    lock->waiters = 0;

    __atomic_store_n(&lock->token, 0, __ATOMIC_SEQ_CST);

    return waiters;
}


int
agg_cache_lock_held(const agg_cache_locks_t *locks, uint32_t slot,
    uint64_t token, int (*alive)(int32_t pid))
{
    agg_cache_lock_slot_t  *lock;

    lock = agg_cache_lock_slot(locks, slot);

    if (__atomic_load_n(&lock->token, __ATOMIC_SEQ_CST) != token) {
        return 0;
    }

    return alive == NULL || alive(lock->pid);
}


static agg_cache_lock_slot_t *
agg_cache_lock_slot(const agg_cache_locks_t *locks, uint32_t slot)
{
    return (agg_cache_lock_slot_t *) (void *) (uintptr_t) (locks + 1)
           + slot;
}


void
agg_cache_hit_for_miss_set(agg_cache_locks_t *locks, const u_char *digest,
    int64_t now, int64_t until)
{
    uint64_t                   hash;
    agg_cache_hit_for_miss_t  *mark;

    mark = agg_cache_hit_for_miss(locks, digest, &hash);

    if (mark->hash == hash && mark->until > until && until > now) {
        return;
    }

    mark->hash = hash;
    mark->until = until;
}


void
agg_cache_hit_for_miss_clear(agg_cache_locks_t *locks, const u_char *digest)
{
    uint64_t                   hash;
    agg_cache_hit_for_miss_t  *mark;

    mark = agg_cache_hit_for_miss(locks, digest, &hash);

    if (mark->hash == hash) {
        mark->until = 0;
    }
}


int
agg_cache_hit_for_miss_test(const agg_cache_locks_t *locks,
    const u_char *digest, int64_t now)
{
    uint64_t                   hash;
    agg_cache_hit_for_miss_t  *mark;

    mark = agg_cache_hit_for_miss(locks, digest, &hash);

    return mark->hash == hash && mark->until > now;
}


static agg_cache_hit_for_miss_t *
agg_cache_hit_for_miss(const agg_cache_locks_t *locks, const u_char *digest,
    uint64_t *hash)
{
    uint64_t  index;

    memcpy(hash, digest, sizeof(uint64_t));
    memcpy(&index, digest + 8, sizeof(uint64_t));

    return (agg_cache_hit_for_miss_t *) (void *) agg_cache_lock_slot(locks,
                            (uint32_t) locks->sets * AGG_CACHE_LOCK_WAYS)
           + (index & (locks->marks - 1));
}
