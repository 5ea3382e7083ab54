
/* the statements of an "aggregate" block, and of the "backend" blocks in it */

#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_conf.h"
#include "ngx_http_aggregate_fetch_conf.h"
#include "ngx_http_aggregate_buffer.h"


static char *ngx_http_aggregate_backend(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_aggregate_check_name(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block, ngx_str_t *name);


static ngx_http_aggregate_bounds_t  ngx_http_aggregate_retry_bounds =
    { 0, 100, "must be a number from 0 to 100" };


static ngx_conf_enum_t  ngx_http_aggregate_conflict_words[] = {
    { ngx_string("last"), AGG_MERGE_LAST },
    { ngx_string("first"), AGG_MERGE_FIRST },
    { ngx_string("error"), AGG_MERGE_ERROR },
    { ngx_null_string, 0 }
};


static ngx_http_aggregate_enum_t  ngx_http_aggregate_on_conflict = {
    ngx_http_aggregate_conflict_words,
    "must be \"last\", \"first\" or \"error\""
};


static ngx_http_aggregate_methods_bounds_t  ngx_http_aggregate_methods = {
    NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST|NGX_HTTP_PUT|NGX_HTTP_PATCH
    |NGX_HTTP_DELETE|NGX_HTTP_OPTIONS,
    "must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"
};


static ngx_command_t  ngx_http_aggregate_backend_statements[] = {

    { ngx_string("as"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_key,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, as),
      NULL },

    { ngx_string("merge"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_NOARGS,
      ngx_http_aggregate_set_flag,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("hidden"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_NOARGS,
      ngx_http_aggregate_set_flag,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("required"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_NOARGS,
      ngx_http_aggregate_set_flag,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("default"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_default,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("timeout"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_timeout,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, timeout),
      &ngx_http_aggregate_limit_time },

    { ngx_string("accept"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_set_accept,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("fail_on"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_set_fail_on,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("encoded_slash"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_on_off,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, encoded_slash),
      NULL },

    { ngx_string("encoding"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_encoding,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("method"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_method,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("body"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_body,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("header"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_set_header,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("forward"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_set_forward,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, forward),
      NULL },

    { ngx_string("pass_header"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_set_pass_header,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("if"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_if,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("retry"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_retry,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, retry),
      &ngx_http_aggregate_retry_bounds },

    { ngx_string("hedge"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_set_hedge,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("each"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_each,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("into"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_key,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, into),
      NULL },

    { ngx_string("target"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_shape_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, shape),
      NULL },

    { ngx_string("limit"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE123,
      ngx_http_aggregate_shape_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, shape),
      NULL },

    { ngx_string("allow"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_shape_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, shape),
      NULL },

    { ngx_string("deny"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_shape_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, shape),
      NULL },

    { ngx_string("rename"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_shape_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, shape),
      NULL },

    { ngx_string("move"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_shape_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, shape),
      NULL },

    { ngx_string("set"),
      NGX_HTTP_AGGREGATE_BACKEND_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_shape_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_backend_t, shape),
      NULL },

      ngx_null_command
};


ngx_command_t  ngx_http_aggregate_block_statements[] = {

    { ngx_string("backend"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE2,
      ngx_http_aggregate_backend,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      0,
      ngx_http_aggregate_backend_statements },

    { ngx_string("timeout"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_msec,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, limits.timeout),
      &ngx_http_aggregate_limit_time },

    { ngx_string("concurrency"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, limits.concurrency),
      &ngx_http_aggregate_limit_concurrency },

    { ngx_string("max_subrequests"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_num,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, limits.max_subrequests),
      &ngx_http_aggregate_limit_subrequests },

    { ngx_string("max_body_size"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_size,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, limits.max_body_size),
      &ngx_http_aggregate_limit_size },

    { ngx_string("max_response_size"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_size,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, limits.max_response_size),
      &ngx_http_aggregate_limit_size },

    { ngx_string("on_conflict"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_enum,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, on_conflict),
      &ngx_http_aggregate_on_conflict },

    { ngx_string("errors"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_key,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, errors),
      NULL },

    { ngx_string("methods"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_set_methods,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, methods),
      &ngx_http_aggregate_methods },

    { ngx_string("forward"),
      NGX_HTTP_AGGREGATE_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_set_forward,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_block_t, forward),
      NULL },

      ngx_null_command
};


char *
ngx_http_aggregate_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_loc_conf_t *alcf = conf;

    char                            *rv;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_aggregate_block_t      *block;
    ngx_http_aggregate_main_conf_t  *amcf;

    if (alcf->block) {
        return "is duplicate";
    }

    block = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_block_t));
    if (block == NULL) {
        return NGX_CONF_ERROR;
    }

    block->limits.timeout = NGX_CONF_UNSET_MSEC;
    block->limits.concurrency = NGX_CONF_UNSET;
    block->limits.max_subrequests = NGX_CONF_UNSET;
    block->limits.max_body_size = NGX_CONF_UNSET_SIZE;
    block->limits.max_response_size = NGX_CONF_UNSET_SIZE;
    block->on_conflict = NGX_CONF_UNSET_UINT;

    if (ngx_array_init(&block->backends, cf->pool, 8,
                       sizeof(ngx_http_aggregate_backend_t *))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    alcf->block = block;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_aggregate_module);
    amcf->used = 1;

    ngx_http_aggregate_fetch_use(cf);
    ngx_http_aggregate_buffer_use(cf);

    rv = ngx_http_aggregate_parse_block(cf, cmd, block);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_conf_init_msec_value(block->limits.timeout, 2000);
    ngx_conf_init_value(block->limits.concurrency, 16);
    ngx_conf_init_value(block->limits.max_subrequests, 100);
    ngx_conf_init_size_value(block->limits.max_body_size, 1024 * 1024);
    ngx_conf_init_size_value(block->limits.max_response_size, 8 * 1024 * 1024);
    ngx_conf_init_uint_value(block->on_conflict, AGG_MERGE_LAST);

    rv = ngx_http_aggregate_check(cf, block);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aggregate_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_backend(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_block_t *block = conf;

    ngx_str_t                      *value;
    ngx_http_aggregate_backend_t   *backend, **bp;

    value = cf->args->elts;

    if (ngx_http_aggregate_check_name(cf, block, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    backend = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_backend_t));
    if (backend == NULL) {
        return NGX_CONF_ERROR;
    }

    backend->block = block;
    backend->name = value[1];
    backend->number = block->backends.nelts;
    backend->where.file = cf->conf_file->file.name;
    backend->where.line = cf->conf_file->line;
    backend->timeout = NGX_CONF_UNSET_MSEC;
    backend->retry = NGX_CONF_UNSET;
    backend->encoded_slash = NGX_CONF_UNSET;
    backend->if_index = NGX_CONF_UNSET;
    backend->each_part = NGX_HTTP_AGGREGATE_NO_PART;

    if (ngx_http_aggregate_set_template(cf, &backend->uri, AGG_TEMPLATE_URI,
                                        &value[2])
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    bp = ngx_array_push(&block->backends);
    if (bp == NULL) {
        return NGX_CONF_ERROR;
    }

    *bp = backend;

    return ngx_http_aggregate_parse_block(cf, cmd, backend);
}


static ngx_int_t
ngx_http_aggregate_check_name(ngx_conf_t *cf,
    ngx_http_aggregate_block_t *block, ngx_str_t *name)
{
    u_char                          ch;
    ngx_uint_t                      i;
    ngx_http_aggregate_backend_t  **backends;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_'
            || (ch >= '0' && ch <= '9' && i > 0))
        {
            continue;
        }

        break;
    }

    if (name->len == 0 || i < name->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"backend\", must be "
                           "letters, digits and \"_\", and not start with "
                           "a digit", name);
        return NGX_ERROR;
    }

    if (name->len == 4 && ngx_strncmp(name->data, "item", 4) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "name \"item\" in \"backend\" is reserved for the "
                           "element of \"each\"");
        return NGX_ERROR;
    }

    backends = block->backends.elts;

    for (i = 0; i < block->backends.nelts; i++) {

        if (backends[i]->name.len == name->len
            && ngx_strncmp(backends[i]->name.data, name->data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate name \"%V\" in \"backend\", the "
                               "first is in %V:%ui", name,
                               &backends[i]->where.file,
                               backends[i]->where.line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
