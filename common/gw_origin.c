
/* see gw_origin.h */

#include <string.h>

#include "gw_origin.h"


static int gw_origin_equal(const uint8_t *a, const uint8_t *b, size_t len);


#define gw_origin_is_alnum(c)                                                 \
    (((c) >= '0' && (c) <= '9')                                               \
     || (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z'))

#define gw_origin_is_hex(c)                                                   \
    (gw_origin_is_alnum(c) && ((c) | 0x20) <= 'f')

#define gw_origin_is(p, len, text)                                            \
    ((len) == sizeof(text) - 1                                                \
     && gw_origin_equal(p, (const uint8_t *) text, sizeof(text) - 1))


int
gw_origin_foreign(const uint8_t *name, size_t name_len, const uint8_t *value,
    size_t value_len, const uint8_t *host, size_t host_len)
{
    size_t  i;

    if (gw_origin_is(name, name_len, "sec-fetch-site")) {
        return !(value_len == 11 && memcmp(value, "same-origin", 11) == 0)
               && !(value_len == 4 && memcmp(value, "none", 4) == 0);
    }

    if (!gw_origin_is(name, name_len, "origin")) {
        return 0;
    }

    if (host == NULL || host_len == 0) {
        return 1;
    }

    for (i = 0; i + 3 <= value_len; i++) {
        if (memcmp(value + i, "://", 3) == 0) {
            i += 3;

            return value_len - i != host_len
                   || !gw_origin_equal(value + i, host, host_len);
        }
    }

    return 1;
}


int
gw_origin_is_host(const uint8_t *host, size_t len)
{
    size_t          n;
    unsigned        port;
    const uint8_t  *p, *end;

    p = host;
    end = host + len;

    if (p < end && *p == '[') {

        for (p++; p < end && (gw_origin_is_hex(*p) || *p == ':'); p++) {
            /* void */
        }

        if (p - host < 3 || p == end || *p++ != ']') {
            return 0;
        }

    } else {

        while (p < end
               && (gw_origin_is_alnum(*p)
                   || *p == '.' || *p == '-' || *p == '_'))
        {
            p++;
        }

        if (p == host) {
            return 0;
        }
    }

    if (p == end) {
        return 1;
    }

    if (*p++ != ':' || p == end || *p == '0') {
        return 0;
    }

    for (n = 0, port = 0; p < end && n < 5; n++, p++) {

        if (*p < '0' || *p > '9') {
            return 0;
        }

        port = port * 10 + (*p - '0');
    }

    return p == end && port <= 65535;
}


static int
gw_origin_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t   i;
    uint8_t  c, d;

    for (i = 0; i < len; i++) {
        c = a[i];
        d = b[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (d >= 'A' && d <= 'Z') {
            d |= 0x20;
        }

        if (c != d) {
            return 0;
        }
    }

    return 1;
}
