
/*
 * Rules of google.api.http: templates, which of them a path meets, and what
 * their variables are.
 *
 * sources: grpc/agg_grpc_rule.c grpc/agg_grpc_http.c json/agg_json.c
 * sources: json/agg_scan.c json/agg_write.c
 */

#include "agg_grpc_rule.h"
#include "agg_test.h"


typedef struct {
    const char  *path;
    const char  *error;         /* NULL: it is well */
} template_t;


static const template_t  templates[] = {
    { "/", NULL },
    { "/v1", NULL },
    { "/v1/*", NULL },
    { "/v1/**", NULL },
    { "/v1/{id}", NULL },
    { "/v1/{a.b.c}", NULL },
    { "/v1/{a_1=*}", NULL },
    { "/v1/{name=shelves/*}", NULL },
    { "/v1/{name=shelves/*/books/**}", NULL },
    { "/v1/{name=shelves/*}:undelete", NULL },
    { "/v1/{name=**}:undelete", NULL },
    { "/v1/a:b/c", NULL },
    { "/v1/a:b:c", NULL },
    { "/{a}/{b}/{c}", NULL },
    { "/{a=x:y}", NULL },
    { "", "begin" },
    { "v1", "begin" },
    { "/v1/", "is empty" },
    { "//v1", "is empty" },
    { "/v1/**/x", "follow \"**\"" },
    { "/v1/{a=**}/x", "follow \"**\"" },
    { "/v1/a*", "whole segment" },
    { "/v1/***", "whole segment" },
    { "/v1/{a", "does not end" },
    { "/v1/{a=*", "does not end" },
    { "/v1/{}", "invalid" },
    { "/v1/{a.}", "invalid" },
    { "/v1/{.a}", "invalid" },
    { "/v1/{a..b}", "invalid" },
    { "/v1/{a-b}", "invalid" },
    { "/v1/{a=}", "is empty" },
    { "/v1/{a={b}}", "hold another" },
    { "/v1/{a}x", "must follow" },
    { "/v1/x{a}", "must follow" },
    { "/v1/x}", "must follow" },
    { "/v1/x:", "verb" },
    { "/v1/{a}:b:c", "verb" },
    { "/v1/{a}:*", "verb" },
    { "/v1/{a}/{a}", "twice" },
    { "/v1/a%20b", "percent" },
};


/* rules by letters, in an order that must not matter */

static const struct {
    const char  *kind;
    const char  *path;
} rules[] = {
    { "GET", "/v1/{rest=**}" },                         /* a */
    { "GET", "/v1/{name}" },                            /* b */
    { "GET", "/v1/shelves" },                           /* c */
    { "GET", "/v1/{name=shelves/*}" },                  /* d */
    { "GET", "/v1/{name=shelves/*/books/**}" },         /* e */
    { "POST", "/v1/{name}" },                           /* f */
    { "POST", "/v1/{name}:cancel" },                    /* g */
    { "GET", "/v1/shelves/top" },                       /* h */
    { "*", "/any" },                                    /* i */
    { "DELETE", "/any" },                               /* j */
    { "HEAD", "/head" },                                /* k */
    { "GET", "/head" },                                 /* l */
    { "PURGE", "/v2/{a.b}/{c}" },                       /* m */
    { "POST", "/v2/{n=**}:x" },                         /* n */
    { "GET", "/" },                                     /* o */
    { "GET", "/lit/a~b" },                              /* p */
    { "GET", "/w/a/*/x" },                              /* q */
    { "GET", "/w/*/c/{y}" },                            /* r */
};


