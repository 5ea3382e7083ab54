
/*
 * Values of variables: the JSON of the request is checked against the types of
 * the variables, and written with the names that backends use.
 *
 * Valid JSON does not nest deeper than AGG_MAX_DEPTH, so the stack has that
 * many frames, plus one for a list that is added around a value.  The
 * members of an object are first collected by the fields of its type, in
 * room that is kept for each depth; then they are written in the order of the
 * type.
 */


#include <stdio.h>
#include <stdlib.h>

#include "agg_gql_literal.h"
#include "agg_gql_check.h"


typedef struct {
    const agg_gql_type_t    *type;          /* the elements', or the object's */
    agg_gql_wraps_t          wraps;         /* the elements' wraps */
    unsigned                 list;
    unsigned                 index;         /* the member being written */
    agg_iter_t               it;
    unsigned                 closing;       /* lists that it was put into */
    agg_str_t                raw;           /* the whole of it */
    agg_str_t               *slots;         /* by field; data NULL: missing */
    unsigned                 nslots;
} agg_gql_frame_t;


typedef struct {
    const agg_gql_schema_t    *schema;
    const agg_gql_doc_t       *doc;
    const agg_gql_variable_t  *variable;
    agg_mem_t                 *mem;
    agg_gql_errors_t          *errors;
    agg_buf_t                  out;
    unsigned                   depth;
    unsigned                   bad;
    agg_gql_frame_t           *frames;
    unsigned                   nframes;
} agg_gql_coerce_t;


static agg_rc_e agg_gql_coerce_name(agg_mem_t *mem, const agg_str_t *raw,
    agg_str_t *name);
static agg_rc_e agg_gql_coerce_one(agg_gql_coerce_t *c,
    const agg_str_t *json, agg_str_t *value);
static agg_rc_e agg_gql_coerce_default(agg_gql_coerce_t *c,
    agg_str_t *value);
static agg_rc_e agg_gql_coerce_value(agg_gql_coerce_t *c,
    const agg_str_t *json);
static agg_rc_e agg_gql_coerce_frame(agg_gql_coerce_t *c);
static agg_rc_e agg_gql_coerce_open(agg_gql_coerce_t *c,
    const agg_str_t *json, const agg_gql_type_t *type, agg_gql_wraps_t wraps);
static agg_rc_e agg_gql_coerce_object(agg_gql_coerce_t *c,
    const agg_str_t *json, const agg_gql_type_t *type, unsigned closing);
static agg_rc_e agg_gql_coerce_members(agg_gql_coerce_t *c,
    agg_gql_frame_t *f);
static agg_rc_e agg_gql_coerce_unknown(agg_gql_coerce_t *c,
    agg_gql_frame_t *f, const agg_str_t *name);
static agg_rc_e agg_gql_coerce_next(agg_gql_coerce_t *c, agg_str_t *json,
    const agg_gql_type_t **type, agg_gql_wraps_t *wraps);
static agg_rc_e agg_gql_coerce_leaf(agg_gql_coerce_t *c,
    const agg_str_t *json, const agg_gql_type_t *type);
static agg_rc_e agg_gql_coerce_int(agg_gql_coerce_t *c,
    const agg_str_t *json);
static agg_rc_e agg_gql_coerce_id(agg_gql_coerce_t *c, const agg_str_t *json);
static agg_rc_e agg_gql_coerce_enum(agg_gql_coerce_t *c,
    const agg_str_t *json, const agg_gql_type_t *type);
static agg_rc_e agg_gql_coerce_bad(agg_gql_coerce_t *c,
    const agg_str_t *json, const char *fmt, ...);


