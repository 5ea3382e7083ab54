
/*
 * The answer: a walk over the plan and the values that came, from which "data"
 * is written.  What is null where it may not be takes the output back to where
 * the nearest value began that may be null.
 */


#include "agg_gql_exec.h"


static agg_rc_e agg_gql_write_field(agg_gql_exec_t *e, uint32_t *depth);
static agg_rc_e agg_gql_write_again(agg_gql_exec_t *e,
    const agg_gql_memo_t *memo);
static agg_gql_memo_t *agg_gql_write_memo(agg_gql_site_t *site);
static agg_rc_e agg_gql_write_site(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_node_t *node);
static agg_gql_site_t *agg_gql_write_find(agg_gql_exec_t *e,
    const agg_gql_frame_t *f, const agg_gql_node_t *node);
static agg_rc_e agg_gql_write_element(agg_gql_exec_t *e, uint32_t *depth);
static agg_rc_e agg_gql_write_value(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_node_t *node, agg_gql_wraps_t wraps, const agg_str_t *value,
    agg_gql_site_t *site);
static agg_rc_e agg_gql_write_object(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_node_t *node, agg_gql_wraps_t wraps, const agg_str_t *value,
    agg_gql_site_t *site);
static agg_rc_e agg_gql_write_list(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_node_t *node, agg_gql_wraps_t wraps, const agg_str_t *value,
    agg_gql_site_t *site);
static agg_gql_frame_t *agg_gql_write_push(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_node_t *node, agg_gql_wraps_t wraps, agg_gql_site_t *site);
static void agg_gql_write_pop(agg_gql_exec_t *e, uint32_t *depth);
static agg_rc_e agg_gql_write_null(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_node_t *node, agg_gql_wraps_t wraps);
static agg_rc_e agg_gql_write_failed(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_node_t *node, agg_gql_wraps_t wraps, agg_gql_field_error_e error,
    const agg_gql_call_t *call);
static agg_rc_e agg_gql_write_nothing(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_wraps_t wraps);


#define agg_gql_try(expr)                                                    \
    do {                                                                     \
        agg_rc_e  try_rc_ = (expr);                                          \
                                                                             \
        if (try_rc_ != AGG_OK) {                                             \
            return try_rc_;                                                  \
        }                                                                    \
    } while (0)


static const agg_str_t  agg_gql_nothing = { 2, (u_char *) "{}" };


