
/*
 * The contract's section on shaping once more, over a tree, one statement
 * after the other, for the eye and not for speed: what the runner must agree
 * with.  Values keep their bytes, white space between tokens goes.
 */


#ifndef SHAPE_NAIVE_H_INCLUDED
#define SHAPE_NAIVE_H_INCLUDED


#include "agg_test.h"
#include "agg_path.h"


typedef struct node_s  node_t;

struct node_s {
    agg_kind_e   kind;
    agg_str_t    name;          /* raw */
    agg_str_t    raw;           /* of a scalar */
    node_t     **kids;
    size_t       n;
    int          gone;
    int          kept;          /* allowed as a whole */
    unsigned     rank;          /* of the rename */
    const agg_str_t  *renamed;  /* raw */
    size_t       index;         /* in the array, as it was */
    int          moved;         /* statement that took it, from 1 */
};


typedef enum {
    N_TARGET = 0,
    N_LIMIT,
    N_ALLOW,
    N_DENY,
    N_RENAME,
    N_INTO,
    N_MOVE,
    N_SET
} naive_type_e;


typedef struct {
    naive_type_e  type;
    agg_path_t   *path;
    agg_path_t   *to;
    agg_str_t     name;         /* raw */
    agg_str_t     json;
    size_t        limit;
    node_t       *value;        /* of a move */
} naive_rule_t;


typedef struct {
    naive_rule_t  rules[64];
    size_t        n;
    agg_mem_t     mem;
} naive_shape_t;


/* memory that is freed together */

static void **naive_blocks;
static size_t naive_nblocks;


static inline void *
naive_alloc(void *ctx, size_t size)
{
    void  *p;

    (void) ctx;

    if ((naive_nblocks & (naive_nblocks - 1)) == 0) {
        naive_blocks = realloc(naive_blocks, (2 * naive_nblocks + 1)
                                             * sizeof(void *));
    }

    p = calloc(1, size + 1);
    naive_blocks[naive_nblocks++] = p;

    return p;
}


static inline void
naive_free(void)
{
    while (naive_nblocks != 0) {
        free(naive_blocks[--naive_nblocks]);
    }

    free(naive_blocks);
    naive_blocks = NULL;
}


static inline node_t *
naive_node(agg_kind_e kind)
{
    node_t  *node;

    node = naive_alloc(NULL, sizeof(node_t));
    node->kind = kind;

    return node;
}


static inline void
naive_add(node_t *node, node_t *kid)
{
    node_t  **kids;

    if ((node->n & (node->n - 1)) == 0) {
        kids = naive_alloc(NULL, (2 * node->n + 1) * sizeof(node_t *));

        if (node->n != 0) {
            memcpy(kids, node->kids, node->n * sizeof(node_t *));
        }

        node->kids = kids;
    }

    kid->index = node->n;
    node->kids[node->n++] = kid;
}


/* the document is valid */

static inline node_t *
naive_tree(const agg_str_t *value)
{
    node_t      *node, *kid;
    agg_str_t    v;
    agg_iter_t   it;

    v = *value;
    agg_json_trim(&v);

    node = naive_node(agg_json_kind(&v));
    node->raw = v;

    agg_iter_init(&it, &v);

    while (agg_iter_next(&it)) {
        kid = naive_tree(&it.value);
        kid->name = it.name;
        naive_add(node, kid);
    }

    return node;
}


/* whether the step leads from the node to its kid, as it was before others
   were dropped */

static inline int
naive_step(const agg_step_t *step, const node_t *node, const node_t *kid)
{
    long  index;

    switch (step->type) {

    case AGG_STEP_KEY:
        return node->kind == AGG_OBJECT
               && agg_json_name_equal(&kid->name, &step->name);

    case AGG_STEP_ANY:
        return node->kind == AGG_OBJECT;

    case AGG_STEP_EACH:
        return node->kind == AGG_ARRAY;

    default:
        index = step->index < 0 ? step->index + (long) node->n : step->index;
        return node->kind == AGG_ARRAY && (long) kid->index == index;
    }
}


