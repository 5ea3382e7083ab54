
/*
 * A purge touches no stored response and needs no index of them.  It leaves
 * a mark in this table, under the hash of what it names: a tag, a URI, a
 * prefix, a key.  A response carries the place of the last purge known when
 * its origin was asked, and is good as long as none of its names has a later
 * mark.  So a purge also beats the fetch that was under way when it came,
 * and one event in a stream reaches every node.
 *
 * The table is a ring of slots, chained from an array of buckets.  In a full
 * ring the hand takes the next slot whose mark has not been renewed since the
 * hand came by last (CLOCK).  The table does not know any more what that mark
 * was for, so all that is older turns stale, which is a question to the
 * origin, and nothing is dropped.  A hash that two names share purges too
 * much, never too little.  Hard and soft purges of one name have a mark each.
 *
 * Order of writes: a writer that dies has either not applied its purge, and
 * "last" tells so, or has applied it.  A slot enters and leaves its chain by
 * a single store, so a chain is whole at any moment.  A check visits one
 * bucket for each hash, two slots on average at most, and none if the entry
 * is younger than the last purge.
 *
 * The place of an event is that of a stream of one epoch.  Places of another
 * epoch cannot be compared: what was born in one is stale.
 */


#include <string.h>

#include "agg_cache_purge.h"


#define AGG_CACHE_PURGE_NONE     0xffffffff

/*
 * A mark counts as renewed if it is set again after more purges than this
 * fraction of the ring, here 1/8.  A sooner repetition is only the stream's
 * copy of this node's own purge.
 */
#define AGG_CACHE_PURGE_RENEWED  8


static agg_cache_purge_slot_t *agg_cache_purges_slots(
    const agg_cache_purges_t *purges);
static uint32_t *agg_cache_purges_bucket(const agg_cache_purges_t *purges,
    uint64_t hash);
static agg_cache_purge_slot_t *agg_cache_purges_find(
    const agg_cache_purges_t *purges, uint64_t hash);
static uint64_t agg_cache_purges_name(uint64_t hash, int soft);
static void agg_cache_purges_mark(agg_cache_purges_t *purges, uint64_t hash,
    int soft, const agg_cache_mark_t *mark);
static uint32_t agg_cache_purges_free(agg_cache_purges_t *purges);
static void agg_cache_purges_unlink(agg_cache_purges_t *purges, uint32_t i);
static void agg_cache_mark_raise(agg_cache_mark_t *target,
    const agg_cache_mark_t *mark);
static int agg_cache_purge_tag(const agg_cache_str_t *tags, const u_char **p,
    agg_cache_str_t *tag);


/* at most one bucket for each mark */

size_t
agg_cache_purges_fit(size_t size)
{
    size_t  n;

    if (size <= sizeof(agg_cache_purges_t)) {
        return 0;
    }

    n = (size - sizeof(agg_cache_purges_t))
        / (sizeof(agg_cache_purge_slot_t) + sizeof(uint32_t));

    return n < AGG_CACHE_PURGE_NONE / 2 ? n : AGG_CACHE_PURGE_NONE / 2;
}


size_t
agg_cache_purges_size(size_t n)
{
    return sizeof(agg_cache_purges_t)
           + n * (sizeof(agg_cache_purge_slot_t) + sizeof(uint32_t));
}


void
agg_cache_purges_init(agg_cache_purges_t *purges, size_t n)
{
    size_t     i, buckets;
    uint32_t  *bucket;

    memset(purges, 0, agg_cache_purges_size(n));

    for (buckets = 1; buckets * 2 <= n; buckets *= 2) { /* void */ }

    purges->nelts = (uint32_t) n;
    purges->mask = (uint32_t) buckets - 1;

    bucket = agg_cache_purges_bucket(purges, 0);

    for (i = 0; i < buckets; i++) {
        bucket[i] = AGG_CACHE_PURGE_NONE;
    }
}


static agg_cache_purge_slot_t *
agg_cache_purges_slots(const agg_cache_purges_t *purges)
{
    return (agg_cache_purge_slot_t *) (uintptr_t) (purges + 1);
}


static uint32_t *
agg_cache_purges_bucket(const agg_cache_purges_t *purges, uint64_t hash)
{
    agg_cache_purge_slot_t  *slots;

    slots = agg_cache_purges_slots(purges);

    return (uint32_t *) (void *) (slots + purges->nelts)
           + (hash & purges->mask);
}


