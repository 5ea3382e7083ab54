
/* the headers of a subrequest: the client's without some, and the user's */

#include "ngx_http_aggregate_fetch_core.h"
#include "agg_header_names.h"


/* if Connection lists more names than this, all headers are removed */

#define NGX_HTTP_AGGREGATE_MAX_OPTIONS  32


static ngx_int_t ngx_http_aggregate_connection_options(
    ngx_http_request_t *r, ngx_array_t *options);
static ngx_uint_t ngx_http_aggregate_passes(
    ngx_http_aggregate_forward_t *forward, ngx_uint_t with,
    ngx_array_t *options, ngx_table_elt_t *h);
static ngx_uint_t ngx_http_aggregate_hop_by_hop(ngx_uint_t with,
    ngx_array_t *options, ngx_table_elt_t *h);
static ngx_uint_t ngx_http_aggregate_is_condition(ngx_table_elt_t *h);
static void ngx_http_aggregate_forget_header(ngx_http_request_t *r,
    ngx_http_headers_in_t *headers_in, ngx_uint_t hash, ngx_str_t *lowcase);
static ngx_int_t ngx_http_aggregate_set_header_fields(ngx_http_request_t *sr,
    ngx_http_aggregate_fetch_t *fetch);
static ngx_int_t ngx_http_aggregate_push_header(ngx_http_request_t *sr,
    ngx_http_aggregate_field_t *field);


static ngx_http_aggregate_header_name_t  ngx_http_aggregate_type_name = {
    ngx_string("Content-Type"),
    ngx_string("content-type")
};


static ngx_http_aggregate_field_t  ngx_http_aggregate_json_type = {
    &ngx_http_aggregate_type_name,
    ngx_string("application/json"),
    1
};


ngx_int_t
ngx_http_aggregate_fetches_headers_in(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_forward_t *forward, ngx_uint_t with,
    ngx_http_headers_in_t *headers_in)
{
    ngx_str_t                          lowcase;
    ngx_uint_t                         n;
    ngx_array_t                        options;
    ngx_list_part_t                   *part;
    ngx_table_elt_t                   *h, *elts;
    ngx_http_request_t                *r;
    ngx_http_aggregate_header_iter_t   it;

    r = fs->request;

    *headers_in = r->headers_in;

    if (ngx_http_aggregate_connection_options(r, &options) != NGX_OK) {
        return NGX_ERROR;
    }

    for (n = 0, part = &r->headers_in.headers.part; part; part = part->next) {
        n += part->nelts;
    }

    elts = ngx_palloc(r->pool, (n + 1) * sizeof(ngx_table_elt_t));
    if (elts == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->hash == 0 || h->lowcase_key == NULL) {
            continue;
        }

        if (ngx_http_aggregate_passes(forward, with, &options, h)) {
            elts[n++] = *h;
            continue;
        }

        lowcase.data = h->lowcase_key;
        lowcase.len = h->key.len;

        ngx_http_aggregate_forget_header(r, headers_in, h->hash, &lowcase);
    }

    headers_in->headers.part.elts = elts;
    headers_in->headers.part.nelts = n;
    headers_in->headers.part.next = NULL;

    headers_in->connection_type = 0;
    headers_in->keep_alive_n = -1;
    headers_in->chunked = 0;

    if (!(with & NGX_HTTP_AGGREGATE_WITH_BODY)) {
        headers_in->content_length = NULL;
        headers_in->content_length_n = -1;
    }

    if (headers_in->authorization == NULL) {
        ngx_str_null(&headers_in->user);
        ngx_str_null(&headers_in->passwd);
    }

    return NGX_OK;
}


/* collects the names from all Connection headers; nginx keeps only one */

