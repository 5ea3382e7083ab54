
/*
 * The Cache-Control of an answer that is put together from several responses
 * (RFC 9111, 4.2.1 and 5.2.2): it may be no fresher than the least fresh of
 * them, and is bound by whatever binds one of them.
 *
 * A response's lifetime is max-age, else Expires less Date, always less its
 * Age.  A private, no-cache, no-store or must-revalidate of one is one of
 * all.  Where a response states no lifetime, the answer states none.
 */

#ifndef _AGG_FRESHNESS_H_INCLUDED_
#define _AGG_FRESHNESS_H_INCLUDED_


#include "agg_cache_control.h"


#pragma GCC visibility push(hidden)


/* room that agg_freshness_write() needs, bytes */
#define AGG_FRESHNESS_SIZE  128


/* agg_cache_control_parse() adds a Cache-Control line to the control */

typedef struct {
    agg_cache_control_t  control;
    int64_t              age;         /* seconds */
    int64_t              expires;     /* seconds from Date, -1: no Expires */
} agg_freshness_t;


/* a response without Cache-Control, Age and Expires */
void agg_freshness_init(agg_freshness_t *f);

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
size_t agg_freshness_write(const agg_freshness_t *all, u_char *dst);


#pragma GCC visibility pop


#endif /* _AGG_FRESHNESS_H_INCLUDED_ */
