
/*
 * The ground floor: escapes, integers, the nearest name, SipHash, origins, the
 * output that grows, Prometheus' formats.
 */

#include "gw_number.h"
#include "gw_origin.h"
#include "gw_prometheus.h"
#include "gw_siphash.h"
#include "gw_text.h"
#include "breaker_check.h"


#define bytes(text)  (const uint8_t *) text, strlen(text)


typedef struct {
    gw_escape_pt  escape;
    const char   *src;
    const char   *dst;
} row_t;


static const row_t  rows[] = {
    { gw_show, "", "" },
    { gw_show, "orders", "orders" },
    { gw_show, "a b\"c'<&>", "a b\"c'<&>" },
    { gw_show, "a\r\nb\t", "a\\x0D\\x0Ab\\x09" },
    { gw_show, "\\x41", "\\x5Cx41" },
    { gw_show, "\xc3\xa9\x7f\xff", "\\xC3\\xA9\\x7F\\xFF" },
    { gw_show, "\x1b[31m", "\\x1B[31m" },

    { gw_escape_json, "a\"\\/\n\x1f\x7f", "a\\\"\\\\/\\u000A\\u001F\\u007F" },
    { gw_escape_json, "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
      "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
    { gw_escape_json, "\xff\xc3", "\\\\xFF\\\\xC3" },
    { gw_escape_json, "\xc3\xa9\x80z", "\xc3\xa9\\\\x80z" },
    { gw_escape_json, "\xc2\x85", "\\\\xC2\\\\x85" },

    { gw_escape_html, "<script>alert('\"&')</script>",
      "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;" },
    { gw_escape_html, "\xc3\xa9\n\xe2\x82", "\xc3\xa9\\x0A\\xE2\\x82" },

    { gw_escape_label, "a\\x0A\"b\n", "a\\\\x0A\\\"b\\\\x0A" },
    { gw_escape_label, "\xc3\xa9\xed\xa0\x80",
      "\xc3\xa9\\\\xED\\\\xA0\\\\x80" },
    { gw_escape_label, "\xc0\xaf\xf4\x90\x80\x80\xf5",
      "\\\\xC0\\\\xAF\\\\xF4\\\\x90\\\\x80\\\\x80\\\\xF5" },
    { gw_escape_label, "\xe0\x9f\xbf\xf0\x8f\xbf\xbf",
      "\\\\xE0\\\\x9F\\\\xBF\\\\xF0\\\\x8F\\\\xBF\\\\xBF" },

    { gw_escape_query, "a b&c=d/e%+\xff-._~Az09",
      "a%20b%26c%3Dd%2Fe%25%2B%FF-._~Az09" }
};


static const struct {
    gw_escape_pt  escape;
    size_t        factor;
} escapes[] = {
    { gw_show, GW_SHOW },
    { gw_escape_json, GW_JSON },
    { gw_escape_html, GW_HTML },
    { gw_escape_label, GW_LABEL },
    { gw_escape_query, GW_QUERY }
};


static const char  *names[] = {
    "failure_threshold", "failure_rate", "slow_call", "slow_rate", "window",
    "minimum_calls", "probes", "probe_timeout", "as", NULL
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
    { "sa", "as" },
    { "server", NULL },
    { "xyz", NULL },
    { "xy", NULL },
    { "x", NULL },
    { "", NULL }
};


static const struct {
    const char  *name;
    const char  *value;
    const char  *host;
    int          foreign;
} origins[] = {
    { "Origin", "http://localhost", "localhost", 0 },
    { "origin", "https://LocalHost", "LOCALhost", 0 },
    { "ORIGIN", "http://localhost:8080", "localhost:8080", 0 },
    { "Origin", "http://localhost:8081", "localhost:8080", 1 },
    { "Origin", "http://localhost", "localhost:80", 1 },
    { "Origin", "http://localhost:80", "localhost", 1 },
    { "Origin", "http://localhos", "localhost", 1 },
    { "Origin", "http://localhost.evil", "localhost", 1 },
    { "Origin", "http://evil/localhost", "localhost", 1 },
    { "Origin", "http://evil/://localhost", "localhost", 1 },
    { "Origin", "x:/alocalhost", "localhost", 1 },
    { "Origin", "http:/localhost", "localhost", 1 },
    { "Origin", "//localhost", "localhost", 1 },
    { "Origin", "localhost", "localhost", 1 },
    { "Origin", "http://", "localhost", 1 },
    { "Origin", "null", "localhost", 1 },
    { "Origin", "", "localhost", 1 },
    { "Origin", "http://localhost", NULL, 1 },
    { "Origin", "http://", "", 1 },
    { "Origins", "http://evil", "localhost", 0 },
    { "X-Origin", "http://evil", "localhost", 0 },
    { "Sec-Fetch-Site", "same-origin", "localhost", 0 },
    { "sec-fetch-SITE", "none", "localhost", 0 },
    { "Sec-Fetch-Site", "same-site", "localhost", 1 },
    { "Sec-Fetch-Site", "cross-site", "localhost", 1 },
    { "Sec-Fetch-Site", "Same-Origin", "localhost", 1 },
    { "Sec-Fetch-Site", "same-origin, cross-site", "localhost", 1 },
    { "Sec-Fetch-Site", "", "localhost", 1 },
    { "Host", "evil", "localhost", 0 }
};


static const struct {
    const char  *host;
    int          good;
} hosts[] = {
    { "localhost", 1 },
    { "app.example.com", 1 },
    { "App-1.example_x.com.", 1 },
    { "xn--bcher-kva.example:8080", 1 },
    { "a:1", 1 },
    { "a:65535", 1 },
    { "10.0.0.1:80", 1 },
    { "[::1]", 1 },
    { "[2001:DB8::f]:8080", 1 },

    { "", 0 },
    { "http://app.example.com", 0 },
    { "//app.example.com", 0 },
    { "app.example.com/", 0 },
    { "a/b", 0 },
    { "a?b", 0 },
    { "a#b", 0 },
    { "a@b", 0 },
    { "a b", 0 },
    { "a,b", 0 },
    { "*.example.com", 0 },
    { "b\xc3\xbc" "cher.example", 0 },
    { "a:", 0 },
    { "a:0", 0 },
    { "a:080", 0 },
    { "a:65536", 0 },
    { "a:655350", 0 },
    { "a:99999999999", 0 },
    { "a:8x", 0 },
    { "a:80:80", 0 },
    { ":80", 0 },
    { "::1", 0 },
    { "[", 0 },
    { "[]", 0 },
    { "[::1", 0 },
    { "[::g]", 0 },
    { "[::1]8", 0 },
    { "[::1]:", 0 },
    { "[::1]:x", 0 }
};


/* by CPython's hash() of bytes(range(n)) with PYTHONHASHSEED=0, a key of 0 */

static const struct {
    size_t    n;
    uint64_t  hash;
} hashes[] = {
    { 1, 0x68a914128e01e473 },
    { 7, 0x2f098ab0c751325a },
    { 8, 0xead411e67ebe2eea },
    { 9, 0x75927f9d95124362 },
    { 16, 0x8972188433a5c5b7 },
    { 63, 0x385d3e39e5f37359 }
};


static const struct {
    uint64_t     n;
    unsigned     digits;
    unsigned     least;
    const char  *text;
} decimals[] = {
    { 0, 0, 0, "0" },
    { 0, 3, 0, "0" },
    { 0, 3, 1, "0.0" },
    { 5, 0, 1, "5.0" },
    { 5, 3, 0, "0.005" },
    { 10, 3, 0, "0.01" },
    { 2500, 3, 0, "2.5" },
    { 10000, 3, 0, "10" },
    { 10000, 3, 1, "10.0" },
    { 15, 1, 3, "1.500" },
    { 1234567, 6, 0, "1.234567" },
    { UINT64_MAX, 0, 0, "18446744073709551615" },
    { UINT64_MAX, 18, 0, "18.446744073709551615" }
};


/* pieces of a given size, one after the other in one text */

typedef struct {
    size_t    piece;
    long      left;                      /* pieces; negative: all of them */
    uint8_t  *current;
    char      text[8192];
    size_t    len;
} pieces_t;


static void
pieces_flush(gw_out_t *out)
{
    size_t     n;
    pieces_t  *p;

    p = out->ctx;

    if (p->current) {
        n = (size_t) (out->last - p->current);
        check(p->len + n < sizeof(p->text), "%lu", (unsigned long) n);
        memcpy(p->text + p->len, p->current, n);
        p->len += n;
        free(p->current);
        p->current = NULL;
    }

    p->text[p->len] = '\0';
}


static int
pieces_more(gw_out_t *out, size_t n)
{
    pieces_t  *p;

    p = out->ctx;

    pieces_flush(out);

    if (p->left-- == 0) {
        out->last = NULL;
        out->end = NULL;
        return -1;
    }

    n = (n > p->piece) ? n : p->piece;
    p->current = malloc(n);
    out->last = p->current;
    out->end = p->current + n;

    return 0;
}


static void *
block_grow(void *ctx, void *old, size_t used, size_t size)
{
    void  *p;
    long  *left;

    left = ctx;

    if ((*left)-- == 0) {
        return NULL;
    }

    p = malloc(size);

    if (used) {
        memcpy(p, old, used);
    }

    free(old);

    return p;
}


static void
test_worst(void)
{
    unsigned  i, n;
    uint8_t   src[256], dst[256 * 6], *p, *end;

    for (i = 0; i < 256; i++) {
        src[i] = (uint8_t) i;
    }

    for (n = 0; n < sizeof(escapes) / sizeof(escapes[0]); n++) {
        end = escapes[n].escape(dst, src, 256);
        check(end <= dst + 256 * escapes[n].factor, "%u", n);

        for (i = 0; i < 256; i++) {
            end = escapes[n].escape(dst, &src[i], 1);
            check(end <= dst + escapes[n].factor, "%u, byte %u", n, i);

            for (p = dst; p < end; p++) {
                check(*p >= 0x20 && *p < 0x7f, "%u, byte %u", n, i);
            }
        }
    }
}


static void
test_names(void)
{
    unsigned     i;
    uint8_t      text[1024];
    const char  *name;

    for (i = 0; i < sizeof(typos) / sizeof(typos[0]); i++) {
        name = gw_nearest(names, bytes(typos[i][0]));

        check(name == typos[i][1]
              || (name && typos[i][1] && strcmp(name, typos[i][1]) == 0),
              "\"%s\": %s", typos[i][0], name ? name : "-");
    }

    memset(text, 'q', sizeof(text));

    for (i = 0; i < sizeof(text); i++) {
        check(gw_nearest(names, text, i) == NULL, "%u letters", i);
    }
}


static void
test_cut(void)
{
    size_t          n, max;
    int             valid;
    const uint8_t  *text, *p;

    static const char  mixed[] = "a\xc3\xa9z\xe2\x82\xac\xf0\x9f\x98\x80!";

    text = (const uint8_t *) mixed;

    for (max = 1; max < sizeof(mixed) + 2; max++) {
        n = gw_cut(text, sizeof(mixed) - 1, max);
        check(n <= max && (max - n < 4 || n == sizeof(mixed) - 1), "%lu",
              (unsigned long) max);

        for (p = text; p < text + n; /* void */ ) {
            if (*p < 0x80) {
                p++;
                continue;
            }

            p += gw_utf8_length(p, text + n, &valid);
            check(valid, "%lu", (unsigned long) max);
        }
    }

    check(gw_cut(bytes("\x80\x80\x80\x80\x80\x80"), 5) == 5, "no UTF-8");
}


static const char  text_format[] =
    "# HELP requests_total A \\\\ and\\n\"b\".\n"
    "# TYPE requests_total counter\n"
    "requests_total{zone=\"a\\\"\\\\xFF\",k=\"v\"} 18446744073709551615\n"
    "requests_total 7\n"
    "# HELP seconds Time.\n"
    "# TYPE seconds histogram\n"
    "seconds_bucket{r=\"x\",le=\"0.005\"} 1\n"
    "seconds_bucket{r=\"x\",le=\"1\"} 2\n"
    "seconds_bucket{r=\"x\",le=\"+Inf\"} 3\n"
    "seconds_sum{r=\"x\"} 1.25\n"
    "seconds_count{r=\"x\"} 3\n"
    "# HELP level Level.\n"
    "# TYPE level gauge\n";


static const char  openmetrics[] =
    "# HELP requests A \\\\ and\\n\\\"b\\\".\n"
    "# TYPE requests counter\n"
    "requests_total{zone=\"a\\\"\\\\xFF\",k=\"v\"} 18446744073709551615\n"
    "requests_total 7\n"
    "# HELP seconds Time.\n"
    "# TYPE seconds histogram\n"
    "seconds_bucket{r=\"x\",le=\"0.005\"} 1 # {trace_id=\"ab\"} 0.004"
    " 1700000000.050\n"
    "seconds_bucket{r=\"x\",le=\"1.0\"} 2\n"
    "seconds_bucket{r=\"x\",le=\"+Inf\"} 3\n"
    "seconds_sum{r=\"x\"} 1.25\n"
    "seconds_count{r=\"x\"} 3\n"
    "# HELP level Level.\n"
    "# TYPE level gauge\n"
    "# EOF\n";


static void
write_families(gw_out_t *out, int open)
{
    unsigned         i;
    gw_prometheus_t  p;

    static const char      requests[] = "requests";
    static const uint64_t  bounds[] = { 5, 1000 };

    gw_prometheus_init(&p, out, open);
    p.max = 3;

    for (i = 0; i < 2; i++) {
        gw_prometheus_family(&p, requests, GW_COUNTER, "A \\ and\n\"b\".");
        gw_prometheus_sample(&p, NULL);

        if (i == 0) {
            gw_prometheus_label(&p, "zone", bytes("a\"\xff" "cut"));
            gw_prometheus_label(&p, "k", bytes("v"));
        }

        gw_prometheus_uint(&p, i ? 7 : UINT64_MAX);
    }

    gw_prometheus_family(&p, "seconds", GW_HISTOGRAM, "Time.");

    for (i = 0; i < 3; i++) {
        gw_prometheus_sample(&p, "bucket");
        gw_prometheus_label(&p, "r", bytes("x"));

        if (i < 2) {
            gw_prometheus_le(&p, bounds[i], 3);

        } else {
            gw_prometheus_le_inf(&p);
        }

        gw_prometheus_uint(&p, i + 1);

        if (i == 0) {
            gw_prometheus_exemplar(&p, bytes("trace_id=\"ab\""), 4, 3,
                                   1700000000050);
        }
    }

    gw_prometheus_sample(&p, "sum");
    gw_prometheus_label(&p, "r", bytes("x"));
    gw_prometheus_decimal(&p, 1250000, 6);
    gw_prometheus_sample(&p, "count");
    gw_prometheus_label(&p, "r", bytes("x"));
    gw_prometheus_uint(&p, 3);

    gw_prometheus_family(&p, "level", GW_GAUGE, "Level.");
    gw_prometheus_end(&p);
}


static void
test_prometheus(void)
{
    int             open;
    long            left;
    size_t          n;
    gw_out_t        out;
    pieces_t        pieces;
    const char     *expected;
    gw_out_block_t  block;

    for (open = 0; open < 2; open++) {

        expected = open ? openmetrics : text_format;

        /* pieces of every size */

        for (n = 1; n < 200; n++) {
            memset(&pieces, 0, sizeof(pieces));
            memset(&out, 0, sizeof(out));
            pieces.piece = n;
            pieces.left = -1;
            out.more = pieces_more;
            out.ctx = &pieces;

            write_families(&out, open);
            pieces_flush(&out);

            check(!out.failed && strcmp(pieces.text, expected) == 0,
                  "pieces of %lu: %s", (unsigned long) n, pieces.text);
        }

        /* every one of them missing */

        for (n = 0; n < 10; n++) {
            memset(&pieces, 0, sizeof(pieces));
            memset(&out, 0, sizeof(out));
            pieces.piece = 32;
            pieces.left = (long) n;
            out.more = pieces_more;
            out.ctx = &pieces;

            write_families(&out, open);
            pieces_flush(&out);

            check(out.failed, "piece %lu", (unsigned long) n);
            check(memcmp(pieces.text, expected, pieces.len) == 0, "%s",
                  pieces.text);
        }

        /* one block, as large as it may be, too small by one, no memory */

        for (n = 0; n < 3; n++) {
            left = (n == 2) ? 0 : -1;
            gw_out_block_init(&block, strlen(expected) - (n == 1), block_grow,
                              &left);
            write_families(&block.out, open);

            if (n == 0) {
                check(!block.out.failed
                      && gw_out_block_used(&block) == strlen(expected)
                      && memcmp(block.start, expected, strlen(expected)) == 0,
                      "one block");

            } else {
                check(block.out.failed, "%lu", (unsigned long) n);
            }

            free(block.start);
        }
    }
}


static void
test_out(void)
{
    long            left;
    size_t          i, n;
    unsigned        k;
    uint8_t         text[3000], expected[3000 * GW_JSON], *end;
    gw_out_block_t  block;

    left = -1;

    for (k = 0; k < sizeof(decimals) / sizeof(decimals[0]); k++) {
        gw_out_block_init(&block, 100, block_grow, &left);
        gw_out_decimal(&block.out, decimals[k].n, decimals[k].digits,
                       decimals[k].least);

        n = gw_out_block_used(&block);

        check(n == strlen(decimals[k].text)
              && memcmp(block.start, decimals[k].text, n) == 0,
              "%.*s is not %s", (int) n, block.start, decimals[k].text);
        free(block.start);
    }

    /* a long text is escaped in pieces that do not cut its characters */

    for (k = 0; k < 4; k++) {
        for (i = 0; i < k; i++) {
            text[i] = 'x';
        }

        for ( /* void */ ; i + 3 <= sizeof(text); i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 3);
        }

        end = gw_escape_json(expected, text, i);
        check((size_t) (end - expected) == i, "nothing to escape");

        gw_out_block_init(&block, sizeof(expected), block_grow, &left);
        gw_out_json(&block.out, text, i);

        check(gw_out_block_used(&block) == i
              && memcmp(block.start, expected, i) == 0, "%u", k);
        free(block.start);
    }
}


