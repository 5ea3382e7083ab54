
/* see agg_otlp.h */

#define _GNU_SOURCE
#include <string.h>

#include "agg_otlp.h"
#include "agg_trace.h"


/* wire types of protobuf */

#define AGG_OTLP_VARINT   0
#define AGG_OTLP_FIXED64  1
#define AGG_OTLP_LEN      2
#define AGG_OTLP_FIXED32  5

/* the longest tag and length in front of a message */

#define AGG_OTLP_ROOM     12

#define AGG_OTLP_HAS_REMOTE  0x100
#define AGG_OTLP_IS_REMOTE   0x200

#define agg_otlp_tag(field, type)  ((uint64_t) (field) << 3 | (type))


static size_t agg_otlp_open(gw_out_block_t *out);
static void agg_otlp_close(gw_out_block_t *out, size_t start,
    unsigned field);
static void agg_otlp_varint(gw_out_block_t *out, uint64_t n);
static inline uint8_t *agg_otlp_put_varint(uint8_t *p, uint64_t n);
static inline size_t agg_otlp_varint_size(uint64_t n);
static void agg_otlp_bytes(gw_out_block_t *out, unsigned field,
    const uint8_t *p, size_t len);
static void agg_otlp_string(gw_out_block_t *out, unsigned field,
    const uint8_t *p, size_t len);
static void agg_otlp_fixed64(gw_out_block_t *out, unsigned field,
    uint64_t n);
static void agg_otlp_fixed32(gw_out_block_t *out, unsigned field,
    uint32_t n);
static void agg_otlp_attr(gw_out_block_t *out, unsigned field,
    const agg_otlp_attr_t *attr);
static int agg_otlp_ascii(const uint8_t *p, size_t len);
static void agg_otlp_attr_any(gw_out_block_t *out, unsigned field,
    const agg_otlp_attr_t *attr);
static void agg_otlp_json_span(gw_out_block_t *block,
    const agg_otlp_span_t *span);
static void agg_otlp_json_attrs(gw_out_t *out, const agg_otlp_attr_t *attrs,
    unsigned n);
static void agg_otlp_json_string(gw_out_t *out, const uint8_t *p,
    size_t len);
static void agg_otlp_json_hex(gw_out_t *out, const char *name,
    const uint8_t *p, size_t len);
static void agg_otlp_json_time(gw_out_t *out, const char *name, uint64_t n);
static size_t agg_otlp_valid(const uint8_t *p, size_t len);
static const uint8_t *agg_otlp_field(const uint8_t *p, const uint8_t *last,
    uint64_t *tag, uint64_t *value);


static uint32_t
agg_otlp_flags(const agg_otlp_span_t *span)
{
    uint32_t  flags;

    flags = span->flags;

    if (span->parent_id) {
        flags |= AGG_OTLP_HAS_REMOTE;

        if (span->remote) {
            flags |= AGG_OTLP_IS_REMOTE;
        }
    }

    return flags;
}


void
agg_otlp_span(gw_out_block_t *out, int json, const agg_otlp_span_t *span)
{
    size_t                   start, inner;
    unsigned                 i, k;
    const agg_otlp_event_t  *event;

    if (json) {
        agg_otlp_json_span(out, span);
        return;
    }

    start = agg_otlp_open(out);

    agg_otlp_bytes(out, 1, span->trace_id, 16);
    agg_otlp_bytes(out, 2, span->span_id, 8);

    if (span->state_len) {
        agg_otlp_bytes(out, 3, span->state, span->state_len);
    }

    if (span->parent_id) {
        agg_otlp_bytes(out, 4, span->parent_id, 8);
    }

    agg_otlp_string(out, 5, span->name, span->name_len);

    agg_otlp_varint(out, agg_otlp_tag(6, AGG_OTLP_VARINT));
    agg_otlp_varint(out, span->kind);

    agg_otlp_fixed64(out, 7, span->start);
    agg_otlp_fixed64(out, 8, span->end);

    for (i = 0; i < span->nattrs; i++) {
        agg_otlp_attr(out, 9, &span->attrs[i]);
    }

    for (i = 0; i < span->nevents; i++) {
        event = &span->events[i];

        inner = agg_otlp_open(out);
        agg_otlp_fixed64(out, 1, event->time);
        agg_otlp_string(out, 2, (const uint8_t *) event->name,
                        strlen(event->name));

        for (k = 0; k < event->nattrs; k++) {
            agg_otlp_attr(out, 3, &event->attrs[k]);
        }

        agg_otlp_close(out, inner, 11);
    }

    if (span->link) {
        inner = agg_otlp_open(out);
        agg_otlp_bytes(out, 1, span->link->trace_id, 16);
        agg_otlp_bytes(out, 2, span->link->span_id, 8);
        agg_otlp_fixed32(out, 6, span->link->flags | AGG_OTLP_HAS_REMOTE
                                 | AGG_OTLP_IS_REMOTE);
        agg_otlp_close(out, inner, 13);
    }

    if (span->error) {

        /* a message of two bytes, the code of an error */

        gw_out_put(&out->out, "\x7a\x02\x18\x02", 4);
    }

    /* the tag of field 16 has two bytes */

    agg_otlp_fixed32(out, 16, agg_otlp_flags(span));

    agg_otlp_close(out, start, 2);
}


