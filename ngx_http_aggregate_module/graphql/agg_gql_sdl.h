
/*
 * Type system definitions, as the parser leaves them.  Lists of names, fields,
 * arguments and values cannot nest, so their elements are adjacent in the
 * arrays.
 */


#ifndef AGG_GQL_SDL_H_INCLUDED
#define AGG_GQL_SDL_H_INCLUDED


#include "agg_gql_doc.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_GQL_SDL_SCHEMA = 0,
    AGG_GQL_SDL_SCALAR,
    AGG_GQL_SDL_TYPE,
    AGG_GQL_SDL_INTERFACE,
    AGG_GQL_SDL_UNION,
    AGG_GQL_SDL_ENUM,
    AGG_GQL_SDL_INPUT,
    AGG_GQL_SDL_DIRECTIVE
} agg_gql_sdl_e;


/* a range of one of the arrays */

typedef struct {
    uint32_t                 first;
    uint32_t                 n;
} agg_gql_range_t;


/* an interface, a member of a union, a location, the type of an operation */

typedef struct {
    agg_str_t                name;
    uint32_t                 offset;
    uint32_t                 node_offset;   /* the operation's keyword */
    agg_gql_operation_e      operation;
} agg_gql_sdl_name_t;


/* an argument or a field of an input object */

typedef struct {
    agg_str_t                name;
    agg_str_t                description;   /* data NULL: none */
    uint32_t                 offset;
    uint32_t                 name_offset;
    agg_str_t                type_name;
    uint32_t                 type_offset;
    uint32_t                 type_name_offset;
    agg_gql_wraps_t          wraps;
    uint32_t                 value;         /* the default, or NONE */
    uint32_t                 applied;
} agg_gql_sdl_input_t;


/* a field, or a value of an enum, which has no type */

typedef struct {
    agg_str_t                name;
    agg_str_t                description;
    uint32_t                 offset;
    uint32_t                 name_offset;
    agg_gql_range_t          args;
    agg_str_t                type_name;
    uint32_t                 type_offset;
    uint32_t                 type_name_offset;
    agg_gql_wraps_t          wraps;
    uint32_t                 applied;
} agg_gql_sdl_field_t;


typedef struct {
    agg_gql_sdl_e            kind;
    unsigned                 extend:1;
    unsigned                 repeatable:1;
    agg_str_t                name;
    agg_str_t                description;
    uint32_t                 offset;
    uint32_t                 name_offset;
    uint32_t                 applied;
    agg_gql_range_t          interfaces;    /* names */
    agg_gql_range_t          names;         /* union, locations, operations */
    agg_gql_range_t          fields;        /* and values of an enum */
    agg_gql_range_t          inputs;        /* and arguments of a directive */
} agg_gql_sdl_def_t;


struct agg_gql_sdl_s {
    agg_gql_sdl_def_t       *defs;
    uint32_t                 ndefs;
    agg_gql_sdl_name_t      *names;
    uint32_t                 nnames;
    agg_gql_sdl_field_t     *fields;
    uint32_t                 nfields;
    agg_gql_sdl_input_t     *inputs;
    uint32_t                 ninputs;
};


/* the locations of directives, in the order of their bits */

typedef enum {
    AGG_GQL_ON_QUERY = 0,
    AGG_GQL_ON_MUTATION,
    AGG_GQL_ON_SUBSCRIPTION,
    AGG_GQL_ON_FIELD,
    AGG_GQL_ON_FRAGMENT_DEFINITION,
    AGG_GQL_ON_FRAGMENT_SPREAD,
    AGG_GQL_ON_INLINE_FRAGMENT,
    AGG_GQL_ON_VARIABLE_DEFINITION,
    AGG_GQL_ON_SCHEMA,
    AGG_GQL_ON_SCALAR,
    AGG_GQL_ON_OBJECT,
    AGG_GQL_ON_FIELD_DEFINITION,
    AGG_GQL_ON_ARGUMENT_DEFINITION,
    AGG_GQL_ON_INTERFACE,
    AGG_GQL_ON_UNION,
    AGG_GQL_ON_ENUM,
    AGG_GQL_ON_ENUM_VALUE,
    AGG_GQL_ON_INPUT_OBJECT,
    AGG_GQL_ON_INPUT_FIELD_DEFINITION,
    AGG_GQL_ON_END
} agg_gql_on_e;


/* "QUERY" and so on; the location of that name, or AGG_GQL_ON_END */

const char *agg_gql_on_name(agg_gql_on_e on);
agg_gql_on_e agg_gql_on_by_name(const agg_str_t *name);


#pragma GCC visibility pop


#endif /* AGG_GQL_SDL_H_INCLUDED */
