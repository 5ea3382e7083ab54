
#include "ngx_http_aggregate_ctx.h"


/* the context of a subrequest, by the address of its request */

typedef struct {
    ngx_rbtree_node_t    node;
    void                *ctx;
    ngx_pool_cleanup_pt  handler;
} ngx_http_aggregate_ctx_node_t;


static ngx_int_t ngx_http_aggregate_ctx_index(ngx_http_request_t *r,
    void *ctx, ngx_pool_cleanup_pt handler);
static void ngx_http_aggregate_ctx_unindex(void *data);
static void *ngx_http_aggregate_ctx_lookup(ngx_http_request_t *r,
    ngx_pool_cleanup_pt handler);


static ngx_rbtree_t       ngx_http_aggregate_ctx_tree;
static ngx_rbtree_node_t  ngx_http_aggregate_ctx_sentinel;


ngx_int_t
ngx_http_aggregate_ctx_keep(ngx_http_request_t *r, void *ctx,
    ngx_module_t *module, ngx_pool_cleanup_pt handler)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = handler;
    cln->data = ctx;

    r->ctx[module->ctx_index] = ctx;

    return (r == r->main) ? NGX_OK
                          : ngx_http_aggregate_ctx_index(r, ctx, handler);
}


/*
 * The main request and all its subrequests share one list of cleanups, and
 * there may be thousands of them, so a tree is used.
 */

static ngx_int_t
ngx_http_aggregate_ctx_index(ngx_http_request_t *r, void *ctx,
    ngx_pool_cleanup_pt handler)
{
    ngx_pool_cleanup_t             *cln;
    ngx_http_aggregate_ctx_node_t  *node;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_aggregate_ctx_node_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_aggregate_ctx_tree.root == NULL) {
        ngx_rbtree_init(&ngx_http_aggregate_ctx_tree,
                        &ngx_http_aggregate_ctx_sentinel,
                        ngx_rbtree_insert_value);
    }

    node = cln->data;

    node->node.key = (ngx_rbtree_key_t) (uintptr_t) r;
    node->ctx = ctx;
    node->handler = handler;

    ngx_rbtree_insert(&ngx_http_aggregate_ctx_tree, &node->node);

    cln->handler = ngx_http_aggregate_ctx_unindex;

    return NGX_OK;
}


static void
ngx_http_aggregate_ctx_unindex(void *data)
{
    ngx_http_aggregate_ctx_node_t *node = data;

    ngx_rbtree_delete(&ngx_http_aggregate_ctx_tree, &node->node);
}


void *
ngx_http_aggregate_ctx_kept(ngx_http_request_t *r,
    ngx_pool_cleanup_pt handler)
{
    ngx_pool_cleanup_t   *cln;
    ngx_http_request_t  **owner;

    if (r != r->main) {
        return ngx_http_aggregate_ctx_lookup(r, handler);
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != handler) {
            continue;
        }

        owner = cln->data;

        if (*owner == r) {
            return owner;
        }
    }

    return NULL;
}


static void *
ngx_http_aggregate_ctx_lookup(ngx_http_request_t *r,
    ngx_pool_cleanup_pt handler)
{
    ngx_rbtree_key_t                key;
    ngx_http_request_t            **owner;
    ngx_rbtree_node_t              *node, *first;
    ngx_http_aggregate_ctx_node_t  *found;

    key = (ngx_rbtree_key_t) (uintptr_t) r;
    node = ngx_http_aggregate_ctx_tree.root;
    first = NULL;

    while (node != NULL && node != &ngx_http_aggregate_ctx_sentinel) {

        if (node->key < key) {
            node = node->right;
            continue;
        }

        if (node->key == key) {
            first = node;
        }

        node = node->left;
    }

    for (node = first;
         node != NULL && node->key == key;
         node = ngx_rbtree_next(&ngx_http_aggregate_ctx_tree, node))
    {
        found = (ngx_http_aggregate_ctx_node_t *) (void *) node;
        owner = found->ctx;

        /* a context whose request was lost may still be in the tree */

        if (found->handler == handler && *owner == r) {
            return owner;
        }
    }

    return NULL;
}
