
#include "ngx_http_aggregate_depends.h"
#include "ngx_http_aggregate_ctx.h"


/* the last bit stands for all further variables: no key has them */

#define NGX_HTTP_AGGREGATE_DEPENDS_MAX  (8 * sizeof(uintptr_t) - 1)


typedef struct {
    ngx_array_t                        names;      /* ngx_str_t */
} ngx_http_aggregate_depends_conf_t;


typedef struct {
    ngx_http_request_t                *request;
    uintptr_t                          read;       /* a bit for each name */
    uintptr_t                          below;      /* by subrequests */
    ngx_str_t                          header;     /* it varies by this */
    ngx_uint_t                         identity;
} ngx_http_aggregate_depends_ctx_t;


static ngx_uint_t ngx_http_aggregate_depends_names(ngx_str_t *text,
    ngx_str_t *name);
static ngx_http_aggregate_depends_ctx_t *ngx_http_aggregate_depends_get(
    ngx_http_request_t *r);
static ngx_http_aggregate_depends_ctx_t *ngx_http_aggregate_depends_create(
    ngx_http_request_t *r);
static void *ngx_http_aggregate_depends_create_conf(ngx_conf_t *cf);
static void ngx_http_aggregate_depends_keep(void *data);


static ngx_http_module_t  ngx_http_aggregate_depends_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_aggregate_depends_create_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_aggregate_depends_module = {
    NGX_MODULE_V1,
    &ngx_http_aggregate_depends_module_ctx, /* module context */
    NULL,                                  /* module directives */
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


ngx_int_t
ngx_http_aggregate_depends_add(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_str_t                          *n;
    ngx_http_aggregate_depends_conf_t  *dcf;

    dcf = ngx_http_conf_get_module_main_conf(cf,
                                           ngx_http_aggregate_depends_module);

    n = ngx_array_push(&dcf->names);
    if (n == NULL) {
        return NGX_ERROR;
    }

    *n = *name;

    return (ngx_int_t) dcf->names.nelts - 1;
}


ngx_int_t
ngx_http_aggregate_depend(ngx_http_request_t *r, ngx_uint_t n)
{
    uintptr_t                          bit;
    ngx_http_request_t                *pr;
    ngx_http_aggregate_depends_ctx_t  *ctx;

    n = ngx_min(n, NGX_HTTP_AGGREGATE_DEPENDS_MAX);
    bit = (uintptr_t) 1 << n;

    for (pr = r; pr; pr = pr->parent) {

        ctx = ngx_http_aggregate_depends_create(pr);
        if (ctx == NULL) {
            return NGX_ERROR;
        }

        if (pr == r) {
            ctx->read |= bit;

        } else {
            ctx->below |= bit;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_aggregate_depend_header(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_http_aggregate_depends_ctx_t  *ctx;

    for ( /* void */ ; r; r = r->parent) {

        ctx = ngx_http_aggregate_depends_create(r);
        if (ctx == NULL) {
            return NGX_ERROR;
        }

        ctx->header = *name;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_aggregate_depends_header(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_http_aggregate_depends_ctx_t  *ctx;

    ctx = ngx_http_aggregate_depends_get(r);

    if (ctx == NULL || ctx->header.len == 0) {
        return 0;
    }

    *name = ctx->header;

    return 1;
}


ngx_int_t
ngx_http_aggregate_depend_identity(ngx_http_request_t *r)
{
    ngx_http_aggregate_depends_ctx_t  *ctx;

    for ( /* void */ ; r; r = r->parent) {

        ctx = ngx_http_aggregate_depends_create(r);
        if (ctx == NULL) {
            return NGX_ERROR;
        }

        ctx->identity = 1;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_aggregate_depends_identity(ngx_http_request_t *r)
{
    ngx_http_aggregate_depends_ctx_t  *ctx;

    ctx = ngx_http_aggregate_depends_get(r);

    return ctx != NULL && ctx->identity;
}


/* the context that there is, or a new one */

static ngx_http_aggregate_depends_ctx_t *
ngx_http_aggregate_depends_create(ngx_http_request_t *r)
{
    ngx_http_aggregate_depends_ctx_t  *ctx;

    ctx = ngx_http_aggregate_depends_get(r);

    if (ctx) {
        return ctx;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_aggregate_depends_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;

    if (ngx_http_aggregate_ctx_keep(r, ctx, &ngx_http_aggregate_depends_module,
                                    ngx_http_aggregate_depends_keep)
        != NGX_OK)
    {
        return NULL;
    }

    return ctx;
}


static ngx_http_aggregate_depends_ctx_t *
ngx_http_aggregate_depends_get(ngx_http_request_t *r)
{
    return ngx_http_aggregate_ctx_find(r, &ngx_http_aggregate_depends_module,
                                       ngx_http_aggregate_depends_keep);
}


static void
ngx_http_aggregate_depends_keep(void *data)
{
    /* a mark by which the context is found */
}


ngx_str_t *
ngx_http_aggregate_depends(ngx_http_request_t *r, ngx_str_t *one,
    ngx_str_t *two)
{
    uintptr_t                           mask;
    ngx_str_t                          *names;
    ngx_uint_t                          i;
    ngx_http_request_t                 *pr;
    ngx_http_aggregate_depends_ctx_t   *ctx;
    ngx_http_aggregate_depends_conf_t  *dcf;

    dcf = ngx_http_get_module_main_conf(r, ngx_http_aggregate_depends_module);

    if (dcf->names.nelts == 0) {
        return NULL;
    }

    mask = 0;

    for (pr = r; pr; pr = pr->parent) {

        ctx = ngx_http_aggregate_depends_get(pr);

        if (ctx != NULL) {
            mask |= (pr == r) ? ctx->read | ctx->below : ctx->read;
        }
    }

    if (mask == 0) {
        return NULL;
    }

    names = dcf->names.elts;

    for (i = 0; i <= NGX_HTTP_AGGREGATE_DEPENDS_MAX; i++) {

        if (!((mask >> i) & 1)) {
            continue;
        }

        if (i < NGX_HTTP_AGGREGATE_DEPENDS_MAX
            && ((one && ngx_http_aggregate_depends_names(one, &names[i]))
                || (two && ngx_http_aggregate_depends_names(two, &names[i]))))
        {
            continue;
        }

        return &names[i];
    }

    return NULL;
}


/* whether a text has "$name" or "${name}" */

static ngx_uint_t
ngx_http_aggregate_depends_names(ngx_str_t *text, ngx_str_t *name)
{
    u_char  *p, *last, ch;

    p = text->data;
    last = p + text->len;

    while (p < last) {

        if (*p++ != '$') {
            continue;
        }

        if (p < last && *p == '{') {
            p++;
        }

        if ((size_t) (last - p) < name->len
            || ngx_strncasecmp(p, name->data, name->len) != 0)
        {
            continue;
        }

        if ((size_t) (last - p) == name->len) {
            return 1;
        }

        ch = p[name->len] | 0x20;

        if ((ch < 'a' || ch > 'z') && p[name->len] != '_'
            && (p[name->len] < '0' || p[name->len] > '9'))
        {
            return 1;
        }
    }

    return 0;
}


static void *
ngx_http_aggregate_depends_create_conf(ngx_conf_t *cf)
{
    ngx_http_aggregate_depends_conf_t  *dcf;

    dcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_depends_conf_t));
    if (dcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&dcf->names, cf->pool, 4, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NULL;
    }

    return dcf;
}
