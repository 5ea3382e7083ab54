
/* Suggestions, and the text of types and values in messages. */


#include <stdio.h>

#include "agg_gql_names.h"
#include "agg_gql_parse.h"


static unsigned agg_gql_distance(agg_gql_errors_t *errors,
    const agg_str_t *name, const agg_str_t *option, unsigned threshold);
static void agg_gql_suggest_insert(agg_gql_suggest_t *s,
    const agg_str_t *name, unsigned distance);
static agg_rc_e agg_gql_put_scalar(agg_buf_t *b, const agg_gql_value_t *v);
static agg_rc_e agg_gql_put_block(agg_buf_t *b, const agg_str_t *s);


#define agg_gql_lower(c)                                                     \
    ((u_char) ((c) >= 'A' && (c) <= 'Z' ? (c) | 0x20 : (c)))


void
agg_gql_suggest_init(agg_gql_suggest_t *s, agg_gql_errors_t *errors,
    const agg_str_t *name)
{
    s->errors = errors;
    s->name = *name;
    s->n = 0;
    s->threshold = (unsigned) (name->len * 2 / 5) + 1;
}


void
agg_gql_suggest_add(agg_gql_suggest_t *s, const agg_str_t *name)
{
    unsigned  distance;

    if (!s->errors->suggest || s->name.len > AGG_GQL_LONG_NAME
        || name->len > AGG_GQL_LONG_NAME)
    {
        return;
    }

    distance = agg_gql_distance(s->errors, &s->name, name, s->threshold);

    if (distance <= s->threshold) {
        agg_gql_suggest_insert(s, name, distance);
    }
}


void
agg_gql_suggest_put(agg_gql_suggest_t *s, const agg_str_t *name)
{
    if (s->errors->suggest && s->n < AGG_GQL_SUGGESTED) {
        s->names[s->n] = *name;
        s->distance[s->n++] = 0;
    }
}


static void
agg_gql_suggest_insert(agg_gql_suggest_t *s, const agg_str_t *name,
    unsigned distance)
{
    unsigned  i, n;

    for (i = 0; i < s->n; i++) {

        if (distance < s->distance[i]
            || (distance == s->distance[i]
                && agg_gql_natural(name, &s->names[i]) < 0))
        {
            break;
        }
    }

    if (i == AGG_GQL_SUGGESTED) {
        return;
    }

    n = s->n - i;

    if (s->n < AGG_GQL_SUGGESTED) {
        s->n++;

    } else {
        n--;
    }

    memmove(&s->names[i + 1], &s->names[i], n * sizeof(agg_str_t));
    memmove(&s->distance[i + 1], &s->distance[i], n * sizeof(unsigned));

    s->names[i] = *name;
    s->distance[i] = distance;
}


/*
 * The optimal string alignment distance, without regard to case; if only the
 * case differs, it is 1.  Returns more than the threshold if the distance is
 * larger, or if the budget is used up.
 */

static unsigned
agg_gql_distance(agg_gql_errors_t *errors, const agg_str_t *name,
    const agg_str_t *option, unsigned threshold)
{
    u_char            c;
    size_t            i, j, cells;
    unsigned          cost, cell, least;
    unsigned          rows[3][AGG_GQL_LONG_NAME + 1], *up, *row, *two;
    const agg_str_t  *a, *b;

    a = option;
    b = name;

    if (a->len < b->len) {
        a = name;
        b = option;
    }

    cells = (a->len + 1) * (b->len + 1);

    if (a->len - b->len > threshold || errors->budget < cells) {
        return threshold + 1;
    }

    if (a->len == b->len) {

        if (memcmp(a->data, b->data, a->len) == 0) {
            return 0;
        }

        for (i = 0; i < a->len; i++) {
            if (agg_gql_lower(a->data[i]) != agg_gql_lower(b->data[i])) {
                break;
            }
        }

        if (i == a->len) {
            return 1;
        }
    }

    for (j = 0; j <= b->len; j++) {
        rows[0][j] = (unsigned) j;
    }

    row = rows[0];

    for (i = 1; i <= a->len; i++) {
        up = rows[(i - 1) % 3];
        row = rows[i % 3];
        two = rows[(i + 1) % 3];

        errors->budget -= b->len + 1;

        c = agg_gql_lower(a->data[i - 1]);
        row[0] = (unsigned) i;
        least = row[0];

        for (j = 1; j <= b->len; j++) {
            cost = (c != agg_gql_lower(b->data[j - 1]));
            cell = up[j - 1] + cost;

            if (up[j] + 1 < cell) {
                cell = up[j] + 1;
            }

            if (row[j - 1] + 1 < cell) {
                cell = row[j - 1] + 1;
            }

            if (i > 1 && j > 1 && c == agg_gql_lower(b->data[j - 2])
                && agg_gql_lower(a->data[i - 2])
                   == agg_gql_lower(b->data[j - 1])
                && two[j - 2] + 1 < cell)
            {
                cell = two[j - 2] + 1;
            }

            row[j] = cell;

            if (cell < least) {
                least = cell;
            }
        }

        if (least > threshold) {
            return threshold + 1;
        }
    }

    return row[b->len];
}


