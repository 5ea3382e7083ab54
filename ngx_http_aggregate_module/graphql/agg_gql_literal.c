
/*
 * Writing of literals.  It needs no stack: a value leads to the next one by the
 * argument or the list that it belongs to.
 */


#include <stdio.h>
#include <stdlib.h>

#include "agg_gql_literal.h"
#include "agg_gql_names.h"
#include "agg_gql_parse.h"


static agg_rc_e agg_gql_write_nodes(const agg_gql_literal_t *w,
    uint32_t root);
static agg_rc_e agg_gql_write_open(const agg_gql_literal_t *w, uint32_t *id,
    unsigned *opened);
static agg_rc_e agg_gql_write_next(const agg_gql_literal_t *w,
    const agg_gql_value_t *object, unsigned index, uint32_t arg,
    uint32_t *id);
static agg_rc_e agg_gql_write_field(const agg_gql_literal_t *w,
    const agg_gql_input_t *input);
static agg_rc_e agg_gql_write_name(const agg_gql_literal_t *w,
    const agg_str_t *name);
static const agg_str_t *agg_gql_variable_value(const agg_gql_literal_t *w,
    const agg_gql_value_t *v);
static agg_rc_e agg_gql_write_variable(const agg_gql_literal_t *w,
    const agg_gql_value_t *v);
static agg_rc_e agg_gql_write_leaf(const agg_gql_literal_t *w,
    const agg_gql_value_t *v);
static agg_rc_e agg_gql_write_text_leaf(const agg_gql_literal_t *w,
    const agg_gql_value_t *v);
static agg_rc_e agg_gql_write_string(const agg_gql_literal_t *w,
    const agg_gql_value_t *v);
static agg_rc_e agg_gql_put_number(agg_buf_t *b, const agg_str_t *digits);


/* the number of lists that are added around a value of an element type */

static unsigned
agg_gql_lists_around(const agg_gql_value_t *v)
{
    unsigned         n;
    agg_gql_wraps_t  w;

    if (v->type == NULL || v->kind == AGG_GQL_LIST || v->kind == AGG_GQL_NULL
        || v->kind == AGG_GQL_VARIABLE)
    {
        return 0;
    }

    n = 0;

    for (w = v->wraps; w != 0; w = agg_gql_inner(w)) {
        n += (agg_gql_outer(w) == AGG_GQL_IS_LIST);
    }

    return n;
}


static int
agg_gql_is_typed_object(const agg_gql_value_t *v)
{
    return v->kind == AGG_GQL_OBJECT && v->type != NULL && !v->opaque
           && v->type->kind == AGG_GQL_INPUT_OBJECT;
}


/* writes a comma, unless the container has just been opened */

static agg_rc_e
agg_gql_write_comma(const agg_gql_literal_t *w)
{
    u_char  c;

    c = w->out->pos[-1];

    if (c == '{' || c == '[') {
        return AGG_OK;
    }

    return w->text ? agg_buf_append(w->out, ", ", 2)
                   : agg_buf_append(w->out, ",", 1);
}


agg_rc_e
agg_gql_write_literal(const agg_gql_literal_t *w, uint32_t root)
{
    size_t    used;
    agg_rc_e  rc;

    used = agg_buf_used(w->out);

    rc = agg_gql_write_nodes(w, root);

    if (rc != AGG_OK && w->out->start != NULL) {
        w->out->pos = w->out->start + used;
    }

    return rc;
}


