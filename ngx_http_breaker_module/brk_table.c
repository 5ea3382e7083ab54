
#include <string.h>

#include "brk_table.h"


/* a process may be killed between any two stores, so their order matters */

#define brk_order()  __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* eviction prefers a slot without calls among this many of the oldest */

#define BRK_EVICT_LOOK  8

/* a lookup without the lock follows this many links: they may be changing */

#define BRK_GLANCE      8


static uint32_t brk_table_index(brk_table_t *t, const brk_slot_t *slot);
static void brk_table_repair(brk_table_t *t);
static uint32_t *brk_chain(brk_table_t *t, uint64_t hash);
static brk_slot_t *brk_table_take(brk_table_t *t);
static brk_slot_t *brk_table_evict(brk_table_t *t);
static void brk_table_chain(brk_table_t *t, brk_slot_t *slot);
static void brk_table_list(brk_table_t *t, brk_slot_t *slot);
static void brk_table_unlist(brk_table_t *t, brk_slot_t *slot);
static void brk_table_repair_slot(brk_table_t *t, brk_slot_t *slot);


int
brk_table_init(brk_table_t *t, size_t size, const uint64_t seed[2])
{
    size_t    each, room;
    uint32_t  i, slots, buckets;

    /* one to two buckets for each slot */

    each = sizeof(brk_slot_t) + 2 * sizeof(uint32_t);

    if (size < sizeof(brk_table_t) + each + 2 * sizeof(uint32_t)) {
        return -1;
    }

    room = (size - sizeof(brk_table_t)) / each;
    slots = (room > 0x7fffffff) ? 0x7fffffff : (uint32_t) room;

    for (buckets = 2; buckets <= slots / 2; buckets *= 2) { /* void */ }

    memset(t, 0, sizeof(brk_table_t));

    t->version = BRK_TABLE_VERSION;
    t->size = size;
    t->seed[0] = seed[0];
    t->seed[1] = seed[1];
    t->slots = slots;
    t->buckets = buckets * 2;

    while (sizeof(brk_table_t) + t->buckets * sizeof(uint32_t)
           + t->slots * sizeof(brk_slot_t) > size)
    {
        t->slots--;
    }

    for (i = 0; i < t->slots; i++) {
        brk_slots(t)[i].born = 0;
        brk_slots(t)[i].breaker.gen = 0;
    }

    brk_table_repair(t);

    t->repaired = 0;
    brk_order();
    t->magic = BRK_TABLE_MAGIC;

    return 0;
}


int
brk_table_check(const brk_table_t *t, size_t size)
{
    if (t->magic != BRK_TABLE_MAGIC
        || t->version != BRK_TABLE_VERSION
        || t->size != size)
    {
        return -1;
    }

    return 0;
}


void
brk_table_enter(brk_table_t *t)
{
    if (t->busy) {
        brk_table_repair(t);
    }

    t->busy = 1;
    brk_order();
}


void
brk_table_leave(brk_table_t *t)
{
    brk_order();
    t->busy = 0;
}


int
brk_table_search(brk_table_t *t, const brk_key_t *key, brk_permit_t *permit)
{
    uint32_t     i;
    uint64_t     born;
    unsigned     n;
    brk_slot_t  *slot;

    i = brk_read(*brk_chain(t, key->hash));

    for (n = 0; n < BRK_GLANCE && i < t->slots; n++) {

        slot = &brk_slots(t)[i];
        born = brk_read(slot->born);

        if (slot->hash == key->hash
            && slot->len == key->len
            && slot->digest == key->digest
            && memcmp(slot->key, key->data, key->len) == 0)
        {
            return brk_slot_try_lockless(slot, i, born, permit);
        }

        i = brk_read(slot->next);
    }

    permit->born = 0;

    return 0;
}


brk_verdict_e
brk_table_acquire(brk_table_t *t, const brk_key_t *key, brk_clock_t *m,
    unsigned dry, brk_permit_t *permit)
{
    brk_slot_t     *slot;
    brk_verdict_e   verdict;

    slot = brk_table_get(t, key, m->now);

    if (slot == NULL) {
        return BRK_FULL;
    }

    verdict = brk_acquire(&slot->breaker, m, dry, &permit->token,
                          &permit->wait);

    permit->index = brk_table_index(t, slot);
    permit->born = slot->born;
    permit->state = slot->breaker.state;

    if (verdict != BRK_REJECT || dry) {
        __atomic_fetch_add(&slot->inflight, 1, __ATOMIC_RELAXED);
    }

    brk_table_place(t, slot, 1);

    return verdict;
}


void
brk_table_settle(brk_table_t *t, brk_permit_t *permit, brk_clock_t *m,
    brk_outcome_t outcome)
{
    brk_slot_t  *slot;

    slot = brk_table_slot(t, permit->index, permit->born);

    if (slot == NULL) {
        m->event.from = m->event.to = BRK_CLOSED;
        return;
    }

    permit->born = 0;

    if (slot->inflight) {
        __atomic_fetch_sub(&slot->inflight, 1, __ATOMIC_RELAXED);
    }

    brk_settle(&slot->breaker, m, &permit->token, outcome);

    brk_table_place(t, slot, 1);
}


