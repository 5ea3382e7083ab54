
/*
 * The reader of JSON: opens and closes objects and lists.  A level is an open
 * object or list; the top one is continued until it opens another one, or ends.
 * The lengths of messages that a value has opened are closed when the value
 * ends, down to the number that was open before.
 */


#include "agg_pb_read_quick.h"


/* for messages up to this size, memory is reserved at the start */

#define AGG_PB_MODEST  16384

/* the bytes that may be read twice to find the type of an Any */

#define AGG_PB_LOOK(len)  ((len) * 4 + 4096)

#define agg_pb_takes_null(f)                                                 \
    ((f)->message ? (f)->message->kind == AGG_PB_VALUE                       \
                  : (f)->type == AGG_PB_ENUM && (f)->enumeration->null_value)


static agg_rc_e agg_pb_read(agg_pb_json_t *r, const agg_pb_message_t *m,
    const agg_pb_field_t *field);
static agg_rc_e agg_pb_read_members(agg_pb_json_t *r, agg_pb_level_t *level);
static const agg_pb_field_t *agg_pb_read_expected(agg_pb_json_t *r,
    agg_pb_level_t *level);
static agg_rc_e agg_pb_read_name(agg_pb_json_t *r, agg_pb_level_t *level,
    const agg_pb_field_t **field, unsigned *end);
static agg_rc_e agg_pb_read_unknown(agg_pb_json_t *r, agg_pb_level_t *level,
    const agg_str_t *name);
static agg_rc_e agg_pb_mark_seen(agg_pb_json_t *r, agg_pb_level_t *level,
    const agg_pb_field_t *f);
static agg_rc_e agg_pb_read_field(agg_pb_json_t *r, const agg_pb_field_t *f);
static agg_rc_e agg_pb_read_list(agg_pb_json_t *r, agg_pb_level_t *level);
static agg_rc_e agg_pb_read_map(agg_pb_json_t *r, agg_pb_level_t *level);
static agg_rc_e agg_pb_read_special(agg_pb_json_t *r, agg_pb_level_t *level);
static agg_rc_e agg_pb_read_message(agg_pb_json_t *r, const agg_pb_field_t *f,
    uint32_t nopen);
static agg_rc_e agg_pb_read_content(agg_pb_json_t *r,
    const agg_pb_message_t *m, const agg_pb_field_t *f, uint32_t nopen);
static agg_rc_e agg_pb_read_value(agg_pb_json_t *r, const agg_pb_message_t *m,
    uint32_t nopen);
static agg_rc_e agg_pb_read_any(agg_pb_json_t *r, const agg_pb_message_t *any,
    uint32_t nopen);
static agg_rc_e agg_pb_open_field(agg_pb_json_t *r, const agg_pb_field_t *f);
static agg_rc_e agg_pb_push(agg_pb_json_t *r, agg_pb_read_e state,
    const agg_pb_message_t *m, const agg_pb_field_t *f, uint32_t nopen);
static agg_rc_e agg_pb_pop(agg_pb_json_t *r);
static agg_rc_e agg_pb_more_seen(agg_pb_json_t *r, uint32_t n);


agg_rc_e
agg_pb_from_json(const agg_pb_pool_t *pool, const agg_pb_message_t *m,
    const agg_pb_field_t *field, const agg_str_t *json,
    const agg_pb_read_t *options, agg_buf_t *out, agg_pb_error_t *err)
{
    agg_rc_e       rc;
    agg_mem_t     *mem;
    agg_pb_json_t  r;

    err->len = 0;

    if (json->len > AGG_PB_MAX_INPUT) {
        return AGG_TOO_LARGE;
    }

    mem = out->mem;

    r.pool = pool;
    r.options = options;
    r.err = err;
    r.root = field;

    r.start = json->len ? json->data : (u_char *) "";
    r.p = r.start;
    r.end = r.start + json->len;
    r.looked = AGG_PB_LOOK(json->len);
    r.last = (options->plain || json->len < AGG_PB_AHEAD)
             ? r.start : r.end - AGG_PB_AHEAD;

    r.seen = r.seen_first;
    r.nseen = 0;
    r.seen_size = AGG_PB_SEEN;

    r.depth = 0;
    r.scopes = 0;

    agg_buf_init(&r.text, mem, json->len + AGG_PB_DEPTH);
    agg_pb_keys_init(&r.keys, mem, options->key);
    agg_pb_writer_init(&r.w, out);

    /* a message is usually shorter than its JSON */

    if (json->len < AGG_PB_MODEST) {
        (void) agg_buf_reserve(out, agg_pb_read_room(json->len));
    }

    rc = agg_pb_read(&r, m, field);
    rc = agg_pb_writer_finish(&r.w, rc);

    if (r.keys.n != 0) {
        agg_pb_keys_free(&r.keys);
    }

    if (r.text.start != NULL) {
        mem->grow(mem->ctx, r.text.start, 0, 0);
    }

    if (r.seen != r.seen_first) {
        mem->grow(mem->ctx, r.seen, 0, 0);
    }

    return rc;
}


