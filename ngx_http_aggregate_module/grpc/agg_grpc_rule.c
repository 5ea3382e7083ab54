
#include "agg_grpc_rule.h"


#define agg_grpc_equal(a, b)                                                 \
    ((a)->len == (b)->len                                                    \
     && ((a)->len == 0 || memcmp((a)->data, (b)->data, (a)->len) == 0))

#define agg_grpc_is(s, text)                                                 \
    ((s)->len == sizeof(text) - 1                                            \
     && memcmp((s)->data, text, sizeof(text) - 1) == 0)

#define agg_grpc_is_name(c)                                                  \
    (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z')                \
     || ((c) >= '0' && (c) <= '9') || (c) == '_')


/* rules that end at the same node, as a list */

typedef struct agg_grpc_end_s  agg_grpc_end_t;

struct agg_grpc_end_s {
    agg_grpc_rule_t   rule;
    agg_grpc_end_t   *next;
};


/* the possible next segments: ordered literals, "*", and "**" at the end */

struct agg_grpc_node_s {
    agg_str_t          literal;
    agg_grpc_node_t  **children;
    unsigned           nchildren;
    agg_grpc_node_t   *star;
    agg_grpc_end_t    *ends;
    agg_grpc_end_t    *open_ends;
};


/* the state of compiling a template */

typedef struct {
    const u_char        *pos;
    const u_char        *end;
    agg_str_t            segments[AGG_GRPC_MAX_SEGMENTS];
    unsigned             nsegments;
    agg_grpc_variable_t  variables[AGG_GRPC_MAX_SEGMENTS];
    unsigned             nvariables;
    agg_str_t            verb;
    unsigned             open:1;
} agg_grpc_template_t;


typedef struct {
    const agg_grpc_node_t  *node;
    unsigned                step;
} agg_grpc_frame_t;


static const char *agg_grpc_template(agg_grpc_template_t *t,
    const agg_str_t *path);
static const char *agg_grpc_template_segments(agg_grpc_template_t *t,
    int nested);
static const char *agg_grpc_template_variable(agg_grpc_template_t *t);
static const char *agg_grpc_template_literal(agg_grpc_template_t *t,
    int nested);
static agg_grpc_node_t *agg_grpc_node_child(agg_grpc_rules_t *rules,
    agg_grpc_node_t *node, const agg_str_t *segment);
static agg_grpc_node_t *agg_grpc_node_find(const agg_grpc_node_t *node,
    const u_char *data, size_t len, unsigned *place);
static agg_rc_e agg_grpc_name_add(agg_grpc_rules_t *rules,
    agg_str_t **names, unsigned *n, const agg_str_t *name);
static agg_rc_e agg_grpc_walk(const agg_grpc_rules_t *rules,
    agg_grpc_match_t *m, const agg_str_t *method, const agg_str_t *verb);
static agg_grpc_node_t *agg_grpc_walk_literal(const agg_grpc_match_t *m,
    const agg_grpc_node_t *node, unsigned i);
static agg_grpc_rule_t *agg_grpc_walk_ends(agg_grpc_end_t *end,
    agg_grpc_match_t *m, const agg_str_t *method, const agg_str_t *verb);
static void agg_grpc_allow(agg_grpc_match_t *m, const agg_str_t *kind);
static void agg_grpc_split(agg_grpc_match_t *m);


agg_rc_e
agg_grpc_rules_init(agg_grpc_rules_t *rules, agg_mem_t *mem)
{
    memset(rules, 0, sizeof(agg_grpc_rules_t));

    rules->mem = mem;
    rules->root = mem->alloc(mem->ctx, sizeof(agg_grpc_node_t));

    if (rules->root == NULL) {
        return AGG_NOMEM;
    }

    memset(rules->root, 0, sizeof(agg_grpc_node_t));

    return AGG_OK;
}


agg_rc_e
agg_grpc_rules_add(agg_grpc_rules_t *rules, const agg_grpc_http_t *http,
    void *data, agg_grpc_rule_t **rule, const char **error)
{
    size_t                size;
    unsigned              i;
    agg_grpc_end_t       *end, **list;
    agg_grpc_node_t      *node;
    agg_grpc_template_t   t;

    *rule = NULL;

    *error = agg_grpc_template(&t, &http->path);
    if (*error != NULL) {
        return AGG_INVALID;
    }

    node = rules->root;

    for (i = 0; i < t.nsegments; i++) {
        node = agg_grpc_node_child(rules, node, &t.segments[i]);
        if (node == NULL) {
            return AGG_NOMEM;
        }
    }

    list = t.open ? &node->open_ends : &node->ends;

    for (end = *list; end; end = end->next) {
        if (agg_grpc_equal(&end->rule.verb, &t.verb)
            && agg_grpc_equal(&end->rule.http.kind, &http->kind))
        {
            *rule = &end->rule;
            return AGG_INVALID;
        }
    }

    if ((t.verb.len != 0
         && agg_grpc_name_add(rules, &rules->verbs, &rules->nverbs, &t.verb)
            != AGG_OK)
        || agg_grpc_name_add(rules, &rules->kinds, &rules->nkinds,
                             &http->kind)
           != AGG_OK)
    {
        return AGG_NOMEM;
    }

    end = rules->mem->alloc(rules->mem->ctx, sizeof(agg_grpc_end_t));
    if (end == NULL) {
        return AGG_NOMEM;
    }

    memset(end, 0, sizeof(agg_grpc_end_t));

    if (t.nvariables != 0) {
        size = t.nvariables * sizeof(agg_grpc_variable_t);

        end->rule.variables = rules->mem->alloc(rules->mem->ctx, size);
        if (end->rule.variables == NULL) {
            return AGG_NOMEM;
        }

        memcpy(end->rule.variables, t.variables, size);
    }

    end->rule.http = *http;
    end->rule.verb = t.verb;
    end->rule.nvariables = t.nvariables;
    end->rule.data = data;

    end->next = *list;
    *list = end;

    rules->nrules++;
    *rule = &end->rule;

    return AGG_OK;
}


static const char *
agg_grpc_template(agg_grpc_template_t *t, const agg_str_t *path)
{
    unsigned     i, j;
    const char  *error;

    memset(t, 0, sizeof(agg_grpc_template_t));

    t->pos = path->data;
    t->end = path->data + path->len;

    if (path->len == 0 || *t->pos++ != '/') {
        return "it must begin with \"/\"";
    }

    /* a lone "/" is the root */

    if (t->pos != t->end) {
        error = agg_grpc_template_segments(t, 0);
        if (error != NULL) {
            return error;
        }
    }

    for (i = 0; i < t->nvariables; i++) {
        for (j = 0; j < i; j++) {
            if (agg_grpc_equal(&t->variables[i].name, &t->variables[j].name)) {
                return "a variable is bound twice";
            }
        }
    }

    return NULL;
}


/* parses segments up to the end, or to the brace that closes a variable */

static const char *
agg_grpc_template_segments(agg_grpc_template_t *t, int nested)
{
    const char  *error;

    for ( ;; ) {

        if (t->open) {
            return "nothing but a verb may follow \"**\"";
        }

        if (t->pos != t->end && *t->pos == '{') {

            if (nested) {
                return "a variable must not hold another";
            }

            error = agg_grpc_template_variable(t);

        } else {
            error = agg_grpc_template_literal(t, nested);
        }

        if (error != NULL) {
            return error;
        }

        if (t->pos == t->end) {
            return NULL;
        }

        if (*t->pos == '}' && nested) {
            return NULL;
        }

        if (*t->pos == ':') {

            t->verb.data = (u_char *) t->pos + 1;
            t->verb.len = (size_t) (t->end - t->pos) - 1;

            if (t->verb.len == 0
                || memchr(t->verb.data, '/', t->verb.len)
                || memchr(t->verb.data, '{', t->verb.len)
                || memchr(t->verb.data, '}', t->verb.len)
                || memchr(t->verb.data, '*', t->verb.len)
                || memchr(t->verb.data, ':', t->verb.len))
            {
                return "its verb is invalid";
            }

            t->pos = t->end;
            return NULL;
        }

        if (*t->pos != '/') {
            return "\"/\" or a verb must follow a segment";
        }

        t->pos++;
    }
}


static const char *
agg_grpc_template_variable(agg_grpc_template_t *t)
{
    u_char                c;
    const char           *error;
    agg_grpc_variable_t  *v;

    if (t->nvariables == AGG_GRPC_MAX_SEGMENTS) {
        return "it has too many variables";
    }

    v = &t->variables[t->nvariables++];

    v->name.data = (u_char *) ++t->pos;
    v->first = t->nsegments;

    c = '.';

    while (t->pos != t->end && *t->pos != '=' && *t->pos != '}') {

        if (*t->pos == '.' ? c == '.' : !agg_grpc_is_name(*t->pos)) {
            return "the name of a variable is invalid";
        }

        c = *t->pos++;
    }

    v->name.len = (size_t) (t->pos - v->name.data);

    if (c == '.') {
        return "the name of a variable is invalid";
    }

    if (t->pos == t->end) {
        return "a variable does not end";
    }

    if (*t->pos == '}') {
        if (t->nsegments == AGG_GRPC_MAX_SEGMENTS) {
            return "it has more than 64 segments";
        }

        t->segments[t->nsegments].len = 1;
        t->segments[t->nsegments++].data = (u_char *) "*";

    } else {
        t->pos++;

        error = agg_grpc_template_segments(t, 1);
        if (error != NULL) {
            return error;
        }

        if (t->pos == t->end) {
            return "a variable does not end";
        }
    }

    t->pos++;

    v->end = t->nsegments;
    v->open = t->open;
    v->multi = v->open || v->end - v->first > 1;

    return NULL;
}


/* parses a literal, "*" or "**" */

static const char *
agg_grpc_template_literal(agg_grpc_template_t *t, int nested)
{
    const u_char  *p, *colon;
    agg_str_t      s;

    p = t->pos;
    colon = NULL;

    while (t->pos != t->end && *t->pos != '/' && *t->pos != '}'
           && *t->pos != '{')
    {
        if (*t->pos == ':') {
            colon = t->pos;
        }

        t->pos++;
    }

    /* a verb follows the last colon in the last segment */

    if (t->pos == t->end && colon != NULL && !nested) {
        t->pos = colon;
    }

    s.data = (u_char *) p;
    s.len = (size_t) (t->pos - p);

    if (s.len == 0) {
        return "a segment is empty";
    }

    if (agg_grpc_is(&s, "**")) {
        t->open = 1;
        return NULL;
    }

    if (!agg_grpc_is(&s, "*") && memchr(s.data, '*', s.len) != NULL) {
        return "\"*\" must be a whole segment";
    }

    if (memchr(s.data, '%', s.len) != NULL) {
        return "a literal must not be percent-encoded";
    }

    if (t->nsegments == AGG_GRPC_MAX_SEGMENTS) {
        return "it has more than 64 segments";
    }

    t->segments[t->nsegments++] = s;

    return NULL;
}


static agg_grpc_node_t *
agg_grpc_node_child(agg_grpc_rules_t *rules, agg_grpc_node_t *node,
    const agg_str_t *segment)
{
    unsigned           place, star;
    agg_mem_t         *mem;
    agg_grpc_node_t   *child, **children;

    mem = rules->mem;
    star = agg_grpc_is(segment, "*");

    if (star) {
        child = node->star;

    } else {
        child = agg_grpc_node_find(node, segment->data, segment->len, &place);
    }

    if (child != NULL) {
        return child;
    }

    child = mem->alloc(mem->ctx, sizeof(agg_grpc_node_t));
    if (child == NULL) {
        return NULL;
    }

    memset(child, 0, sizeof(agg_grpc_node_t));
    child->literal = *segment;

    if (star) {
        node->star = child;
        return child;
    }

    children = mem->alloc(mem->ctx, (node->nchildren + 1)
                                    * sizeof(agg_grpc_node_t *));
    if (children == NULL) {
        return NULL;
    }

    if (place != 0) {
        memcpy(children, node->children, place * sizeof(agg_grpc_node_t *));
    }

    children[place] = child;

    if (place != node->nchildren) {
        memcpy(children + place + 1, node->children + place,
               (node->nchildren - place) * sizeof(agg_grpc_node_t *));
    }

    node->children = children;
    node->nchildren++;

    return child;
}


/* *place is the link to the child, or where to insert it */

static agg_grpc_node_t *
agg_grpc_node_find(const agg_grpc_node_t *node, const u_char *data,
    size_t len, unsigned *place)
{
    int         order;
    unsigned    low, high, middle;
    agg_str_t  *s;

    low = 0;
    high = node->nchildren;

    while (low < high) {

        middle = low + (high - low) / 2;
        s = &node->children[middle]->literal;

        if (s->len != len) {
            order = len < s->len ? -1 : 1;

        } else {
            order = len == 0 ? 0 : memcmp(data, s->data, len);
        }

        if (order == 0) {
            *place = middle;
            return node->children[middle];
        }

        if (order < 0) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    *place = low;

    return NULL;
}


static agg_rc_e
agg_grpc_name_add(agg_grpc_rules_t *rules, agg_str_t **names, unsigned *n,
    const agg_str_t *name)
{
    unsigned    i;
    agg_str_t  *list;

    for (i = 0; i < *n; i++) {
        if (agg_grpc_equal(&(*names)[i], name)) {
            return AGG_OK;
        }
    }

    list = rules->mem->alloc(rules->mem->ctx, (*n + 1) * sizeof(agg_str_t));
    if (list == NULL) {
        return AGG_NOMEM;
    }

    if (*n != 0) {
        memcpy(list, *names, *n * sizeof(agg_str_t));
    }

    list[(*n)++] = *name;
    *names = list;

    return AGG_OK;
}


agg_rc_e
agg_grpc_match(const agg_grpc_rules_t *rules, agg_grpc_match_t *m,
    const agg_str_t *method, const agg_str_t *path, int decoded)
{
    unsigned   i;
    u_char    *p;
    agg_rc_e   rc;
    agg_str_t  verb;

    m->rule = NULL;
    m->nallowed = 0;
    m->decoded = decoded ? 1 : 0;

    if (path->len == 0 || path->data[0] != '/') {
        return AGG_NOT_FOUND;
    }

    p = path->data + path->len;

    while (rules->nverbs != 0 && p[-1] != '/' && p[-1] != ':') {
        p--;
    }

    if (rules->nverbs != 0 && p[-1] == ':') {

        verb.data = p;
        verb.len = (size_t) (path->data + path->len - p);

        for (i = 0; i < rules->nverbs; i++) {

            if (!agg_grpc_equal(&rules->verbs[i], &verb)) {
                continue;
            }

            m->path = *path;
            m->path.len -= verb.len + 1;
            agg_grpc_split(m);

            rc = agg_grpc_walk(rules, m, method, &verb);
            if (rc != AGG_NOT_FOUND) {
                return rc;
            }
        }
    }

    verb.len = 0;
    verb.data = NULL;

    m->path = *path;
    agg_grpc_split(m);

    return agg_grpc_walk(rules, m, method, &verb);
}


/* finds the offsets of the segments, as many as a template may have plus one */

static void
agg_grpc_split(agg_grpc_match_t *m)
{
    u_char    *p, *end;
    unsigned   n;

    n = 0;
    p = m->path.data;
    end = p + m->path.len;

    if (m->path.len == 1) {
        m->nsegments = 0;
        m->segments[0] = 1;
        return;
    }

    while (p != NULL && n <= AGG_GRPC_MAX_SEGMENTS) {
        p++;
        m->segments[n++] = (uint32_t) (p - m->path.data);
        p = memchr(p, '/', (size_t) (end - p));
    }

    m->nsegments = n;

    /* as if another segment began after the end */

    m->segments[n] = (uint32_t) (p == NULL ? m->path.len + 1
                                           : (size_t) (p - m->path.data) + 1);
}


static agg_rc_e
agg_grpc_walk(const agg_grpc_rules_t *rules, agg_grpc_match_t *m,
    const agg_str_t *method, const agg_str_t *verb)
{
    unsigned                depth;
    agg_grpc_frame_t       *f, frames[AGG_GRPC_MAX_SEGMENTS + 1];
    const agg_grpc_node_t  *next;

    depth = 0;
    frames[0].node = rules->root;
    frames[0].step = 0;

    for ( ;; ) {

        f = &frames[depth];
        next = NULL;

        switch (f->step++) {

        case 0:
            if (depth == m->nsegments) {
                m->rule = agg_grpc_walk_ends(f->node->ends, m, method, verb);
                f->step = 2;

            } else {
                next = agg_grpc_walk_literal(m, f->node, depth);
            }

            break;

        case 1:
            if (m->segments[depth + 1] - m->segments[depth] > 1) {
                next = f->node->star;
            }

            break;

        case 2:
            m->rule = agg_grpc_walk_ends(f->node->open_ends, m, method, verb);
            break;

        default:
            if (depth-- == 0) {
                return AGG_NOT_FOUND;
            }
        }

        if (m->rule != NULL) {
            return AGG_OK;
        }

        if (next != NULL) {
            frames[++depth].node = next;
            frames[depth].step = 0;
        }
    }
}


static agg_grpc_node_t *
agg_grpc_walk_literal(const agg_grpc_match_t *m, const agg_grpc_node_t *node,
    unsigned i)
{
    u_char            decoded[256];
    ssize_t           n;
    unsigned          place;
    agg_str_t         s;
    agg_grpc_node_t  *child;

    if (node->nchildren == 0) {
        return NULL;
    }

    s.data = m->path.data + m->segments[i];
    s.len = m->segments[i + 1] - m->segments[i] - 1;

    child = agg_grpc_node_find(node, s.data, s.len, &place);

    if (child != NULL || m->decoded || s.len > sizeof(decoded)
        || memchr(s.data, '%', s.len) == NULL)
    {
        return child;
    }

    n = agg_grpc_decode(decoded, &s, 0);

    if (n < 0) {
        return NULL;
    }

    return agg_grpc_node_find(node, decoded, (size_t) n, &place);
}


/*
 * a rule for the method is preferred to one for any method; HEAD counts as GET
 */

static agg_grpc_rule_t *
agg_grpc_walk_ends(agg_grpc_end_t *end, agg_grpc_match_t *m,
    const agg_str_t *method, const agg_str_t *verb)
{
    agg_grpc_rule_t  *any, *get;

    any = NULL;
    get = NULL;

    for ( /* void */ ; end; end = end->next) {

        if (!agg_grpc_equal(&end->rule.verb, verb)) {
            continue;
        }

        if (agg_grpc_equal(&end->rule.http.kind, method)) {
            return &end->rule;
        }

        if (agg_grpc_is(&end->rule.http.kind, "*")) {
            any = &end->rule;

        } else if (agg_grpc_is(&end->rule.http.kind, "GET")
                   && agg_grpc_is(method, "HEAD"))
        {
            get = &end->rule;

        } else {
            agg_grpc_allow(m, &end->rule.http.kind);
        }
    }

    return get ? get : any;
}


/* inserts in alphabetical order */

static void
agg_grpc_allow(agg_grpc_match_t *m, const agg_str_t *kind)
{
    int         order;
    size_t      len;
    unsigned    i;
    agg_str_t  *s;

    static const agg_str_t  head = { 4, (u_char *) "HEAD" };

    for (i = 0; i < m->nallowed; i++) {
        s = &m->allowed[i];
        len = s->len < kind->len ? s->len : kind->len;
        order = memcmp(s->data, kind->data, len);

        if (order == 0 && s->len == kind->len) {
            return;
        }

        if (order > 0 || (order == 0 && s->len > kind->len)) {
            break;
        }
    }

    if (m->nallowed < AGG_GRPC_MAX_ALLOWED) {
        memmove(&m->allowed[i + 1], &m->allowed[i],
                (m->nallowed - i) * sizeof(agg_str_t));
        m->allowed[i] = *kind;
        m->nallowed++;
    }

    if (agg_grpc_is(kind, "GET")) {
        agg_grpc_allow(m, &head);
    }
}


agg_rc_e
agg_grpc_match_value(const agg_grpc_match_t *m, unsigned i, u_char *dst,
    agg_str_t *value)
{
    size_t                start, end;
    ssize_t               n;
    agg_str_t             s;
    agg_grpc_variable_t  *v;

    v = &m->rule->variables[i];

    start = m->segments[v->first];
    end = v->open ? m->path.len : m->segments[v->end] - 1;

    /* "**" matches no segment */

    if (start > end) {
        start = end;
    }

    s.data = m->path.data + start;
    s.len = end - start;

    value->data = dst;

    if (m->decoded) {
        if (s.len != 0) {
            memcpy(dst, s.data, s.len);
        }

        value->len = s.len;

        return AGG_OK;
    }

    n = agg_grpc_decode(dst, &s, !v->multi);

    if (n < 0) {
        return AGG_INVALID;
    }

    value->len = (size_t) n;

    return AGG_OK;
}
