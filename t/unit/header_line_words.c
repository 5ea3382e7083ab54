
/*
 * The test of field lines for the blocks without SSE2.
 * sources:
 */


#define AGG_NO_SSE2
#define TEST_NAME  "header_line_words"

#include "agg_header_line.c"
#include "header_line.c"
