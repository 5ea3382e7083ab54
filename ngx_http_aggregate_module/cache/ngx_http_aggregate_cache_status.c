
/* The status of the zones, in JSON and in the text format of Prometheus. */


#include "ngx_http_aggregate_cache.h"
#include "gw_text.h"


#define ngx_http_aggregate_cache_answered(status)                            \
    offsetof(ngx_http_aggregate_cache_sh_t, answers)                         \
    + (status) * sizeof(ngx_atomic_t)


/* a counter of a zone; counters of one metric are adjacent */

typedef struct {
    const char                       *name;
    const char                       *label;
    size_t                            offset;
    const char                       *help;
} ngx_http_aggregate_cache_metric_t;


static ngx_buf_t *ngx_http_aggregate_cache_status_json(ngx_http_request_t *r,
    ngx_http_aggregate_cache_main_conf_t *cmcf);
static ngx_buf_t *ngx_http_aggregate_cache_status_prometheus(
    ngx_http_request_t *r, ngx_http_aggregate_cache_main_conf_t *cmcf);
static u_char *ngx_http_aggregate_cache_status_head(u_char *p, const char *name,
    const char *type, const char *help);
static u_char *ngx_http_aggregate_cache_status_zone(u_char *p, const char *name,
    ngx_http_aggregate_cache_zone_t *zone);
static u_char *ngx_http_aggregate_cache_status_store(u_char *p,
    ngx_http_aggregate_cache_main_conf_t *cmcf);
static u_char *ngx_http_aggregate_cache_status_redis(u_char *p,
    ngx_http_aggregate_cache_main_conf_t *cmcf);


static const ngx_http_aggregate_cache_metric_t
    ngx_http_aggregate_cache_metrics[] =
{
    { "hits_total", ",tier=\"L1\"",
      ngx_http_aggregate_cache_answered(NGX_HTTP_AGGREGATE_CACHE_HIT),
      "Answers from a fresh response." },
    { "hits_total", ",tier=\"L2\"",
      offsetof(ngx_http_aggregate_cache_sh_t, l2_hits), NULL },
    { "misses_total", "",
      ngx_http_aggregate_cache_answered(NGX_HTTP_AGGREGATE_CACHE_MISS),
      "Answers of a backend." },
    { "stale_total", "",
      ngx_http_aggregate_cache_answered(NGX_HTTP_AGGREGATE_CACHE_STALE),
      "Answers from a stale response." },
    { "bypassed_total", "",
      ngx_http_aggregate_cache_answered(NGX_HTTP_AGGREGATE_CACHE_BYPASS),
      "Requests that the cache did not answer by configuration." },
    { "revalidated_total", "",
      ngx_http_aggregate_cache_answered(NGX_HTTP_AGGREGATE_CACHE_REVALIDATED),
      "Answers from a response that its backend has confirmed." },
    { "stored_total", "", offsetof(ngx_http_aggregate_cache_sh_t, stores),
      "Responses that were stored." },
    { "not_stored_total", "",
      offsetof(ngx_http_aggregate_cache_sh_t, refused),
      "Responses that may not be stored." },
    { "failed_total", "", offsetof(ngx_http_aggregate_cache_sh_t, failed),
      "Responses for which the zone had no room." },
    { "waited_total", "", offsetof(ngx_http_aggregate_cache_sh_t, waits),
      "Requests that waited for another one's response." },
    { "refreshed_total", "",
      offsetof(ngx_http_aggregate_cache_sh_t, refreshes),
      "Refreshes in the background." },
    { "purges_total", "", offsetof(ngx_http_aggregate_cache_sh_t, purged),
      "Purges that were asked of this node." },
    { NULL, NULL, 0, NULL }
};


static const char  *ngx_http_aggregate_cache_states[] = {
    "up", "partial", "connecting", "down"
};


ngx_int_t
ngx_http_aggregate_cache_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                              rc;
    ngx_buf_t                             *b;
    ngx_str_t                              type, value;
    ngx_http_aggregate_cache_main_conf_t  *cmcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_cache_module);

    if (ngx_http_arg(r, (u_char *) "format", 6, &value) == NGX_OK
        && value.len == 10
        && ngx_strncmp(value.data, "prometheus", 10) == 0)
    {
        ngx_str_set(&type, "text/plain; version=0.0.4");
        b = ngx_http_aggregate_cache_status_prometheus(r, cmcf);

    } else {
        ngx_str_set(&type, "application/json");
        b = ngx_http_aggregate_cache_status_json(r, cmcf);
    }

    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_aggregate_cache_send_text(r, NGX_HTTP_OK, &type, b);
}


