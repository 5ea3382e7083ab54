
#include "ngx_http_aggregate_graphql.h"
#include "ngx_http_aggregate_inherit.h"


static ngx_int_t ngx_http_aggregate_graphql_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_aggregate_graphql_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_aggregate_graphql_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_aggregate_graphql_too_large(ngx_conf_t *cf);


static ngx_command_t  ngx_http_aggregate_graphql_commands[] = {

    { ngx_string("aggregate_graphql"),
      NGX_HTTP_LOC_CONF|NGX_CONF_BLOCK|NGX_CONF_1MORE,
      ngx_http_aggregate_graphql_block,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("aggregate_graphql_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_aggregate_graphql_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aggregate_graphql_module_ctx = {
    ngx_http_aggregate_graphql_preconfiguration,
                                           /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_aggregate_graphql_create_loc_conf,
                                           /* create location configuration */
    ngx_http_aggregate_graphql_merge_loc_conf
                                           /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_graphql_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_graphql_module_ctx,/* module context */
    ngx_http_aggregate_graphql_commands,   /* module directives */
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


static ngx_int_t
ngx_http_aggregate_graphql_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_aggregate_graphql_add_variables(cf);
}


static void *
ngx_http_aggregate_graphql_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_aggregate_graphql_loc_conf_t));
}


static char *
ngx_http_aggregate_graphql_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_aggregate_graphql_loc_conf_t *prev = parent;
    ngx_http_aggregate_graphql_loc_conf_t *conf = child;

    if (ngx_http_aggregate_inherits_handler(cf,
                                            ngx_http_aggregate_graphql_handler,
                                            conf->conf, prev->conf))
    {
        conf->conf = prev->conf;
    }

    return conf->conf ? ngx_http_aggregate_graphql_too_large(cf) : NGX_CONF_OK;
}


/*
 * nginx refuses a body over "client_max_body_size" before it calls a handler.
 * Through an error page the handler is called nevertheless, if the location has
 * an exact URI and no other error page for 413.
 */

static char *
ngx_http_aggregate_graphql_too_large(ngx_conf_t *cf)
{
    ngx_uint_t                 i, n;
    ngx_array_t               *pages;
    ngx_http_err_page_t       *page, *old;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!clcf->exact_match
        || clcf->handler != ngx_http_aggregate_graphql_handler)
    {
        return NGX_CONF_OK;
    }

    old = clcf->error_pages ? clcf->error_pages->elts : NULL;
    n = clcf->error_pages ? clcf->error_pages->nelts : 0;

    for (i = 0; i < n; i++) {
        if (old[i].status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            return NGX_CONF_OK;
        }
    }

    /* the array may be shared with the server level */

    pages = ngx_array_create(cf->pool, n + 1, sizeof(ngx_http_err_page_t));
    if (pages == NULL) {
        return NGX_CONF_ERROR;
    }

    page = ngx_array_push_n(pages, n + 1);

    if (n) {
        ngx_memcpy(page, old, n * sizeof(ngx_http_err_page_t));
    }

    page += n;

    ngx_memzero(page, sizeof(ngx_http_err_page_t));

    page->status = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    page->overwrite = -1;
    page->value.value = clcf->name;

    clcf->error_pages = pages;

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_aggregate_graphql_is_on(ngx_http_request_t *r,
    ngx_http_aggregate_graphql_switch_t *s)
{
    ngx_http_variable_value_t  *v;

    if (s->index == NGX_CONF_UNSET) {
        return s->on;
    }

    v = ngx_http_get_flushed_variable(r, s->index);

    return v != NULL && !v->not_found && v->len != 0
           && !(v->len == 1 && v->data[0] == '0');
}
