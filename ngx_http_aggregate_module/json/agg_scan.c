
/*
 * The scanner: a machine that can stop at any byte.
 *
 * Two share one state.  The core (agg_core.h) takes blocks of containers, and
 * never fails: what it does not understand it leaves to the machine.  That one
 * takes a byte at a time, in any state, finds every error, and hands back as
 * soon as it stands between two tokens or in a string.
 */


#include "agg_scan_kind.h"


static int agg_scan_expects(const agg_scan_t *s, const u_char *p,
    const u_char *end);
static const u_char *agg_scan_expected(agg_scan_t *s, const u_char *p,
    const u_char *end);
static const u_char *agg_scan_plain(agg_scan_t *s, const u_char *p,
    const u_char *end);
static const u_char *agg_utf8_end(const u_char *p);
static const u_char *agg_scan_slow(agg_scan_t *s, const u_char *p,
    const u_char *end, const u_char *least);
static int agg_scan_byte(agg_scan_t *s, const u_char *p);
static int agg_scan_string_byte(agg_scan_t *s, u_char c);
static int agg_scan_escape_byte(agg_scan_t *s, u_char c);
static int agg_scan_lead_byte(agg_scan_t *s, u_char c);
static int agg_scan_number_byte(agg_scan_t *s, u_char c);


#define agg_is_continuation(c)  (((c) & 0xc0) == 0x80)

/* bytes of a string that need no look */

#define agg_is_plain(c)                                                      \
    ((c) >= 0x20 && (c) < 0x80 && (c) != '"' && (c) != '\\')

/* the state behind a value */

#define agg_scan_after(s)                                                    \
    (((s)->depth == (s)->base) ? AGG_SCAN_DONE : AGG_SCAN_AFTER)


void
agg_scan_init(agg_scan_t *s)
{
    s->patterns = NULL;
    s->offset = 0;

    agg_scan_start(s, 0);
}


agg_rc_e
agg_scan_push(agg_scan_t *s, const u_char *data, size_t len)
{
    const u_char  *p, *end;

    p = data;
    end = data + len;

    if (s->state < AGG_SCAN_DONE) {
        p = agg_scan_value(s, p, end);
    }

    if (s->state == AGG_SCAN_DONE) {
        while (p < end && agg_is_space(*p)) {
            p++;
        }

        if (p < end) {
            s->state = AGG_SCAN_ERROR;
        }
    }

    s->offset += (size_t) (p - data);

    return (s->state == AGG_SCAN_ERROR) ? AGG_INVALID : AGG_OK;
}


agg_rc_e
agg_scan_finish(agg_scan_t *s)
{
    if (s->depth == 0
        && s->state >= AGG_SCAN_ZERO && s->state <= AGG_SCAN_DONE)
    {
        s->state = AGG_SCAN_DONE;
        return AGG_OK;
    }

    s->state = AGG_SCAN_ERROR;

    return AGG_INVALID;
}


agg_rc_e
agg_json_validate(const u_char *data, size_t len, size_t *offset)
{
    agg_rc_e    rc;
    agg_scan_t  s;

    agg_scan_init(&s);

    rc = agg_scan_push(&s, data, len);
    if (rc == AGG_OK) {
        rc = agg_scan_finish(&s);
    }

    if (rc != AGG_OK && offset != NULL) {
        *offset = s.offset;
    }

    return rc;
}


void
agg_scan_start(agg_scan_t *s, unsigned depth)
{
    s->state = AGG_SCAN_VALUE;
    s->depth = (u_char) depth;
    s->base = (u_char) depth;
    s->kinds[0] = 0;
    s->kinds[1] = 0;
}


void
agg_scan_start_rest(agg_scan_t *s, unsigned depth)
{
    agg_scan_start(s, depth);

    s->base--;
}


void
agg_scan_start_string(agg_scan_t *s, unsigned depth)
{
    agg_scan_start(s, depth);

    s->state = AGG_SCAN_STRING;
}


