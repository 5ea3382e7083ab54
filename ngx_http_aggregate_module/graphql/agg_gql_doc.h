
/*
 * Executable documents, as the parser leaves them.  The nodes are in flat
 * arrays, one for each kind, and refer to each other by index; the elements of
 * a list are linked by "next".  Every node takes at least one token, so
 * max_tokens bounds all of them.  Names point into the source, strings are
 * decoded copies.
 *
 * The validator adds what it finds in the schema (the fields marked "after
 * validation"), so a valid document can be planned without a lookup by name.
 */


#ifndef AGG_GQL_DOC_H_INCLUDED
#define AGG_GQL_DOC_H_INCLUDED


#include "agg_gql.h"


#pragma GCC visibility push(hidden)


typedef struct agg_gql_type_s       agg_gql_type_t;
typedef struct agg_gql_field_s      agg_gql_field_t;
typedef struct agg_gql_input_s      agg_gql_input_t;
typedef struct agg_gql_schema_s     agg_gql_schema_t;
typedef struct agg_gql_directive_s  agg_gql_directive_t;
typedef struct agg_gql_sdl_s        agg_gql_sdl_t;

typedef struct agg_gql_enum_value_s  agg_gql_enum_value_t;


typedef enum {
    AGG_GQL_QUERY = 0,
    AGG_GQL_MUTATION,
    AGG_GQL_SUBSCRIPTION
} agg_gql_operation_e;


typedef enum {
    AGG_GQL_FIELD = 0,
    AGG_GQL_SPREAD,
    AGG_GQL_INLINE
} agg_gql_selection_e;


typedef enum {
    AGG_GQL_VARIABLE = 0,
    AGG_GQL_INT,
    AGG_GQL_FLOAT,
    AGG_GQL_STRING,
    AGG_GQL_BLOCK_STRING,
    AGG_GQL_TRUE,
    AGG_GQL_FALSE,
    AGG_GQL_NULL,
    AGG_GQL_ENUM,
    AGG_GQL_LIST,
    AGG_GQL_OBJECT
} agg_gql_value_e;


/*
 * The lists and "!" around a named type, two bits per level, the outermost
 * level in the lowest bits: 1 is a list, 2 is non-null, 0 the named type.  So
 * "[Int!]!" is 2, 1, 2: 0x26.  At most 15 lists.
 */

typedef uint64_t  agg_gql_wraps_t;

#define AGG_GQL_IS_LIST        1
#define AGG_GQL_IS_NON_NULL    2
#define AGG_GQL_MAX_LISTS      15

#define agg_gql_outer(wraps)   ((unsigned) ((wraps) & 3))
#define agg_gql_inner(wraps)   ((wraps) >> 2)

/* the type without its outermost "!" */

#define agg_gql_nullable(wraps)                                              \
    (agg_gql_outer(wraps) == AGG_GQL_IS_NON_NULL ? agg_gql_inner(wraps)      \
                                                 : (wraps))

#define agg_gql_non_null(wraps)                                              \
    (agg_gql_outer(wraps) == AGG_GQL_IS_NON_NULL)

#define agg_gql_is_list(wraps)                                               \
    (agg_gql_outer(agg_gql_nullable(wraps)) == AGG_GQL_IS_LIST)


typedef struct {
    agg_gql_value_e          kind;
    uint32_t                 offset;
    uint32_t                 end;           /* behind its last byte */
    uint32_t                 next;          /* the next element of a list */
    uint32_t                 first;         /* LIST: values; OBJECT: args,
                                               after validation in the order
                                               of their type; NONE when it is
                                               empty */
    uint32_t                 parent;        /* the value it is in, or NONE */
    uint32_t                 arg;           /* whose value it is, or NONE */
    agg_str_t                text;          /* name without "$", digits, or
                                               the string, decoded */
    const agg_gql_type_t    *type;          /* after validation: what is
                                               expected here, or NULL */
    agg_gql_wraps_t          wraps;
    const agg_gql_input_t   *input;         /* whose value it is; NULL for an
                                               element of a list */
    const agg_gql_enum_value_t  *chosen;    /* ENUM: after validation */
    unsigned                 opaque;        /* nothing is expected here: a
                                               part of a custom scalar */
} agg_gql_value_t;


/* an argument, or a field of an object value */

