
/*
 * Plans: the selections of an operation, collected and merged, with what the
 * executor wants to know about each field.
 *
 * Given:    a document that agg_gql_validate() has passed, a schema with its
 *           bindings; memory of an arena that lives as long as the plan.
 * Promises: no recursion; values of variables are no part of a plan.  What
 *           @skip and @include make of it is: a plan is one for the variables
 *           in them, as agg_gql_plan_mask() tells.  The selections below an
 *           abstract type are collected when the first object of a type comes.
 * Cost:     linear in the expanded selections.
 */


#ifndef AGG_GQL_PLAN_H_INCLUDED
#define AGG_GQL_PLAN_H_INCLUDED


#include "agg_gql_bind.h"


#pragma GCC visibility push(hidden)


/* the most nodes of a plan, for all types of its objects */

#define AGG_GQL_MAX_NODES  200000

/* the number of bits in a mask of the variables in @skip and @include */

#define AGG_GQL_MAX_CONDITIONS  64


typedef enum {
    AGG_GQL_NODE_LEAF = 0,
    AGG_GQL_NODE_OBJECT,
    AGG_GQL_NODE_ABSTRACT,
    AGG_GQL_NODE_TYPENAME,
    AGG_GQL_NODE_META                       /* __schema, __type */
} agg_gql_node_e;


typedef struct agg_gql_node_s  agg_gql_node_t;
typedef struct agg_gql_set_s   agg_gql_set_t;
typedef struct agg_gql_plan_s  agg_gql_plan_t;


/* a field of an object type, with all of its merged selections */

struct agg_gql_node_s {
    agg_str_t                 name;         /* the response name */
    agg_str_t                 key;          /* "\"name\":" */
    agg_gql_node_e            kind;
    const agg_gql_field_t    *field;
    const agg_gql_binding_t  *binding;      /* NULL: none */
    const agg_gql_type_t     *type;         /* the named one */
    agg_gql_wraps_t           wraps;
    agg_gql_set_t            *set;          /* the set that it is in */
    agg_gql_set_t            *sets;         /* below it, by type */
    agg_gql_node_t           *above;        /* nearest around it that fetches */
    uint32_t                 *selections;   /* merged ones of the document */
    uint32_t                  nselections;
    uint32_t                  member;       /* index in the set, or NONE; in a
                                               batch: the one with the key */
    agg_path_t                path;         /* behind the member, or all */
    uint32_t                  fetch;        /* number, NONE: not fetched */
    unsigned                  root:1;       /* an empty object */
    unsigned                  live:1;       /* fetches may be below it */
    unsigned                  constant:1;   /* arguments have no variables */
    unsigned                  plain:1;      /* a member's value, of a leaf */
    unsigned                  verbatim:1;   /* the key is the member's name */
    unsigned                  run:1;        /* both, and simple to copy */
    unsigned                  alone:1;      /* no other field asks for what it
                                               does */
};


typedef struct {
    agg_str_t                 name;         /* decoded */
    agg_str_t                 text;         /* with quotes, and room for a
                                               block; len 0: to be looked up */
    uint32_t                  hash;
    uint32_t                  next;         /* next in the slot, or NONE */
} agg_gql_member_t;


/* the fields selected on one object type, in the order of the answer */

struct agg_gql_set_s {
    const agg_gql_type_t     *type;
    agg_gql_node_t           *node;         /* above it, NULL: the root */
    agg_gql_set_t            *next;         /* the same for another type */
    agg_gql_node_t           *nodes;
    uint32_t                  nnodes;
    agg_gql_member_t         *members;      /* members read from an object */
    uint32_t                  nmembers;
    uint32_t                 *after;        /* the member that came last after
                                               this one, from 1; 0: first */
    uint64_t                  lengths;      /* names', modulo 64 */
    uint32_t                 *slots;
    uint32_t                  mask;
    uint32_t                  failed;       /* how often the stream has */
    unsigned                  live:1;
    unsigned                  streams:1;    /* its fields may be streamed */
};


