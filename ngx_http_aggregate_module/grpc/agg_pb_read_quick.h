
/*
 * The reader's values as most encoders write them: strings without \u, numbers
 * without exponents, nothing but a comma or a bracket behind a number, and
 * enough bytes of text and room behind it all.  They are read and written by
 * blocks.
 *
 * Whatever is another value, or wrong, is left as if nothing had been read, and
 * the rest of the reader does it once more.  Only a scalar, a list of scalars
 * or a message of these is ever read twice.
 */


#ifndef AGG_PB_READ_QUICK_H_INCLUDED
#define AGG_PB_READ_QUICK_H_INCLUDED


#include "agg_pb_block.h"
#include "agg_pb_number.h"
#include "agg_pb_read.h"
#include "gw_text.h"


#define agg_pb_inline  static inline __attribute__((always_inline))


/* bytes of text that a number is looked for in, and of room that it needs */

#define AGG_PB_AHEAD  (AGG_BLOCK * 3)


/*
 * The text as far as there is room for what it becomes.  While dst is not more
 * than "most" before p, there is, and AGG_PB_AHEAD bytes besides.
 */

typedef struct {
    agg_pb_json_t            *r;
    const u_char             *last;     /* where values may begin */
    const u_char             *stop;     /* its end */
    const u_char             *blocks;   /* where blocks may begin */
    intptr_t                  most;
    unsigned                  whole;    /* the text is there to its end */

    const agg_pb_field_t     *end;      /* of those of the message */

    uint64_t                  bits;     /* of a number that was read */
    u_char                   *past;     /* behind what was written last */
    u_char                   *list;     /* the same of a list of strings */

    /* the field of the message around it, or NULL, and where its value began */

    const agg_pb_field_t     *outer;
    const u_char             *back;
    u_char                   *place;
} agg_pb_quick_t;


typedef const agg_pb_field_t *(*agg_pb_read_run_pt)(agg_pb_quick_t *q,
    const agg_pb_field_t *f, const u_char **pos, unsigned *first, u_char **out,
    unsigned *named);


#define agg_pb_quick_room(q, p, dst)                                         \
    ((intptr_t) (dst) - (intptr_t) (p) <= (q)->most)


/* 0: there is next to no room */

static inline int
agg_pb_quick_bounds(agg_pb_json_t *r, agg_pb_quick_t *q)
{
    ptrdiff_t      room;
    const u_char  *stop;

    room = r->w.out->end - r->w.out->pos - AGG_PB_AHEAD;

    q->r = r;
    q->last = r->last;
    q->whole = room >= r->end - r->p;
    q->outer = NULL;

    stop = r->end;

    if (!q->whole) {

        if (room < AGG_PB_AHEAD * 2) {
            return 0;
        }

        /* some values take more room than their text */

        stop = r->p + room / 2;

        if (q->last > stop - AGG_PB_AHEAD) {
            q->last = stop - AGG_PB_AHEAD;
        }
    }

    q->stop = stop;
    q->most = (intptr_t) (r->w.out->end - AGG_PB_AHEAD) - (intptr_t) stop;

    return 1;
}


/* the meaning of an escape, by its second byte */

static const u_char  agg_pb_quick_escapes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f',
    ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'
};


/*
 * An escape, or characters that are not ASCII, are copied from p on; their end,
 * or NULL.  What is written has as many bytes, or, of an escape, one.
 */

agg_pb_inline const u_char *
agg_pb_quick_special(const u_char *p, const u_char *end, u_char *dst)
{
    if (end - p > 1) {

        if (*p == '\\') {
            *dst = agg_pb_quick_escapes[p[1]];
            return (*dst != '\0') ? p + 2 : NULL;
        }

        if (*p >= 0xc2 && *p < 0xe0 && p[1] >> 6 == 2
            && end - p > 2 && p[2] < 0x80)
        {
            dst[0] = p[0];
            dst[1] = p[1];
            return p + 2;
        }
    }

    return agg_pb_copy_utf8(p, end, dst);
}


/* the length of what is between start and *out, before start */

agg_pb_inline void
agg_pb_quick_len(u_char *start, u_char **out)
{
    size_t  len, more;

    len = (size_t) (*out - start);

    if (len < 0x80) {
        start[-1] = (u_char) len;
        return;
    }

    more = agg_pb_varint_size(len) - 1;
    memmove(start + more, start, len);
    *out += more;

    (void) agg_pb_put_varint(start - 1, len);
}


