
/* the loop over patterns with blocks of 16 bytes, or with 64-bit words */


#define AGG_CORE(name)  agg_block_##name
#define AGG_CORE_TARGET


agg_core_inline int
agg_block_fits_text(const u_char *text, uint32_t mask, const u_char *p)
{
#if (AGG_BLOCK_SSE2)

    unsigned  same;

    same = agg_block_equal(p, text)
           | agg_block_equal(p + AGG_BLOCK, text + AGG_BLOCK) << AGG_BLOCK;

    return (~same & mask) == 0;

#else

    unsigned  n;

    while (mask > 0xff) {
        if (agg_word_load(p) != agg_word_load(text)) {
            return 0;
        }

        mask >>= 8;
        text += 8;
        p += 8;
    }

    n = 8 * (unsigned) __builtin_clz(mask << 24 | 1);

    return ((agg_word_load(p) ^ agg_word_load(text)) << n) == 0;

#endif
}


#define agg_block_fits(g, p)                                                 \
    agg_block_fits_text((g)->text, (g)->mask, p)

#define agg_block_fits_behind(g, q)                                          \
    agg_block_fits_text(&(g)->quote, (g)->behind, q)


/* nothing to make ready */

typedef int  agg_block_stop_t;

#define agg_block_stops()  NULL

#define agg_block_pair(k, c, next)  agg_is_pair(agg_pairs, c, next)


agg_core_inline uint32_t
agg_block_stop32(const u_char *p)
{
    return agg_block_special(p)
           | (uint32_t) agg_block_special(p + AGG_BLOCK) << AGG_BLOCK;
}


agg_core_inline uint64_t
agg_block_stop(const u_char *p, const agg_block_stop_t *k)
{
    (void) k;

    return agg_block_stop32(p) | (uint64_t) agg_block_stop32(p + 32) << 32;
}


#define agg_block_first(mask)      agg_first(mask)
#define agg_block_lowest(mask, n)  agg_pattern_lowest(mask, n)


agg_core_inline uint32_t
agg_block_digits(const u_char *p, const agg_block_stop_t *k)
{
    (void) k;

    return agg_block_not_digit(p) | 3u << AGG_BLOCK;
}


agg_core_inline void
agg_block_copy(u_char *dst, const u_char *p)
{
    memcpy(dst, p, AGG_PATTERN_BLOCK);
}


#include "agg_pattern_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
