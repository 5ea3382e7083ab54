
/*
 * Directives of a schema: they are checked like those of a document, and then
 * stored in the elements that they are applied to.
 */


#include "agg_gql_build.h"


/* types, and behind them directives, that a directive refers to */

typedef struct {
    uint32_t                *queue;
    uint32_t                 n;
    u_char                  *seen;
} agg_gql_refs_t;


static agg_rc_e agg_gql_check_directives(agg_gql_build_t *b);
static int agg_gql_refers_to_itself(agg_gql_build_t *b,
    const agg_gql_directive_t *d, agg_gql_refs_t *refs);
static void agg_gql_refer_inputs(agg_gql_build_t *b, agg_gql_refs_t *refs,
    const agg_gql_input_t *inputs, unsigned n);
static void agg_gql_refer_applied(agg_gql_build_t *b, agg_gql_refs_t *refs,
    const void *first, const void *end);
static void agg_gql_refer(agg_gql_refs_t *refs, uint32_t id);
static agg_rc_e agg_gql_decode(agg_gql_build_t *b,
    const agg_gql_target_t *target, uint32_t applied);
static agg_rc_e agg_gql_decode_deprecated(agg_gql_build_t *b,
    const agg_gql_target_t *target, agg_gql_applied_t *a);
static agg_rc_e agg_gql_decode_rest(agg_gql_build_t *b,
    const agg_gql_target_t *target, agg_gql_applied_t *a);
static agg_rc_e agg_gql_decode_rest_arg(agg_gql_build_t *b,
    agg_gql_doc_t *doc, agg_gql_rest_t *rest, agg_gql_arg_t *arg);
static agg_rc_e agg_gql_decode_headers(agg_gql_build_t *b,
    agg_gql_doc_t *doc, agg_gql_rest_t *rest, uint32_t value);
static agg_rc_e agg_gql_decode_texts(agg_gql_build_t *b, agg_gql_doc_t *doc,
    uint32_t value, agg_gql_text_t **texts, unsigned *n);
static agg_rc_e agg_gql_decode_batch(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_rest_t *rest, uint32_t value);
static agg_rc_e agg_gql_decode_json(agg_gql_build_t *b,
    const agg_gql_target_t *target, agg_gql_applied_t *a);
static agg_rc_e agg_gql_decode_json_path(agg_gql_build_t *b,
    const agg_gql_target_t *target, const agg_gql_text_t *text);
static agg_rc_e agg_gql_decode_discriminate(agg_gql_build_t *b,
    const agg_gql_target_t *target, agg_gql_applied_t *a);
static agg_rc_e agg_gql_decode_map(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_type_t *type, uint32_t value);


agg_rc_e
agg_gql_build_applied(agg_gql_build_t *b)
{
    uint32_t            i, id;
    agg_gql_check_t     c;
    agg_gql_target_t   *target;

    memset(&c, 0, sizeof(agg_gql_check_t));

    c.schema = b->schema;
    c.mem = b->mem;
    c.errors = b->errors;
    c.sdl = 1;

    for (i = 0; i < b->ntargets; i++) {
        target = &b->targets[i];

        c.doc = target->doc;
        c.base = (uint64_t) (target->doc - b->docs) << 40;

        agg_gql_try(agg_gql_check_applied(&c, target->applied, target->on,
                        target->doc->applied[target->applied].offset));
    }

    if (b->errors->n != 0) {
        return AGG_INVALID;
    }

    agg_gql_try(agg_gql_check_directives(b));

    for (i = 0; i < b->ntargets; i++) {
        target = &b->targets[i];

        for (id = target->applied; id != AGG_GQL_NONE;
             id = target->doc->applied[id].next)
        {
            agg_gql_try(agg_gql_decode(b, target, id));
        }
    }

    return AGG_OK;
}


/* a directive must not refer to itself by its arguments and their types */

