
/* Differences between the supported versions of nginx, 1.18 to 1.31. */

#ifndef _NGX_HTTP_AGGREGATE_COMPAT_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * A function that few responses need, kept out of its caller, so that the
 * others do not save and restore the registers that it uses
 */

#define ngx_http_aggregate_rare  __attribute__((noinline))


/* 1.23.0: headers of the same name are linked; before, they were in an array */

#if (nginx_version >= 1023000)
#define NGX_HTTP_AGGREGATE_LINKED_HEADERS  1
#define ngx_http_aggregate_header_end(h)   (h)->next = NULL
#else
#define NGX_HTTP_AGGREGATE_LINKED_HEADERS  0
#define ngx_http_aggregate_header_end(h)
#endif


/* 1.19.10: connections have a start time */

#if (nginx_version >= 1019010)
#define ngx_http_aggregate_connection_begins(c)                              \
    (c)->start_time = ngx_current_msec
#else
#define ngx_http_aggregate_connection_begins(c)
#endif


/*
 * 1.21.2: subrequests that are created when the body of an HTTP/2 request is
 * complete run at once, instead of with the next event of the connection
 */

#if (NGX_HTTP_V2 && nginx_version < 1021002)
#define NGX_HTTP_AGGREGATE_LAZY_STREAMS  1
#else
#define NGX_HTTP_AGGREGATE_LAZY_STREAMS  0
#endif


/* 1.23.3: SSI works in subrequests of a request that is not SSI itself */

#if (NGX_HTTP_SSI && nginx_version < 1023003)
#define NGX_HTTP_AGGREGATE_SSI_MAIN  1
#else
#define NGX_HTTP_AGGREGATE_SSI_MAIN  0
#endif


/* 1.29.4: "proxy_http_version 2" */

#if (NGX_HTTP_V2 && nginx_version >= 1029004)
#define NGX_HTTP_AGGREGATE_PROXY_V2  1
#else
#define NGX_HTTP_AGGREGATE_PROXY_V2  0
#endif


/* Angie 1.11.2: the servers of a resolver are in a list */

#if (angie_version >= 1011002)
#define ngx_http_aggregate_resolver_has_servers(r)  ((r)->connections != NULL)
#else
#define ngx_http_aggregate_resolver_has_servers(r)                           \
    ((r)->connections.nelts != 0)
#endif


#endif /* _NGX_HTTP_AGGREGATE_COMPAT_H_INCLUDED_ */
