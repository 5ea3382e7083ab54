
/*
 * The scanner's fast core: containers in blocks of 64 bytes.
 *
 * Each block is converted to masks of quotes, of each kind of mark and of white
 * space, with a bit for each byte, the lowest bit for the first byte.  Bytes in
 * strings are removed by a prefix xor over the quotes.  Then the grammar is
 * checked for all tokens of the block together: an addition carries a bit over
 * a run of set bits, to the next token or the next mark.
 *
 *   - a separator (a comma, a colon or an opening bracket) is followed by a
 *     value or a name, or, if it is a bracket, by its end, and nothing else is
 *     preceded by a separator;
 *   - in an object, the next mark after the opening brace or a comma is a
 *     colon, without a scalar before it, and there are no other colons.
 *
 * Only brackets, literals, exponents and escapes are handled one by one, with a
 * stack of bits that tell for each container whether it is an object.
 * Non-ASCII characters and numbers are checked in the blocks that contain
 * them.  A block ends before a scalar, an escape or a character that may
 * continue after it, so none of these is ever cut.
 *
 * The core never fails: anything that it does not support is left to the state
 * machine of agg_scan.c, at a position where that can continue.
 *
 * Cost:     in usual documents 190 to 220 instructions a block with AVX-512,
 *           235 to 270 with AVX2, 450 to 550 with SSE2, 290 to 310 with NEON.
 * Source:   Langdale and Lemire, Parsing Gigabytes of JSON per Second, 2019;
 *           Keiser and Lemire, Validating UTF-8 In Less Than One Instruction
 *           Per Byte, 2021; Cameron et al., Parabix (runs by additions).
 */


#ifndef AGG_CORE_H_INCLUDED
#define AGG_CORE_H_INCLUDED


#include "agg_scan.h"


#if (defined __x86_64__ && !defined AGG_NO_SSE2)
#define AGG_SCAN_AVX     1
#endif

#if (defined __aarch64__ && defined __ARM_NEON && !defined AGG_NO_NEON)
#define AGG_SCAN_NEON    1
#endif


#define AGG_CHUNK        64

/* the core is not worth its setup for fewer bytes */

#define AGG_CORE_LEAST   12

/* a value may have so many containers of its own at a time */

#define AGG_CORE_DEPTH   63

/*
 * Fills the last block after the end: it is not part of an escape, nor of a
 * scalar that may end only with the block.
 */

#define AGG_CORE_PAD     'z'

#define agg_core_inline  static inline __attribute__((always_inline))

#define agg_is_hex(c)                                                        \
    (agg_is_digit(c) || (u_char) (((c) | 0x20) - 'a') <= 5)


/* the bytes that are looked up */

typedef enum {
    AGG_CORE_QUOTE = 0,
    AGG_CORE_SLASH,
    AGG_CORE_COMMA,
    AGG_CORE_COLON,
    AGG_CORE_OPEN,                  /* these with the bit of lower case */
    AGG_CORE_CLOSE,
    AGG_CORE_ZERO,
    AGG_CORE_DOT,
    AGG_CORE_LOWER,                 /* that bit */
    AGG_CORE_BYTES
} agg_core_byte_e;


/* a list of them, as made by "of" */

#define AGG_CORE_EACH(of)                                                    \
    { of('"'), of('\\'), of(','), of(':'), of('{'), of('}'), of('0'),        \
      of('.'), of(0x20) }

#define agg_core_of(c)  c

static const u_char  agg_core_bytes[AGG_CORE_BYTES]
    __attribute__((unused)) = AGG_CORE_EACH(agg_core_of);


/*
 * The compiler does not see through the pointer.  It would make each vector of
 * a table anew from its byte, or keep in registers what it has loaded.
 */

agg_core_inline const void *
agg_core_table(const void *table)
{
    __asm__ ("" : "+r" (table));

    return table;
}


/* otherwise the compiler computes this last, and saves what that needs */

#define agg_core_now(value)  __asm__ volatile ("" : "+r" (value))

/* a vector is loaded from memory, and not by way of a register */

#define agg_core_saved(value)  __asm__ ("" : "+m" (value))


/* white space, where its low four bits are its place */

#define AGG_CORE_SPACES                                                      \
    ' ', 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f,                           \
    0x7f, '\t', '\n', 0x7e, 0x7f, '\r', 0x7f, 0x7e


