
/* see agg_pb_writer.h */


#include "agg_pb_writer.h"


void
agg_pb_writer_init(agg_pb_writer_t *w, agg_buf_t *out)
{
    w->out = out;
    w->base = agg_buf_used(out);
    w->growth = 0;
    w->nopen = 0;
    w->n = 0;
    w->size = AGG_PB_PLACES;
    w->places = w->first;
}


agg_rc_e
agg_pb_writer_finish(agg_pb_writer_t *w, agg_rc_e rc)
{
    size_t           n, used;
    u_char          *base, *src, *dst, *start;
    agg_buf_t       *out;
    agg_pb_place_t  *place;

    out = w->out;

    if (rc == AGG_OK && w->growth) {
        rc = agg_buf_reserve(out, w->growth);
    }

    if (rc == AGG_OK && w->growth) {
        base = out->start + w->base;
        src = out->pos;
        dst = out->pos + w->growth;
        out->pos = dst;

        /* starts from the end, as bytes are moved towards it */

        for (n = w->n; n; n--) {
            place = &w->places[n - 1];

            start = base + place->at + 1;
            used = (size_t) (src - start);

            dst -= used;
            memmove(dst, start, used);

            dst -= agg_pb_varint_size(place->len);
            (void) agg_pb_put_varint(dst, place->len);

            src = base + place->at;
        }
    }

    if (rc != AGG_OK && agg_buf_used(out) != w->base) {
        out->pos = out->start + w->base;
    }

    if (w->places != w->first) {
        out->mem->grow(out->mem->ctx, w->places, 0, 0);
    }

    return rc;
}


agg_rc_e
agg_pb_open_len(agg_pb_writer_t *w)
{
    agg_rc_e        rc;
    agg_pb_open_t  *open;

    rc = agg_pb_reserve(w, 1);
    if (rc != AGG_OK) {
        return rc;
    }

    if (w->n == w->size && agg_pb_more_places(w) != AGG_OK) {
        return AGG_NOMEM;
    }

    open = &w->open[w->nopen++];
    open->place = w->n;
    open->growth = w->growth;

    w->places[w->n++].at = (uint32_t) (agg_buf_used(w->out) - w->base);
    w->out->pos++;

    return AGG_OK;
}


void
agg_pb_close_len(agg_pb_writer_t *w, uint32_t nopen)
{
    uint32_t         len;
    agg_pb_open_t   *open;
    agg_pb_place_t  *place;

    while (w->nopen > nopen) {
        open = &w->open[--w->nopen];
        place = &w->places[open->place];

        len = (uint32_t) (agg_buf_used(w->out) - w->base) - place->at - 1
              + w->growth - open->growth;

        if (len < 0x80) {

            /* no nested length is longer, so its place is the last one */

            w->out->start[w->base + place->at] = (u_char) len;
            w->n--;
            continue;
        }

        place->len = len;
        w->growth += (uint32_t) agg_pb_varint_size(len) - 1;
    }
}


void
agg_pb_mark(const agg_pb_writer_t *w, agg_pb_mark_t *mark)
{
    mark->used = agg_buf_used(w->out);
    mark->growth = w->growth;
    mark->nopen = w->nopen;
    mark->n = w->n;
}


void
agg_pb_rewind(agg_pb_writer_t *w, const agg_pb_mark_t *mark)
{
    w->out->pos = w->out->start + mark->used;
    w->growth = mark->growth;
    w->nopen = mark->nopen;
    w->n = mark->n;
}


agg_rc_e
agg_pb_more_places(agg_pb_writer_t *w)
{
    size_t           size, used;
    agg_mem_t       *mem;
    agg_pb_place_t  *places;

    mem = w->out->mem;
    used = w->n * sizeof(agg_pb_place_t);
    size = (size_t) w->size * 2 * sizeof(agg_pb_place_t);

    if (w->places == w->first) {
        places = mem->grow(mem->ctx, NULL, 0, size);

        if (places != NULL) {
            memcpy(places, w->first, used);
        }

    } else {
        places = mem->grow(mem->ctx, w->places, used, size);
    }

    if (places == NULL) {
        return AGG_NOMEM;
    }

    w->places = places;
    w->size *= 2;

    return AGG_OK;
}


agg_rc_e
agg_pb_put_scalar(agg_pb_writer_t *w, const agg_pb_field_t *f, int tag,
    uint64_t bits)
{
    u_char    *p;
    agg_rc_e   rc;

    rc = agg_pb_reserve(w, sizeof(f->tag) + AGG_PB_VARINT_MAX);
    if (rc != AGG_OK) {
        return rc;
    }

    if (tag) {
        agg_pb_put_tag(w, f);
    }

    p = w->out->pos;

    switch (f->wire) {

    case AGG_PB_FIXED32:
        p = agg_pb_put32(p, (uint32_t) bits);
        break;

    case AGG_PB_FIXED64:
        p = agg_pb_put64(p, bits);
        break;

    default: /* AGG_PB_VARINT */

        if (f->type == AGG_PB_SINT32 || f->type == AGG_PB_SINT64) {
            bits = agg_pb_zigzag(bits);
        }

        p = agg_pb_put_varint(p, bits);
    }

    w->out->pos = p;

    return AGG_OK;
}


agg_rc_e
agg_pb_put_bytes(agg_pb_writer_t *w, const agg_pb_field_t *f, const u_char *p,
    size_t len)
{
    agg_rc_e  rc;

    rc = agg_pb_reserve(w, sizeof(f->tag) + AGG_PB_VARINT_MAX + len);
    if (rc != AGG_OK) {
        return rc;
    }

    agg_pb_put_tag(w, f);
    w->out->pos = agg_pb_put_varint(w->out->pos, len);

    if (len != 0) {
        memcpy(w->out->pos, p, len);
        w->out->pos += len;
    }

    return AGG_OK;
}