static ngx_int_t
ngx_http_aggregate_connection_options(ngx_http_request_t *r,
    ngx_array_t *options)
{
    u_char                            *p, *last, *start;
    ngx_str_t                         *option;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    if (ngx_array_init(options, r->pool, 4, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (!ngx_http_aggregate_header_is(h, "Connection")) {
            continue;
        }

        p = h->value.data;
        last = p + h->value.len;

        while (p < last) {

            if (*p == ',' || *p == ' ' || *p == '\t') {
                p++;
                continue;
            }

            start = p;

            while (p < last && *p != ',' && *p != ' ' && *p != '\t') {
                p++;
            }

            option = ngx_array_push(options);
            if (option == NULL) {
                return NGX_ERROR;
            }

            option->data = start;
            option->len = p - start;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_passes(ngx_http_aggregate_forward_t *forward,
    ngx_uint_t with, ngx_array_t *options, ngx_table_elt_t *h)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    if (h->key.len == 4 && ngx_strncmp(h->lowcase_key, "host", 4) == 0) {
        return 1;
    }

    if (ngx_http_aggregate_hop_by_hop(with, options, h)) {
        return 0;
    }

    if (h->key.len > 8 && ngx_strncmp(h->lowcase_key, "content-", 8) == 0) {
        return (with & NGX_HTTP_AGGREGATE_WITH_BODY) != 0;
    }

    if ((with & NGX_HTTP_AGGREGATE_WITH_CONDITIONS)
        && ngx_http_aggregate_is_condition(h))
    {
        return 1;
    }

    if (forward->all) {
        return 1;
    }

    name = forward->names.elts;

    for (i = 0; i < forward->names.nelts; i++) {

        if (name[i].len == h->key.len
            && ngx_strncmp(name[i].data, h->lowcase_key, h->key.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* RFC 9110, 7.6.1, and headers that make a backend send less */

static ngx_uint_t
ngx_http_aggregate_hop_by_hop(ngx_uint_t with, ngx_array_t *options,
    ngx_table_elt_t *h)
{
    ngx_str_t   *option;
    ngx_uint_t   i;

    if ((agg_header_flags(h->lowcase_key, h->key.len) & AGG_HEADER_NO_FORWARD)
        && !((with & NGX_HTTP_AGGREGATE_WITH_CONDITIONS)
             && ngx_http_aggregate_is_condition(h)))
    {
        return 1;
    }

    if (options->nelts > NGX_HTTP_AGGREGATE_MAX_OPTIONS) {
        return 1;
    }

    option = options->elts;

    for (i = 0; i < options->nelts; i++) {

        if (option[i].len == h->key.len
            && ngx_strncasecmp(option[i].data, h->lowcase_key, h->key.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* a write that ignored these conditions would do harm */

static ngx_uint_t
ngx_http_aggregate_is_condition(ngx_table_elt_t *h)
{
    return ngx_http_aggregate_header_is(h, "If-Match")
           || ngx_http_aggregate_header_is(h, "If-None-Match")
           || ngx_http_aggregate_header_is(h, "If-Unmodified-Since");
}


/* clears the pointer that nginx keeps to a header */

static void
ngx_http_aggregate_forget_header(ngx_http_request_t *r,
    ngx_http_headers_in_t *headers_in, ngx_uint_t hash, ngx_str_t *lowcase)
{
    char                       *field;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, hash, lowcase->data,
                       lowcase->len);

    if (hh == NULL || hh->handler == NULL) {
        return;
    }

    field = (char *) headers_in + hh->offset;

#if !(NGX_HTTP_AGGREGATE_LINKED_HEADERS)

    if (hh->offset == offsetof(ngx_http_headers_in_t, cookies)
#if (NGX_HTTP_X_FORWARDED_FOR)
        || hh->offset == offsetof(ngx_http_headers_in_t, x_forwarded_for)
#endif
       )
    {
        ngx_memzero(field, sizeof(ngx_array_t));
        return;
    }

#endif

    *(ngx_table_elt_t **) field = NULL;
}


/* sr has just been created as a copy of its parent */

ngx_int_t
ngx_http_aggregate_set_headers(ngx_http_request_t *sr,
    ngx_http_aggregate_fetch_t *fetch)
{
    ngx_list_t       *list;
    ngx_uint_t        n;
    ngx_table_elt_t  *elts;

    sr->headers_in = *fetch->headers_in;

    /*
     * A copy, since modules may change and add headers; an HTTP/0.9 request has
     * no list.
     */

    list = &sr->headers_in.headers;
    n = list->part.nelts + 2 + fetch->nheaders;

    elts = ngx_palloc(sr->pool, n * sizeof(ngx_table_elt_t));
    if (elts == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(elts, list->part.elts,
               list->part.nelts * sizeof(ngx_table_elt_t));

    list->part.elts = elts;
    list->last = &list->part;
    list->size = sizeof(ngx_table_elt_t);
    list->nalloc = n;
    list->pool = sr->pool;

    if (fetch->body_set) {
        sr->headers_in.content_length_n = fetch->body.len;

    } else if (!fetch->body_request
               && (fetch->method
                   & (NGX_HTTP_POST|NGX_HTTP_PUT|NGX_HTTP_PATCH)))
    {
        sr->headers_in.content_length_n = 0;
    }

    return ngx_http_aggregate_set_header_fields(sr, fetch);
}


static ngx_int_t
ngx_http_aggregate_set_header_fields(ngx_http_request_t *sr,
    ngx_http_aggregate_fetch_t *fetch)
{
    ngx_uint_t                   i, typed;
    ngx_http_aggregate_field_t  *field;

    typed = !fetch->body_set;
    field = fetch->headers;

    for (i = 0; i < fetch->nheaders; i++) {

        if (field[i].name->lowcase_name.len == 12
            && ngx_strncmp(field[i].name->lowcase_name.data, "content-type",
                           12)
               == 0)
        {
            typed = 1;
        }

        if (ngx_http_aggregate_push_header(sr, &field[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (typed) {
        return NGX_OK;
    }

    return ngx_http_aggregate_push_header(sr, &ngx_http_aggregate_json_type);
}


/* replaces the headers of this name; an empty value removes them */

static ngx_int_t
ngx_http_aggregate_push_header(ngx_http_request_t *sr,
    ngx_http_aggregate_field_t *field)
{
    ngx_str_t                  *lowcase;
    ngx_uint_t                  i, n, hash;
    ngx_table_elt_t            *h, *elts;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    lowcase = &field->name->lowcase_name;

    elts = sr->headers_in.headers.part.elts;
    hash = ngx_hash_key(lowcase->data, lowcase->len);

    for (i = 0, n = 0; i < sr->headers_in.headers.part.nelts; i++) {

        if (elts[i].key.len == lowcase->len
            && ngx_strncmp(elts[i].lowcase_key, lowcase->data, lowcase->len)
               == 0)
        {
            continue;
        }

        elts[n++] = elts[i];
    }

    sr->headers_in.headers.part.nelts = n;

    ngx_http_aggregate_forget_header(sr, &sr->headers_in, hash, lowcase);

    if (field->value.len == 0) {
        return NGX_OK;
    }

    h = ngx_list_push(&sr->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = hash;
    h->key = field->name->name;
    h->value = field->value;
    h->lowcase_key = lowcase->data;
    ngx_http_aggregate_header_end(h);

    cmcf = ngx_http_get_module_main_conf(sr, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, hash, lowcase->data,
                       lowcase->len);

    if (hh && hh->handler) {
        return hh->handler(sr, h, hh->offset);
    }

    return NGX_OK;
}