/*
 * the state between two blocks, which are not cut within tokens except strings
 */

typedef struct {
    uint64_t            string;     /* all ones within a string */
    uint64_t            due;        /* the last token is a separator */
    uint64_t            name;       /* the next mark is to be a colon */
    uint64_t            kinds;      /* of the containers, under a set bit */
    uint64_t            space;      /* in the last block */
} agg_core_t;


/* the masks of a block; within strings, all but quotes are clear */

typedef struct {
    uint64_t            string;     /* from the opening quote on */
    uint64_t            quote;
    uint64_t            space;
    uint64_t            comma;
    uint64_t            open;
    uint64_t            separator;  /* an opening bracket, comma or colon */
    uint64_t            mark;       /* or a closing bracket */
    uint64_t            scalar;
    uint64_t            start;      /* the first bytes of scalars */
    uint64_t            object;     /* the container is an object, a bracket
                                       itself being in what it leads to */
    uint64_t            wrong;
    uint64_t            live;       /* up to where the value ends */
} agg_masks_t;


/* each bit becomes the xor of itself and all lower bits */

agg_core_inline uint64_t
agg_core_prefix_xor(uint64_t m)
{
    m ^= m << 1;
    m ^= m << 2;
    m ^= m << 4;
    m ^= m << 8;
    m ^= m << 16;

    return m ^ m << 32;
}


/*
 * Checks escapes, and sets a mask of the bytes after their backslashes.
 * Returns the end of the block, which is before an escape that continues
 * after it; 0 if an escape is invalid, or nothing is left.
 */

static inline unsigned
agg_core_escapes(const u_char *p, uint64_t slash, uint64_t *escaped)
{
    unsigned  i, n;

    *escaped = 0;

    do {
        i = (unsigned) agg_first(slash);
        slash &= slash - 1;

        if (i + 1 == AGG_CHUNK) {
            return i;
        }

        *escaped |= 2ull << i;

        if (agg_is_escaped(p[i + 1])) {
            slash &= ~(2ull << i);
            continue;
        }

        if (p[i + 1] != 'u') {
            return 0;
        }

        for (n = i + 2; n < i + 6; n++) {

            if (n == AGG_CHUNK) {
                return i;
            }

            if (!agg_is_hex(p[n])) {
                return 0;
            }
        }

    } while (slash != 0);

    return AGG_CHUNK;
}


/*
 * Handles brackets one by one.  Returns the number of bytes if the value ends
 * in the block, one more than the block has if it does not, or 0 after an
 * error, or when there are too many containers.
 */

agg_core_inline unsigned
agg_core_brackets(agg_core_t *c, agg_masks_t *b, const u_char *p,
    uint64_t brackets, int opens)
{
    u_char    ch;
    uint64_t  kind, last;
    unsigned  i;

    last = b->object;

    do {
        i = (unsigned) agg_first(brackets);
        ch = p[i];

        /* bit 0x20 is set for a brace, and bit 0x02 for an opening bracket */

        kind = ch >> 5 & 1;

        if (opens ? b->open >> i & 1 : ch & 0x02u) {

            if (c->kinds >> AGG_CORE_DEPTH) {
                return 0;
            }

            if (!opens) {
                b->open |= brackets & (0 - brackets);
            }

            c->kinds = c->kinds << 1 | kind;

        } else {

            if (kind != (c->kinds & 1)) {
                return 0;
            }

            c->kinds >>= 1;

            if (c->kinds == 1) {
                return i + 1;
            }

            kind = c->kinds & 1;
        }

        kind = 0 - kind;
        b->object ^= (last ^ kind) & (~0ull << i);
        last = kind;

        brackets &= brackets - 1;

    } while (brackets != 0);

    return AGG_CHUNK + 1;
}


/*
 * Checks literals and signs; "other" has the bytes that are neither digits nor
 * points.  All scalars end in the block.
 */

