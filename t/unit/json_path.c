
/*
 * Paths: what is one, what is wrong with the others, values at them.
 * sources: json/agg_path.c json/agg_json.c json/agg_scan.c json/agg_write.c
 */


#include "agg_test.h"
#include "agg_path.h"


/* the steps as text: K"name", I5, E for [] and A for .* */

static void
parse(const char *text, unsigned flags, const char *expected)
{
    char         buf[4096];
    size_t       len;
    unsigned     i;
    agg_str_t    s;
    agg_path_t  *path;
    agg_step_t  *step;
    agg_error_t  err;

    s.len = strlen(text);
    s.data = exact(text, s.len);

    path = agg_path_parse(&mem, &s, flags, &err);
    free(s.data);

    check(path != NULL, "\"%s\": %s at %zu", text, err.text, err.offset);

    len = 0;
    buf[0] = '\0';

    for (i = 0; i < path->nsteps; i++) {
        step = &path->steps[i];

        switch (step->type) {
        case AGG_STEP_KEY:
            len += (size_t) sprintf(buf + len, "K\"%.*s\"",
                                    (int) step->name.len, step->name.data);
            break;
        case AGG_STEP_INDEX:
            len += (size_t) sprintf(buf + len, "I%ld", step->index);
            break;
        case AGG_STEP_EACH:
            len += (size_t) sprintf(buf + len, "E");
            break;
        default:
            len += (size_t) sprintf(buf + len, "A");
        }
    }

    check(strcmp(buf, expected) == 0, "\"%s\": %s", text, buf);
    check(path->wildcard == (strchr(expected, 'E') || strchr(expected, 'A')),
          "%s", text);
    check(path->negative == (strstr(expected, "I-") != NULL), "%s", text);
    check(path->text.len == strlen(text)
          && memcmp(path->text.data, text, path->text.len) == 0, "%s", text);

    mem_free_all();
}


static void
refuse(const char *text, unsigned flags, size_t offset, const char *why)
{
    agg_str_t    s;
    agg_path_t  *path;
    agg_error_t  err;

    s.len = strlen(text);
    s.data = exact(text, s.len);
    err.text = "";

    path = agg_path_parse(&mem, &s, flags, &err);
    free(s.data);

    check(path == NULL, "\"%s\"", text);
    check(strcmp(err.text, why) == 0, "\"%s\": %s", text, err.text);
    check(err.offset == offset, "\"%s\": %zu", text, err.offset);
}


#define LEVELS  "there is no \"..\", each level is written, did you mean \""
#define FIRST   "a path begins with its first key, not with the document, "    \
                "did you mean \""


