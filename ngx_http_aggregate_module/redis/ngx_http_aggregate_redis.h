
#ifndef _NGX_HTTP_AGGREGATE_REDIS_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>

#include "agg_redis.h"
#include "agg_redis_cluster.h"
#include "ngx_http_aggregate_block_parser.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_AGGREGATE_REDIS_PREFIX_MAX  128

/* bytes of commands that wait to be sent on one connection, at most */
#define NGX_HTTP_AGGREGATE_REDIS_QUEUE     (8 * 1024 * 1024)

/* commands without a reply on one connection, at most */
#define NGX_HTTP_AGGREGATE_REDIS_FLIGHT    1024

/* a connection that owes replies and is idle for so long is closed */
#define NGX_HTTP_AGGREGATE_REDIS_IDLE      1000

/* failures in a row, of all workers, after which nobody asks for a while */
#define NGX_HTTP_AGGREGATE_REDIS_FAILS     3

#define NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MIN  100
#define NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MAX  5000

/* one that fails again so soon goes on with the back-off it had */
#define NGX_HTTP_AGGREGATE_REDIS_RELAPSE   10000

/* between two looks for another server in place of a replica */
#define NGX_HTTP_AGGREGATE_REDIS_MISPLACED 1000

/* between two log lines about one command that is refused */
#define NGX_HTTP_AGGREGATE_REDIS_REFUSED   60000
#define NGX_HTTP_AGGREGATE_REDIS_COMMANDS  16

/* servers that a worker knows of at once, and whose health is shared */
#define NGX_HTTP_AGGREGATE_REDIS_NODES     256
#define NGX_HTTP_AGGREGATE_REDIS_HEALTHS   64

/* a command goes to another node so often, and is kept for it up to here */
#define NGX_HTTP_AGGREGATE_REDIS_HOPS      3
#define NGX_HTTP_AGGREGATE_REDIS_HOP_SIZE  4096


typedef struct ngx_http_aggregate_redis_s       ngx_http_aggregate_redis_t;
typedef struct ngx_http_aggregate_redis_node_s  ngx_http_aggregate_redis_node_t;
typedef struct ngx_http_aggregate_redis_link_s  ngx_http_aggregate_redis_link_t;
typedef struct ngx_http_aggregate_redis_talk_s  ngx_http_aggregate_redis_talk_t;
typedef struct ngx_http_aggregate_redis_conn_s  ngx_http_aggregate_redis_conn_t;
typedef struct ngx_http_aggregate_redis_op_s    ngx_http_aggregate_redis_op_t;

typedef struct ngx_http_aggregate_redis_cluster_s
    ngx_http_aggregate_redis_cluster_t;
typedef struct ngx_http_aggregate_redis_sentinel_s
    ngx_http_aggregate_redis_sentinel_t;
typedef struct ngx_http_aggregate_redis_follow_s
    ngx_http_aggregate_redis_follow_t;

typedef void (*ngx_http_aggregate_redis_pt)(
    ngx_http_aggregate_redis_op_t *op);


/* in shared memory: what a worker has learned, the others know */

typedef struct {
    ngx_atomic_t                          hash;     /* the server name's */
    ngx_atomic_t                          fails;    /* in a row */
    ngx_atomic_t                          down;
    ngx_atomic_t                          probe_at; /* milliseconds */
    ngx_atomic_t                          backoff;
    ngx_atomic_t                          up_at;    /* since when it is up */
} ngx_http_aggregate_redis_health_t;


typedef struct {
    ngx_atomic_t                          timeouts;
    ngx_atomic_t                          errors;
    ngx_atomic_t                          commands;
    ngx_atomic_t                          redirects;
    ngx_atomic_t                          run;      /* the server's, 64 bit */
    ngx_atomic_t                          misplaced; /* servers found to be */
    ngx_http_aggregate_redis_health_t     healths
                                           [NGX_HTTP_AGGREGATE_REDIS_HEALTHS];
} ngx_http_aggregate_redis_sh_t;


/* a server, with this worker's connection to it */

