
/*
 * The printer's values as most messages have them: scalars, strings of few
 * escapes, lists of numbers and strings, messages of these, and enough bytes of
 * the message and room behind it all.  They are read and written by blocks.
 *
 * Whatever is another value, or wrong, is left as if nothing had been printed,
 * and the rest of the printer does it once more.  Only a scalar, a list of
 * scalars or a message of these is ever printed twice.
 */


#ifndef AGG_PB_PRINT_QUICK_H_INCLUDED
#define AGG_PB_PRINT_QUICK_H_INCLUDED


#include "agg_pb_block.h"
#include "agg_pb_print.h"
#include "gw_text.h"


#define agg_pb_inline  static inline __attribute__((always_inline))


/* room for a number, the rest of some block, and what closes a message */

#define AGG_PB_SPARE  (AGG_BLOCK * 5)


/* a message as it is while its quick members are printed */

typedef struct {
    agg_pb_printer_t         *w;
    size_t                    names;    /* where a field has them */
    const agg_pb_message_t   *m;
    const agg_pb_field_t     *fields;   /* the end of its fields */
    const u_char             *last;     /* of the message */
    const u_char             *stop;     /* where members begin no more */
    const u_char             *limit;    /* of the input */
    const u_char             *blocks;   /* where blocks may begin */
    uint64_t                  bits;     /* of a number that is read */
    const u_char             *at;
    u_char                   *past;     /* behind what was printed */
    u_char                   *end;      /* of the room, less SPARE */

    /* the field of the message around it, or NULL, and where that stands */

    const agg_pb_field_t     *outer;
    const u_char             *around;   /* the end of that message */
    const u_char             *back;     /* its tag */
    u_char                   *place;    /* its name */
    u_char                   *start;    /* its value */
} agg_pb_quick_t;


typedef const agg_pb_field_t *(*agg_pb_print_run_pt)(agg_pb_quick_t *q,
    const agg_pb_field_t *next, const u_char **pos, u_char **printed);


/* the second byte of an escape, by what it stands for */

static const u_char  agg_pb_quick_escapes[0x80] = {
    ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n',
    ['\r'] = 'r', ['\t'] = 't'
};


/*
 * A byte that needs an escape, or characters that are not ASCII, are copied
 * from p on; their end, or NULL.  What is written has as many bytes, and one
 * more for an escape.
 */

agg_pb_inline const u_char *
agg_pb_quick_special(const u_char *p, const u_char *end, u_char *dst)
{
    if (*p < 0x80) {
        dst[0] = '\\';
        dst[1] = agg_pb_quick_escapes[*p];

        return (dst[1] != '\0') ? p + 1 : NULL;
    }

    if (*p >= 0xc2 && *p < 0xe0 && end - p > 2 && p[1] >> 6 == 2
        && p[2] < 0x80)
    {
        dst[0] = p[0];
        dst[1] = p[1];

        return p + 2;
    }

    return agg_pb_copy_utf8(p, end, dst);
}


/* one scalar that is no string, 14 bytes of the message being there for it */

agg_pb_inline const u_char *
agg_pb_quick_varint(agg_pb_quick_t *q, const u_char *p, uint64_t *bits)
{
    if (*p < 0x80) {
        *bits = *p;
        return p + 1;
    }

    if (p[1] < 0x80) {
        *bits = (uint64_t) (*p & 0x7f) | (uint64_t) p[1] << 7;
        return p + 2;
    }

    p = agg_pb_varint_quick(p, &q->bits);
    *bits = q->bits;

    /* a number of 32 bits may be zero nevertheless */

    return ((uint32_t) *bits != 0) ? p : NULL;
}


/* the integers of other encodings */

