
/*
 * A purge touches no stored response and needs no index of them.  It leaves
 * a mark in this table, under the hash of what it names: a tag, a URI, a
 * prefix, a key.  A response carries the place of the last purge known when
 * its origin was asked, and is good as long as none of its names has a later
 * mark.  So a purge also beats the fetch that was under way when it came,
 * and one event in a stream reaches every node.
 *
 * The table is an array of sets of AGG_CACHE_PURGE_WAYS slots.  In a full
 * set the oldest mark is replaced, after the floor has been raised to it: as
 * the table does not know any more what was purged then, whatever is older
 * counts as purged.  A hash that two names share purges too much, never too
 * little.
 *
 * Order of writes: a writer that dies has either not applied its purge, and
 * "last" tells so, or has applied it.  Checks cost one set for each hash, and
 * nothing for what is younger than the last purge.
 */


#include <string.h>

#include "agg_cache_purge.h"


static agg_cache_purge_slot_t *agg_cache_purges_slot(
    agg_cache_purges_t *purges, uint64_t hash);
static const agg_cache_purge_slot_t *agg_cache_purges_find(
    const agg_cache_purges_t *purges, uint64_t hash);


size_t
agg_cache_purges_size(size_t n)
{
    n = (n + AGG_CACHE_PURGE_WAYS - 1) / AGG_CACHE_PURGE_WAYS;

    return sizeof(agg_cache_purges_t)
           + n * AGG_CACHE_PURGE_WAYS * sizeof(agg_cache_purge_slot_t);
}


void
agg_cache_purges_init(agg_cache_purges_t *purges, size_t n)
{
    memset(purges, 0, agg_cache_purges_size(n));

    purges->sets = (n + AGG_CACHE_PURGE_WAYS - 1) / AGG_CACHE_PURGE_WAYS;
}


void
agg_cache_purges_apply(agg_cache_purges_t *purges, uint64_t hash, int soft,
    const agg_cache_id_t *id)
{
    agg_cache_mark_t        *target, mark;
    agg_cache_purge_slot_t  *slot;

    if (id != NULL && agg_cache_id_compare(id, &purges->last) <= 0) {
        return;
    }

    mark.seq = purges->seq + 1;

    if (id != NULL) {
        mark.id = *id;

    } else {
        /* later than all that was born under the last event */
        mark.id.ms = purges->last.ms;
        mark.id.seq = purges->last.seq + 1;
    }

    if (hash == 0) {
        target = soft ? &purges->soft : &purges->hard;

    } else {
        slot = agg_cache_purges_slot(purges, hash);
        target = soft ? &slot->soft : &slot->hard;
    }

    if (agg_cache_id_compare(&mark.id, &target->id) < 0) {
        mark.id = target->id;
    }

    *target = mark;

    purges->seq = mark.seq;

    if (id != NULL) {
        purges->last = *id;
    }
}


void
agg_cache_purges_lost(agg_cache_purges_t *purges, const agg_cache_id_t *last)
{
    purges->soft.seq = purges->seq + 1;

    if (agg_cache_id_compare(last, &purges->soft.id) > 0) {
        purges->soft.id = *last;
    }

    purges->seq = purges->soft.seq;
    purges->last = *last;
}


static agg_cache_purge_slot_t *
agg_cache_purges_slot(agg_cache_purges_t *purges, uint64_t hash)
{
    unsigned                 i;
    uint64_t                 seq, oldest;
    agg_cache_purge_slot_t  *slot, *victim;

    slot = (agg_cache_purge_slot_t *) (void *) (purges + 1);
    slot += (hash % purges->sets) * AGG_CACHE_PURGE_WAYS;

    victim = slot;
    oldest = UINT64_MAX;

    for (i = 0; i < AGG_CACHE_PURGE_WAYS; i++) {

        if (slot[i].hash == hash) {
            return &slot[i];
        }

        seq = slot[i].hard.seq > slot[i].soft.seq ? slot[i].hard.seq
                                                  : slot[i].soft.seq;

        if (seq < oldest) {
            oldest = seq;
            victim = &slot[i];
        }
    }

    if (victim->hash != 0) {

        if (victim->hard.seq > purges->hard.seq) {
            purges->hard.seq = victim->hard.seq;
        }

        if (agg_cache_id_compare(&victim->hard.id, &purges->hard.id) > 0) {
            purges->hard.id = victim->hard.id;
        }

        if (victim->soft.seq > purges->soft.seq) {
            purges->soft.seq = victim->soft.seq;
        }

        if (agg_cache_id_compare(&victim->soft.id, &purges->soft.id) > 0) {
            purges->soft.id = victim->soft.id;
        }

        memset(victim, 0, sizeof(agg_cache_purge_slot_t));
    }

    victim->hash = hash;

    return victim;
}