struct ngx_http_aggregate_redis_node_s {
    ngx_http_aggregate_redis_t           *redis;
    ngx_str_t                             name;     /* for the log */
    u_char                               *file;     /* of the statement */
    ngx_uint_t                            line;
    ngx_str_t                             host;
    in_port_t                             port;
    ngx_addr_t                           *addrs;    /* NULL: to be resolved */
    ngx_uint_t                            naddrs;
    ngx_http_aggregate_redis_health_t    *health;
    ngx_http_aggregate_redis_conn_t      *conn;
    ngx_uint_t                            links;    /* users of the node */
    ngx_event_t                           recovery; /* when it is down */
    ngx_msec_t                            misplaced_at;
    ngx_msec_t                            refused_at
                                           [NGX_HTTP_AGGREGATE_REDIS_COMMANDS];
};


struct ngx_http_aggregate_redis_s {
    ngx_str_t                             name;
    u_char                               *file;     /* that names it first */
    ngx_uint_t                            line;
    ngx_array_t                           servers;  /* node pointers */
    ngx_array_t                           sentinels;
    ngx_str_t                             master;   /* its name there */
    ngx_str_t                             user;
    ngx_str_t                             password;
    ngx_str_t                             sentinel_user;
    ngx_str_t                             sentinel_password;
    ngx_str_t                             prefix;
    ngx_int_t                             database;
    ngx_msec_t                            connect_timeout;
    ngx_msec_t                            timeout;
    ngx_flag_t                            clustered;

    ngx_flag_t                            tls;
    ngx_flag_t                            tls_verify;
    ngx_str_t                             tls_ca;
    ngx_str_t                             tls_name;
    ngx_str_t                             tls_certificate;
    ngx_str_t                             tls_certificate_key;

#if (NGX_SSL)
    ngx_ssl_t                            *ssl;
#endif

    ngx_resolver_t                       *resolver;
    ngx_msec_t                            resolver_timeout;

    ngx_shm_zone_t                       *shm_zone;
    ngx_http_aggregate_redis_sh_t        *sh;

    /* the state of this worker */

    ngx_http_aggregate_redis_node_t     **nodes;
    ngx_uint_t                            nnodes;
    ngx_http_aggregate_redis_node_t      *node;     /* the one to be asked */
    ngx_http_aggregate_redis_cluster_t   *cluster;
    ngx_http_aggregate_redis_sentinel_t  *sentinel;
    ngx_queue_t                           follows;

    unsigned                              defined:1;
    unsigned                              started:1;
};


/*
 * A connection that is being made: the name resolved, connected, TLS.  One of
 * ready and failed is called, and never from open(); after ready the events
 * are the owner's, with data as that of the connection.
 */

struct ngx_http_aggregate_redis_link_s {
    ngx_http_aggregate_redis_node_t      *node;
    ngx_connection_t                     *connection;
    ngx_resolver_ctx_t                   *resolve;
    ngx_sockaddr_t                        sockaddr;
    ngx_str_t                             address;
    u_char                                text[NGX_SOCKADDR_STRLEN];
    const char                           *broken;
    void                                 *data;

    void                                (*ready)(
                                     ngx_http_aggregate_redis_link_t *link);
    void                                (*failed)(
                                     ngx_http_aggregate_redis_link_t *link,
                                     const char *why);

    unsigned                              opening:1;
    unsigned                              complete:1;
};


/*
 * A conversation: one question, one reply of any form, read by hiredis.  The
 * owner sets what stands first.  ready is called when the greetings are
 * answered, reply for each reply; they return NGX_OK, or something else and
 * the conversation ends.  closed is called once, last, and never from open().
 */

struct ngx_http_aggregate_redis_talk_s {
    ngx_http_aggregate_redis_t           *redis;
    ngx_str_t                            *user;
    ngx_str_t                            *password;
    void                                 *data;

    ngx_int_t                           (*ready)(
                                     ngx_http_aggregate_redis_talk_t *talk);
    ngx_int_t                           (*reply)(
                                     ngx_http_aggregate_redis_talk_t *talk,
                                     void *reply);
    void                                (*closed)(
                                     ngx_http_aggregate_redis_talk_t *talk,
                                     const char *why);
    /* no answer in time; NGX_OK: it asked something */
    ngx_int_t                           (*silent)(
                                     ngx_http_aggregate_redis_talk_t *talk);

