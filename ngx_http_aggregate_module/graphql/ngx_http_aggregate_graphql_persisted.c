
/*
 * Persisted operations: documents by their SHA-256 in shared memory, most
 * recently used first; and the trusted documents of the configuration.
 */

#include "ngx_http_aggregate_graphql.h"

#include <openssl/evp.h>


typedef struct {
    ngx_rbtree_t                       rbtree;
    ngx_rbtree_node_t                  sentinel;
    ngx_queue_t                        queue;
} ngx_http_aggregate_graphql_shm_t;


typedef struct {
    ngx_slab_pool_t                   *shpool;
    ngx_http_aggregate_graphql_shm_t  *sh;
} ngx_http_aggregate_graphql_zone_t;


typedef struct {
    ngx_rbtree_node_t                  node;
    ngx_queue_t                        queue;
    u_char                             hash[NGX_HTTP_AGGREGATE_GRAPHQL_HASH];
    size_t                             len;
    u_char                             text[1];
} ngx_http_aggregate_graphql_entry_t;


/* the largest document takes this part of the zone */

#define NGX_HTTP_AGGREGATE_GRAPHQL_ZONE_SHARE  4


static ngx_int_t ngx_http_aggregate_graphql_init_zone(
    ngx_shm_zone_t *shm_zone, void *data);
static void ngx_http_aggregate_graphql_entry_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_http_aggregate_graphql_entry_t *
    ngx_http_aggregate_graphql_entry_find(
    ngx_http_aggregate_graphql_zone_t *zone, u_char *hash);


