
/* see ngx_http_gw_variable.h */

#include "ngx_http_gw_variable.h"
#include "gw_text.h"


ngx_int_t
ngx_http_gw_add_variables(ngx_conf_t *cf, ngx_http_variable_t *vars)
{
    ngx_http_variable_t  *var, *v;

    for (v = vars; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_gw_variable_known(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_hash_key_t             *key;
    ngx_http_variable_t        *prefix;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {

        if (key[i].key.len == name->len
            && ngx_strncmp(key[i].key.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    prefix = cmcf->prefix_variables.elts;

    for (i = 0; i < cmcf->prefix_variables.nelts; i++) {

        if (name->len >= prefix[i].name.len
            && ngx_strncmp(name->data, prefix[i].name.data,
                           prefix[i].name.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_gw_variable_next(ngx_str_t *text, ngx_str_t *name)
{
    u_char  *p, *end, ch;

    p = text->data;
    end = p + text->len;

    while (p < end) {

        if (*p++ != '$') {
            continue;
        }

        if (p < end && *p == '{') {
            p++;
        }

        name->data = p;

        while (p < end) {
            ch = *p | 0x20;

            if ((ch < 'a' || ch > 'z') && (*p < '0' || *p > '9') && *p != '_')
            {
                break;
            }

            p++;
        }

        name->len = p - name->data;

        if (name->len == 0 || (*name->data >= '1' && *name->data <= '9')) {
            continue;
        }

        text->data = p;
        text->len = end - p;

        return 1;
    }

    return 0;
}


void
ngx_http_gw_variable_unknown(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *file,
    ngx_uint_t line)
{
    ngx_uint_t                  i;
    gw_nearest_t                nearest;
    ngx_hash_key_t             *key;
    const ngx_str_t            *near;
    ngx_http_core_main_conf_t  *cmcf;

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "unknown variable \"$%V\" in %V:%ui", name, file, line);

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    key = cmcf->variables_keys->keys.elts;

    gw_nearest_init(&nearest, name->data, name->len);

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        gw_nearest_try(&nearest, key[i].key.data, key[i].key.len, &key[i].key);
    }

    near = nearest.item;

    if (near) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "did you mean \"$%V\" instead of \"$%V\" in %V:%ui?",
                      near, name, file, line);
    }
}
