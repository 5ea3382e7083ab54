
/* Declarations shared by the validation rules. */


#ifndef AGG_GQL_VALIDATE_H_INCLUDED
#define AGG_GQL_VALIDATE_H_INCLUDED


#include "agg_gql_check.h"


#pragma GCC visibility push(hidden)


/* the spreads of an operation or a fragment: a range of v->spreads */

typedef struct {
    uint32_t                 first;
    uint32_t                 n;
} agg_gql_spreads_t;


/* with fragments expanded; limited to a maximum */

typedef struct {
    uint32_t                 depth;
    uint32_t                 selections;
    uint32_t                 roots;         /* fields, not below a field */
} agg_gql_size_t;


typedef struct {
    agg_gql_check_t          check;
    const agg_gql_schema_t  *schema;
    agg_gql_doc_t           *doc;
    agg_mem_t               *mem;
    agg_gql_errors_t        *errors;
    const agg_gql_limits_t  *limits;
    unsigned                 introspection;
    unsigned                 cyclic;
    uint32_t                *by_name;       /* fragments */
    uint32_t                *spreads;       /* selections that are spreads */
    agg_gql_spreads_t       *of_fragment;
    agg_gql_spreads_t       *of_operation;
    agg_gql_size_t          *sizes;         /* by fragment */
    uint32_t                *order;         /* fragments, used ones first */
    u_char                  *used;          /* fragments */
} agg_gql_validation_t;


/* n zeroed elements; NULL: there is no memory */

void *agg_gql_zero(agg_mem_t *mem, size_t n, size_t size);


/*
 * the steps: AGG_OK even if errors were found; AGG_INVALID to stop; AGG_NOMEM
 */

agg_rc_e agg_gql_validate_fragments(agg_gql_validation_t *v);
agg_rc_e agg_gql_validate_limits(agg_gql_validation_t *v);
agg_rc_e agg_gql_validate_variables(agg_gql_validation_t *v);
agg_rc_e agg_gql_validate_merge(agg_gql_validation_t *v);

/* compares fields pair by pair for the messages, after a conflict was found */

agg_rc_e agg_gql_report_conflicts(agg_gql_validation_t *v);


#pragma GCC visibility pop


#endif /* AGG_GQL_VALIDATE_H_INCLUDED */