typedef struct {
    agg_str_t                name;
    uint32_t                 offset;        /* the name's offset */
    uint32_t                 value;
    uint32_t                 next;
    const agg_gql_input_t   *input;         /* after validation */
} agg_gql_arg_t;


typedef struct {
    agg_str_t                name;
    uint32_t                 offset;        /* the "@"'s offset */
    uint32_t                 end;
    uint32_t                 arg;           /* the first, or NONE */
    uint32_t                 next;
    const agg_gql_directive_t  *directive;  /* after validation */
} agg_gql_applied_t;


typedef struct {
    agg_gql_selection_e      kind;
    agg_str_t                alias;         /* FIELD: the response name; data
                                               is name.data without alias */
    agg_str_t                name;          /* FIELD, SPREAD; INLINE: of the
                                               type, data NULL without one */
    uint32_t                 offset;        /* the node's: alias, "..." */
    uint32_t                 name_offset;
    uint32_t                 end;
    uint32_t                 arg;           /* the first, or NONE */
    uint32_t                 applied;       /* the first directive, or NONE */
    uint32_t                 first;         /* first selection, or NONE */
    uint32_t                 set_offset;    /* the "{"'s offset */
    uint32_t                 next;
    uint32_t                 parent;        /* selection it is in, or NONE */
    uint32_t                 fragment;      /* SPREAD: after validation */
    const agg_gql_type_t    *on;            /* after validation: the type it
                                               is selected on */
    const agg_gql_type_t    *inner;         /* after validation: the type its
                                               own selections are on; of a
                                               SPREAD the fragment's */
    const agg_gql_field_t   *field;         /* FIELD: after validation */
} agg_gql_selection_t;


typedef struct {
    agg_str_t                name;          /* without "$" */
    uint32_t                 offset;        /* the "$"'s offset */
    uint32_t                 name_offset;
    uint32_t                 node_offset;   /* the description's, if any */
    uint32_t                 end;
    agg_str_t                type_name;
    uint32_t                 type_offset;   /* the whole type's offset */
    uint32_t                 type_name_offset;
    agg_gql_wraps_t          wraps;
    uint32_t                 value;         /* the default, or NONE */
    uint32_t                 applied;
    const agg_gql_type_t    *type;          /* after validation */
    unsigned                 used;          /* after validation */
} agg_gql_variable_t;


typedef struct {
    agg_gql_operation_e      kind;
    agg_str_t                name;          /* len is 0: anonymous */
    uint32_t                 offset;
    uint32_t                 name_offset;
    uint32_t                 end;
    uint32_t                 variable;      /* the first of nvariables, which
                                               follow each other */
    uint32_t                 nvariables;
    uint32_t                 applied;
    uint32_t                 first;         /* first selection */
    uint32_t                 set_offset;
    uint32_t                 selection_end; /* all in it: first to this */
    uint32_t                 value;         /* its values: this to value_end */
    uint32_t                 value_end;
    const agg_gql_type_t    *type;          /* after validation: the root */
    uint32_t                 nroots;        /* the same: its fields */
} agg_gql_operation_t;


typedef struct {
    agg_str_t                name;
    uint32_t                 offset;
    uint32_t                 name_offset;
    uint32_t                 end;
    agg_str_t                type_name;
    uint32_t                 type_offset;
    uint32_t                 applied;
    uint32_t                 first;
    uint32_t                 set_offset;
    uint32_t                 selection_end;
    uint32_t                 value;
    uint32_t                 value_end;
    const agg_gql_type_t    *type;          /* after validation */
} agg_gql_fragment_t;


/* the definitions in the order of the document */

typedef enum {
    AGG_GQL_DEF_OPERATION = 0,
    AGG_GQL_DEF_FRAGMENT,
    AGG_GQL_DEF_SDL
} agg_gql_def_e;


typedef struct {
    agg_gql_def_e            kind;
    uint32_t                 index;
} agg_gql_def_t;


