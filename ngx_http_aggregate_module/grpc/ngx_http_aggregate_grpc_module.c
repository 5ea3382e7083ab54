
#include "ngx_http_aggregate_grpc.h"
#include "ngx_http_aggregate_inherit.h"
#include "ngx_http_aggregate_setters.h"
#include "ngx_http_gw_written.h"
#include "gw_origin.h"
#include "gw_text.h"

#include <openssl/rand.h>


static ngx_int_t ngx_http_aggregate_grpc_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_grpc_postconfiguration(ngx_conf_t *cf);
static ngx_uint_t ngx_http_aggregate_grpc_is_of_request(ngx_str_t *name);
static void *ngx_http_aggregate_grpc_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_grpc_init_main_conf(ngx_conf_t *cf,
    void *conf);
static void *ngx_http_aggregate_grpc_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_grpc_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_aggregate_grpc_wrap(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_loc_conf_t *conf);
static ngx_int_t ngx_http_aggregate_grpc_init_process(ngx_cycle_t *cycle);

static char *ngx_http_aggregate_grpc(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_aggregate_grpc_print(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_aggregate_grpc_ignore_unknown(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_grpc_stream(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_grpc_websocket(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_grpc_check_websocket(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_loc_conf_t *conf);
static char *ngx_http_aggregate_grpc_unknown(ngx_conf_t *cf,
    const char *const *names, ngx_str_t *value, const char *directive);


static ngx_conf_enum_t  ngx_http_aggregate_grpc_errors[] = {
    { ngx_string("problem"), 0 },
    { ngx_string("status"), 1 },
    { ngx_null_string, 0 }
};


static ngx_http_aggregate_enum_t  ngx_http_aggregate_grpc_errors_words = {
    ngx_http_aggregate_grpc_errors, "must be \"problem\" or \"status\""
};

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_grpc_time_bounds =
    { 0, NGX_MAX_INT_T_VALUE, "must be a time from 0" };

static ngx_http_aggregate_bounds_t  ngx_http_aggregate_grpc_size_bounds =
    { 1, 1024 * 1024 * 1024, "must be a size from 1 to 1g" };


static ngx_command_t  ngx_http_aggregate_grpc_commands[] = {

    { ngx_string("aggregate_grpc_descriptor"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_grpc_descriptor,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_grpc"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_grpc,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_grpc_print"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_grpc_print,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_grpc_ignore_unknown"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_grpc_ignore_unknown,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_grpc_stream"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_grpc_stream,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_grpc_errors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_grpc_loc_conf_t, status_errors),
      &ngx_http_aggregate_grpc_errors_words },

    { ngx_string("aggregate_grpc_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_grpc_loc_conf_t, timeout),
      &ngx_http_aggregate_grpc_time_bounds },

    { ngx_string("aggregate_grpc_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_grpc_loc_conf_t, max_message),
      &ngx_http_aggregate_grpc_size_bounds },

    { ngx_string("aggregate_grpc_max_response"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_grpc_loc_conf_t, max_response),
      &ngx_http_aggregate_grpc_size_bounds },

    { ngx_string("aggregate_grpc_websocket"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_grpc_websocket,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_grpc_module_ctx = {
    ngx_http_aggregate_grpc_preconfiguration,
                                           /* preconfiguration */
    ngx_http_aggregate_grpc_postconfiguration,
                                           /* postconfiguration */

    ngx_http_aggregate_grpc_create_main_conf,
                                           /* create main configuration */
    ngx_http_aggregate_grpc_init_main_conf,
                                           /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_grpc_create_loc_conf,
                                           /* create location configuration */
    ngx_http_aggregate_grpc_merge_loc_conf /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_grpc_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_grpc_module_ctx,   /* module context */
    ngx_http_aggregate_grpc_commands,      /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_aggregate_grpc_init_process,  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* the key of hash tables with names that clients choose */

uint64_t  ngx_http_aggregate_grpc_key[2];


static ngx_int_t
ngx_http_aggregate_grpc_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_aggregate_grpc_add_variables(cf);
}


/*
 * The headers and the URI of a call differ from those of the request.
 * Variables of the request that the configuration uses, for example in
 * grpc_set_header, are read before these change.
 */

static ngx_int_t
ngx_http_aggregate_grpc_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t                           i, *index;
    ngx_http_variable_t                 *v;
    ngx_http_core_main_conf_t           *cmcf;
    ngx_http_aggregate_grpc_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_grpc_module);

    if (mcf->calls.nelts == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (ngx_http_aggregate_grpc_is_of_request(&v[i].name)) {
            index = ngx_array_push(&mcf->variables);
            if (index == NULL) {
                return NGX_ERROR;
            }

            *index = i;
        }

        if (v[i].name.len == sizeof("grpc_internal_trailers") - 1
            && ngx_strncmp(v[i].name.data, "grpc_internal_trailers",
                           v[i].name.len)
               == 0)
        {
            mcf->trailers = i + 1;
        }
    }

    return ngx_http_aggregate_grpc_filter_init(cf);
}


/* whether a variable reads a part of the request that changes for the call */

static ngx_uint_t
ngx_http_aggregate_grpc_is_of_request(ngx_str_t *name)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("args"),
        ngx_string("query_string"),
        ngx_string("is_args"),
        ngx_string("uri"),
        ngx_string("request_uri"),
        ngx_string("document_uri"),
        ngx_string("request_method"),
        ngx_string("request_filename"),
        ngx_null_string
    };

    for (i = 0; names[i].len; i++) {
        if (name->len == names[i].len
            && ngx_strncmp(name->data, names[i].data, name->len) == 0)
        {
            return 1;
        }
    }

    return (name->len > 5 && ngx_strncmp(name->data, "http_", 5) == 0)
           || (name->len > 4 && ngx_strncmp(name->data, "arg_", 4) == 0);
}


static void *
ngx_http_aggregate_grpc_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_grpc_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_grpc_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->files, cf->pool, 2,
                       sizeof(ngx_http_aggregate_grpc_file_t))
        != NGX_OK
        || ngx_array_init(&mcf->calls, cf->pool, 4,
                          sizeof(ngx_http_aggregate_grpc_call_t *))
           != NGX_OK
        || ngx_array_init(&mcf->variables, cf->pool, 4, sizeof(ngx_uint_t))
           != NGX_OK)
    {
        return NULL;
    }

    return mcf;
}


static char *
ngx_http_aggregate_grpc_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_aggregate_grpc_main_conf_t *mcf = conf;

    char                             *rv;
    ngx_int_t                         index;
    ngx_str_t                         name;
    ngx_uint_t                        i, *p;
    ngx_http_aggregate_grpc_call_t  **calls;

    rv = ngx_http_aggregate_grpc_load(cf, mcf);
    if (rv != NGX_CONF_OK || mcf->calls.nelts == 0) {
        return rv;
    }

    rv = ngx_http_aggregate_grpc_pass_handler(cf, mcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    calls = mcf->calls.elts;

    for (i = 0; i < mcf->calls.nelts; i++) {
        rv = ngx_http_aggregate_grpc_compile(cf, mcf, calls[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    /* grpc_pass sends it, but it may have been read before */

    ngx_str_set(&name, "content_length");

    index = ngx_http_get_variable_index(cf, &name);
    if (index == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    p = ngx_array_push(&mcf->variables);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    *p = (ngx_uint_t) index;

    return NGX_CONF_OK;
}


static void *
ngx_http_aggregate_grpc_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_grpc_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_grpc_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->ignored = NGX_CONF_UNSET_PTR;
    conf->ignore = NGX_CONF_UNSET_UINT;
    conf->stream = NGX_CONF_UNSET_UINT;
    conf->ping = NGX_CONF_UNSET_MSEC;
    conf->status_errors = NGX_CONF_UNSET_UINT;
    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->max_message = NGX_CONF_UNSET_SIZE;
    conf->max_response = NGX_CONF_UNSET_SIZE;
    conf->websocket = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_aggregate_grpc_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_grpc_loc_conf_t *prev = parent;
    ngx_http_aggregate_grpc_loc_conf_t *conf = child;

    if (conf->print == 0) {
        conf->print = prev->print;
    }

    ngx_conf_merge_ptr_value(conf->ignored, prev->ignored, NULL);
    ngx_conf_merge_uint_value(conf->ignore, prev->ignore, 0);
    ngx_conf_merge_uint_value(conf->stream, prev->stream,
                              NGX_HTTP_AGGREGATE_GRPC_AUTO);
    ngx_conf_merge_msec_value(conf->ping, prev->ping, 15000);
    ngx_conf_merge_uint_value(conf->status_errors, prev->status_errors, 0);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 0);
    ngx_conf_merge_size_value(conf->max_message, prev->max_message,
                              (size_t) 4 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->max_response, prev->max_response,
                              (size_t) 8 * 1024 * 1024);

    if (conf->websocket == NGX_CONF_UNSET) {
        conf->websocket = prev->websocket == NGX_CONF_UNSET
                          ? 0 : prev->websocket;
        conf->ws_ping = prev->ws_ping;
        conf->max_frame = prev->max_frame;
        conf->origins = prev->origins;
        conf->ws_file = prev->ws_file;
        conf->ws_line = prev->ws_line;
    }

    conf->json.always_print =
                  !!(conf->print & NGX_HTTP_AGGREGATE_GRPC_PRINT_ALWAYS);
    conf->json.enums_as_ints =
                  !!(conf->print & NGX_HTTP_AGGREGATE_GRPC_PRINT_INTS);
    conf->json.proto_names =
                  !!(conf->print & NGX_HTTP_AGGREGATE_GRPC_PRINT_PROTO);

    if (RAND_bytes((u_char *) conf->json.key, sizeof(conf->json.key)) != 1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "RAND_bytes() failed");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_aggregate_inherits_handler(cf,
                                            ngx_http_aggregate_grpc_handler,
                                            conf->call, prev->call))
    {
        conf->call = prev->call;

        if (conf->call->off) {
            return NGX_CONF_OK;
        }

        return ngx_http_aggregate_grpc_wrap(cf, conf);
    }

    if (conf->call == NULL || conf->call->off) {
        return NGX_CONF_OK;
    }

    return ngx_http_aggregate_grpc_wrap(cf, conf);
}


/*
 * grpc_pass's handler is wrapped by ours.  A block in the location may have
 * another handler, or none of its own.
 */

static char *
ngx_http_aggregate_grpc_wrap(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t             *clcf;
    ngx_http_aggregate_grpc_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_grpc_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == mcf->handler) {
        clcf->handler = ngx_http_aggregate_grpc_handler;

        return conf->websocket
               ? ngx_http_aggregate_grpc_check_websocket(cf, conf)
               : NGX_CONF_OK;
    }

    if (clcf->noname) {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"aggregate_grpc\" needs \"grpc_pass\" in its location "
                  "in %s:%ui", conf->call->file, conf->call->line);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_aggregate_grpc_init_process(ngx_cycle_t *cycle)
{
    if (RAND_bytes((u_char *) ngx_http_aggregate_grpc_key,
                   sizeof(ngx_http_aggregate_grpc_key))
        != 1)
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_aggregate_grpc(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_grpc_loc_conf_t *glcf = conf;

    ngx_str_t                            *value, *service;
    ngx_uint_t                            i;
    ngx_http_aggregate_grpc_call_t       *call, **p;
    ngx_http_aggregate_grpc_main_conf_t  *mcf;

    if (glcf->call) {
        return "is duplicate";
    }

    call = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_grpc_call_t));
    if (call == NULL
        || ngx_array_init(&call->services, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    glcf->call = call;
    call->file = cf->conf_file->file.name.data;
    call->line = cf->conf_file->line;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        call->off = 1;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "auto") == 0) {
            call->automatic = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "get") == 0) {
            call->by_get = 1;
            continue;
        }

        if (ngx_strncmp(value[i].data, "strip=", 6) == 0) {
            call->strip.len = value[i].len - 6;
            call->strip.data = value[i].data + 6;

            if (call->strip.len == 0 || call->strip.data[0] != '/'
                || call->strip.data[call->strip.len - 1] == '/')
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid prefix \"%V\", must begin with "
                                   "\"/\" and not end with it", &call->strip);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        service = ngx_array_push(&call->services);
        if (service == NULL) {
            return NGX_CONF_ERROR;
        }

        *service = value[i];
    }

    if (call->services.nelts == 0) {
        return "needs a service";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_grpc_module);

    p = ngx_array_push(&mcf->calls);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    *p = call;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_grpc_print(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_grpc_loc_conf_t *glcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, k;

    static const char *const  names[] = {
        "off", "always_print_primitive_fields", "enums_as_ints",
        "preserve_proto_field_names", NULL
    };

    if (glcf->print) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; names[k] != NULL; k++) {
            if (ngx_strcmp(value[i].data, names[k]) == 0) {
                break;
            }
        }

        if (names[k] == NULL) {
            return ngx_http_aggregate_grpc_unknown(cf, names, &value[i],
                                                   "aggregate_grpc_print");
        }

        if (k == 0 && cf->args->nelts != 2) {
            return "has \"off\" among other flags";
        }

        glcf->print |= NGX_HTTP_AGGREGATE_GRPC_PRINT_OFF << k;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_grpc_ignore_unknown(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_grpc_loc_conf_t *glcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i;

    if (glcf->ignore != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    glcf->ignore = 0;
    glcf->ignored = NULL;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "on") == 0) {
        glcf->ignore = 1;
        return NGX_CONF_OK;
    }

    glcf->ignored = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                     sizeof(ngx_str_t));
    if (glcf->ignored == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "on") == 0
            || ngx_strcmp(value[i].data, "off") == 0)
        {
            return "has \"on\" or \"off\" among names";
        }

        name = ngx_array_push(glcf->ignored);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_grpc_stream(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_grpc_loc_conf_t *glcf = conf;

    ngx_str_t   *value, s;
    ngx_uint_t   i;
    ngx_msec_t   ping;

    static const char *const  names[] = {
        "array", "ndjson", "sse", "auto", "ping=", NULL
    };

    if (glcf->stream != NGX_CONF_UNSET_UINT
        || glcf->ping != NGX_CONF_UNSET_MSEC)
    {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "ping=", 5) == 0
            && glcf->ping == NGX_CONF_UNSET_MSEC)
        {
            s.len = value[i].len - 5;
            s.data = value[i].data + 5;

            ping = ngx_parse_time(&s, 0);

            if (ping == (ngx_msec_t) NGX_ERROR) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid time \"%V\" of \"ping\"", &s);
                return NGX_CONF_ERROR;
            }

            ngx_http_gw_warn_time(cf, &s);

            glcf->ping = ping;

        } else if (ngx_strcmp(value[i].data, "auto") == 0) {
            glcf->stream = NGX_HTTP_AGGREGATE_GRPC_AUTO;

        } else if (ngx_strcmp(value[i].data, "array") == 0) {
            glcf->stream = AGG_GRPC_ARRAY;

        } else if (ngx_strcmp(value[i].data, "ndjson") == 0) {
            glcf->stream = AGG_GRPC_NDJSON;

        } else if (ngx_strcmp(value[i].data, "sse") == 0) {
            glcf->stream = AGG_GRPC_SSE;

        } else {
            return ngx_http_aggregate_grpc_unknown(cf, names, &value[i],
                                                   "aggregate_grpc_stream");
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_grpc_websocket(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_grpc_loc_conf_t *glcf = conf;

    ssize_t      size;
    ngx_str_t   *value, s, *host;
    ngx_uint_t   i;
    ngx_msec_t   ping;

    static const char *const  names[] = {
        "on", "off", "ping=", "max_frame=", "origin=", NULL
    };

    if (glcf->websocket != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        glcf->websocket = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") != 0) {
        return ngx_http_aggregate_grpc_unknown(cf, names, &value[1],
                                               "aggregate_grpc_websocket");
    }

    glcf->websocket = 1;
    glcf->ws_ping = 15000;
    glcf->max_frame = 1024 * 1024;
    glcf->ws_file = cf->conf_file->file.name.data;
    glcf->ws_line = cf->conf_file->line;

    for (i = 2; i < cf->args->nelts; i++) {

        s = value[i];

        if (ngx_strncmp(s.data, "ping=", 5) == 0) {
            s.data += 5;
            s.len -= 5;
            ping = ngx_parse_time(&s, 0);

            if (ping == (ngx_msec_t) NGX_ERROR) {
                goto invalid;
            }

            ngx_http_gw_warn_time(cf, &s);

            glcf->ws_ping = ping;

        } else if (ngx_strncmp(s.data, "max_frame=", 10) == 0) {
            s.data += 10;
            s.len -= 10;
            size = ngx_parse_size(&s);

            if (size == NGX_ERROR || size == 0) {
                goto invalid;
            }

            glcf->max_frame = (size_t) size;

        } else if (ngx_strncmp(s.data, "origin=", 7) == 0) {

            if (glcf->origins == NULL) {
                glcf->origins = ngx_array_create(cf->pool, 2,
                                                 sizeof(ngx_str_t));
                if (glcf->origins == NULL) {
                    return NGX_CONF_ERROR;
                }
            }

            host = ngx_array_push(glcf->origins);
            if (host == NULL) {
                return NGX_CONF_ERROR;
            }

            host->data = s.data + 7;
            host->len = s.len - 7;

            if (!gw_origin_is_host(host->data, host->len)) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid value \"%V\" of "
                                   "\"aggregate_grpc_websocket\", must be a "
                                   "host, or a host and a port, without a "
                                   "scheme or a path", &value[i]);
                return NGX_CONF_ERROR;
            }

        } else {
            return ngx_http_aggregate_grpc_unknown(cf, names, &value[i],
                                                   "aggregate_grpc_websocket");
        }
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" of \"aggregate_grpc_websocket\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


/* the read timeout must not end a connection before a ping is sent */

static char *
ngx_http_aggregate_grpc_check_websocket(ngx_conf_t *cf,
    ngx_http_aggregate_grpc_loc_conf_t *conf)
{
    const char                           *what;
    ngx_http_upstream_conf_t             *ucf;
    ngx_http_core_loc_conf_t             *clcf;
    ngx_http_aggregate_grpc_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_grpc_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* the configuration of the upstream is the first member of the module's */

    ucf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf[mcf->module->ctx_index];

    if (conf->ws_ping < clcf->client_body_timeout
        && conf->ws_ping < ucf->read_timeout)
    {
        return NGX_CONF_OK;
    }

    what = conf->ws_ping < clcf->client_body_timeout ? "grpc_read_timeout"
                                                     : "client_body_timeout";

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"ping\" of \"aggregate_grpc_websocket\" must be below "
                  "\"%s\" in %s:%ui", what, conf->ws_file, conf->ws_line);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_aggregate_grpc_unknown(ngx_conf_t *cf, const char *const *names,
    ngx_str_t *value, const char *directive)
{
    const char  *nearest;

    nearest = gw_nearest(names, value->data, value->len);

    if (nearest) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown parameter \"%V\" of \"%s\", did you mean "
                           "\"%s\"?", value, directive, nearest);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown parameter \"%V\" of \"%s\"", value,
                           directive);
    }

    return NGX_CONF_ERROR;
}
