
#include "ngx_http_breaker.h"


static ngx_int_t ngx_http_breaker_get(ngx_http_request_t *r);
static ngx_int_t ngx_http_breaker_post(ngx_http_request_t *r);
static ngx_int_t ngx_http_breaker_find_zone(ngx_http_request_t *r,
    ngx_uint_t one, ngx_http_breaker_zone_t **zone, const char **error);
static ngx_int_t ngx_http_breaker_arg(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);
static ngx_uint_t ngx_http_breaker_is(ngx_str_t *value, const char *text);
static ngx_int_t ngx_http_breaker_change(ngx_http_request_t *r,
    ngx_http_breaker_zone_t *zone, ngx_str_t *text, brk_state_e state,
    ngx_str_t *shown, brk_event_t *event);
static ngx_int_t ngx_http_breaker_see_other(ngx_http_request_t *r);
static ngx_int_t ngx_http_breaker_fail(ngx_http_request_t *r,
    ngx_uint_t status, const char *error);
static ngx_int_t ngx_http_breaker_respond(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_http_breaker_text_t *text);


static ngx_str_t  ngx_http_breaker_type_json =
    ngx_string("application/json");
static ngx_str_t  ngx_http_breaker_type_prometheus =
    ngx_string(GW_PROMETHEUS_TEXT);
static ngx_str_t  ngx_http_breaker_type_html =
    ngx_string("text/html; charset=utf-8");


/* sent with every response: no caching, sniffing, scripts or frames */

static ngx_keyval_t  ngx_http_breaker_headers[] = {

    { ngx_string("Cache-Control"), ngx_string("no-store") },

    { ngx_string("X-Content-Type-Options"), ngx_string("nosniff") },

    { ngx_string("Content-Security-Policy"),
      ngx_string("default-src 'none'; style-src 'unsafe-inline'; "
                 "form-action 'self'; base-uri 'none'; "
                 "frame-ancestors 'none'") },

    { ngx_null_string, ngx_null_string }
};


static ngx_str_t  ngx_http_breaker_arg_format = ngx_string("format");
static ngx_str_t  ngx_http_breaker_arg_filter = ngx_string("filter");
static ngx_str_t  ngx_http_breaker_arg_state = ngx_string("state");
static ngx_str_t  ngx_http_breaker_arg_zone = ngx_string("zone");
static ngx_str_t  ngx_http_breaker_arg_key = ngx_string("key");
static ngx_str_t  ngx_http_breaker_arg_action = ngx_string("action");


