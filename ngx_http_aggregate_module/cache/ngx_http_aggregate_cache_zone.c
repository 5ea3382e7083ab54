
/*
 * The shared memory of a cache: its layout, its mutex, and reads and writes of
 * entries.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_scratch.h"


#define NGX_HTTP_AGGREGATE_CACHE_ZONE_MIN    (256 * 1024)

#define NGX_HTTP_AGGREGATE_CACHE_MAX_OBJECT  (1024 * 1024)

/* memory for entries up to this size is used again by the next requests */

#define NGX_HTTP_AGGREGATE_CACHE_ENTRY_BLOCK  8192


static char *ngx_http_aggregate_cache_zone_size(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *name, ngx_str_t *value, ssize_t *size);
static ngx_int_t ngx_http_aggregate_cache_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_aggregate_cache_zone_layout(
    ngx_http_aggregate_cache_zone_t *zone, size_t size);
static void ngx_http_aggregate_cache_zone_set_max_object(
    ngx_http_aggregate_cache_zone_t *zone, ngx_log_t *log);
static u_char *ngx_http_aggregate_cache_entry_memory(ngx_pool_t *pool,
    size_t size);


static ngx_http_aggregate_scratch_t  ngx_http_aggregate_cache_entries;


char *
ngx_http_aggregate_cache_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ssize_t                           size, max_object;
    ngx_str_t                        *value, s;
    ngx_uint_t                        i;
    ngx_http_aggregate_cache_zone_t  *zone;

    value = cf->args->elts;

    if (ngx_http_aggregate_cache_zone_size(cf, cmd, &value[1], &value[2],
                                           &size)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    max_object = 0;

    for (i = 3; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "max_object=", 11) == 0) {

            s.data = value[i].data + 11;
            s.len = value[i].len - 11;

            max_object = ngx_parse_size(&s);

            if (max_object <= 0 || max_object > size) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid max_object \"%V\" in \"%V\", it "
                                   "must be from 1 to the size of the zone",
                                   &s, &cmd->name);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"%V\", the only one "
                           "is \"max_object=\"", &value[i], &cmd->name);
        return NGX_CONF_ERROR;
    }

    zone = ngx_http_aggregate_cache_zone_add(cf, &value[1]);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (zone->shm_zone) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate zone \"%V\" in \"%V\"", &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    zone->shm_zone = ngx_shared_memory_add(cf, &value[1], size,
                                           &ngx_http_aggregate_cache_module);
    if (zone->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->max_object = max_object;

    zone->shm_zone->init = ngx_http_aggregate_cache_zone_init;
    zone->shm_zone->data = zone;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_cache_zone_size(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *name, ngx_str_t *value, ssize_t *size)
{
    if (name->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no name of a zone in \"%V\"", &cmd->name);
        return NGX_CONF_ERROR;
    }

    *size = ngx_parse_size(value);

    if (*size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of zone \"%V\" in \"%V\"",
                           value, name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (*size < NGX_HTTP_AGGREGATE_CACHE_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "size \"%V\" of zone \"%V\" in \"%V\" is too "
                           "small, it must be 256k at least", value, name,
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* returns the zone of that name, which may be declared later */

ngx_http_aggregate_cache_zone_t *
ngx_http_aggregate_cache_zone_add(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_cache_zone_t        *zone, **zones, **zonep;
    ngx_http_aggregate_cache_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_aggregate_cache_module);

    zones = cmcf->zones.elts;

    for (i = 0; i < cmcf->zones.nelts; i++) {
        if (zones[i]->name.len == name->len
            && ngx_memcmp(zones[i]->name.data, name->data, name->len) == 0)
        {
            return zones[i];
        }
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_cache_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    zone->name = *name;
    zone->file = cf->conf_file->file.name.data;
    zone->line = cf->conf_file->line;
    zone->heartbeat = 5000;

    zonep = ngx_array_push(&cmcf->zones);
    if (zonep == NULL) {
        return NULL;
    }

    *zonep = zone;

    return zone;
}


static ngx_int_t
ngx_http_aggregate_cache_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_aggregate_cache_zone_t  *zone, *ozone;

    zone = shm_zone->data;
    ozone = data;

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (ozone) {
        zone->sh = ozone->sh;

    } else if (shm_zone->shm.exists) {
        zone->sh = zone->shpool->data;

    } else if (ngx_http_aggregate_cache_zone_layout(zone, shm_zone->shm.size)
               != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "could not initialize zone \"%V\"", &zone->name);
        return NGX_ERROR;
    }

    ngx_http_aggregate_cache_zone_set_max_object(zone, shm_zone->shm.log);

    return NGX_OK;
}


static void
ngx_http_aggregate_cache_zone_set_max_object(
    ngx_http_aggregate_cache_zone_t *zone, ngx_log_t *log)
{
    size_t  max;

    max = (size_t) agg_cache_store_max(zone->sh->store);

    if (zone->max_object == 0) {
        zone->max_object = NGX_HTTP_AGGREGATE_CACHE_MAX_OBJECT;

    } else if (zone->max_object > max) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "max_object %uz of zone \"%V\" is too large, a response "
                      "larger than %uz is not stored in a zone of this size",
                      zone->max_object, &zone->name, max);
    }

    zone->max_object = ngx_min(zone->max_object, max);
}


