
/* Paths: parsing, and lookup of the value at a path. */


#include <stdio.h>

#include "agg_path.h"
#include "agg_scan.h"


static int agg_path_foreign(const agg_str_t *text, agg_error_t *err);
static size_t agg_path_respell(u_char *dst, size_t size,
    const agg_str_t *text);
static void agg_path_meant(agg_error_t *err, size_t offset, const char *what,
    const unsigned char *meant, size_t len);
static agg_rc_e agg_path_step(agg_step_t *step, const agg_str_t *text,
    size_t *pos, agg_error_t *err);
static agg_rc_e agg_path_bracket(agg_step_t *step, const agg_str_t *text,
    size_t *pos, agg_error_t *err);
static agg_rc_e agg_path_quoted(agg_step_t *step, const agg_str_t *text,
    size_t *pos, agg_error_t *err);
static agg_path_t *agg_path_keep(agg_mem_t *mem, const agg_str_t *text,
    const agg_step_t *steps, unsigned n, agg_error_t *err);
static int agg_path_element(agg_iter_t *it, long index);


#define agg_is_key(c)                                                        \
    (agg_is_digit(c) || (u_char) (((c) | 0x20) - 'a') <= 25                  \
     || (c) == '_' || (c) == '$' || (c) == '@' || (c) == '-')


static inline agg_rc_e
agg_path_error(agg_error_t *err, size_t offset, const char *text)
{
    err->offset = offset;
    err->text = text;

    return AGG_INVALID;
}


agg_path_t *
agg_path_parse(agg_mem_t *mem, const agg_str_t *text, unsigned flags,
    agg_error_t *err)
{
    size_t       pos, start;
    unsigned     n;
    agg_step_t   steps[AGG_PATH_MAX_STEPS], *step;

    pos = 0;
    n = 0;

    if (text->len == 0 && !(flags & AGG_PATH_EMPTY_OK)) {
        agg_path_error(err, 0, "empty path");
        return NULL;
    }

    if (agg_path_foreign(text, err)) {
        return NULL;
    }

    if (text->len != 0 && text->data[0] == '.') {
        pos = 1;

        if (text->len == 1 && !(flags & AGG_PATH_ROOT_OK)) {
            agg_path_error(err, 0, "the whole document is not allowed here");
            return NULL;
        }
    }

    while (pos < text->len) {

        if (n == AGG_PATH_MAX_STEPS) {
            agg_path_error(err, pos, "too many steps");
            return NULL;
        }

        start = pos;

        if (n != 0 && text->data[pos] == '.') {
            pos++;

        } else if (n != 0 && text->data[pos] != '[') {
            agg_path_error(err, pos, "expected \".\" or \"[\"");
            return NULL;
        }

        step = &steps[n++];

        if (agg_path_step(step, text, &pos, err) != AGG_OK) {
            return NULL;
        }

        if ((flags & AGG_PATH_NO_WILDCARD)
            && (step->type == AGG_STEP_EACH || step->type == AGG_STEP_ANY))
        {
            agg_path_error(err, start, "a wildcard is not allowed here");
            return NULL;
        }
    }

    return agg_path_keep(mem, text, steps, n, err);
}


/* whether the text is a JSONPath: looks outside of quoted keys */

static int
agg_path_foreign(const agg_str_t *text, agg_error_t *err)
{
    size_t         i, start;
    u_char         meant[AGG_ERROR_TEXT];
    const char    *what;
    const u_char  *p;

    p = text->data;
    start = (text->len != 0 && p[0] == '.');
    what = NULL;

    for (i = start; i + 1 < text->len; i++) {

        if (p[i] == '"') {
            for (i++; i < text->len && p[i] != '"'; i++) {
                i += (p[i] == '\\');
            }

            continue;
        }

        if (i == start && (p[i] == '$' || p[i] == '@')
            && (p[i + 1] == '.' || p[i + 1] == '['))
        {
            what = "a path begins with its first key, not with the document";
            break;
        }

        if (p[i] == '.' && p[i + 1] == '.') {
            what = "there is no \"..\", each level is written";
            break;
        }

        if (p[i] == '[' && (p[i + 1] == '*' || p[i + 1] == '\''
                            || p[i + 1] == '"'))
        {
            what = "this is JSONPath";
            break;
        }
    }

    if (start == 1 && text->len > 1 && p[1] == '.') {
        what = "there is no \"..\", each level is written";
        i = 0;
    }

    if (what == NULL) {
        return 0;
    }

    agg_path_meant(err, i, what, meant,
                   agg_path_respell(meant, sizeof(meant), text));

    return 1;
}


