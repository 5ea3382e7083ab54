
/*
 * The short cuts of the codec against the rest of it: random messages, each cut
 * at every byte and with bytes replaced, are read and printed by both, which
 * have to agree in every byte, and in what is wrong.
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
#include "agg_pb_wire.h"
#include "grpc_common.h"


#define ROUNDS  70

#define one_of(list)  (list[below(sizeof(list) / sizeof(list[0]))])


static const char *const  numbers[] = {
    "0", "1", "7", "-1", "42", "127", "128", "1284", "65535", "12345678",
    "123456789", "2147483647", "2147483648", "-2147483648", "4294967295",
    "4294967296", "9007199254740993", "1234567890123456",
    "9223372036854775807", "-9223372036854775808", "18446744073709551615",
    "18446744073709551616", "189.95", "4.6", "1.75", "-0", "-0.0", "0.1",
    "1e3", "1.5e-7", "0.000001", "16777217", "0.30000001192092896",
    "123456.123456789", "1234567890.12345", "99999999999999.9", "3.4e39",
    "-2147483649", "18446744073709551614", "-9223372036854775809",
    "00", "01", "-", ".5", "5.", "1.", "+1", "1x", "0x1", "1e", "NaN"
};

static const char *const  words[] = {
    "true", "false", "null", "tru", "\"true\"", "{}", "[]", "falsy"
};

static const char *const  times[] = {
    "\"2025-09-09T10:30:00.250Z\"", "\"1970-01-01T00:00:00Z\"",
    "\"0001-01-01T00:00:00Z\"", "\"9999-12-31T23:59:59.999999999Z\"",
    "\"2024-02-29T00:00:00+01:00\"", "\"2025-02-29T00:00:00Z\"",
    "\"2025-13-01T00:00:00Z\"", "\"2025-09-09 10:30:00Z\"",
    "\"2025-09-09T10:30:00.1234567890Z\"", "\"\"",
    "\"2025-09-09T1:30:00Z\"",
    "\"1969-12-31T23:59:59.5Z\"", "\"2025-09-09T24:00:00Z\"", "12"
};


static int        has_wide maybe_unused;
static int        sound;    /* no value of the message is wrong */
static int        ordered;  /* nor does a member come twice */
static int        taken;    /* both read it */
static int        tiny;     /* numbers are shorter than what they become */
static uint64_t   state = 88172645463325252ULL;
static agg_buf_t  text;


static unsigned
below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;

    return (unsigned) ((state >> 11) % n);
}


/* once in n times, but not where values are sound */

static int
rarely(size_t n)
{
    return !sound && below(n) == 0;
}


/* blocks of either size */

static void
choose_blocks(void)
{
#if (AGG_PB_WIDE)
    agg_pb_wide = has_wide && below(2);
#endif
}


static void
add(const char *s)
{
    check(agg_buf_append(&text, s, strlen(s)) == AGG_OK, "memory");
}


static void
add_text(agg_str_t s)
{
    check(agg_buf_append(&text, s.data, s.len) == AGG_OK, "memory");
}


/* bytes are printed with the short cuts and without */

static void
compare_wire(const agg_pb_message_t *m, const agg_str_t *bytes, size_t max)
{
    agg_rc_e        rc[2];
    unsigned        i;
    agg_str_t       wire;
    agg_buf_t       out[2];
    agg_pb_print_t  print;
    agg_pb_fault_e  fault[2];

    wire.len = bytes->len;
    wire.data = exact(bytes->data, bytes->len);

    memset(&print, 0, sizeof(print));

    choose_blocks();

    print.proto_names = below(4) == 0;
    print.enums_as_ints = below(4) == 0;

    for (i = 0; i < 2; i++) {
        print.plain = i;
        agg_buf_init(&out[i], &mem, max);
        rc[i] = agg_pb_to_json(pool, m, NULL, &wire, &print, &out[i],
                               &fault[i]);
    }

    check(rc[0] == rc[1] && fault[0] == fault[1], "%d %d, %d %d", rc[0], rc[1],
          fault[0], fault[1]);

    check(agg_buf_used(&out[0]) == agg_buf_used(&out[1])
          && (rc[0] != AGG_OK
              || memcmp(out[0].start, out[1].start, agg_buf_used(&out[0]))
                 == 0),
          "%.*s\n%.*s", (int) agg_buf_used(&out[0]), out[0].start,
          (int) agg_buf_used(&out[1]), out[1].start);

    for (i = 0; i < 2; i++) {
        mem_grow(NULL, out[i].start, 0, 0);
    }

    free(wire.data);
}


