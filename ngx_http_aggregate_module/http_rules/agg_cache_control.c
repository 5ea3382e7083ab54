
/*
 * A line that is valid by the grammar of RFC 9111 means what the RFC says.
 * One that is not has several readings, and the strictest one counts: in its
 * malformed elements, and in all its quoted strings, any word that reads
 * "private", "no-store", "no-cache" or "...-revalidate" counts as that
 * directive, any that reads as the name of a lifetime makes this lifetime 0,
 * and nothing in there permits anything.  A quoted string without an end may
 * have swallowed other directives, so such a line leaves no freshness at all.
 *
 * Words are separated by anything but letters, digits, "-" and "_".  The
 * name of a directive that has other characters, although the grammar allows
 * them, is malformed.
 *
 * The cost is linear in the length of the line, which is read twice at most.
 */


#include <string.h>

#include "agg_cache_control.h"
#include "agg_header_names.h"


/* agg_cache_directive_t, type */

#define AGG_CACHE_RESTRICTION  0
#define AGG_CACHE_PERMISSION   1
#define AGG_CACHE_LIFETIME     2


typedef struct {
    const char       *name;
    unsigned          type;
    unsigned          flag;
    size_t            offset;   /* where a lifetime's seconds are */
} agg_cache_directive_t;


typedef struct {
    const u_char     *start;    /* the element's start, and its end */
    const u_char     *last;
    agg_cache_str_t   name;
    agg_cache_str_t   value;    /* data is NULL: there is none */
    unsigned          quoted:1;
    unsigned          malformed:1;
    unsigned          open:1;   /* a quoted string has no end */
} agg_cache_element_t;


static const u_char *agg_cache_element(const u_char *p, const u_char *end,
    agg_cache_element_t *element);
static const u_char *agg_cache_quoted(const u_char *p, const u_char *end);
static int agg_cache_control_set(agg_cache_control_t *cc,
    const agg_cache_element_t *element);
static void agg_cache_control_words(agg_cache_control_t *cc, const u_char *p,
    const u_char *end, unsigned flags);
static int agg_cache_is_word(u_char c);
static void agg_cache_control_least(agg_cache_control_t *cc, size_t offset,
    int64_t seconds);
static const agg_cache_directive_t *agg_cache_directive(
    const agg_cache_str_t *name);
static int64_t agg_cache_seconds(const u_char *data, size_t len);
static int agg_cache_targeted_members(agg_cache_control_t *cc,
    const u_char *p, const u_char *end);
static void agg_cache_targeted_set(agg_cache_control_t *cc,
    const agg_cache_str_t *name, const agg_cache_str_t *integer, int boolean);
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


#define agg_cache_offset(name)  offsetof(agg_cache_control_t, name)

#define AGG_CACHE_CC_REFUSALS                                                \
    (AGG_CACHE_CC_NO_STORE|AGG_CACHE_CC_NO_CACHE|AGG_CACHE_CC_PRIVATE)


static const agg_cache_directive_t  agg_cache_directives[] = {
    { "no-store", AGG_CACHE_RESTRICTION, AGG_CACHE_CC_NO_STORE, 0 },
    { "no-cache", AGG_CACHE_RESTRICTION, AGG_CACHE_CC_NO_CACHE, 0 },
    { "private", AGG_CACHE_RESTRICTION, AGG_CACHE_CC_PRIVATE, 0 },
    { "must-revalidate", AGG_CACHE_RESTRICTION, AGG_CACHE_CC_MUST_REVALIDATE,
      0 },
    { "proxy-revalidate", AGG_CACHE_RESTRICTION,
      AGG_CACHE_CC_PROXY_REVALIDATE, 0 },
    { "public", AGG_CACHE_PERMISSION, AGG_CACHE_CC_PUBLIC, 0 },
    { "only-if-cached", AGG_CACHE_PERMISSION, AGG_CACHE_CC_ONLY_IF_CACHED, 0 },
    { "max-age", AGG_CACHE_LIFETIME, 0, agg_cache_offset(max_age) },
    { "s-maxage", AGG_CACHE_LIFETIME, AGG_CACHE_CC_UNSHAREABLE,
      agg_cache_offset(s_maxage) },
    { "stale-while-revalidate", AGG_CACHE_LIFETIME, 0,
      agg_cache_offset(stale_updating) },
    { "stale-if-error", AGG_CACHE_LIFETIME, 0,
      agg_cache_offset(stale_error) },
    { NULL, 0, 0, 0 }
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
    int                   malformed;
    const u_char         *p, *end;
    agg_cache_element_t   element;

    end = data + len;
    malformed = 0;

    for (p = data; p < end; /* void */ ) {

        p = agg_cache_element(p, end, &element);

        if (!element.malformed && agg_cache_control_set(cc, &element) == 0) {
            continue;
        }

        malformed = 1;

        agg_cache_control_words(cc, element.start, element.last, ~0u);

        if (element.open) {
            cc->flags |= AGG_CACHE_CC_UNSHAREABLE;

            agg_cache_control_least(cc, agg_cache_offset(max_age), 0);
            agg_cache_control_least(cc, agg_cache_offset(s_maxage), 0);
            agg_cache_control_least(cc, agg_cache_offset(stale_updating), 0);
            agg_cache_control_least(cc, agg_cache_offset(stale_error), 0);
        }
    }

    if (!malformed) {
        return;
    }

    /* under another reading, quoted strings may not be quoted strings */

    for (p = data; p < end; /* void */ ) {

        p = agg_cache_element(p, end, &element);

        if (element.quoted) {
            agg_cache_control_words(cc, element.value.data,
                                    element.value.data + element.value.len,
                                    ~0u);
        }
    }
}


