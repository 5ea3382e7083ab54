
/*
 * Conflicts between fields, compared pair by pair, with the reasons that
 * graphql-js reports.  This runs only for documents that are refused anyway.
 * Its work is bounded: at the limit, the conflicts found so far are reported.
 *
 * The recursion of graphql-js is replaced by a stack of tasks.  A pair of
 * fields that both have selections leaves a task that joins the conflicts found
 * below it into one.
 */


#include "agg_gql_merge.h"


#define AGG_GQL_CONFLICT_TASKS  20000
#define AGG_GQL_CONFLICT_NODES  20
#define AGG_GQL_CONFLICT_TEXT   1000


typedef enum {
    AGG_GQL_TASK_PAIR = 0,          /* two fields */
    AGG_GQL_TASK_JOIN,              /* the conflicts below two fields */
    AGG_GQL_TASK_SETS,              /* fields of two sets */
    AGG_GQL_TASK_SET_FRAGMENT,      /* fields of a set, a fragment's */
    AGG_GQL_TASK_FRAGMENTS          /* two fragments */
} agg_gql_task_e;


typedef struct {
    agg_gql_task_e           kind;
    unsigned                 exclusive;
    uint32_t                 a;
    uint32_t                 b;
    uint32_t                 mark;          /* JOIN: conflicts before it */
} agg_gql_task_t;


/* the fields of a selection set, ordered by response name, and its spreads */

typedef struct {
    uint32_t                 nfields;
    uint32_t                *fields;        /* selections, name by name */
    uint32_t                 nnames;
    uint32_t                *starts;        /* by name; one more */
    uint32_t                *sorted;        /* names by their number */
    uint32_t                 nfragments;
    uint32_t                *fragments;     /* distinct, in order */
} agg_gql_set_t;


typedef struct {
    uint32_t                 name;          /* a selection that has it */
    agg_str_t                reason;
    uint32_t                 n[2];
    uint32_t                 places[2][AGG_GQL_CONFLICT_NODES];
} agg_gql_clash_t;


typedef struct {
    agg_gql_validation_t    *v;
    agg_gql_doc_t           *doc;
    agg_mem_t               *mem;
    uint32_t                *names;
    uint32_t                 nnames;
    uint32_t                *index;         /* by name: its place in a set */
    agg_gql_set_t          **sets;          /* by their first selection */
    uint32_t                *seen;          /* by fragment: the last set */
    uint32_t                 stamp;
    agg_gql_task_t          *tasks;
    uint32_t                 ntasks;
    uint32_t                 tasks_room;
    uint32_t                 spent;
    agg_gql_clash_t         *clashes;
    uint32_t                 nclashes;
    uint32_t                 clashes_room;
    uint64_t                *memo;          /* pairs that were compared */
    uint32_t                 nmemo;
    uint32_t                 memo_mask;
} agg_gql_conflict_t;


static agg_rc_e agg_gql_conflicts_below(agg_gql_conflict_t *c,
    uint32_t first, uint32_t end, uint32_t set_offset);
static agg_rc_e agg_gql_conflicts_in(agg_gql_conflict_t *c, uint32_t first,
    uint32_t set_offset);
static agg_rc_e agg_gql_conflicts_of_set(agg_gql_conflict_t *c,
    uint32_t first, const agg_gql_set_t *set);
static agg_rc_e agg_gql_run_tasks(agg_gql_conflict_t *c);
static agg_rc_e agg_gql_task_pair(agg_gql_conflict_t *c,
    const agg_gql_task_t *t);
static agg_rc_e agg_gql_pair(agg_gql_conflict_t *c, uint32_t first,
    uint32_t second, unsigned exclusive);
static agg_rc_e agg_gql_task_below(agg_gql_conflict_t *c,
    const agg_gql_task_t *t, unsigned exclusive);
static agg_rc_e agg_gql_task_join(agg_gql_conflict_t *c,
    const agg_gql_task_t *t);
static agg_rc_e agg_gql_task_sets(agg_gql_conflict_t *c,
    const agg_gql_task_t *t);
static agg_rc_e agg_gql_task_set_fragment(agg_gql_conflict_t *c,
    const agg_gql_task_t *t);
