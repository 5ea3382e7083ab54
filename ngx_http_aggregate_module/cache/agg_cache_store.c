
/*
 * A cache in an area of fixed size.
 *
 * The area is cut once, into nodes and as many chunks of 2 KB.  A node stays
 * a node and a chunk stays a chunk, so there is no fragmentation, and even an
 * outdated index leads to an object of the right type.
 *
 * Replacement is a segmented LRU: an entry is on probation until it is asked
 * for a second time, and is then protected, in four fifths of the room at
 * most.  A scan of many URIs that are asked for once empties the probation
 * segment only.
 *
 * Reading takes no reference that a killed reader could leave behind.  The
 * node is found under the lock, the bytes are copied without it, and the copy
 * counts only if the node's generation is still the same; whoever frees a
 * node changes the generation before a chunk of it can be written again.
 *
 * Writing: room is reserved under the lock, filled without it, and published
 * under it again.  A writer that died is found by its process id.  If a
 * process dies inside the lock, "busy" remains set, and the next process
 * empties the store, except for the entries that others are writing.  This
 * costs time and nothing else.
 */


#include <string.h>

#include "agg_cache_store.h"


#define AGG_CACHE_NONE  0x7fffffff
#define AGG_CACHE_KEPT  0x80000000


static agg_cache_node_t *agg_cache_node(agg_cache_store_t *store,
    const agg_cache_ref_t *ref);
static void agg_cache_keep(agg_cache_store_t *store, uint32_t i);
static void agg_cache_segment_insert(agg_cache_store_t *store,
    uint32_t segment, uint32_t i);
static void agg_cache_segment_remove(agg_cache_store_t *store, uint32_t i);
static uint32_t *agg_cache_bucket(agg_cache_store_t *store,
    const u_char *digest);
static uint32_t agg_cache_lookup(agg_cache_store_t *store,
    const u_char *digest);
static void agg_cache_protect(agg_cache_store_t *store, uint32_t i,
    int64_t now);
static void agg_cache_unlink(agg_cache_store_t *store, uint32_t i);
static void agg_cache_invalidate(agg_cache_node_t *node);
static void agg_cache_drop(agg_cache_store_t *store, uint32_t i);
static int agg_cache_evict(agg_cache_store_t *store);
static void agg_cache_reclaim(agg_cache_store_t *store, int32_t pid,
    int (*alive)(int32_t pid));


agg_cache_store_t *
agg_cache_store_create(void *area, size_t size)
{
    size_t              n, buckets, each;
    u_char             *p;
    agg_cache_store_t  *store;

    store = area;

    /* at most four bytes of buckets for each chunk, rounded up twice */

    each = AGG_CACHE_CHUNK + sizeof(agg_cache_node_t) + 3 * sizeof(uint32_t);

    if (size < sizeof(agg_cache_store_t) + 8 * each) {
        return NULL;
    }

    n = (size - sizeof(agg_cache_store_t)) / each;

    if (n > AGG_CACHE_NONE / 2) {
        n = AGG_CACHE_NONE / 2;
    }

    for (buckets = 1; buckets * 2 <= n * 2; buckets *= 2) { /* void */ }

    memset(store, 0, sizeof(agg_cache_store_t));

    p = (u_char *) (store + 1);

    store->nodes = (agg_cache_node_t *) (void *) p;
    p += n * sizeof(agg_cache_node_t);

    store->data = p;
    p += n * AGG_CACHE_CHUNK;

    store->links = (uint32_t *) (void *) p;
    p += n * sizeof(uint32_t);

    store->buckets = (uint32_t *) (void *) p;

    store->nelts = (uint32_t) n;
    store->mask = (uint32_t) buckets - 1;

    memset(store->nodes, 0, n * sizeof(agg_cache_node_t));
    memset(store->links, 0, n * sizeof(uint32_t));

    agg_cache_store_reset(store, 0, NULL);

    store->resets = 0;

    return store;
}


