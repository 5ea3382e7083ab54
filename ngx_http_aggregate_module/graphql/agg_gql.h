
/*
 * GraphQL, what its parts share: sources, places in them, errors, limits.
 *
 * Given:    bytes over pointer and length; memory of the caller's agg_mem_t,
 *           which is freed as a whole.
 * Promises: no recursion, no globals, no I/O; whatever a document makes us
 *           build is bounded by agg_gql_limits_t before it is built.
 * Source:   the GraphQL specification of September 2025; messages and places
 *           are those of graphql-js 16.
 */


#ifndef AGG_GQL_H_INCLUDED
#define AGG_GQL_H_INCLUDED


#include <stdarg.h>

#include "agg_json.h"


#pragma GCC visibility push(hidden)


/* no such element: all indexes are uint32_t */

#define AGG_GQL_NONE        ((uint32_t) -1)

/* the maximum size of a source in bytes, as offsets have 32 bits */

#define AGG_GQL_MAX_SOURCE  (64 << 20)

#define AGG_GQL_MAX_ERRORS  20


/* a file of the schema, or a document of a client; must outlive all of it */

typedef struct {
    agg_str_t                name;
    agg_str_t                text;
} agg_gql_source_t;


typedef struct {
    const agg_gql_source_t  *source;
    uint32_t                 offset;        /* bytes */
} agg_gql_loc_t;


/* from 1; columns are UTF-16 code units, as in graphql-js */

typedef struct {
    uint32_t                 line;
    uint32_t                 column;
} agg_gql_place_t;


typedef enum {
    AGG_GQL_PARSE_FAILED = 0,
    AGG_GQL_VALIDATION_FAILED,
    AGG_GQL_LIMIT_EXCEEDED,
    AGG_GQL_OPERATION_RESOLUTION_FAILURE,
    AGG_GQL_BAD_USER_INPUT
} agg_gql_code_e;


typedef struct {
    agg_str_t                message;       /* not escaped */
    agg_gql_code_e           code;
    const char              *limit;         /* the name, for LIMIT_EXCEEDED */
    const agg_gql_source_t  *source;        /* where the places are; or NULL */
    unsigned                 nplaces;
    agg_gql_place_t         *places;
    uint64_t                 key;           /* the order of the errors */
} agg_gql_error_t;


/* the first AGG_GQL_MAX_ERRORS errors, in the order of the document */

typedef struct {
    agg_mem_t               *mem;
    unsigned                 n;
    unsigned                 nomem;         /* an error was lost for memory */
    unsigned                 suggest;       /* messages suggest names */
    size_t                   budget;        /* work left for suggestions */
    uint64_t                 key;           /* the next error's key */
    agg_gql_error_t          list[AGG_GQL_MAX_ERRORS];
} agg_gql_errors_t;


/* 0 means no limit, except for tokens, where it means 2^31 */

typedef struct {
    uint32_t                 max_tokens;
    uint32_t                 max_depth;
    uint32_t                 max_aliases;
    uint32_t                 max_root_fields;
    uint32_t                 max_selections;
} agg_gql_limits_t;


/* "GRAPHQL_PARSE_FAILED" and so on, for extensions.code */

const char *agg_gql_code_name(agg_gql_code_e code);


/* takes time linear in the offset: for errors, or once per field of a plan */

void agg_gql_place(agg_gql_place_t *place, const agg_gql_source_t *source,
    uint32_t offset);


/*
 * Errors. agg_gql_errors_init() allocates nothing. agg_gql_error() inserts an
 * error by errors->key, after those with the same key; if there are too many,
 * the last one is dropped.  The format has %V and %W (agg_str_t *), %s, %u
 * (unsigned) and %c (int); "offsets" are n places in the source.  It returns
 * AGG_INVALID, or AGG_NOMEM.
 */

void agg_gql_errors_init(agg_gql_errors_t *errors, agg_mem_t *mem);
agg_rc_e agg_gql_error(agg_gql_errors_t *errors, agg_gql_code_e code,
    const agg_gql_source_t *source, const uint32_t *offsets, unsigned n,
    const char *fmt, ...);


/* the error of a document that is over a limit */

agg_rc_e agg_gql_limit(agg_gql_errors_t *errors,
    const agg_gql_source_t *source, uint32_t offset, const char *name,
    uint32_t limit);


/* append with the same formats; %V writes at most 256 bytes, %W writes all */

agg_rc_e agg_gql_put(agg_buf_t *b, const char *fmt, ...);
agg_rc_e agg_gql_putv(agg_buf_t *b, const char *fmt, va_list args);


/*
 * whether an error with errors->key would be kept, to avoid making it in vain
 */

static inline int
agg_gql_error_wanted(const agg_gql_errors_t *errors)
{
    return errors->n < AGG_GQL_MAX_ERRORS
           || errors->key < errors->list[errors->n - 1].key;
}


static inline int
agg_gql_equal(const agg_str_t *a, const agg_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


/*
 * FNV-1a, without a key: a client can make the names of its document collide,
 * and the limits of a document bound what that costs
 */

static inline uint32_t
agg_gql_name_hash(const agg_str_t *s)
{
    size_t    i;
    uint32_t  hash;

    hash = 0x811c9dc5;

    for (i = 0; i < s->len; i++) {
        hash = (hash ^ s->data[i]) * 0x01000193;
    }

    return hash;
}


#pragma GCC visibility pop


#endif /* AGG_GQL_H_INCLUDED */
