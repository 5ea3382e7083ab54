
/* Errors of fields, as they are written to "errors". */


#include <stdio.h>

#include "agg_gql_exec.h"


static void agg_gql_error_tell(agg_gql_call_t *call);
static void agg_gql_error_told(const agg_path_t *path,
    const agg_gql_call_t *call, agg_str_t *value);
static agg_rc_e agg_gql_error_message(agg_gql_exec_t *e,
    const agg_gql_node_t *node, agg_gql_field_error_e error,
    const agg_gql_call_t *call);
static agg_rc_e agg_gql_error_path(agg_gql_exec_t *e, uint32_t depth);
static agg_rc_e agg_gql_error_extensions(agg_gql_exec_t *e,
    const agg_gql_node_t *node, agg_gql_field_error_e error,
    const agg_gql_call_t *call);
static agg_rc_e agg_gql_puts(agg_buf_t *b, const char *text);
static agg_rc_e agg_gql_put_coordinate(agg_buf_t *b,
    const agg_gql_node_t *node);


#define agg_gql_try(expr)                                                    \
    do {                                                                     \
        agg_rc_e  try_rc_ = (expr);                                          \
                                                                             \
        if (try_rc_ != AGG_OK) {                                             \
            return try_rc_;                                                  \
        }                                                                    \
    } while (0)


static const struct {
    const char  *code;
    const char  *before;
    const char  *after;
} agg_gql_field_errors[] = {
    { "FETCH_FAILED", "Cannot fetch field ", "." },
    { "FORBIDDEN", "Not authorized to access field ", "." },
    { "INVALID_VALUE", "Cannot represent the value of field ", "." },
    { "NULL_VALUE", "Cannot return null for non-nullable field ", "." },
    { "UNKNOWN_TYPE", "Cannot tell the type of an object of field ", "." },
    { "BAD_USER_INPUT", "An argument of field ", " must not be null." },
    { "INTERNAL_SERVER_ERROR", "Cannot complete field ", "." }
};


agg_rc_e
agg_gql_field_error(agg_gql_exec_t *e, uint32_t depth, agg_gql_node_t *node,
    agg_gql_field_error_e error, agg_gql_call_t *call)
{
    char             text[80];
    agg_buf_t       *b;
    agg_gql_place_t  place;

    b = &e->errors;

    if (e->nerrors++ != 0) {
        agg_gql_try(agg_gql_puts(b, ","));
    }

    if (call != NULL) {
        agg_gql_error_tell(call);
    }

    agg_gql_try(agg_gql_puts(b, "{\"message\":"));
    agg_gql_try(agg_gql_error_message(e, node, error, call));

    place = agg_gql_plan_place(e->plan, node->selections[0]);

    snprintf(text, sizeof(text),
             ",\"locations\":[{\"line\":%u,\"column\":%u}],\"path\":[",
             (unsigned) place.line, (unsigned) place.column);

    agg_gql_try(agg_gql_puts(b, text));
    agg_gql_try(agg_gql_error_path(e, depth));
    agg_gql_try(agg_gql_puts(b, "],\"extensions\":{\"code\":"));
    agg_gql_try(agg_gql_error_extensions(e, node, error, call));

    return agg_gql_puts(b, "}}");
}


/* many fields may have failed with a call: its response is read once */

static void
agg_gql_error_tell(agg_gql_call_t *call)
{
    if (call->told) {
        return;
    }

    call->told = 1;

    agg_gql_error_told(call->binding->error_message, call, &call->message);
    agg_gql_error_told(call->binding->error_code, call, &call->code);
}


/* a string of a failed response that may be shown to the client */

static void
agg_gql_error_told(const agg_path_t *path, const agg_gql_call_t *call,
    agg_str_t *value)
{
    if (path == NULL || call->source.data == NULL
        || agg_path_get(path, &call->source, value) != AGG_OK
        || agg_json_kind(value) != AGG_STRING)
    {
        value->data = NULL;
        value->len = 0;
    }
}


static agg_rc_e
agg_gql_error_message(agg_gql_exec_t *e, const agg_gql_node_t *node,
    agg_gql_field_error_e error, const agg_gql_call_t *call)
{
    if (call != NULL && call->message.data != NULL) {
        return agg_buf_append(&e->errors, call->message.data,
                              call->message.len);
    }

    agg_gql_try(agg_gql_puts(&e->errors, "\""));
    agg_gql_try(agg_gql_puts(&e->errors, agg_gql_field_errors[error].before));
    agg_gql_try(agg_gql_put_coordinate(&e->errors, node));
    agg_gql_try(agg_gql_puts(&e->errors, agg_gql_field_errors[error].after));

    return agg_gql_puts(&e->errors, "\"");
}


static agg_rc_e
agg_gql_error_path(agg_gql_exec_t *e, uint32_t depth)
{
    char              text[16];
    uint32_t          i;
    agg_str_t         name;
    agg_gql_frame_t  *f;

    for (i = 0; i < depth; i++) {
        f = &e->frames[i];

        if (i != 0) {
            agg_gql_try(agg_gql_puts(&e->errors, ","));
        }

        if (f->list) {
            snprintf(text, sizeof(text), "%u", (unsigned) f->index - 1);
            agg_gql_try(agg_gql_puts(&e->errors, text));
            continue;
        }

        /* the key without the colon */

        name = f->set->nodes[f->index - 1].key;
        agg_gql_try(agg_buf_append(&e->errors, name.data, name.len - 1));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_error_extensions(agg_gql_exec_t *e, const agg_gql_node_t *node,
    agg_gql_field_error_e error, const agg_gql_call_t *call)
{
    char         text[40];
    agg_buf_t   *b;
    const char  *code;

    b = &e->errors;
    code = agg_gql_field_errors[error].code;

    if (call != NULL) {

        if (call->status == 401) {
            code = "UNAUTHENTICATED";

        } else if (call->status == 403) {
            code = "FORBIDDEN";
        }
    }

    if (call != NULL && call->code.data != NULL) {
        agg_gql_try(agg_buf_append(b, call->code.data, call->code.len));

    } else {
        agg_gql_try(agg_gql_puts(b, "\""));
        agg_gql_try(agg_gql_puts(b, code));
        agg_gql_try(agg_gql_puts(b, "\""));
    }

    if (call == NULL || e->mask_errors) {
        return AGG_OK;
    }

    agg_gql_try(agg_gql_puts(b, ",\"reason\":\""));
    agg_gql_try(agg_gql_puts(b, call->reason));
    agg_gql_try(agg_gql_puts(b, "\""));

    if (call->status != 0) {
        snprintf(text, sizeof(text), ",\"http\":{\"status\":%u}",
                 call->status);
        agg_gql_try(agg_gql_puts(b, text));
    }

    agg_gql_try(agg_gql_puts(b, ",\"coordinate\":\""));
    agg_gql_try(agg_gql_put_coordinate(b, node));

    return agg_gql_puts(b, "\"");
}


static agg_rc_e
agg_gql_puts(agg_buf_t *b, const char *text)
{
    return agg_buf_append(b, text, strlen(text));
}


static agg_rc_e
agg_gql_put_coordinate(agg_buf_t *b, const agg_gql_node_t *node)
{
    const agg_gql_field_t  *field;

    field = node->field;

    agg_gql_try(agg_buf_append(b, field->parent->name.data,
                               field->parent->name.len));
    agg_gql_try(agg_gql_puts(b, "."));

    return agg_buf_append(b, field->name.data, field->name.len);
}
