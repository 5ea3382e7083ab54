
/*
 * Runs the codec for the tests in Perl and Node.  Lines of standard input,
 * each but the second and last followed by so many bytes:
 *   set BYTES                  one more FileDescriptorSet
 *   load                       loads them
 *   to TYPE FLAGS BYTES        wire bytes, as JSON
 *   from TYPE FLAGS BYTES      JSON, as wire bytes in hexadecimal
 *   field TYPE NAME BYTES      JSON of one field
 *   answer TYPE NAME BYTES     wire bytes, one field as JSON
 *   details BYTES              grpc-status-details-bin
 *   bind TYPE BODY BYTES       lines "path NAME VALUE", "query NAME VALUE" on
 *                              top of what BODY, "*", "-" or a field, is
 *   list                       the symbols
 * FLAGS are letters: a always_print, e enums_as_ints, p proto_names,
 * u ignore_unknown; "-": none.  Each but the first gives one line: "ok" and the
 * result, or "error" and a text.
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

#include "agg_pb_bind.h"
#include "agg_pb_status.h"
#include "agg_test.h"


static agg_pb_pool_t  *pool;


static agg_str_t
take(size_t len)
{
    agg_str_t  s;

    s.len = len;
    s.data = malloc(len + 1);

    if (s.data == NULL || fread(s.data, 1, len, stdin) != len
        || getchar() != '\n')
    {
        exit(1);
    }

    /* whoever reads behind the end is seen */

    memmove(s.data + 1, s.data, len);
    s.data++;

    return s;
}


static void
list(void)
{
    uint32_t                 i, k;
    const agg_pb_symbol_t   *s;
    const agg_pb_message_t  *m;

    for (i = 0; i < pool->nsymbols; i++) {
        s = &pool->symbols[i];

        printf("%.*s %d", (int) s->name.len, s->name.data, s->kind);

        if (s->kind == AGG_PB_SYMBOL_MESSAGE) {
            m = s->item;
            printf(" kind %d oneofs %u:", m->kind, m->noneofs);

            for (k = 0; k < m->nfields; k++) {
                printf(" %u", m->fields[k].number);
            }
        }

        printf("\n");
    }
}


static void
to_json(const char *type, const char *name, const char *flags, agg_str_t in)
{
    agg_rc_e                 rc;
    agg_buf_t                out;
    agg_pb_print_t           print;
    agg_pb_fault_e           fault;
    const agg_pb_field_t    *field;
    const agg_pb_message_t  *m;

    m = agg_pb_find_message(pool, (u_char *) type, strlen(type));

    if (m == NULL) {
        printf("error no type\n");
        return;
    }

    field = name ? agg_pb_find_field(m, (u_char *) name, strlen(name)) : NULL;

    memset(&print, 0, sizeof(print));
    print.always_print = strchr(flags, 'a') != NULL;
    print.enums_as_ints = strchr(flags, 'e') != NULL;
    print.proto_names = strchr(flags, 'p') != NULL;

    agg_buf_init(&out, &mem, 1 << 28);

    rc = agg_pb_to_json(pool, m, field, &in, &print, &out, &fault);

    if (rc != AGG_OK) {
        printf("error %d %s\n", rc, agg_pb_fault_text(fault));

    } else {
        printf("ok %.*s\n", (int) agg_buf_used(&out), out.start);

        if (agg_json_validate(out.start, agg_buf_used(&out), NULL) != AGG_OK) {
            printf("not JSON\n");
            exit(1);
        }
    }

    mem.grow(NULL, out.start, 0, 0);
}


static void
wire(agg_rc_e rc, const agg_pb_error_t *err, agg_buf_t *out)
{
    u_char  *p;

    if (rc != AGG_OK) {
        printf("error %d %.*s\n", rc, (int) err->len, err->text);

    } else {
        printf("ok ");

        for (p = out->start; p < out->pos; p++) {
            printf("%02x", *p);
        }

        printf("\n");
    }

    mem.grow(NULL, out->start, 0, 0);
}


static void
from_json(const char *type, const char *name, const char *flags, agg_str_t in)
{
    agg_rc_e                 rc;
    agg_buf_t                out;
    agg_pb_read_t            read;
    agg_pb_error_t           err;
    const agg_pb_field_t    *field;
    const agg_pb_message_t  *m;

    m = agg_pb_find_message(pool, (u_char *) type, strlen(type));

    if (m == NULL) {
        printf("error no type\n");
        return;
    }

    field = name ? agg_pb_find_field(m, (u_char *) name, strlen(name)) : NULL;

    memset(&read, 0, sizeof(read));
    read.ignore_unknown = strchr(flags, 'u') != NULL;

    agg_buf_init(&out, &mem, 1 << 28);

    rc = agg_pb_from_json(pool, m, field, &in, &read, &out, &err);

    wire(rc, &err, &out);
}


