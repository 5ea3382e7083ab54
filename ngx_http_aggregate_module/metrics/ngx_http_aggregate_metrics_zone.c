
/* the shared memory of metrics, and the processes that use it */


#include "ngx_http_aggregate_metrics.h"
#include "ngx_http_gw_written.h"
#include "gw_text.h"

#include <openssl/rand.h>


#define NGX_HTTP_AGGREGATE_METRICS_MIN   (64 * 1024)
#define NGX_HTTP_AGGREGATE_METRICS_PROCESSES  16

/* the number of series that are reserved for each configured route */
#define NGX_HTTP_AGGREGATE_METRICS_EACH  4


static char *ngx_http_aggregate_metrics_zone_parameter(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_zone_t *zone, ngx_str_t *value);
static char *ngx_http_aggregate_metrics_buckets(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_zone_t *zone, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_metrics_seconds(ngx_str_t *value,
    uint64_t *usec);
static void *ngx_http_aggregate_metrics_tag(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_zone_t *zone);
static ngx_int_t ngx_http_aggregate_metrics_init_zone(
    ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_http_aggregate_metrics_create(
    ngx_http_aggregate_metrics_zone_t *zone);
static ngx_int_t ngx_http_aggregate_metrics_configured(
    ngx_http_aggregate_metrics_zone_t *zone, ngx_uint_t reused);


/*
 * A zone whose layout has changed must not be taken over from the old
 * configuration.  There are two tags, and the new zone gets the other one.
 */

static u_char  ngx_http_aggregate_metrics_tags[2];


static uint64_t  ngx_http_aggregate_metrics_default_buckets[] = {
    5000, 10000, 25000, 50000, 75000, 100000, 250000, 500000, 750000,
    1000000, 2500000, 5000000, 7500000, 10000000
};


char *
ngx_http_aggregate_metrics_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_metrics_main_conf_t *mmcf = conf;

    ssize_t                             size;
    ngx_str_t                          *value;
    ngx_uint_t                          i;
    ngx_http_aggregate_metrics_zone_t  *zone, **zonep;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty name of a zone in \"%V\"", &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_aggregate_metrics_find_zone(mmcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate zone \"%V\" in \"%V\"", &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR || size < NGX_HTTP_AGGREGATE_METRICS_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of zone \"%V\" in \"%V\", "
                           "it must be 64k at least", &value[2], &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_metrics_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->known = ngx_pcalloc(cf->pool, sizeof(agg_metrics_known_t));
    if (zone->known == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->name = value[1];
    zone->file = cf->conf_file->file.name.data;
    zone->line = cf->conf_file->line;
    zone->cycle = cf->cycle;
    zone->nbuckets = sizeof(ngx_http_aggregate_metrics_default_buckets)
                     / sizeof(uint64_t);
    ngx_memcpy(zone->bounds, ngx_http_aggregate_metrics_default_buckets,
               sizeof(ngx_http_aggregate_metrics_default_buckets));

    for (i = 3; i < cf->args->nelts; i++) {
        if (ngx_http_aggregate_metrics_zone_parameter(cf, zone, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_array_init(&zone->locations, cf->pool, 8, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&zone->parts, cf->pool, 8, sizeof(void *))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    zone->shm_zone = ngx_shared_memory_add(cf, &value[1], size,
                                   ngx_http_aggregate_metrics_tag(cf, zone));
    if (zone->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->shm_zone->init = ngx_http_aggregate_metrics_init_zone;
    zone->shm_zone->data = zone;

    zonep = ngx_array_push(&mmcf->zones);
    if (zonep == NULL) {
        return NGX_CONF_ERROR;
    }

    *zonep = zone;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_metrics_zone_parameter(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_zone_t *zone, ngx_str_t *value)
{
    ngx_int_t  n;
    ngx_str_t  s;

    if (ngx_strncmp(value->data, "series=", 7) == 0) {

        n = ngx_atoi(value->data + 7, value->len - 7);

        if (n < 1 || n > AGG_METRICS_SERIES) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"%V\" of \"aggregate_metrics_zone\","
                               " it must be from 1 to %ud", value,
                               AGG_METRICS_SERIES);
            return NGX_CONF_ERROR;
        }

        zone->series = n;

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "buckets=", 8) == 0) {
        s.data = value->data + 8;
        s.len = value->len - 8;

        return ngx_http_aggregate_metrics_buckets(cf, zone, &s);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of "
                       "\"aggregate_metrics_zone\", known are \"series=\" "
                       "and \"buckets=\"", value);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_aggregate_metrics_buckets(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_zone_t *zone, ngx_str_t *value)
{
    u_char      *p, *last;
    uint64_t     usec;
    ngx_str_t    s;
    ngx_uint_t   n;

    last = value->data + value->len;
    n = 0;

    for (p = value->data; /* void */ ; p = s.data + s.len + 1) {

        s.data = p;

        while (p < last && *p != ',') {
            p++;
        }

        s.len = p - s.data;

        if (n == AGG_METRICS_BUCKETS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "more than %d buckets in "
                               "\"aggregate_metrics_zone\"",
                               AGG_METRICS_BUCKETS);
            return NGX_CONF_ERROR;
        }

        if (ngx_http_aggregate_metrics_seconds(&s, &usec) != NGX_OK
            || usec == 0 || (n && usec <= zone->bounds[n - 1]))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid bucket \"%V\" of "
                               "\"aggregate_metrics_zone\", buckets are "
                               "seconds, as in \"0.005\", and increase", &s);
            return NGX_CONF_ERROR;
        }

        zone->bounds[n++] = usec;

        if (p == last) {
            break;
        }
    }

    zone->nbuckets = n;

    return NGX_CONF_OK;
}


/* a decimal fraction with up to six digits, up to a day */

static ngx_int_t
ngx_http_aggregate_metrics_seconds(ngx_str_t *value, uint64_t *usec)
{
    u_char     *p, *last;
    uint64_t    n;
    ngx_int_t   point;

    p = value->data;
    last = p + value->len;
    point = -1;
    n = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '.' && point == -1) {
            point = 0;
            continue;
        }

        if (*p < '0' || *p > '9' || point == 6) {
            return NGX_ERROR;
        }

        n = n * 10 + (*p - '0');

        if (n > (uint64_t) 86400 * 1000000) {
            return NGX_ERROR;
        }

        if (point != -1) {
            point++;
        }
    }

    if (value->len == 0 || point == 0) {
        return NGX_ERROR;
    }

    for (point = ngx_max(point, 0); point < 6; point++) {
        n *= 10;
    }

    if (n > (uint64_t) 86400 * 1000000) {
        return NGX_ERROR;
    }

    *usec = n;

    return NGX_OK;
}


static void *
ngx_http_aggregate_metrics_tag(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_zone_t *zone)
{
    ngx_uint_t                          i;
    ngx_shm_zone_t                     *shm_zone;
    ngx_list_part_t                    *part;
    ngx_http_aggregate_metrics_zone_t  *old;

    part = &cf->cycle->old_cycle->shared_memory.part;
    shm_zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            shm_zone = part->elts;
            i = 0;
        }

        if (shm_zone[i].init != ngx_http_aggregate_metrics_init_zone
            || shm_zone[i].shm.name.len != zone->name.len
            || ngx_strncmp(shm_zone[i].shm.name.data, zone->name.data,
                           zone->name.len)
               != 0)
        {
            continue;
        }

        old = shm_zone[i].data;

        if (old->series == zone->series
            && old->nbuckets == zone->nbuckets
            && ngx_memcmp(old->bounds, zone->bounds,
                          zone->nbuckets * sizeof(uint64_t))
               == 0)
        {
            return shm_zone[i].tag;
        }

        return shm_zone[i].tag == &ngx_http_aggregate_metrics_tags[0]
               ? &ngx_http_aggregate_metrics_tags[1]
               : &ngx_http_aggregate_metrics_tags[0];
    }

    return &ngx_http_aggregate_metrics_tags[0];
}


