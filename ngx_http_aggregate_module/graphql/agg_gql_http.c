
/* GraphQL over HTTP: parameters, media types and statuses. */


#include "agg_gql_http.h"
#include "agg_block.h"


/* a media range of an Accept header */

typedef struct {
    agg_str_t           type;
    int                 q;              /* in thousandths */
    int                 utf8;           /* no charset, or this one */
} agg_gql_range_t;


/* the best matches of the ranges for a media type */

typedef struct {
    int                 fit;            /* 3: named, 2: type, 1: any, 0: none */
    int                 q;
    int                 position;
} agg_gql_match_t;


static agg_gql_outcome_e agg_gql_member(agg_gql_request_t *req,
    const agg_str_t *name, const agg_str_t *value, agg_mem_t *mem,
    const char **message);
static agg_gql_outcome_e agg_gql_string(agg_str_t *dst, const agg_str_t *value,
    agg_mem_t *mem);
static agg_gql_outcome_e agg_gql_extensions(agg_gql_request_t *req,
    const agg_str_t *value, agg_mem_t *mem, const char **message);
static agg_gql_outcome_e agg_gql_persisted(agg_gql_request_t *req,
    const agg_str_t *value, agg_mem_t *mem, const char **message);
static agg_gql_outcome_e agg_gql_arg(agg_gql_request_t *req,
    agg_str_t *name, agg_str_t *value, agg_mem_t *mem,
    const char **message);
static int agg_gql_arg_decode(agg_str_t *value);
static int agg_gql_hex(u_char c);
static int agg_gql_next_range(agg_str_t *rest, agg_gql_range_t *range);
static void agg_gql_param(const agg_str_t *param, agg_gql_range_t *range);
static int agg_gql_quality(const agg_str_t *value);
static size_t agg_gql_token_end(const u_char *p, size_t len, u_char stop);
static void agg_gql_match(agg_gql_match_t *match, const agg_gql_range_t *range,
    const char *type, int position);
static int agg_gql_is(const agg_str_t *s, const char *text);
static int agg_gql_equal_lower(const agg_str_t *s, const char *text);
static int agg_gql_begins_lower(const agg_str_t *s, const char *text);


static const struct {
    const char         *code;
    unsigned short      response;       /* application/graphql-response+json */
    unsigned short      json;
    unsigned short      draft;
} agg_gql_outcomes[] = {
    { NULL, 200, 200, 200 },
    { NULL, 200, 200, 294 },
    { "BAD_REQUEST", 400, 400, 400 },
    { "BAD_REQUEST", 400, 400, 422 },
    { "BAD_REQUEST", 400, 400, 422 },
    { "GRAPHQL_PARSE_FAILED", 400, 200, 400 },
    { "GRAPHQL_VALIDATION_FAILED", 400, 200, 422 },
    { "LIMIT_EXCEEDED", 400, 200, 422 },
    { "OPERATION_RESOLUTION_FAILURE", 400, 200, 422 },
    { "BAD_USER_INPUT", 400, 200, 422 },
    { "PERSISTED_QUERY_NOT_FOUND", 404, 200, 404 },
    { "BAD_REQUEST", 400, 400, 422 },
    { "PERSISTED_QUERY_ONLY", 403, 403, 403 },
    { "BAD_REQUEST", 405, 405, 405 },
    { "BAD_REQUEST", 415, 415, 415 },
    { "BAD_REQUEST", 406, 406, 406 },
    { "BAD_REQUEST", 413, 413, 413 },
    { "LIMIT_EXCEEDED", 502, 502, 502 },
    { "INTERNAL_SERVER_ERROR", 500, 500, 500 }
};


unsigned
agg_gql_status(agg_gql_outcome_e outcome, agg_gql_media_e media, int draft)
{
    if (draft) {
        return agg_gql_outcomes[outcome].draft;
    }

    return (media == AGG_GQL_RESPONSE_JSON)
           ? agg_gql_outcomes[outcome].response
           : agg_gql_outcomes[outcome].json;
}


