
/*
 * The block that names a Redis.
 */


#include "ngx_http_aggregate_redis.h"


typedef struct {
    ngx_array_t                         redis;    /* of pointers */
} ngx_http_aggregate_redis_main_conf_t;


typedef char *(*ngx_http_aggregate_redis_statement_pt)(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value);


typedef struct {
    ngx_str_t                              name;
    ngx_http_aggregate_redis_statement_pt  handler;
} ngx_http_aggregate_redis_statement_t;


static void *ngx_http_aggregate_redis_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_redis_init_main_conf(ngx_conf_t *cf,
    void *conf);
static void ngx_http_aggregate_redis_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_aggregate_redis_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static char *ngx_http_aggregate_redis_block(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_redis_statement(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static char *ngx_http_aggregate_redis_server(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value);
static char *ngx_http_aggregate_redis_user(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value);
static char *ngx_http_aggregate_redis_password(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value);
static char *ngx_http_aggregate_redis_password_file(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *name);
static char *ngx_http_aggregate_redis_database(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value);
static char *ngx_http_aggregate_redis_prefix(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value);
static char *ngx_http_aggregate_redis_connect_timeout(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value);
static char *ngx_http_aggregate_redis_timeout(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value);
static char *ngx_http_aggregate_redis_msec(ngx_conf_t *cf, ngx_str_t *value,
    ngx_msec_t *msec);


static ngx_http_aggregate_redis_statement_t
    ngx_http_aggregate_redis_statements[] =
{
    { ngx_string("server"), ngx_http_aggregate_redis_server },
    { ngx_string("user"), ngx_http_aggregate_redis_user },
    { ngx_string("password"), ngx_http_aggregate_redis_password },
    { ngx_string("database"), ngx_http_aggregate_redis_database },
    { ngx_string("prefix"), ngx_http_aggregate_redis_prefix },
    { ngx_string("connect_timeout"),
      ngx_http_aggregate_redis_connect_timeout },
    { ngx_string("timeout"), ngx_http_aggregate_redis_timeout },
    { ngx_null_string, NULL }
};


static ngx_command_t  ngx_http_aggregate_redis_commands[] = {

    { ngx_string("aggregate_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_aggregate_redis_block,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_redis_module_ctx = {
    NULL,                                      /* preconfiguration */
    NULL,                                      /* postconfiguration */

    ngx_http_aggregate_redis_create_main_conf, /* create main conf */
    ngx_http_aggregate_redis_init_main_conf,   /* init main conf */

    NULL,                                      /* create server conf */
    NULL,                                      /* merge server conf */

    NULL,                                      /* create location conf */
    NULL                                       /* merge location conf */
};


ngx_module_t  ngx_http_aggregate_redis_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_redis_module_ctx,      /* module context */
    ngx_http_aggregate_redis_commands,         /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    NULL,                                      /* init module */
    NULL,                                      /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    ngx_http_aggregate_redis_exit_process,     /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_aggregate_redis_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_redis_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_redis_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&rmcf->redis, cf->pool, 2,
                       sizeof(ngx_http_aggregate_redis_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}


static char *
ngx_http_aggregate_redis_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_aggregate_redis_main_conf_t *rmcf = conf;

    ngx_uint_t                    i;
    ngx_http_aggregate_redis_t  **redis;

    redis = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {

        if (!redis[i]->defined) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "redis \"%V\" is not defined with "
                               "\"aggregate_redis\"", &redis[i]->name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static void
ngx_http_aggregate_redis_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_redis_t            **redis;
    ngx_http_aggregate_redis_main_conf_t   *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_aggregate_redis_module);
    if (rmcf == NULL) {
        return;
    }

    redis = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {
        ngx_http_aggregate_redis_end(redis[i]);
    }
}


ngx_http_aggregate_redis_t *
ngx_http_aggregate_redis_add(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                              i;
    ngx_http_aggregate_redis_t             *redis, **list, **redisp;
    ngx_http_aggregate_redis_main_conf_t   *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_aggregate_redis_module);
    list = rmcf->redis.elts;

    for (i = 0; i < rmcf->redis.nelts; i++) {

        if (list[i]->name.len == name->len
            && ngx_memcmp(list[i]->name.data, name->data, name->len) == 0)
        {
            return list[i];
        }
    }

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_redis_t));
    redisp = ngx_array_push(&rmcf->redis);

    if (redis == NULL || redisp == NULL) {
        return NULL;
    }

    redis->name = *name;
    redis->connect_timeout = 100;
    redis->timeout = 50;

    ngx_str_set(&redis->prefix, "gw:");

    *redisp = redis;

    return redis;
}