static agg_rc_e agg_gql_task_fragments(agg_gql_conflict_t *c,
    const agg_gql_task_t *t);
static agg_rc_e agg_gql_clash(agg_gql_conflict_t *c, uint32_t a, uint32_t b,
    const char *fmt, ...);
static agg_rc_e agg_gql_collect(agg_gql_conflict_t *c, uint32_t first,
    agg_gql_set_t **set);
static agg_rc_e agg_gql_collect_walk(agg_gql_conflict_t *c,
    agg_gql_set_t *set, uint32_t first, uint32_t *fields);
static agg_rc_e agg_gql_collect_sort(agg_gql_conflict_t *c,
    agg_gql_set_t *set, const uint32_t *fields);


static agg_rc_e
agg_gql_task(agg_gql_conflict_t *c, agg_gql_task_e kind, uint32_t a,
    uint32_t b, unsigned exclusive)
{
    agg_gql_task_t  *t;

    if (c->spent++ >= AGG_GQL_CONFLICT_TASKS) {
        return AGG_TOO_LARGE;
    }

    t = agg_gql_new_room(c->mem, c->tasks, c->ntasks, c->tasks_room);
    if (t == NULL) {
        return AGG_NOMEM;
    }

    t->kind = kind;
    t->a = a;
    t->b = b;
    t->exclusive = exclusive;
    t->mark = c->nclashes;

    return AGG_OK;
}


agg_rc_e
agg_gql_report_conflicts(agg_gql_validation_t *v)
{
    agg_rc_e              rc;
    uint32_t              i;
    agg_gql_doc_t        *doc;
    agg_gql_conflict_t    c;
    agg_gql_fragment_t   *f;
    agg_gql_operation_t  *op;

    memset(&c, 0, sizeof(agg_gql_conflict_t));

    doc = v->doc;

    c.v = v;
    c.doc = doc;
    c.mem = v->mem;

    agg_gql_try(agg_gql_number_names(v, &c.names, &c.nnames));

    c.index = agg_gql_zero(v->mem, c.nnames, sizeof(uint32_t));
    c.sets = agg_gql_zero(v->mem, doc->nselections, sizeof(agg_gql_set_t *));
    c.seen = agg_gql_zero(v->mem, doc->nfragments, sizeof(uint32_t));

    if (c.index == NULL || c.sets == NULL || c.seen == NULL) {
        return AGG_NOMEM;
    }

    /* in the order of the text, as a pair is reported where it is met first */

    for (i = 0; i < doc->ndefs; i++) {

        switch (doc->defs[i].kind) {

        case AGG_GQL_DEF_OPERATION:
            op = &doc->operations[doc->defs[i].index];
            rc = agg_gql_conflicts_below(&c, op->first, op->selection_end,
                                         op->set_offset);
            break;

        case AGG_GQL_DEF_FRAGMENT:
            f = &doc->fragments[doc->defs[i].index];
            rc = agg_gql_conflicts_below(&c, f->first, f->selection_end,
                                         f->set_offset);
            break;

        default:
            rc = AGG_OK;
        }

        if (rc != AGG_OK) {
            return (rc == AGG_TOO_LARGE) ? AGG_OK : rc;
        }
    }

    return AGG_OK;
}


/* compares all selection sets of a definition */

static agg_rc_e
agg_gql_conflicts_below(agg_gql_conflict_t *c, uint32_t first, uint32_t end,
    uint32_t set_offset)
{
    uint32_t              i;
    agg_gql_selection_t  *sel;

    agg_gql_try(agg_gql_conflicts_in(c, first, set_offset));

    for (i = first; i < end; i++) {
        sel = &c->doc->selections[i];

        if (sel->kind == AGG_GQL_FIELD && sel->first != AGG_GQL_NONE) {
            agg_gql_try(agg_gql_conflicts_in(c, sel->first, sel->set_offset));
        }
    }

    return AGG_OK;
}


/* reports two fields that are known to be in conflict */

