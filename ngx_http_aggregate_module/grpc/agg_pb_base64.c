
/* see agg_pb_base64.h */


#include "agg_pb_base64.h"


#define XX  0x80


static const u_char  agg_pb_base64_values[256] = {
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, 62, XX, 62, XX, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, XX, XX, XX, XX, XX, XX,
    XX,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, XX, XX, XX, XX, 63,
    XX, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX
};


u_char *
agg_pb_base64(u_char *dst, const u_char *src, size_t len)
{
    u_char         a, b, c, d;
    const u_char  *end, *v;

    v = agg_pb_base64_values;

    /* with padding, the last four characters are really two or three */

    if (len != 0 && len % 4 == 0 && src[len - 1] == '=') {
        len -= (src[len - 2] == '=') ? 2 : 1;
    }

    for (end = src + len; end - src >= 4; src += 4) {

        a = v[src[0]];
        b = v[src[1]];
        c = v[src[2]];
        d = v[src[3]];

        if ((a | b | c | d) & XX) {
            return NULL;
        }

        *dst++ = (u_char) (a << 2 | b >> 4);
        *dst++ = (u_char) (b << 4 | c >> 2);
        *dst++ = (u_char) (c << 6 | d);
    }

    if (src == end) {
        return dst;
    }

    if (end - src == 1) {
        return NULL;
    }

    a = v[src[0]];
    b = v[src[1]];
    c = (end - src == 3) ? v[src[2]] : 0;

    if ((a | b | c) & XX) {
        return NULL;
    }

    *dst++ = (u_char) (a << 2 | b >> 4);

    if (end - src == 3) {
        *dst++ = (u_char) (b << 4 | c >> 2);
    }

    return dst;
}
