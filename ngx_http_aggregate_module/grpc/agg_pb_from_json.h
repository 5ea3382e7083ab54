
/*
 * JSON to wire.
 *
 * Given:    a whole JSON text, in one piece.
 * Promises: strict as protobuf's conformance tests (required and recommended):
 *           duplicate members, two members of a oneof, unknown names, numbers
 *           out of range, unpaired surrogates, null in lists and trailing text
 *           are errors.  Memory is a small factor of the input's length.
 * Cost:     one pass over the text; lengths of nested messages of 128 bytes
 *           and more are put in by another one over the output.
 */


#ifndef AGG_PB_FROM_JSON_H_INCLUDED
#define AGG_PB_FROM_JSON_H_INCLUDED


#include "agg_pb_desc.h"


#pragma GCC visibility push(hidden)


typedef struct {
    unsigned                  ignore_unknown:1; /* members and enum names */

    /* disables the fast paths, so that tests can compare both */
    unsigned                  plain:1;

    uint64_t                  key[2];       /* random, for tables of map keys */
} agg_pb_read_t;


/* enough room in out for most messages, and for the reader */

#define agg_pb_read_room(len)  ((len) + 96)


/*
 * Appends the wire bytes of a message to out; temporary memory is allocated
 * from out->mem and freed.  With a field, the JSON is the value of that field
 * (a list or an object if it is repeated or a map), and the message has only
 * this field.  AGG_OK; AGG_INVALID with a text in err, which begins with the
 * path of the field (user.tags[3]: not an int32); AGG_TOO_LARGE: over out->max;
 * AGG_NOMEM.
 */

agg_rc_e agg_pb_from_json(const agg_pb_pool_t *pool,
    const agg_pb_message_t *m, const agg_pb_field_t *field,
    const agg_str_t *json, const agg_pb_read_t *options, agg_buf_t *out,
    agg_pb_error_t *err);


#pragma GCC visibility pop


#endif /* AGG_PB_FROM_JSON_H_INCLUDED */
