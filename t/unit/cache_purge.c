
/*
 * Purges: whatever happens, nothing purged is found good.
 *
 * sources: cache/agg_cache_purge.c cache/agg_cache_entry.c
 * sources: cache/agg_cache_key.c
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_cache_purge.h"


#define NOT   AGG_CACHE_PURGED_NOT
#define SOFT  AGG_CACHE_PURGED_SOFT
#define HARD  AGG_CACHE_PURGED_HARD


static unsigned  checks;
static unsigned  failed;
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


static agg_cache_purges_t *
table(size_t n)
{
    agg_cache_purges_t  *p;

    p = malloc(agg_cache_purges_size(n));
    agg_cache_purges_init(p, n);

    return p;
}


static void
check_order(void)
{
    uint64_t             h[2], all;
    agg_cache_id_t       id;
    agg_cache_place_t    born;
    agg_cache_purges_t  *p;

    p = table(64);

    all = 0;
    h[0] = agg_cache_hash('t', (const u_char *) "a", 1);
    h[1] = agg_cache_hash('t', (const u_char *) "b", 1);

    check(agg_cache_purges_check(p, h, 2, 0) == NOT, "nothing purged");

    id.ms = 100;
    id.seq = 0;
    agg_cache_purges_apply(p, h, 1, 0, &id);

    check(agg_cache_purges_check(p, h, 2, 0) == HARD, "born before");
    check(agg_cache_purges_check(p, h, 2, 1) == NOT, "born after");
    check(agg_cache_purges_check(p, h + 1, 1, 0) == NOT, "another tag");

    born.epoch = 0;
    born.id.ms = 99;
    born.id.seq = 9;
    check(agg_cache_purges_check_place(p, h, 1, &born) == HARD, "id before");
    born.id = id;
    check(agg_cache_purges_check_place(p, h, 1, &born) == NOT, "id after");
    born.epoch = 1;
    check(agg_cache_purges_check_place(p, h, 1, &born) == SOFT,
          "another epoch");
    born.epoch = 0;

    agg_cache_purges_apply(p, h + 1, 1, 0, &id);
    check(agg_cache_purges_check(p, h + 1, 1, 0) == NOT, "applied already");

    id.seq = 1;
    agg_cache_purges_apply(p, h + 1, 1, 1, &id);
    check(agg_cache_purges_check(p, h, 2, 1) == SOFT, "soft");
    agg_cache_purges_apply(p, h + 1, 1, 0, NULL);
    check(agg_cache_purges_check(p, h, 2, 2) == HARD, "hard after soft");
    born.id = id;
    check(agg_cache_purges_check_place(p, h + 1, 1, &born) == HARD,
          "without a stream: all that is born under the last event");

    id.ms = 200;
    agg_cache_purges_apply(p, h + 1, 1, 1, &id);
    check(agg_cache_purges_check(p, h, 2, 2) == HARD,
          "a soft one does not undo a hard one");
    check(agg_cache_purges_check(p, h, 2, 3) == SOFT, "soft after hard");

    id.ms = 300;
    agg_cache_purges_apply(p, &all, 1, 0, &id);
    check(agg_cache_purges_check(p, NULL, 0, 4) == HARD, "all");
    check(agg_cache_purges_check(p, NULL, 0, 5) == NOT, "all, after");

    born.id.ms = 301;
    check(agg_cache_purges_check_place(p, NULL, 0, &born) == SOFT,
          "from the future");

    born.epoch = 7;
    born.id.ms = 50;
    born.id.seq = 0;
    agg_cache_purges_lost(p, &born);
    check(agg_cache_purges_check(p, NULL, 0, 5) == SOFT, "stream lost");
    check(agg_cache_purges_check(p, NULL, 0, 6) == NOT, "stored since");
    check(p->last.epoch == 7, "the epoch");

    id.ms = 51;
    agg_cache_purges_apply(p, h, 1, 0, &id);
    check(agg_cache_purges_check(p, h, 1, 6) == HARD, "it goes on");

    id.ms = 52;
    agg_cache_purges_apply(p, h, 2, 0, &id);
    check(p->seq == 8, "several names are one purge");
    check(agg_cache_purges_check(p, h + 1, 1, 7) == HARD, "of each");

    free(p);
}


/* a full table: what gives way turns others stale, and drops none */

