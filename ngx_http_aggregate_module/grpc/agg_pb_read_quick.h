
/*
 * The reader's values as most encoders write them: strings without \u, numbers
 * without exponents, nothing but a comma or a bracket behind a number, and
 * enough bytes of text and room behind it all.  They are read and written by
 * blocks.
 *
 * Whatever is another value, or wrong, is left as if nothing had been read, and
 * the rest of the reader does it once more.  Only a scalar or a list of scalars
 * is ever read twice.
 */


#ifndef AGG_PB_READ_QUICK_H_INCLUDED
#define AGG_PB_READ_QUICK_H_INCLUDED


#include "agg_block.h"
#include "agg_pb_number.h"
#include "agg_pb_read.h"
#include "gw_text.h"


#define agg_pb_inline  static inline __attribute__((always_inline))


/* bytes of text that a number is looked for in, and of room that it needs */

#define AGG_PB_AHEAD  (AGG_BLOCK * 3)


/* from the first escape, or the first character that is not ASCII, on */

static inline const u_char *
agg_pb_quick_special(const u_char *p, const u_char *end, u_char **dst)
{
    int     valid;
    size_t  n;

    static const u_char  escapes[256] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f',
        ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'
    };

    if (*p == '\\') {

        if (p + 1 == end || escapes[p[1]] == '\0') {
            return NULL;
        }

        *(*dst)++ = escapes[p[1]];

        return p + 2;
    }

    if (*p < 0x80) {
        return NULL;
    }

    do {

        if (*p >= 0xc2 && *p < 0xe0 && end - p > 1 && p[1] >> 6 == 2) {
            n = 2;

        } else {
            n = gw_utf8_length(p, end, &valid);

            if (!valid) {
                return NULL;
            }
        }

        for ( /* void */ ; n; n--) {
            *(*dst)++ = *p++;
        }

    } while (p < end && *p >= 0x80);

    return p;
}


/* less than a block of text is left, or of room: what is special in it */

static inline unsigned
agg_pb_quick_tail(const agg_pb_json_t *r, const u_char *p, u_char *dst)
{
    size_t  n;

    n = (size_t) (r->end - p);

    if (n >= AGG_BLOCK || r->w.out->end - dst < AGG_PB_AHEAD) {
        return 0;
    }

    memcpy(dst, p, n);

    return agg_block_special(r->end - AGG_BLOCK) >> (AGG_BLOCK - n);
}


/*
 * Writes the string behind the quote at p[-1] with its tag.  The end, or NULL.
 * A string is no longer than its JSON, so that there is room for it wherever
 * there is room for the text.
 */

agg_pb_inline const u_char *
agg_pb_quick_text(agg_pb_json_t *r, const agg_pb_field_t *f, const u_char *p,
    u_char **out)
{
    size_t         len, more;
    u_char        *dst, *start;
    unsigned       mask;
    ptrdiff_t      left, room;
    const u_char  *last;

    left = r->end - p - AGG_BLOCK;
    room = r->w.out->end - *out - AGG_PB_AHEAD;

    if (room < 0) {
        return NULL;
    }

    last = p + (left < room ? left : room);

    memcpy(*out, f->tag, sizeof(f->tag));

    start = *out + f->tag_len + 1;

    for (dst = start; /* void */ ; /* void */ ) {

        if (p <= last) {
            memcpy(dst, p, AGG_BLOCK);
            mask = agg_block_special(p);

        } else {
            mask = agg_pb_quick_tail(r, p, dst);

            if (mask == 0) {
                return NULL;
            }
        }

        if (mask == 0) {
            p += AGG_BLOCK;
            dst += AGG_BLOCK;
            continue;
        }

        p += agg_first(mask);
        dst += agg_first(mask);

        if (*p == '"') {
            break;
        }

        p = agg_pb_quick_special(p, r->end, &dst);

        if (p == NULL) {
            return NULL;
        }
    }

    len = (size_t) (dst - start);

    if (len >= 0x80) {
        more = agg_pb_varint_size(len) - 1;
        memmove(start + more, start, len);
        dst += more;
    }

    (void) agg_pb_put_varint(*out + f->tag_len, len);
    *out = dst;

    return p + 1;
}


