
/*
 * The loader's second part: fields, and the tables of messages and enums.
 */


#include <stdlib.h>

#include "agg_pb_load.h"


static agg_rc_e agg_pb_bad_field(agg_pb_loader_t *l, uint32_t file,
    const agg_pb_message_t *m, const agg_pb_field_t *f, const char *what);
static agg_rc_e agg_pb_field_type(agg_pb_loader_t *l, uint32_t file,
    agg_pb_field_t *f, const agg_str_t *type);
static unsigned agg_pb_wire(agg_pb_type_e type);
static agg_pb_quick_e agg_pb_quick(const agg_pb_field_t *f);
static agg_pb_quick_e agg_pb_quick_element(const agg_pb_field_t *f);
static unsigned agg_pb_is_plain(const agg_str_t *name);
static int agg_pb_option_packed(const agg_str_t *options, int packed);
static agg_rc_e agg_pb_json_name(agg_mem_t *mem, agg_pb_field_t *f);
static agg_rc_e agg_pb_print_name(agg_mem_t *mem, const agg_str_t *name,
    agg_str_t *print);
static int agg_pb_by_number(const void *one, const void *two);
static agg_rc_e agg_pb_finish_oneofs(agg_pb_loader_t *l, agg_pb_message_t *m);
static agg_rc_e agg_pb_finish_names(agg_pb_loader_t *l, uint32_t file,
    agg_pb_message_t *m);
static void agg_pb_put_slot(agg_pb_slot_t *slots, uint32_t mask,
    const agg_str_t *name, uint32_t index);
static uint32_t agg_pb_slots(uint32_t n);


/* name is that of an extension, or NULL */

agg_rc_e
agg_pb_load_field(agg_pb_loader_t *l, uint32_t file, agg_pb_message_t *m,
    const agg_pb_decl_t *decl, const agg_str_t *name)
{
    int              proto3;
    agg_rc_e         rc;
    agg_pb_field_t  *f;

    proto3 = (file == AGG_PB_NONE || l->files[file].proto3);

    f = &m->fields[m->nfields];

    f->name = name ? *name : decl->name;
    f->json_name = name ? *name : decl->json_name;
    f->parent = m;

    if (decl->number == 0 || decl->number > AGG_PB_MAX_NUMBER) {
        return agg_pb_bad_field(l, file, m, f, "has a bad number of the field");
    }

    if (decl->type == 0 || decl->type > AGG_PB_SINT64
        || decl->label == 0 || decl->label > 3)
    {
        return agg_pb_bad_field(l, file, m, f, "has a bad type of the field");
    }

    f->number = (uint32_t) decl->number;
    f->type = (u_char) decl->type;
    f->wire = (u_char) agg_pb_wire(decl->type);
    f->extension = name != NULL;
    f->required = decl->label == 2;
    f->repeated = decl->label == 3;
    f->utf8 = f->type == AGG_PB_STRING && proto3;

    rc = agg_pb_field_type(l, file, f, &decl->type_name);
    if (rc != AGG_OK) {
        return rc;
    }

    f->map = f->repeated && f->type == AGG_PB_MESSAGE && f->message->map_entry;
    f->packable = f->repeated && f->wire != AGG_PB_LEN
                  && f->wire != AGG_PB_START_GROUP;
    f->packed = f->packable && agg_pb_option_packed(&decl->options, proto3);

    f->oneof = AGG_PB_NONE;

    if (decl->oneof != AGG_PB_NONE && name == NULL) {

        if (decl->oneof >= m->noneofs || f->repeated) {
            return agg_pb_bad_field(l, file, m, f,
                                    "has a bad oneof of the field");
        }

        f->oneof = (uint32_t) decl->oneof;

        /* the oneof of an optional field has no other member */

        if (decl->optional) {
            f->oneof = AGG_PB_NONE;
        }
    }

    f->presence = !f->repeated
                  && (f->message != NULL || decl->oneof != AGG_PB_NONE
                      || decl->optional || !proto3 || name != NULL);

    f->tag_len = (u_char)
                     (agg_pb_put_varint(f->tag, agg_pb_tag(f->number,
                                        f->packed ? AGG_PB_LEN : f->wire))
                      - f->tag);

    f->tag_mask = (UINT64_C(1) << 8 * f->tag_len) - 1;

    f->element = (u_char) agg_pb_quick_element(f);
    f->quick = (u_char) agg_pb_quick(f);

    if (f->json_name.len == 0 && agg_pb_json_name(l->mem, f) != AGG_OK) {
        return AGG_NOMEM;
    }

    if (agg_pb_print_name(l->mem, &f->json_name, &f->print[0]) != AGG_OK
        || agg_pb_print_name(l->mem, &f->name, &f->print[1]) != AGG_OK)
    {
        return AGG_NOMEM;
    }

    f->first = (f->print[0].len < 16) ? (1u << f->print[0].len) - 1 : 0xffff;

    if (f->print[0].len != f->json_name.len + sizeof(",\"\":") - 1) {
        f->first |= AGG_PB_BY_TABLE;
    }

    m->nfields++;

    return AGG_OK;
}


