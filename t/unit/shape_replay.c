
/*
 * Replay against the plain walk: random shapes over documents whose elements
 * nearly repeat.  A member may be missing, moved, doubled, longer, escaped,
 * wrong, or have a value that is not like the others.  Both must give the same
 * output, or fail at the same byte, with each kind of the core and in pieces
 * whatever their size, and enough must have been replayed.
 * sources: shape/agg_shape.c shape/agg_state.c shape/agg_run.c
 * sources: shape/agg_members.c shape/agg_name.c shape/agg_keep.c
 * sources: shape/agg_place.c shape/agg_replay.c
 * sources: json/agg_path.c json/agg_scan.c json/agg_json.c json/agg_write.c
 * arm64: by qemu's user mode
 */


#include "shape_statement.h"
#include "agg_state.h"
#include "agg_scan.h"


#ifndef TEST_NAME
#define TEST_NAME  "shape_replay"
#endif

#define ROOM       65536
#define COLUMNS    14
#define DOCUMENTS  6

/* an emulated processor takes longer */

#if (defined __aarch64__)
#define SHAPES     200
#else
#define SHAPES     800
#endif


typedef struct {
    const char     *name;
    unsigned        kind;
} column_t;


static char           text[ROOM];
static size_t         used;

static column_t       columns[COLUMNS];
static unsigned       ncolumns;
static unsigned       style;        /* of white space */
static unsigned       odd;          /* one in so many is not as the others */

static char           lines[8][256];
static unsigned       nlines;

static unsigned long  taken;
static unsigned long  replayed;


static void add_value(unsigned kind, unsigned depth);


static unsigned
pick(unsigned n)
{
    return (unsigned) rand() % n;
}


#define any_of(list)  list[pick(sizeof(list) / sizeof(list[0]))]

static const char *const  names[] = {
    "a", "b", "c", "d", "id", "name", "price", "list", "sub", "",
    "a name of seventeen", "a name of twenty-eight bytes",
    "a name that is too long for any text of a pattern to hold",
    "\\u0061", "\xc3\xa9",
};


static void
add(const char *s)
{
    size_t  len;

    len = strlen(s);

    if (used + len < ROOM - 1024) {
        memcpy(text + used, s, len);
        used += len;
    }
}


static void
add_space(unsigned n)
{
    static const char *const  spaces[4][4] = {
        { "", "", "", "" },
        { "", " ", "", " " },
        { "\n    ", " ", "\n  ", "\n      " },
        { " ", "\t", "\r\n", "            " },
    };

    add(spaces[pick(8 * odd) ? style : pick(4)][n]);
}


static void
add_scalar(unsigned kind)
{
    char  number[32];

    static const char *const  texts[] = {
        "\"\"", "\"x\"", "\"sixteen bytes ab\"", "\"a\\\"b\\\\\"",
        "\"caf\xc3\xa9 \xe2\x82\xac\"", "\"\\u00e9\\ud83d\\ude00\"",
        "\"a text that is longer than thirty-two bytes, and no more\"",
        "\"a text of more than two blocks, with an \\\"escape\\\" in the last "
        "of them \xf0\x9f\x98\x80 and some plain bytes behind that one\"",
    };

    static const char *const  others[] = {
        "true", "false", "null", "-0", "0", "1e5", "-1.25E-3",
        "12345678901234567890", "0.12345678901234567890"
    };

    switch (kind) {

    case 0:
        sprintf(number, "%d", (int) pick(20000) - 100);
        add(number);
        break;

    case 1:
        sprintf(number, "%u.%02u", pick(300), pick(100));
        add(number);
        break;

    case 2:
    case 3:
        add(any_of(texts));
        break;

    default:
        add(any_of(others));
    }
}


/* the elements of an array are alike, their number is not */

static void
add_array(unsigned kind, unsigned depth)
{
    unsigned  n;

    n = (pick(3) == 0) ? pick(5) : 2;

    add("[");

    while (n-- > 0) {
        add_space(0);
        add_value(kind, depth + 1);
        add(n == 0 ? "" : ",");
    }

    add_space(2);
    add("]");
}


