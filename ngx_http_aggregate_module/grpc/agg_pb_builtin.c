
/*
 * The types that every pool contains: those with a special JSON form, the error
 * details, HttpBody.  If a set also defines one of the first kind, it must be
 * the same.
 */


#include "agg_pb_load.h"


#define ANY          "google.protobuf.Any"
#define TIMESTAMP    "google.protobuf.Timestamp"
#define DURATION     "google.protobuf.Duration"
#define FIELD_MASK   "google.protobuf.FieldMask"
#define STRUCT       "google.protobuf.Struct"
#define STRUCT_ENTRY "google.protobuf.Struct.FieldsEntry"
#define VALUE        "google.protobuf.Value"
#define LIST_VALUE   "google.protobuf.ListValue"
#define NULL_VALUE   "google.protobuf.NullValue"

#define DETAIL(name) "google.rpc." name

#define ERROR_ENTRY  DETAIL("ErrorInfo.MetadataEntry")
#define QUOTA        DETAIL("QuotaFailure.Violation")
#define QUOTA_ENTRY  DETAIL("QuotaFailure.Violation.QuotaDimensionsEntry")
#define VIOLATION    DETAIL("PreconditionFailure.Violation")
#define BAD_FIELD    DETAIL("BadRequest.FieldViolation")

#define WRAPPER(name, type)                                                  \
    { "google.protobuf." name, "value", 1, type, 0, NULL }
#define TEXT(message, name, number)                                          \
    { message, name, number, AGG_PB_STRING, 0, NULL }


static agg_rc_e agg_pb_builtin_field(agg_pb_loader_t *l,
    agg_pb_message_t *m, const agg_pb_builtin_t *b);
static agg_rc_e agg_pb_check_kind(agg_pb_loader_t *l, const char *name,
    agg_pb_kind_e kind);


/* the fields of a message are adjacent; Empty has no fields, so no row */

