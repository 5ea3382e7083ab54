
/*
 * Validation of documents: names of operations and fragments, selections and
 * their types.  The selections of a document are stored in the order of the
 * text, parents before their contents, so each pass over them is a loop.
 */


#include "agg_gql_validate.h"


static agg_rc_e agg_gql_validate_names(agg_gql_validation_t *v);
static agg_rc_e agg_gql_validate_definitions(agg_gql_validation_t *v);
static agg_rc_e agg_gql_validate_operation(agg_gql_validation_t *v,
    agg_gql_operation_t *op);
static agg_rc_e agg_gql_validate_variable(agg_gql_validation_t *v,
    agg_gql_variable_t *var);
static agg_rc_e agg_gql_validate_fragment(agg_gql_validation_t *v,
    agg_gql_fragment_t *f);
static agg_rc_e agg_gql_validate_selections(agg_gql_validation_t *v,
    uint32_t first, uint32_t end, const agg_gql_type_t *type);
static agg_rc_e agg_gql_validate_field(agg_gql_validation_t *v,
    agg_gql_selection_t *sel);
static const agg_gql_field_t *agg_gql_find_field(agg_gql_validation_t *v,
    agg_gql_selection_t *sel);
static agg_rc_e agg_gql_unknown_field(agg_gql_validation_t *v,
    agg_gql_selection_t *sel);
static agg_rc_e agg_gql_suggest_fragments(agg_gql_validation_t *v,
    agg_gql_selection_t *sel, agg_str_t *text);
static agg_rc_e agg_gql_validate_leaf(agg_gql_validation_t *v,
    agg_gql_selection_t *sel);
static agg_rc_e agg_gql_validate_inline(agg_gql_validation_t *v,
    agg_gql_selection_t *sel);
static agg_rc_e agg_gql_validate_spread(agg_gql_validation_t *v,
    agg_gql_selection_t *sel);
static agg_rc_e agg_gql_known_type(agg_gql_validation_t *v,
    const agg_str_t *name, uint32_t offset, const agg_gql_type_t **type);


void *
agg_gql_zero(agg_mem_t *mem, size_t n, size_t size)
{
    void  *p;

    p = mem->alloc(mem->ctx, n * size + 1);

    return (p != NULL) ? memset(p, 0, n * size + 1) : NULL;
}


agg_rc_e
agg_gql_validate(const agg_gql_schema_t *schema, agg_gql_doc_t *doc,
    const agg_gql_limits_t *limits, unsigned introspection,
    agg_gql_errors_t *errors)
{
    size_t                i;
    agg_gql_validation_t  v;

    static agg_rc_e  (*const steps[])(agg_gql_validation_t *v) = {
        agg_gql_validate_fragments,
        agg_gql_validate_limits,
        agg_gql_validate_names,
        agg_gql_validate_definitions,
        agg_gql_validate_variables,
        agg_gql_validate_merge
    };

    memset(&v, 0, sizeof(agg_gql_validation_t));

    v.schema = schema;
    v.doc = doc;
    v.mem = doc->mem;
    v.errors = errors;
    v.limits = limits;
    v.introspection = introspection;

    v.check.schema = schema;
    v.check.doc = doc;
    v.check.mem = doc->mem;
    v.check.errors = errors;

    errors->suggest = introspection;

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        agg_gql_try(steps[i](&v));
    }

    return (errors->n != 0) ? AGG_INVALID : AGG_OK;
}


static int
agg_gql_operation_cmp(const void *data, uint32_t a, uint32_t b)
{
    const agg_gql_doc_t  *doc = data;

    return agg_gql_compare(&doc->operations[a].name,
                           &doc->operations[b].name);
}


/* refuses type definitions, and duplicate names of operations */

