
/*
 * The buffer that a response is read into.  nginx allocates one for each
 * upstream, keeps it to the end of the request, and reads into memory that is
 * in no cache.  A usual response comes whole with one read, and is shaped at
 * once, so here all of them are read into one buffer of the worker.  Whoever
 * needs it any longer, because the header or the body is not whole, keeps it
 * to the end of its request, and the next one gets another.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_scratch.h"


/* a "proxy_buffer_size" above is left to nginx */

#define NGX_HTTP_AGGREGATE_READ_BUFFER_SIZE  16384


typedef void (*ngx_http_aggregate_read_pt)(ngx_http_request_t *r,
    ngx_http_upstream_t *u);


static void ngx_http_aggregate_read_first(ngx_http_request_t *sr,
    ngx_http_upstream_t *u);
static ngx_int_t ngx_http_aggregate_read_lend(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u);
static void ngx_http_aggregate_read_take_back(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u);


static ngx_http_aggregate_scratch_t  ngx_http_aggregate_read_scratch;

/*
 * ngx_http_upstream_process_header(), which is static in nginx: the handler of
 * each upstream that has no buffer yet
 */

static ngx_http_aggregate_read_pt    ngx_http_aggregate_read_header;

/* who reads, NULL once its request has ended */

static ngx_http_aggregate_try_t     *ngx_http_aggregate_reader;


/* after the request has been sent, or while a connection is being made */

void
ngx_http_aggregate_read_buffer(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u)
{
#if (nginx_version < 1032000)

    if (u->buffer.start || u->read_event_handler == NULL
        || u->cacheable || u->store
        || u->conf->buffer_size > NGX_HTTP_AGGREGATE_READ_BUFFER_SIZE
#if (NGX_HTTP_CACHE)
        || t->request->cache
#endif
       )
    {
        return;
    }

    if (ngx_http_aggregate_read_header == NULL) {
        ngx_http_aggregate_read_header = u->read_event_handler;
    }

    if (u->read_event_handler == ngx_http_aggregate_read_header) {
        u->read_event_handler = ngx_http_aggregate_read_first;
    }

#endif
}


/*
 * In place of ngx_http_upstream_process_header(), which puts another handler
 * here when it has a header, or connects anew
 */

static void
ngx_http_aggregate_read_first(ngx_http_request_t *sr, ngx_http_upstream_t *u)
{
    ngx_http_aggregate_try_t  *t;

    t = ngx_http_aggregate_get_try(sr);

    if (t == NULL
        || u->buffer.start
        || ngx_http_aggregate_read_lend(t, u) != NGX_OK)
    {
        ngx_http_aggregate_read_header(sr, u);
        return;
    }

    ngx_http_aggregate_reader = t;

    ngx_http_aggregate_read_header(sr, u);

    if (ngx_http_aggregate_reader == NULL) {
        ngx_http_aggregate_scratch_release(&ngx_http_aggregate_read_scratch);
        return;
    }

    ngx_http_aggregate_reader = NULL;

    ngx_http_aggregate_read_take_back(t, u);
}


/*
 * It is set up as ngx_http_upstream_process_header() would do that, in all
 * versions that are known
 */

static ngx_int_t
ngx_http_aggregate_read_lend(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u)
{
    u_char      *p;
    ngx_buf_t   *b;
    ngx_pool_t  *pool;

    pool = t->request->pool;

    if (ngx_list_init(&u->headers_in.headers, pool, 8,
                      sizeof(ngx_table_elt_t))
        != NGX_OK
        || ngx_list_init(&u->headers_in.trailers, pool, 2,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_http_aggregate_scratch_get(&ngx_http_aggregate_read_scratch,
                                       u->conf->buffer_size, pool);
    if (p == NULL) {
        return NGX_ERROR;
    }

    b = &u->buffer;

    b->start = p;
    b->pos = p;
    b->last = p;
    b->end = p + u->conf->buffer_size;
    b->temporary = 1;
    b->tag = u->output.tag;

    return NGX_OK;
}


/* the response is not whole, or its connection is gone and it is asked anew */

static void
ngx_http_aggregate_read_take_back(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u)
{
    ngx_buf_t                     *b;
    ngx_http_aggregate_scratch_t  *scratch;

    b = &u->buffer;
    scratch = &ngx_http_aggregate_read_scratch;

    if (!ngx_http_aggregate_scratch_is(scratch, b->start)) {
        ngx_http_aggregate_scratch_release(scratch);
        return;
    }

    if (b->last == b->start
        && (u->read_event_handler == ngx_http_aggregate_read_first
            || u->read_event_handler == ngx_http_aggregate_read_header))
    {
        /* nothing of it is there yet */

        ngx_http_aggregate_scratch_release(scratch);

        ngx_memzero(b, sizeof(ngx_buf_t));

        ngx_http_aggregate_read_buffer(t, u);
        return;
    }

    ngx_http_aggregate_scratch_keep(scratch);
}


/* the request has ended, or is about to be freed */

void
ngx_http_aggregate_read_ended(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_try_t *t)
{
    if (ngx_http_aggregate_reader
        && (ngx_http_aggregate_reader == t
            || (t == NULL && ngx_http_aggregate_reader->fetches == fs)))
    {
        ngx_http_aggregate_reader = NULL;
    }
}
