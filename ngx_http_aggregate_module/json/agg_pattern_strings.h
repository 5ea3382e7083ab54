
/*
 * How the loops of agg_pattern_run.h go over strings, by masks of 64 bytes that
 * are kept: these follow one another wherever strings end, so that no string
 * has to wait for the one before it.
 */


/*
 * What strings stop at among the 64 bytes before limit, which is a multiple of
 * 64: a bit for each of them, the lowest for the first.  The first of these
 * bytes is at last or before it, so a stop is at most 63 bytes beyond last.
 */

typedef struct {
    const u_char  *limit;
    uint64_t       mask;
} AGG_CORE(seen_t);


agg_core_inline AGG_CORE_TARGET void
AGG_CORE(seen_start)(AGG_CORE(seen_t) *seen, const u_char *start,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    uintptr_t  n;

    n = (uintptr_t) start % AGG_PATTERN_SEEN;

    /* nothing before start is read */

    seen->limit = start + (AGG_PATTERN_SEEN - n);
    seen->mask = (start <= last) ? AGG_CORE(stop)(start, k) << n : 0;
}


/*
 * Whether the string that goes on at *pos has something special: it is at *pos
 * then, which otherwise is beyond last.
 */

agg_core_inline AGG_CORE_TARGET int
AGG_CORE(string_stop)(AGG_CORE(seen_t) *seen, const u_char **pos,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    uint64_t  n, mask;

    for ( ;; ) {

        if (*pos < seen->limit) {
            mask = seen->mask >> (uintptr_t) *pos % AGG_PATTERN_SEEN;

            if (AGG_CORE(lowest)(mask, &n)) {
                *pos += n;
                return 1;
            }

            *pos = seen->limit;
        }

        if (seen->limit > last) {
            return 0;
        }

        seen->mask = AGG_CORE(stop)(seen->limit, k);
        seen->limit += AGG_PATTERN_SEEN;
    }
}


/*
 * Whether the string that has something special at *pos, which is no quote, has
 * its quote: it is at *pos then, which otherwise is beyond last, or where
 * something is wrong or costs too much.
 */

agg_core_inline AGG_CORE_TARGET int
AGG_CORE(string_end)(agg_patterns_t *t, AGG_CORE(seen_t) *seen,
    const u_char **pos, const u_char *last, const AGG_CORE(stop_t) *k)
{
    const u_char  *p;

    p = *pos;

    do {
        if (AGG_CORE(pair)(k, *p, p[1])) {
            p += 2;

        } else {
            t->at = p;

            p = agg_pattern_special(t, last);

            if (p == NULL) {
                *pos = t->at;
                return 0;
            }
        }

        if (!AGG_CORE(string_stop)(seen, &p, last, k)) {
            *pos = p;
            return 0;
        }

    } while (*p != '"');

    *pos = p;

    return 1;
}


/*
 * The same string, and the text behind it, which is not *next if its quote is
 * at *pos.
 */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(over_special)(agg_patterns_t *t, const agg_pattern_t *g,
    agg_pattern_t **next, const u_char **pos, AGG_CORE(seen_t) *seen,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    const u_char  *q;

    if (**pos != '"') {

        if (!AGG_CORE(string_end)(t, seen, pos, last, k)) {
            return AGG_PATTERN_CUT;
        }

        q = *pos;
        agg_pattern_anew(*next);

        if (AGG_CORE(fits_behind)(*next, q)) {
            *pos = q + 1;
            return AGG_PATTERN_FOUND;
        }
    }

    q = *pos;
    agg_pattern_anew(q);

    *pos = q + 1;
    *next = g->other;

    return AGG_CORE(fits_behind)(*next, q) ? AGG_PATTERN_FOUND
                                           : AGG_PATTERN_MISSED;
}


/*
 * The string that goes on at *pos, and the text behind it.  *pos is behind the
 * quote then.
 */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(over_string)(agg_patterns_t *t, const agg_pattern_t *g,
    agg_pattern_t **next, const u_char **pos, AGG_CORE(seen_t) *seen,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    const u_char  *q;

    if (!AGG_CORE(string_stop)(seen, pos, last, k)) {
        return AGG_PATTERN_CUT;
    }

    q = *pos;
    *next = g->next;

    if (AGG_CORE(fits_behind)(*next, q)) {
        *pos = q + 1;
        return AGG_PATTERN_FOUND;
    }

    return AGG_CORE(over_special)(t, g, next, pos, seen, last, k);
}


/* the same in a replay, as long as plain texts with strings behind them come */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(over_strings)(agg_patterns_t *t, agg_pattern_t **before,
    agg_pattern_t **next, const u_char **pos, AGG_CORE(seen_t) *seen,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    agg_pattern_rc_e  rc;

    for ( ;; ) {
        rc = AGG_CORE(over_string)(t, *before, next, pos, seen, last, k);

        if (rc != AGG_PATTERN_FOUND || (*next)->plain <= 0) {
            return rc;
        }

        *before = *next;
        *pos += (*next)->plain - 1;
    }
}
