
/*
 * Shapes and documents at random: the runner must agree with the naive tree,
 * however the document is cut, in one pass or as head and tail.
 * sources: shape/agg_shape.c shape/agg_state.c shape/agg_run.c
 * sources: shape/agg_members.c shape/agg_name.c shape/agg_keep.c
 * sources: shape/agg_place.c shape/agg_replay.c
 * sources: json/agg_path.c json/agg_scan.c json/agg_json.c json/agg_write.c
 */


#include "shape_statement.h"
#include "shape_naive.h"


static char      text[1 << 18];
static size_t    used;


static void random_value(unsigned depth);


static unsigned
pick(unsigned n)
{
    return (unsigned) rand() % n;
}


#define any_of(list)  list[pick(sizeof(list) / sizeof(list[0]))]


static void
add(const char *s)
{
    size_t  len;

    len = strlen(s);
    memcpy(text + used, s, len);
    used += len;
}


static void
add_space(void)
{
    static const char *const  spaces[] = { " ", "\n", "\n  ", "\t", "  \r\n" };

    if (pick(12) == 0) {
        add(any_of(spaces));
    }
}


/*
 * An array of objects that are nearly alike: of the same members, all written
 * in one way, but for one left out, put in, or in another place now and then
 */

static void
random_rows(unsigned depth)
{
    char        name[80];
    unsigned    rows, columns, first, i, how, other;
    const char  *colon, *comma;

    static const char *const  colons[] = { ":", ":", ": ", " : ", ":  " };
    static const char *const  commas[] = { ",", ",", ", ", ",\t", ",\n    " };

    rows = 1 + pick(12);
    columns = 1 + pick(pick(4) ? 9 : 34);
    first = pick(4);
    how = 2 + pick(40);
    colon = any_of(colons);
    comma = any_of(commas);

    add("[");

    while (rows-- > 0) {
        add("{");
        other = pick(how * columns);

        for (i = 0; i < columns; i++) {

            if (i == other && pick(2)) {
                continue;
            }

            if (used > sizeof(text) / 2) {
                break;
            }

            sprintf(name, (i < 4) ? "\"%c\"" : (i % 7 == 6)
                          ? "\"a column with a longer name %u\"" : "\"c%u\"",
                    (i < 4) ? 'a' + (i + first) % 4 : i);

            if (i == other && pick(2)) {
                strcpy(name, pick(2) ? "\"b\"" : "\"\\u0061\"");
            }

            add(text[used - 1] == '{' ? "" : comma);
            add(name);
            add(colon);
            random_value(depth + (pick(8) ? 5 : 2));
        }

        add(rows != 0 ? "}," : "}");
    }

    add("]");
}


static void
random_value(unsigned depth)
{
    unsigned  n, kind;

    static const char *const  scalars[] = {
        "1", "-2.50", "12345678901234567890", "true", "false", "null", "\"\"",
        "\"x\"", "\"a,]}\\\"\"", "\"\\u00e9\\ud800\"", "\"\xc3\xa9\"", "1e400",
        "\"a text that is somewhat longer than a block of sixteen bytes\"",
    };

    static const char *const  names[] = {
        "\"a\"", "\"a\"", "\"b\"", "\"b\"", "\"c\"", "\"d\"", "\"\\u0061\"",
        "\"\\u0062\"", "\"\"", "\"a name of more than sixteen bytes\"",
        "\"one of those names that are so long that nobody wants to keep them "
        "until the value comes, and that no shape has, for that matter\"",
    };

    kind = (depth == 0) ? pick(8) : pick(11);

    if (depth > 5 || kind > 7) {
        add(any_of(scalars));
        return;
    }

    if (depth < 3 && pick(8) == 0) {
        random_rows(depth);
        return;
    }

    n = pick(5);
    add(kind < 5 ? "{" : "[");
    add_space();

    while (n-- > 0) {

        if (kind < 5) {
            add(any_of(names));
            add_space();
            add(":");
            add_space();
        }

        random_value(depth + 1);
        add_space();

        if (n != 0) {
            add(",");
            add_space();
        }
    }

    add(kind < 5 ? "}" : "]");
}


