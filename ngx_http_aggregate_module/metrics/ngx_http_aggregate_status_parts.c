
/* the parts of the status page for the cache, splits and balancers */


#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_split.h"
#include "ngx_http_aggregate_route.h"
#include "agg_json.h"


#define NGX_HTTP_AGGREGATE_STATUS_TEXT     (4 * 1024 * 1024)
#define NGX_HTTP_AGGREGATE_STATUS_COLUMNS  32


static void *ngx_http_aggregate_status_grow(void *ctx, void *old, size_t used,
    size_t size);
static void ngx_http_aggregate_status_redis(gw_out_t *out, agg_str_t *zones);
static void ngx_http_aggregate_status_named(gw_out_t *out, const char *title,
    agg_str_t *list, const char *rows, const char *column);
static void ngx_http_aggregate_status_table(gw_out_t *out, agg_str_t *rows,
    const char *column);
static void ngx_http_aggregate_status_cells(gw_out_t *out, agg_str_t *row,
    ngx_uint_t names);
static void ngx_http_aggregate_status_cell(gw_out_t *out, agg_str_t *outer,
    agg_iter_t *it, ngx_uint_t names);
static void ngx_http_aggregate_status_value(gw_out_t *out, agg_str_t *value);
static ngx_int_t ngx_http_aggregate_status_member(agg_str_t *object,
    const char *name, agg_str_t *value);


static void *
ngx_http_aggregate_status_grow(void *ctx, void *old, size_t used,
    size_t size)
{
    ngx_pool_t *pool = ctx;

    u_char  *p;

    p = ngx_palloc(pool, size);

    if (p && used) {
        ngx_memcpy(p, old, used);
    }

    if (p && old) {
        (void) ngx_pfree(pool, old);
    }

    return p;
}


/* the length is 0 if there are none, or no memory */

void
ngx_http_aggregate_status_text(ngx_http_request_t *r,
    ngx_http_aggregate_status_part_e part, ngx_uint_t prometheus,
    ngx_str_t *text)
{
    gw_out_block_t                           out;
    ngx_http_aggregate_split_main_conf_t    *smcf;
    ngx_http_aggregate_balance_main_conf_t  *bmcf;

    ngx_str_null(text);

    gw_out_block_init(&out, NGX_HTTP_AGGREGATE_STATUS_TEXT,
                      ngx_http_aggregate_status_grow, r->pool);

    if (part == NGX_HTTP_AGGREGATE_STATUS_SPLITS) {
        smcf = ngx_http_get_module_main_conf(r,
                                             ngx_http_aggregate_split_module);

        if (smcf->splits.nelts == 0) {
            return;
        }

        if (prometheus) {
            ngx_http_aggregate_split_prometheus(&out.out, &smcf->splits);

        } else {
            ngx_http_aggregate_split_json(&out.out, &smcf->splits);
        }

    } else {
        bmcf = ngx_http_get_module_main_conf(r,
                                           ngx_http_aggregate_balance_module);

        if (bmcf->upstreams.nelts == 0
            || ngx_http_aggregate_balance_write(r, &out.out, prometheus)
               != NGX_OK)
        {
            return;
        }
    }

    if (!out.out.failed) {
        text->data = out.start;
        text->len = gw_out_block_used(&out);
    }
}


void
ngx_http_aggregate_status_parts(ngx_http_request_t *r, gw_out_t *out,
    ngx_uint_t html)
{
    ngx_buf_t   *cache;
    ngx_str_t    splits, balancers;
    agg_str_t    all, list;

    ngx_http_aggregate_status_text(r, NGX_HTTP_AGGREGATE_STATUS_SPLITS, 0,
                                   &splits);
    all.data = splits.data;
    all.len = splits.len;

    if (ngx_http_aggregate_status_member(&all, "splits", &list) == NGX_OK) {

        if (html) {
            ngx_http_aggregate_status_named(out, "Split", &list, "versions",
                                            "Version");

        } else {
            gw_out_text(out, ",\"splits\":");
            gw_out_put(out, list.data, list.len);
        }
    }

    ngx_http_aggregate_status_text(r, NGX_HTTP_AGGREGATE_STATUS_BALANCERS, 0,
                                   &balancers);
    all.data = balancers.data;
    all.len = balancers.len;

    if (ngx_http_aggregate_status_member(&all, "upstreams", &list) == NGX_OK)
    {
        if (html) {
            ngx_http_aggregate_status_named(out, "Upstream", &list, "servers",
                                            "Server");

        } else {
            gw_out_text(out, ",\"balancers\":");
            gw_out_put(out, list.data, list.len);
        }
    }

    cache = ngx_http_aggregate_cache_json(r);

    if (cache == NULL) {
        return;
    }

    all.data = cache->pos;
    all.len = cache->last - cache->pos;
    agg_json_trim(&all);

    if (!html) {
        gw_out_text(out, ",\"cache\":");
        gw_out_put(out, all.data, all.len);

    } else if (ngx_http_aggregate_status_member(&all, "zones", &list)
               == NGX_OK)
    {
        gw_out_text(out, "<h2>Cache</h2>\n");
        ngx_http_aggregate_status_table(out, &list, NULL);
    }

    if (!html
        && ngx_http_aggregate_status_member(&all, "zones", &list) == NGX_OK)
    {
        ngx_http_aggregate_status_redis(out, &list);
    }
}


/* the connection of each cache zone that has one */

