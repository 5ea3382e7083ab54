
/*
 * The compiler: from paths to states.  A state is identified by the set of
 * rules that may still apply, and by whether the value is allowed.  The two
 * states of values that are copied or dropped as a whole, which most leaves
 * have, are constants.
 */


#include "agg_state.h"


#define AGG_MAX_STATES  4096


typedef struct {
    agg_shape_t          *shape;
    agg_mem_t            *mem;
    const agg_rule_t    **rules;
    unsigned              nrules;
    unsigned              nwords;
    unsigned              nstates;
    unsigned              levels;
    size_t                name;         /* the longest */
    uint64_t             *set;          /* the set of the child to be found */
    agg_state_t          *states;
    agg_state_t         **last;
    unsigned              failed;       /* no memory */
} agg_build_t;


static agg_rc_e agg_build_rules(agg_build_t *b, unsigned parts);
static const agg_state_t *agg_build_root(agg_build_t *b);
static const agg_state_t *agg_build_target(agg_build_t *b, unsigned from,
    unsigned to, const agg_state_t *state);
static const agg_state_t *agg_build_find(agg_build_t *b, unsigned keep,
    unsigned depth);
static void agg_build_state(agg_build_t *b, agg_state_t *st);
static void agg_build_own(agg_build_t *b, agg_state_t *st);
static void agg_build_object(agg_build_t *b, agg_state_t *st);
static void agg_build_edge(agg_build_t *b, agg_state_t *st,
    const agg_str_t *name);
static void agg_build_sort(agg_state_t *st);
static void agg_build_out(agg_state_t *st, const agg_rule_t *rule);
static void agg_build_pending(agg_build_t *b, agg_state_t *st);
static void agg_build_array(agg_build_t *b, agg_state_t *st);
static void agg_build_indexes(agg_build_t *b, agg_state_t *st, int back);
static const agg_state_t *agg_build_member(agg_build_t *b,
    const agg_state_t *st, const agg_str_t *name);
static const agg_state_t *agg_build_element(agg_build_t *b,
    const agg_state_t *st, const long *index, const long *back);
static void agg_build_winners(agg_build_t *b);
static void *agg_build_alloc(agg_build_t *b, size_t size);


#define agg_has(set, i)  (((set)[(i) / 64] >> ((i) % 64)) & 1)

#define agg_same_str(s1, s2)                                                 \
    ((s1)->len == (s2)->len                                                  \
     && ((s1)->len == 0 || memcmp((s1)->data, (s2)->data, (s1)->len) == 0))


const agg_state_t  agg_state_copy = {
    .scalar = AGG_COPY,
    .object = AGG_COPY,
    .array = AGG_COPY,
    .slot = AGG_NO_SLOT
};


const agg_state_t  agg_state_drop = {
    .scalar = AGG_DROP,
    .object = AGG_DROP,
    .array = AGG_DROP,
    .slot = AGG_NO_SLOT
};


agg_rc_e
agg_states_build(agg_shape_t *s, unsigned parts, agg_error_t *err)
{
    unsigned            n, back;
    agg_build_t         b;
    const agg_rule_t   *rule;
    const agg_state_t  *root;

    memset(&b, 0, sizeof(agg_build_t));

    b.shape = s;
    b.mem = &s->mem;
    b.last = &b.states;

    n = (s->target != NULL && (parts & AGG_SHAPE_HEAD)) ? s->target->nsteps
                                                        : 0;

    root = (agg_build_rules(&b, parts) == AGG_OK) ? agg_build_root(&b) : NULL;

    /* for an index from the end, all elements wait for the whole document */

    for (back = 0; back < n; back++) {
        if (s->target->steps[back].index < 0) {
            break;
        }
    }

    s->late = NULL;

    for (rule = s->rules; rule != NULL; rule = rule->next) {
        if (rule->type == AGG_RULE_LIMIT ? !(parts & AGG_SHAPE_HEAD)
                                         : !(parts & AGG_SHAPE_TAIL))
        {
            continue;
        }

        if (rule->type == AGG_RULE_SET || rule->type == AGG_RULE_MOVE) {
            s->place = 1;
        }

        if (rule->type != AGG_RULE_SET && rule->path->negative) {
            s->late = root;
        }
    }

    s->root = root;

    if (back < n || s->late != NULL) {
        s->late = agg_build_target(&b, back, n, root);
        s->start = agg_build_target(&b, 0, back, &agg_state_copy);

    } else {
        s->start = agg_build_target(&b, 0, n, root);
    }

    agg_build_winners(&b);

    s->nframes = 1 + n + b.levels;
    s->name_size = (6 * b.name < 64) ? 64 : 6 * b.name;

    err->offset = 0;

    if (b.failed) {
        err->text = "no memory";
        return AGG_NOMEM;
    }

    if (b.nstates > AGG_MAX_STATES) {
        err->text = "too many combinations of wildcards";
        return AGG_INVALID;
    }

    return AGG_OK;
}


