
/*
 * Field lines of a header, in blocks of sixteen bytes, and the names that come
 * with each response of a backend, which are lowered and hashed once.  A
 * backend sends its lines in the same order each time, and most of them with
 * the same values: a line is compared first with the one that came after the
 * same name the last time.
 *
 * Cost:     some 50 instructions for a line that has been seen, 100 for one
 *           whose value is new.
 * Source:   ngx_http_parse_header_line(), whose results these are.
 */


#include "agg_header_line.h"
#include "agg_block.h"


/* places where a name may be */

#define AGG_HEADER_PROBES  4


static inline int agg_header_again(agg_header_line_t *line,
    agg_header_name_t *name, u_char *p, const u_char *end);
static agg_header_name_t *agg_header_parse(agg_header_line_t *line,
    agg_header_names_t *names, agg_header_name_t *name, u_char *p,
    const u_char *end);
static void agg_header_keep(agg_header_line_t *line, const u_char *p,
    const u_char *end);
static inline int agg_header_same(const agg_header_name_t *name,
    const u_char *p);
static inline int agg_header_is(const agg_header_name_t *name,
    const u_char *text, size_t len);
static agg_header_name_t *agg_header_find(agg_header_names_t *names,
    const u_char *p);
static agg_header_name_t *agg_header_place(agg_header_names_t *names,
    const u_char *text, size_t len);
static int agg_header_name(agg_header_name_t *name, const u_char *text,
    size_t len);
static inline const u_char *agg_header_end(const u_char *p,
    const u_char *end);
static inline unsigned agg_header_block(const u_char *p);


#define AGG_HEADER_BLOCK(c)                                                  \
    { c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c }


static const u_char  agg_header_colon[AGG_BLOCK] = AGG_HEADER_BLOCK(':');


size_t
agg_header_lines(agg_header_line_t *lines, size_t n,
    agg_header_names_t *names, u_char *p, const u_char *end)
{
    size_t              i;
    agg_header_name_t  *name, *before;

    before = names->last;

    for (i = 0; i < n; i++) {
        name = before->next;

        if (!agg_header_again(&lines[i], name, p, end)) {
            name = agg_header_parse(&lines[i], names, name, p, end);

            if (name == NULL) {
                break;
            }

            if (name == &names->other) {
                i++;
                break;
            }

            before->next = name;
        }

        before = name;
        p = lines[i].next;
    }

    names->last = before;

    return i;
}


/* the line is the last one of that name */

static inline int
agg_header_again(agg_header_line_t *line, agg_header_name_t *name, u_char *p,
    const u_char *end)
{
    if (name == NULL || end - p < AGG_HEADER_LINE
        || !agg_header_same(name, p))
    {
        return 0;
    }

    line->name = name;
    line->value.data = p + name->value_at;
    line->value.len = name->value_len;
    line->next = p + name->size;

    return 1;
}


/* expects the given name, if that is not NULL */

static agg_header_name_t *
agg_header_parse(agg_header_line_t *line, agg_header_names_t *names,
    agg_header_name_t *name, u_char *p, const u_char *end)
{
    u_char        *start;
    const u_char  *last;

    if (end - p < 2 * AGG_BLOCK || *p == '\r') {
        return NULL;
    }

    if (name == NULL || p[name->len] != ':'
        || !agg_header_is(name, p, name->len))
    {
        name = agg_header_find(names, p);

        if (name == NULL) {
            return NULL;
        }
    }

    start = p + name->len + 1;

    while (start < end && *start == ' ') {
        start++;
    }

    last = agg_header_end(start, end);

    if (last == NULL) {
        return NULL;
    }

    line->next = start + (last - start) + 2;

    while (last > start && last[-1] == ' ') {
        last--;
    }

    line->name = name;
    line->value.data = start;
    line->value.len = (size_t) (last - start);

    agg_header_keep(line, p, end);

    return name;
}


/* for the next line of that name, unless this one is too long */

static void
agg_header_keep(agg_header_line_t *line, const u_char *p, const u_char *end)
{
    size_t              size;
    agg_header_name_t  *name;

    name = line->name;
    size = (size_t) (line->next - p);

    if (size > AGG_HEADER_LINE || end - p < AGG_HEADER_LINE) {
        return;
    }

    name->noted = 0;

    memcpy(name->line, p, AGG_HEADER_LINE);

    name->mask = (1ULL << size) - 1;
    name->size = (unsigned) size;
    name->value_at = (unsigned) (line->value.data - p);
    name->value_len = (unsigned) line->value.len;
}