agg_rc_e
agg_gql_report_conflict(agg_gql_validation_t *v, uint32_t a, uint32_t b)
{
    uint32_t              places[2];
    agg_gql_conflict_t    c;
    agg_gql_selection_t  *sel;

    memset(&c, 0, sizeof(agg_gql_conflict_t));

    c.v = v;
    c.doc = v->doc;
    c.mem = v->mem;

    sel = &v->doc->selections[a];
    places[0] = sel->offset;
    places[1] = v->doc->selections[b].offset;

    agg_gql_try(agg_gql_pair(&c, a, b, 0));

    if (c.nclashes == 0) {
        return AGG_OK;
    }

    return agg_gql_report(&v->check,
                          agg_gql_key_enter(&v->check, sel->offset,
                                            AGG_GQL_RULE_MERGE),
                          places, 2, "Fields \"%V\" conflict because %W. Use "
                          "different aliases on the fields to fetch both if "
                          "this was intentional.", &sel->alias,
                          &c.clashes[0].reason);
}


/* compares the fields of one selection set */

static agg_rc_e
agg_gql_conflicts_in(agg_gql_conflict_t *c, uint32_t first,
    uint32_t set_offset)
{
    agg_rc_e          rc;
    uint32_t          i, n, places[2 * AGG_GQL_CONFLICT_NODES];
    agg_gql_set_t    *set;
    agg_gql_clash_t  *clash;

    if (c->doc->selections[first].next == AGG_GQL_NONE
        && c->doc->selections[first].kind != AGG_GQL_INLINE)
    {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_collect(c, first, &set));

    c->ntasks = 0;
    c->nclashes = 0;

    rc = agg_gql_conflicts_of_set(c, first, set);

    if (rc == AGG_NOMEM) {
        return rc;
    }

    for (i = 0; i < c->nclashes; i++) {
        clash = &c->clashes[i];
        n = clash->n[0] + clash->n[1];

        memcpy(places, clash->places[0], clash->n[0] * sizeof(uint32_t));
        memcpy(places + clash->n[0], clash->places[1],
               clash->n[1] * sizeof(uint32_t));

        agg_gql_try(agg_gql_report(&c->v->check,
                        agg_gql_key_enter(&c->v->check, set_offset,
                                          AGG_GQL_RULE_MERGE),
                        places, n, "Fields \"%V\" conflict because %W. Use "
                        "different aliases on the fields to fetch both if "
                        "this was intentional.",
                        &c->doc->selections[clash->name].alias,
                        &clash->reason));
    }

    return rc;
}


/* stops when the limit of errors is reached */

