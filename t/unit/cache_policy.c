
/*
 * Storability and freshness, one row for one sentence of an RFC.
 *
 * sources: cache/agg_cache_policy.c
 * sources: cache/agg_cache_key.c
 */

#include <stdio.h>
#include <string.h>

#include "agg_cache_policy.h"


#define NOW    1000000
#define UNSET  AGG_CACHE_UNSET

#define GET    AGG_CACHE_RESP_GET
#define CRED   AGG_CACHE_RESP_CREDENTIALS

#define VALIDATOR  AGG_CACHE_RESP_VALIDATOR


typedef struct {
    const char           *section;
    unsigned              flags;
    unsigned              status;
    const char           *control;
    const char           *targeted;
    int64_t               expires;    /* relative to NOW */
    int64_t               date;       /* relative, or UNSET */
    int64_t               age;
    int64_t               delay;
    int64_t               accel;
    int64_t               valid;
    int64_t               ttl;
    int64_t               conf_updating;
    int64_t               conf_error;

    agg_cache_reason_e   verdict;
    int64_t               left;       /* fresh for, from NOW */
    int64_t               updating;
    int64_t               error;
    unsigned              shared;
} row_t;


#define RESP(section, flags, status, cc)                                     \
    section, flags, status, cc, NULL, 0, UNSET, UNSET, 0, 0
#define CONF_NONE  UNSET, UNSET, UNSET, UNSET
#define NO(verdict)  AGG_CACHE_NO_ ## verdict, 0, 0, 0, 0
#define YES(left, updating, error, shared)                                   \
    AGG_CACHE_STORE, left, updating, error, shared


static void fill_response(agg_cache_response_t *resp, const char *control,
    const char *targeted, int64_t accel, unsigned until, int64_t valid);


