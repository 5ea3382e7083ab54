
/*
 * Fills in the types: fields, arguments, values, interfaces, members.
 * Duplicate names are refused, and names of types are resolved.
 */


#include "agg_gql_build.h"


static agg_rc_e agg_gql_fill_type(agg_gql_build_t *b, agg_gql_type_t *type);
static agg_rc_e agg_gql_fill_fields(agg_gql_build_t *b, agg_gql_type_t *type,
    agg_gql_part_t *part);
static agg_rc_e agg_gql_fill_values(agg_gql_build_t *b, agg_gql_type_t *type,
    agg_gql_part_t *part);
static agg_rc_e agg_gql_fill_inputs(agg_gql_build_t *b, agg_gql_doc_t *doc,
    const agg_gql_range_t *range, const void *owner, agg_gql_on_e on,
    const agg_str_t *of, const char *what, agg_gql_input_t *inputs,
    unsigned *n);
static agg_rc_e agg_gql_fill_names(agg_gql_build_t *b, agg_gql_type_t *type,
    agg_gql_part_t *part, agg_gql_range_t *range, agg_gql_type_t **list,
    unsigned *n);
static agg_rc_e agg_gql_fill_directive(agg_gql_build_t *b,
    agg_gql_part_t *part);
static agg_rc_e agg_gql_fill_possible(agg_gql_build_t *b);
static agg_rc_e agg_gql_resolve(agg_gql_build_t *b, agg_gql_doc_t *doc,
    const agg_str_t *name, uint32_t offset, agg_gql_type_t **type);
static agg_rc_e agg_gql_add_target(agg_gql_build_t *b, agg_gql_doc_t *doc,
    uint32_t applied, agg_gql_on_e on, void *element);


static const agg_gql_on_e  agg_gql_type_on[] = {
    AGG_GQL_ON_SCALAR, AGG_GQL_ON_OBJECT, AGG_GQL_ON_INTERFACE,
    AGG_GQL_ON_UNION, AGG_GQL_ON_ENUM, AGG_GQL_ON_INPUT_OBJECT
};


static void *
agg_gql_zeroed(agg_gql_build_t *b, size_t n, size_t size)
{
    void  *p;

    p = b->mem->alloc(b->mem->ctx, n * size + 1);

    return (p != NULL) ? memset(p, 0, n * size + 1) : NULL;
}


agg_rc_e
agg_gql_build_fields(agg_gql_build_t *b)
{
    unsigned          i;
    agg_gql_part_t   *part;

    for (i = 0; i < b->schema->ntypes; i++) {
        agg_gql_try(agg_gql_fill_type(b, b->schema->types[i]));
    }

    for (part = b->directives.first; part != NULL; part = part->next) {
        agg_gql_try(agg_gql_fill_directive(b, part));
    }

    for (part = b->roots.first; part != NULL; part = part->next) {
        agg_gql_try(agg_gql_add_target(b, part->doc, part->def->applied,
                                       AGG_GQL_ON_SCHEMA, b->schema));
    }

    return agg_gql_fill_possible(b);
}


