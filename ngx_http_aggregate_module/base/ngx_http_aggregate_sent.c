
#include "ngx_http_aggregate_sent.h"
#include "ngx_http_aggregate_header_list.h"
#include "agg_header_names.h"
#include "agg_sent_header.h"


typedef struct {
    agg_sent_t                         sent;
    ngx_http_aggregate_header_iter_t   it;      /* if nothing was sent */
    ngx_str_t                         *name;
    ngx_uint_t                         parsed;
} ngx_http_aggregate_sent_t;


static ngx_uint_t ngx_http_aggregate_sent_request(ngx_http_request_t *r,
    ngx_http_upstream_t *before, agg_sent_t *sent);
static ngx_int_t ngx_http_aggregate_sent_next(ngx_http_aggregate_sent_t *s,
    ngx_str_t *value);
static ngx_table_elt_t *ngx_http_aggregate_sent_next_named(
    ngx_http_aggregate_header_iter_t *it, ngx_str_t *name);


ngx_uint_t
ngx_http_aggregate_sets_header(ngx_http_request_t *r,
    ngx_http_upstream_t *before, ngx_list_t *client, ngx_str_t *constant,
    ngx_str_t *name)
{
    unsigned                           flags;
    ngx_str_t                          value;
    ngx_uint_t                         n, differs;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_sent_t          s;
    ngx_http_aggregate_header_iter_t   it;

    flags = agg_header_flags(name->data, name->len);

    /* the URI, the host and the scheme are in the key */

    if ((flags & (AGG_HEADER_NO_FILL|AGG_HEADER_KEYED|AGG_HEADER_HOP))
        || (name->len == 4
            && ngx_strncasecmp(name->data, (u_char *) "host", 4) == 0))
    {
        return 0;
    }

    s.name = name;
    s.parsed = ngx_http_aggregate_sent_request(r, before, &s.sent);

    ngx_http_aggregate_header_iter(&s.it, &r->headers_in.headers);
    ngx_http_aggregate_header_iter(&it, client);

    n = 0;
    differs = 0;

    while (ngx_http_aggregate_sent_next(&s, &value) == NGX_OK) {

        n++;

        if (constant && constant->len == value.len
            && ngx_memcmp(constant->data, value.data, value.len) == 0)
        {
            continue;
        }

        constant = NULL;

        h = ngx_http_aggregate_sent_next_named(&it, name);

        differs |= (h == NULL || h->value.len != value.len
                    || ngx_memcmp(h->value.data, value.data, value.len) != 0);
    }

    if (n == 0 || constant) {
        return 0;
    }

    return differs || ngx_http_aggregate_sent_next_named(&it, name) != NULL;
}


/* 0: there is no request, or one of another protocol */

static ngx_uint_t
ngx_http_aggregate_sent_request(ngx_http_request_t *r,
    ngx_http_upstream_t *before, agg_sent_t *sent)
{
    size_t                len;
    ngx_buf_t            *b;
    ngx_uint_t            i;
    ngx_http_upstream_t  *u;

    static const struct {
        const char        *schema;
        agg_sent_e         kind;
    } schemas[] = {
        { "http://", AGG_SENT_HTTP },
        { "https://", AGG_SENT_HTTP },
        { "fastcgi://", AGG_SENT_FASTCGI },
        { "uwsgi://", AGG_SENT_UWSGI },
        { "suwsgi://", AGG_SENT_UWSGI },
        { "scgi://", AGG_SENT_SCGI }
    };

    u = r->upstream;

    if (u == NULL || u == before || u->request_bufs == NULL) {
        return 0;
    }

    for (i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {

        len = ngx_strlen(schemas[i].schema);

        if (u->schema.len != len
            || ngx_memcmp(u->schema.data, schemas[i].schema, len) != 0)
        {
            continue;
        }

        /* the whole header is in the first buffer, and has been sent */

        b = u->request_bufs->buf;

        agg_sent_init(sent, schemas[i].kind, b->start, b->last - b->start);

        return 1;
    }

    return 0;
}


static ngx_int_t
ngx_http_aggregate_sent_next(ngx_http_aggregate_sent_t *s, ngx_str_t *value)
{
    ngx_table_elt_t  *h;
    agg_cache_str_t   name, text, header;

    if (!s->parsed) {
        h = ngx_http_aggregate_sent_next_named(&s->it, s->name);

        if (h == NULL) {
            return NGX_DONE;
        }

        *value = h->value;

        return NGX_OK;
    }

    header.data = s->name->data;
    header.len = s->name->len;

    while (agg_sent_next(&s->sent, &name, &text)) {

        if (agg_sent_is(&s->sent, &name, &header)) {
            value->data = (u_char *) text.data;
            value->len = text.len;

            return NGX_OK;
        }
    }

    return NGX_DONE;
}


static ngx_table_elt_t *
ngx_http_aggregate_sent_next_named(ngx_http_aggregate_header_iter_t *it,
    ngx_str_t *name)
{
    ngx_table_elt_t  *h;

    while ((h = ngx_http_aggregate_header_next(it)) != NULL) {
        if (ngx_http_aggregate_header_named(h, name)) {
            return h;
        }
    }

    return NULL;
}
