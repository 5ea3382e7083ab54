
/*
 * The header of a proxied response.  nginx parses it byte by byte; here the
 * lines of the usual form are taken as nginx would, and all else, be it an
 * unusual line or the end of the header, is left to nginx.
 *
 * Then nginx looks for each line in two tables, to pass it on to headers_out.
 * Here it is remembered with a name whether the name is hidden, and who copies
 * it.  nginx, whose turn it is next, finds an empty list, and gets the lines
 * back before the first header filter runs.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_unbuffered.h"
#include "agg_header_line.h"


#if (nginx_version < 1032000)

/* lines that are taken at once */

#define NGX_HTTP_AGGREGATE_LINES  16


/* the usual status line, which is recognized as a whole */

#define NGX_HTTP_AGGREGATE_OK      "HTTP/1.1 200 OK" CRLF
#define NGX_HTTP_AGGREGATE_OK_LEN  (sizeof(NGX_HTTP_AGGREGATE_OK) - 1)


/* names, by what is done with their lines; 0: this was not looked up */

#define NGX_HTTP_AGGREGATE_LINE_UNKNOWN   1     /* to nginx */
#define NGX_HTTP_AGGREGATE_LINE           2
#define NGX_HTTP_AGGREGATE_CONTENT_TYPE   3
#define NGX_HTTP_AGGREGATE_LAST_MODIFIED  4
#define NGX_HTTP_AGGREGATE_CONNECTION     5


#if (nginx_version < 1023000)
#define ngx_http_aggregate_header_error(rc)  NGX_ERROR
#else
#define ngx_http_aggregate_header_error(rc)  rc
#endif


