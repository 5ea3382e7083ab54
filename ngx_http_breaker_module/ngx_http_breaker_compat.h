
/* differences between the versions of nginx */


#ifndef _NGX_HTTP_BREAKER_COMPAT_H_INCLUDED_
#define _NGX_HTTP_BREAKER_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* kept out of its caller, whose other paths then save no registers for it */

#define ngx_http_breaker_rare  __attribute__((noinline))


/* 1.23.0: headers of one name are a list */

#if (nginx_version >= 1023000)
#define ngx_http_breaker_header_end(h)  (h)->next = NULL
#else
#define ngx_http_breaker_header_end(h)
#endif


/* Angie 1.3.0: locations of several names have one configuration */

#if (angie_version >= 1003000)
#define ngx_http_breaker_location_t  ngx_http_core_loc_t
#else
#define ngx_http_breaker_location_t  ngx_http_core_loc_conf_t
#endif


#endif /* _NGX_HTTP_BREAKER_COMPAT_H_INCLUDED_ */
