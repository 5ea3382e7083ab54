
#ifndef _NGX_HTTP_AGGREGATE_CACHE_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "agg_cache_key.h"
#include "agg_cache_policy.h"
#include "agg_cache_entry.h"
#include "agg_cache_purge.h"
#include "agg_cache_store.h"
#include "agg_cache_lock.h"
#include "agg_cache_uri.h"
#include "ngx_http_aggregate_breaker.h"
#include "ngx_http_aggregate_ctx.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_redis.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_CACHE_WORKERS     64

/* hashes by which one response can be purged, at most */
#define NGX_HTTP_AGGREGATE_CACHE_PURGE_HASHES                                \
    (3 + 2 * AGG_CACHE_PURGE_DEPTH + AGG_CACHE_ENTRY_NAMES_MAX               \
     + AGG_CACHE_PURGE_TAGS)

/*
 * Milliseconds for which clients do not wait for each other after a
 * response that was not stored, and after an error
 */
#define NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS        60000
#define NGX_HTTP_AGGREGATE_CACHE_HIT_FOR_MISS_ERROR  1000

/* milliseconds after which a waiting request checks the owner's process */
#define NGX_HTTP_AGGREGATE_CACHE_POLL        100

/* length of a key in Redis with the longest prefix */
#define NGX_HTTP_AGGREGATE_CACHE_L2_KEY                                      \
    (NGX_HTTP_AGGREGATE_REDIS_PREFIX_MAX + 2 * AGG_CACHE_DIGEST + 2)

/* length of the bytes that differ between an entry and its successor */
#define NGX_HTTP_AGGREGATE_CACHE_SEEN                                        \
    (AGG_CACHE_ENTRY_SEEN_TO - AGG_CACHE_ENTRY_SEEN_FROM + 1)

/* limits of one purge: its hashes, and those in one command to Redis */
#define NGX_HTTP_AGGREGATE_CACHE_PURGE_MAX    16384
#define NGX_HTTP_AGGREGATE_CACHE_PURGE_BATCH  128

/* background refreshes of a worker, at most */
#define NGX_HTTP_AGGREGATE_CACHE_REFRESHES   64


#define NGX_HTTP_AGGREGATE_CACHE_IGN_ACCEL          0x0002
#define NGX_HTTP_AGGREGATE_CACHE_IGN_TARGETED       0x0004
#define NGX_HTTP_AGGREGATE_CACHE_IGN_EXPIRES        0x0008
#define NGX_HTTP_AGGREGATE_CACHE_IGN_CONTROL        0x0010
#define NGX_HTTP_AGGREGATE_CACHE_IGN_SET_COOKIE     0x0020
#define NGX_HTTP_AGGREGATE_CACHE_IGN_VARY           0x0040
#define NGX_HTTP_AGGREGATE_CACHE_IGN_COOKIE         0x0080
#define NGX_HTTP_AGGREGATE_CACHE_IGN_AUTHORIZATION  0x0100


typedef enum {
    NGX_HTTP_AGGREGATE_CACHE_HIT = 0,
    NGX_HTTP_AGGREGATE_CACHE_MISS,
    NGX_HTTP_AGGREGATE_CACHE_STALE,
    NGX_HTTP_AGGREGATE_CACHE_BYPASS,
    NGX_HTTP_AGGREGATE_CACHE_REVALIDATED,
    NGX_HTTP_AGGREGATE_CACHE_STATUSES
} ngx_http_aggregate_cache_status_e;


typedef struct {
    agg_cache_store_t                  *store;
    agg_cache_purges_t                 *purges;
    agg_cache_locks_t                  *locks;

    ngx_atomic_t                        answers
                                           [NGX_HTTP_AGGREGATE_CACHE_STATUSES];
    ngx_atomic_t                        stores;
    ngx_atomic_t                        refused;
    ngx_atomic_t                        failed;
    ngx_atomic_t                        waits;
    ngx_atomic_t                        refreshes;
    ngx_atomic_t                        purged;
    ngx_atomic_t                        l2_hits;

    /* time of the last warning about evicted purge marks, in seconds */
    ngx_atomic_t                        purge_warned;

    /* the purge stream has been read to its end, and when it was last read */
    ngx_atomic_t                        stream_ready;
    ngx_atomic_t                        stream_seen;

    /*
     * The clock of the Redis that holds the stream is the monotonic clock of
     * this host plus this, in milliseconds.
     */
    ngx_atomic_t                        stream_clock;
} ngx_http_aggregate_cache_sh_t;


