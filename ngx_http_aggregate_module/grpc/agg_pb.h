
/*
 * Protocol buffers: what the codec's parts share.
 *
 * Given:    bytes over pointer and length; memory of the caller's agg_mem_t,
 *           which is freed as a whole.
 * Promises: no tree of a message, no recursion, no globals, no I/O; messages
 *           nest up to AGG_PB_DEPTH; nothing is allocated by a length that
 *           the input claims.
 * Source:   the encoding and JSON guides of protobuf.dev, and the conformance
 *           tests of protobuf.
 */


#ifndef AGG_PB_H_INCLUDED
#define AGG_PB_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


/* the maximum nesting of messages, groups, arrays and objects */

#define AGG_PB_DEPTH       100

/* the maximum size of an input in bytes, as positions have 32 bits */

#define AGG_PB_MAX_INPUT   ((size_t) 1 << 30)

#define AGG_PB_ERROR_TEXT  400

#define AGG_PB_NONE        ((uint32_t) -1)


/*
 * The reason why an input is refused.  The text may contain bytes of the input,
 * but is always valid UTF-8, and is cut to AGG_PB_ERROR_TEXT bytes.  It is
 * neither terminated nor escaped for JSON or a log.
 */

typedef struct {
    size_t       len;
    u_char       text[AGG_PB_ERROR_TEXT];
} agg_pb_error_t;


/* %s const char *, %V agg_str_t *, %u unsigned, %c int */

void agg_pb_error(agg_pb_error_t *err, const char *fmt, ...);
void agg_pb_error_add(agg_pb_error_t *err, const char *fmt, ...);


#pragma GCC visibility pop


#endif /* AGG_PB_H_INCLUDED */
