
/* see agg_pb_wire.h */


#include "agg_block.h"
#include "agg_pb_wire.h"


const u_char *
agg_pb_varint_long(const u_char *p, const u_char *end, uint64_t *n)
{
    uint64_t  value;
    unsigned  shift;

    value = 0;

    for (shift = 0; shift < 70 && p < end; shift += 7) {

        value |= (uint64_t) (*p & 0x7f) << shift;

        if (*p++ < 0x80) {
            *n = value;
            return p;
        }
    }

    return NULL;
}


/* up to eight bytes at once: groups of seven bits move together */

const u_char *
agg_pb_varint_quick(const u_char *p, uint64_t *n)
{
    uint64_t  word, last;

    word = agg_word_load(p);
    last = ~word & AGG_HIGH;

    if (last == 0) {
        *n = 0;
        return agg_pb_varint_long(p, p + AGG_PB_VARINT_MAX, n);
    }

    /* the bits below the first byte that does not go on */

    word &= last ^ (last - 1);
    word &= AGG_LOW7;

    word = (word & UINT64_C(0x007f007f007f007f))
           | (word & UINT64_C(0x7f007f007f007f00)) >> 1;
    word = (word & UINT64_C(0x00003fff00003fff))
           | (word & UINT64_C(0x3fff00003fff0000)) >> 2;

    *n = (word & 0x0fffffff) | (word & UINT64_C(0x0fffffff00000000)) >> 4;

    return p + (agg_first(last) >> 3) + 1;
}


/*
 * Up to eight bytes at once: fours, twos and ones of groups of seven bits move
 * apart.
 */

u_char *
agg_pb_put_long(u_char *p, uint64_t n)
{
    size_t  len;

    if (n >> 56) {
        return agg_pb_put_varint(p, n);
    }

    len = agg_pb_varint_size(n);

    n = (n & 0x0fffffff) | (n & UINT64_C(0xfffffff0000000)) << 4;
    n = (n & UINT64_C(0x00003fff00003fff))
        | (n & UINT64_C(0x0fffc0000fffc000)) << 2;
    n = (n & UINT64_C(0x007f007f007f007f))
        | (n & UINT64_C(0x3f803f803f803f80)) << 1;

    /* all but the last byte go on */

    n |= UINT64_C(0x0080808080808080) >> 8 * (8 - len);

    (void) agg_pb_put64(p, n);

    return p + len;
}


const u_char *
agg_pb_skip(const u_char *p, const u_char *end, uint32_t tag,
    const u_char **inner)
{
    uint32_t       groups[AGG_PB_DEPTH];
    uint64_t       n;
    unsigned       depth;
    agg_str_t      value;
    const u_char  *start;

    start = p;
    depth = 0;

    for ( ;; ) {

        switch (tag & 7) {

        case AGG_PB_VARINT:
            p = agg_pb_varint(p, end, &n);
            break;

        case AGG_PB_FIXED64:
            p = ((size_t) (end - p) < 8) ? NULL : p + 8;
            break;

        case AGG_PB_FIXED32:
            p = ((size_t) (end - p) < 4) ? NULL : p + 4;
            break;

        case AGG_PB_LEN:
            p = agg_pb_read_len(p, end, &value);
            break;

        case AGG_PB_START_GROUP:
            if (depth == AGG_PB_DEPTH) {
                return NULL;
            }

            groups[depth++] = tag >> 3;
            break;

        default: /* AGG_PB_END_GROUP */
            if (depth == 0 || groups[--depth] != tag >> 3) {
                return NULL;
            }

            if (inner != NULL) {
                *inner = start;
            }
        }

        if (p == NULL || depth == 0) {
            return p;
        }

        start = p;
        p = agg_pb_read_tag(p, end, &tag);

        if (p == NULL) {
            return NULL;
        }
    }
}
