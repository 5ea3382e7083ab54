
/*
 * Texts that are included in a page of metrics, and the format by Accept.
 *
 * sources: metrics/agg_metrics_include.c metrics/agg_metrics_accept.c
 */

#include <string.h>

#include "agg_test.h"
#include "agg_metrics_accept.h"
#include "agg_metrics_include.h"


static void *
grow(void *ctx, void *old, size_t used, size_t size)
{
    u_char  *p;

    (void) ctx;

    p = malloc(size);

    if (used) {
        memcpy(p, old, used);
    }

    free(old);
    return p;
}


/* wanted: NULL when it is refused */

static void
try(int open, const char *text, const char *wanted)
{
    int                  rc;
    u_char              *p;
    gw_out_block_t       block;
    agg_metrics_seen_t  *seen;

    seen = malloc(sizeof(agg_metrics_seen_t));
    seen->n = 2;
    seen->family[0].name = (const u_char *) "taken";
    seen->family[0].len = 5;
    seen->family[0].counter = 0;
    seen->family[0].suffixes = 0;
    seen->family[1].name = (const u_char *) "all_total";
    seen->family[1].len = 9;
    seen->family[1].counter = 1;
    seen->family[1].suffixes = 0;

    gw_out_block_init(&block, 1 << 20, grow, NULL);
    p = exact(text, strlen(text));

    rc = agg_metrics_include(&block.out, open, seen, p, strlen(text));

    check((rc == 0) == (wanted != NULL), "%s: %d", text, rc);

    if (wanted) {
        check(gw_out_block_used(&block) == strlen(wanted)
              && (*wanted == '\0'
                  || memcmp(block.start, wanted, strlen(wanted)) == 0),
              "%s: %.*s", text, (int) gw_out_block_used(&block),
              (char *) block.start);

    } else {
        check(gw_out_block_used(&block) == 0 && seen->n == 2,
              "%s: nothing of it", text);
    }

    free(p);
    free(block.start);
    free(seen);
}


int
main(void)
{
    unsigned  i;

    static const char  *const refused[] = {
        "a", "a 1", "a\n", "a x\n", "a 1 x\n", "a 1 1 1\n", "1a 1\n",
        "a{ 1\n", "a{x} 1\n", "a{x=y} 1\n", "a{x=\"y} 1\n", "a{x=\"y\"} \n",
        "a{x=\"\\q\"} 1\n", "a{x=\"\xff\"} 1\n", "a{1x=\"\"} 1\n",
        "a{x:y=\"\"} 1\n", "a 1.2.3\n", "a .\n", "a 1e\n", "a +\n", "a 0x1\n",
        "# TYPE a b\n", "# TYPE a gauge\n# TYPE a gauge\n",
        "# HELP a x\n# HELP a x\na 1\n", "a 1\nb 1\na 1\n",
        "# HELP \xff\n", "# HELP a \xff\na 1\n", "# TYPE a\n",
        "a 1\n# TYPE a gauge\na 1\n", "taken 1\n", "# TYPE taken gauge\n",
        "gateway_requests_total 1\n", "{\"json\":1}\n", "<html>\n",
        "# TYPE h histogram\nh 1\n", "a 1 -\n", "a 1# {} 1\n",
        "a{x=\"1\"}{y=\"2\"} 1\n", "a{x=\"1\" y=\"2\"} 1\n"
    };

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        try(0, refused[i], NULL);
        try(1, refused[i], NULL);
    }

    try(0, "", "");
    try(0, "gateway_split_ratio 1\n",
        "# TYPE gateway_split_ratio untyped\ngateway_split_ratio 1\n");
    try(0, "\n# a comment\n#\n", "");
    try(0, "# HELP a b\n", "");
    try(0, "a 1\n", "# TYPE a untyped\na 1\n");
    try(1, "a 1\n", "# TYPE a unknown\na 1\n");
    try(0, "a 1 123\na{x=\"y\"} 2\n", "# TYPE a untyped\na 1\na{x=\"y\"} 2\n");
    try(0, "# HELP a_total \"b\"\n# TYPE a_total counter\na_total 1\n",
        "# HELP a_total \"b\"\n# TYPE a_total counter\na_total 1\n");
    try(1, "# HELP a_total \"b\"\n# TYPE a_total counter\na_total 1\n",
        "# HELP a \\\"b\\\"\n# TYPE a counter\na_total 1\n");

    /* the counter's family has the name of another one */

    try(1, "# TYPE a_total counter\na_total 1\n# TYPE a gauge\na 2\n",
        "# TYPE a_total unknown\na_total 1\n# TYPE a gauge\na 2\n");
    try(1, "# TYPE a gauge\na 2\n# TYPE a_total counter\na_total 1\n",
        "# TYPE a gauge\na 2\n# TYPE a_total unknown\na_total 1\n");
    try(0, "# TYPE a gauge\na 2\n# TYPE a_total counter\na_total 1\n",
        "# TYPE a gauge\na 2\n# TYPE a_total counter\na_total 1\n");
    try(1, "# TYPE taken_total counter\ntaken_total 1\n",
        "# TYPE taken_total unknown\ntaken_total 1\n");
    try(1, "# TYPE all gauge\nall 1\n", NULL);
    try(0, "# TYPE all gauge\nall 1\n",
        "# TYPE all gauge\nall 1\n");
    try(1, "# TYPE a counter\na 1\n", "# TYPE a unknown\na 1\n");
    /* another family with the name of a sample */

    try(0, "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"
        "# TYPE h_count gauge\nh_count 2\n", NULL);
    try(1, "# TYPE s summary\ns_sum 1\ns_count 1\nu 1\ns_sum 3\n", NULL);
    try(0, "h_bucket 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\n", NULL);
    try(0, "all_total_sum 1\n# TYPE all_total_ counter\nall_total_ 1\n"
        "s_bucket 1\n# TYPE s summary\ns_sum 1\n",
        "# TYPE all_total_sum untyped\nall_total_sum 1\n"
        "# TYPE all_total_ counter\nall_total_ 1\n"
        "# TYPE s_bucket untyped\ns_bucket 1\n"
        "# TYPE s summary\ns_sum 1\n");
    try(0, "# TYPE taken_x histogram\ntaken_x_bucket 1\ntaken_count 1\n",
        "# TYPE taken_x histogram\ntaken_x_bucket 1\n"
        "# TYPE taken_count untyped\ntaken_count 1\n");
    try(0, "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n");
    try(0, "# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum -Inf\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum -Inf\n");
    try(0, "a{x=\"\\\\\\\"\\n\",} 1e+3\n",
        "# TYPE a untyped\na{x=\"\\\\\\\"\\n\",} 1e+3\n");

    check(!agg_metrics_openmetrics((const u_char *) "", 0), "no Accept");
    check(agg_metrics_openmetrics((const u_char *)
                                  " Application/OpenMetrics-Text ; q=1.0", 37),
          "any case, blanks");
    check(!agg_metrics_openmetrics((const u_char *)
                                   "application/openmetrics-text;q=x", 32),
          "no quality");

    finish("metrics_include");
    return 0;
}
