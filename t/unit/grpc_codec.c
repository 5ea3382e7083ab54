
/*
 * The codec of gRPC: descriptors that are refused, memory that fails, limits,
 * numbers, status.  The JSON itself is tried in t/grpc_codec.t.
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


#include "agg_pb_number.h"
#include "agg_pb_wire.h"
#include "grpc_common.h"


/* descriptors, written by hand */

static u_char         set_bytes[4096];
static size_t         set_len;


static agg_str_t
field(unsigned number, const agg_str_t *value)
{
    u_char     *p;
    agg_str_t   s;

    s.data = mem_alloc(NULL, value->len + 20);
    p = agg_pb_put_varint(s.data, agg_pb_tag(number, AGG_PB_LEN));
    p = agg_pb_put_varint(p, value->len);
    memcpy(p, value->data, value->len);
    s.len = (size_t) (p + value->len - s.data);

    return s;
}


static agg_str_t
number(unsigned n, uint64_t value)
{
    u_char     *p;
    agg_str_t   s;

    s.data = mem_alloc(NULL, 20);
    p = agg_pb_put_varint(s.data, agg_pb_tag(n, AGG_PB_VARINT));
    p = agg_pb_put_varint(p, value);
    s.len = (size_t) (p - s.data);

    return s;
}


static agg_str_t
text(unsigned n, const char *value)
{
    agg_str_t  s;

    s = str_of(value);

    return field(n, &s);
}


static agg_str_t
join(agg_str_t a, agg_str_t b)
{
    agg_str_t  s;

    s.len = a.len + b.len;
    s.data = mem_alloc(NULL, s.len + 1);
    memcpy(s.data, a.data, a.len);
    memcpy(s.data + a.len, b.data, b.len);

    return s;
}


static agg_str_t
wrap(unsigned n, agg_str_t value)
{
    return field(n, &value);
}


static agg_str_t
a_field(const char *name, unsigned n, unsigned type, const char *type_name)
{
    agg_str_t  s;

    s = join(text(1, name), join(number(3, n), number(4, 1)));
    s = join(s, number(5, type));

    if (type_name != NULL) {
        s = join(s, text(6, type_name));
    }

    return wrap(2, s);
}


/* package p, proto3 */

static agg_str_t
a_file(const char *name, agg_str_t content)
{
    agg_str_t  s;

    s = join(text(1, name), join(text(2, "p"), text(12, "proto3")));

    return wrap(1, join(s, content));
}


static agg_str_t
a_message(const char *name, agg_str_t content)
{
    return wrap(4, join(text(1, name), content));
}


static void
loads(const agg_str_t *sets, size_t n, const char *want, size_t blame)
{
    size_t          which;
    agg_rc_e        rc;
    agg_pb_pool_t  *loaded;
    agg_pb_error_t  err;

    rc = agg_pb_load(&loaded, &mem, sets, n, &err, &which);

    if (want == NULL) {
        check(rc == AGG_OK, "%.*s", (int) err.len, err.text);
        return;
    }

    check(rc == AGG_INVALID && err.len == strlen(want)
          && memcmp(err.text, want, err.len) == 0, "%d %.*s, not %s", rc,
          (int) err.len, err.text, want);
    check(which == blame, "%zu", which);
}