static inline u_char *
agg_pb_quick_other(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char **pos, u_char *dst, uint64_t *bits)
{
    switch (f->type) {

    case AGG_PB_FIXED32_TYPE:
    case AGG_PB_SFIXED32:
        *bits = (uint32_t) agg_word_load(*pos);
        *pos += 4;

        return (f->type == AGG_PB_SFIXED32)
               ? gw_write_int(dst, (int32_t) (uint32_t) *bits)
               : gw_write_uint(dst, *bits);

    case AGG_PB_SINT32:
        *pos = agg_pb_quick_varint(q, *pos, bits);

        return gw_write_int(dst, agg_pb_unzigzag(*bits & UINT32_MAX));

    case AGG_PB_SINT64:
        *pos = agg_pb_quick_varint(q, *pos, bits);
        *dst++ = '"';
        dst = gw_write_int(dst, agg_pb_unzigzag(*bits));
        break;

    default: /* AGG_PB_FIXED64_TYPE, AGG_PB_SFIXED64 */
        *bits = agg_word_load(*pos);
        *pos += 8;
        *dst++ = '"';
        dst = (f->type == AGG_PB_SFIXED64)
              ? gw_write_int(dst, (int64_t) *bits)
              : gw_write_uint(dst, *bits);
    }

    *dst++ = '"';

    return dst;
}


/* NULL: NaN or infinity */

static inline u_char *
agg_pb_quick_float(uint64_t bits, u_char *dst, int single)
{
    float     number;
    double    n;
    uint32_t  half;

    if (single) {
        half = (uint32_t) bits;
        memcpy(&number, &half, sizeof(float));

        return (number - number == 0) ? agg_pb_print_float(dst, number) : NULL;
    }

    memcpy(&n, &bits, sizeof(double));

    return (n - n == 0) ? agg_pb_print_double(dst, n) : NULL;
}


/* NULL: a value without a name, or one whose name needs escapes */

static inline u_char *
agg_pb_quick_enum(agg_pb_quick_t *q, const agg_pb_enum_t *e,
    uint64_t bits, u_char *dst)
{
    const agg_pb_enum_value_t  *value;

    if (q->w->print->enums_as_ints || e->null_value) {
        return NULL;
    }

    value = agg_pb_enum_by_number(e, (int32_t) (uint32_t) bits);

    if (value == NULL || value->name.len > AGG_BLOCK * 2 || !value->plain) {
        return NULL;
    }

    *dst++ = '"';
    memcpy(dst, value->name.data, value->name.len);
    dst += value->name.len;
    *dst++ = '"';

    return dst;
}


/*
 * A value of some kind that is no string: the end of what was printed, or NULL.
 * *pos goes behind it.
 */

agg_pb_inline u_char *
agg_pb_quick_number(agg_pb_quick_t *q, const agg_pb_field_t *f,
    unsigned kind, const u_char **pos, u_char *dst, uint64_t *bits)
{
    const u_char  *p;

    switch (kind) {

    case AGG_PB_QUICK_NUMBER:
        q->at = *pos;
        dst = agg_pb_quick_other(q, f, &q->at, dst, &q->bits);
        *pos = q->at;
        *bits = q->bits;
        return (*pos != NULL) ? dst : NULL;

    case AGG_PB_QUICK_DOUBLE:
        p = *pos;
        *pos = p + 8;
        *bits = agg_word_load(p);
        return agg_pb_quick_float(*bits, dst, 0);

    case AGG_PB_QUICK_FLOAT:
        p = *pos;
        *pos = p + 4;
        *bits = (uint32_t) agg_word_load(p);
        return agg_pb_quick_float(*bits, dst, 1);

    default:
        p = agg_pb_quick_varint(q, *pos, bits);
        *pos = p;

        if (p == NULL) {
            return NULL;
        }
    }

    switch (kind) {

    case AGG_PB_QUICK_INT32:
        return gw_write_int(dst, (int32_t) (uint32_t) *bits);

    case AGG_PB_QUICK_UINT32:
        return gw_write_uint(dst, (uint32_t) *bits);

    case AGG_PB_QUICK_INT64:
        *dst = '"';
        dst = gw_write_int(dst + 1, (int64_t) *bits);
        *dst = '"';
        return dst + 1;

    case AGG_PB_QUICK_UINT64:
        *dst = '"';
        dst = gw_write_uint(dst + 1, *bits);
        *dst = '"';
        return dst + 1;

    case AGG_PB_QUICK_BOOL:
        memcpy(dst, *bits ? "true" : "false", 5);
        return dst + (*bits ? 4 : 5);

    case AGG_PB_QUICK_ENUM:
        return agg_pb_quick_enum(q, f->enumeration, *bits, dst);

    default:
        return NULL;
    }
}


