
/* The printer of values: scalars, strings, bytes. */


#include "agg_block.h"
#include "agg_pb_print.h"
#include "gw_text.h"


static unsigned agg_pb_print_tail(u_char *dst, const u_char *p, size_t n);
static agg_rc_e agg_pb_print_special(agg_pb_printer_t *w, const u_char **pos,
    const u_char *end, int strict, u_char **dst);
static u_char *agg_pb_print_escape(u_char *p, u_char c);


const u_char *
agg_pb_read_scalar(const agg_pb_field_t *f, const u_char *p,
    const u_char *end, uint64_t *bits)
{
    switch (f->wire) {

    case AGG_PB_VARINT:
        p = agg_pb_varint(p, end, bits);

        if (p == NULL) {
            return NULL;
        }

        switch (f->type) {

        case AGG_PB_INT32:
        case AGG_PB_ENUM:
            *bits = (uint64_t) (int64_t) (int32_t) (uint32_t) *bits;
            break;

        case AGG_PB_UINT32:
            *bits = (uint32_t) *bits;
            break;

        case AGG_PB_BOOL:
            *bits = *bits != 0;
            break;

        case AGG_PB_SINT32:
            *bits = (uint32_t) *bits;
            /* fall through */

        case AGG_PB_SINT64:
            *bits = (uint64_t) agg_pb_unzigzag(*bits);
        }

        return p;

    case AGG_PB_FIXED32:

        if (end - p < 4) {
            return NULL;
        }

        *bits = agg_pb_get32(p);

        if (f->type == AGG_PB_SFIXED32) {
            *bits = (uint64_t) (int64_t) (int32_t) (uint32_t) *bits;
        }

        return p + 4;

    default: /* AGG_PB_FIXED64 */

        if (end - p < 8) {
            return NULL;
        }

        *bits = agg_pb_get64(p);

        return p + 8;
    }
}


agg_rc_e
agg_pb_print_scalar(agg_pb_printer_t *w, const agg_pb_field_t *f,
    uint64_t bits)
{
    float                       single;
    double                      number;
    u_char                     *p;
    uint32_t                    half;
    agg_rc_e                    rc;
    const agg_pb_enum_value_t  *value;

    rc = agg_pb_room(w, AGG_PB_NUMBER + 2);
    if (rc != AGG_OK) {
        return rc;
    }

    p = w->out->pos;

    switch (f->type) {

    case AGG_PB_INT32:
    case AGG_PB_SINT32:
    case AGG_PB_SFIXED32:
        p = gw_write_int(p, (int64_t) bits);
        break;

    case AGG_PB_UINT32:
    case AGG_PB_FIXED32_TYPE:
        p = gw_write_uint(p, bits);
        break;

    case AGG_PB_INT64:
    case AGG_PB_SINT64:
    case AGG_PB_SFIXED64:
        *p++ = '"';
        p = gw_write_int(p, (int64_t) bits);
        *p++ = '"';
        break;

    case AGG_PB_UINT64:
    case AGG_PB_FIXED64_TYPE:
        *p++ = '"';
        p = gw_write_uint(p, bits);
        *p++ = '"';
        break;

    case AGG_PB_BOOL:
        return bits ? agg_pb_print_text(w, "true")
                    : agg_pb_print_text(w, "false");

    case AGG_PB_ENUM:

        if (f->enumeration->null_value) {
            return agg_pb_print_text(w, "null");
        }

        value = NULL;

        if (!w->print->enums_as_ints) {
            value = agg_pb_enum_by_number(f->enumeration, (int32_t) bits);
        }

        if (value != NULL) {
            return agg_pb_print_string(w, value->name.data,
                                       value->name.data + value->name.len, 0);
        }

        p = gw_write_int(p, (int64_t) bits);
        break;

    default: /* AGG_PB_FLOAT, AGG_PB_DOUBLE */

        if (f->type == AGG_PB_FLOAT) {
            half = (uint32_t) bits;
            memcpy(&single, &half, sizeof(float));
            number = (double) single;

        } else {
            single = 0;
            memcpy(&number, &bits, sizeof(double));
        }

        if (number != number) {
            return agg_pb_print_text(w, "\"NaN\"");
        }

        if (number - number != 0) {
            return (number < 0) ? agg_pb_print_text(w, "\"-Infinity\"")
                                : agg_pb_print_text(w, "\"Infinity\"");
        }

        p = (f->type == AGG_PB_FLOAT) ? agg_pb_print_float(p, single)
                                      : agg_pb_print_double(p, number);
    }

    w->out->pos = p;

    return AGG_OK;
}


agg_rc_e
agg_pb_print_default(agg_pb_printer_t *w, const agg_pb_field_t *f)
{
    uint64_t  bits;

    if (f->map) {
        return agg_pb_print_text(w, "{}");
    }

    if (f->repeated) {
        return agg_pb_print_text(w, "[]");
    }

    if (f->message != NULL) {
        return agg_pb_print_text(w, "null");
    }

    if (f->wire == AGG_PB_LEN) {
        return agg_pb_print_text(w, "\"\"");
    }

    bits = 0;

    if (f->type == AGG_PB_ENUM) {
        bits = (uint64_t) (int64_t) f->enumeration->values[0].number;
    }

    return agg_pb_print_scalar(w, f, bits);
}


agg_rc_e
agg_pb_print_raw(agg_pb_printer_t *w, const char *text, size_t len)
{
    agg_rc_e  rc;

    rc = agg_pb_room(w, len);

    if (rc == AGG_OK) {
        memcpy(w->out->pos, text, len);
        w->out->pos += len;
    }

    return rc;
}


