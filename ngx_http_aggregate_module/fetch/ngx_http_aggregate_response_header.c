
/*
 * The header of a proxied response.  nginx parses it byte by byte; here the
 * lines of the usual form are taken as nginx would, and all else, be it the
 * status line, an unusual line or the end of the header, is left to nginx.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "agg_header_line.h"


#if (nginx_version < 1032000)

static ngx_int_t ngx_http_aggregate_header_lines(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_add_line(ngx_http_request_t *r,
    agg_header_line_t *line);


static agg_header_names_t              ngx_http_aggregate_known_names;
static ngx_http_upstream_main_conf_t  *ngx_http_aggregate_known_conf;

#endif


/* u->process_header is nginx's, and may be another one afterwards */

ngx_int_t
ngx_http_aggregate_parse_header(ngx_http_request_t *r)
{
#if (nginx_version < 1032000)

    u_char               *p, *last;
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    b = &u->buffer;

    if (r->state != 0 || u->headers_in.status_n != 0
        || b->last - b->pos < 7
        || ngx_strncmp(b->pos, "HTTP/1.", 7) != 0)
    {
        return u->process_header(r);
    }

    p = memchr(b->pos, LF, b->last - b->pos);

    if (p == NULL) {
        return u->process_header(r);
    }

    /* the status line alone */

    last = b->last;
    b->last = p + 1;

    rc = u->process_header(r);

    b->last = last;

    if (rc != NGX_AGAIN) {
        return rc;
    }

    if (u->headers_in.status_n >= 200 && r->state == 0) {
        rc = ngx_http_aggregate_header_lines(r);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return u->process_header(r);

#else

    return r->upstream->process_header(r);

#endif
}


#if (nginx_version < 1032000)

/* NGX_OK: the rest is nginx's */

static ngx_int_t
ngx_http_aggregate_header_lines(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_buf_t                      *b;
    agg_header_line_t               line;
    agg_header_name_t              *name;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);

    if (umcf != ngx_http_aggregate_known_conf) {
        ngx_memzero(&ngx_http_aggregate_known_names,
                    sizeof(agg_header_names_t));

        ngx_http_aggregate_known_conf = umcf;
    }

    b = &r->upstream->buffer;

    while (agg_header_line(&line, &ngx_http_aggregate_known_names, b->pos,
                           b->last))
    {
        name = line.name;

        if (!name->complete) {
            name->data = ngx_hash_find(&umcf->headers_in_hash,
                                       (ngx_uint_t) name->hash,
                                       name->lowcase, name->len);
            name->complete = 1;
        }

        b->pos = line.next;

        rc = ngx_http_aggregate_add_line(r, &line);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_add_line(ngx_http_request_t *r, agg_header_line_t *line)
{
    u_char                      *p;
    ngx_table_elt_t             *h;
    agg_header_name_t           *name;
    ngx_http_upstream_header_t  *hh;

    name = line->name;

    h = ngx_list_push(&r->upstream->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    /* names are copied whole, and what is too much is written over */

    p = ngx_pnalloc(r->pool,
                    name->len + line->value.len + 2 + AGG_HEADER_NAME);
    if (p == NULL) {
        h->hash = 0;
        return NGX_ERROR;
    }

    h->hash = (ngx_uint_t) name->hash;

    h->key.len = name->len;
    h->key.data = p;

    ngx_memcpy(p, name->text, AGG_HEADER_NAME);
    p += name->len;
    *p++ = '\0';

    h->value.len = line->value.len;
    h->value.data = p;

    p = ngx_cpymem(p, line->value.data, line->value.len);
    *p++ = '\0';

    h->lowcase_key = p;

    ngx_memcpy(p, name->lowcase, AGG_HEADER_NAME);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "http proxy header: \"%V: %V\"", &h->key, &h->value);

    hh = name->data;

    if (hh == NULL) {
        return NGX_OK;
    }

#if (nginx_version < 1023000)
    return hh->handler(r, h, hh->offset) == NGX_OK ? NGX_OK : NGX_ERROR;
#else
    return hh->handler(r, h, hh->offset);
#endif
}

#endif