ngx_int_t
ngx_http_breaker_status_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    static ngx_str_t  name = ngx_string("Allow");
    static ngx_str_t  value = ngx_string("GET, HEAD, POST");

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return ngx_http_breaker_get(r);
    }

    if (r->method == NGX_HTTP_POST) {
        return ngx_http_breaker_post(r);
    }

    if (ngx_http_breaker_add_header(r, &name, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_breaker_fail(r, NGX_HTTP_NOT_ALLOWED,
                                 "the method must be GET, HEAD or POST");
}


static ngx_int_t
ngx_http_breaker_get(ngx_http_request_t *r)
{
    ngx_str_t                  format, key, *type;
    const char                *error;
    ngx_http_breaker_text_t    text;
    ngx_http_breaker_zone_t   *zone;
    ngx_http_breaker_report_t  report;

    void  (*render)(ngx_http_breaker_text_t *text,
                    ngx_http_breaker_report_t *report);

    if (ngx_http_breaker_arg(r, &ngx_http_breaker_arg_format, &format)
        == NGX_ERROR
        || ngx_http_breaker_arg(r, &ngx_http_breaker_arg_key, &key)
           == NGX_ERROR)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (format.len == 0 || ngx_http_breaker_is(&format, "json")) {
        type = &ngx_http_breaker_type_json;
        render = ngx_http_breaker_json;

    } else if (ngx_http_breaker_is(&format, "prometheus")) {
        type = &ngx_http_breaker_type_prometheus;
        render = ngx_http_breaker_prometheus;

    } else if (ngx_http_breaker_is(&format, "html")) {
        type = &ngx_http_breaker_type_html;
        render = ngx_http_breaker_html;

    } else {
        return ngx_http_breaker_fail(r, NGX_HTTP_BAD_REQUEST,
                          "the format must be json, prometheus or html");
    }

    if (ngx_http_breaker_find_zone(r, 0, &zone, &error) != NGX_OK) {
        return ngx_http_breaker_fail(r, NGX_HTTP_NOT_FOUND, error);
    }

    if (ngx_http_breaker_collect(r, zone, key.len ? &key : NULL, &report)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_breaker_arg(r, &ngx_http_breaker_arg_filter, &report.filter)
        == NGX_ERROR
        || ngx_http_breaker_arg(r, &ngx_http_breaker_arg_state,
                                &report.state)
           == NGX_ERROR)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_breaker_text_init(&text, r->pool);

    render(&text, &report);

    return ngx_http_breaker_respond(r, NGX_HTTP_OK, type, &text);
}


static ngx_int_t
ngx_http_breaker_post(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_str_t                 key, shown, action, format;
    const char               *error;
    brk_event_t               event;
    brk_state_e               state;
    ngx_http_breaker_text_t   text;
    ngx_http_breaker_zone_t  *zone;

    if (ngx_http_gw_is_foreign(r)) {
        return ngx_http_breaker_fail(r, NGX_HTTP_FORBIDDEN,
                                     "the request comes from another site");
    }

    if (ngx_http_breaker_arg(r, &ngx_http_breaker_arg_key, &key) == NGX_ERROR
        || ngx_http_breaker_arg(r, &ngx_http_breaker_arg_action, &action)
           == NGX_ERROR
        || ngx_http_breaker_arg(r, &ngx_http_breaker_arg_format, &format)
           == NGX_ERROR)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (key.len == 0) {
        return ngx_http_breaker_fail(r, NGX_HTTP_BAD_REQUEST,
                                     "no key: ?key=K&action=A is needed");
    }

    if (ngx_http_breaker_is(&action, "open")) {
        state = BRK_FORCED_OPEN;

    } else if (ngx_http_breaker_is(&action, "close")) {
        state = BRK_FORCED_CLOSED;

    } else if (ngx_http_breaker_is(&action, "reset")) {
        state = BRK_CLOSED;

    } else {
        return ngx_http_breaker_fail(r, NGX_HTTP_BAD_REQUEST,
                                 "the action must be open, close or reset");
    }

    rc = ngx_http_breaker_find_zone(r, 1, &zone, &error);

    if (rc != NGX_OK) {
        return ngx_http_breaker_fail(r, (rc == NGX_DECLINED)
                                        ? NGX_HTTP_NOT_FOUND
                                        : NGX_HTTP_BAD_REQUEST, error);
    }

    rc = ngx_http_breaker_change(r, zone, &key, state, &shown, &event);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_breaker_fail(r, NGX_HTTP_NOT_FOUND,
                                     "there is no such key in the zone");
    }

    if (ngx_http_breaker_is(&format, "html")) {
        return ngx_http_breaker_see_other(r);
    }

    ngx_http_breaker_text_init(&text, r->pool);

    ngx_http_breaker_json_change(&text, zone, &shown, &action, &event);

    return ngx_http_breaker_respond(r, NGX_HTTP_OK,
                                    &ngx_http_breaker_type_json, &text);
}


/*
 * The zone that the request names, or NULL; with "one", if none is named, the
 * only zone there is.  NGX_DECLINED: it does not exist; NGX_ERROR: see "error".
 */

static ngx_int_t
ngx_http_breaker_find_zone(ngx_http_request_t *r, ngx_uint_t one,
    ngx_http_breaker_zone_t **zone, const char **error)
{
    ngx_str_t                       name;
    ngx_uint_t                      i;
    ngx_http_breaker_zone_t       **zones;
    ngx_http_breaker_main_conf_t   *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_breaker_module);

    zones = bmcf->zones.elts;
    *zone = NULL;

    if (ngx_http_breaker_arg(r, &ngx_http_breaker_arg_zone, &name)
        == NGX_ERROR)
    {
        *error = "no memory";
        return NGX_ERROR;
    }

    if (name.len == 0) {

        if (one && bmcf->zones.nelts != 1) {
            *error = "there are several zones: ?zone=Z is needed";
            return NGX_ERROR;
        }

        if (one) {
            *zone = zones[0];
        }

        return NGX_OK;
    }

    for (i = 0; i < bmcf->zones.nelts; i++) {
        if (zones[i]->name.len == name.len
            && ngx_strncmp(zones[i]->name.data, name.data, name.len) == 0)
        {
            *zone = zones[i];
            return NGX_OK;
        }
    }

    *error = "there is no such zone";

    return NGX_DECLINED;
}