static agg_rc_e
agg_gql_write_nodes(const agg_gql_literal_t *w, uint32_t root)
{
    uint32_t                id, next;
    unsigned                i, opened;
    const agg_gql_arg_t    *arg;
    const agg_gql_value_t  *v, *parent;

    id = root;

    for ( ;; ) {
        agg_gql_try(agg_gql_write_open(w, &id, &opened));

        if (opened) {
            continue;
        }

        /* "id" is complete: go on with what follows it */

        for ( ;; ) {
            v = &w->doc->values[id];

            for (i = agg_gql_lists_around(v); i != 0; i--) {
                agg_gql_try(agg_buf_append(w->out, "]", 1));
            }

            if (id == root) {
                return AGG_OK;
            }

            parent = &w->doc->values[v->parent];

            if (parent->kind == AGG_GQL_LIST) {
                next = v->next;

                if (next == AGG_GQL_NONE) {
                    agg_gql_try(agg_buf_append(w->out, "]", 1));
                }

            } else {
                arg = &w->doc->args[v->arg];
                agg_gql_try(agg_gql_write_next(w, parent,
                                               (arg->input != NULL)
                                               ? arg->input->index + 1 : 0,
                                               arg->next, &next));
            }

            if (next != AGG_GQL_NONE) {
                id = next;
                break;
            }

            id = v->parent;
        }

        if (w->doc->values[w->doc->values[id].parent].kind == AGG_GQL_LIST) {
            agg_gql_try(agg_gql_write_comma(w));
        }
    }
}


/* writes a leaf, or opens a container and sets "id" to its first value */

static agg_rc_e
agg_gql_write_open(const agg_gql_literal_t *w, uint32_t *id,
    unsigned *opened)
{
    agg_rc_e                rc;
    uint32_t                next;
    unsigned                i;
    const agg_gql_value_t  *v;

    v = &w->doc->values[*id];
    *opened = 0;

    for (i = agg_gql_lists_around(v); i != 0; i--) {
        agg_gql_try(agg_buf_append(w->out, "[", 1));
    }

    switch (v->kind) {

    case AGG_GQL_VARIABLE:
        rc = agg_gql_write_variable(w, v);

        /* in a list, a variable without a value is null */

        if (rc == AGG_NOT_FOUND && v->parent != AGG_GQL_NONE) {

            if (agg_gql_non_null(v->wraps)) {
                return AGG_INVALID;
            }

            return agg_buf_append(w->out, "null", 4);
        }

        return rc;

    case AGG_GQL_LIST:
        agg_gql_try(agg_buf_append(w->out, "[", 1));

        if (v->first == AGG_GQL_NONE) {
            return agg_buf_append(w->out, "]", 1);
        }

        *id = v->first;
        *opened = 1;
        return AGG_OK;

    case AGG_GQL_OBJECT:
        agg_gql_try(agg_buf_append(w->out, "{", 1));
        agg_gql_try(agg_gql_write_next(w, v, 0, v->first, &next));

        if (next != AGG_GQL_NONE) {
            *id = next;
            *opened = 1;
        }

        return AGG_OK;

    default:
        return agg_gql_write_leaf(w, v);
    }
}


/*
 * Writes the next field of an object, from the argument "arg" on, and for an
 * input object from the field "index" of its type on, with defaults on the way.
 * *id is the value to be written, or NONE after "}".
 */

static agg_rc_e
agg_gql_write_next(const agg_gql_literal_t *w, const agg_gql_value_t *object,
    unsigned index, uint32_t arg, uint32_t *id)
{
    const agg_str_t        *value;
    const agg_gql_arg_t    *a;
    const agg_gql_input_t  *in;
    const agg_gql_value_t  *v;

    *id = AGG_GQL_NONE;

    if (!agg_gql_is_typed_object(object)) {

        while (arg != AGG_GQL_NONE) {
            a = &w->doc->args[arg];
            v = &w->doc->values[a->value];

            if (v->kind != AGG_GQL_VARIABLE
                || agg_gql_variable_value(w, v) != NULL)
            {
                agg_gql_try(agg_gql_write_name(w, &a->name));
                *id = a->value;
                return AGG_OK;
            }

            arg = a->next;
        }

        return agg_buf_append(w->out, "}", 1);
    }

    for ( /* void */ ; index < object->type->ninputs; index++) {
        in = &object->type->inputs[index];

        if (arg != AGG_GQL_NONE && w->doc->args[arg].input == in) {
            a = &w->doc->args[arg];
            v = &w->doc->values[a->value];
            arg = a->next;

            if (v->kind != AGG_GQL_VARIABLE
                || agg_gql_variable_value(w, v) != NULL)
            {
                agg_gql_try(agg_gql_write_field(w, in));
                *id = a->value;
                return AGG_OK;
            }
        }

        if (!in->has_default) {

            if (agg_gql_non_null(in->type.wraps)) {
                return AGG_INVALID;
            }

            continue;
        }

        value = w->text ? &in->default_text : &in->default_json;

        if (value->data == NULL) {
            return AGG_AGAIN;
        }

        agg_gql_try(agg_gql_write_field(w, in));
        agg_gql_try(agg_buf_append(w->out, value->data, value->len));
    }

    return agg_buf_append(w->out, "}", 1);
}


