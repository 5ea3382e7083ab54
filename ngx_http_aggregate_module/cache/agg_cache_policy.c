
/*
 * The rules of RFC 9111 for a shared cache, with RFC 5861 (stale-*) and RFC
 * 9213 (CDN-Cache-Control), and nginx's X-Accel-Expires.
 *
 * Given what a response and its request said, one function tells whether the
 * response may be stored and how long it may be used.  In doubt the answer
 * is no: a value that cannot be read is taken as stale, qualified forms of
 * "private" and "no-cache" as the unqualified ones, and of two equal
 * directives the stricter counts.
 *
 * What is refused although the RFC would allow it: responses with
 * Set-Cookie, with a content coding (the origin was asked for none), and
 * with "no-cache" (it would be validated for every client).
 *
 * Parsing is linear in the length of the field.
 */


#include <string.h>

#include "agg_cache_policy.h"


typedef struct {
    const char       *name;
    unsigned          flag;
    size_t            offset;   /* of seconds, where flag is 0 */
} agg_cache_directive_t;


static size_t agg_cache_value(const u_char *p, const u_char *end,
    agg_cache_str_t *value);
static void agg_cache_control_set(agg_cache_control_t *cc,
    const agg_cache_str_t *name, const agg_cache_str_t *value);
static const agg_cache_directive_t *agg_cache_directive(
    const agg_cache_str_t *name);
static const u_char *agg_cache_item(const u_char *p, const u_char *end,
    agg_cache_str_t *integer, int *boolean);
static const u_char *agg_cache_bare_item(const u_char *p, const u_char *end,
    agg_cache_str_t *integer, int *boolean);
static const u_char *agg_cache_inner_list(const u_char *p,
    const u_char *end);
static const u_char *agg_cache_number(const u_char *p, const u_char *end,
    agg_cache_str_t *integer);
static const u_char *agg_cache_sf_key(const u_char *p, const u_char *end);
static const u_char *agg_cache_sf_space(const u_char *p, const u_char *end);
static agg_cache_verdict_e agg_cache_refuse(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc);
static int64_t agg_cache_lifetime(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc);
static int64_t agg_cache_initial_age(const agg_cache_response_t *resp);


#define agg_cache_offset(name)  offsetof(agg_cache_control_t, name)


static const agg_cache_directive_t  agg_cache_directives[] = {
    { "no-store", AGG_CACHE_CC_NO_STORE, 0 },
    { "no-cache", AGG_CACHE_CC_NO_CACHE, 0 },
    { "private", AGG_CACHE_CC_PRIVATE, 0 },
    { "public", AGG_CACHE_CC_PUBLIC, 0 },
    { "must-revalidate", AGG_CACHE_CC_MUST_REVALIDATE, 0 },
    { "proxy-revalidate", AGG_CACHE_CC_PROXY_REVALIDATE, 0 },
    { "only-if-cached", AGG_CACHE_CC_ONLY_IF_CACHED, 0 },
    { "max-age", 0, agg_cache_offset(max_age) },
    { "s-maxage", 0, agg_cache_offset(s_maxage) },
    { "stale-while-revalidate", 0, agg_cache_offset(stale_updating) },
    { "stale-if-error", 0, agg_cache_offset(stale_error) },
    { NULL, 0, 0 }
};


static const char  *agg_cache_verdicts[] = {
    "store",
    "method",
    "status",
    "range",
    "no-store",
    "private",
    "set-cookie",
    "vary",
    "encoded",
    "partial",
    "credentials",
    "freshness",
    "configuration"
};


void
agg_cache_control_init(agg_cache_control_t *cc)
{
    cc->flags = 0;
    cc->max_age = AGG_CACHE_UNSET;
    cc->s_maxage = AGG_CACHE_UNSET;
    cc->stale_updating = AGG_CACHE_UNSET;
    cc->stale_error = AGG_CACHE_UNSET;
}