agg_core_inline int
agg_core_words(const agg_masks_t *b, const u_char *p, uint64_t *other,
    uint64_t *integer)
{
    uint32_t  text;
    uint64_t  m, bit, all;
    unsigned  i;

    for (m = b->start & *other; m != 0; m &= m - 1) {
        bit = m & (0 - m);

        *integer ^= bit;

        i = (unsigned) agg_first(m);

        if (p[i] == '-') {
            *other ^= bit;
            *integer |= bit << 1;
            continue;
        }

        if (i > AGG_CHUNK - 5) {
            return -1;
        }

        memcpy(&text, p + i, 4);

        all = bit * 0x0f;

        if (text == agg_word4('f', 'a', 'l', 's')) {
            all = (p[i + 4] == 'e') ? bit * 0x1f : 0;

        } else if (text != agg_word4('t', 'r', 'u', 'e')
                   && text != agg_word4('n', 'u', 'l', 'l'))
        {
            return -1;
        }

        if (b->scalar & (all + bit)) {
            return -1;
        }

        *other ^= all;
    }

    return 0;
}


/* checks exponents, which are rare */

static inline int
agg_core_exponents(const agg_masks_t *b, const u_char *p, uint64_t digit,
    uint64_t other)
{
    unsigned  i;

    do {
        i = (unsigned) agg_first(other);
        other &= other - 1;

        if ((p[i] | 0x20) != 'e' || (digit << 1 >> i & 1) == 0) {
            return -1;
        }

        i++;

        if (p[i] == '+' || p[i] == '-') {
            other &= ~(1ull << i);
            i++;
        }

        if ((digit >> i & 1) == 0) {
            return -1;
        }

        i += (unsigned) agg_first(~(digit >> i));

        if (b->scalar >> i & 1) {
            return -1;
        }

    } while (other != 0);

    return 0;
}


/*
 * Checks the order of separators, marks and values.  An error makes everything
 * after it invalid, but nothing before it.  Returns the closing brackets that
 * directly follow a separator, which must be their own opening bracket.
 */

agg_core_inline uint64_t
agg_core_order(agg_core_t *c, agg_masks_t *b)
{
    uint64_t  behind, value, inner, named, colon, empty;

    behind = (b->separator << 1 | c->due) + b->space;

    /* whether the last token, if there is one, is a separator */

    c->due = (behind < b->space) | b->separator >> 63;
    agg_core_now(c->due);

    behind &= ~b->space;

    value = (b->quote & b->string) | b->start | b->open;
    inner = b->separator ^ b->open;
    empty = (b->mark ^ b->separator) & behind;

    b->wrong |= (value & ~behind) | (inner & behind);

    value = (b->comma | b->open) & b->object;
    named = value << 1 | c->name;

    colon = named + ~b->mark;
    c->name = (colon < named) | value >> 63;
    agg_core_now(c->name);

    colon &= b->mark;

    b->wrong |= ((colon ^ inner ^ b->comma) & ~empty)
                | (b->start & (colon - named));

    return empty;
}


/*
 * UTF-8 by lookup tables: the possible errors of two adjacent bytes, a bit for
 * each kind of error, by the high and the low half of the first byte and the
 * high half of the second.  It is an error if all three agree.  The highest bit
 * says that both are continuations, which is right if a third or fourth byte is
 * due.
 */

#define AGG_UTF8_SHORT      0x01    /* a lead without a continuation */
#define AGG_UTF8_LONG       0x02    /* a continuation behind ASCII */
#define AGG_UTF8_OVER_3     0x04    /* too long for its character */
#define AGG_UTF8_LARGE      0x08    /* above U+10FFFF: f4 9, f4 a, f5 and on */
#define AGG_UTF8_SURROGATE  0x10
#define AGG_UTF8_OVER_2     0x20
#define AGG_UTF8_OVER_4     0x40    /* and above U+10FFFF: f5 8 and on */
#define AGG_UTF8_BOTH       0x80

#define AGG_UTF8_ANY  (AGG_UTF8_SHORT | AGG_UTF8_LONG | AGG_UTF8_BOTH)
#define AGG_UTF8_F5   (AGG_UTF8_ANY | AGG_UTF8_LARGE | AGG_UTF8_OVER_4)

static const u_char  agg_utf8_first_high[16] = {
    AGG_UTF8_LONG, AGG_UTF8_LONG, AGG_UTF8_LONG, AGG_UTF8_LONG,
    AGG_UTF8_LONG, AGG_UTF8_LONG, AGG_UTF8_LONG, AGG_UTF8_LONG,
    AGG_UTF8_BOTH, AGG_UTF8_BOTH, AGG_UTF8_BOTH, AGG_UTF8_BOTH,
    AGG_UTF8_SHORT | AGG_UTF8_OVER_2,
    AGG_UTF8_SHORT,
    AGG_UTF8_SHORT | AGG_UTF8_OVER_3 | AGG_UTF8_SURROGATE,
    AGG_UTF8_SHORT | AGG_UTF8_LARGE | AGG_UTF8_OVER_4
};

