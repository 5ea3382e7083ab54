
/*
 * Patterns: what stands between two scalars of a document stands there again.
 *
 * Records of an array have the same members in the same order, and so have the
 * documents of one backend.  All that is between the end of a scalar and the
 * beginning of the next one, marks, names and white space, is expected to be
 * one of the texts that were seen before.  Such a text was checked when it was
 * learned, and is compared at once.  Only scalars are looked at.
 *
 * A text is expected behind another one, or where a value begins.  The kind of
 * the container that it begins in is then what it was when it was learned; for
 * a text with brackets the scanner's state is compared, and the containers, as
 * deep as it closes them.  So nothing passes that the machine of agg_scan.c
 * would not let pass, whatever a table was taught.
 *
 * Documents that do not repeat themselves are left to the core of agg_core.h,
 * which is faster there, when too much had to be learned.
 *
 * Cost:     19 instructions for a string and what is behind it, 30 for a
 *           number, 15 for an escape, 25 for 64 bytes in which strings go on
 *           (AVX2); 350 to learn.
 * Source:   Li et al., Mison: A Fast JSON Parser for Data Analytics, 2017
 *           (speculation by the positions of earlier records).
 */


#ifndef AGG_PATTERN_H_INCLUDED
#define AGG_PATTERN_H_INCLUDED


#include "agg_scan.h"


/*
 * Bytes that must be readable at last.  A string may stop 63 bytes behind it, a
 * text of up to 32 with its quote be there, and a scalar behind that.
 */

#define AGG_PATTERN_AHEAD   160


/*
 * A scan with more containers around it knows no patterns, and those that open
 * more of their own than the least word of the stack holds are not expected
 */

#define AGG_PATTERN_BASE    64
#define AGG_PATTERN_DEPTH   60

/*
 * What is learned costs as much as so many bytes that are expected, and so does
 * a scalar that follows another one in an array, which the core of agg_core.h
 * takes faster.  A document may do that at first, the less so the more of those
 * before it have lost.
 */

#define AGG_PATTERN_MISS    64
#define AGG_PATTERN_SPECIAL 16
#define AGG_PATTERN_FLAT    24
#define AGG_PATTERN_LEAST   512

/* texts of one hash that are kept, so that no document makes it a list */

#define AGG_PATTERN_CHAIN   6

/* a full table with more misses than these is begun anew */

#define AGG_PATTERN_FEW     8


#define AGG_PATTERN_BRACKET  1
#define AGG_PATTERN_END      2      /* the value ends with the text */
#define AGG_PATTERN_APPLY    4      /* it has an output in a replay */
#define AGG_PATTERN_SCALAR   8      /* without the quote of a string behind */

#define AGG_PATTERN_STACK   (AGG_PATTERN_BRACKET|AGG_PATTERN_END)

/* a pattern's output */

#define AGG_OUTPUT_NONE      0      /* the pattern is none of the table's */
#define AGG_OUTPUT_CUT       1      /* nothing but that */
#define AGG_OUTPUT_RESUME    2      /* nothing but this */
#define AGG_OUTPUT_ANY       3

/* bytes that are compared or copied together, and those of a string's mask */

#define AGG_PATTERN_BLOCK    32
#define AGG_PATTERN_SEEN     64

/* the kind of the container that a text begins in, where it has none */

#define AGG_PATTERN_NONE     2


typedef struct {
    const u_char       *start;
    uint64_t            kinds;      /* as they were there */
    u_char              state;      /* the scanner's there */
    u_char              kind;
    int                 level;      /* containers more than there */
    int                 low;        /* at the least, not above 0 */
    int                 high;
    uint32_t            pushed;
    agg_replay_t       *replay;
} agg_pattern_walk_t;


/* the compiler is not to keep in registers what it has loaded from there */

#define agg_pattern_anew(p)  __asm__ volatile ("" : "+r" (p))


/* the number of the lowest bit; 0: there is none */

