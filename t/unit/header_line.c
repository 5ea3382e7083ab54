
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

#ifndef TEST_NAME
#define TEST_NAME  "header_line"
#endif


static agg_header_names_t  names;
static unsigned long       taken;


static uint64_t
hash_of(const u_char *p, size_t len)
{
    size_t    i;
    uint64_t  hash;

    for (i = 0, hash = 0; i < len; i++) {
        hash = hash * 31 + (u_char) tolower(p[i]);
    }

    return hash;
}


/* the test keeps the hash of a name with it, and that of the last value */

static void
compare_line(agg_header_line_t *line, u_char *p, u_char *end)
{
    int                 size;
    size_t              i, name_len;
    long                note;
    agg_header_line_t   wanted;
    agg_header_name_t  *name;

    size = (int) (end - p);
    name = line->name;

    check(header_reference(&wanted, &name_len, p, end), "\"%.*s\"", size, p);

    check(name->len == name_len && line->value.data == wanted.value.data
          && line->value.len == wanted.value.len && line->next == wanted.next,
          "\"%.*s\"", size, p);

    for (i = 0; i < name_len; i++) {
        check(name->text[i] == p[i] && name->lowcase[i] == tolower(p[i]),
              "\"%.*s\"", size, p);
    }

    check(name->text[i] == '\0' && name->lowcase[i] == '\0', "\"%.*s\"",
          size, p);
    check(name->hash == hash_of(p, name_len), "\"%.*s\"", size, p);

    check(name == &names.other
          || agg_header_known(&names, name->lowcase) == name, "\"%.*s\"",
          size, p);

    check(!name->kind || name->data == (void *) (uintptr_t) name->hash,
          "\"%.*s\"", size, p);

    name->data = (void *) (uintptr_t) name->hash;
    name->kind = 1;

    note = (long) hash_of(line->value.data, line->value.len);

    if (!agg_header_kept(line)) {
        return;
    }

    check(!name->noted || name->note == note, "\"%.*s\"", size, p);

    name->note = note;
    name->noted = 1;
}


static void
compare(const char *text, size_t len, int usual)
{
    size_t             i, n;
    u_char            *p, *next;
    agg_header_line_t  lines[4];

    if (len == 0) {
        return;
    }

    p = exact(text, len);

    if (rand() % 2 == 0) {
        names.last = &names.start;
    }

    n = agg_header_lines(lines, 1 + (unsigned) rand() % 4, &names, p, p + len);

    taken += n;

    for (i = 0, next = p; i < n; i++) {

        /* the line after it may be of the same name, and has replaced it */

        if (i + 1 < n) {
            lines[i].name->noted = 0;
        }

        compare_line(&lines[i], next, p + len);
        next = lines[i].next;
    }

    check(!usual || n != 0, "\"%.*s\"", (int) len, text);

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

    names.last = &names.start;

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

    finish(TEST_NAME);

    return 0;
}
