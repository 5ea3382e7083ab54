
/*
 * Output that is kept is copied in runs that are as long as possible: [from,
 * to) are the bytes of the current piece that are still to be copied.  White
 * space between the tokens of a frame is always dropped, so the output does not
 * depend on how the input is divided into pieces.
 */


#include "agg_run.h"


static const agg_str_t *agg_run_into(agg_shape_run_t *run,
    const agg_frame_t *f, const agg_out_t *out);
static agg_rc_e agg_run_keep_member(agg_shape_run_t *run, const u_char *p);


/*
 * A member with a name that other members may have in the output as well.  A
 * member that loses to an earlier one is dropped at once; earlier members that
 * lose to a better one are dropped when the object ends.
 */

agg_mode_e
agg_run_resolve_name(agg_shape_run_t *run, agg_mode_e mode, agg_rc_e *rc)
{
    int                   n;
    unsigned              i, priority;
    agg_frame_t          *f;
    agg_winner_t         *t;
    const agg_out_t      *out;
    const agg_str_t      *value;
    const agg_pending_t  *pending;

    f = run->frame;
    n = run->edge->out;
    out = &f->state->outs[n];
    t = &run->winners[f->state->winner + (unsigned) n];
    priority = run->edge->priority + 1;

    value = (out->slot != AGG_NO_SLOT) ? agg_run_into(run, f, out) : NULL;

    *rc = AGG_OK;

    if (priority < t->priority
        || (priority == t->priority && value != NULL && t->placed))
    {
        return AGG_DROP;
    }

    if (priority > t->priority) {

        if (t->priority != 0) {
            f->dirty = 1;

            for (i = 0; i < f->state->npending; i++) {
                pending = &f->state->pending[i];

                if (pending->out == n && pending->priority + 1 < priority) {
                    run->moves[pending->slot].pos
                        = run->moves[pending->slot].start;
                }
            }
        }

        t->priority = priority;
        t->placed = 0;
        t->first = agg_buf_used(run->out) + agg_run_due(run);
    }

    if (value == NULL) {
        return mode;
    }

    *rc = agg_run_flush(run);

    if (*rc == AGG_OK && f->comma) {
        *rc = agg_buf_append(run->out, ",", 1);
    }

    if (*rc == AGG_OK) {
        *rc = agg_buf_append(run->out, out->text->data, out->text->len);
    }

    if (*rc == AGG_OK) {
        *rc = agg_buf_append(run->out, value->data, value->len);
    }

    f->comma = 1;
    t->placed = 1;

    return AGG_DROP;
}


/* the value that is inserted into the element of this frame, if any */

static const agg_str_t *
agg_run_into(agg_shape_run_t *run, const agg_frame_t *f, const agg_out_t *out)
{
    size_t                   i;
    const agg_shape_into_t  *into;

    into = &run->args->into[out->slot];

    if (into->at != 0 && into->at != (f - 1)->at) {
        return NULL;
    }

    i = (f - 1)->index;

    return (i < into->n && into->values[i].data != NULL) ? &into->values[i]
                                                         : NULL;
}


/* the value at p is kept, and so is its name */

agg_rc_e
agg_run_keep(agg_shape_run_t *run, const u_char *p)
{
    agg_frame_t  *f;

    f = run->frame;

    if (f->silent) {
        run->from = p;
        run->to = p;
        return AGG_OK;
    }

    if (run->child->slot != AGG_NO_SLOT) {
        agg_run_try(agg_run_flush(run));
        f->slot = run->child->slot;
        f->mark = agg_buf_used(run->out);
        run->from = p;
        run->to = p;
        return AGG_OK;
    }

    if (f->close == '}') {
        return agg_run_keep_member(run, p);
    }

    if (run->from == NULL || p != run->to + f->comma) {
        agg_run_try(agg_run_flush(run));
        agg_run_try(agg_buf_append(run->out, ",", f->comma));
        run->from = p;
    }

    run->to = p;
    f->comma = 1;

    return AGG_OK;
}