void
agg_cache_control_parse(agg_cache_control_t *cc, const u_char *data,
    size_t len)
{
    const u_char     *p, *end;
    agg_cache_str_t   name, value;

    p = data;
    end = data + len;

    while (p < end) {

        if (!agg_cache_is_token(*p)) {
            p++;
            continue;
        }

        name.data = p;

        while (p < end && agg_cache_is_token(*p)) {
            p++;
        }

        name.len = (size_t) (p - name.data);

        value.data = NULL;
        value.len = 0;

        if (p < end && *p == '=') {
            p++;
            p += agg_cache_value(p, end, &value);
        }

        agg_cache_control_set(cc, &name, &value);

        /* what follows up to the comma belongs to no directive */

        while (p < end && *p != ',') {
            p++;
        }
    }
}


static size_t
agg_cache_value(const u_char *p, const u_char *end, agg_cache_str_t *value)
{
    const u_char  *start;

    start = p;

    if (p < end && *p == '"') {

        value->data = ++p;

        while (p < end && *p != '"') {

            if (*p == '\\' && p + 1 < end) {
                p++;
            }

            p++;
        }

        value->len = (size_t) (p - value->data);

        if (p < end) {
            p++;
        }

        return (size_t) (p - start);
    }

    value->data = p;

    while (p < end && agg_cache_is_token(*p)) {
        p++;
    }

    value->len = (size_t) (p - value->data);

    return (size_t) (p - start);
}


static void
agg_cache_control_set(agg_cache_control_t *cc, const agg_cache_str_t *name,
    const agg_cache_str_t *value)
{
    int64_t                       seconds, *field;
    const agg_cache_directive_t  *directive;

    directive = agg_cache_directive(name);

    if (directive == NULL) {
        return;
    }

    if (directive->flag) {
        cc->flags |= directive->flag;
        return;
    }

    /* "invalid freshness information is considered to be stale" */

    seconds = agg_cache_seconds(value->data, value->len);

    if (seconds == AGG_CACHE_UNSET) {
        seconds = 0;
    }

    field = (int64_t *) (void *) ((char *) cc + directive->offset);

    if (*field == AGG_CACHE_UNSET || seconds < *field) {
        *field = seconds;
    }
}


static const agg_cache_directive_t *
agg_cache_directive(const agg_cache_str_t *name)
{
    u_char                        c;
    size_t                        i;
    const agg_cache_directive_t  *directive;

    for (directive = agg_cache_directives; directive->name; directive++) {

        for (i = 0; i < name->len; i++) {
            c = name->data[i];

            if (c >= 'A' && c <= 'Z') {
                c |= 0x20;
            }

            if (c != (u_char) directive->name[i]) {
                break;
            }
        }

        if (i == name->len && directive->name[i] == '\0') {
            return directive;
        }
    }

    return NULL;
}


int64_t
agg_cache_seconds(const u_char *data, size_t len)
{
    size_t   i;
    int64_t  seconds;

    if (len == 0) {
        return AGG_CACHE_UNSET;
    }

    seconds = 0;

    for (i = 0; i < len; i++) {

        if (data[i] < '0' || data[i] > '9') {
            return AGG_CACHE_UNSET;
        }

        seconds = seconds * 10 + (data[i] - '0');

        if (seconds > AGG_CACHE_SECONDS_MAX) {
            seconds = AGG_CACHE_SECONDS_MAX;
        }
    }

    return seconds;
}


