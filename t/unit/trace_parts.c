
/*
 * Contexts, ids, ratios, spans as OTLP, and a collector's answers, in
 * pieces of any size.
 *
 * sources: trace/agg_trace.c trace/agg_otlp.c trace/agg_http_reply.c
 */

#include <string.h>

#include "agg_test.h"
#include "agg_http_reply.h"
#include "agg_otlp.h"
#include "agg_trace.h"


static const u_char  *
bytes(const char *text)
{
    return (const u_char *) text;
}


static void *
grow(void *ctx, void *old, size_t used, size_t size)
{
    u_char  *p;
    long    *left = ctx;

    if (left && (*left)-- == 0) {
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
test_ratio(void)
{
    u_char              id[16], span[8], other[8];
    unsigned            i, n, all;
    agg_trace_random_t  random;

    static const struct {
        const char  *text;
        int          ratio;
    } cases[] = {
        { "on", 10000 }, { "off", 0 }, { "1", 10000 }, { "0", 0 }, { "", 0 },
        { "5%", 500 }, { "0.01%", 1 }, { "12.5%", 1250 }, { "100%", 10000 },
        { "0%", 0 }, { "100.00%", 10000 }, { "100.01%", -1 }, { "101%", -1 },
        { "0.001%", -1 }, { "5", -1 }, { "%", -1 }, { "-1%", -1 },
        { "5.%", -1 }, { ".5%", -1 }, { "1.2.3%", -1 }, { "yes", -1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(agg_trace_parse_ratio(bytes(cases[i].text),
                                    strlen(cases[i].text))
              == cases[i].ratio, "%s", cases[i].text);
    }

    memset(id, 7, sizeof(id));
    agg_trace_random_init(&random, (const u_char *)
                          "0123456789abcdef0123456789abcdef");
    n = 0;
    all = 0;

    for (i = 0; i < 20000; i++) {
        agg_trace_make_ids(&random, id, span, other);
        check(memcmp(span, other, 8) != 0, "ids differ");
        n += (unsigned) agg_trace_ratio(id, 2500);
        all += (unsigned) agg_trace_ratio(id, 10000);
        check(!agg_trace_ratio(id, 0), "none");
    }

    check(all == 20000, "all");
    check(n > 4800 && n < 5200, "a quarter: %u", n);
}


static void
test_hex(void)
{
    size_t      i, len;
    u_char      dst[2 * 40 + 1], src[40];
    char        expected[3];

    for (i = 0; i < 256 + sizeof(src); i++) {

        memset(src, (int) (i & 0xff), sizeof(src));
        src[i % sizeof(src)] = (u_char) (i * 7 + 1);
        len = i % (sizeof(src) + 1);

        memset(dst, '#', sizeof(dst));

        check(agg_trace_hex(dst, src, len) == dst + 2 * len, "its end");
        check(dst[2 * len] == '#', "no more than that");

        while (len--) {
            snprintf(expected, sizeof(expected), "%02x", src[len]);
            check(memcmp(dst + 2 * len, expected, 2) == 0, "byte %u",
                  src[len]);
        }
    }
}


/* an attribute that is encoded beforehand is that of a string */

static void
test_constant(void)
{
    int                  json;
    char                 text[AGG_OTLP_CONSTANT_TEXT + 1];
    gw_out_block_t       out[2];
    agg_otlp_attr_t      attr;
    agg_otlp_span_t      span;
    agg_otlp_constant_t  constant;

    static const agg_otlp_key_t  key = AGG_OTLP_KEY("http.request.method");

    memset(text, 'x', sizeof(text));

    /* 8 bytes of heads, 19 of the key */

    text[AGG_OTLP_CONSTANT_TEXT - 8 - 19 + 1] = '\0';
    check(agg_otlp_constant(&constant, &key, text) == -1, "too long");

    text[AGG_OTLP_CONSTANT_TEXT - 8 - 19] = '\0';
    check(agg_otlp_constant(&constant, &key, text) == 0, "the longest");

    for (json = 0; json < 2; json++) {
        memset(&attr, 0, sizeof(attr));
        memset(&span, 0, sizeof(span));

        span.trace_id = bytes("0123456789abcdef");
        span.span_id = bytes("01234567");
        span.kind = AGG_OTLP_SERVER;
        span.attrs = &attr;
        span.nattrs = 1;

        attr.known = &key;
        attr.type = AGG_OTLP_CONSTANT;
        attr.data = constant.text;
        attr.len = constant.len;

        gw_out_block_init(&out[0], 4096, grow, NULL);
        agg_otlp_span(&out[0], json, &span);

        attr.type = AGG_OTLP_STRING;
        attr.data = bytes(text);
        attr.len = strlen(text);

        gw_out_block_init(&out[1], 4096, grow, NULL);
        agg_otlp_span(&out[1], json, &span);

        check(gw_out_block_used(&out[0]) == gw_out_block_used(&out[1])
              && memcmp(out[0].start, out[1].start,
                        gw_out_block_used(&out[0]))
                 == 0,
              "as a string, json: %d", json);

        free(out[0].start);
        free(out[1].start);
    }
}


static void
test_otlp(void)
{
    long             left;
    u_char           bad[3000];
    unsigned         i, json;
    uint64_t         rejected;
    const u_char    *message;
    size_t           len;
    gw_out_block_t   out;
    agg_otlp_attr_t  attrs[3];
    agg_otlp_span_t  span;

    memset(bad, 0xff, sizeof(bad));
    memset(&span, 0, sizeof(span));
    memset(attrs, 0, sizeof(attrs));

    attrs[0].key = bytes("a");
    attrs[0].key_len = 1;
    attrs[0].data = bad;
    attrs[0].len = sizeof(bad);
    attrs[1].key = bytes("b");
    attrs[1].key_len = 1;
    attrs[1].type = AGG_OTLP_INT;
    attrs[1].number = 300;
    attrs[2].key = bytes("c");
    attrs[2].key_len = 1;
    attrs[2].type = AGG_OTLP_BOOL;
    attrs[2].number = 1;

    span.trace_id = bad;
    span.span_id = bad;
    span.name = bytes("name");
    span.name_len = 4;
    span.attrs = attrs;
    span.nattrs = 3;
    span.error = 1;

    /* memory that fails at every point */

    for (json = 0; json < 2; json++) {
        for (i = 0; i < 20; i++) {
            left = i;
            gw_out_block_init(&out, 1 << 20, grow, &left);

            agg_otlp_span(&out, (int) json, &span);
            agg_otlp_head(&out, (int) json, attrs, 3, "1", 5);
            agg_otlp_tail(&out, (int) json);

            check(out.out.failed || left >= 0, "failed or not");
            free(out.start);
        }
    }

    /* too large: nothing is written beyond */

    gw_out_block_init(&out, 100, grow, NULL);
    agg_otlp_span(&out, 0, &span);
    check(out.out.failed && gw_out_block_used(&out) <= 100, "too large");
    free(out.start);

    gw_out_block_init(&out, 1 << 20, grow, NULL);
    agg_otlp_span(&out, 0, &span);
    check(!out.out.failed && out.start[0] == 0x12, "a field of scope_spans");
    free(out.start);

    rejected = agg_otlp_rejected(0, bytes("\x0a\x07\x08\x02\x12\x03" "bad"), 9,
                                 &message, &len);
    check(rejected == 2 && len == 3 && memcmp(message, "bad", 3) == 0,
          "rejected");
    check(agg_otlp_rejected(0, bytes("\x0a\x07\x08\x02\x12\x04" "bad"), 9,
                            &message, &len) == 2, "a message that is cut");
    check(agg_otlp_rejected(0, bad, 20, &message, &len) == 0, "rubbish");
    check(agg_otlp_rejected(0, bad, 0, &message, &len) == 0, "empty");
    check(agg_otlp_rejected(1, bytes("{\"partialSuccess\":{\"rejectedSpans\":"
                                     "\"7\"}}"), 39, &message, &len) == 7,
          "JSON");
}


/* every way to cut it in two, and byte by byte */

static void
reply(const char *text, agg_http_reply_e wanted, unsigned status)
{
    u_char            *p;
    size_t             len, i, cut;
    agg_http_reply_t   r;
    agg_http_reply_e   rc;

    len = strlen(text);

    for (cut = 0; cut <= len; cut++) {
        agg_http_reply_init(&r);
        p = exact(text, cut);
        rc = agg_http_reply_push(&r, p, cut);
        free(p);

        if (rc == AGG_HTTP_REPLY_MORE) {
            p = exact(text + cut, len - cut);
            rc = agg_http_reply_push(&r, p, len - cut);
            free(p);
        }

        check(rc == wanted && (status == 0 || r.status == status),
              "%s at %zu: %d, %u", text, cut, rc, r.status);
    }

    agg_http_reply_init(&r);
    rc = AGG_HTTP_REPLY_MORE;

    for (i = 0; i < len && rc == AGG_HTTP_REPLY_MORE; i++) {
        rc = agg_http_reply_push(&r, bytes(text) + i, 1);
    }

    check(rc == wanted, "%s: byte by byte", text);
}


static void
test_reply(void)
{
    agg_http_reply_t  r;

    reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
          AGG_HTTP_REPLY_DONE, 200);
    reply("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nab",
          AGG_HTTP_REPLY_DONE, 200);
    reply("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\nContent-Length:1\n\na",
          AGG_HTTP_REPLY_DONE, 503);
    reply("HTTP/1.1 204 No\r\n\r\n", AGG_HTTP_REPLY_DONE, 204);
    reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n", AGG_HTTP_REPLY_DONE, 200);
    reply("HTTP/1.1 200 OK\r\n\r\nab", AGG_HTTP_REPLY_MORE, 200);
    reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
          AGG_HTTP_REPLY_MORE, 200);

    reply("garbage\r\n", AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/2.0 200 OK\r\n", AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 2x0 OK\r\n", AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 099 OK\r\n", AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 101 OK\r\n\r\n", AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 200 OK\r\nno field\r\n", AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
          AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
          AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
          AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
          AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
          AGG_HTTP_REPLY_INVALID, 0);
    reply("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
          AGG_HTTP_REPLY_TOO_LARGE, 0);
    reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "ffffffffffffffffff\r\n", AGG_HTTP_REPLY_TOO_LARGE, 0);

    agg_http_reply_init(&r);
    (void) agg_http_reply_push(&r, bytes("HTTP/1.0 429 x\r\nRetry-After: 7 "
                                         "\r\n\r\nab"), 37);
    check(agg_http_reply_eof(&r) == AGG_HTTP_REPLY_DONE && r.close
          && r.nretry_after == 1 && r.retry_after[0] == '7' && r.nkept == 2,
          "up to the end of the connection");

    agg_http_reply_init(&r);
    check(agg_http_reply_eof(&r) == AGG_HTTP_REPLY_INVALID, "nothing at all");
}


int
main(void)
{
    test_ratio();
    test_hex();
    test_constant();
    test_otlp();
    test_reply();

    finish("trace_parts");
    return 0;
}
