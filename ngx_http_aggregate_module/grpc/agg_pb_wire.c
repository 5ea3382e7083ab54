
/* see agg_pb_wire.h */


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
