
/*
 * The fast loop of the runner.  It handles members of an object in succession,
 * unless a member is cut, moved, renamed to a name that others may have, or
 * needs a frame of its own.  The steps of agg_run.c continue where it stops.
 */


#include "agg_run.h"


static agg_rc_e agg_members_object(agg_shape_run_t *run, const u_char **pos,
    const u_char *end);
static agg_rc_e agg_members_next(agg_shape_run_t *run, const u_char **pos,
    const u_char *last);
static agg_prediction_t *agg_member_mispredicted(agg_frame_t *f,
    agg_prediction_t *h, const u_char **pos, const u_char *last);
static agg_prediction_t *agg_member_unusual(agg_shape_run_t *run,
    const u_char **pos, const u_char *end, unsigned *step);
static inline int agg_prediction_fits_long(const agg_prediction_t *h,
    const u_char *p, const u_char *last);
static inline agg_prediction_t *agg_member_lookup(const agg_state_t *st,
    agg_prediction_t *h, const u_char *start, const u_char *p,
    const u_char *last);
static inline const u_char *agg_members_drop(agg_shape_run_t *run,
    const u_char *p, const u_char *end, unsigned *step);
static inline const agg_edge_t *agg_member_find(const agg_state_t *st,
    const u_char *p, size_t n);
static inline agg_mode_e agg_member_mode(const agg_state_t *child, u_char c);
static inline agg_rc_e agg_member_keep(agg_shape_run_t *run, const u_char *p,
    const u_char *v);
static const u_char *agg_member_scan(agg_shape_run_t *run, const u_char *p,
    const u_char *end);


/* the state for a member that is left to the steps, whatever its value is */

static const agg_state_t  agg_member_walk = {
    .object = AGG_WALK,
    .array = AGG_WALK,
    .scalar = AGG_WALK
};


agg_rc_e
agg_run_members(agg_shape_run_t *run, const u_char **pos, const u_char *end)
{
    const u_char  *p, *last;

    last = end - AGG_SCAN_AHEAD;

    do {
        agg_run_try(agg_members_object(run, pos, end));

        if (run->step != AGG_RUN_AFTER || *pos > last
            || agg_run_replays(run))
        {
            break;
        }

        p = *pos;

        agg_run_try(agg_members_next(run, pos, last));

    } while (*pos != p);

    return AGG_OK;
}


/* on the way to a target, where all members but one are dropped */

agg_rc_e
agg_run_silent_members(agg_shape_run_t *run, const u_char **pos,
    const u_char *end)
{
    unsigned  step;

    step = AGG_RUN_NAME;
    *pos = agg_members_drop(run, *pos, end, &step);
    run->step = step;

    return (step == AGG_RUN_SCAN && run->scan.state == AGG_SCAN_ERROR)
           ? AGG_INVALID : AGG_OK;
}


agg_rc_e
agg_run_elements(agg_shape_run_t *run, const u_char **pos, const u_char *end)
{
    agg_frame_t   *f;
    const u_char  *p;

    f = run->frame;
    p = *pos;

    run->child = &agg_state_copy;
    run->copying = 1;

    do {
        *pos = p;
        agg_run_try(agg_run_keep(run, p));

        run->step = AGG_RUN_SCAN;

        p = agg_member_scan(run, p, end);
        *pos = p;

        if (run->scan.state != AGG_SCAN_DONE) {
            return (run->scan.state == AGG_SCAN_ERROR) ? AGG_INVALID : AGG_OK;
        }

        run->to = p;

        if (p == end || *p != ',') {
            run->step = AGG_RUN_AFTER;
            return AGG_OK;
        }

        run->step = AGG_RUN_ELEMENT;
        f->index++;

        do {
            p++;
        } while (p < end && agg_is_space(*p));

    } while (p < end && f->index < f->limit);

    *pos = p;

    return AGG_OK;
}