static void
test_refused(void)
{
    agg_str_t  s, sets[2], none;

    none = str("");

    s = str("syntax = \"proto3\";");
    loads(&s, 1, "is not a FileDescriptorSet", 0);
    s = str("");
    loads(&s, 1, "is not a FileDescriptorSet", 0);
    s = text(1, "a.proto");
    loads(&s, 1, "is not a FileDescriptorSet", 0);
    loads(NULL, 0, NULL, 0);

    s = a_file("a.proto", a_message("M", a_field("a", 1, 5, NULL)));
    loads(&s, 1, NULL, 0);

    s.len--;
    loads(&s, 1, "is not a FileDescriptorSet", 0);
    s.len++;

    sets[0] = s;
    sets[1] = s;
    loads(sets, 2, NULL, 0);

    sets[1] = a_file("b.proto", a_message("M", a_field("a", 1, 5, NULL)));
    loads(sets, 2, NULL, 0);

    sets[1] = a_file("b.proto", a_message("M", a_field("a", 1, 3, NULL)));
    loads(sets, 2, "defines \"p.M\" differently than \"a.proto\" does", 1);

    sets[1] = a_file("b.proto", wrap(5, join(text(1, "M"),
                                wrap(2, text(1, "ZERO")))));
    loads(sets, 2, "defines \"p.M\" differently than \"a.proto\" does", 1);

    s = a_file("a.proto", text(3, "b.proto"));
    loads(&s, 1, "lacks \"b.proto\", which \"a.proto\" imports", 0);

    s = a_file("a.proto", text(12, "editions"));
    loads(&s, 1, "uses an edition in \"a.proto\"", 0);
    s = a_file("a.proto", number(14, 1000));
    loads(&s, 1, "uses an edition in \"a.proto\"", 0);

    s = a_file("a.proto", a_message("M", a_field("a", 1, 11, ".p.N")));
    loads(&s, 1, "has no type \".p.N\" of the field \"p.M.a\"", 0);
    s = a_file("a.proto", a_message("M", a_field("a", 1, 11, "p.M")));
    loads(&s, 1, "has no type \"p.M\" of the field \"p.M.a\"", 0);
    s = a_file("a.proto", a_message("M", a_field("a", 1, 14, ".p.M")));
    loads(&s, 1, "has no type \".p.M\" of the field \"p.M.a\"", 0);
    s = a_file("a.proto", a_message("M", a_field("a", 1, 11, ".p.M")));
    loads(&s, 1, NULL, 0);

    s = a_file("a.proto", a_message("M", a_field("a", 0, 5, NULL)));
    loads(&s, 1, "has a bad number of the field \"p.M.a\"", 0);
    s = a_file("a.proto", a_message("M", a_field("a", 1, 19, NULL)));
    loads(&s, 1, "has a bad type of the field \"p.M.a\"", 0);
    s = a_file("a.proto", a_message("M", join(a_field("a", 1, 5, NULL),
                                              a_field("b", 1, 5, NULL))));
    loads(&s, 1, "has another field of the number of \"p.M.b\"", 0);
    s = a_file("a.proto", a_message("M", join(a_field("a", 1, 5, NULL),
                                              a_field("a", 2, 5, NULL))));
    loads(&s, 1, "has another field of the name of \"p.M.a\"", 0);
    s = a_file("a.proto", a_message("M \"x", none));
    loads(&s, 1, "has an invalid name in \"a.proto\"", 0);

    s = a_file("a.proto", wrap(6, join(text(1, "S"), wrap(2,
                          join(text(1, "Get"), text(2, ".p.In"))))));
    loads(&s, 1, "has no type \".p.In\" of the method \"p.S/Get\"", 0);

    s = a_file("a.proto", wrap(5, text(1, "E")));
    loads(&s, 1, "has no values of the enum \"p.E\"", 0);

    mem_free_all();
}


static void
test_service(void)
{
    size_t                   which;
    agg_str_t                s, name;
    agg_pb_pool_t           *loaded;
    agg_pb_error_t           err;
    const agg_str_t         *near;
    const agg_pb_method_t   *method;
    const agg_pb_service_t  *service;

    /* the rule in two pieces, with another option between them */

    s = join(text(72295728, "\x12\x02/a"),
             join(number(34, AGG_PB_NO_SIDE_EFFECTS),
                  text(72295728, "\x3a\x01*")));
    s = join(join(text(1, "Get"), join(text(2, ".p.M"), text(3, ".p.M"))),
             join(wrap(4, s), number(6, 1)));
    s = join(text(1, "S"), wrap(2, s));
    s = join(a_message("M", a_field("a_b", 1, 5, NULL)), wrap(6, s));
    s = a_file("a.proto", s);

    memcpy(set_bytes, s.data, s.len);
    set_len = s.len;

    check(agg_pb_load(&loaded, &mem, &s, 1, &err, &which) == AGG_OK, "load");

    name = str("p.S");
    service = agg_pb_find_service(loaded, &name);
    check(service != NULL && service->nmethods == 1, "service");

    name = str("Get");
    method = agg_pb_find_method(service, &name);
    check(method != NULL && method->server_streaming
          && !method->client_streaming && method->has_http
          && method->idempotency == AGG_PB_NO_SIDE_EFFECTS
          && method->input == method->output, "method");
    check(method->http.len == 7 && memcmp(method->http.data,
          "\x12\x02/a\x3a\x01*", 7) == 0, "rule");

    name = str("p.SS");
    check(agg_pb_find_service(loaded, &name) == NULL, "no service");
    near = agg_pb_nearest_service(loaded, &name);
    check(near != NULL && near->len == 3, "near");
    name = str("Gte");
    check(agg_pb_nearest_method(service, &name) == &method->name, "near");
    name = str("a_bb");
    check(agg_pb_nearest_field(method->input, &name)
          == &method->input->fields[0].name, "near field");

    mem_free_all();
}


