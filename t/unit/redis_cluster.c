
/*
 * Slots as the specification of Redis Cluster has them, redirections, maps,
 * and what sentinels say.
 *
 * sources: redis/agg_redis.c redis/agg_redis_cluster.c
 * libs: -l:libhiredis.a
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_redis.h"
#include "agg_redis_cluster.h"


static unsigned  checks;
static unsigned  failed;

static char      text[1024];


static void
check(int ok, const char *what, const char *of)
{
    checks++;

    if (!ok) {
        failed++;
        printf("failed: %s: %s\n", what, of);
    }
}


static void
range(void *ctx, unsigned first, unsigned last,
    const agg_redis_address_t *address)
{
    (void) ctx;

    sprintf(text + strlen(text), "%u-%u %.*s:%u ", first, last,
            (int) address->length, address->host, address->port);
}


/* slots by other programs of Redis, and by the specification */

static void
slots(void)
{
    size_t  i;

    static const struct {
        const char  *key;
        unsigned     slot;
    } cases[] = {
        { "123456789", 0x31c3 },
        { "foo", 12182 },
        { "bar", 5061 },
        { "hello", 866 },
        { "", 0 },
        { "{user1000}.following", 3443 },
        { "{user1000}.followers", 3443 },
        { "user1000", 3443 },
        { "foo{bar}{zap}", 5061 },
        { "foo{bar", 15278 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(agg_redis_slot((const u_char *) cases[i].key,
                             strlen(cases[i].key))
              == cases[i].slot, "slot", cases[i].key);
    }

    /* the tags of {} and {{bar}} are the whole, and "{bar" */

    check(agg_redis_slot((const u_char *) "foo{}{bar}", 10)
          != agg_redis_slot((const u_char *) "bar", 3), "empty", "{}");
    check(agg_redis_slot((const u_char *) "foo{{bar}}zap", 13)
          == agg_redis_slot((const u_char *) "{bar", 4), "nested", "{{bar}}");
}


static void
moved(void)
{
    size_t               i;
    unsigned             slot;
    agg_redis_address_t  address;

    static const struct {
        const char  *text;
        const char  *host;
        unsigned     slot;
        unsigned     port;
    } cases[] = {
        { "3999 127.0.0.1:6381", "127.0.0.1", 3999, 6381 },
        { "0 node-1.redis_x.internal:1", "node-1.redis_x.internal", 0, 1 },
        { "16383 ::1:65535", "::1", 16383, 65535 },
        { "1 :6381", "", 1, 6381 },
        { "16384 127.0.0.1:6381", NULL, 0, 0 },
        { "-1 127.0.0.1:6381", NULL, 0, 0 },
        { "1 127.0.0.1:0", NULL, 0, 0 },
        { "1 127.0.0.1:65536", NULL, 0, 0 },
        { "1 127.0.0.1:", NULL, 0, 0 },
        { "1 127.0.0.1", NULL, 0, 0 },
        { "1 a/b:1", NULL, 0, 0 },
        { "1 a\r\nb:1", NULL, 0, 0 },
        { "1 ?:1", NULL, 0, 0 },
        { "1", NULL, 0, 0 },
        { "", NULL, 0, 0 },
        { " ", NULL, 0, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        if (agg_redis_moved(cases[i].text, strlen(cases[i].text), &slot,
                            &address)
            != 0)
        {
            check(cases[i].host == NULL, "moved", cases[i].text);
            continue;
        }

        check(cases[i].host != NULL && slot == cases[i].slot
              && address.port == cases[i].port
              && address.length == strlen(cases[i].host)
              && memcmp(address.host, cases[i].host, address.length) == 0,
              "moved", cases[i].text);
    }

    memset(text, 'a', 300);
    memcpy(text, "1 ", 2);
    memcpy(text + 298, ":1", 2);

    check(agg_redis_moved(text, 300, &slot, &address) != 0, "moved",
          "a long name");
}


static void *
read_reply(void *reader, const char *in)
{
    void  *reply;

    check(agg_redis_reader_feed(reader, (const u_char *) in, strlen(in)) == 0,
          "feed", in);

    return agg_redis_reader_next(reader, &reply) == 1 ? reply : NULL;
}


static void
maps(void)
{
    int     n;
    void   *reader, *reply;
    size_t  i;

    static const struct {
        const char  *reply;
        int          n;
        const char  *ranges;
    } cases[] = {
        { "*2\r\n*3\r\n:0\r\n:5\r\n*3\r\n$1\r\na\r\n:7000\r\n$2\r\nid\r\n"
          "*4\r\n:6\r\n:9\r\n*2\r\n$1\r\nb\r\n:7001\r\n*2\r\n$1\r\nc\r\n"
          ":7002\r\n", 10, "0-5 a:7000 6-9 b:7001 " },
        { "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:1\r\n", 16384,
          "0-16383 :1 " },
        { "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$-1\r\n:1\r\n", 2, "0-1 :1 " },
        { "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\n?\r\n:1\r\n", 0, "" },
        { "*0\r\n", 0, "" },
        { "*1\r\n*2\r\n:0\r\n:1\r\n", -1, "" },
        { "*1\r\n*3\r\n:1\r\n:0\r\n*2\r\n$1\r\na\r\n:1\r\n", -1, "" },
        { "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n", -1, "" },
        { "*1\r\n*3\r\n:-1\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n", -1, "" },
        { "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:65536\r\n", 0, "" },
        { "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n", -1, "" },
        { "*1\r\n*3\r\n:0\r\n:1\r\n:1\r\n", -1, "" },
        { "+OK\r\n", -1, "" },
        { "-ERR This instance has cluster support disabled\r\n", -1, "" },
        { "$-1\r\n", -1, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        reader = agg_redis_reader_create();
        reply = read_reply(reader, cases[i].reply);

        check(reply != NULL, "a reply", cases[i].reply);

        if (reply != NULL) {
            text[0] = '\0';
            n = agg_redis_slots(reply, range, NULL);

            check(n == cases[i].n, "slots", cases[i].reply);
            check(strcmp(text, cases[i].ranges) == 0, "ranges",
                  cases[i].reply);

            agg_redis_reply_free(reply);
        }

        agg_redis_reader_destroy(reader);
    }

    /* an array that only says how long it is */

    reader = agg_redis_reader_create();
    check(agg_redis_reader_feed(reader,
                                (const u_char *) "*2000000000\r\n:1\r\n", 17)
          == 0, "feed", "long");
    check(agg_redis_reader_next(reader, &reply) == -1, "refused", "long");
    agg_redis_reader_destroy(reader);
}


static void
sentinels(void)
{
    int                   is;
    void                 *reader, *reply;
    size_t                i;
    agg_redis_address_t   address;

    static const struct {
        const char  *reply;
        int          master;
        int          switched;
        const char  *address;
    } cases[] = {
        { "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n", 1, 0, "127.0.0.1:6379" },
        { "*2\r\n$0\r\n\r\n$4\r\n6379\r\n", 0, 0, "" },
        { "*2\r\n$1\r\na\r\n$5\r\n70000\r\n", 0, 0, "" },
        { "*-1\r\n", 0, 0, "" },
        { "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n"
          "$13\r\nm a 1 new 222\r\n", 0, 1, "new:222" },
        { "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n"
          "$13\r\nn a 1 new 222\r\n", 0, 0, "" },
        { "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n"
          "$5\r\nm a 1\r\n", 0, 0, "" },
        { "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n"
          "$0\r\n\r\n", 0, 0, "" },
        { "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n", 0, 0,
          "" },
        { "*2\r\n$4\r\npong\r\n$0\r\n\r\n", 0, 0, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        reader = agg_redis_reader_create();
        reply = read_reply(reader, cases[i].reply);

        check(reply != NULL, "a reply", cases[i].reply);

        if (reply != NULL) {

            is = (agg_redis_master(reply, &address) == 0);
            check(is == cases[i].master, "master", cases[i].reply);

            if (!is) {
                is = agg_redis_switched(reply, "m", 1, &address);
                check(is == cases[i].switched, "switched", cases[i].reply);
            }

            if (is) {
                sprintf(text, "%.*s:%u", (int) address.length, address.host,
                        address.port);
                check(strcmp(text, cases[i].address) == 0, "address",
                      cases[i].reply);
            }

            agg_redis_reply_free(reply);
        }

        agg_redis_reader_destroy(reader);
    }
}


int
main(void)
{
    slots();
    moved();
    maps();
    sentinels();

    if (failed) {
        printf("%u of %u failed\n", failed, checks);
        return 1;
    }

    printf("ok redis_cluster: %u checks\n", checks);

    return 0;
}
