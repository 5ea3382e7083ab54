
/*
 * The servers that a worker knows, and their health, which all workers share.
 */


#include "ngx_http_aggregate_redis.h"


static ngx_http_aggregate_redis_node_t *ngx_http_aggregate_redis_create_node(
    ngx_http_aggregate_redis_t *redis, const agg_redis_address_t *address);
static ngx_int_t ngx_http_aggregate_redis_parse_address(
    ngx_http_aggregate_redis_node_t *node);
static ngx_http_aggregate_redis_health_t *ngx_http_aggregate_redis_get_health(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *name);
static void ngx_http_aggregate_redis_unwatch(
    ngx_http_aggregate_redis_node_t *node);
static ngx_atomic_uint_t ngx_http_aggregate_redis_backoff(
    ngx_http_aggregate_redis_health_t *health);
static ngx_uint_t ngx_http_aggregate_redis_is_error(ngx_str_t *error,
    const char *word);
static void ngx_http_aggregate_redis_log_refused(
    ngx_http_aggregate_redis_node_t *node, ngx_str_t *command,
    ngx_str_t *error);


ngx_int_t
ngx_http_aggregate_redis_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle, ngx_event_handler_pt recover)
{
    ngx_uint_t                         i;
    ngx_http_aggregate_redis_node_t  **servers;

    redis->nodes = ngx_pcalloc(cycle->pool,
                               NGX_HTTP_AGGREGATE_REDIS_NODES
                               * sizeof(ngx_http_aggregate_redis_node_t *));
    if (redis->nodes == NULL) {
        return NGX_ERROR;
    }

    servers = redis->servers.elts;

    for (i = 0; i < redis->servers.nelts; i++) {
        servers[i]->health = ngx_http_aggregate_redis_get_health(redis,
                                                          &servers[i]->name);
        redis->nodes[i] = servers[i];
    }

    redis->nnodes = redis->servers.nelts;
    redis->recover = recover;
    redis->started = 1;

    return redis->topology->start(redis, cycle);
}


void
ngx_http_aggregate_redis_stop(ngx_http_aggregate_redis_t *redis)
{
    ngx_uint_t                        i;
    ngx_http_aggregate_redis_node_t  *node;

    if (!redis->started) {
        return;
    }

    redis->topology->stop(redis);

    for (i = 0; i < redis->nnodes; i++) {

        node = redis->nodes[i];

        ngx_http_aggregate_redis_unwatch(node);

        if (node->pipeline) {
            ngx_http_aggregate_redis_connection_close(
                                                  &node->pipeline->connection,
                                                  "worker is exiting");
        }
    }
}


ngx_http_aggregate_redis_node_t *
ngx_http_aggregate_redis_get_node(ngx_http_aggregate_redis_t *redis,
    const agg_redis_address_t *address)
{
    ngx_uint_t                        i;
    ngx_http_aggregate_redis_node_t  *node;

    for (i = 0; i < redis->nnodes; i++) {

        node = redis->nodes[i];

        if (node->port == address->port
            && node->host.len == address->length
            && ngx_memcmp(node->host.data, address->host, address->length)
               == 0)
        {
            return node;
        }
    }

    if (redis->nnodes < NGX_HTTP_AGGREGATE_REDIS_NODES) {

        node = ngx_http_aggregate_redis_create_node(redis, address);

        if (node) {
            redis->nodes[redis->nnodes++] = node;
        }

        return node;
    }

    /* replaces an unused node, but none of the configuration */

    for (i = redis->servers.nelts; i < redis->nnodes; i++) {

        node = redis->nodes[i];

        if (node->pipeline || node->connections
            || redis->topology->uses(redis, node))
        {
            continue;
        }

        node = ngx_http_aggregate_redis_create_node(redis, address);

        if (node) {
            ngx_http_aggregate_redis_unwatch(redis->nodes[i]);
            ngx_free(redis->nodes[i]);
            redis->nodes[i] = node;
        }

        return node;
    }

    return NULL;
}


