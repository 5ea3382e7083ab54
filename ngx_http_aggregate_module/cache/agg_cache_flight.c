
/*
 * One slot for each fetch under way, in sets of AGG_CACHE_FLIGHT_WAYS.  Where
 * a set is full, a fetch goes without a slot: others may then fetch the same,
 * which is no error.  A slot whose process died is taken over.
 *
 * A waiter remembers slot and token.  Tokens are never used twice in a slot,
 * so "the slot still has my token" is a plain read that needs no lock, and
 * a waiter cannot take a later fetch for the one it waits for.
 *
 * "Pass" remembers that what came under a key could not be kept, so that its
 * clients do not queue up behind each other.  It is a table with one place
 * for each hash: a newer mark replaces an older one, a lost mark costs one
 * wait, and a hash that two keys share costs a fetch.
 */


#include <string.h>

#include "agg_cache_flight.h"


#define AGG_CACHE_PASS_FACTOR  4


static agg_cache_flight_slot_t *agg_cache_flight_slot(
    const agg_cache_flights_t *flights, uint32_t slot);
static agg_cache_pass_t *agg_cache_pass(const agg_cache_flights_t *flights,
    const u_char *digest, uint64_t *hash);


size_t
agg_cache_flights_size(size_t n)
{
    size_t  sets, passes;

    sets = (n + AGG_CACHE_FLIGHT_WAYS - 1) / AGG_CACHE_FLIGHT_WAYS;

    for (passes = 1; passes < n * AGG_CACHE_PASS_FACTOR; passes *= 2) {
        /* void */
    }

    return sizeof(agg_cache_flights_t)
           + sets * AGG_CACHE_FLIGHT_WAYS * sizeof(agg_cache_flight_slot_t)
           + passes * sizeof(agg_cache_pass_t);
}


void
agg_cache_flights_init(agg_cache_flights_t *flights, size_t n)
{
    memset(flights, 0, agg_cache_flights_size(n));

    flights->sets = (n + AGG_CACHE_FLIGHT_WAYS - 1) / AGG_CACHE_FLIGHT_WAYS;
    flights->passes = 1;

    while (flights->passes < n * AGG_CACHE_PASS_FACTOR) {
        flights->passes *= 2;
    }
}


agg_cache_flight_e
agg_cache_flight_take(agg_cache_flights_t *flights, const u_char *digest,
    int32_t pid, uint64_t waiter, int (*alive)(int32_t pid), uint32_t *slot,
    uint64_t *token)
{
    uint32_t                  i, base, free;
    uint64_t                  words[4];
    agg_cache_flight_slot_t  *flight;

    memcpy(words, digest, sizeof(words));

    base = (uint32_t) (words[1] % flights->sets) * AGG_CACHE_FLIGHT_WAYS;
    free = UINT32_MAX;

    for (i = base; i < base + AGG_CACHE_FLIGHT_WAYS; i++) {

        flight = agg_cache_flight_slot(flights, i);

        if (flight->token == 0) {
            free = i;
            continue;
        }

        if (memcmp(flight->digest, words, sizeof(words)) != 0) {
            continue;
        }

        if (flight->pid != pid && !alive(flight->pid)) {
            free = i;
            break;
        }

        flight->waiters |= waiter;

        *slot = i;
        *token = flight->token;

        return AGG_CACHE_FLIGHT_WAIT;
    }

    for (i = base; i < base + AGG_CACHE_FLIGHT_WAYS && free == UINT32_MAX;
         i++)
    {
        if (!alive(agg_cache_flight_slot(flights, i)->pid)) {
            free = i;
        }
    }

    if (free == UINT32_MAX) {
        return AGG_CACHE_FLIGHT_NONE;
    }

    flight = agg_cache_flight_slot(flights, free);

    __atomic_store_n(&flight->token, 0, __ATOMIC_SEQ_CST);

    memcpy(flight->digest, words, sizeof(words));

    flight->pid = pid;
    flight->waiters = 0;
    flight->last++;

    __atomic_store_n(&flight->token, flight->last, __ATOMIC_SEQ_CST);

    *slot = free;
    *token = flight->last;

    return AGG_CACHE_FLIGHT_MINE;
}


/*
 * A slot is never held for longer than its waiters have patience, even if its
 * process died and another one, of something else, has got the same id
 */

int
agg_cache_flight_take_over(agg_cache_flights_t *flights, uint32_t slot,
    uint64_t *token, int32_t pid)
{
    agg_cache_flight_slot_t  *flight;

    flight = agg_cache_flight_slot(flights, slot);

    if (flight->token != *token) {
        return -1;
    }

    flight->pid = pid;
    flight->last++;

    __atomic_store_n(&flight->token, flight->last, __ATOMIC_SEQ_CST);

    *token = flight->last;

    return 0;
}


uint64_t
agg_cache_flight_end(agg_cache_flights_t *flights, uint32_t slot,
    uint64_t token)
{
    uint64_t                  waiters;
    agg_cache_flight_slot_t  *flight;

    flight = agg_cache_flight_slot(flights, slot);

    if (flight->token != token) {
        return 0;
    }

    waiters = flight->waiters;
    flight->waiters = 0;

    __atomic_store_n(&flight->token, 0, __ATOMIC_SEQ_CST);

    return waiters;
}


int
agg_cache_flight_held(const agg_cache_flights_t *flights, uint32_t slot,
    uint64_t token, int (*alive)(int32_t pid))
{
    agg_cache_flight_slot_t  *flight;

    flight = agg_cache_flight_slot(flights, slot);

    if (__atomic_load_n(&flight->token, __ATOMIC_SEQ_CST) != token) {
        return 0;
    }

    return alive == NULL || alive(flight->pid);
}


static agg_cache_flight_slot_t *
agg_cache_flight_slot(const agg_cache_flights_t *flights, uint32_t slot)
{
    return (agg_cache_flight_slot_t *) (void *) (uintptr_t) (flights + 1)
           + slot;
}


void
agg_cache_pass_set(agg_cache_flights_t *flights, const u_char *digest,
    int64_t now, int64_t until)
{
    uint64_t           hash;
    agg_cache_pass_t  *pass;

    pass = agg_cache_pass(flights, digest, &hash);

    if (pass->hash == hash && pass->until > until && until > now) {
        return;
    }

    pass->hash = hash;
    pass->until = until;
}


int
agg_cache_pass_test(const agg_cache_flights_t *flights, const u_char *digest,
    int64_t now)
{
    uint64_t           hash;
    agg_cache_pass_t  *pass;

    pass = agg_cache_pass(flights, digest, &hash);

    return pass->hash == hash && pass->until > now;
}


static agg_cache_pass_t *
agg_cache_pass(const agg_cache_flights_t *flights, const u_char *digest,
    uint64_t *hash)
{
    uint64_t  index;

    memcpy(hash, digest, sizeof(uint64_t));
    memcpy(&index, digest + 8, sizeof(uint64_t));

    return (agg_cache_pass_t *) (void *) agg_cache_flight_slot(flights,
                            (uint32_t) flights->sets * AGG_CACHE_FLIGHT_WAYS)
           + (index & (flights->passes - 1));
}