static const agg_cache_purge_slot_t *
agg_cache_purges_find(const agg_cache_purges_t *purges, uint64_t hash)
{
    unsigned                       i;
    const agg_cache_purge_slot_t  *slot;

    slot = (const agg_cache_purge_slot_t *) (const void *) (purges + 1);
    slot += (hash % purges->sets) * AGG_CACHE_PURGE_WAYS;

    for (i = 0; i < AGG_CACHE_PURGE_WAYS; i++) {
        if (slot[i].hash == hash) {
            return &slot[i];
        }
    }

    return NULL;
}


agg_cache_purged_e
agg_cache_purges_check(const agg_cache_purges_t *purges,
    const uint64_t *hashes, size_t n, uint64_t born)
{
    size_t                         i;
    agg_cache_purged_e             purged;
    const agg_cache_purge_slot_t  *slot;

    if (born >= purges->seq) {
        return AGG_CACHE_PURGED_NOT;
    }

    if (purges->hard.seq > born) {
        return AGG_CACHE_PURGED_HARD;
    }

    purged = (purges->soft.seq > born) ? AGG_CACHE_PURGED_SOFT
                                       : AGG_CACHE_PURGED_NOT;

    for (i = 0; i < n; i++) {

        slot = agg_cache_purges_find(purges, hashes[i]);

        if (slot == NULL) {
            continue;
        }

        if (slot->hard.seq > born) {
            return AGG_CACHE_PURGED_HARD;
        }

        if (slot->soft.seq > born) {
            purged = AGG_CACHE_PURGED_SOFT;
        }
    }

    return purged;
}


agg_cache_purged_e
agg_cache_purges_check_id(const agg_cache_purges_t *purges,
    const uint64_t *hashes, size_t n, const agg_cache_id_t *born)
{
    size_t                         i;
    agg_cache_purged_e             purged;
    const agg_cache_purge_slot_t  *slot;

    if (agg_cache_id_compare(&purges->hard.id, born) > 0) {
        return AGG_CACHE_PURGED_HARD;
    }

    purged = AGG_CACHE_PURGED_NOT;

    /* from a stream that is gone, or this node is behind: no way to tell */

    if (agg_cache_id_compare(&purges->soft.id, born) > 0
        || agg_cache_id_compare(&purges->last, born) < 0)
    {
        purged = AGG_CACHE_PURGED_SOFT;
    }

    for (i = 0; i < n; i++) {

        slot = agg_cache_purges_find(purges, hashes[i]);

        if (slot == NULL) {
            continue;
        }

        if (agg_cache_id_compare(&slot->hard.id, born) > 0) {
            return AGG_CACHE_PURGED_HARD;
        }

        if (agg_cache_id_compare(&slot->soft.id, born) > 0) {
            purged = AGG_CACHE_PURGED_SOFT;
        }
    }

    return purged;
}


size_t
agg_cache_purge_hashes(uint64_t *hashes, size_t n,
    const agg_cache_str_t *path, const agg_cache_str_t *tags)
{
    size_t         i, count, depth, len;
    const u_char  *p, *end;

    count = 0;
    depth = 0;

    for (i = 0; i < path->len && depth < AGG_CACHE_PURGE_DEPTH; i++) {

        if (path->data[i] != '/') {
            continue;
        }

        depth++;

        if (count < n) {
            hashes[count] = agg_cache_hash(AGG_CACHE_PURGE_PREFIX,
                                           path->data, i + 1);
        }

        count++;
    }

    p = tags->data;
    end = p + tags->len;

    while (p < end) {

        if (*p == ' ' || *p == '\t') {
            p++;
            continue;
        }

        for (len = 0; p + len < end; len++) {
            if (p[len] == ' ' || p[len] == '\t') {
                break;
            }
        }

        if (count < n) {
            hashes[count] = agg_cache_hash(AGG_CACHE_PURGE_TAG, p, len);
        }

        count++;
        p += len;
    }

    return count;
}
