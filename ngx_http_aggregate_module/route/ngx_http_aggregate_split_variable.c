
/*
 * The variable of a split.  The version is chosen when the variable is first
 * read, once for a client request and all its subrequests.  Each request that
 * has read it and called an upstream is counted when the client request ends.
 *
 * Only the tries of one upstream count: the one whose address was last read
 * from the variable, or else the first one after the variable was read.  Others
 * are those of "error_page" and the like, which may be any version.
 */

#include "ngx_http_aggregate_depends.h"
#include "ngx_http_aggregate_split.h"
#include "ngx_http_gw_upstream.h"


/* a repeated read is detected among this many recent reads of a request */

#define NGX_HTTP_AGGREGATE_SPLIT_RECENT  8


typedef struct {
    ngx_http_request_t                *request;
    ngx_http_aggregate_split_conf_t   *split;
    ngx_uint_t                         states;     /* r->upstream_states */
    ngx_uint_t                         later;      /* unsigned  later:1; */

    /* the upstream of the response, in the first read of a request */

    ngx_http_upstream_t               *upstream;
    void                             (*finalize_request)(
                                        ngx_http_request_t *r, ngx_int_t rc);
    ngx_uint_t                         broken;     /* states when it broke */
} ngx_http_aggregate_split_read_t;


typedef struct {
    unsigned                           made:1;
    unsigned                           version:8;
    unsigned                           reason:8;
} ngx_http_aggregate_split_choice_t;


typedef struct {
    ngx_http_request_t                *request;
    ngx_array_t                        reads;
    ngx_uint_t                         counted;    /* unsigned  counted:1; */
    ngx_http_aggregate_split_choice_t  choices[1];
} ngx_http_aggregate_split_ctx_t;


static ngx_http_aggregate_split_ctx_t *ngx_http_aggregate_split_find_ctx(
    ngx_http_request_t *r);
static ngx_http_aggregate_split_ctx_t *ngx_http_aggregate_split_get_ctx(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_split_choose(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split,
    ngx_http_aggregate_split_choice_t *choice);
static ngx_uint_t ngx_http_aggregate_split_forced(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split,
    ngx_http_aggregate_split_force_t *force,
    ngx_http_aggregate_split_choice_t *choice);
static ngx_int_t ngx_http_aggregate_split_choose_for(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split,
    ngx_http_aggregate_split_choice_t *choice);
static ngx_int_t ngx_http_aggregate_split_record(ngx_http_request_t *r,
    ngx_http_aggregate_split_ctx_t *ctx,
    ngx_http_aggregate_split_conf_t *split);
static void ngx_http_aggregate_split_mark(ngx_http_request_t *r,
    ngx_http_aggregate_split_read_t *read);
static ngx_http_aggregate_split_read_t *ngx_http_aggregate_split_find_read(
    ngx_http_aggregate_split_ctx_t *ctx, ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_split_header_filter(
    ngx_http_request_t *r);
static void ngx_http_aggregate_split_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_aggregate_split_cleanup(void *data);
static void ngx_http_aggregate_split_count(
    ngx_http_aggregate_split_ctx_t *ctx,
    ngx_http_aggregate_split_read_t *read);
static ngx_http_upstream_state_t *ngx_http_aggregate_split_tries(
    ngx_http_aggregate_split_read_t *read, ngx_msec_t *time);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


ngx_int_t
ngx_http_aggregate_split_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_aggregate_split_conf_t *split =
                                    (ngx_http_aggregate_split_conf_t *) data;

    ngx_http_aggregate_split_ctx_t     *ctx;
    ngx_http_aggregate_split_choice_t  *choice;

    ctx = ngx_http_aggregate_split_get_ctx(r->main);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    choice = &ctx->choices[split->ordinal];

    if (!choice->made
        && ngx_http_aggregate_split_choose_for(r, split, choice) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (split->zone
        && ngx_http_aggregate_split_record(r, ctx, split) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_aggregate_depend(r, (ngx_uint_t) split->depends) != NGX_OK) {
        return NGX_ERROR;
    }

    v->data = split->names[choice->version].data;
    v->len = split->names[choice->version].len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* an internal redirect, or an error in a filter, wipes the context */

static ngx_http_aggregate_split_ctx_t *
ngx_http_aggregate_split_find_ctx(ngx_http_request_t *r)
{
    ngx_http_cleanup_t              *cln;
    ngx_http_aggregate_split_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_aggregate_split_module);

    if (ctx || (r->uri_changes == NGX_HTTP_MAX_URI_CHANGES + 1
                && !r->filter_finalize))
    {
        return ctx;
    }

    for (cln = r->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_aggregate_split_cleanup) {
            ngx_http_set_ctx(r, cln->data, ngx_http_aggregate_split_module);
            return cln->data;
        }
    }

    return NULL;
}


static ngx_http_aggregate_split_ctx_t *
ngx_http_aggregate_split_get_ctx(ngx_http_request_t *r)
{
    size_t                                 size;
    ngx_http_cleanup_t                    *cln;
    ngx_http_aggregate_split_ctx_t        *ctx;
    ngx_http_aggregate_split_main_conf_t  *smcf;

    ctx = ngx_http_aggregate_split_find_ctx(r);

    if (ctx) {
        return ctx;
    }

    smcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_split_module);

    size = sizeof(ngx_http_aggregate_split_ctx_t)
           + smcf->splits.nelts * sizeof(ngx_http_aggregate_split_choice_t);

    ctx = ngx_pcalloc(r->pool, size);
    if (ctx == NULL) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL
        || ngx_array_init(&ctx->reads, r->pool, 2,
                          sizeof(ngx_http_aggregate_split_read_t))
           != NGX_OK)
    {
        return NULL;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_aggregate_split_module);

    ctx->request = r;

    cln->handler = ngx_http_aggregate_split_cleanup;
    cln->data = ctx;

    return ctx;
}


