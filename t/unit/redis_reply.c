
/*
 * Replies in pieces of any size; what is no reply is refused.
 *
 * sources: redis/agg_redis.c
 * libs: -l:libhiredis.a
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_redis.h"


static unsigned  checks;
static unsigned  failed;


static void
check(int ok, const char *what)
{
    checks++;

    if (!ok) {
        failed++;
        printf("failed: %s\n", what);
    }
}


/* all replies of the text, read in pieces of step bytes, as one string */

static void
parse(const char *text, size_t len, size_t step, char *out)
{
    u_char               value[4096];
    const u_char        *p, *last, *end;
    agg_redis_event_e    event;
    agg_redis_parser_t   parser;

    check(agg_redis_parser_create(&parser) == 0, "created");

    p = (const u_char *) text;
    end = p + len;

    while (p < end) {

        last = ((size_t) (end - p) > step) ? p + step : end;

        do {
            event = agg_redis_parse(&parser, &p, last);

            if (event == AGG_REDIS_VALUE) {
                parser.dst = (parser.length < sizeof(value)) ? value : NULL;

            } else if (event == AGG_REDIS_REPLY) {

                switch (parser.type) {

                case AGG_REDIS_STATUS:
                    out += sprintf(out, "+%.*s;", (int) parser.length,
                                   parser.line);
                    break;

                case AGG_REDIS_ERROR:
                    out += sprintf(out, "-;");
                    break;

                case AGG_REDIS_INTEGER:
                    out += sprintf(out, "%ld;", (long) parser.integer);
                    break;

                case AGG_REDIS_NIL:
                    out += sprintf(out, "nil;");
                    break;

                default:
                    out += sprintf(out, "$%.*s;", (int) parser.length,
                                   parser.dst ? (char *) value : "?");
                    break;
                }

            } else if (event == AGG_REDIS_BROKEN) {
                out += sprintf(out, "broken");
                p = end;
                break;
            }

        } while (event != AGG_REDIS_AGAIN);
    }

    *out = '\0';

    agg_redis_parser_destroy(&parser);
}


static void
check_replies(void)
{
    char          out[1024], line[700];
    size_t        i, step;

    static const struct { const char *text, *wanted; }  rows[] = {
        { "+OK\r\n", "+OK;" },
        { "-ERR no\r\n", "-;" },
        { ":12\r\n:-1\r\n", "12;-1;" },
        { "$-1\r\n", "nil;" },
        { "$0\r\n\r\n", "$;" },
        { "$3\r\nabc\r\n+OK\r\n", "$abc;+OK;" },
        { "$5\r\na\r\nbc\r\n$-1\r\n", "$a\r\nbc;nil;" },
        { "$3\r\nabcd\r\n", "broken" },
        { "$3\r\nabc\n\n", "broken" },
        { "$-2\r\n", "broken" },
        { "$99999999999\r\n", "broken" },
        { "$1x\r\n", "broken" },
        { "$\r\n", "broken" },
        { "*1\r\n$1\r\na\r\n", "broken" },
        { "HTTP/1.1 400 Bad Request\r\n", "broken" },
        { "\r\n", "broken" },
        { "+OK\n", "broken" },
        { "%1\r\n+a\r\n+b\r\n", "broken" },
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (step = 1; step < 12; step++) {
            parse(rows[i].text, strlen(rows[i].text), step, out);
            check(strcmp(out, rows[i].wanted) == 0, rows[i].text);
        }
    }

    memset(line, '+', sizeof(line));
    parse(line, sizeof(line), 100, out);
    check(strcmp(out, "broken") == 0, "a line without an end");
}


static void
check_room(void)
{
    u_char               value[10], *p;
    const u_char        *text;
    agg_redis_parser_t   parser;

    check(agg_redis_parser_create(&parser) == 0, "created");
    check(agg_redis_room(&parser, &p) == 0, "no value, no room");

    text = (const u_char *) "$6\r\nab";

    check(agg_redis_parse(&parser, &text, text + 6) == AGG_REDIS_VALUE,
          "a value");
    check(agg_redis_room(&parser, &p) == 0, "no dst, no room");

    parser.dst = value;

    check(agg_redis_parse(&parser, &text, text + 2) == AGG_REDIS_AGAIN,
          "its beginning");
    check(agg_redis_room(&parser, &p) == 4 && p == value + 2, "room");

    memcpy(p, "cdef", 4);
    agg_redis_filled(&parser, 4);

    text = (const u_char *) "\r\n";

    check(agg_redis_parse(&parser, &text, text + 2) == AGG_REDIS_REPLY,
          "its end");
    check(memcmp(value, "abcdef", 6) == 0, "whole");

    agg_redis_parser_destroy(&parser);
}