int
agg_cache_targeted_parse(agg_cache_control_t *cc, const u_char *data,
    size_t len)
{
    int                           boolean;
    int64_t                      *field;
    const u_char                 *p, *end;
    agg_cache_str_t               name, integer;
    const agg_cache_directive_t  *directive;

    agg_cache_control_init(cc);

    p = data;
    end = data + len;

    while (p < end && *p == ' ') {
        p++;
    }

    while (end > p && end[-1] == ' ') {
        end--;
    }

    if (p == end) {
        return -1;
    }

    for ( ;; ) {

        name.data = p;
        p = agg_cache_sf_key(p, end);

        if (p == NULL) {
            return -1;
        }

        name.len = (size_t) (p - name.data);

        integer.data = NULL;
        integer.len = 0;
        boolean = 1;

        if (p < end && *p == '=') {
            boolean = -1;
            p++;
        }

        p = agg_cache_item(p, end, &integer, &boolean);

        if (p == NULL) {
            return -1;
        }

        directive = agg_cache_directive(&name);

        /* the last of equal members counts, one of another type does not */

        if (directive && directive->flag && boolean != -1) {
            cc->flags &= ~directive->flag;
            cc->flags |= boolean ? directive->flag : 0;
        }

        if (directive && directive->flag == 0 && integer.len) {
            field = (int64_t *) (void *) ((char *) cc + directive->offset);
            *field = agg_cache_seconds(integer.data, integer.len);

            if (*field == AGG_CACHE_UNSET) {
                *field = 0;
            }
        }

        p = agg_cache_sf_space(p, end);

        if (p == end) {
            return 0;
        }

        if (*p++ != ',') {
            return -1;
        }

        p = agg_cache_sf_space(p, end);

        if (p == end) {
            return -1;
        }
    }
}


/* an item or inner list with its parameters; boolean is -1 for a value */

static const u_char *
agg_cache_item(const u_char *p, const u_char *end, agg_cache_str_t *integer,
    int *boolean)
{
    int              ignored;
    agg_cache_str_t  dummy;

    if (*boolean == -1) {
        p = (p < end && *p == '(') ? agg_cache_inner_list(p, end)
                                   : agg_cache_bare_item(p, end, integer,
                                                         boolean);
    }

    while (p != NULL && p < end && *p == ';') {

        p++;

        while (p < end && *p == ' ') {
            p++;
        }

        p = agg_cache_sf_key(p, end);

        if (p != NULL && p < end && *p == '=') {
            p = agg_cache_bare_item(p + 1, end, &dummy, &ignored);
        }
    }

    return p;
}


static const u_char *
agg_cache_bare_item(const u_char *p, const u_char *end,
    agg_cache_str_t *integer, int *boolean)
{
    if (p == end) {
        return NULL;
    }

    if (*p == '-' || (*p >= '0' && *p <= '9')) {
        return agg_cache_number(p, end, integer);
    }

    switch (*p) {

    case '?':
        if (end - p < 2 || (p[1] != '0' && p[1] != '1')) {
            return NULL;
        }

        *boolean = p[1] - '0';

        return p + 2;

    case '"':
        for (p++; p < end && *p != '"'; p++) {

            if (*p < 0x20 || *p > 0x7e) {
                return NULL;
            }

            if (*p == '\\') {
                p++;

                if (p == end || (*p != '"' && *p != '\\')) {
                    return NULL;
                }
            }
        }

        return p < end ? p + 1 : NULL;

    case ':':
        for (p++; p < end && *p != ':'; p++) {

            if (!agg_cache_is_token(*p) && *p != '/' && *p != '=') {
                return NULL;
            }
        }

        return p < end ? p + 1 : NULL;
    }

    if (*p != '*' && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')) {
        return NULL;
    }

    while (p < end && (agg_cache_is_token(*p) || *p == ':' || *p == '/')) {
        p++;
    }

    return p;
}


static const u_char *
agg_cache_inner_list(const u_char *p, const u_char *end)
{
    int              boolean;
    agg_cache_str_t  integer;

    p++;

    for ( ;; ) {

        while (p < end && *p == ' ') {
            p++;
        }

        if (p == end) {
            return NULL;
        }

        if (*p == ')') {
            return p + 1;
        }

        if (*p == '(') {
            return NULL;
        }

        boolean = -1;

        p = agg_cache_item(p, end, &integer, &boolean);

        if (p == NULL || p == end || (*p != ' ' && *p != ')')) {
            return NULL;
        }
    }
}


