
/*
 * Building of a schema: sources are parsed, types are collected with their
 * extensions, then filled in, then checked.  All steps use flat lists, and
 * tables for names: O(n) except for the sorting of errors.
 */


#include "agg_gql_build.h"


static agg_rc_e agg_gql_build_parse(agg_gql_build_t *b,
    const agg_gql_source_t *sources, unsigned n);
static agg_rc_e agg_gql_build_collect(agg_gql_build_t *b);
static agg_rc_e agg_gql_collect(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_sdl_def_t *def, unsigned *hidden);
static agg_rc_e agg_gql_collect_type(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_sdl_def_t *def, unsigned hidden);
static agg_rc_e agg_gql_build_extend(agg_gql_build_t *b);
static agg_rc_e agg_gql_extend(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_sdl_def_t *def);
static agg_rc_e agg_gql_add_part(agg_gql_build_t *b, agg_gql_parts_t *parts,
    agg_gql_doc_t *doc, agg_gql_sdl_def_t *def);
static agg_rc_e agg_gql_build_roots(agg_gql_build_t *b);
static agg_rc_e agg_gql_build_root(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_sdl_name_t *name, unsigned *seen);
static agg_rc_e agg_gql_build_meta(agg_gql_build_t *b);
static agg_rc_e agg_gql_build_order(agg_gql_build_t *b);


static const char *const  agg_gql_operations[] = {
    "query", "mutation", "subscription"
};