static ngx_http_aggregate_redis_node_t *
ngx_http_aggregate_redis_create_node(ngx_http_aggregate_redis_t *redis,
    const agg_redis_address_t *address)
{
    u_char                           *p;
    ngx_http_aggregate_redis_node_t  *node;

    if (address->length == 0 || address->length > AGG_REDIS_HOST_MAX) {
        return NULL;
    }

    /* the node is followed by its address, its host and its name */

    node = ngx_calloc(sizeof(ngx_http_aggregate_redis_node_t)
                      + sizeof(ngx_addr_t) + sizeof(ngx_sockaddr_t)
                      + 2 * address->length + sizeof("[]:65535"),
                      ngx_cycle->log);
    if (node == NULL) {
        return NULL;
    }

    p = (u_char *) (node + 1) + sizeof(ngx_addr_t) + sizeof(ngx_sockaddr_t);

    node->redis = redis;
    node->port = (in_port_t) address->port;
    node->host.data = p;
    node->host.len = address->length;

    p = ngx_cpymem(p, address->host, address->length);

    node->name.data = p;
    node->name.len = ngx_sprintf(p, ngx_strlchr(node->host.data, p, ':')
                                    ? "[%V]:%ui" : "%V:%ui",
                                 &node->host, (ngx_uint_t) address->port)
                     - p;

    node->health = ngx_http_aggregate_redis_get_health(redis, &node->name);

    (void) ngx_http_aggregate_redis_parse_address(node);

    return node;
}


/* a host that is an address is not resolved */

static ngx_int_t
ngx_http_aggregate_redis_parse_address(ngx_http_aggregate_redis_node_t *node)
{
    in_addr_t             inaddr;
    ngx_addr_t           *addr;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    addr = (ngx_addr_t *) (node + 1);
    addr->sockaddr = (struct sockaddr *) (addr + 1);
    addr->name = node->name;

    inaddr = ngx_inet_addr(node->host.data, node->host.len);

    if (inaddr != INADDR_NONE) {
        sin = (struct sockaddr_in *) addr->sockaddr;

        sin->sin_family = AF_INET;
        sin->sin_port = htons(node->port);
        sin->sin_addr.s_addr = inaddr;

        addr->socklen = sizeof(struct sockaddr_in);
        node->addrs = addr;
        node->naddrs = 1;

        return NGX_OK;
    }

#if (NGX_HAVE_INET6)

    sin6 = (struct sockaddr_in6 *) addr->sockaddr;

    if (ngx_inet6_addr(node->host.data, node->host.len,
                       sin6->sin6_addr.s6_addr)
        == NGX_OK)
    {
        sin6->sin6_family = AF_INET6;
        sin6->sin6_port = htons(node->port);

        addr->socklen = sizeof(struct sockaddr_in6);
        node->addrs = addr;
        node->naddrs = 1;

        return NGX_OK;
    }

#endif

    return NGX_DECLINED;
}


/* returns a place in shared memory; too many servers share places */

static ngx_http_aggregate_redis_health_t *
ngx_http_aggregate_redis_get_health(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *name)
{
    ngx_uint_t                          i, n;
    ngx_atomic_uint_t                   hash;
    ngx_http_aggregate_redis_health_t  *health;

    hash = ngx_crc32_long(name->data, name->len) | 1;
    n = NGX_HTTP_AGGREGATE_REDIS_HEALTHS;

    for (i = 0; i < n; i++) {

        health = &redis->sh->healths[(hash + i) % n];

        if (health->hash == hash
            || (health->hash == 0
                && (ngx_atomic_cmp_set(&health->hash, 0, hash)
                    || health->hash == hash)))
        {
            return health;
        }
    }

    return &redis->sh->healths[hash % n];
}


ngx_uint_t
ngx_http_aggregate_redis_is_available(ngx_http_aggregate_redis_node_t *node)
{
    if (node->health->down == 0) {
        return 1;
    }

    ngx_http_aggregate_redis_watch(node);

    return 0;
}