static inline int
agg_pattern_lowest(uint64_t mask, uint64_t *n)
{
    if (mask == 0) {
        return 0;
    }

    *n = (uint64_t) agg_first(mask);

    return 1;
}


/* where a scalar and the text behind it led to */

typedef enum {
    AGG_PATTERN_FOUND = 1,          /* behind the scalar, at a known text */
    AGG_PATTERN_MISSED,             /* at another one */
    AGG_PATTERN_LAST,               /* behind the scalar, beyond the last */
    AGG_PATTERN_CUT,                /* in a string, which is to stop there */
    AGG_PATTERN_STRING,             /* it is a string */
    AGG_PATTERN_NOTHING,            /* there is no scalar */
    AGG_PATTERN_FAILED              /* there is no room for an output */
} agg_pattern_rc_e;


#define agg_is_number(c)                                                     \
    (agg_is_digit(c) || (c) == '.' || ((c) | 0x20) == 'e')


/* agg_scan.c */

static int agg_scan_mark(agg_scan_t *s, u_char c);
static int agg_scan_first_byte(agg_scan_t *s, u_char c);


agg_patterns_t *
agg_patterns_create(agg_mem_t *mem)
{
    agg_patterns_t  *t;

    t = mem->alloc(mem->ctx, sizeof(agg_patterns_t));

    if (t != NULL) {
        agg_patterns_init(t);
    }

    return t;
}


void
agg_patterns_init(agg_patterns_t *t)
{
    agg_pattern_t  *g;

    memset(t, 0, offsetof(agg_patterns_t, pattern)
                 + AGG_PATTERN_FIRST * sizeof(agg_pattern_t));

    t->n = AGG_PATTERN_FIRST;
    t->credit = AGG_PATTERN_CREDIT;
    t->bytes = AGG_PATTERN_CREDIT;

    for (g = t->pattern; g < t->pattern + AGG_PATTERN_FIRST; g++) {
        g->quote = '"';
        g->behind = 0xffffffff;
        g->mask = 0xffffffff;
        g->flags = AGG_PATTERN_BRACKET;
        g->least = 0xff;
        g->next = t->pattern;
        g->other = t->pattern;
    }
}


void
agg_patterns_start(agg_patterns_t *t)
{
    size_t  credit;

    /* the document before this one has lost more than it has gone over */

    if (t->cost > t->bytes - t->credit) {
        credit = t->credit / 2;

        if (credit < AGG_PATTERN_LEAST) {
            credit = AGG_PATTERN_LEAST;
        }

    } else {
        credit = 2 * t->credit;

        if (credit > AGG_PATTERN_CREDIT) {
            credit = AGG_PATTERN_CREDIT;
        }
    }

    if (t->off
        || (t->n == AGG_PATTERNS
            && t->cost > AGG_PATTERN_FEW * AGG_PATTERN_MISS))
    {
        agg_patterns_init(t);
    }

    t->credit = credit;
    t->bytes = credit;
    t->cost = 0;
}


/* whether there is more to be gained than was lost */

static int
agg_pattern_pay(agg_patterns_t *t, const u_char *p, size_t cost)
{
    t->cost += cost;

    if (t->cost <= t->bytes + (size_t) (p - t->start)) {
        return 1;
    }

    t->off = 1;

    return 0;
}


void
agg_patterns_lost(agg_patterns_t *t)
{
    (void) agg_pattern_pay(t, t->start, AGG_PATTERN_MISS);
}


/*
 * A text with brackets: the containers that it closes must be what they were,
 * and those that it opens must not be too many.
 */

static inline int
agg_pattern_brackets(agg_scan_t *s, const agg_pattern_t *g)
{
    if (s->state != g->from
        || (unsigned) (s->depth - s->base - g->least) > g->range
        || ((s->kinds[0] ^ g->kinds) & g->closed) != 0)
    {
        return 0;
    }

    s->kinds[0] = s->kinds[0] >> g->pops << g->pushes | g->pushed;
    s->depth = (u_char) (s->depth - g->pops + g->pushes);

    if (g->flags & AGG_PATTERN_END) {
        s->state = AGG_SCAN_DONE;
    }

    return 1;
}


