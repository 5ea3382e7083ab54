
/*
 * The subrequest engine.  A user, such as the handler of an "aggregate" block,
 * has one ngx_http_aggregate_fetches_t for each request that it answers, and a
 * ngx_http_aggregate_fetch_t for each thing that it asks for:
 *
 *     fs = ngx_http_aggregate_fetches_create(r, &block->limits, &kind, handler,
 *                                            ctx);
 *     ngx_http_aggregate_fetches_headers_in(fs, forward, with_body, &headers);
 *     fetch->... = ...                      what to ask for, zeroes elsewhere
 *     ngx_http_aggregate_fetch_start(fs, fetch);
 *     ngx_http_aggregate_fetches_run(fs);   once; the rest comes by events
 *
 * From then on the request's read and write handlers are the engine's.  It
 * queues fetches, sends as many at once as the limits allow, joins equal ones,
 * retries, watches deadlines and the client, and calls, never in a filter:
 *
 *     fetch->handler(fetch)   once, when the fetch has its result; it may
 *                             start and cancel fetches, and neither answers
 *                             nor finalizes the request
 *     fs->handler(fs)         after each round of these.  NGX_OK: go on.  When
 *                             all is done the user calls fetches_close(),
 *                             answers, tells fetches_outcome(), finalizes the
 *                             request, and returns NGX_DONE: nothing of it is
 *                             touched any more
 *
 * When fs->expired is set, all fetches have failed with a timeout, and when
 * fs->cancelled is (the client has gone, or the part that the user answers was
 * cancelled) with "cancelled": their handlers are called, then fs->handler,
 * for the last time.  If fs->cancelled is set the user neither answers nor
 * finalizes: the engine does, and ignores what it returns.
 *
 * Memory is of the client request's pool, but for large bodies, which have a
 * pool of their own, until the request ends or
 * ngx_http_aggregate_fetches_release(); a fetch is its user's, who keeps it
 * until the request ends.
 */

#ifndef _NGX_HTTP_AGGREGATE_FETCH_H_INCLUDED_
#define _NGX_HTTP_AGGREGATE_FETCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_aggregate_shape_conf.h"
#include "agg_hedge.h"


#pragma GCC visibility push(hidden)


/* why a fetch failed: the closed list, in the order of its names */

typedef enum {
    NGX_HTTP_AGGREGATE_NO_REASON = 0,
    NGX_HTTP_AGGREGATE_TIMEOUT,
    NGX_HTTP_AGGREGATE_CONNECT,
    NGX_HTTP_AGGREGATE_STATUS,
    NGX_HTTP_AGGREGATE_INVALID_JSON,
    NGX_HTTP_AGGREGATE_ENCODING,
    NGX_HTTP_AGGREGATE_TOO_LARGE,
    NGX_HTTP_AGGREGATE_TRUNCATED,
    NGX_HTTP_AGGREGATE_BAD_URI,
    NGX_HTTP_AGGREGATE_DEPENDENCY,
    NGX_HTTP_AGGREGATE_CONFLICT,
    NGX_HTTP_AGGREGATE_CONTENT,
    NGX_HTTP_AGGREGATE_BREAKER_OPEN,
    NGX_HTTP_AGGREGATE_CANCELLED,
    NGX_HTTP_AGGREGATE_INTERNAL
} ngx_http_aggregate_reason_e;


extern ngx_str_t  ngx_http_aggregate_reasons[];


/* limits of one client request, from the configuration */

typedef struct {
    ngx_msec_t                       timeout;
    ngx_int_t                        concurrency;
    ngx_int_t                        max_subrequests;
    size_t                           max_body_size;
    size_t                           max_response_size;
} ngx_http_aggregate_limits_t;


/* "accept": an array of these; NULL is 2xx; 206 needs a range of its own */

typedef struct {
    ngx_uint_t                       least;
    ngx_uint_t                       most;
} ngx_http_aggregate_range_t;


/* "forward": which header fields of the client a backend gets */

typedef struct {
    ngx_uint_t                       all;       /* unsigned  all:1; */
    ngx_array_t                      names;     /* ngx_str_t, lower case */
} ngx_http_aggregate_forward_t;


