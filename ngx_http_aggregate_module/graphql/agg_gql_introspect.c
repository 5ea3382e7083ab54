
/*
 * Introspection.  The selections are compiled to a tree of nodes, one for each
 * response name in each set, with fragments and conditions resolved and
 * fields of the same name merged.  The tree is then run over the schema, with a
 * stack of the tree's depth, and writes the result.
 */


#include "agg_gql_schema.h"
#include "agg_gql_parse.h"


typedef enum {
    AGG_GQL_META_SCHEMA = 0,
    AGG_GQL_META_TYPE,
    AGG_GQL_META_FIELD,
    AGG_GQL_META_INPUT,
    AGG_GQL_META_ENUM_VALUE,
    AGG_GQL_META_DIRECTIVE
} agg_gql_meta_e;


/* the fields of the introspection types, in their order in the prelude */

enum {
    AGG_GQL_SCHEMA_DESCRIPTION = 0,
    AGG_GQL_SCHEMA_TYPES,
    AGG_GQL_SCHEMA_QUERY,
    AGG_GQL_SCHEMA_MUTATION,
    AGG_GQL_SCHEMA_SUBSCRIPTION,
    AGG_GQL_SCHEMA_DIRECTIVES
};

enum {
    AGG_GQL_TYPE_KIND = 0,
    AGG_GQL_TYPE_NAME,
    AGG_GQL_TYPE_DESCRIPTION,
    AGG_GQL_TYPE_SPECIFIED_BY,
    AGG_GQL_TYPE_FIELDS,
    AGG_GQL_TYPE_INTERFACES,
    AGG_GQL_TYPE_POSSIBLE,
    AGG_GQL_TYPE_VALUES,
    AGG_GQL_TYPE_INPUTS,
    AGG_GQL_TYPE_OF,
    AGG_GQL_TYPE_ONE_OF
};

enum {
    AGG_GQL_FIELD_NAME = 0,
    AGG_GQL_FIELD_DESCRIPTION,
    AGG_GQL_FIELD_ARGS,
    AGG_GQL_FIELD_TYPE,
    AGG_GQL_FIELD_DEPRECATED,
    AGG_GQL_FIELD_REASON
};

enum {
    AGG_GQL_INPUT_NAME = 0,
    AGG_GQL_INPUT_DESCRIPTION,
    AGG_GQL_INPUT_TYPE,
    AGG_GQL_INPUT_DEFAULT,
    AGG_GQL_INPUT_DEPRECATED,
    AGG_GQL_INPUT_REASON
};

enum {
    AGG_GQL_VALUE_NAME = 0,
    AGG_GQL_VALUE_DESCRIPTION,
    AGG_GQL_VALUE_DEPRECATED,
    AGG_GQL_VALUE_REASON
};

enum {
    AGG_GQL_DIRECTIVE_NAME = 0,
    AGG_GQL_DIRECTIVE_DESCRIPTION,
    AGG_GQL_DIRECTIVE_REPEATABLE,
    AGG_GQL_DIRECTIVE_LOCATIONS,
    AGG_GQL_DIRECTIVE_ARGS
};


typedef struct {
    const agg_str_t         *alias;
    const agg_gql_field_t   *field;
    unsigned                 deprecated;    /* includeDeprecated */
    uint32_t                 first;         /* the first own node, or NONE */
    uint32_t                 last;
    uint32_t                 next;
    uint32_t                 members;       /* selections that were merged */
    uint32_t                 members_last;
} agg_gql_node_t;


typedef struct {
    uint32_t                 sel;
    uint32_t                 next;
} agg_gql_member_t;


/* an object, or a list of objects, that is being written */

typedef struct {
    agg_gql_meta_e           kind;
    unsigned                 list;
    const void              *element;       /* the object; or array of them */
    agg_gql_wraps_t          wraps;         /* the wraps of a type */
    uint32_t                 node;          /* the next one; of a list its own
                                               first */
    unsigned                 pointers;      /* the array is one of pointers */
    unsigned                 deprecated;
    unsigned                 i;
    unsigned                 n;
} agg_gql_place_frame_t;


