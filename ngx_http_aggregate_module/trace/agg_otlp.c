
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

/* the tag and a length of two bytes for a span; room for agg_otlp_ids() */

#define AGG_OTLP_HEAD       3
#define AGG_OTLP_SPAN_ROOM  128

/*
 * If key and value are no longer than this together, the length of the
 * attribute takes one byte.  A known key is copied together with the bytes that
 * follow it, hence the room.
 */

#define AGG_OTLP_SHORT      (0x80 - 8)
#define AGG_OTLP_ATTR_ROOM  (0x80 + sizeof(agg_otlp_key_t))

/* the bytes of tags and lengths in an attribute with a short string */

#define AGG_OTLP_CONSTANT_HEADS  8

#define AGG_OTLP_HAS_REMOTE  0x100
#define AGG_OTLP_IS_REMOTE   0x200

#define agg_otlp_tag(field, type)  ((uint64_t) (field) << 3 | (type))


static inline int agg_otlp_room(gw_out_block_t *out, size_t n);
static inline uint8_t *agg_otlp_ascii_copy(uint8_t *p, const uint8_t *src,
    size_t len);
static inline uint8_t *agg_otlp_le64(uint8_t *p, uint64_t n);
static size_t agg_otlp_open(gw_out_block_t *out);
static void agg_otlp_close(gw_out_block_t *out, size_t start,
    unsigned field);
static inline uint8_t *agg_otlp_put_varint(uint8_t *p, uint64_t n);
static inline uint8_t *agg_otlp_fixed32(uint8_t *p, unsigned field,
    uint32_t n);
static inline size_t agg_otlp_varint_size(uint64_t n);
static void agg_otlp_bytes(gw_out_block_t *out, unsigned field,
    const uint8_t *p, size_t len);
static void agg_otlp_string(gw_out_block_t *out, unsigned field,
    const uint8_t *p, size_t len);
static uint8_t *agg_otlp_ids(uint8_t *p, const agg_otlp_span_t *span);
static void agg_otlp_events(gw_out_block_t *out,
    const agg_otlp_span_t *span);
static void agg_otlp_attrs(gw_out_block_t *out, unsigned field,
    const agg_otlp_attr_t *attrs, unsigned n);
static inline uint8_t *agg_otlp_attr(uint8_t *p, unsigned field,
    const agg_otlp_attr_t *attr);
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
    size_t    start, inner, len;
    uint8_t  *p;

    if (json) {
        agg_otlp_json_span(out, span);
        return;
    }

    start = gw_out_block_used(out);

    if (agg_otlp_room(out, AGG_OTLP_SPAN_ROOM) != 0) {
        return;
    }

    out->out.last = agg_otlp_ids(out->out.last + AGG_OTLP_HEAD, span);

    if (span->state_len) {
        agg_otlp_bytes(out, 3, span->state, span->state_len);
    }

    agg_otlp_string(out, 5, span->name, span->name_len);

    agg_otlp_attrs(out, 9, span->attrs, span->nattrs);

    if (span->nevents) {
        agg_otlp_events(out, span);
    }

    if (span->link) {
        inner = agg_otlp_open(out);
        agg_otlp_bytes(out, 1, span->link->trace_id, 16);
        agg_otlp_bytes(out, 2, span->link->span_id, 8);

        if (agg_otlp_room(out, 8) == 0) {
            out->out.last = agg_otlp_fixed32(out->out.last, 6,
                                             span->link->flags
                                             | AGG_OTLP_HAS_REMOTE
                                             | AGG_OTLP_IS_REMOTE);
        }

        agg_otlp_close(out, inner, 13);
    }

    if (agg_otlp_room(out, 16) != 0) {
        return;
    }

    p = out->out.last;

    if (span->error) {

        /* a Status message of two bytes: code = ERROR */

        memcpy(p, "\x7a\x02\x18\x02", 4);
        p += 4;
    }

    /* the tag of field 16 has two bytes */

    out->out.last = agg_otlp_fixed32(p, 16, agg_otlp_flags(span));

    /* the length of nearly every span takes two bytes */

    p = out->start + start;
    len = (size_t) (out->out.last - p) - AGG_OTLP_HEAD;

    if (agg_otlp_varint_size(len) != AGG_OTLP_HEAD - 1) {

        if (agg_otlp_room(out, AGG_OTLP_ROOM) != 0) {
            return;
        }

        p = out->start + start;
        inner = 1 + agg_otlp_varint_size(len);
        memmove(p + inner, p + AGG_OTLP_HEAD, len);
        out->out.last = p + inner + len;
    }

    *p++ = agg_otlp_tag(2, AGG_OTLP_LEN);
    (void) agg_otlp_put_varint(p, len);
}


