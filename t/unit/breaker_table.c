
/*
 * The table of breakers: finding, eviction, repair, against a plain model.
 *
 * sources: brk_table.c brk_state.c brk_window.c
 */

#include <stdio.h>

#include "brk_table.h"
#include "breaker_check.h"


#define KEYS  400


static const uint64_t      seeds[2] = { 0x0706050403020100ull,
                                        0x0f0e0d0c0b0a0908ull };

static const brk_outcome_t  success = { 0, 0, 0, 0 };
static const brk_outcome_t  failure = { 0, 1, 0, 0 };

static const brk_policy_t   policy = {
    1, 0, 0, 20, 1, 1, 0, 10000, 60000, 60000, 30000
};


static brk_table_t *
make(size_t size)
{
    brk_table_t  *t;

    t = malloc(size);
    memset(t, 0xa5, size);
    check(brk_table_init(t, size, seeds) == 0, "init of %zu", size);
    check(brk_table_verify(t) == 0, "valid from the start");

    return t;
}


static brk_key_t
key_of(brk_table_t *t, unsigned n, char *text)
{
    brk_key_t  key;

    key.len = (uint8_t) sprintf(text, "tenant-%u", n);
    key.data = (uint8_t *) text;
    key.digest = 0;
    key.hash = brk_table_hash(t, key.data, key.len);

    return key;
}


static brk_verdict_e
acquire(brk_table_t *t, unsigned n, brk_msec_t now, brk_permit_t *permit)
{
    char          text[32];
    brk_key_t     key;
    brk_clock_t  m;

    key = key_of(t, n, text);
    m.policy = &policy;
    m.now = now;
    m.random = 0;

    return brk_table_acquire(t, &key, &m, 0, permit);
}


static void
settle(brk_table_t *t, brk_permit_t *permit, brk_msec_t now,
    brk_outcome_t outcome)
{
    brk_clock_t  m;

    m.policy = &policy;
    m.now = now;
    m.random = 0;

    brk_table_settle(t, permit, &m, outcome);
}


static brk_slot_t *
find(brk_table_t *t, unsigned n)
{
    char       text[32];
    brk_key_t  key;

    key = key_of(t, n, text);

    return brk_table_find(t, &key);
}


static void
test_size(void)
{
    size_t        size, room;
    brk_table_t  *t;

    for (size = 0; size < sizeof(brk_table_t) + sizeof(brk_slot_t); size++) {
        t = malloc(size ? size : 1);
        check(brk_table_init(t, size, seeds) == -1, "%zu bytes", size);
        free(t);
    }

    for (size = 1000; size < 100000; size += 511) {
        t = make(size);
        room = size - sizeof(brk_table_t);
        check(t->slots >= room / (sizeof(brk_slot_t) + 16), "%u slots",
              t->slots);
        check(brk_table_check(t, size) == 0, "check");
        check(brk_table_check(t, size + 1) != 0, "another size");
        t->version++;
        check(brk_table_check(t, size) != 0, "another layout");
        free(t);
    }
}


static brk_verdict_e
glance(brk_table_t *t, const brk_key_t *key, const brk_permit_t *hint,
    brk_msec_t now, brk_permit_t *permit)
{
    if (brk_table_try_lockless(t, key, hint, permit)) {
        return BRK_PASS;
    }

    return brk_table_refuse(t, permit, &policy, now, 0) ? BRK_REJECT
                                                        : BRK_FULL;
}


/* the reference value of SipHash-1-3 for this key and 0, 1, 2 ... */

static void
test_hash(void)
{
    unsigned      i;
    uint8_t       text[256];
    uint64_t      hashes[256];
    brk_table_t  *t;

    t = make(10000);

    for (i = 0; i < 256; i++) {
        text[i] = (uint8_t) i;
    }

    check(brk_table_hash(t, text, 0) == 0xabac0158050fc4dcull, "%lx",
          (long) brk_table_hash(t, text, 0));

    for (i = 0; i < 256; i++) {
        hashes[i] = brk_table_hash(t, text, i);
        check(i == 0 || hashes[i] != hashes[i - 1], "length %u", i);
    }

    t->seed[0]++;
    check(brk_table_hash(t, text, 9) != hashes[9], "keyed");

    free(t);
}


