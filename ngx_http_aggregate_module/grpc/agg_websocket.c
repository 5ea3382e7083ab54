
#include "agg_websocket.h"


static agg_ws_e agg_ws_read_head(agg_ws_t *ws, u_char **pos, u_char *last);
static agg_ws_e agg_ws_check_head(agg_ws_t *ws);
static agg_ws_e agg_ws_take(agg_ws_t *ws, u_char *p, size_t n);
static agg_ws_e agg_ws_frame(agg_ws_t *ws);
static agg_ws_e agg_ws_check_close(agg_ws_t *ws);
static agg_ws_e agg_ws_fail(agg_ws_t *ws, unsigned code);


void
agg_ws_init(agg_ws_t *ws, agg_mem_t *mem, size_t max)
{
    memset(ws, 0, sizeof(agg_ws_t));
    agg_buf_init(&ws->buf, mem, max);
}


agg_ws_e
agg_ws_next(agg_ws_t *ws, u_char **pos, u_char *last)
{
    size_t    n;
    agg_ws_e  rc;

    if (ws->complete) {
        ws->complete = 0;
        ws->buf.pos = ws->buf.start;
    }

    for ( ;; ) {

        if (!ws->in_frame) {
            rc = agg_ws_read_head(ws, pos, last);

            if (rc != AGG_WS_MORE || !ws->in_frame) {
                return rc;
            }
        }

        n = (size_t) (last - *pos);

        if (n > ws->rest) {
            n = (size_t) ws->rest;
        }

        rc = agg_ws_take(ws, *pos, n);
        *pos += n;

        if (rc != AGG_WS_MORE) {
            return rc;
        }

        if (ws->rest != 0) {
            return AGG_WS_MORE;
        }

        ws->in_frame = 0;
        ws->nhead = 0;

        rc = agg_ws_frame(ws);

        if (rc != AGG_WS_MORE) {
            return rc;
        }
    }
}


static agg_ws_e
agg_ws_read_head(agg_ws_t *ws, u_char **pos, u_char *last)
{
    unsigned  i, len;

    while (*pos != last) {

        ws->head[ws->nhead++] = *(*pos)++;

        if (ws->nhead < 2) {
            continue;
        }

        if (ws->nhead == 2) {
            len = ws->head[1] & 0x7f;
            ws->size = len == 127 ? 14 : len == 126 ? 8 : 6;

            if (!(ws->head[1] & 0x80)) {
                return agg_ws_fail(ws, 1002);
            }
        }

        if (ws->nhead < ws->size) {
            continue;
        }

        len = ws->head[1] & 0x7f;
        ws->rest = len;

        if (len > 125) {
            ws->rest = 0;

            for (i = 2; i < ws->size - 4; i++) {
                ws->rest = ws->rest << 8 | ws->head[i];
            }
        }

        ws->phase = 0;
        ws->in_frame = 1;

        return agg_ws_check_head(ws);
    }

    return AGG_WS_MORE;
}


static agg_ws_e
agg_ws_check_head(agg_ws_t *ws)
{
    ws->opcode = ws->head[0] & 0x0f;
    ws->fin = ws->head[0] >> 7;

    if (ws->head[0] & 0x70) {
        return agg_ws_fail(ws, 1002);
    }

    if (ws->opcode >= AGG_WS_OP_CLOSE) {
        ws->ncontrol = 0;

        return ws->fin && ws->rest <= AGG_WS_CONTROL
               && ws->opcode <= AGG_WS_OP_PONG
               ? AGG_WS_MORE : agg_ws_fail(ws, 1002);
    }

    if (ws->opcode == 2) {
        return agg_ws_fail(ws, 1003);
    }

    if (ws->opcode > AGG_WS_OP_TEXT
        || (ws->opcode == AGG_WS_OP_TEXT) == ws->in_message)
    {
        return agg_ws_fail(ws, 1002);
    }

    ws->in_message = 1;

    if (ws->rest > ws->buf.max
        || agg_buf_used(&ws->buf) > ws->buf.max - (size_t) ws->rest)
    {
        return agg_ws_fail(ws, 1009);
    }

    return AGG_WS_MORE;
}


static agg_ws_e
agg_ws_take(agg_ws_t *ws, u_char *p, size_t n)
{
    size_t   i;
    u_char  *mask, *dst;

    if (n == 0) {
        return AGG_WS_MORE;
    }

    mask = ws->head + ws->size - 4;

    if (ws->opcode >= AGG_WS_OP_CLOSE) {
        dst = ws->control + ws->ncontrol;
        ws->ncontrol += (unsigned) n;

    } else {

        if (agg_buf_append(&ws->buf, p, n) != AGG_OK) {
            return AGG_WS_NOMEM;
        }

        dst = ws->buf.pos - n;
    }

    for (i = 0; i < n; i++) {
        dst[i] = p[i] ^ mask[ws->phase++ & 3];
    }

    ws->rest -= n;

    return AGG_WS_MORE;
}


static agg_ws_e
agg_ws_frame(agg_ws_t *ws)
{
    switch (ws->opcode) {

    case AGG_WS_OP_CLOSE:
        return agg_ws_check_close(ws);

    case AGG_WS_OP_PING:
        return AGG_WS_PING;

    case AGG_WS_OP_PONG:
        return AGG_WS_PONG;
    }

    if (!ws->fin) {
        return AGG_WS_MORE;
    }

    ws->in_message = 0;
    ws->complete = 1;

    return agg_utf8_valid(ws->buf.start, agg_buf_used(&ws->buf))
           ? AGG_WS_TEXT : agg_ws_fail(ws, 1007);
}


/* an empty body, or a valid code with a reason in UTF-8 */

static agg_ws_e
agg_ws_check_close(agg_ws_t *ws)
{
    unsigned  code;

    if (ws->ncontrol == 0) {
        return AGG_WS_CLOSE;
    }

    code = ws->ncontrol > 1 ? ws->control[0] << 8 | ws->control[1] : 0;

    if (code < 1000 || (code > 1003 && code < 1007)
        || (code > 1014 && code < 3000) || code > 4999)
    {
        return agg_ws_fail(ws, 1002);
    }

    return agg_utf8_valid(ws->control + 2, ws->ncontrol - 2)
           ? AGG_WS_CLOSE : agg_ws_fail(ws, 1007);
}


static agg_ws_e
agg_ws_fail(agg_ws_t *ws, unsigned code)
{
    ws->code = code;

    return AGG_WS_ERROR;
}


u_char *
agg_ws_head(u_char *p, unsigned opcode, size_t len)
{
    unsigned  i;

    if (len < 126) {
        *--p = (u_char) len;

    } else if (len < 65536) {
        *--p = (u_char) len;
        *--p = (u_char) (len >> 8);
        *--p = 126;

    } else {
        for (i = 0; i < 8; i++) {
            *--p = (u_char) len;
            len >>= 8;
        }

        *--p = 127;
    }

    *--p = (u_char) (0x80 | opcode);

    return p;
}
