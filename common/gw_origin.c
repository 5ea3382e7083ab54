
/* see gw_origin.h */

#include <string.h>

#include "gw_origin.h"


static int gw_origin_equal(const uint8_t *a, const uint8_t *b, size_t len);


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
