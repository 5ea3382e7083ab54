
/* "aggregate_shape", "aggregate_apply" and "aggregate_shape_buffer" */

#include "ngx_http_aggregate_shape.h"
#include "gw_text.h"


static void *ngx_http_aggregate_apply_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_aggregate_apply_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_apply_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_aggregate_apply_shape(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_uint_t ngx_http_aggregate_apply_name(ngx_str_t *name);
static char *ngx_http_aggregate_shape_buffer(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_aggregate_apply(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_aggregate_apply_value(ngx_conf_t *cf,
    ngx_http_aggregate_apply_t *apply);
static ngx_int_t ngx_http_aggregate_apply_vary_names(ngx_conf_t *cf,
    ngx_http_aggregate_apply_t *apply, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_apply_types(ngx_conf_t *cf,
    ngx_http_aggregate_apply_t *apply, ngx_str_t *value);
static ngx_int_t ngx_http_aggregate_apply_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_aggregate_apply_check(ngx_conf_t *cf,
    ngx_http_aggregate_apply_main_conf_t *mcf);


static ngx_command_t  ngx_http_aggregate_shape_statements[] = {

    { ngx_string("target"),
      NGX_HTTP_AGGREGATE_SHAPE_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_named_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_named_t, shape),
      NULL },

    { ngx_string("limit"),
      NGX_HTTP_AGGREGATE_SHAPE_CONF|NGX_CONF_TAKE123,
      ngx_http_aggregate_named_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_named_t, shape),
      NULL },

    { ngx_string("allow"),
      NGX_HTTP_AGGREGATE_SHAPE_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_named_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_named_t, shape),
      NULL },

    { ngx_string("deny"),
      NGX_HTTP_AGGREGATE_SHAPE_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_named_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_named_t, shape),
      NULL },

    { ngx_string("rename"),
      NGX_HTTP_AGGREGATE_SHAPE_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_named_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_named_t, shape),
      NULL },

    { ngx_string("move"),
      NGX_HTTP_AGGREGATE_SHAPE_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_named_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_named_t, shape),
      NULL },

    { ngx_string("set"),
      NGX_HTTP_AGGREGATE_SHAPE_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_named_statement,
      NGX_HTTP_AGGREGATE_CONF_OFFSET,
      offsetof(ngx_http_aggregate_named_t, shape),
      NULL },

      ngx_null_command
};


