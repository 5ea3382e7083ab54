
/* Calls: the request of a site, and the sites with equal requests. */


#include "agg_gql_exec.h"


static const char *agg_gql_call_reason(agg_gql_call_e error);
static agg_gql_render_e agg_gql_call_values(agg_gql_exec_t *e,
    const agg_gql_template_t *t, agg_gql_site_t *site, const agg_str_t *keys,
    agg_str_t **values);
static agg_rc_e agg_gql_call_value(agg_gql_exec_t *e,
    const agg_gql_piece_t *piece, agg_gql_site_t *site, const agg_str_t *keys,
    agg_str_t *value);
static agg_rc_e agg_gql_call_all_args(agg_gql_exec_t *e,
    agg_gql_state_t *state, agg_str_t *value);
static agg_rc_e agg_gql_call_headers(agg_gql_exec_t *e, agg_gql_call_t *call,
    agg_gql_site_t *site, const agg_str_t *keys);
static agg_rc_e agg_gql_call_rendered(agg_gql_call_t *call,
    agg_gql_render_e rendered);
static agg_rc_e agg_gql_call_find(agg_gql_exec_t *e, agg_gql_call_t *call,
    agg_gql_call_t ***slot);
static agg_rc_e agg_gql_call_grow(agg_gql_exec_t *e);
static uint32_t agg_gql_call_hash(const agg_gql_exec_t *e,
    const agg_gql_call_t *call);
static int agg_gql_call_equal(const agg_gql_call_t *a,
    const agg_gql_call_t *b);


static const agg_str_t  agg_gql_null = { 4, (u_char *) "null" };


