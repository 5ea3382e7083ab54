
/*
 * The servers that a worker knows: which of them is asked, and what all
 * workers have learned about it.
 */


#include "ngx_http_aggregate_redis.h"


static ngx_http_aggregate_redis_node_t *ngx_http_aggregate_redis_make(
    ngx_http_aggregate_redis_t *redis, const agg_redis_address_t *address);
static ngx_int_t ngx_http_aggregate_redis_literal(
    ngx_http_aggregate_redis_node_t *node);
static ngx_http_aggregate_redis_health_t *ngx_http_aggregate_redis_health(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *name);
static void ngx_http_aggregate_redis_watch(
    ngx_http_aggregate_redis_node_t *node);
static void ngx_http_aggregate_redis_unwatch(
    ngx_http_aggregate_redis_node_t *node);
static void ngx_http_aggregate_redis_recover(ngx_event_t *ev);
static ngx_atomic_uint_t ngx_http_aggregate_redis_backoff(
    ngx_http_aggregate_redis_health_t *health);
static ngx_uint_t ngx_http_aggregate_redis_is_error(ngx_str_t *error,
    const char *word);
static void ngx_http_aggregate_redis_log_refused(
    ngx_http_aggregate_redis_node_t *node, ngx_str_t *command,
    ngx_str_t *error);


ngx_int_t
ngx_http_aggregate_redis_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle)
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
        servers[i]->health = ngx_http_aggregate_redis_health(redis,
                                                          &servers[i]->name);
        redis->nodes[i] = servers[i];
    }

    redis->nnodes = redis->servers.nelts;
    redis->started = 1;

    if (redis->clustered) {
        return ngx_http_aggregate_redis_cluster_start(redis, cycle);
    }

    if (redis->sentinels.nelts) {
        return ngx_http_aggregate_redis_sentinel_start(redis, cycle);
    }

    redis->node = servers[0];

    return NGX_OK;
}


void
ngx_http_aggregate_redis_end(ngx_http_aggregate_redis_t *redis)
{
    ngx_uint_t  i;

    if (!redis->started) {
        return;
    }

    if (redis->cluster) {
        ngx_http_aggregate_redis_cluster_end(redis);
    }

    if (redis->sentinel) {
        ngx_http_aggregate_redis_sentinel_end(redis);
    }

    for (i = 0; i < redis->nnodes; i++) {
        ngx_http_aggregate_redis_unwatch(redis->nodes[i]);
        ngx_http_aggregate_redis_leave(redis->nodes[i], "the worker ends");
    }
}