static agg_rc_e
agg_build_rules(agg_build_t *b, unsigned parts)
{
    const agg_rule_t  *rule;

    b->rules = agg_build_alloc(b, (b->shape->nrules + 1)
                                  * sizeof(agg_rule_t *));
    b->nwords = b->shape->nrules / 64 + 1;
    b->set = agg_build_alloc(b, b->nwords * sizeof(uint64_t));

    if (b->failed) {
        return AGG_NOMEM;
    }

    b->shape->place = 0;

    for (rule = b->shape->rules; rule != NULL; rule = rule->next) {

        if (rule->type == AGG_RULE_SET
            || (rule->type == AGG_RULE_LIMIT ? !(parts & AGG_SHAPE_HEAD)
                                             : !(parts & AGG_SHAPE_TAIL)))
        {
            continue;
        }

        b->rules[b->nrules++] = rule;
    }

    return AGG_OK;
}


static const agg_state_t *
agg_build_root(agg_build_t *b)
{
    unsigned            i, keep;
    agg_state_t        *st;
    const agg_state_t  *root;

    keep = 1;

    for (i = 0; i < b->nrules; i++) {
        b->set[i / 64] |= (uint64_t) 1 << i % 64;

        if (b->rules[i]->type == AGG_RULE_ALLOW) {
            keep = 0;
        }
    }

    root = agg_build_find(b, keep, 0);

    /* rules that are found on the way are appended to the list */

    for (st = b->states; st != NULL; st = st->next) {

        if (b->failed || b->nstates > AGG_MAX_STATES) {
            break;
        }

        agg_build_state(b, st);
    }

    return root;
}


/*
 * states for the steps [from, to) of the target, the last of which leads to
 * "state"
 */

static const agg_state_t *
agg_build_target(agg_build_t *b, unsigned from, unsigned to,
    const agg_state_t *state)
{
    agg_step_t   *step;
    agg_state_t  *st;

    while (to-- > from) {
        step = &b->shape->target->steps[to];

        st = agg_build_alloc(b, sizeof(agg_state_t));
        if (st == NULL) {
            return NULL;
        }

        st->silent = 1;
        st->busy = 1;
        st->slot = AGG_NO_SLOT;
        st->other = &agg_state_drop;
        st->element = &agg_state_drop;
        st->limit = (size_t) -1;

        if (step->type == AGG_STEP_KEY) {
            st->object = AGG_WALK;

            st->edges = agg_build_alloc(b, sizeof(agg_edge_t));
            if (st->edges == NULL) {
                return NULL;
            }

            st->nedges = 1;
            st->edges->name = step->name;
            st->edges->child = state;
            st->edges->out = -1;
            agg_build_sort(st);

            if (step->name.len > b->name) {
                b->name = step->name.len;
            }

        } else {
            st->array = AGG_WALK;

            st->elements = agg_build_alloc(b, sizeof(agg_element_t));
            if (st->elements == NULL) {
                return NULL;
            }

            st->elements->index = step->index;
            st->elements->child = state;

            if (step->index < 0) {
                st->back = st->elements;
                st->nback = 1;
                st->whole = 1;

            } else {
                st->nelements = 1;
                st->limit = (size_t) step->index + 1;
            }
        }

        state = st;
    }

    return state;
}


/* the state for the rules in b->set, without those that are complete */

