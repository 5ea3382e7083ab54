
/*
 * Text of messages: types, values, and suggested names.
 *
 * The work for suggestions is bounded by errors->budget: each pair of names
 * takes the cells of its distance table, and when the budget is used up,
 * nothing is suggested any more.
 */


#ifndef AGG_GQL_NAMES_H_INCLUDED
#define AGG_GQL_NAMES_H_INCLUDED


#include "agg_gql_schema.h"


#pragma GCC visibility push(hidden)


#define AGG_GQL_SUGGESTED   5
#define AGG_GQL_LONG_NAME   64      /* bytes; longer ones are not compared */


typedef struct {
    agg_gql_errors_t        *errors;
    agg_str_t                name;
    unsigned                 threshold;
    unsigned                 n;
    unsigned                 distance[AGG_GQL_SUGGESTED];
    agg_str_t                names[AGG_GQL_SUGGESTED];
} agg_gql_suggest_t;


/* init: no suggestions yet; the name must outlive them.  add: if it is near */

void agg_gql_suggest_init(agg_gql_suggest_t *s, agg_gql_errors_t *errors,
    const agg_str_t *name);
void agg_gql_suggest_add(agg_gql_suggest_t *s, const agg_str_t *name);

/* adds a name to the suggestions, whatever its distance */

void agg_gql_suggest_put(agg_gql_suggest_t *s, const agg_str_t *name);

/*
 * " Did you mean "a" or "b"?", or an empty string.  "what" is "", or a prefix
 * such as "the enum value ".  Allocates from errors->mem.
 */

agg_rc_e agg_gql_suggest_text(agg_gql_suggest_t *s, const char *what,
    agg_str_t *text);

/* the same text for the types of a schema */

agg_rc_e agg_gql_suggest_type(const agg_gql_schema_t *schema,
    agg_gql_errors_t *errors, const agg_str_t *name, agg_str_t *text);

/* the natural order of names: runs of digits are compared as numbers */

int agg_gql_natural(const agg_str_t *a, const agg_str_t *b);


/* a type as "[Int!]!"; its name, if it is not resolved */

agg_rc_e agg_gql_type_text(agg_mem_t *mem, const agg_str_t *name,
    agg_gql_wraps_t wraps, agg_str_t *text);

/* a value, as graphql-js prints it */

agg_rc_e agg_gql_value_text(agg_mem_t *mem, const agg_gql_doc_t *doc,
    uint32_t value, agg_str_t *text);

/* a string literal of GraphQL, with quotes and escapes */

agg_rc_e agg_gql_put_string(agg_buf_t *b, const agg_str_t *s);


#pragma GCC visibility pop


#endif /* AGG_GQL_NAMES_H_INCLUDED */
