
/*
 * The lexer.  The source is valid UTF-8, so a non-ASCII character needs no
 * check in a string or in a comment, and is an error elsewhere.
 */


#include "agg_gql_lex.h"


static uint32_t agg_gql_lex_ignored(const agg_gql_source_t *source,
    uint32_t pos);
static agg_rc_e agg_gql_lex_token(agg_gql_lexer_t *lexer, unsigned kind,
    uint32_t start, uint32_t end);
static agg_rc_e agg_gql_lex_number(agg_gql_lexer_t *lexer, uint32_t pos);
static agg_rc_e agg_gql_lex_digits(agg_gql_lexer_t *lexer, uint32_t *pos);
static agg_rc_e agg_gql_lex_quoted(agg_gql_lexer_t *lexer, uint32_t pos);
static agg_rc_e agg_gql_lex_block(agg_gql_lexer_t *lexer, uint32_t pos);
static agg_rc_e agg_gql_lex_unexpected(agg_gql_lexer_t *lexer, uint32_t pos);
static agg_rc_e agg_gql_lex_character(agg_gql_lexer_t *lexer, uint32_t pos,
    const char *text);
static agg_rc_e agg_gql_lex_bad_escape(agg_gql_lexer_t *lexer, uint32_t pos,
    const char *text, unsigned length);
static unsigned agg_gql_unicode(const u_char *p, const u_char *end,
    uint32_t *code, unsigned *shown);
static u_char *agg_gql_put_utf8(u_char *dst, uint32_t code);
static size_t agg_gql_block_value(u_char *dst, const u_char *p,
    const u_char *end);
static size_t agg_gql_block_lines(u_char *dst, const u_char *p,
    const u_char *end, size_t indent, size_t first, size_t last);


#define agg_gql_is_digit(c)  ((u_char) ((c) - '0') <= 9)

#define agg_gql_is_letter(c)                                                 \
    ((u_char) (((c) | 0x20) - 'a') <= 25 || (c) == '_')

/* the byte at a position; 0 at the end, as no token contains a NUL */

#define agg_gql_at(source, pos)                                              \
    ((pos) < (source)->text.len ? (source)->text.data[pos] : 0)

#define agg_gql_is_scalar(code)                                              \
    ((code) <= 0x10ffff && ((code) & 0x1ff800) != 0xd800)


agg_rc_e
agg_gql_lex_init(agg_gql_lexer_t *lexer, const agg_gql_source_t *source,
    agg_gql_errors_t *errors)
{
    size_t         n;
    const u_char  *p, *end;

    lexer->source = source;
    lexer->pos = 0;
    lexer->errors = errors;
    memset(&lexer->token, 0, sizeof(agg_gql_token_t));

    if (source->text.len > AGG_GQL_MAX_SOURCE) {
        return agg_gql_syntax(errors, source, 0, "The source is too large.",
                              NULL, "");
    }

    p = source->text.data;
    end = p + source->text.len;

    if (agg_utf8_valid(p, source->text.len)) {
        return AGG_OK;
    }

    /* finds the first invalid character */

    for ( ;; ) {
        n = (*p < 0x80) ? 1 : (*p < 0xe0) ? 2 : (*p < 0xf0) ? 3 : 4;

        if ((size_t) (end - p) < n || !agg_utf8_valid(p, n)) {
            break;
        }

        p += n;
    }

    return agg_gql_syntax(errors, source,
                          (uint32_t) (p - source->text.data),
                          "The source is not valid UTF-8.", NULL, "");
}


