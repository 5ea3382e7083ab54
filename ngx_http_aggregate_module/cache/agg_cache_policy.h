
/*
 * May a response be stored, how long is it fresh, how long may it be served
 * stale, and to whom.
 */

#ifndef _AGG_CACHE_POLICY_H_INCLUDED_
#define _AGG_CACHE_POLICY_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>

#include "agg_cache_control.h"
#include "agg_cache_key.h"


#pragma GCC visibility push(hidden)


/* agg_cache_response_t, flags */

#define AGG_CACHE_RESP_GET             0x0001  /* a GET without a body */
#define AGG_CACHE_RESP_SET_COOKIE      0x0002
#define AGG_CACHE_RESP_VARY_ANY        0x0004
#define AGG_CACHE_RESP_RANGE           0x0008  /* Content-Range */
#define AGG_CACHE_RESP_ENCODED         0x0010  /* Content-Encoding */
#define AGG_CACHE_RESP_PARTIAL         0x0020  /* the answer of an aggregate */
#define AGG_CACHE_RESP_CREDENTIALS     0x0040  /* asked with, see below */
#define AGG_CACHE_RESP_REQ_NO_STORE    0x0080
#define AGG_CACHE_RESP_TARGETED        0x0100  /* CDN-Cache-Control is valid */
#define AGG_CACHE_RESP_EXPIRES         0x0200
#define AGG_CACHE_RESP_ACCEL           0x0400  /* X-Accel-Expires */
#define AGG_CACHE_RESP_ACCEL_UNTIL     0x0800  /* its value is a time */
#define AGG_CACHE_RESP_VALIDATOR       0x1000  /* ETag or Last-Modified */
#define AGG_CACHE_RESP_VARY_MANY       0x2000  /* more names than are kept */
#define AGG_CACHE_RESP_CONTROL         0x4000  /* Cache-Control is there */


/*
 * The properties of a response.  CREDENTIALS: the request had Authorization
 * or Cookie, its identity is empty and the configuration ignores neither.
 * Headers that the configuration ignores are not filled in.
 */

typedef struct {
    unsigned             flags;
    unsigned             status;

    agg_cache_control_t  control;     /* Cache-Control */
    agg_cache_control_t  targeted;    /* CDN-Cache-Control */

    int64_t              accel;       /* seconds from now; 0: not cached */
    int64_t              expires;     /* a time; 0 or less: in the past */
    int64_t              date;        /* a time, or AGG_CACHE_UNSET */
    int64_t              age;         /* seconds, or AGG_CACHE_UNSET */

    int64_t              delay;       /* whole seconds since the request */
    int64_t              received;    /* now */

    int64_t              valid;       /* configured, or UNSET */
    int64_t              ttl;
    int64_t              stale_updating;
    int64_t              stale_error;
} agg_cache_response_t;


/*
 * Why a response is not stored, or not used.  agg_cache_check_storable()
 * returns the first ones, up to AGG_CACHE_NO_STALE; its callers use the others.
 */

typedef enum {
    AGG_CACHE_STORE = 0,
    AGG_CACHE_NO_METHOD,
    AGG_CACHE_NO_STATUS,
    AGG_CACHE_NO_RANGE,
    AGG_CACHE_NO_DIRECTIVE,
    AGG_CACHE_NO_CACHE,
    AGG_CACHE_NO_REQUEST,
    AGG_CACHE_NO_PRIVATE,
    AGG_CACHE_NO_SET_COOKIE,
    AGG_CACHE_NO_VARY,
    AGG_CACHE_NO_VARY_MANY,
    AGG_CACHE_NO_ENCODED,
    AGG_CACHE_NO_PARTIAL,
    AGG_CACHE_NO_CREDENTIALS,
    AGG_CACHE_NO_FRESHNESS,
    AGG_CACHE_NO_STALE,

    AGG_CACHE_NO_CONFIGURATION,
    AGG_CACHE_NO_BYPASS,
    AGG_CACHE_NO_KEY,
    AGG_CACHE_NO_BODY,
    AGG_CACHE_NO_ERROR,
    AGG_CACHE_NO_REJECTED,
    AGG_CACHE_NO_REDIRECTED,
    AGG_CACHE_NO_SUBREQUESTS,
    AGG_CACHE_NO_LARGE,
    AGG_CACHE_NO_HEADER,
    AGG_CACHE_NO_INCOMPLETE,
    AGG_CACHE_NO_TAGS,
    AGG_CACHE_NO_HIT_FOR_MISS,
    AGG_CACHE_NO_ROOM
} agg_cache_reason_e;


/*
 * agg_cache_freshness_t, flags; they are stored with the entry.  STATED: by
 * CDN-Cache-Control, Cache-Control or Expires, and not by the configuration.
 */

#define AGG_CACHE_SHARED               0x0001  /* credentials may have it */
#define AGG_CACHE_ACCEL                0x0002  /* of X-Accel-Expires */
#define AGG_CACHE_ACCEL_UNTIL          0x0004  /* its value was a time */
#define AGG_CACHE_TARGETED             0x0008  /* of CDN-Cache-Control */
#define AGG_CACHE_STATED               0x0010


typedef struct {
    unsigned          flags;
    int64_t           origin;         /* when its age was nothing */
    int64_t           fresh;          /* seconds from origin */
    int64_t           updating;       /* seconds more, while revalidating */
    int64_t           error;          /* seconds more, on an error */
} agg_cache_freshness_t;


/* the reason, and with AGG_CACHE_STORE the freshness */
agg_cache_reason_e agg_cache_check_storable(const agg_cache_response_t *resp,
    agg_cache_freshness_t *fresh);

/*
 * A 304 updates the response: gives it the lifetime that a header of the
 * stored one stated, if neither the 304 nor what is stored has that header.
 */
void agg_cache_keep_freshness(agg_cache_response_t *resp,
    const agg_cache_freshness_t *fresh);

/* the word for a reason, for logs and Cache-Status; "-" if it is stored */
const char *agg_cache_reason_name(agg_cache_reason_e reason);

/* current age, never negative */
static inline int64_t
agg_cache_age(const agg_cache_freshness_t *fresh, int64_t now)
{
    return now > fresh->origin ? now - fresh->origin : 0;
}


#pragma GCC visibility pop


#endif /* _AGG_CACHE_POLICY_H_INCLUDED_ */
