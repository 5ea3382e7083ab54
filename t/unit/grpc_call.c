
/*
 * What gRPC and WebSocket have around a message: frames in pieces of any size,
 * deadlines, Accept, and submessages that are joined.
 *
 * sources: grpc/agg_grpc_call.c grpc/agg_websocket.c grpc/agg_pb_merge.c
 * sources: grpc/agg_pb.c grpc/agg_pb_builtin.c grpc/agg_pb_desc.c
 * sources: grpc/agg_pb_index.c
 * sources: grpc/agg_pb_load.c grpc/agg_pb_load_field.c
 * sources: grpc/agg_pb_load_service.c grpc/agg_pb_wire.c
 * sources: json/agg_json.c json/agg_scan.c json/agg_write.c
 */

#include "agg_grpc_call.h"
#include "agg_pb_merge.h"
#include "agg_test.h"
#include "agg_websocket.h"

#define count(a)  (sizeof(a) / sizeof(a[0]))


/* a message after the other, cut at each place */

static void
test_frames(void)
{
    u_char            *data, *pos;
    size_t             i, n;
    unsigned           messages;
    agg_grpc_frame_e   rc;
    agg_grpc_reader_t  reader;

    static const char  bytes[] = "\0\0\0\0\3abc" "\0\0\0\0\0" "\0\0\0\0\1d";

    n = sizeof(bytes) - 1;

    for (i = 0; i <= n; i++) {
        agg_grpc_reader_init(&reader, &mem, 100);
        messages = 0;

        data = exact(bytes, i);

        for (pos = data; /* void */; messages++) {
            rc = agg_grpc_reader_next(&reader, &pos, data + i);
            if (rc != AGG_GRPC_FRAME_MESSAGE) {
                break;
            }
        }

        check(rc == AGG_GRPC_FRAME_MORE && pos == data + i, "cut at %zu", i);
        free(data);

        data = exact(bytes + i, n - i);

        for (pos = data; /* void */; messages++) {
            rc = agg_grpc_reader_next(&reader, &pos, data + n - i);
            if (rc != AGG_GRPC_FRAME_MESSAGE) {
                break;
            }

            check(messages != 0 || (reader.message.len == 3
                  && memcmp(reader.message.data, "abc", 3) == 0),
                  "the first, cut at %zu", i);
        }

        check(messages == 3 && !agg_grpc_reader_in_message(&reader),
              "messages, cut at %zu", i);
        free(data);
    }

    mem_free_all();

    agg_grpc_reader_init(&reader, &mem, 3);
    pos = data = exact("\0\0\0\0\4", 5);
    check(agg_grpc_reader_next(&reader, &pos, data + 5)
          == AGG_GRPC_FRAME_TOO_LARGE, "a large one");
    free(data);

    agg_grpc_reader_init(&reader, &mem, 3);
    pos = data = exact("\1\0\0\0\1x", 6);
    check(agg_grpc_reader_next(&reader, &pos, data + 6)
          == AGG_GRPC_FRAME_COMPRESSED, "a compressed one");
    free(data);

    mem_free_all();
}


static void
test_timeouts(void)
{
    size_t   i;
    u_char   text[16], *p;
    int64_t  n;

    static const struct {
        const char  *text;
        int64_t      msec;
    } reads[] = {
        { "1S", 1000 }, { "2M", 120000 }, { "1H", 3600000 }, { "5m", 5 },
        { "1000u", 1 }, { "1u", 1 }, { "1n", 1 }, { "99999999H",
        99999999LL * 3600000 }, { "0S", 1 }, { "", -1 }, { "S", -1 },
        { "1", -1 }, { "-1S", -1 }, { "1X", -1 }, { "1 S", -1 },
        { "123456789S", -1 }
    };

    for (i = 0; i < count(reads); i++) {
        p = exact(reads[i].text, strlen(reads[i].text));
        n = agg_grpc_timeout_read(p, strlen(reads[i].text));
        check(n == reads[i].msec, "%s: %lld", reads[i].text, (long long) n);
        free(p);
    }

    for (i = 1; i < 20000000000; i = i * 7 + 3) {
        p = agg_grpc_timeout_write(text, i);
        check(p - text <= 9, "%zu", i);
        n = agg_grpc_timeout_read(text, (size_t) (p - text));
        check(n <= (int64_t) i && n + 1000 > (int64_t) i, "%zu", i);
    }
}