const u_char *
agg_scan_value(agg_scan_t *s, const u_char *p, const u_char *end)
{
    const u_char  *least;

    least = p;

    for ( ;; ) {

        if (agg_scan_expects(s, p, end)) {
            p = agg_scan_expected(s, p, end);
            least = p;

            if (p == end || s->state == AGG_SCAN_DONE) {
                return p;
            }
        }

        if (s->state <= AGG_SCAN_NAME_STRING && !agg_scan_expects(s, p, end)) {

            if (s->depth != s->base) {

                if ((size_t) (end - p) >= AGG_CORE_LEAST) {
                    p = agg_scan_core(s, p, end);
                    least = p + AGG_CHUNK;
                }

            } else if ((size_t) (end - p) >= AGG_SCAN_AHEAD) {
                p = agg_scan_plain(s, p, end);
            }
        }

        if (s->state < AGG_SCAN_DONE) {
            p = agg_scan_slow(s, p, end, least);
        }

        if (p == end || s->state >= AGG_SCAN_DONE) {
            return p;
        }
    }
}


/* whether patterns can go on at p */

static int
agg_scan_expects(const agg_scan_t *s, const u_char *p, const u_char *end)
{
    return s->patterns != NULL && !s->patterns->off
           && s->state <= AGG_SCAN_NAME_STRING
           && (size_t) (end - p) >= AGG_CORE_LEAST
           && (s->depth != s->base
               || (s->state == AGG_SCAN_VALUE && (*p | 0x20) == '{'))
           && s->base <= AGG_PATTERN_BASE;
}


/*
 * By patterns, up to the last bytes, and then these in a copy: no token goes
 * on in the zeros behind them.  What is left is the machine's.
 */

static const u_char *
agg_scan_expected(agg_scan_t *s, const u_char *p, const u_char *end)
{
    u_char         buf[2 * AGG_PATTERN_AHEAD];
    size_t         left;
    const u_char  *q, *last;

    s->patterns->before = NULL;

    if ((size_t) (end - p) >= AGG_PATTERN_AHEAD) {
        last = end - AGG_PATTERN_AHEAD;
        s->patterns->beyond = end - AGG_SCAN_AHEAD;

        p = agg_scan_patterns(s, p, last);

        if (p <= last || p == end || s->state == AGG_SCAN_DONE) {
            return p;
        }
    }

    left = (size_t) (end - p);

    memcpy(buf, p, left);
    memset(buf + left, 0, sizeof(buf) - left);

    last = buf + left;
    s->patterns->beyond = last - 1;

    q = agg_scan_patterns(s, buf, last - 1);

    if (q == last && s->state == AGG_SCAN_AFTER && agg_is_digit(q[-1])) {

        /* a number may go on */

        while (q > buf && (agg_is_digit(q[-1])
                           || memchr("+-.eE", q[-1], 5) != NULL))
        {
            q--;
        }

        s->state = AGG_SCAN_VALUE;
    }

    return p + (q - buf);
}


/*
 * A replay, and then the last bytes of a piece in a copy as well.  What apply
 * is told of is in the piece.
 */

const u_char *
agg_scan_replay(agg_scan_t *s, agg_replay_t *rp, const u_char *p,
    const u_char *end)
{
    u_char          buf[2 * AGG_PATTERN_AHEAD];
    size_t          left;
    const u_char   *q, *last;
    agg_pattern_t  *g;

    g = &rp->patterns->pattern[AGG_PATTERN_OTHER];
    g->next = &rp->patterns->pattern[rp->places[rp->context].first];
    g->to = (u_char) rp->context;

    rp->stop = AGG_REPLAY_AFTER;
    rp->rc = AGG_OK;
    rp->before = g;
    rp->shift = 0;

    if ((size_t) (end - p) >= AGG_PATTERN_AHEAD) {
        last = end - AGG_PATTERN_AHEAD;
        rp->patterns->beyond = end - AGG_SCAN_AHEAD;

        p = agg_scan_replayed(s, rp, p, last);

        if (p <= last || rp->stop > AGG_REPLAY_STRING) {
            g->next = rp->patterns->pattern;
            return p;
        }
    }

    left = (size_t) (end - p);

    memcpy(buf, p, left);
    memset(buf + left, 0, sizeof(buf) - left);

    rp->shift = (ptrdiff_t) ((uintptr_t) p - (uintptr_t) buf);
    last = buf + left;
    rp->patterns->beyond = last - 1;

    q = agg_scan_replayed(s, rp, buf, last - 1);

    g->next = rp->patterns->pattern;

    if (q == last && rp->stop == AGG_REPLAY_AFTER && agg_is_digit(q[-1])) {

        /* a number may go on */

        while (agg_is_digit(q[-1])
               || memchr("+-.eE", q[-1], 5) != NULL)
        {
            q--;
        }

        s->state = AGG_SCAN_VALUE;
        rp->stop = AGG_REPLAY_DUE;
    }

    return p + (q - buf);
}


