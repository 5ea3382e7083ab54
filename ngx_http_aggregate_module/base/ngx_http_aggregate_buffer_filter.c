
/*
 * Large answers and slow clients.
 *
 * The filter sends a large answer in pieces, all in the same small buffer, and
 * only as fast as the next filters accept them.  When a piece is not accepted,
 * because of the client, "limit_rate" or HTTP/2 flow control, the rest is
 * written to a temporary file, a little in each iteration of the event loop.
 * Then the memory is freed, and the file is sent as a single buffer, like any
 * other file.  If the file cannot be written, the answer stays in memory.
 */

#include "ngx_http_aggregate_buffer.h"
#include "ngx_http_aggregate_compat.h"


#define NGX_HTTP_AGGREGATE_BUFFER_PIECE  65536
#define NGX_HTTP_AGGREGATE_BUFFER_WRITE  131072

/* a bit of c->buffered that nginx does not use; r->buffered has none left */

#define NGX_HTTP_AGGREGATE_BUFFER_BUFFERED  0x40


typedef struct {
    ngx_uint_t                       used;      /* unsigned  used:1; */
} ngx_http_aggregate_buffer_main_conf_t;


typedef struct {
    size_t                         size;
    ngx_path_t                    *temp_path;
} ngx_http_aggregate_buffer_loc_conf_t;


typedef struct {
    ngx_http_request_t            *request;
    ngx_http_aggregate_buffer_pt   release;
    void                          *data;

    ngx_chain_t                   *in;      /* is left */
    ngx_buf_t                     *piece;   /* was given to the filters */

    ngx_temp_file_t               *file;
    ngx_chain_t                   *write;   /* is to be written next */
    u_char                        *pos;     /* from here on */
    ngx_event_t                    event;

    unsigned                       started:1;
    unsigned                       ready:1;     /* for the client again */
    unsigned                       whole:1;     /* goes on as one */
    unsigned                       refused:1;
} ngx_http_aggregate_buffer_ctx_t;


