
/*
 * Writes messages forward, although the length of a nested message precedes it.
 * One byte is left for a length; if it is too small, the place is remembered,
 * and all such places are widened at the end.  Places of short messages are
 * forgotten when they are closed, so most messages need no second pass.
 */


#ifndef AGG_PB_WRITER_H_INCLUDED
#define AGG_PB_WRITER_H_INCLUDED


#include "agg_pb_desc.h"
#include "agg_pb_wire.h"


#pragma GCC visibility push(hidden)


/* the most open lengths: a list in a value in an entry of a map */

#define AGG_PB_OPEN    (AGG_PB_DEPTH * 4 + 8)

#define AGG_PB_PLACES  64


typedef struct {
    uint32_t          at;           /* from base */
    uint32_t          len;
} agg_pb_place_t;


typedef struct {
    uint32_t          place;
    uint32_t          growth;       /* before it was opened */
} agg_pb_open_t;


typedef struct {
    agg_buf_t        *out;
    size_t            base;         /* bytes in out that are not ours */
    uint32_t          growth;       /* bytes to be put in */
    uint32_t          nopen;
    uint32_t          n;
    uint32_t          size;
    agg_pb_place_t   *places;
    agg_pb_place_t    first[AGG_PB_PLACES];
    agg_pb_open_t     open[AGG_PB_OPEN];
} agg_pb_writer_t;


/* the position of a writer, for taking back what is written after it */

typedef struct {
    size_t            used;
    uint32_t          growth;
    uint32_t          nopen;
    uint32_t          n;
} agg_pb_mark_t;


/* allocates nothing */

void agg_pb_writer_init(agg_pb_writer_t *w, agg_buf_t *out);

/*
 * inserts the lengths; after an error, takes back everything that was written
 */

agg_rc_e agg_pb_writer_finish(agg_pb_writer_t *w, agg_rc_e rc);

/* opens a length; closes all lengths down to nopen */

agg_rc_e agg_pb_open_len(agg_pb_writer_t *w);
void agg_pb_close_len(agg_pb_writer_t *w, uint32_t nopen);

void agg_pb_mark(const agg_pb_writer_t *w, agg_pb_mark_t *mark);
void agg_pb_rewind(agg_pb_writer_t *w, const agg_pb_mark_t *mark);

agg_rc_e agg_pb_more_places(agg_pb_writer_t *w);


static inline agg_rc_e
agg_pb_reserve(agg_pb_writer_t *w, size_t n)
{
    if ((size_t) (w->out->end - w->out->pos) >= n) {
        return AGG_OK;
    }

    return agg_buf_reserve(w->out, n);
}


/* the caller has reserved room */

static inline void
agg_pb_put_tag(agg_pb_writer_t *w, const agg_pb_field_t *f)
{
    memcpy(w->out->pos, f->tag, sizeof(f->tag));
    w->out->pos += f->tag_len;
}


/* a scalar with or without its tag; for the bits see agg_pb_text.h */

agg_rc_e agg_pb_put_scalar(agg_pb_writer_t *w, const agg_pb_field_t *f,
    int tag, uint64_t bits);

/* a string or bytes, with its tag */

agg_rc_e agg_pb_put_bytes(agg_pb_writer_t *w, const agg_pb_field_t *f,
    const u_char *p, size_t len);


#pragma GCC visibility pop


#endif /* AGG_PB_WRITER_H_INCLUDED */