static const agg_state_t *
agg_build_find(agg_build_t *b, unsigned keep, unsigned depth)
{
    unsigned           i, on, any;
    agg_state_t       *st;
    const agg_rule_t  *rule;

    on = 0;
    any = 0;

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (!agg_has(b->set, i)) {
            continue;
        }

        if (rule->type == AGG_RULE_ALLOW) {
            on |= (rule->path->nsteps > depth);
            keep |= (rule->path->nsteps == depth);
        }

        if (rule->path->nsteps == depth && rule->type == AGG_RULE_DENY) {
            return &agg_state_drop;
        }
    }

    if (!keep && !on) {
        return &agg_state_drop;
    }

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if ((rule->type == AGG_RULE_ALLOW && keep)
            || (rule->type == AGG_RULE_RENAME && rule->path->nsteps == depth))
        {
            b->set[i / 64] &= ~((uint64_t) 1 << i % 64);
        }

        any |= agg_has(b->set, i);
    }

    if (keep && !any) {
        return &agg_state_copy;
    }

    for (st = b->states; st != NULL; st = st->next) {
        if (st->depth == depth && st->keep == keep
            && memcmp(st->set, b->set, b->nwords * sizeof(uint64_t)) == 0)
        {
            return st;
        }
    }

    b->nstates++;

    st = agg_build_alloc(b, sizeof(agg_state_t));
    if (st == NULL) {
        return NULL;
    }

    st->set = agg_build_alloc(b, b->nwords * sizeof(uint64_t));
    if (st->set == NULL) {
        return NULL;
    }

    memcpy(st->set, b->set, b->nwords * sizeof(uint64_t));

    st->depth = depth;
    st->keep = keep;

    *b->last = st;
    b->last = &st->next;

    return st;
}


static void
agg_build_state(agg_build_t *b, agg_state_t *st)
{
    if (st->depth + 1 > b->levels) {
        b->levels = st->depth + 1;
    }

    agg_build_own(b, st);
    agg_build_object(b, st);
    agg_build_array(b, st);

    st->scalar = st->keep ? AGG_COPY : AGG_DROP;
    st->busy = (st->nsources != 0);
}


/* applies the rules whose paths end here */

static void
agg_build_own(agg_build_t *b, agg_state_t *st)
{
    unsigned           i;
    const agg_rule_t  *rule;

    st->slot = AGG_NO_SLOT;
    st->limit = (size_t) -1;

    st->limits = agg_build_alloc(b, (b->shape->nlimits + 1)
                                    * sizeof(unsigned));
    st->sources = agg_build_alloc(b, (b->shape->nmoves + 1)
                                     * sizeof(unsigned));
    st->places = agg_build_alloc(b, (b->shape->nmoves + 1)
                                    * sizeof(agg_rule_t *));
    if (b->failed) {
        return;
    }

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (!agg_has(st->set, i)) {
            continue;
        }

        if (rule->type == AGG_RULE_MOVE) {
            st->sources[st->nsources++] = (unsigned) rule->slot;

            if (rule->shared != 0 && rule->shared == st->depth) {
                st->places[st->nplaces++] = rule;
            }
        }

        if (rule->path->nsteps != st->depth) {
            continue;
        }

        switch (rule->type) {

        case AGG_RULE_LIMIT:

            if (rule->n < st->limit) {
                st->limit = rule->n;
            }

            if (rule->slot != AGG_NO_SLOT) {
                st->limits[st->nlimits++] = (unsigned) rule->slot;
            }

            break;

        case AGG_RULE_MOVE:

            /* the first statement takes the value */

            if (st->slot == AGG_NO_SLOT) {
                st->slot = rule->slot;
            }

            break;

        default:
            break;
        }
    }
}


static void
agg_build_object(agg_build_t *b, agg_state_t *st)
{
    unsigned           i, n;
    agg_step_t        *step;
    const agg_rule_t  *rule;

    n = 0;

    for (i = 0; i < b->nrules; i++) {
        n += agg_has(st->set, i);
    }

    /* a rule may add a name and a new name */

    st->edges = agg_build_alloc(b, (2 * n + 1) * sizeof(agg_edge_t));
    st->outs = agg_build_alloc(b, (n + 1) * sizeof(agg_out_t));

    st->other = agg_build_member(b, st, NULL);

    if (b->failed) {
        return;
    }

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (!agg_has(st->set, i)) {
            continue;
        }

        if ((rule->type == AGG_RULE_INTO && rule->path->nsteps == st->depth)
            || (rule->type == AGG_RULE_RENAME
                && rule->path->nsteps == st->depth + 1))
        {
            agg_build_out(st, rule);
        }
    }

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (!agg_has(st->set, i) || rule->path->nsteps <= st->depth) {
            continue;
        }

        step = &rule->path->steps[st->depth];

        if (step->type == AGG_STEP_KEY) {
            agg_build_edge(b, st, &step->name);
        }
    }

    for (i = 0; i < st->nouts; i++) {
        agg_build_edge(b, st, &st->outs[i].name);
    }

    agg_build_pending(b, st);
    agg_build_sort(st);

    st->object = (st->nedges == 0 && st->nouts == 0
                  && st->other == &agg_state_copy) ? AGG_COPY : AGG_WALK;
}


