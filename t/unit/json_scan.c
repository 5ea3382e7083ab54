
/*
 * The scanner against a naive one, for every cutting of documents, with every
 * kind of its core that this machine can run.
 * sources: json/agg_scan.c json/agg_write.c
 * arm64: by qemu's user mode
 */


#include "agg_test.h"
#include "agg_scan.h"


#ifndef TEST_NAME
#define TEST_NAME  "json_scan"
#endif

/* made up for each kind of the core */

#define CORE_DOCUMENTS    600
#define RECORD_DOCUMENTS  400


/* the reference: recursive, byte by byte, written for the eye */

typedef struct {
    const u_char  *data;
    size_t         pos;
    size_t         len;
    unsigned       depth;
} naive_t;


#define more(n)  ((n)->pos < (n)->len)
#define byte(n)  ((n)->data[(n)->pos])


static int naive_value(naive_t *n);


static void
naive_space(naive_t *n)
{
    while (more(n) && byte(n) != '\0' && strchr(" \t\r\n", byte(n))) {
        n->pos++;
    }
}


static int
naive_range(naive_t *n, u_char low, u_char high)
{
    if (!more(n) || byte(n) < low || byte(n) > high) {
        return 0;
    }

    n->pos++;

    return 1;
}


static int
naive_utf8(naive_t *n)
{
    unsigned  c, i, tails;

    c = byte(n);

    if (c < 0xc2 || c > 0xf4) {
        return 0;
    }

    n->pos++;
    tails = (c < 0xe0) ? 1 : (c < 0xf0) ? 2 : 3;

    if (!naive_range(n, c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80,
                     c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf))
    {
        return 0;
    }

    for (i = 1; i < tails; i++) {
        if (!naive_range(n, 0x80, 0xbf)) {
            return 0;
        }
    }

    return 1;
}


static int
naive_string(naive_t *n)
{
    int  i;

    if (!naive_range(n, '"', '"')) {
        return 0;
    }

    while (more(n)) {

        if (byte(n) == '"') {
            n->pos++;
            return 1;
        }

        if (byte(n) < 0x20) {
            return 0;
        }

        if (byte(n) >= 0x80) {
            if (!naive_utf8(n)) {
                return 0;
            }

            continue;
        }

        if (byte(n) != '\\') {
            n->pos++;
            continue;
        }

        n->pos++;

        if (!more(n) || byte(n) == '\0' || !strchr("\"\\/bfnrtu", byte(n))) {
            return 0;
        }

        if (byte(n) != 'u') {
            n->pos++;
            continue;
        }

        n->pos++;

        for (i = 0; i < 4; i++) {
            if (!naive_range(n, '0', '9') && !naive_range(n, 'a', 'f')
                && !naive_range(n, 'A', 'F'))
            {
                return 0;
            }
        }
    }

    return 0;
}


static int
naive_digits(naive_t *n)
{
    if (!naive_range(n, '0', '9')) {
        return 0;
    }

    while (naive_range(n, '0', '9')) { /* void */ }

    return 1;
}


static int
naive_number(naive_t *n)
{
    naive_range(n, '-', '-');

    if (!naive_range(n, '0', '0') && !naive_digits(n)) {
        return 0;
    }

    if (naive_range(n, '.', '.') && !naive_digits(n)) {
        return 0;
    }

    if (naive_range(n, 'e', 'e') || naive_range(n, 'E', 'E')) {
        if (!naive_range(n, '+', '+')) {
            naive_range(n, '-', '-');
        }

        return naive_digits(n);
    }

    return 1;
}


static int
naive_literal(naive_t *n, const char *text)
{
    while (*text) {
        if (!naive_range(n, (u_char) *text, (u_char) *text)) {
            return 0;
        }

        text++;
    }

    return 1;
}


