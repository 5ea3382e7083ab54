
/* The printer of messages, including well-known types that contain others. */


#include "agg_pb_print.h"


static agg_rc_e agg_pb_open_members(agg_pb_printer_t *w,
    const agg_pb_message_t *m, uint32_t first, uint32_t last, uint32_t base,
    char bracket);
static agg_rc_e agg_pb_any(agg_pb_printer_t *w, const agg_pb_message_t **m,
    uint32_t first, uint32_t last, uint32_t base);
static int agg_pb_is_debug(const agg_str_t *url);
static agg_rc_e agg_pb_value(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last, const agg_pb_message_t **inner);


/*
 * Prints or opens a message that consists of some pieces; the entries are freed
 * down to "base" when it is closed.
 */

agg_rc_e
agg_pb_open_message(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last, uint32_t base)
{
    int       bracket;
    uint32_t  group;
    agg_rc_e  rc;

    bracket = '{';

    for ( ;; ) {
        group = w->n;

        switch (m->kind) {

        case AGG_PB_TIMESTAMP:
            rc = agg_pb_print_timestamp(w, m, first, last);
            w->n = base;
            return rc;

        case AGG_PB_DURATION:
            rc = agg_pb_print_duration(w, m, first, last);
            w->n = base;
            return rc;

        case AGG_PB_FIELD_MASK:
            rc = agg_pb_print_mask(w, m, first, last);
            w->n = base;
            return rc;

        case AGG_PB_WRAPPER:
            rc = agg_pb_print_wrapper(w, m, first, last);
            w->n = base;
            return rc;

        case AGG_PB_STRUCT:
        case AGG_PB_LIST_VALUE:
            rc = agg_pb_index(w, m, first, last);
            if (rc != AGG_OK) {
                return rc;
            }

            return agg_pb_open_repeated(w, m->fields, group, w->n, base);

        case AGG_PB_VALUE:
            rc = agg_pb_value(w, m, first, last, &m);

            if (rc != AGG_OK || m == NULL) {
                w->n = base;
                return rc;
            }

            first = group;
            last = w->n;
            continue;

        case AGG_PB_ANY:
            rc = agg_pb_any(w, &m, first, last, base);

            if (rc != AGG_OK || m == NULL) {
                return rc;
            }

            first = w->n - 1;
            last = w->n;

            if (m->kind == AGG_PB_PLAIN || m->kind == AGG_PB_EMPTY
                || m->kind == AGG_PB_HTTP_BODY)
            {
                bracket = '\0';
                break;
            }

            rc = agg_pb_print_text(w, ",\"value\":");
            if (rc != AGG_OK) {
                return rc;
            }

            rc = agg_pb_open(w, AGG_PB_CLOSE, '\0', base);
            if (rc != AGG_OK) {
                return rc;
            }

            base = w->n;
            continue;

        default:
            break;
        }

        return agg_pb_open_members(w, m, first, last, base, (char) bracket);
    }
}


/* in the order of the input, if the message is in one piece */

static agg_rc_e
agg_pb_open_members(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last, uint32_t base, char bracket)
{
    agg_rc_e         rc;
    agg_pb_frame_t  *frame;

    rc = agg_pb_open(w, AGG_PB_MEMBERS, bracket, base);
    if (rc != AGG_OK) {
        return rc;
    }

    frame = &w->frames[w->depth - 1];
    frame->m = m;
    frame->next = 0;

    if (w->in_order && last - first == 1) {
        frame->state = bracket ? AGG_PB_WIRE : AGG_PB_WIRE_MORE;
        frame->p = w->base + w->entries[first].start;
        frame->last = w->base + w->entries[first].end;
        frame->entry = first;
        frame->end = w->n;
        frame->oneofs = 0;
        frame->used = agg_buf_used(w->out);

        return AGG_OK;
    }

    frame->entry = w->n;

    rc = agg_pb_index(w, m, first, last);

    frame->end = w->n;

    return rc;
}


/*
 * Writes {"@type":"..." and returns the message to be printed next, with an
 * entry for its bytes; *m is NULL if nothing is left.
 */