typedef struct {
    ngx_http_aggregate_cache_sh_t      *sh;
    ngx_slab_pool_t                    *shpool;
    ngx_shm_zone_t                     *shm_zone;
    ngx_str_t                           name;
    u_char                             *file;   /* that names it first */
    ngx_uint_t                          line;
    size_t                              max_object;
    ngx_http_aggregate_redis_t         *redis;
    ngx_http_aggregate_redis_stream_t  *stream;
    ngx_msec_t                          heartbeat;
} ngx_http_aggregate_cache_zone_t;


typedef struct {
    ngx_array_t                         zones;   /* pointers to zones */
} ngx_http_aggregate_cache_main_conf_t;


typedef struct {
    ngx_str_t                           prefix;
    time_t                              ttl;
} ngx_http_aggregate_cache_ttl_t;


typedef struct {
    ngx_http_aggregate_cache_zone_t    *zone;
    ngx_http_complex_value_t           *key;
    ngx_http_complex_value_t           *identity;
    ngx_http_complex_value_t           *tags;
    ngx_array_t                        *ttl;
    ngx_array_t                        *valid;
    ngx_array_t                        *bypass;
    ngx_array_t                        *no_store;
    ngx_uint_t                          ignore_headers;
    ngx_flag_t                          lock;
    ngx_msec_t                          lock_timeout;
    time_t                              stale_updating;
    time_t                              stale_error;
    ngx_uint_t                          key_unsafe;

    ngx_str_t                           location;
    ngx_uint_t                          if_blocks; /* so far */

    ngx_http_aggregate_redis_t         *redis;
    ngx_uint_t                          purge_lost_stale;
    ngx_msec_t                          purge_lost_after;

    ngx_http_aggregate_cache_zone_t    *purge;
    ngx_uint_t                          status;     /* unsigned  status:1 */
    ngx_http_aggregate_redis_t         *purge_redis;
} ngx_http_aggregate_cache_conf_t;


typedef enum {
    NGX_HTTP_AGGREGATE_CACHE_LOOKUP = 0,
    NGX_HTTP_AGGREGATE_CACHE_LOCK,
    NGX_HTTP_AGGREGATE_CACHE_L2_GET,
    NGX_HTTP_AGGREGATE_CACHE_L2_REPLY,
    NGX_HTTP_AGGREGATE_CACHE_FLEET_LOCK,
    NGX_HTTP_AGGREGATE_CACHE_FLEET_REPLY,
    NGX_HTTP_AGGREGATE_CACHE_FETCH,
    NGX_HTTP_AGGREGATE_CACHE_DONE
} ngx_http_aggregate_cache_state_e;


typedef struct ngx_http_aggregate_cache_ctx_s
    ngx_http_aggregate_cache_ctx_t;

typedef void (*ngx_http_aggregate_cache_cleanup_pt)(
    ngx_http_aggregate_cache_ctx_t *ctx);
typedef void (*ngx_http_aggregate_cache_notify_pt)(void);


/* the key of the request: key.c */

typedef struct {
    ngx_str_t                           resource;
    ngx_str_t                           variant;
    u_char                              digest[AGG_CACHE_DIGEST];
    u_char                              variant_digest[AGG_CACHE_DIGEST];

    agg_cache_str_t                     path;
    agg_cache_str_t                     original_uri;  /* before a rewrite */
    agg_cache_str_t                     original_path;
    uint64_t                            purge_hash[3]; /* URI, key, original */
} ngx_http_aggregate_cache_ctx_key_t;


/* the entry that was found, fresh or stale: lookup.c, l2.c */

typedef struct {
    agg_cache_ref_t                     ref;
    agg_cache_entry_t                   entry;
    ngx_str_t                           data;    /* in the request's memory */

    unsigned                            found:1;
    unsigned                            vary_miss:1;
} ngx_http_aggregate_cache_ctx_lookup_t;


/* the request is suspended: ctx.c */

typedef struct {
    ngx_event_t                         timer;
    ngx_queue_t                         queue;
    ngx_msec_t                          deadline;

    unsigned                            queued:1;
    unsigned                            started:1;  /* the deadline is set */
} ngx_http_aggregate_cache_ctx_wait_t;


