
#include "ngx_http_aggregate_memory.h"
#include "ngx_http_aggregate_shape_conf.h"


/* a variable that a statement uses; slots are numbered in that order */

typedef struct {
    ngx_int_t                        index;
    size_t                           max;       /* the maximum of "limit" */
} ngx_http_aggregate_shape_arg_t;


static void *ngx_http_aggregate_mem_alloc(void *ctx, size_t size);
static void *ngx_http_aggregate_mem_grow(void *ctx, void *p, size_t used,
    size_t size);
static char *ngx_http_aggregate_shape_paths(ngx_conf_t *cf,
    ngx_http_aggregate_shape_t *sh, ngx_uint_t deny);
static char *ngx_http_aggregate_shape_limit(ngx_conf_t *cf,
    ngx_http_aggregate_shape_t *sh);
static char *ngx_http_aggregate_shape_limit_variable(ngx_conf_t *cf,
    ngx_http_aggregate_shape_t *sh, ngx_str_t *path, ngx_str_t *variable,
    ngx_str_t *max);
static char *ngx_http_aggregate_shape_two(ngx_conf_t *cf,
    ngx_http_aggregate_shape_t *sh, ngx_uint_t move);
static ngx_str_t *ngx_http_aggregate_shape_culprit(ngx_conf_t *cf,
    ngx_uint_t move);
static char *ngx_http_aggregate_shape_set(ngx_conf_t *cf,
    ngx_http_aggregate_shape_t *sh);
static ngx_int_t ngx_http_aggregate_shape_variable(ngx_conf_t *cf,
    ngx_array_t *args, unsigned slot, ngx_str_t *variable, size_t max);
static char *ngx_http_aggregate_shape_error(ngx_conf_t *cf, ngx_str_t *value,
    agg_error_t *err);
static size_t ngx_http_aggregate_shape_number(ngx_http_variable_value_t *v,
    size_t max);


agg_mem_t *
ngx_http_aggregate_mem(ngx_pool_t *pool)
{
    agg_mem_t  *mem;

    mem = ngx_palloc(pool, sizeof(agg_mem_t));
    if (mem == NULL) {
        return NULL;
    }

    mem->alloc = ngx_http_aggregate_mem_alloc;
    mem->grow = ngx_http_aggregate_mem_grow;
    mem->ctx = pool;

    return mem;
}


agg_patterns_t *
ngx_http_aggregate_patterns_create(ngx_conf_t *cf)
{
    agg_mem_t  *mem;

    mem = ngx_http_aggregate_mem(cf->pool);

    return mem ? agg_patterns_create(mem) : NULL;
}


static void *
ngx_http_aggregate_mem_alloc(void *ctx, size_t size)
{
    return ngx_palloc(ctx, size);
}


/*
 * A block that is one of the pool's large allocations grows by realloc(), which
 * remaps pages instead of copying; with ngx_palloc() and ngx_pfree() a body
 * would be in memory twice while it is copied.
 */

static void *
ngx_http_aggregate_mem_grow(void *ctx, void *p, size_t used, size_t size)
{
    ngx_pool_t *pool = ctx;

    void              *block;
    ngx_pool_large_t  *large;

    for (large = p ? pool->large : NULL; large; large = large->next) {

        if (large->alloc != p) {
            continue;
        }

        if (size == 0) {
            ngx_free(p);
            large->alloc = NULL;
            return NULL;
        }

        block = realloc(p, size);

        if (block == NULL) {
            ngx_log_error(NGX_LOG_EMERG, pool->log, ngx_errno,
                          "realloc(%uz) failed", size);
            return NULL;
        }

        large->alloc = block;

        return block;
    }

    if (size == 0) {
        return NULL;
    }

    if (p == NULL) {
        return ngx_http_aggregate_memory_alloc(pool, size);
    }

    block = ngx_palloc(pool, size);

    if (block) {
        ngx_memcpy(block, p, used);
    }

    return block;
}