/*
 * A message is written behind room for the longest head, and is moved down to
 * its head when its length is known.
 */

static size_t
agg_otlp_open(gw_out_block_t *out)
{
    size_t  start;

    start = gw_out_block_used(out);

    if (gw_out_room(&out->out, AGG_OTLP_ROOM) == 0) {
        out->out.last += AGG_OTLP_ROOM;
    }

    return start;
}


static void
agg_otlp_close(gw_out_block_t *out, size_t start, unsigned field)
{
    size_t    len;
    uint8_t  *p, *body;

    if (out->out.failed) {
        return;
    }

    p = out->start + start;
    body = p + AGG_OTLP_ROOM;
    len = (size_t) (out->out.last - body);

    p = agg_otlp_put_varint(p, agg_otlp_tag(field, AGG_OTLP_LEN));
    p = agg_otlp_put_varint(p, len);

    memmove(p, body, len);
    out->out.last = p + len;
}


static inline uint8_t *
agg_otlp_put_varint(uint8_t *p, uint64_t n)
{
    while (n >= 0x80) {
        *p++ = (uint8_t) (n | 0x80);
        n >>= 7;
    }

    *p++ = (uint8_t) n;

    return p;
}


static inline size_t
agg_otlp_varint_size(uint64_t n)
{
    size_t  size;

    for (size = 1; n >= 0x80; size++) {
        n >>= 7;
    }

    return size;
}


static void
agg_otlp_varint(gw_out_block_t *out, uint64_t n)
{
    if (gw_out_room(&out->out, 10) == 0) {
        out->out.last = agg_otlp_put_varint(out->out.last, n);
    }
}


static void
agg_otlp_bytes(gw_out_block_t *out, unsigned field, const uint8_t *p,
    size_t len)
{
    if (gw_out_room(&out->out, len + 20) != 0) {
        return;
    }

    out->out.last = agg_otlp_put_varint(out->out.last,
                                        agg_otlp_tag(field, AGG_OTLP_LEN));
    out->out.last = agg_otlp_put_varint(out->out.last, len);

    memcpy(out->out.last, p, len);
    out->out.last += len;
}


/* bytes at the beginning that are UTF-8 */

static size_t
agg_otlp_valid(const uint8_t *p, size_t len)
{
    int       valid;
    size_t    n;
    unsigned  size;

    for (n = 0; n < len; n += size) {

        size = 1;
        valid = 1;

        if (p[n] >= 0x80) {
            size = gw_utf8_length(p + n, p + len, &valid);
        }

        if (!valid) {
            break;
        }
    }

    return n;
}


static void
agg_otlp_string(gw_out_block_t *out, unsigned field, const uint8_t *p,
    size_t len)
{
    int       valid;
    size_t    n, start;
    unsigned  skip;

    if (len <= AGG_OTLP_VALUE && agg_otlp_ascii(p, len)) {
        agg_otlp_bytes(out, field, p, len);
        return;
    }

    len = gw_cut(p, len, AGG_OTLP_VALUE);
    n = agg_otlp_valid(p, len);

    if (n == len) {
        agg_otlp_bytes(out, field, p, len);
        return;
    }

    start = agg_otlp_open(out);

    for ( ;; ) {
        gw_out_put(&out->out, p, n);
        p += n;
        len -= n;

        if (len == 0) {
            break;
        }

        gw_out_put(&out->out, "\xef\xbf\xbd", 3);
        valid = 1;
        skip = gw_utf8_length(p, p + len, &valid);
        p += skip;
        len -= skip;
        n = agg_otlp_valid(p, len);
    }

    agg_otlp_close(out, start, field);
}


static void
agg_otlp_fixed64(gw_out_block_t *out, unsigned field, uint64_t n)
{
    unsigned  i;

    agg_otlp_varint(out, agg_otlp_tag(field, AGG_OTLP_FIXED64));

    if (gw_out_room(&out->out, 8) == 0) {
        for (i = 0; i < 8; i++) {
            *out->out.last++ = (uint8_t) (n >> 8 * i);
        }
    }
}