static agg_pb_quick_e
agg_pb_quick(const agg_pb_field_t *f)
{
    if (f->oneof != AGG_PB_NONE) {
        return AGG_PB_QUICK_NONE;
    }

    if (!f->repeated) {
        return (agg_pb_quick_e) f->element;
    }

    if (f->element == AGG_PB_QUICK_STRING) {
        return AGG_PB_QUICK_STRINGS;
    }

    return f->packed ? AGG_PB_QUICK_NUMBERS : AGG_PB_QUICK_NONE;
}


static agg_pb_quick_e
agg_pb_quick_element(const agg_pb_field_t *f)
{
    switch (f->type) {

    case AGG_PB_BYTES:
    case AGG_PB_GROUP:
        return AGG_PB_QUICK_NONE;

    case AGG_PB_STRING:
        return AGG_PB_QUICK_STRING;

    case AGG_PB_INT32:
        return AGG_PB_QUICK_INT32;

    case AGG_PB_UINT32:
        return AGG_PB_QUICK_UINT32;

    case AGG_PB_INT64:
        return AGG_PB_QUICK_INT64;

    case AGG_PB_UINT64:
        return AGG_PB_QUICK_UINT64;

    case AGG_PB_DOUBLE:
        return AGG_PB_QUICK_DOUBLE;

    case AGG_PB_FLOAT:
        return AGG_PB_QUICK_FLOAT;

    case AGG_PB_BOOL:
        return AGG_PB_QUICK_BOOL;

    case AGG_PB_ENUM:
        return AGG_PB_QUICK_ENUM;

    case AGG_PB_MESSAGE:
        return AGG_PB_QUICK_MESSAGE;

    default: /* sint, fixed and sfixed */
        return AGG_PB_QUICK_NUMBER;
    }
}


static agg_rc_e
agg_pb_bad_field(agg_pb_loader_t *l, uint32_t file, const agg_pb_message_t *m,
    const agg_pb_field_t *f, const char *what)
{
    agg_pb_error(l->err, "%s \"%V.%V\"", what, &m->name, &f->name);

    if (file != AGG_PB_NONE) {
        *l->which = l->files[file].set;
    }

    return AGG_INVALID;
}


static agg_rc_e
agg_pb_field_type(agg_pb_loader_t *l, uint32_t file, agg_pb_field_t *f,
    const agg_str_t *type)
{
    agg_pb_symbol_e         kind;
    const agg_pb_symbol_t  *symbol;

    if (f->type == AGG_PB_MESSAGE || f->type == AGG_PB_GROUP) {
        kind = AGG_PB_SYMBOL_MESSAGE;

    } else if (f->type == AGG_PB_ENUM) {
        kind = AGG_PB_SYMBOL_ENUM;

    } else {
        return AGG_OK;
    }

    symbol = NULL;

    if (type->len > 1 && type->data[0] == '.') {
        symbol = agg_pb_find_symbol(l->pool, type->data + 1, type->len - 1);
    }

    if (symbol == NULL || symbol->kind != kind) {
        agg_pb_error(l->err, "has no type \"%V\" of the field \"%V.%V\"", type,
                     &f->parent->name, &f->name);

        if (file != AGG_PB_NONE) {
            *l->which = l->files[file].set;
        }

        return AGG_INVALID;
    }

    if (kind == AGG_PB_SYMBOL_MESSAGE) {
        f->message = symbol->item;

    } else {
        f->enumeration = symbol->item;
    }

    return AGG_OK;
}


static unsigned
agg_pb_wire(agg_pb_type_e type)
{
    switch (type) {

    case AGG_PB_DOUBLE:
    case AGG_PB_FIXED64_TYPE:
    case AGG_PB_SFIXED64:
        return AGG_PB_FIXED64;

    case AGG_PB_FLOAT:
    case AGG_PB_FIXED32_TYPE:
    case AGG_PB_SFIXED32:
        return AGG_PB_FIXED32;

    case AGG_PB_STRING:
    case AGG_PB_BYTES:
    case AGG_PB_MESSAGE:
        return AGG_PB_LEN;

    case AGG_PB_GROUP:
        return AGG_PB_START_GROUP;

    default:
        return AGG_PB_VARINT;
    }
}


