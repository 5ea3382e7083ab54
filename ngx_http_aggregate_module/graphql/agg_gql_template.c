
/*
 * Templates of "@rest".  They are parsed by the parser of "aggregate"
 * templates; stars are removed from the text before, and the pairs of the query
 * string are found afterwards.
 */


#include "agg_gql_template.h"


static agg_rc_e agg_gql_template_pairs(agg_gql_template_t *t,
    const agg_template_t *raw, const u_char *stars, agg_error_t *err);
static agg_rc_e agg_gql_take_stars(const agg_str_t *text, agg_str_t *plain,
    u_char *stars);
static void agg_gql_piece(agg_gql_template_t *t, const agg_piece_t *piece,
    unsigned repeat);
static int agg_gql_is_pair(const agg_str_t *open, const agg_piece_t *next);
static void agg_gql_text_pairs(agg_gql_template_t *t, const agg_piece_t *piece,
    agg_str_t *open, int *whole);
static agg_gql_piece_t *agg_gql_push(agg_gql_template_t *t,
    const agg_piece_t *piece, const u_char *p, size_t len);
static agg_gql_render_e agg_gql_render_value(const agg_gql_piece_t *piece,
    const agg_str_t *value, agg_mem_t *mem, agg_buf_t *out, int separate);
static agg_gql_render_e agg_gql_render_list(const agg_gql_piece_t *piece,
    const agg_str_t *value, agg_mem_t *mem, agg_buf_t *out, int separate);
static agg_gql_render_e agg_gql_render_plain(const agg_gql_piece_t *piece,
    const agg_str_t *value, agg_mem_t *mem, agg_buf_t *out);
static agg_gql_render_e agg_gql_render_bytes(const agg_gql_piece_t *piece,
    const agg_str_t *value, agg_mem_t *mem, agg_buf_t *out);
static agg_gql_render_e agg_gql_put(agg_buf_t *out, const void *p, size_t n);
static agg_gql_render_e agg_gql_render_rc(agg_rc_e rc);


agg_rc_e
agg_gql_template_parse(agg_gql_template_t *t, agg_template_e kind,
    const agg_str_t *text, agg_mem_t *mem, agg_error_t *err)
{
    size_t          i, pairs;
    u_char         *stars;
    agg_rc_e        rc;
    agg_str_t       plain;
    agg_template_t  raw;

    memset(t, 0, sizeof(agg_gql_template_t));

    plain.data = mem->alloc(mem->ctx, text->len + 1);
    stars = mem->alloc(mem->ctx, text->len + 1);

    if (plain.data == NULL || stars == NULL) {
        return AGG_NOMEM;
    }

    if (agg_gql_take_stars(text, &plain, stars) != AGG_OK
        && kind != AGG_TEMPLATE_URI)
    {
        err->text = "\"*\" is for query strings only";
        err->offset = 0;
        return AGG_INVALID;
    }

    rc = agg_template_parse(&raw, kind, &plain, mem, err);
    if (rc != AGG_OK) {
        return rc;
    }

    for (i = 0, pairs = 1; i < plain.len; i++) {
        pairs += (plain.data[i] == '&');
    }

    t->pieces = mem->alloc(mem->ctx,
                           (raw.npieces + pairs) * sizeof(agg_gql_piece_t));
    if (t->pieces == NULL) {
        return AGG_NOMEM;
    }

    t->dynamic = raw.dynamic;

    return agg_gql_template_pairs(t, &raw, stars, err);
}


/* makes the pieces, and finds the pairs of the query string */

static agg_rc_e
agg_gql_template_pairs(agg_gql_template_t *t, const agg_template_t *raw,
    const u_char *stars, agg_error_t *err)
{
    int           whole;
    size_t        i, n;
    agg_str_t     open;
    agg_piece_t  *piece, *next;

    /* open: the beginning of a pair, a text that is not stored yet */

    open.len = 0;
    open.data = NULL;
    whole = 1;

    for (i = 0, n = 0; i < raw->npieces; i++) {
        piece = &raw->pieces[i];

        if (piece->kind == AGG_PIECE_TEXT && piece->args) {
            agg_gql_text_pairs(t, piece, &open, &whole);
            continue;
        }

        next = (i + 1 < raw->npieces) ? &raw->pieces[i + 1] : NULL;

        if (piece->kind != AGG_PIECE_TEXT && stars[n] && !piece->args) {
            err->text = "\"*\" is for query strings only";
            err->offset = piece->offset;
            return AGG_INVALID;
        }

        if (agg_gql_is_pair(&open, next)) {
            agg_gql_piece(t, piece, stars[n++]);
            t->pieces[t->npieces - 1].pair = open;
            t->pieces[t->npieces - 1].first = 1;
            open.len = 0;
            whole = 0;
            continue;
        }

        if (open.len != 0) {
            agg_gql_push(t, piece, open.data, open.len)->first = 1;
            open.len = 0;
            whole = 0;
        }

        if (piece->kind != AGG_PIECE_TEXT && stars[n]) {
            err->text = "\"*\" needs a pair \"name=${...*}\"";
            err->offset = piece->offset;
            return AGG_INVALID;
        }

        agg_gql_piece(t, piece, 0);

        if (piece->kind != AGG_PIECE_TEXT) {
            n++;
        }

        if (whole && piece->args && !piece->mark) {
            t->pieces[t->npieces - 1].first = 1;
            whole = 0;
        }
    }

    if (open.len != 0) {
        agg_gql_push(t, &raw->pieces[raw->npieces - 1], open.data,
                     open.len)->first = 1;
    }

    return AGG_OK;
}