typedef struct {
    const agg_gql_schema_t  *schema;
    const agg_gql_doc_t     *doc;
    uint32_t                 operation;
    const agg_str_t         *values;
    agg_mem_t               *mem;
    agg_buf_t               *out;
    agg_gql_node_t          *nodes;
    uint32_t                 nnodes;
    agg_gql_member_t        *members;
    uint32_t                 nmembers;
    uint32_t                *stamps;        /* by fragment */
    uint32_t                *stack;
    agg_gql_place_frame_t   *frames;
    uint32_t                 depth;
    uint32_t                 frames_room;
} agg_gql_introspect_t;


static agg_rc_e agg_gql_compile(agg_gql_introspect_t *in,
    const uint32_t *selections, unsigned n);
static agg_rc_e agg_gql_compile_node(agg_gql_introspect_t *in,
    uint32_t node);
static agg_rc_e agg_gql_compile_set(agg_gql_introspect_t *in, uint32_t node,
    uint32_t first);
static agg_rc_e agg_gql_compile_field(agg_gql_introspect_t *in,
    uint32_t node, uint32_t sel);
static agg_rc_e agg_gql_add_member(agg_gql_introspect_t *in, uint32_t node,
    uint32_t sel);
static agg_rc_e agg_gql_run_root(agg_gql_introspect_t *in,
    const agg_gql_selection_t *sel);
static agg_rc_e agg_gql_run(agg_gql_introspect_t *in);
static agg_rc_e agg_gql_run_list(agg_gql_introspect_t *in,
    agg_gql_place_frame_t *f);
static agg_rc_e agg_gql_run_node(agg_gql_introspect_t *in,
    const agg_gql_place_frame_t *f, const agg_gql_node_t *node);
static agg_rc_e agg_gql_run_schema(agg_gql_introspect_t *in,
    const agg_gql_node_t *node);
static agg_rc_e agg_gql_run_type(agg_gql_introspect_t *in,
    const agg_gql_type_t *type, agg_gql_wraps_t wraps,
    const agg_gql_node_t *node);
static agg_rc_e agg_gql_run_type_lists(agg_gql_introspect_t *in,
    const agg_gql_type_t *type, const agg_gql_node_t *node);
static agg_rc_e agg_gql_run_field(agg_gql_introspect_t *in,
    const agg_gql_field_t *field, const agg_gql_node_t *node);
static agg_rc_e agg_gql_run_input(agg_gql_introspect_t *in,
    const agg_gql_input_t *input, const agg_gql_node_t *node);
static agg_rc_e agg_gql_run_value(agg_gql_introspect_t *in,
    const agg_gql_enum_value_t *value, const agg_gql_node_t *node);
static agg_rc_e agg_gql_run_directive(agg_gql_introspect_t *in,
    const agg_gql_directive_t *d, const agg_gql_node_t *node);


agg_rc_e
agg_gql_introspect(const agg_gql_schema_t *schema, const agg_gql_doc_t *doc,
    uint32_t operation, const agg_str_t *values, const uint32_t *selections,
    unsigned n, agg_mem_t *mem, agg_buf_t *out)
{
    size_t                size;
    agg_gql_introspect_t  in;

    memset(&in, 0, sizeof(agg_gql_introspect_t));

    in.schema = schema;
    in.doc = doc;
    in.operation = operation;
    in.values = values;
    in.mem = mem;
    in.out = out;

    size = (doc->nfragments + 1) * sizeof(uint32_t);

    in.stamps = mem->alloc(mem->ctx, size);
    in.stack = mem->alloc(mem->ctx, (doc->nselections + 1)
                                    * sizeof(uint32_t));

    if (in.stamps == NULL || in.stack == NULL) {
        return AGG_NOMEM;
    }

    memset(in.stamps, 0, size);

    agg_gql_try(agg_gql_compile(&in, selections, n));
    agg_gql_try(agg_gql_run_root(&in, &doc->selections[selections[0]]));

    return agg_gql_run(&in);
}