static agg_rc_e
agg_gql_fill_type(agg_gql_build_t *b, agg_gql_type_t *type)
{
    size_t            fields, inputs, interfaces, names;
    unsigned          members;
    agg_gql_part_t   *part, *first;

    fields = 0;
    inputs = 0;
    interfaces = 0;
    names = 0;

    first = b->parts[type->id].first;

    for (part = first; part != NULL; part = part->next) {
        fields += part->def->fields.n;
        inputs += part->def->inputs.n;
        interfaces += part->def->interfaces.n;
        names += part->def->names.n;
    }

    if (type->kind == AGG_GQL_ENUM_TYPE) {
        type->values = agg_gql_zeroed(b, fields,
                                      sizeof(agg_gql_enum_value_t));

    } else {
        type->fields = agg_gql_zeroed(b, fields, sizeof(agg_gql_field_t));
    }

    type->inputs = agg_gql_zeroed(b, inputs, sizeof(agg_gql_input_t));
    type->interfaces = agg_gql_zeroed(b, interfaces,
                                      sizeof(agg_gql_type_t *));
    type->possible = agg_gql_zeroed(b, names + 1, sizeof(agg_gql_type_t *));

    if ((type->fields == NULL && type->values == NULL)
        || type->inputs == NULL || type->interfaces == NULL
        || type->possible == NULL)
    {
        return AGG_NOMEM;
    }

    if (type->kind == AGG_GQL_OBJECT_TYPE) {
        type->possible[type->npossible++] = type;
    }

    for (part = first; part != NULL; part = part->next) {
        agg_gql_try(agg_gql_add_target(b, part->doc, part->def->applied,
                                       agg_gql_type_on[type->kind], type));

        if (type->kind == AGG_GQL_ENUM_TYPE) {
            agg_gql_try(agg_gql_fill_values(b, type, part));

        } else {
            agg_gql_try(agg_gql_fill_fields(b, type, part));
        }

        agg_gql_try(agg_gql_fill_inputs(b, part->doc, &part->def->inputs,
                                        type,
                                        AGG_GQL_ON_INPUT_FIELD_DEFINITION,
                                        &type->name, "Field", type->inputs,
                                        &type->ninputs));
        agg_gql_try(agg_gql_fill_names(b, type, part, &part->def->interfaces,
                                       type->interfaces, &type->ninterfaces));

        members = type->npossible;
        agg_gql_try(agg_gql_fill_names(b, type, part, &part->def->names,
                                       type->possible, &members));
        type->npossible = members;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_fill_fields(agg_gql_build_t *b, agg_gql_type_t *type,
    agg_gql_part_t *part)
{
    agg_rc_e              rc;
    uint32_t              i;
    agg_gql_field_t      *f;
    agg_gql_sdl_field_t  *from;

    for (i = 0; i < part->def->fields.n; i++) {
        from = &part->doc->sdl->fields[part->def->fields.first + i];
        f = &type->fields[type->nfields];

        f->name = from->name;
        f->description = from->description;
        f->loc.source = part->doc->source;
        f->loc.offset = from->offset;
        f->parent = type;
        f->type.wraps = from->wraps;
        f->index = type->nfields;

        rc = agg_gql_table_add(&b->schema->table, b->mem, type, &f->name, f);

        if (rc == AGG_NOMEM) {
            return rc;
        }

        if (rc == AGG_INVALID) {
            agg_gql_try(agg_gql_bad(b, part->doc, from->name_offset,
                                    "Field \"%V.%V\" can only be defined "
                                    "once.", &type->name, &f->name));
            continue;
        }

        f->id = b->schema->nfields++;
        type->nfields++;

        agg_gql_try(agg_gql_resolve(b, part->doc, &from->type_name,
                                    from->type_name_offset, &f->type.type));

        f->args = agg_gql_zeroed(b, from->args.n, sizeof(agg_gql_input_t));
        if (f->args == NULL) {
            return AGG_NOMEM;
        }

        agg_gql_try(agg_gql_fill_inputs(b, part->doc, &from->args, f,
                                        AGG_GQL_ON_ARGUMENT_DEFINITION,
                                        &f->name, "Argument", f->args,
                                        &f->nargs));

        agg_gql_try(agg_gql_add_target(b, part->doc, from->applied,
                                       AGG_GQL_ON_FIELD_DEFINITION, f));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_quote(agg_gql_build_t *b, const agg_str_t *name, agg_str_t *quoted)
{
    agg_buf_t  buf;

    agg_buf_init(&buf, b->mem, 1 << 20);

    agg_gql_try(agg_json_escape(&buf, name->data, name->len));

    quoted->data = buf.start;
    quoted->len = agg_buf_used(&buf);

    return AGG_OK;
}


static agg_rc_e
agg_gql_fill_values(agg_gql_build_t *b, agg_gql_type_t *type,
    agg_gql_part_t *part)
{
    agg_rc_e               rc;
    uint32_t               i;
    agg_gql_sdl_field_t   *from;
    agg_gql_enum_value_t  *v;

    for (i = 0; i < part->def->fields.n; i++) {
        from = &part->doc->sdl->fields[part->def->fields.first + i];
        v = &type->values[type->nvalues];

        v->name = from->name;
        v->description = from->description;
        v->loc.source = part->doc->source;
        v->loc.offset = from->offset;

        rc = agg_gql_table_add(&b->schema->table, b->mem, type, &v->name, v);

        if (rc == AGG_NOMEM) {
            return rc;
        }

        if (rc == AGG_INVALID) {
            agg_gql_try(agg_gql_bad(b, part->doc, from->name_offset,
                                    "Enum value \"%V.%V\" can only be "
                                    "defined once.", &type->name, &v->name));
            continue;
        }

        type->nvalues++;

        agg_gql_try(agg_gql_quote(b, &v->name, &v->json));
        agg_gql_try(agg_gql_add_target(b, part->doc, from->applied,
                                       AGG_GQL_ON_ENUM_VALUE, v));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_fill_inputs(agg_gql_build_t *b, agg_gql_doc_t *doc,
    const agg_gql_range_t *range, const void *owner, agg_gql_on_e on,
    const agg_str_t *of, const char *what, agg_gql_input_t *inputs,
    unsigned *n)
{
    agg_rc_e              rc;
    uint32_t              i;
    agg_gql_input_t      *in;
    agg_gql_pending_t    *pending;
    agg_gql_sdl_input_t  *from;

    for (i = 0; i < range->n; i++) {
        from = &doc->sdl->inputs[range->first + i];
        in = &inputs[*n];

        in->name = from->name;
        in->description = from->description;
        in->loc.source = doc->source;
        in->loc.offset = from->offset;
        in->type.wraps = from->wraps;
        in->json_name = from->name;
        in->index = *n;

        rc = agg_gql_table_add(&b->schema->table, b->mem, owner, &in->name,
                               in);

        if (rc == AGG_NOMEM) {
            return rc;
        }

        if (rc == AGG_INVALID) {
            agg_gql_try(agg_gql_bad(b, doc, from->name_offset,
                                    "%s \"%V.%V\" can only be defined once.",
                                    what, of, &in->name));
            continue;
        }

        (*n)++;

        agg_gql_try(agg_gql_quote(b, &in->json_name, &in->json_quoted));
        agg_gql_try(agg_gql_resolve(b, doc, &from->type_name,
                                    from->type_name_offset, &in->type.type));
        agg_gql_try(agg_gql_add_target(b, doc, from->applied, on, in));

        if (from->value == AGG_GQL_NONE) {
            continue;
        }

        in->has_default = 1;

        pending = agg_gql_new(b->mem, b->pending, b->npending);
        if (pending == NULL) {
            return AGG_NOMEM;
        }

        pending->input = in;
        pending->doc = doc;
        pending->value = from->value;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_fill_names(agg_gql_build_t *b, agg_gql_type_t *type,
    agg_gql_part_t *part, agg_gql_range_t *range, agg_gql_type_t **list,
    unsigned *n)
{
    agg_rc_e             rc;
    uint32_t             i;
    const char          *owner;
    agg_gql_type_t      *named;
    agg_gql_sdl_name_t  *name;

    owner = (const char *) type + 1;

    for (i = 0; i < range->n; i++) {
        name = &part->doc->sdl->names[range->first + i];

        agg_gql_try(agg_gql_resolve(b, part->doc, &name->name, name->offset,
                                    &named));

        if (named == NULL) {
            continue;
        }

        rc = agg_gql_table_add(&b->table, b->mem, owner, &name->name, named);

        if (rc == AGG_NOMEM) {
            return rc;
        }

        if (rc == AGG_INVALID) {
            agg_gql_try(agg_gql_bad(b, part->doc, name->offset,
                                    type->kind == AGG_GQL_UNION
                                    ? "Union type %V can only include type "
                                      "%V once."
                                    : "Type %V can only implement %V once.",
                                    &type->name, &name->name));
            continue;
        }

        if (type->kind == AGG_GQL_UNION
            && named->kind != AGG_GQL_OBJECT_TYPE)
        {
            agg_gql_try(agg_gql_bad(b, part->doc, name->offset,
                                    "Union type %V can only include Object "
                                    "types, it cannot include %V.",
                                    &type->name, &name->name));
            continue;
        }

        if (type->kind != AGG_GQL_UNION
            && (named->kind != AGG_GQL_INTERFACE || named == type))
        {
            agg_gql_try(agg_gql_bad(b, part->doc, name->offset,
                                    named == type
                                    ? "Type %V cannot implement itself "
                                      "because it would create a circular "
                                      "reference."
                                    : "Type %V must only implement Interface "
                                      "types, it cannot implement %V.",
                                    &type->name, &name->name));
            continue;
        }

        list[(*n)++] = named;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_fill_directive(agg_gql_build_t *b, agg_gql_part_t *part)
{
    uint32_t              i;
    agg_gql_on_e          on;
    agg_gql_doc_t        *doc;
    agg_gql_sdl_def_t    *def;
    agg_gql_directive_t  *d;

    doc = part->doc;
    def = part->def;

    d = agg_gql_directive_by_name(b->schema, &def->name);

    d->args = agg_gql_zeroed(b, def->inputs.n, sizeof(agg_gql_input_t));
    d->order = agg_gql_zeroed(b, def->names.n, sizeof(unsigned));

    if (d->args == NULL || d->order == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < def->names.n; i++) {
        on = agg_gql_on_by_name(&doc->sdl->names[def->names.first + i].name);
        d->locations |= 1u << on;
        d->order[d->nlocations++] = on;
    }

    return agg_gql_fill_inputs(b, doc, &def->inputs, d,
                               AGG_GQL_ON_ARGUMENT_DEFINITION, &def->name,
                               "Argument", d->args, &d->nargs);
}


/* sets the possible types of interfaces, and the bits of abstract types */

static agg_rc_e
agg_gql_fill_possible(agg_gql_build_t *b)
{
    size_t            words;
    unsigned          i, k, *counts;
    agg_gql_type_t   *type, *abstract;

    words = (b->schema->nobjects + 63) / 64;

    counts = agg_gql_zeroed(b, b->schema->ntypes, sizeof(unsigned));
    if (counts == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < b->schema->ntypes; i++) {
        type = b->schema->types[i];

        for (k = 0; type->kind == AGG_GQL_OBJECT_TYPE
                    && k < type->ninterfaces; k++)
        {
            counts[type->interfaces[k]->id]++;
        }
    }

    for (i = 0; i < b->schema->ntypes; i++) {
        type = b->schema->types[i];

        if (!agg_gql_is_abstract(type)) {
            continue;
        }

        type->bits = agg_gql_zeroed(b, words, sizeof(uint64_t));
        if (type->bits == NULL) {
            return AGG_NOMEM;
        }

        if (type->kind == AGG_GQL_INTERFACE) {
            type->possible = agg_gql_zeroed(b, counts[i],
                                            sizeof(agg_gql_type_t *));
            if (type->possible == NULL) {
                return AGG_NOMEM;
            }
        }

        for (k = 0; k < type->npossible; k++) {
            type->bits[type->possible[k]->object / 64]
                |= 1ull << type->possible[k]->object % 64;
        }
    }

    for (i = 0; i < b->schema->ntypes; i++) {
        type = b->schema->types[i];

        for (k = 0; type->kind == AGG_GQL_OBJECT_TYPE
                    && k < type->ninterfaces; k++)
        {
            abstract = type->interfaces[k];
            abstract->possible[abstract->npossible++] = type;
            abstract->bits[type->object / 64] |= 1ull << type->object % 64;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_resolve(agg_gql_build_t *b, agg_gql_doc_t *doc, const agg_str_t *name,
    uint32_t offset, agg_gql_type_t **type)
{
    agg_str_t  text;

    *type = agg_gql_any_type(b->schema, name);

    if (*type != NULL && (!(*type)->hidden || doc == b->docs)) {
        return AGG_OK;
    }

    *type = NULL;

    agg_gql_try(agg_gql_suggest_type(b->schema, b->errors, name, &text));

    return agg_gql_bad(b, doc, offset, "Unknown type \"%V\".%V", name, &text);
}


static agg_rc_e
agg_gql_add_target(agg_gql_build_t *b, agg_gql_doc_t *doc, uint32_t applied,
    agg_gql_on_e on, void *element)
{
    agg_gql_target_t  *target;

    if (applied == AGG_GQL_NONE) {
        return AGG_OK;
    }

    target = agg_gql_new(b->mem, b->targets, b->ntargets);
    if (target == NULL) {
        return AGG_NOMEM;
    }

    target->doc = doc;
    target->applied = applied;
    target->on = on;
    target->element = element;

    return AGG_OK;
}
