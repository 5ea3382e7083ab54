
/*
 * Merging, level by level: the fields of a selection set, with its fragments
 * expanded, are sorted by response name.  Fields of one name are compared with
 * the first of them, and their selections together form a set of the next
 * level.  So each field is sorted once for each time that it is selected, and
 * fields are not compared pair by pair: O(n log n) in expanded selections.
 *
 * Fields of one name must have the same shape, whatever they are selected on.
 * They must be the same field with the same arguments only if an object can
 * have both types that they are selected on.  In most documents they are always
 * the same, which is tried first.  Otherwise the fields on each object type
 * form a set with those on interfaces and unions, so the latter are compared
 * once per type; a limit bounds this work.
 *
 * Source: the idea of Simon Adameit's article on merging in linear time.
 */


#include "agg_gql_merge.h"


typedef enum {
    AGG_GQL_MERGE_ALL = 0,              /* the same whatever they are on */
    AGG_GQL_MERGE_SHAPES,
    AGG_GQL_MERGE_FIELDS                /* by the types they are on */
} agg_gql_merge_e;


typedef struct {
    uint32_t                 group;
    uint32_t                 sel;
} agg_gql_entry_t;


typedef struct {
    agg_gql_validation_t    *v;
    agg_gql_doc_t           *doc;
    agg_gql_merge_e          mode;
    uint32_t                *names;
    uint32_t                *stamps;        /* by fragment: last group in */
    uint32_t                *stack;
    agg_gql_entry_t         *entries;       /* this level's, then the next's */
    uint32_t                 nentries;
    uint32_t                 entries_room;
    uint32_t                *list;          /* sorted entries */
    uint32_t                 room;
    uint32_t                 group;
    uint32_t                 budget;
    uint32_t                 bad[2];        /* selections in conflict */
} agg_gql_merge_t;


static agg_rc_e agg_gql_merge_operation(agg_gql_merge_t *m,
    agg_gql_operation_t *op);
static agg_rc_e agg_gql_merge_level(agg_gql_merge_t *m, uint32_t first,
    uint32_t n);
static agg_rc_e agg_gql_merge_run(agg_gql_merge_t *m, const uint32_t *run,
    uint32_t n);
static agg_rc_e agg_gql_merge_by_types(agg_gql_merge_t *m,
    const uint32_t *run, uint32_t n);
static agg_rc_e agg_gql_merge_group(agg_gql_merge_t *m, const uint32_t *a,
    uint32_t na, const uint32_t *b, uint32_t nb);
static agg_rc_e agg_gql_merge_expand(agg_gql_merge_t *m, uint32_t first);
static int agg_gql_same_value(const agg_gql_doc_t *doc, uint32_t a,
    uint32_t b);


#define agg_gql_entry(m, i)  (&(m)->doc->selections[(m)->entries[i].sel])


static int
agg_gql_alias_cmp(const void *data, uint32_t a, uint32_t b)
{
    const agg_gql_doc_t  *doc = data;

    return agg_gql_compare(&doc->selections[a].alias,
                           &doc->selections[b].alias);
}


agg_rc_e
agg_gql_number_names(agg_gql_validation_t *v, uint32_t **names, uint32_t *n)
{
    uint32_t  i, k, *list;

    list = agg_gql_scratch(&v->check, v->doc->nselections);
    *names = agg_gql_zero(v->mem, v->doc->nselections, sizeof(uint32_t));

    if (list == NULL || *names == NULL) {
        return AGG_NOMEM;
    }

    k = 0;

    for (i = 0; i < v->doc->nselections; i++) {
        if (v->doc->selections[i].kind == AGG_GQL_FIELD) {
            list[k++] = i;
        }
    }

    agg_gql_sort(list, k, agg_gql_alias_cmp, v->doc);

    *n = 0;

    for (i = 0; i < k; i++) {

        if (i != 0 && agg_gql_alias_cmp(v->doc, list[i - 1], list[i]) != 0) {
            (*n)++;
        }

        (*names)[list[i]] = *n;
    }

    (*n)++;

    return AGG_OK;
}