/* the same of the reader; the bytes of what it takes, or none */

static agg_str_t
compare_json(const agg_pb_message_t *m, const agg_str_t *string, size_t max)
{
    agg_rc_e        rc[2];
    unsigned        i;
    agg_str_t       json, wire;
    agg_buf_t       out[2];
    agg_pb_read_t   read;
    agg_pb_error_t  err[2];

    json.len = string->len;
    json.data = exact(string->data, string->len);

    memset(&read, 0, sizeof(read));
    read.ignore_unknown = below(2);

    choose_blocks();

    for (i = 0; i < 2; i++) {
        read.plain = i;
        agg_buf_init(&out[i], &mem, max);
        rc[i] = agg_pb_from_json(pool, m, NULL, &json, &read, &out[i],
                                 &err[i]);
    }

    /* lengths of messages are put in earlier by the short way */

    if (rc[0] != rc[1] && max < json.len
        && (rc[0] == AGG_TOO_LARGE || rc[1] == AGG_TOO_LARGE))
    {
        rc[0] = rc[1];
        out[0].pos = out[0].start;
        out[1].pos = out[1].start;
        err[0] = err[1];
    }

    check(rc[0] == rc[1] && err[0].len == err[1].len
          && memcmp(err[0].text, err[1].text, err[0].len) == 0,
          "%d %d %.*s\n%.*s\n%.*s", rc[0], rc[1], (int) json.len, json.data,
          (int) err[0].len, err[0].text, (int) err[1].len, err[1].text);

    taken = rc[0] == AGG_OK;
    wire.len = agg_buf_used(&out[0]);

    check(wire.len == agg_buf_used(&out[1])
          && (rc[0] != AGG_OK || wire.len == 0
              || memcmp(out[0].start, out[1].start, wire.len) == 0),
          "%.*s", (int) json.len, json.data);

    wire.data = exact(out[0].start, wire.len);

    for (i = 0; i < 2; i++) {
        mem_grow(NULL, out[i].start, 0, 0);
    }

    free(json.data);

    return wire;
}


static void
add_string(void)
{
    unsigned  n;

    static const char *const  parts[] = {
        "", "a", "lamp", "Lumi\xc3\xa8re & Fils", "\\\"", "\\n\\t\\/\\\\",
        "sixteen bytes!!!", "\\u00e8\\ud83d\\ude00", "\xe2\x82\xac",
        "\xf0\x9f\x98\x80", "\xd0\xbb\xd0\xb0\xd0\xbc\xd0\xbf\xd0\xb0",
        "fifteen bytes!!", "a text of more than thirty-two bytes at once",
        "\x7f", "\\b\\f\\r"
    };

    static const char *const  wrong[] = {
        "\xc3", "\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\\x",
        "\\u12", "\n", "\\ud800"
    };

    add("\"");

    for (n = below(8) ? below(4) : below(40); n; n--) {
        add(one_of(parts));
    }

    /* now and then a long one without any ASCII */

    for (n = below(40) ? 0 : below(200); n; n--) {
        add("\xe2\x82\xac");
    }

    if (rarely(400)) {
        add(one_of(wrong));
        add(one_of(parts));
    }

    add("\"");
}


/* mostly one that the field takes: an error ends the message */

