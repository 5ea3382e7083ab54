
/*
 * Traces: spans of client requests and of their requests to backends, and the
 * propagation of contexts.
 */


#include "ngx_http_aggregate_trace.h"
#include "ngx_http_aggregate_detached.h"
#include "ngx_http_aggregate_setters.h"
#include "ngx_http_gw_written.h"
#include "ngx_http_gw_variable.h"


static char *ngx_http_aggregate_trace(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_aggregate_trace_keep(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_trace_propagators(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_trace_attr(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_trace_redact(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_aggregate_trace_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_trace_init(ngx_conf_t *cf);
static void *ngx_http_aggregate_trace_create_main_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_trace_init_variables(ngx_conf_t *cf,
    ngx_http_aggregate_trace_main_conf_t *tmcf);
static void *ngx_http_aggregate_trace_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_trace_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_aggregate_trace_init_process(ngx_cycle_t *cycle);
static void ngx_http_aggregate_trace_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_aggregate_trace_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_conf_enum_t  ngx_http_aggregate_trace_contexts[] = {
    { ngx_string("ignore"), NGX_HTTP_AGGREGATE_TRACE_IGNORE },
    { ngx_string("extract"), NGX_HTTP_AGGREGATE_TRACE_EXTRACT },
    { ngx_string("inject"), NGX_HTTP_AGGREGATE_TRACE_INJECT },
    { ngx_string("propagate"), NGX_HTTP_AGGREGATE_TRACE_PROPAGATE },
    { ngx_null_string, 0 }
};


static ngx_http_aggregate_enum_t  ngx_http_aggregate_trace_context_words = {
    ngx_http_aggregate_trace_contexts,
    "must be \"ignore\", \"extract\", \"inject\", or \"propagate\""
};


static ngx_command_t  ngx_http_aggregate_trace_commands[] = {

    { ngx_string("aggregate_trace_exporter"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      ngx_http_aggregate_exporter_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_aggregate_trace_main_conf_t, exporter),
      ngx_http_aggregate_exporter_statements },

    { ngx_string("aggregate_trace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_trace,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_trace_keep"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_aggregate_trace_keep,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_trace_context"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_set_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_trace_loc_conf_t, context),
      &ngx_http_aggregate_trace_context_words },

    { ngx_string("aggregate_trace_propagators"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_trace_propagators,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_trace_parent"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_trace_loc_conf_t, parent),
      NULL },

    { ngx_string("aggregate_trace_name"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_aggregate_trace_loc_conf_t, name),
      NULL },

    { ngx_string("aggregate_trace_attr"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE23,
      ngx_http_aggregate_trace_attr,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_trace_redact"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_trace_redact,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_trace_module_ctx = {
    ngx_http_aggregate_trace_preconfiguration,
                                           /* preconfiguration */
    ngx_http_aggregate_trace_init,         /* postconfiguration */

    ngx_http_aggregate_trace_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_trace_create_loc_conf,
                                           /* create location configuration */
    ngx_http_aggregate_trace_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_trace_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_trace_module_ctx,  /* module context */
    ngx_http_aggregate_trace_commands,     /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_aggregate_trace_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_aggregate_trace_exit_process, /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


enum {
    NGX_HTTP_AGGREGATE_TRACE_VAR_ID = 0,
    NGX_HTTP_AGGREGATE_TRACE_VAR_SPAN,
    NGX_HTTP_AGGREGATE_TRACE_VAR_PARENT,
    NGX_HTTP_AGGREGATE_TRACE_VAR_SAMPLED,
    NGX_HTTP_AGGREGATE_TRACE_VAR_HEADER
};


static ngx_http_variable_t  ngx_http_aggregate_trace_vars[] = {

    { ngx_string("aggregate_trace_id"), NULL,
      ngx_http_aggregate_trace_variable,
      NGX_HTTP_AGGREGATE_TRACE_VAR_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_span_id"), NULL,
      ngx_http_aggregate_trace_variable,
      NGX_HTTP_AGGREGATE_TRACE_VAR_SPAN, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_parent_id"), NULL,
      ngx_http_aggregate_trace_variable,
      NGX_HTTP_AGGREGATE_TRACE_VAR_PARENT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_trace_sampled"), NULL,
      ngx_http_aggregate_trace_variable,
      NGX_HTTP_AGGREGATE_TRACE_VAR_SAMPLED, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("aggregate_traceparent"), NULL,
      ngx_http_aggregate_trace_variable,
      NGX_HTTP_AGGREGATE_TRACE_VAR_HEADER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_http_aggregate_watcher_t  ngx_http_aggregate_trace_watcher = {
    ngx_http_aggregate_trace_wanted,
    ngx_http_aggregate_trace_preaccess,
    ngx_http_aggregate_trace_begin,
    ngx_http_aggregate_trace_end,
    ngx_http_aggregate_trace_ids
};


static ngx_str_t  ngx_http_aggregate_trace_secrets[] = {
    ngx_string("AWSAccessKeyId"),
    ngx_string("Signature"),
    ngx_string("sig"),
    ngx_string("X-Goog-Signature"),
    ngx_string("X-Amz-Signature"),
    ngx_string("X-Amz-Credential"),
    ngx_string("X-Amz-Security-Token"),
    ngx_string("token"),
    ngx_string("access_token"),
    ngx_string("api_key"),
    ngx_string("password")
};


static char *
ngx_http_aggregate_trace(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_trace_loc_conf_t *tlcf = conf;

    ngx_str_t                             *value;
    ngx_http_compile_complex_value_t       ccv;
    ngx_http_aggregate_trace_main_conf_t  *tmcf;

    if (tlcf->set) {
        return "is duplicate";
    }

    value = cf->args->elts;

    tlcf->set = 1;
    tlcf->file = cf->conf_file->file.name.data;
    tlcf->line = cf->conf_file->line;

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "parent=ignore") == 0) {
            tlcf->ignore_parent = 1;

        } else if (ngx_strcmp(value[2].data, "parent=follow") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"%V\", it must be"
                               " \"parent=follow\" or \"parent=ignore\"",
                               &value[2], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    tlcf->on = 1;
    tlcf->ratio = -1;

    if (ngx_http_script_variables_count(&value[1])) {

        tlcf->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
        if (tlcf->value == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[1];
        ccv.complex_value = tlcf->value;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else {
        tlcf->ratio = agg_trace_parse_ratio(value[1].data, value[1].len);

        if (tlcf->ratio == -1 || value[1].len < 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" of \"%V\", it must be "
                               "\"on\", \"off\", a variable, or from \"0%%\" "
                               "to \"100%%\" with two digits after the point "
                               "at most", &value[1], &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (value[1].len == 3 && ngx_strncmp(value[1].data, "off", 3) == 0) {
            tlcf->on = 0;
            return NGX_CONF_OK;
        }
    }

    tmcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_aggregate_trace_module);
    tmcf->used = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_trace_keep(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_trace_loc_conf_t *tlcf = conf;

    ngx_int_t   ms;
    ngx_str_t  *value, s;
    ngx_uint_t  i;

    if (tlcf->keep_error != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    tlcf->keep_error = 0;
    tlcf->keep_slow = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "error") == 0) {
            tlcf->keep_error = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "off") == 0 && cf->args->nelts == 2) {
            continue;
        }

        if (ngx_strncmp(value[i].data, "slow=", 5) == 0) {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;

            ms = ngx_parse_time(&s, 0);

            if (ms != NGX_ERROR && ms != 0) {
                ngx_http_gw_warn_time(cf, &s);

                tlcf->keep_slow = (ngx_msec_t) ms;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"%V\", known are "
                           "\"error\", \"slow=TIME\", and \"off\" alone",
                           &value[i], &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_trace_propagators(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_trace_loc_conf_t *tlcf = conf;

    u_char      *order;
    ngx_str_t   *value;
    ngx_uint_t   i, n;

    static const char  *names[] = { "tracecontext", "b3", "b3multi" };

    if (tlcf->propagators) {
        return "is duplicate";
    }

    value = cf->args->elts;
    order = tlcf->order;

    for (i = 1; i < cf->args->nelts; i++) {

        for (n = 0; n < 3; n++) {
            if (ngx_strcmp(value[i].data, names[n]) == 0) {
                break;
            }
        }

        if (n == 3) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" of \"%V\", known are "
                               "\"tracecontext\", \"b3\", and \"b3multi\"",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (!(tlcf->propagators & ((ngx_uint_t) 1 << n))) {
            tlcf->propagators |= (ngx_uint_t) 1 << n;
            *order++ = (u_char) (1 << n);
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_trace_attr(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_trace_loc_conf_t *tlcf = conf;

    ngx_str_t                             *value;
    ngx_uint_t                             i;
    ngx_http_aggregate_trace_attr_t       *attr;
    ngx_http_compile_complex_value_t       ccv;
    ngx_http_aggregate_trace_main_conf_t  *tmcf;

    static const char  *spans[] = {
        "span=server", "span=aggregate", "span=client"
    };

    value = cf->args->elts;

    if (tlcf->attrs == NULL) {
        tlcf->attrs = ngx_array_create(cf->pool, 4,
                                     sizeof(ngx_http_aggregate_trace_attr_t));
        if (tlcf->attrs == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    attr = tlcf->attrs->elts;

    for (i = 0; i < tlcf->attrs->nelts; i++) {
        if (attr[i].name.len == value[1].len
            && ngx_strncmp(attr[i].name.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate attribute \"%V\" in \"%V\"",
                               &value[1], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    if (value[1].len == 0 || tlcf->attrs->nelts == 32) {
        return "has an empty name, or there are more than 32";
    }

    attr = ngx_array_push(tlcf->attrs);
    if (attr == NULL) {
        return NGX_CONF_ERROR;
    }

    tmcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_aggregate_trace_module);
    tmcf->attrs = 1;

    attr->name = value[1];
    attr->span = NGX_HTTP_AGGREGATE_TRACE_ON_SERVER;

    if (cf->args->nelts == 4) {

        for (i = 0; i < 3; i++) {
            if (ngx_strcmp(value[3].data, spans[i]) == 0) {
                break;
            }
        }

        if (i == 3) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"%V\", it must be"
                               " \"span=server\", \"span=aggregate\", or "
                               "\"span=client\"", &value[3], &cmd->name);
            return NGX_CONF_ERROR;
        }

        attr->span = i;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &attr->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_trace_redact(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_trace_loc_conf_t *tlcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i;

    if (tlcf->redact) {
        return "is duplicate";
    }

    value = cf->args->elts;

    tlcf->redact = ngx_array_create(cf->pool, cf->args->nelts,
                                    sizeof(ngx_str_t));
    if (tlcf->redact == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        name = ngx_array_push(tlcf->redact);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_trace_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_gw_add_variables(cf, ngx_http_aggregate_trace_vars);
}


/* before the metrics, which come earlier, look whether anybody traces */

static void *
ngx_http_aggregate_trace_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_trace_main_conf_t  *tmcf;

    tmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_aggregate_trace_main_conf_t));

    return tmcf;
}


static ngx_int_t
ngx_http_aggregate_trace_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt                     *h;
    ngx_http_core_main_conf_t               *cmcf;
    ngx_http_aggregate_trace_main_conf_t    *tmcf;
    ngx_http_aggregate_metrics_main_conf_t  *mmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_aggregate_trace_module);

    ngx_http_aggregate_detached_observe(tmcf->used
                                        ? ngx_http_aggregate_trace_refresh
                                        : NULL);

    if (tmcf->exporter
        && ngx_http_aggregate_exporter_conf_resolve(cf, tmcf->exporter)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!tmcf->used) {
        return NGX_OK;
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf,
                                         ngx_http_aggregate_metrics_module);
    mmcf->tracer = &ngx_http_aggregate_trace_watcher;

    if (ngx_http_aggregate_trace_init_variables(cf, tmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_aggregate_trace_preaccess;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_aggregate_trace_log;

    return ngx_http_aggregate_trace_observe(cf);
}


/* "real_ip_header" replaces the address of the connection */

static ngx_int_t
ngx_http_aggregate_trace_init_variables(ngx_conf_t *cf,
    ngx_http_aggregate_trace_main_conf_t *tmcf)
{
    static ngx_str_t  addr = ngx_string("realip_remote_addr");
    static ngx_str_t  port = ngx_string("realip_remote_port");

    tmcf->peer_addr = NGX_ERROR;
    tmcf->peer_port = NGX_ERROR;

    if (!ngx_http_gw_variable_known(cf, &addr)
        || !ngx_http_gw_variable_known(cf, &port))
    {
        return NGX_OK;
    }

    tmcf->peer_addr = ngx_http_get_variable_index(cf, &addr);
    tmcf->peer_port = ngx_http_get_variable_index(cf, &port);

    return (tmcf->peer_addr == NGX_ERROR || tmcf->peer_port == NGX_ERROR)
           ? NGX_ERROR : NGX_OK;
}


static void *
ngx_http_aggregate_trace_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_trace_loc_conf_t  *tlcf;

    tlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_trace_loc_conf_t));
    if (tlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     tlcf->set = 0;
     *     tlcf->on = 0;
     *     tlcf->propagators = 0;
     *     tlcf->parent = NULL;
     *     tlcf->name = NULL;
     *     tlcf->attrs = NULL;
     *     tlcf->redact = NULL;
     */

    tlcf->keep_error = NGX_CONF_UNSET;
    tlcf->keep_slow = NGX_CONF_UNSET_MSEC;
    tlcf->context = NGX_CONF_UNSET_UINT;

    return tlcf;
}


static char *
ngx_http_aggregate_trace_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_trace_loc_conf_t *prev = parent;
    ngx_http_aggregate_trace_loc_conf_t *conf = child;

    ngx_str_t                             *name;
    ngx_uint_t                             i, n;
    ngx_http_aggregate_trace_main_conf_t  *tmcf;

    if (!conf->set) {
        conf->set = prev->set;
        conf->on = prev->on;
        conf->ratio = prev->ratio;
        conf->value = prev->value;
        conf->ignore_parent = prev->ignore_parent;
        conf->file = prev->file;
        conf->line = prev->line;
    }

    ngx_conf_merge_value(conf->keep_error, prev->keep_error, 0);
    ngx_conf_merge_msec_value(conf->keep_slow, prev->keep_slow, 0);
    ngx_conf_merge_uint_value(conf->context, prev->context,
                              NGX_HTTP_AGGREGATE_TRACE_PROPAGATE);

    if (conf->propagators == 0) {
        conf->propagators = prev->propagators;
        ngx_memcpy(conf->order, prev->order, sizeof(conf->order));
    }

    if (conf->propagators == 0) {
        conf->propagators = NGX_HTTP_AGGREGATE_TRACE_W3C;
        conf->order[0] = NGX_HTTP_AGGREGATE_TRACE_W3C;
    }

    if (conf->parent == NULL) {
        conf->parent = prev->parent;
    }

    if (conf->name == NULL) {
        conf->name = prev->name;
    }

    if (conf->attrs == NULL) {
        conf->attrs = prev->attrs;
    }

    if (conf->redact == NULL) {
        conf->redact = prev->redact;
    }

    if (conf->redact == NULL) {
        n = sizeof(ngx_http_aggregate_trace_secrets) / sizeof(ngx_str_t);

        conf->redact = ngx_array_create(cf->pool, n, sizeof(ngx_str_t));
        if (conf->redact == NULL) {
            return NGX_CONF_ERROR;
        }

        for (i = 0; i < n; i++) {
            name = ngx_array_push(conf->redact);
            *name = ngx_http_aggregate_trace_secrets[i];
        }

        /* shared by the other locations of the level */

        prev->redact = conf->redact;
    }

    tmcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_aggregate_trace_module);

    if (conf->on && tmcf->exporter == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"aggregate_trace\" without an "
                      "\"aggregate_trace_exporter\" in %s:%ui",
                      conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_trace_init_process(ngx_cycle_t *cycle)
{
    ngx_http_aggregate_trace_main_conf_t  *tmcf;

    tmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                            ngx_http_aggregate_trace_module);

    if (tmcf == NULL || !tmcf->used
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    ngx_http_aggregate_trace_init_worker(cycle->log);

    return ngx_http_aggregate_exporter_init(cycle, tmcf->exporter);
}


static void
ngx_http_aggregate_trace_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_aggregate_exporter_exit(cycle);
}


static ngx_int_t
ngx_http_aggregate_trace_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                               *p;
    agg_trace_context_t                   context;
    ngx_http_aggregate_trace_ctx_t       *ctx;
    ngx_http_aggregate_trace_loc_conf_t  *tlcf;

    ctx = ngx_http_aggregate_trace_get(r->main);

    if (ctx == NULL) {
        tlcf = ngx_http_get_module_loc_conf(r->main,
                                            ngx_http_aggregate_trace_module);

        ctx = tlcf->on ? ngx_http_aggregate_trace_create(r->main, tlcf) : NULL;
    }

    if (ctx == NULL
        || (data == NGX_HTTP_AGGREGATE_TRACE_VAR_PARENT && !ctx->has_parent))
    {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, AGG_TRACE_PARENT_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    switch (data) {

    case NGX_HTTP_AGGREGATE_TRACE_VAR_ID:
        p = agg_trace_hex(p, ctx->context.trace_id, 16);
        break;

    case NGX_HTTP_AGGREGATE_TRACE_VAR_SPAN:
        p = agg_trace_hex(p, ctx->context.span_id, 8);
        break;

    case NGX_HTTP_AGGREGATE_TRACE_VAR_PARENT:
        p = agg_trace_hex(p, ctx->parent, 8);
        break;

    case NGX_HTTP_AGGREGATE_TRACE_VAR_SAMPLED:
        *p++ = ctx->sampled ? '1' : '0';
        break;

    default: /* NGX_HTTP_AGGREGATE_TRACE_VAR_HEADER */
        context = ctx->context;
        ngx_memcpy(context.span_id,
                   r == r->main ? ctx->client
                                : ngx_http_aggregate_trace_above(r, ctx), 8);
        agg_trace_write(p, &context);
        p += AGG_TRACE_PARENT_LEN;
    }

    v->len = p - v->data;

    return NGX_OK;
}