ngx_http_aggregate_shape_t *
ngx_http_aggregate_shape_create(ngx_conf_t *cf)
{
    agg_mem_t                   *mem;
    ngx_http_aggregate_shape_t  *sh;

    sh = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_shape_t));
    mem = ngx_http_aggregate_mem(cf->pool);

    if (sh == NULL || mem == NULL) {
        return NULL;
    }

    if (ngx_array_init(&sh->limits, cf->pool, 1,
                       sizeof(ngx_http_aggregate_shape_arg_t))
        != NGX_OK
        || ngx_array_init(&sh->values, cf->pool, 1,
                          sizeof(ngx_http_aggregate_shape_arg_t))
           != NGX_OK)
    {
        return NULL;
    }

    sh->shape = agg_shape_create(mem);

    return sh->shape ? sh : NULL;
}


char *
ngx_http_aggregate_shape_statement(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    agg_str_t                    path;
    ngx_str_t                   *value;
    agg_error_t                  err;
    ngx_http_aggregate_shape_t  *sh, **field;

    field = (ngx_http_aggregate_shape_t **) ((char *) conf + cmd->offset);

    if (*field == NULL) {
        *field = ngx_http_aggregate_shape_create(cf);

        if (*field == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    sh = *field;
    value = cf->args->elts;

    switch (cmd->name.data[0]) {

    case 't': /* target */

        if (sh->target) {
            return "is duplicate";
        }

        sh->target = 1;

        path.data = value[1].data;
        path.len = value[1].len;

        if (agg_shape_target(sh->shape, &path, &err) != AGG_OK) {
            return ngx_http_aggregate_shape_error(cf, &value[1], &err);
        }

        return NGX_CONF_OK;

    case 'l': /* limit */
        return ngx_http_aggregate_shape_limit(cf, sh);

    case 'a': /* allow */
        return ngx_http_aggregate_shape_paths(cf, sh, 0);

    case 'd': /* deny */
        return ngx_http_aggregate_shape_paths(cf, sh, 1);

    case 'r': /* rename */
        return ngx_http_aggregate_shape_two(cf, sh, 0);

    case 'm': /* move */
        return ngx_http_aggregate_shape_two(cf, sh, 1);

    default: /* set */
        return ngx_http_aggregate_shape_set(cf, sh);
    }
}


char *
ngx_http_aggregate_named_statement(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_named_t *named = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    /* includes the length, so that "a b" and "ab" differ */

    for (i = 0; i < cf->args->nelts; i++) {
        ngx_md5_update(&named->md5, &value[i].len, sizeof(size_t));
        ngx_md5_update(&named->md5, value[i].data, value[i].len);
    }

    return ngx_http_aggregate_shape_statement(cf, cmd, conf);
}


static char *
ngx_http_aggregate_shape_paths(ngx_conf_t *cf, ngx_http_aggregate_shape_t *sh,
    ngx_uint_t deny)
{
    agg_rc_e      rc;
    agg_str_t     path;
    ngx_str_t    *value;
    ngx_uint_t    i;
    agg_error_t   err;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        path.data = value[i].data;
        path.len = value[i].len;

        rc = deny ? agg_shape_deny(sh->shape, &path, &err)
                  : agg_shape_allow(sh->shape, &path, &err);

        if (rc != AGG_OK) {
            return ngx_http_aggregate_shape_error(cf, &value[i], &err);
        }
    }

    return NGX_CONF_OK;
}


/* limit [PATH] N, limit [PATH] $var MAX */

static char *
ngx_http_aggregate_shape_limit(ngx_conf_t *cf, ngx_http_aggregate_shape_t *sh)
{
    ngx_int_t     n;
    agg_str_t     path;
    ngx_str_t    *value, *number;
    agg_error_t   err;

    value = cf->args->elts;

    if (cf->args->nelts == 4) {
        return ngx_http_aggregate_shape_limit_variable(cf, sh, &value[1],
                                                       &value[2], &value[3]);
    }

    if (cf->args->nelts == 3 && value[1].len > 1 && value[1].data[0] == '$'
        && value[1].data[1] != '.' && value[1].data[1] != '[')
    {
        /* "$" may start a key, but a limit by a variable needs its MAX */

        return ngx_http_aggregate_shape_limit_variable(cf, sh, NULL,
                                                       &value[1], &value[2]);
    }

    number = &value[cf->args->nelts - 1];

    n = ngx_atoi(number->data, number->len);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"limit\", must be a "
                           "number, or a variable and its maximum", number);
        return NGX_CONF_ERROR;
    }

    path.data = value[1].data;
    path.len = value[1].len;

    if (agg_shape_limit(sh->shape, cf->args->nelts == 3 ? &path : NULL, n,
                        &err)
        != AGG_OK)
    {
        return ngx_http_aggregate_shape_error(cf, &value[1], &err);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_shape_limit_variable(ngx_conf_t *cf,
    ngx_http_aggregate_shape_t *sh, ngx_str_t *path, ngx_str_t *variable,
    ngx_str_t *max)
{
    unsigned      slot;
    ngx_int_t     n;
    agg_str_t     text;
    agg_error_t   err;

    n = ngx_atoi(max->data, max->len);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"limit\", the maximum "
                           "of a variable must be a number", max);
        return NGX_CONF_ERROR;
    }

    if (variable->len < 2 || variable->data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"limit\", must be a "
                           "variable", variable);
        return NGX_CONF_ERROR;
    }

    if (path) {
        text.data = path->data;
        text.len = path->len;
    }

    if (agg_shape_limit_arg(sh->shape, path ? &text : NULL, n, &slot, &err)
        != AGG_OK)
    {
        return ngx_http_aggregate_shape_error(cf, path ? path : variable,
                                              &err);
    }

    if (ngx_http_aggregate_shape_variable(cf, &sh->limits, slot, variable, n)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* rename PATH NAME, move PATH PATH */

static char *
ngx_http_aggregate_shape_two(ngx_conf_t *cf, ngx_http_aggregate_shape_t *sh,
    ngx_uint_t move)
{
    agg_rc_e      rc;
    agg_str_t     from, to;
    ngx_str_t    *value;
    agg_error_t   err;

    value = cf->args->elts;

    from.data = value[1].data;
    from.len = value[1].len;

    to.data = value[2].data;
    to.len = value[2].len;

    if (!move && (to.len == 0 || !agg_utf8_valid(to.data, to.len))) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"rename\", must be a "
                           "name in UTF-8", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (!move && to.data[0] != '"'
        && ngx_strlchr(to.data, to.data + to.len, '.') != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"rename\", a name with a "
                           "dot is not a path: did you mean \"move %V %V\", or "
                           "a key of that name, '\"%V\"'?", &value[2],
                           &value[1], &value[2], &value[2]);
        return NGX_CONF_ERROR;
    }

    rc = move ? agg_shape_move(sh->shape, &from, &to, &err)
              : agg_shape_rename(sh->shape, &from, &to, &err);

    if (rc != AGG_OK) {
        return ngx_http_aggregate_shape_error(cf,
                              ngx_http_aggregate_shape_culprit(cf, move),
                              &err);
    }

    return NGX_CONF_OK;
}


