
/*
 * Schemas: types, fields, arguments, directives, and the contents of our own
 * directives.  A schema is built once, when the configuration is read, and is
 * immutable then, except for the "data" pointers of the planner.  It keeps the
 * sources, as names, descriptions and locations point into them.
 *
 * Cost: building is O(n log n) in the bytes of the sources; a lookup by name is
 * one hash and one comparison.
 */


#ifndef AGG_GQL_SCHEMA_H_INCLUDED
#define AGG_GQL_SCHEMA_H_INCLUDED


#include "agg_gql_doc.h"
#include "agg_path.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_GQL_SCALAR = 0,
    AGG_GQL_OBJECT_TYPE,
    AGG_GQL_INTERFACE,
    AGG_GQL_UNION,
    AGG_GQL_ENUM_TYPE,
    AGG_GQL_INPUT_OBJECT
} agg_gql_kind_e;


typedef enum {
    AGG_GQL_CUSTOM = 0,
    AGG_GQL_SCALAR_INT,
    AGG_GQL_SCALAR_FLOAT,
    AGG_GQL_SCALAR_STRING,
    AGG_GQL_SCALAR_BOOLEAN,
    AGG_GQL_SCALAR_ID
} agg_gql_scalar_e;


typedef enum {
    AGG_GQL_GET = 0,
    AGG_GQL_POST,
    AGG_GQL_PUT,
    AGG_GQL_PATCH,
    AGG_GQL_DELETE
} agg_gql_method_e;


typedef struct {
    agg_gql_type_t          *type;
    agg_gql_wraps_t          wraps;
} agg_gql_ref_t;


/* a string of a directive, decoded, with its place; data NULL: none */

typedef struct {
    agg_str_t                text;
    agg_gql_loc_t            loc;
} agg_gql_text_t;


typedef struct {
    agg_gql_text_t           name;
    agg_gql_text_t           value;
} agg_gql_header_t;


/* @rest; templates are not parsed here */

typedef struct {
    agg_gql_loc_t            loc;           /* the directive's place */
    agg_gql_method_e         method;
    agg_gql_text_t           uri;
    agg_gql_text_t           select;
    agg_gql_text_t           limit;
    agg_gql_text_t           accept;
    agg_gql_text_t           timeout;
    agg_gql_text_t           retry;
    agg_gql_text_t           body;
    agg_gql_text_t           encoding;
    agg_gql_text_t           default_json;  /* valid JSON */
    agg_gql_header_t        *headers;
    unsigned                 nheaders;
    agg_gql_text_t          *pass_headers;
    unsigned                 npass_headers;
    agg_gql_text_t          *null_on;       /* "404", "4xx" */
    unsigned                 nnull_on;
    unsigned                 batch;         /* the three below are set */
    agg_gql_text_t           batch_key;
    agg_gql_text_t           batch_by;
    unsigned                 batch_size;    /* 50 where not given */
    agg_gql_text_t           error_message; /* paths */
    agg_gql_text_t           error_code;
} agg_gql_rest_t;


/* a value of @discriminate; without a map this is the type's name */

typedef struct {
    agg_str_t                value;
    agg_gql_type_t          *type;
} agg_gql_mapped_t;


typedef struct {
    agg_gql_loc_t            loc;
    agg_path_t              *by;
    agg_gql_mapped_t        *map;           /* all possible types, by default */
    unsigned                 nmap;
} agg_gql_discriminate_t;


/* an argument, or a field of an input object */

struct agg_gql_input_s {
    agg_str_t                name;
    agg_str_t                description;   /* data NULL: none */
    agg_gql_loc_t            loc;
    agg_gql_ref_t            type;
    agg_str_t                deprecated;    /* reason; data NULL: it is not */
    unsigned                 has_default;
    agg_str_t                default_text;  /* as introspection prints it */
    agg_str_t                default_json;  /* as the backend spells it */
    agg_str_t                json_name;     /* member's name in a body */
    agg_str_t                json_quoted;   /* the same as a JSON string */
    unsigned                 index;         /* among its neighbours */
};


