
/*
 * How the loops of agg_pattern_run.h go over strings: a block from where a
 * string goes on, and then others.  This takes the fewest instructions.
 */


/* nothing is kept */

typedef int  AGG_CORE(seen_t);


agg_core_inline void
AGG_CORE(seen_none)(AGG_CORE(seen_t) *seen)
{
    (void) seen;
}


/*
 * Where a string ends: a quote or a control character is there, or it is beyond
 * last.  Its block at p has something special at p[i], the lowest bit of the
 * mask, or nothing.  NULL: what is at t->at is wrong, or costs too much.
 */

agg_core_inline AGG_CORE_TARGET const u_char *
AGG_CORE(string_end)(agg_patterns_t *t, const u_char *p, uint64_t mask,
    uint64_t i, const u_char *last, const AGG_CORE(stop_t) *k)
{
    u_char         c;
    uint64_t       rest;
    const u_char  *end;

    rest = ~3ull;
    agg_pattern_anew(rest);

    end = p + AGG_PATTERN_BLOCK;

    for ( ;; ) {

        if (mask == 0) {

            do {
                if (end > last) {
                    return end;
                }

                p = end;
                end += 2 * AGG_PATTERN_BLOCK;

                mask = AGG_CORE(stop)(p, k)
                       | (uint64_t) AGG_CORE(stop)(p + AGG_PATTERN_BLOCK, k)
                         << AGG_PATTERN_BLOCK;

            } while (mask == 0);

            i = AGG_CORE(first)(mask);
        }

        c = p[i];

        if (AGG_CORE(pair)(k, c, p[i + 1])) {
            mask &= rest << i;

            if (mask != 0) {
                i = AGG_CORE(first)(mask);

            } else if (p + i + 2 > end) {
                end = p + i + 2;
            }

            continue;
        }

        agg_pattern_anew(i);

        if (c < '\\') {
            return p + i;
        }

        t->at = p + i;

        end = agg_pattern_special(t, last);

        if (end == NULL) {
            return NULL;
        }

        mask = 0;
    }
}


/*
 * The same string, *pos being its block, and the text behind it, which is not
 * *next if that was looked for at a quote.
 */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(over_special)(agg_patterns_t *t, const agg_pattern_t *g,
    agg_pattern_t **next, const u_char **pos, uint64_t mask, uint64_t i,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    const u_char  *q;

    q = *pos + i;

    if (*q != '"') {
        q = AGG_CORE(string_end)(t, *pos, mask, i, last, k);

        if (q == NULL) {
            *pos = t->at;
            return AGG_PATTERN_CUT;
        }

        *pos = q;

        if (q > last) {
            return AGG_PATTERN_CUT;
        }

        agg_pattern_anew(*next);

        if (AGG_CORE(fits_behind)(*next, q)) {
            *pos = q + 1;
            return AGG_PATTERN_FOUND;
        }

        if (*q != '"') {
            return AGG_PATTERN_CUT;
        }
    }

    agg_pattern_anew(q);

    *pos = q + 1;
    *next = g->other;

    return AGG_CORE(fits_behind)(*next, q) ? AGG_PATTERN_FOUND
                                           : AGG_PATTERN_MISSED;
}


/* the string that goes on at *pos, and the text behind it */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(over_string)(agg_patterns_t *t, const agg_pattern_t *g,
    agg_pattern_t **next, const u_char **pos, AGG_CORE(seen_t) *seen,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    uint32_t       mask;
    uint64_t       i;
    const u_char  *q;

    (void) seen;

    mask = AGG_CORE(stop)(*pos, k);
    i = AGG_CORE(first)(mask);
    q = *pos + i;

    if (q > last) {
        *pos = q;
        return AGG_PATTERN_CUT;
    }

    *next = g->next;

    if (AGG_CORE(fits_behind)(*next, q)) {
        *pos = q + 1;
        return AGG_PATTERN_FOUND;
    }

    return AGG_CORE(over_special)(t, g, next, pos, mask, i, last, k);
}


/* the same in a replay, as long as plain texts with strings behind them come */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(over_strings)(agg_patterns_t *t, agg_pattern_t **before,
    agg_pattern_t **next, const u_char **pos, AGG_CORE(seen_t) *seen,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    uint32_t           mask;
    uint64_t           i;
    const u_char      *p, *q;
    agg_pattern_t     *g;
    agg_pattern_rc_e   rc;

    (void) seen;

    g = *before;
    p = *pos;

    for ( ;; ) {
        mask = AGG_CORE(stop)(p, k);
        i = AGG_CORE(first)(mask);
        q = p + i;

        if (q > last) {
            rc = AGG_PATTERN_CUT;
            p = q;
            break;
        }

        *next = g->next;

        if (AGG_CORE(fits_behind)(*next, q)) {

            if ((*next)->plain > 0) {
                g = *next;
                p = q + g->plain;
                continue;
            }

            rc = AGG_PATTERN_FOUND;
            p = q + 1;
            break;
        }

        rc = AGG_CORE(over_special)(t, g, next, &p, mask, i, last, k);

        if (rc != AGG_PATTERN_FOUND || (*next)->plain <= 0) {
            break;
        }

        g = *next;
        p += g->plain - 1;
    }

    *before = g;
    *pos = p;

    return rc;
}