static void
test_accept(void)
{
    size_t           i;
    agg_str_t        value;
    agg_grpc_form_e  form;

    static const struct {
        const char       *text;
        agg_grpc_form_e   form;
    } values[] = {
        { "", AGG_GRPC_ARRAY },
        { "text/event-stream", AGG_GRPC_SSE },
        { "Text/Event-Stream", AGG_GRPC_SSE },
        { " text/event-stream ; q=1.0", AGG_GRPC_SSE },
        { "application/x-ndjson", AGG_GRPC_NDJSON },
        { "application/jsonl,*/*;q=0.1", AGG_GRPC_NDJSON },
        { "application/json, text/event-stream", AGG_GRPC_ARRAY },
        { "text/event-stream;q=0.001", AGG_GRPC_SSE },
        { "text/event-stream;q=0", AGG_GRPC_ARRAY },
        { "text/event-stream;q=0.2,application/x-ndjson;q=0.3",
          AGG_GRPC_NDJSON },
        { "text/event-stream;a=\",\\\"q=0\";q=0.5, */*;q=0.4", AGG_GRPC_SSE },
        { "text/event-stream;a=\"", AGG_GRPC_SSE },
        { ";;,,;q", AGG_GRPC_ARRAY },
        { "text/event-streams", AGG_GRPC_ARRAY },
    };

    for (i = 0; i < count(values); i++) {
        value.len = strlen(values[i].text);
        value.data = exact(values[i].text, value.len);
        form = agg_grpc_accept(&value, 1);
        check(form == values[i].form, "%s: %d", values[i].text, form);
        free(value.data);
    }
}


/* frames of a client, cut at each place */

