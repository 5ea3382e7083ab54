
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

/* unsent bytes of one connection, at most */
#define NGX_HTTP_AGGREGATE_REDIS_QUEUE     (8 * 1024 * 1024)

/* commands without a reply on one connection, at most */
#define NGX_HTTP_AGGREGATE_REDIS_PENDING   1024

/* an idle connection with pending replies is closed after this time */
#define NGX_HTTP_AGGREGATE_REDIS_IDLE      1000

/* failures in a row, in all workers, after which a server is down */
#define NGX_HTTP_AGGREGATE_REDIS_FAILS     3

#define NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MIN  100
#define NGX_HTTP_AGGREGATE_REDIS_BACKOFF_MAX  5000

/* a server that fails again within this time keeps its back-off */
#define NGX_HTTP_AGGREGATE_REDIS_RELAPSE   10000

/* between two searches for another master */
#define NGX_HTTP_AGGREGATE_REDIS_MISPLACED 1000

/* between two log lines about one command that is refused */
#define NGX_HTTP_AGGREGATE_REDIS_REFUSED   60000
#define NGX_HTTP_AGGREGATE_REDIS_COMMANDS  16

/* servers that a worker knows, and those whose health is shared */
#define NGX_HTTP_AGGREGATE_REDIS_NODES     256
#define NGX_HTTP_AGGREGATE_REDIS_HEALTHS   64

/* redirects of a command, and its size, at most */
#define NGX_HTTP_AGGREGATE_REDIS_REDIRECTS      3
#define NGX_HTTP_AGGREGATE_REDIS_REDIRECT_SIZE  4096


typedef struct ngx_http_aggregate_redis_s       ngx_http_aggregate_redis_t;
typedef struct ngx_http_aggregate_redis_node_s  ngx_http_aggregate_redis_node_t;
typedef struct ngx_http_aggregate_redis_op_s    ngx_http_aggregate_redis_op_t;

typedef struct ngx_http_aggregate_redis_connection_s
    ngx_http_aggregate_redis_connection_t;
typedef struct ngx_http_aggregate_redis_pipeline_s
    ngx_http_aggregate_redis_pipeline_t;
typedef struct ngx_http_aggregate_redis_stream_s
    ngx_http_aggregate_redis_stream_t;

typedef void (*ngx_http_aggregate_redis_pt)(
    ngx_http_aggregate_redis_op_t *op);


/* in shared memory, for all workers */

typedef struct {
    ngx_atomic_t                          hash;     /* of its name */
    ngx_atomic_t                          fails;    /* in a row */
    ngx_atomic_t                          down;
    ngx_atomic_t                          probe_at; /* milliseconds */
    ngx_atomic_t                          backoff;
    ngx_atomic_t                          up_at;
} ngx_http_aggregate_redis_health_t;


typedef struct {
    ngx_atomic_t                          timeouts;
    ngx_atomic_t                          errors;
    ngx_atomic_t                          commands;
    ngx_atomic_t                          redirects;
    ngx_atomic_t                          run;      /* ID of the server */
    ngx_atomic_t                          misplaced;
    ngx_http_aggregate_redis_health_t     healths
                                           [NGX_HTTP_AGGREGATE_REDIS_HEALTHS];
} ngx_http_aggregate_redis_sh_t;


/* a server, and the pipeline of this worker to it */

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
    ngx_http_aggregate_redis_pipeline_t  *pipeline;
    ngx_uint_t                            connections;
    ngx_event_t                           recovery; /* while it is down */
    ngx_msec_t                            misplaced_at;
    ngx_msec_t                            refused_at
                                           [NGX_HTTP_AGGREGATE_REDIS_COMMANDS];
};


/*
 * One server, a master found by sentinels, or a cluster.
 *
 * uses() tells whether keys are sent to the node.  failed() is called for a
 * node that does not work, refresh() when the node was not the right one.
 */

