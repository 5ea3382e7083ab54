
/* Lookups in a loaded pool; see agg_pb_desc.h. */


#include "agg_pb_desc.h"
#include "gw_text.h"


#define agg_pb_equal(s, p, n)                                                \
    ((s)->len == (n) && memcmp((s)->data, p, n) == 0)


const agg_pb_symbol_t *
agg_pb_find_symbol(const agg_pb_pool_t *pool, const u_char *name, size_t len)
{
    uint32_t                hash, i;
    const agg_pb_slot_t    *slot;
    const agg_pb_symbol_t  *symbol;

    if (len == 0) {
        return NULL;
    }

    hash = agg_pb_hash(name, len);

    for (i = hash; /* void */ ; i++) {
        slot = &pool->names[i & pool->names_mask];

        if (slot->index == 0) {
            return NULL;
        }

        if (slot->hash == hash) {
            symbol = &pool->symbols[slot->index - 1];

            if (agg_pb_equal(&symbol->name, name, len)) {
                return symbol;
            }
        }
    }
}


const agg_pb_message_t *
agg_pb_find_message(const agg_pb_pool_t *pool, const u_char *name, size_t len)
{
    const agg_pb_symbol_t  *symbol;

    symbol = agg_pb_find_symbol(pool, name, len);

    if (symbol == NULL || symbol->kind != AGG_PB_SYMBOL_MESSAGE) {
        return NULL;
    }

    return symbol->item;
}


const agg_pb_service_t *
agg_pb_find_service(const agg_pb_pool_t *pool, const agg_str_t *name)
{
    const agg_pb_symbol_t  *symbol;

    symbol = agg_pb_find_symbol(pool, name->data, name->len);

    if (symbol == NULL || symbol->kind != AGG_PB_SYMBOL_SERVICE) {
        return NULL;
    }

    return symbol->item;
}


const agg_pb_method_t *
agg_pb_find_method(const agg_pb_service_t *service, const agg_str_t *name)
{
    uint32_t  i;

    for (i = 0; i < service->nmethods; i++) {
        if (agg_pb_equal(&service->methods[i].name, name->data, name->len)) {
            return &service->methods[i];
        }
    }

    return NULL;
}


const agg_pb_field_t *
agg_pb_find_field(const agg_pb_message_t *m, const u_char *name, size_t len)
{
    uint32_t               hash, i;
    const agg_pb_slot_t   *slot;
    const agg_pb_field_t  *field;

    if (m->names == NULL) {
        return NULL;
    }

    hash = agg_pb_hash(name, len);

    for (i = hash; /* void */ ; i++) {
        slot = &m->names[i & m->names_mask];

        if (slot->index == 0) {
            return NULL;
        }

        if (slot->hash != hash) {
            continue;
        }

        field = &m->fields[slot->index - 1];

        if (agg_pb_equal(&field->json_name, name, len)
            || agg_pb_equal(&field->name, name, len))
        {
            return field;
        }
    }
}


const agg_pb_field_t *
agg_pb_field_by_number(const agg_pb_message_t *m, uint32_t number)
{
    uint32_t  low, high, middle;

    if (number < m->ndense) {
        return m->dense[number];
    }

    low = 0;
    high = m->nfields;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (m->fields[middle].number < number) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    if (low == m->nfields || m->fields[low].number != number) {
        return NULL;
    }

    return &m->fields[low];
}


const agg_pb_enum_value_t *
agg_pb_enum_by_name(const agg_pb_enum_t *e, const u_char *name, size_t len)
{
    uint32_t                    hash, i;
    const agg_pb_slot_t        *slot;
    const agg_pb_enum_value_t  *value;

    hash = agg_pb_hash(name, len);

    for (i = hash; /* void */ ; i++) {
        slot = &e->names[i & e->names_mask];

        if (slot->index == 0) {
            return NULL;
        }

        value = &e->values[slot->index - 1];

        if (slot->hash == hash && agg_pb_equal(&value->name, name, len)) {
            return value;
        }
    }
}


const agg_pb_enum_value_t *
agg_pb_enum_by_number(const agg_pb_enum_t *e, int32_t number)
{
    uint32_t                    low, high, middle;
    const agg_pb_enum_value_t  *value;

    /* most enums start from zero without gaps */

    if (number >= 0 && (uint32_t) number < e->nnumbers) {
        value = &e->values[e->by_number[number]];

        if (value->number == number) {
            return value;
        }
    }

    low = 0;
    high = e->nnumbers;

    while (low < high) {
        middle = low + (high - low) / 2;
        value = &e->values[e->by_number[middle]];

        if (value->number == number) {
            return value;
        }

        if (value->number < number) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return NULL;
}


const agg_str_t *
agg_pb_nearest_service(const agg_pb_pool_t *pool, const agg_str_t *name)
{
    uint32_t                i;
    gw_nearest_t            nearest;
    const agg_pb_symbol_t  *symbol;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; i < pool->nsymbols; i++) {
        symbol = &pool->symbols[i];

        if (symbol->kind == AGG_PB_SYMBOL_SERVICE) {
            gw_nearest_try(&nearest, symbol->name.data, symbol->name.len,
                           &symbol->name);
        }
    }

    return nearest.item;
}


const agg_str_t *
agg_pb_nearest_method(const agg_pb_service_t *service, const agg_str_t *name)
{
    uint32_t          i;
    gw_nearest_t      nearest;
    const agg_str_t  *method;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; i < service->nmethods; i++) {
        method = &service->methods[i].name;
        gw_nearest_try(&nearest, method->data, method->len, method);
    }

    return nearest.item;
}


const agg_str_t *
agg_pb_nearest_field(const agg_pb_message_t *m, const agg_str_t *name)
{
    uint32_t               i;
    gw_nearest_t           nearest;
    const agg_pb_field_t  *field;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; i < m->nfields; i++) {
        field = &m->fields[i];
        gw_nearest_try(&nearest, field->name.data, field->name.len,
                       &field->name);
        gw_nearest_try(&nearest, field->json_name.data, field->json_name.len,
                       &field->json_name);
    }

    return nearest.item;
}