static ngx_int_t ngx_http_aggregate_buffer_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_http_aggregate_rare ngx_int_t ngx_http_aggregate_buffer_body(
    ngx_http_request_t *r, ngx_http_aggregate_buffer_ctx_t *ctx,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_buffer_start(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx, ngx_chain_t *in);
static ngx_uint_t ngx_http_aggregate_buffer_fits(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_aggregate_buffer_pass(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_buffer_next(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx, ngx_chain_t *in);
static void ngx_http_aggregate_buffer_fill(
    ngx_http_aggregate_buffer_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_buffer_stall(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_buffer_create_file(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx);
static void ngx_http_aggregate_buffer_write_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_aggregate_buffer_write(
    ngx_http_aggregate_buffer_ctx_t *ctx);
static void ngx_http_aggregate_buffer_use_file(
    ngx_http_aggregate_buffer_ctx_t *ctx);
static void ngx_http_aggregate_buffer_give_up_file(
    ngx_http_aggregate_buffer_ctx_t *ctx);
static void ngx_http_aggregate_buffer_cleanup(void *data);
static void *ngx_http_aggregate_buffer_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_aggregate_buffer_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_buffer_size(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_buffer_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_aggregate_buffer_init(ngx_conf_t *cf);


static ngx_command_t  ngx_http_aggregate_buffer_commands[] = {

    { ngx_string("aggregate_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_buffer_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_buffer_loc_conf_t, size),
      NULL },

    { ngx_string("aggregate_temp_path"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1234,
      ngx_conf_set_path_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_buffer_loc_conf_t, temp_path),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_buffer_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_buffer_init,        /* postconfiguration */

    ngx_http_aggregate_buffer_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_buffer_create_loc_conf,
                                           /* create location configuration */
    ngx_http_aggregate_buffer_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_buffer_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_buffer_module_ctx, /* module context */
    ngx_http_aggregate_buffer_commands,    /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_uint_t
ngx_http_aggregate_buffer_applies(ngx_http_request_t *r, off_t length)
{
    ngx_http_aggregate_buffer_loc_conf_t  *blcf;

    if (r != r->main) {
        return 0;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_buffer_module);

    return length > (off_t) blcf->size
           && length > NGX_HTTP_AGGREGATE_BUFFER_PIECE;
}


void
ngx_http_aggregate_buffer_set(ngx_http_request_t *r, off_t length,
    ngx_http_aggregate_buffer_pt release, void *data)
{
    ngx_pool_cleanup_t               *cln;
    ngx_http_aggregate_buffer_ctx_t  *ctx;

    if (!ngx_http_aggregate_buffer_applies(r, length)) {
        return;
    }

    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(ngx_http_aggregate_buffer_ctx_t));
    if (cln == NULL) {
        return;
    }

    ctx = cln->data;

    ngx_memzero(ctx, sizeof(ngx_http_aggregate_buffer_ctx_t));

    cln->handler = ngx_http_aggregate_buffer_cleanup;

    ctx->request = r;
    ctx->release = release;
    ctx->data = data;

    ctx->event.handler = ngx_http_aggregate_buffer_write_handler;
    ctx->event.data = ctx;
    ctx->event.log = r->connection->log;

    ngx_http_set_ctx(r, ctx, ngx_http_aggregate_buffer_module);
}


static ngx_int_t
ngx_http_aggregate_buffer_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_aggregate_buffer_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_buffer_module);

    if (ctx == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    return ngx_http_aggregate_buffer_body(r, ctx, in);
}


static ngx_int_t
ngx_http_aggregate_buffer_body(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    if (!ctx->started) {
        return in ? ngx_http_aggregate_buffer_start(r, ctx, in)
                  : ngx_http_next_body_filter(r, in);
    }

    /* "add_after_body" sends the end itself when it is given the last piece */

    if (ctx->in == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {

        if (!ngx_buf_special(cl->buf)) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "output after the end of an answer");
            return NGX_ERROR;
        }
    }

    rc = NGX_AGAIN;

    if (ctx->piece && ctx->piece->pos != ctx->piece->last) {
        rc = ngx_http_aggregate_buffer_next(r, ctx, NULL);
    }

    /* with nothing to send, nginx's last filter may not be called */

    if (rc == NGX_ERROR || ctx->refused || !ctx->ready) {
        return rc;
    }

    return ngx_http_aggregate_buffer_pass(r, ctx);
}


static ngx_int_t
ngx_http_aggregate_buffer_start(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx, ngx_chain_t *in)
{
    if (!ngx_http_aggregate_buffer_fits(r, in)) {
        ngx_http_set_ctx(r, NULL, ngx_http_aggregate_buffer_module);
        return ngx_http_next_body_filter(r, in);
    }

    if (ngx_chain_add_copy(r->pool, &ctx->in, in) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->started = 1;

    /* for several ranges, nginx needs the body in a single buffer */

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        && r->headers_out.content_range == NULL)
    {
        ctx->whole = 1;
        return ngx_http_aggregate_buffer_stall(r, ctx);
    }

    ctx->piece = ngx_create_temp_buf(r->pool,
                                     NGX_HTTP_AGGREGATE_BUFFER_PIECE);
    if (ctx->piece == NULL) {
        return NGX_ERROR;
    }

    ctx->piece->tag = (ngx_buf_tag_t) &ngx_http_aggregate_buffer_module;

    return ngx_http_aggregate_buffer_pass(r, ctx);
}


/* whether the whole answer is in memory and still large: not an error page */

static ngx_uint_t
ngx_http_aggregate_buffer_fits(ngx_http_request_t *r, ngx_chain_t *in)
{
    off_t         length;
    ngx_uint_t    last;
    ngx_chain_t  *cl;

    length = 0;
    last = 0;

    for (cl = in; cl; cl = cl->next) {

        if (cl->buf->in_file) {
            return 0;
        }

        length += ngx_buf_size(cl->buf);
        last |= cl->buf->last_buf;
    }

    return last && ngx_http_aggregate_buffer_applies(r, length);
}


static ngx_int_t
ngx_http_aggregate_buffer_pass(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx)
{
    ngx_int_t     rc;
    ngx_buf_t    *piece;
    ngx_chain_t  *in, out;

    do {

        piece = ctx->whole ? NULL : ctx->piece;

        if (piece == NULL) {
            in = ctx->in;
            ctx->in = NULL;

        } else {

            if (piece->pos != piece->last) {
                return ngx_http_aggregate_buffer_stall(r, ctx);
            }

            ngx_http_aggregate_buffer_fill(ctx);

            out.buf = piece;
            out.next = NULL;
            in = &out;
        }

        rc = ngx_http_aggregate_buffer_next(r, ctx, in);

        if (rc == NGX_ERROR || ctx->refused) {
            return rc;
        }

    } while (ctx->in);

    r->connection->buffered &= ~NGX_HTTP_AGGREGATE_BUFFER_BUFFERED;

    ngx_http_set_ctx(r, NULL, ngx_http_aggregate_buffer_module);

    return rc;
}


/* a filter that rejects the answer sends another one during this call */

static ngx_int_t
ngx_http_aggregate_buffer_next(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_int_t  rc;

    rc = ngx_http_next_body_filter(r, in);

    if (ngx_http_get_module_ctx(r, ngx_http_aggregate_buffer_module) != ctx) {
        ctx->refused = 1;
        r->connection->buffered &= ~NGX_HTTP_AGGREGATE_BUFFER_BUFFERED;
    }

    return rc;
}


static void
ngx_http_aggregate_buffer_fill(ngx_http_aggregate_buffer_ctx_t *ctx)
{
    size_t      size;
    ngx_buf_t  *b, *in;

    b = ctx->piece;
    b->pos = b->start;
    b->last = b->start;

    while (ctx->in && b->last < b->end) {
        in = ctx->in->buf;

        size = ngx_min(in->last - in->pos, b->end - b->last);

        b->last = ngx_cpymem(b->last, in->pos, size);
        in->pos += size;

        if (in->pos == in->last) {
            ctx->in = ctx->in->next;
        }
    }

    b->last_buf = (ctx->in == NULL);
    b->last_in_chain = b->last_buf;
}


static ngx_int_t
ngx_http_aggregate_buffer_stall(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx)
{
    r->connection->buffered |= NGX_HTTP_AGGREGATE_BUFFER_BUFFERED;

    if (ctx->ready) {
        return NGX_AGAIN;
    }

    if (ngx_http_aggregate_buffer_create_file(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_post_event(&ctx->event, &ngx_posted_next_events);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_aggregate_buffer_create_file(ngx_http_request_t *r,
    ngx_http_aggregate_buffer_ctx_t *ctx)
{
    ngx_temp_file_t                       *tf;
    ngx_http_core_loc_conf_t              *clcf;
    ngx_http_aggregate_buffer_loc_conf_t  *blcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    blcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_buffer_module);

    tf = ngx_pcalloc(r->pool, sizeof(ngx_temp_file_t));
    if (tf == NULL) {
        return NGX_ERROR;
    }

    tf->file.fd = NGX_INVALID_FILE;
    tf->file.log = r->connection->log;
    tf->path = blcf->temp_path ? blcf->temp_path : clcf->client_body_temp_path;
    tf->pool = r->pool;
    tf->clean = 1;
    tf->log_level = NGX_LOG_WARN;
    tf->warn = "an answer is buffered to a temporary file";

    ctx->file = tf;
    ctx->write = ctx->in;
    ctx->pos = ctx->in->buf->pos;

    return NGX_OK;
}


static void
ngx_http_aggregate_buffer_write_handler(ngx_event_t *ev)
{
    ngx_int_t                         rc;
    ngx_connection_t                 *c;
    ngx_http_request_t               *r;
    ngx_http_aggregate_buffer_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ctx->refused) {
        return;
    }

    rc = ngx_http_aggregate_buffer_write(ctx);

    if (rc == NGX_AGAIN) {
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    ctx->ready = 1;

    if (rc == NGX_OK) {
        ngx_http_aggregate_buffer_use_file(ctx);

    } else {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "an answer stays in memory, as its temporary file "
                      "could not be written");

        ngx_http_aggregate_buffer_give_up_file(ctx);
    }

    /* while "limit_rate" delays the request, a timer runs it */

    if (!c->write->delayed) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


/* writes a part of the answer; NGX_OK: all is written */

static ngx_int_t
ngx_http_aggregate_buffer_write(ngx_http_aggregate_buffer_ctx_t *ctx)
{
    size_t        size, done;
    ssize_t       n;
    ngx_buf_t     b;
    ngx_chain_t   out;

    for (done = 0;
         ctx->write && done < NGX_HTTP_AGGREGATE_BUFFER_WRITE;
         done += size)
    {
        size = ngx_min(ctx->write->buf->last - ctx->pos,
                       NGX_HTTP_AGGREGATE_BUFFER_WRITE);

        if (size) {
            ngx_memzero(&b, sizeof(ngx_buf_t));

            b.pos = ctx->pos;
            b.last = ctx->pos + size;
            b.temporary = 1;

            out.buf = &b;
            out.next = NULL;

            n = ngx_write_chain_to_temp_file(ctx->file, &out);

            if (n != (ssize_t) size) {
                return NGX_ERROR;
            }

            ctx->file->offset += size;
            ctx->pos += size;
        }

        if (ctx->pos == ctx->write->buf->last) {
            ctx->write = ctx->write->next;
            ctx->pos = ctx->write ? ctx->write->buf->pos : NULL;
        }
    }

    return ctx->write ? NGX_AGAIN : NGX_OK;
}


/* the first buffer is reused for the file */

static void
ngx_http_aggregate_buffer_use_file(ngx_http_aggregate_buffer_ctx_t *ctx)
{
    ngx_buf_t  *b;

    b = ctx->in->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->file = &ctx->file->file;
    b->file_last = ctx->file->offset;
    b->in_file = 1;
    b->temp_file = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ctx->in->next = NULL;
    ctx->whole = 1;

    ctx->release(ctx->data);
}


/* frees disk space at once; the file is deleted with the request */

static void
ngx_http_aggregate_buffer_give_up_file(ngx_http_aggregate_buffer_ctx_t *ctx)
{
    ngx_file_t  *file;

    file = &ctx->file->file;

    if (file->fd == NGX_INVALID_FILE) {
        return;
    }

    if (ftruncate(file->fd, 0) == -1) {
        ngx_log_error(NGX_LOG_CRIT, file->log, ngx_errno,
                      "ftruncate() \"%V\" failed", &file->name);
    }
}


static void
ngx_http_aggregate_buffer_cleanup(void *data)
{
    ngx_http_aggregate_buffer_ctx_t *ctx = data;

    if (ctx->event.posted) {
        ngx_delete_posted_event(&ctx->event);
    }
}


static void *
ngx_http_aggregate_buffer_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_aggregate_buffer_main_conf_t));
}


void
ngx_http_aggregate_buffer_use(ngx_conf_t *cf)
{
    ngx_http_aggregate_buffer_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_aggregate_buffer_module);
    bmcf->used = 1;
}


static void *
ngx_http_aggregate_buffer_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_buffer_loc_conf_t  *blcf;

    blcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_aggregate_buffer_loc_conf_t));
    if (blcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     blcf->temp_path = NULL;
     */

    blcf->size = NGX_CONF_UNSET_SIZE;

    return blcf;
}


static char *
ngx_http_aggregate_buffer_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_buffer_loc_conf_t *blcf = conf;

    off_t       n;
    ngx_str_t  *value;

    if (blcf->size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_parse_offset(&value[1]);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\", must be a size "
                           "from 0", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    blcf->size = (size_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_buffer_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_buffer_loc_conf_t *prev = parent;
    ngx_http_aggregate_buffer_loc_conf_t *conf = child;

    ngx_conf_merge_size_value(conf->size, prev->size, 1024 * 1024);

    if (conf->temp_path == NULL) {
        conf->temp_path = prev->temp_path;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_buffer_init(ngx_conf_t *cf)
{
    ngx_http_aggregate_buffer_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_aggregate_buffer_module);

    if (!bmcf->used) {
        return NGX_OK;
    }

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_aggregate_buffer_body_filter;

    return NGX_OK;
}