static int
naive_container(naive_t *n, u_char close)
{
    if (n->depth == AGG_MAX_DEPTH) {
        return 0;
    }

    n->depth++;
    n->pos++;
    naive_space(n);

    if (naive_range(n, close, close)) {
        n->depth--;
        return 1;
    }

    for ( ;; ) {

        if (close == '}') {
            if (!naive_string(n)) {
                return 0;
            }

            naive_space(n);

            if (!naive_range(n, ':', ':')) {
                return 0;
            }

            naive_space(n);
        }

        if (!naive_value(n)) {
            return 0;
        }

        naive_space(n);

        if (naive_range(n, close, close)) {
            n->depth--;
            return 1;
        }

        if (!naive_range(n, ',', ',')) {
            return 0;
        }

        naive_space(n);
    }
}


static int
naive_value(naive_t *n)
{
    if (!more(n)) {
        return 0;
    }

    switch (byte(n)) {
    case '{':
        return naive_container(n, '}');
    case '[':
        return naive_container(n, ']');
    case '"':
        return naive_string(n);
    case 't':
        return naive_literal(n, "true");
    case 'f':
        return naive_literal(n, "false");
    case 'n':
        return naive_literal(n, "null");
    default:
        return naive_number(n);
    }
}


static int
naive(const u_char *data, size_t len, size_t *offset)
{
    int      ok;
    naive_t  n;

    n.data = data;
    n.len = len;
    n.pos = 0;
    n.depth = 0;

    naive_space(&n);
    ok = naive_value(&n);

    if (ok) {
        naive_space(&n);
        ok = (n.pos == len);
    }

    *offset = n.pos;

    return ok;
}


/* texts of one document are there for the next one, right or wrong */

static agg_patterns_t  patterns;
static int             with_patterns;


static void
push_pieces(const u_char *data, size_t len, size_t first, size_t size, int ok,
    size_t offset)
{
    size_t      pos, n;
    u_char     *p;
    agg_rc_e    rc;
    agg_scan_t  s;

    agg_scan_init(&s);

    if (with_patterns) {
        s.patterns = &patterns;
        agg_patterns_start(&patterns);
    }

    rc = AGG_OK;

    for (pos = 0; pos < len && rc == AGG_OK; pos += n) {
        n = (pos == 0 && first != 0) ? first : size;
        n = (n > len - pos) ? len - pos : n;

        p = exact(data + pos, n);
        rc = agg_scan_push(&s, p, n);
        free(p);
    }

    if (rc == AGG_OK) {
        rc = agg_scan_finish(&s);
    }

    check((rc == AGG_OK) == ok, "%d for \"%.*s\" cut at %zu, %zu", rc,
          (int) len, data, first, size);
    check(s.offset == offset, "%zu, not %zu: \"%.*s\" cut at %zu, %zu",
          s.offset, offset, (int) len, data, first, size);
}


static agg_rc_e
in_pieces(const u_char *data, size_t len, size_t size, size_t *offset)
{
    size_t      pos, n;
    u_char     *p;
    agg_rc_e    rc;
    agg_scan_t  s;

    agg_scan_init(&s);

    if (with_patterns) {
        s.patterns = &patterns;
        agg_patterns_start(&patterns);
    }

    rc = AGG_OK;

    for (pos = 0; pos < len && rc == AGG_OK; pos += n) {
        n = (size > len - pos) ? len - pos : size;

        p = exact(data + pos, n);
        rc = agg_scan_push(&s, p, n);
        free(p);
    }

    if (rc == AGG_OK) {
        rc = agg_scan_finish(&s);
    }

    *offset = s.offset;

    return rc;
}


/* as a whole, and cut in two everywhere, and in pieces of every small size */

