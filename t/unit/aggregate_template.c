
/*
 * Templates of URIs, headers and bodies.
 *
 * sources: http_rules/agg_template.c json/agg_json.c json/agg_path.c
 * sources: json/agg_scan.c json/agg_write.c
 */

#include "agg_template.h"
#include "aggregate_check.h"


typedef struct {
    const char  *text;
    const char  *error;         /* NULL: it is well */
    unsigned     pieces;
} parse_t;


static const parse_t  uris[] = {
    { "/", NULL, 1 },
    { "/a/b", NULL, 1 },
    { "/a?b=c", NULL, 2 },
    { "/a?", NULL, 1 },
    { "/a/$id", NULL, 2 },
    { "/a/${id}/b", NULL, 3 },
    { "/a/$1/$2", NULL, 4 },
    { "/a/${user.id}", NULL, 2 },
    { "/a/${user.a[0].b}?x=${user.c}", NULL, 4 },
    { "/a/${user.\"odd}key\"}", NULL, 2 },
    { "/a/${user.}", NULL, 2 },
    { "/a$is_args$args", NULL, 3 },
    { "/a?$args", NULL, 2 },
    { "/a?x=$arg_x&y=$arg_y", NULL, 5 },
    { "/%41%2F", NULL, 1 },
    { "/...", NULL, 1 },
    { "/.a/..b", NULL, 1 },
    { "/a/.$x", NULL, 2 },
    { "", "must start with \"/\"", 0 },
    { "a", "must start with \"/\"", 0 },
    { "@named", "must start with \"/\"", 0 },
    { "http://x/", "must start with \"/\"", 0 },
    { "/a b", "character that must be encoded", 0 },
    { "/a\tb", "character that must be encoded", 0 },
    { "/a?b c", "character that must be encoded", 0 },
    { "/a#b", "character that must be encoded", 0 },
    { "/%", "invalid percent-encoding", 0 },
    { "/%4", "invalid percent-encoding", 0 },
    { "/%zz", "invalid percent-encoding", 0 },
    { "/%00", "invalid percent-encoding", 0 },
    { "/a/../b", "\".\" or \"..\" as a segment", 0 },
    { "/a/./b", "\".\" or \"..\" as a segment", 0 },
    { "/a/..", "\".\" or \"..\" as a segment", 0 },
    { "/..?x", "\".\" or \"..\" as a segment", 0 },
    { "/%2e%2e/b", "\".\" or \"..\" as a segment", 0 },
    { "/a/..$uri", "\".\" or \"..\" as a segment", 0 },
    { "/a/$", "\"$\" without a name", 0 },
    { "/a/$-", "\"$\" without a name", 0 },
    { "/a/${id", "\"${\" without \"}\"", 0 },
    { "/a/${user.\"x}", "\"${\" without \"}\"", 0 },
    { "/a/${}", "empty variable name", 0 },
    { "/a/${.x}", "empty name of a backend", 0 },
    { "/a/${a-b}", "invalid variable name", 0 },
    { "/a/${a-b.c}", "invalid name of a backend", 0 },
    { "/a/$args", "\"$args\" is allowed after \"?\" only", 0 },
    { "/a/$query_string", "\"$args\" is allowed after \"?\" only", 0 },
    { "/a/$request_uri",
      "\"$request_uri\" is not allowed, use \"$uri\" and \"$args\"", 0 },
    { "/a/$Args", "\"$args\" is allowed after \"?\" only", 0 },
    { "/a/${Query_String}", "\"$args\" is allowed after \"?\" only", 0 },
    { "/a/$REQUEST_URI",
      "\"$request_uri\" is not allowed, use \"$uri\" and \"$args\"", 0 },
    { NULL, NULL, 0 }
};


static const parse_t  bodies[] = {
    { "{\"a\":1}", NULL, 1 },
    { "{\"a\":$x,\"b\":${user.id}}", NULL, 5 },
    { "{\"price\":\"$5\",\"a\\\"$x\":$y}", NULL, 3 },
    { "$x", NULL, 1 },
    { "[${a.},${b.c}]", NULL, 5 },
    { "{$name:1}", NULL, 3 },
    { "", "invalid JSON", 0 },
    { "{\"a\":}", "invalid JSON", 0 },
    { "{\"a\":$x$y}", "invalid JSON", 0 },
    { "{\"a\":1$x}", "invalid JSON", 0 },
    { "\"abc", "invalid JSON", 0 },
    { NULL, NULL, 0 }
};


