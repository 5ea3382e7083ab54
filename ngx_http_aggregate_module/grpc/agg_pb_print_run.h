
/*
 * The part of agg_pb_print_quick.h that prints strings by blocks, and what it
 * is in: included for each size of them, with
 *     AGG_PB_PRINT(name)           the functions' names
 *     AGG_PB_PRINT_TARGET          what they are compiled for
 *     AGG_PB_PRINT_BLOCK           bytes, 32 at most
 *     AGG_PB_PRINT_COPY(dst, p)    copies a block; as agg_block_special
 */


/* the special ones of the left bytes, which stand at the end of the input */

static __attribute__((noinline)) AGG_PB_PRINT_TARGET unsigned
AGG_PB_PRINT(tail)(agg_pb_quick_t *q, const u_char *p, size_t left,
    u_char *dst)
{
    size_t    n;
    u_char    block[AGG_PB_PRINT_BLOCK];
    unsigned  mask;

    n = (size_t) (q->limit - p);

    if (n == 0) {
        return 0;
    }

    mask = AGG_PB_PRINT_COPY(block, q->limit - AGG_PB_PRINT_BLOCK);

    memcpy(dst, p, left);

    return mask >> (AGG_PB_PRINT_BLOCK - n);
}


/* a string that goes on behind a block, or has something special in it */

static __attribute__((noinline)) AGG_PB_PRINT_TARGET u_char *
AGG_PB_PRINT(rest)(agg_pb_quick_t *q, const u_char *p, size_t left,
    u_char *dst)
{
    size_t         n;
    unsigned       mask;
    const u_char  *end, *start;

    end = p + left;

    for ( ;; ) {

        mask = (p <= q->blocks) ? AGG_PB_PRINT_COPY(dst, p)
                                : AGG_PB_PRINT(tail)(q, p, left, dst);

        if (mask == 0) {

            if (left <= AGG_PB_PRINT_BLOCK) {
                break;
            }

            p += AGG_PB_PRINT_BLOCK;
            dst += AGG_PB_PRINT_BLOCK;
            left -= AGG_PB_PRINT_BLOCK;
            continue;
        }

        n = (size_t) agg_first(mask);

        if (n >= left) {
            break;
        }

        start = p + n;
        dst += n;
        p = agg_pb_quick_special(start, end, dst);

        if (p == NULL) {
            return NULL;
        }

        dst += p - start + (*start < 0x80);
        left = (size_t) (end - p);

        if (dst + left > q->end) {
            return NULL;
        }
    }

    dst[left] = '"';

    return dst + left + 1;
}


/*
 * With its quotes; the end of what was printed, or NULL.  The input has a
 * block at least.
 */

agg_pb_inline AGG_PB_PRINT_TARGET u_char *
AGG_PB_PRINT(text)(agg_pb_quick_t *q, const u_char *p, size_t left,
    u_char *dst)
{
    uint64_t  mask;

    if (dst + left > q->end) {
        return NULL;
    }

    *dst++ = '"';

    if (left > AGG_PB_PRINT_BLOCK || p > q->blocks) {
        return AGG_PB_PRINT(rest)(q, p, left, dst);
    }

    mask = AGG_PB_PRINT_COPY(dst, p);

    if ((mask & ((UINT64_C(1) << left) - 1)) != 0) {
        return AGG_PB_PRINT(rest)(q, p, left, dst);
    }

    dst[left] = '"';

    return dst + left + 1;
}


/* a list of strings, p being behind its first tag; the end, or NULL */

static inline AGG_PB_PRINT_TARGET const u_char *
AGG_PB_PRINT(strings)(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out)
{
    u_char    *dst;
    uint64_t   n;

    for (dst = *out; /* void */ ; p += f->tag_len) {

        p = agg_pb_varint(p, q->last, &n);

        if (p == NULL || n > (size_t) (q->last - p) || dst > q->end) {
            return NULL;
        }

        *dst = ',';
        dst = AGG_PB_PRINT(text)(q, p, (size_t) n, dst + 1);

        if (dst == NULL) {
            return NULL;
        }

        p += n;

        if (q->last - p < f->tag_len || !agg_pb_quick_tagged(q, f, p)) {
            break;
        }
    }

    **out = '[';
    *dst++ = ']';
    *out = dst;

    return p;
}