/* parses an element of the list, and finds the start of the next one */

static const u_char *
agg_cache_element(const u_char *p, const u_char *end,
    agg_cache_element_t *element)
{
    const u_char  *last;

    memset(element, 0, sizeof(agg_cache_element_t));

    p = agg_cache_sf_space(p, end);

    element->start = p;
    element->name.data = p;

    while (p < end && agg_is_token(*p)) {
        element->malformed |= !agg_cache_is_word(*p);
        p++;
    }

    element->name.len = (size_t) (p - element->name.data);

    if (p < end && *p == '=') {

        element->value.data = ++p;
        element->malformed |= (element->name.len == 0);

        if (p < end && *p == '"') {
            last = agg_cache_quoted(p, end);

            element->quoted = (last != NULL);

            if (last) {
                element->value.data = p + 1;
                element->value.len = (size_t) (last - p - 2);
                p = last;
            }

        } else {

            while (p < end && agg_is_token(*p)) {
                p++;
            }

            element->value.len = (size_t) (p - element->value.data);
            element->malformed |= (element->value.len == 0);
        }
    }

    p = agg_cache_sf_space(p, end);

    while (p < end && *p != ',') {

        element->malformed = 1;

        if (*p != '"') {
            p++;
            continue;
        }

        last = agg_cache_quoted(p, end);

        if (last == NULL) {
            element->open = 1;
            last = end;
        }

        p = last;
    }

    element->last = p;

    return p < end ? p + 1 : end;
}


/* the position after the closing quote, or NULL */

static const u_char *
agg_cache_quoted(const u_char *p, const u_char *end)
{
    for (p++; p < end && *p != '"'; p++) {

        if (*p == '\\') {
            p++;
        }
    }

    return p < end ? p + 1 : NULL;
}


/* -1: the value is not valid for the directive */

static int
agg_cache_control_set(agg_cache_control_t *cc,
    const agg_cache_element_t *element)
{
    int64_t                       seconds;
    const agg_cache_directive_t  *directive;

    directive = agg_cache_directive(&element->name);

    if (directive == NULL) {
        return 0;
    }

    if (directive->type == AGG_CACHE_LIFETIME) {

        seconds = agg_cache_seconds(element->value.data, element->value.len);

        if (seconds == AGG_CACHE_UNSET) {
            return -1;
        }

        agg_cache_control_least(cc, directive->offset, seconds);

        return 0;
    }

    if (directive->type == AGG_CACHE_PERMISSION && element->value.data) {
        return -1;
    }

    cc->flags |= directive->flag;

    return 0;
}


/* sets those of the flags whose restricting directives occur as words */

static void
agg_cache_control_words(agg_cache_control_t *cc, const u_char *p,
    const u_char *end, unsigned flags)
{
    agg_cache_str_t               word;
    const agg_cache_directive_t  *directive;

    while (p < end) {

        if (!agg_cache_is_word(*p)) {
            p++;
            continue;
        }

        word.data = p;

        while (p < end && agg_cache_is_word(*p)) {
            p++;
        }

        word.len = (size_t) (p - word.data);

        directive = agg_cache_directive(&word);

        if (directive == NULL || directive->type == AGG_CACHE_PERMISSION) {
            continue;
        }

        cc->flags |= directive->flag & flags;

        /* "invalid freshness information is considered to be stale" */

        if (directive->type == AGG_CACHE_LIFETIME && flags == ~0u) {
            agg_cache_control_least(cc, directive->offset, 0);
        }
    }
}