static void
add_number(const agg_pb_field_t *f)
{
    static const char *const  good[] = {
        "0", "1", "7", "42", "127", "128", "1284", "65535", "12345678",
        "123456789", "2147483647"
    };

    static const char *const  decimals[] = {
        "189.95", "4.6", "1.75", "-0", "-0.0", "0.1", "1e3", "1.5e-7",
        "0.000001", "-16777217", "0.30000001192092896", "123456.123456789"
    };

    if (tiny) {
        add(below(2) ? "1" : "7");
        return;
    }

    if (rarely(50)) {
        add(one_of(numbers));
        return;
    }

    if (f->type == AGG_PB_DOUBLE || f->type == AGG_PB_FLOAT) {
        add(one_of(decimals));
        return;
    }

    if (f->type == AGG_PB_INT64 || f->type == AGG_PB_SINT64) {
        add(numbers[14 + below(5)]);
        return;
    }

    add(one_of(good));
}


static void add_message(const agg_pb_message_t *m, unsigned depth);


static void
add_value(const agg_pb_field_t *f, unsigned depth)
{
    unsigned              quoted;
    const agg_pb_enum_t  *e;

    if (rarely(400)) {
        add(one_of(words));
        return;
    }

    if (f->message != NULL) {

        if (f->message->kind == AGG_PB_TIMESTAMP) {
            add(times[rarely(30) ? below(14) : below(5)]);
            return;
        }

        add_message(f->message, depth);
        return;
    }

    switch (f->type) {

    case AGG_PB_STRING:
        add_string();
        return;

    case AGG_PB_BYTES:
        add("\"QUJD\"");
        return;

    case AGG_PB_BOOL:
        add(words[below(2)]);
        return;

    case AGG_PB_ENUM:

        e = f->enumeration;

        if (below(5) == 0 && !(sound && e->closed)) {
            add_number(f);
            return;
        }

        add("\"");

        if (rarely(100)) {
            add("BLUE");

        } else {
            add_text(e->values[below(e->nvalues)].name);
        }

        add("\"");
        return;

    default:
        quoted = below(4) == 0;
        add(quoted ? "\"" : "");
        add_number(f);
        add(quoted ? "\"" : "");
    }
}


static void
add_field(const agg_pb_field_t *f, unsigned depth)
{
    unsigned  n;

    if (f->map || !f->repeated) {
        if (f->map) {
            add("{}");

        } else {
            add_value(f, depth);
        }

        return;
    }

    add("[");
    tiny = below(4) == 0;

    for (n = below(6) ? below(5) : below(120); n; n--) {
        add_value(f, depth);
        add(n == 1 ? "" : below(9) ? "," : ", ");
    }

    tiny = 0;
    add("]");
}


/* no second member of a oneof, no null, and no name that needs escapes */

static int
is_sound(const agg_pb_field_t *f)
{
    return f->oneof == AGG_PB_NONE
           && (f->enumeration == NULL || !f->enumeration->null_value)
           && memchr(f->json_name.data, '"', f->json_name.len) == NULL;
}


static void
add_message(const agg_pb_message_t *m, unsigned depth)
{
    unsigned   i, first, step;
    agg_str_t  name;

    static const char *const  spaces[] = { "", "", "", "", "", " ", "\n  " };

    add("{");
    first = 1;
    step = below(3) ? 1 : 1 + below(7);

    for (i = below(3) ? 0 : below(m->nfields); i < m->nfields; i += step) {

        if (below(4) == 0 || m->kind != AGG_PB_PLAIN
            || (depth > 1 && m->fields[i].message != NULL))
        {
            continue;
        }

        if (m->fields[i].message != NULL
            && m->fields[i].message->kind != AGG_PB_PLAIN
            && m->fields[i].message->kind != AGG_PB_TIMESTAMP)
        {
            continue;
        }

        if (sound && !is_sound(&m->fields[i])) {
            continue;
        }

        add(first ? "" : ",");
        first = 0;

        name = below(9) ? m->fields[i].json_name : m->fields[i].name;

        add(one_of(spaces));
        add("\"");
        add_text(name);
        add("\":");
        add(below(6) ? "" : " ");
        add_field(&m->fields[i], depth + 1);
        add(below(20) ? "" : " ");

        /* mostly in order */

        if (!ordered && below(30) == 0) {
            i = below(m->nfields);
        }
    }

    add("}");
}


