
/*
 * The loop of the core.  It is included once for each kind of vectors, with the
 * functions of agg_chunk_*.h under the names made by AGG_CORE, and with
 * AGG_CORE_TARGET.  Two constants have such names, too: "opens" is 1 if opening
 * brackets cost nothing when they are found on their own, and "ahead" if the
 * quotes of a block are found while the block before is checked.  Nearly all
 * instructions of a block depend on its quotes, and would have to await them.
 */


/*
 * Checks escapes, and characters other than printable ASCII.  Returns the
 * possible end of the block, or 0 after an error.
 */

agg_core_inline AGG_CORE_TARGET unsigned
AGG_CORE(special)(const agg_core_t *c, agg_masks_t *b, const u_char *p,
    const AGG_CORE(chunk_t) *chunk, const AGG_CORE(bytes_t) *k)
{
    uint64_t  slash, escaped, low, high;
    unsigned  cut;

    cut = AGG_CHUNK;
    slash = AGG_CORE(equal)(chunk, k, AGG_CORE_SLASH);

    if (__builtin_expect(slash != 0, 0)) {
        cut = agg_core_escapes(p, slash, &escaped);

        b->quote &= ~escaped;
        b->string = AGG_CORE(prefix_xor)(b->quote) ^ c->string;
    }

    low = AGG_CORE(low)(chunk, k);

    b->wrong = low & b->string;

    /* most documents with control characters only have lines */

    if ((low & ~b->space) == 0) {
        return cut;
    }

    high = AGG_CORE(high)(chunk);

    if (high == 0) {
        return cut;
    }

    b->wrong &= ~high;

    if (AGG_CORE(utf8)(p, chunk) != 0) {
        return 0;
    }

    return (cut == AGG_CHUNK)
           ? cut - agg_core_cut_character(p, p + AGG_CHUNK) : cut;
}


/* checks numbers and literals */

agg_core_inline AGG_CORE_TARGET int
AGG_CORE(scalars)(agg_masks_t *b, const u_char *p,
    const AGG_CORE(chunk_t) *chunk, const AGG_CORE(bytes_t) *k)
{
    uint64_t  digit, dot, other, integer, sum;

    digit = AGG_CORE(digit)(chunk, k) & b->scalar;

    integer = b->start;
    other = b->scalar ^ digit;

    if (other != 0) {

        dot = AGG_CORE(equal)(chunk, k, AGG_CORE_DOT) & other;
        other ^= dot;

        if (other != 0) {

            if (agg_core_words(b, p, &other, &integer) != 0) {
                return -1;
            }

            if (other != 0 && agg_core_exponents(b, p, digit, other) != 0) {
                return -1;
            }
        }

        /*
         * each point must be followed by a digit, and no other point may follow
         */

        sum = (dot << 1) + digit;

        b->wrong |= ((integer | dot << 1) & ~digit) | (sum & ~digit & dot);
    }

    /* no digit may follow a leading zero */

    integer &= AGG_CORE(equal)(chunk, k, AGG_CORE_ZERO);

    b->wrong |= integer << 1 & digit;

    return 0;
}


/* the quotes of a block */

agg_core_inline AGG_CORE_TARGET uint64_t
AGG_CORE(quotes)(const u_char *p, const AGG_CORE(bytes_t) *k)
{
    AGG_CORE(chunk_t)  chunk;

    AGG_CORE(load)(&chunk, p);

    return AGG_CORE(equal)(&chunk, k, AGG_CORE_QUOTE);
}


/*
 * Returns the number of accepted bytes, plus that of a block if the value ends
 * with them; 0 if something is invalid or not supported here.  If quotes are
 * looked for ahead, and next is not NULL, they are those of this block, and
 * those at next then.
 */