agg_pb_inline const u_char *
agg_pb_quick_string(agg_pb_json_t *r, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    if (*p != '"') {
        return NULL;
    }

    if (p[1] == '"' && !f->presence) {
        return p + 2;
    }

    return agg_pb_quick_text(r, f, p + 1, out);
}


/* NULL: it is none, has more than sixteen digits, or is out of range */

agg_pb_inline const u_char *
agg_pb_quick_integer(const agg_pb_field_t *f, const u_char *p, uint64_t *bits)
{
    uint64_t  n, negative;
    unsigned  digits;

    negative = (*p == '-');
    p += negative;

    digits = agg_first(agg_block_not_digit(p) | 1u << AGG_BLOCK);

    if (digits == 0 || (*p == '0' && digits > 1)) {
        return NULL;
    }

    n = agg_pb_digits(p, digits);

    switch (f->type) {

    case AGG_PB_INT64:
    case AGG_PB_SINT64:
    case AGG_PB_SFIXED64:
        break;

    case AGG_PB_UINT32:
    case AGG_PB_FIXED32_TYPE:

        if (n > UINT32_MAX) {
            return NULL;
        }

        /* fall through */

    case AGG_PB_UINT64:
    case AGG_PB_FIXED64_TYPE:

        if (negative) {
            return NULL;
        }

        break;

    default:

        if (n > (uint64_t) INT32_MAX + negative) {
            return NULL;
        }
    }

    *bits = (n ^ (0 - negative)) + negative;

    return p + digits;
}


/* an integer, a double or a float, with the byte behind it in sight */

agg_pb_inline const u_char *
agg_pb_quick_number(const agg_pb_field_t *f, const u_char *p, uint64_t *bits)
{
    if (f->type == AGG_PB_DOUBLE || f->type == AGG_PB_FLOAT) {
        return agg_pb_short_decimal(p, f->type == AGG_PB_FLOAT, bits);
    }

    return agg_pb_quick_integer(f, p, bits);
}


agg_pb_inline u_char *
agg_pb_quick_put(const agg_pb_field_t *f, u_char *dst, uint64_t bits)
{
    switch (f->wire) {

    case AGG_PB_FIXED32:
        return agg_pb_put32(dst, (uint32_t) bits);

    case AGG_PB_FIXED64:
        return agg_pb_put64(dst, bits);

    default: /* AGG_PB_VARINT */

        if (f->type == AGG_PB_SINT32 || f->type == AGG_PB_SINT64) {
            bits = agg_pb_zigzag(bits);
        }

        return agg_pb_put_varint(dst, bits);
    }
}


/* the value that the name behind the quote at (*pos)[-1] has */

static inline const agg_pb_enum_value_t *
agg_pb_quick_enum(const agg_pb_enum_t *e, const u_char **pos,
    const u_char *end)
{
    unsigned       mask;
    const u_char  *p, *name;

    name = *pos;
    p = name;

    do {

        if (end - p < AGG_BLOCK) {
            return NULL;
        }

        mask = agg_block_special(p);
        p += mask ? agg_first(mask) : AGG_BLOCK;

    } while (mask == 0);

    *pos = p + 1;

    return (*p == '"') ? agg_pb_enum_by_name(e, name, (size_t) (p - name))
                       : NULL;
}


/* a number, an integer in quotes, true or false, the name of an enum's value */

