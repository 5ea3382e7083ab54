
/*
 * The response of the backend: whether it may be stored, by RFC 9111 and by
 * the configuration, and whether the backend has failed.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_depends.h"


typedef struct {
    agg_cache_response_t              resp;
    ngx_str_t                         targeted;
    u_char                           *vary;      /* buffer for names */
    ngx_uint_t                        ignored;
    ngx_uint_t                        accel;
    agg_cache_entry_t                *stored;    /* that a 304 updates */
} ngx_http_aggregate_cache_parsed_t;


typedef void (*ngx_http_aggregate_cache_response_header_pt)(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);


typedef struct {
    ngx_str_t                                    name;
    ngx_http_aggregate_cache_response_header_pt  handler;
} ngx_http_aggregate_cache_response_header_t;


static ngx_int_t ngx_http_aggregate_cache_parse_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_list_t *headers);
static ngx_int_t ngx_http_aggregate_cache_parse_stored_headers(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed);
static ngx_int_t ngx_http_aggregate_cache_decide_storable(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_uint_t status);
static void ngx_http_aggregate_cache_keep_freshness(
    ngx_http_aggregate_cache_parsed_t *parsed);
static ngx_uint_t ngx_http_aggregate_cache_is_unkeyed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static void ngx_http_aggregate_cache_configured_freshness(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_response_t *resp);
static ngx_int_t ngx_http_aggregate_cache_evaluate_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *stored);
static ngx_int_t ngx_http_aggregate_cache_keep_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *stored);
static ngx_uint_t ngx_http_aggregate_cache_has_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
static ngx_uint_t ngx_http_aggregate_cache_has_header(ngx_list_t *headers,
    u_char *name, size_t len);