/*
 * A subrequest such as that of SSI has the array of the client request's
 * variables.  The caller may have measured a string with values of the
 * subrequest, so those of the client request are kept apart.
 */

static ngx_int_t
ngx_http_aggregate_split_choose_for(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split,
    ngx_http_aggregate_split_choice_t *choice)
{
    size_t                      size;
    ngx_int_t                   rc;
    ngx_http_variable_value_t  *variables;
    ngx_http_core_main_conf_t  *cmcf;

    if (r == r->main) {
        return ngx_http_aggregate_split_choose(r, split, choice);
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    size = cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);

    r = r->main;
    variables = r->variables;

    r->variables = ngx_palloc(r->pool, size);

    if (r->variables == NULL) {
        r->variables = variables;
        return NGX_ERROR;
    }

    ngx_memcpy(r->variables, variables, size);

    rc = ngx_http_aggregate_split_choose(r, split, choice);

    r->variables = variables;

    return rc;
}


/* r is the request of the client */

static ngx_int_t
ngx_http_aggregate_split_choose(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split,
    ngx_http_aggregate_split_choice_t *choice)
{
    unsigned      bucket;
    ngx_str_t     key;
    agg_split_t  *state;

    if (ngx_http_aggregate_split_forced(r, split, &split->header, choice)) {
        choice->reason = AGG_SPLIT_HEADER;
        return NGX_OK;
    }

    if (ngx_http_aggregate_split_forced(r, split, &split->cookie, choice)) {
        choice->reason = AGG_SPLIT_COOKIE;
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, &split->key, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    state = ngx_http_aggregate_split_state(split);

    choice->made = 1;

    if (key.len == 0) {
        choice->reason = AGG_SPLIT_UNKEYED;
        choice->version = agg_split_whole(state) & 0xff;
        return NGX_OK;
    }

    bucket = agg_split_bucket(split->salt_hash, key.data, key.len);

    choice->reason = AGG_SPLIT_SHARE;
    choice->version = agg_split_pick(state, bucket) & 0xff;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_aggregate_split_forced(ngx_http_request_t *r,
    ngx_http_aggregate_split_conf_t *split,
    ngx_http_aggregate_split_force_t *force,
    ngx_http_aggregate_split_choice_t *choice)
{
    ngx_uint_t                  i;
    ngx_http_variable_value_t  *v;

    if (force->index == NGX_ERROR) {
        return 0;
    }

    if (force->condition != NGX_ERROR) {
        v = ngx_http_get_flushed_variable(r, (ngx_uint_t) force->condition);

        if (v == NULL || v->not_found || v->len == 0
            || (v->len == 1 && v->data[0] == '0'))
        {
            return 0;
        }
    }

    v = ngx_http_get_flushed_variable(r, (ngx_uint_t) force->index);

    if (v == NULL || v->not_found) {
        return 0;
    }

    for (i = 0; i < split->nversions; i++) {
        if (split->names[i].len == v->len
            && ngx_strncmp(split->names[i].data, v->data, v->len) == 0)
        {
            choice->made = 1;
            choice->version = i & 0xff;
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_aggregate_split_record(ngx_http_request_t *r,
    ngx_http_aggregate_split_ctx_t *ctx,
    ngx_http_aggregate_split_conf_t *split)
{
    ngx_uint_t                        i, n;
    ngx_http_aggregate_split_read_t  *read;

    read = ctx->reads.elts;
    n = ctx->reads.nelts;

    for (i = 0; i < n && i < NGX_HTTP_AGGREGATE_SPLIT_RECENT; i++) {
        if (read[n - 1 - i].request == r && read[n - 1 - i].split == split) {
            break;
        }
    }

    if (i < n && i < NGX_HTTP_AGGREGATE_SPLIT_RECENT) {

        /* "proxy_pass" and the like, before they set up their upstream */

        if (r->upstream && r->upstream->create_request == NULL) {
            ngx_http_aggregate_split_mark(r, &read[n - 1 - i]);
        }

        return NGX_OK;
    }

    read = ngx_array_push(&ctx->reads);
    if (read == NULL) {
        return NGX_ERROR;
    }

    read->request = r;
    read->split = split;
    read->upstream = NULL;
    read->broken = 0;

    ngx_http_aggregate_split_mark(r, read);

    return NGX_OK;
}


/* the next upstream of the request is the one that counts */

static void
ngx_http_aggregate_split_mark(ngx_http_request_t *r,
    ngx_http_aggregate_split_read_t *read)
{
    read->states = r->upstream_states ? r->upstream_states->nelts : 0;
    read->later = (r->upstream_states != NULL);
}


static ngx_http_aggregate_split_read_t *
ngx_http_aggregate_split_find_read(ngx_http_aggregate_split_ctx_t *ctx,
    ngx_http_request_t *r)
{
    ngx_uint_t                        i;
    ngx_http_aggregate_split_read_t  *read;

    read = ctx->reads.elts;

    for (i = 0; i < ctx->reads.nelts; i++) {
        if (read[i].request == r) {
            return &read[i];
        }
    }

    return NULL;
}


/* only the end of the upstream tells whether the body was complete */

static ngx_int_t
ngx_http_aggregate_split_header_filter(ngx_http_request_t *r)
{
    ngx_http_upstream_t              *u;
    ngx_http_aggregate_split_ctx_t   *ctx;
    ngx_http_aggregate_split_read_t  *read;

    u = r->upstream;

    if (u == NULL || u->cleanup == NULL || u->finalize_request == NULL) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_aggregate_split_find_ctx(r->main);

    if (ctx == NULL) {
        return ngx_http_next_header_filter(r);
    }

    read = ngx_http_aggregate_split_find_read(ctx, r);

    if (read && read->upstream != u) {
        read->upstream = u;
        read->finalize_request = u->finalize_request;
        u->finalize_request = ngx_http_aggregate_split_finalize_request;
    }

    return ngx_http_next_header_filter(r);
}


static void
ngx_http_aggregate_split_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc)
{
    ngx_http_aggregate_split_ctx_t   *ctx;
    ngx_http_aggregate_split_read_t  *read;

    ctx = ngx_http_aggregate_split_find_ctx(r->main);
    read = ctx ? ngx_http_aggregate_split_find_read(ctx, r) : NULL;

    if (read == NULL) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "no split context of a request that ends");
        return;
    }

    if (ngx_http_gw_upstream_is_broken(r, r->upstream, rc)) {
        read->broken = r->upstream_states->nelts;
    }

    read->finalize_request(r, rc);
}


void
ngx_http_aggregate_split_init_filter(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_aggregate_split_header_filter;
}


/* the client request and all its subrequests have ended */

static void
ngx_http_aggregate_split_cleanup(void *data)
{
    ngx_http_aggregate_split_ctx_t *ctx = data;

    ngx_uint_t                        i;
    ngx_http_aggregate_split_read_t  *read;

    if (ctx->counted) {
        return;
    }

    ctx->counted = 1;

    /* makes it available to loggers that run later, after the cleanups */

    ngx_http_set_ctx(ctx->request, ctx, ngx_http_aggregate_split_module);

    read = ctx->reads.elts;

    for (i = 0; i < ctx->reads.nelts; i++) {
        ngx_http_aggregate_split_count(ctx, &read[i]);
    }
}


static void
ngx_http_aggregate_split_count(ngx_http_aggregate_split_ctx_t *ctx,
    ngx_http_aggregate_split_read_t *read)
{
    unsigned                            error;
    ngx_msec_t                          time;
    ngx_http_request_t                 *r;
    ngx_http_upstream_state_t          *last;
    ngx_http_aggregate_split_conf_t    *split;
    ngx_http_aggregate_split_choice_t  *choice;

    r = read->request;
    split = read->split;
    choice = &ctx->choices[split->ordinal];

    if (r->upstream_states == NULL || split->state == NULL) {
        return;
    }

    last = ngx_http_aggregate_split_tries(read, &time);

    /* clients that left and cancelled parts are not counted */

    if (last == NULL || last->status == 0
        || last->status == NGX_HTTP_CLIENT_CLOSED_REQUEST)
    {
        return;
    }

    error = (last->status >= NGX_HTTP_INTERNAL_SERVER_ERROR);

    if (!error) {
        read = ngx_http_aggregate_split_find_read(ctx, r);

        error = (read && read->broken && last
                 == (ngx_http_upstream_state_t *) r->upstream_states->elts
                    + read->broken - 1);

        if (!error && r->connection->error) {
            return;
        }
    }

    ngx_shmtx_lock(&split->zone->shpool->mutex);

    if (split->state->text == split->text) {
        agg_split_count(split->state, choice->version,
                        (agg_split_reason_e) choice->reason, error, time,
                        &split->rule, ngx_current_msec);
    }

    ngx_shmtx_unlock(&split->zone->shpool->mutex);
}


/*
 * The last try of the upstream that counts; NULL: there was none.  nginx puts
 * an empty state before the states of each upstream but the first one.
 */

static ngx_http_upstream_state_t *
ngx_http_aggregate_split_tries(ngx_http_aggregate_split_read_t *read,
    ngx_msec_t *time)
{
    ngx_uint_t                  i, n;
    ngx_msec_t                  ms;
    ngx_http_upstream_state_t  *state, *last;

    state = read->request->upstream_states->elts;
    n = read->request->upstream_states->nelts;
    i = read->states;

    if (read->later && i < n && state[i].peer == NULL) {
        i++;
    }

    *time = 0;
    last = NULL;

    for ( /* void */ ; i < n && state[i].peer != NULL; i++) {

        last = &state[i];

        ms = (last->header_time != (ngx_msec_t) -1) ? last->header_time
                                                    : last->response_time;

        if ((ngx_msec_int_t) ms > 0) {
            *time += ms;
        }
    }

    return last;
}


ngx_int_t
ngx_http_aggregate_split_chosen(ngx_http_request_t *r, ngx_uint_t n,
    ngx_str_t *name, ngx_str_t *version)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_split_ctx_t         *ctx;
    ngx_http_aggregate_split_read_t        *read;
    ngx_http_aggregate_split_conf_t        *split, **splitp;
    ngx_http_aggregate_split_main_conf_t   *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_split_module);

    if (n >= smcf->splits.nelts) {
        return NGX_DONE;
    }

    ctx = ngx_http_aggregate_split_find_ctx(r->main);

    if (ctx == NULL || !ctx->choices[n].made) {
        return NGX_DECLINED;
    }

    splitp = smcf->splits.elts;
    split = splitp[n];

    if (r != r->main) {
        read = ctx->reads.elts;

        for (i = 0; i < ctx->reads.nelts; i++) {
            if (read[i].request == r && read[i].split == split) {
                break;
            }
        }

        if (i == ctx->reads.nelts) {
            return NGX_DECLINED;
        }
    }

    *name = split->attribute;
    *version = split->names[ctx->choices[n].version];

    return NGX_OK;
}
