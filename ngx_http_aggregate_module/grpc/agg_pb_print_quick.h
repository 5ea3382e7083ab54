
/*
 * The printer's values as most messages have them: scalars, strings of few
 * escapes, lists of numbers and strings, and enough bytes of the message and
 * room behind it all.  They are read and written by blocks.
 *
 * Whatever is another value, or wrong, is left as if nothing had been printed,
 * and the rest of the printer does it once more.  Only a scalar or a list of
 * scalars is ever printed twice.
 */


#ifndef AGG_PB_PRINT_QUICK_H_INCLUDED
#define AGG_PB_PRINT_QUICK_H_INCLUDED


#include "agg_block.h"
#include "agg_pb_print.h"
#include "gw_text.h"


#define agg_pb_inline  static inline __attribute__((always_inline))


/* room for a name, given its length, a number, and the rest of some block */

#define AGG_PB_SPARE  (AGG_BLOCK * 4)


/* a message as it is while its quick members are printed */

typedef struct {
    agg_pb_printer_t         *w;
    const u_char             *last;     /* of the message */
    const u_char             *limit;    /* of the input */
    u_char                   *end;      /* of the room */
} agg_pb_quick_t;


/* an escape, or characters that are not ASCII, from p on */

static inline const u_char *
agg_pb_quick_special(const u_char *p, const u_char *end, u_char **dst)
{
    int     valid;
    size_t  n;

    static const u_char  escapes[0x80] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
        ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
    };

    if (*p < 0x80) {

        if (escapes[*p] == '\0') {
            return NULL;
        }

        *(*dst)++ = '\\';
        *(*dst)++ = escapes[*p];

        return p + 1;
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


/* the bytes from p on, before those that stand at the end of the input */

static inline unsigned
agg_pb_quick_tail(const agg_pb_quick_t *q, const u_char *p, const u_char *end,
    u_char *dst)
{
    unsigned  mask;

    memcpy(dst, p, (size_t) (end - p));

    mask = agg_block_special(q->limit - AGG_BLOCK)
           >> (AGG_BLOCK - (q->limit - p));

    return mask | 1u << (end - p);
}


/*
 * With its quotes; the end of what was printed, or NULL.  The input has a
 * block at least.
 */

agg_pb_inline u_char *
agg_pb_quick_text(const agg_pb_quick_t *q, const u_char *p, const u_char *end,
    u_char *dst)
{
    unsigned       mask;
    const u_char  *last;

    if (q->end - dst < end - p + AGG_PB_SPARE) {
        return NULL;
    }

    *dst++ = '"';

    /* blocks may begin there, and go beyond the string */

    last = q->limit - AGG_BLOCK + 1;
    last = (end < last) ? end : last;

    for ( ;; ) {

        if (p < last) {
            memcpy(dst, p, AGG_BLOCK);
            mask = agg_block_special(p);

            if (mask == 0) {
                p += AGG_BLOCK;
                dst += AGG_BLOCK;
                continue;
            }

        } else if (p < end) {
            mask = agg_pb_quick_tail(q, p, end, dst);

        } else {
            break;
        }

        p += agg_first(mask);
        dst += agg_first(mask);

        if (p >= end) {
            break;
        }

        p = agg_pb_quick_special(p, end, &dst);

        if (p == NULL || q->end - dst < end - p + AGG_PB_SPARE) {
            return NULL;
        }
    }

    dst -= p - end;
    *dst++ = '"';

    return dst;
}


/* one scalar that is no string, 14 bytes of the message being there for it */

agg_pb_inline const u_char *
agg_pb_quick_bits(const agg_pb_field_t *f, const u_char *p, uint64_t *bits)
{
    if (f->wire == AGG_PB_FIXED64) {
        *bits = agg_word_load(p);
        return p + 8;
    }

    if (f->wire == AGG_PB_FIXED32) {
        *bits = (uint32_t) agg_word_load(p);
        return p + 4;
    }

    if (*p < 0x80) {
        *bits = *p;
        return p + 1;
    }

    if (p[1] < 0x80) {
        *bits = (uint64_t) (*p & 0x7f) | (uint64_t) p[1] << 7;
        return p + 2;
    }

    p = agg_pb_varint_long(p, p + AGG_PB_VARINT_MAX, bits);

    /* a number of 32 bits may be zero nevertheless */

    return ((uint32_t) *bits != 0) ? p : NULL;
}


/* SPARE bytes of room; NULL: NaN, infinity, or a value without a name */

agg_pb_inline u_char *
agg_pb_quick_number(const agg_pb_quick_t *q, const agg_pb_field_t *f,
    uint64_t bits, u_char *dst)
{
    float                       single;
    double                      number;
    uint32_t                    half;
    const agg_pb_enum_value_t  *value;

    switch (f->type) {

    case AGG_PB_INT32:
    case AGG_PB_SFIXED32:
        return agg_pb_print_int(dst, (int32_t) (uint32_t) bits);

    case AGG_PB_UINT32:
    case AGG_PB_FIXED32_TYPE:
        return agg_pb_print_uint(dst, (uint32_t) bits);

    case AGG_PB_SINT32:
        bits = (uint32_t) bits;

        return agg_pb_print_int(dst, agg_pb_unzigzag(bits));

    case AGG_PB_SINT64:
        bits = (uint64_t) agg_pb_unzigzag(bits);

        /* fall through */

    case AGG_PB_INT64:
    case AGG_PB_SFIXED64:
        *dst++ = '"';
        dst = agg_pb_print_int(dst, (int64_t) bits);
        *dst++ = '"';

        return dst;

    case AGG_PB_UINT64:
    case AGG_PB_FIXED64_TYPE:
        *dst++ = '"';
        dst = agg_pb_print_uint(dst, bits);
        *dst++ = '"';

        return dst;

    case AGG_PB_BOOL:
        memcpy(dst, bits ? "true" : "false", 5);

        return dst + (bits ? 4 : 5);

    case AGG_PB_DOUBLE:
        memcpy(&number, &bits, sizeof(double));

        return (number - number == 0) ? agg_pb_print_double(dst, number) : NULL;

    case AGG_PB_FLOAT:
        half = (uint32_t) bits;
        memcpy(&single, &half, sizeof(float));

        return (single - single == 0) ? agg_pb_print_float(dst, single) : NULL;

    default: /* AGG_PB_ENUM */

        if (q->w->print->enums_as_ints || f->enumeration->null_value) {
            return NULL;
        }

        value = agg_pb_enum_by_number(f->enumeration,
                                      (int32_t) (uint32_t) bits);

        if (value == NULL || value->name.len > AGG_BLOCK * 2
            || !value->plain)
        {
            return NULL;
        }

        *dst++ = '"';
        memcpy(dst, value->name.data, value->name.len);
        dst += value->name.len;
        *dst++ = '"';

        return dst;
    }
}


/* a list of strings, p being behind its first tag; the end, or NULL */

static inline const u_char *
agg_pb_quick_strings(const agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    u_char    *dst;
    uint64_t   n;

    for (dst = *out; /* void */ ; p += f->tag_len) {

        p = agg_pb_varint(p, q->last, &n);

        if (p == NULL || n > (size_t) (q->last - p)) {
            return NULL;
        }

        *dst++ = ',';
        dst = agg_pb_quick_text(q, p, p + n, dst);

        if (dst == NULL) {
            return NULL;
        }

        p += n;

        if (q->last - p < f->tag_len || memcmp(p, f->tag, f->tag_len) != 0) {
            break;
        }
    }

    **out = '[';
    *dst++ = ']';
    *out = dst;

    return p;
}


/* numbers that are packed, all of them in one piece */

static inline const u_char *
agg_pb_quick_numbers(const agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    u_char        *dst;
    uint64_t       n;
    const u_char  *end;

    p = agg_pb_varint(p, q->last, &n);

    if (p == NULL || n == 0 || n > (size_t) (q->last - p)) {
        return NULL;
    }

    for (dst = *out, end = p + n; p < end; /* void */ ) {

        if (q->limit - p < AGG_PB_QUICK || q->end - dst < AGG_PB_SPARE) {
            return NULL;
        }

        *dst++ = ',';
        p = agg_pb_quick_bits(f, p, &n);
        dst = (p != NULL) ? agg_pb_quick_number(q, f, n, dst) : NULL;

        if (dst == NULL) {
            return NULL;
        }
    }

    if (p != end
        || (q->last - p >= f->tag_len && memcmp(p, f->tag, f->tag_len) == 0))
    {
        return NULL;
    }

    **out = '[';
    *dst++ = ']';
    *out = dst;

    return p;
}


/* a Timestamp whose seconds and nanoseconds come in this order */

static inline const u_char *
agg_pb_quick_timestamp(const agg_pb_quick_t *q, const u_char *p,
    u_char **out)
{
    uint64_t       seconds, nanos;
    const u_char  *end;

    end = p + *p + 1;

    if (q->end - *out < AGG_PB_SPARE || *p >= AGG_PB_QUICK || end > q->last) {
        return NULL;
    }

    p++;
    seconds = 0;
    nanos = 0;

    if (p < end && *p == agg_pb_tag(1, AGG_PB_VARINT)) {
        p = agg_pb_varint(p + 1, end, &seconds);

        if (p == NULL) {
            return NULL;
        }
    }

    if (p < end && *p == agg_pb_tag(2, AGG_PB_VARINT)) {
        p = agg_pb_varint(p + 1, end, &nanos);
    }

    if (p != end) {
        return NULL;
    }

    *out = agg_pb_put_timestamp(*out, (int64_t) seconds,
                                (int32_t) (uint32_t) nanos);

    return (*out != NULL) ? p : NULL;
}


/*
 * A singular string; one without presence that is empty is left out, and *out
 * stays.
 */

agg_pb_inline const u_char *
agg_pb_quick_string(const agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out, u_char *dst)
{
    uint64_t  n;

    p = agg_pb_varint(p, q->last, &n);

    if (p == NULL || n > (size_t) (q->last - p)) {
        return NULL;
    }

    if (n == 0 && !f->presence) {
        return p;
    }

    *out = agg_pb_quick_text(q, p, p + n, dst);

    return (*out != NULL) ? p + n : NULL;
}


/* the same of a number */

agg_pb_inline const u_char *
agg_pb_quick_scalar(const agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out, u_char *dst)
{
    uint64_t  bits;

    p = agg_pb_quick_bits(f, p, &bits);

    if (p == NULL || p > q->last) {
        return NULL;
    }

    if (bits == 0 && !f->presence) {
        return p;
    }

    *out = agg_pb_quick_number(q, f, bits, dst);

    return (*out != NULL) ? p : NULL;
}


/*
 * A field behind its tag, whose name stands before dst.  The end, or NULL: it
 * is none of the quick ones.
 */

agg_pb_inline const u_char *
agg_pb_quick_value(const agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out, u_char *dst)
{
    if (f->quick == AGG_PB_QUICK_STRING) {
        return agg_pb_quick_string(q, f, p, out, dst);
    }

    if (f->quick == AGG_PB_QUICK_NUMBER) {
        return agg_pb_quick_scalar(q, f, p, out, dst);
    }

    *out = dst;

    switch (f->quick) {

    case AGG_PB_QUICK_STRINGS:
        return agg_pb_quick_strings(q, f, p, out);

    case AGG_PB_QUICK_NUMBERS:
        return agg_pb_quick_numbers(q, f, p, out);

    case AGG_PB_QUICK_MESSAGE:
        return (f->message->kind == AGG_PB_TIMESTAMP)
               ? agg_pb_quick_timestamp(q, p, out) : NULL;

    default:
        return NULL;
    }
}


/*
 * Prints members that are quick, as long as they come in the order of the
 * fields.
 */

static inline void
agg_pb_quick_members(agg_pb_printer_t *w, agg_pb_frame_t *frame)
{
    size_t                  n, names;
    u_char                 *dst, *out, *start;
    uint32_t                tag, ndense;
    const u_char           *p, *value, *end, *src;
    agg_pb_quick_t          q;
    const agg_str_t        *name;
    const agg_pb_field_t   *f, *next, **dense;

    if (frame->m->nfields == 0) {
        return;
    }

    names = w->print->proto_names;
    end = (frame->last < w->quick) ? frame->last : w->quick;

    q.w = w;
    q.last = frame->last;
    q.limit = w->limit;
    q.end = w->out->end;

    next = frame->m->fields + frame->next;
    ndense = frame->m->ndense;
    dense = frame->m->dense;

    p = frame->p;

    /* the first name puts its comma in the place of the bracket */

    dst = w->out->pos - frame->first;

    while (p < end) {
        tag = *p;
        value = p + 1;

        if (tag >= 0x80) {
            tag = (tag & 0x7f) | (uint32_t) *value << 7;

            if (*value++ >= 0x80) {
                break;
            }
        }

        f = (tag >> 3 < ndense) ? dense[tag >> 3] : NULL;

        if (f < next || f == NULL || ((tag ^ f->tag[0]) & 7) != 0) {
            break;
        }

        name = &f->print[names];
        src = name->data;
        n = name->len;

        if (q.end - dst < (ptrdiff_t) n + AGG_PB_SPARE) {
            break;
        }

        memcpy(dst, src, AGG_PB_PADDING);

        for (start = dst + n; n > AGG_PB_PADDING; n -= AGG_PB_PADDING) {
            src += AGG_PB_PADDING;
            memcpy(start - n + AGG_PB_PADDING, src, AGG_PB_PADDING);
        }

        out = dst;
        value = agg_pb_quick_value(&q, f, value, &out, start);

        if (value == NULL) {
            break;
        }

        p = value;
        dst = out;
        next = f + 1;
    }

    frame->p = p;
    frame->next = (uint32_t) (next - frame->m->fields);

    if (frame->first) {
        w->out->pos[-1] = '{';

        if (dst < w->out->pos) {
            return;
        }

        frame->first = 0;
    }

    w->out->pos = dst;
}


#endif /* AGG_PB_PRINT_QUICK_H_INCLUDED */