agg_rc_e
agg_gql_coerce_variables(const agg_gql_schema_t *schema,
    const agg_gql_doc_t *doc, uint32_t operation, const agg_str_t *json,
    agg_str_t *values, agg_mem_t *mem, size_t max, agg_gql_errors_t *errors)
{
    agg_rc_e                    rc;
    uint32_t                    i;
    agg_str_t                  *given, decoded;
    agg_iter_t                  it;
    agg_gql_coerce_t           *c;
    const agg_gql_operation_t  *op;

    op = &doc->operations[operation];

    if (op->nvariables == 0) {
        return AGG_OK;
    }

    c = mem->alloc(mem->ctx, sizeof(agg_gql_coerce_t));
    given = mem->alloc(mem->ctx, op->nvariables * sizeof(agg_str_t));

    if (c == NULL || given == NULL) {
        return AGG_NOMEM;
    }

    memset(c, 0, sizeof(agg_gql_coerce_t));
    memset(given, 0, op->nvariables * sizeof(agg_str_t));

    c->schema = schema;
    c->doc = doc;
    c->mem = mem;
    c->errors = errors;

    if (json != NULL && json->len != 0) {
        agg_iter_init(&it, json);

        while (agg_iter_next(&it)) {
            agg_gql_try(agg_gql_coerce_name(mem, &it.name, &decoded));

            i = agg_gql_variable(doc, operation, &decoded);

            if (i != AGG_GQL_NONE) {
                given[i] = it.value;
            }
        }
    }

    for (i = 0; i < op->nvariables; i++) {
        c->variable = &doc->variables[op->variable + i];
        values[i].data = NULL;
        values[i].len = 0;

        agg_buf_init(&c->out, mem, max);

        rc = agg_gql_coerce_one(c, &given[i], &values[i]);
        if (rc != AGG_OK) {
            return rc;
        }

        max -= values[i].len;
    }

    return c->bad ? AGG_INVALID : AGG_OK;
}


/* the name of a member; one with a lone surrogate matches no field */

static agg_rc_e
agg_gql_coerce_name(agg_mem_t *mem, const agg_str_t *raw, agg_str_t *name)
{
    ssize_t  len;

    *name = *raw;

    if (memchr(raw->data, '\\', raw->len) == NULL) {
        return AGG_OK;
    }

    name->data = mem->alloc(mem->ctx, raw->len);
    if (name->data == NULL) {
        return AGG_NOMEM;
    }

    len = agg_json_unescape(name->data, raw);
    name->len = (len > 0) ? (size_t) len : 0;

    return AGG_OK;
}


static agg_rc_e
agg_gql_coerce_one(agg_gql_coerce_t *c, const agg_str_t *json,
    agg_str_t *value)
{
    agg_str_t                  text;
    const agg_gql_variable_t  *v;

    v = c->variable;

    if (json->data == NULL && v->value != AGG_GQL_NONE) {
        return agg_gql_coerce_default(c, value);
    }

    if (json->data == NULL) {

        if (!agg_gql_non_null(v->wraps)) {
            return AGG_OK;
        }

        agg_gql_try(agg_gql_type_text(c->mem, &v->type_name, v->wraps,
                                      &text));
        return agg_gql_coerce_bad(c, NULL,
                   "Variable \"$%V\" of required type \"%V\" was not "
                   "provided.", &v->name, &text);
    }

    if (agg_json_kind(json) == AGG_NULL && agg_gql_non_null(v->wraps)) {
        agg_gql_try(agg_gql_type_text(c->mem, &v->type_name, v->wraps,
                                      &text));
        return agg_gql_coerce_bad(c, NULL,
                   "Variable \"$%V\" of non-null type \"%V\" must not be "
                   "null.", &v->name, &text);
    }

    agg_gql_try(agg_gql_coerce_value(c, json));

    value->data = c->out.start;
    value->len = agg_buf_used(&c->out);

    return AGG_OK;
}


static agg_rc_e
agg_gql_coerce_default(agg_gql_coerce_t *c, agg_str_t *value)
{
    agg_gql_literal_t  w;

    w.doc = c->doc;
    w.operation = 0;
    w.values = NULL;
    w.out = &c->out;
    w.text = 0;

    agg_gql_try(agg_gql_write_literal(&w, c->variable->value));

    value->data = c->out.start;
    value->len = agg_buf_used(&c->out);

    return AGG_OK;
}


static agg_rc_e
agg_gql_coerce_value(agg_gql_coerce_t *c, const agg_str_t *json)
{
    agg_str_t               next;
    agg_gql_wraps_t         wraps;
    const agg_gql_type_t   *type;

    c->depth = 0;
    type = c->variable->type;
    wraps = c->variable->wraps;

    agg_gql_try(agg_gql_coerce_open(c, json, type, wraps));

    while (c->depth != 0) {
        agg_gql_try(agg_gql_coerce_next(c, &next, &type, &wraps));

        if (next.data != NULL) {
            agg_gql_try(agg_gql_coerce_open(c, &next, type, wraps));
        }
    }

    return AGG_OK;
}


