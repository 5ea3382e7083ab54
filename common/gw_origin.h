
/*
 * Whether a request that changes something was sent by a browser for the
 * page of another site.  The caller passes each header of the request, and
 * refuses the request if one of them is foreign.
 *
 * An Origin is our own if the text after its "://" is the Host header,
 * including the port, in any case; the scheme is not compared, as TLS may end
 * in front of us.  "null", a request without Host, and anything else are
 * foreign.  A Sec-Fetch-Site is our own if it is "same-origin", or "none",
 * which is sent for a URL that the user typed.  Other clients than browsers
 * send neither.
 */


#ifndef _GW_ORIGIN_H_INCLUDED_
#define _GW_ORIGIN_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#pragma GCC visibility push(hidden)


/* the name may be in any case; host is NULL if there is no Host header */
int gw_origin_foreign(const uint8_t *name, size_t name_len,
    const uint8_t *value, size_t value_len,
    const uint8_t *host, size_t host_len);

/*
 * whether an Origin can have this after its "://": a host as browsers write it,
 * and a port if there is one
 */
int gw_origin_is_host(const uint8_t *host, size_t len);


#pragma GCC visibility pop


#endif /* _GW_ORIGIN_H_INCLUDED_ */