static void
scan(const u_char *data, size_t len, int cut)
{
    int        ok;
    size_t     offset, i;
    u_char    *p;
    agg_rc_e   rc;

    ok = naive(data, len, &offset);

    p = exact(data, len);
    i = len;
    rc = agg_json_validate(p, len, &i);
    free(p);

    check((rc == AGG_OK) == ok, "%d for \"%.*s\"", rc, (int) len, data);
    check(ok || i == offset, "%zu, not %zu: \"%.*s\"", i, offset, (int) len,
          data);

    if (!cut) {
        return;
    }

    push_pieces(data, len, 0, len, ok, offset);
    push_pieces(data, len, 0, 1, ok, offset);
    push_pieces(data, len, 0, 67, ok, offset);

    for (i = 1; i < len; i++) {
        push_pieces(data, len, i, len, ok, offset);
    }

    for (i = 2; i < 8; i++) {
        push_pieces(data, len, 0, i, ok, offset);
    }
}


/* the same with room behind, so that the fast loop sees all of it */

static void
scan_wide(const u_char *data, size_t len, int cut)
{
    u_char  *p;

    scan(data, len, cut);

    p = malloc(len + 200);
    if (p == NULL) {
        abort();
    }

    memcpy(p, data, len);
    memset(p + len, ' ', 200);
    scan(p, len + 200, 0);

    p[0] = '[';
    memcpy(p + 1, data, len);
    memcpy(p + 1 + len, ",\"", 2);
    memset(p + 3 + len, 'x', 150);
    memcpy(p + len + 153, "\"]", 2);
    scan(p, len + 155, 0);

    free(p);
}


static const char *const  documents[] = {
    "{}", "[]", "0", "-0", "\"\"", "true", "false", "null", " [ ] ", "\t{\r\n}",
    "{\"id\":1234,\"sku\":\"A-1234\",\"price\":12.50,\"tags\":[\"a\",\"b\"]}",
    "[1,-1,0.5,-0.5,1e5,1E5,1e+5,1e-5,1.25e10,12345678901234567890]",
    "[0.12345678901234567890123456789,123456789012345678901234567890.5e300]",
    "[-65.613616999999977,43.420273000000009,1.7976931348623157e308]",
    "{ \"a\" : 1 , \"b\" : [ true , false , null ] , \"c\" : { \"d\" : { } } }",
    "{\n  \"name\": \"x\",\n  \"list\": [\n    1,\n    2\n  ]\n}\n",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\\ud800\"]",
    "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf\"]",
    "{\"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\":\"\xe6\x97\xa5\xe6"
    "\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\"}",
    "{\"a name of more than sixteen bytes\":\"a value of more than thirty-two "
    "bytes, with an escape \\n in it\",\"\\u0061\":\"\\\\\"}",
    "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", "[{\"a\":[{\"a\":[{}]}]},[[],[[]]]]",
    "", " ", "[", "]", "{", "}", ",", ":", "[,]", "[1,]", "[1 2]", "[1,,2]",
    "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{1:2}",
    "{a:1}", "{'a':1}", "[}", "{]", "[1}", "{\"a\":1]", "[]]", "{}}", "[][]",
    "1 2", "nul", "nulll", "tru", "truee", "True", "fals", "falsy", "NaN",
    "Infinity", "-", "-a", "--1", "+1", ".5", "1.", "1.e5", "1e", "1e+",
    "1e5.5", "01", "-01", "00", "0x10", "1_000", "1.5.5", "1ee5", "[0,01]",
    "\"",
    "\"\\\"",
    "\"\\a\"", "\"\\u\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\U1234\"", "\"\t\"",
    "\"\n\"", "\"\x7f\"", "\"\x1f\"", "\xef\xbb\xbf{}", "[\"\x80\"]", "[\"\xc0"
    "\x80\"]", "[\"\xc1\xbf\"]", "[\"\xe0\x80\x80\"]", "[\"\xed\xa0\x80\"]",
    "[\"\xf0\x80\x80\x80\"]", "[\"\xf4\x90\x80\x80\"]",
    "[\"\xf5\x80\x80\x80\"]",
    "[\"\xff\"]", "[\"\xe2\x82\"]", "[\"\xc3\"]", "[\"\xf0\x9f\x98\"]",
    "\xc3\xa9",
    "/* */ 1", "[1] // x", "[1]x", "\v1", "\f1", "[\"a\":1]", "{\"a\",1}",
    "{\"a\"::1}", "[true,]", "[nul]", "[ftrue]", "[fnull]", "[alse]", "[falsx]",
    "[truefalse]", "\"a\"b", "[\"a\"\"b\"]",
    "[[ ],[1,],[2,3,4]]", "[[],[1,],[2,3,4]]", "{\"a\":{ },\"b\":[1,]}",
    "[{\n},{\"a\":1,},{\"a\":2}]", "[[1,2],[3],{\"a\":[ ],\"b\":[4,]}]",
};