/* the path of "move" that is invalid; the first one is parsed first */

static ngx_str_t *
ngx_http_aggregate_shape_culprit(ngx_conf_t *cf, ngx_uint_t move)
{
    agg_mem_t    *mem;
    agg_str_t     from, to;
    ngx_str_t    *value;
    agg_error_t   err;

    value = cf->args->elts;
    mem = ngx_http_aggregate_mem(cf->pool);

    if (!move || mem == NULL) {
        return &value[1];
    }

    from.data = value[1].data;
    from.len = value[1].len;

    to.data = value[2].data;
    to.len = value[2].len;

    if (agg_path_parse(mem, &from, AGG_PATH_NO_WILDCARD, &err) != NULL
        && agg_path_parse(mem, &to, AGG_PATH_NO_WILDCARD|AGG_PATH_ROOT_OK,
                          &err)
           == NULL)
    {
        return &value[2];
    }

    return &value[1];
}


/* set PATH JSON, set PATH $var */

static char *
ngx_http_aggregate_shape_set(ngx_conf_t *cf, ngx_http_aggregate_shape_t *sh)
{
    size_t        offset;
    unsigned      slot;
    agg_str_t     path, json;
    ngx_str_t    *value;
    agg_error_t   err;

    value = cf->args->elts;

    path.data = value[1].data;
    path.len = value[1].len;

    json.data = value[2].data;
    json.len = value[2].len;

    if (json.len && json.data[0] == '$') {

        if (agg_shape_set_arg(sh->shape, &path, &slot, &err) != AGG_OK) {
            return ngx_http_aggregate_shape_error(cf, &value[1], &err);
        }

        return ngx_http_aggregate_shape_variable(cf, &sh->values, slot,
                                                 &value[2], 0)
               == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (agg_json_validate(json.data, json.len, &offset) != AGG_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid JSON \"%V\" in \"set\" at offset %uz",
                           &value[2], offset);
        return NGX_CONF_ERROR;
    }

    if (agg_shape_set(sh->shape, &path, &json, &err) != AGG_OK) {
        return ngx_http_aggregate_shape_error(cf, &value[1], &err);
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_shape_variable(ngx_conf_t *cf, ngx_array_t *args,
    unsigned slot, ngx_str_t *variable, size_t max)
{
    ngx_str_t                        name;
    ngx_http_aggregate_shape_arg_t  *arg;

    name.data = variable->data + 1;
    name.len = variable->len - 1;

    if (name.len > 2 && name.data[0] == '{'
        && name.data[name.len - 1] == '}')
    {
        name.data++;
        name.len -= 2;
    }

    arg = ngx_array_push(args);
    if (arg == NULL) {
        return NGX_ERROR;
    }

    if (name.len == 0 || slot != args->nelts - 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid variable \"%V\"",
                           variable);
        return NGX_ERROR;
    }

    arg->max = max;
    arg->index = ngx_http_aggregate_variable_used(cf, &name);

    return arg->index == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


static char *
ngx_http_aggregate_shape_error(ngx_conf_t *cf, ngx_str_t *value,
    agg_error_t *err)
{
    ngx_str_t  *args;

    args = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid path \"%V\" in \"%V\": %s at offset %uz",
                       value, &args[0], err->text, err->offset);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_aggregate_shape_complete(ngx_conf_t *cf,
    ngx_http_aggregate_shape_t *sh, ngx_uint_t split)
{
    agg_rc_e     rc;
    agg_error_t  err;

    err.text = "no memory";

    rc = split ? agg_shape_compile_split(sh->shape, &err)
               : agg_shape_compile(sh->shape, &err);

    if (rc != AGG_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "conflicting shaping statements: %s",
                           err.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_shape_args(ngx_http_request_t *r,
    ngx_http_aggregate_shape_t *sh, agg_shape_args_t *args)
{
    ngx_uint_t                       i;
    ngx_http_variable_value_t       *v;
    ngx_http_aggregate_shape_arg_t  *arg;

    ngx_memzero(args, sizeof(agg_shape_args_t));

    if (sh->limits.nelts) {
        args->limits = ngx_palloc(r->pool, sh->limits.nelts * sizeof(size_t));
        if (args->limits == NULL) {
            return NGX_ERROR;
        }

        arg = sh->limits.elts;

        for (i = 0; i < sh->limits.nelts; i++) {
            v = ngx_http_get_flushed_variable(r, arg[i].index);
            if (v == NULL) {
                return NGX_ERROR;
            }

            args->limits[i] = ngx_http_aggregate_shape_number(v, arg[i].max);
        }
    }

    if (sh->values.nelts) {
        args->values = ngx_pcalloc(r->pool,
                                   sh->values.nelts * sizeof(agg_str_t));
        if (args->values == NULL) {
            return NGX_ERROR;
        }

        arg = sh->values.elts;

        for (i = 0; i < sh->values.nelts; i++) {
            v = ngx_http_get_flushed_variable(r, arg[i].index);
            if (v == NULL) {
                return NGX_ERROR;
            }

            args->values[i].data = (u_char *) "";

            if (!v->not_found) {
                args->values[i].data = v->data;
                args->values[i].len = v->len;
            }
        }
    }

    return NGX_OK;
}


/* a value that is not a plain number, or is too large, means the maximum */

static size_t
ngx_http_aggregate_shape_number(ngx_http_variable_value_t *v, size_t max)
{
    ngx_int_t  n;

    if (v->not_found) {
        return max;
    }

    n = ngx_atoi(v->data, v->len);

    if (n == NGX_ERROR || (size_t) n > max) {
        return max;
    }

    return n;
}