/* numbers that are packed, all of them in one piece */

static inline const u_char *
agg_pb_quick_numbers(agg_pb_quick_t *q, const agg_pb_field_t *f,
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

        if (q->limit - p < AGG_PB_QUICK || dst > q->end) {
            return NULL;
        }

        *dst++ = ',';
        dst = agg_pb_quick_number(q, f, f->element, &p, dst, &n);

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
agg_pb_quick_timestamp(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    uint64_t       seconds, nanos;
    const u_char  *end;

    end = p + *p + 1;

    if (f->message->kind != AGG_PB_TIMESTAMP || *p >= AGG_PB_QUICK
        || end > q->last)
    {
        return NULL;
    }

    p++;
    seconds = 0;
    nanos = 0;

    if (q->limit - p >= AGG_PB_QUICK && p[0] == agg_pb_tag(1, AGG_PB_VARINT)) {
        p = agg_pb_varint_quick(p + 1, &seconds);

    } else if (p < end && *p == agg_pb_tag(1, AGG_PB_VARINT)) {
        p = agg_pb_varint(p + 1, end, &seconds);
    }

    if (p != NULL && p < end && *p == agg_pb_tag(2, AGG_PB_VARINT)) {
        p = (q->limit - p >= AGG_PB_QUICK) ? agg_pb_varint_quick(p + 1, &nanos)
                                           : agg_pb_varint(p + 1, end, &nanos);
    }

    if (p != end) {
        return NULL;
    }

    *out = agg_pb_put_timestamp(*out, (int64_t) seconds,
                                (int32_t) (uint32_t) nanos);

    return (*out != NULL) ? p : NULL;
}


/* the same of a number; one without presence that is zero is left out */

agg_pb_inline const u_char *
agg_pb_quick_scalar(agg_pb_quick_t *q, const agg_pb_field_t *f,
    unsigned kind, const u_char *p, u_char **out, u_char *dst)
{
    uint64_t  bits;

    dst = agg_pb_quick_number(q, f, kind, &p, dst, &bits);

    if (dst == NULL || p > q->last) {
        return NULL;
    }

    if (bits != 0 || f->presence) {
        *out = dst;
    }

    return p;
}


/* whether the tag at p is the field's */

agg_pb_inline int
agg_pb_quick_tagged(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p)
{
    if (q->limit - p < (ptrdiff_t) sizeof(f->tag)) {
        return memcmp(p, f->tag, f->tag_len) == 0;
    }

    return ((agg_word_load(p) ^ agg_word_load(f->tag)) & f->tag_mask) == 0;
}


/* the field of the tag at p, which is mostly the next one; NULL: an odd one */

agg_pb_inline const agg_pb_field_t *
agg_pb_quick_field(agg_pb_quick_t *q, const agg_pb_field_t *next,
    const u_char *p)
{
    uint32_t               tag;
    const agg_pb_field_t  *f;

    if (next < q->fields
        && ((agg_word_load(p) ^ agg_word_load(next->tag)) & next->tag_mask)
           == 0)
    {
        return next;
    }

    tag = *p;

    if (tag >= 0x80) {
        tag = (tag & 0x7f) | (uint32_t) p[1] << 7;

        /* nor one that is longer than it need be */

        if (p[1] >= 0x80 || p[1] == 0) {
            return NULL;
        }
    }

    f = (tag >> 3 < q->m->ndense) ? q->m->dense[tag >> 3] : NULL;

    return (f < next || f == NULL || ((tag ^ f->tag[0]) & 7) != 0) ? NULL : f;
}


/* writes the name of a field: where its value goes, or NULL */

agg_pb_inline u_char *
agg_pb_quick_name(agg_pb_quick_t *q, const agg_pb_field_t *f,
    u_char *dst)
{
    size_t            n;
    u_char           *value;
    const u_char     *src;
    const agg_str_t  *name;

    name = (const agg_str_t *) (const void *) ((const u_char *) f + q->names);
    src = name->data;
    n = name->len;
    value = dst + n;

    if (value > q->end) {
        return NULL;
    }

    memcpy(dst, src, AGG_PB_PADDING);

    for ( /* void */ ; n > AGG_PB_PADDING; n -= AGG_PB_PADDING) {
        src += AGG_PB_PADDING;
        memcpy(value - n + AGG_PB_PADDING, src, AGG_PB_PADDING);
    }

    return value;
}


static inline void
agg_pb_quick_enter(agg_pb_quick_t *q, const agg_pb_message_t *m,
    const u_char *last)
{
    q->m = m;
    q->fields = m->fields + m->nfields;
    q->last = last;
    q->stop = (last < q->w->quick) ? last : q->w->quick;
}


/*
 * The start of the message that is the field's value, whose tag is at p, or
 * NULL.  The bracket goes where its first comma is.
 */

static inline const u_char *
agg_pb_quick_open(agg_pb_quick_t *q, const agg_pb_field_t *f, const u_char *p,
    u_char *place, u_char *value)
{
    uint64_t  n;

    if (f->quick != AGG_PB_QUICK_MESSAGE || f->message->kind != AGG_PB_PLAIN
        || q->outer != NULL)
    {
        return NULL;
    }

    q->back = p;
    q->place = place;
    q->start = value;

    p = agg_pb_varint(p + f->tag_len, q->last, &n);

    if (p == NULL || n > (size_t) (q->last - p)) {
        return NULL;
    }

    q->outer = f;
    agg_pb_quick_enter(q, f->message, p + n);

    return p;
}


static inline u_char *
agg_pb_quick_close(agg_pb_quick_t *q, u_char *dst)
{
    if (dst == q->start) {
        dst++;
    }

    *q->start = '{';
    *dst++ = '}';

    agg_pb_quick_enter(q, q->outer->parent, q->around);

    return dst;
}


#define AGG_PB_PRINT(name)         agg_pb_quick_##name
#define AGG_PB_PRINT_TARGET
#define AGG_PB_PRINT_BLOCK         AGG_BLOCK
#define AGG_PB_PRINT_COPY(dst, p)  agg_block_copy_special(dst, p)

#include "agg_pb_print_run.h"


#if (AGG_PB_WIDE)

#define AGG_PB_PRINT(name)         agg_pb_wide_##name
#define AGG_PB_PRINT_TARGET        AGG_PB_WIDE_TARGET
#define AGG_PB_PRINT_BLOCK         AGG_PB_WIDE
#define AGG_PB_PRINT_COPY(dst, p)  agg_pb_wide_copy(dst, p)

#include "agg_pb_print_run.h"

#endif


/*
 * Prints members that are quick, as long as they come in the order of the
 * fields.
 */

static inline void
agg_pb_quick_members(agg_pb_printer_t *w, agg_pb_frame_t *frame)
{
    u_char                *dst;
    agg_pb_quick_t         q;
    agg_pb_print_run_pt    run;
    const agg_pb_field_t  *next, *fields;

    fields = frame->m->fields;

    /* a message and a list in it are as deep as it gets */

    if (frame->m->nfields == 0 || w->depth > AGG_PB_DEPTH - 2
        || w->out->end - w->out->pos < AGG_PB_SPARE)
    {
        return;
    }

    q.w = w;
    q.names = offsetof(agg_pb_field_t, print)
              + w->print->proto_names * sizeof(agg_str_t);
    q.limit = w->limit;
    q.end = w->out->end - AGG_PB_SPARE;
    q.outer = NULL;
    q.around = frame->last;

    agg_pb_quick_enter(&q, frame->m, frame->last);

    run = agg_pb_quick_run;

#if (AGG_PB_WIDE)

    /* a short message has few blocks that are not at its end */

    if (agg_pb_wide && w->limit - w->base >= AGG_PB_WIDE * 4) {
        run = agg_pb_wide_run;
    }

#endif

    /* the first name puts its comma in the place of the bracket */

    dst = w->out->pos - frame->first;

    next = run(&q, fields + frame->next, &frame->p, &dst);

    frame->next = (uint32_t) (next - fields);

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
