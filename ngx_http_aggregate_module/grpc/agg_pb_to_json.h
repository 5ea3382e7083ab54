
/*
 * Wire to JSON.
 *
 * Given:    the whole bytes of a message, in one piece.
 * Promises: valid JSON or an error; fields by number, floats in the shortest
 *           text that reads back, 64-bit integers as strings, unknown fields
 *           dropped.  Repeated fields may be interleaved with others, packed
 *           or not; pieces of a singular message are merged; the last scalar
 *           and the last member of a oneof win.  Memory besides the output is
 *           at most some twelve bytes for each two of the input, and none for
 *           messages of few fields.
 * Cost:     a message whose fields come in order is printed in one pass.  Else
 *           each byte is read once for the index of its message, and once when
 *           its value is written; fields are sorted by counting.  What was
 *           printed before the order is known to be lost is bounded by the
 *           input.
 */


#ifndef AGG_PB_TO_JSON_H_INCLUDED
#define AGG_PB_TO_JSON_H_INCLUDED


#include "agg_pb_desc.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_PB_GOOD = 0,
    AGG_PB_BAD_WIRE,            /* not valid protobuf */
    AGG_PB_BAD_UTF8,
    AGG_PB_BAD_RANGE,           /* of a well-known type */
    AGG_PB_BAD_DEPTH
} agg_pb_fault_e;


typedef struct {
    unsigned                  always_print:1;   /* fields without presence */
    unsigned                  enums_as_ints:1;
    unsigned                  proto_names:1;

    /* an Any of google.rpc.DebugInfo is printed as an empty object */
    unsigned                  no_debug:1;

    /* disables the fast paths, so that tests can compare both */
    unsigned                  plain:1;

    uint64_t                  key[2];       /* random, for tables of map keys */
} agg_pb_print_t;


/*
 * Appends the JSON of a message to out; temporary memory is allocated from
 * out->mem and freed.  With a field, it is the JSON of that field's value; if
 * the message lacks it, [] or {}, the default of a scalar, or null.  AGG_OK;
 * AGG_INVALID with the fault; AGG_TOO_LARGE: over out->max; AGG_NOMEM.  Out is
 * unchanged after an error.
 */

agg_rc_e agg_pb_to_json(const agg_pb_pool_t *pool, const agg_pb_message_t *m,
    const agg_pb_field_t *field, const agg_str_t *wire,
    const agg_pb_print_t *print, agg_buf_t *out, agg_pb_fault_e *fault);


/* a static text for logs */

const char *agg_pb_fault_text(agg_pb_fault_e fault);


#pragma GCC visibility pop


#endif /* AGG_PB_TO_JSON_H_INCLUDED */