agg_rc_e
agg_gql_lex_next(agg_gql_lexer_t *lexer)
{
    u_char                   c;
    uint32_t                 pos, start;
    const agg_gql_source_t  *source;

    source = lexer->source;
    pos = agg_gql_lex_ignored(source, lexer->pos);

    if (pos >= source->text.len) {
        pos = (uint32_t) source->text.len;
        return agg_gql_lex_token(lexer, AGG_GQL_TOKEN_EOF, pos, pos);
    }

    c = source->text.data[pos];

    if (agg_gql_is_letter(c)) {
        start = pos;

        do {
            pos++;
            c = agg_gql_at(source, pos);
        } while (agg_gql_is_letter(c) || agg_gql_is_digit(c));

        return agg_gql_lex_token(lexer, AGG_GQL_TOKEN_NAME, start, pos);
    }

    if (agg_gql_is_digit(c) || c == '-') {
        return agg_gql_lex_number(lexer, pos);
    }

    switch (c) {

    case '.':
        if (agg_gql_at(source, pos + 1) != '.'
            || agg_gql_at(source, pos + 2) != '.')
        {
            return agg_gql_lex_unexpected(lexer, pos);
        }

        return agg_gql_lex_token(lexer, AGG_GQL_TOKEN_SPREAD, pos, pos + 3);

    case '!':
    case '$':
    case '&':
    case '(':
    case ')':
    case ':':
    case '=':
    case '@':
    case '[':
    case ']':
    case '{':
    case '|':
    case '}':
        return agg_gql_lex_token(lexer, c, pos, pos + 1);

    case '"':
        if (agg_gql_at(source, pos + 1) == '"'
            && agg_gql_at(source, pos + 2) == '"')
        {
            return agg_gql_lex_block(lexer, pos);
        }

        return agg_gql_lex_quoted(lexer, pos);

    default:
        return agg_gql_lex_unexpected(lexer, pos);
    }
}


/* skips blanks, commas, comments and byte-order marks */

static uint32_t
agg_gql_lex_ignored(const agg_gql_source_t *source, uint32_t pos)
{
    u_char  c;

    while (pos < source->text.len) {

        switch (source->text.data[pos]) {

        case ' ':
        case '\t':
        case ',':
        case '\n':
        case '\r':
            pos++;
            break;

        case 0xef:
            if (agg_gql_at(source, pos + 1) != 0xbb
                || agg_gql_at(source, pos + 2) != 0xbf)
            {
                return pos;
            }

            pos += 3;
            break;

        case '#':
            do {
                pos++;
                c = agg_gql_at(source, pos);
            } while (pos < source->text.len && c != '\n' && c != '\r');

            break;

        default:
            return pos;
        }
    }

    return pos;
}


static agg_rc_e
agg_gql_lex_token(agg_gql_lexer_t *lexer, unsigned kind, uint32_t start,
    uint32_t end)
{
    lexer->token.kind = (u_char) kind;
    lexer->token.start = start;
    lexer->token.end = end;
    lexer->pos = end;

    return AGG_OK;
}