/* writes the path in our spelling, truncated if there is no more room */

static size_t
agg_path_respell(u_char *dst, size_t size, const agg_str_t *text)
{
    size_t         n;
    u_char         quote;
    const u_char  *p, *end;

    n = 0;
    p = text->data;
    end = p + text->len;

    if (end - p > 1 && *p == '.' && (p[1] == '$' || p[1] == '@')) {
        p++;
    }

    if (p < end && (*p == '$' || *p == '@')) {
        p++;
    }

    /* a step adds at most three bytes to its text */

    while (p < end && n + 5 < size) {

        if (*p == '"') {
            do {
                if (*p == '\\' && end - p > 1) {
                    dst[n++] = *p++;
                }

                dst[n++] = *p++;

            } while (p < end && *p != '"' && n + 5 < size);

            if (p < end) {
                dst[n++] = *p++;
            }

            continue;
        }

        if (*p == '.') {
            p++;

            if (p < end && *p == '.') {
                p++;

                if (n != 0) {
                    dst[n++] = '.';
                }

                dst[n++] = '*';
            }

            if (n != 0 && p < end && *p != '[') {
                dst[n++] = '.';
            }

            continue;
        }

        if (*p == '[' && end - p > 2 && (p[1] == '\'' || p[1] == '"')) {
            quote = p[1];

            if (n != 0) {
                dst[n++] = '.';
            }

            dst[n++] = '"';

            for (p += 2; p < end && *p != quote && n + 5 < size; p++) {
                dst[n++] = *p;
            }

            dst[n++] = '"';
            p = (end - p > 2) ? p + 2 : end;

            continue;
        }

        if (*p == '[' && end - p > 1 && p[1] == '*') {
            dst[n++] = '[';
            p += 2;
            continue;
        }

        dst[n++] = *p++;
    }

    return n;
}


/*
 * Sets *err for a path in another spelling: "what" is wrong at the offset, and
 * "meant", with "len" bytes, is the right spelling.
 */

static void
agg_path_meant(agg_error_t *err, size_t offset, const char *what,
    const u_char *meant, size_t len)
{
    err->offset = offset;
    err->text = err->buf;

    (void) snprintf(err->buf, AGG_ERROR_TEXT, "%s, did you mean \"%.*s\"?",
                    what, (int) len, (const char *) meant);
}


static agg_rc_e
agg_path_step(agg_step_t *step, const agg_str_t *text, size_t *pos,
    agg_error_t *err)
{
    size_t  start;

    step->index = 0;
    step->name.len = 0;
    step->name.data = text->data;

    start = *pos;

    if (start == text->len) {
        return agg_path_error(err, start, "expected a key");
    }

    switch (text->data[start]) {

    case '[':
        return agg_path_bracket(step, text, pos, err);

    case '"':
        return agg_path_quoted(step, text, pos, err);

    case '*':
        step->type = AGG_STEP_ANY;
        (*pos)++;
        return AGG_OK;
    }

    while (*pos < text->len && agg_is_key(text->data[*pos])) {
        (*pos)++;
    }

    if (*pos == start) {
        return agg_path_error(err, start, "expected a key");
    }

    step->type = AGG_STEP_KEY;
    step->name.data = text->data + start;
    step->name.len = *pos - start;

    if (step->name.len > AGG_PATH_MAX_NAME) {
        return agg_path_error(err, start, "too long a key");
    }

    return AGG_OK;
}


static agg_rc_e
agg_path_bracket(agg_step_t *step, const agg_str_t *text, size_t *pos,
    agg_error_t *err)
{
    size_t  p, start;
    u_char  c;

    p = *pos + 1;

    if (p < text->len && text->data[p] == ']') {
        step->type = AGG_STEP_EACH;
        *pos = p + 1;
        return AGG_OK;
    }

    step->type = AGG_STEP_INDEX;

    c = (p < text->len) ? text->data[p] : '\0';

    if (c == '-') {
        p++;
    }

    for (start = p; p < text->len && agg_is_digit(text->data[p]); p++) {

        if (p - start == 9) {
            return agg_path_error(err, start, "too large a number");
        }

        step->index = step->index * 10 + (text->data[p] - '0');
    }

    if (p == start) {
        return agg_path_error(err, p, "expected a number");
    }

    if (p == text->len || text->data[p] != ']') {
        return agg_path_error(err, p, "expected \"]\"");
    }

    if (c == '-') {
        if (step->index == 0) {
            return agg_path_error(err, start, "there is no element -0");
        }

        step->index = -step->index;
    }

    *pos = p + 1;

    return AGG_OK;
}


