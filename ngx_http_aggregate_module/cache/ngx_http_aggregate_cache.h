
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
#include "agg_cache_flight.h"
#include "agg_cache_uri.h"
#include "ngx_http_aggregate_breaker.h"
#include "ngx_http_aggregate_ctx.h"
#include "ngx_http_aggregate_header_list.h"
#include "ngx_http_aggregate_redis.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_CACHE_WORKERS     64

/* the names of a response by which it can be purged, at most */
#define NGX_HTTP_AGGREGATE_CACHE_HASHES                                      \
    (3 + 2 * AGG_CACHE_PURGE_DEPTH + AGG_CACHE_ENTRY_NAMES_MAX               \
     + AGG_CACHE_PURGE_TAGS)

/* responses that could not be kept: their clients do not wait meanwhile */
#define NGX_HTTP_AGGREGATE_CACHE_PASS        60000
#define NGX_HTTP_AGGREGATE_CACHE_PASS_ERROR  1000

/* how often a waiter looks whether the process it waits for lives */
#define NGX_HTTP_AGGREGATE_CACHE_POLL        100

/* a key in Redis, with the longest prefix */
#define NGX_HTTP_AGGREGATE_CACHE_REMOTE_KEY                                  \
    (NGX_HTTP_AGGREGATE_REDIS_PREFIX_MAX + 2 * AGG_CACHE_DIGEST + 2)

/* the length of the bytes that tell an entry in Redis from its successor */
#define NGX_HTTP_AGGREGATE_CACHE_SEEN                                        \
    (AGG_CACHE_ENTRY_SEEN_TO - AGG_CACHE_ENTRY_SEEN_FROM + 1)

/* names of one purge at most, and those that one command brings to Redis */
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
    agg_cache_flights_t                *flights;

    ngx_atomic_t                        answers
                                           [NGX_HTTP_AGGREGATE_CACHE_STATUSES];
    ngx_atomic_t                        stores;
    ngx_atomic_t                        refused;
    ngx_atomic_t                        failed;
    ngx_atomic_t                        waits;
    ngx_atomic_t                        refreshes;
    ngx_atomic_t                        purged;
    ngx_atomic_t                        remote_hits;

    /* when it was last said that there is no room for marks, in seconds */
    ngx_atomic_t                        marks_warned;

    /* the stream of purges: known to its end, and last heard of */
    ngx_atomic_t                        link_ready;
    ngx_atomic_t                        link_seen;

    /*
     * The clock of the Redis that holds the stream, in milliseconds: that of
     * this host, which never goes back, and this.
     */
    ngx_atomic_t                        link_clock;
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
    ngx_http_aggregate_redis_follow_t  *link;
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

    ngx_str_t                           route;
    ngx_uint_t                          inner;   /* "if" blocks so far */

    ngx_http_aggregate_redis_t         *redis;
    ngx_uint_t                          lost_stale;
    ngx_msec_t                          lost_after;

    ngx_http_aggregate_cache_zone_t    *purge;
    ngx_uint_t                          status;     /* unsigned  status:1 */
    ngx_http_aggregate_redis_t         *purge_redis;
} ngx_http_aggregate_cache_conf_t;


typedef enum {
    ngx_http_aggregate_cache_lookup = 0,
    ngx_http_aggregate_cache_flight,
    ngx_http_aggregate_cache_ask,
    ngx_http_aggregate_cache_asked,
    ngx_http_aggregate_cache_claim,
    ngx_http_aggregate_cache_claimed,
    ngx_http_aggregate_cache_origin,
    ngx_http_aggregate_cache_done
} ngx_http_aggregate_cache_state_e;


typedef struct ngx_http_aggregate_cache_ctx_s
    ngx_http_aggregate_cache_ctx_t;

struct ngx_http_aggregate_cache_ctx_s {
    ngx_http_request_t                 *request;
    ngx_http_aggregate_cache_conf_t    *conf;
    ngx_http_aggregate_cache_zone_t    *zone;
    ngx_http_aggregate_cache_state_e    state;
    ngx_http_aggregate_cache_status_e   status;

