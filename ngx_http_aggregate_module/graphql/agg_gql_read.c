
/*
 * Reading of members from backends' objects.  The order of the members is
 * remembered, so that the names in the next object are compared instead of
 * looked up.
 */


#include "agg_gql_plan.h"
#include "agg_block.h"


static uint32_t agg_gql_set_member(agg_gql_plan_t *plan, agg_gql_set_t *set,
    const agg_str_t *name);
static void agg_gql_member_text(agg_gql_plan_t *plan,
    agg_gql_member_t *member);
static int agg_gql_node_plain(const agg_gql_node_t *node);
static int agg_gql_node_streams(const agg_gql_node_t *node);


/* makes a table of the names that the nodes read */

agg_rc_e
agg_gql_set_members(agg_gql_plan_t *plan, agg_gql_set_t *set)
{
    uint32_t           i, n;
    agg_mem_t         *mem;
    agg_gql_node_t    *node;
    const agg_path_t  *path;

    mem = plan->mem;

    for (n = 4; n < 2 * set->nnodes; n *= 2) { /* void */ }

    set->members = mem->alloc(mem->ctx,
                              (set->nnodes + 1) * sizeof(agg_gql_member_t));
    set->slots = mem->alloc(mem->ctx, n * sizeof(uint32_t));
    set->after = mem->alloc(mem->ctx, (set->nnodes + 1) * sizeof(uint32_t));

    if (set->members == NULL || set->slots == NULL || set->after == NULL) {
        return AGG_NOMEM;
    }

    memset(set->slots, 0xff, n * sizeof(uint32_t));
    set->mask = n - 1;

    set->streams = 1;

    for (i = 0; i < set->nnodes; i++) {
        node = &set->nodes[i];

        if (node->kind >= AGG_GQL_NODE_TYPENAME || node->root
            || node->fetch != AGG_GQL_NONE)
        {
            set->streams = 0;

            if (node->fetch == AGG_GQL_NONE || node->binding->key == NULL) {
                continue;
            }

            /* the key of a batch is read together with the other members */

            path = node->binding->key;

        } else {
            path = node->field->json;
        }

        if (path == NULL) {
            node->member = agg_gql_set_member(plan, set, &node->field->name);

        } else {
            node->path = *path;

            if (path->nsteps != 0 && path->steps[0].type == AGG_STEP_KEY) {
                node->member = agg_gql_set_member(plan, set,
                                                  &path->steps[0].name);
                node->path.steps++;
                node->path.nsteps--;
            }
        }

        node->plain = agg_gql_node_plain(node);
        node->verbatim = (node->member != AGG_GQL_NONE
                          && set->members[node->member].text.len != 0
                          && agg_gql_equal(&node->name,
                                           &set->members[node->member].name));

        node->run = (node->plain && node->verbatim
                     && node->key.len <= AGG_BLOCK
                     && node->type->kind == AGG_GQL_SCALAR
                     && node->type->scalar != AGG_GQL_CUSTOM
                     && !agg_gql_is_list(node->wraps));

        set->streams &= agg_gql_node_streams(node);
    }

    for (i = 0; i < set->nmembers; i++) {
        set->after[i] = i;
    }

    set->after[i] = AGG_GQL_NONE;

    return AGG_OK;
}


static uint32_t
agg_gql_set_member(agg_gql_plan_t *plan, agg_gql_set_t *set,
    const agg_str_t *name)
{
    uint32_t           i, hash, *slot;
    agg_gql_member_t  *member;

    hash = agg_gql_name_hash(name);
    slot = &set->slots[hash & set->mask];

    for (i = *slot; i != AGG_GQL_NONE; i = set->members[i].next) {
        if (agg_gql_equal(&set->members[i].name, name)) {
            return i;
        }
    }

    member = &set->members[set->nmembers];

    member->name = *name;
    member->hash = hash;
    member->next = *slot;

    agg_gql_member_text(plan, member);

    set->lengths |= (uint64_t) 1 << (name->len & 63);
    *slot = set->nmembers;

    return set->nmembers++;
}


/* without memory, or if the name has escapes, it will be looked up */