/* the varint that ends at i takes a byte more than it need */

static void
lengthen(const agg_pb_message_t *m, const agg_str_t *wire, size_t i)
{
    agg_str_t  longer;

    longer.len = wire->len + 1;
    longer.data = malloc(longer.len);
    check(longer.data != NULL, "memory");

    memcpy(longer.data, wire->data, i + 1);
    memcpy(longer.data + i + 2, wire->data + i + 1, wire->len - i - 1);
    longer.data[i] |= 0x80;
    longer.data[i + 1] = '\0';

    compare_wire(m, &longer, 1 << 26);

    free(longer.data);
}


/*
 * The inner message, whose length is at len, ends within the tag at p, and soon
 * after it the input, too, but not what seems to be the length of the value.
 */

static void
cut_tag(const agg_pb_message_t *m, const agg_str_t *wire, const u_char *len,
    const u_char *p, const u_char *value)
{
    u_char         old;
    size_t         i, n, k;
    agg_str_t      part;
    const u_char  *start;

    start = agg_pb_varint(len, value, &(uint64_t) { 0 });
    n = (size_t) (value - start) - 1 - below((size_t) (value - p) - 1);
    i = (size_t) (len - wire->data);

    part.len = (size_t) (value - wire->data) + 1 + below(40);
    part.len = (part.len < wire->len) ? part.len : wire->len;
    part.data = exact(wire->data, part.len);

    for (k = (size_t) (start - len); k != 0; k--, n >>= 7) {
        old = part.data[i] & 0x80;
        part.data[i++] = (u_char) ((n & 0x7f) | old);
    }

    part.data[value - wire->data] = 0x7f;

    compare_wire(m, &part, 1 << 26);

    free(part.data);
}


/*
 * The members of the inner message, which stand at p: tags and values take a
 * byte more, where there is no length around them, and messages end within
 * their last member, or behind it.  Where the inner one is itself a member of
 * the whole message, its length is at outer.
 */

static void
test_members(const agg_pb_message_t *m, const agg_str_t *wire,
    const agg_pb_message_t *inner, const u_char *outer, const u_char *p,
    const u_char *end)
{
    u_char                *len, old;
    uint32_t               tag;
    agg_str_t              part;
    const u_char          *value, *next;
    const agg_pb_field_t  *f;

    for ( /* void */ ; p < end; p = next) {

        value = agg_pb_read_tag(p, end, &tag);
        next = (value != NULL) ? agg_pb_skip(value, end, tag, NULL) : NULL;

        if (next == NULL) {
            return;
        }

        if (m == inner && below(wire->len) < 300) {
            lengthen(m, wire, (size_t) (value - 1 - wire->data));

            if (value < end && *value < 0x80) {
                lengthen(m, wire, (size_t) (value - wire->data));
            }
        }

        if (outer != NULL && value - p > 1 && value < end) {
            cut_tag(m, wire, outer, p, value);
        }

        f = agg_pb_field_by_number(inner, tag >> 3);

        if (f == NULL || f->message == NULL || (tag & 7) != AGG_PB_LEN) {
            continue;
        }

        if (*value < 0x80 && below(wire->len) < 600) {
            len = &wire->data[value - wire->data];
            old = *len;

            *len = (u_char) ((old - 1 - below(4)) & 0x7f);
            compare_wire(m, wire, 1 << 26);

            *len = (u_char) ((old + 1 + below(4)) & 0x7f);
            compare_wire(m, wire, 1 << 26);

            *len = old;
        }

        if (agg_pb_read_len(value, end, &part) != NULL) {
            test_members(m, wire, f->message,
                         (end == wire->data + wire->len) ? value : NULL,
                         part.data, part.data + part.len);
        }
    }
}