static void
scan_documents(void)
{
    size_t  i;

    for (i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        scan_wide((u_char *) documents[i], strlen(documents[i]), 1);
    }

    scan_wide((u_char *) "[\0]", 3, 1);
    scan_wide((u_char *) "[\"\0\"]", 5, 1);
    scan_wide((u_char *) "[1]\0", 4, 1);
    scan_wide((u_char *) "\"\\\0\"", 4, 1);
}


/* each byte of each document in turn is another one, or missing, or twice */

static void
scan_mutations(void)
{
    int          ok;
    char         buf[512];
    size_t       i, j, k, len, offset;
    const char  *doc;

    static const char  bytes[] = "\0 \n\x1f\"\\,:[]{}0-.e19atfnu\x7f\x80\xbf"
                                 "\xc2\xe0\xed\xf0\xf4\xff";

    for (i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        doc = documents[i];
        len = strlen(doc);

        for (j = 0; j < len; j++) {

            for (k = 0; k < sizeof(bytes) - 1; k++) {
                memcpy(buf, doc, len);
                buf[j] = bytes[k];
                scan_wide((u_char *) buf, len, 0);

                ok = naive((u_char *) buf, len, &offset);
                push_pieces((u_char *) buf, len, j, len, ok, offset);
            }

            memcpy(buf, doc, j);
            memcpy(buf + j, doc + j + 1, len - j - 1);
            scan_wide((u_char *) buf, len - 1, 0);

            memcpy(buf, doc, j + 1);
            memcpy(buf + j + 1, doc + j, len - j);
            scan_wide((u_char *) buf, len + 1, 0);
        }
    }
}


/* documents of tokens at random, most of them nearly valid */

static void
scan_random(void)
{
    char      buf[4096];
    size_t    len, n;
    unsigned  i, k;

    static const char *const  tokens[] = {
        "{", "}", "[", "]", ",", ":", "\"\"", "\"a\"", "\"name\":", "1", "-2.5",
        "true", "null", " ", "\n    ", "\"\\u00e9\"", "\"\xc3\xa9\"", "[1,2]",
        "{\"a\":{\"b\":[]}}", ",\"x\":", "\"twenty bytes of text\"", "1e9",
        "123456789012345678901234567890", "0.000000000000000000001",
    };

    srand(1);

    for (i = 0; i < 30000; i++) {
        len = 0;

        if (i % 2) {
            buf[len++] = '[';
        }

        for (k = (unsigned) rand() % 24; k != 0; k--) {
            const char *t = tokens[(unsigned) rand() % (sizeof(tokens)
                                                        / sizeof(tokens[0]))];

            n = strlen(t);
            memcpy(buf + len, t, n);
            len += n;

            if (i % 2 && rand() % 2) {
                buf[len++] = ',';
            }
        }

        if (i % 2) {
            len -= (buf[len - 1] == ',');
            buf[len++] = ']';
        }

        scan((u_char *) buf, len, i % 16 == 0);
    }
}


