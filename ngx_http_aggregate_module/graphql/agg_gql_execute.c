
/*
 * What an execution needs from a document: the operation, the values of
 * arguments, the conditions.
 */


#include "agg_gql_literal.h"
#include "agg_gql_check.h"


agg_rc_e
agg_gql_operation(const agg_gql_doc_t *doc, const agg_str_t *name,
    uint32_t *operation, agg_gql_errors_t *errors)
{
    uint32_t  i;

    if (name == NULL || name->len == 0) {

        if (doc->noperations == 1) {
            *operation = 0;
            return AGG_OK;
        }

        return agg_gql_error(errors, AGG_GQL_OPERATION_RESOLUTION_FAILURE,
                             NULL, NULL, 0,
                             (doc->noperations == 0)
                             ? "Must provide an operation."
                             : "Must provide operation name if query contains "
                               "multiple operations.");
    }

    for (i = 0; i < doc->noperations; i++) {
        if (agg_gql_equal(&doc->operations[i].name, name)) {
            *operation = i;
            return AGG_OK;
        }
    }

    return agg_gql_error(errors, AGG_GQL_OPERATION_RESOLUTION_FAILURE, NULL,
                         NULL, 0, "Unknown operation named \"%V\".", name);
}


uint32_t
agg_gql_variable(const agg_gql_doc_t *doc, uint32_t operation,
    const agg_str_t *name)
{
    uint32_t                    low, high, middle, id;
    const agg_gql_operation_t  *op;

    op = &doc->operations[operation];

    low = op->variable;
    high = op->variable + op->nvariables;

    while (low < high) {
        middle = low + (high - low) / 2;
        id = doc->variable_order[middle];

        if (agg_gql_compare(&doc->variables[id].name, name) <= 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    /* finds the last of several variables with one name, which are refused */

    if (low == op->variable) {
        return AGG_GQL_NONE;
    }

    id = doc->variable_order[low - 1];

    return agg_gql_equal(&doc->variables[id].name, name) ? id - op->variable
                                                         : AGG_GQL_NONE;
}


static uint32_t
agg_gql_find_arg(const agg_gql_doc_t *doc, uint32_t arg,
    const agg_gql_input_t *input)
{
    while (arg != AGG_GQL_NONE && doc->args[arg].input != input) {
        arg = doc->args[arg].next;
    }

    return arg;
}


static agg_rc_e
agg_gql_default(const agg_gql_input_t *input, agg_buf_t *out)
{
    if (input->has_default) {
        return agg_buf_append(out, input->default_json.data,
                              input->default_json.len);
    }

    return agg_gql_non_null(input->type.wraps) ? AGG_INVALID : AGG_NOT_FOUND;
}


agg_rc_e
agg_gql_argument(const agg_gql_doc_t *doc, uint32_t operation,
    const agg_str_t *values, uint32_t arg, const agg_gql_input_t *input,
    agg_buf_t *out)
{
    agg_rc_e           rc;
    agg_gql_literal_t  w;

    arg = agg_gql_find_arg(doc, arg, input);

    if (arg == AGG_GQL_NONE) {
        return agg_gql_default(input, out);
    }

    w.doc = doc;
    w.operation = operation;
    w.values = values;
    w.out = out;
    w.text = 0;

    rc = agg_gql_write_literal(&w, doc->args[arg].value);

    return (rc == AGG_NOT_FOUND) ? agg_gql_default(input, out) : rc;
}


int
agg_gql_argument_constant(const agg_gql_doc_t *doc, uint32_t arg,
    const agg_gql_input_t *input)
{
    uint32_t  id;

    arg = agg_gql_find_arg(doc, arg, input);

    if (arg == AGG_GQL_NONE) {
        return 1;
    }

    id = doc->args[arg].value;

    do {
        if (doc->values[id++].kind == AGG_GQL_VARIABLE) {
            return 0;
        }
    } while (id < doc->nvalues && doc->values[id].parent != AGG_GQL_NONE);

    return 1;
}


/* 's' for @skip, 'i' for @include, otherwise 0; and the value of its "if" */

static int
agg_gql_conditional(const agg_gql_doc_t *doc, const agg_gql_applied_t *a,
    const agg_gql_value_t **value)
{
    int  kind;

    if (a->arg == AGG_GQL_NONE) {
        return 0;
    }

    if (a->name.len == 4 && memcmp(a->name.data, "skip", 4) == 0) {
        kind = 's';

    } else if (a->name.len == 7 && memcmp(a->name.data, "include", 7) == 0) {
        kind = 'i';

    } else {
        return 0;
    }

    *value = &doc->values[doc->args[a->arg].value];

    return kind;
}


int
agg_gql_included(const agg_gql_doc_t *doc, uint32_t operation,
    const agg_str_t *values, uint32_t applied)
{
    int                       kind, truth;
    uint32_t                  i;
    const agg_gql_value_t    *v;
    const agg_gql_applied_t  *a;

    for ( /* void */ ; applied != AGG_GQL_NONE; applied = a->next) {
        a = &doc->applied[applied];

        kind = agg_gql_conditional(doc, a, &v);

        if (kind == 0) {
            continue;
        }

        truth = (v->kind == AGG_GQL_TRUE);

        if (v->kind == AGG_GQL_VARIABLE) {
            i = agg_gql_variable(doc, operation, &v->text);

            truth = (i != AGG_GQL_NONE && values != NULL
                     && values[i].data != NULL && values[i].len == 4
                     && memcmp(values[i].data, "true", 4) == 0);
        }

        if (truth != (kind == 'i')) {
            return 0;
        }
    }

    return 1;
}