static void
ngx_http_aggregate_status_redis(gw_out_t *out, agg_str_t *zones)
{
    agg_str_t   state;
    agg_iter_t  it;
    ngx_uint_t  n;

    n = 0;
    gw_out_text(out, ",\"redis\":{");

    for (agg_iter_init(&it, zones); agg_iter_next(&it); /* void */ ) {

        if (ngx_http_aggregate_status_member(&it.value, "redis", &state)
            != NGX_OK)
        {
            continue;
        }

        gw_out_text(out, n++ ? ",\"" : "\"");
        gw_out_put(out, it.name.data, it.name.len);
        gw_out_text(out, "\":");
        gw_out_put(out, state.data, state.len);
    }

    gw_out_text(out, "}");
}


/* a table for each object in a list, with its name as title */

static void
ngx_http_aggregate_status_named(gw_out_t *out, const char *title,
    agg_str_t *list, const char *rows, const char *column)
{
    agg_str_t   name, table;
    agg_iter_t  it;

    for (agg_iter_init(&it, list); agg_iter_next(&it); /* void */ ) {

        if (ngx_http_aggregate_status_member(&it.value, "name", &name)
            != NGX_OK
            || ngx_http_aggregate_status_member(&it.value, rows, &table)
               != NGX_OK)
        {
            continue;
        }

        gw_out_text(out, "<h2>");
        gw_out_text(out, title);
        gw_out_text(out, " ");
        ngx_http_aggregate_status_value(out, &name);
        gw_out_text(out, "</h2>\n");

        ngx_http_aggregate_status_table(out, &table, column);
    }
}


/*
 * A table with a row for each member of an object, or for each object of a
 * list, whose first member is its name.  Without "column", the title of the
 * names, it has no head.
 */

static void
ngx_http_aggregate_status_table(gw_out_t *out, agg_str_t *rows,
    const char *column)
{
    agg_iter_t  it;
    ngx_uint_t  n;

    gw_out_text(out, column ? "<div><table>\n"
                            : "<div><table class=\"c\">\n");
    n = 0;

    for (agg_iter_init(&it, rows); agg_iter_next(&it); n++) {

        if (n == 0 && column) {
            gw_out_text(out, "<thead><tr><th>");
            gw_out_text(out, column);
            gw_out_text(out, "</th>");
            ngx_http_aggregate_status_cells(out, &it.value,
                                            it.kind == AGG_OBJECT ? 1 : 2);
            gw_out_text(out, "</tr></thead>\n<tbody>\n");
        }

        gw_out_text(out, "<tr>");

        if (it.kind == AGG_OBJECT) {
            gw_out_text(out, "<td>");
            gw_out_html(out, it.name.data, it.name.len);
            gw_out_text(out, "</td>");
        }

        ngx_http_aggregate_status_cells(out, &it.value, 0);
        gw_out_text(out, "</tr>\n");
    }

    gw_out_text(out, n && column ? "</tbody>\n" : "");
    gw_out_text(out, "</table></div>\n");
}


/*
 * Scalar members become cells, and those of an inner object too.  With names as
 * 1, their names are written instead; with 2, all but the first.
 */

static void
ngx_http_aggregate_status_cells(gw_out_t *out, agg_str_t *row,
    ngx_uint_t names)
{
    agg_iter_t  it, inner;
    ngx_uint_t  n;

    n = 0;

    for (agg_iter_init(&it, row);
         agg_iter_next(&it) && n < NGX_HTTP_AGGREGATE_STATUS_COLUMNS; n++)
    {
        if (n == 0 && names == 2) {
            continue;
        }

        if (agg_json_kind(&it.value) != AGG_OBJECT) {
            ngx_http_aggregate_status_cell(out, NULL, &it, names);
            continue;
        }

        for (agg_iter_init(&inner, &it.value); agg_iter_next(&inner);
             /* void */ )
        {
            ngx_http_aggregate_status_cell(out, &it.name, &inner, names);
        }
    }
}


static void
ngx_http_aggregate_status_cell(gw_out_t *out, agg_str_t *outer,
    agg_iter_t *it, ngx_uint_t names)
{
    /* times are for programs; the page has durations */

    if ((it->name.len == 5 && ngx_strncmp(it->name.data, "since", 5) == 0)
        || (it->name.len == 4 && ngx_strncmp(it->name.data, "next", 4) == 0))
    {
        return;
    }

    gw_out_text(out, names ? "<th>" : "<td data-n=\"");

    if (outer) {
        gw_out_html(out, outer->data, outer->len);
        gw_out_text(out, " ");
    }

    gw_out_html(out, it->name.data, it->name.len);

    if (names) {
        gw_out_text(out, "</th>");
        return;
    }

    gw_out_text(out, "\">");
    ngx_http_aggregate_status_value(out, &it->value);
    gw_out_text(out, "</td>");
}


/* a string without its quotes; escapes are shown as they are */

static void
ngx_http_aggregate_status_value(gw_out_t *out, agg_str_t *value)
{
    switch (agg_json_kind(value)) {

    case AGG_STRING:
        gw_out_html(out, value->data + 1, value->len - 2);
        break;

    case AGG_NULL:
        gw_out_text(out, "-");
        break;

    default:
        gw_out_html(out, value->data, value->len);
    }
}


static ngx_int_t
ngx_http_aggregate_status_member(agg_str_t *object, const char *name,
    agg_str_t *value)
{
    agg_str_t   decoded;
    agg_iter_t  it;

    if (object->len == 0) {
        return NGX_DECLINED;
    }

    decoded.data = (u_char *) name;
    decoded.len = ngx_strlen(name);

    agg_json_trim(object);

    for (agg_iter_init(&it, object); agg_iter_next(&it); /* void */ ) {

        if (agg_json_name_equal(&it.name, &decoded)) {
            *value = it.value;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}
