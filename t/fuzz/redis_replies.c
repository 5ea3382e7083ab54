
/*
 * A Redis that says anything.
 *
 * sources: redis/agg_redis.c redis/agg_redis_cluster.c
 * libs: -l:libhiredis.a
 */

#include <stdlib.h>
#include <string.h>

#include "agg_redis.h"
#include "agg_redis_cluster.h"


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
use(const agg_redis_address_t *address)
{
    size_t  i;

    if (address->port == 0 || address->port > 65535
        || address->length > AGG_REDIS_HOST_MAX)
    {
        abort();
    }

    for (i = 0; i < address->length; i++) {
        if (address->host[i] <= ' ' || address->host[i] == 0x7f) {
            abort();
        }
    }
}


static void
range(void *ctx, unsigned first, unsigned last,
    const agg_redis_address_t *address)
{
    (void) ctx;

    if (first > last || last >= AGG_REDIS_SLOTS) {
        abort();
    }

    use(address);
}


static void
texts(const char *text, size_t len)
{
    unsigned             slot;
    agg_redis_address_t  address;

    if (agg_redis_slot((const u_char *) text, len) >= AGG_REDIS_SLOTS) {
        abort();
    }

    if (agg_redis_moved(text, len, &slot, &address) == 0) {

        if (slot >= AGG_REDIS_SLOTS) {
            abort();
        }

        use(&address);
    }
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
    void                 *reader, *reply;
    agg_redis_address_t   address;

    if (size < 2) {
        return 0;
    }

    texts((const char *) data + 1, size - 1);

    parse(data + 1, size - 1, (size_t) (data[0] % 32) + 1);

    reader = agg_redis_reader_create();

    if (reader == NULL) {
        return 0;
    }

    if (agg_redis_reader_feed(reader, data + 1, size - 1) == 0) {

        while (agg_redis_reader_next(reader, &reply) == 1) {
            (void) agg_redis_entries(reply, data[0] & 1, entry, NULL);
            (void) agg_redis_slots(reply, range, NULL);

            if (agg_redis_master(reply, &address) == 0
                || agg_redis_switched(reply, "master", 6, &address))
            {
                use(&address);
            }

            agg_redis_reply_free(reply);
        }
    }

    agg_redis_reader_destroy(reader);

    return 0;
}
