
/*
 * Replay: what a shape did with one object it does with the next one.
 *
 * The texts between two scalars of a document, with the names in them, stand
 * there again (agg_pattern.h).  All that the walk decides depends on these and
 * on where it stands: the states of the containers around, whether something
 * was put into them, whether it is within a value that is copied or dropped
 * whole, and whether the last scalar was copied.  That is a context.  A text
 * in a context leads to another context, and to an output that is always the
 * same: what is copied up to a place in the text, bytes that are put in, and a
 * place from which on is copied.  Most texts have none of these, and cost no
 * more than their comparison.
 *
 * Contexts hold only what can be told without counting: no index, no limit, no
 * moved value, no name that two members may claim.  What else comes is left to
 * the walk of agg_run.c, from frames made of the context, and that goes back
 * to the replay behind the next value.
 */


#include "agg_run.h"


/* the first one is none */

#define AGG_REPLAY_CONTEXTS  32

#define AGG_REPLAY_LEVELS    6
#define AGG_REPLAY_DEPTH     60
#define AGG_REPLAY_BASE      60
/* bytes of a piece that are worth it */

#define AGG_REPLAY_LEAST     160


typedef struct {
    const agg_state_t        *state;
    u_char                    close;
    u_char                    comma;
    u_char                    pad[6];
} agg_level_t;


/* compared by their bytes */

typedef struct {
    const agg_state_t        *due;      /* for the document's value */
    uint64_t                  kinds;    /* as the scanner's */
    agg_level_t               level[AGG_REPLAY_LEVELS];
    u_char                    n;
    u_char                    depth;    /* containers of a whole value */
    u_char                    copy;     /* it is copied */
    u_char                    on;       /* the last scalar is */
    u_char                    pad[4];
} agg_context_t;


struct agg_replayed_s {
    agg_patterns_t            patterns;
    unsigned                  n;
    agg_replay_place_t        places[AGG_REPLAY_CONTEXTS];
    agg_context_t             contexts[AGG_REPLAY_CONTEXTS];
    agg_replay_output_t       outputs[AGG_PATTERNS];
};


/* a text that is learned, and what it puts out */

typedef struct {
    const agg_shape_t        *shape;
    agg_context_t             c;
    const agg_state_t        *due;
    const agg_edge_t         *edge;
    const u_char             *name;     /* with its quotes */
    size_t                    name_len;
    u_char                    out[AGG_REPLAY_INSERT + AGG_PATTERN_TEXT];
    size_t                    len;
} agg_replay_text_t;


static unsigned agg_replay_context(agg_replayed_t *table,
    const agg_context_t *c);
static int agg_replay_enter(const agg_shape_run_t *run, agg_context_t *c,
    agg_scan_t *s, const u_char *p);
static int agg_replay_fits(const agg_state_t *st, u_char close);
static int agg_replay_learn(void *data, unsigned context,
    agg_replay_output_t *o, const u_char *text, size_t len);
static const u_char *agg_replay_token(agg_replay_text_t *t, const u_char *p,
    const u_char *end);
static const u_char *agg_replay_whole(agg_replay_text_t *t, const u_char *p,
    const u_char *end);
static const u_char *agg_replay_name(agg_replay_text_t *t,
    const agg_level_t *level, const u_char *p, const u_char *end);
static int agg_replay_value(agg_replay_text_t *t, u_char c);
static int agg_replay_put(agg_replay_text_t *t, const void *p, size_t n);
static int agg_replay_output(agg_replay_output_t *o,
    const agg_replay_text_t *t, unsigned on, const u_char *text, size_t len);
static void agg_replay_leave(agg_shape_run_t *run, const agg_context_t *c,
    const agg_scan_t *s, agg_replay_stop_e stop, const u_char *p);


agg_rc_e
agg_replay_init(agg_shape_t *s)
{
    s->replay = NULL;

    if (s->start == NULL || s->start == &agg_state_copy
        || s->start == &agg_state_drop)
    {
        return AGG_OK;
    }

    s->replay = s->mem.alloc(s->mem.ctx, sizeof(agg_replayed_t));
    if (s->replay == NULL) {
        return AGG_NOMEM;
    }

    agg_patterns_init(&s->replay->patterns);
    s->replay->n = 1;

    return AGG_OK;
}


