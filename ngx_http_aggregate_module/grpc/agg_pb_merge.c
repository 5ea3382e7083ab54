
#include "agg_pb_merge.h"
#include "agg_pb_wire.h"


/* a length that is written before it is known, as a varint of five bytes */

#define AGG_PB_MERGE_LEN  5


typedef struct {
    const agg_pb_message_t  *message;
    u_char                  *bytes;     /* NULL: the caller's */
    u_char                  *seen;      /* of each field, by its index */
    const u_char            *start;
    const u_char            *pos;
    const u_char            *end;
    size_t                   length;    /* where the length is in out */
} agg_pb_level_t;


static agg_rc_e agg_pb_merge_fields(agg_pb_level_t *level, agg_buf_t *out,
    agg_pb_level_t *inner);
static agg_rc_e agg_pb_merge_pieces(const agg_pb_level_t *level,
    const agg_pb_field_t *field, agg_buf_t *out, agg_buf_t *joined);
static agg_rc_e agg_pb_merge_enter(agg_pb_level_t *level,
    const agg_pb_message_t *m, agg_mem_t *mem);
static void agg_pb_merge_leave(agg_pb_level_t *level, agg_mem_t *mem);
static void agg_pb_merge_length(u_char *p, size_t n);


agg_rc_e
agg_pb_merge(const agg_pb_message_t *m, const agg_str_t *wire, agg_buf_t *out)
{
    size_t           n;
    unsigned         depth;
    agg_rc_e         rc;
    agg_pb_level_t   levels[AGG_PB_MERGE_DEPTH + 1], *level;

    depth = 0;
    level = levels;

    memset(level, 0, sizeof(agg_pb_level_t));

    level->start = wire->data;
    level->pos = wire->data;
    level->end = wire->data + wire->len;

    rc = agg_pb_merge_enter(level, m, out->mem);

    while (rc == AGG_OK) {

        rc = agg_pb_merge_fields(level, out, depth < AGG_PB_MERGE_DEPTH
                                             ? level + 1 : NULL);

        if (rc == AGG_AGAIN) {
            rc = AGG_OK;
            level = &levels[++depth];
            continue;
        }

        if (rc != AGG_OK || depth == 0) {
            break;
        }

        n = agg_buf_used(out) - level->length - AGG_PB_MERGE_LEN;
        agg_pb_merge_length(out->start + level->length, n);

        agg_pb_merge_leave(level, out->mem);
        level = &levels[--depth];
    }

    for ( ;; ) {
        agg_pb_merge_leave(&levels[depth], out->mem);

        if (depth-- == 0) {
            return rc;
        }
    }
}


/* AGG_AGAIN: the pieces of a submessage are the inner level */

static agg_rc_e
agg_pb_merge_fields(agg_pb_level_t *level, agg_buf_t *out,
    agg_pb_level_t *inner)
{
    uint32_t               tag;
    agg_rc_e               rc;
    agg_buf_t              joined;
    const u_char          *start;
    const agg_pb_field_t  *field;

    while (level->pos != level->end) {

        start = level->pos;

        level->pos = agg_pb_read_tag(level->pos, level->end, &tag);

        if (level->pos != NULL) {
            level->pos = agg_pb_skip(level->pos, level->end, tag, NULL);
        }

        if (level->pos == NULL) {
            return AGG_INVALID;
        }

        field = agg_pb_field_by_number(level->message, tag >> 3);

        if (inner == NULL || field == NULL || field->repeated
            || field->type != AGG_PB_MESSAGE || (tag & 7) != AGG_PB_LEN)
        {
            rc = agg_buf_append(out, start, (size_t) (level->pos - start));
            if (rc != AGG_OK) {
                return rc;
            }

            continue;
        }

        if (level->seen[field->index]) {
            continue;
        }

        level->seen[field->index] = 1;

        agg_buf_init(&joined, out->mem, AGG_PB_MAX_INPUT);

        rc = agg_pb_merge_pieces(level, field, out, &joined);

        if (rc == AGG_NOT_FOUND) {

            /* there is but one */

            rc = agg_buf_append(out, start, (size_t) (level->pos - start));
            if (rc != AGG_OK) {
                return rc;
            }

            continue;
        }

        if (rc != AGG_OK) {
            return rc;
        }

        memset(inner, 0, sizeof(agg_pb_level_t));

        inner->bytes = joined.start;
        inner->start = joined.start;
        inner->pos = joined.start;
        inner->end = joined.pos;
        inner->length = agg_buf_used(out) - AGG_PB_MERGE_LEN;

        rc = agg_pb_merge_enter(inner, field->message, out->mem);

        return rc == AGG_OK ? AGG_AGAIN : rc;
    }

    return AGG_OK;
}


/* joins the pieces of a field, and writes its tag and room for the length */

static agg_rc_e
agg_pb_merge_pieces(const agg_pb_level_t *level, const agg_pb_field_t *field,
    agg_buf_t *out, agg_buf_t *joined)
{
    uint32_t       tag;
    unsigned       n;
    agg_rc_e       rc;
    agg_str_t      piece;
    const u_char  *p, *value;

    n = 0;

    for (p = level->start; p != level->end; /* void */ ) {

        p = agg_pb_read_tag(p, level->end, &tag);
        value = p;

        if (p != NULL) {
            p = agg_pb_skip(p, level->end, tag, NULL);
        }

        if (p == NULL) {
            return AGG_INVALID;
        }

        if (tag != agg_pb_tag(field->number, AGG_PB_LEN)) {
            continue;
        }

        if (agg_pb_read_len(value, level->end, &piece) == NULL) {
            return AGG_INVALID;
        }

        rc = agg_buf_append(joined, piece.data, piece.len);
        if (rc != AGG_OK) {
            return rc;
        }

        n++;
    }

    if (n < 2) {
        (void) joined->mem->grow(joined->mem->ctx, joined->start, 0, 0);
        return AGG_NOT_FOUND;
    }

    rc = agg_buf_append(out, field->tag, field->tag_len);

    return rc == AGG_OK ? agg_buf_append(out, "\0\0\0\0\0", AGG_PB_MERGE_LEN)
                        : rc;
}


static agg_rc_e
agg_pb_merge_enter(agg_pb_level_t *level, const agg_pb_message_t *m,
    agg_mem_t *mem)
{
    level->message = m;
    level->seen = mem->grow(mem->ctx, NULL, 0, m->nfields + 1);

    if (level->seen == NULL) {
        return AGG_NOMEM;
    }

    memset(level->seen, 0, m->nfields + 1);

    return AGG_OK;
}


static void
agg_pb_merge_leave(agg_pb_level_t *level, agg_mem_t *mem)
{
    if (level->seen != NULL) {
        (void) mem->grow(mem->ctx, level->seen, 0, 0);
        level->seen = NULL;
    }

    if (level->bytes != NULL) {
        (void) mem->grow(mem->ctx, level->bytes, 0, 0);
        level->bytes = NULL;
    }
}


static void
agg_pb_merge_length(u_char *p, size_t n)
{
    unsigned  i;

    for (i = 0; i < AGG_PB_MERGE_LEN - 1; i++) {
        *p++ = (u_char) (n | 0x80);
        n >>= 7;
    }

    *p = (u_char) n;
}
