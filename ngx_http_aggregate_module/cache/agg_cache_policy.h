
/*
 * May a response be stored, how long is it fresh, how long may it be served
 * stale, and to whom.
 */

#ifndef _AGG_CACHE_POLICY_H_INCLUDED_
#define _AGG_CACHE_POLICY_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>

#include "agg_cache_key.h"


#pragma GCC visibility push(hidden)


#define AGG_CACHE_SECONDS_MAX          2147483647
#define AGG_CACHE_UNSET                (-1)


/* agg_cache_control_t, flags */

#define AGG_CACHE_CC_NO_STORE          0x0001
#define AGG_CACHE_CC_NO_CACHE          0x0002
#define AGG_CACHE_CC_PRIVATE           0x0004
#define AGG_CACHE_CC_PUBLIC            0x0008
#define AGG_CACHE_CC_MUST_REVALIDATE   0x0010
#define AGG_CACHE_CC_PROXY_REVALIDATE  0x0020
#define AGG_CACHE_CC_ONLY_IF_CACHED    0x0040


/* the directives of Cache-Control; seconds, or AGG_CACHE_UNSET */

typedef struct {
    unsigned          flags;
    int64_t           max_age;
    int64_t           s_maxage;
    int64_t           stale_updating;
    int64_t           stale_error;
} agg_cache_control_t;


/* agg_cache_response_t, flags */

#define AGG_CACHE_RESP_GET             0x0001  /* of a GET without a body */
#define AGG_CACHE_RESP_SET_COOKIE      0x0002
#define AGG_CACHE_RESP_VARY_ANY        0x0004  /* or a Vary we cannot keep */
#define AGG_CACHE_RESP_RANGE           0x0008  /* Content-Range */
#define AGG_CACHE_RESP_ENCODED         0x0010  /* Content-Encoding */
#define AGG_CACHE_RESP_PARTIAL         0x0020  /* of an aggregate */
#define AGG_CACHE_RESP_CREDENTIALS     0x0040  /* asked with, see below */
#define AGG_CACHE_RESP_REQ_NO_STORE    0x0080
#define AGG_CACHE_RESP_TARGETED        0x0100  /* CDN-Cache-Control is valid */
#define AGG_CACHE_RESP_EXPIRES         0x0200
#define AGG_CACHE_RESP_ACCEL           0x0400  /* X-Accel-Expires */


/*
 * What is known of a response.  CREDENTIALS: the request had Authorization
 * or Cookie, its identity is empty and the configuration ignores neither.
 * Headers that the configuration ignores are not filled in.
 * AGG_CACHE_NO_CONFIGURATION is for the caller to use.
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

    int64_t              requested;   /* when the request was sent */
    int64_t              received;    /* and answered: now */

    int64_t              valid;       /* of the configuration, or UNSET */
    int64_t              ttl;
    int64_t              stale_updating;
    int64_t              stale_error;
} agg_cache_response_t;


typedef enum {
    AGG_CACHE_STORE = 0,
    AGG_CACHE_NO_METHOD,
    AGG_CACHE_NO_STATUS,
    AGG_CACHE_NO_RANGE,
    AGG_CACHE_NO_DIRECTIVE,
    AGG_CACHE_NO_PRIVATE,
    AGG_CACHE_NO_SET_COOKIE,
    AGG_CACHE_NO_VARY,
    AGG_CACHE_NO_ENCODED,
    AGG_CACHE_NO_PARTIAL,
    AGG_CACHE_NO_CREDENTIALS,
    AGG_CACHE_NO_FRESHNESS,
    AGG_CACHE_NO_CONFIGURATION
} agg_cache_verdict_e;


/* agg_cache_freshness_t, flags; they are stored with the entry */

#define AGG_CACHE_SHARED               0x0001  /* credentials may have it */


typedef struct {
    unsigned          flags;
    int64_t           origin;         /* when its age was nothing */
    int64_t           fresh;          /* seconds from origin */
    int64_t           updating;       /* seconds more, while revalidating */
    int64_t           error;          /* seconds more, on an error */
} agg_cache_freshness_t;


/* no directive seen yet */
void agg_cache_control_init(agg_cache_control_t *cc);

/* adds one Cache-Control line */
void agg_cache_control_parse(agg_cache_control_t *cc, const u_char *data,
    size_t len);

/*
 * Reads one CDN-Cache-Control line, a dictionary of RFC 8941; several lines
 * are joined by commas before.  Returns 0, or -1: not valid, or empty, which
 * is to be taken as if it were not there.
 */
int agg_cache_targeted_parse(agg_cache_control_t *cc, const u_char *data,
    size_t len);

/* 1*DIGIT with a ceiling, or AGG_CACHE_UNSET */
int64_t agg_cache_seconds(const u_char *data, size_t len);

/* the verdict, and with AGG_CACHE_STORE the freshness */
agg_cache_verdict_e agg_cache_judge(const agg_cache_response_t *resp,
    agg_cache_freshness_t *fresh);

/* a short name of a verdict, for logs and Cache-Status */
const char *agg_cache_verdict_name(agg_cache_verdict_e verdict);

/* current age, never negative */
int64_t agg_cache_age(const agg_cache_freshness_t *fresh, int64_t now);


#pragma GCC visibility pop


#endif /* _AGG_CACHE_POLICY_H_INCLUDED_ */