static void
test_keys(void)
{
    uint8_t       text[BRK_KEY_MAX];
    brk_key_t     key;
    brk_slot_t   *slot, *other;
    brk_table_t  *t;

    t = make(100000);

    /* a key with zeros, the longest one, and one that looks like a digest */

    memset(text, 0, sizeof(text));
    key.data = text;
    key.len = BRK_KEY_MAX;
    key.digest = 0;
    key.hash = brk_table_hash(t, key.data, key.len);

    slot = brk_table_get(t, &key, 1);
    check(slot && brk_table_get(t, &key, 1) == slot, "found again");

    key.digest = 1;
    other = brk_table_get(t, &key, 1);
    check(other && other != slot, "a digest is another key");

    key.digest = 0;
    key.len = 254;
    key.hash = brk_table_hash(t, key.data, key.len);
    other = brk_table_get(t, &key, 1);
    check(other && other != slot, "a shorter one too");

    /* one hash for two keys: both are found */

    key.hash = slot->hash;
    other = brk_table_get(t, &key, 1);
    check(other && other != slot && brk_table_find(t, &key) == other,
          "a collision");

    free(t);
}


static void
test_eviction(void)
{
    unsigned       i, slots;
    brk_table_t   *t;
    brk_permit_t   permit, held, open;

    t = make(20000);
    slots = t->slots;
    check(slots > 16 && slots < KEYS, "%u slots", slots);

    /* key 0 is open, key 1 has a call under way, the others are idle */

    acquire(t, 0, 1000, &open);
    settle(t, &open, 1000, failure);
    check(find(t, 0)->breaker.state == BRK_OPEN, "open");

    acquire(t, 1, 1000, &held);

    for (i = 2; i < slots; i++) {
        acquire(t, i, 1000, &permit);
        settle(t, &permit, 1000, success);
    }

    check(t->used == slots && t->evicted == 0, "full");

    acquire(t, 2, 1000, &permit);
    settle(t, &permit, 1000, success);

    /* the least recently used idle one goes: 3, not 0, 1 or 2 */

    acquire(t, slots, 1000, &permit);
    settle(t, &permit, 1000, success);
    check(find(t, 0) && find(t, 1) && find(t, 2) && !find(t, 3), "3 goes");
    check(t->evicted == 1 && t->used == slots, "one for one");

    /* many more keys: the open one stays */

    for (i = 0; i < 10000; i++) {
        acquire(t, 1000 + i, 1000, &permit);
        settle(t, &permit, 1000, success);
    }

    check(find(t, 0)->breaker.state == BRK_OPEN, "still open");
    check(find(t, 1) != NULL, "the one with a call stays as well");
    check(brk_table_verify(t) == 0, "valid");

    settle(t, &held, 1000, failure);
    check(find(t, 1)->breaker.state == BRK_OPEN, "its call finds its slot");

    /* leaked calls do not block eviction */

    for (i = 0; i < slots * 4; i++) {
        acquire(t, 20000 + i, 1000, &permit);
    }

    check(t->refused == 0 && brk_table_verify(t) == 0, "all were let in");

    /* a call whose slot was given away decides nothing there */

    for (i = 0; i < slots; i++) {
        acquire(t, 40000 + i, 1000, &held);

        if (brk_table_at(t, held.index)
            && brk_table_slot(t, held.index, held.born + 1) == NULL)
        {
            check(brk_table_slot(t, held.index, held.born) != NULL, "mine");
        }
    }

    acquire(t, 50000, 1000, &held);

    for (i = 0; i < slots * 2; i++) {
        acquire(t, 60000 + i, 1000, &permit);
    }

    check(brk_table_slot(t, held.index, held.born) == NULL, "evicted");
    settle(t, &held, 1000, failure);
    check(brk_table_at(t, held.index)->breaker.state == BRK_CLOSED,
          "the new key is not touched");

    /* all open: nobody can go */

    for (i = 0; i < slots * 2; i++) {
        if (acquire(t, 70000 + i, 1000, &permit) == BRK_PASS) {
            settle(t, &permit, 1000, failure);
        }
    }

    check(t->newest == BRK_NONE && t->oldest == BRK_NONE, "all are open");
    check(acquire(t, 80000, 1000, &permit) == BRK_FULL && t->refused > 0,
          "not guarded");
    check(brk_table_verify(t) == 0, "valid");

    free(t);
}