static void
random_path(char *buf, int wildcards, int negative, int key)
{
    unsigned  n, i;

    static const char *const  keys[] = {
        "a", "a", "b", "b", "c", "d", "\"\"",
        "\"a name of more than sixteen bytes\"",
    };

    n = 1 + pick(3);
    *buf = '\0';

    for (i = 0; i < n; i++) {
        switch (i + 1 == n && key ? 0 : pick(8)) {

        case 5:
            if (wildcards) {
                strcat(buf, "[]");
                break;
            }

            /* fall through */

        case 6:
            sprintf(buf + strlen(buf), "[%d]",
                    (int) pick(3) - (negative ? 2 : 0));
            break;

        case 7:
            if (wildcards) {
                strcat(buf, ".*");
                break;
            }

            /* fall through */

        default:
            sprintf(buf + strlen(buf), ".%s", any_of(keys));
        }
    }
}


static void
random_statement(char *line, int negative)
{
    char  path[200], path2[200];

    static const char *const  names[] = { "a", "b", "c", "n", "\"\\u0061\"" };

    static const char *const  values[] = {
        "1", "{}", "[]", "{\"a\":{\"b\":[1]}}", "$text \"", "[{\"a\":1},{}]",
    };

    random_path(path, 1, negative, 0);

    switch (pick(12)) {

    case 0:
        random_path(path, 0, negative, 0);
        sprintf(line, "target\t%s", path);
        break;

    case 1:
        sprintf(line, "limit\t%s%u", pick(2) ? "" : "$", pick(4));
        break;

    case 2:
        sprintf(line, "limit\t%s\t%s%u", path, pick(2) ? "" : "$", pick(4));
        break;

    case 3:
    case 4:
        sprintf(line, "allow\t%s", path);
        break;

    case 5:
    case 6:
        sprintf(line, "deny\t%s", path);
        break;

    case 7:
    case 8:
        random_path(path, 1, negative, 1);
        sprintf(line, "rename\t%s\t%s", path, any_of(names));
        break;

    case 9:
        random_path(path, 0, negative, 0);
        random_path(path2, 0, negative, 0);
        sprintf(line, "move\t%s\t%s", path, path2);
        break;

    case 10:
        sprintf(line, "set\t%s\t%s", path, any_of(values));
        break;

    default:
        random_path(path, 0, negative, 0);
        sprintf(line, "into\t%s\t%s\t[1,null,{\"z\":2},\"x\"]", path,
                any_of(names));
    }
}


static char      lines[16][512];
static unsigned  nlines;


static void
tell(const agg_str_t *doc)
{
    unsigned  i;

    for (i = 0; i < nlines; i++) {
        printf("%s\n", lines[i]);
    }

    printf("doc\t%.*s\n", (int) doc->len, doc->data);
}


static void
compare(const agg_str_t *doc, agg_rc_e rc, agg_buf_t *out, agg_rc_e rc2,
    const agg_buf_t *out2, const char *how)
{
    size_t  len;

    checks++;

    if (rc == AGG_OK) {
        check(agg_json_validate(out->start, agg_buf_used(out), NULL)
              == AGG_OK, "%.*s", (int) agg_buf_used(out), out->start);
    }

    len = (rc == AGG_OK) ? naive_minify(out->start, agg_buf_used(out)) : 0;

    if (rc != rc2
        || (rc == AGG_OK && (len != agg_buf_used(out2)
                             || memcmp(out->start, out2->start, len) != 0)))
    {
        tell(doc);
        printf("%s: %d: %.*s\nnot %d: %.*s\n", how, rc, (int) len, out->start,
               rc2, (int) agg_buf_used(out2), out2->start);
        exit(1);
    }

    if (out->start != NULL) {
        mem_free(out->start);
    }
}