typedef struct {
    ngx_int_t                           (*start)(
                                     ngx_http_aggregate_redis_t *redis,
                                     ngx_cycle_t *cycle);
    void                                (*stop)(
                                     ngx_http_aggregate_redis_t *redis);

    /* the node for a key; NULL: it is not known yet */
    ngx_http_aggregate_redis_node_t    *(*route)(
                                     ngx_http_aggregate_redis_t *redis,
                                     ngx_str_t *key);
    ngx_uint_t                          (*uses)(
                                     ngx_http_aggregate_redis_t *redis,
                                     ngx_http_aggregate_redis_node_t *node);
    void                                (*failed)(
                                     ngx_http_aggregate_redis_t *redis);
    void                                (*refresh)(
                                     ngx_http_aggregate_redis_t *redis);

    /* a slot has moved to the node; NULL: commands are not redirected */
    void                                (*moved)(
                                     ngx_http_aggregate_redis_t *redis,
                                     ngx_uint_t slot,
                                     ngx_http_aggregate_redis_node_t *node);
} ngx_http_aggregate_redis_topology_t;


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

    const ngx_http_aggregate_redis_topology_t
                                         *topology;

    /* the state of this worker */

    ngx_http_aggregate_redis_node_t     **nodes;
    ngx_uint_t                            nnodes;
    ngx_http_aggregate_redis_node_t      *node;     /* the master */
    void                                 *state;    /* of the topology */
    ngx_queue_t                           streams;
    ngx_event_handler_pt                  recover;  /* for nodes */

    unsigned                              defined:1;
    unsigned                              started:1;
};


/*
 * The owner of a connection.  The handlers may be NULL but for closed() and,
 * as the owner chooses, one of read() and reply().
 *
 * ready() is called when the handshake has been answered, read() with what is
 * received then, or reply() with each reply of hiredis.  These return NGX_OK,
 * NGX_DONE when the connection is of no more use, or NGX_ERROR; otherwise, and
 * after timeout() unless that returns NGX_OK, the connection is closed.
 *
 * closed() is called once, last, and never from open().  connect() is called
 * when it is time to open the connection again.
 */

typedef struct {
    void                                (*connect)(
                                 ngx_http_aggregate_redis_connection_t *conn);
    ngx_int_t                           (*ready)(
                                 ngx_http_aggregate_redis_connection_t *conn);
    ngx_int_t                           (*read)(
                                 ngx_http_aggregate_redis_connection_t *conn,
                                 const u_char *p, const u_char *last);
    ngx_int_t                           (*reply)(
                                 ngx_http_aggregate_redis_connection_t *conn,
                                 void *reply);
    ngx_int_t                           (*timeout)(
                                 ngx_http_aggregate_redis_connection_t *conn);
    void                                (*closed)(
                                 ngx_http_aggregate_redis_connection_t *conn,
                                 const char *why);

    /* an error in the handshake */
    void                                (*refused)(
                                 ngx_http_aggregate_redis_node_t *node,
                                 ngx_str_t *command, ngx_str_t *error);

    ngx_msec_t                            reconnect_min;
    ngx_msec_t                            reconnect_max;
} ngx_http_aggregate_redis_handlers_t;


/* a connection: the owner sets what is before the node */

struct ngx_http_aggregate_redis_connection_s {
    const ngx_http_aggregate_redis_handlers_t
                                         *handlers;
    ngx_http_aggregate_redis_t           *redis;
    ngx_str_t                            *user;
    ngx_str_t                            *password;
    ngx_int_t                             database;
    void                                 *data;

    ngx_http_aggregate_redis_node_t      *node;
    ngx_connection_t                     *connection;
    ngx_resolver_ctx_t                   *resolve;
    ngx_sockaddr_t                        sockaddr;
    ngx_str_t                             address;
    u_char                                text[NGX_SOCKADDR_STRLEN];
    const char                           *failed;   /* in open() */

    agg_redis_parser_t                    parser;
    void                                 *reader;
    u_char                               *out;      /* unsent data */
    size_t                                out_len;
    size_t                                out_sent;
    size_t                                out_size;

    ngx_uint_t                            handshake; /* pending replies */
    ngx_uint_t                            nhandshake;
    ngx_msec_t                            connected_at;
    ngx_msec_t                            heard;    /* last data received */
    ngx_msec_t                            connect_by;
    ngx_event_t                           timer;
    const char                           *closing;  /* with the next timer */

    ngx_event_t                           reconnect;
    ngx_msec_t                            delay;

    unsigned                              opening:1;
    unsigned                              open:1;
    unsigned                              connected:1;
};


/* the connection of a worker for commands, whose replies are in order */

struct ngx_http_aggregate_redis_pipeline_s {
    ngx_http_aggregate_redis_connection_t  connection;
    ngx_queue_t                            ops;
    ngx_uint_t                             nops;
    unsigned                               hurried:1; /* a PING is pending */
    unsigned                               hurried_handshake:1;
};


/*
 * A pending command.  rc is NGX_OK with a reply, NGX_DECLINED with nil, and
 * NGX_ERROR with an error of Redis, after a time-out, or if the connection is
 * closed.  A value is read into memory of pool, which has to exist until the
 * handler is called, or forget().
 */