static void
agg_otlp_fixed32(gw_out_block_t *out, unsigned field, uint32_t n)
{
    unsigned  i;

    agg_otlp_varint(out, agg_otlp_tag(field, AGG_OTLP_FIXED32));

    if (gw_out_room(&out->out, 4) == 0) {
        for (i = 0; i < 4; i++) {
            *out->out.last++ = (uint8_t) (n >> 8 * i);
        }
    }
}


/*
 * Nearly all attributes are numbers and short strings of ASCII: their lengths
 * are known before they are written.
 */

static void
agg_otlp_attr(gw_out_block_t *out, unsigned field,
    const agg_otlp_attr_t *attr)
{
    size_t    value, size;
    uint8_t  *p;

    switch (attr->type) {

    case AGG_OTLP_STRING:

        if (attr->len > AGG_OTLP_VALUE
            || !agg_otlp_ascii(attr->data, attr->len))
        {
            agg_otlp_attr_any(out, field, attr);
            return;
        }

        value = 1 + agg_otlp_varint_size(attr->len) + attr->len;
        break;

    case AGG_OTLP_BOOL:
        value = 2;
        break;

    default: /* AGG_OTLP_INT */
        value = 1 + agg_otlp_varint_size((uint64_t) attr->number);
        break;
    }

    size = 1 + agg_otlp_varint_size(attr->key_len) + attr->key_len
           + 1 + agg_otlp_varint_size(value) + value;

    if (gw_out_room(&out->out, size + AGG_OTLP_ROOM) != 0) {
        return;
    }

    p = agg_otlp_put_varint(out->out.last, agg_otlp_tag(field, AGG_OTLP_LEN));
    p = agg_otlp_put_varint(p, size);

    *p++ = agg_otlp_tag(1, AGG_OTLP_LEN);
    p = agg_otlp_put_varint(p, attr->key_len);
    memcpy(p, attr->key, attr->key_len);
    p += attr->key_len;

    *p++ = agg_otlp_tag(2, AGG_OTLP_LEN);
    p = agg_otlp_put_varint(p, value);

    switch (attr->type) {

    case AGG_OTLP_STRING:
        *p++ = agg_otlp_tag(1, AGG_OTLP_LEN);
        p = agg_otlp_put_varint(p, attr->len);
        memcpy(p, attr->data, attr->len);
        p += attr->len;
        break;

    case AGG_OTLP_BOOL:
        *p++ = agg_otlp_tag(2, AGG_OTLP_VARINT);
        *p++ = attr->number != 0;
        break;

    default: /* AGG_OTLP_INT */
        *p++ = agg_otlp_tag(3, AGG_OTLP_VARINT);
        p = agg_otlp_put_varint(p, (uint64_t) attr->number);
        break;
    }

    out->out.last = p;
}


static int
agg_otlp_ascii(const uint8_t *p, size_t len)
{
    uint64_t  n, all;

    for (all = 0; len >= 8; p += 8, len -= 8) {
        memcpy(&n, p, 8);
        all |= n;
    }

    for ( /* void */ ; len; p++, len--) {
        all |= *p;
    }

    return (all & 0x8080808080808080ULL) == 0;
}


/* a string that may be anything */

static void
agg_otlp_attr_any(gw_out_block_t *out, unsigned field,
    const agg_otlp_attr_t *attr)
{
    size_t  start, value;

    start = agg_otlp_open(out);

    agg_otlp_bytes(out, 1, attr->key, attr->key_len);

    value = agg_otlp_open(out);
    agg_otlp_string(out, 1, attr->data, attr->len);
    agg_otlp_close(out, value, 2);

    agg_otlp_close(out, start, field);
}