/* whether the value after "name=" makes up the rest of the pair */

static int
agg_gql_is_pair(const agg_str_t *open, const agg_piece_t *next)
{
    return open->len > 1 && open->data[open->len - 1] == '='
           && (next == NULL
               || (next->kind == AGG_PIECE_TEXT && next->text.data[0] == '&'));
}


/*
 * Copies a text without the stars of "${...*}", and notes which values had one.
 * AGG_OK: none had.
 */

static agg_rc_e
agg_gql_take_stars(const agg_str_t *text, agg_str_t *plain, u_char *stars)
{
    int        quoted;
    size_t     i, n;
    u_char    *dst;
    unsigned   found;

    dst = plain->data;
    n = 0;
    found = 0;

    for (i = 0; i < text->len; i++) {
        *dst++ = text->data[i];

        if (text->data[i] != '$') {
            continue;
        }

        stars[n] = 0;

        if (i + 1 == text->len || text->data[i + 1] != '{') {
            n++;
            continue;
        }

        quoted = 0;

        for (i++; i < text->len && (text->data[i] != '}' || quoted); i++) {

            if (text->data[i] == '"') {
                quoted = !quoted;
            }

            if (text->data[i] == '*' && i + 1 < text->len
                && text->data[i + 1] == '}' && text->data[i - 1] != '.')
            {
                stars[n] = 1;
                found = 1;
                continue;
            }

            *dst++ = text->data[i];
        }

        if (i < text->len) {
            *dst++ = '}';
        }

        n++;
    }

    plain->len = (size_t) (dst - plain->data);

    return found ? AGG_INVALID : AGG_OK;
}


/* splits the texts of a query string where pairs begin */

static void
agg_gql_text_pairs(agg_gql_template_t *t, const agg_piece_t *piece,
    agg_str_t *open, int *whole)
{
    u_char  *p, *last, *end;

    p = piece->text.data;
    last = p + piece->text.len;

    while (p < last) {

        if (*p == '&') {
            if (open->len != 0) {
                agg_gql_push(t, piece, open->data, open->len)->first = 1;
                open->len = 0;
            }

            *whole = 1;
            p++;
            continue;
        }

        end = memchr(p, '&', (size_t) (last - p));

        if (end == NULL) {
            end = last;
        }

        if (*whole) {
            open->data = p;
            open->len = (size_t) (end - p);
            *whole = 0;

        } else {
            agg_gql_push(t, piece, p, (size_t) (end - p));
        }

        p = end;
    }
}


static void
agg_gql_piece(agg_gql_template_t *t, const agg_piece_t *piece,
    unsigned repeat)
{
    agg_gql_piece_t  *p;

    p = agg_gql_push(t, piece, piece->text.data, piece->text.len);

    p->repeat = repeat;

#define agg_gql_text_is(s, lit)                                              \
    ((s)->len == sizeof(lit) - 1 && memcmp((s)->data, lit, (s)->len) == 0)

    switch (piece->kind) {

    case AGG_PIECE_TEXT:
        break;

    case AGG_PIECE_VARIABLE:
        p->kind = AGG_GQL_PIECE_VARIABLE;

        if (agg_gql_text_is(&piece->text, "keys")) {
            p->kind = AGG_GQL_PIECE_KEYS;
            t->keys = 1;
        }

        break;

    default: /* AGG_PIECE_PART */

        p->kind = agg_gql_text_is(&piece->text, "args")
                  ? AGG_GQL_PIECE_ARGS
                  : agg_gql_text_is(&piece->text, "parent")
                    ? AGG_GQL_PIECE_PARENT : AGG_GQL_PIECE_TYPE;
    }
}