/*
 * Takes tokens from the scanner's state on, up to where a scalar begins.  NULL:
 * the value has ended, a token is wrong
 * or cut; *pos is where the scanner's state is true.
 */

static const u_char *
agg_pattern_walk(agg_scan_t *s, agg_pattern_walk_t *w, const u_char **pos,
    const u_char *last)
{
    int            n;
    u_char         c, state, depth;
    const u_char  *p;

    p = *pos;

    for ( ;; ) {

        if (s->state == AGG_SCAN_NAME_STRING || s->state == AGG_SCAN_STRING) {

            if (p <= last) {
                p = agg_scan_string(p, last);
            }

            if (*p != '"' || p > last) {
                *pos = p;
                return NULL;
            }

            s->state = (s->state == AGG_SCAN_STRING) ? AGG_SCAN_AFTER
                                                     : AGG_SCAN_COLON;
            p++;
        }

        if (p <= last) {
            p = agg_skip_space(p, last);
        }

        *pos = p;

        if (p > last) {
            return NULL;
        }

        c = *p;
        state = s->state;
        depth = s->depth;

        if (state == AGG_SCAN_VALUE
            || (state == AGG_SCAN_FIRST_VALUE && c != ']'))
        {
            if ((c | 0x20) != '{') {
                return p;
            }

            n = agg_scan_first_byte(s, c);

        } else {
            n = agg_scan_mark(s, c);
        }

        if (n < 0) {
            s->state = state;
            return NULL;
        }

        p++;

        if (s->depth > depth) {
            w->pushed = w->pushed << 1 | (c == '{');
            w->level++;

            if (w->level > w->high) {
                w->high = w->level;
            }

        } else if (s->depth < depth) {
            w->pushed >>= 1;
            w->level--;

            if (w->level < w->low) {
                w->low = w->level;
                w->pushed = 0;
            }

            if (s->state == AGG_SCAN_DONE) {
                *pos = p;
                return NULL;
            }
        }
    }
}


/*
 * Steps over something special in a string at t->at; NULL: it is wrong, beyond
 * last, or too much was lost.
 */

static __attribute__((noinline)) const u_char *
agg_pattern_special(agg_patterns_t *t, const u_char *last)
{
    const u_char  *p;

    if (t->at > last) {
        return NULL;
    }

    p = agg_string_special(t->at);

    if (p == NULL || !agg_pattern_pay(t, p, AGG_PATTERN_SPECIAL)) {
        return NULL;
    }

    return p;
}


/* scalars that are not short numbers */

static __attribute__((noinline)) const u_char *
agg_pattern_scalar(const u_char *p, u_char c)
{
    return agg_scan_scalar(p, c);
}


/* literals are frequent enough to be looked at before numbers */

static inline const u_char *
agg_pattern_literal(const u_char *p, u_char c)
{
    uint32_t  text;

    if (c == 'f') {
        p++;

        memcpy(&text, p, 4);

        return (text == agg_word4('a', 'l', 's', 'e')) ? p + 4 : NULL;
    }

    memcpy(&text, p, 4);

    return (text == agg_word4('t', 'r', 'u', 'e')
            || text == agg_word4('n', 'u', 'l', 'l'))
           ? p + 4 : NULL;
}


/* both ends: names often have one in common, and white space is the same */

static unsigned
agg_pattern_hash(const u_char *text, size_t len, unsigned context)
{
    uint64_t  w;

    w = agg_word_load(text);

    if (len < 8) {
        w &= (1ull << (8 * len)) - 1;

    } else {
        w = w * 31 + agg_word_load(text + len - 8);
    }

    w ^= len + (context << 8);

    return (unsigned) ((w * 0x9e3779b97f4a7c15ull) >> (64 - AGG_PATTERN_BITS));
}