agg_rc_e
agg_pb_print_bytes(agg_pb_printer_t *w, const agg_pb_field_t *f,
    const u_char *p, const u_char *end)
{
    if (f->type == AGG_PB_BYTES) {
        return agg_pb_print_base64(w, p, end);
    }

    return agg_pb_print_string(w, p, end, f->utf8);
}


/*
 * With "strict", invalid UTF-8 is an error, otherwise it becomes U+FFFD.  There
 * is always room for the rest of the input, a block, and the longest escape.
 */

agg_rc_e
agg_pb_print_string(agg_pb_printer_t *w, const u_char *p, const u_char *end,
    int strict)
{
    u_char    *dst;
    size_t     n;
    agg_rc_e   rc;
    unsigned   mask;

    rc = agg_pb_room(w, (size_t) (end - p) + AGG_BLOCK + 8);

    if (rc == AGG_TOO_LARGE) {

        /* may still fit without the extra room for fast copies */

        if ((size_t) (end - p) + 2 > w->out->max - agg_buf_used(w->out)) {
            return rc;
        }

        return strict && !agg_utf8_valid(p, (size_t) (end - p))
               ? agg_pb_fault(w, AGG_PB_BAD_UTF8)
               : agg_json_escape(w->out, p, (size_t) (end - p));
    }

    if (rc != AGG_OK) {
        return rc;
    }

    dst = w->out->pos;
    *dst++ = '"';

    while (p < end) {
        n = (size_t) (end - p);

        if (n >= AGG_BLOCK) {
            memcpy(dst, p, AGG_BLOCK);
            mask = agg_block_special(p);

            if (mask == 0) {
                p += AGG_BLOCK;
                dst += AGG_BLOCK;
                continue;
            }

        } else {

            /* the input usually continues after the string */

            if (p >= w->base && p < w->limit && w->limit - p >= AGG_BLOCK) {
                memcpy(dst, p, AGG_BLOCK);
                mask = agg_block_special(p) & ((1u << n) - 1);

            } else {
                mask = agg_pb_print_tail(dst, p, n);
            }

            if (mask == 0) {
                dst += n;
                break;
            }
        }

        n = (size_t) agg_first(mask);
        p += n;
        dst += n;

        rc = agg_pb_print_special(w, &p, end, strict, &dst);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    *dst++ = '"';
    w->out->pos = dst;

    return AGG_OK;
}


/* less than a block: it is copied, and classified like a full one */

static unsigned
agg_pb_print_tail(u_char *dst, const u_char *p, size_t n)
{
    u_char  tail[AGG_BLOCK] = { 0 };

    memcpy(tail, p, n);
    memcpy(dst, tail, AGG_BLOCK);

    return agg_block_special(tail) & ((1u << n) - 1);
}


/* a character other than plain ASCII */

static agg_rc_e
agg_pb_print_special(agg_pb_printer_t *w, const u_char **pos,
    const u_char *end, int strict, u_char **dst)
{
    int            valid;
    size_t         n;
    agg_rc_e       rc;
    const u_char  *p;

    p = *pos;

    if (*p < 0x80) {
        *dst = agg_pb_print_escape(*dst, *p++);

    } else {
        n = gw_utf8_length(p, end, &valid);

        if (valid) {
            memcpy(*dst, p, n);
            *dst += n;

        } else if (strict) {
            return agg_pb_fault(w, AGG_PB_BAD_UTF8);

        } else {
            memcpy(*dst, "\xef\xbf\xbd", 3);
            *dst += 3;
        }

        p += n;
    }

    *pos = p;
    w->out->pos = *dst;

    rc = agg_pb_room(w, (size_t) (end - p) + AGG_BLOCK + 8);
    *dst = w->out->pos;

    return rc;
}


static u_char *
agg_pb_print_escape(u_char *p, u_char c)
{
    static const u_char  hex[] = "0123456789abcdef";

    *p++ = '\\';

    switch (c) {

    case '"':
    case '\\':
        *p++ = c;
        break;

    case '\b':
        *p++ = 'b';
        break;

    case '\f':
        *p++ = 'f';
        break;

    case '\n':
        *p++ = 'n';
        break;

    case '\r':
        *p++ = 'r';
        break;

    case '\t':
        *p++ = 't';
        break;

    default:
        *p++ = 'u';
        *p++ = '0';
        *p++ = '0';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 0xf];
    }

    return p;
}


agg_rc_e
agg_pb_print_base64(agg_pb_printer_t *w, const u_char *p, const u_char *end)
{
    u_char    *dst;
    agg_rc_e   rc;
    uint32_t   n;

    static const u_char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    rc = agg_pb_room(w, ((size_t) (end - p) + 2) / 3 * 4 + 2);
    if (rc != AGG_OK) {
        return rc;
    }

    dst = w->out->pos;
    *dst++ = '"';

    for ( /* void */ ; end - p >= 3; p += 3) {
        n = (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2];

        *dst++ = alphabet[n >> 18];
        *dst++ = alphabet[n >> 12 & 0x3f];
        *dst++ = alphabet[n >> 6 & 0x3f];
        *dst++ = alphabet[n & 0x3f];
    }

    if (p < end) {
        n = (uint32_t) p[0] << 16 | (end - p == 2 ? (uint32_t) p[1] << 8 : 0);

        *dst++ = alphabet[n >> 18];
        *dst++ = alphabet[n >> 12 & 0x3f];
        *dst++ = (end - p == 2) ? alphabet[n >> 6 & 0x3f] : '=';
        *dst++ = '=';
    }

    *dst++ = '"';
    w->out->pos = dst;

    return AGG_OK;
}
