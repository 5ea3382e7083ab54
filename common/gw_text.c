
/* see gw_text.h */

#include <string.h>

#include "gw_text.h"


static unsigned gw_character(const uint8_t *p, const uint8_t *end,
    int *printable);
static uint8_t *gw_put(uint8_t *dst, const char *text);
static uint8_t *gw_hex(uint8_t *dst, const char *prefix, const uint8_t *src,
    size_t len);
static unsigned gw_distance(const uint8_t *a, size_t m, const uint8_t *b,
    size_t n);


uint8_t *
gw_show(uint8_t *dst, const uint8_t *src, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (src[i] < 0x20 || src[i] > 0x7e || src[i] == '\\') {
            dst = gw_hex(dst, "\\x", &src[i], 1);

        } else {
            *dst++ = src[i];
        }
    }

    return dst;
}


uint8_t *
gw_escape_json(uint8_t *dst, const uint8_t *src, size_t len)
{
    int             printable;
    unsigned        n;
    const uint8_t  *end;

    end = src + len;

    while (src < end) {

        if (*src == '"' || *src == '\\') {
            *dst++ = '\\';
            *dst++ = *src++;
            continue;
        }

        if (*src < 0x20 || *src == 0x7f) {
            dst = gw_hex(dst, "\\u00", src++, 1);
            continue;
        }

        n = gw_character(src, end, &printable);

        if (printable) {
            memcpy(dst, src, n);
            dst += n;

        } else {
            dst = gw_hex(dst, "\\\\x", src, n);
        }

        src += n;
    }

    return dst;
}


uint8_t *
gw_escape_html(uint8_t *dst, const uint8_t *src, size_t len)
{
    int             printable;
    unsigned        n;
    const uint8_t  *end;

    for (end = src + len; src < end; src += n) {

        n = 1;

        switch (*src) {

        case '<':
            dst = gw_put(dst, "&lt;");
            continue;

        case '>':
            dst = gw_put(dst, "&gt;");
            continue;

        case '&':
            dst = gw_put(dst, "&amp;");
            continue;

        case '"':
            dst = gw_put(dst, "&quot;");
            continue;

        case '\'':
            dst = gw_put(dst, "&#39;");
            continue;
        }

        n = gw_character(src, end, &printable);

        if (printable) {
            memcpy(dst, src, n);
            dst += n;

        } else {
            dst = gw_hex(dst, "\\x", src, n);
        }
    }

    return dst;
}


uint8_t *
gw_escape_label(uint8_t *dst, const uint8_t *src, size_t len)
{
    int             printable;
    unsigned        n;
    const uint8_t  *end;

    for (end = src + len; src < end; src += n) {

        n = gw_character(src, end, &printable);

        if (!printable) {
            dst = gw_hex(dst, "\\\\x", src, n);
            continue;
        }

        if (*src == '"' || *src == '\\') {
            *dst++ = '\\';
        }

        memcpy(dst, src, n);
        dst += n;
    }

    return dst;
}