void
ngx_http_aggregate_metrics_did_you_mean(ngx_conf_t *cf,
    ngx_http_aggregate_metrics_main_conf_t *mmcf, ngx_str_t *name,
    u_char *file, ngx_uint_t line)
{
    ngx_uint_t                           i;
    gw_nearest_t                         nearest;
    ngx_http_aggregate_metrics_zone_t  **zones;

    zones = mmcf->zones.elts;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; i < mmcf->zones.nelts; i++) {
        gw_nearest_try(&nearest, zones[i]->name.data, zones[i]->name.len,
                       &zones[i]->name);
    }

    ngx_http_gw_did_you_mean(cf, nearest.item, name, file, line);
}


ngx_http_aggregate_metrics_zone_t *
ngx_http_aggregate_metrics_find_zone(
    ngx_http_aggregate_metrics_main_conf_t *mmcf, ngx_str_t *name)
{
    ngx_uint_t                           i;
    ngx_http_aggregate_metrics_zone_t  **zones;

    zones = mmcf->zones.elts;

    for (i = 0; i < mmcf->zones.nelts; i++) {
        if (zones[i]->name.len == name->len
            && ngx_strncmp(zones[i]->name.data, name->data, name->len) == 0)
        {
            return zones[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_aggregate_metrics_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_aggregate_metrics_zone_t *ozone = data;

    ngx_slab_pool_t                    *shpool;
    ngx_http_aggregate_metrics_zone_t  *zone;

    zone = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (ozone) {
        zone->metrics = ozone->metrics;

    } else if (shm_zone->shm.exists) {
        zone->metrics = shpool->data;

    } else if (ngx_http_aggregate_metrics_create(zone) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_metrics_configured(zone,
                                          ozone || shm_zone->shm.exists);
}


static ngx_int_t
ngx_http_aggregate_metrics_create(ngx_http_aggregate_metrics_zone_t *zone)
{
    void             *memory;
    size_t            size;
    uint32_t          processes, series;
    uint64_t          key[2];
    ngx_core_conf_t  *ccf;
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm_zone->shm.addr;
    size = shpool->pfree * ngx_pagesize;

    /*
     * room for the workers, for those of the previous configuration, and more
     */

    ccf = (ngx_core_conf_t *) ngx_get_conf(zone->cycle->conf_ctx,
                                           ngx_core_module);

    processes = NGX_HTTP_AGGREGATE_METRICS_PROCESSES;

    if ((uint32_t) ccf->worker_processes * 3 > processes) {
        processes = (uint32_t) ccf->worker_processes * 3;
    }

    series = agg_metrics_fit(size, zone->nbuckets, processes);

    if (series == 0 || zone->series > series) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                      "aggregate_metrics_zone \"%V\" is too small for %ui "
                      "series, it holds %uD, in %s:%ui", &zone->name,
                      zone->series, series, zone->file, zone->line);
        return NGX_ERROR;
    }

    if (zone->series) {
        series = zone->series;
    }

    if (RAND_bytes((u_char *) key, sizeof(key)) != 1) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                      "RAND_bytes() failed");
        return NGX_ERROR;
    }

    size = agg_metrics_size(series, zone->nbuckets, processes);

    memory = ngx_slab_calloc(shpool, size);
    if (memory == NULL) {
        return NGX_ERROR;
    }

    zone->metrics = agg_metrics_init(memory, series, zone->bounds,
                                     zone->nbuckets, processes, key);
    shpool->data = zone->metrics;

    return NGX_OK;
}