/* a text's output in its pattern; which there is */

static u_char
agg_pattern_output(agg_pattern_t *g, const agg_replay_output_t *o)
{
    g->cut = o->cut;
    g->resume = o->resume;

    if (o->len != 0
        || (o->cut != AGG_REPLAY_NONE && o->resume != AGG_REPLAY_NONE))
    {
        return AGG_OUTPUT_ANY;
    }

    return (o->cut != AGG_REPLAY_NONE) ? AGG_OUTPUT_CUT : AGG_OUTPUT_RESUME;
}


/* the text of a walk in the list of its hash; 0: it is none of the *n there */

static unsigned
agg_pattern_known(const agg_patterns_t *t, const agg_pattern_walk_t *w,
    unsigned i, size_t len, unsigned flags, unsigned *n)
{
    unsigned              context;
    const agg_pattern_t  *g;

    context = (w->replay == NULL) ? 0 : w->replay->context;
    *n = 0;

    while (i != 0) {
        g = &t->pattern[i];

        if (g->len == len && g->from == w->state && g->kind == w->kind
            && (g->flags & (AGG_PATTERN_END|AGG_PATTERN_SCALAR)) == flags
            && g->context == context
            && memcmp(g->text, w->start, len) == 0
            && ((w->kinds ^ g->kinds) & g->closed) == 0)
        {
            return i;
        }

        i = g->chain;
        (*n)++;
    }

    return 0;
}


/* the members that the walk has found out; the text has len bytes */

static inline void
agg_pattern_fill(agg_pattern_t *g, const agg_pattern_walk_t *w, size_t len,
    unsigned flags)
{
    unsigned  pops;

    pops = (unsigned) -w->low;

    g->quote = '"';
    memcpy(g->text, w->start, AGG_PATTERN_TEXT);

    g->mask = (1u << len) - 1;
    g->behind = g->mask << 1 | 1;
    g->len = (u_char) len;
    g->flags = (u_char) flags;
    g->plain = (flags == 0) ? (ptrdiff_t) len + 1
                            : (flags == AGG_PATTERN_SCALAR)
                              ? -(ptrdiff_t) len - 1 : 0;
    g->from = w->state;
    g->kind = w->kind;
    g->pops = (u_char) pops;
    g->pushes = (u_char) (w->level - w->low);
    g->pushed = w->pushed;
    g->kinds = (uint32_t) w->kinds;

    /* with those that are closed also the one that they are in */

    if (flags & AGG_PATTERN_END) {
        g->closed = (1u << pops) - 1;
        g->least = (u_char) pops;
        g->range = 0;

    } else {
        g->closed = (pops == 0) ? 0 : (2u << pops) - 1;
        g->least = (w->kind == AGG_PATTERN_NONE) ? 0 : (u_char) (pops + 1);
        g->range = (u_char) (AGG_PATTERN_DEPTH - w->high - g->least);
    }
}


/* the text from w->start to p in the table, where it may be new; 0: none */