struct ngx_http_aggregate_redis_op_s {
    ngx_queue_t                           queue;
    ngx_http_aggregate_redis_pipeline_t  *pipeline;
    ngx_http_aggregate_redis_pt           handler;
    void                                 *data;
    ngx_pool_t                           *pool;
    size_t                                limit;    /* of the value */
    ngx_msec_t                            deadline;
    ngx_int_t                             rc;
    ngx_str_t                             value;
    int64_t                               integer;
    char                                 *command;  /* for a redirect */
    size_t                                length;
    ngx_uint_t                            redirects;
    ngx_str_t                             name;     /* of the command */
    unsigned                              probe:1;  /* a PING */
    unsigned                              asking:1;
    unsigned                              hurried:1;
    unsigned                              reading:1;
    unsigned                              late:1;
};


/*
 * A stream that is read.  The owner sets redis, key, wait and the handlers.
 *
 * known() is called first, and sets the epoch and the last event that the
 * owner knows, or 0.  joined() is called with the epoch of the stream, its
 * first and last event, and the clock of the server in milliseconds; it may
 * change last_*, after which the stream is read.  Then event() is called for
 * each new event, alive() after each reply, which comes at least every wait
 * milliseconds, clocked() from time to time, and lost() when the connection
 * is closed.
 *
 * The stream gets a new epoch when events may be missing: the key did not
 * exist, or it ends before the last known event, or it is on another server,
 * or the server has been restarted and this client did not know the epoch.
 */

struct ngx_http_aggregate_redis_stream_s {
    ngx_http_aggregate_redis_t           *redis;
    ngx_str_t                             key;
    ngx_msec_t                            wait;
    uint64_t                              epoch;
    uint64_t                              last_ms;
    uint64_t                              last_seq;
    uint64_t                              first_ms;
    uint64_t                              first_seq;
    uint64_t                              bound_ms;  /* last when joined */
    uint64_t                              bound_seq;
    uint64_t                              clock;
    ngx_msec_t                            refused_at;  /* the last line */
    void                                 *data;

    void                                (*known)(
                                   ngx_http_aggregate_redis_stream_t *stream);
    void                                (*joined)(
                                   ngx_http_aggregate_redis_stream_t *stream);
    void                                (*event)(
                                   ngx_http_aggregate_redis_stream_t *stream,
                                   const agg_redis_entry_t *entry);
    void                                (*alive)(
                                   ngx_http_aggregate_redis_stream_t *stream);
    void                                (*clocked)(
                                   ngx_http_aggregate_redis_stream_t *stream);
    void                                (*lost)(
                                   ngx_http_aggregate_redis_stream_t *stream);

