
/*
 * Result coercion of leaf values (GraphQL, 3.5, as graphql-js 16 does it).
 * Digits of Float, String and ID stay as the backend wrote them; values of
 * custom scalars are copied.
 */


#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agg_gql_exec.h"
#include "agg_block.h"


/* the longest string that is parsed as a number */

#define AGG_GQL_MAX_NUMBER  400


static agg_rc_e agg_gql_leaf_int(agg_buf_t *out, const agg_str_t *value,
    agg_kind_e kind);
static agg_rc_e agg_gql_leaf_float(agg_buf_t *out, const agg_str_t *value,
    agg_kind_e kind);
static agg_rc_e agg_gql_leaf_string(agg_buf_t *out, const agg_str_t *value,
    agg_kind_e kind);
static agg_rc_e agg_gql_leaf_boolean(agg_buf_t *out, const agg_str_t *value,
    agg_kind_e kind);
static agg_rc_e agg_gql_leaf_id(agg_buf_t *out, const agg_str_t *value,
    agg_kind_e kind);
static agg_rc_e agg_gql_leaf_enum(agg_buf_t *out, const agg_gql_type_t *type,
    const agg_str_t *value, agg_kind_e kind);
static agg_rc_e agg_gql_quoted(agg_buf_t *out, const agg_str_t *value);
static int agg_gql_string_number(const agg_str_t *value, double *number,
    char *text);
static int agg_gql_radix(const char *p, double *number);
static const char *agg_gql_decimal_end(const char *p);
static double agg_gql_double(const agg_str_t *value);
static agg_rc_e agg_gql_print(agg_buf_t *out, double number);


agg_rc_e
agg_gql_leaf(agg_buf_t *out, const agg_gql_type_t *type,
    const agg_str_t *value)
{
    agg_kind_e  kind;

    kind = agg_json_kind(value);

    if (type->kind == AGG_GQL_ENUM_TYPE) {
        return agg_gql_leaf_enum(out, type, value, kind);
    }

    switch (type->scalar) {

    case AGG_GQL_SCALAR_INT:
        return agg_gql_leaf_int(out, value, kind);

    case AGG_GQL_SCALAR_FLOAT:
        return agg_gql_leaf_float(out, value, kind);

    case AGG_GQL_SCALAR_STRING:
        return agg_gql_leaf_string(out, value, kind);

    case AGG_GQL_SCALAR_BOOLEAN:
        return agg_gql_leaf_boolean(out, value, kind);

    case AGG_GQL_SCALAR_ID:
        return agg_gql_leaf_id(out, value, kind);

    default:
        return agg_buf_append(out, value->data, value->len);
    }
}


static agg_rc_e
agg_gql_leaf_int(agg_buf_t *out, const agg_str_t *value, agg_kind_e kind)
{
    int      n;
    char     text[AGG_GQL_MAX_NUMBER + 1];
    double   number;
    size_t   i;

    switch (kind) {

    case AGG_TRUE:
        return agg_buf_append(out, "1", 1);

    case AGG_FALSE:
        return agg_buf_append(out, "0", 1);

    case AGG_NUMBER:

        if (value->len <= 9 && value->data[0] != '-') {

            for (i = 0; i < value->len; i++) {
                if (!agg_is_digit(value->data[i])) {
                    break;
                }
            }

            if (i == value->len) {
                return agg_buf_append(out, value->data, value->len);
            }
        }

        number = agg_gql_double(value);
        break;

    case AGG_STRING:

        if (value->len == 2 || !agg_gql_string_number(value, &number, text)) {
            return AGG_INVALID;
        }

        break;

    default:
        return AGG_INVALID;
    }

    if (!(number >= -2147483648.0 && number <= 2147483647.0)
        || number != floor(number))
    {
        return AGG_INVALID;
    }

    n = snprintf(text, sizeof(text), "%d", (int) number);

    return agg_buf_append(out, text, (size_t) n);
}