static const parse_t  headers[] = {
    { "", NULL, 0 },
    { "Bearer $token", NULL, 2 },
    { "a\tb", NULL, 1 },
    { "a\nb", "control character", 0 },
    { "a\x7f", "control character", 0 },
    { NULL, NULL, 0 }
};


typedef struct {
    const char  *text;
    const char  *value;         /* of every variable */
    const char  *path;          /* NULL: refused */
    const char  *args;
} render_t;


static const render_t  renders[] = {
    { "/u/$id", "42", "/u/42", "" },
    { "/u/$id", "a b", "/u/a b", "" },
    { "/u/$id", "a&b=c?d#e%2F", "/u/a&b=c?d#e%2F", "" },
    { "/u/$id", "\xc3\xa9", "/u/\xc3\xa9", "" },
    { "/u/$id", "...", "/u/...", "" },
    { "/u/$id", ".a", "/u/.a", "" },
    { "/u/$id", "", NULL, NULL },
    { "/u/$id", ".", NULL, NULL },
    { "/u/$id", "..", NULL, NULL },
    { "/u/$id", "a/b", NULL, NULL },
    { "/u/$id", "a\\b", NULL, NULL },
    { "/u/$id", "a;b", NULL, NULL },
    { "/u/$id", "a\nb", NULL, NULL },
    { "/u/$id", "a\x7f", NULL, NULL },
    { "/u/.$id", ".", NULL, NULL },
    { "/u?id=$id", "a b&c=d/e;f", "/u", "id=a%20b%26c%3Dd%2Fe%3Bf" },
    { "/u?id=$id", "", "/u", "id=" },
    { "/u?id=$id", "a\r\nb", "/u", "id=a%0D%0Ab" },
    { "/u?id=$id", "\xff-._~", "/u", "id=%FF-._~" },
    { "/u?id=$arg_id", "a%20b%26", "/u", "id=a%20b%26" },
    { "/u?id=$arg_id", "%2525", "/u", "id=%2525" },
    { "/u?id=$arg_id", "a+b", "/u", "id=a%2Bb" },
    { "/u?id=$arg_id", "%zz%4", "/u", "id=%25zz%254" },
    { "/u?id=$arg_id", "%0d%0A", "/u", "id=%0D%0A" },
    { "/u/$arg_id", "a%20b", "/u/a b", "" },
    { "/u/$arg_id", "a%2Fb", NULL, NULL },
    { "/u/$ARG_id", "a%20b", "/u/a b", "" },
    { "/u?$Args", "a=b%20", "/u", "a=b%20" },
    { "/u$Is_Args$ARGS", "a=b%20", "/u", "a=b%20" },
    { "/u$Document_Uri", "/a/b", "/u/a/b", "" },
    { "/u/$arg_id", "%2e%2e", NULL, NULL },
    { "/u/$arg_id", "%00", NULL, NULL },
    { "/u/$arg_id", "%252e", "/u/%2e", "" },
    { "/u$uri", "/a/b c", "/u/a/b c", "" },
    { "/u$uri", "/a//b/", "/u/a//b/", "" },
    { "/u$uri", "/a/../b", NULL, NULL },
    { "/u$uri", "/a;b", NULL, NULL },
    { "/u$uri", "/..", NULL, NULL },
    { "/u?u=$uri", "/a b/c&d", "/u", "u=/a%20b/c%26d" },
    { "/u?$args", "a=b&c=%20", "/u", "a=b&c=%20" },
    { "/u?$args", "a=b c", NULL, NULL },
    { "/u?$args", "a=b\r\nX: y", NULL, NULL },
    { "/u?$args", "a#b", NULL, NULL },
    { "/u?x=1&$query_string", "a=b", "/u", "x=1&a=b" },
    { NULL, NULL, NULL, NULL }
};


static agg_str_t
str(const char *s)
{
    agg_str_t  v;

    v.data = (unsigned char *) s;
    v.len = strlen(s);

    return v;
}


