
/*
 * Arguments and literals.  The values of a literal are stored in the order of
 * the text, containers before their contents.  So one pass over the array
 * visits all values, and each has been told the expected type by its container.
 */


#include "agg_gql_check.h"


static agg_rc_e agg_gql_check_unique_args(agg_gql_check_t *c, uint32_t first,
    uint32_t offset);
static agg_rc_e agg_gql_check_known_arg(agg_gql_check_t *c,
    agg_gql_arg_t *arg, const agg_gql_field_t *field,
    const agg_gql_directive_t *directive, const agg_gql_type_t *parent,
    uint32_t offset);
static agg_rc_e agg_gql_check_required(agg_gql_check_t *c, uint32_t first,
    const agg_gql_field_t *field, const agg_gql_directive_t *directive,
    uint32_t offset, uint32_t end);
static agg_rc_e agg_gql_unknown_directive(agg_gql_check_t *c,
    agg_gql_applied_t *a);
static agg_rc_e agg_gql_check_unique_applied(agg_gql_check_t *c,
    uint32_t first, uint32_t offset);
static agg_rc_e agg_gql_check_node(agg_gql_check_t *c, agg_gql_value_t *v,
    uint32_t id);
static agg_rc_e agg_gql_check_list(agg_gql_check_t *c, agg_gql_value_t *v,
    uint32_t id);
static agg_rc_e agg_gql_check_object(agg_gql_check_t *c, agg_gql_value_t *v,
    uint32_t id);
static agg_rc_e agg_gql_order_fields(agg_gql_check_t *c, agg_gql_value_t *v);
static agg_rc_e agg_gql_check_object_fields(agg_gql_check_t *c,
    agg_gql_value_t *v);
static agg_rc_e agg_gql_check_unique_fields(agg_gql_check_t *c,
    agg_gql_value_t *v, unsigned *distinct);
static agg_rc_e agg_gql_check_leaf(agg_gql_check_t *c, agg_gql_value_t *v,
    uint32_t id);
static agg_rc_e agg_gql_check_scalar(agg_gql_check_t *c, agg_gql_value_t *v,
    uint32_t id);
static agg_rc_e agg_gql_check_enum(agg_gql_check_t *c, agg_gql_value_t *v,
    uint32_t id);
static agg_rc_e agg_gql_expected(agg_gql_check_t *c, agg_gql_value_t *v,
    uint32_t id);


agg_rc_e
agg_gql_report(agg_gql_check_t *c, uint64_t key, const uint32_t *offsets,
    unsigned n, const char *fmt, ...)
{
    va_list    args;
    agg_rc_e   rc;
    agg_buf_t  b;
    agg_str_t  text;

    c->errors->key = key;

    if (!agg_gql_error_wanted(c->errors)) {
        return AGG_OK;
    }

    agg_buf_init(&b, c->mem, 1 << 20);

    va_start(args, fmt);
    rc = agg_gql_putv(&b, fmt, args);
    va_end(args);

    if (rc == AGG_NOMEM) {
        return rc;
    }

    text.data = b.start;
    text.len = agg_buf_used(&b);

    rc = agg_gql_error(c->errors, AGG_GQL_VALIDATION_FAILED, c->doc->source,
                       offsets, n, "%W", &text);

    return (rc == AGG_NOMEM) ? rc : AGG_OK;
}


int
agg_gql_wanted(agg_gql_check_t *c, uint64_t key)
{
    c->errors->key = key;

    return agg_gql_error_wanted(c->errors);
}


int
agg_gql_compare(const agg_str_t *a, const agg_str_t *b)
{
    int     rc;
    size_t  n;

    n = (a->len < b->len) ? a->len : b->len;
    rc = (n != 0) ? memcmp(a->data, b->data, n) : 0;

    return (rc != 0) ? rc : (a->len > b->len) - (a->len < b->len);
}


static int
agg_gql_less(agg_gql_cmp_pt cmp, const void *data, uint32_t a, uint32_t b)
{
    int  rc;

    rc = cmp(data, a, b);

    return (rc != 0) ? rc < 0 : a < b;
}