static agg_rc_e
agg_pb_read(agg_pb_json_t *r, const agg_pb_message_t *m,
    const agg_pb_field_t *field)
{
    agg_rc_e         rc;
    agg_pb_level_t  *level;

    agg_pb_space(r);

    rc = field ? agg_pb_read_field(r, field)
               : agg_pb_read_content(r, m, NULL, 0);

    while (rc == AGG_OK && r->depth) {
        level = &r->levels[r->depth - 1];

        switch (level->state) {

        case AGG_PB_READ_MEMBERS:
            rc = agg_pb_read_members(r, level);
            break;

        case AGG_PB_READ_LIST:
            rc = agg_pb_read_list(r, level);
            break;

        case AGG_PB_READ_MAP:
            rc = agg_pb_read_map(r, level);
            break;

        default: /* AGG_PB_READ_ANY */
            rc = agg_pb_read_special(r, level);
        }
    }

    if (rc != AGG_OK) {
        return rc;
    }

    agg_pb_space(r);

    return (r->p == r->end) ? AGG_OK : agg_pb_refuse_syntax(r);
}


/* refuses duplicate members, and a second member of a oneof; null sets none */

static agg_rc_e
agg_pb_mark_seen(agg_pb_json_t *r, agg_pb_level_t *level,
    const agg_pb_field_t *f)
{
    uint32_t  bit, *word;

    word = &r->seen[level->seen + f->index / 32];
    bit = (uint32_t) 1 << f->index % 32;

    if (*word & bit) {
        return agg_pb_refuse(r, "named twice");
    }

    *word |= bit;

    if (level->top <= f->index) {
        level->top = f->index + 1;
    }

    if (f->oneof == AGG_PB_NONE
        || (r->p != r->end && *r->p == 'n' && !agg_pb_takes_null(f)))
    {
        return AGG_OK;
    }

    bit = level->m->nfields + f->oneof;
    word = &r->seen[level->seen + bit / 32];
    bit = (uint32_t) 1 << bit % 32;

    if (*word & bit) {
        return agg_pb_refuse_name(r, "a second member of the oneof",
                                  &level->m->oneofs[f->oneof]);
    }

    *word |= bit;

    return AGG_OK;
}


static agg_rc_e
agg_pb_read_members(agg_pb_json_t *r, agg_pb_level_t *level)
{
    uint32_t               depth;
    agg_rc_e               rc;
    unsigned               end;
    const agg_pb_field_t  *f;

    depth = r->depth;

    do {
        f = agg_pb_quick_members(r, level);

        if (f == NULL) {
            rc = agg_pb_read_name(r, level, &f, &end);
            if (rc != AGG_OK) {
                return rc;
            }

            if (end) {
                return agg_pb_pop(r);
            }

            if (f == NULL) {
                continue;
            }
        }

        rc = agg_pb_mark_seen(r, level, f);
        if (rc != AGG_OK) {
            return rc;
        }

        rc = agg_pb_read_field(r, f);
        if (rc != AGG_OK) {
            return rc;
        }

    } while (r->depth == depth);

    return AGG_OK;
}


/* the expected next field, if there is white space before its name */