agg_rc_e
agg_gql_validate_merge(agg_gql_validation_t *v)
{
    agg_rc_e         rc;
    uint32_t         i, mode, n;
    agg_gql_merge_t  m;

    if (v->errors->n != 0) {
        return agg_gql_report_conflicts(v);
    }

    memset(&m, 0, sizeof(agg_gql_merge_t));

    m.v = v;
    m.doc = v->doc;
    m.budget = (v->doc->nexpanded < 60000) ? 16 * (v->doc->nexpanded + 1000)
                                           : 1000000;

    agg_gql_try(agg_gql_number_names(v, &m.names, &n));

    m.stamps = agg_gql_zero(v->mem, v->doc->nfragments, sizeof(uint32_t));
    m.stack = agg_gql_zero(v->mem, v->doc->nselections, sizeof(uint32_t));

    if (m.stamps == NULL || m.stack == NULL) {
        return AGG_NOMEM;
    }

    rc = AGG_OK;

    for (i = 0; i < v->doc->noperations; i++) {

        for (mode = AGG_GQL_MERGE_ALL; mode <= AGG_GQL_MERGE_FIELDS; mode++) {
            m.mode = (agg_gql_merge_e) mode;

            rc = agg_gql_merge_operation(&m, &v->doc->operations[i]);

            if (rc == AGG_NOMEM) {
                return rc;
            }

            if (rc == AGG_TOO_LARGE) {
                return agg_gql_limit(v->errors, v->doc->source,
                                     v->doc->operations[i].offset,
                                     "max_selections",
                                     (v->limits != NULL)
                                     ? v->limits->max_selections : 0);
            }

            if ((rc == AGG_OK) == (mode == AGG_GQL_MERGE_ALL)) {
                break;
            }
        }

        if (rc != AGG_OK) {
            break;
        }
    }

    if (rc == AGG_OK) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_report_conflicts(v));

    return (v->errors->n != 0) ? AGG_OK
                               : agg_gql_report_conflict(v, m.bad[0],
                                                         m.bad[1]);
}


static agg_rc_e
agg_gql_merge_operation(agg_gql_merge_t *m, agg_gql_operation_t *op)
{
    uint32_t  first, n;

    m->nentries = 0;
    m->group++;

    agg_gql_try(agg_gql_merge_expand(m, op->first));

    first = 0;

    while (first != m->nentries) {
        n = m->nentries - first;

        agg_gql_try(agg_gql_merge_level(m, first, n));

        /* the finished level makes room for the next ones */

        memmove(m->entries, m->entries + first + n,
                (m->nentries - first - n) * sizeof(agg_gql_entry_t));
        m->nentries -= first + n;
        first = 0;
    }

    return AGG_OK;
}


/* 0 for interfaces and unions */

static uint32_t
agg_gql_object_of(const agg_gql_selection_t *sel)
{
    return (sel->on->kind == AGG_GQL_OBJECT_TYPE) ? sel->on->id + 1 : 0;
}


static int
agg_gql_entry_cmp(const void *data, uint32_t a, uint32_t b)
{
    uint32_t                x, y;
    const agg_gql_merge_t  *m = data;

    x = m->entries[a].group;
    y = m->entries[b].group;

    if (x == y) {
        x = m->names[m->entries[a].sel];
        y = m->names[m->entries[b].sel];
    }

    if (x == y && m->mode == AGG_GQL_MERGE_FIELDS) {
        x = agg_gql_object_of(agg_gql_entry(m, a));
        y = agg_gql_object_of(agg_gql_entry(m, b));
    }

    return (x > y) - (x < y);
}


