
/*
 * Field lines of a header, in blocks of sixteen bytes, and the names that come
 * with each response of a backend, which are lowered and hashed once.
 *
 * Cost:     some 40 instructions for a line, 30 for a name that is known.
 * Source:   ngx_http_parse_header_line(), whose results these are.
 */


#include "agg_header_line.h"
#include "agg_block.h"


static agg_header_name_t *agg_header_name(agg_header_names_t *names,
    const u_char *text, size_t len);
static const u_char *agg_header_find(const u_char *p, const u_char *end);


#define AGG_HEADER_BLOCK(c)                                                  \
    { c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c }


static const u_char  agg_header_colon[AGG_BLOCK] = AGG_HEADER_BLOCK(':');
static const u_char  agg_header_cr[AGG_BLOCK] = AGG_HEADER_BLOCK('\r');
static const u_char  agg_header_lf[AGG_BLOCK] = AGG_HEADER_BLOCK('\n');
static const u_char  agg_header_nul[AGG_BLOCK] = AGG_HEADER_BLOCK('\0');


int
agg_header_line(agg_header_line_t *line, agg_header_names_t *names, u_char *p,
    const u_char *end)
{
    u_char        *start;
    size_t         len;
    unsigned       mask;
    const u_char  *last;

    if ((size_t) (end - p) < 2 * AGG_BLOCK || *p == '\r') {
        return 0;
    }

    mask = agg_block_equal(p, agg_header_colon);

    if (mask == 0) {
        mask = agg_block_equal(p + AGG_BLOCK, agg_header_colon) << AGG_BLOCK;

        if (mask == 0) {
            return 0;
        }
    }

    len = (size_t) agg_first(mask);

    line->name = agg_header_name(names, p, len);

    if (line->name == NULL) {
        return 0;
    }

    start = p + len + 1;

    while (start < end && *start == ' ') {
        start++;
    }

    last = agg_header_find(start, end);

    if (last == NULL || end - last < 2 || last[0] != '\r' || last[1] != '\n') {
        return 0;
    }

    line->next = start + (last - start) + 2;

    while (last > start && last[-1] == ' ') {
        last--;
    }

    line->value.data = start;
    line->value.len = (size_t) (last - start);

    return 1;
}


/*
 * The name's entry; NULL: it is not one of letters, digits and "-".  Two blocks
 * are readable.
 */

static agg_header_name_t *
agg_header_name(agg_header_names_t *names, const u_char *text, size_t len)
{
    u_char              c;
    size_t              i;
    uint64_t            hash;
    unsigned            same;
    agg_header_name_t  *n;

    if (len == 0 || len >= AGG_HEADER_NAME) {
        return NULL;
    }

    i = len + 4u * text[0] + 16u * text[len - 1];
    n = &names->names[i % AGG_HEADER_NAMES];

    if (n->len == len) {
        same = agg_block_equal(n->text, text)
               | agg_block_equal(n->text + AGG_BLOCK, text + AGG_BLOCK)
                 << AGG_BLOCK;

        if ((~same & ((1u << len) - 1)) == 0) {
            return n;
        }
    }

    n->len = 0;
    hash = 0;

    for (i = 0; i < len; i++) {
        c = text[i];
        n->text[i] = c;

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;

        } else if ((c < 'a' || c > 'z') && !agg_is_digit(c) && c != '-') {
            return NULL;
        }

        n->lowcase[i] = c;
        hash = hash * 31 + c;
    }

    n->len = len;
    n->hash = hash;
    n->complete = 0;

    return n;
}


/* the first byte that a value cannot be parsed past; NULL: it is not known */

static const u_char *
agg_header_find(const u_char *p, const u_char *end)
{
    unsigned  mask;

    while ((size_t) (end - p) >= AGG_BLOCK) {

        mask = agg_block_equal(p, agg_header_cr)
               | agg_block_equal(p, agg_header_lf)
               | agg_block_equal(p, agg_header_nul);

        if (mask != 0) {
            return p + agg_first(mask);
        }

        p += AGG_BLOCK;
    }

    return NULL;
}
