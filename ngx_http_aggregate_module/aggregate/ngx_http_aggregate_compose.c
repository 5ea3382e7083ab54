
/*
 * Composes the answer from the values of the parts.
 *
 * The answer is first a list of slices of memory.  If it is not large, it is
 * copied to one buffer, which costs less than a chain of many: to one that
 * answers of about its size share, since most are sent at once.  Of a large
 * answer only the small slices are copied, so that a body is in memory once.
 */

#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_scratch.h"


#define NGX_HTTP_AGGREGATE_COPY_SMALL  4096     /* has a buffer of its own */
#define NGX_HTTP_AGGREGATE_COPY_MIDDLE 16384
#define NGX_HTTP_AGGREGATE_COPY_ALL    65536
#define NGX_HTTP_AGGREGATE_COPY_SLICE  4096


static ngx_int_t ngx_http_aggregate_shape_host(
    ngx_http_aggregate_part_t *host);
static ngx_int_t ngx_http_aggregate_into_values(
    ngx_http_aggregate_part_t *host, agg_shape_into_t *intos);
static ngx_int_t ngx_http_aggregate_into_default(
    ngx_http_aggregate_part_t *part, agg_str_t *document,
    agg_shape_into_t *into);
static ngx_int_t ngx_http_aggregate_add_source(agg_merge_t *m,
    ngx_http_aggregate_part_t *part);
static ngx_uint_t ngx_http_aggregate_in_root(ngx_http_aggregate_part_t *part);
static ngx_int_t ngx_http_aggregate_add_members(ngx_array_t *slices,
    agg_merge_t *merge, ngx_http_aggregate_part_t *part, ngx_uint_t *n);
static ngx_inline ngx_int_t ngx_http_aggregate_add_slice(
    ngx_array_t *slices, u_char *data, size_t len);
static ngx_int_t ngx_http_aggregate_errors(ngx_http_aggregate_ctx_t *ctx,
    agg_buf_t *b);
static ngx_int_t ngx_http_aggregate_one_buffer(ngx_pool_t *pool,
    ngx_array_t *slices, off_t length, ngx_chain_t **out);
static u_char *ngx_http_aggregate_answer_memory(ngx_pool_t *pool,
    size_t length);
static ngx_int_t ngx_http_aggregate_chain(ngx_pool_t *pool,
    ngx_array_t *slices, ngx_chain_t **out);


/* blocks of NGX_HTTP_AGGREGATE_COPY_MIDDLE bytes, and of ..._COPY_ALL */

static ngx_http_aggregate_scratch_t  ngx_http_aggregate_answers[2];


/* parts that contain others are shaped last */