void
brk_table_overdue(brk_table_t *t, brk_permit_t *permit, brk_clock_t *m)
{
    brk_slot_t  *slot;

    slot = brk_table_slot(t, permit->index, permit->born);

    if (slot) {
        brk_overdue(&slot->breaker, m, &permit->token);
        brk_table_place(t, slot, 1);
    }
}


void
brk_table_late(brk_table_t *t, const brk_permit_t *permit, brk_clock_t *m,
    brk_outcome_t outcome, unsigned probe)
{
    brk_slot_t  *slot;

    slot = brk_table_slot(t, permit->index, permit->born);

    if (slot) {
        brk_late(&slot->breaker, m, permit->token.gen, outcome, probe);
        brk_table_place(t, slot, 1);
    }
}


#define brk_rotl(x, n)  (((x) << (n)) | ((x) >> (64 - (n))))

#define brk_sip_round(v)                                                      \
    v[0] += v[1]; v[2] += v[3];                                               \
    v[1] = brk_rotl(v[1], 13) ^ v[0]; v[3] = brk_rotl(v[3], 16) ^ v[2];       \
    v[0] = brk_rotl(v[0], 32);                                                \
    v[2] += v[1]; v[0] += v[3];                                               \
    v[1] = brk_rotl(v[1], 17) ^ v[2]; v[3] = brk_rotl(v[3], 21) ^ v[0];       \
    v[2] = brk_rotl(v[2], 32)


