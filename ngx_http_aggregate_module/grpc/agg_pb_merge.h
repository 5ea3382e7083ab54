
/*
 * A message whose body, query and path bind fields of one submessage holds it
 * in pieces.  Protobuf says that readers merge these, but that of protobufjs
 * takes the last one only, so the pieces are joined before they are sent.
 */


#ifndef AGG_PB_MERGE_H_INCLUDED
#define AGG_PB_MERGE_H_INCLUDED


#include "agg_pb_desc.h"


#pragma GCC visibility push(hidden)


/* as deep as the path of a field that is bound */

#define AGG_PB_MERGE_DEPTH  32

/*
 * Appends the message to out, and moves the pieces of each singular submessage
 * to its first one, down to AGG_PB_MERGE_DEPTH.  Allocates from out->mem.
 * AGG_OK; AGG_INVALID: the message is invalid; AGG_TOO_LARGE; AGG_NOMEM.
 */

agg_rc_e agg_pb_merge(const agg_pb_message_t *m, const agg_str_t *wire,
    agg_buf_t *out);


#pragma GCC visibility pop


#endif /* AGG_PB_MERGE_H_INCLUDED */
