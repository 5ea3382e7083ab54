
/* see agg_pb_keys.h */


#include "agg_pb_keys.h"
#include "gw_siphash.h"


static agg_rc_e agg_pb_keys_grow(agg_pb_keys_t *keys);


void
agg_pb_keys_init(agg_pb_keys_t *keys, agg_mem_t *mem, const uint64_t *key)
{
    keys->mem = mem;
    keys->key = key;
    keys->slots = keys->first;
    keys->n = 0;
    keys->mask = 0;
}


void
agg_pb_keys_free(agg_pb_keys_t *keys)
{
    if (keys->slots != keys->first) {
        keys->mem->grow(keys->mem->ctx, keys->slots, 0, 0);
        keys->slots = keys->first;
    }

    keys->n = 0;
    keys->mask = 0;
}


void
agg_pb_keys_clear(agg_pb_keys_t *keys)
{
    if (keys->n == 0) {
        return;
    }

    /* the table of a large map is freed, not cleared for each later map */

    if (keys->slots != keys->first) {
        agg_pb_keys_free(keys);
        return;
    }

    memset(keys->first, 0, sizeof(keys->first));
    keys->n = 0;
}


agg_rc_e
agg_pb_keys_add(agg_pb_keys_t *keys, uint32_t scope, const u_char *base,
    uint32_t start, uint32_t len, uint32_t value, agg_pb_key_t **old)
{
    uint32_t       hash, i, both[2];
    uint64_t       seed[2];
    agg_pb_key_t  *slot;

    *old = NULL;

    if (keys->mask == 0) {
        memset(keys->first, 0, sizeof(keys->first));
        keys->mask = AGG_PB_KEYS_INLINE - 1;
    }

    if (keys->n > keys->mask / 2 && agg_pb_keys_grow(keys) != AGG_OK) {
        return AGG_NOMEM;
    }

    seed[0] = keys->key[0] ^ scope;
    seed[1] = keys->key[1];

    both[0] = start;
    both[1] = len;

    hash = (uint32_t) (base ? gw_siphash(seed, base + start, len)
                            : gw_siphash(seed, (u_char *) both, sizeof(both)));

    for (i = hash; /* void */ ; i++) {
        slot = &keys->slots[i & keys->mask];

        if (slot->scope == 0) {
            break;
        }

        if (slot->hash == hash && slot->scope == scope + 1 && slot->len == len
            && (base ? memcmp(base + slot->start, base + start, len) == 0
                     : slot->start == start))
        {
            *old = slot;
            return AGG_OK;
        }
    }

    slot->hash = hash;
    slot->scope = scope + 1;
    slot->start = start;
    slot->len = len;
    slot->value = value;

    keys->n++;

    return AGG_OK;
}


static agg_rc_e
agg_pb_keys_grow(agg_pb_keys_t *keys)
{
    uint32_t       i, k, mask;
    agg_pb_key_t  *slots;

    mask = (keys->mask + 1) * 4 - 1;

    slots = keys->mem->grow(keys->mem->ctx, NULL, 0,
                            ((size_t) mask + 1) * sizeof(agg_pb_key_t));
    if (slots == NULL) {
        return AGG_NOMEM;
    }

    memset(slots, 0, ((size_t) mask + 1) * sizeof(agg_pb_key_t));

    for (i = 0; i <= keys->mask; i++) {

        if (keys->slots[i].scope == 0) {
            continue;
        }

        for (k = keys->slots[i].hash; slots[k & mask].scope; k++) {
            /* void */
        }

        slots[k & mask] = keys->slots[i];
    }

    if (keys->slots != keys->first) {
        keys->mem->grow(keys->mem->ctx, keys->slots, 0, 0);
    }

    keys->slots = slots;
    keys->mask = mask;

    return AGG_OK;
}
