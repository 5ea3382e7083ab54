
/* see agg_pb_status.h */


#include "agg_pb_base64.h"
#include "agg_pb_status.h"
#include "agg_pb_wire.h"


#define AGG_GRPC_RETRY_INFO  "google.rpc.RetryInfo"
#define AGG_GRPC_DEBUG_INFO  "google.rpc.DebugInfo"

/* a longer retry delay is not sent as Retry-After */

#define AGG_GRPC_MAX_DELAY   INT64_C(315576000000)


static agg_rc_e agg_grpc_detail(const agg_pb_pool_t *pool,
    const agg_str_t *any, const agg_pb_print_t *print, agg_buf_t *out,
    agg_grpc_details_t *details);
static agg_rc_e agg_grpc_unknown(const agg_str_t *url,
    const agg_str_t *value, agg_buf_t *out);
static int agg_grpc_is(const agg_str_t *url, const char *name, size_t len);
static int64_t agg_grpc_retry_after(const agg_str_t *value);
static int agg_grpc_read_field(const agg_str_t *message, uint32_t wanted,
    agg_str_t *value, uint64_t *n);


static const struct {
    const char  *name;
    const char  *title;
    unsigned     status;

} agg_grpc_codes[AGG_GRPC_CODES] = {
    { "OK", "OK", 200 },
    { "CANCELLED", "Cancelled", 499 },
    { "UNKNOWN", "Unknown", 500 },
    { "INVALID_ARGUMENT", "Invalid Argument", 400 },
    { "DEADLINE_EXCEEDED", "Deadline Exceeded", 504 },
    { "NOT_FOUND", "Not Found", 404 },
    { "ALREADY_EXISTS", "Already Exists", 409 },
    { "PERMISSION_DENIED", "Permission Denied", 403 },
    { "RESOURCE_EXHAUSTED", "Resource Exhausted", 429 },
    { "FAILED_PRECONDITION", "Failed Precondition", 400 },
    { "ABORTED", "Aborted", 409 },
    { "OUT_OF_RANGE", "Out of Range", 400 },
    { "UNIMPLEMENTED", "Unimplemented", 501 },
    { "INTERNAL", "Internal", 500 },
    { "UNAVAILABLE", "Unavailable", 503 },
    { "DATA_LOSS", "Data Loss", 500 },
    { "UNAUTHENTICATED", "Unauthenticated", 401 }
};


long
agg_grpc_code(const u_char *data, size_t len)
{
    long    code;
    size_t  i;

    if (len == 0 || len > 9) {
        return -1;
    }

    code = 0;

    for (i = 0; i < len; i++) {

        if ((u_char) (data[i] - '0') > 9) {
            return -1;
        }

        code = code * 10 + (data[i] - '0');
    }

    return code;
}


const char *
agg_grpc_code_name(long code)
{
    if (code < 0 || code >= AGG_GRPC_CODES) {
        code = AGG_GRPC_UNKNOWN;
    }

    return agg_grpc_codes[code].name;
}


const char *
agg_grpc_code_title(long code)
{
    if (code < 0 || code >= AGG_GRPC_CODES) {
        code = AGG_GRPC_UNKNOWN;
    }

    return agg_grpc_codes[code].title;
}


unsigned
agg_grpc_http_status(long code)
{
    if (code < 0 || code >= AGG_GRPC_CODES) {
        code = AGG_GRPC_UNKNOWN;
    }

    return agg_grpc_codes[code].status;
}


agg_grpc_code_e
agg_grpc_code_of_http(unsigned status)
{
    switch (status) {

    case 400:
    case 413:
    case 414:
    case 415:
    case 422:
        return AGG_GRPC_INVALID_ARGUMENT;

    case 401:
        return AGG_GRPC_UNAUTHENTICATED;

    case 403:
        return AGG_GRPC_PERMISSION_DENIED;

    case 404:
        return AGG_GRPC_NOT_FOUND;

    case 405:
    case 501:
        return AGG_GRPC_UNIMPLEMENTED;

    case 409:
        return AGG_GRPC_ABORTED;

    case 416:
        return AGG_GRPC_OUT_OF_RANGE;

    case 429:
        return AGG_GRPC_RESOURCE_EXHAUSTED;

    case 499:
        return AGG_GRPC_CANCELLED;

    case 500:
        return AGG_GRPC_INTERNAL;

    case 502:
    case 503:
        return AGG_GRPC_UNAVAILABLE;

    case 408:
    case 504:
        return AGG_GRPC_DEADLINE_EXCEEDED;

    default:
        return (status < 300) ? AGG_GRPC_OK : AGG_GRPC_UNKNOWN;
    }
}