static char *
ngx_http_aggregate_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                        *rv;
    ngx_str_t                   *value, name;
    ngx_conf_t                   save;
    ngx_http_aggregate_redis_t  *redis;

    value = cf->args->elts;

    redis = ngx_http_aggregate_redis_add(cf, &value[1]);
    if (redis == NULL) {
        return NGX_CONF_ERROR;
    }

    if (redis->defined) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate redis \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    redis->defined = 1;

    name.len = sizeof("aggregate_redis:") - 1 + redis->name.len;
    name.data = ngx_pnalloc(cf->pool, name.len);

    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_sprintf(name.data, "aggregate_redis:%V", &redis->name);

    redis->shm_zone = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize,
                                            &ngx_http_aggregate_redis_module);
    if (redis->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    redis->shm_zone->init = ngx_http_aggregate_redis_init_zone;
    redis->shm_zone->data = redis;

    save = *cf;
    cf->handler = ngx_http_aggregate_redis_statement;
    cf->handler_conf = (void *) redis;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (redis->naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"server\" in redis \"%V\"", &redis->name);
        return NGX_CONF_ERROR;
    }

    if (redis->user.len && redis->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"user\" without \"password\" in redis \"%V\"",
                           &redis->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_redis_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_slab_pool_t             *shpool;
    ngx_http_aggregate_redis_t  *redis, *oredis;

    redis = shm_zone->data;
    oredis = data;

    if (oredis) {
        redis->sh = oredis->sh;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (shm_zone->shm.exists) {
        redis->sh = shpool->data;
        return NGX_OK;
    }

    redis->sh = ngx_slab_calloc(shpool,
                                sizeof(ngx_http_aggregate_redis_sh_t));
    if (redis->sh == NULL) {
        return NGX_ERROR;
    }

    shpool->data = redis->sh;

    return NGX_OK;
}


static char *
ngx_http_aggregate_redis_statement(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    ngx_str_t                             *value;
    ngx_uint_t                             i;
    ngx_http_aggregate_redis_statement_t  *statement;

    value = cf->args->elts;

    for (i = 0; ngx_http_aggregate_redis_statements[i].name.len; i++) {

        statement = &ngx_http_aggregate_redis_statements[i];

        if (statement->name.len != value[0].len
            || ngx_strcmp(statement->name.data, value[0].data) != 0)
        {
            continue;
        }

        if (cf->args->nelts != 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\"",
                               &value[0]);
            return NGX_CONF_ERROR;
        }

        return statement->handler(cf, cf->handler_conf, &value[1]);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown statement \"%V\" in \"aggregate_redis\", it "
                       "must be server, user, password, database, prefix, "
                       "connect_timeout or timeout", &value[0]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_aggregate_redis_server(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value)
{
    ngx_url_t  u;

    if (redis->naddrs) {
        return "is duplicate";
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *value;
    u.default_port = 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"server\" \"%V\"",
                           u.err ? u.err : "invalid address", value);
        return NGX_CONF_ERROR;
    }

    redis->addrs = u.addrs;
    redis->naddrs = u.naddrs;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_user(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value)
{
    redis->user = *value;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_password(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value)
{
    u_char     *env;
    ngx_str_t   name;

    if (ngx_strncmp(value->data, "env:", 4) == 0) {

        env = (u_char *) getenv((char *) value->data + 4);

        if (env == NULL || *env == '\0') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no environment variable \"%s\" for "
                               "\"password\"", value->data + 4);
            return NGX_CONF_ERROR;
        }

        redis->password.len = ngx_strlen(env);
        redis->password.data = ngx_pnalloc(cf->pool, redis->password.len);

        if (redis->password.data == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memcpy(redis->password.data, env, redis->password.len);

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "file:", 5) == 0) {

        name.data = value->data + 5;
        name.len = value->len - 5;

        return ngx_http_aggregate_redis_password_file(cf, redis, &name);
    }

    redis->password = *value;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_password_file(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *name)
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

    while (n > 0 && (buf[n - 1] == LF || buf[n - 1] == CR)) {
        n--;
    }

    if (n <= 0 || n == 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds no password of 1 to 1023 bytes",
                           name);
        return NGX_CONF_ERROR;
    }

    redis->password.data = buf;
    redis->password.len = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_database(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value)
{
    redis->database = ngx_atoi(value->data, value->len);

    if (redis->database == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\" in \"database\"", value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_prefix(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value)
{
    if (value->len > 128) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"prefix\" \"%V\" is longer than 128 bytes",
                           value);
        return NGX_CONF_ERROR;
    }

    redis->prefix = *value;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_redis_connect_timeout(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value)
{
    return ngx_http_aggregate_redis_msec(cf, value, &redis->connect_timeout);
}


static char *
ngx_http_aggregate_redis_timeout(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis, ngx_str_t *value)
{
    return ngx_http_aggregate_redis_msec(cf, value, &redis->timeout);
}


static char *
ngx_http_aggregate_redis_msec(ngx_conf_t *cf, ngx_str_t *value,
    ngx_msec_t *msec)
{
    ngx_int_t  time;

    time = ngx_parse_time(value, 0);

    if (time == NGX_ERROR || time < 1 || time > 60000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\", it must be from 1ms to 60s",
                           value);
        return NGX_CONF_ERROR;
    }

    *msec = (ngx_msec_t) time;

    return NGX_CONF_OK;
}
