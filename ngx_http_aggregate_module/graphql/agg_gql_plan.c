
/*
 * Plans: selections are collected one set at a time; sets with objects below
 * them are queued.
 */


#include "agg_gql_plan.h"
#include "agg_block.h"


/* the most fetches of a plan that are compared with each other */

#define AGG_GQL_MAX_COMPARED  32


static agg_rc_e agg_gql_plan_drain(agg_gql_plan_t *plan,
    const agg_str_t *values);
static agg_rc_e agg_gql_collect(agg_gql_plan_t *plan, agg_gql_set_t *set,
    const uint32_t *selections, uint32_t n, const agg_str_t *values);
static agg_rc_e agg_gql_collect_from(agg_gql_plan_t *plan,
    const agg_gql_type_t *type, uint32_t first, const agg_str_t *values);
static agg_rc_e agg_gql_grow(agg_gql_plan_t *plan, uint32_t **list,
    uint32_t *max, uint32_t n);
static agg_rc_e agg_gql_group(agg_gql_plan_t *plan, agg_gql_set_t *set);
static void agg_gql_plan_alone(agg_gql_plan_t *plan);
static int agg_gql_may_share(const agg_gql_binding_t *a,
    const agg_gql_binding_t *b);
static agg_rc_e agg_gql_node(agg_gql_plan_t *plan, agg_gql_set_t *set,
    agg_gql_node_t *node, const agg_gql_selection_t *selection);
static agg_rc_e agg_gql_node_fetch(agg_gql_plan_t *plan,
    agg_gql_node_t *node);
static void agg_gql_node_live(agg_gql_node_t *node);


static const agg_str_t  agg_gql_skip = { 4, (u_char *) "skip" };
static const agg_str_t  agg_gql_include = { 7, (u_char *) "include" };


unsigned
agg_gql_conditions(const agg_gql_doc_t *doc, uint32_t operation,
    uint32_t *conditions)
{
    unsigned                    k, n;
    uint32_t                    i, variable;
    const agg_gql_value_t      *value;
    const agg_gql_applied_t    *applied;

    n = 0;

    for (i = 0; i < doc->napplied; i++) {
        applied = &doc->applied[i];

        if ((!agg_gql_equal(&applied->name, &agg_gql_skip)
             && !agg_gql_equal(&applied->name, &agg_gql_include))
            || applied->arg == AGG_GQL_NONE)
        {
            continue;
        }

        value = &doc->values[doc->args[applied->arg].value];

        if (value->kind != AGG_GQL_VARIABLE) {
            continue;
        }

        variable = agg_gql_variable(doc, operation, &value->text);

        if (variable == AGG_GQL_NONE) {
            continue;
        }

        for (k = 0; k < n && conditions[k] != variable; k++) { /* void */ }

        if (k < n) {
            continue;
        }

        if (n == AGG_GQL_MAX_CONDITIONS) {
            return AGG_GQL_MAX_CONDITIONS + 1;
        }

        conditions[n++] = variable;
    }

    return n;
}


uint64_t
agg_gql_mask(const agg_str_t *values, const uint32_t *conditions, unsigned n)
{
    unsigned   i;
    uint64_t   mask;
    agg_str_t  value;

    mask = 0;

    for (i = 0; i < n; i++) {
        value = values[conditions[i]];

        if (value.data != NULL && agg_json_kind(&value) == AGG_TRUE) {
            mask |= (uint64_t) 1 << i;
        }
    }

    return mask;
}