size_t
agg_grpc_message(u_char *dst, const u_char *src, size_t len)
{
    size_t   i, k;
    u_char  *start, c, digit;

    start = dst;

    for (i = 0; i < len; i++) {

        if (src[i] != '%' || len - i < 3) {
            *dst++ = src[i];
            continue;
        }

        c = 0;

        for (k = 1; k < 3; k++) {
            digit = src[i + k];

            if ((u_char) (digit - '0') <= 9) {
                c = (u_char) (c << 4 | (digit - '0'));

            } else if ((u_char) ((digit | 0x20) - 'a') <= 5) {
                c = (u_char) (c << 4 | ((digit | 0x20) - 'a' + 10));

            } else {
                break;
            }
        }

        if (k < 3) {
            *dst++ = src[i];
            continue;
        }

        *dst++ = c;
        i += 2;
    }

    return (size_t) (dst - start);
}


agg_rc_e
agg_grpc_details(const agg_pb_pool_t *pool, const u_char *data, size_t len,
    const agg_pb_print_t *print, agg_buf_t *out, agg_grpc_details_t *details)
{
    size_t         used;
    u_char        *bytes, *last;
    uint32_t       tag;
    uint64_t       n;
    agg_rc_e       rc;
    agg_str_t      status, any;
    const u_char  *p, *end;

    details->n = 0;
    details->retry_after = -1;

    used = agg_buf_used(out);

    bytes = out->mem->grow(out->mem->ctx, NULL, 0, agg_pb_base64_size(len));
    if (bytes == NULL) {
        return AGG_NOMEM;
    }

    last = agg_pb_base64(bytes, data, len);

    status.data = bytes;
    status.len = last ? (size_t) (last - bytes) : 0;

    /* all of it must be valid before any part is used */

    if (agg_grpc_read_field(&status, agg_pb_tag(3, AGG_PB_LEN), &any, &n) < 0)
    {
        status.len = 0;
    }

    rc = agg_buf_append(out, "[", 1);

    p = status.data;
    end = p + status.len;

    while (p < end && rc == AGG_OK) {
        p = agg_pb_read_tag(p, end, &tag);

        if (p != NULL && tag != agg_pb_tag(3, AGG_PB_LEN)) {
            p = agg_pb_skip(p, end, tag, NULL);

            if (p != NULL) {
                continue;
            }
        }

        if (p != NULL) {
            p = agg_pb_read_len(p, end, &any);
        }

        if (p == NULL) {
            break;
        }

        rc = agg_grpc_detail(pool, &any, print, out, details);
    }

    if (rc == AGG_OK) {
        rc = agg_buf_append(out, "]", 1);
    }

    out->mem->grow(out->mem->ctx, bytes, 0, 0);

    if (rc != AGG_OK && agg_buf_used(out) != used) {
        out->pos = out->start + used;
    }

    return rc;
}