static void
same(const agg_str_t *doc, const statements_t *st, const agg_shape_t *shape,
    size_t first, size_t size, const agg_buf_t *whole, agg_rc_e rc)
{
    agg_rc_e   rc2;
    agg_buf_t  out;

    agg_buf_init(&out, &mem, 1 << 20);
    rc2 = statements_run(st, shape, doc, first, size, &out, NULL);

    if (rc2 != rc
        || (rc == AGG_OK
            && (agg_buf_used(&out) != agg_buf_used(whole)
                || memcmp(out.start, whole->start, agg_buf_used(whole)) != 0)))
    {
        tell(doc);
        printf("cut %zu %zu: %d: %.*s\nnot %d: %.*s\n", first, size, rc2,
               (int) agg_buf_used(&out), out.start, rc,
               (int) agg_buf_used(whole), whole->start);
        exit(1);
    }

    checks++;

    if (out.start != NULL) {
        mem_free(out.start);
    }
}


static void
one_document(const statements_t *st, naive_shape_t *naive, int split)
{
    size_t     i;
    agg_rc_e   rc, rc2;
    agg_str_t  doc, middle;
    agg_buf_t  out, out2;

    used = 0;
    add_space();
    random_value(0);
    add_space();

    doc.data = (u_char *) text;
    doc.len = used;

    agg_buf_init(&out, &mem, 1 << 20);
    rc = statements_run(st, st->shape, &doc, 0, 0, &out, NULL);

    same(&doc, st, st->shape, 0, 1, &out, rc);
    same(&doc, st, st->shape, 0, 1 + pick(80), &out, rc);

    for (i = 1; i < doc.len && checks % 8 == 0; i++) {
        same(&doc, st, st->shape, i, 0, &out, rc);
    }

    agg_buf_init(&out2, &mem, 1 << 20);
    rc2 = naive_shape(naive, &doc, &out2);
    compare(&doc, rc, &out, rc2, &out2, "runner");

    if (split) {
        agg_buf_init(&out, &mem, 1 << 20);
        rc = statements_run(st, agg_shape_head(st->shape), &doc, 0, 0, &out,
                            NULL);

        if (rc == AGG_OK) {
            middle.data = out.start;
            middle.len = agg_buf_used(&out);
            agg_buf_init(&out, &mem, 1 << 20);
            rc = statements_run(st, agg_shape_tail(st->shape), &middle, 0, 0,
                                &out, NULL);
            mem_free(middle.data);
        }

        compare(&doc, rc, &out, rc2, &out2, "split");
    }

    mem_free(out2.start ? out2.start : mem_alloc(NULL, 1));
}


static void
one_shape(void)
{
    int            split, negative, target;
    unsigned       i, n;
    agg_error_t    err;
    statements_t   st;
    naive_shape_t  naive;

    statements_init(&st);
    memset(&naive, 0, sizeof(naive_shape_t));

    negative = (pick(4) == 0);
    target = 0;
    n = 1 + pick(6);
    nlines = 0;

    for (i = 0; i < n; i++) {
        random_statement(lines[nlines], negative);

        if (memcmp(lines[nlines], "target", 6) == 0 && target++) {
            continue;
        }

        if (statement_add(&st, lines[nlines], strlen(lines[nlines]), &err)
            == AGG_OK)
        {
            naive_add_rule(&naive, lines[nlines], strlen(lines[nlines]));
            nlines++;
        }
    }

    split = (pick(3) == 0);

    check((split ? agg_shape_compile_split(st.shape, &err)
                 : agg_shape_compile(st.shape, &err)) == AGG_OK, "%s",
          err.text);
    check(agg_shape_run_size(st.shape) < 16384, "%zu",
          agg_shape_run_size(st.shape));

    for (i = 0; i < 8; i++) {
        one_document(&st, &naive, split);
    }

    statements_free(&st);
    mem_free_all();
    naive_free();
}


int
main(int argc, char **argv)
{
    unsigned  i, n;

    srand((unsigned) (argc > 1 ? atoi(argv[1]) : 1));
    n = (unsigned) (argc > 2 ? atoi(argv[2]) : 20000);

    for (i = 0; i < n; i++) {
        one_shape();
    }

    finish("shape_random");

    return 0;
}
