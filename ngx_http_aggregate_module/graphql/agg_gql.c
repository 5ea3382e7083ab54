
/*
 * GraphQL: places in a source, and errors.
 */


#include "agg_gql.h"
#include "gw_number.h"


/* the most bytes of a client's text that a message quotes */

#define AGG_GQL_SHOWN       256

/* the most places of one error */

#define AGG_GQL_MAX_PLACES  1000


static void agg_gql_places(agg_gql_place_t *places,
    const agg_gql_source_t *source, const uint32_t *offsets, unsigned n);
static const u_char *agg_gql_place_step(agg_gql_place_t *place,
    const agg_gql_source_t *source, const u_char *p, const u_char *end);
static agg_rc_e agg_gql_format_one(agg_buf_t *b, int type, va_list *args);


static const char *const  agg_gql_codes[] = {
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "LIMIT_EXCEEDED",
    "OPERATION_RESOLUTION_FAILURE",
    "BAD_USER_INPUT"
};


const char *
agg_gql_code_name(agg_gql_code_e code)
{
    return agg_gql_codes[code];
}


void
agg_gql_place(agg_gql_place_t *place, const agg_gql_source_t *source,
    uint32_t offset)
{
    agg_gql_places(place, source, &offset, 1);
}


/* finds the places of ascending offsets in one pass */

static void
agg_gql_places(agg_gql_place_t *places, const agg_gql_source_t *source,
    const uint32_t *offsets, unsigned n)
{
    unsigned         i;
    agg_gql_place_t  place;
    const u_char    *p, *end;

    p = NULL;
    place.line = 1;
    place.column = 1;

    for (i = 0; i < n; i++) {

        if (p == NULL || offsets[i] < offsets[i - 1]) {
            p = source->text.data;
            place.line = 1;
            place.column = 1;
        }

        end = source->text.data + (offsets[i] < source->text.len
                                   ? offsets[i] : source->text.len);

        p = agg_gql_place_step(&place, source, p, end);
        places[i] = place;
    }
}


static const u_char *
agg_gql_place_step(agg_gql_place_t *place, const agg_gql_source_t *source,
    const u_char *p, const u_char *end)
{
    u_char  c;

    while (p < end) {
        c = *p++;

        if (c == '\n' || c == '\r') {

            if (c == '\r' && p < source->text.data + source->text.len
                && *p == '\n')
            {
                p++;
            }

            place->line++;
            place->column = 1;
            continue;
        }

        /* four bytes in UTF-8 are two units in UTF-16 */

        if ((c & 0xc0) != 0x80) {
            place->column += 1 + (c >= 0xf0);
        }
    }

    return p;
}


void
agg_gql_errors_init(agg_gql_errors_t *errors, agg_mem_t *mem)
{
    errors->mem = mem;
    errors->n = 0;
    errors->nomem = 0;
    errors->suggest = 1;
    errors->budget = 1 << 20;
    errors->key = 0;
}


agg_rc_e
agg_gql_error(agg_gql_errors_t *errors, agg_gql_code_e code,
    const agg_gql_source_t *source, const uint32_t *offsets, unsigned n,
    const char *fmt, ...)
{
    va_list           args;
    agg_rc_e          rc;
    unsigned          i;
    agg_buf_t         b;
    agg_gql_error_t  *e;

    if (!agg_gql_error_wanted(errors)) {
        return AGG_INVALID;
    }

    agg_buf_init(&b, errors->mem, 1 << 20);

    va_start(args, fmt);
    rc = agg_gql_putv(&b, fmt, args);
    va_end(args);

    if (rc == AGG_NOMEM) {
        errors->nomem = 1;
        return AGG_NOMEM;
    }

    if (errors->n < AGG_GQL_MAX_ERRORS) {
        errors->n++;
    }

    for (i = errors->n - 1; i > 0; i--) {

        if (errors->list[i - 1].key <= errors->key) {
            break;
        }

        errors->list[i] = errors->list[i - 1];
    }

    if (n > AGG_GQL_MAX_PLACES) {
        n = AGG_GQL_MAX_PLACES;
    }

    e = &errors->list[i];
    memset(e, 0, sizeof(agg_gql_error_t));

    e->message.data = b.start;
    e->message.len = agg_buf_used(&b);
    e->code = code;
    e->source = source;
    e->key = errors->key;

    if (n == 0) {
        return AGG_INVALID;
    }

    e->places = errors->mem->alloc(errors->mem->ctx,
                                   n * sizeof(agg_gql_place_t));
    if (e->places == NULL) {
        errors->nomem = 1;
        return AGG_NOMEM;
    }

    e->nplaces = n;

    agg_gql_places(e->places, source, offsets, n);

    return AGG_INVALID;
}


agg_rc_e
agg_gql_limit(agg_gql_errors_t *errors, const agg_gql_source_t *source,
    uint32_t offset, const char *name, uint32_t limit)
{
    agg_rc_e  rc;

    /* replaces all errors found before */

    errors->n = 0;

    rc = agg_gql_error(errors, AGG_GQL_LIMIT_EXCEEDED, source, &offset, 1,
                       "The document is over the limit %s of %u.", name,
                       limit);

    if (rc == AGG_INVALID) {
        errors->list[0].limit = name;
    }

    return rc;
}


agg_rc_e
agg_gql_put(agg_buf_t *b, const char *fmt, ...)
{
    va_list   args;
    agg_rc_e  rc;

    va_start(args, fmt);
    rc = agg_gql_putv(b, fmt, args);
    va_end(args);

    return rc;
}


agg_rc_e
agg_gql_putv(agg_buf_t *b, const char *fmt, va_list args)
{
    agg_rc_e     rc;
    va_list      copy;
    const char  *p;

    rc = AGG_OK;
    va_copy(copy, args);

    while (*fmt != '\0' && rc == AGG_OK) {
        p = strchr(fmt, '%');

        if (p == NULL) {
            rc = agg_buf_append(b, fmt, strlen(fmt));
            break;
        }

        rc = agg_buf_append(b, fmt, (size_t) (p - fmt));

        if (rc == AGG_OK) {
            rc = agg_gql_format_one(b, p[1], &copy);
        }

        fmt = p + 2;
    }

    va_end(copy);

    return rc;
}


static agg_rc_e
agg_gql_format_one(agg_buf_t *b, int type, va_list *args)
{
    size_t      i;
    u_char      digits[GW_NUMBER], *end;
    agg_rc_e    rc;
    const char  *s;

    const agg_str_t  *v;

    switch (type) {

    case 'V':
        v = va_arg(*args, const agg_str_t *);
        i = v->len;

        if (i <= AGG_GQL_SHOWN) {
            return agg_buf_append(b, v->data, i);
        }

        /* does not split a character */

        i = AGG_GQL_SHOWN;

        while (i != 0 && (v->data[i] & 0xc0) == 0x80) {
            i--;
        }

        rc = agg_buf_append(b, v->data, i);

        return (rc == AGG_OK) ? agg_buf_append(b, "...", 3) : rc;

    case 'W':
        v = va_arg(*args, const agg_str_t *);
        return agg_buf_append(b, v->data, v->len);

    case 's':
        s = va_arg(*args, const char *);
        return agg_buf_append(b, s, strlen(s));

    case 'c':
        digits[0] = (u_char) va_arg(*args, int);
        return agg_buf_append(b, digits, 1);

    default:    /* u */
        end = gw_write_uint(digits, va_arg(*args, unsigned));

        return agg_buf_append(b, digits, (size_t) (end - digits));
    }
}
