
/*
 * See agg_template.h.  The parser makes two passes over the text, the first
 * to count the pieces.
 */

#include <string.h>

#include "agg_template.h"


#define AGG_TEMPLATE_MAX_PIECES  256


typedef struct {
    agg_template_t         *t;
    agg_mem_t              *mem;
    agg_error_t            *err;
    const unsigned char    *start;
    const unsigned char    *p;
    const unsigned char    *end;
    const unsigned char    *token;      /* start of the value at hand */
    unsigned char          *out;        /* decoded literals */
    unsigned char          *from;       /* start of the literal at hand */
    unsigned                args:1;
    unsigned                string:1;   /* in a JSON string */
} agg_template_parser_t;


static agg_rc_e agg_template_literal(agg_template_parser_t *s);
static agg_rc_e agg_template_escape(agg_template_parser_t *s);
static agg_rc_e agg_template_value(agg_template_parser_t *s);
static agg_rc_e agg_template_variable(agg_template_parser_t *s,
    const agg_str_t *name);
static int agg_variable_begins(const agg_str_t *name, const char *prefix,
    size_t len);
static agg_rc_e agg_template_part(agg_template_parser_t *s,
    const agg_str_t *text, size_t dot);
static agg_rc_e agg_template_check_path(agg_template_parser_t *s);
static agg_rc_e agg_template_check_json(agg_template_parser_t *s);
static void agg_template_flush(agg_template_parser_t *s);
static agg_piece_t *agg_template_push(agg_template_parser_t *s);
static agg_rc_e agg_template_fail(agg_template_parser_t *s, const char *text);
static int agg_is_segment(const unsigned char *p, const unsigned char *last);
static unsigned char *agg_uri_segments(unsigned char *dst,
    const agg_str_t *value, unsigned args);
static unsigned char *agg_uri_encode(unsigned char *dst,
    const unsigned char *p, const unsigned char *last, int slash);
static unsigned char *agg_uri_render_value(unsigned char *dst,
    const agg_piece_t *piece, const agg_str_t *value, int slash);
static unsigned char *agg_uri_slashes(unsigned char *dst,
    const unsigned char *p, const unsigned char *last);
static size_t agg_uri_decode(unsigned char *dst, const unsigned char *p,
    size_t len);
static int agg_hex(unsigned char ch);


static int
agg_is_name(unsigned char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
           || (ch >= '0' && ch <= '9') || ch == '_';
}


static int
agg_is_unreserved(unsigned char ch)
{
    return agg_is_name(ch) || ch == '-' || ch == '.' || ch == '~';
}