/* configured routes and backends get their values before the first request */

static ngx_int_t
ngx_http_aggregate_metrics_configured(ngx_http_aggregate_metrics_zone_t *zone,
    ngx_uint_t reused)
{
    u_char                                   buf[AGG_METRICS_TEXT];
    uint32_t                                 nroutes, route;
    ngx_str_t                                name, **parts;
    ngx_uint_t                               i, n, full;
    agg_metrics_t                           *m;
    ngx_http_upstream_srv_conf_t           **uscfp;
    ngx_http_aggregate_metrics_loc_conf_t  **mlcf;

    m = zone->metrics;
    mlcf = zone->locations.elts;
    uscfp = zone->upstreams->upstreams.elts;
    n = zone->upstreams->upstreams.nelts;
    nroutes = 0;
    full = 0;

    zone->services = ngx_palloc(zone->cycle->pool,
                                ngx_max(n, 1) * sizeof(uint32_t));
    if (zone->services == NULL) {
        return NGX_ERROR;
    }

    agg_metrics_reserve(m, zone->locations.nelts, n + zone->parts.nelts);

    parts = zone->parts.elts;

    for (i = 0; i < zone->parts.nelts; i++) {
        full |= (agg_metrics_intern(m, parts[i]->data, parts[i]->len, 1)
                 == AGG_METRICS_OTHER);
    }

    for (i = 0; i < zone->locations.nelts; i++) {

        if (mlcf[i]->route->lengths) {
            continue;
        }

        name = mlcf[i]->route->value;
        route = agg_metrics_intern(m, name.data, name.len, 1);

        mlcf[i]->number = route;
        nroutes++;

        if (route == AGG_METRICS_OTHER
            || agg_metrics_add(m, AGG_METRICS_REQUESTS_IN_FLIGHT, route, 0, 0)
               < 0)
        {
            full = 1;
        }
    }

    for (i = 0; i < n; i++) {
        name = ngx_http_aggregate_metrics_service(uscfp[i], buf, sizeof(buf));
        zone->services[i] = agg_metrics_intern(m, name.data, name.len, 1);

        full |= (zone->services[i] == AGG_METRICS_OTHER);
    }

    if (NGX_HTTP_AGGREGATE_METRICS_EACH * nroutes <= m->series
        && n <= m->series)
    {
        if (!full) {
            return NGX_OK;
        }

        /* routes of earlier configurations still have their values */

        if (reused) {
            ngx_log_error(NGX_LOG_WARN, zone->shm_zone->shm.log, 0,
                          "aggregate_metrics_zone \"%V\" has no room for all "
                          "new routes, they are counted as \"_other\" until "
                          "its size changes or nginx is restarted",
                          &zone->name);
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                  "aggregate_metrics_zone \"%V\" is too small for the %uD "
                  "routes and %ui upstreams of the configuration, in %s:%ui",
                  &zone->name, nroutes, n, zone->file, zone->line);

    return NGX_ERROR;
}


/* the name of an upstream block, or a host and its port */

ngx_str_t
ngx_http_aggregate_metrics_service(ngx_http_upstream_srv_conf_t *uscf,
    u_char *buf, size_t size)
{
    ngx_str_t  name;

    if (uscf->port == 0 || uscf->no_port) {
        return uscf->host;
    }

    name.data = buf;
    name.len = ngx_snprintf(buf, size, "%V:%ui", &uscf->host,
                            (ngx_uint_t) uscf->port)
               - buf;

    return name;
}


ngx_int_t
ngx_http_aggregate_metrics_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                               i;
    ngx_http_aggregate_metrics_zone_t      **zones;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    mmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                         ngx_http_aggregate_metrics_module);

    if (mmcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    ngx_http_aggregate_status_init_process(mmcf, cycle);

    zones = mmcf->zones.elts;

    for (i = 0; i < mmcf->zones.nelts; i++) {

        zones[i]->process = agg_metrics_enter(zones[i]->metrics,
                                        (int32_t) ngx_pid,
                                        ngx_http_aggregate_metrics_alive);

        if (zones[i]->process == NULL) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                          "aggregate_metrics_zone \"%V\" has no place for "
                          "one more worker, its requests in flight are not "
                          "counted", &zones[i]->name);
        }
    }

    return NGX_OK;
}


void
ngx_http_aggregate_metrics_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                               i;
    ngx_http_aggregate_metrics_zone_t      **zones;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    mmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                         ngx_http_aggregate_metrics_module);

    if (mmcf == NULL) {
        return;
    }

    zones = mmcf->zones.elts;

    for (i = 0; i < mmcf->zones.nelts; i++) {
        if (zones[i]->process) {
            agg_metrics_leave(zones[i]->metrics, zones[i]->process);
            zones[i]->process = NULL;
        }
    }
}


int
ngx_http_aggregate_metrics_alive(int32_t pid)
{
    return kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}
