
/* the core with AVX-512: 64 bytes in one vector */


#define AGG_CORE(name)  agg_avx512_##name
#define AGG_CORE_TARGET                                                      \
    __attribute__((target("avx512f,avx512bw,avx2,bmi,bmi2,pclmul,popcnt")))

#define agg_avx512_opens  1
#define agg_avx512_ahead  1


typedef struct {
    __m512i  all;
} agg_avx512_chunk_t;


/* as with AVX2 */

typedef struct {
    u_char  byte[AGG_CORE_BYTES][64];
    u_char  spaces[64];
    u_char  digits[64];             /* how many there are */
} agg_avx512_bytes_t;


#define agg_avx512_64(c)  { agg_avx2_8(c), agg_avx2_8(c), agg_avx2_8(c),     \
                            agg_avx2_8(c), agg_avx2_8(c), agg_avx2_8(c),     \
                            agg_avx2_8(c), agg_avx2_8(c) }

static const agg_avx512_bytes_t  agg_avx512_bytes_table
    __attribute__((aligned(64))) = {
    AGG_CORE_EACH(agg_avx512_64),
    { AGG_CORE_SPACES, AGG_CORE_SPACES, AGG_CORE_SPACES, AGG_CORE_SPACES },
    agg_avx512_64(10)
};


#define agg_avx512_bytes()    agg_core_table(&agg_avx512_bytes_table)
#define agg_avx512_of(bytes)  _mm512_load_si512(bytes)


agg_core_inline AGG_CORE_TARGET __m512i
agg_avx512_table(const u_char *table)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *) table));
}


/*
 * The compiler is kept from computing in mask registers, where a step takes
 * longer than in others, and which it would also use to save masks.
 */

agg_core_inline uint64_t
agg_avx512_mask(uint64_t mask)
{
    __asm__ ("" : "+r" (mask));

    return mask;
}


agg_core_inline AGG_CORE_TARGET void
agg_avx512_load(agg_avx512_chunk_t *chunk, const u_char *p)
{
    chunk->all = _mm512_loadu_si512(p);
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx512_equal(const agg_avx512_chunk_t *chunk, const agg_avx512_bytes_t *k,
    agg_core_byte_e n)
{
    return agg_avx512_mask(
               _mm512_cmpeq_epi8_mask(chunk->all, agg_avx512_of(k->byte[n])));
}


/* [ and ] become { and } */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx512_bracket(const agg_avx512_chunk_t *chunk,
    const agg_avx512_bytes_t *k, uint64_t *opening)
{
    __m512i  all, open, close;

    all = _mm512_or_si512(chunk->all, agg_avx512_of(k->byte[AGG_CORE_LOWER]));
    open = agg_avx512_of(k->byte[AGG_CORE_OPEN]);
    close = agg_avx512_of(k->byte[AGG_CORE_CLOSE]);

    *opening = agg_avx512_mask(_mm512_cmpeq_epi8_mask(all, open));

    return *opening | agg_avx512_mask(_mm512_cmpeq_epi8_mask(all, close));
}


/* control characters and those that are not ASCII */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx512_low(const agg_avx512_chunk_t *chunk, const agg_avx512_bytes_t *k)
{
    __m512i  lower;

    lower = agg_avx512_of(k->byte[AGG_CORE_LOWER]);

    return agg_avx512_mask(_mm512_cmplt_epi8_mask(chunk->all, lower));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx512_high(const agg_avx512_chunk_t *chunk)
{
    return agg_avx512_mask(_mm512_movepi8_mask(chunk->all));
}


agg_core_inline AGG_CORE_TARGET int
agg_avx512_odd(const agg_avx512_chunk_t *chunk, const agg_avx512_bytes_t *k)
{
    return (agg_avx512_low(chunk, k)
            | agg_avx512_equal(chunk, k, AGG_CORE_SLASH))
           != 0;
}


/* a byte is white space if it equals the table's entry for its low four bits */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx512_space(const agg_avx512_chunk_t *chunk, const agg_avx512_bytes_t *k,
    int odd)
{
    __m512i  all;

    (void) odd;

    all = _mm512_shuffle_epi8(agg_avx512_of(k->spaces), chunk->all);

    return agg_avx512_mask(_mm512_cmpeq_epi8_mask(all, chunk->all));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx512_digit(const agg_avx512_chunk_t *chunk, const agg_avx512_bytes_t *k)
{
    __m512i  all;

    all = _mm512_sub_epi8(chunk->all, agg_avx512_of(k->byte[AGG_CORE_ZERO]));

    return agg_avx512_mask(
               _mm512_cmplt_epu8_mask(all, agg_avx512_of(k->digits)));
}


/* a prefix xor: the carry-less product with all ones */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx512_prefix_xor(uint64_t m)
{
    return (uint64_t) _mm_cvtsi128_si64(
               _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long) m),
                                    _mm_set1_epi8((char) 0xff), 0));
}


agg_core_inline AGG_CORE_TARGET int
agg_avx512_utf8(const u_char *p, const agg_avx512_chunk_t *chunk)
{
    __m512i  block, first, second, third, errors, due, nibble;

    nibble = _mm512_set1_epi8(0x0f);

    (void) p;

    block = chunk->all;

    /* each lane of sixteen bytes is preceded by the one before it */

    first = _mm512_alignr_epi32(block, _mm512_setzero_si512(), 12);
    third = _mm512_alignr_epi8(block, first, 13);
    second = _mm512_alignr_epi8(block, first, 14);
    first = _mm512_alignr_epi8(block, first, 15);

    errors = _mm512_shuffle_epi8(
                 agg_avx512_table(agg_utf8_first_high),
                 _mm512_and_si512(_mm512_srli_epi16(first, 4), nibble));

    errors = _mm512_and_si512(
                 errors,
                 _mm512_shuffle_epi8(agg_avx512_table(agg_utf8_first_low),
                                     _mm512_and_si512(first, nibble)));

    errors = _mm512_and_si512(
                 errors,
                 _mm512_shuffle_epi8(
                     agg_avx512_table(agg_utf8_second_high),
                     _mm512_and_si512(_mm512_srli_epi16(block, 4), nibble)));

    /* the third and the fourth byte of a character must be continuations */

    due = _mm512_or_si512(
              _mm512_subs_epu8(second, _mm512_set1_epi8(0xe0 - 0x80)),
              _mm512_subs_epu8(third, _mm512_set1_epi8(0xf0 - 0x80)));

    due = _mm512_and_si512(due, _mm512_set1_epi8((char) 0x80));
    errors = _mm512_xor_si512(errors, due);

    return _mm512_test_epi8_mask(errors, errors) != 0;
}


#include "agg_core_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
