
/*
 * For tests: a user of the subrequest engine that has a plan of its own.
 *
 *     fetch_plan timeout=2s concurrency=4 max=100;
 *     fetch NAME URI [wave=N] [timeout=T] [retry=N] [join] [string] [raw]
 *           [cancelled_by=NAME] [method=M] [body=TEXT];
 *
 * The fetches of a wave are sent when those of the wave before have ended.  A
 * fetch that has "cancelled_by" is cancelled when that one has its result.  The
 * answer has a line for each, "NAME reason status tries [joined] value", and
 * the events of the observers of this request.
 */

#include "ngx_http_aggregate_fetch.h"


#define NGX_HTTP_GLUE_MAX  64


typedef struct {
    ngx_str_t                      name;
    ngx_str_t                      uri;
    ngx_str_t                      args;
    ngx_str_t                      cancelled_by;
    ngx_str_t                      method_name;
    ngx_str_t                      body;
    ngx_uint_t                     method;
    ngx_uint_t                     wave;
    ngx_msec_t                     timeout;
    ngx_int_t                      retry;
    ngx_http_aggregate_sink_e      sink;
    ngx_uint_t                     join;
} ngx_http_glue_fetch_conf_t;


typedef struct {
    ngx_http_aggregate_limits_t    limits;
    ngx_array_t                    fetches;
                                        /* ngx_http_glue_fetch_conf_t */
} ngx_http_glue_loc_conf_t;


typedef struct {
    ngx_http_glue_loc_conf_t      *conf;
    ngx_http_aggregate_fetches_t  *fs;
    ngx_http_aggregate_fetch_t    *fetches;
    ngx_http_aggregate_clock_t    *clocks;
    ngx_uint_t                     wave;
    ngx_uint_t                     pending;
    ngx_uint_t                     handlers;
    ngx_uint_t                     events[6];
} ngx_http_glue_ctx_t;