static agg_rc_e
agg_gql_merge_level(agg_gql_merge_t *m, uint32_t first, uint32_t n)
{
    uint32_t  i, k, *list;

    if (n > m->room) {
        list = m->v->mem->grow(m->v->mem->ctx, m->list, 0,
                               2 * (size_t) n * sizeof(uint32_t));
        if (list == NULL) {
            return AGG_NOMEM;
        }

        m->list = list;
        m->room = 2 * n;
    }

    for (i = 0; i < n; i++) {
        m->list[i] = first + i;
    }

    agg_gql_sort(m->list, n, agg_gql_entry_cmp, m);

    for (i = 0; i < n; i = k) {

        for (k = i + 1; k < n; k++) {
            if (m->entries[m->list[i]].group != m->entries[m->list[k]].group
                || m->names[m->entries[m->list[i]].sel]
                   != m->names[m->entries[m->list[k]].sel])
            {
                break;
            }
        }

        if (m->mode == AGG_GQL_MERGE_FIELDS) {
            agg_gql_try(agg_gql_merge_by_types(m, m->list + i, k - i));

        } else {
            agg_gql_try(agg_gql_merge_run(m, m->list + i, k - i));
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_merge_conflict(agg_gql_merge_t *m, uint32_t a, uint32_t b)
{
    m->bad[0] = m->entries[a].sel;
    m->bad[1] = m->entries[b].sel;

    return AGG_INVALID;
}


/* compares the fields of one response name */

static agg_rc_e
agg_gql_merge_run(agg_gql_merge_t *m, const uint32_t *run, uint32_t n)
{
    uint32_t              i, sets;
    agg_gql_selection_t  *a, *b;

    a = agg_gql_entry(m, run[0]);
    sets = (a->first != AGG_GQL_NONE);

    for (i = 1; i < n; i++) {
        b = agg_gql_entry(m, run[i]);
        sets |= (b->first != AGG_GQL_NONE);

        if (!agg_gql_same_shape(&a->field->type, &b->field->type)
            || (m->mode == AGG_GQL_MERGE_ALL
                && (!agg_gql_equal(&a->name, &b->name)
                    || !agg_gql_same_arguments(m->doc, a, b))))
        {
            return agg_gql_merge_conflict(m, run[0], run[i]);
        }
    }

    return sets ? agg_gql_merge_group(m, run, n, run, 0) : AGG_OK;
}


/* fields on abstract types come first, followed by those of each type */

static agg_rc_e
agg_gql_merge_by_types(agg_gql_merge_t *m, const uint32_t *run, uint32_t n)
{
    uint32_t              i, k, na;
    agg_gql_selection_t  *a, *b;

    a = agg_gql_entry(m, run[0]);

    for (na = 0; na < n; na++) {
        b = agg_gql_entry(m, run[na]);

        if (agg_gql_object_of(b) != 0) {
            break;
        }

        if (!agg_gql_equal(&a->name, &b->name)
            || !agg_gql_same_arguments(m->doc, a, b))
        {
            return agg_gql_merge_conflict(m, run[0], run[na]);
        }
    }

    if (na == n) {
        return agg_gql_merge_group(m, run, n, run, 0);
    }

    for (i = na; i < n; i = k) {

        if (na == 0) {
            a = agg_gql_entry(m, run[i]);
        }

        for (k = i; k < n; k++) {
            b = agg_gql_entry(m, run[k]);

            if (agg_gql_object_of(b) != agg_gql_object_of(agg_gql_entry(m,
                                                                   run[i])))
            {
                break;
            }

            if (!agg_gql_equal(&a->name, &b->name)
                || !agg_gql_same_arguments(m->doc, a, b))
            {
                return agg_gql_merge_conflict(m, (na == 0) ? run[i] : run[0],
                                              run[k]);
            }
        }

        agg_gql_try(agg_gql_merge_group(m, run, na, run + i, k - i));
    }

    return AGG_OK;
}


/* the selections of the fields in a and b become a set of the next level */

static agg_rc_e
agg_gql_merge_group(agg_gql_merge_t *m, const uint32_t *a, uint32_t na,
    const uint32_t *b, uint32_t nb)
{
    uint32_t              i;
    agg_gql_selection_t  *sel;

    m->group++;

    for (i = 0; i < na + nb; i++) {
        sel = agg_gql_entry(m, (i < na) ? a[i] : b[i - na]);

        if (sel->first != AGG_GQL_NONE) {
            agg_gql_try(agg_gql_merge_expand(m, sel->first));
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_merge_expand(agg_gql_merge_t *m, uint32_t first)
{
    uint32_t              depth, id;
    agg_gql_entry_t      *e;
    agg_gql_selection_t  *sel;

    m->stack[0] = first;
    depth = 1;

    while (depth != 0) {
        id = m->stack[depth - 1];
        sel = &m->doc->selections[id];

        if (sel->next != AGG_GQL_NONE) {
            m->stack[depth - 1] = sel->next;

        } else {
            depth--;
        }

        if (m->budget-- == 0) {
            m->budget = 0;
            return AGG_TOO_LARGE;
        }

        switch (sel->kind) {

        case AGG_GQL_FIELD:
            e = agg_gql_new_room(m->v->mem, m->entries, m->nentries,
                                 m->entries_room);
            if (e == NULL) {
                return AGG_NOMEM;
            }

            e->group = m->group;
            e->sel = id;
            break;

        case AGG_GQL_INLINE:
            m->stack[depth++] = sel->first;
            break;

        default:

            /* a fragment counts once in each set */

            if (m->stamps[sel->fragment] != m->group) {
                m->stamps[sel->fragment] = m->group;
                m->stack[depth++] = m->doc->fragments[sel->fragment].first;
            }
        }
    }

    return AGG_OK;
}


int
agg_gql_same_shape(const agg_gql_ref_t *a, const agg_gql_ref_t *b)
{
    if (a->wraps != b->wraps) {
        return 0;
    }

    return a->type == b->type
           || (agg_gql_is_composite(a->type) && agg_gql_is_composite(b->type));
}


int
agg_gql_same_arguments(const agg_gql_doc_t *doc, const agg_gql_selection_t *a,
    const agg_gql_selection_t *b)
{
    uint32_t              i, k, n, m;
    const agg_gql_arg_t  *args;

    args = doc->args;
    n = 0;
    m = 0;

    for (i = a->arg; i != AGG_GQL_NONE; i = args[i].next) {
        n++;
    }

    for (i = b->arg; i != AGG_GQL_NONE; i = args[i].next) {
        m++;
    }

    if (n != m) {
        return 0;
    }

    /*
     * arguments are usually in the same order, so the next one is tried first
     */

    k = b->arg;

    for (i = a->arg; i != AGG_GQL_NONE; i = args[i].next) {

        for (m = 0; m < n; m++) {

            if (k == AGG_GQL_NONE) {
                k = b->arg;
            }

            if (agg_gql_equal(&args[i].name, &args[k].name)) {
                break;
            }

            k = args[k].next;
        }

        if (m == n || !agg_gql_same_value(doc, args[i].value, args[k].value))
        {
            return 0;
        }

        k = args[k].next;
    }

    return 1;
}


/* compares two values by walking through both in parallel */

static int
agg_gql_same_value(const agg_gql_doc_t *doc, uint32_t a, uint32_t b)
{
    uint32_t                root, i, k;
    const agg_gql_value_t  *v, *w;

    root = a;

    for ( ;; ) {
        v = &doc->values[a];
        w = &doc->values[b];

        if (v->kind != w->kind || !agg_gql_equal(&v->text, &w->text)
            || (v->first == AGG_GQL_NONE) != (w->first == AGG_GQL_NONE))
        {
            return 0;
        }

        if (v->first != AGG_GQL_NONE) {

            if (v->kind == AGG_GQL_LIST) {
                a = v->first;
                b = w->first;
                continue;
            }

            i = v->first;
            k = w->first;

        } else {

            for ( ;; ) {

                if (a == root) {
                    return 1;
                }

                v = &doc->values[a];
                w = &doc->values[b];

                if (doc->values[v->parent].kind == AGG_GQL_LIST) {
                    i = v->next;
                    k = w->next;

                } else {
                    i = doc->args[v->arg].next;
                    k = doc->args[w->arg].next;
                }

                if ((i == AGG_GQL_NONE) != (k == AGG_GQL_NONE)) {
                    return 0;
                }

                if (i != AGG_GQL_NONE) {
                    break;
                }

                a = v->parent;
                b = w->parent;
            }

            if (doc->values[v->parent].kind == AGG_GQL_LIST) {
                a = i;
                b = k;
                continue;
            }
        }

        if (!agg_gql_equal(&doc->args[i].name, &doc->args[k].name)) {
            return 0;
        }

        a = doc->args[i].value;
        b = doc->args[k].value;
    }
}