static void
details(agg_str_t in)
{
    agg_rc_e            rc;
    agg_buf_t           out;
    agg_pb_print_t      print;
    agg_grpc_details_t  d;

    memset(&print, 0, sizeof(print));
    agg_buf_init(&out, &mem, 1 << 28);

    rc = agg_grpc_details(pool, in.data, in.len, &print, &out, &d);

    printf("ok %d %u %ld %.*s\n", rc, d.n, (long) d.retry_after,
           (int) agg_buf_used(&out), out.start);

    if (agg_json_validate(out.start, agg_buf_used(&out), NULL) != AGG_OK) {
        printf("not JSON\n");
        exit(1);
    }

    mem.grow(NULL, out.start, 0, 0);
}


static void
bind(const char *type, const char *body, agg_str_t in)
{
    int                      query;
    char                    *p, *line, *name, *value, *text;
    agg_rc_e                 rc;
    agg_buf_t                out;
    agg_str_t                n, v;
    agg_pb_path_t            path;
    agg_pb_bind_t            b;
    agg_pb_read_t            read;
    agg_pb_error_t           err;
    const agg_pb_message_t  *m;

    m = agg_pb_find_message(pool, (u_char *) type, strlen(type));

    memset(&read, 0, sizeof(read));
    agg_buf_init(&out, &mem, 1 << 28);
    agg_pb_bind_init(&b, m, &read, &out);

    if (strcmp(body, "*") == 0) {
        agg_pb_bind_body(&b, NULL);

    } else if (strcmp(body, "-") != 0) {
        agg_pb_bind_body(&b, agg_pb_find_field(m, (u_char *) body,
                                               strlen(body)));
    }

    rc = AGG_OK;
    text = strndup((char *) in.data, in.len);

    for (p = text; rc == AGG_OK && (line = strsep(&p, "\n")) != NULL; ) {

        query = line[0] == 'q';
        (void) strsep(&line, " ");
        name = strsep(&line, " ");
        value = line;

        if (value == NULL) {
            continue;
        }

        n = str_of(name);
        v = str_of(value);

        if (query) {
            rc = agg_pb_bind_query(&b, &n, &v, &err);
            continue;
        }

        rc = agg_pb_path(m, &n, &path, &err);

        if (rc == AGG_OK) {
            rc = agg_pb_bind_reserve(&b, &path);
        }

        if (rc == AGG_OK) {
            rc = agg_pb_bind_path(&b, &path, &v, &err);
        }
    }

    free(text);
    wire(rc, &err, &out);
}


int
main(void)
{
    char            line[1000], verb[20], type[300], flags[300];
    size_t          n, len, which;
    agg_rc_e        rc;
    agg_str_t       sets[100], in;
    agg_pb_error_t  err;

    n = 0;

    while (fgets(line, sizeof(line), stdin) != NULL) {

        sscanf(line, "%19s", verb);

        if (strcmp(verb, "set") == 0) {
            sscanf(line, "%*s %zu", &len);
            sets[n++] = take(len);

        } else if (strcmp(verb, "load") == 0) {
            rc = agg_pb_load(&pool, &mem, sets, n, &err, &which);

            if (rc != AGG_OK) {
                printf("error %d %zu %.*s\n", rc, which, (int) err.len,
                       err.text);

            } else {
                printf("ok\n");
            }

        } else if (strcmp(verb, "to") == 0) {
            sscanf(line, "%*s %299s %299s %zu", type, flags, &len);
            in = take(len);
            to_json(type, NULL, flags, in);
            free(in.data - 1);

        } else if (strcmp(verb, "answer") == 0) {
            sscanf(line, "%*s %299s %299s %zu", type, flags, &len);
            in = take(len);
            to_json(type, flags, "-", in);
            free(in.data - 1);

        } else if (strcmp(verb, "from") == 0) {
            sscanf(line, "%*s %299s %299s %zu", type, flags, &len);
            in = take(len);
            from_json(type, NULL, flags, in);
            free(in.data - 1);

        } else if (strcmp(verb, "field") == 0) {
            sscanf(line, "%*s %299s %299s %zu", type, flags, &len);
            in = take(len);
            from_json(type, flags, "-", in);
            free(in.data - 1);

        } else if (strcmp(verb, "bind") == 0) {
            sscanf(line, "%*s %299s %299s %zu", type, flags, &len);
            in = take(len);
            bind(type, flags, in);
            free(in.data - 1);

        } else if (strcmp(verb, "details") == 0) {
            sscanf(line, "%*s %zu", &len);
            in = take(len);
            details(in);
            free(in.data - 1);

        } else if (strcmp(verb, "list") == 0) {
            list();
        }

        fflush(stdout);
    }

    return 0;
}