agg_rc_e
agg_gql_exec_write(agg_gql_exec_t *e)
{
    uint32_t          depth;
    agg_gql_frame_t  *f;

    agg_gql_try(agg_gql_exec_frames(e, 1));
    agg_gql_try(agg_gql_exec_values(e, e->plan->root->nmembers));

    agg_gql_set_read(e->plan->root, &e->object.value, e->values);

    depth = 1;
    f = &e->frames[0];

    memset(f, 0, sizeof(agg_gql_frame_t));

    f->set = e->plan->root;
    f->value = e->object.value;
    f->nullable = 1;

    e->cursor = e->sites;

    agg_gql_try(agg_buf_append(&e->out, "{", 1));

    while (depth != 0) {
        f = &e->frames[depth - 1];

        if (f->list) {
            agg_gql_try(agg_gql_write_element(e, &depth));

        } else if (f->index < f->set->nnodes) {
            agg_gql_try(agg_gql_write_field(e, &depth));

        } else {
            agg_gql_try(agg_buf_append(&e->out, "}", 1));
            agg_gql_write_pop(e, &depth);
        }

        if (e->rc != AGG_OK) {
            return e->rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_write_field(agg_gql_exec_t *e, uint32_t *depth)
{
    agg_str_t               value;
    agg_gql_node_t         *node;
    agg_gql_frame_t        *f;
    const agg_gql_type_t   *type;

    f = &e->frames[*depth - 1];
    node = &f->set->nodes[f->index];

    agg_gql_try(agg_buf_reserve(&e->out, node->key.len + 1));

    if (f->index++ != 0) {
        *e->out.pos++ = ',';
    }

    memcpy(e->out.pos, node->key.data, node->key.len);
    e->out.pos += node->key.len;

    switch (node->kind) {

    case AGG_GQL_NODE_TYPENAME:

        type = f->set->type;

        agg_gql_try(agg_buf_append(&e->out, "\"", 1));
        agg_gql_try(agg_buf_append(&e->out, type->name.data, type->name.len));

        return agg_buf_append(&e->out, "\"", 1);

    case AGG_GQL_NODE_META:

        return agg_gql_introspect(e->plan->schema, e->plan->doc,
                                  e->plan->operation, e->variables,
                                  node->selections, node->nselections, e->mem,
                                  &e->out);

    default:
        break;
    }

    if (node->fetch != AGG_GQL_NONE) {
        return agg_gql_write_site(e, depth, node);
    }

    if (!agg_gql_node_allowed(e, node)) {
        return agg_gql_write_failed(e, depth, node, node->wraps,
                                    AGG_GQL_FIELD_FORBIDDEN, NULL);
    }

    if (node->root) {
        return agg_gql_write_value(e, depth, node, node->wraps,
                                   &agg_gql_nothing, NULL);
    }

    if (!agg_gql_node_value(node, &f->value, e->values + f->values, &value)) {
        return agg_gql_write_null(e, depth, node, node->wraps);
    }

    return agg_gql_write_value(e, depth, node, node->wraps, &value, NULL);
}


static agg_rc_e
agg_gql_write_site(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node)
{
    agg_gql_memo_t  *memo;
    agg_gql_site_t  *site;

    site = agg_gql_write_find(e, &e->frames[*depth - 1], node);

    if (site == NULL) {
        return agg_gql_write_failed(e, depth, node, node->wraps,
                                    AGG_GQL_FIELD_INTERNAL, NULL);
    }

    switch (site->state) {

    case AGG_GQL_SITE_VALUE:

        memo = agg_gql_write_memo(site);

        if (memo->node == node && memo->taken_back == e->taken_back) {
            return agg_gql_write_again(e, memo);
        }

        agg_gql_try(agg_gql_exec_walked(e, &site->value, NULL));

        return agg_gql_write_value(e, depth, node, node->wraps, &site->value,
                                   site);

    case AGG_GQL_SITE_LIST:

        if (!agg_gql_is_list(node->wraps)) {
            return agg_gql_write_null(e, depth, node, node->wraps);
        }

        agg_gql_try(agg_gql_exec_walked(e, &site->value,
                                        (site->key != NULL)
                                        ? site->key->items : NULL));

        return agg_gql_write_list(e, depth, node, node->wraps, NULL, site);

    case AGG_GQL_SITE_FORBIDDEN:
        return agg_gql_write_failed(e, depth, node, node->wraps,
                                    AGG_GQL_FIELD_FORBIDDEN, NULL);

    case AGG_GQL_SITE_BAD_ARGUMENT:
        return agg_gql_write_failed(e, depth, node, node->wraps,
                                    AGG_GQL_FIELD_BAD_ARGUMENT, NULL);

    case AGG_GQL_SITE_INVALID:
        return agg_gql_write_failed(e, depth, node, node->wraps,
                                    AGG_GQL_FIELD_INVALID_VALUE, NULL);

    case AGG_GQL_SITE_FAILED:
        return agg_gql_write_failed(e, depth, node, node->wraps,
                                    AGG_GQL_FIELD_FETCH_FAILED, site->call);

    default: /* AGG_GQL_SITE_WAITING */
        return agg_gql_write_failed(e, depth, node, node->wraps,
                                    AGG_GQL_FIELD_INTERNAL, NULL);
    }
}


static agg_gql_memo_t *
agg_gql_write_memo(agg_gql_site_t *site)
{
    return (site->key != NULL) ? &site->key->memo : &site->call->memo;
}


/* the same value by the same selections */

static agg_rc_e
agg_gql_write_again(agg_gql_exec_t *e, const agg_gql_memo_t *memo)
{
    agg_gql_try(agg_buf_reserve(&e->out, memo->len));

    memcpy(e->out.pos, e->out.start + memo->start, memo->len);
    e->out.pos += memo->len;

    return AGG_OK;
}


/* sites of what has become null are passed over */

static agg_gql_site_t *
agg_gql_write_find(agg_gql_exec_t *e, const agg_gql_frame_t *f,
    const agg_gql_node_t *node)
{
    agg_gql_site_t  *site;

    for (site = e->cursor; site != NULL; site = site->next) {

        if (site->node == node
            && site->object->value.data == f->value.data)
        {
            e->cursor = site->next;
            break;
        }
    }

    return site;
}


static agg_rc_e
agg_gql_write_element(agg_gql_exec_t *e, uint32_t *depth)
{
    agg_str_t         value;
    agg_gql_frame_t  *f;

    f = &e->frames[*depth - 1];

    if (f->items) {

        if (f->item != NULL) {
            value = f->item->value;
            f->item = f->item->next;
            goto found;
        }

    } else if (agg_iter_next(&f->it)) {
        value = f->it.value;
        goto found;
    }

    agg_gql_try(agg_buf_append(&e->out, "]", 1));
    agg_gql_write_pop(e, depth);

    return AGG_OK;

found:

    if (f->index++ != 0) {
        agg_gql_try(agg_buf_append(&e->out, ",", 1));
    }

    return agg_gql_write_value(e, depth, f->node, f->wraps, &value, NULL);
}


/* site: the value is that of a call, and so are the sites below it */

static agg_rc_e
agg_gql_write_value(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps, const agg_str_t *value, agg_gql_site_t *site)
{
    agg_rc_e    rc;
    agg_kind_e  kind;

    kind = agg_json_kind(value);

    if (kind == AGG_NULL || kind == AGG_NONE) {
        return agg_gql_write_null(e, depth, node, wraps);
    }

    if (agg_gql_is_list(wraps)) {

        if (kind != AGG_ARRAY) {
            return agg_gql_write_failed(e, depth, node, wraps,
                                        AGG_GQL_FIELD_INVALID_VALUE, NULL);
        }

        return agg_gql_write_list(e, depth, node, wraps, value, site);
    }

    if (node->kind != AGG_GQL_NODE_LEAF) {
        return agg_gql_write_object(e, depth, node, wraps, value, site);
    }

    rc = agg_gql_leaf(&e->out, node->type, value);

    if (rc == AGG_INVALID) {
        return agg_gql_write_failed(e, depth, node, wraps,
                                    AGG_GQL_FIELD_INVALID_VALUE, NULL);
    }

    return rc;
}


static agg_rc_e
agg_gql_write_object(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps, const agg_str_t *value, agg_gql_site_t *site)
{
    agg_gql_set_t         *set;
    agg_gql_frame_t       *f;
    const agg_gql_type_t  *type;

    if (agg_json_kind(value) != AGG_OBJECT) {
        return agg_gql_write_failed(e, depth, node, wraps,
                                    AGG_GQL_FIELD_INVALID_VALUE, NULL);
    }

    type = node->type;

    if (node->kind == AGG_GQL_NODE_ABSTRACT) {
        type = agg_gql_object_type(type, value);

        if (type == NULL) {
            return agg_gql_write_failed(e, depth, node, wraps,
                                        AGG_GQL_FIELD_UNKNOWN_TYPE, NULL);
        }

        if (!agg_gql_allowed(e, type->data)) {
            return agg_gql_write_failed(e, depth, node, wraps,
                                        AGG_GQL_FIELD_FORBIDDEN, NULL);
        }
    }

    agg_gql_try(agg_gql_plan_set(e->plan, node, type, e->variables, &set));

    f = agg_gql_write_push(e, depth, node, wraps, site);
    if (f == NULL) {
        return AGG_NOMEM;
    }

    f->set = set;
    f->value = *value;

    agg_gql_try(agg_gql_exec_values(e, f->values + set->nmembers));

    agg_gql_set_read(set, value, e->values + f->values);

    return agg_buf_append(&e->out, "{", 1);
}


static agg_rc_e
agg_gql_write_list(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps, const agg_str_t *value, agg_gql_site_t *site)
{
    agg_gql_frame_t  *f;

    f = agg_gql_write_push(e, depth, node, wraps, site);
    if (f == NULL) {
        return AGG_NOMEM;
    }

    f->list = 1;
    f->wraps = agg_gql_inner(agg_gql_nullable(wraps));

    if (value != NULL) {
        agg_iter_init(&f->it, value);

    } else {
        f->items = 1;
        f->item = (site->key != NULL) ? site->key->items : NULL;
    }

    return agg_buf_append(&e->out, "[", 1);
}


static agg_gql_frame_t *
agg_gql_write_push(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps, agg_gql_site_t *site)
{
    agg_gql_frame_t  *f;

    if (agg_gql_exec_frames(e, *depth + 1) != AGG_OK) {
        return NULL;
    }

    f = &e->frames[*depth];

    memset(f, 0, sizeof(agg_gql_frame_t));

    f->node = node;
    f->values = agg_gql_exec_base(e, *depth);
    f->start = agg_buf_used(&e->out);
    f->nullable = !agg_gql_non_null(wraps);

    if (site != NULL) {
        f->site = 1;
        f->sites = e->cursor;
        e->cursor = site->sites;

        if (site->sites == NULL && site->call != NULL
            && site->state == AGG_GQL_SITE_VALUE)
        {
            f->memo = agg_gql_write_memo(site);
            f->nerrors = e->nerrors;
        }
    }

    (*depth)++;

    return f;
}


static void
agg_gql_write_pop(agg_gql_exec_t *e, uint32_t *depth)
{
    agg_gql_frame_t  *f;

    f = &e->frames[--*depth];

    if (f->site) {
        e->cursor = f->sites;
    }

    /* nothing was fetched below it, and nothing went wrong */

    if (f->memo != NULL && f->nerrors == e->nerrors) {
        f->memo->node = f->node;
        f->memo->start = f->start;
        f->memo->len = agg_buf_used(&e->out) - f->start;
        f->memo->taken_back = e->taken_back;
    }
}


static agg_rc_e
agg_gql_write_null(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps)
{
    if (agg_gql_non_null(wraps)) {
        return agg_gql_write_failed(e, depth, node, wraps,
                                    AGG_GQL_FIELD_NULL_VALUE, NULL);
    }

    return agg_buf_append(&e->out, "null", 4);
}


static agg_rc_e
agg_gql_write_failed(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps, agg_gql_field_error_e error,
    const agg_gql_call_t *call)
{
    agg_gql_try(agg_gql_field_error(e, *depth, node, error, call));

    return agg_gql_write_nothing(e, depth, wraps);
}


/* null, in place of the value at hand or of one around it */

static agg_rc_e
agg_gql_write_nothing(agg_gql_exec_t *e, uint32_t *depth,
    agg_gql_wraps_t wraps)
{
    unsigned          nullable;
    agg_gql_frame_t  *f;

    nullable = !agg_gql_non_null(wraps);

    while (!nullable && *depth != 0) {
        f = &e->frames[*depth - 1];

        e->out.pos = e->out.start + f->start;
        e->taken_back++;

        f->memo = NULL;
        nullable = f->nullable;

        agg_gql_write_pop(e, depth);
    }

    return agg_buf_append(&e->out, "null", 4);
}