static void
check_room(void)
{
    size_t               n;
    uint64_t             i, h, other, tag;
    agg_cache_purges_t  *p;

    n = agg_cache_purges_fit(64 * 1024 * 1024 / 14);
    check(n >= 100000, "100000 marks in 64m");
    check(agg_cache_purges_size(n) <= 64 * 1024 * 1024 / 14, "the size");
    check(agg_cache_purges_fit(100) == 0, "none");

    n = agg_cache_purges_fit(5000);
    check(n > 90, "some");
    p = table(n);
    other = 1;
    tag = 2;

    for (i = 0; i < n; i++) {
        h = 1000 + i;
        agg_cache_purges_apply(p, &h, 1, 0, NULL);
    }

    check(p->count == n && p->evictions == 0, "room for all of them");
    check(agg_cache_purges_check(p, &other, 1, 0) == NOT,
          "nothing else is touched");

    /* one that is renewed all the time takes no room */

    h = 1000;

    for (i = 0; i < 10 * n; i++) {
        agg_cache_purges_apply(p, &h, 1, 0, NULL);
    }

    check(p->count == n && p->evictions == 0, "renewed in its place");

    agg_cache_purges_apply(p, &tag, 1, 0, NULL);
    check(p->evictions == 1 && p->count == n, "the oldest gives way");
    check(agg_cache_purges_check(p, &other, 1, 0) == SOFT, "softly");
    check(agg_cache_purges_check(p, &other, 1, 2) == NOT,
          "for what is older only");
    check(agg_cache_purges_check(p, &h, 1, n) == HARD,
          "not the one that is renewed");
    h = 1001;
    check(agg_cache_purges_check(p, &h, 1, 0) == SOFT, "forgotten: stale");
    h = 1002;
    check(agg_cache_purges_check(p, &h, 1, 0) == HARD, "the next one is kept");

    free(p);

    /* each is marked twice: here, and when the stream brings it back */

    p = table(n);

    for (i = 0; i < n + 1; i++) {
        h = 1000 + i;
        agg_cache_purges_apply(p, &h, 1, 0, NULL);
        agg_cache_purges_apply(p, &h, 1, 0, NULL);
    }

    check(p->evictions == 1, "one too many");
    check(agg_cache_purges_check(p, &other, 1, 1) == SOFT, "the oldest");
    check(agg_cache_purges_check(p, &other, 1, 2) == NOT, "no younger one");

    free(p);

    /* all are renewed when there is one too many */

    p = table(n);

    for (i = 0; i < 2 * n + 1; i++) {
        h = (i == 2 * n) ? 1 : 1000 + i % n;
        agg_cache_purges_apply(p, &h, 1, 0, NULL);
    }

    check(p->evictions == 1, "one of them gives way");
    check(agg_cache_purges_check(p, &tag, 1, n + n / 4) == NOT,
          "an old one");

    free(p);
}


/* against a list of all purges ever made */

