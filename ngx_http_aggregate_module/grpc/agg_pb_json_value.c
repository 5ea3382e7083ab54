
/* Values of the reader: scalars, texts, keys of maps. */


#include "agg_pb_base64.h"
#include "agg_pb_read.h"


static agg_rc_e agg_pb_not(agg_pb_json_t *r, const agg_pb_field_t *f);
static agg_rc_e agg_pb_text_scalar(agg_pb_json_t *r, const agg_pb_field_t *f,
    int absent);
static agg_rc_e agg_pb_enum(agg_pb_json_t *r, const agg_pb_field_t *f,
    uint64_t *bits, unsigned *drop);
static agg_rc_e agg_pb_unknown_enum(agg_pb_json_t *r,
    const agg_pb_field_t *f, unsigned *drop);


/* "not an int32" */

static agg_rc_e
agg_pb_not(agg_pb_json_t *r, const agg_pb_field_t *f)
{
    if (r->p == r->end) {
        return agg_pb_refuse_syntax(r);
    }

    (void) agg_pb_refuse(r, "not ");
    agg_pb_error_add(r->err, "%s", agg_pb_text_kind(f));

    return AGG_INVALID;
}


agg_rc_e
agg_pb_scalar(agg_pb_json_t *r, const agg_pb_field_t *f, int tag, int absent,
    unsigned *drop)
{
    uint64_t          bits;
    agg_rc_e          rc;
    agg_str_t         text;
    const u_char     *p;
    agg_pb_string_t   s;

    bits = 0;
    *drop = 0;

    if (f->wire == AGG_PB_LEN) {
        return agg_pb_text_scalar(r, f, absent);
    }

    if (f->type == AGG_PB_ENUM) {
        rc = agg_pb_enum(r, f, &bits, drop);

        if (rc != AGG_OK || *drop) {
            return rc;
        }

    } else if (f->type == AGG_PB_BOOL) {
        bits = agg_pb_word(r, "true", 4);

        if (!bits && !agg_pb_word(r, "false", 5)) {
            return agg_pb_not(r, f);
        }

    } else if (r->p < r->end && *r->p == '"') {

        rc = agg_pb_string(r, &s);
        if (rc != AGG_OK) {
            return rc;
        }

        rc = agg_pb_decode(r, &s, &text);
        if (rc != AGG_OK) {
            return rc;
        }

        if (agg_pb_text_quoted(f, text.data, text.len, &bits) != 0) {
            r->p = s.raw.data;
            return agg_pb_not(r, f);
        }

    } else {
        p = agg_pb_text_number(f, r->p, r->end, &bits);

        if (p == NULL) {
            return agg_pb_not(r, f);
        }

        r->p = p;
    }

    if (absent && bits == 0) {
        return AGG_OK;
    }

    return agg_pb_put_scalar(&r->w, f, tag, bits);
}


static agg_rc_e
agg_pb_text_scalar(agg_pb_json_t *r, const agg_pb_field_t *f, int absent)
{
    u_char           *last;
    agg_rc_e          rc;
    agg_str_t         text;
    agg_pb_string_t   s;

    if (r->p == r->end || *r->p != '"') {
        return agg_pb_not(r, f);
    }

    rc = agg_pb_string(r, &s);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_decode(r, &s, &text);
    if (rc != AGG_OK) {
        return rc;
    }

    if (f->type == AGG_PB_BYTES) {

        if (!s.escaped) {
            r->text.pos = r->text.start;

            rc = agg_buf_reserve(&r->text, agg_pb_base64_size(text.len));
            if (rc != AGG_OK) {
                return AGG_NOMEM;
            }
        }

        last = agg_pb_base64(r->text.start, text.data, text.len);

        if (last == NULL) {
            r->p = s.raw.data;
            return agg_pb_not(r, f);
        }

        text.data = r->text.start;
        text.len = (size_t) (last - r->text.start);
    }

    if (absent && text.len == 0) {
        return AGG_OK;
    }

    return agg_pb_put_bytes(&r->w, f, text.data, text.len);
}