static const struct {
    const char  *method;
    const char  *path;
    char         rule;          /* '-': none, '!': invalid */
    const char  *values;        /* or what is allowed */
} requests[] = {
    { "GET", "/v1/shelves", 'c', "" },
    { "GET", "/v1/x", 'b', "x" },
    { "GET", "/v1/a%2Fb", 'b', "a/b" },
    { "GET", "/v1/a%20b+c", 'b', "a b+c" },
    { "GET", "/v1/shelves/top", 'h', "" },
    { "GET", "/v1/shelves/t%6fp", 'h', "" },
    { "GET", "/v1/shelves/1", 'd', "shelves/1" },
    { "GET", "/v1/shelves/a%2fb%20", 'd', "shelves/a%2fb " },
    { "GET", "/v1/shelves/1/books", 'e', "shelves/1/books" },
    { "GET", "/v1/shelves/1/books/2/3/", 'e', "shelves/1/books/2/3/" },
    { "GET", "/v1/shelves/1/x", 'a', "shelves/1/x" },
    { "GET", "/v1", 'a', "" },
    { "GET", "/v1/", 'a', "" },
    { "GET", "/v1//x", 'a', "/x" },
    { "GET", "/v1/x:y", 'b', "x:y" },
    { "GET", "/v1/x:cancel", 'b', "x:cancel" },
    { "POST", "/v1/x:cancel", 'g', "x" },
    { "POST", "/v1/x:y:cancel", 'g', "x:y" },
    { "POST", "/v1/x:y", 'f', "x:y" },
    { "POST", "/v1/shelves", 'f', "shelves" },
    { "PUT", "/v1/x", '-', "GET HEAD POST" },
    { "PUT", "/v1/x:cancel", '-', "GET HEAD POST" },
    { "HEAD", "/v1/x", 'b', "x" },
    { "GET", "/any", 'i', "" },
    { "DELETE", "/any", 'j', "" },
    { "HEAD", "/any", 'i', "" },
    { "HEAD", "/head", 'k', "" },
    { "GET", "/head", 'l', "" },
    { "PURGE", "/v2/1/2", 'm', "1|2" },
    { "GET", "/v2/1/2", '-', "PURGE" },
    { "GET", "/v2/1", '-', "" },
    { "POST", "/v2:x", 'n', "" },
    { "POST", "/v2/:x", 'n', "" },
    { "POST", "/v2/a/b:x", 'n', "a/b" },
    { "GET", "/", 'o', "" },
    { "GET", "/lit/a%7Eb", 'p', "" },
    { "GET", "/lit/a%7eB", '-', "" },
    { "GET", "/w/a/c/x", 'q', "" },
    { "GET", "/w/a/c/z", 'r', "z" },
    { "GET", "/nothing", '-', "" },
    { "GET", "x", '-', "" },
    { "GET", "", '-', "" },
    { "GET", "/v1/%", '!', "" },
    { "GET", "/v1/%4", '!', "" },
    { "GET", "/v1/%zz", '!', "" },
};

#define count(a)  (sizeof(a) / sizeof(a[0]))


static void
test_templates(void)
{
    unsigned           i;
    agg_rc_e           rc;
    const char        *error;
    agg_grpc_http_t    http;
    agg_grpc_rule_t   *rule;
    agg_grpc_rules_t   set;

    for (i = 0; i < count(templates); i++) {
        memset(&http, 0, sizeof(http));
        http.kind = str("GET");
        http.path.len = strlen(templates[i].path);
        http.path.data = exact(templates[i].path, http.path.len);

        check(agg_grpc_rules_init(&set, &mem) == AGG_OK, "init");
        rc = agg_grpc_rules_add(&set, &http, NULL, &rule, &error);

        if (templates[i].error == NULL) {
            check(rc == AGG_OK, "\"%s\": %s", templates[i].path, error);

            rc = agg_grpc_rules_add(&set, &http, NULL, &rule, &error);
            check(rc == AGG_INVALID && error == NULL && rule != NULL,
                  "\"%s\" twice", templates[i].path);

        } else {
            check(rc == AGG_INVALID && error != NULL
                  && strstr(error, templates[i].error) != NULL,
                  "\"%s\": %s", templates[i].path, error ? error : "-");
        }

        free(http.path.data);
        mem_free_all();
    }
}


