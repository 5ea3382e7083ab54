
/*
 * The test of patterns for the blocks without SSE2.
 * sources: json/agg_write.c
 */


#define AGG_NO_SSE2
#define TEST_NAME  "json_patterns_words"

#include "agg_scan.c"
#include "json_patterns.c"