static void
agg_build_edge(agg_build_t *b, agg_state_t *st, const agg_str_t *name)
{
    unsigned           i;
    agg_edge_t        *e;
    const agg_str_t   *out;
    const agg_rule_t  *rule;

    for (i = 0; i < st->nedges; i++) {
        if (agg_same_str(&st->edges[i].name, name)) {
            return;
        }
    }

    e = &st->edges[st->nedges];

    e->name = *name;
    e->child = agg_build_member(b, st, name);
    e->text = NULL;
    e->out = -1;
    e->priority = 0;

    out = name;

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (agg_has(st->set, i) && rule->type == AGG_RULE_RENAME
            && rule->path->nsteps == st->depth + 1
            && agg_same_str(&rule->path->steps[st->depth].name, name)
            && rule->priority > e->priority)
        {
            e->priority = rule->priority;
            e->text = &rule->text;
            out = &rule->name;
        }
    }

    for (i = 0; i < st->nouts; i++) {
        if (agg_same_str(&st->outs[i].name, out)) {
            e->out = (int) i;
        }
    }

    if (e->child == st->other && e->out == -1) {
        return;
    }

    st->nedges++;

    if (name->len > b->name) {
        b->name = name->len;
    }
}


/* sorts by length, and sets st->first to where each length begins */

static void
agg_build_sort(agg_state_t *st)
{
    size_t      len;
    unsigned    i, k;
    agg_edge_t  e;

    for (i = 0; i < st->nedges; i++) {
        e = st->edges[i];
        e.head = (e.name.len == 0) ? '"' : e.name.data[0];

        len = (e.name.len < sizeof(e.start)) ? e.name.len : sizeof(e.start);
        memset(e.start, 0, sizeof(e.start));

        if (len != 0) {
            memcpy(e.start, e.name.data, len);
        }

        st->names |= (uint64_t) 1 << agg_name_bit(e.name.len, e.head);

        for (k = i; k > 0 && st->edges[k - 1].name.len > e.name.len; k--) {
            st->edges[k] = st->edges[k - 1];
        }

        st->edges[k] = e;
    }

    i = 0;

    for (len = 0; len < AGG_EDGE_LONG + 2; len++) {
        st->first[len] = (unsigned short) i;

        while (i < st->nedges
               && (st->edges[i].name.len == len || len > AGG_EDGE_LONG))
        {
            i++;
        }
    }

    st->first[len] = (unsigned short) i;
}


static void
agg_build_out(agg_state_t *st, const agg_rule_t *rule)
{
    unsigned    i;
    agg_out_t  *out;

    for (i = 0; i < st->nouts; i++) {
        if (agg_same_str(&st->outs[i].name, &rule->name)) {
            break;
        }
    }

    out = &st->outs[i];

    if (i == st->nouts) {
        st->nouts++;
        out->name = rule->name;
        out->text = &rule->text;
        out->slot = AGG_NO_SLOT;
    }

    if (rule->type == AGG_RULE_INTO) {
        out->slot = rule->slot;
    }
}


static void
agg_build_pending(agg_build_t *b, agg_state_t *st)
{
    unsigned           i, k, n;
    agg_pending_t     *pending;
    const agg_rule_t  *rule;

    n = 0;

    for (i = 0; i < b->nrules; i++) {
        n += (b->rules[i]->type == AGG_RULE_MOVE && agg_has(st->set, i));
    }

    if (n == 0 || st->nouts == 0) {
        return;
    }

    st->pending = agg_build_alloc(b, n * sizeof(agg_pending_t));
    if (st->pending == NULL) {
        return;
    }

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (rule->type != AGG_RULE_MOVE || !agg_has(st->set, i)
            || rule->path->nsteps <= st->depth
            || rule->path->steps[st->depth].type != AGG_STEP_KEY)
        {
            continue;
        }

        for (k = 0; k < st->nedges; k++) {
            if (st->edges[k].out != -1
                && agg_same_str(&st->edges[k].name,
                                &rule->path->steps[st->depth].name))
            {
                pending = &st->pending[st->npending++];
                pending->slot = rule->slot;
                pending->out = st->edges[k].out;
                pending->priority = st->edges[k].priority;
            }
        }
    }
}


