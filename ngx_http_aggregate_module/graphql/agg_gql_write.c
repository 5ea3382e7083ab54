
/*
 * The answer: a walk over the plan and the results writes "data".  If a value
 * is null where that is not allowed, the output is taken back to the start of
 * the nearest enclosing value that may be null.
 */


#include "agg_gql_exec.h"
#include "agg_block.h"


static agg_rc_e agg_gql_write_plain(agg_gql_exec_t *e, agg_gql_frame_t *f);
static inline int agg_gql_write_scalars(agg_buf_t *out,
    const agg_gql_node_t *node, const agg_str_t *value, const u_char *end);
static inline int agg_gql_write_scalar(agg_buf_t *out,
    agg_gql_scalar_e scalar, const agg_str_t *value, const u_char *end);
static inline void agg_gql_copy(agg_buf_t *out, const agg_str_t *s,
    unsigned whole);
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
static void agg_gql_write_remember(agg_gql_exec_t *e,
    const agg_gql_node_t *node, agg_gql_site_t *site, size_t start);
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
    agg_gql_call_t *call);
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


agg_rc_e
agg_gql_exec_write(agg_gql_exec_t *e)
{
    uint32_t          depth;
    agg_gql_frame_t  *f;

    agg_gql_try(agg_gql_exec_frames(e, 1));
    agg_gql_try(agg_gql_exec_values(e, e->plan->root->nmembers));

    (void) agg_gql_object_read(e->plan->root, e->object.value.data,
                               e->object.value.data + e->object.value.len,
                               e->values);

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
            agg_gql_try(agg_gql_write_plain(e, f));

            if (f->index < f->set->nnodes) {
                agg_gql_try(agg_gql_write_field(e, &depth));
            }

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


/*
 * Writes fields whose values are copied, put in quotes, or null, which most
 * are.  Stops before the first field of another kind.
 */

static agg_rc_e
agg_gql_write_plain(agg_gql_exec_t *e, agg_gql_frame_t *f)
{
    size_t                 n;
    u_char                *last;
    uint32_t               i;
    agg_buf_t             *out;
    const u_char          *end;
    const agg_str_t       *value, *values;
    const agg_gql_node_t  *node;

    out = &e->out;
    values = e->values + f->values;
    end = f->value.data + f->value.len;

    for (i = f->index; i < f->set->nnodes; i++) {
        node = &f->set->nodes[i];

        if (!node->plain) {
            break;
        }

        value = &values[node->member];

        /* each value may get quotes */

        n = node->key.len + 5 + value->len;

        if (node->type->scalar == AGG_GQL_SCALAR_ID) {
            n += value->len;
        }

        if ((size_t) (out->end - out->pos) < n
            && agg_buf_reserve(out, n) != AGG_OK)
        {
            break;
        }

        last = out->pos;

        if (i != 0) {
            *out->pos++ = ',';
        }

        agg_gql_copy(out, &node->key, 1);

        if (!agg_gql_write_scalars(out, node, value, end)) {
            out->pos = last;
            break;
        }
    }

    f->index = i;

    return AGG_OK;
}


/* 0: the general path decides */

static inline int
agg_gql_write_scalars(agg_buf_t *out, const agg_gql_node_t *node,
    const agg_str_t *value, const u_char *end)
{
    agg_str_t      element;
    const u_char  *p, *stop;

    if (value->data == NULL || value->data[0] == 'n') {

        if (agg_gql_non_null(node->wraps)) {
            return 0;
        }

        memcpy(out->pos, "null", 4);
        out->pos += 4;

        return 1;
    }

    if (node->type->kind != AGG_GQL_SCALAR) {
        return 0;
    }

    if (!agg_gql_is_list(node->wraps)) {
        return agg_gql_write_scalar(out, node->type->scalar, value, end);
    }

    if (value->data[0] != '[') {
        return 0;
    }

    stop = value->data + value->len;

    *out->pos++ = '[';

    for (p = value->data + 1; agg_gql_next_element(&p, stop); /* void */ ) {

        if (*p == 'n') {
            return 0;
        }

        element.data = (u_char *) p;
        p = agg_gql_value_end(p, stop);
        element.len = (size_t) (p - element.data);

        if (out->pos[-1] != '[') {
            *out->pos++ = ',';
        }

        if (!agg_gql_write_scalar(out, node->type->scalar, &element, end)) {
            return 0;
        }
    }

    *out->pos++ = ']';

    return 1;
}


/*
 * writes a value, not null, that agg_gql_leaf() would copy or quote; 0: other
 */

static inline int
agg_gql_write_scalar(agg_buf_t *out, agg_gql_scalar_e scalar,
    const agg_str_t *value, const u_char *end)
{
    u_char  c;
    size_t  i;

    c = value->data[0];

    switch (scalar) {

    case AGG_GQL_SCALAR_STRING:

        if (c != '"') {
            return 0;
        }

        break;

    case AGG_GQL_SCALAR_FLOAT:

        if (c != '-' && !agg_is_digit(c)) {
            return 0;
        }

        break;

    case AGG_GQL_SCALAR_BOOLEAN:

        if (c != 't' && c != 'f') {
            return 0;
        }

        break;

    case AGG_GQL_SCALAR_INT:
    case AGG_GQL_SCALAR_ID:

        if (c == '"' && scalar == AGG_GQL_SCALAR_ID) {
            break;
        }

        for (i = 0; i < value->len; i++) {
            if (!agg_is_digit(value->data[i])) {
                return 0;
            }
        }

        if (scalar == AGG_GQL_SCALAR_ID) {
            *out->pos++ = '"';
            agg_gql_copy(out, value, end - value->data >= AGG_BLOCK);
            *out->pos++ = '"';

            return 1;
        }

        if (value->len > 9) {
            return 0;
        }

        break;

    default:
        break;
    }

    agg_gql_copy(out, value, end - value->data >= AGG_BLOCK);

    return 1;
}


/* there is room; "whole": a full block can be read at its start */

static inline void
agg_gql_copy(agg_buf_t *out, const agg_str_t *s, unsigned whole)
{
    if (whole && s->len <= AGG_BLOCK && out->end - out->pos >= AGG_BLOCK) {
        memcpy(out->pos, s->data, AGG_BLOCK);

    } else {
        memcpy(out->pos, s->data, s->len);
    }

    out->pos += s->len;
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
                                   &e->object.value, NULL);
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


/* copies the output for the same value with the same selections */

static agg_rc_e
agg_gql_write_again(agg_gql_exec_t *e, const agg_gql_memo_t *memo)
{
    agg_gql_try(agg_buf_reserve(&e->out, memo->len));

    memcpy(e->out.pos, e->out.start + memo->start, memo->len);
    e->out.pos += memo->len;

    return AGG_OK;
}


/* skips the sites of a value that has become null */

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

    if (f->items ? f->item == NULL
                 : !agg_gql_next_element(&f->pos, f->end))
    {
        agg_gql_try(agg_buf_append(&e->out, "]", 1));
        agg_gql_write_pop(e, depth);

        return AGG_OK;
    }

    if (f->index++ != 0) {
        agg_gql_try(agg_buf_append(&e->out, ",", 1));
    }

    if (f->items) {
        value = f->item->value;
        f->item = f->item->next;

        return agg_gql_write_value(e, depth, f->node, f->wraps, &value, NULL);
    }

    value.data = (u_char *) f->pos;

    if (*f->pos == '{' && f->node->kind == AGG_GQL_NODE_OBJECT
        && !agg_gql_is_list(f->wraps))
    {
        /* the end of the value is found by reading it */

        value.len = (size_t) (f->end - f->pos);

        return agg_gql_write_object(e, depth, f->node, f->wraps, &value, NULL);
    }

    f->pos = agg_gql_value_end(f->pos, f->end);
    value.len = (size_t) (f->pos - value.data);

    return agg_gql_write_value(e, depth, f->node, f->wraps, &value, NULL);
}