static agg_rc_e
agg_gql_conflicts_of_set(agg_gql_conflict_t *c, uint32_t first,
    const agg_gql_set_t *set)
{
    uint32_t  i, k, j;

    for (i = 0; i < set->nnames; i++) {
        for (k = set->starts[i]; k < set->starts[i + 1]; k++) {
            for (j = k + 1; j < set->starts[i + 1]; j++) {
                agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_PAIR, set->fields[k],
                                         set->fields[j], 0));
                agg_gql_try(agg_gql_run_tasks(c));

                if (c->nclashes >= AGG_GQL_MAX_ERRORS) {
                    return AGG_OK;
                }
            }
        }
    }

    for (i = 0; i < set->nfragments; i++) {
        agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_SET_FRAGMENT, first,
                                 set->fragments[i], 0));
        agg_gql_try(agg_gql_run_tasks(c));

        for (k = i + 1; k < set->nfragments; k++) {
            agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_FRAGMENTS,
                                     set->fragments[i], set->fragments[k],
                                     0));
            agg_gql_try(agg_gql_run_tasks(c));

            if (c->nclashes >= AGG_GQL_MAX_ERRORS) {
                return AGG_OK;
            }
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_run_tasks(agg_gql_conflict_t *c)
{
    agg_rc_e        rc;
    agg_gql_task_t  t;

    while (c->ntasks != 0) {
        t = c->tasks[--c->ntasks];

        switch (t.kind) {

        case AGG_GQL_TASK_PAIR:
            rc = agg_gql_task_pair(c, &t);
            break;

        case AGG_GQL_TASK_JOIN:
            rc = agg_gql_task_join(c, &t);
            break;

        case AGG_GQL_TASK_SETS:
            rc = agg_gql_task_sets(c, &t);
            break;

        case AGG_GQL_TASK_SET_FRAGMENT:
            rc = agg_gql_task_set_fragment(c, &t);
            break;

        default:
            rc = agg_gql_task_fragments(c, &t);
        }

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


/* __typename has no type here, as in graphql-js */

static const agg_gql_field_t *
agg_gql_definition(agg_gql_conflict_t *c, const agg_gql_selection_t *sel)
{
    const agg_gql_schema_t  *s;

    s = c->v->schema;

    if (sel->field == s->typename_field || sel->field == s->schema_field
        || sel->field == s->type_field)
    {
        return NULL;
    }

    return sel->field;
}


static unsigned
agg_gql_exclusive(const agg_gql_selection_t *a, const agg_gql_selection_t *b)
{
    return a->on != b->on && a->on != NULL && b->on != NULL
           && a->on->kind == AGG_GQL_OBJECT_TYPE
           && b->on->kind == AGG_GQL_OBJECT_TYPE;
}


static agg_rc_e
agg_gql_task_pair(agg_gql_conflict_t *c, const agg_gql_task_t *t)
{
    uint32_t                    before;
    unsigned                    exclusive;
    const agg_gql_selection_t  *a, *b;

    a = &c->doc->selections[t->a];
    b = &c->doc->selections[t->b];

    exclusive = t->exclusive || agg_gql_exclusive(a, b);
    before = c->nclashes;

    agg_gql_try(agg_gql_pair(c, t->a, t->b, exclusive));

    if (c->nclashes != before || a->first == AGG_GQL_NONE
        || b->first == AGG_GQL_NONE)
    {
        return AGG_OK;
    }

    return agg_gql_task_below(c, t, exclusive);
}


/* compares the two fields themselves, not their selections */

static agg_rc_e
agg_gql_pair(agg_gql_conflict_t *c, uint32_t first, uint32_t second,
    unsigned exclusive)
{
    agg_str_t                   text1, text2;
    const agg_gql_field_t      *f1, *f2;
    const agg_gql_selection_t  *a, *b;

    a = &c->doc->selections[first];
    b = &c->doc->selections[second];

    if (!exclusive && !agg_gql_equal(&a->name, &b->name)) {
        return agg_gql_clash(c, first, second,
                             "\"%V\" and \"%V\" are different fields",
                             &a->name, &b->name);
    }

    if (!exclusive && !agg_gql_same_arguments(c->doc, a, b)) {
        return agg_gql_clash(c, first, second,
                             "they have differing arguments");
    }

    f1 = agg_gql_definition(c, a);
    f2 = agg_gql_definition(c, b);

    if (f1 == NULL || f2 == NULL || agg_gql_same_shape(&f1->type, &f2->type))
    {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_type_text(c->mem, &f1->type.type->name,
                                  f1->type.wraps, &text1));
    agg_gql_try(agg_gql_type_text(c->mem, &f2->type.type->name,
                                  f2->type.wraps, &text2));

    return agg_gql_clash(c, first, second, "they return conflicting types "
                         "\"%V\" and \"%V\"", &text1, &text2);
}


/* compares the selections of two fields */

static agg_rc_e
agg_gql_task_below(agg_gql_conflict_t *c, const agg_gql_task_t *t,
    unsigned exclusive)
{
    uint32_t         i, k, a, b;
    agg_gql_set_t   *s1, *s2;

    a = c->doc->selections[t->a].first;
    b = c->doc->selections[t->b].first;

    agg_gql_try(agg_gql_collect(c, a, &s1));
    agg_gql_try(agg_gql_collect(c, b, &s2));

    agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_JOIN, t->a, t->b, 0));

    for (i = s1->nfragments; i-- != 0; /* void */ ) {
        for (k = s2->nfragments; k-- != 0; /* void */ ) {
            agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_FRAGMENTS,
                                     s1->fragments[i], s2->fragments[k],
                                     exclusive));
        }
    }

    for (i = s1->nfragments; i-- != 0; /* void */ ) {
        agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_SET_FRAGMENT, b,
                                 s1->fragments[i], exclusive));
    }

    for (i = s2->nfragments; i-- != 0; /* void */ ) {
        agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_SET_FRAGMENT, a,
                                 s2->fragments[i], exclusive));
    }

    return agg_gql_task(c, AGG_GQL_TASK_SETS, a, b, exclusive);
}


/* the position of a name in a set, or NONE */

