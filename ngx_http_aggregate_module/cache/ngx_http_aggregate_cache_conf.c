
/*
 * The directives of the cache.  An error names the directive, the value and
 * the values that are allowed.
 */


#include "ngx_http_aggregate_cache.h"
#include "ngx_http_aggregate_warnings.h"
#include "ngx_http_aggregate_buffer.h"


static char *ngx_http_aggregate_cache_redis(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_aggregate_cache_zone_t *zone,
    ngx_http_aggregate_redis_t **redis);
static char *ngx_http_aggregate_cache_time(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, time_t *time);
static ngx_uint_t ngx_http_aggregate_cache_key_is_unsafe(ngx_conf_t *cf,
    ngx_http_complex_value_t *key);


static ngx_conf_bitmask_t  ngx_http_aggregate_cache_ignored[] = {
    { ngx_string("X-Accel-Expires"), NGX_HTTP_AGGREGATE_CACHE_IGN_ACCEL },
    { ngx_string("CDN-Cache-Control"),
      NGX_HTTP_AGGREGATE_CACHE_IGN_TARGETED },
    { ngx_string("Expires"), NGX_HTTP_AGGREGATE_CACHE_IGN_EXPIRES },
    { ngx_string("Cache-Control"), NGX_HTTP_AGGREGATE_CACHE_IGN_CONTROL },
    { ngx_string("Set-Cookie"), NGX_HTTP_AGGREGATE_CACHE_IGN_SET_COOKIE },
    { ngx_string("Vary"), NGX_HTTP_AGGREGATE_CACHE_IGN_VARY },
    { ngx_string("Cookie"), NGX_HTTP_AGGREGATE_CACHE_IGN_COOKIE },
    { ngx_string("Authorization"),
      NGX_HTTP_AGGREGATE_CACHE_IGN_AUTHORIZATION },
    { ngx_null_string, 0 }
};


char *
ngx_http_aggregate_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_cache_conf_t *accf = conf;

    ngx_str_t  *value;

    if (accf->zone != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts > 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"%V off\", which "
                               "has none", &value[2], &cmd->name);
            return NGX_CONF_ERROR;
        }

        accf->zone = NULL;
        return NGX_CONF_OK;
    }

    ngx_http_aggregate_buffer_use(cf);

    accf->zone = ngx_http_aggregate_cache_zone_add(cf, &value[1]);

    if (accf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_aggregate_cache_redis(cf, cmd, accf->zone, &accf->redis);
}


/* the parameter "redis=" after the name of a zone */

static char *
ngx_http_aggregate_cache_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_aggregate_cache_zone_t *zone, ngx_http_aggregate_redis_t **redis)
{
    ngx_str_t  *value, name;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[2].data, "redis=", 6) != 0 || value[2].len == 6) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"%V\", the only one "
                           "is \"redis=\"", &value[2], &cmd->name);
        return NGX_CONF_ERROR;
    }

    name.data = value[2].data + 6;
    name.len = value[2].len - 6;

    *redis = ngx_http_aggregate_redis_add(cf, &name);
    if (*redis == NULL) {
        return NGX_CONF_ERROR;
    }

    /* a zone reads the purge stream of one Redis */

    if (zone->redis && zone->redis != *redis) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is used with redis \"%V\" and "
                           "redis \"%V\"", &zone->name, &zone->redis->name,
                           &name);
        return NGX_CONF_ERROR;
    }

    zone->redis = *redis;

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_cache_purge_lost(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_cache_conf_t *accf = conf;

    ngx_int_t   after;
    ngx_str_t  *value, s;

    if (accf->purge_lost_stale != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "serve") == 0) {
        accf->purge_lost_stale = 0;

    } else if (ngx_strcmp(value[1].data, "stale") == 0) {
        accf->purge_lost_stale = 1;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\", it must be "
                           "\"serve\" or \"stale\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    accf->purge_lost_after = 10000;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "after=", 6) == 0) {

        s.data = value[2].data + 6;
        s.len = value[2].len - 6;

        after = ngx_parse_time(&s, 0);

        if (after != NGX_ERROR && after >= 1000) {
            ngx_http_gw_warn_time(cf, &s);
            accf->purge_lost_after = after;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"%V\", it must be "
                       "\"after=\" and a time of 1s at least", &value[2],
                       &cmd->name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_aggregate_cache_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_cache_conf_t *accf = conf;

    char       *rv;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" is empty, no response of the location is "
                           "stored", &cmd->name);

    } else if (ngx_strchr(value[1].data, '$') == NULL) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" has no variable, all responses of the "
                           "location share one entry", &cmd->name);
    }

    rv = ngx_http_set_complex_value_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK) {
        accf->key_unsafe = ngx_http_aggregate_cache_key_is_unsafe(cf,
                                                                  accf->key);
    }

    return rv;
}


/*
 * In a subrequest $request_uri is the URI of the client's request, and $request
 * is its line.  nginx ignores the case of such names.
 */

