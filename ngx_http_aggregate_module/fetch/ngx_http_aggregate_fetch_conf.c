
/* see ngx_http_aggregate_fetch_conf.h */

#include "ngx_http_aggregate_fetch_conf.h"
#include "agg_header_names.h"


ngx_http_aggregate_bounds_t  ngx_http_aggregate_limit_time =
    { 1, 3600000, "must be a time from 1ms to 1h" };

ngx_http_aggregate_bounds_t  ngx_http_aggregate_limit_concurrency =
    { 1, 200, "must be a number from 1 to 200" };

ngx_http_aggregate_bounds_t  ngx_http_aggregate_limit_subrequests =
    { 1, 10000, "must be a number from 1 to 10000" };

ngx_http_aggregate_bounds_t  ngx_http_aggregate_limit_size =
    { 1, 1024 * 1024 * 1024, "must be a size from 1 to 1g" };


static ngx_conf_bitmask_t  ngx_http_aggregate_method_names[] = {
    { ngx_string("GET"), NGX_HTTP_GET },
    { ngx_string("HEAD"), NGX_HTTP_HEAD },
    { ngx_string("POST"), NGX_HTTP_POST },
    { ngx_string("PUT"), NGX_HTTP_PUT },
    { ngx_string("PATCH"), NGX_HTTP_PATCH },
    { ngx_string("DELETE"), NGX_HTTP_DELETE },
    { ngx_string("OPTIONS"), NGX_HTTP_OPTIONS },
    { ngx_null_string, 0 }
};


char *
ngx_http_aggregate_set_forward(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_aggregate_forward_t  **field, *forward;

    field = (ngx_http_aggregate_forward_t **) ((char *) conf + cmd->offset);

    if (*field) {
        return "is duplicate";
    }

    forward = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_forward_t));
    if (forward == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_array_init(&forward->names, cf->pool, 4, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    *field = forward;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "all") == 0
            || ngx_strcmp(value[i].data, "none") == 0)
        {
            if (cf->args->nelts > 2) {
                return ngx_http_aggregate_invalid(cf, &value[i],
                                  "must be \"all\", \"none\" or names of "
                                  "headers");
            }

            forward->all = (value[i].data[0] == 'a');

            return NGX_CONF_OK;
        }

        if (ngx_strlchr(value[i].data, value[i].data + value[i].len, '*')) {
            return ngx_http_aggregate_invalid(cf, &value[i],
                                  "is not the name of a header, did you mean "
                                  "\"all\"?");
        }

        if (!ngx_http_aggregate_is_header_name(&value[i])) {
            return ngx_http_aggregate_invalid(cf, &value[i],
                                              "must be the name of a header");
        }

        if (ngx_http_aggregate_add_lowcase(cf, &forward->names, &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_aggregate_set_methods(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_aggregate_methods_bounds_t *bounds = cmd->post;

    size_t                         len;
    u_char                        *p;
    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_conf_bitmask_t            *m;
    ngx_http_aggregate_methods_t  *field;

    field = (ngx_http_aggregate_methods_t *) ((char *) conf + cmd->offset);

    if (field->mask) {
        return "is duplicate";
    }

    len = 0;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        m = ngx_http_aggregate_find_method(&value[i]);

        if (m == NULL || !(m->mask & bounds->mask)) {
            return ngx_http_aggregate_invalid(cf, &value[i], bounds->text);
        }

        if (field->mask & m->mask) {
            return ngx_http_aggregate_invalid(cf, &value[i],
                                              "is named twice");
        }

        field->mask |= m->mask;
        len += value[i].len + sizeof(", ") - 1;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    field->allow.data = p;

    for (i = 1; i < cf->args->nelts; i++) {
        p = ngx_sprintf(p, "%s%V", i > 1 ? ", " : "", &value[i]);
    }

    field->allow.len = p - field->allow.data;

    return NGX_CONF_OK;
}


ngx_conf_bitmask_t *
ngx_http_aggregate_find_method(ngx_str_t *name)
{
    ngx_conf_bitmask_t  *m;

    for (m = ngx_http_aggregate_method_names; m->name.len; m++) {

        if (m->name.len == name->len
            && ngx_strncmp(m->name.data, name->data, name->len) == 0)
        {
            return m;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_aggregate_is_header_name(ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < name->len; i++) {
        if (!agg_is_token(name->data[i])) {
            return 0;
        }
    }

    return name->len != 0;
}


ngx_int_t
ngx_http_aggregate_lowcase(ngx_conf_t *cf, ngx_str_t *dst, ngx_str_t *src)
{
    dst->len = src->len;
    dst->data = ngx_pnalloc(cf->pool, src->len);

    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(dst->data, src->data, src->len);

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_add_lowcase(ngx_conf_t *cf, ngx_array_t *names,
    ngx_str_t *name)
{
    ngx_str_t  *added;

    added = ngx_array_push(names);

    return added ? ngx_http_aggregate_lowcase(cf, added, name) : NGX_ERROR;
}
