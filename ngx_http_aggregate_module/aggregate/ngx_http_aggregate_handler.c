
/*
 * The content handler of an aggregate.  The subrequest engine in fetch/ sends
 * the requests of the parts, and calls ngx_http_aggregate_advance() when there
 * are results.
 */

#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_module.h"


static void ngx_http_aggregate_start(ngx_http_request_t *r);
static ngx_http_aggregate_ctx_t *ngx_http_aggregate_create_ctx(
    ngx_http_request_t *r);
#if (NGX_PCRE)
static ngx_int_t ngx_http_aggregate_keep_captures(
    ngx_http_aggregate_ctx_t *ctx);
#endif
static ngx_int_t ngx_http_aggregate_advance(ngx_http_aggregate_fetches_t *fs);
static void ngx_http_aggregate_start_parts(ngx_http_aggregate_ctx_t *ctx);
static void ngx_http_aggregate_expire_parts(ngx_http_aggregate_ctx_t *ctx,
    ngx_http_aggregate_reason_e reason);
static void ngx_http_aggregate_finish(ngx_http_aggregate_ctx_t *ctx);


static ngx_str_t  ngx_http_aggregate_kind = ngx_string("aggregate");


ngx_int_t
ngx_http_aggregate_handler(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_aggregate_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_module);

    ngx_http_aggregate_problem_clear(r);

    if (!(r->method & alcf->block->methods.mask)) {

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_aggregate_problem_header(r, "Allow",
                                              &alcf->block->methods.allow)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_aggregate_problem(r, NULL, NGX_HTTP_NOT_ALLOWED);
    }

    /* discarding the body would set timers while subrequests are running */

    rc = ngx_http_read_client_request_body(r, ngx_http_aggregate_start);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_aggregate_start(ngx_http_request_t *r)
{
    ngx_http_aggregate_ctx_t  *ctx;

    ctx = ngx_http_aggregate_create_ctx(r);

    if (ctx == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_aggregate_request_headers(ctx) != NGX_OK) {
        ngx_http_aggregate_fetches_close(ctx->fetches);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_aggregate_fetches_run(ctx->fetches);
}


static ngx_http_aggregate_ctx_t *
ngx_http_aggregate_create_ctx(ngx_http_request_t *r)
{
    ngx_uint_t                      i;
    ngx_http_aggregate_ctx_t       *ctx;
    ngx_http_aggregate_part_t      *part;
    ngx_http_aggregate_backend_t  **backends;
    ngx_http_aggregate_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_module);

    ngx_http_aggregate_fetches_room(r, alcf->block->independent);

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->block = alcf->block;
    ctx->conf = alcf;
    ctx->nparts = alcf->block->backends.nelts;
    ctx->waiting = ctx->nparts;

    ctx->parts = ngx_http_aggregate_memory_alloc(r->pool,
                             ctx->nparts * sizeof(ngx_http_aggregate_part_t));
    if (ctx->parts == NULL) {
        return NULL;
    }

    backends = alcf->block->backends.elts;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        ngx_http_aggregate_memory_clear(part,
                                        sizeof(ngx_http_aggregate_part_t));

        part->ctx = ctx;
        part->conf = backends[i];
    }

#if (NGX_PCRE)

    /* without them if the last expression that matched has none */

    if (r->ncaptures && r->captures
        && ngx_http_aggregate_keep_captures(ctx) != NGX_OK)
    {
        return NULL;
    }

#endif

    ctx->debug = ngx_http_aggregate_is_debugged(r);

    ctx->fetches = ngx_http_aggregate_fetches_create(r, &ctx->block->limits,
                                                 &ngx_http_aggregate_kind,
                                                 ngx_http_aggregate_advance,
                                                 ctx);
    if (ctx->fetches == NULL) {
        return NULL;
    }

    ctx->fetches->usec |= ctx->debug;

    ngx_http_set_ctx(r, ctx, ngx_http_aggregate_module);

    return ctx;
}


#if (NGX_PCRE)

/* a variable of "map" with a regular expression has captures of its own */

static ngx_int_t
ngx_http_aggregate_keep_captures(ngx_http_aggregate_ctx_t *ctx)
{
    size_t               size;
    ngx_http_request_t  *r;

    r = ctx->request;
    size = r->ncaptures * sizeof(int);

    ctx->captures = ngx_palloc(r->pool, size);
    if (ctx->captures == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ctx->captures, r->captures, size);

    ctx->ncaptures = r->ncaptures;
    ctx->captures_data = r->captures_data;

    return NGX_OK;
}

#endif


static ngx_int_t
ngx_http_aggregate_advance(ngx_http_aggregate_fetches_t *fs)
{
    ngx_uint_t                 done;
    ngx_http_aggregate_ctx_t  *ctx;

    ctx = fs->data;

    if (fs->cancelled) {
        ngx_http_aggregate_expire_parts(ctx, NGX_HTTP_AGGREGATE_CANCELLED);
        ctx->failed = 1;

        return NGX_DONE;
    }

    if (fs->expired) {
        ngx_http_aggregate_expire_parts(ctx, NGX_HTTP_AGGREGATE_TIMEOUT);
    }

    do {
        done = ctx->done;

        ngx_http_aggregate_start_parts(ctx);

    } while (ctx->done != done && !ctx->failed);

    if (ctx->failed || ctx->done == ctx->nparts) {
        ngx_http_aggregate_finish(ctx);
        return NGX_DONE;
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_start_parts(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t                     i, k, *need;
    ngx_http_aggregate_part_t     *part;
    ngx_http_aggregate_backend_t  *conf;

    if (ctx->waiting == 0) {
        return;
    }

    ctx->waiting = 0;

    for (i = 0; i < ctx->nparts && !ctx->failed; i++) {
        part = &ctx->parts[i];
        conf = part->conf;

        if (part->state != NGX_HTTP_AGGREGATE_WAITING) {
            continue;
        }

        need = conf->needs.elts;

        for (k = 0; k < conf->needs.nelts; k++) {
            if (ctx->parts[need[k]].state != NGX_HTTP_AGGREGATE_DONE) {
                break;
            }
        }

        if (k == conf->needs.nelts) {
            ngx_http_aggregate_part_start(part);

        } else {
            ctx->waiting++;
        }
    }
}


static void
ngx_http_aggregate_expire_parts(ngx_http_aggregate_ctx_t *ctx,
    ngx_http_aggregate_reason_e reason)
{
    ngx_uint_t  i;

    for (i = 0; i < ctx->nparts; i++) {
        if (ctx->parts[i].state != NGX_HTTP_AGGREGATE_DONE) {
            ngx_http_aggregate_part_expire(&ctx->parts[i], reason);
        }
    }
}


static void
ngx_http_aggregate_finish(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->done != ctx->nparts) {
        ngx_http_aggregate_expire_parts(ctx, NGX_HTTP_AGGREGATE_CANCELLED);
    }

    ngx_http_aggregate_fetches_close(ctx->fetches);

    rc = ngx_http_aggregate_answer(ctx);

    ngx_http_aggregate_fetches_outcome(ctx->fetches,
                                       ctx->failed ? "failed"
                                       : ctx->partial ? "partial"
                                                      : "complete");

    ngx_http_finalize_request(r, rc);
}
