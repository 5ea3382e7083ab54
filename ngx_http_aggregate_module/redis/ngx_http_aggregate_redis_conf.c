
/*
 * The statements of the block that names a Redis.
 */


#include "ngx_http_aggregate_redis.h"
#include "ngx_http_aggregate_compat.h"
#include "ngx_http_aggregate_setters.h"


#define NGX_HTTP_AGGREGATE_REDIS_SERVERS  64


static char *ngx_http_aggregate_redis_conf_server(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_redis_conf_sentinel(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_redis_conf_address(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_array_t *list, ngx_str_t *value,
    in_port_t port);
static char *ngx_http_aggregate_redis_conf_tls(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis);
static char *ngx_http_aggregate_redis_conf_find(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_array_t *list);


#define NGX_HTTP_AGGREGATE_REDIS_CONF  NGX_HTTP_AGGREGATE_BLOCK_CONF


static ngx_http_aggregate_bounds_t  ngx_http_aggregate_redis_name_bounds =
    { 1, AGG_REDIS_HOST_MAX, "must be of 1 to 255 bytes" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_redis_file_bounds =
    { 1, NGX_MAX_PATH, "must name a file" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_redis_prefix_bounds =
    { 0, NGX_HTTP_AGGREGATE_REDIS_PREFIX_MAX, "must be of up to 128 bytes" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_redis_database_bounds =
    { 0, 65535, "must be a number from 0 to 65535" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_redis_time_bounds =
    { 1, 60000, "must be a time from 1ms to 60s" };


ngx_command_t  ngx_http_aggregate_redis_statements[] = {

    { ngx_string("server"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_redis_conf_server,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, servers),
      NULL },

    { ngx_string("sentinel"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_2MORE,
      ngx_http_aggregate_redis_conf_sentinel,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, sentinels),
      NULL },

    { ngx_string("cluster"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_on_off,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, clustered),
      NULL },

    { ngx_string("user"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, user),
      &ngx_http_aggregate_redis_name_bounds },

    { ngx_string("password"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_secret,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, password),
      NULL },

    { ngx_string("sentinel_user"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, sentinel_user),
      &ngx_http_aggregate_redis_name_bounds },

    { ngx_string("sentinel_password"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_secret,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, sentinel_password),
      NULL },

    { ngx_string("database"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, database),
      &ngx_http_aggregate_redis_database_bounds },

    { ngx_string("prefix"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, prefix),
      &ngx_http_aggregate_redis_prefix_bounds },

    { ngx_string("connect_timeout"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_msec,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, connect_timeout),
      &ngx_http_aggregate_redis_time_bounds },

    { ngx_string("timeout"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_msec,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, timeout),
      &ngx_http_aggregate_redis_time_bounds },

    { ngx_string("tls"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_on_off,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, tls),
      NULL },

    { ngx_string("tls_verify"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_on_off,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, tls_verify),
      NULL },

    { ngx_string("tls_ca"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, tls_ca),
      &ngx_http_aggregate_redis_file_bounds },

    { ngx_string("tls_name"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, tls_name),
      &ngx_http_aggregate_redis_name_bounds },

    { ngx_string("tls_certificate"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, tls_certificate),
      &ngx_http_aggregate_redis_file_bounds },

    { ngx_string("tls_certificate_key"),
      NGX_HTTP_AGGREGATE_REDIS_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_text,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_redis_t, tls_certificate_key),
      &ngx_http_aggregate_redis_file_bounds },

      ngx_null_command
};


static char *
ngx_http_aggregate_redis_conf_server(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_redis_t *redis = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_aggregate_redis_conf_address(cf, redis, &redis->servers,
                                                 &value[1], 6379);
}


static char *
ngx_http_aggregate_redis_conf_sentinel(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_redis_t *redis = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (redis->master.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    redis->master = value[1];

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_aggregate_redis_conf_address(cf, redis,
                                                   &redis->sentinels,
                                                   &value[i], 26379);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


/* a name waits until it is known whether there is a resolver */

static char *
ngx_http_aggregate_redis_conf_address(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_array_t *list, ngx_str_t *value,
    in_port_t port)
{
    ngx_str_t                        *name;
    ngx_url_t                         u;
    ngx_http_aggregate_redis_node_t  *node, **nodep;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *value;
    u.default_port = port;
    u.no_resolve = 1;

    name = cf->args->elts;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.uri.len
        || u.host.len > AGG_REDIS_HOST_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\" \"%V\"",
                           u.err ? u.err : "invalid address", name, value);
        return NGX_CONF_ERROR;
    }

    if (list->nelts == NGX_HTTP_AGGREGATE_REDIS_SERVERS) {
        return "is given too often, at most 64 times";
    }

    node = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_redis_node_t));
    nodep = ngx_array_push(list);

    if (node == NULL || nodep == NULL) {
        return NGX_CONF_ERROR;
    }

    node->redis = redis;
    node->name = u.url;
    node->file = cf->conf_file->file.name.data;
    node->line = cf->conf_file->line;
    node->host = (u.family == AF_UNIX) ? (ngx_str_t) ngx_null_string : u.host;
    node->port = u.port;
    node->addrs = u.addrs;
    node->naddrs = u.naddrs;

    *nodep = node;

    return NGX_CONF_OK;
}


/* checks the statements against each other, and sets the defaults */

char *
ngx_http_aggregate_redis_check(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis)
{
    const char  *what;

    ngx_conf_init_value(redis->clustered, 0);
    ngx_conf_init_value(redis->database, 0);
    ngx_conf_init_msec_value(redis->connect_timeout, 100);
    ngx_conf_init_msec_value(redis->timeout, 50);
    ngx_conf_init_value(redis->tls_verify, 1);

    if (redis->prefix.data == NULL) {
        ngx_str_set(&redis->prefix, "gw:");
    }

    redis->topology = redis->clustered ? &ngx_http_aggregate_redis_cluster
                      : redis->sentinels.nelts
                        ? &ngx_http_aggregate_redis_sentinel
                        : &ngx_http_aggregate_redis_single;

    what = NULL;

    if (redis->servers.nelts == 0 && redis->sentinels.nelts == 0) {
        what = "there is neither \"server\" nor \"sentinel\"";

    } else if (redis->servers.nelts && redis->sentinels.nelts) {
        what = "\"server\" and \"sentinel\" exclude each other";

    } else if (redis->sentinels.nelts && redis->clustered) {
        what = "\"sentinel\" and \"cluster\" exclude each other";

    } else if (redis->servers.nelts > 1 && !redis->clustered) {
        what = "several of \"server\" are for \"cluster\" only";

    } else if (redis->clustered && redis->database) {
        what = "\"database\" and \"cluster\" exclude each other";

    } else if (redis->user.len && redis->password.len == 0) {
        what = "there is \"user\" without \"password\"";

    } else if (redis->sentinel_user.len && redis->sentinel_password.len == 0)
    {
        what = "there is \"sentinel_user\" without \"sentinel_password\"";

    } else if (redis->sentinel_password.len && redis->sentinels.nelts == 0) {
        what = "there is \"sentinel_password\" without \"sentinel\"";

    } else if (redis->tls != 1
               && (redis->tls_ca.len || redis->tls_name.len
                   || redis->tls_certificate.len
                   || redis->tls_certificate_key.len))
    {
        what = "there is no \"tls on\" for the other statements of TLS";

    } else if (redis->tls_certificate.len == 0
               ? redis->tls_certificate_key.len != 0
               : redis->tls_certificate_key.len == 0)
    {
        what = "\"tls_certificate\" and \"tls_certificate_key\" need each "
               "other";
    }

    if (what) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in redis \"%V\"", what,
                           &redis->name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_value(redis->tls, 0);

    return redis->tls ? ngx_http_aggregate_redis_conf_tls(cf, redis)
                      : NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_tls(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis)
{
#if (NGX_SSL)
    ngx_pool_cleanup_t                *cln;
    ngx_http_aggregate_redis_node_t  **servers;

    servers = redis->servers.elts;

    if (redis->tls_verify && redis->tls_name.len == 0
        && redis->servers.nelts && servers[0]->host.len == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a unix socket has no name to verify, there must "
                           "be \"tls_name\" in redis \"%V\"", &redis->name);
        return NGX_CONF_ERROR;
    }

    redis->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (redis->ssl == NULL) {
        return NGX_CONF_ERROR;
    }

    redis->ssl->log = cf->log;

    if (ngx_ssl_create(redis->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(redis->ssl);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = redis->ssl;

    if (redis->tls_certificate.len
        && ngx_ssl_certificate(cf, redis->ssl, &redis->tls_certificate,
                               &redis->tls_certificate_key, NULL)
           != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"tls_certificate\" or "
                           "\"tls_certificate_key\" in redis \"%V\"",
                           &redis->name);
        return NGX_CONF_ERROR;
    }

    if (redis->tls_ca.len) {

        if (ngx_ssl_trusted_certificate(cf, redis->ssl, &redis->tls_ca, 9)
            != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"tls_ca\" in redis \"%V\"",
                               &redis->name);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    /* the system's authorities */

    if (SSL_CTX_set_default_verify_paths(redis->ssl->ctx) == 0) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"tls\" in redis \"%V\": this nginx is built without "
                       "SSL", &redis->name);
    return NGX_CONF_ERROR;

#endif
}


/*
 * Names are resolved by the resolver at run time, or without one here, for
 * good, as is "localhost", which name servers need not know.
 */

char *
ngx_http_aggregate_redis_resolve(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* without a "resolver" there is one that knows no server */

    if (clcf->resolver
        && ngx_http_aggregate_resolver_has_servers(clcf->resolver))
    {
        redis->resolver = clcf->resolver;
        redis->resolver_timeout = clcf->resolver_timeout;

        ngx_conf_init_msec_value(redis->resolver_timeout, 30000);
    }

    if (ngx_http_aggregate_redis_conf_find(cf, redis, &redis->servers)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_aggregate_redis_conf_find(cf, redis, &redis->sentinels);
}


static char *
ngx_http_aggregate_redis_conf_find(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_array_t *list)
{
    ngx_url_t                          u;
    ngx_uint_t                         i;
    ngx_http_aggregate_redis_node_t  **nodes;

    nodes = list->elts;

    for (i = 0; i < list->nelts; i++) {

        if (nodes[i]->naddrs
            || (redis->resolver
                && (nodes[i]->host.len != 9
                    || ngx_strncasecmp(nodes[i]->host.data,
                                       (u_char *) "localhost", 9)
                       != 0)))
        {
            continue;
        }

        ngx_memzero(&u, sizeof(ngx_url_t));

        u.host = nodes[i]->host;
        u.port = nodes[i]->port;

        if (ngx_inet_resolve_host(cf->pool, &u) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "%s in \"%V\" of redis \"%V\" in %s:%ui",
                          u.err ? u.err : "host not found",
                          &nodes[i]->name, &redis->name, nodes[i]->file,
                          nodes[i]->line);
            return NGX_CONF_ERROR;
        }

        nodes[i]->addrs = u.addrs;
        nodes[i]->naddrs = u.naddrs;
    }

    return NGX_CONF_OK;
}
