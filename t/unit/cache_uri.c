
/*
 * One name for all spellings of a URI, as nginx has it.
 *
 * sources: cache/agg_cache_uri.c
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_cache_uri.h"


static unsigned  checks;
static unsigned  failed;


static void
check(int ok, const char *what)
{
    checks++;

    if (!ok) {
        failed++;
        printf("failed: %s\n", what);
    }
}


static void
check_path(const char *uri, const char *merged, const char *whole)
{
    int          merge;
    size_t       len;
    u_char      *src, *dst;
    ssize_t      n;
    const char  *wanted;

    len = strlen(uri);

    /* the buffers have their exact sizes, for ASan */

    src = malloc(len + (len == 0));
    dst = malloc(len + (len == 0));
    memcpy(src, uri, len);

    for (merge = 0; merge < 2; merge++) {

        wanted = merge ? merged : whole;
        n = agg_cache_uri_path(dst, src, len, merge);

        if (wanted == NULL) {
            check(n == -1, uri);
            continue;
        }

        check(n == (ssize_t) strlen(wanted)
              && memcmp(dst, wanted, (size_t) n) == 0, uri);
    }

    free(src);
    free(dst);
}


static void
check_split(const char *uri, const char *wanted_path, const char *wanted_args)
{
    agg_cache_str_t  path, args;

    agg_cache_uri_split((const u_char *) uri, strlen(uri), &path, &args);

    check(path.len == strlen(wanted_path)
          && memcmp(path.data, wanted_path, path.len) == 0, uri);
    check(args.len == strlen(wanted_args)
          && memcmp(args.data, wanted_args, args.len) == 0, uri);
}


static void
check_unescape(const char *text, const char *wanted)
{
    size_t  n;
    u_char  buf[64];

    n = agg_cache_uri_unescape(buf, (const u_char *) text, strlen(text));

    check(n == strlen(wanted) && memcmp(buf, wanted, n) == 0, text);
}


int
main(void)
{
    check_path("", NULL, NULL);
    check_path("a", NULL, NULL);
    check_path("/", "/", "/");
    check_path("/a", "/a", "/a");
    check_path("/a/", "/a/", "/a/");
    check_path("//a//b", "/a/b", "//a//b");
    check_path("/a/../c", "/c", "/c");
    check_path("/a/./d", "/a/d", "/a/d");
    check_path("/a/.", "/a/", "/a/");
    check_path("/.", "/", "/");
    check_path("/a/..", "/", "/");
    check_path("/a/b/..", "/a/", "/a/");
    check_path("/a//../b", "/b", "/a/b");
    check_path("/a/%2e%2e/e", "/e", "/e");
    check_path("/a/%2E/e", "/a/e", "/a/e");
    check_path("/a%2fb", "/a/b", "/a/b");
    check_path("/a%2F%2Fb", "/a/b", "/a//b");
    check_path("/a/%2e%2e%2fb", "/b", "/b");
    check_path("/..", NULL, NULL);
    check_path("/a/../..", NULL, NULL);
    check_path("/../a", NULL, NULL);
    check_path("/...", "/...", "/...");
    check_path("/.../a", "/.../a", "/.../a");
    check_path("/a.", "/a.", "/a.");
    check_path("/a..", "/a..", "/a..");
    check_path("/..a", "/..a", "/..a");
    check_path("/%41", "/A", "/A");
    check_path("/a%20b", "/a b", "/a b");
    check_path("/a%3Fb", "/a?b", "/a?b");
    check_path("/a%23b", "/a#b", "/a#b");
    check_path("/100%25", "/100%", "/100%");
    check_path("/%2541", "/%41", "/%41");
    check_path("/100%", "/100%", "/100%");
    check_path("/%4", "/%4", "/%4");
    check_path("/%zz", "/%zz", "/%zz");
    check_path("/%00", "/%00", "/%00");
    check_path("/\xc3\xa9", "/\xc3\xa9", "/\xc3\xa9");

    check_split("/a", "/a", "");
    check_split("/a?", "/a", "");
    check_split("/a?b?c", "/a", "b?c");
    check_split("/a#b?c", "/a", "");
    check_split("/a?b#c", "/a", "b");
    check_split("", "", "");

    check_unescape("a%20b", "a b");
    check_unescape("a%2", "a%2");
    check_unescape("%", "%");
    check_unescape("%25%32%35", "%25");

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok cache_uri: %u checks\n", checks);

    return 0;
}