static agg_rc_e
agg_gql_leaf_float(agg_buf_t *out, const agg_str_t *value, agg_kind_e kind)
{
    char     text[AGG_GQL_MAX_NUMBER + 1];
    double   number;
    size_t   len;

    switch (kind) {

    case AGG_TRUE:
        return agg_buf_append(out, "1", 1);

    case AGG_FALSE:
        return agg_buf_append(out, "0", 1);

    case AGG_NUMBER:
        return agg_buf_append(out, value->data, value->len);

    case AGG_STRING:

        if (value->len == 2 || !agg_gql_string_number(value, &number, text)) {
            return AGG_INVALID;
        }

        len = strlen(text);

        if (len != 0
            && agg_json_validate((u_char *) text, len, NULL) == AGG_OK)
        {
            return agg_buf_append(out, text, len);
        }

        return isfinite(number) ? agg_gql_print(out, number) : AGG_INVALID;

    default:
        return AGG_INVALID;
    }
}


static agg_rc_e
agg_gql_leaf_string(agg_buf_t *out, const agg_str_t *value, agg_kind_e kind)
{
    switch (kind) {

    case AGG_STRING:
        return agg_buf_append(out, value->data, value->len);

    case AGG_TRUE:
    case AGG_FALSE:
    case AGG_NUMBER:
        return agg_gql_quoted(out, value);

    default:
        return AGG_INVALID;
    }
}


static agg_rc_e
agg_gql_leaf_boolean(agg_buf_t *out, const agg_str_t *value, agg_kind_e kind)
{
    double  number;

    switch (kind) {

    case AGG_TRUE:
    case AGG_FALSE:
        return agg_buf_append(out, value->data, value->len);

    case AGG_NUMBER:

        number = agg_gql_double(value);

        if (!isfinite(number)) {
            return AGG_INVALID;
        }

        return (number != 0) ? agg_buf_append(out, "true", 4)
                             : agg_buf_append(out, "false", 5);

    default:
        return AGG_INVALID;
    }
}


static agg_rc_e
agg_gql_leaf_id(agg_buf_t *out, const agg_str_t *value, agg_kind_e kind)
{
    double  number;
    size_t  i;

    switch (kind) {

    case AGG_STRING:
        return agg_buf_append(out, value->data, value->len);

    case AGG_NUMBER:

        for (i = (value->data[0] == '-'); i < value->len; i++) {
            if (!agg_is_digit(value->data[i])) {
                break;
            }
        }

        if (i < value->len) {
            number = agg_gql_double(value);

            if (!isfinite(number) || number != floor(number)) {
                return AGG_INVALID;
            }
        }

        return agg_gql_quoted(out, value);

    default:
        return AGG_INVALID;
    }
}


static agg_rc_e
agg_gql_leaf_enum(agg_buf_t *out, const agg_gql_type_t *type,
    const agg_str_t *value, agg_kind_e kind)
{
    unsigned          i;
    agg_str_t         raw, known;
    const agg_str_t  *json;

    for (i = 0; i < type->nvalues; i++) {
        json = &type->values[i].json;

        if (agg_json_kind(json) != kind) {
            continue;
        }

        if (kind == AGG_STRING) {
            raw.data = value->data + 1;
            raw.len = value->len - 2;
            known.data = json->data + 1;
            known.len = json->len - 2;

            if (!agg_json_names_equal(&raw, &known)) {
                continue;
            }

        } else if (!agg_gql_equal(json, value)
                   && (kind != AGG_NUMBER
                       || agg_gql_double(json) != agg_gql_double(value)))
        {
            continue;
        }

        return agg_gql_quoted(out, &type->values[i].name);
    }

    return AGG_INVALID;
}


static agg_rc_e
agg_gql_quoted(agg_buf_t *out, const agg_str_t *value)
{
    agg_rc_e  rc;

    rc = agg_buf_reserve(out, value->len + 2);
    if (rc != AGG_OK) {
        return rc;
    }

    *out->pos++ = '"';
    memcpy(out->pos, value->data, value->len);
    out->pos += value->len;
    *out->pos++ = '"';

    return AGG_OK;
}


/* JavaScript's Number() of a string; "text" gets it without white space */