/*
 * A JSON name that is another field's, or that two fields have, is read as the
 * tables say, and one with escapes is shown as it came: with the short cuts, or
 * without, or with white space.
 */

static void
test_names(void)
{
    size_t                   which, i;
    unsigned                 plain;
    agg_rc_e                 rc;
    agg_str_t                s, json;
    agg_buf_t                out;
    agg_pb_pool_t           *loaded;
    agg_pb_read_t            read;
    agg_pb_error_t           err;
    const agg_pb_message_t  *m;

    static const struct {
        const char  *json;
        const char  *want;      /* wire or error */

    } cases[] = {
        { "{\"fooBar\":7}", "\x10\x07" },
        { "{ \"fooBar\":7}", "\x10\x07" },
        { "{\"foo_bar\":5,\"fooBar\":7}", "\x08\x05\x10\x07" },
        { "{\"foo_bar\":5, \"fooBar\":7}", "\x08\x05\x10\x07" },
        { "{\"fooBar\":5,\"fooBar\":7}", "fooBar: named twice" },
        { "{\"fooBar\":5,\"foo__bar\":7}", "\x10\x05\x18\x07" },
        { "{\"foo_bar\":5,\"fooBar\":6,\"fooBar\":7}",
          "fooBar: named twice" },
        { "{\"a_b\":1,\"aB\":2}", "aB: named twice" },
        { "{\"aB\":1,\"aB\":2}", "aB: named twice" },
        { "{\"aB\":1, \"aB\":2}", "aB: named twice" },
        { "{\"aB\":1,\"a__b\":2}", "\x20\x01\x28\x02" },
        { "{\"a\\\"b\":1}", "\x30\x01" },
        { "{\"a\\\"b\":1x}", "invalid JSON at byte 9" },
        { "{\"a\\\"b\":tru}", "a\\\"b: not an int32" }
    };

    s = join(a_field("foo_bar", 1, 5, NULL), a_field("fooBar", 2, 5, NULL));
    s = join(s, a_field("foo__bar", 3, 5, NULL));
    s = join(s, join(a_field("a_b", 4, 5, NULL), a_field("a__b", 5, 5, NULL)));
    s = join(s, wrap(2, join(join(text(1, "quoted"), text(10, "a\"b")),
                             join(join(number(3, 6), number(4, 1)),
                                  number(5, 5)))));
    s = a_file("a.proto", a_message("M", s));

    check(agg_pb_load(&loaded, &mem, &s, 1, &err, &which) == AGG_OK, "load");

    m = agg_pb_find_message(loaded, (u_char *) "p.M", 3);
    check(m != NULL && m->nfields == 6, "message");

    memset(&read, 0, sizeof(read));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (plain = 0; plain < 2; plain++) {

            json = join(str_of(cases[i].json),
                        str_of("                        "
                               "                        "));
            read.plain = plain;

            agg_buf_init(&out, &mem, 1000);

            rc = agg_pb_from_json(loaded, m, NULL, &json, &read, &out, &err);

            s.data = (rc == AGG_OK) ? out.start : err.text;
            s.len = (rc == AGG_OK) ? agg_buf_used(&out) : err.len;

            check(s.len == strlen(cases[i].want)
                  && memcmp(s.data, cases[i].want, s.len) == 0,
                  "%s, %u: %d %.*s", cases[i].json, plain, rc, (int) err.len,
                  err.text);
        }
    }

    mem_free_all();
}


/* lists in messages in each other, with the short cuts and without */