    ngx_http_aggregate_redis_link_t       link;
    ngx_event_t                           timer;
    void                                 *reader;
    u_char                               *out;
    size_t                                out_len;
    size_t                                out_sent;
    ngx_uint_t                            greetings; /* to be answered */
    ngx_uint_t                            greeted;
    ngx_msec_t                            greeted_at; /* time of sending */

    unsigned                              select:1; /* the database */
    unsigned                              open:1;
};


/* a worker's connection for commands */

struct ngx_http_aggregate_redis_conn_s {
    ngx_http_aggregate_redis_t       *redis;
    ngx_http_aggregate_redis_node_t  *node;
    ngx_http_aggregate_redis_link_t   link;
    agg_redis_parser_t                parser;
    ngx_queue_t                       ops;       /* in the order of replies */
    ngx_uint_t                        nops;
    u_char                           *out;       /* data to be sent */
    size_t                            out_len;
    size_t                            out_sent;
    size_t                            out_size;
    ngx_event_t                       timer;
    ngx_msec_t                        heard;
    ngx_msec_t                        connect_by;
    const char                       *closing;   /* soon, and why */
    unsigned                          hurried:1; /* a PING is under way */
};


/*
 * A command under way.  rc is NGX_OK with a reply, NGX_DECLINED with nil,
 * NGX_ERROR otherwise: an error of Redis, a time-out, no connection.  A value
 * is read into memory of pool, which has to live until forget() or handler.
 */

struct ngx_http_aggregate_redis_op_s {
    ngx_queue_t                           queue;
    ngx_http_aggregate_redis_conn_t      *conn;
    ngx_http_aggregate_redis_pt           handler;
    void                                 *data;
    ngx_pool_t                           *pool;
    size_t                                limit;    /* the value's limit */
    ngx_msec_t                            deadline;
    ngx_int_t                             rc;
    ngx_str_t                             value;
    int64_t                               integer;
    char                                 *command;  /* for another node */
    size_t                                length;
    ngx_uint_t                            hops;
    ngx_str_t                             name;     /* the command's */
    unsigned                              setup:1;
    unsigned                              asking:1;
    unsigned                              hurried:1;
    unsigned                              reading:1;
    unsigned                              late:1;
};


/*
 * A stream that is followed.  The owner sets redis, key, wait and handlers.
 *
 * known is called first and sets the epoch and the place up to which the
 * owner knows the stream, 0 for none.  joined is called with the epoch of the
 * stream, with the bounds of what it holds, first_* and bound_*, and with the
 * clock of the server in milliseconds; it may change last_*, after which the
 * stream is read.  Then come entry for each new entry, alive after each
 * answer, which comes every wait milliseconds at least, and clocked from time
 * to time; lost when there will be none for a while.
 *
 * A stream has another epoch when it may lack what it once had: it was not
 * there, it ends before what a follower knows, or it is on another server, or
 * one that has been restarted, and the first to come has not known it before.
 */

struct ngx_http_aggregate_redis_follow_s {
    ngx_http_aggregate_redis_t           *redis;
    ngx_str_t                             key;
    ngx_msec_t                            wait;
    uint64_t                              epoch;
    uint64_t                              last_ms;
    uint64_t                              last_seq;
    uint64_t                              first_ms;
    uint64_t                              first_seq;
    uint64_t                              bound_ms;
    uint64_t                              bound_seq;
    uint64_t                              clock;
    void                                 *data;

    void                                (*known)(
                                   ngx_http_aggregate_redis_follow_t *follow);
    void                                (*joined)(
                                   ngx_http_aggregate_redis_follow_t *follow);
    void                                (*entry)(
                                   ngx_http_aggregate_redis_follow_t *follow,
                                   const agg_redis_entry_t *entry);
    void                                (*alive)(
                                   ngx_http_aggregate_redis_follow_t *follow);
    void                                (*clocked)(
                                   ngx_http_aggregate_redis_follow_t *follow);
    void                                (*lost)(
                                   ngx_http_aggregate_redis_follow_t *follow);

    ngx_http_aggregate_redis_talk_t       talk;
    ngx_http_aggregate_redis_node_t      *node;
    ngx_queue_t                           queue;
    ngx_event_t                           timer;
    ngx_msec_t                            delay;
    ngx_msec_t                            clock_at;  /* the next question */
    ngx_uint_t                            misplaced; /* as it was found */
    ngx_uint_t                            step;
};