static ngx_buf_t *
ngx_http_aggregate_cache_status_json(ngx_http_request_t *r,
    ngx_http_aggregate_cache_main_conf_t *cmcf)
{
    size_t                             len;
    ngx_buf_t                         *b;
    ngx_uint_t                         i;
    agg_cache_store_t                 *store;
    ngx_http_aggregate_cache_sh_t     *sh;
    ngx_http_aggregate_cache_zone_t  **zones;

    zones = cmcf->zones.elts;
    len = 32;

    for (i = 0; i < cmcf->zones.nelts; i++) {
        len += GW_JSON * zones[i]->name.len + 640 + 19 * NGX_INT64_LEN;
    }

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    b->last = ngx_cpymem(b->last, "{\"zones\":{", 10);

    for (i = 0; i < cmcf->zones.nelts; i++) {

        sh = zones[i]->sh;
        store = sh->store;

        if (i) {
            *b->last++ = ',';
        }

        *b->last++ = '"';
        b->last = gw_escape_json(b->last, zones[i]->name.data,
                                 zones[i]->name.len);

        b->last = ngx_sprintf(b->last,
                      "\":{\"entries\":%uD,\"bytes\":%uL,"
                      "\"chunks\":%uD,\"free\":%uD,"
                      "\"hits\":{\"L1\":%uA,\"L2\":%uA},"
                      "\"misses\":%uA,\"stale\":%uA,"
                      "\"bypassed\":%uA,\"revalidated\":%uA,"
                      "\"stored\":%uA,\"not_stored\":%uA,\"failed\":%uA,"
                      "\"waited\":%uA,\"refreshed\":%uA,\"purges\":%uA,"
                      "\"evictions\":%uL,\"resets\":%uL,"
                      "\"purge_marks\":{\"used\":%uD,\"size\":%uD,"
                      "\"evicted\":%uL},"
                      "\"redis\":\"%s\"}",
                      agg_cache_store_count(store), store->bytes,
                      store->nelts, store->nfree,
                      sh->answers[NGX_HTTP_AGGREGATE_CACHE_HIT],
                      sh->l2_hits,
                      sh->answers[NGX_HTTP_AGGREGATE_CACHE_MISS],
                      sh->answers[NGX_HTTP_AGGREGATE_CACHE_STALE],
                      sh->answers[NGX_HTTP_AGGREGATE_CACHE_BYPASS],
                      sh->answers[NGX_HTTP_AGGREGATE_CACHE_REVALIDATED],
                      sh->stores, sh->refused, sh->failed, sh->waits,
                      sh->refreshes, sh->purged, store->evictions,
                      store->resets, sh->purges->count, sh->purges->nelts,
                      sh->purges->evictions,
                      ngx_http_aggregate_cache_l2_state(zones[i]));
    }

    b->last = ngx_cpymem(b->last, "}}\n", 3);

    return b;
}


/* NULL: there is no zone, or no memory */

ngx_buf_t *
ngx_http_aggregate_cache_json(ngx_http_request_t *r)
{
    ngx_http_aggregate_cache_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_cache_module);

    return cmcf->zones.nelts
           ? ngx_http_aggregate_cache_status_json(r, cmcf) : NULL;
}


ngx_buf_t *
ngx_http_aggregate_cache_prometheus(ngx_http_request_t *r)
{
    ngx_http_aggregate_cache_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_cache_module);

    return cmcf->zones.nelts
           ? ngx_http_aggregate_cache_status_prometheus(r, cmcf) : NULL;
}