static void
test_levels(void)
{
    size_t                   which;
    unsigned                 i, depth, plain;
    agg_rc_e                 rc, want;
    agg_str_t                s, spaces;
    agg_buf_t                out, json;
    agg_pb_pool_t           *loaded;
    agg_pb_read_t            read;
    agg_pb_print_t           print;
    agg_pb_error_t           err;
    agg_pb_fault_e           fault;
    const agg_pb_message_t  *m;

    memset(&read, 0, sizeof(read));
    memset(&print, 0, sizeof(print));

    spaces = str("                                                ");

    s = wrap(2, join(text(1, "l"), join(number(3, 1), join(number(4, 3),
                                                           number(5, 5)))));
    s = join(s, a_field("m", 2, 11, ".p.M"));
    s = a_file("a.proto", a_message("M", s));

    check(agg_pb_load(&loaded, &mem, &s, 1, &err, &which) == AGG_OK, "load");
    m = agg_pb_find_message(loaded, (u_char *) "p.M", 3);

    for (depth = AGG_PB_DEPTH - 4; depth <= AGG_PB_DEPTH + 1; depth++) {

        want = (depth < AGG_PB_DEPTH) ? AGG_OK : AGG_INVALID;
        s = str("{\"l\":[1,2]}");

        for (i = 1; i < depth; i++) {
            s = join(str("{\"l\":[1],\"m\":"), join(s, str("}")));
        }

        s = join(s, spaces);

        for (plain = 0; plain < 2; plain++) {
            read.plain = plain;
            agg_buf_init(&out, &mem, 1 << 20);
            rc = agg_pb_from_json(loaded, m, NULL, &s, &read, &out, &err);
            check(rc == want, "read %u, %u: %d", depth, plain, rc);
        }

        /* an unknown field behind them */

        s = str("\x0a\x02\x01\x02");

        for (i = 1; i < depth; i++) {
            s = join(text(1, "\x01"), wrap(2, s));
        }

        s = join(s, wrap(9, spaces));

        for (plain = 0; plain < 2; plain++) {
            print.plain = plain;
            agg_buf_init(&json, &mem, 1 << 20);
            rc = agg_pb_to_json(loaded, m, NULL, &s, &print, &json, &fault);
            check(rc == want, "print %u, %u: %d", depth, plain, rc);
        }
    }

    mem_free_all();
}


/* each allocation fails in its turn */

static void
test_memory(void)
{
    long                n;
    size_t              which;
    agg_rc_e            rc;
    agg_buf_t           out, json;
    agg_str_t           s, wire;
    agg_pb_pool_t      *loaded;
    agg_pb_read_t       read;
    agg_pb_print_t      print;
    agg_pb_error_t      err;
    agg_pb_fault_e      fault;
    agg_grpc_details_t  details;

    static u_char  big[20000];

    s.data = set_bytes;
    s.len = set_len;

    for (n = 0; /* void */ ; n++) {
        mem_left = n;
        rc = agg_pb_load(&loaded, &mem, &s, 1, &err, &which);
        mem_free_all();

        if (rc == AGG_OK) {
            break;
        }

        check(rc == AGG_NOMEM, "load %ld: %d", n, rc);
    }

    check(n > 100, "few allocations: %ld", n);

    memset(&read, 0, sizeof(read));
    memset(&print, 0, sizeof(print));

    /* maps, lengths, escapes and more messages than have their place */

    s.data = big;
    s.len = (size_t) sprintf((char *) big, "{\"fString\":\"\\u0061\","
                             "\"fBytes\":\"AQI=\",\"mString\":{");

    for (n = 0; n < 100; n++) {
        s.len += (size_t) sprintf((char *) big + s.len, "%s\"%ld\":{\"name\":"
                                  "\"%0130ld\"}", n ? "," : "", n, n);
    }

    s.len += (size_t) sprintf((char *) big + s.len, "}}");

    for (n = 0; /* void */ ; n++) {
        mem_left = n;
        agg_buf_init(&out, &mem, 1 << 20);

        rc = agg_pb_from_json(pool, message(KINDS), NULL, &s, &read, &out,
                              &err);
        if (rc == AGG_OK) {
            break;
        }

        check(rc == AGG_NOMEM && agg_buf_used(&out) == 0, "read %ld", n);
        mem_free_all();
    }

    check(n > 5, "few allocations: %ld", n);

    wire.data = out.start;
    wire.len = agg_buf_used(&out);

    for (n = 0; /* void */ ; n++) {
        mem_left = n;
        agg_buf_init(&json, &mem, 1 << 20);

        rc = agg_pb_to_json(pool, message(KINDS), NULL, &wire, &print, &json,
                            &fault);
        if (rc == AGG_OK) {
            break;
        }

        check(rc == AGG_NOMEM && agg_buf_used(&json) == 0, "print %ld", n);
    }

    check(n > 3, "few allocations: %ld", n);

    mem_left = -1;
    agg_buf_init(&json, &mem, 100);
    agg_buf_append(&json, "x", 1);

    rc = agg_pb_to_json(pool, message(KINDS), NULL, &wire, &print, &json,
                        &fault);
    check(rc == AGG_TOO_LARGE && agg_buf_used(&json) == 1, "too large");

    agg_buf_init(&out, &mem, 100);
    agg_buf_append(&out, "x", 1);

    rc = agg_pb_from_json(pool, message(KINDS), NULL, &s, &read, &out, &err);
    check(rc == AGG_TOO_LARGE && agg_buf_used(&out) == 1, "too large");

    for (n = 0; n < 3; n++) {
        mem_left = n;
        agg_buf_init(&json, &mem, 1 << 20);
        rc = agg_grpc_details(pool, (u_char *) "GgA=", 4, &print, &json,
                              &details);
        check(rc == (n < 2 ? AGG_NOMEM : AGG_OK), "details %ld", n);
    }

    mem_left = -1;
    mem_free_all();
}