/*
 * The value of the digits at p, sixteen at most; NULL: there are none, or more.
 */

agg_pb_inline const u_char *
agg_pb_quick_digits(const u_char *p, uint64_t *n)
{
    unsigned  digits;

    digits = agg_first(agg_block_not_digit(p) | 1u << AGG_BLOCK);

    if (digits == 0 || (*p == '0' && digits > 1)) {
        return NULL;
    }

    *n = agg_pb_digits(p, digits);

    return p + digits;
}


/* a number, of 32 bits or of 64, that may be below zero or not */

agg_pb_inline const u_char *
agg_pb_quick_integer(const u_char *p, uint64_t *bits, int is_signed,
    int narrow)
{
    uint64_t  n, negative;

    negative = is_signed ? (*p == '-') : 0;

    p = agg_pb_quick_digits(p + negative, &n);

    if (p == NULL
        || (narrow && n - negative > (is_signed ? INT32_MAX : UINT32_MAX)))
    {
        return NULL;
    }

    *bits = is_signed ? (n ^ (0 - negative)) + negative : n;

    return p;
}


/* one that may stand in quotes */

agg_pb_inline const u_char *
agg_pb_quick_long(const u_char *p, uint64_t *bits, int is_signed)
{
    unsigned  quoted;

    quoted = (*p == '"');

    p = agg_pb_quick_integer(p + quoted, bits, is_signed, 0);

    return (p == NULL || !quoted) ? p : (*p == '"') ? p + 1 : NULL;
}


/* sint, fixed and sfixed: as they are written */

static inline const u_char *
agg_pb_quick_other(const agg_pb_field_t *f, const u_char *p, uint64_t *bits)
{
    switch (f->type) {

    case AGG_PB_FIXED32_TYPE:
        return agg_pb_quick_integer(p, bits, 0, 1);

    case AGG_PB_SFIXED32:
        return agg_pb_quick_integer(p, bits, 1, 1);

    case AGG_PB_FIXED64_TYPE:
        return agg_pb_quick_long(p, bits, 0);

    case AGG_PB_SFIXED64:
        return agg_pb_quick_long(p, bits, 1);

    case AGG_PB_SINT32:
        p = agg_pb_quick_integer(p, bits, 1, 1);
        break;

    default: /* AGG_PB_SINT64 */
        p = agg_pb_quick_long(p, bits, 1);
    }

    if (p != NULL) {
        *bits = agg_pb_zigzag(*bits);
    }

    return p;
}


/* the value that the name behind the quote at p[-1] has */

static inline const u_char *
agg_pb_quick_enum(const agg_pb_quick_t *q, const agg_pb_enum_t *e,
    const u_char *p, uint64_t *bits)
{
    unsigned                    mask;
    const u_char               *name;
    const agg_pb_enum_value_t  *value;

    if (*p != '"') {
        return NULL;
    }

    name = ++p;

    do {

        if (p > q->blocks) {
            return NULL;
        }

        mask = agg_block_special(p);
        p += mask ? agg_first(mask) : AGG_BLOCK;

    } while (mask == 0);

    if (*p != '"') {
        return NULL;
    }

    value = agg_pb_enum_by_name(e, name, (size_t) (p - name));

    if (value == NULL) {
        return NULL;
    }

    *bits = (uint64_t) (int64_t) value->number;

    return p + 1;
}


agg_pb_inline const u_char *
agg_pb_quick_bool(const u_char *p, uint64_t *bits)
{
    *bits = (*p == 't');

    if (*bits) {
        return (memcmp(p, "true", 4) == 0) ? p + 4 : NULL;
    }

    return (*p == 'f' && memcmp(p + 1, "alse", 4) == 0) ? p + 5 : NULL;
}


/* 32 and 64 bits are as a word, the lowest byte first */

agg_pb_inline u_char *
agg_pb_quick_put(const agg_pb_field_t *f, u_char *dst, uint64_t bits)
{
    switch (f->wire) {

    case AGG_PB_FIXED32:
        return agg_pb_put32(dst, (uint32_t) bits);

    case AGG_PB_FIXED64:
        return agg_pb_put64(dst, bits);

    default: /* AGG_PB_VARINT */
        return agg_pb_put_quick(dst, bits);
    }
}