/* "methods": the methods of clients' requests that are served */

typedef struct {
    ngx_uint_t                       mask;
    ngx_str_t                        allow;     /* their names, for "Allow" */
} ngx_http_aggregate_methods_t;


/* a header field to be set in place of the client's; an empty value removes */

typedef struct {
    ngx_str_t                        name;
    ngx_str_t                        lowcase_name;
} ngx_http_aggregate_header_name_t;


typedef struct {
    ngx_http_aggregate_header_name_t  *name;
    ngx_str_t                          value;

    unsigned                           constant:1;  /* for all requests */
} ngx_http_aggregate_field_t;


/*
 * "hedge": a GET or HEAD whose response header has not come after the delay is
 * sent once more, if the budget, the limits and a breaker allow it.  The first
 * response that is of use is taken, and the other subrequest is cancelled.
 */

typedef struct {
    ngx_msec_t                       delay;
    ngx_uint_t                       percent;
    agg_hedge_t                      budget;    /* for each worker */
} ngx_http_aggregate_hedge_t;


typedef struct ngx_http_aggregate_fetches_s  ngx_http_aggregate_fetches_t;
typedef struct ngx_http_aggregate_fetch_s    ngx_http_aggregate_fetch_t;
typedef struct ngx_http_aggregate_clock_s    ngx_http_aggregate_clock_t;
typedef struct ngx_http_aggregate_join_s     ngx_http_aggregate_join_t;
typedef struct ngx_http_aggregate_try_s      ngx_http_aggregate_try_t;

typedef void (*ngx_http_aggregate_fetch_pt)(
    ngx_http_aggregate_fetch_t *fetch);
typedef ngx_int_t (*ngx_http_aggregate_fetches_pt)(
    ngx_http_aggregate_fetches_t *fs);


/*
 * The start that one or more fetches share, and their deadline, which counts
 * from it.  The user sets the timeout, 0 for none.
 */

struct ngx_http_aggregate_clock_s {
    ngx_msec_t                       timeout;

    ngx_msec_t                       start;     /* by the first subrequest */
    uint64_t                         start_usec;    /* if fs->usec */
    ngx_msec_t                       deadline;
    ngx_uint_t                       pending;   /* fetches without a result */
    ngx_http_aggregate_clock_t      *next;

    unsigned                         started:1;
    unsigned                         linked:1;
};


/* the treatment of an accepted body */

typedef enum {
    NGX_HTTP_AGGREGATE_SINK_JSON = 0,   /* is scanned, and shaped */
    NGX_HTTP_AGGREGATE_SINK_STRING,     /* UTF-8, becomes a JSON string */
    NGX_HTTP_AGGREGATE_SINK_RAW         /* bytes as they came */
} ngx_http_aggregate_sink_e;


typedef enum {
    NGX_HTTP_AGGREGATE_SHAPE_WHOLE = 0, /* source is value */
    NGX_HTTP_AGGREGATE_SHAPE_SPLIT,     /* source: after target and limit */
    NGX_HTTP_AGGREGATE_SHAPE_HEAD       /* target and limit are all it does */
} ngx_http_aggregate_stage_e;


/* a request to a backend, its result, and the engine's state in between */

struct ngx_http_aggregate_fetch_s {

    /* by the user; a field that is NULL or 0 has the meaning given there */

    ngx_str_t                       *name;      /* for logs */
    void                            *data;
    ngx_http_aggregate_fetch_pt      handler;
    ngx_http_aggregate_clock_t      *clock;     /* required */
    ngx_http_aggregate_join_t       *join;      /* NULL: never joined */

    ngx_uint_t                       method;    /* NGX_HTTP_GET, ... */
    ngx_str_t                        method_name;
    ngx_str_t                        uri;       /* decoded, as r->uri */
    ngx_str_t                        args;
    ngx_http_headers_in_t           *headers_in;
                                     /* by fetches_headers_in(), required */
    ngx_http_aggregate_field_t      *headers;
    ngx_uint_t                       nheaders;
    ngx_str_t                        body;      /* if body_set */

