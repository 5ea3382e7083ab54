
/* the bindings of an HttpRule, and percent-encoding */

#include "agg_grpc_rule.h"


static agg_rc_e agg_grpc_http_rule(const agg_str_t *bytes,
    agg_grpc_http_t *list, unsigned *n, int nested);
static agg_rc_e agg_grpc_http_custom(const agg_str_t *bytes,
    agg_grpc_http_t *http);
static agg_rc_e agg_grpc_wire_next(agg_str_t *in, uint64_t *field,
    agg_str_t *value);
static int agg_grpc_wire_varint(agg_str_t *in, uint64_t *value);
static int agg_grpc_hex(u_char c);


agg_rc_e
agg_grpc_http_read(const agg_str_t *rule, agg_grpc_http_t *list, unsigned *n)
{
    *n = 0;

    return agg_grpc_http_rule(rule, list, n, 0);
}


static agg_rc_e
agg_grpc_http_rule(const agg_str_t *bytes, agg_grpc_http_t *list,
    unsigned *n, int nested)
{
    uint64_t          field;
    agg_rc_e          rc;
    agg_str_t         in, value, additional;
    agg_grpc_http_t  *http;

    static const agg_str_t  kinds[] = {
        { 3, (u_char *) "GET" }, { 3, (u_char *) "PUT" },
        { 4, (u_char *) "POST" }, { 6, (u_char *) "DELETE" },
        { 5, (u_char *) "PATCH" }
    };

    if (*n == AGG_GRPC_MAX_BINDINGS) {
        return AGG_TOO_LARGE;
    }

    http = &list[(*n)++];
    memset(http, 0, sizeof(agg_grpc_http_t));

    in = *bytes;

    while (in.len != 0) {

        rc = agg_grpc_wire_next(&in, &field, &value);
        if (rc != AGG_OK) {
            return rc;
        }

        if (value.data == NULL) {
            continue;
        }

        if (field >= 2 && field <= 6) {
            http->kind = kinds[field - 2];
            http->path = value;

        } else if (field == 7) {
            http->body = value;

        } else if (field == 12) {
            http->response_body = value;

        } else if (field == 8) {
            rc = agg_grpc_http_custom(&value, http);
            if (rc != AGG_OK) {
                return rc;
            }

        } else if (field == 11 && nested) {
            return AGG_INVALID;
        }
    }

    if (http->kind.len == 0) {
        return AGG_INVALID;
    }

    /* additional_bindings cannot be nested */

    additional = *bytes;

    while (additional.len != 0 && !nested) {

        rc = agg_grpc_wire_next(&additional, &field, &value);
        if (rc != AGG_OK) {
            return rc;
        }

        if (field == 11 && value.data != NULL) {
            rc = agg_grpc_http_rule(&value, list, n, 1);
            if (rc != AGG_OK) {
                return rc;
            }
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_grpc_http_custom(const agg_str_t *bytes, agg_grpc_http_t *http)
{
    uint64_t   field;
    agg_rc_e   rc;
    agg_str_t  in, value;

    http->kind.len = 0;
    http->path.len = 0;

    in = *bytes;

    while (in.len != 0) {

        rc = agg_grpc_wire_next(&in, &field, &value);
        if (rc != AGG_OK) {
            return rc;
        }

        if (field == 1 && value.data != NULL) {
            http->kind = value;

        } else if (field == 2 && value.data != NULL) {
            http->path = value;
        }
    }

    return AGG_OK;
}


/* value->data is NULL if the field is not length-delimited */

static agg_rc_e
agg_grpc_wire_next(agg_str_t *in, uint64_t *field, agg_str_t *value)
{
    uint64_t  tag, n;

    value->len = 0;
    value->data = NULL;

    if (!agg_grpc_wire_varint(in, &tag)) {
        return AGG_INVALID;
    }

    *field = tag >> 3;

    switch (tag & 7) {

    case 0:
        return agg_grpc_wire_varint(in, &n) ? AGG_OK : AGG_INVALID;

    case 1:
        n = 8;
        break;

    case 2:
        if (!agg_grpc_wire_varint(in, &n)) {
            return AGG_INVALID;
        }

        value->data = in->data;
        break;

    case 5:
        n = 4;
        break;

    default:
        return AGG_INVALID;
    }

    if (n > in->len) {
        return AGG_INVALID;
    }

    if (value->data != NULL) {
        value->len = (size_t) n;
    }

    in->data += n;
    in->len -= (size_t) n;

    return AGG_OK;
}


static int
agg_grpc_wire_varint(agg_str_t *in, uint64_t *value)
{
    u_char    c;
    unsigned  shift;

    *value = 0;

    for (shift = 0; shift < 64 && in->len != 0; shift += 7) {
        c = *in->data++;
        in->len--;

        *value |= (uint64_t) (c & 0x7f) << shift;

        if (c < 0x80) {
            return 1;
        }
    }

    return 0;
}


static int
agg_grpc_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


ssize_t
agg_grpc_decode(u_char *dst, const agg_str_t *src, int slashes)
{
    int      high, low;
    u_char  *p, *end, *d;

    d = dst;
    p = src->data;
    end = p + src->len;

    while (p < end) {

        if (*p != '%') {
            *d++ = *p++;
            continue;
        }

        if (end - p < 3) {
            return -1;
        }

        high = agg_grpc_hex(p[1]);
        low = agg_grpc_hex(p[2]);

        if (high < 0 || low < 0) {
            return -1;
        }

        if (!slashes && high == 2 && low == 15) {
            *d++ = *p++;
            *d++ = *p++;
            *d++ = *p++;
            continue;
        }

        *d++ = (u_char) (high << 4 | low);
        p += 3;
    }

    return d - dst;
}


int
agg_grpc_has_dots(const agg_str_t *path)
{
    size_t   len;
    u_char  *p, *end, *slash;

    p = path->data;
    end = p + path->len;

    while (p < end) {

        slash = memchr(p, '/', (size_t) (end - p));
        len = (size_t) ((slash ? slash : end) - p);

        if ((len == 1 && p[0] == '.')
            || (len == 2 && p[0] == '.' && p[1] == '.'))
        {
            return 1;
        }

        p += len + 1;
    }

    return 0;
}