static const u_char *
agg_cache_number(const u_char *p, const u_char *end, agg_cache_str_t *integer)
{
    const u_char  *start, *digits;

    start = p;

    if (*p == '-') {
        p++;
    }

    digits = p;

    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    if (p == digits || p - digits > 15) {
        return NULL;
    }

    if (p == end || *p != '.') {
        integer->data = start;
        integer->len = (size_t) (p - start);
        return p;
    }

    if (p - digits > 12) {
        return NULL;
    }

    digits = ++p;

    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    return (p == digits || p - digits > 3) ? NULL : p;
}


static const u_char *
agg_cache_sf_key(const u_char *p, const u_char *end)
{
    if (p == end || !((*p >= 'a' && *p <= 'z') || *p == '*')) {
        return NULL;
    }

    while (p < end
           && ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')
               || *p == '_' || *p == '-' || *p == '.' || *p == '*'))
    {
        p++;
    }

    return p;
}


static const u_char *
agg_cache_sf_space(const u_char *p, const u_char *end)
{
    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}


agg_cache_verdict_e
agg_cache_judge(const agg_cache_response_t *resp,
    agg_cache_freshness_t *fresh)
{
    int64_t                     age, lifetime;
    agg_cache_verdict_e         verdict;
    const agg_cache_control_t  *cc;

    /*
     * RFC 9213, 2.2: a valid targeted field stands for all the others.  But
     * what Cache-Control calls private, or forbids to store, is not stored
     * even so: a mistake in one of the two must not show a user's response.
     */

    cc = (resp->flags & AGG_CACHE_RESP_TARGETED) ? &resp->targeted
                                                 : &resp->control;

    verdict = agg_cache_refuse(resp, cc);

    if (verdict != AGG_CACHE_STORE) {
        return verdict;
    }

    lifetime = agg_cache_lifetime(resp, cc);

    if (lifetime == AGG_CACHE_UNSET) {
        return AGG_CACHE_NO_FRESHNESS;
    }

    age = agg_cache_initial_age(resp);

    fresh->flags = 0;
    fresh->origin = resp->received - age;
    fresh->fresh = lifetime;
    fresh->updating = cc->stale_updating;
    fresh->error = cc->stale_error;

    if (cc->s_maxage == AGG_CACHE_UNSET) {

        /* s-maxage is proxy-revalidate as well, so no default for it */

        if (fresh->updating == AGG_CACHE_UNSET) {
            fresh->updating = resp->stale_updating;
        }

        if (fresh->error == AGG_CACHE_UNSET) {
            fresh->error = resp->stale_error;
        }
    }

    if (fresh->updating == AGG_CACHE_UNSET
        || (cc->flags & (AGG_CACHE_CC_MUST_REVALIDATE
                         |AGG_CACHE_CC_PROXY_REVALIDATE)))
    {
        fresh->updating = 0;
    }

    if (fresh->error == AGG_CACHE_UNSET
        || (cc->flags & (AGG_CACHE_CC_MUST_REVALIDATE
                         |AGG_CACHE_CC_PROXY_REVALIDATE)))
    {
        fresh->error = 0;
    }

    if ((cc->flags & AGG_CACHE_CC_PUBLIC) || cc->s_maxage != AGG_CACHE_UNSET) {
        fresh->flags |= AGG_CACHE_SHARED;
    }

    if (lifetime <= age
        && lifetime + fresh->updating <= age
        && lifetime + fresh->error <= age)
    {
        return AGG_CACHE_NO_FRESHNESS;
    }

    return AGG_CACHE_STORE;
}