void
ngx_http_aggregate_redis_watch(ngx_http_aggregate_redis_node_t *node)
{
    ngx_event_t     *ev;
    ngx_msec_int_t   wait;

    ev = &node->recovery;

    if (ev->timer_set || ngx_exiting || ngx_terminate) {
        return;
    }

    ev->handler = node->redis->recover;
    ev->data = node;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    /* the next PING may be that of another worker */

    wait = (ngx_msec_int_t) (node->health->probe_at - ngx_current_msec);

    ngx_add_timer(ev, (ngx_msec_t) ngx_max(wait, 1));
}


static void
ngx_http_aggregate_redis_unwatch(ngx_http_aggregate_redis_node_t *node)
{
    if (node->recovery.timer_set) {
        ngx_del_timer(&node->recovery);
    }
}


/* a server that fails soon again keeps its back-off */

static ngx_atomic_uint_t
ngx_http_aggregate_redis_backoff(ngx_http_aggregate_redis_health_t *health)
{
    ngx_msec_t  up;

    up = ngx_current_msec - (ngx_msec_t) health->up_at;

    if (health->backoff == 0 || up > NGX_HTTP_AGGREGATE_REDIS_RELAPSE) {
        return NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MIN;
    }

    return health->backoff;
}


void
ngx_http_aggregate_redis_mark_failed(ngx_http_aggregate_redis_node_t *node,
    const char *why)
{
    ngx_http_aggregate_redis_t         *redis;
    ngx_http_aggregate_redis_health_t  *health;

    redis = node->redis;
    health = node->health;

    if (redis->topology->failed) {
        redis->topology->failed(redis);
    }

    if (ngx_atomic_fetch_add(&health->fails, 1) + 1
        < NGX_HTTP_AGGREGATE_REDIS_FAILS)
    {
        return;
    }

    if (ngx_atomic_cmp_set(&health->down, 0, 1)) {

        health->backoff = ngx_http_aggregate_redis_backoff(health);
        health->probe_at = ngx_current_msec + health->backoff
                         + ngx_random() % NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MIN;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis \"%V\" (%V) is down: %s", &redis->name,
                      &node->name, why);
    }

    ngx_http_aggregate_redis_watch(node);
}


void
ngx_http_aggregate_redis_recovered(ngx_http_aggregate_redis_node_t *node)
{
    ngx_http_aggregate_redis_health_t  *health;

    health = node->health;
    health->fails = 0;

    if (health->down && ngx_atomic_cmp_set(&health->down, 1, 0)) {

        health->up_at = ngx_current_msec;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis \"%V\" (%V) is up again", &node->redis->name,
                      &node->name);
    }
}


void
ngx_http_aggregate_redis_refused(ngx_http_aggregate_redis_node_t *node,
    ngx_str_t *command, ngx_str_t *error)
{
    ngx_str_t                    word;
    ngx_http_aggregate_redis_t  *redis;

    redis = node->redis;

    (void) ngx_atomic_fetch_add(&redis->sh->errors, 1);

    if (ngx_http_aggregate_redis_is_error(error, "READONLY")) {
        ngx_http_aggregate_redis_misplaced(node, "the server is a replica");

    } else if (ngx_http_aggregate_redis_is_error(error, "NOAUTH")) {
        ngx_http_aggregate_redis_misplaced(node, "authentication required");
    }

    if (ngx_http_aggregate_redis_is_error(error, "NOPERM")
        || ngx_http_aggregate_redis_is_error(error, "NOAUTH")
        || ngx_http_aggregate_redis_is_error(error, "WRONGPASS")
        || ngx_strnstr(error->data, "can't run this command", error->len)
        || ngx_strnstr(error->data, "ACL failure in script", error->len))
    {

        /* the last two: Redis 7 and Redis 8, of a command in a script */

        ngx_http_aggregate_redis_log_refused(node, command, error);
        return;
    }

    /* the rest of the text may hold keys */

    word.data = error->data;

    for (word.len = 0; word.len < ngx_min(error->len, 32); word.len++) {
        if (word.data[word.len] < 'A' || word.data[word.len] > 'Z') {
            break;
        }
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "redis \"%V\" (%V) replied to \"%V\" with error \"%V\"",
                  &redis->name, &node->name, command, &word);
}


