
/*
 * The runner: it walks the containers that the shape applies to, with a frame
 * for each, and leaves values that are copied or dropped as a whole to the
 * scanner.
 */


#include "agg_run.h"


static void agg_run_reset(agg_shape_run_t *run, const agg_state_t *state);
static agg_rc_e agg_run_piece(agg_shape_run_t *run, const u_char *data,
    size_t len);
static agg_rc_e agg_run_bytes(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);
static agg_rc_e agg_run_token(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);
static agg_rc_e agg_run_element(agg_shape_run_t *run, const u_char *p,
    const u_char *end);
static agg_rc_e agg_run_begin(agg_shape_run_t *run, const u_char *p,
    const u_char *end);
static void agg_run_open(agg_shape_run_t *run, const u_char *p,
    const u_char *end);
static agg_rc_e agg_run_close(agg_shape_run_t *run, const u_char *p);
static agg_rc_e agg_run_moves_within(agg_shape_run_t *run);
static agg_rc_e agg_run_ended(agg_shape_run_t *run, const u_char *p);
static agg_rc_e agg_run_leave(agg_shape_run_t *run, const u_char *end);
static agg_rc_e agg_run_complete(agg_shape_run_t *run);
static agg_rc_e agg_run_late(agg_shape_run_t *run);
static agg_rc_e agg_run_result(agg_shape_run_t *run);
static agg_rc_e agg_run_place(agg_shape_run_t *run, const agg_path_t *path,
    const agg_str_t *json);
static void agg_run_swap(agg_shape_run_t *run);
static void agg_run_release(agg_shape_run_t *run);


/*
 * in memory, the runner is followed by frames, predictions, winners, buffers
 * and names
 */

#define AGG_RUN_ALIGN  16

#define agg_run_align(n)                                                     \
    (((n) + AGG_RUN_ALIGN - 1) & ~(size_t) (AGG_RUN_ALIGN - 1))


size_t
agg_shape_run_size(const agg_shape_t *s)
{
    size_t  size;

    size = agg_run_align(sizeof(agg_shape_run_t));

    if (s == NULL) {
        return size + agg_run_align(sizeof(agg_frame_t));
    }

    return size + agg_run_align(s->nframes * sizeof(agg_frame_t))
           + agg_run_align(s->nframes * AGG_PREDICTION_SLOTS
                           * sizeof(agg_prediction_t))
           + agg_run_align(s->nwinners * sizeof(agg_winner_t))
           + agg_run_align((s->nmoves + 1) * sizeof(agg_buf_t))
           + 2 * s->name_size;
}


void
agg_shape_run_init(agg_shape_run_t *run, const agg_shape_t *s, agg_buf_t *out,
    const agg_shape_args_t *args)
{
    u_char    *p;
    unsigned   i;

    run->offset = 0;
    run->stopped = 0;
    run->rc = AGG_OK;
    run->shape = s;
    run->args = args;
    run->out = out;

    p = (u_char *) run + agg_run_align(sizeof(agg_shape_run_t));
    run->frames = (agg_frame_t *) p;

    agg_buf_init(&run->spare, out->mem, out->max);

    run->scan.patterns = NULL;

    if (s == NULL) {
        agg_run_reset(run, &agg_state_copy);
        return;
    }

    run->scan.patterns = s->patterns;
    agg_patterns_start(s->patterns);
    agg_replay_start(s);

    p += agg_run_align(s->nframes * sizeof(agg_frame_t));

    for (i = 0; i < s->nframes; i++) {
        run->frames[i].usual = NULL;
        run->frames[i].predictions = (agg_prediction_t *) p
                                     + i * AGG_PREDICTION_SLOTS;
    }

    p += agg_run_align(s->nframes * AGG_PREDICTION_SLOTS
                       * sizeof(agg_prediction_t));
    run->winners = (agg_winner_t *) p;

    p += agg_run_align(s->nwinners * sizeof(agg_winner_t));
    run->moves = (agg_buf_t *) p;

    p += agg_run_align((s->nmoves + 1) * sizeof(agg_buf_t));
    run->names = p;

    for (i = 0; i <= s->nmoves; i++) {
        agg_buf_init(&run->moves[i], out->mem, out->max);
    }

    agg_run_reset(run, s->start);
}


void
agg_shape_run_expect(agg_shape_run_t *run, agg_patterns_t *patterns)
{
    run->scan.patterns = patterns;
    agg_patterns_start(patterns);
}


