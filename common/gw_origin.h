
/*
 * Requests that change something and that a browser sends for the page of
 * another site.  Whoever walks the headers of such a request asks for each of
 * them; one foreign header is enough to refuse it.
 *
 * An Origin is our own when what stands after its "://" is the Host header,
 * port included, whatever the case of its letters; the scheme is not compared,
 * as TLS may end before us.  "null", a request without Host and anything else
 * are foreign.  A Sec-Fetch-Site is our own as "same-origin" and as "none",
 * which is what a user typed.  A client that is no browser sends neither.
 */


#ifndef _GW_ORIGIN_H_INCLUDED_
#define _GW_ORIGIN_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


/* the name in any case; host is NULL without a Host header */
int gw_origin_foreign(const uint8_t *name, size_t name_len,
    const uint8_t *value, size_t value_len,
    const uint8_t *host, size_t host_len);


#pragma GCC visibility pop


#endif /* _GW_ORIGIN_H_INCLUDED_ */
