
/* see agg_merge.h */

#include <string.h>

#include "agg_merge.h"
#include "gw_siphash.h"


#define AGG_MERGE_SLOTS  64


static agg_rc_e agg_merge_name(agg_merge_t *m, unsigned source,
    const agg_str_t *name);
static agg_merge_slot_t *agg_merge_find(const agg_merge_t *m,
    const agg_str_t *name, uint64_t hash);
static agg_rc_e agg_merge_grow(agg_merge_t *m);
static agg_rc_e agg_merge_hash(agg_merge_t *m, const agg_str_t *name,
    uint64_t *hash);


agg_rc_e
agg_merge_init(agg_merge_t *m, agg_merge_e policy, const uint64_t key[2],
    agg_mem_t *mem)
{
    memset(m, 0, sizeof(agg_merge_t));

    m->policy = policy;
    m->key[0] = key[0];
    m->key[1] = key[1];
    m->mem = mem;

    return agg_merge_grow(m);
}


agg_rc_e
agg_merge_add(agg_merge_t *m, unsigned source, const agg_str_t *name,
    const agg_str_t *object)
{
    agg_rc_e           rc;
    uint64_t           hash;
    agg_iter_t         it;
    agg_merge_slot_t  *slot;

    if (name != NULL) {
        return agg_merge_name(m, source, name);
    }

    if (m->policy == AGG_MERGE_ERROR) {

        agg_iter_init(&it, object);

        while (agg_iter_next(&it)) {

            rc = agg_merge_hash(m, &it.name, &hash);
            if (rc != AGG_OK) {
                return rc;
            }

            slot = agg_merge_find(m, &it.name, hash);

            if (slot->name.data != NULL) {
                return AGG_INVALID;
            }
        }
    }

    agg_iter_init(&it, object);

    while (agg_iter_next(&it)) {

        rc = agg_merge_name(m, source, &it.name);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_merge_name(agg_merge_t *m, unsigned source, const agg_str_t *name)
{
    agg_rc_e           rc;
    uint64_t           hash;
    agg_merge_slot_t  *slot;

    rc = agg_merge_hash(m, name, &hash);
    if (rc != AGG_OK) {
        return rc;
    }

    slot = agg_merge_find(m, name, hash);

    if (slot->name.data != NULL) {

        if (slot->source == source) {
            return AGG_OK;
        }

        if (m->policy == AGG_MERGE_ERROR) {
            return AGG_INVALID;
        }

        if (m->policy == AGG_MERGE_LAST) {
            slot->source = source;
        }

        return AGG_OK;
    }

    slot->name = *name;
    slot->hash = hash;
    slot->source = source;

    if (++m->used * 2 > m->mask) {
        return agg_merge_grow(m);
    }

    return AGG_OK;
}


int
agg_merge_owns(agg_merge_t *m, unsigned source, const agg_str_t *name)
{
    uint64_t           hash;
    agg_merge_slot_t  *slot;

    if (agg_merge_hash(m, name, &hash) != AGG_OK) {
        return 0;
    }

    slot = agg_merge_find(m, name, hash);

    return slot->name.data != NULL && slot->source == source;
}


static agg_merge_slot_t *
agg_merge_find(const agg_merge_t *m, const agg_str_t *name, uint64_t hash)
{
    size_t             i;
    agg_merge_slot_t  *slot;

    for (i = hash & m->mask; /* void */ ; i = (i + 1) & m->mask) {
        slot = &m->slots[i];

        if (slot->name.data == NULL
            || (slot->hash == hash && agg_json_names_equal(&slot->name, name)))
        {
            return slot;
        }
    }
}


static agg_rc_e
agg_merge_grow(agg_merge_t *m)
{
    size_t             i, k, n, mask;
    agg_merge_slot_t  *slots;

    n = m->slots == NULL ? AGG_MERGE_SLOTS : (m->mask + 1) * 4;

    slots = m->mem->alloc(m->mem->ctx, n * sizeof(agg_merge_slot_t));
    if (slots == NULL) {
        return AGG_NOMEM;
    }

    memset(slots, 0, n * sizeof(agg_merge_slot_t));

    mask = n - 1;

    for (i = 0; m->slots != NULL && i <= m->mask; i++) {

        if (m->slots[i].name.data == NULL) {
            continue;
        }

        k = m->slots[i].hash & mask;

        while (slots[k].name.data != NULL) {
            k = (k + 1) & mask;
        }

        slots[k] = m->slots[i];
    }

    m->slots = slots;
    m->mask = mask;

    return AGG_OK;
}


static agg_rc_e
agg_merge_hash(agg_merge_t *m, const agg_str_t *name, uint64_t *hash)
{
    size_t          n;
    unsigned char  *p, room[256];

    if (memchr(name->data, '\\', name->len) == NULL) {
        *hash = gw_siphash(m->key, name->data, name->len);
        return AGG_OK;
    }

    p = room;

    if (name->len > sizeof(room)) {
        p = m->mem->alloc(m->mem->ctx, name->len);
        if (p == NULL) {
            return AGG_NOMEM;
        }
    }

    n = agg_json_unescape_any(p, name);

    *hash = gw_siphash(m->key, p, n);

    return AGG_OK;
}