static void
agg_run_reset(agg_shape_run_t *run, const agg_state_t *state)
{
    run->empty = 1;
    run->step = AGG_RUN_VALUE;
    run->found = 0;
    run->child = state;
    run->edge = NULL;
    run->base = 0;
    run->from = NULL;
    run->quote = NULL;
    run->length = 0;
    run->flushed_early = 0;

    run->frame = run->frames;
    run->frame->slot = AGG_NO_SLOT;
    run->frame->close = 0;
    run->frame->silent = 1;
}


agg_rc_e
agg_shape_run_push(agg_shape_run_t *run, const u_char *data, size_t len)
{
    if (run->rc == AGG_OK) {
        run->rc = agg_run_piece(run, data, len);
    }

    return run->rc;
}


static agg_rc_e
agg_run_piece(agg_shape_run_t *run, const u_char *data, size_t len)
{
    agg_rc_e       rc;
    const u_char  *p, *end;

    p = data;
    end = data + len;

    if (run->step == AGG_RUN_SCAN && run->copying) {
        run->from = p;
        run->to = p;
    }

    run->piece = data;

    rc = agg_run_bytes(run, &p, end);

    run->base += (size_t) (p - data);
    run->offset += (size_t) (p - data);

    if (rc != AGG_OK && p < end) {
        run->stopped = 1;
        run->stop = *p;
    }

    return (rc == AGG_OK) ? agg_run_leave(run, end) : rc;
}


static agg_rc_e
agg_run_bytes(agg_shape_run_t *run, const u_char **pos, const u_char *end)
{
    agg_rc_e       rc;
    const u_char  *p, *start;

    rc = AGG_OK;
    p = *pos;

    while (p < end && rc == AGG_OK) {

        switch (run->step) {

        case AGG_RUN_SCAN:
        case AGG_RUN_REST:

            p = agg_scan_value(&run->scan, p, end);

            if (run->scan.state == AGG_SCAN_DONE) {
                rc = (run->step == AGG_RUN_SCAN) ? agg_run_ended(run, p)
                                                 : agg_run_close(run, p);

            } else if (run->scan.state == AGG_SCAN_ERROR) {
                rc = AGG_INVALID;
            }

            break;

        case AGG_RUN_NAME_STRING:
            rc = agg_run_name_string(run, &p, end);
            break;

        default:

            if (agg_is_space(*p)) {
                p++;
                break;
            }

            if ((run->step == AGG_RUN_AFTER && !run->frame->silent)
                || (run->step == AGG_RUN_VALUE && run->frame == run->frames))
            {
                if (agg_run_replays(run)) {
                    start = p;
                    rc = agg_run_replay(run, &p, end);

                    if (rc != AGG_OK || p != start) {
                        break;
                    }
                }
            }

            rc = agg_run_token(run, &p, end);
        }
    }

    *pos = p;

    return rc;
}


/* a token that begins, ends or separates values in a container with a frame */

static agg_rc_e
agg_run_token(agg_shape_run_t *run, const u_char **pos, const u_char *end)
{
    u_char         c;
    agg_rc_e       rc;
    const u_char  *p;

    p = *pos;
    c = *p;

    switch (run->step) {

    case AGG_RUN_FIRST_VALUE:

        if (c == ']') {
            break;
        }

        /* fall through */

    case AGG_RUN_VALUE:
    case AGG_RUN_ELEMENT:

        if (run->step != AGG_RUN_VALUE && agg_run_copies(run->frame)) {
            return agg_run_elements(run, pos, end);
        }

        rc = (run->step == AGG_RUN_VALUE) ? agg_run_begin(run, p, end)
                                          : agg_run_element(run, p, end);

        if (rc == AGG_OK && run->step != AGG_RUN_SCAN
            && run->step != AGG_RUN_REST)
        {
            (*pos)++;
        }

        return rc;

    case AGG_RUN_FIRST_NAME:

        if (c == '}') {
            break;
        }

        /* fall through */

    case AGG_RUN_NAME:

        if (c != '"') {
            return AGG_INVALID;
        }

        if ((size_t) (end - p) >= AGG_SCAN_AHEAD) {
            rc = run->frame->silent ? agg_run_silent_members(run, pos, end)
                                    : agg_run_members(run, pos, end);

            if (rc != AGG_OK || *pos != p) {
                return rc;
            }
        }

        run->quote = p;
        run->length = 0;
        run->step = AGG_RUN_NAME_STRING;
        agg_scan_start_string(&run->scan, agg_run_depth(run));
        (*pos)++;

        return AGG_OK;

    case AGG_RUN_COLON:

        if (c != ':') {
            return AGG_INVALID;
        }

        run->step = AGG_RUN_VALUE;
        (*pos)++;

        return AGG_OK;

    case AGG_RUN_AFTER:

        if (c == run->frame->close) {
            break;
        }

        if (c != ',') {
            return AGG_INVALID;
        }

        run->step = (run->frame->close == '}') ? AGG_RUN_NAME
                                               : AGG_RUN_ELEMENT;
        run->frame->index++;
        (*pos)++;

        return AGG_OK;

    default: /* AGG_RUN_END */
        return AGG_INVALID;
    }

    (*pos)++;

    return agg_run_close(run, p + 1);
}