void
agg_replay_start(const agg_shape_t *s)
{
    agg_replayed_t  *table;

    table = s->replay;

    if (table == NULL) {
        return;
    }

    agg_patterns_start(&table->patterns);

    /* a table that is begun anew */

    if (agg_patterns_empty(&table->patterns)) {
        table->n = 1;
    }
}


int
agg_run_replays(const agg_shape_run_t *run)
{
    return run->shape != NULL && run->shape->replay != NULL
           && !run->shape->replay->patterns.off;
}


agg_rc_e
agg_run_replay(agg_shape_run_t *run, const u_char **pos, const u_char *end)
{
    unsigned          n;
    agg_scan_t        s;
    agg_replay_t      rp;
    const u_char     *p;
    agg_context_t     c;
    agg_replayed_t   *table;

    p = *pos;

    if ((size_t) (end - p) < AGG_REPLAY_LEAST) {
        return AGG_OK;
    }

    table = run->shape->replay;

    if (!agg_replay_enter(run, &c, &s, p)) {
        agg_patterns_lost(&table->patterns);
        return AGG_OK;
    }

    n = agg_replay_context(table, &c);

    if (n == 0) {
        agg_patterns_lost(&table->patterns);
        return AGG_OK;
    }

    if (!c.on) {
        agg_run_try(agg_run_flush(run));
    }

    rp.patterns = &table->patterns;
    rp.places = table->places;
    rp.learn = agg_replay_learn;
    rp.data = run;
    rp.outputs = table->outputs;
    rp.out = run->out;
    rp.from = run->from;
    rp.context = n;

    p = agg_scan_replay(&s, &rp, p, end);

    if (rp.stop == AGG_REPLAY_FAILED) {
        return rp.rc;
    }

    if (p != *pos) {
        run->from = table->contexts[rp.context].on ? rp.from : NULL;
        run->to = rp.from;
        agg_replay_leave(run, &table->contexts[rp.context], &s, rp.stop,
                         p);
        *pos = p;
    }

    return AGG_OK;
}


/* the number of a context, from 1; 0: there are too many */

static unsigned
agg_replay_context(agg_replayed_t *table, const agg_context_t *c)
{
    unsigned  i;

    for (i = 1; i < table->n; i++) {
        if (memcmp(&table->contexts[i], c, sizeof(agg_context_t)) == 0) {
            return i;
        }
    }

    if (i == AGG_REPLAY_CONTEXTS) {
        return 0;
    }

    table->contexts[i] = *c;
    table->places[i].kinds = c->kinds;
    table->places[i].depth = (unsigned) c->n + c->depth;
    table->places[i].first = 0;
    table->n++;

    return i;
}


/* where the run stands, as a context; 0: there is none for it */

static int
agg_replay_enter(const agg_shape_run_t *run, agg_context_t *c, agg_scan_t *s,
    const u_char *p)
{
    const agg_frame_t  *f, *first;

    f = run->frame;

    if ((run->step == AGG_RUN_VALUE)
        ? run->child->silent || (*p | 0x20) != '{'
        : !agg_replay_fits(f->state, f->close))
    {
        return 0;
    }

    memset(c, 0, sizeof(agg_context_t));
    memset(s, 0, sizeof(agg_scan_t));

    if (run->step == AGG_RUN_VALUE) {
        c->due = run->child;
        return 1;
    }

    first = NULL;

    for (f = run->frames; f <= run->frame; f++) {

        if (f->slot != AGG_NO_SLOT) {
            return 0;
        }

        if (f->silent) {
            continue;
        }

        if (first == NULL) {
            first = f;
        }

        if (f->dirty || c->n == AGG_REPLAY_LEVELS
            || !agg_replay_fits(f->state, f->close))
        {
            return 0;
        }

        c->level[c->n].state = f->state;
        c->level[c->n].close = f->close;
        c->level[c->n].comma = f->comma;
        c->kinds = c->kinds << 1 | (f->close == '}');
        c->n++;
    }

    if (first == NULL) {
        return 0;
    }

    c->on = (run->from != NULL && run->to == p);

    s->state = AGG_SCAN_AFTER;
    s->depth = (u_char) agg_run_depth(run);
    s->base = (u_char) (first - run->frames - 1);

    return s->base <= AGG_REPLAY_BASE;
}


/* whether a container of this state can be in a context */

static int
agg_replay_fits(const agg_state_t *st, u_char close)
{
    if (st->silent || st->nplaces != 0) {
        return 0;
    }

    if (close == '}') {
        return st->nouts == 0;
    }

    return st->nelements == 0 && !st->whole && st->limit == (size_t) -1
           && st->nlimits == 0 && st->element->nouts == 0;
}