static ngx_int_t
ngx_http_aggregate_cache_zone_layout(ngx_http_aggregate_cache_zone_t *zone,
    size_t size)
{
    void                           *area;
    size_t                          purges, locks, len;
    ngx_slab_pool_t                *shpool;
    ngx_http_aggregate_cache_sh_t  *sh;

    shpool = zone->shpool;

    sh = ngx_slab_calloc(shpool, sizeof(ngx_http_aggregate_cache_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    /*
     * A fourteenth of the zone is for purge marks, some 1700 for a megabyte,
     * and up to a sixteenth for locks.
     */

    purges = agg_cache_purges_fit(size / 14);
    locks = ngx_min(size / 16 / 128, 4096);

    sh->purges = ngx_slab_alloc(shpool, agg_cache_purges_size(purges));
    sh->locks = ngx_slab_alloc(shpool, agg_cache_locks_size(locks));

    if (sh->purges == NULL || sh->locks == NULL) {
        return NGX_ERROR;
    }

    agg_cache_purges_init(sh->purges, purges);
    agg_cache_locks_init(sh->locks, locks);

    /* the rest is for entries, in one piece */

    shpool->log_nomem = 0;

    len = (shpool->end - shpool->start) & ~(ngx_pagesize - 1);
    area = NULL;

    for ( /* void */ ; len >= ngx_pagesize; len -= ngx_pagesize) {

        area = ngx_slab_alloc(shpool, len);
        if (area) {
            break;
        }
    }

    if (area == NULL) {
        return NGX_ERROR;
    }

    sh->store = agg_cache_store_create(area, len);
    if (sh->store == NULL) {
        return NGX_ERROR;
    }

    zone->sh = sh;
    shpool->data = sh;

    return NGX_OK;
}


int
ngx_http_aggregate_cache_is_alive(int32_t pid)
{
    return kill((ngx_pid_t) pid, 0) == 0 || ngx_errno == NGX_EPERM;
}


/* copies the entry into memory of the pool */

ngx_int_t
ngx_http_aggregate_cache_zone_read(ngx_http_aggregate_cache_zone_t *zone,
    const u_char *digest, ngx_pool_t *pool, agg_cache_ref_t *ref,
    ngx_str_t *data)
{
    int  rc;

    ngx_http_aggregate_cache_zone_lock(zone);

    rc = agg_cache_store_find(zone->sh->store, digest, ngx_time(), ref);

    ngx_http_aggregate_cache_zone_unlock(zone);

    if (rc != 0) {
        return NGX_DECLINED;
    }

    data->len = (size_t) ref->length;
    data->data = ngx_http_aggregate_cache_entry_memory(pool, data->len);

    if (data->data == NULL) {
        return NGX_ERROR;
    }

    if (agg_cache_store_read(zone->sh->store, ref, 0, data->data, data->len)
        != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* most entries are larger than what a pool has in its blocks */

static u_char *
ngx_http_aggregate_cache_entry_memory(ngx_pool_t *pool, size_t size)
{
    u_char  *p;

    if (size <= pool->max || size > NGX_HTTP_AGGREGATE_CACHE_ENTRY_BLOCK) {
        return ngx_pnalloc(pool, size);
    }

    p = ngx_http_aggregate_scratch_get(&ngx_http_aggregate_cache_entries,
                                       NGX_HTTP_AGGREGATE_CACHE_ENTRY_BLOCK,
                                       pool);
    if (p) {
        ngx_http_aggregate_scratch_keep(&ngx_http_aggregate_cache_entries);
    }

    return p;
}


ngx_int_t
ngx_http_aggregate_cache_zone_write(ngx_http_aggregate_cache_zone_t *zone,
    const u_char *digest, ngx_str_t *head, ngx_chain_t *body, size_t size,
    uint64_t checked)
{
    int                 rc;
    size_t              offset, len;
    ngx_chain_t        *cl;
    agg_cache_ref_t     ref;
    agg_cache_store_t  *store;

    store = zone->sh->store;

    ngx_http_aggregate_cache_zone_lock(zone);

    rc = agg_cache_store_reserve(store, digest, head->len + size,
                                 (int32_t) ngx_pid,
                                 ngx_http_aggregate_cache_is_alive, &ref);

    ngx_http_aggregate_cache_zone_unlock(zone);

    if (rc != 0) {
        (void) ngx_atomic_fetch_add(&zone->sh->failed, 1);
        return NGX_DECLINED;
    }

    agg_cache_store_fill(store, &ref, 0, head->data, head->len);

    offset = head->len;

    for (cl = body; cl; cl = cl->next) {
        len = cl->buf->last - cl->buf->pos;

        agg_cache_store_fill(store, &ref, offset, cl->buf->pos, len);

        offset += len;
    }

    ngx_http_aggregate_cache_zone_lock(zone);

    agg_cache_store_publish(store, &ref, checked, ngx_time());

    ngx_http_aggregate_cache_zone_unlock(zone);

    (void) ngx_atomic_fetch_add(&zone->sh->stores, 1);

    return NGX_OK;
}


/* milliseconds */

int64_t
ngx_http_aggregate_cache_local_time(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + (int64_t) tp->msec;
}