static const agg_pb_field_t *
agg_pb_read_expected(agg_pb_json_t *r, agg_pb_level_t *level)
{
    size_t                 n;
    const agg_pb_field_t  *f;

    if (level->next >= level->m->nfields) {
        return NULL;
    }

    f = &level->m->fields[level->next];
    n = f->print[0].len - 1;

    if (r->last - r->p < (ptrdiff_t) n || (f->first & AGG_PB_BY_TABLE)
        || !agg_pb_same(r->p, f->print[0].data + 1, n))
    {
        return NULL;
    }

    r->p += n;

    level->next++;
    level->name = f->json_name;

    agg_pb_space(r);

    return f;
}


/*
 * Finds the field of the next member; NULL: it was skipped.  Members usually
 * come in the order of the fields, so the expected one has been tried before,
 * without white space.
 */

static agg_rc_e
agg_pb_read_name(agg_pb_json_t *r, agg_pb_level_t *level,
    const agg_pb_field_t **field, unsigned *end)
{
    agg_rc_e               rc;
    agg_str_t              name;
    agg_pb_string_t        s;
    const u_char          *p;
    const agg_pb_field_t  *f;

    p = r->p;
    f = NULL;
    level->name.len = 0;

    rc = agg_pb_next(r, level, '}', end);

    if (rc != AGG_OK || *end) {
        return rc;
    }

    if (r->p - p > 1) {
        f = agg_pb_read_expected(r, level);
    }

    *field = f;

    if (f != NULL) {
        return AGG_OK;
    }

    rc = agg_pb_string(r, &s);
    if (rc != AGG_OK) {
        return rc;
    }

    level->name = s.raw;

    rc = agg_pb_decode(r, &s, &name);
    if (rc != AGG_OK) {
        return rc;
    }

    f = agg_pb_find_field(level->m, name.data, name.len);

    rc = agg_pb_colon(r);
    if (rc != AGG_OK) {
        return rc;
    }

    if (f == NULL) {
        return agg_pb_read_unknown(r, level, &name);
    }

    level->next = f->index + 1;
    *field = f;

    return AGG_OK;
}


static agg_rc_e
agg_pb_read_unknown(agg_pb_json_t *r, agg_pb_level_t *level,
    const agg_str_t *name)
{
    agg_rc_e         rc;
    agg_pb_string_t  s;

    if (level->any && name->len == 5 && memcmp(name->data, "@type", 5) == 0) {

        if (level->typed) {
            return agg_pb_refuse(r, "named twice");
        }

        level->typed = 1;

        return agg_pb_string(r, &s);
    }

    /* some encoders write an Empty in an Any as a nested object */

    if (level->any && level->m->kind == AGG_PB_EMPTY && !level->done
        && name->len == 5 && memcmp(name->data, "value", 5) == 0)
    {
        level->done = 1;

        return agg_pb_read_content(r, level->m, NULL, r->w.nopen);
    }

    if (!r->options->ignore_unknown) {
        level->name.len = 0;
        return agg_pb_refuse_name(r, "no field", name);
    }

    rc = agg_pb_pass(r);
    level->name.len = 0;

    return rc;
}


static agg_rc_e
agg_pb_read_field(agg_pb_json_t *r, const agg_pb_field_t *f)
{
    unsigned  drop;

    if (r->p == r->end) {
        return agg_pb_refuse_syntax(r);
    }

    if (*r->p == 'n' && (f->repeated || !agg_pb_takes_null(f))) {
        return agg_pb_word(r, "null", 4) ? AGG_OK : agg_pb_refuse_syntax(r);
    }

    if (!f->repeated) {

        if (f->message != NULL) {
            return agg_pb_read_message(r, f, r->w.nopen);
        }

        return agg_pb_scalar(r, f, 1, !f->presence, &drop);
    }

    if (*r->p != (f->map ? '{' : '[')) {
        return agg_pb_refuse(r, f->map ? "not an object" : "not a list");
    }

    r->p++;

    return agg_pb_push(r, f->map ? AGG_PB_READ_MAP : AGG_PB_READ_LIST, NULL, f,
                       r->w.nopen);
}


