
/* Whether fields with the same response name can be merged. */


#ifndef AGG_GQL_MERGE_H_INCLUDED
#define AGG_GQL_MERGE_H_INCLUDED


#include "agg_gql_validate.h"


#pragma GCC visibility push(hidden)


/* assigns numbers to the response names of all fields */

agg_rc_e agg_gql_number_names(agg_gql_validation_t *v, uint32_t **names,
    uint32_t *n);

/* whether two fields have equal arguments, or equal list and "!" wraps */

int agg_gql_same_arguments(const agg_gql_doc_t *doc,
    const agg_gql_selection_t *a, const agg_gql_selection_t *b);
int agg_gql_same_shape(const agg_gql_ref_t *a, const agg_gql_ref_t *b);


/* reports two fields that are in conflict */

agg_rc_e agg_gql_report_conflict(agg_gql_validation_t *v, uint32_t a,
    uint32_t b);


#pragma GCC visibility pop


#endif /* AGG_GQL_MERGE_H_INCLUDED */