typedef struct {
    agg_mem_t               *mem;
    const agg_gql_source_t  *source;
    uint32_t                 ntokens;
    uint32_t                 naliases;
    uint32_t                 nexpanded;     /* after validation: its fields,
                                               with fragments expanded */
    agg_gql_def_t           *defs;
    uint32_t                 ndefs;
    agg_gql_operation_t     *operations;
    uint32_t                 noperations;
    agg_gql_fragment_t      *fragments;
    uint32_t                 nfragments;
    agg_gql_variable_t      *variables;
    uint32_t                 nvariables;
    agg_gql_selection_t     *selections;
    uint32_t                 nselections;
    agg_gql_arg_t           *args;
    uint32_t                 nargs;
    agg_gql_value_t         *values;
    uint32_t                 nvalues;
    agg_gql_applied_t       *applied;
    uint32_t                 napplied;
    uint32_t                *variable_order;    /* after validation: of each
                                               operation's, by name */
    agg_gql_sdl_t           *sdl;           /* type system definitions */
} agg_gql_doc_t;


/*
 * Parses a document.  AGG_OK; AGG_INVALID with one error, of the code
 * PARSE_FAILED or LIMIT_EXCEEDED (max_tokens); AGG_NOMEM.
 */

agg_rc_e agg_gql_parse(agg_gql_doc_t *doc, agg_mem_t *mem,
    const agg_gql_source_t *source, uint32_t max_tokens,
    agg_gql_errors_t *errors);


/*
 * Validates a document: first all rules, then the limits.  With "introspection"
 * as 0, __schema and __type are refused, and messages suggest no names.
 * AGG_OK; AGG_INVALID with errors; AGG_NOMEM.  It sets the fields of nodes that
 * are marked "after validation".
 */

agg_rc_e agg_gql_validate(const agg_gql_schema_t *schema, agg_gql_doc_t *doc,
    const agg_gql_limits_t *limits, unsigned introspection,
    agg_gql_errors_t *errors);


/*
 * Finds an operation by its name, or the only one if name is NULL or empty.
 * AGG_INVALID with an error OPERATION_RESOLUTION_FAILURE.
 */

agg_rc_e agg_gql_operation(const agg_gql_doc_t *doc, const agg_str_t *name,
    uint32_t *operation, agg_gql_errors_t *errors);


/*
 * The values of the operation's variables, in their order, as JSON in the
 * backends' spelling (@json of enum values and input fields, members in the
 * order of the type, defaults filled in); data is NULL for a variable without a
 * value.  "json" is the object from the request, valid JSON, or NULL.
 * AGG_INVALID comes with errors BAD_USER_INPUT.  Allocates from mem, at most
 * "max" bytes in all, else AGG_TOO_LARGE.
 */

agg_rc_e agg_gql_coerce_variables(const agg_gql_schema_t *schema,
    const agg_gql_doc_t *doc, uint32_t operation, const agg_str_t *json,
    agg_str_t *values, agg_mem_t *mem, size_t max, agg_gql_errors_t *errors);


/* the index among the operation's variables, or NONE */

uint32_t agg_gql_variable(const agg_gql_doc_t *doc, uint32_t operation,
    const agg_str_t *name);


/*
 * Appends the value of the argument "input" to out, spelled as above.  The
 * arguments of its selection or directive start at "arg".  The value is the
 * literal, a variable's value, or the default.  AGG_OK; AGG_NOT_FOUND: there is
 * no value, and out is unchanged; AGG_INVALID: null for a non-null type (by a
 * variable of nullable type), which is an error of the field; AGG_TOO_LARGE,
 * AGG_NOMEM.  "constant" is set if no variable is used, so that the result is
 * the same for every request.
 */

agg_rc_e agg_gql_argument(const agg_gql_doc_t *doc, uint32_t operation,
    const agg_str_t *values, uint32_t arg, const agg_gql_input_t *input,
    agg_buf_t *out);
int agg_gql_argument_constant(const agg_gql_doc_t *doc, uint32_t arg,
    const agg_gql_input_t *input);


/* whether @skip and @include let a selection in, with these values */

int agg_gql_included(const agg_gql_doc_t *doc, uint32_t operation,
    const agg_str_t *values, uint32_t applied);


/*
 * Writes the JSON value of a root field __schema or __type.  "selections" are
 * the n >= 1 merged field nodes, in order.  AGG_OK; AGG_TOO_LARGE: over
 * out->max; AGG_NOMEM.
 */

agg_rc_e agg_gql_introspect(const agg_gql_schema_t *schema,
    const agg_gql_doc_t *doc, uint32_t operation, const agg_str_t *values,
    const uint32_t *selections, unsigned n, agg_mem_t *mem, agg_buf_t *out);


#pragma GCC visibility pop


#endif /* AGG_GQL_DOC_H_INCLUDED */
