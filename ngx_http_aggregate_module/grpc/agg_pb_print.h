
/* shared by the files of the printer */


#ifndef AGG_PB_PRINT_H_INCLUDED
#define AGG_PB_PRINT_H_INCLUDED


#include "agg_pb_keys.h"
#include "agg_pb_number.h"
#include "agg_pb_to_json.h"
#include "agg_pb_wire.h"


#pragma GCC visibility push(hidden)


#define AGG_PB_ENTRIES  96

/* the bytes of the input that a tag and a number can take */

#define AGG_PB_QUICK    16


/*
 * An occurrence of a field: the position of its value, without its length; for
 * a repeated field, a run of values with their tags.
 */

typedef struct {
    uint32_t                  field;
    uint32_t                  start;
    uint32_t                  end;
} agg_pb_entry_t;


typedef enum {
    AGG_PB_MEMBERS = 0,
    AGG_PB_WIRE,                    /* members as they come */
    AGG_PB_WIRE_MORE,               /* the same, behind an "@type" */
    AGG_PB_ELEMENTS,
    AGG_PB_PAIRS,
    AGG_PB_CLOSE
} agg_pb_frame_e;


/* an open object, list or message */

typedef struct {
    agg_pb_frame_e            state;
    uint32_t                  first;    /* nothing is in it yet */
    uint32_t                  entry;    /* the next one */
    uint32_t                  end;      /* of the entries */
    uint32_t                  base;     /* entries when it has been closed */
    uint32_t                  next;     /* field that may be printed */
    uint32_t                  oneofs;   /* that have a member, by 32 */
    size_t                    used;     /* of the output, to begin again */
    const agg_pb_message_t   *m;
    const agg_pb_field_t     *field;
    const u_char             *p;        /* the rest of a run or a message */
    const u_char             *last;
} agg_pb_frame_t;


typedef struct {
    const agg_pb_pool_t      *pool;
    const agg_pb_print_t     *print;
    const u_char             *base;
    const u_char             *limit;        /* the end of the input */
    const u_char             *quick;        /* where quick members begin */
    agg_buf_t                *out;
    agg_pb_fault_e            fault;
    unsigned                  in_order;     /* until it turns out otherwise */
    size_t                    redone;       /* bytes that were printed twice */

    agg_pb_entry_t           *entries;
    uint32_t                  n;
    uint32_t                  size;
    uint32_t                  depth;

    agg_pb_keys_t             keys;
    agg_pb_frame_t            frames[AGG_PB_DEPTH];
    agg_pb_entry_t            first[AGG_PB_ENTRIES];
} agg_pb_printer_t;


#define agg_pb_fault(w, what)  ((w)->fault = (what), AGG_INVALID)


static inline agg_rc_e
agg_pb_room(agg_pb_printer_t *w, size_t n)
{
    if ((size_t) (w->out->end - w->out->pos) >= n) {
        return AGG_OK;
    }

    return agg_buf_reserve(w->out, n);
}


agg_rc_e agg_pb_more_entries(agg_pb_printer_t *w);


static inline agg_rc_e
agg_pb_push_entry(agg_pb_printer_t *w, uint32_t field, const u_char *start,
    const u_char *end)
{
    agg_pb_entry_t  *e;

    if (w->n == w->size && agg_pb_more_entries(w) != AGG_OK) {
        return AGG_NOMEM;
    }

    e = &w->entries[w->n++];
    e->field = field;
    e->start = (uint32_t) (start - w->base);
    e->end = (uint32_t) (end - w->base);

    return AGG_OK;
}


/*
 * Returns the end of a value after its tag, which was validated before; or the
 * start of the value, if it is neither length-delimited nor a group.
 */

