
/*
 * Operations on sixteen bytes at once: the result has a bit for each byte of a
 * class, the lowest bit for the first byte.  It uses SSE2, or two 64-bit words
 * on other machines and if AGG_NO_SSE2 is defined.  All sixteen bytes must be
 * readable.
 */


#ifndef AGG_BLOCK_H_INCLUDED
#define AGG_BLOCK_H_INCLUDED


#include "agg_json.h"


#if (defined __SSE2__ && !defined AGG_NO_SSE2)

#include <emmintrin.h>

#define AGG_BLOCK_SSE2  1

#endif


#define AGG_BLOCK       16


#define agg_first(mask)  (__builtin_ctzll(mask))

#define agg_is_space(c)                                                      \
    ((c) == ' ' || (c) == '\n' || (c) == '\r' || (c) == '\t')

#define agg_is_digit(c)  ((u_char) ((c) - '0') <= 9)


#define AGG_ONES  0x0101010101010101ULL
#define AGG_HIGH  0x8080808080808080ULL
#define AGG_LOW7  0x7f7f7f7f7f7f7f7fULL


/* the high bits of the result are exact: nothing is carried between bytes */

#define agg_word_zero(w)                                                     \
    (~((((w) & AGG_LOW7) + AGG_LOW7) | (w)) & AGG_HIGH)

#define agg_word_equal(w, c)  agg_word_zero((w) ^ (AGG_ONES * (c)))

#define agg_word_below(w, c)                                                 \
    (~((((w) & AGG_LOW7) + AGG_ONES * (0x80 - (c))) | (w)) & AGG_HIGH)


static inline uint64_t
agg_word_load(const u_char *p)
{
    uint64_t  w;

    memcpy(&w, p, sizeof(uint64_t));

#if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
    w = __builtin_bswap64(w);
#endif

    return w;
}


/* gathers the high bits of two words into 16 bits */

static inline unsigned
agg_word_mask(uint64_t w1, uint64_t w2)
{
    w1 = ((w1 >> 7) * 0x0102040810204080ULL) >> 56;
    w2 = ((w2 >> 7) * 0x0102040810204080ULL) >> 56;

    return (unsigned) (w1 | w2 << 8);
}


static inline uint64_t
agg_word_special(uint64_t w)
{
    return (w & AGG_HIGH) | agg_word_below(w, 0x20) | agg_word_equal(w, '"')
           | agg_word_equal(w, '\\');
}


static inline uint64_t
agg_word_not_digit(uint64_t w)
{
    return ~(agg_word_below(w, '9' + 1) & ~agg_word_below(w, '0')) & AGG_HIGH;
}


static inline uint64_t
agg_word_not_space(uint64_t w)
{
    return ~(agg_word_equal(w, ' ') | agg_word_equal(w, '\n')
             | agg_word_equal(w, '\r') | agg_word_equal(w, '\t')) & AGG_HIGH;
}


static inline uint64_t
agg_word_not_blank(uint64_t w)
{
    return agg_word_equal(w, ' ') ^ AGG_HIGH;
}


static inline uint64_t
agg_word_quote(uint64_t w)
{
    return agg_word_equal(w, '"') | agg_word_equal(w, '\\');
}


static inline uint64_t
agg_word_bracket(uint64_t w)
{
    uint64_t  lower;

    lower = w | AGG_ONES * 0x20;

    return agg_word_equal(w, '"') | agg_word_equal(lower, '{')
           | agg_word_equal(lower, '}');
}


#if (AGG_BLOCK_SSE2)

#define agg_block_load(p)  _mm_loadu_si128((const __m128i *) (p))
#define agg_block_mask(b)  ((unsigned) _mm_movemask_epi8(b))


/* bytes that end a scan of a string: ", \, control characters, non-ASCII */

static inline unsigned
agg_block_special(const u_char *p)
{
    __m128i  block, slash;

    block = agg_block_load(p);
    slash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));

    /*
     * the xor moves the quote next to the control characters; non-ASCII bytes
     * are negative, and a saturated difference has the sign of the result
     */

    block = _mm_xor_si128(block, _mm_set1_epi8(0x02));
    block = _mm_subs_epi8(block, _mm_set1_epi8(0x21));

    return agg_block_mask(_mm_or_si128(slash, block));
}


/* the same of bytes that are copied as well */