const char *
agg_gql_outcome_code(agg_gql_outcome_e outcome)
{
    return agg_gql_outcomes[outcome].code;
}


agg_gql_outcome_e
agg_gql_request_json(agg_gql_request_t *req, const agg_str_t *json,
    agg_mem_t *mem, const char **message)
{
    agg_iter_t         it;
    agg_gql_outcome_e  rc;

    memset(req, 0, sizeof(agg_gql_request_t));

    agg_iter_init(&it, json);

    if (it.kind != AGG_OBJECT) {
        *message = "The request must be a JSON object.";
        return AGG_GQL_BAD_BODY;
    }

    while (agg_iter_next(&it)) {
        rc = agg_gql_member(req, &it.name, &it.value, mem, message);

        if (rc != AGG_GQL_DONE) {
            return rc;
        }
    }

    return AGG_GQL_DONE;
}


static agg_gql_outcome_e
agg_gql_member(agg_gql_request_t *req, const agg_str_t *name,
    const agg_str_t *value, agg_mem_t *mem, const char **message)
{
    agg_kind_e              kind;
    static const agg_str_t  query = { 5, (u_char *) "query" };
    static const agg_str_t  variables = { 9, (u_char *) "variables" };
    static const agg_str_t  operation = { 13, (u_char *) "operationName" };
    static const agg_str_t  extensions = { 10, (u_char *) "extensions" };
    static const agg_str_t  id = { 10, (u_char *) "documentId" };

    kind = agg_json_kind(value);

    if (agg_json_name_equal(name, &query)) {

        *message = "\"query\" must be a string.";
        return agg_gql_string(&req->query, value, mem);
    }

    if (agg_json_name_equal(name, &operation)) {

        *message = "\"operationName\" must be a string.";
        return agg_gql_string(&req->operation_name, value, mem);
    }

    if (agg_json_name_equal(name, &id)) {

        *message = "\"documentId\" must be a string.";
        return agg_gql_string(&req->document_id, value, mem);
    }

    if (agg_json_name_equal(name, &variables)) {

        req->variables.data = NULL;
        req->variables.len = 0;

        if (kind == AGG_NULL) {
            return AGG_GQL_DONE;
        }

        if (kind != AGG_OBJECT) {
            *message = "\"variables\" must be an object.";
            return AGG_GQL_BAD_PARAMS;
        }

        req->variables = *value;
        return AGG_GQL_DONE;
    }

    if (agg_json_name_equal(name, &extensions)) {
        return agg_gql_extensions(req, value, mem, message);
    }

    return AGG_GQL_DONE;
}


/* a null value means that the parameter is missing */

static agg_gql_outcome_e
agg_gql_string(agg_str_t *dst, const agg_str_t *value, agg_mem_t *mem)
{
    agg_str_t  raw;

    dst->data = NULL;
    dst->len = 0;

    switch (agg_json_kind(value)) {

    case AGG_NULL:
        return AGG_GQL_DONE;

    case AGG_STRING:
        break;

    default:
        return AGG_GQL_BAD_PARAMS;
    }

    raw.data = value->data + 1;
    raw.len = value->len - 2;

    dst->data = mem->alloc(mem->ctx, raw.len + 1);
    if (dst->data == NULL) {
        return AGG_GQL_FAILED;
    }

    /* a lone surrogate is decoded to bytes that are not UTF-8 */

    dst->len = agg_json_unescape_any(dst->data, &raw);

    return AGG_GQL_DONE;
}


static agg_gql_outcome_e
agg_gql_extensions(agg_gql_request_t *req, const agg_str_t *value,
    agg_mem_t *mem, const char **message)
{
    agg_iter_t              it;
    agg_gql_outcome_e       rc;
    static const agg_str_t  persisted = { 14, (u_char *) "persistedQuery" };

    req->persisted = 0;

    agg_iter_init(&it, value);

    if (it.kind == AGG_NULL) {
        return AGG_GQL_DONE;
    }

    if (it.kind != AGG_OBJECT) {
        *message = "\"extensions\" must be an object.";
        return AGG_GQL_BAD_PARAMS;
    }

    while (agg_iter_next(&it)) {

        if (!agg_json_name_equal(&it.name, &persisted)) {
            continue;
        }

        rc = agg_gql_persisted(req, &it.value, mem, message);

        if (rc != AGG_GQL_DONE) {
            return rc;
        }
    }

    return AGG_GQL_DONE;
}