agg_rc_e
agg_template_parse(agg_template_t *t, agg_template_e kind,
    const agg_str_t *text, agg_mem_t *mem, agg_error_t *err)
{
    size_t                 i, n;
    agg_rc_e               rc;
    agg_template_parser_t  s;

    memset(t, 0, sizeof(agg_template_t));
    memset(&s, 0, sizeof(agg_template_parser_t));

    t->kind = kind;

    s.t = t;
    s.mem = mem;
    s.err = err;
    s.start = text->data;
    s.p = text->data;
    s.end = text->data + text->len;

    /* text before and after "?", and around each value */

    for (i = 0, n = 2; i < text->len; i++) {
        if (text->data[i] == '$') {
            n += 2;
        }
    }

    if (n > AGG_TEMPLATE_MAX_PIECES) {
        return agg_template_fail(&s, "too many variables");
    }

    t->pieces = mem->alloc(mem->ctx, n * sizeof(agg_piece_t));
    s.out = mem->alloc(mem->ctx, text->len + 1);

    if (t->pieces == NULL || s.out == NULL) {
        return AGG_NOMEM;
    }

    s.from = s.out;

    if (kind == AGG_TEMPLATE_URI && (text->len == 0 || *s.p != '/')) {
        return agg_template_fail(&s, "must start with \"/\"");
    }

    while (s.p < s.end) {
        s.token = s.p;
        rc = (*s.p == '$' && !s.string) ? agg_template_value(&s)
                                        : agg_template_literal(&s);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    s.token = s.p;
    agg_template_flush(&s);

    if (kind == AGG_TEMPLATE_URI) {
        return agg_template_check_path(&s);
    }

    if (kind == AGG_TEMPLATE_BODY) {
        return agg_template_check_json(&s);
    }

    return AGG_OK;
}


static agg_rc_e
agg_template_literal(agg_template_parser_t *s)
{
    unsigned char  ch;

    ch = *s->p;

    switch (s->t->kind) {

    case AGG_TEMPLATE_BODY:

        if (ch == '\\' && s->string && s->end - s->p > 1) {
            *s->out++ = ch;
            *s->out++ = s->p[1];
            s->p += 2;
            return AGG_OK;
        }

        if (ch == '"') {
            s->string = !s->string;
        }

        break;

    case AGG_TEMPLATE_HEADER:

        if ((ch < 0x20 && ch != '\t') || ch == 0x7f) {
            return agg_template_fail(s, "control character");
        }

        break;

    default: /* AGG_TEMPLATE_URI */

        if (ch <= 0x20 || ch == 0x7f || ch == '#') {
            return agg_template_fail(s, "character that must be encoded");
        }

        if (s->args) {
            break;
        }

        if (ch == '?') {
            agg_template_flush(s);
            s->args = 1;
            s->p++;
            return AGG_OK;
        }

        if (ch == '%') {
            return agg_template_escape(s);
        }
    }

    *s->out++ = ch;
    s->p++;

    return AGG_OK;
}


/* nginx keeps the path of a subrequest in decoded form */

static agg_rc_e
agg_template_escape(agg_template_parser_t *s)
{
    int  high, low;

    high = (s->end - s->p > 2) ? agg_hex(s->p[1]) : -1;
    low = (s->end - s->p > 2) ? agg_hex(s->p[2]) : -1;

    if (high < 0 || low < 0 || (high == 0 && low == 0)) {
        return agg_template_fail(s, "invalid percent-encoding");
    }

    *s->out++ = (unsigned char) (high * 16 + low);
    s->p += 3;

    return AGG_OK;
}


static agg_rc_e
agg_template_value(agg_template_parser_t *s)
{
    size_t                dot;
    unsigned              quoted;
    agg_str_t             name;
    const unsigned char  *p, *last;

    p = s->p + 1;

    if (p == s->end || *p != '{') {
        name.data = (unsigned char *) p;

        if (p < s->end && *p >= '0' && *p <= '9') {
            p++;

        } else {
            while (p < s->end && agg_is_name(*p)) {
                p++;
            }
        }

        name.len = p - name.data;

        if (name.len == 0) {
            return agg_template_fail(s, "\"$\" without a name");
        }

        s->p = p;

        return agg_template_variable(s, &name);
    }

    name.data = (unsigned char *) ++p;
    quoted = 0;
    dot = 0;

    for (last = p; last < s->end && (*last != '}' || quoted); last++) {

        if (*last == '\\' && quoted && s->end - last > 1) {
            last++;

        } else if (*last == '"') {
            quoted = !quoted;

        } else if (*last == '.' && dot == 0) {
            dot = last - p + 1;
        }
    }

    if (last == s->end) {
        return agg_template_fail(s, "\"${\" without \"}\"");
    }

    name.len = last - p;

    if (dot == 0) {
        s->p = last + 1;
        return agg_template_variable(s, &name);
    }

    return agg_template_part(s, &name, dot - 1);
}


static agg_rc_e
agg_template_variable(agg_template_parser_t *s, const agg_str_t *name)
{
    size_t        i;
    agg_piece_t  *piece;

    for (i = 0; i < name->len; i++) {
        if (!agg_is_name(name->data[i])) {
            return agg_template_fail(s, "invalid variable name");
        }
    }

    if (name->len == 0) {
        return agg_template_fail(s, "empty variable name");
    }

#define agg_variable_is(n, s)                                                 \
    ((n)->len == sizeof(s) - 1 && agg_variable_begins(n, s, sizeof(s) - 1))

    agg_template_flush(s);

    piece = agg_template_push(s);
    piece->kind = AGG_PIECE_VARIABLE;
    piece->text = *name;
    piece->offset = s->p - s->start;

    s->t->dynamic = 1;

    if (s->t->kind != AGG_TEMPLATE_URI) {
        return AGG_OK;
    }

    if (agg_variable_is(name, "request_uri")) {
        return agg_template_fail(s, "\"$request_uri\" is not allowed, "
                                    "use \"$uri\" and \"$args\"");
    }

    if (agg_variable_is(name, "args")
        || agg_variable_is(name, "query_string"))
    {

        if (!s->args) {
            return agg_template_fail(s, "\"$args\" is allowed after \"?\" "
                                        "only");
        }

        piece->value = AGG_VALUE_RAW;

    } else if (agg_variable_is(name, "is_args")) {
        piece->value = AGG_VALUE_RAW;
        piece->mark = !s->args;
        piece->args = 1;
        s->args = 1;

    } else if (agg_variable_is(name, "uri")
               || agg_variable_is(name, "document_uri"))
    {
        piece->value = AGG_VALUE_SEGMENTS;

    } else if (name->len > 4 && agg_variable_begins(name, "arg_", 4)) {
        piece->value = AGG_VALUE_ARGUMENT;
    }

    return AGG_OK;
}


/* nginx ignores the case of names; the prefix is in lower case */

static int
agg_variable_begins(const agg_str_t *name, const char *prefix, size_t len)
{
    size_t         i;
    unsigned char  ch;

    if (name->len < len) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        ch = name->data[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != (unsigned char) prefix[i]) {
            return 0;
        }
    }

    return 1;
}