static ngx_int_t ngx_http_aggregate_status_line(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_take_status_line(ngx_http_request_t *r,
    u_char *last);
static ngx_int_t ngx_http_aggregate_set_status_line(ngx_http_request_t *r,
    ngx_uint_t status, u_char *last);
static ngx_int_t ngx_http_aggregate_header_lines(ngx_http_request_t *r,
    agg_header_line_t *lines, size_t *n);
static ngx_int_t ngx_http_aggregate_add_lines(ngx_http_request_t *r,
    agg_header_line_t *line, size_t n, u_char *start);
static ngx_int_t ngx_http_aggregate_copy_name(ngx_http_request_t *r,
    ngx_table_elt_t *h, agg_header_name_t *name);
static void ngx_http_aggregate_know(ngx_http_request_t *r,
    agg_header_name_t *name);
static ngx_uint_t ngx_http_aggregate_noted(ngx_http_request_t *r,
    ngx_table_elt_t *h, agg_header_name_t *name);
static ngx_int_t ngx_http_aggregate_handle(ngx_http_request_t *r,
    ngx_table_elt_t *h, agg_header_line_t *line);
static ngx_int_t ngx_http_aggregate_pass_header(ngx_http_request_t *r,
    agg_header_line_t *lines, size_t n);
static ngx_inline ngx_int_t ngx_http_aggregate_pass_line(
    ngx_http_request_t *r, ngx_table_elt_t *h, agg_header_name_t *name,
    void *hides);
static ngx_int_t ngx_http_aggregate_pass_other(ngx_http_request_t *r,
    ngx_table_elt_t *h, agg_header_name_t *name);
static ngx_int_t ngx_http_aggregate_copy_line(ngx_http_request_t *r,
    ngx_table_elt_t *h);


typedef struct {
    ngx_http_request_t   *request;  /* NULL: no lines were taken */
    ngx_http_upstream_t  *upstream;
    ngx_uint_t            nelts;
    ngx_list_part_t      *next;
} ngx_http_aggregate_taken_t;


static agg_header_names_t              ngx_http_aggregate_names;
static ngx_http_upstream_main_conf_t  *ngx_http_aggregate_names_conf;

/* nginx parses a status line with the first, the other lines with the second */

static ngx_int_t  (*ngx_http_aggregate_status_handler)(ngx_http_request_t *r);
static ngx_int_t  (*ngx_http_aggregate_header_handler)(ngx_http_request_t *r);

static ngx_http_aggregate_taken_t        ngx_http_aggregate_taken;

#endif


static ngx_int_t ngx_http_aggregate_first_filter(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/* u->process_header is nginx's, and may be another one afterwards */

ngx_int_t
ngx_http_aggregate_parse_header(ngx_http_request_t *r)
{
#if (nginx_version < 1032000)

    size_t                n;
    ngx_int_t             rc;
    agg_header_line_t     lines[NGX_HTTP_AGGREGATE_LINES];
    ngx_http_upstream_t  *u;

    n = 0;
    u = r->upstream;

    if (r->state == 0 && u->headers_in.status_n == 0) {
        rc = ngx_http_aggregate_status_line(r);

        if (rc != NGX_AGAIN && rc != NGX_DECLINED) {
            return rc;
        }

        if (rc == NGX_AGAIN && r->state == 0
            && u->headers_in.status_n >= NGX_HTTP_OK)
        {
            rc = ngx_http_aggregate_header_lines(r, lines, &n);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    rc = ngx_http_aggregate_read_limit(u, u->process_header(r));

    return (rc == NGX_OK) ? ngx_http_aggregate_pass_header(r, lines, n) : rc;

#else

    return r->upstream->process_header(r);

#endif
}


/* the first of all header filters, whatever was loaded after this module */

void
ngx_http_aggregate_header_init(void)
{
#if (nginx_version < 1032000)

    /* another configuration has names of its own */

    ngx_http_aggregate_names_conf = NULL;

#endif

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_first_filter;
}


/* not so if a module puts one before it even later */

ngx_uint_t
ngx_http_aggregate_header_first(void)
{
    return ngx_http_top_header_filter == ngx_http_aggregate_first_filter;
}


static ngx_int_t
ngx_http_aggregate_first_filter(ngx_http_request_t *r)
{
#if (nginx_version < 1032000)

    ngx_list_part_t  *part;

    if (ngx_http_aggregate_taken.request == r) {
        ngx_http_aggregate_taken.request = NULL;

        if (r->upstream && r->upstream == ngx_http_aggregate_taken.upstream) {
            part = &r->upstream->headers_in.headers.part;

            part->nelts = ngx_http_aggregate_taken.nelts;
            part->next = ngx_http_aggregate_taken.next;
        }
    }

#endif

    if (r != r->main && r->upstream && ngx_http_aggregate_get_try(r)) {

        /*
         * Else the body of a part comes at its end only, or never.  A filter
         * may hold the header, but nginx decides after the call of this one.
         */

        ngx_http_aggregate_unbuffered(r);
    }

    return ngx_http_next_header_filter(r);
}


#if (nginx_version < 1032000)

/* NGX_AGAIN: it was taken; NGX_DECLINED: it is not of a form known here */

static ngx_int_t
ngx_http_aggregate_status_line(ngx_http_request_t *r)
{
    u_char               *last, *end;
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;
    ngx_int_t           (*handler)(ngx_http_request_t *r);

    u = r->upstream;
    b = &u->buffer;
    end = b->last;

    if ((size_t) (end - b->pos) < NGX_HTTP_AGGREGATE_OK_LEN
        || ngx_memcmp(b->pos, "HTTP/1.", 7) != 0)
    {
        return NGX_DECLINED;
    }

    handler = u->process_header;

    if (handler == ngx_http_aggregate_status_handler
        && ngx_memcmp(b->pos, NGX_HTTP_AGGREGATE_OK,
                      NGX_HTTP_AGGREGATE_OK_LEN)
           == 0)
    {
        return ngx_http_aggregate_set_status_line(r, NGX_HTTP_OK,
                                b->pos + NGX_HTTP_AGGREGATE_OK_LEN - 2);
    }

    last = memchr(b->pos, LF, end - b->pos);

    if (last == NULL) {
        return NGX_DECLINED;
    }

    if (handler == ngx_http_aggregate_status_handler) {
        rc = ngx_http_aggregate_take_status_line(r, last);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    /* the status line alone */

    b->last = last + 1;

    rc = handler(r);

    b->last = end;

    if (rc == NGX_AGAIN && u->headers_in.status_n != 0
        && u->process_header != handler)
    {
        ngx_http_aggregate_status_handler = handler;
        ngx_http_aggregate_header_handler = u->process_header;
    }

    return rc;
}


/* "HTTP/1.1 200 OK" up to CR LF, as ngx_http_proxy_process_status_line() */

static ngx_int_t
ngx_http_aggregate_take_status_line(ngx_http_request_t *r, u_char *last)
{
    u_char      *p, *start;
    ngx_uint_t   i, status;

    p = r->upstream->buffer.pos + 7;
    last--;

    if (p[0] != '1' || p[1] != ' ' || last - p < 5 || *last != CR) {
        return NGX_DECLINED;
    }

    start = p + 2;

    for (i = 0, status = 0; i < 3; i++) {

        if (start[i] < '0' || start[i] > '9') {
            return NGX_DECLINED;
        }

        status = status * 10 + (start[i] - '0');
    }

    if (status < 200
        || (start + 3 != last
            && (start[3] != ' '
                || memchr(start, CR, last - start) != NULL)))
    {
        return NGX_DECLINED;
    }

    return ngx_http_aggregate_set_status_line(r, status, last);
}


/* last is CR */

static ngx_int_t
ngx_http_aggregate_set_status_line(ngx_http_request_t *r, ngx_uint_t status,
    u_char *last)
{
    u_char               *p, *start;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    start = u->buffer.pos + sizeof("HTTP/1.1 ") - 1;

    u->headers_in.status_line.len = last - start;

    p = ngx_pnalloc(r->pool, last - start);
    if (p == NULL) {
        return NGX_ERROR;
    }

    u->headers_in.status_line.data = p;
    ngx_memcpy(p, start, last - start);

    if (u->state && u->state->status == 0) {
        u->state->status = status;
    }

    u->headers_in.status_n = status;
    u->buffer.pos = last + 2;

    u->process_header = ngx_http_aggregate_header_handler;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "http proxy status %ui \"%V\"",
                   u->headers_in.status_n, &u->headers_in.status_line);

    return NGX_AGAIN;
}


/* NGX_OK: the rest is nginx's; n lines are the first ones of the list */

static ngx_int_t
ngx_http_aggregate_header_lines(ngx_http_request_t *r,
    agg_header_line_t *lines, size_t *n)
{
    u_char                         *start;
    ngx_int_t                       rc;
    ngx_buf_t                      *b;
    ngx_uint_t                      i;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);

    if (umcf != ngx_http_aggregate_names_conf) {
        ngx_http_aggregate_names_conf = umcf;

        for (i = 0; i < AGG_HEADER_NAMES; i++) {
            ngx_http_aggregate_names.names[i].kind = 0;
            ngx_http_aggregate_names.names[i].hides = NULL;
        }
    }

    b = &r->upstream->buffer;

    ngx_http_aggregate_names.last = &ngx_http_aggregate_names.start;

    for ( ;; ) {
        *n = agg_header_lines(lines, NGX_HTTP_AGGREGATE_LINES,
                              &ngx_http_aggregate_names, b->pos, b->last);
        if (*n == 0) {
            return NGX_OK;
        }

        start = b->pos;
        b->pos = lines[*n - 1].next;

        rc = ngx_http_aggregate_add_lines(r, lines, *n, start);

        if (rc != NGX_OK) {
            return rc;
        }

        if (b->pos < b->last && *b->pos == CR
            && r->upstream->headers_in.headers.part.nelts == *n)
        {
            return NGX_OK;
        }
    }
}


/* the buffer of the header is the body's next: the lines are copied */

static ngx_int_t
ngx_http_aggregate_add_lines(ngx_http_request_t *r, agg_header_line_t *line,
    size_t n, u_char *start)
{
    u_char             *copy;
    size_t              size;
    ngx_int_t           rc;
    ptrdiff_t           shift;
    ngx_list_t         *list;
    ngx_table_elt_t    *h, *next;
    ngx_list_part_t    *part;
    agg_header_name_t  *name;

    size = line[n - 1].next - start;

    copy = ngx_pnalloc(r->pool, size);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy, start, size);

    shift = (ptrdiff_t) ((uintptr_t) copy - (uintptr_t) start);

    list = &r->upstream->headers_in.headers;
    part = list->last;
    next = (ngx_table_elt_t *) part->elts + part->nelts;

    for ( /* void */ ; n; n--, line++) {
        name = line->name;

        if (part->nelts < list->nalloc) {
            part->nelts++;
            h = next++;

        } else {
            h = ngx_list_push(list);
            if (h == NULL) {
                return NGX_ERROR;
            }

            next = h + 1;
            part = list->last;
        }

        h->hash = (ngx_uint_t) name->hash;
        h->key.len = name->len;
        h->key.data = name->text;
        h->lowcase_key = name->lowcase;

        if (name->kind == 0) {
            ngx_http_aggregate_know(r, name);

            if (name == &ngx_http_aggregate_names.other
                && ngx_http_aggregate_copy_name(r, h, name) != NGX_OK)
            {
                h->hash = 0;
                return NGX_ERROR;
            }
        }

        h->value.len = line->value.len;
        h->value.data = line->value.data + shift;
        h->value.data[h->value.len] = '\0';

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "http proxy header: \"%V: %V\"", &h->key, &h->value);

        if (name->kind == NGX_HTTP_AGGREGATE_LINE_UNKNOWN
            || (name->noted && ngx_http_aggregate_noted(r, h, name)))
        {
            continue;
        }

        rc = ngx_http_aggregate_handle(r, h, line);

        if (rc != NGX_OK) {
            return ngx_http_aggregate_header_error(rc);
        }
    }

    return NGX_OK;
}


/* a name that has no place */

static ngx_int_t
ngx_http_aggregate_copy_name(ngx_http_request_t *r, ngx_table_elt_t *h,
    agg_header_name_t *name)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, 2 * (name->len + 1));
    if (p == NULL) {
        return NGX_ERROR;
    }

    h->key.data = p;
    h->lowcase_key = ngx_cpymem(p, name->text, name->len + 1);

    ngx_memcpy(h->lowcase_key, name->lowcase, name->len + 1);

    return NGX_OK;
}