static void
agg_gql_member_text(agg_gql_plan_t *plan, agg_gql_member_t *member)
{
    u_char     *p;
    agg_str_t   name;

    name = member->name;
    member->text.len = 0;

    if (name.len == 0 || memchr(name.data, '"', name.len) != NULL
        || memchr(name.data, '\\', name.len) != NULL)
    {
        return;
    }

    p = plan->mem->alloc(plan->mem->ctx, name.len + 2 + AGG_BLOCK);
    if (p == NULL) {
        return;
    }

    member->text.data = p;
    member->text.len = name.len + 2;

    *p++ = '"';
    memcpy(p, name.data, name.len);
    p += name.len;
    *p++ = '"';

    memset(p, 0, AGG_BLOCK);
}


/*
 * Whether the value is a leaf, or a list of leaves, of one member.  If a batch
 * fetches the value, the member is the key.
 */

static int
agg_gql_node_plain(const agg_gql_node_t *node)
{
    return node->kind == AGG_GQL_NODE_LEAF
           && node->fetch == AGG_GQL_NONE
           && node->member != AGG_GQL_NONE && node->path.nsteps == 0
           && (!agg_gql_is_list(node->wraps)
               || !agg_gql_is_list(agg_gql_inner(
                                       agg_gql_nullable(node->wraps))))
           && (node->binding == NULL
               || node->binding->allow == AGG_GQL_NO_VARIABLE);
}


/* whether agg_gql_stream() can write the node */

static int
agg_gql_node_streams(const agg_gql_node_t *node)
{
    const agg_gql_binding_t  *binding;

    binding = node->type->data;

    return node->plain
           || (node->kind == AGG_GQL_NODE_OBJECT
               && node->member != AGG_GQL_NONE && node->path.nsteps == 0
               && (node->binding == NULL
                   || node->binding->allow == AGG_GQL_NO_VARIABLE)
               && (binding == NULL
                   || binding->allow == AGG_GQL_NO_VARIABLE));
}


static inline const u_char *
agg_gql_spaces(const u_char *p, const u_char *end)
{
    while (p < end && *p <= ' ') {
        p++;
    }

    return p;
}


/* the position of the closing quote, or the end */

static inline const u_char *
agg_gql_quote(const u_char *p, const u_char *end)
{
    unsigned  mask;

    while ((size_t) (end - p) >= AGG_BLOCK) {
        mask = agg_block_quote(p);

        if (mask == 0) {
            p += AGG_BLOCK;
            continue;
        }

        p += agg_first(mask);

        if (*p == '"') {
            return p;
        }

        /* skips a backslash and the escaped character */

        p += (end - p > 1) ? 2 : 1;
    }

    for ( /* void */ ; p < end && *p != '"'; p++) {
        if (*p == '\\' && end - p > 1) {
            p++;
        }
    }

    return p;
}


const u_char *
agg_gql_value_end(const u_char *p, const u_char *end)
{
    if (p == end) {
        return end;
    }

    if (*p == '"') {
        p = agg_gql_quote(p + 1, end);
        return (p < end) ? p + 1 : end;
    }

    if ((*p | 0x20) == '{') {
        return agg_json_skip(p, end);
    }

    /* skips a number or a literal */

    do {
        p++;

    } while (p < end && *p > ',' && *p != '}' && *p != ']');

    while (p < end && *p == '+') {

        /* the "+" of an exponent is the only character below the comma */

        do {
            p++;

        } while (p < end && *p > ',' && *p != '}' && *p != ']');
    }

    return p;
}


/* whether the quoted name of the member is at p */

static inline int
agg_gql_here(const agg_gql_member_t *member, const u_char *p,
    const u_char *end)
{
    size_t  n;

    n = member->text.len;

    if (end - p >= AGG_BLOCK && n <= AGG_BLOCK) {
        return n != 0 && agg_block_same(p, member->text.data, n);
    }

    return n != 0 && (size_t) (end - p) >= n
           && memcmp(p, member->text.data, n) == 0;
}


