
/*
 * The response's side: may it be stored, and in what form.
 */


#include "ngx_http_aggregate_cache.h"


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
static void ngx_http_aggregate_cache_judge_conf(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_response_t *resp);
static ngx_int_t ngx_http_aggregate_cache_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_list_t *ngx_http_aggregate_cache_origin_headers(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);
static size_t ngx_http_aggregate_cache_write_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old, u_char *p);
static size_t ngx_http_aggregate_cache_write_line(u_char **p,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_http_aggregate_cache_keeps(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *name);
static ngx_uint_t ngx_http_aggregate_cache_named(ngx_list_t *headers,
    const agg_cache_str_t *name);
static ngx_int_t ngx_http_aggregate_cache_store_vary(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_int_t ngx_http_aggregate_cache_store_entry(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry,
    const u_char *digest, ngx_chain_t *body);

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
    { ngx_string("Set-Cookie"), ngx_http_aggregate_cache_on_set_cookie },
    { ngx_string("Set-Cookie2"), ngx_http_aggregate_cache_on_set_cookie },
    { ngx_string("Content-Range"), ngx_http_aggregate_cache_on_range },
    { ngx_string("Content-Encoding"), ngx_http_aggregate_cache_on_encoding },
    { ngx_string("X-Aggregate"), ngx_http_aggregate_cache_on_aggregate },
    { ngx_null_string, NULL }
};


/* what concerns one transfer only, or was told by another cache */

static ngx_str_t  ngx_http_aggregate_cache_not_kept[] = {
    ngx_string("Connection"),
    ngx_string("Keep-Alive"),
    ngx_string("Proxy-Connection"),
    ngx_string("Proxy-Authenticate"),
    ngx_string("Proxy-Authentication-Info"),
    ngx_string("TE"),
    ngx_string("Trailer"),
    ngx_string("Transfer-Encoding"),
    ngx_string("Upgrade"),
    ngx_string("Content-Length"),
    ngx_string("Content-Type"),
    ngx_string("Content-Encoding"),
    ngx_string("Accept-Ranges"),
    ngx_string("Last-Modified"),
    ngx_string("Age"),
    ngx_string("Date"),
    ngx_string("Set-Cookie"),
    ngx_string("Set-Cookie2"),
    ngx_string("X-Cache"),
    ngx_string("X-Breaker"),
    ngx_string("Cache-Status"),
    ngx_string("CDN-Cache-Control"),
    ngx_string("Server-Timing"),
    ngx_null_string
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

static ngx_list_t *
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
    ngx_uint_t                          i, n, pass;
    ngx_list_part_t                    *part;
    ngx_table_elt_t                    *header;
    ngx_http_aggregate_cache_judged_t  *judged;

    judged = ngx_http_aggregate_cache_judged;

    agg_cache_control_init(&j->resp.control);

    j->ignored = ctx->conf->ignore_headers;
    j->resp.date = AGG_CACHE_UNSET;
    j->resp.age = AGG_CACHE_UNSET;

    ctx->nvary = 0;
    len = 0;

    for (pass = 0; pass < 2; pass++) {

        part = &headers->part;
        header = part->elts;

        for (i = 0; /* void */ ; i++) {

            if (i >= part->nelts) {
                if (part->next == NULL) {
                    break;
                }

                part = part->next;
                header = part->elts;
                i = 0;
            }

            if (pass == 0) {
                len += header[i].value.len + 2;
                continue;
            }

            /* the upstream module clears the hash of some that it hides */

            if (header[i].hash == 0 && headers == &r->headers_out.headers) {
                continue;
            }

            for (n = 0; judged[n].name.len; n++) {

                if (header[i].key.len == judged[n].name.len
                    && ngx_strncasecmp(header[i].key.data,
                                       judged[n].name.data,
                                       judged[n].name.len)
                       == 0)
                {
                    judged[n].handler(ctx, j, &header[i].value);
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

        /* what the 304 has takes the place of what was stored */

        if (ngx_http_aggregate_cache_named(headers, &name)) {
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

    if (j->targeted.len
        && agg_cache_targeted_parse(&resp->targeted, j->targeted.data,
                                    j->targeted.len)
           == 0)
    {
        resp->flags |= AGG_CACHE_RESP_TARGETED;
    }

    ngx_http_aggregate_cache_judge_conf(r, ctx, resp);

    ctx->verdict = agg_cache_judge(resp, &ctx->freshness);

    if (ctx->verdict != AGG_CACHE_STORE) {
        return NGX_DECLINED;
    }

    rc = ngx_http_test_predicates(r, ctx->conf->no_store);

    if (rc != NGX_OK) {
        ctx->verdict = AGG_CACHE_NO_CONFIGURATION;
        return rc;
    }

    return ngx_http_aggregate_cache_tags(r, ctx);
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

        ctx->verdict = AGG_CACHE_NO_DIRECTIVE;

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
    if (j->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_EXPIRES) {
        return;
    }

    j->resp.flags |= AGG_CACHE_RESP_EXPIRES;
    j->resp.expires = ngx_parse_http_time(value->data, value->len);

    if (j->resp.expires < 0) {
        j->resp.expires = 0;
    }
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

    j->resp.flags |= AGG_CACHE_RESP_ACCEL;
    j->resp.accel = (p != value->data) ? n - ngx_time() : n;

    if (j->resp.accel > AGG_CACHE_SECONDS_MAX) {
        j->resp.accel = AGG_CACHE_SECONDS_MAX;
    }
}


static void
ngx_http_aggregate_cache_on_date(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    j->resp.date = ngx_parse_http_time(value->data, value->len);

    if (j->resp.date < 0) {
        j->resp.date = AGG_CACHE_UNSET;
    }
}


static void
ngx_http_aggregate_cache_on_age(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_judge_t *j, ngx_str_t *value)
{
    int64_t  age;

    age = agg_cache_seconds(value->data, value->len);

    /* of several the first counts, RFC 9111, 5.1 */

    if (j->resp.age == AGG_CACHE_UNSET) {
        j->resp.age = age;
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

    if (n < 0) {
        j->resp.flags |= AGG_CACHE_RESP_VARY_ANY;
        return;
    }

    ctx->nvary = n;
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

    /* what is served is what is stored now */

    ctx->entry.lines.data = ctx->lines.data;
    ctx->entry.lines.len = ctx->lines.len;
    ctx->entry.freshness = ctx->freshness;

    return NGX_OK;
}


/* the header in its stored form; with old, where there is nothing newer */

ngx_int_t
ngx_http_aggregate_cache_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old)
{
    ctx->lines.len = ngx_http_aggregate_cache_write_lines(r, ctx, old, NULL);

    if (ctx->lines.len > AGG_CACHE_ENTRY_LINES_MAX) {
        return NGX_DECLINED;
    }

    ctx->lines.data = ngx_pnalloc(r->pool, ctx->lines.len + 1);
    if (ctx->lines.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_http_aggregate_cache_write_lines(r, ctx, old,
                                                ctx->lines.data);

    return NGX_OK;
}


/* the length, and with p the lines as well */

static size_t
ngx_http_aggregate_cache_write_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old, u_char *p)
{
    size_t                len;
    u_char              **pp, time[sizeof("Mon, 28 Sep 1970 06:00:00 GMT")];
    ngx_str_t             name, value;
    ngx_uint_t            i;
    const u_char         *line;
    ngx_list_part_t      *part;
    ngx_table_elt_t      *header;
    agg_cache_str_t       old_name, old_value;

    len = 0;
    pp = (p == NULL) ? NULL : &p;

    part = &r->headers_out.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].hash == 0 || header[i].key.len == 0
            || !ngx_http_aggregate_cache_keeps(r, ctx, &header[i].key))
        {
            continue;
        }

        len += ngx_http_aggregate_cache_write_line(pp, &header[i].key,
                                                   &header[i].value);
    }

    ngx_str_set(&name, "Date");
    value.data = time;
    value.len = ngx_http_time(time, ctx->date) - time;

    len += ngx_http_aggregate_cache_write_line(pp, &name, &value);

    if (old) {
        line = old->lines.data;

        while (agg_cache_entry_line(old, &line, &old_name, &old_value) == 1) {

            name.data = (u_char *) old_name.data;
            name.len = old_name.len;

            if (ngx_http_aggregate_cache_keeps(r, ctx, &name)
                && ngx_http_aggregate_cache_named(&r->headers_out.headers,
                                                  &old_name))
            {
                continue;
            }

            if (name.len == 4
                && ngx_strncasecmp(name.data, (u_char *) "date", 4) == 0)
            {
                continue;
            }

            value.data = (u_char *) old_value.data;
            value.len = old_value.len;

            len += ngx_http_aggregate_cache_write_line(pp, &name, &value);
        }

        return len;
    }

    if (r->headers_out.content_type.len) {
        ngx_str_set(&name, "Content-Type");
        value = r->headers_out.content_type;

        len += ngx_http_aggregate_cache_write_line(pp, &name, &value);
    }

    if (r->headers_out.last_modified_time != -1) {
        ngx_str_set(&name, "Last-Modified");
        value.data = time;
        value.len = ngx_http_time(time, r->headers_out.last_modified_time)
                    - time;

        len += ngx_http_aggregate_cache_write_line(pp, &name, &value);
    }

    return len;
}


static size_t
ngx_http_aggregate_cache_write_line(u_char **p, ngx_str_t *name,
    ngx_str_t *value)
{
    if (p) {
        *p = agg_cache_field_write(*p, name->data, name->len);
        *p = agg_cache_field_write(*p, value->data, value->len);
    }

    return agg_cache_field_length(name->len)
           + agg_cache_field_length(value->len);
}


static ngx_uint_t
ngx_http_aggregate_cache_keeps(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *name)
{
    u_char           *p, *last;
    size_t            len;
    ngx_str_t        *text;
    ngx_uint_t        i;
    ngx_list_t       *headers;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    for (i = 0; ngx_http_aggregate_cache_not_kept[i].len; i++) {

        text = &ngx_http_aggregate_cache_not_kept[i];

        if (text->len == name->len
            && ngx_strncasecmp(text->data, name->data, name->len) == 0)
        {
            return 0;
        }
    }

    /* nor what the origin's Connection names */

    headers = ngx_http_aggregate_cache_origin_headers(r, ctx);

    for (part = &headers->part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (header[i].key.len != 10
                || ngx_strncasecmp(header[i].key.data,
                                   (u_char *) "connection", 10)
                   != 0)
            {
                continue;
            }

            p = header[i].value.data;
            last = p + header[i].value.len;

            while (p < last) {

                for (len = 0; p + len < last; len++) {
                    if (!agg_cache_is_token(p[len])) {
                        break;
                    }
                }

                if (len == name->len
                    && ngx_strncasecmp(p, name->data, len) == 0)
                {
                    return 0;
                }

                p += len + 1;
            }
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_aggregate_cache_named(ngx_list_t *headers,
    const agg_cache_str_t *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    for (part = &headers->part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (header[i].hash != 0
                && header[i].key.len == name->len
                && ngx_strncasecmp(header[i].key.data, (u_char *) name->data,
                                   name->len)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/* the response is whole: keeps it, and lets the next ones in */

void
ngx_http_aggregate_cache_store(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_int_t          rc;
    agg_cache_entry_t  entry;

    rc = NGX_OK;

    if (ctx->nvary) {
        rc = ngx_http_aggregate_cache_store_vary(r, ctx);

    } else {
        ctx->full = ctx->key;
        ngx_memcpy(ctx->variant, ctx->digest, AGG_CACHE_DIGEST);
    }

    if (rc == NGX_OK) {

        ngx_memzero(&entry, sizeof(agg_cache_entry_t));

        entry.kind = AGG_CACHE_ENTRY_RESPONSE;
        entry.status = (unsigned) ctx->store_status;
        entry.lines.data = ctx->lines.data;
        entry.lines.len = ctx->lines.len;
        entry.body.len = ctx->size;

        rc = ngx_http_aggregate_cache_store_entry(r, ctx, &entry,
                                                  ctx->variant, ctx->body);
    }

    ctx->stored = (rc == NGX_OK);

    ngx_http_aggregate_cache_land(ctx, (rc == NGX_OK
                                       && ctx->freshness.fresh
                                          > agg_cache_age(&ctx->freshness,
                                                          ngx_time()))
                                      ? 0
                                      : NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR);
}


/* under the resource's own key: by what its response is chosen */

static ngx_int_t
ngx_http_aggregate_cache_store_vary(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    int                 i;
    size_t              len;
    u_char             *p;
    agg_cache_entry_t   entry;

    if (ngx_http_aggregate_cache_make_variant(r, ctx, ctx->vary, ctx->nvary)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; i < ctx->nvary; i++) {
        len += agg_cache_field_length(ctx->vary[i].len)
               + agg_cache_field_length(0);
    }

    ngx_memzero(&entry, sizeof(agg_cache_entry_t));

    entry.kind = AGG_CACHE_ENTRY_VARY;
    entry.lines.len = len;
    entry.lines.data = ngx_pnalloc(r->pool, len);

    if (entry.lines.data == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) entry.lines.data;

    for (i = 0; i < ctx->nvary; i++) {
        p = agg_cache_field_write(p, ctx->vary[i].data, ctx->vary[i].len);
        p = agg_cache_field_write(p, NULL, 0);
    }

    return ngx_http_aggregate_cache_store_entry(r, ctx, &entry, ctx->digest,
                                                NULL);
}


static ngx_int_t
ngx_http_aggregate_cache_store_entry(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry,
    const u_char *digest, ngx_chain_t *body)
{
    size_t     len, size;
    u_char    *last;
    ngx_str_t  head;

    entry->freshness = ctx->freshness;
    entry->born = ctx->born_id;
    entry->tags.data = ctx->tags.data;
    entry->tags.len = ctx->tags.len;

    if (entry->kind == AGG_CACHE_ENTRY_VARY) {
        entry->key.data = ctx->key.data;
        entry->key.len = ctx->key.len;

    } else {
        entry->key.data = ctx->full.data;
        entry->key.len = ctx->full.len;
    }

    len = agg_cache_entry_length(entry);
    size = entry->body.len;

    if (len == 0) {
        return NGX_DECLINED;
    }

    head.len = len - size;
    head.data = ngx_pnalloc(r->pool, head.len);

    if (head.data == NULL) {
        return NGX_ERROR;
    }

    last = agg_cache_entry_write(head.data, entry);

    if ((size_t) (last - head.data) != head.len) {
        return NGX_ERROR;
    }

    ngx_http_aggregate_cache_remote_set(r, ctx, digest, &head, body, size);

    return ngx_http_aggregate_cache_put(ctx->zone, digest, &head, body, size,
                                        ctx->born);
}
