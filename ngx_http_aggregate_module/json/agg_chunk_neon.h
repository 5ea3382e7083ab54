
/* the core with the vectors of arm64: 64 bytes in four */


#include <arm_neon.h>


#define AGG_CORE(name)  agg_neon_##name
#define AGG_CORE_TARGET

#define agg_neon_opens  0
#define agg_neon_ahead  0


typedef struct {
    uint8x16_t  part[4];
} agg_neon_chunk_t;


/* there is nothing to prepare */

typedef int  agg_neon_bytes_t;

#define agg_neon_bytes()  NULL


/* makes a bit of each byte, which is all ones or zero, by adding neighbours */

agg_core_inline uint64_t
agg_neon_mask(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    uint8x16_t  bits;

    bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201ull));

    a = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
    c = vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits));
    a = vpaddq_u8(a, c);
    a = vpaddq_u8(a, a);

    return vgetq_lane_u64(vreinterpretq_u64_u8(a), 0);
}


/* the expression of b for each part: compilers would leave a loop as it is */

#define agg_neon_gather(chunk, expr)                                         \
    do {                                                                     \
        uint8x16_t  b, first, second, third;                                 \
                                                                             \
        b = (chunk)->part[0];                                                \
        first = (expr);                                                      \
        b = (chunk)->part[1];                                                \
        second = (expr);                                                     \
        b = (chunk)->part[2];                                                \
        third = (expr);                                                      \
        b = (chunk)->part[3];                                                \
                                                                             \
        return agg_neon_mask(first, second, third, (expr));                  \
    } while (0)


agg_core_inline void
agg_neon_load(agg_neon_chunk_t *chunk, const u_char *p)
{
    chunk->part[0] = vld1q_u8(p);
    chunk->part[1] = vld1q_u8(p + 16);
    chunk->part[2] = vld1q_u8(p + 32);
    chunk->part[3] = vld1q_u8(p + 48);
}


agg_core_inline uint64_t
agg_neon_is(const agg_neon_chunk_t *chunk, u_char c)
{
    agg_neon_gather(chunk, vceqq_u8(b, vdupq_n_u8(c)));
}


agg_core_inline uint64_t
agg_neon_equal(const agg_neon_chunk_t *chunk, const agg_neon_bytes_t *k,
    agg_core_byte_e n)
{
    (void) k;

    return agg_neon_is(chunk, agg_core_bytes[n]);
}


/* [ and ] become { and } */

agg_core_inline uint8x16_t
agg_neon_brackets(uint8x16_t part)
{
    part = vorrq_u8(part, vdupq_n_u8(0x20));

    return vorrq_u8(vceqq_u8(part, vdupq_n_u8('{')),
                    vceqq_u8(part, vdupq_n_u8('}')));
}


agg_core_inline uint64_t
agg_neon_bracket(const agg_neon_chunk_t *chunk, const agg_neon_bytes_t *k,
    uint64_t *opening)
{
    (void) k;
    (void) opening;

    agg_neon_gather(chunk, agg_neon_brackets(b));
}


/* control characters and those that are not ASCII */

agg_core_inline uint8x16_t
agg_neon_lows(uint8x16_t part)
{
    return vcgeq_u8(vsubq_u8(part, vdupq_n_u8(0x20)), vdupq_n_u8(0x60));
}


agg_core_inline uint64_t
agg_neon_low(const agg_neon_chunk_t *chunk, const agg_neon_bytes_t *k)
{
    (void) k;

    agg_neon_gather(chunk, agg_neon_lows(b));
}


agg_core_inline uint64_t
agg_neon_high(const agg_neon_chunk_t *chunk)
{
    agg_neon_gather(chunk, vcgeq_u8(b, vdupq_n_u8(0x80)));
}


/* whether there is one of these, or a backslash */

agg_core_inline uint8x16_t
agg_neon_odds(uint8x16_t part)
{
    return vorrq_u8(agg_neon_lows(part), vceqq_u8(part, vdupq_n_u8('\\')));
}


agg_core_inline int
agg_neon_odd(const agg_neon_chunk_t *chunk, const agg_neon_bytes_t *k)
{
    uint8x16_t  odd;

    (void) k;

    odd = vorrq_u8(vorrq_u8(agg_neon_odds(chunk->part[0]),
                            agg_neon_odds(chunk->part[1])),
                   vorrq_u8(agg_neon_odds(chunk->part[2]),
                            agg_neon_odds(chunk->part[3])));

    return vmaxvq_u8(odd) != 0;
}


/* a byte is white space if it equals the table's entry for its low four bits */

static const u_char  agg_neon_space_table[16] = { AGG_CORE_SPACES };


agg_core_inline uint64_t
agg_neon_space(const agg_neon_chunk_t *chunk, const agg_neon_bytes_t *k,
    int odd)
{
    uint8x16_t  table;

    (void) k;

    if (!odd) {
        return agg_neon_is(chunk, ' ');
    }

    table = vld1q_u8(agg_neon_space_table);

    agg_neon_gather(chunk,
                    vceqq_u8(b, vqtbl1q_u8(table,
                                           vandq_u8(b, vdupq_n_u8(0x0f)))));
}