agg_pb_inline const u_char *
agg_pb_quick_scalar(agg_pb_json_t *r, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    uint64_t                    bits;
    unsigned                    quoted;
    const agg_pb_enum_value_t  *value;

    if (r->w.out->end - *out < AGG_PB_AHEAD) {
        return NULL;
    }

    quoted = (*p == '"');
    p += quoted;

    if (f->type == AGG_PB_BOOL) {
        bits = (*p == 't');

        if (quoted || memcmp(p + !bits, bits ? "true" : "alse", 4) != 0
            || (!bits && *p != 'f'))
        {
            return NULL;
        }

        p += bits ? 4 : 5;

    } else if (f->type == AGG_PB_ENUM) {
        value = quoted ? agg_pb_quick_enum(f->enumeration, &p, r->end) : NULL;

        if (value == NULL) {
            return NULL;
        }

        bits = (uint64_t) (int64_t) value->number;

    } else {
        p = agg_pb_quick_number(f, p, &bits);

        if (p == NULL || (quoted ? *p++ != '"' : *p != ',' && *p != '}')) {
            return NULL;
        }
    }

    if (bits == 0 && !f->presence) {
        return p;
    }

    memcpy(*out, f->tag, sizeof(f->tag));
    *out = agg_pb_quick_put(f, *out + f->tag_len, bits);

    return p;
}


static inline const u_char *
agg_pb_quick_strings(agg_pb_json_t *r, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    u_char  *dst;

    if (*p != '[') {
        return NULL;
    }

    dst = *out;

    do {
        p++;

        if (p > r->last) {
            return NULL;
        }

        p += (*p == ' ');
        p = (*p == '"') ? agg_pb_quick_text(r, f, p + 1, &dst) : NULL;

        if (p == NULL || p == r->end) {
            return NULL;
        }

    } while (*p == ',');

    if (*p != ']') {
        return NULL;
    }

    *out = dst;

    return p + 1;
}


/* numbers that are packed */

static inline const u_char *
agg_pb_quick_numbers(agg_pb_json_t *r, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    size_t     len, more;
    u_char    *dst, *start;
    uint64_t   bits;

    if (*p != '[' || r->w.out->end - *out < AGG_PB_AHEAD) {
        return NULL;
    }

    memcpy(*out, f->tag, sizeof(f->tag));

    start = *out + f->tag_len + 1;
    dst = start;

    do {
        p++;

        if (p > r->last || r->w.out->end - dst < AGG_PB_AHEAD) {
            return NULL;
        }

        p += (*p == ' ');
        p = agg_pb_quick_number(f, p, &bits);

        if (p == NULL) {
            return NULL;
        }

        dst = agg_pb_quick_put(f, dst, bits);

    } while (*p == ',');

    if (*p != ']') {
        return NULL;
    }

    len = (size_t) (dst - start);

    if (len >= 0x80) {
        more = agg_pb_varint_size(len) - 1;
        memmove(start + more, start, len);
        dst += more;
    }

    (void) agg_pb_put_varint(start - 1, len);
    *out = dst;

    return p + 1;
}


/* a Timestamp */

static inline const u_char *
agg_pb_quick_timestamp(agg_pb_json_t *r, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    u_char        *dst, *start;
    int32_t        nanos;
    int64_t        seconds;
    unsigned       mask;
    const u_char  *end;

    /* there is none of more than 35 characters */

    if (*p != '"' || r->w.out->end - *out < AGG_PB_AHEAD) {
        return NULL;
    }

    end = ++p + AGG_BLOCK;
    mask = agg_block_special(end) | agg_block_special(p);

    if (mask == 0) {
        return NULL;
    }

    end += agg_first(mask);

    if (*end != '"'
        || agg_pb_text_timestamp(p, (size_t) (end - p), &seconds, &nanos) != 0)
    {
        return NULL;
    }

    memcpy(*out, f->tag, sizeof(f->tag));

    start = *out + f->tag_len + 1;
    dst = start;

    if (seconds != 0) {
        *dst++ = agg_pb_tag(1, AGG_PB_VARINT);
        dst = agg_pb_put_varint(dst, (uint64_t) seconds);
    }

    if (nanos != 0) {
        *dst++ = agg_pb_tag(2, AGG_PB_VARINT);
        dst = agg_pb_put_varint(dst, (uint64_t) nanos);
    }

    start[-1] = (u_char) (dst - start);
    *out = dst;

    return end + 1;
}