static int
agg_pb_option_packed(const agg_str_t *options, int packed)
{
    agg_pb_reader_t  r;

    agg_pb_reader_init(&r, options);

    while (agg_pb_reader_next(&r)) {
        if (r.tag == agg_pb_tag(2, AGG_PB_VARINT)) {
            packed = r.n != 0;
        }
    }

    return packed;
}


/* protoc writes the name always; others leave it to the reader */

static agg_rc_e
agg_pb_json_name(agg_mem_t *mem, agg_pb_field_t *f)
{
    u_char  *p, c;
    size_t   i;
    int      upper;

    p = mem->alloc(mem->ctx, f->name.len);
    if (p == NULL) {
        return AGG_NOMEM;
    }

    upper = 0;
    f->json_name.data = p;

    for (i = 0; i < f->name.len; i++) {
        c = f->name.data[i];

        if (c == '_') {
            upper = 1;
            continue;
        }

        if (upper && c >= 'a' && c <= 'z') {
            c = (u_char) (c - 'a' + 'A');
        }

        upper = 0;
        *p++ = c;
    }

    f->json_name.len = (size_t) (p - f->json_name.data);

    return AGG_OK;
}


/* ,"name": and behind it bytes that may be read with it, as a block */

static agg_rc_e
agg_pb_print_name(agg_mem_t *mem, const agg_str_t *name, agg_str_t *print)
{
    agg_buf_t  b;

    agg_buf_init(&b, mem, AGG_PB_MAX_INPUT * 2);

    print->len = agg_json_escaped_length(name->data, name->len) + 2;
    print->data = agg_pb_zalloc(mem, print->len + AGG_PB_PADDING);

    if (print->data == NULL) {
        return AGG_NOMEM;
    }

    b.start = print->data;
    b.pos = print->data;
    b.end = print->data + print->len;

    *b.pos++ = ',';
    agg_json_escape(&b, name->data, name->len);
    *b.pos++ = ':';

    return AGG_OK;
}


agg_rc_e
agg_pb_finish_message(agg_pb_loader_t *l, uint32_t file, agg_pb_message_t *m)
{
    uint32_t  i;
    agg_rc_e  rc;

    if (m->nfields == 0) {
        m->noneofs = 0;
        return AGG_OK;
    }

    qsort(m->fields, m->nfields, sizeof(agg_pb_field_t), agg_pb_by_number);

    for (i = 0; i < m->nfields; i++) {
        m->fields[i].index = i;

        if (i != 0 && m->fields[i].number == m->fields[i - 1].number) {
            return agg_pb_bad_field(l, file, m, &m->fields[i],
                                    "has another field of the number of");
        }
    }

    rc = agg_pb_finish_oneofs(l, m);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_finish_names(l, file, m);
    if (rc != AGG_OK) {
        return rc;
    }

    /* fields of small numbers, which most are, are found by them */

    m->ndense = m->fields[m->nfields - 1].number;

    if (m->ndense > m->nfields * 4 + 16) {
        m->ndense = m->nfields * 4 + 16;
    }

    m->ndense++;
    m->dense = agg_pb_zalloc(l->mem, m->ndense * sizeof(agg_pb_field_t *));

    if (m->dense == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < m->nfields && m->fields[i].number < m->ndense; i++) {
        m->dense[m->fields[i].number] = &m->fields[i];
    }

    return AGG_OK;
}


static int
agg_pb_by_number(const void *one, const void *two)
{
    const agg_pb_field_t  *f, *g;

    f = one;
    g = two;

    return (f->number > g->number) - (f->number < g->number);
}


/* the oneofs of optional fields go, and the others are counted anew */

static agg_rc_e
agg_pb_finish_oneofs(agg_pb_loader_t *l, agg_pb_message_t *m)
{
    uint32_t   i, n, *map;
    agg_str_t  name;

    if (m->noneofs == 0) {
        return AGG_OK;
    }

    map = agg_pb_zalloc(l->mem, m->noneofs * sizeof(uint32_t));
    if (map == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < m->nfields; i++) {
        if (m->fields[i].oneof != AGG_PB_NONE) {
            map[m->fields[i].oneof] = 1;
        }
    }

    n = 0;

    for (i = 0; i < m->noneofs; i++) {
        if (map[i]) {
            name = m->oneofs[i];
            m->oneofs[n] = name;
            map[i] = n++;
        }
    }

    m->noneofs = n;

    for (i = 0; i < m->nfields; i++) {
        if (m->fields[i].oneof != AGG_PB_NONE) {
            m->fields[i].oneof = map[m->fields[i].oneof];
        }
    }

    l->mem->grow(l->mem->ctx, map, 0, 0);

    return AGG_OK;
}


