
/*
 * The key: no two requests that differ have one key.
 *
 * sources: cache/agg_cache_key.c
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agg_cache_key.h"


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


static size_t
fields(u_char *buf, const char **list)
{
    u_char  *p;

    for (p = buf; *list; list++) {
        p = agg_cache_field_write(p, (const u_char *) *list, strlen(*list));
    }

    return (size_t) (p - buf);
}


static void
check_fields(void)
{
    size_t              i, j, lens[6];
    u_char              bufs[6][64];
    static const char  *sets[6][4] = {
        { "a:b", "c", NULL },
        { "a", "b:c", NULL },
        { "a:b:c", NULL },
        { "a", "b", "c", NULL },
        { "", "a:bc", NULL },
        { "a:bc", "", NULL },
    };

    for (i = 0; i < 6; i++) {
        lens[i] = fields(bufs[i], sets[i]);
    }

    for (i = 0; i < 6; i++) {
        for (j = 0; j < 6; j++) {
            check((lens[i] == lens[j]
                   && memcmp(bufs[i], bufs[j], lens[i]) == 0) == (i == j),
                  "fields run into each other");
        }
    }
}


static void
check_args(const char *text, const char *wanted)
{
    size_t            n, len;
    u_char           *buf, *end;
    agg_cache_str_t   args, *list;

    args.data = (const u_char *) text;
    args.len = strlen(text);

    n = agg_cache_args_count(&args);
    list = calloc(n + 1, sizeof(agg_cache_str_t));
    buf = malloc(4 + args.len);

    agg_cache_args_sort(&args, list, n);
    end = agg_cache_args_write(buf, list, n, args.len);

    len = (size_t) (end - buf);

    check(len == 4 + strlen(wanted), text);
    check(len >= 4 && memcmp(buf + 4, wanted, len - 4) == 0, text);

    free(list);
    free(buf);
}


static void
check_many_args(void)
{
    char    *text;
    size_t   i;

    text = malloc(3 * 2000 + 1);

    for (i = 0; i < 2000; i++) {
        memcpy(text + 3 * i, (i & 1) ? "a=&" : "b=&", 3);
    }

    text[3 * 2000 - 1] = '\0';

    /* too many to be sorted: as they are */

    check_args(text, text);

    free(text);
}


static void
check_vary(const char *line, int wanted, const char *names)
{
    int              n, i;
    size_t           len;
    u_char           buf[2048], *p;
    char             text[2048];
    agg_cache_str_t  list[AGG_CACHE_VARY_MAX], str;

    str.data = (const u_char *) line;
    str.len = strlen(line);
    p = buf;

    n = agg_cache_vary_add(list, 0, &str, "accept-encoding\0host\0", &p);

    check(n == wanted, line);

    len = 0;

    for (i = 0; i < n; i++) {
        memcpy(text + len, list[i].data, list[i].len);
        len += list[i].len;
        text[len++] = ' ';
    }

    text[len] = '\0';

    check(n < 0 || strcmp(text, names) == 0, line);
}


static void
check_vary_lines(void)
{
    int              n, i;
    char             name[16];
    u_char           buf[512], *p;
    agg_cache_str_t  list[AGG_CACHE_VARY_MAX], str;

    check_vary("Accept", 1, "accept ");
    check_vary("B, a ,, C", 3, "a b c ");
    check_vary("a, A, a", 1, "a ");
    check_vary("ab, a, abc", 3, "a ab abc ");
    check_vary("Accept-Encoding", 0, "");
    check_vary("x, Accept-Encoding, HOST", 1, "x ");
    check_vary("", 0, "");
    check_vary("*", -1, "");
    check_vary("a, *", -1, "");
    check_vary("a b", -1, "");
    check_vary("a, \x01", -1, "");
    check_vary("a\r\nb", -1, "");
    check_vary("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
               1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ");
    check_vary("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -1, "");

    n = 0;
    p = buf;

    for (i = 0; i < AGG_CACHE_VARY_MAX; i++) {
        str.len = (size_t) snprintf(name, sizeof(name), "x-%d", i);
        str.data = (const u_char *) name;
        n = agg_cache_vary_add(list, n, &str, NULL, &p);
    }

    check(n == AGG_CACHE_VARY_MAX, "lines add up");

    str.data = (const u_char *) "x-3";
    str.len = 3;
    check(agg_cache_vary_add(list, n, &str, NULL, &p) == AGG_CACHE_VARY_MAX,
          "a known name fits");

    str.data = (const u_char *) "y";
    str.len = 1;
    check(agg_cache_vary_add(list, n, &str, NULL, &p) == -1, "one too many");
}


static void
check_variant(void)
{
    u_char                  buf[3][256], hash[2][32];
    size_t                  len[3];
    agg_cache_vary_value_t  value;

    memset(hash[0], 0, 32);
    memset(hash[1], 1, 32);

    value.name.data = (const u_char *) "x";
    value.name.len = 1;

    value.hash = NULL;
    len[0] = agg_cache_variant_length(&value, 1);
    check((size_t) (agg_cache_variant_write(buf[0], &value, 1) - buf[0])
          == len[0], "length of an absent value");

    value.hash = hash[0];
    len[1] = agg_cache_variant_length(&value, 1);
    check((size_t) (agg_cache_variant_write(buf[1], &value, 1) - buf[1])
          == len[1], "length of a value");

    value.hash = hash[1];
    len[2] = (size_t) (agg_cache_variant_write(buf[2], &value, 1) - buf[2]);

    check(len[0] != len[1], "absent is not empty");
    check(memcmp(buf[1], buf[2], len[2]) != 0, "values differ");
}


int
main(void)
{
    check_fields();

    check_args("", "");
    check_args("a=1", "a=1");
    check_args("b=2&a=1", "a=1&b=2");
    check_args("a=2&a=1", "a=2&a=1");
    check_args("b&a=2&b=1&a=1", "a=2&a=1&b&b=1");
    check_args("ab=1&a=2", "a=2&ab=1");
    check_args("a&&b", "&a&b");
    check_args("&", "&");
    check_args("=1&=0", "=1&=0");
    check_args("a%3d=1&a==", "a==&a%3d=1");

    check_many_args();
    check_vary_lines();
    check_variant();

    check(agg_cache_hash('t', (const u_char *) "a", 1)
          != agg_cache_hash('p', (const u_char *) "a", 1), "kinds differ");
    check(agg_cache_hash('t', NULL, 0) != 0, "never 0");

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok cache_key: %u checks\n", checks);

    return 0;
}