/* writes the name of a field of an input object, in JSON the backend's */

static agg_rc_e
agg_gql_write_field(const agg_gql_literal_t *w, const agg_gql_input_t *input)
{
    if (w->text) {
        return agg_gql_write_name(w, &input->name);
    }

    agg_gql_try(agg_gql_write_comma(w));
    agg_gql_try(agg_buf_append(w->out, input->json_quoted.data,
                               input->json_quoted.len));

    return agg_buf_append(w->out, ":", 1);
}


static agg_rc_e
agg_gql_write_name(const agg_gql_literal_t *w, const agg_str_t *name)
{
    agg_gql_try(agg_gql_write_comma(w));

    if (w->text) {
        return agg_gql_put(w->out, "%W: ", name);
    }

    agg_gql_try(agg_json_escape(w->out, name->data, name->len));

    return agg_buf_append(w->out, ":", 1);
}


/* NULL: the variable has no value */

static const agg_str_t *
agg_gql_variable_value(const agg_gql_literal_t *w, const agg_gql_value_t *v)
{
    uint32_t  i;

    if (w->values == NULL) {
        return NULL;
    }

    i = agg_gql_variable(w->doc, w->operation, &v->text);

    if (i == AGG_GQL_NONE || w->values[i].data == NULL) {
        return NULL;
    }

    return &w->values[i];
}


static agg_rc_e
agg_gql_write_variable(const agg_gql_literal_t *w, const agg_gql_value_t *v)
{
    const agg_str_t  *value;

    value = agg_gql_variable_value(w, v);

    if (value == NULL) {
        return AGG_NOT_FOUND;
    }

    if (agg_gql_non_null(v->wraps)
        && value->len == 4 && memcmp(value->data, "null", 4) == 0)
    {
        return AGG_INVALID;
    }

    return agg_buf_append(w->out, value->data, value->len);
}


static agg_rc_e
agg_gql_write_leaf(const agg_gql_literal_t *w, const agg_gql_value_t *v)
{
    if (w->text) {
        return agg_gql_write_text_leaf(w, v);
    }

    switch (v->kind) {

    case AGG_GQL_STRING:
    case AGG_GQL_BLOCK_STRING:
        return agg_gql_write_string(w, v);

    case AGG_GQL_ENUM:
        if (v->chosen != NULL) {
            return agg_buf_append(w->out, v->chosen->json.data,
                                  v->chosen->json.len);
        }

        return agg_json_escape(w->out, v->text.data, v->text.len);

    case AGG_GQL_INT:
        if (v->type != NULL && v->type->scalar == AGG_GQL_SCALAR_ID) {
            return agg_json_escape(w->out, v->text.data, v->text.len);
        }

        return agg_buf_append(w->out, v->text.data, v->text.len);

    default:
        return agg_buf_append(w->out, v->text.data, v->text.len);
    }
}


/* a string of a custom scalar is copied from the source, if that is JSON */

static agg_rc_e
agg_gql_write_string(const agg_gql_literal_t *w, const agg_gql_value_t *v)
{
    size_t         len;
    const u_char  *p, *end;

    if (v->kind == AGG_GQL_STRING
        && (v->type == NULL || v->type->scalar == AGG_GQL_CUSTOM))
    {
        p = w->doc->source->text.data + v->offset;
        end = w->doc->source->text.data + v->end;
        len = v->end - v->offset;

        for ( /* void */ ; p < end; p++) {
            if (*p < 0x20 || (*p == '\\' && p[1] == 'u' && p[2] == '{')) {
                break;
            }

            p += (*p == '\\');
        }

        if (p >= end) {
            return agg_buf_append(w->out,
                                  w->doc->source->text.data + v->offset, len);
        }
    }

    return agg_json_escape(w->out, v->text.data, v->text.len);
}


