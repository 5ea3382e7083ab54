
/*
 * The Cache-Control of an answer that is composed of several responses (RFC
 * 9111, 4.2.1 and 5.2.2): the answer is at most as fresh as the least fresh of
 * them, and has all of their restrictions.
 *
 * The lifetime of a response is max-age, or else Expires minus Date, in both
 * cases minus Age.  The answer is private, no-cache, no-store or
 * must-revalidate if any response is, and has no lifetime if any response has
 * none.
 */

#ifndef _AGG_FRESHNESS_H_INCLUDED_
#define _AGG_FRESHNESS_H_INCLUDED_


#include "agg_cache_control.h"


#pragma GCC visibility push(hidden)


/* the room in bytes that agg_freshness_write() needs */
#define AGG_FRESHNESS_SIZE  128


/* agg_cache_control_parse() parses Cache-Control lines into "control" */

typedef struct {
    agg_cache_control_t  control;
    int64_t              age;         /* seconds */
    int64_t              expires;     /* seconds from Date, -1: no Expires */
} agg_freshness_t;


/* a response without Cache-Control, Age and Expires */
void agg_freshness_init(agg_freshness_t *f);

/*
 * Merges a response into "all"; "first" is set for the first one.  Only
 * agg_freshness_write() may read "all".
 */
void agg_freshness_merge(agg_freshness_t *all, const agg_freshness_t *f,
    int first);

/*
 * Writes the value of Cache-Control to dst, which has AGG_FRESHNESS_SIZE bytes.
 * Returns its length; 0: there is no such header.
 */
size_t agg_freshness_write(const agg_freshness_t *all, u_char *dst);


#pragma GCC visibility pop


#endif /* _AGG_FRESHNESS_H_INCLUDED_ */