static const agg_pb_builtin_t  agg_pb_builtins[] = {

    TEXT(ANY, "type_url", 1),
    { ANY, "value", 2, AGG_PB_BYTES, 0, NULL },

    { TIMESTAMP, "seconds", 1, AGG_PB_INT64, 0, NULL },
    { TIMESTAMP, "nanos", 2, AGG_PB_INT32, 0, NULL },
    { DURATION, "seconds", 1, AGG_PB_INT64, 0, NULL },
    { DURATION, "nanos", 2, AGG_PB_INT32, 0, NULL },
    { FIELD_MASK, "paths", 1, AGG_PB_STRING, 1, NULL },

    { STRUCT, "fields", 1, AGG_PB_MESSAGE, 1, STRUCT_ENTRY },
    TEXT(STRUCT_ENTRY, "key", 1),
    { STRUCT_ENTRY, "value", 2, AGG_PB_MESSAGE, 0, VALUE },

    { VALUE, "null_value", 1, AGG_PB_ENUM, 0, NULL_VALUE },
    { VALUE, "number_value", 2, AGG_PB_DOUBLE, 0, NULL },
    TEXT(VALUE, "string_value", 3),
    { VALUE, "bool_value", 4, AGG_PB_BOOL, 0, NULL },
    { VALUE, "struct_value", 5, AGG_PB_MESSAGE, 0, STRUCT },
    { VALUE, "list_value", 6, AGG_PB_MESSAGE, 0, LIST_VALUE },
    { LIST_VALUE, "values", 1, AGG_PB_MESSAGE, 1, VALUE },

    WRAPPER("DoubleValue", AGG_PB_DOUBLE),
    WRAPPER("FloatValue", AGG_PB_FLOAT),
    WRAPPER("Int64Value", AGG_PB_INT64),
    WRAPPER("UInt64Value", AGG_PB_UINT64),
    WRAPPER("Int32Value", AGG_PB_INT32),
    WRAPPER("UInt32Value", AGG_PB_UINT32),
    WRAPPER("BoolValue", AGG_PB_BOOL),
    WRAPPER("StringValue", AGG_PB_STRING),
    WRAPPER("BytesValue", AGG_PB_BYTES),

    TEXT("google.api.HttpBody", "content_type", 1),
    { "google.api.HttpBody", "data", 2, AGG_PB_BYTES, 0, NULL },
    { "google.api.HttpBody", "extensions", 3, AGG_PB_MESSAGE, 1, ANY },

    { DETAIL("Status"), "code", 1, AGG_PB_INT32, 0, NULL },
    TEXT(DETAIL("Status"), "message", 2),
    { DETAIL("Status"), "details", 3, AGG_PB_MESSAGE, 1, ANY },

    TEXT(DETAIL("ErrorInfo"), "reason", 1),
    TEXT(DETAIL("ErrorInfo"), "domain", 2),
    { DETAIL("ErrorInfo"), "metadata", 3, AGG_PB_MESSAGE, 1, ERROR_ENTRY },
    TEXT(ERROR_ENTRY, "key", 1),
    TEXT(ERROR_ENTRY, "value", 2),

    { DETAIL("RetryInfo"), "retry_delay", 1, AGG_PB_MESSAGE, 0, DURATION },

    { DETAIL("DebugInfo"), "stack_entries", 1, AGG_PB_STRING, 1, NULL },
    TEXT(DETAIL("DebugInfo"), "detail", 2),

    { DETAIL("QuotaFailure"), "violations", 1, AGG_PB_MESSAGE, 1, QUOTA },
    TEXT(QUOTA, "subject", 1),
    TEXT(QUOTA, "description", 2),
    TEXT(QUOTA, "api_service", 3),
    TEXT(QUOTA, "quota_metric", 4),
    TEXT(QUOTA, "quota_id", 5),
    { QUOTA, "quota_dimensions", 6, AGG_PB_MESSAGE, 1, QUOTA_ENTRY },
    { QUOTA, "quota_value", 7, AGG_PB_INT64, 0, NULL },
    { QUOTA, "future_quota_value", 8, AGG_PB_INT64, 0, NULL },
    TEXT(QUOTA_ENTRY, "key", 1),
    TEXT(QUOTA_ENTRY, "value", 2),

    { DETAIL("PreconditionFailure"), "violations", 1, AGG_PB_MESSAGE, 1,
      VIOLATION },
    TEXT(VIOLATION, "type", 1),
    TEXT(VIOLATION, "subject", 2),
    TEXT(VIOLATION, "description", 3),

    { DETAIL("BadRequest"), "field_violations", 1, AGG_PB_MESSAGE, 1,
      BAD_FIELD },
    TEXT(BAD_FIELD, "field", 1),
    TEXT(BAD_FIELD, "description", 2),
    TEXT(BAD_FIELD, "reason", 3),
    { BAD_FIELD, "localized_message", 4, AGG_PB_MESSAGE, 0,
      DETAIL("LocalizedMessage") },

    TEXT(DETAIL("RequestInfo"), "request_id", 1),
    TEXT(DETAIL("RequestInfo"), "serving_data", 2),

    TEXT(DETAIL("ResourceInfo"), "resource_type", 1),
    TEXT(DETAIL("ResourceInfo"), "resource_name", 2),
    TEXT(DETAIL("ResourceInfo"), "owner", 3),
    TEXT(DETAIL("ResourceInfo"), "description", 4),

    { DETAIL("Help"), "links", 1, AGG_PB_MESSAGE, 1, DETAIL("Help.Link") },
    TEXT(DETAIL("Help.Link"), "description", 1),
    TEXT(DETAIL("Help.Link"), "url", 2),

    TEXT(DETAIL("LocalizedMessage"), "locale", 1),
    TEXT(DETAIL("LocalizedMessage"), "message", 2)
};


#define AGG_PB_BUILTINS  (sizeof(agg_pb_builtins) / sizeof(agg_pb_builtin_t))


