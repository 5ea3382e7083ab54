
/*
 * What gRPC has around a message: frames, deadlines; and which form of a
 * stream a client accepts.
 *
 * Given:    bytes as they come, memory of the caller.
 * Promises: nothing is allocated by the length that a frame claims: a buffer
 *           grows with the bytes that came, up to the limit.
 * Source:   PROTOCOL-HTTP2.md of gRPC; RFC 9110, 12.5.1 (Accept).
 */


#ifndef AGG_GRPC_CALL_H_INCLUDED
#define AGG_GRPC_CALL_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


#define AGG_GRPC_FRAME_HEAD  5


typedef enum {
    AGG_GRPC_FRAME_MORE = 0,    /* all was taken, no message is complete */
    AGG_GRPC_FRAME_MESSAGE,
    AGG_GRPC_FRAME_COMPRESSED,
    AGG_GRPC_FRAME_TOO_LARGE,
    AGG_GRPC_FRAME_NOMEM
} agg_grpc_frame_e;


typedef struct {
    u_char          head[AGG_GRPC_FRAME_HEAD];
    unsigned        nhead;
    size_t          size;       /* of the message that began */
    size_t          max;
    agg_buf_t       buf;        /* of a message that comes in pieces */
    agg_str_t       message;
} agg_grpc_reader_t;


/* max: the most bytes of a message */
void agg_grpc_reader_init(agg_grpc_reader_t *reader, agg_mem_t *mem,
    size_t max);

/*
 * Takes bytes from *pos up to last.  A message is valid until the next call; it
 * lies in these bytes, or in the reader.
 */
agg_grpc_frame_e agg_grpc_reader_next(agg_grpc_reader_t *reader, u_char **pos,
    u_char *last);

/* whether a message has begun but is not complete */
#define agg_grpc_reader_in_message(reader)  ((reader)->nhead != 0)

/* writes the head of a message of this length, AGG_GRPC_FRAME_HEAD bytes */
void agg_grpc_frame_head(u_char *p, size_t len);


/* grpc-timeout in milliseconds, at least 1; -1: it is invalid */

int64_t agg_grpc_timeout_read(const u_char *data, size_t len);

/* writes up to 9 bytes, and returns their end */
u_char *agg_grpc_timeout_write(u_char *p, uint64_t msec);


typedef enum {
    AGG_GRPC_ARRAY = 0,
    AGG_GRPC_NDJSON,
    AGG_GRPC_SSE
} agg_grpc_form_e;

/* the form with the highest weight, or the first of several */
agg_grpc_form_e agg_grpc_accept(const agg_str_t *values, unsigned n);


#pragma GCC visibility pop


#endif /* AGG_GRPC_CALL_H_INCLUDED */
