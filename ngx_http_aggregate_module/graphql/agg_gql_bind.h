
/*
 * Bindings: what our directives say of the fields of a schema, compiled once.
 *
 * Given:    a schema that agg_gql_schema_build() has found right; the caller
 *           knows the variables of the server.
 * Promises: whatever is wrong in a template, a path, a status or a time is an
 *           error with its place.  Bindings are immutable.
 * Cost:     linear in the schema; a field whose template names an enclosing
 *           type costs a walk over the types that may enclose it.
 */


#ifndef AGG_GQL_BIND_H_INCLUDED
#define AGG_GQL_BIND_H_INCLUDED


#include "agg_gql_schema.h"
#include "agg_gql_template.h"


#pragma GCC visibility push(hidden)


#define AGG_GQL_NO_VARIABLE  -1

/* returned by agg_gql_variable_pt if there is no memory */

#define AGG_GQL_VARIABLE_ERROR  -2


typedef struct {
    unsigned                 least;
    unsigned                 most;
} agg_gql_statuses_t;


typedef struct {
    agg_str_t                name;
    agg_str_t                lowcase;
    agg_gql_template_t       value;
} agg_gql_bound_header_t;


/* the binding of a field with @rest or @allow, or of a type with @allow */

typedef struct {
    const agg_gql_field_t   *field;         /* NULL: of a type */
    const agg_gql_rest_t    *rest;          /* NULL: @allow alone */
    int                      allow;         /* a variable, or NO_VARIABLE */

    agg_str_t                coordinate;    /* "Order.product" */
    agg_gql_template_t       uri;
    agg_gql_template_t       body;
    agg_gql_bound_header_t  *headers;
    unsigned                 nheaders;
    agg_path_t              *select;
    unsigned long            limit;         /* 0: none */
    int                      limit_variable;
    agg_gql_statuses_t      *accept;
    unsigned                 naccept;       /* 0: the default */
    agg_gql_statuses_t      *null_on;
    unsigned                 nnull_on;
    unsigned long            timeout;       /* milliseconds, 0: none */
    unsigned                 retry;
    agg_str_t               *pass_headers;  /* lower case */
    unsigned                 npass_headers;
    agg_path_t              *key;
    agg_path_t              *by;
    unsigned                 size;
    agg_path_t              *error_message;
    agg_path_t              *error_code;

    unsigned                 has_body:1;
    unsigned                 string:1;      /* encoding: STRING */
    unsigned                 by_parent:1;   /* a template names an object */
    void                    *data;          /* the caller's */
} agg_gql_binding_t;


/*
 * Returns the index of an nginx variable, and marks it as used; or
 * AGG_GQL_VARIABLE_ERROR.
 */

typedef int (*agg_gql_variable_pt)(void *ctx, const agg_str_t *name);


/*
 * Sets the "data" of fields and types to their bindings.  "reaches" is an array
 * by type->id: whether a field with @rest can be reached from the type.
 * AGG_OK; AGG_INVALID with errors; AGG_NOMEM.
 */

agg_rc_e agg_gql_bind(agg_gql_schema_t *schema, agg_mem_t *mem,
    agg_gql_variable_pt variable, void *ctx, u_char **reaches,
    agg_gql_errors_t *errors);


/* shared with agg_gql_bind_field.c */

typedef struct {
    agg_gql_schema_t        *schema;
    agg_mem_t               *mem;
    agg_gql_variable_pt      variable;
    void                    *ctx;
    agg_gql_errors_t        *errors;
    unsigned                 failed;

    uint32_t                *first;         /* by type, of sources */
    uint32_t                *sources;       /* types that lead to it */
    uint32_t                *queue;
    u_char                  *marks;
    const agg_gql_type_t    *enclosed;      /* marks: what encloses this one */
} agg_gql_binder_t;


/*
 * agg_gql_bind_field() compiles the @rest of a field; agg_gql_bind_error() adds
 * an error at an offset of a text; agg_gql_bind_encloses() tells whether an
 * object of "type" can be around one of "enclosed".  Errors set b->failed, and
 * only AGG_NOMEM ends the work.
 */

agg_rc_e agg_gql_bind_field(agg_gql_binder_t *b, agg_gql_binding_t *binding);
agg_rc_e agg_gql_bind_error(agg_gql_binder_t *b, const agg_gql_text_t *text,
    size_t offset, const char *fmt, const agg_str_t *arg, const char *reason);
int agg_gql_bind_encloses(agg_gql_binder_t *b, const agg_gql_type_t *type,
    const agg_gql_type_t *enclosed);
int agg_gql_bind_variable(agg_gql_binder_t *b, const agg_str_t *name);


#pragma GCC visibility pop


#endif /* AGG_GQL_BIND_H_INCLUDED */