/* a value without containers around it that are its own */

static const u_char *
agg_scan_plain(agg_scan_t *s, const u_char *p, const u_char *end)
{
    const u_char  *q;

    if (s->state == AGG_SCAN_VALUE) {

        if (*p != '"') {
            q = agg_scan_scalar(p, *p);

            if (q == NULL) {
                return p;
            }

            s->state = AGG_SCAN_DONE;

            return q;
        }

        s->state = AGG_SCAN_STRING;
        p++;
    }

    p = agg_scan_string(p, end - AGG_SCAN_AHEAD);

    if (*p == '"') {
        s->state = AGG_SCAN_DONE;
        p++;
    }

    return p;
}


const u_char *
agg_long_number_end(const u_char *p)
{
    unsigned  mask;

    mask = agg_block_not_digit(p);

    if (mask == 0) {
        return NULL;
    }

    p += agg_first(mask);

    return (*p == '.' || (*p | 0x20) == 'e') ? NULL : p;
}


const u_char *
agg_fraction_end(const u_char *p)
{
    unsigned  mask, n;

    if (*p == '.') {
        p++;

        mask = agg_block_not_digit(p);

        if (mask & 1) {
            return NULL;
        }

        if (mask == 0) {
            p += AGG_BLOCK;

            for (n = 0; agg_is_digit(*p); n++) {
                if (n == 4) {
                    return NULL;
                }

                p++;
            }

        } else {
            p += agg_first(mask);
        }
    }

    if ((*p | 0x20) == 'e') {
        p++;

        if (*p == '+' || *p == '-') {
            p++;
        }

        for (n = 0; agg_is_digit(*p); n++) {
            if (n == 3) {
                return NULL;
            }

            p++;
        }

        if (n == 0) {
            return NULL;
        }
    }

    return (*p == '.') ? NULL : p;
}


const u_char *
agg_literal_end(const u_char *p)
{
    if (*p == 't') {
        return (memcmp(p, "true", 4) == 0) ? p + 4 : NULL;
    }

    if (*p == 'f') {
        return (memcmp(p + 1, "alse", 4) == 0) ? p + 5 : NULL;
    }

    return (memcmp(p, "null", 4) == 0) ? p + 4 : NULL;
}


const u_char *
agg_flat_array_end(const u_char *p, const u_char *last)
{
    u_char    c;
    unsigned  n;

    p = agg_skip_space(p, last);

    if (*p == ']') {
        return p + 1;
    }

    for (n = 0; n < AGG_SCAN_FLAT && p <= last; n++) {
        c = *p;

        if (c == '"') {
            p = agg_scan_string(p + 1, last);

            if (*p != '"') {
                return NULL;
            }

            p++;

        } else {
            p = agg_scan_scalar(p, c);

            if (p == NULL) {
                return NULL;
            }
        }

        if (p <= last) {
            p = agg_skip_space(p, last);
        }

        if (*p == ']') {
            return p + 1;
        }

        if (*p != ',' || p > last) {
            return NULL;
        }

        p = agg_skip_space(p + 1, last);
    }

    return NULL;
}


const u_char *
agg_skip_spaces(const u_char *p, const u_char *last)
{
    unsigned  mask;

    for ( ;; ) {
        mask = agg_block_not_space(p);

        if (mask != 0) {
            return p + agg_first(mask);
        }

        p += AGG_BLOCK;

        if (p > last) {
            return p;
        }
    }
}


const u_char *
agg_string_end(const u_char *p, const u_char *last)
{
    unsigned       mask;
    const u_char  *q;

    do {
        mask = agg_block_special(p);

        if (mask == 0) {
            p += AGG_BLOCK;
            q = p;
            continue;
        }

        q = p + agg_first(mask);

        if (*q == '"') {
            return q;
        }

        if (*q == '\\' && agg_is_escaped(q[1])) {
            p = q + 2;
            continue;
        }

        p = agg_string_special(q);

        if (p == NULL) {
            return q;
        }

    } while (p <= last);

    return q;
}


