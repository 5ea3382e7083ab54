
/*
 * Lookups in a schema: an open-addressed table, whose keys are a name and its
 * owner.
 */


#include "agg_gql_build.h"


/* owners of the names that do not belong to a type */

static const char  agg_gql_types_owner;
static const char  agg_gql_directives_owner;


static uint32_t
agg_gql_hash(const void *owner, const agg_str_t *name)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u ^ (uint32_t) ((uintptr_t) owner >> 4) * 2654435761u;

    for (i = 0; i < name->len; i++) {
        h = (h ^ name->data[i]) * 16777619u;
    }

    return h ^ h >> 15;
}


static agg_gql_slot_t *
agg_gql_table_slot(const agg_gql_table_t *t, const void *owner,
    const agg_str_t *name)
{
    uint32_t         i;
    agg_gql_slot_t  *slot;

    for (i = agg_gql_hash(owner, name); /* void */ ; i++) {
        slot = &t->slots[i & t->mask];

        if (slot->name == NULL
            || (slot->owner == owner && agg_gql_equal(slot->name, name)))
        {
            return slot;
        }
    }
}


/* NULL: the owner has no element of this name */

static void *
agg_gql_table_get(const agg_gql_table_t *t, const void *owner,
    const agg_str_t *name)
{
    return (t->n != 0) ? agg_gql_table_slot(t, owner, name)->value : NULL;
}


agg_rc_e
agg_gql_table_add(agg_gql_table_t *t, agg_mem_t *mem, const void *owner,
    const agg_str_t *name, void *value)
{
    size_t           size;
    uint32_t         i;
    agg_gql_slot_t  *slot;
    agg_gql_table_t  new;

    if (t->slots == NULL || t->n * 2 > t->mask) {
        new.mask = (t->slots == NULL) ? 63 : t->mask * 2 + 1;
        new.n = t->n;
        size = ((size_t) new.mask + 1) * sizeof(agg_gql_slot_t);

        new.slots = mem->alloc(mem->ctx, size);
        if (new.slots == NULL) {
            return AGG_NOMEM;
        }

        memset(new.slots, 0, size);

        for (i = 0; t->slots != NULL && i <= t->mask; i++) {
            slot = &t->slots[i];

            if (slot->name != NULL) {
                *agg_gql_table_slot(&new, slot->owner, slot->name) = *slot;
            }
        }

        *t = new;
    }

    slot = agg_gql_table_slot(t, owner, name);

    if (slot->name != NULL) {
        return AGG_INVALID;
    }

    slot->owner = owner;
    slot->name = name;
    slot->value = value;
    t->n++;

    return AGG_OK;
}


agg_rc_e
agg_gql_add_type(agg_gql_schema_t *schema, agg_gql_type_t *type)
{
    return agg_gql_table_add(&schema->table, schema->mem,
                             &agg_gql_types_owner, &type->name, type);
}


agg_rc_e
agg_gql_add_directive(agg_gql_schema_t *schema, agg_gql_directive_t *d)
{
    return agg_gql_table_add(&schema->table, schema->mem,
                             &agg_gql_directives_owner, &d->name, d);
}


agg_gql_type_t *
agg_gql_any_type(const agg_gql_schema_t *schema, const agg_str_t *name)
{
    return agg_gql_table_get(&schema->table, &agg_gql_types_owner, name);
}


agg_gql_type_t *
agg_gql_type_by_name(const agg_gql_schema_t *schema, const agg_str_t *name)
{
    agg_gql_type_t  *type;

    type = agg_gql_any_type(schema, name);

    return (type != NULL && !type->hidden) ? type : NULL;
}


agg_gql_field_t *
agg_gql_field_by_name(const agg_gql_schema_t *schema,
    const agg_gql_type_t *type, const agg_str_t *name)
{
    if (type->kind != AGG_GQL_OBJECT_TYPE && type->kind != AGG_GQL_INTERFACE)
    {
        return NULL;
    }

    return agg_gql_table_get(&schema->table, type, name);
}


agg_gql_input_t *
agg_gql_input_by_name(const agg_gql_schema_t *schema,
    const void *field_type_or_directive, const agg_str_t *name)
{
    return agg_gql_table_get(&schema->table, field_type_or_directive, name);
}


agg_gql_enum_value_t *
agg_gql_enum_by_name(const agg_gql_schema_t *schema,
    const agg_gql_type_t *type, const agg_str_t *name)
{
    return agg_gql_table_get(&schema->table, type, name);
}


agg_gql_directive_t *
agg_gql_directive_by_name(const agg_gql_schema_t *schema,
    const agg_str_t *name)
{
    return agg_gql_table_get(&schema->table, &agg_gql_directives_owner, name);
}


int
agg_gql_is_possible(const agg_gql_type_t *abstract,
    const agg_gql_type_t *type)
{
    if (abstract == type) {
        return 1;
    }

    return abstract->bits != NULL && type->kind == AGG_GQL_OBJECT_TYPE
           && (abstract->bits[type->object / 64] >> type->object % 64 & 1);
}


int
agg_gql_overlap(const agg_gql_schema_t *schema, const agg_gql_type_t *a,
    const agg_gql_type_t *b)
{
    unsigned  i, n;

    if (a == b) {
        return 1;
    }

    if (a->kind == AGG_GQL_OBJECT_TYPE) {
        return agg_gql_is_possible(b, a);
    }

    if (b->kind == AGG_GQL_OBJECT_TYPE) {
        return agg_gql_is_possible(a, b);
    }

    n = (schema->nobjects + 63) / 64;

    for (i = 0; i < n; i++) {
        if (a->bits[i] & b->bits[i]) {
            return 1;
        }
    }

    return 0;
}


int
agg_gql_is_subtype(const agg_gql_ref_t *sub, const agg_gql_ref_t *super)
{
    agg_gql_wraps_t  a, b;

    a = sub->wraps;
    b = super->wraps;

    for ( ;; ) {

        if (agg_gql_non_null(b)) {

            if (!agg_gql_non_null(a)) {
                return 0;
            }

            a = agg_gql_inner(a);
            b = agg_gql_inner(b);
            continue;
        }

        a = agg_gql_nullable(a);

        if (agg_gql_outer(a) != agg_gql_outer(b)) {
            return 0;
        }

        if (a == 0) {
            break;
        }

        a = agg_gql_inner(a);
        b = agg_gql_inner(b);
    }

    return sub->type == super->type
           || (agg_gql_is_abstract(super->type)
               && (agg_gql_is_possible(super->type, sub->type)
                   || agg_gql_implements(sub->type, super->type)));
}


int
agg_gql_implements(const agg_gql_type_t *type,
    const agg_gql_type_t *interface)
{
    unsigned  i;

    for (i = 0; i < type->ninterfaces; i++) {
        if (type->interfaces[i] == interface) {
            return 1;
        }
    }

    return 0;
}