    ngx_array_t                     *accept;    /* media ranges */
    ngx_array_t                     *fail_on;   /* agg_path_t *: a value there
                                                   fails it, as it came */
    ngx_int_t                        retry;     /* tries after the first */
    ngx_http_aggregate_hedge_t      *hedge;     /* NULL: never */

    ngx_http_aggregate_sink_e        sink;
    ngx_http_aggregate_stage_e       stage;     /* the shape's stage */
    ngx_http_aggregate_shape_t      *shape;     /* NULL: scanned only */
    agg_patterns_t                  *patterns;  /* NULL: the bodies scanned only
                                                   are not like each other */
    ngx_str_t                        missing;   /* JSON, "null" if empty: in
                                                   place of a target that is
                                                   not there */

    unsigned                         body_set:1;      /* body is sent */
    unsigned                         body_request:1;  /* the client's is */
    unsigned                         encoded_slash:1; /* in uri \x01 stands
                                                   for a "/" within a segment,
                                                   which is sent as "%2F" */
    unsigned                         error_body:1;    /* the body of a
                                                   status not accepted becomes
                                                   source if it is JSON */

    /* by the engine; has_result: the handler was called, or will be soon */

    unsigned                         has_result:1;
    unsigned                         joined:1;  /* its leader was sent */
    unsigned                         answered:1;    /* the leader was */
    unsigned                         hedged:1;  /* or it was not allowed */
    unsigned                         hedging:1; /* the next try is a hedge */
    unsigned                         hedge_linked:1;

    ngx_http_aggregate_reason_e      reason;    /* 0: value is there */
    ngx_http_aggregate_reason_e      degraded;  /* why a used value is less
                                                   than it could be: a
                                                   breaker's fallback, a
                                                   partial aggregate */
    ngx_uint_t                       status;    /* sent by the backend, 0:
                                                   none was sent */
    agg_str_t                        value;     /* JSON, shaped; or bytes */
    agg_str_t                        source;    /* for others to read */
    ngx_http_request_t              *response;  /* its headers_out are what
                                                   came; NULL: none was sent */
    ngx_uint_t                       tries;     /* how many were sent */
    ngx_msec_t                       start;     /* the first try's */
    ngx_msec_t                       end;
    uint64_t                         start_usec;    /* if fs->usec */
    uint64_t                         end_usec;

    /* for the engine only */

    ngx_http_aggregate_fetches_t    *fetches;
    void                            *observed[2];   /* by observer number */
    ngx_http_aggregate_fetch_t      *leader;    /* the one sent for it */
    ngx_http_aggregate_fetch_t      *followers; /* the ones it is sent for */
    ngx_http_aggregate_fetch_t     **followers_last;
    ngx_uint_t                       waiting;   /* how many have no result */
    ngx_http_aggregate_try_t        *current;   /* the try that runs, or the
                                                   last one */
    ngx_http_aggregate_try_t        *second;    /* runs beside it */
    ngx_http_aggregate_fetch_t      *next_hedge;
    ngx_msec_t                       hedge_time;
    ngx_http_aggregate_fetch_t      *next;      /* in the queue, of followers */
    ngx_http_aggregate_fetch_t      *next_due;
    ngx_http_aggregate_fetch_t      *next_pending;
    ngx_http_aggregate_fetch_t     **pending_link;
};


/* one subrequest; observers may look at it */

struct ngx_http_aggregate_try_s {
    ngx_http_request_t              *request;
    ngx_http_aggregate_fetch_t      *fetch;     /* the leader */
    ngx_http_aggregate_fetches_t    *fetches;
    ngx_http_aggregate_try_t        *next;      /* the next one running */
    ngx_http_aggregate_try_t       **link;
    ngx_http_aggregate_fetches_t    *inner;     /* users in the subrequest */
    ngx_http_post_subrequest_t       post;
    ngx_http_posted_request_t        posted;