static agg_rc_e
agg_pb_any(agg_pb_printer_t *w, const agg_pb_message_t **m, uint32_t first,
    uint32_t last, uint32_t base)
{
    size_t           i;
    uint32_t         group;
    agg_rc_e         rc;
    agg_str_t        text[2];
    agg_pb_entry_t  *e;

    group = w->n;

    text[0].len = 0;
    text[0].data = (u_char *) w->base;
    text[1] = text[0];

    rc = agg_pb_index(w, *m, first, last);
    if (rc != AGG_OK) {
        return rc;
    }

    for (i = group; i < w->n; i++) {
        e = &w->entries[i];
        text[e->field].data = (u_char *) w->base + e->start;
        text[e->field].len = e->end - e->start;
    }

    *m = NULL;

    if (text[0].len == 0 && text[1].len == 0) {
        w->n = base;
        return agg_pb_print_text(w, "{}");
    }

    if (w->depth == AGG_PB_DEPTH) {
        return agg_pb_fault(w, AGG_PB_BAD_DEPTH);
    }

    for (i = 0; i < text[0].len; i++) {

        if (text[0].data[text[0].len - 1 - i] == '/') {
            *m = agg_pb_find_message(w->pool,
                                     text[0].data + text[0].len - i, i);
            break;
        }
    }

    if (w->print->no_debug && agg_pb_is_debug(&text[0])) {
        *m = NULL;
        w->n = base;
        return agg_pb_print_text(w, "{}");
    }

    rc = agg_pb_print_text(w, "{\"@type\":");
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_print_string(w, text[0].data, text[0].data + text[0].len, 1);
    if (rc != AGG_OK) {
        return rc;
    }

    if (*m != NULL) {
        return agg_pb_push_entry(w, 0, text[1].data,
                                 text[1].data + text[1].len);
    }

    rc = agg_pb_print_text(w, ",\"value\":");
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_print_base64(w, text[1].data, text[1].data + text[1].len);
    if (rc != AGG_OK) {
        return rc;
    }

    w->n = base;

    return agg_pb_print_text(w, "}");
}


static int
agg_pb_is_debug(const agg_str_t *url)
{
    size_t  rest;

    static const char  name[] = "google.rpc.DebugInfo";

    if (url->len < sizeof(name) - 1) {
        return 0;
    }

    rest = url->len - (sizeof(name) - 1);

    return (rest == 0 || url->data[rest - 1] == '/')
           && memcmp(url->data + rest, name, sizeof(name) - 1) == 0;
}


/*
 * Prints a google.protobuf.Value, or returns the Struct or ListValue in it,
 * whose pieces are then the last entries.
 */

static agg_rc_e
agg_pb_value(agg_pb_printer_t *w, const agg_pb_message_t *m, uint32_t first,
    uint32_t last, const agg_pb_message_t **inner)
{
    double                 number;
    uint32_t               group;
    uint64_t               bits;
    agg_rc_e               rc;
    agg_pb_entry_t        *e;
    const agg_pb_field_t  *f;

    group = w->n;
    *inner = NULL;

    rc = agg_pb_index(w, m, first, last);
    if (rc != AGG_OK) {
        return rc;
    }

    if (w->n == group) {
        return agg_pb_print_text(w, "null");
    }

    e = &w->entries[w->n - 1];
    f = &m->fields[e->field];

    if (f->message != NULL) {
        *inner = f->message;
        return AGG_OK;
    }

    if (f->wire == AGG_PB_LEN) {
        return agg_pb_print_bytes(w, f, w->base + e->start, w->base + e->end);
    }

    (void) agg_pb_read_scalar(f, w->base + e->start, w->base + e->end, &bits);

    if (f->type == AGG_PB_DOUBLE) {
        memcpy(&number, &bits, sizeof(double));

        if (number - number != 0) {
            return agg_pb_fault(w, AGG_PB_BAD_RANGE);
        }
    }

    return agg_pb_print_scalar(w, f, bits);
}