static void
add_rules(agg_grpc_rules_t *set, unsigned seed)
{
    unsigned          i, k, n;
    const char       *error;
    agg_grpc_http_t   http;
    agg_grpc_rule_t  *rule;

    n = count(rules);

    check(agg_grpc_rules_init(set, &mem) == AGG_OK, "init");

    for (i = 0; i < n; i++) {
        k = (i * (seed % 2 ? 5 : 7) + seed) % n;

        memset(&http, 0, sizeof(http));
        http.kind = str_of(rules[k].kind);
        http.path = str_of(rules[k].path);

        check(agg_grpc_rules_add(set, &http, (void *) &rules[k], &rule, &error)
              == AGG_OK, "rule %u: %s", k, error ? error : "twice");
    }
}


static void
test_match(unsigned seed)
{
    char               text[512];
    unsigned           i, k;
    u_char             dst[256];
    agg_rc_e           rc;
    agg_str_t          method, path, value;
    agg_grpc_match_t   m;
    agg_grpc_rules_t   set;

    add_rules(&set, seed);

    for (i = 0; i < count(requests); i++) {
        method = str_of(requests[i].method);
        path.len = strlen(requests[i].path);
        path.data = exact(requests[i].path, path.len);

        rc = agg_grpc_match(&set, &m, &method, &path, 0);
        text[0] = '\0';

        for (k = 0; rc == AGG_OK && k < m.rule->nvariables; k++) {
            rc = agg_grpc_match_value(&m, k, dst, &value);
            snprintf(text + strlen(text), sizeof(text) - strlen(text),
                     "%s%.*s", k ? "|" : "", (int) value.len, value.data);
        }

        if (requests[i].rule == '!') {
            check(rc == AGG_INVALID, "%s", requests[i].path);

        } else if (requests[i].rule == '-') {

            check(rc == AGG_NOT_FOUND, "%s: %d", requests[i].path, rc);

            for (k = 0; k < m.nallowed; k++) {
                value = m.allowed[k];
                snprintf(text + strlen(text), sizeof(text) - strlen(text),
                         "%s%.*s", k ? " " : "", (int) value.len, value.data);
            }

            check(strcmp(text, requests[i].values) == 0, "%s %s: %s",
                  requests[i].method, requests[i].path, text);

        } else {
            check(rc == AGG_OK, "%s: %d", requests[i].path, rc);
            check(m.rule->data == &rules[requests[i].rule - 'a'], "%s: %s",
                  requests[i].path,
                  ((const char *const *) m.rule->data)[1]);
            check(strcmp(text, requests[i].values) == 0, "%s: %s",
                  requests[i].path, text);
        }

        free(path.data);
    }

    mem_free_all();
}


/* values of a path that is decoded already stay as they are */

static void
test_decoded(void)
{
    u_char             dst[64];
    agg_str_t          method, path, value;
    agg_grpc_match_t   m;
    agg_grpc_rules_t   set;

    add_rules(&set, 0);

    method = str("GET");
    path = str("/v1/a%2Fb");

    check(agg_grpc_match(&set, &m, &method, &path, 1) == AGG_OK, "decoded");
    check(agg_grpc_match_value(&m, 0, dst, &value) == AGG_OK
          && value.len == 5 && memcmp(dst, "a%2Fb", 5) == 0, "its value");

    mem_free_all();
}


static void
test_long(void)
{
    char               path[1024];
    unsigned           i;
    agg_rc_e           rc;
    const char        *error;
    agg_str_t          method, s;
    agg_grpc_http_t    http;
    agg_grpc_rule_t   *rule;
    agg_grpc_match_t   m;
    agg_grpc_rules_t   set;

    check(agg_grpc_rules_init(&set, &mem) == AGG_OK, "init");

    memset(&http, 0, sizeof(http));
    http.kind = method = str("GET");

    for (i = 0; i < AGG_GRPC_MAX_SEGMENTS + 1; i++) {
        path[2 * i] = '/';
        path[2 * i + 1] = '*';
    }

    http.path = (agg_str_t) { 2 * AGG_GRPC_MAX_SEGMENTS + 2, (u_char *) path };
    rc = agg_grpc_rules_add(&set, &http, NULL, &rule, &error);
    check(rc == AGG_INVALID && strstr(error, "64"), "65 segments");

    http.path.len -= 2;
    rc = agg_grpc_rules_add(&set, &http, NULL, &rule, &error);
    check(rc == AGG_OK, "64 segments");

    s = (agg_str_t) { 2 * AGG_GRPC_MAX_SEGMENTS, (u_char *) path };
    check(agg_grpc_match(&set, &m, &method, &s, 0) == AGG_OK, "64 met");

    s.len += 2;
    check(agg_grpc_match(&set, &m, &method, &s, 0) == AGG_NOT_FOUND, "65");

    s.len = sizeof(path);
    memset(path, '/', sizeof(path));
    check(agg_grpc_match(&set, &m, &method, &s, 0) == AGG_NOT_FOUND, "slashes");

    mem_free_all();
}


