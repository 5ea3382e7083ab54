
/*
 * Cache-Control against a slow reference: a line that is valid by the grammar
 * means exactly what the RFC says; any other is never fresher and never more
 * public than the strictest of its readings, whether the commas in its quoted
 * strings part elements or not.
 *
 * Lines are parted by a newline in the input.
 *
 * sources: cache/agg_cache_key.c
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agg_cache_control.h"


#define TCHARS  "!#$%&'*+-.^_`|~0123456789"                                  \
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define WORD    "-_0123456789"                                               \
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


typedef struct {
    int       permits;      /* public, or s-maxage */
    int       refuses[5];
    int64_t   age[4];
} reading_t;


static const char  *restrictions[] = {
    "no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate"
};

static const unsigned  flags[] = {
    AGG_CACHE_CC_NO_STORE, AGG_CACHE_CC_NO_CACHE, AGG_CACHE_CC_PRIVATE,
    AGG_CACHE_CC_MUST_REVALIDATE, AGG_CACHE_CC_PROXY_REVALIDATE
};

static const char  *lifetimes[] = {
    "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"
};


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
need(int ok)
{
    if (!ok) {
        abort();
    }
}


static int
in(const char *set, char c)
{
    return c != '\0' && strchr(set, c) != NULL;
}


/* where the element ends that begins at s */

static size_t
element_end(const char *s, size_t i, size_t len, int quotes)
{
    int  open;

    for (open = 0; i < len; i++) {

        if (s[i] == ',' && !open) {
            break;
        }

        if (s[i] == '"' && quotes) {
            open = !open;
        }

        if (s[i] == '\\' && open) {
            i++;
        }
    }

    return i > len ? len : i;
}


/* 1: an element of RFC 9111, with its name and its value */

static int
valid(const char *s, size_t len, char *name, char *value, int *has)
{
    size_t  i, n;

    for (i = 0; i < len && in(" \t", s[i]); i++) { /* void */ }
    for ( /* void */ ; len > i && in(" \t", s[len - 1]); len--) { /* void */ }

    *has = 0;
    name[0] = '\0';
    value[0] = '\0';

    if (i == len) {
        return 1;
    }

    for (n = 0; i < len && in(TCHARS, s[i]); i++) {
        name[n++] = s[i];
    }

    name[n] = '\0';

    if (n == 0 || strspn(name, WORD) != n) {
        return 0;
    }

    if (i == len) {
        return 1;
    }

    if (s[i++] != '=' || i == len) {
        return 0;
    }

    *has = 1;
    n = 0;

    if (s[i] != '"') {

        for ( /* void */ ; i < len && in(TCHARS, s[i]); i++) {
            value[n++] = s[i];
        }

        value[n] = '\0';

        return i == len;
    }

    for (i++; i < len && s[i] != '"'; i++) {

        if (s[i] == '\\') {
            value[n++] = s[i++];

            if (i == len) {
                return 0;
            }
        }

        value[n++] = s[i] ? s[i] : 1;
    }

    value[n] = '\0';

    return i + 1 == len;
}


static void
least(int64_t *a, int64_t b)
{
    if (*a == AGG_CACHE_UNSET || b < *a) {
        *a = b;
    }
}


static int
has_word(const char *s, size_t len, const char *word)
{
    size_t  i, n;

    n = strlen(word);

    for (i = 0; i + n <= len; i++) {

        if (strncasecmp(s + i, word, n) == 0
            && (i == 0 || !in(WORD, s[i - 1]))
            && (i + n == len || !in(WORD, s[i + n])))
        {
            return 1;
        }
    }

    return 0;
}


static void
words(reading_t *r, const char *s, size_t len)
{
    int  i;

    for (i = 0; i < 5; i++) {
        r->refuses[i] |= has_word(s, len, restrictions[i]);
    }

    for (i = 0; i < 4; i++) {
        if (has_word(s, len, lifetimes[i])) {
            least(&r->age[i], 0);
        }
    }
}


