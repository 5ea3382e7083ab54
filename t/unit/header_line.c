
/*
 * Field lines of a header against a machine that takes a byte at a time, as
 * nginx's does: what is taken is the same, and usual lines are taken.
 *
 * sources: fetch/agg_header_line.c
 */


#include <ctype.h>

#include "agg_test.h"
#include "header_reference.h"


#define LINES  200000


static agg_header_names_t  names;
static unsigned long       taken;


static void
compare(const char *text, size_t len, int usual)
{
    size_t              i, name_len;
    u_char             *p;
    uint64_t            hash;
    agg_header_line_t   line, wanted;
    agg_header_name_t  *name;

    if (len == 0) {
        return;
    }

    p = exact(text, len);
    name = NULL;

    if (agg_header_line(&line, &names, p, p + len)) {
        taken++;
        name = line.name;

        check(header_reference(&wanted, &name_len, p, p + len), "\"%.*s\"",
              (int) len, text);

        check(name->len == name_len && line.value.data == wanted.value.data
              && line.value.len == wanted.value.len
              && line.next == wanted.next, "\"%.*s\"", (int) len, text);

        for (i = 0, hash = 0; i < name_len; i++) {
            hash = hash * 31 + (u_char) tolower(p[i]);

            check(name->text[i] == p[i] && name->lowcase[i] == tolower(p[i]),
                  "\"%.*s\"", (int) len, text);
        }

        check(name->hash == hash, "\"%.*s\"", (int) len, text);

        /* the test's own data: the name itself */

        check(!name->complete || name->data == (void *) (uintptr_t) hash,
              "\"%.*s\"", (int) len, text);

        name->data = (void *) (uintptr_t) hash;
        name->complete = 1;
    }

    check(!usual || name != NULL, "\"%.*s\"", (int) len, text);

    free(p);
}


static void
random_lines(void)
{
    char    text[256];
    size_t  i, n;
    long    left;

    static const char *const  pieces[] = {
        "Content-Type", "content-type", "Date", "X-Request-Id", "a", "A", "Z9",
        "X_A", "x y", "long-name-of-thirty-one-charact", "-", ":", ": ", ":  ",
        ":", " ", "   ", "\t", "\r\n", "\r\n", "\r\n", "\r", "\n", "\r\r\n",
        "value", "text/html; charset=utf-8", "\"0123456789abcdef\"",
        "caf\xc3\xa9", "\x7f", "\x01", "a b  c   ", "HTTP/1.1",
        "@", "[", "`", "{", "/", "G",
    };

    for (left = LINES; left > 0; left--) {
        text[0] = '\0';

        if (rand() % 2 == 0) {
            strcat(text, pieces[(unsigned) rand() % 11]);
            strcat(text, ":");
        }

        for (n = 2 + (unsigned) rand() % 7; n > 0; n--) {
            strcat(text, pieces[(unsigned) rand() % (sizeof(pieces)
                                                     / sizeof(pieces[0]))]);
        }

        n = strlen(text);

        if (rand() % 2 == 0) {
            strcpy(text + n, "\r\nServer: another line, long enough\r\n\r\n");
            n = strlen(text);
        }

        if (rand() % 8 == 0) {
            i = (unsigned) rand() % n;
            text[i] = (char) (rand() % 3 == 0 ? 0 : rand());
        }

        compare(text, n, 0);
    }

    check(taken > LINES / 50, "%lu", taken);
}


int
main(void)
{
    size_t       i;
    static char  text[400];

    static const char *const  lines[] = {
        "Server: nginx", "Date: Mon, 01 Sep 2025 00:00:00 GMT", "ETag:\"x\"",
        "Content-Length: 0", "X-Empty:", "X-Empty:   ", "x: 1  ", "A:\tb",
        "long-name-of-thirty-one-charact: v",
    };

    for (i = 0; i < 2 * sizeof(lines) / sizeof(lines[0]); i++) {
        strcpy(text, lines[i / 2]);
        strcat(text, "\r\nConnection: keep-alive, and more\r\n\r\n");

        compare(text, strlen(text), 1);
    }

    srand(1);
    random_lines();

    finish("header_line");

    return 0;
}