typedef void (*naive_pt)(node_t *node, naive_rule_t *rule);


static inline void
naive_each(node_t *node, naive_rule_t *rule, unsigned depth, naive_pt found)
{
    size_t  i;

    if (depth == rule->path->nsteps) {
        found(node, rule);
        return;
    }

    for (i = 0; i < node->n; i++) {
        if (naive_step(&rule->path->steps[depth], node, node->kids[i])) {
            naive_each(node->kids[i], rule, depth + 1, found);
        }
    }
}


static inline void
naive_limit(node_t *node, naive_rule_t *rule)
{
    if (node->kind == AGG_ARRAY && node->n > rule->limit) {
        node->n = rule->limit;
    }
}


static inline void
naive_kept(node_t *node, naive_rule_t *rule)
{
    (void) rule;
    node->kept = 1;
}


static inline void
naive_gone(node_t *node, naive_rule_t *rule)
{
    (void) rule;
    node->gone = 1;
}


/* whether some allow path could go on from here is asked by their steps */

static inline void
naive_allow(node_t *node, naive_shape_t *s, const unsigned *on, unsigned depth)
{
    size_t     i, k;
    node_t    *kid;
    unsigned   next[64], any;

    if (node->kept) {
        return;
    }

    if (node->kind != AGG_ARRAY && node->kind != AGG_OBJECT) {
        node->gone = 1;
        return;
    }

    for (i = 0; i < node->n; i++) {
        kid = node->kids[i];
        any = 0;

        for (k = 0; k < s->n; k++) {
            next[k] = on[k] && s->rules[k].path->nsteps > depth
                      && naive_step(&s->rules[k].path->steps[depth], node,
                                    kid);
            any |= next[k];
        }

        if (!any) {
            kid->gone = 1;

        } else {
            naive_allow(kid, s, next, depth + 1);
        }
    }
}


static inline void
naive_rename(node_t *node, naive_rule_t *rule)
{
    node->renamed = &rule->name;
    node->rank = (unsigned) rule->limit;
}


static inline const agg_str_t *
naive_name(const node_t *node)
{
    return node->renamed ? node->renamed : &node->name;
}


/* those who lose their name to one that is renamed to it */

static inline void
naive_losers(node_t *node)
{
    size_t   i, k;
    node_t  *a, *b;

    for (i = 0; i < node->n; i++) {
        naive_losers(node->kids[i]);
    }

    if (node->kind != AGG_OBJECT) {
        return;
    }

    for (i = 0; i < node->n; i++) {
        a = node->kids[i];

        for (k = 0; k < node->n && !a->gone; k++) {
            b = node->kids[k];

            /* gone by 2: a loser that others still lose to or not alike */

            if (b->gone != 1 && b->rank > a->rank
                && agg_json_names_equal(naive_name(a), naive_name(b)))
            {
                a->gone = 2;
            }
        }
    }
}


static inline void
naive_into(node_t *node, naive_rule_t *rule)
{
    int          found;
    size_t       i;
    node_t      *kid, *new;
    agg_iter_t   it;

    if (node->kind != AGG_OBJECT || node->gone) {
        return;
    }

    found = 0;
    agg_iter_init(&it, &rule->json);

    for (i = 0; i <= node->index; i++) {
        found = agg_iter_next(&it);
    }

    if (!found || agg_json_kind(&it.value) == AGG_NULL) {
        return;
    }

    new = NULL;

    for (i = 0; i < node->n; i++) {
        kid = node->kids[i];

        if (kid->gone || !agg_json_names_equal(naive_name(kid), &rule->name)) {
            continue;
        }

        if (new != NULL) {
            kid->gone = 1;
            continue;
        }

        new = naive_tree(&it.value);
        new->name = rule->name;
        new->index = i;
        node->kids[i] = new;
    }

    if (new == NULL) {
        new = naive_tree(&it.value);
        new->name = rule->name;
        naive_add(node, new);
    }
}