/* expects an element, whose first byte is at p */

static agg_rc_e
agg_run_element(agg_shape_run_t *run, const u_char *p, const u_char *end)
{
    long                back;
    unsigned            i, k;
    agg_frame_t        *f;
    const agg_state_t  *st;

    f = run->frame;
    st = f->state;

    if (f->index >= f->limit) {
        agg_scan_start_rest(&run->scan, agg_run_depth(run));
        run->step = AGG_RUN_REST;
        return AGG_OK;
    }

    run->child = st->element;

    for (i = 0; i < st->nelements; i++) {
        if ((size_t) st->elements[i].index == f->index) {
            run->child = st->elements[i].child;
            break;
        }
    }

    if (st->whole) {
        back = (long) f->index - (long) f->total;

        for (k = 0; k < st->nback; k++) {
            if (st->back[k].index == back) {
                run->child = (i < st->nelements) ? st->both[i * st->nback + k]
                                                 : st->back[k].child;
                break;
            }
        }
    }

    return agg_run_begin(run, p, end);
}


/* begins the value at p */

static agg_rc_e
agg_run_begin(agg_shape_run_t *run, const u_char *p, const u_char *end)
{
    unsigned            i;
    agg_rc_e            rc;
    agg_mode_e          mode;
    agg_frame_t        *f;
    const agg_state_t  *st;

    f = run->frame;
    st = run->child;

    mode = (*p == '{') ? st->object : (*p == '[') ? st->array : st->scalar;

    run->empty = 0;

    /* the last one of duplicates on the path to a target or a source is used */

    if (f->silent && st != &agg_state_drop) {
        run->out->pos = run->out->start;
        run->from = NULL;
        run->found = !st->silent;
    }

    for (i = 0; i < st->nsources; i++) {
        run->moves[st->sources[i]].pos = run->moves[st->sources[i]].start;
    }

    if (mode != AGG_DROP && run->edge != NULL && run->edge->out != -1) {
        mode = agg_run_resolve_name(run, mode, &rc);

        if (rc != AGG_OK) {
            return rc;
        }
    }

    if (mode != AGG_DROP && !st->silent) {
        agg_run_try(agg_run_keep(run, p));

    } else if (run->flushed_early == AGG_FLUSHED) {
        run->out->pos = run->out->start + f->mark;
    }

    run->edge = NULL;
    run->quote = NULL;
    run->length = 0;
    run->flushed_early = 0;

    if (mode == AGG_WALK) {
        agg_run_open(run, p, end);
        return AGG_OK;
    }

    run->copying = (mode == AGG_COPY);
    run->step = AGG_RUN_SCAN;

    agg_scan_start(&run->scan, agg_run_depth(run));

    return AGG_OK;
}


static void
agg_run_open(agg_shape_run_t *run, const u_char *p, const u_char *end)
{
    unsigned            i;
    agg_str_t           rest;
    agg_iter_t          it;
    agg_frame_t        *f;
    const agg_state_t  *st;

    st = run->child;
    f = ++run->frame;

    f->state = st;
    f->index = 0;
    f->start = agg_buf_used(run->out) + agg_run_due(run);
    f->slot = AGG_NO_SLOT;
    f->silent = st->silent;
    f->comma = 0;
    f->dirty = 0;

    if (!st->silent) {
        run->to = p + 1;
    }

    if (*p == '{') {
        f->close = '}';
        run->step = AGG_RUN_FIRST_NAME;

        agg_frame_usual(f);
        agg_frame_predictions(f);

        for (i = 0; i < st->nouts; i++) {
            run->winners[st->winner + i].priority = 0;
            run->winners[st->winner + i].placed = 0;
        }

        return;
    }

    f->close = ']';
    f->at = run->base + (size_t) (p - run->piece) + 1;
    run->step = AGG_RUN_FIRST_VALUE;

    f->limit = st->limit;

    for (i = 0; i < st->nlimits; i++) {
        if (run->args->limits[st->limits[i]] < f->limit) {
            f->limit = run->args->limits[st->limits[i]];
        }
    }

    if (st->whole) {

        /* this is a late pass, so the whole document is available */

        rest.data = (u_char *) p;
        rest.len = (size_t) (end - p);
        agg_iter_init(&it, &rest);

        for (f->total = 0; agg_iter_next(&it); f->total++) { /* void */ }

        if (f->total > f->limit) {
            f->total = f->limit;
        }
    }
}


