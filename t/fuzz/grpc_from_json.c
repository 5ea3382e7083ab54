
/*
 * JSON to wire: a byte of flags, then the text.  What is accepted prints,
 * and what was printed is read as the same bytes once more.  The short cuts
 * change nothing of it, with blocks of either size.
 * sources: grpc/agg_pb.c grpc/agg_pb_wire.c grpc/agg_pb_desc.c
 * sources: grpc/agg_pb_load.c grpc/agg_pb_load_field.c
 * sources: grpc/agg_pb_load_service.c grpc/agg_pb_builtin.c
 * sources: grpc/agg_pb_to_json.c grpc/agg_pb_index.c grpc/agg_pb_keys.c
 * sources: grpc/agg_pb_print_message.c grpc/agg_pb_print_wire.c
 * sources: grpc/agg_pb_print_value.c
 * sources: grpc/agg_pb_print_known.c grpc/agg_pb_number.c grpc/agg_pb_powers.c
 * sources: grpc/agg_pb_from_json.c grpc/agg_pb_json_token.c
 * sources: grpc/agg_pb_json_value.c grpc/agg_pb_text.c grpc/agg_pb_writer.c
 * sources: grpc/agg_pb_bind.c grpc/agg_pb_status.c grpc/agg_pb_base64.c
 * sources: json/agg_json.c json/agg_scan.c json/agg_write.c
 */


#include "agg_pb_block.h"
#include "../unit/grpc_common.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char *const  types[] = {
    KINDS, OLD, "google.protobuf.Value", "google.protobuf.Any",
    "google.protobuf.Timestamp", "google.rpc.Status",
    "google.protobuf.FieldMask", "google.protobuf.Struct"
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                  *copy;
    agg_rc_e                 rc, again;
    agg_str_t                json, wire;
    agg_buf_t                first, text, second;
    agg_pb_read_t            read;
    agg_pb_error_t           err, other;
    agg_pb_print_t           print;
    agg_pb_fault_e           fault;
    const agg_pb_message_t  *m;

    if (size < 2) {
        return 0;
    }

    load_kinds();

    memset(&read, 0, sizeof(read));
    memset(&print, 0, sizeof(print));

    read.ignore_unknown = (data[0] & 8) != 0;
    print.proto_names = (data[0] & 16) != 0;
    mem_left = (data[0] & 32) ? data[1] & 7 : -1;

#if (AGG_PB_WIDE)
    agg_pb_wide = __builtin_cpu_supports("avx2") && (data[0] & 128) == 0;
#endif

    m = message(types[data[0] & 7]);

    copy = exact(data + 1, size - 1);
    json.data = copy;
    json.len = size - 1;

    /* room that grows with what is read, and may not be enough */

    agg_buf_init(&first, &mem, (data[0] & 64) ? size : 1 << 24);
    agg_buf_init(&text, &mem, 1 << 26);
    agg_buf_init(&second, &mem, first.max);

    rc = agg_pb_from_json(pool, m, NULL, &json, &read, &first, &err);
    mem_left = -1;

    /* without the short cuts it is the same */

    if ((data[0] & 32) == 0) {
        read.plain = 1;
        again = agg_pb_from_json(pool, m, NULL, &json, &read, &second, &other);
        read.plain = 0;

        /* lengths of messages are put in earlier by the short way */

        check((again == rc && agg_buf_used(&first) == agg_buf_used(&second)
               && (agg_buf_used(&first) == 0
                   || memcmp(first.start, second.start, agg_buf_used(&first))
                      == 0))
              || ((data[0] & 64)
                  && (rc == AGG_TOO_LARGE || again == AGG_TOO_LARGE)),
              "other bytes");

        check(again != rc
              || (err.len == other.len
                  && memcmp(err.text, other.text, err.len) == 0),
              "other error");

        second.pos = second.start;
        second.max = 1 << 24;
    }

    if (rc == AGG_INVALID) {
        check(err.len != 0, "no text");
        check(agg_utf8_valid(err.text, err.len), "text");
        check(agg_buf_used(&first) == 0, "output of an error");
    }

    if (rc == AGG_OK) {
        wire.data = exact(first.start, agg_buf_used(&first));
        wire.len = agg_buf_used(&first);

        rc = agg_pb_to_json(pool, m, NULL, &wire, &print, &text, &fault);
        check(rc == AGG_OK, "%s", agg_pb_fault_text(fault));

        json.data = text.start;
        json.len = agg_buf_used(&text);

        check(agg_json_validate(json.data, json.len, NULL) == AGG_OK,
              "%.*s", (int) json.len, json.data);

        rc = agg_pb_from_json(pool, m, NULL, &json, &read, &second, &err);
        check(rc == AGG_OK, "%.*s: %.*s", (int) err.len, err.text,
              (int) json.len, json.data);

        text.pos = text.start;
        free(wire.data);

        wire.data = second.start;
        wire.len = agg_buf_used(&second);

        copy = realloc(copy, json.len + 1);
        memcpy(copy, json.data, json.len);

        rc = agg_pb_to_json(pool, m, NULL, &wire, &print, &text, &fault);
        check(rc == AGG_OK && agg_buf_used(&text) == json.len
              && memcmp(copy, text.start, json.len) == 0, "other text");
    }

    mem_free_all();
    free(copy);

    return 0;
}
