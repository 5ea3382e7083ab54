
/*
 * Checking arguments and literals against their types, for documents and for
 * the directives of a schema alike.
 */


#ifndef AGG_GQL_CHECK_H_INCLUDED
#define AGG_GQL_CHECK_H_INCLUDED


#include "agg_gql_schema.h"
#include "agg_gql_parse.h"
#include "agg_gql_names.h"


#pragma GCC visibility push(hidden)


/* the rules, in the order in which graphql-js runs them */

typedef enum {
    AGG_GQL_RULE_EXECUTABLE = 0,
    AGG_GQL_RULE_OPERATION_NAMES,
    AGG_GQL_RULE_LONE_ANONYMOUS,
    AGG_GQL_RULE_OPERATION_TYPES,
    AGG_GQL_RULE_KNOWN_TYPES,
    AGG_GQL_RULE_FRAGMENT_COMPOSITE,
    AGG_GQL_RULE_VARIABLE_INPUT,
    AGG_GQL_RULE_LEAFS,
    AGG_GQL_RULE_FIELDS,
    AGG_GQL_RULE_FRAGMENT_NAMES,
    AGG_GQL_RULE_KNOWN_FRAGMENTS,
    AGG_GQL_RULE_UNUSED_FRAGMENTS,
    AGG_GQL_RULE_POSSIBLE_SPREADS,
    AGG_GQL_RULE_CYCLES,
    AGG_GQL_RULE_VARIABLE_NAMES,
    AGG_GQL_RULE_UNDEFINED_VARIABLES,
    AGG_GQL_RULE_UNUSED_VARIABLES,
    AGG_GQL_RULE_KNOWN_DIRECTIVES,
    AGG_GQL_RULE_UNIQUE_DIRECTIVES,
    AGG_GQL_RULE_KNOWN_ARGUMENTS,
    AGG_GQL_RULE_UNIQUE_ARGUMENTS,
    AGG_GQL_RULE_VALUES,
    AGG_GQL_RULE_REQUIRED_ARGUMENTS,
    AGG_GQL_RULE_VARIABLE_POSITIONS,
    AGG_GQL_RULE_MERGE,
    AGG_GQL_RULE_UNIQUE_INPUT_FIELDS
} agg_gql_rule_e;


typedef struct {
    const agg_gql_schema_t  *schema;
    agg_gql_doc_t           *doc;
    agg_mem_t               *mem;
    agg_gql_errors_t        *errors;
    uint64_t                 base;          /* the base of error keys */
    unsigned                 sdl;           /* a schema's: sees all of it */
    uint32_t                *scratch;
    uint32_t                 nscratch;
    u_char                  *marks;
    size_t                   nmarks;
} agg_gql_check_t;


/* the order of an error among all errors of a visit */

#define agg_gql_key_enter(c, offset, rule)                                   \
    ((c)->base | (uint64_t) (offset) << 9 | 256 | (rule))

#define agg_gql_key_leave(c, offset, rule)                                   \
    ((c)->base | (uint64_t) (offset) << 9 | (rule))


/* returns AGG_OK, so that more errors can be found, or AGG_NOMEM */

agg_rc_e agg_gql_report(agg_gql_check_t *c, uint64_t key,
    const uint32_t *offsets, unsigned n, const char *fmt, ...);


/* whether an error with this key would be kept */

int agg_gql_wanted(agg_gql_check_t *c, uint64_t key);

/* whether digits are a signed number of 32 bits */

int agg_gql_is_int32(const agg_str_t *digits);


/*
 * Checks the arguments of a field or directive.  One of the two may be NULL, or
 * both if it is unknown.  "offset" and "end" are those of its node.  Sets the
 * fields marked "after validation" of the arguments and their values.
 */

agg_rc_e agg_gql_check_args(agg_gql_check_t *c, uint32_t first,
    const agg_gql_field_t *field, const agg_gql_directive_t *directive,
    const agg_gql_type_t *parent, uint32_t offset, uint32_t end);

/*
 * Checks a literal against a type, and sets the fields marked "after
 * validation"; input: the argument or input field that it is for, or NULL.
 */

agg_rc_e agg_gql_check_value(agg_gql_check_t *c, uint32_t root,
    const agg_gql_type_t *type, agg_gql_wraps_t wraps,
    const agg_gql_input_t *input);

/* checks directives: whether they are known, unique and allowed here */

agg_rc_e agg_gql_check_applied(agg_gql_check_t *c, uint32_t first,
    agg_gql_on_e on, uint32_t offset);


/*
 * Sorts indexes with a heap sort, in place: O(n log n) at worst.  Equal ones
 * are sorted by index.
 */

typedef int (*agg_gql_cmp_pt)(const void *data, uint32_t a, uint32_t b);

void agg_gql_sort(uint32_t *list, uint32_t n, agg_gql_cmp_pt cmp,
    const void *data);

/* compares bytes, as memcmp() does, then lengths */

int agg_gql_compare(const agg_str_t *a, const agg_str_t *b);


/* room for n indexes, kept in c->scratch; NULL: there is no memory */

uint32_t *agg_gql_scratch(agg_gql_check_t *c, size_t n);


#pragma GCC visibility pop


#endif /* AGG_GQL_CHECK_H_INCLUDED */