    ngx_str_t                           key;       /* the resource's key */
    ngx_str_t                           full;      /* the variant's key */
    u_char                              digest[AGG_CACHE_DIGEST];
    u_char                              variant[AGG_CACHE_DIGEST];
    u_char                              lock[AGG_CACHE_DIGEST];

    agg_cache_str_t                     path;
    agg_cache_str_t                     asked;      /* before a rewrite */
    agg_cache_str_t                     asked_path;
    uint64_t                            names[3];   /* URI, key, asked URI */
    uint64_t                            born;
    agg_cache_place_t                   born_place;
    time_t                              requested;

    /* the entry that was found, fresh or stale, in the request's memory */

    agg_cache_ref_t                     ref;
    agg_cache_entry_t                   entry;
    ngx_str_t                           data;

    /* the response that is being stored */

    agg_cache_freshness_t               freshness;
    ngx_str_t                           tags;
    ngx_str_t                           lines;
    agg_cache_str_t                     vary[AGG_CACHE_VARY_MAX];
    int                                 nvary;
    ngx_chain_t                        *body;
    ngx_chain_t                       **last;
    ngx_buf_t                          *tail;
    size_t                              size;
    off_t                               expected;
    ngx_uint_t                          store_status;
    time_t                              date;

    uint32_t                            slot;
    uint64_t                            token;
    ngx_msec_t                          deadline;
    ngx_event_t                         timer;
    ngx_queue_t                         queue;

    ngx_http_aggregate_redis_op_t      *op;
    ngx_int_t                           remote_rc;
    ngx_str_t                           reply;
    int64_t                             reply_integer;

    /* the lock of the fleet, and the last entry that was of no use */

    uint64_t                            fleet_node;
    uint64_t                            fleet_count;
    ngx_msec_t                          pause;
    size_t                              nseen;
    u_char                              seen[NGX_HTTP_AGGREGATE_CACHE_SEEN];

    ngx_http_upstream_t                *upstream;  /* from before the fill */
    agg_cache_verdict_e                 verdict;
    ngx_uint_t                          backend_status;

    ngx_list_t                          headers;   /* as they came */
    ngx_table_elt_t                    *if_modified_since;
    ngx_table_elt_t                    *if_unmodified_since;
    ngx_table_elt_t                    *if_match;
    ngx_table_elt_t                    *if_none_match;

    ngx_array_t                        *inserted;  /* filters' subrequests */

    ngx_event_t                         restart;
    ngx_http_handler_pt                 content_handler;
    ngx_http_event_handler_pt           read_event_handler;

    unsigned                            credentials:1;
    unsigned                            told:1;
    unsigned                            headed:1;
    unsigned                            request_no_store:1;
    unsigned                            only_if_cached:1;
    unsigned                            invalidate:1;
    unsigned                            found:1;
    unsigned                            leader:1;
    unsigned                            waiting:1;
    unsigned                            waited:1;
    unsigned                            fill:1;
    unsigned                            capture:1;
    unsigned                            conditional:1;
    unsigned                            hidden:1;
    unsigned                            serve:1;
    unsigned                            swap:1;
    unsigned                            swap_sent:1;
    unsigned                            unmodified:1; /* for the client */
    unsigned                            stored:1;
    unsigned                            vary_miss:1;
    unsigned                            refresh:1;
    unsigned                            moved:1;
    unsigned                            remote:1;
    unsigned                            counted:1;
    unsigned                            fleet:1;
    unsigned                            pass:1;
    unsigned                            hit_for_miss:1;
    unsigned                            aborted:1; /* by the client */
    unsigned                            ended:1;
    unsigned                            refetch:1;
    unsigned                            unconditional:1;
};


/* the names of a purge: hashes for the marks, and how many of each kind */

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
void ngx_http_aggregate_cache_enter(ngx_http_aggregate_cache_zone_t *zone);
void ngx_http_aggregate_cache_leave(ngx_http_aggregate_cache_zone_t *zone);
int ngx_http_aggregate_cache_alive(int32_t pid);
ngx_int_t ngx_http_aggregate_cache_find(
    ngx_http_aggregate_cache_zone_t *zone, const u_char *digest,
    ngx_pool_t *pool, agg_cache_ref_t *ref, ngx_str_t *data);
