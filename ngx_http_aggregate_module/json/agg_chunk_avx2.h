
/* the core with AVX2: 64 bytes in two vectors */


#include <immintrin.h>


#define AGG_CORE(name)  agg_avx2_##name
#define AGG_CORE_TARGET                                                      \
    __attribute__((target("avx2,bmi,bmi2,pclmul,popcnt")))

#define agg_avx2_opens  0
#define agg_avx2_ahead  1


typedef struct {
    __m256i  low;
    __m256i  high;
} agg_avx2_chunk_t;


/* vectors of one byte each, and a table of white space */

typedef struct {
    u_char  byte[AGG_CORE_BYTES][32];
    u_char  spaces[32];
    u_char  up[32];                 /* makes digits the highest signed bytes */
    u_char  most[32];
} agg_avx2_bytes_t;


#define agg_avx2_8(c)   c, c, c, c, c, c, c, c
#define agg_avx2_32(c)  { agg_avx2_8(c), agg_avx2_8(c), agg_avx2_8(c),       \
                          agg_avx2_8(c) }

static const agg_avx2_bytes_t  agg_avx2_bytes_table
    __attribute__((aligned(32))) = {
    AGG_CORE_EACH(agg_avx2_32),
    { AGG_CORE_SPACES, AGG_CORE_SPACES },
    agg_avx2_32(0x7f - '9'), agg_avx2_32(0x7f - 10)
};


#define agg_avx2_bytes()    agg_core_table(&agg_avx2_bytes_table)
#define agg_avx2_of(bytes)  _mm256_load_si256((const __m256i *) (bytes))


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
    __m256i  byte;

    byte = agg_avx2_of(k->byte[n]);

    return agg_avx2_mask(_mm256_cmpeq_epi8(chunk->low, byte),
                         _mm256_cmpeq_epi8(chunk->high, byte));
}


/* [ and ] become { and } */

