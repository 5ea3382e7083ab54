
/*
 * Templates of "@rest": the template language of an "aggregate" block
 * (agg_template.h), and what lists and missing values need.
 *
 *   ${args.path} ${parent.path} ${Type.path} ${keys}    $variable
 *   ${...*}   in a query string: the pair is repeated for each element
 *
 * Given:    values as JSON bytes, one for each piece; variables as they are.
 * Promises: no value leaves its place in a URI, a header or a JSON text.
 * Cost:     one pass over the template and its values.
 */


#ifndef AGG_GQL_TEMPLATE_H_INCLUDED
#define AGG_GQL_TEMPLATE_H_INCLUDED


#include "agg_template.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_GQL_PIECE_TEXT = 0,
    AGG_GQL_PIECE_VARIABLE,             /* nginx's */
    AGG_GQL_PIECE_ARGS,
    AGG_GQL_PIECE_PARENT,
    AGG_GQL_PIECE_TYPE,
    AGG_GQL_PIECE_KEYS
} agg_gql_piece_e;


typedef struct {
    agg_gql_piece_e         kind;
    agg_piece_t             piece;
    agg_str_t               pair;       /* "name=", if the value is all of it */
    const void             *type;       /* the caller's, for "${Type.path}" */
    unsigned                first:1;    /* begins a pair of the query string */
    unsigned                repeat:1;
} agg_gql_piece_t;


typedef struct {
    agg_gql_piece_t        *pieces;
    size_t                  npieces;
    size_t                  length;     /* all literals, bytes */
    unsigned                dynamic:1;
    unsigned                keys:1;     /* has ${keys} */
} agg_gql_template_t;


typedef enum {
    AGG_GQL_RENDERED = 0,
    AGG_GQL_BAD_URI,
    AGG_GQL_DEPENDENCY,
    AGG_GQL_RENDER_LARGE,
    AGG_GQL_RENDER_NOMEM
} agg_gql_render_e;


/*
 * Parses text.  AGG_OK, AGG_NOMEM, or AGG_INVALID with err, as
 * agg_template_parse() does.
 */

agg_rc_e agg_gql_template_parse(agg_gql_template_t *t, agg_template_e kind,
    const agg_str_t *text, agg_mem_t *mem, agg_error_t *err);


/*
 * Rendering.  "values" has one entry per piece: the bytes of a variable, or
 * JSON; data is NULL if there is no value.  The buffers grow up to their max:
 * AGG_GQL_RENDER_LARGE.
 */

agg_gql_render_e agg_gql_render_uri(const agg_gql_template_t *t,
    const agg_str_t *values, agg_mem_t *mem, agg_buf_t *path,
    agg_buf_t *args);
agg_gql_render_e agg_gql_render_header(const agg_gql_template_t *t,
    const agg_str_t *values, agg_mem_t *mem, agg_buf_t *out);
agg_gql_render_e agg_gql_render_body(const agg_gql_template_t *t,
    const agg_str_t *values, agg_buf_t *out);


/*
 * The characters of a string, or the text of a number, true or false.
 * AGG_NOT_FOUND: any other value; AGG_INVALID: a lone surrogate.  The result is
 * allocated from mem only if the string has escapes.
 */

agg_rc_e agg_gql_plain(const agg_str_t *json, agg_mem_t *mem,
    agg_str_t *plain);


#pragma GCC visibility pop


#endif /* AGG_GQL_TEMPLATE_H_INCLUDED */