static agg_rc_e
agg_gql_validate_names(agg_gql_validation_t *v)
{
    uint32_t              i, n, *list, first, places[2];
    agg_gql_doc_t        *doc;
    agg_gql_sdl_def_t    *def;
    agg_gql_operation_t  *op;

    static const agg_str_t  quote = { 1, (u_char *) "\"" };
    static const agg_str_t  schema = { 6, (u_char *) "schema" };
    static const agg_str_t  none = { 0, (u_char *) "" };

    doc = v->doc;

    for (i = 0; i < doc->ndefs; i++) {

        if (doc->defs[i].kind != AGG_GQL_DEF_SDL) {
            continue;
        }

        def = &doc->sdl->defs[doc->defs[i].index];
        n = (def->kind == AGG_GQL_SDL_SCHEMA);

        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, 0,
                                          AGG_GQL_RULE_EXECUTABLE),
                        &def->offset, 1,
                        "The %V%V%V definition is not executable.",
                        n ? &none : &quote, n ? &schema : &def->name,
                        n ? &none : &quote));
    }

    list = agg_gql_scratch(&v->check, doc->noperations);
    if (list == NULL) {
        return AGG_NOMEM;
    }

    n = 0;

    for (i = 0; i < doc->noperations; i++) {
        op = &doc->operations[i];

        if (op->name.len != 0) {
            list[n++] = i;

        } else if (doc->noperations > 1) {
            agg_gql_try(agg_gql_report(&v->check,
                            agg_gql_key_enter(&v->check, op->offset,
                                              AGG_GQL_RULE_LONE_ANONYMOUS),
                            &op->offset, 1, "This anonymous operation must be "
                            "the only defined operation."));
        }
    }

    agg_gql_sort(list, n, agg_gql_operation_cmp, doc);

    first = 0;

    for (i = 1; i < n; i++) {

        if (agg_gql_operation_cmp(doc, list[first], list[i]) != 0) {
            first = i;
            continue;
        }

        op = &doc->operations[list[i]];
        places[0] = doc->operations[list[first]].name_offset;
        places[1] = op->name_offset;

        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, op->offset,
                                          AGG_GQL_RULE_OPERATION_NAMES),
                        places, 2, "There can be only one operation named "
                        "\"%V\".", &op->name));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_validate_definitions(agg_gql_validation_t *v)
{
    uint32_t        i;
    agg_gql_doc_t  *doc;

    doc = v->doc;

    for (i = 0; i < doc->nfragments; i++) {
        doc->fragments[i].type = agg_gql_type_by_name(v->schema,
                                               &doc->fragments[i].type_name);
    }

    for (i = 0; i < doc->ndefs; i++) {

        switch (doc->defs[i].kind) {

        case AGG_GQL_DEF_OPERATION:
            agg_gql_try(agg_gql_validate_operation(v,
                            &doc->operations[doc->defs[i].index]));
            break;

        case AGG_GQL_DEF_FRAGMENT:
            agg_gql_try(agg_gql_validate_fragment(v,
                            &doc->fragments[doc->defs[i].index]));
            break;

        default:
            break;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_validate_operation(agg_gql_validation_t *v, agg_gql_operation_t *op)
{
    uint32_t      i;
    agg_gql_on_e  on;

    static const char *const  names[] = {
        "query", "mutation", "subscription"
    };

    switch (op->kind) {

    case AGG_GQL_QUERY:
        op->type = v->schema->query;
        on = AGG_GQL_ON_QUERY;
        break;

    case AGG_GQL_MUTATION:
        op->type = v->schema->mutation;
        on = AGG_GQL_ON_MUTATION;
        break;

    default:
        op->type = v->schema->subscription;
        on = AGG_GQL_ON_SUBSCRIPTION;
    }

    if (op->type == NULL) {
        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, op->offset,
                                          AGG_GQL_RULE_OPERATION_TYPES),
                        &op->offset, 1, "The %s operation is not supported by "
                        "the schema.", names[op->kind]));
    }

    for (i = 0; i < op->nvariables; i++) {
        agg_gql_try(agg_gql_validate_variable(v,
                        &v->doc->variables[op->variable + i]));
    }

    agg_gql_try(agg_gql_check_applied(&v->check, op->applied, on,
                                      op->offset));

    return agg_gql_validate_selections(v, op->first, op->selection_end,
                                       op->type);
}


static agg_rc_e
agg_gql_validate_variable(agg_gql_validation_t *v, agg_gql_variable_t *var)
{
    agg_str_t              text;
    const agg_gql_type_t  *type;

    agg_gql_try(agg_gql_known_type(v, &var->type_name, var->type_name_offset,
                                   &type));

    if (type != NULL && !agg_gql_is_input(type)) {
        agg_gql_try(agg_gql_type_text(v->mem, &var->type_name, var->wraps,
                                      &text));
        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, var->node_offset,
                                          AGG_GQL_RULE_VARIABLE_INPUT),
                        &var->type_offset, 1,
                        "Variable \"$%V\" cannot be non-input type \"%V\".",
                        &var->name, &text));
    }

    var->type = type;

    if (var->value != AGG_GQL_NONE) {
        agg_gql_try(agg_gql_check_value(&v->check, var->value,
                                        (type != NULL
                                         && agg_gql_is_input(type))
                                        ? type : NULL,
                                        var->wraps, NULL));
    }

    return agg_gql_check_applied(&v->check, var->applied,
                                 AGG_GQL_ON_VARIABLE_DEFINITION,
                                 var->node_offset);
}