int
agg_gql_natural(const agg_str_t *a, const agg_str_t *b)
{
    u_char  c, d;
    size_t  i, j;
    double  m, n;

    i = 0;
    j = 0;

    while (i < a->len && j < b->len) {
        c = a->data[i];
        d = b->data[j];

        if (c < '0' || c > '9' || d < '0' || d > '9') {

            if (c != d) {
                return (c < d) ? -1 : 1;
            }

            i++;
            j++;
            continue;
        }

        /* leading zeros count one by one */

        m = 0;

        do {
            m = m * 10 + (a->data[i++] - '0');
        } while (i < a->len && a->data[i] >= '0' && a->data[i] <= '9'
                 && m > 0);

        n = 0;

        do {
            n = n * 10 + (b->data[j++] - '0');
        } while (j < b->len && b->data[j] >= '0' && b->data[j] <= '9'
                 && n > 0);

        if (m < n || m > n) {
            return (m < n) ? -1 : 1;
        }
    }

    return (a->len < b->len) ? -1 : (a->len > b->len);
}


agg_rc_e
agg_gql_suggest_text(agg_gql_suggest_t *s, const char *what, agg_str_t *text)
{
    unsigned     i;
    agg_buf_t    b;
    const char  *delimiter;

    text->data = (u_char *) "";
    text->len = 0;

    if (s->n == 0) {
        return AGG_OK;
    }

    agg_buf_init(&b, s->errors->mem, 4096);

    agg_gql_try(agg_gql_put(&b, " Did you mean %s", what));

    for (i = 0; i < s->n; i++) {

        if (i == 0) {
            delimiter = "";

        } else if (i + 1 < s->n) {
            delimiter = ", ";

        } else {
            delimiter = (s->n == 2) ? " or " : ", or ";
        }

        agg_gql_try(agg_gql_put(&b, "%s\"%V\"", delimiter, &s->names[i]));
    }

    agg_gql_try(agg_buf_append(&b, "?", 1));

    text->data = b.start;
    text->len = agg_buf_used(&b);

    return AGG_OK;
}


agg_rc_e
agg_gql_suggest_type(const agg_gql_schema_t *schema, agg_gql_errors_t *errors,
    const agg_str_t *name, agg_str_t *text)
{
    unsigned           i;
    agg_gql_suggest_t  s;

    agg_gql_suggest_init(&s, errors, name);

    for (i = 0; i < schema->ntypes; i++) {
        if (!schema->types[i]->hidden) {
            agg_gql_suggest_add(&s, &schema->types[i]->name);
        }
    }

    return agg_gql_suggest_text(&s, "", text);
}


agg_rc_e
agg_gql_type_text(agg_mem_t *mem, const agg_str_t *name,
    agg_gql_wraps_t wraps, agg_str_t *text)
{
    int               shift;
    u_char           *p;
    unsigned          outer;
    agg_gql_wraps_t   w;

    p = mem->alloc(mem->ctx, name->len + 64);
    if (p == NULL) {
        return AGG_NOMEM;
    }

    text->data = p;

    for (w = wraps; w != 0; w = agg_gql_inner(w)) {
        if (agg_gql_outer(w) == AGG_GQL_IS_LIST) {
            *p++ = '[';
        }
    }

    memcpy(p, name->data, name->len);
    p += name->len;

    /*
     * from the innermost level to the outermost, that is, from the highest bits
     */

    for (shift = 62; shift >= 0; shift -= 2) {
        outer = agg_gql_outer(wraps >> shift);

        if (outer != 0) {
            *p++ = (outer == AGG_GQL_IS_LIST) ? ']' : '!';
        }
    }

    text->len = (size_t) (p - text->data);

    return AGG_OK;
}


