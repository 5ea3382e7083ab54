
/*
 * The headers by which a response varies, as far as the configuration sets
 * them.
 *
 * A variant is selected by the headers of the client, since nothing else is
 * known before the backend is asked.  The backend may have got another value,
 * as "proxy_set_header X-User $user" sets one, and another client for which it
 * is different would get the same variant.  So such a response is not stored,
 * unless a key or an identity of the configuration tells the clients apart.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_depends.h"
#include "ngx_http_aggregate_sent.h"


/* does the response vary by a header that its client has not sent */

ngx_uint_t
ngx_http_aggregate_cache_varies_by_set(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    int                        i;
    ngx_str_t                  name;
    ngx_http_core_loc_conf_t  *clcf;

    static time_t  warned;

    if (ctx->store.nvary == 0 || ctx->identified || ctx->conf->key) {
        return 0;
    }

    /* the parts of the response tell what they vary by */

    if (!ngx_http_aggregate_depends_header(r, &name)) {

        for (i = 0; i < ctx->store.nvary; i++) {
            name.data = (u_char *) ctx->store.vary[i].data;
            name.len = ctx->store.vary[i].len;

            if (ngx_http_aggregate_sets_header(r, ctx->fill.upstream,
                                               &r->headers_in.headers, NULL,
                                               &name))
            {
                break;
            }
        }

        if (i == ctx->store.nvary) {
            return 0;
        }
    }

    if (warned == 0 || ngx_time() - warned >= 3600) {
        warned = ngx_time();
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "responses of location \"%V\" vary by \"%V\", which the "
                      "configuration sets, and are not stored, as there is "
                      "neither \"aggregate_cache_key\" nor "
                      "\"aggregate_cache_identity\"", &clcf->name, &name);
    }

    return 1;
}


/* was a part of the response fetched for one user, and is it for all */

ngx_uint_t
ngx_http_aggregate_cache_has_identified_part(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_core_loc_conf_t  *clcf;

    static time_t  warned;

    if (ctx->identified || ctx->conf->key
        || !ngx_http_aggregate_depends_identity(r))
    {
        return 0;
    }

    if (warned == 0 || ngx_time() - warned >= 3600) {
        warned = ngx_time();
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "responses of location \"%V\" have parts with an "
                      "\"aggregate_cache_identity\" and are not stored, as "
                      "they have none themselves", &clcf->name);
    }

    return 1;
}
