
/*
 * The scanner under the document: one value at a time, for those who keep
 * account of the containers around it themselves.
 */


#ifndef AGG_SCAN_H_INCLUDED
#define AGG_SCAN_H_INCLUDED


#include "agg_json.h"
#include "agg_block.h"


#pragma GCC visibility push(hidden)


/* bytes that the fast loops may look at without asking */

#define AGG_SCAN_AHEAD  64

/* p[0] and p[1] against a string of two */

#define agg_is2(p, text)  (memcmp(p, text, 2) == 0)


/* four bytes as a word that was loaded */

#if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#define agg_word4(a, b, c, d)                                                \
    ((uint32_t) (a) << 24 | (uint32_t) (b) << 16 | (uint32_t) (c) << 8 | (d))
#else
#define agg_word4(a, b, c, d)                                                \
    ((uint32_t) (d) << 24 | (uint32_t) (c) << 16 | (uint32_t) (b) << 8 | (a))
#endif


/* the core can start in the first ones, up to NAME_STRING */

typedef enum {
    AGG_SCAN_VALUE = 0,
    AGG_SCAN_FIRST_VALUE,           /* or the array's end */
    AGG_SCAN_FIRST_NAME,            /* or the object's end */
    AGG_SCAN_NAME,
    AGG_SCAN_COLON,
    AGG_SCAN_AFTER,                 /* a value in a container */
    AGG_SCAN_STRING,
    AGG_SCAN_NAME_STRING,           /* follows AGG_SCAN_STRING */
    AGG_SCAN_ESCAPE,
    AGG_SCAN_HEX,
    AGG_SCAN_UTF8,
    AGG_SCAN_LITERAL,
    AGG_SCAN_MINUS,
    AGG_SCAN_DOT,
    AGG_SCAN_E,
    AGG_SCAN_E_SIGN,
    AGG_SCAN_ZERO,                  /* from here on a number is complete */
    AGG_SCAN_INTEGER,
    AGG_SCAN_FRACTION,
    AGG_SCAN_EXPONENT,
    AGG_SCAN_DONE,
    AGG_SCAN_ERROR
} agg_scan_state_e;


/* texts between scalars that were seen before: agg_pattern.h */

#define AGG_PATTERNS        48
#define AGG_PATTERN_BITS    6
#define AGG_PATTERN_TEXT    31

/* not in the table: before the first text of a value, and any other text */

#define AGG_PATTERN_ROOT    0
#define AGG_PATTERN_OTHER   1
#define AGG_PATTERN_FIRST   2

/* bytes that a document may lose by them */

#define AGG_PATTERN_CREDIT  6144


typedef struct agg_pattern_s  agg_pattern_t;

struct agg_pattern_s {
    u_char              quote;      /* of a string before the text */
    u_char              text[AGG_PATTERN_TEXT];
    uint32_t            behind;     /* a bit for each byte of both, */
    uint32_t            mask;       /* and of the text */
    ptrdiff_t           plain;      /* its length and the quote's, below 0 if
                                       no string follows, 0: there are flags */
    u_char              len;
    u_char              flags;
    u_char              chain;      /* of the same hash */
    u_char              from;       /* the state that it begins in, */
    u_char              kind;       /* and the container */
    u_char              state;      /* the state that it leads to */
    u_char              context;    /* where it is replayed, */
    u_char              to;         /* and where that leads to */
    u_char              output;     /* what of its output there is: */
    u_char              cut;
    u_char              resume;
    agg_pattern_t      *next;       /* what came behind it, */
    agg_pattern_t      *other;      /* and before that */
    uint32_t            kinds;      /* kinds of those that are closed, */
    uint32_t            closed;     /* where these bits are set */
    uint32_t            pushed;     /* kinds of those that stay open */
    u_char              pops;
    u_char              pushes;
    u_char              least;      /* containers around that it needs, */
    u_char              range;      /* and how many more there may be */
};


struct agg_patterns_s {
    size_t              credit;
    size_t              bytes;      /* gone over, and the credit */
    size_t              cost;       /* lost, as bytes */
    const u_char       *start;      /* of the bytes at hand */
    const u_char       *at;         /* where it stopped */
    const u_char       *beyond;     /* up to there a new text may reach */
    agg_pattern_t      *found;
    agg_pattern_t      *before;     /* the text that the last bytes follow */
    unsigned            n;
    unsigned            off;
    u_char              hash[1u << AGG_PATTERN_BITS];
    agg_pattern_t       pattern[AGG_PATTERNS];
};


/*
 * init makes a table ready that scans of one kind of documents may have in
 * common, one after the other and in turn; start is for each of the documents.
 */

void agg_patterns_init(agg_patterns_t *t);
void agg_patterns_start(agg_patterns_t *t);


/* something else was lost that costs as much as a text that is not known */

void agg_patterns_lost(agg_patterns_t *t);

#define agg_patterns_empty(t)  ((t)->n == AGG_PATTERN_FIRST)