/* a number of a list */

agg_pb_inline const u_char *
agg_pb_quick_element(const agg_pb_field_t *f, const u_char *p, uint64_t *bits)
{
    switch (f->element) {

    case AGG_PB_QUICK_INT32:
        return agg_pb_quick_integer(p, bits, 1, 1);

    case AGG_PB_QUICK_UINT32:
        return agg_pb_quick_integer(p, bits, 0, 1);

    case AGG_PB_QUICK_INT64:
        return agg_pb_quick_long(p, bits, 1);

    case AGG_PB_QUICK_UINT64:
        return agg_pb_quick_long(p, bits, 0);

    case AGG_PB_QUICK_NUMBER:
        return agg_pb_quick_other(f, p, bits);

    case AGG_PB_QUICK_DOUBLE:
        return agg_pb_short_decimal(p, 0, bits);

    case AGG_PB_QUICK_FLOAT:
        return agg_pb_short_decimal(p, 1, bits);

    default: /* a bool, an enum */
        return NULL;
    }
}


/* numbers that are packed */

agg_pb_inline const u_char *
agg_pb_quick_packed(agg_pb_quick_t *q, const agg_pb_field_t *f,
    unsigned element, const u_char *p, u_char **out)
{
    u_char    *dst, *start;
    uint64_t   bits;

    if (*p != '[') {
        return NULL;
    }

    memcpy(*out, f->tag, sizeof(f->tag));

    start = *out + f->tag_len + 1;
    dst = start;

    do {
        p++;

        if (p > q->last || !agg_pb_quick_room(q, p, dst)) {
            return NULL;
        }

        p += (*p == ' ');
        if (element == AGG_PB_QUICK_INT32) {
            p = agg_pb_quick_integer(p, &bits, 1, 1);

        } else {
            p = agg_pb_quick_element(f, p, &q->bits);
            bits = q->bits;
        }

        if (p == NULL) {
            return NULL;
        }

        dst = (element == AGG_PB_QUICK_INT32)
              ? agg_pb_put_quick(dst, bits) : agg_pb_quick_put(f, dst, bits);

    } while (*p == ',');

    if (*p != ']') {
        return NULL;
    }

    agg_pb_quick_len(start, &dst);
    *out = dst;

    return p + 1;
}


static inline const u_char *
agg_pb_quick_numbers(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    if (f->element == AGG_PB_QUICK_INT32) {
        return agg_pb_quick_packed(q, f, AGG_PB_QUICK_INT32, p, out);
    }

    return agg_pb_quick_packed(q, f, AGG_PB_QUICK_NONE, p, out);
}


/* a Timestamp */

static inline const u_char *
agg_pb_quick_timestamp(const agg_pb_field_t *f, const u_char *p, u_char **out)
{
    u_char        *dst, *start;
    int32_t        nanos;
    int64_t        seconds;
    unsigned       mask;
    const u_char  *end;

    if (f->message->kind != AGG_PB_TIMESTAMP || *p != '"') {
        return NULL;
    }

    /* a quote in the first block is seen below */

    end = ++p + AGG_BLOCK;
    mask = agg_block_special(end);

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
        dst = agg_pb_put_quick(dst, (uint64_t) seconds);
    }

    if (nanos != 0) {
        *dst++ = agg_pb_tag(2, AGG_PB_VARINT);
        dst = agg_pb_put_quick(dst, (uint64_t) nanos);
    }

    start[-1] = (u_char) (dst - start);
    *out = dst;

    return end + 1;
}


/*
 * Writes a number whose text ends at p; the end, or NULL.  Nothing is written
 * for the default value of a field without presence.
 */