static agg_gql_piece_t *
agg_gql_push(agg_gql_template_t *t, const agg_piece_t *piece, const u_char *p,
    size_t len)
{
    agg_gql_piece_t  *dst;

    dst = &t->pieces[t->npieces++];

    memset(dst, 0, sizeof(agg_gql_piece_t));

    dst->kind = AGG_GQL_PIECE_TEXT;
    dst->piece = *piece;
    dst->piece.text.data = (u_char *) p;
    dst->piece.text.len = len;

    t->length += len + 1;

    return dst;
}


agg_gql_render_e
agg_gql_render_uri(const agg_gql_template_t *t, const agg_str_t *values,
    agg_mem_t *mem, agg_buf_t *path, agg_buf_t *args)
{
    size_t                  i;
    agg_buf_t              *out;
    agg_gql_render_e        rc;
    const agg_gql_piece_t  *piece;

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];
        out = piece->piece.args ? args : path;

        if (piece->kind != AGG_GQL_PIECE_TEXT) {

            if (piece->piece.mark) {
                continue;
            }

            rc = agg_gql_render_value(piece, &values[i], mem, out,
                                      agg_buf_used(args) != 0);

        } else {

            rc = (piece->first && agg_buf_used(args) != 0)
                 ? agg_gql_put(out, "&", 1) : AGG_GQL_RENDERED;

            if (rc == AGG_GQL_RENDERED) {
                rc = agg_gql_put(out, piece->piece.text.data,
                                 piece->piece.text.len);
            }
        }

        if (rc != AGG_GQL_RENDERED) {
            return rc;
        }
    }

    return AGG_GQL_RENDERED;
}


/* separate: the query string is not empty */

static agg_gql_render_e
agg_gql_render_value(const agg_gql_piece_t *piece, const agg_str_t *value,
    agg_mem_t *mem, agg_buf_t *out, int separate)
{
    agg_kind_e        kind;
    agg_gql_render_e  rc;

    separate = (separate && piece->first);

    if (piece->kind != AGG_GQL_PIECE_VARIABLE) {
        kind = (value->data == NULL) ? AGG_NONE : agg_json_kind(value);

        if ((kind == AGG_NONE || kind == AGG_NULL) && piece->pair.len != 0) {
            return AGG_GQL_RENDERED;
        }

        if (kind == AGG_ARRAY && piece->piece.args) {
            return agg_gql_render_list(piece, value, mem, out, separate);
        }
    }

    rc = separate ? agg_gql_put(out, "&", 1) : AGG_GQL_RENDERED;

    if (rc == AGG_GQL_RENDERED) {
        rc = agg_gql_put(out, piece->pair.data, piece->pair.len);
    }

    return (rc == AGG_GQL_RENDERED)
           ? agg_gql_render_plain(piece, value, mem, out) : rc;
}


static agg_gql_render_e
agg_gql_render_list(const agg_gql_piece_t *piece, const agg_str_t *value,
    agg_mem_t *mem, agg_buf_t *out, int separate)
{
    size_t            n;
    agg_iter_t        it;
    agg_gql_render_e  rc;

    agg_iter_init(&it, value);

    n = 0;

    while (agg_iter_next(&it)) {

        if (agg_json_kind(&it.value) == AGG_NULL) {
            continue;
        }

        rc = AGG_GQL_RENDERED;

        if (n != 0 && !piece->repeat) {
            rc = agg_gql_put(out, ",", 1);

        } else {
            if (separate || n != 0) {
                rc = agg_gql_put(out, "&", 1);
            }

            if (rc == AGG_GQL_RENDERED) {
                rc = agg_gql_put(out, piece->pair.data, piece->pair.len);
            }
        }

        if (rc == AGG_GQL_RENDERED) {
            rc = agg_gql_render_plain(piece, &it.value, mem, out);
        }

        if (rc != AGG_GQL_RENDERED) {
            return rc;
        }

        n++;
    }

    return AGG_GQL_RENDERED;
}


static agg_gql_render_e
agg_gql_render_plain(const agg_gql_piece_t *piece, const agg_str_t *value,
    agg_mem_t *mem, agg_buf_t *out)
{
    agg_str_t  plain;

    if (piece->kind == AGG_GQL_PIECE_VARIABLE) {
        plain = *value;

    } else {
        switch (agg_gql_plain(value, mem, &plain)) {

        case AGG_OK:
            break;

        case AGG_NOT_FOUND:
            return AGG_GQL_DEPENDENCY;

        case AGG_INVALID:
            return AGG_GQL_BAD_URI;

        default:
            return AGG_GQL_RENDER_NOMEM;
        }
    }

    return agg_gql_render_bytes(piece, &plain, mem, out);
}