const u_char *
agg_string_special(const u_char *p)
{
    const u_char  *end;

    if (*p == '\\') {

        if (agg_is_escaped(p[1])) {
            return p + 2;
        }

        return (p[1] == 'u' && agg_is_hex(p[2]) && agg_is_hex(p[3])
                && agg_is_hex(p[4]) && agg_is_hex(p[5]))
               ? p + 6 : NULL;
    }

    /* such characters seldom come alone */

    end = p + AGG_BLOCK - 4;

    do {
        p = agg_utf8_end(p);

    } while (p != NULL && p <= end && *p >= 0x80);

    return p;
}


static const u_char *
agg_utf8_end(const u_char *p)
{
    u_char  c;

    c = *p;

    if (c < 0xe0) {
        return (c >= 0xc2 && agg_is_continuation(p[1])) ? p + 2 : NULL;
    }

    if (!agg_is_continuation(p[1]) || !agg_is_continuation(p[2])) {
        return NULL;
    }

    if (c < 0xf0) {
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f)) {
            return NULL;
        }

        return p + 3;
    }

    if (!agg_is_continuation(p[3]) || c > 0xf4
        || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
    {
        return NULL;
    }

    return p + 4;
}


/* the core can take over again from "least" on */

static const u_char *
agg_scan_slow(agg_scan_t *s, const u_char *p, const u_char *end,
    const u_char *least)
{
    int     n;
    u_char  state;

    while (p < end) {

        if (s->state == AGG_SCAN_STRING || s->state == AGG_SCAN_NAME_STRING) {

            while (agg_is_plain(*p)) {
                p++;

                if (p == end) {
                    return p;
                }
            }
        }

        state = s->state;
        n = agg_scan_byte(s, p);

        if (n < 0) {
            s->failed = state;
            s->state = AGG_SCAN_ERROR;
            return p;
        }

        p += n;

        if (s->state == AGG_SCAN_DONE
            || (s->state <= AGG_SCAN_NAME_STRING && p >= least
                && (size_t) (end - p) >= AGG_CORE_LEAST))
        {
            return p;
        }
    }

    return p;
}


/* bytes taken, 0 when the byte is not the number's, -1 when it cannot be */

static int
agg_scan_byte(agg_scan_t *s, const u_char *p)
{
    switch (s->state) {

    case AGG_SCAN_VALUE:
        return agg_scan_first_byte(s, *p);

    case AGG_SCAN_STRING:
    case AGG_SCAN_NAME_STRING:
        return agg_scan_string_byte(s, *p);

    case AGG_SCAN_ESCAPE:
    case AGG_SCAN_HEX:
        return agg_scan_escape_byte(s, *p);

    case AGG_SCAN_UTF8:

        if (*p < s->low || *p > s->high) {
            return -1;
        }

        s->low = 0x80;
        s->high = 0xbf;

        if (--s->more == 0) {
            s->state = s->string;
        }

        return 1;

    case AGG_SCAN_LITERAL:

        if (*p != (u_char) *s->literal) {
            return -1;
        }

        if (*++s->literal == '\0') {
            s->state = agg_scan_after(s);
        }

        return 1;

    case AGG_SCAN_COLON:
    case AGG_SCAN_FIRST_NAME:
    case AGG_SCAN_NAME:
    case AGG_SCAN_FIRST_VALUE:
    case AGG_SCAN_AFTER:

        return agg_is_space(*p) ? 1 : agg_scan_mark(s, *p);

    default:
        return agg_scan_number_byte(s, *p);
    }
}


/* skips the bytes between names and values; 0 when a value starts */

static int
agg_scan_mark(agg_scan_t *s, u_char c)
{
    u_char  object;

    object = s->kinds[0] & 1;

    switch (s->state) {

    case AGG_SCAN_COLON:

        s->state = AGG_SCAN_VALUE;

        return (c == ':') ? 1 : -1;

    case AGG_SCAN_FIRST_NAME:
    case AGG_SCAN_NAME:

        if (c == '"') {
            s->state = AGG_SCAN_NAME_STRING;
            return 1;
        }

        if (s->state == AGG_SCAN_NAME) {
            return -1;
        }

        break;

    case AGG_SCAN_FIRST_VALUE:

        if (c != ']') {
            s->state = AGG_SCAN_VALUE;
            return 0;
        }

        break;

    default: /* AGG_SCAN_AFTER */

        if (c == ',') {
            s->state = object ? AGG_SCAN_NAME : AGG_SCAN_VALUE;
            return 1;
        }
    }

    if (c != (object ? '}' : ']')) {
        return -1;
    }

    agg_kinds_pop(s->kinds);
    s->depth--;
    s->state = agg_scan_after(s);

    return 1;
}