static agg_rc_e
agg_gql_check_directives(agg_gql_build_t *b)
{
    uint32_t              i, n;
    agg_gql_refs_t        refs;
    agg_gql_directive_t  *d;

    n = b->schema->ntypes + b->schema->ndirectives;

    refs.queue = b->mem->alloc(b->mem->ctx, n * sizeof(uint32_t));
    refs.seen = b->mem->alloc(b->mem->ctx, n);

    if (refs.queue == NULL || refs.seen == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < b->schema->ndirectives; i++) {
        d = b->schema->directives[i];

        if (d->builtin || d->nargs == 0) {
            continue;
        }

        memset(refs.seen, 0, n);
        refs.n = 0;

        if (agg_gql_refers_to_itself(b, d, &refs)) {
            agg_gql_try(agg_gql_bad_at(b, &d->loc, "Directive \"@%V\" must not "
                                       "refer to itself.", &d->name));
        }
    }

    return AGG_OK;
}


static int
agg_gql_refers_to_itself(agg_gql_build_t *b, const agg_gql_directive_t *d,
    agg_gql_refs_t *refs)
{
    uint32_t                    i, id;
    const agg_gql_type_t       *type;
    const agg_gql_directive_t  *other;

    agg_gql_refer_inputs(b, refs, d->args, d->nargs);

    for (i = 0; i < refs->n; i++) {
        id = refs->queue[i];

        if (id >= b->schema->ntypes) {
            other = b->schema->directives[id - b->schema->ntypes];

            if (other == d) {
                return 1;
            }

            agg_gql_refer_inputs(b, refs, other->args, other->nargs);
            continue;
        }

        type = b->schema->types[id];

        agg_gql_refer_applied(b, refs, type, type + 1);
        agg_gql_refer_inputs(b, refs, type->inputs, type->ninputs);

        if (type->nvalues != 0) {
            agg_gql_refer_applied(b, refs, type->values,
                                  type->values + type->nvalues);
        }
    }

    return 0;
}


/* arguments, or fields of an input object: their directives and types */

static void
agg_gql_refer_inputs(agg_gql_build_t *b, agg_gql_refs_t *refs,
    const agg_gql_input_t *inputs, unsigned n)
{
    unsigned  i;

    if (n == 0) {
        return;
    }

    agg_gql_refer_applied(b, refs, inputs, inputs + n);

    for (i = 0; i < n; i++) {
        agg_gql_refer(refs, inputs[i].type.type->id);
    }
}


/* directives on the elements in a piece of memory */

static void
agg_gql_refer_applied(agg_gql_build_t *b, agg_gql_refs_t *refs,
    const void *first, const void *end)
{
    uint32_t                    i, id;
    const agg_gql_target_t     *target;
    const agg_gql_directive_t  *d;

    for (i = 0; i < b->ntargets; i++) {
        target = &b->targets[i];

        if ((const u_char *) target->element < (const u_char *) first
            || (const u_char *) target->element >= (const u_char *) end)
        {
            continue;
        }

        for (id = target->applied; id != AGG_GQL_NONE;
             id = target->doc->applied[id].next)
        {
            d = target->doc->applied[id].directive;

            if (!d->builtin) {
                agg_gql_refer(refs, b->schema->ntypes + d->index);
            }
        }
    }
}


static void
agg_gql_refer(agg_gql_refs_t *refs, uint32_t id)
{
    if (!refs->seen[id]) {
        refs->seen[id] = 1;
        refs->queue[refs->n++] = id;
    }
}


/* the value of an argument; NULL: it is missing, or null */

static agg_gql_value_t *
agg_gql_arg_value(agg_gql_doc_t *doc, uint32_t first, const char *name)
{
    uint32_t          id;
    agg_gql_arg_t    *arg;
    agg_gql_value_t  *v;

    for (id = first; id != AGG_GQL_NONE; id = arg->next) {
        arg = &doc->args[id];

        if (arg->name.len == strlen(name)
            && memcmp(arg->name.data, name, arg->name.len) == 0)
        {
            v = &doc->values[arg->value];
            return (v->kind == AGG_GQL_NULL) ? NULL : v;
        }
    }

    return NULL;
}


static void
agg_gql_text(agg_gql_doc_t *doc, agg_gql_value_t *v, agg_gql_text_t *text)
{
    if (v != NULL) {
        text->text = v->text;
        text->loc.source = doc->source;
        text->loc.offset = v->offset;
    }
}


/* stores a valid directive in its element */