static agg_rc_e
agg_grpc_detail(const agg_pb_pool_t *pool, const agg_str_t *any,
    const agg_pb_print_t *print, agg_buf_t *out, agg_grpc_details_t *details)
{
    int64_t                  delay;
    uint64_t                 n;
    agg_rc_e                 rc;
    agg_str_t                url, value, name;
    agg_pb_print_t           own;
    agg_pb_fault_e           fault;
    const agg_pb_message_t  *m;

    static const char  any_name[] = "google.protobuf.Any";

    if (agg_grpc_read_field(any, agg_pb_tag(1, AGG_PB_LEN), &url, &n) < 0) {
        return AGG_OK;
    }

    (void) agg_grpc_read_field(any, agg_pb_tag(2, AGG_PB_LEN), &value, &n);

    if (agg_grpc_is(&url, AGG_GRPC_DEBUG_INFO,
                    sizeof(AGG_GRPC_DEBUG_INFO) - 1))
    {
        return AGG_OK;
    }

    if (agg_grpc_is(&url, AGG_GRPC_RETRY_INFO,
                    sizeof(AGG_GRPC_RETRY_INFO) - 1))
    {
        delay = agg_grpc_retry_after(&value);

        if (delay > details->retry_after) {
            details->retry_after = delay;
        }
    }

    if (details->n != 0) {
        rc = agg_buf_append(out, ",", 1);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    details->n++;

    own = *print;
    own.no_debug = 1;

    name.data = (u_char *) any_name;
    name.len = sizeof(any_name) - 1;

    m = agg_pb_find_message(pool, name.data, name.len);

    rc = agg_pb_to_json(pool, m, NULL, any, &own, out, &fault);

    if (rc == AGG_INVALID) {
        return agg_grpc_unknown(&url, &value, out);
    }

    return rc;
}


static agg_rc_e
agg_grpc_unknown(const agg_str_t *url, const agg_str_t *value, agg_buf_t *out)
{
    size_t    i;
    u_char    block[4];
    uint32_t  n;
    agg_rc_e  rc;

    static const u_char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    rc = agg_buf_append(out, "{\"@type\":", 9);

    if (rc == AGG_OK) {
        rc = agg_json_escape(out, url->data, url->len);
    }

    if (rc == AGG_OK) {
        rc = agg_buf_append(out, ",\"value\":\"", 10);
    }

    for (i = 0; i < value->len && rc == AGG_OK; i += 3) {

        n = (uint32_t) value->data[i] << 16;
        n |= (i + 1 < value->len) ? (uint32_t) value->data[i + 1] << 8 : 0;
        n |= (i + 2 < value->len) ? value->data[i + 2] : 0;

        block[0] = alphabet[n >> 18];
        block[1] = alphabet[n >> 12 & 0x3f];
        block[2] = (i + 1 < value->len) ? alphabet[n >> 6 & 0x3f] : '=';
        block[3] = (i + 2 < value->len) ? alphabet[n & 0x3f] : '=';

        rc = agg_buf_append(out, block, 4);
    }

    return (rc == AGG_OK) ? agg_buf_append(out, "\"}", 2) : rc;
}


/* compares the name after the last slash, or all of it */

static int
agg_grpc_is(const agg_str_t *url, const char *name, size_t len)
{
    return url->len >= len
           && (url->len == len || url->data[url->len - len - 1] == '/')
           && memcmp(url->data + url->len - len, name, len) == 0;
}


/* RetryInfo.retry_delay in seconds, rounded up; -1: there is none */

static int64_t
agg_grpc_retry_after(const agg_str_t *value)
{
    int32_t    nanos;
    int64_t    seconds;
    uint64_t   n;
    agg_str_t  delay, unused;

    if (agg_grpc_read_field(value, agg_pb_tag(1, AGG_PB_LEN), &delay, &n)
        != 1)
    {
        return -1;
    }

    if (agg_grpc_read_field(&delay, agg_pb_tag(1, AGG_PB_VARINT), &unused, &n)
        < 0)
    {
        return -1;
    }

    seconds = (int64_t) n;

    (void) agg_grpc_read_field(&delay, agg_pb_tag(2, AGG_PB_VARINT), &unused,
                               &n);
    nanos = (int32_t) (uint32_t) n;

    if (seconds < 0 || seconds > AGG_GRPC_MAX_DELAY
        || nanos < 0 || nanos > 999999999)
    {
        return -1;
    }

    return seconds + (nanos > 0);
}


/* 1 and the last value of a field; 0: it is missing; -1: invalid protobuf */

static int
agg_grpc_read_field(const agg_str_t *message, uint32_t wanted,
    agg_str_t *value, uint64_t *n)
{
    int            found;
    uint32_t       tag;
    const u_char  *p, *end;

    found = 0;

    *n = 0;
    value->len = 0;
    value->data = message->data;

    p = message->data;
    end = p + message->len;

    while (p < end) {
        p = agg_pb_read_tag(p, end, &tag);

        if (p == NULL) {
            return -1;
        }

        if (tag != wanted) {
            p = agg_pb_skip(p, end, tag, NULL);

        } else if ((tag & 7) == AGG_PB_VARINT) {
            found = 1;
            p = agg_pb_varint(p, end, n);

        } else {
            found = 1;
            p = agg_pb_read_len(p, end, value);
        }

        if (p == NULL) {
            return -1;
        }
    }

    return found;
}