static inline unsigned
agg_block_copy_special(u_char *dst, const u_char *p)
{
    __m128i  block, slash;

    block = agg_block_load(p);
    _mm_storeu_si128((__m128i *) dst, block);

    slash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
    block = _mm_xor_si128(block, _mm_set1_epi8(0x02));
    block = _mm_subs_epi8(block, _mm_set1_epi8(0x21));

    return agg_block_mask(_mm_or_si128(slash, block));
}


static inline unsigned
agg_block_not_digit(const u_char *p)
{
    __m128i  block;

    /* the digits become the ten highest values of signed bytes */

    block = _mm_add_epi8(agg_block_load(p), _mm_set1_epi8(0x7f - '9'));

    return agg_block_mask(_mm_subs_epi8(block, _mm_set1_epi8(0x7f - 9)));
}


static inline unsigned
agg_block_not_space(const u_char *p)
{
    __m128i  block, space;

    block = agg_block_load(p);
    space = _mm_cmpeq_epi8(block, _mm_set1_epi8(' '));
    space = _mm_or_si128(space, _mm_cmpeq_epi8(block, _mm_set1_epi8('\n')));
    space = _mm_or_si128(space, _mm_cmpeq_epi8(block, _mm_set1_epi8('\r')));
    space = _mm_or_si128(space, _mm_cmpeq_epi8(block, _mm_set1_epi8('\t')));

    return agg_block_mask(space) ^ 0xffff;
}


static inline unsigned
agg_block_not_blank(const u_char *p)
{
    return agg_block_mask(_mm_cmpeq_epi8(agg_block_load(p),
                                         _mm_set1_epi8(' '))) ^ 0xffff;
}


/* " and \ */

static inline unsigned
agg_block_quote(const u_char *p)
{
    __m128i  block;

    block = agg_block_load(p);

    return agg_block_mask(
               _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')),
                            _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))));
}


/* ", {, }, [ and ] */

static inline unsigned
agg_block_bracket(const u_char *p)
{
    __m128i  block, lower, found;

    block = agg_block_load(p);
    lower = _mm_or_si128(block, _mm_set1_epi8(0x20));

    found = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(lower, _mm_set1_epi8('{')));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(lower, _mm_set1_epi8('}')));

    return agg_block_mask(found);
}


/* bytes that are equal in both blocks */

static inline unsigned
agg_block_equal(const u_char *p, const u_char *q)
{
    return agg_block_mask(_mm_cmpeq_epi8(agg_block_load(p),
                                         agg_block_load(q)));
}

#else

#define agg_block_equal(p, q)                                                \
    agg_word_mask(agg_word_zero(agg_word_load(p) ^ agg_word_load(q)),        \
                  agg_word_zero(agg_word_load((p) + 8)                       \
                                ^ agg_word_load((q) + 8)))

#define agg_block_special(p)                                                 \
    agg_word_mask(agg_word_special(agg_word_load(p)),                        \
                  agg_word_special(agg_word_load((p) + 8)))

static inline unsigned
agg_block_copy_special(u_char *dst, const u_char *p)
{
    memcpy(dst, p, AGG_BLOCK);

    return agg_block_special(p);
}


#define agg_block_not_digit(p)                                               \
    agg_word_mask(agg_word_not_digit(agg_word_load(p)),                      \
                  agg_word_not_digit(agg_word_load((p) + 8)))

#define agg_block_not_space(p)                                               \
    agg_word_mask(agg_word_not_space(agg_word_load(p)),                      \
                  agg_word_not_space(agg_word_load((p) + 8)))

#define agg_block_not_blank(p)                                               \
    agg_word_mask(agg_word_not_blank(agg_word_load(p)),                      \
                  agg_word_not_blank(agg_word_load((p) + 8)))

#define agg_block_quote(p)                                                   \
    agg_word_mask(agg_word_quote(agg_word_load(p)),                          \
                  agg_word_quote(agg_word_load((p) + 8)))

#define agg_block_bracket(p)                                                 \
    agg_word_mask(agg_word_bracket(agg_word_load(p)),                        \
                  agg_word_bracket(agg_word_load((p) + 8)))

#endif


/* whether the first n bytes of two blocks are equal, with n up to 16 */

static inline int
agg_block_same(const u_char *p, const u_char *q, size_t n)
{
    return (~agg_block_equal(p, q) & ((1u << n) - 1)) == 0;
}


#endif /* AGG_BLOCK_H_INCLUDED */
