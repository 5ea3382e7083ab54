
/*
 * The buffer that a response is read into.  nginx allocates one for each
 * upstream, keeps it to the end of the request, and reads into memory that is
 * in no cache.  A usual response comes whole with one read, and is shaped at
 * once, so here all of them are read into one buffer of the worker.  Whoever
 * needs it any longer, because the header or the body is not whole, keeps it
 * to the end of its request, and the next one gets another.
 */

#include "ngx_http_aggregate_fetch_core.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size)
#define ASAN_UNPOISON_MEMORY_REGION(p, size)
#endif


/* a "proxy_buffer_size" above is left to nginx */

#define NGX_HTTP_AGGREGATE_READ_BUFFER_SIZE  16384

/* how many are put by for the next ones */

#define NGX_HTTP_AGGREGATE_READ_SPARES       16


typedef struct ngx_http_aggregate_read_s  ngx_http_aggregate_read_t;

/* its memory is behind it */

struct ngx_http_aggregate_read_s {
    ngx_http_aggregate_read_t  *next;
    size_t                      size;
};

typedef void (*ngx_http_aggregate_read_pt)(ngx_http_request_t *r,
    ngx_http_upstream_t *u);


static void ngx_http_aggregate_read_first(ngx_http_request_t *sr,
    ngx_http_upstream_t *u);
static ngx_int_t ngx_http_aggregate_read_lend(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u);
static ngx_http_aggregate_read_t *ngx_http_aggregate_read_get(size_t size,
    ngx_log_t *log);
static void ngx_http_aggregate_read_take_back(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u);
static void ngx_http_aggregate_read_free(void *data);


/* the one that is used, and others of the same size */

static ngx_http_aggregate_read_t   *ngx_http_aggregate_read_current;
static ngx_http_aggregate_read_t   *ngx_http_aggregate_read_spare;
static ngx_uint_t                   ngx_http_aggregate_read_spares;

static ngx_pool_cleanup_t          *ngx_http_aggregate_read_cleanup;

/*
 * ngx_http_upstream_process_header(), which is static in nginx: the handler of
 * each upstream that has no buffer yet
 */

static ngx_http_aggregate_read_pt   ngx_http_aggregate_read_header;

/* the reader is NULL once its request has ended */

static ngx_http_aggregate_try_t    *ngx_http_aggregate_reader;
static ngx_uint_t                   ngx_http_aggregate_reading;


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
        || ngx_http_aggregate_reading
        || u->buffer.start
        || ngx_http_aggregate_read_lend(t, u) != NGX_OK)
    {
        ngx_http_aggregate_read_header(sr, u);
        return;
    }

    ngx_http_aggregate_reading = 1;
    ngx_http_aggregate_reader = t;

    ngx_http_aggregate_read_header(sr, u);

    ngx_http_aggregate_reading = 0;

    if (ngx_http_aggregate_reader) {
        ngx_http_aggregate_reader = NULL;
        ngx_http_aggregate_read_take_back(t, u);
    }

    if (ngx_http_aggregate_read_current) {
        ASAN_POISON_MEMORY_REGION(ngx_http_aggregate_read_current + 1,
                                  ngx_http_aggregate_read_current->size);
    }
}


/*
 * It is set up as ngx_http_upstream_process_header() would do that, in all
 * versions that are known
 */

static ngx_int_t
ngx_http_aggregate_read_lend(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u)
{
    size_t                      size;
    ngx_buf_t                  *b;
    ngx_pool_t                 *pool;
    ngx_pool_cleanup_t         *cln;
    ngx_http_aggregate_read_t  *read;

    pool = t->request->pool;
    size = u->conf->buffer_size;

    read = ngx_http_aggregate_read_get(size, pool->log);

    if (read == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(pool, 0);

    if (cln == NULL
        || ngx_list_init(&u->headers_in.headers, pool, 8,
                         sizeof(ngx_table_elt_t))
           != NGX_OK
        || ngx_list_init(&u->headers_in.trailers, pool, 2,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_aggregate_read_cleanup = cln;

    ASAN_UNPOISON_MEMORY_REGION(read + 1, size);

    b = &u->buffer;

    b->start = (u_char *) (read + 1);
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + size;
    b->temporary = 1;
    b->tag = u->output.tag;

    return NGX_OK;
}


/* one of at least this size */

static ngx_http_aggregate_read_t *
ngx_http_aggregate_read_get(size_t size, ngx_log_t *log)
{
    ngx_http_aggregate_read_t  *read;

    read = ngx_http_aggregate_read_current;

    if (read == NULL) {
        read = ngx_http_aggregate_read_spare;

        if (read) {
            ngx_http_aggregate_read_spare = read->next;
            ngx_http_aggregate_read_spares--;
        }
    }

    if (read && read->size < size) {
        ngx_free(read);
        read = NULL;
    }

    if (read == NULL) {
        read = ngx_alloc(sizeof(ngx_http_aggregate_read_t) + size, log);

        if (read) {
            read->size = size;
        }
    }

    ngx_http_aggregate_read_current = read;

    return read;
}


/* the response is not whole, or its connection is gone and it is asked anew */

static void
ngx_http_aggregate_read_take_back(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u)
{
    ngx_buf_t           *b;
    ngx_pool_cleanup_t  *cln;

    b = &u->buffer;

    if (b->start != (u_char *) (ngx_http_aggregate_read_current + 1)) {
        return;
    }

    if (b->last == b->start
        && (u->read_event_handler == ngx_http_aggregate_read_first
            || u->read_event_handler == ngx_http_aggregate_read_header))
    {
        /* nothing of it is there yet */

        ngx_memzero(b, sizeof(ngx_buf_t));

        ngx_http_aggregate_read_buffer(t, u);
        return;
    }

    cln = ngx_http_aggregate_read_cleanup;

    cln->handler = ngx_http_aggregate_read_free;
    cln->data = ngx_http_aggregate_read_current;

    ngx_http_aggregate_read_current = NULL;
}


static void
ngx_http_aggregate_read_free(void *data)
{
    ngx_http_aggregate_read_t *read = data;

    if (ngx_http_aggregate_read_spares == NGX_HTTP_AGGREGATE_READ_SPARES) {
        ngx_free(read);
        return;
    }

    read->next = ngx_http_aggregate_read_spare;
    ngx_http_aggregate_read_spare = read;
    ngx_http_aggregate_read_spares++;

    ASAN_POISON_MEMORY_REGION(read + 1, read->size);
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
