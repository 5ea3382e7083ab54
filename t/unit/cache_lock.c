
/*
 * The lock of a key, and whom its release wakes.
 *
 * sources: cache/agg_cache_lock.c
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_cache_lock.h"


static unsigned  checks;
static unsigned  failed;
static int32_t   dead;


static void
check(int ok, const char *what)
{
    checks++;

    if (!ok) {
        failed++;
        printf("failed: %s\n", what);
    }
}


static int
alive(int32_t pid)
{
    return pid != dead;
}


static void
digest_of(u_char *digest, uint64_t n)
{
    memset(digest, 0, 32);
    memcpy(digest, &n, 8);
    memcpy(digest + 8, &n, 8);
}


int
main(void)
{
    u_char              digest[32];
    uint32_t            i, slot, other, slots[64];
    uint64_t            token, second, tokens[64];
    unsigned            mine;
    agg_cache_locks_t  *f;

    f = malloc(agg_cache_locks_size(64));
    agg_cache_locks_init(f, 64);
    digest_of(digest, 1);

    check(agg_cache_lock_acquire(f, digest, 10, 1, alive, &slot, &token)
          == AGG_CACHE_LOCK_ACQUIRED, "the first fetches");
    check(agg_cache_lock_held(f, slot, token, alive), "held");
    check(agg_cache_lock_acquire(f, digest, 11, 2, alive, &other, &second)
          == AGG_CACHE_LOCK_WAIT && other == slot && second == token,
          "another process waits");
    check(agg_cache_lock_acquire(f, digest, 10, 1, alive, &other, &second)
          == AGG_CACHE_LOCK_WAIT, "its own process waits as well");
    check(agg_cache_lock_release(f, slot, token + 1) == 0, "a foreign token");
    check(agg_cache_lock_release(f, slot, token) == 3, "both are woken");
    check(!agg_cache_lock_held(f, slot, token, alive), "it is over");
    check(agg_cache_lock_release(f, slot, token) == 0, "it ends once");

    check(agg_cache_lock_acquire(f, digest, 12, 4, alive, &other, &second)
          == AGG_CACHE_LOCK_ACQUIRED && second != token,
          "a later fetch has another token");
    check(!agg_cache_lock_held(f, slot, token, alive), "and is not taken "
          "for the first");

    dead = 12;
    check(!agg_cache_lock_held(f, other, second, alive), "it died");
    check(agg_cache_lock_acquire(f, digest, 13, 8, alive, &slot, &token)
          == AGG_CACHE_LOCK_ACQUIRED, "the dead one is succeeded");
    check(agg_cache_lock_release(f, other, second) == 0, "and ends nothing");
    dead = 0;
    (void) agg_cache_lock_release(f, slot, token);

    check(agg_cache_lock_acquire(f, digest, 14, 1, alive, &slot, &token)
          == AGG_CACHE_LOCK_ACQUIRED
          && agg_cache_lock_acquire(f, digest, 15, 2, alive, &other, &second)
             == AGG_CACHE_LOCK_WAIT, "one that takes long");
    check(agg_cache_lock_take_over(f, other, &second, 15) == 0
          && second != token, "a waiter takes it over");
    check(!agg_cache_lock_held(f, slot, token, alive)
          && agg_cache_lock_held(f, other, second, alive),
          "the others of it look again");
    check(agg_cache_lock_take_over(f, slot, &token, 16) != 0, "once");
    check(agg_cache_lock_release(f, slot, token) == 0,
          "the first ends nothing");
    check(agg_cache_lock_release(f, other, second) == 2, "the second does");
    check(agg_cache_lock_take_over(f, other, &second, 15) != 0,
          "nothing to take over");

    mine = 0;

    for (i = 0; i < 200; i++) {
        digest_of(digest, i);

        if (agg_cache_lock_acquire(f, digest, 20, 1, alive, &slot, &token)
            == AGG_CACHE_LOCK_ACQUIRED)
        {
            slots[mine] = slot;
            tokens[mine] = token;
            mine++;
        }
    }

    check(mine == 64, "all slots are used, and no more");

    for (i = 0; i < mine; i++) {
        check(agg_cache_lock_held(f, slots[i], tokens[i], alive),
              "each has its own");
    }

    dead = 20;

    for (i = 0; i < 64; i++) {
        digest_of(digest, 1000 + i);
        check(agg_cache_lock_acquire(f, digest, 21, 1, alive, &slot, &token)
              == AGG_CACHE_LOCK_ACQUIRED, "slots of the dead are reused");
    }

    digest_of(digest, 5);
    check(!agg_cache_hit_for_miss_test(f, digest, 100), "no mark");
    agg_cache_hit_for_miss_set(f, digest, 100, 200);
    check(agg_cache_hit_for_miss_test(f, digest, 199), "a mark");
    agg_cache_hit_for_miss_set(f, digest, 100, 150);
    check(agg_cache_hit_for_miss_test(f, digest, 199), "the longer one stays");
    check(!agg_cache_hit_for_miss_test(f, digest, 200), "it ends");

    digest_of(digest, 6);
    check(!agg_cache_hit_for_miss_test(f, digest, 150), "of another key");
    agg_cache_hit_for_miss_clear(f, digest);

    digest_of(digest, 5);
    check(agg_cache_hit_for_miss_test(f, digest, 199), "not cleared with it");
    agg_cache_hit_for_miss_clear(f, digest);
    check(!agg_cache_hit_for_miss_test(f, digest, 199), "cleared");

    free(f);

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok cache_lock: %u checks\n", checks);

    return 0;
}