/*
 * If the finished object is an element, and the next element is an object with
 * the same state, its frame is reused.
 */

static agg_rc_e
agg_members_next(agg_shape_run_t *run, const u_char **pos, const u_char *last)
{
    agg_frame_t        *f, *array;
    const u_char       *p, *q;
    const agg_state_t  *st;

    f = run->frame;
    st = f->state;
    array = f - 1;

    p = *pos;

    if (!agg_is2(p, "},") || array->close != ']' || array->silent
        || array->slot != AGG_NO_SLOT || array->index + 1 >= array->limit
        || array->state->nelements != 0 || array->state->whole
        || array->state->element != st || st->busy || st->nouts != 0)
    {
        return AGG_OK;
    }

    q = agg_skip_space(p + 2, last);

    if (q > last || !agg_is2(q, "{\"")) {
        return AGG_OK;
    }

    if (run->from == NULL || p != run->to) {
        agg_run_try(agg_run_flush(run));
        run->from = p;
    }

    run->to = p + 1;

    if (q != p + 2) {
        agg_run_try(agg_run_flush(run));
        agg_run_try(agg_buf_append(run->out, ",", 1));
        run->from = q;
    }

    run->to = q;

    array->index++;

    f->start = agg_buf_used(run->out) + agg_run_due(run);
    agg_frame_predictions(f);
    f->comma = 0;

    run->to = q + 1;
    run->step = AGG_RUN_NAME;

    *pos = q + 1;

    return AGG_OK;
}


static agg_rc_e
agg_members_object(agg_shape_run_t *run, const u_char **pos,
    const u_char *end)
{
    unsigned           step;
    agg_mode_e         mode;
    agg_frame_t       *f;
    const u_char      *p, *v, *last;
    agg_prediction_t  *h, *next;

    f = run->frame;
    next = f->prediction;
    last = end - AGG_SCAN_AHEAD;

    p = *pos;
    step = AGG_RUN_NAME;

    for ( ;; ) {
        h = next;

        if (__builtin_expect(!agg_prediction_fits(h, p), 0)) {
            h = (h < &f->predictions[AGG_PREDICTIONS])
                ? agg_member_mispredicted(f, h, &p, last)
                : agg_member_unusual(run, &p, end, &step);

            if (h == NULL) {
                break;
            }
        }

        next = h + 1;
        v = p + h->len;
        mode = AGG_DROP;

        if (h->child != NULL) {
            mode = agg_member_mode(h->child, *v);

            if (mode == AGG_WALK) {
                next = h;
                break;
            }

            if (mode == AGG_COPY) {
                agg_run_try(agg_member_keep(run, p + (*p != '"'), v));
            }
        }

        /* from here on the member is handled here */

        if (*v == '"') {
            p = agg_scan_string(v + 1, last);
            p = (*p == '"') ? p + 1 : NULL;

        } else if (*v == '[') {
            p = (v <= last && agg_run_depth(run) < AGG_MAX_DEPTH)
                ? agg_flat_array_end(v + 1, last) : NULL;

        } else {
            p = (*v == '{') ? NULL : agg_scan_scalar(v, *v);
        }

        if (p == NULL) {
            p = agg_member_scan(run, v, end);

            if (run->scan.state != AGG_SCAN_DONE) {
                run->copying = (mode == AGG_COPY);
                step = AGG_RUN_SCAN;
                break;
            }
        }

        if (mode == AGG_COPY) {
            run->to = p;
        }

        if (p > last || *p != ',') {
            step = AGG_RUN_AFTER;
            break;
        }

        p++;
    }

    *pos = p;
    run->step = step;
    f->prediction = next;

    return (step == AGG_RUN_SCAN && run->scan.state == AGG_SCAN_ERROR)
           ? AGG_INVALID : AGG_OK;
}


/*
 * For a member that does not match the prediction h.  If members are missing
 * here, a later prediction matches; otherwise the member is looked up in the
 * state, and predicted from now on.  NULL: not for the fast loop.
 */