static char *ngx_http_glue_plan(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_glue_fetch(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_glue_handler(ngx_http_request_t *r);
static void ngx_http_glue_start(ngx_http_request_t *r);
static ngx_int_t ngx_http_glue_advance(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_glue_start_wave(ngx_http_glue_ctx_t *ctx);
static void ngx_http_glue_done(ngx_http_aggregate_fetch_t *fetch);
static ngx_int_t ngx_http_glue_answer(ngx_http_request_t *r,
    ngx_http_glue_ctx_t *ctx);
static void *ngx_http_glue_create_loc_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_glue_init(ngx_conf_t *cf);


static ngx_str_t  ngx_http_glue_kind = ngx_string("glue");


static ngx_command_t  ngx_http_glue_commands[] = {

    { ngx_string("fetch_plan"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_http_glue_plan,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("fetch"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_glue_fetch,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_glue_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_glue_init,                    /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_glue_create_loc_conf,         /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_glue_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_glue_module_ctx,   /* module context */
    ngx_http_glue_commands,                /* module directives */
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


static ngx_http_aggregate_forward_t  ngx_http_glue_forward =
    { 1, { NULL, 0, 0, 0, NULL } };


/* observers: events of one request; those after the answer are logged */

static ngx_http_glue_ctx_t *
ngx_http_glue_ctx(ngx_http_aggregate_fetches_t *fs)
{
    return fs->kind == &ngx_http_glue_kind ? fs->data : NULL;
}


static void
ngx_http_glue_count(ngx_http_aggregate_fetches_t *fs, ngx_uint_t event)
{
    ngx_http_glue_ctx_t  *ctx;

    ctx = ngx_http_glue_ctx(fs);

    if (ctx) {
        ctx->events[event]++;
    }
}


static void
ngx_http_glue_open(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_glue_count(fs, 0);
}


static void
ngx_http_glue_begin(ngx_http_aggregate_try_t *t)
{
    ngx_http_glue_count(t->fetches, 1);
}


static ngx_int_t
ngx_http_glue_headers(ngx_http_aggregate_try_t *t)
{
    ngx_table_elt_t  *h;

    ngx_http_glue_count(t->fetches, 2);

    if (ngx_http_glue_ctx(t->fetches) == NULL) {
        return NGX_OK;
    }

    h = ngx_list_push(&t->request->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    ngx_str_set(&h->key, "X-Observed");
    ngx_str_set(&h->value, "yes");
    h->lowcase_key = (u_char *) "x-observed";

    return NGX_OK;
}


static void
ngx_http_glue_end(ngx_http_aggregate_try_t *t)
{
    ngx_http_glue_count(t->fetches, 3);
}


static void
ngx_http_glue_result(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_http_glue_count(fetch->fetches, 4);
}


static void
ngx_http_glue_close(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_glue_ctx_t  *ctx;

    ctx = ngx_http_glue_ctx(fs);

    if (ctx == NULL) {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, fs->request->connection->log, 0,
                  "glue closed: %s, handlers %ui, open %ui, begin %ui, "
                  "headers %ui, end %ui, result %ui", fs->outcome,
                  ctx->handlers, ctx->events[0], ctx->events[1],
                  ctx->events[2], ctx->events[3], ctx->events[4]);
}


static ngx_http_aggregate_observer_t  ngx_http_glue_observer = {
    ngx_http_glue_open,
    ngx_http_glue_begin,
    ngx_http_glue_headers,
    ngx_http_glue_end,
    ngx_http_glue_result,
    ngx_http_glue_close,
    NULL,
    0,
    NULL
};


static ngx_int_t
ngx_http_glue_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_read_client_request_body(r, ngx_http_glue_start);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static void
ngx_http_glue_start(ngx_http_request_t *r)
{
    ngx_uint_t              n;
    ngx_http_glue_ctx_t    *ctx;
    ngx_http_headers_in_t  *headers_in;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_glue_ctx_t));
    headers_in = ngx_palloc(r->pool, sizeof(ngx_http_headers_in_t));

    if (ctx == NULL || headers_in == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx->conf = ngx_http_get_module_loc_conf(r,
                                             ngx_http_aggregate_glue_module);
    n = ctx->conf->fetches.nelts;

    ctx->fetches = ngx_pcalloc(r->pool,
                               n * sizeof(ngx_http_aggregate_fetch_t));
    ctx->clocks = ngx_pcalloc(r->pool,
                              n * sizeof(ngx_http_aggregate_clock_t));

    ctx->fs = ngx_http_aggregate_fetches_create(r, &ctx->conf->limits,
                                                &ngx_http_glue_kind,
                                                ngx_http_glue_advance, ctx);

    if (ctx->fetches == NULL || ctx->clocks == NULL || ctx->fs == NULL
        || ngx_http_aggregate_fetches_headers_in(ctx->fs,
                                                 &ngx_http_glue_forward, 0,
                                                 headers_in)
           != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    while (n--) {
        ctx->fetches[n].headers_in = headers_in;
    }

    ngx_http_aggregate_fetches_run(ctx->fs);
}


static ngx_int_t
ngx_http_glue_advance(ngx_http_aggregate_fetches_t *fs)
{
    ngx_http_request_t   *r;
    ngx_http_glue_ctx_t  *ctx;

    ctx = fs->data;
    r = fs->request;

    if (fs->cancelled) {
        return NGX_DONE;
    }

    while (ctx->pending == 0 && ctx->wave < NGX_HTTP_GLUE_MAX
           && !fs->expired)
    {
        ctx->wave++;
        ngx_http_glue_start_wave(ctx);
    }

    if (ctx->pending) {
        return NGX_OK;
    }

    ngx_http_aggregate_fetches_close(fs);
    ngx_http_aggregate_fetches_outcome(fs, "complete");

    ngx_http_finalize_request(r, ngx_http_glue_answer(r, ctx));

    return NGX_DONE;
}


static void
ngx_http_glue_start_wave(ngx_http_glue_ctx_t *ctx)
{
    ngx_uint_t                   i;
    ngx_http_aggregate_join_t   *join;
    ngx_http_aggregate_fetch_t  *fetch;
    ngx_http_glue_fetch_conf_t  *conf;

    conf = ctx->conf->fetches.elts;

    join = ngx_http_aggregate_join_create(ctx->fs->request->pool, 1);

    for (i = 0; i < ctx->conf->fetches.nelts; i++) {

        if (conf[i].wave != ctx->wave) {
            continue;
        }

        fetch = &ctx->fetches[i];

        ctx->clocks[i].timeout = conf[i].timeout;

        fetch->name = &conf[i].name;
        fetch->data = ctx;
        fetch->handler = ngx_http_glue_done;
        fetch->clock = &ctx->clocks[i];
        fetch->join = conf[i].join ? join : NULL;
        fetch->method = conf[i].method;
        fetch->method_name = conf[i].method_name;
        fetch->uri = conf[i].uri;
        fetch->args = conf[i].args;
        fetch->retry = conf[i].retry;
        fetch->sink = conf[i].sink;
        fetch->body = conf[i].body;
        fetch->body_set = (conf[i].body.data != NULL);

        switch (ngx_http_aggregate_fetch_start(ctx->fs, fetch)) {

        case NGX_OK:
            ctx->pending++;
            break;

        case NGX_DECLINED:
            ngx_http_aggregate_fetch_cancel(ctx->fs, fetch,
                                            NGX_HTTP_AGGREGATE_TOO_LARGE);
            break;

        default:
            ngx_http_aggregate_fetch_cancel(ctx->fs, fetch,
                                            NGX_HTTP_AGGREGATE_INTERNAL);
        }
    }
}


static void
ngx_http_glue_done(ngx_http_aggregate_fetch_t *fetch)
{
    ngx_uint_t                   i;
    ngx_http_glue_ctx_t         *ctx;
    ngx_http_aggregate_fetch_t  *other;
    ngx_http_glue_fetch_conf_t  *conf;

    ctx = fetch->data;
    conf = ctx->conf->fetches.elts;

    ctx->pending--;
    ctx->handlers++;

    for (i = 0; i < ctx->conf->fetches.nelts; i++) {
        other = &ctx->fetches[i];

        if (conf[i].cancelled_by.len != fetch->name->len
            || ngx_strncmp(conf[i].cancelled_by.data, fetch->name->data,
                           fetch->name->len)
               != 0
            || other->has_result || other->fetches == NULL)
        {
            continue;
        }

        ngx_http_aggregate_fetch_cancel(ctx->fs, other,
                                        NGX_HTTP_AGGREGATE_CANCELLED);
        ctx->pending--;
    }
}


static ngx_int_t
ngx_http_glue_answer(ngx_http_request_t *r, ngx_http_glue_ctx_t *ctx)
{
    size_t                       size;
    ngx_int_t                    rc;
    ngx_buf_t                   *b;
    ngx_str_t                    value;
    ngx_uint_t                   i;
    ngx_chain_t                  out;
    ngx_http_aggregate_fetch_t  *fetch;
    ngx_http_glue_fetch_conf_t  *conf;

    conf = ctx->conf->fetches.elts;
    size = 256;

    for (i = 0; i < ctx->conf->fetches.nelts; i++) {
        size += conf[i].name.len + ctx->fetches[i].value.len + 128;
    }

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < ctx->conf->fetches.nelts; i++) {
        fetch = &ctx->fetches[i];

        value.data = fetch->value.data;
        value.len = fetch->value.len;

        b->last = ngx_sprintf(b->last, "%V %V %ui %ui%s %V\n", &conf[i].name,
                              &ngx_http_aggregate_reasons[fetch->reason],
                              fetch->status, fetch->tries,
                              fetch->joined ? " joined" : "", &value);
    }

    b->last = ngx_sprintf(b->last, "handlers %ui begin %ui headers %ui "
                          "end %ui result %ui\n", ctx->handlers,
                          ctx->events[1], ctx->events[2], ctx->events[3],
                          ctx->events[4]);

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* "name=" at the start of an argument: what follows it */

static ngx_uint_t
ngx_http_glue_option(ngx_str_t *arg, const char *name, ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (arg->len < len || ngx_strncmp(arg->data, name, len) != 0) {
        return 0;
    }

    value->data = arg->data + len;
    value->len = arg->len - len;

    return 1;
}


static char *
ngx_http_glue_plan(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_glue_loc_conf_t *glcf = conf;

    ngx_str_t                 *arg, value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    arg = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_glue_option(&arg[i], "timeout=", &value)) {
            glcf->limits.timeout = ngx_parse_time(&value, 0);

        } else if (ngx_http_glue_option(&arg[i], "concurrency=", &value)) {
            glcf->limits.concurrency = ngx_atoi(value.data, value.len);

        } else if (ngx_http_glue_option(&arg[i], "max=", &value)) {
            glcf->limits.max_subrequests = ngx_atoi(value.data, value.len);

        } else {
            return "invalid option";
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_glue_handler;

    ngx_http_aggregate_fetch_use(cf);

    return NGX_CONF_OK;
}


static char *
ngx_http_glue_fetch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_glue_loc_conf_t *glcf = conf;

    u_char                      *p;
    ngx_str_t                   *arg, value;
    ngx_uint_t                   i;
    ngx_http_glue_fetch_conf_t  *f;

    arg = cf->args->elts;

    f = ngx_array_push(&glcf->fetches);
    if (f == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(f, sizeof(ngx_http_glue_fetch_conf_t));

    f->name = arg[1];
    f->uri = arg[2];
    f->wave = 1;
    f->method = NGX_HTTP_GET;
    ngx_str_set(&f->method_name, "GET");

    p = ngx_strlchr(f->uri.data, f->uri.data + f->uri.len, '?');

    if (p) {
        f->args.data = p + 1;
        f->args.len = f->uri.data + f->uri.len - p - 1;
        f->uri.len = p - f->uri.data;
    }

    for (i = 3; i < cf->args->nelts; i++) {

        if (ngx_http_glue_option(&arg[i], "wave=", &value)) {
            f->wave = ngx_atoi(value.data, value.len);

        } else if (ngx_http_glue_option(&arg[i], "timeout=", &value)) {
            f->timeout = ngx_parse_time(&value, 0);

        } else if (ngx_http_glue_option(&arg[i], "retry=", &value)) {
            f->retry = ngx_atoi(value.data, value.len);

        } else if (ngx_http_glue_option(&arg[i], "cancelled_by=", &value)) {
            f->cancelled_by = value;

        } else if (ngx_http_glue_option(&arg[i], "body=", &value)) {
            f->body = value;

        } else if (ngx_strcmp(arg[i].data, "post") == 0) {
            f->method = NGX_HTTP_POST;
            ngx_str_set(&f->method_name, "POST");

        } else if (ngx_strcmp(arg[i].data, "join") == 0) {
            f->join = 1;

        } else if (ngx_strcmp(arg[i].data, "string") == 0) {
            f->sink = NGX_HTTP_AGGREGATE_SINK_STRING;

        } else if (ngx_strcmp(arg[i].data, "raw") == 0) {
            f->sink = NGX_HTTP_AGGREGATE_SINK_RAW;

        } else {
            return "invalid option";
        }
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_glue_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_glue_loc_conf_t  *glcf;

    glcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_glue_loc_conf_t));
    if (glcf == NULL) {
        return NULL;
    }

    glcf->limits.timeout = 2000;
    glcf->limits.concurrency = 16;
    glcf->limits.max_subrequests = 100;
    glcf->limits.max_body_size = 1024 * 1024;
    glcf->limits.max_response_size = 1024 * 1024;

    if (ngx_array_init(&glcf->fetches, cf->pool, 4,
                       sizeof(ngx_http_glue_fetch_conf_t))
        != NGX_OK)
    {
        return NULL;
    }

    return glcf;
}


static ngx_int_t
ngx_http_glue_init(ngx_conf_t *cf)
{
    return ngx_http_aggregate_observe(cf, &ngx_http_glue_observer);
}
