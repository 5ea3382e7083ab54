
/*
 * Blocks of 32 bytes, besides those of agg_block.h: for functions that are
 * compiled for AVX2, and called where agg_pb_wide says that the machine has it.
 */


#ifndef AGG_PB_BLOCK_H_INCLUDED
#define AGG_PB_BLOCK_H_INCLUDED


#include "agg_block.h"


#if (AGG_BLOCK_SSE2 && defined __x86_64__)

#include <immintrin.h>


#define AGG_PB_WIDE         32

#define AGG_PB_WIDE_TARGET  __attribute__((target("avx2,bmi,bmi2")))


#pragma GCC visibility push(hidden)


/* set as the module is loaded; tests change it */

extern int            agg_pb_wide;

/*
 * One byte each.  They are not defined here, since the compiler would make each
 * anew from its byte wherever it is used.
 */

extern const __m256i  agg_pb_wide_slash;
extern const __m256i  agg_pb_wide_flip;
extern const __m256i  agg_pb_wide_most;


#pragma GCC visibility pop


/* as agg_block_copy_special */

static inline AGG_PB_WIDE_TARGET unsigned
agg_pb_wide_copy(u_char *dst, const u_char *p)
{
    __m256i  block, slash;

    block = _mm256_loadu_si256((const __m256i *) p);
    _mm256_storeu_si256((__m256i *) dst, block);

    slash = _mm256_cmpeq_epi8(block, agg_pb_wide_slash);
    block = _mm256_xor_si256(block, agg_pb_wide_flip);
    block = _mm256_subs_epi8(block, agg_pb_wide_most);

    return (unsigned) _mm256_movemask_epi8(_mm256_or_si256(slash, block));
}

#endif


#pragma GCC visibility push(hidden)


/*
 * Copies to dst the characters from p to the next ASCII one, or to the end, and
 * returns where they end; NULL: one is invalid, or the first is ASCII.
 */

const u_char *agg_pb_copy_utf8(const u_char *p, const u_char *end,
    u_char *dst);


#pragma GCC visibility pop


#endif /* AGG_PB_BLOCK_H_INCLUDED */
