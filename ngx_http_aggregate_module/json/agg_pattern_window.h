
/*
 * How the loops of agg_pattern_run.h go over strings, by masks of 64 bytes that
 * are kept: these follow one another wherever strings end, so that no string
 * has to wait for the one before it.  More instructions, and less time.
 */


#define AGG_SEEN  64


/* the bytes from base on that strings stop at, the lowest bit for the first */

typedef struct {
    const u_char  *base;
    uint64_t       mask;
} AGG_CORE(seen_t);


agg_core_inline void
AGG_CORE(seen_none)(AGG_CORE(seen_t) *seen)
{
    seen->base = NULL;
    seen->mask = 0;
}


agg_core_inline AGG_CORE_TARGET void
AGG_CORE(see)(AGG_CORE(seen_t) *seen, const u_char *p,
    const AGG_CORE(stop_t) *k)
{
    seen->base = p;
    seen->mask = AGG_CORE(stop)(p, k)
                 | (uint64_t) AGG_CORE(stop)(p + AGG_PATTERN_BLOCK, k)
                   << AGG_PATTERN_BLOCK;
}


/* where the string that goes on at p has something special, or beyond last */

agg_core_inline AGG_CORE_TARGET const u_char *
AGG_CORE(string_stop)(AGG_CORE(seen_t) *seen, const u_char *p,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    uint64_t       mask;
    uintptr_t      n;
    const u_char  *q;

    n = (uintptr_t) p - (uintptr_t) seen->base;

    if (n < AGG_SEEN) {
        mask = seen->mask >> n;

        if (mask != 0) {
            return p + AGG_CORE(first)(mask);
        }

        q = seen->base + AGG_SEEN;

    } else if (n < 2 * AGG_SEEN) {
        q = seen->base + AGG_SEEN;

        if (q > last) {
            return p;
        }

        AGG_CORE(see)(seen, q, k);
        mask = seen->mask >> (n - AGG_SEEN);

        if (mask != 0) {
            return p + AGG_CORE(first)(mask);
        }

        q += AGG_SEEN;

    } else {
        q = p;
    }

    for ( /* void */ ; q <= last; q += AGG_SEEN) {
        AGG_CORE(see)(seen, q, k);

        if (seen->mask != 0) {
            return q + AGG_CORE(first)(seen->mask);
        }
    }

    return q;
}


/*
 * Where a string ends that stops at p: a quote or a control character is there,
 * or it is beyond last.  NULL: what is at t->at is wrong, or costs too much.
 */

agg_core_inline AGG_CORE_TARGET const u_char *
AGG_CORE(string_end)(agg_patterns_t *t, AGG_CORE(seen_t) *seen,
    const u_char *p, const u_char *last, const AGG_CORE(stop_t) *k)
{
    do {
        if (AGG_CORE(pair)(k, *p, p[1])) {
            p += 2;

        } else {
            agg_pattern_anew(p);

            if (*p < '\\') {
                break;
            }

            t->at = p;

            p = agg_pattern_special(t, last);

            if (p == NULL) {
                break;
            }
        }

        p = AGG_CORE(string_stop)(seen, p, last, k);

    } while (p <= last);

    return p;
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

    q = AGG_CORE(string_stop)(seen, *pos, last, k);

    if (q > last) {
        *pos = q;
        return AGG_PATTERN_CUT;
    }

    *next = g->next;

    if (AGG_CORE(fits_behind)(*next, q)) {
        *pos = q + 1;
        return AGG_PATTERN_FOUND;
    }

    if (*q != '"') {
        q = AGG_CORE(string_end)(t, seen, q, last, k);

        if (q == NULL) {
            *pos = t->at;
            return AGG_PATTERN_CUT;
        }

        if (q > last || *q != '"') {
            *pos = q;
            return AGG_PATTERN_CUT;
        }

        agg_pattern_anew(*next);

        if (AGG_CORE(fits_behind)(*next, q)) {
            *pos = q + 1;
            return AGG_PATTERN_FOUND;
        }
    }

    agg_pattern_anew(q);

    *pos = q + 1;
    *next = g->other;

    return AGG_CORE(fits_behind)(*next, q) ? AGG_PATTERN_FOUND
                                           : AGG_PATTERN_MISSED;
}


/* the same in a replay, as long as plain texts with strings behind them come */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(over_strings)(agg_patterns_t *t, agg_pattern_t **before,
    agg_pattern_t **next, const u_char **pos, AGG_CORE(seen_t) *seen,
    const u_char *last, const AGG_CORE(stop_t) *k)
{
    agg_pattern_t     *g;
    agg_pattern_rc_e   rc;

    g = *before;

    for ( ;; ) {
        rc = AGG_CORE(over_string)(t, g, next, pos, seen, last, k);

        if (rc != AGG_PATTERN_FOUND || (*next)->plain <= 0) {
            break;
        }

        g = *next;
        *pos += g->plain - 1;
    }

    *before = g;

    return rc;
}
