
/*
 * Access to documents that the scanner has validated: kinds, members, names.
 * Nothing is checked again.  For an invalid document the results are
 * meaningless, but nothing is read outside of it.
 */


#include "agg_json.h"
#include "agg_block.h"


static const u_char *agg_skip_spaces(const u_char *p, const u_char *end);
static const u_char *agg_skip_string(const u_char *p, const u_char *end);
static const u_char *agg_skip_container(const u_char *p, const u_char *end);
static unsigned agg_decode(const u_char **pos, const u_char *end,
    u_char *dst);
static uint32_t agg_decode_unit(const u_char *p);


/* whether a complete \u escape is at p */

#define agg_is_unit(p, end)                                                  \
    ((end) - (p) >= 6 && (p)[0] == '\\' && (p)[1] == 'u')


agg_kind_e
agg_json_kind(const agg_str_t *value)
{
    if (value->len == 0) {
        return AGG_NONE;
    }

    switch (value->data[0]) {

    case '{':
        return AGG_OBJECT;

    case '[':
        return AGG_ARRAY;

    case '"':
        return AGG_STRING;

    case 't':
        return AGG_TRUE;

    case 'f':
        return AGG_FALSE;

    case 'n':
        return AGG_NULL;

    default:
        return (value->data[0] == '-' || agg_is_digit(value->data[0]))
               ? AGG_NUMBER : AGG_NONE;
    }
}


void
agg_json_trim(agg_str_t *v)
{
    while (v->len != 0 && agg_is_space(v->data[v->len - 1])) {
        v->len--;
    }

    while (v->len != 0 && agg_is_space(v->data[0])) {
        v->data++;
        v->len--;
    }
}


void
agg_iter_init(agg_iter_t *it, const agg_str_t *value)
{
    agg_str_t  v;

    v = *value;
    agg_json_trim(&v);

    it->kind = agg_json_kind(&v);
    it->pos = v.data;
    it->end = v.data;
    it->name.len = 0;
    it->name.data = v.data;

    if (it->kind == AGG_OBJECT || it->kind == AGG_ARRAY) {
        it->pos = v.data + 1;
        it->end = v.data + v.len;
    }
}


int
agg_iter_next(agg_iter_t *it)
{
    const u_char  *p, *end;

    end = it->end;
    p = agg_skip_spaces(it->pos, end);

    if (p < end && *p == ',') {
        p = agg_skip_spaces(p + 1, end);
    }

    if (p == end || *p == '}' || *p == ']') {
        it->pos = it->end;
        return 0;
    }

    if (it->kind == AGG_OBJECT) {

        if (*p != '"') {
            it->pos = it->end;
            return 0;
        }

        it->name.data = (u_char *) p + 1;
        p = agg_skip_string(p + 1, end);
        it->name.len = (size_t) (p - it->name.data);

        if (p == end) {
            it->pos = it->end;
            return 0;
        }

        p = agg_skip_spaces(p + 1, end);

        if (p < end && *p == ':') {
            p = agg_skip_spaces(p + 1, end);
        }
    }

    it->value.data = (u_char *) p;
    p = agg_json_skip(p, end);
    it->value.len = (size_t) (p - it->value.data);

    it->pos = (u_char *) p;

    return 1;
}


static const u_char *
agg_skip_spaces(const u_char *p, const u_char *end)
{
    unsigned  mask;

    while (p < end && agg_is_space(*p)) {

        if ((size_t) (end - p) < AGG_BLOCK) {
            p++;
            continue;
        }

        mask = agg_block_not_space(p);
        p += (mask == 0) ? AGG_BLOCK : agg_first(mask);
    }

    return p;
}


/* the position of the closing quote, or the end */

static const u_char *
agg_skip_string(const u_char *p, const u_char *end)
{
    unsigned  mask;

    while (p < end) {

        if ((size_t) (end - p) >= AGG_BLOCK) {
            mask = agg_block_quote(p);

            if (mask == 0) {
                p += AGG_BLOCK;
                continue;
            }

            p += agg_first(mask);
        }

        if (*p == '"') {
            return p;
        }

        if (*p == '\\' && p + 1 < end) {
            p++;
        }

        p++;
    }

    return end;
}


const u_char *
agg_json_skip(const u_char *p, const u_char *end)
{
    if (p == end) {
        return end;
    }

    if (*p == '{' || *p == '[') {
        return agg_skip_container(p, end);
    }

    if (*p == '"') {
        p = agg_skip_string(p + 1, end);
        return (p == end) ? end : p + 1;
    }

    /* skips at least one byte, so that a loop over invalid input terminates */

    do {
        p++;

    } while (p < end && *p != ',' && *p != '}' && *p != ']'
             && !agg_is_space(*p));

    return p;
}


static const u_char *
agg_skip_container(const u_char *p, const u_char *end)
{
    size_t    depth;
    u_char    c;
    unsigned  mask;

    depth = 0;

    while (p < end) {

        if ((size_t) (end - p) >= AGG_BLOCK) {
            mask = agg_block_bracket(p);

            if (mask == 0) {
                p += AGG_BLOCK;
                continue;
            }

            p += agg_first(mask);
        }

        c = *p++;

        if (c == '"') {
            p = agg_skip_string(p, end);

            if (p < end) {
                p++;
            }

        } else if (c == '{' || c == '[') {
            depth++;

        } else if (c == '}' || c == ']') {
            if (--depth == 0) {
                return p;
            }
        }
    }

    return end;
}