static inline const u_char *
agg_pb_reread(const u_char *p, const u_char *end, uint32_t *tag,
    agg_str_t *value)
{
    const u_char  *inner;

    *tag = 0;
    value->len = 0;

    p = agg_pb_read_tag(p, end, tag);

    if (p == NULL) {
        value->data = (u_char *) end;
        return end;
    }

    value->data = (u_char *) p;

    if ((*tag & 7) == AGG_PB_LEN) {
        p = agg_pb_read_len(p, end, value);

    } else if ((*tag & 7) == AGG_PB_START_GROUP) {
        inner = p;
        p = agg_pb_skip(p, end, *tag, &inner);
        value->len = (size_t) (inner - value->data);
    }

    return p ? p : end;
}


/*
 * Appends entries for the fields of a message, in the order of the fields.  The
 * message consists of the pieces in the entries first .. last - 1.
 */

agg_rc_e agg_pb_index(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last);


/*
 * Scalars. agg_pb_read_scalar() returns the end, or NULL, and the bits of a
 * value as they are compared and printed; a double or float has its own bits.
 */

const u_char *agg_pb_read_scalar(const agg_pb_field_t *f, const u_char *p,
    const u_char *end, uint64_t *bits);
agg_rc_e agg_pb_print_scalar(agg_pb_printer_t *w, const agg_pb_field_t *f,
    uint64_t bits);

/* strings and bytes */

agg_rc_e agg_pb_print_bytes(agg_pb_printer_t *w, const agg_pb_field_t *f,
    const u_char *p, const u_char *end);
agg_rc_e agg_pb_print_string(agg_pb_printer_t *w, const u_char *p,
    const u_char *end, int strict);
agg_rc_e agg_pb_print_base64(agg_pb_printer_t *w, const u_char *p,
    const u_char *end);
agg_rc_e agg_pb_print_raw(agg_pb_printer_t *w, const char *text, size_t len);

#define agg_pb_print_text(w, text)                                           \
    agg_pb_print_raw(w, text, sizeof(text) - 1)

/* prints the default value of a missing field */

agg_rc_e agg_pb_print_default(agg_pb_printer_t *w, const agg_pb_field_t *f);


/*
 * Prints or opens a message that consists of the pieces first .. last - 1, or a
 * repeated field with these runs; the entries are freed down to "base" when it
 * is closed.
 */

agg_rc_e agg_pb_open_message(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last, uint32_t base);
agg_rc_e agg_pb_open_repeated(agg_pb_printer_t *w, const agg_pb_field_t *f,
    uint32_t first, uint32_t last, uint32_t base);

/* pushes a frame; bracket: '\0' if it continues the object that is open */

agg_rc_e agg_pb_open(agg_pb_printer_t *w, agg_pb_frame_e state, char bracket,
    uint32_t base);
agg_rc_e agg_pb_close(agg_pb_printer_t *w, char bracket);


/* prints members of the top message: in the order of the input, or by index */

agg_rc_e agg_pb_print_wire(agg_pb_printer_t *w, agg_pb_frame_t *frame);
agg_rc_e agg_pb_print_again(agg_pb_printer_t *w, agg_pb_frame_t *frame);

agg_rc_e agg_pb_member_name(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f);
agg_rc_e agg_pb_member_list(agg_pb_printer_t *w, agg_pb_frame_t *frame,
    const agg_pb_field_t *f, uint32_t first, uint32_t last, uint32_t base);


/* well-known types with a single value, from the pieces first .. last - 1 */

agg_rc_e agg_pb_print_timestamp(agg_pb_printer_t *w,
    const agg_pb_message_t *m, uint32_t first, uint32_t last);

/* prints in quotes, with room for 64 bytes; NULL: it is out of range */

u_char *agg_pb_put_timestamp(u_char *p, int64_t seconds, int32_t nanos);

agg_rc_e agg_pb_print_duration(agg_pb_printer_t *w,
    const agg_pb_message_t *m, uint32_t first, uint32_t last);
agg_rc_e agg_pb_print_mask(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last);
agg_rc_e agg_pb_print_wrapper(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t first, uint32_t last);


#pragma GCC visibility pop


#endif /* AGG_PB_PRINT_H_INCLUDED */
