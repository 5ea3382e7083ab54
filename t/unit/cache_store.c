
/*
 * The store: a model beside it, writers that die, readers that come late.
 *
 * sources: cache/agg_cache_store.c
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_cache_store.h"


#define KEYS  400


static unsigned  checks;
static unsigned  failed;
static int32_t   dead;
static uint64_t  seed = 88172645463325252ULL;


static void
check(int ok, const char *what)
{
    checks++;

    if (!ok) {
        failed++;
        printf("failed: %s\n", what);
    }
}


static uint64_t
random_number(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed % n;
}


static int
alive(int32_t pid)
{
    return pid != dead;
}


static void
digest_of(u_char *digest, uint32_t key)
{
    memset(digest, 0, AGG_CACHE_DIGEST);
    memcpy(digest, &key, sizeof(key));
}


static int
put(agg_cache_store_t *s, uint32_t key, u_char fill, size_t len, int32_t pid)
{
    u_char           digest[AGG_CACHE_DIGEST], *data;
    agg_cache_ref_t  ref;

    digest_of(digest, key);

    if (agg_cache_store_reserve(s, digest, len, pid, alive, &ref) != 0) {
        return -1;
    }

    data = malloc(len);
    memset(data, fill, len);

    agg_cache_store_fill(s, &ref, 0, data, len / 2);
    agg_cache_store_fill(s, &ref, len / 2, data + len / 2, len - len / 2);
    agg_cache_store_publish(s, &ref, 0, 1);

    free(data);

    return 0;
}


/* the byte an entry is made of, -1: not there, -2: mixed */

static int
get(agg_cache_store_t *s, uint32_t key, int64_t now, size_t *len)
{
    int              c;
    size_t           i;
    u_char           digest[AGG_CACHE_DIGEST], *data;
    agg_cache_ref_t  ref;

    digest_of(digest, key);

    if (agg_cache_store_find(s, digest, now, &ref) != 0) {
        return -1;
    }

    data = malloc(ref.length);
    *len = ref.length;

    if (agg_cache_store_read(s, &ref, 0, data, ref.length) != 0) {
        free(data);
        return -2;
    }

    c = data[0];

    for (i = 0; i < ref.length; i++) {
        if (data[i] != c) {
            c = -2;
            break;
        }
    }

    free(data);

    return c;
}


static void
check_whole(agg_cache_store_t *s)
{
    uint32_t  i, n, chunk, nodes, chunks;

    nodes = 0;
    chunks = 0;

    for (i = 0; i < AGG_CACHE_SEGMENTS; i++) {
        nodes += s->segments[i].nodes;
        chunks += s->segments[i].chunks;
    }

    n = 0;

    for (chunk = s->free; chunk < s->nelts; chunk = s->links[chunk]) {
        n++;
    }

    check(nodes == s->nelts, "every node is somewhere");
    check(n == s->nfree, "free chunks are counted");
    check(n + chunks == s->nelts, "every chunk is somewhere");
}


static void
check_model(agg_cache_store_t *s)
{
    int       c;
    size_t    len;
    uint32_t  i, key;

    static struct { u_char fill; size_t len; }  model[KEYS];

    for (i = 0; i < 60000; i++) {

        key = (uint32_t) random_number(KEYS);

        check(agg_cache_store_enter(s, 1, alive) == 0, "clean");

        if (random_number(4) == 0) {

            model[key].fill = (u_char) random_number(256);
            model[key].len = 1 + random_number(random_number(8) ? 3000
                                                                : 60000);

            check(put(s, key, model[key].fill, model[key].len, 1) == 0,
                  "a put never fails");

        } else {
            c = get(s, key, i / 1000, &len);

            check(c == -1 || (c == model[key].fill && len == model[key].len),
                  "what is found is what was put last");
        }

        agg_cache_store_leave(s);

        if (i % 5000 == 0) {
            check_whole(s);
        }
    }

    check_whole(s);
    check(s->evictions > 0, "the model was tight");
}


static void
check_scan(agg_cache_store_t *s)
{
    size_t    len;
    uint32_t  i, n;

    agg_cache_store_reset(s, 1, alive);

    for (i = 0; i < 20; i++) {
        (void) put(s, i, 'h', 2000, 1);
        (void) get(s, i, 1, &len);
    }

    for (i = 1000; i < 1000 + 10 * s->nelts; i++) {
        (void) put(s, i, 's', 2000, 1);
    }

    n = 0;

    for (i = 0; i < 20; i++) {
        n += (get(s, i, 1, &len) == 'h');
    }

    check(n == 20, "a scan leaves what is used");
    check_whole(s);
}