static void
ngx_http_aggregate_know(ngx_http_request_t *r, agg_header_name_t *name)
{
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);

    name->noted = 0;
    name->hides = NULL;
    name->data = ngx_hash_find(&umcf->headers_in_hash,
                               (ngx_uint_t) name->hash, name->lowcase,
                               name->len);

    if (name->data == NULL) {
        name->kind = NGX_HTTP_AGGREGATE_LINE_UNKNOWN;

    } else if (ngx_strcmp(name->lowcase, "last-modified") == 0) {
        name->kind = NGX_HTTP_AGGREGATE_LAST_MODIFIED;

    } else if (ngx_strcmp(name->lowcase, "connection") == 0) {
        name->kind = NGX_HTTP_AGGREGATE_CONNECTION;

    } else if (ngx_strcmp(name->lowcase, "content-type") == 0) {
        name->kind = NGX_HTTP_AGGREGATE_CONTENT_TYPE;

    } else {
        name->kind = NGX_HTTP_AGGREGATE_LINE;
    }
}


/*
 * A line that is equal to the last one of its name: nginx would parse the time
 * anew, or look for "close" where there is none
 */

static ngx_uint_t
ngx_http_aggregate_noted(ngx_http_request_t *r, ngx_table_elt_t *h,
    agg_header_name_t *name)
{
    ngx_table_elt_t                  **ph;
    ngx_http_upstream_headers_in_t    *headers_in;

    headers_in = &r->upstream->headers_in;

    ph = (name->kind == NGX_HTTP_AGGREGATE_CONNECTION)
         ? &headers_in->connection : &headers_in->last_modified;

    if (*ph) {
        return 0;
    }

    *ph = h;
    ngx_http_aggregate_header_end(h);

    if (name->kind == NGX_HTTP_AGGREGATE_LAST_MODIFIED) {
        headers_in->last_modified_time = name->note;
    }

    return 1;
}