int
agg_json_name_equal(const agg_str_t *raw, const agg_str_t *decoded)
{
    u_char         c[4];
    size_t         left;
    unsigned       n;
    const u_char  *p, *end, *d;

    if (raw->len == decoded->len) {
        return memcmp(raw->data, decoded->data, raw->len) == 0
               && memchr(raw->data, '\\', raw->len) == NULL;
    }

    if (raw->len < decoded->len) {
        return 0;
    }

    p = raw->data;
    end = raw->data + raw->len;
    d = decoded->data;
    left = decoded->len;

    while (p < end) {
        n = agg_decode(&p, end, c);

        if (n > left || memcmp(c, d, n) != 0) {
            return 0;
        }

        d += n;
        left -= n;
    }

    return left == 0;
}


int
agg_json_names_equal(const agg_str_t *raw1, const agg_str_t *raw2)
{
    u_char         c1[4], c2[4];
    unsigned       n1, n2, i1, i2;
    const u_char  *p1, *p2, *end1, *end2;

    if (raw1->len == raw2->len
        && memcmp(raw1->data, raw2->data, raw1->len) == 0)
    {
        return 1;
    }

    p1 = raw1->data;
    p2 = raw2->data;
    end1 = p1 + raw1->len;
    end2 = p2 + raw2->len;

    n1 = i1 = 0;
    n2 = i2 = 0;

    for ( ;; ) {

        if (i1 == n1 && p1 < end1) {
            n1 = agg_decode(&p1, end1, c1);
            i1 = 0;
        }

        if (i2 == n2 && p2 < end2) {
            n2 = agg_decode(&p2, end2, c2);
            i2 = 0;
        }

        if (i1 == n1 || i2 == n2) {
            return i1 == n1 && i2 == n2;
        }

        if (c1[i1++] != c2[i2++]) {
            return 0;
        }
    }
}


uint32_t
agg_json_name_hash(const agg_str_t *raw, uint32_t seed)
{
    u_char         c[4];
    unsigned       n, i;
    const u_char  *p, *end;

    p = raw->data;
    end = raw->data + raw->len;

    while (p < end) {
        n = agg_decode(&p, end, c);

        for (i = 0; i < n; i++) {
            seed = (seed ^ c[i]) * 0x01000193;
        }
    }

    return seed;
}


size_t
agg_json_unescape_any(u_char *dst, const agg_str_t *raw)
{
    size_t         n;
    u_char        *d;
    const u_char  *p, *end, *slash;

    d = dst;
    p = raw->data;
    end = raw->data + raw->len;

    while (p < end) {
        slash = memchr(p, '\\', (size_t) (end - p));

        n = (size_t) (((slash != NULL) ? slash : end) - p);
        memmove(d, p, n);
        d += n;
        p += n;

        while (p < end && *p == '\\') {
            d += agg_decode(&p, end, d);
        }
    }

    return (size_t) (d - dst);
}


ssize_t
agg_json_unescape(u_char *dst, const agg_str_t *raw)
{
    uint32_t       unit;
    const u_char  *p, *end;

    p = raw->data;
    end = raw->data + raw->len;

    for ( ;; ) {
        p = (p < end) ? memchr(p, '\\', (size_t) (end - p)) : NULL;
        if (p == NULL) {
            break;
        }

        if (!agg_is_unit(p, end)) {
            p += 2;
            continue;
        }

        unit = agg_decode_unit(p);
        p += 6;

        if ((unit & 0xf800) != 0xd800) {
            continue;
        }

        if (unit > 0xdbff || !agg_is_unit(p, end)
            || (agg_decode_unit(p) & 0xfc00) != 0xdc00)
        {
            return -1;
        }

        p += 6;
    }

    return (ssize_t) agg_json_unescape_any(dst, raw);
}


/*
 * Decodes a character of a string to UTF-8, or a lone surrogate to three bytes;
 * other bytes are copied one at a time.
 */

static unsigned
agg_decode(const u_char **pos, const u_char *end, u_char *dst)
{
    uint32_t       c, low;
    const u_char  *p;

    p = *pos;

    if (*p != '\\' || end - p < 2) {
        *dst = *p;
        *pos = p + 1;
        return 1;
    }

    if (!agg_is_unit(p, end)) {

        switch (p[1]) {

        case 'b':
            *dst = '\b';
            break;

        case 'f':
            *dst = '\f';
            break;

        case 'n':
            *dst = '\n';
            break;

        case 'r':
            *dst = '\r';
            break;

        case 't':
            *dst = '\t';
            break;

        default:
            *dst = p[1];
        }

        *pos = p + 2;
        return 1;
    }

    c = agg_decode_unit(p);
    p += 6;

    if ((c & 0xfc00) == 0xd800 && agg_is_unit(p, end)) {
        low = agg_decode_unit(p);

        if ((low & 0xfc00) == 0xdc00) {
            c = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
            p += 6;
        }
    }

    *pos = p;

    if (c < 0x80) {
        dst[0] = (u_char) c;
        return 1;
    }

    if (c < 0x800) {
        dst[0] = (u_char) (0xc0 | c >> 6);
        dst[1] = (u_char) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        dst[0] = (u_char) (0xe0 | c >> 12);
        dst[1] = (u_char) (0x80 | (c >> 6 & 0x3f));
        dst[2] = (u_char) (0x80 | (c & 0x3f));
        return 3;
    }

    dst[0] = (u_char) (0xf0 | c >> 18);
    dst[1] = (u_char) (0x80 | (c >> 12 & 0x3f));
    dst[2] = (u_char) (0x80 | (c >> 6 & 0x3f));
    dst[3] = (u_char) (0x80 | (c & 0x3f));

    return 4;
}


/* \uXXXX */

static uint32_t
agg_decode_unit(const u_char *p)
{
    uint32_t  unit;
    unsigned  i;

    unit = 0;

    for (i = 2; i < 6; i++) {
        unit = unit << 4 | (agg_is_digit(p[i]) ? p[i] & 0xf : (p[i] & 0xf) + 9);
    }

    return unit;
}