static agg_gql_outcome_e
agg_gql_persisted(agg_gql_request_t *req, const agg_str_t *value,
    agg_mem_t *mem, const char **message)
{
    agg_iter_t              it;
    agg_gql_outcome_e       rc;
    static const agg_str_t  version = { 7, (u_char *) "version" };
    static const agg_str_t  hash = { 10, (u_char *) "sha256Hash" };

    req->persisted = 0;
    req->version = 0;

    agg_iter_init(&it, value);

    if (it.kind == AGG_NULL) {
        return AGG_GQL_DONE;
    }

    if (it.kind != AGG_OBJECT) {
        *message = "\"persistedQuery\" must be an object.";
        return AGG_GQL_BAD_PARAMS;
    }

    req->persisted = 1;

    while (agg_iter_next(&it)) {

        if (agg_json_name_equal(&it.name, &version)) {
            req->version = (it.value.len == 1 && it.value.data[0] == '1');
            continue;
        }

        if (agg_json_name_equal(&it.name, &hash)) {

            *message = "\"sha256Hash\" must be a string.";
            rc = agg_gql_string(&req->hash, &it.value, mem);

            if (rc != AGG_GQL_DONE) {
                return rc;
            }
        }
    }

    return AGG_GQL_DONE;
}


agg_gql_outcome_e
agg_gql_request_args(agg_gql_request_t *req, const agg_str_t *args,
    agg_mem_t *mem, const char **message)
{
    u_char            *p, *last, *end, *equal;
    agg_str_t          name, value, copy;
    agg_gql_outcome_e  rc;

    memset(req, 0, sizeof(agg_gql_request_t));

    if (args->len == 0) {
        return AGG_GQL_DONE;
    }

    copy.len = args->len;
    copy.data = mem->alloc(mem->ctx, copy.len);
    if (copy.data == NULL) {
        return AGG_GQL_FAILED;
    }

    memcpy(copy.data, args->data, copy.len);

    p = copy.data;
    last = p + copy.len;

    while (p < last) {
        end = memchr(p, '&', (size_t) (last - p));

        if (end == NULL) {
            end = last;
        }

        equal = memchr(p, '=', (size_t) (end - p));

        if (equal != NULL) {
            name.data = p;
            name.len = (size_t) (equal - p);
            value.data = equal + 1;
            value.len = (size_t) (end - value.data);

            rc = agg_gql_arg(req, &name, &value, mem, message);

            if (rc != AGG_GQL_DONE) {
                return rc;
            }
        }

        p = end + 1;
    }

    return AGG_GQL_DONE;
}


static agg_gql_outcome_e
agg_gql_arg(agg_gql_request_t *req, agg_str_t *name, agg_str_t *value,
    agg_mem_t *mem, const char **message)
{
    size_t  i;

    static const char *const  names[] = {
        "query", "operationName", "documentId", "variables", "extensions"
    };

    if (!agg_gql_arg_decode(name)) {
        return AGG_GQL_DONE;
    }

    for (i = 0; i < 5 && !agg_gql_is(name, names[i]); i++) { /* void */ }

    if (i == 5) {
        return AGG_GQL_DONE;
    }

    if (!agg_gql_arg_decode(value)) {
        *message = "An argument of the query string is not encoded well.";
        return AGG_GQL_BAD_PARAMS;
    }

    if (value->len == 0) {
        return AGG_GQL_DONE;
    }

    if (agg_gql_is(name, "query")) {
        req->query = *value;

    } else if (agg_gql_is(name, "operationName")) {
        req->operation_name = *value;

    } else if (agg_gql_is(name, "documentId")) {
        req->document_id = *value;

    } else if (agg_gql_is(name, "variables")) {

        if (agg_json_validate(value->data, value->len, NULL) != AGG_OK) {
            *message = "\"variables\" is not valid JSON.";
            return AGG_GQL_BAD_PARAMS;
        }

        agg_json_trim(value);

        if (agg_json_kind(value) == AGG_OBJECT) {
            req->variables = *value;

        } else if (agg_json_kind(value) != AGG_NULL) {
            *message = "\"variables\" must be an object.";
            return AGG_GQL_BAD_PARAMS;
        }

    } else if (agg_gql_is(name, "extensions")) {

        if (agg_json_validate(value->data, value->len, NULL) != AGG_OK) {
            *message = "\"extensions\" is not valid JSON.";
            return AGG_GQL_BAD_PARAMS;
        }

        return agg_gql_extensions(req, value, mem, message);
    }

    return AGG_GQL_DONE;
}


