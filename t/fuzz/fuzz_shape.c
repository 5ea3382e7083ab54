
/*
 * Shapes: the first byte is the size of the pieces; then statements, a line
 * each, their words parted by tabs; an empty line; the document.  Whatever the
 * pieces, the answer is that of one piece, and what the naive tree says.
 * sources: shape/agg_shape.c shape/agg_state.c shape/agg_run.c
 * sources: shape/agg_members.c shape/agg_name.c shape/agg_keep.c
 * sources: shape/agg_place.c shape/agg_replay.c
 * sources: json/agg_path.c json/agg_scan.c json/agg_json.c json/agg_write.c
 */


#include "../unit/shape_statement.h"
#include "../unit/shape_naive.h"


#define FUZZ_MAX        (1 << 18)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
tell(const char *what, agg_rc_e rc, const agg_buf_t *out, agg_rc_e rc2,
    const agg_buf_t *out2)
{
    printf("%s: %d: %.*s\nnot %d: %.*s\n", what, rc,
           (int) agg_buf_used(out), out->start, rc2,
           (int) agg_buf_used(out2), out2->start);
    fflush(stdout);
    abort();
}


static int
same(const agg_buf_t *b1, const agg_buf_t *b2)
{
    return agg_buf_used(b1) == agg_buf_used(b2)
           && (b1->pos == b1->start
               || memcmp(b1->start, b2->start, agg_buf_used(b1)) == 0);
}


static void
run(statements_t *st, naive_shape_t *naive, const agg_str_t *doc, size_t piece)
{
    agg_rc_e          rc, rc2;
    agg_buf_t         out, out2;

    agg_shape_run_t  *kept;

    agg_buf_init(&out, &mem, FUZZ_MAX);
    rc = statements_run(st, st->shape, doc, 0, 0, &out, &kept);
    free(kept);

    agg_buf_init(&out2, &mem, FUZZ_MAX);
    rc2 = statements_run(st, st->shape, doc, 0, piece, &out2, NULL);

    if (rc != rc2 || (rc == AGG_OK && !same(&out, &out2))) {
        tell("pieces", rc2, &out2, rc, &out);
    }

    if ((rc == AGG_INVALID)
        != (agg_json_validate(doc->data, doc->len, NULL) != AGG_OK)
        && rc != AGG_TOO_LARGE)
    {
        tell("validity", rc, &out, AGG_INVALID, &out);
    }

    if (rc != AGG_OK && rc != AGG_NOT_FOUND) {
        return;
    }

    agg_buf_init(&out2, &mem, FUZZ_MAX);
    rc2 = naive_shape(naive, doc, &out2);

    if (rc == AGG_OK) {
        if (agg_json_validate(out.start, agg_buf_used(&out), NULL) != AGG_OK
            && agg_buf_used(&out) < 200)
        {
            tell("result", rc, &out, rc2, &out2);
        }

        out.pos = out.start + naive_minify(out.start, agg_buf_used(&out));
    }

    if (rc != rc2 || (rc == AGG_OK && !same(&out, &out2))) {
        tell("naive", rc, &out, rc2, &out2);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char           *text;
    size_t          left, len;
    unsigned        n, targets;
    agg_str_t       doc;
    agg_error_t     err;
    const char     *p, *line;
    statements_t    st;
    naive_shape_t   naive;

    if (size == 0 || size > 4096) {
        return 0;
    }

    text = malloc(size);
    memcpy(text, data + 1, size - 1);

    statements_init(&st);
    memset(&naive, 0, sizeof(naive_shape_t));

    p = text;
    left = size - 1;
    targets = 0;

    for (n = 0; n < 12 && left != 0; n++) {
        line = memchr(p, '\n', left);
        len = line ? (size_t) (line - p) : left;

        if (len == 0) {
            p++;
            left--;
            break;
        }

        if (statement_add(&st, p, len, &err) == AGG_OK) {
            targets += (*p == 't');
            naive_add_rule(&naive, p, len);
        }

        p += len + (line != NULL);
        left -= len + (line != NULL);
    }

    doc.data = (u_char *) p;
    doc.len = left;

    if (targets < 2 && agg_shape_compile(st.shape, &err) == AGG_OK) {
        run(&st, &naive, &doc, data[0] ? data[0] : 1);
    }

    statements_free(&st);
    mem_free_all();
    naive_free();
    free(text);

    return 0;
}
