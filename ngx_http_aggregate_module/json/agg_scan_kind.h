
/*
 * The kinds of the scanner's loops, and which of them this machine uses.  Only
 * agg_scan.c includes this file.
 */


#ifndef AGG_SCAN_KIND_H_INCLUDED
#define AGG_SCAN_KIND_H_INCLUDED


#include "agg_pattern.h"
#include "agg_core.h"
#include "agg_chunk_words.h"

#if (AGG_BLOCK_SSE2)
#include "agg_chunk_sse2.h"
#endif

#if (AGG_SCAN_AVX)
#include "agg_chunk_avx2.h"
#include "agg_chunk_avx512.h"
#endif

#if (AGG_SCAN_NEON)
#include "agg_chunk_neon.h"
#endif

#include "agg_pattern_block.h"


typedef const u_char *(*agg_scan_core_pt)(agg_scan_t *s, const u_char *p,
    const u_char *end);
typedef const u_char *(*agg_scan_replay_pt)(agg_scan_t *s, agg_replay_t *rp,
    const u_char *p, const u_char *last);


typedef struct {
    const char          *name;
    int                (*supported)(void);
    agg_scan_core_pt     run;
    agg_scan_core_pt     patterns;
    agg_scan_replay_pt   replay;
} agg_scan_kind_t;


#if (AGG_SCAN_AVX)

static int
agg_scan_has_avx2(void)
{
    __builtin_cpu_init();

    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")
           && __builtin_cpu_supports("bmi2")
           && __builtin_cpu_supports("pclmul");
}


static int
agg_scan_has_avx512(void)
{
    return agg_scan_has_avx2() && __builtin_cpu_supports("avx512bw");
}


/*
 * Intel's since Ice Lake, and AMD's since Zen 5, whose units are as wide.  The
 * first ones of both that had AVX-512 become slower when it is used.
 */

static int
agg_scan_has_fast_avx512(void)
{
    if (!agg_scan_has_avx512()) {
        return 0;
    }

    return (__builtin_cpu_is("intel")
            && __builtin_cpu_supports("avx512vbmi2"))
           || __builtin_cpu_supports("avx512vp2intersect");
}


static int
agg_scan_has_slow_avx512(void)
{
    return agg_scan_has_avx512() && !agg_scan_has_fast_avx512();
}

#endif


/*
 * The fastest one first.  A block of 512 bits takes a fifth less time than two
 * halves on processors of Intel, a tenth less on Zen 5, and a tenth more on
 * Zen 4.
 */

static const agg_scan_kind_t  agg_scan_kinds[] = {

#if (AGG_SCAN_AVX)
    { "avx512", agg_scan_has_fast_avx512, agg_avx512_run, agg_avx2_patterns,
      agg_avx2_replay },
    { "avx2", agg_scan_has_avx2, agg_avx2_run, agg_avx2_patterns,
      agg_avx2_replay },
    { "avx512", agg_scan_has_slow_avx512, agg_avx512_run, agg_avx2_patterns,
      agg_avx2_replay },
#endif

#if (AGG_SCAN_NEON)
    { "neon", NULL, agg_neon_run, agg_neon_patterns, agg_neon_replay },
#endif

#if (AGG_BLOCK_SSE2)
    { "sse2", NULL, agg_sse2_run, agg_block_patterns, agg_block_replay },
#endif

    { "words", NULL, agg_words_run, agg_block_patterns, agg_block_replay },
    { NULL, NULL, NULL, NULL, NULL }
};


#define AGG_SCAN_KINDS  (sizeof(agg_scan_kinds) / sizeof(agg_scan_kinds[0]))


/* those that this machine can run, and the last one, which is none */

static const agg_scan_kind_t  *agg_scan_usable[AGG_SCAN_KINDS];

static agg_scan_core_pt    agg_scan_core = agg_words_run;
static agg_scan_core_pt    agg_scan_patterns = agg_block_patterns;
static agg_scan_replay_pt  agg_scan_replayed = agg_block_replay;


/* before main(), or as the module is loaded */

static void __attribute__((constructor))
agg_scan_choose(void)
{
    unsigned                n;
    const agg_scan_kind_t  *kind;

    n = 0;

    for (kind = agg_scan_kinds; kind->name != NULL; kind++) {
        if (kind->supported == NULL || kind->supported()) {
            agg_scan_usable[n++] = kind;
        }
    }

    agg_scan_usable[n] = kind;

    agg_scan_core_use(0);
}


const char *
agg_scan_core_name(unsigned n)
{
    return agg_scan_usable[n]->name;
}


void
agg_scan_core_use(unsigned n)
{
    agg_scan_core = agg_scan_usable[n]->run;
    agg_scan_patterns = agg_scan_usable[n]->patterns;
    agg_scan_replayed = agg_scan_usable[n]->replay;
}


#endif /* AGG_SCAN_KIND_H_INCLUDED */