/* the fields that all spans have, except for the name */

static uint8_t *
agg_otlp_ids(uint8_t *p, const agg_otlp_span_t *span)
{
    *p++ = agg_otlp_tag(1, AGG_OTLP_LEN);
    *p++ = 16;
    memcpy(p, span->trace_id, 16);
    p += 16;

    *p++ = agg_otlp_tag(2, AGG_OTLP_LEN);
    *p++ = 8;
    memcpy(p, span->span_id, 8);
    p += 8;

    if (span->parent_id) {
        *p++ = agg_otlp_tag(4, AGG_OTLP_LEN);
        *p++ = 8;
        memcpy(p, span->parent_id, 8);
        p += 8;
    }

    *p++ = agg_otlp_tag(6, AGG_OTLP_VARINT);
    *p++ = (uint8_t) span->kind;

    *p++ = agg_otlp_tag(7, AGG_OTLP_FIXED64);
    p = agg_otlp_le64(p, span->start);

    *p++ = agg_otlp_tag(8, AGG_OTLP_FIXED64);

    return agg_otlp_le64(p, span->end);
}


static void
agg_otlp_events(gw_out_block_t *out, const agg_otlp_span_t *span)
{
    size_t                   inner;
    unsigned                 i;
    const agg_otlp_event_t  *event;

    for (i = 0; i < span->nevents; i++) {
        event = &span->events[i];

        inner = agg_otlp_open(out);

        if (agg_otlp_room(out, 9) == 0) {
            *out->out.last++ = agg_otlp_tag(1, AGG_OTLP_FIXED64);
            out->out.last = agg_otlp_le64(out->out.last, event->time);
        }

        agg_otlp_string(out, 2, (const uint8_t *) event->name,
                        strlen(event->name));

        agg_otlp_attrs(out, 3, event->attrs, event->nattrs);

        agg_otlp_close(out, inner, 11);
    }
}


static inline int
agg_otlp_room(gw_out_block_t *out, size_t n)
{
    if (!out->out.failed && (size_t) (out->out.end - out->out.last) >= n) {
        return 0;
    }

    return gw_out_room(&out->out, n);
}


static inline uint8_t *
agg_otlp_le64(uint8_t *p, uint64_t n)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap64(n);
#endif

    memcpy(p, &n, 8);

    return p + 8;
}


/*
 * A message is written with room for the longest head in front of it.  When its
 * length is known, the head is written and the message is moved down to it.
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


static inline uint8_t *
agg_otlp_fixed32(uint8_t *p, unsigned field, uint32_t n)
{
    p = agg_otlp_put_varint(p, agg_otlp_tag(field, AGG_OTLP_FIXED32));

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    n = __builtin_bswap32(n);
#endif

    memcpy(p, &n, 4);

    return p + 4;
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
agg_otlp_bytes(gw_out_block_t *out, unsigned field, const uint8_t *p,
    size_t len)
{
    if (agg_otlp_room(out, len + 20) != 0) {
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
    uint8_t  *end;
    unsigned  skip;

    if (len < 0x80 && agg_otlp_room(out, len + 20) == 0) {
        *out->out.last = (uint8_t) agg_otlp_tag(field, AGG_OTLP_LEN);
        out->out.last[1] = (uint8_t) len;
        end = agg_otlp_ascii_copy(out->out.last + 2, p, len);

        if (end) {
            out->out.last = end;
            return;
        }
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


/*
 * Nearly all attributes are numbers or short ASCII strings.  These are written
 * in one pass, with a length of one byte.
 */