void
agg_cache_store_reset(agg_cache_store_t *store, int32_t pid,
    int (*alive)(int32_t pid))
{
    uint32_t           i;
    agg_cache_node_t  *node;

    for (i = 0; i < AGG_CACHE_SEGMENTS; i++) {
        store->segments[i].head = AGG_CACHE_NONE;
        store->segments[i].tail = AGG_CACHE_NONE;
        store->segments[i].nodes = 0;
        store->segments[i].chunks = 0;
    }

    for (i = 0; i <= store->mask; i++) {
        store->buckets[i] = AGG_CACHE_NONE;
    }

    store->bytes = 0;

    for (i = 0; i < store->nelts; i++) {
        store->links[i] &= ~AGG_CACHE_KEPT;
    }

    for (i = 0; i < store->nelts; i++) {
        node = &store->nodes[i];

        if (node->segment == AGG_CACHE_WRITING && node->writer != pid
            && alive(node->writer))
        {
            agg_cache_keep(store, i);
            continue;
        }

        agg_cache_invalidate(node);

        node->chunks = 0;
        node->length = 0;

        agg_cache_segment_insert(store, AGG_CACHE_FREE, i);
    }

    store->free = AGG_CACHE_NONE;
    store->nfree = 0;

    for (i = store->nelts; i > 0; i--) {

        if (store->links[i - 1] & AGG_CACHE_KEPT) {
            store->links[i - 1] &= ~AGG_CACHE_KEPT;
            continue;
        }

        store->links[i - 1] = store->free;
        store->free = i - 1;
        store->nfree++;
    }

    store->resets++;
}


/* a live process may be copying into these chunks now */

static void
agg_cache_keep(agg_cache_store_t *store, uint32_t i)
{
    uint32_t           n, next, chunk;
    agg_cache_node_t  *node;

    node = &store->nodes[i];
    chunk = node->first;

    for (n = 0; n < node->chunks && chunk < store->nelts; n++) {
        next = store->links[chunk];
        store->links[chunk] = next | AGG_CACHE_KEPT;
        chunk = next;
    }

    store->bytes += node->length;

    agg_cache_segment_insert(store, AGG_CACHE_WRITING, i);
}


int
agg_cache_store_find(agg_cache_store_t *store, const u_char *digest,
    int64_t now, agg_cache_ref_t *ref)
{
    uint32_t           i;
    agg_cache_node_t  *node;

    i = agg_cache_lookup(store, digest);

    if (i == AGG_CACHE_NONE) {
        return -1;
    }

    node = &store->nodes[i];

    ref->generation = node->generation;
    ref->checked = node->checked;
    ref->length = node->length;
    ref->node = i;
    ref->first = node->first;

    /* the order of entries is kept to the second, not to the hit */

    if (node->segment == AGG_CACHE_PROBATION || node->touched != now) {
        agg_cache_protect(store, i, now);
    }

    return 0;
}


static void
agg_cache_protect(agg_cache_store_t *store, uint32_t i, int64_t now)
{
    uint32_t              tail;
    agg_cache_segment_t  *protected;

    agg_cache_segment_remove(store, i);
    agg_cache_segment_insert(store, AGG_CACHE_PROTECTED, i);

    store->nodes[i].touched = now;

    protected = &store->segments[AGG_CACHE_PROTECTED];

    while (protected->chunks > store->nelts / 5 * 4
           && protected->tail != i)
    {
        tail = protected->tail;

        agg_cache_segment_remove(store, tail);
        agg_cache_segment_insert(store, AGG_CACHE_PROBATION, tail);
    }
}


int
agg_cache_store_read(const agg_cache_store_t *store,
    const agg_cache_ref_t *ref, size_t offset, u_char *dst, size_t len)
{
    size_t    size;
    uint32_t  chunk;

    if (offset > ref->length || len > ref->length - offset) {
        return -1;
    }

    chunk = ref->first;

    while (len) {

        if (chunk >= store->nelts) {
            return -1;
        }

        if (offset >= AGG_CACHE_CHUNK) {
            offset -= AGG_CACHE_CHUNK;

        } else {
            size = AGG_CACHE_CHUNK - offset;

            if (size > len) {
                size = len;
            }

            /*
             * The size has a bound, so the compiler would expand memcpy() to
             * an instruction that is slow for the size of most entries.
             */

            memmove(dst, store->data + (size_t) chunk * AGG_CACHE_CHUNK
                         + offset, size);

            dst += size;
            len -= size;
            offset = 0;
        }

        chunk = __atomic_load_n(&store->links[chunk], __ATOMIC_RELAXED);
    }

    /* pairs with that of agg_cache_invalidate() */

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    return __atomic_load_n(&store->nodes[ref->node].generation,
                           __ATOMIC_RELAXED)
           == ref->generation ? 0 : -1;
}


/* more than half of the room would evict almost all other entries */

