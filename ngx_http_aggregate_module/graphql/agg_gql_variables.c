
/*
 * Rules for variables: their names, and where they are used, including
 * fragments.
 */


#include "agg_gql_validate.h"


static agg_rc_e agg_gql_order_variables(agg_gql_validation_t *v,
    agg_gql_operation_t *op);
static agg_rc_e agg_gql_variables_of(agg_gql_validation_t *v, uint32_t index,
    uint32_t *queue, uint32_t *seen);
static agg_rc_e agg_gql_variables_in(agg_gql_validation_t *v, uint32_t index,
    uint32_t first, uint32_t end);
static agg_rc_e agg_gql_variable_usage(agg_gql_validation_t *v,
    agg_gql_operation_t *op, agg_gql_variable_t *var, agg_gql_value_t *use);


agg_rc_e
agg_gql_validate_variables(agg_gql_validation_t *v)
{
    uint32_t              i, k, n, *queue, *seen;
    agg_gql_doc_t        *doc;
    agg_gql_variable_t   *var;
    agg_gql_operation_t  *op;

    static const agg_str_t  none = { 0, (u_char *) "" };
    static const agg_str_t  end = { 1, (u_char *) "\"" };

    doc = v->doc;

    doc->variable_order = agg_gql_zero(v->mem, doc->nvariables,
                                       sizeof(uint32_t));
    queue = agg_gql_zero(v->mem, doc->nfragments, sizeof(uint32_t));
    seen = agg_gql_zero(v->mem, doc->nfragments, sizeof(uint32_t));

    if (doc->variable_order == NULL || queue == NULL || seen == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < doc->noperations; i++) {
        op = &doc->operations[i];

        agg_gql_try(agg_gql_order_variables(v, op));
        agg_gql_try(agg_gql_variables_of(v, i, queue, seen));

        for (k = 0; k < op->nvariables; k++) {
            var = &doc->variables[op->variable + k];

            /* the last of several with the same name was marked */

            n = agg_gql_variable(doc, i, &var->name);

            if (doc->variables[op->variable + n].used) {
                continue;
            }

            agg_gql_try(agg_gql_report(&v->check,
                            agg_gql_key_leave(&v->check, op->end,
                                              AGG_GQL_RULE_UNUSED_VARIABLES),
                            &var->node_offset, 1,
                            "Variable \"$%V\" is never used%s%V%V.",
                            &var->name,
                            op->name.len ? " in operation \"" : "",
                            op->name.len ? &op->name : &none,
                            op->name.len ? &end : &none));
        }
    }

    return AGG_OK;
}


static int
agg_gql_variable_cmp(const void *data, uint32_t a, uint32_t b)
{
    const agg_gql_doc_t  *doc = data;

    return agg_gql_compare(&doc->variables[a].name, &doc->variables[b].name);
}


static agg_rc_e
agg_gql_order_variables(agg_gql_validation_t *v, agg_gql_operation_t *op)
{
    uint32_t        i, k, j, *list, *places;
    agg_gql_doc_t  *doc;

    doc = v->doc;
    list = doc->variable_order + op->variable;

    for (i = 0; i < op->nvariables; i++) {
        list[i] = op->variable + i;
    }

    agg_gql_sort(list, op->nvariables, agg_gql_variable_cmp, doc);

    for (i = 0; i < op->nvariables; i = k) {

        for (k = i + 1; k < op->nvariables; k++) {
            if (agg_gql_variable_cmp(doc, list[i], list[k]) != 0) {
                break;
            }
        }

        if (k - i == 1) {
            continue;
        }

        places = agg_gql_scratch(&v->check, k - i);
        if (places == NULL) {
            return AGG_NOMEM;
        }

        for (j = i; j < k; j++) {
            places[j - i] = doc->variables[list[j]].name_offset;
        }

        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_enter(&v->check, op->offset,
                                          AGG_GQL_RULE_VARIABLE_NAMES),
                        places, k - i,
                        "There can be only one variable named \"$%V\".",
                        &doc->variables[list[i]].name));
    }

    return AGG_OK;
}


/* visits the values of the operation, then those of its fragments */