void
agg_cache_purges_apply(agg_cache_purges_t *purges, const uint64_t *hashes,
    size_t n, int soft, const agg_cache_id_t *id)
{
    size_t             i;
    agg_cache_mark_t   mark;

    if (id != NULL && agg_cache_id_compare(id, &purges->last.id) <= 0) {
        return;
    }

    mark.seq = purges->seq + 1;

    if (id != NULL) {
        mark.id = *id;

    } else {
        /* later than all entries that were fetched under the last event */

        mark.id.ms = purges->last.id.ms;
        mark.id.seq = purges->last.id.seq + 1;
    }

    for (i = 0; i < n; i++) {

        if (hashes[i] == 0) {
            agg_cache_mark_raise(soft ? &purges->soft : &purges->hard, &mark);

        } else {
            agg_cache_purges_mark(purges, hashes[i], soft, &mark);
        }
    }

    __atomic_store_n(&purges->seq, mark.seq, __ATOMIC_SEQ_CST);

    if (id != NULL) {
        purges->last.id = *id;
    }
}


void
agg_cache_purges_lost(agg_cache_purges_t *purges,
    const agg_cache_place_t *last)
{
    agg_cache_mark_t  mark;

    mark.seq = purges->seq + 1;
    mark.id = last->id;

    agg_cache_mark_raise(&purges->soft, &mark);

    __atomic_store_n(&purges->seq, mark.seq, __ATOMIC_SEQ_CST);

    purges->last = *last;
}


static void
agg_cache_mark_raise(agg_cache_mark_t *target, const agg_cache_mark_t *mark)
{
    if (agg_cache_id_compare(&mark->id, &target->id) > 0) {
        target->id = mark->id;
    }

    if (mark->seq > target->seq) {
        target->seq = mark->seq;
    }
}


static void
agg_cache_purges_mark(agg_cache_purges_t *purges, uint64_t hash, int soft,
    const agg_cache_mark_t *mark)
{
    uint32_t                 i, *bucket;
    agg_cache_purge_slot_t  *slot;

    hash = agg_cache_purges_name(hash, soft);
    slot = agg_cache_purges_find(purges, hash);

    if (slot != NULL) {
        agg_cache_mark_raise(&slot->mark, mark);
        return;
    }

    i = agg_cache_purges_free(purges);
    bucket = agg_cache_purges_bucket(purges, hash);

    slot = agg_cache_purges_slots(purges) + i;

    slot->hash = hash;
    slot->mark = *mark;
    slot->placed = (uint32_t) mark->seq;
    slot->next = *bucket;

    purges->count++;

    __atomic_store_n(&purges->hand, (i + 1) % purges->nelts,
                     __ATOMIC_SEQ_CST);
    __atomic_store_n(bucket, i, __ATOMIC_SEQ_CST);
}


/* soft marks have a name of their own */

static uint64_t
agg_cache_purges_name(uint64_t hash, int soft)
{
    return (soft && ~hash != 0) ? ~hash : hash;
}


/* the next slot, free or made free */

static uint32_t
agg_cache_purges_free(agg_cache_purges_t *purges)
{
    uint32_t                 i, n;
    agg_cache_purge_slot_t  *slots;

    slots = agg_cache_purges_slots(purges);
    i = purges->hand;

    /* each step cancels one renewal, so that many steps are rare */

    for (n = 0; n < purges->nelts; n++) {

        if ((uint32_t) slots[i].mark.seq - slots[i].placed
            <= purges->nelts / AGG_CACHE_PURGE_RENEWED)
        {
            break;
        }

        slots[i].placed = (uint32_t) slots[i].mark.seq;
        i = (i + 1) % purges->nelts;
    }

    if (slots[i].hash != 0) {

        agg_cache_mark_raise(&purges->soft, &slots[i].mark);
        agg_cache_purges_unlink(purges, i);

        slots[i].hash = 0;

        purges->count--;
        purges->evictions++;
    }

    return i;
}


static void
agg_cache_purges_unlink(agg_cache_purges_t *purges, uint32_t i)
{
    uint32_t                *link;
    agg_cache_purge_slot_t  *slots;

    slots = agg_cache_purges_slots(purges);

    for (link = agg_cache_purges_bucket(purges, slots[i].hash);
         *link < purges->nelts;
         link = &slots[*link].next)
    {
        if (*link == i) {
            __atomic_store_n(link, slots[i].next, __ATOMIC_SEQ_CST);
            return;
        }
    }
}


