
/* see gw_siphash.h */

#include "gw_siphash.h"


#define gw_rotl(x, b)  (((x) << (b)) | ((x) >> (64 - (b))))

#define gw_sip_round                                                          \
    v0 += v1; v1 = gw_rotl(v1, 13); v1 ^= v0; v0 = gw_rotl(v0, 32);           \
    v2 += v3; v3 = gw_rotl(v3, 16); v3 ^= v2;                                 \
    v0 += v3; v3 = gw_rotl(v3, 21); v3 ^= v0;                                 \
    v2 += v1; v1 = gw_rotl(v1, 17); v1 ^= v2; v2 = gw_rotl(v2, 32)

#define gw_byte(p, i)  ((uint64_t) (p)[i] << (8 * (i)))


uint64_t
gw_siphash(const uint64_t key[2], const uint8_t *data, size_t len)
{
    size_t          i, tail;
    uint64_t        v0, v1, v2, v3, m;
    const uint8_t  *end;

    v0 = key[0] ^ 0x736f6d6570736575ULL;
    v1 = key[1] ^ 0x646f72616e646f6dULL;
    v2 = key[0] ^ 0x6c7967656e657261ULL;
    v3 = key[1] ^ 0x7465646279746573ULL;

    tail = len & 7;

    for (end = data + len - tail; data < end; data += 8) {

        /* a single load on little-endian machines */

        m = gw_byte(data, 0) | gw_byte(data, 1)
            | gw_byte(data, 2) | gw_byte(data, 3)
            | gw_byte(data, 4) | gw_byte(data, 5)
            | gw_byte(data, 6) | gw_byte(data, 7);

        v3 ^= m;
        gw_sip_round;
        v0 ^= m;
    }

    m = (uint64_t) len << 56;

    for (i = 0; i < tail; i++) {
        m |= gw_byte(data, i);
    }

    v3 ^= m;
    gw_sip_round;
    v0 ^= m;

    v2 ^= 0xff;
    gw_sip_round;
    gw_sip_round;
    gw_sip_round;

    return v0 ^ v1 ^ v2 ^ v3;
}