static const u_char  agg_utf8_first_low[16] = {
    AGG_UTF8_ANY | AGG_UTF8_OVER_2 | AGG_UTF8_OVER_3 | AGG_UTF8_OVER_4,
    AGG_UTF8_ANY | AGG_UTF8_OVER_2,
    AGG_UTF8_ANY, AGG_UTF8_ANY,
    AGG_UTF8_ANY | AGG_UTF8_LARGE,
    AGG_UTF8_F5, AGG_UTF8_F5, AGG_UTF8_F5, AGG_UTF8_F5,
    AGG_UTF8_F5, AGG_UTF8_F5, AGG_UTF8_F5, AGG_UTF8_F5,
    AGG_UTF8_F5 | AGG_UTF8_SURROGATE,
    AGG_UTF8_F5, AGG_UTF8_F5
};

static const u_char  agg_utf8_second_high[16] = {
    AGG_UTF8_SHORT, AGG_UTF8_SHORT, AGG_UTF8_SHORT, AGG_UTF8_SHORT,
    AGG_UTF8_SHORT, AGG_UTF8_SHORT, AGG_UTF8_SHORT, AGG_UTF8_SHORT,
    AGG_UTF8_LONG | AGG_UTF8_BOTH | AGG_UTF8_OVER_2 | AGG_UTF8_OVER_3
        | AGG_UTF8_OVER_4,
    AGG_UTF8_LONG | AGG_UTF8_BOTH | AGG_UTF8_OVER_2 | AGG_UTF8_OVER_3
        | AGG_UTF8_LARGE,
    AGG_UTF8_LONG | AGG_UTF8_BOTH | AGG_UTF8_OVER_2 | AGG_UTF8_SURROGATE
        | AGG_UTF8_LARGE,
    AGG_UTF8_LONG | AGG_UTF8_BOTH | AGG_UTF8_OVER_2 | AGG_UTF8_SURROGATE
        | AGG_UTF8_LARGE,
    AGG_UTF8_SHORT, AGG_UTF8_SHORT, AGG_UTF8_SHORT, AGG_UTF8_SHORT
};


/* the number of bytes of a character that is cut at the end */

agg_core_inline unsigned
agg_core_cut_character(const u_char *start, const u_char *end)
{
    unsigned  n;

    for (n = 1; n < 4 && n <= (size_t) (end - start); n++) {

        if (end[-(ssize_t) n] >= 0xc0) {
            return (end[-(ssize_t) n] >= ((n == 1) ? 0xc0 : (n == 2) ? 0xe0
                                                            : 0xf0)) ? n : 0;
        }

        if (end[-(ssize_t) n] < 0x80) {
            break;
        }
    }

    return 0;
}



/*
 * A closing bracket after a separator is valid if that is its opening bracket,
 * in this block or before it.  That the two are of the same kind was checked
 * before.
 */

agg_core_inline int
agg_core_empty(const agg_scan_t *s, const u_char *start, const u_char *p,
    uint64_t empty)
{
    const u_char  *q;

    for ( /* void */ ; empty != 0; empty &= empty - 1) {
        q = p + agg_first(empty);

        while (q > start && agg_is_space(q[-1])) {
            q--;
        }

        if (q == start) {

            if (s->state != AGG_SCAN_FIRST_NAME
                && s->state != AGG_SCAN_FIRST_VALUE)
            {
                return -1;
            }

        } else if ((q[-1] | 0x20) != '{') {
            return -1;
        }
    }

    return 0;
}


/* the same, one character at a time; an incomplete one may still be valid */

static inline int
agg_core_utf8(const u_char *p)
{
    u_char         low, high;
    unsigned       n;
    const u_char  *end;

    end = p + AGG_CHUNK;

    while (p < end) {

        if (*p < 0x80) {
            p++;
            continue;
        }

        if (*p < 0xc2 || *p > 0xf4) {
            return 1;
        }

        n = (*p < 0xe0) ? 1 : (*p < 0xf0) ? 2 : 3;
        low = (*p == 0xe0) ? 0xa0 : (*p == 0xf0) ? 0x90 : 0x80;
        high = (*p == 0xed) ? 0x9f : (*p == 0xf4) ? 0x8f : 0xbf;

        for (p++; n != 0 && p < end; n--, p++) {

            if (*p < low || *p > high) {
                return 1;
            }

            low = 0x80;
            high = 0xbf;
        }
    }

    return 0;
}