static agg_cache_purge_slot_t *
agg_cache_purges_find(const agg_cache_purges_t *purges, uint64_t hash)
{
    uint32_t                 i;
    agg_cache_purge_slot_t  *slots;

    slots = agg_cache_purges_slots(purges);

    for (i = *agg_cache_purges_bucket(purges, hash);
         i < purges->nelts;
         i = slots[i].next)
    {
        if (slots[i].hash == hash) {
            return &slots[i];
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

        if (slot != NULL && slot->mark.seq > born) {
            return AGG_CACHE_PURGED_HARD;
        }

        slot = agg_cache_purges_find(purges,
                                     agg_cache_purges_name(hashes[i], 1));

        if (slot != NULL && slot->mark.seq > born) {
            purged = AGG_CACHE_PURGED_SOFT;
        }
    }

    return purged;
}


agg_cache_purged_e
agg_cache_purges_check_place(const agg_cache_purges_t *purges,
    const uint64_t *hashes, size_t n, const agg_cache_place_t *born)
{
    size_t                         i;
    const agg_cache_id_t          *id;
    agg_cache_purged_e             purged;
    const agg_cache_purge_slot_t  *slot;

    id = &born->id;

    if (agg_cache_id_compare(&purges->hard.id, id) > 0) {
        return AGG_CACHE_PURGED_HARD;
    }

    purged = AGG_CACHE_PURGED_NOT;

    /*
     * The entry is of a stream that is gone, or this node is behind: no way to
     * tell
     */

    if (born->epoch != purges->last.epoch
        || agg_cache_id_compare(&purges->soft.id, id) > 0
        || agg_cache_id_compare(&purges->last.id, id) < 0)
    {
        purged = AGG_CACHE_PURGED_SOFT;
    }

    for (i = 0; i < n; i++) {

        slot = agg_cache_purges_find(purges, hashes[i]);

        if (slot != NULL && agg_cache_id_compare(&slot->mark.id, id) > 0) {
            return AGG_CACHE_PURGED_HARD;
        }

        slot = agg_cache_purges_find(purges,
                                     agg_cache_purges_name(hashes[i], 1));

        if (slot != NULL && agg_cache_id_compare(&slot->mark.id, id) > 0) {
            purged = AGG_CACHE_PURGED_SOFT;
        }
    }

    return purged;
}


size_t
agg_cache_purge_hashes(uint64_t *hashes, size_t n,
    const agg_cache_str_t *path, const agg_cache_str_t *tags)
{
    size_t            i, count, depth;
    const u_char     *p;
    agg_cache_str_t   tag;

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

    while (agg_cache_purge_tag(tags, &p, &tag)) {

        if (count < n) {
            hashes[count] = agg_cache_hash(AGG_CACHE_PURGE_TAG, tag.data,
                                           tag.len);
        }

        count++;
    }

    return count;
}


size_t
agg_cache_purge_add_tags(u_char *dst, const agg_cache_str_t *tags,
    const agg_cache_str_t *more)
{
    u_char           *last;
    const u_char     *p, *q;
    agg_cache_str_t   tag, old;

    last = dst;

    if (tags->len) {
        memcpy(last, tags->data, tags->len);
        last += tags->len;
    }

    p = more->data;

    while (agg_cache_purge_tag(more, &p, &tag)) {

        q = tags->data;

        while (agg_cache_purge_tag(tags, &q, &old)) {
            if (old.len == tag.len
                && memcmp(old.data, tag.data, tag.len) == 0)
            {
                break;
            }
        }

        if (old.len) {
            continue;
        }

        if (last != dst) {
            *last++ = ' ';
        }

        memcpy(last, tag.data, tag.len);
        last += tag.len;
    }

    return (size_t) (last - dst);
}


/* 0: there are no more tags */

static int
agg_cache_purge_tag(const agg_cache_str_t *tags, const u_char **p,
    agg_cache_str_t *tag)
{
    const u_char  *end;

    tag->len = 0;

    if (tags->len == 0) {
        return 0;
    }

    end = tags->data + tags->len;

    while (*p < end && (**p == ' ' || **p == '\t')) {
        (*p)++;
    }

    tag->data = *p;

    while (*p < end && **p != ' ' && **p != '\t') {
        (*p)++;
    }

    tag->len = (size_t) (*p - tag->data);

    return tag->len != 0;
}
