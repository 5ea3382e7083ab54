
/*
 * Lists of headers, of a request or of a response.
 *
 *     ngx_http_aggregate_header_iter_t  it;
 *
 *     ngx_http_aggregate_header_iter(&it, &r->headers_out.headers);
 *
 *     while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {
 *         ...
 *     }
 *
 * A walk gives the headers that were taken off too: their hash is 0.
 */


#ifndef _NGX_HTTP_AGGREGATE_HEADER_LIST_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_HEADER_LIST_H_INCLUDED_


#include "ngx_http_aggregate_compat.h"


#pragma GCC visibility push(hidden)


typedef struct {
    ngx_list_part_t  *part;
    ngx_uint_t        i;
} ngx_http_aggregate_header_iter_t;


static ngx_inline void
ngx_http_aggregate_header_iter(ngx_http_aggregate_header_iter_t *it,
    ngx_list_t *headers)
{
    it->part = &headers->part;
    it->i = 0;
}


static ngx_inline ngx_table_elt_t *
ngx_http_aggregate_header_next(ngx_http_aggregate_header_iter_t *it)
{
    ngx_table_elt_t  *h;

    while (it->i >= it->part->nelts) {

        if (it->part->next == NULL) {
            return NULL;
        }

        it->part = it->part->next;
        it->i = 0;
    }

    h = it->part->elts;

    return &h[it->i++];
}


/* in any case, as in ngx_http_aggregate_header_is(h, "X-Cache") */

#define ngx_http_aggregate_header_is(h, name)                                 \
    ((h)->key.len == sizeof(name) - 1                                         \
     && ngx_strncasecmp((h)->key.data, (u_char *) name, sizeof(name) - 1)     \
        == 0)

#define ngx_http_aggregate_header_named(h, name)                              \
    ((h)->key.len == (name)->len                                              \
     && ngx_strncasecmp((h)->key.data, (name)->data, (name)->len) == 0)


/* the first header of this name that was not removed; NULL: there is none */
ngx_table_elt_t *ngx_http_aggregate_header_find(ngx_list_t *headers,
    ngx_str_t *name);

/* removes all headers of this name */
void ngx_http_aggregate_header_clear(ngx_list_t *headers, ngx_str_t *name);

/*
 * Appends a header to those of a response; the strings are not copied.  NULL:
 * there is no memory.
 */
ngx_table_elt_t *ngx_http_aggregate_header_push(ngx_list_t *headers,
    ngx_str_t *name, ngx_str_t *value);

/* the same with a literal as the name */
ngx_table_elt_t *ngx_http_aggregate_header_add(ngx_list_t *headers,
    const char *name, ngx_str_t *value);

/* appends a copy of a header, which shares its strings */
ngx_table_elt_t *ngx_http_aggregate_header_copy(ngx_list_t *headers,
    ngx_table_elt_t *from);

/*
 * Makes a list without the headers that "drops" matches, in *list; replace the
 * old one with ngx_http_aggregate_headers_set().  NGX_DECLINED: no header
 * matches.
 */
ngx_int_t ngx_http_aggregate_headers_filter(ngx_http_request_t *r,
    ngx_list_t *headers, ngx_list_t *list,
    ngx_uint_t (*drops)(ngx_http_request_t *r, ngx_table_elt_t *h));

/* a list with a single part contains its own address */
void ngx_http_aggregate_headers_set(ngx_list_t *headers, ngx_list_t *list);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_HEADER_LIST_H_INCLUDED_ */
