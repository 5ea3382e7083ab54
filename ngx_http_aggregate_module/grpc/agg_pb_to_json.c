
/*
 * The printer of JSON: opens and closes messages, lists and maps.  A frame is
 * an open message, list or map; the top one is continued until it opens another
 * one, or ends.  Values other than messages are printed at once.
 */


#include "agg_pb_print.h"


/* for messages up to this size, memory is reserved at the start */

#define AGG_PB_MODEST  16384


static agg_rc_e agg_pb_run(agg_pb_printer_t *w);
static agg_rc_e agg_pb_print(agg_pb_printer_t *w, const agg_pb_message_t *m,
    const agg_pb_field_t *field, const agg_str_t *wire);
static agg_rc_e agg_pb_root(agg_pb_printer_t *w, const agg_pb_message_t *m,
    const agg_pb_field_t *field, const agg_str_t *wire);
static agg_rc_e agg_pb_members(agg_pb_printer_t *w, agg_pb_frame_t *frame);
static agg_rc_e agg_pb_defaults(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    uint32_t end);
static agg_rc_e agg_pb_singular(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f, const agg_pb_entry_t *e);
static agg_rc_e agg_pb_scalars(agg_pb_printer_t *w, const agg_pb_field_t *f,
    uint32_t first, uint32_t last);
static agg_rc_e agg_pb_run_of_scalars(agg_pb_printer_t *w,
    const agg_pb_field_t *f, const u_char *p, const u_char *end);
static agg_rc_e agg_pb_elements(agg_pb_printer_t *w, agg_pb_frame_t *frame);
static agg_rc_e agg_pb_map(agg_pb_printer_t *w, const agg_pb_field_t *f,
    uint32_t first, uint32_t last, uint32_t base);
static agg_rc_e agg_pb_map_key(agg_pb_printer_t *w, const agg_pb_field_t *f,
    uint32_t entry);
static agg_rc_e agg_pb_pairs(agg_pb_printer_t *w, agg_pb_frame_t *frame);
static int agg_pb_has_value(agg_pb_printer_t *w, uint32_t entry);
static agg_rc_e agg_pb_print_key(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f, const agg_pb_entry_t *e);


agg_rc_e
agg_pb_to_json(const agg_pb_pool_t *pool, const agg_pb_message_t *m,
    const agg_pb_field_t *field, const agg_str_t *wire,
    const agg_pb_print_t *print, agg_buf_t *out, agg_pb_fault_e *fault)
{
    size_t            used;
    agg_rc_e          rc;
    agg_pb_printer_t  w;

    *fault = AGG_PB_GOOD;

    if (wire->len > AGG_PB_MAX_INPUT) {
        return AGG_TOO_LARGE;
    }

    w.pool = pool;
    w.print = print;
    w.base = wire->len ? wire->data : (u_char *) "";
    w.limit = w.base + wire->len;
    w.quick = (print->plain || wire->len < AGG_PB_QUICK)
              ? w.base : w.limit - AGG_PB_QUICK;
    w.out = out;
    w.fault = AGG_PB_GOOD;
    w.entries = w.first;
    w.size = AGG_PB_ENTRIES;
    w.in_order = !print->always_print;
    w.redone = 0;

    agg_pb_keys_init(&w.keys, out->mem, print->key);

    /* enough for the JSON of most messages */

    if (wire->len < AGG_PB_MODEST) {
        (void) agg_buf_reserve(out, wire->len * 2 + AGG_PB_NUMBER * 2);
    }

    used = agg_buf_used(out);

    rc = agg_pb_print(&w, m, field, wire);

    if (rc != AGG_OK && rc != AGG_NOMEM && w.in_order) {

        /* a later field may override an invalid one */

        w.in_order = 0;
        w.fault = AGG_PB_GOOD;

        if (agg_buf_used(out) != used) {
            out->pos = out->start + used;
        }

        rc = agg_pb_print(&w, m, field, wire);
    }

    if (w.entries != w.first) {
        out->mem->grow(out->mem->ctx, w.entries, 0, 0);
    }

    if (w.keys.n != 0) {
        agg_pb_keys_free(&w.keys);
    }

    if (rc != AGG_OK) {
        *fault = w.fault;

        if (agg_buf_used(out) != used) {
            out->pos = out->start + used;
        }
    }

    return rc;
}


