
/*
 * The Cache-Control of an answer that is put together from several responses
 * (RFC 9111, 4.2.1 and 5.2.2): it may be no fresher than the least fresh of
 * them, and is bound by whatever binds one of them.
 *
 * A response's lifetime is max-age, else Expires less Date, always less its
 * Age.  A private, no-cache, no-store or must-revalidate of one is one of
 * all; a qualified form ("private=\"Set-Cookie\"") counts as the plain one.
 * Where a response states no lifetime, the answer states none.
 */

#ifndef _AGG_FRESHNESS_H_INCLUDED_
#define _AGG_FRESHNESS_H_INCLUDED_


#include "agg_json.h"


#pragma GCC visibility push(hidden)


#define AGG_CACHE_PRIVATE          0x01
#define AGG_CACHE_NO_CACHE         0x02
#define AGG_CACHE_NO_STORE         0x04
#define AGG_CACHE_MUST_REVALIDATE  0x08


/* room that agg_freshness_write() needs, bytes */
#define AGG_FRESHNESS_SIZE         128


typedef struct {
    long                max_age;        /* seconds, -1: not stated */
    long                s_maxage;       /* the same, for shared caches */
    long                age;            /* seconds */
    long                expires;        /* seconds from Date, -1: no Expires */
    unsigned            flags;
} agg_freshness_t;


void agg_freshness_init(agg_freshness_t *f);

/* adds a Cache-Control line to what is known of one response */
void agg_freshness_cache_control(agg_freshness_t *f, const agg_str_t *value);

/* a number of seconds (RFC 9111, 1.2.2); -1 where it is none */
long agg_delta_seconds(const unsigned char *p, size_t len);

/*
 * Adds a response to those that are in all; first is true for the first.
 * all is then to be read by agg_freshness_write() only.
 */
void agg_freshness_merge(agg_freshness_t *all, const agg_freshness_t *f,
    int first);

/*
 * Writes the value of Cache-Control to dst, of AGG_FRESHNESS_SIZE bytes.
 * Returns its length; 0: nothing to be said.
 */
size_t agg_freshness_write(const agg_freshness_t *all, unsigned char *dst);


#pragma GCC visibility pop


#endif /* _AGG_FRESHNESS_H_INCLUDED_ */