/* many occurrences in disorder, lists that are interleaved, maps of one key */

static void
test_many(void)
{
    u_char          *p, *bytes;
    unsigned         i;
    agg_rc_e         rc;
    agg_buf_t        out;
    agg_str_t        wire;
    agg_pb_print_t   print;
    agg_pb_fault_e   fault;

    memset(&print, 0, sizeof(print));

    bytes = malloc(2000000);
    check(bytes != NULL, "malloc");

    for (p = bytes, i = 0; i < 20000; i++) {
        p = agg_pb_put_varint(p, agg_pb_tag(49, AGG_PB_VARINT));
        *p++ = 1;
        p = agg_pb_put_varint(p, agg_pb_tag(1, AGG_PB_VARINT));
        *p++ = (u_char) (i & 0x7f);
        p = agg_pb_put_varint(p, agg_pb_tag(31, AGG_PB_VARINT));
        *p++ = 2;
        memcpy(p, "\x9a\x03\x04\x08\x01\x10\x02", 7);
        p += 7;
    }

    wire.data = bytes;
    wire.len = (size_t) (p - bytes);

    agg_buf_init(&out, &mem, 1 << 24);

    rc = agg_pb_to_json(pool, message(KINDS), NULL, &wire, &print, &out,
                        &fault);
    check(rc == AGG_OK, "%s", agg_pb_fault_text(fault));
    check(memcmp(out.start, "{\"fInt32\":31,\"rInt32\":[2,2,", 27) == 0,
          "%.40s", out.start);
    check(memcmp(out.pos - 18, ",\"mInt32\":{\"1\":2}}", 18) == 0, "%.18s",
          out.pos - 18);

    free(bytes);
    mem_free_all();
}


/*
 * Messages in each other, each with a field behind the one that has the next:
 * all would be printed again, and what is in them so many times.
 */

static void
test_disorder(void)
{
    char             want[8000];
    unsigned         depth, i;
    agg_rc_e         rc;
    agg_buf_t        out;
    agg_str_t        wire;
    agg_pb_print_t   print;
    agg_pb_fault_e   fault;

    memset(&print, 0, sizeof(print));

    for (depth = 0; depth < 90; depth++) {
        wire = join(text(14, "a text of some length"), number(1, 7));

        for (i = 0; i < depth; i++) {
            wire = join(wrap(19, wire), number(1, i + 1));
        }

        want[0] = '\0';

        for (i = depth; i > 0; i--) {
            snprintf(want + strlen(want), 40, "{\"fInt32\":%u,\"fKinds\":",
                     i);
        }

        strcat(want, "{\"fInt32\":7,\"fString\":\"a text of some length\"}");

        for (i = 0; i < depth; i++) {
            strcat(want, "}");
        }

        agg_buf_init(&out, &mem, 1 << 24);

        rc = agg_pb_to_json(pool, message(KINDS), NULL, &wire, &print, &out,
                            &fault);

        check(rc == AGG_OK && agg_buf_used(&out) == strlen(want)
              && memcmp(out.start, want, strlen(want)) == 0,
              "depth %u: %.*s", depth, (int) agg_buf_used(&out), out.start);

        mem_free_all();
    }
}