static void
check_command(void)
{
    char          *command;
    size_t         len, lens[2];
    const u_char  *argv[2];

    argv[0] = (const u_char *) "GET";
    lens[0] = 3;
    argv[1] = (const u_char *) "a\r\nDEL b";
    lens[1] = 8;

    command = agg_redis_command(2, argv, lens, &len);

    check(command != NULL && len == 27
          && memcmp(command, "*2\r\n$3\r\nGET\r\n"
                             "$8\r\na\r\nDEL b\r\n", 27) == 0,
          "lengths, not lines");

    agg_redis_free(command);
}


static int
count(void *ctx, const agg_redis_entry_t *entry)
{
    size_t       len;
    uint64_t     ms, seq;
    unsigned    *n;
    const char  *hash;

    n = ctx;
    hash = agg_redis_field(entry, "hash", &len);

    check(agg_redis_id(entry->id, entry->id_length, &ms, &seq) == 0, "id");
    check(hash != NULL && len == 2 && memcmp(hash, "ab", 2) == 0, "field");
    check(agg_redis_field(entry, "none", &len) == NULL, "no field");

    (*n)++;

    return 0;
}


static int
entries(const char *text, unsigned depth, unsigned *n)
{
    int    rc;
    void  *reader, *reply;

    reader = agg_redis_reader_create();
    rc = -2;
    *n = 0;

    if (agg_redis_reader_feed(reader, (const u_char *) text, strlen(text))
            == 0
        && agg_redis_reader_next(reader, &reply) == 1)
    {
        rc = agg_redis_entries(reply, depth, count, n);
        agg_redis_reply_free(reply);
    }

    agg_redis_reader_destroy(reader);

    return rc;
}


static void
check_entries(void)
{
    char      *much;
    void      *reader;
    unsigned   n;

    check(entries("*1\r\n*2\r\n$1\r\ns\r\n*2\r\n"
                  "*2\r\n$3\r\n5-1\r\n*2\r\n$4\r\nhash\r\n$2\r\nab\r\n"
                  "*2\r\n$3\r\n5-2\r\n*2\r\n$4\r\nhash\r\n$2\r\nab\r\n",
                  1, &n) == 2 && n == 2, "XREAD");
    check(entries("*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$4\r\nhash\r\n$2\r\nab\r\n",
                  0, &n) == 1 && n == 1, "XRANGE");
    check(entries("*-1\r\n", 1, &n) == 0, "nothing new");
    check(entries("*0\r\n", 0, &n) == 0, "an empty stream");
    check(entries("+OK\r\n", 1, &n) == -1, "a status");
    check(entries("*1\r\n:1\r\n", 0, &n) == -1, "an integer");
    check(entries("*1\r\n*1\r\n$1\r\ns\r\n", 1, &n) == -1, "too short");
    check(entries("*2\r\n$1\r\na\r\n$1\r\nb\r\n", 1, &n) == -1, "strings");

    reader = agg_redis_reader_create();
    much = malloc(AGG_REDIS_STREAM_MAX);
    memset(much, '+', AGG_REDIS_STREAM_MAX);

    check(agg_redis_reader_feed(reader, (u_char *) much,
                                AGG_REDIS_STREAM_MAX) == 0, "much");
    check(agg_redis_reader_feed(reader, (u_char *) much, 1) == -1, "more");

    agg_redis_reader_destroy(reader);
    free(much);
}


static void
check_id(void)
{
    size_t    i;
    uint64_t  ms, seq;

    static const char  *bad[] = { "", "-", "1", "1-", "-1", "1-2-3", "a-1",
                                  "99999999999999999999-1", "1 -2" };

    check(agg_redis_id("12-34", 5, &ms, &seq) == 0 && ms == 12 && seq == 34,
          "an id");
    check(agg_redis_id("0-18446744073709551615", 22, &ms, &seq) == 0
          && seq == UINT64_MAX, "the largest");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check(agg_redis_id(bad[i], strlen(bad[i]), &ms, &seq) == -1, bad[i]);
    }
}


int
main(void)
{
    check_replies();
    check_room();
    check_command();
    check_entries();
    check_id();

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok redis_reply: %u checks\n", checks);

    return 0;
}
