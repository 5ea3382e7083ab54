
/*
 * Wire to JSON: a byte of flags, then the bytes.  What is printed is JSON, and
 * reads back to what prints the same; the bytes are also the details of a
 * status.  The short cuts change nothing of it, with blocks of either size.
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


#define _GNU_SOURCE

#include "agg_pb_block.h"
#include "../unit/grpc_common.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char *const  types[] = {
    KINDS, OLD, "google.protobuf.Value", "google.protobuf.Any"
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                  *copy;
    agg_rc_e                 rc, same;
    agg_str_t                wire, json;
    agg_buf_t                text, back, again;
    agg_pb_read_t            read;
    agg_pb_error_t           err;
    agg_pb_print_t           print;
    agg_pb_fault_e           fault, other;
    agg_grpc_details_t       details;
    const agg_pb_message_t  *m;

    if (size < 2) {
        return 0;
    }

    load_kinds();

    memset(&read, 0, sizeof(read));
    memset(&print, 0, sizeof(print));

    print.always_print = (data[0] & 4) != 0;
    print.enums_as_ints = (data[0] & 8) != 0;
    print.proto_names = (data[0] & 16) != 0;
    mem_left = (data[0] & 32) ? data[1] & 7 : -1;

#if (AGG_PB_WIDE)
    agg_pb_wide = __builtin_cpu_supports("avx2") && (data[0] & 128) == 0;
#endif

    m = message(types[data[0] & 3]);

    copy = exact(data + 1, size - 1);
    wire.data = copy;
    wire.len = size - 1;

    agg_buf_init(&text, &mem, (data[0] & 64) ? 200 : 1 << 26);
    agg_buf_init(&back, &mem, 1 << 26);
    agg_buf_init(&again, &mem, 1 << 26);

    rc = agg_pb_to_json(pool, m, NULL, &wire, &print, &text, &fault);

    check((rc == AGG_INVALID) == (fault != AGG_PB_GOOD), "fault");
    check(rc == AGG_OK || agg_buf_used(&text) == 0, "output of an error");

    mem_left = -1;

    /* without the short cuts it is the same */

    if ((data[0] & 32) == 0) {
        again.max = text.max;
        print.plain = 1;
        same = agg_pb_to_json(pool, m, NULL, &wire, &print, &again, &other);
        print.plain = 0;

        check(same == rc && other == fault
              && agg_buf_used(&again) == agg_buf_used(&text)
              && (agg_buf_used(&text) == 0
                  || memcmp(again.start, text.start, agg_buf_used(&text)) == 0),
              "%.*s\n%.*s", (int) agg_buf_used(&text), text.start,
              (int) agg_buf_used(&again), again.start);

        again.pos = again.start;
        again.max = 1 << 26;
    }

    if (rc == AGG_OK) {
        json.data = text.start;
        json.len = agg_buf_used(&text);

        check(agg_json_validate(json.data, json.len, NULL) == AGG_OK,
              "%.*s", (int) json.len, json.data);

        rc = agg_pb_from_json(pool, m, NULL, &json, &read, &back, &err);

        /* an Any of an unknown type prints, and does not read */

        if (rc == AGG_OK) {
            wire.data = back.start;
            wire.len = agg_buf_used(&back);

            rc = agg_pb_to_json(pool, m, NULL, &wire, &print, &again, &fault);

            /* a NullValue that is not 0 prints null, and reads as 0 */

            check(rc == AGG_OK
                  && (memmem(json.data, json.len, "null", 4) != NULL
                      || (agg_buf_used(&again) == json.len
                          && memcmp(again.start, json.data, json.len) == 0)),
                  "%.*s\n%.*s", (int) json.len, json.data,
                  (int) agg_buf_used(&again), again.start);

        } else {
            check(memmem(json.data, json.len, "@type", 5) != NULL,
                  "%.*s: %.*s", (int) err.len, err.text, (int) json.len,
                  json.data);
        }
    }

    text.pos = text.start;
    text.max = 1 << 20;

    rc = agg_grpc_details(pool, copy, size - 1, &print, &text, &details);

    if (rc == AGG_OK) {
        check(agg_json_validate(text.start, agg_buf_used(&text), NULL)
              == AGG_OK, "details");
    }

    mem_free_all();
    free(copy);

    return 0;
}