void
agg_gql_sort(uint32_t *list, uint32_t n, agg_gql_cmp_pt cmp,
    const void *data)
{
    size_t    i, child;
    uint32_t  start, end, x;

    if (n < 2) {
        return;
    }

    start = n / 2;
    end = n;

    for ( ;; ) {

        if (start > 0) {
            start--;
            x = list[start];

        } else {
            end--;

            if (end == 0) {
                return;
            }

            x = list[end];
            list[end] = list[0];
        }

        for (i = start; (child = 2 * i + 1) < end; i = child) {

            if (child + 1 < end
                && agg_gql_less(cmp, data, list[child], list[child + 1]))
            {
                child++;
            }

            if (!agg_gql_less(cmp, data, x, list[child])) {
                break;
            }

            list[i] = list[child];
        }

        list[i] = x;

        if (start == 0 && end == 1) {
            return;
        }
    }
}


uint32_t *
agg_gql_scratch(agg_gql_check_t *c, size_t n)
{
    uint32_t  *p;

    if (n > c->nscratch) {
        n += n / 2 + 16;

        p = c->mem->grow(c->mem->ctx, c->scratch, 0, n * sizeof(uint32_t));
        if (p == NULL) {
            return NULL;
        }

        c->scratch = p;
        c->nscratch = (uint32_t) n;
    }

    return c->scratch;
}


/* n marks, all of them clear */

static u_char *
agg_gql_marks(agg_gql_check_t *c, size_t n)
{
    u_char  *p;

    if (n > c->nmarks) {
        p = c->mem->grow(c->mem->ctx, c->marks, 0, n * 2);
        if (p == NULL) {
            return NULL;
        }

        c->marks = p;
        c->nmarks = n * 2;
    }

    if (n != 0) {
        memset(c->marks, 0, n);
    }

    return c->marks;
}


static int
agg_gql_arg_cmp(const void *data, uint32_t a, uint32_t b)
{
    const agg_gql_doc_t  *doc = data;

    return agg_gql_compare(&doc->args[a].name, &doc->args[b].name);
}


agg_rc_e
agg_gql_check_args(agg_gql_check_t *c, uint32_t first,
    const agg_gql_field_t *field, const agg_gql_directive_t *directive,
    const agg_gql_type_t *parent, uint32_t offset, uint32_t end)
{
    uint32_t        id;
    const void     *owner;
    agg_gql_arg_t  *arg;

    owner = (field != NULL) ? (const void *) field : directive;

    if (first != AGG_GQL_NONE && c->doc->args[first].next != AGG_GQL_NONE) {
        agg_gql_try(agg_gql_check_unique_args(c, first, offset));
    }

    for (id = first; id != AGG_GQL_NONE; id = arg->next) {
        arg = &c->doc->args[id];

        if (owner != NULL) {
            arg->input = agg_gql_input_by_name(c->schema, owner, &arg->name);

            if (arg->input == NULL) {
                agg_gql_try(agg_gql_check_known_arg(c, arg, field, directive,
                                                    parent, offset));
            }
        }

        if (arg->input != NULL && agg_gql_is_input(arg->input->type.type)) {
            agg_gql_try(agg_gql_check_value(c, arg->value,
                                            arg->input->type.type,
                                            arg->input->type.wraps,
                                            arg->input));

        } else {
            agg_gql_try(agg_gql_check_value(c, arg->value, NULL, 0, NULL));
        }
    }

    if (owner == NULL) {
        return AGG_OK;
    }

    return agg_gql_check_required(c, first, field, directive, offset, end);
}