    ngx_http_aggregate_redis_connection_t  connection;
    ngx_queue_t                           queue;
    ngx_msec_t                            clock_at;  /* of the next TIME */
    ngx_uint_t                            misplaced; /* when joined */
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

/* connection */

/*
 * Opens a connection, with the time for timeout().  NGX_ERROR: it failed at
 * once, and closed() is not called.
 */
ngx_int_t ngx_http_aggregate_redis_connection_open(
    ngx_http_aggregate_redis_connection_t *conn,
    ngx_http_aggregate_redis_node_t *node, ngx_msec_t timeout);
void ngx_http_aggregate_redis_connection_close(
    ngx_http_aggregate_redis_connection_t *conn, const char *why);

/* closes the connection after the current event */
void ngx_http_aggregate_redis_connection_close_later(
    ngx_http_aggregate_redis_connection_t *conn, const char *why);

/* the next timeout() */
void ngx_http_aggregate_redis_connection_set_timeout(
    ngx_http_aggregate_redis_connection_t *conn, ngx_msec_t timeout);

/* calls connect() later, with exponential back-off, or after a time */
void ngx_http_aggregate_redis_connection_retry(
    ngx_http_aggregate_redis_connection_t *conn);
void ngx_http_aggregate_redis_connection_connect_in(
    ngx_http_aggregate_redis_connection_t *conn, ngx_msec_t delay);

/* for the last time: neither closed() nor connect() is called again */
void ngx_http_aggregate_redis_connection_end(
    ngx_http_aggregate_redis_connection_t *conn);

/* sends data after the current event; NGX_DECLINED: too much is unsent */
ngx_int_t ngx_http_aggregate_redis_connection_send(
    ngx_http_aggregate_redis_connection_t *conn, const char *data,
    size_t len);

/* sends a command whose reply is awaited for that time */
ngx_int_t ngx_http_aggregate_redis_connection_ask(
    ngx_http_aggregate_redis_connection_t *conn, ngx_uint_t argc,
    ngx_str_t *argv, ngx_msec_t timeout);

/* tls */

#if (NGX_SSL)

ngx_int_t ngx_http_aggregate_redis_tls_set_name(
    ngx_http_aggregate_redis_connection_t *conn);

/* NULL: the certificate is valid */
const char *ngx_http_aggregate_redis_tls_verify(
    ngx_http_aggregate_redis_connection_t *conn);

#endif

/* node */

/* recover is called for a node that is down, while uses() is true for it */
ngx_int_t ngx_http_aggregate_redis_start(ngx_http_aggregate_redis_t *redis,
    ngx_cycle_t *cycle, ngx_event_handler_pt recover);
void ngx_http_aggregate_redis_stop(ngx_http_aggregate_redis_t *redis);

/* NULL: there are too many, or no memory */
ngx_http_aggregate_redis_node_t *ngx_http_aggregate_redis_get_node(
    ngx_http_aggregate_redis_t *redis, const agg_redis_address_t *address);

/* failures and successes, counted for all workers */
void ngx_http_aggregate_redis_mark_failed(
    ngx_http_aggregate_redis_node_t *node, const char *why);
void ngx_http_aggregate_redis_recovered(
    ngx_http_aggregate_redis_node_t *node);


/* nothing is written to shared memory for each reply */

static ngx_inline void
ngx_http_aggregate_redis_mark_up(ngx_http_aggregate_redis_node_t *node)
{
    if (node->health->fails || node->health->down) {
        ngx_http_aggregate_redis_recovered(node);
    }
}


/* 0: the server is down, until a PING in the background is answered */
ngx_uint_t ngx_http_aggregate_redis_is_available(
    ngx_http_aggregate_redis_node_t *node);

/* schedules recover() */
void ngx_http_aggregate_redis_watch(ngx_http_aggregate_redis_node_t *node);

/*
 * The reply to a command was an error.  One that means that the command is
 * not allowed is logged; READONLY and NOAUTH mean that the server is not the
 * right one.
 */
void ngx_http_aggregate_redis_refused(ngx_http_aggregate_redis_node_t *node,
    ngx_str_t *command, ngx_str_t *error);

/*
 * The server is not, or no longer, the one of that name: its connections are
 * closed after the current event, and the topology is refreshed.
 */
void ngx_http_aggregate_redis_misplaced(ngx_http_aggregate_redis_node_t *node,
    const char *why);

/* the number of servers that are down, of those that are known */
ngx_uint_t ngx_http_aggregate_redis_down(ngx_http_aggregate_redis_t *redis,
    ngx_uint_t *known);

/* topology */

extern const ngx_http_aggregate_redis_topology_t
    ngx_http_aggregate_redis_single;
extern const ngx_http_aggregate_redis_topology_t
    ngx_http_aggregate_redis_sentinel;
extern const ngx_http_aggregate_redis_topology_t
    ngx_http_aggregate_redis_cluster;

/* pipeline */

/*
 * Sends a command, whose name is a constant; the handler is called later,
 * never from here, and may be NULL.  Returns NULL if Redis is down or too many
 * commands are pending.
 */
ngx_http_aggregate_redis_op_t *ngx_http_aggregate_redis_send(
    ngx_http_aggregate_redis_t *redis, ngx_str_t *key, ngx_uint_t argc,
    ngx_str_t *argv, ngx_http_aggregate_redis_pt handler, void *data,
    ngx_pool_t *pool, size_t limit);

/* the handler is not called, and the reply is discarded */
void ngx_http_aggregate_redis_forget(ngx_http_aggregate_redis_op_t *op);

/* the handler of the timer of a node that is down */
void ngx_http_aggregate_redis_recover(ngx_event_t *ev);

/*
 * A late reply does not mean that the server is up, but causes a PING before
 * its time, unless it is the reply to such a PING.
 */
void ngx_http_aggregate_redis_replied_late(
    ngx_http_aggregate_redis_node_t *node, ngx_uint_t hurried);

/* stream */

void ngx_http_aggregate_redis_stream_start(
    ngx_http_aggregate_redis_stream_t *stream);
void ngx_http_aggregate_redis_stream_stop(
    ngx_http_aggregate_redis_stream_t *stream);

/* a new epoch, never 0 */
uint64_t ngx_http_aggregate_redis_epoch(void);


extern ngx_module_t  ngx_http_aggregate_redis_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_REDIS_H_INCLUDED_ */