/*
 * A field behind its tag, whose name stands before dst.  The end, or NULL: it
 * is none of the quick ones.  *out stays where nothing is printed, as the value
 * is the default one of a field without presence.
 */

agg_pb_inline AGG_PB_PRINT_TARGET const u_char *
AGG_PB_PRINT(value)(agg_pb_quick_t *q, const agg_pb_field_t *f,
    const u_char *p, u_char **out, u_char *dst)
{
    uint64_t  n;

    switch (f->quick) {

    case AGG_PB_QUICK_STRING:

        if (*p < 0x80) {
            n = *p++;

            /* the tag may end behind the message */

            if ((ptrdiff_t) n > q->last - p) {
                return NULL;
            }

        } else {
            p = agg_pb_varint(p, q->last, &q->bits);
            n = q->bits;

            if (p == NULL || n > (size_t) (q->last - p)) {
                return NULL;
            }
        }

        if (n == 0 && !f->presence) {
            return p;
        }

        *out = AGG_PB_PRINT(text)(q, p, (size_t) n, dst);

        return (*out != NULL) ? p + n : NULL;

    case AGG_PB_QUICK_STRINGS:
        q->past = dst;
        p = AGG_PB_PRINT(strings)(q, f, p, &q->past);
        *out = q->past;
        return p;

    case AGG_PB_QUICK_NUMBERS:
        q->past = dst;
        p = agg_pb_quick_numbers(q, f, p, &q->past);
        *out = q->past;
        return p;

    case AGG_PB_QUICK_MESSAGE:
        q->past = dst;
        p = agg_pb_quick_timestamp(q, f, p, &q->past);
        *out = q->past;
        return p;

    case AGG_PB_QUICK_INT32:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_INT32, p, out, dst);

    case AGG_PB_QUICK_UINT32:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_UINT32, p, out, dst);

    case AGG_PB_QUICK_INT64:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_INT64, p, out, dst);

    case AGG_PB_QUICK_UINT64:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_UINT64, p, out, dst);

    case AGG_PB_QUICK_NUMBER:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_NUMBER, p, out, dst);

    case AGG_PB_QUICK_DOUBLE:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_DOUBLE, p, out, dst);

    case AGG_PB_QUICK_FLOAT:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_FLOAT, p, out, dst);

    case AGG_PB_QUICK_BOOL:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_BOOL, p, out, dst);

    case AGG_PB_QUICK_ENUM:
        return agg_pb_quick_scalar(q, f, AGG_PB_QUICK_ENUM, p, out, dst);

    default:
        return NULL;
    }
}


/*
 * Prints the members from *pos on, as long as they come in the order of the
 * fields; the first of those that may come then.
 */

static __attribute__((noinline)) AGG_PB_PRINT_TARGET const agg_pb_field_t *
AGG_PB_PRINT(run)(agg_pb_quick_t *q, const agg_pb_field_t *next,
    const u_char **pos, u_char **printed)
{
    u_char                *dst, *out, *value;
    const u_char          *p, *end;
    const agg_pb_field_t  *f;

    p = *pos;
    dst = *printed;

    q->blocks = q->limit - AGG_PB_PRINT_BLOCK;

    for ( ;; ) {

        f = (p < q->stop) ? agg_pb_quick_field(q, next, p) : NULL;

        if (f != NULL) {
            value = agg_pb_quick_name(q, f, dst);

            if (value != NULL) {
                end = p + f->tag_len;
                out = dst;

                end = AGG_PB_PRINT(value)(q, f, end, &out, value);

                if (end != NULL) {
                    p = end;
                    dst = out;
                    next = f + 1;
                    continue;
                }

                end = agg_pb_quick_open(q, f, p, dst, value);

                if (end != NULL) {
                    p = end;
                    dst = value;
                    next = q->m->fields;
                    continue;
                }
            }

        } else if (q->outer != NULL && p == q->last) {
            dst = agg_pb_quick_close(q, dst);
            next = q->outer + 1;
            q->outer = NULL;
            continue;
        }

        break;
    }

    if (q->outer != NULL) {

        /* the message is printed anew */

        p = q->back;
        dst = q->place;
        next = q->outer;
    }

    *pos = p;
    *printed = dst;

    return next;
}


#undef AGG_PB_PRINT
#undef AGG_PB_PRINT_TARGET
#undef AGG_PB_PRINT_BLOCK
#undef AGG_PB_PRINT_COPY