static void
paths(void)
{
    unsigned     i;
    char         buf[2000];
    agg_str_t    s;
    agg_error_t  err;

    parse("a", 0, "K\"a\"");
    parse(".a", 0, "K\"a\"");
    parse("a.b", 0, "K\"a\"K\"b\"");
    parse(".a.b", 0, "K\"a\"K\"b\"");
    parse("a[].b", 0, "K\"a\"EK\"b\"");
    parse("a[0]", 0, "K\"a\"I0");
    parse("a[-1]", 0, "K\"a\"I-1");
    parse("a.[0]", 0, "K\"a\"I0");
    parse("a[12].b[][3]", 0, "K\"a\"I12K\"b\"EI3");
    parse("a.*", 0, "K\"a\"A");
    parse("a.*.b", 0, "K\"a\"AK\"b\"");
    parse("*", 0, "A");
    parse(".*", 0, "A");
    parse("*.b", 0, "AK\"b\"");
    parse("[].id", 0, "EK\"id\"");
    parse(".[].id", 0, "EK\"id\"");
    parse("[0]", 0, "I0");
    parse("[][]", 0, "EE");
    parse("[].*", 0, "EA");
    parse("*[]", 0, "AE");
    parse("user_id.$ref.@type.a-b.007", 0,
          "K\"user_id\"K\"$ref\"K\"@type\"K\"a-b\"K\"007\"");
    parse("\"odd.key\".b", 0, "K\"odd.key\"K\"b\"");
    parse("a.\"b c\"[0]", 0, "K\"a\"K\"b c\"I0");
    parse("\"\"", 0, "K\"\"");
    parse("\"a\\\"b\"", 0, "K\"a\"b\"");
    parse("\"\\u0073sn\"", 0, "K\"ssn\"");
    parse("\"\xc3\xa9\"", 0, "K\"\xc3\xa9\"");
    parse("\"*\"", 0, "K\"*\"");
    parse(".", AGG_PATH_ROOT_OK, "");
    parse("", AGG_PATH_EMPTY_OK, "");
    parse(".", AGG_PATH_ROOT_OK|AGG_PATH_EMPTY_OK, "");
    parse("a[0].b", AGG_PATH_NO_WILDCARD, "K\"a\"I0K\"b\"");
    parse("a[999999999]", 0, "K\"a\"I999999999");

    refuse("", 0, 0, "empty path");
    refuse("", AGG_PATH_ROOT_OK, 0, "empty path");
    refuse(".", 0, 0, "the whole document is not allowed here");
    refuse("..", 0, 0, LEVELS "*\"?");
    refuse("..", AGG_PATH_ROOT_OK, 0, LEVELS "*\"?");
    refuse("..a", 0, 0, LEVELS "*.a\"?");
    refuse("a.", 0, 2, "expected a key");
    refuse("a..b", 0, 1, LEVELS "a.*.b\"?");
    refuse("$.a", 0, 0, FIRST "a\"?");
    refuse(".$.a", 0, 1, FIRST "a\"?");
    refuse("$[0].a", 0, 0, FIRST "[0].a\"?");
    refuse("@.a", 0, 0, FIRST "a\"?");
    refuse("@[].a", 0, 0, FIRST "[].a\"?");
    refuse("$..a", 0, 0, FIRST "*.a\"?");
    refuse("a[*].b", 0, 1, "this is JSONPath, did you mean \"a[].b\"?");
    refuse("a['b'].c", 0, 1,
           "this is JSONPath, did you mean \"a.\"b\".c\"?");
    refuse("['b", 0, 0, "this is JSONPath, did you mean \"\"b\"\"?");
    refuse("\"a..b\"..c", 0, 6, LEVELS "\"a..b\".*.c\"?");

    parse("$", 0, "K\"$\"");
    parse("$a", 0, "K\"$a\"");
    parse("a.$.b", 0, "K\"a\"K\"$\"K\"b\"");
    parse("\"$\".a", 0, "K\"$\"K\"a\"");
    parse("\"\\\"..\"", 0, "K\"\"..\"");
    parse("\"a..b\"", 0, "K\"a..b\"");

    refuse("a[", 0, 2, "expected a number");
    refuse("a[b", 0, 2, "expected a number");
    refuse("a[-", 0, 3, "expected a number");
    refuse("a[-]", 0, 3, "expected a number");
    refuse("a[0", 0, 3, "expected \"]\"");
    refuse("a[0b]", 0, 3, "expected \"]\"");
    refuse("a[ 0]", 0, 2, "expected a number");
    refuse("a[-0]", 0, 3, "there is no element -0");
    refuse("a[1234567890]", 0, 2, "too large a number");
    refuse("a]", 0, 1, "expected \".\" or \"[\"");
    refuse("a b", 0, 1, "expected \".\" or \"[\"");
    refuse(" a", 0, 0, "expected a key");
    refuse("a[0]b", 0, 4, "expected \".\" or \"[\"");
    refuse("a*", 0, 1, "expected \".\" or \"[\"");
    refuse("a.**", 0, 3, "expected \".\" or \"[\"");
    refuse("\"a\"b", 0, 3, "expected \".\" or \"[\"");
    refuse("\"a", 0, 0, "unclosed quote");
    refuse("a.\"b\\\"", 0, 2, "unclosed quote");
    refuse("\"\\x\"", 0, 2, "invalid string");
    refuse("\"\x80\"", 0, 1, "invalid string");
    refuse("\xc3\xa9", 0, 0, "expected a key");
    refuse("a[].b", AGG_PATH_NO_WILDCARD, 1, "a wildcard is not allowed here");
    refuse("a.*", AGG_PATH_NO_WILDCARD, 1, "a wildcard is not allowed here");

    buf[0] = '\0';

    for (i = 0; i < AGG_PATH_MAX_STEPS; i++) {
        strcat(buf, i == 0 ? "a" : ".a");
    }

    s = str_of(buf);
    check(agg_path_parse(&mem, &s, 0, &err) != NULL, "%s", err.text);
    strcat(buf, ".a");
    refuse(buf, 0, 2 * AGG_PATH_MAX_STEPS - 1, "too many steps");

    memset(buf, 'a', AGG_PATH_MAX_NAME);
    buf[AGG_PATH_MAX_NAME] = '\0';
    s = str_of(buf);
    check(agg_path_parse(&mem, &s, 0, &err) != NULL, "%s", err.text);
    strcat(buf, "a");
    refuse(buf, 0, 0, "too long a key");

    mem_left = 0;
    refuse("a.b", 0, 0, "no memory");
    mem_left = -1;

    mem_free_all();
}


