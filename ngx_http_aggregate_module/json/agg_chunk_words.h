
/* the core with 64-bit words */


#define AGG_CORE(name)  agg_words_##name
#define AGG_CORE_TARGET

#define agg_words_opens  0
#define agg_words_ahead  0


typedef struct {
    uint64_t  words[8];
} agg_words_chunk_t;


/* there is nothing to prepare */

typedef int  agg_words_bytes_t;

#define agg_words_bytes()  NULL


/* gathers the high bits of each word; no other bits may be set */

#define agg_words_gather(chunk, expr)                                        \
    do {                                                                     \
        uint64_t  w, mask;                                                   \
        unsigned  i;                                                         \
                                                                             \
        mask = 0;                                                            \
                                                                             \
        for (i = 0; i < 8; i++) {                                            \
            w = (chunk)->words[i];                                           \
            mask |= (((expr) >> 7) * 0x0102040810204080ULL >> 56) << (8 * i);\
        }                                                                    \
                                                                             \
        return mask;                                                         \
    } while (0)


agg_core_inline void
agg_words_load(agg_words_chunk_t *chunk, const u_char *p)
{
    unsigned  i;

    for (i = 0; i < 8; i++) {
        chunk->words[i] = agg_word_load(p + 8 * i);
    }
}


agg_core_inline uint64_t
agg_words_is(const agg_words_chunk_t *chunk, u_char c)
{
    agg_words_gather(chunk, agg_word_equal(w, c));
}


agg_core_inline uint64_t
agg_words_equal(const agg_words_chunk_t *chunk, const agg_words_bytes_t *k,
    agg_core_byte_e n)
{
    (void) k;

    return agg_words_is(chunk, agg_core_bytes[n]);
}


agg_core_inline uint64_t
agg_words_bracket(const agg_words_chunk_t *chunk, const agg_words_bytes_t *k,
    uint64_t *opening)
{
    (void) k;
    (void) opening;

    agg_words_gather(chunk, agg_word_equal(w | AGG_ONES * 0x20, '{')
                            | agg_word_equal(w | AGG_ONES * 0x20, '}'));
}


/* control characters and those that are not ASCII */

agg_core_inline uint64_t
agg_words_low(const agg_words_chunk_t *chunk, const agg_words_bytes_t *k)
{
    (void) k;

    agg_words_gather(chunk, (w & AGG_HIGH) | agg_word_below(w, 0x20));
}


agg_core_inline uint64_t
agg_words_high(const agg_words_chunk_t *chunk)
{
    agg_words_gather(chunk, w & AGG_HIGH);
}


/* whether there is a control character, a non-ASCII byte or a backslash */

agg_core_inline int
agg_words_odd(const agg_words_chunk_t *chunk, const agg_words_bytes_t *k)
{
    uint64_t  w, odd;
    unsigned  i;

    (void) k;

    odd = 0;

    for (i = 0; i < 8; i++) {
        w = chunk->words[i];
        odd |= w | agg_word_below(w, 0x20) | agg_word_equal(w, '\\');
    }

    return (odd & AGG_HIGH) != 0;
}


agg_core_inline uint64_t
agg_words_space(const agg_words_chunk_t *chunk, const agg_words_bytes_t *k,
    int odd)
{
    (void) k;

    if (!odd) {
        return agg_words_is(chunk, ' ');
    }

    agg_words_gather(chunk, agg_word_not_space(w) ^ AGG_HIGH);
}


agg_core_inline uint64_t
agg_words_digit(const agg_words_chunk_t *chunk, const agg_words_bytes_t *k)
{
    (void) k;

    agg_words_gather(chunk, agg_word_not_digit(w) ^ AGG_HIGH);
}


#define agg_words_prefix_xor(m)    agg_core_prefix_xor(m)
#define agg_words_utf8(p, chunk)   agg_core_utf8(p)


#include "agg_core_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
