
/*
 * The index of a message: the positions of its fields on the wire.  It takes
 * one pass over the bytes of the message itself; nested messages are skipped by
 * their length.  Adjacent elements of a repeated field share one entry, so a
 * list usually needs only one.
 */


#include "agg_pb_print.h"


/* up to this many entries are sorted by insertion */

#define AGG_PB_FEW  24


static agg_rc_e agg_pb_index_piece(agg_pb_printer_t *w,
    const agg_pb_message_t *m, const u_char *p, const u_char *end,
    uint32_t base, unsigned *disorder, unsigned *oneofs);
static int agg_pb_is_unknown_enum(const agg_pb_field_t *f, const u_char *p,
    const u_char *end);
static agg_rc_e agg_pb_choose(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t base);
static agg_rc_e agg_pb_sort(agg_pb_printer_t *w, const agg_pb_message_t *m,
    uint32_t base);


agg_rc_e
agg_pb_index(agg_pb_printer_t *w, const agg_pb_message_t *m, uint32_t first,
    uint32_t last)
{
    uint32_t  base;
    agg_rc_e  rc;
    unsigned  disorder, oneofs;

    base = w->n;
    oneofs = 0;
    disorder = 0;

    for ( /* void */ ; first < last; first++) {

        rc = agg_pb_index_piece(w, m, w->base + w->entries[first].start,
                                w->base + w->entries[first].end, base,
                                &disorder, &oneofs);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    if (oneofs > 1) {
        rc = agg_pb_choose(w, m, base);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return disorder ? agg_pb_sort(w, m, base) : AGG_OK;
}


static agg_rc_e
agg_pb_index_piece(agg_pb_printer_t *w, const agg_pb_message_t *m,
    const u_char *p, const u_char *end, uint32_t base, unsigned *disorder,
    unsigned *oneofs)
{
    uint32_t               tag;
    uint64_t               n;
    const u_char          *at, *start, *last;
    const agg_pb_field_t  *f;

    while (p < end) {
        at = p;

        if (*p >= 8 && *p < 0x80 && (*p & 7) <= AGG_PB_FIXED32) {
            tag = *p++;

        } else {
            p = agg_pb_read_tag(p, end, &tag);

            if (p == NULL) {
                return agg_pb_fault(w, AGG_PB_BAD_WIRE);
            }
        }

        if (tag >> 3 < m->ndense) {
            f = m->dense[tag >> 3];

        } else {
            f = agg_pb_field_by_number(m, tag >> 3);
        }

        start = p;

        if ((tag & 7) == AGG_PB_LEN) {
            p = agg_pb_varint(p, end, &n);

            if (p == NULL || n > (size_t) (end - p)) {
                return agg_pb_fault(w, AGG_PB_BAD_WIRE);
            }

            start = p;
            p += n;
            last = p;

        } else if ((tag & 7) == AGG_PB_VARINT) {
            p = agg_pb_varint(p, end, &n);
            last = p;

            if (p == NULL) {
                return agg_pb_fault(w, AGG_PB_BAD_WIRE);
            }

        } else {
            last = NULL;
            p = agg_pb_skip(p, end, tag, &last);

            if (p == NULL) {
                return agg_pb_fault(w, AGG_PB_BAD_WIRE);
            }

            if (last == NULL) {
                last = p;
            }
        }

        /* a field with the wrong wire type is treated as unknown */

        if (f == NULL
            || ((tag & 7) != f->wire
                && ((tag & 7) != AGG_PB_LEN || !f->packable)))
        {
            continue;
        }

        if (w->n != base) {
            *disorder |= w->entries[w->n - 1].field > f->index;
        }

        if (f->repeated) {

            if (w->n != base && w->entries[w->n - 1].field == f->index
                && w->entries[w->n - 1].end == (uint32_t) (at - w->base))
            {
                w->entries[w->n - 1].end = (uint32_t) (p - w->base);
                continue;
            }

            start = at;
            last = p;

        } else if (f->type == AGG_PB_ENUM && f->enumeration->closed
                   && agg_pb_is_unknown_enum(f, start, last))
        {
            continue;

        } else {
            *oneofs += f->oneof != AGG_PB_NONE;
        }

        if (agg_pb_push_entry(w, f->index, start, last) != AGG_OK) {
            return AGG_NOMEM;
        }
    }

    return AGG_OK;
}


static int
agg_pb_is_unknown_enum(const agg_pb_field_t *f, const u_char *p,
    const u_char *end)
{
    uint64_t  bits;

    (void) agg_pb_varint(p, end, &bits);

    return agg_pb_enum_by_number(f->enumeration, (int32_t) (uint32_t) bits)
           == NULL;
}


/*
 * A member of a oneof clears the others, so only the last member counts, from
 * its first occurrence after any other member.
 */

static agg_rc_e
agg_pb_choose(agg_pb_printer_t *w, const agg_pb_message_t *m, uint32_t base)
{
    uint32_t         i, k, *chosen, few[16];
    agg_mem_t       *mem;
    agg_pb_entry_t  *e;

    mem = w->out->mem;
    chosen = few;

    if (m->noneofs > sizeof(few) / sizeof(few[0])) {
        chosen = mem->grow(mem->ctx, NULL, 0, m->noneofs * sizeof(uint32_t));

        if (chosen == NULL) {
            return AGG_NOMEM;
        }
    }

    memset(chosen, 0, m->noneofs * sizeof(uint32_t));

    /* NONE: another member was found, so everything before it is dropped */

    for (i = w->n; i > base; i--) {
        e = &w->entries[i - 1];
        k = m->fields[e->field].oneof;

        if (k == AGG_PB_NONE) {
            continue;
        }

        if (chosen[k] == 0) {
            chosen[k] = e->field + 1;

        } else if (chosen[k] >> 31 || chosen[k] != e->field + 1) {
            chosen[k] |= (uint32_t) 1 << 31;
            e->field = AGG_PB_NONE;
        }
    }

    for (i = base, k = base; i < w->n; i++) {
        if (w->entries[i].field != AGG_PB_NONE) {
            w->entries[k++] = w->entries[i];
        }
    }

    w->n = k;

    if (chosen != few) {
        mem->grow(mem->ctx, chosen, 0, 0);
    }

    return AGG_OK;
}


/* stable: occurrences of a field keep their order */

static agg_rc_e
agg_pb_sort(agg_pb_printer_t *w, const agg_pb_message_t *m, uint32_t base)
{
    uint32_t         i, k, n, sum, *count;
    agg_mem_t       *mem;
    agg_pb_entry_t  *e, *sorted, entry;

    e = w->entries + base;
    n = w->n - base;

    if (n <= AGG_PB_FEW) {

        for (i = 1; i < n; i++) {
            entry = e[i];

            for (k = i; k > 0 && e[k - 1].field > entry.field; k--) {
                e[k] = e[k - 1];
            }

            e[k] = entry;
        }

        return AGG_OK;
    }

    mem = w->out->mem;

    count = mem->grow(mem->ctx, NULL, 0, m->nfields * sizeof(uint32_t));
    if (count == NULL) {
        return AGG_NOMEM;
    }

    sorted = mem->grow(mem->ctx, NULL, 0, n * sizeof(agg_pb_entry_t));

    if (sorted == NULL) {
        mem->grow(mem->ctx, count, 0, 0);
        return AGG_NOMEM;
    }

    memset(count, 0, m->nfields * sizeof(uint32_t));

    for (i = 0; i < n; i++) {
        count[e[i].field]++;
    }

    for (i = 0, sum = 0; i < m->nfields; i++) {
        k = count[i];
        count[i] = sum;
        sum += k;
    }

    for (i = 0; i < n; i++) {
        sorted[count[e[i].field]++] = e[i];
    }

    memcpy(e, sorted, n * sizeof(agg_pb_entry_t));

    mem->grow(mem->ctx, sorted, 0, 0);
    mem->grow(mem->ctx, count, 0, 0);

    return AGG_OK;
}


agg_rc_e
agg_pb_more_entries(agg_pb_printer_t *w)
{
    size_t           size, used;
    agg_mem_t       *mem;
    agg_pb_entry_t  *entries;

    mem = w->out->mem;
    used = w->n * sizeof(agg_pb_entry_t);
    size = (size_t) w->size * 2 * sizeof(agg_pb_entry_t);

    if (w->entries == w->first) {
        entries = mem->grow(mem->ctx, NULL, 0, size);

        if (entries != NULL) {
            memcpy(entries, w->first, used);
        }

    } else {
        entries = mem->grow(mem->ctx, w->entries, used, size);
    }

    if (entries == NULL) {
        return AGG_NOMEM;
    }

    w->entries = entries;
    w->size *= 2;

    return AGG_OK;
}
