
/* see gw_out.h */

#include <string.h>

#include "gw_number.h"
#include "gw_out.h"


/* bytes that are escaped at once, and the least room for copying */

#define GW_OUT_PIECE      ((size_t) 128)
#define GW_OUT_ROOM       ((size_t) 64)

#define GW_OUT_BLOCK_MIN  ((size_t) 1024)


static int gw_out_block_more(gw_out_t *out, size_t n);


void
gw_out_block_init(gw_out_block_t *block, size_t max,
    void *(*grow)(void *ctx, void *old, size_t used, size_t size), void *ctx)
{
    memset(block, 0, sizeof(gw_out_block_t));

    block->out.more = gw_out_block_more;
    block->out.ctx = block;

    block->max = max;
    block->grow = grow;
    block->ctx = ctx;
}


static int
gw_out_block_more(gw_out_t *out, size_t n)
{
    size_t           used, size;
    uint8_t         *p;
    gw_out_block_t  *block;

    block = out->ctx;

    used = gw_out_block_used(block);

    if (used > block->max || n > block->max - used) {
        return -1;
    }

    size = 2 * (size_t) (out->end - block->start);

    if (size < GW_OUT_BLOCK_MIN) {
        size = GW_OUT_BLOCK_MIN;
    }

    if (size < used + n) {
        size = used + n;
    }

    if (size > block->max) {
        size = block->max;
    }

    p = block->grow(block->ctx, block->start, used, size);
    if (p == NULL) {
        return -1;
    }

    block->start = p;
    out->last = p + used;
    out->end = p + size;

    return 0;
}


int
gw_out_room(gw_out_t *out, size_t n)
{
    if (out->failed) {
        return -1;
    }

    if ((size_t) (out->end - out->last) >= n) {
        return 0;
    }

    if (out->more(out, n) != 0) {
        out->failed = 1;
        return -1;
    }

    return 0;
}


void
gw_out_put(gw_out_t *out, const void *data, size_t len)
{
    size_t          n;
    const uint8_t  *p;

    for (p = data; len; p += n, len -= n) {

        n = (size_t) (out->end - out->last);

        if (n == 0 || out->failed) {
            n = (len < GW_OUT_ROOM) ? len : GW_OUT_ROOM;

            if (gw_out_room(out, n) != 0) {
                return;
            }

            n = (size_t) (out->end - out->last);
        }

        if (n > len) {
            n = len;
        }

        memcpy(out->last, p, n);
        out->last += n;
    }
}


void
gw_out_text(gw_out_t *out, const char *text)
{
    gw_out_put(out, text, strlen(text));
}


void
gw_out_uint(gw_out_t *out, uint64_t n)
{
    uint8_t  digits[GW_NUMBER], *end;

    end = gw_write_uint(digits, n);

    gw_out_put(out, digits, (size_t) (end - digits));
}


void
gw_out_decimal(gw_out_t *out, uint64_t n, unsigned digits, unsigned least)
{
    char      text[64], *p, *end;
    unsigned  i;

    end = text + sizeof(text) - 20;
    p = end;

    /* the digits after the point, without trailing zeros */

    for (i = digits; i; i--) {
        if (n % 10 == 0 && p == end && i > least) {
            n /= 10;
            continue;
        }

        *--p = (char) ('0' + n % 10);
        n /= 10;
    }

    for (i = digits; i < least; i++) {
        *end++ = '0';
    }

    if (p != end) {
        *--p = '.';
    }

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n);

    gw_out_put(out, p, (size_t) (end - p));
}


void
gw_out_escape(gw_out_t *out, gw_escape_pt escape, size_t factor,
    const uint8_t *data, size_t len)
{
    size_t  n;

    for ( /* void */ ; len; data += n, len -= n) {

        n = gw_cut(data, len, GW_OUT_PIECE);

        if (gw_out_room(out, n * factor) != 0) {
            return;
        }

        out->last = escape(out->last, data, n);
    }
}