/* module */

/* finds the block of that name, or adds one that is still to be defined */
ngx_http_aggregate_redis_t *ngx_http_aggregate_redis_add(ngx_conf_t *cf,
    ngx_str_t *name);

/* conf */

extern ngx_command_t  ngx_http_aggregate_redis_statements[];

char *ngx_http_aggregate_redis_check(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis);
char *ngx_http_aggregate_redis_resolve(ngx_conf_t *cf,
    ngx_http_aggregate_redis_t *redis);

/* node */

ngx_int_t ngx_http_aggregate_redis_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle);
void ngx_http_aggregate_redis_end(ngx_http_aggregate_redis_t *redis);

/* NULL: there are too many, or no memory */
ngx_http_aggregate_redis_node_t *ngx_http_aggregate_redis_node(
    ngx_http_aggregate_redis_t *redis, const agg_redis_address_t *address);

/* the node for a key; NULL: not known yet */
ngx_http_aggregate_redis_node_t *ngx_http_aggregate_redis_route(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *key);

/* all is asked of this node from now on */
void ngx_http_aggregate_redis_switch(ngx_http_aggregate_redis_t *redis,
    ngx_http_aggregate_redis_node_t *node);

/* failures and successes, counted for all workers */
void ngx_http_aggregate_redis_failed(ngx_http_aggregate_redis_node_t *node,
    const char *what);
void ngx_http_aggregate_redis_worked(ngx_http_aggregate_redis_node_t *node);

/*
 * The server answered an error to a command.  One that means that the command
 * is not allowed is logged; READONLY and NOAUTH mean another server.
 */
void ngx_http_aggregate_redis_refused(ngx_http_aggregate_redis_node_t *node,
    ngx_str_t *command, ngx_str_t *error);

/*
 * The server is not, or no longer, the one that the name stands for: the
 * connections are closed soon, and never from here, and it is looked for anew.
 */
void ngx_http_aggregate_redis_misplaced(ngx_http_aggregate_redis_node_t *node,
    const char *why);

/*
 * A reply that came too late is no proof of life, but brings the next PING
 * forward, unless it is that of such a PING itself.
 */
void ngx_http_aggregate_redis_replied_late(
    ngx_http_aggregate_redis_node_t *node, ngx_uint_t hurried);

/* 1: commands are sent; 0: once a PING in the background is answered */
ngx_uint_t ngx_http_aggregate_redis_may_ask(
    ngx_http_aggregate_redis_node_t *node);

/* servers that are not asked at this moment, of those that are known */
ngx_uint_t ngx_http_aggregate_redis_down(ngx_http_aggregate_redis_t *redis,
    ngx_uint_t *known);

/* the commands that begin a connection, and their names; NULL: no memory */
void ngx_http_aggregate_redis_greeting_name(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *password, ngx_uint_t select,
    ngx_uint_t i, ngx_str_t *name);
u_char *ngx_http_aggregate_redis_greeting(ngx_http_aggregate_redis_t *redis,
    ngx_str_t *user, ngx_str_t *password, ngx_uint_t select, size_t *len,
    ngx_uint_t *n);

/* link */

ngx_int_t ngx_http_aggregate_redis_link_open(
    ngx_http_aggregate_redis_link_t *link,
    ngx_http_aggregate_redis_node_t *node);
void ngx_http_aggregate_redis_link_close(
    ngx_http_aggregate_redis_link_t *link);

/* talk */

ngx_int_t ngx_http_aggregate_redis_talk_open(
    ngx_http_aggregate_redis_talk_t *talk,
    ngx_http_aggregate_redis_node_t *node);
ngx_int_t ngx_http_aggregate_redis_talk_ask(
    ngx_http_aggregate_redis_talk_t *talk, ngx_uint_t argc, ngx_str_t *argv,
    ngx_msec_t timeout);
void ngx_http_aggregate_redis_talk_close(
    ngx_http_aggregate_redis_talk_t *talk, const char *why);

/* cluster */

ngx_int_t ngx_http_aggregate_redis_cluster_start(
    ngx_http_aggregate_redis_t *redis, ngx_cycle_t *cycle);
