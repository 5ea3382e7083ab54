
/* the loop over patterns with blocks of 16 bytes, or with 64-bit words */


#define AGG_CORE(name)  agg_block_##name
#define AGG_CORE_TARGET


agg_core_inline int
agg_block_fits(const agg_pattern_t *g, const u_char *p)
{
#if (AGG_BLOCK_SSE2)

    unsigned  same;

    same = agg_block_equal(p, g->text)
           | agg_block_equal(p + AGG_BLOCK, g->text + AGG_BLOCK) << AGG_BLOCK;

    return (~same & g->mask) == 0;

#else

    unsigned  n;

    for (n = 0; n + 8 <= g->len; n += 8) {
        if (agg_word_load(p + n) != agg_word_load(g->text + n)) {
            return 0;
        }
    }

    return n == g->len
           || ((agg_word_load(p + n) ^ agg_word_load(g->text + n))
               << (64 - 8 * (g->len - n))) == 0;

#endif
}


/* nothing to make ready */

typedef int  agg_block_stop_t;

#define agg_block_stops(k)  (*(k) = 0)


agg_core_inline uint32_t
agg_block_stop(const u_char *p, const agg_block_stop_t *k)
{
    (void) k;

    return agg_block_special(p)
           | (uint32_t) agg_block_special(p + AGG_BLOCK) << AGG_BLOCK;
}


agg_core_inline uint32_t
agg_block_digits(const u_char *p, const agg_block_stop_t *k)
{
    (void) k;

    return agg_block_not_digit(p) | 1u << AGG_BLOCK;
}


#include "agg_pattern_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
