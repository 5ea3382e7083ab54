
/*
 * The content handler: GraphQL over HTTP.
 */

#include "ngx_http_aggregate_graphql.h"
#include "ngx_http_aggregate_ctx.h"
#include "ngx_http_aggregate_header_list.h"


static void ngx_http_aggregate_graphql_start_request(ngx_http_request_t *r);
static ngx_http_aggregate_graphql_ctx_t *
    ngx_http_aggregate_graphql_create_ctx(ngx_http_request_t *r);
static void ngx_http_aggregate_graphql_cleanup(void *data);
static ngx_int_t ngx_http_aggregate_graphql_join_accept(ngx_http_request_t *r,
    agg_str_t *accept);
static ngx_int_t ngx_http_aggregate_graphql_read_get(
    ngx_http_aggregate_graphql_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_graphql_read_post(
    ngx_http_aggregate_graphql_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_graphql_read_batch(
    ngx_http_aggregate_graphql_ctx_t *ctx, agg_str_t *body);
static ngx_int_t ngx_http_aggregate_graphql_body(ngx_http_request_t *r,
    agg_str_t *body);
static ngx_int_t ngx_http_aggregate_graphql_ops(
    ngx_http_aggregate_graphql_ctx_t *ctx, ngx_uint_t n);
static ngx_int_t ngx_http_aggregate_graphql_done(
    ngx_http_aggregate_graphql_ctx_t *ctx);
static void ngx_http_aggregate_graphql_finish(
    ngx_http_aggregate_graphql_ctx_t *ctx);


ngx_int_t
ngx_http_aggregate_graphql_handler(ngx_http_request_t *r)
{
    ngx_int_t                               rc;
    ngx_http_aggregate_graphql_conf_t      *gcf;
    ngx_http_aggregate_graphql_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_graphql_module);
    gcf = glcf->conf;

    if (r->error_page && r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return ngx_http_aggregate_graphql_error(r, AGG_GQL_BODY_TOO_LARGE,
                                                "The body is too large.");
    }

    if (!(r->method & gcf->methods.mask)) {

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_aggregate_header_add(&r->headers_out.headers, "Allow",
                                          &gcf->methods.allow)
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_aggregate_graphql_error(r, AGG_GQL_BAD_METHOD,
                                                "The method is not allowed.");
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                   ngx_http_aggregate_graphql_start_request);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_aggregate_graphql_start_request(ngx_http_request_t *r)
{
    int                                html;
    ngx_int_t                          rc;
    ngx_uint_t                         i;
    ngx_http_aggregate_graphql_ctx_t  *ctx;

    ctx = ngx_http_aggregate_graphql_create_ctx(r);
    if (ctx == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_http_aggregate_graphql_negotiate(r, &ctx->media, &html);

    if (rc == NGX_OK && html && ctx->get
        && ngx_http_aggregate_graphql_is_on(r, &ctx->conf->ide))
    {
        ngx_http_finalize_request(r, ngx_http_aggregate_graphql_ide(r));
        return;
    }

    if (rc == NGX_OK && ctx->media == AGG_GQL_NO_MEDIA) {

        ctx->media = AGG_GQL_JSON;
        rc = ngx_http_aggregate_graphql_ops(ctx, 1);

        if (rc == NGX_OK) {
            ngx_http_aggregate_graphql_refuse(ctx->ops,
                                              AGG_GQL_NOT_ACCEPTABLE,
                              "The answer can be application/json or "
                              "application/graphql-response+json only.");
        }

    } else if (rc == NGX_OK) {
        rc = ctx->get ? ngx_http_aggregate_graphql_read_get(ctx)
                      : ngx_http_aggregate_graphql_read_post(ctx);
    }

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    for (i = 0; i < ctx->nops; i++) {
        ngx_http_aggregate_graphql_prepare(&ctx->ops[i]);
    }

    for (i = 0; i < ctx->nops; i++) {
        if (ctx->ops[i].outcome == AGG_GQL_DONE) {
            ngx_http_aggregate_graphql_start(&ctx->ops[i]);
        }
    }

    if (ngx_http_aggregate_graphql_done(ctx)) {
        ngx_http_aggregate_graphql_finish(ctx);
        return;
    }

    ngx_http_aggregate_fetches_run(ctx->fetches);
}


static ngx_http_aggregate_graphql_ctx_t *
ngx_http_aggregate_graphql_create_ctx(ngx_http_request_t *r)
{
    ngx_http_aggregate_graphql_ctx_t       *ctx;
    ngx_http_aggregate_graphql_conf_t      *gcf;
    ngx_http_aggregate_graphql_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_graphql_module);
    gcf = glcf->conf;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_graphql_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->conf = gcf;
    ctx->get = (r->method != NGX_HTTP_POST);

    ctx->mem = ngx_http_aggregate_mem(r->pool);
    if (ctx->mem == NULL) {
        return NULL;
    }

    if (ngx_http_aggregate_ctx_keep(r, ctx,
                                    &ngx_http_aggregate_graphql_module,
                                    ngx_http_aggregate_graphql_cleanup)
        != NGX_OK)
    {
        return NULL;
    }

    ctx->introspection = ngx_http_aggregate_graphql_is_on(r,
                                                      &gcf->introspection);
    ctx->mask_errors = ngx_http_aggregate_graphql_is_on(r,
                                                        &gcf->mask_errors);
    ctx->debug = ngx_http_aggregate_debugged
                 && ngx_http_aggregate_debugged(r);

    return ctx;
}


ngx_http_aggregate_graphql_ctx_t *
ngx_http_aggregate_graphql_get_ctx(ngx_http_request_t *r)
{
    return ngx_http_aggregate_ctx_find(r, &ngx_http_aggregate_graphql_module,
                                       ngx_http_aggregate_graphql_cleanup);
}


/* called at the end of the request */

static void
ngx_http_aggregate_graphql_cleanup(void *data)
{
    ngx_http_aggregate_graphql_ctx_t *ctx = data;

    ngx_uint_t  i;

    for (i = 0; i < ctx->nops; i++) {
        if (ctx->ops[i].plan) {
            ngx_http_aggregate_graphql_plan_release(ctx->ops[i].plan);
            ctx->ops[i].plan = NULL;
        }
    }
}


ngx_int_t
ngx_http_aggregate_graphql_negotiate(ngx_http_request_t *r,
    agg_gql_media_e *media, int *html)
{
    agg_str_t  accept;

    if (ngx_http_aggregate_graphql_join_accept(r, &accept) != NGX_OK) {
        return NGX_ERROR;
    }

    *media = agg_gql_accept(&accept, html);

    return NGX_OK;
}


/* joins all Accept headers */

static ngx_int_t
ngx_http_aggregate_graphql_join_accept(ngx_http_request_t *r,
    agg_str_t *accept)
{
    size_t                             len;
    u_char                            *p;
    ngx_uint_t                         n;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    accept->data = NULL;
    accept->len = 0;
    len = 0;
    n = 0;

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_header_is(h, "Accept")) {
            accept->data = h->value.data;
            accept->len = h->value.len;
            len += h->value.len + 1;
            n++;
        }
    }

    if (n < 2) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    accept->data = p;
    accept->len = len;

    ngx_http_aggregate_header_iter(&it, &r->headers_in.headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (ngx_http_aggregate_header_is(h, "Accept")) {
            p = ngx_cpymem(p, h->value.data, h->value.len);
            *p++ = ',';
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_read_get(ngx_http_aggregate_graphql_ctx_t *ctx)
{
    agg_str_t                         args;
    const char                       *message;
    agg_gql_outcome_e                 outcome;
    ngx_http_aggregate_graphql_op_t  *op;

    if (ngx_http_aggregate_graphql_ops(ctx, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    op = ctx->ops;

    args.data = ctx->request->args.data;
    args.len = ctx->request->args.len;

    outcome = agg_gql_request_args(&op->request, &args, ctx->mem, &message);

    if (outcome == AGG_GQL_FAILED) {
        return NGX_ERROR;
    }

    if (outcome != AGG_GQL_DONE) {
        ngx_http_aggregate_graphql_refuse(op, outcome, message);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_read_post(ngx_http_aggregate_graphql_ctx_t *ctx)
{
    agg_str_t            body, type;
    const char          *message;
    ngx_table_elt_t     *h;
    agg_gql_outcome_e    outcome;
    ngx_http_request_t  *r;

    r = ctx->request;
    h = r->headers_in.content_type;

    type.data = h ? h->value.data : (u_char *) "";
    type.len = h ? h->value.len : 0;

    if (!agg_gql_content_type(&type)) {
        outcome = AGG_GQL_BAD_TYPE;
        message = "The request must be application/json in UTF-8.";
        goto refused;
    }

    if (ngx_http_aggregate_graphql_body(r, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    if (agg_json_validate(body.data, body.len, NULL) != AGG_OK) {
        outcome = AGG_GQL_BAD_JSON;
        message = "The request is not valid JSON.";
        goto refused;
    }

    agg_json_trim(&body);

    if (agg_json_kind(&body) == AGG_ARRAY && ctx->conf->batching) {
        return ngx_http_aggregate_graphql_read_batch(ctx, &body);
    }

    if (ngx_http_aggregate_graphql_ops(ctx, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    outcome = agg_gql_request_json(&ctx->ops->request, &body, ctx->mem,
                                   &message);

    if (outcome == AGG_GQL_FAILED) {
        return NGX_ERROR;
    }

    if (outcome == AGG_GQL_DONE) {
        return NGX_OK;
    }

refused:

    if (ngx_http_aggregate_graphql_ops(ctx, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_graphql_refuse(ctx->ops, outcome, message);

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_read_batch(ngx_http_aggregate_graphql_ctx_t *ctx,
    agg_str_t *body)
{
    agg_iter_t                        it;
    ngx_uint_t                        n;
    const char                       *message;
    agg_gql_outcome_e                 outcome;
    ngx_http_aggregate_graphql_op_t  *op;

    agg_iter_init(&it, body);

    for (n = 0; agg_iter_next(&it); n++) {
        if (n == (ngx_uint_t) ctx->conf->batching) {
            n = 0;
            break;
        }
    }

    if (n == 0) {

        if (ngx_http_aggregate_graphql_ops(ctx, 1) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_aggregate_graphql_refuse(ctx->ops, AGG_GQL_BAD_BODY,
                          "The batch is empty or has too many operations.");
        return NGX_OK;
    }

    if (ngx_http_aggregate_graphql_ops(ctx, n) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->batch = 1;

    agg_iter_init(&it, body);

    for (op = ctx->ops; agg_iter_next(&it); op++) {

        outcome = agg_gql_request_json(&op->request, &it.value, ctx->mem,
                                       &message);

        if (outcome == AGG_GQL_FAILED) {
            return NGX_ERROR;
        }

        if (outcome != AGG_GQL_DONE) {
            ngx_http_aggregate_graphql_refuse(op, outcome, message);
        }
    }

    return NGX_OK;
}


/* the whole body, which may be in memory or in a file */

static ngx_int_t
ngx_http_aggregate_graphql_body(ngx_http_request_t *r, agg_str_t *body)
{
    off_t         len;
    size_t        size;
    u_char       *p;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    body->data = (u_char *) "";
    body->len = 0;

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;
    b = cl->buf;

    if (cl->next == NULL && ngx_buf_in_memory(b)) {
        body->data = b->pos;
        body->len = b->last - b->pos;
        return NGX_OK;
    }

    for (len = 0; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, (size_t) len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = (size_t) len;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        if (!b->in_file) {
            continue;
        }

        size = (size_t) (b->file_last - b->file_pos);
        n = ngx_read_file(b->file, p, size, b->file_pos);

        if (n == NGX_ERROR || (size_t) n != size) {
            return NGX_ERROR;
        }

        p += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_ops(ngx_http_aggregate_graphql_ctx_t *ctx,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    if (ctx->ops) {
        return NGX_OK;
    }

    ctx->ops = ngx_pcalloc(ctx->request->pool,
                           n * sizeof(ngx_http_aggregate_graphql_op_t));
    if (ctx->ops == NULL) {
        return NGX_ERROR;
    }

    ctx->nops = n;

    for (i = 0; i < n; i++) {
        ctx->ops[i].ctx = ctx;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_done(ngx_http_aggregate_graphql_ctx_t *ctx)
{
    ngx_uint_t  i;

    for (i = 0; i < ctx->nops; i++) {
        if (ctx->ops[i].running) {
            return 0;
        }
    }

    return 1;
}


/* called by the subrequest engine when there are results */

ngx_int_t
ngx_http_aggregate_graphql_progress(ngx_http_aggregate_fetches_t *fs)
{
    ngx_uint_t                         i;
    ngx_http_aggregate_graphql_ctx_t  *ctx;

    ctx = fs->data;

    if (ctx->finished || fs->cancelled) {
        return NGX_OK;
    }

    for (i = 0; i < ctx->nops; i++) {

        if (!ctx->ops[i].running) {
            continue;
        }

        if (fs->expired) {
            ctx->ops[i].exec.expired = 1;
        }

        ngx_http_aggregate_graphql_advance(&ctx->ops[i]);
    }

    if (!ngx_http_aggregate_graphql_done(ctx)) {
        return NGX_OK;
    }

    ngx_http_aggregate_graphql_finish(ctx);

    return NGX_DONE;
}


static void
ngx_http_aggregate_graphql_finish(ngx_http_aggregate_graphql_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    ctx->finished = 1;

    rc = ngx_http_aggregate_graphql_answer(ctx);

    ngx_http_finalize_request(r, rc);
}