/* -1: the value is none of the directive */

static int
element(reading_t *r, const char *name, const char *value, int has)
{
    int       i;
    size_t    n;
    int64_t   seconds;

    for (i = 0; i < 5; i++) {
        r->refuses[i] |= (strcasecmp(name, restrictions[i]) == 0);
    }

    if (strcasecmp(name, "public") == 0) {

        if (has) {
            return -1;
        }

        r->permits = 1;
    }

    if (strcasecmp(name, "only-if-cached") == 0 && has) {
        return -1;
    }

    for (i = 0; i < 4; i++) {

        if (strcasecmp(name, lifetimes[i]) != 0) {
            continue;
        }

        n = strspn(value, "0123456789");

        if (n == 0 || value[n] != '\0') {
            return -1;
        }

        for (seconds = 0, n = 0; value[n] && seconds < 3000000000; n++) {
            seconds = seconds * 10 + value[n] - '0';
        }

        least(&r->age[i], seconds > AGG_CACHE_SECONDS_MAX
                          ? AGG_CACHE_SECONDS_MAX : seconds);

        r->permits |= (i == 1);
    }

    return 0;
}


/* 1: each element is valid */

static int
reading(reading_t *r, const char *s, size_t len, int quotes)
{
    int      has, all;
    char    *name, *value;
    size_t   i, end;

    name = malloc(len + 1);
    value = malloc(2 * len + 1);
    all = 1;

    for (i = 0; i < len; i = end + 1) {

        end = element_end(s, i, len, quotes);

        if (!valid(s + i, end - i, name, value, &has)
            || element(r, name, value, has) != 0)
        {
            words(r, s + i, end - i);
            all = 0;
        }
    }

    free(name);
    free(value);

    return all;
}


static void
init(reading_t *r)
{
    memset(r, 0, sizeof(*r));
    r->age[0] = r->age[1] = r->age[2] = r->age[3] = AGG_CACHE_UNSET;
}


static int64_t
lifetime(const agg_cache_control_t *cc, int i)
{
    return i == 0 ? cc->max_age : i == 1 ? cc->s_maxage
           : i == 2 ? cc->stale_updating : cc->stale_error;
}


static void
stricter(const agg_cache_control_t *cc, const reading_t *r)
{
    int  i;

    for (i = 0; i < 5; i++) {
        need(!r->refuses[i] || (cc->flags & flags[i]));
    }

    for (i = 0; i < 4; i++) {
        need(r->age[i] == AGG_CACHE_UNSET
             || (lifetime(cc, i) != AGG_CACHE_UNSET
                 && lifetime(cc, i) <= r->age[i]));
    }

    need(r->permits || !agg_cache_control_shared(cc));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                   i, all;
    char                 *text, *line, *end;
    size_t                len;
    reading_t             quoted, plain;
    agg_cache_control_t   cc;

    text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';

    agg_cache_control_init(&cc);
    init(&quoted);
    init(&plain);
    all = 1;

    for (line = text; line <= text + size; line = end + 1) {

        end = memchr(line, '\n', (size_t) (text + size - line));
        end = end ? end : text + size;
        len = (size_t) (end - line);

        agg_cache_control_parse(&cc, (u_char *) line, len);

        all &= reading(&quoted, line, len, 1);
        (void) reading(&plain, line, len, 0);
    }

    stricter(&cc, &quoted);

    if (all) {

        /* nor is it any stricter */

        for (i = 0; i < 5; i++) {
            need(!(cc.flags & flags[i]) == !quoted.refuses[i]);
        }

        for (i = 0; i < 4; i++) {
            need(lifetime(&cc, i) == quoted.age[i]);
        }

        need(agg_cache_control_shared(&cc) == quoted.permits);

    } else if (memchr(text, '\n', size) == NULL) {
        stricter(&cc, &plain);
    }

    free(text);

    return 0;
}