static agg_rc_e
agg_template_part(agg_template_parser_t *s, const agg_str_t *text, size_t dot)
{
    size_t        i;
    agg_str_t     path;
    agg_piece_t  *piece;

    for (i = 0; i < dot; i++) {
        if (!agg_is_name(text->data[i])) {
            return agg_template_fail(s, "invalid name of a backend");
        }
    }

    if (dot == 0) {
        return agg_template_fail(s, "empty name of a backend");
    }

    agg_template_flush(s);

    piece = agg_template_push(s);
    piece->kind = AGG_PIECE_PART;
    piece->text.data = text->data;
    piece->text.len = dot;

    s->t->dynamic = 1;

    path.data = text->data + dot;
    path.len = text->len - dot;

    piece->path = agg_path_parse(s->mem, &path,
                                 AGG_PATH_NO_WILDCARD | AGG_PATH_ROOT_OK,
                                 s->err);
    if (piece->path == NULL) {
        s->err->offset += path.data - s->start;
        return AGG_INVALID;
    }

    s->p = text->data + text->len + 1;
    piece->offset = s->p - s->start;

    return AGG_OK;
}


static void
agg_template_flush(agg_template_parser_t *s)
{
    agg_piece_t  *piece;

    if (s->out == s->from) {
        return;
    }

    piece = agg_template_push(s);
    piece->kind = AGG_PIECE_TEXT;
    piece->text.data = s->from;
    piece->text.len = s->out - s->from;
    piece->offset = s->token - s->start;

    s->t->length += piece->text.len;
    s->from = s->out;
}


static agg_piece_t *
agg_template_push(agg_template_parser_t *s)
{
    agg_piece_t  *piece;

    piece = &s->t->pieces[s->t->npieces++];

    memset(piece, 0, sizeof(agg_piece_t));

    piece->args = s->args;

    return piece;
}


static agg_rc_e
agg_template_fail(agg_template_parser_t *s, const char *text)
{
    s->err->text = text;
    s->err->offset = s->p - s->start;

    return AGG_INVALID;
}


/*
 * A literal path must not contain dot segments, as nginx does not normalize the
 * path of a subrequest.  Segments with values are checked when they are
 * rendered.
 */