/* three blocks are readable */

static inline int
agg_header_same(const agg_header_name_t *name, const u_char *p)
{
    uint64_t  same;

    same = agg_block_equal(name->line, p)
           | (uint64_t) agg_block_equal(name->line + AGG_BLOCK, p + AGG_BLOCK)
             << AGG_BLOCK
           | (uint64_t) agg_block_equal(name->line + 2 * AGG_BLOCK,
                                        p + 2 * AGG_BLOCK)
             << 2 * AGG_BLOCK;

    return (~same & name->mask) == 0;
}


/* a block, or two if the name has more than one, are readable */

static inline int
agg_header_is(const agg_header_name_t *name, const u_char *text, size_t len)
{
    unsigned  same;

    same = agg_block_equal(name->text, text);

    if (len > AGG_BLOCK) {
        same |= agg_block_equal(name->text + AGG_BLOCK, text + AGG_BLOCK)
                << AGG_BLOCK;
    }

    return (~same & ((1u << len) - 1)) == 0;
}


/* the name at p; NULL: it is too long, or not of letters, digits and "-" */

static agg_header_name_t *
agg_header_find(agg_header_names_t *names, const u_char *p)
{
    size_t    len;
    unsigned  mask;

    mask = agg_block_equal(p, agg_header_colon)
           | agg_block_equal(p + AGG_BLOCK, agg_header_colon) << AGG_BLOCK;

    if (mask == 0) {
        return NULL;
    }

    len = (size_t) agg_first(mask);

    return (len == 0) ? NULL : agg_header_place(names, p, len);
}


static agg_header_name_t *
agg_header_place(agg_header_names_t *names, const u_char *text, size_t len)
{
    size_t              i, n;
    agg_header_name_t  *name;

    i = len + 4u * text[0] + 16u * text[len - 1];

    for (n = 0; n < AGG_HEADER_PROBES; n++, i++) {
        name = &names->names[i % AGG_HEADER_NAMES];

        if (name->len == 0) {
            return agg_header_name(name, text, len) ? name : NULL;
        }

        if (name->len == len && agg_header_is(name, text, len)) {
            return name;
        }
    }

    name = &names->other;

    memset(name, 0, sizeof(agg_header_name_t));

    return agg_header_name(name, text, len) ? name : NULL;
}


static int
agg_header_name(agg_header_name_t *name, const u_char *text, size_t len)
{
    u_char    c;
    size_t    i;
    uint64_t  hash;

    hash = 0;

    for (i = 0; i < len; i++) {
        c = text[i];
        name->text[i] = c;

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;

        } else if ((c < 'a' || c > 'z') && !agg_is_digit(c) && c != '-') {
            return 0;
        }

        name->lowcase[i] = c;
        hash = hash * 31 + c;
    }

    name->text[len] = '\0';
    name->lowcase[len] = '\0';
    name->len = len;
    name->hash = hash;
    name->mask = ~0ULL;

    return 1;
}


/*
 * The CR LF at the end of a value; NULL: there is none that nginx would take
 * for it, or it is too near to the end
 */

static inline const u_char *
agg_header_end(const u_char *p, const u_char *end)
{
    unsigned  mask;

    for ( /* void */ ; (size_t) (end - p) > AGG_BLOCK; p += AGG_BLOCK) {

        for (mask = agg_header_block(p); mask != 0; mask &= mask - 1) {

            switch (p[agg_first(mask)]) {

            case '\r':
                p += agg_first(mask);
                return (p[1] == '\n') ? p : NULL;

            case '\n':
            case '\0':
                return NULL;
            }
        }
    }

    return NULL;
}


/* the bytes of a block that are CR or below it */

static inline unsigned
agg_header_block(const u_char *p)
{
#if (AGG_BLOCK_SSE2)

    __m128i  block;

    block = agg_block_load(p);

    return agg_block_mask(_mm_cmpeq_epi8(block,
                                 _mm_min_epu8(block, _mm_set1_epi8('\r'))));

#else

    return agg_word_mask(agg_word_below(agg_word_load(p), '\r' + 1),
                         agg_word_below(agg_word_load(p + 8), '\r' + 1));

#endif
}
