
/*
 * The loops over patterns themselves, once for each kind of vectors: included
 * with functions by the names that AGG_CORE makes, and AGG_CORE_TARGET.  fits
 * tells whether a text is at p, and reads AGG_PATTERN_BLOCK bytes; stop gives a
 * mask of those of AGG_PATTERN_SEEN bytes at p that a string cannot be scanned
 * past.  lowest gives the number of the lowest bit, if there is one.  digits
 * gives a mask of the bytes that are no digits, of which first is the lowest
 * bit, and its two highest bits are set; copy copies a block.  stops makes
 * vectors ready.
 *
 * A string and the text behind it are gone over together, since nothing but
 * the closing quote fits the first byte of what is compared.  A number is over
 * where such a text is.
 */


#include "agg_pattern_strings.h"


/* the text at p, behind a scalar that is no string, if it came behind g */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(behind)(const agg_pattern_t *g, agg_pattern_t **next, const u_char *p,
    const u_char *last)
{
    if (p > last) {
        return AGG_PATTERN_LAST;
    }

    *next = g->next;

    if (AGG_CORE(fits)(*next, p)) {
        return AGG_PATTERN_FOUND;
    }

    *next = g->other;

    if (AGG_CORE(fits)(*next, p)) {
        return AGG_PATTERN_FOUND;
    }

    return AGG_PATTERN_MISSED;
}


/*
 * The scalar at *pos and the text behind it.  A string is not gone over: *pos
 * is behind its quote then.
 */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(over_scalar)(const agg_pattern_t *g, agg_pattern_t **next,
    const u_char **pos, const u_char *last, const AGG_CORE(stop_t) *k)
{
    u_char             c;
    uint32_t           mask;
    const u_char      *p, *q, *dot;
    agg_pattern_rc_e   rc;

    p = *pos;
    c = *p;

    if ((u_char) (c - '1') > 8) {

        if (c > '9') {
            q = agg_pattern_literal(p, c);
            goto over;
        }

        if (c == '"') {
            *pos = p + 1;
            return AGG_PATTERN_STRING;
        }

        if (c == '-') {
            p++;
            c = *p;
        }

        if (!agg_is_digit(c) || (c == '0' && agg_is_digit(p[1]))) {
            goto other;
        }
    }

    /* a short number without an exponent ends where a text begins */

    mask = AGG_CORE(digits)(p, k);
    q = p + AGG_CORE(first)(mask);

    if (*q == '.') {
        mask &= mask - 1;
        dot = q + 1;
        q = p + AGG_CORE(first)(mask);

        if (q == dot) {
            goto other;
        }
    }

    rc = AGG_CORE(behind)(g, next, q, last);

    if (rc == AGG_PATTERN_FOUND || !agg_is_number(*q)) {
        *pos = q;
        return rc;
    }

other:

    p = *pos;
    q = agg_pattern_scalar(p, *p);

over:

    if (q == NULL) {
        return AGG_PATTERN_NOTHING;
    }

    *pos = q;

    return AGG_CORE(behind)(g, next, q, last);
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
    const u_char            *p, *q;
    agg_pattern_t           *g, *next;
    agg_patterns_t          *t;
    agg_pattern_rc_e         rc;
    AGG_CORE(seen_t)         seen;
    const AGG_CORE(stop_t)  *k;

    k = AGG_CORE(stops)();
    AGG_CORE(seen_start)(&seen, start, last, k);
    t = s->patterns;
    g = agg_pattern_before(s);
    p = start;
    t->start = start;
    next = g;

    if (s->state == AGG_SCAN_STRING) {
        goto string;
    }

    rc = AGG_CORE(behind)(g, &next, p, last);

    for ( ;; ) {

        if (rc == AGG_PATTERN_FOUND) {

            if (next->flags & AGG_PATTERN_STACK) {

                if (!agg_pattern_brackets(s, next)) {
                    rc = AGG_PATTERN_MISSED;
                    continue;
                }

                if (next->flags & AGG_PATTERN_END) {
                    p += next->len;
                    break;
                }

            } else if (next == g && !agg_pattern_pay(t, p, AGG_PATTERN_FLAT)) {
                break;
            }

            g = next;
            p += g->len;

            if ((g->flags & AGG_PATTERN_SCALAR) == 0) {
                goto string;
            }

        } else if (rc == AGG_PATTERN_MISSED) {

            q = agg_pattern_miss(s, g, p);

            if (q == NULL) {
                p = t->at;
                break;
            }

            p = q;
            g = t->found;

        } else {
            t->before = g;
            break;
        }

        rc = AGG_CORE(over_scalar)(g, &next, &p, last, k);

        if (rc == AGG_PATTERN_NOTHING) {

            if (g != &t->pattern[AGG_PATTERN_OTHER]) {
                s->state = g->state;
            }

            if ((*p | 0x20) != '{'
                && (*p != ']' || s->state != AGG_SCAN_FIRST_VALUE))
            {
                break;
            }

            rc = AGG_CORE(behind)(g, &next, p, last);
            continue;
        }

        if (rc != AGG_PATTERN_STRING) {
            s->state = AGG_SCAN_AFTER;
            continue;
        }

    string:

        rc = AGG_CORE(over_string)(t, g, &next, &p, &seen, last, k);

        s->state = (rc == AGG_PATTERN_CUT) ? AGG_SCAN_STRING : AGG_SCAN_AFTER;
    }

    t->bytes += (size_t) (p - t->start);

    return p;
}