static agg_rc_e
agg_pb_read_list(agg_pb_json_t *r, agg_pb_level_t *level)
{
    uint32_t               depth;
    agg_rc_e               rc;
    unsigned               end, drop, first;
    const agg_pb_field_t  *f;

    f = level->field;
    depth = r->depth;

    do {
        first = level->first;

        rc = agg_pb_next(r, level, ']', &end);
        if (rc != AGG_OK) {
            return rc;
        }

        if (end) {
            return agg_pb_pop(r);
        }

        level->index += !first;

        if (r->p < r->end && *r->p == 'n' && !agg_pb_takes_null(f)) {
            return agg_pb_refuse(r, "null in a list");
        }

        if (f->message != NULL) {
            rc = agg_pb_read_message(r, f, r->w.nopen);

        } else {

            if (f->packed && !level->packed) {
                level->packed = 1;

                rc = agg_pb_open_field(r, f);
                if (rc != AGG_OK) {
                    return rc;
                }
            }

            rc = agg_pb_scalar(r, f, !f->packed, 0, &drop);
        }

        if (rc != AGG_OK) {
            return rc;
        }

    } while (r->depth == depth);

    return AGG_OK;
}


static agg_rc_e
agg_pb_read_map(agg_pb_json_t *r, agg_pb_level_t *level)
{
    uint32_t               depth;
    agg_rc_e               rc;
    unsigned               end, drop;
    agg_pb_mark_t          mark;
    agg_pb_string_t        s;
    const agg_pb_field_t  *value;

    depth = r->depth;
    value = &level->field->message->fields[1];

    do {
        rc = agg_pb_next_member(r, level, &s, &end);
        if (rc != AGG_OK) {
            return rc;
        }

        if (end) {
            return agg_pb_pop(r);
        }

        agg_pb_mark(&r->w, &mark);

        rc = agg_pb_open_field(r, level->field);
        if (rc != AGG_OK) {
            return rc;
        }

        rc = agg_pb_read_key(r, level, &s);
        if (rc != AGG_OK) {
            return rc;
        }

        if (r->p < r->end && *r->p == 'n' && !agg_pb_takes_null(value)) {
            return agg_pb_refuse(r, "null in a map");
        }

        if (value->message != NULL) {
            rc = agg_pb_read_message(r, value, mark.nopen);
            if (rc != AGG_OK) {
                return rc;
            }

            continue;
        }

        rc = agg_pb_scalar(r, value, 1, 0, &drop);
        if (rc != AGG_OK) {
            return rc;
        }

        if (drop) {
            agg_pb_rewind(&r->w, &mark);
        }

        agg_pb_close_len(&r->w, mark.nopen);

    } while (r->depth == depth);

    return AGG_OK;
}


/* an Any of a type with a special JSON form: "@type" and "value" */

static agg_rc_e
agg_pb_read_special(agg_pb_json_t *r, agg_pb_level_t *level)
{
    uint32_t         depth;
    agg_rc_e         rc;
    unsigned         end;
    agg_str_t        name;
    agg_pb_string_t  s;

    depth = r->depth;

    do {
        rc = agg_pb_next_member(r, level, &s, &end);
        if (rc != AGG_OK) {
            return rc;
        }

        if (end) {

            if (!level->done) {
                return agg_pb_refuse(r, "\"value\" is missing");
            }

            return agg_pb_pop(r);
        }

        rc = agg_pb_decode(r, &s, &name);
        if (rc != AGG_OK) {
            return rc;
        }

        if (name.len == 5 && memcmp(name.data, "value", 5) == 0) {

            if (level->done) {
                return agg_pb_refuse(r, "named twice");
            }

            level->done = 1;
            rc = agg_pb_read_content(r, level->m, NULL, r->w.nopen);

        } else {
            rc = agg_pb_read_unknown(r, level, &name);
        }

        if (rc != AGG_OK) {
            return rc;
        }

    } while (r->depth == depth);

    return AGG_OK;
}


/* writes the field's tag and its message; lengths are closed down to nopen */