static void
test_round(const agg_pb_message_t *m)
{
    size_t     i, cut;
    unsigned   n;
    u_char    *at, old;
    agg_str_t  json, wire, part;

    static const char  bytes[] = "\",:{}[]0 1.e-\\\x80\xc3n\x01\xff\x0a";

    text.pos = text.start;
    sound = below(4);
    ordered = sound > 1;
    add_message(m, 0);

    json.data = text.start;
    json.len = agg_buf_used(&text);

    wire = compare_json(m, &json, 1 << 26);
    check(taken || !ordered, "%.*s", (int) json.len, json.data);
    compare_wire(m, &wire, 1 << 26);

    cut = json.len / 150 + 1;

    for (i = 0; i < json.len; i += 1 + below(cut)) {
        part.data = json.data;
        part.len = i;
        free(compare_json(m, &part, 1 << 26).data);
        free(compare_json(m, &json, i).data);
    }

    for (n = 0; n < 100; n++) {
        at = &json.data[below(json.len)];
        old = *at;
        *at = (u_char) bytes[below(sizeof(bytes) - 1)];
        part = compare_json(m, &json, 1 << 26);
        compare_wire(m, &part, 1 << 26);
        free(part.data);
        *at = old;
    }

    cut = wire.len / 150 + 1;

    for (i = 0; i < wire.len; i += 1 + below(cut)) {
        part.data = wire.data;
        part.len = i;
        compare_wire(m, &part, 1 << 26);
        compare_wire(m, &wire, i * 2);
    }

    for (n = 0; n < 200 && wire.len; n++) {
        at = &wire.data[below(wire.len)];
        old = *at;
        *at = below(2) ? (u_char) bytes[below(sizeof(bytes) - 1)]
                       : (u_char) below(256);
        compare_wire(m, &wire, 1 << 26);
        *at = old;
    }

    test_members(m, &wire, m, NULL, wire.data, wire.data + wire.len);

    free(wire.data);
}


/* one member with each of the values, where the short cuts are taken */

static void
test_value(const agg_pb_message_t *m, const agg_pb_field_t *f,
    const char *value, const char *quote)
{
    agg_str_t  json, wire;

    text.pos = text.start;

    add("{\"");
    add_text(f->json_name);
    add(f->repeated ? "\":[" : "\":");
    add(quote);
    add(value);
    add(quote);
    add(f->repeated ? "]}" : "}");
    add("                                                ");

    json.data = text.start;
    json.len = agg_buf_used(&text);

    wire = compare_json(m, &json, 1 << 26);
    compare_wire(m, &wire, 1 << 26);
    free(wire.data);
}


static void
test_values(const agg_pb_message_t *m)
{
    size_t                 i;
    uint32_t               k;
    const agg_pb_field_t  *f;

    for (k = 0; k < m->nfields; k++) {
        f = &m->fields[k];

        for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            test_value(m, f, numbers[i], "");
            test_value(m, f, numbers[i], "\"");
        }

        for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            test_value(m, f, words[i], "");
        }

        for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
            test_value(m, f, times[i], "");
        }
    }
}


int
main(void)
{
    unsigned  n;

    load_kinds();

#if (AGG_PB_WIDE)
    has_wide = agg_pb_wide;
#endif

    agg_buf_init(&text, &mem, 1 << 26);

    test_values(message(KINDS));
    test_values(message(OLD));

    for (n = 0; n < ROUNDS; n++) {
        test_round(message(KINDS));
        test_round(message(OLD));
    }

    mem_free_all();

    finish("grpc_quick");

    return 0;
}