    agg_shape_run_t                 *run;
    agg_buf_t                        out;
    off_t                            received;
    ngx_http_request_body_t          empty_body;
    off_t                            content_length_n;
    ngx_http_handler_pt              content_handler;
    ngx_http_upstream_t             *upstream;  /* of "proxy_pass" */
    ngx_int_t                      (*process_header)(ngx_http_request_t *r);
    ngx_int_t                      (*reinit_request)(ngx_http_request_t *r);

    ngx_http_aggregate_reason_e      reason;    /* once it has a result */
    ngx_http_aggregate_reason_e      degraded;
    ngx_uint_t                       status;
    ngx_http_upstream_t             *failed;    /* ended with this error */
    ngx_uint_t                       error;
    agg_str_t                        value;
    agg_str_t                        source;
    ngx_uint_t                       number;    /* the try's, from 1 */
    void                            *observed[2];   /* by observer number */

    unsigned                         hedge:1;       /* the second of two */
    unsigned                         header:1;      /* its header was seen */
    unsigned                         accepted:1;
    unsigned                         error_body:1;  /* is kept */
    unsigned                         last:1;        /* its body is whole */
    unsigned                         no_body:1;
    unsigned                         no_status:1;
    unsigned                         place:1;       /* has one */
    unsigned                         bom:2;         /* bytes of it came */
    unsigned                         uri_changes:4; /* left at the error */
    unsigned                         cached:1;      /* from proxy_cache */
    unsigned                         passed:1;      /* the filters have its
                                                       header */
    unsigned                         given:1;       /* they have data */
    unsigned                         given_last:1;  /* and all of it */
    unsigned                         broken:1;      /* a filter has failed */
    unsigned                         cancelled:1;
    unsigned                         detached:1;    /* runs on for a cache */
    unsigned                         has_result:1;
    unsigned                         finalized:1;   /* not running any more */
};


/*
 * Observers: every function may be NULL, none may start, cancel or finalize
 * anything.  They are called
 *
 *     open       for each user, when its fetches are created
 *     begin      when a subrequest has been made
 *     headers    when its headers_in are complete; they may be changed
 *     end        when the try has its result (t->reason, t->fetch->status),
 *                maybe in a filter: at its last byte, deadline, cancellation
 *     result     when a fetch has its result, with or without subrequests;
 *                also for one that was refused before it was sent
 *     failed     when a user finds that what it asked for is of no use, or
 *                could not ask for it: no result of a fetch tells
 *     close      when the user has answered, or will never do: fs->outcome
 */

typedef struct ngx_http_aggregate_observer_s  ngx_http_aggregate_observer_t;

struct ngx_http_aggregate_observer_s {
    void       (*open)(ngx_http_aggregate_fetches_t *fs);
    void       (*begin)(ngx_http_aggregate_try_t *t);
    ngx_int_t  (*headers)(ngx_http_aggregate_try_t *t);
    void       (*end)(ngx_http_aggregate_try_t *t);
    void       (*result)(ngx_http_aggregate_fetch_t *fetch);
    void       (*close)(ngx_http_aggregate_fetches_t *fs);
    void       (*failed)(ngx_http_aggregate_fetches_t *fs, ngx_str_t *name,
        ngx_http_aggregate_reason_e reason);

    ngx_uint_t                       number;    /* given by observe() */
    ngx_http_aggregate_observer_t   *next;
};


/* the state that all users of one client request share */

typedef struct {
    ngx_http_aggregate_fetches_t    *first;     /* the outermost user */
    ngx_http_aggregate_fetches_t    *waiting;   /* for a free place */
    ngx_int_t                        running;
    ngx_uint_t                       tries;     /* not finalized */
    ngx_int_t                        concurrency;
    ngx_int_t                        sent;      /* or about to be */
    ngx_int_t                        max_subrequests;
    ngx_http_posted_request_t        end;       /* of the main request */
} ngx_http_aggregate_fetch_root_t;


/* the fetches of one user, which answers one request */

