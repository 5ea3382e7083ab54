
/*
 * The part of agg_pb_read_quick.h that reads strings by blocks, and what it is
 * in: included for each size of them, with
 *     AGG_PB_READ(name)            the functions' names
 *     AGG_PB_READ_TARGET           what they are compiled for
 *     AGG_PB_READ_BLOCK            bytes, 48 at most
 *     AGG_PB_READ_COPY(dst, p)     copies a block; as agg_block_special
 */


/* less than a block of text is left: what is special in it */

static __attribute__((noinline)) AGG_PB_READ_TARGET unsigned
AGG_PB_READ(tail)(agg_pb_quick_t *q, const u_char *p, u_char *dst)
{
    size_t         n;
    u_char         block[AGG_PB_READ_BLOCK];
    unsigned       mask;
    const u_char  *end;

    end = q->r->end;
    n = (size_t) (end - p);

    if (n == 0 || n >= AGG_PB_READ_BLOCK || !q->whole) {
        return 0;
    }

    /* the block that ends there, and then what is left of it */

    mask = AGG_PB_READ_COPY(block, end - AGG_PB_READ_BLOCK);

    memcpy(dst, p, n);

    return mask >> (AGG_PB_READ_BLOCK - n);
}


/*
 * The string at p is copied to dst; its end, or NULL.  A string is no longer
 * than its JSON, so that there is room for it wherever there is room for the
 * text.
 */

static __attribute__((noinline)) AGG_PB_READ_TARGET const u_char *
AGG_PB_READ(rest)(agg_pb_quick_t *q, const u_char *p, u_char *dst)
{
    unsigned       mask;
    const u_char  *start;

    for ( ;; ) {

        mask = (p <= q->blocks) ? AGG_PB_READ_COPY(dst, p)
                                : AGG_PB_READ(tail)(q, p, dst);

        if (mask == 0) {

            if (p > q->blocks) {
                return NULL;
            }

            p += AGG_PB_READ_BLOCK;
            dst += AGG_PB_READ_BLOCK;
            continue;
        }

        p += agg_first(mask);
        dst += agg_first(mask);

        if (*p == '"') {
            break;
        }

        start = p;
        p = agg_pb_quick_special(p, q->stop, dst);

        if (p == NULL) {
            return NULL;
        }

        dst += (*start == '\\') ? 1 : p - start;
    }

    q->past = dst;

    return p + 1;
}


/* writes the string behind the quote at p[-1] with its tag; the end, or NULL */

agg_pb_inline AGG_PB_READ_TARGET const u_char *
AGG_PB_READ(text)(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    u_char    *start, *dst;
    unsigned   mask, n;

    memcpy(*out, f->tag, sizeof(f->tag));

    start = *out + f->tag_len + 1;

    /* mostly its end is in the first block */

    dst = start;

    if (p <= q->blocks) {
        mask = AGG_PB_READ_COPY(start, p);
        n = (mask != 0) ? (unsigned) agg_first(mask) : AGG_PB_READ_BLOCK;

        p += n;
        dst += n;

        if (mask != 0 && *p == '"') {
            start[-1] = (u_char) n;
            *out = dst;

            return p + 1;
        }
    }

    p = AGG_PB_READ(rest)(q, p, dst);

    if (p != NULL) {
        agg_pb_quick_len(start, &q->past);
        *out = q->past;
    }

    return p;
}


agg_pb_inline AGG_PB_READ_TARGET const u_char *
AGG_PB_READ(string)(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    if (*p != '"') {
        return NULL;
    }

    if (p[1] == '"' && !f->presence) {
        return p + 2;
    }

    return AGG_PB_READ(text)(q, f, p + 1, out);
}


static inline AGG_PB_READ_TARGET const u_char *
AGG_PB_READ(strings)(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    u_char  *dst;

    if (*p != '[') {
        return NULL;
    }

    dst = *out;

    do {
        p++;

        if (p > q->last || !agg_pb_quick_room(q, p, dst)) {
            return NULL;
        }

        p += (*p == ' ');
        p = (*p == '"') ? AGG_PB_READ(text)(q, f, p + 1, &dst) : NULL;

        if (p == NULL || p == q->r->end) {
            return NULL;
        }

    } while (*p == ',');

    if (*p != ']') {
        return NULL;
    }

    *out = dst;

    return p + 1;
}


/*
 * The end of a value that was written; NULL: it is none of the quick ones.
 * p <= q->last.
 */