static agg_rc_e
agg_gql_lex_number(agg_gql_lexer_t *lexer, uint32_t pos)
{
    u_char                   c;
    agg_rc_e                 rc;
    const agg_gql_source_t  *source;

    source = lexer->source;
    lexer->token.kind = AGG_GQL_TOKEN_INT;
    lexer->token.start = pos;

    if (agg_gql_at(source, pos) == '-') {
        pos++;
    }

    if (agg_gql_at(source, pos) == '0') {
        pos++;

        if (agg_gql_is_digit(agg_gql_at(source, pos))) {
            return agg_gql_lex_character(lexer, pos,
                                 "Invalid number, unexpected digit after 0: ");
        }

    } else {
        rc = agg_gql_lex_digits(lexer, &pos);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    if (agg_gql_at(source, pos) == '.') {
        lexer->token.kind = AGG_GQL_TOKEN_FLOAT;
        pos++;

        rc = agg_gql_lex_digits(lexer, &pos);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    c = agg_gql_at(source, pos);

    if (c == 'e' || c == 'E') {
        lexer->token.kind = AGG_GQL_TOKEN_FLOAT;
        pos++;

        c = agg_gql_at(source, pos);
        if (c == '+' || c == '-') {
            pos++;
        }

        rc = agg_gql_lex_digits(lexer, &pos);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    c = agg_gql_at(source, pos);

    if (c == '.' || agg_gql_is_letter(c)) {
        return agg_gql_lex_character(lexer, pos,
                                 "Invalid number, expected digit but got: ");
    }

    lexer->token.end = pos;
    lexer->pos = pos;

    return AGG_OK;
}


static agg_rc_e
agg_gql_lex_digits(agg_gql_lexer_t *lexer, uint32_t *pos)
{
    if (!agg_gql_is_digit(agg_gql_at(lexer->source, *pos))) {
        return agg_gql_lex_character(lexer, *pos,
                                 "Invalid number, expected digit but got: ");
    }

    do {
        (*pos)++;
    } while (agg_gql_is_digit(agg_gql_at(lexer->source, *pos)));

    return AGG_OK;
}


static agg_rc_e
agg_gql_lex_quoted(agg_gql_lexer_t *lexer, uint32_t pos)
{
    u_char         c;
    unsigned       size, shown;
    uint32_t       code;
    const u_char  *start, *end;

    start = lexer->source->text.data;
    end = start + lexer->source->text.len;

    lexer->token.kind = AGG_GQL_TOKEN_STRING;
    lexer->token.start = pos;

    pos++;

    while (start + pos < end) {
        c = start[pos];

        if (c == '"') {
            lexer->token.end = pos + 1;
            lexer->pos = pos + 1;
            return AGG_OK;
        }

        if (c == '\n' || c == '\r') {
            break;
        }

        if (c != '\\') {
            pos++;
            continue;
        }

        c = agg_gql_at(lexer->source, pos + 1);

        if (c == 'u') {
            size = agg_gql_unicode(start + pos, end, &code, &shown);

            if (size == 0) {
                return agg_gql_lex_bad_escape(lexer, pos,
                                "Invalid Unicode escape sequence: \"", shown);
            }

            pos += size;
            continue;
        }

        if (c == 0 || strchr("\"\\/bfnrt", c) == NULL) {
            return agg_gql_lex_bad_escape(lexer, pos,
                                "Invalid character escape sequence: \"", 2);
        }

        pos += 2;
    }

    return agg_gql_syntax(lexer->errors, lexer->source, pos,
                          "Unterminated string.", NULL, "");
}


static agg_rc_e
agg_gql_lex_block(agg_gql_lexer_t *lexer, uint32_t pos)
{
    size_t         len;
    const u_char  *start;

    start = lexer->source->text.data;
    len = lexer->source->text.len;

    lexer->token.kind = AGG_GQL_TOKEN_BLOCK;
    lexer->token.start = pos;

    pos += 3;

    while (pos < len) {

        if (start[pos] == '"' && len - pos >= 3
            && memcmp(start + pos, "\"\"\"", 3) == 0)
        {
            lexer->token.end = pos + 3;
            lexer->pos = pos + 3;
            return AGG_OK;
        }

        if (start[pos] == '\\' && len - pos >= 4
            && memcmp(start + pos, "\\\"\"\"", 4) == 0)
        {
            pos += 4;
            continue;
        }

        pos++;
    }

    return agg_gql_syntax(lexer->errors, lexer->source, (uint32_t) len,
                          "Unterminated string.", NULL, "");
}


static agg_rc_e
agg_gql_lex_unexpected(agg_gql_lexer_t *lexer, uint32_t pos)
{
    if (agg_gql_at(lexer->source, pos) == '\'') {
        return agg_gql_syntax(lexer->errors, lexer->source, pos,
                              "Unexpected single quote character ('), "
                              "did you mean to use a double quote (\")?",
                              NULL, "");
    }

    return agg_gql_lex_character(lexer, pos, "Unexpected character: ");
}


/* reports a character, as graphql-js shows it: "a", U+00E9 or <EOF> */

static agg_rc_e
agg_gql_lex_character(agg_gql_lexer_t *lexer, uint32_t pos, const char *text)
{
    u_char         buf[16];
    unsigned       n, shift;
    uint32_t       code;
    agg_str_t      shown;
    const u_char  *p;

    p = lexer->source->text.data + pos;

    if (pos >= lexer->source->text.len) {
        shown.data = (u_char *) "<EOF>";
        shown.len = 5;

    } else if (*p >= 0x20 && *p <= 0x7e) {
        buf[0] = (*p == '"') ? '\'' : '"';
        buf[1] = *p;
        buf[2] = buf[0];
        shown.data = buf;
        shown.len = 3;

    } else {

        if (*p < 0x80) {
            code = *p;

        } else if (*p < 0xe0) {
            code = (*p & 0x1fu) << 6 | (p[1] & 0x3fu);

        } else if (*p < 0xf0) {
            code = (*p & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);

        } else {
            code = (*p & 0x07u) << 18 | (p[1] & 0x3fu) << 12
                   | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
        }

        buf[0] = 'U';
        buf[1] = '+';
        n = 2;

        for (shift = (code > 0xfffff) ? 20 : (code > 0xffff) ? 16 : 12;
             /* void */ ;
             shift -= 4)
        {
            buf[n++] = (u_char) "0123456789ABCDEF"[(code >> shift) & 0xf];

            if (shift == 0) {
                break;
            }
        }

        shown.data = buf;
        shown.len = n;
    }

    return agg_gql_syntax(lexer->errors, lexer->source, pos, text, &shown,
                          ".");
}


/* reports an escape, with this many UTF-16 units of the source */

static agg_rc_e
agg_gql_lex_bad_escape(agg_gql_lexer_t *lexer, uint32_t pos, const char *text,
    unsigned length)
{
    u_char         c;
    agg_str_t      shown;
    const u_char  *p, *end;

    p = lexer->source->text.data + pos;
    end = lexer->source->text.data + lexer->source->text.len;

    shown.data = (u_char *) p;

    while (p < end) {
        c = *p;

        if ((c & 0xc0) != 0x80) {

            if (length == 0) {
                break;
            }

            length--;

            if (c >= 0xf0 && length != 0) {
                length--;
            }
        }

        p++;
    }

    shown.len = (size_t) (p - shown.data);

    return agg_gql_syntax(lexer->errors, lexer->source, pos, text, &shown,
                          "\".");
}


static int
agg_gql_hex(const u_char *p, const u_char *end)
{
    u_char  c;

    if (p >= end) {
        return -1;
    }

    if (agg_gql_is_digit(*p)) {
        return *p - '0';
    }

    c = *p | 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


static int
agg_gql_hex4(const u_char *p, const u_char *end)
{
    int       digit;
    unsigned  i, code;

    code = 0;

    for (i = 0; i < 4; i++) {
        digit = agg_gql_hex(p + i, end);
        if (digit < 0) {
            return -1;
        }

        code = code << 4 | (unsigned) digit;
    }

    return (int) code;
}


/*
 * Returns the length of the escape \uXXXX, \uD8XX\uDCXX or \u{X...} at p, with
 * its code point; or 0, with the length of what is to be shown.
 */

static unsigned
agg_gql_unicode(const u_char *p, const u_char *end, uint32_t *code,
    unsigned *shown)
{
    int       digit, high, low;
    unsigned  size;
    uint32_t  point;

    if (end - p > 2 && p[2] == '{') {
        point = 0;
        size = 3;

        while (size < 12) {
            digit = agg_gql_hex(p + size, end);
            size++;

            if (digit < 0) {

                if (p + size <= end && p[size - 1] == '}' && size >= 5
                    && agg_gql_is_scalar(point))
                {
                    *code = point;
                    return size;
                }

                break;
            }

            point = point << 4 | (uint32_t) digit;

            if (point >= 0x80000000) {
                break;
            }
        }

        *shown = size;
        return 0;
    }

    *shown = 6;
    high = agg_gql_hex4(p + 2, end);

    if (high < 0) {
        return 0;
    }

    if (agg_gql_is_scalar((unsigned) high)) {
        *code = (uint32_t) high;
        return 6;
    }

    if (high > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u') {
        return 0;
    }

    low = agg_gql_hex4(p + 8, end);

    if (low < 0xdc00 || low > 0xdfff) {
        return 0;
    }

    *code = 0x10000 + ((uint32_t) (high & 0x3ff) << 10) + (low & 0x3ff);

    return 12;
}


static u_char *
agg_gql_put_utf8(u_char *dst, uint32_t code)
{
    if (code < 0x80) {
        *dst++ = (u_char) code;
        return dst;
    }

    if (code < 0x800) {
        *dst++ = (u_char) (0xc0 | code >> 6);

    } else {

        if (code < 0x10000) {
            *dst++ = (u_char) (0xe0 | code >> 12);

        } else {
            *dst++ = (u_char) (0xf0 | code >> 18);
            *dst++ = (u_char) (0x80 | (code >> 12 & 0x3f));
        }

        *dst++ = (u_char) (0x80 | (code >> 6 & 0x3f));
    }

    *dst++ = (u_char) (0x80 | (code & 0x3f));

    return dst;
}


agg_rc_e
agg_gql_lex_string(const agg_gql_source_t *source,
    const agg_gql_token_t *token, agg_mem_t *mem, agg_str_t *value)
{
    u_char        *dst;
    unsigned       size, shown;
    uint32_t       code;
    const char    *from;
    const u_char  *p, *end;

    p = source->text.data + token->start + 1;
    end = source->text.data + token->end - 1;

    if (token->kind == AGG_GQL_TOKEN_STRING
        && memchr(p, '\\', (size_t) (end - p)) == NULL)
    {
        value->data = (u_char *) p;
        value->len = (size_t) (end - p);
        return AGG_OK;
    }

    dst = mem->alloc(mem->ctx, (size_t) (end - p) + 1);
    if (dst == NULL) {
        return AGG_NOMEM;
    }

    value->data = dst;

    if (token->kind == AGG_GQL_TOKEN_BLOCK) {
        value->len = agg_gql_block_value(dst, p + 2, end - 2);
        return AGG_OK;
    }

    while (p < end) {

        if (*p != '\\') {
            *dst++ = *p++;
            continue;
        }

        if (p[1] == 'u') {
            code = 0;
            size = agg_gql_unicode(p, end, &code, &shown);
            dst = agg_gql_put_utf8(dst, code);
            p += size;
            continue;
        }

        from = strchr("b\bf\fn\nr\rt\t", p[1]);
        *dst++ = (from != NULL) ? (u_char) from[1] : p[1];
        p += 2;
    }

    value->len = (size_t) (dst - value->data);

    return AGG_OK;
}


/* the end of a line of a block string, and the start of the next one */

static const u_char *
agg_gql_line_end(const u_char *p, const u_char *end, const u_char **next)
{
    while (p < end && *p != '\n' && *p != '\r') {
        p++;
    }

    *next = p;

    if (p < end) {
        *next = p + 1 + (*p == '\r' && p + 1 < end && p[1] == '\n');
    }

    return p;
}


/*
 * BlockStringValue() of the specification: removes the common indentation of
 * all lines, and blank lines at both ends.
 */

static size_t
agg_gql_block_value(u_char *dst, const u_char *p, const u_char *end)
{
    size_t         indent, common, line, first, last;
    const u_char  *eol, *next, *start;

    common = (size_t) -1;
    first = (size_t) -1;
    last = 0;
    start = p;

    for (line = 0; /* void */ ; line++) {
        eol = agg_gql_line_end(p, end, &next);

        for (indent = 0; p + indent < eol; indent++) {
            if (p[indent] != ' ' && p[indent] != '\t') {
                break;
            }
        }

        if (p + indent != eol) {

            if (first == (size_t) -1) {
                first = line;
            }

            last = line;

            if (line != 0 && indent < common) {
                common = indent;
            }
        }

        if (eol == end) {
            break;
        }

        p = next;
    }

    if (first == (size_t) -1) {
        return 0;
    }

    return agg_gql_block_lines(dst, start, end, common, first, last);
}


static size_t
agg_gql_block_lines(u_char *dst, const u_char *p, const u_char *end,
    size_t indent, size_t first, size_t last)
{
    u_char        *start;
    size_t         line;
    const u_char  *eol, *next;

    start = dst;

    for (line = 0; line <= last; line++) {
        eol = agg_gql_line_end(p, end, &next);

        if (line >= first) {

            if (line != first) {
                *dst++ = '\n';
            }

            if (line != 0) {
                p = ((size_t) (eol - p) < indent) ? eol : p + indent;
            }

            while (p < eol) {

                if (*p == '\\' && eol - p >= 4
                    && memcmp(p, "\\\"\"\"", 4) == 0)
                {
                    memcpy(dst, "\"\"\"", 3);
                    dst += 3;
                    p += 4;
                    continue;
                }

                *dst++ = *p++;
            }
        }

        p = next;
    }

    return (size_t) (dst - start);
}


agg_rc_e
agg_gql_syntax(agg_gql_errors_t *errors, const agg_gql_source_t *source,
    uint32_t offset, const char *text, const agg_str_t *detail,
    const char *rest)
{
    agg_str_t  none = { 0, NULL };

    return agg_gql_error(errors, AGG_GQL_PARSE_FAILED, source, &offset, 1,
                         "Syntax Error: %s%V%s", text,
                         (detail != NULL) ? detail : &none, rest);
}


agg_rc_e
agg_gql_token_text(const agg_gql_source_t *source,
    const agg_gql_token_t *token, agg_mem_t *mem, agg_str_t *text)
{
    char        punctuator[2];
    agg_rc_e    rc;
    agg_buf_t   b;
    agg_str_t   value;
    const char  *kind;

    switch (token->kind) {

    case AGG_GQL_TOKEN_EOF:
        text->data = (u_char *) "<EOF>";
        text->len = 5;
        return AGG_OK;

    case AGG_GQL_TOKEN_NAME:
        kind = "Name";
        break;

    case AGG_GQL_TOKEN_INT:
        kind = "Int";
        break;

    case AGG_GQL_TOKEN_FLOAT:
        kind = "Float";
        break;

    case AGG_GQL_TOKEN_STRING:
        kind = "String";
        break;

    case AGG_GQL_TOKEN_BLOCK:
        kind = "BlockString";
        break;

    case AGG_GQL_TOKEN_SPREAD:
        text->data = (u_char *) "\"...\"";
        text->len = 5;
        return AGG_OK;

    default:
        punctuator[0] = (char) token->kind;
        punctuator[1] = '\0';
        kind = punctuator;
    }

    agg_gql_token_str(source, token, &value);

    if (token->kind == AGG_GQL_TOKEN_STRING
        || token->kind == AGG_GQL_TOKEN_BLOCK)
    {
        rc = agg_gql_lex_string(source, token, mem, &value);
        if (rc != AGG_OK) {
            return rc;
        }
    }

    agg_buf_init(&b, mem, AGG_GQL_MAX_SOURCE + 64);

    if (kind != punctuator) {
        rc = agg_gql_put(&b, "%s \"%V\"", kind, &value);

    } else {
        rc = agg_gql_put(&b, "\"%s\"", kind);
    }

    text->data = b.start;
    text->len = agg_buf_used(&b);

    return rc;
}
