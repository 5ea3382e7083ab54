
#ifndef _NGX_HTTP_AGGREGATE_REDIS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>

#include "agg_redis.h"


#pragma GCC visibility push(hidden)


/* bytes of commands that wait to be sent on one connection, at most */
#define NGX_HTTP_AGGREGATE_REDIS_QUEUE  (8 * 1024 * 1024)

/* commands without a reply on one connection, at most */
#define NGX_HTTP_AGGREGATE_REDIS_FLIGHT  1024

/* a connection that is silent for so long, while it owes replies, is closed */
#define NGX_HTTP_AGGREGATE_REDIS_SILENCE  1000

/* failures in a row, of all workers, after which nobody asks for a while */
#define NGX_HTTP_AGGREGATE_REDIS_FAILS  3

#define NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MIN  100
#define NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MAX  5000


typedef struct ngx_http_aggregate_redis_s       ngx_http_aggregate_redis_t;
typedef struct ngx_http_aggregate_redis_conn_s  ngx_http_aggregate_redis_conn_t;
typedef struct ngx_http_aggregate_redis_op_s    ngx_http_aggregate_redis_op_t;

typedef void (*ngx_http_aggregate_redis_pt)(
    ngx_http_aggregate_redis_op_t *op);


/* in shared memory: what a worker has learned, the others know */

typedef struct {
    ngx_atomic_t                        fails;      /* in a row */
    ngx_atomic_t                        down;
    ngx_atomic_t                        probe_at;   /* milliseconds */
    ngx_atomic_t                        backoff;
    ngx_atomic_t                        timeouts;
    ngx_atomic_t                        errors;
    ngx_atomic_t                        commands;
} ngx_http_aggregate_redis_sh_t;


struct ngx_http_aggregate_redis_s {
    ngx_str_t                           name;
    ngx_addr_t                         *addrs;
    ngx_uint_t                          naddrs;
    ngx_str_t                           user;
    ngx_str_t                           password;
    ngx_str_t                           prefix;
    ngx_int_t                           database;
    ngx_msec_t                          connect_timeout;
    ngx_msec_t                          timeout;

    ngx_shm_zone_t                     *shm_zone;
    ngx_http_aggregate_redis_sh_t      *sh;

    ngx_http_aggregate_redis_conn_t    *conn;       /* of this worker */

    unsigned                            defined:1;
};


/*
 * A command under way.  rc is NGX_OK with a reply, NGX_DECLINED with nil,
 * NGX_ERROR otherwise: an error of Redis, a time-out, no connection.  A value
 * is read into memory of pool, which has to live until forget() or handler.
 */

struct ngx_http_aggregate_redis_op_s {
    ngx_queue_t                         queue;
    ngx_http_aggregate_redis_conn_t    *conn;
    ngx_http_aggregate_redis_pt         handler;
    void                               *data;
    ngx_pool_t                         *pool;
    size_t                              limit;      /* of the value */
    ngx_msec_t                          deadline;
    ngx_int_t                           rc;
    ngx_str_t                           value;
    int64_t                             integer;
    unsigned                            setup:1;
    unsigned                            reading:1;
};


/*
 * A stream that is followed.  The owner sets redis, key, last_* and the
 * handlers: linked is called with the bounds of what the stream holds, first_*
 * and bound_* (zeroes: nothing), and may change last_*; entry for each new
 * entry; alive after each answer.  Where linked sets raise_*, an entry of that
 * id without a meaning is put into the stream first, so that what comes later
 * is later.
 */

typedef struct ngx_http_aggregate_redis_follow_s
    ngx_http_aggregate_redis_follow_t;

struct ngx_http_aggregate_redis_follow_s {
    ngx_http_aggregate_redis_t         *redis;
    ngx_str_t                           key;
    uint64_t                            last_ms;
    uint64_t                            last_seq;
    uint64_t                            first_ms;
    uint64_t                            first_seq;
    uint64_t                            bound_ms;
    uint64_t                            bound_seq;
    uint64_t                            raise_ms;
    uint64_t                            raise_seq;
    void                               *data;

    void                              (*linked)(
                                   ngx_http_aggregate_redis_follow_t *follow);
    void                              (*entry)(
                                   ngx_http_aggregate_redis_follow_t *follow,
                                   const agg_redis_entry_t *entry);
    void                              (*alive)(
                                   ngx_http_aggregate_redis_follow_t *follow);

    ngx_peer_connection_t               peer;
    ngx_event_t                         timer;
    void                               *reader;
    char                               *out;
    size_t                              out_len;
    size_t                              out_sent;
    ngx_msec_t                          delay;
    ngx_uint_t                          greetings;
    ngx_uint_t                          step;
};


/* finds the block of that name, or adds one that is still to be defined */
ngx_http_aggregate_redis_t *ngx_http_aggregate_redis_add(ngx_conf_t *cf,
    ngx_str_t *name);

/*
 * Sends a command; the handler is called later, never from here.  NULL: not
 * now, as Redis is down or too much is waiting.  Without a handler nobody
 * waits for the reply.
 */
ngx_http_aggregate_redis_op_t *ngx_http_aggregate_redis_send(
    ngx_http_aggregate_redis_t *redis, ngx_uint_t argc, ngx_str_t *argv,
    ngx_http_aggregate_redis_pt handler, void *data, ngx_pool_t *pool,
    size_t limit);

/* nobody waits for it any more; its reply is passed over when it comes */
void ngx_http_aggregate_redis_forget(ngx_http_aggregate_redis_op_t *op);

/* are commands sent at all at this moment */
ngx_uint_t ngx_http_aggregate_redis_up(ngx_http_aggregate_redis_t *redis);

/* failures and successes, counted for all workers */
void ngx_http_aggregate_redis_failed(ngx_http_aggregate_redis_t *redis,
    const char *what);
void ngx_http_aggregate_redis_worked(ngx_http_aggregate_redis_t *redis);

/* the commands that begin a connection; NULL: no memory */
char *ngx_http_aggregate_redis_greeting(ngx_http_aggregate_redis_t *redis,
    size_t *len, ngx_uint_t *n);

/* closes this worker's connection */
void ngx_http_aggregate_redis_end(ngx_http_aggregate_redis_t *redis);

void ngx_http_aggregate_redis_follow(
    ngx_http_aggregate_redis_follow_t *follow);
void ngx_http_aggregate_redis_unfollow(
    ngx_http_aggregate_redis_follow_t *follow);

ngx_int_t ngx_http_aggregate_redis_peer(ngx_peer_connection_t *pc,
    ngx_http_aggregate_redis_t *redis, ngx_log_t *log);


extern ngx_module_t  ngx_http_aggregate_redis_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_REDIS_H_INCLUDED_ */
