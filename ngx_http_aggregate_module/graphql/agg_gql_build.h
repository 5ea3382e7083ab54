
/*
 * Declarations shared by the files that build a schema.
 */


#ifndef AGG_GQL_BUILD_H_INCLUDED
#define AGG_GQL_BUILD_H_INCLUDED


#include "agg_gql_schema.h"
#include "agg_gql_check.h"


#pragma GCC visibility push(hidden)


/* one definition or extension of a type */

typedef struct agg_gql_part_s  agg_gql_part_t;

struct agg_gql_part_s {
    agg_gql_doc_t           *doc;
    agg_gql_sdl_def_t       *def;
    agg_gql_part_t          *next;
};


typedef struct {
    agg_gql_part_t          *first;
    agg_gql_part_t          *last;
} agg_gql_parts_t;


/* an argument or input field, completed when all types are known */

typedef struct {
    agg_gql_input_t         *input;
    agg_gql_doc_t           *doc;
    uint32_t                 value;
    unsigned                 ready;
} agg_gql_pending_t;


/* an element of the schema with directives */

typedef struct {
    agg_gql_doc_t           *doc;
    uint32_t                 applied;
    agg_gql_on_e             on;
    void                    *element;
} agg_gql_target_t;


typedef struct {
    agg_gql_schema_t        *schema;
    agg_mem_t               *mem;
    agg_gql_errors_t        *errors;
    agg_gql_doc_t           *docs;          /* the first is our own */
    unsigned                 ndocs;
    agg_gql_parts_t         *parts;         /* by the type's id */
    uint32_t                 nparts;
    agg_gql_parts_t          roots;         /* schema definitions */
    agg_gql_parts_t          directives;
    agg_gql_target_t        *targets;
    uint32_t                 ntargets;
    agg_gql_pending_t       *pending;       /* all that have a default */
    uint32_t                 npending;
    agg_gql_table_t          table;         /* work: what is unique */
} agg_gql_build_t;


/*
 * The tables of the schema: AGG_NOMEM if there is no memory.  A type is found
 * even if it is hidden; NULL: there is none of this name.
 */

agg_rc_e agg_gql_add_type(agg_gql_schema_t *schema, agg_gql_type_t *type);
agg_rc_e agg_gql_add_directive(agg_gql_schema_t *schema,
    agg_gql_directive_t *d);
agg_gql_type_t *agg_gql_any_type(const agg_gql_schema_t *schema,
    const agg_str_t *name);


/* the source of what every schema contains */

extern const char  agg_gql_prelude[];


/*
 * Reports an error at a place in a document.  Returns AGG_OK, so that more
 * errors can be found, or AGG_NOMEM.
 */

agg_rc_e agg_gql_bad(agg_gql_build_t *b, const agg_gql_doc_t *doc,
    uint32_t offset, const char *fmt, ...);
agg_rc_e agg_gql_bad_at(agg_gql_build_t *b, const agg_gql_loc_t *loc,
    const char *fmt, ...);


/* the steps, in this order; errors are added to b->errors */

agg_rc_e agg_gql_build_fields(agg_gql_build_t *b);
agg_rc_e agg_gql_build_applied(agg_gql_build_t *b);
agg_rc_e agg_gql_build_defaults(agg_gql_build_t *b);
agg_rc_e agg_gql_check_types(agg_gql_build_t *b);
agg_rc_e agg_gql_check_rest(agg_gql_build_t *b);


#pragma GCC visibility pop


#endif /* AGG_GQL_BUILD_H_INCLUDED */
