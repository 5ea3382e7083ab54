
/* the page that Prometheus scrapes */


#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_memory.h"
#include "agg_metrics_accept.h"
#include "ngx_http_aggregate_send.h"
#include "agg_metrics_include.h"


#define NGX_HTTP_AGGREGATE_METRICS_PIECE     16384
#define NGX_HTTP_AGGREGATE_METRICS_INCLUDES  8


static ngx_uint_t ngx_http_aggregate_metrics_accepts(ngx_http_request_t *r);
static int ngx_http_aggregate_metrics_more(gw_out_t *out, size_t n);
static void ngx_http_aggregate_metrics_write(ngx_http_request_t *r,
    gw_prometheus_t *p);
static void ngx_http_aggregate_metrics_own(ngx_http_request_t *r,
    ngx_str_t *own);
static void ngx_http_aggregate_metrics_texts(gw_prometheus_t *p,
    agg_metrics_seen_t *seen, ngx_str_t *own,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n);
static void ngx_http_aggregate_metrics_ups(gw_prometheus_t *p,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n);


time_t  ngx_http_aggregate_metrics_loaded;


char *
ngx_http_aggregate_metrics_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_metrics_loc_conf_t *mlcf = conf;

    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (mlcf->includes.elts) {
        return "is duplicate, or stands beside \"aggregate_status\"";
    }

    ngx_str_set(&mlcf->status_name, "");
    mlcf->status_file = cf->conf_file->file.name.data;
    mlcf->status_line = cf->conf_file->line;

    if (ngx_array_init(&mlcf->includes, cf->pool, 1, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "include=", 8) == 0) {

            if (ngx_http_aggregate_metrics_add_include(cf, cmd,
                                                       &mlcf->includes,
                                                       &value[i])
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (i == 1 && value[i].len) {
            mlcf->status_name = value[i];
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"%V\", the only one "
                           "is \"include=\", after the name of a zone",
                           &value[i], &cmd->name);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aggregate_metrics_status_handler;

    ngx_http_aggregate_metrics_loaded = ngx_time();

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_metrics_add_include(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_array_t *includes, ngx_str_t *value)
{
    ngx_str_t  *uri;

    if (ngx_strncmp(value->data, "include=", 8) != 0 || value->len == 8
        || value->data[8] != '/'
        || includes->nelts == NGX_HTTP_AGGREGATE_METRICS_INCLUDES)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"%V\", it must be a path of "
                           "this server, as in \"include=/path\", and there "
                           "are %d at most", value, &cmd->name,
                           NGX_HTTP_AGGREGATE_METRICS_INCLUDES);
        return NGX_CONF_ERROR;
    }

    uri = ngx_array_push(includes);
    if (uri == NULL) {
        return NGX_CONF_ERROR;
    }

    uri->data = value->data + 8;
    uri->len = value->len - 8;

    ngx_http_aggregate_fetch_use(cf);

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_metrics_merge_status(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_loc_conf_t *mlcf)
{
    const char                               *what;
    ngx_http_aggregate_metrics_zone_t       **zones;
    ngx_http_aggregate_metrics_main_conf_t   *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf,
                                         ngx_http_aggregate_metrics_module);
    zones = mmcf->zones.elts;

    if (mlcf->status_name.len) {
        mlcf->status = ngx_http_aggregate_metrics_find_zone(mmcf,
                                                         &mlcf->status_name);
        what = "unknown zone of";

    } else {
        mlcf->status = (mmcf->zones.nelts == 1) ? zones[0] : NULL;
        what = mmcf->zones.nelts ? "several zones, and no name of one in"
                                 : "no \"aggregate_metrics_zone\" for";
    }

    if (mlcf->status == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s \"aggregate_metrics_status\" in %s:%ui", what,
                      mlcf->status_file, mlcf->status_line);

        if (mlcf->status_name.len) {
            ngx_http_aggregate_metrics_did_you_mean(cf, mmcf,
                                                    &mlcf->status_name,
                                                    mlcf->status_file,
                                                    mlcf->status_line);
        }

        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_aggregate_metrics_status_handler(ngx_http_request_t *r)
{
    return ngx_http_aggregate_metrics_serve(r);
}


ngx_int_t
ngx_http_aggregate_metrics_respond(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n)
{
    gw_out_t                            out;
    ngx_str_t                           type, own[3];
    ngx_uint_t                          openmetrics;
    gw_prometheus_t                     p;
    agg_metrics_seen_t                 *seen;
    ngx_http_aggregate_metrics_page_t   page;

    ngx_http_aggregate_metrics_page(r, &page, &out);

    openmetrics = ngx_http_aggregate_metrics_accepts(r);

    gw_prometheus_init(&p, &out, openmetrics);
    ngx_http_aggregate_metrics_write(r, &p);

    ngx_http_aggregate_metrics_own(r, own);

    if (n || own[0].len || own[1].len || own[2].len) {
        seen = ngx_palloc(r->pool, sizeof(agg_metrics_seen_t));
        if (seen == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        seen->n = 0;

        ngx_http_aggregate_metrics_texts(&p, seen, own, texts, n);
    }

    gw_prometheus_end(&p);

    if (openmetrics) {
        ngx_str_set(&type, GW_PROMETHEUS_OPENMETRICS);

    } else {
        ngx_str_set(&type, GW_PROMETHEUS_TEXT);
    }

    return ngx_http_aggregate_metrics_send(&page, &out, &type);
}


/* the texts of the cache, of the splits and of the balancers */

static void
ngx_http_aggregate_metrics_own(ngx_http_request_t *r, ngx_str_t *own)
{
    ngx_buf_t  *cache;

    ngx_str_null(&own[0]);

    cache = ngx_http_aggregate_cache_prometheus(r);

    if (cache) {
        own[0].data = cache->pos;
        own[0].len = cache->last - cache->pos;
    }

    ngx_http_aggregate_status_text(r, NGX_HTTP_AGGREGATE_STATUS_SPLITS, 1,
                                   &own[1]);
    ngx_http_aggregate_status_text(r, NGX_HTTP_AGGREGATE_STATUS_BALANCERS, 1,
                                   &own[2]);
}


/*
 * The cache's families come first, like those of any other text.  The number of
 * refused texts is known when all of them have been read.
 */

static void
ngx_http_aggregate_metrics_texts(gw_prometheus_t *p, agg_metrics_seen_t *seen,
    ngx_str_t *own, ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n)
{
    size_t      first;
    ngx_uint_t  i;

    /* ends the line here, as the writer does not write the texts that follow */

    gw_out_put(p->out, "\n", 1);
    p->value = 0;

    for (i = 0; i < 3; i++) {
        if (own[i].len) {
            (void) agg_metrics_include(p->out, p->openmetrics, seen,
                                       own[i].data, own[i].len);
        }
    }

    if (n == 0) {
        return;
    }

    first = seen->n;

    for (i = 0; i < n; i++) {
        if (texts[i].data
            && agg_metrics_include(NULL, p->openmetrics, seen, texts[i].data,
                                   texts[i].len)
               != 0)
        {
            texts[i].data = NULL;
        }
    }

    ngx_http_aggregate_metrics_ups(p, texts, n);

    seen->n = first;

    for (i = 0; i < n; i++) {
        if (texts[i].data) {
            (void) agg_metrics_include(p->out, p->openmetrics, seen,
                                       texts[i].data, texts[i].len);
        }
    }
}


static void
ngx_http_aggregate_metrics_ups(gw_prometheus_t *p,
    ngx_http_aggregate_metrics_text_t *texts, ngx_uint_t n)
{
    ngx_uint_t  i;

    gw_prometheus_family(p, "gateway_include_up", GW_GAUGE,
                         "Whether the text of a location is in here.");

    for (i = 0; i < n; i++) {
        gw_prometheus_sample(p, NULL);
        gw_prometheus_label(p, "uri", texts[i].uri->data, texts[i].uri->len);
        gw_prometheus_uint(p, texts[i].data != NULL);
    }

    gw_out_put(p->out, "\n", 1);
    p->value = 0;
}


/* the header may be repeated */

static ngx_uint_t
ngx_http_aggregate_metrics_accepts(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == 6
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Accept", 6) == 0
            && agg_metrics_openmetrics(h[i].value.data, h[i].value.len))
        {
            return 1;
        }
    }

    return 0;
}