agg_rc_e
agg_gql_value_text(agg_mem_t *mem, const agg_gql_doc_t *doc, uint32_t value,
    agg_str_t *text)
{
    uint32_t          id, arg, root;
    agg_buf_t         b;
    agg_gql_value_t  *v;

    agg_buf_init(&b, mem, AGG_GQL_MAX_SOURCE);

    /* "arg" is the current field of the innermost object */

    root = value;
    id = value;

    for ( ;; ) {
        v = &doc->values[id];

        if (v->kind == AGG_GQL_LIST && v->first != AGG_GQL_NONE) {
            agg_gql_try(agg_buf_append(&b, "[", 1));
            id = v->first;
            continue;
        }

        if (v->kind == AGG_GQL_OBJECT && v->first != AGG_GQL_NONE) {
            arg = v->first;
            agg_gql_try(agg_gql_put(&b, "{%V: ", &doc->args[arg].name));
            id = doc->args[arg].value;
            continue;
        }

        agg_gql_try(agg_gql_put_scalar(&b, v));

        /* finds the next value, in this container or in an enclosing one */

        for ( ;; ) {

            if (id == root || agg_buf_used(&b) > 4096) {
                text->data = b.start;
                text->len = agg_buf_used(&b);
                return AGG_OK;
            }

            v = &doc->values[id];

            if (doc->values[v->parent].kind == AGG_GQL_LIST) {

                if (v->next != AGG_GQL_NONE) {
                    agg_gql_try(agg_buf_append(&b, ", ", 2));
                    id = v->next;
                    break;
                }

                agg_gql_try(agg_buf_append(&b, "]", 1));

            } else {
                arg = doc->args[v->arg].next;

                if (arg != AGG_GQL_NONE) {
                    agg_gql_try(agg_gql_put(&b, ", %V: ",
                                            &doc->args[arg].name));
                    id = doc->args[arg].value;
                    break;
                }

                agg_gql_try(agg_buf_append(&b, "}", 1));
            }

            id = v->parent;
        }
    }
}


static agg_rc_e
agg_gql_put_scalar(agg_buf_t *b, const agg_gql_value_t *v)
{
    switch (v->kind) {

    case AGG_GQL_VARIABLE:
        return agg_gql_put(b, "$%V", &v->text);

    case AGG_GQL_STRING:
        return agg_gql_put_string(b, &v->text);

    case AGG_GQL_BLOCK_STRING:
        return agg_gql_put_block(b, &v->text);

    case AGG_GQL_LIST:
        return agg_buf_append(b, "[]", 2);

    case AGG_GQL_OBJECT:
        return agg_buf_append(b, "{}", 2);

    default:
        return agg_gql_put(b, "%V", &v->text);
    }
}


agg_rc_e
agg_gql_put_string(agg_buf_t *b, const agg_str_t *s)
{
    u_char         c;
    char           escape[7];
    size_t         n;
    const char    *from;
    const u_char  *p, *end;

    static const char  escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    agg_gql_try(agg_buf_append(b, "\"", 1));

    p = s->data;
    end = p + s->len;

    while (p < end) {
        c = *p;

        if (c >= 0x80) {

            /* C1 control characters are escaped too */

            if (c == 0xc2 && p[1] < 0xa0) {
                n = (size_t) sprintf(escape, "\\u%04X", p[1]);
                p++;

            } else {
                escape[0] = (char) c;
                n = 1;
            }

        } else if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            escape[0] = (char) c;
            n = 1;

        } else {

            for (from = escapes; *from != '\0'; from += 2) {
                if (*from == (char) c) {
                    break;
                }
            }

            if (*from != '\0') {
                escape[0] = '\\';
                escape[1] = from[1];
                n = 2;

            } else {
                n = (size_t) sprintf(escape, "\\u%04X", c);
            }
        }

        agg_gql_try(agg_buf_append(b, escape, n));
        p++;
    }

    return agg_buf_append(b, "\"", 1);
}


/* writes a block string in the layout of graphql-js */

static agg_rc_e
agg_gql_put_block(agg_buf_t *b, const agg_str_t *s)
{
    u_char         c;
    size_t         units;
    unsigned       lines, lead, trail, quotes, many;
    const u_char  *p, *end;

    end = s->data + s->len;
    units = 0;
    lines = 1;
    lead = 1;

    for (p = s->data; p < end; p++) {
        c = *p;
        units += ((c & 0xc0) != 0x80) + (c >= 0xf0);

        if (c == '\n') {
            lines++;

            if (p + 1 < end && p[1] != '\n' && p[1] != ' ' && p[1] != '\t') {
                lead = 0;
            }
        }
    }

    lead = lead && lines > 1;
    quotes = (s->len >= 3 && memcmp(end - 3, "\"\"\"", 3) == 0);
    trail = s->len != 0 && ((end[-1] == '"' && !quotes) || end[-1] == '\\');
    many = lines > 1 || units > 70 || trail || lead || quotes;

    agg_gql_try(agg_buf_append(b, "\"\"\"", 3));

    if ((many && !(lines == 1 && s->len != 0
                   && (*s->data == ' ' || *s->data == '\t'))) || lead)
    {
        agg_gql_try(agg_buf_append(b, "\n", 1));
    }

    for (p = s->data; p < end; p++) {

        if (*p == '"' && end - p >= 3 && memcmp(p, "\"\"\"", 3) == 0) {
            agg_gql_try(agg_buf_append(b, "\\\"\"\"", 4));
            p += 2;
            continue;
        }

        agg_gql_try(agg_buf_append(b, p, 1));
    }

    if (many || trail) {
        agg_gql_try(agg_buf_append(b, "\n", 1));
    }

    return agg_buf_append(b, "\"\"\"", 3);
}