agg_core_inline AGG_CORE_TARGET unsigned
AGG_CORE(block)(const agg_scan_t *s, agg_core_t *c, uint64_t *quotes,
    const u_char *start, const u_char *from, const u_char *p,
    const u_char *next, const AGG_CORE(bytes_t) *k)
{
    int                odd;
    uint64_t           brackets, empty, run;
    unsigned           cut, done;
    agg_masks_t        masks, *b;
    AGG_CORE(chunk_t)  chunk;

    b = &masks;
    b->wrong = 0;
    b->live = ~0ull;

    cut = AGG_CHUNK;

    AGG_CORE(load)(&chunk, p);

    if (AGG_CORE(ahead) && next != NULL) {
        agg_core_saved(*quotes);

        b->quote = *quotes;
        *quotes = AGG_CORE(quotes)(next, k);

    } else {
        b->quote = AGG_CORE(equal)(&chunk, k, AGG_CORE_QUOTE);
    }

    b->string = AGG_CORE(prefix_xor)(b->quote) ^ c->string;

    odd = AGG_CORE(odd)(&chunk, k);
    b->space = AGG_CORE(space)(&chunk, k, odd);

    if (odd) {
        cut = AGG_CORE(special)(c, b, p, &chunk, k);

        if (cut == 0) {
            return 0;
        }
    }

    b->open = 0;
    brackets = AGG_CORE(bracket)(&chunk, k, &b->open) & ~b->string;
    b->open &= ~b->string;

    b->object = 0 - (c->kinds & 1);

    if (brackets != 0) {
        done = agg_core_brackets(c, b, p, brackets, AGG_CORE(opens));

        if (done <= AGG_CHUNK) {

            if (done == 0) {
                return 0;
            }

            b->live = ~0ull >> (AGG_CHUNK - done);
            b->open &= b->live;
            cut = done + AGG_CHUNK;
        }
    }

    b->space &= ~b->string;
    b->comma = AGG_CORE(equal)(&chunk, k, AGG_CORE_COMMA) & ~b->string;

    b->separator = AGG_CORE(equal)(&chunk, k, AGG_CORE_COLON) & ~b->string;
    b->separator |= b->comma | b->open;
    b->mark = b->separator | brackets;

    b->scalar = ~(b->mark | b->string | b->quote | b->space) & b->live;

    /* a scalar at the end may continue, so it is left to the next block */

    if ((int64_t) b->scalar < 0) {

        run = ~b->scalar;

        if (run == 0) {
            return 0;
        }

        cut = AGG_CHUNK - (unsigned) __builtin_clzll(run);

        b->scalar &= ~(~0ull << cut);
        b->space |= ~0ull << cut;
    }

    b->start = b->scalar & ~(b->scalar << 1);

    empty = agg_core_order(c, b);

    c->string = 0 - (b->string >> 63);
    c->space = b->space;

    if (b->scalar != 0) {
        if (AGG_CORE(scalars)(b, p, &chunk, k) != 0) {
            return 0;
        }
    }

    if ((b->wrong | empty) != 0) {

        if ((b->wrong & b->live) != 0
            || agg_core_empty(s, start, from, empty & b->live) != 0)
        {
            return 0;
        }
    }

    return cut;
}


/*
 * Accepts blocks as long as they are valid, and the rest in a copy; the value
 * may end.
 */

static AGG_CORE_TARGET const u_char *
AGG_CORE(run)(agg_scan_t *s, const u_char *start, const u_char *end)
{
    size_t                    left;
    u_char                    buf[AGG_CHUNK];
    uint64_t                  quotes;
    unsigned                  n, before;
    agg_core_t                c, next;
    const u_char             *p, *ahead;
    const AGG_CORE(bytes_t)  *k;

    if (!agg_core_enter(s, &c)) {
        return start;
    }

    k = AGG_CORE(bytes)();
    n = 0;

    for (p = start; (size_t) (end - p) >= AGG_CHUNK; p += n) {

        if (n != AGG_CHUNK) {
            quotes = AGG_CORE(quotes)(p, k);
        }

        ahead = ((size_t) (end - p) >= 2 * AGG_CHUNK) ? p + AGG_CHUNK : p;

        n = AGG_CORE(block)(s, &c, &quotes, start, p, p, ahead, k);

        if (n == 0) {

            /*
             * the state for that is not saved, so the bytes up to here are
             * scanned again
             */

            return (p == start) ? p : AGG_CORE(run)(s, start, p);
        }

        if (n > AGG_CHUNK) {
            goto done;
        }
    }

    left = (size_t) (end - p);
    left -= agg_core_cut_character(p, end);

    if (left == 0) {
        return agg_core_leave(s, &c, start, p - n, n);
    }

    next = c;
    before = n;

    memset(buf, AGG_CORE_PAD, AGG_CHUNK);
    memcpy(buf, p, left);

    n = AGG_CORE(block)(s, &next, &quotes, start, p, buf, NULL, k);

    if (n > AGG_CHUNK) {
        goto done;
    }

    if (n == 0) {
        return (p == start)
               ? p : agg_core_leave(s, &c, start, p - before, before);
    }

    if (n > left) {
        n = (unsigned) left;
    }

    return agg_core_leave(s, &next, start, p, n);

done:

    s->state = AGG_SCAN_DONE;
    s->depth = s->base;

    return p + n - AGG_CHUNK;
}
