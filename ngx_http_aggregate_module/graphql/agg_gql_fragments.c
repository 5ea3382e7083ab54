
/*
 * Fragments: their spreads, cycles, unused ones; and the size of a document
 * with its fragments expanded, which is computed without expanding them: each
 * fragment once, after those that it spreads.
 */


#include "agg_gql_validate.h"


static agg_rc_e agg_gql_sort_fragments(agg_gql_validation_t *v);
static uint32_t agg_gql_fragment(const agg_gql_validation_t *v,
    const agg_str_t *name);
static agg_rc_e agg_gql_collect_spreads(agg_gql_validation_t *v);
static uint32_t agg_gql_collect_set(agg_gql_validation_t *v, uint32_t first,
    uint32_t *stack, uint32_t n);
static agg_rc_e agg_gql_find_cycles(agg_gql_validation_t *v);
static agg_rc_e agg_gql_walk_fragment(agg_gql_validation_t *v, uint32_t root,
    uint32_t *stack, uint32_t *next, uint32_t *path, uint32_t *at,
    uint32_t *norder);
static agg_rc_e agg_gql_report_cycle(agg_gql_validation_t *v, uint32_t root,
    const uint32_t *path, uint32_t n);
static agg_rc_e agg_gql_find_unused(agg_gql_validation_t *v);
static agg_rc_e agg_gql_measure(agg_gql_validation_t *v, uint32_t first,
    uint32_t end, agg_gql_size_t *size);


/* sums are limited to this, so that two of them can be added */

#define AGG_GQL_MANY  0x40000000

#define agg_gql_sum(a, b)                                                    \
    ((a) + (b) < AGG_GQL_MANY ? (a) + (b) : AGG_GQL_MANY)


agg_rc_e
agg_gql_validate_fragments(agg_gql_validation_t *v)
{
    agg_mem_t      *mem;
    agg_gql_doc_t  *doc;

    doc = v->doc;
    mem = v->mem;

    v->by_name = agg_gql_zero(mem, doc->nfragments, sizeof(uint32_t));
    v->order = agg_gql_zero(mem, doc->nfragments, sizeof(uint32_t));
    v->sizes = agg_gql_zero(mem, doc->nfragments, sizeof(agg_gql_size_t));
    v->used = agg_gql_zero(mem, doc->nfragments, 1);
    v->of_fragment = agg_gql_zero(mem, doc->nfragments,
                                  sizeof(agg_gql_spreads_t));
    v->of_operation = agg_gql_zero(mem, doc->noperations,
                                   sizeof(agg_gql_spreads_t));
    v->spreads = agg_gql_zero(mem, doc->nselections, sizeof(uint32_t));

    if (v->by_name == NULL || v->order == NULL || v->sizes == NULL
        || v->used == NULL || v->of_fragment == NULL
        || v->of_operation == NULL || v->spreads == NULL)
    {
        return AGG_NOMEM;
    }

    agg_gql_try(agg_gql_sort_fragments(v));
    agg_gql_try(agg_gql_collect_spreads(v));
    agg_gql_try(agg_gql_find_cycles(v));

    return agg_gql_find_unused(v);
}


static int
agg_gql_fragment_cmp(const void *data, uint32_t a, uint32_t b)
{
    const agg_gql_doc_t  *doc = data;

    return agg_gql_compare(&doc->fragments[a].name, &doc->fragments[b].name);
}


static agg_rc_e
agg_gql_sort_fragments(agg_gql_validation_t *v)
{
    uint32_t             i, n, first, places[2];
    agg_gql_fragment_t  *f;

    n = v->doc->nfragments;

    for (i = 0; i < n; i++) {
        v->by_name[i] = i;
    }

    agg_gql_sort(v->by_name, n, agg_gql_fragment_cmp, v->doc);

    first = 0;

    for (i = 1; i < n; i++) {

        if (agg_gql_fragment_cmp(v->doc, v->by_name[first], v->by_name[i])
            != 0)
        {
            first = i;
            continue;
        }

        f = &v->doc->fragments[v->by_name[i]];
        places[0] = v->doc->fragments[v->by_name[first]].name_offset;
        places[1] = f->name_offset;

        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, f->offset,
                                          AGG_GQL_RULE_FRAGMENT_NAMES),
                        places, 2,
                        "There can be only one fragment named \"%V\".",
                        &f->name));
    }

    return AGG_OK;
}


/* finds the last of several fragments with one name */

