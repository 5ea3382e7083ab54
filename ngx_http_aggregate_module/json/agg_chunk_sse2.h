
/* the core with SSE2: 64 bytes in four vectors */


#define AGG_CORE(name)  agg_sse2_##name
#define AGG_CORE_TARGET


typedef struct {
    __m128i  part[4];
} agg_sse2_chunk_t;


/* there is nothing to prepare */

typedef int  agg_sse2_bytes_t;

#define agg_sse2_bytes()  NULL


#define agg_sse2_gather(chunk, expr)                                         \
    do {                                                                     \
        __m128i   b;                                                         \
        uint64_t  mask;                                                      \
        unsigned  i;                                                         \
                                                                             \
        mask = 0;                                                            \
                                                                             \
        for (i = 0; i < 4; i++) {                                            \
            b = (chunk)->part[i];                                            \
            mask |= (uint64_t) agg_block_mask(expr) << (16 * i);             \
        }                                                                    \
                                                                             \
        return mask;                                                         \
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
agg_sse2_bracket(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k)
{
    (void) k;

    agg_sse2_gather(chunk, agg_sse2_brackets(b));
}


/* whether there is a control character, a non-ASCII byte or a backslash */

agg_core_inline int
agg_sse2_odd(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k)
{
    __m128i   odd;
    unsigned  i;

    (void) k;

    odd = _mm_setzero_si128();

    for (i = 0; i < 4; i++) {
        odd = _mm_or_si128(odd, _mm_cmplt_epi8(chunk->part[i],
                                               _mm_set1_epi8(0x20)));
        odd = _mm_or_si128(odd, _mm_cmpeq_epi8(chunk->part[i],
                                               _mm_set1_epi8('\\')));
    }

    return (int) agg_block_mask(odd);
}


agg_core_inline uint64_t
agg_sse2_control(const agg_sse2_chunk_t *chunk)
{
    agg_sse2_gather(chunk, _mm_cmpeq_epi8(_mm_max_epu8(b, _mm_set1_epi8(0x1f)),
                                          _mm_set1_epi8(0x1f)));
}


agg_core_inline int
agg_sse2_high(const agg_sse2_chunk_t *chunk)
{
    return (int) agg_block_mask(
               _mm_or_si128(_mm_or_si128(chunk->part[0], chunk->part[1]),
                            _mm_or_si128(chunk->part[2], chunk->part[3])));
}


agg_core_inline uint64_t
agg_sse2_space(const agg_sse2_chunk_t *chunk, const agg_sse2_bytes_t *k,
    int odd)
{
    uint64_t  space;

    (void) k;

    space = agg_sse2_is(chunk, ' ');

    if (odd) {
        space |= agg_sse2_is(chunk, '\n') | agg_sse2_is(chunk, '\r')
                 | agg_sse2_is(chunk, '\t');
    }

    return space;
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
