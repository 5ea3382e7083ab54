
/*
 * The breakers of one zone: a table in one piece of shared memory.  Slots of
 * one size, an index of chains by hash, a list of the closed ones by use and a
 * list of the free ones; all links are slot numbers, so the memory may be
 * mapped at any address.
 *
 * The caller holds the zone's lock from brk_table_enter() to brk_table_leave().
 * The slots are the truth and the links can be made from them: should a process
 * be killed in between, the next one to enter finds the mark and rebuilds
 * the links, once, in time linear to the number of slots.  Every other function
 * takes constant time on the average.
 *
 * The hash is SipHash-1-3 (Aumasson, Bernstein) under a key of the zone, since
 * keys may come from clients.
 *
 * Nobody holds a reference to a slot: a call remembers the slot's number and
 * its serial "born", and finds its slot again or not.  So no leaked reference
 * can block an eviction.
 */


#ifndef _BRK_TABLE_H_INCLUDED_
#define _BRK_TABLE_H_INCLUDED_


#include <stddef.h>

#include "brk_state.h"


#pragma GCC visibility push(hidden)


#define BRK_KEY_MAX        255
#define BRK_NONE           0xffffffffu

#define BRK_TABLE_MAGIC    0x62726b74u
#define BRK_TABLE_VERSION  1


typedef struct {
    uint64_t       born;             /* 0: free */
    uint64_t       hash;
    uint32_t       next;             /* in the chain, or of the free ones */
    uint32_t       newer;            /* in the list of closed ones */
    uint32_t       older;
    uint32_t       inflight;         /* a hint: killed workers leave it high */
    uint32_t       seen;             /* the table's "added" at its last use */
    uint32_t       pad;
    brk_breaker_t  breaker;
    uint8_t        listed;           /* among the closed ones */
    uint8_t        digest;           /* a long key: a part, a digest */
    uint8_t        len;
    uint8_t        key[BRK_KEY_MAX];
} brk_slot_t;


typedef struct {
    uint32_t       magic;
    uint32_t       version;
    uint64_t       size;             /* bytes of the memory */
    uint64_t       seed[2];
    uint64_t       born;             /* serial of the newest slot */
    uint64_t       gen;              /* above every generation given so far */
    uint64_t       evicted;
    uint64_t       refused;          /* keys for which there was no place */
    uint64_t       repaired;
    uint32_t       busy;             /* a process is in the locked section */
    uint32_t       slots;
    uint32_t       buckets;          /* a power of 2 */
    uint32_t       used;
    uint32_t       free;
    uint32_t       newest;
    uint32_t       oldest;
    uint32_t       added;            /* keys added since the start */
} brk_table_t;


typedef struct {
    const uint8_t *data;
    uint8_t        len;              /* up to BRK_KEY_MAX */
    uint8_t        digest;
    uint64_t       hash;
} brk_key_t;


/* the permit that a call keeps until it is settled */

typedef struct {
    uint64_t       born;             /* 0: settled */
    uint32_t       index;
    uint32_t       state;            /* in which it was decided */
    brk_msec_t     wait;             /* when to retry a rejected call */
    brk_token_t    token;
} brk_permit_t;


/* creates an empty table in "size" bytes of memory; -1: they hold no slot */
int brk_table_init(brk_table_t *t, size_t size, const uint64_t seed[2]);

/* returns 0 if the memory holds a table of this layout and size */
int brk_table_check(const brk_table_t *t, size_t size);

/* repairs the table if a process was killed in the locked section */
void brk_table_enter(brk_table_t *t);
void brk_table_leave(brk_table_t *t);

/*
 * The common cases, without the lock.  The state may be outdated by the time it
 * is used; the permit then belongs to an earlier generation, like that of a
 * call that came a little earlier.
 *
 * brk_table_try_lockless() returns 1 and a permit if the breaker of the key is
 * closed.  With "hint", the place where the key was found last, it needs no
 * search.  If it returns 0, brk_table_refuse() returns 1 and the time to wait
 * if the breaker is open; otherwise brk_table_acquire() has to decide.
 */
static inline int brk_table_try_lockless(brk_table_t *t, const brk_key_t *key,
    const brk_permit_t *hint, brk_permit_t *permit);
static inline int brk_table_try_hint(brk_table_t *t, const brk_permit_t *hint,
    brk_permit_t *permit);
int brk_table_search(brk_table_t *t, const brk_key_t *key,
    brk_permit_t *permit);
static inline int brk_table_refuse(brk_table_t *t, brk_permit_t *permit,
    const brk_policy_t *policy, brk_msec_t now, unsigned dry);

/* the same for the end of a successful call; 0: call brk_table_settle() */
static inline int brk_table_pass(brk_table_t *t, brk_permit_t *permit,
    const brk_policy_t *policy, brk_msec_t now);

/*
 * brk_acquire() by key.  BRK_FULL: all breakers are open or forced, so that
 * none can be evicted, and the call is not guarded.  The permit of a call that
 * goes on is given to brk_table_settle(), which does nothing if its breaker has
 * been evicted.
 */
brk_verdict_e brk_table_acquire(brk_table_t *t, const brk_key_t *key,
    brk_clock_t *m, unsigned dry, brk_permit_t *permit);
void brk_table_settle(brk_table_t *t, brk_permit_t *permit, brk_clock_t *m,
    brk_outcome_t outcome);

