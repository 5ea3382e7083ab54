
/*
 * Fields from a query and a path: a byte of flags, then lines.  The first is
 * a body; "/name=value" is a variable of a path, "name=value" a parameter.
 * What is bound prints, and prints the same when its pieces are merged.
 * sources: grpc/agg_pb.c grpc/agg_pb_wire.c grpc/agg_pb_desc.c
 * sources: grpc/agg_pb_load.c grpc/agg_pb_load_field.c
 * sources: grpc/agg_pb_load_service.c grpc/agg_pb_builtin.c
 * sources: grpc/agg_pb_to_json.c grpc/agg_pb_index.c grpc/agg_pb_keys.c
 * sources: grpc/agg_pb_print_message.c grpc/agg_pb_print_wire.c
 * sources: grpc/agg_pb_print_value.c grpc/agg_pb_merge.c
 * sources: grpc/agg_pb_print_known.c grpc/agg_pb_number.c grpc/agg_pb_powers.c
 * sources: grpc/agg_pb_from_json.c grpc/agg_pb_json_token.c
 * sources: grpc/agg_pb_json_value.c grpc/agg_pb_text.c grpc/agg_pb_writer.c
 * sources: grpc/agg_pb_bind.c grpc/agg_pb_status.c grpc/agg_pb_base64.c
 * sources: json/agg_json.c json/agg_scan.c json/agg_write.c
 */


#include "agg_pb_merge.h"
#include "../unit/grpc_common.h"


#define VARIABLES  4


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static agg_rc_e body_field(agg_pb_bind_t *bind, agg_str_t *line,
    const agg_pb_read_t *read, int all);
static void variable(agg_pb_bind_t *bind, agg_str_t *line);
static void bound(agg_rc_e rc, const agg_pb_bind_t *bind, size_t before,
    const agg_pb_error_t *err);
static void prints_as_merged(const agg_pb_message_t *m, agg_buf_t *out);


static agg_pb_path_t  paths[VARIABLES];
static agg_str_t      values[VARIABLES];
static unsigned       npaths;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                   before;
    u_char                  *copy, *p, *end, *eol, *equal;
    unsigned                 i;
    agg_rc_e                 rc;
    agg_str_t                line, name, value;
    agg_buf_t                out;
    agg_pb_bind_t            bind;
    agg_pb_read_t            read;
    agg_pb_error_t           err;
    const agg_pb_message_t  *m;

    if (size < 2) {
        return 0;
    }

    load_kinds();

    memset(&read, 0, sizeof(read));
    read.ignore_unknown = (data[0] & 8) != 0;

    m = message((data[0] & 1) ? OLD : KINDS);

    copy = exact(data + 1, size - 1);
    p = copy;
    end = copy + size - 1;
    npaths = 0;

    agg_buf_init(&out, &mem, (data[0] & 64) ? 100 : 1 << 24);
    agg_pb_bind_init(&bind, m, &read, &out);

    for (i = 0; p < end; i++, p = eol + 1) {

        eol = memchr(p, '\n', (size_t) (end - p));
        eol = eol ? eol : end;

        line.data = p;
        line.len = (size_t) (eol - p);

        if (i == 0) {
            mem_left = (data[0] & 32) ? data[1] & 7 : -1;
            rc = body_field(&bind, &line, &read, data[0] & 2);
            mem_left = -1;

            if (rc != AGG_OK) {
                break;
            }

            continue;
        }

        if (line.len != 0 && *line.data == '/') {
            variable(&bind, &line);
            continue;
        }

        equal = memchr(p, '=', line.len);
        equal = equal ? equal : eol;

        name.data = p;
        name.len = (size_t) (equal - p);
        value.data = (equal < eol) ? equal + 1 : eol;
        value.len = (size_t) (eol - value.data);

        before = agg_buf_used(&out);
        err.len = 0;
        mem_left = (data[0] & 32) ? data[1] & 7 : -1;

        rc = agg_pb_bind_query(&bind, &name, &value, &err);

        mem_left = -1;
        bound(rc, &bind, before, &err);
    }

    for (i = 0; i < npaths; i++) {
        before = agg_buf_used(&out);
        err.len = 0;

        rc = agg_pb_bind_path(&bind, &paths[i], &values[i], &err);

        bound(rc, &bind, before, &err);
    }

    prints_as_merged(m, &out);

    mem_free_all();
    free(copy);

    return 0;
}