static void
test_glance(void)
{
    char           text[32];
    uint32_t      *links;
    brk_key_t      key;
    brk_table_t   *t;
    brk_policy_t   spread;
    brk_permit_t   permit, first, none;

    t = make(20000);
    key = key_of(t, 7, text);
    memset(&none, 0, sizeof(brk_permit_t));

    check(glance(t, &key, &none, 1000, &permit) == BRK_FULL, "no such key");

    acquire(t, 7, 1000, &first);
    check(glance(t, &key, &none, 1000, &permit) == BRK_PASS, "closed");
    check(permit.born == first.born && permit.index == first.index
          && permit.token.gen == first.token.gen && permit.token.lease == 0,
          "the same permit");
    check(find(t, 7)->inflight == 2, "two calls");

    /* a place where it was found, and where it is no longer */

    check(glance(t, &key, &first, 1000, &permit) == BRK_PASS
          && permit.born == first.born, "with a hint");
    first.born++;
    check(glance(t, &key, &first, 1000, &permit) == BRK_PASS
          && permit.born != first.born, "with a wrong one");
    first.born--;

    /* an end without the lock, until there is more to do */

    check(brk_table_pass(t, &permit, &policy, 1000) == 0, "no window yet");
    settle(t, &permit, 1000, success);
    glance(t, &key, &none, 1000, &permit);
    check(brk_table_pass(t, &permit, &policy, 1999) == 1, "a success");
    check(find(t, 7)->breaker.totals.success == 2
          && find(t, 7)->breaker.window.all.calls == 2
          && find(t, 7)->inflight == 3, "counted");
    glance(t, &key, &none, 1000, &permit);
    check(brk_table_pass(t, &permit, &policy, 2000) == 0, "a new slice");
    permit.token.gen++;
    check(brk_table_pass(t, &permit, &policy, 1500) == 0, "an old one");
    permit.token.gen--;
    find(t, 7)->breaker.consecutive = 1;
    check(brk_table_pass(t, &permit, &policy, 1500) == 0, "after a failure");
    find(t, 7)->breaker.consecutive = 0;
    t->added += t->slots;
    check(brk_table_pass(t, &permit, &policy, 1500) == 0, "not seen for long");
    t->added -= t->slots;
    find(t, 7)->inflight = 2;

    settle(t, &permit, 1000, failure);
    check(find(t, 7)->breaker.state == BRK_OPEN, "its result counts");
    check(find(t, 7)->inflight == 1, "one call");

    /* an open one rejects without the lock, until it is time */

    check(glance(t, &key, &none, 1000, &permit) == BRK_REJECT
          && permit.wait == 60000 && permit.token.gen == 0, "open");
    check(glance(t, &key, &none, 60999, &permit) == BRK_REJECT
          && permit.wait == 1, "to the last moment");
    check(find(t, 7)->breaker.totals.rejected == 2
          && find(t, 7)->inflight == 1, "counted");
    check(glance(t, &key, &none, 61000, &permit) == BRK_FULL, "half-open");
    check(glance(t, &key, &none, 0, &permit) == BRK_FULL, "a doubtful clock");
    brk_table_try_lockless(t, &key, &none, &permit);
    check(brk_table_refuse(t, &permit, &policy, 1000, 1) == 1
          && find(t, 7)->breaker.totals.dry_rejected == 1
          && find(t, 7)->inflight == 2, "dry run");

    spread = policy;
    spread.jitter = BRK_RATE_FULL / 10;
    find(t, 7)->breaker.open_until = 67000;
    brk_table_try_lockless(t, &key, &none, &permit);
    check(brk_table_refuse(t, &permit, &spread, 1000, 0) == 1
          && permit.wait == 66000, "the longest time, with jitter");
    check(brk_table_refuse(t, &permit, &spread, 999, 0) == 0, "longer");

    /* links that lead nowhere, or round and round */

    links = (uint32_t *) (t + 1);
    key = key_of(t, 8, text);
    memset(links, 0x7f, t->buckets * sizeof(uint32_t));
    check(glance(t, &key, &none, 1000, &permit) == BRK_FULL, "nowhere");

    memset(links, 0, t->buckets * sizeof(uint32_t));
    brk_table_at(t, first.index)->next = first.index;
    check(glance(t, &key, &none, 1000, &permit) == BRK_FULL, "round and round");

    free(t);
}