static agg_prediction_t *
agg_member_mispredicted(agg_frame_t *f, agg_prediction_t *h,
    const u_char **pos, const u_char *last)
{
    unsigned           i;
    const u_char      *p, *start;
    agg_prediction_t  *next;

    start = *pos;
    p = agg_skip_space(start, last);

    if (p > start + 1) {
        start = p;
    }

    *pos = start;

    if (*p != '"' || p > last) {
        return NULL;
    }

    if (agg_prediction_fits(h, start)
        || agg_prediction_fits_long(h, start, last))
    {
        return h;
    }

    for (next = h, i = 0; i < 3 && next->mask != AGG_PREDICTION_END; i++) {
        next++;

        if (agg_prediction_fits(next, start)) {
            return next;
        }
    }

    if (h->mask == AGG_PREDICTION_END) {
        h[1].mask = AGG_PREDICTION_END;

    } else if (++f->misses == AGG_PREDICTION_MISSES) {
        h = &f->predictions[AGG_PREDICTIONS];
    }

    if (agg_member_lookup(f->state, h, start, p, last) == NULL) {
        return NULL;
    }

    if (h->len <= 2 * AGG_BLOCK && h != &f->predictions[AGG_PREDICTIONS]) {
        memcpy(h->text, start, 2 * AGG_BLOCK);

        if (h->len <= AGG_BLOCK) {
            h->mask = (1u << h->len) - 1;
        }
    }

    return h;
}


/* for texts of two blocks; the bytes that a value needs are also readable */

static inline int
agg_prediction_fits_long(const agg_prediction_t *h, const u_char *p,
    const u_char *last)
{
    return h->mask == AGG_PREDICTION_NONE && h->len > AGG_BLOCK
           && h->len <= 2 * AGG_BLOCK && p + h->len <= last + AGG_BLOCK
           && agg_block_same(p, h->text, AGG_BLOCK)
           && agg_block_same(p + AGG_BLOCK, h->text + AGG_BLOCK,
                             h->len - AGG_BLOCK);
}


/* the same in a container without predictions */

static agg_prediction_t *
agg_member_unusual(agg_shape_run_t *run, const u_char **pos,
    const u_char *end, unsigned *step)
{
    agg_frame_t   *f;
    const u_char  *p, *last;

    f = run->frame;
    last = end - AGG_SCAN_AHEAD;

    p = agg_skip_space(*pos, last);

    if (*p == '"' && p <= last && f->state->other == &agg_state_drop) {
        p = agg_members_drop(run, p, end, step);
    }

    *pos = p;

    if (*step != AGG_RUN_NAME || *p != '"' || p > last) {
        return NULL;
    }

    return agg_member_lookup(f->state, &f->predictions[AGG_PREDICTIONS], p, p,
                             last);
}


/* looks up the member whose name is at p in the state */

static inline agg_prediction_t *
agg_member_lookup(const agg_state_t *st, agg_prediction_t *h,
    const u_char *start, const u_char *p, const u_char *last)
{
    const u_char      *q;
    const agg_edge_t  *edge;

    h->mask = AGG_PREDICTION_NONE;
    h->len = 0;

    q = p + 1 + agg_first(agg_block_special(p + 1) | 1u << AGG_BLOCK);

    if (*q != '"') {
        q = agg_string_end(p + 1, last);

        if (*q != '"' || memchr(p, '\\', (size_t) (q - p)) != NULL) {
            return NULL;
        }
    }

    if (q[1] != ':') {
        return NULL;
    }

    h->len = (size_t) (q - start) + 2 + (q[2] == ' ');

    edge = agg_member_find(st, p + 1, (size_t) (q - p) - 1);

    h->child = (edge == NULL) ? st->other : edge->child;

    if (h->child->busy || (edge != NULL && edge->out != -1)) {
        h->child = &agg_member_walk;

    } else if (h->child == &agg_state_drop) {
        h->child = NULL;
    }

    return h;
}


