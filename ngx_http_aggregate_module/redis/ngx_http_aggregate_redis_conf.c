
/*
 * The statements of the block that names a Redis.
 */


#include "ngx_http_aggregate_redis.h"
#include "gw_text.h"


#define NGX_HTTP_AGGREGATE_REDIS_SERVERS  64


typedef char *(*ngx_http_aggregate_redis_statement_pt)(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);


typedef struct {
    ngx_str_t                              name;
    ngx_uint_t                             min;     /* words after it */
    ngx_uint_t                             max;
    ngx_http_aggregate_redis_statement_pt  handler;
    size_t                                 offset;
} ngx_http_aggregate_redis_statement_t;


static void ngx_http_aggregate_redis_unknown(ngx_conf_t *cf,
    ngx_str_t *name);
static char *ngx_http_aggregate_redis_conf_server(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_sentinel(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_address(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_array_t *list, ngx_str_t *value,
    in_port_t port);
static char *ngx_http_aggregate_redis_conf_text(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_file(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_password(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_secret(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *password);
static char *ngx_http_aggregate_redis_conf_database(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_prefix(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_flag(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_msec(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field);
static char *ngx_http_aggregate_redis_conf_tls(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis);
static char *ngx_http_aggregate_redis_conf_find(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_array_t *list);


#define ngx_http_aggregate_redis_offset(field)                               \
    offsetof(ngx_http_aggregate_redis_t, field)


static ngx_http_aggregate_redis_statement_t
    ngx_http_aggregate_redis_statements[] =
{
    { ngx_string("server"), 1, 1,
      ngx_http_aggregate_redis_conf_server,
      ngx_http_aggregate_redis_offset(servers) },

    { ngx_string("sentinel"), 2, NGX_HTTP_AGGREGATE_REDIS_SERVERS + 1,
      ngx_http_aggregate_redis_conf_sentinel,
      ngx_http_aggregate_redis_offset(sentinels) },

    { ngx_string("cluster"), 1, 1,
      ngx_http_aggregate_redis_conf_flag,
      ngx_http_aggregate_redis_offset(clustered) },

    { ngx_string("user"), 1, 1,
      ngx_http_aggregate_redis_conf_text,
      ngx_http_aggregate_redis_offset(user) },

    { ngx_string("password"), 1, 1,
      ngx_http_aggregate_redis_conf_password,
      ngx_http_aggregate_redis_offset(password) },

    { ngx_string("sentinel_user"), 1, 1,
      ngx_http_aggregate_redis_conf_text,
      ngx_http_aggregate_redis_offset(sentinel_user) },

    { ngx_string("sentinel_password"), 1, 1,
      ngx_http_aggregate_redis_conf_password,
      ngx_http_aggregate_redis_offset(sentinel_password) },

    { ngx_string("database"), 1, 1,
      ngx_http_aggregate_redis_conf_database,
      ngx_http_aggregate_redis_offset(database) },

    { ngx_string("prefix"), 1, 1,
      ngx_http_aggregate_redis_conf_prefix,
      ngx_http_aggregate_redis_offset(prefix) },

    { ngx_string("connect_timeout"), 1, 1,
      ngx_http_aggregate_redis_conf_msec,
      ngx_http_aggregate_redis_offset(connect_timeout) },

    { ngx_string("timeout"), 1, 1,
      ngx_http_aggregate_redis_conf_msec,
      ngx_http_aggregate_redis_offset(timeout) },

    { ngx_string("tls"), 1, 1,
      ngx_http_aggregate_redis_conf_flag,
      ngx_http_aggregate_redis_offset(tls) },

    { ngx_string("tls_verify"), 1, 1,
      ngx_http_aggregate_redis_conf_flag,
      ngx_http_aggregate_redis_offset(tls_verify) },

    { ngx_string("tls_ca"), 1, 1,
      ngx_http_aggregate_redis_conf_file,
      ngx_http_aggregate_redis_offset(tls_ca) },

    { ngx_string("tls_name"), 1, 1,
      ngx_http_aggregate_redis_conf_text,
      ngx_http_aggregate_redis_offset(tls_name) },

    { ngx_string("tls_certificate"), 1, 1,
      ngx_http_aggregate_redis_conf_file,
      ngx_http_aggregate_redis_offset(tls_certificate) },

    { ngx_string("tls_certificate_key"), 1, 1,
      ngx_http_aggregate_redis_conf_file,
      ngx_http_aggregate_redis_offset(tls_certificate_key) },

    { ngx_null_string, 0, 0, NULL, 0 }
};


char *
ngx_http_aggregate_redis_statement(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    char                                  *rv;
    ngx_str_t                             *value;
    ngx_uint_t                             i, n;
    ngx_http_aggregate_redis_t            *redis;
    ngx_http_aggregate_redis_statement_t  *statement;

    redis = cf->handler_conf;
    value = cf->args->elts;
    n = cf->args->nelts - 1;

    for (i = 0; ngx_http_aggregate_redis_statements[i].name.len; i++) {

        statement = &ngx_http_aggregate_redis_statements[i];

        if (statement->name.len != value[0].len
            || ngx_strcmp(statement->name.data, value[0].data) != 0)
        {
            continue;
        }

        if (n < statement->min || n > statement->max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\"",
                               &value[0]);
            return NGX_CONF_ERROR;
        }

        rv = statement->handler(cf, redis,
                                (u_char *) redis + statement->offset);

        if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &value[0],
                               rv);
            return NGX_CONF_ERROR;
        }

        return rv;
    }

    ngx_http_aggregate_redis_unknown(cf, &value[0]);

    return NGX_CONF_ERROR;
}


/* with the nearest name, where one is near */

static void
ngx_http_aggregate_redis_unknown(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_str_t     *known;
    ngx_uint_t     i;
    gw_nearest_t   nearest;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; ngx_http_aggregate_redis_statements[i].name.len; i++) {
        known = &ngx_http_aggregate_redis_statements[i].name;
        gw_nearest_try(&nearest, known->data, known->len, known);
    }

    if (nearest.item) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown statement \"%V\" in \"aggregate_redis\", "
                           "did you mean \"%V\"?", name, nearest.item);
        return;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown statement \"%V\" in \"aggregate_redis\"",
                       name);
}


static char *
ngx_http_aggregate_redis_conf_server(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_aggregate_redis_conf_address(cf, redis, field, &value[1],
                                                 6379);
}


static char *
ngx_http_aggregate_redis_conf_sentinel(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (redis->master.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    redis->master = value[1];

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_aggregate_redis_conf_address(cf, redis, field, &value[i],
                                                  26379)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
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
    node->host = (u.family == AF_UNIX) ? (ngx_str_t) ngx_null_string : u.host;
    node->port = u.port;
    node->addrs = u.addrs;
    node->naddrs = u.naddrs;

    *nodep = node;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_text(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    ngx_str_t  *value, *text = field;

    if (text->len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > AGG_REDIS_HOST_MAX) {
        return "must be of 1 to 255 bytes";
    }

    *text = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_file(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    ngx_str_t  *value, *name = field;

    if (name->len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "must name a file";
    }

    *name = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_password(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    u_char     *env;
    ngx_str_t  *value, name, *password = field;

    if (password->len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "env:", 4) == 0) {

        env = (u_char *) getenv((char *) value[1].data + 4);

        if (env == NULL || *env == '\0') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no environment variable \"%s\" for \"%V\"",
                               value[1].data + 4, &value[0]);
            return NGX_CONF_ERROR;
        }

        name.data = env;
        name.len = ngx_strlen(env);

        password->len = name.len;
        password->data = ngx_pstrdup(cf->pool, &name);

        return password->data ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_strncmp(value[1].data, "file:", 5) == 0) {

        name.data = value[1].data + 5;
        name.len = value[1].len - 5;

        return ngx_http_aggregate_redis_conf_secret(cf, &name, password);
    }

    if (value[1].len == 0) {
        return "must not be empty";
    }

    *password = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_secret(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *password)
{
    u_char    *buf;
    ssize_t    n;
    ngx_fd_t   fd;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    buf = ngx_pnalloc(cf->pool, 1024);
    if (buf == NULL) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, buf, 1024);

    (void) ngx_close_file(fd);

    if (n == 1024) {
        n = 0;
    }

    while (n > 0 && (buf[n - 1] == LF || buf[n - 1] == CR)) {
        n--;
    }

    if (n <= 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds no password of 1 to 1023 bytes",
                           name);
        return NGX_CONF_ERROR;
    }

    password->data = buf;
    password->len = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_database(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    ngx_int_t   n, *database = field;
    ngx_str_t  *value;

    if (*database != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n > 65535) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\" in \"database\", it must "
                           "be from 0 to 65535", &value[1]);
        return NGX_CONF_ERROR;
    }

    *database = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_prefix(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    ngx_str_t  *value, *prefix = field;

    if (prefix->data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len > NGX_HTTP_AGGREGATE_REDIS_PREFIX_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"prefix\" \"%V\" is longer than %d bytes",
                           &value[1], NGX_HTTP_AGGREGATE_REDIS_PREFIX_MAX);
        return NGX_CONF_ERROR;
    }

    *prefix = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_flag(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    ngx_str_t   *value;
    ngx_flag_t  *flag = field;

    if (*flag != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        *flag = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        *flag = 0;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\", it must be "
                           "\"on\" or \"off\"", &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_conf_msec(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, void *field)
{
    ngx_int_t    time;
    ngx_str_t   *value;
    ngx_msec_t  *msec = field;

    if (*msec != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;
    time = ngx_parse_time(&value[1], 0);

    if (time == NGX_ERROR || time < 1 || time > 60000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" in \"%V\", it must be from "
                           "1ms to 60s", &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    *msec = (ngx_msec_t) time;

    return NGX_CONF_OK;
}


/* what the statements say together; the defaults */

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


/* names: by the resolver at run time, or now, for good */

char *
ngx_http_aggregate_redis_resolve(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* without a "resolver" there is one that knows no server */

    if (clcf->resolver && clcf->resolver->connections.nelts) {
        redis->resolver = clcf->resolver;
        redis->resolver_timeout = clcf->resolver_timeout;

        ngx_conf_init_msec_value(redis->resolver_timeout, 30000);

        return NGX_CONF_OK;
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

        if (nodes[i]->naddrs) {
            continue;
        }

        ngx_memzero(&u, sizeof(ngx_url_t));

        u.host = nodes[i]->host;
        u.port = nodes[i]->port;

        if (ngx_inet_resolve_host(cf->pool, &u) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in \"%V\" of redis \"%V\"",
                               u.err ? u.err : "host not found",
                               &nodes[i]->name, &redis->name);
            return NGX_CONF_ERROR;
        }

        nodes[i]->addrs = u.addrs;
        nodes[i]->naddrs = u.naddrs;
    }

    return NGX_CONF_OK;
}