static void
agg_otlp_json_span(gw_out_block_t *block, const agg_otlp_span_t *span)
{
    unsigned   i;
    gw_out_t  *out;

    out = &block->out;

    gw_out_text(out, "{");
    agg_otlp_json_hex(out, "traceId", span->trace_id, 16);
    gw_out_text(out, ",");
    agg_otlp_json_hex(out, "spanId", span->span_id, 8);

    if (span->state_len) {
        gw_out_text(out, ",\"traceState\":");
        agg_otlp_json_string(out, span->state, span->state_len);
    }

    if (span->parent_id) {
        gw_out_text(out, ",");
        agg_otlp_json_hex(out, "parentSpanId", span->parent_id, 8);
    }

    gw_out_text(out, ",\"name\":");
    agg_otlp_json_string(out, span->name, span->name_len);
    gw_out_text(out, ",\"kind\":");
    gw_out_uint(out, span->kind);
    agg_otlp_json_time(out, ",\"startTimeUnixNano\":\"", span->start);
    agg_otlp_json_time(out, ",\"endTimeUnixNano\":\"", span->end);
    agg_otlp_json_attrs(out, span->attrs, span->nattrs);

    if (span->nevents) {
        gw_out_text(out, ",\"events\":[");

        for (i = 0; i < span->nevents; i++) {
            gw_out_text(out, i ? ",{\"name\":\"" : "{\"name\":\"");
            gw_out_text(out, span->events[i].name);
            agg_otlp_json_time(out, "\",\"timeUnixNano\":\"",
                               span->events[i].time);
            agg_otlp_json_attrs(out, span->events[i].attrs,
                                span->events[i].nattrs);
            gw_out_text(out, "}");
        }

        gw_out_text(out, "]");
    }

    if (span->link) {
        gw_out_text(out, ",\"links\":[{");
        agg_otlp_json_hex(out, "traceId", span->link->trace_id, 16);
        gw_out_text(out, ",");
        agg_otlp_json_hex(out, "spanId", span->link->span_id, 8);
        gw_out_text(out, ",\"flags\":");
        gw_out_uint(out, span->link->flags | AGG_OTLP_HAS_REMOTE
                         | AGG_OTLP_IS_REMOTE);
        gw_out_text(out, "}]");
    }

    gw_out_text(out, span->error ? ",\"status\":{\"code\":2},\"flags\":"
                                 : ",\"flags\":");
    gw_out_uint(out, agg_otlp_flags(span));
    gw_out_text(out, "}");
}


static void
agg_otlp_json_attrs(gw_out_t *out, const agg_otlp_attr_t *attrs, unsigned n)
{
    unsigned  i;

    gw_out_text(out, ",\"attributes\":[");

    for (i = 0; i < n; i++) {
        gw_out_text(out, i ? ",{\"key\":" : "{\"key\":");
        agg_otlp_json_string(out, attrs[i].key, attrs[i].key_len);

        switch (attrs[i].type) {

        case AGG_OTLP_STRING:
            gw_out_text(out, ",\"value\":{\"stringValue\":");
            agg_otlp_json_string(out, attrs[i].data, attrs[i].len);
            gw_out_text(out, "}}");
            break;

        case AGG_OTLP_BOOL:
            gw_out_text(out, ",\"value\":{\"boolValue\":");
            gw_out_text(out, attrs[i].number ? "true}}" : "false}}");
            break;

        default: /* AGG_OTLP_INT */
            gw_out_text(out, ",\"value\":{\"intValue\":\"");
            gw_out_uint(out, (uint64_t) attrs[i].number);
            gw_out_text(out, "\"}}");
            break;
        }
    }

    gw_out_text(out, "]");
}


static void
agg_otlp_json_string(gw_out_t *out, const uint8_t *p, size_t len)
{
    gw_out_text(out, "\"");
    gw_out_json(out, p, gw_cut(p, len, AGG_OTLP_VALUE));
    gw_out_text(out, "\"");
}


static void
agg_otlp_json_hex(gw_out_t *out, const char *name, const uint8_t *p,
    size_t len)
{
    gw_out_text(out, "\"");
    gw_out_text(out, name);
    gw_out_text(out, "\":\"");

    if (gw_out_room(out, 2 * len) == 0) {
        out->last = agg_trace_hex(out->last, p, len);
    }

    gw_out_text(out, "\"");
}


static void
agg_otlp_json_time(gw_out_t *out, const char *name, uint64_t n)
{
    gw_out_text(out, name);
    gw_out_uint(out, n);
    gw_out_text(out, "\"");
}