static ngx_buf_t *
ngx_http_aggregate_cache_status_prometheus(ngx_http_request_t *r,
    ngx_http_aggregate_cache_main_conf_t *cmcf)
{
    size_t                                    len;
    ngx_buf_t                                *b;
    ngx_uint_t                                i;
    ngx_http_aggregate_cache_zone_t         **zones;
    const ngx_http_aggregate_cache_metric_t  *m;

    zones = cmcf->zones.elts;
    len = 4096;

    for (i = 0; i < cmcf->zones.nelts; i++) {
        len += 20 * (GW_LABEL * zones[i]->name.len + 128);
    }

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    b->last = ngx_http_aggregate_cache_status_store(b->last, cmcf);

    for (m = ngx_http_aggregate_cache_metrics; m->name; m++) {

        if (m->help) {
            b->last = ngx_http_aggregate_cache_status_head(b->last, m->name,
                                                           "counter",
                                                           m->help);
        }

        for (i = 0; i < cmcf->zones.nelts; i++) {

            b->last = ngx_http_aggregate_cache_status_zone(b->last, m->name,
                                                           zones[i]);

            b->last = ngx_sprintf(b->last, "%s} %uA\n", m->label,
                                  *(ngx_atomic_t *) ((u_char *) zones[i]->sh
                                                     + m->offset));
        }
    }

    b->last = ngx_http_aggregate_cache_status_redis(b->last, cmcf);

    return b;
}


static u_char *
ngx_http_aggregate_cache_status_head(u_char *p, const char *name,
    const char *type, const char *help)
{
    return ngx_sprintf(p, "# HELP aggregate_cache_%s %s\n"
                       "# TYPE aggregate_cache_%s %s\n",
                       name, help, name, type);
}


static u_char *
ngx_http_aggregate_cache_status_zone(u_char *p, const char *name,
    ngx_http_aggregate_cache_zone_t *zone)
{
    p = ngx_sprintf(p, "aggregate_cache_%s{zone=\"", name);
    p = gw_escape_label(p, zone->name.data, zone->name.len);

    *p++ = '"';

    return p;
}


static u_char *
ngx_http_aggregate_cache_status_store(u_char *p,
    ngx_http_aggregate_cache_main_conf_t *cmcf)
{
    uint64_t                           value;
    ngx_uint_t                         i, n;
    agg_cache_store_t                 *store;
    agg_cache_purges_t                *purges;
    ngx_http_aggregate_cache_zone_t  **zones;

    static const char  *metrics[][3] = {
        { "entries", "gauge", "Responses in the zone." },
        { "bytes", "gauge", "Bytes that they take." },
        { "evictions_total", "counter", "Responses that made room." },
        { "purge_marks", "gauge", "Purges that are remembered." },
        { "purge_marks_evicted_total", "counter",
          "Purges that made room for later ones." }
    };

    zones = cmcf->zones.elts;

    for (n = 0; n < sizeof(metrics) / sizeof(metrics[0]); n++) {

        p = ngx_http_aggregate_cache_status_head(p, metrics[n][0],
                                                 metrics[n][1],
                                                 metrics[n][2]);

        for (i = 0; i < cmcf->zones.nelts; i++) {

            store = zones[i]->sh->store;
            purges = zones[i]->sh->purges;

            value = (n == 0) ? agg_cache_store_count(store)
                    : (n == 1) ? store->bytes
                    : (n == 2) ? store->evictions
                    : (n == 3) ? purges->count : purges->evictions;

            p = ngx_http_aggregate_cache_status_zone(p, metrics[n][0],
                                                     zones[i]);
            p = ngx_sprintf(p, "} %uL\n", value);
        }
    }

    return p;
}


/* the state of Redis, for each zone that uses it */

static u_char *
ngx_http_aggregate_cache_status_redis(u_char *p,
    ngx_http_aggregate_cache_main_conf_t *cmcf)
{
    ngx_uint_t                         i, n;
    const char                        *state;
    ngx_http_aggregate_cache_zone_t  **zones;

    p = ngx_http_aggregate_cache_status_head(p, "redis_state", "gauge",
                                             "The state of Redis: 1 for the "
                                             "one that it is in.");

    zones = cmcf->zones.elts;

    for (i = 0; i < cmcf->zones.nelts; i++) {

        if (zones[i]->redis == NULL) {
            continue;
        }

        state = ngx_http_aggregate_cache_l2_state(zones[i]);

        for (n = 0; n < 4; n++) {

            p = ngx_http_aggregate_cache_status_zone(p, "redis_state",
                                                     zones[i]);
            p = ngx_sprintf(p, ",state=\"%s\"} %d\n",
                            ngx_http_aggregate_cache_states[n],
                            ngx_strcmp(state,
                                       ngx_http_aggregate_cache_states[n])
                            == 0);
        }
    }

    return p;
}