static void
integer(int64_t n)
{
    int      len;
    char     wanted[32];
    uint8_t  dst[GW_NUMBER], *end;

    end = gw_write_int(dst, n);
    len = snprintf(wanted, sizeof(wanted), "%lld", (long long) n);

    check(end == dst + len && memcmp(dst, wanted, (size_t) len) == 0,
          "\"%.*s\" is not \"%s\"", (int) (end - dst), dst, wanted);
}


/* around the powers of two and of ten, and below zero */

static void
integers(void)
{
    int64_t   n;
    unsigned  i;

    for (i = 0; i < 64; i++) {
        n = (int64_t) ((uint64_t) 1 << i);

        integer(n);
        integer((int64_t) ((uint64_t) n - 1));
        integer((int64_t) (0 - (uint64_t) n));
    }

    for (n = 1; n < INT64_MAX / 10; n *= 10) {
        integer(n - 1);
        integer(n);
        integer(-n);
    }
}


int
main(void)
{
    size_t          len;
    uint8_t         dst[1024], *end, data[64];
    unsigned        i;
    const uint64_t  key[2] = { 0, 0 }, other[2] = { 0, 1 };
    const uint64_t  published[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        end = rows[i].escape(dst, bytes(rows[i].src));
        len = (size_t) (end - dst);

        check(len == strlen(rows[i].dst)
              && memcmp(dst, rows[i].dst, len) == 0,
              "\"%.*s\" is not \"%s\"", (int) len, dst, rows[i].dst);
    }

    integers();

    for (i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        check(gw_origin_foreign(bytes(origins[i].name),
                                bytes(origins[i].value),
                                (const uint8_t *) origins[i].host,
                                origins[i].host ? strlen(origins[i].host) : 0)
              == origins[i].foreign, "%s: %s", origins[i].name,
              origins[i].value);
    }

    for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        check(gw_origin_is_host(bytes(hosts[i].host)) == hosts[i].good,
              "host %s", hosts[i].host);
    }

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) i;
    }

    for (i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        check(gw_siphash(key, data, hashes[i].n) == hashes[i].hash,
              "%lu bytes", (unsigned long) hashes[i].n);
        check(gw_siphash(other, data, hashes[i].n) != hashes[i].hash,
              "%lu bytes, another key", (unsigned long) hashes[i].n);
    }

    /* no bytes, the key 00 01 ... 0f: the value of other implementations */

    check(gw_siphash(published, data, 0) == 0xabac0158050fc4dc, "a vector");

    test_worst();
    test_names();
    test_cut();
    test_out();
    test_prometheus();

    printf("ok common_text: %lu checks\n", checks);

    return 0;
}