static const struct {
    const char     *name;
    agg_pb_kind_e   kind;

} agg_pb_kinds[] = {
    { ANY, AGG_PB_ANY },
    { TIMESTAMP, AGG_PB_TIMESTAMP },
    { DURATION, AGG_PB_DURATION },
    { FIELD_MASK, AGG_PB_FIELD_MASK },
    { STRUCT, AGG_PB_STRUCT },
    { STRUCT_ENTRY, AGG_PB_PLAIN },
    { VALUE, AGG_PB_VALUE },
    { LIST_VALUE, AGG_PB_LIST_VALUE },
    { "google.protobuf.DoubleValue", AGG_PB_WRAPPER },
    { "google.protobuf.FloatValue", AGG_PB_WRAPPER },
    { "google.protobuf.Int64Value", AGG_PB_WRAPPER },
    { "google.protobuf.UInt64Value", AGG_PB_WRAPPER },
    { "google.protobuf.Int32Value", AGG_PB_WRAPPER },
    { "google.protobuf.UInt32Value", AGG_PB_WRAPPER },
    { "google.protobuf.BoolValue", AGG_PB_WRAPPER },
    { "google.protobuf.StringValue", AGG_PB_WRAPPER },
    { "google.protobuf.BytesValue", AGG_PB_WRAPPER },
    { "google.protobuf.Empty", AGG_PB_EMPTY },
    { "google.api.HttpBody", AGG_PB_HTTP_BODY }
};


#define AGG_PB_KINDS  (sizeof(agg_pb_kinds) / sizeof(agg_pb_kinds[0]))


static agg_str_t
agg_pb_text(const char *text)
{
    agg_str_t  s;

    s.len = strlen(text);
    s.data = (u_char *) text;

    return s;
}


