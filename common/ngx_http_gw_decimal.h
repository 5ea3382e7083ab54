
/* A number with up to two decimals, in hundredths; NGX_ERROR: it is none. */

#ifndef _NGX_HTTP_GW_DECIMAL_H_INCLUDED_
#define _NGX_HTTP_GW_DECIMAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* ngx_atofp() takes a single point for 0 */

static ngx_inline ngx_int_t
ngx_http_gw_hundredths(u_char *line, size_t n)
{
    return (n == 1 && *line == '.') ? NGX_ERROR : ngx_atofp(line, n, 2);
}


#endif /* _NGX_HTTP_GW_DECIMAL_H_INCLUDED_ */