uint64_t
agg_cache_store_max(const agg_cache_store_t *store)
{
    return (uint64_t) (store->nelts / 2) * AGG_CACHE_CHUNK;
}


int
agg_cache_store_reserve(agg_cache_store_t *store, const u_char *digest,
    uint64_t len, int32_t pid, int (*alive)(int32_t pid),
    agg_cache_ref_t *ref)
{
    uint64_t           need;
    uint32_t           i, n, chunk;
    agg_cache_node_t  *node;

    need = len / AGG_CACHE_CHUNK + (len % AGG_CACHE_CHUNK != 0);

    if (len == 0 || len > agg_cache_store_max(store)) {
        return -1;
    }

    if (store->segments[AGG_CACHE_WRITING].nodes) {
        agg_cache_reclaim(store, pid, alive);
    }

    while (store->nfree < need
           || store->segments[AGG_CACHE_FREE].nodes == 0)
    {
        if (agg_cache_evict(store) != 0) {
            return -1;
        }
    }

    i = store->segments[AGG_CACHE_FREE].head;
    node = &store->nodes[i];

    node->first = store->free;
    chunk = store->free;

    for (n = 1; n < need; n++) {
        chunk = store->links[chunk];
    }

    node->last = chunk;
    node->length = len;
    node->writer = pid;

    store->free = store->links[chunk];
    store->links[chunk] = AGG_CACHE_NONE;
    store->nfree -= (uint32_t) need;
    store->bytes += len;

    memcpy(node->digest, digest, AGG_CACHE_DIGEST);

    agg_cache_segment_remove(store, i);
    node->chunks = (uint32_t) need;
    agg_cache_segment_insert(store, AGG_CACHE_WRITING, i);

    ref->generation = node->generation;
    ref->checked = 0;
    ref->length = len;
    ref->node = i;
    ref->first = node->first;

    return 0;
}


void
agg_cache_store_fill(agg_cache_store_t *store, const agg_cache_ref_t *ref,
    size_t offset, const u_char *src, size_t len)
{
    size_t    size;
    uint32_t  chunk;

    chunk = ref->first;

    while (len && chunk < store->nelts) {

        if (offset >= AGG_CACHE_CHUNK) {
            offset -= AGG_CACHE_CHUNK;

        } else {
            size = AGG_CACHE_CHUNK - offset;

            if (size > len) {
                size = len;
            }

            memcpy(store->data + (size_t) chunk * AGG_CACHE_CHUNK + offset,
                   src, size);

            src += size;
            len -= size;
            offset = 0;
        }

        chunk = store->links[chunk];
    }
}


void
agg_cache_store_publish(agg_cache_store_t *store, const agg_cache_ref_t *ref,
    uint64_t checked, int64_t now)
{
    uint32_t           old, *bucket;
    agg_cache_node_t  *node;

    node = agg_cache_node(store, ref);

    if (node == NULL || node->segment != AGG_CACHE_WRITING) {
        return;
    }

    old = agg_cache_lookup(store, node->digest);

    agg_cache_segment_remove(store, ref->node);

    node->checked = checked;
    node->touched = now;

    if (old != AGG_CACHE_NONE) {

        /* a refreshed entry stays in its segment */

        agg_cache_segment_insert(store, store->nodes[old].segment, ref->node);
        agg_cache_drop(store, old);

    } else {
        agg_cache_segment_insert(store, AGG_CACHE_PROBATION, ref->node);
    }

    bucket = agg_cache_bucket(store, node->digest);
    node->hash_next = *bucket;
    *bucket = ref->node;
}


void
agg_cache_store_checked(agg_cache_store_t *store, const agg_cache_ref_t *ref,
    uint64_t seq)
{
    agg_cache_node_t  *node;

    node = agg_cache_node(store, ref);

    if (node != NULL && node->checked < seq) {
        node->checked = seq;
    }
}


void
agg_cache_store_delete(agg_cache_store_t *store, const agg_cache_ref_t *ref)
{
    if (agg_cache_node(store, ref) != NULL) {
        agg_cache_drop(store, ref->node);
    }
}


uint32_t
agg_cache_store_count(const agg_cache_store_t *store)
{
    return store->segments[AGG_CACHE_PROBATION].nodes
           + store->segments[AGG_CACHE_PROTECTED].nodes;
}