/* decodes application/x-www-form-urlencoded in place */

static int
agg_gql_arg_decode(agg_str_t *value)
{
    int      high, low;
    u_char  *p, *last, *dst;

    p = value->data;
    last = p + value->len;
    dst = p;

    while (p < last) {

        if (*p == '+') {
            *dst++ = ' ';
            p++;
            continue;
        }

        if (*p != '%') {
            *dst++ = *p++;
            continue;
        }

        if (last - p < 3) {
            return 0;
        }

        high = agg_gql_hex(p[1]);
        low = agg_gql_hex(p[2]);

        if (high < 0 || low < 0) {
            return 0;
        }

        *dst++ = (u_char) (high * 16 + low);
        p += 3;
    }

    value->len = (size_t) (dst - value->data);

    return 1;
}


static int
agg_gql_hex(u_char c)
{
    if (agg_is_digit(c)) {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


agg_gql_media_e
agg_gql_accept(const agg_str_t *accept, int *html)
{
    int              position;
    agg_str_t        rest;
    agg_gql_match_t  response, json, page;
    agg_gql_range_t  range;

    *html = 0;

    if (accept->data == NULL) {
        return AGG_GQL_JSON;
    }

    memset(&response, 0, sizeof(agg_gql_match_t));
    memset(&json, 0, sizeof(agg_gql_match_t));
    memset(&page, 0, sizeof(agg_gql_match_t));

    rest = *accept;

    for (position = 0; agg_gql_next_range(&rest, &range); position++) {
        agg_gql_match(&page, &range, "text/html", position);

        if (!range.utf8) {
            continue;
        }

        agg_gql_match(&response, &range, "application/graphql-response+json",
                      position);
        agg_gql_match(&json, &range, "application/json", position);
    }

    /* HTML is for clients that name it before the other two */

    *html = (page.fit == 3 && page.q > 0
             && (json.fit < 3 || page.q > json.q
                 || (page.q == json.q && page.position < json.position))
             && (response.fit < 3 || page.q > response.q
                 || (page.q == response.q
                     && page.position < response.position)));

    if (response.q > json.q
        || (response.q == json.q && response.q > 0
            && response.position < json.position))
    {
        return AGG_GQL_RESPONSE_JSON;
    }

    return (json.q > 0) ? AGG_GQL_JSON : AGG_GQL_NO_MEDIA;
}


int
agg_gql_content_type(const agg_str_t *type)
{
    agg_str_t        rest;
    agg_gql_range_t  range;

    rest = *type;

    return agg_gql_next_range(&rest, &range) && rest.len == 0 && range.utf8
           && agg_gql_equal_lower(&range.type, "application/json");
}


static int
agg_gql_next_range(agg_str_t *rest, agg_gql_range_t *range)
{
    int        first;
    size_t     len;
    agg_str_t  item, param;

    do {
        if (rest->len == 0) {
            return 0;
        }

        len = agg_gql_token_end(rest->data, rest->len, ',');

        item.data = rest->data;
        item.len = len;

        if (len < rest->len) {
            len++;
        }

        rest->data += len;
        rest->len -= len;

        agg_json_trim(&item);

    } while (item.len == 0);

    range->q = 1000;
    range->utf8 = 1;

    for (first = 1; item.len != 0; first = 0) {
        len = agg_gql_token_end(item.data, item.len, ';');

        param.data = item.data;
        param.len = len;

        if (len < item.len) {
            len++;
        }

        item.data += len;
        item.len -= len;

        agg_json_trim(&param);

        if (first) {
            range->type = param;

        } else {
            agg_gql_param(&param, range);
        }
    }

    return 1;
}


static void
agg_gql_param(const agg_str_t *param, agg_gql_range_t *range)
{
    u_char     *p;
    agg_str_t   name, value;

    if (param->len == 0) {
        return;
    }

    p = memchr(param->data, '=', param->len);
    if (p == NULL) {
        return;
    }

    name.data = param->data;
    name.len = (size_t) (p - param->data);
    value.data = p + 1;
    value.len = param->len - name.len - 1;

    agg_json_trim(&name);
    agg_json_trim(&value);

    if (agg_gql_equal_lower(&name, "q")) {
        range->q = agg_gql_quality(&value);
        return;
    }

    if (!agg_gql_equal_lower(&name, "charset")) {
        return;
    }

    if (value.len >= 2 && value.data[0] == '"'
        && value.data[value.len - 1] == '"')
    {
        value.data++;
        value.len -= 2;
    }

    range->utf8 = agg_gql_equal_lower(&value, "utf-8")
                  || agg_gql_equal_lower(&value, "utf8");
}


/* in thousandths; an invalid value counts as 1 */

static int
agg_gql_quality(const agg_str_t *value)
{
    int     q, scale;
    size_t  i;

    if (value->len == 0 || value->len > 5
        || (value->data[0] != '0' && value->data[0] != '1')
        || (value->len > 1 && value->data[1] != '.'))
    {
        return 1000;
    }

    q = (value->data[0] - '0') * 1000;
    scale = 100;

    for (i = 2; i < value->len; i++) {

        if (!agg_is_digit(value->data[i])) {
            return 1000;
        }

        q += (value->data[i] - '0') * scale;
        scale /= 10;
    }

    return (q > 1000) ? 1000 : q;
}


/* finds the character outside of quotes */

static size_t
agg_gql_token_end(const u_char *p, size_t len, u_char stop)
{
    int     quoted;
    size_t  i;

    quoted = 0;

    for (i = 0; i < len; i++) {

        if (p[i] == '"') {
            quoted = !quoted;

        } else if (quoted && p[i] == '\\') {
            i++;

        } else if (p[i] == stop && !quoted) {
            break;
        }
    }

    return (i < len) ? i : len;
}


/* the most specific range is used, and the first one of equals */

static void
agg_gql_match(agg_gql_match_t *match, const agg_gql_range_t *range,
    const char *type, int position)
{
    int        fit;
    size_t     n;
    agg_str_t  kind;

    if (agg_gql_equal_lower(&range->type, type)) {
        fit = 3;

    } else if (agg_gql_equal_lower(&range->type, "*/*")) {
        fit = 1;

    } else {
        n = (size_t) (strchr(type, '/') - type) + 1;

        kind.data = range->type.data;
        kind.len = n;

        fit = (range->type.len == n + 1 && range->type.data[n] == '*'
               && agg_gql_begins_lower(&kind, type))
              ? 2 : 0;
    }

    if (fit > match->fit) {
        match->fit = fit;
        match->q = range->q;
        match->position = position;
    }
}


static int
agg_gql_is(const agg_str_t *s, const char *text)
{
    return s->len == strlen(text) && memcmp(s->data, text, s->len) == 0;
}


/* text is in lower case */

static int
agg_gql_equal_lower(const agg_str_t *s, const char *text)
{
    return s->len == strlen(text) && agg_gql_begins_lower(s, text);
}


/* whether the text, which is not shorter, begins with s */

static int
agg_gql_begins_lower(const agg_str_t *s, const char *text)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < s->len; i++) {
        c = s->data[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c != (u_char) text[i]) {
            return 0;
        }
    }

    return 1;
}