static inline void
naive_into_array(node_t *node, naive_rule_t *rule)
{
    size_t  i;

    for (i = 0; node->kind == AGG_ARRAY && i < node->n; i++) {
        naive_into(node->kids[i], rule);
    }
}


/* the last of duplicates on the way */

static inline node_t *
naive_get(node_t *node, const agg_path_t *path)
{
    size_t     k;
    node_t    *next;
    unsigned   i;

    for (i = 0; i < path->nsteps; i++) {
        next = NULL;

        for (k = 0; k < node->n; k++) {
            if (naive_step(&path->steps[i], node, node->kids[k])) {
                next = node->kids[k];
            }
        }

        if (next == NULL) {
            return NULL;
        }

        node = next;
    }

    return node;
}


/* whether a node is still in the tree */

static inline int
naive_there(const node_t *node, const node_t *wanted)
{
    size_t  i;

    if (node->gone) {
        return 0;
    }

    if (node == wanted) {
        return 1;
    }

    for (i = 0; i < node->n; i++) {
        if (naive_there(node->kids[i], wanted)) {
            return 1;
        }
    }

    return 0;
}


static inline void
naive_taken(node_t *node, naive_rule_t *rule)
{
    (void) rule;

    if (node->moved == 0) {
        node->moved = 1;
    }
}


static inline int
naive_keys(const agg_path_t *path, unsigned from)
{
    while (from < path->nsteps) {
        if (path->steps[from++].type != AGG_STEP_KEY) {
            return 0;
        }
    }

    return 1;
}


/* the name of a step, raw */

static inline agg_str_t
naive_raw(const agg_str_t *decoded)
{
    agg_buf_t   b;
    agg_str_t   raw;
    agg_mem_t   m = { mem_alloc, mem_grow, NULL };

    agg_buf_init(&b, &m, 1 << 20);

    if (agg_json_escape(&b, decoded->data, decoded->len) != AGG_OK) {
        abort();
    }

    raw.len = agg_buf_used(&b) - 2;
    raw.data = naive_alloc(NULL, raw.len + 1);
    memcpy(raw.data, b.start + 1, raw.len);
    mem_free(b.start);

    return raw;
}


static inline node_t *
naive_copy(const node_t *node)
{
    size_t   i;
    node_t  *copy;

    copy = naive_node(node->kind);
    copy->name = *naive_name(node);
    copy->raw = node->raw;

    for (i = 0; i < node->n; i++) {
        if (!node->kids[i]->gone && !node->kids[i]->moved) {
            naive_add(copy, naive_copy(node->kids[i]));
        }
    }

    return copy;
}


static inline void
naive_put(node_t **at, const agg_path_t *path, unsigned depth, node_t *value)
{
    int          found;
    long         index, i;
    size_t       k;
    node_t      *node, *copy, *new;
    const agg_step_t  *step;

    node = *at;

    if (depth == path->nsteps) {
        copy = naive_copy(value);
        copy->name = *naive_name(node);
        *at = copy;
        return;
    }

    step = &path->steps[depth];

    if (step->type == AGG_STEP_KEY && node->kind != AGG_OBJECT) {

        if (!naive_keys(path, depth)) {
            return;
        }

        new = naive_node(AGG_OBJECT);
        new->name = node->name;
        new->renamed = node->renamed;
        *at = new;
        node = new;
    }

    if ((step->type == AGG_STEP_KEY || step->type == AGG_STEP_ANY)
        ? node->kind != AGG_OBJECT : node->kind != AGG_ARRAY)
    {
        return;
    }

    index = step->index;
    found = 0;

    if (index < 0) {
        for (k = 0; k < node->n; k++) {
            index += !node->kids[k]->gone && !node->kids[k]->moved;
        }
    }

    for (k = 0, i = 0; k < node->n; k++) {

        if (node->kids[k]->gone || node->kids[k]->moved) {
            continue;
        }

        if (step->type == AGG_STEP_KEY
            && !agg_json_name_equal(naive_name(node->kids[k]), &step->name))
        {
            continue;
        }

        if (step->type == AGG_STEP_INDEX && i++ != index) {
            continue;
        }

        found = 1;
        naive_put(&node->kids[k], path, depth + 1, value);
    }

    if (!found && naive_keys(path, depth)) {
        new = naive_node(AGG_NULL);
        new->raw = str("null");
        new->name = naive_raw(&step->name);
        naive_put(&new, path, depth + 1, value);
        naive_add(node, new);
    }
}