agg_rc_e
agg_gql_schema_build(agg_gql_schema_t *schema, agg_mem_t *mem,
    const agg_gql_source_t *sources, unsigned n, agg_gql_errors_t *errors)
{
    unsigned         i;
    agg_gql_build_t  b;

    static agg_rc_e  (*const steps[])(agg_gql_build_t *b) = {
        agg_gql_build_collect,
        agg_gql_build_extend,
        agg_gql_build_fields,
        agg_gql_build_roots,
        agg_gql_build_applied,
        agg_gql_check_types,
        agg_gql_build_defaults,
        agg_gql_check_rest,
        agg_gql_build_order,
        agg_gql_build_meta
    };

    memset(schema, 0, sizeof(agg_gql_schema_t));
    memset(&b, 0, sizeof(agg_gql_build_t));

    schema->mem = mem;

    b.schema = schema;
    b.mem = mem;
    b.errors = errors;

    agg_gql_try(agg_gql_build_parse(&b, sources, n));

    /* each step relies on the earlier ones */

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        agg_gql_try(steps[i](&b));

        if (errors->n != 0) {
            return AGG_INVALID;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_build_parse(agg_gql_build_t *b, const agg_gql_source_t *sources,
    unsigned n)
{
    agg_rc_e           rc;
    unsigned           i;
    agg_gql_source_t  *prelude;

    b->ndocs = n + 1;

    b->docs = b->mem->alloc(b->mem->ctx, b->ndocs * sizeof(agg_gql_doc_t));
    prelude = b->mem->alloc(b->mem->ctx, sizeof(agg_gql_source_t));

    if (b->docs == NULL || prelude == NULL) {
        return AGG_NOMEM;
    }

    prelude->name.data = (u_char *) "built in";
    prelude->name.len = 8;
    prelude->text.data = (u_char *) agg_gql_prelude;
    prelude->text.len = strlen(agg_gql_prelude);

    for (i = 0; i < b->ndocs; i++) {
        b->errors->key = (uint64_t) i << 40;

        rc = agg_gql_parse(&b->docs[i], b->mem,
                           (i == 0) ? prelude : &sources[i - 1], 0,
                           b->errors);

        if (rc == AGG_NOMEM) {
            return rc;
        }
    }

    return (b->errors->n != 0) ? AGG_INVALID : AGG_OK;
}


agg_rc_e
agg_gql_bad(agg_gql_build_t *b, const agg_gql_doc_t *doc, uint32_t offset,
    const char *fmt, ...)
{
    va_list    args;
    agg_rc_e   rc;
    agg_buf_t  buf;
    agg_str_t  text;

    b->errors->key = (uint64_t) (doc - b->docs) << 40 | (uint64_t) offset << 9;

    agg_buf_init(&buf, b->mem, 1 << 16);

    va_start(args, fmt);
    rc = agg_gql_putv(&buf, fmt, args);
    va_end(args);

    if (rc == AGG_NOMEM) {
        return rc;
    }

    text.data = buf.start;
    text.len = agg_buf_used(&buf);

    rc = agg_gql_error(b->errors, AGG_GQL_VALIDATION_FAILED, doc->source,
                       &offset, 1, "%W", &text);

    return (rc == AGG_NOMEM) ? rc : AGG_OK;
}


agg_rc_e
agg_gql_bad_at(agg_gql_build_t *b, const agg_gql_loc_t *loc, const char *fmt,
    ...)
{
    va_list    args;
    agg_rc_e   rc;
    unsigned   i;
    agg_buf_t  buf;
    agg_str_t  text;

    agg_buf_init(&buf, b->mem, 1 << 16);

    va_start(args, fmt);
    rc = agg_gql_putv(&buf, fmt, args);
    va_end(args);

    if (rc == AGG_NOMEM) {
        return rc;
    }

    text.data = buf.start;
    text.len = agg_buf_used(&buf);

    for (i = 0; i < b->ndocs - 1; i++) {
        if (b->docs[i].source == loc->source) {
            break;
        }
    }

    return agg_gql_bad(b, &b->docs[i], loc->offset, "%W", &text);
}


static agg_rc_e
agg_gql_build_collect(agg_gql_build_t *b)
{
    unsigned        i, hidden;
    uint32_t        k;
    agg_gql_doc_t  *doc;

    hidden = 0;

    for (i = 0; i < b->ndocs; i++) {
        doc = &b->docs[i];

        for (k = 0; k < doc->ndefs; k++) {

            if (doc->defs[k].kind != AGG_GQL_DEF_SDL) {
                agg_gql_try(agg_gql_bad(b, doc,
                    doc->defs[k].kind == AGG_GQL_DEF_OPERATION
                    ? doc->operations[doc->defs[k].index].offset
                    : doc->fragments[doc->defs[k].index].offset,
                    "A schema has no operations and no fragments."));
                continue;
            }

            agg_gql_try(agg_gql_collect(b, doc,
                                        &doc->sdl->defs[doc->defs[k].index],
                                        &hidden));
        }

        hidden = 0;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_collect(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_sdl_def_t *def, unsigned *hidden)
{
    unsigned              builtin;
    agg_gql_directive_t  *d, **list;

    static const agg_str_t  any = { 5, (u_char *) "__Any" };

    builtin = (doc == b->docs);

    if (def->kind == AGG_GQL_SDL_SCHEMA) {

        if (!def->extend && b->roots.first != NULL) {
            return agg_gql_bad(b, doc, def->offset,
                               "Must provide only one schema definition.");
        }

        return def->extend ? AGG_OK
                           : agg_gql_add_part(b, &b->roots, doc, def);
    }

    if (def->extend) {
        return AGG_OK;
    }

    if (builtin && agg_gql_equal(&def->name, &any)) {
        *hidden = 1;
    }

    if (def->kind != AGG_GQL_SDL_DIRECTIVE) {
        return agg_gql_collect_type(b, doc, def, *hidden);
    }

    d = agg_gql_directive_by_name(b->schema, &def->name);

    if (d != NULL) {

        /*
         * tools write built-in directives, and ours, into the schema: ignore
         * them
         */

        if (d->builtin || d->hidden) {
            return AGG_OK;
        }

        return agg_gql_bad(b, doc, def->name_offset,
                           "There can be only one directive named \"@%V\".",
                           &def->name);
    }

    d = b->mem->alloc(b->mem->ctx, sizeof(agg_gql_directive_t));
    list = agg_gql_new_pointer(b->mem, b->schema->directives,
                               b->schema->ndirectives);

    if (d == NULL || list == NULL) {
        return AGG_NOMEM;
    }

    memset(d, 0, sizeof(agg_gql_directive_t));
    *list = d;

    d->name = def->name;
    d->description = def->description;
    d->loc.source = doc->source;
    d->loc.offset = def->offset;
    d->repeatable = def->repeatable;
    d->builtin = builtin;
    d->hidden = *hidden;
    d->index = b->schema->ndirectives - 1;

    agg_gql_try(agg_gql_add_directive(b->schema, d));

    return agg_gql_add_part(b, &b->directives, doc, def);
}


static agg_rc_e
agg_gql_collect_type(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_sdl_def_t *def, unsigned hidden)
{
    unsigned          i;
    agg_gql_type_t   *type, **list;
    agg_gql_parts_t  *parts;

    static const char *const  scalars[] = {
        "", "Int", "Float", "String", "Boolean", "ID"
    };

    type = agg_gql_any_type(b->schema, &def->name);

    if (type != NULL) {

        if (type->kind == AGG_GQL_SCALAR && type->builtin
            && def->kind == AGG_GQL_SDL_SCALAR)
        {
            return AGG_OK;
        }

        return agg_gql_bad(b, doc, def->name_offset,
                           "There can be only one type named \"%V\".",
                           &def->name);
    }

    type = b->mem->alloc(b->mem->ctx, sizeof(agg_gql_type_t));
    list = agg_gql_new_pointer(b->mem, b->schema->types, b->schema->ntypes);
    parts = agg_gql_new(b->mem, b->parts, b->nparts);

    if (type == NULL || list == NULL || parts == NULL) {
        return AGG_NOMEM;
    }

    memset(type, 0, sizeof(agg_gql_type_t));
    *list = type;

    type->kind = (agg_gql_kind_e) (def->kind - AGG_GQL_SDL_SCALAR);
    type->name = def->name;
    type->description = def->description;
    type->loc.source = doc->source;
    type->loc.offset = def->offset;
    type->id = b->schema->ntypes - 1;
    type->builtin = (doc == b->docs);
    type->hidden = hidden;

    if (type->builtin && type->kind == AGG_GQL_SCALAR && !hidden) {

        for (i = AGG_GQL_SCALAR_INT; i <= AGG_GQL_SCALAR_ID; i++) {
            if (strlen(scalars[i]) == type->name.len
                && memcmp(scalars[i], type->name.data, type->name.len) == 0)
            {
                type->scalar = (agg_gql_scalar_e) i;
            }
        }

    } else if (type->builtin && !hidden) {
        type->introspection = 1;

        /* the parent of the meta fields is not visible as a type */

        type->hidden = (type->name.len == 6 && type->name.data[2] == 'M');
    }

    if (type->kind == AGG_GQL_OBJECT_TYPE) {
        type->object = b->schema->nobjects++;
    }

    agg_gql_try(agg_gql_add_part(b, parts, doc, def));

    return agg_gql_add_type(b->schema, type);
}


static agg_rc_e
agg_gql_add_part(agg_gql_build_t *b, agg_gql_parts_t *parts,
    agg_gql_doc_t *doc, agg_gql_sdl_def_t *def)
{
    agg_gql_part_t  *part;

    part = b->mem->alloc(b->mem->ctx, sizeof(agg_gql_part_t));
    if (part == NULL) {
        return AGG_NOMEM;
    }

    part->doc = doc;
    part->def = def;
    part->next = NULL;

    if (parts->last != NULL) {
        parts->last->next = part;

    } else {
        parts->first = part;
    }

    parts->last = part;

    return AGG_OK;
}


static agg_rc_e
agg_gql_build_extend(agg_gql_build_t *b)
{
    unsigned        i;
    uint32_t        k;
    agg_gql_doc_t  *doc;

    for (i = 1; i < b->ndocs; i++) {
        doc = &b->docs[i];

        for (k = 0; doc->sdl != NULL && k < doc->sdl->ndefs; k++) {
            if (doc->sdl->defs[k].extend) {
                agg_gql_try(agg_gql_extend(b, doc, &doc->sdl->defs[k]));
            }
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_extend(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_sdl_def_t *def)
{
    agg_str_t        text;
    agg_gql_type_t  *type;

    static const char *const  kinds[] = {
        "scalar", "object", "interface", "union", "enum", "input object"
    };

    if (def->kind == AGG_GQL_SDL_SCHEMA) {
        return agg_gql_add_part(b, &b->roots, doc, def);
    }

    type = agg_gql_type_by_name(b->schema, &def->name);

    if (type == NULL) {
        agg_gql_try(agg_gql_suggest_type(b->schema, b->errors, &def->name,
                                         &text));

        return agg_gql_bad(b, doc, def->name_offset,
                           "Cannot extend type \"%V\" because it is not "
                           "defined.%V", &def->name, &text);
    }

    if ((unsigned) type->kind != (unsigned) def->kind - AGG_GQL_SDL_SCALAR) {
        return agg_gql_bad(b, doc, def->offset,
                           "Cannot extend non-%s type \"%V\".",
                           kinds[def->kind - AGG_GQL_SDL_SCALAR], &def->name);
    }

    if (type->builtin) {
        return agg_gql_bad(b, doc, def->offset,
                           "Cannot extend the built-in type \"%V\".",
                           &def->name);
    }

    return agg_gql_add_part(b, &b->parts[type->id], doc, def);
}


/* the "schema" definition and its extensions, or the default root types */

static agg_rc_e
agg_gql_build_roots(agg_gql_build_t *b)
{
    unsigned          seen, defined;
    uint32_t          i;
    agg_gql_part_t   *part;
    agg_gql_loc_t     loc;
    agg_gql_type_t   *type;

    static const agg_str_t  names[] = {
        { 5, (u_char *) "Query" },
        { 8, (u_char *) "Mutation" },
        { 12, (u_char *) "Subscription" }
    };

    seen = 0;
    defined = (b->roots.first != NULL && !b->roots.first->def->extend);

    if (!defined) {
        b->schema->query = agg_gql_type_by_name(b->schema, &names[0]);
        b->schema->mutation = agg_gql_type_by_name(b->schema, &names[1]);
        b->schema->subscription = agg_gql_type_by_name(b->schema, &names[2]);
    }

    for (part = b->roots.first; part != NULL; part = part->next) {

        if (part->def->description.data != NULL) {
            b->schema->description = part->def->description;
        }

        for (i = 0; i < part->def->names.n; i++) {
            agg_gql_try(agg_gql_build_root(b, part->doc,
                            &part->doc->sdl->names[part->def->names.first + i],
                            &seen));
        }
    }

    loc.source = b->docs[b->ndocs - 1].source;
    loc.offset = 0;

    if (b->schema->query == NULL) {
        return agg_gql_bad_at(b, &loc, "Query root type must be provided.");
    }

    type = b->schema->query;

    if (type->kind != AGG_GQL_OBJECT_TYPE) {
        agg_gql_try(agg_gql_bad_at(b, &type->loc,
                                   "Query root type must be Object type, it "
                                   "cannot be %V.", &type->name));
    }

    type = b->schema->mutation;

    if (type != NULL && type->kind != AGG_GQL_OBJECT_TYPE) {
        agg_gql_try(agg_gql_bad_at(b, &type->loc,
                                   "Mutation root type must be Object type if "
                                   "provided, it cannot be %V.",
                                   &type->name));
    }

    if (type == b->schema->query) {
        agg_gql_try(agg_gql_bad_at(b, &type->loc,
                                   "All root types must be different, \"%V\" "
                                   "type is used as query and mutation root "
                                   "types.", &type->name));
    }

    type = b->schema->subscription;

    if (type != NULL) {
        agg_gql_try(agg_gql_bad_at(b, &type->loc,
                                   "Subscriptions are not supported."));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_build_root(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_sdl_name_t *name, unsigned *seen)
{
    agg_str_t         text;
    agg_gql_type_t   *type;
    agg_gql_type_t  **roots[3];

    roots[0] = &b->schema->query;
    roots[1] = &b->schema->mutation;
    roots[2] = &b->schema->subscription;

    if (*seen & 1u << name->operation) {
        return agg_gql_bad(b, doc, name->node_offset,
                           "There can be only one %s type in schema.",
                           agg_gql_operations[name->operation]);
    }

    *seen |= 1u << name->operation;

    type = agg_gql_type_by_name(b->schema, &name->name);

    if (type == NULL) {
        agg_gql_try(agg_gql_suggest_type(b->schema, b->errors, &name->name,
                                         &text));

        return agg_gql_bad(b, doc, name->offset, "Unknown type \"%V\".%V",
                           &name->name, &text);
    }

    *roots[name->operation] = type;

    return AGG_OK;
}


static agg_rc_e
agg_gql_build_meta(agg_gql_build_t *b)
{
    agg_gql_type_t  *meta;

    static const agg_str_t  name = { 6, (u_char *) "__Meta" };

    meta = agg_gql_any_type(b->schema, &name);

    b->schema->typename_field = &meta->fields[0];
    b->schema->schema_field = &meta->fields[1];
    b->schema->type_field = &meta->fields[2];

    return AGG_OK;
}


/* lists types in the order of graphql-js */

typedef struct {
    agg_gql_type_t          *type;
    unsigned                 next;
    unsigned                 arg;
} agg_gql_walk_t;


static agg_gql_type_t *
agg_gql_walk_next(agg_gql_walk_t *w)
{
    unsigned          i;
    agg_gql_type_t   *type;
    agg_gql_field_t  *f;

    type = w->type;
    i = w->next;

    switch (type->kind) {

    case AGG_GQL_UNION:
        if (i < type->npossible) {
            w->next++;
            return type->possible[i];
        }

        return NULL;

    case AGG_GQL_INPUT_OBJECT:
        if (i < type->ninputs) {
            w->next++;
            return type->inputs[i].type.type;
        }

        return NULL;

    case AGG_GQL_OBJECT_TYPE:
    case AGG_GQL_INTERFACE:
        if (i < type->ninterfaces) {
            w->next++;
            return type->interfaces[i];
        }

        i -= type->ninterfaces;

        if (i == type->nfields) {
            return NULL;
        }

        f = &type->fields[i];

        if (w->arg == f->nargs) {
            w->next++;
            w->arg = 0;

        } else {
            w->arg++;
        }

        /* the type of the field comes first, then those of its arguments */

        return (w->arg == 0)
               ? ((f->nargs == 0) ? f->type.type
                                  : f->args[f->nargs - 1].type.type)
               : ((w->arg == 1) ? f->type.type
                                : f->args[w->arg - 2].type.type);

    default:
        return NULL;
    }
}


static agg_rc_e
agg_gql_walk(agg_gql_build_t *b, agg_gql_type_t *type, agg_gql_walk_t *stack,
    u_char *seen)
{
    unsigned  n;

    n = 0;

    for ( ;; ) {

        if (type != NULL && !seen[type->id] && !type->hidden) {
            seen[type->id] = 1;
            b->schema->ordered[b->schema->nordered++] = type;

            stack[n].type = type;
            stack[n].next = 0;
            stack[n].arg = 0;
            n++;
        }

        for ( ;; ) {

            if (n == 0) {
                return AGG_OK;
            }

            type = agg_gql_walk_next(&stack[n - 1]);

            if (type != NULL) {
                break;
            }

            n--;
        }
    }
}


static agg_rc_e
agg_gql_build_order(agg_gql_build_t *b)
{
    size_t             n;
    u_char            *seen;
    unsigned           i, k, builtin;
    agg_gql_walk_t    *stack;
    agg_gql_schema_t  *s;

    agg_gql_directive_t  *d;

    static const agg_str_t  name = { 8, (u_char *) "__Schema" };

    s = b->schema;
    n = s->ntypes;

    s->ordered = b->mem->alloc(b->mem->ctx, n * sizeof(agg_gql_type_t *));
    s->shown = b->mem->alloc(b->mem->ctx,
                             s->ndirectives * sizeof(agg_gql_directive_t *));
    stack = b->mem->alloc(b->mem->ctx, n * sizeof(agg_gql_walk_t));
    seen = b->mem->alloc(b->mem->ctx, n);

    if (s->ordered == NULL || s->shown == NULL || stack == NULL
        || seen == NULL)
    {
        return AGG_NOMEM;
    }

    memset(seen, 0, n);

    /*
     * Types are listed in the order in which they are written, unless an
     * earlier type refers to them.
     */

    for (i = 0; i < s->ntypes; i++) {
        if (!s->types[i]->builtin) {
            seen[i] = 1;
        }
    }

    for (i = 0; i < s->ntypes; i++) {
        if (!s->types[i]->builtin) {
            seen[i] = 0;
            agg_gql_try(agg_gql_walk(b, s->types[i], stack, seen));
        }
    }

    /* the directives of the user come before the built-in ones */

    for (builtin = 0; builtin < 2; builtin++) {

        for (i = 0; i < s->ndirectives; i++) {
            d = s->directives[i];

            if (d->hidden || d->builtin != builtin) {
                continue;
            }

            s->shown[s->nshown++] = d;

            for (k = 0; k < d->nargs; k++) {
                agg_gql_try(agg_gql_walk(b, d->args[k].type.type, stack,
                                         seen));
            }
        }
    }

    return agg_gql_walk(b, agg_gql_any_type(s, &name), stack, seen);
}
