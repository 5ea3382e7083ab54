
/*
 * What a message has to have: the fields that proto2 calls required.  They are
 * looked for in what was encoded, as a field that the body lacks may be bound
 * by the path or the query.
 */


#ifndef AGG_PB_REQUIRED_H_INCLUDED
#define AGG_PB_REQUIRED_H_INCLUDED


#include "agg_pb_desc.h"


#pragma GCC visibility push(hidden)


/*
 * A required field that the message does not have, or a message in it, down to
 * AGG_PB_DEPTH; NULL: it has all of them.  What is not sound is left to its
 * reader, and so are the contents of an Any.  Messages that can require nothing
 * are not gone over.  Source: protobuf's IsInitialized().
 */

const agg_pb_field_t *agg_pb_missing(const agg_pb_message_t *m,
    const agg_str_t *wire);


#pragma GCC visibility pop


#endif /* AGG_PB_REQUIRED_H_INCLUDED */