ngx_http_aggregate_redis_node_t *
ngx_http_aggregate_redis_node(ngx_http_aggregate_redis_t *redis,
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

        node = ngx_http_aggregate_redis_make(redis, address);

        if (node) {
            redis->nodes[redis->nnodes++] = node;
        }

        return node;
    }

    /* the place of one that nobody needs; those of the configuration stay */

    for (i = redis->servers.nelts; i < redis->nnodes; i++) {

        node = redis->nodes[i];

        if (node->conn || node->links || node == redis->node
            || (redis->cluster
                && ngx_http_aggregate_redis_cluster_uses(redis, node)))
        {
            continue;
        }

        node = ngx_http_aggregate_redis_make(redis, address);

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
ngx_http_aggregate_redis_make(ngx_http_aggregate_redis_t *redis,
    const agg_redis_address_t *address)
{
    u_char                           *p;
    ngx_http_aggregate_redis_node_t  *node;

    if (address->length == 0 || address->length > AGG_REDIS_HOST_MAX) {
        return NULL;
    }

    /* one piece: the node, its address, its host, its name */

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

    node->health = ngx_http_aggregate_redis_health(redis, &node->name);

    (void) ngx_http_aggregate_redis_literal(node);

    return node;
}


/* an address needs no resolver */

static ngx_int_t
ngx_http_aggregate_redis_literal(ngx_http_aggregate_redis_node_t *node)
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


/* a place in shared memory by the name; with too many, some share one */

static ngx_http_aggregate_redis_health_t *
ngx_http_aggregate_redis_health(ngx_http_aggregate_redis_t *redis,
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


ngx_http_aggregate_redis_node_t *
ngx_http_aggregate_redis_route(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *key)
{
    return redis->cluster ? ngx_http_aggregate_redis_cluster_route(redis, key)
                          : redis->node;
}


void
ngx_http_aggregate_redis_switch(ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_redis_node_t *node)
{
    ngx_queue_t                        *q;
    ngx_http_aggregate_redis_node_t    *old;
    ngx_http_aggregate_redis_follow_t  *follow;

    old = redis->node;

    if (old == node) {
        return;
    }

    redis->node = node;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "redis \"%V\" is %V now", &redis->name, &node->name);

    /* the node may have been marked down earlier, for reasons now gone */

    node->health->fails = 0;
    (void) ngx_atomic_cmp_set(&node->health->down, 1, 0);

    if (old == NULL) {
        return;
    }

    ngx_http_aggregate_redis_leave(old, "another server took its place");

    for (q = ngx_queue_head(&redis->follows);
         q != ngx_queue_sentinel(&redis->follows);
         q = ngx_queue_next(q))
    {
        follow = ngx_queue_data(q, ngx_http_aggregate_redis_follow_t, queue);

        ngx_http_aggregate_redis_talk_close(&follow->talk,
                                            "another server took its place");
    }
}


ngx_uint_t
ngx_http_aggregate_redis_may_ask(ngx_http_aggregate_redis_node_t *node)
{
    if (node->health->down == 0) {
        return 1;
    }

    ngx_http_aggregate_redis_watch(node);

    return 0;
}


/* looks again when the next PING is due, of whichever worker */

static void
ngx_http_aggregate_redis_watch(ngx_http_aggregate_redis_node_t *node)
{
    ngx_event_t     *ev;
    ngx_msec_int_t   wait;

    ev = &node->recovery;

    if (ev->timer_set || ngx_exiting || ngx_terminate) {
        return;
    }

    ev->handler = ngx_http_aggregate_redis_recover;
    ev->data = node;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

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


static void
ngx_http_aggregate_redis_recover(ngx_event_t *ev)
{
    ngx_atomic_uint_t                   at, now;
    ngx_http_aggregate_redis_t         *redis;
    ngx_http_aggregate_redis_node_t    *node;
    ngx_http_aggregate_redis_health_t  *health;

    node = ev->data;
    redis = node->redis;
    health = node->health;

    /* one that is not in use any more may stay down */

    if (health->down == 0
        || !(redis->cluster ? ngx_http_aggregate_redis_cluster_uses(redis, node)
                            : node == redis->node))
    {
        return;
    }

    at = health->probe_at;
    now = (ngx_atomic_uint_t) ngx_current_msec;

    /* one of all workers */

    if ((ngx_atomic_int_t) (at - now) <= 0
        && ngx_atomic_cmp_set(&health->probe_at, at, now + health->backoff))
    {
        health->backoff = ngx_min(health->backoff * 2,
                                  NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MAX);

        /*
         * A PING is always under way: its reply, however late, shows at once
         * the recovery of the server.
         */

        if (node->conn && ngx_http_aggregate_redis_idle(node->conn)) {
            ngx_http_aggregate_redis_close(node->conn,
                                           "connection idle for 1s");
        }

        ngx_http_aggregate_redis_ping(node, 0);
    }

    ngx_http_aggregate_redis_watch(node);
}


/* a server that comes and goes is not asked oftener for that */

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
ngx_http_aggregate_redis_failed(ngx_http_aggregate_redis_node_t *node,
    const char *what)
{
    ngx_http_aggregate_redis_t         *redis;
    ngx_http_aggregate_redis_health_t  *health;

    redis = node->redis;
    health = node->health;

    if (redis->clustered) {
        ngx_http_aggregate_redis_cluster_doubt(redis);
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
                      "redis \"%V\" (%V) is not asked for a while: %s",
                      &redis->name, &node->name, what);
    }

    ngx_http_aggregate_redis_watch(node);
}


void
ngx_http_aggregate_redis_worked(ngx_http_aggregate_redis_node_t *node)
{
    ngx_http_aggregate_redis_health_t  *health;

    health = node->health;

    if (health->fails) {
        health->fails = 0;
    }

    if (health->down && ngx_atomic_cmp_set(&health->down, 1, 0)) {

        health->up_at = ngx_current_msec;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis \"%V\" (%V) is back", &node->redis->name,
                      &node->name);
    }
}


void
ngx_http_aggregate_redis_replied_late(ngx_http_aggregate_redis_node_t *node,
    ngx_uint_t hurried)
{
    if (node->health->down && !hurried
        && (node->conn == NULL || !node->conn->hurried))
    {
        ngx_http_aggregate_redis_ping(node, 1);
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
        ngx_http_aggregate_redis_misplaced(node, "it is a replica");

    } else if (ngx_http_aggregate_redis_is_error(error, "NOAUTH")) {
        ngx_http_aggregate_redis_misplaced(node, "it wants a password");
    }

    if (ngx_http_aggregate_redis_is_error(error, "NOPERM")
        || ngx_http_aggregate_redis_is_error(error, "NOAUTH")
        || ngx_http_aggregate_redis_is_error(error, "WRONGPASS")
        || ngx_strnstr(error->data, "can't run this command", error->len))
    {
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
                  "redis \"%V\" (%V) answered \"%V\" with an error \"%V\"",
                  &redis->name, &node->name, command, &word);
}


