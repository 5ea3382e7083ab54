
/* the core with AVX2: 64 bytes in two vectors */


#include <immintrin.h>


#define AGG_CORE(name)  agg_avx2_##name
#define AGG_CORE_TARGET                                                      \
    __attribute__((target("avx2,bmi,bmi2,pclmul,popcnt")))


typedef struct {
    __m256i  low;
    __m256i  high;
} agg_avx2_chunk_t;


/* vectors of one byte each, and a table of white space */

typedef struct {
    __m256i  byte[AGG_CORE_BYTES];
    __m256i  spaces;
    __m256i  up;                    /* makes digits the highest signed bytes */
    __m256i  most;
} agg_avx2_bytes_t;


/*
 * The compiler is kept from seeing through them: it would make each anew from
 * its byte wherever it is used.
 */

agg_core_inline AGG_CORE_TARGET void
agg_avx2_bytes(agg_avx2_bytes_t *k)
{
    unsigned  i;

    static const u_char  spaces[16] = {
        ' ', 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f,
        0x7f, '\t', '\n', 0x7e, 0x7f, '\r', 0x7f, 0x7e
    };

    for (i = 0; i < AGG_CORE_BYTES; i++) {
        k->byte[i] = _mm256_set1_epi8((char) agg_core_bytes[i]);
        __asm__ ("" : "+x" (k->byte[i]));
    }

    k->spaces = _mm256_broadcastsi128_si256(
                    _mm_loadu_si128((const __m128i *) spaces));
    k->up = _mm256_set1_epi8(0x7f - '9');
    k->most = _mm256_set1_epi8(0x7f - 10);

    __asm__ ("" : "+x" (k->spaces), "+x" (k->up), "+x" (k->most));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_mask(__m256i low, __m256i high)
{
    return (uint32_t) _mm256_movemask_epi8(low)
           | (uint64_t) (uint32_t) _mm256_movemask_epi8(high) << 32;
}


agg_core_inline AGG_CORE_TARGET void
agg_avx2_load(agg_avx2_chunk_t *chunk, const u_char *p)
{
    chunk->low = _mm256_loadu_si256((const __m256i *) p);
    chunk->high = _mm256_loadu_si256((const __m256i *) (p + 32));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_equal(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k,
    agg_core_byte_e n)
{
    return agg_avx2_mask(_mm256_cmpeq_epi8(chunk->low, k->byte[n]),
                         _mm256_cmpeq_epi8(chunk->high, k->byte[n]));
}


/* [ and ] become { and } */

agg_core_inline AGG_CORE_TARGET __m256i
agg_avx2_brackets(__m256i part, const agg_avx2_bytes_t *k)
{
    part = _mm256_or_si256(part, k->byte[AGG_CORE_LOWER]);

    return _mm256_or_si256(_mm256_cmpeq_epi8(part, k->byte[AGG_CORE_OPEN]),
                           _mm256_cmpeq_epi8(part, k->byte[AGG_CORE_CLOSE]));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_bracket(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k)
{
    return agg_avx2_mask(agg_avx2_brackets(chunk->low, k),
                         agg_avx2_brackets(chunk->high, k));
}


/* a control character, one that is not ASCII, or a backslash */

agg_core_inline AGG_CORE_TARGET int
agg_avx2_odd(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k)
{
    __m256i  least, slash;

    least = _mm256_min_epi8(chunk->low, chunk->high);
    least = _mm256_cmpgt_epi8(k->byte[AGG_CORE_LOWER], least);

    slash = _mm256_or_si256(
                _mm256_cmpeq_epi8(chunk->low, k->byte[AGG_CORE_SLASH]),
                _mm256_cmpeq_epi8(chunk->high, k->byte[AGG_CORE_SLASH]));

    return _mm256_movemask_epi8(_mm256_or_si256(least, slash));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_control(const agg_avx2_chunk_t *chunk)
{
    __m256i  most;

    most = _mm256_set1_epi8(0x1f);

    return agg_avx2_mask(
               _mm256_cmpeq_epi8(_mm256_max_epu8(chunk->low, most), most),
               _mm256_cmpeq_epi8(_mm256_max_epu8(chunk->high, most), most));
}


agg_core_inline AGG_CORE_TARGET int
agg_avx2_high(const agg_avx2_chunk_t *chunk)
{
    return _mm256_movemask_epi8(_mm256_or_si256(chunk->low, chunk->high));
}


/* white space is what a table has at its place for its low four bits */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_space(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k,
    int odd)
{
    (void) odd;

    return agg_avx2_mask(
               _mm256_cmpeq_epi8(_mm256_shuffle_epi8(k->spaces, chunk->low),
                                 chunk->low),
               _mm256_cmpeq_epi8(_mm256_shuffle_epi8(k->spaces, chunk->high),
                                 chunk->high));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_digit(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k)
{
    return agg_avx2_mask(
               _mm256_cmpgt_epi8(_mm256_add_epi8(chunk->low, k->up), k->most),
               _mm256_cmpgt_epi8(_mm256_add_epi8(chunk->high, k->up),
                                 k->most));
}


/* the carry-less product with all ones */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_prefix_xor(uint64_t m)
{
    return (uint64_t) _mm_cvtsi128_si64(
               _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long) m),
                                    _mm_set1_epi8((char) 0xff), 0));
}


agg_core_inline AGG_CORE_TARGET __m256i
agg_avx2_table(const u_char *table)
{
    return _mm256_broadcastsi128_si256(
               _mm_loadu_si128((const __m128i *) table));
}


/* errors in 32 bytes, and before are those before them */

agg_core_inline AGG_CORE_TARGET __m256i
agg_avx2_utf8_errors(__m256i block, __m256i before)
{
    __m256i  first, second, third, errors, due, nibble;

    nibble = _mm256_set1_epi8(0x0f);
    before = _mm256_permute2x128_si256(before, block, 0x21);

    first = _mm256_alignr_epi8(block, before, 15);
    second = _mm256_alignr_epi8(block, before, 14);
    third = _mm256_alignr_epi8(block, before, 13);

    errors = _mm256_shuffle_epi8(
                 agg_avx2_table(agg_utf8_first_high),
                 _mm256_and_si256(_mm256_srli_epi16(first, 4), nibble));

    errors = _mm256_and_si256(
                 errors,
                 _mm256_shuffle_epi8(agg_avx2_table(agg_utf8_first_low),
                                     _mm256_and_si256(first, nibble)));

    errors = _mm256_and_si256(
                 errors,
                 _mm256_shuffle_epi8(
                     agg_avx2_table(agg_utf8_second_high),
                     _mm256_and_si256(_mm256_srli_epi16(block, 4), nibble)));

    /* the third and the fourth byte of a character must be continuations */

    due = _mm256_or_si256(
              _mm256_subs_epu8(second, _mm256_set1_epi8(0xe0 - 0x80)),
              _mm256_subs_epu8(third, _mm256_set1_epi8(0xf0 - 0x80)));

    due = _mm256_and_si256(due, _mm256_set1_epi8((char) 0x80));

    return _mm256_xor_si256(errors, due);
}


agg_core_inline AGG_CORE_TARGET int
agg_avx2_utf8(const u_char *p, const agg_avx2_chunk_t *chunk)
{
    __m256i  errors;

    (void) p;

    errors = _mm256_or_si256(
                 agg_avx2_utf8_errors(chunk->low, _mm256_setzero_si256()),
                 agg_avx2_utf8_errors(chunk->high, chunk->low));

    return !_mm256_testz_si256(errors, errors);
}


/* for agg_pattern_run.h */

agg_core_inline AGG_CORE_TARGET int
agg_avx2_fits(const agg_pattern_t *g, const u_char *p)
{
    __m256i  same;

    same = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *) p),
                             _mm256_loadu_si256((const __m256i *) g->text));

    return (~(uint32_t) _mm256_movemask_epi8(same) & g->mask) == 0;
}


