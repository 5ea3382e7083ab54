
/* "aggregate_balance", "aggregate_balance_local", "aggregate_balance_status" */

#include "ngx_http_aggregate_inherit.h"
#include "ngx_http_aggregate_route.h"
#include "ngx_http_gw_decimal.h"
#include "ngx_http_gw_written.h"


#define NGX_HTTP_AGGREGATE_BALANCE_CELLS  128
#define NGX_HTTP_AGGREGATE_BALANCE_DAY    ((ngx_int_t) 86400000)


static char *ngx_http_aggregate_balance(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_aggregate_balance_time(ngx_conf_t *cf, ngx_str_t *value,
    size_t skip, ngx_int_t min, uint64_t *time);
static char *ngx_http_aggregate_balance_failures(ngx_conf_t *cf,
    ngx_http_aggregate_balance_rules_t *rules, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_balance_failure(
    ngx_http_aggregate_balance_rules_t *rules, u_char *name, size_t len);
static char *ngx_http_aggregate_balance_local(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_balance_status(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_aggregate_balance_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_aggregate_balance_add_zone(ngx_conf_t *cf,
    ngx_http_aggregate_balance_srv_conf_t *bcf, ngx_uint_t n);
static ngx_int_t ngx_http_aggregate_balance_init_zone(
    ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_http_aggregate_balance_init(ngx_conf_t *cf);
static void *ngx_http_aggregate_balance_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_aggregate_balance_create_srv_conf(ngx_conf_t *cf);
static void *ngx_http_aggregate_balance_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_balance_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);


static ngx_command_t  ngx_http_aggregate_balance_commands[] = {

    { ngx_string("aggregate_balance"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1234,
      ngx_http_aggregate_balance,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_balance_local"),
      NGX_HTTP_UPS_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_balance_local,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_balance_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_aggregate_balance_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_balance_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_balance_init,       /* postconfiguration */

    ngx_http_aggregate_balance_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_aggregate_balance_create_srv_conf,
                                           /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_balance_create_loc_conf,
                                           /* create location configuration */
    ngx_http_aggregate_balance_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_balance_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_balance_module_ctx, /* module context */
    ngx_http_aggregate_balance_commands,   /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* aggregate_balance peak_ewma [decay=T] [penalty=T] [failures=COND,...] */

static char *
ngx_http_aggregate_balance(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_balance_srv_conf_t *bcf = conf;

    char                                    *rv;
    ngx_str_t                               *value;
    ngx_uint_t                               i;
    ngx_http_upstream_srv_conf_t            *uscf;
    ngx_http_aggregate_balance_srv_conf_t  **bcfp;
    ngx_http_aggregate_balance_main_conf_t  *bmcf;

    if (bcf->on) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "peak_ewma") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid method \"%V\" in \"%V\", it must be "
                           "\"peak_ewma\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "decay=", 6) == 0) {
            rv = ngx_http_aggregate_balance_time(cf, &value[i], 6, 1,
                                                 &bcf->params.decay);

        } else if (ngx_strncmp(value[i].data, "penalty=", 8) == 0) {
            rv = ngx_http_aggregate_balance_time(cf, &value[i], 8, 0,
                                                 &bcf->params.penalty);

        } else if (ngx_strncmp(value[i].data, "failures=", 9) == 0) {
            rv = ngx_http_aggregate_balance_failures(cf, &bcf->rules,
                                                     &value[i]);

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\", it must "
                               "be \"decay=\", \"penalty=\" or \"failures=\"",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (uscf->peer.init_upstream) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must be the only load balancing method of "
                           "its upstream and precede \"keepalive\"",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    uscf->peer.init_upstream = ngx_http_aggregate_balance_init_upstream;

    uscf->flags = NGX_HTTP_UPSTREAM_CREATE
                  |NGX_HTTP_UPSTREAM_WEIGHT
                  |NGX_HTTP_UPSTREAM_MAX_CONNS
                  |NGX_HTTP_UPSTREAM_MAX_FAILS
                  |NGX_HTTP_UPSTREAM_FAIL_TIMEOUT
                  |NGX_HTTP_UPSTREAM_DOWN
#ifdef NGX_HTTP_UPSTREAM_MODIFY
                  |NGX_HTTP_UPSTREAM_MODIFY
#endif
                  |NGX_HTTP_UPSTREAM_BACKUP;

    bcf->on = 1;
    bcf->uscf = uscf;

    bmcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_aggregate_balance_module);

    bcfp = ngx_array_push(&bmcf->upstreams);
    if (bcfp == NULL) {
        return NGX_CONF_ERROR;
    }

    *bcfp = bcf;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_balance_time(ngx_conf_t *cf, ngx_str_t *value, size_t skip,
    ngx_int_t min, uint64_t *time)
{
    ngx_int_t  n;
    ngx_str_t  text;

    text.data = value->data + skip;
    text.len = value->len - skip;

    n = ngx_parse_time(&text, 0);

    if (n == NGX_ERROR || n < min || n > NGX_HTTP_AGGREGATE_BALANCE_DAY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"aggregate_balance\", "
                           "it must be a time from %s to 1d", value,
                           min ? "1ms" : "0");
        return NGX_CONF_ERROR;
    }

    ngx_http_gw_warn_time(cf, &text);

    *time = (uint64_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_balance_failures(ngx_conf_t *cf,
    ngx_http_aggregate_balance_rules_t *rules, ngx_str_t *value)
{
    u_char  *p, *end, *start;

    ngx_memzero(rules, sizeof(ngx_http_aggregate_balance_rules_t));

    start = value->data + 9;
    end = value->data + value->len;

    for (p = start; p <= end; p++) {

        if (p < end && *p != ',') {
            continue;
        }

        if (ngx_http_aggregate_balance_failure(rules, start, p - start)
            != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in "
                               "\"aggregate_balance\", it must be a list of "
                               "\"error\", \"timeout\" and \"http_400\" to "
                               "\"http_599\" with commas between them", value);
            return NGX_CONF_ERROR;
        }

        start = p + 1;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_balance_failure(ngx_http_aggregate_balance_rules_t *rules,
    u_char *name, size_t len)
{
    ngx_int_t  status;

    if (len == 5 && ngx_strncmp(name, "error", 5) == 0) {
        rules->error = 1;
        return NGX_OK;
    }

    if (len == 7 && ngx_strncmp(name, "timeout", 7) == 0) {
        rules->timeout = 1;
        return NGX_OK;
    }

    if (len != 8 || ngx_strncmp(name, "http_", 5) != 0) {
        return NGX_ERROR;
    }

    status = ngx_atoi(name + 5, 3);

    if (status < 400 || status > 599) {
        return NGX_ERROR;
    }

    rules->statuses[(status - 400) / 32] |= (uint32_t) 1
                                            << ((status - 400) % 32);

    return NGX_OK;
}


/* aggregate_balance_local CIDR... [factor=K] */

static char *
ngx_http_aggregate_balance_local(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_balance_srv_conf_t *bcf = conf;

    ngx_int_t    rc, n;
    ngx_str_t   *value;
    ngx_uint_t   i, factor;
    ngx_cidr_t  *cidr;

    if (bcf->local) {
        return "is duplicate";
    }

    bcf->local = ngx_array_create(cf->pool, 2, sizeof(ngx_cidr_t));
    if (bcf->local == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    factor = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "factor=", 7) == 0) {

            n = ngx_http_gw_hundredths(value[i].data + 7, value[i].len - 7);

            if (factor++ || n == NGX_ERROR || n < 100 || n > 10000) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid value \"%V\" in \"%V\", it must "
                                   "be a number from 1 to 100, once",
                                   &value[i], &cmd->name);
                return NGX_CONF_ERROR;
            }

            bcf->factor = (ngx_uint_t) n;
            continue;
        }

        cidr = ngx_array_push(bcf->local);
        if (cidr == NULL) {
            return NGX_CONF_ERROR;
        }

        rc = ngx_ptocidr(&value[i], cidr);

        if (rc == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"%V\", it must be an "
                               "address or a network, as \"10.1.0.0/16\"",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (rc == NGX_DONE) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "low address bits of %V are meaningless",
                               &value[i]);
        }
    }

    if (bcf->local->nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "no network in \"%V\"",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    bcf->uscf = ngx_http_conf_get_module_srv_conf(cf,
                                                  ngx_http_upstream_module);

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_balance_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_balance_loc_conf_t *blcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (blcf->status) {
        return "is duplicate";
    }

    blcf->status = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aggregate_balance_status_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_balance_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us)
{
    size_t                                  size;
    ngx_uint_t                              i, n;
    ngx_http_upstream_server_t             *server;
    ngx_http_aggregate_balance_srv_conf_t  *bcf;

    if (ngx_http_upstream_init_round_robin(cf, us) != NGX_OK) {
        return NGX_ERROR;
    }

    us->peer.init = ngx_http_aggregate_balance_init_peer;

    bcf = ngx_http_conf_upstream_srv_conf(us,
                                          ngx_http_aggregate_balance_module);

    bcf->used = 1;
    n = 0;

    if (us->servers) {
        server = us->servers->elts;

        for (i = 0; i < us->servers->nelts; i++) {
            n += server[i].naddrs;
        }
    }

#if (NGX_HTTP_UPSTREAM_ZONE)
    if (us->shm_zone) {
        return ngx_http_aggregate_balance_add_zone(cf, bcf, n);
    }
#endif

    size = agg_balance_size((unsigned) ngx_max(n, 1));

    bcf->table = ngx_palloc(cf->pool, size);

    if (bcf->table == NULL || agg_balance_init(bcf->table, size) != 0) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The table has memory of its own, next to the upstream's zone.  Its size
 * depends on the next power of two above the number of servers, so that a
 * reload usually keeps it.
 */

static ngx_int_t
ngx_http_aggregate_balance_add_zone(ngx_conf_t *cf,
    ngx_http_aggregate_balance_srv_conf_t *bcf, ngx_uint_t n)
{
    size_t      size;
    ngx_str_t   name;
    ngx_uint_t  cells;

    for (cells = NGX_HTTP_AGGREGATE_BALANCE_CELLS; cells < 2 * n; cells *= 2) {
        /* void */
    }

    /* plus what the slab allocator needs for its pages */

    size = agg_balance_size((unsigned) cells);
    size += size / 64 + 16 * ngx_pagesize;
    size = ngx_align(size, ngx_pagesize);

    name.len = bcf->uscf->host.len + sizeof("aggregate_balance:") - 1;

    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(name.data, "aggregate_balance:%V", &bcf->uscf->host);

    bcf->shm_zone = ngx_shared_memory_add(cf, &name, size,
                                          &ngx_http_aggregate_balance_module);
    if (bcf->shm_zone == NULL) {
        return NGX_ERROR;
    }

    bcf->shm_zone->init = ngx_http_aggregate_balance_init_zone;
    bcf->shm_zone->data = bcf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_balance_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t                                  size;
    agg_balance_t                          *table;
    ngx_slab_pool_t                        *shpool;
    ngx_http_aggregate_balance_srv_conf_t  *bcf;

    bcf = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    bcf->shpool = shpool;

    if (data || shm_zone->shm.exists) {
        table = shpool->data;

        if (table == NULL || agg_balance_check(table, table->size) != 0) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "the state of upstream \"%V\" was made by another "
                          "version of the module", &bcf->uscf->host);
            return NGX_ERROR;
        }

        bcf->table = table;

        return NGX_OK;
    }

    size = shpool->pfree << ngx_pagesize_shift;

    table = ngx_slab_alloc(shpool, size);

    if (table == NULL || agg_balance_init(table, size) != 0) {
        return NGX_ERROR;
    }

    bcf->table = table;
    shpool->data = table;

    return NGX_OK;
}


/* whether a later directive has set another balancing method */

static ngx_int_t
ngx_http_aggregate_balance_init(ngx_conf_t *cf)
{
    ngx_uint_t                              i;
    ngx_http_upstream_srv_conf_t          **uscfp;
    ngx_http_upstream_main_conf_t          *umcf;
    ngx_http_aggregate_balance_srv_conf_t  *bcf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);

    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->srv_conf == NULL) {
            continue;
        }

        bcf = ngx_http_conf_upstream_srv_conf(uscfp[i],
                                           ngx_http_aggregate_balance_module);

        if (bcf->on && !bcf->used) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"aggregate_balance\" must be the only load "
                          "balancing method of upstream \"%V\" in %s:%ui",
                          &uscfp[i]->host, uscfp[i]->file_name,
                          uscfp[i]->line);
            return NGX_ERROR;
        }

        if (bcf->local && !bcf->on) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"aggregate_balance_local\" without "
                          "\"aggregate_balance\" in upstream \"%V\" in %s:%ui",
                          &uscfp[i]->host, uscfp[i]->file_name,
                          uscfp[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void *
ngx_http_aggregate_balance_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_balance_main_conf_t  *bmcf;

    bmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_aggregate_balance_main_conf_t));
    if (bmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&bmcf->upstreams, cf->pool, 4,
                       sizeof(ngx_http_aggregate_balance_srv_conf_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return bmcf;
}


static void *
ngx_http_aggregate_balance_create_srv_conf(ngx_conf_t *cf)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_balance_srv_conf_t  *bcf;

    static const ngx_uint_t  statuses[] = { 429, 500, 502, 503, 504 };

    bcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_balance_srv_conf_t));
    if (bcf == NULL) {
        return NULL;
    }

    bcf->params.decay = 10000;
    bcf->params.penalty = 1000;
    bcf->factor = 200;
    bcf->worker = AGG_BALANCE_NONE;

    bcf->rules.error = 1;
    bcf->rules.timeout = 1;

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        bcf->rules.statuses[(statuses[i] - 400) / 32] |=
                             (uint32_t) 1 << ((statuses[i] - 400) % 32);
    }

    return bcf;
}


static void *
ngx_http_aggregate_balance_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_aggregate_balance_loc_conf_t));
}


static char *
ngx_http_aggregate_balance_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_balance_loc_conf_t *prev = parent;
    ngx_http_aggregate_balance_loc_conf_t *conf = child;

    if (ngx_http_aggregate_inherits_handler(cf,
                                    ngx_http_aggregate_balance_status_handler,
                                    conf->status ? conf : NULL,
                                    prev->status ? prev : NULL))
    {
        conf->status = 1;
    }

    return NGX_CONF_OK;
}