static inline void
naive_write(agg_buf_t *b, const node_t *node)
{
    int      any;
    size_t   i;
    node_t  *kid;

    if (node->kind != AGG_ARRAY && node->kind != AGG_OBJECT) {
        agg_buf_append(b, node->raw.data, node->raw.len);
        return;
    }

    agg_buf_append(b, node->kind == AGG_ARRAY ? "[" : "{", 1);
    any = 0;

    for (i = 0; i < node->n; i++) {
        kid = node->kids[i];

        if (kid->gone || kid->moved) {
            continue;
        }

        if (any) {
            agg_buf_append(b, ",", 1);
        }

        if (node->kind == AGG_OBJECT) {
            agg_buf_append(b, "\"", 1);
            agg_buf_append(b, naive_name(kid)->data, naive_name(kid)->len);
            agg_buf_append(b, "\":", 2);
        }

        naive_write(b, kid);
        any = 1;
    }

    agg_buf_append(b, node->kind == AGG_ARRAY ? "]" : "}", 1);
}


/* statements are taken as shape_statement.h has them, and are good */

static inline void
naive_add_rule(naive_shape_t *s, const char *line, size_t len)
{
    u_char        *p, *tab, *end;
    unsigned       n;
    agg_str_t      w[4], root, decoded;
    agg_mem_t      m = { naive_alloc, NULL, NULL };
    agg_error_t    err;
    naive_rule_t  *rule;

    static const char *const  names[] = {
        "target", "limit", "allow", "deny", "rename", "into", "move", "set",
    };

    rule = &s->rules[s->n++];
    memset(rule, 0, sizeof(naive_rule_t));

    p = (u_char *) line;
    end = p + len;

    for (n = 0; n < 4; n++) {
        tab = (n < 3) ? memchr(p, '\t', (size_t) (end - p)) : NULL;
        w[n].data = p;
        w[n].len = (size_t) ((tab ? tab : end) - p);

        if (tab == NULL) {
            n++;
            break;
        }

        p = tab + 1;
    }

    while (strlen(names[rule->type]) != w[0].len
           || memcmp(names[rule->type], w[0].data, w[0].len) != 0)
    {
        rule->type++;
    }

    root = str(".");

    rule->path = agg_path_parse(&m, (rule->type == N_LIMIT && n == 2) ? &root
                                                                  : &w[1],
                                AGG_PATH_ROOT_OK|AGG_PATH_EMPTY_OK, &err);

    switch (rule->type) {

    case N_LIMIT:
        p = w[n - 1].data + (w[n - 1].data[0] == '$');
        while (p < w[n - 1].data + w[n - 1].len && *p >= '0' && *p <= '9') {
            rule->limit = rule->limit * 10 + (*p++ - '0');
        }
        break;

    case N_RENAME:
    case N_INTO:
        decoded = w[2];

        if (decoded.len >= 2 && decoded.data[0] == '"'
            && agg_json_validate(decoded.data, decoded.len, NULL) == AGG_OK)
        {
            decoded.data = naive_alloc(NULL, w[2].len);
            decoded.len = agg_json_unescape_any(decoded.data,
                              &(agg_str_t) { w[2].len - 2, w[2].data + 1 });
        }

        rule->name = naive_raw(&decoded);
        rule->limit = s->n;
        rule->json = w[3];
        break;

    case N_MOVE:
        rule->to = agg_path_parse(&m, &w[2], AGG_PATH_ROOT_OK, &err);
        break;

    case N_SET:

        if (w[2].len != 0 && w[2].data[0] == '$') {
            w[2].data++;
            w[2].len--;
            decoded = naive_raw(&w[2]);
            rule->json.len = decoded.len + 2;
            rule->json.data = naive_alloc(NULL, rule->json.len + 1);
            sprintf((char *) rule->json.data, "\"%.*s\"", (int) decoded.len,
                    decoded.data);
            break;
        }

        rule->json = w[2];
        break;

    default:
        break;
    }
}