static int
agg_replay_learn(void *data, unsigned context, agg_replay_output_t *o,
    const u_char *text, size_t len)
{
    int                on;
    unsigned           to;
    const u_char      *p, *end;
    agg_replayed_t    *table;
    agg_replay_text_t  t;

    t.shape = ((agg_shape_run_t *) data)->shape;
    table = t.shape->replay;
    t.c = table->contexts[context];
    t.due = t.c.due;
    t.name = NULL;
    t.len = 0;

    on = t.c.on;
    t.c.due = NULL;

    p = text;
    end = text + len;

    while (p != NULL && p < end) {
        p = (t.c.depth != 0) ? agg_replay_whole(&t, p, end)
                             : agg_replay_token(&t, p, end);
    }

    if (p == NULL) {
        return -1;
    }

    if (t.c.depth != 0) {
        t.c.on = t.c.copy;

    } else if (agg_replay_value(&t, 0) != 0) {
        return -1;
    }

    on = agg_replay_output(o, &t, (unsigned) on, text, len);
    to = agg_replay_context(table, &t.c);

    if (on < 0 || to == 0 || t.c.n + t.c.depth > AGG_REPLAY_DEPTH) {
        return -1;
    }

    return (int) to | (on ? AGG_REPLAY_APPLY : 0);
}


/* a token where the walk would have a frame; NULL: not for the replay */

static const u_char *
agg_replay_token(agg_replay_text_t *t, const u_char *p, const u_char *end)
{
    agg_level_t  *level;

    /* the document's value is a container */

    level = (t->c.n == 0) ? NULL : &t->c.level[t->c.n - 1];

    switch (*p) {

    case '"':
        return (level == NULL) ? NULL : agg_replay_name(t, level, p, end);

    case ',':

        if (level == NULL) {
            return NULL;
        }

        if (level->close == ']') {
            t->due = level->state->element;
        }

        break;

    case '{':
    case '[':

        if (agg_replay_value(t, *p) != 0) {
            return NULL;
        }

        break;

    case '}':
    case ']':

        if (t->c.n <= 1 || agg_replay_put(t, p, 1) != 0) {
            return NULL;
        }

        memset(level, 0, sizeof(agg_level_t));
        t->c.n--;
        t->c.kinds >>= 1;
        break;

    default: /* a colon, white space */
        break;
    }

    return p + 1;
}


/* the same within a value that is copied or dropped whole */

static const u_char *
agg_replay_whole(agg_replay_text_t *t, const u_char *p, const u_char *end)
{
    const u_char  *start;

    start = p;

    if (*p == '"') {
        for (p++; *p != '"'; p++) {
            p += (*p == '\\');
        }

    } else if ((*p | 0x20) == '{') {
        t->c.depth++;
        t->c.kinds = t->c.kinds << 1 | (*p == '{');

    } else if ((*p | 0x20) == '}') {
        t->c.depth--;
        t->c.kinds >>= 1;
    }

    p++;

    if (p > end || (t->c.copy && agg_replay_put(t, start,
                                                (size_t) (p - start)) != 0))
    {
        return NULL;
    }

    if (t->c.depth == 0) {
        t->c.copy = 0;
    }

    return p;
}


static const u_char *
agg_replay_name(agg_replay_text_t *t, const agg_level_t *level,
    const u_char *p, const u_char *end)
{
    const u_char       *q;
    const agg_edge_t   *edge;
    const agg_state_t  *st;

    q = memchr(p + 1, '"', (size_t) (end - p) - 1);

    if (q == NULL || memchr(p, '\\', (size_t) (q - p)) != NULL) {
        return NULL;
    }

    st = level->state;
    edge = agg_state_edge(st, p + 1, (size_t) (q - p) - 1);

    t->due = (edge != NULL) ? edge->child : st->other;
    t->name = p;
    t->name_len = (size_t) (q - p) + 1;

    return q + 1;
}


/* a value that begins with c, a bracket or 0 for a scalar */

