
/*
 * Bindings of a schema: the fields and types that have one, and the graph of
 * the types, which tells what can be reached from a type, and what encloses it.
 */


#include "agg_gql_bind.h"


static agg_rc_e agg_gql_bind_graph(agg_gql_binder_t *b);
static void agg_gql_bind_edges(agg_gql_binder_t *b, uint32_t *first,
    uint32_t *sources);
static void agg_gql_bind_walk(agg_gql_binder_t *b, uint32_t n);
static agg_rc_e agg_gql_bind_type(agg_gql_binder_t *b, agg_gql_type_t *type);
static agg_gql_binding_t *agg_gql_bind_create(agg_gql_binder_t *b,
    const agg_gql_text_t *allow, const agg_gql_field_t *field);


agg_rc_e
agg_gql_bind(agg_gql_schema_t *schema, agg_mem_t *mem,
    agg_gql_variable_pt variable, void *ctx, u_char **reaches,
    agg_gql_errors_t *errors)
{
    uint32_t           n;
    unsigned           i, k;
    agg_rc_e           rc;
    agg_gql_type_t    *type;
    agg_gql_binder_t   b;

    memset(&b, 0, sizeof(agg_gql_binder_t));

    b.schema = schema;
    b.mem = mem;
    b.variable = variable;
    b.ctx = ctx;
    b.errors = errors;

    rc = agg_gql_bind_graph(&b);
    if (rc != AGG_OK) {
        return rc;
    }

    for (i = 0; i < schema->ntypes; i++) {
        rc = agg_gql_bind_type(&b, schema->types[i]);

        if (rc == AGG_NOMEM) {
            return rc;
        }
    }

    if (b.failed) {
        return AGG_INVALID;
    }

    memset(b.marks, 0, schema->ntypes);

    for (i = 0, n = 0; i < schema->ntypes; i++) {
        type = schema->types[i];

        for (k = 0; k < type->nfields; k++) {

            if (type->fields[k].rest != NULL) {
                b.marks[i] = 1;
                b.queue[n++] = i;
                break;
            }
        }
    }

    agg_gql_bind_walk(&b, n);

    *reaches = b.marks;

    return AGG_OK;
}


/* the reverse of the edges "an object of this type may contain one of that" */

static agg_rc_e
agg_gql_bind_graph(agg_gql_binder_t *b)
{
    uint32_t  i, n, sum;

    n = b->schema->ntypes;

    b->first = b->mem->alloc(b->mem->ctx, (n + 2) * sizeof(uint32_t));
    b->queue = b->mem->alloc(b->mem->ctx, (n + 1) * sizeof(uint32_t));
    b->marks = b->mem->alloc(b->mem->ctx, n + 1);

    if (b->first == NULL || b->queue == NULL || b->marks == NULL) {
        return AGG_NOMEM;
    }

    memset(b->first, 0, (n + 2) * sizeof(uint32_t));
    agg_gql_bind_edges(b, b->first + 2, NULL);

    for (i = 0, sum = 0; i < n; i++) {
        sum += b->first[i + 2];
        b->first[i + 2] = sum;
    }

    b->sources = b->mem->alloc(b->mem->ctx, (sum + 1) * sizeof(uint32_t));
    if (b->sources == NULL) {
        return AGG_NOMEM;
    }

    /* each edge advances its index, so that all are right at the end */

    agg_gql_bind_edges(b, b->first + 1, b->sources);

    return AGG_OK;
}


/* counts the edges by the types that they lead to, or stores them */

static void
agg_gql_bind_edges(agg_gql_binder_t *b, uint32_t *first, uint32_t *sources)
{
    uint32_t         i, k, to;
    agg_gql_type_t  *type, *end;

    for (i = 0; i < b->schema->ntypes; i++) {
        type = b->schema->types[i];

        for (k = 0; k < type->nfields; k++) {
            end = type->fields[k].type.type;

            if (!agg_gql_is_composite(end)) {
                continue;
            }

            to = first[end->id]++;

            if (sources != NULL) {
                sources[to] = i;
            }
        }

        if (!agg_gql_is_abstract(type)) {
            continue;
        }

        for (k = 0; k < type->npossible; k++) {
            to = first[type->possible[k]->id]++;

            if (sources != NULL) {
                sources[to] = i;
            }
        }
    }
}


/* marks all types that lead to the n marked types in the queue */

static void
agg_gql_bind_walk(agg_gql_binder_t *b, uint32_t n)
{
    uint32_t  i, k, type, from;

    for (i = 0; i < n; i++) {
        type = b->queue[i];

        for (k = b->first[type]; k < b->first[type + 1]; k++) {
            from = b->sources[k];

            if (!b->marks[from]) {
                b->marks[from] = 1;
                b->queue[n++] = from;
            }
        }
    }
}


