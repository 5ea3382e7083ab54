
/* Rules for our own directives that do not need their templates. */


#include <stdio.h>
#include <stdlib.h>

#include "agg_gql_build.h"


/* a longer number is only equal to itself */

#define AGG_GQL_MAX_NUMBER  400
#define AGG_GQL_KEY_SIZE    32


static agg_rc_e agg_gql_check_rest_field(agg_gql_build_t *b,
    agg_gql_field_t *f, unsigned root);
static agg_rc_e agg_gql_check_rest_args(agg_gql_build_t *b,
    agg_gql_rest_t *rest);
static agg_rc_e agg_gql_check_path(agg_gql_build_t *b,
    const agg_gql_text_t *text, unsigned flags);
static agg_rc_e agg_gql_check_limit(agg_gql_build_t *b,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_check_number(agg_gql_build_t *b,
    const agg_gql_text_t *text, const char *name, unsigned min, unsigned max);
static agg_rc_e agg_gql_check_time(agg_gql_build_t *b,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_check_statuses(agg_gql_build_t *b,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_check_allow(agg_gql_build_t *b,
    const agg_gql_text_t *text);
static agg_rc_e agg_gql_check_enum_values(agg_gql_build_t *b,
    agg_gql_type_t *type);
static agg_str_t *agg_gql_number_key(agg_gql_build_t *b,
    const agg_str_t *number);


agg_rc_e
agg_gql_check_rest(agg_gql_build_t *b)
{
    unsigned          i, k, root;
    agg_gql_type_t   *type;

    for (i = 0; i < b->schema->ntypes; i++) {
        type = b->schema->types[i];

        if (type->builtin) {
            continue;
        }

        agg_gql_try(agg_gql_check_allow(b, &type->allow));
        agg_gql_try(agg_gql_check_enum_values(b, type));

        root = (type == b->schema->query || type == b->schema->mutation);

        for (k = 0; k < type->nfields; k++) {
            agg_gql_try(agg_gql_check_rest_field(b, &type->fields[k], root));
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_check_rest_field(agg_gql_build_t *b, agg_gql_field_t *f,
    unsigned root)
{
    agg_gql_type_t  *type;

    type = f->type.type;

    agg_gql_try(agg_gql_check_allow(b, &f->allow));

    if (agg_gql_is_abstract(type) && type->discriminate == NULL) {
        agg_gql_try(agg_gql_bad_at(b, &f->loc,
                                   "Field \"%V.%V\" returns \"%V\", which has "
                                   "no @discriminate.", &f->parent->name,
                                   &f->name, &type->name));
    }

    if (f->rest == NULL) {

        if (root && (type->kind != AGG_GQL_OBJECT_TYPE
                     || agg_gql_is_list(f->type.wraps)))
        {
            return agg_gql_bad_at(b, &f->loc,
                                  "Field \"%V.%V\" of a root type needs "
                                  "@rest.", &f->parent->name, &f->name);
        }

        return AGG_OK;
    }

    if (f->json != NULL) {
        agg_gql_try(agg_gql_bad_at(b, &f->rest->loc,
                                   "@rest and @json do not go together."));
    }

    if (root && f->rest->batch) {
        agg_gql_try(agg_gql_bad_at(b, &f->rest->loc,
                                   "Field \"%V.%V\" of a root type has no "
                                   "parents for \"batch\".", &f->parent->name,
                                   &f->name));
    }

    return agg_gql_check_rest_args(b, f->rest);
}


static agg_rc_e
agg_gql_check_rest_args(agg_gql_build_t *b, agg_gql_rest_t *rest)
{
    size_t     offset;
    unsigned   i;
    agg_str_t  *s;

    s = &rest->uri.text;

    if (s->len == 0 || s->data[0] != '/') {
        agg_gql_try(agg_gql_bad_at(b, &rest->uri.loc,
                                   "The URI \"%V\" is not a path.", s));
    }

    if (rest->body.text.data != NULL && rest->method == AGG_GQL_GET) {
        agg_gql_try(agg_gql_bad_at(b, &rest->body.loc,
                                   "\"body\" does not go with \"get\"."));
    }

    agg_gql_try(agg_gql_check_path(b, &rest->select, AGG_PATH_ROOT_OK));
    agg_gql_try(agg_gql_check_path(b, &rest->batch_key, 0));
    agg_gql_try(agg_gql_check_path(b, &rest->batch_by, 0));
    agg_gql_try(agg_gql_check_path(b, &rest->error_message, 0));
    agg_gql_try(agg_gql_check_path(b, &rest->error_code, 0));
    agg_gql_try(agg_gql_check_limit(b, &rest->limit));
    agg_gql_try(agg_gql_check_number(b, &rest->retry, "retry", 0, 10));
    agg_gql_try(agg_gql_check_time(b, &rest->timeout));
    agg_gql_try(agg_gql_check_statuses(b, &rest->accept));

    for (i = 0; i < rest->nnull_on; i++) {
        agg_gql_try(agg_gql_check_statuses(b, &rest->null_on[i]));
    }

    s = &rest->encoding.text;

    if (s->data != NULL
        && (s->len != 4 || (memcmp(s->data, "json", 4) != 0
                            && memcmp(s->data, "JSON", 4) != 0))
        && (s->len != 6 || (memcmp(s->data, "string", 6) != 0
                            && memcmp(s->data, "STRING", 6) != 0)))
    {
        agg_gql_try(agg_gql_bad_at(b, &rest->encoding.loc,
                                   "\"encoding\" is JSON or STRING, not "
                                   "\"%V\".", s));
    }

    s = &rest->default_json.text;

    if (s->data != NULL
        && agg_json_validate(s->data, s->len, &offset) != AGG_OK)
    {
        agg_gql_try(agg_gql_bad_at(b, &rest->default_json.loc,
                                   "\"default\" is not JSON at byte %u.",
                                   (unsigned) offset));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_check_path(agg_gql_build_t *b, const agg_gql_text_t *text,
    unsigned flags)
{
    agg_error_t  err;

    if (text->text.data == NULL
        || agg_path_parse(b->mem, &text->text, AGG_PATH_NO_WILDCARD|flags,
                          &err) != NULL)
    {
        return AGG_OK;
    }

    return agg_gql_bad_at(b, &text->loc, "Bad path \"%V\": %s.", &text->text,
                          err.text);
}


/* "N", or "$variable MAX" */

static agg_rc_e
agg_gql_check_limit(agg_gql_build_t *b, const agg_gql_text_t *text)
{
    u_char          *p;
    agg_gql_text_t   max;

    if (text->text.len < 2 || text->text.data[0] != '$') {
        return agg_gql_check_number(b, text, "limit", 1, 1000000000);
    }

    p = memchr(text->text.data, ' ', text->text.len);

    if (p == NULL) {
        return agg_gql_bad_at(b, &text->loc, "\"limit\" is a number or "
                              "\"$variable MAX\", not \"%V\".", &text->text);
    }

    max = *text;
    max.text.len -= (size_t) (p - max.text.data);
    max.text.data = p;
    agg_json_trim(&max.text);

    return agg_gql_check_number(b, &max, "limit", 1, 1000000000);
}


static agg_rc_e
agg_gql_check_number(agg_gql_build_t *b, const agg_gql_text_t *text,
    const char *name, unsigned min, unsigned max)
{
    size_t    i;
    uint64_t  n;

    if (text->text.data == NULL) {
        return AGG_OK;
    }

    n = 0;

    for (i = 0; i < text->text.len && n <= max; i++) {

        if (text->text.data[i] < '0' || text->text.data[i] > '9') {
            break;
        }

        n = n * 10 + (text->text.data[i] - '0');
    }

    if (i != 0 && i == text->text.len && n >= min && n <= max) {
        return AGG_OK;
    }

    return agg_gql_bad_at(b, &text->loc, "\"%s\" is a number from %u to %u, "
                          "not \"%V\".", name, min, max, &text->text);
}


/* nginx's times: numbers with units, in descending order */

static agg_rc_e
agg_gql_check_time(agg_gql_build_t *b, const agg_gql_text_t *text)
{
    u_char       c, next;
    size_t       i, digits;
    unsigned     at, unit;
    uint64_t     n;
    const char  *p;

    static const char  units[] = "yMwdhms?";

    if (text->text.data == NULL) {
        return AGG_OK;
    }

    at = 0;
    n = 0;
    digits = 0;

    for (i = 0; i < text->text.len; i++) {
        c = text->text.data[i];

        if (c >= '0' && c <= '9') {
            n = n * 10 + (c - '0');
            digits++;

            if (n > 10000000) {
                break;
            }

            continue;
        }

        next = (i + 1 < text->text.len) ? text->text.data[i + 1] : 0;

        p = strchr(units, c);
        unit = (p != NULL && c != '?' && c != 0) ? (unsigned) (p - units) + 1
                                                 : 0;

        if (c == 'm' && next == 's') {
            unit = 8;
            i++;
        }

        if (c == ' ' && digits == 0 && at != 0) {
            continue;
        }

        if (digits == 0 || unit <= at) {
            break;
        }

        at = unit;
        digits = 0;
        n = 0;
    }

    if (i == text->text.len && i != 0 && (digits == 0 || at < 7)) {
        return AGG_OK;
    }

    return agg_gql_bad_at(b, &text->loc, "\"%V\" is not a time.", &text->text);
}


/* "404" or "2xx", or several of them, separated by blanks */

static agg_rc_e
agg_gql_check_statuses(agg_gql_build_t *b, const agg_gql_text_t *text)
{
    size_t         n;
    const u_char  *p, *end, *start;

    p = text->text.data;

    if (p == NULL) {
        return AGG_OK;
    }

    end = p + text->text.len;

    do {
        while (p < end && *p == ' ') {
            p++;
        }

        start = p;

        while (p < end && *p != ' ') {
            p++;
        }

        n = (size_t) (p - start);

        if (n != 3 || start[0] < '1' || start[0] > '5'
            || !((start[1] == 'x' && start[2] == 'x')
                 || (start[1] >= '0' && start[1] <= '9'
                     && start[2] >= '0' && start[2] <= '9')))
        {
            return agg_gql_bad_at(b, &text->loc, "\"%V\" is not a status.",
                                  &text->text);
        }

        while (p < end && *p == ' ') {
            p++;
        }

    } while (p < end);

    return AGG_OK;
}


/* $name or ${name} */

static agg_rc_e
agg_gql_check_allow(agg_gql_build_t *b, const agg_gql_text_t *text)
{
    u_char  c;
    size_t  i, n;

    if (text->text.data == NULL) {
        return AGG_OK;
    }

    i = 1;
    n = text->text.len;

    if (n > 3 && text->text.data[1] == '{' && text->text.data[n - 1] == '}') {
        i = 2;
        n--;
    }

    if (n > i && text->text.data[0] == '$') {

        for ( /* void */ ; i < n; i++) {
            c = text->text.data[i];

            if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
                && !(c >= '0' && c <= '9') && c != '_')
            {
                break;
            }
        }

        if (i == n) {
            return AGG_OK;
        }
    }

    return agg_gql_bad_at(b, &text->loc, "\"%V\" is not a variable.",
                          &text->text);
}


static agg_rc_e
agg_gql_check_enum_values(agg_gql_build_t *b, agg_gql_type_t *type)
{
    agg_rc_e               rc;
    unsigned               i;
    const agg_str_t       *key;
    agg_gql_enum_value_t  *v;

    for (i = 0; i < type->nvalues; i++) {
        v = &type->values[i];
        key = &v->json;

        if (agg_json_kind(key) == AGG_NUMBER) {

            key = agg_gql_number_key(b, key);
            if (key == NULL) {
                return AGG_NOMEM;
            }
        }

        rc = agg_gql_table_add(&b->table, b->mem, (const char *) type + 2,
                               key, v);
        if (rc == AGG_NOMEM) {
            return rc;
        }

        if (rc == AGG_INVALID) {
            agg_gql_try(agg_gql_bad_at(b, &v->loc,
                                       "Enum \"%V\" has two values that are "
                                       "%V.", &type->name, &v->json));
        }
    }

    return AGG_OK;
}


/* a text that is the same for equal numbers, such as 1 and 1.0 */

static agg_str_t *
agg_gql_number_key(agg_gql_build_t *b, const agg_str_t *number)
{
    char        text[AGG_GQL_MAX_NUMBER + 1], *p;
    agg_str_t  *key;

    key = b->mem->alloc(b->mem->ctx, sizeof(agg_str_t));
    p = b->mem->alloc(b->mem->ctx, AGG_GQL_KEY_SIZE);

    if (key == NULL || p == NULL) {
        return NULL;
    }

    if (number->len > AGG_GQL_MAX_NUMBER) {
        *key = *number;
        return key;
    }

    memcpy(text, number->data, number->len);
    text[number->len] = '\0';

    /* adding 0 turns a negative zero into a positive one */

    key->data = (u_char *) p;
    key->len = (size_t) snprintf(p, AGG_GQL_KEY_SIZE, "%.17g",
                                 strtod(text, NULL) + 0.0);

    return key;
}
