
#include "agg_pb_required.h"
#include "agg_pb_wire.h"


/* fields that are looked for at a time */

#define AGG_PB_FIELDS  64


static const agg_pb_field_t *agg_pb_missing_in(const agg_pb_message_t *m,
    const u_char *p, const u_char *end, unsigned depth);
static uint64_t agg_pb_seen(const agg_pb_message_t *m, uint32_t base,
    const u_char *p, const u_char *end);
static const agg_pb_field_t *agg_pb_missing_below(const agg_pb_message_t *m,
    const u_char *p, const u_char *end, unsigned depth);


const agg_pb_field_t *
agg_pb_missing(const agg_pb_message_t *m, const agg_str_t *wire)
{
    return m->requires
           ? agg_pb_missing_in(m, wire->data, wire->data + wire->len, 0)
           : NULL;
}


static const agg_pb_field_t *
agg_pb_missing_in(const agg_pb_message_t *m, const u_char *p,
    const u_char *end, unsigned depth)
{
    uint32_t  i, base;
    uint64_t  wanted;

    for (base = 0; base < m->nfields; base += AGG_PB_FIELDS) {
        wanted = 0;

        for (i = base; i < m->nfields && i < base + AGG_PB_FIELDS; i++) {
            wanted |= (uint64_t) m->fields[i].required << (i - base);
        }

        if (wanted != 0) {
            wanted &= ~agg_pb_seen(m, base, p, end);
        }

        if (wanted != 0) {
            return &m->fields[base + (uint32_t) __builtin_ctzll(wanted)];
        }
    }

    return (depth < AGG_PB_DEPTH) ? agg_pb_missing_below(m, p, end, depth + 1)
                                  : NULL;
}


/* which of the fields from base on there are, by their bits */

static uint64_t
agg_pb_seen(const agg_pb_message_t *m, uint32_t base, const u_char *p,
    const u_char *end)
{
    uint32_t               tag;
    uint64_t               seen;
    const agg_pb_field_t  *f;

    seen = 0;

    while (p != NULL && p < end) {
        p = agg_pb_read_tag(p, end, &tag);

        if (p == NULL) {
            break;
        }

        f = agg_pb_field_by_number(m, tag >> 3);

        if (f != NULL && f->index - base < AGG_PB_FIELDS) {
            seen |= (uint64_t) 1 << (f->index - base);
        }

        p = agg_pb_skip(p, end, tag, NULL);
    }

    return seen;
}


static const agg_pb_field_t *
agg_pb_missing_below(const agg_pb_message_t *m, const u_char *p,
    const u_char *end, unsigned depth)
{
    uint32_t               tag;
    agg_str_t              value;
    const u_char          *inner, *next;
    const agg_pb_field_t  *f, *missing;

    for ( /* void */ ; p < end; p = next) {
        p = agg_pb_read_tag(p, end, &tag);
        next = (p != NULL) ? agg_pb_skip(p, end, tag, &inner) : NULL;

        if (next == NULL) {
            break;
        }

        f = agg_pb_field_by_number(m, tag >> 3);

        if (f == NULL || f->message == NULL || !f->message->requires
            || (tag & 7) != f->wire)
        {
            continue;
        }

        if (f->wire == AGG_PB_LEN) {

            if (agg_pb_read_len(p, end, &value) == NULL) {
                break;
            }

            p = value.data;
            inner = next;
        }

        missing = agg_pb_missing_in(f->message, p, inner, depth);

        if (missing != NULL) {
            return missing;
        }
    }

    return NULL;
}