static agg_rc_e
agg_gql_write_text_leaf(const agg_gql_literal_t *w, const agg_gql_value_t *v)
{
    size_t  i;

    switch (v->kind) {

    case AGG_GQL_STRING:
    case AGG_GQL_BLOCK_STRING:

        /* an ID that consists of digits is printed as a number */

        if (v->type != NULL && v->type->scalar == AGG_GQL_SCALAR_ID
            && v->text.len != 0)
        {
            i = (v->text.data[0] == '-' && v->text.len > 1);

            if (v->text.data[i] != '0' || v->text.len == i + 1) {

                while (i < v->text.len && v->text.data[i] >= '0'
                       && v->text.data[i] <= '9')
                {
                    i++;
                }

                if (i == v->text.len) {
                    return agg_buf_append(w->out, v->text.data, i);
                }
            }
        }

        return agg_gql_put_string(w->out, &v->text);

    case AGG_GQL_INT:
        if (v->type != NULL && v->type->scalar == AGG_GQL_SCALAR_ID) {
            return agg_buf_append(w->out, v->text.data, v->text.len);
        }

        return agg_gql_put_number(w->out, &v->text);

    case AGG_GQL_FLOAT:
        return agg_gql_put_number(w->out, &v->text);

    case AGG_GQL_ENUM:
        if (v->chosen == NULL) {
            return agg_gql_put_string(w->out, &v->text);
        }

        return agg_buf_append(w->out, v->text.data, v->text.len);

    default:
        return agg_buf_append(w->out, v->text.data, v->text.len);
    }
}


/* prints a number as JavaScript does */

static agg_rc_e
agg_gql_put_number(agg_buf_t *b, const agg_str_t *digits)
{
    int      exponent;
    char     text[64], mantissa[24], *p;
    size_t   n, k;
    double   x;

    if (digits->len >= sizeof(text)) {
        return agg_buf_append(b, digits->data, digits->len);
    }

    memcpy(text, digits->data, digits->len);
    text[digits->len] = '\0';

    x = strtod(text, NULL);

    if (x == 0) {
        return agg_buf_append(b, "0", 1);
    }

    if (!agg_gql_is_finite(x)) {
        return agg_buf_append(b, digits->data, digits->len);
    }

    /* finds the shortest digits that are read back as the same number */

    for (n = 0; n < 17; n++) {
        (void) snprintf(text, sizeof(text), "%.*e", (int) n, x);

        if (strtod(text, NULL) == x) {
            break;
        }
    }

    p = text;

    if (*p == '-') {
        agg_gql_try(agg_buf_append(b, "-", 1));
        p++;
    }

    k = 0;

    for ( /* void */ ; *p != 'e'; p++) {
        if (*p != '.') {
            mantissa[k++] = *p;
        }
    }

    while (k > 1 && mantissa[k - 1] == '0') {
        k--;
    }

    exponent = (int) strtol(p + 1, NULL, 10) + 1;

    if (exponent > 21 || exponent < -5) {
        agg_gql_try(agg_buf_append(b, mantissa, 1));

        if (k > 1) {
            agg_gql_try(agg_buf_append(b, ".", 1));
            agg_gql_try(agg_buf_append(b, mantissa + 1, k - 1));
        }

        n = (size_t) snprintf(text, sizeof(text), "e%+d", exponent - 1);

        return agg_buf_append(b, text, n);
    }

    if (exponent <= 0) {
        agg_gql_try(agg_buf_append(b, "0.", 2));
        agg_gql_try(agg_buf_append(b, "000000", (size_t) -exponent));

        return agg_buf_append(b, mantissa, k);
    }

    if (k <= (size_t) exponent) {
        agg_gql_try(agg_buf_append(b, mantissa, k));

        return agg_buf_append(b, "000000000000000000000",
                              (size_t) exponent - k);
    }

    agg_gql_try(agg_buf_append(b, mantissa, (size_t) exponent));
    agg_gql_try(agg_buf_append(b, ".", 1));

    return agg_buf_append(b, mantissa + exponent, k - (size_t) exponent);
}