uint64_t
brk_table_hash(const brk_table_t *t, const uint8_t *data, size_t len)
{
    size_t    i, n;
    uint64_t  v[4], word;

    v[0] = t->seed[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] = t->seed[1] ^ UINT64_C(0x646f72616e646f6d);
    v[2] = t->seed[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = t->seed[1] ^ UINT64_C(0x7465646279746573);

    for (i = 0; /* void */ ; i += 8) {

        n = (len - i < 8) ? len - i : 8;

        word = 0;
        memcpy(&word, data + i, n);

        if (n < 8) {
            word |= (uint64_t) len << 56;
        }

        v[3] ^= word;
        brk_sip_round(v);
        v[0] ^= word;

        if (n < 8) {
            break;
        }
    }

    v[2] ^= 0xff;

    brk_sip_round(v);
    brk_sip_round(v);
    brk_sip_round(v);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


brk_slot_t *
brk_table_find(brk_table_t *t, const brk_key_t *key)
{
    uint32_t     i;
    brk_slot_t  *slot;

    for (i = *brk_chain(t, key->hash); i != BRK_NONE; i = slot->next) {

        slot = &brk_slots(t)[i];

        if (slot->hash == key->hash
            && slot->len == key->len
            && slot->digest == key->digest
            && memcmp(slot->key, key->data, key->len) == 0)
        {
            return slot;
        }
    }

    return NULL;
}


brk_slot_t *
brk_table_get(brk_table_t *t, const brk_key_t *key, brk_msec_t now)
{
    brk_slot_t  *slot;

    slot = brk_table_find(t, key);

    if (slot) {
        return slot;
    }

    slot = brk_table_take(t);

    if (slot == NULL) {
        t->refused++;
        return NULL;
    }

    brk_init(&slot->breaker, t->gen, now);

    slot->hash = key->hash;
    slot->inflight = 0;
    slot->listed = 0;
    slot->digest = key->digest;
    slot->len = key->len;
    memcpy(slot->key, key->data, key->len);

    brk_order();
    slot->born = ++t->born;
    t->added++;
    t->used++;

    brk_table_chain(t, slot);
    brk_table_list(t, slot);

    return slot;
}


brk_slot_t *
brk_table_slot(brk_table_t *t, uint32_t index, uint64_t born)
{
    brk_slot_t  *slot;

    slot = brk_table_at(t, index);

    return (slot && slot->born == born) ? slot : NULL;
}


brk_slot_t *
brk_table_at(brk_table_t *t, uint32_t index)
{
    brk_slot_t  *slot;

    if (index >= t->slots) {
        return NULL;
    }

    slot = &brk_slots(t)[index];

    return slot->born ? slot : NULL;
}


static uint32_t
brk_table_index(brk_table_t *t, const brk_slot_t *slot)
{
    return (uint32_t) (slot - brk_slots(t));
}


void
brk_table_place(brk_table_t *t, brk_slot_t *slot, unsigned used)
{
    if (used) {
        slot->seen = t->added;
    }

    if (slot->breaker.state != BRK_CLOSED) {
        if (slot->listed) {
            brk_table_unlist(t, slot);
        }

        return;
    }

    if (!slot->listed) {
        brk_table_list(t, slot);

    } else if (used && slot->newer != BRK_NONE) {
        brk_table_unlist(t, slot);
        brk_table_list(t, slot);
    }
}


/* the order of use is lost, which affects only the choice of evictions */

static void
brk_table_repair(brk_table_t *t)
{
    uint32_t     i, *bucket;
    brk_slot_t  *slot;

    bucket = brk_buckets(t);

    for (i = 0; i < t->buckets; i++) {
        bucket[i] = BRK_NONE;
    }

    t->newest = BRK_NONE;
    t->oldest = BRK_NONE;
    t->free = BRK_NONE;
    t->used = 0;

    for (i = t->slots; i-- > 0; /* void */ ) {
        slot = &brk_slots(t)[i];

        if (slot->born == 0) {
            slot->next = t->free;
            t->free = i;
            continue;
        }

        brk_table_repair_slot(t, slot);

        t->used++;
        brk_table_chain(t, slot);

        slot->listed = 0;
        brk_table_place(t, slot, 1);
    }

    t->repaired++;
}


int
brk_table_verify(brk_table_t *t)
{
    uint32_t     i, n, free, used, listed, prev;
    brk_key_t    key;
    brk_slot_t  *slot;

    used = 0;
    listed = 0;

    for (i = 0; i < t->slots; i++) {
        slot = brk_table_at(t, i);

        if (slot == NULL) {
            continue;
        }

        used++;
        listed += slot->listed;

        key.data = slot->key;
        key.len = slot->len;
        key.digest = slot->digest;
        key.hash = slot->hash;

        if (slot->born > t->born
            || slot->breaker.gen == 0
            || slot->breaker.state >= BRK_STATES
            || slot->listed != (slot->breaker.state == BRK_CLOSED)
            || brk_table_find(t, &key) != slot)
        {
            return -1;
        }
    }

    free = 0;

    for (i = t->free; i != BRK_NONE; i = brk_slots(t)[i].next) {
        if (i >= t->slots || brk_slots(t)[i].born || ++free > t->slots) {
            return -1;
        }
    }

    n = 0;
    prev = BRK_NONE;

    for (i = t->newest; i != BRK_NONE; i = slot->older) {
        slot = brk_table_at(t, i);

        if (slot == NULL || !slot->listed || slot->newer != prev
            || ++n > listed)
        {
            return -1;
        }

        prev = i;
    }

    return (n == listed && t->oldest == prev && used == t->used
            && used + free == t->slots) ? 0 : -1;
}


static uint32_t *
brk_chain(brk_table_t *t, uint64_t hash)
{
    return &brk_buckets(t)[hash & (t->buckets - 1)];
}


/* a free or an evicted slot, which is on no list; NULL: there is none */

static brk_slot_t *
brk_table_take(brk_table_t *t)
{
    brk_slot_t  *slot;

    if (t->free != BRK_NONE) {
        slot = &brk_slots(t)[t->free];
        t->free = slot->next;

    } else {
        slot = brk_table_evict(t);
    }

    if (slot) {
        if (t->gen <= slot->breaker.gen) {
            t->gen = slot->breaker.gen;
        }

        t->gen++;
    }

    return slot;
}


static brk_slot_t *
brk_table_evict(brk_table_t *t)
{
    uint32_t     i, *link;
    unsigned     n;
    brk_slot_t  *slot;

    if (t->oldest == BRK_NONE) {
        return NULL;
    }

    i = t->oldest;

    for (n = 0; n < BRK_EVICT_LOOK && i != BRK_NONE; n++) {
        slot = &brk_slots(t)[i];

        if (slot->inflight == 0) {
            break;
        }

        i = slot->newer;
    }

    if (n == BRK_EVICT_LOOK || i == BRK_NONE) {
        i = t->oldest;
    }

    slot = &brk_slots(t)[i];

    slot->born = 0;
    brk_order();

    brk_table_unlist(t, slot);

    for (link = brk_chain(t, slot->hash);
         *link != i;
         link = &brk_slots(t)[*link].next)
    {
        /* void */
    }

    *link = slot->next;

    t->used--;
    t->evicted++;

    return slot;
}


static void
brk_table_chain(brk_table_t *t, brk_slot_t *slot)
{
    uint32_t  *bucket;

    bucket = brk_chain(t, slot->hash);

    slot->next = *bucket;
    *bucket = brk_table_index(t, slot);
}


static void
brk_table_list(brk_table_t *t, brk_slot_t *slot)
{
    uint32_t  i;

    i = brk_table_index(t, slot);

    slot->newer = BRK_NONE;
    slot->older = t->newest;
    slot->listed = 1;

    if (t->newest != BRK_NONE) {
        brk_slots(t)[t->newest].newer = i;

    } else {
        t->oldest = i;
    }

    t->newest = i;
}


static void
brk_table_unlist(brk_table_t *t, brk_slot_t *slot)
{
    if (slot->newer != BRK_NONE) {
        brk_slots(t)[slot->newer].older = slot->older;

    } else {
        t->newest = slot->older;
    }

    if (slot->older != BRK_NONE) {
        brk_slots(t)[slot->older].newer = slot->newer;

    } else {
        t->oldest = slot->newer;
    }

    slot->listed = 0;
}


static void
brk_table_repair_slot(brk_table_t *t, brk_slot_t *slot)
{
    slot->hash = brk_table_hash(t, slot->key, slot->len);
    slot->inflight = 0;

    brk_repair(&slot->breaker);

    if (t->born < slot->born) {
        t->born = slot->born;
    }
}
