
/* the loops over patterns with AVX2, and masks of 64 bytes that are kept */


#define AGG_CORE(name)  agg_wide_##name
#define AGG_CORE_TARGET                                                      \
    __attribute__((target("avx2,bmi,bmi2,pclmul,popcnt")))


#define agg_wide_fits(g, p)          agg_avx2_fits(g, p)
#define agg_wide_fits_behind(g, q)   agg_avx2_fits_behind(g, q)
#define agg_wide_stops()             agg_avx2_stops()
#define agg_wide_stop(p, k)          agg_avx2_stop(p, k)
#define agg_wide_pair(k, c, next)    agg_avx2_pair(k, c, next)
#define agg_wide_first(mask)         agg_avx2_first(mask)
#define agg_wide_digits(p, k)        agg_avx2_digits(p, k)
#define agg_wide_copy(dst, p)        agg_avx2_copy(dst, p)

typedef agg_avx2_stop_t  agg_wide_stop_t;


#include "agg_pattern_window.h"
#include "agg_pattern_run.h"


#undef AGG_CORE
#undef AGG_CORE_TARGET
