
/*
 * Parsing of topology replies from nodes of a Redis Cluster and sentinels;
 * source: the specification of Redis Cluster, the documents of Sentinel.
 *
 * A key belongs to one of 16384 slots, by the CRC16 (XMODEM) of the key, or
 * only of the text in its first braces.  All input comes from outside: slots
 * and ports are checked against their bounds, and hosts may only consist of
 * characters that an address or a name can have.  The work is linear in the
 * size of the input.
 */


#include <string.h>

#include "agg_redis.h"
#include "agg_redis_cluster.h"


static int agg_redis_number(const char *text, size_t len, unsigned max,
    unsigned *number);
static int agg_redis_host(const char *text, size_t len);
static int agg_redis_pair(void *host, void *port,
    agg_redis_address_t *address);
static size_t agg_redis_word(const char **text, size_t *len,
    const char **word);


unsigned
agg_redis_slot(const u_char *key, size_t len)
{
    unsigned       crc, bit;
    const u_char  *p, *open, *close, *last;

    open = memchr(key, '{', len);

    if (open != NULL) {

        open++;
        close = memchr(open, '}', len - (size_t) (open - key));

        if (close != NULL && close > open) {
            key = open;
            len = (size_t) (close - open);
        }
    }

    crc = 0;
    last = key + len;

    for (p = key; p < last; p++) {

        crc ^= (unsigned) *p << 8;

        for (bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
        }

        crc &= 0xffff;
    }

    return crc % AGG_REDIS_SLOTS;
}


int
agg_redis_moved(const char *text, size_t len, unsigned *slot,
    agg_redis_address_t *address)
{
    size_t       n;
    const char  *word, *colon;

    n = agg_redis_word(&text, &len, &word);

    if (agg_redis_number(word, n, AGG_REDIS_SLOTS - 1, slot) != 0) {
        return -1;
    }

    n = agg_redis_word(&text, &len, &word);

    /* the last colon: an address of IPv6 comes without brackets */

    for (colon = word + n; colon > word && colon[-1] != ':'; colon--) {
        /* void */
    }

    if (colon == word
        || agg_redis_number(colon, (size_t) (word + n - colon), 65535,
                            &address->port)
           != 0
        || address->port == 0)
    {
        return -1;
    }

    address->host = word;
    address->length = (size_t) (colon - 1 - word);

    return agg_redis_host(address->host, address->length);
}


int
agg_redis_slots(void *reply, void (*handler)(void *ctx, unsigned first,
    unsigned last, const agg_redis_address_t *address), void *ctx)
{
    int                   count;
    void                 *range, *node;
    size_t                i, n, len;
    int64_t               first, last;
    const char           *text;
    agg_redis_address_t   address;

    if (agg_redis_reply_type(reply, &text, &len, &first) != AGG_REDIS_ARRAY) {
        return -1;
    }

    count = 0;
    n = agg_redis_elements(reply);

    for (i = 0; i < n; i++) {

        range = agg_redis_element(reply, i);

        /* the first node of a range is its master */

        if (agg_redis_elements(range) < 3) {
            return -1;
        }

        node = agg_redis_element(range, 2);

        if (agg_redis_reply_type(agg_redis_element(range, 0), &text, &len,
                                 &first)
            != AGG_REDIS_INTEGER
            || agg_redis_reply_type(agg_redis_element(range, 1), &text, &len,
                                    &last)
               != AGG_REDIS_INTEGER
            || first < 0 || first > last || last >= AGG_REDIS_SLOTS
            || agg_redis_elements(node) < 2)
        {
            return -1;
        }

        if (agg_redis_pair(agg_redis_element(node, 0),
                           agg_redis_element(node, 1), &address)
            != 0)
        {
            continue;
        }

        handler(ctx, (unsigned) first, (unsigned) last, &address);

        count += (int) (last - first) + 1;
    }

    return count;
}


int
agg_redis_master(void *reply, agg_redis_address_t *address)
{
    if (agg_redis_elements(reply) != 2) {
        return -1;
    }

    return agg_redis_pair(agg_redis_element(reply, 0),
                          agg_redis_element(reply, 1), address) == 0
           && address->length ? 0 : -1;
}


int
agg_redis_switched(void *reply, const char *name, size_t length,
    agg_redis_address_t *address)
{
    size_t       i, n, len;
    int64_t      integer;
    const char  *text, *word;

    if (agg_redis_elements(reply) != 3
        || agg_redis_reply_type(agg_redis_element(reply, 1), &text, &len,
                                &integer)
           != AGG_REDIS_BULK
        || len != 14 || memcmp(text, "+switch-master", 14) != 0
        || agg_redis_reply_type(agg_redis_element(reply, 2), &text, &len,
                                &integer)
           != AGG_REDIS_BULK)
    {
        return 0;
    }

    /* the name, the old address, the new one */

    n = agg_redis_word(&text, &len, &word);

    if (n != length || memcmp(word, name, length) != 0) {
        return 0;
    }

    for (i = 0; i < 3; i++) {
        n = agg_redis_word(&text, &len, &word);
    }

    address->host = word;
    address->length = n;

    n = agg_redis_word(&text, &len, &word);

    return address->length != 0
           && agg_redis_host(address->host, address->length) == 0
           && agg_redis_number(word, n, 65535, &address->port) == 0
           && address->port != 0;
}


/* a host, and a port as an integer or as text */

static int
agg_redis_pair(void *host, void *port, agg_redis_address_t *address)
{
    int          type;
    size_t       len;
    int64_t      integer;
    const char  *text;

    type = agg_redis_reply_type(host, &text, &len, &integer);

    if (type == AGG_REDIS_NIL) {
        len = 0;

    } else if (type != AGG_REDIS_BULK) {
        return -1;
    }

    address->host = text;
    address->length = len;

    if (len && agg_redis_host(text, len) != 0) {
        return -1;
    }

    type = agg_redis_reply_type(port, &text, &len, &integer);

    if (type == AGG_REDIS_BULK) {

        if (agg_redis_number(text, len, 65535, &address->port) != 0) {
            return -1;
        }

    } else if (type == AGG_REDIS_INTEGER && integer > 0 && integer <= 65535) {
        address->port = (unsigned) integer;

    } else {
        return -1;
    }

    return address->port ? 0 : -1;
}


/* takes a word off the beginning; its length, 0 at the end */

static size_t
agg_redis_word(const char **text, size_t *len, const char **word)
{
    size_t  n;

    while (*len && **text == ' ') {
        (*text)++;
        (*len)--;
    }

    *word = *text;

    for (n = 0; n < *len && (*text)[n] != ' '; n++) {
        /* void */
    }

    *text += n;
    *len -= n;

    return n;
}


static int
agg_redis_number(const char *text, size_t len, unsigned max,
    unsigned *number)
{
    size_t  i;

    if (len == 0 || len > 5) {
        return -1;
    }

    *number = 0;

    for (i = 0; i < len; i++) {

        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }

        *number = *number * 10 + (unsigned) (text[i] - '0');
    }

    return *number <= max ? 0 : -1;
}


/* an empty host is valid: the node means itself */

static int
agg_redis_host(const char *text, size_t len)
{
    char    c;
    size_t  i;

    if (len > AGG_REDIS_HOST_MAX) {
        return -1;
    }

    for (i = 0; i < len; i++) {

        c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'
              || c == ':'))
        {
            return -1;
        }
    }

    return 0;
}
