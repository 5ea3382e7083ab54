
/*
 * Subrequests that modules such as lua create within a part.  A part may end
 * before them, because it is cancelled or its module fails.  At its end, such a
 * subrequest would make itself and then the part the active request of the
 * connection, and release its reference to the main request without checking
 * whether that was the last one: the client's response would wait for ever, or
 * the connection would stay open.  So it ends like one in the background.
 */

#include "ngx_http_aggregate_fetch_core.h"


typedef struct {
    ngx_http_post_subrequest_t    post;
    ngx_http_post_subrequest_t   *next;
    ngx_http_aggregate_try_t     *part;
} ngx_http_aggregate_child_t;


static ngx_int_t ngx_http_aggregate_child_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_aggregate_child_finished(ngx_http_request_t *r,
    void *data, ngx_int_t rc);


ngx_int_t
ngx_http_aggregate_child_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /* the first phase of a subrequest */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_SERVER_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_aggregate_child_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_aggregate_child_handler(ngx_http_request_t *r)
{
    ngx_http_aggregate_try_t    *t;
    ngx_http_aggregate_child_t  *child;

    if (r == r->main || r->post_subrequest == NULL
        || r->post_subrequest->handler == ngx_http_aggregate_child_finished)
    {
        return NGX_DECLINED;
    }

    t = ngx_http_aggregate_find_try(r);

    if (t == NULL || t->request == r) {
        return NGX_DECLINED;
    }

    child = ngx_palloc(r->pool, sizeof(ngx_http_aggregate_child_t));
    if (child == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    child->post.handler = ngx_http_aggregate_child_finished;
    child->post.data = child;
    child->next = r->post_subrequest;
    child->part = t;

    r->post_subrequest = &child->post;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_aggregate_child_finished(ngx_http_request_t *r, void *data,
    ngx_int_t rc)
{
    ngx_http_aggregate_child_t *child = data;

    rc = child->next->handler(r, child->next->data, rc);

    if (child->part->finalized && !r->connection->error) {
        ngx_http_aggregate_give_back(r);

        r->background = 1;
    }

    return rc;
}