static void
scan_depth(void)
{
    char      buf[2000];
    size_t    len, offset;
    unsigned  depth, kind, i;

    /* around what the core supports, and around the limit */

    for (depth = 61; depth < 131; depth += (depth == 67) ? 59 : 1) {
        for (kind = 0; kind < 3; kind++) {
            len = 0;

            for (i = 0; i < depth; i++) {
                if (kind == 0 || (kind == 2 && i % 2)) {
                    buf[len++] = '[';

                } else {
                    memcpy(buf + len, "{\"\":", 4);
                    len += 4;
                }
            }

            buf[len++] = '1';

            for (i = depth; i-- > 0; /* void */ ) {
                buf[len++] = (kind == 0 || (kind == 2 && i % 2)) ? ']' : '}';
            }

            check((agg_json_validate((u_char *) buf, len, &offset) == AGG_OK)
                  == (depth <= 128), "depth %u", depth);
            scan_wide((u_char *) buf, len, 1);

            /* one of the inner containers ends as the other kind */

            buf[len - depth + 2] ^= '[' ^ '{';
            scan_wide((u_char *) buf, len, 0);
        }
    }
}


/* a string, a number, white space of every length around the block's */

static void
scan_lengths(void)
{
    char    buf[600];
    size_t  len, i, n, kind;

    static const struct {
        const char  *open;
        const char  *fill;
        const char  *close;
    } t[] = {
        { "[\"", "x", "\"]" }, { "[\"", "\\n", "\"]" },
        { "[\"", "\xc3\xa9", "\"]" }, { "[\"", "\xe2\x82\xac", "\"]" },
        { "[\"", "\xf0\x9f\x98\x80", "\"]" }, { "[\"", "\\u00e9", "\"]" },
        { "[-", "1", ".5]" }, { "[1.", "7", "e9]" }, { "[1e", "1", "]" },
        { "[1 ", " ", ",2]" }, { "[1\n", " ", "]" }, { "[1", "\n", "]" },
        { "{\"a\":\n", "\t", "2}" }, { "{\"a\" ", " ", ":2 }" },
    };

    for (kind = 0; kind < sizeof(t) / sizeof(t[0]); kind++) {
        for (n = 0; n < 90; n++) {
            len = (size_t) sprintf(buf, "%s", t[kind].open);

            for (i = 0; i < n; i++) {
                len += (size_t) sprintf(buf + len, "%s", t[kind].fill);
            }

            len += (size_t) sprintf(buf + len, "%s", t[kind].close);

            scan_wide((u_char *) buf, len, n % 8 == 0);
            scan_wide((u_char *) buf, len - 2, 0);
        }
    }
}


/*
 * Names, numbers, strings and white space of every length at the very end,
 * where the fast loop must not look too far ahead.
 */