/* "*", or a field of the top, the first one that is a message */

static agg_rc_e
body_field(agg_pb_bind_t *bind, agg_str_t *line, const agg_pb_read_t *read,
    int all)
{
    uint32_t               i;
    agg_rc_e               rc;
    agg_pb_error_t         err;
    const agg_pb_field_t  *field;

    field = NULL;

    for (i = 0; !all && i < bind->message->nfields; i++) {
        if (bind->message->fields[i].message != NULL) {
            field = &bind->message->fields[i];
            break;
        }
    }

    if (line->len == 0) {
        return AGG_OK;
    }

    rc = agg_pb_from_json(pool, bind->message, field, line, read, bind->out,
                          &err);

    return (rc == AGG_OK) ? agg_pb_bind_body(bind, field) : rc;
}


static void
variable(agg_pb_bind_t *bind, agg_str_t *line)
{
    u_char          *equal;
    agg_str_t        name;
    agg_pb_error_t   err;

    equal = memchr(line->data, '=', line->len);

    if (equal == NULL || npaths == VARIABLES) {
        return;
    }

    name.data = line->data + 1;
    name.len = (size_t) (equal - name.data);

    if (agg_pb_path(bind->message, &name, &paths[npaths], &err) != AGG_OK) {
        check(err.len != 0, "no text of a path");
        return;
    }

    if (agg_pb_bind_reserve(bind, &paths[npaths]) != AGG_OK) {
        return;
    }

    values[npaths].data = equal + 1;
    values[npaths++].len = (size_t) (line->data + line->len - equal - 1);
}


static void
bound(agg_rc_e rc, const agg_pb_bind_t *bind, size_t before,
    const agg_pb_error_t *err)
{
    if (rc == AGG_OK) {
        return;
    }

    check(agg_buf_used(bind->out) == before, "output of an error");

    if (rc == AGG_INVALID || rc == AGG_NOT_FOUND) {
        check(err->len != 0, "no text");
        check(agg_utf8_valid(err->text, err->len), "text");
    }
}


static void
prints_as_merged(const agg_pb_message_t *m, agg_buf_t *out)
{
    agg_rc_e        rc;
    agg_str_t       wire;
    agg_buf_t       merged, pieces, whole;
    agg_pb_print_t  print;
    agg_pb_fault_e  fault;

    memset(&print, 0, sizeof(print));

    agg_buf_init(&merged, &mem, 1 << 24);
    agg_buf_init(&pieces, &mem, 1 << 26);
    agg_buf_init(&whole, &mem, 1 << 26);

    wire.len = agg_buf_used(out);
    wire.data = exact(out->start, wire.len);

    rc = agg_pb_to_json(pool, m, NULL, &wire, &print, &pieces, &fault);
    check(rc == AGG_OK, "%s", agg_pb_fault_text(fault));

    rc = agg_pb_merge(m, &wire, &merged);
    check(rc == AGG_OK, "merge: %d", (int) rc);

    free(wire.data);

    wire.data = merged.start;
    wire.len = agg_buf_used(&merged);

    rc = agg_pb_to_json(pool, m, NULL, &wire, &print, &whole, &fault);
    check(rc == AGG_OK, "merged: %s", agg_pb_fault_text(fault));

    check(agg_buf_used(&whole) == agg_buf_used(&pieces)
          && (pieces.start == NULL
              || memcmp(whole.start, pieces.start, agg_buf_used(&whole)) == 0),
          "%.*s\n%.*s", (int) agg_buf_used(&pieces), pieces.start,
          (int) agg_buf_used(&whole), whole.start);
}
