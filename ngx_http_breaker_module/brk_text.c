
#include <string.h>

#include "brk_text.h"


static uint8_t *brk_text_put(uint8_t *dst, const char *text);
static uint8_t *brk_text_hex(uint8_t *dst, const char *prefix, uint8_t ch);
static unsigned brk_text_distance(const char *a, size_t m, const uint8_t *b,
    size_t n);


uint8_t *
brk_text_show(uint8_t *dst, const uint8_t *src, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (src[i] < 0x20 || src[i] > 0x7e || src[i] == '\\') {
            dst = brk_text_hex(dst, "\\x", src[i]);

        } else {
            *dst++ = src[i];
        }
    }

    return dst;
}


uint8_t *
brk_text_html(uint8_t *dst, const uint8_t *src, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        switch (src[i]) {

        case '<':
            dst = brk_text_put(dst, "&lt;");
            break;

        case '>':
            dst = brk_text_put(dst, "&gt;");
            break;

        case '&':
            dst = brk_text_put(dst, "&amp;");
            break;

        case '"':
            dst = brk_text_put(dst, "&quot;");
            break;

        case '\'':
            dst = brk_text_put(dst, "&#39;");
            break;

        default:
            *dst++ = src[i];
        }
    }

    return dst;
}


uint8_t *
brk_text_label(uint8_t *dst, const uint8_t *src, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (src[i] == '\n') {
            dst = brk_text_put(dst, "\\n");
            continue;
        }

        if (src[i] == '\\' || src[i] == '"') {
            *dst++ = '\\';
        }

        *dst++ = src[i];
    }

    return dst;
}


uint8_t *
brk_text_query(uint8_t *dst, const uint8_t *src, size_t len)
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
            dst = brk_text_hex(dst, "%", c);
        }
    }

    return dst;
}


const char *
brk_text_nearest(const char *const *names, const uint8_t *name, size_t len)
{
    size_t       m;
    unsigned     d, least;
    const char  *nearest;

    if (len == 0 || len > BRK_NAME_MAX) {
        return NULL;
    }

    nearest = NULL;
    least = (unsigned) len / 3 + 2;

    for ( /* void */ ; *names; names++) {
        m = strlen(*names);

        if (m > BRK_NAME_MAX) {
            continue;
        }

        d = brk_text_distance(*names, m, name, len);

        if (d < least) {
            least = d;
            nearest = *names;
        }
    }

    return nearest;
}


static uint8_t *
brk_text_put(uint8_t *dst, const char *text)
{
    size_t  len;

    len = strlen(text);
    memcpy(dst, text, len);

    return dst + len;
}


static uint8_t *
brk_text_hex(uint8_t *dst, const char *prefix, uint8_t ch)
{
    static const char  hex[] = "0123456789ABCDEF";

    dst = brk_text_put(dst, prefix);

    *dst++ = (uint8_t) hex[ch >> 4];
    *dst++ = (uint8_t) hex[ch & 0xf];

    return dst;
}


/* the restricted Damerau-Levenshtein distance, three rows at a time */

static unsigned
brk_text_distance(const char *a, size_t m, const uint8_t *b, size_t n)
{
    size_t    i, j;
    uint8_t   cost;
    uint8_t  *row, *prev, *last, *swap, rows[3][BRK_NAME_MAX + 1];

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
            cost = ((uint8_t) a[i - 1] != b[j - 1]);

            row[j] = prev[j - 1] + cost;

            if (row[j] > prev[j] + 1) {
                row[j] = prev[j] + 1;
            }

            if (row[j] > row[j - 1] + 1) {
                row[j] = row[j - 1] + 1;
            }

            if (i > 1 && j > 1
                && (uint8_t) a[i - 1] == b[j - 2]
                && (uint8_t) a[i - 2] == b[j - 1]
                && row[j] > last[j - 2] + 1)
            {
                row[j] = last[j - 2] + 1;
            }
        }
    }

    return row[n];
}