agg_core_inline AGG_CORE_TARGET __m256i
agg_avx2_brackets(__m256i part, const agg_avx2_bytes_t *k)
{
    __m256i  open, close;

    part = _mm256_or_si256(part, agg_avx2_of(k->byte[AGG_CORE_LOWER]));

    open = _mm256_cmpeq_epi8(part, agg_avx2_of(k->byte[AGG_CORE_OPEN]));
    close = _mm256_cmpeq_epi8(part, agg_avx2_of(k->byte[AGG_CORE_CLOSE]));

    return _mm256_or_si256(open, close);
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_bracket(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k,
    uint64_t *opening)
{
    (void) opening;

    return agg_avx2_mask(agg_avx2_brackets(chunk->low, k),
                         agg_avx2_brackets(chunk->high, k));
}


/* a control character, one that is not ASCII, or a backslash */

agg_core_inline AGG_CORE_TARGET int
agg_avx2_odd(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k)
{
    __m256i  least, slash, low, high;

    least = _mm256_min_epi8(chunk->low, chunk->high);
    least = _mm256_cmpgt_epi8(agg_avx2_of(k->byte[AGG_CORE_LOWER]), least);

    slash = agg_avx2_of(k->byte[AGG_CORE_SLASH]);
    low = _mm256_cmpeq_epi8(chunk->low, slash);
    high = _mm256_cmpeq_epi8(chunk->high, slash);

    return _mm256_movemask_epi8(
               _mm256_or_si256(least, _mm256_or_si256(low, high)));
}


/* control characters and those that are not ASCII */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_low(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k)
{
    __m256i  lower;

    lower = agg_avx2_of(k->byte[AGG_CORE_LOWER]);

    return agg_avx2_mask(_mm256_cmpgt_epi8(lower, chunk->low),
                         _mm256_cmpgt_epi8(lower, chunk->high));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_high(const agg_avx2_chunk_t *chunk)
{
    return agg_avx2_mask(chunk->low, chunk->high);
}


/* white space is what a table has at its place for its low four bits */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_space(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k,
    int odd)
{
    __m256i  low, high;

    (void) odd;

    low = _mm256_shuffle_epi8(agg_avx2_of(k->spaces), chunk->low);
    high = _mm256_shuffle_epi8(agg_avx2_of(k->spaces), chunk->high);

    return agg_avx2_mask(_mm256_cmpeq_epi8(low, chunk->low),
                         _mm256_cmpeq_epi8(high, chunk->high));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_digit(const agg_avx2_chunk_t *chunk, const agg_avx2_bytes_t *k)
{
    __m256i  low, high, most;

    low = _mm256_add_epi8(chunk->low, agg_avx2_of(k->up));
    high = _mm256_add_epi8(chunk->high, agg_avx2_of(k->up));
    most = agg_avx2_of(k->most);

    return agg_avx2_mask(_mm256_cmpgt_epi8(low, most),
                         _mm256_cmpgt_epi8(high, most));
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

agg_core_inline AGG_CORE_TARGET uint32_t
agg_avx2_equal32(const u_char *p, const u_char *text)
{
    __m256i  same;

    same = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *) p),
                             _mm256_loadu_si256((const __m256i *) text));

    return (uint32_t) _mm256_movemask_epi8(same);
}


agg_core_inline AGG_CORE_TARGET int
agg_avx2_fits(const agg_pattern_t *g, const u_char *p)
{
    return (~agg_avx2_equal32(p, g->text) & g->mask) == 0;
}


agg_core_inline AGG_CORE_TARGET int
agg_avx2_fits_behind(const agg_pattern_t *g, const u_char *q)
{
    return (~agg_avx2_equal32(q, &g->quote) & g->behind) == 0;
}


typedef struct {
    u_char  slash[32];
    u_char  flip[32];
    u_char  most[32];
    u_char  up[32];                 /* as agg_block_not_digit */
    u_char  digits[32];
    u_char  pairs[256];
} agg_avx2_stop_t;


static const agg_avx2_stop_t  agg_avx2_stop_bytes
    __attribute__((aligned(32))) = {
    agg_avx2_32('\\'), agg_avx2_32(0x02), agg_avx2_32(0x21),
    agg_avx2_32(0x7f - '9'), agg_avx2_32(0x7f - 9), AGG_PAIRS
};


#define agg_avx2_stops()  agg_core_table(&agg_avx2_stop_bytes)

#define agg_avx2_pair(k, c, next)  agg_is_pair((k)->pairs, c, next)


/* by hand, since the compiler keeps in registers what it loads from there */

#define agg_avx2_by(op, v, k, bytes)                                         \
    __asm__ (op " %c3(%2), %1, %0"                                           \
             : "=x" (v)                                                      \
             : "x" (v), "r" (k), "i" (offsetof(agg_avx2_stop_t, bytes)))


/* as agg_block_special */

agg_core_inline AGG_CORE_TARGET uint32_t
agg_avx2_stop32(const u_char *p, const agg_avx2_stop_t *k)
{
    __m256i  part, slash;

    part = _mm256_loadu_si256((const __m256i *) p);
    slash = part;

    agg_avx2_by("vpcmpeqb", slash, k, slash);
    agg_avx2_by("vpxor", part, k, flip);
    agg_avx2_by("vpsubsb", part, k, most);

    return (uint32_t) _mm256_movemask_epi8(_mm256_or_si256(slash, part));
}


agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_stop(const u_char *p, const agg_avx2_stop_t *k)
{
    return agg_avx2_stop32(p, k)
           | (uint64_t) agg_avx2_stop32(p + 32, k) << 32;
}


/*
 * By hand, since the compiler clears or extends the register, or tests what the
 * flags tell
 */

agg_core_inline AGG_CORE_TARGET uint64_t
agg_avx2_first(uint32_t mask)
{
    uint64_t  n;

    __asm__ ("tzcntl %1, %k0" : "=r" (n) : "r" (mask) : "cc");

    return n;
}


agg_core_inline AGG_CORE_TARGET int
agg_avx2_lowest(uint64_t mask, uint64_t *n)
{
    int  none;

    __asm__ ("tzcntq %2, %1" : "=@ccc" (none), "=r" (*n) : "r" (mask));

    return !none;
}


agg_core_inline AGG_CORE_TARGET uint32_t
agg_avx2_digits(const u_char *p, const agg_avx2_stop_t *k)
{
    __m256i  part;

    part = _mm256_loadu_si256((const __m256i *) p);

    agg_avx2_by("vpaddb", part, k, up);
    agg_avx2_by("vpsubsb", part, k, digits);

    return (uint32_t) _mm256_movemask_epi8(part);
}


agg_core_inline AGG_CORE_TARGET void
agg_avx2_copy(u_char *dst, const u_char *p)
{
    _mm256_storeu_si256((__m256i *) dst,
                        _mm256_loadu_si256((const __m256i *) p));
}


#include "agg_core_run.h"
#include "agg_pattern_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
