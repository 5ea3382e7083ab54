
/*
 * Keys in logs, JSON, HTML and Prometheus; the nearest name.
 *
 * sources: brk_text.c
 */

#include "brk_text.h"
#include "breaker_check.h"


typedef uint8_t *(*text_pt)(uint8_t *dst, const uint8_t *src, size_t len);


typedef struct {
    text_pt      text;
    const char  *src;
    const char  *dst;
} row_t;


static const row_t  rows[] = {
    { brk_text_show, "", "" },
    { brk_text_show, "orders", "orders" },
    { brk_text_show, "a b\"c'<&>", "a b\"c'<&>" },
    { brk_text_show, "a\r\nb\t", "a\\x0D\\x0Ab\\x09" },
    { brk_text_show, "\\x41", "\\x5Cx41" },
    { brk_text_show, "\xc3\xa9\x7f\xff", "\\xC3\\xA9\\x7F\\xFF" },
    { brk_text_show, "\x1b[31m", "\\x1B[31m" },

    { brk_text_html, "<script>alert('\"&')</script>",
      "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;" },
    { brk_text_label, "a\\x0A\"b\n", "a\\\\x0A\\\"b\\n" },
    { brk_text_query, "a b&c=d/e%+\xff-._~Az09",
      "a%20b%26c%3Dd%2Fe%25%2B%FF-._~Az09" }
};


static const char  *names[] = {
    "failure_threshold", "failure_rate", "slow_call", "slow_rate", "window",
    "minimum_calls", "probes", "probe_timeout", NULL
};


static const char  *typos[][2] = {
    { "failure_treshold", "failure_threshold" },
    { "failurethreshold", "failure_threshold" },
    { "failure_rates", "failure_rate" },
    { "slwo_call", "slow_call" },
    { "windwo", "window" },
    { "minimum_call", "minimum_calls" },
    { "probs", "probes" },
    { "probe", "probes" },
    { "probe_timeot", "probe_timeout" },
    { "slow_rat", "slow_rate" },
    { "server", NULL },
    { "xyz", NULL },
    { "", NULL }
};


static void
test_worst(void)
{
    unsigned  i;
    uint8_t   src[256], dst[256 * BRK_HTML];

    for (i = 0; i < 256; i++) {
        src[i] = (uint8_t) i;
    }

    check(brk_text_show(dst, src, 256) <= dst + 256 * BRK_SHOW, "show");
    check(brk_text_html(dst, src, 256) <= dst + 256 * BRK_HTML, "html");
    check(brk_text_label(dst, src, 256) <= dst + 256 * BRK_LABEL, "label");
    check(brk_text_query(dst, src, 256) <= dst + 256 * BRK_QUERY, "query");

    for (i = 0; i < 256; i++) {
        uint8_t  *p, *end;

        end = brk_text_show(dst, &src[i], 1);

        for (p = dst; p < end; p++) {
            check(*p >= 0x20 && *p < 0x7f, "byte %u is printable", i);
        }

        check(end == dst + 1 || end == dst + BRK_SHOW, "byte %u", i);
        check(brk_text_html(dst, &src[i], 1) <= dst + BRK_HTML, "%u", i);
        check(brk_text_label(dst, &src[i], 1) <= dst + BRK_LABEL, "%u", i);
        check(brk_text_query(dst, &src[i], 1) <= dst + BRK_QUERY, "%u", i);
    }
}


int
main(void)
{
    size_t       len;
    uint8_t      dst[1024], *end;
    unsigned     i;
    const char  *name;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        len = strlen(rows[i].src);
        end = rows[i].text(dst, (const uint8_t *) rows[i].src, len);

        check((size_t) (end - dst) == strlen(rows[i].dst)
              && memcmp(dst, rows[i].dst, (size_t) (end - dst)) == 0,
              "\"%.*s\" is not \"%s\"", (int) (end - dst), dst, rows[i].dst);
    }

    test_worst();

    for (i = 0; i < sizeof(typos) / sizeof(typos[0]); i++) {
        name = brk_text_nearest(names, (const uint8_t *) typos[i][0],
                                strlen(typos[i][0]));

        check(name == typos[i][1]
              || (name && typos[i][1] && strcmp(name, typos[i][1]) == 0),
              "\"%s\": %s", typos[i][0], name ? name : "-");
    }

    memset(dst, 'a', sizeof(dst));

    for (i = 0; i < sizeof(dst); i++) {
        check(brk_text_nearest(names, dst, i) == NULL, "%u letters", i);
    }

    printf("ok breaker_text: %lu checks\n", checks);

    return 0;
}