static ngx_int_t
ngx_http_aggregate_handle(ngx_http_request_t *r, ngx_table_elt_t *h,
    agg_header_line_t *line)
{
    ngx_int_t                        rc;
    agg_header_name_t               *name;
    ngx_http_upstream_header_t      *hh;
    ngx_http_upstream_headers_in_t  *headers_in;

    name = line->name;
    hh = name->data;

    rc = hh->handler(r, h, hh->offset);

    if (rc != NGX_OK || name->kind < NGX_HTTP_AGGREGATE_LAST_MODIFIED
        || !agg_header_kept(line))
    {
        return rc;
    }

    headers_in = &r->upstream->headers_in;

    if (name->kind == NGX_HTTP_AGGREGATE_CONNECTION) {
        name->noted = !headers_in->connection_close;

    } else if (headers_in->last_modified == h) {
        name->noted = 1;
        name->note = headers_in->last_modified_time;
    }

    return NGX_OK;
}


/* the first n lines of the list are those of the array */

static ngx_int_t
ngx_http_aggregate_pass_header(ngx_http_request_t *r,
    agg_header_line_t *lines, size_t n)
{
    void                 *hides;
    ngx_uint_t            i;
    ngx_list_part_t      *part;
    ngx_table_elt_t      *h;
    agg_header_name_t    *name;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u->headers_in.status_n < NGX_HTTP_OK
        || u->headers_in.status_n >= NGX_HTTP_SPECIAL_RESPONSE
        || u->headers_in.x_accel_redirect
        || u->cacheable || u->store || u->peer.notify
        || r->header_sent || r->post_action
        || !ngx_http_aggregate_header_first())
    {
        /* this may be tried again, or others look at the lines before */

        return NGX_OK;
    }

    hides = u->conf->hide_headers_hash.buckets;

    if (hides == NULL) {

        /* names that were not looked up have none either */

        hides = u;
    }

    for (part = &u->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++, h++) {

            if (n != 0) {
                name = lines->name;
                lines++;
                n--;

            } else {
                name = agg_header_known(&ngx_http_aggregate_names,
                                        h->lowcase_key);
            }

            if (ngx_http_aggregate_pass_line(r, h, name, hides) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    part = &u->headers_in.headers.part;

    ngx_http_aggregate_taken.request = r;
    ngx_http_aggregate_taken.upstream = u;
    ngx_http_aggregate_taken.nelts = part->nelts;
    ngx_http_aggregate_taken.next = part->next;

    part->nelts = 0;
    part->next = NULL;

    return NGX_OK;
}


/* as ngx_http_upstream_process_headers() */

static ngx_inline ngx_int_t
ngx_http_aggregate_pass_line(ngx_http_request_t *r, ngx_table_elt_t *h,
    agg_header_name_t *name, void *hides)
{
    ngx_http_upstream_header_t  *hh;

#if (nginx_version >= 1023000)
    if (h->hash == 0) {
        return NGX_OK;
    }
#endif

    if (name == NULL || name->hides != hides) {
        return ngx_http_aggregate_pass_other(r, h, name);
    }

    if (name->hidden) {
        return NGX_OK;
    }

    switch (name->kind) {

    case NGX_HTTP_AGGREGATE_LINE_UNKNOWN:
        return ngx_http_aggregate_copy_line(r, h);

    case NGX_HTTP_AGGREGATE_CONTENT_TYPE:

        /* nginx looks for a charset, byte by byte */

        if (memchr(h->value.data, ';', h->value.len) == NULL) {
            r->headers_out.content_type_len = h->value.len;
            r->headers_out.content_type = h->value;
            r->headers_out.content_type_lowcase = NULL;

            return NGX_OK;
        }
    }

    hh = name->data;

    return hh->copy_handler(r, h, hh->conf);
}


static ngx_int_t
ngx_http_aggregate_pass_other(ngx_http_request_t *r, ngx_table_elt_t *h,
    agg_header_name_t *name)
{
    ngx_hash_t                     *hide;
    ngx_uint_t                      hidden;
    ngx_http_upstream_header_t     *hh;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);
    hide = &r->upstream->conf->hide_headers_hash;

    hidden = (ngx_hash_find(hide, h->hash, h->lowcase_key, h->key.len)
              != NULL);

    if (name && name->kind) {
        name->hides = hide->buckets;
        name->hidden = (int) hidden;
    }

    if (hidden) {
        return NGX_OK;
    }

    hh = ngx_hash_find(&umcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    return hh ? hh->copy_handler(r, h, hh->conf)
              : ngx_http_aggregate_copy_line(r, h);
}


static ngx_int_t
ngx_http_aggregate_copy_line(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    ngx_table_elt_t  *ho;

    ho = ngx_list_push(&r->headers_out.headers);
    if (ho == NULL) {
        return NGX_ERROR;
    }

    *ho = *h;

    return NGX_OK;
}

#endif