/*
 * Skips members that cannot match any edge, by the length and the first byte of
 * their names.  These are most of the members that are not allowed.
 */

static inline const u_char *
agg_members_drop(agg_shape_run_t *run, const u_char *p, const u_char *end,
    unsigned *step)
{
    uint64_t       names;
    unsigned       n;
    const u_char  *v, *last;

    names = run->frame->state->names;
    last = end - AGG_SCAN_AHEAD;

    for ( ;; ) {
        n = (unsigned) agg_first(agg_block_special(p + 1) | 1u << AGG_BLOCK);
        v = p + 1 + n;

        if (!agg_is2(v, "\":") || (names >> agg_name_bit(n, p[1]) & 1)) {
            return p;
        }

        v += (v[2] == ' ') ? 3 : 2;

        if (*v == '"') {
            v = agg_scan_string(v + 1, last);

            if (*v != '"') {
                return p;
            }

            v++;

        } else if (*v == '{' || *v == '[') {
            v = agg_member_scan(run, v, end);

            if (run->scan.state != AGG_SCAN_DONE) {
                run->copying = 0;
                *step = AGG_RUN_SCAN;
                return v;
            }

        } else {
            v = agg_scan_scalar(v, *v);

            if (v == NULL) {
                return p;
            }
        }

        if (v <= last && agg_is2(v, ",\"")) {
            p = v + 1;
            continue;
        }

        if (v > last || *v != ',') {
            *step = AGG_RUN_AFTER;
            return v;
        }

        p = agg_skip_space(v + 1, last);

        if (*p != '"' || p > last) {
            return p;
        }
    }
}


static inline const agg_edge_t *
agg_member_find(const agg_state_t *st, const u_char *p, size_t n)
{
    size_t             len;
    const agg_edge_t  *edge, *end;

    if ((st->names >> agg_name_bit(n, *p) & 1) == 0) {
        return NULL;
    }

    len = (n > AGG_EDGE_LONG) ? AGG_EDGE_LONG + 1 : n;

    edge = st->edges + st->first[len];
    end = st->edges + st->first[len + 1];

    while (edge < end) {

        /* for an empty name, p is at the closing quote */

        if (edge->head == *p
            && ((n <= AGG_BLOCK) ? agg_block_same(p, edge->start, n)
                                 : edge->name.len == n
                                   && memcmp(edge->name.data, p, n) == 0))
        {
            return edge;
        }

        edge++;
    }

    return NULL;
}


/* the mode of the value that begins with c; AGG_WALK: not handled here */

static inline agg_mode_e
agg_member_mode(const agg_state_t *child, u_char c)
{
    if (c <= ' ') {
        return AGG_WALK;
    }

    return (c == '{') ? child->object : (c == '[') ? child->array
                                                   : child->scalar;
}


/* keeps a member with its name at p and its value at v */

static inline agg_rc_e
agg_member_keep(agg_shape_run_t *run, const u_char *p, const u_char *v)
{
    agg_rc_e      rc;
    agg_frame_t  *f;

    f = run->frame;

    if (run->from != NULL && p == run->to + f->comma && v[-1] == ':') {
        f->comma = 1;
        return AGG_OK;
    }

    run->quote = p;
    run->length = (size_t) (v - p) - 3 - (v[-1] != ':');
    run->edge = NULL;
    run->child = &agg_state_copy;

    rc = agg_run_keep(run, v);

    run->quote = NULL;
    run->length = 0;

    return rc;
}


/* a value whose end has to be searched for */

static const u_char *
agg_member_scan(agg_shape_run_t *run, const u_char *p, const u_char *end)
{
    agg_scan_start(&run->scan, agg_run_depth(run));

    return agg_scan_value(&run->scan, p, end);
}