/* brk_overdue() of a call that is under way */
void brk_table_overdue(brk_table_t *t, brk_permit_t *permit,
    brk_clock_t *m);

/* brk_late() of a probe; "permit" is a copy from before it was settled */
void brk_table_late(brk_table_t *t, const brk_permit_t *permit,
    brk_clock_t *m, brk_outcome_t outcome, unsigned probe);

/* needs no lock */
uint64_t brk_table_hash(const brk_table_t *t, const uint8_t *data, size_t len);

/* NULL: there is none */
brk_slot_t *brk_table_find(brk_table_t *t, const brk_key_t *key);

/*
 * Finds or creates the breaker of a key.  If the table is full, the least
 * recently used closed breaker is evicted, preferably one without calls under
 * way.  NULL: all are open or forced.
 */
brk_slot_t *brk_table_get(brk_table_t *t, const brk_key_t *key,
    brk_msec_t now);

/* the slot of a call, NULL: it has been given to another key */
brk_slot_t *brk_table_slot(brk_table_t *t, uint32_t index, uint64_t born);

/* any slot that is in use, NULL: free; to walk through all of them */
brk_slot_t *brk_table_at(brk_table_t *t, uint32_t index);


/* to be called after a breaker may have changed its state, or was used */
void brk_table_place(brk_table_t *t, brk_slot_t *slot, unsigned used);


/* 0: every link is right; linear, for tests */
int brk_table_verify(brk_table_t *t);


/* a read that the compiler neither repeats nor moves */

#define brk_read(x)  __atomic_load_n(&(x), __ATOMIC_ACQUIRE)


static inline uint32_t *
brk_buckets(brk_table_t *t)
{
    return (uint32_t *) (t + 1);
}


static inline brk_slot_t *
brk_slots(brk_table_t *t)
{
    return (brk_slot_t *) (brk_buckets(t) + t->buckets);
}


/* "born" is that of the slot when it was found to be the right one */
static inline int
brk_slot_try_lockless(brk_slot_t *slot, uint32_t index, uint64_t born,
    brk_permit_t *permit)
{
    permit->born = born;
    permit->index = index;
    permit->state = BRK_CLOSED;
    permit->token.gen = brk_read(slot->breaker.gen);
    permit->token.lease = 0;
    permit->token.counted = 0;

    if (born == 0
        || brk_read(slot->breaker.state) != BRK_CLOSED
        || brk_read(slot->breaker.gen) != permit->token.gen
        || brk_read(slot->born) != born)
    {
        return 0;
    }

    __atomic_fetch_add(&slot->inflight, 1, __ATOMIC_RELAXED);

    return 1;
}


static inline int
brk_table_try_lockless(brk_table_t *t, const brk_key_t *key,
    const brk_permit_t *hint, brk_permit_t *permit)
{
    brk_slot_t  *slot;

    if (hint->born) {
        slot = &brk_slots(t)[hint->index];

        if (brk_read(slot->born) == hint->born) {
            return brk_slot_try_lockless(slot, hint->index, hint->born,
                                         permit);
        }
    }

    return brk_table_search(t, key, permit);
}


/* the same, without a search */
static inline int
brk_table_try_hint(brk_table_t *t, const brk_permit_t *hint,
    brk_permit_t *permit)
{
    return hint->born
           && brk_slot_try_lockless(&brk_slots(t)[hint->index], hint->index,
                                    hint->born, permit);
}


static inline int
brk_table_refuse(brk_table_t *t, brk_permit_t *permit,
    const brk_policy_t *policy, brk_msec_t now, unsigned dry)
{
    uint64_t        gen;
    brk_slot_t     *slot;
    brk_breaker_t  *b;

    if (permit->born == 0) {
        return 0;
    }

    slot = &brk_slots(t)[permit->index];
    b = &slot->breaker;

    gen = brk_read(b->gen);

    permit->state = brk_read(b->state);

    if (permit->state == BRK_OPEN) {
        permit->wait = brk_read(b->open_until) - now;

        /* the recovery timeout is over, or the clock has jumped back */

        if ((int64_t) permit->wait <= 0
            || permit->wait > brk_longest(policy))
        {
            return 0;
        }

    } else if (permit->state == BRK_FORCED_OPEN) {
        permit->wait = policy->recovery_timeout;

    } else {
        return 0;
    }

    if (brk_read(b->gen) != gen || brk_read(slot->born) != permit->born) {
        return 0;
    }

    permit->token.gen = 0;

    if (dry) {
        __atomic_fetch_add(&slot->inflight, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&b->totals.dry_rejected, 1, __ATOMIC_RELAXED);

    } else {
        __atomic_fetch_add(&b->totals.rejected, 1, __ATOMIC_RELAXED);
    }

    return 1;
}


static inline int
brk_table_pass(brk_table_t *t, brk_permit_t *permit,
    const brk_policy_t *policy, brk_msec_t now)
{
    brk_slot_t  *slot;

    slot = &brk_slots(t)[permit->index];

    /* with that many new keys since its last use, it may soon be evicted */

    if (permit->token.lease
        || brk_read(slot->born) != permit->born
        || t->added - slot->seen > t->slots / 4
        || !brk_pass(&slot->breaker, policy, now, &permit->token))
    {
        return 0;
    }

    __atomic_fetch_sub(&slot->inflight, 1, __ATOMIC_RELAXED);

    permit->born = 0;

    return 1;
}


#pragma GCC visibility pop


#endif /* _BRK_TABLE_H_INCLUDED_ */
