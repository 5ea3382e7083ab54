
/*
 * Kinds, members, names, escapes, the growing buffer.
 * sources: json/agg_json.c json/agg_write.c json/agg_scan.c
 */


#include "agg_test.h"


#define same(s, text)                                                        \
    ((s)->len == strlen(text) && memcmp((s)->data, text, (s)->len) == 0)


static void
kinds(void)
{
    size_t     i;
    agg_str_t  v;

    static const struct {
        const char  *text;
        agg_kind_e   kind;
    } t[] = {
        { "", AGG_NONE }, { "null", AGG_NULL }, { "true", AGG_TRUE },
        { "false", AGG_FALSE }, { "0", AGG_NUMBER }, { "-1", AGG_NUMBER },
        { "9e9", AGG_NUMBER }, { "\"\"", AGG_STRING }, { "[]", AGG_ARRAY },
        { "{}", AGG_OBJECT }, { " 1", AGG_NONE }, { "x", AGG_NONE },
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        v = str_of(t[i].text);
        check(agg_json_kind(&v) == t[i].kind, "\"%s\"", t[i].text);
    }

    v = str(" \t\r\n 1 2 \n");
    agg_json_trim(&v);
    check(same(&v, "1 2"), "%.*s", (int) v.len, v.data);

    v = str(" \n ");
    agg_json_trim(&v);
    check(v.len == 0, "%zu", v.len);
}


/* members as name=value| and elements as value|, to compare as text */

static void
iterate(const char *text, const char *expected)
{
    char        buf[2048];
    size_t      len;
    u_char     *p;
    agg_str_t   v;
    agg_iter_t  it;

    p = exact(text, strlen(text));
    v.data = p;
    v.len = strlen(text);

    len = 0;
    buf[0] = '\0';

    agg_iter_init(&it, &v);

    while (agg_iter_next(&it)) {
        if (it.kind == AGG_OBJECT) {
            len += (size_t) sprintf(buf + len, "%.*s=", (int) it.name.len,
                                    it.name.data);
        }

        len += (size_t) sprintf(buf + len, "%.*s|", (int) it.value.len,
                                it.value.data);
    }

    check(agg_iter_next(&it) == 0, "\"%s\" goes on", text);
    check(strcmp(buf, expected) == 0, "\"%s\" gives \"%s\"", text, buf);

    free(p);
}


static void
iterators(void)
{
    size_t      i, len, n;
    u_char     *p;
    agg_str_t   v;
    agg_iter_t  it;

    static const char  deep[] = "{\"a\":[{\"b\":\"]}\\\"\\\\\"},[[1,2],{}]],"
                                "\"c\":-1.5e3,\"d\":{\"e\":\"a string of more "
                                "than thirty-two bytes } ] \\\" and more\"}}";

    iterate("{}", "");
    iterate("[]", "");
    iterate(" [ ] ", "");
    iterate("1", "");
    iterate("\"[1]\"", "");
    iterate("", "");
    iterate("[1]", "1|");
    iterate(" [ 1 , \"a\" , [ 2 , 3 ] , { \"b\" : 4 } , null ] ",
            "1|\"a\"|[ 2 , 3 ]|{ \"b\" : 4 }|null|");
    iterate("{\"a\":1,\"a\":2,\"\":3}", "a=1|a=2|=3|");
    iterate("{\n\t\"a\" :\r\n\"x\" ,\n                        \"b\": true}",
            "a=\"x\"|b=true|");
    iterate("{\"\\\"\":\"\\\\\",\"a\\\\\":{\"x\":\"}\"}}",
            "\\\"=\"\\\\\"|a\\\\={\"x\":\"}\"}|");
    iterate(deep, "a=[{\"b\":\"]}\\\"\\\\\"},[[1,2],{}]]|c=-1.5e3|d={\"e\":\"a "
            "string of more than thirty-two bytes } ] \\\" and more\"}|");

    /* input that is cut or garbled gives nonsense, and comes to an end */

    for (len = 0; len < sizeof(deep); len++) {
        for (i = 0; i < 4; i++) {
            p = exact(deep, len);

            if (i != 0 && len > i * 7) {
                p[len - i * 7] = (u_char) "\"\\}"[i - 1];
            }

            v.data = p;
            v.len = len;
            n = 0;

            agg_iter_init(&it, &v);

            while (agg_iter_next(&it)) {
                check(it.value.data + it.value.len <= p + len, "%zu", len);
                check(n++ <= len, "%zu", len);
            }

            free(p);
        }
    }
}