static void
agg_otlp_attrs(gw_out_block_t *out, unsigned field,
    const agg_otlp_attr_t *attrs, unsigned n)
{
    uint8_t                *p;
    const agg_otlp_attr_t  *last;

    last = attrs + n;

    while (attrs < last) {

        if (agg_otlp_room(out, (size_t) (last - attrs) * AGG_OTLP_ATTR_ROOM)
            != 0)
        {
            return;
        }

        for ( /* void */ ; attrs < last; attrs++) {

            p = agg_otlp_attr(out->out.last, field, attrs);

            if (p == NULL) {
                agg_otlp_attr_any(out, field, attrs++);
                break;
            }

            out->out.last = p;
        }
    }
}


/* the first byte is the tag, which is set when the attribute is written */

int
agg_otlp_constant(agg_otlp_constant_t *constant, const agg_otlp_key_t *key,
    const char *value)
{
    size_t    len;
    uint8_t  *p;

    len = strlen(value);

    if (key->len + len + AGG_OTLP_CONSTANT_HEADS > AGG_OTLP_CONSTANT_TEXT) {
        return -1;
    }

    constant->len = (uint8_t) (key->len + len + AGG_OTLP_CONSTANT_HEADS);

    p = constant->text;

    *p++ = 0;
    *p++ = (uint8_t) (constant->len - 2);
    memcpy(p, key, 2 + (size_t) key->len);
    p += 2 + key->len;
    *p++ = agg_otlp_tag(2, AGG_OTLP_LEN);
    *p++ = (uint8_t) (2 + len);
    *p++ = agg_otlp_tag(1, AGG_OTLP_LEN);
    *p++ = (uint8_t) len;
    memcpy(p, value, len);

    return 0;
}


/* returns the end of the attribute; NULL: it needs the general function */

static inline uint8_t *
agg_otlp_attr(uint8_t *p, unsigned field, const agg_otlp_attr_t *attr)
{
    size_t    value, key, size;
    uint8_t  *q;

    if (attr->type == AGG_OTLP_CONSTANT) {
        memcpy(p, attr->data, AGG_OTLP_CONSTANT_TEXT);
        *p = (uint8_t) agg_otlp_tag(field, AGG_OTLP_LEN);

        return p + attr->len;
    }

    key = attr->known ? attr->known->len : attr->key_len;
    value = attr->type == AGG_OTLP_STRING ? attr->len : 9;

    if (key + value > AGG_OTLP_SHORT) {
        return NULL;
    }

    q = p + 2;

    if (attr->known) {

        /* copies a fixed size, which may be more than the key: there is room */

        memcpy(q, attr->known, sizeof(agg_otlp_key_t));

    } else {
        q[0] = agg_otlp_tag(1, AGG_OTLP_LEN);
        q[1] = (uint8_t) key;
        memcpy(q + 2, attr->key, key);
    }

    q += 2 + key;
    *q = agg_otlp_tag(2, AGG_OTLP_LEN);

    switch (attr->type) {

    case AGG_OTLP_STRING:
        q[2] = agg_otlp_tag(1, AGG_OTLP_LEN);
        q[3] = (uint8_t) value;
        size = 2 + value;

        if (agg_otlp_ascii_copy(q + 4, attr->data, value) == NULL) {
            return NULL;
        }

        break;

    case AGG_OTLP_BOOL:
        q[2] = agg_otlp_tag(2, AGG_OTLP_VARINT);
        q[3] = attr->number != 0;
        size = 2;
        break;

    default: /* AGG_OTLP_INT */
        q[2] = agg_otlp_tag(3, AGG_OTLP_VARINT);
        size = (size_t) (agg_otlp_put_varint(q + 3, (uint64_t) attr->number)
                         - (q + 2));
        break;
    }

    q[1] = (uint8_t) size;
    q += 2 + size;

    p[0] = (uint8_t) agg_otlp_tag(field, AGG_OTLP_LEN);
    p[1] = (uint8_t) (q - p - 2);

    return q;
}


