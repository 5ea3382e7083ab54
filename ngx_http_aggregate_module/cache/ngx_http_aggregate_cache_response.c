
/*
 * The response's side: may it be stored.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_depends.h"


typedef struct {
    agg_cache_response_t              resp;
    ngx_str_t                         targeted;
    u_char                           *vary;      /* room for names */
    ngx_uint_t                        ignored;
    ngx_uint_t                        accel;
} ngx_http_aggregate_cache_judge_t;


typedef void (*ngx_http_aggregate_cache_judge_pt)(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);


typedef struct {
    ngx_str_t                          name;
    ngx_http_aggregate_cache_judge_pt  handler;
} ngx_http_aggregate_cache_judged_t;


static ngx_int_t ngx_http_aggregate_cache_judge_list(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_list_t *headers);
static ngx_int_t ngx_http_aggregate_cache_judge_lines(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j);
static ngx_int_t ngx_http_aggregate_cache_verdict(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_uint_t status);
static ngx_uint_t ngx_http_aggregate_cache_unkeyed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_judge_conf(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_response_t *resp);
static ngx_int_t ngx_http_aggregate_cache_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

static void ngx_http_aggregate_cache_on_control(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_targeted(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_expires(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_accel(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_date(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_age(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_validator(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static time_t ngx_http_aggregate_cache_time_value(ngx_str_t *value);
static void ngx_http_aggregate_cache_on_vary(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_set_cookie(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_range(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_encoding(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);
static void ngx_http_aggregate_cache_on_aggregate(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_str_t *value);


static ngx_http_aggregate_cache_judged_t
    ngx_http_aggregate_cache_judged[] =
{
    { ngx_string("Cache-Control"), ngx_http_aggregate_cache_on_control },
    { ngx_string("CDN-Cache-Control"), ngx_http_aggregate_cache_on_targeted },
    { ngx_string("Expires"), ngx_http_aggregate_cache_on_expires },
    { ngx_string("X-Accel-Expires"), ngx_http_aggregate_cache_on_accel },
    { ngx_string("Date"), ngx_http_aggregate_cache_on_date },
    { ngx_string("Age"), ngx_http_aggregate_cache_on_age },
    { ngx_string("Vary"), ngx_http_aggregate_cache_on_vary },
    { ngx_string("ETag"), ngx_http_aggregate_cache_on_validator },
    { ngx_string("Last-Modified"), ngx_http_aggregate_cache_on_validator },
    { ngx_string("Set-Cookie"), ngx_http_aggregate_cache_on_set_cookie },
    { ngx_string("Set-Cookie2"), ngx_http_aggregate_cache_on_set_cookie },
    { ngx_string("Content-Range"), ngx_http_aggregate_cache_on_range },
    { ngx_string("Content-Encoding"), ngx_http_aggregate_cache_on_encoding },
    { ngx_string("X-Aggregate"), ngx_http_aggregate_cache_on_aggregate },
    { ngx_null_string, NULL }
};


/* NGX_OK: to be stored; NGX_DECLINED: not */

ngx_int_t
ngx_http_aggregate_cache_judge(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_list_t                        *headers;
    ngx_http_aggregate_cache_judge_t   j;

    ngx_memzero(&j, sizeof(ngx_http_aggregate_cache_judge_t));

    headers = ngx_http_aggregate_cache_origin_headers(r, ctx);

    if (ngx_http_aggregate_cache_judge_list(r, ctx, &j, headers) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->headers_out.content_encoding
        && r->headers_out.content_encoding->value.len)
    {
        j.resp.flags |= AGG_CACHE_RESP_ENCODED;
    }

    return ngx_http_aggregate_cache_verdict(r, ctx, &j,
                                            r->headers_out.status);
}


/* the header as the origin sent it, also of what nginx hides */

ngx_list_t *
ngx_http_aggregate_cache_origin_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u && u != ctx->upstream && u->headers_in.headers.part.nelts) {
        return &u->headers_in.headers;
    }

    return &r->headers_out.headers;
}


static ngx_int_t
ngx_http_aggregate_cache_judge_list(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_list_t *headers)
{
    size_t                              len;
    ngx_uint_t                          n, pass;
    ngx_table_elt_t                    *h;
    ngx_http_aggregate_header_iter_t    it;
    ngx_http_aggregate_cache_judged_t  *judged;

    judged = ngx_http_aggregate_cache_judged;

    agg_cache_control_init(&j->resp.control);

    j->ignored = ctx->conf->ignore_headers;
    j->resp.date = AGG_CACHE_UNSET;
    j->resp.age = AGG_CACHE_UNSET;

    ctx->nvary = 0;
    len = 0;

    for (pass = 0; pass < 2; pass++) {

        ngx_http_aggregate_header_iter(&it, headers);

        while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

            if (pass == 0) {
                len += h->value.len + 2;
                continue;
            }

            /* the upstream module clears the hash of some that it hides */

            if (h->hash == 0 && headers == &r->headers_out.headers) {
                continue;
            }

            for (n = 0; judged[n].name.len; n++) {

                if (ngx_http_aggregate_header_named(h, &judged[n].name)) {
                    judged[n].handler(ctx, j, &h->value);
                    break;
                }
            }
        }

        if (pass == 0) {
            j->vary = ngx_pnalloc(r->pool, len + 1);
            j->targeted.data = ngx_pnalloc(r->pool, len + 1);

            if (j->vary == NULL || j->targeted.data == NULL) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* the same for the lines of an entry that has been revalidated */

static ngx_int_t
ngx_http_aggregate_cache_judge_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j)
{
    ngx_uint_t                          n;
    ngx_str_t                           text;
    ngx_list_t                         *headers;
    const u_char                       *p;
    agg_cache_str_t                     name, value;
    ngx_http_aggregate_cache_judged_t  *judged;

    judged = ngx_http_aggregate_cache_judged;

    headers = ngx_http_aggregate_cache_origin_headers(r, ctx);

    j->vary = ngx_pnalloc(r->pool, ctx->entry.lines.len + 1);
    if (j->vary == NULL) {
        return NGX_ERROR;
    }

    p = ctx->entry.lines.data;

    while (agg_cache_entry_line(&ctx->entry, &p, &name, &value) == 1) {

        /* a header of the 304 replaces the stored one */

        text.data = (u_char *) name.data;
        text.len = name.len;

        if (ngx_http_aggregate_header_find(headers, &text)) {
            continue;
        }

        text.data = (u_char *) value.data;
        text.len = value.len;

        for (n = 0; judged[n].name.len; n++) {

            if (judged[n].handler != ngx_http_aggregate_cache_on_date
                && name.len == judged[n].name.len
                && ngx_strncasecmp((u_char *) name.data, judged[n].name.data,
                                   name.len)
                   == 0)
            {
                judged[n].handler(ctx, j, &text);
                break;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_verdict(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_http_aggregate_cache_judge_t *j,
    ngx_uint_t status)
{
    ngx_int_t              rc;
    agg_cache_response_t  *resp;

    resp = &j->resp;

    ctx->store_status = status;
    ctx->date = (resp->date == AGG_CACHE_UNSET) ? ngx_time() : resp->date;

    resp->status = (unsigned) status;
    resp->received = ngx_time();
    resp->requested = ctx->requested;

    if (r->method == NGX_HTTP_GET) {
        resp->flags |= AGG_CACHE_RESP_GET;
    }

    if (ctx->credentials) {
        resp->flags |= AGG_CACHE_RESP_CREDENTIALS;
    }

    if (ctx->request_no_store) {
        resp->flags |= AGG_CACHE_RESP_REQ_NO_STORE;
    }

    if (j->targeted.len) {

        if (agg_cache_targeted_parse(&resp->targeted, j->targeted.data,
                                     j->targeted.len)
            == 0)
        {
            resp->flags |= AGG_CACHE_RESP_TARGETED;

        } else {
            resp->control.flags |= resp->targeted.flags;
        }
    }

    ngx_http_aggregate_cache_judge_conf(r, ctx, resp);

    ctx->verdict = agg_cache_judge(resp, &ctx->freshness);

    if (ctx->verdict != AGG_CACHE_STORE) {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_unkeyed(r, ctx)) {
        ctx->verdict = AGG_CACHE_NO_CONFIGURATION;
        return NGX_DECLINED;
    }

    rc = ngx_http_test_predicates(r, ctx->conf->no_store);

    if (rc != NGX_OK) {
        ctx->verdict = AGG_CACHE_NO_CONFIGURATION;
        return rc;
    }

    return ngx_http_aggregate_cache_tags(r, ctx);
}


/* a version's response is never that of another one: the key has to have it */

static ngx_uint_t
ngx_http_aggregate_cache_unkeyed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_str_t                 *name;
    ngx_http_core_loc_conf_t  *clcf;

    static time_t  warned;

    name = ngx_http_aggregate_depends(r,
                      ctx->conf->key ? &ctx->conf->key->value : NULL,
                      ctx->conf->identity ? &ctx->conf->identity->value
                                          : NULL);
    if (name == NULL) {
        return 0;
    }

    if (warned == 0 || ngx_time() - warned >= 3600) {
        warned = ngx_time();
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "responses of location \"%V\" depend on \"$%V\" and are "
                      "not stored, as neither \"aggregate_cache_key\" nor "
                      "\"aggregate_cache_identity\" has it", &clcf->name,
                      name);
    }

    return 1;
}


static void
ngx_http_aggregate_cache_judge_conf(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_response_t *resp)
{
    time_t                            valid;
    ngx_uint_t                        i;
    ngx_http_aggregate_cache_ttl_t   *ttl;
    ngx_http_aggregate_cache_conf_t  *conf;

    conf = ctx->conf;

    resp->valid = AGG_CACHE_UNSET;
    resp->ttl = AGG_CACHE_UNSET;

    resp->stale_updating = conf->stale_updating ? conf->stale_updating
                                                : AGG_CACHE_UNSET;
    resp->stale_error = conf->stale_error ? conf->stale_error
                                          : AGG_CACHE_UNSET;

    if (conf->valid) {

        valid = ngx_http_file_cache_valid(conf->valid, resp->status);

        if (valid) {
            resp->valid = valid;
        }
    }

    if (conf->ttl == NULL) {
        return;
    }

    /* sorted, longest first */

    ttl = conf->ttl->elts;

    for (i = 0; i < conf->ttl->nelts; i++) {

        if (ctx->path.len >= ttl[i].prefix.len
            && ngx_memcmp(ctx->path.data, ttl[i].prefix.data,
                          ttl[i].prefix.len)
               == 0)
        {
            resp->ttl = ttl[i].ttl;
            break;
        }
    }
}


/* NGX_DECLINED: more tags than a purge could look for */

static ngx_int_t
ngx_http_aggregate_cache_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    uint64_t          hash;
    agg_cache_str_t   tags, path;

    ngx_str_null(&ctx->tags);

    if (ctx->conf->tags == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, ctx->conf->tags, &ctx->tags) != NGX_OK) {
        return NGX_ERROR;
    }

    tags.data = ctx->tags.data;
    tags.len = ctx->tags.len;

    path.data = NULL;
    path.len = 0;

    if (tags.len > AGG_CACHE_ENTRY_TAGS_MAX
        || agg_cache_purge_hashes(&hash, 0, &path, &tags)
           > AGG_CACHE_PURGE_TAGS)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "too many tags for \"%V\": not cached", &r->uri);

        ctx->verdict = AGG_CACHE_NO_TAGS;

        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_on_control(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    if (!(j->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_CONTROL)) {
        agg_cache_control_parse(&j->resp.control, value->data, value->len);
    }
}


static void
ngx_http_aggregate_cache_on_targeted(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    u_char  *p;

    if (j->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_TARGETED) {
        return;
    }

    p = j->targeted.data + j->targeted.len;

    if (j->targeted.len) {
        *p++ = ',';
        *p++ = ' ';
    }

    p = ngx_cpymem(p, value->data, value->len);

    j->targeted.len = p - j->targeted.data;
}


static void
ngx_http_aggregate_cache_on_expires(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    time_t  expires;

    if (j->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_EXPIRES) {
        return;
    }

    expires = ngx_http_aggregate_cache_time_value(value);

    /* two that differ are stale, as a time that cannot be read is */

    if ((j->resp.flags & AGG_CACHE_RESP_EXPIRES) && j->resp.expires != expires)
    {
        expires = 0;
    }

    j->resp.flags |= AGG_CACHE_RESP_EXPIRES;
    j->resp.expires = expires;
}


/*
 * A time in GMT, or 0: nginx does not look at the zone.  The form of
 * asctime() has none.
 */

static time_t
ngx_http_aggregate_cache_time_value(ngx_str_t *value)
{
    time_t   time;
    u_char  *last;

    last = value->data + value->len;

    if (ngx_strlchr(value->data, last, ',') != NULL
        && (value->len < 4 || ngx_strncmp(last - 4, " GMT", 4) != 0))
    {
        return 0;
    }

    time = ngx_parse_http_time(value->data, value->len);

    return time < 0 ? 0 : time;
}


static void
ngx_http_aggregate_cache_on_accel(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    u_char  *p;
    size_t   len;
    time_t   n;

    if (j->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_ACCEL || value->len == 0) {
        return;
    }

    p = value->data;
    len = value->len;

    if (p[0] == '@') {
        p++;
        len--;
    }

    n = ngx_atotm(p, len);

    if (n == NGX_ERROR) {
        return;
    }

    n = (p != value->data) ? n - ngx_time() : n;
    n = ngx_min(n, AGG_CACHE_SECONDS_MAX);

    /* the shortest of several */

    if ((j->resp.flags & AGG_CACHE_RESP_ACCEL) && j->resp.accel <= n) {
        return;
    }

    j->resp.flags &= ~AGG_CACHE_RESP_ACCEL_UNTIL;
    j->resp.flags |= AGG_CACHE_RESP_ACCEL;
    j->resp.flags |= (p != value->data) ? AGG_CACHE_RESP_ACCEL_UNTIL : 0;
    j->resp.accel = n;
}


static void
ngx_http_aggregate_cache_on_date(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    time_t  date;

    date = ngx_http_aggregate_cache_time_value(value);

    /* the earliest of several is the oldest response */

    if (date > 0
        && (j->resp.date == AGG_CACHE_UNSET || date < j->resp.date))
    {
        j->resp.date = date;
    }
}


static void
ngx_http_aggregate_cache_on_age(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    int64_t  age;

    age = agg_cache_age_parse(value->data, value->len);

    /* the first of several Age headers counts, RFC 9111, 5.1 */

    if (j->resp.age == AGG_CACHE_UNSET) {
        j->resp.age = age;
    }
}


static void
ngx_http_aggregate_cache_on_validator(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    if (value->len) {
        j->resp.flags |= AGG_CACHE_RESP_VALIDATOR;
    }
}


static void
ngx_http_aggregate_cache_on_vary(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    int              n;
    agg_cache_str_t  line;

    if ((j->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_VARY)
        || (j->resp.flags & AGG_CACHE_RESP_VARY_ANY))
    {
        return;
    }

    line.data = value->data;
    line.len = value->len;

    /* the origin is never asked for a coding, so it does not choose by it */

    n = agg_cache_vary_add(ctx->vary, ctx->nvary, &line, "accept-encoding\0",
                           &j->vary);

    if (n >= 0) {
        ctx->nvary = n;
        return;
    }

    j->resp.flags |= (ngx_strlchr(value->data, value->data + value->len, '*')
                      != NULL)
                     ? AGG_CACHE_RESP_VARY_ANY : AGG_CACHE_RESP_VARY_MANY;
}


static void
ngx_http_aggregate_cache_on_set_cookie(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    if (!(j->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_SET_COOKIE)) {
        j->resp.flags |= AGG_CACHE_RESP_SET_COOKIE;
    }
}


static void
ngx_http_aggregate_cache_on_range(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    j->resp.flags |= AGG_CACHE_RESP_RANGE;
}


static void
ngx_http_aggregate_cache_on_encoding(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    if (value->len) {
        j->resp.flags |= AGG_CACHE_RESP_ENCODED;
    }
}


static void
ngx_http_aggregate_cache_on_aggregate(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    if (value->len != 8
        || ngx_strncmp(value->data, "complete", 8) != 0)
    {
        j->resp.flags |= AGG_CACHE_RESP_PARTIAL;
    }
}


/*
 * The entry at hand is good again: its freshness is what the 304 says, and
 * where it says nothing, what was stored.  NGX_OK: stored anew.
 */

ngx_int_t
ngx_http_aggregate_cache_revalidate(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t                          rc;
    ngx_buf_t                         *b;
    ngx_chain_t                       *cl;
    ngx_list_t                        *headers;
    ngx_http_aggregate_cache_judge_t   j;

    ngx_memzero(&j, sizeof(ngx_http_aggregate_cache_judge_t));

    headers = ngx_http_aggregate_cache_origin_headers(r, ctx);

    if (ngx_http_aggregate_cache_judge_list(r, ctx, &j, headers) != NGX_OK
        || ngx_http_aggregate_cache_judge_lines(r, ctx, &j) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_aggregate_cache_verdict(r, ctx, &j, ctx->entry.status);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_aggregate_cache_lines(r, ctx, &ctx->entry) != NGX_OK) {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->pos = (u_char *) ctx->entry.body.data;
    b->last = b->pos + ctx->entry.body.len;

    cl->buf = b;
    cl->next = NULL;

    ctx->body = cl;
    ctx->size = ctx->entry.body.len;

    ngx_http_aggregate_cache_store(r, ctx);

    /* the response is served as it is stored now */

    ctx->entry.lines.data = ctx->lines.data;
    ctx->entry.lines.len = ctx->lines.len;
    ctx->entry.freshness = ctx->freshness;

    return NGX_OK;
}