agg_core_inline uint64_t
agg_neon_digit(const agg_neon_chunk_t *chunk, const agg_neon_bytes_t *k)
{
    (void) k;

    agg_neon_gather(chunk, vcltq_u8(vsubq_u8(b, vdupq_n_u8('0')),
                                    vdupq_n_u8(10)));
}


agg_core_inline uint8x16_t
agg_neon_utf8_errors(uint8x16_t block, uint8x16_t before)
{
    uint8x16_t  first, errors, due;

    first = vextq_u8(before, block, 15);

    errors = vqtbl1q_u8(vld1q_u8(agg_utf8_first_high), vshrq_n_u8(first, 4));

    errors = vandq_u8(errors,
                      vqtbl1q_u8(vld1q_u8(agg_utf8_first_low),
                                 vandq_u8(first, vdupq_n_u8(0x0f))));

    errors = vandq_u8(errors, vqtbl1q_u8(vld1q_u8(agg_utf8_second_high),
                                         vshrq_n_u8(block, 4)));

    /* the third and the fourth byte of a character must be continuations */

    due = vorrq_u8(vcgeq_u8(vextq_u8(before, block, 14), vdupq_n_u8(0xe0)),
                   vcgeq_u8(vextq_u8(before, block, 13), vdupq_n_u8(0xf0)));

    return veorq_u8(errors, vandq_u8(due, vdupq_n_u8(0x80)));
}


agg_core_inline int
agg_neon_utf8(const u_char *p, const agg_neon_chunk_t *chunk)
{
    uint8x16_t         errors;
    const uint8x16_t  *part;

    (void) p;

    part = chunk->part;

    errors = vorrq_u8(
                 vorrq_u8(agg_neon_utf8_errors(part[0], vdupq_n_u8(0)),
                          agg_neon_utf8_errors(part[1], part[0])),
                 vorrq_u8(agg_neon_utf8_errors(part[2], part[1]),
                          agg_neon_utf8_errors(part[3], part[2])));

    return vmaxvq_u8(errors) != 0;
}


#define agg_neon_prefix_xor(m)  agg_core_prefix_xor(m)


/* for agg_pattern_run.h */

/* as agg_neon_mask, of two */

agg_core_inline uint32_t
agg_neon_mask2(uint8x16_t a, uint8x16_t b)
{
    uint8x16_t  bits;

    bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201ull));

    a = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
    a = vpaddq_u8(a, a);
    a = vpaddq_u8(a, a);

    return vgetq_lane_u32(vreinterpretq_u32_u8(a), 0);
}


agg_core_inline int
agg_neon_fits_text(const u_char *text, uint32_t mask, const u_char *p)
{
    uint32_t  same;

    same = agg_neon_mask2(vceqq_u8(vld1q_u8(p), vld1q_u8(text)),
                          vceqq_u8(vld1q_u8(p + 16), vld1q_u8(text + 16)));

    return (~same & mask) == 0;
}


#define agg_neon_fits(g, p)  agg_neon_fits_text((g)->text, (g)->mask, p)

#define agg_neon_fits_behind(g, q)                                           \
    agg_neon_fits_text(&(g)->quote, (g)->behind, q)


typedef int  agg_neon_stop_t;

#define agg_neon_stops()  NULL

#define agg_neon_pair(k, c, next)  agg_is_pair(agg_pairs, c, next)


/* as agg_block_special */

agg_core_inline uint8x16_t
agg_neon_stop16(const u_char *p)
{
    uint8x16_t  b, special;

    b = vld1q_u8(p);

    special = vcgeq_u8(vsubq_u8(b, vdupq_n_u8(0x20)), vdupq_n_u8(0x60));
    special = vorrq_u8(special, vceqq_u8(b, vdupq_n_u8('"')));

    return vorrq_u8(special, vceqq_u8(b, vdupq_n_u8('\\')));
}


agg_core_inline uint64_t
agg_neon_stop(const u_char *p, const agg_neon_stop_t *k)
{
    (void) k;

    return agg_neon_mask(agg_neon_stop16(p), agg_neon_stop16(p + 16),
                         agg_neon_stop16(p + 32), agg_neon_stop16(p + 48));
}


#define agg_neon_first(mask)      agg_first(mask)
#define agg_neon_lowest(mask, n)  agg_pattern_lowest(mask, n)


agg_core_inline uint32_t
agg_neon_digits(const u_char *p, const agg_neon_stop_t *k)
{
    uint8x16_t  other;

    (void) k;

    other = vcgeq_u8(vsubq_u8(vld1q_u8(p), vdupq_n_u8('0')), vdupq_n_u8(10));

    return agg_neon_mask2(other, vdupq_n_u8(0)) | 3u << 16;
}


agg_core_inline void
agg_neon_copy(u_char *dst, const u_char *p)
{
    memcpy(dst, p, AGG_PATTERN_BLOCK);
}


#include "agg_core_run.h"
#include "agg_pattern_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