static void
scan_ends(void)
{
    char      buf[400];
    size_t    len;
    unsigned  name, space, digits, tail;

    static const char  sevens[] = "77777777777777777777";
    static const char  names[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    for (name = 0; name < 36; name += 3) {
        for (space = 0; space < 21; space += 4) {
            for (digits = 1; digits < 19; digits++) {
                for (tail = 0; tail < 46; tail += 3) {
                    len = (size_t) sprintf(buf, "{\"a\":1,%*s\"%.*s\": %s%.*s%s"
                                           "%.*s%*s}", (int) space, "",
                                           (int) name, names, tail % 2 ? "-"
                                           : "\"", (int) digits, sevens,
                                           tail % 2 ? "." : "\\n",
                                           (int) digits, sevens, (int) tail,
                                           tail % 2 ? "" : "\"");
                    scan((u_char *) buf, len, 0);
                }
            }
        }
    }
}


/* the same for a name with something special where the first block ends */

static void
scan_special_ends(void)
{
    char      buf[400];
    size_t    len;
    unsigned  before, i, j, cut;

    static const char *const  specials[] = {
        "\\n", "\\\"", "\\u0041", "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
        "\xc3\xa9\\u00e9\xc3\xa9\\u00e9"
    };

    static const char *const  values[] = {
        "-123456789012345.1234567890123456789e-123", "12345678901234567890123",
        "-1.12345678901234567890123", "\"123456789012345\xc3\xa9\xc3\xa9\xc3"
        "\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\""
    };

    for (before = 0; before < 20; before++) {
        for (i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
            for (j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
                len = (size_t) sprintf(buf, "{\"a\":1,\"%.*s%s\": %s}",
                                       (int) before, "abcdefghijklmnopqrst",
                                       specials[i], values[j]);

                for (cut = 64; cut < len; cut++) {
                    push_pieces((u_char *) buf, len, cut, len, 1, len);
                }
            }
        }
    }
}


/* for a value inside of others the scanner stops right behind it */

static void
scan_inner(void)
{
    size_t         len, i;
    unsigned       n;
    u_char         deep[69];
    agg_scan_t     s;
    const u_char  *p, *end;

    static const char  text[] = "[1,{\"a\":[2]},\"x\"],tail                   "
                                "                                          ";

    agg_scan_init(&s);

    s.patterns = with_patterns ? &patterns : NULL;

    for (i = 1; i < sizeof(text); i++) {
        agg_scan_start(&s, 5);
        p = agg_scan_value(&s, (u_char *) text, (u_char *) text + i);
        len = (size_t) (p - (u_char *) text);
        check((s.state == AGG_SCAN_DONE) == (i >= 17), "%zu", i);
        check(len == (i < 17 ? i : 17), "%zu %zu", len, i);
        check(s.state != AGG_SCAN_DONE || s.depth == 5, "%zu", i);

        agg_scan_start_rest(&s, 7);
        end = (u_char *) text + i;
        p = (i < 4) ? end : agg_scan_value(&s, (u_char *) text + 3, end);
        len = (size_t) (p - (u_char *) text);
        check((s.state == AGG_SCAN_DONE) == (i >= 17), "%zu", i);
        check(s.state != AGG_SCAN_DONE || (s.depth == 6 && len == 17), "%zu",
              i);
    }

    agg_scan_start(&s, 0);
    p = agg_scan_value(&s, (u_char *) "12", (u_char *) "12" + 2);
    check(s.state == AGG_SCAN_INTEGER, "%u", s.state);

    memset(deep, '[', sizeof(deep));

    for (n = 60; n < 129; n++) {
        agg_scan_start(&s, n);
        p = agg_scan_value(&s, deep, deep + 129 - n);
        check(s.state == AGG_SCAN_ERROR && p == deep + 128 - n, "%u %td", n,
              p - deep);
    }
}


static void
blocks(void)
{
    u_char    buf[AGG_BLOCK], c;
    unsigned  i, j, bit, m;

    for (i = 0; i < 256; i++) {
        for (j = 0; j < AGG_BLOCK; j++) {

            for (m = 0; m < AGG_BLOCK; m++) {
                buf[m] = (u_char) (i * 7 + m * 31);
            }

            c = (u_char) i;
            buf[j] = c;
            bit = 1u << j;

            check(((agg_block_special(buf) & bit) != 0)
                  == (c == '"' || c == '\\' || c < 0x20 || c >= 0x80), "%u", i);
            check(((agg_block_not_digit(buf) & bit) != 0)
                  == (c < '0' || c > '9'), "%u", i);
            check(((agg_block_not_space(buf) & bit) != 0)
                  == (c != ' ' && c != '\t' && c != '\r' && c != '\n'), "%u",
                  i);
            check(((agg_block_not_blank(buf) & bit) != 0) == (c != ' '), "%u",
                  i);
            check(((agg_block_quote(buf) & bit) != 0)
                  == (c == '"' || c == '\\'), "%u", i);
            check(((agg_block_bracket(buf) & bit) != 0)
                  == (c == '"' || c == '[' || c == ']' || c == '{'
                      || c == '}'), "%u", i);
        }
    }
}


/*
 * Documents of some blocks, right and not: pieces of every size against single
 * bytes, which the core never sees.
 */

static size_t
value(u_char *buf, unsigned depth)
{
    size_t    len;
    unsigned  i, n;

    static const char *const  scalars[] = {
        "0", "-0", "17", "-12345", "1.5", "-0.25e-7", "1E+19", "true", "false",
        "null", "\"\"", "\"a\"", "\"\\\"\"", "\"\\\\\"", "\"\\u00e9\\n\"",
        "\"\xc3\xa9 \xe2\x82\xac\xf0\x9f\x98\x80\"", "\"{[]},:1\"",
        "\"some text of more than a few bytes, as there is in documents\"",
        "123456789012345678901234567890123456789012345678901234567890123456789"
    };

    static const char *const  spaces[] = {
        "", "", "", " ", "\n", "\n        ", "\t", "\r\n",
        "                                                                    "
    };

    n = (unsigned) rand() % 8;

    if (n < 5 || depth == 0) {
        return (size_t) sprintf((char *) buf, "%s",
                                scalars[(unsigned) rand() % (sizeof(scalars)
                                                 / sizeof(scalars[0]))]);
    }

    len = 0;
    buf[len++] = (n < 7) ? '{' : '[';

    for (i = (unsigned) rand() % 5; i != 0; i--) {
        len += (size_t) sprintf((char *) buf + len, "%s",
                                spaces[(unsigned) rand() % 9]);

        if (buf[0] == '{') {
            len += (size_t) sprintf((char *) buf + len, "\"n%u\"%s:%s",
                                    (unsigned) ((unsigned) rand() % 10000),
                                    spaces[(unsigned) rand() % 9],
                                    spaces[(unsigned) rand() % 9]);
        }

        len += value(buf + len, depth - 1);
        len += (size_t) sprintf((char *) buf + len, "%s",
                                spaces[(unsigned) rand() % 9]);

        if (i != 1) {
            buf[len++] = ',';
        }
    }

    buf[len++] = (n < 7) ? '}' : ']';

    return len;
}


static void
scan_cores(void)
{
    static u_char      buf[1 << 20];
    static const char  bytes[] = "\"\\{}[],: 0.-eEt\n\x1f\xc3\xa9u";

    size_t             len, offset, offset1, pos, size;
    unsigned           n, i;
    agg_rc_e           rc, rc1;

    for (n = 0; n < CORE_DOCUMENTS; n++) {

        buf[0] = '[';
        len = 1 + value(buf + 1, 4);

        while (len < 64 + (unsigned) rand() % 400) {
            buf[len++] = ',';
            len += value(buf + len, 4);
        }

        buf[len++] = ']';

        for (i = n % 3; i != 0; i--) {
            buf[(unsigned) rand() % len] = (u_char) bytes[(unsigned) rand()
                                                          % 21];
        }

        rc1 = in_pieces(buf, len, 1, &offset1);

        for (size = 12; size < 200; size += 1 + (unsigned) rand() % 9) {
            rc = in_pieces(buf, len, size, &offset);
            check(rc == rc1 && offset == offset1,
                  "%d, not %d, at %zu, not %zu, in %zu: \"%.*s\"", rc, rc1,
                  offset, offset1, size, (int) len, buf);
        }

        for (pos = 0; pos < 64; pos++) {
            rc = in_pieces(buf + pos, len - pos, len, &offset);
            rc1 = in_pieces(buf + pos, len - pos, 1, &offset1);
            check(rc == rc1 && offset == offset1,
                  "%d, not %d, at %zu, not %zu: \"%.*s\"", rc, rc1, offset,
                  offset1, (int) (len - pos), buf + pos);
        }
    }
}


/* a record like those before it, with other scalars, some of other kinds */

static size_t
record(u_char *buf, const char *form)
{
    size_t      len;
    unsigned    n;
    const char  *v;

    static const char *const  values[] = {
        "0", "-0", "17", "-4.25", "900100", "1e5", "0.0000000001",
        "12345678901234567890", "1.12345678901234567890", "-3E+10", "true",
        "false", "null", "\"\"", "\"GBP\"", "\"paid\"", "\"a \\\"b\\\" c\"",
        "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"", "\"\\u00e9\\n\"",
        "\"elit ipsum dolor tempor amet sed eiusmod lorem sit magna "
        "aliqua\"", "[]", "{}", "[ ]", "[1,2]", "[\"x\",{\"y\":[]}]",
        "{\"id\":0,\"name\":\"cat-0\"}", "[[[[1]]]]", "[[],[\"\"]]",
    };

    for (len = 0; *form != '\0'; form++) {

        if (*form != '#') {
            buf[len++] = (u_char) *form;
            continue;
        }

        n = (unsigned) rand() % (2 * sizeof(values) / sizeof(values[0]));
        v = values[(n < sizeof(values) / sizeof(values[0])) ? n : n % 20];

        memcpy(buf + len, v, strlen(v));
        len += strlen(v);
    }

    return len;
}


static void
scan_records(void)
{
    static u_char      buf[1 << 16], twin[1 << 16];
    static const char  bytes[] = "\"\\{}[],: 0.-eEt\n\x1f\xc3\xa9u";

    size_t             len, pos, n, offset, offset1, size;
    unsigned           i, k;
    agg_rc_e           rc, rc1;

    static const char *const  forms[] = {
        ",{\"id\":#,\"status\":#,\"amount\":#,\"gift\":#}",
        ",{\"a\":#,\"tags\":[#,#],\"category\":{\"id\":#,\"name\":#}}",
        ", {\n  \"id\": #,\n  \"sub\": [ { \"x\" : # } ]\n}",
        ",[#,#,[#],{\"k\":#}]",
        ",#",
        ",{\"a\":{\"a\":{\"a\":[[#]]}},\"b\":[{\"a\":#},{\"a\":#}]}",
    };

    for (i = 0; i < RECORD_DOCUMENTS; i++) {

        buf[0] = '[';
        len = 1 + record(buf + 1, &forms[i % 6][1]);

        while (len < 100 + (unsigned) rand() % 3000) {
            k = ((unsigned) rand() % 16 == 0) ? (unsigned) rand() % 6 : i % 6;
            len += record(buf + len, forms[k]);
        }

        buf[len++] = ']';

        for (k = 0; k < 12; k++) {

            memcpy(twin, buf, len);
            n = len;

            /* as it is, a byte changed, taken out, or there twice; cut */

            pos = (unsigned) rand() % len;

            switch (k % 5) {

            case 1:
                twin[pos] = (u_char) bytes[(unsigned) rand() % 21];
                break;

            case 2:
                memmove(twin + pos, buf + pos + 1, len - pos - 1);
                n--;
                break;

            case 3:
                memcpy(twin + pos + 1, buf + pos, len - pos);
                n++;
                break;

            case 4:
                n = pos + 1;
                break;
            }

            rc1 = in_pieces(twin, n, 1, &offset1);
            size = n;

            do {
                rc = in_pieces(twin, n, size, &offset);

                check(rc == rc1 && offset == offset1,
                      "%d, not %d, at %zu, not %zu, in %zu: \"%.*s\"", rc, rc1,
                      offset, offset1, size, (int) n, twin);

                size = 12 + (unsigned) rand() % 400;

            } while ((unsigned) rand() % 4 != 0);
        }
    }
}


int
main(void)
{
    unsigned  n;

    blocks();

    agg_patterns_init(&patterns);

    for (n = 0; agg_scan_core_name(n) != NULL; n++) {
        agg_scan_core_use(n);

        with_patterns = 1;

        scan_records();
        scan_cores();
        scan_documents();
        scan_depth();
        scan_lengths();
        scan_ends();
        scan_special_ends();
        scan_inner();
        scan_mutations();

        with_patterns = 0;

        scan_documents();
        scan_depth();
        scan_lengths();
        scan_ends();
        scan_special_ends();
        scan_inner();
        scan_random();
        scan_mutations();
        scan_cores();
        scan_records();
    }

    finish(TEST_NAME);

    return 0;
}