static void
agg_build_array(agg_build_t *b, agg_state_t *st)
{
    unsigned  i, k;

    st->element = agg_build_element(b, st, NULL, NULL);

    agg_build_indexes(b, st, 0);
    agg_build_indexes(b, st, 1);

    if (b->failed) {
        return;
    }

    if (st->nelements != 0 && st->nback != 0) {
        st->both = agg_build_alloc(b, (size_t) st->nelements * st->nback
                                      * sizeof(agg_state_t *));
        if (st->both == NULL) {
            return;
        }

        for (i = 0; i < st->nelements; i++) {
            for (k = 0; k < st->nback; k++) {
                st->both[i * st->nback + k] =
                    agg_build_element(b, st, &st->elements[i].index,
                                      &st->back[k].index);
            }
        }
    }

    st->whole = (st->nback != 0);

    st->array = (st->element == &agg_state_copy && st->nelements == 0
                 && st->nback == 0 && st->limit == (size_t) -1) ? AGG_COPY
                                                                : AGG_WALK;

    if (st->element == &agg_state_drop && st->nback == 0) {
        k = 0;

        for (i = 0; i < st->nelements; i++) {
            if ((unsigned) st->elements[i].index + 1 > k) {
                k = (unsigned) st->elements[i].index + 1;
            }
        }

        if (k < st->limit) {
            st->limit = k;
        }
    }
}


static void
agg_build_indexes(agg_build_t *b, agg_state_t *st, int back)
{
    long               index;
    unsigned           i, k, n;
    agg_step_t        *step;
    agg_element_t     *elements;
    const agg_rule_t  *rule;

    n = 0;

    elements = agg_build_alloc(b, (b->nrules + 1) * sizeof(agg_element_t));
    if (elements == NULL) {
        return;
    }

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (!agg_has(st->set, i) || rule->path->nsteps <= st->depth) {
            continue;
        }

        step = &rule->path->steps[st->depth];
        index = step->index;

        if (step->type != AGG_STEP_INDEX || (index < 0) != back) {
            continue;
        }

        for (k = 0; k < n; k++) {
            if (elements[k].index == index) {
                break;
            }
        }

        if (k == n) {
            elements[n].index = index;
            elements[n].child = back ? agg_build_element(b, st, NULL, &index)
                                     : agg_build_element(b, st, &index, NULL);
            n++;
        }
    }

    if (back) {
        st->back = elements;
        st->nback = n;

    } else {
        st->elements = elements;
        st->nelements = n;
    }
}


/* name: NULL for members that no rule names */

static const agg_state_t *
agg_build_member(agg_build_t *b, const agg_state_t *st, const agg_str_t *name)
{
    unsigned           i;
    agg_step_t        *step;
    const agg_rule_t  *rule;

    memset(b->set, 0, b->nwords * sizeof(uint64_t));

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (!agg_has(st->set, i) || rule->path->nsteps <= st->depth) {
            continue;
        }

        step = &rule->path->steps[st->depth];

        if (step->type == AGG_STEP_ANY
            || (step->type == AGG_STEP_KEY && name != NULL
                && agg_same_str(&step->name, name)))
        {
            b->set[i / 64] |= (uint64_t) 1 << i % 64;
        }
    }

    return agg_build_find(b, st->keep, st->depth + 1);
}


static const agg_state_t *
agg_build_element(agg_build_t *b, const agg_state_t *st, const long *index,
    const long *back)
{
    unsigned           i;
    agg_step_t        *step;
    const agg_rule_t  *rule;

    memset(b->set, 0, b->nwords * sizeof(uint64_t));

    for (i = 0; i < b->nrules; i++) {
        rule = b->rules[i];

        if (!agg_has(st->set, i) || rule->path->nsteps <= st->depth) {
            continue;
        }

        step = &rule->path->steps[st->depth];

        if (step->type == AGG_STEP_EACH
            || (step->type == AGG_STEP_INDEX
                && ((index != NULL && step->index == *index)
                    || (back != NULL && step->index == *back))))
        {
            b->set[i / 64] |= (uint64_t) 1 << i % 64;
        }
    }

    return agg_build_find(b, st->keep, st->depth + 1);
}


/* the outs of the states of one level share their place in the runner */

static void
agg_build_winners(agg_build_t *b)
{
    unsigned      depth, most, n;
    agg_state_t  *st;

    n = 0;

    for (depth = 0; depth < b->levels; depth++) {
        most = 0;

        for (st = b->states; st != NULL; st = st->next) {
            if (st->depth == depth) {
                st->winner = n;
                most = (st->nouts > most) ? st->nouts : most;
            }
        }

        n += most;
    }

    b->shape->nwinners = n;
}


static void *
agg_build_alloc(agg_build_t *b, size_t size)
{
    void  *p;

    p = b->failed ? NULL : b->mem->alloc(b->mem->ctx, size);

    if (p == NULL) {
        b->failed = 1;
        return NULL;
    }

    memset(p, 0, size);

    return p;
}