struct agg_gql_field_s {
    agg_str_t                name;
    agg_str_t                description;
    agg_gql_loc_t            loc;
    agg_gql_type_t          *parent;
    agg_gql_ref_t            type;
    agg_gql_input_t         *args;
    unsigned                 nargs;
    agg_str_t                deprecated;
    agg_gql_rest_t          *rest;          /* NULL: read from its parent */
    agg_path_t              *json;          /* NULL: its name */
    agg_gql_text_t           allow;         /* "$var"; data NULL: anybody */
    unsigned                 index;         /* in its type */
    unsigned                 id;            /* in the schema, from 0 */
    void                    *data;          /* the planner's */
};


struct agg_gql_enum_value_s {
    agg_str_t                name;
    agg_str_t                description;
    agg_gql_loc_t            loc;
    agg_str_t                deprecated;
    agg_str_t                json;          /* JSON value of backends: by
                                               default the name, quoted */
};


struct agg_gql_type_s {
    agg_gql_kind_e           kind;
    agg_gql_scalar_e         scalar;
    agg_str_t                name;
    agg_str_t                description;
    agg_str_t                specified_by;
    agg_gql_loc_t            loc;
    unsigned                 id;            /* in schema->types */
    unsigned                 one_of:1;
    unsigned                 builtin:1;     /* in the specification */
    unsigned                 introspection:1;   /* __Schema and so on */
    unsigned                 hidden:1;      /* one of our own directives */
    agg_gql_field_t         *fields;        /* OBJECT_TYPE, INTERFACE */
    unsigned                 nfields;
    agg_gql_input_t         *inputs;        /* INPUT_OBJECT */
    unsigned                 ninputs;
    agg_gql_enum_value_t    *values;        /* ENUM_TYPE */
    unsigned                 nvalues;
    agg_gql_type_t         **interfaces;    /* OBJECT_TYPE, INTERFACE */
    unsigned                 ninterfaces;
    agg_gql_type_t         **possible;      /* object types: of INTERFACE and
                                               UNION; of an object itself */
    unsigned                 npossible;
    unsigned                 object;        /* OBJECT_TYPE: its bit below */
    uint64_t                *bits;          /* INTERFACE, UNION: possible */
    agg_gql_discriminate_t  *discriminate;  /* INTERFACE, UNION */
    agg_gql_text_t           allow;         /* OBJECT_TYPE */
    void                    *data;          /* the planner's */
};


struct agg_gql_directive_s {
    agg_str_t                name;
    agg_str_t                description;
    agg_gql_loc_t            loc;
    agg_gql_input_t         *args;
    unsigned                 nargs;
    uint32_t                 locations;     /* bits, by agg_gql_on_e */
    unsigned                *order;         /* the same as they were written */
    unsigned                 nlocations;
    unsigned                 index;         /* in schema->directives */
    unsigned                 repeatable:1;
    unsigned                 builtin:1;
    unsigned                 hidden:1;      /* ours: not in introspection */
};


/* one slot of an open-addressed table */

typedef struct {
    const void              *owner;
    const agg_str_t         *name;
    void                    *value;
} agg_gql_slot_t;


typedef struct {
    agg_gql_slot_t          *slots;
    uint32_t                 mask;
    uint32_t                 n;
} agg_gql_table_t;