/* "site": the value is the result of a call, and so are the sites below it */

static agg_rc_e
agg_gql_write_value(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps, const agg_str_t *value, agg_gql_site_t *site)
{
    size_t      start;
    agg_rc_e    rc;
    agg_kind_e  kind;

    kind = agg_json_kind(value);

    if (kind == AGG_NULL || kind == AGG_NONE) {
        return agg_gql_write_null(e, depth, node, wraps);
    }

    if (node->kind == AGG_GQL_NODE_OBJECT) {
        start = agg_buf_used(&e->out);

        if (agg_gql_stream(e, node, wraps, value)) {
            agg_gql_write_remember(e, node, site, start);
            return AGG_OK;
        }
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


static void
agg_gql_write_remember(agg_gql_exec_t *e, const agg_gql_node_t *node,
    agg_gql_site_t *site, size_t start)
{
    agg_gql_memo_t  *memo;

    if (site == NULL || site->call == NULL
        || site->state != AGG_GQL_SITE_VALUE)
    {
        return;
    }

    memo = agg_gql_write_memo(site);

    memo->node = node;
    memo->start = start;
    memo->len = agg_buf_used(&e->out) - start;
    memo->taken_back = e->taken_back;
}


static agg_rc_e
agg_gql_write_object(agg_gql_exec_t *e, uint32_t *depth, agg_gql_node_t *node,
    agg_gql_wraps_t wraps, const agg_str_t *value, agg_gql_site_t *site)
{
    agg_gql_set_t         *set;
    const u_char          *end;
    agg_gql_frame_t       *f, *list;
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

    agg_gql_try(agg_gql_exec_values(e, f->values + set->nmembers));

    end = agg_gql_object_read(set, value->data, value->data + value->len,
                              e->values + f->values);
    f->set = set;
    f->value.data = value->data;
    f->value.len = (size_t) (end - value->data);

    /* an element of a list: go on after it */

    list = (*depth > 1) ? f - 1 : NULL;

    if (list != NULL && list->list && list->pos == value->data) {
        list->pos = end;
    }

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
        f->pos = value->data + 1;
        f->end = value->data + value->len;

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

    /* nothing was fetched below it, and there were no errors */

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
    agg_gql_call_t *call)
{
    agg_gql_try(agg_gql_field_error(e, *depth, node, error, call));

    return agg_gql_write_nothing(e, depth, wraps);
}


/* writes null for this value or for an enclosing one */

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
