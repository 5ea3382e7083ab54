
/*
 * Type validation (section 3 of the specification), and the defaults of
 * arguments and input fields.
 */


#include "agg_gql_build.h"
#include "agg_gql_literal.h"


/* the maximum size of a default, including those of its fields */

#define AGG_GQL_MAX_DEFAULT  65536


static agg_rc_e agg_gql_check_type(agg_gql_build_t *b, agg_gql_type_t *type);
static agg_rc_e agg_gql_check_name(agg_gql_build_t *b, const agg_str_t *name,
    const agg_gql_loc_t *loc);
static agg_rc_e agg_gql_check_output(agg_gql_build_t *b,
    agg_gql_type_t *type);
static agg_rc_e agg_gql_check_input(agg_gql_build_t *b, agg_gql_input_t *in,
    const char *what, const agg_str_t *type, const agg_str_t *field,
    unsigned arg);
static agg_rc_e agg_gql_check_interface(agg_gql_build_t *b,
    agg_gql_type_t *type, agg_gql_type_t *interface);
static agg_rc_e agg_gql_check_implements(agg_gql_build_t *b,
    agg_gql_type_t *type, agg_gql_type_t *interface, agg_gql_field_t *of,
    agg_gql_field_t *field);
static agg_rc_e agg_gql_check_input_cycles(agg_gql_build_t *b);
static agg_rc_e agg_gql_input_cycle(agg_gql_build_t *b,
    const agg_gql_type_t *type, agg_gql_input_t **path, unsigned n);
static agg_rc_e agg_gql_write_default(agg_gql_build_t *b,
    agg_gql_pending_t *p);


agg_rc_e
agg_gql_check_types(agg_gql_build_t *b)
{
    unsigned              i, k;
    agg_gql_directive_t  *d;

    for (i = 0; i < b->schema->ndirectives; i++) {
        d = b->schema->directives[i];

        if (d->builtin) {
            continue;
        }

        agg_gql_try(agg_gql_check_name(b, &d->name, &d->loc));

        for (k = 0; k < d->nargs; k++) {
            agg_gql_try(agg_gql_check_input(b, &d->args[k], "@", &d->name,
                                            NULL, 1));
        }
    }

    for (i = 0; i < b->schema->ntypes; i++) {
        if (!b->schema->types[i]->builtin) {
            agg_gql_try(agg_gql_check_type(b, b->schema->types[i]));
        }
    }

    return agg_gql_check_input_cycles(b);
}


static agg_rc_e
agg_gql_check_name(agg_gql_build_t *b, const agg_str_t *name,
    const agg_gql_loc_t *loc)
{
    if (name->len < 2 || memcmp(name->data, "__", 2) != 0) {
        return AGG_OK;
    }

    return agg_gql_bad_at(b, loc, "Name \"%V\" must not begin with \"__\", "
                          "which is reserved by GraphQL introspection.",
                          name);
}


static agg_rc_e
agg_gql_check_type(agg_gql_build_t *b, agg_gql_type_t *type)
{
    unsigned          i;
    agg_gql_input_t  *in;

    agg_gql_try(agg_gql_check_name(b, &type->name, &type->loc));

    switch (type->kind) {

    case AGG_GQL_OBJECT_TYPE:
    case AGG_GQL_INTERFACE:
        return agg_gql_check_output(b, type);

    case AGG_GQL_UNION:
        if (type->npossible == 0) {
            return agg_gql_bad_at(b, &type->loc, "Union type %V must define "
                                  "one or more member types.", &type->name);
        }

        return AGG_OK;

    case AGG_GQL_ENUM_TYPE:
        if (type->nvalues == 0) {
            return agg_gql_bad_at(b, &type->loc, "Enum type %V must define "
                                  "one or more values.", &type->name);
        }

        for (i = 0; i < type->nvalues; i++) {
            agg_gql_try(agg_gql_check_name(b, &type->values[i].name,
                                           &type->values[i].loc));
        }

        return AGG_OK;

    case AGG_GQL_INPUT_OBJECT:
        if (type->ninputs == 0) {
            return agg_gql_bad_at(b, &type->loc, "Input Object type %V must "
                                  "define one or more fields.", &type->name);
        }

        for (i = 0; i < type->ninputs; i++) {
            in = &type->inputs[i];

            agg_gql_try(agg_gql_check_input(b, in, "", &type->name, NULL, 0));

            if (type->one_of && agg_gql_non_null(in->type.wraps)) {
                agg_gql_try(agg_gql_bad_at(b, &in->loc,
                                           "OneOf input field %V.%V must be "
                                           "nullable.", &type->name,
                                           &in->name));
            }

            if (type->one_of && in->has_default) {
                agg_gql_try(agg_gql_bad_at(b, &in->loc,
                                           "OneOf input field %V.%V cannot "
                                           "have a default value.",
                                           &type->name, &in->name));
            }
        }

        return AGG_OK;

    default:
        return AGG_OK;
    }
}


