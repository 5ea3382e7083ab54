
/*
 * Plans that a worker keeps: a document that was parsed and validated, by the
 * hash of its text and of the operation's name.  The last used come first; a
 * plan that is thrown out while requests use it goes with the last of them.
 */

#include "ngx_http_aggregate_graphql.h"


static void *ngx_http_aggregate_graphql_plan_alloc(void *ctx, size_t size);
static void *ngx_http_aggregate_graphql_plan_grow(void *ctx, void *p,
    size_t used, size_t size);
static void ngx_http_aggregate_graphql_plan_drop(
    ngx_http_aggregate_graphql_plan_t *plan);
static void ngx_http_aggregate_graphql_plan_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_rbtree_key_t ngx_http_aggregate_graphql_plan_key(u_char *key);


void
ngx_http_aggregate_graphql_plans_init(ngx_http_aggregate_graphql_conf_t *gcf)
{
    ngx_queue_init(&gcf->plans);

    ngx_rbtree_init(&gcf->plan_tree, &gcf->plan_sentinel,
                    ngx_http_aggregate_graphql_plan_insert);
}


/* the configuration goes: no request uses any of them */

void
ngx_http_aggregate_graphql_plans_free(void *data)
{
    ngx_http_aggregate_graphql_conf_t *gcf = data;

    ngx_queue_t                        *q;
    ngx_http_aggregate_graphql_plan_t  *plan;

    while (!ngx_queue_empty(&gcf->plans)) {
        q = ngx_queue_head(&gcf->plans);
        plan = ngx_queue_data(q, ngx_http_aggregate_graphql_plan_t, queue);

        ngx_queue_remove(q);
        ngx_destroy_pool(plan->pool);
    }
}


ngx_http_aggregate_graphql_plan_t *
ngx_http_aggregate_graphql_plan_find(ngx_http_aggregate_graphql_conf_t *gcf,
    u_char *key)
{
    ngx_int_t                           rc;
    ngx_rbtree_key_t                    hash;
    ngx_rbtree_node_t                  *node, *sentinel;
    ngx_http_aggregate_graphql_plan_t  *plan;

    hash = ngx_http_aggregate_graphql_plan_key(key);

    node = gcf->plan_tree.root;
    sentinel = gcf->plan_tree.sentinel;

    while (node != sentinel) {

        plan = (ngx_http_aggregate_graphql_plan_t *) node;

        rc = (hash < node->key) ? -1
             : (hash > node->key) ? 1
             : ngx_memcmp(key, plan->key, NGX_HTTP_AGGREGATE_GRAPHQL_HASH);

        if (rc == 0) {
            ngx_queue_remove(&plan->queue);
            ngx_queue_insert_head(&gcf->plans, &plan->queue);

            plan->refs++;

            return plan;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


ngx_http_aggregate_graphql_plan_t *
ngx_http_aggregate_graphql_plan_create(ngx_http_aggregate_graphql_conf_t *gcf,
    u_char *key, ngx_log_t *log)
{
    ngx_pool_t                         *pool;
    ngx_http_aggregate_graphql_plan_t  *plan;

    pool = ngx_create_pool(4096, log);
    if (pool == NULL) {
        return NULL;
    }

    plan = ngx_pcalloc(pool, sizeof(ngx_http_aggregate_graphql_plan_t));
    if (plan == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    /* the plan outlives the request and its log */

    pool->log = ngx_cycle->log;

    plan->conf = gcf;
    plan->pool = pool;
    plan->size = 4096;
    plan->refs = 1;

    plan->mem.alloc = ngx_http_aggregate_graphql_plan_alloc;
    plan->mem.grow = ngx_http_aggregate_graphql_plan_grow;
    plan->mem.ctx = plan;

    ngx_memcpy(plan->key, key, NGX_HTTP_AGGREGATE_GRAPHQL_HASH);

    plan->node.key = ngx_http_aggregate_graphql_plan_key(key);

    return plan;
}


/* the document was found valid */

void
ngx_http_aggregate_graphql_plan_keep(ngx_http_aggregate_graphql_plan_t *plan)
{
    ngx_http_aggregate_graphql_conf_t  *gcf;

    gcf = plan->conf;

    if (gcf->plan_cache == 0) {
        return;
    }

    plan->cached = 1;
    plan->counted = 0;

    ngx_rbtree_insert(&gcf->plan_tree, &plan->node);
    ngx_queue_insert_head(&gcf->plans, &plan->queue);
}


/* a plan may have grown; what is too much now goes from the end of the queue */

void
ngx_http_aggregate_graphql_plan_release(
    ngx_http_aggregate_graphql_plan_t *plan)
{
    ngx_queue_t                        *q;
    ngx_http_aggregate_graphql_conf_t  *gcf;

    gcf = plan->conf;

    plan->refs--;

    if (!plan->cached) {

        if (plan->refs == 0) {
            ngx_destroy_pool(plan->pool);
        }

        return;
    }

    gcf->plan_size += plan->size - plan->counted;
    plan->counted = plan->size;

    while (gcf->plan_size > gcf->plan_cache && !ngx_queue_empty(&gcf->plans)) {
        q = ngx_queue_last(&gcf->plans);

        ngx_http_aggregate_graphql_plan_drop(
                ngx_queue_data(q, ngx_http_aggregate_graphql_plan_t, queue));
    }
}


static void
ngx_http_aggregate_graphql_plan_drop(ngx_http_aggregate_graphql_plan_t *plan)
{
    plan->conf->plan_size -= plan->counted;
    plan->cached = 0;

    ngx_queue_remove(&plan->queue);
    ngx_rbtree_delete(&plan->conf->plan_tree, &plan->node);

    if (plan->refs == 0) {
        ngx_destroy_pool(plan->pool);
    }
}


static void *
ngx_http_aggregate_graphql_plan_alloc(void *ctx, size_t size)
{
    ngx_http_aggregate_graphql_plan_t *plan = ctx;

    plan->size += size;

    return ngx_palloc(plan->pool, size);
}


static void *
ngx_http_aggregate_graphql_plan_grow(void *ctx, void *p, size_t used,
    size_t size)
{
    ngx_http_aggregate_graphql_plan_t *plan = ctx;

    void  *block;

    if (size == 0) {
        return NULL;
    }

    plan->size += size;

    block = ngx_palloc(plan->pool, size);

    if (block && p) {
        ngx_memcpy(block, p, used);

        if (ngx_pfree(plan->pool, p) == NGX_OK) {
            plan->size -= used;
        }
    }

    return block;
}


static void
ngx_http_aggregate_graphql_plan_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t                  **p;
    ngx_http_aggregate_graphql_plan_t   *plan, *other;

    plan = (ngx_http_aggregate_graphql_plan_t *) node;

    for ( ;; ) {

        other = (ngx_http_aggregate_graphql_plan_t *) temp;

        p = (node->key < temp->key
             || (node->key == temp->key
                 && ngx_memcmp(plan->key, other->key,
                               NGX_HTTP_AGGREGATE_GRAPHQL_HASH) < 0))
            ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_rbtree_key_t
ngx_http_aggregate_graphql_plan_key(u_char *key)
{
    ngx_rbtree_key_t  hash;

    ngx_memcpy(&hash, key, sizeof(ngx_rbtree_key_t));

    return hash;
}