static unsigned
agg_pattern_find(agg_patterns_t *t, const agg_pattern_walk_t *w,
    const u_char *p, const agg_scan_t *s)
{
    int             to;
    u_char         *slot;
    size_t          len, text;
    unsigned        i, n, flags, context;
    agg_pattern_t  *g;

    len = (size_t) (p - w->start);
    text = len;
    context = (w->replay == NULL) ? 0 : w->replay->context;

    if (len == 0 || len > AGG_PATTERN_TEXT || w->low < -30
        || (w->state != AGG_SCAN_AFTER && w->state != AGG_SCAN_VALUE
            && w->state != AGG_SCAN_FIRST_VALUE))
    {
        return 0;
    }

    if (s->state == AGG_SCAN_DONE) {

        if (context != 0) {
            return 0;
        }

        flags = AGG_PATTERN_END;

    } else if (*p == '"' && len < AGG_PATTERN_TEXT) {
        flags = 0;
        len++;

    } else {
        flags = AGG_PATTERN_SCALAR;
    }

    slot = &t->hash[agg_pattern_hash(w->start, len, context)];

    i = agg_pattern_known(t, w, *slot, len, flags, &n);

    if (i != 0) {
        return i;
    }

    if (n == AGG_PATTERN_CHAIN || t->n == AGG_PATTERNS) {
        return 0;
    }

    i = t->n;
    to = 0;

    if (context != 0) {
        to = w->replay->learn(w->replay->data, context,
                              &w->replay->outputs[i], w->start, text);

        if (to < 0) {
            return 0;
        }

        flags |= (to & AGG_REPLAY_APPLY) ? AGG_PATTERN_APPLY : 0;
        to &= AGG_REPLAY_APPLY - 1;

    } else if (w->low != 0 || w->high != 0) {
        flags |= AGG_PATTERN_BRACKET;
    }

    t->n++;
    g = &t->pattern[i];

    agg_pattern_fill(g, w, len, flags);

    g->state = s->state;
    g->context = (u_char) context;
    g->to = (u_char) to;

    g->output = (flags & AGG_PATTERN_APPLY)
                ? agg_pattern_output(g, &w->replay->outputs[i])
                : AGG_OUTPUT_ANY;
    g->next = t->pattern;
    g->other = t->pattern;
    g->chain = *slot;
    *slot = (u_char) i;

    return i;
}


static void
agg_pattern_walk_start(agg_pattern_walk_t *w, const agg_scan_t *s,
    const u_char *p)
{
    w->start = p;
    w->state = s->state;
    w->kinds = s->kinds[0];
    w->kind = (s->depth == s->base) ? AGG_PATTERN_NONE : (s->kinds[0] & 1);
    w->level = 0;
    w->low = 0;
    w->high = 0;
    w->pushed = 0;
    w->replay = NULL;
}


/* the text that the scanner's place follows */

static agg_pattern_t *
agg_pattern_before(const agg_scan_t *s)
{
    agg_pattern_t  *g;

    g = s->patterns->before;
    s->patterns->before = NULL;

    if (g != NULL) {
        return g;
    }

    return &s->patterns->pattern[(s->depth == s->base) ? AGG_PATTERN_ROOT
                                                       : AGG_PATTERN_OTHER];
}


/*
 * Behind a value, or at the start of one, where none of the texts is that are
 * known to come behind g.  Leads to the next scalar, t->found being the text
 * before it.  NULL: t->at is where the scanner's state is true.
 */

static const u_char *
agg_pattern_miss(agg_scan_t *s, agg_pattern_t *g, const u_char *p)
{
    unsigned            n;
    const u_char       *q;
    agg_patterns_t     *t;
    agg_pattern_walk_t  w;

    t = s->patterns;
    t->at = p;

    if (!agg_pattern_pay(t, p, AGG_PATTERN_MISS)) {
        return NULL;
    }

    agg_pattern_walk_start(&w, s, p);

    q = agg_pattern_walk(s, &w, &t->at, t->beyond);

    if (q == NULL && s->state != AGG_SCAN_DONE) {
        return NULL;
    }

    n = agg_pattern_find(t, &w, t->at, s);

    if (n == 0) {
        n = AGG_PATTERN_OTHER;

    } else if (g != &t->pattern[AGG_PATTERN_OTHER]
               && (g->other == t->pattern
                   || !(t->pattern[n].flags & AGG_PATTERN_END)))
    {
        /* the end comes once: two others that take turns stay */

        g->other = g->next;
        g->next = &t->pattern[n];
    }

    t->found = &t->pattern[n];

    return q;
}


/* whether a scalar seems to begin with c */

#define agg_replay_scalar(c)                                                 \
    (agg_is_digit(c)                                                         \
     || ((c) > ' ' && ((c) | 0x20) != '{' && ((c) | 0x20) != '}'))


/* whether no scalar is at p, and nothing was done for the text before it */

