
/* loads descriptors, and finds the handler that grpc_pass sets */

#include "ngx_http_aggregate_grpc.h"


#define NGX_HTTP_AGGREGATE_GRPC_MAX_DESCRIPTOR  (64 * 1024 * 1024)


static ngx_int_t ngx_http_aggregate_grpc_read_file(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_file_t *file);
static ngx_command_t *ngx_http_aggregate_grpc_find_pass(ngx_conf_t *cf,
    ngx_module_t **module);


char *
ngx_http_aggregate_grpc_descriptor(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_grpc_main_conf_t *mcf = conf;

    ngx_str_t                       *value;
    ngx_http_aggregate_grpc_file_t  *file;

    value = cf->args->elts;

    file = ngx_array_push(&mcf->files);
    if (file == NULL) {
        return NGX_CONF_ERROR;
    }

    file->name = value[1];
    file->file = cf->conf_file->file.name.data;
    file->line = cf->conf_file->line;

    if (ngx_conf_full_name(cf->cycle, &file->name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_aggregate_grpc_read_file(cf, file) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_grpc_read_file(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_file_t *file)
{
    off_t        size;
    ssize_t      n;
    ngx_file_t   f;

    ngx_memzero(&f, sizeof(ngx_file_t));

    f.name = file->name;
    f.log = cf->log;

    f.fd = ngx_open_file(file->name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (f.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    if (ngx_fd_info(f.fd, &f.info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", &file->name);
        goto failed;
    }

    size = ngx_file_size(&f.info);

    if (!ngx_is_file(&f.info)
        || size > NGX_HTTP_AGGREGATE_GRPC_MAX_DESCRIPTOR)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a file, or is larger than 64m",
                           &file->name);
        goto failed;
    }

    file->bytes.len = (size_t) size;
    file->bytes.data = ngx_palloc(cf->pool, file->bytes.len + 1);

    if (file->bytes.data == NULL) {
        goto failed;
    }

    n = ngx_read_file(&f, file->bytes.data, file->bytes.len, 0);

    if (n == NGX_ERROR || (size_t) n != file->bytes.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" could not be read", &file->name);
        goto failed;
    }

    (void) ngx_close_file(f.fd);

    return NGX_OK;

failed:

    (void) ngx_close_file(f.fd);

    return NGX_ERROR;
}


char *
ngx_http_aggregate_grpc_load(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf)
{
    size_t                           which;
    agg_rc_e                         rc;
    agg_mem_t                       *mem;
    agg_str_t                       *sets;
    ngx_uint_t                       i;
    agg_pb_error_t                   err;
    ngx_http_aggregate_grpc_file_t  *files;

    if (mcf->files.nelts == 0) {

        if (mcf->calls.nelts != 0) {
            ngx_http_aggregate_grpc_call_t  **calls = mcf->calls.elts;

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"aggregate_grpc\" needs "
                          "\"aggregate_grpc_descriptor\" in %s:%ui",
                          calls[0]->file, calls[0]->line);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    files = mcf->files.elts;

    sets = ngx_palloc(cf->pool, mcf->files.nelts * sizeof(agg_str_t));
    mem = ngx_http_aggregate_grpc_pool_mem(cf->pool);

    if (sets == NULL || mem == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < mcf->files.nelts; i++) {
        sets[i].len = files[i].bytes.len;
        sets[i].data = files[i].bytes.data;
    }

    which = 0;
    err.len = 0;

    rc = agg_pb_load(&mcf->pool, mem, sets, mcf->files.nelts, &err, &which);

    if (rc == AGG_OK) {
        return NGX_CONF_OK;
    }

    if (rc == AGG_INVALID) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"%V\" %*s in %s:%ui",
                      &files[which].name, err.len, err.text,
                      files[which].file, files[which].line);
    }

    return NGX_CONF_ERROR;
}


/*
 * grpc_pass's content handler is a static function of nginx's gRPC module,
 * which is missing if nginx was built without HTTP/2.  To find the handler, the
 * directive is called for a configuration that is discarded; with a variable as
 * its argument, it adds no upstream.
 */

char *
ngx_http_aggregate_grpc_pass_handler(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_main_conf_t *mcf)
{
    char                       *rv;
    void                      **loc_conf;
    ngx_str_t                  *value;
    ngx_conf_t                  pcf;
    ngx_module_t               *module;
    ngx_command_t              *pass;
    ngx_http_module_t          *grpc, *core;
    ngx_http_conf_ctx_t         ctx, *http;
    ngx_http_core_loc_conf_t   *clcf;

    pass = ngx_http_aggregate_grpc_find_pass(cf, &module);

    if (pass == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"aggregate_grpc\" needs an nginx with \"grpc_pass\"");
        return NGX_CONF_ERROR;
    }

    grpc = module->ctx;
    core = ngx_http_core_module.ctx;
    http = cf->ctx;

    pcf = *cf;
    ctx = *http;
    pcf.ctx = &ctx;

    loc_conf = ngx_palloc(cf->pool, sizeof(void *) * ngx_http_max_module);
    pcf.args = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));

    if (loc_conf == NULL || pcf.args == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(loc_conf, http->loc_conf, sizeof(void *) * ngx_http_max_module);
    ctx.loc_conf = loc_conf;

    loc_conf[ngx_http_core_module.ctx_index] = core->create_loc_conf(&pcf);
    loc_conf[module->ctx_index] = grpc->create_loc_conf(&pcf);

    value = ngx_array_push_n(pcf.args, 2);

    if (value == NULL || loc_conf[ngx_http_core_module.ctx_index] == NULL
        || loc_conf[module->ctx_index] == NULL)
    {
        return NGX_CONF_ERROR;
    }

    value[0] = pass->name;
    ngx_str_set(&value[1], "grpc://$server_addr");

    rv = pass->set(&pcf, pass, loc_conf[module->ctx_index]);

    clcf = loc_conf[ngx_http_core_module.ctx_index];

    if (rv != NGX_CONF_OK || clcf->handler == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"aggregate_grpc\" does not know the handler of "
                      "\"grpc_pass\"");
        return NGX_CONF_ERROR;
    }

    mcf->module = module;
    mcf->handler = clcf->handler;

    return NGX_CONF_OK;
}


static ngx_command_t *
ngx_http_aggregate_grpc_find_pass(ngx_conf_t *cf, ngx_module_t **module)
{
    ngx_uint_t      i;
    ngx_command_t  *cmd;

    for (i = 0; cf->cycle->modules[i]; i++) {

        if (cf->cycle->modules[i]->type != NGX_HTTP_MODULE) {
            continue;
        }

        cmd = cf->cycle->modules[i]->commands;

        for ( /* void */ ; cmd && cmd->name.len; cmd++) {

            if (cmd->name.len == sizeof("grpc_pass") - 1
                && ngx_strcmp(cmd->name.data, "grpc_pass") == 0)
            {
                *module = cf->cycle->modules[i];
                return cmd;
            }
        }
    }

    return NULL;
}