static void
check_parse(const parse_t *t, agg_template_e kind)
{
    agg_rc_e        rc;
    agg_str_t       text;
    agg_error_t     err;
    agg_template_t  template;

    for ( /* void */ ; t->text != NULL; t++) {
        text = str(t->text);
        rc = agg_template_parse(&template, kind, &text, &mem, &err);

        if (t->error == NULL) {
            check(rc == AGG_OK, "refused", t->text);
            check(rc != AGG_OK || template.npieces == t->pieces, "pieces",
                  t->text);
            continue;
        }

        check(rc == AGG_INVALID, "taken", t->text);
        check(rc == AGG_OK || strcmp(err.text, t->error) == 0, t->text,
              rc == AGG_OK ? "" : err.text);
        check(rc == AGG_OK || err.offset <= text.len, "offset", t->text);

        test_free();
    }
}


static void
check_render(void)
{
    size_t           i, size;
    agg_rc_e         rc;
    agg_str_t        text, path, args, *values;
    agg_error_t      err;
    agg_template_t   template;
    const render_t  *t;

    for (t = renders; t->text != NULL; t++) {
        text = str(t->text);

        rc = agg_template_parse(&template, AGG_TEMPLATE_URI, &text, &mem,
                                &err);
        check(rc == AGG_OK, "refused", t->text);

        values = test_alloc(NULL, template.npieces * sizeof(agg_str_t));

        for (i = 0; i < template.npieces; i++) {
            values[i] = str(t->value);
        }

        size = agg_uri_size(&template, values);
        path.data = test_alloc(NULL, size);
        args.data = test_alloc(NULL, size);

        rc = agg_uri_render(&template, values, &path, &args);

        check((rc == AGG_OK) == (t->path != NULL), t->text, t->value);

        if (rc == AGG_OK && t->path != NULL) {
            check(path.len == strlen(t->path)
                  && memcmp(path.data, t->path, path.len) == 0,
                  "path", t->path);
            check(args.len == strlen(t->args)
                  && memcmp(args.data, t->args, args.len) == 0,
                  "args", t->args);
        }

        test_free();
    }
}


static void
check_is_args(void)
{
    agg_rc_e        rc;
    agg_str_t       text, path, args, values[3];
    agg_error_t     err;
    agg_template_t  template;

    text = str("/u$is_args$args");

    rc = agg_template_parse(&template, AGG_TEMPLATE_URI, &text, &mem, &err);
    check(rc == AGG_OK, "refused", "/u$is_args$args");

    values[0] = str("");
    values[1] = str("?");
    values[2] = str("a=b");

    path.data = test_alloc(NULL, agg_uri_size(&template, values));
    args.data = test_alloc(NULL, agg_uri_size(&template, values));

    rc = agg_uri_render(&template, values, &path, &args);

    check(rc == AGG_OK && path.len == 2 && args.len == 3
          && memcmp(args.data, "a=b", 3) == 0, "is_args", "");

    test_free();
}


static void
check_no_memory(void)
{
    long            n;
    agg_rc_e        rc;
    agg_str_t       text;
    agg_error_t     err;
    agg_template_t  template;

    text = str("/a/${user.b[0]}/$c?d=${user.e}");

    for (n = 0; n < 100; n++) {
        allocations = n;
        rc = agg_template_parse(&template, AGG_TEMPLATE_URI, &text, &mem,
                                &err);
        allocations = -1;
        test_free();

        if (rc == AGG_OK) {
            break;
        }
    }

    check(n > 2 && n < 100, "allocations", "URI");

    text = str("{\"a\":$b}");

    for (n = 0; n < 100; n++) {
        allocations = n;
        rc = agg_template_parse(&template, AGG_TEMPLATE_BODY, &text, &mem,
                                &err);
        allocations = -1;
        test_free();

        if (rc == AGG_OK) {
            break;
        }

        check(rc == AGG_NOMEM, "no memory", "body");
    }

    check(n > 2 && n < 100, "allocations", "body");
}


static void
check_header_values(void)
{
    agg_str_t  v;

    v = str("abc \t \xff");
    check(agg_header_value_valid(&v), "valid", "header");

    v = str("a\rb");
    check(!agg_header_value_valid(&v), "invalid", "CR");

    v = str("a\x7f");
    check(!agg_header_value_valid(&v), "invalid", "DEL");

    v.data = (unsigned char *) "a\0b";
    v.len = 3;
    check(!agg_header_value_valid(&v), "invalid", "NUL");
}


int
main(void)
{
    check_parse(uris, AGG_TEMPLATE_URI);
    check_parse(bodies, AGG_TEMPLATE_BODY);
    check_parse(headers, AGG_TEMPLATE_HEADER);
    check_render();
    check_is_args();
    check_no_memory();
    check_header_values();

    return done("aggregate_template");
}