/*
 * The end of a value that was written; NULL: it is none of the quick ones.
 * p <= r->last.
 */

agg_pb_inline const u_char *
agg_pb_quick_value(agg_pb_json_t *r, const agg_pb_field_t *f, const u_char *p,
    u_char **out)
{
    switch (f->quick) {

    case AGG_PB_QUICK_STRING:
        return agg_pb_quick_string(r, f, p, out);

    case AGG_PB_QUICK_NUMBER:
        return agg_pb_quick_scalar(r, f, p, out);

    case AGG_PB_QUICK_STRINGS:
        return agg_pb_quick_strings(r, f, p, out);

    case AGG_PB_QUICK_NUMBERS:
        return (f->type != AGG_PB_BOOL && f->type != AGG_PB_ENUM)
               ? agg_pb_quick_numbers(r, f, p, out) : NULL;

    case AGG_PB_QUICK_MESSAGE:
        return (f->message->kind == AGG_PB_TIMESTAMP)
               ? agg_pb_quick_timestamp(r, f, p, out) : NULL;

    default:
        return NULL;
    }
}


/* the first n bytes of both; there are others behind them */

agg_pb_inline int
agg_pb_same(const u_char *p, const u_char *q, size_t n)
{
    for ( /* void */ ; n > AGG_BLOCK; n -= AGG_BLOCK) {

        if (agg_block_equal(p, q) != 0xffff) {
            return 0;
        }

        p += AGG_BLOCK;
        q += AGG_BLOCK;
    }

    return (size_t) agg_first(~agg_block_equal(p, q)) >= n;
}


/* fields first .. last - 1, none of which was marked before */

static inline void
agg_pb_quick_mark(uint32_t *seen, uint32_t first, uint32_t last)
{
    uint32_t  n;

    for ( /* void */ ; first < last; first += n) {
        n = 32 - first % 32;

        if (n > last - first) {
            n = last - first;
        }

        seen[first / 32] |= (uint32_t) (((uint64_t) 1 << n) - 1) << first % 32;
    }
}


/*
 * Reads members with quick values as long as they come in the order of the
 * fields.  NULL: the next one does not; or the field of a name that was read,
 * whose value is another one.
 */

static inline const agg_pb_field_t *
agg_pb_quick_members(agg_pb_json_t *r, agg_pb_level_t *level)
{
    size_t                 n, skip;
    u_char                *dst;
    const u_char          *p, *value;
    const agg_pb_field_t  *f, *first, *last, *named;

    if (level->next < level->top || level->m->nfields == 0) {
        return NULL;
    }

    /* the first name has no comma before it */

    skip = level->first;

    p = r->p;
    dst = r->w.out->pos;

    first = level->m->fields + level->next;
    last = level->m->fields + level->m->nfields;
    named = NULL;

    for (f = first; f < last; f++) {
        n = f->print[0].len - skip;

        if (r->last - p < (ptrdiff_t) n
            || !agg_pb_same(p, f->print[0].data + skip, n))
        {
            break;
        }

        value = p + n;

        if (*value == ' ') {
            value++;
        }

        skip = 0;

        p = agg_pb_quick_value(r, f, value, &dst);

        if (p == NULL) {
            named = f;
            p = value;
            break;
        }
    }

    r->p = p;
    r->w.out->pos = dst;

    n = level->next;

    level->first = (unsigned) skip & 1;
    level->next = (uint32_t) (f - level->m->fields);
    level->top = level->next;

    agg_pb_quick_mark(r->seen + level->seen, (uint32_t) n, level->next);

    if (named != NULL) {
        level->next++;
        level->name = named->json_name;
        agg_pb_space(r);
    }

    return named;
}


#endif /* AGG_PB_READ_QUICK_H_INCLUDED */