/* an argument, or a field of an input object */

static agg_rc_e
agg_gql_check_input(agg_gql_build_t *b, agg_gql_input_t *in, const char *what,
    const agg_str_t *type, const agg_str_t *field, unsigned arg)
{
    agg_buf_t  buf;
    agg_str_t  of, text;

    agg_gql_try(agg_gql_check_name(b, &in->name, &in->loc));

    if (agg_gql_is_input(in->type.type)
        && (!agg_gql_is_required(in) || in->deprecated.data == NULL))
    {
        return AGG_OK;
    }

    agg_buf_init(&buf, b->mem, 1 << 16);

    agg_gql_try(agg_gql_put(&buf, "%s%V", what, type));

    if (field != NULL) {
        agg_gql_try(agg_gql_put(&buf, ".%V", field));
    }

    agg_gql_try(agg_gql_put(&buf, arg ? "(%V:)" : ".%V", &in->name));

    of.data = buf.start;
    of.len = agg_buf_used(&buf);

    if (!agg_gql_is_input(in->type.type)) {
        agg_gql_try(agg_gql_type_text(b->mem, &in->type.type->name,
                                      in->type.wraps, &text));

        return agg_gql_bad_at(b, &in->loc, "The type of %V must be Input Type "
                              "but got: %V.", &of, &text);
    }

    return agg_gql_bad_at(b, &in->loc, "Required %s %V cannot be deprecated.",
                          arg ? "argument" : "input field", &of);
}


