
/* see ngx_http_aggregate_setters.h */

#include "ngx_http_aggregate_setters.h"
#include "ngx_http_gw_written.h"


#define NGX_HTTP_AGGREGATE_SECRET_MAX  4095


static char *ngx_http_aggregate_secret_env(ngx_conf_t *cf, u_char *name,
    ngx_str_t *secret);
static char *ngx_http_aggregate_secret_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *secret);


char *
ngx_http_aggregate_invalid(ngx_conf_t *cf, ngx_str_t *value, const char *text)
{
    ngx_str_t  *args;

    args = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\", %s",
                       value, &args[0], text);

    return NGX_CONF_ERROR;
}


char *
ngx_http_aggregate_set_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_bounds_t *bounds = cmd->post;

    ngx_str_t   *value;
    ngx_int_t    n;
    ngx_msec_t  *field;

    field = (ngx_msec_t *) ((char *) conf + cmd->offset);

    if (*field != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_parse_time(&value[1], 0);

    if (n == NGX_ERROR || n < bounds->least || n > bounds->most) {
        return ngx_http_aggregate_invalid(cf, &value[1], bounds->text);
    }

    ngx_http_gw_warn_time(cf, &value[1]);

    *field = n;

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_num(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_bounds_t *bounds = cmd->post;

    ngx_str_t  *value;
    ngx_int_t   n, *field;

    field = (ngx_int_t *) ((char *) conf + cmd->offset);

    if (*field != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n < bounds->least || n > bounds->most) {
        return ngx_http_aggregate_invalid(cf, &value[1], bounds->text);
    }

    *field = n;

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_bounds_t *bounds = cmd->post;

    off_t       n;
    size_t     *field;
    ngx_str_t  *value;

    field = (size_t *) ((char *) conf + cmd->offset);

    if (*field != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_parse_offset(&value[1]);

    if (n == NGX_ERROR || n < bounds->least || n > bounds->most) {
        return ngx_http_aggregate_invalid(cf, &value[1], bounds->text);
    }

    *field = (size_t) n;

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_enum_t *words = cmd->post;

    ngx_str_t        *value;
    ngx_uint_t       *field;
    ngx_conf_enum_t  *e;

    field = (ngx_uint_t *) ((char *) conf + cmd->offset);

    if (*field != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (e = words->values; e->name.len; e++) {

        if (e->name.len == value[1].len
            && ngx_strncmp(e->name.data, value[1].data, e->name.len) == 0)
        {
            *field = e->value;
            return NGX_CONF_OK;
        }
    }

    return ngx_http_aggregate_invalid(cf, &value[1], words->text);
}


char *
ngx_http_aggregate_set_on_off(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t   *value;
    ngx_flag_t  *field;

    field = (ngx_flag_t *) ((char *) conf + cmd->offset);

    if (*field != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        *field = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        *field = 0;

    } else {
        return ngx_http_aggregate_invalid(cf, &value[1],
                                          "must be \"on\" or \"off\"");
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_text(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_bounds_t *bounds = cmd->post;

    ngx_str_t  *value, *field;

    field = (ngx_str_t *) ((char *) conf + cmd->offset);

    if (field->data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if ((off_t) value[1].len < bounds->least
        || (off_t) value[1].len > bounds->most)
    {
        return ngx_http_aggregate_invalid(cf, &value[1], bounds->text);
    }

    *field = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value, *field;

    field = (ngx_str_t *) ((char *) conf + cmd->offset);

    if (field->data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    return ngx_http_aggregate_read_secret(cf, &value[1], field);
}


char *
ngx_http_aggregate_read_secret(ngx_conf_t *cf, ngx_str_t *word,
    ngx_str_t *secret)
{
    ngx_str_t  name;

    if (ngx_strncmp(word->data, "env:", 4) == 0) {
        return ngx_http_aggregate_secret_env(cf, word->data + 4, secret);
    }

    if (ngx_strncmp(word->data, "file:", 5) == 0) {
        name.data = word->data + 5;
        name.len = word->len - 5;

        return ngx_http_aggregate_secret_file(cf, &name, secret);
    }

    if (word->len == 0) {
        return "must not be empty";
    }

    *secret = *word;

    return NGX_CONF_OK;
}


static char *
ngx_http_aggregate_secret_env(ngx_conf_t *cf, u_char *name,
    ngx_str_t *secret)
{
    ngx_str_t   text, *args;

    args = cf->args->elts;

    text.data = (u_char *) getenv((char *) name);

    if (text.data == NULL || *text.data == '\0') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no environment variable \"%s\" for \"%V\"",
                           name, &args[0]);
        return NGX_CONF_ERROR;
    }

    text.len = ngx_strlen(text.data);

    secret->len = text.len;
    secret->data = ngx_pstrdup(cf->pool, &text);

    return secret->data ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_aggregate_secret_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *secret)
{
    u_char    *buf;
    ssize_t    n;
    ngx_fd_t   fd;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    buf = ngx_pnalloc(cf->pool, NGX_HTTP_AGGREGATE_SECRET_MAX + 1);
    if (buf == NULL) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, buf, NGX_HTTP_AGGREGATE_SECRET_MAX + 1);

    (void) ngx_close_file(fd);

    if (n > NGX_HTTP_AGGREGATE_SECRET_MAX) {
        n = 0;
    }

    while (n > 0 && (buf[n - 1] == LF || buf[n - 1] == CR)) {
        n--;
    }

    if (n <= 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" does not hold a secret of 1 to 4095 bytes",
                           name);
        return NGX_CONF_ERROR;
    }

    secret->data = buf;
    secret->len = n;

    return NGX_CONF_OK;
}