static agg_rc_e
agg_pb_enum(agg_pb_json_t *r, const agg_pb_field_t *f, uint64_t *bits,
    unsigned *drop)
{
    agg_rc_e                    rc;
    agg_str_t                   text;
    const u_char               *p;
    agg_pb_string_t             s;
    const agg_pb_enum_value_t  *value;

    if (f->enumeration->null_value && agg_pb_word(r, "null", 4)) {
        *bits = 0;
        return AGG_OK;
    }

    if (r->p == r->end || *r->p != '"') {
        p = agg_pb_text_number(f, r->p, r->end, bits);

        if (p == NULL) {
            return agg_pb_not(r, f);
        }

        r->p = p;

        /* an enum of proto2 has only the numbers that have names */

        if (f->enumeration->closed
            && agg_pb_enum_by_number(f->enumeration, (int32_t) *bits) == NULL)
        {
            return agg_pb_unknown_enum(r, f, drop);
        }

        return AGG_OK;
    }

    rc = agg_pb_string(r, &s);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_decode(r, &s, &text);
    if (rc != AGG_OK) {
        return rc;
    }

    value = agg_pb_enum_by_name(f->enumeration, text.data, text.len);

    if (value == NULL) {
        return agg_pb_unknown_enum(r, f, drop);
    }

    *bits = (uint64_t) (int64_t) value->number;

    return AGG_OK;
}


static agg_rc_e
agg_pb_unknown_enum(agg_pb_json_t *r, const agg_pb_field_t *f, unsigned *drop)
{
    if (r->options->ignore_unknown) {
        *drop = 1;
        return AGG_OK;
    }

    return agg_pb_refuse_name(r, "not a value of the enum",
                              &f->enumeration->name);
}


agg_rc_e
agg_pb_text_value(agg_pb_json_t *r, const agg_pb_message_t *m,
    const agg_pb_field_t *f)
{
    agg_rc_e          rc;
    agg_str_t         text;
    agg_pb_field_t    root;
    agg_pb_string_t   s;

    if (f == NULL) {
        memset(&root, 0, sizeof(agg_pb_field_t));
        root.message = (agg_pb_message_t *) m;
        f = &root;
    }

    if (r->p == r->end || *r->p != '"') {
        return agg_pb_not(r, f);
    }

    rc = agg_pb_string(r, &s);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_decode(r, &s, &text);
    if (rc != AGG_OK) {
        return rc;
    }

    rc = agg_pb_text_message(&r->w, m, text.data, text.len);

    if (rc == AGG_INVALID) {
        r->p = s.raw.data;
        return agg_pb_not(r, f);
    }

    return rc;
}


agg_rc_e
agg_pb_read_key(agg_pb_json_t *r, agg_pb_level_t *level,
    const agg_pb_string_t *name)
{
    int                    failed;
    uint32_t               start, len;
    uint64_t               bits;
    agg_rc_e               rc;
    agg_str_t              text;
    agg_pb_key_t          *old;
    const agg_pb_field_t  *f;

    f = level->field->message->fields;

    rc = agg_pb_decode(r, name, &text);
    if (rc != AGG_OK) {
        return rc;
    }

    if (f->wire == AGG_PB_LEN) {

        rc = agg_pb_put_bytes(&r->w, f, text.data, text.len);
        if (rc != AGG_OK) {
            return rc;
        }

        len = (uint32_t) text.len;
        start = (uint32_t) (agg_buf_used(r->w.out) - r->w.base) - len;

        rc = agg_pb_keys_add(&r->keys, level->scope,
                             r->w.out->start + r->w.base, start, len, 0, &old);

    } else {

        if (f->type == AGG_PB_BOOL) {
            failed = agg_pb_text_bool(text.data, text.len, &bits);

        } else {
            failed = agg_pb_text_quoted(f, text.data, text.len, &bits);
        }

        if (failed) {
            (void) agg_pb_refuse(r, "the key is not ");
            agg_pb_error_add(r->err, "%s", agg_pb_text_kind(f));
            return AGG_INVALID;
        }

        rc = agg_pb_put_scalar(&r->w, f, 1, bits);
        if (rc != AGG_OK) {
            return rc;
        }

        rc = agg_pb_keys_add(&r->keys, level->scope, NULL, (uint32_t) bits,
                             (uint32_t) (bits >> 32), 0, &old);
    }

    if (rc == AGG_OK && old != NULL) {
        return agg_pb_refuse(r, "named twice");
    }

    return rc;
}
