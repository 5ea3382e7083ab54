
/*
 * The buffer that a response is read into.  nginx allocates one for each
 * upstream, keeps it to the end of the request, and reads into memory that is
 * in no cache.  A usual response comes whole with one read, and is shaped at
 * once, so here all of them are read into buffers of the worker.  Whoever needs
 * one any longer, because the header or the body is not whole, keeps it to the
 * end of its request, and the next one gets another.
 *
 * Longer responses than "proxy_buffer_size" get a buffer for one as long as
 * those before it in their location.  Their headers stay limited.
 */

#include "ngx_http_aggregate_fetch_core.h"
#include "ngx_http_aggregate_scratch.h"


/* a "proxy_buffer_size" above is left to nginx */

#define NGX_HTTP_AGGREGATE_READ_BUFFER_SIZE  16384

/* longer responses have buffers of 8, 16, or 32 KB */

#define NGX_HTTP_AGGREGATE_READ_LEAST        8192
#define NGX_HTTP_AGGREGATE_READ_MOST         32768
#define NGX_HTTP_AGGREGATE_READ_SIZES        3

/* locations whose responses are remembered; a power of two */

#define NGX_HTTP_AGGREGATE_READ_LOCATIONS    256


typedef void (*ngx_http_aggregate_read_pt)(ngx_http_request_t *r,
    ngx_http_upstream_t *u);


typedef struct {
    ngx_http_upstream_conf_t  *conf;        /* NULL: none yet */
    size_t                     length;      /* of its responses */
} ngx_http_aggregate_read_location_t;


static void ngx_http_aggregate_read_first(ngx_http_request_t *sr,
    ngx_http_upstream_t *u);
static ngx_http_aggregate_read_location_t *ngx_http_aggregate_read_location(
    ngx_http_upstream_t *u);
static u_char *ngx_http_aggregate_read_get(ngx_http_upstream_t *u,
    ngx_pool_t *pool, size_t *size);
static ngx_int_t ngx_http_aggregate_read_lend(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u);
static void ngx_http_aggregate_read_take_back(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u);


/* the first is for all responses that are no longer than "proxy_buffer_size" */

static ngx_http_aggregate_scratch_t   ngx_http_aggregate_read_scratches[
                                           1 + NGX_HTTP_AGGREGATE_READ_SIZES];

/* the one that is in use, or NULL */

static ngx_http_aggregate_scratch_t  *ngx_http_aggregate_read_scratch;

static ngx_http_aggregate_read_location_t  ngx_http_aggregate_read_locations[
                                            NGX_HTTP_AGGREGATE_READ_LOCATIONS];

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
        ngx_http_aggregate_scratch_release(ngx_http_aggregate_read_scratch);

    } else {
        ngx_http_aggregate_reader = NULL;

        ngx_http_aggregate_read_take_back(t, u);
    }

    ngx_http_aggregate_read_scratch = NULL;
}


static ngx_http_aggregate_read_location_t *
ngx_http_aggregate_read_location(ngx_http_upstream_t *u)
{
    ngx_uint_t                           hash;
    ngx_http_aggregate_read_location_t  *l;

    hash = (ngx_uint_t) u->conf / sizeof(ngx_http_upstream_conf_t);

    l = &ngx_http_aggregate_read_locations[
                              hash & (NGX_HTTP_AGGREGATE_READ_LOCATIONS - 1)];

    if (l->conf != u->conf) {
        l->conf = u->conf;
        l->length = 0;
    }

    return l;
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
    size_t       size;
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

    p = ngx_http_aggregate_read_get(u, pool, &size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    b = &u->buffer;

    b->start = p;
    b->pos = p;
    b->last = p;
    b->end = p + size;
    b->temporary = 1;
    b->tag = u->output.tag;

    return NGX_OK;
}


static u_char *
ngx_http_aggregate_read_get(ngx_http_upstream_t *u, ngx_pool_t *pool,
    size_t *size)
{
    u_char                        *p;
    size_t                         length;
    ngx_http_aggregate_scratch_t  *scratch;

    if (ngx_http_aggregate_read_scratch) {
        return NULL;
    }

    *size = u->conf->buffer_size;

    length = ngx_http_aggregate_read_location(u)->length;
    scratch = ngx_http_aggregate_read_scratches;

    /* were it buffered by nginx, that would not expect so large a buffer */

    if (length > *size && ngx_http_aggregate_header_first()) {
        *size = NGX_HTTP_AGGREGATE_READ_LEAST;

        for (scratch++; *size < length; scratch++) {
            *size *= 2;
        }
    }

    p = ngx_http_aggregate_scratch_get(scratch, *size, pool);

    if (p) {
        ngx_http_aggregate_read_scratch = scratch;
    }

    return p;
}


/*
 * The next response of the location may be as long as this one, whose header
 * is there.  If its length is not known, what has come of it counts.
 */

void
ngx_http_aggregate_read_expect(ngx_http_request_t *sr, ngx_http_upstream_t *u)
{
    size_t                               length;
    ngx_buf_t                           *b;
    ngx_http_aggregate_read_location_t  *l;

    b = &u->buffer;

    if (sr->method == NGX_HTTP_HEAD || u->cacheable) {
        return;
    }

    length = b->last - b->start;

    if (b->last == b->end) {
        length *= 2;
    }

    if (u->headers_in.content_length_n > (off_t) (b->last - b->pos)) {
        length = ngx_min(u->headers_in.content_length_n,
                         NGX_HTTP_AGGREGATE_READ_MOST)
                 + (b->pos - b->start);
    }

    length = ngx_min(length, NGX_HTTP_AGGREGATE_READ_MOST);

    l = ngx_http_aggregate_read_location(u);

    if (length >= l->length) {
        l->length = length;

    } else {
        l->length -= (l->length - length) / 16;
    }
}


/*
 * The header in the buffer, up to its end if rc is NGX_OK, is limited by
 * "proxy_buffer_size"; nginx says so if the buffer is full
 */

ngx_int_t
ngx_http_aggregate_read_limit(ngx_http_upstream_t *u, ngx_int_t rc)
{
    size_t      size;
    ngx_buf_t  *b;

    b = &u->buffer;
    size = u->conf->buffer_size;

    if ((rc == NGX_OK && (size_t) (b->pos - b->start) > size)
        || (rc == NGX_AGAIN && (size_t) (b->last - b->start) >= size))
    {
        b->end = b->last;
        return NGX_AGAIN;
    }

    return rc;
}


/* the response is not whole, or its connection is gone and it is asked anew */

static void
ngx_http_aggregate_read_take_back(ngx_http_aggregate_try_t *t,
    ngx_http_upstream_t *u)
{
    ngx_buf_t                     *b;
    ngx_http_aggregate_scratch_t  *scratch;

    b = &u->buffer;
    scratch = ngx_http_aggregate_read_scratch;

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