static agg_rc_e
agg_gql_validate_fragment(agg_gql_validation_t *v, agg_gql_fragment_t *f)
{
    const agg_gql_type_t  *type;

    agg_gql_try(agg_gql_known_type(v, &f->type_name, f->type_offset, &type));

    if (type != NULL && !agg_gql_is_composite(type)) {
        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, f->offset,
                                          AGG_GQL_RULE_FRAGMENT_COMPOSITE),
                        &f->type_offset, 1, "Fragment \"%V\" cannot condition "
                        "on non composite type \"%V\".", &f->name,
                        &f->type_name));
        type = NULL;
    }

    agg_gql_try(agg_gql_check_applied(&v->check, f->applied,
                                      AGG_GQL_ON_FRAGMENT_DEFINITION,
                                      f->offset));

    return agg_gql_validate_selections(v, f->first, f->selection_end, type);
}


static agg_rc_e
agg_gql_validate_selections(agg_gql_validation_t *v, uint32_t first,
    uint32_t end, const agg_gql_type_t *type)
{
    uint32_t              id;
    agg_gql_selection_t  *sel;

    for (id = first; id < end; id++) {
        sel = &v->doc->selections[id];

        sel->on = (sel->parent == AGG_GQL_NONE)
                  ? type : v->doc->selections[sel->parent].inner;

        switch (sel->kind) {

        case AGG_GQL_FIELD:
            agg_gql_try(agg_gql_validate_field(v, sel));
            break;

        case AGG_GQL_INLINE:
            agg_gql_try(agg_gql_validate_inline(v, sel));
            break;

        default:
            agg_gql_try(agg_gql_validate_spread(v, sel));
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_validate_field(agg_gql_validation_t *v, agg_gql_selection_t *sel)
{
    const agg_gql_type_t  *type;

    sel->field = agg_gql_find_field(v, sel);

    if (sel->field != NULL) {
        type = sel->field->type.type;
        sel->inner = agg_gql_is_composite(type) ? type : NULL;

        agg_gql_try(agg_gql_validate_leaf(v, sel));

    } else if (sel->on != NULL) {
        agg_gql_try(agg_gql_unknown_field(v, sel));
    }

    if (!v->introspection && (sel->field == v->schema->schema_field
                              || sel->field == v->schema->type_field)
        && sel->field != NULL)
    {
        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, sel->offset,
                                          AGG_GQL_RULE_FIELDS),
                        &sel->offset, 1,
                        "GraphQL introspection has been disabled, but the "
                        "requested query contained the field \"%V\".",
                        &sel->name));
    }

    agg_gql_try(agg_gql_check_args(&v->check, sel->arg, sel->field, NULL,
                                   sel->on, sel->offset, sel->end));

    return agg_gql_check_applied(&v->check, sel->applied, AGG_GQL_ON_FIELD,
                                 sel->offset);
}


static const agg_gql_field_t *
agg_gql_find_field(agg_gql_validation_t *v, agg_gql_selection_t *sel)
{
    if (sel->on == NULL) {
        return NULL;
    }

    if (sel->name.len > 2 && sel->name.data[0] == '_'
        && sel->name.data[1] == '_')
    {
        if (agg_gql_equal(&sel->name, &v->schema->typename_field->name)) {
            return v->schema->typename_field;
        }

        if (sel->on == v->schema->query) {

            if (agg_gql_equal(&sel->name, &v->schema->schema_field->name)) {
                return v->schema->schema_field;
            }

            if (agg_gql_equal(&sel->name, &v->schema->type_field->name)) {
                return v->schema->type_field;
            }
        }
    }

    return agg_gql_field_by_name(v->schema, sel->on, &sel->name);
}


