
/*
 * The fast path of the writer, for values whose members come in the order of
 * the selections, so that most of the answer is one copy of the response.
 * Anything else, and every error, is left to the general path, which starts the
 * value again.
 */


#include "agg_gql_exec.h"
#include "agg_block.h"


/* the most nested objects and lists */

#define AGG_GQL_STREAM_DEPTH   16

/* a set is not tried any more after this many more failures than successes */

#define AGG_GQL_STREAM_FAILED  8


typedef struct {
    agg_gql_set_t          *set;        /* the object's, or the elements' */
    uint32_t                index;      /* the selected field that is due */
    unsigned                list:1;
    unsigned                nullable:1; /* the elements */
} agg_gql_level_t;


typedef struct {
    const u_char           *pos;
    const u_char           *end;
    const u_char           *run;        /* the bytes not copied yet begin */
    agg_buf_t              *out;
    unsigned                depth;
    agg_gql_level_t         levels[AGG_GQL_STREAM_DEPTH];
} agg_gql_stream_t;


static int agg_gql_stream_value(agg_gql_stream_t *s,
    const agg_gql_node_t *node, agg_gql_wraps_t wraps);
static int agg_gql_stream_enter(agg_gql_stream_t *s, agg_gql_set_t *set,
    unsigned list, unsigned nullable);
static int agg_gql_stream_element(agg_gql_stream_t *s);
static int agg_gql_stream_members(agg_gql_stream_t *s);
static uint32_t agg_gql_stream_run(agg_gql_stream_t *s,
    const agg_gql_node_t *node, uint32_t n);
static int agg_gql_stream_member(agg_gql_stream_t *s);
static inline int agg_gql_stream_is_key(const agg_gql_stream_t *s,
    const agg_gql_node_t *node);
static int agg_gql_stream_name(agg_gql_stream_t *s, const u_char *comma);
static int agg_gql_stream_skip(agg_gql_stream_t *s, const agg_gql_level_t *l,
    const u_char *comma);
static int agg_gql_stream_scalars(agg_gql_stream_t *s,
    const agg_gql_node_t *node);
static inline int agg_gql_stream_scalar(agg_gql_stream_t *s,
    const agg_gql_type_t *type);
static int agg_gql_stream_enum(agg_gql_stream_t *s,
    const agg_gql_type_t *type, const u_char *p);


/* copies the bytes up to p, and skips those up to next */

static inline int
agg_gql_stream_drop(agg_gql_stream_t *s, const u_char *p, const u_char *next)
{
    if (p != s->run
        && agg_buf_append(s->out, s->run, (size_t) (p - s->run)) != AGG_OK)
    {
        return 0;
    }

    s->run = next;

    return 1;
}


static inline int
agg_gql_stream_spaces(agg_gql_stream_t *s)
{
    const u_char  *p;

    p = s->pos;

    if (p == s->end || *p > ' ') {
        return 1;
    }

    while (s->pos < s->end && *s->pos <= ' ') {
        s->pos++;
    }

    return agg_gql_stream_drop(s, p, s->pos);
}


int
agg_gql_stream(agg_gql_exec_t *e, const agg_gql_node_t *node,
    agg_gql_wraps_t wraps, const agg_str_t *value)
{
    int               ok;
    size_t            start;
    agg_gql_set_t    *set;
    agg_gql_stream_t  s;

    set = node->sets;

    if (set->live || !set->streams || set->failed >= AGG_GQL_STREAM_FAILED) {
        return 0;
    }

    start = agg_buf_used(&e->out);

    s.pos = value->data;
    s.end = value->data + value->len;
    s.run = s.pos;
    s.out = &e->out;
    s.depth = 0;

    ok = agg_gql_stream_value(&s, node, wraps);

    while (ok && s.depth != 0) {
        ok = s.levels[s.depth - 1].list ? agg_gql_stream_element(&s)
                                        : agg_gql_stream_members(&s);
    }

    if (ok && agg_gql_stream_drop(&s, s.pos, s.pos)) {
        set->failed -= (set->failed != 0);
        return 1;
    }

    e->out.pos = e->out.start + start;
    set->failed += 2;

    return 0;
}


