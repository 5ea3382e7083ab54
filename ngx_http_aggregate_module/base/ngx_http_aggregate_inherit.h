
/*
 * A content handler in the blocks that nginx makes within a location.
 *
 * "if" keeps the handler of its location, which then runs with the "if"
 * block's configuration.  "limit_except" loses the handler.  So a module that
 * sets clcf->handler asks ngx_http_aggregate_inherits_handler() while it merges
 * its configuration: where it returns 1, the configuration of the handler is
 * to be taken from the level above.
 */


#ifndef _NGX_HTTP_AGGREGATE_INHERIT_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_INHERIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


static ngx_inline ngx_uint_t
ngx_http_aggregate_inherits_handler(ngx_conf_t *cf,
    ngx_http_handler_pt handler, void *conf, void *prev)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (conf != NULL || prev == NULL) {
        return 0;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!clcf->noname) {
        return 0;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = handler;
    }

    return 1;
}


#endif /* _NGX_HTTP_AGGREGATE_INHERIT_H_INCLUDED_ */