/* the lock of this node, and that of the fleet: lock.c */

typedef struct {
    u_char                              digest[AGG_CACHE_DIGEST];
    uint32_t                            slot;
    uint64_t                            token;

    unsigned                            owner:1;
} ngx_http_aggregate_cache_ctx_lock_t;


typedef struct {
    uint64_t                            node;
    uint64_t                            count;
    ngx_msec_t                          pause;   /* between two attempts */
    size_t                              seen_len;
    u_char                              seen[NGX_HTTP_AGGREGATE_CACHE_SEEN];

    unsigned                            held:1;
} ngx_http_aggregate_cache_ctx_fleet_t;


/* the pending command to Redis, and its reply: l2.c */

typedef struct {
    ngx_http_aggregate_redis_op_t      *op;
    ngx_int_t                           rc;
    ngx_str_t                           reply;
    int64_t                             integer;
    ngx_msec_t                          sent;
    ngx_msec_t                          left;    /* to wait for replies */

    unsigned                            hit:1;
    unsigned                            started:1;  /* "left" is set */
} ngx_http_aggregate_cache_ctx_l2_t;


/* the request as the backend gets it: fill_request.c */

typedef struct {
    ngx_http_upstream_t                *upstream;   /* before the fill */
    uint64_t                            purge_seq;  /* at its start */
    agg_cache_place_t                   purge_place;
    ngx_msec_t                          started;

    void                              **loc_conf;   /* where it was made, */
    ngx_str_t                           uri;        /* and for what */
    ngx_str_t                           args;

    ngx_list_t                          headers;    /* the original */
    ngx_table_elt_t                    *if_modified_since;
    ngx_table_elt_t                    *if_unmodified_since;
    ngx_table_elt_t                    *if_match;
    ngx_table_elt_t                    *if_none_match;

    unsigned                            active:1;
    unsigned                            stripped:1;
    unsigned                            conditional:1;
    unsigned                            redirected:1;
} ngx_http_aggregate_cache_ctx_fill_t;


/* the response that is being stored: storable.c, fill.c, serialize.c */

typedef struct {
    agg_cache_freshness_t               freshness;
    ngx_uint_t                          status;
    time_t                              date;
    ngx_str_t                           tags;
    ngx_str_t                           headers;    /* serialized */
    agg_cache_str_t                     vary[AGG_CACHE_VARY_MAX];
    int                                 nvary;

    ngx_chain_t                        *body;
    ngx_chain_t                       **last;
    ngx_buf_t                          *tail;
    size_t                              size;
    size_t                              max;        /* of the body */
    off_t                               expected;
    ngx_array_t                        *inserted;   /* of filters */

    unsigned                            capturing:1;
    unsigned                            stored:1;
} ngx_http_aggregate_cache_ctx_store_t;


/* the request is fetched again without conditions: revalidate.c */

typedef struct {
    ngx_event_t                         event;
    ngx_http_post_subrequest_t          post_subrequest;
    ngx_http_post_subrequest_t         *owner;   /* that of the subrequest */

    unsigned                            pending:1;
    unsigned                            restarted:1;
    unsigned                            unconditional:1;
    unsigned                            background:1;   /* r->background */
    unsigned                            timer_set:1;    /* of the client */
} ngx_http_aggregate_cache_ctx_refetch_t;


/* a client that closes its connection during the fill: client_abort.c */

typedef struct {
    ngx_http_handler_pt                 content_handler;
    ngx_http_event_handler_pt           read_event_handler;

    unsigned                            aborted:1;
} ngx_http_aggregate_cache_ctx_client_t;


/* the response to the client: serve.c, filter.c */

typedef struct {
    u_char                             *cache_status; /* in the last header */
    u_char                             *age;

    unsigned                            hit:1;
    unsigned                            instead:1;    /* of an error */
    unsigned                            sending:1;    /* the replacement */
    unsigned                            replace:1;    /* by the entry */
    unsigned                            body_sent:1;
    unsigned                            client_304:1;
    unsigned                            header_seen:1;
    unsigned                            accounted:1;
} ngx_http_aggregate_cache_ctx_serve_t;