/* makes room for another frame; unused frames keep their contents */

static agg_rc_e
agg_gql_coerce_frame(agg_gql_coerce_t *c)
{
    unsigned          n;
    agg_gql_frame_t  *frames;

    if (c->depth < c->nframes) {
        return AGG_OK;
    }

    if (c->depth > AGG_MAX_DEPTH) {
        return AGG_TOO_LARGE;
    }

    n = 2 * c->nframes + 4;

    frames = c->mem->grow(c->mem->ctx, c->frames,
                          c->nframes * sizeof(agg_gql_frame_t),
                          n * sizeof(agg_gql_frame_t));
    if (frames == NULL) {
        return AGG_NOMEM;
    }

    memset(frames + c->nframes, 0, (n - c->nframes) * sizeof(agg_gql_frame_t));

    c->frames = frames;
    c->nframes = n;

    return AGG_OK;
}


/* writes a value, or pushes a frame for a container */

static agg_rc_e
agg_gql_coerce_open(agg_gql_coerce_t *c, const agg_str_t *json,
    const agg_gql_type_t *type, agg_gql_wraps_t wraps)
{
    unsigned          closing, i;
    agg_str_t         text;
    agg_kind_e        kind;
    agg_gql_frame_t  *f;

    kind = agg_json_kind(json);

    if (kind == AGG_NULL) {

        if (agg_gql_non_null(wraps)) {
            agg_gql_try(agg_gql_type_text(c->mem, &type->name, wraps, &text));
            return agg_gql_coerce_bad(c, json,
                       "Expected non-nullable type \"%V\" not to be null.",
                       &text);
        }

        return agg_buf_append(&c->out, "null", 4);
    }

    wraps = agg_gql_nullable(wraps);

    if (wraps != 0 && kind == AGG_ARRAY) {

        agg_gql_try(agg_gql_coerce_frame(c));

        f = &c->frames[c->depth++];

        f->type = type;
        f->wraps = agg_gql_inner(wraps);
        f->list = 1;
        f->index = 0;
        f->closing = 0;
        f->raw = *json;
        agg_iter_init(&f->it, json);

        return agg_buf_append(&c->out, "[", 1);
    }

    /* a value that is not a list becomes a list of one element */

    for (closing = 0; wraps != 0; closing++) {
        agg_gql_try(agg_buf_append(&c->out, "[", 1));
        wraps = agg_gql_nullable(agg_gql_inner(wraps));
    }

    if (type->kind == AGG_GQL_INPUT_OBJECT) {
        return agg_gql_coerce_object(c, json, type, closing);
    }

    agg_gql_try(agg_gql_coerce_leaf(c, json, type));

    for (i = 0; i < closing; i++) {
        agg_gql_try(agg_buf_append(&c->out, "]", 1));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_coerce_object(agg_gql_coerce_t *c, const agg_str_t *json,
    const agg_gql_type_t *type, unsigned closing)
{
    agg_str_t        *slots;
    agg_gql_frame_t  *f;

    if (agg_json_kind(json) != AGG_OBJECT) {
        return agg_gql_coerce_bad(c, json,
                                  "Expected type \"%V\" to be an object.",
                                  &type->name);
    }

    agg_gql_try(agg_gql_coerce_frame(c));

    f = &c->frames[c->depth];

    if (f->nslots < type->ninputs) {
        slots = c->mem->grow(c->mem->ctx, f->slots, 0,
                             2 * type->ninputs * sizeof(agg_str_t));
        if (slots == NULL) {
            return AGG_NOMEM;
        }

        f->slots = slots;
        f->nslots = 2 * type->ninputs;
    }

    f->type = type;
    f->list = 0;
    f->index = 0;
    f->closing = closing;
    f->raw = *json;

    agg_gql_try(agg_gql_coerce_members(c, f));

    c->depth++;

    return agg_buf_append(&c->out, "{", 1);
}


static agg_rc_e
agg_gql_coerce_members(agg_gql_coerce_t *c, agg_gql_frame_t *f)
{
    unsigned          i, n;
    agg_str_t         name, text;
    agg_iter_t        it;
    agg_gql_input_t  *in;

    memset(f->slots, 0, f->type->ninputs * sizeof(agg_str_t));

    agg_iter_init(&it, &f->raw);

    while (agg_iter_next(&it)) {
        agg_gql_try(agg_gql_coerce_name(c->mem, &it.name, &name));

        in = agg_gql_input_by_name(c->schema, f->type, &name);

        if (in != NULL) {
            f->slots[in->index] = it.value;
            continue;
        }

        agg_gql_try(agg_gql_coerce_unknown(c, f, &name));
    }

    n = 0;

    for (i = 0; i < f->type->ninputs; i++) {
        in = &f->type->inputs[i];

        if (f->slots[i].data != NULL) {
            n++;

            if (f->type->one_of && agg_json_kind(&f->slots[i]) == AGG_NULL) {

                /* the path of the error ends with the member */

                f->index = i + 1;
                c->depth++;

                agg_gql_try(agg_gql_coerce_bad(c, &f->slots[i],
                                "Field \"%V\" must be non-null.", &in->name));
                c->depth--;
                f->index = 0;
            }

            continue;
        }

        if (agg_gql_is_required(in)) {
            agg_gql_try(agg_gql_type_text(c->mem, &in->type.type->name,
                                          in->type.wraps, &text));
            agg_gql_try(agg_gql_coerce_bad(c, &f->raw,
                            "Field \"%V\" of required type \"%V\" was not "
                            "provided.", &in->name, &text));
        }
    }

    if (f->type->one_of && n != 1) {
        return agg_gql_coerce_bad(c, &f->raw,
                                  "Exactly one key must be specified for OneOf "
                                  "type \"%V\".", &f->type->name);
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_coerce_unknown(agg_gql_coerce_t *c, agg_gql_frame_t *f,
    const agg_str_t *name)
{
    unsigned            i;
    agg_str_t           text;
    agg_gql_suggest_t   s;

    c->bad = 1;

    if (!agg_gql_error_wanted(c->errors)) {
        return AGG_OK;
    }

    agg_gql_suggest_init(&s, c->errors, name);

    for (i = 0; i < f->type->ninputs; i++) {
        agg_gql_suggest_add(&s, &f->type->inputs[i].name);
    }

    agg_gql_try(agg_gql_suggest_text(&s, "", &text));

    return agg_gql_coerce_bad(c, &f->raw,
                              "Field \"%V\" is not defined by type \"%V\".%W",
                              name, &f->type->name, &text);
}


/*
 * Returns the next value in the innermost container, writing commas and names.
 * json->data is NULL when the container is closed.
 */

static agg_rc_e
agg_gql_coerce_next(agg_gql_coerce_t *c, agg_str_t *json,
    const agg_gql_type_t **type, agg_gql_wraps_t *wraps)
{
    unsigned          i;
    agg_gql_frame_t  *f;
    agg_gql_input_t  *in;

    f = &c->frames[c->depth - 1];
    json->data = NULL;

    if (f->list) {

        if (!agg_iter_next(&f->it)) {
            c->depth--;
            return agg_buf_append(&c->out, "]", 1);
        }

        if (f->index++ != 0) {
            agg_gql_try(agg_buf_append(&c->out, ",", 1));
        }

        *json = f->it.value;
        *type = f->type;
        *wraps = f->wraps;

        return AGG_OK;
    }

    for (i = f->index; i < f->type->ninputs; i++) {
        in = &f->type->inputs[i];

        if (f->slots[i].data == NULL && !in->has_default) {
            continue;
        }

        if (c->out.pos[-1] != '{') {
            agg_gql_try(agg_buf_append(&c->out, ",", 1));
        }

        agg_gql_try(agg_buf_append(&c->out, in->json_quoted.data,
                                   in->json_quoted.len));
        agg_gql_try(agg_buf_append(&c->out, ":", 1));

        if (f->slots[i].data == NULL) {
            agg_gql_try(agg_buf_append(&c->out, in->default_json.data,
                                       in->default_json.len));
            continue;
        }

        f->index = i + 1;

        *json = f->slots[i];
        *type = in->type.type;
        *wraps = in->type.wraps;

        return AGG_OK;
    }

    agg_gql_try(agg_buf_append(&c->out, "}", 1));

    for (i = 0; i < f->closing; i++) {
        agg_gql_try(agg_buf_append(&c->out, "]", 1));
    }

    c->depth--;

    return AGG_OK;
}


static agg_rc_e
agg_gql_coerce_leaf(agg_gql_coerce_t *c, const agg_str_t *json,
    const agg_gql_type_t *type)
{
    char        text[400];
    double      x;
    agg_kind_e  kind;

    if (type->kind == AGG_GQL_ENUM_TYPE) {
        return agg_gql_coerce_enum(c, json, type);
    }

    kind = agg_json_kind(json);

    switch (type->scalar) {

    case AGG_GQL_SCALAR_INT:
        return agg_gql_coerce_int(c, json);

    case AGG_GQL_SCALAR_ID:
        return agg_gql_coerce_id(c, json);

    case AGG_GQL_SCALAR_FLOAT:
        x = 0;

        if (kind == AGG_NUMBER && json->len < sizeof(text)) {
            memcpy(text, json->data, json->len);
            text[json->len] = '\0';
            x = strtod(text, NULL);
        }

        if (kind != AGG_NUMBER || json->len >= sizeof(text)
            || !agg_gql_is_finite(x))
        {
            return agg_gql_coerce_bad(c, json,
                              "Float cannot represent non numeric value: %V",
                              json);
        }

        break;

    case AGG_GQL_SCALAR_STRING:
        if (kind != AGG_STRING) {
            return agg_gql_coerce_bad(c, json,
                              "String cannot represent a non string value: %V",
                              json);
        }

        break;

    case AGG_GQL_SCALAR_BOOLEAN:
        if (kind != AGG_TRUE && kind != AGG_FALSE) {
            return agg_gql_coerce_bad(c, json,
                            "Boolean cannot represent a non boolean value: %V",
                            json);
        }

        break;

    default:
        break;
    }

    return agg_buf_append(&c->out, json->data, json->len);
}


/* an integer, however it is spelled; returns 0 if it is not one */

static int
agg_gql_whole(const agg_str_t *json, char *text, size_t size, double most)
{
    double  x;

    if (agg_json_kind(json) != AGG_NUMBER || json->len >= size) {
        return 0;
    }

    memcpy(text, json->data, json->len);
    text[json->len] = '\0';

    x = strtod(text, NULL);

    if (x > most || x < -most || x != (double) (int64_t) x) {
        return 0;
    }

    (void) snprintf(text, size, "%lld", (long long) x);

    return 1;
}


/* only digits */

static int
agg_gql_is_integer(const agg_str_t *json)
{
    return agg_json_kind(json) == AGG_NUMBER
           && memchr(json->data, '.', json->len) == NULL
           && memchr(json->data, 'e', json->len) == NULL
           && memchr(json->data, 'E', json->len) == NULL;
}


static agg_rc_e
agg_gql_coerce_int(agg_gql_coerce_t *c, const agg_str_t *json)
{
    char       text[64];
    agg_str_t  digits;

    digits = *json;

    if (!agg_gql_is_integer(json)) {

        if (!agg_gql_whole(json, text, sizeof(text), 9007199254740992.0)) {
            return agg_gql_coerce_bad(c, json,
                                "Int cannot represent non-integer value: %V",
                                json);
        }

        digits.data = (u_char *) text;
        digits.len = strlen(text);
    }

    if (!agg_gql_is_int32(&digits)) {
        return agg_gql_coerce_bad(c, json,
                   "Int cannot represent non 32-bit signed integer value: %V",
                   json);
    }

    return agg_buf_append(&c->out, digits.data, digits.len);
}


static agg_rc_e
agg_gql_coerce_id(agg_gql_coerce_t *c, const agg_str_t *json)
{
    char       text[64];
    agg_str_t  digits;

    if (agg_json_kind(json) == AGG_STRING) {
        return agg_buf_append(&c->out, json->data, json->len);
    }

    digits = *json;

    if (!agg_gql_is_integer(json)) {

        if (!agg_gql_whole(json, text, sizeof(text), 9007199254740992.0)) {
            return agg_gql_coerce_bad(c, json, "ID cannot represent value: %V",
                                      json);
        }

        digits.data = (u_char *) text;
        digits.len = strlen(text);
    }

    agg_gql_try(agg_buf_append(&c->out, "\"", 1));
    agg_gql_try(agg_buf_append(&c->out, digits.data, digits.len));

    return agg_buf_append(&c->out, "\"", 1);
}


static agg_rc_e
agg_gql_coerce_enum(agg_gql_coerce_t *c, const agg_str_t *json,
    const agg_gql_type_t *type)
{
    ssize_t                len;
    u_char                 decoded[256];
    unsigned               i, string;
    agg_str_t              name, text;
    agg_gql_suggest_t      s;
    agg_gql_enum_value_t  *e;

    name = *json;
    string = (agg_json_kind(json) == AGG_STRING);

    if (string) {
        name.data++;
        name.len -= 2;

        if (memchr(name.data, '\\', name.len) != NULL
            && name.len <= sizeof(decoded))
        {
            len = agg_json_unescape(decoded, &name);
            name.data = decoded;
            name.len = (len > 0) ? (size_t) len : 0;
        }

        e = agg_gql_enum_by_name(c->schema, type, &name);

        if (e != NULL) {
            return agg_buf_append(&c->out, e->json.data, e->json.len);
        }
    }

    c->bad = 1;

    if (!agg_gql_error_wanted(c->errors)) {
        return AGG_OK;
    }

    agg_gql_suggest_init(&s, c->errors, &name);

    for (i = 0; i < type->nvalues; i++) {
        agg_gql_suggest_add(&s, &type->values[i].name);
    }

    agg_gql_try(agg_gql_suggest_text(&s, "the enum value ", &text));

    if (string) {
        return agg_gql_coerce_bad(c, json,
                          "Value \"%V\" does not exist in \"%V\" enum.%W",
                          &name, &type->name, &text);
    }

    return agg_gql_coerce_bad(c, json,
                      "Enum \"%V\" cannot represent non-string value: %V.%W",
                      &type->name, json, &text);
}


/*
 * Reports an error in the variable, or, if json is not NULL, in a value
 * inside it, with its path.  Returns AGG_OK, so that more errors can be found,
 * or AGG_NOMEM.
 */

static agg_rc_e
agg_gql_coerce_bad(agg_gql_coerce_t *c, const agg_str_t *json,
    const char *fmt, ...)
{
    va_list           args;
    agg_rc_e          rc;
    unsigned          i;
    agg_buf_t         b;
    agg_str_t         text;
    agg_gql_frame_t  *f;

    c->bad = 1;

    if (!agg_gql_error_wanted(c->errors)) {
        return AGG_OK;
    }

    agg_buf_init(&b, c->mem, 1 << 16);

    if (json != NULL) {
        agg_gql_try(agg_gql_put(&b, "Variable \"$%V\" got invalid value %V",
                                &c->variable->name, json));

        for (i = 0; i < c->depth; i++) {
            f = &c->frames[i];

            if (i == 0) {
                agg_gql_try(agg_gql_put(&b, " at \"%V", &c->variable->name));
            }

            if (f->list) {
                agg_gql_try(agg_gql_put(&b, "[%u]", f->index - 1));

            } else {
                agg_gql_try(agg_gql_put(&b, ".%V",
                                        &f->type->inputs[f->index - 1].name));
            }
        }

        agg_gql_try(agg_gql_put(&b, (c->depth != 0) ? "\"; " : "; "));
    }

    va_start(args, fmt);
    rc = agg_gql_putv(&b, fmt, args);
    va_end(args);

    if (rc != AGG_OK) {
        return rc;
    }

    text.data = b.start;
    text.len = agg_buf_used(&b);

    rc = agg_gql_error(c->errors, AGG_GQL_BAD_USER_INPUT, c->doc->source,
                       &c->variable->node_offset, 1, "%W", &text);

    return (rc == AGG_NOMEM) ? rc : AGG_OK;
}