const u_char *
agg_gql_object_read(agg_gql_set_t *set, const u_char *p, const u_char *end,
    agg_str_t *values)
{
    uint32_t       i, last;
    agg_str_t      name;
    const u_char  *start;

    if (set->nmembers == 0) {
        return agg_json_skip(p, end);
    }

    memset(values, 0, set->nmembers * sizeof(agg_str_t));

    last = 0;
    p = agg_gql_spaces(p + 1, end);

    while (p < end && *p == '"') {

        i = set->after[last];

        if (i != AGG_GQL_NONE && agg_gql_here(&set->members[i], p, end)) {
            p += set->members[i].text.len;

        } else {
            name.data = (u_char *) p + 1;
            p = agg_gql_quote(p + 1, end);
            name.len = (size_t) (p - name.data);

            i = agg_gql_find_member(set, &name);

            if (i != AGG_GQL_NONE) {
                set->after[last] = i;
            }

            if (p < end) {
                p++;
            }
        }

        p = agg_gql_spaces(p, end);

        if (p < end && *p == ':') {
            p = agg_gql_spaces(p + 1, end);
        }

        start = p;
        p = agg_gql_value_end(p, end);

        if (i != AGG_GQL_NONE) {
            values[i].data = (u_char *) start;
            values[i].len = (size_t) (p - start);
            last = i + 1;
        }

        p = agg_gql_spaces(p, end);

        if (p < end && *p == ',') {
            p = agg_gql_spaces(p + 1, end);
        }
    }

    return (p < end) ? p + 1 : end;
}


uint32_t
agg_gql_find_member(const agg_gql_set_t *set, const agg_str_t *name)
{
    uint32_t                 i, hash;
    const agg_gql_member_t  *member;

    if (name->len != 0 && memchr(name->data, '\\', name->len) != NULL) {
        hash = agg_json_name_hash(name, 0x811c9dc5);

    } else if ((set->lengths >> (name->len & 63)) & 1) {
        hash = agg_gql_name_hash(name);

    } else {
        return AGG_GQL_NONE;
    }

    for (i = set->slots[hash & set->mask];
         i != AGG_GQL_NONE;
         i = member->next)
    {
        member = &set->members[i];

        if (member->hash == hash
            && agg_json_name_equal(name, &member->name))
        {
            return i;
        }
    }

    return AGG_GQL_NONE;
}


int
agg_gql_path(const agg_path_t *path, const agg_str_t *from, agg_str_t *value)
{
    agg_str_t         name;
    const u_char     *p, *end;
    const agg_str_t  *key;

    if (path->nsteps != 1 || path->steps[0].type != AGG_STEP_KEY
        || from->len == 0 || from->data[0] != '{')
    {
        return agg_path_get(path, from, value) == AGG_OK;
    }

    /* the last one of duplicates is used */

    key = &path->steps[0].name;
    value->data = NULL;
    value->len = 0;

    end = from->data + from->len;
    p = agg_gql_spaces(from->data + 1, end);

    while (p < end && *p == '"') {

        name.data = (u_char *) p + 1;
        p = agg_gql_quote(p + 1, end);
        name.len = (size_t) (p - name.data);

        p = agg_gql_spaces(p + (p < end), end);
        p = agg_gql_spaces(p + (p < end), end);

        if (name.len >= key->len && agg_json_name_equal(&name, key)) {
            value->data = (u_char *) p;
            p = agg_gql_value_end(p, end);
            value->len = (size_t) (p - value->data);

        } else {
            p = agg_gql_value_end(p, end);
        }

        p = agg_gql_spaces(p, end);

        if (p < end && *p == ',') {
            p = agg_gql_spaces(p + 1, end);
        }
    }

    return value->data != NULL;
}


int
agg_gql_node_value(const agg_gql_node_t *node, const agg_str_t *object,
    const agg_str_t *values, agg_str_t *value)
{
    if (node->member == AGG_GQL_NONE) {
        return agg_path_get(&node->path, object, value) == AGG_OK;
    }

    *value = values[node->member];

    if (value->data == NULL) {
        return 0;
    }

    return node->path.nsteps == 0
           || agg_path_get(&node->path, &values[node->member], value)
              == AGG_OK;
}


int
agg_gql_next_element(const u_char **pos, const u_char *end)
{
    const u_char  *p;

    p = agg_gql_spaces(*pos, end);

    if (p < end && *p == ',') {
        p = agg_gql_spaces(p + 1, end);
    }

    *pos = p;

    return p < end && *p != ']';
}