struct ngx_http_aggregate_cache_ctx_s {
    ngx_http_request_t                     *request;
    ngx_http_aggregate_cache_conf_t        *conf;
    ngx_http_aggregate_cache_zone_t        *zone;
    ngx_http_aggregate_cache_cleanup_pt     cleanup;

    ngx_http_aggregate_cache_state_e        state;
    ngx_http_aggregate_cache_status_e       status;
    agg_cache_reason_e                      reason;
    ngx_uint_t                              backend_status;
    ngx_uint_t                              others;   /* headers at its start,
                                                         of other modules */

    ngx_http_aggregate_cache_ctx_key_t      key;
    ngx_http_aggregate_cache_ctx_lookup_t   lookup;
    ngx_http_aggregate_cache_ctx_wait_t     wait;
    ngx_http_aggregate_cache_ctx_lock_t     lock;
    ngx_http_aggregate_cache_ctx_fleet_t    fleet;
    ngx_http_aggregate_cache_ctx_l2_t       l2;
    ngx_http_aggregate_cache_ctx_fill_t     fill;
    ngx_http_aggregate_cache_ctx_store_t    store;
    ngx_http_aggregate_cache_ctx_refetch_t  refetch;
    ngx_http_aggregate_cache_ctx_client_t   client;
    ngx_http_aggregate_cache_ctx_serve_t    serve;

    unsigned                                credentials:1;
    unsigned                                identified:1;
    unsigned                                forwarded:1;
    unsigned                                no_store:1;
    unsigned                                only_if_cached:1;
    unsigned                                invalidate:1;
    unsigned                                refresh:1;
    unsigned                                pass:1;
    unsigned                                hit_for_miss:1;
    unsigned                                finalized:1;
};


/* the hashes of a purge, and the number of its arguments of each kind */

typedef struct {
    ngx_array_t                         hashes;   /* elements are uint64_t */
    ngx_uint_t                          uris;
    ngx_uint_t                          keys;
    ngx_uint_t                          tags;
    ngx_uint_t                          prefixes;
    ngx_uint_t                          all;
    ngx_uint_t                          soft;
} ngx_http_aggregate_cache_purge_t;


/* zone */

char *ngx_http_aggregate_cache_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_http_aggregate_cache_zone_t *ngx_http_aggregate_cache_zone_add(
    ngx_conf_t *cf, ngx_str_t *name);
int ngx_http_aggregate_cache_is_alive(int32_t pid);
ngx_int_t ngx_http_aggregate_cache_zone_read(
    ngx_http_aggregate_cache_zone_t *zone, const u_char *digest,
    ngx_pool_t *pool, agg_cache_ref_t *ref, ngx_str_t *data);
ngx_int_t ngx_http_aggregate_cache_zone_write(
    ngx_http_aggregate_cache_zone_t *zone, const u_char *digest,
    ngx_str_t *head, ngx_chain_t *body, size_t size, uint64_t checked);
int64_t ngx_http_aggregate_cache_local_time(void);


/* the monotonic clock, and its time some milliseconds ago */

static ngx_inline uint32_t
ngx_http_aggregate_cache_steady_time(void)
{
    return (uint32_t) ((uint64_t) ngx_current_msec * AGG_CACHE_ENTRY_STEADY
                       / 1000);
}


static ngx_inline uint32_t
ngx_http_aggregate_cache_steady_since(int64_t age)
{
    return ngx_http_aggregate_cache_steady_time()
           - (uint32_t) ((age * AGG_CACHE_ENTRY_STEADY + 999) / 1000);
}


/* conf */

