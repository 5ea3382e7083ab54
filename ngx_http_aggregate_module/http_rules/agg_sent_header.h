
/* The headers of a request, as a module of nginx sends it to a backend. */

#ifndef _AGG_SENT_HEADER_H_INCLUDED_
#define _AGG_SENT_HEADER_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "agg_cache_control.h"


#pragma GCC visibility push(hidden)


typedef enum {
    AGG_SENT_HTTP = 0,      /* HTTP/1 */
    AGG_SENT_FASTCGI,
    AGG_SENT_UWSGI,
    AGG_SENT_SCGI
} agg_sent_e;


typedef struct {
    const u_char     *p;
    const u_char     *last;
    agg_sent_e        kind;
} agg_sent_t;


/* data of len bytes is the request up to its body, and must stay */
void agg_sent_init(agg_sent_t *sent, agg_sent_e kind, const u_char *data,
    size_t len);

/*
 * Returns 1 and the next header, which points into the request, or 0: there
 * is none, or the rest is no request of this kind.
 */
int agg_sent_next(agg_sent_t *sent, agg_cache_str_t *name,
    agg_cache_str_t *value);

/* whether the name in the request is that of the header */
int agg_sent_is(const agg_sent_t *sent, const agg_cache_str_t *name,
    const agg_cache_str_t *header);


#pragma GCC visibility pop


#endif /* _AGG_SENT_HEADER_H_INCLUDED_ */