static int
agg_gql_stream_value(agg_gql_stream_t *s, const agg_gql_node_t *node,
    agg_gql_wraps_t wraps)
{
    if (s->pos == s->end) {
        return 0;
    }

    if (*s->pos == 'n') {

        if (agg_gql_non_null(wraps)) {
            return 0;
        }

        s->pos = agg_gql_value_end(s->pos, s->end);

        return 1;
    }

    if (node->plain) {
        return agg_gql_stream_scalars(s, node);
    }

    wraps = agg_gql_nullable(wraps);

    if (agg_gql_outer(wraps) != AGG_GQL_IS_LIST) {
        return *s->pos == '{' && agg_gql_stream_enter(s, node->sets, 0, 0);
    }

    wraps = agg_gql_inner(wraps);

    return *s->pos == '[' && !agg_gql_is_list(wraps)
           && agg_gql_stream_enter(s, node->sets, 1,
                                   !agg_gql_non_null(wraps));
}


static int
agg_gql_stream_enter(agg_gql_stream_t *s, agg_gql_set_t *set, unsigned list,
    unsigned nullable)
{
    agg_gql_level_t  *l;

    if (s->depth == AGG_GQL_STREAM_DEPTH || set->live || !set->streams) {
        return 0;
    }

    l = &s->levels[s->depth++];

    l->set = set;
    l->index = 0;
    l->list = list;
    l->nullable = nullable;

    s->pos++;

    return agg_gql_stream_spaces(s);
}


/* called after "[" or an element */

static int
agg_gql_stream_element(agg_gql_stream_t *s)
{
    agg_gql_level_t  *l;

    l = &s->levels[s->depth - 1];

    if (!agg_gql_stream_spaces(s) || s->pos == s->end) {
        return 0;
    }

    if (*s->pos == ']') {
        s->pos++;
        s->depth--;

        return 1;
    }

    if (*s->pos == ',') {
        s->pos++;

        if (!agg_gql_stream_spaces(s) || s->pos == s->end) {
            return 0;
        }
    }

    if (*s->pos == '{') {
        return agg_gql_stream_enter(s, l->set, 0, 0);
    }

    if (*s->pos != 'n' || !l->nullable) {
        return 0;
    }

    s->pos = agg_gql_value_end(s->pos, s->end);

    return 1;
}


/* called after "{" or a member */