static void
test_numbers(void)
{
    int               i;
    float             single, back;
    double            n, read;
    u_char            buf[AGG_PB_NUMBER], *end;
    uint32_t          half;
    uint64_t          bits, seed;
    agg_pb_decimal_t  d;

    static const struct {
        double       n;
        const char  *text;

    } texts[] = {
        { 0, "0" }, { -0.0, "-0" }, { 1, "1" }, { -1.5, "-1.5" },
        { 0.1, "0.1" }, { 0.1 + 0.2, "0.30000000000000004" },
        { 1e21, "1e+21" }, { 1e20, "100000000000000000000" },
        { 1e-6, "0.000001" }, { 1e-7, "1e-7" }, { 123e-20, "1.23e-18" },
        { 5e-324, "5e-324" }, { 1.7976931348623157e308,
        "1.7976931348623157e+308" }, { 5.684341886080802e-14,
        "5.684341886080802e-14" }, { 9007199254740993.0, "9007199254740992" }
    };

    for (i = 0; i < (int) (sizeof(texts) / sizeof(texts[0])); i++) {
        end = agg_pb_print_double(buf, texts[i].n);
        check((size_t) (end - buf) == strlen(texts[i].text)
              && memcmp(buf, texts[i].text, (size_t) (end - buf)) == 0,
              "%.*s, not %s", (int) (end - buf), buf, texts[i].text);
    }

    seed = 88172645463325252ULL;

    for (i = 0; i < 200000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;

        bits = seed;

        if (i % 3 == 0) {
            n = (double) (seed % 1000000000) / 1000;

        } else {
            memcpy(&n, &bits, sizeof(n));
        }

        if (n - n == 0) {
            end = agg_pb_print_double(buf, n);
            check(agg_pb_scan_number(buf, end, &d) == end, "scan");
            check(agg_pb_decimal_double(&d, buf, end, &read) == 0
                  && memcmp(&read, &n, sizeof(n)) == 0, "%.*s is %a",
                  (int) (end - buf), buf, n);
        }

        half = (uint32_t) (seed >> 32);
        memcpy(&single, &half, sizeof(single));

        if (single - single == 0) {
            end = agg_pb_print_float(buf, single);
            check(agg_pb_scan_number(buf, end, &d) == end, "scan");
            check(agg_pb_decimal_float(&d, buf, end, &back) == 0
                  && memcmp(&back, &single, sizeof(back)) == 0, "%.*s is %a",
                  (int) (end - buf), buf, (double) single);
        }
    }
}


static void
test_status(void)
{
    u_char  out[20];

    check(agg_grpc_code((u_char *) "16", 2) == 16, "16");
    check(agg_grpc_code((u_char *) "", 0) == -1, "none");
    check(agg_grpc_code((u_char *) "-1", 2) == -1, "negative");
    check(agg_grpc_code((u_char *) "0x", 2) == -1, "text");
    check(agg_grpc_http_status(5) == 404 && agg_grpc_http_status(1) == 499
          && agg_grpc_http_status(99) == 500, "statuses");
    check(strcmp(agg_grpc_code_name(5), "NOT_FOUND") == 0, "name");
    check(strcmp(agg_grpc_code_name(17), "UNKNOWN") == 0, "no name");
    check(strcmp(agg_grpc_code_title(11), "Out of Range") == 0, "title");
    check(agg_grpc_code_of_http(504) == AGG_GRPC_DEADLINE_EXCEEDED, "504");

    check(agg_grpc_message(out, (u_char *) "a%20b%zz%4", 10) == 8
          && memcmp(out, "a b%zz%4", 8) == 0, "%.8s", out);
    check(agg_grpc_message(out, (u_char *) "%e4%B8%ad%", 10) == 4
          && memcmp(out, "\xe4\xb8\xad%", 4) == 0, "%.4s", out);
}


int
main(void)
{
    load_kinds();

    test_refused();
    test_service();
    test_names();
    test_levels();
    test_memory();
    test_many();
    test_disorder();
    test_numbers();
    test_status();

    finish("grpc_codec");

    return 0;
}