static const row_t  rows[] = {

    /* RFC 9111, 3: storing responses */

    { RESP("9111 3: explicit freshness", GET, 200, "max-age=60"),
      CONF_NONE, YES(60, 0, 0, 0) },
    { RESP("9111 3: the method is understood", 0, 200, "max-age=60"),
      CONF_NONE, NO(METHOD) },
    { RESP("9111 3: the status is final", GET, 100, "max-age=60"),
      CONF_NONE, NO(STATUS) },
    { RESP("9111 3: 206 only by a cache of ranges", GET, 206, "max-age=60"),
      CONF_NONE, NO(STATUS) },
    { RESP("9111 3: 304 is no response to store", GET, 304, "max-age=60"),
      CONF_NONE, NO(STATUS) },
    { RESP("9111 3: 404 with explicit freshness", GET, 404, "max-age=5"),
      CONF_NONE, YES(5, 0, 0, 0) },
    { RESP("9111 3: 503 with explicit freshness", GET, 503, "max-age=5"),
      CONF_NONE, YES(5, 0, 0, 0) },
    { RESP("9111 3: no-store", GET, 200, "no-store"),
      CONF_NONE, NO(DIRECTIVE) },
    { RESP("9111 3: no-store beside max-age", GET, 200,
           "max-age=60, no-store"), CONF_NONE, NO(DIRECTIVE) },
    { RESP("9111 3: private in a shared cache", GET, 200,
           "max-age=60, private"), CONF_NONE, NO(PRIVATE) },
    { RESP("9111 3: nothing states freshness", GET, 200, NULL),
      CONF_NONE, NO(FRESHNESS) },
    { RESP("9111 3.3: an incomplete part", GET|AGG_CACHE_RESP_RANGE, 200,
           "max-age=60"), CONF_NONE, NO(RANGE) },

    /* 3.5: Authorization */

    { RESP("9111 3.5: Authorization", GET|CRED, 200, "max-age=60"),
      CONF_NONE, NO(CREDENTIALS) },
    { RESP("9111 3.5: public allows", GET|CRED, 200, "public, max-age=60"),
      CONF_NONE, YES(60, 0, 0, 1) },
    { RESP("9111 3.5: s-maxage allows", GET|CRED, 200, "s-maxage=60"),
      CONF_NONE, YES(60, 0, 0, 1) },
    { RESP("9111 3.5: must-revalidate is not enough here", GET|CRED, 200,
           "max-age=60, must-revalidate"), CONF_NONE, NO(CREDENTIALS) },
    { RESP("9111 3.5: a ttl does not allow", GET|CRED, 200, NULL),
      UNSET, 60, UNSET, UNSET, NO(CREDENTIALS) },
    { RESP("9111 3.5: not marked as shared by itself", GET, 200,
           "max-age=60"), CONF_NONE, YES(60, 0, 0, 0) },

    /* 4.1, 7.3, and what is stricter than the RFC */

    { RESP("9111 4.1: Vary: *", GET|AGG_CACHE_RESP_VARY_ANY, 200,
           "max-age=60"), CONF_NONE, NO(VARY) },
    { RESP("9111 7.3: Set-Cookie", GET|AGG_CACHE_RESP_SET_COOKIE, 200,
           "public, max-age=60"), CONF_NONE, NO(SET_COOKIE) },
    { RESP("a coding nobody asked for", GET|AGG_CACHE_RESP_ENCODED, 200,
           "max-age=60"), CONF_NONE, NO(ENCODED) },
    { RESP("a partial aggregate", GET|AGG_CACHE_RESP_PARTIAL, 200,
           "max-age=60"), CONF_NONE, NO(PARTIAL) },

    /* 4.2.1: calculating freshness lifetime */

    { RESP("9111 4.2.1: s-maxage before max-age", GET, 200,
           "max-age=60, s-maxage=10"), CONF_NONE, YES(10, 0, 0, 1) },
    { RESP("9111 4.2.1: names in any case", GET, 200, "MAX-Age=60"),
      CONF_NONE, YES(60, 0, 0, 0) },
    { RESP("9111 4.2.1: the lesser of duplicates", GET, 200,
           "max-age=60, max-age=30"), CONF_NONE, YES(30, 0, 0, 0) },
    { RESP("9111 4.2.1: no integer is stale", GET, 200, "max-age=1.5"),
      CONF_NONE, NO(STALE) },
    { RESP("9111 4.2.1: a negative value is stale", GET, 200, "max-age=-1"),
      CONF_NONE, NO(STALE) },
    { RESP("9111 4.2.1: an empty value is stale", GET, 200, "max-age="),
      CONF_NONE, NO(STALE) },
    { RESP("9111 4.2.1: no value is stale", GET, 200, "max-age"),
      CONF_NONE, NO(STALE) },
    { RESP("9111 4.2.1: a letter makes it stale", GET, 200, "max-age=60s"),
      CONF_NONE, NO(STALE) },
    { RESP("9111 5.2: the quoted form is accepted", GET, 200,
           "max-age=\"60\""), CONF_NONE, YES(60, 0, 0, 0) },
    { RESP("9111 5.2: a directive inside a string is none", GET, 200,
           "x=\"a, no-store\", max-age=60"), CONF_NONE, YES(60, 0, 0, 0) },
    { RESP("9111 5.2: an escape inside a string", GET, 200,
           "x=\"\\\", no-store\", max-age=60"), CONF_NONE,
      YES(60, 0, 0, 0) },
    { RESP("9111 5.2.3: unknown directives are ignored", GET, 200,
           "community=\"UCI\", max-age=60"), CONF_NONE, YES(60, 0, 0, 0) },
    { RESP("9111 5.2: empty list members", GET, 200, ",, max-age=60 ,"),
      CONF_NONE, YES(60, 0, 0, 0) },
    { RESP("9111 1.2.2: an overflow is 2^31", GET, 200,
           "max-age=99999999999999999999"), CONF_NONE,
      YES(AGG_CACHE_SECONDS_MAX, 0, 0, 0) },
    { RESP("9111 5.2.2.4: no-cache", GET, 200, "no-cache, max-age=60"),
      CONF_NONE, NO(CACHE) },
    { RESP("9111 5.2.2.4: its qualified form, taken whole", GET, 200,
           "no-cache=\"X\", max-age=60"), CONF_NONE, NO(CACHE) },
    { RESP("9111 5.2.2.4: no-cache, kept for its validator",
           GET|VALIDATOR, 200, "no-cache, max-age=60, stale-if-error=9"),
      UNSET, UNSET, 7, 8, YES(0, 0, 0, 0) },
    { RESP("no-cache before the configuration", GET|VALIDATOR, 200,
           "no-cache"), 30, 60, 7, 8, YES(0, 0, 0, 0) },
    { RESP("no-cache of a 404", GET|VALIDATOR, 404, "no-cache"),
      CONF_NONE, NO(CACHE) },
    { RESP("no-cache and private", GET|VALIDATOR, 200, "no-cache, private"),
      CONF_NONE, NO(PRIVATE) },
    { RESP("9111 5.2.2.7: private, qualified, taken whole", GET, 200,
           "private=\"X\", max-age=60"), CONF_NONE, NO(PRIVATE) },
    { RESP("9111 5.2.1.5: no-store of the request",
           GET|AGG_CACHE_RESP_REQ_NO_STORE, 200, "max-age=60"),
      CONF_NONE, NO(REQUEST) },

    /* a value that does not parse has the strictest reading */

    { RESP("malformed: a semicolon", GET, 200, "max-age=60; private"),
      CONF_NONE, NO(PRIVATE) },
    { RESP("malformed: no blank", GET, 200, "max-age=60;no-store"),
      CONF_NONE, NO(DIRECTIVE) },
    { RESP("malformed: a blank", GET, 200, "max-age=60 private"),
      CONF_NONE, NO(PRIVATE) },
    { RESP("malformed: a ttl does not help", GET, 200,
           "must-revalidate; private"), 30, 60, UNSET, UNSET, NO(PRIVATE) },
    { RESP("malformed: rubbish behind the value", GET, 200,
           "max-age=60; public"), 30, 60, UNSET, UNSET, NO(STALE) },
    { RESP("malformed: rubbish before the name", GET, 200,
           "; max-age=60"), 30, 60, UNSET, UNSET, NO(STALE) },
    { RESP("malformed: blanks around the sign", GET, 200, "max-age = 60"),
      30, 60, UNSET, UNSET, NO(STALE) },
    { RESP("malformed: one element, not the others", GET, 200,
           "foo bar, max-age=60"), CONF_NONE, YES(60, 0, 0, 0) },
    { RESP("malformed: any separator", GET, 200, "max-age=60/private"),
      CONF_NONE, NO(PRIVATE) },
    { RESP("malformed: a separator that tokens have", GET, 200,
           "public|private, max-age=60"), CONF_NONE, NO(PRIVATE) },
    { RESP("malformed: one in a value", GET, 200, "max-age=60|private"),
      CONF_NONE, NO(PRIVATE) },
    { RESP("malformed: another coding", GET, 200,
           "max-age=60,\xc2\xa0private"), CONF_NONE, NO(PRIVATE) },
    { RESP("malformed: quoted", GET, 200, "max-age=60, \"private\""),
      CONF_NONE, NO(PRIVATE) },
    { RESP("malformed: a value of several", GET, 200,
           "max-age=\"60, private\""), CONF_NONE, NO(PRIVATE) },
    { RESP("malformed: a string without an end", GET, 200,
           "public, max-age=60, x=\"y"), 30, 60, UNSET, UNSET, NO(STALE) },
    { RESP("malformed: strings are looked into", GET, 200,
           "x=\"a, private\", max-age=60, foo bar"), CONF_NONE,
      NO(PRIVATE) },
    { RESP("malformed: nothing in it permits", GET|CRED, 200,
           "public;x, max-age=60"), CONF_NONE, NO(CREDENTIALS) },
    { RESP("malformed: public has no value", GET|CRED, 200,
           "public=1, max-age=60"), CONF_NONE, NO(CREDENTIALS) },
    { RESP("malformed: no s-maxage permits", GET|CRED, 200,
           "s-maxage=60;x, public, max-age=60"), CONF_NONE,
      NO(CREDENTIALS) },
    { RESP("malformed: stale-if-error", GET, 200,
           "max-age=60, stale-if-error=60 x"), UNSET, UNSET, 7, 8,
      YES(60, 7, 0, 0) },
    { RESP("malformed: must-revalidate", GET, 200,
           "max-age=60, x;must-revalidate"), UNSET, UNSET, 7, 8,
      YES(60, 0, 0, 0) },
    { RESP("whole words", GET, 200, "x-private no-storex, max-age=60"),
      CONF_NONE, YES(60, 0, 0, 0) },

    /* 5.3: Expires */

    { "9111 5.3: Expires less Date", GET|AGG_CACHE_RESP_EXPIRES, 200, NULL,
      NULL, 50, -10, UNSET, 0, 0, CONF_NONE, YES(50, 0, 0, 0) },
    { "9111 5.3: without Date, from now", GET|AGG_CACHE_RESP_EXPIRES, 200,
      NULL, NULL, 50, UNSET, UNSET, 0, 0, CONF_NONE, YES(50, 0, 0, 0) },
    { "9111 5.3: max-age before Expires", GET|AGG_CACHE_RESP_EXPIRES, 200,
      "max-age=20", NULL, 50, 0, UNSET, 0, 0, CONF_NONE, YES(20, 0, 0, 0) },
    { "9111 5.3: an invalid date is in the past",
      GET|AGG_CACHE_RESP_EXPIRES, 200, NULL, NULL, -NOW, 0, UNSET, 0, 0,
      UNSET, 60, UNSET, UNSET, NO(STALE) },

    /* 4.2.3: calculating age */

    { "9111 4.2.3: Age is taken off", GET, 200, "max-age=60", NULL, 0, UNSET,
      15, 0, 0, CONF_NONE, YES(45, 0, 0, 0) },
    { "9111 4.2.3: the delay is added", GET, 200, "max-age=60", NULL, 0,
      UNSET, 15, 5, 0, CONF_NONE, YES(40, 0, 0, 0) },
    { "9111 4.2.3: apparent age by Date", GET, 200, "max-age=60", NULL, 0,
      -20, UNSET, 0, 0, CONF_NONE, YES(40, 0, 0, 0) },
    { "9111 4.2.3: the greater of both", GET, 200, "max-age=60", NULL, 0,
      -20, 30, 2, 0, CONF_NONE, YES(28, 0, 0, 0) },
    { "9111 4.2.3: a Date in the future is no age", GET, 200, "max-age=60",
      NULL, 0, 20, UNSET, 0, 0, CONF_NONE, YES(60, 0, 0, 0) },
    { "9111 4.2: older than its lifetime", GET, 200, "max-age=60", NULL, 0,
      UNSET, 60, 0, 0, CONF_NONE, NO(STALE) },

    /* RFC 5861 */

    { RESP("5861 3: stale-while-revalidate", GET, 200,
           "max-age=60, stale-while-revalidate=30"), CONF_NONE,
      YES(60, 30, 0, 0) },
    { RESP("5861 4: stale-if-error", GET, 200,
           "max-age=60, stale-if-error=300"), CONF_NONE,
      YES(60, 0, 300, 0) },
    { RESP("5861: before the configuration", GET, 200,
           "max-age=60, stale-if-error=300, stale-while-revalidate=30"),
      UNSET, UNSET, 7, 8, YES(60, 30, 300, 0) },
    { RESP("the configuration's windows", GET, 200, "max-age=60"),
      UNSET, UNSET, 7, 8, YES(60, 7, 8, 0) },
    { RESP("9111 5.2.2.2: must-revalidate forbids stale", GET, 200,
           "max-age=60, must-revalidate, stale-if-error=300"),
      UNSET, UNSET, 7, 8, YES(60, 0, 0, 0) },
    { RESP("9111 5.2.2.8: proxy-revalidate forbids stale", GET, 200,
           "max-age=60, proxy-revalidate, stale-if-error=300"),
      UNSET, UNSET, 7, 8, YES(60, 0, 0, 0) },
    { RESP("9111 5.2.2.10: s-maxage forbids stale", GET, 200,
           "s-maxage=60"), UNSET, UNSET, 7, 8, YES(60, 0, 0, 1) },
    { RESP("9111 5.2.2.10: unless it is stated", GET, 200,
           "s-maxage=60, stale-if-error=300"), UNSET, UNSET, 7, 8,
      YES(60, 0, 300, 1) },
    { RESP("5861: stale at once, but usable", GET, 200,
           "max-age=0, stale-while-revalidate=30"), CONF_NONE,
      YES(0, 30, 0, 0) },

    /* RFC 9213 */

    { "9213 2.2: before Cache-Control", GET, 200, "max-age=60", "max-age=10",
      0, UNSET, UNSET, 0, 0, CONF_NONE, YES(10, 0, 0, 0) },
    { "9213 2.2: Cache-Control is ignored", GET, 200,
      "no-cache, max-age=5, must-revalidate",
      "max-age=10, stale-if-error=7", 0, UNSET, UNSET, 0, 0, CONF_NONE,
      YES(10, 0, 7, 0) },
    { "9213 2.2: its no-store too", GET, 200, "no-store", "max-age=10", 0,
      UNSET, UNSET, 0, 0, CONF_NONE, YES(10, 0, 0, 0) },
    { "9213 2.2: and its private", GET, 200, "private", "public, max-age=10",
      0, UNSET, UNSET, 0, 0, CONF_NONE, YES(10, 0, 0, 1) },
    { "9213 2.1: not valid, but says private", GET, 200, "max-age=60",
      "max-age = 10, private", 0, UNSET, UNSET, 0, 0, CONF_NONE,
      NO(PRIVATE) },
    { "9213 2.1: no-store as a parameter", GET, 200, "max-age=60",
      "max-age=10; no-store", 0, UNSET, UNSET, 0, 0, CONF_NONE,
      NO(DIRECTIVE) },
    { "9213 2.1: private with a value", GET, 200, "max-age=60",
      "max-age=10, private=\"x\"", 0, UNSET, UNSET, 0, 0, CONF_NONE,
      NO(PRIVATE) },
    { "9213 2.1: s-maxage of another type", GET|CRED, 200, NULL,
      "s-maxage=1.5, max-age=10", 0, UNSET, UNSET, 0, 0, CONF_NONE,
      NO(CREDENTIALS) },
    { "9213 2.2: Expires is ignored", GET|AGG_CACHE_RESP_EXPIRES, 200, NULL,
      "public", 50, 0, UNSET, 0, 0, CONF_NONE, NO(FRESHNESS) },
    { "9213 2.2: its own no-store", GET, 200, "max-age=60", "no-store",
      0, UNSET, UNSET, 0, 0, CONF_NONE, NO(DIRECTIVE) },
    { "9213 2.2: its own private", GET, 200, "public, max-age=60",
      "private, max-age=10", 0, UNSET, UNSET, 0, 0, CONF_NONE, NO(PRIVATE) },
    { "9213 2.2: public of Cache-Control does not count", GET|CRED, 200,
      "public, max-age=60", "max-age=10", 0, UNSET, UNSET, 0, 0, CONF_NONE,
      NO(CREDENTIALS) },
    { "9213 2.1: no dictionary, so ignored", GET, 200, "max-age=60",
      "max-age = 10", 0, UNSET, UNSET, 0, 0, CONF_NONE, YES(60, 0, 0, 0) },
    { "9213 2.1: empty, so ignored", GET, 200, "max-age=60", "  ",
      0, UNSET, UNSET, 0, 0, CONF_NONE, YES(60, 0, 0, 0) },
    { "9213 2.1: a string is no integer", GET, 200, "max-age=60",
      "max-age=\"10\"", 0, UNSET, UNSET, 0, 0, CONF_NONE, NO(STALE) },
    { "9213 2.1: a trailing comma is invalid", GET, 200, "max-age=60",
      "max-age=10,", 0, UNSET, UNSET, 0, 0, CONF_NONE, YES(60, 0, 0, 0) },
    { "8941 3.2: the last of equal keys", GET, 200, NULL,
      "max-age=10, max-age=20", 0, UNSET, UNSET, 0, 0, CONF_NONE,
      YES(20, 0, 0, 0) },
    { "8941 3.2: a false boolean", GET, 200, NULL,
      "no-store=?0, max-age=20", 0, UNSET, UNSET, 0, 0, CONF_NONE,
      YES(20, 0, 0, 0) },
    { "8941 3.1.2: parameters are passed over", GET, 200, NULL,
      "max-age=20;a=1;b=\"x,y\", foo=(1 2;q=1 \"z\");x", 0, UNSET, UNSET, 0,
      0, CONF_NONE, YES(20, 0, 0, 0) },
    { "9213: Age counts", GET, 200, NULL, "max-age=20", 0, UNSET, 5, 0, 0,
      CONF_NONE, YES(15, 0, 0, 0) },

    /* X-Accel-Expires, the configuration */

    { "X-Accel-Expires before all", GET|AGG_CACHE_RESP_ACCEL, 200,
      "max-age=60", "max-age=10", 0, UNSET, UNSET, 0, 5, CONF_NONE,
      YES(5, 0, 0, 0) },
    { "X-Accel-Expires: 0", GET|AGG_CACHE_RESP_ACCEL, 200, "max-age=60", NULL,
      0, UNSET, UNSET, 0, 0, CONF_NONE, NO(FRESHNESS) },
    { "X-Accel-Expires before private", GET|AGG_CACHE_RESP_ACCEL, 200,
      "private, must-revalidate", "no-store", 0, UNSET, UNSET, 0, 5, UNSET,
      UNSET, 7, 8, YES(5, 7, 8, 0) },
    { "X-Accel-Expires permits no credentials",
      GET|CRED|AGG_CACHE_RESP_ACCEL, 200, "private, public", NULL, 0, UNSET,
      UNSET, 0, 5, CONF_NONE, NO(CREDENTIALS) },
    { "X-Accel-Expires beside public", GET|CRED|AGG_CACHE_RESP_ACCEL, 200,
      "public", NULL, 0, UNSET, UNSET, 0, 5, CONF_NONE, YES(5, 0, 0, 1) },
    { "X-Accel-Expires from the arrival", GET|AGG_CACHE_RESP_ACCEL, 200,
      NULL, NULL, 0, -1000, UNSET, 3, 5, CONF_NONE, YES(5, 0, 0, 0) },
    { "X-Accel-Expires less Age", GET|AGG_CACHE_RESP_ACCEL, 200,
      NULL, NULL, 0, -1000, 2, 3, 5, CONF_NONE, YES(3, 0, 0, 0) },
    { "X-Accel-Expires, a time",
      GET|AGG_CACHE_RESP_ACCEL|AGG_CACHE_RESP_ACCEL_UNTIL, 200, NULL, NULL,
      0, UNSET, 2, 0, 5, CONF_NONE, YES(5, 0, 0, 0) },
    { "valid from the arrival", GET, 200, NULL, NULL, 0, -1000, 2, 3, 0, 30,
      UNSET, UNSET, UNSET, YES(28, 0, 0, 0) },
    { "ttl from the arrival", GET, 200, NULL, NULL, 0, -1000, UNSET, 3, 0,
      UNSET, 30, UNSET, UNSET, YES(30, 0, 0, 0) },
    { RESP("valid before ttl", GET, 200, NULL), 30, 60, UNSET, UNSET,
      YES(30, 0, 0, 0) },
    { RESP("a valid of 0", GET, 200, NULL), 0, 60, UNSET, UNSET,
      NO(FRESHNESS) },
    { RESP("ttl of a 200", GET, 200, NULL), UNSET, 60, UNSET, UNSET,
      YES(60, 0, 0, 0) },
    { RESP("no ttl for a 404", GET, 404, NULL), UNSET, 60, UNSET, UNSET,
      NO(FRESHNESS) },
    { RESP("the response before both", GET, 200, "max-age=5"), 30, 60, UNSET,
      UNSET, YES(5, 0, 0, 0) },
    { RESP("max-age=0 before both", GET, 200, "max-age=0"), 30, 60, UNSET,
      UNSET, NO(STALE) },
};