typedef struct {
    __m256i  slash;
    __m256i  flip;
    __m256i  most;
    __m128i  up;                    /* as agg_block_not_digit */
    __m128i  digits;
} agg_avx2_stop_t;


agg_core_inline AGG_CORE_TARGET void
agg_avx2_stops(agg_avx2_stop_t *k)
{
    k->slash = _mm256_set1_epi8('\\');
    k->flip = _mm256_set1_epi8(0x02);
    k->most = _mm256_set1_epi8(0x21);

    k->up = _mm_set1_epi8(0x7f - '9');
    k->digits = _mm_set1_epi8(0x7f - 9);
}


/* as agg_block_special; the vectors are operands in memory */

agg_core_inline AGG_CORE_TARGET uint32_t
agg_avx2_stop(const u_char *p, const agg_avx2_stop_t *k)
{
    __m256i  part, slash;

    __asm__ ("" : "+m" (*(agg_avx2_stop_t *) k));

    part = _mm256_loadu_si256((const __m256i *) p);
    slash = _mm256_cmpeq_epi8(part, k->slash);

    part = _mm256_subs_epi8(_mm256_xor_si256(part, k->flip), k->most);

    return (uint32_t) _mm256_movemask_epi8(_mm256_or_si256(slash, part));
}


agg_core_inline AGG_CORE_TARGET uint32_t
agg_avx2_digits(const u_char *p, const agg_avx2_stop_t *k)
{
    __m128i  part;

    part = _mm_add_epi8(_mm_loadu_si128((const __m128i *) p), k->up);

    return (uint32_t) _mm_movemask_epi8(_mm_subs_epi8(part, k->digits))
           | 1u << AGG_BLOCK;
}


#include "agg_core_run.h"
#include "agg_pattern_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
