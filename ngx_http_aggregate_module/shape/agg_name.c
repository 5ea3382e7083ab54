
/*
 * Names.  The name of a member is held until the first byte of its value,
 * when it is known whether the member is kept.  A name that is cut is buffered
 * as long as it may match one of the shape; a longer one is written early.
 */


#include "agg_run.h"


static void agg_run_find(agg_shape_run_t *run);
static agg_rc_e agg_run_flush_name(agg_shape_run_t *run, const void *p,
    size_t n);


agg_rc_e
agg_run_name_string(agg_shape_run_t *run, const u_char **pos,
    const u_char *end)
{
    const u_char  *p, *start;

    start = *pos;

    p = agg_scan_value(&run->scan, start, end);
    *pos = p;

    if (run->scan.state == AGG_SCAN_ERROR) {
        return AGG_INVALID;
    }

    if (run->scan.state != AGG_SCAN_DONE) {
        agg_run_try(agg_run_save(run, start, (size_t) (p - start)));
        run->quote = NULL;
        return AGG_OK;
    }

    if (run->quote != NULL) {
        run->length = (size_t) (p - start) - 1;

    } else {
        agg_run_try(agg_run_save(run, start, (size_t) (p - start) - 1));
    }

    agg_run_find(run);

    agg_prediction_skip(run->frame);

    run->step = AGG_RUN_COLON;

    return AGG_OK;
}


/* looks up the member in the state, as its name is complete */

static void
agg_run_find(agg_shape_run_t *run)
{
    size_t              len;
    agg_str_t           name;
    const agg_edge_t   *edge;
    const agg_state_t  *st;

    st = run->frame->state;

    run->edge = NULL;
    run->child = st->other;

    if (run->flushed_early || run->length > run->shape->name_size) {
        return;
    }

    name.len = run->length;
    name.data = (run->quote != NULL) ? (u_char *) run->quote + 1 : run->names;

    if (memchr(name.data, '\\', name.len) != NULL) {
        len = agg_json_unescape_any(run->names + run->shape->name_size, &name);
        name.data = run->names + run->shape->name_size;
        name.len = len;
    }

    edge = agg_state_edge(st, name.data, name.len);

    if (edge != NULL) {
        run->edge = edge;
        run->child = edge->child;
    }
}


/* the edge for a decoded name, if any */

const agg_edge_t *
agg_state_edge(const agg_state_t *st, const u_char *name, size_t n)
{
    size_t             len;
    unsigned           i;
    const agg_edge_t  *edge;

    len = (n > AGG_EDGE_LONG) ? AGG_EDGE_LONG + 1 : n;

    for (i = st->first[len]; i < st->first[len + 1]; i++) {
        edge = &st->edges[i];

        if (edge->name.len == n && memcmp(edge->name.data, name, n) == 0) {
            return edge;
        }
    }

    return NULL;
}


/* saves a part of a name at the end of the piece that contains it */

agg_rc_e
agg_run_save(agg_shape_run_t *run, const u_char *p, size_t n)
{
    agg_frame_t  *f;

    if (!run->flushed_early && n <= run->shape->name_size - run->length) {

        if (n != 0) {
            memcpy(run->names + run->length, p, n);
            run->length += n;
        }

        return AGG_OK;
    }

    if (!run->flushed_early) {
        agg_run_try(agg_run_flush(run));

        f = run->frame;
        f->mark = agg_buf_used(run->out);

        run->flushed_early = (f->state->other == &agg_state_drop)
                             ? AGG_FLUSHED_GONE : AGG_FLUSHED;

        agg_run_try(agg_run_flush_name(run, &",\""[!f->comma], 1u + f->comma));
        agg_run_try(agg_run_flush_name(run, run->names, run->length));
    }

    return agg_run_flush_name(run, p, n);
}


static agg_rc_e
agg_run_flush_name(agg_shape_run_t *run, const void *p, size_t n)
{
    agg_rc_e  rc;

    if (run->flushed_early != AGG_FLUSHED) {
        return AGG_OK;
    }

    rc = agg_buf_append(run->out, p, n);

    if (rc == AGG_TOO_LARGE) {

        /* an error only if the member is kept */

        run->flushed_early = AGG_FLUSHED_LARGE;
        run->out->pos = run->out->start + run->frame->mark;
        rc = AGG_OK;
    }

    return rc;
}