void
agg_otlp_head(gw_out_block_t *out, int json, const agg_otlp_attr_t *resource,
    unsigned n, const char *version, size_t size)
{
    size_t    start, inner, scope, len;
    unsigned  i;

    static const char  name[] = "nginx-gateway";

    if (json) {
        gw_out_text(&out->out, "{\"resourceSpans\":[{\"resource\":{"
                               "\"droppedAttributesCount\":0");
        agg_otlp_json_attrs(&out->out, resource, n);
        gw_out_text(&out->out, "},\"scopeSpans\":[{\"scope\":{\"name\":\"");
        gw_out_text(&out->out, name);
        gw_out_text(&out->out, "\",\"version\":\"");
        gw_out_text(&out->out, version);
        gw_out_text(&out->out, "\"},\"spans\":[");
        return;
    }

    /* the messages around the spans are left open: their lengths are known */

    start = gw_out_block_used(out);
    inner = agg_otlp_open(out);

    for (i = 0; i < n; i++) {
        agg_otlp_attr(out, 1, &resource[i]);
    }

    agg_otlp_close(out, inner, 1);

    inner = gw_out_block_used(out) - start;
    scope = agg_otlp_open(out);
    agg_otlp_bytes(out, 1, (const uint8_t *) name, sizeof(name) - 1);
    agg_otlp_bytes(out, 2, (const uint8_t *) version, strlen(version));
    agg_otlp_close(out, scope, 1);

    scope = gw_out_block_used(out) - start - inner;

    if (out->out.failed || gw_out_room(&out->out, 40) != 0) {
        return;
    }

    /* insert the head of scope_spans before the scope, then the outer one */

    len = 1 + agg_otlp_varint_size(scope + size);
    memmove(out->start + start + inner + len, out->start + start + inner,
            scope);
    (void) agg_otlp_put_varint(out->start + start + inner + 1, scope + size);
    out->start[start + inner] = (uint8_t) agg_otlp_tag(2, AGG_OTLP_LEN);
    out->out.last += len;

    size += inner + len + scope;
    len = 1 + agg_otlp_varint_size(size);
    memmove(out->start + start + len, out->start + start,
            gw_out_block_used(out) - start);
    (void) agg_otlp_put_varint(out->start + start + 1, size);
    out->start[start] = (uint8_t) agg_otlp_tag(1, AGG_OTLP_LEN);
    out->out.last += len;
}


void
agg_otlp_tail(gw_out_block_t *out, int json)
{
    if (json) {
        gw_out_text(&out->out, "]}]}]}");
    }
}


/* the next field, and its value: a number, or the length of what follows */

static const uint8_t *
agg_otlp_field(const uint8_t *p, const uint8_t *last, uint64_t *tag,
    uint64_t *value)
{
    uint64_t  n;
    unsigned  i, shift;

    for (i = 0; i < 2; i++) {
        n = 0;

        for (shift = 0; /* void */ ; shift += 7) {

            if (p == last || shift > 63) {
                return NULL;
            }

            n |= (uint64_t) (*p & 0x7f) << shift;

            if (*p++ < 0x80) {
                break;
            }
        }

        if (i == 0) {
            *tag = n;
        }

        if (i == 0 && (n & 7) != AGG_OTLP_VARINT && (n & 7) != AGG_OTLP_LEN) {
            return NULL;
        }
    }

    *value = n;

    if ((*tag & 7) == AGG_OTLP_LEN && n > (uint64_t) (last - p)) {
        return NULL;
    }

    return p;
}


static uint64_t
agg_otlp_json_rejected(const uint8_t *p, size_t len)
{
    uint64_t        n;
    const uint8_t  *last, *q;

    static const char  name[] = "\"rejectedSpans\"";

    last = p + len;
    q = memmem(p, len, name, sizeof(name) - 1);

    if (q == NULL) {
        return 0;
    }

    for (q += sizeof(name) - 1; q < last; q++) {
        if (*q != ' ' && *q != ':' && *q != '"' && *q != '\n' && *q != '\t') {
            break;
        }
    }

    for (n = 0; q < last && *q >= '0' && *q <= '9' && n < 1000000000; q++) {
        n = n * 10 + (uint64_t) (*q - '0');
    }

    return n;
}


uint64_t
agg_otlp_rejected(int json, const uint8_t *p, size_t len,
    const uint8_t **message, size_t *message_len)
{
    uint64_t        tag, value, rejected;
    const uint8_t  *last;

    *message = p;
    *message_len = 0;

    if (len == 0) {
        return 0;
    }

    if (json) {
        rejected = agg_otlp_json_rejected(p, len);
        *message_len = rejected ? len : 0;
        return rejected;
    }

    last = p + len;
    p = agg_otlp_field(p, last, &tag, &value);

    if (p == NULL || tag != agg_otlp_tag(1, AGG_OTLP_LEN)) {
        return 0;
    }

    last = p + value;
    rejected = 0;

    while (p < last) {
        p = agg_otlp_field(p, last, &tag, &value);

        if (p == NULL) {
            break;
        }

        if (tag == agg_otlp_tag(1, AGG_OTLP_VARINT)) {
            rejected = value;
        }

        if (tag == agg_otlp_tag(2, AGG_OTLP_LEN)) {
            *message = p;
            *message_len = (size_t) value;
        }

        if ((tag & 7) == AGG_OTLP_LEN) {
            p += value;
        }
    }

    return rejected;
}