static void
test_websocket(void)
{
    char       seen[16];
    u_char    *data, *pos, head[AGG_WS_HEAD], *p;
    size_t     i, n, k;
    agg_ws_e   rc;
    agg_ws_t   ws;

    /* "ab" in two frames, a ping between them, then a close */

    static const char  bytes[] =
        "\x01\x81" "\1\2\3\4" "`"
        "\x89\x81" "\0\0\0\0" "p"
        "\x80\x81" "\1\2\3\4" "c"
        "\x88\x80" "\0\0\0\0";

    static const struct {
        const char  *bytes;
        size_t       len;
        unsigned     code;
    } bad[] = {
        { "\x81\x01x", 3, 1002 },                   /* no mask */
        { "\xc1\x80", 2, 0 },
        { "\xc1\x80\0\0\0\0", 6, 1002 },            /* reserved */
        { "\x82\x80\0\0\0\0", 6, 1003 },            /* binary */
        { "\x83\x80\0\0\0\0", 6, 1002 },            /* unknown */
        { "\x80\x80\0\0\0\0", 6, 1002 },            /* goes on with nothing */
        { "\x09\x80\0\0\0\0", 6, 1002 },            /* a ping in pieces */
        { "\x89\xfe\0\x7e\0\0\0\0", 8, 1002 },      /* a long ping */
        { "\x81\xfe\4\1\0\0\0\0", 8, 1009 },        /* over 1k */
        { "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, 1009 },
        { "\x81\x81\0\0\0\0\xff", 7, 1007 },        /* no UTF-8 */
        { "\x88\x81\0\0\0\0\3", 7, 1002 },          /* half a code */
        { "\x88\x82\0\0\0\0\3\xed", 8, 1002 },      /* 1005 */
        { "\x88\x83\0\0\0\0\3\xe8\xff", 9, 1007 },  /* no UTF-8 */
    };

    static const struct {
        unsigned     code;
        int          good;
    } codes[] = {
        { 0, 0 }, { 999, 0 }, { 1000, 1 }, { 1003, 1 }, { 1004, 0 },
        { 1005, 0 }, { 1006, 0 }, { 1007, 1 }, { 1014, 1 }, { 1015, 0 },
        { 2999, 0 }, { 3000, 1 }, { 4999, 1 }, { 5000, 0 }, { 65535, 0 }
    };

    n = sizeof(bytes) - 1;

    for (i = 0; i <= n; i++) {
        agg_ws_init(&ws, &mem, 1024);
        k = 0;

        data = exact(bytes, i);
        pos = data;

        while ((rc = agg_ws_next(&ws, &pos, data + i)) != AGG_WS_MORE) {
            seen[k++] = (char) ('0' + rc);
        }

        free(data);
        data = exact(bytes + i, n - i);
        pos = data;

        while ((rc = agg_ws_next(&ws, &pos, data + n - i)) != AGG_WS_MORE) {
            seen[k++] = (char) ('0' + rc);

            check(rc != AGG_WS_TEXT || (agg_buf_used(&ws.buf) == 2
                  && memcmp(ws.buf.start, "ab", 2) == 0), "cut at %zu", i);
        }

        check(k == 3 && seen[0] == '0' + AGG_WS_PING
              && seen[1] == '0' + AGG_WS_TEXT
              && seen[2] == '0' + AGG_WS_CLOSE, "cut at %zu: %zu", i, k);
        free(data);
    }

    for (i = 0; i < count(bad); i++) {
        agg_ws_init(&ws, &mem, 1024);
        data = exact(bad[i].bytes, bad[i].len);
        pos = data;
        rc = agg_ws_next(&ws, &pos, data + bad[i].len);
        check(bad[i].code ? rc == AGG_WS_ERROR && ws.code == bad[i].code
                          : rc == AGG_WS_MORE, "%zu: %d %u", i, rc, ws.code);
        free(data);
    }

    for (i = 0; i < count(codes); i++) {
        agg_ws_init(&ws, &mem, 1024);
        data = exact("\x88\x82\0\0\0\0\0\0", 8);
        data[6] = (u_char) (codes[i].code >> 8);
        data[7] = (u_char) codes[i].code;
        pos = data;
        rc = agg_ws_next(&ws, &pos, data + 8);
        check(rc == (codes[i].good ? AGG_WS_CLOSE : AGG_WS_ERROR)
              && (codes[i].good || ws.code == 1002), "code %u",
              codes[i].code);
        free(data);
    }

    for (i = 0; i < 70000; i += 7) {
        p = agg_ws_head(head + AGG_WS_HEAD, AGG_WS_OP_TEXT, i);
        k = (size_t) (head + AGG_WS_HEAD - p);
        check(k == (i < 126 ? 2 : i < 65536 ? 4 : 10) && p[0] == 0x81
              && p[1] < 0x80, "head of %zu", i);
    }

    mem_free_all();
}


/* the built-in types */

static void
test_merge(void)
{
    size_t                   which, i;
    agg_rc_e                 rc;
    agg_buf_t                out;
    agg_str_t                wire, set;
    agg_pb_pool_t           *pool;
    agg_pb_error_t           err;
    const agg_pb_message_t  *m;

    set.len = 0;
    set.data = NULL;

    rc = agg_pb_load(&pool, &mem, &set, 0, &err, &which);
    check(rc == AGG_OK, "load");

    /* Any within Status.details is repeated and stays as it is */

    m = agg_pb_find_message(pool, (u_char *) "google.rpc.Status", 17);
    check(m != NULL, "Status");

    wire = str("\x08\x05" "\x1a\x03" "\x0a\x01" "x" "\x1a\x03" "\x0a\x01" "y");

    agg_buf_init(&out, &mem, 1024);
    rc = agg_pb_merge(m, &wire, &out);
    check(rc == AGG_OK && agg_buf_used(&out) == wire.len
          && memcmp(out.start, wire.data, wire.len) == 0, "lists stay");

    /* google.rpc.RetryInfo: 1 is a Duration */

    m = agg_pb_find_message(pool, (u_char *) "google.rpc.RetryInfo", 20);
    check(m != NULL, "RetryInfo");

    wire = str("\x0a\x02" "\x08\x05" "\x0a\x02" "\x10\x07");

    agg_buf_init(&out, &mem, 1024);
    rc = agg_pb_merge(m, &wire, &out);
    check(rc == AGG_OK && agg_buf_used(&out) == 10
          && memcmp(out.start, "\x0a\x84\x80\x80\x80\0" "\x08\x05\x10\x07", 10)
             == 0, "pieces are joined");

    for (i = 0; i < wire.len; i++) {
        agg_str_t  cut = { i, exact(wire.data, i) };

        agg_buf_init(&out, &mem, 1024);
        rc = agg_pb_merge(m, &cut, &out);
        check(rc == (i == 0 || i == 4 ? AGG_OK : AGG_INVALID), "cut at %zu",
              i);
        free(cut.data);
    }

    mem_free_all();
}


int
main(void)
{
    test_frames();
    test_timeouts();
    test_accept();
    test_websocket();
    test_merge();

    finish("grpc_call");

    return 0;
}