void ngx_http_aggregate_redis_cluster_end(ngx_http_aggregate_redis_t *redis);
ngx_http_aggregate_redis_node_t *ngx_http_aggregate_redis_cluster_route(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *key);
void ngx_http_aggregate_redis_cluster_moved(
    ngx_http_aggregate_redis_t *redis, ngx_uint_t slot,
    ngx_http_aggregate_redis_node_t *node);
ngx_uint_t ngx_http_aggregate_redis_cluster_uses(
    ngx_http_aggregate_redis_t *redis, ngx_http_aggregate_redis_node_t *node);

/* the map may be wrong: it is asked for soon */
void ngx_http_aggregate_redis_cluster_doubt(
    ngx_http_aggregate_redis_t *redis);

/* sentinel */

ngx_int_t ngx_http_aggregate_redis_sentinel_start(
    ngx_http_aggregate_redis_t *redis, ngx_cycle_t *cycle);
void ngx_http_aggregate_redis_sentinel_end(
    ngx_http_aggregate_redis_t *redis);

/* the master is none: they are asked again */
void ngx_http_aggregate_redis_sentinel_doubt(
    ngx_http_aggregate_redis_t *redis);

/* commands */

/*
 * Sends a command, whose name is a constant; the handler is called later,
 * never from here.  NULL: not now, as Redis is down or too much is waiting.
 * Without a handler nobody waits for the reply.
 */
ngx_http_aggregate_redis_op_t *ngx_http_aggregate_redis_send(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *key, ngx_uint_t argc,
    ngx_str_t *argv, ngx_http_aggregate_redis_pt handler, void *data,
    ngx_pool_t *pool, size_t limit);

/* nobody waits for it any more; its reply is passed over when it comes */
void ngx_http_aggregate_redis_forget(ngx_http_aggregate_redis_op_t *op);

/*
 * Asks a server that is down whether it is back; hurried: before its time, and
 * once only.
 */
void ngx_http_aggregate_redis_ping(ngx_http_aggregate_redis_node_t *node,
    ngx_uint_t hurried);

void ngx_http_aggregate_redis_done(ngx_http_aggregate_redis_op_t *op,
    ngx_int_t rc);
void ngx_http_aggregate_redis_read(ngx_event_t *rev);
void ngx_http_aggregate_redis_timer(ngx_event_t *ev);

/* replies are due on the connection, and none has come for long */
ngx_uint_t ngx_http_aggregate_redis_idle(
    ngx_http_aggregate_redis_conn_t *conn);

/* conn */

/* NULL: it failed at once */
ngx_http_aggregate_redis_conn_t *ngx_http_aggregate_redis_open(
    ngx_http_aggregate_redis_node_t *node);
void ngx_http_aggregate_redis_close(ngx_http_aggregate_redis_conn_t *conn,
    const char *why);

/* a place for a reply, the last one of those that are waited for */
ngx_http_aggregate_redis_op_t *ngx_http_aggregate_redis_push(
    ngx_http_aggregate_redis_conn_t *conn, ngx_str_t *command,
    ngx_uint_t setup);
void ngx_http_aggregate_redis_queue(ngx_http_aggregate_redis_conn_t *conn,
    ngx_http_aggregate_redis_op_t *op);
void ngx_http_aggregate_redis_unqueue(ngx_http_aggregate_redis_op_t *op);

/* the command is sent soon; NGX_DECLINED: too much is waiting already */
ngx_int_t ngx_http_aggregate_redis_append(
    ngx_http_aggregate_redis_conn_t *conn, const char *command, size_t len);

/* closes this worker's connection to the node */
void ngx_http_aggregate_redis_leave(ngx_http_aggregate_redis_node_t *node,
    const char *why);

/* follow */

void ngx_http_aggregate_redis_follow(
    ngx_http_aggregate_redis_follow_t *follow);
void ngx_http_aggregate_redis_unfollow(
    ngx_http_aggregate_redis_follow_t *follow);

/* a new epoch, never 0 */
uint64_t ngx_http_aggregate_redis_epoch(void);


extern ngx_module_t  ngx_http_aggregate_redis_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_REDIS_H_INCLUDED_ */