static agg_rc_e
agg_run_keep_member(agg_shape_run_t *run, const u_char *p)
{
    agg_frame_t      *f;
    const agg_str_t  *text;

    f = run->frame;
    text = (run->edge != NULL) ? run->edge->text : NULL;

    if (text == NULL && run->quote != NULL) {

        /* extends the previous run if nothing else is in between */

        if (run->from == NULL || run->quote != run->to + f->comma) {
            agg_run_try(agg_run_flush(run));
            agg_run_try(agg_buf_append(run->out, ",", f->comma));
            run->from = run->quote;
        }

        if (p != run->quote + run->length + 3) {
            run->to = run->quote + run->length + 2;
            agg_run_try(agg_run_flush(run));
            agg_run_try(agg_buf_append(run->out, ":", 1));
            run->from = p;
        }

        run->to = p;
        f->comma = 1;

        return AGG_OK;
    }

    agg_run_try(agg_run_flush(run));

    if (run->flushed_early) {

        if (run->flushed_early == AGG_FLUSHED_LARGE) {
            return AGG_TOO_LARGE;
        }

        agg_run_try(agg_buf_append(run->out, "\":", 2));

    } else if (text != NULL) {
        agg_run_try(agg_buf_append(run->out, ",", f->comma));
        agg_run_try(agg_buf_append(run->out, text->data, text->len));

    } else {
        agg_run_try(agg_buf_append(run->out, &",\""[!f->comma],
                                   1u + f->comma));
        agg_run_try(agg_buf_append(run->out, run->names, run->length));
        agg_run_try(agg_buf_append(run->out, "\":", 2));
    }

    run->from = p;
    run->to = p;
    f->comma = 1;

    return AGG_OK;
}


agg_rc_e
agg_run_append_into(agg_shape_run_t *run)
{
    unsigned          i;
    agg_frame_t      *f;
    agg_winner_t     *t;
    const agg_out_t  *out;
    const agg_str_t  *value;

    f = run->frame;

    for (i = 0; i < f->state->nouts; i++) {
        out = &f->state->outs[i];
        t = &run->winners[f->state->winner + i];

        if (out->slot == AGG_NO_SLOT || t->placed) {
            continue;
        }

        value = agg_run_into(run, f, out);

        if (value == NULL) {
            continue;
        }

        agg_run_try(agg_run_flush(run));
        agg_run_try(agg_buf_append(run->out, ",", f->comma));
        agg_run_try(agg_buf_append(run->out, out->text->data, out->text->len));
        agg_run_try(agg_buf_append(run->out, value->data, value->len));

        f->comma = 1;
    }

    return AGG_OK;
}


/* removes the earlier members whose names better ones have got */

void
agg_run_compact(agg_shape_run_t *run)
{
    size_t              n;
    u_char             *start, *dst, *src;
    unsigned            i;
    agg_str_t           object;
    agg_iter_t          it;
    agg_frame_t        *f;
    agg_winner_t       *t;
    const agg_state_t  *st;

    f = run->frame;
    st = f->state;
    t = &run->winners[st->winner];

    start = run->out->start;

    object.data = start + f->start;
    object.len = (size_t) (run->out->pos - object.data);

    dst = object.data + 1;
    f->comma = 0;

    agg_iter_init(&it, &object);

    while (agg_iter_next(&it)) {
        src = it.name.data - 1;

        for (i = 0; i < st->nouts; i++) {
            if (t[i].priority > 1 && src < start + t[i].first
                && agg_json_name_equal(&it.name, &st->outs[i].name))
            {
                break;
            }
        }

        if (i < st->nouts) {
            continue;
        }

        if (f->comma) {
            *dst++ = ',';
        }

        n = (size_t) (it.value.data + it.value.len - src);
        memmove(dst, src, n);
        dst += n;
        f->comma = 1;
    }

    run->out->pos = dst;
}


agg_rc_e
agg_run_flush(agg_shape_run_t *run)
{
    agg_rc_e  rc;

    if (run->from == NULL) {
        return AGG_OK;
    }

    rc = agg_buf_append(run->out, run->from, (size_t) (run->to - run->from));

    run->from = NULL;

    return rc;
}