/* the error of a command in a script is quoted in that of the script */

static ngx_uint_t
ngx_http_aggregate_redis_is_error(ngx_str_t *error, const char *word)
{
    size_t      len;
    ngx_uint_t  i;

    len = ngx_strlen(word);

    if (error->len >= len && ngx_memcmp(error->data, word, len) == 0) {
        return 1;
    }

    if (error->len < 4 || ngx_memcmp(error->data, "ERR ", 4) != 0) {
        return 0;
    }

    for (i = 4; i + 1 + len <= error->len; i++) {
        if (error->data[i] == '-'
            && ngx_memcmp(error->data + i + 1, word, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_aggregate_redis_log_refused(ngx_http_aggregate_redis_node_t *node,
    ngx_str_t *command, ngx_str_t *error)
{
    size_t       i;
    u_char       text[128];
    ngx_str_t    line;
    ngx_msec_t  *at;

    at = &node->refused_at[ngx_crc32_short(command->data, command->len)
                           % NGX_HTTP_AGGREGATE_REDIS_COMMANDS];

    if (*at
        && ngx_current_msec - *at < NGX_HTTP_AGGREGATE_REDIS_REFUSED)
    {
        return;
    }

    *at = ngx_current_msec ? ngx_current_msec : 1;

    line.data = text;
    line.len = ngx_min(error->len, sizeof(text));

    for (i = 0; i < line.len; i++) {
        text[i] = (error->data[i] >= 0x20 && error->data[i] < 0x7f)
                  ? error->data[i] : '?';
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "redis \"%V\" (%V) refuses the command \"%V\": \"%V\"",
                  &node->redis->name, &node->name, command, &line);
}


void
ngx_http_aggregate_redis_misplaced(ngx_http_aggregate_redis_node_t *node,
    const char *why)
{
    ngx_queue_t                        *q;
    ngx_http_aggregate_redis_t         *redis;
    ngx_http_aggregate_redis_stream_t  *stream;

    if (node->misplaced_at
        && ngx_current_msec - node->misplaced_at
           < NGX_HTTP_AGGREGATE_REDIS_MISPLACED)
    {
        return;
    }

    node->misplaced_at = ngx_current_msec ? ngx_current_msec : 1;

    redis = node->redis;

    if (redis->sentinels.nelts && node != redis->node) {

        /* a sentinel, or the former master */

        return;
    }

    (void) ngx_atomic_fetch_add(&redis->sh->misplaced, 1);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "redis \"%V\" (%V) is not the right server: %s, it is "
                  "looked up again", &redis->name, &node->name, why);

    if (redis->topology->refresh) {
        redis->topology->refresh(redis);
    }

    if (node->pipeline) {
        ngx_http_aggregate_redis_connection_close_later(
                                          &node->pipeline->connection, why);
    }

    for (q = ngx_queue_head(&redis->streams);
         q != ngx_queue_sentinel(&redis->streams);
         q = ngx_queue_next(q))
    {
        stream = ngx_queue_data(q, ngx_http_aggregate_redis_stream_t, queue);

        if (stream->connection.node == node) {
            ngx_http_aggregate_redis_connection_close_later(
                                                   &stream->connection, why);
        }
    }
}


ngx_uint_t
ngx_http_aggregate_redis_down(ngx_http_aggregate_redis_t *redis,
    ngx_uint_t *known)
{
    ngx_uint_t                        i, n;
    ngx_http_aggregate_redis_node_t  *node;

    n = 0;
    *known = 0;

    for (i = 0; i < redis->nnodes; i++) {

        node = redis->nodes[i];

        if (redis->topology->uses(redis, node)) {
            (*known)++;
            n += (node->health->down != 0);
        }
    }

    return n;
}