struct agg_gql_schema_s {
    agg_mem_t               *mem;
    agg_str_t                description;
    agg_gql_type_t         **types;         /* all, hidden ones too */
    unsigned                 ntypes;
    unsigned                 nobjects;
    agg_gql_type_t         **ordered;       /* as graphql-js lists them */
    unsigned                 nordered;
    agg_gql_directive_t    **directives;
    unsigned                 ndirectives;
    agg_gql_directive_t    **shown;         /* in the order of introspection */
    unsigned                 nshown;
    agg_gql_type_t          *query;
    agg_gql_type_t          *mutation;      /* or NULL */
    agg_gql_type_t          *subscription;  /* always NULL once checked */
    unsigned                 nfields;       /* ids of fields are below it */
    agg_gql_field_t         *typename_field;    /* __typename */
    agg_gql_field_t         *schema_field;      /* __schema */
    agg_gql_field_t         *type_field;        /* __type */
    agg_gql_table_t          table;
};


/* adds to a table; AGG_INVALID: the owner already has this name */

agg_rc_e agg_gql_table_add(agg_gql_table_t *t, agg_mem_t *mem,
    const void *owner, const agg_str_t *name, void *value);


/*
 * Builds a schema from n sources, and checks everything except for templates.
 * AGG_OK; AGG_INVALID with errors and their places; AGG_NOMEM.
 */

agg_rc_e agg_gql_schema_build(agg_gql_schema_t *schema, agg_mem_t *mem,
    const agg_gql_source_t *sources, unsigned n, agg_gql_errors_t *errors);


/*
 * Lookups by name; NULL: there is none. agg_gql_type_by_name() finds no hidden
 * types, and agg_gql_field() no meta fields (__typename, __schema, __type).
 */

agg_gql_type_t *agg_gql_type_by_name(const agg_gql_schema_t *schema,
    const agg_str_t *name);
agg_gql_field_t *agg_gql_field_by_name(const agg_gql_schema_t *schema,
    const agg_gql_type_t *type, const agg_str_t *name);
agg_gql_input_t *agg_gql_input_by_name(const agg_gql_schema_t *schema,
    const void *field_type_or_directive, const agg_str_t *name);
agg_gql_enum_value_t *agg_gql_enum_by_name(const agg_gql_schema_t *schema,
    const agg_gql_type_t *type, const agg_str_t *name);
agg_gql_directive_t *agg_gql_directive_by_name(const agg_gql_schema_t *schema,
    const agg_str_t *name);


/* whether an object of "type" may occur where "abstract" is declared */

int agg_gql_is_possible(const agg_gql_type_t *abstract,
    const agg_gql_type_t *type);


/* whether an object may have both types, which are composite */

int agg_gql_overlap(const agg_gql_schema_t *schema, const agg_gql_type_t *a,
    const agg_gql_type_t *b);


/* whether a type declares that it implements an interface */

int agg_gql_implements(const agg_gql_type_t *type,
    const agg_gql_type_t *interface);


/* whether "sub" is allowed where "super" is expected */

int agg_gql_is_subtype(const agg_gql_ref_t *sub, const agg_gql_ref_t *super);


static inline int
agg_gql_is_abstract(const agg_gql_type_t *type)
{
    return type->kind == AGG_GQL_INTERFACE || type->kind == AGG_GQL_UNION;
}


static inline int
agg_gql_is_composite(const agg_gql_type_t *type)
{
    return type->kind == AGG_GQL_OBJECT_TYPE || agg_gql_is_abstract(type);
}


static inline int
agg_gql_is_input(const agg_gql_type_t *type)
{
    return !agg_gql_is_composite(type);
}


static inline int
agg_gql_is_output(const agg_gql_type_t *type)
{
    return type->kind != AGG_GQL_INPUT_OBJECT;
}


/* whether an argument or an input field has to be given */

static inline int
agg_gql_is_required(const agg_gql_input_t *input)
{
    return agg_gql_non_null(input->type.wraps) && !input->has_default;
}


static inline int
agg_gql_is_leaf(const agg_gql_type_t *type)
{
    return type->kind == AGG_GQL_SCALAR || type->kind == AGG_GQL_ENUM_TYPE;
}


#pragma GCC visibility pop


#endif /* AGG_GQL_SCHEMA_H_INCLUDED */