static agg_gql_render_e
agg_gql_render_bytes(const agg_gql_piece_t *piece, const agg_str_t *value,
    agg_mem_t *mem, agg_buf_t *out)
{
    u_char    *last, *p;
    agg_rc_e   rc;

    rc = agg_buf_reserve(out, 3 * value->len);

    if (rc == AGG_TOO_LARGE && value->len <= out->max) {

        /* there may be room, if few of the bytes are encoded */

        p = mem->alloc(mem->ctx, 3 * value->len);
        if (p == NULL) {
            return AGG_GQL_RENDER_NOMEM;
        }

        last = agg_uri_value(p, &piece->piece, value);

        return (last == NULL) ? AGG_GQL_BAD_URI
                              : agg_gql_put(out, p, (size_t) (last - p));
    }

    if (rc != AGG_OK) {
        return agg_gql_render_rc(rc);
    }

    if (out->pos == NULL) {

        /* an empty value, and no buffer was needed */

        return piece->piece.args ? AGG_GQL_RENDERED : AGG_GQL_BAD_URI;
    }

    last = agg_uri_value(out->pos, &piece->piece, value);
    if (last == NULL) {
        return AGG_GQL_BAD_URI;
    }

    out->pos = last;

    return AGG_GQL_RENDERED;
}


agg_rc_e
agg_gql_plain(const agg_str_t *json, agg_mem_t *mem, agg_str_t *plain)
{
    ssize_t    n;
    agg_str_t  raw;

    if (json->data == NULL) {
        return AGG_NOT_FOUND;
    }

    switch (agg_json_kind(json)) {

    case AGG_NUMBER:
    case AGG_TRUE:
    case AGG_FALSE:
        *plain = *json;
        return AGG_OK;

    case AGG_STRING:
        break;

    default:
        return AGG_NOT_FOUND;
    }

    raw.data = json->data + 1;
    raw.len = json->len - 2;

    if (raw.len == 0 || memchr(raw.data, '\\', raw.len) == NULL) {
        *plain = raw;
        return AGG_OK;
    }

    plain->data = mem->alloc(mem->ctx, raw.len);
    if (plain->data == NULL) {
        return AGG_NOMEM;
    }

    n = agg_json_unescape(plain->data, &raw);
    if (n < 0) {
        return AGG_INVALID;
    }

    plain->len = (size_t) n;

    return AGG_OK;
}


agg_gql_render_e
agg_gql_render_header(const agg_gql_template_t *t, const agg_str_t *values,
    agg_mem_t *mem, agg_buf_t *out)
{
    size_t                  i;
    agg_str_t               plain;
    agg_gql_render_e        rc;
    const agg_gql_piece_t  *piece;

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];

        if (piece->kind == AGG_GQL_PIECE_TEXT) {
            plain = piece->piece.text;

        } else if (piece->kind == AGG_GQL_PIECE_VARIABLE) {
            plain = values[i];

        } else {

            switch (agg_gql_plain(&values[i], mem, &plain)) {

            case AGG_OK:
                break;

            case AGG_NOT_FOUND:
                return AGG_GQL_DEPENDENCY;

            case AGG_INVALID:
                return AGG_GQL_BAD_URI;

            default:
                return AGG_GQL_RENDER_NOMEM;
            }
        }

        if (!agg_header_value_valid(&plain)) {
            return AGG_GQL_BAD_URI;
        }

        rc = agg_gql_put(out, plain.data, plain.len);
        if (rc != AGG_GQL_RENDERED) {
            return rc;
        }
    }

    return AGG_GQL_RENDERED;
}


agg_gql_render_e
agg_gql_render_body(const agg_gql_template_t *t, const agg_str_t *values,
    agg_buf_t *out)
{
    size_t                  i;
    agg_rc_e                rc;
    const agg_gql_piece_t  *piece;

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];

        if (piece->kind == AGG_GQL_PIECE_TEXT) {
            rc = agg_buf_append(out, piece->piece.text.data,
                                piece->piece.text.len);

        } else if (piece->kind == AGG_GQL_PIECE_VARIABLE) {
            rc = agg_json_escape(out, values[i].data, values[i].len);

        } else if (values[i].data == NULL) {
            rc = agg_buf_append(out, "null", 4);

        } else {
            rc = agg_buf_append(out, values[i].data, values[i].len);
        }

        if (rc != AGG_OK) {
            return agg_gql_render_rc(rc);
        }
    }

    return AGG_GQL_RENDERED;
}


static agg_gql_render_e
agg_gql_put(agg_buf_t *out, const void *p, size_t n)
{
    return agg_gql_render_rc(agg_buf_append(out, p, n));
}


static agg_gql_render_e
agg_gql_render_rc(agg_rc_e rc)
{
    return (rc == AGG_OK) ? AGG_GQL_RENDERED
           : (rc == AGG_TOO_LARGE) ? AGG_GQL_RENDER_LARGE
                                   : AGG_GQL_RENDER_NOMEM;
}
