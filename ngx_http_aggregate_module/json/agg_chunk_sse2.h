
/* the core with SSE2: 64 bytes in four vectors */


#define AGG_CORE(name)  agg_sse2_##name
#define AGG_CORE_TARGET

#define agg_sse2_opens  0
#define agg_sse2_ahead  0


typedef struct {
    __m128i  part[4];
} agg_sse2_chunk_t;


/* there is nothing to prepare */

typedef int  agg_sse2_bytes_t;

#define agg_sse2_bytes()  NULL


/* the expression of b for each part: compilers would leave a loop as it is */

#define agg_sse2_gather(chunk, expr)                                         \
    do {                                                                     \
        __m128i   b;                                                         \
        uint64_t  low, high;                                                 \
                                                                             \
        b = (chunk)->part[0];                                                \
        low = agg_block_mask(expr);                                          \
        b = (chunk)->part[1];                                                \
        low |= (uint64_t) agg_block_mask(expr) << 16;                        \
        b = (chunk)->part[2];                                                \
        high = agg_block_mask(expr);                                         \
        b = (chunk)->part[3];                                                \
        high |= (uint64_t) agg_block_mask(expr) << 16;                       \
                                                                             \
        return low | high << 32;                                             \
    } while (0)


agg_core_inline void
agg_sse2_load(agg_sse2_chunk_t *chunk, const u_char *p)
{
    chunk->part[0] = agg_block_load(p);
    chunk->part[1] = agg_block_load(p + 16);
    chunk->part[2] = agg_block_load(p + 32);
    chunk->part[3] = agg_block_load(p + 48);
}


agg_core_inline uint64_t
agg_sse2_is(const agg_sse2_chunk_t *chunk, char c)
{
    agg_sse2_gather(chunk, _mm_cmpeq_epi8(b, _mm_set1_epi8(c)));
}


agg_core_inline uint64_t
agg_sse2_equal(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k,
    agg_core_byte_e n)
{
    (void) k;

    return agg_sse2_is(chunk, (char) agg_core_bytes[n]);
}


/* [ and ] become { and } */

agg_core_inline __m128i
agg_sse2_brackets(__m128i part)
{
    part = _mm_or_si128(part, _mm_set1_epi8(0x20));

    return _mm_or_si128(_mm_cmpeq_epi8(part, _mm_set1_epi8('{')),
                        _mm_cmpeq_epi8(part, _mm_set1_epi8('}')));
}


agg_core_inline uint64_t
agg_sse2_bracket(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k,
    uint64_t *opening)
{
    (void) k;
    (void) opening;

    agg_sse2_gather(chunk, agg_sse2_brackets(b));
}


/* whether there is a control character, a non-ASCII byte or a backslash */

agg_core_inline __m128i
agg_sse2_odds(__m128i part)
{
    return _mm_or_si128(_mm_cmplt_epi8(part, _mm_set1_epi8(0x20)),
                        _mm_cmpeq_epi8(part, _mm_set1_epi8('\\')));
}


agg_core_inline int
agg_sse2_odd(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k)
{
    __m128i  odd;

    (void) k;

    odd = _mm_or_si128(
              _mm_or_si128(agg_sse2_odds(chunk->part[0]),
                           agg_sse2_odds(chunk->part[1])),
              _mm_or_si128(agg_sse2_odds(chunk->part[2]),
                           agg_sse2_odds(chunk->part[3])));

    return (int) agg_block_mask(odd);
}


/* control characters and those that are not ASCII */

agg_core_inline uint64_t
agg_sse2_low(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k)
{
    (void) k;

    agg_sse2_gather(chunk, _mm_cmplt_epi8(b, _mm_set1_epi8(0x20)));
}


agg_core_inline uint64_t
agg_sse2_high(const agg_sse2_chunk_t *chunk)
{
    agg_sse2_gather(chunk, b);
}


agg_core_inline __m128i
agg_sse2_spaces(__m128i part)
{
    return _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(part, _mm_set1_epi8(' ')),
                                     _mm_cmpeq_epi8(part, _mm_set1_epi8('\n'))),
                        _mm_or_si128(_mm_cmpeq_epi8(part, _mm_set1_epi8('\r')),
                                     _mm_cmpeq_epi8(part,
                                                    _mm_set1_epi8('\t'))));
}


agg_core_inline uint64_t
agg_sse2_space(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k,
    int odd)
{
    (void) k;

    if (!odd) {
        return agg_sse2_is(chunk, ' ');
    }

    agg_sse2_gather(chunk, agg_sse2_spaces(b));
}


/* the digits become the ten highest values of signed bytes */

agg_core_inline uint64_t
agg_sse2_digit(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k)
{
    (void) k;

    agg_sse2_gather(chunk,
                    _mm_cmpgt_epi8(_mm_add_epi8(b, _mm_set1_epi8(0x7f - '9')),
                                   _mm_set1_epi8(0x7f - 10)));
}


#define agg_sse2_prefix_xor(m)    agg_core_prefix_xor(m)
#define agg_sse2_utf8(p, chunk)   agg_core_utf8(p)


#include "agg_core_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