char *ngx_http_aggregate_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_aggregate_cache_purge_lost(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_identity(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_ttl(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_ignore_headers(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_aggregate_cache_stale(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_purge_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_status_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ctx */

#define ngx_http_aggregate_cache_get_ctx(r)                                   \
    ((ngx_http_aggregate_cache_ctx_t *)                                       \
     ngx_http_aggregate_ctx_find(r, &ngx_http_aggregate_cache_module,         \
                                 ngx_http_aggregate_cache_ctx_cleanup))

/* 0: there is none, and no redirect has wiped it */
#define ngx_http_aggregate_cache_has_ctx(r)                                   \
    ngx_http_aggregate_ctx_has(r, &ngx_http_aggregate_cache_module)

void ngx_http_aggregate_cache_ctx_cleanup(void *data);
ngx_http_aggregate_cache_ctx_t *ngx_http_aggregate_cache_create_ctx(
    ngx_http_request_t *r, ngx_http_aggregate_cache_conf_t *conf,
    ngx_http_aggregate_cache_cleanup_pt cleanup);
ngx_msec_int_t ngx_http_aggregate_cache_wait_left(
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_suspend(ngx_http_request_t *r);
void ngx_http_aggregate_cache_resume(ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_wait_cancel(ngx_http_aggregate_cache_ctx_t *ctx);

/* key */

void *ngx_http_aggregate_cache_create_srv_conf(ngx_conf_t *cf);
ngx_int_t ngx_http_aggregate_cache_name_servers(ngx_conf_t *cf);
ngx_int_t ngx_http_aggregate_cache_set_location_path(ngx_conf_t *cf,
    ngx_http_aggregate_cache_conf_t *prev,
    ngx_http_aggregate_cache_conf_t *conf);
ngx_int_t ngx_http_aggregate_cache_make_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_uri_hash(ngx_pool_t *pool,
    agg_cache_str_t *path, agg_cache_str_t *args, uint64_t *hash);
ngx_int_t ngx_http_aggregate_cache_make_variant_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const agg_cache_str_t *names,
    ngx_uint_t n);
void ngx_http_aggregate_cache_set_lock_digest(
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest);

/* notify */

ngx_int_t ngx_http_aggregate_cache_notify_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_http_aggregate_cache_notify_init_process(ngx_cycle_t *cycle,
    ngx_http_aggregate_cache_notify_pt handler);
void ngx_http_aggregate_cache_notify_exit_process(ngx_cycle_t *cycle);
void ngx_http_aggregate_cache_notify(uint64_t workers);
void ngx_http_aggregate_cache_notify_self(void);

/* purge_marks */

agg_cache_purged_e ngx_http_aggregate_cache_purge_check(
    ngx_http_aggregate_cache_ctx_t *ctx);
size_t ngx_http_aggregate_cache_purge_hashes(
    ngx_http_aggregate_cache_ctx_t *ctx, uint64_t *hashes);
ngx_int_t ngx_http_aggregate_cache_set_purge_hashes(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry);
void ngx_http_aggregate_cache_purge_mark(ngx_http_aggregate_cache_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, ngx_uint_t soft,
    const agg_cache_id_t *id);

/* lookup */

ngx_int_t ngx_http_aggregate_cache_lookup(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_select_variant(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_lookup_delete(
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_uint_t ngx_http_aggregate_cache_may_serve_stale(
    ngx_http_aggregate_cache_ctx_t *ctx);

/* l2 */

ngx_int_t ngx_http_aggregate_cache_l2_get(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
u_char *ngx_http_aggregate_cache_l2_write_key(
    ngx_http_aggregate_cache_ctx_t *ctx, u_char *p, const u_char *digest);
ngx_http_aggregate_redis_op_t *ngx_http_aggregate_cache_l2_send(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *key, ngx_uint_t argc,
    ngx_str_t *argv, ngx_uint_t wait);
ngx_uint_t ngx_http_aggregate_cache_l2_may_wait(
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_l2_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_l2_reply(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_l2_set_seen(ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_l2_set(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest, ngx_uint_t kind,
    ngx_str_t *head, ngx_chain_t *body, size_t size);
void ngx_http_aggregate_cache_l2_delete(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
int64_t ngx_http_aggregate_cache_l2_time(ngx_http_aggregate_cache_ctx_t *ctx,
    time_t time);
const char *ngx_http_aggregate_cache_l2_state(
    ngx_http_aggregate_cache_zone_t *zone);

/* lock */

ngx_int_t ngx_http_aggregate_cache_lock_init_process(ngx_cycle_t *cycle);
ngx_int_t ngx_http_aggregate_cache_lock(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_lock_acquire(
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_lock_release(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_msec_t hit_for_miss);
void ngx_http_aggregate_cache_hit_for_miss_clear(
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_fleet_lock(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_fleet_reply(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* purge_stream */

ngx_http_aggregate_redis_op_t *ngx_http_aggregate_cache_purge_stream_add(
    ngx_http_aggregate_redis_t *redis, const uint64_t *hashes, ngx_uint_t n,
    ngx_uint_t soft, ngx_http_aggregate_redis_pt handler, void *data,
    ngx_pool_t *pool);
ngx_int_t ngx_http_aggregate_cache_purge_stream_start(
    ngx_http_aggregate_cache_zone_t *zone, ngx_cycle_t *cycle);

/* purge */

ngx_int_t ngx_http_aggregate_cache_purge_handler(ngx_http_request_t *r);
void ngx_http_aggregate_cache_invalidate(ngx_http_aggregate_cache_ctx_t *ctx);

/* purge_args */

ngx_int_t ngx_http_aggregate_cache_purge_parse(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge);

/* fill_request */

void ngx_http_aggregate_cache_parse_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_prepare_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_restore_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_restore_location(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* storable */

ngx_int_t ngx_http_aggregate_cache_check_storable(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_check_revalidated(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_list_t *ngx_http_aggregate_cache_upstream_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_uint_t ngx_http_aggregate_cache_upstream_succeeded(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_uint_t ngx_http_aggregate_cache_upstream_failed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_uint_t status);
ngx_uint_t ngx_http_aggregate_cache_upstream_is_local_error(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);

/* vary */

ngx_uint_t ngx_http_aggregate_cache_varies_by_set(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_uint_t ngx_http_aggregate_cache_has_identified_part(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* serialize */

ngx_int_t ngx_http_aggregate_cache_serialize_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old);
void ngx_http_aggregate_cache_store(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* revalidate */

ngx_uint_t ngx_http_aggregate_cache_is_validated(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_revalidate(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_refetch(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_refetch_cancel(
    ngx_http_aggregate_cache_ctx_t *ctx);

/* owner */

void ngx_http_aggregate_cache_owner_defer(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_owner_restore(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* refresh */

void ngx_http_aggregate_cache_refresh(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* client_abort */

void ngx_http_aggregate_cache_watch_client(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_uint_t ngx_http_aggregate_cache_part_aborted(ngx_http_request_t *sr);
void ngx_http_aggregate_cache_client_done(ngx_http_aggregate_cache_ctx_t *ctx);

/* fill */

ngx_int_t ngx_http_aggregate_cache_fill_start(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_fill_body(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_chain_t *in);
void ngx_http_aggregate_cache_fill_subrequest(ngx_http_request_t *sr);
ngx_int_t ngx_http_aggregate_cache_fill_note_subrequests(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_fill_refused(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_msec_t ngx_http_aggregate_cache_hit_for_miss(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_uint_t status);
void ngx_http_aggregate_cache_fill_refuse(ngx_http_aggregate_cache_ctx_t *ctx,
    agg_cache_reason_e reason, ngx_msec_t hit_for_miss);

/* filter */

ngx_int_t ngx_http_aggregate_cache_filter_init(ngx_conf_t *cf);

/* serve */

ngx_int_t ngx_http_aggregate_cache_serve(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_buf_t *ngx_http_aggregate_cache_body(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_set_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_clear_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_add_status_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_send_text(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_buf_t *b);

/* handler */

ngx_int_t ngx_http_aggregate_cache_handler(ngx_http_request_t *r);
void ngx_http_aggregate_cache_cancel_wait(ngx_http_aggregate_cache_ctx_t *ctx);

/* status */

ngx_int_t ngx_http_aggregate_cache_status_handler(ngx_http_request_t *r);
ngx_buf_t *ngx_http_aggregate_cache_json(ngx_http_request_t *r);
ngx_buf_t *ngx_http_aggregate_cache_prometheus(ngx_http_request_t *r);


static ngx_inline void
ngx_http_aggregate_cache_zone_lock(ngx_http_aggregate_cache_zone_t *zone)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    (void) agg_cache_store_enter(zone->sh->store, (int32_t) ngx_pid,
                                 ngx_http_aggregate_cache_is_alive);
}


static ngx_inline void
ngx_http_aggregate_cache_zone_unlock(ngx_http_aggregate_cache_zone_t *zone)
{
    agg_cache_store_leave(zone->sh->store);

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


extern ngx_module_t  ngx_http_aggregate_cache_module;

extern ngx_str_t     ngx_http_aggregate_cache_status_names[];

extern ngx_uint_t    ngx_http_aggregate_cache_phase;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_CACHE_H_INCLUDED_ */