/* the decoded value; NGX_DECLINED and an empty value: it is missing */

static ngx_int_t
ngx_http_breaker_arg(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
    u_char     *dst, *src;
    ngx_str_t   raw;

    ngx_str_null(value);

    if (ngx_http_arg(r, name->data, name->len, &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    dst = ngx_pnalloc(r->pool, raw.len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = dst;
    src = raw.data;

    ngx_unescape_uri(&dst, &src, raw.len, 0);

    value->len = dst - value->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_breaker_is(ngx_str_t *value, const char *text)
{
    return value->len == ngx_strlen(text)
           && ngx_strncmp(value->data, text, value->len) == 0;
}


static ngx_int_t
ngx_http_breaker_change(ngx_http_request_t *r, ngx_http_breaker_zone_t *zone,
    ngx_str_t *text, brk_state_e state, ngx_str_t *shown, brk_event_t *event)
{
    ngx_int_t  rc;
    brk_key_t  key;

    if (ngx_http_breaker_make_key(r->pool, zone, text, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_breaker_force(zone, &key, state, event, r->connection->log);

    if (rc == NGX_DECLINED && key.len == BRK_KEY_MAX && !key.digest) {

        /* a long key, as it is displayed */

        key.digest = 1;
        rc = ngx_http_breaker_force(zone, &key, state, event,
                                    r->connection->log);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    shown->data = ngx_pnalloc(r->pool, key.len * GW_SHOW);
    if (shown->data == NULL) {
        return NGX_ERROR;
    }

    shown->len = gw_show(shown->data, key.data, key.len) - shown->data;

    return NGX_OK;
}


/* the browser returns to the page after a button was pressed */

static ngx_int_t
ngx_http_breaker_see_other(ngx_http_request_t *r)
{
    size_t                    len;
    u_char                   *p;
    ngx_str_t                 value;
    ngx_http_breaker_text_t   text;

    static ngx_str_t  name = ngx_string("Location");

    p = ngx_strlchr(r->unparsed_uri.data,
                    r->unparsed_uri.data + r->unparsed_uri.len, '?');
    len = p ? (size_t) (p - r->unparsed_uri.data) : r->unparsed_uri.len;

    value.data = ngx_pnalloc(r->pool, len + sizeof("?format=html") - 1);
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(value.data, r->unparsed_uri.data, len);
    p = ngx_cpymem(p, "?format=html", sizeof("?format=html") - 1);
    value.len = p - value.data;

    if (ngx_http_breaker_add_header(r, &name, &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_breaker_text_init(&text, r->pool);

    ngx_http_breaker_write(&text, "changed\n");

    return ngx_http_breaker_respond(r, NGX_HTTP_SEE_OTHER,
                                    &ngx_http_breaker_type_html, &text);
}


static ngx_int_t
ngx_http_breaker_fail(ngx_http_request_t *r, ngx_uint_t status,
    const char *error)
{
    ngx_http_breaker_text_t  text;

    ngx_http_breaker_text_init(&text, r->pool);

    ngx_http_breaker_json_error(&text, error);

    return ngx_http_breaker_respond(r, status, &ngx_http_breaker_type_json,
                                    &text);
}


static ngx_int_t
ngx_http_breaker_respond(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_http_breaker_text_t *text)
{
    ngx_int_t      rc;
    ngx_keyval_t  *h;

    if (ngx_http_breaker_text_end(text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (h = ngx_http_breaker_headers; h->key.len; h++) {
        if (ngx_http_breaker_add_header(r, &h->key, &h->value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = text->size;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    text->last->buf->last_buf = (r == r->main) ? 1 : 0;
    text->last->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, text->first);
}
