
/*
 * Setters of the statements of "aggregate" and "backend".  A value that is
 * refused is named with what is allowed; nginx adds file and line.
 */

#include "ngx_http_aggregate_module.h"
#include "ngx_http_aggregate_conf.h"
#include "ngx_http_aggregate_fetch_conf.h"
#include "ngx_http_gw_written.h"
#include "agg_header_names.h"


/* the share of calls that may be hedged unless "max" says otherwise */

#define NGX_HTTP_AGGREGATE_HEDGE_PERCENT   10
#define NGX_HTTP_AGGREGATE_HEDGE_MAX_TIME  3600000


char *
ngx_http_aggregate_set_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value, *field;

    field = (ngx_str_t *) ((char *) conf + cmd->offset);

    if (field->data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_aggregate_invalid(cf, &value[1],
                                          "must not be empty");
    }

    if (!agg_utf8_valid(value[1].data, value[1].len)) {
        return ngx_http_aggregate_invalid(cf, &value[1], "must be UTF-8");
    }

    *field = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_flag(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    switch (cmd->name.data[0]) {

    case 'm':

        if (backend->merge) {
            return "is duplicate";
        }

        backend->merge = 1;
        break;

    case 'h':

        if (backend->hidden) {
            return "is duplicate";
        }

        backend->hidden = 1;
        break;

    default: /* required */

        if (backend->required) {
            return "is duplicate";
        }

        backend->required = 1;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_default(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    size_t      offset;
    ngx_str_t  *value;
    agg_str_t   json;

    if (backend->default_value.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (agg_json_validate(value[1].data, value[1].len, &offset) != AGG_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid JSON \"%V\" in \"default\" at offset %uz",
                           &value[1], offset);
        return NGX_CONF_ERROR;
    }

    json.data = value[1].data;
    json.len = value[1].len;

    agg_json_trim(&json);

    backend->default_value.data = json.data;
    backend->default_value.len = json.len;

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_accept(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    ngx_int_t                    code;
    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_aggregate_range_t  *range;

    if (backend->accept) {
        return "is duplicate";
    }

    backend->accept = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_aggregate_range_t));
    if (backend->accept == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        range = ngx_array_push(backend->accept);
        if (range == NULL) {
            return NGX_CONF_ERROR;
        }

        if (value[i].len == 3 && value[i].data[0] >= '2'
            && value[i].data[0] <= '5'
            && ngx_strncmp(value[i].data + 1, "xx", 2) == 0)
        {
            range->least = (value[i].data[0] - '0') * 100;
            range->most = range->least + 99;
            continue;
        }

        code = (value[i].len == 3) ? ngx_atoi(value[i].data, 3) : NGX_ERROR;

        if (code < 200 || code > 599) {
            return ngx_http_aggregate_invalid(cf, &value[i],
                                  "must be a status from 200 to 599, or "
                                  "\"2xx\" to \"5xx\"");
        }

        range->least = code;
        range->most = code;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_fail_on(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    agg_str_t     text;
    ngx_str_t    *value;
    ngx_uint_t    i;
    agg_path_t  **path;
    agg_error_t   err;

    if (backend->fail_on == NULL) {
        backend->fail_on = ngx_array_create(cf->pool, 2, sizeof(agg_path_t *));
        if (backend->fail_on == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        path = ngx_array_push(backend->fail_on);
        if (path == NULL) {
            return NGX_CONF_ERROR;
        }

        text.data = value[i].data;
        text.len = value[i].len;

        *path = agg_path_parse(ngx_http_aggregate_mem(cf->pool), &text, 0,
                               &err);

        if (*path == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid path \"%V\" in \"fail_on\": %s at "
                               "offset %uz", &value[i], err.text, err.offset);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_encoding(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    ngx_str_t  *value;

    if (backend->encoding_set) {
        return "is duplicate";
    }

    backend->encoding_set = 1;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "string") == 0) {
        backend->string = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "json") == 0) {
        return NGX_CONF_OK;
    }

    return ngx_http_aggregate_invalid(cf, &value[1],
                                      "must be \"json\" or \"string\"");
}


char *
ngx_http_aggregate_set_method(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    ngx_str_t           *value;
    ngx_conf_bitmask_t  *m;

    if (backend->method) {
        return "is duplicate";
    }

    value = cf->args->elts;

    m = ngx_http_aggregate_find_method(&value[1]);

    if (m == NULL) {
        return ngx_http_aggregate_invalid(cf, &value[1],
                                  "must be GET, HEAD, POST, PUT, PATCH, "
                                  "DELETE or OPTIONS");
    }

    backend->method = m->mask;
    backend->method_name = m->name;

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    backend->timeout_where.file = cf->conf_file->file.name;
    backend->timeout_where.line = cf->conf_file->line;

    return ngx_http_aggregate_set_msec(cf, cmd, conf);
}


char *
ngx_http_aggregate_set_retry(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    backend->retry_where.file = cf->conf_file->file.name;
    backend->retry_where.line = cf->conf_file->line;

    return ngx_http_aggregate_set_num(cf, cmd, conf);
}


/* TIME [max=SHARE%] */

char *
ngx_http_aggregate_set_hedge(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    ngx_int_t                    time, percent;
    ngx_str_t                   *value;
    ngx_http_aggregate_hedge_t  *hedge;

    if (backend->hedge) {
        return "is duplicate";
    }

    value = cf->args->elts;

    time = ngx_parse_time(&value[1], 0);

    if (time == NGX_ERROR || time < 1
        || time > NGX_HTTP_AGGREGATE_HEDGE_MAX_TIME)
    {
        return ngx_http_aggregate_invalid(cf, &value[1],
                                          "must be a time from 1ms to 1h");
    }

    ngx_http_gw_warn_time(cf, &value[1]);

    percent = NGX_HTTP_AGGREGATE_HEDGE_PERCENT;

    if (cf->args->nelts == 3) {

        percent = (value[2].len > 5
                   && ngx_strncmp(value[2].data, "max=", 4) == 0
                   && value[2].data[value[2].len - 1] == '%')
                  ? ngx_atoi(value[2].data + 4, value[2].len - 5) : NGX_ERROR;

        if (percent < 1 || percent > 100) {
            return ngx_http_aggregate_invalid(cf, &value[2],
                                              "must be a share of the calls "
                                              "from \"max=1%\" to "
                                              "\"max=100%\"");
        }
    }

    hedge = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_hedge_t));
    if (hedge == NULL) {
        return NGX_CONF_ERROR;
    }

    hedge->delay = time;
    hedge->percent = percent;

    backend->hedge = hedge;
    backend->hedge_where.file = cf->conf_file->file.name;
    backend->hedge_where.line = cf->conf_file->line;

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_body(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    ngx_str_t  *value;

    if (backend->body != NGX_HTTP_AGGREGATE_NO_BODY) {
        return "is duplicate";
    }

    value = cf->args->elts;

    backend->body_where.file = cf->conf_file->file.name;
    backend->body_where.line = cf->conf_file->line;

    if (ngx_strcmp(value[1].data, "request") == 0) {
        backend->body = NGX_HTTP_AGGREGATE_REQUEST_BODY;
        backend->block->request_body = 1;
        return NGX_CONF_OK;
    }

    backend->body = NGX_HTTP_AGGREGATE_TEMPLATE_BODY;

    if (ngx_http_aggregate_set_template(cf, &backend->body_template,
                                        AGG_TEMPLATE_BODY, &value[1])
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    ngx_str_t                    *value;
    ngx_uint_t                    i;
    ngx_http_aggregate_header_t  *header;

    value = cf->args->elts;

    if (!ngx_http_aggregate_is_header_name(&value[1])) {
        return ngx_http_aggregate_invalid(cf, &value[1],
                                          "must be the name of a header");
    }

    if (agg_header_flags(value[1].data, value[1].len) & AGG_HEADER_NO_SET) {
        return ngx_http_aggregate_invalid(cf, &value[1],
                                          "is a header that nginx sets");
    }

    if (backend->headers == NULL) {
        backend->headers = ngx_array_create(cf->pool, 4,
                                         sizeof(ngx_http_aggregate_header_t));
        if (backend->headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    header = backend->headers->elts;

    for (i = 0; i < backend->headers->nelts; i++) {

        if (header[i].name.name.len == value[1].len
            && ngx_strncasecmp(header[i].name.name.data, value[1].data,
                               value[1].len)
               == 0)
        {
            return ngx_http_aggregate_invalid(cf, &value[1],
                                              "is set twice");
        }
    }

    header = ngx_array_push(backend->headers);
    if (header == NULL) {
        return NGX_CONF_ERROR;
    }

    header->name.name = value[1];
    header->where.file = cf->conf_file->file.name;
    header->where.line = cf->conf_file->line;

    if (ngx_http_aggregate_lowcase(cf, &header->name.lowcase_name, &value[1])
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_aggregate_set_template(cf, &header->value,
                                        AGG_TEMPLATE_HEADER, &value[2])
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_pass_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (backend->pass_headers == NULL) {
        backend->pass_headers = ngx_array_create(cf->pool, 4,
                                                 sizeof(ngx_str_t));
        if (backend->pass_headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strlchr(value[i].data, value[i].data + value[i].len, '*')) {
            return ngx_http_aggregate_invalid(cf, &value[i],
                                  "is not the name of a header, there are no "
                                  "wildcards: each header is named, as in "
                                  "\"pass_header ETag X-Total\"");
        }

        if (!ngx_http_aggregate_is_header_name(&value[i])) {
            return ngx_http_aggregate_invalid(cf, &value[i],
                                              "must be the name of a header");
        }

        if (agg_header_flags(value[i].data, value[i].len)
            & AGG_HEADER_NO_PASS)
        {
            return ngx_http_aggregate_invalid(cf, &value[i],
                                  "is a header that the aggregate makes "
                                  "itself or that never passes");
        }

        if (ngx_http_aggregate_add_lowcase(cf, backend->pass_headers,
                                           &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_if(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    ngx_str_t  *value, name;

    if (backend->if_index != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '$') {
        return ngx_http_aggregate_invalid(cf, &value[1],
                                          "must be a variable");
    }

    name.data = value[1].data + 1;
    name.len = value[1].len - 1;

    backend->if_index = ngx_http_aggregate_variable_used(cf, &name);
    if (backend->if_index == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_each(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_backend_t *backend = conf;

    u_char       *dot;
    agg_str_t     path;
    ngx_str_t    *value;
    agg_error_t   err;

    if (backend->each.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    backend->each = value[1];
    backend->each_where.file = cf->conf_file->file.name;
    backend->each_where.line = cf->conf_file->line;

    dot = ngx_strlchr(value[1].data, value[1].data + value[1].len, '.');

    if (dot == NULL) {
        dot = value[1].data + value[1].len;
    }

    backend->each_name.data = value[1].data;
    backend->each_name.len = dot - value[1].data;

    path.data = dot;
    path.len = value[1].data + value[1].len - dot;

    if (path.len == 0) {
        path.data = (u_char *) ".";
        path.len = 1;
    }

    backend->each_path = agg_path_parse(ngx_http_aggregate_mem(cf->pool),
                                   &path,
                                   AGG_PATH_NO_WILDCARD|AGG_PATH_ROOT_OK,
                                   &err);

    if (backend->each_path == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid path \"%V\" in \"each\": %s at offset %uz",
                           &value[1], err.text,
                           err.offset + backend->each_name.len);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * A variable's index is its number among nginx's variables, and -1 - N for
 * the capture $N of the location's regular expression.
 */

ngx_int_t
ngx_http_aggregate_set_template(ngx_conf_t *cf, agg_template_t *t,
    agg_template_e kind, ngx_str_t *text)
{
    size_t        i;
    agg_rc_e      rc;
    agg_str_t     s;
    ngx_str_t     name, *args;
    agg_error_t   err;
    agg_piece_t  *piece;

    s.data = text->data;
    s.len = text->len;

    err.text = "no memory";
    err.offset = 0;

    rc = agg_template_parse(t, kind, &s, ngx_http_aggregate_mem(cf->pool),
                            &err);
    if (rc != AGG_OK) {
        args = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid %s \"%V\" in \"%V\": %s at offset %uz",
                           kind == AGG_TEMPLATE_URI ? "URI"
                           : kind == AGG_TEMPLATE_BODY ? "body" : "value",
                           text, &args[0], err.text, err.offset);
        return NGX_ERROR;
    }

    for (i = 0; i < t->npieces; i++) {
        piece = &t->pieces[i];

        if (piece->kind != AGG_PIECE_VARIABLE) {
            continue;
        }

        if (piece->text.data[0] >= '1' && piece->text.data[0] <= '9') {
            piece->index = -1 - (piece->text.data[0] - '0');
            continue;
        }

        name.data = piece->text.data;
        name.len = piece->text.len;

        piece->index = ngx_http_aggregate_variable_used(cf, &name);
        if (piece->index == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