static int
agg_gql_string_number(const agg_str_t *value, double *number, char *text)
{
    size_t       len;
    u_char       buf[AGG_GQL_MAX_NUMBER + 1];
    agg_str_t    raw;
    const char  *p;

    raw.data = value->data + 1;
    raw.len = value->len - 2;

    if (raw.len > AGG_GQL_MAX_NUMBER) {
        return 0;
    }

    raw.len = agg_json_unescape_any(buf, &raw);
    raw.data = buf;

    while (raw.len != 0 && (agg_is_space(raw.data[0]) || raw.data[0] == '\v'
                            || raw.data[0] == '\f'))
    {
        raw.data++;
        raw.len--;
    }

    while (raw.len != 0 && (agg_is_space(raw.data[raw.len - 1])
                            || raw.data[raw.len - 1] == '\v'
                            || raw.data[raw.len - 1] == '\f'))
    {
        raw.len--;
    }

    if (memchr(raw.data, '\0', raw.len) != NULL) {
        return 0;
    }

    len = raw.len;
    memcpy(text, raw.data, len);
    text[len] = '\0';

    if (len == 0) {
        *number = 0;
        return 1;
    }

    if (text[0] == '0' && len > 2
        && (((text[1] | 0x20) == 'x') || ((text[1] | 0x20) == 'o')
            || ((text[1] | 0x20) == 'b')))
    {
        return agg_gql_radix(text, number);
    }

    p = agg_gql_decimal_end(text);

    if (p == NULL || *p != '\0') {
        return 0;
    }

    *number = strtod(text, NULL);

    return 1;
}


static int
agg_gql_radix(const char *p, double *number)
{
    int     radix, digit;
    double  n;

    radix = ((p[1] | 0x20) == 'x') ? 16 : ((p[1] | 0x20) == 'o') ? 8 : 2;

    n = 0;

    for (p += 2; *p != '\0'; p++) {

        digit = (*p >= '0' && *p <= '9') ? *p - '0'
                : ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f')
                  ? (*p | 0x20) - 'a' + 10 : 16;

        if (digit >= radix) {
            return 0;
        }

        n = n * radix + digit;
    }

    *number = n;

    return 1;
}


static const char *
agg_gql_decimal_end(const char *p)
{
    unsigned  digits;

    digits = 0;

    if (*p == '+' || *p == '-') {
        p++;
    }

    for ( /* void */ ; agg_is_digit(*p); p++) {
        digits++;
    }

    if (*p == '.') {
        for (p++; agg_is_digit(*p); p++) {
            digits++;
        }
    }

    if (digits == 0) {
        return NULL;
    }

    if ((*p | 0x20) != 'e') {
        return p;
    }

    p++;

    if (*p == '+' || *p == '-') {
        p++;
    }

    if (!agg_is_digit(*p)) {
        return NULL;
    }

    while (agg_is_digit(*p)) {
        p++;
    }

    return p;
}


/* the value of a JSON number; NaN if its text is too long */

static double
agg_gql_double(const agg_str_t *value)
{
    char  text[AGG_GQL_MAX_NUMBER + 1];

    if (value->len > AGG_GQL_MAX_NUMBER) {
        return NAN;
    }

    memcpy(text, value->data, value->len);
    text[value->len] = '\0';

    return strtod(text, NULL);
}


/* the shortest digits of the number, as JavaScript prints them */

static agg_rc_e
agg_gql_print(agg_buf_t *out, double number)
{
    int    n, precision, exponent, digits;
    char   text[40], plain[40], *e, *p;

    for (precision = 0; precision < 17; precision++) {
        (void) snprintf(text, sizeof(text), "%.*e", precision, number);

        if (strtod(text, NULL) == number) {
            break;
        }
    }

    e = strchr(text, 'e');
    if (e == NULL) {
        return AGG_INVALID;
    }

    exponent = atoi(e + 1);
    digits = precision + 1;

    if (exponent >= digits - 1 && exponent < 21) {
        n = snprintf(plain, sizeof(plain), "%.0f", number);

    } else if (exponent < 21 && exponent >= -7) {
        n = snprintf(plain, sizeof(plain), "%.*f",
                     digits - 1 - exponent, number);

    } else {
        *e = '\0';
        n = snprintf(plain, sizeof(plain), "%se%+d", text, exponent);
    }

    p = plain;

    if (strcmp(plain, "-0") == 0) {
        p++;
        n--;
    }

    return agg_buf_append(out, p, (size_t) n);
}