agg_rc_e
agg_gql_plan(agg_gql_plan_t *plan, agg_mem_t *mem,
    const agg_gql_schema_t *schema, const u_char *reaches,
    const agg_gql_doc_t *doc, uint32_t operation, const agg_str_t *values)
{
    agg_rc_e        rc;
    agg_gql_set_t  *set;

    memset(plan, 0, sizeof(agg_gql_plan_t));

    plan->mem = mem;
    plan->schema = schema;
    plan->reaches = reaches;
    plan->doc = doc;
    plan->operation = operation;

    plan->seen = mem->alloc(mem->ctx,
                            (doc->nfragments + 1) * sizeof(uint32_t));
    set = mem->alloc(mem->ctx, sizeof(agg_gql_set_t));

    if (plan->seen == NULL || set == NULL) {
        return AGG_NOMEM;
    }

    memset(plan->seen, 0, (doc->nfragments + 1) * sizeof(uint32_t));
    memset(set, 0, sizeof(agg_gql_set_t));

    plan->root = set;

    set->type = doc->operations[operation].type;

    plan->nlist = 0;
    plan->round++;

    rc = agg_gql_collect_from(plan, set->type,
                              doc->operations[operation].first, values);

    if (rc == AGG_OK) {
        rc = agg_gql_group(plan, set);
    }

    if (rc != AGG_OK) {
        return rc;
    }

    plan->todo = set;

    rc = agg_gql_plan_drain(plan, values);

    if (rc == AGG_OK) {
        agg_gql_plan_alone(plan);
    }

    return rc;
}


/*
 * Marks fetches that no other field of the plan can share, so that their
 * results may be cut to the selected members as they arrive.  With too many
 * fetches, none is marked.
 */

static void
agg_gql_plan_alone(agg_gql_plan_t *plan)
{
    uint32_t  i, k;

    if (plan->grows || plan->nfetches > AGG_GQL_MAX_COMPARED) {
        return;
    }

    for (i = 0; i < plan->nfetches; i++) {

        for (k = 0; k < plan->nfetches; k++) {
            if (agg_gql_may_share(plan->fetches[i]->binding,
                                  plan->fetches[k]->binding))
            {
                break;
            }
        }

        plan->fetches[i]->alone = (k == plan->nfetches);
    }
}


/* whether two fields may have equal URIs: their templates begin alike */

static int
agg_gql_may_share(const agg_gql_binding_t *a, const agg_gql_binding_t *b)
{
    size_t  n;

    const agg_gql_piece_t  *p, *q;

    if (a == b || a->rest->method != b->rest->method) {
        return 0;
    }

    p = a->uri.pieces;
    q = b->uri.pieces;

    if (a->uri.npieces == 0 || p->kind != AGG_GQL_PIECE_TEXT
        || b->uri.npieces == 0 || q->kind != AGG_GQL_PIECE_TEXT)
    {
        return 1;
    }

    n = (p->piece.text.len < q->piece.text.len) ? p->piece.text.len
                                                : q->piece.text.len;

    return memcmp(p->piece.text.data, q->piece.text.data, n) == 0;
}


agg_rc_e
agg_gql_plan_set(agg_gql_plan_t *plan, agg_gql_node_t *node,
    const agg_gql_type_t *type, const agg_str_t *values, agg_gql_set_t **found)
{
    agg_rc_e        rc;
    agg_gql_set_t  *set;

    for (set = node->sets; set != NULL; set = set->next) {
        if (set->type == type) {
            *found = set;
            return AGG_OK;
        }
    }

    set = plan->mem->alloc(plan->mem->ctx, sizeof(agg_gql_set_t));
    if (set == NULL) {
        return AGG_NOMEM;
    }

    memset(set, 0, sizeof(agg_gql_set_t));

    set->type = type;
    set->node = node;

    rc = agg_gql_collect(plan, set, node->selections, node->nselections,
                         values);
    if (rc != AGG_OK) {
        return rc;
    }

    /* an incomplete set is not used again */

    plan->todo = set;

    rc = agg_gql_plan_drain(plan, values);
    if (rc != AGG_OK) {
        return rc;
    }

    set->next = node->sets;
    node->sets = set;

    *found = set;

    return AGG_OK;
}


/* completes the sets below objects; "next" links those that are queued */

static agg_rc_e
agg_gql_plan_drain(agg_gql_plan_t *plan, const agg_str_t *values)
{
    uint32_t         i;
    agg_rc_e         rc;
    agg_gql_set_t   *set, *below;
    agg_gql_node_t  *node;

    while (plan->todo != NULL) {
        set = plan->todo;
        plan->todo = set->next;
        set->next = NULL;

        for (i = 0; i < set->nnodes; i++) {
            node = &set->nodes[i];

            if (node->kind != AGG_GQL_NODE_OBJECT) {
                continue;
            }

            below = plan->mem->alloc(plan->mem->ctx, sizeof(agg_gql_set_t));
            if (below == NULL) {
                return AGG_NOMEM;
            }

            memset(below, 0, sizeof(agg_gql_set_t));

            below->type = node->type;
            below->node = node;
            node->sets = below;

            rc = agg_gql_collect(plan, below, node->selections,
                                 node->nselections, values);
            if (rc != AGG_OK) {
                return rc;
            }

            below->next = plan->todo;
            plan->todo = below;
        }
    }

    return AGG_OK;
}


