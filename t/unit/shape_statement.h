
/*
 * Statements of a shape as text, for the tests: "allow a.b", "limit feed 3",
 * "limit feed $3" (an argument), "set a $text", "into items product [1,2]"
 * (a JSON array of the values, null: none); words are parted by tabs.
 */


#ifndef SHAPE_STATEMENT_H_INCLUDED
#define SHAPE_STATEMENT_H_INCLUDED


#include "agg_test.h"
#include "agg_shape.h"


#define STATEMENT_ARGS  32


typedef struct {
    agg_shape_t       *shape;
    agg_shape_args_t   args;
    size_t             limits[STATEMENT_ARGS];
    agg_str_t          values[STATEMENT_ARGS];
    agg_shape_into_t   into[STATEMENT_ARGS];
} statements_t;


static inline void
statements_init(statements_t *st)
{
    memset(st, 0, sizeof(statements_t));

    st->shape = agg_shape_create(&mem);
    st->args.limits = st->limits;
    st->args.values = st->values;
    st->args.into = st->into;
}


/* an array of values becomes those of a slot */

static inline void
statement_values(agg_shape_into_t *into, agg_str_t *json)
{
    agg_iter_t  it;

    into->values = malloc((json->len + 1) * sizeof(agg_str_t));
    into->n = 0;

    if (into->values == NULL) {
        abort();
    }

    agg_iter_init(&it, json);

    while (agg_iter_next(&it)) {
        into->values[into->n] = it.value;

        if (agg_json_kind(&it.value) == AGG_NULL) {
            into->values[into->n].data = NULL;
        }

        into->n++;
    }
}


/* up to eight digits, nothing else */

static inline int
statement_number(const agg_str_t *word, size_t from, size_t *number)
{
    size_t  i;

    if (word->len <= from || word->len > from + 8) {
        return 0;
    }

    *number = 0;

    for (i = from; i < word->len; i++) {

        if (word->data[i] < '0' || word->data[i] > '9') {
            return 0;
        }

        *number = *number * 10 + (size_t) (word->data[i] - '0');
    }

    return 1;
}


static inline agg_rc_e
statement_limit(statements_t *st, agg_str_t *words, unsigned n,
    agg_error_t *err)
{
    size_t      max;
    agg_rc_e    rc;
    unsigned    slot;
    agg_str_t  *path, *last;

    path = (n == 3) ? &words[1] : NULL;
    last = &words[n - 1];

    if (statement_number(last, 0, &max)) {
        return agg_shape_limit(st->shape, path, max, err);
    }

    if (last->len == 0 || last->data[0] != '$'
        || !statement_number(last, 1, &max))
    {
        return AGG_INVALID;
    }

    rc = agg_shape_limit_arg(st->shape, path, 100000, &slot, err);

    if (rc == AGG_OK) {
        st->limits[slot % STATEMENT_ARGS] = max;
    }

    return rc;
}


/* the line must outlive the shape's runs */

static inline agg_rc_e
statement_add(statements_t *st, const char *line, size_t len,
    agg_error_t *err)
{
    u_char       *p, *tab, *end;
    agg_rc_e      rc;
    unsigned      n, slot;
    agg_str_t     w[4];

    p = (u_char *) line;
    end = p + len;

    for (n = 0; n < 4; n++) {
        tab = (n < 3) ? memchr(p, '\t', (size_t) (end - p)) : NULL;
        w[n].data = p;
        w[n].len = (size_t) ((tab ? tab : end) - p);

        if (tab == NULL) {
            n++;
            break;
        }

        p = tab + 1;
    }

    err->text = "unknown statement";
    err->offset = 0;

#define word_is(text)  (w[0].len == sizeof(text) - 1                         \
                        && memcmp(w[0].data, text, sizeof(text) - 1) == 0)

    if (word_is("limit") && n >= 2 && n <= 3) {
        return statement_limit(st, w, n, err);
    }

    if (word_is("target") && n == 2) {
        return agg_shape_target(st->shape, &w[1], err);
    }

    if (word_is("allow") && n == 2) {
        return agg_shape_allow(st->shape, &w[1], err);
    }

    if (word_is("deny") && n == 2) {
        return agg_shape_deny(st->shape, &w[1], err);
    }

    if (word_is("rename") && n == 3) {
        return agg_shape_rename(st->shape, &w[1], &w[2], err);
    }

    if (word_is("move") && n == 3) {
        return agg_shape_move(st->shape, &w[1], &w[2], err);
    }

    if (word_is("set") && n == 3 && w[2].len != 0 && w[2].data[0] == '$') {
        rc = agg_shape_set_arg(st->shape, &w[1], &slot, err);

        if (rc == AGG_OK) {
            st->values[slot % STATEMENT_ARGS].data = w[2].data + 1;
            st->values[slot % STATEMENT_ARGS].len = w[2].len - 1;
        }

        return rc;
    }

    if (word_is("set") && n == 3) {
        return agg_shape_set(st->shape, &w[1], &w[2], err);
    }

    if (word_is("into") && n == 4) {

        if (agg_json_validate(w[3].data, w[3].len, NULL) != AGG_OK) {
            return AGG_INVALID;
        }

        rc = agg_shape_into(st->shape, &w[1], &w[2], &slot, err);

        if (rc == AGG_OK) {
            statement_values(&st->into[slot % STATEMENT_ARGS], &w[3]);
        }

        return rc;
    }

    return AGG_INVALID;
}


static inline void
statements_free(statements_t *st)
{
    unsigned  i;

    for (i = 0; i < STATEMENT_ARGS; i++) {
        free(st->into[i].values);
    }
}


/*
 * Runs a document in pieces of the size given (0: one piece), each with a heap
 * block of its own; the first piece may have another size.
 */

static inline agg_rc_e
statements_run(const statements_t *st, const agg_shape_t *shape,
    const agg_str_t *doc, size_t first, size_t size, agg_buf_t *out,
    agg_shape_run_t **kept)
{
    size_t            pos, n;
    u_char           *p;
    agg_rc_e          rc;
    agg_shape_run_t  *run;

    run = malloc(agg_shape_run_size(shape));
    if (run == NULL) {
        abort();
    }

    agg_shape_run_init(run, shape, out, &st->args);

    rc = AGG_OK;

    for (pos = 0; pos < doc->len && rc == AGG_OK; pos += n) {
        n = (pos == 0 && first != 0) ? first : size ? size : doc->len;
        n = (n > doc->len - pos) ? doc->len - pos : n;

        p = exact(doc->data + pos, n);
        rc = agg_shape_run_push(run, p, n);
        free(p);
    }

    rc = agg_shape_run_finish(run);

    if (kept != NULL) {
        *kept = run;
        return rc;
    }

    free(run);

    return rc;
}


#endif /* SHAPE_STATEMENT_H_INCLUDED */