static uint32_t
agg_gql_fragment(const agg_gql_validation_t *v, const agg_str_t *name)
{
    uint32_t  low, high, middle;

    low = 0;
    high = v->doc->nfragments;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (agg_gql_compare(&v->doc->fragments[v->by_name[middle]].name, name)
            <= 0)
        {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    if (low == 0
        || agg_gql_compare(&v->doc->fragments[v->by_name[low - 1]].name, name)
           != 0)
    {
        return AGG_GQL_NONE;
    }

    return v->by_name[low - 1];
}


static agg_rc_e
agg_gql_collect_spreads(agg_gql_validation_t *v)
{
    uint32_t        i, n, *stack;
    agg_gql_doc_t  *doc;

    doc = v->doc;

    stack = agg_gql_scratch(&v->check, doc->nselections);
    if (stack == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < doc->nselections; i++) {
        if (doc->selections[i].kind == AGG_GQL_SPREAD) {
            doc->selections[i].fragment = agg_gql_fragment(v,
                                                  &doc->selections[i].name);
        }
    }

    n = 0;

    for (i = 0; i < doc->noperations; i++) {
        v->of_operation[i].first = n;
        n = agg_gql_collect_set(v, doc->operations[i].first, stack, n);
        v->of_operation[i].n = n - v->of_operation[i].first;
    }

    for (i = 0; i < doc->nfragments; i++) {
        v->of_fragment[i].first = n;
        n = agg_gql_collect_set(v, doc->fragments[i].first, stack, n);
        v->of_fragment[i].n = n - v->of_fragment[i].first;
    }

    return AGG_OK;
}


/* in the order of graphql-js: all of a set, then the set that was met last */

static uint32_t
agg_gql_collect_set(agg_gql_validation_t *v, uint32_t first, uint32_t *stack,
    uint32_t n)
{
    uint32_t              id, depth;
    agg_gql_selection_t  *sel;

    stack[0] = first;
    depth = 1;

    while (depth != 0) {

        for (id = stack[--depth]; id != AGG_GQL_NONE; id = sel->next) {
            sel = &v->doc->selections[id];

            if (sel->kind == AGG_GQL_SPREAD) {
                v->spreads[n++] = id;

            } else if (sel->first != AGG_GQL_NONE) {
                stack[depth++] = sel->first;
            }
        }
    }

    return n;
}


static agg_rc_e
agg_gql_find_cycles(agg_gql_validation_t *v)
{
    uint32_t  i, n, *work, norder;

    n = v->doc->nfragments;

    /* stack, next, path, at */

    work = agg_gql_zero(v->mem, 4 * (size_t) n + 1, sizeof(uint32_t));
    if (work == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < n; i++) {
        work[3 * (size_t) n + i] = AGG_GQL_NONE;
    }

    norder = 0;

    for (i = 0; i < n; i++) {
        if (!(v->used[i] & 2)) {
            agg_gql_try(agg_gql_walk_fragment(v, i, work, work + n,
                                              work + 2 * (size_t) n,
                                              work + 3 * (size_t) n,
                                              &norder));
        }
    }

    return AGG_OK;
}


/*
 * A depth-first search: "at" is the position of a fragment in "path", which has
 * the spreads on the way.  A fragment is added to the order after all that it
 * spreads.
 */

static agg_rc_e
agg_gql_walk_fragment(agg_gql_validation_t *v, uint32_t root,
    uint32_t *stack, uint32_t *next, uint32_t *path, uint32_t *at,
    uint32_t *norder)
{
    uint32_t            n, f, target;
    agg_gql_spreads_t  *of;

    stack[0] = root;
    next[0] = 0;
    at[root] = 0;
    v->used[root] |= 2;
    n = 1;

    while (n != 0) {
        f = stack[n - 1];
        of = &v->of_fragment[f];

        if (next[n - 1] == of->n) {
            at[f] = AGG_GQL_NONE;
            v->order[(*norder)++] = f;
            n--;
            continue;
        }

        path[n - 1] = v->spreads[of->first + next[n - 1]++];
        target = v->doc->selections[path[n - 1]].fragment;

        if (target == AGG_GQL_NONE) {
            continue;
        }

        if (at[target] != AGG_GQL_NONE) {
            v->cyclic = 1;
            agg_gql_try(agg_gql_report_cycle(v, root, path + at[target],
                                             n - at[target]));

        } else if (!(v->used[target] & 2)) {
            v->used[target] |= 2;
            at[target] = n;
            stack[n] = target;
            next[n++] = 0;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_report_cycle(agg_gql_validation_t *v, uint32_t root,
    const uint32_t *path, uint32_t n)
{
    uint64_t    key;
    uint32_t    i, *places;
    agg_buf_t   b;
    agg_str_t   via;

    key = agg_gql_key_enter(&v->check, v->doc->fragments[root].offset,
                            AGG_GQL_RULE_CYCLES);

    if (!agg_gql_wanted(&v->check, key)) {
        return AGG_OK;
    }

    places = agg_gql_scratch(&v->check, n);
    if (places == NULL) {
        return AGG_NOMEM;
    }

    agg_buf_init(&b, v->mem, 1 << 16);

    for (i = 0; i < n; i++) {
        places[i] = v->doc->selections[path[i]].offset;

        if (i + 1 < n && agg_buf_used(&b) < 4096) {
            agg_gql_try(agg_gql_put(&b, (i == 0) ? " via \"%V\"" : ", \"%V\"",
                                    &v->doc->selections[path[i]].name));
        }
    }

    via.data = b.start;
    via.len = agg_buf_used(&b);

    return agg_gql_report(&v->check, key, places, n,
                          "Cannot spread fragment \"%V\" within itself%W.",
                          &v->doc->selections[path[n - 1]].name, &via);
}


static agg_rc_e
agg_gql_find_unused(agg_gql_validation_t *v)
{
    uint32_t             i, k, n, f, *queue;
    agg_gql_doc_t       *doc;
    agg_gql_spreads_t   *of;

    doc = v->doc;

    queue = agg_gql_scratch(&v->check, doc->nfragments + 1);
    if (queue == NULL) {
        return AGG_NOMEM;
    }

    n = 0;

    for (i = 0; i < doc->noperations; i++) {
        of = &v->of_operation[i];

        for (k = 0; k < of->n; k++) {
            f = doc->selections[v->spreads[of->first + k]].fragment;

            if (f != AGG_GQL_NONE && !(v->used[f] & 1)) {
                v->used[f] |= 1;
                queue[n++] = f;
            }
        }
    }

    for (i = 0; i < n; i++) {
        of = &v->of_fragment[queue[i]];

        for (k = 0; k < of->n; k++) {
            f = doc->selections[v->spreads[of->first + k]].fragment;

            if (f != AGG_GQL_NONE && !(v->used[f] & 1)) {
                v->used[f] |= 1;
                queue[n++] = f;
            }
        }
    }

    for (i = 0; i < doc->nfragments; i++) {

        if (v->used[i] & 1) {
            continue;
        }

        /* fragments with the same name are used or unused together */

        f = agg_gql_fragment(v, &doc->fragments[i].name);

        if (v->used[f] & 1) {
            continue;
        }

        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_leave(&v->check, doc->source->text.len + 1,
                                          AGG_GQL_RULE_UNUSED_FRAGMENTS),
                        &doc->fragments[i].offset, 1,
                        "Fragment \"%V\" is never used.",
                        &doc->fragments[i].name));
    }

    return AGG_OK;
}


agg_rc_e
agg_gql_validate_limits(agg_gql_validation_t *v)
{
    uint32_t                 i, offset;
    agg_gql_size_t           size;
    agg_gql_doc_t           *doc;
    const agg_gql_limits_t  *l;

    static const agg_gql_limits_t  none = { 0, 0, 0, 0, 0 };

    doc = v->doc;
    l = (v->limits != NULL) ? v->limits : &none;
    offset = (doc->noperations != 0) ? doc->operations[0].offset : 0;

    if (l->max_aliases != 0 && doc->naliases > l->max_aliases) {
        return agg_gql_limit(v->errors, doc->source, offset, "max_aliases",
                             l->max_aliases);
    }

    /* a fragment that spreads itself has no size, but is refused anyway */

    if (v->cyclic) {
        return AGG_OK;
    }

    for (i = 0; i < doc->nfragments; i++) {
        agg_gql_try(agg_gql_measure(v, doc->fragments[v->order[i]].first,
                              doc->fragments[v->order[i]].selection_end,
                              &v->sizes[v->order[i]]));
    }

    for (i = 0; i < doc->noperations; i++) {
        offset = doc->operations[i].offset;

        agg_gql_try(agg_gql_measure(v, doc->operations[i].first,
                                    doc->operations[i].selection_end, &size));

        doc->operations[i].nroots = size.roots;
        doc->nexpanded = agg_gql_sum(doc->nexpanded, size.selections);

        if (l->max_depth != 0 && size.depth > l->max_depth) {
            return agg_gql_limit(v->errors, doc->source, offset, "max_depth",
                                 l->max_depth);
        }

        if (l->max_root_fields != 0 && size.roots > l->max_root_fields) {
            return agg_gql_limit(v->errors, doc->source, offset,
                                 "max_root_fields", l->max_root_fields);
        }

        if (l->max_selections != 0 && doc->nexpanded > l->max_selections) {
            return agg_gql_limit(v->errors, doc->source, offset,
                                 "max_selections", l->max_selections);
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_measure(agg_gql_validation_t *v, uint32_t first, uint32_t end,
    agg_gql_size_t *size)
{
    uint32_t              id, *depth, above, n;
    agg_gql_size_t       *of;
    agg_gql_selection_t  *sel;

    depth = agg_gql_scratch(&v->check, end - first);
    if (depth == NULL) {
        return AGG_NOMEM;
    }

    memset(size, 0, sizeof(agg_gql_size_t));

    for (id = first; id < end; id++) {
        sel = &v->doc->selections[id];

        above = (sel->parent == AGG_GQL_NONE) ? 0 : depth[sel->parent - first];
        n = above + (sel->kind == AGG_GQL_FIELD);
        depth[id - first] = n;

        size->selections = agg_gql_sum(size->selections,
                                       (sel->kind == AGG_GQL_FIELD));
        size->roots = agg_gql_sum(size->roots,
                                  (sel->kind == AGG_GQL_FIELD && above == 0));

        if (sel->kind == AGG_GQL_SPREAD && sel->fragment != AGG_GQL_NONE) {
            of = &v->sizes[sel->fragment];
            n = agg_gql_sum(n, of->depth);

            size->selections = agg_gql_sum(size->selections, of->selections);

            if (above == 0) {
                size->roots = agg_gql_sum(size->roots, of->roots);
            }
        }

        if (n > size->depth) {
            size->depth = n;
        }
    }

    return AGG_OK;
}