#define naive_rules(s, t)                                                    \
    for (rule = naive_next(s, (s)->rules, t); rule != NULL;                  \
         rule = naive_next(s, rule + 1, t))


static inline naive_rule_t *
naive_next(naive_shape_t *s, naive_rule_t *rule, naive_type_e type)
{
    while (rule < s->rules + s->n) {
        if (rule->type == type) {
            return rule;
        }

        rule++;
    }

    return NULL;
}


/* AGG_NOT_FOUND when there is no target; the document is valid */

static inline agg_rc_e
naive_shape(naive_shape_t *s, const agg_str_t *doc, agg_buf_t *out)
{
    size_t         k;
    node_t        *root, *value;
    unsigned       on[64], any;
    naive_rule_t  *rule;

    root = naive_tree(doc);

    naive_rules(s, N_TARGET) {
        root = naive_get(root, rule->path);

        if (root == NULL) {
            return AGG_NOT_FOUND;
        }
    }

    for (k = 0; k <= AGG_PATH_MAX_STEPS; k++) {
        naive_rules(s, N_LIMIT) {
            if (rule->path->nsteps == k) {
                naive_each(root, rule, 0, naive_limit);
            }
        }
    }

    any = 0;

    for (k = 0; k < s->n; k++) {
        on[k] = (s->rules[k].type == N_ALLOW);
        any |= on[k];
    }

    naive_rules(s, N_ALLOW) {
        naive_each(root, rule, 0, naive_kept);
    }

    if (any) {
        naive_allow(root, s, on, 0);

        if (root->gone) {
            root->gone = 0;
            root->raw = str("null");
            root->kind = AGG_NULL;
        }
    }

    naive_rules(s, N_DENY) {
        naive_each(root, rule, 0, naive_gone);
    }

    naive_rules(s, N_RENAME) {
        naive_each(root, rule, 0, naive_rename);
    }

    naive_losers(root);

    naive_rules(s, N_MOVE) {
        rule->value = naive_get(root, rule->path);
    }

    naive_rules(s, N_INTO) {
        naive_each(root, rule, 0, naive_into_array);
    }

    naive_rules(s, N_MOVE) {
        if (rule->value != NULL && (!naive_there(root, rule->value)
                                    || rule->value->moved))
        {
            rule->value = NULL;
        }

        naive_each(root, rule, 0, naive_taken);
    }

    naive_rules(s, N_MOVE) {
        if (rule->value != NULL) {
            naive_put(&root, rule->to, 0, rule->value);
        }
    }

    naive_rules(s, N_SET) {
        value = naive_tree(&rule->json);
        naive_put(&root, rule->path, 0, value);
    }

    naive_write(out, root);

    return AGG_OK;
}


/* white space between tokens goes; in place */

static inline size_t
naive_minify(u_char *p, size_t len)
{
    int      string;
    size_t   i, n;

    string = 0;
    n = 0;

    for (i = 0; i < len; i++) {

        if (!string && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r'
                        || p[i] == '\n'))
        {
            continue;
        }

        if (string && p[i] == '\\' && i + 1 < len) {
            p[n++] = p[i++];

        } else if (p[i] == '"') {
            string = !string;
        }

        p[n++] = p[i];
    }

    return n;
}


#endif /* SHAPE_NAIVE_H_INCLUDED */