ngx_int_t ngx_http_aggregate_cache_put(ngx_http_aggregate_cache_zone_t *zone,
    const u_char *digest, ngx_str_t *head, ngx_chain_t *body, size_t size,
    uint64_t checked);

/* conf */

char *ngx_http_aggregate_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_identity(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_lock_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_ttl(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_stale(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_ignore_headers(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_aggregate_cache_purge_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_purge_lost(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_aggregate_cache_status_conf(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/* wake */

ngx_int_t ngx_http_aggregate_cache_wake_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_http_aggregate_cache_wake_init_process(ngx_cycle_t *cycle);
void ngx_http_aggregate_cache_wake_exit_process(ngx_cycle_t *cycle);
ngx_int_t ngx_http_aggregate_cache_take(ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_take_over(ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_land(ngx_http_aggregate_cache_ctx_t *ctx,
    ngx_msec_t pass);
ngx_int_t ngx_http_aggregate_cache_wait(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_msec_int_t ngx_http_aggregate_cache_patience(
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_park(ngx_http_request_t *r);
void ngx_http_aggregate_cache_resume(ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_unwait(ngx_http_aggregate_cache_ctx_t *ctx);

/* key */

void *ngx_http_aggregate_cache_create_srv_conf(ngx_conf_t *cf);
void ngx_http_aggregate_cache_number_servers(ngx_conf_t *cf);
ngx_int_t ngx_http_aggregate_cache_set_route(ngx_conf_t *cf,
    ngx_http_aggregate_cache_conf_t *prev,
    ngx_http_aggregate_cache_conf_t *conf);
ngx_int_t ngx_http_aggregate_cache_make_key(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_make_variant(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const agg_cache_str_t *names,
    ngx_uint_t n);
ngx_int_t ngx_http_aggregate_cache_digest(ngx_str_t *data, u_char *digest);
ngx_int_t ngx_http_aggregate_cache_uri_hash(ngx_pool_t *pool,
    agg_cache_str_t *path, agg_cache_str_t *args, uint64_t *hash);

/* request */

ngx_http_aggregate_cache_ctx_t *ngx_http_aggregate_cache_get(
    ngx_http_request_t *r);
ngx_http_aggregate_cache_ctx_t *ngx_http_aggregate_cache_create(
    ngx_http_request_t *r, ngx_http_aggregate_cache_conf_t *conf);
void ngx_http_aggregate_cache_stop_waiting(
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_read_request(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_prepare(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_restore(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* response */

ngx_int_t ngx_http_aggregate_cache_judge(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_revalidate(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_list_t *ngx_http_aggregate_cache_origin_headers(
    ngx_http_request_t *r, ngx_http_aggregate_cache_ctx_t *ctx);

/* keep */

ngx_int_t ngx_http_aggregate_cache_lines(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *old);
void ngx_http_aggregate_cache_store(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* serve */

ngx_int_t ngx_http_aggregate_cache_serve(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_set_headers(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_tell(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_buf_t *ngx_http_aggregate_cache_body(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* flow */

ngx_int_t ngx_http_aggregate_cache_handler(ngx_http_request_t *r);
void ngx_http_aggregate_cache_drop(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_vary(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_uint_t ngx_http_aggregate_cache_failed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_uint_t status);
ngx_uint_t ngx_http_aggregate_cache_usable(
    ngx_http_aggregate_cache_ctx_t *ctx);

/* marks */

agg_cache_purged_e ngx_http_aggregate_cache_purged(
    ngx_http_aggregate_cache_ctx_t *ctx);
size_t ngx_http_aggregate_cache_hashes(ngx_http_aggregate_cache_ctx_t *ctx,
    uint64_t *hashes);
ngx_int_t ngx_http_aggregate_cache_entry_names(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, agg_cache_entry_t *entry);
void ngx_http_aggregate_cache_purge(ngx_http_aggregate_cache_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, ngx_uint_t soft);
void ngx_http_aggregate_cache_mark(ngx_http_aggregate_cache_zone_t *zone,
    const uint64_t *hashes, ngx_uint_t n, ngx_uint_t soft,
    const agg_cache_id_t *id);
void ngx_http_aggregate_cache_invalidate(
    ngx_http_aggregate_cache_ctx_t *ctx);

/* remote */

ngx_int_t ngx_http_aggregate_cache_remote_get(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_remote_take(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_remote_seen(
    ngx_http_aggregate_cache_ctx_t *ctx);
u_char *ngx_http_aggregate_cache_remote_write_key(
    ngx_http_aggregate_cache_ctx_t *ctx, u_char *p, const u_char *digest);
ngx_http_aggregate_redis_op_t *ngx_http_aggregate_cache_remote_send(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_str_t *key, ngx_uint_t argc,
    ngx_str_t *argv, ngx_uint_t wait);
void ngx_http_aggregate_cache_remote_set(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx, const u_char *digest,
    ngx_str_t *head, ngx_chain_t *body, size_t size);
int64_t ngx_http_aggregate_cache_remote_time(
    ngx_http_aggregate_cache_ctx_t *ctx, time_t time);
uint32_t ngx_http_aggregate_cache_steady(void);
uint32_t ngx_http_aggregate_cache_since(int64_t age);
int64_t ngx_http_aggregate_cache_local_time(void);
void ngx_http_aggregate_cache_remote_drop(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
const char *ngx_http_aggregate_cache_remote_state(
    ngx_http_aggregate_cache_zone_t *zone);

/* stream */

ngx_int_t ngx_http_aggregate_cache_link(ngx_http_aggregate_cache_zone_t *zone,
    ngx_cycle_t *cycle);
ngx_http_aggregate_redis_op_t *ngx_http_aggregate_cache_remote_purge(
    ngx_http_aggregate_redis_t *redis, const uint64_t *hashes, ngx_uint_t n,
    ngx_uint_t soft, ngx_http_aggregate_redis_pt handler, void *data,
    ngx_pool_t *pool);

/* fleet */

ngx_int_t ngx_http_aggregate_cache_fleet_claim(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_fleet_claimed(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_fleet_release(
    ngx_http_aggregate_cache_ctx_t *ctx, ngx_msec_t pass);

/* filter */

ngx_int_t ngx_http_aggregate_cache_filter_init(ngx_conf_t *cf);

/* refetch */

ngx_uint_t ngx_http_aggregate_cache_validates(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_int_t ngx_http_aggregate_cache_refetch(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
void ngx_http_aggregate_cache_refetch_cancel(
    ngx_http_aggregate_cache_ctx_t *ctx);

/* abort */

void ngx_http_aggregate_cache_watch_client(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);
ngx_uint_t ngx_http_aggregate_cache_part_gone(ngx_http_request_t *sr);
void ngx_http_aggregate_cache_abort_done(
    ngx_http_aggregate_cache_ctx_t *ctx);

/* refresh */

void ngx_http_aggregate_cache_refresh(ngx_http_request_t *r,
    ngx_http_aggregate_cache_ctx_t *ctx);

/* purge, status */

ngx_int_t ngx_http_aggregate_cache_purge_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_cache_purge_parse(ngx_http_request_t *r,
    ngx_http_aggregate_cache_purge_t *purge);
ngx_int_t ngx_http_aggregate_cache_status_handler(ngx_http_request_t *r);
ngx_buf_t *ngx_http_aggregate_cache_prometheus(ngx_http_request_t *r);
ngx_buf_t *ngx_http_aggregate_cache_json(ngx_http_request_t *r);
ngx_int_t ngx_http_aggregate_cache_answer(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_buf_t *b);


extern ngx_module_t  ngx_http_aggregate_cache_module;

extern ngx_uint_t    ngx_http_aggregate_cache_phase;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_CACHE_H_INCLUDED_ */