static agg_rc_e
agg_template_check_path(agg_template_parser_t *s)
{
    size_t         i, k, len;
    agg_piece_t   *piece;
    unsigned char  last[3];

    len = 0;
    s->p = s->start;

    for (i = 0; i <= s->t->npieces; i++) {
        piece = (i < s->t->npieces) ? &s->t->pieces[i] : NULL;

        if (piece != NULL && !piece->args && piece->kind == AGG_PIECE_TEXT) {

            for (k = 0; k < piece->text.len; k++) {

                if (piece->text.data[k] != '/') {
                    if (len < sizeof(last)) {
                        last[len++] = piece->text.data[k];
                    }

                    continue;
                }

                if ((len == 1 && last[0] == '.')
                    || (len == 2 && last[0] == '.' && last[1] == '.'))
                {
                    return agg_template_fail(s, "\".\" or \"..\" as a "
                                                "segment");
                }

                len = 0;
            }

            continue;
        }

        if (piece != NULL && !piece->args
            && piece->value != AGG_VALUE_SEGMENTS)
        {
            last[0] = 'v';
            len = 1;
            continue;
        }

        if ((len == 1 && last[0] == '.')
            || (len == 2 && last[0] == '.' && last[1] == '.'))
        {
            return agg_template_fail(s, "\".\" or \"..\" as a segment");
        }

        if (piece == NULL || piece->args) {
            break;
        }

        last[0] = 'v';
        len = 1;
    }

    return AGG_OK;
}


/* replaces each value by a string, as a value may also be a member's name */

static agg_rc_e
agg_template_check_json(agg_template_parser_t *s)
{
    size_t          i, offset;
    agg_piece_t    *piece;
    unsigned char  *text, *p, *error;

    text = s->mem->alloc(s->mem->ctx, s->t->length + 4 * s->t->npieces + 1);
    if (text == NULL) {
        return AGG_NOMEM;
    }

    p = text;
    error = text;

    for (i = 0; i < s->t->npieces; i++) {
        piece = &s->t->pieces[i];

        switch (piece->kind) {

        case AGG_PIECE_TEXT:
            memcpy(p, piece->text.data, piece->text.len);
            p += piece->text.len;
            break;

        case AGG_PIECE_VARIABLE:
            memcpy(p, "\"\"", 2);
            p += 2;
            break;

        default:
            memcpy(p, "null", 4);
            p += 4;
        }
    }

    if (agg_json_validate(text, p - text, &offset) == AGG_OK) {
        return AGG_OK;
    }

    /* maps the offset back to the template, as values have other lengths */

    s->p = s->start;
    error += offset;

    for (i = 0, p = text; i < s->t->npieces; i++) {
        piece = &s->t->pieces[i];
        offset = piece->kind == AGG_PIECE_TEXT ? piece->text.len
                 : piece->kind == AGG_PIECE_VARIABLE ? 2 : 4;

        if (error < p + offset) {
            s->p += piece->kind == AGG_PIECE_TEXT ? error - p : 0;
            break;
        }

        s->p = s->start + piece->offset;
        p += offset;
    }

    return agg_template_fail(s, "invalid JSON");
}


size_t
agg_uri_size(const agg_template_t *t, const agg_str_t *values)
{
    size_t  i, size;

    size = t->length;

    for (i = 0; i < t->npieces; i++) {
        if (t->pieces[i].kind != AGG_PIECE_TEXT) {
            size += 3 * values[i].len;
        }
    }

    return size;
}


agg_rc_e
agg_uri_render(const agg_template_t *t, const agg_str_t *values,
    agg_str_t *path, agg_str_t *args)
{
    size_t              i;
    unsigned char      *dst, *last[2];
    const agg_piece_t  *piece;

    last[0] = path->data;
    last[1] = args->data;

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];
        dst = last[piece->args];

        if (piece->kind == AGG_PIECE_TEXT) {
            memcpy(dst, piece->text.data, piece->text.len);
            last[piece->args] = dst + piece->text.len;
            continue;
        }

        if (piece->mark) {
            continue;
        }

        dst = agg_uri_render_value(dst, piece, &values[i], t->slash);
        if (dst == NULL) {
            return AGG_INVALID;
        }

        last[piece->args] = dst;
    }

    path->len = last[0] - path->data;
    args->len = last[1] - args->data;

    return AGG_OK;
}


unsigned char *
agg_uri_value(unsigned char *dst, const agg_piece_t *piece,
    const agg_str_t *value)
{
    return agg_uri_render_value(dst, piece, value, 0);
}