const char *
agg_pb_fault_text(agg_pb_fault_e fault)
{
    static const char *const  texts[] = {
        "no fault",
        "invalid protobuf",
        "invalid UTF-8",
        "a well-known type out of its range",
        "messages nested too deep"
    };

    return texts[fault];
}


static agg_rc_e
agg_pb_print(agg_pb_printer_t *w, const agg_pb_message_t *m,
    const agg_pb_field_t *field, const agg_str_t *wire)
{
    agg_rc_e  rc;

    rc = agg_pb_root(w, m, field, wire);

    return (rc == AGG_OK) ? agg_pb_run(w) : rc;
}


static agg_rc_e
agg_pb_run(agg_pb_printer_t *w)
{
    agg_rc_e         rc;
    agg_pb_frame_t  *frame;

    while (w->depth) {
        frame = &w->frames[w->depth - 1];

        switch (frame->state) {

        case AGG_PB_WIRE:
        case AGG_PB_WIRE_MORE:
            rc = agg_pb_print_wire(w, frame);

            if (rc == AGG_NOT_FOUND) {
                rc = agg_pb_print_again(w, frame);
            }

            break;

        case AGG_PB_MEMBERS:
            rc = agg_pb_members(w, frame);
            break;

        case AGG_PB_ELEMENTS:
            rc = agg_pb_elements(w, frame);
            break;

        case AGG_PB_PAIRS:
            rc = agg_pb_pairs(w, frame);
            break;

        default: /* AGG_PB_CLOSE */
            rc = agg_pb_close(w, '}');
        }

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_root(agg_pb_printer_t *w, const agg_pb_message_t *m,
    const agg_pb_field_t *field, const agg_str_t *wire)
{
    uint32_t         i, first, last;
    uint64_t         bits;
    agg_rc_e         rc;
    const u_char    *p, *end;
    agg_pb_entry_t  *e;

    w->n = 0;
    w->depth = 0;

    rc = agg_pb_push_entry(w, 0, w->base, w->base + wire->len);

    if (rc != AGG_OK || field == NULL) {
        return (rc == AGG_OK) ? agg_pb_open_message(w, m, 0, 1, 0) : rc;
    }

    rc = agg_pb_index(w, m, 0, 1);
    if (rc != AGG_OK) {
        return rc;
    }

    first = w->n;
    last = w->n;

    for (i = w->n; i > 1; i--) {
        if (w->entries[i - 1].field == field->index) {
            first = i - 1;
            last = (last == w->n) ? i : last;
        }
    }

    if (first == w->n) {
        return agg_pb_print_default(w, field);
    }

    if (field->repeated) {
        return agg_pb_open_repeated(w, field, first, last, 0);
    }

    if (field->message != NULL) {
        return agg_pb_open_message(w, field->message, first, last, 0);
    }

    e = &w->entries[last - 1];
    p = w->base + e->start;
    end = w->base + e->end;

    if (field->wire == AGG_PB_LEN) {
        return agg_pb_print_bytes(w, field, p, end);
    }

    (void) agg_pb_read_scalar(field, p, end, &bits);

    return agg_pb_print_scalar(w, field, bits);
}


static agg_rc_e
agg_pb_members(agg_pb_printer_t *w, agg_pb_frame_t *frame)
{
    uint32_t               first, last, index;
    agg_rc_e               rc;
    const agg_pb_field_t  *f;

    while (frame->entry < frame->end) {

        first = frame->entry;
        index = w->entries[first].field;

        for (last = first + 1; last < frame->end; last++) {
            if (w->entries[last].field != index) {
                break;
            }
        }

        f = &frame->m->fields[index];
        frame->entry = last;

        if (w->print->always_print) {
            rc = agg_pb_defaults(w, frame, index);
            if (rc != AGG_OK) {
                return rc;
            }

            frame->next = index + 1;
        }

        if (!f->repeated && f->message == NULL) {
            rc = agg_pb_singular(w, frame, f, &w->entries[last - 1]);
            if (rc != AGG_OK) {
                return rc;
            }

            continue;
        }

        if (f->repeated) {
            rc = agg_pb_member_list(w, frame, f, first, last, w->n);

            if (rc != AGG_OK || f->message != NULL) {
                return rc;
            }

            continue;
        }

        rc = agg_pb_member_name(w, frame, f);
        if (rc != AGG_OK) {
            return rc;
        }

        return agg_pb_open_message(w, f->message, first, last, w->n);
    }

    if (w->print->always_print) {
        rc = agg_pb_defaults(w, frame, frame->m->nfields);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return agg_pb_close(w, '}');
}


/* a list may be empty if all of its values are unknown */

agg_rc_e
agg_pb_member_list(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f, uint32_t first, uint32_t last, uint32_t base)
{
    size_t    used, named;
    agg_rc_e  rc;
    unsigned  nothing;

    nothing = frame->first;
    used = agg_buf_used(w->out);

    rc = agg_pb_member_name(w, frame, f);
    if (rc != AGG_OK) {
        return rc;
    }

    named = agg_buf_used(w->out);

    rc = agg_pb_open_repeated(w, f, first, last, base);
    if (rc != AGG_OK) {
        return rc;
    }

    if (f->message == NULL && agg_buf_used(w->out) == named + 2
        && !w->print->always_print)
    {
        frame->first = nothing;
        w->out->pos = w->out->start + used;
    }

    return AGG_OK;
}


agg_rc_e
agg_pb_member_name(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f)
{
    size_t            n, i;
    agg_rc_e          rc;
    const u_char     *src;
    const agg_str_t  *name;

    name = &f->print[w->print->proto_names];
    n = name->len - frame->first;

    /* enough also for most values after the name */

    rc = agg_pb_room(w, n + AGG_PB_NUMBER);

    if (rc != AGG_OK) {
        rc = agg_pb_room(w, n);
        if (rc != AGG_OK) {
            return rc;
        }

        memcpy(w->out->pos, name->data + frame->first, n);

    } else {

        /* both have more bytes than the name */

        src = name->data + frame->first;

        for (i = 0; i < n; i += AGG_PB_PADDING) {
            memcpy(w->out->pos + i, src + i, AGG_PB_PADDING);
        }
    }

    w->out->pos += n;
    frame->first = 0;

    return AGG_OK;
}


/* prints the fields before "end" that are missing and have no presence */

static agg_rc_e
agg_pb_defaults(agg_pb_printer_t *w, agg_pb_frame_t *frame, uint32_t end)
{
    agg_rc_e               rc;
    const agg_pb_field_t  *f;

    for ( /* void */ ; frame->next < end; frame->next++) {
        f = &frame->m->fields[frame->next];

        if (f->presence || f->extension) {
            continue;
        }

        rc = agg_pb_member_name(w, frame, f);
        if (rc != AGG_OK) {
            return rc;
        }

        rc = agg_pb_print_default(w, f);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_singular(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f, const agg_pb_entry_t *e)
{
    uint64_t       bits;
    agg_rc_e       rc;
    const u_char  *p, *end;

    p = w->base + e->start;
    end = w->base + e->end;

    if (f->wire == AGG_PB_LEN) {
        bits = p != end;

    } else {
        (void) agg_pb_read_scalar(f, p, end, &bits);
    }

    if (bits == 0 && !f->presence && !w->print->always_print) {
        return AGG_OK;
    }

    rc = agg_pb_member_name(w, frame, f);
    if (rc != AGG_OK) {
        return rc;
    }

    if (f->wire == AGG_PB_LEN) {
        return agg_pb_print_bytes(w, f, p, end);
    }

    return agg_pb_print_scalar(w, f, bits);
}


agg_rc_e
agg_pb_open_repeated(agg_pb_printer_t *w, const agg_pb_field_t *f,
    uint32_t first, uint32_t last, uint32_t base)
{
    agg_rc_e         rc;
    agg_pb_frame_t  *frame;

    if (f->map) {
        return agg_pb_map(w, f, first, last, base);
    }

    if (f->message == NULL) {
        return agg_pb_scalars(w, f, first, last);
    }

    rc = agg_pb_open(w, AGG_PB_ELEMENTS, '[', base);
    if (rc != AGG_OK) {
        return rc;
    }

    frame = &w->frames[w->depth - 1];
    frame->field = f;
    frame->entry = first;
    frame->end = last;
    frame->p = NULL;
    frame->last = NULL;

    return AGG_OK;
}


static agg_rc_e
agg_pb_scalars(agg_pb_printer_t *w, const agg_pb_field_t *f, uint32_t first,
    uint32_t last)
{
    u_char    *start;
    size_t     used;
    agg_rc_e   rc;

    if (w->depth == AGG_PB_DEPTH) {
        return agg_pb_fault(w, AGG_PB_BAD_DEPTH);
    }

    used = agg_buf_used(w->out);

    for ( /* void */ ; first < last; first++) {

        rc = agg_pb_run_of_scalars(w, f, w->base + w->entries[first].start,
                                   w->base + w->entries[first].end);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    rc = agg_pb_room(w, 2);
    if (rc != AGG_OK) {
        return rc;
    }

    /*
     * each value is preceded by a comma, the first of which becomes the bracket
     */

    start = w->out->start + used;

    if (start == w->out->pos) {
        w->out->pos++;
    }

    *start = '[';
    *w->out->pos++ = ']';

    return AGG_OK;
}


/* prints elements with their tags, some of which may be packed */

static agg_rc_e
agg_pb_run_of_scalars(agg_pb_printer_t *w, const agg_pb_field_t *f,
    const u_char *p, const u_char *end)
{
    uint32_t       tag;
    uint64_t       bits;
    agg_rc_e       rc;
    agg_str_t      value;
    const u_char  *last;

    while (p < end) {
        last = agg_pb_reread(p, end, &tag, &value);
        p = value.data;

        if ((tag & 7) == AGG_PB_LEN) {

            if (!f->packable) {

                rc = agg_pb_print_text(w, ",");
                if (rc != AGG_OK) {
                    return rc;
                }

                rc = agg_pb_print_bytes(w, f, p, last);
                if (rc != AGG_OK) {
                    return rc;
                }

                p = last;
                continue;
            }

            if (p == last) {
                continue;
            }
        }

        /* a single value, or all values of a packed run */

        do {
            p = agg_pb_read_scalar(f, p, (last > p) ? last : end, &bits);
            if (p == NULL) {
                return agg_pb_fault(w, AGG_PB_BAD_WIRE);
            }

            if (f->type == AGG_PB_ENUM && f->enumeration->closed
                && agg_pb_enum_by_number(f->enumeration, (int32_t) bits)
                   == NULL)
            {
                continue;
            }

            rc = agg_pb_room(w, AGG_PB_NUMBER + 3);
            if (rc != AGG_OK) {
                return rc;
            }

            *w->out->pos++ = ',';

            rc = agg_pb_print_scalar(w, f, bits);
            if (rc != AGG_OK) {
                return rc;
            }

        } while (p < last);
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_elements(agg_pb_printer_t *w, agg_pb_frame_t *frame)
{
    uint32_t   tag;
    agg_rc_e   rc;
    agg_str_t  value;

    if (frame->p == frame->last) {

        if (frame->entry == frame->end) {
            return agg_pb_close(w, ']');
        }

        frame->p = w->base + w->entries[frame->entry].start;
        frame->last = w->base + w->entries[frame->entry].end;
        frame->entry++;
    }

    frame->p = agg_pb_reread(frame->p, frame->last, &tag, &value);

    if (!frame->first) {
        rc = agg_pb_print_text(w, ",");
        if (rc != AGG_OK) {
            return rc;
        }
    }

    frame->first = 0;

    rc = agg_pb_push_entry(w, 0, value.data, value.data + value.len);
    if (rc != AGG_OK) {
        return rc;
    }

    return agg_pb_open_message(w, frame->field->message, w->n - 1, w->n,
                               w->n - 1);
}


/*
 * Makes an entry for each pair, and drops pairs whose key occurs again: the
 * last one is used.
 */

static agg_rc_e
agg_pb_map(agg_pb_printer_t *w, const agg_pb_field_t *f, uint32_t first,
    uint32_t last, uint32_t base)
{
    uint32_t         tag, start, end;
    agg_rc_e         rc;
    agg_str_t        value;
    const u_char    *p, *stop;
    agg_pb_frame_t  *frame;

    rc = agg_pb_open(w, AGG_PB_PAIRS, '{', base);
    if (rc != AGG_OK) {
        return rc;
    }

    start = w->n;
    agg_pb_keys_clear(&w->keys);

    for ( /* void */ ; first < last; first++) {

        p = w->base + w->entries[first].start;
        stop = w->base + w->entries[first].end;

        while (p < stop) {
            p = agg_pb_reread(p, stop, &tag, &value);

            rc = agg_pb_push_entry(w, 0, value.data, value.data + value.len);
            if (rc != AGG_OK) {
                return rc;
            }
        }
    }

    end = w->n;

    for (first = start; first < end && end - start > 1; first++) {
        rc = agg_pb_map_key(w, f, first);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    frame = &w->frames[w->depth - 1];
    frame->field = f;
    frame->entry = start;
    frame->end = end;

    return AGG_OK;
}


static agg_rc_e
agg_pb_map_key(agg_pb_printer_t *w, const agg_pb_field_t *f, uint32_t entry)
{
    uint32_t         base, start, len;
    uint64_t         bits;
    agg_rc_e         rc;
    agg_pb_key_t    *old;
    agg_pb_entry_t  *e, *key;

    base = w->n;

    rc = agg_pb_index(w, f->message, entry, entry + 1);
    if (rc != AGG_OK) {
        return rc;
    }

    key = NULL;

    for (e = w->entries + base; e < w->entries + w->n; e++) {
        if (e->field == 0) {
            key = e;
        }
    }

    w->n = base;

    if (f->message->fields[0].wire == AGG_PB_LEN) {
        start = key ? key->start : 0;
        len = key ? key->end - key->start : 0;

        rc = agg_pb_keys_add(&w->keys, 0, w->base, start, len, entry, &old);

    } else {
        bits = 0;

        if (key != NULL) {
            (void) agg_pb_read_scalar(&f->message->fields[0],
                                      w->base + key->start,
                                      w->base + key->end, &bits);
        }

        rc = agg_pb_keys_add(&w->keys, 0, NULL, (uint32_t) bits,
                             (uint32_t) (bits >> 32), entry, &old);
    }

    if (rc == AGG_OK && old != NULL) {
        w->entries[old->value].field = AGG_PB_NONE;
        old->value = entry;
    }

    return rc;
}


static agg_rc_e
agg_pb_pairs(agg_pb_printer_t *w, agg_pb_frame_t *frame)
{
    uint32_t               base, entry, value;
    uint64_t               bits;
    agg_rc_e               rc;
    agg_pb_entry_t        *e;
    const agg_pb_field_t  *f;

    while (frame->entry < frame->end
           && w->entries[frame->entry].field == AGG_PB_NONE)
    {
        frame->entry++;
    }

    if (frame->entry == frame->end) {
        return agg_pb_close(w, '}');
    }

    base = w->n;
    entry = frame->entry++;
    f = &frame->field->message->fields[1];

    rc = agg_pb_index(w, frame->field->message, entry, entry + 1);
    if (rc != AGG_OK) {
        return rc;
    }

    for (value = base; value < w->n && w->entries[value].field == 0; value++) {
        /* void */
    }

    if (value == w->n && f->type == AGG_PB_ENUM && f->enumeration->closed
        && agg_pb_has_value(w, entry))
    {
        /* a pair with an unknown value is ignored */

        w->n = base;
        return AGG_OK;
    }

    e = (value == base) ? NULL : &w->entries[value - 1];

    rc = agg_pb_print_key(w, frame, f - 1, e);
    if (rc != AGG_OK) {
        return rc;
    }

    if (f->message != NULL) {
        return agg_pb_open_message(w, f->message, value, w->n, base);
    }

    if (value == w->n) {
        w->n = base;
        return agg_pb_print_default(w, f);
    }

    e = &w->entries[w->n - 1];
    w->n = base;

    if (f->wire == AGG_PB_LEN) {
        return agg_pb_print_bytes(w, f, w->base + e->start, w->base + e->end);
    }

    (void) agg_pb_read_scalar(f, w->base + e->start, w->base + e->end, &bits);

    return agg_pb_print_scalar(w, f, bits);
}


static int
agg_pb_has_value(agg_pb_printer_t *w, uint32_t entry)
{
    uint32_t       tag;
    agg_str_t      value;
    const u_char  *p, *end;

    p = w->base + w->entries[entry].start;
    end = w->base + w->entries[entry].end;

    while (p < end) {
        p = agg_pb_reread(p, end, &tag, &value);

        if (tag == agg_pb_tag(2, AGG_PB_VARINT)) {
            return 1;
        }

        if ((tag & 7) != AGG_PB_LEN && (tag & 7) != AGG_PB_START_GROUP) {
            p = agg_pb_skip(p, end, tag, NULL);
        }

        if (p == NULL) {
            break;
        }
    }

    return 0;
}


/* prints a key as a string; e is NULL if the key is missing */

static agg_rc_e
agg_pb_print_key(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f, const agg_pb_entry_t *e)
{
    int            quotes;
    uint64_t       bits;
    agg_rc_e       rc;
    const u_char  *p, *end;

    p = e ? w->base + e->start : NULL;
    end = e ? w->base + e->end : NULL;

    quotes = f->wire != AGG_PB_LEN
             && f->type != AGG_PB_INT64 && f->type != AGG_PB_UINT64
             && f->type != AGG_PB_SINT64 && f->type != AGG_PB_FIXED64_TYPE
             && f->type != AGG_PB_SFIXED64;

    rc = agg_pb_room(w, AGG_PB_NUMBER + 8);
    if (rc != AGG_OK) {
        return rc;
    }

    if (!frame->first) {
        *w->out->pos++ = ',';
    }

    frame->first = 0;

    if (quotes) {
        *w->out->pos++ = '"';
    }

    bits = 0;

    if (f->wire == AGG_PB_LEN) {
        rc = agg_pb_print_string(w, p, end, f->utf8);

    } else {

        if (p != NULL) {
            (void) agg_pb_read_scalar(f, p, end, &bits);
        }

        rc = agg_pb_print_scalar(w, f, bits);
    }

    if (rc != AGG_OK) {
        return rc;
    }

    return quotes ? agg_pb_print_text(w, "\":") : agg_pb_print_text(w, ":");
}


agg_rc_e
agg_pb_open(agg_pb_printer_t *w, agg_pb_frame_e state, char bracket,
    uint32_t base)
{
    agg_rc_e         rc;
    agg_pb_frame_t  *frame;

    if (w->depth == AGG_PB_DEPTH) {
        return agg_pb_fault(w, AGG_PB_BAD_DEPTH);
    }

    frame = &w->frames[w->depth++];
    frame->state = state;
    frame->base = base;
    frame->first = bracket != '\0';

    if (bracket) {
        rc = agg_pb_room(w, AGG_PB_NUMBER);
        if (rc != AGG_OK) {
            return rc;
        }

        *w->out->pos++ = (u_char) bracket;
    }

    return AGG_OK;
}


agg_rc_e
agg_pb_close(agg_pb_printer_t *w, char bracket)
{
    agg_rc_e  rc;

    rc = agg_pb_room(w, 1);
    if (rc != AGG_OK) {
        return rc;
    }

    *w->out->pos++ = (u_char) bracket;

    w->depth--;
    w->n = w->frames[w->depth].base;

    return AGG_OK;
}
