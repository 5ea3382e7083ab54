
/*
 * Batches: one call for the keys of many parents, whose result is distributed
 * to these parents.
 */


#include "agg_gql_exec.h"
#include "agg_block.h"
#include "gw_siphash.h"


/* sites whose calls differ only in their keys */

typedef struct agg_gql_group_s  agg_gql_group_t;

struct agg_gql_group_s {
    uint64_t                  digest[2];    /* of the common request */
    agg_gql_site_t           *sites;
    agg_gql_site_t          **last;
    agg_gql_group_t          *next;
};


/* distinct keys, and the calls that they belong to */

typedef struct {
    agg_gql_key_t           **table;        /* by their hashes */
    uint32_t                  mask;
    uint32_t                  n;            /* of the newest call */
    agg_gql_key_t           **last;         /* its list, NULL: no call */
    agg_gql_call_t           *call;
    agg_gql_call_t           *calls;
    agg_gql_call_t          **last_call;
} agg_gql_keys_t;


static agg_rc_e agg_gql_batch_group(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_site_t *site, agg_gql_group_t **groups, agg_gql_group_t **table,
    uint32_t mask);
static void agg_gql_batch_digest(agg_gql_exec_t *e,
    const agg_gql_call_t *call, uint64_t digest[2]);
static agg_rc_e agg_gql_batch_keys(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_site_t *sites);
static agg_rc_e agg_gql_keys_init(agg_gql_exec_t *e, agg_gql_keys_t *keys,
    const agg_gql_site_t *site);
static agg_rc_e agg_gql_keys_add(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_keys_t *keys, const agg_gql_key_t *found, agg_gql_key_t **key);
static agg_rc_e agg_gql_keys_send(agg_gql_exec_t *e, agg_gql_keys_t *keys);
static agg_rc_e agg_gql_batch_key(agg_gql_exec_t *e,
    const agg_gql_site_t *site, agg_gql_key_t *key, agg_gql_call_e *error);
static agg_rc_e agg_gql_batch_send(agg_gql_exec_t *e, agg_gql_call_t *call,
    uint32_t nkeys);
static agg_gql_key_t *agg_gql_batch_find(const agg_gql_call_t *call,
    const agg_str_t *plain);
static agg_rc_e agg_gql_batch_add(agg_gql_exec_t *e, agg_gql_key_t *key,
    const agg_str_t *value);
static agg_rc_e agg_gql_batch_list(agg_gql_exec_t *e, agg_gql_call_t *call);
static agg_rc_e agg_gql_batch_members(agg_gql_exec_t *e,
    agg_gql_call_t *call);


static const agg_str_t  agg_gql_no_keys = { 2, (u_char *) "[]" };