static agg_rc_e
agg_gql_variables_of(agg_gql_validation_t *v, uint32_t index, uint32_t *queue,
    uint32_t *seen)
{
    uint32_t              i, k, n, f;
    agg_gql_doc_t        *doc;
    agg_gql_spreads_t    *of;
    agg_gql_operation_t  *op;

    doc = v->doc;
    op = &doc->operations[index];

    agg_gql_try(agg_gql_variables_in(v, index, op->value, op->value_end));

    of = &v->of_operation[index];
    n = 0;
    i = 0;

    for ( ;; ) {

        for (k = 0; k < of->n; k++) {
            f = doc->selections[v->spreads[of->first + k]].fragment;

            if (f != AGG_GQL_NONE && seen[f] != index + 1) {
                seen[f] = index + 1;
                queue[n++] = f;
            }
        }

        if (i == n) {
            return AGG_OK;
        }

        f = queue[i++];
        of = &v->of_fragment[f];

        agg_gql_try(agg_gql_variables_in(v, index, doc->fragments[f].value,
                                         doc->fragments[f].value_end));
    }
}


static agg_rc_e
agg_gql_variables_in(agg_gql_validation_t *v, uint32_t index, uint32_t first,
    uint32_t end)
{
    uint32_t              id, var, places[2];
    agg_gql_value_t      *use;
    agg_gql_operation_t  *op;

    static const agg_str_t  none = { 0, (u_char *) "" };
    static const agg_str_t  quote = { 1, (u_char *) "\"" };

    op = &v->doc->operations[index];

    for (id = first; id < end; id++) {
        use = &v->doc->values[id];

        if (use->kind != AGG_GQL_VARIABLE) {
            continue;
        }

        var = agg_gql_variable(v->doc, index, &use->text);

        if (var != AGG_GQL_NONE) {
            agg_gql_try(agg_gql_variable_usage(v, op,
                            &v->doc->variables[op->variable + var], use));
            continue;
        }

        places[0] = use->offset;
        places[1] = op->offset;

        agg_gql_try(agg_gql_report(&v->check,
                        agg_gql_key_leave(&v->check, op->end,
                                          AGG_GQL_RULE_UNDEFINED_VARIABLES),
                        places, 2, "Variable \"$%V\" is not defined%s%V%V.",
                        &use->text,
                        op->name.len ? " by operation \"" : "",
                        op->name.len ? &op->name : &none,
                        op->name.len ? &quote : &none));
    }

    return AGG_OK;
}


/* whether the variable is allowed in this position */

static agg_rc_e
agg_gql_variable_usage(agg_gql_validation_t *v, agg_gql_operation_t *op,
    agg_gql_variable_t *var, agg_gql_value_t *use)
{
    uint64_t                key;
    uint32_t                places[2];
    agg_str_t               text, expected;
    agg_gql_ref_t           is, wanted;
    const agg_gql_value_t  *outer;

    var->used = 1;

    if (use->type == NULL || var->type == NULL) {
        return AGG_OK;
    }

    key = agg_gql_key_leave(&v->check, op->end,
                            AGG_GQL_RULE_VARIABLE_POSITIONS);

    places[0] = var->node_offset;
    places[1] = use->offset;

    is.type = (agg_gql_type_t *) var->type;
    is.wraps = var->wraps;
    wanted.type = (agg_gql_type_t *) use->type;
    wanted.wraps = use->wraps;

    /* a default on either side replaces a missing value */

    if (agg_gql_non_null(wanted.wraps) && !agg_gql_non_null(is.wraps)
        && ((var->value != AGG_GQL_NONE
             && v->doc->values[var->value].kind != AGG_GQL_NULL)
            || (use->input != NULL && use->input->has_default)))
    {
        wanted.wraps = agg_gql_inner(wanted.wraps);
    }

    if (!agg_gql_is_subtype(&is, &wanted) && agg_gql_wanted(&v->check, key)) {
        agg_gql_try(agg_gql_type_text(v->mem, &var->type_name, var->wraps,
                                      &text));
        agg_gql_try(agg_gql_type_text(v->mem, &use->type->name, use->wraps,
                                      &expected));
        agg_gql_try(agg_gql_report(&v->check, key, places, 2,
                                   "Variable \"$%V\" of type \"%V\" used in "
                                   "position expecting type \"%V\".",
                                   &var->name, &text, &expected));
    }

    if (use->arg == AGG_GQL_NONE || use->parent == AGG_GQL_NONE
        || agg_gql_non_null(var->wraps))
    {
        return AGG_OK;
    }

    outer = &v->doc->values[use->parent];

    if (outer->type == NULL || !outer->type->one_of || outer->opaque
        || !agg_gql_wanted(&v->check, key))
    {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_type_text(v->mem, &var->type_name, var->wraps,
                                  &text));

    return agg_gql_report(&v->check, key, places, 2,
                          "Variable \"$%V\" is of type \"%V\" but must be "
                          "non-nullable to be used for OneOf Input Object "
                          "\"%V\".", &var->name, &text, &outer->type->name);
}