static void
get(const char *text, const char *doc, const char *expected)
{
    agg_rc_e     rc;
    agg_str_t    s, d, v;
    agg_path_t  *path;
    agg_error_t  err;

    s = str_of(text);
    path = agg_path_parse(&mem, &s, AGG_PATH_NO_WILDCARD|AGG_PATH_EMPTY_OK
                          |AGG_PATH_ROOT_OK, &err);
    check(path != NULL, "%s: %s", text, err.text);

    d.len = strlen(doc);
    d.data = exact(doc, d.len);

    rc = agg_path_get(path, &d, &v);

    check(rc == (expected != NULL ? AGG_OK : AGG_NOT_FOUND), "%s of %s: %d",
          text, doc, rc);
    check(expected == NULL || (v.len == strlen(expected)
                               && memcmp(v.data, expected, v.len) == 0),
          "%s of %s: %.*s", text, doc, (int) v.len, v.data);

    free(d.data);
    mem_free_all();
}


static void
values(void)
{
    get("", " {\"a\":1} ", "{\"a\":1}");
    get(".", "5", "5");
    get("a", "{\"a\":1}", "1");
    get("a", "{ \"a\" : [ 1 ] }", "[ 1 ]");
    get("a.b", "{\"a\":{\"b\":\"x\"}}", "\"x\"");
    get("a", "{\"a\":1,\"a\":2}", "2");
    get("a.b", "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", NULL);
    get("a.b", "{\"a\":{\"b\":1},\"a\":5}", NULL);
    get("ssn", "{\"\\u0073sn\":\"x\"}", "\"x\"");
    get("\"a.b\"", "{\"a.b\":1}", "1");
    get("a", "{\"b\":1}", NULL);
    get("a", "[1]", NULL);
    get("a", "null", NULL);
    get("[0]", "[1,2,3]", "1");
    get("[2]", "[1,2,3]", "3");
    get("[3]", "[1,2,3]", NULL);
    get("[-1]", "[1,2,3]", "3");
    get("[-3]", "[1,2,3]", "1");
    get("[-4]", "[1,2,3]", NULL);
    get("[0]", "[]", NULL);
    get("[-1]", "[]", NULL);
    get("[0]", "{\"0\":1}", NULL);
    get("a[1].b[-2]", "{\"a\":[0,{\"b\":[7,8]}]}", "7");
    get("0", "{\"0\":1}", "1");
}


int
main(void)
{
    paths();
    values();

    finish("json_path");

    return 0;
}