/* places in the document are found from the nearest mark before them */

#define AGG_GQL_MARK  2048

struct agg_gql_plan_s {
    agg_mem_t                *mem;
    const agg_gql_schema_t   *schema;
    const u_char             *reaches;
    const agg_gql_doc_t      *doc;
    uint32_t                  operation;
    agg_gql_set_t            *root;
    agg_gql_node_t          **fetches;
    uint32_t                  nfetches;
    uint32_t                  max_fetches;
    uint32_t                  nnodes;
    agg_gql_place_t          *marks;

    agg_gql_set_t            *todo;         /* sets below them are due */
    uint32_t                 *list;         /* scratch for selections */
    uint32_t                  nlist;
    uint32_t                  max_list;
    uint32_t                 *stack;
    uint32_t                  max_stack;
    uint32_t                 *seen;         /* by fragment: the round */
    uint32_t                  round;
    unsigned                  grows:1;      /* fetches may come to it */
};


/*
 * The mask of the variables in @skip and @include has a bit for each that is
 * true. agg_gql_conditions() finds up to n of these variables; it returns
 * AGG_GQL_MAX_CONDITIONS + 1 if there are more.
 */

unsigned agg_gql_conditions(const agg_gql_doc_t *doc, uint32_t operation,
    uint32_t *conditions);
uint64_t agg_gql_mask(const agg_str_t *values, const uint32_t *conditions,
    unsigned n);


/*
 * Makes a plan for these values of the variables in @skip and @include.
 * AGG_OK, AGG_NOMEM, AGG_TOO_LARGE.
 */

agg_rc_e agg_gql_plan(agg_gql_plan_t *plan, agg_mem_t *mem,
    const agg_gql_schema_t *schema, const u_char *reaches,
    const agg_gql_doc_t *doc, uint32_t operation, const agg_str_t *values);


/* the set of a node for objects of this type, created if necessary */

agg_rc_e agg_gql_plan_set(agg_gql_plan_t *plan, agg_gql_node_t *node,
    const agg_gql_type_t *type, const agg_str_t *values, agg_gql_set_t **set);


/* collects the members that the nodes of a new set read */

agg_rc_e agg_gql_set_members(agg_gql_plan_t *plan, agg_gql_set_t *set);


/*
 * Reads the members that a set needs from a valid object, whose "{" is at p,
 * and returns the position after its "}".  "values" has room for nmembers; data
 * is NULL for missing ones.  The last one of duplicates is used.
 */

const u_char *agg_gql_object_read(agg_gql_set_t *set, const u_char *p,
    const u_char *end, agg_str_t *values);


/*
 * Moves to the next element of a valid array, from after its "[" or after an
 * element; 0: there is none.
 */

int agg_gql_next_element(const u_char **pos, const u_char *end);


/* for a name as in a document; NONE: the set does not read it */

uint32_t agg_gql_find_member(const agg_gql_set_t *set, const agg_str_t *name);


/* the position after the value at p */

const u_char *agg_gql_value_end(const u_char *p, const u_char *end);


/* agg_path_get(), but faster for a path of one member; 0: not found */

int agg_gql_path(const agg_path_t *path, const agg_str_t *from,
    agg_str_t *value);


/*
 * The value of a node in the members that were read, or the key if it is
 * fetched in a batch; 0: there is none.
 */

int agg_gql_node_value(const agg_gql_node_t *node, const agg_str_t *object,
    const agg_str_t *values, agg_str_t *value);


/* the place of a selection; line 0: there is no memory */

agg_gql_place_t agg_gql_plan_place(agg_gql_plan_t *plan, uint32_t selection);


/* iterates over all nodes, parents first, in order; NULL: the end */

agg_gql_node_t *agg_gql_plan_next(const agg_gql_plan_t *plan,
    agg_gql_node_t *node);


#pragma GCC visibility pop


#endif /* AGG_GQL_PLAN_H_INCLUDED */
