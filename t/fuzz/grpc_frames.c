
/*
 * Any bytes as frames of gRPC, as frames of a WebSocket and as a header Accept
 * or grpc-timeout: what is read does not depend on how the bytes are cut.
 *
 * sources: grpc/agg_grpc_call.c grpc/agg_websocket.c
 * sources: json/agg_json.c json/agg_scan.c json/agg_write.c
 */

#include <stdlib.h>

#include "agg_grpc_call.h"
#include "agg_websocket.h"


#define MAX  512

#define hold(x)  if (!(x)) { abort(); }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void *
fuzz_alloc(void *ctx, size_t size)
{
    (void) ctx;
    hold(size <= 4 * MAX);

    return malloc(size);
}


static void *
fuzz_grow(void *ctx, void *p, size_t used, size_t size)
{
    (void) ctx;
    (void) used;
    hold(size <= 4 * MAX);

    if (size == 0) {
        free(p);
        return NULL;
    }

    return realloc(p, size);
}


static agg_mem_t  mem = { fuzz_alloc, fuzz_grow, NULL };


/* a sum of all that is read, in pieces of so many bytes */

static uint64_t
frames(const uint8_t *data, size_t size, size_t piece)
{
    u_char             *copy, *pos, *last;
    size_t              n;
    uint64_t            sum;
    agg_grpc_frame_e    rc;
    agg_grpc_reader_t   reader;

    agg_grpc_reader_init(&reader, &mem, MAX);
    sum = 0;
    rc = AGG_GRPC_FRAME_MORE;

    while (size != 0 && rc == AGG_GRPC_FRAME_MORE) {
        n = piece < size ? piece : size;
        copy = malloc(n);
        hold(copy != NULL);
        memcpy(copy, data, n);

        pos = copy;
        last = copy + n;

        while ((rc = agg_grpc_reader_next(&reader, &pos, last))
               == AGG_GRPC_FRAME_MESSAGE)
        {
            hold(reader.message.len <= MAX);
            sum = sum * 31 + reader.message.len + 1;

            for (n = 0; n < reader.message.len; n++) {
                sum = sum * 31 + reader.message.data[n];
            }
        }

        n = (size_t) (last - copy);
        data += n;
        size -= n;
        free(copy);
    }

    free(reader.buf.start);

    return sum * 31 + rc;
}


static uint64_t
websocket(const uint8_t *data, size_t size, size_t piece)
{
    u_char    *copy, *pos, *last;
    size_t     n;
    agg_ws_e   rc;
    agg_ws_t   ws;
    uint64_t   sum;

    agg_ws_init(&ws, &mem, MAX);
    sum = 0;
    rc = AGG_WS_MORE;

    while (size != 0 && rc != AGG_WS_ERROR) {
        n = piece < size ? piece : size;
        copy = malloc(n);
        hold(copy != NULL);
        memcpy(copy, data, n);

        pos = copy;
        last = copy + n;

        while ((rc = agg_ws_next(&ws, &pos, last)) != AGG_WS_MORE
               && rc != AGG_WS_ERROR)
        {
            hold(rc != AGG_WS_NOMEM && agg_buf_used(&ws.buf) <= MAX
                 && ws.ncontrol <= AGG_WS_CONTROL);

            sum = sum * 31 + rc;

            for (n = 0; rc == AGG_WS_TEXT && n < agg_buf_used(&ws.buf); n++) {
                sum = sum * 31 + ws.buf.start[n];
            }
        }

        n = (size_t) (last - copy);
        data += n;
        size -= n;
        free(copy);
    }

    free(ws.buf.start);

    return sum * 31 + ws.code;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char      text[16];
    int64_t     n;
    agg_str_t   value;

    hold(frames(data, size, 1) == frames(data, size, size));
    hold(frames(data, size, 7) == frames(data, size, size));
    hold(websocket(data, size, 1) == websocket(data, size, size));
    hold(websocket(data, size, 7) == websocket(data, size, size));

    value.len = size;
    value.data = (u_char *) data;

    (void) agg_grpc_accept(&value, 1);

    n = agg_grpc_timeout_read(data, size);

    if (n > 0) {
        hold(agg_grpc_timeout_write(text, (uint64_t) n) <= text + 9);
    }

    return 0;
}