static agg_rc_e
agg_gql_decode(agg_gql_build_t *b, const agg_gql_target_t *target,
    uint32_t applied)
{
    const char         *name;
    agg_gql_text_t      text;
    agg_gql_field_t    *field;
    agg_gql_applied_t  *a;

    a = &target->doc->applied[applied];

    if (!a->directive->builtin) {
        return AGG_OK;
    }

    /* an object has the fields of its own type, which inherit no directives */

    if (target->on == AGG_GQL_ON_FIELD_DEFINITION && a->directive->hidden) {
        field = target->element;

        if (field->parent->kind == AGG_GQL_INTERFACE) {
            return agg_gql_bad(b, target->doc, a->offset,
                               "Directive \"@%V\" may not be used on a field "
                               "of an interface, but on those of the types "
                               "that implement it.", &a->name);
        }
    }

    /* our own directives and those of the specification, by one letter */

    name = (const char *) a->name.data;

    switch (name[0]) {

    case 'r':
        return agg_gql_decode_rest(b, target, a);

    case 'j':
        return agg_gql_decode_json(b, target, a);

    case 'a':
        field = target->element;
        agg_gql_text(target->doc, agg_gql_arg_value(target->doc, a->arg, "if"),
                     (target->on == AGG_GQL_ON_OBJECT)
                     ? &((agg_gql_type_t *) target->element)->allow
                     : &field->allow);
        return AGG_OK;

    case 'o':
        ((agg_gql_type_t *) target->element)->one_of = 1;
        return AGG_OK;

    case 's':
        memset(&text, 0, sizeof(agg_gql_text_t));
        agg_gql_text(target->doc,
                     agg_gql_arg_value(target->doc, a->arg, "url"), &text);
        ((agg_gql_type_t *) target->element)->specified_by = text.text;
        return AGG_OK;

    default:
        return (name[1] == 'e') ? agg_gql_decode_deprecated(b, target, a)
                                : agg_gql_decode_discriminate(b, target, a);
    }
}