agg_pb_inline AGG_PB_READ_TARGET const u_char *
AGG_PB_READ(value)(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    uint64_t  bits;

    switch (f->quick) {

    case AGG_PB_QUICK_STRING:
        return AGG_PB_READ(string)(q, f, p, out);

    case AGG_PB_QUICK_INT32:
        p = agg_pb_quick_integer(p, &bits, 1, 1);
        break;

    case AGG_PB_QUICK_UINT32:
        p = agg_pb_quick_integer(p, &bits, 0, 1);
        break;

    case AGG_PB_QUICK_INT64:
        p = agg_pb_quick_long(p, &bits, 1);
        break;

    case AGG_PB_QUICK_UINT64:
        p = agg_pb_quick_long(p, &bits, 0);
        break;

    case AGG_PB_QUICK_NUMBER:
        p = agg_pb_quick_other(f, p, &q->bits);
        return agg_pb_quick_write(f, p, q->bits, out, f->wire);

    case AGG_PB_QUICK_DOUBLE:
        p = agg_pb_short_decimal(p, 0, &q->bits);
        return agg_pb_quick_write(f, p, q->bits, out, AGG_PB_FIXED64);

    case AGG_PB_QUICK_FLOAT:
        p = agg_pb_short_decimal(p, 1, &q->bits);
        return agg_pb_quick_write(f, p, q->bits, out, AGG_PB_FIXED32);

    case AGG_PB_QUICK_BOOL:
        p = agg_pb_quick_bool(p, &bits);
        break;

    case AGG_PB_QUICK_ENUM:
        p = agg_pb_quick_enum(q, f->enumeration, p, &bits);
        break;

    case AGG_PB_QUICK_STRINGS:
        q->list = *out;
        p = AGG_PB_READ(strings)(q, f, p, &q->list);
        *out = q->list;
        return p;

    case AGG_PB_QUICK_NUMBERS:
        q->past = *out;
        p = agg_pb_quick_numbers(q, f, p, &q->past);
        *out = q->past;
        return p;

    case AGG_PB_QUICK_MESSAGE:
        q->past = *out;
        p = agg_pb_quick_timestamp(f, p, &q->past);
        *out = q->past;
        return p;

    default:
        return NULL;
    }

    return agg_pb_quick_write(f, p, bits, out, AGG_PB_VARINT);
}


/*
 * Reads the members from p on as long as they come in the order of the fields.
 * The field that was not read; *named: its name was.
 */

static __attribute__((noinline)) AGG_PB_READ_TARGET const agg_pb_field_t *
AGG_PB_READ(run)(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char **pos, unsigned *first, u_char **out, unsigned *named)
{
    u_char        *dst, *start;
    unsigned       skip;
    const u_char  *p, *value;

    p = *pos;
    dst = *out;
    skip = *first;

    q->blocks = q->stop - AGG_PB_READ_BLOCK;

    for ( ;; ) {

        value = (f < q->end && agg_pb_quick_room(q, p, dst))
                ? agg_pb_quick_named(q, f, p, skip) : NULL;

        if (value != NULL) {
            p = AGG_PB_READ(value)(q, f, value, &dst);

            if (p != NULL) {
                skip = 0;
                f++;
                continue;
            }

            if (agg_pb_quick_open(q, f, value, dst)) {
                dst += f->tag_len + 1;
                f = f->message->fields;
                p = value;
                skip = 1;
                continue;
            }

            /* another value, in the message itself */

            if (q->outer == NULL) {
                *named = 1;
                p = value;
                skip = 0;
                break;
            }

        } else {

            if (q->outer == NULL) {
                break;
            }

            if (p < q->last && p[skip] == '}') {
                start = q->place + q->outer->tag_len + 1;
                agg_pb_quick_len(start, &dst);

                q->end = q->outer->parent->fields + q->outer->parent->nfields;
                f = q->outer + 1;
                q->outer = NULL;
                p += skip + 1;
                skip = 0;
                continue;
            }
        }

        /* and in the one within it, that is read anew */

        f = q->outer;
        p = q->back;
        dst = q->place;
        skip = 0;
        *named = 1;
        break;
    }

    *pos = p;
    *out = dst;
    *first = skip;

    return f;
}


#undef AGG_PB_READ
#undef AGG_PB_READ_TARGET
#undef AGG_PB_READ_BLOCK
#undef AGG_PB_READ_COPY
