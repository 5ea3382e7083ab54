
/* The executor: creates sites, starts their calls, and handles the results. */


#include "agg_gql_exec.h"
#include "gw_siphash.h"


/* the least number of bytes of an object with a field in the answer */

#define AGG_GQL_OBJECT_CHARGE  8


static agg_rc_e agg_gql_exec_root(agg_gql_exec_t *e);
static agg_rc_e agg_gql_exec_next_root(agg_gql_exec_t *e);
static agg_rc_e agg_gql_exec_queue(agg_gql_exec_t *e);
static agg_rc_e agg_gql_exec_batches(agg_gql_exec_t *e, unsigned *started);
static int agg_gql_batch_is_due(agg_gql_exec_t *e,
    const agg_gql_state_t *state);
static agg_rc_e agg_gql_site_create(agg_gql_exec_t *e, agg_gql_node_t *node,
    agg_gql_object_t *object, const agg_gql_frame_t *f,
    agg_gql_site_t ***last);
static agg_rc_e agg_gql_state(agg_gql_exec_t *e, agg_gql_node_t *node,
    agg_gql_state_t **state);
static agg_rc_e agg_gql_call_select(agg_gql_exec_t *e, agg_gql_call_t *call);
static void agg_gql_call_limit(agg_str_t *value, unsigned long limit,
    agg_rc_e *rc, agg_mem_t *mem);
static int agg_gql_leads_on(agg_gql_exec_t *e, const agg_gql_node_t *node);
static agg_rc_e agg_gql_exec_walk(agg_gql_exec_t *e, agg_gql_node_t *node,
    const agg_str_t *value, agg_gql_item_t *items, agg_gql_object_t *parent,
    agg_gql_site_t ***last);
static agg_rc_e agg_gql_walk_enter(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_node_t *node, agg_gql_wraps_t wraps, const agg_str_t *value,
    agg_gql_object_t *parent);
static agg_rc_e agg_gql_walk_object(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_site_t ***last);


static const agg_str_t  agg_gql_nothing = { 2, (u_char *) "{}" };
static const agg_str_t  agg_gql_null = { 4, (u_char *) "null" };


agg_rc_e
agg_gql_exec_start(agg_gql_exec_t *e)
{
    agg_rc_e                    rc;
    const agg_gql_operation_t  *operation;

    operation = &e->plan->doc->operations[e->plan->operation];

    e->mutation = (operation->kind == AGG_GQL_MUTATION);
    e->object.set = e->plan->root;
    e->object.value = agg_gql_nothing;
    e->sites_last = &e->sites;
    e->queue_last = &e->queue;

    agg_buf_init(&e->out, e->mem, e->max);
    agg_buf_init(&e->errors, e->mem, e->max);

    agg_gql_arena_init(&e->arena, e->mem);

    rc = e->mutation ? AGG_OK : agg_gql_exec_root(e);

    return (rc == AGG_OK) ? agg_gql_exec_run(e) : rc;
}