static int
agg_gql_stream_members(agg_gql_stream_t *s)
{
    unsigned               depth;
    agg_gql_level_t       *l;
    const agg_gql_node_t  *node;

    l = &s->levels[s->depth - 1];
    depth = s->depth;

    while (s->depth == depth) {

        l->index += agg_gql_stream_run(s, &l->set->nodes[l->index],
                                       l->set->nnodes - l->index);

        if (!agg_gql_stream_spaces(s) || s->pos == s->end) {
            return 0;
        }

        if (*s->pos == '}') {
            s->pos++;
            s->depth--;

            return l->index == l->set->nnodes;
        }

        node = &l->set->nodes[l->index];

        switch (agg_gql_stream_member(s)) {

        case 0:
            return 0;

        case 1:
            continue;

        default:
            break;
        }

        l->index++;

        if (!agg_gql_stream_spaces(s)
            || !agg_gql_stream_value(s, node, node->wraps))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * Skips members that are the next fields with unchanged keys and values, as
 * long as two blocks can be read, and returns their number.
 */

static uint32_t
agg_gql_stream_run(agg_gql_stream_t *s, const agg_gql_node_t *node, uint32_t n)
{
    uint32_t       i;
    unsigned       mask;
    const u_char  *p, *q, *end;

    end = s->end - 2 * AGG_BLOCK;
    p = s->pos;

    for (i = 0; i < n && p < end; i++, node++) {

        q = p + (*p == ',');

        if (!node->run || !agg_block_same(q, node->key.data, node->key.len)) {
            break;
        }

        q += node->key.len;

        switch (node->type->scalar) {

        case AGG_GQL_SCALAR_STRING:
        case AGG_GQL_SCALAR_ID:

            if (*q != '"') {
                goto done;
            }

            /* blocks may extend past this value, but not past the document */

            for (q++; q < end; q += AGG_BLOCK) {
                mask = agg_block_quote(q);

                if (mask != 0) {
                    q += agg_first(mask);
                    break;
                }
            }

            if (q >= end || *q != '"') {
                goto done;
            }

            q++;

            break;

        case AGG_GQL_SCALAR_BOOLEAN:

            if (*q != 't' && *q != 'f') {
                goto done;
            }

            q += 4 + (*q == 'f');

            break;

        case AGG_GQL_SCALAR_INT:

            mask = agg_block_not_digit(q) | 1u << AGG_BLOCK;

            if ((mask & 1) || agg_first(mask) > 9) {
                goto done;
            }

            q += agg_first(mask);

            break;

        default: /* AGG_GQL_SCALAR_FLOAT */

            if (*q != '-' && !agg_is_digit(*q)) {
                goto done;
            }

            do {
                q++;
            } while (*q > ',' && *q < ']');
        }

        if (*q != ',' && *q != '}') {
            break;
        }

        p = q;
    }

done:

    s->pos = p;

    return i;
}


/*
 * Reads the name of a member. 1: it is not selected, and was skipped; 2: it is
 * the next field, whose value follows; 0: it is another field.
 */

static int
agg_gql_stream_member(agg_gql_stream_t *s)
{
    const u_char          *comma;
    agg_gql_level_t       *l;
    const agg_gql_node_t  *node;

    l = &s->levels[s->depth - 1];
    comma = s->pos;

    if (*s->pos == ',') {
        s->pos++;

        while (s->pos < s->end && *s->pos <= ' ') {
            s->pos++;
        }
    }

    node = &l->set->nodes[l->index];

    if (l->index == l->set->nnodes || !agg_gql_stream_is_key(s, node)) {
        return agg_gql_stream_name(s, comma);
    }

    if (s->pos > comma + 1 && !agg_gql_stream_drop(s, comma + 1, s->pos)) {
        return 0;
    }

    s->pos += node->key.len;

    return 2;
}


/* whether the key of the next field is here, spelled as in the answer */

static inline int
agg_gql_stream_is_key(const agg_gql_stream_t *s, const agg_gql_node_t *node)
{
    if (!node->verbatim || (size_t) (s->end - s->pos) < node->key.len) {
        return 0;
    }

    if (node->key.len <= AGG_BLOCK && s->end - s->pos >= AGG_BLOCK) {
        return agg_block_same(s->pos, node->key.data, node->key.len);
    }

    return memcmp(s->pos, node->key.data, node->key.len) == 0;
}


/* a name that is not the key of the next field as spelled in the answer */

static int
agg_gql_stream_name(agg_gql_stream_t *s, const u_char *comma)
{
    uint32_t               i;
    agg_str_t              name;
    const u_char          *p;
    agg_gql_level_t       *l;
    const agg_gql_node_t  *node;

    l = &s->levels[s->depth - 1];
    p = s->pos;

    if (p == s->end || *p != '"') {
        return 0;
    }

    name.data = (u_char *) p + 1;
    s->pos = agg_gql_value_end(p, s->end);

    if (s->pos - p < 2) {
        return 0;
    }

    name.len = (size_t) (s->pos - p) - 2;

    while (s->pos < s->end && (*s->pos <= ' ' || *s->pos == ':')) {
        s->pos++;
    }

    i = agg_gql_find_member(l->set, &name);

    if (i == AGG_GQL_NONE) {
        return agg_gql_stream_skip(s, l, comma);
    }

    node = &l->set->nodes[l->index];

    if (l->index == l->set->nnodes || node->member != i) {
        return 0;
    }

    return agg_gql_stream_drop(s, comma + (*comma == ','), s->pos)
           && agg_buf_append(s->out, node->key.data, node->key.len) == AGG_OK
           ? 2 : 0;
}


/*
 * skips a member with the comma before it, or, before the first selected one,
 * with the comma after it
 */

static int
agg_gql_stream_skip(agg_gql_stream_t *s, const agg_gql_level_t *l,
    const u_char *comma)
{
    s->pos = agg_gql_value_end(s->pos, s->end);

    if (l->index != 0) {
        return agg_gql_stream_drop(s, comma, s->pos);
    }

    while (s->pos < s->end && (*s->pos <= ' ' || *s->pos == ',')) {
        s->pos++;
    }

    return agg_gql_stream_drop(s, comma, s->pos);
}


/* a scalar, or a list of scalars */

static int
agg_gql_stream_scalars(agg_gql_stream_t *s, const agg_gql_node_t *node)
{
    agg_gql_wraps_t  wraps;

    if (!agg_gql_is_list(node->wraps)) {
        return agg_gql_stream_scalar(s, node->type);
    }

    if (*s->pos != '[') {
        return 0;
    }

    wraps = agg_gql_inner(agg_gql_nullable(node->wraps));

    for (s->pos++; /* void */ ; /* void */ ) {

        if (!agg_gql_stream_spaces(s) || s->pos == s->end) {
            return 0;
        }

        if (*s->pos == ']') {
            s->pos++;
            return 1;
        }

        if (*s->pos == ',') {
            s->pos++;

            if (!agg_gql_stream_spaces(s) || s->pos == s->end) {
                return 0;
            }
        }

        if (*s->pos == 'n' && !agg_gql_non_null(wraps)) {
            s->pos = agg_gql_value_end(s->pos, s->end);
            continue;
        }

        if (!agg_gql_stream_scalar(s, node->type)) {
            return 0;
        }
    }
}


/* the values that agg_gql_leaf() copies, or puts in quotes */

static inline int
agg_gql_stream_scalar(agg_gql_stream_t *s, const agg_gql_type_t *type)
{
    u_char         c;
    const u_char  *p, *digit;

    p = s->pos;
    c = *p;

    s->pos = agg_gql_value_end(p, s->end);

    if (type->kind == AGG_GQL_ENUM_TYPE) {
        return agg_gql_stream_enum(s, type, p);
    }

    switch (type->scalar) {

    case AGG_GQL_SCALAR_STRING:
        return c == '"';

    case AGG_GQL_SCALAR_FLOAT:
        return c == '-' || agg_is_digit(c);

    case AGG_GQL_SCALAR_BOOLEAN:
        return c == 't' || c == 'f';

    case AGG_GQL_SCALAR_INT:

        if (s->pos - p > 9) {
            return 0;
        }

        break;

    case AGG_GQL_SCALAR_ID:

        if (c == '"') {
            return 1;
        }

        break;

    default:
        return c != 'n';
    }

    for (digit = p; digit < s->pos; digit++) {
        if (!agg_is_digit(*digit)) {
            return 0;
        }
    }

    if (type->scalar == AGG_GQL_SCALAR_INT) {
        return 1;
    }

    return agg_gql_stream_drop(s, p, p)
           && agg_buf_append(s->out, "\"", 1) == AGG_OK
           && agg_gql_stream_drop(s, s->pos, s->pos)
           && agg_buf_append(s->out, "\"", 1) == AGG_OK;
}


/*
 * a value that differs from the name in the schema is left to the general path
 */

static int
agg_gql_stream_enum(agg_gql_stream_t *s, const agg_gql_type_t *type,
    const u_char *p)
{
    size_t            len;
    unsigned          i;
    const agg_str_t  *json, *name;

    len = (size_t) (s->pos - p);

    for (i = 0; i < type->nvalues; i++) {
        json = &type->values[i].json;

        if (json->len != len || memcmp(json->data, p, len) != 0) {
            continue;
        }

        name = &type->values[i].name;

        if (*p == '"' && len == name->len + 2
            && memcmp(p + 1, name->data, name->len) == 0)
        {
            return 1;
        }

        return agg_gql_stream_drop(s, p, s->pos)
               && agg_buf_append(s->out, "\"", 1) == AGG_OK
               && agg_buf_append(s->out, name->data, name->len) == AGG_OK
               && agg_buf_append(s->out, "\"", 1) == AGG_OK;
    }

    return 0;
}