/* the container ends right before p */

static agg_rc_e
agg_run_close(agg_shape_run_t *run, const u_char *p)
{
    agg_frame_t  *f;

    f = run->frame;

    if (!f->silent) {

        if (f->state->nouts != 0 && f->close == '}') {
            agg_run_try(agg_run_append_into(run));
        }

        if (f->dirty) {
            agg_run_try(agg_run_flush(run));
            agg_run_compact(run);
        }

        if (run->from == NULL || p != run->to + 1) {
            agg_run_try(agg_run_flush(run));
            run->from = p - 1;
        }

        run->to = p;

        if (f->state->nplaces != 0) {
            agg_run_try(agg_run_flush(run));
            agg_run_try(agg_run_moves_within(run));
        }
    }

    run->frame--;

    return agg_run_ended(run, p);
}


/* the value of the frame is the last one in the output, and complete */

static agg_rc_e
agg_run_moves_within(agg_shape_run_t *run)
{
    unsigned           i;
    agg_str_t          doc, v;
    agg_buf_t         *b, *work;
    agg_frame_t       *f;
    const agg_rule_t  *rule;

    f = run->frame;
    work = &run->moves[run->shape->nmoves];

    for (i = 0; i < f->state->nplaces; i++) {
        rule = f->state->places[i];
        b = &run->moves[rule->slot];

        v.data = b->start;
        v.len = agg_buf_used(b);

        if (v.len == 0) {
            continue;
        }

        doc.data = run->out->start + f->start;
        doc.len = (size_t) (run->out->pos - doc.data);

        work->pos = work->start;

        agg_run_try(agg_place(work, &doc, rule->to, &v));

        run->out->pos = doc.data;
        b->pos = b->start;

        agg_run_try(agg_buf_append(run->out, work->start,
                                   agg_buf_used(work)));
    }

    return AGG_OK;
}


/* the value ends right before p */

static agg_rc_e
agg_run_ended(agg_shape_run_t *run, const u_char *p)
{
    u_char       *mark;
    agg_buf_t    *b;
    agg_frame_t  *f;

    f = run->frame;

    if (run->step == AGG_RUN_SCAN && run->copying) {
        run->to = p;
    }

    run->step = (f->close == 0) ? AGG_RUN_END : AGG_RUN_AFTER;

    if (f->slot == AGG_NO_SLOT) {
        return AGG_OK;
    }

    agg_run_try(agg_run_flush(run));

    b = &run->moves[f->slot];
    b->pos = b->start;
    f->slot = AGG_NO_SLOT;

    mark = run->out->start + f->mark;

    agg_run_try(agg_buf_append(b, mark, (size_t) (run->out->pos - mark)));

    run->out->pos = run->out->start + f->mark;

    return AGG_OK;
}


/* the piece ends: saves everything in it that will be needed */

static agg_rc_e
agg_run_leave(agg_shape_run_t *run, const u_char *end)
{
    size_t  len;

    if (run->step == AGG_RUN_SCAN && run->copying) {
        run->to = end;
    }

    agg_run_try(agg_run_flush(run));

    if (run->quote != NULL) {
        len = run->length;
        run->length = 0;
        agg_run_try(agg_run_save(run, run->quote + 1, len));
        run->quote = NULL;
    }

    return AGG_OK;
}


agg_rc_e
agg_shape_run_finish(agg_shape_run_t *run)
{
    if (run->rc != AGG_OK) {
        return run->rc;
    }

    run->rc = agg_run_complete(run);

    if (run->rc == AGG_OK && run->shape != NULL && run->shape->late != NULL) {
        run->rc = agg_run_late(run);
    }

    if (run->rc == AGG_OK) {
        run->rc = agg_run_result(run);
    }

    agg_run_release(run);

    return run->rc;
}