static unsigned  checks;
static unsigned  failed;


static void
check(int ok, const char *what, const char *section, long got, long wanted)
{
    checks++;

    if (!ok) {
        failed++;
        printf("%s: %s: got %ld, wanted %ld\n", section, what, got, wanted);
    }
}


static void
check_row(const row_t *row)
{
    agg_cache_reason_e     verdict;
    agg_cache_response_t   resp;
    agg_cache_freshness_t  fresh;

    memset(&resp, 0, sizeof(resp));
    memset(&fresh, 0, sizeof(fresh));

    resp.flags = row->flags;
    resp.status = row->status;

    agg_cache_control_init(&resp.control);

    if (row->control) {
        agg_cache_control_parse(&resp.control,
                                (const u_char *) row->control,
                                strlen(row->control));
    }

    if (row->targeted) {

        if (agg_cache_targeted_parse(&resp.targeted,
                                     (const u_char *) row->targeted,
                                     strlen(row->targeted))
            == 0)
        {
            resp.flags |= AGG_CACHE_RESP_TARGETED;

        } else {
            resp.control.flags |= resp.targeted.flags;
        }
    }

    resp.accel = row->accel;
    resp.expires = NOW + row->expires;
    resp.date = (row->date == UNSET) ? UNSET : NOW + row->date;
    resp.age = row->age;
    resp.delay = row->delay;
    resp.received = NOW;
    resp.valid = row->valid;
    resp.ttl = row->ttl;
    resp.stale_updating = row->conf_updating;
    resp.stale_error = row->conf_error;

    verdict = agg_cache_check_storable(&resp, &fresh);

    check(verdict == row->verdict, "verdict", row->section, (long) verdict,
          (long) row->verdict);

    if (verdict != AGG_CACHE_STORE || row->verdict != AGG_CACHE_STORE) {
        return;
    }

    check(fresh.fresh - agg_cache_age(&fresh, NOW) == row->left, "fresh",
          row->section, (long) (fresh.fresh - agg_cache_age(&fresh, NOW)),
          (long) row->left);
    check(fresh.updating == row->updating, "updating", row->section,
          (long) fresh.updating, (long) row->updating);
    check(fresh.error == row->error, "error", row->section,
          (long) fresh.error, (long) row->error);
    check((fresh.flags & AGG_CACHE_SHARED) == row->shared, "shared",
          row->section, (long) fresh.flags, (long) row->shared);
}


