
/* The tokens of the reader: strings, words, members, skipped values. */


#include "agg_block.h"
#include "agg_pb_number.h"
#include "agg_pb_read.h"
#include "gw_text.h"


/* the length up to which a path shows names and keys in full */

#define AGG_PB_PATH_NAME  64

/* the maximum length of a path, which leaves room for the error */

#define AGG_PB_PATH_TEXT  200


static agg_rc_e agg_pb_string_special(agg_pb_json_t *r, const u_char **pos,
    agg_pb_string_t *s);
static unsigned agg_pb_string_tail(const u_char *p, const u_char *end);
static void agg_pb_path_text(agg_pb_json_t *r);
static agg_rc_e agg_pb_pass_one(agg_pb_json_t *r, u_char *close);


/* "user.tags[3]: " */

static void
agg_pb_path_text(agg_pb_json_t *r)
{
    uint32_t         i;
    agg_str_t        name;
    agg_pb_level_t  *level;

    agg_pb_error(r->err, "");

    if (r->root != NULL) {
        agg_pb_error_add(r->err, "%V", &r->root->json_name);
    }

    for (i = 0; i < r->depth; i++) {
        level = &r->levels[i];

        if (level->state == AGG_PB_READ_LIST) {
            agg_pb_error_add(r->err, "[%u]", level->index);
            continue;
        }

        name = level->name;

        if (name.len == 0) {
            continue;
        }

        name.len = gw_cut(name.data, name.len, AGG_PB_PATH_NAME);

        if (level->state == AGG_PB_READ_MAP) {
            agg_pb_error_add(r->err, "[\"%V\"]", &name);

        } else {
            agg_pb_error_add(r->err, r->err->len ? ".%V" : "%V", &name);
        }
    }

    if (r->err->len > AGG_PB_PATH_TEXT) {
        r->err->len = gw_cut(r->err->text, r->err->len, AGG_PB_PATH_TEXT);
        agg_pb_error_add(r->err, "...");
    }

    if (r->err->len != 0) {
        agg_pb_error_add(r->err, ": ");
    }
}


agg_rc_e
agg_pb_refuse(agg_pb_json_t *r, const char *what)
{
    agg_pb_path_text(r);
    agg_pb_error_add(r->err, "%s", what);

    return AGG_INVALID;
}


agg_rc_e
agg_pb_refuse_name(agg_pb_json_t *r, const char *what, const agg_str_t *name)
{
    agg_str_t  cut;

    cut = *name;
    cut.len = gw_cut(cut.data, cut.len, AGG_PB_PATH_NAME * 2);

    agg_pb_path_text(r);
    agg_pb_error_add(r->err, "%s \"%V\"", what, &cut);

    return AGG_INVALID;
}


agg_rc_e
agg_pb_refuse_syntax(agg_pb_json_t *r)
{
    agg_pb_path_text(r);

    if (r->p >= r->end) {
        agg_pb_error_add(r->err, "the JSON ends early");

    } else {
        agg_pb_error_add(r->err, "invalid JSON at byte %u",
                         (unsigned) (r->p - r->start));
    }

    return AGG_INVALID;
}


agg_rc_e
agg_pb_string(agg_pb_json_t *r, agg_pb_string_t *s)
{
    agg_rc_e       rc;
    unsigned       mask;
    const u_char  *p;

    if (r->p == r->end || *r->p != '"') {
        return agg_pb_refuse_syntax(r);
    }

    p = r->p + 1;
    s->escaped = 0;
    s->raw.data = (u_char *) p;

    for ( ;; ) {
        if (r->end - p >= AGG_BLOCK) {
            mask = agg_block_special(p);

            if (mask == 0) {
                p += AGG_BLOCK;
                continue;
            }

        } else {
            mask = agg_pb_string_tail(p, r->end);

            if (mask == 0) {
                r->p = r->end;
                return agg_pb_refuse_syntax(r);
            }
        }

        p += agg_first(mask);

        if (*p == '"') {
            s->raw.len = (size_t) (p - s->raw.data);
            r->p = p + 1;
            return AGG_OK;
        }

        rc = agg_pb_string_special(r, &p, s);
        if (rc != AGG_OK) {
            return rc;
        }
    }
}


static unsigned
agg_pb_string_tail(const u_char *p, const u_char *end)
{
    size_t  n;
    u_char  tail[AGG_BLOCK] = { 0 };

    n = (size_t) (end - p);
    memcpy(tail, p, n);

    return agg_block_special(tail) & ((1u << n) - 1);
}


/* an escape, a non-ASCII character, or an invalid byte */

static agg_rc_e
agg_pb_string_special(agg_pb_json_t *r, const u_char **pos,
    agg_pb_string_t *s)
{
    int            valid;
    u_char         c;
    unsigned       i;
    const u_char  *p;

    p = *pos;

    if (*p >= 0x80) {
        *pos = p + gw_utf8_length(p, r->end, &valid);

        if (valid) {
            return AGG_OK;
        }

        r->p = p;

        return agg_pb_refuse(r, "invalid UTF-8");
    }

    r->p = p;

    if (*p != '\\') {
        return agg_pb_refuse_syntax(r);
    }

    s->escaped = 1;

    if (r->end - p < 2) {
        r->p = r->end;
        return agg_pb_refuse_syntax(r);
    }

    switch (p[1]) {

    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        *pos = p + 2;
        return AGG_OK;

    case 'u':

        for (i = 2; i < 6; i++) {

            if (p + i == r->end) {
                r->p = r->end;
                return agg_pb_refuse_syntax(r);
            }

            c = p[i];

            if ((u_char) (c - '0') > 9 && (u_char) ((c | 0x20) - 'a') > 5) {
                return agg_pb_refuse_syntax(r);
            }
        }

        *pos = p + 6;
        return AGG_OK;

    default:
        return agg_pb_refuse_syntax(r);
    }
}


