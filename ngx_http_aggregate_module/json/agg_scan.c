
/*
 * The scanner: a machine that can stop at any byte.
 *
 * Two loops share one state.  The fast one takes whole tokens as long as
 * AGG_SCAN_AHEAD bytes are there, keeps the state in registers and in its
 * place in the code, and never fails: what it does not understand it leaves
 * to the slow one.  The slow one takes a byte at a time, in any state, finds
 * every error, and hands back as soon as it stands between two tokens.
 */


#include "agg_scan.h"


static const u_char *agg_scan_tail(agg_scan_t *s, const u_char *p,
    const u_char *end);
static const u_char *agg_scan_fast(agg_scan_t *s, const u_char *p,
    const u_char *last);
static inline const u_char *agg_scan_name(const u_char *p, const u_char *last,
    u_char *state);
static inline const u_char *agg_scan_marks(const u_char *p,
    const u_char *last, u_char *state, u_char **kind);
static inline const u_char *agg_scan_mark(const u_char *p, u_char *state,
    u_char **kind);
static const u_char *agg_utf8_end(const u_char *p);
static const u_char *agg_scan_slow(agg_scan_t *s, const u_char *p,
    const u_char *end);
static int agg_scan_byte(agg_scan_t *s, const u_char *p);
static int agg_scan_first_byte(agg_scan_t *s, u_char c);
static int agg_scan_string_byte(agg_scan_t *s, u_char c);
static int agg_scan_escape_byte(agg_scan_t *s, u_char c);
static int agg_scan_lead_byte(agg_scan_t *s, u_char c);
static int agg_scan_number_byte(agg_scan_t *s, u_char c);


#define agg_is_hex(c)                                                        \
    (agg_is_digit(c) || (u_char) (((c) | 0x20) - 'a') <= 5)

/* fewer bytes are not worth the fast loop */

#define AGG_SCAN_TAIL  8

#define agg_is_continuation(c)  (((c) & 0xc0) == 0x80)

/* bytes of a string that need no look */

#define agg_is_plain(c)                                                      \
    ((c) >= 0x20 && (c) < 0x80 && (c) != '"' && (c) != '\\')

#define agg_scan_after(kind)                                                 \
    (((kind) == AGG_SCAN_STOP) ? AGG_SCAN_DONE : AGG_SCAN_AFTER)


/* the characters that may follow a backslash, except u */

static const u_char  agg_escapes[256] = {
    ['"'] = 1, ['\\'] = 1, ['/'] = 1, ['b'] = 1, ['f'] = 1, ['n'] = 1,
    ['r'] = 1, ['t'] = 1
};


void
agg_scan_init(agg_scan_t *s)
{
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
    s->kinds[depth] = AGG_SCAN_STOP;
}


void
agg_scan_start_rest(agg_scan_t *s, unsigned depth)
{
    agg_scan_start(s, depth - 1);

    s->depth = (u_char) depth;
    s->kinds[depth] = AGG_SCAN_ARRAY;
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
    for ( ;; ) {

        if (s->state <= AGG_SCAN_NAME_STRING) {

            if ((size_t) (end - p) >= AGG_SCAN_AHEAD) {
                p = agg_scan_fast(s, p, end - AGG_SCAN_AHEAD);
            }

            if (s->state <= AGG_SCAN_NAME_STRING
                && (size_t) (end - p) >= AGG_SCAN_TAIL)
            {
                p = agg_scan_tail(s, p, end);
            }
        }

        if (s->state < AGG_SCAN_DONE) {
            p = agg_scan_slow(s, p, end);
        }

        if (p == end || s->state >= AGG_SCAN_DONE) {
            return p;
        }
    }
}


/*
 * The fast loop over the last bytes in a copy with room behind it.  The dot
 * there makes it leave any token that may go on with the next bytes: it is no
 * part of an escape, a literal or a character, and no end of a number.
 */

static const u_char *
agg_scan_tail(agg_scan_t *s, const u_char *p, const u_char *end)
{
    size_t         n, taken;
    u_char         buf[2 * AGG_SCAN_AHEAD + 1];
    const u_char  *stop;

    n = (size_t) (end - p);

    if (n > AGG_SCAN_AHEAD) {
        return p;
    }

    memcpy(buf, p, n);
    buf[n] = '.';
    memset(&buf[n + 1], 0, AGG_SCAN_AHEAD);

    stop = agg_scan_fast(s, buf, &buf[n - 1]);

    taken = (size_t) (stop - buf);

    return (taken < n) ? p + taken : end;
}


/*
 * A name or a value starts at p <= last, or a few bytes later.  Until the next
 * such check p gets on by a block for each of name and value and what stands
 * between them, so that what is read without asking is there.
 */