ngx_int_t
ngx_http_aggregate_shape_parts(ngx_http_aggregate_ctx_t *ctx)
{
    ngx_uint_t                  i;
    ngx_http_aggregate_part_t  *part;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (!part->conf->host || part->value.data == NULL) {
            continue;
        }

        if (ngx_http_aggregate_shape_host(part) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_shape_host(ngx_http_aggregate_part_t *host)
{
    agg_rc_e                     rc;
    agg_buf_t                    out;
    ngx_pool_t                  *pool;
    agg_shape_t                 *shape;
    agg_shape_run_t             *run;
    agg_shape_args_t             args;
    ngx_http_aggregate_ctx_t    *ctx;
    ngx_http_aggregate_shape_t  *sh;

    ctx = host->ctx;
    pool = ctx->request->pool;

    sh = host->defaulted ? host->conf->default_shape : host->conf->shape;
    shape = host->defaulted ? sh->shape : agg_shape_tail(sh->shape);

    if (ngx_http_aggregate_shape_args(ctx->request, sh, &args) != NGX_OK) {
        return NGX_ERROR;
    }

    args.into = ngx_pcalloc(pool,
                            host->conf->intos * sizeof(agg_shape_into_t));
    run = ngx_palloc(pool, agg_shape_run_size(shape));

    if (args.into == NULL || run == NULL
        || ngx_http_aggregate_into_values(host, args.into) != NGX_OK)
    {
        return NGX_ERROR;
    }

    agg_buf_init(&out, ctx->fetches->mem, ctx->block->limits.max_response_size);
    agg_shape_run_init(run, shape, &out, &args);

    rc = agg_shape_run_push(run, host->source.data, host->source.len);

    if (rc == AGG_OK) {
        rc = agg_shape_run_finish(run);
    }

    if (rc == AGG_OK) {
        host->value.data = out.start;
        host->value.len = agg_buf_used(&out);
        return NGX_OK;
    }

    if (rc == AGG_TOO_LARGE) {
        ngx_http_aggregate_part_fail(host, NGX_HTTP_AGGREGATE_TOO_LARGE,
                                     host->status);
        return NGX_OK;
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_into_values(ngx_http_aggregate_part_t *host,
    agg_shape_into_t *intos)
{
    ngx_uint_t                   i, k;
    agg_shape_into_t            *into;
    ngx_http_aggregate_ctx_t    *ctx;
    ngx_http_aggregate_part_t   *part;
    ngx_http_aggregate_fetch_t  *fetch;

    ctx = host->ctx;

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (part->conf->into.data == NULL
            || part->conf->each_part != (ngx_int_t) host->conf->number
            || part->skipped)
        {
            continue;
        }

        into = &intos[part->conf->into_slot];

        if (part->failed) {

            if (part->defaulted
                && ngx_http_aggregate_into_default(part, &host->source, into)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        into->n = part->nelements;
        into->at = part->array_at;
        into->values = ngx_pcalloc(ctx->request->pool,
                                   into->n * sizeof(agg_str_t));
        if (into->values == NULL) {
            return NGX_ERROR;
        }

        for (k = 0; k < part->nelements; k++) {
            fetch = part->elements[k];

            if (fetch) {
                into->values[k] = fetch->value;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_into_default(ngx_http_aggregate_part_t *part,
    agg_str_t *document, agg_shape_into_t *into)
{
    agg_str_t   array, *value;
    agg_iter_t  it;

    if (agg_path_get(part->conf->each_path, document, &array) != AGG_OK
        || agg_json_kind(&array) != AGG_ARRAY)
    {
        return NGX_OK;
    }

    into->at = array.data - document->data + 1;

    agg_iter_init(&it, &array);

    while (agg_iter_next(&it)) {
        into->n++;
    }

    into->values = ngx_pcalloc(part->ctx->request->pool,
                               (into->n + 1) * sizeof(agg_str_t));
    if (into->values == NULL) {
        return NGX_ERROR;
    }

    value = into->values;

    agg_iter_init(&it, &array);

    while (agg_iter_next(&it)) {

        if (agg_json_kind(&it.value) == AGG_OBJECT) {
            *value = part->value;
        }

        value++;
    }

    return NGX_OK;
}


/* only with "merge" can two parts set the same member */

ngx_int_t
ngx_http_aggregate_resolve_conflicts(ngx_http_aggregate_ctx_t *ctx,
    agg_merge_t **merge)
{
    ngx_int_t                        rc;
    ngx_uint_t                       i;
    agg_str_t                        errors;
    agg_merge_t                     *m;
    ngx_http_aggregate_block_t      *block;
    ngx_http_aggregate_part_t       *part;
    ngx_http_aggregate_main_conf_t  *amcf;

    block = ctx->block;
    *merge = NULL;

    if (!block->merge) {
        return NGX_OK;
    }

    amcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_aggregate_module);

    m = ngx_palloc(ctx->request->pool, sizeof(agg_merge_t));

    if (m == NULL
        || agg_merge_init(m, block->on_conflict, amcf->key, ctx->fetches->mem)
           != AGG_OK)
    {
        return NGX_ERROR;
    }

    if (block->errors.data) {
        errors.data = block->errors_key.data + 1;
        errors.len = block->errors_key.len - 3;
    }

    if (block->errors.data && block->on_conflict != AGG_MERGE_LAST
        && agg_merge_add(m, ctx->nparts, &errors, NULL) != AGG_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        rc = ngx_http_aggregate_add_source(m, part);

        if (rc == NGX_DECLINED) {
            ngx_http_aggregate_part_fail(part, NGX_HTTP_AGGREGATE_CONFLICT,
                                         part->status);

            rc = ngx_http_aggregate_add_source(m, part);

            if (rc == NGX_DECLINED) {
                part->value.data = NULL;
                rc = NGX_OK;
            }
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (block->errors.data && block->on_conflict == AGG_MERGE_LAST
        && agg_merge_add(m, ctx->nparts, &errors, NULL) != AGG_OK)
    {
        return NGX_ERROR;
    }

    *merge = m;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_add_source(agg_merge_t *m, ngx_http_aggregate_part_t *part)
{
    agg_rc_e                       rc;
    agg_str_t                      name;
    ngx_http_aggregate_backend_t  *conf;

    conf = part->conf;

    if (!ngx_http_aggregate_in_root(part)) {
        return NGX_OK;
    }

    if (conf->merge) {

        if (agg_json_kind(&part->value) != AGG_OBJECT) {
            return NGX_OK;
        }

        rc = agg_merge_add(m, conf->number, NULL, &part->value);

    } else {
        name.data = conf->key.data + 1;
        name.len = conf->key.len - 3;

        rc = agg_merge_add(m, conf->number, &name, NULL);
    }

    if (rc == AGG_INVALID) {
        return NGX_DECLINED;
    }

    return rc == AGG_OK ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_aggregate_in_root(ngx_http_aggregate_part_t *part)
{
    return part->value.data && !part->skipped && !part->conf->hidden
           && part->conf->into.data == NULL;
}


/* NGX_DECLINED: larger than "max_response_size" */

ngx_int_t
ngx_http_aggregate_compose(ngx_http_aggregate_ctx_t *ctx, agg_merge_t *merge,
    ngx_chain_t **out, off_t *length)
{
    agg_buf_t                    b;
    agg_str_t                   *slice;
    ngx_uint_t                   i, n;
    ngx_pool_t                  *pool;
    ngx_array_t                  slices;
    ngx_http_aggregate_part_t   *part;
    ngx_http_aggregate_block_t  *block;

    pool = ctx->request->pool;
    block = ctx->block;

    if (ngx_array_init(&slices, pool, 4 * ctx->nparts + 8, sizeof(agg_str_t))
        != NGX_OK
        || ngx_http_aggregate_add_slice(&slices, (u_char *) "{", 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0, n = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (ngx_http_aggregate_in_root(part)
            && ngx_http_aggregate_add_members(&slices, merge, part, &n)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (block->errors.data) {

        if (ngx_http_aggregate_errors(ctx, &b) != NGX_OK
            || (n && ngx_http_aggregate_add_slice(&slices, (u_char *) ",", 1)
                     != NGX_OK)
            || ngx_http_aggregate_add_slice(&slices, block->errors_key.data,
                                            block->errors_key.len)
               != NGX_OK
            || ngx_http_aggregate_add_slice(&slices, b.start,
                                            agg_buf_used(&b))
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_aggregate_add_slice(&slices, (u_char *) "}", 1) != NGX_OK) {
        return NGX_ERROR;
    }

    slice = slices.elts;
    *length = 0;

    for (i = 0; i < slices.nelts; i++) {
        *length += slice[i].len;
    }

    if (*length > (off_t) block->limits.max_response_size) {
        return NGX_DECLINED;
    }

    if (*length <= NGX_HTTP_AGGREGATE_COPY_ALL) {
        return ngx_http_aggregate_one_buffer(pool, &slices, *length, out);
    }

    return ngx_http_aggregate_chain(pool, &slices, out);
}


static ngx_int_t
ngx_http_aggregate_add_members(ngx_array_t *slices, agg_merge_t *merge,
    ngx_http_aggregate_part_t *part, ngx_uint_t *n)
{
    agg_str_t                      name;
    agg_iter_t                     it;
    ngx_http_aggregate_backend_t  *conf;

    conf = part->conf;

    if (!conf->merge) {

        if (merge) {
            name.data = conf->key.data + 1;
            name.len = conf->key.len - 3;

            if (!agg_merge_owns(merge, conf->number, &name)) {
                return NGX_OK;
            }
        }

        if (((*n)++ && ngx_http_aggregate_add_slice(slices, (u_char *) ",", 1)
                       != NGX_OK)
            || ngx_http_aggregate_add_slice(slices, conf->key.data,
                                            conf->key.len)
               != NGX_OK
            || ngx_http_aggregate_add_slice(slices, part->value.data,
                                            part->value.len)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    agg_iter_init(&it, &part->value);

    while (agg_iter_next(&it)) {

        if (!agg_merge_owns(merge, conf->number, &it.name)) {
            continue;
        }

        if (((*n)++ && ngx_http_aggregate_add_slice(slices, (u_char *) ",", 1)
                       != NGX_OK)
            || ngx_http_aggregate_add_slice(slices, it.name.data - 1,
                                            it.value.data + it.value.len
                                            - it.name.data + 1)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_inline ngx_int_t
ngx_http_aggregate_add_slice(ngx_array_t *slices, u_char *data, size_t len)
{
    agg_str_t  *slice;

    if (slices->nelts < slices->nalloc) {
        slice = (agg_str_t *) slices->elts + slices->nelts++;

    } else {
        slice = ngx_array_push(slices);
        if (slice == NULL) {
            return NGX_ERROR;
        }
    }

    slice->data = data;
    slice->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_errors(ngx_http_aggregate_ctx_t *ctx, agg_buf_t *b)
{
    u_char                      *p, text[256];
    ngx_uint_t                   i, n;
    ngx_http_aggregate_part_t   *part;

    agg_buf_init(b, ctx->fetches->mem, ctx->block->limits.max_response_size);

    if (agg_buf_append(b, "[", 1) != AGG_OK) {
        return NGX_ERROR;
    }

    for (i = 0, n = 0; i < ctx->nparts; i++) {
        part = &ctx->parts[i];

        if (!part->failed && !part->degraded) {
            continue;
        }

        p = ngx_sprintf(text, "%s{\"backend\":\"", n++ ? "," : "");

        if (agg_buf_append(b, text, p - text) != AGG_OK
            || agg_buf_append(b, part->conf->name.data, part->conf->name.len)
               != AGG_OK)
        {
            return NGX_ERROR;
        }

        p = ngx_sprintf(text, "\",\"reason\":\"%V\",\"status\":",
                        &ngx_http_aggregate_reasons[part->reason]);

        p = part->status ? ngx_sprintf(p, "%ui}", part->status)
                         : ngx_cpymem(p, "null}", 5);

        if (agg_buf_append(b, text, p - text) != AGG_OK) {
            return NGX_ERROR;
        }
    }

    return agg_buf_append(b, "]", 1) == AGG_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_one_buffer(ngx_pool_t *pool, ngx_array_t *slices,
    off_t length, ngx_chain_t **out)
{
    ngx_buf_t    *b;
    agg_str_t    *slice;
    ngx_uint_t    i;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(pool);
    cl = ngx_alloc_chain_link(pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->start = ngx_http_aggregate_answer_memory(pool, length);
    if (b->start == NULL) {
        return NGX_ERROR;
    }

    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + length;
    b->temporary = 1;

    slice = slices->elts;

    for (i = 0; i < slices->nelts; i++) {
        b->last = ngx_cpymem(b->last, slice[i].data, slice[i].len);
    }

    cl->buf = b;
    cl->next = NULL;

    *out = cl;

    return NGX_OK;
}


static u_char *
ngx_http_aggregate_answer_memory(ngx_pool_t *pool, size_t length)
{
    u_char  *p;

    p = NULL;

    if (length > NGX_HTTP_AGGREGATE_COPY_MIDDLE) {
        p = ngx_http_aggregate_scratch_get(&ngx_http_aggregate_answers[1],
                                           NGX_HTTP_AGGREGATE_COPY_ALL, pool);

    } else if (length > NGX_HTTP_AGGREGATE_COPY_SMALL) {
        p = ngx_http_aggregate_scratch_get(&ngx_http_aggregate_answers[0],
                                           NGX_HTTP_AGGREGATE_COPY_MIDDLE,
                                           pool);
    }

    return p ? p : ngx_http_aggregate_memory_alloc(pool, length);
}


/* the answer was sent, or is on its way, or there was an error */

void
ngx_http_aggregate_composed(ngx_chain_t *out)
{
    ngx_buf_t                     *b;
    ngx_http_aggregate_scratch_t  *scratch;

    b = out->buf;

    scratch = &ngx_http_aggregate_answers[b->end - b->start
                                          > NGX_HTTP_AGGREGATE_COPY_MIDDLE];

    if (!ngx_http_aggregate_scratch_is(scratch, b->start)) {
        return;
    }

    if (b->pos == b->last) {
        ngx_http_aggregate_scratch_release(scratch);

    } else {
        ngx_http_aggregate_scratch_keep(scratch);
    }
}


static ngx_int_t
ngx_http_aggregate_chain(ngx_pool_t *pool, ngx_array_t *slices,
    ngx_chain_t **out)
{
    size_t         small;
    u_char        *p, *start;
    ngx_buf_t     *b;
    agg_str_t     *slice;
    ngx_uint_t     i;
    ngx_chain_t   *cl, **last;

    slice = slices->elts;
    small = 0;

    for (i = 0; i < slices->nelts; i++) {
        if (slice[i].len < NGX_HTTP_AGGREGATE_COPY_SLICE) {
            small += slice[i].len;
        }
    }

    p = ngx_pnalloc(pool, small + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = out;

    for (i = 0; i < slices->nelts; /* void */ ) {

        start = p;

        while (i < slices->nelts
               && slice[i].len < NGX_HTTP_AGGREGATE_COPY_SLICE)
        {
            p = ngx_cpymem(p, slice[i].data, slice[i].len);
            i++;
        }

        b = ngx_calloc_buf(pool);
        cl = ngx_alloc_chain_link(pool);

        if (b == NULL || cl == NULL) {
            return NGX_ERROR;
        }

        if (p > start) {
            b->pos = start;
            b->last = p;

        } else {
            b->pos = slice[i].data;
            b->last = slice[i].data + slice[i].len;
            i++;
        }

        b->start = b->pos;
        b->end = b->last;
        b->temporary = 1;

        cl->buf = b;
        cl->next = NULL;

        *last = cl;
        last = &cl->next;
    }

    return NGX_OK;
}