agg_rc_e
agg_gql_batch_start(agg_gql_exec_t *e, agg_gql_state_t *state)
{
    uint32_t           n;
    agg_rc_e           rc;
    agg_gql_site_t    *site, *next;
    agg_gql_group_t   *groups, **table;

    if (!state->node->binding->by_parent) {
        return agg_gql_batch_keys(e, state, state->batch);
    }

    for (n = 0, site = state->batch; site != NULL; site = site->same) {
        n++;
    }

    n = (n < 4) ? 8 : 1u << (33 - __builtin_clz(n));

    table = e->mem->alloc(e->mem->ctx, n * sizeof(agg_gql_group_t *));
    if (table == NULL) {
        return AGG_NOMEM;
    }

    memset(table, 0, n * sizeof(agg_gql_group_t *));

    groups = NULL;

    for (site = state->batch; site != NULL; site = next) {
        next = site->same;
        site->same = NULL;

        rc = agg_gql_batch_group(e, state, site, &groups, table, n - 1);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    for ( /* void */ ; groups != NULL; groups = groups->next) {
        rc = agg_gql_batch_keys(e, state, groups->sites);

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


/* the call is rendered to be compared only */

static agg_rc_e
agg_gql_batch_group(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_site_t *site, agg_gql_group_t **groups, agg_gql_group_t **table,
    uint32_t mask)
{
    uint32_t          i;
    uint64_t          digest[2];
    agg_rc_e          rc;
    agg_gql_call_t   *call;
    agg_gql_mark_t    back;
    agg_gql_group_t  *group;

    agg_gql_arena_mark(&e->arena, &back);

    rc = agg_gql_call_create(e, state, &call);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_gql_call_render(e, call, site, &agg_gql_no_keys);
    if (rc != AGG_OK) {
        return rc;
    }

    if (call->error != AGG_GQL_CALL_OK) {
        rc = agg_gql_exec_failed(e, state, call->error, site);
        return (rc == AGG_OK) ? agg_gql_call_back(e, call, &back) : rc;
    }

    agg_gql_batch_digest(e, call, digest);

    rc = agg_gql_call_back(e, call, &back);
    if (rc != AGG_OK) {
        return rc;
    }

    for (i = (uint32_t) digest[0] & mask;
         table[i] != NULL;
         i = (i + 1) & mask)
    {
        group = table[i];

        if (group->digest[0] == digest[0] && group->digest[1] == digest[1]) {
            *group->last = site;
            group->last = &site->same;
            return AGG_OK;
        }
    }

    group = e->mem->alloc(e->mem->ctx, sizeof(agg_gql_group_t));
    if (group == NULL) {
        return AGG_NOMEM;
    }

    group->digest[0] = digest[0];
    group->digest[1] = digest[1];
    group->sites = site;
    group->last = &site->same;
    group->next = *groups;

    *groups = group;
    table[i] = group;

    return AGG_OK;
}


/* two keyed hashes: requests may be too large to be kept for each group */

static void
agg_gql_batch_digest(agg_gql_exec_t *e, const agg_gql_call_t *call,
    uint64_t digest[2])
{
    unsigned          i, k;
    uint64_t          key[2];
    const agg_str_t  *s;

    digest[0] = e->hash_key[0];
    digest[1] = ~e->hash_key[0];

    for (i = 0; i < 3 + call->binding->nheaders; i++) {

        s = (i == 0) ? &call->path
            : (i == 1) ? &call->args
            : (i == 2) ? &call->body : &call->headers[i - 3];

        for (k = 0; k < 2; k++) {
            key[0] = digest[k];
            key[1] = e->hash_key[1];

            digest[k] = gw_siphash(key, (s->len != 0) ? s->data
                                                      : (u_char *) "", s->len);
        }
    }
}


/*
 * Distinct keys in the order of their parents, a limited number for each call
 */

static agg_rc_e
agg_gql_batch_keys(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_site_t *sites)
{
    uint32_t         started;
    agg_rc_e         rc;
    agg_gql_key_t   *key, found;
    agg_gql_keys_t   keys;
    agg_gql_mark_t   mark;
    agg_gql_call_e   error;
    agg_gql_site_t  *site, *next;

    started = e->started;
    agg_gql_arena_mark(&e->arena, &mark);

    rc = agg_gql_keys_init(e, &keys, sites);
    if (rc != AGG_OK) {
        return rc;
    }

    for (site = sites; site != NULL; site = next) {
        next = site->same;
        site->same = NULL;

        memset(&found, 0, sizeof(agg_gql_key_t));

        rc = agg_gql_batch_key(e, site, &found, &error);

        if (rc == AGG_OK && error != AGG_GQL_CALL_OK) {
            rc = agg_gql_exec_failed(e, state, error, site);

        } else if (rc == AGG_OK && found.plain.data == NULL) {
            rc = agg_gql_site_ended(e, site);
        }

        if (rc != AGG_OK) {
            return rc;
        }

        if (found.plain.data == NULL) {
            continue;
        }

        rc = agg_gql_keys_add(e, state, &keys, &found, &key);
        if (rc != AGG_OK) {
            return rc;
        }

        site->key = key;
        site->call = key->call;
        site->same = key->call->sites;
        key->call->sites = site;
    }

    rc = agg_gql_keys_send(e, &keys);

    if (rc == AGG_OK && e->started == started) {
        agg_gql_arena_back(&e->arena, &mark);
    }

    return rc;
}


static agg_rc_e
agg_gql_keys_init(agg_gql_exec_t *e, agg_gql_keys_t *keys,
    const agg_gql_site_t *site)
{
    uint32_t  n;

    for (n = 0; site != NULL; site = site->same) {
        n++;
    }

    n = (n < 4) ? 8 : 1u << (33 - __builtin_clz(n));

    memset(keys, 0, sizeof(agg_gql_keys_t));

    keys->mask = n - 1;
    keys->last_call = &keys->calls;

    keys->table = e->arena.mem.alloc(&e->arena, n * sizeof(agg_gql_key_t *));
    if (keys->table == NULL) {
        return AGG_NOMEM;
    }

    memset(keys->table, 0, n * sizeof(agg_gql_key_t *));

    return AGG_OK;
}


/* finds a key that is equal, or adds this one */

static agg_rc_e
agg_gql_keys_add(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_keys_t *keys, const agg_gql_key_t *found, agg_gql_key_t **key)
{
    uint32_t        i;
    agg_rc_e        rc;
    agg_gql_key_t  *k;

    for (i = found->hash & keys->mask;
         keys->table[i] != NULL;
         i = (i + 1) & keys->mask)
    {
        k = keys->table[i];

        if (k->hash == found->hash && agg_gql_equal(&k->plain, &found->plain))
        {
            *key = k;
            return AGG_OK;
        }
    }

    if (keys->last == NULL || keys->n == keys->call->binding->size) {

        rc = agg_gql_call_create(e, state, &keys->call);
        if (rc != AGG_OK) {
            return rc;
        }

        *keys->last_call = keys->call;
        keys->last_call = &keys->call->next;
        keys->last = &keys->call->keys;
        keys->n = 0;
    }

    k = e->arena.mem.alloc(&e->arena, sizeof(agg_gql_key_t));
    if (k == NULL) {
        return AGG_NOMEM;
    }

    *k = *found;
    k->call = keys->call;
    k->last = &k->items;

    *keys->last = k;
    keys->last = &k->next;
    keys->n++;

    keys->table[i] = k;
    *key = k;

    return AGG_OK;
}


static agg_rc_e
agg_gql_keys_send(agg_gql_exec_t *e, agg_gql_keys_t *keys)
{
    uint32_t         n;
    agg_rc_e         rc;
    agg_gql_key_t   *key;
    agg_gql_call_t  *call, *next;

    for (call = keys->calls; call != NULL; call = next) {
        next = call->next;
        call->next = NULL;

        for (n = 0, key = call->keys; key != NULL; key = key->next) {
            n++;
        }

        rc = agg_gql_batch_send(e, call, n);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


/* the key of a parent; plain.data is NULL if it has none */

static agg_rc_e
agg_gql_batch_key(agg_gql_exec_t *e, const agg_gql_site_t *site,
    agg_gql_key_t *key, agg_gql_call_e *error)
{
    *error = AGG_GQL_CALL_OK;

    key->raw = site->raw;

    if (key->raw.data == NULL || agg_json_kind(&key->raw) == AGG_NULL) {
        return AGG_OK;
    }

    switch (agg_gql_plain(&key->raw, &e->arena.mem, &key->plain)) {

    case AGG_OK:
        key->hash = agg_gql_exec_hash(e, &key->plain);
        break;

    case AGG_NOT_FOUND:
    case AGG_INVALID:
        key->plain.data = NULL;
        *error = AGG_GQL_CALL_DEPENDENCY;
        break;

    default:
        return AGG_NOMEM;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_batch_send(agg_gql_exec_t *e, agg_gql_call_t *call, uint32_t nkeys)
{
    uint32_t        i, n;
    agg_rc_e        rc;
    agg_buf_t       b;
    agg_str_t       keys;
    agg_gql_key_t  *key;
    agg_gql_mark_t  mark;

    agg_gql_arena_mark(&e->arena, &mark);

    for (n = 4; n < 2 * nkeys; n *= 2) { /* void */ }

    call->mask = n - 1;
    call->table = e->arena.mem.alloc(&e->arena, n * sizeof(agg_gql_key_t *));

    if (call->table == NULL) {
        return AGG_NOMEM;
    }

    memset(call->table, 0, n * sizeof(agg_gql_key_t *));

    agg_buf_init(&b, &e->arena.mem, (size_t) -1 / 4);

    rc = agg_buf_append(&b, "[", 1);

    for (key = call->keys; rc == AGG_OK && key != NULL; key = key->next) {

        for (i = key->hash & call->mask;
             call->table[i] != NULL;
             i = (i + 1) & call->mask)
        {
            /* void */
        }

        call->table[i] = key;

        rc = agg_buf_append(&b, key->raw.data, key->raw.len);

        if (rc == AGG_OK) {
            rc = agg_buf_append(&b, (key->next != NULL) ? "," : "]", 1);
        }
    }

    if (rc != AGG_OK) {
        return rc;
    }

    keys.data = b.start;
    keys.len = agg_buf_used(&b);

    rc = agg_gql_call_render(e, call, call->sites, &keys);

    if (rc == AGG_OK) {
        rc = agg_gql_call_send(e, call);
    }

    if (rc == AGG_OK && call->error != AGG_GQL_CALL_OK) {
        rc = agg_gql_call_back(e, call, &mark);
    }

    return rc;
}


agg_rc_e
agg_gql_batch_result(agg_gql_exec_t *e, agg_gql_call_t *call)
{
    agg_gql_site_t  *site;

    if (call->failed || call->null) {
        return AGG_OK;
    }

    switch (agg_json_kind(&call->value)) {

    case AGG_NULL:
        return AGG_OK;

    case AGG_ARRAY:
        return agg_gql_batch_list(e, call);

    case AGG_OBJECT:
        return agg_gql_batch_members(e, call);

    default:
        break;
    }

    for (site = call->sites; site != NULL; site = site->same) {
        site->state = AGG_GQL_SITE_INVALID;
    }

    return AGG_OK;
}


/* items with other keys than the requested ones are left out */

static agg_rc_e
agg_gql_batch_list(agg_gql_exec_t *e, agg_gql_call_t *call)
{
    agg_rc_e        rc;
    agg_str_t       by, plain;
    agg_iter_t      it;
    agg_gql_key_t  *key;

    agg_iter_init(&it, &call->value);

    while (agg_iter_next(&it)) {

        if (!agg_gql_path(call->binding->by, &it.value, &by)) {
            continue;
        }

        rc = agg_gql_plain(&by, e->mem, &plain);

        if (rc == AGG_NOMEM) {
            return rc;
        }

        key = (rc == AGG_OK) ? agg_gql_batch_find(call, &plain) : NULL;

        if (key == NULL) {
            continue;
        }

        rc = agg_gql_batch_add(e, key, &it.value);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_batch_members(agg_gql_exec_t *e, agg_gql_call_t *call)
{
    int             list;
    u_char         *p;
    agg_rc_e        rc;
    agg_str_t       name;
    agg_iter_t      it, elements;
    agg_gql_key_t  *key;

    list = agg_gql_is_list(call->state->node->wraps);

    agg_iter_init(&it, &call->value);

    while (agg_iter_next(&it)) {

        name = it.name;

        if (name.len != 0 && memchr(name.data, '\\', name.len) != NULL) {

            p = e->mem->alloc(e->mem->ctx, name.len);
            if (p == NULL) {
                return AGG_NOMEM;
            }

            name.len = agg_json_unescape_any(p, &it.name);
            name.data = p;
        }

        key = agg_gql_batch_find(call, &name);

        if (key == NULL || agg_json_kind(&it.value) == AGG_NULL) {
            continue;
        }

        /* the last one of duplicate members is used */

        key->items = NULL;
        key->last = &key->items;

        agg_iter_init(&elements, &it.value);

        if (!list || elements.kind != AGG_ARRAY) {
            rc = agg_gql_batch_add(e, key, &it.value);

            if (rc != AGG_OK) {
                return rc;
            }

            continue;
        }

        while (agg_iter_next(&elements)) {
            rc = agg_gql_batch_add(e, key, &elements.value);

            if (rc != AGG_OK) {
                return rc;
            }
        }
    }

    return AGG_OK;
}


static agg_gql_key_t *
agg_gql_batch_find(const agg_gql_call_t *call, const agg_str_t *plain)
{
    uint32_t        i, hash;
    agg_gql_key_t  *key;

    hash = agg_gql_exec_hash(call->owner, plain);

    for (i = hash & call->mask;
         call->table[i] != NULL;
         i = (i + 1) & call->mask)
    {
        key = call->table[i];

        if (key->hash == hash && agg_gql_equal(&key->plain, plain)) {
            return key;
        }
    }

    return NULL;
}


static agg_rc_e
agg_gql_batch_add(agg_gql_exec_t *e, agg_gql_key_t *key,
    const agg_str_t *value)
{
    agg_gql_item_t  *item;

    item = e->mem->alloc(e->mem->ctx, sizeof(agg_gql_item_t));
    if (item == NULL) {
        return AGG_NOMEM;
    }

    item->value = *value;
    item->next = NULL;

    *key->last = item;
    key->last = &item->next;

    return AGG_OK;
}
