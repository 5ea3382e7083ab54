
/*
 * Connections to servers of our own: those of Redis and of the collector.
 */


#ifndef _NGX_HTTP_AGGREGATE_PEER_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_PEER_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


/*
 * Closes a connection at once, without waiting for the server's end of TLS,
 * and destroys its pool if it has one.
 */

void ngx_http_aggregate_close_connection(ngx_connection_t *c);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_PEER_H_INCLUDED_ */