static void
test_options(void)
{
    size_t           i;
    unsigned         n;
    agg_str_t        options;
    agg_grpc_http_t  list[AGG_GRPC_MAX_BINDINGS];

    /* GET /a with body "*", and another of kind "X" */

    static const char  bytes[] =
        "\x0a\x01s" "\x12\x02/a" "\x3a\x01*" "\x62\x01r"
        "\x5a\x09" "\x42\x07" "\x0a\x01X" "\x12\x02/b";

    options.len = sizeof(bytes) - 1;
    options.data = exact(bytes, options.len);

    check(agg_grpc_http_read(&options, list, &n) == AGG_OK && n == 2, "two");
    check(list[0].kind.len == 3 && memcmp(list[0].kind.data, "GET", 3) == 0
          && list[0].path.len == 2 && list[0].body.len == 1
          && list[0].response_body.len == 1, "the first");
    check(list[1].kind.len == 1 && list[1].kind.data[0] == 'X'
          && list[1].path.len == 2 && list[1].body.len == 0, "the second");

    /* cut anywhere, it is refused or is shorter */

    for (i = 0; i < options.len; i++) {
        agg_str_t  cut = { i, exact(bytes, i) };

        check(agg_grpc_http_read(&cut, list, &n) == AGG_INVALID
              || i == 7 || i == 10 || i == 13, "cut at %zu", i);
        free(cut.data);
    }

    free(options.data);

    options = str("");
    check(agg_grpc_http_read(&options, list, &n) == AGG_INVALID, "none");
}


static void
test_memory(void)
{
    long              i;
    const char       *error;
    agg_rc_e          rc;
    agg_grpc_http_t   http;
    agg_grpc_rule_t  *rule;
    agg_grpc_rules_t  set;

    memset(&http, 0, sizeof(http));
    http.kind = str("GET");
    http.path = str("/a/{b}/c:d");

    for (i = 0; ; i++) {
        mem_left = i;

        rc = agg_grpc_rules_init(&set, &mem);
        if (rc == AGG_OK) {
            rc = agg_grpc_rules_add(&set, &http, NULL, &rule, &error);
        }

        mem_left = -1;
        mem_free_all();

        if (rc == AGG_OK) {
            break;
        }

        check(rc == AGG_NOMEM, "allocation %ld", i);
    }

    check(i > 4, "allocations fail");
}


static void
test_dots(void)
{
    unsigned   i;
    agg_str_t  s;

    static const char  *dots[] = { "/.", "/..", "/a/../b", "/a/.", "/./a" };
    static const char  *none[] = { "/", "/a", "/.a", "/a.", "/...", "/a/..b",
                                   "" };

    for (i = 0; i < count(dots); i++) {
        s = str_of(dots[i]);
        check(agg_grpc_has_dots(&s), "%s", dots[i]);
    }

    for (i = 0; i < count(none); i++) {
        s = str_of(none[i]);
        check(!agg_grpc_has_dots(&s), "%s", none[i]);
    }
}


int
main(void)
{
    unsigned  i;

    test_templates();

    for (i = 0; i < 36; i++) {
        test_match(i);
    }

    test_decoded();
    test_long();
    test_options();
    test_memory();
    test_dots();

    finish("grpc_rule");

    return 0;
}