/* returns the end of the copy; NULL: the text is not all ASCII */

static inline uint8_t *
agg_otlp_ascii_copy(uint8_t *p, const uint8_t *src, size_t len)
{
    size_t    i;
    uint32_t  half[2];
    uint64_t  n, all;

    all = 0;

    if (len < 4) {
        for (i = 0; i < len; i++) {
            p[i] = src[i];
            all |= src[i];
        }

    } else if (len < 8) {
        memcpy(&half[0], src, 4);
        memcpy(&half[1], src + len - 4, 4);
        memcpy(p, &half[0], 4);
        memcpy(p + len - 4, &half[1], 4);
        all = half[0] | half[1];

    } else {
        for (i = 0; i + 8 < len; i += 8) {
            memcpy(&n, src + i, 8);
            memcpy(p + i, &n, 8);
            all |= n;
        }

        /* copies the last eight bytes, some of them for the second time */

        memcpy(&n, src + len - 8, 8);
        memcpy(p + len - 8, &n, 8);
        all |= n;
    }

    return all & 0x8080808080808080ULL ? NULL : p + len;
}


/* an attribute with any key and any string */

static void
agg_otlp_attr_any(gw_out_block_t *out, unsigned field,
    const agg_otlp_attr_t *attr)
{
    size_t  start, value;

    start = agg_otlp_open(out);

    if (attr->known) {
        agg_otlp_bytes(out, 1, (const uint8_t *) attr->known->text,
                       attr->known->len);

    } else {
        agg_otlp_bytes(out, 1, attr->key, attr->key_len);
    }

    value = agg_otlp_open(out);

    if (attr->type == AGG_OTLP_STRING) {
        agg_otlp_string(out, 1, attr->data, attr->len);

    } else if (agg_otlp_room(out, 12) == 0) {
        *out->out.last++ = attr->type == AGG_OTLP_BOOL
                           ? agg_otlp_tag(2, AGG_OTLP_VARINT)
                           : agg_otlp_tag(3, AGG_OTLP_VARINT);
        out->out.last = agg_otlp_put_varint(out->out.last,
                                            attr->type == AGG_OTLP_BOOL
                                            ? attr->number != 0
                                            : (uint64_t) attr->number);
    }

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
    size_t          len;
    unsigned        i;
    const uint8_t  *key;

    gw_out_text(out, ",\"attributes\":[");

    for (i = 0; i < n; i++) {
        gw_out_text(out, i ? ",{\"key\":" : "{\"key\":");

        if (attrs[i].known) {
            key = (const uint8_t *) attrs[i].known->text;
            len = attrs[i].known->len;

        } else {
            key = attrs[i].key;
            len = attrs[i].key_len;
        }

        agg_otlp_json_string(out, key, len);

        switch (attrs[i].type) {

        case AGG_OTLP_STRING:
            gw_out_text(out, ",\"value\":{\"stringValue\":");
            agg_otlp_json_string(out, attrs[i].data, attrs[i].len);
            gw_out_text(out, "}}");
            break;

        case AGG_OTLP_CONSTANT:
            gw_out_text(out, ",\"value\":{\"stringValue\":");
            len += AGG_OTLP_CONSTANT_HEADS;
            agg_otlp_json_string(out, attrs[i].data + len,
                                 attrs[i].len - len);
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

    /*
     * the outer messages are written without closing them: their size is given
     */

    start = gw_out_block_used(out);
    inner = agg_otlp_open(out);

    agg_otlp_attrs(out, 1, resource, n);

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


/* reads a tag and its value: a number, or the length of the data after it */

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