/* every key against a breaker of its own */

static void
test_model(uint64_t seed)
{
    char                   text[32];
    unsigned               i, n;
    brk_key_t              key;
    brk_msec_t             now, wait;
    brk_slot_t            *slot;
    brk_table_t           *t;
    brk_token_t            token;
    brk_clock_t           m;
    brk_permit_t           permit;
    brk_outcome_t          outcome;
    brk_verdict_e          verdict, expected;
    static brk_breaker_t   model[KEYS];

    t = make(sizeof(brk_table_t) + (KEYS + 30) * (sizeof(brk_slot_t) + 8));
    now = 1000;
    m.policy = &policy;

    for (i = 0; i < KEYS; i++) {
        brk_init(&model[i], 1, now);
    }

    for (i = 0; i < 20000; i++) {
        n = below(&seed, KEYS);
        now += below(&seed, 40);
        m.now = now;
        m.random = random32(&seed);

        memset(&outcome, 0, sizeof(brk_outcome_t));
        outcome.failure = below(&seed, 3) == 0;

        key = key_of(t, n, text);
        brk_table_enter(t);
        verdict = brk_table_acquire(t, &key, &m, 0, &permit);
        expected = brk_acquire(&model[n], &m, 0, &token, &wait);
        check(verdict == expected, "key %u: %u, not %u", n, verdict, expected);

        if (verdict != BRK_REJECT && below(&seed, 10)) {
            if (outcome.failure
                || !brk_table_pass(t, &permit, &policy, m.now))
            {
                brk_table_settle(t, &permit, &m, outcome);
            }

            brk_settle(&model[n], &m, &token, outcome);
        }

        brk_table_leave(t);

        slot = brk_table_find(t, &key);
        check(slot->breaker.state == model[n].state, "state of key %u", n);

        if (i % 1000 == 0) {
            check(brk_table_verify(t) == 0, "valid");
        }
    }

    /* a killed process: all is found again after the repair */

    t->busy = 1;
    memset((uint32_t *) (t + 1), 0x11, t->buckets * sizeof(uint32_t));
    t->newest = t->oldest = t->free = 7;
    brk_table_enter(t);
    check(t->repaired == 1, "repaired");
    brk_table_leave(t);
    check(brk_table_verify(t) == 0, "valid");

    for (n = 0; n < KEYS; n++) {
        slot = find(t, n);
        check(slot == NULL || slot->breaker.state == model[n].state,
              "state of key %u", n);
    }

    free(t);
}


int
main(void)
{
    uint64_t  seed;

    test_size();
    test_hash();
    test_keys();
    test_eviction();
    test_glance();

    for (seed = 1; seed <= 10; seed++) {
        test_model(seed * 0x9e3779b97f4a7c15ull);
    }

    printf("ok breaker_table: %lu checks\n", checks);

    return 0;
}
