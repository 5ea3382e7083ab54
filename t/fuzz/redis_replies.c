
/*
 * A Redis that says anything.
 *
 * sources: redis/agg_redis.c
 * libs: -l:libhiredis.a
 */

#include <stdlib.h>
#include <string.h>

#include "agg_redis.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int
entry(void *ctx, const agg_redis_entry_t *entry)
{
    size_t    len;
    uint64_t  ms, seq;

    (void) ctx;
    (void) agg_redis_field(entry, "hash", &len);

    return agg_redis_id(entry->id, entry->id_length, &ms, &seq);
}


static void
parse(const uint8_t *data, size_t size, size_t step)
{
    u_char              *value;
    const u_char        *p, *last, *end;
    agg_redis_event_e    event;
    agg_redis_parser_t   parser;

    if (agg_redis_parser_create(&parser) != 0) {
        return;
    }

    p = data;
    end = data + size;
    value = NULL;

    while (p < end) {

        last = ((size_t) (end - p) > step) ? p + step : end;

        do {
            event = agg_redis_parse(&parser, &p, last);

            if (event == AGG_REDIS_VALUE && parser.length <= 4096) {
                free(value);
                value = malloc(parser.length + 1);
                parser.dst = value;
            }

        } while (event != AGG_REDIS_AGAIN && event != AGG_REDIS_BROKEN);

        if (event == AGG_REDIS_BROKEN) {
            break;
        }
    }

    free(value);
    agg_redis_parser_destroy(&parser);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void  *reader, *reply;

    if (size < 2) {
        return 0;
    }

    parse(data + 1, size - 1, (size_t) (data[0] % 32) + 1);

    reader = agg_redis_reader_create();

    if (reader == NULL) {
        return 0;
    }

    if (agg_redis_reader_feed(reader, data + 1, size - 1) == 0) {

        while (agg_redis_reader_next(reader, &reply) == 1) {
            (void) agg_redis_entries(reply, data[0] & 1, entry, NULL);
            agg_redis_reply_free(reply);
        }
    }

    agg_redis_reader_destroy(reader);

    return 0;
}