static void
add_object(unsigned kind, unsigned depth)
{
    unsigned  i;

    static const char *const  inner[] = { "\"a\"", "\"b\"", "\"id\"" };

    add("{");

    for (i = 0; i < 3; i++) {

        if (pick(4 * odd) == 0) {
            continue;
        }

        add(text[used - 1] == '{' ? "" : ",");
        add_space(0);
        add(inner[i]);
        add(":");
        add_space(1);
        add_value(kind / 8 + i, depth + 1);
    }

    add_space(2);
    add("}");
}


static void
add_value(unsigned kind, unsigned depth)
{
    if (pick(3 * odd) == 0) {
        kind = (unsigned) rand();
    }

    switch (kind % 8) {

    case 5:

        if (depth < 4) {
            add_array(kind / 8, depth);
            return;
        }

        /* fall through */

    case 6:

        if (depth < 4) {
            add_object(kind / 8, depth);
            return;
        }

        /* fall through */

    default:
        add_scalar(kind % 5);
    }
}


static void
add_member(const column_t *column, int first)
{
    add(first ? "" : ",");
    add_space(first ? 2 : 3);
    add("\"");
    add((pick(8 * odd) == 0) ? any_of(names) : column->name);
    add("\"");
    add((pick(9 * odd) == 0) ? " :" : ":");
    add_space(1);
    add_value(column->kind, 2);
}


static void
add_element(void)
{
    unsigned  i, missing, moved, twice;

    missing = pick(odd) ? COLUMNS : pick(ncolumns);
    moved = pick(odd) ? COLUMNS : pick(ncolumns);
    twice = pick(odd) ? COLUMNS : pick(ncolumns);

    add("{");

    for (i = 0; i < ncolumns; i++) {

        if (i != missing) {
            add_member(&columns[i == moved ? pick(ncolumns) : i],
                       text[used - 1] == '{');
        }

        if (i == twice) {
            add_member(&columns[i], text[used - 1] == '{');
        }
    }

    add_space(0);
    add("}");
}


static void
random_document(const char *head, const char *tail, unsigned n)
{
    used = 0;

    add(head);

    while (n-- > 0) {
        add_space(0);

        if (pick(20 * odd) == 0) {
            add_value((unsigned) rand(), 1);

        } else {
            add_element();
        }

        add(n == 0 ? "" : ",");
    }

    add(tail);

    if (used != 0 && pick(12) == 0) {
        text[pick((unsigned) used)] = "\"\\{}[],:x0 \x01\xc3"[pick(13)];
    }
}


static void
random_statement(char *line, const char *path)
{
    char         name[128];
    unsigned     column;
    const char  *array;

    static const char *const  inner[] = {
        "", "", "", "[]", ".a", ".id", ".*", "[].a", "[0]", ".a[].b", "[].*"
    };

    column = pick(ncolumns + 1);

    sprintf(name, "\"%s\"", (column == ncolumns || pick(9) == 0)
                            ? any_of(names) : columns[column].name);

    if (pick(12) == 0) {
        strcpy(name, "*");
    }

    switch (pick(16)) {

    case 0:
        array = strstr(path, "[]");
        sprintf(line, "limit%s%.*s\t%u", array == path ? "" : "\t",
                array == NULL ? 0 : (int) (array - path), path, pick(30));
        break;

    case 1:
        sprintf(line, "rename\t%s.%s\t%s", path, name, pick(2) ? "n" : "a");
        break;

    case 2:
        array = strstr(path, "[]");
        sprintf(line, "into\t%.*s\tc\t[1,null,{\"z\":2}]",
                array == NULL ? 0 : (int) (array - path), path);
        break;

    case 3:
        sprintf(line, "move\t%s.a\t%s.b.c", path, path);
        break;

    case 4:
    case 5:
    case 6:
    case 7:
        sprintf(line, "deny\t%s.%s%s", path, name, any_of(inner));
        break;

    default:
        sprintf(line, "allow\t%s.%s%s", path, name, any_of(inner));
    }
}


static agg_rc_e
walk(const statements_t *st, const agg_shape_t *shape, size_t first,
    size_t size, agg_buf_t *out, size_t *offset)
{
    agg_rc_e          rc;
    agg_str_t         doc;
    agg_shape_run_t  *run;

    doc.data = (u_char *) text;
    doc.len = used;

    agg_buf_init(out, &mem, 1 << 20);
    rc = statements_run(st, shape, &doc, first, size, out, &run);

    *offset = (rc == AGG_INVALID) ? run->offset : 0;
    free(run);

    return rc;
}