static agg_rc_e
agg_gql_unknown_field(agg_gql_validation_t *v, agg_gql_selection_t *sel)
{
    uint64_t            key;
    unsigned            i;
    agg_str_t           text;
    agg_gql_suggest_t   s;

    key = agg_gql_key_enter(&v->check, sel->offset, AGG_GQL_RULE_FIELDS);

    if (!agg_gql_wanted(&v->check, key)) {
        return AGG_OK;
    }

    text.len = 0;

    if (agg_gql_is_abstract(sel->on)) {
        agg_gql_try(agg_gql_suggest_fragments(v, sel, &text));
    }

    if (text.len == 0) {
        agg_gql_suggest_init(&s, v->errors, &sel->name);

        for (i = 0; i < sel->on->nfields; i++) {
            agg_gql_suggest_add(&s, &sel->on->fields[i].name);
        }

        agg_gql_try(agg_gql_suggest_text(&s, "", &text));
    }

    return agg_gql_report(&v->check, key, &sel->offset, 1,
                          "Cannot query field \"%V\" on type \"%V\".%W",
                          &sel->name, &sel->on->name, &text);
}


/* orders two types that have the field for the suggestion */

static int
agg_gql_usage_cmp(agg_gql_type_t *const *types, const unsigned *counts,
    unsigned a, unsigned b)
{
    if (counts[a] != counts[b]) {
        return (counts[a] > counts[b]) ? -1 : 1;
    }

    if (types[a]->kind == AGG_GQL_INTERFACE
        && (agg_gql_is_possible(types[a], types[b])
            || agg_gql_implements(types[b], types[a])))
    {
        return -1;
    }

    if (types[b]->kind == AGG_GQL_INTERFACE
        && (agg_gql_is_possible(types[b], types[a])
            || agg_gql_implements(types[a], types[b])))
    {
        return 1;
    }

    return agg_gql_natural(&types[a]->name, &types[b]->name);
}


/* suggests fragments on the types that have a field which the type lacks */

static agg_rc_e
agg_gql_suggest_fragments(agg_gql_validation_t *v, agg_gql_selection_t *sel,
    agg_str_t *text)
{
    unsigned            i, k, n, j, *counts, count, *seen;
    agg_gql_type_t     *type, *other, **types, *t;
    agg_gql_suggest_t   s;

    agg_gql_suggest_init(&s, v->errors, &sel->name);

    if (!v->errors->suggest || v->errors->budget < 100 * v->schema->ntypes) {
        return agg_gql_suggest_text(&s, "", text);
    }

    v->errors->budget -= 10 * v->schema->ntypes;

    types = agg_gql_zero(v->mem, v->schema->ntypes, sizeof(agg_gql_type_t *));
    counts = agg_gql_zero(v->mem, v->schema->ntypes, sizeof(unsigned));
    seen = agg_gql_zero(v->mem, v->schema->ntypes, sizeof(unsigned));

    if (types == NULL || counts == NULL || seen == NULL) {
        return AGG_NOMEM;
    }

    n = 0;

    for (i = 0; i < sel->on->npossible; i++) {
        type = sel->on->possible[i];

        if (agg_gql_field_by_name(v->schema, type, &sel->name) == NULL) {
            continue;
        }

        for (k = 0; k <= type->ninterfaces; k++) {
            other = (k == 0) ? type : type->interfaces[k - 1];

            if (k != 0 && agg_gql_field_by_name(v->schema, other, &sel->name)
                          == NULL)
            {
                continue;
            }

            if (seen[other->id] == 0) {
                types[n++] = other;
                seen[other->id] = n;
            }

            counts[seen[other->id] - 1]++;
        }
    }

    /* only the first ones are shown */

    for (i = 0; i < n && i < AGG_GQL_SUGGESTED; i++) {
        j = i;

        for (k = i + 1; k < n; k++) {
            if (agg_gql_usage_cmp(types, counts, k, j) < 0) {
                j = k;
            }
        }

        t = types[i];
        types[i] = types[j];
        types[j] = t;
        count = counts[i];
        counts[i] = counts[j];
        counts[j] = count;

        agg_gql_suggest_put(&s, &types[i]->name);
    }

    return agg_gql_suggest_text(&s, "to use an inline fragment on ", text);
}


