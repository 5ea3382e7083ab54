
/*
 * The binding of a field with "@rest".
 */


#include "agg_gql_bind.h"
#include "agg_block.h"
#include "agg_header_names.h"
#include "gw_text.h"


static agg_rc_e agg_gql_bind_template(agg_gql_binder_t *b,
    agg_gql_binding_t *binding, agg_gql_template_t *t, agg_template_e kind,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_bind_piece(agg_gql_binder_t *b,
    agg_gql_binding_t *binding, agg_gql_piece_t *piece,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_bind_args(agg_gql_binder_t *b,
    agg_gql_binding_t *binding, agg_gql_piece_t *piece,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_bind_no_argument(agg_gql_binder_t *b,
    agg_gql_binding_t *binding, agg_gql_piece_t *piece,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_bind_no_type(agg_gql_binder_t *b,
    agg_gql_piece_t *piece, const agg_gql_text_t *text);
static agg_rc_e agg_gql_bind_nearest(agg_gql_binder_t *b,
    agg_gql_piece_t *piece, const agg_gql_text_t *text, const agg_str_t *name,
    const agg_str_t *nearest, const char *what);
static agg_rc_e agg_gql_bind_type_piece(agg_gql_binder_t *b,
    agg_gql_binding_t *binding, agg_gql_piece_t *piece,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_bind_headers(agg_gql_binder_t *b,
    agg_gql_binding_t *binding);
static agg_rc_e agg_gql_bind_header(agg_gql_binder_t *b,
    agg_gql_binding_t *binding, const agg_gql_header_t *header);
static agg_rc_e agg_gql_bind_pass_headers(agg_gql_binder_t *b,
    agg_gql_binding_t *binding);
static agg_rc_e agg_gql_bind_lowcase(agg_gql_binder_t *b,
    const agg_str_t *name, agg_str_t *lowcase);
static agg_rc_e agg_gql_bind_batch(agg_gql_binder_t *b,
    agg_gql_binding_t *binding);
static agg_rc_e agg_gql_bind_path(agg_gql_binder_t *b,
    const agg_gql_text_t *text, agg_path_t **path);
static agg_rc_e agg_gql_bind_limit(agg_gql_binder_t *b,
    agg_gql_binding_t *binding);
static agg_rc_e agg_gql_bind_numbers(agg_gql_binder_t *b,
    agg_gql_binding_t *binding);
static agg_rc_e agg_gql_bind_accept(agg_gql_binder_t *b,
    agg_gql_binding_t *binding);
static int agg_gql_bind_statuses(agg_gql_statuses_t *statuses,
    const agg_str_t *text);
static int agg_gql_number(const agg_str_t *text, unsigned long max,
    unsigned long *n);
static int agg_gql_time(const agg_str_t *text, unsigned long *ms);
static int agg_gql_is_token(const agg_str_t *s);
static int agg_gql_one_of(const agg_str_t *s, const char *const *names);


/* headers that nginx sets itself for the request to a backend */

static const char *const  agg_gql_own_headers[] = {
    "host", "connection", "content-length", "transfer-encoding", "te",
    "trailer", "upgrade", "expect", "keep-alive", NULL
};


agg_rc_e
agg_gql_bind_field(agg_gql_binder_t *b, agg_gql_binding_t *binding)
{
    agg_rc_e               rc;
    const agg_gql_rest_t  *rest;

    rest = binding->rest;

    rc = agg_gql_bind_template(b, binding, &binding->uri, AGG_TEMPLATE_URI,
                               &rest->uri);
    if (rc != AGG_OK) {
        return rc;
    }

    if (rest->body.text.data != NULL) {
        binding->has_body = 1;

        if (rest->method == AGG_GQL_GET) {
            return agg_gql_bind_error(b, &rest->body, 0,
                                      "\"body\" with \"get\"", NULL, NULL);
        }

        rc = agg_gql_bind_template(b, binding, &binding->body,
                                   AGG_TEMPLATE_BODY, &rest->body);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    rc = agg_gql_bind_headers(b, binding);

    if (rc == AGG_OK) {
        rc = agg_gql_bind_pass_headers(b, binding);
    }

    if (rc == AGG_OK) {
        rc = agg_gql_bind_path(b, &rest->select, &binding->select);
    }

    if (rc == AGG_OK) {
        rc = agg_gql_bind_path(b, &rest->error_message,
                               &binding->error_message);
    }

    if (rc == AGG_OK) {
        rc = agg_gql_bind_path(b, &rest->error_code, &binding->error_code);
    }

    if (rc == AGG_OK) {
        rc = agg_gql_bind_limit(b, binding);
    }

    if (rc == AGG_OK) {
        rc = agg_gql_bind_numbers(b, binding);
    }

    if (rc == AGG_OK) {
        rc = agg_gql_bind_accept(b, binding);
    }

    return (rc == AGG_OK) ? agg_gql_bind_batch(b, binding) : rc;
}


static agg_rc_e
agg_gql_bind_template(agg_gql_binder_t *b, agg_gql_binding_t *binding,
    agg_gql_template_t *t, agg_template_e kind, const agg_gql_text_t *text)
{
    size_t       i;
    agg_rc_e     rc;
    agg_error_t  err;

    rc = agg_gql_template_parse(t, kind, &text->text, b->mem, &err);

    if (rc == AGG_INVALID) {
        return agg_gql_bind_error(b, text, err.offset, "%s", NULL, err.text);
    }

    for (i = 0; rc == AGG_OK && i < t->npieces; i++) {
        rc = agg_gql_bind_piece(b, binding, &t->pieces[i], text);
    }

    return rc;
}


static agg_rc_e
agg_gql_bind_piece(agg_gql_binder_t *b, agg_gql_binding_t *binding,
    agg_gql_piece_t *piece, const agg_gql_text_t *text)
{
    size_t                 offset;
    const agg_gql_type_t  *parent;

    parent = binding->field->parent;
    offset = piece->piece.offset;

    switch (piece->kind) {

    case AGG_GQL_PIECE_TEXT:
        return AGG_OK;

    case AGG_GQL_PIECE_VARIABLE:

        piece->piece.index = agg_gql_bind_variable(b, &piece->piece.text);

        return (piece->piece.index == AGG_GQL_VARIABLE_ERROR) ? AGG_NOMEM
                                                              : AGG_OK;

    case AGG_GQL_PIECE_ARGS:
        return agg_gql_bind_args(b, binding, piece, text);

    case AGG_GQL_PIECE_PARENT:

        binding->by_parent = 1;

        if (parent == b->schema->query || parent == b->schema->mutation) {
            return agg_gql_bind_error(b, text, offset,
                                      "a root field has no parent", NULL,
                                      NULL);
        }

        return AGG_OK;

    case AGG_GQL_PIECE_TYPE:

        binding->by_parent = 1;

        return agg_gql_bind_type_piece(b, binding, piece, text);

    default: /* AGG_GQL_PIECE_KEYS */

        if (!binding->rest->batch) {
            return agg_gql_bind_error(b, text, offset,
                                      "\"${keys}\" without \"batch\"", NULL,
                                      NULL);
        }

        if (text == &binding->rest->uri && !piece->piece.args) {
            return agg_gql_bind_error(b, text, offset,
                                      "\"${keys}\" is for a query string or "
                                      "a body", NULL, NULL);
        }

        return AGG_OK;
    }
}


/* "${args.in.product}": names of the schema become those of the backend */

static agg_rc_e
agg_gql_bind_args(agg_gql_binder_t *b, agg_gql_binding_t *binding,
    agg_gql_piece_t *piece, const agg_gql_text_t *text)
{
    unsigned                i;
    agg_path_t             *path;
    agg_step_t             *step;
    agg_gql_ref_t           ref;
    const agg_gql_input_t  *input;

    path = (agg_path_t *) piece->piece.path;

    if (path->nsteps == 0) {
        piece->piece.index = -1;
        return AGG_OK;
    }

    step = path->steps;

    input = (step->type == AGG_STEP_KEY)
            ? agg_gql_input_by_name(b->schema, binding->field, &step->name)
            : NULL;

    if (input == NULL) {
        return agg_gql_bind_no_argument(b, binding, piece, text);
    }

    piece->piece.index = (int) input->index;

    path->steps++;
    path->nsteps--;

    ref = input->type;

    for (i = 0; i < path->nsteps; i++) {
        step = &path->steps[i];
        ref.wraps = agg_gql_nullable(ref.wraps);

        if (agg_gql_outer(ref.wraps) == AGG_GQL_IS_LIST) {

            if (step->type != AGG_STEP_INDEX) {
                return agg_gql_bind_error(b, text, piece->piece.offset,
                                          "\"%V\" of a list",
                                          &step->name, NULL);
            }

            ref.wraps = agg_gql_inner(ref.wraps);
            continue;
        }

        if (ref.type->kind == AGG_GQL_INPUT_OBJECT
            && step->type == AGG_STEP_KEY)
        {
            input = agg_gql_input_by_name(b->schema, ref.type, &step->name);

            if (input != NULL) {
                step->name = input->json_name;
                ref = input->type;
                continue;
            }

        } else if (ref.type->kind == AGG_GQL_SCALAR
                   && ref.type->scalar == AGG_GQL_CUSTOM)
        {
            break;
        }

        return agg_gql_bind_error(b, text, piece->piece.offset,
                                  "no member \"%V\" in an argument",
                                  &step->name, NULL);
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_bind_type_piece(agg_gql_binder_t *b, agg_gql_binding_t *binding,
    agg_gql_piece_t *piece, const agg_gql_text_t *text)
{
    const agg_gql_type_t  *type;

    type = agg_gql_type_by_name(b->schema, &piece->piece.text);

    if (type == NULL) {
        return agg_gql_bind_no_type(b, piece, text);
    }

    piece->type = type;

    if (!agg_gql_is_composite(type)
        || !agg_gql_bind_encloses(b, type, binding->field->parent))
    {
        return agg_gql_bind_error(b, text, piece->piece.offset,
                                  "type \"%V\" never encloses the field",
                                  &piece->piece.text, NULL);
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_bind_no_argument(agg_gql_binder_t *b, agg_gql_binding_t *binding,
    agg_gql_piece_t *piece, const agg_gql_text_t *text)
{
    unsigned                i;
    agg_str_t               name;
    gw_nearest_t            nearest;
    const agg_path_t       *path;
    const agg_gql_field_t  *field;

    path = piece->piece.path;
    field = binding->field;

    name = (path->steps[0].type == AGG_STEP_KEY) ? path->steps[0].name
                                                 : path->text;

    gw_nearest_init(&nearest, name.data, name.len);

    for (i = 0; i < field->nargs; i++) {
        gw_nearest_try(&nearest, field->args[i].name.data,
                       field->args[i].name.len, &field->args[i].name);
    }

    return agg_gql_bind_nearest(b, piece, text, &name, nearest.item,
                                "no argument");
}


static agg_rc_e
agg_gql_bind_no_type(agg_gql_binder_t *b, agg_gql_piece_t *piece,
    const agg_gql_text_t *text)
{
    unsigned               i;
    gw_nearest_t           nearest;
    const agg_str_t       *name;
    const agg_gql_type_t  *type;

    name = &piece->piece.text;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; i < b->schema->ntypes; i++) {
        type = b->schema->types[i];

        if (agg_gql_is_composite(type) && !type->introspection) {
            gw_nearest_try(&nearest, type->name.data, type->name.len,
                           &type->name);
        }
    }

    return agg_gql_bind_nearest(b, piece, text, name, nearest.item,
                                "unknown type");
}


static agg_rc_e
agg_gql_bind_nearest(agg_gql_binder_t *b, agg_gql_piece_t *piece,
    const agg_gql_text_t *text, const agg_str_t *name,
    const agg_str_t *nearest, const char *what)
{
    u_char     *p;
    agg_str_t   said;

    /* the message is: what "NAME", did you mean "NEAREST"? */

    said.len = 0;
    said.data = b->mem->alloc(b->mem->ctx, strlen(what) + name->len
                              + ((nearest != NULL) ? nearest->len : 0) + 32);
    if (said.data == NULL) {
        return AGG_NOMEM;
    }

    p = said.data;

#define agg_gql_add(s, n)  memcpy(p, s, n); p += (n)

    agg_gql_add(what, strlen(what));
    agg_gql_add(" \"", 2);
    agg_gql_add(name->data, name->len);
    agg_gql_add("\"", 1);

    if (nearest != NULL) {
        agg_gql_add(", did you mean \"", 16);
        agg_gql_add(nearest->data, nearest->len);
        agg_gql_add("\"?", 2);
    }

    said.len = (size_t) (p - said.data);

    return agg_gql_bind_error(b, text, piece->piece.offset, "%V", &said,
                              NULL);
}


static agg_rc_e
agg_gql_bind_headers(agg_gql_binder_t *b, agg_gql_binding_t *binding)
{
    unsigned               i;
    agg_rc_e               rc;
    const agg_gql_rest_t  *rest;

    rest = binding->rest;

    if (rest->nheaders == 0) {
        return AGG_OK;
    }

    binding->headers = b->mem->alloc(b->mem->ctx, rest->nheaders
                                     * sizeof(agg_gql_bound_header_t));
    if (binding->headers == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < rest->nheaders; i++) {
        rc = agg_gql_bind_header(b, binding, &rest->headers[i]);

        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_bind_header(agg_gql_binder_t *b, agg_gql_binding_t *binding,
    const agg_gql_header_t *header)
{
    agg_rc_e                 rc;
    agg_gql_bound_header_t  *bound;

    bound = &binding->headers[binding->nheaders];
    bound->name = header->name.text;

    if (!agg_gql_is_token(&bound->name)) {
        return agg_gql_bind_error(b, &header->name, 0,
                                  "invalid header name \"%V\"", &bound->name,
                                  NULL);
    }

    rc = agg_gql_bind_lowcase(b, &bound->name, &bound->lowcase);
    if (rc != AGG_OK) {
        return rc;
    }

    if (agg_gql_one_of(&bound->lowcase, agg_gql_own_headers)) {
        return agg_gql_bind_error(b, &header->name, 0,
                                  "header \"%V\" can not be set",
                                  &bound->name, NULL);
    }

    binding->nheaders++;

    return agg_gql_bind_template(b, binding, &bound->value,
                                 AGG_TEMPLATE_HEADER, &header->value);
}


static agg_rc_e
agg_gql_bind_pass_headers(agg_gql_binder_t *b, agg_gql_binding_t *binding)
{
    unsigned               i;
    agg_rc_e               rc;
    const agg_str_t       *name;
    const agg_gql_rest_t  *rest;

    rest = binding->rest;

    if (rest->npass_headers == 0) {
        return AGG_OK;
    }

    binding->pass_headers = b->mem->alloc(b->mem->ctx, rest->npass_headers
                                          * sizeof(agg_str_t));
    if (binding->pass_headers == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < rest->npass_headers; i++) {

        name = &rest->pass_headers[i].text;

        if (name->len != 0 && memchr(name->data, '*', name->len) != NULL) {
            return agg_gql_bind_error(b, &rest->pass_headers[i], 0,
                                      "\"%V\" is not the name of a header, "
                                      "there are no wildcards: each header is "
                                      "named", name, NULL);
        }

        if (!agg_gql_is_token(name)) {
            return agg_gql_bind_error(b, &rest->pass_headers[i], 0,
                                      "invalid header name \"%V\"",
                                      &rest->pass_headers[i].text, NULL);
        }

        rc = agg_gql_bind_lowcase(b, &rest->pass_headers[i].text,
                                  &binding->pass_headers[i]);
        if (rc != AGG_OK) {
            return rc;
        }

        if (agg_header_flags(name->data, name->len) & AGG_HEADER_NO_PASS) {
            return agg_gql_bind_error(b, &rest->pass_headers[i], 0,
                                      "header \"%V\" can not be passed",
                                      &rest->pass_headers[i].text, NULL);
        }

        binding->npass_headers++;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_bind_lowcase(agg_gql_binder_t *b, const agg_str_t *name,
    agg_str_t *lowcase)
{
    size_t  i;
    u_char  c;

    lowcase->len = name->len;
    lowcase->data = b->mem->alloc(b->mem->ctx, name->len + 1);

    if (lowcase->data == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];
        lowcase->data[i] = (c >= 'A' && c <= 'Z') ? (u_char) (c | 0x20) : c;
    }

    lowcase->data[i] = '\0';

    return AGG_OK;
}


static agg_rc_e
agg_gql_bind_batch(agg_gql_binder_t *b, agg_gql_binding_t *binding)
{
    agg_rc_e                rc;
    const agg_gql_rest_t   *rest;
    const agg_gql_field_t  *field;

    rest = binding->rest;
    field = binding->field;

    if (!rest->batch) {
        return AGG_OK;
    }

    if (field->parent == b->schema->query
        || field->parent == b->schema->mutation)
    {
        return agg_gql_bind_error(b, &rest->batch_key, 0,
                                  "\"batch\" on a root field", NULL, NULL);
    }

    if (!binding->uri.keys && !binding->body.keys) {
        return agg_gql_bind_error(b, &rest->uri, 0,
                                  "\"batch\" without \"${keys}\"", NULL,
                                  NULL);
    }

    if (rest->batch_size == 0) {
        return agg_gql_bind_error(b, &rest->batch_key, 0,
                                  "\"size\" of a batch must be at least 1",
                                  NULL, NULL);
    }

    binding->size = rest->batch_size;

    rc = agg_gql_bind_path(b, &rest->batch_key, &binding->key);

    return (rc == AGG_OK)
           ? agg_gql_bind_path(b, &rest->batch_by, &binding->by) : rc;
}


static agg_rc_e
agg_gql_bind_path(agg_gql_binder_t *b, const agg_gql_text_t *text,
    agg_path_t **path)
{
    agg_error_t  err;

    if (text->text.data == NULL) {
        return AGG_OK;
    }

    *path = agg_path_parse(b->mem, &text->text,
                           AGG_PATH_NO_WILDCARD | AGG_PATH_ROOT_OK, &err);

    if (*path == NULL) {
        return agg_gql_bind_error(b, text, err.offset,
                                  "invalid path \"%V\": %s", &text->text,
                                  err.text);
    }

    return AGG_OK;
}


/* "N", or "$var MAX" */

static agg_rc_e
agg_gql_bind_limit(agg_gql_binder_t *b, agg_gql_binding_t *binding)
{
    u_char                *p;
    agg_str_t              name, number;
    const agg_gql_text_t  *text;

    text = &binding->rest->limit;

    if (text->text.data == NULL) {
        return AGG_OK;
    }

    number = text->text;

    if (number.len > 1 && number.data[0] == '$') {
        p = memchr(number.data, ' ', number.len);

        if (p != NULL) {
            name.data = number.data + 1;
            name.len = (size_t) (p - name.data);

            number.len -= (size_t) (p - number.data);
            number.data = p;
            agg_json_trim(&number);

            binding->limit_variable = agg_gql_bind_variable(b, &name);

            if (binding->limit_variable == AGG_GQL_VARIABLE_ERROR) {
                return AGG_NOMEM;
            }
        }
    }

    if (!agg_gql_number(&number, 1000000000, &binding->limit)
        || binding->limit == 0)
    {
        return agg_gql_bind_error(b, text, 0,
                                  "invalid limit \"%V\", it must be a number "
                                  "from 1, or \"$variable MAX\"",
                                  &text->text, NULL);
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_bind_numbers(agg_gql_binder_t *b, agg_gql_binding_t *binding)
{
    unsigned long          n;
    const agg_str_t       *text;
    const agg_gql_rest_t  *rest;

    rest = binding->rest;

    if (rest->timeout.text.data != NULL
        && (!agg_gql_time(&rest->timeout.text, &binding->timeout)
            || binding->timeout == 0))
    {
        return agg_gql_bind_error(b, &rest->timeout, 0,
                                  "invalid time \"%V\"", &rest->timeout.text,
                                  NULL);
    }

    if (rest->retry.text.data != NULL) {

        if (!agg_gql_number(&rest->retry.text, 10, &n)) {
            return agg_gql_bind_error(b, &rest->retry, 0,
                                      "invalid number of retries \"%V\", it "
                                      "must be 0 to 10", &rest->retry.text,
                                      NULL);
        }

        binding->retry = (unsigned) n;
    }

    text = &rest->encoding.text;

    if (text->data == NULL) {
        return AGG_OK;
    }

    if (text->len == 6
        && (memcmp(text->data, "STRING", 6) == 0
            || memcmp(text->data, "string", 6) == 0))
    {
        binding->string = 1;
        return AGG_OK;
    }

    if (text->len == 4
        && (memcmp(text->data, "JSON", 4) == 0
            || memcmp(text->data, "json", 4) == 0))
    {
        return AGG_OK;
    }

    return agg_gql_bind_error(b, &rest->encoding, 0,
                              "invalid encoding \"%V\", it must be JSON or "
                              "STRING", text, NULL);
}


/* statuses, separated by blanks */

static agg_rc_e
agg_gql_bind_accept(agg_gql_binder_t *b, agg_gql_binding_t *binding)
{
    size_t                 i, start;
    unsigned               k;
    agg_str_t              word;
    const agg_str_t       *text;
    const agg_gql_rest_t  *rest;

    rest = binding->rest;
    text = &rest->accept.text;

    binding->accept = b->mem->alloc(b->mem->ctx, (text->len / 2 + 1)
                                    * sizeof(agg_gql_statuses_t));
    binding->null_on = b->mem->alloc(b->mem->ctx, (rest->nnull_on + 1)
                                     * sizeof(agg_gql_statuses_t));

    if (binding->accept == NULL || binding->null_on == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < text->len; /* void */ ) {

        if (text->data[i] == ' ') {
            i++;
            continue;
        }

        start = i;

        while (i < text->len && text->data[i] != ' ') {
            i++;
        }

        word.data = &text->data[start];
        word.len = i - start;

        if (!agg_gql_bind_statuses(&binding->accept[binding->naccept++],
                                   &word))
        {
            return agg_gql_bind_error(b, &rest->accept, start,
                                      "invalid status \"%V\", it must be as "
                                      "\"200\" or \"2xx\"", &word, NULL);
        }
    }

    for (k = 0; k < rest->nnull_on; k++) {

        if (!agg_gql_bind_statuses(&binding->null_on[k],
                                   &rest->null_on[k].text))
        {
            return agg_gql_bind_error(b, &rest->null_on[k], 0,
                                      "invalid status \"%V\", it must be as "
                                      "\"404\" or \"4xx\"",
                                      &rest->null_on[k].text, NULL);
        }
    }

    binding->nnull_on = rest->nnull_on;

    return AGG_OK;
}


static int
agg_gql_bind_statuses(agg_gql_statuses_t *statuses, const agg_str_t *text)
{
    const u_char  *p;

    p = text->data;

    if (text->len != 3 || p[0] < '1' || p[0] > '5') {
        return 0;
    }

    statuses->least = (unsigned) (p[0] - '0') * 100;

    if (p[1] == 'x' && p[2] == 'x') {
        statuses->most = statuses->least + 99;
        return 1;
    }

    if (!agg_is_digit(p[1]) || !agg_is_digit(p[2])) {
        return 0;
    }

    statuses->least += (unsigned) (p[1] - '0') * 10 + (unsigned) (p[2] - '0');
    statuses->most = statuses->least;

    return 1;
}


static int
agg_gql_number(const agg_str_t *text, unsigned long max, unsigned long *n)
{
    size_t  i;

    *n = 0;

    for (i = 0; i < text->len; i++) {

        if (!agg_is_digit(text->data[i])) {
            return 0;
        }

        *n = *n * 10 + (text->data[i] - '0');

        if (*n > max) {
            return 0;
        }
    }

    return text->len != 0;
}


/* a time in nginx's syntax: "200ms", "1m30s", seconds without a unit */

static int
agg_gql_time(const agg_str_t *text, unsigned long *ms)
{
    size_t         i, k, digits;
    unsigned long  n;

    static const struct {
        const char     *unit;
        unsigned long   ms;
    } units[] = {
        { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }
    };

    *ms = 0;

    for (i = 0; i < text->len; /* void */ ) {

        n = 0;

        for (digits = 0; i < text->len && agg_is_digit(text->data[i]); i++) {
            n = n * 10 + (text->data[i] - '0');

            if (++digits > 8) {
                return 0;
            }
        }

        if (digits == 0) {
            return 0;
        }

        if (i == text->len) {
            *ms += n * 1000;
            break;
        }

        for (k = 0; k < 4; k++) {
            digits = strlen(units[k].unit);

            if (text->len - i >= digits
                && memcmp(&text->data[i], units[k].unit, digits) == 0)
            {
                break;
            }
        }

        if (k == 4) {
            return 0;
        }

        *ms += n * units[k].ms;
        i += digits;

        while (i < text->len && text->data[i] == ' ') {
            i++;
        }
    }

    return text->len != 0 && *ms <= 86400000;
}


static int
agg_gql_is_token(const agg_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (!agg_is_token(s->data[i])) {
            return 0;
        }
    }

    return s->len != 0;
}


static int
agg_gql_one_of(const agg_str_t *s, const char *const *names)
{
    for ( /* void */ ; *names != NULL; names++) {
        if (strlen(*names) == s->len
            && memcmp(s->data, *names, s->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
