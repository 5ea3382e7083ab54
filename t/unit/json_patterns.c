
/*
 * Many scans in turn on one table of patterns, each against a scan by single
 * bytes, which has no patterns: after each piece both must be at the same byte
 * and in the same state.
 * sources: json/agg_scan.c json/agg_write.c
 * arm64: by qemu's user mode
 */


#include "agg_test.h"
#include "agg_scan.h"


#ifndef TEST_NAME
#define TEST_NAME  "json_patterns"
#endif

#ifndef TEST_STARTS
#define TEST_STARTS  12000
#endif

#define RUNS         9
#define TEXTS        16
#define ROOM         8192


typedef struct {
    u_char          data[ROOM];
    size_t          len;
} text_t;


typedef struct {
    text_t          text;
    size_t          pos;
    agg_scan_t      scan;
    agg_scan_t      twin;
} run_t;


static agg_patterns_t  patterns;
static text_t          texts[TEXTS];
static run_t           runs[RUNS];
static unsigned long   expected;


/* the form of a document: a sequence that can be repeated, nearly */

static uint64_t        form;
static unsigned        spaces;
static unsigned        errors;

/* few names, and few of all the rest, so that all texts stay in the table */

static unsigned        narrow;


static unsigned
pick(unsigned n)
{
    form = form * 6364136223846793005ull + 1442695040888963407ull;

    if (rand() % 80 == 0) {
        return (unsigned) rand() % n;
    }

    return (unsigned) (form >> 33) % n;
}


static void
add(text_t *t, const char *text)
{
    size_t  len;

    len = strlen(text);

    if (t->len + len <= ROOM) {
        memcpy(t->data + t->len, text, len);
        t->len += len;
    }
}


static void
add_space(text_t *t)
{
    static const char *const  forms[4][4] = {
        { "", "", "", "" },
        { "", " ", "", " " },
        { "\n  ", "\n      ", " ", "" },
        { "\t", "                                        ", "\r\n", "\n" },
    };

    add(t, forms[spaces][pick(narrow ? 2 : 4)]);
}


static void
add_name(text_t *t)
{
    static const char *const  names[] = {
        "a", "b", "a", "b", "id", "", "\\n", "\\u0061", "\\\"", "\\\\",
        "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "{[,:]}", "],",
        "a name of twenty-three b", "a name of twenty-six bytes",
        "a name of twenty-seven byte", "a name of twenty-eight bytes",
        "a name that is much longer than the texts that are kept, and more",
        "\\u0061\\u0062\\u0063\\u0064\\u0065\\u0066\\u0067\\u0068\\u0069",
    };

    static const char *const  wrong[] = {
        "\x80", "\xc3", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x01", "\\x",
        "\\u00g0", "\\", "\xe2\x82", "\xc0\xaf", "\n"
    };

    add(t, "\"");

    if (errors && rand() % 40 == 0) {
        add(t, wrong[(unsigned) rand() % (sizeof(wrong) / sizeof(wrong[0]))]);
    }

    add(t, names[pick(narrow ? 2 : sizeof(names) / sizeof(names[0]))]);
    add(t, "\"");
}


