
/* The growing buffer, and JSON strings from any bytes. */


#include "agg_json.h"
#include "agg_block.h"
#include "gw_text.h"


#define AGG_BUF_MIN  512


static const u_char *agg_plain_end(const u_char *p, const u_char *end);
static unsigned agg_escape_one(u_char *dst, u_char c);


void
agg_buf_init(agg_buf_t *b, agg_mem_t *mem, size_t max)
{
    b->start = NULL;
    b->pos = NULL;
    b->end = NULL;
    b->max = max;
    b->mem = mem;
}


agg_rc_e
agg_buf_reserve(agg_buf_t *b, size_t n)
{
    size_t   used, size;
    u_char  *p;

    if ((size_t) (b->end - b->pos) >= n) {
        return AGG_OK;
    }

    used = agg_buf_used(b);

    if (used > b->max || n > b->max - used) {
        return AGG_TOO_LARGE;
    }

    size = (size_t) (b->end - b->start);
    size = (size > b->max / 2) ? b->max : size * 2;

    if (size < used + n) {
        size = used + n;
    }

    if (size < AGG_BUF_MIN) {
        size = (b->max < AGG_BUF_MIN) ? b->max : AGG_BUF_MIN;
    }

    p = b->mem->grow(b->mem->ctx, b->start, used, size);
    if (p == NULL) {
        return AGG_NOMEM;
    }

    b->start = p;
    b->pos = p + used;
    b->end = p + size;

    return AGG_OK;
}


int
agg_utf8_valid(const u_char *p, size_t len)
{
    int            valid;
    const u_char  *end;

    if (len == 0) {
        return 1;
    }

    end = p + len;

    while (p < end) {

        if (*p < 0x80) {
            p++;
            continue;
        }

        p += gw_utf8_length(p, end, &valid);

        if (!valid) {
            return 0;
        }
    }

    return 1;
}


size_t
agg_json_escaped_length(const u_char *data, size_t len)
{
    int            valid;
    size_t         n;
    u_char         dst[6];
    unsigned       size;
    const u_char  *p, *end, *plain;

    n = 2;
    p = data;
    end = data + len;

    for ( ;; ) {
        plain = agg_plain_end(p, end);
        n += (size_t) (plain - p);
        p = plain;

        if (p == end) {
            return n;
        }

        if (*p < 0x80) {
            n += agg_escape_one(dst, *p);
            p++;
            continue;
        }

        size = gw_utf8_length(p, end, &valid);
        n += valid ? size : 3;
        p += size;
    }
}


agg_rc_e
agg_json_escape(agg_buf_t *b, const u_char *data, size_t len)
{
    int            valid;
    u_char        *d;
    agg_rc_e       rc;
    unsigned       size;
    const u_char  *p, *end, *plain;

    rc = agg_buf_reserve(b, agg_json_escaped_length(data, len));
    if (rc != AGG_OK) {
        return rc;
    }

    p = data;
    end = data + len;

    d = b->pos;
    *d++ = '"';

    for ( ;; ) {
        plain = agg_plain_end(p, end);

        if (plain != p) {
            memcpy(d, p, (size_t) (plain - p));
            d += plain - p;
            p = plain;
        }

        if (p == end) {
            break;
        }

        if (*p < 0x80) {
            d += agg_escape_one(d, *p);
            p++;
            continue;
        }

        size = gw_utf8_length(p, end, &valid);

        if (valid) {
            memcpy(d, p, size);
            d += size;

        } else {
            *d++ = 0xef;
            *d++ = 0xbf;
            *d++ = 0xbd;
        }

        p += size;
    }

    *d++ = '"';
    b->pos = d;

    return AGG_OK;
}


/* the position of the first byte that may have to be escaped */

static const u_char *
agg_plain_end(const u_char *p, const u_char *end)
{
    unsigned  mask;

    while ((size_t) (end - p) >= AGG_BLOCK) {
        mask = agg_block_special(p);

        if (mask != 0) {
            return p + agg_first(mask);
        }

        p += AGG_BLOCK;
    }

    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


static unsigned
agg_escape_one(u_char *dst, u_char c)
{
    static const char  hex[] = "0123456789abcdef";

    dst[0] = '\\';

    switch (c) {

    case '"':
    case '\\':
        dst[1] = c;
        return 2;

    case '\b':
        dst[1] = 'b';
        return 2;

    case '\f':
        dst[1] = 'f';
        return 2;

    case '\n':
        dst[1] = 'n';
        return 2;

    case '\r':
        dst[1] = 'r';
        return 2;

    case '\t':
        dst[1] = 't';
        return 2;

    default:
        dst[1] = 'u';
        dst[2] = '0';
        dst[3] = '0';
        dst[4] = (u_char) hex[c >> 4];
        dst[5] = (u_char) hex[c & 0xf];
        return 6;
    }
}