static agg_rc_e
agg_pb_read_message(agg_pb_json_t *r, const agg_pb_field_t *f, uint32_t nopen)
{
    agg_rc_e  rc;

    if (f->type != AGG_PB_GROUP) {
        rc = agg_pb_open_field(r, f);

        return (rc == AGG_OK) ? agg_pb_read_content(r, f->message, f, nopen)
                              : rc;
    }

    rc = agg_pb_reserve(&r->w, sizeof(f->tag));
    if (rc != AGG_OK) {
        return rc;
    }

    agg_pb_put_tag(&r->w, f);

    if (!agg_pb_byte(r, '{')) {
        return agg_pb_refuse(r, "not an object");
    }

    rc = agg_pb_push(r, AGG_PB_READ_MEMBERS, f->message, NULL, nopen);

    if (rc == AGG_OK) {
        r->levels[r->depth - 1].group = agg_pb_tag(f->number,
                                                   AGG_PB_END_GROUP);
    }

    return rc;
}


static agg_rc_e
agg_pb_read_content(agg_pb_json_t *r, const agg_pb_message_t *m,
    const agg_pb_field_t *f, uint32_t nopen)
{
    agg_rc_e  rc;
    unsigned  drop;

    switch (m->kind) {

    case AGG_PB_TIMESTAMP:
    case AGG_PB_DURATION:
    case AGG_PB_FIELD_MASK:
        rc = agg_pb_text_value(r, m, f);
        agg_pb_close_len(&r->w, nopen);
        return rc;

    case AGG_PB_WRAPPER:
        rc = agg_pb_scalar(r, m->fields, 1, 1, &drop);
        agg_pb_close_len(&r->w, nopen);
        return rc;

    case AGG_PB_STRUCT:

        if (!agg_pb_byte(r, '{')) {
            return agg_pb_refuse(r, "not an object");
        }

        return agg_pb_push(r, AGG_PB_READ_MAP, NULL, m->fields, nopen);

    case AGG_PB_LIST_VALUE:

        if (!agg_pb_byte(r, '[')) {
            return agg_pb_refuse(r, "not a list");
        }

        return agg_pb_push(r, AGG_PB_READ_LIST, NULL, m->fields, nopen);

    case AGG_PB_VALUE:
        return agg_pb_read_value(r, m, nopen);

    case AGG_PB_ANY:
        return agg_pb_read_any(r, m, nopen);

    default:

        if (!agg_pb_byte(r, '{')) {
            return agg_pb_refuse(r, "not an object");
        }

        return agg_pb_push(r, AGG_PB_READ_MEMBERS, m, NULL, nopen);
    }
}


/* google.protobuf.Value, which has the fields 1 to 6 */

static agg_rc_e
agg_pb_read_value(agg_pb_json_t *r, const agg_pb_message_t *m, uint32_t nopen)
{
    agg_rc_e               rc;
    unsigned               drop;
    const agg_pb_field_t  *f;

    if (r->p == r->end) {
        return agg_pb_refuse_syntax(r);
    }

    switch (*r->p) {

    case 'n':
        f = &m->fields[0];
        break;

    case '"':
        f = &m->fields[2];
        break;

    case 't':
    case 'f':
        f = &m->fields[3];
        break;

    case '{':
        f = &m->fields[4];
        break;

    case '[':
        f = &m->fields[5];
        break;

    default:
        f = &m->fields[1];
    }

    if (f->message != NULL) {
        return agg_pb_read_message(r, f, nopen);
    }

    rc = agg_pb_scalar(r, f, 1, 0, &drop);
    agg_pb_close_len(&r->w, nopen);

    return rc;
}