static agg_cache_node_t *
agg_cache_node(agg_cache_store_t *store, const agg_cache_ref_t *ref)
{
    agg_cache_node_t  *node;

    node = &store->nodes[ref->node];

    if (node->generation != ref->generation
        || node->segment == AGG_CACHE_FREE)
    {
        return NULL;
    }

    return node;
}


static uint32_t *
agg_cache_bucket(agg_cache_store_t *store, const u_char *digest)
{
    uint32_t  hash;

    memcpy(&hash, digest, sizeof(uint32_t));

    return &store->buckets[hash & store->mask];
}


static uint32_t
agg_cache_lookup(agg_cache_store_t *store, const u_char *digest)
{
    uint32_t  i;

    for (i = *agg_cache_bucket(store, digest);
         i != AGG_CACHE_NONE;
         i = store->nodes[i].hash_next)
    {
        if (memcmp(store->nodes[i].digest, digest, AGG_CACHE_DIGEST) == 0) {
            return i;
        }
    }

    return AGG_CACHE_NONE;
}


static void
agg_cache_unlink(agg_cache_store_t *store, uint32_t i)
{
    uint32_t  *link;

    for (link = agg_cache_bucket(store, store->nodes[i].digest);
         *link != AGG_CACHE_NONE;
         link = &store->nodes[*link].hash_next)
    {
        if (*link == i) {
            *link = store->nodes[i].hash_next;
            return;
        }
    }
}


/* readers of the chunks see the change before what is written to them then */

static void
agg_cache_invalidate(agg_cache_node_t *node)
{
    __atomic_store_n(&node->generation, node->generation + 1,
                     __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}


static void
agg_cache_drop(agg_cache_store_t *store, uint32_t i)
{
    agg_cache_node_t  *node;

    node = &store->nodes[i];

    agg_cache_invalidate(node);

    if (node->segment != AGG_CACHE_WRITING) {
        agg_cache_unlink(store, i);
    }

    agg_cache_segment_remove(store, i);

    store->links[node->last] = store->free;
    store->free = node->first;
    store->nfree += node->chunks;
    store->bytes -= node->length;

    node->chunks = 0;
    node->length = 0;

    agg_cache_segment_insert(store, AGG_CACHE_FREE, i);
}


static int
agg_cache_evict(agg_cache_store_t *store)
{
    uint32_t  i;

    i = store->segments[AGG_CACHE_PROBATION].tail;

    if (i == AGG_CACHE_NONE) {
        i = store->segments[AGG_CACHE_PROTECTED].tail;
    }

    if (i == AGG_CACHE_NONE) {
        return -1;
    }

    agg_cache_drop(store, i);

    store->evictions++;

    return 0;
}


static void
agg_cache_reclaim(agg_cache_store_t *store, int32_t pid,
    int (*alive)(int32_t pid))
{
    uint32_t  i, next;

    for (i = store->segments[AGG_CACHE_WRITING].head;
         i != AGG_CACHE_NONE;
         i = next)
    {
        next = store->nodes[i].next;

        /*
         * A process writes one entry at a time, so another one of its own was
         * left behind
         */

        if (store->nodes[i].writer == pid
            || !alive(store->nodes[i].writer))
        {
            agg_cache_drop(store, i);
        }
    }
}


static void
agg_cache_segment_insert(agg_cache_store_t *store, uint32_t segment,
    uint32_t i)
{
    agg_cache_node_t     *node;
    agg_cache_segment_t  *list;

    node = &store->nodes[i];
    list = &store->segments[segment];

    node->segment = segment;
    node->prev = AGG_CACHE_NONE;
    node->next = list->head;

    if (list->head != AGG_CACHE_NONE) {
        store->nodes[list->head].prev = i;

    } else {
        list->tail = i;
    }

    list->head = i;
    list->nodes++;
    list->chunks += node->chunks;
}


static void
agg_cache_segment_remove(agg_cache_store_t *store, uint32_t i)
{
    agg_cache_node_t     *node;
    agg_cache_segment_t  *list;

    node = &store->nodes[i];
    list = &store->segments[node->segment];

    if (node->prev != AGG_CACHE_NONE) {
        store->nodes[node->prev].next = node->next;

    } else {
        list->head = node->next;
    }

    if (node->next != AGG_CACHE_NONE) {
        store->nodes[node->next].prev = node->prev;

    } else {
        list->tail = node->prev;
    }

    list->nodes--;
    list->chunks -= node->chunks;
}
