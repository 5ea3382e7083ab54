
/*
 * The wire: varints, tags, lengths.  A reader takes what lies between p and
 * end, and returns where it ended, or NULL when the bytes are cut or invalid.
 */


#ifndef AGG_PB_WIRE_H_INCLUDED
#define AGG_PB_WIRE_H_INCLUDED


#include "agg_pb.h"


#pragma GCC visibility push(hidden)


#define AGG_PB_VARINT       0
#define AGG_PB_FIXED64      1
#define AGG_PB_LEN          2
#define AGG_PB_START_GROUP  3
#define AGG_PB_END_GROUP    4
#define AGG_PB_FIXED32      5

#define AGG_PB_VARINT_MAX   10      /* bytes */

#define AGG_PB_MAX_NUMBER   ((1u << 29) - 1)

#define agg_pb_tag(number, wire)  ((uint32_t) (number) << 3 | (wire))

#define agg_pb_zigzag(n)                                                     \
    ((uint64_t) (n) << 1 ^ (0 - ((uint64_t) (n) >> 63)))
#define agg_pb_unzigzag(n)  ((int64_t) ((n) >> 1 ^ (~((n) & 1) + 1)))


const u_char *agg_pb_varint_long(const u_char *p, const u_char *end,
    uint64_t *n);

/*
 * Skips the value of a field whose tag has been read; a group up to its end
 * tag, whose first byte is then at *inner (may be NULL).
 */

const u_char *agg_pb_skip(const u_char *p, const u_char *end, uint32_t tag,
    const u_char **inner);


static inline const u_char *
agg_pb_varint(const u_char *p, const u_char *end, uint64_t *n)
{
    if (p < end && *p < 0x80) {
        *n = *p;
        return p + 1;
    }

    if (end - p > 1 && p[1] < 0x80) {
        *n = (uint64_t) (*p & 0x7f) | (uint64_t) p[1] << 7;
        return p + 2;
    }

    return agg_pb_varint_long(p, end, n);
}


/* a long one, VARINT_MAX bytes being there for it */

const u_char *agg_pb_varint_quick(const u_char *p, uint64_t *n);


/* a tag with a valid number and wire type */

static inline const u_char *
agg_pb_read_tag(const u_char *p, const u_char *end, uint32_t *tag)
{
    uint64_t  n;

    p = agg_pb_varint(p, end, &n);

    if (p == NULL || n > UINT32_MAX || n < 8 || (n & 7) > AGG_PB_FIXED32) {
        return NULL;
    }

    *tag = (uint32_t) n;

    return p;
}


/* a length, and so many bytes behind it */

static inline const u_char *
agg_pb_read_len(const u_char *p, const u_char *end, agg_str_t *value)
{
    uint64_t  n;

    p = agg_pb_varint(p, end, &n);

    if (p == NULL || n > (size_t) (end - p)) {
        return NULL;
    }

    value->data = (u_char *) p;
    value->len = (size_t) n;

    return p + n;
}


static inline u_char *
agg_pb_put_varint(u_char *p, uint64_t n)
{
    while (n >= 0x80) {
        *p++ = (u_char) (n | 0x80);
        n >>= 7;
    }

    *p++ = (u_char) n;

    return p;
}


/* the same, with room for sixteen bytes */

u_char *agg_pb_put_long(u_char *p, uint64_t n);


static inline u_char *
agg_pb_put_quick(u_char *p, uint64_t n)
{
    if (n < 0x80) {
        *p = (u_char) n;
        return p + 1;
    }

    if (n < 0x4000) {
        p[0] = (u_char) (n | 0x80);
        p[1] = (u_char) (n >> 7);
        return p + 2;
    }

    return agg_pb_put_long(p, n);
}


static inline size_t
agg_pb_varint_size(uint64_t n)
{
    return (size_t) (63 - __builtin_clzll(n | 1)) / 7 + 1;
}


static inline uint32_t
agg_pb_get32(const u_char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static inline uint64_t
agg_pb_get64(const u_char *p)
{
    return agg_pb_get32(p) | (uint64_t) agg_pb_get32(p + 4) << 32;
}


static inline u_char *
agg_pb_put32(u_char *p, uint32_t n)
{
    p[0] = (u_char) n;
    p[1] = (u_char) (n >> 8);
    p[2] = (u_char) (n >> 16);
    p[3] = (u_char) (n >> 24);

    return p + 4;
}


static inline u_char *
agg_pb_put64(u_char *p, uint64_t n)
{
    return agg_pb_put32(agg_pb_put32(p, (uint32_t) n), (uint32_t) (n >> 32));
}


#pragma GCC visibility pop


#endif /* AGG_PB_WIRE_H_INCLUDED */
