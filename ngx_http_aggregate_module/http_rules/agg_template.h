
/*
 * Templates of a backend's request: its URI, its headers, its body.
 *
 * A template is parsed once, at configuration time, to a list of pieces:
 * literal text, a variable ("$name", "${name}", "$1") or a value of another
 * part ("${part.path}").  At run time the caller resolves every piece that is
 * no literal to plain bytes, and renders.
 *
 * The effect of a value on a URI (RFC 3986, 2 and 3.3):
 *
 *   in the path    it is one segment or a piece of one: it may not be empty,
 *                  a dot segment, or hold a delimiter or a control character;
 *                  it is written as it is, since nginx keeps paths decoded
 *                  and encodes them again on their way out
 *   after the "?"  every byte outside of "unreserved" is percent-encoded
 *
 * "$uri" is several segments, "$args" goes as it stands after the "?".
 *
 * Cost: one pass over the text, one over the values.
 */

#ifndef _AGG_TEMPLATE_H_INCLUDED_
#define _AGG_TEMPLATE_H_INCLUDED_


#include "agg_json.h"
#include "agg_path.h"


#pragma GCC visibility push(hidden)


/* replaces a "/" in a segment; values and literals must not contain it */

#define AGG_TEMPLATE_SLASH  '\x01'


typedef enum {
    AGG_TEMPLATE_URI = 0,
    AGG_TEMPLATE_HEADER,
    AGG_TEMPLATE_BODY
} agg_template_e;


typedef enum {
    AGG_PIECE_TEXT = 0,         /* text is the literal */
    AGG_PIECE_VARIABLE,         /* text is the variable's name */
    AGG_PIECE_PART              /* text is the part's name */
} agg_piece_e;


typedef enum {
    AGG_VALUE_COMPONENT = 0,    /* encoded as one component */
    AGG_VALUE_ARGUMENT,         /* "$arg_name": decoded once, then the same */
    AGG_VALUE_SEGMENTS,         /* "$uri": encoded segment by segment */
    AGG_VALUE_RAW               /* "$args", "$is_args": as it stands */
} agg_value_e;


typedef struct {
    agg_piece_e             kind;
    agg_value_e             value;
    agg_str_t               text;
    agg_path_t             *path;       /* the path of AGG_PIECE_PART */
    int                     index;      /* for the caller */
    size_t                  offset;     /* in the text, of its end */
    unsigned                args:1;     /* stands after the "?" */
    unsigned                mark:1;     /* "$is_args": is the "?" itself */
} agg_piece_t;


typedef struct {
    agg_template_e          kind;
    agg_piece_t            *pieces;
    size_t                  npieces;
    size_t                  length;     /* all literals, bytes */
    unsigned                dynamic:1;  /* has a piece that is no literal */
    unsigned                slash:1;    /* set by the caller: a value in the
                                           path may hold "/", rendered as
                                           AGG_TEMPLATE_SLASH */
} agg_template_t;


/*
 * Parses text to t.  Memory is taken from mem and is never given back; the
 * literals of t point into it.  Returns AGG_OK, AGG_NOMEM, or AGG_INVALID
 * with err: what is wrong, and the offset in the text.
 *
 * AGG_TEMPLATE_URI:  a path, starts with "/", literal escapes are decoded;
 *                    what follows the first "?" goes as it stands.
 * AGG_TEMPLATE_BODY: JSON in which a variable or a value may stand wherever
 *                    a value may; "$" in a string is literal.
 */
agg_rc_e agg_template_parse(agg_template_t *t, agg_template_e kind,
    const agg_str_t *text, agg_mem_t *mem, agg_error_t *err);


/*
 * Renders a URI.  "values" has an entry for each piece, which is ignored for
 * literals.  path and args must each have room for agg_uri_size() bytes; their
 * len is set.  AGG_INVALID: a value is not allowed in its place.
 */
size_t agg_uri_size(const agg_template_t *t, const agg_str_t *values);
agg_rc_e agg_uri_render(const agg_template_t *t, const agg_str_t *values,
    agg_str_t *path, agg_str_t *args);


/*
 * Writes a value at the place of the piece: at most 3 * value->len bytes at
 * dst.  Returns the end; NULL: the value is not allowed there.
 */
unsigned char *agg_uri_value(unsigned char *dst, const agg_piece_t *piece,
    const agg_str_t *value);


/* whether a header may have this value (RFC 9110, 5.5) */
int agg_header_value_valid(const agg_str_t *value);


#pragma GCC visibility pop


#endif /* _AGG_TEMPLATE_H_INCLUDED_ */