/* nodes are compiled in order, and each may add more at the end */

static agg_rc_e
agg_gql_compile(agg_gql_introspect_t *in, const uint32_t *selections,
    unsigned n)
{
    uint32_t         i;
    agg_gql_node_t  *root;

    root = agg_gql_new(in->mem, in->nodes, in->nnodes);
    if (root == NULL) {
        return AGG_NOMEM;
    }

    root->first = AGG_GQL_NONE;
    root->members = AGG_GQL_NONE;

    for (i = 0; i < n; i++) {
        agg_gql_try(agg_gql_add_member(in, 0, selections[i]));
    }

    for (i = 0; i < in->nnodes; i++) {
        agg_gql_try(agg_gql_compile_node(in, i));
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_add_member(agg_gql_introspect_t *in, uint32_t node, uint32_t sel)
{
    uint32_t           id;
    agg_gql_node_t    *n;
    agg_gql_member_t  *m;

    id = in->nmembers;

    m = agg_gql_new(in->mem, in->members, in->nmembers);
    if (m == NULL) {
        return AGG_NOMEM;
    }

    m->sel = sel;
    m->next = AGG_GQL_NONE;

    n = &in->nodes[node];

    if (n->members == AGG_GQL_NONE) {
        n->members = id;

    } else {
        in->members[n->members_last].next = id;
    }

    n->members_last = id;

    return AGG_OK;
}


static agg_rc_e
agg_gql_compile_node(agg_gql_introspect_t *in, uint32_t node)
{
    uint32_t  m, first;

    for (m = in->nodes[node].members; m != AGG_GQL_NONE;
         m = in->members[m].next)
    {
        first = in->doc->selections[in->members[m].sel].first;

        if (first != AGG_GQL_NONE) {
            agg_gql_try(agg_gql_compile_set(in, node, first));
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_compile_set(agg_gql_introspect_t *in, uint32_t node, uint32_t first)
{
    uint32_t                    id, depth;
    const agg_gql_selection_t  *sel;

    in->stack[0] = first;
    depth = 1;

    while (depth != 0) {
        id = in->stack[depth - 1];
        sel = &in->doc->selections[id];

        if (sel->next != AGG_GQL_NONE) {
            in->stack[depth - 1] = sel->next;

        } else {
            depth--;
        }

        if (!agg_gql_included(in->doc, in->operation, in->values,
                              sel->applied))
        {
            continue;
        }

        switch (sel->kind) {

        case AGG_GQL_FIELD:
            agg_gql_try(agg_gql_compile_field(in, node, id));
            break;

        case AGG_GQL_INLINE:
            in->stack[depth++] = sel->first;
            break;

        default:
            if (in->stamps[sel->fragment] != node + 1) {
                in->stamps[sel->fragment] = node + 1;
                in->stack[depth++]
                    = in->doc->fragments[sel->fragment].first;
            }
        }
    }

    return AGG_OK;
}


static agg_rc_e
agg_gql_compile_field(agg_gql_introspect_t *in, uint32_t node, uint32_t id)
{
    uint32_t                    k;
    agg_rc_e                    rc;
    agg_buf_t                   b;
    agg_gql_node_t             *n;
    const agg_gql_selection_t  *sel;

    sel = &in->doc->selections[id];

    for (k = in->nodes[node].first; k != AGG_GQL_NONE; k = n->next) {
        n = &in->nodes[k];

        if (agg_gql_equal(n->alias, &sel->alias)) {
            return agg_gql_add_member(in, k, id);
        }
    }

    k = in->nnodes;

    n = agg_gql_new(in->mem, in->nodes, in->nnodes);
    if (n == NULL) {
        return AGG_NOMEM;
    }

    n->alias = &sel->alias;
    n->field = sel->field;
    n->first = AGG_GQL_NONE;
    n->next = AGG_GQL_NONE;
    n->members = AGG_GQL_NONE;

    if (in->nodes[node].first == AGG_GQL_NONE) {
        in->nodes[node].first = k;

    } else {
        in->nodes[in->nodes[node].last].next = k;
    }

    in->nodes[node].last = k;

    if (sel->arg != AGG_GQL_NONE) {

        /* the only argument is includeDeprecated */

        agg_buf_init(&b, in->mem, 64);

        rc = agg_gql_argument(in->doc, in->operation, in->values, sel->arg,
                              &sel->field->args[0], &b);

        if (rc == AGG_NOMEM) {
            return rc;
        }

        n->deprecated = (rc == AGG_OK && agg_buf_used(&b) == 4
                         && memcmp(b.start, "true", 4) == 0);
    }

    return agg_gql_add_member(in, k, id);
}


/* pushes an object, whose nodes start at "node" */

static agg_rc_e
agg_gql_run_object(agg_gql_introspect_t *in, agg_gql_meta_e kind,
    const void *element, agg_gql_wraps_t wraps, uint32_t node)
{
    agg_gql_place_frame_t  *f;

    f = agg_gql_new_room(in->mem, in->frames, in->depth, in->frames_room);
    if (f == NULL) {
        return AGG_NOMEM;
    }

    f->kind = kind;
    f->element = element;
    f->wraps = wraps;
    f->node = node;

    return agg_buf_append(in->out, "{", 1);
}


static agg_rc_e
agg_gql_open_list(agg_gql_introspect_t *in, agg_gql_meta_e kind,
    const void *elements, unsigned n, unsigned pointers,
    const agg_gql_node_t *node)
{
    agg_gql_place_frame_t  *f;

    f = agg_gql_new_room(in->mem, in->frames, in->depth, in->frames_room);
    if (f == NULL) {
        return AGG_NOMEM;
    }

    f->kind = kind;
    f->list = 1;
    f->element = elements;
    f->n = n;
    f->pointers = pointers;
    f->deprecated = node->deprecated;
    f->node = node->first;

    return agg_buf_append(in->out, "[", 1);
}


static agg_rc_e
agg_gql_null(agg_gql_introspect_t *in)
{
    return agg_buf_append(in->out, "null", 4);
}


static agg_rc_e
agg_gql_boolean(agg_gql_introspect_t *in, unsigned truth)
{
    return truth ? agg_buf_append(in->out, "true", 4)
                 : agg_buf_append(in->out, "false", 5);
}


/* writes a string, or null if there is none */

static agg_rc_e
agg_gql_string(agg_gql_introspect_t *in, const agg_str_t *s)
{
    return (s->data == NULL) ? agg_gql_null(in)
                             : agg_json_escape(in->out, s->data, s->len);
}


static agg_rc_e
agg_gql_literal_string(agg_gql_introspect_t *in, const char *s)
{
    return agg_json_escape(in->out, (const u_char *) s, strlen(s));
}


static agg_rc_e
agg_gql_run_root(agg_gql_introspect_t *in, const agg_gql_selection_t *sel)
{
    ssize_t           len;
    agg_rc_e          rc;
    agg_str_t         name, raw;
    agg_buf_t         b;
    agg_gql_type_t   *type;

    if (sel->field == in->schema->schema_field) {
        return agg_gql_run_object(in, AGG_GQL_META_SCHEMA, in->schema, 0,
                                  in->nodes[0].first);
    }

    agg_buf_init(&b, in->mem, 1 << 20);

    rc = agg_gql_argument(in->doc, in->operation, in->values, sel->arg,
                          &sel->field->args[0], &b);

    if (rc == AGG_NOMEM) {
        return rc;
    }

    if (rc != AGG_OK || agg_buf_used(&b) < 2 || *b.start != '"') {
        return agg_gql_null(in);
    }

    raw.data = b.start + 1;
    raw.len = agg_buf_used(&b) - 2;

    len = agg_json_unescape(raw.data, &raw);

    name.data = raw.data;
    name.len = (len > 0) ? (size_t) len : 0;

    type = agg_gql_type_by_name(in->schema, &name);

    return (type == NULL) ? agg_gql_null(in)
                          : agg_gql_run_object(in, AGG_GQL_META_TYPE, type, 0,
                                               in->nodes[0].first);
}


static agg_rc_e
agg_gql_run(agg_gql_introspect_t *in)
{
    agg_gql_node_t         *node;
    agg_gql_place_frame_t  *f, object;

    while (in->depth != 0) {
        f = &in->frames[in->depth - 1];

        if (f->list) {
            agg_gql_try(agg_gql_run_list(in, f));
            continue;
        }

        if (f->node == AGG_GQL_NONE) {
            in->depth--;
            agg_gql_try(agg_buf_append(in->out, "}", 1));
            continue;
        }

        node = &in->nodes[f->node];
        f->node = node->next;

        if (in->out->pos[-1] != '{') {
            agg_gql_try(agg_buf_append(in->out, ",", 1));
        }

        agg_gql_try(agg_gql_put(in->out, "\"%W\":", node->alias));

        /* the frames may move when another one is pushed */

        object = *f;
        agg_gql_try(agg_gql_run_node(in, &object, node));
    }

    return AGG_OK;
}


/* writes the next element of a list that is not hidden */

static agg_rc_e
agg_gql_run_list(agg_gql_introspect_t *in, agg_gql_place_frame_t *f)
{
    unsigned     i;
    const void  *element;

    static const size_t  sizes[] = {
        0, sizeof(agg_gql_type_t), sizeof(agg_gql_field_t),
        sizeof(agg_gql_input_t), sizeof(agg_gql_enum_value_t),
        sizeof(agg_gql_directive_t)
    };

    if (f->i == f->n) {
        in->depth--;
        return agg_buf_append(in->out, "]", 1);
    }

    i = f->i++;

    element = f->pointers ? ((void *const *) f->element)[i]
              : (const u_char *) f->element + i * sizes[f->kind];

    if (!f->deprecated
        && ((f->kind == AGG_GQL_META_FIELD
             && ((const agg_gql_field_t *) element)->deprecated.data != NULL)
            || (f->kind == AGG_GQL_META_INPUT
                && ((const agg_gql_input_t *) element)->deprecated.data
                   != NULL)
            || (f->kind == AGG_GQL_META_ENUM_VALUE
                && ((const agg_gql_enum_value_t *) element)->deprecated.data
                   != NULL)))
    {
        return AGG_OK;
    }

    if (in->out->pos[-1] != '[') {
        agg_gql_try(agg_buf_append(in->out, ",", 1));
    }

    return agg_gql_run_object(in, f->kind, element, 0, f->node);
}


static agg_rc_e
agg_gql_run_node(agg_gql_introspect_t *in, const agg_gql_place_frame_t *f,
    const agg_gql_node_t *node)
{
    static const char *const  names[] = {
        "__Schema", "__Type", "__Field", "__InputValue", "__EnumValue",
        "__Directive"
    };

    if (node->field == in->schema->typename_field) {
        return agg_gql_literal_string(in, names[f->kind]);
    }

    switch (f->kind) {

    case AGG_GQL_META_SCHEMA:
        return agg_gql_run_schema(in, node);

    case AGG_GQL_META_TYPE:
        return agg_gql_run_type(in, f->element, f->wraps, node);

    case AGG_GQL_META_FIELD:
        return agg_gql_run_field(in, f->element, node);

    case AGG_GQL_META_INPUT:
        return agg_gql_run_input(in, f->element, node);

    case AGG_GQL_META_ENUM_VALUE:
        return agg_gql_run_value(in, f->element, node);

    default:
        return agg_gql_run_directive(in, f->element, node);
    }
}


static agg_rc_e
agg_gql_run_schema(agg_gql_introspect_t *in, const agg_gql_node_t *node)
{
    const agg_gql_type_t    *type;
    const agg_gql_schema_t  *s;

    s = in->schema;

    switch (node->field->index) {

    case AGG_GQL_SCHEMA_DESCRIPTION:
        return agg_gql_string(in, &s->description);

    case AGG_GQL_SCHEMA_TYPES:
        return agg_gql_open_list(in, AGG_GQL_META_TYPE, s->ordered,
                                 s->nordered, 1, node);

    case AGG_GQL_SCHEMA_DIRECTIVES:
        return agg_gql_open_list(in, AGG_GQL_META_DIRECTIVE, s->shown,
                                 s->nshown, 1, node);

    case AGG_GQL_SCHEMA_QUERY:
        type = s->query;
        break;

    case AGG_GQL_SCHEMA_MUTATION:
        type = s->mutation;
        break;

    default:
        type = s->subscription;
    }

    return (type == NULL) ? agg_gql_null(in)
                          : agg_gql_run_object(in, AGG_GQL_META_TYPE, type, 0,
                                               node->first);
}


static agg_rc_e
agg_gql_run_type(agg_gql_introspect_t *in, const agg_gql_type_t *type,
    agg_gql_wraps_t wraps, const agg_gql_node_t *node)
{
    static const char *const  kinds[] = {
        "SCALAR", "OBJECT", "INTERFACE", "UNION", "ENUM", "INPUT_OBJECT"
    };

    if (wraps != 0) {

        switch (node->field->index) {

        case AGG_GQL_TYPE_KIND:
            return agg_gql_literal_string(in, agg_gql_non_null(wraps)
                                              ? "NON_NULL" : "LIST");

        case AGG_GQL_TYPE_OF:
            return agg_gql_run_object(in, AGG_GQL_META_TYPE, type,
                                      agg_gql_inner(wraps), node->first);

        default:
            return agg_gql_null(in);
        }
    }

    switch (node->field->index) {

    case AGG_GQL_TYPE_KIND:
        return agg_gql_literal_string(in, kinds[type->kind]);

    case AGG_GQL_TYPE_NAME:
        return agg_gql_string(in, &type->name);

    case AGG_GQL_TYPE_DESCRIPTION:
        return agg_gql_string(in, &type->description);

    case AGG_GQL_TYPE_SPECIFIED_BY:
        return agg_gql_string(in, &type->specified_by);

    case AGG_GQL_TYPE_ONE_OF:
        return (type->kind == AGG_GQL_INPUT_OBJECT)
               ? agg_gql_boolean(in, type->one_of) : agg_gql_null(in);

    case AGG_GQL_TYPE_OF:
        return agg_gql_null(in);

    default:
        return agg_gql_run_type_lists(in, type, node);
    }
}


static agg_rc_e
agg_gql_run_type_lists(agg_gql_introspect_t *in, const agg_gql_type_t *type,
    const agg_gql_node_t *node)
{
    unsigned  fields;

    fields = (type->kind == AGG_GQL_OBJECT_TYPE
              || type->kind == AGG_GQL_INTERFACE);

    switch (node->field->index) {

    case AGG_GQL_TYPE_FIELDS:
        if (fields) {
            return agg_gql_open_list(in, AGG_GQL_META_FIELD, type->fields,
                                     type->nfields, 0, node);
        }

        break;

    case AGG_GQL_TYPE_INTERFACES:
        if (fields) {
            return agg_gql_open_list(in, AGG_GQL_META_TYPE, type->interfaces,
                                     type->ninterfaces, 1, node);
        }

        break;

    case AGG_GQL_TYPE_POSSIBLE:
        if (agg_gql_is_abstract(type)) {
            return agg_gql_open_list(in, AGG_GQL_META_TYPE, type->possible,
                                     type->npossible, 1, node);
        }

        break;

    case AGG_GQL_TYPE_VALUES:
        if (type->kind == AGG_GQL_ENUM_TYPE) {
            return agg_gql_open_list(in, AGG_GQL_META_ENUM_VALUE,
                                     type->values, type->nvalues, 0, node);
        }

        break;

    default:
        if (type->kind == AGG_GQL_INPUT_OBJECT) {
            return agg_gql_open_list(in, AGG_GQL_META_INPUT, type->inputs,
                                     type->ninputs, 0, node);
        }
    }

    return agg_gql_null(in);
}


static agg_rc_e
agg_gql_run_field(agg_gql_introspect_t *in, const agg_gql_field_t *field,
    const agg_gql_node_t *node)
{
    switch (node->field->index) {

    case AGG_GQL_FIELD_NAME:
        return agg_gql_string(in, &field->name);

    case AGG_GQL_FIELD_DESCRIPTION:
        return agg_gql_string(in, &field->description);

    case AGG_GQL_FIELD_ARGS:
        return agg_gql_open_list(in, AGG_GQL_META_INPUT, field->args,
                                 field->nargs, 0, node);

    case AGG_GQL_FIELD_TYPE:
        return agg_gql_run_object(in, AGG_GQL_META_TYPE, field->type.type,
                                  field->type.wraps, node->first);

    case AGG_GQL_FIELD_DEPRECATED:
        return agg_gql_boolean(in, field->deprecated.data != NULL);

    default:
        return agg_gql_string(in, &field->deprecated);
    }
}


static agg_rc_e
agg_gql_run_input(agg_gql_introspect_t *in, const agg_gql_input_t *input,
    const agg_gql_node_t *node)
{
    switch (node->field->index) {

    case AGG_GQL_INPUT_NAME:
        return agg_gql_string(in, &input->name);

    case AGG_GQL_INPUT_DESCRIPTION:
        return agg_gql_string(in, &input->description);

    case AGG_GQL_INPUT_TYPE:
        return agg_gql_run_object(in, AGG_GQL_META_TYPE, input->type.type,
                                  input->type.wraps, node->first);

    case AGG_GQL_INPUT_DEFAULT:
        return agg_gql_string(in, &input->default_text);

    case AGG_GQL_INPUT_DEPRECATED:
        return agg_gql_boolean(in, input->deprecated.data != NULL);

    default:
        return agg_gql_string(in, &input->deprecated);
    }
}


static agg_rc_e
agg_gql_run_value(agg_gql_introspect_t *in, const agg_gql_enum_value_t *value,
    const agg_gql_node_t *node)
{
    switch (node->field->index) {

    case AGG_GQL_VALUE_NAME:
        return agg_gql_string(in, &value->name);

    case AGG_GQL_VALUE_DESCRIPTION:
        return agg_gql_string(in, &value->description);

    case AGG_GQL_VALUE_DEPRECATED:
        return agg_gql_boolean(in, value->deprecated.data != NULL);

    default:
        return agg_gql_string(in, &value->deprecated);
    }
}


static agg_rc_e
agg_gql_run_directive(agg_gql_introspect_t *in, const agg_gql_directive_t *d,
    const agg_gql_node_t *node)
{
    unsigned  i;

    switch (node->field->index) {

    case AGG_GQL_DIRECTIVE_NAME:
        return agg_gql_string(in, &d->name);

    case AGG_GQL_DIRECTIVE_DESCRIPTION:
        return agg_gql_string(in, &d->description);

    case AGG_GQL_DIRECTIVE_REPEATABLE:
        return agg_gql_boolean(in, d->repeatable);

    case AGG_GQL_DIRECTIVE_ARGS:
        return agg_gql_open_list(in, AGG_GQL_META_INPUT, d->args, d->nargs, 0,
                                 node);

    default:
        break;
    }

    agg_gql_try(agg_buf_append(in->out, "[", 1));

    for (i = 0; i < d->nlocations; i++) {

        if (i != 0) {
            agg_gql_try(agg_buf_append(in->out, ",", 1));
        }

        agg_gql_try(agg_gql_literal_string(in,
                        agg_gql_on_name((agg_gql_on_e) d->order[i])));
    }

    return agg_buf_append(in->out, "]", 1);
}