static void
differ(const char *what, size_t first, size_t size, agg_rc_e rc, size_t at,
    agg_rc_e rc2, size_t at2, const agg_buf_t *out, const agg_buf_t *out2)
{
    unsigned  i;

    for (i = 0; i < nlines; i++) {
        printf("%s\n", lines[i]);
    }

    printf("doc\t%.*s\n%s, pieces of %zu, %zu: %d at %zu: %.*s\n"
           "plain: %d at %zu: %.*s\n", (int) used, text, what, first, size,
           rc, at, (int) agg_buf_used(out), out->start, rc2, at2,
           (int) agg_buf_used(out2), out2->start);
    exit(1);
}


static void
compare(const statements_t *st, size_t first, size_t size, const char *what)
{
    size_t                 at, at2;
    agg_rc_e               rc, rc2;
    agg_buf_t              out, out2;
    agg_shape_t            plain;
    const agg_patterns_t  *t;

    plain = *st->shape;
    plain.replay = NULL;

    rc2 = walk(st, &plain, first, size, &out2, &at2);
    rc = walk(st, st->shape, first, size, &out, &at);

    checks++;

    if (rc != rc2 || at != at2
        || (rc == AGG_OK
            && (agg_buf_used(&out) != agg_buf_used(&out2)
                || memcmp(out.start, out2.start, agg_buf_used(&out)) != 0)))
    {
        differ(what, first, size, rc, at, rc2, at2, &out, &out2);
    }

    if (st->shape->replay != NULL) {

        /* the table is what the structure begins with */

        t = (const agg_patterns_t *) st->shape->replay;

        if (!t->off) {
            taken += used;
            replayed += t->bytes - t->credit;
        }
    }

    if (out.start != NULL) {
        mem_free(out.start);
    }

    if (out2.start != NULL) {
        mem_free(out2.start);
    }
}


static void
one_shape(void)
{
    unsigned      i, n, form;
    agg_error_t   err;
    statements_t  st;

    static const char *const  paths[] = { "[]", "items[]", "a.b[]", "" };
    static const char *const  heads[] = {
        "[", "{\"items\":[", "{\"x\":1, \"a\":{\"b\" : [", ""
    };
    static const char *const  tails[] = {
        "]", "],\"n\":[{\"a\":1}]}", "]},\"a\":0}\n", ""
    };

    ncolumns = 2 + pick(COLUMNS - 2);
    style = pick(2) ? 0 : pick(4);
    odd = pick(3) ? 60 : 4 + pick(20);
    form = pick(4);
    nlines = 0;

    for (i = 0; i < ncolumns; i++) {
        columns[i].name = any_of(names);
        columns[i].kind = (unsigned) rand();
    }

    statements_init(&st);

    for (n = 1 + pick(6); n > 0; n--) {
        random_statement(lines[nlines], paths[form]);
        lines[nlines][255] = '\0';

        if (statement_add(&st, lines[nlines], strlen(lines[nlines]), &err)
            == AGG_OK)
        {
            nlines++;
        }
    }

    if (pick(5) == 0 && form == 1) {
        sprintf(lines[nlines], "target\t%s", "items");

        if (statement_add(&st, lines[nlines], strlen(lines[nlines]), &err)
            == AGG_OK)
        {
            nlines++;
        }
    }

    check(agg_shape_compile(st.shape, &err) == AGG_OK, "%s", err.text);

    for (i = 0; i < DOCUMENTS; i++) {
        random_document(heads[form], tails[form],
                        form == 3 ? 1 : pick(5) ? 8 + pick(30) : pick(3));

        for (n = 0; agg_scan_core_name(n) != NULL; n++) {
            agg_scan_core_use(n);
            compare(&st, 0, 0, agg_scan_core_name(n));
            compare(&st, pick(300), 100 + pick(900), agg_scan_core_name(n));
        }

        agg_scan_core_use(0);
        compare(&st, pick(100), 1 + pick(300), "the first");
    }

    statements_free(&st);
    mem_free_all();
}


int
main(int argc, char **argv)
{
    unsigned  i, n;

    srand((unsigned) (argc > 1 ? atoi(argv[1]) : 1));
    n = (unsigned) (argc > 2 ? atoi(argv[2]) : SHAPES);

    for (i = 0; i < n; i++) {
        one_shape();
    }

    check(replayed > taken / 10, "%lu bytes of %lu", replayed, taken);

    finish(TEST_NAME);

    return 0;
}