uint8_t *
gw_escape_query(uint8_t *dst, const uint8_t *src, size_t len)
{
    size_t   i;
    uint8_t  c, letter;

    for (i = 0; i < len; i++) {

        c = src[i];
        letter = c | 0x20;

        if ((letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9')
            || c == '-' || c == '.' || c == '_' || c == '~')
        {
            *dst++ = c;

        } else {
            dst = gw_hex(dst, "%", &src[i], 1);
        }
    }

    return dst;
}


size_t
gw_cut(const uint8_t *src, size_t len, size_t max)
{
    size_t  i;

    if (len <= max) {
        return len;
    }

    /* a character has at most three continuation bytes */

    for (i = max; i > 0 && max - i <= 3; i--) {
        if ((src[i] & 0xc0) != 0x80) {
            return i;
        }
    }

    return max;
}


unsigned
gw_utf8_length(const uint8_t *p, const uint8_t *end, int *valid)
{
    uint8_t   low, high;
    unsigned  n, i;

    *valid = 0;

    if (*p < 0xc2 || *p > 0xf4) {
        return 1;
    }

    n = (*p < 0xe0) ? 2 : (*p < 0xf0) ? 3 : 4;
    low = (*p == 0xe0) ? 0xa0 : (*p == 0xf0) ? 0x90 : 0x80;
    high = (*p == 0xed) ? 0x9f : (*p == 0xf4) ? 0x8f : 0xbf;

    for (i = 1; i < n; i++) {

        if (p + i == end || p[i] < low || p[i] > high) {
            return i;
        }

        low = 0x80;
        high = 0xbf;
    }

    *valid = 1;

    return n;
}


void
gw_nearest_init(gw_nearest_t *nearest, const uint8_t *name, size_t len)
{
    nearest->name = name;
    nearest->len = len;
    nearest->limit = (len <= GW_NAME_MAX) ? (unsigned) len / 3 + 2 : 0;
    nearest->item = NULL;

    if (nearest->limit > len) {
        nearest->limit = (unsigned) len;
    }
}


void
gw_nearest_try(gw_nearest_t *nearest, const uint8_t *name, size_t len,
    const void *item)
{
    unsigned  distance;

    if (len > GW_NAME_MAX || nearest->limit == 0) {
        return;
    }

    distance = gw_distance(name, len, nearest->name, nearest->len);

    if (distance < nearest->limit) {
        nearest->limit = distance;
        nearest->item = item;
    }
}


const char *
gw_nearest(const char *const *names, const uint8_t *name, size_t len)
{
    gw_nearest_t  nearest;

    gw_nearest_init(&nearest, name, len);

    for ( /* void */ ; *names; names++) {
        gw_nearest_try(&nearest, (const uint8_t *) *names, strlen(*names),
                       *names);
    }

    return nearest.item;
}


static unsigned
gw_character(const uint8_t *p, const uint8_t *end, int *printable)
{
    unsigned  n;

    if (*p < 0x80) {
        *printable = (*p >= 0x20 && *p != 0x7f);
        return 1;
    }

    n = gw_utf8_length(p, end, printable);

    /* the C1 control characters */

    if (*printable && p[0] == 0xc2 && p[1] < 0xa0) {
        *printable = 0;
    }

    return n;
}


static uint8_t *
gw_put(uint8_t *dst, const char *text)
{
    size_t  len;

    len = strlen(text);
    memcpy(dst, text, len);

    return dst + len;
}


static uint8_t *
gw_hex(uint8_t *dst, const char *prefix, const uint8_t *src, size_t len)
{
    size_t  i;

    static const char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < len; i++) {
        dst = gw_put(dst, prefix);

        *dst++ = (uint8_t) hex[src[i] >> 4];
        *dst++ = (uint8_t) hex[src[i] & 0xf];
    }

    return dst;
}


/* the restricted Damerau-Levenshtein distance, which needs only three rows */

static unsigned
gw_distance(const uint8_t *a, size_t m, const uint8_t *b, size_t n)
{
    size_t    i, j;
    uint8_t   cost;
    uint8_t  *row, *prev, *last, *swap, rows[3][GW_NAME_MAX + 1];

    last = rows[0];
    prev = rows[1];
    row = rows[2];

    for (j = 0; j <= n; j++) {
        row[j] = (uint8_t) j;
    }

    for (i = 1; i <= m; i++) {

        swap = last;
        last = prev;
        prev = row;
        row = swap;

        row[0] = (uint8_t) i;

        for (j = 1; j <= n; j++) {
            cost = (a[i - 1] != b[j - 1]);

            row[j] = prev[j - 1] + cost;

            if (row[j] > prev[j] + 1) {
                row[j] = prev[j] + 1;
            }

            if (row[j] > row[j - 1] + 1) {
                row[j] = row[j - 1] + 1;
            }

            if (i > 1 && j > 1
                && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]
                && row[j] > last[j - 2] + 1)
            {
                row[j] = last[j - 2] + 1;
            }
        }
    }

    return row[n];
}