static int
ngx_http_aggregate_metrics_more(gw_out_t *out, size_t n)
{
    ngx_buf_t                          *b;
    ngx_chain_t                        *cl;
    ngx_http_aggregate_metrics_page_t  *page;

    page = out->ctx;

    if (page->buf) {
        page->buf->last = out->last;
    }

    b = ngx_create_temp_buf(page->request->pool,
                            ngx_max(n, NGX_HTTP_AGGREGATE_METRICS_PIECE));
    cl = ngx_alloc_chain_link(page->request->pool);

    if (b == NULL || cl == NULL) {
        return -1;
    }

    cl->buf = b;
    cl->next = NULL;

    *page->last = cl;
    page->last = &cl->next;
    page->buf = b;

    out->last = b->last;
    out->end = b->end;

    return 0;
}


static void
ngx_http_aggregate_metrics_write(ngx_http_request_t *r, gw_prometheus_t *p)
{
    ngx_uint_t                               i;
    const char                              *words[NGX_HTTP_AGGREGATE_INTERNAL
                                                   + 1];
    agg_metrics_names_t                      names;
    ngx_http_aggregate_metrics_zone_t       *zone, **zones;
    ngx_http_aggregate_metrics_loc_conf_t   *mlcf;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_aggregate_metrics_module);
    zone = mlcf->status;

    /* the status page shows the first zone, if there is one */

    if (zone == NULL) {
        mmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_aggregate_metrics_module);
        zones = mmcf->zones.elts;
        zone = mmcf->zones.nelts ? zones[0] : NULL;
    }

    for (i = 0; i <= NGX_HTTP_AGGREGATE_INTERNAL; i++) {
        words[i] = (char *) ngx_http_aggregate_reasons[i].data;
    }

    names.words = words;
    names.nwords = NGX_HTTP_AGGREGATE_INTERNAL + 1;
    names.alive = ngx_http_aggregate_metrics_alive;

    if (zone) {
        agg_metrics_write(zone->metrics, p, &names);
        agg_metrics_write_totals(zone->metrics, p, &names);
        agg_metrics_write_zone(zone->metrics, p, zone->name.data,
                               zone->name.len);
    }

    gw_prometheus_family(p, "gateway_build_info", GW_GAUGE,
                         "Versions, always 1.");
    gw_prometheus_sample(p, NULL);
    gw_prometheus_label(p, "version",
                        (const uint8_t *) NGX_HTTP_AGGREGATE_VERSION,
                        sizeof(NGX_HTTP_AGGREGATE_VERSION) - 1);
    gw_prometheus_label(p, "nginx", (const uint8_t *) NGINX_VERSION,
                        sizeof(NGINX_VERSION) - 1);
    gw_prometheus_uint(p, 1);

    gw_prometheus_family(p, "gateway_config_load_timestamp_seconds", GW_GAUGE,
                         "When the configuration was read.");
    gw_prometheus_sample(p, NULL);
    gw_prometheus_uint(p, (uint64_t) ngx_http_aggregate_metrics_loaded);
}


void
ngx_http_aggregate_metrics_page(ngx_http_request_t *r,
    ngx_http_aggregate_metrics_page_t *page, gw_out_t *out)
{
    ngx_memzero(page, sizeof(ngx_http_aggregate_metrics_page_t));
    page->request = r;
    page->last = &page->out;

    ngx_memzero(out, sizeof(gw_out_t));
    out->more = ngx_http_aggregate_metrics_more;
    out->ctx = page;
}


ngx_int_t
ngx_http_aggregate_metrics_send(ngx_http_aggregate_metrics_page_t *page,
    gw_out_t *out, ngx_str_t *type)
{
    off_t         size;
    ngx_chain_t  *cl;

    if (out->failed || page->buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    page->buf->last = out->last;
    size = 0;

    for (cl = page->out; cl; cl = cl->next) {
        size += cl->buf->last - cl->buf->pos;
    }

    ngx_http_aggregate_memory_watch(page->request->pool);

    return ngx_http_aggregate_send(page->request, NGX_HTTP_OK, type, page->out,
                                   size);
}