/* collects the selections of n merged fields */

static agg_rc_e
agg_gql_collect(agg_gql_plan_t *plan, agg_gql_set_t *set,
    const uint32_t *selections, uint32_t n, const agg_str_t *values)
{
    uint32_t  i;
    agg_rc_e  rc;

    plan->nlist = 0;
    plan->round++;

    for (i = 0; i < n; i++) {
        rc = agg_gql_collect_from(plan, set->type,
                                  plan->doc->selections[selections[i]].first,
                                  values);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return agg_gql_group(plan, set);
}


static agg_rc_e
agg_gql_collect_from(agg_gql_plan_t *plan, const agg_gql_type_t *type,
    uint32_t first, const agg_str_t *values)
{
    uint32_t                    i, next, depth;
    agg_rc_e                    rc;
    const agg_gql_doc_t        *doc;
    const agg_gql_type_t       *on;
    const agg_gql_selection_t  *selection;

    doc = plan->doc;
    depth = 0;
    next = first;

    for ( ;; ) {

        if (next == AGG_GQL_NONE) {

            if (depth == 0) {
                return AGG_OK;
            }

            next = plan->stack[--depth];
            continue;
        }

        i = next;
        selection = &doc->selections[i];
        next = selection->next;

        if (selection->applied != AGG_GQL_NONE
            && !agg_gql_included(doc, plan->operation, values,
                                 selection->applied))
        {
            continue;
        }

        if (selection->kind == AGG_GQL_FIELD) {
            rc = agg_gql_grow(plan, &plan->list, &plan->max_list,
                              plan->nlist);
            if (rc != AGG_OK) {
                return rc;
            }

            plan->list[plan->nlist++] = i;
            continue;
        }

        if (selection->kind == AGG_GQL_SPREAD) {

            if (plan->seen[selection->fragment] == plan->round) {
                continue;
            }

            plan->seen[selection->fragment] = plan->round;
        }

        on = selection->inner;

        if (on != NULL && on != type && !agg_gql_is_possible(on, type)) {
            continue;
        }

        rc = agg_gql_grow(plan, &plan->stack, &plan->max_stack, depth);
        if (rc != AGG_OK) {
            return rc;
        }

        plan->stack[depth++] = next;

        next = (selection->kind == AGG_GQL_SPREAD)
               ? doc->fragments[selection->fragment].first
               : selection->first;
    }
}


/* makes room for one more after n */

static agg_rc_e
agg_gql_grow(agg_gql_plan_t *plan, uint32_t **list, uint32_t *max, uint32_t n)
{
    uint32_t  *p;

    if (n < *max) {
        return AGG_OK;
    }

    if (n >= AGG_GQL_MAX_NODES) {
        return AGG_TOO_LARGE;
    }

    p = plan->mem->grow(plan->mem->ctx, *list, n * sizeof(uint32_t),
                        (2 * n + 16) * sizeof(uint32_t));
    if (p == NULL) {
        return AGG_NOMEM;
    }

    *list = p;
    *max = 2 * n + 16;

    return AGG_OK;
}


/* fields of one response name become one node, at the place of the first */

static agg_rc_e
agg_gql_group(agg_gql_plan_t *plan, agg_gql_set_t *set)
{
    uint32_t                    i, k, n, nodes, mask, *table, *group;
    agg_rc_e                    rc;
    agg_mem_t                  *mem;
    const agg_gql_selection_t  *all, *selection;

    mem = plan->mem;
    all = plan->doc->selections;
    n = plan->nlist;

    plan->nnodes += n;

    if (plan->nnodes > AGG_GQL_MAX_NODES) {
        return AGG_TOO_LARGE;
    }

    for (mask = 4; mask < 2 * n; mask *= 2) { /* void */ }

    /*
     * allocates a table of nodes, the node of each selection, the merged lists
     */

    table = mem->alloc(mem->ctx, (mask + 2 * n + 1) * sizeof(uint32_t));
    if (table == NULL) {
        return AGG_NOMEM;
    }

    memset(table, 0xff, mask * sizeof(uint32_t));
    group = table + mask;
    mask--;

    nodes = 0;

    for (i = 0; i < n; i++) {
        selection = &all[plan->list[i]];

        for (k = agg_gql_name_hash(&selection->alias) & mask;
             table[k] != AGG_GQL_NONE;
             k = (k + 1) & mask)
        {
            if (agg_gql_equal(&all[plan->list[table[k]]].alias,
                              &selection->alias))
            {
                break;
            }
        }

        if (table[k] == AGG_GQL_NONE) {
            table[k] = i;
            group[i] = nodes++;

        } else {
            group[i] = group[table[k]];
        }
    }

    set->nodes = mem->alloc(mem->ctx, (nodes + 1) * sizeof(agg_gql_node_t));
    if (set->nodes == NULL) {
        return AGG_NOMEM;
    }

    memset(set->nodes, 0, (nodes + 1) * sizeof(agg_gql_node_t));
    set->nnodes = nodes;

    for (i = 0; i < n; i++) {
        set->nodes[group[i]].nselections++;
    }

    for (i = 0, k = 0; i < nodes; i++) {
        set->nodes[i].selections = group + n + k;
        k += set->nodes[i].nselections;
        set->nodes[i].nselections = 0;
    }

    for (i = 0; i < n; i++) {
        k = set->nodes[group[i]].nselections++;
        set->nodes[group[i]].selections[k] = plan->list[i];
    }

    for (i = 0; i < nodes; i++) {
        rc = agg_gql_node(plan, set, &set->nodes[i],
                          &all[set->nodes[i].selections[0]]);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return agg_gql_set_members(plan, set);
}


static agg_rc_e
agg_gql_node(agg_gql_plan_t *plan, agg_gql_set_t *set, agg_gql_node_t *node,
    const agg_gql_selection_t *selection)
{
    u_char                  *p;
    const agg_gql_field_t   *field;
    const agg_gql_schema_t  *schema;

    schema = plan->schema;

    field = selection->field;

    if (field->parent != set->type && field != schema->typename_field
        && field != schema->schema_field && field != schema->type_field)
    {
        field = agg_gql_field_by_name(schema, set->type, &selection->name);

        if (field == NULL) {
            field = selection->field;
        }
    }

    node->set = set;
    node->field = field;
    node->binding = field->data;
    node->type = field->type.type;
    node->wraps = field->type.wraps;
    node->name = selection->alias;
    node->fetch = AGG_GQL_NONE;
    node->member = AGG_GQL_NONE;

    p = plan->mem->alloc(plan->mem->ctx, node->name.len + 3 + AGG_BLOCK);
    if (p == NULL) {
        return AGG_NOMEM;
    }

    node->key.data = p;
    node->key.len = node->name.len + 3;

    *p++ = '"';
    memcpy(p, node->name.data, node->name.len);
    p += node->name.len;
    *p++ = '"';
    *p = ':';

    if (field == schema->typename_field) {
        node->kind = AGG_GQL_NODE_TYPENAME;
        return AGG_OK;
    }

    if (field == schema->schema_field || field == schema->type_field) {
        node->kind = AGG_GQL_NODE_META;
        return AGG_OK;
    }

    node->kind = agg_gql_is_leaf(node->type) ? AGG_GQL_NODE_LEAF
                 : (node->type->kind == AGG_GQL_OBJECT_TYPE)
                   ? AGG_GQL_NODE_OBJECT : AGG_GQL_NODE_ABSTRACT;

    node->above = (set->node == NULL) ? NULL
                  : (set->node->fetch != AGG_GQL_NONE) ? set->node
                                                       : set->node->above;

    if (node->binding != NULL && node->binding->rest != NULL) {
        return agg_gql_node_fetch(plan, node);
    }

    if (set->node == NULL && node->kind == AGG_GQL_NODE_OBJECT
        && !agg_gql_is_list(node->wraps))
    {
        node->root = 1;
    }

    if (node->kind == AGG_GQL_NODE_ABSTRACT
        && plan->reaches[node->type->id])
    {
        plan->grows = 1;
        agg_gql_node_live(node);
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_node_fetch(agg_gql_plan_t *plan, agg_gql_node_t *node)
{
    unsigned          i;
    uint32_t          arg;
    agg_gql_node_t  **fetches;

    if (plan->nfetches == plan->max_fetches) {
        fetches = plan->mem->grow(plan->mem->ctx, plan->fetches,
                            plan->nfetches * sizeof(agg_gql_node_t *),
                            (2 * plan->nfetches + 8)
                            * sizeof(agg_gql_node_t *));
        if (fetches == NULL) {
            return AGG_NOMEM;
        }

        plan->fetches = fetches;
        plan->max_fetches = 2 * plan->nfetches + 8;
    }

    node->fetch = plan->nfetches;
    plan->fetches[plan->nfetches++] = node;

    node->constant = 1;
    arg = plan->doc->selections[node->selections[0]].arg;

    for (i = 0; i < node->field->nargs; i++) {

        if (!agg_gql_argument_constant(plan->doc, arg,
                                       &node->field->args[i]))
        {
            node->constant = 0;
        }
    }

    agg_gql_node_live(node);

    return AGG_OK;
}


/* marks the node and all enclosing nodes as leading to a fetch */

static void
agg_gql_node_live(agg_gql_node_t *node)
{
    while (node != NULL && !node->live) {
        node->live = 1;
        node->set->live = 1;
        node = node->set->node;
    }
}


/* lines end with LF, CR LF or CR, as in the specification */

agg_gql_place_t
agg_gql_plan_place(agg_gql_plan_t *plan, uint32_t selection)
{
    u_char            c;
    uint32_t          i, from, to;
    agg_gql_place_t   place;
    const agg_str_t  *text;

    place.line = 0;
    place.column = 0;

    text = &plan->doc->source->text;
    to = plan->doc->selections[selection].offset;
    from = 0;

    if (plan->marks == NULL) {
        plan->marks = plan->mem->alloc(plan->mem->ctx,
                                       (text->len / AGG_GQL_MARK + 1)
                                       * sizeof(agg_gql_place_t));
        if (plan->marks == NULL) {
            return place;
        }

        to = (uint32_t) text->len;

    } else {
        from = to / AGG_GQL_MARK * AGG_GQL_MARK;
    }

    place.line = 1;
    place.column = 1;

    for ( ;; ) {

        if (from != 0 && to != text->len) {
            place = plan->marks[from / AGG_GQL_MARK];
        }

        for (i = from; i < to; i++) {

            if (i % AGG_GQL_MARK == 0 && to == text->len) {
                plan->marks[i / AGG_GQL_MARK] = place;
            }

            c = text->data[i];

            if (c == '\n' || c == '\r') {

                if (c != '\n' || i == 0 || text->data[i - 1] != '\r') {
                    place.line++;
                }

                place.column = 1;
                continue;
            }

            /* a character of four bytes counts as two units */

            place.column += ((c & 0xc0) != 0x80) + (c >= 0xf0);
        }

        if (to != text->len) {
            return place;
        }

        to = plan->doc->selections[selection].offset;
        from = to / AGG_GQL_MARK * AGG_GQL_MARK;
        place.line = 1;
        place.column = 1;
    }
}


agg_gql_node_t *
agg_gql_plan_next(const agg_gql_plan_t *plan, agg_gql_node_t *node)
{
    agg_gql_set_t  *set;

    if (node == NULL) {
        return plan->root->nnodes ? &plan->root->nodes[0] : NULL;
    }

    for (set = node->sets; set != NULL; set = set->next) {
        if (set->nnodes != 0) {
            return &set->nodes[0];
        }
    }

    for ( ;; ) {
        set = node->set;

        if (node + 1 < set->nodes + set->nnodes) {
            return node + 1;
        }

        for (set = set->next; set != NULL; set = set->next) {
            if (set->nnodes != 0) {
                return &set->nodes[0];
            }
        }

        node = node->set->node;

        if (node == NULL) {
            return NULL;
        }
    }
}