static agg_rc_e
agg_gql_validate_leaf(agg_gql_validation_t *v, agg_gql_selection_t *sel)
{
    uint64_t               key;
    agg_str_t              text;
    const agg_gql_ref_t   *ref;

    ref = &sel->field->type;
    key = agg_gql_key_enter(&v->check, sel->offset, AGG_GQL_RULE_LEAFS);

    if (agg_gql_is_leaf(ref->type) == (sel->first == AGG_GQL_NONE)
        || !agg_gql_wanted(&v->check, key))
    {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_type_text(v->mem, &ref->type->name, ref->wraps,
                                  &text));

    if (sel->first != AGG_GQL_NONE) {
        return agg_gql_report(&v->check, key, &sel->set_offset, 1,
                              "Field \"%V\" must not have a selection since "
                              "type \"%V\" has no subfields.", &sel->name,
                              &text);
    }

    return agg_gql_report(&v->check, key, &sel->offset, 1,
                          "Field \"%V\" of type \"%V\" must have a selection "
                          "of subfields. Did you mean \"%V { ... }\"?",
                          &sel->name, &text, &sel->name);
}


static agg_rc_e
agg_gql_validate_inline(agg_gql_validation_t *v, agg_gql_selection_t *sel)
{
    const agg_gql_type_t  *type;

    sel->inner = sel->on;

    if (sel->name.data != NULL) {
        agg_gql_try(agg_gql_known_type(v, &sel->name, sel->name_offset,
                                       &type));

        if (type != NULL && !agg_gql_is_composite(type)) {
            agg_gql_try(agg_gql_report(&v->check,
                            agg_gql_key_enter(&v->check, sel->offset,
                                              AGG_GQL_RULE_FRAGMENT_COMPOSITE),
                            &sel->name_offset, 1, "Fragment cannot condition "
                            "on non composite type \"%V\".", &sel->name));
            type = NULL;
        }

        sel->inner = type;

        if (type != NULL && sel->on != NULL
            && !agg_gql_overlap(v->schema, type, sel->on))
        {
            agg_gql_try(agg_gql_report(&v->check,
                            agg_gql_key_enter(&v->check, sel->offset,
                                              AGG_GQL_RULE_POSSIBLE_SPREADS),
                            &sel->offset, 1, "Fragment cannot be spread here "
                            "as objects of type \"%V\" can never be of type "
                            "\"%V\".", &sel->on->name, &type->name));
        }
    }

    return agg_gql_check_applied(&v->check, sel->applied,
                                 AGG_GQL_ON_INLINE_FRAGMENT, sel->offset);
}


static agg_rc_e
agg_gql_validate_spread(agg_gql_validation_t *v, agg_gql_selection_t *sel)
{
    const agg_gql_type_t  *type;

    if (sel->fragment == AGG_GQL_NONE) {
        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, sel->offset,
                                          AGG_GQL_RULE_KNOWN_FRAGMENTS),
                        &sel->name_offset, 1, "Unknown fragment \"%V\".",
                        &sel->name));

    } else {
        type = v->doc->fragments[sel->fragment].type;

        if (type != NULL && agg_gql_is_composite(type)) {
            sel->inner = type;

            if (sel->on != NULL && !agg_gql_overlap(v->schema, type, sel->on))
            {
                agg_gql_try(agg_gql_report(&v->check,
                                agg_gql_key_enter(&v->check, sel->offset,
                                                AGG_GQL_RULE_POSSIBLE_SPREADS),
                                &sel->offset, 1, "Fragment \"%V\" cannot be "
                                "spread here as objects of type \"%V\" can "
                                "never be of type \"%V\".", &sel->name,
                                &sel->on->name, &type->name));
            }
        }
    }

    return agg_gql_check_applied(&v->check, sel->applied,
                                 AGG_GQL_ON_FRAGMENT_SPREAD, sel->offset);
}


static agg_rc_e
agg_gql_known_type(agg_gql_validation_t *v, const agg_str_t *name,
    uint32_t offset, const agg_gql_type_t **type)
{
    uint64_t   key;
    agg_str_t  text;

    *type = agg_gql_type_by_name(v->schema, name);

    key = agg_gql_key_enter(&v->check, offset, AGG_GQL_RULE_KNOWN_TYPES);

    if (*type != NULL || !agg_gql_wanted(&v->check, key)) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_suggest_type(v->schema, v->errors, name, &text));

    return agg_gql_report(&v->check, key, &offset, 1,
                          "Unknown type \"%V\".%W", name, &text);
}