static ngx_uint_t
ngx_http_aggregate_cache_key_is_unsafe(ngx_conf_t *cf,
    ngx_http_complex_value_t *key)
{
    ngx_str_t                  *name;
    ngx_uint_t                 *index;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    if (key->flushes == NULL) {
        return 0;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (index = key->flushes; *index != (ngx_uint_t) -1; index++) {

        name = &v[*index].name;

        if ((name->len == 11
             && ngx_strncmp(name->data, "request_uri", 11) == 0)
            || (name->len == 7 && ngx_strncmp(name->data, "request", 7) == 0))
        {
            return 1;
        }
    }

    return 0;
}


char *
ngx_http_aggregate_cache_identity(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_http_aggregate_is_client_word(&value[1])) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V %V\" is a value that the client sends, "
                           "use an authenticated one", &cmd->name, &value[1]);
    }

    return ngx_http_set_complex_value_slot(cf, cmd, conf);
}


char *
ngx_http_aggregate_cache_ttl(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_cache_conf_t *accf = conf;

    time_t                           time;
    ngx_str_t                       *value;
    ngx_uint_t                       i;
    ngx_http_aggregate_cache_ttl_t  *ttl;

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid prefix \"%V\" in \"%V\", it must start "
                           "with \"/\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_aggregate_cache_time(cf, cmd, &value[2], &time)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (accf->ttl == NGX_CONF_UNSET_PTR) {
        accf->ttl = ngx_array_create(cf->pool, 4,
                                     sizeof(ngx_http_aggregate_cache_ttl_t));
        if (accf->ttl == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    ttl = accf->ttl->elts;

    for (i = 0; i < accf->ttl->nelts; i++) {

        if (ttl[i].prefix.len == value[1].len
            && ngx_memcmp(ttl[i].prefix.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate prefix \"%V\" in \"%V\"", &value[1],
                               &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    ttl = ngx_array_push(accf->ttl);
    if (ttl == NULL) {
        return NGX_CONF_ERROR;
    }

    ttl->prefix = value[1];
    ttl->ttl = time;

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    time_t       time;
    ngx_int_t    status;
    ngx_str_t   *value;
    ngx_uint_t   i, n;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (ngx_http_aggregate_cache_time(cf, cmd, &value[n], &time)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < n; i++) {

        if (ngx_strcmp(value[i].data, "any") == 0) {
            continue;
        }

        status = ngx_atoi(value[i].data, value[i].len);

        if (status < 100 || status > 599) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid status \"%V\" in \"%V\", it must be "
                               "from 100 to 599, or \"any\"", &value[i],
                               &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_file_cache_valid_set_slot(cf, cmd, conf);
}


static char *
ngx_http_aggregate_cache_time(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, time_t *time)
{
    *time = ngx_parse_time(value, 1);

    if (*time != (time_t) NGX_ERROR) {
        ngx_http_gw_warn_time(cf, value);
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid time \"%V\" in \"%V\", it must be like "
                       "\"30s\", \"5m\" or \"1h\"", value, &cmd->name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_aggregate_cache_ignore_headers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_command_t        slot;
    ngx_conf_bitmask_t  *known;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (known = ngx_http_aggregate_cache_ignored; known->name.len;
             known++)
        {
            if (value[i].len == known->name.len
                && ngx_strcasecmp(value[i].data, known->name.data) == 0)
            {
                break;
            }
        }

        if (known->name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid header \"%V\" in \"%V\", it must be "
                               "one of X-Accel-Expires, CDN-Cache-Control, "
                               "Cache-Control, Expires, Set-Cookie, Vary, "
                               "Cookie, Authorization", &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    slot = *cmd;
    slot.post = ngx_http_aggregate_cache_ignored;

    return ngx_conf_set_bitmask_slot(cf, &slot, conf);
}


char *
ngx_http_aggregate_cache_stale(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_cache_conf_t *accf = conf;

    time_t      time;
    ngx_str_t  *value;
    ngx_uint_t  i;

    if (accf->stale_updating != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    accf->stale_updating = 0;
    accf->stale_error = 0;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "off") == 0) {
            return NGX_CONF_OK;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"%V\", it must be "
                           "\"off\", or \"updating\" or \"error\" with a time",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i += 2) {

        if (ngx_http_aggregate_cache_time(cf, cmd, &value[i + 1], &time)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        if (ngx_strcmp(value[i].data, "updating") == 0
            && accf->stale_updating == 0)
        {
            accf->stale_updating = time;

        } else if (ngx_strcmp(value[i].data, "error") == 0
                   && accf->stale_error == 0)
        {
            accf->stale_error = time;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"%V\", it must be "
                               "\"updating\" or \"error\", each once",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_cache_purge_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_cache_conf_t *accf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (accf->purge) {
        return "is duplicate";
    }

    value = cf->args->elts;

    accf->purge = ngx_http_aggregate_cache_zone_add(cf, &value[1]);
    if (accf->purge == NULL) {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aggregate_cache_purge_handler;

    /* responses of the handler itself are not stored */
    accf->zone = NULL;

    return ngx_http_aggregate_cache_redis(cf, cmd, accf->purge,
                                          &accf->purge_redis);
}


char *
ngx_http_aggregate_cache_status_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_cache_conf_t *accf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aggregate_cache_status_handler;

    accf->status = 1;
    accf->zone = NULL;

    return NGX_CONF_OK;
}