static uint32_t
agg_gql_name_in(agg_gql_conflict_t *c, const agg_gql_set_t *set,
    uint32_t name)
{
    uint32_t  low, high, middle, at;

    low = 0;
    high = set->nnames;

    while (low < high) {
        middle = low + (high - low) / 2;
        at = c->names[set->fields[set->starts[set->sorted[middle]]]];

        if (at == name) {
            return set->sorted[middle];
        }

        if (at < name) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return AGG_GQL_NONE;
}


static agg_rc_e
agg_gql_task_sets(agg_gql_conflict_t *c, const agg_gql_task_t *t)
{
    uint32_t         i, j, k, at;
    agg_gql_set_t   *s1, *s2;

    agg_gql_try(agg_gql_collect(c, t->a, &s1));
    agg_gql_try(agg_gql_collect(c, t->b, &s2));

    for (i = s1->nnames; i-- != 0; /* void */ ) {
        c->spent++;
        at = agg_gql_name_in(c, s2, c->names[s1->fields[s1->starts[i]]]);

        if (at == AGG_GQL_NONE) {
            continue;
        }

        for (j = s1->starts[i + 1]; j-- > s1->starts[i]; /* void */ ) {
            for (k = s2->starts[at + 1]; k-- > s2->starts[at]; /* void */ ) {
                agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_PAIR, s1->fields[j],
                                         s2->fields[k], t->exclusive));
            }
        }
    }

    return AGG_OK;
}


/*
 * Whether a pair was compared before under rules at least as strict: a
 * comparison of fields that are not mutually exclusive covers both cases.
 */

static agg_rc_e
agg_gql_compared(agg_gql_conflict_t *c, uint64_t key, unsigned exclusive,
    unsigned *done)
{
    uint32_t   i, mask;
    uint64_t  *old, *slot, n;

    if (c->nmemo * 2 >= c->memo_mask) {
        old = c->memo;
        mask = c->memo_mask;
        c->memo_mask = (old == NULL) ? 255 : 2 * mask + 1;

        c->memo = agg_gql_zero(c->mem, (size_t) c->memo_mask + 1,
                               sizeof(uint64_t));
        if (c->memo == NULL) {
            return AGG_NOMEM;
        }

        for (i = 0; old != NULL && i <= mask; i++) {

            if (old[i] == 0) {
                continue;
            }

            n = (old[i] >> 1) * 0x9e3779b97f4a7c15ull >> 32;

            while (c->memo[n & c->memo_mask] != 0) {
                n++;
            }

            c->memo[n & c->memo_mask] = old[i];
        }
    }

    /* the lowest bit means that they were compared as exclusive only */

    for (n = key * 0x9e3779b97f4a7c15ull >> 32; /* void */ ; n++) {
        slot = &c->memo[n & c->memo_mask];

        if (*slot == 0) {
            *slot = key << 1 | exclusive;
            c->nmemo++;
            *done = 0;
            return AGG_OK;
        }

        if (*slot >> 1 == key) {
            *done = exclusive || !(*slot & 1);

            if (!exclusive) {
                *slot &= ~(uint64_t) 1;
            }

            return AGG_OK;
        }
    }
}


static agg_rc_e
agg_gql_task_set_fragment(agg_gql_conflict_t *c, const agg_gql_task_t *t)
{
    unsigned         done;
    uint32_t         i, first;
    agg_gql_set_t   *s1, *s2;

    agg_gql_try(agg_gql_collect(c, t->a, &s1));

    if (s1->nfields == 0) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_compared(c, (uint64_t) (t->a + 1) << 31 | t->b,
                                 t->exclusive, &done));

    first = c->doc->fragments[t->b].first;

    if (done || first == t->a) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_collect(c, first, &s2));

    for (i = s2->nfragments; i-- != 0; /* void */ ) {
        agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_SET_FRAGMENT, t->a,
                                 s2->fragments[i], t->exclusive));
    }

    return agg_gql_task(c, AGG_GQL_TASK_SETS, t->a, first, t->exclusive);
}