static agg_cache_verdict_e
agg_cache_refuse(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc)
{
    if (!(resp->flags & AGG_CACHE_RESP_GET)) {
        return AGG_CACHE_NO_METHOD;
    }

    /* 206 is a part, 304 answers another request, 1xx are not final */

    if (resp->status < 200 || resp->status > 599
        || resp->status == 206 || resp->status == 304)
    {
        return AGG_CACHE_NO_STATUS;
    }

    if (resp->flags & AGG_CACHE_RESP_RANGE) {
        return AGG_CACHE_NO_RANGE;
    }

    if ((cc->flags & (AGG_CACHE_CC_NO_STORE|AGG_CACHE_CC_NO_CACHE))
        || (resp->control.flags & AGG_CACHE_CC_NO_STORE)
        || (resp->flags & AGG_CACHE_RESP_REQ_NO_STORE))
    {
        return AGG_CACHE_NO_DIRECTIVE;
    }

    if ((cc->flags | resp->control.flags) & AGG_CACHE_CC_PRIVATE) {
        return AGG_CACHE_NO_PRIVATE;
    }

    if (resp->flags & AGG_CACHE_RESP_SET_COOKIE) {
        return AGG_CACHE_NO_SET_COOKIE;
    }

    if (resp->flags & AGG_CACHE_RESP_VARY_ANY) {
        return AGG_CACHE_NO_VARY;
    }

    if (resp->flags & AGG_CACHE_RESP_ENCODED) {
        return AGG_CACHE_NO_ENCODED;
    }

    if (resp->flags & AGG_CACHE_RESP_PARTIAL) {
        return AGG_CACHE_NO_PARTIAL;
    }

    if ((resp->flags & AGG_CACHE_RESP_CREDENTIALS)
        && !(cc->flags & AGG_CACHE_CC_PUBLIC)
        && cc->s_maxage == AGG_CACHE_UNSET)
    {
        return AGG_CACHE_NO_CREDENTIALS;
    }

    return AGG_CACHE_STORE;
}


static int64_t
agg_cache_lifetime(const agg_cache_response_t *resp,
    const agg_cache_control_t *cc)
{
    int64_t  date;

    if (resp->flags & AGG_CACHE_RESP_ACCEL) {
        return resp->accel > 0 ? resp->accel : AGG_CACHE_UNSET;
    }

    if (cc->s_maxage != AGG_CACHE_UNSET) {
        return cc->s_maxage;
    }

    if (cc->max_age != AGG_CACHE_UNSET) {
        return cc->max_age;
    }

    if ((resp->flags & AGG_CACHE_RESP_EXPIRES)
        && !(resp->flags & AGG_CACHE_RESP_TARGETED))
    {
        date = (resp->date == AGG_CACHE_UNSET) ? resp->received : resp->date;

        if (resp->expires <= date) {
            return 0;
        }

        return (resp->expires - date > AGG_CACHE_SECONDS_MAX)
               ? AGG_CACHE_SECONDS_MAX : resp->expires - date;
    }

    if (resp->valid != AGG_CACHE_UNSET) {
        return resp->valid > 0 ? resp->valid : AGG_CACHE_UNSET;
    }

    if (resp->status == 200 && resp->ttl != AGG_CACHE_UNSET) {
        return resp->ttl > 0 ? resp->ttl : AGG_CACHE_UNSET;
    }

    return AGG_CACHE_UNSET;
}


static int64_t
agg_cache_initial_age(const agg_cache_response_t *resp)
{
    int64_t  apparent, corrected, delay;

    apparent = 0;

    if (resp->date != AGG_CACHE_UNSET && resp->received > resp->date) {
        apparent = resp->received - resp->date;
    }

    delay = resp->received - resp->requested;

    if (delay < 0) {
        delay = 0;
    }

    corrected = (resp->age == AGG_CACHE_UNSET) ? delay : resp->age + delay;

    if (apparent > AGG_CACHE_SECONDS_MAX) {
        apparent = AGG_CACHE_SECONDS_MAX;
    }

    return apparent > corrected ? apparent : corrected;
}


int64_t
agg_cache_age(const agg_cache_freshness_t *fresh, int64_t now)
{
    return now > fresh->origin ? now - fresh->origin : 0;
}


const char *
agg_cache_verdict_name(agg_cache_verdict_e verdict)
{
    return agg_cache_verdicts[verdict];
}