static const u_char *
agg_scan_fast(agg_scan_t *s, const u_char *p, const u_char *last)
{
    u_char         c, state;
    u_char        *kind;
    const u_char  *next;

    state = s->state;
    kind = &s->kinds[s->depth];

marks:

    p = agg_scan_marks(p, last, &state, &kind);

    if (p > last) {
        goto leave;
    }

    switch (state) {

    case AGG_SCAN_VALUE:
        goto value;

    case AGG_SCAN_NAME_STRING:
        goto name;

    case AGG_SCAN_STRING:
        goto string;

    default:
        goto leave;
    }

value:

    c = *p;

    if (c == '"') {
        p++;

    string:

        p = agg_scan_string(p, last);

        if (*p != '"') {
            state = AGG_SCAN_STRING;
            goto leave;
        }

        p++;

    } else if (c == '{' || c == '[') {

        if (kind == &s->kinds[AGG_MAX_DEPTH]) {
            goto leave;
        }

        p++;
        *++kind = c + 2;
        state = (c == '{') ? AGG_SCAN_FIRST_NAME : AGG_SCAN_FIRST_VALUE;
        goto marks;

    } else {
        next = agg_scan_scalar(p, c);

        if (next == NULL) {
            goto space;
        }

        p = next;
    }

    if (*kind == AGG_SCAN_OBJECT && *p == ',' && p <= last) {
        p = agg_skip_space(p + 1, last);

        if (*p != '"' || p > last) {
            state = AGG_SCAN_NAME;
            goto marks;
        }

        p++;

    name:

        p = agg_scan_name(p, last, &state);

        if (state == AGG_SCAN_VALUE) {
            goto value;
        }

        if (state == AGG_SCAN_COLON) {
            goto marks;
        }

        goto leave;
    }

    state = agg_scan_after(*kind);
    goto marks;

space:

    if (agg_is_space(*p)) {
        p = agg_skip_space(p, last);
        goto marks;
    }

leave:

    s->state = state;
    s->depth = (u_char) (kind - s->kinds);

    return p;
}


/* a name, and its colon and a blank where they follow; the state tells */

static inline const u_char *
agg_scan_name(const u_char *p, const u_char *last, u_char *state)
{
    p = agg_scan_string(p, last);

    if (agg_is2(p, "\":")) {
        *state = AGG_SCAN_VALUE;
        return p + ((p[2] == ' ') ? 3 : 2);
    }

    if (*p != '"') {
        *state = AGG_SCAN_NAME_STRING;
        return p;
    }

    *state = AGG_SCAN_COLON;

    return p + 1;
}


/* as far as marks and white space go; then a name or a value is due */

static inline const u_char *
agg_scan_marks(const u_char *p, const u_char *last, u_char *state,
    u_char **kind)
{
    const u_char  *next;

    while (p <= last && *state != AGG_SCAN_VALUE && *state < AGG_SCAN_STRING) {

        next = agg_scan_mark(p, state, kind);

        if (next == NULL) {
            next = agg_skip_space(p, last);

            if (next == p) {
                break;
            }
        }

        p = next;
    }

    return p;
}


/*
 * Steps over a mark between names and values.  Returns p itself where an array
 * starts with a value, NULL when what stands there does not fit.
 */

static inline const u_char *
agg_scan_mark(const u_char *p, u_char *state, u_char **kind)
{
    u_char  c;

    c = *p;

    switch (*state) {

    case AGG_SCAN_COLON:

        if (c != ':') {
            return NULL;
        }

        *state = AGG_SCAN_VALUE;
        return p + 1;

    case AGG_SCAN_FIRST_NAME:
    case AGG_SCAN_NAME:

        if (c == '"') {
            *state = AGG_SCAN_NAME_STRING;
            return p + 1;
        }

        if (c != '}' || *state == AGG_SCAN_NAME) {
            return NULL;
        }

        break;

    case AGG_SCAN_FIRST_VALUE:

        if (agg_is_space(c)) {
            return NULL;
        }

        if (c != ']') {
            *state = AGG_SCAN_VALUE;
            return p;
        }

        break;

    default: /* AGG_SCAN_AFTER */

        if (c == ',') {
            *state = (**kind == AGG_SCAN_OBJECT) ? AGG_SCAN_NAME
                                                 : AGG_SCAN_VALUE;
            return p + 1;
        }

        if (c != **kind) {
            return NULL;
        }
    }

    (*kind)--;
    *state = agg_scan_after(**kind);

    return p + 1;
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

        if (*q == '\\' && agg_escapes[q[1]]) {
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

        if (agg_escapes[p[1]]) {
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


static const u_char *
agg_scan_slow(agg_scan_t *s, const u_char *p, const u_char *end)
{
    int  n;

    while (p < end) {

        if (s->state == AGG_SCAN_STRING || s->state == AGG_SCAN_NAME_STRING) {

            while (agg_is_plain(*p)) {
                p++;

                if (p == end) {
                    return p;
                }
            }
        }

        n = agg_scan_byte(s, p);

        if (n < 0) {
            s->state = AGG_SCAN_ERROR;
            return p;
        }

        p += n;

        if (s->state == AGG_SCAN_DONE
            || (s->state <= AGG_SCAN_NAME_STRING
                && (size_t) (end - p) >= AGG_SCAN_TAIL))
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
    u_char        *kind;
    const u_char  *next;

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
            s->state = agg_scan_after(s->kinds[s->depth]);
        }

        return 1;

    case AGG_SCAN_COLON:
    case AGG_SCAN_FIRST_NAME:
    case AGG_SCAN_NAME:
    case AGG_SCAN_FIRST_VALUE:
    case AGG_SCAN_AFTER:

        kind = &s->kinds[s->depth];

        next = agg_scan_mark(p, &s->state, &kind);
        if (next == NULL) {
            return agg_is_space(*p) ? 1 : -1;
        }

        s->depth = (u_char) (kind - s->kinds);

        return (int) (next - p);

    default:
        return agg_scan_number_byte(s, *p);
    }
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

        s->kinds[++s->depth] = c + 2;
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
            s->state = agg_scan_after(s->kinds[s->depth]);
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

    return agg_escapes[c] ? 1 : -1;
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

    s->state = agg_scan_after(s->kinds[s->depth]);

    return 0;
}