ngx_int_t
ngx_http_aggregate_graphql_sha256(u_char *hash, agg_str_t *text,
    agg_str_t *more)
{
    unsigned int  len;

    static EVP_MD_CTX    *md_ctx;
    static const EVP_MD  *md;

    if (md == NULL) {

#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
#else
        md = EVP_sha256();
#endif
    }

    if (md_ctx == NULL) {
        md_ctx = EVP_MD_CTX_new();
    }

    if (md == NULL || md_ctx == NULL
        || EVP_DigestInit_ex(md_ctx, md, NULL) != 1
        || EVP_DigestUpdate(md_ctx, text->data, text->len) != 1
        || (more && EVP_DigestUpdate(md_ctx, more->data, more->len) != 1)
        || EVP_DigestFinal_ex(md_ctx, hash, &len) != 1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


char *
ngx_http_aggregate_graphql_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ssize_t                             size;
    ngx_str_t                          *value;
    ngx_shm_zone_t                     *shm_zone;
    ngx_http_aggregate_graphql_zone_t  *zone;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in "
                           "\"aggregate_graphql_zone\", must not be empty",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR || size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" in "
                           "\"aggregate_graphql_zone\", must be a size of at "
                           "least %uz", &value[2], 8 * ngx_pagesize);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_aggregate_graphql_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    shm_zone = ngx_shared_memory_add(cf, &value[1], size,
                                     &ngx_http_aggregate_graphql_module);
    if (shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (shm_zone->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate zone \"%V\" in "
                           "\"aggregate_graphql_zone\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    shm_zone->init = ngx_http_aggregate_graphql_init_zone;
    shm_zone->data = zone;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aggregate_graphql_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_aggregate_graphql_zone_t *old = data;

    ngx_http_aggregate_graphql_shm_t   *sh;
    ngx_http_aggregate_graphql_zone_t  *zone;

    zone = shm_zone->data;

    if (old) {
        zone->sh = old->sh;
        zone->shpool = old->shpool;
        return NGX_OK;
    }

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (shm_zone->shm.exists) {
        zone->sh = zone->shpool->data;
        return NGX_OK;
    }

    sh = ngx_slab_alloc(zone->shpool,
                        sizeof(ngx_http_aggregate_graphql_shm_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&sh->rbtree, &sh->sentinel,
                    ngx_http_aggregate_graphql_entry_insert);
    ngx_queue_init(&sh->queue);

    zone->sh = sh;
    zone->shpool->data = sh;

    /* a full zone is normal and not logged: the oldest entry is removed */

    zone->shpool->log_nomem = 0;

    return NGX_OK;
}


static void
ngx_http_aggregate_graphql_entry_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t                   **p;
    ngx_http_aggregate_graphql_entry_t   *entry, *other;

    entry = (ngx_http_aggregate_graphql_entry_t *) node;

    for ( ;; ) {

        other = (ngx_http_aggregate_graphql_entry_t *) temp;

        p = (node->key < temp->key
             || (node->key == temp->key
                 && ngx_memcmp(entry->hash, other->hash,
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


/* called with the zone locked */

static ngx_http_aggregate_graphql_entry_t *
ngx_http_aggregate_graphql_entry_find(ngx_http_aggregate_graphql_zone_t *zone,
    u_char *hash)
{
    ngx_int_t                            rc;
    ngx_rbtree_key_t                     key;
    ngx_rbtree_node_t                   *node, *sentinel;
    ngx_http_aggregate_graphql_entry_t  *entry;

    ngx_memcpy(&key, hash, sizeof(ngx_rbtree_key_t));

    node = zone->sh->rbtree.root;
    sentinel = zone->sh->rbtree.sentinel;

    while (node != sentinel) {

        entry = (ngx_http_aggregate_graphql_entry_t *) node;

        rc = (key < node->key) ? -1
             : (key > node->key) ? 1
             : ngx_memcmp(hash, entry->hash, NGX_HTTP_AGGREGATE_GRAPHQL_HASH);

        if (rc == 0) {
            return entry;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


/*
 * Copies the text under the lock, into memory that was allocated before.
 * NGX_DECLINED: there is no document with this hash.
 */

ngx_int_t
ngx_http_aggregate_graphql_persisted_get(ngx_shm_zone_t *shm_zone,
    u_char *hash, ngx_pool_t *pool, agg_str_t *text)
{
    size_t                               len;
    ngx_uint_t                           tries;
    ngx_http_aggregate_graphql_zone_t   *zone;
    ngx_http_aggregate_graphql_entry_t  *entry;

    zone = shm_zone->data;

    text->data = NULL;
    text->len = 0;

    for (tries = 0; tries < 4; tries++) {

        ngx_shmtx_lock(&zone->shpool->mutex);

        entry = ngx_http_aggregate_graphql_entry_find(zone, hash);

        if (entry == NULL) {
            ngx_shmtx_unlock(&zone->shpool->mutex);
            return NGX_DECLINED;
        }

        len = entry->len;

        if (text->data && len == text->len) {
            ngx_memcpy(text->data, entry->text, len);

            ngx_queue_remove(&entry->queue);
            ngx_queue_insert_head(&zone->sh->queue, &entry->queue);

            ngx_shmtx_unlock(&zone->shpool->mutex);

            return NGX_OK;
        }

        ngx_shmtx_unlock(&zone->shpool->mutex);

        text->data = ngx_pnalloc(pool, len);
        if (text->data == NULL) {
            return NGX_ERROR;
        }

        text->len = len;
    }

    return NGX_DECLINED;
}


void
ngx_http_aggregate_graphql_persisted_put(ngx_shm_zone_t *shm_zone,
    u_char *hash, agg_str_t *text)
{
    size_t                               size;
    ngx_uint_t                           tries;
    ngx_queue_t                         *q;
    ngx_http_aggregate_graphql_zone_t   *zone;
    ngx_http_aggregate_graphql_entry_t  *entry, *oldest;

    zone = shm_zone->data;

    size = offsetof(ngx_http_aggregate_graphql_entry_t, text) + text->len;

    /* one document must not evict most of the others */

    if (size > shm_zone->shm.size / NGX_HTTP_AGGREGATE_GRAPHQL_ZONE_SHARE) {
        return;
    }

    ngx_shmtx_lock(&zone->shpool->mutex);

    entry = ngx_http_aggregate_graphql_entry_find(zone, hash);

    if (entry || text->len == 0) {
        goto done;
    }

    for (tries = 0; tries < 256; tries++) {

        entry = ngx_slab_alloc_locked(zone->shpool, size);

        if (entry || ngx_queue_empty(&zone->sh->queue)) {
            break;
        }

        q = ngx_queue_last(&zone->sh->queue);
        oldest = ngx_queue_data(q, ngx_http_aggregate_graphql_entry_t, queue);

        ngx_rbtree_delete(&zone->sh->rbtree, &oldest->node);
        ngx_queue_remove(q);

        ngx_slab_free_locked(zone->shpool, oldest);
    }

    if (entry == NULL) {
        goto done;
    }

    ngx_memcpy(&entry->node.key, hash, sizeof(ngx_rbtree_key_t));
    ngx_memcpy(entry->hash, hash, NGX_HTTP_AGGREGATE_GRAPHQL_HASH);
    ngx_memcpy(entry->text, text->data, text->len);
    entry->len = text->len;

    ngx_rbtree_insert(&zone->sh->rbtree, &entry->node);
    ngx_queue_insert_head(&zone->sh->queue, &entry->queue);

done:

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/* an id may have the prefix "sha256:", which is ignored */

ngx_http_aggregate_graphql_document_t *
ngx_http_aggregate_graphql_document(ngx_http_aggregate_graphql_conf_t *gcf,
    agg_str_t *id)
{
    uint32_t                                i, n, hash;
    ngx_str_t                               name;
    ngx_uint_t                              tries;
    ngx_http_aggregate_graphql_document_t  *document;

    name.data = id->data;
    name.len = id->len;

    for (tries = 0; tries < 2; tries++) {

        hash = ngx_crc32_long(name.data, name.len);

        for (i = hash & gcf->document_mask;
             (n = gcf->document_slots[i]) != NGX_MAX_UINT32_VALUE;
             i = (i + 1) & gcf->document_mask)
        {
            document = &gcf->documents[n];

            if (document->hash == hash && document->id.len == name.len
                && ngx_memcmp(document->id.data, name.data, name.len) == 0)
            {
                return document;
            }
        }

        if (name.len <= 7 || ngx_memcmp(name.data, "sha256:", 7) != 0) {
            break;
        }

        name.data += 7;
        name.len -= 7;
    }

    return NULL;
}
