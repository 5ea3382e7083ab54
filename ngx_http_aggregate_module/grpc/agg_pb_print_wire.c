
/*
 * The printer of messages whose fields are ordered by number and in one piece
 * each, as encoders write them.  Values are printed as they are met, without an
 * index.
 *
 * AGG_NOT_FOUND: the message is not such a one, as a field follows one with a
 * higher number, or a singular field or a member of a oneof comes a second
 * time.  The message is then printed again by its index; when too much has been
 * printed in vain, all others are too.
 */


#include "agg_pb_print_quick.h"


static agg_rc_e agg_pb_wire_repeated(agg_pb_printer_t *w,
    agg_pb_frame_t *frame, const agg_pb_field_t *f, const u_char *at,
    uint32_t tag);
static agg_rc_e agg_pb_wire_message(agg_pb_printer_t *w,
    agg_pb_frame_t *frame, const agg_pb_field_t *f, uint32_t tag);
static agg_rc_e agg_pb_wire_scalar(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f);


/* whether a member of the oneof, or of one with the same bit, was printed */

static inline int
agg_pb_wire_is_second(agg_pb_frame_t *frame, const agg_pb_field_t *f)
{
    uint32_t  bit;

    if (f->oneof == AGG_PB_NONE) {
        return 0;
    }

    bit = (uint32_t) 1 << f->oneof % 32;

    if (frame->oneofs & bit) {
        return 1;
    }

    frame->oneofs |= bit;

    return 0;
}


agg_rc_e
agg_pb_print_wire(agg_pb_printer_t *w, agg_pb_frame_t *frame)
{
    uint32_t                 tag;
    agg_rc_e                 rc;
    const u_char            *at;
    const agg_pb_field_t    *f;
    const agg_pb_message_t  *m;

    m = frame->m;

    for ( ;; ) {
        agg_pb_quick_members(w, frame);

        if (frame->p == frame->last) {
            break;
        }

        at = frame->p;

        if (*at >= 8 && *at < 0x80 && (*at & 7) <= AGG_PB_FIXED32) {
            tag = *at;
            frame->p = at + 1;

        } else {
            frame->p = agg_pb_read_tag(at, frame->last, &tag);

            if (frame->p == NULL) {
                return agg_pb_fault(w, AGG_PB_BAD_WIRE);
            }
        }

        if (tag >> 3 < m->ndense) {
            f = m->dense[tag >> 3];

        } else {
            f = agg_pb_field_by_number(m, tag >> 3);
        }

        /* a field with the wrong wire type is treated as unknown */

        if (f == NULL
            || ((tag & 7) != f->wire
                && ((tag & 7) != AGG_PB_LEN || !f->packable)))
        {
            frame->p = agg_pb_skip(frame->p, frame->last, tag, NULL);

            if (frame->p == NULL) {
                return agg_pb_fault(w, AGG_PB_BAD_WIRE);
            }

            continue;
        }

        if (f->index < frame->next) {
            return AGG_NOT_FOUND;
        }

        if (f->repeated) {
            rc = agg_pb_wire_repeated(w, frame, f, at, tag);

        } else if (f->message != NULL) {
            rc = agg_pb_wire_message(w, frame, f, tag);

        } else {
            rc = agg_pb_wire_scalar(w, frame, f);

            if (rc == AGG_OK) {
                continue;
            }
        }

        /* the opened message is on top */

        return rc;
    }

    return agg_pb_close(w, '}');
}


/* adjacent elements are one entry, as in the index */