static agg_rc_e
agg_gql_task_fragments(agg_gql_conflict_t *c, const agg_gql_task_t *t)
{
    unsigned         done;
    uint32_t         i, low, high;
    agg_gql_set_t   *s1, *s2;

    if (t->a == t->b) {
        return AGG_OK;
    }

    low = (t->a < t->b) ? t->a : t->b;
    high = (t->a < t->b) ? t->b : t->a;

    /* keys above those of the selections of sets */

    agg_gql_try(agg_gql_compared(c, ((uint64_t) 1 << 62 | (uint64_t) low << 31)
                                    | high, t->exclusive, &done));

    if (done) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_collect(c, c->doc->fragments[t->a].first, &s1));
    agg_gql_try(agg_gql_collect(c, c->doc->fragments[t->b].first, &s2));

    for (i = s1->nfragments; i-- != 0; /* void */ ) {
        agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_FRAGMENTS, s1->fragments[i],
                                 t->b, t->exclusive));
    }

    for (i = s2->nfragments; i-- != 0; /* void */ ) {
        agg_gql_try(agg_gql_task(c, AGG_GQL_TASK_FRAGMENTS, t->a,
                                 s2->fragments[i], t->exclusive));
    }

    return agg_gql_task(c, AGG_GQL_TASK_SETS, c->doc->fragments[t->a].first,
                        c->doc->fragments[t->b].first, t->exclusive);
}


static agg_rc_e
agg_gql_clash(agg_gql_conflict_t *c, uint32_t a, uint32_t b, const char *fmt,
    ...)
{
    va_list           args;
    agg_rc_e          rc;
    agg_buf_t         buf;
    agg_gql_clash_t  *clash;

    clash = agg_gql_new_room(c->mem, c->clashes, c->nclashes,
                             c->clashes_room);
    if (clash == NULL) {
        return AGG_NOMEM;
    }

    agg_buf_init(&buf, c->mem, 1 << 16);

    va_start(args, fmt);
    rc = agg_gql_putv(&buf, fmt, args);
    va_end(args);

    clash->name = a;
    clash->reason.data = buf.start;
    clash->reason.len = agg_buf_used(&buf);

    clash->n[0] = 1;
    clash->n[1] = 1;
    clash->places[0][0] = c->doc->selections[a].offset;
    clash->places[1][0] = c->doc->selections[b].offset;

    return rc;
}


/* joins the conflicts below two fields into one of these fields */

static agg_rc_e
agg_gql_task_join(agg_gql_conflict_t *c, const agg_gql_task_t *t)
{
    uint32_t          i, k, n, side;
    agg_buf_t         b;
    agg_gql_clash_t   joined, *from;

    if (c->nclashes == t->mark) {
        return AGG_OK;
    }

    memset(&joined, 0, sizeof(agg_gql_clash_t));

    joined.name = t->a;
    joined.n[0] = 1;
    joined.n[1] = 1;
    joined.places[0][0] = c->doc->selections[t->a].offset;
    joined.places[1][0] = c->doc->selections[t->b].offset;

    agg_buf_init(&b, c->mem, 1 << 16);

    for (i = t->mark; i < c->nclashes; i++) {
        from = &c->clashes[i];

        if (agg_buf_used(&b) <= AGG_GQL_CONFLICT_TEXT) {
            agg_gql_try(agg_gql_put(&b, "%ssubfields \"%V\" conflict because "
                                    "%W", (i == t->mark) ? "" : " and ",
                                    &c->doc->selections[from->name].alias,
                                    &from->reason));
        }

        /* the deepest ones are stored last */

        for (side = 0; side < 2; side++) {
            n = AGG_GQL_CONFLICT_NODES - joined.n[side];
            k = (from->n[side] > n) ? from->n[side] - n : 0;
            n = from->n[side] - k;

            memcpy(&joined.places[side][joined.n[side]],
                   &from->places[side][k], n * sizeof(uint32_t));
            joined.n[side] += n;
        }
    }

    joined.reason.data = b.start;
    joined.reason.len = agg_buf_used(&b);

    if (joined.reason.len > AGG_GQL_CONFLICT_TEXT) {
        joined.reason.len = AGG_GQL_CONFLICT_TEXT + 3;
        memcpy(b.start + AGG_GQL_CONFLICT_TEXT, "...", 3);
    }

    c->clashes[t->mark] = joined;
    c->nclashes = t->mark + 1;

    return AGG_OK;
}