agg_rc_e
agg_gql_call_site(agg_gql_exec_t *e, agg_gql_site_t *site)
{
    agg_rc_e          rc;
    agg_gql_mark_t    mark;
    agg_gql_call_t   *call, **slot;
    agg_gql_state_t  *state;

    state = e->states[site->node->fetch];

    if (state->args_large) {
        return agg_gql_exec_failed(e, state, AGG_GQL_CALL_TOO_LARGE, site);
    }

    agg_gql_arena_mark(&e->arena, &mark);

    rc = agg_gql_call_create(e, state, &call);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_gql_call_render(e, call, site, NULL);
    if (rc != AGG_OK) {
        return rc;
    }

    call->sites = site;
    slot = NULL;

    if (call->error == AGG_GQL_CALL_OK
        && !(e->mutation && site->object == &e->object))
    {
        rc = agg_gql_call_find(e, call, &slot);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    if (slot != NULL && *slot != NULL) {

        /* there is an equal call, which may have ended already */

        rc = agg_gql_call_back(e, call, &mark);
        if (rc != AGG_OK) {
            return rc;
        }

        call = *slot;
        site->call = call;

        if (call->done) {
            return agg_gql_site_ended(e, site);
        }

        site->same = call->sites;
        call->sites = site;

        return AGG_OK;
    }

    site->call = call;

    rc = agg_gql_call_send(e, call);

    if (rc == AGG_OK && call->error != AGG_GQL_CALL_OK) {
        return agg_gql_call_back(e, call, &mark);
    }

    if (slot != NULL) {
        *slot = call;
        e->ncalls++;
    }

    return rc;
}


/* the place of an equal call, or one for this call */

static agg_rc_e
agg_gql_call_find(agg_gql_exec_t *e, agg_gql_call_t *call,
    agg_gql_call_t ***slot)
{
    uint32_t  i;
    agg_rc_e  rc;

    rc = agg_gql_call_grow(e);
    if (rc != AGG_OK) {
        return rc;
    }

    call->hash = agg_gql_call_hash(e, call);

    for (i = call->hash & e->mask;
         e->table[i] != NULL && !agg_gql_call_equal(e->table[i], call);
         i = (i + 1) & e->mask)
    {
        /* void */
    }

    *slot = &e->table[i];

    return AGG_OK;
}


agg_rc_e
agg_gql_call_create(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_call_t **created)
{
    agg_gql_call_t  *call;

    call = e->arena.mem.alloc(&e->arena, sizeof(agg_gql_call_t));
    if (call == NULL) {
        return AGG_NOMEM;
    }

    memset(call, 0, sizeof(agg_gql_call_t));

    call->owner = e;
    call->binding = state->node->binding;
    call->state = state;

    *created = call;

    return AGG_OK;
}


agg_rc_e
agg_gql_call_back(agg_gql_exec_t *e, const agg_gql_call_t *call,
    const agg_gql_mark_t *mark)
{
    e->walked += call->path.len + call->args.len + call->body.len;

    agg_gql_arena_back(&e->arena, mark);

    return (e->walked > AGG_GQL_MAX_WALKED) ? AGG_TOO_LARGE : AGG_OK;
}


/* the sites are not the call's any more if call->error is set */

agg_rc_e
agg_gql_call_send(agg_gql_exec_t *e, agg_gql_call_t *call)
{
    agg_rc_e          rc;
    agg_gql_state_t  *state;

    state = call->state;

    if (call->error == AGG_GQL_CALL_OK && e->expired) {
        call->error = AGG_GQL_CALL_OTHER;
    }

    if (call->error == AGG_GQL_CALL_OK) {

        rc = e->env.start(e->env.ctx, call);

        if (rc == AGG_OK) {
            *state->calls_last = call;
            state->calls_last = &call->next;

            e->started++;

            return AGG_OK;
        }

        if (rc != AGG_TOO_LARGE) {
            return rc;
        }

        call->error = AGG_GQL_CALL_TOO_MANY;
    }

    return agg_gql_exec_failed(e, state, call->error, call->sites);
}


agg_rc_e
agg_gql_exec_failed(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_gql_call_e error, agg_gql_site_t *sites)
{
    agg_rc_e         rc;
    agg_gql_call_t  *call;
    agg_gql_site_t  *site, *next;

    call = state->errors[error - 1];

    if (call == NULL) {

        call = e->mem->alloc(e->mem->ctx, sizeof(agg_gql_call_t));
        if (call == NULL) {
            return AGG_NOMEM;
        }

        memset(call, 0, sizeof(agg_gql_call_t));

        call->owner = e;
        call->binding = state->node->binding;
        call->state = state;
        call->error = error;
        call->reason = agg_gql_call_reason(error);
        call->done = 1;

        agg_gql_call_judge(call);

        *state->calls_last = call;
        state->calls_last = &call->next;

        state->errors[error - 1] = call;
        state->failed = 1;
    }

    for (site = sites; site != NULL; site = next) {
        next = site->same;

        site->call = call;
        site->key = NULL;

        rc = agg_gql_site_ended(e, site);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static const char *
agg_gql_call_reason(agg_gql_call_e error)
{
    switch (error) {

    case AGG_GQL_CALL_TOO_MANY:
        return "too_many";

    case AGG_GQL_CALL_BAD_URI:
        return "bad_uri";

    case AGG_GQL_CALL_DEPENDENCY:
        return "dependency";

    case AGG_GQL_CALL_TOO_LARGE:
        return "too_large";

    case AGG_GQL_CALL_INTERNAL:
        return "internal";

    default:
        return "timeout";
    }
}


void
agg_gql_call_judge(agg_gql_call_t *call)
{
    unsigned                  i;
    const agg_gql_binding_t  *binding;

    if (call->error == AGG_GQL_CALL_OK) {
        return;
    }

    binding = call->binding;

    if (call->error == AGG_GQL_CALL_OTHER && call->status != 0
        && strcmp(call->reason, "status") == 0)
    {
        for (i = 0; i < binding->nnull_on; i++) {
            if (call->status >= binding->null_on[i].least
                && call->status <= binding->null_on[i].most)
            {
                call->null = 1;
                call->value = agg_gql_null;
                return;
            }
        }
    }

    call->failed = 1;

    call->value = (binding->rest->default_json.text.data != NULL)
                  ? binding->rest->default_json.text : agg_gql_null;
}


/* the values of the field's arguments, computed once for all its sites */

agg_rc_e
agg_gql_call_args(agg_gql_exec_t *e, agg_gql_state_t *state)
{
    size_t                  start;
    uint32_t                arg;
    unsigned                i;
    agg_rc_e                rc;
    agg_buf_t               b;
    const agg_gql_doc_t    *doc;
    const agg_gql_field_t  *field;

    if (state->args_known) {
        return AGG_OK;
    }

    state->args_known = 1;

    field = state->node->field;

    if (field->nargs == 0) {
        return AGG_OK;
    }

    doc = e->plan->doc;
    arg = doc->selections[state->node->selections[0]].arg;

    state->args = e->mem->alloc(e->mem->ctx,
                                field->nargs * sizeof(agg_str_t));
    if (state->args == NULL) {
        return AGG_NOMEM;
    }

    agg_buf_init(&b, e->mem, e->max_request);

    for (i = 0; i < field->nargs; i++) {
        start = agg_buf_used(&b);

        rc = agg_gql_argument(doc, e->plan->operation, e->variables, arg,
                              &field->args[i], &b);

        switch (rc) {

        case AGG_OK:
            state->args[i].data = (u_char *) start;
            state->args[i].len = agg_buf_used(&b) - start;
            break;

        case AGG_NOT_FOUND:
            state->args[i].data = NULL;
            state->args[i].len = 0;
            break;

        case AGG_INVALID:
            state->args_failed = 1;
            return AGG_OK;

        case AGG_TOO_LARGE:
            state->args_large = 1;
            return AGG_OK;

        default:
            return rc;
        }
    }

    /* offsets become pointers, as the buffer does not move any more */

    for (i = 0; i < field->nargs; i++) {
        if (state->args[i].len != 0) {
            state->args[i].data = b.start + (size_t) state->args[i].data;
        }
    }

    return AGG_OK;
}


/* keys: the JSON array of a batch, or NULL */

agg_rc_e
agg_gql_call_render(agg_gql_exec_t *e, agg_gql_call_t *call,
    agg_gql_site_t *site, const agg_str_t *keys)
{
    agg_rc_e                   rc;
    agg_buf_t                  path, args;
    agg_str_t                 *values;
    agg_gql_render_e           rendered;
    const agg_gql_binding_t   *binding;
    const agg_gql_template_t  *t;

    binding = call->binding;
    t = &binding->uri;

    if (!t->dynamic && t->npieces != 0 && t->pieces[0].pair.len == 0
        && t->npieces == 1)
    {
        call->path = t->pieces[0].piece.text;

    } else {

        rendered = agg_gql_call_values(e, t, site, keys, &values);

        if (rendered != AGG_GQL_RENDERED) {
            return agg_gql_call_rendered(call, rendered);
        }

        agg_buf_init(&path, &e->arena.mem, e->max_request);
        agg_buf_init(&args, &e->arena.mem, e->max_request);

        rendered = agg_gql_render_uri(t, values, &e->arena.mem, &path, &args);

        if (rendered != AGG_GQL_RENDERED) {
            return agg_gql_call_rendered(call, rendered);
        }

        call->path.data = path.start;
        call->path.len = agg_buf_used(&path);
        call->args.data = args.start;
        call->args.len = agg_buf_used(&args);
    }

    if (binding->nheaders != 0) {
        rc = agg_gql_call_headers(e, call, site, keys);

        if (rc != AGG_OK || call->error != AGG_GQL_CALL_OK) {
            return rc;
        }
    }

    if (!binding->has_body) {
        return AGG_OK;
    }

    rendered = agg_gql_call_values(e, &binding->body, site, keys, &values);

    if (rendered != AGG_GQL_RENDERED) {
        return agg_gql_call_rendered(call, rendered);
    }

    agg_buf_init(&args, &e->arena.mem, e->max_request);

    rendered = agg_gql_render_body(&binding->body, values, &args);

    if (rendered != AGG_GQL_RENDERED) {
        return agg_gql_call_rendered(call, rendered);
    }

    call->body.data = args.start;
    call->body.len = agg_buf_used(&args);

    return AGG_OK;
}


static agg_rc_e
agg_gql_call_headers(agg_gql_exec_t *e, agg_gql_call_t *call,
    agg_gql_site_t *site, const agg_str_t *keys)
{
    unsigned                   i;
    agg_buf_t                  b;
    agg_str_t                 *values;
    agg_gql_render_e           rendered;
    const agg_gql_template_t  *t;

    call->headers = e->arena.mem.alloc(&e->arena, call->binding->nheaders
                                  * sizeof(agg_str_t));
    if (call->headers == NULL) {
        return AGG_NOMEM;
    }

    for (i = 0; i < call->binding->nheaders; i++) {
        t = &call->binding->headers[i].value;

        rendered = agg_gql_call_values(e, t, site, keys, &values);

        if (rendered != AGG_GQL_RENDERED) {
            return agg_gql_call_rendered(call, rendered);
        }

        agg_buf_init(&b, &e->arena.mem, e->max_request);

        rendered = agg_gql_render_header(t, values, &e->arena.mem, &b);

        if (rendered == AGG_GQL_RENDERED) {
            rendered = (agg_buf_append(&b, "", 1) == AGG_OK)
                       ? AGG_GQL_RENDERED : AGG_GQL_RENDER_NOMEM;
        }

        if (rendered != AGG_GQL_RENDERED) {
            return agg_gql_call_rendered(call, rendered);
        }

        call->headers[i].data = b.start;
        call->headers[i].len = agg_buf_used(&b) - 1;
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_call_rendered(agg_gql_call_t *call, agg_gql_render_e rendered)
{
    switch (rendered) {

    case AGG_GQL_BAD_URI:
        call->error = AGG_GQL_CALL_BAD_URI;
        return AGG_OK;

    case AGG_GQL_DEPENDENCY:
        call->error = AGG_GQL_CALL_DEPENDENCY;
        return AGG_OK;

    case AGG_GQL_RENDER_LARGE:
        call->error = AGG_GQL_CALL_TOO_LARGE;
        return AGG_OK;

    default:
        return AGG_NOMEM;
    }
}


static agg_gql_render_e
agg_gql_call_values(agg_gql_exec_t *e, const agg_gql_template_t *t,
    agg_gql_site_t *site, const agg_str_t *keys, agg_str_t **values)
{
    size_t    i;
    agg_rc_e  rc;

    *values = e->arena.mem.alloc(&e->arena,
                            (t->npieces + 1) * sizeof(agg_str_t));
    if (*values == NULL) {
        return AGG_GQL_RENDER_NOMEM;
    }

    for (i = 0; i < t->npieces; i++) {

        if (t->pieces[i].kind == AGG_GQL_PIECE_TEXT) {
            continue;
        }

        rc = agg_gql_call_value(e, &t->pieces[i], site, keys, *values + i);

        if (rc != AGG_OK) {
            return (rc == AGG_TOO_LARGE) ? AGG_GQL_RENDER_LARGE
                                         : AGG_GQL_RENDER_NOMEM;
        }
    }

    return AGG_GQL_RENDERED;
}


static agg_rc_e
agg_gql_call_value(agg_gql_exec_t *e, const agg_gql_piece_t *piece,
    agg_gql_site_t *site, const agg_str_t *keys, agg_str_t *value)
{
    agg_str_t          from;
    agg_gql_state_t   *state;
    agg_gql_object_t  *object;

    value->data = NULL;
    value->len = 0;

    object = site->object;

    switch (piece->kind) {

    case AGG_GQL_PIECE_VARIABLE:
        return e->env.variable(e->env.ctx, piece->piece.index, value);

    case AGG_GQL_PIECE_KEYS:

        if (keys != NULL) {
            *value = *keys;
        }

        return AGG_OK;

    case AGG_GQL_PIECE_ARGS:

        state = e->states[site->node->fetch];

        if (piece->piece.index < 0) {
            return agg_gql_call_all_args(e, state, value);
        }

        from = state->args[piece->piece.index];
        break;

    case AGG_GQL_PIECE_PARENT:
        from = object->value;
        break;

    default: /* AGG_GQL_PIECE_TYPE */

        while (object != NULL
               && object->set->type != piece->type
               && !agg_gql_is_possible(piece->type, object->set->type))
        {
            object = object->parent;
        }

        if (object == NULL) {
            return AGG_OK;
        }

        from = object->value;
    }

    if (from.data != NULL
        && agg_path_get(piece->piece.path, &from, value) != AGG_OK)
    {
        value->data = NULL;
        value->len = 0;
    }

    return AGG_OK;
}


/* "${args.}": all arguments as an object */

static agg_rc_e
agg_gql_call_all_args(agg_gql_exec_t *e, agg_gql_state_t *state,
    agg_str_t *value)
{
    unsigned                i;
    agg_rc_e                rc;
    agg_buf_t               b;
    const agg_gql_field_t  *field;

    field = state->node->field;

    agg_buf_init(&b, &e->arena.mem, e->max_request);

    rc = agg_buf_append(&b, "{", 1);

    for (i = 0; rc == AGG_OK && i < field->nargs; i++) {

        if (state->args[i].data == NULL) {
            continue;
        }

        if (agg_buf_used(&b) > 1) {
            rc = agg_buf_append(&b, ",", 1);
        }

        if (rc == AGG_OK) {
            rc = agg_buf_append(&b, field->args[i].json_quoted.data,
                                field->args[i].json_quoted.len);
        }

        if (rc == AGG_OK) {
            rc = agg_buf_append(&b, ":", 1);
        }

        if (rc == AGG_OK) {
            rc = agg_buf_append(&b, state->args[i].data, state->args[i].len);
        }
    }

    if (rc == AGG_OK) {
        rc = agg_buf_append(&b, "}", 1);
    }

    value->data = b.start;
    value->len = agg_buf_used(&b);

    return rc;
}


/* makes room for one more call in the table */

static agg_rc_e
agg_gql_call_grow(agg_gql_exec_t *e)
{
    uint32_t          i, k, size;
    agg_gql_call_t  **table;

    if (e->table != NULL && 2 * e->ncalls < e->mask) {
        return AGG_OK;
    }

    size = (e->table != NULL) ? 4 * (e->mask + 1) : 16;

    table = e->mem->alloc(e->mem->ctx, size * sizeof(agg_gql_call_t *));
    if (table == NULL) {
        return AGG_NOMEM;
    }

    memset(table, 0, size * sizeof(agg_gql_call_t *));

    for (i = 0; e->table != NULL && i <= e->mask; i++) {

        if (e->table[i] == NULL) {
            continue;
        }

        for (k = e->table[i]->hash & (size - 1);
             table[k] != NULL;
             k = (k + 1) & (size - 1))
        {
            /* void */
        }

        table[k] = e->table[i];
    }

    e->table = table;
    e->mask = size - 1;

    return AGG_OK;
}


static uint32_t
agg_gql_call_hash(const agg_gql_exec_t *e, const agg_gql_call_t *call)
{
    return agg_gql_exec_hash(e, &call->path)
           ^ agg_gql_exec_hash(e, &call->args) * 3
           ^ agg_gql_exec_hash(e, &call->body) * 5;
}


static int
agg_gql_call_equal(const agg_gql_call_t *a, const agg_gql_call_t *b)
{
    unsigned  i;

    if (a->hash != b->hash || a->binding != b->binding
        || !agg_gql_equal(&a->path, &b->path)
        || !agg_gql_equal(&a->args, &b->args)
        || !agg_gql_equal(&a->body, &b->body))
    {
        return 0;
    }

    for (i = 0; i < a->binding->nheaders; i++) {
        if (!agg_gql_equal(&a->headers[i], &b->headers[i])) {
            return 0;
        }
    }

    return 1;
}