static void
names(void)
{
    u_char     dst[64];
    size_t     i, n;
    ssize_t    rc;
    agg_str_t  raw, decoded, raw2;

    /* raw, decoded, whether it is well-formed */

    static const struct {
        const char  *raw;
        const char  *decoded;
        int          whole;
    } t[] = {
        { "", "", 1 },
        { "ssn", "ssn", 1 },
        { "\\u0073sn", "ssn", 1 },
        { "s\\u0073n", "ssn", 1 },
        { "\\u0073\\u0073\\u006e", "ssn", 1 },
        { "\\u0073\\u0073\\u006E", "ssn", 1 },
        { "a\\/b", "a/b", 1 },
        { "\\b\\f\\n\\r\\t\\\"\\\\", "\b\f\n\r\t\"\\", 1 },
        { "\\u00e9", "\xc3\xa9", 1 },
        { "\xc3\xa9", "\xc3\xa9", 1 },
        { "\\u20AC", "\xe2\x82\xac", 1 },
        { "\\ud83d\\ude00", "\xf0\x9f\x98\x80", 1 },
        { "\\uD83D\\uDE00x", "\xf0\x9f\x98\x80x", 1 },
        { "\\ud83d", "\xed\xa0\xbd", 0 },
        { "\\ude00", "\xed\xb8\x80", 0 },
        { "\\ud83dx", "\xed\xa0\xbdx", 0 },
        { "\\ud83d\\n", "\xed\xa0\xbd\n", 0 },
        { "\\ud83d\\ud83d\\ude00", "\xed\xa0\xbd\xf0\x9f\x98\x80", 0 },
        { "\\ude00\\ud83d", "\xed\xb8\x80\xed\xa0\xbd", 0 },
        { "\\\\u0073", "\\u0073", 1 },
        { "\\\\\\u0073", "\\s", 1 },
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        raw.len = strlen(t[i].raw);
        raw.data = exact(t[i].raw, raw.len);
        decoded = str_of(t[i].decoded);

        check(agg_json_name_equal(&raw, &decoded), "%s", t[i].raw);
        check(agg_json_unescape_any(dst, &raw) == decoded.len, "%s", t[i].raw);
        check(memcmp(dst, decoded.data, decoded.len) == 0, "%s", t[i].raw);

        rc = agg_json_unescape(dst, &raw);
        check(rc == (t[i].whole ? (ssize_t) decoded.len : -1), "%s", t[i].raw);

        for (n = 0; n < sizeof(t) / sizeof(t[0]); n++) {
            raw2 = str_of(t[n].raw);
            check(agg_json_names_equal(&raw, &raw2)
                  == (strcmp(t[i].decoded, t[n].decoded) == 0), "%s, %s",
                  t[i].raw, t[n].raw);
            check((agg_json_name_hash(&raw, 7) == agg_json_name_hash(&raw2, 7))
                  == (strcmp(t[i].decoded, t[n].decoded) == 0), "%s, %s",
                  t[i].raw, t[n].raw);

            decoded = str_of(t[n].decoded);
            check(agg_json_name_equal(&raw, &decoded)
                  == (strcmp(t[i].decoded, t[n].decoded) == 0), "%s, %s",
                  t[i].raw, t[n].decoded);
        }

        /* in place */

        decoded = str_of(t[i].decoded);
        n = agg_json_unescape_any(raw.data, &raw);
        check(n == decoded.len && memcmp(raw.data, decoded.data, n) == 0,
              "%s", t[i].raw);

        free(raw.data);
    }

    raw = str("\\u0000");
    decoded = (agg_str_t) { 1, (u_char *) "" };
    check(agg_json_name_equal(&raw, &decoded), "nul");
    decoded = str("");
    check(!agg_json_name_equal(&raw, &decoded), "nul");
    raw = str("a\\b");
    decoded = str("a\\b");
    check(!agg_json_name_equal(&raw, &decoded), "a backspace is none of it");
}