/*
 * A replay: a scan that copies parts of what it goes over.  A text is expected
 * in a context of the caller's, a number from 1 that stands for all that the
 * caller's decisions depend on, and leads to another one.  learn is asked once
 * for each text: it returns the context behind the text, with AGG_REPLAY_APPLY
 * if the text has an output, which it fills in then, or -1 when the text is not
 * to be replayed.  A scalar follows.
 */

#define AGG_REPLAY_APPLY    0x100
#define AGG_REPLAY_INSERT   44
#define AGG_REPLAY_NONE     0xff

typedef enum {
    AGG_REPLAY_AFTER = 0,           /* behind a value */
    AGG_REPLAY_STRING,              /* in a string */
    AGG_REPLAY_DUE,                 /* before the scalar of a text */
    AGG_REPLAY_FAILED               /* there is no room for an output */
} agg_replay_stop_e;


/* places in the text, up to which and from which on is copied, or NONE */

typedef struct {
    u_char              cut;
    u_char              resume;
    u_char              len;
    u_char              insert[AGG_REPLAY_INSERT];  /* between them */
} agg_replay_output_t;


/* a context: its containers, and the text that came first behind it, if any */

typedef struct {
    uint64_t            kinds;
    unsigned            depth;
    unsigned            first;
} agg_replay_place_t;


typedef struct {
    agg_patterns_t     *patterns;
    agg_replay_place_t *places;     /* by context */
    int               (*learn)(void *data, unsigned context,
                               agg_replay_output_t *o, const u_char *text,
                               size_t len);
    void               *data;
    agg_replay_output_t *outputs;   /* of the texts, AGG_PATTERNS */
    agg_buf_t          *out;
    const u_char       *from;       /* what is copied begins there */
    unsigned            context;
    agg_replay_stop_e   stop;
    agg_rc_e            rc;         /* if it has failed */

    /* the scanner's own */

    agg_pattern_t      *before;
    ptrdiff_t           shift;      /* the piece from a copy of its bytes */
} agg_replay_t;


/*
 * Goes on from p, where the scanner stands behind a value in a container, or
 * where a container is due, until the value ends, the bytes are about to, or
 * there is something that cannot be replayed; returns where it stopped.  The
 * context and the scanner's state are true there, and so is from, where the
 * context is one that copies.
 */

const u_char *agg_scan_replay(agg_scan_t *s, agg_replay_t *rp,
    const u_char *p, const u_char *end);


/*
 * Bytes that are special in a string.  Two of them are an escape other than \u,
 * or a character, if a bit of the first one, two higher, is also the second's.
 */

#define AGG_PAIR_ESCAPED       0x01     /* behind a backslash */
#define AGG_PAIR_CONTINUATION  0x02
#define AGG_PAIR_SLASH         0x04
#define AGG_PAIR_LEAD          0x08     /* of a character of two bytes */

#define agg_pair_4(bits)   bits, bits, bits, bits
#define agg_pair_16(bits)  agg_pair_4(bits), agg_pair_4(bits),               \
                           agg_pair_4(bits), agg_pair_4(bits)

#define AGG_PAIRS                                                            \
    {                                                                        \
        ['"'] = AGG_PAIR_ESCAPED,                                            \
        ['/'] = AGG_PAIR_ESCAPED,                                            \
        ['\\'] = AGG_PAIR_ESCAPED | AGG_PAIR_SLASH,                          \
        ['b'] = AGG_PAIR_ESCAPED,                                            \
        ['f'] = AGG_PAIR_ESCAPED,                                            \
        ['n'] = AGG_PAIR_ESCAPED,                                            \
        ['r'] = AGG_PAIR_ESCAPED,                                            \
        ['t'] = AGG_PAIR_ESCAPED,                                            \
                                                                             \
        [0x80] = agg_pair_16(AGG_PAIR_CONTINUATION),                         \
        [0x90] = agg_pair_16(AGG_PAIR_CONTINUATION),                         \
        [0xa0] = agg_pair_16(AGG_PAIR_CONTINUATION),                         \
        [0xb0] = agg_pair_16(AGG_PAIR_CONTINUATION),                         \
                                                                             \
        [0xc2] = AGG_PAIR_LEAD, AGG_PAIR_LEAD,                               \
        [0xc4] = agg_pair_4(AGG_PAIR_LEAD), agg_pair_4(AGG_PAIR_LEAD),       \
                 agg_pair_4(AGG_PAIR_LEAD),                                  \
        [0xd0] = agg_pair_16(AGG_PAIR_LEAD)                                  \
    }

static const u_char  agg_pairs[256] = AGG_PAIRS;

#define agg_is_pair(pairs, c, next)  ((pairs)[c] >> 2 & (pairs)[next])
#define agg_is_escaped(c)            (agg_pairs[c] & AGG_PAIR_ESCAPED)


/* agg_scan_t.kinds: a bit for each container, the lowest for the innermost */