static agg_rc_e
agg_gql_decode_deprecated(agg_gql_build_t *b, const agg_gql_target_t *target,
    agg_gql_applied_t *a)
{
    agg_str_t         reason;
    agg_gql_value_t  *v;

    (void) b;

    v = agg_gql_arg_value(target->doc, a->arg, "reason");

    reason.data = (u_char *) "No longer supported";
    reason.len = sizeof("No longer supported") - 1;

    if (v != NULL) {
        reason = v->text;

    } else if (a->arg != AGG_GQL_NONE) {

        /* null as the reason means no reason */

        return AGG_OK;
    }

    switch (target->on) {

    case AGG_GQL_ON_FIELD_DEFINITION:
        ((agg_gql_field_t *) target->element)->deprecated = reason;
        break;

    case AGG_GQL_ON_ENUM_VALUE:
        ((agg_gql_enum_value_t *) target->element)->deprecated = reason;
        break;

    default:
        ((agg_gql_input_t *) target->element)->deprecated = reason;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_decode_rest(agg_gql_build_t *b, const agg_gql_target_t *target,
    agg_gql_applied_t *a)
{
    unsigned           i, found;
    uint32_t           id;
    agg_gql_doc_t     *doc;
    agg_gql_rest_t    *rest;
    agg_gql_value_t   *v;

    static const char *const  methods[] = {
        "get", "post", "put", "patch", "delete"
    };

    doc = target->doc;

    rest = b->mem->alloc(b->mem->ctx, sizeof(agg_gql_rest_t));
    if (rest == NULL) {
        return AGG_NOMEM;
    }

    memset(rest, 0, sizeof(agg_gql_rest_t));

    rest->loc.source = doc->source;
    rest->loc.offset = a->offset;
    rest->batch_size = 50;

    ((agg_gql_field_t *) target->element)->rest = rest;

    found = 0;

    for (i = 0; i < 5; i++) {
        v = agg_gql_arg_value(doc, a->arg, methods[i]);

        if (v != NULL) {
            found++;
            rest->method = (agg_gql_method_e) i;
            agg_gql_text(doc, v, &rest->uri);
        }
    }

    if (found != 1) {
        return agg_gql_bad(b, doc, a->offset,
                           found == 0
                           ? "@rest needs one of get, post, put, patch and "
                             "delete."
                           : "@rest takes only one of get, post, put, patch "
                             "and delete.");
    }

    for (id = a->arg; id != AGG_GQL_NONE; id = doc->args[id].next) {
        agg_gql_try(agg_gql_decode_rest_arg(b, doc, rest, &doc->args[id]));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_decode_rest_arg(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_rest_t *rest, agg_gql_arg_t *arg)
{
    size_t            i;
    unsigned          name;
    agg_gql_text_t   *text;
    agg_gql_value_t  *v;

    static const struct {
        const char   *name;
        size_t        offset;
    } texts[] = {
        { "select", offsetof(agg_gql_rest_t, select) },
        { "limit", offsetof(agg_gql_rest_t, limit) },
        { "accept", offsetof(agg_gql_rest_t, accept) },
        { "timeout", offsetof(agg_gql_rest_t, timeout) },
        { "retry", offsetof(agg_gql_rest_t, retry) },
        { "body", offsetof(agg_gql_rest_t, body) },
        { "encoding", offsetof(agg_gql_rest_t, encoding) },
        { "default", offsetof(agg_gql_rest_t, default_json) }
    };

    v = &doc->values[arg->value];

    if (v->kind == AGG_GQL_NULL) {
        return AGG_OK;
    }

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (strlen(texts[i].name) != arg->name.len
            || memcmp(texts[i].name, arg->name.data, arg->name.len) != 0)
        {
            continue;
        }

        name = (v->kind == AGG_GQL_ENUM
                && texts[i].offset == offsetof(agg_gql_rest_t, encoding));

        if (v->kind != AGG_GQL_STRING && v->kind != AGG_GQL_BLOCK_STRING
            && v->kind != AGG_GQL_INT && !name)
        {
            return agg_gql_bad(b, doc, v->offset,
                               "\"%s\" takes a string or a number.",
                               texts[i].name);
        }

        text = (agg_gql_text_t *) ((u_char *) rest + texts[i].offset);
        agg_gql_text(doc, v, text);

        return AGG_OK;
    }

    switch (arg->name.data[0]) {

    case 'h':
        return agg_gql_decode_headers(b, doc, rest, arg->value);

    case 'n':
        return agg_gql_decode_texts(b, doc, arg->value, &rest->null_on,
                                    &rest->nnull_on);

    case 'b':
        return agg_gql_decode_batch(b, doc, rest, arg->value);

    case 'e':
        agg_gql_text(doc, agg_gql_arg_value(doc, v->first, "message"),
                     &rest->error_message);
        agg_gql_text(doc, agg_gql_arg_value(doc, v->first, "code"),
                     &rest->error_code);
        return AGG_OK;

    default:

        /*
         * the methods are handled above, and "passHeaders" also begins with "p"
         */

        return (arg->name.len != sizeof("passHeaders") - 1) ? AGG_OK
               : agg_gql_decode_texts(b, doc, arg->value, &rest->pass_headers,
                                      &rest->npass_headers);
    }
}


/* the elements of a list, or a single value, which is a list of one */

static uint32_t
agg_gql_elements(agg_gql_doc_t *doc, uint32_t value, unsigned *n)
{
    uint32_t  id;

    if (doc->values[value].kind != AGG_GQL_LIST) {
        *n = 1;
        return value;
    }

    *n = 0;

    for (id = doc->values[value].first; id != AGG_GQL_NONE;
         id = doc->values[id].next)
    {
        (*n)++;
    }

    return doc->values[value].first;
}


static agg_rc_e
agg_gql_decode_headers(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_rest_t *rest, uint32_t value)
{
    unsigned          n;
    uint32_t          id, first;
    agg_gql_header_t *h;

    id = agg_gql_elements(doc, value, &n);

    h = b->mem->alloc(b->mem->ctx, n * sizeof(agg_gql_header_t) + 1);
    if (h == NULL) {
        return AGG_NOMEM;
    }

    memset(h, 0, n * sizeof(agg_gql_header_t));
    rest->headers = h;

    for (/* void */ ; rest->nheaders < n; id = doc->values[id].next) {
        first = doc->values[id].first;

        agg_gql_text(doc, agg_gql_arg_value(doc, first, "name"), &h->name);
        agg_gql_text(doc, agg_gql_arg_value(doc, first, "value"), &h->value);

        rest->nheaders++;
        h++;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_decode_texts(agg_gql_build_t *b, agg_gql_doc_t *doc, uint32_t value,
    agg_gql_text_t **texts, unsigned *n)
{
    unsigned          i;
    uint32_t          id;

    id = agg_gql_elements(doc, value, n);

    *texts = b->mem->alloc(b->mem->ctx, *n * sizeof(agg_gql_text_t) + 1);
    if (*texts == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < *n; i++) {
        agg_gql_text(doc, &doc->values[id], &(*texts)[i]);
        id = doc->values[id].next;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_decode_batch(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_rest_t *rest, uint32_t value)
{
    size_t            i;
    unsigned          size;
    agg_gql_value_t  *v;

    value = doc->values[value].first;

    rest->batch = 1;

    agg_gql_text(doc, agg_gql_arg_value(doc, value, "key"), &rest->batch_key);
    agg_gql_text(doc, agg_gql_arg_value(doc, value, "by"), &rest->batch_by);

    v = agg_gql_arg_value(doc, value, "size");

    if (v == NULL) {
        return AGG_OK;
    }

    size = 0;

    for (i = 0; i < v->text.len && size <= 10000; i++) {

        if (v->text.data[i] == '-') {
            break;
        }

        size = size * 10 + (v->text.data[i] - '0');
    }

    if (size < 1 || size > 10000) {
        return agg_gql_bad(b, doc, v->offset,
                           "The size of a batch is from 1 to 10000.");
    }

    rest->batch_size = size;

    return AGG_OK;
}


static agg_rc_e
agg_gql_decode_json(agg_gql_build_t *b, const agg_gql_target_t *target,
    agg_gql_applied_t *a)
{
    agg_buf_t               buf;
    agg_gql_doc_t          *doc;
    agg_gql_text_t          text;
    agg_gql_value_t        *path, *value;
    agg_gql_enum_value_t   *e;

    doc = target->doc;

    path = agg_gql_arg_value(doc, a->arg, "path");
    value = agg_gql_arg_value(doc, a->arg, "value");

    if (target->on != AGG_GQL_ON_ENUM_VALUE) {

        if (path == NULL || value != NULL) {
            return agg_gql_bad(b, doc, a->offset,
                               "@json takes \"path\" here, and no \"value\".");
        }

        agg_gql_text(doc, path, &text);

        return agg_gql_decode_json_path(b, target, &text);
    }

    if (value == NULL || path != NULL) {
        return agg_gql_bad(b, doc, a->offset,
                           "@json takes \"value\" on an enum value, and no "
                           "\"path\".");
    }

    e = target->element;

    agg_buf_init(&buf, b->mem, 1 << 20);

    switch (value->kind) {

    case AGG_GQL_STRING:
    case AGG_GQL_BLOCK_STRING:
        agg_gql_try(agg_json_escape(&buf, value->text.data, value->text.len));
        break;

    case AGG_GQL_INT:
    case AGG_GQL_FLOAT:
    case AGG_GQL_TRUE:
    case AGG_GQL_FALSE:
        agg_gql_try(agg_buf_append(&buf, value->text.data, value->text.len));
        break;

    default:
        return agg_gql_bad(b, doc, value->offset,
                           "The value of an enum value is a string, a number "
                           "or a boolean.");
    }

    e->json.data = buf.start;
    e->json.len = agg_buf_used(&buf);

    return AGG_OK;
}


static agg_rc_e
agg_gql_decode_json_path(agg_gql_build_t *b, const agg_gql_target_t *target,
    const agg_gql_text_t *text)
{
    agg_buf_t         buf;
    agg_path_t       *path;
    agg_error_t       err;
    agg_gql_input_t  *in;

    path = agg_path_parse(b->mem, &text->text, AGG_PATH_NO_WILDCARD, &err);

    if (path == NULL) {
        return agg_gql_bad_at(b, &text->loc, "Bad path \"%V\": %s.",
                              &text->text, err.text);
    }

    if (target->on == AGG_GQL_ON_FIELD_DEFINITION) {
        ((agg_gql_field_t *) target->element)->json = path;
        return AGG_OK;
    }

    in = target->element;

    if (path->nsteps != 1 || path->steps[0].type != AGG_STEP_KEY) {
        return agg_gql_bad_at(b, &text->loc,
                              "The path of an input field is one name.");
    }

    in->json_name = path->steps[0].name;

    agg_buf_init(&buf, b->mem, 1 << 20);
    agg_gql_try(agg_json_escape(&buf, in->json_name.data, in->json_name.len));

    in->json_quoted.data = buf.start;
    in->json_quoted.len = agg_buf_used(&buf);

    return AGG_OK;
}


static agg_rc_e
agg_gql_decode_discriminate(agg_gql_build_t *b,
    const agg_gql_target_t *target, agg_gql_applied_t *a)
{
    agg_error_t              err;
    agg_gql_doc_t           *doc;
    agg_gql_text_t           text;
    agg_gql_type_t          *type;
    agg_gql_discriminate_t  *d;

    doc = target->doc;
    type = target->element;

    d = b->mem->alloc(b->mem->ctx, sizeof(agg_gql_discriminate_t));
    if (d == NULL) {
        return AGG_NOMEM;
    }

    memset(d, 0, sizeof(agg_gql_discriminate_t));

    d->loc.source = doc->source;
    d->loc.offset = a->offset;
    type->discriminate = d;

    agg_gql_text(doc, agg_gql_arg_value(doc, a->arg, "by"), &text);

    d->by = agg_path_parse(b->mem, &text.text, AGG_PATH_NO_WILDCARD, &err);

    if (d->by == NULL) {
        agg_gql_try(agg_gql_bad_at(b, &text.loc, "Bad path \"%V\": %s.",
                                   &text.text, err.text));
    }

    return agg_gql_decode_map(b, doc, type, a->arg);
}


static agg_rc_e
agg_gql_decode_map(agg_gql_build_t *b, agg_gql_doc_t *doc,
    agg_gql_type_t *type, uint32_t args)
{
    agg_rc_e                 rc;
    unsigned                 i, k, n;
    uint32_t                 id;
    agg_str_t                meant;
    agg_gql_text_t           value, name;
    agg_gql_value_t         *v;
    agg_gql_mapped_t        *m;
    agg_gql_suggest_t        s;
    agg_gql_discriminate_t  *d;

    d = type->discriminate;
    v = agg_gql_arg_value(doc, args, "map");
    id = AGG_GQL_NONE;
    n = type->npossible;

    if (v != NULL) {
        id = agg_gql_elements(doc, (uint32_t) (v - doc->values), &n);
    }

    d->map = b->mem->alloc(b->mem->ctx, n * sizeof(agg_gql_mapped_t) + 1);
    if (d->map == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < n; i++) {
        m = &d->map[d->nmap];

        if (v == NULL) {
            m->value = type->possible[i]->name;
            m->type = type->possible[i];
            d->nmap++;
            continue;
        }

        agg_gql_text(doc, agg_gql_arg_value(doc, doc->values[id].first,
                                            "value"), &value);
        agg_gql_text(doc, agg_gql_arg_value(doc, doc->values[id].first,
                                            "type"), &name);
        id = doc->values[id].next;

        m->value = value.text;
        m->type = agg_gql_type_by_name(b->schema, &name.text);

        if (m->type == NULL || !agg_gql_is_possible(type, m->type)
            || m->type == type)
        {
            agg_gql_suggest_init(&s, b->errors, &name.text);

            for (k = 0; k < type->npossible; k++) {
                agg_gql_suggest_add(&s, &type->possible[k]->name);
            }

            agg_gql_try(agg_gql_suggest_text(&s, "", &meant));
            agg_gql_try(agg_gql_bad_at(b, &name.loc,
                                       "\"%V\" is not a possible type of "
                                       "\"%V\".%V", &name.text, &type->name,
                                       &meant));
            continue;
        }

        rc = agg_gql_table_add(&b->table, b->mem, d, &m->value, m);

        if (rc == AGG_NOMEM) {
            return rc;
        }

        if (rc == AGG_INVALID) {
            agg_gql_try(agg_gql_bad_at(b, &value.loc,
                                       "The value \"%V\" is mapped twice.",
                                       &value.text));
            continue;
        }

        d->nmap++;
    }

    return AGG_OK;
}