static void
escapes(void)
{
    size_t     i, len;
    u_char    *p, all[256];
    agg_rc_e   rc;
    agg_buf_t  b;

    static const struct {
        const char  *bytes;
        const char  *json;
    } t[] = {
        { "", "\"\"" },
        { "abc", "\"abc\"" },
        { "\"\\/", "\"\\\"\\\\/\"" },
        { "\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"" },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
          "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "\xff", "\"\xef\xbf\xbd\"" },
        { "a\x80z", "\"a\xef\xbf\xbdz\"" },
        { "\xc3", "\"\xef\xbf\xbd\"" },
        { "\xe2\x82", "\"\xef\xbf\xbd\"" },
        { "\xe2\x82z", "\"\xef\xbf\xbdz\"" },
        { "\xf0\x9f\x98z", "\"\xef\xbf\xbdz\"" },
        { "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "a text of more than sixteen bytes, with \" in it and more behind",
          "\"a text of more than sixteen bytes, with \\\" in it and more "
          "behind\"" },
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        len = strlen(t[i].bytes);
        p = exact(t[i].bytes, len);

        agg_buf_init(&b, &mem, 1000);
        rc = agg_json_escape(&b, p, len);

        check(rc == AGG_OK, "%zu", i);
        check(agg_buf_used(&b) == strlen(t[i].json)
              && memcmp(b.start, t[i].json, strlen(t[i].json)) == 0,
              "%zu: %.*s", i, (int) agg_buf_used(&b), b.start);
        check(agg_json_escaped_length(p, len) == strlen(t[i].json), "%zu", i);
        check(agg_json_validate(b.start, agg_buf_used(&b), NULL) == AGG_OK,
              "%zu", i);
        check(agg_utf8_valid(p, len) == (strstr(t[i].json, "\xef\xbf\xbd")
                                         == NULL), "%zu", i);
        free(p);
        mem_free_all();
    }

    /* all bytes, at every offset within a block */

    for (i = 0; i < 256; i++) {
        all[i] = (u_char) i;
    }

    for (i = 0; i < 40; i++) {
        agg_buf_init(&b, &mem, 4000);
        check(agg_json_escape(&b, all + i, 256 - i) == AGG_OK, "%zu", i);
        check(agg_json_validate(b.start, agg_buf_used(&b), NULL) == AGG_OK,
              "%zu", i);
        check(agg_buf_used(&b) == agg_json_escaped_length(all + i, 256 - i),
              "%zu", i);
        mem_free_all();
    }
}


static void
buffers(void)
{
    size_t     i;
    agg_rc_e   rc;
    agg_buf_t  b;

    agg_buf_init(&b, &mem, 10000);
    check(agg_buf_append(&b, "", 0) == AGG_OK && b.start == NULL, "nothing");

    for (i = 0; i < 10000; i++) {
        check(agg_buf_append(&b, &"abcdefghij"[i % 10], 1) == AGG_OK, "%zu",
              i);
    }

    check(agg_buf_used(&b) == 10000, "%zu", agg_buf_used(&b));
    check(b.end - b.start == 10000, "%zu", (size_t) (b.end - b.start));
    check(agg_buf_append(&b, "x", 1) == AGG_TOO_LARGE, "over the max");
    check(agg_buf_append(&b, "", 0) == AGG_OK, "nothing fits");
    check(agg_buf_reserve(&b, (size_t) -1) == AGG_TOO_LARGE, "overflow");

    for (i = 0; i < 10000; i++) {
        check(b.start[i] == (u_char) "abcdefghij"[i % 10], "%zu", i);
    }

    mem_free_all();

    agg_buf_init(&b, &mem, 5);
    check(agg_buf_append(&b, "abcdef", 6) == AGG_TOO_LARGE, "small max");
    check(agg_buf_append(&b, "abcde", 5) == AGG_OK, "small max");
    mem_free_all();

    agg_buf_init(&b, &mem, 100000);
    mem_left = 1;
    check(agg_buf_append(&b, "abc", 3) == AGG_OK, "granted");
    rc = agg_buf_reserve(&b, 50000);
    check(rc == AGG_NOMEM && agg_buf_used(&b) == 3, "%d", rc);
    mem_left = 1;
    check(agg_buf_reserve(&b, 50000) == AGG_OK, "granted");
    check(memcmp(b.start, "abc", 3) == 0, "moved");
    mem_left = -1;
    mem_free_all();
}


int
main(void)
{
    kinds();
    iterators();
    names();
    escapes();
    buffers();

    finish("json_values");

    return 0;
}