agg_rc_e
agg_pb_load_builtins(agg_pb_loader_t *l)
{
    void                    *item;
    size_t                   i, k;
    agg_rc_e                 rc;
    agg_str_t                name, none;
    agg_pb_enum_t           *e;
    agg_pb_message_t        *m;
    const agg_pb_builtin_t  *b;

    none = agg_pb_text("");

    name = agg_pb_text(NULL_VALUE);

    if (agg_pb_find_symbol(l->pool, name.data, name.len) == NULL) {

        rc = agg_pb_add_symbol(l, AGG_PB_NONE, &name, AGG_PB_SYMBOL_ENUM,
                               &none, &item);
        if (rc != AGG_OK) {
            return rc;
        }

        e = item;
        e->builtin = 1;
        e->nvalues = 1;
        e->values = agg_pb_zalloc(l->mem, sizeof(agg_pb_enum_value_t));

        if (e->values == NULL) {
            return AGG_NOMEM;
        }

        e->values[0].name = agg_pb_text("NULL_VALUE");

        rc = agg_pb_finish_enum(l, e);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    name = agg_pb_text("google.protobuf.Empty");

    if (agg_pb_find_symbol(l->pool, name.data, name.len) == NULL) {

        rc = agg_pb_add_symbol(l, AGG_PB_NONE, &name, AGG_PB_SYMBOL_MESSAGE,
                               &none, &item);
        if (rc != AGG_OK) {
            return rc;
        }

        ((agg_pb_message_t *) item)->builtin = 1;
        ((agg_pb_message_t *) item)->proto3 = 1;
    }

    /* declares all messages first, as their fields refer to each other */

    for (i = 0; i < AGG_PB_BUILTINS; i = k) {
        b = &agg_pb_builtins[i];

        for (k = i + 1; k < AGG_PB_BUILTINS; k++) {
            if (strcmp(agg_pb_builtins[k].message, b->message) != 0) {
                break;
            }
        }

        name = agg_pb_text(b->message);

        if (agg_pb_find_symbol(l->pool, name.data, name.len) != NULL) {
            continue;
        }

        rc = agg_pb_add_symbol(l, AGG_PB_NONE, &name, AGG_PB_SYMBOL_MESSAGE,
                               &none, &item);
        if (rc != AGG_OK) {
            return rc;
        }

        m = item;
        m->builtin = 1;
        m->proto3 = 1;
        m->map_entry = strcmp(b->message + name.len - 5, "Entry") == 0;
        m->noneofs = strcmp(b->message, VALUE) == 0;
        m->oneofs = agg_pb_zalloc(l->mem, sizeof(agg_str_t));
        m->fields = agg_pb_zalloc(l->mem, (k - i) * sizeof(agg_pb_field_t));

        if (m->fields == NULL || m->oneofs == NULL) {
            return AGG_NOMEM;
        }

        m->oneofs[0] = agg_pb_text("kind");
    }

    for (i = 0; i < AGG_PB_BUILTINS; i++) {
        b = &agg_pb_builtins[i];

        m = (agg_pb_message_t *)
                agg_pb_find_message(l->pool, (u_char *) b->message,
                                    strlen(b->message));

        if (m == NULL || !m->builtin) {
            continue;
        }

        rc = agg_pb_builtin_field(l, m, b);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_pb_builtin_field(agg_pb_loader_t *l, agg_pb_message_t *m,
    const agg_pb_builtin_t *b)
{
    char           type_name[80];
    size_t         len;
    agg_pb_decl_t  decl;

    memset(&decl, 0, sizeof(agg_pb_decl_t));

    decl.name = agg_pb_text(b->name);
    decl.number = b->number;
    decl.type = b->type;
    decl.label = b->repeated ? 3 : 1;
    decl.oneof = m->noneofs ? 0 : AGG_PB_NONE;
    decl.type_name.data = (u_char *) type_name;

    /* there is only one optional field */
    decl.optional = strcmp(b->name, "future_quota_value") == 0;

    if (b->type_name != NULL) {
        len = strlen(b->type_name);

        type_name[0] = '.';
        memcpy(type_name + 1, b->type_name, len);
        decl.type_name.len = len + 1;
    }

    return agg_pb_load_field(l, AGG_PB_NONE, m, &decl, NULL);
}


agg_rc_e
agg_pb_check_builtins(agg_pb_loader_t *l)
{
    size_t           i;
    agg_rc_e         rc;
    agg_pb_enum_t   *e;
    agg_pb_symbol_t *symbol;

    for (i = 0; i < AGG_PB_KINDS; i++) {

        rc = agg_pb_check_kind(l, agg_pb_kinds[i].name, agg_pb_kinds[i].kind);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    symbol = (agg_pb_symbol_t *)
                 agg_pb_find_symbol(l->pool, (u_char *) NULL_VALUE,
                                    sizeof(NULL_VALUE) - 1);
    e = symbol->item;

    if (symbol->kind == AGG_PB_SYMBOL_ENUM && e->nvalues == 1
        && e->values[0].number == 0)
    {
        e->null_value = 1;
        e->closed = 0;
        return AGG_OK;
    }

    agg_pb_error(l->err, "defines \"%s\" differently than protobuf does",
                 NULL_VALUE);
    *l->which = l->files[symbol->file].set;

    return AGG_INVALID;
}


static agg_rc_e
agg_pb_check_kind(agg_pb_loader_t *l, const char *name, agg_pb_kind_e kind)
{
    size_t                  i, n;
    agg_pb_symbol_t        *symbol;
    agg_pb_message_t       *m;
    const agg_pb_field_t   *f;
    const agg_pb_builtin_t *b;

    symbol = (agg_pb_symbol_t *)
                 agg_pb_find_symbol(l->pool, (u_char *) name, strlen(name));
    m = symbol->item;

    if (symbol->kind != AGG_PB_SYMBOL_MESSAGE) {
        goto differs;
    }

    if (m->builtin) {
        m->kind = kind;
        return AGG_OK;
    }

    n = 0;

    for (i = 0; i < AGG_PB_BUILTINS; i++) {
        b = &agg_pb_builtins[i];

        if (strcmp(b->message, name) != 0) {
            continue;
        }

        n++;
        f = agg_pb_field_by_number(m, b->number);

        if (f == NULL || f->type != b->type || f->repeated != b->repeated
            || (f->oneof == AGG_PB_NONE) != (strcmp(name, VALUE) != 0)
            || f->presence != (f->oneof != AGG_PB_NONE
                               || (f->message != NULL && !f->repeated))
            || (f->message != NULL
                && (b->type_name == NULL
                    || f->message->name.len != strlen(b->type_name)
                    || memcmp(f->message->name.data, b->type_name,
                              f->message->name.len)
                       != 0)))
        {
            goto differs;
        }
    }

    if (m->nfields != n) {
        goto differs;
    }

    m->kind = kind;

    return AGG_OK;

differs:

    agg_pb_error(l->err, "defines \"%s\" differently than protobuf does",
                 name);
    *l->which = l->files[symbol->file].set;

    return AGG_INVALID;
}