static void
check_late_reader(agg_cache_store_t *s)
{
    u_char           digest[AGG_CACHE_DIGEST], data[100];
    agg_cache_ref_t  ref, other;

    agg_cache_store_reset(s, 1, alive);

    (void) put(s, 1, 'a', 100, 1);
    digest_of(digest, 1);

    check(agg_cache_store_find(s, digest, 1, &ref) == 0, "found");
    check(agg_cache_store_read(s, &ref, 0, data, 100) == 0, "read");
    check(agg_cache_store_read(s, &ref, 50, data, 51) == -1, "beyond");

    (void) put(s, 1, 'b', 100, 1);

    check(agg_cache_store_read(s, &ref, 0, data, 100) == -1, "replaced");

    agg_cache_store_checked(s, &ref, 9);
    agg_cache_store_delete(s, &ref);

    check(agg_cache_store_find(s, digest, 1, &other) == 0,
          "a late delete does not hit the new entry");
    check(other.checked == 0, "nor does a late check");

    agg_cache_store_delete(s, &other);

    check(agg_cache_store_find(s, digest, 1, &other) == -1, "deleted");
    check_whole(s);
}


static void
check_deaths(agg_cache_store_t *s)
{
    size_t           len;
    u_char           digest[AGG_CACHE_DIGEST], data[5000];
    uint32_t         i;
    agg_cache_ref_t  ref, mine;

    agg_cache_store_reset(s, 1, alive);
    digest_of(digest, 7);

    /* a writer dies before it publishes */

    dead = 50;

    for (i = 0; i < 10 * s->nelts; i++) {
        check(agg_cache_store_reserve(s, digest, 5000, i & 1 ? 50 : 60, alive,
                                      &ref) == 0, "dead writers' room");
    }

    check(s->segments[AGG_CACHE_WRITING].nodes <= 2, "is taken back");

    check_whole(s);

    /* one dies inside while another fills */

    (void) put(s, 1, 'a', 5000, 1);

    check(agg_cache_store_reserve(s, digest, 5000, 2, alive, &mine) == 0,
          "reserved");

    s->busy = 1;
    s->segments[AGG_CACHE_PROBATION].head = 3;
    s->free = 2;
    s->nfree = 99;

    check(agg_cache_store_enter(s, 3, alive) == 1, "a death is seen");
    agg_cache_store_leave(s);

    check(get(s, 1, 1, &len) == -1, "the store is empty");
    check_whole(s);

    while (s->nfree > 3) {
        check(agg_cache_store_reserve(s, digest, 5000, 100 + s->nfree, alive,
                                      &ref) == 0, "there is room");
        agg_cache_store_fill(s, &ref, 0, (const u_char *) memset(data, 'x',
                                                             5000), 5000);
    }

    memset(data, 'm', 5000);
    agg_cache_store_fill(s, &mine, 0, data, 5000);
    agg_cache_store_publish(s, &mine, 0, 1);

    check(get(s, 7, 1, &len) == 'm' && len == 5000,
          "what was being filled has not been given to others");

    dead = 0;
}


static void
check_limits(agg_cache_store_t *s)
{
    u_char           digest[AGG_CACHE_DIGEST];
    agg_cache_ref_t  ref;

    agg_cache_store_reset(s, 0, alive);
    digest_of(digest, 1);

    check(agg_cache_store_create(s, 1000) == NULL, "too small");
    check(agg_cache_store_reserve(s, digest, 0, 1, alive, &ref) == -1,
          "nothing");
    check(agg_cache_store_reserve(s, digest, UINT64_MAX, 1, alive, &ref)
          == -1, "much");
    check(agg_cache_store_reserve(s, digest,
                                  (uint64_t) s->nelts * AGG_CACHE_CHUNK, 1,
                                  alive, &ref) == -1, "all of it");
}


int
main(void)
{
    void               *area;
    agg_cache_store_t  *s;

    area = malloc(256 * 1024);
    s = agg_cache_store_create(area, 256 * 1024);

    check(s != NULL && s->nelts > 100, "created");

    if (s == NULL) {
        return 1;
    }

    check((u_char *) (s->buckets + s->mask + 1)
          <= (u_char *) area + 256 * 1024, "fits");

    check_model(s);
    check_scan(s);
    check_late_reader(s);
    check_limits(s);
    check_deaths(s);

    free(area);

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok cache_store: %u checks\n", checks);

    return 0;
}