static void ngx_http_aggregate_cache_on_control(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_targeted(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_expires(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static time_t ngx_http_aggregate_cache_parse_time(ngx_str_t *value);
static void ngx_http_aggregate_cache_on_accel(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_date(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_age(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_validator(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_vary(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_set_cookie(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_range(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_encoding(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static void ngx_http_aggregate_cache_on_aggregate(
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value);
static ngx_uint_t ngx_http_aggregate_cache_is_error(ngx_uint_t status);


static ngx_http_aggregate_cache_response_header_t
    ngx_http_aggregate_cache_response_headers[] =
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


/* NGX_OK: the response may be stored; NGX_DECLINED: it may not */

ngx_int_t
ngx_http_aggregate_cache_check_storable(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_list_t                          *headers;
    ngx_http_aggregate_cache_parsed_t  parsed;

    ngx_memzero(&parsed, sizeof(ngx_http_aggregate_cache_parsed_t));

    headers = ngx_http_aggregate_cache_upstream_headers(r, ctx);

    if (ngx_http_aggregate_cache_parse_headers(r, ctx, &parsed, headers)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->headers_out.content_encoding
        && r->headers_out.content_encoding->value.len)
    {
        parsed.resp.flags |= AGG_CACHE_RESP_ENCODED;
    }

    return ngx_http_aggregate_cache_decide_storable(r, ctx, &parsed,
                                                    r->headers_out.status);
}


/* the same for the stored entry, whose header the 304 updates */

ngx_int_t
ngx_http_aggregate_cache_check_revalidated(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_list_t                         *headers;
    ngx_http_aggregate_cache_parsed_t   parsed;

    ngx_memzero(&parsed, sizeof(ngx_http_aggregate_cache_parsed_t));

    parsed.stored = &ctx->lookup.entry;

    headers = ngx_http_aggregate_cache_upstream_headers(r, ctx);

    if (ngx_http_aggregate_cache_parse_headers(r, ctx, &parsed, headers)
        != NGX_OK
        || ngx_http_aggregate_cache_parse_stored_headers(r, ctx, &parsed)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_cache_decide_storable(r, ctx, &parsed,
                                                    ctx->lookup.entry.status);
}


static ngx_int_t
ngx_http_aggregate_cache_parse_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_list_t *headers)
{
    size_t                                       len;
    ngx_uint_t                                   n, pass;
    ngx_table_elt_t                             *h;
    ngx_http_aggregate_header_iter_t             it;
    ngx_http_aggregate_cache_response_header_t  *judged;

    judged = ngx_http_aggregate_cache_response_headers;

    agg_cache_control_init(&parsed->resp.control);

    parsed->ignored = ctx->conf->ignore_headers;
    parsed->resp.date = AGG_CACHE_UNSET;
    parsed->resp.age = AGG_CACHE_UNSET;

    ctx->store.nvary = 0;
    len = 0;

    for (pass = 0; pass < 2; pass++) {

        ngx_http_aggregate_header_iter(&it, headers);

        while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

            if (pass == 0) {
                len += h->value.len + 2;
                continue;
            }

            /* the upstream module clears the hash of headers that it hides */

            if (h->hash == 0 && headers == &r->headers_out.headers) {
                continue;
            }

            for (n = 0; judged[n].name.len; n++) {

                if (ngx_http_aggregate_header_named(h, &judged[n].name)) {
                    judged[n].handler(ctx, parsed, &h->value);
                    break;
                }
            }
        }

        if (pass == 0) {
            parsed->vary = ngx_pnalloc(r->pool, len + 1);
            parsed->targeted.data = ngx_pnalloc(r->pool, len + 1);

            if (parsed->vary == NULL || parsed->targeted.data == NULL) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_decide_storable(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_uint_t status)
{
    ngx_int_t              rc;
    agg_cache_response_t  *resp;

    resp = &parsed->resp;

    ctx->store.status = status;
    ctx->store.date = (resp->date == AGG_CACHE_UNSET) ? ngx_time() : resp->date;

    resp->status = (unsigned) status;
    resp->received = ngx_time();

    /* a difference of times in whole seconds would make it a second too long */

    resp->delay = (int64_t) ((ngx_current_msec - ctx->fill.started) / 1000);

    if (r->method == NGX_HTTP_GET) {
        resp->flags |= AGG_CACHE_RESP_GET;
    }

    if (ctx->credentials) {
        resp->flags |= AGG_CACHE_RESP_CREDENTIALS;
    }

    if (ctx->no_store) {
        resp->flags |= AGG_CACHE_RESP_REQ_NO_STORE;
    }

    if (parsed->targeted.len) {

        if (agg_cache_targeted_parse(&resp->targeted, parsed->targeted.data,
                                     parsed->targeted.len)
            == 0)
        {
            resp->flags |= AGG_CACHE_RESP_TARGETED;

        } else {
            resp->control.flags |= resp->targeted.flags;
        }
    }

    if (parsed->stored) {
        ngx_http_aggregate_cache_keep_freshness(parsed);
    }

    ngx_http_aggregate_cache_configured_freshness(r, ctx, resp);

    ctx->reason = agg_cache_check_storable(resp, &ctx->store.freshness);

    if (ctx->reason != AGG_CACHE_STORE) {
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_is_unkeyed(r, ctx)
        || ngx_http_aggregate_cache_has_identified_part(r, ctx))
    {
        ctx->reason = AGG_CACHE_NO_CONFIGURATION;
        return NGX_DECLINED;
    }

    if (ngx_http_aggregate_cache_varies_by_set(r, ctx)) {
        ctx->reason = AGG_CACHE_NO_VARY_MANY;
        return NGX_DECLINED;
    }

    rc = ngx_http_test_predicates(r, ctx->conf->no_store);

    if (rc != NGX_OK) {
        ctx->reason = AGG_CACHE_NO_CONFIGURATION;
        return rc;
    }

    return ngx_http_aggregate_cache_evaluate_tags(r, ctx, parsed->stored);
}


/* the headers that are ignored now state nothing */

static void
ngx_http_aggregate_cache_keep_freshness(
    ngx_http_aggregate_cache_parsed_t *parsed)
{
    agg_cache_freshness_t  fresh;

    fresh = parsed->stored->freshness;

    if (parsed->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_ACCEL) {
        fresh.flags &= ~AGG_CACHE_ACCEL;
    }

    if (!(fresh.flags & AGG_CACHE_TARGETED)) {

        if (parsed->ignored & (NGX_HTTP_AGGREGATE_CACHE_IGN_CONTROL
                               |NGX_HTTP_AGGREGATE_CACHE_IGN_EXPIRES))
        {
            fresh.flags &= ~AGG_CACHE_STATED;
        }

    } else if (parsed->targeted.len
               || (parsed->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_TARGETED))
    {
        fresh.flags &= ~(AGG_CACHE_TARGETED|AGG_CACHE_STATED);
    }

    agg_cache_keep_freshness(&parsed->resp, &fresh);
}


/* the key must have the variables by which a split selects a version */

static ngx_uint_t
ngx_http_aggregate_cache_is_unkeyed(ngx_http_request_t *r,
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
ngx_http_aggregate_cache_configured_freshness(ngx_http_request_t *r,
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

        if (ctx->key.path.len >= ttl[i].prefix.len
            && ngx_memcmp(ctx->key.path.data, ttl[i].prefix.data,
                          ttl[i].prefix.len)
               == 0)
        {
            resp->ttl = ttl[i].ttl;
            break;
        }
    }
}


/* NGX_DECLINED: there are too many tags */

static ngx_int_t
ngx_http_aggregate_cache_evaluate_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *stored)
{
    uint64_t          hash;
    agg_cache_str_t   tags, path;

    ngx_str_null(&ctx->store.tags);

    if (ctx->conf->tags
        && ngx_http_complex_value(r, ctx->conf->tags, &ctx->store.tags)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (stored && stored->tags.len
        && !ngx_http_aggregate_cache_has_tags(r, ctx)
        && ngx_http_aggregate_cache_keep_tags(r, ctx, stored) != NGX_OK)
    {
        return NGX_ERROR;
    }

    tags.data = ctx->store.tags.data;
    tags.len = ctx->store.tags.len;

    path.data = NULL;
    path.len = 0;

    if (tags.len > AGG_CACHE_ENTRY_TAGS_MAX
        || agg_cache_purge_hashes(&hash, 0, &path, &tags)
           > AGG_CACHE_PURGE_TAGS)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "too many tags for \"%V\": not cached", &r->uri);

        ctx->reason = AGG_CACHE_NO_TAGS;

        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_cache_keep_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *stored)
{
    u_char           *p;
    agg_cache_str_t   tags;

    tags.data = ctx->store.tags.data;
    tags.len = ctx->store.tags.len;

    p = ngx_pnalloc(r->pool, stored->tags.len + tags.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->store.tags.len = agg_cache_purge_add_tags(p, &stored->tags, &tags);
    ctx->store.tags.data = p;

    return NGX_OK;
}


/*
 * Does the 304 have each header that "aggregate_cache_tags" names? A missing
 * one keeps its stored value, RFC 9111, 3.2, and so the tags from it.  The
 * tags of other variables may be from any header.
 */

static ngx_uint_t
ngx_http_aggregate_cache_has_tags(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    u_char                     *name;
    size_t                      len;
    ngx_str_t                  *s;
    ngx_list_t                 *headers;
    ngx_uint_t                 *index;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    if (ctx->conf->tags == NULL || ctx->conf->tags->flushes == NULL) {
        return 0;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    headers = ngx_http_aggregate_cache_upstream_headers(r, ctx);

    for (index = ctx->conf->tags->flushes;
         *index != (ngx_uint_t) -1;
         index++)
    {
        s = &v[*index].name;

        if (s->len > 14 && ngx_strncmp(s->data, "upstream_http_", 14) == 0) {
            name = s->data + 14;

        } else if (s->len > 10 && ngx_strncmp(s->data, "sent_http_", 10) == 0) {
            name = s->data + 10;

        } else {
            return 0;
        }

        len = s->data + s->len - name;

        if (!ngx_http_aggregate_cache_has_header(headers, name, len)) {
            return 0;
        }
    }

    return 1;
}


/* the name is that of a variable */

static ngx_uint_t
ngx_http_aggregate_cache_has_header(ngx_list_t *headers, u_char *name,
    size_t len)
{
    u_char                             c;
    size_t                             i;
    ngx_table_elt_t                   *h;
    ngx_http_aggregate_header_iter_t   it;

    ngx_http_aggregate_header_iter(&it, headers);

    while ((h = ngx_http_aggregate_header_next(&it)) != NULL) {

        if (h->key.len != len) {
            continue;
        }

        for (i = 0; i < len; i++) {
            c = ngx_tolower(h->key.data[i]);

            if (name[i] != (c == '-' ? '_' : c)) {
                break;
            }
        }

        if (i == len) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_aggregate_cache_on_control(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    if (!(parsed->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_CONTROL)) {
        parsed->resp.flags |= AGG_CACHE_RESP_CONTROL;
        agg_cache_control_parse(&parsed->resp.control, value->data, value->len);
    }
}


static void
ngx_http_aggregate_cache_on_targeted(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    u_char  *p;

    if (parsed->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_TARGETED) {
        return;
    }

    p = parsed->targeted.data + parsed->targeted.len;

    if (parsed->targeted.len) {
        *p++ = ',';
        *p++ = ' ';
    }

    p = ngx_cpymem(p, value->data, value->len);

    parsed->targeted.len = p - parsed->targeted.data;
}


static void
ngx_http_aggregate_cache_on_expires(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    time_t  expires;

    if (parsed->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_EXPIRES) {
        return;
    }

    expires = ngx_http_aggregate_cache_parse_time(value);

    /* two different ones are invalid, and an invalid one means stale */

    if ((parsed->resp.flags & AGG_CACHE_RESP_EXPIRES)
        && parsed->resp.expires != expires)
    {
        expires = 0;
    }

    parsed->resp.flags |= AGG_CACHE_RESP_EXPIRES;
    parsed->resp.expires = expires;
}


/*
 * Returns 0 if the time is invalid or is not in GMT: nginx ignores the zone,
 * which asctime() does not write.
 */

static time_t
ngx_http_aggregate_cache_parse_time(ngx_str_t *value)
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
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    u_char  *p;
    size_t   len;
    time_t   n;

    if ((parsed->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_ACCEL)
        || value->len == 0)
    {
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

    /* the shortest time of several */

    if ((parsed->resp.flags & AGG_CACHE_RESP_ACCEL)
        && parsed->resp.accel <= n)
    {
        return;
    }

    parsed->resp.flags &= ~AGG_CACHE_RESP_ACCEL_UNTIL;
    parsed->resp.flags |= AGG_CACHE_RESP_ACCEL;
    parsed->resp.flags |= (p != value->data) ? AGG_CACHE_RESP_ACCEL_UNTIL : 0;
    parsed->resp.accel = n;
}


static void
ngx_http_aggregate_cache_on_date(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    time_t  date;

    date = ngx_http_aggregate_cache_parse_time(value);

    /* the earliest of several Date headers counts */

    if (date > 0
        && (parsed->resp.date == AGG_CACHE_UNSET || date < parsed->resp.date))
    {
        parsed->resp.date = date;
    }
}


static void
ngx_http_aggregate_cache_on_age(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    int64_t  age;

    age = agg_cache_age_parse(value->data, value->len);

    /* the first of several Age headers counts, RFC 9111, 5.1 */

    if (parsed->resp.age == AGG_CACHE_UNSET) {
        parsed->resp.age = age;
    }
}


static void
ngx_http_aggregate_cache_on_validator(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    if (value->len) {
        parsed->resp.flags |= AGG_CACHE_RESP_VALIDATOR;
    }
}


static void
ngx_http_aggregate_cache_on_vary(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    int              n;
    agg_cache_str_t  line;

    if ((parsed->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_VARY)
        || (parsed->resp.flags & AGG_CACHE_RESP_VARY_ANY))
    {
        return;
    }

    line.data = value->data;
    line.len = value->len;

    /* the backend never gets Accept-Encoding, so it cannot vary by it */

    n = agg_cache_vary_add(ctx->store.vary, ctx->store.nvary, &line,
                           "accept-encoding\0", &parsed->vary);

    if (n >= 0) {
        ctx->store.nvary = n;
        return;
    }

    parsed->resp.flags |= ngx_strlchr(value->data, value->data + value->len,
                                      '*')
                          ? AGG_CACHE_RESP_VARY_ANY
                          : AGG_CACHE_RESP_VARY_MANY;
}


static void
ngx_http_aggregate_cache_on_set_cookie(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    if (!(parsed->ignored & NGX_HTTP_AGGREGATE_CACHE_IGN_SET_COOKIE)) {
        parsed->resp.flags |= AGG_CACHE_RESP_SET_COOKIE;
    }
}


static void
ngx_http_aggregate_cache_on_range(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    parsed->resp.flags |= AGG_CACHE_RESP_RANGE;
}


static void
ngx_http_aggregate_cache_on_encoding(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    if (value->len) {
        parsed->resp.flags |= AGG_CACHE_RESP_ENCODED;
    }
}


static void
ngx_http_aggregate_cache_on_aggregate(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed, ngx_str_t *value)
{
    if (value->len != 8
        || ngx_strncmp(value->data, "complete", 8) != 0)
    {
        parsed->resp.flags |= AGG_CACHE_RESP_PARTIAL;
    }
}


/* parses the header of the stored entry, as far as the 304 keeps it */

static ngx_int_t
ngx_http_aggregate_cache_parse_stored_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_http_aggregate_cache_parsed_t *parsed)
{
    ngx_str_t                                    text;
    ngx_uint_t                                   n;
    ngx_list_t                                  *headers;
    const u_char                                *p;
    agg_cache_str_t                              name, value;
    ngx_http_aggregate_cache_response_header_t  *judged;

    judged = ngx_http_aggregate_cache_response_headers;

    headers = ngx_http_aggregate_cache_upstream_headers(r, ctx);

    parsed->vary = ngx_pnalloc(r->pool, ctx->lookup.entry.lines.len + 1);
    if (parsed->vary == NULL) {
        return NGX_ERROR;
    }

    p = ctx->lookup.entry.lines.data;

    while (agg_cache_entry_line(&ctx->lookup.entry, &p, &name, &value) == 1) {

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
                judged[n].handler(ctx, parsed, &text);
                break;
            }
        }
    }

    return NGX_OK;
}


/* the header as the backend has sent it, with the headers that nginx hides */

ngx_list_t *
ngx_http_aggregate_cache_upstream_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u && u != ctx->fill.upstream && u->headers_in.headers.part.nelts) {
        return &u->headers_in.headers;
    }

    return &r->headers_out.headers;
}


/* had the backend succeeded before the request was redirected */

ngx_uint_t
ngx_http_aggregate_cache_upstream_succeeded(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    return u != NULL && u != ctx->fill.upstream && u->state != NULL
           && u->state->status >= NGX_HTTP_OK
           && u->state->status < NGX_HTTP_BAD_REQUEST;
}


/*
 * Has the backend failed? After an internal redirect to an error page, only
 * the state of the upstream shows the error.
 */

ngx_uint_t
ngx_http_aggregate_cache_upstream_failed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_uint_t status)
{
    ngx_http_upstream_t  *u;

    if (ngx_http_aggregate_cache_is_error(status)) {
        return 1;
    }

    u = r->upstream;

    return u != NULL && u != ctx->fill.upstream && u->state != NULL
           && ngx_http_aggregate_cache_is_error(u->state->status);
}


/* the backend is down or overloaded */

static ngx_uint_t
ngx_http_aggregate_cache_is_error(ngx_uint_t status)
{
    return status >= NGX_HTTP_INTERNAL_SERVER_ERROR
           || status == NGX_HTTP_REQUEST_TIME_OUT
           || status == NGX_HTTP_TOO_MANY_REQUESTS;
}


/*
 * Has nginx itself generated the response, because there was none, or none
 * with a complete header? The headers that had been parsed by then do not
 * count.  While an upstream sends its response, it has not been finalized.
 */

ngx_uint_t
ngx_http_aggregate_cache_upstream_is_local_error(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    if (r->err_status >= NGX_HTTP_SPECIAL_RESPONSE) {
        return 1;
    }

#if (NGX_HTTP_CACHE)

    if (r->cached) {
        return 0;
    }

#endif

    u = r->upstream;

    return u != NULL && u != ctx->fill.upstream && u->cleanup == NULL;
}