agg_pb_inline const u_char *
agg_pb_quick_write(const agg_pb_field_t *f, const u_char *p, uint64_t bits,
    u_char **out, unsigned wire)
{
    u_char  *dst;

    if (p == NULL || (*p != ',' && *p != '}')) {
        return NULL;
    }

    if (bits == 0 && !f->presence) {
        return p;
    }

    memcpy(*out, f->tag, sizeof(f->tag));
    dst = *out + f->tag_len;

    switch (wire) {

    case AGG_PB_FIXED32:
        *out = agg_pb_put32(dst, (uint32_t) bits);
        break;

    case AGG_PB_FIXED64:
        *out = agg_pb_put64(dst, bits);
        break;

    default: /* AGG_PB_VARINT */
        *out = agg_pb_put_quick(dst, bits);
    }

    return p;
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


/*
 * The value of the member at p, if it is the field's; or NULL.  p is at the
 * comma before it, or, where it is the first one, at the brace.
 */

agg_pb_inline const u_char *
agg_pb_quick_named(const agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, unsigned first)
{
    const u_char  *value;

    value = p + f->print[0].len;

    if (value > q->last
        || (~(agg_block_equal(p, f->print[0].data) | first) & f->first) != 0)
    {
        return NULL;
    }

    if (f->print[0].len > AGG_BLOCK
        && !agg_pb_same(p + AGG_BLOCK, f->print[0].data + AGG_BLOCK,
                        f->print[0].len - AGG_BLOCK))
    {
        return NULL;
    }

    return __builtin_expect(*value == ' ', 0) ? value + 1 : value;
}


/* whether a message that has but quick fields may begin there */

static inline int
agg_pb_quick_open(agg_pb_quick_t *q, const agg_pb_field_t *f, const u_char *p,
    u_char *dst)
{
    if (f->quick != AGG_PB_QUICK_MESSAGE || f->message->kind != AGG_PB_PLAIN
        || f->message->nfields == 0 || *p != '{' || q->outer != NULL)
    {
        return 0;
    }

    q->outer = f;
    q->back = p;
    q->place = dst;
    q->end = f->message->fields + f->message->nfields;

    memcpy(dst, f->tag, sizeof(f->tag));

    return 1;
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


#define AGG_PB_READ(name)         agg_pb_quick_##name
#define AGG_PB_READ_TARGET
#define AGG_PB_READ_BLOCK         AGG_BLOCK
#define AGG_PB_READ_COPY(dst, p)  agg_block_copy_special(dst, p)

#include "agg_pb_read_run.h"


#if (AGG_PB_WIDE)

#define AGG_PB_READ(name)         agg_pb_wide_##name
#define AGG_PB_READ_TARGET        AGG_PB_WIDE_TARGET
#define AGG_PB_READ_BLOCK         AGG_PB_WIDE
#define AGG_PB_READ_COPY(dst, p)  agg_pb_wide_copy(dst, p)

#include "agg_pb_read_run.h"

#endif


/*
 * Reads members with quick values as long as they come in the order of the
 * fields.  NULL: the next one does not; or the field of a name that was read,
 * whose value is another one.
 */

static inline const agg_pb_field_t *
agg_pb_quick_members(agg_pb_json_t *r, agg_pb_level_t *level)
{
    u_char                 *dst;
    unsigned                first, named;
    uint32_t                next;
    const u_char           *p;
    agg_pb_quick_t          q;
    agg_pb_read_run_pt      run;
    const agg_pb_field_t   *fields;

    fields = level->m->fields;

    /* a message and a list in it are as deep as it gets */

    if (level->next < level->top || level->m->nfields == 0
        || r->depth > AGG_PB_DEPTH - 2 || !agg_pb_quick_bounds(r, &q))
    {
        return NULL;
    }

    first = level->first;
    named = 0;

    /* the first name has a brace where others have a comma */

    p = r->p - first;
    dst = r->w.out->pos;
    q.end = fields + level->m->nfields;

    run = agg_pb_quick_run;

#if (AGG_PB_WIDE)

    /* a short text has few blocks that are not at its end */

    if (agg_pb_wide && r->end - r->start >= AGG_PB_WIDE * 4) {
        run = agg_pb_wide_run;
    }

#endif

    next = (uint32_t) (run(&q, fields + level->next, &p, &first, &dst, &named)
                       - fields);

    r->p = p + first;
    r->w.out->pos = dst;

    agg_pb_quick_mark(r->seen + level->seen, level->next, next);

    level->first = first & 1;
    level->top = next;
    level->next = next + named;

    if (!named) {
        return NULL;
    }

    level->name = fields[next].json_name;
    agg_pb_space(r);

    return fields + next;
}


#endif /* AGG_PB_READ_QUICK_H_INCLUDED */