struct ngx_http_aggregate_fetches_s {
    ngx_http_request_t              *request;
    ngx_http_aggregate_limits_t     *limits;
    ngx_http_aggregate_fetches_pt    handler;
    void                            *data;      /* the user's */
    agg_mem_t                       *mem;       /* for values */
    agg_mem_t                        values;
    agg_mem_t                       *large;     /* of the pool */
    ngx_pool_t                      *pool;      /* for large ones, or NULL */
    size_t                           small;     /* bytes of small ones */

    ngx_http_aggregate_fetch_root_t *root;
    ngx_http_aggregate_try_t        *parent;    /* whose body this becomes */
    ngx_http_aggregate_fetches_t    *next_inner;    /* the parent's next */
    ngx_http_aggregate_fetches_t    *next_waiting;

    ngx_uint_t                       places;    /* the "concurrency" taken */
    ngx_http_aggregate_try_t        *tries;     /* not finalized */
    ngx_http_aggregate_try_t       **tries_last;
    ngx_http_aggregate_fetch_t      *pending;   /* without a result */
    ngx_http_aggregate_fetch_t     **pending_last;
    ngx_http_aggregate_fetch_t      *queue;     /* to be sent */
    ngx_http_aggregate_fetch_t     **queue_last;
    ngx_http_aggregate_fetch_t      *due;       /* handlers to be called */
    ngx_http_aggregate_fetch_t     **due_last;
    ngx_http_aggregate_clock_t      *clocks;    /* those with a deadline */
    ngx_http_aggregate_fetch_t      *hedges;    /* may become due */
    ngx_msec_t                       delay;     /* of a subrequest */

    ngx_event_t                      timer;
    ngx_event_t                      resume;    /* at the end of a turn */
    ngx_http_posted_request_t        posted_request;
    ngx_msec_t                       start;
    ngx_msec_t                       deadline;

    ngx_http_aggregate_observer_t   *observers;
    void                            *observed[2];
    ngx_str_t                       *kind;      /* "aggregate", "graphql" */
    const char                      *outcome;   /* "complete", "partial",
                                                   "failed", "cancelled" */

    unsigned                         usec:1;    /* microseconds are wanted */
    unsigned                         posted:1;
    unsigned                         waits:1;   /* is in root->waiting */
    unsigned                         cancels:1; /* tries are to be cancelled */
    unsigned                         expired:1;
    unsigned                         cancelled:1;
    unsigned                         client_gone:1;
    unsigned                         delays:1;  /* resumes it at "delay" */
    unsigned                         closed:1;
    unsigned                         ended:1;   /* observers were told */
};


/*
 * Room for n subrequests in the request's pool, in one block.  They get it when
 * they are sent, too: earlier, the block holds what the user itself allocates.
 */

void ngx_http_aggregate_fetches_room(ngx_http_request_t *r, ngx_uint_t n);

/*
 * Called in a content handler after the request's body was read.  NULL: no
 * memory.  A user in a part of another one shares the limits of that one.
 */

ngx_http_aggregate_fetches_t *ngx_http_aggregate_fetches_create(
    ngx_http_request_t *r, ngx_http_aggregate_limits_t *limits,
    ngx_str_t *kind, ngx_http_aggregate_fetches_pt handler, void *data);

/*
 * The client's header fields that backends get: all but those that are
 * hop-by-hop, conditional, or not forwarded; once for all fetches alike.  The
 * client's body is accompanied by its Content-* and the conditions of a write.
 */

#define NGX_HTTP_AGGREGATE_WITH_BODY        1
#define NGX_HTTP_AGGREGATE_WITH_CONDITIONS  2

ngx_int_t ngx_http_aggregate_fetches_headers_in(
    ngx_http_aggregate_fetches_t *fs, ngx_http_aggregate_forward_t *forward,
    ngx_uint_t with, ngx_http_headers_in_t *headers_in);

/* gives the memory of bodies back: nobody may look at them any more */

void ngx_http_aggregate_fetches_release(void *data);

/* subrequests that "max_subrequests" still allows */

#define ngx_http_aggregate_fetches_left(fs)                                   \
    ((fs)->root->max_subrequests - (fs)->root->sent)

/* may finalize the request: as the last thing that is done with it */

void ngx_http_aggregate_fetches_run(ngx_http_aggregate_fetches_t *fs);