static ngx_command_t  ngx_http_aggregate_apply_commands[] = {

    { ngx_string("aggregate_shape"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_aggregate_apply_shape,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      ngx_http_aggregate_shape_statements },

    { ngx_string("aggregate_apply"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_aggregate_apply,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_shape_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_aggregate_shape_buffer,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_apply_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_aggregate_apply_init,         /* postconfiguration */

    ngx_http_aggregate_apply_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_apply_create_loc_conf,
                                           /* create location configuration */
    ngx_http_aggregate_apply_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_apply_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_apply_module_ctx,  /* module context */
    ngx_http_aggregate_apply_commands,     /* module directives */
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


ngx_http_aggregate_named_t *
ngx_http_aggregate_apply_find(ngx_http_aggregate_apply_main_conf_t *mcf,
    ngx_str_t *name)
{
    ngx_uint_t                    i;
    ngx_http_aggregate_named_t  **shapes;

    shapes = mcf->shapes.elts;

    for (i = 0; i < mcf->shapes.nelts; i++) {

        if (shapes[i]->name.len == name->len
            && ngx_strncmp(shapes[i]->name.data, name->data, name->len) == 0)
        {
            return shapes[i];
        }
    }

    return NULL;
}


static void *
ngx_http_aggregate_apply_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_apply_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_apply_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->shapes, cf->pool, 4,
                       sizeof(ngx_http_aggregate_named_t *))
        != NGX_OK
        || ngx_array_init(&mcf->applied, cf->pool, 4,
                          sizeof(ngx_http_aggregate_apply_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return mcf;
}


static void *
ngx_http_aggregate_apply_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_apply_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_apply_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    lcf->apply = NGX_CONF_UNSET_PTR;
    lcf->buffer = NGX_CONF_UNSET_SIZE;

    return lcf;
}


static char *
ngx_http_aggregate_apply_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_apply_loc_conf_t *prev = parent;
    ngx_http_aggregate_apply_loc_conf_t *conf = child;

    static ngx_http_aggregate_apply_t  off = { .off = 1 };

    ngx_conf_merge_ptr_value(conf->apply, prev->apply, &off);
    ngx_conf_merge_size_value(conf->buffer, prev->buffer,
                              (size_t) 8 * 1024 * 1024);

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_apply_shape(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_apply_main_conf_t *mcf = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_http_aggregate_named_t   *named, **np;

    value = cf->args->elts;

    if (!ngx_http_aggregate_apply_name(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in \"aggregate_shape\", must "
                           "be letters, digits, \"_\", \"-\" and \".\", and "
                           "not \"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    named = ngx_http_aggregate_apply_find(mcf, &value[1]);

    if (named) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate name \"%V\" in \"aggregate_shape\", the "
                           "first is in %V:%ui", &value[1], &named->file,
                           named->line);
        return NGX_CONF_ERROR;
    }

    named = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_named_t));
    if (named == NULL) {
        return NGX_CONF_ERROR;
    }

    named->name = value[1];
    named->file = cf->conf_file->file.name;
    named->line = cf->conf_file->line;

    ngx_md5_init(&named->md5);
    ngx_md5_update(&named->md5, value[1].data, value[1].len);

    np = ngx_array_push(&mcf->shapes);
    if (np == NULL) {
        return NGX_CONF_ERROR;
    }

    *np = named;

    rv = ngx_http_aggregate_parse_block(cf, cmd, named);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (named->shape == NULL) {

        /* without statements, valid documents pass unchanged */

        named->shape = ngx_http_aggregate_shape_create(cf);
        if (named->shape == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_aggregate_shape_complete(cf, named->shape, 0) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_uint_t
ngx_http_aggregate_apply_name(ngx_str_t *name)
{
    u_char      ch, lower;
    ngx_uint_t  i;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];
        lower = ch | 0x20;

        if (!(lower >= 'a' && lower <= 'z') && !(ch >= '0' && ch <= '9')
            && ch != '_' && ch != '-' && ch != '.')
        {
            return 0;
        }
    }

    return name->len != 0
           && !(name->len == 3 && ngx_strncmp(name->data, "off", 3) == 0);
}


static char *
ngx_http_aggregate_shape_buffer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_apply_loc_conf_t *lcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (lcf->buffer != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size < 1 || size > 1024 * 1024 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\", it must be a size "
                           "from 1 to 1g", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    lcf->buffer = size;

    return NGX_CONF_OK;
}


/* aggregate_apply NAME|$var [empty=off] [vary=] [types=] [strict] | off */

static char *
ngx_http_aggregate_apply(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_apply_loc_conf_t *lcf = conf;

    ngx_str_t                             *value, name;
    ngx_uint_t                             i;
    ngx_http_aggregate_apply_t            *apply, **ap;
    ngx_http_aggregate_apply_main_conf_t  *mcf;

    if (lcf->apply != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    apply = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_apply_t));
    if (apply == NULL) {
        return NGX_CONF_ERROR;
    }

    lcf->apply = apply;

    value = cf->args->elts;

    apply->text = value[1];
    apply->file = cf->conf_file->file.name;
    apply->line = cf->conf_file->line;

    if (value[1].len == 3 && ngx_strncmp(value[1].data, "off", 3) == 0) {
        apply->off = 1;

        if (cf->args->nelts == 2) {
            return NGX_CONF_OK;
        }
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (!apply->off && ngx_strcmp(value[i].data, "empty=off") == 0) {
            apply->empty_off = 1;
            continue;
        }

        if (!apply->off && ngx_strncmp(value[i].data, "vary=", 5) == 0) {
            name.data = value[i].data + 5;
            name.len = value[i].len - 5;

            if (ngx_http_aggregate_apply_vary_names(cf, apply, &name)
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (!apply->off && ngx_strncmp(value[i].data, "types=", 6) == 0) {
            name.data = value[i].data + 6;
            name.len = value[i].len - 6;

            if (ngx_http_aggregate_apply_types(cf, apply, &name) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (!apply->off && ngx_strcmp(value[i].data, "strict") == 0) {
            apply->strict = 1;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"aggregate_apply\", "
                           "must be \"empty=off\", \"vary=HEADER\", "
                           "\"types=MIME\" or \"strict\"%s",
                           &value[i], apply->off ? ", and none with \"off\""
                                                 : "");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_aggregate_apply_value(cf, apply) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_apply_module);

    ap = ngx_array_push(&mcf->applied);
    if (ap == NULL) {
        return NGX_CONF_ERROR;
    }

    *ap = apply;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_apply_value(ngx_conf_t *cf,
    ngx_http_aggregate_apply_t *apply)
{
    ngx_http_compile_complex_value_t  ccv;

    if (ngx_http_script_variables_count(&apply->text) == 0) {

        if (apply->empty_off) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"empty=off\" in \"aggregate_apply\" needs a "
                               "variable, \"%V\" is not one", &apply->text);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    apply->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (apply->value == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &apply->text;
    ccv.complex_value = apply->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_aggregate_variables_used(cf, &apply->text);
}


/* one name or more, with commas between them */

static ngx_int_t
ngx_http_aggregate_apply_vary_names(ngx_conf_t *cf,
    ngx_http_aggregate_apply_t *apply, ngx_str_t *value)
{
    u_char     *p, *end, *start;
    ngx_str_t  *name;

    if (apply->vary == NULL) {
        apply->vary = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (apply->vary == NULL) {
            return NGX_ERROR;
        }
    }

    start = value->data;
    end = start + value->len;

    for (p = start; p <= end; p++) {

        if (p < end && *p != ',') {

            if ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') {
                continue;
            }

            if ((*p >= '0' && *p <= '9') || *p == '-' || *p == '_') {
                continue;
            }

            break;
        }

        if (p == start) {
            break;
        }

        name = ngx_array_push(apply->vary);
        if (name == NULL) {
            return NGX_ERROR;
        }

        name->data = start;
        name->len = p - start;

        start = p + 1;

        if (p == end) {
            return NGX_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" of \"vary\" in "
                       "\"aggregate_apply\", must be names of request headers "
                       "with commas between them", value);

    return NGX_ERROR;
}


/* one type or more, with commas between them; no wildcards */

static ngx_int_t
ngx_http_aggregate_apply_types(ngx_conf_t *cf,
    ngx_http_aggregate_apply_t *apply, ngx_str_t *value)
{
    u_char     *p, *end, *start, *slash;
    ngx_str_t  *type;

    if (apply->types == NULL) {
        apply->types = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (apply->types == NULL) {
            return NGX_ERROR;
        }
    }

    start = value->data;
    end = start + value->len;
    slash = NULL;

    for (p = start; p <= end; p++) {

        if (p < end && *p != ',') {

            if (*p == '/' && slash == NULL) {
                slash = p;
                continue;
            }

            if (*p > 0x20 && *p < 0x7f
                && ngx_strchr("*/;\"()<>@:\\[]?={}", *p) == NULL)
            {
                continue;
            }

            break;
        }

        if (slash == NULL || slash == start || slash == p - 1) {
            break;
        }

        type = ngx_array_push(apply->types);
        if (type == NULL) {
            return NGX_ERROR;
        }

        type->data = start;
        type->len = p - start;

        start = p + 1;
        slash = NULL;

        if (p == end) {
            return NGX_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" of \"types\" in "
                       "\"aggregate_apply\", must be MIME types as "
                       "\"text/json\" with commas between them", value);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_aggregate_apply_init(ngx_conf_t *cf)
{
    ngx_http_aggregate_apply_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_aggregate_apply_module);

    if (ngx_http_aggregate_apply_check(cf, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (mcf->applied.nelts == 0) {
        return NGX_OK;
    }

    return ngx_http_aggregate_apply_request_init(cf);
}


/* shapes may be defined after they are applied */

static ngx_int_t
ngx_http_aggregate_apply_check(ngx_conf_t *cf,
    ngx_http_aggregate_apply_main_conf_t *mcf)
{
    ngx_uint_t                    i, k;
    gw_nearest_t                  nearest;
    ngx_http_aggregate_named_t  **shapes;
    ngx_http_aggregate_apply_t  **applied, *apply;

    shapes = mcf->shapes.elts;
    applied = mcf->applied.elts;

    for (i = 0; i < mcf->applied.nelts; i++) {
        apply = applied[i];

        if (apply->value) {
            continue;
        }

        apply->named = ngx_http_aggregate_apply_find(mcf, &apply->text);

        if (apply->named) {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown shape \"%V\" in \"aggregate_apply\" in %V:%ui",
                      &apply->text, &apply->file, apply->line);

        gw_nearest_init(&nearest, apply->text.data, apply->text.len);

        for (k = 0; k < mcf->shapes.nelts; k++) {
            gw_nearest_try(&nearest, shapes[k]->name.data,
                           shapes[k]->name.len, &shapes[k]->name);
        }

        if (nearest.item) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "did you mean \"%V\" instead of \"%V\" in %V:%ui?",
                          nearest.item, &apply->text, &apply->file,
                          apply->line);
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}
