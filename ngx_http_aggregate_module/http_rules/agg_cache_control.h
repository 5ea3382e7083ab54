
/*
 * The directives of Cache-Control (RFC 9111) and of CDN-Cache-Control
 * (RFC 9213).
 */

#ifndef _AGG_CACHE_CONTROL_H_INCLUDED_
#define _AGG_CACHE_CONTROL_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


typedef struct {
    const u_char     *data;
    size_t            len;
} agg_cache_str_t;


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
#define AGG_CACHE_CC_UNSHAREABLE       0x0080  /* see below */


/*
 * Seconds, or AGG_CACHE_UNSET.  AGG_CACHE_CC_UNSHAREABLE: the field is so
 * malformed that neither "public" nor "s-maxage" in it permits anything.
 */

typedef struct {
    unsigned          flags;
    int64_t           max_age;
    int64_t           s_maxage;
    int64_t           stale_updating;
    int64_t           stale_error;
} agg_cache_control_t;


/* initializes without any directive */
void agg_cache_control_init(agg_cache_control_t *cc);

/* adds one Cache-Control line; the order of the lines does not matter */
void agg_cache_control_parse(agg_cache_control_t *cc, const u_char *data,
    size_t len);

/*
 * Parses one CDN-Cache-Control line, a dictionary of RFC 8941; several lines
 * have been joined by commas.  Returns -1 if the line is invalid or empty, and
 * counts as missing.  The flags "private", "no-store" and "no-cache" are set
 * even then, if it contains such a word.
 */
int agg_cache_targeted_parse(agg_cache_control_t *cc, const u_char *data,
    size_t len);

/* whether a response to a request with credentials may be stored */
int agg_cache_control_shared(const agg_cache_control_t *cc);


/*
 * the first member of an Age field, or AGG_CACHE_UNSET; anything after the
 * digits is ignored
 */
int64_t agg_cache_age_parse(const u_char *data, size_t len);


#pragma GCC visibility pop


#endif /* _AGG_CACHE_CONTROL_H_INCLUDED_ */
