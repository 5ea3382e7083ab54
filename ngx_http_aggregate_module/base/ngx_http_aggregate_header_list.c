
#include "ngx_http_aggregate_header_list.h"


ngx_table_elt_t *
ngx_http_aggregate_header_find(ngx_list_t *headers, ngx_str_t *name)
{
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_header_iter(&it, headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash != 0 && ngx_http_aggregate_header_named(h, name)) {
            return h;
        }
    }

    return NULL;
}


void
ngx_http_aggregate_header_clear(ngx_list_t *headers, ngx_str_t *name)
{
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_header_iter(&it, headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_header_named(h, name)) {
            h->hash = 0;
        }
    }
}


ngx_table_elt_t *
ngx_http_aggregate_header_push(ngx_list_t *headers, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key = *name;
    h->value = *value;
    h->lowcase_key = NULL;
    ngx_http_aggregate_header_end(h);

    return h;
}


ngx_table_elt_t *
ngx_http_aggregate_header_add(ngx_list_t *headers, const char *name,
    ngx_str_t *value)
{
    ngx_str_t  key;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    return ngx_http_aggregate_header_push(headers, &key, value);
}


ngx_table_elt_t *
ngx_http_aggregate_header_copy(ngx_list_t *headers, ngx_table_elt_t *from)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(headers);
    if (h == NULL) {
        return NULL;
    }

    *h = *from;
    ngx_http_aggregate_header_end(h);

    return h;
}


ngx_int_t
ngx_http_aggregate_headers_filter(ngx_http_request_t *r, ngx_list_t *headers,
    ngx_list_t *list,
    ngx_uint_t (*drops)(ngx_http_request_t *r, ngx_table_elt_t *h))
{
    ngx_uint_t                         dropped;
    ngx_table_elt_t                   *h, *copy;
    ngx_http_aggregate_header_iter_t   it;

    if (ngx_list_init(list, r->pool, 20, sizeof(ngx_table_elt_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    dropped = 0;

    ngx_http_aggregate_header_iter(&it, headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (drops(r, h)) {
            dropped = 1;
            continue;
        }

        copy = ngx_list_push(list);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        *copy = *h;
    }

    return dropped ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_aggregate_headers_set(ngx_list_t *headers, ngx_list_t *list)
{
    *headers = *list;

    if (list->last == &list->part) {
        headers->last = &headers->part;
    }
}