/* the error of a script may be quoted in the text of another error */

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
    ngx_http_aggregate_redis_follow_t  *follow;

    if (node->misplaced_at
        && ngx_current_msec - node->misplaced_at
           < NGX_HTTP_AGGREGATE_REDIS_MISPLACED)
    {
        return;
    }

    node->misplaced_at = ngx_current_msec ? ngx_current_msec : 1;

    redis = node->redis;

    if (redis->sentinel && node != redis->node) {

        /* a sentinel, or the master of before */

        return;
    }

    (void) ngx_atomic_fetch_add(&redis->sh->misplaced, 1);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "redis \"%V\" (%V) is looked for anew: %s",
                  &redis->name, &node->name, why);

    if (redis->sentinel) {
        ngx_http_aggregate_redis_sentinel_doubt(redis);
    }

    if (redis->cluster) {
        ngx_http_aggregate_redis_cluster_doubt(redis);
    }

    if (node->conn) {
        node->conn->closing = why;

        if (node->conn->timer.timer_set) {
            ngx_del_timer(&node->conn->timer);
        }

        ngx_add_timer(&node->conn->timer, 1);
    }

    for (q = ngx_queue_head(&redis->follows);
         q != ngx_queue_sentinel(&redis->follows);
         q = ngx_queue_next(q))
    {
        follow = ngx_queue_data(q, ngx_http_aggregate_redis_follow_t, queue);

        if (follow->talk.open && follow->node == node) {

            if (follow->talk.timer.timer_set) {
                ngx_del_timer(&follow->talk.timer);
            }

            ngx_add_timer(&follow->talk.timer, 1);
        }
    }
}


ngx_uint_t
ngx_http_aggregate_redis_down(ngx_http_aggregate_redis_t *redis,
    ngx_uint_t *known)
{
    ngx_uint_t                        i, n;
    ngx_http_aggregate_redis_node_t  *node;

    if (redis->cluster == NULL) {
        *known = (redis->node != NULL);

        return redis->node && redis->node->health->down;
    }

    n = 0;
    *known = 0;

    for (i = 0; i < redis->nnodes; i++) {

        node = redis->nodes[i];

        if (ngx_http_aggregate_redis_cluster_uses(redis, node)) {
            (*known)++;
            n += (node->health->down != 0);
        }
    }

    return n;
}


void
ngx_http_aggregate_redis_greeting_name(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *password, ngx_uint_t select, ngx_uint_t i, ngx_str_t *name)
{
    if (password->len && i-- == 0) {
        ngx_str_set(name, "AUTH");

    } else if (select && redis->database && i-- == 0) {
        ngx_str_set(name, "SELECT");

    } else {
        ngx_str_set(name, "PING");
    }
}


u_char *
ngx_http_aggregate_redis_greeting(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *user, ngx_str_t *password, ngx_uint_t select, size_t *len,
    ngx_uint_t *n)
{
    char          *commands[3];
    size_t         lens[3], sizes[3];
    u_char        *all, *p, number[NGX_INT_T_LEN];
    ngx_uint_t     i, argc;
    const u_char  *args[3];

    i = 0;
    *len = 0;

    if (password->len) {

        argc = 0;
        args[argc] = (u_char *) "AUTH";
        lens[argc++] = 4;

        if (user->len) {
            args[argc] = user->data;
            lens[argc++] = user->len;
        }

        args[argc] = password->data;
        lens[argc++] = password->len;

        commands[i] = agg_redis_command(argc, args, lens, &sizes[i]);
        i++;
    }

    if (select && redis->database) {

        args[0] = (u_char *) "SELECT";
        lens[0] = 6;
        args[1] = number;
        lens[1] = ngx_sprintf(number, "%i", redis->database) - number;

        commands[i] = agg_redis_command(2, args, lens, &sizes[i]);
        i++;
    }

    args[0] = (u_char *) "PING";
    lens[0] = 4;

    commands[i] = agg_redis_command(1, args, lens, &sizes[i]);

    *n = i + 1;

    for (i = 0; i < *n; i++) {
        *len += commands[i] ? sizes[i] : 0;
    }

    all = ngx_alloc(*len + 1, ngx_cycle->log);
    p = all;

    for (i = 0; i < *n; i++) {

        if (commands[i] == NULL) {
            ngx_free(all);
            all = NULL;
            continue;
        }

        if (all) {
            p = ngx_cpymem(p, commands[i], sizes[i]);
        }

        agg_redis_free(commands[i]);
    }

    return all;
}