static unsigned char *
agg_uri_render_value(unsigned char *dst, const agg_piece_t *piece,
    const agg_str_t *value, int slash)
{
    size_t                len;
    const unsigned char  *p, *last;

    p = value->data;
    last = p + value->len;

    switch (piece->value) {

    case AGG_VALUE_SEGMENTS:
        return agg_uri_segments(dst, value, piece->args);

    case AGG_VALUE_RAW:

        for ( /* void */ ; p < last; p++) {
            if (*p <= 0x20 || *p == 0x7f || *p == '#') {
                return NULL;
            }

            *dst++ = *p;
        }

        return dst;

    case AGG_VALUE_ARGUMENT:

        /* decoded to the end of the room, then encoded from there */

        len = agg_uri_decode(dst + 2 * value->len, p, value->len);
        p = dst + 2 * value->len;
        last = p + len;

        break;

    default:
        break;
    }

    if (piece->args) {
        return agg_uri_encode(dst, p, last, 0);
    }

    if (slash) {
        return agg_uri_slashes(dst, p, last);
    }

    if (!agg_is_segment(p, last)) {
        return NULL;
    }

    memmove(dst, p, last - p);

    return dst + (last - p);
}


/*
 * a single segment that contains slashes; decoding it too early yields no dots
 */

static unsigned char *
agg_uri_slashes(unsigned char *dst, const unsigned char *p,
    const unsigned char *last)
{
    const unsigned char  *slash;

    if (p == last) {
        return NULL;
    }

    for ( ;; ) {
        slash = memchr(p, '/', last - p);
        if (slash == NULL) {
            slash = last;
        }

        if (slash > p && !agg_is_segment(p, slash)) {
            return NULL;
        }

        memmove(dst, p, slash - p);
        dst += slash - p;

        if (slash == last) {
            return dst;
        }

        *dst++ = AGG_TEMPLATE_SLASH;
        p = slash + 1;
    }
}


static unsigned char *
agg_uri_segments(unsigned char *dst, const agg_str_t *value, unsigned args)
{
    const unsigned char  *p, *last, *slash;

    p = value->data;
    last = p + value->len;

    if (args) {
        return agg_uri_encode(dst, p, last, 1);
    }

    memcpy(dst, p, value->len);

    for ( ;; ) {
        slash = memchr(p, '/', last - p);
        if (slash == NULL) {
            slash = last;
        }

        if (slash > p && !agg_is_segment(p, slash)) {
            return NULL;
        }

        if (slash == last) {
            return dst + value->len;
        }

        p = slash + 1;
    }
}


/* whether a value stays in its segment and is not a dot segment */

static int
agg_is_segment(const unsigned char *p, const unsigned char *last)
{
    if (p == last || (*p == '.' && last - p == 1)
        || (last - p == 2 && p[0] == '.' && p[1] == '.'))
    {
        return 0;
    }

    for ( /* void */ ; p < last; p++) {
        if (*p < 0x20 || *p == 0x7f || *p == '/' || *p == '\\' || *p == ';') {
            return 0;
        }
    }

    return 1;
}


static unsigned char *
agg_uri_encode(unsigned char *dst, const unsigned char *p,
    const unsigned char *last, int slash)
{
    unsigned char               ch;
    static const unsigned char  hex[] = "0123456789ABCDEF";

    while (p < last) {
        ch = *p++;

        if (agg_is_unreserved(ch) || (slash && ch == '/')) {
            *dst++ = ch;
            continue;
        }

        *dst++ = '%';
        *dst++ = hex[ch >> 4];
        *dst++ = hex[ch & 0xf];
    }

    return dst;
}


static size_t
agg_uri_decode(unsigned char *dst, const unsigned char *p, size_t len)
{
    int                   high, low;
    unsigned char        *start;
    const unsigned char  *last;

    start = dst;
    last = p + len;

    while (p < last) {

        if (*p == '%' && last - p > 2) {
            high = agg_hex(p[1]);
            low = agg_hex(p[2]);

            if (high >= 0 && low >= 0) {
                *dst++ = (unsigned char) (high * 16 + low);
                p += 3;
                continue;
            }
        }

        *dst++ = *p++;
    }

    return dst - start;
}


static int
agg_hex(unsigned char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    if (ch >= 'a' && ch <= 'f') {
        return ch - 'a' + 10;
    }

    return -1;
}


int
agg_header_value_valid(const agg_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {
        if ((value->data[i] < 0x20 && value->data[i] != '\t')
            || value->data[i] == 0x7f)
        {
            return 0;
        }
    }

    return 1;
}
