
/*
 * FileDescriptorSets: a byte for the memory that there is, and two sets, the
 * length of the first before them.  What is loaded is then used: all fields
 * are looked up, and an empty message of each type is printed and read.
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


#include "../unit/grpc_common.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
use(const agg_pb_message_t *m, const agg_pb_pool_t *loaded)
{
    uint32_t               i;
    agg_rc_e               rc;
    agg_buf_t              out;
    agg_str_t              wire;
    agg_pb_read_t          read;
    agg_pb_error_t         err;
    agg_pb_print_t         print;
    agg_pb_fault_e         fault;
    const agg_pb_field_t  *f;

    for (i = 0; i < m->nfields; i++) {
        f = &m->fields[i];

        check(agg_pb_field_by_number(m, f->number) == f, "number");
        check(agg_pb_find_field(m, f->name.data, f->name.len) == f, "name");
        check(agg_pb_find_field(m, f->json_name.data, f->json_name.len)
              != NULL, "json name");
    }

    memset(&read, 0, sizeof(read));
    memset(&print, 0, sizeof(print));
    print.always_print = 1;

    wire = str("");
    agg_buf_init(&out, &mem, 1 << 20);

    rc = agg_pb_to_json(loaded, m, NULL, &wire, &print, &out, &fault);
    check(rc == AGG_OK || rc == AGG_TOO_LARGE, "empty");

    if (rc != AGG_OK) {
        return;
    }

    check(agg_json_validate(out.start, agg_buf_used(&out), NULL) == AGG_OK,
          "no JSON");

    wire.data = exact(out.start, agg_buf_used(&out));
    wire.len = agg_buf_used(&out);
    out.pos = out.start;

    (void) agg_pb_from_json(loaded, m, NULL, &wire, &read, &out, &err);

    free(wire.data);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          which, first;
    uint32_t        i;
    agg_rc_e        rc;
    agg_str_t       sets[2];
    agg_pb_pool_t  *loaded;
    agg_pb_error_t  err;

    if (size < 3) {
        return 0;
    }

    mem_left = (data[0] & 1) ? data[0] : -1;
    first = (size_t) data[1] << 8 | data[2];

    if (first > size - 3) {
        first = size - 3;
    }

    sets[0].data = exact(data + 3, first);
    sets[0].len = first;
    sets[1].len = size - 3 - first;
    sets[1].data = exact(data + 3 + first, sets[1].len);

    rc = agg_pb_load(&loaded, &mem, sets, sets[1].len ? 2 : 1, &err, &which);

    if (rc == AGG_INVALID) {
        check(err.len != 0 && which < 2, "no text");
        check(agg_utf8_valid(err.text, err.len), "text");
    }

    mem_left = -1;

    if (rc == AGG_OK) {

        for (i = 0; i < loaded->nsymbols && i < 100; i++) {
            if (loaded->symbols[i].kind == AGG_PB_SYMBOL_MESSAGE) {
                use(loaded->symbols[i].item, loaded);
            }
        }
    }

    mem_free_all();
    free(sets[0].data);
    free(sets[1].data);

    return 0;
}