static inline void
agg_kinds_push(uint64_t *kinds, uint64_t object)
{
    kinds[1] = kinds[1] << 1 | kinds[0] >> 63;
    kinds[0] = kinds[0] << 1 | object;
}


static inline void
agg_kinds_pop(uint64_t *kinds)
{
    kinds[0] = kinds[0] >> 1 | kinds[1] << 63;
    kinds[1] >>= 1;
}


/*
 * start makes ready for one value inside "depth" containers, without white
 * space before it needed; start_rest for what is left of an array that is the
 * depth-th container, a value being due.  value takes bytes until the value
 * is DONE, the bytes end, or there is an ERROR, and returns where it stopped.
 * A number is done when a byte that is not its own is seen.
 */

void agg_scan_start(agg_scan_t *s, unsigned depth);
void agg_scan_start_rest(agg_scan_t *s, unsigned depth);
const u_char *agg_scan_value(agg_scan_t *s, const u_char *p,
    const u_char *end);


/* the same for a string, p being behind its opening quote */

void agg_scan_start_string(agg_scan_t *s, unsigned depth);


/*
 * The kinds of the core that this machine can run, the fastest one first: it
 * is in use from the start.  name: NULL behind the last one.
 */

const char *agg_scan_core_name(unsigned n);
void agg_scan_core_use(unsigned n);


/*
 * Steps over what is special in a string: an escape or a character that is
 * not ASCII.  NULL when it is neither, or wrong.  AGG_BLOCK bytes must be
 * readable.
 */

const u_char *agg_string_special(const u_char *p);


/*
 * Looks for the closing quote in a string that goes on at p, where
 * AGG_SCAN_AHEAD bytes are readable at last.  Where it returns stands the
 * quote, or it gave up there, all before being good.  From p <= last + 1 a
 * quote is found up to a block behind p or last, whichever is more, so that a
 * name, a colon, a blank and a number behind it end before the bytes do.
 */

const u_char *agg_string_end(const u_char *p, const u_char *last);


/*
 * The ends of numbers whose first block has been looked at, or whose digits
 * have, and of literals; NULL when there is none or more would have to be
 * read.
 */

const u_char *agg_long_number_end(const u_char *p);
const u_char *agg_fraction_end(const u_char *p);
const u_char *agg_literal_end(const u_char *p);


/*
 * The end of an array that holds a few strings, numbers and literals, p being
 * behind its opening bracket; NULL when it is another one, goes on beyond
 * last, or is wrong.
 */

#define AGG_SCAN_FLAT  16

const u_char *agg_flat_array_end(const u_char *p, const u_char *last);


/*
 * Looks for the end of white space, if any, at p <= last; it may give up
 * beyond last.
 */

const u_char *agg_skip_spaces(const u_char *p, const u_char *last);


/* most white space is a blank, or a line's end and blanks */

static inline const u_char *
agg_skip_space(const u_char *p, const u_char *last)
{
    if (*p > ' ') {
        return p;
    }

    if (*p == '\n') {
        p++;
    }

    p += agg_first(agg_block_not_blank(p) | 1u << AGG_BLOCK);

    return (*p > ' ') ? p : agg_skip_spaces(p, last);
}


/* most strings are shorter than a block */

static inline const u_char *
agg_scan_string(const u_char *p, const u_char *last)
{
    const u_char  *quote;

    /* behind a block without anything special may stand the quote as well */

    quote = p + agg_first(agg_block_special(p) | 1u << AGG_BLOCK);

    if (*quote == '"') {
        return quote;
    }

    if (quote == p + AGG_BLOCK) {

        if (quote > last) {
            return quote;
        }

        p = quote;
    }

    return agg_string_end(p, last);
}


/*
 * The end of a number or a literal; NULL when it is none, or longer than one
 * can look.
 */

static inline const u_char *
agg_scan_scalar(const u_char *p, u_char c)
{
    unsigned       mask;
    const u_char  *q;

    if (!agg_is_digit(c)) {

        if (c != '-') {
            return (c > ' ') ? agg_literal_end(p) : NULL;
        }

        p++;
        c = *p;

        if (!agg_is_digit(c)) {
            return NULL;
        }
    }

    mask = agg_block_not_digit(p);

    if (c == '0' && (mask & 2) == 0) {
        return NULL;
    }

    if (mask == 0) {
        return agg_long_number_end(p + AGG_BLOCK);
    }

    q = p + agg_first(mask);

    if (*q == '.') {

        /* a short fraction ends in the same block */

        mask &= mask - 1;

        if (mask != 0) {
            p += agg_first(mask);

            if (p != q + 1 && *p != '.' && (*p | 0x20) != 'e') {
                return p;
            }
        }

        return agg_fraction_end(q);
    }

    return ((*q | 0x20) == 'e') ? agg_fraction_end(q) : q;
}


#pragma GCC visibility pop


#endif /* AGG_SCAN_H_INCLUDED */