static agg_rc_e
agg_gql_collect(agg_gql_conflict_t *c, uint32_t first, agg_gql_set_t **set)
{
    uint32_t        *fields;
    agg_gql_set_t   *s;

    *set = c->sets[first];

    if (*set != NULL) {
        return AGG_OK;
    }

    s = agg_gql_zero(c->mem, 1, sizeof(agg_gql_set_t));
    if (s == NULL) {
        return AGG_NOMEM;
    }

    c->stamp++;

    agg_gql_try(agg_gql_collect_walk(c, s, first, NULL));

    fields = agg_gql_zero(c->mem, s->nfields, sizeof(uint32_t));
    s->fields = agg_gql_zero(c->mem, s->nfields, sizeof(uint32_t));
    s->starts = agg_gql_zero(c->mem, s->nfields + 1, sizeof(uint32_t));
    s->sorted = agg_gql_zero(c->mem, s->nfields, sizeof(uint32_t));
    s->fragments = agg_gql_zero(c->mem, s->nfragments, sizeof(uint32_t));

    if (fields == NULL || s->fields == NULL || s->starts == NULL
        || s->sorted == NULL || s->fragments == NULL)
    {
        return AGG_NOMEM;
    }

    c->stamp++;

    agg_gql_try(agg_gql_collect_walk(c, s, first, fields));

    c->sets[first] = s;
    *set = s;

    return agg_gql_collect_sort(c, s, fields);
}


/*
 * Collects the fields and spreads of a set and of its inline fragments, or
 * counts them if "fields" is NULL.  The way back is by "parent".
 */

static agg_rc_e
agg_gql_collect_walk(agg_gql_conflict_t *c, agg_gql_set_t *set,
    uint32_t first, uint32_t *fields)
{
    uint32_t              id, outer;
    agg_gql_selection_t  *sel;

    set->nfields = 0;
    set->nfragments = 0;

    outer = c->doc->selections[first].parent;
    id = first;

    for ( ;; ) {
        sel = &c->doc->selections[id];

        if (sel->kind == AGG_GQL_INLINE) {
            id = sel->first;
            continue;
        }

        if (sel->kind == AGG_GQL_FIELD) {

            if (fields != NULL) {
                fields[set->nfields] = id;
            }

            set->nfields++;

        } else if (sel->fragment != AGG_GQL_NONE
                   && c->seen[sel->fragment] != c->stamp)
        {
            c->seen[sel->fragment] = c->stamp;

            if (fields != NULL) {
                set->fragments[set->nfragments] = sel->fragment;
            }

            set->nfragments++;
        }

        while (sel->next == AGG_GQL_NONE) {

            if (sel->parent == outer) {
                return AGG_OK;
            }

            sel = &c->doc->selections[sel->parent];
        }

        id = sel->next;
    }
}


static int
agg_gql_start_cmp(const void *data, uint32_t a, uint32_t b)
{
    const uint32_t  *numbers = data;

    return (numbers[a] > numbers[b]) - (numbers[a] < numbers[b]);
}


/* groups fields by name, in the order in which the names first occur */

static agg_rc_e
agg_gql_collect_sort(agg_gql_conflict_t *c, agg_gql_set_t *set,
    const uint32_t *fields)
{
    uint32_t  i, k, name, *count, *numbers;

    count = agg_gql_zero(c->mem, set->nfields, sizeof(uint32_t));
    numbers = agg_gql_zero(c->mem, set->nfields, sizeof(uint32_t));

    if (count == NULL || numbers == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < set->nfields; i++) {
        name = c->names[fields[i]];
        k = c->index[name];

        /* an index that another set has left does not match the name */

        if (k >= set->nnames || numbers[k] != name) {
            k = set->nnames++;
            c->index[name] = k;
            numbers[k] = name;
        }

        count[k]++;
    }

    for (k = 0; k < set->nnames; k++) {
        set->starts[k + 1] = set->starts[k] + count[k];
        set->sorted[k] = k;
        count[k] = set->starts[k];
    }

    for (i = 0; i < set->nfields; i++) {
        k = c->index[c->names[fields[i]]];
        set->fields[count[k]++] = fields[i];
    }

    agg_gql_sort(set->sorted, set->nnames, agg_gql_start_cmp, numbers);

    return AGG_OK;
}