static int
agg_cache_is_word(u_char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
           || c == '-' || c == '_';
}


/* the shortest one of several lifetimes with the same name is used */

static void
agg_cache_control_least(agg_cache_control_t *cc, size_t offset,
    int64_t seconds)
{
    int64_t  *field;

    field = (int64_t *) (void *) ((char *) cc + offset);

    if (*field == AGG_CACHE_UNSET || seconds < *field) {
        *field = seconds;
    }
}


int
agg_cache_control_shared(const agg_cache_control_t *cc)
{
    return !(cc->flags & AGG_CACHE_CC_UNSHAREABLE)
           && ((cc->flags & AGG_CACHE_CC_PUBLIC)
               || cc->s_maxage != AGG_CACHE_UNSET);
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


/* 1*DIGIT with a ceiling, or AGG_CACHE_UNSET */

static int64_t
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


int64_t
agg_cache_age_parse(const u_char *data, size_t len)
{
    const u_char  *p, *end, *start;

    end = data + len;

    for (p = data; p < end && (*p == ' ' || *p == '\t' || *p == ','); p++) {
        /* void */
    }

    start = p;

    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }

    return agg_cache_seconds(start, (size_t) (p - start));
}


int
agg_cache_targeted_parse(agg_cache_control_t *cc, const u_char *data,
    size_t len)
{
    const u_char  *p, *end;

    agg_cache_control_init(cc);

    p = data;
    end = data + len;

    while (p < end && *p == ' ') {
        p++;
    }

    while (end > p && end[-1] == ' ') {
        end--;
    }

    if (p < end && agg_cache_targeted_members(cc, p, end) == 0) {
        return 0;
    }

    agg_cache_control_init(cc);
    agg_cache_control_words(cc, data, data + len, AGG_CACHE_CC_REFUSALS);

    return -1;
}


static int
agg_cache_targeted_members(agg_cache_control_t *cc, const u_char *p,
    const u_char *end)
{
    int               boolean;
    const u_char     *start;
    agg_cache_str_t   name, integer;

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

        start = p;

        p = agg_cache_item(p, end, &integer, &boolean);

        if (p == NULL) {
            return -1;
        }

        agg_cache_targeted_set(cc, &name, &integer, boolean);

        /*
         * "max-age=60; private" is valid here, and its parameter has no
         * meaning, but it was probably meant as a directive
         */

        while (start != NULL && start < p && *start != ';') {
            start = (*start == '"') ? agg_cache_quoted(start, p) : start + 1;
        }

        if (start != NULL) {
            agg_cache_control_words(cc, start, p, AGG_CACHE_CC_REFUSALS);
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


/*
 * the last one of equal members is used, as in RFC 8941, but a restriction is
 * never taken back
 */

static void
agg_cache_targeted_set(agg_cache_control_t *cc, const agg_cache_str_t *name,
    const agg_cache_str_t *integer, int boolean)
{
    int64_t                      *field, seconds;
    const agg_cache_directive_t  *directive;

    directive = agg_cache_directive(name);

    if (directive == NULL) {
        return;
    }

    if (directive->type == AGG_CACHE_LIFETIME) {

        seconds = agg_cache_seconds(integer->data, integer->len);

        /*
         * a value of another type makes the response stale, and permits nothing
         */

        if (seconds == AGG_CACHE_UNSET) {
            seconds = 0;
            cc->flags |= directive->flag;

        } else {
            cc->flags &= ~directive->flag;
        }

        field = (int64_t *) (void *) ((char *) cc + directive->offset);
        *field = seconds;

        return;
    }

    if (directive->type == AGG_CACHE_PERMISSION) {
        cc->flags &= ~directive->flag;
        cc->flags |= (boolean == 1) ? directive->flag : 0;
        return;
    }

    /* with a value, such as the qualified "private", it applies as a whole */

    cc->flags |= (boolean != 0) ? directive->flag : 0;
}


/* an item or inner list with its parameters; boolean: -1: it is not one */

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

            if (!agg_is_token(*p) && *p != '/' && *p != '=') {
                return NULL;
            }
        }

        return p < end ? p + 1 : NULL;
    }

    if (*p != '*' && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')) {
        return NULL;
    }

    while (p < end && (agg_is_token(*p) || *p == ':' || *p == '/')) {
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