agg_rc_e
agg_pb_decode(agg_pb_json_t *r, const agg_pb_string_t *s, agg_str_t *text)
{
    ssize_t   n;
    agg_rc_e  rc;

    *text = s->raw;

    if (!s->escaped) {
        return AGG_OK;
    }

    r->text.pos = r->text.start;

    rc = agg_buf_reserve(&r->text, s->raw.len);
    if (rc != AGG_OK) {
        return AGG_NOMEM;
    }

    n = agg_json_unescape(r->text.start, &s->raw);

    if (n < 0) {
        return agg_pb_refuse(r, "an unpaired surrogate");
    }

    text->data = r->text.start;
    text->len = (size_t) n;

    return AGG_OK;
}


int
agg_pb_word(agg_pb_json_t *r, const char *word, size_t len)
{
    if ((size_t) (r->end - r->p) < len || memcmp(r->p, word, len) != 0) {
        return 0;
    }

    r->p += len;

    return 1;
}


/* skips a scalar, or opens a container and sets *close to its end */

static agg_rc_e
agg_pb_pass_one(agg_pb_json_t *r, u_char *close)
{
    const u_char     *p;
    agg_pb_string_t   s;
    agg_pb_decimal_t  d;

    *close = 0;

    if (r->p == r->end) {
        return agg_pb_refuse_syntax(r);
    }

    switch (*r->p) {

    case '"':
        return agg_pb_string(r, &s);

    case '{':
    case '[':
        *close = (u_char) (*r->p++ + 2);
        return AGG_OK;

    case 'n':
        return agg_pb_word(r, "null", 4) ? AGG_OK : agg_pb_refuse_syntax(r);

    case 't':
        return agg_pb_word(r, "true", 4) ? AGG_OK : agg_pb_refuse_syntax(r);

    case 'f':
        return agg_pb_word(r, "false", 5) ? AGG_OK : agg_pb_refuse_syntax(r);
    }

    p = agg_pb_scan_number(r->p, r->end, &d);

    if (p == NULL) {
        return agg_pb_refuse_syntax(r);
    }

    r->p = p;

    return AGG_OK;
}


/* nested containers count towards the depth */

agg_rc_e
agg_pb_pass(agg_pb_json_t *r)
{
    u_char           close, closes[AGG_PB_DEPTH];
    agg_rc_e         rc;
    unsigned         n, first;
    agg_pb_string_t  s;

    n = 0;

    for ( ;; ) {
        agg_pb_space(r);

        rc = agg_pb_pass_one(r, &close);
        if (rc != AGG_OK) {
            return rc;
        }

        first = close != 0;

        if (first) {

            if (r->depth + n >= AGG_PB_DEPTH) {
                return agg_pb_refuse(r, "nested too deep");
            }

            closes[n++] = close;
        }

        /* finds the next value */

        for ( ;; ) {

            if (n == 0) {
                return AGG_OK;
            }

            agg_pb_space(r);

            if (r->p < r->end && *r->p == closes[n - 1]) {
                r->p++;
                n--;
                first = 0;
                continue;
            }

            if (!first && !agg_pb_byte(r, ',')) {
                return agg_pb_refuse_syntax(r);
            }

            break;
        }

        if (closes[n - 1] == ']') {
            continue;
        }

        agg_pb_space(r);

        rc = agg_pb_string(r, &s);
        if (rc != AGG_OK) {
            return rc;
        }

        rc = agg_pb_colon(r);
        if (rc != AGG_OK) {
            return rc;
        }
    }
}


agg_rc_e
agg_pb_next_member(agg_pb_json_t *r, agg_pb_level_t *level,
    agg_pb_string_t *name, unsigned *end)
{
    agg_rc_e  rc;

    rc = agg_pb_next(r, level, '}', end);

    if (rc != AGG_OK || *end) {
        return rc;
    }

    rc = agg_pb_string(r, name);
    if (rc != AGG_OK) {
        return rc;
    }

    level->name = name->raw;

    return agg_pb_colon(r);
}


/*
 * "@type" usually comes first.  If it does not, everything before it is read
 * twice; for nested values this could be repeated often, so it is limited.
 */

agg_rc_e
agg_pb_find_type(agg_pb_json_t *r, agg_str_t *type)
{
    agg_rc_e          rc;
    unsigned          end;
    const u_char     *start;
    agg_str_t         text;
    agg_pb_level_t    level;
    agg_pb_string_t   name;

    type->len = 0;
    level.first = 1;
    level.name.len = 0;

    for (start = r->p++; /* void */ ; /* void */ ) {

        rc = agg_pb_next_member(r, &level, &name, &end);
        if (rc != AGG_OK) {
            return rc;
        }

        if (end) {
            break;
        }

        rc = agg_pb_decode(r, &name, &text);
        if (rc != AGG_OK) {
            return rc;
        }

        if (text.len == 5 && memcmp(text.data, "@type", 5) == 0) {

            rc = agg_pb_string(r, &name);
            if (rc != AGG_OK) {
                return rc;
            }

            rc = agg_pb_decode(r, &name, type);
            if (rc != AGG_OK) {
                return rc;
            }

            break;
        }

        rc = agg_pb_pass(r);
        if (rc != AGG_OK) {
            return rc;
        }

        if ((size_t) (r->p - start) > r->looked) {
            return agg_pb_refuse(r, "\"@type\" is too far behind");
        }
    }

    if (!level.first && r->p - start < (ssize_t) r->looked) {
        r->looked -= (size_t) (r->p - start);
    }

    r->p = start;

    return AGG_OK;
}
