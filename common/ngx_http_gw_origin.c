
/* see ngx_http_gw_origin.h */

#include "ngx_http_gw_origin.h"
#include "gw_origin.h"


ngx_uint_t
ngx_http_gw_is_foreign(ngx_http_request_t *r)
{
    ngx_str_t         host;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_str_null(&host);

    if (r->headers_in.host) {
        host = r->headers_in.host->value;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (gw_origin_foreign(h[i].key.data, h[i].key.len,
                                  h[i].value.data, h[i].value.len,
                                  host.data, host.len))
            {
                return 1;
            }
        }
    }

    return 0;
}