agg_rc_e
agg_shape_run_missing(agg_shape_run_t *run, const agg_str_t *doc)
{
    agg_run_reset(run, run->shape->root);

    run->out->pos = run->out->start;

    run->rc = agg_run_piece(run, doc->data, doc->len);

    if (run->rc == AGG_OK) {
        run->rc = agg_run_complete(run);
    }

    if (run->rc == AGG_OK) {
        run->rc = agg_run_result(run);
    }

    agg_run_release(run);

    return run->rc;
}


/* the document must be complete; a number may have been waiting for more */

static agg_rc_e
agg_run_complete(agg_shape_run_t *run)
{
    if (run->step == AGG_RUN_SCAN && run->frame == run->frames
        && run->scan.depth == 0 && run->scan.state >= AGG_SCAN_ZERO
        && run->scan.state <= AGG_SCAN_EXPONENT)
    {
        run->step = AGG_RUN_END;
    }

    if (run->step != AGG_RUN_END) {
        return AGG_INVALID;
    }

    return run->found ? AGG_OK : AGG_NOT_FOUND;
}


/* the second pass, over the complete document */

static agg_rc_e
agg_run_late(agg_shape_run_t *run)
{
    agg_rc_e  rc;
    size_t    offset;

    agg_run_swap(run);
    agg_run_reset(run, run->shape->late);

    offset = run->offset;
    rc = agg_run_piece(run, run->spare.start, agg_buf_used(&run->spare));
    run->offset = offset;

    run->empty = 0;

    return (rc == AGG_OK) ? agg_run_complete(run) : rc;
}


static agg_rc_e
agg_run_result(agg_shape_run_t *run)
{
    agg_str_t          v;
    agg_buf_t         *b;
    const agg_rule_t  *rule;

    /* the value is a scalar that is not allowed */

    if (run->out->pos == run->out->start) {
        agg_run_try(agg_buf_append(run->out, "null", 4));
    }

    if (run->shape == NULL || !run->shape->place) {
        return AGG_OK;
    }

    for (rule = run->shape->rules; rule != NULL; rule = rule->next) {

        if (rule->type != AGG_RULE_MOVE || rule->shared != 0) {
            continue;
        }

        b = &run->moves[rule->slot];
        v.data = b->start;
        v.len = agg_buf_used(b);

        if (v.len != 0) {
            agg_run_try(agg_run_place(run, rule->to, &v));
        }
    }

    for (rule = run->shape->rules; rule != NULL; rule = rule->next) {

        if (rule->type != AGG_RULE_SET) {
            continue;
        }

        v = rule->text;

        if (rule->slot != AGG_NO_SLOT) {
            b = &run->moves[run->shape->nmoves];
            b->pos = b->start;

            agg_run_try(agg_json_escape(b, run->args->values[rule->slot].data,
                                        run->args->values[rule->slot].len));
            v.data = b->start;
            v.len = agg_buf_used(b);
        }

        agg_run_try(agg_run_place(run, rule->path, &v));
    }

    return AGG_OK;
}


static agg_rc_e
agg_run_place(agg_shape_run_t *run, const agg_path_t *path,
    const agg_str_t *json)
{
    agg_str_t  doc;

    agg_run_swap(run);

    doc.data = run->spare.start;
    doc.len = agg_buf_used(&run->spare);

    return agg_place(run->out, &doc, path, json);
}


/* makes the output the input of the next pass */

static void
agg_run_swap(agg_shape_run_t *run)
{
    agg_buf_t  b;

    b = *run->out;
    *run->out = run->spare;
    run->spare = b;

    run->out->pos = run->out->start;
}


/* frees what was needed during the run only */

static void
agg_run_release(agg_shape_run_t *run)
{
    unsigned    i;
    agg_buf_t  *b;
    agg_mem_t  *mem;

    mem = run->out->mem;

    if (run->rc == AGG_NOT_FOUND) {
        run->out->pos = run->out->start;
    }

    if (run->spare.start != NULL) {
        mem->grow(mem->ctx, run->spare.start, 0, 0);
        agg_buf_init(&run->spare, mem, run->out->max);
    }

    if (run->shape == NULL) {
        return;
    }

    for (i = 0; i <= run->shape->nmoves; i++) {
        b = &run->moves[i];

        if (b->start != NULL) {
            mem->grow(mem->ctx, b->start, 0, 0);
            agg_buf_init(b, mem, run->out->max);
        }
    }
}