static int
agg_scan_first_byte(agg_scan_t *s, u_char c)
{
    if (agg_is_space(c)) {
        return 1;
    }

    switch (c) {

    case '"':
        s->state = AGG_SCAN_STRING;
        return 1;

    case '{':
    case '[':

        if (s->depth == AGG_MAX_DEPTH) {
            return -1;
        }

        s->depth++;
        agg_kinds_push(s->kinds, c == '{');
        s->state = (c == '{') ? AGG_SCAN_FIRST_NAME : AGG_SCAN_FIRST_VALUE;
        return 1;

    case 't':
        s->literal = "rue";
        break;

    case 'f':
        s->literal = "alse";
        break;

    case 'n':
        s->literal = "ull";
        break;

    case '-':
        s->state = AGG_SCAN_MINUS;
        return 1;

    default:
        s->state = AGG_SCAN_MINUS;
        return agg_scan_number_byte(s, c);
    }

    s->state = AGG_SCAN_LITERAL;

    return 1;
}


static int
agg_scan_string_byte(agg_scan_t *s, u_char c)
{
    if (c == '"') {

        if (s->state == AGG_SCAN_NAME_STRING) {
            s->state = AGG_SCAN_COLON;

        } else {
            s->state = agg_scan_after(s);
        }

        return 1;
    }

    if (c == '\\') {
        s->string = s->state;
        s->state = AGG_SCAN_ESCAPE;
        return 1;
    }

    if (c >= 0x80) {
        s->string = s->state;
        s->state = AGG_SCAN_UTF8;
        return agg_scan_lead_byte(s, c);
    }

    return (c < 0x20) ? -1 : 1;
}


static int
agg_scan_escape_byte(agg_scan_t *s, u_char c)
{
    if (s->state == AGG_SCAN_HEX) {

        if (!agg_is_hex(c)) {
            return -1;
        }

        if (--s->more == 0) {
            s->state = s->string;
        }

        return 1;
    }

    if (c == 'u') {
        s->more = 4;
        s->state = AGG_SCAN_HEX;
        return 1;
    }

    s->state = s->string;

    return agg_is_escaped(c) ? 1 : -1;
}


static int
agg_scan_lead_byte(agg_scan_t *s, u_char c)
{
    if (c < 0xc2 || c > 0xf4) {
        return -1;
    }

    s->more = (c < 0xe0) ? 1 : (c < 0xf0) ? 2 : 3;
    s->low = (c == 0xe0) ? 0xa0 : (c == 0xf0) ? 0x90 : 0x80;
    s->high = (c == 0xed) ? 0x9f : (c == 0xf4) ? 0x8f : 0xbf;

    return 1;
}


static int
agg_scan_number_byte(agg_scan_t *s, u_char c)
{
    u_char  state;

    state = s->state;

    if (agg_is_digit(c)) {

        switch (state) {

        case AGG_SCAN_MINUS:
            s->state = (c == '0') ? AGG_SCAN_ZERO : AGG_SCAN_INTEGER;
            return 1;

        case AGG_SCAN_DOT:
            s->state = AGG_SCAN_FRACTION;
            return 1;

        case AGG_SCAN_E:
        case AGG_SCAN_E_SIGN:
            s->state = AGG_SCAN_EXPONENT;
            return 1;

        case AGG_SCAN_ZERO:
            break;

        default:
            return 1;
        }
    }

    if (state == AGG_SCAN_E && (c == '+' || c == '-')) {
        s->state = AGG_SCAN_E_SIGN;
        return 1;
    }

    if (state < AGG_SCAN_ZERO) {
        return -1;
    }

    if (c == '.' && (state == AGG_SCAN_ZERO || state == AGG_SCAN_INTEGER)) {
        s->state = AGG_SCAN_DOT;
        return 1;
    }

    if ((c == 'e' || c == 'E') && state != AGG_SCAN_EXPONENT) {
        s->state = AGG_SCAN_E;
        return 1;
    }

    s->state = agg_scan_after(s);

    return 0;
}
