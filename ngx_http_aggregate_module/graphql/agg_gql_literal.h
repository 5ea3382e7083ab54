
/*
 * Writing of valid literals: as JSON for backends, or as the GraphQL text of a
 * default.
 */


#ifndef AGG_GQL_LITERAL_H_INCLUDED
#define AGG_GQL_LITERAL_H_INCLUDED


#include "agg_gql_schema.h"


#pragma GCC visibility push(hidden)


typedef struct {
    const agg_gql_doc_t     *doc;
    uint32_t                 operation;     /* whose variables these are */
    const agg_str_t         *values;        /* NULL: there are none */
    agg_buf_t               *out;
    unsigned                 text;          /* GraphQL, not JSON */
} agg_gql_literal_t;


/*
 * AGG_OK; AGG_NOT_FOUND: a variable has no value; AGG_INVALID: null for a
 * non-null type; AGG_AGAIN: it needs a default that is not available yet;
 * AGG_TOO_LARGE; AGG_NOMEM.  Out is unchanged after any error.
 */

agg_rc_e agg_gql_write_literal(const agg_gql_literal_t *w, uint32_t root);

/* neither infinite nor NaN */

#define agg_gql_is_finite(x)  ((x) - (x) == 0)


#pragma GCC visibility pop


#endif /* AGG_GQL_LITERAL_H_INCLUDED */