/* a 304 of 100 seconds later, which is merged with what is stored */

static void
check_kept(void)
{
    size_t                 i;
    agg_cache_reason_e     verdict;
    agg_cache_response_t   resp;
    agg_cache_freshness_t  fresh;

    static const struct {
        const char          *what;
        const char          *targeted;    /* of the 200 */
        const char          *control;
        int64_t              accel;       /* or UNSET */
        unsigned             until;
        const char          *merged;      /* Cache-Control after the 304 */
        const char          *update;      /* CDN-Cache-Control of the 304 */
        int64_t              update_accel;
        int64_t              valid;

        agg_cache_reason_e   verdict;
        int64_t              fresh;
        int64_t              updating;
        unsigned             shared;
    } cases[] = {
        { "X-Accel-Expires", NULL, "max-age=9", 50, 0,
          "max-age=9", NULL, UNSET, UNSET, AGG_CACHE_STORE, 50, 0, 0 },
        { "X-Accel-Expires alone", NULL, NULL, 50, 0,
          NULL, NULL, UNSET, UNSET, AGG_CACHE_STORE, 50, 0, 0 },
        { "X-Accel-Expires before CDN-Cache-Control", NULL, NULL, 50, 0,
          NULL, "max-age=9", UNSET, UNSET, AGG_CACHE_STORE, 50, 0, 0 },
        { "another X-Accel-Expires", NULL, NULL, 50, 0,
          NULL, NULL, 7, UNSET, AGG_CACHE_STORE, 7, 0, 0 },
        { "a time", NULL, NULL, 150, AGG_CACHE_RESP_ACCEL_UNTIL,
          NULL, NULL, UNSET, UNSET, AGG_CACHE_STORE, 50, 0, 0 },
        { "a time that is over", NULL, NULL, 90, AGG_CACHE_RESP_ACCEL_UNTIL,
          NULL, NULL, UNSET, UNSET, AGG_CACHE_NO_FRESHNESS, 0, 0, 0 },
        { "CDN-Cache-Control", "max-age=50", "max-age=9", UNSET, 0,
          "max-age=9", NULL, UNSET, UNSET, AGG_CACHE_STORE, 50, 0, 0 },
        { "CDN-Cache-Control before private", "max-age=50", "private", UNSET,
          0, "private", NULL, UNSET, UNSET, AGG_CACHE_STORE, 50, 0, 0 },
        { "another CDN-Cache-Control", "max-age=50", NULL, UNSET, 0,
          NULL, "max-age=7", UNSET, UNSET, AGG_CACHE_STORE, 7, 0, 0 },
        { "a new X-Accel-Expires", "max-age=50", NULL, UNSET, 0,
          NULL, NULL, 7, UNSET, AGG_CACHE_STORE, 7, 0, 0 },
        { "all of CDN-Cache-Control",
          "max-age=50, public, stale-while-revalidate=5", NULL, UNSET, 0,
          "max-age=9", NULL, UNSET, UNSET, AGG_CACHE_STORE, 50, 5, 1 },
        { "s-maxage of CDN-Cache-Control", "s-maxage=50", NULL, UNSET, 0,
          "max-age=9", NULL, UNSET, UNSET, AGG_CACHE_STORE, 50, 0, 1 },
        { "no-cache of CDN-Cache-Control", "no-cache", "max-age=9", UNSET, 0,
          "max-age=9", NULL, UNSET, 30, AGG_CACHE_STORE, 0, 0, 0 },
        { "must-revalidate of CDN-Cache-Control", "max-age=5, must-revalidate",
          NULL, UNSET, 0, "max-age=9, stale-while-revalidate=60", NULL, UNSET,
          UNSET, AGG_CACHE_STORE, 5, 0, 0 },
        { "CDN-Cache-Control without a lifetime", "public", "private", UNSET,
          0, "private", NULL, UNSET, 30, AGG_CACHE_STORE, 30, 0, 1 },
        { "a hidden Cache-Control", NULL, "max-age=50", UNSET, 0,
          NULL, NULL, UNSET, 30, AGG_CACHE_STORE, 50, 0, 0 },
        { "Cache-Control of the 304", NULL, "max-age=50", UNSET, 0,
          "public", NULL, UNSET, 30, AGG_CACHE_STORE, 30, 0, 1 },
        { "no-store of the 304", NULL, "max-age=50", UNSET, 0,
          "no-store", NULL, UNSET, 30, AGG_CACHE_NO_DIRECTIVE, 0, 0, 0 },
        { "the configuration", NULL, NULL, UNSET, 0,
          NULL, NULL, UNSET, 30, AGG_CACHE_STORE, 30, 0, 0 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fill_response(&resp, cases[i].control, cases[i].targeted,
                      cases[i].accel, cases[i].until, 40);

        check(agg_cache_check_storable(&resp, &fresh) == AGG_CACHE_STORE,
              "200", cases[i].what, 0, 0);

        fill_response(&resp, cases[i].merged, cases[i].update,
                      cases[i].update_accel, 0, cases[i].valid);

        resp.received += 100;

        agg_cache_keep_freshness(&resp, &fresh);
        verdict = agg_cache_check_storable(&resp, &fresh);

        check(verdict == cases[i].verdict, "verdict", cases[i].what,
              (long) verdict, (long) cases[i].verdict);

        if (verdict != AGG_CACHE_STORE) {
            continue;
        }

        check(fresh.fresh == cases[i].fresh, "kept", cases[i].what,
              (long) fresh.fresh, (long) cases[i].fresh);
        check(fresh.updating == cases[i].updating, "updating", cases[i].what,
              (long) fresh.updating, (long) cases[i].updating);
        check((fresh.flags & AGG_CACHE_SHARED) == cases[i].shared, "shared",
              cases[i].what, (long) fresh.flags, (long) cases[i].shared);
    }
}


static void
fill_response(agg_cache_response_t *resp, const char *control,
    const char *targeted, int64_t accel, unsigned until, int64_t valid)
{
    memset(resp, 0, sizeof(agg_cache_response_t));

    resp->flags = GET|VALIDATOR|until;
    resp->status = 200;

    agg_cache_control_init(&resp->control);

    if (control) {
        resp->flags |= AGG_CACHE_RESP_CONTROL;
        agg_cache_control_parse(&resp->control, (const u_char *) control,
                                strlen(control));
    }

    if (targeted) {
        resp->flags |= AGG_CACHE_RESP_TARGETED;
        (void) agg_cache_targeted_parse(&resp->targeted,
                                        (const u_char *) targeted,
                                        strlen(targeted));
    }

    if (accel != UNSET) {
        resp->flags |= AGG_CACHE_RESP_ACCEL;
        resp->accel = accel;
    }

    resp->date = UNSET;
    resp->received = NOW;
    resp->valid = valid;
    resp->ttl = UNSET;
    resp->stale_updating = UNSET;
    resp->stale_error = UNSET;
}


/* other nodes can read what any node stores */

static void
check_limits(void)
{
    size_t                 i;
    agg_cache_reason_e     verdict;
    agg_cache_response_t   resp;
    agg_cache_freshness_t  fresh;

    static const struct {
        const char  *what;
        const char  *control;
        int64_t      age;
        int64_t      valid;
        int64_t      ttl;
        int64_t      stale;
        int64_t      left;
        int64_t      stale_left;
    } cases[] = {
        { "aggregate_cache_valid", NULL, UNSET, 3153600000, UNSET, UNSET,
          2147483647, 0 },
        { "aggregate_cache_ttl", NULL, UNSET, UNSET, 3153600000, UNSET,
          2147483647, 0 },
        { "aggregate_cache_stale", "max-age=60", UNSET, UNSET, UNSET,
          3153600000, 60, 2147483647 },
        { "an age beyond the epoch", "max-age=2147483647", 2147483000, UNSET,
          UNSET, UNSET, 647, 0 },
        { "an age and a configured time", NULL, 2147483000, 3153600000,
          UNSET, UNSET, 647, 0 },
        { "an age beyond the lifetime", "max-age=60", 2147483000, UNSET,
          UNSET, 3153600000, -NOW, 2147483647 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fill_response(&resp, cases[i].control, NULL, UNSET, 0,
                      cases[i].valid);

        resp.age = cases[i].age;
        resp.ttl = cases[i].ttl;
        resp.stale_updating = cases[i].stale;
        resp.stale_error = cases[i].stale;

        verdict = agg_cache_check_storable(&resp, &fresh);

        check(verdict == AGG_CACHE_STORE, "verdict", cases[i].what,
              (long) verdict, 0);
        check(fresh.fresh - agg_cache_age(&fresh, NOW) == cases[i].left,
              "left", cases[i].what,
              (long) (fresh.fresh - agg_cache_age(&fresh, NOW)),
              (long) cases[i].left);
        check(fresh.fresh >= 0 && fresh.fresh <= AGG_CACHE_SECONDS_MAX
              && fresh.origin >= 0, "limits", cases[i].what,
              (long) fresh.fresh, (long) fresh.origin);
        check(fresh.updating == cases[i].stale_left
              && fresh.error == cases[i].stale_left, "stale", cases[i].what,
              (long) fresh.updating, (long) cases[i].stale_left);
    }
}


static void
check_age(void)
{
    size_t  i;

    static const struct {
        const char  *value;
        int64_t      age;
    } ages[] = {
        { "7200", 7200 },
        { "7200, 0", 7200 },
        { ", 7200", 7200 },
        { "0, 7200", 0 },
        { "7200.5", 7200 },
        { "7200;x", 7200 },
        { "-5", UNSET },
        { "x, 5", UNSET },
        { "", UNSET },
        { "99999999999", AGG_CACHE_SECONDS_MAX },
    };

    for (i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
        check(agg_cache_age_parse((const u_char *) ages[i].value,
                                  strlen(ages[i].value))
              == ages[i].age, "age", ages[i].value,
              (long) agg_cache_age_parse((const u_char *) ages[i].value,
                                         strlen(ages[i].value)),
              (long) ages[i].age);
    }
}


static void
check_request(void)
{
    agg_cache_control_t  cc;

    agg_cache_control_init(&cc);
    agg_cache_control_parse(&cc, (const u_char *) "Only-If-Cached", 14);

    check(cc.flags == AGG_CACHE_CC_ONLY_IF_CACHED, "flags",
          "9111 5.2.1.7: only-if-cached", (long) cc.flags,
          AGG_CACHE_CC_ONLY_IF_CACHED);

    agg_cache_control_init(&cc);
    agg_cache_control_parse(&cc, (const u_char *) "no-storex, xprivate", 19);

    check(cc.flags == 0, "flags", "whole names only", (long) cc.flags, 0);
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(&rows[i]);
    }

    check_kept();
    check_limits();
    check_age();
    check_request();

    if (failed) {
        printf("%u of %u checks failed\n", failed, checks);
        return 1;
    }

    printf("ok cache_policy: %u checks\n", checks);

    return 0;
}
