
/*
 * Frames of WebSocket: those of a client are read, those of a server written.
 *
 * Given:    bytes as they come, memory of the caller.
 * Promises: a message grows with the bytes that came, up to a limit; what RFC
 *           6455 forbids ends with the code that it names.
 * Source:   RFC 6455.
 */


#ifndef AGG_WEBSOCKET_H_INCLUDED
#define AGG_WEBSOCKET_H_INCLUDED


#include "agg_json.h"


#pragma GCC visibility push(hidden)


#define AGG_WS_HEAD      10     /* bytes of the longest head of a server's */
#define AGG_WS_CONTROL   125    /* bytes in a control frame */

#define AGG_WS_OP_TEXT   1
#define AGG_WS_OP_CLOSE  8
#define AGG_WS_OP_PING   9
#define AGG_WS_OP_PONG   10


typedef enum {
    AGG_WS_MORE = 0,
    AGG_WS_TEXT,                /* a message: ws->buf */
    AGG_WS_CLOSE,
    AGG_WS_PING,                /* its data: ws->control */
    AGG_WS_PONG,
    AGG_WS_ERROR,               /* to be closed with ws->code */
    AGG_WS_NOMEM
} agg_ws_e;


typedef struct {
    u_char          head[14];
    unsigned        nhead;
    unsigned        size;       /* of the head */
    uint64_t        rest;       /* of the frame's data */
    unsigned        phase;      /* of the mask */
    unsigned        opcode;
    unsigned        fin:1;
    unsigned        in_frame:1;
    unsigned        in_message:1;
    unsigned        complete:1; /* the message was given */
    u_char          control[AGG_WS_CONTROL];
    unsigned        ncontrol;
    agg_buf_t       buf;
    unsigned        code;
} agg_ws_t;


/*
 * Takes bytes from *pos up to last, which are unmasked where they lie, until
 * something is complete.  max: the most bytes of a message.
 */
void agg_ws_init(agg_ws_t *ws, agg_mem_t *mem, size_t max);
agg_ws_e agg_ws_next(agg_ws_t *ws, u_char **pos, u_char *last);

/* the head of a frame that is whole, which ends at p: its first byte */
u_char *agg_ws_head(u_char *p, unsigned opcode, size_t len);


#pragma GCC visibility pop


#endif /* AGG_WEBSOCKET_H_INCLUDED */