static int
agg_replay_value(agg_replay_text_t *t, u_char c)
{
    agg_mode_e          mode;
    agg_level_t        *level;
    const agg_state_t  *st;

    st = t->due;

    if (st == NULL || st->busy || st->slot != AGG_NO_SLOT) {
        return -1;
    }

    mode = (c == '{') ? st->object : (c == '[') ? st->array : st->scalar;

    if (mode != AGG_DROP && t->c.n != 0) {
        level = &t->c.level[t->c.n - 1];

        if (level->comma && agg_replay_put(t, ",", 1) != 0) {
            return -1;
        }

        level->comma = 1;

        if (level->close == '}'
            && (t->name == NULL
                || agg_replay_put(t, t->name, t->name_len) != 0
                || agg_replay_put(t, ":", 1) != 0))
        {
            return -1;
        }
    }

    if (c == 0) {
        t->c.on = (mode == AGG_COPY);
        return (mode == AGG_WALK) ? -1 : 0;
    }

    t->c.kinds = t->c.kinds << 1 | (c == '{');

    if (mode != AGG_WALK) {
        t->c.depth = 1;
        t->c.copy = (mode == AGG_COPY);

        return (mode == AGG_COPY) ? agg_replay_put(t, &c, 1) : 0;
    }

    if (t->c.n == AGG_REPLAY_LEVELS
        || !agg_replay_fits(st, (c == '{') ? '}' : ']'))
    {
        return -1;
    }

    level = &t->c.level[t->c.n++];
    level->state = st;
    level->close = (c == '{') ? '}' : ']';
    level->comma = 0;

    t->due = (c == '[') ? st->element : NULL;

    return agg_replay_put(t, &c, 1);
}


static int
agg_replay_put(agg_replay_text_t *t, const void *p, size_t n)
{
    if (n > sizeof(t->out) - t->len) {
        return -1;
    }

    memcpy(t->out + t->len, p, n);
    t->len += n;

    return 0;
}


/* 1: a text is not just copied or dropped, 0: it is, -1: it is too much */

static int
agg_replay_output(agg_replay_output_t *o, const agg_replay_text_t *t,
    unsigned on, const u_char *text, size_t len)
{
    size_t  same, left, most;

    o->cut = AGG_REPLAY_NONE;
    o->resume = AGG_REPLAY_NONE;
    o->len = 0;

    if (on == t->c.on
        && (on ? (len == t->len && memcmp(text, t->out, len) == 0)
               : t->len == 0))
    {
        return 0;
    }

    same = 0;

    if (on) {
        most = (len < t->len) ? len : t->len;

        while (same < most && text[same] == t->out[same]) {
            same++;
        }

        o->cut = (u_char) same;
    }

    left = t->len;

    if (t->c.on) {
        most = len;

        while (left > same && most > same && text[most - 1] == t->out[left - 1])
        {
            left--;
            most--;
        }

        o->resume = (u_char) most;
    }

    left -= same;

    if (left > AGG_REPLAY_INSERT) {
        return -1;
    }

    memcpy(o->insert, t->out + same, left);
    o->len = (u_char) left;

    return 1;
}


/* the walk goes on at p, from the context c */

static void
agg_replay_leave(agg_shape_run_t *run, const agg_context_t *c,
    const agg_scan_t *s, agg_replay_stop_e stop, const u_char *p)
{
    unsigned            i;
    agg_frame_t        *f;
    const agg_level_t  *level;

    for (i = 0; i < c->n; i++) {
        level = &c->level[i];

        f = &run->frames[s->base + 1 + i];

        f->state = level->state;
        f->close = level->close;
        f->comma = level->comma;
        f->limit = level->state->limit;
        f->index = 0;
        f->at = 0;
        f->start = 0;
        f->slot = AGG_NO_SLOT;
        f->silent = 0;
        f->dirty = 0;

        if (f->close == '}') {
            agg_frame_usual(f);
            f->prediction = &f->predictions[AGG_PREDICTIONS];
        }
    }

    run->frame = &run->frames[s->base + c->n];
    run->empty = 0;
    run->found = 1;

    if (stop == AGG_REPLAY_AFTER && c->depth == 0) {
        run->step = AGG_RUN_AFTER;

        if (c->on) {
            run->to = p;
        }

        return;
    }

    run->step = AGG_RUN_SCAN;
    run->copying = c->on;

    run->scan = *s;
    run->scan.patterns = run->shape->patterns;
    run->scan.base = (u_char) agg_run_depth(run);

    if (stop == AGG_REPLAY_STRING) {
        run->scan.state = AGG_SCAN_STRING;

    } else if (c->depth == 0) {
        run->scan.state = AGG_SCAN_VALUE;
    }
}