static agg_rc_e
agg_pb_wire_repeated(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f, const u_char *at, uint32_t tag)
{
    agg_rc_e       rc;
    uint32_t       base;
    const u_char  *p, *end;

    p = frame->p;

    for ( ;; ) {
        p = agg_pb_skip(p, frame->last, tag, NULL);

        if (p == NULL) {
            return agg_pb_fault(w, AGG_PB_BAD_WIRE);
        }

        end = p;

        if (p == frame->last) {
            break;
        }

        p = agg_pb_read_tag(p, frame->last, &tag);

        if (p == NULL) {
            return agg_pb_fault(w, AGG_PB_BAD_WIRE);
        }

        if (tag >> 3 != f->number
            || ((tag & 7) != f->wire
                && ((tag & 7) != AGG_PB_LEN || !f->packable)))
        {
            break;
        }
    }

    frame->p = end;
    frame->next = f->index + 1;

    base = w->n;

    rc = agg_pb_push_entry(w, f->index, at, end);

    if (rc == AGG_OK) {
        rc = agg_pb_member_list(w, frame, f, base, base + 1, base);
    }

    if (f->message == NULL) {
        w->n = base;
    }

    return rc;
}


static agg_rc_e
agg_pb_wire_message(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f, uint32_t tag)
{
    uint32_t       base;
    agg_rc_e       rc;
    agg_str_t      value;
    const u_char  *end;

    if (agg_pb_wire_is_second(frame, f)) {
        return AGG_NOT_FOUND;
    }

    if ((tag & 7) == AGG_PB_LEN) {
        end = agg_pb_read_len(frame->p, frame->last, &value);

        if (end == NULL) {
            return agg_pb_fault(w, AGG_PB_BAD_WIRE);
        }

        frame->p = end;

    } else {
        value.data = (u_char *) frame->p;
        frame->p = agg_pb_skip(frame->p, frame->last, tag, &end);

        if (frame->p == NULL) {
            return agg_pb_fault(w, AGG_PB_BAD_WIRE);
        }

        value.len = (size_t) (end - value.data);
    }

    base = w->n;
    frame->next = f->index + 1;

    rc = agg_pb_push_entry(w, f->index, value.data, value.data + value.len);

    if (rc == AGG_OK) {
        rc = agg_pb_member_name(w, frame, f);
    }

    return (rc == AGG_OK)
           ? agg_pb_open_message(w, f->message, base, base + 1, base) : rc;
}


static agg_rc_e
agg_pb_wire_scalar(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f)
{
    uint64_t    bits;
    agg_rc_e    rc;
    agg_str_t   value;

    value.data = NULL;
    value.len = 0;

    if (f->wire == AGG_PB_LEN) {
        frame->p = agg_pb_read_len(frame->p, frame->last, &value);
        bits = (frame->p != NULL) ? value.len : 0;

    } else {
        frame->p = agg_pb_read_scalar(f, frame->p, frame->last, &bits);
    }

    if (frame->p == NULL) {
        return agg_pb_fault(w, AGG_PB_BAD_WIRE);
    }

    /* a number that a closed enum does not have is treated as unknown */

    if (f->type == AGG_PB_ENUM && f->enumeration->closed
        && agg_pb_enum_by_number(f->enumeration, (int32_t) bits) == NULL)
    {
        return AGG_OK;
    }

    if (agg_pb_wire_is_second(frame, f)) {
        return AGG_NOT_FOUND;
    }

    frame->next = f->index + 1;

    if (bits == 0 && !f->presence) {
        return AGG_OK;
    }

    rc = agg_pb_member_name(w, frame, f);
    if (rc != AGG_OK) {
        return rc;
    }

    if (f->wire == AGG_PB_LEN) {
        return agg_pb_print_bytes(w, f, value.data, value.data + value.len);
    }

    return agg_pb_print_scalar(w, f, bits);
}


agg_rc_e
agg_pb_print_again(agg_pb_printer_t *w, agg_pb_frame_t *frame)
{
    uint32_t  first;
    agg_rc_e  rc;

    w->redone += agg_buf_used(w->out) - frame->used;

    if (w->redone > (size_t) (w->limit - w->base)) {
        return AGG_NOT_FOUND;
    }

    w->out->pos = w->out->start + frame->used;
    w->n = frame->end;

    first = frame->entry;

    frame->first = (frame->state == AGG_PB_WIRE);
    frame->state = AGG_PB_MEMBERS;
    frame->entry = w->n;
    frame->next = 0;

    rc = agg_pb_index(w, frame->m, first, first + 1);

    frame->end = w->n;

    return rc;
}