static agg_rc_e
agg_gql_check_output(agg_gql_build_t *b, agg_gql_type_t *type)
{
    unsigned          i, k;
    agg_str_t         text;
    agg_gql_field_t  *f;

    if (type->nfields == 0) {
        agg_gql_try(agg_gql_bad_at(b, &type->loc, "Type %V must define one or "
                                   "more fields.", &type->name));
    }

    for (i = 0; i < type->nfields; i++) {
        f = &type->fields[i];

        agg_gql_try(agg_gql_check_name(b, &f->name, &f->loc));

        if (!agg_gql_is_output(f->type.type)) {
            agg_gql_try(agg_gql_type_text(b->mem, &f->type.type->name,
                                          f->type.wraps, &text));
            agg_gql_try(agg_gql_bad_at(b, &f->loc,
                                       "The type of %V.%V must be Output Type "
                                       "but got: %V.", &type->name, &f->name,
                                       &text));
        }

        for (k = 0; k < f->nargs; k++) {
            agg_gql_try(agg_gql_check_input(b, &f->args[k], "", &type->name,
                                            &f->name, 1));
        }
    }

    for (i = 0; i < type->ninterfaces; i++) {
        agg_gql_try(agg_gql_check_interface(b, type, type->interfaces[i]));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_check_interface(agg_gql_build_t *b, agg_gql_type_t *type,
    agg_gql_type_t *interface)
{
    unsigned          i;
    agg_str_t         expected, found;
    agg_gql_type_t   *other;
    agg_gql_field_t  *f, *of;

    for (i = 0; i < interface->ninterfaces; i++) {
        other = interface->interfaces[i];

        if (other != type && agg_gql_implements(type, other)) {
            continue;
        }

        if (other == type) {
            agg_gql_try(agg_gql_bad_at(b, &type->loc,
                                       "Type %V cannot implement %V because "
                                       "it would create a circular reference.",
                                       &type->name, &interface->name));
            continue;
        }

        agg_gql_try(agg_gql_bad_at(b, &type->loc,
                                   "Type %V must implement %V because it is "
                                   "implemented by %V.", &type->name,
                                   &other->name, &interface->name));
    }

    for (i = 0; i < interface->nfields; i++) {
        of = &interface->fields[i];
        f = agg_gql_field_by_name(b->schema, type, &of->name);

        if (f == NULL) {
            agg_gql_try(agg_gql_bad_at(b, &type->loc,
                                       "Interface field %V.%V expected but %V "
                                       "does not provide it.",
                                       &interface->name, &of->name,
                                       &type->name));
            continue;
        }

        if (!agg_gql_is_subtype(&f->type, &of->type)) {
            agg_gql_try(agg_gql_type_text(b->mem, &of->type.type->name,
                                          of->type.wraps, &expected));
            agg_gql_try(agg_gql_type_text(b->mem, &f->type.type->name,
                                          f->type.wraps, &found));
            agg_gql_try(agg_gql_bad_at(b, &f->loc,
                                       "Interface field %V.%V expects type %V "
                                       "but %V.%V is type %V.",
                                       &interface->name, &of->name, &expected,
                                       &type->name, &f->name, &found));
        }

        agg_gql_try(agg_gql_check_implements(b, type, interface, of, f));
    }

    return AGG_OK;
}


/* checks the arguments of a field that an interface also has */

static agg_rc_e
agg_gql_check_implements(agg_gql_build_t *b, agg_gql_type_t *type,
    agg_gql_type_t *interface, agg_gql_field_t *of, agg_gql_field_t *field)
{
    unsigned          i;
    agg_str_t         expected, found;
    agg_gql_input_t  *arg, *other;

    for (i = 0; i < of->nargs; i++) {
        arg = &of->args[i];
        other = agg_gql_input_by_name(b->schema, field, &arg->name);

        if (other == NULL) {
            agg_gql_try(agg_gql_bad_at(b, &field->loc,
                                       "Interface field argument %V.%V(%V:) "
                                       "expected but %V.%V does not provide "
                                       "it.", &interface->name, &of->name,
                                       &arg->name, &type->name,
                                       &field->name));
            continue;
        }

        if (arg->type.type != other->type.type
            || arg->type.wraps != other->type.wraps)
        {
            agg_gql_try(agg_gql_type_text(b->mem, &arg->type.type->name,
                                          arg->type.wraps, &expected));
            agg_gql_try(agg_gql_type_text(b->mem, &other->type.type->name,
                                          other->type.wraps, &found));
            agg_gql_try(agg_gql_bad_at(b, &other->loc,
                                       "Interface field argument %V.%V(%V:) "
                                       "expects type %V but %V.%V(%V:) is "
                                       "type %V.", &interface->name, &of->name,
                                       &arg->name, &expected, &type->name,
                                       &field->name, &arg->name, &found));
        }
    }

    for (i = 0; i < field->nargs; i++) {
        arg = &field->args[i];

        if (agg_gql_is_required(arg)
            && agg_gql_input_by_name(b->schema, of, &arg->name) == NULL)
        {
            agg_gql_try(agg_gql_bad_at(b, &arg->loc,
                                       "Object field %V.%V includes required "
                                       "argument %V that is missing from the "
                                       "Interface field %V.%V.", &type->name,
                                       &field->name, &arg->name,
                                       &interface->name, &of->name));
        }
    }

    return AGG_OK;
}


/*
 * Refuses input objects that contain each other through non-null fields, as no
 * value could exist.  A depth-first search; the stack has room for all types.
 */

static agg_rc_e
agg_gql_check_input_cycles(agg_gql_build_t *b)
{
    u_char            *state;
    unsigned           i, k, n, *next;
    agg_gql_type_t    *type, **stack;
    agg_gql_input_t   *in, **path;

    n = b->schema->ntypes;

    state = b->mem->alloc(b->mem->ctx, n);
    next = b->mem->alloc(b->mem->ctx, n * sizeof(unsigned));
    stack = b->mem->alloc(b->mem->ctx, n * sizeof(agg_gql_type_t *));
    path = b->mem->alloc(b->mem->ctx, n * sizeof(agg_gql_input_t *));

    if (state == NULL || next == NULL || stack == NULL || path == NULL) {
        return AGG_NOMEM;
    }

    memset(state, 0, n);

    for (i = 0; i < b->schema->ntypes; i++) {

        if (b->schema->types[i]->kind != AGG_GQL_INPUT_OBJECT || state[i]) {
            continue;
        }

        n = 0;
        stack[n] = b->schema->types[i];
        next[n++] = 0;
        state[i] = 1;

        while (n != 0) {
            type = stack[n - 1];

            if (next[n - 1] == type->ninputs) {
                state[type->id] = 2;
                n--;
                continue;
            }

            in = &type->inputs[next[n - 1]++];

            if (in->type.wraps != AGG_GQL_IS_NON_NULL
                || in->type.type->kind != AGG_GQL_INPUT_OBJECT)
            {
                continue;
            }

            path[n - 1] = in;

            if (state[in->type.type->id] == 1) {

                /* the cycle starts where the type is on the stack */

                for (k = n - 1; stack[k] != in->type.type; k--) {
                    /* void */
                }

                return agg_gql_input_cycle(b, in->type.type, path + k, n - k);
            }

            if (state[in->type.type->id] == 0) {
                state[in->type.type->id] = 1;
                stack[n] = in->type.type;
                next[n++] = 0;
            }
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_input_cycle(agg_gql_build_t *b, const agg_gql_type_t *type,
    agg_gql_input_t **path, unsigned n)
{
    unsigned   i;
    agg_buf_t  buf;
    agg_str_t  text;

    agg_buf_init(&buf, b->mem, AGG_GQL_MAX_SOURCE);

    for (i = 0; i < n; i++) {
        agg_gql_try(agg_gql_put(&buf, (i == 0) ? "%V" : ".%V",
                                &path[i]->name));
    }

    text.data = buf.start;
    text.len = agg_buf_used(&buf);

    return agg_gql_bad_at(b, &path[0]->loc,
                          "Cannot reference Input Object \"%V\" within itself "
                          "through a series of non-null fields: \"%V\".",
                          &type->name, &text);
}


/*
 * A default may need the defaults of the fields of its type, so passes over
 * all of them are repeated until nothing is left, or nothing changes.
 */

agg_rc_e
agg_gql_build_defaults(agg_gql_build_t *b)
{
    agg_rc_e            rc;
    uint32_t            i, left, before;
    agg_gql_check_t     c;
    agg_gql_pending_t  *p;

    memset(&c, 0, sizeof(agg_gql_check_t));

    c.schema = b->schema;
    c.mem = b->mem;
    c.errors = b->errors;
    c.sdl = 1;

    for (i = 0; i < b->npending; i++) {
        p = &b->pending[i];

        c.doc = p->doc;
        c.base = (uint64_t) (p->doc - b->docs) << 40;

        agg_gql_try(agg_gql_check_value(&c, p->value, p->input->type.type,
                                        p->input->type.wraps, p->input));
    }

    if (b->errors->n != 0) {
        return AGG_INVALID;
    }

    left = b->npending;

    do {
        before = left;

        /* the first pass runs backwards, as most defaults need later ones */

        for (i = b->npending; i-- != 0; /* void */ ) {
            p = &b->pending[i];

            if (p->ready) {
                continue;
            }

            rc = agg_gql_write_default(b, p);

            if (rc == AGG_TOO_LARGE) {
                return agg_gql_bad_at(b, &p->input->loc,
                                      "The default of \"%V\" is too large.",
                                      &p->input->name);
            }

            if (rc == AGG_OK) {
                p->ready = 1;
                left--;

            } else if (rc != AGG_AGAIN) {
                return rc;
            }
        }

    } while (left != 0 && left != before);

    for (i = 0; i < b->npending; i++) {
        p = &b->pending[i];

        if (!p->ready) {
            agg_gql_try(agg_gql_bad_at(b, &p->input->loc,
                                       "The default of \"%V\" needs itself.",
                                       &p->input->name));
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_write_default(agg_gql_build_t *b, agg_gql_pending_t *p)
{
    agg_buf_t          buf;
    agg_gql_literal_t  w;

    w.doc = p->doc;
    w.operation = 0;
    w.values = NULL;
    w.out = &buf;

    agg_buf_init(&buf, b->mem, AGG_GQL_MAX_DEFAULT);
    w.text = 1;
    agg_gql_try(agg_gql_write_literal(&w, p->value));

    p->input->default_text.data = buf.start;
    p->input->default_text.len = agg_buf_used(&buf);

    agg_buf_init(&buf, b->mem, AGG_GQL_MAX_DEFAULT);
    w.text = 0;
    agg_gql_try(agg_gql_write_literal(&w, p->value));

    p->input->default_json.data = buf.start;
    p->input->default_json.len = agg_buf_used(&buf);

    return AGG_OK;
}