/* the name still has its escapes, which are decoded when it is stored */

static agg_rc_e
agg_path_quoted(agg_step_t *step, const agg_str_t *text, size_t *pos,
    agg_error_t *err)
{
    agg_scan_t     s;
    const u_char  *p, *start, *end;

    start = text->data + *pos + 1;
    end = text->data + text->len;

    agg_scan_init(&s);
    agg_scan_start_string(&s, 0);

    p = agg_scan_value(&s, start, end);

    if (s.state == AGG_SCAN_ERROR) {
        return agg_path_error(err, (size_t) (p - text->data),
                              "invalid string");
    }

    if (s.state != AGG_SCAN_DONE) {
        return agg_path_error(err, *pos, "unclosed quote");
    }

    step->type = AGG_STEP_KEY;
    step->index = 1;
    step->name.data = (u_char *) start;
    step->name.len = (size_t) (p - start) - 1;

    if (step->name.len > AGG_PATH_MAX_NAME) {
        return agg_path_error(err, *pos, "too long a key");
    }

    *pos = (size_t) (p - text->data);

    return AGG_OK;
}


static agg_path_t *
agg_path_keep(agg_mem_t *mem, const agg_str_t *text, const agg_step_t *steps,
    unsigned n, agg_error_t *err)
{
    size_t       size;
    u_char      *p;
    unsigned     i;
    agg_path_t  *path;
    agg_step_t  *step;

    /* the names are not longer than the text */

    size = sizeof(agg_path_t) + n * sizeof(agg_step_t) + 2 * text->len;

    path = mem->alloc(mem->ctx, size);
    if (path == NULL) {
        agg_path_error(err, 0, "no memory");
        return NULL;
    }

    memset(path, 0, sizeof(agg_path_t));

    path->nsteps = n;
    path->steps = (agg_step_t *) (path + 1);

    p = (u_char *) (path->steps + n);

    path->text.data = p;
    path->text.len = text->len;

    if (text->len != 0) {
        memcpy(p, text->data, text->len);
        p += text->len;
    }

    for (i = 0; i < n; i++) {
        step = &path->steps[i];
        *step = steps[i];

        switch (step->type) {

        case AGG_STEP_KEY:
            step->name.data = p;
            step->name.len = steps[i].name.len;

            if (step->index == 0) {
                memcpy(p, steps[i].name.data, step->name.len);

            } else {
                step->index = 0;
                step->name.len = agg_json_unescape_any(p, &steps[i].name);
            }

            p += step->name.len;
            break;

        case AGG_STEP_INDEX:
            path->negative |= (step->index < 0);
            break;

        default:
            path->wildcard = 1;
        }
    }

    return path;
}


agg_rc_e
agg_path_get(const agg_path_t *path, const agg_str_t *doc, agg_str_t *value)
{
    int          found;
    unsigned     i;
    agg_str_t    v, last;
    agg_iter_t   it;
    agg_step_t  *step;

    v = *doc;
    agg_json_trim(&v);

    for (i = 0; i < path->nsteps; i++) {
        step = &path->steps[i];

        agg_iter_init(&it, &v);

        if (step->type == AGG_STEP_INDEX) {

            if (it.kind != AGG_ARRAY || !agg_path_element(&it, step->index)) {
                return AGG_NOT_FOUND;
            }

            v = it.value;
            continue;
        }

        if (step->type != AGG_STEP_KEY || it.kind != AGG_OBJECT) {
            return AGG_NOT_FOUND;
        }

        found = 0;

        while (agg_iter_next(&it)) {
            if (agg_json_name_equal(&it.name, &step->name)) {
                last = it.value;
                found = 1;
            }
        }

        if (!found) {
            return AGG_NOT_FOUND;
        }

        v = last;
    }

    if (v.len == 0) {
        return AGG_NOT_FOUND;
    }

    *value = v;

    return AGG_OK;
}


static int
agg_path_element(agg_iter_t *it, long index)
{
    agg_iter_t  count;

    if (index < 0) {
        count = *it;

        while (agg_iter_next(&count)) {
            index++;
        }
    }

    if (index < 0) {
        return 0;
    }

    do {
        if (!agg_iter_next(it)) {
            return 0;
        }

    } while (index-- > 0);

    return 1;
}