/* the same from the event loop, when something but a fetch changed */

void ngx_http_aggregate_fetches_post(ngx_http_aggregate_fetches_t *fs);

/*
 * Cancels the remaining fetches without calling a handler; the timer and the
 * request's handlers are taken back.  A second call does nothing.
 */

void ngx_http_aggregate_fetches_close(ngx_http_aggregate_fetches_t *fs);

/* the answer is known; after close, and before the request is finalized */

void ngx_http_aggregate_fetches_outcome(ngx_http_aggregate_fetches_t *fs,
    const char *outcome);

/* for observers */

void ngx_http_aggregate_fetches_failed(ngx_http_aggregate_fetches_t *fs,
    ngx_str_t *name, ngx_http_aggregate_reason_e reason);

/* now, in microseconds, if fs->usec is set, else 0 */

uint64_t ngx_http_aggregate_usec(ngx_http_aggregate_fetches_t *fs);

/* the answer of the user is used, and is not all that it could be */

void ngx_http_aggregate_fetches_degraded(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_reason_e reason);


/*
 * NGX_OK: its handler will be called, later.  NGX_DECLINED: it is one more
 * than "max_subrequests".  NGX_ERROR: no memory.
 */

ngx_int_t ngx_http_aggregate_fetch_start(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_fetch_t *fetch);

/*
 * The caller gives the result, be the fetch started or not, and its handler is
 * not called.  A subrequest that nobody waits for any more is cancelled.
 */

void ngx_http_aggregate_fetch_cancel(ngx_http_aggregate_fetches_t *fs,
    ngx_http_aggregate_fetch_t *fetch, ngx_http_aggregate_reason_e reason);


/*
 * Equal fetches (method, URI, arguments, header fields, body, and all that is
 * done to the response) of one join are sent once, whether the first has its
 * result already or not; each has its own handler called with the result.
 * Only those that are sent count against "max_subrequests".  A user who wants
 * different things of equal responses joins fetches without a shape, and
 * shapes the value.
 */

ngx_http_aggregate_join_t *ngx_http_aggregate_join_create(ngx_pool_t *pool,
    ngx_uint_t expected);


/*
 * At configuration time, by whoever will fetch: without one the filters of the
 * engine are not there, and a request does not pay for them.
 */

void ngx_http_aggregate_fetch_use(ngx_conf_t *cf);


/* at configuration time, in postconfiguration; two at most */

ngx_int_t ngx_http_aggregate_observe(ngx_conf_t *cf,
    ngx_http_aggregate_observer_t *observer);


/*
 * The values of $aggregate_* for a request that another user than "aggregate"
 * has answered.  n items, in the order in which they are listed; NGX_DECLINED:
 * the answer is not by that user.
 */

typedef struct {
    ngx_str_t                        name;
    ngx_uint_t                       status;    /* 0: none */
    ngx_msec_t                       time;
    const char                      *reason;
    ngx_uint_t                       ran;       /* unsigned  ran:1; */
} ngx_http_aggregate_item_t;

typedef struct {
    ngx_int_t  (*items)(ngx_http_request_t *r,
                        ngx_http_aggregate_item_t **items, ngx_uint_t *n,
                        const char **status);

    /* adds the responses that stand in the answer, ngx_http_request_t * */
    ngx_int_t  (*responses)(ngx_http_request_t *r, ngx_array_t *responses);
} ngx_http_aggregate_reporter_t;

extern ngx_http_aggregate_reporter_t  *ngx_http_aggregate_reporter;

/* "aggregate_debug", "aggregate_expose" and "aggregate_log_level" */

extern ngx_uint_t  (*ngx_http_aggregate_debugged)(ngx_http_request_t *r);
extern ngx_uint_t  (*ngx_http_aggregate_exposed)(ngx_http_request_t *r);
extern ngx_uint_t  (*ngx_http_aggregate_log_level)(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_aggregate_fetch_filter_module;
extern ngx_module_t  ngx_http_aggregate_guard_filter_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_AGGREGATE_FETCH_H_INCLUDED_ */