static inline int
agg_replay_undone(const agg_pattern_t *g, const u_char *p)
{
    return (g->plain != 0 || g->output == AGG_OUTPUT_RESUME)
           && !agg_replay_scalar(*p);
}


/* the same as AGG_CORE(apply) of agg_pattern_run.h, for any output */

static __attribute__((noinline)) agg_pattern_rc_e
agg_replay_apply(agg_replay_t *rp, const agg_pattern_t *g, const u_char *p)
{
    const agg_replay_output_t  *o;

    if (g->output == AGG_OUTPUT_NONE
        || ((g->flags & AGG_PATTERN_SCALAR) && !agg_replay_scalar(p[g->len])))
    {
        return AGG_PATTERN_MISSED;
    }

    o = &rp->outputs[g - rp->patterns->pattern];
    p += rp->shift;

    if (g->cut != AGG_REPLAY_NONE) {
        rp->rc = agg_buf_append(rp->out, rp->from,
                                (size_t) (p + g->cut - rp->from));
    }

    if (o->len != 0 && rp->rc == AGG_OK) {
        rp->rc = agg_buf_append(rp->out, o->insert, o->len);
    }

    if (g->resume != AGG_REPLAY_NONE) {
        rp->from = p + g->resume;
    }

    return (rp->rc == AGG_OK) ? AGG_PATTERN_FOUND : AGG_PATTERN_FAILED;
}


/* the scanner behind a value of a replay, or at its start */

static void
agg_replay_place(agg_scan_t *s, const agg_replay_t *rp, int start)
{
    const agg_replay_place_t  *place;

    place = &rp->places[rp->context];

    s->kinds[0] = place->kinds;
    s->depth = (u_char) (s->base + place->depth);

    if (!start) {
        s->state = AGG_SCAN_AFTER;
    }
}


/* where a replay stops; rc tells why it does */

static void
agg_replay_stopped(agg_scan_t *s, agg_replay_t *rp, agg_pattern_rc_e rc,
    int start)
{
    agg_replay_place(s, rp, start);

    if (rp->rc != AGG_OK) {
        rp->stop = AGG_REPLAY_FAILED;

    } else if (rc == AGG_PATTERN_CUT) {
        rp->stop = AGG_REPLAY_STRING;

    } else if (rc == AGG_PATTERN_NOTHING) {
        rp->stop = AGG_REPLAY_DUE;
        s->state = rp->before->state;

    } else {
        rp->stop = AGG_REPLAY_AFTER;
    }
}


/* the same in a replay; NULL: it stops at p, or rp->rc tells of an error */

static const u_char *
agg_replay_miss(agg_scan_t *s, agg_replay_t *rp, agg_pattern_t *g,
    const u_char *p)
{
    unsigned            n;
    const u_char       *q;
    agg_patterns_t     *t;
    agg_pattern_walk_t  w;

    t = rp->patterns;
    t->at = p;

    if (!agg_pattern_pay(t, p, AGG_PATTERN_MISS)) {
        return NULL;
    }

    agg_replay_place(s, rp, p == t->start);
    agg_pattern_walk_start(&w, s, p);

    w.replay = rp;

    q = agg_pattern_walk(s, &w, &t->at, t->beyond);

    n = (q == NULL || !agg_replay_scalar(*q)) ? 0
                                              : agg_pattern_find(t, &w, q, s);

    if (n == 0) {
        s->state = w.state;
        return NULL;
    }

    if (g != &t->pattern[AGG_PATTERN_OTHER]) {
        g->other = g->next;
        g->next = &t->pattern[n];

    } else {
        rp->places[rp->context].first = n;
    }

    g = &t->pattern[n];
    t->found = g;

    if ((g->flags & AGG_PATTERN_APPLY)
        && agg_replay_apply(rp, g, p) != AGG_PATTERN_FOUND)
    {
        return NULL;
    }

    rp->context = g->to;

    return q;
}


#endif /* AGG_PATTERN_H_INCLUDED */
