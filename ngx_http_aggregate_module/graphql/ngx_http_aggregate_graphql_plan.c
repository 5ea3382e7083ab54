
/*
 * The plan cache of a worker: parsed and validated documents, by their text,
 * the operation's name, and whether introspection is allowed.  The most
 * recently used come first.  A plan that is removed while requests use it is
 * freed with the last of them.
 */

#include "ngx_http_aggregate_graphql.h"
#include "gw_siphash.h"


static void *ngx_http_aggregate_graphql_plan_alloc(void *ctx, size_t size);
static void *ngx_http_aggregate_graphql_plan_grow(void *ctx, void *p,
    size_t used, size_t size);
static void ngx_http_aggregate_graphql_plan_drop(
    ngx_http_aggregate_graphql_plan_t *plan);
static ngx_rbtree_key_t ngx_http_aggregate_graphql_plan_hash(
    ngx_http_aggregate_graphql_op_t *op);
static ngx_uint_t ngx_http_aggregate_graphql_plan_is(
    ngx_http_aggregate_graphql_plan_t *plan,
    ngx_http_aggregate_graphql_op_t *op);


void
ngx_http_aggregate_graphql_plans_init(ngx_http_aggregate_graphql_conf_t *gcf)
{
    ngx_uint_t  i;

    ngx_queue_init(&gcf->plans);

    ngx_rbtree_init(&gcf->plan_tree, &gcf->plan_sentinel,
                    ngx_rbtree_insert_value);

    /* clients choose the documents, so the hash is keyed against collisions */

    for (i = 0; i < 4; i++) {
        gcf->plan_key[i / 2] = gcf->plan_key[i / 2] << 32
                               ^ (uint64_t) ngx_random();
    }
}


/* the configuration is freed: no request uses the plans any more */

void
ngx_http_aggregate_graphql_plans_free(void *data)
{
    ngx_http_aggregate_graphql_conf_t *gcf = data;

    ngx_queue_t                        *q, *next;
    ngx_http_aggregate_graphql_plan_t  *plan;

    for (q = ngx_queue_head(&gcf->plans);
         q != ngx_queue_sentinel(&gcf->plans);
         q = next)
    {
        next = ngx_queue_next(q);

        plan = ngx_queue_data(q, ngx_http_aggregate_graphql_plan_t, queue);
        ngx_destroy_pool(plan->pool);
    }
}


ngx_http_aggregate_graphql_plan_t *
ngx_http_aggregate_graphql_plan_find(ngx_http_aggregate_graphql_op_t *op)
{
    ngx_rbtree_key_t                    hash;
    ngx_rbtree_node_t                  *node, *sentinel;
    ngx_http_aggregate_graphql_conf_t  *gcf;
    ngx_http_aggregate_graphql_plan_t  *plan;

    gcf = op->ctx->conf;

    hash = ngx_http_aggregate_graphql_plan_hash(op);

    node = gcf->plan_tree.root;
    sentinel = gcf->plan_tree.sentinel;

    while (node != sentinel && node->key != hash) {
        node = (hash < node->key) ? node->left : node->right;
    }

    /* another document with the same hash is not found, but parsed again */

    plan = (ngx_http_aggregate_graphql_plan_t *) node;

    if (node == sentinel || !ngx_http_aggregate_graphql_plan_is(plan, op)) {
        return NULL;
    }

    ngx_queue_remove(&plan->queue);
    ngx_queue_insert_head(&gcf->plans, &plan->queue);

    plan->refs++;

    return plan;
}


static ngx_rbtree_key_t
ngx_http_aggregate_graphql_plan_hash(ngx_http_aggregate_graphql_op_t *op)
{
    uint64_t    key[2];
    agg_str_t  *name;

    name = &op->request.operation_name;

    key[0] = op->ctx->conf->plan_key[0];
    key[1] = op->ctx->conf->plan_key[1];

    key[0] = gw_siphash(key, op->text.data, op->text.len);

    if (name->len) {
        key[0] = gw_siphash(key, name->data, name->len);
    }

    return (ngx_rbtree_key_t) (key[0] ^ op->ctx->introspection);
}


static ngx_uint_t
ngx_http_aggregate_graphql_plan_is(ngx_http_aggregate_graphql_plan_t *plan,
    ngx_http_aggregate_graphql_op_t *op)
{
    agg_str_t  *text, *name;

    text = &plan->source.text;
    name = &op->request.operation_name;

    return plan->introspection == op->ctx->introspection
           && text->len == op->text.len
           && plan->name.len == name->len
           && ngx_memcmp(text->data, op->text.data, text->len) == 0
           && (name->len == 0
               || ngx_memcmp(plan->name.data, name->data, name->len) == 0);
}


/* copies the text, as the plan outlives the request */

ngx_http_aggregate_graphql_plan_t *
ngx_http_aggregate_graphql_plan_create(ngx_http_aggregate_graphql_op_t *op)
{
    u_char                             *p;
    agg_str_t                          *name;
    ngx_pool_t                         *pool;
    ngx_http_aggregate_graphql_plan_t  *plan;

    pool = ngx_create_pool(4096, op->ctx->request->connection->log);
    if (pool == NULL) {
        return NULL;
    }

    plan = ngx_pcalloc(pool, sizeof(ngx_http_aggregate_graphql_plan_t));
    if (plan == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    pool->log = ngx_cycle->log;

    plan->conf = op->ctx->conf;
    plan->pool = pool;
    plan->size = 4096;
    plan->refs = 1;

    plan->mem.alloc = ngx_http_aggregate_graphql_plan_alloc;
    plan->mem.grow = ngx_http_aggregate_graphql_plan_grow;
    plan->mem.ctx = plan;

    name = &op->request.operation_name;

    p = plan->mem.alloc(plan, op->text.len + name->len + 1);
    if (p == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    plan->source.text.data = p;
    plan->source.text.len = op->text.len;

    p = ngx_cpymem(p, op->text.data, op->text.len);

    plan->name.data = p;
    plan->name.len = name->len;

    if (name->len) {
        ngx_memcpy(p, name->data, name->len);
    }

    plan->introspection = op->ctx->introspection;

    plan->node.key = ngx_http_aggregate_graphql_plan_hash(op);

    return plan;
}


/* called when the document was found valid */

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


/* a plan may have grown: removes the least recently used ones over the limit */

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
