
/*
 * The loop over patterns itself, once for each kind of vectors: included with
 * functions by the names that AGG_CORE makes, and AGG_CORE_TARGET.  fits tells
 * whether a pattern's text is at p, stop gives a mask of the bytes at p that a
 * string cannot be scanned past; both read 32 bytes.  digits gives a mask of
 * the bytes that are no digits in 16, with the bit behind them set.  stops
 * makes vectors ready.
 */


/* the closing quote of a string; NULL: it is beyond t->at, or an error is */

agg_core_inline AGG_CORE_TARGET const u_char *
AGG_CORE(string_end)(agg_patterns_t *t, const u_char *p, const u_char *start,
    const u_char *end, const AGG_CORE(stop_t) *k)
{
    u_char    c;
    uint64_t  mask;
    uint64_t  i;

    do {
        mask = AGG_CORE(stop)(p, k);

        for ( ;; ) {

            if (mask == 0) {
                p += AGG_PATTERN_TEXT;
                break;
            }

            i = (uint64_t) agg_first(mask);
            c = p[i];

            if (c == '"') {
                return p + i;
            }

            /* an escape, or a character of two bytes, in the block */

            if (i < AGG_PATTERN_TEXT - 1
                && ((c == '\\') ? agg_escapes[p[i + 1]]
                               : (c >= 0xc2 && c < 0xe0
                                  && (p[i + 1] & 0xc0) == 0x80)))
            {
                mask &= ~(3ull << i);
                continue;
            }

            t->at = p + i;
            p += i;

            if ((size_t) (end - p) < AGG_BLOCK) {
                return NULL;
            }

            p = agg_string_special(p);

            if (p == NULL
                || !agg_pattern_pay(t, (size_t) (p - start),
                                    AGG_PATTERN_SPECIAL))
            {
                return NULL;
            }

            break;
        }

    } while ((size_t) (end - p) >= AGG_PATTERN_TEXT);

    t->at = p;

    return NULL;
}


/*
 * The end of a short number without an exponent; NULL: it is another scalar,
 * a longer one or none.
 */

agg_core_inline AGG_CORE_TARGET const u_char *
AGG_CORE(number_end)(const u_char *p, u_char c, const AGG_CORE(stop_t) *k)
{
    uint64_t       mask, i, n;
    const u_char  *q;

    if (c == '-') {
        p++;
        c = *p;
    }

    mask = AGG_CORE(digits)(p, k);
    i = (uint64_t) agg_first(mask);

    if (i - 1 >= AGG_BLOCK - 1 || (c == '0' && i != 1)) {
        return NULL;
    }

    q = p + i;
    c = *q;

    if (c == '.') {
        mask &= mask - 1;
        n = (uint64_t) agg_first(mask);

        if (n == i + 1 || n == AGG_BLOCK) {
            return NULL;
        }

        q = p + n;
        c = *q;

        if (c == '.') {
            return NULL;
        }
    }

    return ((c | 0x20) == 'e') ? NULL : q;
}


/*
 * Goes on in a container, or where one begins, as long as p <= last, where
 * AGG_PATTERN_AHEAD bytes are readable.  The scanner's state is true where it
 * stops: beyond last, where the value ends, before what is wrong, or with
 * t->off set.
 */