static agg_rc_e
agg_gql_exec_root(agg_gql_exec_t *e)
{
    uint32_t  i;
    agg_rc_e  rc;

    for (i = 0; i < e->plan->root->nnodes; i++) {
        e->root = i;
        rc = agg_gql_exec_next_root(e);

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_exec_next_root(agg_gql_exec_t *e)
{
    agg_gql_node_t  *node;

    node = &e->plan->root->nodes[e->root++];

    if (!node->live) {
        return AGG_OK;
    }

    if (node->fetch != AGG_GQL_NONE) {
        return agg_gql_site_create(e, node, &e->object, NULL, &e->sites_last);
    }

    if (!node->root || !agg_gql_node_allowed(e, node)) {
        return e->rc;
    }

    return agg_gql_exec_walk(e, node, &e->object.value, NULL, &e->object,
                             &e->sites_last);
}


agg_rc_e
agg_gql_exec_run(agg_gql_exec_t *e)
{
    agg_rc_e  rc;
    unsigned  started;

    for ( ;; ) {
        rc = agg_gql_exec_queue(e);
        if (rc != AGG_OK) {
            return rc;
        }

        rc = agg_gql_exec_batches(e, &started);
        if (rc != AGG_OK) {
            return rc;
        }

        if (started || e->queue != NULL) {
            continue;
        }

        if (e->pending != 0 || !e->mutation
            || e->root == e->plan->root->nnodes)
        {
            return AGG_OK;
        }

        /* a field of a mutation does not use results of earlier ones */

        e->table = NULL;
        e->ncalls = 0;

        rc = agg_gql_exec_next_root(e);
        if (rc != AGG_OK) {
            return rc;
        }
    }
}


static agg_rc_e
agg_gql_exec_queue(agg_gql_exec_t *e)
{
    agg_rc_e         rc;
    agg_gql_site_t  *site;

    while (e->queue != NULL) {
        site = e->queue;
        e->queue = site->same;

        if (e->queue == NULL) {
            e->queue_last = &e->queue;
        }

        site->same = NULL;

        rc = agg_gql_call_site(e, site);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_exec_batches(agg_gql_exec_t *e, unsigned *started)
{
    uint32_t          i;
    agg_rc_e          rc;
    agg_gql_state_t  *state;

    *started = 0;

    for (i = 0; i < e->nbatches; /* void */ ) {
        state = e->batches[i];

        if (!agg_gql_batch_is_due(e, state)) {
            i++;
            continue;
        }

        e->batches[i] = e->batches[--e->nbatches];
        state->batched = 0;
        *started = 1;

        rc = agg_gql_batch_start(e, state);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


/* whether no enclosing site can add objects to the batch any more */

static int
agg_gql_batch_is_due(agg_gql_exec_t *e, const agg_gql_state_t *state)
{
    agg_gql_node_t   *node;
    agg_gql_state_t  *above;

    for (node = state->node->above; node != NULL; node = node->above) {

        above = (node->fetch < e->nstates) ? e->states[node->fetch] : NULL;

        if (above != NULL && above->pending != 0) {
            return 0;
        }
    }

    return 1;
}


/* f is the frame of the object, with its members */

static agg_rc_e
agg_gql_site_create(agg_gql_exec_t *e, agg_gql_node_t *node,
    agg_gql_object_t *object, const agg_gql_frame_t *f,
    agg_gql_site_t ***last)
{
    agg_rc_e          rc;
    agg_gql_site_t   *site;
    agg_gql_state_t  *state;

    /* counts the least number of bytes that the object takes in the answer */

    e->charged += node->key.len + 5;

    if (e->charged > e->max) {
        return AGG_TOO_LARGE;
    }

    rc = agg_gql_state(e, node, &state);
    if (rc != AGG_OK) {
        return rc;
    }

    site = e->mem->alloc(e->mem->ctx, sizeof(agg_gql_site_t));
    if (site == NULL) {
        return AGG_NOMEM;
    }

    memset(site, 0, sizeof(agg_gql_site_t));

    site->node = node;
    site->object = object;

    **last = site;
    *last = &site->next;

    if (!agg_gql_node_allowed(e, node)) {
        site->state = AGG_GQL_SITE_FORBIDDEN;
        return e->rc;
    }

    rc = agg_gql_call_args(e, state);
    if (rc != AGG_OK) {
        return rc;
    }

    if (state->args_failed) {
        site->state = AGG_GQL_SITE_BAD_ARGUMENT;
        return AGG_OK;
    }

    e->pending++;
    state->pending++;

    if (f != NULL && node->binding->key != NULL
        && !agg_gql_node_value(node, &f->value, e->values + f->values,
                               &site->raw))
    {
        site->raw.data = NULL;
    }

    if (!node->binding->rest->batch || state->args_large) {
        *e->queue_last = site;
        e->queue_last = &site->same;
        return AGG_OK;
    }

    if (!state->batched) {

        if (e->nbatches == e->max_batches) {
            e->batches = e->mem->grow(e->mem->ctx, e->batches, e->nbatches
                                      * sizeof(agg_gql_state_t *),
                                      (2 * e->nbatches + 8)
                                      * sizeof(agg_gql_state_t *));
            if (e->batches == NULL) {
                return AGG_NOMEM;
            }

            e->max_batches = 2 * e->nbatches + 8;
        }

        e->batches[e->nbatches++] = state;

        state->batched = 1;
        state->batch = NULL;
        state->batch_last = &state->batch;
    }

    *state->batch_last = site;
    state->batch_last = &site->same;

    return AGG_OK;
}


static agg_rc_e
agg_gql_state(agg_gql_exec_t *e, agg_gql_node_t *node,
    agg_gql_state_t **found)
{
    uint32_t          n;
    agg_gql_state_t  *state, **states;

    if (node->fetch >= e->nstates) {

        n = e->plan->nfetches;

        states = e->mem->grow(e->mem->ctx, e->states,
                              e->nstates * sizeof(agg_gql_state_t *),
                              n * sizeof(agg_gql_state_t *));
        if (states == NULL) {
            return AGG_NOMEM;
        }

        memset(states + e->nstates, 0,
               (n - e->nstates) * sizeof(agg_gql_state_t *));

        e->states = states;
        e->nstates = n;
    }

    state = e->states[node->fetch];

    if (state == NULL) {
        state = e->mem->alloc(e->mem->ctx, sizeof(agg_gql_state_t));
        if (state == NULL) {
            return AGG_NOMEM;
        }

        memset(state, 0, sizeof(agg_gql_state_t));

        state->node = node;
        state->calls_last = &state->calls;

        e->states[node->fetch] = state;
    }

    *found = state;

    return AGG_OK;
}


int
agg_gql_allowed(agg_gql_exec_t *e, const agg_gql_binding_t *binding)
{
    agg_str_t  value;

    if (binding == NULL || binding->allow == AGG_GQL_NO_VARIABLE) {
        return 1;
    }

    if (e->env.variable(e->env.ctx, binding->allow, &value) != AGG_OK) {
        e->rc = AGG_NOMEM;
        return 0;
    }

    return value.len != 0 && !(value.len == 1 && value.data[0] == '0');
}


int
agg_gql_node_allowed(agg_gql_exec_t *e, const agg_gql_node_t *node)
{
    /* an operation begins in its root type, whose @allow is for all fields */

    return agg_gql_allowed(e, node->binding)
           && (node->set != e->plan->root
               || agg_gql_allowed(e, node->set->type->data))
           && (node->kind != AGG_GQL_NODE_OBJECT
               || agg_gql_allowed(e, node->type->data));
}


agg_rc_e
agg_gql_exec_result(agg_gql_exec_t *e, agg_gql_call_t *call)
{
    agg_rc_e         rc;
    agg_gql_site_t  *site, *next;

    if (call->done) {
        return AGG_OK;
    }

    call->done = 1;

    agg_gql_call_judge(call);

    if (!call->failed && !call->null && !call->selected) {
        rc = agg_gql_call_select(e, call);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    if (call->failed) {
        call->state->failed = 1;
    }

    if (call->keys != NULL) {
        rc = agg_gql_batch_result(e, call);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    for (site = call->sites; site != NULL; site = next) {
        next = site->same;

        rc = agg_gql_site_ended(e, site);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


/* applies select and limit to a result */

static agg_rc_e
agg_gql_call_select(agg_gql_exec_t *e, agg_gql_call_t *call)
{
    size_t                    i;
    agg_rc_e                  rc;
    agg_str_t                 value, text;
    unsigned long             limit, n;
    const agg_gql_binding_t  *binding;

    binding = call->binding;

    agg_json_trim(&call->value);

    if (binding->select != NULL) {

        if (!agg_gql_path(binding->select, &call->value, &value)) {
            value = (binding->rest->default_json.text.data != NULL)
                    ? binding->rest->default_json.text : agg_gql_null;
        }

        call->value = value;
    }

    limit = binding->limit;

    if (binding->limit_variable != AGG_GQL_NO_VARIABLE) {

        if (e->env.variable(e->env.ctx, binding->limit_variable, &text)
            != AGG_OK)
        {
            return AGG_NOMEM;
        }

        n = (text.len == 0) ? limit : 0;

        for (i = 0; i < text.len; i++) {

            if (text.data[i] < '0' || text.data[i] > '9' || n > limit) {
                n = limit;
                break;
            }

            n = n * 10 + (text.data[i] - '0');
        }

        if (n < limit) {
            limit = n;
        }

    } else if (limit == 0) {
        return AGG_OK;
    }

    rc = AGG_OK;

    if (agg_json_kind(&call->value) == AGG_ARRAY) {
        agg_gql_call_limit(&call->value, limit, &rc, e->mem);
    }

    return rc;
}


/* the beginning is copied, as the array gets another end */

static void
agg_gql_call_limit(agg_str_t *value, unsigned long limit, agg_rc_e *rc,
    agg_mem_t *mem)
{
    size_t         len;
    u_char        *p;
    agg_iter_t     it;
    unsigned long  n;

    agg_iter_init(&it, value);

    len = 1;

    for (n = 0; n < limit; n++) {

        if (!agg_iter_next(&it)) {
            return;
        }

        len = (size_t) (it.value.data - value->data) + it.value.len;
    }

    p = mem->alloc(mem->ctx, len + 1);
    if (p == NULL) {
        *rc = AGG_NOMEM;
        return;
    }

    memcpy(p, value->data, len);
    p[len] = ']';

    value->data = p;
    value->len = len + 1;
}


agg_rc_e
agg_gql_site_ended(agg_gql_exec_t *e, agg_gql_site_t *site)
{
    agg_rc_e          rc;
    agg_gql_call_t   *call;
    agg_gql_item_t   *items;
    agg_gql_site_t  **last;

    call = site->call;
    items = NULL;

    e->pending--;
    e->states[site->node->fetch]->pending--;

    if (call == NULL) {

        /* the site belongs to a batch, but has no key */

        site->state = AGG_GQL_SITE_LIST;
        return AGG_OK;
    }

    if (call->failed && call->binding->rest->default_json.text.data == NULL) {
        site->state = AGG_GQL_SITE_FAILED;
        return AGG_OK;
    }

    if (site->state == AGG_GQL_SITE_INVALID) {
        return AGG_OK;
    }

    call->used = 1;

    if (site->key == NULL || call->failed || call->null) {
        site->state = AGG_GQL_SITE_VALUE;
        site->value = call->value;

    } else {
        site->state = AGG_GQL_SITE_LIST;
        items = site->key->items;

        if (items == NULL) {
            return AGG_OK;
        }

        if (!agg_gql_is_list(site->node->wraps)) {
            site->state = AGG_GQL_SITE_VALUE;
            site->value = items->value;
            items = NULL;
        }
    }

    if (!agg_gql_leads_on(e, site->node)) {
        return AGG_OK;
    }

    rc = agg_gql_exec_walked(e, &site->value, items);
    if (rc != AGG_OK) {
        return rc;
    }

    last = &site->sites;

    return agg_gql_exec_walk(e, site->node, &site->value, items, site->object,
                             &last);
}


/* whether a call may be needed below the objects of a field */

static int
agg_gql_leads_on(agg_gql_exec_t *e, const agg_gql_node_t *node)
{
    switch (node->kind) {

    case AGG_GQL_NODE_OBJECT:
        return node->sets->live;

    case AGG_GQL_NODE_ABSTRACT:
        return e->plan->reaches[node->type->id];

    default:
        return 0;
    }
}


/*
 * Looks for sites below a value, or in a list of items.  Values of the wrong
 * type are left to the writer.
 */

static agg_rc_e
agg_gql_exec_walk(agg_gql_exec_t *e, agg_gql_node_t *node,
    const agg_str_t *value, agg_gql_item_t *items, agg_gql_object_t *parent,
    agg_gql_site_t ***last)
{
    agg_rc_e          rc;
    uint32_t          depth;
    agg_str_t         element;
    agg_gql_frame_t  *f;

    depth = 0;

    if (items != NULL) {
        rc = agg_gql_exec_frames(e, 1);
        if (rc != AGG_OK) {
            return rc;
        }

        f = &e->frames[depth++];

        memset(f, 0, sizeof(agg_gql_frame_t));

        f->node = node;
        f->list = 1;
        f->items = 1;
        f->item = items;
        f->object = parent;
        f->wraps = agg_gql_inner(agg_gql_nullable(node->wraps));

    } else {
        rc = agg_gql_walk_enter(e, &depth, node, node->wraps, value, parent);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    while (depth != 0) {
        f = &e->frames[depth - 1];

        if (!f->list) {
            rc = agg_gql_walk_object(e, &depth, last);

        } else if (f->items) {

            if (f->item == NULL) {
                depth--;
                continue;
            }

            element = f->item->value;
            f->item = f->item->next;

            rc = agg_gql_walk_enter(e, &depth, f->node, f->wraps, &element,
                                    f->object);

        } else {

            if (!agg_gql_next_element(&f->pos, f->end)) {
                depth--;
                continue;
            }

            element.data = (u_char *) f->pos;
            f->pos = agg_gql_value_end(f->pos, f->end);
            element.len = (size_t) (f->pos - element.data);

            rc = agg_gql_walk_enter(e, &depth, f->node, f->wraps, &element,
                                    f->object);
        }

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_walk_enter(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps, const agg_str_t *value, agg_gql_object_t *parent)
{
    agg_rc_e               rc;
    agg_kind_e             kind;
    agg_gql_set_t         *set;
    agg_gql_frame_t       *f;
    const agg_gql_type_t  *type;

    wraps = agg_gql_nullable(wraps);
    kind = agg_json_kind(value);

    if (kind != ((agg_gql_outer(wraps) == AGG_GQL_IS_LIST) ? AGG_ARRAY
                                                           : AGG_OBJECT))
    {
        return AGG_OK;
    }

    rc = agg_gql_exec_frames(e, *depth + 1);
    if (rc != AGG_OK) {
        return rc;
    }

    if (kind == AGG_ARRAY) {
        f = &e->frames[(*depth)++];

        memset(f, 0, sizeof(agg_gql_frame_t));

        f->node = node;
        f->list = 1;
        f->object = parent;
        f->wraps = agg_gql_inner(wraps);
        f->values = agg_gql_exec_base(e, *depth - 1);
        f->pos = value->data + 1;
        f->end = value->data + value->len;

        return AGG_OK;
    }

    type = node->type;

    if (node->kind == AGG_GQL_NODE_ABSTRACT) {
        type = agg_gql_object_type(type, value);

        if (type == NULL || !agg_gql_allowed(e, type->data)) {
            return e->rc;
        }
    }

    rc = agg_gql_plan_set(e->plan, node, type, e->variables, &set);
    if (rc != AGG_OK || !set->live) {
        return rc;
    }

    f = &e->frames[*depth];

    memset(f, 0, sizeof(agg_gql_frame_t));

    f->node = node;
    f->set = set;
    f->value = *value;
    f->values = agg_gql_exec_base(e, *depth);

    rc = agg_gql_exec_values(e, f->values + set->nmembers);
    if (rc != AGG_OK) {
        return rc;
    }

    e->charged += AGG_GQL_OBJECT_CHARGE;

    if (e->charged > e->max) {
        return AGG_TOO_LARGE;
    }

    f->object = e->mem->alloc(e->mem->ctx, sizeof(agg_gql_object_t));
    if (f->object == NULL) {
        return AGG_NOMEM;
    }

    f->object->set = set;
    f->object->value = *value;
    f->object->parent = parent;

    (void) agg_gql_object_read(set, value->data, value->data + value->len,
                               e->values + f->values);

    (*depth)++;

    return AGG_OK;
}


/* continues with the next field of the object */

static agg_rc_e
agg_gql_walk_object(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_site_t ***last)
{
    agg_rc_e          rc;
    agg_str_t         value;
    agg_gql_node_t   *node;
    agg_gql_frame_t  *f;

    f = &e->frames[*depth - 1];

    while (f->index < f->set->nnodes) {
        node = &f->set->nodes[f->index++];

        if (!node->live) {
            continue;
        }

        if (node->fetch != AGG_GQL_NONE) {
            rc = agg_gql_site_create(e, node, f->object, f, last);
            if (rc != AGG_OK) {
                return rc;
            }

            continue;
        }

        if (!agg_gql_node_allowed(e, node)) {

            if (e->rc != AGG_OK) {
                return e->rc;
            }

            continue;
        }

        if (agg_gql_node_value(node, &f->value, e->values + f->values,
                               &value))
        {
            return agg_gql_walk_enter(e, depth, node, node->wraps, &value,
                                      f->object);
        }
    }

    (*depth)--;

    return AGG_OK;
}


/*
 * the type of an object by @discriminate; NULL: it is none of the possible ones
 */

const agg_gql_type_t *
agg_gql_object_type(const agg_gql_type_t *declared, const agg_str_t *object)
{
    size_t                         n;
    unsigned                       i;
    agg_str_t                      value, raw;
    const agg_gql_discriminate_t  *d;

    d = declared->discriminate;

    if (d == NULL || agg_path_get(d->by, object, &value) != AGG_OK) {
        return NULL;
    }

    n = value.len;

    switch (agg_json_kind(&value)) {

    case AGG_STRING:
        raw.data = value.data + 1;
        raw.len = n - 2;
        break;

    case AGG_NUMBER:
    case AGG_TRUE:
    case AGG_FALSE:
        raw = value;
        break;

    default:
        return NULL;
    }

    for (i = 0; i < d->nmap; i++) {
        if (agg_json_name_equal(&raw, &d->map[i].value)) {
            return d->map[i].type;
        }
    }

    return NULL;
}


agg_rc_e
agg_gql_exec_walked(agg_gql_exec_t *e, const agg_str_t *value,
    const agg_gql_item_t *items)
{
    if (items == NULL) {
        e->walked += value->len;
    }

    for ( /* void */ ; items != NULL; items = items->next) {
        e->walked += items->value.len;
    }

    return (e->walked > AGG_GQL_MAX_WALKED) ? AGG_TOO_LARGE : AGG_OK;
}


uint32_t
agg_gql_exec_hash(const agg_gql_exec_t *e, const agg_str_t *s)
{
    uint64_t  hash;

    if (s->len == 0) {
        return 0;
    }

    hash = gw_siphash(e->hash_key, s->data, s->len);

    return (uint32_t) (hash ^ hash >> 32);
}


/* the index of the first value of a frame at this depth */

uint32_t
agg_gql_exec_base(const agg_gql_exec_t *e, uint32_t depth)
{
    const agg_gql_frame_t  *f;

    if (depth == 0) {
        return 0;
    }

    f = &e->frames[depth - 1];

    return f->list ? f->values : f->values + f->set->nmembers;
}


agg_rc_e
agg_gql_exec_frames(agg_gql_exec_t *e, uint32_t n)
{
    agg_gql_frame_t  *frames;

    if (n <= e->max_frames) {
        return AGG_OK;
    }

    frames = e->mem->grow(e->mem->ctx, e->frames,
                          e->max_frames * sizeof(agg_gql_frame_t),
                          (2 * n + 8) * sizeof(agg_gql_frame_t));
    if (frames == NULL) {
        return AGG_NOMEM;
    }

    e->frames = frames;
    e->max_frames = 2 * n + 8;

    return AGG_OK;
}


agg_rc_e
agg_gql_exec_values(agg_gql_exec_t *e, uint32_t n)
{
    agg_str_t  *values;

    if (n < e->max_values) {
        return AGG_OK;
    }

    values = e->mem->grow(e->mem->ctx, e->values,
                          e->max_values * sizeof(agg_str_t),
                          (2 * n + 32) * sizeof(agg_str_t));
    if (values == NULL) {
        return AGG_NOMEM;
    }

    e->values = values;
    e->max_values = 2 * n + 32;

    return AGG_OK;
}