/* applies the output of a text, if it has one; FAILED: there is no room */

agg_core_inline AGG_CORE_TARGET agg_pattern_rc_e
AGG_CORE(apply)(agg_replay_t *rp, const agg_pattern_t *g, const u_char *p)
{
    u_char        *dst;
    ptrdiff_t      n;
    const u_char  *end;

    if (g->output == AGG_OUTPUT_RESUME) {

        /* nobody looks at this before there is something to be copied */

        rp->from = p + rp->shift + g->resume;

        return AGG_PATTERN_FOUND;
    }

    if (g->output != AGG_OUTPUT_CUT || rp->shift != 0) {
        return agg_replay_apply(rp, g, p);
    }

    if ((g->flags & AGG_PATTERN_SCALAR) && !agg_replay_scalar(p[g->len])) {
        return AGG_PATTERN_MISSED;
    }

    end = p + g->cut;
    n = end - rp->from;
    dst = rp->out->pos;

    if (rp->out->end - dst < n + AGG_PATTERN_BLOCK) {
        return agg_replay_apply(rp, g, p);
    }

    dst += n;
    rp->out->pos = dst;
    n = -n;

    do {
        agg_pattern_anew(n);
        AGG_CORE(copy)(dst + n, end + n);
        n += AGG_PATTERN_BLOCK;

    } while (n < 0);

    return AGG_PATTERN_FOUND;
}


/*
 * The same loop for a replay.  It stops behind a value, or, with the text
 * before it done, at a scalar or in a string that it cannot get over.  Where
 * the one before it stopped in a string, it goes on in that.
 */

static AGG_CORE_TARGET const u_char *
AGG_CORE(replay)(agg_scan_t *s, agg_replay_t *rp, const u_char *start,
    const u_char *last)
{
    const u_char            *p, *q;
    agg_pattern_t           *g, *next;
    agg_patterns_t          *t;
    agg_pattern_rc_e         rc;
    AGG_CORE(seen_t)         seen;
    const AGG_CORE(stop_t)  *k;

    k = AGG_CORE(stops)();
    AGG_CORE(seen_start)(&seen, start, last, k);
    t = rp->patterns;
    g = rp->before;
    p = start;
    t->start = start;

    if (rp->stop == AGG_REPLAY_STRING) {
        goto string;
    }

    rc = AGG_CORE(behind)(g, &next, p, last);
    goto behind;

    for ( ;; ) {

        if (rc != AGG_PATTERN_MISSED) {
            break;
        }

        rp->context = g->to;
        rp->before = g;

        q = agg_replay_miss(s, rp, g, p);

        if (q == NULL) {
            break;
        }

        p = q;
        g = t->found;

    scalar:

        rc = AGG_CORE(over_scalar)(g, &next, &p, last, k);

        if (rc == AGG_PATTERN_NOTHING) {

            if (!agg_replay_undone(g, p)) {
                break;
            }

            /* another text is there */

            p -= g->len;
            g = rp->before;
            rc = AGG_PATTERN_MISSED;
        }

    behind:

        if (rc == AGG_PATTERN_FOUND) {

            if (next->plain == 0) {
                goto text;
            }

            if (next->plain < 0) {
                goto before_scalar;
            }

            p += next->plain - 1;
            g = next;

        } else if (rc != AGG_PATTERN_STRING) {
            continue;
        }

    string:

        rc = AGG_CORE(over_strings)(t, &g, &next, &p, &seen, last, k);

        if (rc != AGG_PATTERN_FOUND) {
            continue;
        }

        if (next->plain != 0) {
            goto before_scalar;
        }

    text:

        rc = AGG_CORE(apply)(rp, next, p);

        if (rc != AGG_PATTERN_FOUND) {
            continue;
        }

        if ((next->flags & AGG_PATTERN_SCALAR) == 0) {
            p += next->len;
            g = next;
            goto string;
        }

    before_scalar:

        rp->before = g;
        g = next;
        p += g->len;
        goto scalar;
    }

    rp->before = g;
    rp->context = g->to;
    t->bytes += (size_t) (p - t->start);

    agg_replay_stopped(s, rp, rc, p == t->start);

    return p;
}