int
agg_gql_bind_encloses(agg_gql_binder_t *b, const agg_gql_type_t *type,
    const agg_gql_type_t *enclosed)
{
    unsigned  i;

    if (b->enclosed != enclosed) {
        b->enclosed = enclosed;

        memset(b->marks, 0, b->schema->ntypes);
        b->marks[enclosed->id] = 1;
        b->queue[0] = enclosed->id;

        agg_gql_bind_walk(b, 1);
    }

    if (b->marks[type->id]) {
        return 1;
    }

    for (i = 0; i < type->npossible; i++) {
        if (b->marks[type->possible[i]->id]) {
            return 1;
        }
    }

    return 0;
}


static agg_rc_e
agg_gql_bind_type(agg_gql_binder_t *b, agg_gql_type_t *type)
{
    unsigned            i;
    agg_rc_e            rc;
    agg_gql_field_t    *field;
    agg_gql_binding_t  *binding;

    if (type->allow.text.data != NULL) {
        type->data = agg_gql_bind_create(b, &type->allow, NULL);

        if (type->data == NULL) {
            return AGG_NOMEM;
        }
    }

    for (i = 0; i < type->nfields; i++) {
        field = &type->fields[i];

        if (field->rest == NULL && field->allow.text.data == NULL) {
            continue;
        }

        binding = agg_gql_bind_create(b, &field->allow, field);
        if (binding == NULL) {
            return AGG_NOMEM;
        }

        field->data = binding;

        if (field->rest == NULL) {
            continue;
        }

        rc = agg_gql_bind_field(b, binding);
        if (rc == AGG_NOMEM) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_gql_binding_t *
agg_gql_bind_create(agg_gql_binder_t *b, const agg_gql_text_t *allow,
    const agg_gql_field_t *field)
{
    size_t              len;
    u_char             *p;
    agg_str_t           name;
    agg_gql_binding_t  *binding;

    binding = b->mem->alloc(b->mem->ctx, sizeof(agg_gql_binding_t));
    if (binding == NULL) {
        return NULL;
    }

    memset(binding, 0, sizeof(agg_gql_binding_t));

    binding->field = field;
    binding->allow = AGG_GQL_NO_VARIABLE;
    binding->limit_variable = AGG_GQL_NO_VARIABLE;

    if (field != NULL) {
        binding->rest = field->rest;

        len = field->parent->name.len + 1 + field->name.len;

        p = b->mem->alloc(b->mem->ctx, len);
        if (p == NULL) {
            return NULL;
        }

        binding->coordinate.data = p;
        binding->coordinate.len = len;

        memcpy(p, field->parent->name.data, field->parent->name.len);
        p += field->parent->name.len;
        *p++ = '.';
        memcpy(p, field->name.data, field->name.len);
    }

    if (allow->text.data == NULL) {
        return binding;
    }

    name = allow->text;

    if (name.len < 2 || name.data[0] != '$') {
        (void) agg_gql_bind_error(b, allow, 0, "\"if\" must be a variable, "
                                  "as in \"$user_id\"", NULL, NULL);
        return binding;
    }

    name.data++;
    name.len--;

    binding->allow = agg_gql_bind_variable(b, &name);

    return (binding->allow == AGG_GQL_VARIABLE_ERROR) ? NULL : binding;
}


int
agg_gql_bind_variable(agg_gql_binder_t *b, const agg_str_t *name)
{
    return b->variable(b->ctx, name);
}


/* reports an error at an offset in a text, which is quoted in its source */

agg_rc_e
agg_gql_bind_error(agg_gql_binder_t *b, const agg_gql_text_t *text,
    size_t offset, const char *fmt, const agg_str_t *arg, const char *reason)
{
    uint32_t                 place;
    const agg_str_t         *source;
    const agg_gql_source_t  *from;

    b->failed = 1;

    from = text->loc.source;
    place = text->loc.offset;

    if (from != NULL) {
        source = &from->text;

        /* a string with escapes, or a block string, is reported as a whole */

        if (place < source->len && source->data[place] == '"'
            && offset <= text->text.len
            && source->len - place > offset + 1
            && text->text.len <= source->len - place - 1
            && text->text.len != 0
            && memcmp(&source->data[place + 1], text->text.data,
                      text->text.len) == 0)
        {
            place += (uint32_t) offset + 1;
        }
    }

    if (arg != NULL && reason != NULL) {
        return agg_gql_error(b->errors, AGG_GQL_VALIDATION_FAILED, from,
                             &place, 1, fmt, arg, reason);
    }

    if (arg != NULL) {
        return agg_gql_error(b->errors, AGG_GQL_VALIDATION_FAILED, from,
                             &place, 1, fmt, arg);
    }

    if (reason != NULL) {
        return agg_gql_error(b->errors, AGG_GQL_VALIDATION_FAILED, from,
                             &place, 1, fmt, reason);
    }

    return agg_gql_error(b->errors, AGG_GQL_VALIDATION_FAILED, from, &place,
                         1, fmt);
}