static void
check_model(size_t n)
{
    size_t               i, j;
    uint64_t             hash, born;
    agg_cache_id_t       id;
    agg_cache_place_t    place;
    agg_cache_purges_t  *p;
    agg_cache_purged_e   got, wanted, least;
    static struct { uint64_t hash, seq; int soft; agg_cache_id_t id; }
                         log[4000];

    p = table(n);

    id.ms = 0;
    id.seq = 0;
    place.epoch = 0;

    for (i = 0; i < 4000; i++) {

        log[i].hash = 1 + random_number(300);
        log[i].soft = (int) random_number(2);

        id.ms += random_number(2);
        id.seq = random_number(4) + (id.ms == p->last.id.ms
                                     ? p->last.id.seq + 1 : 0);

        agg_cache_purges_apply(p, &log[i].hash, 1, log[i].soft, &id);

        log[i].seq = p->seq;
        log[i].id = id;

        hash = 1 + random_number(300);
        born = p->seq - random_number(p->seq > 200 ? 200 : p->seq);
        place.id = log[born - 1].id;
        wanted = NOT;

        for (j = 0; j <= i; j++) {
            if (log[j].hash == hash && log[j].seq > born) {
                if (log[j].soft == 0) {
                    wanted = HARD;

                } else if (wanted == NOT) {
                    wanted = SOFT;
                }
            }
        }

        /* a mark that gave way is soft from then on */

        least = (p->evictions && wanted == HARD) ? SOFT : wanted;

        got = agg_cache_purges_check(p, &hash, 1, born);
        check(got >= least, "never too little");
        check(p->evictions || got == wanted, "nor too much");

        got = agg_cache_purges_check_place(p, &hash, 1, &place);
        check(got >= least, "by the stream's order");
        check(p->evictions || got == wanted, "nor too much there");

        got = agg_cache_purges_check(p, &hash, 1, p->seq);
        check(got == NOT, "what is born now is good");
    }

    check((p->evictions == 0) == (n >= 600), "room, or none");

    free(p);
}


static void
check_hashes(void)
{
    size_t           n, i;
    uint64_t         h[200];
    u_char           path[100], tags[600];
    agg_cache_str_t  p, t;

    p.data = (const u_char *) "/a/b/c";
    p.len = 6;
    t.data = (const u_char *) " x  y\tz ";
    t.len = 8;

    n = agg_cache_purge_hashes(h, 200, &p, &t);

    check(n == 6, "three prefixes, three tags");
    check(h[0] == agg_cache_hash('p', (const u_char *) "/", 1), "/");
    check(h[2] == agg_cache_hash('p', (const u_char *) "/a/b/", 5), "/a/b/");
    check(h[3] == agg_cache_hash('t', (const u_char *) "x", 1), "x");
    check(h[5] == agg_cache_hash('t', (const u_char *) "z", 1), "z");

    memset(path, '/', sizeof(path));
    p.data = path;
    p.len = sizeof(path);
    t.len = 0;

    check(agg_cache_purge_hashes(h, 200, &p, &t) == AGG_CACHE_PURGE_DEPTH,
          "depth is bounded");

    for (i = 0; i < sizeof(tags); i += 2) {
        tags[i] = 'x';
        tags[i + 1] = ' ';
    }

    p.len = 0;
    t.data = tags;
    t.len = sizeof(tags);

    check(agg_cache_purge_hashes(h, 200, &p, &t) == 300, "too many is told");
}


static void
check_tags(void)
{
    size_t           i, len;
    u_char           tags[32];
    agg_cache_str_t  old, new;

    static const char  *cases[][3] = {
        { "", "", "" },
        { "a", "", "a" },
        { "", " a\tb ", "a b" },
        { "a b", "b c", "a b c" },
        { "a b", "b a", "a b" },
        { "ab", "a b abc", "ab a b abc" },
        { "a", "b c b", "a b c b" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        old.data = (const u_char *) cases[i][0];
        old.len = strlen(cases[i][0]);
        new.data = (const u_char *) cases[i][1];
        new.len = strlen(cases[i][1]);

        len = agg_cache_purge_add_tags(tags, &old, &new);

        check(len == strlen(cases[i][2])
              && memcmp(tags, cases[i][2], len) == 0, cases[i][2]);
    }
}


int
main(void)
{
    check_order();
    check_room();
    check_model(1);
    check_model(7);
    check_model(128);
    check_model(600);
    check_hashes();
    check_tags();

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok cache_purge: %u checks\n", checks);

    return 0;
}