static AGG_CORE_TARGET const u_char *
AGG_CORE(patterns)(agg_scan_t *s, const u_char *start, const u_char *last)
{
    u_char            c;
    const u_char     *p, *q, *end;
    agg_pattern_t    *g, *next;
    agg_patterns_t   *t;
    AGG_CORE(stop_t)  k;

    AGG_CORE(stops)(&k);

    t = s->patterns;
    end = last + AGG_PATTERN_AHEAD;
    g = t->before;
    p = start;

    if (g == NULL) {
        g = &t->pattern[(s->depth == s->base) ? AGG_PATTERN_ROOT
                                              : AGG_PATTERN_OTHER];
    }

    t->before = NULL;

    for ( ;; ) {

        if (p > last) {
            t->before = g;
            break;
        }

        /* the text at p, if it is one of those that have come behind g */

        next = g->next;

        if (!AGG_CORE(fits)(next, p)) {
            next = g->other;

            if (!AGG_CORE(fits)(next, p)) {
                next = NULL;
            }
        }

        if (next == NULL
            || (next->flags != 0 && !agg_pattern_brackets(s, next)))
        {
            p = agg_pattern_miss(s, g, p, start, last);

            if (p == NULL) {
                p = t->at;
                break;
            }

            g = t->found;

        } else {

            if (next == g && g->flags == 0
                && !agg_pattern_pay(t, (size_t) (p - start), AGG_PATTERN_FLAT))
            {
                break;
            }

            g = next;
            p += g->len;

            if (g->flags & AGG_PATTERN_END) {
                break;
            }
        }

        /* a scalar */

        c = *p;

        if (c == '"') {
            p = AGG_CORE(string_end)(t, p + 1, start, end, &k);

            if (p == NULL) {
                p = t->at;
                s->state = AGG_SCAN_STRING;
                break;
            }

            p++;
            s->state = AGG_SCAN_AFTER;
            continue;
        }

        if (c > '9') {
            q = agg_pattern_literal(p, c);

        } else {
            q = AGG_CORE(number_end)(p, c, &k);

            if (q == NULL) {
                q = agg_pattern_scalar(p, c);
            }
        }

        if (q != NULL) {
            p = q;
            s->state = AGG_SCAN_AFTER;
            continue;
        }

        if (g != &t->pattern[AGG_PATTERN_OTHER]) {
            s->state = g->state;
        }

        if ((c | 0x20) != '{'
            && (c != ']' || s->state != AGG_SCAN_FIRST_VALUE))
        {
            break;
        }
    }

    t->bytes += (size_t) (p - start);

    return p;
}


/*
 * The same loop for a replay.  It stops behind a value, or, with the text
 * before it done, at a scalar or in a string that it cannot get over.
 */

static AGG_CORE_TARGET const u_char *
AGG_CORE(replay)(agg_scan_t *s, agg_replay_t *rp, const u_char *start,
    const u_char *last)
{
    u_char            c;
    const u_char     *p, *q, *end;
    agg_pattern_t    *g, *next, *before;
    agg_patterns_t   *t;
    AGG_CORE(stop_t)  k;

    AGG_CORE(stops)(&k);

    t = rp->patterns;
    end = last + AGG_PATTERN_AHEAD;
    g = &t->pattern[AGG_PATTERN_OTHER];
    g->next = &t->pattern[rp->places[rp->context].first];
    rp->stop = AGG_REPLAY_AFTER;
    p = start;

    while (p <= last) {
        before = g;
        next = g->next;

        if (__builtin_expect(!AGG_CORE(fits)(next, p), 0)) {
            next = g->other;

            if (!AGG_CORE(fits)(next, p)) {
                goto missed;
            }
        }

        g = next;

        if (__builtin_expect(next->flags != 0, 0)) {
            c = p[next->len];

            if (next->context != rp->context || !agg_replay_scalar(c)) {
                g = before;
                goto missed;
            }

            if (!agg_replay_apply(rp, next, p)) {
                break;
            }
        }

        p += g->len;

    scalar:

        c = *p;

        if (c == '"') {
            q = AGG_CORE(string_end)(t, p + 1, start, end, &k);

            if (q == NULL) {
                p = t->at;
                rp->stop = AGG_REPLAY_STRING;
                break;
            }

            p = q + 1;
            continue;
        }

        q = AGG_CORE(number_end)(p, c, &k);

        if (q == NULL) {
            q = agg_pattern_scalar(p, c);
        }

        if (q != NULL) {
            p = q;
            continue;
        }

        if (g->flags != 0 || agg_replay_scalar(c)) {
            rp->stop = AGG_REPLAY_DUE;
            break;
        }

        /* no scalar: it is another text, and nothing was done for this one */

        p -= g->len;
        g = before;

    missed:

        q = agg_replay_miss(s, rp, g, p, start, last);

        if (q == NULL) {
            break;
        }

        g = t->found;
        p = q;
        goto scalar;
    }

    t->pattern[AGG_PATTERN_OTHER].next = t->pattern;
    t->bytes += (size_t) (p - start);

    agg_replay_place(s, rp, p == start);

    if (rp->stop == AGG_REPLAY_DUE) {
        s->state = g->state;
    }

    return p;
}