static agg_rc_e
agg_pb_read_any(agg_pb_json_t *r, const agg_pb_message_t *any, uint32_t nopen)
{
    size_t                   n;
    agg_rc_e                 rc;
    agg_str_t                type;
    const u_char            *p;
    agg_pb_read_e            state;
    const agg_pb_message_t  *m;

    if (r->p == r->end || *r->p != '{') {
        return agg_pb_refuse(r, "not an object");
    }

    if (r->depth == AGG_PB_DEPTH) {
        return agg_pb_refuse(r, "nested too deep");
    }

    p = r->p++;
    agg_pb_space(r);

    if (agg_pb_byte(r, '}')) {
        agg_pb_close_len(&r->w, nopen);
        return AGG_OK;
    }

    r->p = p;

    rc = agg_pb_find_type(r, &type);
    if (rc != AGG_OK) {
        return rc;
    }

    if (type.len == 0) {
        return agg_pb_refuse(r, "\"@type\" is missing");
    }

    m = NULL;

    for (n = 0; n < type.len; n++) {

        if (type.data[type.len - 1 - n] == '/') {
            m = agg_pb_find_message(r->pool, type.data + type.len - n, n);
            break;
        }
    }

    if (m == NULL) {
        return agg_pb_refuse_name(r, "no descriptor has the type", &type);
    }

    rc = agg_pb_put_bytes(&r->w, &any->fields[0], type.data, type.len);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_open_field(r, &any->fields[1]);
    if (rc != AGG_OK) {
        return rc;
    }

    r->p++;

    state = (m->kind == AGG_PB_PLAIN || m->kind == AGG_PB_EMPTY
             || m->kind == AGG_PB_HTTP_BODY) ? AGG_PB_READ_MEMBERS
                                             : AGG_PB_READ_ANY;

    rc = agg_pb_push(r, state, m, NULL, nopen);

    if (rc == AGG_OK) {
        r->levels[r->depth - 1].any = 1;
    }

    return rc;
}


static agg_rc_e
agg_pb_open_field(agg_pb_json_t *r, const agg_pb_field_t *f)
{
    agg_rc_e  rc;

    rc = agg_pb_reserve(&r->w, sizeof(f->tag) + 1);
    if (rc != AGG_OK) {
        return rc;
    }

    agg_pb_put_tag(&r->w, f);

    return agg_pb_open_len(&r->w);
}


static agg_rc_e
agg_pb_push(agg_pb_json_t *r, agg_pb_read_e state, const agg_pb_message_t *m,
    const agg_pb_field_t *f, uint32_t nopen)
{
    uint32_t         n;
    agg_pb_level_t  *level;

    if (r->depth == AGG_PB_DEPTH) {
        return agg_pb_refuse(r, "nested too deep");
    }

    level = &r->levels[r->depth++];
    memset(level, 0, sizeof(agg_pb_level_t));

    level->state = state;
    level->first = 1;
    level->nopen = nopen;
    level->m = m;
    level->field = f;
    level->seen = r->nseen;

    if (state == AGG_PB_READ_MAP) {
        level->scope = r->scopes++;
    }

    if (state != AGG_PB_READ_MEMBERS) {
        return AGG_OK;
    }

    n = (m->nfields + m->noneofs + 31) / 32;

    if (n > r->seen_size - r->nseen && agg_pb_more_seen(r, n) != AGG_OK) {
        return AGG_NOMEM;
    }

    memset(r->seen + r->nseen, 0, n * sizeof(uint32_t));
    r->nseen += n;

    return AGG_OK;
}


static agg_rc_e
agg_pb_pop(agg_pb_json_t *r)
{
    agg_rc_e         rc;
    agg_pb_level_t  *level;

    level = &r->levels[--r->depth];
    r->nseen = level->seen;

    if (level->group) {
        rc = agg_pb_reserve(&r->w, AGG_PB_VARINT_MAX);
        if (rc != AGG_OK) {
            return rc;
        }

        r->w.out->pos = agg_pb_put_varint(r->w.out->pos, level->group);
    }

    agg_pb_close_len(&r->w, level->nopen);

    return AGG_OK;
}


static agg_rc_e
agg_pb_more_seen(agg_pb_json_t *r, uint32_t n)
{
    size_t      size, used;
    uint32_t   *seen;
    agg_mem_t  *mem;

    mem = r->w.out->mem;
    used = r->nseen * sizeof(uint32_t);
    size = ((size_t) r->seen_size * 2 + n) * sizeof(uint32_t);

    if (r->seen == r->seen_first) {
        seen = mem->grow(mem->ctx, NULL, 0, size);

        if (seen != NULL) {
            memcpy(seen, r->seen_first, used);
        }

    } else {
        seen = mem->grow(mem->ctx, r->seen, used, size);
    }

    if (seen == NULL) {
        return AGG_NOMEM;
    }

    r->seen = seen;
    r->seen_size = (uint32_t) (size / sizeof(uint32_t));

    return AGG_OK;
}