/*
 * A JSON name that is the name of another field belongs to the latter;
 * one that two fields have, as proto2 allows, to the first of them.
 */

static agg_rc_e
agg_pb_finish_names(agg_pb_loader_t *l, uint32_t file, agg_pb_message_t *m)
{
    uint32_t               i, size;
    agg_pb_field_t        *f;
    const agg_pb_field_t  *named;

    size = agg_pb_slots(m->nfields * 2);

    m->names_mask = size - 1;
    m->names = agg_pb_zalloc(l->mem, size * sizeof(agg_pb_slot_t));

    if (m->names == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < m->nfields; i++) {
        f = &m->fields[i];

        if (agg_pb_find_field(m, f->name.data, f->name.len) != NULL) {
            return agg_pb_bad_field(l, file, m, f,
                                    "has another field of the name of");
        }

        agg_pb_put_slot(m->names, m->names_mask, &f->name, i);
    }

    for (i = 0; i < m->nfields; i++) {
        f = &m->fields[i];

        named = agg_pb_find_field(m, f->json_name.data, f->json_name.len);

        if (named == NULL) {
            agg_pb_put_slot(m->names, m->names_mask, &f->json_name, i);

        } else if (named != f) {
            f->first |= AGG_PB_BY_TABLE;
        }
    }

    return AGG_OK;
}


static void
agg_pb_put_slot(agg_pb_slot_t *slots, uint32_t mask, const agg_str_t *name,
    uint32_t index)
{
    uint32_t  hash, i;

    hash = agg_pb_hash(name->data, name->len);

    for (i = hash; slots[i & mask].index; i++) { /* void */ }

    slots[i & mask].hash = hash;
    slots[i & mask].index = index + 1;
}


/* a power of two above n, a quarter or more of which stays free */

static uint32_t
agg_pb_slots(uint32_t n)
{
    uint32_t  size;

    for (size = 4; size - size / 4 < n + 1; size *= 2) { /* void */ }

    return size;
}


static unsigned
agg_pb_is_plain(const agg_str_t *name)
{
    size_t  i;

    for (i = 0; i < name->len; i++) {

        if (name->data[i] < 0x20 || name->data[i] > 0x7e
            || name->data[i] == '"' || name->data[i] == '\\')
        {
            return 0;
        }
    }

    return 1;
}


agg_rc_e
agg_pb_finish_enum(agg_pb_loader_t *l, agg_pb_enum_t *e)
{
    uint32_t  i, k, size;

    size = agg_pb_slots(e->nvalues);

    e->names_mask = size - 1;
    e->names = agg_pb_zalloc(l->mem, size * sizeof(agg_pb_slot_t));
    e->by_number = agg_pb_zalloc(l->mem, e->nvalues * sizeof(uint32_t));

    if (e->names == NULL || e->by_number == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < e->nvalues; i++) {

        e->values[i].plain = agg_pb_is_plain(&e->values[i].name);

        if (agg_pb_enum_by_name(e, e->values[i].name.data,
                                e->values[i].name.len)
            == NULL)
        {
            agg_pb_put_slot(e->names, e->names_mask, &e->values[i].name, i);
        }

        /* most are in order; of aliases the first one is printed */

        for (k = e->nnumbers; k != 0; k--) {
            if (e->values[e->by_number[k - 1]].number <= e->values[i].number) {
                break;
            }
        }

        if (k != 0
            && e->values[e->by_number[k - 1]].number == e->values[i].number)
        {
            continue;
        }

        memmove(e->by_number + k + 1, e->by_number + k,
                (e->nnumbers - k) * sizeof(uint32_t));

        e->by_number[k] = i;
        e->nnumbers++;
    }

    return AGG_OK;
}


agg_rc_e
agg_pb_check_maps(agg_pb_loader_t *l, uint32_t file, const agg_pb_message_t *m)
{
    uint32_t               i;
    const agg_pb_field_t  *f, *key, *value;

    for (i = 0; i < m->nfields; i++) {
        f = &m->fields[i];

        if (f->message == NULL || !f->message->map_entry) {
            continue;
        }

        key = f->message->fields;
        value = key + 1;

        if (!f->map || f->message->nfields != 2
            || key->number != 1 || key->repeated
            || key->oneof != AGG_PB_NONE
            || key->type == AGG_PB_DOUBLE || key->type == AGG_PB_FLOAT
            || key->type == AGG_PB_BYTES || key->type == AGG_PB_ENUM
            || key->message != NULL
            || value->number != 2 || value->repeated
            || value->oneof != AGG_PB_NONE)
        {
            return agg_pb_bad_field(l, file, m, f,
                                    "has a bad map entry of the field");
        }
    }

    return AGG_OK;
}