static agg_rc_e
agg_gql_check_unique_args(agg_gql_check_t *c, uint32_t first, uint32_t offset)
{
    uint32_t        id, *list, *places, i, k, n;
    agg_gql_arg_t  *args;

    args = c->doc->args;
    n = 0;

    for (id = first; id != AGG_GQL_NONE; id = args[id].next) {
        n++;
    }

    list = agg_gql_scratch(c, 2 * (size_t) n);
    if (list == NULL) {
        return AGG_NOMEM;
    }

    places = list + n;
    n = 0;

    for (id = first; id != AGG_GQL_NONE; id = args[id].next) {
        list[n++] = id;
    }

    agg_gql_sort(list, n, agg_gql_arg_cmp, c->doc);

    for (i = 0; i < n; i = k) {

        for (k = i; k < n; k++) {

            if (agg_gql_arg_cmp(c->doc, list[i], list[k]) != 0) {
                break;
            }

            places[k - i] = args[list[k]].offset;
        }

        if (k - i > 1) {
            agg_gql_try(agg_gql_report(c,
                agg_gql_key_enter(c, offset, AGG_GQL_RULE_UNIQUE_ARGUMENTS),
                places, k - i, "There can be only one argument named \"%V\".",
                &args[list[i]].name));
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_check_known_arg(agg_gql_check_t *c, agg_gql_arg_t *arg,
    const agg_gql_field_t *field, const agg_gql_directive_t *directive,
    const agg_gql_type_t *parent, uint32_t offset)
{
    uint64_t            key;
    unsigned            i, n;
    agg_str_t           text;
    agg_gql_input_t    *inputs;
    agg_gql_suggest_t   s;

    /* the arguments of a directive are reported with the directive */

    key = agg_gql_key_enter(c, (field != NULL) ? arg->offset : offset,
                            AGG_GQL_RULE_KNOWN_ARGUMENTS);

    if (!agg_gql_wanted(c, key)) {
        return AGG_OK;
    }

    inputs = (field != NULL) ? field->args : directive->args;
    n = (field != NULL) ? field->nargs : directive->nargs;

    agg_gql_suggest_init(&s, c->errors, &arg->name);

    for (i = 0; i < n; i++) {
        agg_gql_suggest_add(&s, &inputs[i].name);
    }

    agg_gql_try(agg_gql_suggest_text(&s, "", &text));

    if (field != NULL) {
        return agg_gql_report(c, key, &arg->offset, 1,
                              "Unknown argument \"%V\" on field \"%V.%V\".%W",
                              &arg->name, &parent->name, &field->name, &text);
    }

    return agg_gql_report(c, key, &arg->offset, 1,
                          "Unknown argument \"%V\" on directive \"@%V\".%W",
                          &arg->name, &directive->name, &text);
}


static agg_rc_e
agg_gql_check_required(agg_gql_check_t *c, uint32_t first,
    const agg_gql_field_t *field, const agg_gql_directive_t *directive,
    uint32_t offset, uint32_t end)
{
    u_char           *marks;
    uint64_t          key;
    unsigned          i, n;
    uint32_t          id;
    agg_str_t         text;
    agg_gql_input_t  *inputs;

    inputs = (field != NULL) ? field->args : directive->args;
    n = (field != NULL) ? field->nargs : directive->nargs;

    if (n == 0) {
        return AGG_OK;
    }

    marks = agg_gql_marks(c, n);
    if (marks == NULL) {
        return AGG_NOMEM;
    }

    for (id = first; id != AGG_GQL_NONE; id = c->doc->args[id].next) {
        if (c->doc->args[id].input != NULL) {
            marks[c->doc->args[id].input->index] = 1;
        }
    }

    key = agg_gql_key_leave(c, end, AGG_GQL_RULE_REQUIRED_ARGUMENTS);

    for (i = 0; i < n; i++) {

        if (marks[i] || !agg_gql_is_required(&inputs[i])
            || !agg_gql_wanted(c, key))
        {
            continue;
        }

        agg_gql_try(agg_gql_type_text(c->mem, &inputs[i].type.type->name,
                                      inputs[i].type.wraps, &text));

        agg_gql_try(agg_gql_report(c, key, &offset, 1,
                                   "%s%V\" argument \"%V\" of type \"%V\" is "
                                   "required, but it was not provided.",
                                   (field != NULL) ? "Field \""
                                                   : "Directive \"@",
                                   (field != NULL) ? &field->name
                                                   : &directive->name,
                                   &inputs[i].name, &text));
    }

    return AGG_OK;
}


agg_rc_e
agg_gql_check_applied(agg_gql_check_t *c, uint32_t first, agg_gql_on_e on,
    uint32_t offset)
{
    uint32_t             id;
    agg_gql_applied_t   *a;

    if (first == AGG_GQL_NONE) {
        return AGG_OK;
    }

    for (id = first; id != AGG_GQL_NONE; id = a->next) {
        a = &c->doc->applied[id];
        a->directive = agg_gql_directive_by_name(c->schema, &a->name);

        if (a->directive != NULL && a->directive->hidden && !c->sdl) {
            a->directive = NULL;
        }

        if (a->directive == NULL) {
            agg_gql_try(agg_gql_unknown_directive(c, a));

        } else if (!(a->directive->locations & 1u << on)) {
            agg_gql_try(agg_gql_report(c,
                agg_gql_key_enter(c, a->offset,
                                  AGG_GQL_RULE_KNOWN_DIRECTIVES),
                &a->offset, 1, "Directive \"@%V\" may not be used on %s.",
                &a->name, agg_gql_on_name(on)));
        }
    }

    if (c->doc->applied[first].next != AGG_GQL_NONE) {
        agg_gql_try(agg_gql_check_unique_applied(c, first, offset));
    }

    for (id = first; id != AGG_GQL_NONE; id = a->next) {
        a = &c->doc->applied[id];
        agg_gql_try(agg_gql_check_args(c, a->arg, NULL, a->directive, NULL,
                                       a->offset, a->end));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_unknown_directive(agg_gql_check_t *c, agg_gql_applied_t *a)
{
    uint64_t            key;
    unsigned            i;
    agg_str_t           text;
    agg_gql_suggest_t   s;

    key = agg_gql_key_enter(c, a->offset, AGG_GQL_RULE_KNOWN_DIRECTIVES);

    if (!agg_gql_wanted(c, key)) {
        return AGG_OK;
    }

    agg_gql_suggest_init(&s, c->errors, &a->name);

    for (i = 0; c->sdl && i < c->schema->ndirectives; i++) {
        agg_gql_suggest_add(&s, &c->schema->directives[i]->name);
    }

    agg_gql_try(agg_gql_suggest_text(&s, "", &text));

    return agg_gql_report(c, key, &a->offset, 1,
                          "Unknown directive \"@%V\".%V", &a->name, &text);
}


static agg_rc_e
agg_gql_check_unique_applied(agg_gql_check_t *c, uint32_t first,
    uint32_t offset)
{
    size_t                i;
    uint32_t              id, *seen, places[2];
    agg_gql_applied_t    *a;

    seen = agg_gql_scratch(c, c->schema->ndirectives);
    if (seen == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < c->schema->ndirectives; i++) {
        seen[i] = AGG_GQL_NONE;
    }

    for (id = first; id != AGG_GQL_NONE; id = a->next) {
        a = &c->doc->applied[id];

        if (a->directive == NULL || a->directive->repeatable) {
            continue;
        }

        if (seen[a->directive->index] == AGG_GQL_NONE) {
            seen[a->directive->index] = id;
            continue;
        }

        places[0] = c->doc->applied[seen[a->directive->index]].offset;
        places[1] = a->offset;

        agg_gql_try(agg_gql_report(c,
            agg_gql_key_enter(c, offset, AGG_GQL_RULE_UNIQUE_DIRECTIVES),
            places, 2, "The directive \"@%V\" can only be used once at this "
            "location.", &a->name));
    }

    return AGG_OK;
}


/*
 * Checks the literal at "root" against the expected type, which is NULL if it
 * is unknown.
 */

agg_rc_e
agg_gql_check_value(agg_gql_check_t *c, uint32_t root,
    const agg_gql_type_t *type, agg_gql_wraps_t wraps,
    const agg_gql_input_t *input)
{
    uint32_t          id;
    agg_gql_doc_t    *doc;
    agg_gql_value_t  *v;

    doc = c->doc;
    v = &doc->values[root];

    v->type = type;
    v->wraps = wraps;
    v->input = input;

    id = root;

    do {
        agg_gql_try(agg_gql_check_node(c, &doc->values[id], id));
        id++;
    } while (id < doc->nvalues && doc->values[id].parent != AGG_GQL_NONE);

    return AGG_OK;
}


static agg_rc_e
agg_gql_check_node(agg_gql_check_t *c, agg_gql_value_t *v, uint32_t id)
{
    switch (v->kind) {

    case AGG_GQL_VARIABLE:
        return AGG_OK;

    case AGG_GQL_LIST:
        return agg_gql_check_list(c, v, id);

    case AGG_GQL_OBJECT:
        return agg_gql_check_object(c, v, id);

    case AGG_GQL_NULL:
        if (v->type != NULL && !v->opaque && agg_gql_non_null(v->wraps)) {
            return agg_gql_expected(c, v, id);
        }

        return AGG_OK;

    default:
        return (v->type != NULL && !v->opaque) ? agg_gql_check_leaf(c, v, id)
                                               : AGG_OK;
    }
}


static agg_rc_e
agg_gql_check_list(agg_gql_check_t *c, agg_gql_value_t *v, uint32_t id)
{
    uint32_t          child;
    unsigned          opaque;
    agg_gql_value_t  *element;
    agg_gql_wraps_t   wraps;

    opaque = v->opaque;
    wraps = agg_gql_nullable(v->wraps);

    if (agg_gql_outer(wraps) == AGG_GQL_IS_LIST) {
        wraps = agg_gql_inner(wraps);

    } else {

        v->wraps = wraps;

        if (v->type != NULL && !opaque) {
            agg_gql_try(agg_gql_check_leaf(c, v, id));
        }

        opaque = 1;
    }

    for (child = v->first; child != AGG_GQL_NONE; child = element->next) {
        element = &c->doc->values[child];

        element->type = v->type;
        element->wraps = wraps;
        element->input = NULL;
        element->opaque = opaque;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_check_object(agg_gql_check_t *c, agg_gql_value_t *v, uint32_t id)
{
    unsigned          distinct, known;
    uint32_t          arg;
    agg_gql_arg_t    *a;
    agg_gql_value_t  *field;

    known = (v->type != NULL && v->type->kind == AGG_GQL_INPUT_OBJECT);

    for (arg = v->first; arg != AGG_GQL_NONE; arg = a->next) {
        a = &c->doc->args[arg];
        a->input = known ? agg_gql_input_by_name(c->schema, v->type, &a->name)
                         : NULL;

        field = &c->doc->values[a->value];

        field->input = a->input;
        field->opaque = v->opaque || !known;

        if (a->input != NULL && agg_gql_is_input(a->input->type.type)) {
            field->type = a->input->type.type;
            field->wraps = a->input->type.wraps;
        }
    }

    agg_gql_try(agg_gql_check_unique_fields(c, v, &distinct));

    if (v->opaque || v->type == NULL) {
        return AGG_OK;
    }

    if (!known) {
        return agg_gql_check_leaf(c, v, id);
    }

    agg_gql_try(agg_gql_check_object_fields(c, v));

    if (!v->type->one_of) {
        return agg_gql_order_fields(c, v);
    }

    if (distinct != 1) {
        return agg_gql_report(c,
            agg_gql_key_enter(c, v->offset, AGG_GQL_RULE_VALUES), &v->offset,
            1, "OneOf Input Object \"%V\" must specify exactly one key.",
            &v->type->name);
    }

    /* finds the last of several with the same name */

    for (arg = v->first; c->doc->args[arg].next != AGG_GQL_NONE;
         arg = c->doc->args[arg].next)
    {
        /* void */
    }

    if (c->doc->values[c->doc->args[arg].value].kind == AGG_GQL_NULL) {
        return agg_gql_report(c,
            agg_gql_key_enter(c, v->offset, AGG_GQL_RULE_VALUES), &v->offset,
            1, "Field \"%V.%V\" must be non-null.", &v->type->name,
            &c->doc->args[arg].name);
    }

    return AGG_OK;
}


static int
agg_gql_index_cmp(const void *data, uint32_t a, uint32_t b)
{
    unsigned              i, k;
    const agg_gql_doc_t  *doc = data;

    i = doc->args[a].input->index;
    k = doc->args[b].input->index;

    return (i > k) - (i < k);
}


/* links the fields of an input object in the order of its type */

static agg_rc_e
agg_gql_order_fields(agg_gql_check_t *c, agg_gql_value_t *v)
{
    uint32_t        arg, *list, i, n;
    agg_gql_arg_t  *args;

    args = c->doc->args;
    n = 0;

    for (arg = v->first; arg != AGG_GQL_NONE; arg = args[arg].next) {

        if (args[arg].input == NULL) {
            return AGG_OK;
        }

        n++;
    }

    if (n < 2) {
        return AGG_OK;
    }

    list = agg_gql_scratch(c, n);
    if (list == NULL) {
        return AGG_NOMEM;
    }

    n = 0;

    for (arg = v->first; arg != AGG_GQL_NONE; arg = args[arg].next) {
        list[n++] = arg;
    }

    agg_gql_sort(list, n, agg_gql_index_cmp, c->doc);

    v->first = list[0];

    for (i = 1; i < n; i++) {
        args[list[i - 1]].next = list[i];
    }

    args[list[n - 1]].next = AGG_GQL_NONE;

    return AGG_OK;
}


/* reports unknown and missing fields of an input object */

static agg_rc_e
agg_gql_check_object_fields(agg_gql_check_t *c, agg_gql_value_t *v)
{
    u_char             *marks;
    uint64_t            key;
    unsigned            i;
    uint32_t            arg;
    agg_str_t           text;
    agg_gql_arg_t      *a;
    agg_gql_input_t    *in;
    agg_gql_suggest_t   s;

    marks = agg_gql_marks(c, v->type->ninputs + 1);
    if (marks == NULL) {
        return AGG_NOMEM;
    }

    for (arg = v->first; arg != AGG_GQL_NONE; arg = a->next) {
        a = &c->doc->args[arg];

        if (a->input != NULL) {
            marks[a->input->index] = 1;
            continue;
        }

        key = agg_gql_key_enter(c, a->offset, AGG_GQL_RULE_VALUES);

        if (!agg_gql_wanted(c, key)) {
            continue;
        }

        agg_gql_suggest_init(&s, c->errors, &a->name);

        for (i = 0; i < v->type->ninputs; i++) {
            agg_gql_suggest_add(&s, &v->type->inputs[i].name);
        }

        agg_gql_try(agg_gql_suggest_text(&s, "", &text));
        agg_gql_try(agg_gql_report(c, key, &a->offset, 1,
                                   "Field \"%V\" is not defined by type "
                                   "\"%V\".%W", &a->name, &v->type->name,
                                   &text));
    }

    key = agg_gql_key_enter(c, v->offset, AGG_GQL_RULE_VALUES);

    for (i = 0; i < v->type->ninputs; i++) {
        in = &v->type->inputs[i];

        if (marks[i] || !agg_gql_is_required(in) || !agg_gql_wanted(c, key)) {
            continue;
        }

        agg_gql_try(agg_gql_type_text(c->mem, &in->type.type->name,
                                      in->type.wraps, &text));
        agg_gql_try(agg_gql_report(c, key, &v->offset, 1,
                                   "Field \"%V.%V\" of required type \"%V\" "
                                   "was not provided.", &v->type->name,
                                   &in->name, &text));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_check_unique_fields(agg_gql_check_t *c, agg_gql_value_t *v,
    unsigned *distinct)
{
    uint32_t        arg, *list, places[2], i, n, first;
    agg_gql_arg_t  *args;

    args = c->doc->args;
    n = 0;

    for (arg = v->first; arg != AGG_GQL_NONE; arg = args[arg].next) {
        n++;
    }

    *distinct = n;

    if (n < 2) {
        return AGG_OK;
    }

    list = agg_gql_scratch(c, n);
    if (list == NULL) {
        return AGG_NOMEM;
    }

    n = 0;

    for (arg = v->first; arg != AGG_GQL_NONE; arg = args[arg].next) {
        list[n++] = arg;
    }

    agg_gql_sort(list, n, agg_gql_arg_cmp, c->doc);

    first = 0;

    for (i = 1; i < n; i++) {

        if (agg_gql_arg_cmp(c->doc, list[first], list[i]) != 0) {
            first = i;
            continue;
        }

        (*distinct)--;

        places[0] = args[list[first]].offset;
        places[1] = args[list[i]].offset;

        agg_gql_try(agg_gql_report(c,
            agg_gql_key_enter(c, places[1], AGG_GQL_RULE_UNIQUE_INPUT_FIELDS),
            places, 2, "There can be only one input field named \"%V\".",
            &args[list[i]].name));
    }

    return AGG_OK;
}


/* checks a leaf value, which is neither a variable nor null */

static agg_rc_e
agg_gql_check_leaf(agg_gql_check_t *c, agg_gql_value_t *v, uint32_t id)
{
    switch (v->type->kind) {

    case AGG_GQL_SCALAR:
        return agg_gql_check_scalar(c, v, id);

    case AGG_GQL_ENUM_TYPE:
        return agg_gql_check_enum(c, v, id);

    default:
        return agg_gql_expected(c, v, id);
    }
}


/* whether digits are a signed number of 32 bits */

int
agg_gql_is_int32(const agg_str_t *digits)
{
    size_t    i;
    unsigned  negative;
    uint64_t  n;

    negative = (digits->len != 0 && digits->data[0] == '-');
    n = 0;

    for (i = negative; i < digits->len; i++) {
        n = n * 10 + (digits->data[i] - '0');

        if (n > 0x80000000u) {
            return 0;
        }
    }

    return n < 0x80000000u || negative;
}


static agg_rc_e
agg_gql_check_scalar(agg_gql_check_t *c, agg_gql_value_t *v, uint32_t id)
{
    agg_str_t    text;
    const char  *problem;

    switch (v->type->scalar) {

    case AGG_GQL_SCALAR_INT:
        if (v->kind == AGG_GQL_INT) {

            if (agg_gql_is_int32(&v->text)) {
                return AGG_OK;
            }

            problem = "Int cannot represent non 32-bit signed integer value: ";
            break;
        }

        problem = "Int cannot represent non-integer value: ";
        break;

    case AGG_GQL_SCALAR_FLOAT:
        if (v->kind == AGG_GQL_INT || v->kind == AGG_GQL_FLOAT) {
            return AGG_OK;
        }

        problem = "Float cannot represent non numeric value: ";
        break;

    case AGG_GQL_SCALAR_STRING:
        if (v->kind == AGG_GQL_STRING || v->kind == AGG_GQL_BLOCK_STRING) {
            return AGG_OK;
        }

        problem = "String cannot represent a non string value: ";
        break;

    case AGG_GQL_SCALAR_BOOLEAN:
        if (v->kind == AGG_GQL_TRUE || v->kind == AGG_GQL_FALSE) {
            return AGG_OK;
        }

        problem = "Boolean cannot represent a non boolean value: ";
        break;

    case AGG_GQL_SCALAR_ID:
        if (v->kind == AGG_GQL_STRING || v->kind == AGG_GQL_BLOCK_STRING
            || v->kind == AGG_GQL_INT)
        {
            return AGG_OK;
        }

        problem = "ID cannot represent a non-string and non-integer value: ";
        break;

    default:
        return AGG_OK;
    }

    if (!agg_gql_wanted(c, agg_gql_key_enter(c, v->offset,
                                             AGG_GQL_RULE_VALUES)))
    {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_value_text(c->mem, c->doc, id, &text));

    return agg_gql_report(c,
                agg_gql_key_enter(c, v->offset, AGG_GQL_RULE_VALUES),
                &v->offset, 1, "%s%V", problem, &text);
}


static agg_rc_e
agg_gql_check_enum(agg_gql_check_t *c, agg_gql_value_t *v, uint32_t id)
{
    unsigned            i;
    agg_str_t           text, meant;
    agg_gql_suggest_t   s;

    if (v->kind == AGG_GQL_ENUM) {
        v->chosen = agg_gql_enum_by_name(c->schema, v->type, &v->text);

        if (v->chosen != NULL) {
            return AGG_OK;
        }
    }

    if (!agg_gql_wanted(c, agg_gql_key_enter(c, v->offset,
                                             AGG_GQL_RULE_VALUES)))
    {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_value_text(c->mem, c->doc, id, &text));
    agg_gql_suggest_init(&s, c->errors, &text);

    for (i = 0; i < v->type->nvalues; i++) {
        agg_gql_suggest_add(&s, &v->type->values[i].name);
    }

    agg_gql_try(agg_gql_suggest_text(&s, "the enum value ", &meant));

    if (v->kind == AGG_GQL_ENUM) {
        return agg_gql_report(c,
                   agg_gql_key_enter(c, v->offset, AGG_GQL_RULE_VALUES),
                   &v->offset, 1,
                   "Value \"%V\" does not exist in \"%V\" enum.%W", &text,
                   &v->type->name, &meant);
    }

    return agg_gql_report(c,
               agg_gql_key_enter(c, v->offset, AGG_GQL_RULE_VALUES),
               &v->offset, 1,
               "Enum \"%V\" cannot represent non-enum value: %V.%W",
               &v->type->name, &text, &meant);
}


static agg_rc_e
agg_gql_expected(agg_gql_check_t *c, agg_gql_value_t *v, uint32_t id)
{
    agg_str_t  type, text;

    if (!agg_gql_wanted(c, agg_gql_key_enter(c, v->offset,
                                             AGG_GQL_RULE_VALUES)))
    {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_type_text(c->mem, &v->type->name, v->wraps, &type));
    agg_gql_try(agg_gql_value_text(c->mem, c->doc, id, &text));

    return agg_gql_report(c,
               agg_gql_key_enter(c, v->offset, AGG_GQL_RULE_VALUES),
               &v->offset, 1, "Expected value of type \"%V\", found %V.",
               &type, &text);
}