static void
add_scalar(text_t *t)
{
    static const char *const  scalars[] = {
        "0", "1", "-1", "17", "0.5", "-0", "1e5", "-12.25E-3", "true", "false",
        "null", "\"\"", "\"x\"", "\"some text\"", "\"\\n\"", "\"\\u00e9\"",
        "\"\xc3\xa9\"", "\"\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"{[\\\"]},:\"",
        "1234567890123456", "12345678901234567890.5", "0.1234567890123456789",
        "\"a text that is longer than a block of thirty-two bytes, by much\"",
        "\"12345678901234567890123456789012\"", "\"1234567890123456\\\\\"",
    };

    static const char *const  wrong[] = {
        "01", "1.", "-", "tru", "nul", "truee", "\"\x80\"", "\"\\x\"", "\"\t\"",
        "\"\xc0\xaf\"", "\"\xc1\xbf\"", "\"\xc3\x28\"", "\"\xe2\x82\"",
        "1ee5", "+1", "NaN", "\"\xf4\x90\x80\x80\"", "1.5.5", "-01", "x", ","
    };

    if (errors && rand() % 60 == 0) {
        add(t, wrong[(unsigned) rand() % (sizeof(wrong) / sizeof(wrong[0]))]);
        return;
    }

    add(t, scalars[(unsigned) rand() % (sizeof(scalars)
                                        / sizeof(scalars[0]))]);
}


static void
add_value(text_t *t, unsigned depth)
{
    unsigned  kind, n, same, object;
    uint64_t  first;

    kind = pick((depth > 5 || narrow) ? 8 : 5);

    /* the same brackets at other depths */

    if (depth == 2 && !narrow && pick(20) == 0) {
        n = 1 + pick(9);
        add(t, &"[[[[[[[[[["[10 - n]);
        add_scalar(t);
        add(t, &"]]]]]]]]]]"[10 - n]);
        return;
    }

    if (depth == 0 || kind < 2 || t->len > (narrow ? 400 : ROOM / 4)) {
        add_scalar(t);
        return;
    }

    object = kind & 1;
    n = pick(5);
    same = pick(2);

    if (same) {
        n *= 4;
    }

    add(t, object ? "{" : "[");

    first = form;

    while (n-- != 0) {

        if (same) {
            form = first;
        }

        add_space(t);

        if (object) {
            add_name(t);
            add_space(t);
            add(t, ":");
            add_space(t);
        }

        add_value(t, depth - 1);
        add_space(t);

        if (n != 0) {
            add(t, ",");
        }
    }

    add_space(t);
    add(t, object ? "}" : "]");
}


static void
make(text_t *t)
{
    unsigned  n, i;
    uint64_t  first;

    static const unsigned  depths[] = {
        0, 0, 0, 0, 0, 1, 2, 30, 31, 32, 33, 57, 58, 59, 60, 61, 62, 63, 64, 65,
        66, 67, 118, 122, 125, 126, 127, 128, 129
    };

    t->len = 0;
    form = (uint64_t) rand() << 32 ^ (uint64_t) rand();
    spaces = (unsigned) rand() % 8;
    spaces = narrow ? narrow - 1 : (spaces > 3) ? 0 : spaces;

    if (rand() % 200 == 0) {
        add(t, "\xef\xbb\xbf");
    }

    n = depths[(unsigned) rand() % (sizeof(depths) / sizeof(depths[0]))];
    n = narrow ? n % 3 : n;
    first = (uint64_t) rand() % 3 == 0 ? 0 : (uint64_t) rand();

    for (i = 0; i < n; i++) {
        add(t, (first >> (i % 31) & 1) ? "{\"a\":" : "[");

        if (i % 7 == 3 && !(first >> (i % 31) & 1)) {
            add(t, "[],");
        }
    }

    /* more than once what may be repeated there */

    add(t, "[");
    add_value(t, narrow ? 1 + (unsigned) rand() % 3 : 6);
    add(t, ",");
    add_value(t, narrow ? 1 : 3);
    add(t, "]");

    while (i-- > 0) {
        add(t, (first >> (i % 31) & 1) ? "}" : "]");
    }
}


static void
mutate(text_t *t)
{
    u_char  *p;
    size_t   pos, from, n;
    text_t  *other;

    static const u_char  bytes[] = "\0\"\\{}[],: 0.-eEt\n\x1f\xc3\xa9u\x80\xff";

    if (t->len == 0) {
        return;
    }

    pos = (unsigned) rand() % t->len;
    p = t->data + pos;

    switch (rand() % 8) {

    case 0:
        *p = bytes[(unsigned) rand() % (sizeof(bytes) - 1)];
        break;

    case 1:
        memmove(p, p + 1, t->len - pos - 1);
        t->len--;
        break;

    case 2:

        if (t->len < ROOM) {
            memmove(p + 1, p, t->len - pos);
            t->len++;
        }

        break;

    case 3:
    case 4:

        /* the other kind of container, or of mark */

        for ( /* void */ ; pos < t->len; pos++, p++) {

            if ((*p | 0x20) == '{' || (*p | 0x20) == '}') {
                *p ^= 0x20;
                break;
            }

            if (*p == ',' || *p == ':') {
                *p = (u_char) ((rand() % 2) ? ',' + ':' - *p : ']');
                break;
            }
        }

        break;

    case 5:
        t->len = pos;
        break;

    case 6:

        /* goes on as another one does */

        other = &texts[rand() % TEXTS];

        if (other->len != 0) {
            from = (unsigned) rand() % other->len;
            n = other->len - from;
            n = (n > ROOM - pos) ? ROOM - pos : n;
            memcpy(p, other->data + from, n);
            t->len = pos + n;
        }

        break;

    default:

        /* a part of itself elsewhere */

        from = (unsigned) rand() % t->len;
        n = (unsigned) rand() % 64;
        n = (n > t->len - from) ? t->len - from : n;
        n = (n > t->len - pos) ? t->len - pos : n;
        memmove(p, t->data + from, n);
    }
}


/* documents for all runs, of many kinds or of few */

static void
make_all(void)
{
    unsigned  i;

    errors = (rand() % 3 == 0);
    narrow = (unsigned) rand() % 5;
    narrow = (narrow > 3) ? 0 : narrow;

    for (i = 0; i < TEXTS; i++) {
        make(&texts[i]);
    }
}


static void
start(run_t *r)
{
    size_t    skip;
    unsigned  i, depth, rest;

    static const unsigned char  depths[] = {
        0, 0, 0, 0, 0, 0, 1, 2, 5, 60, 63, 64, 65, 66, 100, 126, 127
    };

    if (rand() % 300 == 0) {
        make_all();
    }

    r->text = texts[rand() % TEXTS];

    for (i = (unsigned) rand() % 4; i > 1; i--) {
        mutate(&r->text);
    }

    depth = depths[(unsigned) rand() % sizeof(depths)];
    rest = (depth != 0 && r->text.len != 0 && rand() % 2 == 0);

    agg_scan_init(&r->scan);
    r->scan.patterns = &patterns;

    /* as the document of a run of a shape, or as another value of one */

    if (rand() % 4 != 0) {
        agg_patterns_start(&patterns);
    }

    skip = rest;
    r->pos = skip;

    if (rest) {
        agg_scan_start_rest(&r->scan, depth);

    } else {
        agg_scan_start(&r->scan, depth);
    }

    r->twin = r->scan;
    r->twin.patterns = NULL;
}


static size_t
by_bytes(agg_scan_t *s, const u_char *data, size_t len)
{
    size_t         i;
    u_char         c;
    const u_char  *p;

    for (i = 0; i < len; i++) {
        c = data[i];
        p = agg_scan_value(s, &c, &c + 1);

        if (p == &c) {
            break;
        }

        if (s->state >= AGG_SCAN_DONE) {
            return i + 1;
        }
    }

    return i;
}


static void
compare(const run_t *r, size_t n, size_t n1, size_t size)
{
    const u_char      *p;
    const agg_scan_t  *s, *s1;

    s = &r->scan;
    s1 = &r->twin;
    p = r->text.data;

    check(n == n1 && s->state == s1->state,
          "%u, not %u, %zu, not %zu, in %zu at %zu of \"%.*s\"", s->state,
          s1->state, n, n1, size, r->pos, (int) r->text.len, p);

    check(s->depth == s1->depth && s->base == s1->base
          && (s->depth == s->base
              || (s->kinds[0] == s1->kinds[0] && s->kinds[1] == s1->kinds[1])),
          "%u, %llx, not %u, %llx, in %zu at %zu of \"%.*s\"", s->depth,
          (unsigned long long) s->kinds[0], s1->depth,
          (unsigned long long) s1->kinds[0], size, r->pos, (int) r->text.len,
          p);

    switch (s->state) {

    case AGG_SCAN_ERROR:
        check(s->failed == s1->failed, "%u, not %u, in %zu at %zu of \"%.*s\"",
              s->failed, s1->failed, size, r->pos, (int) r->text.len, p);
        break;

    case AGG_SCAN_LITERAL:
        check(s->literal == s1->literal || !strcmp(s->literal, s1->literal),
              "\"%s\", not \"%s\"", s->literal, s1->literal);
        break;

    case AGG_SCAN_UTF8:
        check(s->low == s1->low && s->high == s1->high, "%x %x", s->low,
              s->high);

        /* fall through */

    case AGG_SCAN_HEX:
        check(s->more == s1->more, "%u, not %u", s->more, s1->more);

        /* fall through */

    case AGG_SCAN_ESCAPE:
        check(s->string == s1->string, "%u, not %u", s->string, s1->string);
    }
}


/* to both; 0 when there is nothing to come */

static int
piece(run_t *r, size_t size)
{
    size_t   n, n1;
    u_char  *p;

    size = (size > r->text.len - r->pos) ? r->text.len - r->pos : size;

    if (size == 0) {
        return 0;
    }

    p = exact(r->text.data + r->pos, size);
    n = (size_t) (agg_scan_value(&r->scan, p, p + size) - p);
    free(p);

    n1 = by_bytes(&r->twin, r->text.data + r->pos, size);

    compare(r, n, n1, size);

    expected += !patterns.off;
    r->pos += n;

    if (r->scan.state == AGG_SCAN_DONE && r->pos < r->text.len
        && rand() % 2 == 0)
    {
        /* another value, as far as the bytes behind it are one */

        agg_scan_start(&r->scan, r->scan.depth);
        agg_scan_start(&r->twin, r->twin.depth);
    }

    return r->scan.state < AGG_SCAN_DONE;
}


static int
go_on(run_t *r)
{
    size_t  size;

    switch (rand() % 4) {

    case 0:
        size = 1 + (unsigned) rand() % 30;
        break;

    case 1:
        size = 60 + (unsigned) rand() % 60;
        break;

    case 2:
        size = 12 + (unsigned) rand() % 500;
        break;

    default:
        size = ROOM;
    }

    return piece(r, size);
}


/* the same texts where no, some and too many containers are around */

static void
towers(unsigned kind)
{
    run_t     *r;
    unsigned   depth, own, i, n;

    static const char *const  forms[] = {
        "[[[[[[[[[[[1]]]]]]]]]]],", "[[[[[[[[[[[]]]]]]]]]]],",
        "{\"\":[{\"\":[{\"\":[{\"\":[1]}]}]}]},",
        "1,[[[[[[[[[[[],[[[],2],[[1,[]]]]]]]]]]]]],",
    };

    r = &runs[0];

    for (depth = 0; depth < 80; depth += 16) {
        for (own = 1; own + depth < 130; own++) {

            r->text.len = 0;
            r->pos = 0;

            for (i = 0; i < own; i++) {
                add(&r->text, (i % 3 == 1 && i + 1 != own) ? "{\"a\":" : "[");
            }

            for (n = 0; n < 4; n++) {
                add(&r->text, forms[kind]);
            }

            add(&r->text, "0");

            while (i-- > 0) {
                add(&r->text, (i % 3 == 1 && i + 1 != own) ? "}" : "]");
            }

            agg_patterns_start(&patterns);

            agg_scan_init(&r->scan);
            agg_scan_start(&r->scan, depth);
            r->twin = r->scan;
            r->scan.patterns = &patterns;

            piece(r, r->text.len);
        }
    }
}


/* documents of one kind, one after the other; whether patterns take the last */

static unsigned
documents(const char *element, unsigned elements, unsigned n)
{
    unsigned       i;
    agg_scan_t     s;
    static text_t  text;

    text.len = 0;
    add(&text, "[");

    for (i = 0; i < elements; i++) {
        add(&text, (i == 0) ? "" : ",");
        add(&text, element);
    }

    add(&text, "]");

    for (i = 0; i < n; i++) {
        agg_patterns_start(&patterns);

        agg_scan_init(&s);
        s.patterns = &patterns;

        check(agg_scan_push(&s, text.data, text.len) == AGG_OK
              && agg_scan_finish(&s) == AGG_OK, "%s", element);
    }

    return !patterns.off;
}


/* documents that lose are left to the core, the sooner the more there were */

static void
credit(void)
{
    static const char  string[] = "\"0123456789\"";
    static const char  record[] = "{\"a\":1,\"b\":\"some text\"}";

    agg_patterns_init(&patterns);

    check(documents(record, 200, 3), "records");
    check(documents(string, 50, 1), "a short array");
    check(patterns.credit == AGG_PATTERN_CREDIT, "%zu", patterns.credit);

    (void) documents(string, 50, 6);
    check(patterns.credit < AGG_PATTERN_CREDIT / 4, "%zu", patterns.credit);

    check(!documents(string, 600, 1), "a long array");
    check(documents(record, 200, 6), "records again");
    check(patterns.credit == AGG_PATTERN_CREDIT, "%zu", patterns.credit);
}


/* in two pieces, between which there is a bar */

static int
in_two(const char *text)
{
    agg_scan_t   s;
    const char  *rest;

    rest = strchr(text, '|') + 1;

    agg_patterns_start(&patterns);

    agg_scan_init(&s);
    s.patterns = &patterns;

    return agg_scan_push(&s, (const u_char *) text, (size_t) (rest - text - 1))
           == AGG_OK
           && agg_scan_push(&s, (const u_char *) rest, strlen(rest)) == AGG_OK
           && agg_scan_finish(&s) == AGG_OK;
}


/*
 * A text that is known behind a name stands behind a value, and the reverse;
 * one that is known in an array leads to others of arrays.
 */

static void
misplaced(void)
{
    unsigned  i, k;

    static const char *const  texts_of[][2] = {
        { "[{\"k|ey\":{\"some name\":1,\"b\":[1,2]}}]",
          "[[\"k|ey\":{\"some name\":1,\"b\":[1,2]}]]" },
        { "[[\"k|ey\",{\"some name\":1,\"b\":[1,2]}]]",
          "[{\"k|ey\",{\"some name\":1,\"b\":[1,2]}}]" },
        { "[[\"k|ey\"],{\"some name\":1,\"b\":[1,2]}]",
          "[{\"k|ey\"],{\"some name\":1,\"b\":[1,2]}]" },
        { "[[0,| 1,\"a string\"],{\"id\":1},{\"id\":2},{\"id\":3},{\"id\":4},"
          "{\"id\":5},{\"id\":6},{\"id\":7},{\"id\":8},{\"id\":9}]",
          "[{\"a\":| 1,\"a string\"},{\"id\":1},{\"id\":2},{\"id\":3},"
          "{\"id\":4},{\"id\":5},{\"id\":6},{\"id\":7},{\"id\":8},"
          "{\"id\":9}]" },
    };

    for (i = 0; i < sizeof(texts_of) / sizeof(texts_of[0]); i++) {
        agg_patterns_init(&patterns);

        for (k = 0; k < 6; k++) {
            check(in_two(texts_of[i][0]), "%s", texts_of[i][0]);
        }

        check(!in_two(texts_of[i][1]), "%s", texts_of[i][1]);
        check(in_two(texts_of[i][0]), "%s", texts_of[i][0]);
    }
}


/* a piece ends within a text, of which the first part is not learned */

static void
cut(void)
{
    unsigned  n;

    agg_patterns_init(&patterns);

    check(in_two("{\"first\":1,\"second\":|\"text\",\"third\":2}"), "cut");

    for (n = AGG_PATTERN_FIRST; n < patterns.n; n++) {
        check(memcmp(patterns.pattern[n].text, ",\"s", 3) != 0, "learned");
    }
}


int
main(void)
{
    long      left;
    unsigned  n, i;

    agg_patterns_init(&patterns);

    for (n = 0; agg_scan_core_name(n) != NULL; n++) {
        agg_scan_core_use(n);

        srand(n + 1);

        cut();

        for (i = 0; i < 4; i++) {
            towers(i);
        }

        expected = 0;

        make_all();

        for (i = 0; i < RUNS; i++) {
            start(&runs[i]);
        }

        left = TEST_STARTS;

        while (left > 0) {
            i = (unsigned) rand() % RUNS;

            /* some are not run to their end */

            if (!go_on(&runs[i]) || rand() % 100 == 0) {
                start(&runs[i]);
                left--;
            }
        }

        check(expected > TEST_STARTS / 2, "%lu", expected);

        credit();
        misplaced();
    }

    finish(TEST_NAME);

    return 0;
}