#define agg_state_bit(state)  (1u << (state))

#define AGG_CORE_STRING                                                      \
    (agg_state_bit(AGG_SCAN_STRING) | agg_state_bit(AGG_SCAN_NAME_STRING))

#define AGG_CORE_DUE                                                         \
    (agg_state_bit(AGG_SCAN_VALUE) | agg_state_bit(AGG_SCAN_FIRST_VALUE)     \
     | agg_state_bit(AGG_SCAN_FIRST_NAME) | agg_state_bit(AGG_SCAN_NAME))

#define AGG_CORE_NAME                                                        \
    (agg_state_bit(AGG_SCAN_FIRST_NAME) | agg_state_bit(AGG_SCAN_NAME)       \
     | agg_state_bit(AGG_SCAN_COLON) | agg_state_bit(AGG_SCAN_NAME_STRING))


/* 0 if there are too many containers; there is at least one */

agg_core_inline int
agg_core_enter(const agg_scan_t *s, agg_core_t *c)
{
    unsigned  own;

    own = (unsigned) (s->depth - s->base);

    if (own > AGG_CORE_DEPTH || s->base > AGG_MAX_DEPTH - AGG_CORE_DEPTH) {
        return 0;
    }

    c->string = 0 - (uint64_t) (AGG_CORE_STRING >> s->state & 1);
    c->due = AGG_CORE_DUE >> s->state & 1;
    c->name = AGG_CORE_NAME >> s->state & 1;

    c->kinds = 1ull << own | (s->kinds[0] & ((1ull << own) - 1));
    c->space = 0;

    return 1;
}


/*
 * The state behind the last byte of a token, as what AGG_SCAN_AFTER becomes by
 * an exclusive or: by whether a colon is due, and whether the container is an
 * object.
 */

#define AGG_CORE_STATE(state)  (AGG_SCAN_##state ^ AGG_SCAN_AFTER)

#define AGG_CORE_STATES(array, object, array_name, name)                     \
    { AGG_CORE_STATE(array), AGG_CORE_STATE(object),                         \
      AGG_CORE_STATE(array_name), AGG_CORE_STATE(name) }

static const u_char  agg_core_states[0x80][4] = {
    ['"'] = AGG_CORE_STATES(AFTER, AFTER, COLON, COLON),
    [','] = AGG_CORE_STATES(VALUE, NAME, VALUE, NAME),
    [':'] = AGG_CORE_STATES(VALUE, VALUE, VALUE, VALUE),
    ['['] = AGG_CORE_STATES(FIRST_VALUE, FIRST_VALUE, FIRST_VALUE,
                            FIRST_VALUE),
    ['{'] = AGG_CORE_STATES(FIRST_NAME, FIRST_NAME, FIRST_NAME, FIRST_NAME)
};


/*
 * Saves the state: all before p, where the last block begins, and n bytes of
 * this one are valid, and only a string may be cut.  There is no jump that
 * depends on the text, since it would not be predicted.
 */

agg_core_inline const u_char *
agg_core_leave(agg_scan_t *s, const agg_core_t *c, const u_char *start,
    const u_char *p, unsigned n)
{
    unsigned       own, state, string;
    uint64_t       text;
    const u_char  *q;

    text = ~c->space & ~0ull >> (AGG_CHUNK - n);

    if (text != 0) {
        q = p + AGG_CHUNK - 1 - __builtin_clzll(text);

    } else {
        for (q = p - 1; q >= start && agg_is_space(*q); q--) { /* void */ }

        if (q < start) {
            return p + n;
        }
    }

    own = 63 - (unsigned) __builtin_clzll(c->kinds);

    s->kinds[0] = c->kinds ^ 1ull << own;
    s->kinds[1] = 0;
    s->depth = (u_char) (s->base + own);

    state = AGG_SCAN_AFTER
            ^ agg_core_states[*q & 0x7f][c->name << 1 | (c->kinds & 1)];

    string = AGG_SCAN_STRING + (unsigned) c->name;

    s->state = (u_char) (state ^ ((state ^ string) & (unsigned) c->string));

    return p + n;
}


#endif /* AGG_CORE_H_INCLUDED */
